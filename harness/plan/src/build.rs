//! The plan of a set on a target: what becomes of every step, then the ops of those that apply, in
//! the order of [`crate::order`].

mod ranges;
mod unsupported;

use assay_recipe::Recipe;
use assay_recipe::action::Scope;
use assay_recipe::model::{
    Action, Check, Download, Extract, GroupAdd, InstallBinaries, Manual, RequireCommand,
    Requirement, RequirementKind, Service, Step,
};
use assay_recipe::name::DistroId;
use assay_recipe::package::Manager;
use assay_recipe::template::Placeholder;
use assay_recipe::when::Os;
use assay_wire::lock::Lock;
use assay_wire::name::{RecipeName, StepId, StepRef, Variant};
use assay_wire::plan::{Disposition, Expects, Plan, PlannedStep};

use crate::applies::{Seen, UBUNTU};
use crate::fault::{Fault, FaultCode, Place};
use crate::locked::Locked;
use crate::manager::arch_word;
use crate::ops::{About, Disagreement, Ops, Wanted};
use crate::order::{At, Kind, Run, order};
use crate::presence::{self, Question};
use crate::repository::Repository;
use crate::request::Request;
use crate::service::Verb;
use crate::set::{dependencies, ordered};
use crate::target::{EffectiveDistro, Target};
use ranges::range_faults;
use unsupported::unsupported;

/// The ordered ops of a set on a target. The set holds everything its recipes depend on (see
/// [`crate::closure`]); its order does not matter beyond what `depends_on` leaves open.
///
/// # Errors
/// Only for what makes a set unplannable: a dependency that is not in the set, a circle of
/// dependencies, two recipes or repositories of one name, and ranges of one package that no version
/// meets. Everything else is a plan, on every target.
pub fn plan(set: &[&Recipe], target: &Target) -> Result<Plan, Vec<Fault>> {
    plan_locked(set, target, None)
}

/// The same under a lock: a range becomes the newest version that was recorded and meets it, and a key
/// that is known by its fingerprint becomes the file that was recorded.
///
/// # Errors
/// As [`plan`].
pub fn plan_locked(
    set: &[&Recipe],
    target: &Target,
    lock: Option<&Lock>,
) -> Result<Plan, Vec<Fault>> {
    let locked = Locked::new(lock, &target.id);
    let set = ordered(set)?;
    let depends_on = dependencies(&set);
    let recipes: Vec<Considered<'_>> = set
        .iter()
        .map(|recipe| Considered::new(recipe, target))
        .collect();
    let unsupported = unsupported(&recipes, &depends_on, target);
    let verbs: Vec<Verb> = recipes.iter().flat_map(Considered::verbs).collect();
    let supported = unsupported.is_none();
    let mut plan = Plan {
        target: target.id.clone(),
        variant: if supported && !verbs.is_empty() {
            Variant::Systemd
        } else {
            Variant::Minimal
        },
        boots: supported && verbs.contains(&Verb::Start),
        recipes: set
            .iter()
            .map(|recipe| recipe.metadata.name.value.clone())
            .collect(),
        unsupported,
        steps: recipes.iter().flat_map(Considered::planned_steps).collect(),
        content: Vec::new(),
        ops: Vec::new(),
        declared: Vec::new(),
    };
    if plan.unsupported.is_some() {
        for step in &mut plan.steps {
            if !matches!(step.disposition, Disposition::Dropped { .. }) {
                let reason = format!("nothing of this set is installed on {}", target.id);
                step.disposition = Disposition::Dropped { reason };
            }
        }
        return Ok(plan);
    }
    let faults = range_faults(&recipes, target);
    if !faults.is_empty() {
        return Err(faults);
    }
    let machine = (target.os, target.manager());
    add_ops(&mut plan, &recipes, depends_on, machine, locked)?;
    Ok(plan)
}

