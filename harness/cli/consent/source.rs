//! What is held against the ledger: what plans declare, or what a run showed.

use assay_observe::consent::{DeclaredOn, Judgement, RunJudgement, judge_consents};
use assay_wire::event::ConsentBasis;
use assay_wire::name::RecipeName;

use super::own;
use super::run::{LeftOutRow, Shown};
use crate::args::{Selection, Sets};
use crate::cells::{Library, PlannedCell, select};
use crate::error::{CliError, ErrorKind};
use crate::project::Project;
use crate::terminal::Terminal;

/// Plans with what they are judged by.
pub(super) struct Declared {
    library: Library,
    cells: Vec<PlannedCell>,
    /// Ledger, policy and day.
    basis: ConsentBasis,
    /// True if these are all plans of the project.
    everything: bool,
}

impl Declared {
    /// Plans what is selected.
    pub(super) fn plan(
        terminal: &Terminal,
        project: &Project,
        selection: &Selection,
    ) -> Result<Self, CliError> {
        let targets = project.targets(&selection.on)?;
        let sets = Sets { together: false };
        let (library, cells) = select(terminal, project, selection, &sets, &targets)?;
        Ok(Self {
            library,
            cells,
            basis: project.consents(),
            everything: selection.recipes.recipes.is_empty() && selection.on.is_empty(),
        })
    }

    /// The same of recipes that have consents: those of a project.
    fn plan_own(
        terminal: &Terminal,
        project: &Project,
        selection: &Selection,
    ) -> Result<Self, CliError> {
        own(project)?;
        let declared = Self::plan(terminal, project, selection)?;
        let library = &declared.library;
        let mut asked = library.asked.iter();
        if let Some(name) = asked.find(|name| !library.is_of(project, name)) {
            let file = library.file(name);
            let error = format!("`{file}` is not among the recipes of this project");
            return Err(CliError::usage(error).hint(format!(
                "the ledger speaks of those in `{}`; `assay consent list` shows any recipe",
                project.recipes().display()
            )));
        }
        Ok(declared)
    }

    fn judge(&self) -> Judgement<'_> {
        let plans: Vec<DeclaredOn<'_>> = self
            .cells
            .iter()
            .map(|cell| DeclaredOn {
                target: &cell.target.id,
                asked: &cell.cell.recipes,
                recipes: &cell.plan.recipes,
                declared: &cell.plan.declared,
            })
            .collect();
        judge_consents(&plans, &self.basis, self.everything)
    }
}

/// What is held against the ledger.
pub(super) enum Source {
    /// What plans declare.
    Plans(Box<Declared>),
    /// What a run showed.
    Run(Box<Shown>),
}

impl Source {
    /// What the ledger speaks of: plans of recipes of this project, or a run of them as they are now.
    ///
    /// # Errors
    /// If there is no project, no such run, or one of recipes that have changed since.
    pub(super) fn own(
        terminal: &Terminal,
        project: &Project,
        selection: &Selection,
        from: Option<&str>,
    ) -> Result<Self, CliError> {
        let Some(run) = from else {
            let declared = Declared::plan_own(terminal, project, selection)?;
            return Ok(Self::Plans(Box::new(declared)));
        };
        own(project)?;
        let shown = Shown::selected(project, run, selection)?;
        shown.check_recipes(terminal, project)?;
        Ok(Self::Run(Box::new(shown)))
    }

    /// What can be looked at, whatever the ledger has to do with it.
    ///
    /// # Errors
    /// If it cannot be planned, or there is no such run.
    pub(super) fn any(
        terminal: &Terminal,
        project: &Project,
        selection: &Selection,
        from: Option<&str>,
    ) -> Result<Self, CliError> {
        match from {
            None => {
                let declared = Declared::plan(terminal, project, selection)?;
                Ok(Self::Plans(Box::new(declared)))
            }
            Some(run) => {
                let shown = Shown::selected(project, run, selection)?;
                Ok(Self::Run(Box::new(shown)))
            }
        }
    }

    /// How everything stands. Of plans nothing is undeclared and nothing left out.
    pub(super) fn judge(&self) -> RunJudgement<'_> {
        match self {
            Self::Plans(declared) => RunJudgement {
                judgement: declared.judge(),
                ..RunJudgement::default()
            },
            Self::Run(shown) => shown.judge(),
        }
    }

    /// Ledger, policy and day.
    pub(super) fn basis(&self) -> &ConsentBasis {
        match self {
            Self::Plans(declared) => &declared.basis,
            Self::Run(shown) => &shown.basis,
        }
    }

    /// True if the command line means the recipe; others are there because it depends on them.
    pub(super) fn asked(&self, recipe: &RecipeName) -> bool {
        match self {
            Self::Plans(declared) => declared.library.asked.contains(recipe),
            Self::Run(shown) => shown.asked(recipe),
        }
    }

    /// Says which cells of a run show less than all they do.
    pub(super) fn say_left_out(&self, terminal: &Terminal, judged: &RunJudgement<'_>) {
        match self {
            Self::Plans(_) => {}
            Self::Run(shown) => shown.say_left_out(terminal, judged),
        }
    }

    /// The same for programs.
    pub(super) fn left_out_rows(&self, judged: &RunJudgement<'_>) -> Vec<LeftOutRow> {
        match self {
            Self::Plans(_) => Vec::new(),
            Self::Run(shown) => shown.left_out_rows(judged),
        }
    }

    /// What cells without a judgement end a check with.
    pub(super) fn fault(&self, judged: &RunJudgement<'_>) -> Option<ErrorKind> {
        match self {
            Self::Plans(_) => None,
            Self::Run(shown) => shown.fault(judged),
        }
    }
}
