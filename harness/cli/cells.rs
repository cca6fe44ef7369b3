//! Cells as the command line selects them: recipes × targets, each with its plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_plan::{Fault, Target, closure, harness_env, plan_locked};
use assay_recipe::{Recipe, Severity};
use assay_wire::event::StepLocation;
use assay_wire::lock::Network;
use assay_wire::name::{CellId, RecipeName, StepId, StepRef};
use assay_wire::plan::Plan;
use assay_wire::program::HarnessEnv;
use assay_wire::source::{LineIndex, Span};

use crate::args::{Selection, Sets};
use crate::check::{lint_with_targets, sources_by_name};
use crate::diagnostics::{self, Source};
use crate::error::{CliError, ErrorKind};
use crate::load::load_valid;
use crate::project::Project;
use crate::terminal::Terminal;

/// The recipes of a command line and everything they depend on.
#[derive(Debug)]
pub(crate) struct Library {
    recipes: Vec<Recipe>,
    sources: Vec<Source>,
    /// What was asked for, in order.
    pub(crate) asked: Vec<RecipeName>,
}

/// A cell with its plan.
#[derive(Debug)]
pub(crate) struct PlannedCell {
    /// Its identity.
    pub(crate) cell: CellId,
    /// Its target.
    pub(crate) target: Target,
    /// What is done.
    pub(crate) plan: Plan,
    /// What the harness adds.
    pub(crate) harness: HarnessEnv,
    /// Where the steps stand.
    pub(crate) locations: Vec<StepLocation>,
    /// The effective distribution of each recipe.
    pub(crate) distros: Vec<assay_plan::RecipeDistro>,
}

impl Library {
    /// Reads the recipes named, and those they depend on from the project's recipes.
    ///
    /// # Errors
    /// If one does not exist or is invalid.
    pub(crate) fn load(
        terminal: &Terminal,
        project: &Project,
        named: &[PathBuf],
    ) -> Result<Self, CliError> {
        let (mut recipes, mut sources): (Vec<_>, Vec<_>) =
            load_valid(terminal, project, named)?.into_iter().unzip();
        let asked = recipes
            .iter()
            .map(|recipe: &Recipe| recipe.metadata.name.value.clone())
            .collect();
        let mut next = 0;
        while next < recipes.len() {
            let missing: Vec<PathBuf> = recipes[next]
                .metadata
                .depends_on
                .iter()
                .map(|name| &name.value)
                .filter(|name| {
                    !recipes
                        .iter()
                        .any(|known| known.metadata.name.value == **name)
                })
                .map(|name| project.recipes().join(format!("{name}.toml")))
                .filter(|path| path.exists())
                .collect();
            next += 1;
            if !missing.is_empty() {
                let (more, texts): (Vec<_>, Vec<_>) =
                    load_valid(terminal, project, &missing)?.into_iter().unzip();
                recipes.extend(more);
                sources.extend(texts);
            }
        }
        Ok(Self {
            recipes,
            sources,
            asked,
        })
    }

    /// The file a recipe was read from, as the user would name it.
    pub(crate) fn file(&self, name: &RecipeName) -> &str {
        self.sources()
            .get(name)
            .map_or("", |source| source.name.as_str())
    }

    /// True for a recipe that lies in the project's folder of recipes; others have no snapshots.
    pub(crate) fn is_of(&self, project: &Project, name: &RecipeName) -> bool {
        let folder = Path::new(self.file(name)).canonicalize();
        let recipes = project.recipes().canonicalize();
        matches!((folder, recipes), (Ok(file), Ok(recipes)) if file.starts_with(&recipes))
    }

