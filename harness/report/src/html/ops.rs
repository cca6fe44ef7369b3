//! The steps of a cell, and its ops: what each ran, how that ended and what it printed, what only root may
//! do it did, which programs it started and which files it changed.

use std::collections::BTreeMap;

use assay_observe::notable;
use assay_observe::record::{OpFacts, Performance};
use assay_wire::event::{Ending, ManifestPoint};
use assay_wire::plan::{Action, Disposition, Expects, Guard, Op, PlannedStep, Privilege};
use assay_wire::program::{Pass, USER};

use super::operations::{self, Beside};
use super::page::{Anchor, Page};
use super::{Cell, files, processes};
use crate::words::{ending_in_words, last_lines, seconds};

/// Most characters of a line of output.
const LINE: usize = 400;
/// Most characters of a command in the line of its op.
const SHORT: usize = 160;

/// Writes steps and ops.
pub(super) fn write(cell: &Cell<'_>, page: &mut Page) {
    let plan = &cell.record.facts.planned.plan;
    if plan.steps.is_empty() && plan.ops.is_empty() {
        return;
    }
    page.markup("<section class=\"ops\">\n<h3>Steps and what they ran</h3>\n");
    if let Some(reason) = &plan.unsupported {
        page.markup("<p>").text(reason).markup("</p>\n");
    }
    let left = page.each(&plan.ops, page.detail.rows, |page, op| one(cell, op, page));
    page.more(left, "<p>", "</p>\n");
    by_hand(&plan.steps, page);
    dropped(&plan.steps, page);
    page.markup("</section>\n");
}

/// True if the page has a place for this op.
pub(super) fn is_shown(cell: &Cell<'_>, op: assay_wire::plan::OpId, page: &Page) -> bool {
    let mut shown = cell
        .record
        .facts
        .planned
        .plan
        .ops
        .iter()
        .take(page.detail.rows);
    shown.any(|known| known.id == op)
}

fn one(cell: &Cell<'_>, op: &Op, page: &mut Page) {
    let facts = &cell.record.facts;
    let known = facts.op(op.id).map(|(_, known)| known);
    let first = known.and_then(|known| known.first.as_ref());
    page.markup("<details class=\"op\"><summary><span class=\"opn\">")
        .text(op.id.to_string());
    page.markup("</span> ");
    ending(op, first, page);
    page.markup(" <code class=\"short\">")
        .text_up_to(SHORT, in_short(&op.action))
        .markup("</code>");
    page.markup("<span class=\"meta\">");
    meta(cell, op, known, page);
    page.markup("</span></summary>\n<div class=\"body\"");
    page.id(Anchor::Op(cell.number, op.id)).markup(">\n");
    steps(cell, op, page);
    performed(op, known, page);
    seen(cell, op, page);
    processes::write(cell, op.id, page);
    if let Some(manifest) = facts.manifest(&ManifestPoint::Op(op.id))
        && (!manifest.paths.is_empty() || !manifest.states.is_empty())
    {
        let changes = notable::changes(&manifest.paths);
        page.markup("<details class=\"files\"><summary>Files <span class=\"n\">");
        page.count(changes.added)
            .markup(" added, ")
            .count(changes.changed)
            .markup(" changed, ");
        page.count(changes.removed)
            .markup(" removed</span></summary>\n");
        files::write(&changes, &manifest.states, page);
        page.markup("</details>\n");
    }
    page.markup("</div>\n</details>\n");
}

fn in_short(action: &Action) -> String {
    match action {
        Action::Run { argv } => crate::sanitise::command(argv, SHORT),
        Action::Write { path, mode, .. } => format!("write {path} with mode {mode:04o}"),
        Action::Extract { archive, dest, .. } => format!("extract {archive} to {dest}"),
    }
}

/// How the first performance ended, as a badge.
fn ending(op: &Op, first: Option<&Performance>, page: &mut Page) {
    let (class, text) = match first {
        None => ("badge mute", "– not reached".to_owned()),
        Some(first) if first.skipped() => ("badge mute", "○ already so".to_owned()),
        Some(first) => match &first.ending {
            None => ("badge warn", "! no end".to_owned()),
            Some(ending) => (class_of(op, ending), ending_in_words(ending, &op.limits)),
        },
    };
    page.element("span", class, text);
}

