//! Scripts and Markdown of whole plans. That a script does what it shows is proved where a shell may
//! be started: `harness/tests/cli/script.rs`.

use super::*;
use crate::fixtures::{recipe, sample_recipes, target};
use assay_wire::name::CellId;

fn cell(recipe: &str, target: &str) -> CellId {
    format!("{target}:{recipe}").parse().expect("a cell")
}

#[test]
fn scripts_of_the_samples() {
    let library = sample_recipes();
    for (asked, set) in [
        ("docker", &library[..2]),
        ("tools", &library[2..3]),
        ("vocabulary", &library[3..]),
    ] {
        let set: Vec<&assay_recipe::Recipe> = set.iter().collect();
        for name in ["debian-12", "fedora-44", "arch"] {
            let plan = crate::plan(&set, &target(name)).expect("plannable");
            let script = render_shell(&cell(asked, name), &plan);
            insta::assert_snapshot!(format!("{asked}@{name}.sh"), script);
            assert!(!script.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}

#[test]
fn markdown_of_the_samples() {
    let library = sample_recipes();
    let set: Vec<&assay_recipe::Recipe> = library[2..3].iter().collect();
    let cells: Vec<(CellId, Plan)> = ["debian-12", "debian-13", "arch", "no-id"]
        .iter()
        .map(|name| {
            let plan = crate::plan(&set, &target(name)).expect("plannable");
            (cell("tools", name), plan)
        })
        .collect();
    let plans: Vec<(&CellId, &Plan)> = cells.iter().map(|(cell, plan)| (cell, plan)).collect();
    insta::assert_snapshot!("markdown", render_markdown(&plans));
}

#[test]
fn authors_text_ends_no_block_of_markdown() {
    let text = "[metadata]\nname = \"a\"\n[[steps]]\naction = \"manual\"\ntext = \"\"\"\n```\n<script>\n````\n# x\n\"\"\"\n";
    let plan = crate::plan(&[&recipe(text)], &target("arch")).expect("plannable");
    let shown = render_markdown(&[(&cell("a", "arch"), &plan)]);
    let fences: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("`````"))
        .collect();
    assert_eq!(fences, ["`````text", "`````"], "{shown}");
    let inside = shown.split("`````").nth(1).expect("a block");
    assert!(inside.contains("<script>") && inside.contains("````\n"));
}
