//! Who did it: which program's calls named a path. A call says what was asked for and not what came of
//! it, so this is *who touched it*, and the manifest alone says what changed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use assay_wire::event::Trace;
use assay_wire::plan::OpId;
use assay_wire::privileged::Actor;
use assay_wire::trace::{Call, TracedProgram};

use crate::lookup::Lookup;

/// Most characters of a program's words that go with an operation; all of them are in the trace.
const WORDS: usize = 400;

/// Folders that are one on most distributions, by the name they are looked up under: a program names a
/// file by either.
const MERGED: [(&str, &str); 6] = [
    ("/bin/", "/usr/bin/"),
    ("/sbin/", "/usr/bin/"),
    ("/usr/sbin/", "/usr/bin/"),
    ("/lib/", "/usr/lib/"),
    ("/lib64/", "/usr/lib64/"),
    ("/var/run/", "/run/"),
];

/// Programs by the paths they named.
pub(super) struct Actors<'t> {
    programs: BTreeMap<u32, &'t TracedProgram>,
    /// In order, each once.
    by_path: Lookup<Cow<'t, str>, Vec<Named>>,
}

/// That a program of an op named a path.
type Named = (Weight, u32, OpId);

/// Most programs kept of one path: the first.
const NAMED: usize = 100;

/// What says more of who made a path what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Its mode, owner or attributes.
    Status,
    /// Its content, or its being there.
    Content,
    /// It was put there in one go.
    Put,
}

impl<'t> Actors<'t> {
    /// Who named which path in some of a cell's traces; a program may have begun in an earlier one.
    pub(super) fn new(all: &'t [Trace], some: impl Iterator<Item = &'t Trace>) -> Self {
        let mut by_path: Lookup<Cow<'t, str>, Vec<Named>> = Lookup::default();
        for trace in some {
            for call in trace.calls.iter().filter(|call| call.error.is_none()) {
                let mut name = |path: &'t str, weight| {
                    let known = by_path.or_default(merged(path));
                    let named = (weight, call.program, trace.op);
                    if known.len() < NAMED
                        && let Err(place) = known.binary_search(&named)
                    {
                        known.insert(place, named);
                    }
                };
                let detail = call.detail.as_deref();
                match call.call {
                    Call::Open | Call::Truncate | Call::Mkdir | Call::Unlink | Call::Mknod => {
                        name(&call.subject, Weight::Content);
                    }
                    Call::Symlink => name(&call.subject, Weight::Put),
                    Call::Chmod | Call::Chown | Call::Setxattr => {
                        name(&call.subject, Weight::Status);
                    }
                    Call::Rename => {
                        name(&call.subject, Weight::Content);
                        detail.into_iter().for_each(|to| name(to, Weight::Put));
                    }
                    Call::Link => {
                        // Whatever is done by the new name is done to the old one.
                        name(&call.subject, Weight::Status);
                        detail.into_iter().for_each(|to| name(to, Weight::Put));
                    }
                    Call::Setuid
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
                    | Call::Foreign => {}
                }
            }
        }
        Self {
            programs: programs(all),
            by_path,
        }
    }

    /// The program that made a path what it is, as far as calls show it. Where several did alike, it is the
    /// first in whose words this stands, else the last.
    pub(super) fn of(&self, path: &str, word: Option<&str>) -> Option<&'t TracedProgram> {
        let all = self.named(path)?;
        let (weightiest, last, _) = all.last()?;
        let alike = all.iter().filter(|(weight, ..)| weight == weightiest);
        let says = |program: &&TracedProgram| {
            let mut argv = program.argv.iter();
            word.is_some_and(|word| argv.any(|said| said == word))
        };
        let program = |id: &u32| self.programs.get(id).copied();
        let mut named = alike.filter_map(|(_, id, _)| program(id));
        named.find(says).or_else(|| program(last))
    }

    /// The last program that changed the mode, the owner or attributes of a path, as far as calls show it.
    pub(super) fn of_status(&self, path: &str) -> Option<&'t TracedProgram> {
        let mut status = self.named(path)?.iter().rev();
        let (_, id, _) = status.find(|(weight, ..)| *weight == Weight::Status)?;
        self.programs.get(id).copied()
    }

    /// The op during which that was.
    pub(super) fn op_of(&self, path: &str) -> Option<OpId> {
        Some(self.named(path)?.last()?.2)
    }

    /// By its own name, else by that of a folder that was put there whole.
    fn named(&self, path: &str) -> Option<&Vec<Named>> {
        let path = merged(path);
        let was_put = |named: &&Vec<Named>| named.iter().any(|(weight, ..)| *weight == Weight::Put);
        let mut folders = path.rmatch_indices('/').map(|(end, _)| &path[..end]);
        self.by_path
            .get(path.as_ref())
            .or_else(|| folders.find_map(|folder| self.by_path.get(folder).filter(was_put)))
    }
}

/// All programs of a cell by their numbers.
pub(super) fn programs(traces: &[Trace]) -> BTreeMap<u32, &TracedProgram> {
    let all = traces.iter().flat_map(|trace| &trace.programs);
    all.map(|program| (program.id, program)).collect()
}

/// A program as an actor. Whose script it is part of is [`crate::explain`]'s to say.
pub(super) fn actor(program: &TracedProgram) -> Actor {
    let mut left = WORDS;
    let mut argv: Vec<String> = Vec::new();
    for word in &program.argv {
        let cut: String = word.chars().take(left).collect();
        left -= cut.chars().count();
        let whole = cut.len() == word.len();
        argv.push(if whole { cut } else { format!("{cut}…") });
        if left == 0 {
            break;
        }
    }
    Actor {
        argv,
        uid: program.uid,
        program: Some(program.id),
        script: None,
    }
}

/// A path by the name its folder is looked up under.
pub(crate) fn merged(path: &str) -> Cow<'_, str> {
    let found = MERGED
        .iter()
        .find_map(|(one, other)| Some((other, path.strip_prefix(one)?)));
    found.map_or(Cow::Borrowed(path), |(folder, rest)| {
        Cow::Owned(format!("{folder}{rest}"))
    })
}
