//! The record as Markdown (GitHub's flavour), for the summary of a job or a comment on a pull
//! request: verdict first, then the matrix, then what a reviewer has to look at.
//!
//! Whatever comes from elsewhere stands in code, inline or fenced, with a fence longer than any run
//! of backticks in it: there no markup, link, mention or HTML is read. The length is bounded, because
//! a comment holds 65,536 characters; what is left out is counted.

mod screen;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use assay_observe::expectation::Verdict;
use assay_observe::record::RunEnd;
use assay_observe::{CellRecord, ExitCode, Outcome, Record, exit_code};
use assay_wire::event::SnapshotFinding;
use assay_wire::outcome::OutcomeKind;

use crate::sanitise;
use crate::screen::{large_and_small, ordinary, screens};
use crate::words::{
    because, cell_title, column_of, column_title, columns, counts_in_words, failure_in_words,
    failure_output, fallbacks, headline, key_in_words, keys, plural, recipes, selection,
    snapshot_differs,
};

/// Most bytes of the document; sections that would pass it are left out and counted.
const MAX_BYTES: usize = 60_000;
/// Most bytes of the matrix.
const MAX_MATRIX: usize = 20_000;
/// With more recipes than this, only those with something to see stand in the matrix.
const MAX_ROWS: usize = 40;
/// Most characters of a line.
const LINE: usize = 300;
/// Most characters of what is said of a cell by name: two digests, two paths and what to do fit.
const ITEM: usize = 1000;
/// Lines of output shown of each channel.
const OUTPUT_LINES: usize = 20;
/// Lines shown of a plan's difference from its snapshot, and of a manual step.
const BLOCK_LINES: usize = 60;

/// Writes a record as Markdown.
///
/// # Errors
/// If the writer fails.
pub fn markdown(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let code = exit_code(record);
    let sign = if code == ExitCode::Passed {
        "✅"
    } else {
        "❌"
    };
    let end = match record.run.end {
        RunEnd::Complete => "",
        RunEnd::Interrupted => "\n\n**The run was interrupted.**",
        RunEnd::Truncated => "\n\n**The run was killed or still runs: its journal has no end.**",
    };
    let mut page = format!(
        "## {sign} assay: {} (exit code {})\n\n{}{end}\n",
        code.meaning(),
        code.number(),
        counts_in_words(record),
    );
    page.push_str(&matrix(record));
    let screens = screens(record);
    let (large, small) = large_and_small(&screens);
    let whole = |section: String| (section, None);
    let titled = large
        .first()
        .map(|_| whole("\n### Privileged operations\n".to_owned()));
    let large = large.into_iter().map(|large| {
        let (section, short) = screen::section(record, large);
        (section, Some(short))
    });
    let cells = || record.cells.iter();
    let notes = [
        screen::others(&small, ordinary(record, &screens).as_deref()),
        screen::stale_entries(record),
        key_findings(record),
        machine_keys(record),
        manual(record),
    ];
    let sections = titled
        .into_iter()
        .chain(large)
        .chain(
            cells()
                .filter_map(|cell| explained(record, cell))
                .map(whole),
        )
        .chain(cells().filter_map(snapshot).map(whole))
        .chain(notes.into_iter().flatten().map(whole));
    let mut left_out = 0;
    for (section, short) in sections {
        let fits = |text: &String| page.len() + text.len() <= MAX_BYTES;
        match [Some(section), short].into_iter().flatten().find(fits) {
            Some(text) => page.push_str(&text),
            None => left_out += 1,
        }
    }
    if left_out > 0 {
        let sections = plural(left_out, "more section");
        page.push_str(&format!(
            "\n{sections} did not fit: `assay report` shows all.\n"
        ));
    }
    let run = &record.run;
    page.push_str(&format!(
        "\n<sub>run {} · assay {} · {}</sub>\n",
        code_span(run.id.as_str()),
        code_span(&run.start.harness),
        code_span(&run.start.started)
    ));
    out.write_all(page.as_bytes())
}

