//! A run as `assay consent` reads it: of this project, whole, and judged by the ledger of today instead of
//! the one it had. What its cells did stays what the journal says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use assay_observe::consent::{LeftOut, RunJudgement, judge_run};
use assay_observe::{CellRecord, Record};
use assay_recipe::expected::TargetPattern;
use assay_wire::digest::Digest;
use assay_wire::event::ConsentBasis;
use assay_wire::name::RecipeName;
use assay_wire::privileged::PrivilegedOperation;
use schemars::JsonSchema;
use serde::Serialize;

use super::own;
use crate::cells::Library;
use crate::error::{CliError, ErrorKind};
use crate::load::nearest;
use crate::project::Project;
use crate::runs;
use crate::terminal::{Terminal, plain};

/// Cells of a run that are not judged, for programs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LeftOutRow {
    cell: String,
    /// In words.
    because: String,
}

/// The cells of a run that are meant, with what they are judged by.
pub(super) struct Shown {
    pub(super) record: Record,
    pub(super) basis: ConsentBasis,
    /// The positions of the cells.
    cells: Vec<usize>,
    /// What the command line names; empty for all recipes of the run.
    recipes: BTreeSet<RecipeName>,
}

impl Shown {
    /// Reads a run of this project.
    ///
    /// # Errors
    /// If it was cut short, is of another project, or of recipes that have changed since.
    pub(super) fn read(
        terminal: &Terminal,
        project: &Project,
        run: &str,
        recipes: &[PathBuf],
        on: &[String],
    ) -> Result<Self, CliError> {
        own(project)?;
        let basis = project.consents();
        let path = runs::journal_of(project, Some(run))?;
        let record = runs::read_whole(&path, &basis)?;
        let recipes = named(&record, recipes)?;
        let patterns: Vec<TargetPattern> = on
            .iter()
            .map(|text| text.parse().map_err(CliError::word))
            .collect::<Result<_, _>>()?;
        let is_meant = |cell: &CellRecord| {
            let mut of_cell = cell.facts.planned.plan.recipes.iter();
            let target = &cell.facts.cell.target;
            (recipes.is_empty() || of_cell.any(|recipe| recipes.contains(recipe)))
                && (patterns.is_empty() || patterns.iter().any(|one| one.matches(target)))
        };
        let cells = record.cells.iter().enumerate();
        let cells: Vec<usize> = cells
            .filter(|(_, cell)| is_meant(cell))
            .map(|(at, _)| at)
            .collect();
        if cells.is_empty() {
            let error = format!("the run `{}` has no such cell", record.run.id);
            return Err(CliError::usage(error).hint("`assay report -v` shows those it has"));
        }
        let shown = Self {
            record,
            basis,
            cells,
            recipes,
        };
        shown.check_recipes(terminal, project)?;
        Ok(shown)
    }

    /// How everything that was seen stands today.
    pub(super) fn judge(&self) -> RunJudgement<'_> {
        judge_run(self.cells(), &self.basis)
    }

    /// True if the command line means the recipe.
    pub(super) fn asked(&self, recipe: &RecipeName) -> bool {
        self.recipes.is_empty() || self.recipes.contains(recipe)
    }

    fn cells(&self) -> impl Iterator<Item = &CellRecord> {
        self.cells
            .iter()
            .filter_map(|at| self.record.cells.get(*at))
    }

    /// Refuses a run that is not of the recipes as they are: what it shows is not what they do. Which
    /// versions it installed, and with which words, makes no difference.
    fn check_recipes(&self, terminal: &Terminal, project: &Project) -> Result<(), CliError> {
        let run = &self.record.run.id;
        let mut asked: BTreeMap<&[RecipeName], Vec<&CellRecord>> = BTreeMap::new();
        for cell in self.cells() {
            let recipes = cell.facts.cell.recipes.as_slice();
            asked.entry(recipes).or_default().push(cell);
        }
        let mut changed = Vec::new();
        for (recipes, cells) in asked {
            let file = |name: &RecipeName| project.recipes().join(format!("{name}.toml"));
            if let Some(foreign) = recipes.iter().find(|name| !file(name).is_file()) {
                let error = format!(
                    "the run `{run}` is of `{foreign}`, which is no recipe of this project"
                );
                return Err(CliError::usage(error).hint("name the recipes that are meant"));
            }
            let files: Vec<PathBuf> = recipes.iter().map(file).collect();
            let library = Library::load(terminal, project, &files)?;
            for cell in cells {
                let target = project.one_target(&cell.facts.cell.target)?;
                let planned = library.plan(project, recipes, &target).map_err(|faults| {
                    library.print(terminal, &faults);
                    CliError::said(ErrorKind::Recipe)
                })?;
                if digests(&planned.plan.declared) != digests(&cell.facts.planned.plan.declared) {
                    changed.push(cell.facts.cell.to_string());
                }
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let error = format!(
            "since the run `{run}` these have changed: {}",
            changed.join(" ")
        );
        Err(CliError::usage(error).hint("`assay test` shows what they do now"))
    }
}

fn digests(declared: &[PrivilegedOperation]) -> BTreeSet<Digest> {
    declared.iter().map(PrivilegedOperation::digest).collect()
}

/// The recipes that the command line names, all of them in the run.
fn named(record: &Record, words: &[PathBuf]) -> Result<BTreeSet<RecipeName>, CliError> {
    let cells = record.cells.iter();
    let known: BTreeSet<&RecipeName> = cells
        .flat_map(|cell| &cell.facts.planned.plan.recipes)
        .collect();
    let read = |word: &PathBuf| {
        let text = word.display().to_string();
        let name = text.parse::<RecipeName>().ok();
        name.filter(|name| known.contains(name)).ok_or_else(|| {
            let names: Vec<String> = known.iter().map(ToString::to_string).collect();
            let near = nearest(&text, &names).map(|near| format!("did you mean `{near}`?"));
            let run = &record.run.id;
            let error = format!("the run `{run}` has no recipe `{}`", plain(&text));
            CliError::usage(error).hints(near)
        })
    };
    words.iter().map(read).collect()
}

/// Says which cells are not judged, by reason.
pub(super) fn say_left_out(terminal: &Terminal, left_out: &[(&CellRecord, LeftOut)]) {
    let mut cells: BTreeMap<LeftOut, Vec<String>> = BTreeMap::new();
    for (cell, because) in left_out {
        let cell = cell.facts.cell.to_string();
        cells.entry(*because).or_default().push(cell);
    }
    for (because, cells) in cells {
        let because = words(because);
        terminal.message(&format!("not judged, {because}: {}", cells.join(" ")));
    }
}

/// The same for programs.
pub(super) fn left_out_rows(left_out: &[(&CellRecord, LeftOut)]) -> Vec<LeftOutRow> {
    let row = |(cell, because): &(&CellRecord, LeftOut)| LeftOutRow {
        cell: cell.facts.cell.to_string(),
        because: words(*because),
    };
    left_out.iter().map(row).collect()
}

fn words(because: LeftOut) -> String {
    match because {
        LeftOut::NoResult(kind) => format!("without a result ({kind})"),
        LeftOut::Gap => "not captured in full".to_owned(),
    }
}
