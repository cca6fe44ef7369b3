//! What came and went between two manifests: a special file that was written to and is as it was, a
//! program that ran as root's and is gone, another name of a protected file. The trace alone shows it.
//!
//! A file that a program writes and then moves over another is that other; what a package manager itself
//! lays down and takes away, and what the tools of accounts and registries write as it was, is theirs.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use assay_wire::event::Trace;
use assay_wire::privileged::{Kind, KindName, is_special_file, kind_of_file, says_who_is_who};
use assay_wire::trace::{Call, TracedCall, TracedProgram};

use super::Seen;
use super::actors::merged;
use super::calls::seen_of;
use crate::explain::{Doer, Doers, Explanation, Paths};
use crate::lookup::Lookup;

/// Set-user-ID and set-group-ID (inode(7)).
const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// The attribute of a program's capabilities (capabilities(7)).
const CAPABILITY: &str = "security.capability";

/// What opens the files that say who is who, whether or not it changes them (shadow's tools and
/// systemd-sysusers(8)).
const ACCOUNT_TOOLS: &[&str] = &[
    "chage",
    "chfn",
    "chgpasswd",
    "chpasswd",
    "chsh",
    "gpasswd",
    "groupadd",
    "groupdel",
    "groupmems",
    "groupmod",
    "grpconv",
    "newusers",
    "passwd",
    "pwconv",
    "systemd-sysusers",
    "useradd",
    "userdel",
    "usermod",
];

/// One operation that only a trace shows, and what explains it if its path does.
pub(super) type Passed = (Seen, u64, Option<Explanation>);

/// What one trace shows beside the manifest that was taken next, in which these paths changed (by the names
/// that [`merged`] gives).
pub(super) fn seen(
    trace: &Trace,
    changed: &Lookup<Cow<'_, str>, ()>,
    doers: &Doers<'_>,
    paths: &Paths<'_>,
) -> Vec<Passed> {
    let passing = Passing {
        trace,
        changed,
        doers,
        paths,
        tables: OnceCell::new(),
    };
    let programs = doers.programs();
    let mut seen: BTreeMap<(u32, String, KindName), Passed> = BTreeMap::new();
    for call in trace.calls.iter().filter(|call| call.error.is_none()) {
        let Some(program) = programs.get(&call.program) else {
            continue;
        };
        for (path, kind) in shows(call) {
            let key = (program.id, path.to_owned(), kind.name());
            if let Some((_, count, _)) = seen.get_mut(&key) {
                *count += call.count;
            } else if let Some((after, why)) = passing.of(program, call, path, &kind) {
                let mut one = seen_of(kind, program, Some(after.to_owned()));
                one.evidence.path = Some(path.to_owned());
                seen.insert(key, (one, call.count, why));
            }
        }
    }
    seen.into_values().collect()
}

/// Calls of these kinds that did what was asked.
fn made<'t>(trace: &'t Trace, calls: &[Call]) -> impl Iterator<Item = &'t TracedCall> {
    let made = trace.calls.iter().filter(|call| call.error.is_none());
    made.filter(|call| calls.contains(&call.call))
}

/// What a call that was made would be if nothing hid it: paths with their kinds.
fn shows(call: &TracedCall) -> Vec<(&str, Kind)> {
    let (subject, detail) = (call.subject.as_str(), call.detail.as_deref());
    let path = match call.call {
        Call::Open | Call::Truncate | Call::Mknod | Call::Symlink => Some(subject),
        Call::Rename => detail,
        // Whatever is done by the new name is done to the old one.
        Call::Link => {
            let both = [Some(subject), detail];
            let both = both.into_iter().flatten();
            return both
                .filter_map(|path| Some((path, special(path)?)))
                .collect();
        }
        Call::Chmod => {
            let kind = detail.and_then(|mode| of_mode(subject, mode));
            return kind.map(|kind| (subject, kind)).into_iter().collect();
        }
        Call::Setxattr if detail == Some(CAPABILITY) => {
            let kind = Kind::FileCapability {
                path: subject.to_owned(),
                capabilities: "unread".to_owned(),
            };
            return vec![(subject, kind)];
        }
        Call::Mkdir
        | Call::Unlink
        | Call::Chown
        | Call::Setxattr
        | Call::Setuid
        | Call::Capset
        | Call::Connect
        | Call::Bind
        | Call::Listen
        | Call::Mount
        | Call::Namespace
        | Call::Chroot
        | Call::Ptrace
        | Call::Bpf
        | Call::Perf
        | Call::Memfd
        | Call::Kmod
        | Call::Administration
        | Call::Kill
        | Call::IoUring
        | Call::Foreign => None,
    };
    path.and_then(|path| Some((path, special(path)?)))
        .into_iter()
        .collect()
}

