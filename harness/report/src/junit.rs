//! The record as JUnit XML, for what shows test results in continuous integration.
//!
//! One suite for every target and kind of image, one case for every cell, and one more for every
//! plan that differs from its snapshot or does what nobody granted: a finding stands beside the outcome, it
//! does not replace it.
//! A cell that failed as `expected.toml` says is skipped with that reason, one that did not fail
//! although it should have is a failure. The shape is that of the schema which Jenkins' xUnit plugin
//! publishes (`junit-10.xsd`), the strictest of those in use: properties stand at suites alone.

use std::io::{self, Write};

use assay_observe::expectation::Verdict;
use assay_observe::record::RunEnd;
use assay_observe::{CellRecord, Outcome, Record};
use assay_wire::event::{Image, SnapshotFinding};
use assay_wire::outcome::Reason;

use crate::sanitise;
use crate::screen::{Item, Screen};
use crate::words::{
    Column, Lack, because, cell_title, column_of, column_title, columns, failure_in_words,
    failure_output, fallbacks, headline, need_consent, not_declared, recipes, serde_word,
};

/// Most characters of a line.
const LINE: usize = 1000;
/// Lines of output kept of each channel.
const OUTPUT_LINES: usize = 200;
/// Operations told of a cell.
const OPERATIONS: usize = 200;
/// Lines kept of a plan's difference from its snapshot.
const DIFF_LINES: usize = 500;

/// Writes a record as JUnit XML.
///
/// # Errors
/// If the writer fails.
pub fn junit(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let mut suites = suites(record);
    suites.extend(run_end(record));
    let cases = || suites.iter().flat_map(|suite| &suite.cases);
    let mut root = Element::new("testsuites").with("name", "assay");
    for (name, value) in counted(cases()) {
        // The published schema counts what was skipped in suites only.
        if name != "skipped" {
            root = root.with(name, &value);
        }
    }
    root = root.with("time", &seconds(record.run.duration_ms));
    root.children = suites.into_iter().map(Suite::element).collect();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    root.write(0, out)
}

