//! What the plan says to each package manager: plain functions, one module per manager. Nothing
//! here decides what is installed or when; that is [`crate::order`] and [`crate::build`].

pub(crate) mod apt;
pub(crate) mod dnf;
pub(crate) mod pacman;

use assay_recipe::package::Manager;
use assay_recipe::when::Arch;
use assay_wire::plan::{Guard, VersionRules};

use crate::request::Request;

/// What is common to the requests of one install op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mode {
    /// True for `any`: what is installed stays as it is. False for everything else.
    pub(crate) any: bool,
    /// True if weak dependencies are wanted, too.
    pub(crate) recommends: bool,
}

/// A question for a package: the words, and the expression that finds the version in the answer.
pub(crate) struct PackageQuery {
    /// The words; the answer's exit code is 0 if the package is installed.
    pub(crate) argv: Vec<String>,
    /// Matches the line with the version, in a capture group.
    pub(crate) regex: &'static str,
}

/// The command that brings the manager's knowledge of its repositories up to date.
pub(crate) fn refresh(manager: Manager) -> Vec<String> {
    match manager {
        Manager::Apt => apt::refresh(),
        Manager::Dnf => dnf::refresh(),
        Manager::Pacman => pacman::refresh(),
    }
}

/// The command that installs.
pub(crate) fn install(manager: Manager, mode: Mode, requests: &[Request]) -> Vec<String> {
    match manager {
        Manager::Apt => apt::install(mode, requests),
        Manager::Dnf => dnf::install(mode, requests),
        Manager::Pacman => pacman::install(requests),
    }
}

/// The question whether every request of mode `any` is met already; `None` where the manager
/// cannot be asked.
pub(crate) fn installed_guard(manager: Manager, requests: &[Request]) -> Option<Guard> {
    match manager {
        Manager::Apt => Some(apt::installed_guard(requests)),
        Manager::Dnf => dnf::installed_guard(requests),
        Manager::Pacman => Some(pacman::installed_guard(requests)),
    }
}

/// Texts of a line that mean failure although the manager exits with 0.
pub(crate) fn failure_lines(manager: Manager) -> Vec<String> {
    let lines: &[&str] = match manager {
        // A failing maintainer script makes apt-get exit with 100.
        Manager::Apt => &[],
        Manager::Dnf => dnf::FAILURE_LINES,
        Manager::Pacman => pacman::FAILURE_LINES,
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// The same for a refresh: only pacman's upgrades packages, and so runs their scripts.
pub(crate) fn refresh_failure_lines(manager: Manager) -> Vec<String> {
    match manager {
        Manager::Apt | Manager::Dnf => Vec::new(),
        Manager::Pacman => failure_lines(manager),
    }
}

/// The question for a package and its version.
pub(crate) fn package_query(manager: Manager, package: &str) -> PackageQuery {
    match manager {
        Manager::Apt => apt::package_query(package),
        Manager::Dnf => dnf::package_query(package),
        Manager::Pacman => pacman::package_query(package),
    }
}

/// Whose rules compare the manager's versions.
pub(crate) fn version_rules(manager: Manager) -> VersionRules {
    match manager {
        Manager::Apt => VersionRules::Dpkg,
        Manager::Dnf => VersionRules::Rpm,
        Manager::Pacman => VersionRules::Pacman,
    }
}

/// The architecture in the manager's own spelling, for `{arch}`: dpkg's `ostable`/`cputable`,
/// rpm's `%{_arch}`, pacman's `CARCH`.
pub(crate) fn arch_word(manager: Manager, arch: Arch) -> &'static str {
    match (manager, arch) {
        (Manager::Apt, Arch::Amd64) => "amd64",
        (Manager::Apt, Arch::Arm64) => "arm64",
        (Manager::Apt, Arch::Arm) => "armhf",
        (Manager::Apt, Arch::I386) => "i386",
        (Manager::Apt, Arch::Ppc64le) => "ppc64el",
        (Manager::Dnf | Manager::Pacman, Arch::Amd64) => "x86_64",
        (Manager::Dnf | Manager::Pacman, Arch::Arm64) => "aarch64",
        (Manager::Dnf, Arch::Arm) => "armv7hl",
        (Manager::Pacman, Arch::Arm) => "armv7h",
        (Manager::Dnf | Manager::Pacman, Arch::I386) => "i686",
        (Manager::Dnf | Manager::Pacman, Arch::Ppc64le) => "ppc64le",
        (Manager::Apt | Manager::Dnf | Manager::Pacman, Arch::Riscv64) => "riscv64",
        (Manager::Apt | Manager::Dnf | Manager::Pacman, Arch::S390x) => "s390x",
    }
}

/// The words of a command.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests;
