//! The typed recipe. No bare string stands for a name, digest, URL or path; every value knows its
//! bytes in the file. Defaults are filled in and carry the place of what they belong to.
//!
//! [`crate::convert`] makes these values; `plan` reads them.

use std::time::Duration;

use assay_packages::VersionRequest;
use assay_wire::digest::Digest;
use assay_wire::name::{RecipeName, StepId};
use assay_wire::source::Span;

use crate::diagnostic::Spanned;
use crate::name::{
    Argument, CommandName, CommandVersion, Fingerprint, GroupName, PackageVersion, Program,
    RepositoryName, UserName, VersionFlag,
};
use crate::package::{Manager, PackageName};
use crate::pattern::VersionPattern;
use crate::template::{Component, Suite, Url};
use crate::when::{Family, When};

/// One recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// `[metadata]`.
    pub metadata: Metadata,
    /// `[[requires]]`, in the order written.
    pub requires: Vec<Requirement>,
    /// `[[steps]]`, in the order written.
    pub steps: Vec<Step>,
    /// `[[check]]`, in the order written.
    pub checks: Vec<Check>,
}

/// What a recipe is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its name, equal to its file's stem.
    pub name: Spanned<RecipeName>,
    /// One line for people.
    pub description: Option<Spanned<String>>,
    /// Where its software lives; without placeholders.
    pub homepage: Option<Spanned<Url>>,
    /// Recipes that run before this one on the same machine.
    pub depends_on: Vec<Spanned<RecipeName>>,
}

/// Something that must be there before the first op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// What must be there.
    pub kind: RequirementKind,
    /// Where it must be there; everywhere when not stated.
    pub when: Option<Spanned<When>>,
    /// The header `[[requires]]`.
    pub span: Span,
}

/// What must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequirementKind {
    /// A command on PATH.
    Command {
        /// Its bare name.
        command: Spanned<CommandName>,
        /// The oldest version that will do.
        minimum: Option<CommandMinimum>,
    },
    /// An installed package.
    Package {
        /// Its name, in a grammar that at least one manager takes.
        package: Spanned<PackageName>,
        /// The oldest version that will do, by the distribution's own rules.
        min_version: Option<Spanned<PackageVersion>>,
    },
}

/// The oldest version of a command that will do, and how to ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandMinimum {
    /// The version, compared by `assay_packages::dotted`.
    pub version: Spanned<CommandVersion>,
    /// The argument that makes the command print its version.
    pub flag: Spanned<VersionFlag>,
    /// Finds the version in what it prints; without one it is the first dotted number.
    pub pattern: Option<Spanned<VersionPattern>>,
}

/// One action of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its `id`, or its 1-based number.
    pub id: Spanned<StepId>,
    /// One line for people.
    pub description: Option<Spanned<String>>,
    /// Where it applies; where its action applies when not stated.
    pub when: Option<Spanned<When>>,
    /// What it does.
    pub action: Action,
    /// The value of `action`.
    pub action_span: Span,
    /// The header `[[steps]]`.
    pub span: Span,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `apt_install`, `dnf_install`, `pacman_install`.
    Install(Install),
    /// `apt_repo`.
    AptRepo(AptRepo),
    /// `dnf_repo`.
    DnfRepo(DnfRepo),
    /// `group_add`.
    GroupAdd(GroupAdd),
    /// `require_command`.
    RequireCommand(RequireCommand),
    /// `manual`.
    Manual(Manual),
}

impl Action {
    /// The action's name as written.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Install(Install {
                manager: Manager::Apt,
                ..
            }) => "apt_install",
            Self::Install(Install {
                manager: Manager::Dnf,
                ..
            }) => "dnf_install",
            Self::Install(Install {
                manager: Manager::Pacman,
                ..
            }) => "pacman_install",
            Self::AptRepo(_) => "apt_repo",
            Self::DnfRepo(_) => "dnf_repo",
            Self::GroupAdd(_) => "group_add",
            Self::RequireCommand(_) => "require_command",
            Self::Manual(_) => "manual",
        }
    }

    /// The family it is for, where it is for one only.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        match self {
            Self::Install(install) => Some(install.manager.family()),
            Self::AptRepo(_) => Some(Family::Debian),
            Self::DnfRepo(_) => Some(Family::Rhel),
            Self::GroupAdd(_) | Self::RequireCommand(_) | Self::Manual(_) => None,
        }
    }
}

impl Manager {
    /// The family that uses it.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Apt => Family::Debian,
            Self::Dnf => Family::Rhel,
            Self::Pacman => Family::Arch,
        }
    }
}

/// Installs packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// With which manager.
    pub manager: Manager,
    /// What, in the order written; never empty. One name may be there with several ranges.
    pub packages: Vec<PackageRequest>,
    /// Whether recommended (weak) dependencies come too.
    pub recommends: bool,
}

/// One package asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRequest {
    /// Its name in the manager's grammar.
    pub name: Spanned<PackageName>,
    /// Which versions will do; `any` when not stated.
    pub version: Spanned<VersionRequest>,
}

/// Adds an apt repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptRepo {
    /// The base URL.
    pub url: Spanned<Url>,
    /// The suites; `{codename}` when not stated.
    pub suites: Vec<Spanned<Suite>>,
    /// The components; `main` when not stated.
    pub components: Vec<Spanned<Component>>,
    /// The key it is signed with.
    pub key: RepositoryKey,
    /// Its name; `plan` makes one when not stated.
    pub name: Option<Spanned<RepositoryName>>,
}

/// Adds a dnf repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnfRepo {
    /// The base URL.
    pub url: Spanned<Url>,
    /// The key its packages are signed with.
    pub key: RepositoryKey,
    /// Whether its metadata is signed too.
    pub repo_gpgcheck: bool,
    /// Its name; `plan` makes one when not stated.
    pub name: Option<Spanned<RepositoryName>>,
}

/// The key of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryKey {
    /// Where it is fetched from.
    pub url: Spanned<Url>,
    /// What its bytes must be.
    pub sha256: Spanned<Digest>,
    /// The fingerprints it may hold, checked when there are any.
    pub fingerprints: Vec<Spanned<Fingerprint>>,
}

/// Adds a user to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAdd {
    /// The group.
    pub group: Spanned<GroupName>,
    /// The user; `dev` when not stated.
    pub user: Spanned<UserName>,
    /// Whether a missing group is created.
    pub create: bool,
}

/// Requires a command in its place among the steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequireCommand {
    /// The command's bare name.
    pub command: Spanned<CommandName>,
    /// The oldest version that will do.
    pub minimum: Option<CommandMinimum>,
}

/// Something a human does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manual {
    /// What to do; may have several lines.
    pub text: Spanned<String>,
}

/// A command whose result shows that the recipe worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name for people.
    pub name: Spanned<String>,
    /// The program.
    pub program: Spanned<Program>,
    /// Its arguments.
    pub arguments: Vec<Spanned<Argument>>,
    /// How long it may run; `None` is the harness's own limit.
    pub timeout: Option<Spanned<Duration>>,
    /// Where it runs; everywhere when not stated.
    pub when: Option<Spanned<When>>,
    /// What it must do.
    pub expect: Expect,
    /// The header `[[check]]`.
    pub span: Span,
}

/// What a check must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The exit code; 0 when not stated.
    pub exit_code: u8,
    /// Texts its standard output must hold.
    pub stdout_contains: Vec<Spanned<String>>,
    /// Texts its standard error must hold.
    pub stderr_contains: Vec<Spanned<String>>,
}
