//! Rows of `expected.toml` that speak of nothing: a recipe that is not there, targets that no
//! definition has. They are found here, because only here recipes and targets are both in view.

use std::collections::BTreeSet;

use assay_recipe::Severity;
use assay_wire::name::RecipeName;
use assay_wire::source::Span;

use crate::project::Project;

/// The code of these findings.
pub(crate) const CODE: &str = "unmatched-expectation";

/// How much they matter unless the project says otherwise: a run is judged all the same.
pub(crate) const SEVERITY: Severity = Severity::Warning;

/// What they mean, for `assay explain`.
pub(crate) const EXPLANATION: &str = "A row of `expected.toml` names a recipe that is not in the recipes folder, or targets that \
    no image definition has, so it speaks of no cell. Most often a recipe or target was renamed or removed: correct the \
    row, or take it out.";

/// One finding.
#[derive(Debug)]
pub(crate) struct Unmatched {
    /// How much it matters.
    pub(crate) severity: Severity,
    /// What is wrong.
    pub(crate) message: String,
    /// Where, in `expected.toml`.
    pub(crate) span: Span,
}

/// The rows that speak of nothing. Which recipes there are is only known when all were read.
pub(crate) fn unmatched(
    project: &Project,
    all_recipes: Option<&BTreeSet<RecipeName>>,
) -> Vec<Unmatched> {
    let Some(severity) = project.lints().severity(CODE, SEVERITY) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for row in &project.expectations.rows {
        let recipe = &row.recipe;
        if all_recipes.is_some_and(|known| !known.contains(&recipe.value)) {
            found.push(Unmatched {
                severity,
                message: format!("there is no recipe `{}`", recipe.value),
                span: recipe.span,
            });
        }
        for pattern in &row.targets {
            if !project.knows(&pattern.value) {
                found.push(Unmatched {
                    severity,
                    message: format!("no target matches `{}`", pattern.value),
                    span: pattern.span,
                });
            }
        }
    }
    found
}
