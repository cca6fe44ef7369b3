//! Plans as Markdown, for the description of a pull request. Everything an author wrote stands in
//! code, which nothing in it can end.

use std::fmt::Write as _;

use assay_wire::name::CellId;
use assay_wire::plan::{Disposition, Plan};

use super::quote::visible_line;
use super::render_plan;

/// Plans as Markdown: targets whose plans read alike share a section. Steps that do not apply are
/// folded away below each.
#[must_use]
pub fn render_markdown(plans: &[(&CellId, &Plan)]) -> String {
    let mut sections: Vec<(Vec<&CellId>, String)> = Vec::new();
    for (cell, plan) in plans {
        let body = section(plan);
        let alike = sections
            .iter_mut()
            .find(|(cells, text)| *text == body && cells[0].recipes == cell.recipes);
        match alike {
            Some((cells, _)) => cells.push(cell),
            None => sections.push((vec![cell], body)),
        }
    }
    let texts: Vec<String> = sections
        .iter()
        .map(|(cells, body)| {
            let recipes: Vec<String> = cells[0]
                .recipes
                .iter()
                .map(|name| code(name.as_str()))
                .collect();
            let targets: Vec<String> = cells
                .iter()
                .map(|cell| code(cell.target.as_str()))
                .collect();
            format!(
                "### {} on {}\n\n{body}",
                recipes.join(", "),
                targets.join(", ")
            )
        })
        .collect();
    texts.join("\n")
}

fn section(plan: &Plan) -> String {
    let mut text = String::new();
    if let Some(reason) = &plan.unsupported {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "Unsupported: {}", code(&visible_line(reason)));
        return text;
    }
    let _ = writeln!(text, "Plan {}\n", code(&plan.digest().short()));
    text.push_str(&fenced(&render_plan(plan)));
    let dropped: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.disposition {
            Disposition::Dropped { reason } => Some(format!(
                "- {} {}: {}\n",
                code(&step.step.to_string()),
                code(&step.action),
                code(&visible_line(reason))
            )),
            Disposition::Applies | Disposition::Manual { .. } => None,
        })
        .collect();
    if !dropped.is_empty() {
        let steps = if dropped.len() == 1 {
            "step does"
        } else {
            "steps do"
        };
        let _ = write!(
            text,
            "\n<details><summary>{} {steps} not apply here</summary>\n\n{}\n</details>\n",
            dropped.len(),
            dropped.concat()
        );
    }
    text
}

/// Text within a line, as code: between more backticks than it holds in a row.
fn code(text: &str) -> String {
    let ticks = "`".repeat(longest_run(text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{space}{text}{space}{ticks}")
}

/// Lines as a block of code.
fn fenced(text: &str) -> String {
    let ticks = "`".repeat((longest_run(text) + 1).max(3));
    format!("{ticks}text\n{text}{ticks}\n")
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or_default()
}
