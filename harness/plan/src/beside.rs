//! One set on many targets, side by side: a row for each thing it does, a column for each group of
//! targets on which it does the same, and what differs between the columns, with the reason.
//!
//! It compares what authors wrote with what became of it ([`Plan::steps`]); how it looks on a
//! terminal is decided in `render`.

use assay_packages::VersionRequest;
use assay_recipe::model::{Action, Check, CommandMinimum, Requirement, RequirementKind, Step};
use assay_recipe::package::Manager;
use assay_recipe::system::BinaryPath;
use assay_recipe::{Recipe, Spanned};
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::plan::{Disposition, Plan, PlannedStep};
use schemars::JsonSchema;
use serde::Serialize;

use crate::applies::Seen;
use crate::target::Target;

/// One set on many targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Beside {
    /// The set, in the order applied.
    pub recipes: Vec<RecipeName>,
    /// Groups of targets on which it does the same.
    pub columns: Vec<Column>,
    /// What it does.
    pub rows: Vec<Row>,
    /// Where it does nothing.
    pub unsupported: Vec<Unsupported>,
}

/// Targets on which a set does the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Column {
    /// The targets.
    pub targets: Vec<TargetId>,
    /// Their package manager.
    pub manager: Option<&'static str>,
}

/// One thing a recipe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Row {
    /// The recipe.
    pub recipe: RecipeName,
    /// What kind of thing.
    pub kind: RowKind,
    /// What it is about, such as a command's name; empty where the kind says all.
    pub subject: String,
    /// What is done, by column; `None` where it is not.
    pub cells: Vec<Option<String>>,
    /// What differs between the columns, one sentence each; empty where nothing does.
    pub differs: Vec<String>,
}

/// A target on which a set does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unsupported {
    /// The target.
    pub target: TargetId,
    /// Why.
    pub reason: String,
}

/// What kind of thing a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// What must be there before.
    Requires,
    /// Where software comes from.
    Repository,
    /// What is installed.
    Packages,
    /// A file that is fetched.
    Download,
    /// An archive that is unpacked.
    Archive,
    /// A program that is installed from a file.
    Program,
    /// A group the user joins.
    Group,
    /// A unit that is enabled or started.
    Service,
    /// A command that must be there afterwards.
    Command,
    /// What a human does.
    Manual,
    /// What is checked at the end.
    Check,
}

impl RowKind {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requires => "requires",
            Self::Repository => "repository",
            Self::Packages => "packages",
            Self::Download => "download",
            Self::Archive => "archive",
            Self::Program => "program",
            Self::Group => "group",
            Self::Service => "service",
            Self::Command => "command",
            Self::Manual => "manual",
            Self::Check => "check",
        }
    }
}

/// What one entry of a recipe adds to a row.
struct Entry<'r> {
    kind: RowKind,
    subject: String,
    /// What it adds; several for packages.
    words: Vec<String>,
    /// The action; `None` for what applies to every family.
    action: Option<&'r Action>,
}

/// A set on these targets, each with its plan.
#[must_use]
pub fn beside(set: &[&Recipe], planned: &[(&Target, &Plan)]) -> Beside {
    let supported: Vec<(&Target, &Plan)> = planned
        .iter()
        .copied()
        .filter(|(_, plan)| plan.unsupported.is_none())
        .collect();
    let unsupported = planned.iter().filter_map(|(target, plan)| {
        Some(Unsupported {
            target: target.id.clone(),
            reason: plan.unsupported.clone()?,
        })
    });
    let mut wide = Vec::new();
    for recipe in set {
        wide.extend(rows_of(recipe, &supported));
    }
    // Targets with the same manager and the same cells share a column.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in 0..supported.len() {
        let alike = |first: usize| {
            supported[first].0.manager() == supported[at].0.manager()
                && wide.iter().all(|row| row.cells[first] == row.cells[at])
        };
        match groups.iter_mut().find(|group| alike(group[0])) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    let columns: Vec<Column> = groups
        .iter()
        .map(|group| Column {
            targets: group.iter().map(|at| supported[*at].0.id.clone()).collect(),
            manager: supported[group[0]].0.manager().map(Manager::as_str),
        })
        .collect();
    let rows = wide
        .into_iter()
        .map(|row| {
            let cells: Vec<Option<Vec<String>>> = groups
                .iter()
                .map(|group| row.cells[group[0]].clone())
                .collect();
            let absent: Vec<Option<String>> = groups
                .iter()
                .map(|group| row.absent[group[0]].clone())
                .collect();
            Row {
                differs: differs(row.kind, &columns, &cells, &absent),
                cells: cells
                    .into_iter()
                    .map(|cell| cell.map(|words| words.join(", ")))
                    .collect(),
                recipe: row.recipe,
                kind: row.kind,
                subject: row.subject,
            }
        })
        .collect();
    Beside {
        recipes: set
            .iter()
            .map(|recipe| recipe.metadata.name.value.clone())
            .collect(),
        columns,
        rows,
        unsupported: unsupported.collect(),
    }
}

