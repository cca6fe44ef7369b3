//! The human report of the sample, and what holds for every width.

use assay_observe::fold;
use assay_testkit::{Log, PlanBuilder, added, state};
use assay_wire::event::{Ending, ManifestPoint};
use assay_wire::manifest::{EntryKind, PathChange};
use assay_wire::plan::OpId;

use super::screen::LINES;
use super::*;
use crate::sample;
use crate::sanitise::{self, is_hidden};
use crate::words::seconds;

fn rendered(record: &Record, color: bool, width: usize, verbose: bool) -> String {
    let mut out = Vec::new();
    let detail = if verbose { Detail::All } else { Detail::Normal };
    let options = HumanOptions {
        color,
        width,
        detail,
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
fn the_reviewers_screen() {
    let record = sample::privileged::record();
    insta::assert_snapshot!("screen-80", rendered(&record, false, 80, false));
    insta::assert_snapshot!("screen-120", rendered(&record, false, 120, false));
    insta::assert_snapshot!("screen-verbose", rendered(&record, false, 120, true));
    let outside = sample::privileged::outside();
    insta::assert_snapshot!("screen-outside", rendered(&outside, false, 100, false));
}

/// The lines of each screen, without those between them.
fn heights(text: &str, title: &str) -> Vec<usize> {
    let paragraphs = text.split("\n\n");
    let screens = paragraphs.filter(|part| part.starts_with(title) && part.contains("  CAPTURE "));
    screens.map(|part| part.lines().count()).collect()
}

#[test]
fn a_screen_is_one_screen_whatever_is_on_it() {
    let mut record = sample::privileged::record();
    let cell = &mut record.cells[0];
    let (seen, all) = (
        cell.observed.operations.clone(),
        &mut cell.observed.operations,
    );
    for number in 0..3000 {
        let mut one = seen[number % 5].clone();
        one.operation.subject = format!("/opt/{number}");
        one.digest = assay_wire::digest::Digest::of(one.operation.subject.as_bytes());
        all.push(one);
    }
    for number in 0..300 {
        let mut one = cell.delta.declared[number % 4].clone();
        one.operation.subject = format!("/etc/{number}");
        one.digest = assay_wire::digest::Digest::of(one.operation.subject.as_bytes());
        cell.delta.declared.push(one);
        let mut set = cell.delta.accompanying[number % 2].clone();
        set.digest = assay_wire::digest::Digest::of(format!("{number}").as_bytes());
        cell.delta.accompanying.push(set);
    }
    for width in [60, 80, 100, 120, 200, 1000] {
        let text = rendered(&record, false, width, false);
        let [many, few] = heights(&text, "engine")[..] else {
            panic!("two screens: {text}");
        };
        assert_eq!((many, few <= LINES), (LINES, true), "at {width}: {text}");
        for section in [
            "NOT DECLARED",
            "NEEDS CONSENT",
            "DECLARED,",
            "COMES WITH",
            "grant ",
        ] {
            assert!(text.contains(section), "at {width}: {section}");
        }
    }
    // With -v each is there.
    let text = rendered(&record, false, 100, true);
    let told = text.matches("digest sha256:").count();
    assert!(told > 900, "{told}");
}

#[test]
fn what_could_not_be_captured_stands_below_what_nothing_explains() {
    let mut record = sample::privileged::record();
    record.cells.truncate(1);
    let gap = |number| assay_observe::capture::Gap::Broken {
        message: format!("\u{1b}[2J{number}"),
    };
    record.cells[0].gaps = (0..9).map(gap).collect();
    let text = rendered(&record, false, 120, false);
    let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
    assert!(at("NOT DECLARED") < at("NOT CAPTURED"), "{text}");
    assert!(at("NOT CAPTURED") < at("NEEDS CONSENT"), "{text}");
    assert!(
        text.contains("  the executor broke off: 3\n  and 5 more, -v shows them\n"),
        "{text}"
    );
    assert!(heights(&text, "engine")[0] <= LINES, "{text}");
    let text = rendered(&record, false, 120, true);
    assert!(
        text.contains("  GAP       the executor broke off: 8\n"),
        "{text}"
    );
}

#[test]
fn nothing_is_shown_of_what_is_well_and_with_q_nothing_at_all() {
    let mut record = sample::privileged::record();
    let options = HumanOptions {
        color: false,
        width: 80,
        detail: Detail::Little,
    };
    let mut out = Vec::new();
    human(&record, &options, &mut out).expect("memory takes everything");
    let text = String::from_utf8(out).expect("it is UTF-8");
    assert!(
        !text.contains("NOT DECLARED") && !text.contains("CAPTURE"),
        "{text}"
    );
    record
        .cells
        .retain(|cell| cell.facts.cell.recipes[0].as_str() == "jq");
    let text = rendered(&record, false, 80, false);
    assert!(
        !text.contains("CAPTURE") && !text.contains("OK  "),
        "{text}"
    );
}

#[test]
fn a_run_where_all_is_well_is_short() {
    let plan = PlanBuilder::new("arch", "jq").install("jq").build();
    let log = Log::new().cell("arch:jq", plan).cleanly().end();
    let record = fold(log.envelopes()).expect("a good log");
    insta::assert_snapshot!(rendered(&record, false, 80, false));
}

#[test]
fn what_the_author_says_to_do_stands_beside_the_failure_and_nowhere_else() {
    let text = |ending| rendered(&sample::with_fallback(ending), false, 80, true);
    let failed = text(Ending::Exited(1));
    insta::assert_snapshot!("fallback", failed);
    assert!(
        !failed.chars().any(|c| c != '\n' && is_hidden(c)),
        "{failed}"
    );
    assert!(!failed.contains(sanitise::LOG_COMMAND), "{failed}");
    assert!(
        !failed
            .lines()
            .any(|line| line.trim_start().starts_with("::")),
        "{failed}"
    );
    assert!(!text(Ending::Exited(0)).contains("fallback"));
}

#[test]
fn paths_cannot_pass_for_words_of_ours() {
    let plan = PlanBuilder::new("debian-12", "hostile")
        .run(&["sh", "-c", "`x`\u{1b}[2J\u{202e}"])
        .write("/etc/a", "x")
        .build();
    let long = format!("/opt/{}", "long ".repeat(900));
    let mut paths: Vec<PathChange> = (0..60).map(|n| added(&format!("/srv/{n:02}"))).collect();
    paths.extend([
        sample::new("/opt/\u{202e}nwod\u{1b}[2J", EntryKind::File, 0o6777),
        sample::new("/opt/\\x0aone\\x1b[2J", EntryKind::File, 0o4755),
        sample::new("/opt/x (0755 0:0), and 0 more", EntryKind::File, 0o4755),
        sample::capable(&long),
        added("/etc/ setuid /usr/bin/su: nothing"),
        added("/etc/'; ls `x` $(y)"),
        added("no path"),
    ]);
    let log = Log::new()
        .cell("debian-12:hostile", plan)
        .attempt(1)
        .op(1, Ending::Exited(0))
        .manifest(
            ManifestPoint::Op(OpId(1)),
            paths,
            vec![state("jq\u{1b}[2J\u{202e}\nmore")],
        )
        .op(2, Ending::Written { changed: true })
        .changed(2, vec![sample::new("/etc/a", EntryKind::File, 0o640)])
        .closes()
        .end();
    let record = fold(log.envelopes()).expect("a good log");
    insta::assert_snapshot!("hostile", rendered(&record, false, 80, false));
    insta::assert_snapshot!("hostile-verbose", rendered(&record, false, 80, true));
}

#[test]
fn no_width_is_passed_and_nothing_hostile_is_written() {
    let records = [
        sample::record(),
        sample::privileged::record(),
        sample::privileged::outside(),
    ];
    for (record, detail) in records.iter().flat_map(|one| [(one, true), (one, false)]) {
        no_width_is_passed(record, detail);
    }
}

fn no_width_is_passed(record: &Record, verbose: bool) {
    for width in [0, 40, 41, 57, 80, 133, 200, 1000] {
        let text = rendered(record, false, width, verbose);
        assert!(!text.contains(sanitise::LOG_COMMAND), "at width {width}");
        assert!(
            !text.lines().any(|line| line.trim_start().starts_with("::")),
            "at width {width}"
        );
        assert!(
            !text.chars().any(|c| c != '\n' && is_hidden(c)),
            "at width {width}"
        );
        let long = text
            .lines()
            .filter(|line| line.chars().count() > width.max(40));
        assert!(text.len() < 400_000, "{} bytes", text.len());
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
