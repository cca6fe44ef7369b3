//! `assay check`: every diagnostic of every recipe, at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assay_plan::{Fault, Target};
use assay_recipe::{Recipe, Severity};
use assay_wire::name::RecipeName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::CheckArgs;
use crate::diagnostics::{self, JsonDiagnostic, Source};
use crate::error::{CliError, ErrorKind};
use crate::expectations::{self, Unmatched, unmatched};
use crate::load::{Loaded, load};
use crate::project::Project;
use crate::terminal::Terminal;

/// What `assay check` found.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    version: u32,
    recipes: Vec<Checked<'d>>,
    /// Rows of `expected.toml` that speak of nothing.
    expected: Vec<JsonDiagnostic>,
    /// What only shows with targets in view.
    set: Vec<JsonDiagnostic>,
}

#[derive(Serialize, JsonSchema)]
struct Checked<'d> {
    file: &'d str,
    valid: bool,
    /// Why the file could not be read.
    unreadable: Option<String>,
    diagnostics: Vec<JsonDiagnostic>,
}

/// Parses and lints; prints all diagnostics.
pub(crate) fn run(terminal: &Terminal, arguments: &CheckArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let named = &arguments.recipes.recipes;
    let mut loaded = load(&project, named)?;
    let valid = loaded.iter().filter_map(|one| one.recipe.as_ref());
    let mut faults = lint_with_targets(&project, valid, &project.targets(&[])?);
    let all = named.is_empty().then(|| names(&loaded));
    let mut rows = Rows {
        source: project.expected.as_ref(),
        unmatched: unmatched(&project, all.as_ref()),
    };
    if arguments.strict {
        let of_files = loaded
            .iter_mut()
            .flat_map(|one| &mut one.source.diagnostics);
        of_files
            .map(|found| &mut found.severity)
            .chain(faults.iter_mut().map(|fault| &mut fault.severity))
            .chain(rows.unmatched.iter_mut().map(|row| &mut row.severity))
            .filter(|severity| **severity == Severity::Warning)
            .for_each(|severity| *severity = Severity::Error);
    }
    let sources = sources_by_name(loaded.iter().map(|one| (one.recipe.as_ref(), &one.source)));
    if terminal.is_json() {
        let recipes = loaded
            .iter()
            .map(|one| Checked {
                file: &one.source.name,
                valid: !one.source.is_invalid(),
                unreadable: one.source.unreadable.as_ref().map(ToString::to_string),
                diagnostics: diagnostics::to_json(&one.source),
            })
            .collect();
        terminal.json(&Document {
            schema: "assay-check",
            version: 1,
            recipes,
            expected: rows.to_json(),
            set: diagnostics::faults_to_json(&faults, &sources),
        })?;
    } else {
        loaded
            .iter()
            .for_each(|one| diagnostics::print(terminal, &one.source));
        rows.print(terminal);
        diagnostics::print_faults(terminal, &faults, &sources);
    }
    let count = |severity| {
        loaded
            .iter()
            .map(|one| one.source.count(severity))
            .sum::<usize>()
            + faults
                .iter()
                .filter(|fault| fault.severity == severity)
                .count()
            + rows.count(severity)
    };
    let errors = count(Severity::Error);
    let more = if errors > 0 {
        "; `assay explain CODE` says more"
    } else {
        ""
    };
    terminal.progress(&format!(
        "checked {}: {}, {}, {}{more}",
        plural(loaded.len(), "recipe"),
        plural(errors, "error"),
        plural(count(Severity::Warning), "warning"),
        plural(count(Severity::Hint), "hint"),
    ));
    match (rows.count(Severity::Error), errors) {
        (0, 0) => Ok(()),
        (0, _) => Err(CliError::said(ErrorKind::Recipe)),
        (_, _) => Err(CliError::said(ErrorKind::Usage)),
    }
}

/// Rows of `expected.toml` that speak of nothing, with its text.
struct Rows<'p> {
    source: Option<&'p Source>,
    unmatched: Vec<Unmatched>,
}

impl Rows<'_> {
    fn count(&self, severity: Severity) -> usize {
        let rows = self.unmatched.iter();
        rows.filter(|row| row.severity == severity).count()
    }

    fn print(&self, terminal: &Terminal) {
        for row in &self.unmatched {
            if let Some(source) = self.source {
                diagnostics::print_one(
                    terminal,
                    source,
                    row.severity,
                    expectations::CODE,
                    &row.message,
                    row.span,
                );
            }
        }
    }

    fn to_json(&self) -> Vec<JsonDiagnostic> {
        let rows = self
            .source
            .into_iter()
            .flat_map(|source| self.unmatched.iter().map(move |row| (source, row)));
        rows.map(|(source, row)| {
            diagnostics::one_to_json(
                source,
                row.severity,
                expectations::CODE,
                &row.message,
                row.span,
            )
        })
        .collect()
    }
}

/// The names of the recipes, invalid ones by their file.
fn names(loaded: &[Loaded]) -> BTreeSet<RecipeName> {
    let stem = |one: &Loaded| {
        Path::new(&one.source.name)
            .file_stem()?
            .to_str()?
            .parse()
            .ok()
    };
    let name = |one: &Loaded| {
        one.recipe
            .as_ref()
            .map(|recipe| recipe.metadata.name.value.clone())
            .or_else(|| stem(one))
    };
    loaded.iter().filter_map(name).collect()
}

/// What can only be said of recipes with targets in view, as much as the project lets it matter.
pub(crate) fn lint_with_targets<'r>(
    project: &Project,
    recipes: impl IntoIterator<Item = &'r Recipe>,
    targets: &[Target],
) -> Vec<Fault> {
    let faults = recipes
        .into_iter()
        .flat_map(|recipe| assay_plan::lint(recipe, targets));
    let levelled = faults.filter_map(|fault| {
        let severity = project
            .lints()
            .severity(fault.code.as_str(), fault.severity)?;
        Some(Fault { severity, ..fault })
    });
    levelled.collect()
}

/// `1 recipe`, `2 recipes`.
pub(crate) fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// The sources of valid recipes by the recipes' names.
pub(crate) fn sources_by_name<'s>(
    loaded: impl Iterator<Item = (Option<&'s Recipe>, &'s Source)>,
) -> BTreeMap<RecipeName, &'s Source> {
    loaded
        .filter_map(|(recipe, source)| Some((recipe?.metadata.name.value.clone(), source)))
        .collect()
}