/// Cells that ran in one kind of sandbox.
struct Suite {
    name: String,
    properties: Vec<(&'static str, String)>,
    cases: Vec<Case>,
}

/// One cell, or one finding beside it.
struct Case {
    name: String,
    class: String,
    ms: u64,
    status: Status,
    output: String,
}

/// What became of a case; in words of one kind, with a message.
enum Status {
    Passed,
    Skipped(&'static str, String),
    Error(&'static str, String),
    /// The last is the text in full.
    Failure(&'static str, String, String),
}

/// How many cases there are of each kind, as attributes.
fn counted<'c>(cases: impl Iterator<Item = &'c Case>) -> [(&'static str, String); 4] {
    let mut counts = [0_usize; 4];
    for case in cases {
        counts[0] += 1;
        match case.status {
            Status::Passed => {}
            Status::Failure(..) => counts[1] += 1,
            Status::Error(..) => counts[2] += 1,
            Status::Skipped(..) => counts[3] += 1,
        }
    }
    let [tests, failures, errors, skipped] = counts.map(|count| count.to_string());
    [
        ("tests", tests),
        ("failures", failures),
        ("errors", errors),
        ("skipped", skipped),
    ]
}

impl Suite {
    fn element(self) -> Element {
        let mut suite = Element::new("testsuite").with("name", &self.name);
        for (name, value) in counted(self.cases.iter()) {
            suite = suite.with(name, &value);
        }
        let ms = self.cases.iter().map(|case| case.ms).sum();
        suite = suite.with("time", &seconds(ms));
        let properties = self.properties.iter().map(|(name, value)| {
            Element::new("property")
                .with("name", name)
                .with("value", value)
        });
        let mut list = Element::new("properties");
        list.children = properties.collect();
        let cases = self.cases.into_iter().map(Case::element);
        suite.children = std::iter::once(list).chain(cases).collect();
        suite
    }
}

impl Case {
    fn element(self) -> Element {
        let mut case = Element::new("testcase")
            .with("name", &self.name)
            .with("classname", &self.class)
            .with("time", &seconds(self.ms));
        let ended = |name, kind: &str, message: &str| {
            Element::new(name)
                .with("type", kind)
                .with("message", &sanitise::line(message, LINE))
        };
        match self.status {
            Status::Passed => {}
            Status::Skipped(kind, message) => {
                case.children.push(ended("skipped", kind, &message));
            }
            Status::Error(kind, message) => case.children.push(ended("error", kind, &message)),
            Status::Failure(kind, message, text) => {
                let mut failure = ended("failure", kind, &message);
                failure.text = text;
                case.children.push(failure);
            }
        }
        if !self.output.is_empty() {
            let mut output = Element::new("system-out");
            output.text = self.output;
            case.children.push(output);
        }
        case
    }
}

/// An element of XML. Its texts are sanitised before, so they hold nothing XML 1.0 forbids.
struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            attributes: Vec::new(),
            children: Vec::new(),
            text: String::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.attributes.push((name, value.to_owned()));
        self
    }

    fn write(&self, depth: usize, out: &mut dyn Write) -> io::Result<()> {
        let (name, indent) = (self.name, "  ".repeat(depth));
        write!(out, "{indent}<{name}")?;
        for (key, value) in &self.attributes {
            write!(out, " {key}=\"{}\"", escaped(value))?;
        }
        if self.children.is_empty() && self.text.is_empty() {
            return writeln!(out, "/>");
        }
        write!(out, ">{}", escaped(&self.text))?;
        if !self.children.is_empty() {
            writeln!(out)?;
            for child in &self.children {
                child.write(depth + 1, out)?;
            }
            write!(out, "{indent}")?;
        }
        writeln!(out, "</{name}>")
    }
}

/// A text that is no markup, in content and in attributes (XML 1.0, 2.4 and 3.3.3).
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// One suite for every column of the matrix: cells of a lab image share none with others.
fn suites(record: &Record) -> Vec<Suite> {
    let columns = columns(record);
    let suites = columns.iter().enumerate().map(|(place, column)| {
        let cells = record.cells.iter();
        let own = cells.filter(|cell| column_of(&columns, cell) == Some(place));
        suite(record, *column, &own.collect::<Vec<_>>())
    });
    suites.collect()
}

fn suite(record: &Record, column: Column<'_>, cells: &[&CellRecord]) -> Suite {
    let image = cells
        .iter()
        .find_map(|cell| cell.facts.planned.image.as_ref());
    let cases = cells.iter().flat_map(|cell| {
        let findings = snapshot_case(cell)
            .into_iter()
            .chain(consent_case(record, cell));
        std::iter::once(case(record, cell)).chain(findings)
    });
    Suite {
        name: column_title(column),
        properties: properties(record, image),
        cases: cases.collect(),
    }
}

fn properties(record: &Record, image: Option<&Image>) -> Vec<(&'static str, String)> {
    let run = &record.run;
    let mut found = vec![
        ("run", run.id.to_string()),
        ("run.started", run.start.started.clone()),
        ("assay", run.start.harness.clone()),
    ];
    if let Some(image) = image {
        found.push(("image.kind", serde_word(&image.kind)));
        found.push(("image.id", image.id.clone()));
        found.extend(image.note.clone().map(|note| ("image.note", note)));
    }
    for (_, value) in &mut found {
        *value = sanitise::line(value, LINE);
    }
    found
}

fn case(record: &Record, cell: &CellRecord) -> Case {
    Case {
        name: recipes(cell),
        class: cell.facts.cell.target.to_string(),
        ms: cell.timings.total_ms,
        status: status(record, cell),
        output: output(cell),
    }
}

fn status(record: &Record, cell: &CellRecord) -> Status {
    let kind = cell.outcome.kind().as_str();
    let headline = headline(&cell.outcome, cell.verdict);
    let why = because(&cell.outcome);
    let differs = cell.verdict == Verdict::Differs;
    match &cell.outcome {
        Outcome::Failed { first, .. } if differs => {
            let undeclared = Screen::of(record, cell).undeclared;
            let (kind, message) = match undeclared.len() {
                0 => (first.reason, format!("{headline}: {why}")),
                // Graver than whatever else went wrong, as in the exit code.
                count => (
                    Reason::UndeclaredOperation,
                    format!("{}: {}", not_declared(count), undeclared[0].line.what),
                ),
            };
            let mut text = description(cell);
            text.push_str(&operations(&undeclared));
            Status::Failure(kind.as_str(), message, text)
        }
        Outcome::Failed { .. } => {
            let message = format!("{headline}, as `expected.toml` says: {why}");
            Status::Skipped("failed_as_expected", message)
        }
        Outcome::Passed | Outcome::Unsupported { .. } | Outcome::Manual { .. } if differs => {
            Status::Failure("unexpected", headline, String::new())
        }
        Outcome::Passed => Status::Passed,
        Outcome::Unsupported { .. } | Outcome::Manual { .. } | Outcome::NotRun { .. } => {
            Status::Skipped(kind, why)
        }
        Outcome::Infra { .. } | Outcome::Cancelled { .. } => Status::Error(kind, why),
    }
}

/// Every failure of a cell in full, one line for each thing known of it.
fn description(cell: &CellRecord) -> String {
    let mut lines = vec![sanitise::line(&cell_title(cell), LINE)];
    for failure in cell.outcome.failures() {
        lines.push(format!("{} in {}", failure.reason, failure.phase));
        let fields = failure_in_words(cell, failure);
        let fields = fields
            .iter()
            .map(|(name, text)| format!("  {name}: {text}"));
        lines.extend(fields.map(|text| sanitise::line(&text, LINE)));
        for fallback in fallbacks(cell, failure, LINE) {
            lines.push("  fallback:".to_owned());
            lines.extend(fallback.iter().map(|line| format!("    {line}")));
        }
    }
    lines.join("\n")
}

/// What the ops to blame printed last.
fn output(cell: &CellRecord) -> String {
    let mut lines = Vec::new();
    for failure in cell.outcome.failures() {
        for (name, shown) in failure_output(cell, failure, OUTPUT_LINES, LINE) {
            let op = failure
                .op
                .map_or(String::new(), |op| format!(" of op {op}"));
            lines.push(format!("[{name}{op}]"));
            lines.extend(shown);
        }
    }
    lines.join("\n")
}

/// What operations are, a paragraph each.
fn operations(items: &[Item<'_>]) -> String {
    let mut text = String::new();
    for item in items.iter().take(OPERATIONS) {
        let line = &item.line;
        let kind = item.operation.kind.name();
        let head = format!("{} {kind} {}", line.risk.label(), line.what);
        let attack = line.attack.map(|id| format!("ATT&CK {id}"));
        let places = line.places.join(", ");
        let below = std::iter::once(places)
            .chain(attack)
            .chain(line.notes.iter().cloned());
        let lines = std::iter::once(head).chain(below.map(|text| format!("  {text}")));
        for line in lines {
            text.push('\n');
            text.push_str(&sanitise::line(&line, LINE));
        }
    }
    match items.len().saturating_sub(OPERATIONS) {
        0 => {}
        more => text.push_str(&format!("\nand {more} more")),
    }
    text
}

/// What lacks a consent is a case of its own: it stands beside the outcome.
fn consent_case(record: &Record, cell: &CellRecord) -> Option<Case> {
    let screen = Screen::of(record, cell);
    let gravest = screen
        .refused
        .iter()
        .filter_map(|item| item.standing)
        .min()?;
    let kind = Lack::of(gravest)?.as_str();
    let count = screen.refused.len();
    let message = format!("{}: {}", need_consent(count), screen.refused[0].line.what);
    let mut text = sanitise::line(&cell_title(cell), LINE);
    text.push_str(&operations(&screen.refused));
    if let Some(grant) = screen.grant(record) {
        text.push_str(&format!("\ngrant: {}", sanitise::line(&grant, LINE)));
    }
    Some(Case {
        name: format!("{} consent", recipes(cell)),
        class: cell.facts.cell.target.to_string(),
        ms: 0,
        status: Status::Failure(kind, message, text),
        output: String::new(),
    })
}

fn snapshot_case(cell: &CellRecord) -> Option<Case> {
    let (kind, message, diff) = match &cell.facts.planned.snapshot {
        SnapshotFinding::NotJudged | SnapshotFinding::Same => return None,
        SnapshotFinding::Missing => ("snapshot_missing", "the plan has no snapshot", ""),
        SnapshotFinding::Different { diff } => {
            let message = "the plan differs from its snapshot";
            ("snapshot_different", message, diff.as_str())
        }
    };
    let text = sanitise::block(diff, DIFF_LINES, LINE).join("\n");
    Some(Case {
        name: format!("{} snapshot", recipes(cell)),
        class: cell.facts.cell.target.to_string(),
        ms: 0,
        status: Status::Failure(kind, message.to_owned(), text),
        output: String::new(),
    })
}

/// A run that did not end by itself has cells that nobody planned: without a case that says so, the
/// document would look complete.
fn run_end(record: &Record) -> Option<Suite> {
    let message = match record.run.end {
        RunEnd::Complete => return None,
        RunEnd::Interrupted => "the run was interrupted",
        RunEnd::Truncated => "the run was killed or still runs: its journal has no end",
    };
    let case = Case {
        name: "the whole run".to_owned(),
        class: "run".to_owned(),
        ms: 0,
        status: Status::Error("interrupted", message.to_owned()),
        output: String::new(),
    };
    Some(Suite {
        name: "run".to_owned(),
        properties: properties(record, None),
        cases: vec![case],
    })
}

#[cfg(test)]
mod tests;
