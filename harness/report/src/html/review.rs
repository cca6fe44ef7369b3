//! What a reviewer of a cell sees first, on at most one screen: what was not declared, what needs consent,
//! what was declared and seen, what came with the packages, what is only counted, and how it was captured.
//!
//! What stands on it, and in which order and words, [`crate::screen`] says; here it is only laid out.

use std::collections::{BTreeMap, BTreeSet};

use assay_observe::Record;
use assay_observe::observed::ObservedOperation;
use assay_observe::risk::Risk;

use super::Cell;
use super::operations::{self, Beside};
use super::page::{Anchor, Page};
use crate::screen::{Consents, Item, capture, folded};

/// Subjects of one kind that are named of what a package brings, before the rest is only counted.
const SUBJECTS: usize = 40;
/// Most characters of one of them.
const SUBJECT: usize = 160;
/// Most characters of what is only counted, and of how it was captured.
const COUNTED: usize = 1000;

/// Writes the screen of a cell.
pub(super) fn write(record: &Record, cell: &Cell<'_>, page: &mut Page) {
    let screen = &cell.screen;
    page.markup("<section class=\"review\">\n<table class=\"operations\">\n<caption>What only root may do</caption>\n");
    if cell.is_privileged() {
        operations::head(Beside::Step, page);
    }
    let says = "no step declares it, and it is not what a package brings to itself";
    group("bad", "Not declared", says, &screen.undeclared, cell, page);
    let says = "explained, and nobody has granted it";
    group("warn", "Needs consent", says, &screen.refused, cell, page);
    grant(record, cell, page);
    let (declared, brought) = match screen.consents {
        Consents::Judged => ("Declared, consented", "granted or approved, a set for each"),
        Consents::NotJudged => ("Declared", "a set for each"),
    };
    let says = "the recipe says so";
    group("good", declared, says, &screen.declared, cell, page);
    let title = "Comes with the packages";
    group("good", title, brought, &screen.accompanying, cell, page);
    nothing(cell, page);
    counted(cell, page);
    page.markup("</table>\n</section>\n");
}