/// The kind of a file that is more than a file by where it lies.
fn special(path: &str) -> Option<Kind> {
    if says_who_is_who(path) {
        return Some(Kind::FileWrite {
            path: path.to_owned(),
            tree: false,
            mode: None,
            owner: "root".to_owned(),
        });
    }
    let path = is_special_file(path).then(|| path.parse().ok())??;
    kind_of_file(&path, None)
}

/// A program that runs as its owner, by the mode it is given.
fn of_mode(path: &str, mode: &str) -> Option<Kind> {
    let mode = u32::from_str_radix(mode, 8).ok()? & 0o7777;
    let (path, owner) = (path.to_owned(), "root".to_owned());
    match (mode & SETUID, mode & SETGID) {
        (0, 0) => None,
        (0, _) => Some(Kind::FileSetgid { path, mode, owner }),
        _ => Some(Kind::FileSetuid { path, mode, owner }),
    }
}

struct Passing<'c> {
    trace: &'c Trace,
    changed: &'c Lookup<Cow<'c, str>, ()>,
    doers: &'c Doers<'c>,
    paths: &'c Paths<'c>,
    /// Made when they are first asked for: of most traces they never are.
    tables: OnceCell<Tables<'c>>,
}

/// What calls that were made say of files, by the names that [`merged`] gives.
struct Tables<'c> {
    /// Where files were moved to.
    moved: Lookup<Cow<'c, str>, &'c str>,
    /// What was there and is not, at least by this name.
    gone: Lookup<Cow<'c, str>, ()>,
    /// How often each was written to.
    written: Lookup<Cow<'c, str>, u64>,
}

impl<'c> Tables<'c> {
    fn of(trace: &'c Trace) -> Self {
        let mut written: Lookup<Cow<'c, str>, u64> = Lookup::default();
        for call in made(trace, &[Call::Open, Call::Truncate, Call::Rename]) {
            let to = call.detail.as_deref().unwrap_or(&call.subject);
            *written.or_default(merged(to)) += call.count;
        }
        Self {
            moved: made(trace, &[Call::Rename])
                .filter_map(|call| Some((merged(&call.subject), call.detail.as_deref()?)))
                .collect(),
            gone: made(trace, &[Call::Unlink, Call::Rename])
                .map(|call| (merged(&call.subject), ()))
                .collect(),
            written,
        }
    }
}

impl<'c> Passing<'c> {
    fn tables(&self) -> &Tables<'c> {
        self.tables.get_or_init(|| Tables::of(self.trace))
    }

    /// What became of it, and what its path says of who may do that; `None` for what the manifest shows, or
    /// what is somebody's own business.
    fn of(
        &self,
        program: &TracedProgram,
        call: &TracedCall,
        path: &str,
        kind: &Kind,
    ) -> Option<(&'static str, Option<Explanation>)> {
        let name = merged(path);
        if self.changed.contains(&name) || is_account_tool(program, kind) {
            return None;
        }
        let doer = self.doers.of(program.id);
        // Their own business.
        if matches!(doer, Doer::Manager { hook: false, .. } | Doer::User { .. })
            || self.is_of_another(&name)
        {
            return None;
        }
        let is_gone = self.tables().gone.contains(&name);
        let after = match (call.call, is_gone) {
            (Call::Link, _) => "given another name",
            (_, true) => "gone again",
            (_, false) => "as it was",
        };
        // A folder whose members belong to its group is nothing new where it stays.
        if !is_gone && matches!(kind, Kind::FileSetgid { .. }) {
            return None;
        }
        let is_who_is_who = matches!(kind, Kind::FileWrite { .. });
        // Registries are written anew whenever somebody registers, mostly as they were.
        let is_once = self
            .tables()
            .written
            .get(&name)
            .is_none_or(|count| *count == 1);
        if !is_gone && is_once && !is_who_is_who && Paths::is_shared(path) {
            return None;
        }
        match doer {
            Doer::Manager { .. } if call.call == Call::Rename && !is_gone => None,
            Doer::Script { package, .. } if !is_gone => {
                match self.paths.is_own(path, &package) && !is_who_is_who {
                    true => None,
                    false => Some((after, Some(Explanation::not_its_own(&package)))),
                }
            }
            Doer::Script { .. }
            | Doer::Op { .. }
            | Doer::Manager { .. }
            | Doer::User { .. }
            | Doer::Unknown => Some((after, None)),
        }
    }

    /// True for what was moved over another file in its folder, which is looked at itself.
    fn is_of_another(&self, name: &str) -> bool {
        let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let to = self.tables().moved.get(name).map(|to| merged(to));
        to.is_some_and(|to| to != name && folder(&to) == folder(name))
    }
}

/// True for a tool of accounts at their files.
fn is_account_tool(program: &TracedProgram, kind: &Kind) -> bool {
    let path = merged(&program.exe);
    let tool = path.strip_prefix("/usr/bin/");
    matches!(kind, Kind::FileWrite { .. }) && tool.is_some_and(|tool| ACCOUNT_TOOLS.contains(&tool))
}
