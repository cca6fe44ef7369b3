//! Everything about one cell: how it ended and why, the reviewer's screen, its ops, packages, requests,
//! times, and what it ran under.

use assay_observe::expectation::Verdict;
use assay_observe::notable;
use assay_observe::outcome::Failure;
use assay_observe::{Outcome, Record};
use assay_wire::event::{ImageKind, Request, RequestDecision, SnapshotFinding};
use assay_wire::outcome::Reason;

use super::page::{Anchor, Page};
use super::{Cell, files, ops, packages, review, timeline};
use crate::sanitise;
use crate::words::{
    because, failure_in_words, failure_output, fallbacks, headline, kind_mark, phase, plural,
    recipes, row_in_words, seconds, selection, serde_word, sign,
};

/// Cells that need a look are open from the start if they are no more than so many.
const OPEN: usize = 3;
/// Most characters of a message, and of a line of output.
const MESSAGE: usize = 1000;
/// Lines of a plan's difference from its snapshot.
const SNAPSHOT: usize = 200;

/// Writes a cell, one of so many.
pub(super) fn write(record: &Record, cell: &Cell<'_>, cells: usize, page: &mut Page) {
    let state = cell.state();
    page.markup("<details class=\"cell ")
        .markup(state)
        .markup("\"");
    let open = cells == 1 || (cells <= OPEN && matches!(state, "bad" | "warn"));
    page.markup(if open { " open=\"\">\n" } else { ">\n" });
    summary(cell, page);
    page.markup("<div class=\"body\"")
        .id(Anchor::Cell(cell.number))
        .markup(">\n");
    stand_in(cell, page);
    outcome(record, cell, page);
    snapshot(cell, page);
    review::write(record, cell, page);
    ops::write(cell, page);
    second_apply(cell, page);
    packages::write(cell, page);
    requests(cell, page);
    timeline::of_cell(cell, page);
    conditions(cell, page);
    page.markup("</div>\n</details>\n");
}

fn summary(cell: &Cell<'_>, page: &mut Page) {
    let facts = &cell.record.facts;
    let word = cell.record.outcome.kind().as_str().replace('_', " ");
    page.markup("<summary><span class=\"state\">");
    page.text(format!("{} {word}", sign(cell.record)));
    page.markup("</span> <b class=\"title\">")
        .text(recipes(cell.record))
        .markup("</b> on <b>");
    page.text(facts.cell.target.as_str()).markup("</b>");
    if let Some(image) = &facts.planned.image {
        let mark = kind_mark(Some(image.kind));
        if !mark.is_empty() {
            page.markup(" ")
                .element("span", "mark", mark.trim_matches([' ', '(', ')']));
        }
        let variant = image.variant.to_string();
        if variant != "minimal" {
            page.markup(" ").element("span", "mark", variant);
        }
    }
    page.markup("<span class=\"meta\">");
    let counts = [
        (
            cell.screen.undeclared.len(),
            "not declared",
            "not declared",
            "flag bad",
        ),
        (
            cell.screen.refused.len(),
            "needs consent",
            "need consent",
            "flag warn",
        ),
        (cell.record.gaps.len(), "gap", "gaps", "flag bad"),
    ];
    for (count, one, many, class) in counts {
        if count > 0 {
            page.open("span", class)
                .counted(count as u64, one, many)
                .markup("</span> ");
        }
    }
    let time = cell.record.timings.total_ms;
    if time > 0 {
        page.text(seconds(time));
    }
    page.markup("</span></summary>\n");
}

/// A lab result is never shown as a genuine one.
fn stand_in(cell: &Cell<'_>, page: &mut Page) {
    let Some(image) = &cell.record.facts.planned.image else {
        return;
    };
    if image.kind == ImageKind::Lab {
        page.markup("<p class=\"note lab\"><b>Lab image.</b> A stand-in for <code>")
            .text(image.target.as_str());
        page.markup("</code> built by the lab, not the distribution's own.");
        if let Some(note) = &image.note {
            page.markup(" It ").text(note).markup(".");
        }
        page.markup("</p>\n");
    }
}

