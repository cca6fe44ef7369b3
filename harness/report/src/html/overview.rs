//! The first screen: how the run ended, what somebody has to look at, in all cells together, and the matrix.

use std::collections::{BTreeMap, BTreeSet};

use assay_observe::delta::Class;
use assay_observe::expectation::Verdict;
use assay_observe::record::RunEnd;
use assay_observe::risk::Risk;
use assay_observe::{ExitCode, Record, exit_code};
use assay_wire::event::ImageKind;
use assay_wire::lock::Network;
use assay_wire::privileged::KindName;

use super::page::{Anchor, Page};
use super::{Cell, matrix, operations, timeline};
use crate::screen::ledger;
use crate::words::{
    Counts, because, cell_title, counts_in_words, headline, plural, snapshot_differs,
    standing_in_words, why_in_words,
};

/// Cells named beside one finding.
const CELLS: usize = 12;
/// Subjects of alike findings that are named before the rest is folded away.
const SUBJECTS: usize = 4;
/// Findings of one kind, and cells of one list.
const FINDINGS: usize = 100;
/// Most characters of why a cell ended as it did.
const BECAUSE: usize = 400;

/// Writes everything before the cells.
pub(super) fn write(record: &Record, cells: &[Cell<'_>], page: &mut Page) {
    page.markup("<a class=\"skip\" href=\"#matrix\">Skip to the matrix</a>\n<header>\n");
    verdict(record, page);
    tiles(record, cells, page);
    page.markup("</header>\n").markup(TOOLS).markup("<main>\n");
    matrix::write(record, cells, page);
    findings(record, cells, page);
    timeline::of_run(record, cells, page);
}

/// What the script brings to life; the switch alone works without it.
const TOOLS: &str = "<nav class=\"tools\" aria-label=\"Tools\">\n\
<label class=\"script\">Filter <input id=\"filter\" type=\"search\" placeholder=\"recipe, target, path, kind …\" autocomplete=\"off\" spellcheck=\"false\" /></label>\n\
<label><input id=\"only\" type=\"checkbox\" /> only what needs a look</label>\n\
<output id=\"found\" class=\"script\" aria-live=\"polite\"></output>\n\
<span class=\"grow\"></span>\n\
<a href=\"#matrix\">Matrix</a>\n<a href=\"#findings\">What to look at</a>\n<a href=\"#cells\">Cells</a>\n\
<button type=\"button\" id=\"keys\" class=\"script\">Keys <kbd>?</kbd></button>\n</nav>\n\
<dialog id=\"help\" aria-labelledby=\"help-title\">\n<h2 id=\"help-title\">Keys</h2>\n<dl>\n\
<dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next, previous cell or op</dd>\n\
<dt><kbd>n</kbd> <kbd>p</kbd></dt><dd>next, previous cell that needs a look</dd>\n\
<dt><kbd>←</kbd> <kbd>↑</kbd> <kbd>↓</kbd> <kbd>→</kbd></dt><dd>within the matrix</dd>\n\
<dt><kbd>Enter</kbd></dt><dd>open or close; from the matrix, go to the cell</dd>\n\
<dt><kbd>o</kbd></dt><dd>open or close everything in this cell</dd>\n\
<dt><kbd>m</kbd></dt><dd>to the matrix</dd>\n\
<dt><kbd>/</kbd></dt><dd>filter</dd>\n\
<dt><kbd>Esc</kbd></dt><dd>close; clear the filter</dd>\n\
<dt><kbd>?</kbd></dt><dd>this list</dd>\n\
</dl>\n<form method=\"dialog\"><button>Close</button></form>\n</dialog>\n";

fn verdict(record: &Record, page: &mut Page) {
    let run = &record.run;
    let code = exit_code(record);
    page.markup("<p class=\"run\"><b>assay</b> ")
        .text(&run.start.harness);
    page.markup(" · run <code>")
        .text(run.id.as_str())
        .markup("</code> · <time>");
    page.text(&run.start.started).markup("</time></p>\n");
    let class = if code == ExitCode::Passed {
        "good"
    } else {
        "bad"
    };
    page.open("h1", class).markup("<span class=\"exit\">exit ");
    page.number(u64::from(code.number())).markup("</span> ");
    page.text(code.meaning()).markup("</h1>\n");
    page.element("p", "counts", counts_in_words(record))
        .markup("\n");
    page.markup("<p class=\"command\">assay ")
        .command(&run.start.arguments)
        .markup("</p>\n");
    let network = match run.start.network {
        Network::Live => None,
        Network::Record => Some("Network: recorded, every URL asked once."),
        Network::Replay => {
            Some("Network: replayed from assay.lock; apt was told not to ask how old an index is.")
        }
        Network::None => Some("Network: none."),
    };
    let end = match run.end {
        RunEnd::Complete => None,
        RunEnd::Interrupted => Some("The run was interrupted."),
        RunEnd::Truncated => Some("The run was killed or still runs: its journal has no end."),
    };
    for (class, said) in [("note warn", end), ("note", network)] {
        if let Some(said) = said {
            page.element("p", class, said).markup("\n");
        }
    }
    stand_ins(record, page);
}

/// No result of a stand-in is taken for one of the real thing.
fn stand_ins(record: &Record, page: &mut Page) {
    let kinds = record
        .cells
        .iter()
        .filter_map(|cell| cell.facts.planned.image.as_ref());
    let lab = kinds.filter(|image| image.kind == ImageKind::Lab).count();
    if lab > 0 {
        page.markup("<p class=\"note lab\"><b>Lab images:</b> ")
            .count(lab)
            .markup(" of ");
        page.text(plural(record.cells.len(), "cell"));
        page.markup(" ran in a stand-in built by the lab. What they show is not what the distribution's own image would.</p>\n");
    }
}

fn tiles(record: &Record, cells: &[Cell<'_>], page: &mut Page) {
    let counts = Counts::of(record);
    let undeclared: usize = cells.iter().map(|cell| cell.screen.undeclared.len()).sum();
    let refused: usize = cells.iter().map(|cell| cell.screen.refused.len()).sum();
    let gaps: usize = record.cells.iter().map(|cell| cell.gaps.len()).sum();
    let failed = counts.failed + counts.unexpected;
    let no_result = counts.infra + counts.not_run + counts.cancelled;
    page.markup("<ul class=\"tiles\">\n");
    for (count, one, many, class) in [
        (
            undeclared,
            "operation not declared",
            "operations not declared",
            "bad",
        ),
        (refused, "needs consent", "need consent", "warn"),
        (gaps, "gap in capture", "gaps in capture", "bad"),
        (
            failed,
            "cell not as expected",
            "cells not as expected",
            "bad",
        ),
        (
            no_result,
            "cell without a result",
            "cells without a result",
            "warn",
        ),
        (
            counts.snapshot_findings,
            "plan not as reviewed",
            "plans not as reviewed",
            "warn",
        ),
    ] {
        page.open("li", if count == 0 { "none" } else { class })
            .markup("<b>")
            .count(count);
        page.markup("</b> ")
            .markup(if count == 1 { one } else { many })
            .markup("</li>\n");
    }
    page.markup("</ul>\n");
}

fn findings(record: &Record, cells: &[Cell<'_>], page: &mut Page) {
    page.markup("<section id=\"findings\">\n<h2>What to look at</h2>\n");
    let before = page.as_str().len();
    undeclared(cells, page);
    refused(record, cells, page);
    not_as_expected(record, page);
    if page.as_str().len() == before {
        page.markup("<p class=\"nothing good\"><b>✓ Nothing.</b> Every cell ended as expected; nothing was seen that is not declared or does not come with a package, and nothing lacks a consent.</p>\n");
    }
    page.markup("</section>\n");
}

/// What is said of operations that are alike, the gravest first: risk, kind, why.
type Alike = (Risk, KindName, String);

/// Subjects of alike operations, each with the cells it was seen in.
type Subjects<'r> = BTreeMap<&'r str, BTreeSet<usize>>;

fn undeclared(cells: &[Cell<'_>], page: &mut Page) {
    let mut all: BTreeMap<Alike, Subjects<'_>> = BTreeMap::new();
    for cell in cells {
        for seen in &cell.record.observed.operations {
            let Class::Undeclared { why } = &seen.class else {
                continue;
            };
            let alike = (seen.risk, seen.operation.kind.name(), why_in_words(why));
            let subjects = all.entry(alike).or_default();
            let seen_in = subjects.entry(&seen.operation.subject).or_default();
            seen_in.insert(cell.number);
        }
    }
    table("bad", "Not declared", all, cells, page);
}

fn refused(record: &Record, cells: &[Cell<'_>], page: &mut Page) {
    let mut all: BTreeMap<Alike, Subjects<'_>> = BTreeMap::new();
    for cell in cells {
        for item in &cell.screen.refused {
            let says = item
                .standing
                .map(|standing| standing_in_words(standing, ledger(record)));
            let kind = item.operation.kind.name();
            let alike = (item.line.risk, kind, says.unwrap_or_default());
            let subjects = all.entry(alike).or_default();
            let seen_in = subjects.entry(&item.operation.subject).or_default();
            seen_in.insert(cell.number);
        }
    }
    table("warn", "Needs consent", all, cells, page);
    let mut grants: Vec<String> = Vec::new();
    for grant in cells.iter().filter_map(|cell| cell.screen.grant(record)) {
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    if grants.is_empty() {
        return;
    }
    page.markup("<p>Each shows what that is, then grants it:</p>\n<ul class=\"grants\">\n");
    let left = page.each(&grants, FINDINGS, |page, grant| {
        page.markup("<li><code class=\"copy\">")
            .text(grant)
            .markup("</code></li>\n");
    });
    page.more(left, "<li>", "</li>\n");
    page.markup("</ul>\n");
}

fn table(
    class: &'static str,
    title: &'static str,
    all: BTreeMap<Alike, Subjects<'_>>,
    cells: &[Cell<'_>],
    page: &mut Page,
) {
    if all.is_empty() {
        return;
    }
    // What was seen in the same cells stands in one row.
    let mut rows: Vec<(&Alike, BTreeSet<usize>, Vec<&str>)> = Vec::new();
    for (alike, subjects) in &all {
        let begin = rows.len();
        for (subject, seen_in) in subjects {
            match rows[begin..]
                .iter_mut()
                .find(|(_, cells, _)| cells == seen_in)
            {
                Some((_, _, subjects)) => subjects.push(subject),
                None => rows.push((alike, seen_in.clone(), vec![subject])),
            }
        }
    }
    let count: usize = all.values().map(BTreeMap::len).sum();
    page.markup("<table class=\"operations ")
        .markup(class)
        .markup("\">\n<caption>")
        .markup(title);
    page.markup(" <span class=\"n\">")
        .count(count)
        .markup("</span></caption>\n");
    page.markup("<thead><tr><th scope=\"col\">Risk</th><th scope=\"col\">Operation</th><th scope=\"col\">Cells</th></tr></thead>\n<tbody>\n");
    let left = page.each(
        &rows,
        FINDINGS,
        |page, ((risk, kind, says), seen_in, subjects)| {
            page.markup("<tr><td>");
            operations::risk(*risk, page);
            page.markup("</td><td class=\"what\">")
                .element("b", "kind", kind.as_str());
            some_then_all(subjects, page);
            page.markup("<span class=\"field\">")
                .prose(says)
                .markup("</span></td><td class=\"cells\">");
            let seen_in: Vec<usize> = seen_in.iter().copied().collect();
            let left = page.each(&seen_in, CELLS, |page, cell| {
                let name = cells[*cell].record.facts.cell.to_string();
                page.link(Anchor::Cell(*cell), name).markup(" ");
            });
            page.more(left, "", "");
            page.markup("</td></tr>\n");
        },
    );
    page.more(left, "<tr><td></td><td colspan=\"2\">", "</td></tr>\n");
    page.markup("</tbody>\n</table>\n");
}

/// The first subjects, and the rest folded away.
fn some_then_all(subjects: &[&str], page: &mut Page) {
    let (first, rest) = subjects.split_at(subjects.len().min(SUBJECTS));
    for subject in first {
        page.markup(" <code>").text(subject).markup("</code>");
    }
    if rest.is_empty() {
        return;
    }
    page.markup("<details><summary>and ")
        .count(rest.len())
        .markup(" more</summary>");
    let left = page.each(rest, FINDINGS, |page, subject| {
        page.markup(" <code>").text(subject).markup("</code>");
    });
    page.more(left, " ", "");
    page.markup("</details>");
}

/// Cells that ended otherwise than they should have, or did not end, or whose plan is another.
fn not_as_expected(record: &Record, page: &mut Page) {
    let cells = record.cells.iter().enumerate();
    let cells: Vec<_> = cells
        .filter(|(_, cell)| cell.verdict != Verdict::AsExpected || snapshot_differs(cell))
        .collect();
    if cells.is_empty() {
        return;
    }
    page.markup("<table class=\"outcomes\">\n<caption>Not as expected <span class=\"n\">")
        .count(cells.len());
    page.markup("</span></caption>\n<thead><tr><th scope=\"col\">Cell</th><th scope=\"col\">Ended</th></tr></thead>\n<tbody>\n");
    let left = page.each(&cells, FINDINGS, |page, (number, cell)| {
        page.markup("<tr><th scope=\"row\">")
            .link(Anchor::Cell(*number), cell_title(cell));
        page.markup("</th><td><b>")
            .text(headline(&cell.outcome, cell.verdict))
            .markup("</b>");
        let because = because(&cell.outcome);
        if !because.is_empty() {
            page.markup("<span class=\"field\">")
                .text_up_to(BECAUSE, because)
                .markup("</span>");
        }
        if snapshot_differs(cell) {
            page.markup("<span class=\"field\">the plan is not the one that was reviewed</span>");
        }
        page.markup("</td></tr>\n");
    });
    page.more(left, "<tr><td></td><td>", "</td></tr>\n");
    page.markup("</tbody>\n</table>\n");
}