/// The effective distribution of one recipe of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeDistro {
    /// The recipe.
    pub recipe: RecipeName,
    /// The nearest distribution of the target's chain that it names, else the target's own; `None`
    /// where the target states none.
    pub distro: Option<EffectiveDistro>,
}

/// The effective distribution of every recipe of a set on a target, for `--explain`.
#[must_use]
pub fn effective_distros(set: &[&Recipe], target: &Target) -> Vec<RecipeDistro> {
    let distro = |recipe: &&Recipe| RecipeDistro {
        recipe: recipe.metadata.name.value.clone(),
        distro: Seen::by(recipe, target).distro,
    };
    set.iter().map(distro).collect()
}

/// A recipe on a target: every entry with what becomes of it.
struct Considered<'r> {
    recipe: &'r Recipe,
    requires: Vec<Result<Question, String>>,
    steps: Vec<Result<Applied<'r>, String>>,
    checks: Vec<Result<&'r Check, String>>,
}

/// A step that applies, as far as it can be said without its neighbours.
enum Applied<'r> {
    Install(Manager, Wanted),
    Repository(Repository),
    GroupAdd(&'r GroupAdd),
    Service(Verb, &'r Service),
    /// With its URL filled.
    Download(String, &'r Download),
    Extract(&'r Extract),
    InstallBinaries(&'r InstallBinaries),
    RequireCommand(&'r RequireCommand),
    Manual(&'r Manual),
}

impl<'r> Considered<'r> {
    fn new(recipe: &'r Recipe, target: &Target) -> Self {
        let seen = Seen::by(recipe, target);
        let steps = recipe
            .steps
            .iter()
            .map(|step| apply(recipe, step, &seen))
            .collect();
        let requires = recipe
            .requires
            .iter()
            .map(|requirement| require(requirement, &seen))
            .collect();
        let check = |check: &'r Check| {
            seen.holds(check.when.as_ref().map(|when| &when.value))
                .map(|()| check)
        };
        Self {
            recipe,
            requires,
            steps,
            checks: recipe.checks.iter().map(check).collect(),
        }
    }

    fn name(&self) -> &RecipeName {
        &self.recipe.metadata.name.value
    }

    fn step_ref(&self, step: &Step) -> StepRef {
        StepRef {
            recipe: self.name().clone(),
            step: step.id.value.clone(),
        }
    }

    /// The steps that apply, with their references.
    fn applied(&self) -> Vec<(StepRef, &Applied<'r>)> {
        let steps = self.recipe.steps.iter().zip(&self.steps);
        steps
            .filter_map(|(step, applied)| Some((self.step_ref(step), applied.as_ref().ok()?)))
            .collect()
    }

    /// The steps that bring software, on whatever target.
    fn installing_steps(&self) -> impl Iterator<Item = (Scope, &Result<Applied<'r>, String>)> {
        let steps = self.recipe.steps.iter().zip(&self.steps);
        steps
            .filter(|(step, _)| step.action.installs())
            .map(|(step, applied)| (step.action.scope(), applied))
    }

    /// What the applying steps do with services.
    fn verbs(&self) -> impl Iterator<Item = Verb> {
        self.steps.iter().filter_map(|applied| match applied {
            Ok(Applied::Service(verb, _)) => Some(*verb),
            Ok(
                Applied::Install(..)
                | Applied::Repository(_)
                | Applied::GroupAdd(_)
                | Applied::Download(..)
                | Applied::Extract(_)
                | Applied::InstallBinaries(_)
                | Applied::RequireCommand(_)
                | Applied::Manual(_),
            )
            | Err(_) => None,
        })
    }

    /// Every entry in the author's order with what becomes of it. How many ops stand before a manual
    /// step is not known yet.
    fn planned_steps(&self) -> Vec<PlannedStep> {
        let mut planned = Vec::new();
        let mut add = |step: StepRef,
                       action: &str,
                       (description, fallback): (Option<String>, Option<String>),
                       reason: Option<&String>| {
            let disposition = reason.map_or(Disposition::Applies, |reason| Disposition::Dropped {
                reason: reason.clone(),
            });
            planned.push(PlannedStep {
                step,
                action: action.to_owned(),
                description,
                fallback,
                disposition,
            });
        };
        for (at, question) in self.requires.iter().enumerate() {
            add(
                numbered(self.name(), "requires", at),
                "requires",
                (None, None),
                question.as_ref().err(),
            );
        }
        for (step, applied) in self.recipe.steps.iter().zip(&self.steps) {
            let description = step.description.as_ref().map(|text| text.value.clone());
            let fallback = step.fallback.as_ref().map(|text| text.value.clone());
            add(
                self.step_ref(step),
                step.action.name(),
                (description, fallback),
                applied.as_ref().err(),
            );
        }
        for (at, check) in self.checks.iter().enumerate() {
            let description = Some(self.recipe.checks[at].name.value.clone());
            add(
                numbered(self.name(), "check", at),
                "check",
                (description, None),
                check.as_ref().err(),
            );
        }
        planned
    }
}

/// What becomes of a step; the one reason if nothing does.
fn apply<'r>(recipe: &Recipe, step: &'r Step, seen: &Seen<'_>) -> Result<Applied<'r>, String> {
    seen.fits(&step.action)?;
    seen.holds(step.when.as_ref().map(|when| &when.value))?;
    let value = |placeholder| placeholder_value(placeholder, seen);
    match &step.action {
        Action::Install(install) => {
            let step = StepRef {
                recipe: recipe.metadata.name.value.clone(),
                step: step.id.value.clone(),
            };
            let request = |package: &assay_recipe::model::PackageRequest| Request {
                name: match &install.tap {
                    Some(tap) => format!("{}/{}", tap.value, package.name.value),
                    None => package.name.value.to_string(),
                },
                version: package.version.value.clone(),
                steps: vec![step.clone()],
            };
            let requests = install.packages.iter().map(request).collect();
            Ok(Applied::Install(
                install.manager,
                Wanted {
                    requests,
                    recommends: install.recommends,
                    cask: install.cask,
                    unless_command: install
                        .unless_command
                        .as_ref()
                        .map(|command| command.value.to_string()),
                },
            ))
        }
        Action::AptRepo(repo) => Repository::apt(repo, value)
            .map(Applied::Repository)
            .map_err(|missing| unfilled(missing, seen)),
        Action::DnfRepo(repo) => Repository::dnf(repo, value)
            .map(Applied::Repository)
            .map_err(|missing| unfilled(missing, seen)),
        Action::AptPpa(ppa) => {
            let ubuntu: Option<DistroId> = UBUNTU.parse().ok();
            let release = ubuntu.and_then(|ubuntu| seen.target.effective_distro(&[&ubuntu]));
            let codename = release.and_then(|release| release.codename);
            codename
                .map(|codename| Applied::Repository(Repository::ppa(ppa, &codename)))
                .ok_or_else(|| "which release of ubuntu this is, is not known".to_owned())
        }
        Action::GroupAdd(group_add) => Ok(Applied::GroupAdd(group_add)),
        Action::ServiceEnable(service) => Ok(Applied::Service(Verb::Enable, service)),
        Action::ServiceStart(service) => Ok(Applied::Service(Verb::Start, service)),
        Action::Download(download) => download
            .url
            .value
            .fill(value)
            .map(|url| Applied::Download(url, download))
            .map_err(|missing| unfilled(missing, seen)),
        Action::Extract(extract) => Ok(Applied::Extract(extract)),
        Action::InstallBinaries(install) => Ok(Applied::InstallBinaries(install)),
        Action::RequireCommand(require) => Ok(Applied::RequireCommand(require)),
        Action::Manual(manual) => Ok(Applied::Manual(manual)),
    }
}

/// What becomes of a requirement; the one reason if nothing does.
fn require(requirement: &Requirement, seen: &Seen<'_>) -> Result<Question, String> {
    seen.holds(requirement.when.as_ref().map(|when| &when.value))?;
    match &requirement.kind {
        RequirementKind::Command { command, minimum } => {
            Ok(presence::command(&command.value, minimum.as_ref()))
        }
        RequirementKind::Package {
            package,
            min_version,
        } => {
            let manager = seen
                .target
                .manager()
                .ok_or("no package manager of this target can be asked for a package")?;
            let minimum = min_version
                .as_ref()
                .map(|version| version.value.to_string());
            Ok(presence::package(manager, package.value.as_str(), minimum))
        }
        RequirementKind::Library(library) => presence::library(seen.target, &library.value)
            .ok_or_else(|| "nothing of this target can be asked for a library".to_owned()),
        RequirementKind::File(place) => Ok(presence::file(&place.value)),
        RequirementKind::User(user) => Ok(presence::user(&user.value)),
    }
}

/// The value of a placeholder: that of the effective distribution.
fn placeholder_value<'s>(placeholder: Placeholder, seen: &'s Seen<'_>) -> Option<&'s str> {
    let distro = seen.distro.as_ref();
    match placeholder {
        Placeholder::Distro => Some(distro?.id.as_str()),
        Placeholder::Codename => distro?.codename.as_deref(),
        Placeholder::VersionId => distro?.version.as_deref(),
        Placeholder::Arch => {
            let manager = seen.target.manager()?;
            Some(arch_word(manager, seen.target.arch))
        }
    }
}

fn unfilled(missing: Placeholder, seen: &Seen<'_>) -> String {
    let of = seen
        .distro
        .as_ref()
        .map_or_else(|| "this target".to_owned(), |distro| distro.id.to_string());
    format!("`{{{}}}` of {of} is not known here", missing.as_str())
}

fn find_step<'r>(recipes: &[Considered<'r>], step: &StepRef) -> Option<&'r Step> {
    let considered = recipes
        .iter()
        .find(|considered| *considered.name() == step.recipe)?;
    considered
        .recipe
        .steps
        .iter()
        .find(|other| other.id.value == step.step)
}

/// Adds the ops of everything that applies.
fn add_ops(
    plan: &mut Plan,
    recipes: &[Considered<'_>],
    depends_on: Vec<Vec<usize>>,
    (os, manager): (Os, Option<Manager>),
    locked: Locked<'_>,
) -> Result<(), Vec<Fault>> {
    let mut ops = Ops::new(locked);
    let mut faults = Vec::new();
    for considered in recipes {
        for (at, question) in considered.requires.iter().enumerate() {
            if let Ok(question) = question {
                ops.ask(
                    vec![numbered(considered.name(), "requires", at)],
                    question.clone(),
                    Expects::Requirement,
                );
            }
        }
    }
    let applied: Vec<Vec<(StepRef, &Applied<'_>)>> =
        recipes.iter().map(Considered::applied).collect();
    let runs: Vec<Run> = applied
        .iter()
        .zip(depends_on)
        .map(|(steps, dependencies)| Run {
            kinds: steps.iter().map(|(_, applied)| applied.kind()).collect(),
            dependencies,
        })
        .collect();
    let order = order(&runs);
    let at = |(recipe, step): &At| &applied[*recipe][*step];
    let wanted = |steps: &[At]| {
        let wanted = steps.iter().filter_map(|place| at(place).1.wanted());
        wanted.collect::<Vec<_>>()
    };
    if let Some(manager) = manager {
        ops.install(manager, &wanted(&order.before));
    }
    for (step, applied) in order.repositories.iter().map(at) {
        if let Applied::Repository(repository) = applied {
            add_repository(&mut ops, &mut faults, recipes, step, repository);
        }
    }
    if let Some(manager) = manager {
        ops.install(manager, &wanted(&order.after));
    }
    for (step, applied) in order.rest.iter().map(at) {
        match applied {
            Applied::Install(manager, wanted) => ops.install(*manager, &[wanted]),
            Applied::Repository(repository) => {
                add_repository(&mut ops, &mut faults, recipes, step, repository)
            }
            Applied::GroupAdd(group_add) => ops.group(step, group_add),
            Applied::Service(verb, service) => ops.service(step, *verb, &service.service.value),
            Applied::Download(url, download) => {
                ops.download(step, url, download.sha256.value, &download.dest.value);
            }
            Applied::Extract(extract) => ops.extract(step, extract),
            Applied::InstallBinaries(install) => ops.install_binaries(step, install, os),
            Applied::RequireCommand(require) => {
                let question = presence::command(&require.command.value, require.minimum.as_ref());
                ops.ask(vec![step.clone()], question, Expects::Command);
            }
            Applied::Manual(manual) => {
                let after = ops.count();
                if let Some(planned) = plan.steps.iter_mut().find(|planned| planned.step == *step) {
                    planned.disposition = Disposition::Manual {
                        text: manual.text.value.clone(),
                        after,
                    };
                }
            }
        }
    }
    for considered in recipes {
        for (at, check) in considered.checks.iter().enumerate() {
            if let Ok(check) = check {
                ops.check(numbered(considered.name(), "check", at), check);
            }
        }
    }
    (plan.ops, plan.content, plan.declared) = ops.finish();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn add_repository(
    ops: &mut Ops<'_>,
    faults: &mut Vec<Fault>,
    recipes: &[Considered<'_>],
    step: &StepRef,
    repository: &Repository,
) {
    if let Err(Disagreement { about, by }) = ops.repository(step, repository) {
        let place = |step: &StepRef, words: &str| {
            let span = find_step(recipes, step)
                .map(|found| found.action_span)
                .unwrap_or_default();
            Place::new(&step.recipe, span, words)
        };
        let (message, words, help) = match about {
            About::Name(name) => (
                format!("two different repositories have the name `{name}`: `{by}` and `{step}`"),
                "has it already",
                "give one of them another `name`",
            ),
            About::Key(url) => (
                format!("`{by}` and `{step}` name different keys for the repository `{url}`"),
                "names the other key",
                "let both name the key that the repository is signed with",
            ),
            About::Settings(url) => (
                format!("`{by}` and `{step}` set up the repository `{url}` differently"),
                "sets it up otherwise",
                "let both say the same, or leave it to one recipe that the other depends on",
            ),
        };
        let fault = Fault::new(
            FaultCode::RepositoryConflict,
            message,
            place(step, "this one"),
        )
        .and(place(&by, words));
        faults.push(fault.help(help));
    }
}

impl Applied<'_> {
    /// What it installs, if it is an install.
    fn wanted(&self) -> Option<&Wanted> {
        match self {
            Self::Install(_, wanted) => Some(wanted),
            Self::Repository(_)
            | Self::GroupAdd(_)
            | Self::Service(..)
            | Self::Download(..)
            | Self::Extract(_)
            | Self::InstallBinaries(_)
            | Self::RequireCommand(_)
            | Self::Manual(_) => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Install(_, wanted) if wanted.unless_command.is_none() => Kind::Install,
            Self::Repository(_) => Kind::Repository,
            Self::Install(..)
            | Self::GroupAdd(_)
            | Self::Service(..)
            | Self::Download(..)
            | Self::Extract(_)
            | Self::InstallBinaries(_)
            | Self::RequireCommand(_)
            | Self::Manual(_) => Kind::Other,
        }
    }
}

/// The reference of the entry at this position of `[[requires]]` or `[[check]]`: `requires-1`.
///
/// # Panics
/// Never: a word and a number are inside the grammar of a step's id.
fn numbered(recipe: &RecipeName, word: &str, at: usize) -> StepRef {
    let step: StepId = format!("{word}-{}", at + 1)
        .parse()
        .expect("a word and a number are a step's id");
    StepRef {
        recipe: recipe.clone(),
        step,
    }
}

#[cfg(test)]
pub(crate) mod tests;