fn outcome(record: &Record, cell: &Cell<'_>, page: &mut Page) {
    let known = cell.record;
    if let Some(row) = &known.facts.planned.expected {
        page.markup("<p class=\"expected\">Expected: ")
            .text(row_in_words(row))
            .markup("</p>\n");
    }
    let class = match known.verdict {
        Verdict::AsExpected => "outcome mute",
        Verdict::Differs => "outcome bad",
        Verdict::NoResult => "outcome warn",
    };
    if known.outcome == Outcome::Passed && known.verdict == Verdict::AsExpected {
        return;
    }
    page.open("section", class)
        .markup("\n<h3>")
        .text(headline(&known.outcome, known.verdict))
        .markup("</h3>\n");
    for (index, one) in known.outcome.failures().enumerate() {
        if index > 0 {
            page.markup("<h4>also in ")
                .text(phase(one.phase))
                .markup(": ")
                .text(one.reason.as_str())
                .markup("</h4>\n");
        }
        failure(cell, one, page);
    }
    let why = because(&known.outcome);
    if known.outcome.failures().next().is_none() && !why.is_empty() {
        page.markup("<p>").prose(why).markup("</p>\n");
    }
    if let Outcome::Infra {
        hint: Some(hint), ..
    } = &known.outcome
    {
        page.markup("<p>").prose(hint).markup("</p>\n");
    }
    let again = format!("assay test {}", selection(record, known));
    page.markup("<p>Again: <code class=\"copy\">")
        .text(again)
        .markup("</code></p>\n</section>\n");
}

fn failure(cell: &Cell<'_>, failure: &Failure, page: &mut Page) {
    page.markup("<dl>\n");
    for (name, text) in failure_in_words(cell.record, failure) {
        page.markup("<dt>").markup(name).markup("</dt><dd>");
        page.prose(text).markup("</dd>\n");
    }
    page.markup("</dl>\n");
    for lines in fallbacks(cell.record, failure, MESSAGE) {
        page.markup("<p>What the author says to do:</p>\n<pre>")
            .lines(&lines)
            .markup("</pre>\n");
    }
    let lines = page.detail.output.clamp(5, 40);
    for (name, lines) in failure_output(cell.record, failure, lines, MESSAGE) {
        page.markup("<p>")
            .markup(name)
            .markup(", the last lines:</p>\n<pre>")
            .lines(&lines)
            .markup("</pre>\n");
    }
    if failure.reason == Reason::NotIdempotent {
        page.markup("<p>What the second apply changed is below the steps.</p>\n");
    }
}

fn snapshot(cell: &Cell<'_>, page: &mut Page) {
    let diff = match &cell.record.facts.planned.snapshot {
        SnapshotFinding::NotJudged | SnapshotFinding::Same => return,
        SnapshotFinding::Missing => None,
        SnapshotFinding::Different { diff } => Some(diff),
    };
    page.markup("<section class=\"outcome warn\">\n<h3>");
    page.markup(if diff.is_some() {
        "the plan differs from its snapshot"
    } else {
        "the plan has no snapshot"
    });
    page.markup("</h3>\n");
    if let Some(diff) = diff {
        let lines = sanitise::block(diff, SNAPSHOT, MESSAGE);
        page.markup("<pre>").lines(&lines).markup("</pre>\n");
    }
    let names = recipes(cell.record).replace(',', " ");
    let accept = format!(
        "assay snapshot accept {names} --on {}",
        cell.record.facts.cell.target
    );
    page.markup("<p>To take it: <code class=\"copy\">")
        .text(accept)
        .markup("</code></p>\n</section>\n");
}

/// What the second apply changed, with what of it does not count.
fn second_apply(cell: &Cell<'_>, page: &mut Page) {
    let changes: Vec<_> = cell.record.repeated_changes().collect();
    let states = cell.record.repeated_states();
    let noise = &cell.record.noise;
    if changes.is_empty() && states.is_empty() && noise.is_empty() {
        return;
    }
    page.markup(
        "<details class=\"second\"><summary>Changed by the second apply <span class=\"n\">",
    );
    page.count(changes.len() + states.len())
        .markup("</span></summary>\n");
    files::write(&notable::changes(changes), states, page);
    if !noise.is_empty() {
        page.markup("<p>On the noise list, not counted:</p>\n<ul>\n");
        let noise: Vec<_> = noise.iter().collect();
        let left = page.each(&noise, page.detail.rows, |page, (path, why)| {
            page.markup("<li><code>")
                .text(path.as_str())
                .markup("</code> ")
                .text(*why)
                .markup("</li>\n");
        });
        page.more(left, "<li>", "</li>\n");
        page.markup("</ul>\n");
    }
    page.markup("</details>\n");
}

