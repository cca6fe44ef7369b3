//! Homebrew: darwin. Plans for it are made and never run.

use assay_wire::plan::{Guard, SkipIf};

use super::{Mode, PackageQuery, words};
use crate::request::Request;

fn kind(mode: Mode) -> &'static str {
    if mode.cask { "--cask" } else { "--formula" }
}

/// `brew update` fetches the newest formulae.
pub(crate) fn refresh() -> Vec<String> {
    words(&["brew", "update"])
}

/// `brew install` leaves what is installed alone. A name behind its tap adds the tap as well.
pub(crate) fn install(mode: Mode, requests: &[Request]) -> Vec<String> {
    let mut argv = words(&["brew", "install", kind(mode), "--"]);
    argv.extend(requests.iter().map(|request| request.name.clone()));
    argv
}

/// `brew list` fails when any of the names is not installed.
pub(crate) fn installed_guard(mode: Mode, requests: &[Request]) -> Guard {
    let mut argv = words(&["brew", "list", kind(mode), "--versions", "--"]);
    argv.extend(requests.iter().map(|request| request.name.clone()));
    Guard::Asks {
        argv,
        skip_if: SkipIf::ExitCode(0),
    }
}

/// One line: name and versions, the newest last.
pub(crate) fn package_query(package: &str) -> PackageQuery {
    let mut argv = words(&["brew", "list", "--versions", "--"]);
    argv.push(package.to_owned());
    PackageQuery {
        argv,
        regex: r"^\S+ (?:\S+ )*([0-9]\S*)$",
    }
}
