//! Noise: paths that differ between two identical installs without anything having changed.
//!
//! The lists were found by comparing identical installs; each entry says why its bytes differ. An
//! entry counts only in a cell that uses its manager, only for the second apply, and only for a
//! file's bytes: a path of this list that gets other permissions is a change like any other.

use std::collections::BTreeSet;

use assay_wire::manifest::{Entry, EntryKind, PathChange};
use assay_wire::plan::{Action, Guard, Plan};
use assay_wire::program::{HarnessEnv, path_matches};

/// A package manager with noise of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// apt and dpkg.
    Apt,
    /// dnf of either generation, and rpm.
    Dnf,
    /// pacman.
    Pacman,
    /// systemd as PID 1, which manages units.
    Systemd,
}

/// One kind of path that is noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    /// Whose it is.
    pub manager: Manager,
    /// The path; `*` stands for any characters within one component.
    pub pattern: &'static str,
    /// Why its bytes differ.
    pub reason: &'static str,
}

const LOG: &str = "a log, with dates";
const CACHE: &str = "a cache, rebuilt with times and addresses";
const LOADER_CACHE: &str = "the loader's cache of inode numbers and times";
const RPM_DATABASE: &str =
    "a database with install times; packages are compared by name and version";
const HISTORY: &str = "a history, with dates";
const KEYRING: &str = "a keyring made anew, with times";
const INSTALL_DATE: &str =
    "holds the date of the install; packages are compared by name and version";

const JOURNAL: &str = "the journal: what units say at any time, with dates";

/// Every kind of path that is noise.
pub const NOISE: &[Noise] = &[
    noise(Manager::Apt, "/var/log/dpkg.log", LOG),
    noise(Manager::Apt, "/var/log/apt/history.log", LOG),
    noise(Manager::Apt, "/var/log/apt/term.log", LOG),
    noise(Manager::Apt, "/var/cache/apt/pkgcache.bin", CACHE),
    noise(Manager::Apt, "/var/cache/apt/srcpkgcache.bin", CACHE),
    noise(Manager::Apt, "/var/cache/ldconfig/aux-cache", LOADER_CACHE),
    noise(
        Manager::Dnf,
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        RPM_DATABASE,
    ),
    noise(
        Manager::Dnf,
        "/usr/lib/sysimage/rpm/rpmdb.sqlite-*",
        RPM_DATABASE,
    ),
    noise(Manager::Dnf, "/var/lib/rpm/rpmdb.sqlite", RPM_DATABASE),
    noise(Manager::Dnf, "/var/lib/rpm/rpmdb.sqlite-*", RPM_DATABASE),
    noise(
        Manager::Dnf,
        "/usr/lib/sysimage/libdnf5/transaction_history.sqlite*",
        HISTORY,
    ),
    noise(Manager::Dnf, "/var/cache/libdnf5/*/pubring/*", KEYRING),
    noise(Manager::Dnf, "/var/log/dnf5.log", LOG),
    noise(Manager::Dnf, "/var/lib/dnf/history.sqlite*", HISTORY),
    noise(Manager::Dnf, "/var/cache/dnf/*/pubring/*", KEYRING),
    noise(Manager::Dnf, "/var/log/dnf.log", LOG),
    noise(Manager::Dnf, "/var/log/dnf.librepo.log", LOG),
    noise(Manager::Dnf, "/var/log/dnf.rpm.log", LOG),
    noise(Manager::Dnf, "/var/log/hawkey.log", LOG),
    noise(Manager::Pacman, "/var/log/pacman.log", LOG),
    noise(
        Manager::Pacman,
        "/var/lib/pacman/local/*/desc",
        INSTALL_DATE,
    ),
    noise(Manager::Pacman, "/etc/pacman.d/gnupg/*", KEYRING),
    noise(Manager::Systemd, "/var/log/journal/*/*.journal", JOURNAL),
    noise(Manager::Systemd, "/run/log/journal/*/*.journal", JOURNAL),
];

/// Why a change of the second apply does not count; `None` if it does.
#[must_use]
pub fn noise_of(change: &PathChange, managers: &BTreeSet<Manager>) -> Option<&'static str> {
    let listed = NOISE
        .iter()
        .filter(|noise| managers.contains(&noise.manager))
        .find(|noise| matches(noise.pattern, &change.path))?;
    only_bytes_differ(change).then_some(listed.reason)
}

/// The managers a cell uses: those its ops, their guards or the harness's probes call.
#[must_use]
pub fn managers_of(plan: &Plan, harness: &HarnessEnv) -> BTreeSet<Manager> {
    let actions = plan.ops.iter().filter_map(|op| match &op.action {
        Action::Run { argv } => argv.first(),
        Action::Write { .. } | Action::Extract { .. } => None,
    });
    let guards = plan.ops.iter().filter_map(|op| match op.guard.as_ref()? {
        Guard::Asks { argv, .. } => argv.first(),
        Guard::OnPath(_) => None,
    });
    let probes = harness.probes.iter().filter_map(|probe| probe.argv.first());
    actions
        .chain(guards)
        .chain(probes)
        .filter_map(|program| manager_of(program))
        .chain(plan.boots.then_some(Manager::Systemd))
        .collect()
}