fn requests(cell: &Cell<'_>, page: &mut Page) {
    let all = &cell.record.facts.requests;
    if all.is_empty() {
        return;
    }
    page.markup("<details class=\"requests\"><summary>Requests <span class=\"n\">")
        .count(all.len());
    page.markup("</span></summary>\n<table>\n<caption>What it asked of the world, and what came</caption>\n<thead><tr>");
    for name in ["Op", "Asked", "Came", "Bytes", "By"] {
        page.markup("<th scope=\"col\">")
            .markup(name)
            .markup("</th>");
    }
    page.markup("</tr></thead>\n<tbody>\n");
    let left = page.each(all, page.detail.rows, request);
    page.more(left, "<tr><td></td><td colspan=\"4\">", "</td></tr>\n");
    page.markup("</tbody>\n</table>\n</details>\n");
}

fn request(page: &mut Page, request: &Request) {
    let (word, why, class) = match &request.decision {
        RequestDecision::Served => ("served by the lab", None, ""),
        RequestDecision::Forwarded => ("forwarded", None, ""),
        RequestDecision::Replayed => ("replayed", None, ""),
        RequestDecision::Tunnelled => ("tunnelled, not looked into", None, ""),
        RequestDecision::Refused { reason } => ("refused", Some(reason), "warn"),
        RequestDecision::AnswerRefused { reason } => ("answer refused", Some(reason), "warn"),
        RequestDecision::Failed { reason } => ("failed", Some(reason), "warn"),
        RequestDecision::Missed { reason } => ("not recorded", Some(reason), "warn"),
    };
    page.open("tr", class).markup("<td>");
    page.text(request.op.map_or("–".to_owned(), |op| op.to_string()));
    page.markup("</td><td><code>")
        .text_up_to(20, &request.method)
        .markup(" ")
        .text(&request.url);
    page.markup("</code></td><td>")
        .number(u64::from(request.status))
        .markup(" ")
        .markup(word);
    if let Some(why) = why {
        page.markup("<span class=\"field\">")
            .text(why)
            .markup("</span>");
    }
    if request.has_drifted() {
        page.markup("<span class=\"field\"><b>not what assay.lock recorded</b></span>");
    }
    page.markup("</td><td class=\"number\">")
        .number(request.bytes)
        .markup("</td><td>");
    if let Some(asker) = &request.asker {
        let program = asker
            .program
            .as_deref()
            .unwrap_or("one of several programs");
        page.text_up_to(64, program)
            .markup(", user ")
            .text(asker.uid.to_string());
    }
    page.markup("</td></tr>\n");
}

/// What it ran under, for whoever wants to repeat or to doubt it.
fn conditions(cell: &Cell<'_>, page: &mut Page) {
    let facts = &cell.record.facts;
    let planned = &facts.planned;
    page.markup(
        "<details class=\"conditions\"><summary>Image, keys and conditions</summary>\n<dl>\n",
    );
    let mut row = |name: &'static str, text: String| {
        page.markup("<dt>")
            .markup(name)
            .markup("</dt><dd><code>")
            .text(text)
            .markup("</code></dd>\n");
    };
    if let Some(image) = &planned.image {
        row("image", image.id.clone());
        row("image from", serde_word(&image.kind));
        row("variant", image.variant.to_string());
    }
    row("plan", format!("sha256:{}", cell.record.plan_digest));
    row("cell key", format!("sha256:{}", cell.record.cell_key));
    if let Some(sandbox) = &facts.sandbox {
        row("engine", sandbox.engine.clone());
        row("executor", format!("sha256:{}", sandbox.executor_sha256));
    }
    if let Some(boot) = &facts.booted {
        row("PID 1", format!("{}, {}", boot.systemd, boot.state));
    }
    let limits = &planned.conditions;
    row("memory", format!("{} MiB", limits.memory_bytes >> 20));
    row(
        "processors",
        format!(
            "{}.{}",
            limits.milli_cpus / 1000,
            limits.milli_cpus % 1000 / 100
        ),
    );
    row("processes", limits.pids.to_string());
    row("time", seconds(limits.cell_ms));
    if let Some(user) = &facts.user {
        let added = if user.added {
            "added by the harness"
        } else {
            "of the image"
        };
        row("user dev", format!("{}:{}, {added}", user.uid, user.gid));
    }
    for attempt in facts.attempts.iter().take(10) {
        if let Some(failed) = &attempt.failure {
            row(
                "broke off",
                format!("attempt {}: {}", attempt.number, failed.message),
            );
        }
    }
    if let Some(check) = &facts.cross_check {
        let unseen = plural(check.unseen.len(), "path");
        row(
            "cross-check",
            format!(
                "the engine lists {} changes, {unseen} that no manifest saw",
                check.listed
            ),
        );
    }
    page.markup("</dl>\n</details>\n");
}
