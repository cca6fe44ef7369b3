//! `assay consent check`: is everything granted that is above ordinary, and does anything use each
//! entry?

use std::collections::BTreeMap;

use assay_observe::consent::{Judged, Judgement, Stale};
use assay_recipe::consents::written_digest;
use assay_wire::consent::Consent;
use assay_wire::name::RecipeName;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Declared, grouped, show};
use crate::args::CheckConsentsArgs;
use crate::check::plural;
use crate::error::{CliError, ErrorKind};
use crate::project::{CONSENTS, Project};
use crate::terminal::{Terminal, plain};

/// What is not granted, and what nothing uses.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    version: u32,
    refused: Vec<show::Row<'d>>,
    stale: Vec<StaleRow<'d>>,
    /// What grants what can be granted, a command a recipe.
    grant: Vec<String>,
}

/// An entry that nothing uses.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StaleRow<'d> {
    consent: &'d Consent,
    stale: &'d Stale,
}

/// Checks.
pub(crate) fn run(terminal: &Terminal, arguments: &CheckConsentsArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let declared = Declared::plan_own(terminal, &project, &arguments.selection)?;
    let judgement = declared.judge();
    let refused: Vec<&Judged<'_>> = judgement
        .operations
        .iter()
        .filter(|one| one.standing.is_refused())
        .collect();
    let stale: Vec<StaleRow<'_>> = judgement
        .stale
        .iter()
        .filter_map(|stale| {
            let consent = declared.basis.ledger.get(stale.entry)?;
            Some(StaleRow { consent, stale })
        })
        .collect();
    let commands = commands(&refused, &arguments.selection.on);
    let found = (refused.len(), stale.len());
    if terminal.is_json() {
        terminal.json(&Document {
            schema: "assay-consent-check",
            version: 1,
            refused: refused.iter().map(|one| show::row(one)).collect(),
            stale,
            grant: commands,
        })?;
    } else {
        human(
            terminal,
            &refused,
            &stale,
            &commands,
            &declared.basis.ledger,
        )?;
    }
    verdict(terminal, &judgement, found, arguments.strict)
}

fn human(
    terminal: &Terminal,
    refused: &[&Judged<'_>],
    stale: &[StaleRow<'_>],
    commands: &[String],
    ledger: &[Consent],
) -> Result<(), CliError> {
    terminal.result(|out| {
        grouped(out, refused, |out, one| {
            show::head(out, one.risk, one.operation)?;
            show::evidence(out, one)?;
            let standing = show::standing(one.standing, ledger);
            show::detail(out, terminal, &standing)?;
            show::detail(out, terminal, &show::targets(one.targets.iter().copied()))
        })?;
        if !commands.is_empty() {
            writeln!(out, "\nto grant it:")?;
        }
        for command in commands {
            writeln!(out, "  {command}")?;
        }
        if !stale.is_empty() {
            let first = if refused.is_empty() { "" } else { "\n" };
            writeln!(
                out,
                "{first}stale: nothing uses these entries of `{CONSENTS}`"
            )?;
        }
        for StaleRow { consent, stale } in stale {
            writeln!(
                out,
                "  {}  {}  {}  {}",
                consent.recipe,
                consent.kind,
                plain(&consent.subject),
                show::targets(&stale.targets)
            )?;
        }
        Ok(())
    })
}

/// What to run for each recipe. Digests name what is granted, so that nothing else is by mistake.
fn commands(refused: &[&Judged<'_>], on: &[String]) -> Vec<String> {
    let mut digests: BTreeMap<&RecipeName, Vec<String>> = BTreeMap::new();
    for one in refused.iter().filter(|one| one.standing.can_be_granted()) {
        let of_recipe = digests.entry(one.recipe).or_default();
        let digest = format!("--digest {}", written_digest(&one.digest));
        if !of_recipe.contains(&digest) {
            of_recipe.push(digest);
        }
    }
    let on = if on.is_empty() {
        String::new()
    } else {
        let words = [on.join(",")];
        format!(" --on {}", assay_plan::render::quote::command_line(&words))
    };
    let command = |(recipe, digests): (&RecipeName, Vec<String>)| {
        let digests = digests.join(" ");
        format!("assay consent grant {recipe}{on} {digests} --note 'why it is right'")
    };
    digests.into_iter().map(command).collect()
}

fn verdict(
    terminal: &Terminal,
    judgement: &Judgement<'_>,
    (refused, stale): (usize, usize),
    strict: bool,
) -> Result<(), CliError> {
    let operations = plural(judgement.operations.len(), "operation");
    if refused == 0 && stale == 0 {
        terminal.progress(&format!("{operations}: nothing lacks a consent"));
        return Ok(());
    }
    let remove = "`assay consent revoke --stale` removes them";
    let mut said = vec![format!("{operations}: {refused} without consent")];
    if stale > 0 {
        said.push(format!(
            "{} stale; {remove}",
            plural(stale, "entry").replace("entrys", "entries")
        ));
    }
    terminal.message(&said.join(", "));
    if refused > 0 || strict {
        return Err(CliError::said(ErrorKind::Consent));
    }
    Ok(())
}
