//! The human report of the sample, and what holds for every width.

use assay_observe::fold;
use assay_testkit::{Log, PlanBuilder};

use super::*;
use crate::sample;
use crate::sanitise::is_hidden;

fn rendered(record: &Record, color: bool, width: usize, verbose: bool) -> String {
    let mut out = Vec::new();
    let options = HumanOptions {
        color,
        width,
        verbose,
    };
    human(record, &options, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("it is UTF-8")
}

#[test]
fn at_80_columns_without_colour() {
    insta::assert_snapshot!(rendered(&sample::record(), false, 80, false));
}

#[test]
fn at_200_columns_without_colour() {
    insta::assert_snapshot!(rendered(&sample::record(), false, 200, false));
}

#[test]
fn at_80_columns_with_colour() {
    let text = rendered(&sample::record(), true, 80, false);
    insta::assert_snapshot!(text.replace('\u{1b}', "␛"));
}

#[test]
fn at_200_columns_with_colour_and_everything() {
    let text = rendered(&sample::record(), true, 200, true);
    insta::assert_snapshot!(text.replace('\u{1b}', "␛"));
}

#[test]
fn a_run_where_all_is_well_is_short() {
    let plan = PlanBuilder::new("arch", "jq").install("jq").build();
    let log = Log::new().cell("arch:jq", plan).cleanly().end();
    let record = fold(log.envelopes()).expect("a good log");
    insta::assert_snapshot!(rendered(&record, false, 80, false));
}

#[test]
fn no_width_is_passed_and_nothing_hostile_is_written() {
    let record = sample::record();
    for width in [0, 40, 41, 57, 80, 133, 200, 1000] {
        let text = rendered(&record, false, width, true);
        assert!(
            !text.chars().any(|c| c != '\n' && is_hidden(c)),
            "at width {width}"
        );
        let long = text
            .lines()
            .filter(|line| line.chars().count() > width.max(40));
        // Commands to copy are never broken.
        let broken: Vec<&str> = long.filter(|line| !line.contains("assay ")).collect();
        assert!(broken.is_empty(), "{broken:?}");
    }
}

#[test]
fn without_the_colours_both_texts_are_the_same() {
    let record = sample::record();
    let coloured = rendered(&record, true, 100, true);
    let codes = [
        "\u{1b}[0m",
        "\u{1b}[1m",
        "\u{1b}[2m",
        "\u{1b}[31m",
        "\u{1b}[32m",
        "\u{1b}[33m",
    ];
    let stripped = codes
        .iter()
        .fold(coloured, |text, code| text.replace(code, ""));
    assert_eq!(stripped, rendered(&record, false, 100, true));
}

#[test]
fn outside_a_project_the_file_is_named() {
    let mut record = sample::record();
    record.run.start.project = None;
    let text = rendered(&record, false, 120, false);
    assert!(
        text.contains("assay test recipes/tree.toml --on debian-12\n"),
        "{text}"
    );
}

#[test]
fn times_read_well() {
    for (ms, text) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1234, "1.2 s"),
        (61_000, "1 min 01 s"),
    ] {
        assert_eq!(seconds(ms), text);
    }
}
