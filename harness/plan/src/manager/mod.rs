//! What the plan says to each package manager: plain functions, one module per manager. Nothing
//! here decides what is installed or when; that is [`crate::order`] and [`crate::build`].

pub(crate) mod apk;
pub(crate) mod apt;
pub(crate) mod brew;
pub(crate) mod dnf;
pub(crate) mod pacman;
pub(crate) mod zypper;

use assay_recipe::package::Manager;
use assay_recipe::when::Arch;
use assay_wire::plan::{Guard, Privilege, VersionRules};

use crate::request::Request;

/// What is common to the requests of one install op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mode {
    /// True for `any`: what is installed stays as it is. False for everything else.
    pub(crate) any: bool,
    /// True if weak dependencies are wanted, too.
    pub(crate) recommends: bool,
    /// True for casks of Homebrew.
    pub(crate) cask: bool,
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
        Manager::Apk => apk::refresh(),
        Manager::Zypper => zypper::refresh(),
        Manager::Brew => brew::refresh(),
    }
}

/// The command that installs.
pub(crate) fn install(manager: Manager, mode: Mode, requests: &[Request]) -> Vec<String> {
    match manager {
        Manager::Apt => apt::install(mode, requests),
        Manager::Dnf => dnf::install(mode, requests),
        Manager::Pacman => pacman::install(requests),
        Manager::Apk => apk::install(requests),
        Manager::Zypper => zypper::install(mode, requests),
        Manager::Brew => brew::install(mode, requests),
    }
}

/// The question whether every request of mode `any` is met already; `None` where the manager
/// cannot be asked.
pub(crate) fn installed_guard(manager: Manager, mode: Mode, requests: &[Request]) -> Option<Guard> {
    match manager {
        Manager::Apt => Some(apt::installed_guard(requests)),
        Manager::Dnf | Manager::Zypper => dnf::installed_guard(requests),
        Manager::Pacman => Some(pacman::installed_guard(requests)),
        Manager::Apk => Some(apk::installed_guard(requests)),
        Manager::Brew => Some(brew::installed_guard(mode, requests)),
    }
}

/// Texts of a line that mean failure although the manager exits with 0.
pub(crate) fn failure_lines(manager: Manager) -> Vec<String> {
    let lines: &[&str] = match manager {
        // A failing maintainer script makes apt-get exit with 100, a failing formula brew with 1.
        Manager::Apt | Manager::Brew => &[],
        Manager::Dnf => dnf::FAILURE_LINES,
        Manager::Pacman => pacman::FAILURE_LINES,
        Manager::Apk => apk::FAILURE_LINES,
        Manager::Zypper => zypper::FAILURE_LINES,
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// The same for a refresh: only pacman's upgrades packages, and so runs their scripts.
pub(crate) fn refresh_failure_lines(manager: Manager) -> Vec<String> {
    match manager {
        Manager::Apt | Manager::Dnf | Manager::Apk | Manager::Zypper | Manager::Brew => Vec::new(),
        Manager::Pacman => failure_lines(manager),
    }
}

/// The question for a package and its version.
pub(crate) fn package_query(manager: Manager, package: &str) -> PackageQuery {
    match manager {
        Manager::Apt => apt::package_query(package),
        Manager::Dnf | Manager::Zypper => dnf::package_query(package),
        Manager::Pacman => pacman::package_query(package),
        Manager::Apk => apk::package_query(package),
        Manager::Brew => brew::package_query(package),
    }
}

/// Whose rules compare the manager's versions.
pub(crate) fn version_rules(manager: Manager) -> VersionRules {
    match manager {
        Manager::Apt => VersionRules::Dpkg,
        Manager::Dnf | Manager::Zypper => VersionRules::Rpm,
        Manager::Pacman => VersionRules::Pacman,
        Manager::Apk => VersionRules::Apk,
        Manager::Brew => VersionRules::Dotted,
    }
}

/// Who runs the manager: brew(1) refuses to be run by root, all others need it.
pub(crate) fn privilege(manager: Manager) -> Privilege {
    match manager {
        Manager::Apt | Manager::Dnf | Manager::Pacman | Manager::Apk | Manager::Zypper => {
            Privilege::Root
        }
        Manager::Brew => Privilege::User,
    }
}

/// The architecture in the manager's own spelling, for `{arch}`: dpkg's `ostable`/`cputable`,
/// rpm's `%{_arch}`, pacman's `CARCH`, apk's `apk --print-arch`, Homebrew's `Hardware::CPU.arch`.
pub(crate) fn arch_word(manager: Manager, arch: Arch) -> &'static str {
    let rpm = matches!(manager, Manager::Dnf | Manager::Zypper);
    match (manager, arch) {
        (Manager::Apt, Arch::Amd64) => "amd64",
        (Manager::Apt | Manager::Brew, Arch::Arm64) => "arm64",
        (Manager::Apt, Arch::Arm) => "armhf",
        (Manager::Apt, Arch::I386) => "i386",
        (Manager::Apt, Arch::Ppc64le) => "ppc64el",
        (_, Arch::Amd64) => "x86_64",
        (_, Arch::Arm64) => "aarch64",
        (Manager::Pacman, Arch::Arm) => "armv7h",
        (Manager::Apk, Arch::Arm) => "armv7",
        (_, Arch::Arm) if rpm => "armv7hl",
        (_, Arch::Arm) => "arm",
        (Manager::Apk, Arch::I386) => "x86",
        (_, Arch::I386) => "i686",
        (_, Arch::Ppc64le) => "ppc64le",
        (_, Arch::Riscv64) => "riscv64",
        (_, Arch::S390x) => "s390x",
    }
}

/// The words of a command.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests;
