//! `assay check`: every diagnostic of every recipe, at once.

use std::collections::BTreeMap;

use assay_plan::Fault;
use assay_recipe::{Recipe, Severity};
use assay_wire::name::RecipeName;
use serde::Serialize;

use crate::args::Recipes;
use crate::diagnostics::{self, JsonDiagnostic, Source};
use crate::error::{CliError, ErrorKind};
use crate::load::{Loaded, load};
use crate::project::Project;
use crate::terminal::Terminal;

#[derive(Serialize)]
struct Document<'d> {
    schema: &'static str,
    version: u32,
    recipes: Vec<Checked<'d>>,
    /// What only shows with targets in view, by recipe and bytes.
    set: &'d [Fault],
}

#[derive(Serialize)]
struct Checked<'d> {
    file: &'d str,
    valid: bool,
    diagnostics: Vec<JsonDiagnostic<'d>>,
}

/// Parses and lints; prints all diagnostics.
pub(crate) fn run(terminal: &Terminal, arguments: &Recipes) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let loaded = load(&project, &arguments.recipes)?;
    let faults = lint_with_targets(&project, &loaded)?;
    if terminal.is_json() {
        let recipes = loaded
            .iter()
            .map(|one| Checked {
                file: &one.source.name,
                valid: !one.source.is_invalid(),
                diagnostics: diagnostics::to_json(&one.source),
            })
            .collect();
        terminal.json(&Document { schema: "assay-check", version: 1, recipes, set: &faults })?;
    } else {
        loaded.iter().for_each(|one| diagnostics::print(terminal, &one.source));
        if !terminal.quiet {
            diagnostics::print_faults(terminal, &faults, &sources_by_name(loaded.iter().map(|one| (one.recipe.as_ref(), &one.source))));
        }
    }
    let count = |severity| {
        loaded.iter().map(|one| one.source.count(severity)).sum::<usize>()
            + faults.iter().filter(|fault| fault.severity == severity).count()
    };
    let invalid = loaded.iter().filter(|one| one.source.is_invalid()).count();
    terminal.progress(&format!(
        "checked {}: {}, {}, {}",
        plural(loaded.len(), "recipe"),
        plural(count(Severity::Error), "error"),
        plural(count(Severity::Warning), "warning"),
        plural(count(Severity::Hint), "hint"),
    ));
    if invalid > 0 { Err(CliError::said(ErrorKind::Recipe)) } else { Ok(()) }
}

/// What can only be said of a recipe with targets in view.
fn lint_with_targets(project: &Project, loaded: &[Loaded]) -> Result<Vec<Fault>, CliError> {
    let targets = project.targets(&[])?;
    let recipes = loaded.iter().filter_map(|one| one.recipe.as_ref());
    Ok(recipes.flat_map(|recipe| assay_plan::lint(recipe, &targets)).collect())
}

/// `1 recipe`, `2 recipes`.
pub(crate) fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// The sources of valid recipes by the recipes' names.
pub(crate) fn sources_by_name<'s>(
    loaded: impl Iterator<Item = (Option<&'s Recipe>, &'s Source)>,
) -> BTreeMap<RecipeName, &'s Source> {
    loaded.filter_map(|(recipe, source)| Some((recipe?.metadata.name.value.clone(), source))).collect()
}
