//! `assay consent diff`: what changed between two revisions or two runs – added, removed and changed
//! operations, and nothing else. That is what a reviewer reads first.

use std::collections::BTreeMap;
use std::io::{self, Write};

use assay_observe::consent::{Judged, Judgement, RunJudgement, Standing, Undeclared};
use assay_observe::observed::ObservedOperation;
use assay_observe::risk::Risk;
use assay_recipe::consents::written_digest;
use assay_wire::digest::Digest;
use assay_wire::event::ConsentBasis;
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::privileged::{KindName, PrivilegedOperation};
use schemars::JsonSchema;
use serde::Serialize;

use super::run::Shown;
use super::source::Source;
use super::{own, revision, show};
use crate::args::{DiffArgs, Recipes, Selection};
use crate::check::plural;
use crate::error::CliError;
use crate::project::Project;
use crate::runs;
use crate::terminal::{Terminal, plain};

/// What changed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    version: u32,
    /// The revisions, as git names them, or the runs; the second is `None` for the files as they are.
    base: &'d str,
    head: Option<&'d str>,
    changes: Vec<ChangeRow<'d>>,
    /// What only the second run showed that no step declares and no package brings.
    undeclared: Vec<show::Row<'d>>,
    /// Cells that only one of the runs shows in full: they are not compared.
    left_out: Vec<String>,
}

/// One change of one recipe, with the targets on which it is alike.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ChangeRow<'d> {
    change: Change,
    /// What it is; what it was, if it is there no more.
    is: show::Row<'d>,
    /// The digest before, where the operation changed.
    was: Option<String>,
    /// Of what a package brings, the parts before, where they changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    was_parts: Vec<show::Part<'d>>,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Change {
    Added,
    Changed,
    Removed,
}

/// A change, with the judgement of the side it is shown of: the head, but for what is removed.
struct Changed<'j, 'p> {
    change: Change,
    shown: &'j Judged<'p>,
    was: Option<&'j Judged<'p>>,
    targets: Vec<&'p TargetId>,
}

impl<'p> Changed<'_, 'p> {
    fn row(&self) -> ChangeRow<'p> {
        let mut is = show::row(self.shown);
        is.targets.clone_from(&self.targets);
        let parts = self.was.iter().flat_map(|was| &was.parts);
        ChangeRow {
            change: self.change,
            is,
            was: self.was.map(|was| written_digest(&was.digest)),
            was_parts: parts.map(|part| show::part(part)).collect(),
        }
    }
}

/// One side of a comparison.
struct Side<'s> {
    judged: &'s RunJudgement<'s>,
    basis: &'s ConsentBasis,
}

/// Compares.
pub(crate) fn run(terminal: &Terminal, arguments: &DiffArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    own(&project)?;
    let head = arguments.head.as_deref();
    if let Some(base) = runs::named(&project, &arguments.base)? {
        let base = Shown::read(&project, &base)?;
        let head = Shown::read(&project, &runs::journal_of(&project, head)?)?;
        return of_runs(terminal, base, head);
    }
    if let Some(head) = head.filter(|head| matches!(runs::named(&project, head), Ok(Some(_)))) {
        let base = plain(&arguments.base);
        let error = format!("`{}` is a run, and `{base}` is none", plain(head));
        return Err(CliError::usage(error).hint("two runs are compared, or two revisions"));
    }
    of_revisions(terminal, project, &arguments.base, head)
}

fn of_revisions(
    terminal: &Terminal,
    project: Project,
    base: &str,
    head: Option<&str>,
) -> Result<(), CliError> {
    let all = || Selection {
        recipes: Recipes {
            recipes: Vec::new(),
        },
        on: Vec::new(),
    };
    let plans = |project: &Project| Source::any(terminal, project, &all(), None);
    let base = revision::checkout(&project, base)?;
    let head = head
        .map(|head| revision::checkout(&project, head))
        .transpose()?;
    let base_project = base.project(terminal)?;
    let base_plans = plans(&base_project)?;
    let head_project = match &head {
        Some(head) => head.project(terminal)?,
        None => project,
    };
    let head_plans = plans(&head_project)?;
    let (before, after) = (base_plans.judge(), head_plans.judge());
    let [before, after] =
        [(&before, &base_plans), (&after, &head_plans)].map(|(judged, plans)| Side {
            judged,
            basis: plans.basis(),
        });
    let head = head.as_ref().map(|head| head.commit.as_str());
    print(terminal, (&base.commit, head), (&before, &after), &[])
}

