//! The JUnit document of the sample, read back by a second parser and held against what the
//! published schema of Jenkins' xUnit plugin (`junit-10.xsd`) allows.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::*;
use assay_wire::event::Ending;

use crate::sample;
use crate::sanitise::is_hidden;
use crate::words::Counts;

fn rendered(record: &Record) -> String {
    let mut out = Vec::new();
    junit(record, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("it is UTF-8")
}

#[test]
fn the_sample() {
    let text = rendered(&sample::record());
    // The middle of a long line says nothing a snapshot should hold.
    insta::assert_snapshot!(text.replace(&"x".repeat(900), "x…"));
}

/// What an element may hold, in this order, and its attributes: of the schema, what is used.
const ALLOWED: &[(&str, &[&str], &[&str])] = &[
    (
        "testsuites",
        &["testsuite"],
        &["name", "tests", "failures", "errors", "time"],
    ),
    (
        "testsuite",
        &["properties", "testcase"],
        &["name", "tests", "failures", "errors", "skipped", "time"],
    ),
    ("properties", &["property"], &[]),
    ("property", &[], &["name", "value"]),
    (
        "testcase",
        &["skipped", "error", "failure", "system-out"],
        &["name", "classname", "time"],
    ),
    ("skipped", &[], &["type", "message"]),
    ("error", &[], &["type", "message"]),
    ("failure", &[], &["type", "message"]),
    ("system-out", &[], &[]),
];

#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    fn all(&self, name: &str) -> Vec<&Element> {
        let own = (self.name == name).then_some(self).into_iter();
        own.chain(self.children.iter().flat_map(|child| child.all(name)))
            .collect()
    }
}

fn element(start: &BytesStart<'_>) -> Element {
    let name = String::from_utf8(start.name().as_ref().to_vec()).expect("UTF-8");
    let attributes = start.attributes().map(|attribute| {
        let attribute = attribute.expect("a good attribute");
        let value = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .expect("known references");
        let key = String::from_utf8(attribute.key.as_ref().to_vec()).expect("UTF-8");
        (key, value.into_owned())
    });
    Element {
        attributes: attributes.collect(),
        name,
        ..Element::default()
    }
}

fn read(text: &str) -> Element {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(start) => {
                let parent = open.last_mut().expect("an open element");
                parent.children.push(element(&start));
            }
            Event::End(_) => {
                let done = open.pop().expect("an open element");
                let parent = open.last_mut().expect("an open element");
                parent.children.push(done);
            }
            Event::Text(text) => {
                let parent = open.last_mut().expect("an open element");
                parent.text.push_str(&text.decode().expect("UTF-8"));
            }
            Event::GeneralRef(reference) => {
                let name = reference.decode().expect("UTF-8");
                let known = ["lt", "gt", "amp", "quot", "apos"];
                assert!(known.contains(&&*name), "unknown reference {name}");
                let parent = open.last_mut().expect("an open element");
                parent.text.push_str(&format!("&{name};"));
            }
            Event::Decl(_) => {}
            Event::Eof => break,
            Event::CData(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {
                panic!("this has no place here")
            }
        }
    }
    let mut root = open.pop().expect("the document");
    assert!(open.is_empty() && root.children.len() == 1);
    root.children.remove(0)
}

fn check(element: &Element) {
    let found = ALLOWED.iter().find(|(name, ..)| *name == element.name);
    let (_, children, attributes) = found.unwrap_or_else(|| panic!("{}", element.name));
    for (name, value) in &element.attributes {
        assert!(attributes.contains(&name.as_str()), "{name}");
        assert!(!value.chars().any(is_hidden), "{value:?}");
    }
    let places: Vec<usize> = element
        .children
        .iter()
        .map(|child| {
            let place = children.iter().position(|name| *name == child.name);
            place.unwrap_or_else(|| panic!("{} in {}", child.name, element.name))
        })
        .collect();
    assert!(places.is_sorted(), "{places:?} in {}", element.name);
    let hidden = element.text.chars().any(|c| c != '\n' && is_hidden(c));
    assert!(!hidden, "{:?}", element.text);
    element.children.iter().for_each(check);
}

