//! `assay consent`: what recipes do as root, and what of it was granted. What follows from plans or runs,
//! ledger and policy is `observe`'s; here files are read, people asked and entries written.

mod check;
mod diff;
mod grant;
mod revision;
mod revoke;
mod run;
pub(crate) mod show;
mod source;

use std::io::{self, Write};

use assay_observe::consent::Judged;
use assay_observe::risk::Risk;
use assay_wire::name::RecipeName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{ConsentVerb, ListArgs, Selection};
use crate::error::CliError;
use crate::project::Project;
use crate::terminal::Terminal;
use source::Source;

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
    /// What a run showed that no step declares and no package brings.
    undeclared: Vec<show::Row<'d>>,
    /// Cells of a run that show less than all they do.
    left_out: Vec<run::LeftOutRow>,
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
    let source = Source::any(terminal, &project, &selection, arguments.from.as_deref())?;
    let judged = source.judge();
    let operations = &judged.judgement.operations;
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-consents",
            version: 1,
            operations: operations.iter().map(show::row).collect(),
            undeclared: judged.undeclared.iter().map(show::undeclared_row).collect(),
            left_out: source.left_out_rows(&judged),
        });
    }
    let shown = |one: &&Judged<'_>| terminal.verbose || one.risk != Risk::Ordinary;
    let rows: Vec<&Judged<'_>> = operations.iter().filter(shown).collect();
    let left_out = operations.len() - rows.len();
    let basis = source.basis();
    terminal.result(|out| {
        grouped(out, &rows, |out, one| {
            show::operation(out, terminal, one)?;
            let standing = show::standing(one.standing, &basis.ledger);
            show::detail(out, terminal, &standing)?;
            show::detail(out, terminal, &show::targets(one.targets.iter().copied()))?;
            show::parts(out, terminal, one, basis)
        })?;
        show::folded(out, left_out)?;
        let is_first = operations.is_empty();
        show::not_declared(out, terminal, &judged.undeclared, is_first)
    })?;
    source.say_left_out(terminal, &judged);
    Ok(())
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
