//! The record as one HTML page: it asks nothing of any network, works without a script, and is all there is
//! to see of a run – matrix, what a reviewer has to look at, and each cell with its ops, programs, files,
//! packages and times.
//!
//! Every text of a record is hostile. It passes one door ([`page`]) and is never markup; a policy within the
//! page (Content Security Policy 3, a `meta` element) allows the one style sheet and the one script by their
//! hashes and nothing else, so that even a fault here would run nothing. The script only moves, filters and
//! opens what is there.
//!
//! Start at [`html()`]; [`overview`] is the first screen, [`cell`] everything about one cell, [`review`] what
//! only root may do in it. [`detail`] bounds all of it.

mod cell;
mod detail;
mod diff;
mod files;
mod matrix;
mod notes;
mod operations;
mod ops;
mod overview;
mod packages;
mod page;
mod processes;
mod review;
mod timeline;

use std::cmp::Reverse;
use std::io::{self, Write};

use assay_observe::expectation::Verdict;
use assay_observe::{CellRecord, Record, exit_code};
use assay_wire::digest::Digest;
use assay_wire::outcome::OutcomeKind;
use base64::Engine as _;
use rayon::prelude::*;

use self::detail::Detail;
use self::page::Page;
use self::processes::Tree;
use crate::screen::Screen;
use crate::words::{counts_in_words, snapshot_differs};

/// Most bytes of a page. What is beyond is left out, of the longest cells first, and counted.
const MAX_BYTES: usize = 5_000_000;
/// Cells of which each may take an equal share of the page; of more cells none may take more than that.
const FEW: usize = 16;
/// So many cells are shortened before it is asked again whether that is enough: whatever the number of
/// processors, a page is the same.
const AT_ONCE: usize = 4;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Writes a record as one HTML page.
///
/// # Errors
/// If the writer fails.
pub fn html(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let cells = cells(record);
    let mut page = Page::new(&Detail::LEVELS[0]);
    overview::write(record, &cells, &mut page);
    let mut notes = Page::new(&Detail::LEVELS[0]);
    notes::write(record, &mut notes);
    let room = MAX_BYTES.saturating_sub(page.as_str().len() + notes.as_str().len() + 100_000);
    page.markup("<section id=\"cells\">\n<h2>Cells</h2>\n");
    for cell in fitting(record, &cells, room) {
        page.append(&cell);
    }
    page.markup("</section>\n").append(&notes);

    head(record, out)?;
    out.write_all(page.as_str().as_bytes())?;
    out.write_all(TAIL.0.as_bytes())?;
    out.write_all(SCRIPT.as_bytes())?;
    out.write_all(TAIL.1.as_bytes())
}

/// One cell of the record, and what a reviewer makes of it.
struct Cell<'r> {
    /// Its position in the record.
    number: usize,
    record: &'r CellRecord,
    screen: Screen<'r>,
    /// Of its programs: a cell is written several times before it fits.
    trees: Vec<Tree<'r>>,
}

fn cells(record: &Record) -> Vec<Cell<'_>> {
    let all = record.cells.par_iter().enumerate();
    all.map(|(number, cell)| Cell {
        number,
        record: cell,
        screen: Screen::of(record, cell),
        trees: processes::trees(&cell.facts),
    })
    .collect()
}