fn matrix(record: &Record) -> String {
    let columns = columns(record);
    let mut rows: Vec<String> = Vec::new();
    let mut cells: BTreeMap<(String, usize), &CellRecord> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for cell in &record.cells {
        let row = recipes(cell);
        if known.insert(row.clone()) {
            rows.push(row.clone());
        }
        if let Some(column) = column_of(&columns, cell) {
            cells.insert((row, column), cell);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let all = rows.len();
    let to_see: BTreeSet<String> = record
        .cells
        .iter()
        .filter(|cell| cell.verdict != Verdict::AsExpected || snapshot_differs(cell))
        .map(recipes)
        .collect();
    if all > MAX_ROWS {
        rows.retain(|row| to_see.contains(row));
    }
    let titles = columns
        .iter()
        .map(|column| code_span(&column_title(*column)));
    let mut text = format!(
        "\n| recipe | {} |\n",
        titles.collect::<Vec<_>>().join(" | ")
    );
    text.push_str(&format!("|---|{}\n", "---|".repeat(columns.len())));
    let mut shown = 0;
    for row in &rows {
        let texts = (0..columns.len()).map(|column| {
            let cell = cells.get(&(row.clone(), column));
            cell.map_or(String::new(), |cell| cell_text(cell))
        });
        let texts: Vec<String> = texts.collect();
        let line = format!("| {} | {} |\n", code_span(row), texts.join(" | "));
        if text.len() + line.len() > MAX_MATRIX {
            break;
        }
        text.push_str(&line);
        shown += 1;
    }
    if shown == 0 {
        text.clear();
    }
    match all - shown {
        0 => text,
        more => format!("{text}\n{} not shown here.\n", plural(more, "more recipe")),
    }
}

fn cell_text(cell: &CellRecord) -> String {
    let kind = cell.outcome.kind();
    let sign = match (cell.verdict, kind) {
        (Verdict::Differs, _) => "❌",
        (Verdict::NoResult, _) => "⚠",
        (Verdict::AsExpected, OutcomeKind::Passed) => "✅",
        (Verdict::AsExpected, OutcomeKind::Failed) => "☑",
        (Verdict::AsExpected, OutcomeKind::Manual) => "✋",
        (
            Verdict::AsExpected,
            OutcomeKind::Unsupported
            | OutcomeKind::Infra
            | OutcomeKind::NotRun
            | OutcomeKind::Cancelled,
        ) => "➖",
    };
    let expected = match (cell.verdict, kind) {
        (Verdict::AsExpected, OutcomeKind::Failed) => " as expected",
        (Verdict::AsExpected | Verdict::Differs | Verdict::NoResult, _) => "",
    };
    let mark = if snapshot_differs(cell) { " Δ" } else { "" };
    let word = kind.as_str().replace('_', " ");
    format!("{sign} {word}{expected}{mark}")
}

/// A cell that is not as expected, open to be unfolded.
fn explained(record: &Record, cell: &CellRecord) -> Option<String> {
    if cell.verdict == Verdict::AsExpected {
        return None;
    }
    let mut text = unfolding(&cell_title(cell), &headline(&cell.outcome, cell.verdict));
    for failure in cell.outcome.failures() {
        for (name, value) in failure_in_words(cell, failure) {
            text.push_str(&item(name, &value));
        }
        for lines in fallbacks(cell, failure, LINE) {
            text.push_str(&format!("\nfallback:\n\n{}", fenced("", &lines)));
        }
        for (name, lines) in failure_output(cell, failure, OUTPUT_LINES, LINE) {
            text.push_str(&format!(
                "\n{name}, the last lines:\n\n{}",
                fenced("", &lines)
            ));
        }
        text.push('\n');
    }
    let why = match &cell.outcome {
        Outcome::Failed { .. } => String::new(),
        Outcome::Passed
        | Outcome::Unsupported { .. }
        | Outcome::Manual { .. }
        | Outcome::Infra { .. }
        | Outcome::NotRun { .. }
        | Outcome::Cancelled { .. } => because(&cell.outcome),
    };
    if !why.is_empty() {
        text.push_str(&item("because", &why));
    }
    let again = format!("assay test {}", selection(record, cell));
    text.push_str(&item("again", &again));
    text.push_str("\n</details>\n");
    Some(text)
}

fn snapshot(cell: &CellRecord) -> Option<String> {
    let (what, diff) = match &cell.facts.planned.snapshot {
        SnapshotFinding::NotJudged | SnapshotFinding::Same => return None,
        SnapshotFinding::Missing => ("the plan has no snapshot", None),
        SnapshotFinding::Different { diff } => ("the plan differs from its snapshot", Some(diff)),
    };
    let mut text = unfolding(&cell_title(cell), what);
    if let Some(diff) = diff {
        let lines = sanitise::block(diff, BLOCK_LINES, LINE);
        text.push_str(&fenced("diff", &lines));
        text.push('\n');
    }
    let names = recipes(cell).replace(',', " ");
    let accept = format!(
        "assay snapshot accept {names} --on {}",
        cell.facts.cell.target
    );
    text.push_str(&item("accept", &accept));
    text.push_str("\n</details>\n");
    Some(text)
}

/// What is wrong with repositories' keys that were used all the same.
fn key_findings(record: &Record) -> Option<String> {
    let found = keys(record);
    if found.is_empty() {
        return None;
    }
    let mut text = "\n### Keys\n\n".to_owned();
    for (known, cells) in found {
        let targets: BTreeSet<&str> = cells
            .iter()
            .map(|cell| cell.facts.cell.target.as_str())
            .collect();
        let targets: Vec<String> = targets.into_iter().map(code_span).collect();
        text.push_str(&format!(
            "- {}: {} ({} on {})\n",
            known.finding.severity.as_str(),
            code_span(&key_in_words(&known)),
            code_span(&known.step.to_string()),
            targets.join(", ")
        ));
    }
    Some(text)
}

/// What a reviewer of one repository would not expect of its key.
fn machine_keys(record: &Record) -> Option<String> {
    let mut keys: BTreeMap<(String, &str), BTreeSet<&str>> = BTreeMap::new();
    for cell in &record.cells {
        for (step, path) in cell.facts.machine_keys() {
            let targets = keys.entry((step.to_string(), path)).or_default();
            targets.insert(cell.facts.cell.target.as_str());
        }
    }
    if keys.is_empty() {
        return None;
    }
    let mut text = "\n### Keys trusted for any repository on the machine\n\n".to_owned();
    for ((step, path), targets) in keys {
        let targets: Vec<String> = targets.into_iter().map(code_span).collect();
        text.push_str(&format!(
            "- {} on {}: {}\n",
            code_span(&step),
            targets.join(", "),
            code_span(path)
        ));
    }
    Some(text)
}

/// What a human has to do, once for each text.
fn manual(record: &Record) -> Option<String> {
    let mut texts: BTreeMap<(String, &str), BTreeSet<&str>> = BTreeMap::new();
    for cell in &record.cells {
        for (step, text) in cell.facts.manual_steps() {
            let targets = texts.entry((step.to_string(), text)).or_default();
            targets.insert(cell.facts.cell.target.as_str());
        }
    }
    if texts.is_empty() {
        return None;
    }
    let mut page = "\n### By hand\n".to_owned();
    for ((step, text), targets) in texts {
        let targets: Vec<String> = targets.into_iter().map(code_span).collect();
        page.push_str(&format!(
            "\n{} on {}:\n\n{}",
            code_span(&step),
            targets.join(", "),
            fenced("", &sanitise::block(text, BLOCK_LINES, LINE))
        ));
    }
    Some(page)
}

/// The head of a part that is shown when it is asked for. What stands in it is HTML.
fn unfolding(title: &str, what: &str) -> String {
    let (title, what) = (html(title), html(what));
    format!("\n<details><summary><code>{title}</code> – {what}</summary>\n\n")
}

fn item(name: &str, value: &str) -> String {
    format!("- {name}: {}\n", code_span_of(value, ITEM))
}

/// A line as inline code that no text in it ends (CommonMark 6.1), fit for the cell of a table.
fn code_span(text: &str) -> String {
    code_span_of(text, LINE)
}

/// The same, of at most so many characters.
fn code_span_of(text: &str, most: usize) -> String {
    let text = sanitise::line(text, most);
    if text.trim().is_empty() {
        return "–".to_owned();
    }
    // In a table `|` parts cells even within code, and only there a backslash takes that from it:
    // as its code it is the same everywhere.
    let text = text.replace('|', "\\x7c");
    let fence = "`".repeat(longest_run(&text) + 1);
    let edge = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let space = if edge { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Lines as a fenced block that no text in it ends (CommonMark 4.5).
fn fenced(language: &str, lines: &[String]) -> String {
    let longest = lines.iter().map(|line| longest_run(line)).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|character| character != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// A line as text of HTML, in which Markdown finds nothing either: what could be markup, a link or a
/// mention is written as a character reference.
fn html(text: &str) -> String {
    let mut out = String::new();
    for character in sanitise::line(text, LINE).chars() {
        if character.is_alphanumeric() || matches!(character, ' ' | '-' | '.' | ',' | '–' | '…')
        {
            out.push(character);
        } else {
            out.push_str(&format!("&#{};", u32::from(character)));
        }
    }
    out
}

#[cfg(test)]
mod tests;