    /// Plans one set on one target, under the project's lock.
    ///
    /// # Errors
    /// What makes it unplannable.
    pub(crate) fn plan(
        &self,
        project: &Project,
        asked: &[RecipeName],
        target: &Target,
    ) -> Result<PlannedCell, Vec<Fault>> {
        let set = closure(asked, &self.recipes)?;
        let plan = plan_locked(&set, target, project.lock().map(Arc::as_ref))?;
        let sources = self.sources();
        Ok(PlannedCell {
            cell: CellId {
                target: target.id.clone(),
                recipes: asked.to_vec(),
            },
            target: target.clone(),
            harness: harness_env(target, Network::Live),
            locations: set
                .iter()
                .flat_map(|recipe| locations(recipe, sources.get(&recipe.metadata.name.value)))
                .collect(),
            distros: assay_plan::effective_distros(&set, target),
            plan,
        })
    }

    /// One set on all its targets, side by side. Sets that have plans have a closure.
    pub(crate) fn beside(&self, cells: &[&PlannedCell]) -> Option<assay_plan::Beside> {
        let set = closure(&cells.first()?.cell.recipes, &self.recipes).ok()?;
        let planned: Vec<(&Target, &Plan)> = cells
            .iter()
            .map(|cell| (&cell.target, &cell.plan))
            .collect();
        Some(assay_plan::beside(&set, &planned))
    }

    /// Prints faults of planning, each once.
    pub(crate) fn print(&self, terminal: &Terminal, faults: &[Fault]) {
        diagnostics::print_faults(terminal, faults, &self.sources());
    }

    fn sources(&self) -> BTreeMap<RecipeName, &Source> {
        sources_by_name(self.recipes.iter().map(Some).zip(&self.sources))
    }
}

/// Reads and plans what is selected, in the order of recipes, then of targets.
///
/// # Errors
/// If a recipe is invalid or a set cannot be planned: everything that is wrong is printed first.
pub(crate) fn select(
    terminal: &Terminal,
    project: &Project,
    selection: &Selection,
    sets: &Sets,
    targets: &[Target],
) -> Result<(Library, Vec<PlannedCell>), CliError> {
    let library = Library::load(terminal, project, &selection.recipes.recipes)?;
    let sets: Vec<Vec<RecipeName>> = if sets.together {
        vec![library.asked.clone()]
    } else {
        library
            .asked
            .iter()
            .map(|name| vec![name.clone()])
            .collect()
    };
    let mut cells = Vec::new();
    // A lint that the project denies is as bad as a fault.
    let mut faults = lint_with_targets(project, &library.recipes, targets);
    faults.retain(|fault| fault.severity == Severity::Error);
    for set in &sets {
        for target in targets {
            match library.plan(project, set, target) {
                Ok(cell) => cells.push(cell),
                // One fault shows on many targets; it is said once.
                Err(found) => found.into_iter().for_each(|fault| {
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }),
            }
        }
    }
    if faults.is_empty() {
        return Ok((library, cells));
    }
    library.print(terminal, &faults);
    Err(CliError::said(ErrorKind::Recipe))
}

/// Where each entry of a recipe stands.
fn locations(recipe: &Recipe, source: Option<&&Source>) -> Vec<StepLocation> {
    let Some(source) = source else {
        return Vec::new();
    };
    let index = LineIndex::new(&source.text);
    let numbered =
        |word: &str, number: usize| format!("{word}-{}", number + 1).parse::<StepId>().ok();
    let requires = recipe
        .requires
        .iter()
        .enumerate()
        .map(|(number, one)| (numbered("requires", number), one.span));
    let steps = recipe
        .steps
        .iter()
        .map(|step| (Some(step.id.value.clone()), step.span));
    let checks = recipe
        .checks
        .iter()
        .enumerate()
        .map(|(number, one)| (numbered("check", number), one.span));
    let place = |(step, span): (Option<StepId>, Span)| {
        let step = StepRef {
            recipe: recipe.metadata.name.value.clone(),
            step: step?,
        };
        Some(StepLocation {
            step,
            location: index.location(&source.name, span),
        })
    };
    requires
        .chain(steps)
        .chain(checks)
        .filter_map(place)
        .collect()
}
