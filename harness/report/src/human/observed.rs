//! What cells were seen to do that only root may do, above what is ordinary: a short section a cell,
//! alike operations in one line; with `-v` each by itself, and what is ordinary as well.

use std::io;

use assay_observe::observed::{Observed, ObservedOperation};
use assay_observe::risk::Risk;
use assay_observe::{CellRecord, Record};
use assay_wire::privileged::{Actor, KindName};
use assay_wire::program::Pass;

use super::page::{Colour, Page};
use crate::sanitise;
use crate::words::{cell_title, plural};

/// Lines of a cell.
const LINES: usize = 12;
/// Lines of a cell when verbose.
const VERBOSE: usize = 500;
/// Subjects of alike operations that are named.
const SUBJECTS: usize = 3;
/// Most characters of a program's words.
const WORDS: usize = 60;
/// Most characters of a subject, and of what was or is.
const TEXT: usize = 160;

/// The sections of all cells that have one.
pub(super) fn write(record: &Record, verbose: bool, page: &mut Page<'_>) -> io::Result<()> {
    for cell in &record.cells {
        let grave = cell.observed.above_ordinary();
        if !grave.is_empty() || (verbose && cell.observed != Observed::default()) {
            page.blank()?;
            section(cell, &grave, verbose, page)?;
        }
    }
    Ok(())
}

fn section(
    cell: &CellRecord,
    grave: &[&ObservedOperation],
    verbose: bool,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let operations = plural(grave.len(), "operation");
    let title = format!("seen on {} – {operations} above ordinary", cell_title(cell));
    page.coloured(Colour::Bold, &title)?;
    let lines: Vec<(Risk, String)> = if verbose {
        let ordinary = cell.observed.operations.iter();
        let ordinary = ordinary.filter(|seen| seen.risk == Risk::Ordinary);
        let all = grave.iter().copied().chain(ordinary);
        all.map(|seen| (seen.risk, in_full(seen))).collect()
    } else {
        alike(grave)
            .iter()
            .map(|seen| (seen[0].risk, together(seen)))
            .collect()
    };
    let most = if verbose { VERBOSE } else { LINES };
    for (risk, line) in lines.iter().take(most) {
        page.coloured_field(risk.label(), colour(*risk), line)?;
    }
    if lines.len() > most {
        page.field("", &format!("and {} more lines", lines.len() - most))?;
    }
    match folded(&cell.observed) {
        none if none.is_empty() => Ok(()),
        counts => page.field("besides", &counts),
    }
}

/// Operations of one risk, kind, op and actor, in their order.
fn alike<'o>(grave: &[&'o ObservedOperation]) -> Vec<Vec<&'o ObservedOperation>> {
    let mut all: Vec<Vec<&ObservedOperation>> = Vec::new();
    let same = |one: &ObservedOperation, other: &ObservedOperation| {
        let key = |seen: &ObservedOperation| {
            (
                seen.risk,
                seen.operation.kind.name(),
                seen.operation.op,
                seen.pass,
            )
        };
        key(one) == key(other) && who(one) == who(other)
    };
    for seen in grave {
        match all.iter_mut().find(|group| same(group[0], seen)) {
            Some(group) => group.push(seen),
            None => all.push(vec![seen]),
        }
    }
    all
}

fn together(seen: &[&ObservedOperation]) -> String {
    let subjects = seen.iter().take(SUBJECTS);
    let subjects = subjects.map(|seen| sanitise::line(&seen.operation.subject, TEXT));
    let mut subjects: Vec<String> = subjects.collect();
    if seen.len() > SUBJECTS {
        subjects.push(format!("and {} more", seen.len() - SUBJECTS));
    }
    let first = seen[0];
    let kind = first.operation.kind.name();
    format!(
        "{kind} {} · {} · {}",
        subjects.join(", "),
        place(first),
        who(first)
    )
}

fn in_full(seen: &ObservedOperation) -> String {
    let operation = &seen.operation;
    let mut line = together(&[seen]);
    if seen.count > 1 {
        line.push_str(&format!(" · {} times", seen.count));
    }
    let text = |text: &String| sanitise::line(text, TEXT);
    if let Some(before) = &operation.before {
        line.push_str(&format!(" · was: {}", text(before)));
    }
    if let Some(after) = &operation.after {
        line.push_str(&format!(" · is: {}", text(after)));
    }
    line
}

/// The steps, or the op where it belongs to none.
fn place(seen: &ObservedOperation) -> String {
    let steps = seen.operation.steps.iter().map(ToString::to_string);
    let steps = steps.collect::<Vec<_>>().join(", ");
    let place = match steps.is_empty() {
        true => format!("op {}", seen.operation.op),
        false => sanitise::line(&steps, TEXT),
    };
    match seen.pass {
        Pass::First => place,
        Pass::Second => format!("{place}, second apply"),
    }
}

/// The script of a package, else the program, else nobody that was traced.
fn who(seen: &ObservedOperation) -> String {
    match &seen.operation.actor {
        Some(Actor {
            script: Some(script),
            ..
        }) => sanitise::line(&format!("{} {}", script.package, script.script), WORDS),
        Some(actor) => format!("`{}`", sanitise::command(&actor.argv, WORDS)),
        None => "no traced program".to_owned(),
    }
}

fn folded(observed: &Observed) -> String {
    let counts = [
        (KindName::FileWrite, "written", "file"),
        (KindName::FileDelete, "removed", "file"),
        (KindName::ExecRoot, "as root", "program"),
        (KindName::NetConnect, "to named hosts", "request"),
    ];
    let counts = counts.into_iter().filter_map(|(kind, how, what)| {
        let count = usize::try_from(observed.folded(kind)).unwrap_or(usize::MAX);
        (count > 0).then(|| format!("{} {how}", plural(count, what)))
    });
    counts.collect::<Vec<_>>().join(", ")
}

fn colour(risk: Risk) -> Colour {
    match risk {
        Risk::RootEquivalent | Risk::TrustRoot => Colour::Red,
        Risk::Persistence | Risk::Network | Risk::Privileged => Colour::Yellow,
        Risk::Ordinary => Colour::Plain,
    }
}