#[test]
fn a_second_parser_reads_it_and_it_has_the_published_shape() {
    let root = read(&rendered(&sample::record()));
    check(&root);
    for element in root.all("testsuites").iter().chain(&root.all("testsuite")) {
        let cases = element.all("testcase").len().to_string();
        assert_eq!(element.attribute("tests"), cases);
        for (attribute, name) in [
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ] {
            if attribute == "skipped" && element.name == "testsuites" {
                continue;
            }
            let counted = element.all(name).len().to_string();
            assert_eq!(element.attribute(attribute), counted, "{attribute}");
        }
    }
}

#[test]
fn what_only_root_may_do() {
    let text = rendered(&sample::privileged::record());
    insta::assert_snapshot!("privileged", text);
    // Of words of ten megabytes, too, only the beginning is told.
    assert!(text.len() < 60_000, "{} bytes", text.len());
    let root = read(&text);
    check(&root);
    let kinds: Vec<&str> = root
        .all("failure")
        .iter()
        .map(|one| one.attribute("type"))
        .collect();
    // Two cells of debian-12, of which the second is the hostile one, and one of ubuntu-24.04.
    let consents = ["consent_forbidden", "consent_missing", "consent_forbidden"];
    let found = kinds.iter().filter(|kind| kind.starts_with("consent"));
    assert_eq!(found.copied().collect::<Vec<_>>(), consents);
    assert_eq!(kinds.len(), consents.len() + 2, "{kinds:?}");
}

#[test]
fn every_outcome_is_counted_as_what_it_is() {
    is_counted(&sample::record());
    is_counted(&sample::privileged::record());
}

fn is_counted(record: &Record) {
    let counts = Counts::of(record);
    let root = read(&rendered(record));
    let number = |name: &str| root.all(name).len();
    // The sample was interrupted, which is a case of its own.
    let interrupted = usize::from(record.run.end != RunEnd::Complete);
    assert_eq!(
        number("testcase"),
        counts.cells + counts.snapshot_findings + counts.consent_findings + interrupted
    );
    assert_eq!(
        number("failure"),
        counts.failed + counts.unexpected + counts.snapshot_findings + counts.consent_findings
    );
    assert_eq!(
        number("error"),
        counts.infra + counts.cancelled + interrupted
    );
    assert_eq!(
        number("skipped"),
        counts.failed_as_expected + counts.unsupported + counts.manual + counts.not_run
    );
}

#[test]
fn what_the_author_says_to_do_stands_in_the_failure_and_is_no_markup() {
    let text = rendered(&sample::with_fallback(Ending::Exited(1)));
    let root = read(&text);
    check(&root);
    let [failure] = root.all("failure")[..] else {
        panic!("one cell failed: {text}");
    };
    for line in [
        "  fallback:\n    Build it: 100%%0A\n        see the manual.\n",
        "\n    \\x3a:error file=x::y ##\\x5badd-mask]z\n",
        "\n    ]]&gt;&lt;/failure&gt;&amp;amp;<U+FFFE>\n"
            .replace('<', "&lt;")
            .replace("U+FFFE>", "U+FFFE&gt;")
            .as_str(),
    ] {
        assert!(
            failure.text.contains(line),
            "{line:?} in {:?}",
            failure.text
        );
    }
    // The document itself may be shown in the log of a job.
    assert!(!text.contains(sanitise::LOG_COMMAND), "{text}");
    assert!(
        !text.lines().any(|line| line.trim_start().starts_with("::")),
        "{text}"
    );
    let passed = rendered(&sample::with_fallback(Ending::Exited(0)));
    assert!(!passed.contains("fallback"), "{passed}");
}

#[test]
fn a_run_without_an_end_is_an_error_even_if_all_cells_passed() {
    let mut record = sample::record();
    record.cells.truncate(1);
    record.run.end = RunEnd::Truncated;
    let root = read(&rendered(&record));
    check(&root);
    assert_eq!(root.attribute("errors"), "1");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_back(text in proptest::prelude::any::<String>()) {
        let mut record = sample::record();
        for cell in &mut record.cells {
            if let Outcome::Failed { first, .. } = &mut cell.outcome {
                first.message.clone_from(&text);
            }
            if let SnapshotFinding::Different { diff } = &mut cell.facts.planned.snapshot {
                diff.clone_from(&text);
            }
        }
        check(&read(&rendered(&record)));
    }
}
