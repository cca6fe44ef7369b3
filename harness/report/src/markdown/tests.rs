//! The Markdown of the sample, and that no text leaves the code it stands in.

use assay_observe::fold;
use assay_testkit::{Log, PlanBuilder};
use assay_wire::event::Ending;
use proptest::prelude::*;

use super::*;
use crate::sample;
use crate::sanitise::is_hidden;

fn rendered(record: &Record) -> String {
    let mut out = Vec::new();
    markdown(record, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("it is UTF-8")
}

#[test]
fn the_sample() {
    insta::assert_snapshot!(rendered(&sample::record()));
}

#[test]
fn the_reviewers_screen() {
    insta::assert_snapshot!("screen", rendered(&sample::privileged::record()));
    let outside = rendered(&sample::privileged::outside());
    assert!(
        outside.contains("consents are not judged outside a project"),
        "{outside}"
    );
    assert!(!outside.contains("assay consent"), "{outside}");
}

#[test]
fn what_the_author_says_to_do_stands_beside_the_failure() {
    let text = rendered(&sample::with_fallback(Ending::Exited(1)));
    // Longer than any run of backticks in it.
    let shown = "\nfallback:\n\n````\nBuild it: 100%%0A\n    see the manual.\n\\x3a:error file=x::y \
                 ##\\x5badd-mask]z\n]]></failure>&amp;<U+FFFE>\n```\n</details>`|b|` @everyone \
                 [a](https://b.test)\n````\n";
    assert!(text.contains(shown), "{text}");
    let passed = rendered(&sample::with_fallback(Ending::Exited(0)));
    assert!(!passed.contains("fallback"), "{passed}");
}

#[test]
fn nothing_hostile_is_markup() {
    for record in [
        sample::record(),
        sample::with_fallback(Ending::Exited(1)),
        sample::privileged::record(),
        sample::privileged::outside(),
    ] {
        no_markup(&record);
    }
}

fn no_markup(record: &Record) {
    let text = rendered(record);
    assert!(!text.contains(sanitise::LOG_COMMAND), "{text}");
    assert!(
        !text.lines().any(|line| line.trim_start().starts_with("::")),
        "{text}"
    );
    assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)));
    // Outside of fenced blocks and inline code nothing of the sample's hostile text is left.
    let mut fence: Option<String> = None;
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if line == open => fence = None,
            None if ticks.len() > 2 && !line[ticks.len()..].contains('`') => fence = Some(ticks),
            Some(_) => {}
            None => {
                let plain = outside_code(line);
                for word in ["<script", "|b|", "@everyone", "](", "]]>", "https:"] {
                    assert!(!plain.contains(word), "{line}");
                }
            }
        }
    }
    assert_eq!(fence, None, "every block is closed");
}

/// A line without its inline code (CommonMark 6.1).
fn outside_code(line: &str) -> String {
    let (mut plain, mut rest) = (String::new(), line);
    while let Some(at) = rest.find('`') {
        plain.push_str(&rest[..at]);
        let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let body = &rest[at + ticks..];
        match closing(body, ticks) {
            Some(end) => rest = &body[end..],
            None => {
                plain.push_str(&rest[at..at + ticks]);
                rest = body;
            }
        }
    }
    plain + rest
}

/// Where the run of exactly so many backticks that ends a span ends.
fn closing(body: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = body[at..].find('`') {
        let start = at + next;
        let run = body[start..].len() - body[start..].trim_start_matches('`').len();
        at = start + run;
        if run == ticks {
            return Some(at);
        }
    }
    None
}

#[test]
fn a_run_of_many_recipes_fits_a_comment() {
    let log = (0..3000).fold(Log::new(), |log, number| {
        let recipe = format!("recipe-{number}");
        let plan = PlanBuilder::new("arch", &recipe).install("x").build();
        log.cell(&format!("arch:{recipe}"), plan)
            .attempt(1)
            .printed(1, Ending::Exited(1), &"`x`\n".repeat(100), "")
            .ends(assay_wire::event::CellEnded::Finished)
    });
    let record = fold(log.end().envelopes()).expect("a good log");
    let text = rendered(&record);
    assert!(text.len() < 65_536, "{}", text.len());
    assert!(text.contains("more recipes not shown here"), "{text}");
    assert!(text.contains("more sections did not fit"));
}

#[test]
fn many_operations_fit_a_comment_and_the_gravest_are_there() {
    let mut record = sample::privileged::record();
    let one = record.cells[0].observed.operations[4].clone();
    let cell = record.cells[0].clone();
    record.cells = (0..40)
        .map(|number| {
            let mut cell = cell.clone();
            cell.facts.cell.recipes = vec![format!("r{number}").parse().expect("a name")];
            let many = (0..500).map(|number| {
                let mut one = one.clone();
                one.operation.subject = format!("/opt/{number}{}", sample::privileged::HOSTILE);
                one.digest = assay_wire::digest::Digest::of(one.operation.subject.as_bytes());
                one
            });
            cell.observed.operations.extend(many);
            cell
        })
        .collect();
    let text = rendered(&record);
    assert!(text.len() < 65_536, "{}", text.len());
    no_markup(&record);
    // Where there is no room for a table, there is for a line.
    for number in 0..40 {
        assert!(
            text.contains(&format!("`r{number} / debian-12`")),
            "{number}"
        );
    }
    let first = text.find("/usr/local/bin/helper").expect("the gravest");
    assert!(first < text.find("/opt/0").expect("another"));
    assert!(text.contains("and 485 more not declared"), "{text}");
}

proptest! {
    #[test]
    fn code_holds_every_text(text in any::<String>(), ticks in "[`| a\\\\<]{0,20}") {
        for text in [text, ticks] {
            let span = code_span(&text);
            prop_assert!(!span.contains(['|', '\n']));
            let outside = outside_code(&span);
            prop_assert!(matches!(outside.as_str(), "" | "–"), "{span:?}");
            let lines = sanitise::block(&text, 10, 50);
            let block = fenced("", &lines);
            let fence = block.lines().next().expect("a fence").to_owned();
            let closing = block.lines().filter(|line| line.trim() == fence).count();
            prop_assert_eq!(closing, 2);
            let shown = html(&text);
            prop_assert!(!shown.contains(['<', '>', '`', '@', '*', '_', '[', ':', '|', '\n']));
        }
    }
}
