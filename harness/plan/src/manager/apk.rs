//! apk: the alpine family.

use assay_wire::plan::{Guard, SkipIf};

use super::{PackageQuery, words};
use crate::request::Request;

/// apk ends with an exit code of its own when a package's script fails, and prints this line
/// (apk-tools, src/package.c, `apk_ipkg_run_script`).
pub(crate) const FAILURE_LINES: &[&str] = &["script exited with error"];

/// `apk update`; a repository that cannot be had makes it fail.
pub(crate) fn refresh() -> Vec<String> {
    words(&["apk", "update"])
}

/// `apk add` never upgrades what is installed and satisfies the request. It installs no optional
/// packages and knows no option to.
pub(crate) fn install(requests: &[Request]) -> Vec<String> {
    let mut argv = words(&["apk", "add", "--"]);
    argv.extend(requests.iter().map(|request| match request.exact() {
        Some(version) => format!("{}={version}", request.name),
        None => request.name.clone(),
    }));
    argv
}

/// The exit code of `apk info -e` is the number of packages that are not installed.
pub(crate) fn installed_guard(requests: &[Request]) -> Guard {
    let mut argv = words(&["apk", "info", "-e", "--"]);
    argv.extend(requests.iter().map(|request| request.name.clone()));
    Guard::Asks {
        argv,
        skip_if: SkipIf::ExitCode(0),
    }
}

/// One line: name and version with a hyphen between them.
pub(crate) fn package_query(package: &str) -> PackageQuery {
    let mut argv = words(&["apk", "info", "-e", "-v", "--"]);
    argv.push(package.to_owned());
    PackageQuery {
        argv,
        regex: r"-([0-9][^-\s]*-r[0-9]+)$",
    }
}
