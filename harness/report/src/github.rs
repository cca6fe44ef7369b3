//! The record as GitHub workflow commands: one annotation for every cell that is not as it should
//! be, every operation that nothing explains or that lacks a consent, at the line of the recipe that is
//! to blame.
//!
//! Every line begins with a command, and whatever comes from elsewhere is escaped into it
//! (`%`, CR and LF, in properties `:` and `,` as well), so no text becomes a command of its own.
//! GitHub shows ten errors and ten warnings of one step; the last line counts all.

use std::collections::BTreeSet;
use std::io::{self, Write};

use assay_observe::expectation::Verdict;
use assay_observe::observed::ObservedOperation;
use assay_observe::outcome::Failure;
use assay_observe::record::RunEnd;
use assay_observe::{CellRecord, ExitCode, Outcome, Record, exit_code};
use assay_wire::event::SnapshotFinding;
use assay_wire::key::KeySeverity;
use assay_wire::outcome::Reason;
use assay_wire::source::Location;

use crate::sanitise;
use crate::screen::{Item, Screen, screens};
use crate::words::{
    because, cell_title, counts_in_words, failure_in_words, failure_output, fallbacks, headline,
    key_in_words, keys, recipes, selection,
};

/// Most characters of a line.
const LINE: usize = 500;
/// Lines of output shown of each channel.
const OUTPUT_LINES: usize = 10;
/// Operations of a screen that are told: GitHub shows ten.
const OPERATIONS: usize = 50;
/// Lines shown of a plan's difference from its snapshot.
const DIFF_LINES: usize = 40;

/// How much an annotation matters.
#[derive(Debug, Clone, Copy)]
enum Level {
    Error,
    Warning,
    Notice,
}

