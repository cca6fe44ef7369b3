//! Why a path changed: one explanation for each change of each manifest, in the order they were taken.

use std::borrow::Cow;
use std::collections::BTreeMap;

use assay_wire::digest::Digest;
use assay_wire::manifest::{Entry, EntryKind, PathChange};
use assay_wire::package::{PackageContent, PackageRead, PackagedPath};
use assay_wire::plan::{Action, FileContent, Op, OpId, Privilege};
use assay_wire::privileged::says_who_is_who;

use super::doers::{Doer, Doers};
use super::payload::{Accounts, equals};
use super::places::{is_manager_state, is_of_services, is_shared_state};
use crate::delta::{PathCounts, Why};
use crate::lookup::Lookup;
use crate::noise::managers_of;
use crate::observed::merged;
use crate::record::CellFacts;

/// What a manager calls a file that it lays beside one that somebody changed (dpkg(1), rpm(8), pacman(8)).
const BESIDE: [&str; 6] = [
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".pacnew",
    ".rpmnew",
    ".rpmsave",
];

/// Why a path changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Explanation {
    /// An op of the plan writes it.
    Declared {
        /// The op.
        by: OpId,
        /// True if the plan says these very bytes; false for what an archive decides.
        whole: bool,
    },
    /// It is as a package has it.
    Payload {
        /// The package.
        package: String,
    },
    /// A script of a package made it.
    Script {
        /// Which.
        doer: Doer,
    },
    /// A manager's own state.
    Manager,
    /// What a service notes, or what `dev` owns.
    Others,
    /// Nobody explains it.
    Unexplained {
        /// Why not.
        why: Why,
    },
}

impl Explanation {
    /// A package's script did it to what is not its package's.
    pub(crate) fn not_its_own(package: &str) -> Self {
        Self::Unexplained {
            why: Why::NotItsOwn {
                package: package.to_owned(),
            },
        }
    }
}

/// Whose a path was last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Image,
    Package(String),
    Other,
}

/// The changes of one cell, explained one after the other.
pub(crate) struct Paths<'f> {
    facts: &'f CellFacts,
    accounts: Accounts,
    payload: Lookup<Cow<'f, str>, Vec<(usize, &'f PackageRead, &'f PackagedPath)>>,
    owners: Lookup<Cow<'f, str>, Owner>,
    /// How many changes each explains.
    pub(crate) counts: PathCounts,
    /// How many are as each package that came has them.
    pub(crate) by_package: BTreeMap<usize, u64>,
}

impl<'f> Paths<'f> {
    pub(crate) fn new(facts: &'f CellFacts) -> Self {
        let mut payload: Lookup<Cow<'f, str>, Vec<_>> = Lookup::default();
        for (came, package) in facts.packages.iter().enumerate() {
            if let PackageContent::Read(read) = &package.content {
                for file in &read.files {
                    let of = payload.or_default(merged(&file.path));
                    of.push((came, read, file));
                }
            }
        }
        Self {
            accounts: Accounts::of(facts),
            facts,
            payload,
            owners: Lookup::default(),
            counts: PathCounts::default(),
            by_package: BTreeMap::new(),
        }
    }

    /// Explains a change. `op` is the op it belongs to, `program` who named the path last.
    pub(crate) fn explain(
        &mut self,
        change: &'f PathChange,
        op: Option<OpId>,
        program: Option<u32>,
        doers: &Doers<'_>,
    ) -> Explanation {
        let doer = program.map_or(Doer::Unknown, |program| doers.of(program));
        let explanation = self.why(change, op, &doer);
        let owner = match &explanation {
            Explanation::Payload { package }
            | Explanation::Script {
                doer: Doer::Script { package, .. },
            } => Some(Owner::Package(package.clone())),
            Explanation::Declared { .. } => Some(Owner::Other),
            Explanation::Script { .. }
            | Explanation::Manager
            | Explanation::Others
            | Explanation::Unexplained { .. } => None,
        };
        let was = change.before.is_some();
        let first = if was { Owner::Image } else { Owner::Other };
        let known = self.owners.or_insert(merged(&change.path), first);
        // What a script does to shared state makes none of it its package's.
        match owner {
            Some(owner) if !was || matches!(explanation, Explanation::Payload { .. }) => {
                *known = owner;
            }
            Some(_) | None => {}
        }
        self.count(&explanation);
        explanation
    }

    /// True if the content of a path is as it was, or as a package has it, and something else of it is not.
    pub(crate) fn is_only_status(&self, change: &PathChange) -> bool {
        let Some(after) = &change.after else {
            return false;
        };
        let was = change.before.as_ref();
        if was.is_some_and(|before| has_content_of(before, after)) {
            return true;
        }
        let packaged = self.payload.get(merged(&change.path).as_ref());
        let mut packaged = packaged.into_iter().flatten();
        packaged.any(|(_, _, file)| {
            file.kind == Some(after.kind)
                && file.sha256 == after.sha256
                && file.points_to == after.points_to
                && !equals(file, after, &self.accounts)
        })
    }

