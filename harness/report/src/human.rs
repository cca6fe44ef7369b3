//! The record for people: matrix first, what to know next, failures and the summary last, where a
//! terminal leaves the eye.
//!
//! Every text of a recipe or a sandbox goes through [`crate::sanitise`]; colours are added after
//! that and only around words of our own. Start at [`human`]; [`matrix`] draws the table,
//! [`notes`] says what concerns several cells, [`detail`] explains one, [`changes`] says what its ops
//! changed, [`page`] writes lines.

mod changes;
mod detail;
mod matrix;
mod notes;
mod page;

use std::io::{self, Write};

use assay_observe::expectation::Verdict;
use assay_observe::record::RunEnd;
use assay_observe::{CellRecord, ExitCode, Record, exit_code};
use assay_wire::event::{Capture, ImageKind, SnapshotFinding};
use assay_wire::outcome::OutcomeKind;
use serde::Serialize;

use page::{Colour, Page};

/// How a record is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanOptions {
    /// True if colours are written (ECMA-48 SGR).
    pub color: bool,
    /// Columns; fewer than 40 are taken as 40.
    pub width: usize,
    /// True if cells that ended as expected are explained as well, and more output is shown.
    pub verbose: bool,
}

/// Writes a record for people.
///
/// # Errors
/// If the writer fails.
pub fn human(record: &Record, options: &HumanOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(options, out);
    let run = &record.run;
    page.text(&format!(
        "run {} · assay {} · {}",
        run.id, run.start.harness, run.start.started
    ))?;
    page.blank()?;
    matrix::write(record, &mut page)?;
    notes::write(record, options.verbose, &mut page)?;
    for cell in record
        .cells
        .iter()
        .filter(|cell| options.verbose || detail::wanted(cell))
    {
        page.blank()?;
        detail::write(record, cell, options, &mut page)?;
    }
    page.blank()?;
    summary(record, &mut page)
}

/// How many cells ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// All cells.
    pub cells: usize,
    /// Passed, and nobody expected otherwise.
    pub passed: usize,
    /// Failed as `expected.toml` says.
    pub failed_as_expected: usize,
    /// Failed and should not have, or otherwise than expected.
    pub failed: usize,
    /// Did not fail although that was expected.
    pub unexpected: usize,
    /// Nothing to install on the target.
    pub unsupported: usize,
    /// A human step is needed.
    pub manual: usize,
    /// Infrastructure at fault.
    pub infra: usize,
    /// Not started.
    pub not_run: usize,
    /// Interrupted.
    pub cancelled: usize,
    /// Plans without a snapshot or different from theirs.
    pub snapshot_findings: usize,
}

impl Counts {
    /// Counts a record's cells.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let mut counts = Self {
            cells: record.cells.len(),
            ..Self::default()
        };
        for cell in &record.cells {
            let differs = cell.verdict == Verdict::Differs;
            let count = match cell.outcome.kind() {
                OutcomeKind::Failed if differs => &mut counts.failed,
                OutcomeKind::Failed => &mut counts.failed_as_expected,
                OutcomeKind::Passed | OutcomeKind::Unsupported | OutcomeKind::Manual if differs => {
                    &mut counts.unexpected
                }
                OutcomeKind::Passed => &mut counts.passed,
                OutcomeKind::Unsupported => &mut counts.unsupported,
                OutcomeKind::Manual => &mut counts.manual,
                OutcomeKind::Infra => &mut counts.infra,
                OutcomeKind::NotRun => &mut counts.not_run,
                OutcomeKind::Cancelled => &mut counts.cancelled,
            };
            *count += 1;
            counts.snapshot_findings += usize::from(snapshot_differs(cell));
        }
        counts
    }
}

fn summary(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let counts = Counts::of(record);
    let parts = [
        (counts.passed, "passed"),
        (counts.failed_as_expected, "failed as expected"),
        (counts.failed, "failed"),
        (counts.unexpected, "not as expected"),
        (counts.unsupported, "unsupported"),
        (counts.manual, "manual"),
        (counts.infra, "infrastructure"),
        (counts.not_run, "not run"),
        (counts.cancelled, "cancelled"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let cells = plural(counts.cells, "cell");
    let findings = match counts.snapshot_findings {
        0 => String::new(),
        count => format!(" · {}", plural(count, "snapshot finding")),
    };
    let colon = if parts.is_empty() { "" } else { ": " };
    let time = seconds(record.run.duration_ms);
    page.text(&format!(
        "{cells}{colon}{}{findings} · {time}",
        parts.join(", ")
    ))?;
    for level in captures(record) {
        page.text(match level {
            Capture::Manifest => {
                "capture: manifest only – who did it, and network use inside tunnels, are not recorded"
            }
        })?;
    }
    match record.run.end {
        RunEnd::Complete => {}
        RunEnd::Interrupted => page.text("the run was interrupted")?,
        RunEnd::Truncated => {
            page.text("the run was killed or still runs: its journal has no end")?
        }
    }
    let code = exit_code(record);
    let colour = if code == ExitCode::Passed {
        Colour::Green
    } else {
        Colour::Red
    };
    page.coloured(
        colour,
        &format!("{} (exit code {})", code.meaning(), code.number()),
    )
}

fn captures(record: &Record) -> std::collections::BTreeSet<Capture> {
    record
        .cells
        .iter()
        .map(|cell| cell.facts.planned.capture)
        .collect()
}

fn snapshot_differs(cell: &CellRecord) -> bool {
    match cell.facts.planned.snapshot {
        SnapshotFinding::NotJudged | SnapshotFinding::Same => false,
        SnapshotFinding::Missing | SnapshotFinding::Different { .. } => true,
    }
}

/// The word that marks an image that is not the registry's.
fn kind_mark(kind: Option<ImageKind>) -> &'static str {
    match kind {
        None | Some(ImageKind::Registry) => "",
        Some(ImageKind::Bootstrap) => " (bootstrap)",
        Some(ImageKind::Lab) => " (lab)",
        Some(ImageKind::Tarball) => " (tarball)",
    }
}

/// A cell's target with its image's mark, and its recipes.
fn cell_title(cell: &CellRecord) -> String {
    let facts = &cell.facts;
    let kind = facts.planned.image.as_ref().map(|image| image.kind);
    let recipes: Vec<&str> = facts
        .cell
        .recipes
        .iter()
        .map(|recipe| recipe.as_str())
        .collect();
    format!(
        "{}{}: {}",
        facts.cell.target,
        kind_mark(kind),
        recipes.join(",")
    )
}

/// `1 cell`, `2 cells`.
fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Milliseconds for people.
fn seconds(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests;
