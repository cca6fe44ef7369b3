//! The matrix: recipes down, targets across; in every cell a sign, a word and a colour, and how much of it
//! somebody has to look at.

use std::collections::BTreeMap;

use assay_observe::Record;
use assay_wire::event::ImageKind;

use super::Cell;
use super::page::{Anchor, Page};
use crate::words::{Column, column_of, columns, kind_mark, recipes, sign, snapshot_differs};

/// Writes the matrix with the meaning of its signs.
pub(super) fn write(record: &Record, cells: &[Cell<'_>], page: &mut Page) {
    page.markup("<section id=\"matrix\">\n<h2>Matrix</h2>\n");
    let columns = columns(record);
    let mut rows: Vec<String> = Vec::new();
    let mut row_of: BTreeMap<String, usize> = BTreeMap::new();
    let mut places: BTreeMap<(usize, usize), &Cell<'_>> = BTreeMap::new();
    for cell in cells {
        let name = recipes(cell.record);
        let row = *row_of.entry(name.clone()).or_insert_with(|| {
            rows.push(name);
            rows.len() - 1
        });
        if let Some(column) = column_of(&columns, cell.record) {
            places.insert((row, column), cell);
        }
    }
    page.markup("<div class=\"scroll\" role=\"region\" aria-label=\"Matrix\" tabindex=\"0\">\n<table class=\"matrix\">\n");
    page.markup(
        "<caption>Recipes down, targets across</caption>\n<thead><tr><th scope=\"col\">Recipe</th>",
    );
    for column in &columns {
        head(*column, page);
    }
    page.markup("</tr></thead>\n<tbody>\n");
    for (row, name) in rows.iter().enumerate() {
        page.markup("<tr><th scope=\"row\">")
            .text(name)
            .markup("</th>");
        for (column, (_, kind)) in columns.iter().enumerate() {
            match places.get(&(row, column)) {
                Some(cell) => one(cell, is_lab(*kind), page),
                None => {
                    page.markup("<td class=\"empty\"></td>");
                }
            }
        }
        page.markup("</tr>\n");
    }
    page.markup("</tbody>\n</table>\n</div>\n");
    legend(cells, page);
    page.markup("</section>\n");
}

fn is_lab(kind: Option<ImageKind>) -> bool {
    kind == Some(ImageKind::Lab)
}

fn head((target, kind): Column<'_>, page: &mut Page) {
    page.markup("<th scope=\"col\"")
        .markup(if is_lab(kind) { " class=\"lab\">" } else { ">" });
    page.text(target.as_str());
    let mark = kind_mark(kind);
    if !mark.is_empty() {
        page.element("small", "", mark.trim_matches([' ', '(', ')']));
    }
    page.markup("</th>");
}

fn one(cell: &Cell<'_>, lab: bool, page: &mut Page) {
    page.markup("<td class=\"")
        .markup(cell.state())
        .markup(if lab { " lab\">" } else { "\">" });
    let word = cell.record.outcome.kind().as_str().replace('_', " ");
    page.link(
        Anchor::Cell(cell.number),
        format!("{} {word}", sign(cell.record)),
    );
    let counts = [
        (cell.screen.undeclared.len(), "undeclared", "undeclared"),
        (cell.screen.refused.len(), "needs consent", "need consent"),
        (cell.record.gaps.len(), "gap", "gaps"),
    ];
    for (count, one, many) in counts {
        if count > 0 {
            page.markup("<small>")
                .counted(count as u64, one, many)
                .markup("</small>");
        }
    }
    if snapshot_differs(cell.record) {
        page.markup("<small>plan differs</small>");
    }
    page.markup("</td>");
}

fn legend(cells: &[Cell<'_>], page: &mut Page) {
    let signs = [
        ("✓", "as it should be"),
        ("✗", "not as expected"),
        ("~", "failed as expected.toml says"),
        ("○", "a step has to be done by hand"),
        ("–", "nothing to install there"),
        ("!", "no result"),
    ];
    page.markup("<p class=\"legend\">");
    for (one, meaning) in signs {
        if cells.iter().any(|cell| sign(cell.record) == one) {
            page.markup("<span><b>")
                .markup(one)
                .markup("</b> ")
                .markup(meaning)
                .markup("</span> ");
        }
    }
    page.markup("</p>\n");
}
