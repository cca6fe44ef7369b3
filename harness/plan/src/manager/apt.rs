//! apt and dpkg: the debian family.
//!
//! No `Dpkg::Options` about changed configuration files are given: dpkg asks, finds its standard
//! input at its end and fails, and the report shows the question. Keeping or replacing a file is
//! the author's decision, not the harness's.

use std::collections::BTreeSet;

use assay_wire::plan::{Guard, SkipIf};

use super::{Mode, PackageQuery, words};
use crate::request::Request;

/// `apt-get update` that fails when any repository does: by default a repository that cannot be
/// reached is a warning and the exit code 0. Known to apt 2.4 and newer.
pub(crate) fn refresh() -> Vec<String> {
    words(&["apt-get", "update", "--error-on=any"])
}

/// `apt-get install`. Names cannot begin with `-`, nor end with `-`, which apt-get(8) reads as
/// "remove"; `--` ends the options all the same.
pub(crate) fn install(mode: Mode, requests: &[Request]) -> Vec<String> {
    let recommends = if mode.recommends {
        "--install-recommends"
    } else {
        "--no-install-recommends"
    };
    let mut argv = words(&["apt-get", "install", "-y", recommends]);
    if mode.any {
        argv.push("--no-upgrade".to_owned());
    }
    argv.push("--".to_owned());
    argv.extend(requests.iter().map(|request| match request.exact() {
        Some(version) => format!("{}={version}", request.name),
        None => request.name.clone(),
    }));
    argv
}

/// Every package is wanted and installed: `ii`, dpkg-query(1). A package that is only provided by
/// another is not known by its name, and the op runs: apt finds it installed.
pub(crate) fn installed_guard(requests: &[Request]) -> Guard {
    let mut argv = words(&["dpkg-query", "-W", "-f=${db:Status-Abbrev}${Package}\\n"]);
    argv.extend(requests.iter().map(|request| request.name.clone()));
    let lines: BTreeSet<String> = requests
        .iter()
        .map(|request| format!("ii {}", request.name))
        .collect();
    Guard::Asks {
        argv,
        skip_if: SkipIf::Lines(lines),
    }
}

/// The status comes first: a package that was removed and not purged is still known, as `rc`.
pub(crate) fn package_query(package: &str) -> PackageQuery {
    let mut argv = words(&["dpkg-query", "-W", "-f=${db:Status-Abbrev}${Version}\\n"]);
    argv.push(package.to_owned());
    PackageQuery {
        argv,
        regex: r"^[a-z]i (\S+)$",
    }
}
