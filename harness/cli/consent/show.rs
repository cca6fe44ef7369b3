//! Privileged operations as people and programs read them: the risk first, then what it is.

use std::collections::BTreeSet;
use std::io::{self, Write};

use assay_observe::attack::{ATTACK_VERSION, technique};
use assay_observe::consent::{ApprovedBy, ForbiddenBy, Judged, Standing};
use assay_observe::risk::{Risk, risk};
use assay_recipe::consents::written_digest;
use assay_wire::consent::{Consent, Policy};
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::plan::Plan;
use assay_wire::privileged::{KindName, PrivilegedOperation};
use schemars::JsonSchema;
use serde::Serialize;

use crate::check::plural;
use crate::terminal::{Terminal, plain, wrap};

/// One operation of one recipe, for programs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Row<'d> {
    recipe: &'d RecipeName,
    pub(super) targets: Vec<&'d TargetId>,
    risk: Risk,
    /// The technique of MITRE ATT&CK, and the version of ATT&CK it is of.
    attack: Option<Attack>,
    /// What a consent is given to, as the ledger writes it.
    digest: String,
    standing: Standing,
    /// As the first of the targets has it.
    operation: &'d PrivilegedOperation,
    /// The same with other commands or bytes.
    also: Vec<&'d PrivilegedOperation>,
}

/// A technique of ATT&CK.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Attack {
    technique: &'static str,
    version: &'static str,
}

/// What a plan declares, with the risk that is assigned to it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Rated {
    /// The position among what the plan declares.
    declared: usize,
    risk: Risk,
    attack: Option<Attack>,
    digest: String,
}

/// One operation for programs.
pub(crate) fn row<'d>(one: &Judged<'d>) -> Row<'d> {
    Row {
        recipe: one.recipe,
        targets: one.targets.clone(),
        risk: one.risk,
        attack: attack(one.operation.kind.name()),
        digest: written_digest(&one.digest),
        standing: one.standing,
        operation: one.operation,
        also: one.also.clone(),
    }
}

fn attack(kind: KindName) -> Option<Attack> {
    technique(kind).map(|technique| Attack {
        technique,
        version: ATTACK_VERSION,
    })
}

/// What a plan declares, rated.
pub(crate) fn rated(plan: &Plan, policy: &Policy) -> Vec<Rated> {
    let declared = plan.declared.iter().enumerate();
    declared
        .map(|(declared, operation)| Rated {
            declared,
            risk: risk(&operation.kind, policy),
            attack: attack(operation.kind.name()),
            digest: written_digest(&operation.digest()),
        })
        .collect()
}

/// The section of a plan: what is above the commands themselves, the gravest first.
pub(crate) fn section(out: &mut dyn Write, plan: &Plan, policy: &Policy) -> io::Result<()> {
    let mut declared: Vec<_> = assay_plan::beyond_commands(plan)
        .map(|operation| (risk(&operation.kind, policy), operation))
        .collect();
    if declared.is_empty() {
        return Ok(());
    }
    declared.sort_by_key(|(risk, _)| *risk);
    writeln!(out, "\nprivileged")?;
    for (risk, operation) in declared {
        let steps: Vec<String> = operation.steps.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "    {:<7}  {:<12}  {}  {}",
            risk.label(),
            operation.kind.name(),
            plain(&operation.subject),
            steps.join(",")
        )?;
    }
    Ok(())
}

/// Columns before what is said of an operation.
const INDENT: usize = 11;

/// Writes an operation: risk, kind and subject; with -v how it is done, and its digest.
pub(crate) fn operation(
    out: &mut dyn Write,
    terminal: &Terminal,
    one: &Judged<'_>,
) -> io::Result<()> {
    head(out, one.risk, one.operation)?;
    if terminal.verbose {
        evidence(out, one)?;
        let attack = one
            .attack
            .map_or_else(String::new, |id| format!("  ATT&CK {id}"));
        let digest = written_digest(&one.digest);
        line(out, &format!("{digest}{attack}"))?;
    }
    Ok(())
}

