//! What is worth a look among the paths that changed: which of them carry privilege, are open to
//! everyone, or configure the system.
//!
//! A classification of what the manifests show and no judgement: nothing here is good or bad, and
//! no outcome depends on it.

use std::fmt;

use assay_wire::manifest::{Entry, EntryKind, PathChange};

/// Set-user-ID on execution (inode(7)).
const SETUID: u32 = 0o4000;
/// Set-group-ID on execution, or a group that a folder hands on (inode(7)).
const SETGID: u32 = 0o2000;
/// Write permission for everyone (inode(7)).
const OTHERS_WRITE: u32 = 0o002;
/// The attribute that holds a file's capabilities (capabilities(7)).
const CAPABILITIES: &str = "security.capability";

/// Why a change is worth a look; what matters most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notable {
    /// It is or was a file that runs as its owner.
    Setuid,
    /// It is or was a file that runs as its group, or a folder that hands its group on.
    Setgid,
    /// It has or had capabilities of its own.
    Capabilities,
    /// It is or was open to everyone's writing.
    WorldWritable,
    /// It is in `/etc`.
    Configuration,
}

impl fmt::Display for Notable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Setuid => "setuid",
            Self::Setgid => "setgid",
            Self::Capabilities => "capabilities",
            Self::WorldWritable => "world-writable",
            Self::Configuration => "configuration",
        })
    }
}

/// Why a change is worth a look, in the order of [`Notable`]; empty if nothing speaks for it.
#[must_use]
pub fn reasons(change: &PathChange) -> Vec<Notable> {
    let states = || change.before.iter().chain(&change.after);
    let mut found: Vec<Notable> = states().flat_map(of_entry).collect();
    if change.path == "/etc" || change.path.starts_with("/etc/") {
        found.push(Notable::Configuration);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Changes, counted, and those worth a look first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes<'a> {
    /// Paths that are new.
    pub added: usize,
    /// Paths that are different.
    pub changed: usize,
    /// Paths that are gone.
    pub removed: usize,
    /// Every path with why it is worth a look: by the first reason, those without one last, then
    /// by path.
    pub paths: Vec<(Vec<Notable>, &'a PathChange)>,
}

/// Counts and orders changes.
#[must_use]
pub fn changes<'a>(paths: impl IntoIterator<Item = &'a PathChange>) -> Changes<'a> {
    let mut found = Changes::default();
    for change in paths {
        let count = match (&change.before, &change.after) {
            (None, Some(_)) => &mut found.added,
            (Some(_), None) => &mut found.removed,
            (Some(_), Some(_)) | (None, None) => &mut found.changed,
        };
        *count += 1;
        found.paths.push((reasons(change), change));
    }
    found.paths.sort_by(|(reasons, one), (others, other)| {
        let by_reason =
            (reasons.is_empty(), reasons.first()).cmp(&(others.is_empty(), others.first()));
        by_reason.then_with(|| one.path.cmp(&other.path))
    });
    found
}

/// What one state of a path is worth a look for. The permission bits of a link mean nothing, and
/// set-user-ID means nothing but on a file (inode(7)).
fn of_entry(entry: &Entry) -> Vec<Notable> {
    let file = entry.kind == EntryKind::File;
    let folder = entry.kind == EntryKind::Folder;
    let link = entry.kind == EntryKind::Symlink;
    let found = [
        (Notable::Setuid, file && entry.mode & SETUID != 0),
        (
            Notable::Setgid,
            (file || folder) && entry.mode & SETGID != 0,
        ),
        (
            Notable::Capabilities,
            entry.xattrs.contains_key(CAPABILITIES),
        ),
        (
            Notable::WorldWritable,
            !link && entry.mode & OTHERS_WRITE != 0,
        ),
    ];
    let found = found.into_iter().filter(|(_, holds)| *holds);
    found.map(|(reason, _)| reason).collect()
}

#[cfg(test)]
mod tests {
    use assay_testkit::log::file;
    use assay_testkit::{added, changed, removed};
    use assay_wire::digest::Digest;

    use super::*;
    use Notable::{Capabilities, Configuration, Setgid, Setuid, WorldWritable};

    fn new(path: &str, kind: EntryKind, mode: u32) -> PathChange {
        PathChange {
            after: Some(Entry {
                kind,
                ..file(mode, b"new")
            }),
            ..added(path)
        }
    }

    fn capable(path: &str) -> PathChange {
        let mut change = added(path);
        if let Some(entry) = &mut change.after {
            let value = Digest::of(b"cap_net_raw=ep");
            entry.xattrs.insert(CAPABILITIES.to_owned(), value);
        }
        change
    }

    #[test]
    fn what_is_worth_a_look_and_why() {
        use EntryKind::{BlockDevice, File, Folder, Symlink};
        for (path, kind, mode, expected) in [
            ("/usr/bin/plain", File, 0o755, vec![]),
            ("/usr/bin/su", File, 0o4755, vec![Setuid]),
            ("/usr/bin/wall", File, 0o2755, vec![Setgid]),
            ("/usr/bin/both", File, 0o6755, vec![Setuid, Setgid]),
            ("/var/mail", Folder, 0o6775, vec![Setgid]),
            ("/var/tmp/x", Folder, 0o1777, vec![WorldWritable]),
            ("/sda", BlockDevice, 0o666, vec![WorldWritable]),
            ("/usr/bin/link", Symlink, 0o7777, vec![]),
            ("/etc", Folder, 0o755, vec![Configuration]),
            ("/etc/passwd", File, 0o644, vec![Configuration]),
            ("/etcetera", File, 0o644, vec![]),
            ("/opt/etc/x", File, 0o644, vec![]),
            (
                "/etc/all",
                File,
                0o6777,
                vec![Setuid, Setgid, WorldWritable, Configuration],
            ),
        ] {
            assert_eq!(reasons(&new(path, kind, mode)), expected, "{path}");
        }
        assert_eq!(reasons(&capable("/usr/bin/ping")), [Capabilities]);
    }

    #[test]
    fn what_was_so_before_is_worth_a_look_as_well() {
        let mut gone = removed("/usr/bin/su");
        gone.before = Some(file(0o4755, b"old"));
        assert_eq!(reasons(&gone), [Setuid]);
        let mut dropped = changed("/usr/bin/su");
        dropped.before = Some(file(0o4755, b"old"));
        assert_eq!(reasons(&dropped), [Setuid]);
        let nothing = PathChange {
            before: None,
            ..gone
        };
        assert_eq!(reasons(&nothing), []);
    }

    #[test]
    fn changes_are_counted_and_what_is_worth_a_look_comes_first() {
        let paths = [
            removed("/i"),
            changed("/a"),
            changed("/etc/b"),
            added("/f"),
            capable("/g"),
            new("/h", EntryKind::File, 0o4755),
            new("/j", EntryKind::File, 0o666),
        ];
        let changes = changes(&paths);
        assert_eq!(
            (changes.added, changes.changed, changes.removed),
            (4, 2, 1),
            "{changes:?}"
        );
        let order: Vec<&str> = changes
            .paths
            .iter()
            .map(|(_, change)| change.path.as_str())
            .collect();
        assert_eq!(order, ["/h", "/g", "/j", "/etc/b", "/a", "/f", "/i"]);
    }
}
