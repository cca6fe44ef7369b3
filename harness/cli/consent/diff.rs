//! `assay consent diff`: what changed between two revisions – added, removed and changed operations,
//! and nothing else. That is what a reviewer reads first.

use std::collections::BTreeMap;
use std::io::{self, Write};

use assay_observe::consent::{Judged, Judgement, Standing};
use assay_observe::risk::Risk;
use assay_recipe::consents::written_digest;
use assay_wire::digest::Digest;
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::privileged::{KindName, PrivilegedOperation};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Declared, own, revision, show};
use crate::args::{DiffArgs, Recipes, Selection};
use crate::check::plural;
use crate::error::CliError;
use crate::project::Project;
use crate::terminal::{Terminal, plain};

/// What changed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    version: u32,
    /// The revisions, as git names them; the second is `None` for the files as they are.
    base: String,
    head: Option<String>,
    changes: Vec<ChangeRow<'d>>,
}

/// One change of one recipe, with the targets on which it is alike.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ChangeRow<'d> {
    change: Change,
    /// What it is; what it was, if it is there no more.
    is: show::Row<'d>,
    /// The digest before, where the operation changed.
    was: Option<String>,
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
    was: Option<&'j PrivilegedOperation>,
    targets: Vec<&'p TargetId>,
}

impl<'p> Changed<'_, 'p> {
    fn row(&self) -> ChangeRow<'p> {
        let mut is = show::row(self.shown);
        is.targets.clone_from(&self.targets);
        ChangeRow {
            change: self.change,
            is,
            was: self.was.map(|was| written_digest(&was.digest())),
        }
    }
}

/// Compares.
pub(crate) fn run(terminal: &Terminal, arguments: &DiffArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    own(&project)?;
    let all = || Selection {
        recipes: Recipes {
            recipes: Vec::new(),
        },
        on: Vec::new(),
    };
    let side = |checkout: &revision::Checkout| {
        let project = checkout.project(terminal)?;
        let declared = Declared::plan(terminal, &project, &all())?;
        Ok::<_, CliError>((project, declared))
    };
    let base = revision::checkout(&project, &arguments.base)?;
    let head = arguments.head.as_deref();
    let head = head
        .map(|head| revision::checkout(&project, head))
        .transpose()?;
    let (base_project, base_declared) = side(&base)?;
    let (head_project, head_declared) = match &head {
        Some(head) => side(head)?,
        None => {
            let declared = Declared::plan(terminal, &project, &all())?;
            (project, declared)
        }
    };
    let before = base_declared.judge();
    let after = head_declared.judge();
    let changes = compare(&before, &after);
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-consent-diff",
            version: 1,
            base: base.commit.clone(),
            head: head.as_ref().map(|head| head.commit.clone()),
            changes: changes.iter().map(Changed::row).collect(),
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
            let ledger = match one.change {
                Change::Removed => &base_declared.basis.ledger,
                Change::Added | Change::Changed => &head_declared.basis.ledger,
            };
            write_change(out, terminal, one, ledger)?;
        }
        if shown.is_empty() {
            writeln!(out, "nothing above ordinary changed")?;
        }
        show::folded(out, folded)
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
    ledger: &[assay_wire::consent::Consent],
) -> io::Result<()> {
    show::operation(out, terminal, one.shown)?;
    if let Some(was) = one.was {
        for (field, was, is) in fields(was, one.shown.operation) {
            show::line(out, &format!("{field} was {was}"))?;
            show::line(out, &format!("{:1$} is  {is}", "", field.len()))?;
        }
    }
    let standing = match (one.change, one.shown.standing) {
        (Change::Removed, Standing::Granted { .. }) => {
            "its consent is stale from now on".to_owned()
        }
        (Change::Removed, _) => String::new(),
        (Change::Added | Change::Changed, standing) => show::standing(standing, ledger),
    };
    show::detail(out, terminal, &standing)?;
    let targets = show::targets(one.targets.iter().copied());
    show::detail(out, terminal, &format!("{} {targets}", one.shown.recipe))
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
            let was = gone.pop().map(|was| was.operation);
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
    was: Option<&'j PrivilegedOperation>,
    target: &'p TargetId,
) {
    let digest = was.map(PrivilegedOperation::digest);
    let alike = |one: &&mut Changed<'_, '_>| {
        one.change == change
            && one.shown.recipe == shown.recipe
            && one.shown.digest == shown.digest
            && one.shown.standing == shown.standing
            && one.was.map(PrivilegedOperation::digest) == digest
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
