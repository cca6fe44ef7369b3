//! A run as `assay consent` reads it: whole, and judged by the ledger of today instead of the one it had.
//! What its cells did stays what the journal says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use assay_observe::consent::run::ran_whole;
use assay_observe::consent::{LeftOut, RunJudgement, judge_run};
use assay_observe::{CellRecord, Record};
use assay_recipe::expected::TargetPattern;
use assay_wire::digest::Digest;
use assay_wire::event::ConsentBasis;
use assay_wire::name::{CellId, RecipeName};
use assay_wire::outcome::OutcomeKind;
use assay_wire::privileged::PrivilegedOperation;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::Selection;
use crate::cells::Library;
use crate::error::{CliError, ErrorKind};
use crate::load::nearest;
use crate::project::Project;
use crate::runs;
use crate::terminal::{Terminal, plain};

/// Cells of a run that say less than all they do, for programs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LeftOutRow {
    cell: String,
    /// In words.
    because: String,
    /// True if it is judged by what it did before it failed; else it is not judged at all.
    judged: bool,
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
    /// Reads a run, all its cells.
    ///
    /// # Errors
    /// If it was cut short, or is no run.
    pub(super) fn read(project: &Project, path: &Path) -> Result<Self, CliError> {
        let basis = project.consents();
        let record = runs::read_whole(path, &basis)?;
        Ok(Self {
            cells: (0..record.cells.len()).collect(),
            recipes: BTreeSet::new(),
            record,
            basis,
        })
    }

    /// Reads a run, of its cells those that are selected.
    ///
    /// # Errors
    /// As [`Shown::read`], and if it has no such recipe or cell.
    pub(super) fn selected(
        project: &Project,
        run: &str,
        selection: &Selection,
    ) -> Result<Self, CliError> {
        let mut shown = Self::read(project, &runs::journal_of(project, Some(run))?)?;
        shown.recipes = named(&shown.record, &selection.recipes.recipes)?;
        let patterns: Vec<TargetPattern> = selection
            .on
            .iter()
            .map(|text| text.parse().map_err(CliError::word))
            .collect::<Result<_, _>>()?;
        let recipes = shown.recipes.clone();
        shown.keep(|cell| {
            let mut of_cell = cell.facts.planned.plan.recipes.iter();
            let target = &cell.facts.cell.target;
            (recipes.is_empty() || of_cell.any(|recipe| recipes.contains(recipe)))
                && (patterns.is_empty() || patterns.iter().any(|one| one.matches(target)))
        });
        if shown.cells.is_empty() {
            let error = format!("the run `{}` has no such cell", shown.record.run.id);
            return Err(CliError::usage(error).hint("`assay report -v` shows those it has"));
        }
        Ok(shown)
    }

    /// Leaves out every other cell.
    fn keep(&mut self, is_meant: impl Fn(&CellRecord) -> bool) {
        let cells = &self.record.cells;
        self.cells
            .retain(|at| cells.get(*at).is_some_and(&is_meant));
    }

    /// Leaves out the cells that only one of two runs has, or shows in full; they are returned.
    pub(super) fn keep_common(&mut self, other: &mut Self) -> Vec<CellId> {
        let of = |shown: &Self| -> BTreeSet<CellId> {
            let all = shown.cells().map(|cell| cell.facts.cell.clone());
            let judged = judge_run(shown.cells(), &shown.basis);
            let left_out = judged.left_out.iter();
            let left_out: BTreeSet<&CellId> = left_out.map(|(cell, _)| &cell.facts.cell).collect();
            all.filter(|cell| !left_out.contains(cell)).collect()
        };
        let (here, there) = (of(self), of(other));
        let common: BTreeSet<&CellId> = here.intersection(&there).collect();
        let all: BTreeSet<CellId> = [&*self, &*other]
            .iter()
            .flat_map(|shown| shown.cells().map(|cell| cell.facts.cell.clone()))
            .collect();
        for shown in [self, other] {
            shown.keep(|cell| common.contains(&cell.facts.cell));
        }
        let single = all.into_iter().filter(|cell| !common.contains(cell));
        single.collect()
    }

    /// How everything that was seen stands today.
    pub(super) fn judge(&self) -> RunJudgement<'_> {
        let mut run = judge_run(self.cells(), &self.basis);
        let judgement = &mut run.judgement;
        judgement.operations.retain(|one| self.asked(one.recipe));
        let of_asked = |entry: usize| {
            let consent = self.basis.ledger.get(entry);
            consent.is_some_and(|consent| self.asked(&consent.recipe))
        };
        judgement.stale.retain(|stale| of_asked(stale.entry));
        run.undeclared.retain(|one| self.asked(one.recipe));
        run
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

    /// Cells that are judged and broke off: what they would have done else is not known.
    fn broke_off(&self) -> impl Iterator<Item = &CellRecord> {
        self.cells().filter(|cell| {
            cell.outcome.kind() == OutcomeKind::Failed
                && cell.gaps.is_empty()
                && !ran_whole(&cell.facts)
        })
    }

    /// Says which cells show less than all they do, by reason.
    pub(super) fn say_left_out(&self, terminal: &Terminal, run: &RunJudgement<'_>) {
        let mut cells: BTreeMap<LeftOut, Vec<String>> = BTreeMap::new();
        for (cell, because) in &run.left_out {
            let cell = cell.facts.cell.to_string();
            cells.entry(*because).or_default().push(cell);
        }
        for (because, cells) in cells {
            let because = words(because);
            terminal.message(&format!("not judged, {because}: {}", cells.join(" ")));
        }
        let broke_off: Vec<String> = self
            .broke_off()
            .map(|cell| cell.facts.cell.to_string())
            .collect();
        if !broke_off.is_empty() {
            let cells = broke_off.join(" ");
            terminal.message(&format!(
                "judged by what came before it, {BROKE_OFF}: {cells}"
            ));
        }
    }

    /// The same for programs.
    pub(super) fn left_out_rows(&self, run: &RunJudgement<'_>) -> Vec<LeftOutRow> {
        let row = |cell: &CellRecord, because: String, judged| LeftOutRow {
            cell: cell.facts.cell.to_string(),
            because,
            judged,
        };
        let left_out = run.left_out.iter();
        let left_out = left_out.map(|(cell, because)| row(cell, words(*because), false));
        let broke_off = self.broke_off();
        let broke_off = broke_off.map(|cell| row(cell, BROKE_OFF.to_owned(), true));
        left_out.chain(broke_off).collect()
    }

    /// What cells without a judgement end a check with: they are never a pass.
    pub(super) fn fault(&self, run: &RunJudgement<'_>) -> Option<ErrorKind> {
        let allowed = self.record.run.start.allow_unmet_needs;
        let mut found = None;
        for (_, because) in &run.left_out {
            match because {
                LeftOut::Gap => return Some(ErrorKind::Undeclared),
                LeftOut::NoResult(OutcomeKind::NotRun) if allowed => {}
                LeftOut::NoResult(_) => found = Some(ErrorKind::Infrastructure),
            }
        }
        found
    }

    /// Refuses a run that is not of the recipes as they are: what it shows is not what they do. Which
    /// versions it installed, and with which words, makes no difference.
    pub(super) fn check_recipes(
        &self,
        terminal: &Terminal,
        project: &Project,
    ) -> Result<(), CliError> {
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

/// Why a cell that is judged shows less than all it does.
const BROKE_OFF: &str = "a failure";

fn words(because: LeftOut) -> String {
    match because {
        LeftOut::NoResult(kind) => format!("without a result ({kind})"),
        LeftOut::Gap => "not captured in full".to_owned(),
    }
}
