//! Times as bars: each stands in a row of a table whose numbers say the same, so that nobody has to see it.

use assay_observe::Record;
use assay_observe::record::{CellFacts, Performance};
use assay_wire::event::ManifestPoint;
use assay_wire::program::Pass;

use super::Cell;
use super::page::{Anchor, Page};
use crate::words::{cell_title, seconds, sign};

/// One bar: where it begins and how long it is, in milliseconds.
struct Span {
    class: &'static str,
    from: u64,
    took: u64,
}

/// When each cell of a run was at work.
pub(super) fn of_run(record: &Record, cells: &[Cell<'_>], page: &mut Page) {
    let ran: Vec<&Cell<'_>> = cells.iter().filter(|cell| cell.ran()).collect();
    if ran.len() < 2 {
        return;
    }
    page.markup("<details class=\"times\"><summary>When which cell ran <span class=\"n\">")
        .text(seconds(record.run.duration_ms));
    page.markup("</span></summary>\n");
    begin("Cells in the order of their beginning", "Cell", page);
    let mut rows: Vec<(Span, &Cell<'_>)> = ran.iter().map(|cell| (whole(cell), *cell)).collect();
    rows.sort_by_key(|(span, cell)| (span.from, cell.number));
    let left = page.each(&rows, page.detail.rows, |page, (span, cell)| {
        page.markup("<tr><th scope=\"row\">");
        let title = format!("{} {}", sign(cell.record), cell_title(cell.record));
        page.link(Anchor::Cell(cell.number), title).markup("</th>");
        bar(span, record.run.duration_ms, page);
    });
    page.more(left, "<tr><td colspan=\"4\">", "</td></tr>\n");
    page.markup("</tbody>\n</table>\n</details>\n");
}

/// From a cell's first attempt to its last fact.
fn whole(cell: &Cell<'_>) -> Span {
    let facts = &cell.record.facts;
    let from = facts
        .attempts
        .first()
        .map_or(0, |attempt| attempt.started_ms);
    Span {
        class: cell.state(),
        from,
        took: facts.last_ms.saturating_sub(from),
    }
}

/// Where the time of one cell went. The record holds how long each part took and in which order they came,
/// so bars stand end to end; what lies between parts is the row at the end.
pub(super) fn of_cell(cell: &Cell<'_>, page: &mut Page) {
    let rows = parts(&cell.record.facts);
    if rows.is_empty() {
        return;
    }
    let total = cell.record.timings.total_ms;
    page.markup("<details class=\"times\"><summary>Timeline <span class=\"n\">")
        .text(seconds(total));
    page.markup("</span></summary>\n");
    begin("Parts in their order, end to end", "Part", page);
    let mut at = 0;
    let mut spans = Vec::new();
    for (class, name, took) in rows {
        spans.push((
            name,
            Span {
                class,
                from: at,
                took,
            },
        ));
        at += took;
    }
    let scale = total.max(at);
    if total > at {
        let between = Span {
            class: "mute",
            from: at,
            took: total - at,
        };
        spans.push(("between these, and attempts before".to_owned(), between));
    }
    let left = page.each(&spans, page.detail.rows.max(8), |page, (name, span)| {
        page.markup("<tr><th scope=\"row\">")
            .text_up_to(100, name)
            .markup("</th>");
        bar(span, scale, page);
    });
    page.more(left, "<tr><td colspan=\"4\">", "</td></tr>\n");
    page.markup("</tbody>\n</table>\n</details>\n");
}

fn parts(facts: &CellFacts) -> Vec<(&'static str, String, u64)> {
    let mut rows = Vec::new();
    if let Some(sandbox) = &facts.sandbox {
        rows.push(("start", "sandbox".to_owned(), sandbox.start_ms));
    }
    if let Some(boot) = &facts.booted {
        rows.push(("start", "systemd".to_owned(), boot.ms));
    }
    let manifest = |point: &ManifestPoint, name: &str| {
        let stats = facts.manifest(point)?.stats.as_ref()?;
        Some(("manifest", name.to_owned(), stats.ms))
    };
    rows.extend(manifest(&ManifestPoint::Baseline, "first manifest"));
    for pass in [Pass::First, Pass::Second] {
        for known in &facts.ops {
            let Some(performance) = known.performance(pass) else {
                continue;
            };
            let name = match pass {
                Pass::First => format!("op {}", known.op),
                Pass::Second => format!("op {} again", known.op),
            };
            let applies = facts.op(known.op).is_some_and(|(op, _)| op.applies());
            let class = if applies { "apply" } else { "verify" };
            rows.push((class, name, spent(performance)));
            if pass == Pass::First {
                let point = ManifestPoint::Op(known.op);
                rows.extend(manifest(&point, &format!("manifest after op {}", known.op)));
            }
        }
    }
    rows.extend(manifest(
        &ManifestPoint::SecondApply,
        "manifest after the second apply",
    ));
    rows
}

/// An op's own time with its guard's.
fn spent(performance: &Performance) -> u64 {
    performance.ms + performance.guard.map_or(0, |guard| guard.ms)
}

fn begin(caption: &'static str, what: &'static str, page: &mut Page) {
    page.markup("<table class=\"bars\">\n<caption>")
        .markup(caption)
        .markup("</caption>\n<thead><tr><th scope=\"col\">");
    page.markup(what).markup("</th><th scope=\"col\">From</th><th scope=\"col\">Took</th><td></td></tr></thead>\n<tbody>\n");
}

/// The rest of a row: from when, how long, and both as a bar.
fn bar(span: &Span, scale: u64, page: &mut Page) {
    let share = |ms: u64| ms.min(scale).saturating_mul(1000) / scale.max(1);
    page.element("td", "number", seconds(span.from));
    page.element("td", "number", seconds(span.took));
    page.markup(
        "<td class=\"bar\"><svg width=\"100%\" height=\"10\" aria-hidden=\"true\"><rect class=\"",
    );
    page.markup(span.class)
        .markup("\" x=\"")
        .percent(share(span.from))
        .markup("\" width=\"");
    page.percent(share(span.took).max(2))
        .markup("\" height=\"10\" /></svg></td></tr>\n");
}