/// Operations under a title with their count, and a word for what that means.
fn group(
    class: &'static str,
    title: &'static str,
    says: &'static str,
    items: &[Item<'_>],
    cell: &Cell<'_>,
    page: &mut Page,
) {
    if items.is_empty() {
        return;
    }
    begin(class, title, page);
    page.markup(" <span class=\"n\">")
        .count(items.len())
        .markup("</span>")
        .element("small", "", says)
        .markup("</th></tr>\n");
    let left = page.each(items, page.detail.operations, |page, item| {
        row(cell, item, page);
    });
    operations::more(left, page);
    page.markup("</tbody>\n");
}

fn begin(class: &'static str, title: &'static str, page: &mut Page) {
    page.open("tbody", class)
        .markup("\n<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"")
        .markup(operations::COLUMNS)
        .markup("\">")
        .element("b", "", title);
}

fn row(cell: &Cell<'_>, item: &Item<'_>, page: &mut Page) {
    let line = &item.line;
    page.markup("<tr><td>");
    operations::risk(line.risk, page);
    page.markup("</td><td class=\"what\">");
    page.element("b", "kind", &line.name).markup(" ");
    if item.parts.is_empty() {
        page.element("code", "subject", &line.what);
    } else {
        if line.name == item.operation.kind.name().as_str() {
            page.element("code", "subject", &item.operation.subject);
        }
        parts(&item.parts, page);
    }
    for notes in [&line.notes, &line.more] {
        if !notes.is_empty() {
            page.markup("<span class=\"field\">")
                .prose(notes.join(" · "))
                .markup("</span>");
        }
    }
    operations::states(item.operation, page);
    if item.standing.is_some_and(|standing| standing.is_refused()) {
        page.markup("<span class=\"field\">consent is to <code>sha256:")
            .text(item.digest.to_string())
            .markup("</code></span>");
    }
    page.markup("</td><td class=\"step\">");
    operations::place(cell, item.operation, &line.places.join(", "), page);
    page.markup("</td>");
    operations::attack(line.attack, page);
    page.markup("</tr>\n");
}

/// What a package brings, the gravest kinds first: how many of each, and folded away, which.
fn parts(parts: &[&ObservedOperation], page: &mut Page) {
    let mut kinds: BTreeMap<(Risk, &'static str), BTreeSet<&str>> = BTreeMap::new();
    for part in parts {
        let kind = part.operation.kind.name();
        let subjects = kinds.entry((part.risk, kind.as_str())).or_default();
        subjects.insert(&part.operation.subject);
    }
    page.markup("<details class=\"parts\"><summary>");
    for (at, ((_, kind), subjects)) in kinds.iter().enumerate() {
        page.markup(if at > 0 { ", " } else { "" }).markup(kind);
        if subjects.len() > 1 {
            page.markup(" × ").count(subjects.len());
        }
    }
    page.markup("</summary>");
    for ((_, kind), subjects) in kinds {
        page.markup("<span class=\"field\"><i>")
            .markup(kind)
            .markup("</i>");
        let subjects: Vec<&str> = subjects.into_iter().collect();
        let left = page.each(&subjects, SUBJECTS, |page, subject| {
            page.markup(" <code>")
                .text_up_to(SUBJECT, subject)
                .markup("</code>");
        });
        page.more(left, " ", "");
        page.markup("</span>");
    }
    page.markup("</details>");
}

fn grant(record: &Record, cell: &Cell<'_>, page: &mut Page) {
    let Some(command) = cell.screen.grant(record) else {
        return;
    };
    page.markup("<tbody>\n");
    line(page, |page| {
        page.markup("It shows what that is, then grants it: <code class=\"copy\">")
            .text(command)
            .markup("</code>");
    });
    page.markup("</tbody>\n");
}

/// Said of a cell that ran and of which none of the above is true.
fn nothing(cell: &Cell<'_>, page: &mut Page) {
    if cell.ran() && !cell.is_privileged() {
        page.markup("<tbody>\n");
        line(page, |page| {
            page.markup(if cell.record.gaps.is_empty() {
                "Nothing above ordinary."
            } else {
                "Nothing above ordinary was seen, and not everything was captured."
            });
        });
        page.markup("</tbody>\n");
    }
}

/// What is only counted, and what this report can know at all.
fn counted(cell: &Cell<'_>, page: &mut Page) {
    let record = cell.record;
    if !cell.ran() {
        return;
    }
    let gaps = &record.gaps;
    let class = if gaps.is_empty() { "mute" } else { "bad" };
    page.open("tbody", class).markup("\n");
    let texts = folded(&[record]);
    if !texts.is_empty() {
        line(page, |page| {
            page.markup("<b>Folded</b> ")
                .text_up_to(COUNTED, texts.join(" · "));
            if !record.delta.packages.is_empty() {
                page.markup(" · ")
                    .link(Anchor::Packages(cell.number), "packages");
            }
        });
    }
    line(page, |page| {
        page.markup("<b>Capture</b> ")
            .text_up_to(COUNTED, capture(&[record]).join(" · "));
    });
    // The first is named above.
    let left = page.each(gaps.get(1..).unwrap_or_default(), page.detail.rows, {
        |page, gap| {
            line(page, |page| {
                page.markup("<b>Gap</b> ")
                    .text_up_to(COUNTED, gap.to_string());
            });
        }
    });
    operations::more(left, page);
    page.markup("</tbody>\n");
}

fn line(page: &mut Page, write: impl FnOnce(&mut Page)) {
    page.markup("<tr><td class=\"line\" colspan=\"")
        .markup(operations::COLUMNS)
        .markup("\">");
    write(page);
    page.markup("</td></tr>\n");
}
