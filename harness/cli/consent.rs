//! `assay consent`: what recipes do as root, and what of it was granted. What follows from plans or runs,
//! ledger and policy is `observe`'s; here files are read, people asked and entries written.

mod check;
mod diff;
mod grant;
mod revision;
mod revoke;
mod run;
pub(crate) mod show;

use std::io::{self, Write};

use assay_observe::consent::{DeclaredOn, Judged, Judgement, judge_consents};
use assay_observe::risk::Risk;
use assay_wire::event::ConsentBasis;
use assay_wire::name::RecipeName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{ConsentVerb, ListArgs, Selection, Sets};
use crate::cells::{Library, PlannedCell, select};
use crate::error::CliError;
use crate::project::Project;
use crate::terminal::Terminal;

pub(crate) use check::Document as CheckDocument;
pub(crate) use diff::Document as DiffDocument;
pub(crate) use grant::Document as GrantDocument;
pub(crate) use revoke::Document as RevokeDocument;

/// What recipes do as root.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    version: u32,
    operations: Vec<show::Row<'d>>,
}

/// Does what is asked for.
pub(crate) fn run(terminal: &Terminal, verb: &ConsentVerb) -> Result<(), CliError> {
    match verb {
        ConsentVerb::List(arguments) => list(terminal, arguments),
        ConsentVerb::Grant(arguments) => grant::run(terminal, arguments),
        ConsentVerb::Revoke(arguments) => revoke::run(terminal, arguments),
        ConsentVerb::Check(arguments) => check::run(terminal, arguments),
        ConsentVerb::Diff(arguments) => diff::run(terminal, arguments),
    }
}

/// Plans with what they are judged by.
struct Declared {
    library: Library,
    cells: Vec<PlannedCell>,
    /// Ledger, policy and day.
    basis: ConsentBasis,
    /// True if these are all plans of the project.
    everything: bool,
}

impl Declared {
    /// Plans what is selected.
    fn plan(
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

    /// How everything stands.
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

/// Refuses what only makes sense in a project.
fn own(project: &Project) -> Result<(), CliError> {
    if project.root.is_some() {
        return Ok(());
    }
    Err(CliError::usage("there is no project here")
        .hint("an `assay.toml` marks a project's root; it may be empty"))
}

fn list(terminal: &Terminal, arguments: &ListArgs) -> Result<(), CliError> {
    let mut project = Project::find(terminal)?;
    let mut selection = Selection {
        recipes: crate::args::Recipes {
            recipes: arguments.selection.recipes.recipes.clone(),
        },
        on: arguments.selection.on.clone(),
    };
    let checkout;
    if let Some(at) = &arguments.at {
        own(&project)?;
        checkout = revision::checkout(&project, at)?;
        project = checkout.project(terminal)?;
        selection.recipes.recipes = revision::files(&project, &selection.recipes.recipes)?;
    }
    let declared = Declared::plan(terminal, &project, &selection)?;
    let judgement = declared.judge();
    let shown = |one: &&Judged<'_>| terminal.verbose || one.risk != Risk::Ordinary;
    if terminal.is_json() {
        let rows = judgement.operations.iter();
        return terminal.json(&Document {
            schema: "assay-consents",
            version: 1,
            operations: rows.map(show::row).collect(),
        });
    }
    let rows: Vec<&Judged<'_>> = judgement.operations.iter().filter(shown).collect();
    let left_out = judgement.operations.len() - rows.len();
    terminal.result(|out| {
        grouped(out, &rows, |out, one| {
            show::operation(out, terminal, one)?;
            let standing = show::standing(one.standing, &declared.basis.ledger);
            show::detail(out, terminal, &standing)?;
            show::detail(out, terminal, &show::targets(one.targets.iter().copied()))
        })?;
        show::folded(out, left_out)
    })
}

/// Writes rows below the name of their recipe.
fn grouped<'r, 'p: 'r>(
    out: &mut dyn Write,
    rows: &[&'r Judged<'p>],
    write: impl Fn(&mut dyn Write, &Judged<'p>) -> io::Result<()>,
) -> io::Result<()> {
    let mut recipe: Option<&RecipeName> = None;
    for one in rows {
        if recipe != Some(one.recipe) {
            writeln!(
                out,
                "{}{}",
                if recipe.is_some() { "\n" } else { "" },
                one.recipe
            )?;
            recipe = Some(one.recipe);
        }
        write(out, one)?;
    }
    Ok(())
}
