//! What is true of every page, whatever is in the record; and the page of the sample as it is.

mod markup;
mod said;
mod style;

use assay_observe::record::RunEnd;
use proptest::prelude::*;

use self::markup::{Element, Markup, check, read};
use super::*;
use crate::sample;
use crate::screen::screens_of_all;

fn page(record: &Record) -> String {
    let mut out = Vec::new();
    html(record, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("it is UTF-8")
}

/// All samples as one run.
fn whole() -> Record {
    let mut record = sample::privileged::record();
    record.cells.extend(sample::record().cells);
    record.cells.extend(said::record("as it was said").cells);
    record.run.duration_ms = 61_500;
    for (number, cell) in (0..).zip(&mut record.cells) {
        // A log takes no time.
        for attempt in &mut cell.facts.attempts {
            attempt.started_ms += number * 1_700;
        }
        cell.facts.last_ms += number * 1_700 + 3_200;
        cell.timings.total_ms = 3_200;
    }
    record
}

/// The page is a file of its own, which `ci/prove html` opens in a browser.
#[test]
fn the_page_of_the_sample() {
    let page = page(&whole());
    check(&read(&page));
    insta::assert_binary_snapshot!(".html", page.into_bytes());
}

#[test]
fn no_page_runs_or_loads_anything_and_every_link_leads_somewhere() {
    let mut empty = sample::record();
    empty.cells.clear();
    let mut interrupted = said::record(sample::privileged::HOSTILE);
    interrupted.run.end = RunEnd::Interrupted;
    for record in [
        sample::record(),
        sample::privileged::record(),
        sample::privileged::outside(),
        empty,
        interrupted,
    ] {
        let page = page(&record);
        let markup = read(&page);
        check(&markup);
        assert_eq!(markup.count("script"), 1);
        assert_eq!(markup.count("details"), markup.count("summary"));
        let cells = markup
            .values("class")
            .filter(|class| class.starts_with("cell "));
        assert_eq!(cells.count(), record.cells.len());
        for host in ["https://", "http://"] {
            // Links of others are text.
            let in_attributes = markup
                .elements
                .iter()
                .flat_map(|element| &element.attributes);
            assert!(!in_attributes.clone().any(|(_, value)| value.contains(host)));
        }
    }
}

#[test]
fn what_is_hostile_is_shown_and_not_obeyed() {
    let markup = read(&page(&sample::privileged::record()));
    for shown in [
        "<script>a()</script>",
        "\\x1b]0;owned\\x07<U+202E>txt<U+200B>",
        "/opt/\\xff\\xfe<script>",
        "![i](https://b.test/i)",
        "</details> & %0A",
    ] {
        assert!(markup.text.contains(shown), "{shown}");
    }
    for hidden in ['\u{1b}', '\u{202e}', '\u{200b}', '\u{7}'] {
        assert!(!markup.text.contains(hidden), "{hidden:?}");
    }
}

/// What cannot be told apart from a page of harmless text by its elements and attributes.
fn skeleton(page: &str) -> Vec<Element> {
    let Markup { elements, .. } = read(page);
    // Names between backticks are code, whoever wrote the backticks.
    let all = elements.into_iter();
    all.filter(|element| element.name != "code" || !element.attributes.is_empty())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_text_changes_what_the_page_is_made_of(
        any in any::<String>(),
        tricky in "[<>&\"'`=/ a-z!\\-\\[\\]\n\r\t\u{0}\u{1b}\u{202e}\u{200b}\u{ffff}]{0,80}",
        whole in prop::sample::select(vec![
            "\"><script>a()</script>", "' onmouseover='a()", "</title></style></script><script>",
            "--><!--", "]]><![CDATA[", "javascript:a()", "&lt;b&gt;", "&#x3c;b>", "</pre></details>",
            "\u{1b}[31m<\u{1b}[0mscript>", "##[add-mask]x", "\u{feff}<?xml?>",
        ]),
    ) {
        let plain = skeleton(&page(&said::record("x")));
        for text in [any, tricky, whole.to_owned()] {
            // What is nothing at all is left out in places.
            let page = page(&said::record(&format!("x{text}x")));
            prop_assert_eq!(&skeleton(&page), &plain);
            check(&read(&page));
        }
    }
}

#[test]
fn the_counts_are_those_of_every_other_report() {
    let record = sample::privileged::record();
    let markup = read(&page(&record));
    for screen in screens_of_all(&record) {
        for finding in screen.findings() {
            let count = finding.split(' ').next().expect("a number");
            let words = match () {
                () if finding.contains("not declare") => "not declared",
                () if finding.contains("gap") => "gap",
                () => "need",
            };
            assert!(
                markup.text.contains(&format!("{count} {words}")),
                "{finding}"
            );
        }
    }
}

/// A run of so many cells, all like these.
fn many(mut record: Record, cells: usize) -> Record {
    let originals = record.cells.clone();
    record.cells = originals.into_iter().cycle().take(cells).collect();
    record
}

#[test]
fn a_cell_takes_as_many_bytes_as_it_has_to_say() {
    for (name, record, most) in [
        // Of each sample one cell has ten megabytes in one argument, or on one channel.
        ("sample", sample::record(), 8_000),
        ("privileged", sample::privileged::record(), 24_000),
        ("plain", said::record("plain"), 24_000),
        ("long", said::record(&"x".repeat(100_000)), 100_000),
    ] {
        let bytes = (page(&record).len() - STYLE.len() - SCRIPT.len()) / record.cells.len();
        assert!(bytes < most, "{name}: {bytes} of {most} bytes a cell");
    }
}

#[test]
fn a_hundred_cells_fit() {
    let page = page(&many(said::record("plain"), 100));
    assert!(page.len() <= MAX_BYTES, "{} bytes", page.len());
    let markup = read(&page);
    check(&markup);
    let cells = markup
        .values("class")
        .filter(|class| class.starts_with("cell "));
    assert_eq!(cells.count(), 100);
}

#[test]
fn where_there_is_no_room_the_longest_cells_give_way_and_say_so() {
    let mut record = many(sample::privileged::record(), 20);
    for cell in record.cells.iter_mut().take(3) {
        let one = cell.observed.operations[0].clone();
        cell.observed.operations = (0..300)
            .map(|number| {
                let mut operation = one.clone();
                operation.digest = Digest::of(format!("{number}").as_bytes());
                operation
            })
            .collect();
    }
    let cells = cells(&record);
    let lengths = |room: usize| -> Vec<usize> {
        let pages = fitting(&record, &cells, room);
        pages.iter().map(|page| page.as_str().len()).collect()
    };
    let (all, some) = (lengths(usize::MAX), lengths(700_000));
    assert!(all.iter().sum::<usize>() > 1_000_000, "{all:?}");
    assert!(some.iter().sum::<usize>() <= 700_000, "{some:?}");
    for (cell, (all, some)) in all.iter().zip(&some).enumerate() {
        assert!(
            if cell < 3 { some < all } else { some == all },
            "{cell}: {some} of {all}"
        );
    }
    let pages = fitting(&record, &cells, 700_000);
    let markup = markup::read_part(pages[0].as_str());
    assert!(
        markup.text.contains("… and "),
        "what is left out is counted"
    );
    // Whatever the room is, each cell is there with how it ended.
    for page in fitting(&record, &cells, 0) {
        assert_eq!(
            markup::read_part(page.as_str()).count("summary"),
            page.as_str().matches("<summary").count()
        );
        assert!(page.as_str().contains("class=\"cell "));
    }
}

#[test]
fn a_small_run_is_shown_in_full() {
    for record in [sample::record(), sample::privileged::record()] {
        assert!(page(&record).len() < 300_000);
        let cells = cells(&record);
        let full: usize = cells
            .iter()
            .map(|cell| {
                let mut page = Page::new(&Detail::LEVELS[0]);
                cell::write(&record, cell, cells.len(), &mut page);
                page.as_str().len()
            })
            .sum();
        let shown = fitting(&record, &cells, MAX_BYTES);
        let shown: usize = shown.iter().map(|page| page.as_str().len()).sum();
        assert_eq!(full, shown);
    }
}