/// A row with one cell for each target.
struct WideRow {
    recipe: RecipeName,
    kind: RowKind,
    subject: String,
    cells: Vec<Option<Vec<String>>>,
    /// Why there is nothing, by target; `None` where there is something.
    absent: Vec<Option<String>>,
}

fn rows_of(recipe: &Recipe, supported: &[(&Target, &Plan)]) -> Vec<WideRow> {
    let entries = entries(recipe);
    let name = &recipe.metadata.name.value;
    let mut keys: Vec<(RowKind, &str)> = Vec::new();
    for entry in &entries {
        let key = (entry.kind, entry.subject.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let row = |(kind, subject): (RowKind, &str)| {
        let (mut cells, mut absent) = (Vec::new(), Vec::new());
        for (target, plan) in supported {
            // A plan has an entry for each of the recipe's, in the same order.
            let steps = plan.steps.iter().filter(|step| step.step.recipe == *name);
            let own: Vec<(&Entry<'_>, &PlannedStep)> = entries
                .iter()
                .zip(steps)
                .filter(|(entry, _)| (entry.kind, entry.subject.as_str()) == (kind, subject))
                .collect();
            let words: Vec<String> = own
                .iter()
                .filter(|(_, step)| !matches!(step.disposition, Disposition::Dropped { .. }))
                .flat_map(|(entry, _)| entry.words.clone())
                .collect();
            absent.push(words.is_empty().then(|| why_absent(recipe, target, &own)));
            cells.push((!words.is_empty()).then_some(words));
        }
        WideRow {
            recipe: name.clone(),
            kind,
            subject: subject.to_owned(),
            cells,
            absent,
        }
    };
    keys.into_iter().map(row).collect()
}

/// Why none of these entries applies. Entries for other families say nothing where one for this
/// family has a reason of its own.
fn why_absent(recipe: &Recipe, target: &Target, entries: &[(&Entry<'_>, &PlannedStep)]) -> String {
    let seen = Seen::by(recipe, target);
    let (mut reasons, mut of_others): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (entry, step) in entries {
        let fits = entry.action.is_none_or(|action| seen.fits(action).is_ok());
        let list = if fits { &mut reasons } else { &mut of_others };
        if let Disposition::Dropped { reason } = &step.disposition
            && !list.contains(&reason.as_str())
        {
            list.push(reason);
        }
    }
    if let ([], [one]) = (reasons.as_slice(), of_others.as_slice()) {
        return (*one).to_owned();
    }
    if reasons.is_empty() {
        return target.family().map_or_else(
            || format!("no step of the recipe is for {}", target.os),
            |family| format!("no step of the recipe is for the {family} family"),
        );
    }
    reasons.join("; ")
}

/// What differs between the cells of a row.
fn differs(
    kind: RowKind,
    columns: &[Column],
    cells: &[Option<Vec<String>>],
    absent: &[Option<String>],
) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    // One sentence for each reason, with all targets it is about.
    let mut reasons: Vec<&String> = Vec::new();
    for reason in absent.iter().flatten() {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    for reason in reasons {
        let without = absent.iter().map(|other| other.as_ref() == Some(reason));
        said.push(format!("not on {}: {reason}", named(columns, without)));
    }
    let present: Vec<&Vec<String>> = cells.iter().flatten().collect();
    let all_alike = present.windows(2).all(|pair| pair[0] == pair[1]);
    if all_alike {
        return said;
    }
    match kind {
        // Every manager has repositories of its own.
        RowKind::Repository => {}
        RowKind::Packages => {
            let mut words: Vec<&String> = Vec::new();
            for word in present.iter().copied().flatten() {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
            // Packages that are on the same targets stand in one sentence.
            let mut only: Vec<(String, Vec<&str>)> = Vec::new();
            for word in words {
                let holds = |cell: &Option<Vec<String>>| {
                    cell.as_ref().is_some_and(|words| words.contains(word))
                };
                if cells.iter().flatten().all(|words| words.contains(word)) {
                    continue;
                }
                let with = named(columns, cells.iter().map(holds));
                match only.iter_mut().find(|(targets, _)| *targets == with) {
                    Some((_, words)) => words.push(word),
                    None => only.push((with, vec![word])),
                }
            }
            said.extend(
                only.iter()
                    .map(|(targets, words)| format!("{} only on {targets}", words.join(", "))),
            );
        }
        RowKind::Requires
        | RowKind::Download
        | RowKind::Archive
        | RowKind::Program
        | RowKind::Group
        | RowKind::Service
        | RowKind::Command
        | RowKind::Manual
        | RowKind::Check => {
            let mut values: Vec<&Vec<String>> = Vec::new();
            for words in present {
                if !values.contains(&words) {
                    values.push(words);
                }
            }
            for value in values {
                let with = cells.iter().map(|cell| cell.as_ref() == Some(value));
                said.push(format!("{} on {}", value.join(", "), named(columns, with)));
            }
        }
    }
    said
}

/// The targets of the columns that are meant.
fn named(columns: &[Column], meant: impl Iterator<Item = bool>) -> String {
    let targets: Vec<&str> = columns
        .iter()
        .zip(meant)
        .filter(|(_, meant)| *meant)
        .flat_map(|(column, _)| column.targets.iter().map(TargetId::as_str))
        .collect();
    targets.join(", ")
}

/// Every entry of a recipe, in the order of a plan's steps.
fn entries(recipe: &Recipe) -> Vec<Entry<'_>> {
    let requires = recipe.requires.iter().map(requirement);
    let steps = recipe.steps.iter().map(step);
    requires
        .chain(steps)
        .chain(recipe.checks.iter().map(check))
        .collect()
}

const YES: &str = "yes";

fn minimum(minimum: Option<&CommandMinimum>) -> String {
    minimum.map_or_else(
        || YES.to_owned(),
        |minimum| format!(">={}", minimum.version.value),
    )
}

fn requirement(requirement: &Requirement) -> Entry<'_> {
    let (subject, value) = match &requirement.kind {
        RequirementKind::Command {
            command,
            minimum: oldest,
        } => (
            format!("command {}", command.value),
            minimum(oldest.as_ref()),
        ),
        RequirementKind::Package {
            package,
            min_version,
        } => {
            let oldest = min_version.as_ref();
            (
                format!("package {}", package.value),
                oldest.map_or_else(|| YES.to_owned(), |version| format!(">={}", version.value)),
            )
        }
        RequirementKind::Library(library) => (format!("library {}", library.value), YES.to_owned()),
        RequirementKind::File(place) => (format!("file {}", place.value), YES.to_owned()),
        RequirementKind::User(user) => (format!("user {}", user.value), YES.to_owned()),
    };
    Entry {
        kind: RowKind::Requires,
        subject,
        words: vec![value],
        action: None,
    }
}

fn step(step: &Step) -> Entry<'_> {
    let (kind, subject, words) = match &step.action {
        Action::Install(install) => {
            let word = |request: &assay_recipe::model::PackageRequest| match &request.version.value
            {
                VersionRequest::Any => request.name.value.to_string(),
                version @ (VersionRequest::Auto | VersionRequest::Range(_)) => {
                    format!("{} {version}", request.name.value)
                }
            };
            let words = install.packages.iter().map(word).collect();
            (RowKind::Packages, String::new(), words)
        }
        Action::AptRepo(repo) => {
            let words = vec![repo.url.value.to_string()];
            (RowKind::Repository, String::new(), words)
        }
        Action::DnfRepo(repo) => {
            let words = vec![repo.url.value.to_string()];
            (RowKind::Repository, String::new(), words)
        }
        Action::AptPpa(ppa) => {
            let words = vec![format!("ppa {}", ppa.ppa.value)];
            (RowKind::Repository, String::new(), words)
        }
        Action::Download(download) => (
            RowKind::Download,
            download.dest.value.to_string(),
            vec![download.url.value.to_string()],
        ),
        Action::Extract(extract) => (
            RowKind::Archive,
            extract.archive.value.to_string(),
            vec![format!("to {}", extract.dest.value)],
        ),
        Action::InstallBinaries(install) => {
            let name = |binary: &Spanned<BinaryPath>| binary.value.name().to_owned();
            let words = install.binaries.iter().map(name).collect();
            (RowKind::Program, install.dest.value.to_string(), words)
        }
        Action::ServiceEnable(service) => (
            RowKind::Service,
            service_name(&service.service.value.to_string()),
            vec!["enabled".to_owned()],
        ),
        Action::ServiceStart(service) => (
            RowKind::Service,
            service_name(&service.service.value.to_string()),
            vec!["started".to_owned()],
        ),
        Action::GroupAdd(add) => {
            let created = if add.create { ", created" } else { "" };
            (
                RowKind::Group,
                add.group.value.to_string(),
                vec![format!("{}{created}", add.user.value)],
            )
        }
        Action::RequireCommand(require) => (
            RowKind::Command,
            require.command.value.to_string(),
            vec![minimum(require.minimum.as_ref())],
        ),
        Action::Manual(_) => (
            RowKind::Manual,
            step.id.value.to_string(),
            vec![YES.to_owned()],
        ),
    };
    Entry {
        kind,
        subject,
        words,
        action: Some(&step.action),
    }
}

/// A service is the same with and without the suffix of its unit.
fn service_name(unit: &str) -> String {
    unit.strip_suffix(".service").unwrap_or(unit).to_owned()
}

fn check(check: &Check) -> Entry<'_> {
    Entry {
        kind: RowKind::Check,
        subject: check.name.value.clone(),
        words: vec![YES.to_owned()],
        action: None,
    }
}

#[cfg(test)]
mod tests;
