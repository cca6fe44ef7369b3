//! zypper and rpm: the suse family. What is installed is asked of rpm, as on the rhel family.

use super::{Mode, words};
use crate::request::Request;

/// zypper passes on what rpm logs of a failing scriptlet, and reports success with exit code 0 or
/// `ZYPPER_EXIT_INF_RPM_SCRIPT_FAILED`, 107 (zypper(8)).
pub(crate) const FAILURE_LINES: &[&str] = &["scriptlet failed, "];

/// `zypper refresh` that asks every repository again.
pub(crate) fn refresh() -> Vec<String> {
    words(&["zypper", "--non-interactive", "refresh", "--force"])
}

/// `zypper install` takes versions as `name=version` and leaves what is installed alone where that
/// satisfies the request.
pub(crate) fn install(mode: Mode, requests: &[Request]) -> Vec<String> {
    let weak = if mode.recommends {
        "--recommends"
    } else {
        "--no-recommends"
    };
    let mut argv = words(&["zypper", "--non-interactive", "install", weak, "--"]);
    argv.extend(requests.iter().map(|request| match request.exact() {
        Some(version) => format!("{}={version}", request.name),
        None => request.name.clone(),
    }));
    argv
}