impl Cell<'_> {
    /// True if a sandbox of it ran.
    fn ran(&self) -> bool {
        self.record.facts.sandbox.is_some()
    }

    /// True if it did something above what is ordinary, or is said to.
    fn is_privileged(&self) -> bool {
        let screen = &self.screen;
        let all = [
            &screen.undeclared,
            &screen.refused,
            &screen.declared,
            &screen.accompanying,
        ];
        all.iter().any(|items| !items.is_empty())
    }

    /// How it stands at a glance: a class of the style sheet, always beside a word.
    fn state(&self) -> &'static str {
        match (self.record.verdict, self.record.outcome.kind()) {
            (Verdict::Differs, _) => "bad",
            _ if !self.screen.undeclared.is_empty() && !self.screen.is_as_expected() => "bad",
            (Verdict::NoResult, _) => "warn",
            _ if self.screen.is_wrong() && !self.screen.is_as_expected() => "warn",
            (Verdict::AsExpected, _) if snapshot_differs(self.record) => "warn",
            (Verdict::AsExpected, OutcomeKind::Passed) => "good",
            (
                Verdict::AsExpected,
                OutcomeKind::Failed
                | OutcomeKind::Unsupported
                | OutcomeKind::Manual
                | OutcomeKind::Infra
                | OutcomeKind::NotRun
                | OutcomeKind::Cancelled,
            ) => "mute",
        }
    }
}

/// All cells within so many bytes, the longest in less detail than the others. None takes more than its
/// share of the room if it were one of a few: so much is written at all, whatever a cell has to say.
fn fitting(record: &Record, cells: &[Cell<'_>], room: usize) -> Vec<Page> {
    let most = room / cells.len().clamp(1, FEW);
    let lowest = Detail::LEVELS.len() - 1;
    let written = |cell: &Cell<'_>, level: usize| {
        let mut page = Page::new(&Detail::LEVELS[level]);
        page.stop_after(if level < lowest { most } else { usize::MAX });
        cell::write(record, cell, cells.len(), &mut page);
        page
    };
    let length = |page: &Page| page.as_str().len();
    // From this level on, the first at which it is short enough.
    let fits = |cell: &Cell<'_>, from: usize| {
        let mut pages = (from..lowest).map(|level| (level, written(cell, level)));
        let found = pages.find(|(_, page)| length(page) <= most);
        found.unwrap_or_else(|| (lowest, written(cell, lowest)))
    };
    let mut pages: Vec<(usize, Page)> = cells.par_iter().map(|cell| fits(cell, 0)).collect();
    let mut all: usize = pages.iter().map(|(_, page)| length(page)).sum();
    while all > room {
        let can_shrink = pages.iter().enumerate();
        let can_shrink = can_shrink.filter(|(_, (level, _))| *level < lowest);
        let mut longest: Vec<usize> = can_shrink.map(|(index, _)| index).collect();
        longest.sort_by_key(|index| Reverse(length(&pages[*index].1)));
        longest.truncate(AT_ONCE);
        if longest.is_empty() {
            break;
        }
        let shorter = longest.into_par_iter().map(|index| {
            let (level, _) = pages[index];
            (index, fits(&cells[index], level + 1))
        });
        let shorter: Vec<_> = shorter.collect();
        for (index, page) in shorter {
            all -= length(&pages[index].1);
            all += length(&page.1);
            pages[index] = page;
        }
    }
    pages.into_iter().map(|(_, page)| page).collect()
}

/// Everything before the body: the policy, the title, the style.
fn head(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let mut title = Page::new(&Detail::LEVELS[0]);
    let code = exit_code(record);
    title
        .markup("exit ")
        .number(u64::from(code.number()))
        .markup(" · ");
    title.text(counts_in_words(record)).markup(" · assay");
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src '{style}'; script-src '{script}'; img-src data:; base-uri 'none'; form-action 'none'\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <meta name=\"color-scheme\" content=\"light dark\" />\n\
         <meta name=\"referrer\" content=\"no-referrer\" />\n\
         <meta name=\"robots\" content=\"noindex\" />\n\
         <link rel=\"icon\" href=\"data:,\" />\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        title.as_str()
    )
}

/// What follows the body's text, before and after the script.
const TAIL: (&str, &str) = ("</main>\n<script>", "</script>\n</body>\n</html>\n");

/// How a policy names a text it allows (Content Security Policy 3, 2.3.1).
fn hash(text: &str) -> String {
    let digest = Digest::of(text.as_bytes());
    let encoded = base64::engine::general_purpose::STANDARD.encode(digest.bytes());
    format!("sha256-{encoded}")
}

#[cfg(test)]
mod tests;
