//! The typed recipe. No bare string stands for a name, digest, URL or path; every value knows its
//! bytes in the file. Defaults are filled in and carry the place of what they belong to.
//!
//! [`crate::convert`] makes these values; `plan` reads them.

use std::time::Duration;

use assay_packages::VersionRequest;
use assay_wire::digest::Digest;
use assay_wire::name::{RecipeName, StepId};
use assay_wire::source::Span;

use crate::action::{Scope, grammar};
use crate::diagnostic::Spanned;
use crate::name::{
    Argument, CommandName, CommandVersion, Fingerprint, GroupName, PackageVersion, Program,
    RepositoryName, UserName, VersionFlag,
};
use crate::package::{Manager, PackageName};
use crate::pattern::VersionPattern;
use crate::system::{BinaryPath, FileMode, LibraryName, Place, Ppa, ServiceName, Tap};
use crate::template::{Component, Suite, Url};
use crate::when::When;

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
    /// A shared library that the dynamic linker finds.
    Library(Spanned<LibraryName>),
    /// A file or folder.
    File(Spanned<Place>),
    /// A user.
    User(Spanned<UserName>),
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
    /// What the reader is told when it fails.
    pub fallback: Option<Spanned<String>>,
    /// The value of `action`.
    pub action_span: Span,
    /// The header `[[steps]]`.
    pub span: Span,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `apt_install` and the like.
    Install(Install),
    /// `apt_repo`.
    AptRepo(AptRepo),
    /// `apt_ppa`.
    AptPpa(AptPpa),
    /// `dnf_repo`.
    DnfRepo(DnfRepo),
    /// `group_add`.
    GroupAdd(GroupAdd),
    /// `service_enable`.
    ServiceEnable(Service),
    /// `service_start`.
    ServiceStart(Service),
    /// `require_command`.
    RequireCommand(RequireCommand),
    /// `download`.
    Download(Download),
    /// `extract`.
    Extract(Extract),
    /// `install_binaries`.
    InstallBinaries(InstallBinaries),
    /// `manual`.
    Manual(Manual),
}

impl Action {
    /// The action's name as written.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Install(install) => match (install.manager, install.cask) {
                (Manager::Apt, _) => "apt_install",
                (Manager::Dnf, _) => "dnf_install",
                (Manager::Pacman, _) => "pacman_install",
                (Manager::Apk, _) => "apk_install",
                (Manager::Zypper, _) => "zypper_install",
                (Manager::Brew, false) => "brew_install",
                (Manager::Brew, true) => "brew_cask",
            },
            Self::AptRepo(_) => "apt_repo",
            Self::AptPpa(_) => "apt_ppa",
            Self::DnfRepo(_) => "dnf_repo",
            Self::GroupAdd(_) => "group_add",
            Self::ServiceEnable(_) => "service_enable",
            Self::ServiceStart(_) => "service_start",
            Self::RequireCommand(_) => "require_command",
            Self::Download(_) => "download",
            Self::Extract(_) => "extract",
            Self::InstallBinaries(_) => "install_binaries",
            Self::Manual(_) => "manual",
        }
    }

    /// Where it can apply, whatever its `when` says.
    #[must_use]
    pub fn scope(&self) -> Scope {
        grammar(self.name()).map_or(Scope::Anywhere, |grammar| grammar.scope)
    }

    /// True if it brings software, or says where software comes from.
    #[must_use]
    pub fn installs(&self) -> bool {
        match self {
            Self::Install(_)
            | Self::AptRepo(_)
            | Self::AptPpa(_)
            | Self::DnfRepo(_)
            | Self::Download(_)
            | Self::Extract(_)
            | Self::InstallBinaries(_) => true,
            Self::GroupAdd(_)
            | Self::ServiceEnable(_)
            | Self::ServiceStart(_)
            | Self::RequireCommand(_)
            | Self::Manual(_) => false,
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
    /// The command on whose presence the step is skipped.
    pub unless_command: Option<Spanned<CommandName>>,
    /// The tap of Homebrew the packages come from.
    pub tap: Option<Spanned<Tap>>,
    /// True for casks of Homebrew, false for formulae and for all other managers.
    pub cask: bool,
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

/// Adds a personal package archive of Launchpad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptPpa {
    /// Its owner and name.
    pub ppa: Spanned<Ppa>,
    /// The fingerprint of the key that signs it, 40 hex digits.
    pub key_fingerprint: Spanned<Fingerprint>,
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

/// Enables or starts a unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The unit.
    pub service: Spanned<ServiceName>,
}

/// Fetches a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Where from.
    pub url: Spanned<Url>,
    /// What its bytes must be.
    pub sha256: Spanned<Digest>,
    /// The file it becomes.
    pub dest: Spanned<Place>,
}

/// Unpacks an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// The archive.
    pub archive: Spanned<Place>,
    /// The folder it is unpacked to.
    pub dest: Spanned<Place>,
    /// How many leading components of every name are dropped.
    pub strip_components: u32,
}

/// Installs files as programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallBinaries {
    /// The folder they are in.
    pub from: Spanned<Place>,
    /// The files, in the order written; never empty.
    pub binaries: Vec<Spanned<BinaryPath>>,
    /// The folder they go to.
    pub dest: Spanned<Place>,
    /// Their permission bits.
    pub mode: Spanned<FileMode>,
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
    /// An expression that a line of its standard output must match: that of a `[verify]` whose
    /// pattern holds a version.
    pub stdout_matches: Option<Spanned<String>>,
    /// Texts its standard error must hold.
    pub stderr_contains: Vec<Spanned<String>>,
}