/// Whether an ending is good is told of ops that apply alone: what others print is judged, too.
fn class_of(op: &Op, ending: &Ending) -> &'static str {
    let good = match ending {
        Ending::Exited(code) => *code == 0,
        Ending::Written { .. } => true,
        Ending::Signalled(_)
        | Ending::NotStarted { .. }
        | Ending::Limit(_)
        | Ending::NotWritten { .. } => false,
    };
    match (&op.expects, good) {
        (_, true) => "badge good",
        (Expects::Success { .. }, false) => "badge bad",
        (
            Expects::Requirement(_)
            | Expects::Command(_)
            | Expects::Evidence(_)
            | Expects::Check { .. },
            false,
        ) => "badge mute",
    }
}

fn meta(cell: &Cell<'_>, op: &Op, known: Option<&OpFacts>, page: &mut Page) {
    let seen = cell.record.observed.operations.iter();
    let undeclared = seen
        .filter(|seen| seen.operation.op == op.id && seen.class.is_undeclared())
        .count();
    if undeclared > 0 {
        page.markup("<span class=\"flag bad\">")
            .count(undeclared)
            .markup(" not declared</span> ");
    }
    for step in op.steps.iter().take(3) {
        page.text(step.to_string()).markup(" ");
    }
    if op.steps.is_empty() {
        page.markup("of no step ");
    }
    if let Some(first) = known.and_then(|known| known.first.as_ref()) {
        page.markup("· ").text(seconds(first.ms));
    }
}

/// Which steps it is for, and where they are written.
fn steps(cell: &Cell<'_>, op: &Op, page: &mut Page) {
    let facts = &cell.record.facts;
    let planned: BTreeMap<_, _> = facts
        .planned
        .plan
        .steps
        .iter()
        .map(|step| (&step.step, step))
        .collect();
    page.markup("<dl class=\"facts\">\n");
    for step in op.steps.iter().take(page.detail.rows.min(40)) {
        page.markup("<dt>step</dt><dd>").text(step.to_string());
        if let Some(planned) = planned.get(step) {
            page.markup(" <b>").text(&planned.action).markup("</b>");
            if let Some(description) = &planned.description {
                page.markup(" ").text(description);
            }
        }
        if let Some(place) = facts.location(step) {
            page.markup(" <code>")
                .text(format!("{}:{}:{}", place.file, place.line, place.column))
                .markup("</code>");
        }
        page.markup("</dd>\n");
    }
    page.markup("<dt>as</dt><dd>").markup(match op.privilege {
        Privilege::Root => "root",
        Privilege::User => USER,
    });
    page.markup("</dd>\n");
    match &op.guard {
        Some(Guard::Asks { argv, .. }) => {
            page.markup("<dt>unless</dt><dd>")
                .command(argv)
                .markup("</dd>\n");
        }
        Some(Guard::OnPath(name)) => {
            page.markup("<dt>unless</dt><dd><code>")
                .text(name)
                .markup("</code> is on the PATH</dd>\n");
        }
        None => {}
    }
    page.markup("</dl>\n");
}

/// What ran in both applies, and what it printed.
fn performed(op: &Op, known: Option<&OpFacts>, page: &mut Page) {
    for pass in [Pass::First, Pass::Second] {
        let Some(performance) = known.and_then(|known| known.performance(pass)) else {
            continue;
        };
        page.markup("<p class=\"ran\">").markup(match pass {
            Pass::First => "",
            Pass::Second => "Second apply: ",
        });
        if performance.skipped() {
            page.markup("skipped, because it was so already.</p>\n");
            continue;
        }
        match &op.action {
            Action::Run { argv } if performance.argv.is_empty() => page.command(argv),
            Action::Run { .. } => page.command(&performance.argv),
            Action::Write { .. } | Action::Extract { .. } => page
                .markup("<code>")
                .text(in_short(&op.action))
                .markup("</code>"),
        };
        let ending = performance.ending.as_ref();
        let ending = ending.map_or("no end".to_owned(), |ending| {
            ending_in_words(ending, &op.limits)
        });
        page.markup(" – ")
            .text(ending)
            .markup(", ")
            .text(seconds(performance.ms))
            .markup("</p>\n");
        output(performance, page);
    }
}

