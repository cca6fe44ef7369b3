//! Privileged operations as people and programs read them: the risk first, then what it is.

use std::collections::BTreeSet;
use std::io::{self, Write};

use assay_observe::attack::{ATTACK_VERSION, technique};
use assay_observe::consent::{ForbiddenBy, Judged, Standing, Undeclared, forbidden, part_line};
use assay_observe::delta::{Class, Why};
use assay_observe::observed::ObservedOperation;
use assay_observe::risk::{Risk, risk};
use assay_recipe::consents::written_digest;
use assay_report::sanitise;
use assay_wire::consent::{Consent, Policy};
use assay_wire::event::ConsentBasis;
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
    /// How it stands; `None` for what nobody declared, which no consent is given to.
    standing: Option<Standing>,
    /// Why nothing explains it, if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    undeclared: Option<&'d Why>,
    /// As the first of the targets has it.
    operation: &'d PrivilegedOperation,
    /// The same with other commands or bytes.
    also: Vec<&'d PrivilegedOperation>,
    /// Of what a package brings, its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part<'d>>,
}

/// A part of what a package brings.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Part<'d> {
    risk: Risk,
    attack: Option<Attack>,
    digest: String,
    operation: &'d PrivilegedOperation,
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
        standing: Some(one.standing),
        undeclared: None,
        operation: one.operation,
        also: one.also.clone(),
        parts: one.parts.iter().map(|part| self::part(part)).collect(),
    }
}

/// One part for programs.
pub(super) fn part(seen: &ObservedOperation) -> Part<'_> {
    Part {
        risk: seen.risk,
        attack: attack(seen.operation.kind.name()),
        digest: written_digest(&seen.digest),
        operation: &seen.operation,
    }
}

/// What nobody declared, for programs.
pub(super) fn undeclared_row<'d>(one: &Undeclared<'d>) -> Row<'d> {
    Row {
        recipe: one.recipe,
        targets: one.targets.clone(),
        risk: one.seen.risk,
        attack: attack(one.seen.operation.kind.name()),
        digest: written_digest(&one.seen.digest),
        standing: None,
        undeclared: why(one.seen),
        operation: &one.seen.operation,
        also: Vec::new(),
        parts: Vec::new(),
    }
}

/// Why nothing explains an operation; `None` if something does.
fn why(seen: &ObservedOperation) -> Option<&Why> {
    match &seen.class {
        Class::Undeclared { why } => Some(why),
        Class::Declared { .. } | Class::Accompanying { .. } => None,
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

/// Writes the parts of what a package brings, with who did each, and `!` where the policy forbids it. Where
/// an entry grants what it brought before, only what differs from that: people granted the others already.
pub(super) fn parts(
    out: &mut dyn Write,
    terminal: &Terminal,
    one: &Judged<'_>,
    basis: &ConsentBasis,
) -> io::Result<()> {
    let mut parts = one.parts.clone();
    parts.sort_by_key(|part| part.risk);
    let before = match one.standing {
        Standing::Violated { entry } => basis.ledger.get(entry),
        Standing::Forbidden(_)
        | Standing::Expired { .. }
        | Standing::Missing
        | Standing::Granted { .. }
        | Standing::Approved(_)
        | Standing::Ordinary => None,
    };
    let Some(before) = before.filter(|_| !parts.is_empty()) else {
        let sign = |part: &ObservedOperation| {
            let forbidden = forbidden(&part.operation.kind, &basis.policy);
            forbidden.map_or(" ", |_| "!")
        };
        return parts
            .iter()
            .try_for_each(|part| observed(out, sign(part), part));
    };
    let lines: Vec<String> = parts
        .iter()
        .map(|part| part_line(&part.operation))
        .collect();
    let mut kept = 0;
    for (part, text) in parts.iter().zip(&lines) {
        if !before.operations.contains(text) {
            observed(out, "+", part)?;
        } else if terminal.verbose {
            observed(out, " ", part)?;
        } else {
            kept += 1;
        }
    }
    let gone = |text: &&String| !lines.contains(text);
    let gone: Vec<&String> = before.operations.iter().filter(gone).collect();
    for text in &gone {
        line(out, &format!("- {}", plain(text)))?;
    }
    if kept == parts.len() && gone.is_empty() {
        let same = "its parts read as before: what differs are fields that their words do not show";
        detail(out, terminal, same)?;
    } else if kept > 0 {
        line(out, &format!("and {} as before", plural(kept, "part")))?;
    }
    Ok(())
}

/// Columns of a command in a line about an operation.
const COMMAND: usize = 200;

/// Writes an operation that was seen, below another, and who did it.
pub(super) fn observed(
    out: &mut dyn Write,
    sign: &str,
    seen: &ObservedOperation,
) -> io::Result<()> {
    let (kind, subject) = (seen.operation.kind.name(), plain(&seen.operation.subject));
    line(
        out,
        &format!("{sign} {:<7}  {kind:<12}  {subject}", seen.risk.label()),
    )?;
    line(out, &format!("    by {}", actor(seen)))
}

/// Who did something, as far as it was seen.
fn actor(seen: &ObservedOperation) -> String {
    let Some(actor) = &seen.operation.actor else {
        return "no traced program".to_owned();
    };
    let command = sanitise::command(&actor.argv, COMMAND);
    let script = actor.script.as_ref().map(|script| {
        let script = format!("{} of {}", script.script, script.package);
        format!(", in {}", sanitise::line(&script, COMMAND))
    });
    format!(
        "`{command}`, uid {}{}",
        actor.uid,
        script.unwrap_or_default()
    )
}

/// Writes what nobody declared.
fn undeclared(out: &mut dyn Write, terminal: &Terminal, one: &Undeclared<'_>) -> io::Result<()> {
    head(out, one.seen.risk, &one.seen.operation)?;
    line(out, &format!("by {}", actor(one.seen)))?;
    if let Some(why) = why(one.seen) {
        detail(out, terminal, &explained(why))?;
    }
    let targets = targets(one.targets.iter().copied());
    detail(out, terminal, &format!("{} {targets}", one.recipe))
}

/// Writes what no entry can grant, if there is any.
pub(super) fn not_declared(
    out: &mut dyn Write,
    terminal: &Terminal,
    rows: &[Undeclared<'_>],
    is_first: bool,
) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let break_line = if is_first { "" } else { "\n" };
    writeln!(out, "{break_line}NOT DECLARED: no entry can grant it")?;
    rows.iter()
        .try_for_each(|one| undeclared(out, terminal, one))
}

/// Why nothing explains an operation, in words.
fn explained(why: &Why) -> String {
    match why {
        Why::Nobody => "no step declares it and no package brings it".to_owned(),
        Why::Differs { package } => {
            format!(
                "`{}` brings this path, and brings it otherwise",
                plain(package)
            )
        }
        Why::NotItsOwn { package } => format!(
            "a script of `{}` changed what another brought, or what the image had",
            plain(package)
        ),
        Why::Capture => "it could not be captured, or kept others from being".to_owned(),
    }
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
            format!("approved by `{}` of `[policy]`", by.key())
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
