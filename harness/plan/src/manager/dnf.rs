//! dnf and rpm: the rhel family. `dnf` is dnf4 on Rocky 9 and dnf5 on Fedora 41 and newer; the words
//! used here mean the same to both.

use assay_wire::plan::{Guard, SkipIf};

use super::{Mode, PackageQuery, words};
use crate::request::Request;

/// Both dnf exit with 0 when a scriptlet that rpm does not hold for critical (`%post` above all)
/// fails. rpm itself logs `%post(NEVRA) scriptlet failed, exit status N` (lib/rpmscript.cc), dnf5
/// prints `Non-critical error in %post scriptlet: NEVRA` (dnf5/context.cpp), dnf4 `Error in POSTIN
/// scriptlet in rpm package NAME` (dnf/yum/rpmtrans.py).
pub(crate) const FAILURE_LINES: &[&str] = &[
    "scriptlet failed, ",
    "Non-critical error in ",
    " scriptlet in rpm package ",
];

/// `dnf makecache` that asks every repository again.
pub(crate) fn refresh() -> Vec<String> {
    words(&["dnf", "-y", "--refresh", "makecache"])
}

/// `dnf install`. dnf knows no `--no-upgrade`: for mode `any` the guard keeps what is installed
/// when all of it is.
pub(crate) fn install(mode: Mode, requests: &[Request]) -> Vec<String> {
    let weak = if mode.recommends {
        "--setopt=install_weak_deps=True"
    } else {
        "--setopt=install_weak_deps=False"
    };
    let mut argv = words(&["dnf", "-y", weak, "install"]);
    argv.extend(requests.iter().map(|request| match request.exact() {
        Some(version) => format!("{}-{version}", request.name),
        None => request.name.clone(),
    }));
    argv
}

/// Every request is a name, capability or file that something installed provides: the exit code of
/// `rpm -q` is the number of those that nothing does. Groups are unknown to rpm.
pub(crate) fn installed_guard(requests: &[Request]) -> Option<Guard> {
    if requests.iter().any(|request| request.name.starts_with('@')) {
        return None;
    }
    let mut argv = words(&["rpm", "-q", "--whatprovides"]);
    argv.extend(requests.iter().map(|request| request.name.clone()));
    Some(Guard::Asks {
        argv,
        skip_if: SkipIf::ExitCode(0),
    })
}

/// By provides as well, so that a capability or a file can be required like a name; several
/// packages that provide it are several lines, and the first counts.
pub(crate) fn package_query(package: &str) -> PackageQuery {
    let mut argv = words(&[
        "rpm",
        "-q",
        "--qf",
        "%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n",
        "--whatprovides",
    ]);
    argv.push(package.to_owned());
    PackageQuery {
        argv,
        regex: r"^(\d+:[^-\s]+-[^-\s]+)$",
    }
}