fn output(performance: &Performance, page: &mut Page) {
    for (name, captured) in [
        ("stdout", &performance.stdout),
        ("stderr", &performance.stderr),
    ] {
        let lines = last_lines(captured, page.detail.output, LINE);
        if lines.is_empty() {
            continue;
        }
        page.markup("<details class=\"output\"><summary>")
            .markup(name)
            .markup(" <span class=\"n\">");
        page.counted(captured.bytes, "byte", "bytes")
            .markup(", the last ")
            .counted(lines.len() as u64, "line", "lines")
            .markup("</span></summary>\n<pre>")
            .lines(&lines)
            .markup("</pre></details>\n");
    }
}

/// What only root may do, as far as it is listed.
fn seen(cell: &Cell<'_>, op: &Op, page: &mut Page) {
    let observed = &cell.record.observed;
    let mut all: Vec<_> = observed
        .operations
        .iter()
        .filter(|seen| seen.operation.op == op.id)
        .collect();
    all.sort_by_key(|seen| (!seen.class.is_undeclared(), seen.risk));
    let folded = observed.folded.iter().filter(|folded| folded.op == op.id);
    let folded: Vec<_> = folded.collect();
    if all.is_empty() && folded.is_empty() {
        return;
    }
    page.markup("<details class=\"seen\"><summary>Operations <span class=\"n\">");
    match all.is_empty() {
        true => page.markup("ordinary ones"),
        false => page.count(all.len()),
    };
    page.markup("</span></summary>\n");
    if !all.is_empty() {
        page.markup("<table class=\"operations\">\n<caption>What only root may do, as it was seen</caption>\n");
        operations::head(Beside::By, page);
        page.markup("<tbody>\n");
        let left = page.each(&all, page.detail.operations, |page, seen| {
            operations::seen(seen, page);
        });
        operations::more(left, page);
        page.markup("</tbody>\n</table>\n");
    }
    if !folded.is_empty() {
        page.markup("<p>Ordinary, and only counted:");
        for one in folded {
            page.markup(" <code>")
                .markup(one.kind.as_str())
                .markup("</code> × ")
                .number(one.count);
        }
        page.markup("</p>\n");
    }
    page.markup("</details>\n");
}

fn by_hand(steps: &[PlannedStep], page: &mut Page) {
    for step in steps {
        if let Disposition::Manual { text, .. } = &step.disposition {
            page.markup("<section class=\"hand\">\n<h4>○ By hand: ")
                .text(step.step.to_string())
                .markup("</h4>\n<pre>");
            let lines = crate::sanitise::block(text, 40, LINE);
            page.lines(&lines).markup("</pre>\n</section>\n");
        }
    }
}

/// Steps for other targets, folded away.
fn dropped(steps: &[PlannedStep], page: &mut Page) {
    let dropped: Vec<_> = steps
        .iter()
        .filter_map(|step| match &step.disposition {
            Disposition::Dropped { reason } => Some((step, reason)),
            Disposition::Applies | Disposition::Manual { .. } => None,
        })
        .collect();
    if dropped.is_empty() {
        return;
    }
    page.markup(
        "<details class=\"dropped\"><summary>Steps that do not apply here <span class=\"n\">",
    );
    page.count(dropped.len())
        .markup("</span></summary>\n<ul>\n");
    let left = page.each(
        &dropped,
        page.detail.rows.min(60),
        |page, (step, reason)| {
            page.markup("<li>")
                .text(step.step.to_string())
                .markup(" <b>")
                .text(&step.action);
            page.markup("</b>: ").text(reason).markup("</li>\n");
        },
    );
    page.more(left, "<li>", "</li>\n");
    page.markup("</ul>\n</details>\n");
}
