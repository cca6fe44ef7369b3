//! `assay consent check`: is everything granted that is above ordinary, and does anything use each
//! entry?

use std::collections::BTreeMap;

use assay_observe::consent::{Judged, RunJudgement, Stale};
use assay_plan::render::quote::command_line;
use assay_recipe::consents::written_digest;
use assay_wire::consent::Consent;
use assay_wire::name::RecipeName;
use schemars::JsonSchema;
use serde::Serialize;

use super::run::LeftOutRow;
use super::source::Source;
use super::{grouped, show};
use crate::args::CheckConsentsArgs;
use crate::check::plural;
use crate::error::{CliError, ErrorKind};
use crate::project::{CONSENTS, Project};
use crate::runs;
use crate::terminal::{Terminal, plain};

/// What is not granted, and what nothing uses.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    version: u32,
    refused: Vec<show::Row<'d>>,
    /// What a run showed that no step declares and no package brings.
    undeclared: Vec<show::Row<'d>>,
    /// Cells of a run that show less than all they do.
    left_out: Vec<LeftOutRow>,
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

/// What a check found.
struct Found<'d> {
    source: &'d Source,
    judged: &'d RunJudgement<'d>,
    refused: Vec<&'d Judged<'d>>,
    stale: Vec<StaleRow<'d>>,
    /// The words that name the run and the targets, if the command line has some.
    selection: String,
}

/// Checks.
pub(crate) fn run(terminal: &Terminal, arguments: &CheckConsentsArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let from = arguments.from.as_deref();
    let source = Source::own(terminal, &project, &arguments.selection, from)?;
    let judged = source.judge();
    let operations = judged.judgement.operations.iter();
    let stale = || {
        let rows = judged.judgement.stale.iter().filter_map(|stale| {
            let consent = source.basis().ledger.get(stale.entry)?;
            Some(StaleRow { consent, stale })
        });
        rows.collect()
    };
    let found = Found {
        source: &source,
        judged: &judged,
        refused: operations.filter(|one| one.standing.is_refused()).collect(),
        stale: stale(),
        selection: selection(arguments, &source),
    };
    if terminal.is_json() {
        let undeclared = judged.undeclared.iter();
        let refused = found.refused.iter();
        terminal.json(&Document {
            schema: "assay-consent-check",
            version: 1,
            refused: refused.map(|one| show::row(one)).collect(),
            undeclared: undeclared.map(show::undeclared_row).collect(),
            left_out: source.left_out_rows(&judged),
            grant: found.commands(),
            stale: stale(),
        })?;
    } else {
        found.human(terminal)?;
    }
    source.say_left_out(terminal, &judged);
    found.verdict(terminal, arguments.strict)
}

/// The words of the command line that a command which grants the same has, too.
fn selection(arguments: &CheckConsentsArgs, source: &Source) -> String {
    let mut words = Vec::new();
    if !arguments.selection.on.is_empty() {
        words.extend(["--on".to_owned(), arguments.selection.on.join(",")]);
    }
    if let (Some(run), Source::Run(shown)) = (&arguments.from, source) {
        // What is the newest run may be another when the command is used.
        let run = match run == runs::LATEST {
            true => shown.record.run.id.to_string(),
            false => run.clone(),
        };
        words.extend(["--from".to_owned(), run]);
    }
    match words.is_empty() {
        true => String::new(),
        false => format!(" {}", command_line(&words)),
    }
}

impl Found<'_> {
    fn human(&self, terminal: &Terminal) -> Result<(), CliError> {
        let basis = self.source.basis();
        let commands = self.commands();
        terminal.result(|out| {
            grouped(out, &self.refused, |out, one| {
                show::head(out, one.risk, one.operation)?;
                show::evidence(out, one)?;
                let standing = show::standing(one.standing, &basis.ledger);
                show::detail(out, terminal, &standing)?;
                show::detail(out, terminal, &show::targets(one.targets.iter().copied()))?;
                show::parts(out, terminal, one, basis)
            })?;
            show::not_declared(
                out,
                terminal,
                &self.judged.undeclared,
                self.refused.is_empty(),
            )?;
            if !commands.is_empty() {
                writeln!(out, "\nto grant it:")?;
            }
            for command in commands {
                writeln!(out, "  {command}")?;
            }
            if !self.stale.is_empty() {
                let is_first = self.refused.is_empty() && self.judged.undeclared.is_empty();
                let first = if is_first { "" } else { "\n" };
                writeln!(
                    out,
                    "{first}stale: nothing uses these entries of `{CONSENTS}`"
                )?;
            }
            for StaleRow { consent, stale } in &self.stale {
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
    fn commands(&self) -> Vec<String> {
        let mut digests: BTreeMap<&RecipeName, Vec<String>> = BTreeMap::new();
        let refused = self.refused.iter();
        for one in refused.filter(|one| one.standing.can_be_granted()) {
            let of_recipe = digests.entry(one.recipe).or_default();
            let digest = format!("--digest {}", written_digest(&one.digest));
            if !of_recipe.contains(&digest) {
                of_recipe.push(digest);
            }
        }
        let command = |(recipe, digests): (&RecipeName, Vec<String>)| {
            let (selection, digests) = (&self.selection, digests.join(" "));
            format!("assay consent grant {recipe}{selection} {digests} --note 'why it is right'")
        };
        digests.into_iter().map(command).collect()
    }

    fn verdict(&self, terminal: &Terminal, strict: bool) -> Result<(), CliError> {
        let judgement = &self.judged.judgement;
        let operations = plural(judgement.operations.len(), "operation");
        let undeclared = self.judged.undeclared.len();
        let (refused, stale) = (self.refused.len(), self.stale.len());
        let fault = self.source.fault(self.judged);
        let unjudged = entries(judgement.unjudged.len());
        if !judgement.unjudged.is_empty() {
            terminal.progress(&format!(
                "{unjudged} of what packages bring: `assay consent check --from RUN` judges them"
            ));
        }
        let mut said = vec![format!("{operations}: {refused} without consent")];
        if undeclared > 0 {
            said.push(format!("{undeclared} not declared"));
        }
        if stale > 0 {
            let from = match self.source {
                Source::Plans(_) => String::new(),
                Source::Run(shown) => format!(" --from {}", shown.record.run.id),
            };
            let remove = format!("`assay consent revoke --stale{from}` removes them");
            said.push(format!("{} stale; {remove}", entries(stale)));
        }
        if refused == 0 && undeclared == 0 && stale == 0 {
            terminal.progress(&format!("{operations}: nothing lacks a consent"));
        } else {
            terminal.message(&said.join(", "));
        }
        let found = if undeclared > 0 || fault == Some(ErrorKind::Undeclared) {
            Some(ErrorKind::Undeclared)
        } else if refused > 0 || (strict && stale > 0) {
            Some(ErrorKind::Consent)
        } else {
            fault
        };
        found.map_or(Ok(()), |kind| Err(CliError::said(kind)))
    }
}

/// Entries of the ledger, counted.
fn entries(count: usize) -> String {
    plural(count, "entry").replace("entrys", "entries")
}