/// Writes risk, kind and subject.
pub(crate) fn head(
    out: &mut dyn Write,
    risk: Risk,
    operation: &PrivilegedOperation,
) -> io::Result<()> {
    let (kind, subject) = (operation.kind.name(), plain(&operation.subject));
    writeln!(out, "  {:<7}  {kind:<12}  {subject}", risk.label())
}

/// Writes the steps, and every exact command or file: what is granted is granted for all of them.
pub(crate) fn evidence(out: &mut dyn Write, one: &Judged<'_>) -> io::Result<()> {
    let all = || std::iter::once(&one.operation).chain(&one.also);
    let steps: BTreeSet<String> = all()
        .flat_map(|operation| operation.steps.iter().map(ToString::to_string))
        .collect();
    if !steps.is_empty() {
        let steps: Vec<String> = steps.into_iter().collect();
        line(out, &format!("step {}", steps.join(", ")))?;
    }
    let mut lines = BTreeSet::new();
    for operation in all() {
        let seen = &operation.evidence;
        if !seen.argv.is_empty() {
            let command = assay_plan::render::quote::command_line(&seen.argv);
            lines.insert(format!("runs {}", plain(&command)));
        }
        if let Some(path) = &seen.path {
            let bytes = seen.sha256.map(|sha256| format!(", sha256 {sha256}"));
            let bytes = bytes.unwrap_or_default();
            lines.insert(format!("writes {}{bytes}", plain(path)));
        }
        if let Some(url) = &seen.url {
            lines.insert(format!("from {}", plain(url)));
        }
    }
    lines.iter().try_for_each(|text| line(out, text))
}

/// Writes a line that is to be copied or compared, below an operation and never broken.
pub(crate) fn line(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "{:INDENT$}{text}", "")
}

/// Writes what is said of an operation, below it.
pub(crate) fn detail(out: &mut dyn Write, terminal: &Terminal, text: &str) -> io::Result<()> {
    wrap(text, terminal.width().saturating_sub(INDENT))
        .iter()
        .try_for_each(|text| line(out, text))
}

/// How an operation stands, in words.
pub(crate) fn standing(standing: Standing, ledger: &[Consent]) -> String {
    let words = |entry: usize, words: &dyn Fn(&Consent) -> String| {
        ledger.get(entry).map(words).unwrap_or_default()
    };
    match standing {
        Standing::Ordinary => "ordinary: needs no consent".to_owned(),
        Standing::Approved(by) => {
            let key = match by {
                ApprovedBy::Repositories => "repositories",
                ApprovedBy::Groups => "groups",
                ApprovedBy::Services => "services",
            };
            format!("approved by `{key}` of `[policy]`")
        }
        Standing::Granted { entry } => words(entry, &|consent| {
            let by = plain(&consent.by);
            format!(
                "granted by {by} on {}: {}",
                consent.on,
                plain(&consent.note)
            )
        }),
        Standing::Missing => "not granted".to_owned(),
        Standing::Violated { entry } => words(entry, &|consent| {
            format!(
                "changed since {} granted it on {}",
                plain(&consent.by),
                consent.on
            )
        }),
        Standing::Expired { entry } => words(entry, &|consent| {
            let until = consent.expires.as_deref().unwrap_or_default();
            format!("was granted by {} until {until}", plain(&consent.by))
        }),
        Standing::Forbidden(by) => {
            let key = match by {
                ForbiddenBy::Kind => "forbidden_kinds",
                ForbiddenBy::GroupTier => "group_tiers",
            };
            format!("forbidden by `{key}` of `[policy]`: no entry can grant it")
        }
    }
}

/// The targets, in words.
pub(crate) fn targets<'t>(targets: impl IntoIterator<Item = &'t TargetId>) -> String {
    let names: Vec<&str> = targets.into_iter().map(TargetId::as_str).collect();
    format!("on {}", names.join(", "))
}

/// Writes how many operations are not shown because they are ordinary.
pub(crate) fn folded(out: &mut dyn Write, count: usize) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let operations = plural(count, "ordinary operation");
    writeln!(out, "and {operations}, which -v shows")
}