    fn why(&mut self, change: &PathChange, op: Option<OpId>, doer: &Doer) -> Explanation {
        if let Some((by, whole)) = self.written_by(change, op) {
            return Explanation::Declared { by, whole };
        }
        if let Some((came, package)) = self.as_packaged(change) {
            *self.by_package.entry(came).or_default() += 1;
            return Explanation::Payload { package };
        }
        let unexplained = |why| Explanation::Unexplained { why };
        match doer {
            Doer::User { uid } if is_users_own(change, *uid) => Explanation::Others,
            Doer::Script { package, .. } => match self.is_for(change, package) {
                true => Explanation::Script { doer: doer.clone() },
                false => unexplained(Why::NotItsOwn {
                    package: package.clone(),
                }),
            },
            Doer::Manager { hook, .. } => self.by_manager(change, doer, *hook),
            Doer::Op { .. } if self.is_by_declared_tool(change) && !opens_accounts(change) => {
                Explanation::Others
            }
            Doer::Unknown if self.facts.booted.is_some() && is_of_services(&change.path) => {
                Explanation::Others
            }
            Doer::Unknown if self.is_state(&change.path) && self.is_of_manager(op) => {
                Explanation::Manager
            }
            Doer::User { .. } | Doer::Op { .. } | Doer::Unknown => {
                unexplained(self.otherwise(change))
            }
        }
    }

    /// What a manager's own program, or a hook that it runs, may do: its state, what registers there, and
    /// taking away what a package had.
    fn by_manager(&self, change: &PathChange, doer: &Doer, hook: bool) -> Explanation {
        if self.is_state(&change.path) {
            return Explanation::Manager;
        }
        if hook {
            let path = &change.path;
            let is_new = change.before.is_none() && !self.payload.contains(merged(path).as_ref());
            if is_shared_state(path) || is_new {
                return Explanation::Script { doer: doer.clone() };
            }
        } else if change.after.is_none() || is_shared_state(&change.path) {
            return Explanation::Manager;
        }
        Explanation::Unexplained {
            why: self.otherwise(change),
        }
    }

    fn is_state(&self, path: &str) -> bool {
        let planned = &self.facts.planned;
        let managers = managers_of(&planned.plan, &planned.harness);
        managers
            .into_iter()
            .any(|manager| is_manager_state(manager, path))
    }

    fn is_of_manager(&self, op: Option<OpId>) -> bool {
        let op = op.and_then(|op| self.facts.op(op));
        op.is_some_and(|(op, _)| is_manager(op))
    }

    /// The op that writes the path, if one does: these very bytes, or an archive below a folder.
    fn written_by(&self, change: &PathChange, op: Option<OpId>) -> Option<(OpId, bool)> {
        let ops = self.facts.planned.plan.ops.iter();
        ops.filter(|one| op.is_none_or(|op| op == one.id))
            .find_map(|one| writes(one, change, self.user()).map(|whole| (one.id, whole)))
    }

    /// `dev`'s number.
    fn user(&self) -> Option<u32> {
        self.facts.user.map(|user| user.uid)
    }

    /// The package that has the path just so.
    fn as_packaged(&self, change: &PathChange) -> Option<(usize, String)> {
        let after = change.after.as_ref()?;
        let whole = Some(change.path.as_str());
        let beside = BESIDE.iter().find_map(|end| change.path.strip_suffix(end));
        whole.into_iter().chain(beside).find_map(|path| {
            let mut all = self.payload.get(merged(path).as_ref())?.iter();
            let (came, read, _) = all.find(|(_, _, file)| equals(file, after, &self.accounts))?;
            Some((*came, read.name.clone()))
        })
    }

    /// True if a package's script may change a path: it is new, the package's own, or shared.
    fn is_for(&self, change: &PathChange, package: &str) -> bool {
        if is_shared_state(&change.path) && !opens_accounts(change) {
            return true;
        }
        let path = merged(&change.path);
        let packaged = self.payload.get(path.as_ref());
        let of = |name: &str| {
            packaged.is_some_and(|all| all.iter().any(|(_, read, _)| read.name == name))
        };
        match self.owners.get(path.as_ref()) {
            Some(Owner::Package(owner)) => owner == package || of(package),
            Some(Owner::Image | Owner::Other) => of(package),
            None if change.before.is_some() => of(package),
            None => packaged.is_none() || of(package),
        }
    }

    /// True for a path that packages share.
    pub(crate) fn is_shared(path: &str) -> bool {
        is_shared_state(path)
    }

