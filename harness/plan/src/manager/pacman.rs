//! pacman: the arch family.

use assay_wire::plan::{Guard, SkipIf};

use super::{PackageQuery, words};
use crate::request::Request;

/// pacman exits with 0 when a package's install script or a hook fails; libalpm says so in these
/// words (lib/libalpm/util.c, `_alpm_run_chroot`).
pub(crate) const FAILURE_LINES: &[&str] = &[
    "error: command failed to execute correctly",
    "error: command terminated by signal",
];

/// A refresh is an upgrade of the system as well: `-Sy` alone would leave a partial upgrade, which
/// Arch does not support.
pub(crate) fn refresh() -> Vec<String> {
    words(&["pacman", "-Syu", "--noconfirm"])
}

/// `pacman -S --needed` leaves what is up to date alone. It installs no optional dependencies and
/// knows no option to. A target may carry a version, as in pacman(8).
pub(crate) fn install(requests: &[Request]) -> Vec<String> {
    let mut argv = words(&["pacman", "-S", "--needed", "--noconfirm", "--"]);
    argv.extend(requests.iter().map(|request| match request.exact() {
        Some(version) => format!("{}={version}", request.name),
        None => request.name.clone(),
    }));
    argv
}

/// `pacman -T` prints what nothing installed satisfies, and exits with 127 if that is anything. A
/// group is never satisfied, and the op runs: `--needed` finds its members installed.
pub(crate) fn installed_guard(requests: &[Request]) -> Guard {
    let mut argv = words(&["pacman", "-T", "--"]);
    argv.extend(requests.iter().map(|request| request.name.clone()));
    Guard::Asks {
        argv,
        skip_if: SkipIf::ExitCode(0),
    }
}

/// One line: name and version.
pub(crate) fn package_query(package: &str) -> PackageQuery {
    let mut argv = words(&["pacman", "-Q", "--"]);
    argv.push(package.to_owned());
    PackageQuery {
        argv,
        regex: r"^\S+ (\S+)$",
    }
}