pub(crate) fn manager_of(program: &str) -> Option<Manager> {
    match program.rsplit('/').next()? {
        "apt" | "apt-get" | "apt-cache" | "apt-mark" | "dpkg" | "dpkg-query" => Some(Manager::Apt),
        "dnf" | "dnf5" | "dnf4" | "dnf-3" | "microdnf" | "yum" | "rpm" | "rpmkeys" => {
            Some(Manager::Dnf)
        }
        "pacman" | "pacman-key" => Some(Manager::Pacman),
        _ => None,
    }
}

const fn noise(manager: Manager, pattern: &'static str, reason: &'static str) -> Noise {
    Noise {
        manager,
        pattern,
        reason,
    }
}

/// True if nothing but a file's bytes is different, or a plain file (or socket) came or went.
fn only_bytes_differ(change: &PathChange) -> bool {
    let plain = |entry: &Entry| {
        matches!(entry.kind, EntryKind::File | EntryKind::Socket) && entry.mode & 0o7000 == 0
    };
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            before.kind == EntryKind::File
                && after.kind == EntryKind::File
                && (before.mode, before.uid, before.gid) == (after.mode, after.uid, after.gid)
                && before.xattrs == after.xattrs
        }
        (Some(only), None) | (None, Some(only)) => plain(only),
        (None, None) => false,
    }
}

/// Matches a path with a pattern.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    path_matches(pattern, path.as_bytes())
}

#[cfg(test)]
mod tests {
    use assay_testkit::log::file;
    use assay_testkit::{PlanBuilder, added, changed, removed};
    use assay_wire::program::Probe;

    use super::*;

    fn all() -> BTreeSet<Manager> {
        [
            Manager::Apt,
            Manager::Dnf,
            Manager::Pacman,
            Manager::Systemd,
        ]
        .into()
    }

    #[test]
    fn listed_paths_are_noise_and_their_neighbours_are_not() {
        for (path, noisy) in [
            ("/var/log/dpkg.log", true),
            ("/var/log/dpkg.log.1", false),
            ("/var/log/apt/term.log", true),
            ("/var/log/apt/eipp.log.xz", false),
            ("/etc/apt/sources.list", false),
            ("/usr/lib/sysimage/rpm/rpmdb.sqlite-wal", true),
            ("/usr/lib/sysimage/rpm/Packages", false),
            ("/var/cache/libdnf5/lab-0123/pubring/pubring.kbx", true),
            ("/var/cache/libdnf5/lab-0123/repodata/repomd.xml", false),
            ("/var/cache/libdnf5/a/b/pubring/pubring.kbx", false),
            ("/var/lib/pacman/local/jq-1.7-1/desc", true),
            ("/var/lib/pacman/local/jq-1.7-1/files", false),
            ("/etc/pacman.d/gnupg/trustdb.gpg", true),
            ("/etc/pacman.d/mirrorlist", false),
            ("/var/log/journal/0123/system.journal", true),
            ("/var/log/journal/0123/user/x.journal", false),
            ("/var/log", false),
            ("", false),
        ] {
            assert_eq!(noise_of(&changed(path), &all()).is_some(), noisy, "{path}");
        }
    }

    #[test]
    fn every_entry_is_an_absolute_path_that_matches_itself() {
        for noise in NOISE {
            assert!(noise.pattern.starts_with('/'), "{}", noise.pattern);
            assert!(matches(noise.pattern, noise.pattern), "{}", noise.pattern);
            for component in noise.pattern.split('/') {
                assert!(component.matches('*').count() <= 1, "{}", noise.pattern);
            }
        }
    }

    #[test]
    fn a_listed_path_is_a_change_when_more_than_its_bytes_differ() {
        let path = "/var/log/dpkg.log";
        assert!(noise_of(&added(path), &all()).is_some());
        assert!(noise_of(&removed(path), &all()).is_some());
        let mut other = changed(path);
        other.after = Some(file(0o666, b"newer"));
        assert_eq!(noise_of(&other, &all()), None, "other permissions");
        let mut other = added(path);
        other.after = Some(file(0o4755, b"newer"));
        assert_eq!(noise_of(&other, &all()), None, "a setuid file");
        let mut other = added(path);
        other.after = other.after.map(|entry| Entry {
            kind: EntryKind::Symlink,
            ..entry
        });
        assert_eq!(noise_of(&other, &all()), None, "a link");
    }

    #[test]
    fn only_the_managers_of_a_cell_have_noise() {
        let plan = PlanBuilder::new("arch", "jq").install("jq").build();
        let mut harness = HarnessEnv::default();
        let managers = managers_of(&plan, &harness);
        assert_eq!(managers, [Manager::Pacman].into());
        assert_eq!(noise_of(&changed("/var/log/dpkg.log"), &managers), None);
        harness.probes.push(Probe {
            name: "packages".to_owned(),
            argv: vec!["/usr/bin/rpm".to_owned(), "-qa".to_owned()],
            reads: Vec::new(),
        });
        assert_eq!(
            managers_of(&plan, &harness),
            [Manager::Dnf, Manager::Pacman].into()
        );
    }
}