/// Only the cells that both runs show in full are compared: a cell that did not run removes nothing.
fn of_runs(terminal: &Terminal, mut base: Shown, mut head: Shown) -> Result<(), CliError> {
    let left_out: Vec<String> = base
        .keep_common(&mut head)
        .iter()
        .map(ToString::to_string)
        .collect();
    let (before, after) = (base.judge(), head.judge());
    let [before, after] = [(&before, &base), (&after, &head)].map(|(judged, shown)| Side {
        judged,
        basis: &shown.basis,
    });
    let names = (
        base.record.run.id.as_str(),
        Some(head.record.run.id.as_str()),
    );
    print(terminal, names, (&before, &after), &left_out)?;
    if !left_out.is_empty() {
        let cells = left_out.join(" ");
        terminal.message(&format!(
            "not compared, because one of the runs does not show it in full: {cells}"
        ));
    }
    Ok(())
}

/// Prints what changed.
fn print(
    terminal: &Terminal,
    (base, head): (&str, Option<&str>),
    (before, after): (&Side<'_>, &Side<'_>),
    left_out: &[String],
) -> Result<(), CliError> {
    let changes = compare(&before.judged.judgement, &after.judged.judgement);
    let undeclared = new_undeclared(&before.judged.undeclared, &after.judged.undeclared);
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-consent-diff",
            version: 1,
            base,
            head,
            changes: changes.iter().map(Changed::row).collect(),
            undeclared: undeclared.iter().map(show::undeclared_row).collect(),
            left_out: left_out.to_vec(),
        });
    }
    let shown: Vec<&Changed<'_, '_>> = changes
        .iter()
        .filter(|one| terminal.verbose || one.shown.risk != Risk::Ordinary)
        .collect();
    let folded = changes.len() - shown.len();
    terminal.result(|out| {
        let mut title = None;
        for one in &shown {
            if title != Some(one.change) {
                let break_line = if title.is_some() { "\n" } else { "" };
                writeln!(out, "{break_line}{}", heading(one.change))?;
                title = Some(one.change);
            }
            let basis = match one.change {
                Change::Removed => before.basis,
                Change::Added | Change::Changed => after.basis,
            };
            write_change(out, terminal, one, basis)?;
        }
        if shown.is_empty() && undeclared.is_empty() {
            writeln!(out, "nothing above ordinary changed")?;
        }
        show::folded(out, folded)?;
        let is_first = shown.is_empty() && folded == 0;
        show::not_declared(out, terminal, &undeclared, is_first)
    })?;
    let lacking =
        |one: &&&Changed<'_, '_>| one.change != Change::Removed && one.shown.standing.is_refused();
    let lacking = shown.iter().filter(lacking).count();
    if lacking > 0 {
        terminal.progress(&format!(
            "{} without consent; `assay consent check` says what to run",
            plural(lacking, "change")
        ));
    }
    Ok(())
}

/// What nobody declared and only the second run showed, on the targets on which that is so.
fn new_undeclared<'p>(before: &[Undeclared<'p>], after: &[Undeclared<'p>]) -> Vec<Undeclared<'p>> {
    let known = |one: &Undeclared<'_>, target: &TargetId| {
        before.iter().any(|other| {
            other.recipe == one.recipe
                && other.seen.digest == one.seen.digest
                && other.targets.contains(&target)
        })
    };
    let new = after.iter().filter_map(|one| {
        let mut new = one.clone();
        new.targets.retain(|target| !known(one, target));
        (!new.targets.is_empty()).then_some(new)
    });
    new.collect()
}

fn heading(change: Change) -> &'static str {
    match change {
        Change::Added => "ADDED",
        Change::Changed => "CHANGED",
        Change::Removed => "REMOVED",
    }
}

fn write_change(
    out: &mut dyn Write,
    terminal: &Terminal,
    one: &Changed<'_, '_>,
    basis: &ConsentBasis,
) -> io::Result<()> {
    show::operation(out, terminal, one.shown)?;
    match one.was {
        Some(was) if was.parts.is_empty() && one.shown.parts.is_empty() => {
            for (field, was, is) in fields(was.operation, one.shown.operation) {
                show::line(out, &format!("{field} was {was}"))?;
                show::line(out, &format!("{:1$} is  {is}", "", field.len()))?;
            }
        }
        Some(was) => {
            without(&one.shown.parts, &was.parts)
                .try_for_each(|part| show::observed(out, "+", part))?;
            without(&was.parts, &one.shown.parts)
                .try_for_each(|part| show::observed(out, "-", part))?;
        }
        None => one
            .shown
            .parts
            .iter()
            .try_for_each(|part| show::observed(out, " ", part))?,
    }
    let standing = match (one.change, one.shown.standing) {
        (Change::Removed, Standing::Granted { .. }) => {
            "its consent is stale from now on".to_owned()
        }
        (Change::Removed, _) => String::new(),
        (Change::Added | Change::Changed, standing) => show::standing(standing, &basis.ledger),
    };
    show::detail(out, terminal, &standing)?;
    let targets = show::targets(one.targets.iter().copied());
    show::detail(out, terminal, &format!("{} {targets}", one.shown.recipe))
}

