//! The record for people: matrix first, what to know next, failures and the summary last, where a
//! terminal leaves the eye.
//!
//! Every text of a recipe or a sandbox goes through [`crate::sanitise`]; colours are added after
//! that and only around words of our own. Start at [`human`]; [`matrix`] draws the table,
//! [`notes`] says what concerns several cells, [`screen`] what cells did that only root may do, [`detail`]
//! explains one, [`changes`] says what its ops changed, [`page`] writes lines.

pub(crate) mod changes;
mod detail;
mod matrix;
mod notes;
mod page;
mod screen;

use std::io::{self, Write};

use assay_observe::record::RunEnd;
use assay_observe::{ExitCode, Record, exit_code};
use assay_wire::event::Capture;
use assay_wire::lock::Network;

use page::{Colour, Page};

use crate::words::counts_in_words;

/// How a record is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanOptions {
    /// True if colours are written (ECMA-48 SGR).
    pub color: bool,
    /// Columns; fewer than 40 are taken as 40.
    pub width: usize,
    /// How much is shown.
    pub detail: Detail,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The matrix, and what is not as expected.
    Little,
    /// The reviewer's screen as well.
    Normal,
    /// Cells that ended as expected are explained, too, and nothing is folded away.
    All,
}

impl HumanOptions {
    fn verbose(&self) -> bool {
        self.detail == Detail::All
    }
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
    notes::write(record, options.verbose(), &mut page)?;
    screen::write(record, options.detail, &mut page)?;
    for cell in record
        .cells
        .iter()
        .filter(|cell| options.verbose() || detail::wanted(cell))
    {
        page.blank()?;
        detail::write(record, cell, options, &mut page)?;
    }
    page.blank()?;
    summary(record, &mut page)
}

fn summary(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    page.text(&counts_in_words(record))?;
    for level in captures(record) {
        page.text(match level {
            Capture::Manifest => {
                "capture: manifests, traces where the engine allows – not recorded: reads, what ran before, tunnels nobody looks into"
            }
            Capture::Trace => {
                "capture: manifests and traces – not recorded: reads, what ran before, tunnels nobody looks into"
            }
        })?;
    }
    match record.run.start.network {
        Network::Live => {}
        Network::Record => page.text("network: recorded, every URL asked once")?,
        Network::Replay => page.text(
            "network: replayed from assay.lock; apt was told not to ask how old an index is",
        )?,
        Network::None => page.text("network: none")?,
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

#[cfg(test)]
mod tests;