impl Level {
    fn command(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// Writes a record as workflow commands.
///
/// # Errors
/// If the writer fails.
pub fn github(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    for screen in screens(record) {
        privileged(record, &screen, out)?;
    }
    for cell in &record.cells {
        outcome(record, cell, out)?;
        snapshot(cell, out)?;
    }
    key_findings(record, out)?;
    let code = exit_code(record);
    let end = match record.run.end {
        RunEnd::Complete => "",
        RunEnd::Interrupted => "\nthe run was interrupted",
        RunEnd::Truncated => "\nthe run was killed or still runs: its journal has no end",
    };
    let level = match (code, record.run.end) {
        (ExitCode::Passed, _) => Level::Notice,
        (_, RunEnd::Interrupted | RunEnd::Truncated) => Level::Error,
        // Each fault has its own annotation.
        (_, RunEnd::Complete) => Level::Notice,
    };
    let title = format!("assay: {} (exit code {})", code.meaning(), code.number());
    let text = format!("{}{end}", counts_in_words(record));
    annotate(level, None, &title, &text, out)
}

/// What nothing explains, and what lacks a consent, at the steps it belongs to: once for all cells that
/// are alike.
fn privileged(record: &Record, screen: &Screen<'_>, out: &mut dyn Write) -> io::Result<()> {
    let undeclared = match screen.cells[0].verdict {
        Verdict::AsExpected => &[],
        Verdict::Differs | Verdict::NoResult => screen.undeclared.as_slice(),
    };
    for item in undeclared.iter().take(OPERATIONS) {
        operation(screen, "not declared", item, &[], out)?;
    }
    let grant = screen.grant(record).map(|grant| format!("grant: {grant}"));
    for item in screen.refused.iter().take(OPERATIONS) {
        let standing = item.standing.filter(|standing| standing.can_be_granted());
        let grant = grant.iter().filter(|_| standing.is_some());
        operation(
            screen,
            "needs consent",
            item,
            &grant.cloned().collect::<Vec<_>>(),
            out,
        )?;
    }
    Ok(())
}

fn operation(
    screen: &Screen<'_>,
    what: &str,
    item: &Item<'_>,
    more: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    let line = &item.line;
    let cell = screen.cells[0];
    let mut steps = item.operation.steps.iter();
    let place = steps.find_map(|step| cell.facts.location(step));
    let kind = item.operation.kind.name();
    let title = format!("{}: {what}: {kind}", screen.title());
    let attack = line
        .attack
        .map_or(String::new(), |id| format!(", ATT&CK {id}"));
    let mut lines = vec![
        line.what.clone(),
        format!("{}, {}{attack}", line.risk.as_str(), line.places.join(", ")),
    ];
    lines.extend(line.notes.iter().cloned());
    lines.extend(more.iter().cloned());
    let place = place.or_else(|| any_line(cell));
    annotate(Level::Error, place, &title, &joined(&lines), out)
}

fn outcome(record: &Record, cell: &CellRecord, out: &mut dyn Write) -> io::Result<()> {
    let level = match cell.verdict {
        Verdict::AsExpected => return Ok(()),
        Verdict::Differs => Level::Error,
        Verdict::NoResult => Level::Warning,
    };
    let title = format!(
        "{}: {}",
        cell_title(cell),
        headline(&cell.outcome, cell.verdict)
    );
    let again = format!("again: assay test {}", selection(record, cell));
    let Outcome::Failed { .. } = &cell.outcome else {
        let mut lines = Vec::from([because(&cell.outcome)]);
        if let Outcome::Infra {
            hint: Some(hint), ..
        } = &cell.outcome
        {
            lines.push(hint.clone());
        }
        lines.retain(|line| !line.is_empty());
        lines.push(again);
        return annotate(level, any_line(cell), &title, &joined(&lines), out);
    };
    let mut seen = BTreeSet::new();
    let is_undeclared = |seen: &ObservedOperation| seen.class.is_undeclared();
    let are_told = cell.observed.operations.iter().any(is_undeclared);
    for failure in cell.outcome.failures() {
        // Each of its operations has an annotation of its own.
        if failure.reason == Reason::UndeclaredOperation && are_told {
            continue;
        }
        let mut lines = details(cell, failure);
        lines.push(again.clone());
        let place = failure
            .steps
            .iter()
            .find_map(|step| cell.facts.location(step));
        let title = format!(
            "{}: {}: {}",
            cell_title(cell),
            failure.phase,
            failure.reason
        );
        let text = joined(&lines);
        // One fault may be told by several facts.
        if seen.insert((place, text.clone())) {
            annotate(level, place, &title, &text, out)?;
        }
    }
    Ok(())
}

fn details(cell: &CellRecord, failure: &Failure) -> Vec<String> {
    let mut lines = vec![failure.message.clone()];
    let fields = failure_in_words(cell, failure).into_iter();
    let fields = fields.filter(|(name, _)| *name != "because");
    lines.extend(fields.map(|(name, text)| format!("{name}: {text}")));
    let fallbacks = fallbacks(cell, failure, LINE).into_iter();
    let blocks = fallbacks.map(|lines| ("fallback", lines));
    for (name, shown) in blocks.chain(failure_output(cell, failure, OUTPUT_LINES, LINE)) {
        lines.push(format!("{name}:"));
        lines.extend(shown.iter().map(|line| format!("  {line}")));
    }
    lines
}

/// What is wrong with repositories' keys that were used all the same, at the steps that name them.
fn key_findings(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    for (known, cells) in keys(record) {
        let level = match known.finding.severity {
            KeySeverity::Error | KeySeverity::Warning => Level::Warning,
            KeySeverity::Hint => Level::Notice,
        };
        let place = cells
            .iter()
            .find_map(|cell| cell.facts.location(known.step));
        let title = format!("{}: {}", known.step, known.finding.code);
        let text = joined(&[key_in_words(&known)]);
        annotate(level, place, &title, &text, out)?;
    }
    Ok(())
}

fn snapshot(cell: &CellRecord, out: &mut dyn Write) -> io::Result<()> {
    let (what, diff) = match &cell.facts.planned.snapshot {
        SnapshotFinding::NotJudged | SnapshotFinding::Same => return Ok(()),
        SnapshotFinding::Missing => ("the plan has no snapshot", None),
        SnapshotFinding::Different { diff } => ("the plan differs from its snapshot", Some(diff)),
    };
    let names = recipes(cell).replace(',', " ");
    let target = &cell.facts.cell.target;
    let accept = format!("accept: assay snapshot accept {names} --on {target}");
    let mut lines: Vec<String> =
        diff.map_or(Vec::new(), |diff| sanitise::block(diff, DIFF_LINES, LINE));
    lines.push(accept);
    let title = format!("{}: {what}", cell_title(cell));
    annotate(Level::Error, any_line(cell), &title, &joined(&lines), out)
}

/// A line of the cell's own recipe, where no step is to blame.
fn any_line(cell: &CellRecord) -> Option<&Location> {
    let named = &cell.facts.cell.recipes;
    let mut known = cell.facts.planned.locations.iter();
    let found = known.find(|known| named.contains(&known.step.recipe))?;
    Some(&found.location)
}

fn joined(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| sanitise::line(line, LINE));
    lines.collect::<Vec<_>>().join("\n")
}

/// Writes one command. The text's lines are sanitised already; the rest is here.
fn annotate(
    level: Level,
    place: Option<&Location>,
    title: &str,
    text: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "::{} ", level.command())?;
    if let Some(place) = place {
        let file = place.file.strip_prefix("./").unwrap_or(&place.file);
        let file = property(&sanitise::line(file, LINE));
        let (line, column) = (place.line, place.column);
        write!(out, "file={file},line={line},col={column},")?;
    }
    let title = property(&sanitise::line(title, LINE));
    writeln!(out, "title={title}::{}", data(text))
}