/// The parts that are not among others.
fn without<'s, 'p>(
    parts: &'s [&'p ObservedOperation],
    others: &'s [&'p ObservedOperation],
) -> impl Iterator<Item = &'p ObservedOperation> + use<'s, 'p> {
    let is_among = |part: &ObservedOperation| others.iter().any(|one| one.digest == part.digest);
    parts.iter().copied().filter(move |part| !is_among(part))
}

/// The fields that differ, each as it was and as it is.
fn fields(was: &PrivilegedOperation, is: &PrivilegedOperation) -> Vec<(String, String, String)> {
    let own = |operation: &PrivilegedOperation| {
        let kind = serde_json::to_value(&operation.kind).unwrap_or_default();
        let fields = kind.get(operation.kind.name().as_str());
        fields
            .and_then(|fields| fields.as_object().cloned())
            .unwrap_or_default()
    };
    let (was, is) = (own(was), own(is));
    let shown = |value: Option<&serde_json::Value>| {
        plain(&value.map(ToString::to_string).unwrap_or_default())
    };
    let differ = is
        .iter()
        .filter(|(field, value)| was.get(*field) != Some(*value));
    differ
        .map(|(field, value)| (field.clone(), shown(was.get(field)), shown(Some(value))))
        .collect()
}

/// What an operation is by its words alone, wherever it changed.
type Name<'p> = (&'p RecipeName, &'p TargetId, KindName, &'p str);

/// The operations of a side, by name; several can have one.
fn by_name<'j, 'p>(
    judgement: &'j Judgement<'p>,
) -> BTreeMap<Name<'p>, BTreeMap<Digest, &'j Judged<'p>>> {
    let mut found: BTreeMap<Name<'p>, BTreeMap<Digest, &Judged<'p>>> = BTreeMap::new();
    for one in &judgement.operations {
        for target in &one.targets {
            let kind = one.operation.kind.name();
            let name = (one.recipe, *target, kind, one.operation.subject.as_str());
            found.entry(name).or_default().insert(one.digest, one);
        }
    }
    found
}

/// What changed from one side to the other, by change, the gravest first.
fn compare<'j, 'p>(before: &'j Judgement<'p>, after: &'j Judgement<'p>) -> Vec<Changed<'j, 'p>> {
    let (base, head) = (by_name(before), by_name(after));
    let none = BTreeMap::new();
    let names: std::collections::BTreeSet<_> = base.keys().chain(head.keys()).copied().collect();
    let mut found: Vec<Changed<'j, 'p>> = Vec::new();
    for name in names {
        let (old, new) = (
            base.get(&name).unwrap_or(&none),
            head.get(&name).unwrap_or(&none),
        );
        let mut gone: Vec<&'j Judged<'p>> = old
            .iter()
            .filter(|(digest, _)| !new.contains_key(digest))
            .map(|(_, one)| *one)
            .collect();
        for (_, one) in new.iter().filter(|(digest, _)| !old.contains_key(digest)) {
            let was = gone.pop();
            let change = was.map_or(Change::Added, |_| Change::Changed);
            add(&mut found, change, one, was, name.1);
        }
        for one in gone {
            add(&mut found, Change::Removed, one, None, name.1);
        }
    }
    found.sort_by(|one, other| {
        let order = |it: &Changed<'_, '_>| (it.change, it.shown.risk);
        order(one)
            .cmp(&order(other))
            .then_with(|| one.shown.recipe.cmp(other.shown.recipe))
    });
    found
}

/// Adds a change on a target, to one that is alike on another if there is one.
fn add<'j, 'p>(
    found: &mut Vec<Changed<'j, 'p>>,
    change: Change,
    shown: &'j Judged<'p>,
    was: Option<&'j Judged<'p>>,
    target: &'p TargetId,
) {
    let digest = was.map(|was| was.digest);
    let alike = |one: &&mut Changed<'_, '_>| {
        one.change == change
            && one.shown.recipe == shown.recipe
            && one.shown.digest == shown.digest
            && one.shown.standing == shown.standing
            && one.was.map(|was| was.digest) == digest
    };
    match found.iter_mut().find(alike) {
        Some(one) => one.targets.push(target),
        None => found.push(Changed {
            change,
            shown,
            was,
            targets: vec![target],
        }),
    }
}