    /// True for a path that is a package's own, or that packages share.
    pub(crate) fn is_own(&self, path: &str, package: &str) -> bool {
        let name = merged(path);
        let packaged = self.payload.get(name.as_ref());
        let is_of = matches!(self.owners.get(name.as_ref()), Some(Owner::Package(owner)) if owner == package);
        is_of
            || is_shared_state(path)
            || packaged.is_some_and(|all| all.iter().any(|(_, read, _)| read.name == package))
    }

    /// Files of accounts and of units, by the tools of ops that declare what they do there: whatever of it
    /// was not declared is an operation of its own.
    fn is_by_declared_tool(&self, change: &PathChange) -> bool {
        const TOOLS: &[&str] = &[
            "/etc/passwd*",
            "/etc/group*",
            "/etc/shadow*",
            "/etc/gshadow*",
            "/etc/subuid*",
            "/etc/subgid*",
            "/etc/.pwd.lock",
            "/run/**",
            "/var/log/**",
            "/var/lib/systemd/**",
        ];
        TOOLS
            .iter()
            .any(|pattern| crate::noise::matches(pattern, &change.path))
    }

    /// Why nobody explains it.
    fn otherwise(&self, change: &PathChange) -> Why {
        let packaged = self.payload.get(merged(&change.path).as_ref());
        match packaged.and_then(|all| all.first()) {
            Some((_, read, _)) => Why::Differs {
                package: read.name.clone(),
            },
            None => Why::Nobody,
        }
    }

    fn count(&mut self, explanation: &Explanation) {
        let count = match explanation {
            Explanation::Declared { .. } => &mut self.counts.declared,
            Explanation::Payload { .. } => &mut self.counts.packages,
            Explanation::Script { .. } => &mut self.counts.scripts,
            Explanation::Manager => &mut self.counts.manager,
            Explanation::Others => &mut self.counts.others,
            Explanation::Unexplained { .. } => &mut self.counts.unexplained,
        };
        *count += 1;
    }
}

/// True if an op writes a path: `true` within for these very bytes, `false` for what an archive decides.
fn writes(op: &Op, change: &PathChange, user: Option<u32>) -> Option<bool> {
    let after = change.after.as_ref()?;
    let is_owned = |owner: Privilege| match owner {
        Privilege::Root => after.uid == 0 && after.gid == 0,
        Privilege::User => Some(after.uid) == user,
    };
    match &op.action {
        Action::Run { .. } => None,
        Action::Write {
            path,
            mode,
            owner,
            content,
        } => {
            let path = path.as_str();
            if change.path != path {
                let is_parent = path
                    .strip_prefix(change.path.as_str())
                    .is_some_and(|rest| rest.starts_with('/'));
                let is_made = is_parent && after.kind == EntryKind::Folder;
                return (is_made && after.mode == 0o755 && is_owned(*owner)).then_some(true);
            }
            let same = after.kind == EntryKind::File
                && after.mode == *mode
                && after.sha256 == hash(content)
                && after.xattrs.is_empty();
            (same && is_owned(*owner)).then_some(true)
        }
        Action::Extract { dest, owner, .. } => {
            let dest = dest.as_str().trim_end_matches('/');
            let below = change.path.strip_prefix(dest);
            let is_below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let is_parent = dest
                .strip_prefix(change.path.as_str())
                .is_some_and(|rest| rest.starts_with('/'));
            let is_made = is_parent && after.kind == EntryKind::Folder;
            ((is_below || is_made) && is_owned(*owner)).then_some(false)
        }
    }
}

fn hash(content: &FileContent) -> Option<Digest> {
    match content {
        FileContent::Text(text) => Some(Digest::of(text.as_bytes())),
        FileContent::Blob(sha256) => Some(*sha256),
        FileContent::Key(_) => None,
    }
}

fn is_manager(op: &Op) -> bool {
    match &op.action {
        Action::Run { argv } => argv
            .first()
            .is_some_and(|program| crate::noise::manager_of(program).is_some()),
        Action::Write { .. } | Action::Extract { .. } => false,
    }
}

fn has_content_of(one: &Entry, other: &Entry) -> bool {
    one.kind == other.kind && one.sha256 == other.sha256 && one.points_to == other.points_to
}

/// True for a file that says who is who, and that others may read or write now, or that is another's.
fn opens_accounts(change: &PathChange) -> bool {
    let may = |entry: &Entry| (entry.mode, entry.uid, entry.gid);
    let before = change.before.as_ref().map(may);
    before.is_some() && says_who_is_who(&change.path) && before != change.after.as_ref().map(may)
}

/// True for what belongs to a user before and after.
fn is_users_own(change: &PathChange, uid: u32) -> bool {
    let own = |entry: &Option<Entry>| entry.as_ref().is_none_or(|entry| entry.uid == uid);
    own(&change.before) && own(&change.after)
}