/// A text as the data of a command.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

/// A text as the value of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use assay_wire::event::Ending;

    use super::*;
    use crate::sample;
    use crate::sanitise::is_hidden;

    fn rendered(record: &Record) -> String {
        let mut out = Vec::new();
        github(record, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("it is UTF-8")
    }

    #[test]
    fn the_sample() {
        insta::assert_snapshot!(rendered(&sample::record()));
    }

    #[test]
    fn what_only_root_may_do() {
        insta::assert_snapshot!("privileged", rendered(&sample::privileged::record()));
    }

    #[test]
    fn every_line_is_one_command_of_ours() {
        are_commands(&rendered(&sample::record()));
        are_commands(&rendered(&sample::privileged::record()));
    }

    fn are_commands(text: &str) {
        assert!(text.lines().count() > 10, "{text}");
        for line in text.lines() {
            let rest = line.strip_prefix("::").expect("a command");
            let (command, data) = rest.split_once("::").expect("a command has data");
            let (name, properties) = command.split_once(' ').expect("a command has properties");
            assert!(matches!(name, "error" | "warning" | "notice"), "{line}");
            for one in properties.split(',') {
                let (name, value) = one.split_once('=').expect("a property has a value");
                assert!(matches!(name, "file" | "line" | "col" | "title"), "{line}");
                assert!(!value.is_empty() && !value.contains(':'), "{line}");
            }
            assert!(!data.is_empty() && !line.contains("##["), "{line}");
            assert!(!line.chars().any(is_hidden), "{line}");
            assert!(line.len() < 20_000, "{} bytes", line.len());
        }
    }

    #[test]
    fn what_the_author_says_to_do_stands_in_the_annotation_and_is_no_command() {
        let text = rendered(&sample::with_fallback(Ending::Exited(1)));
        let [annotation, _counts] = text.lines().collect::<Vec<_>>()[..] else {
            panic!("one failure is one annotation: {text}");
        };
        let shown =
            "%0Afallback:%0A  Build it: 100%25%250A%0A      see the manual.%0A  \\x3a:error";
        assert!(annotation.contains(shown), "{annotation}");
        assert!(!annotation.contains("##["), "{annotation}");
        let passed = rendered(&sample::with_fallback(Ending::Exited(0)));
        assert!(!passed.contains("fallback"), "{passed}");
    }

    #[test]
    fn escapes_are_those_of_workflow_commands() {
        assert_eq!(data("50%\r\n::error a,b"), "50%25%0D%0A::error a,b");
        assert_eq!(property("50%: a,b\n"), "50%25%3A a%2Cb%0A");
    }

    proptest::proptest! {
        #[test]
        fn no_text_ends_its_property_or_its_line(text in proptest::prelude::any::<String>()) {
            let value = property(&text);
            proptest::prop_assert!(!value.contains([':', ',', '\r', '\n']));
            let back = value.replace("%2C", ",").replace("%3A", ":");
            let back = back.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%");
            proptest::prop_assert_eq!(back, text);
        }
    }
}
