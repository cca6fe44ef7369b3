//! What a cell was seen to do that only root may do: one pure function of its facts.
//!
//! The manifests say *what* ([`crate::state`]), the trace says *who* ([`actors`]) and what leaves no file
//! ([`calls`]). What is ordinary by its nature and comes in hundreds – programs of root's, files that are
//! just files, connections to hosts that were named – is counted, where it is explained; what nobody
//! explains is an operation whatever it is. The class of each is [`crate::explain`]'s.

mod actors;
mod calls;
mod made;
mod passing;

use std::borrow::Cow;
use std::collections::BTreeMap;

use assay_wire::consent::Policy;
use assay_wire::digest::Digest;
use assay_wire::event::{ConsentBasis, ManifestPoint, RequestDecision, Trace};
use assay_wire::manifest::{Entry, EntryKind, PathChange};
use assay_wire::package::PackageContent;
use assay_wire::plan::OpId;
use assay_wire::privileged::{
    Actor, Kind, KindName, OperationEvidence, Origin, PrivilegedOperation, says_who_is_who,
};
use assay_wire::program::{Pass, USER};
use assay_wire::trace::TracedProgram;
use serde::Serialize;

use self::actors::Actors;
pub(crate) use self::actors::merged;
use crate::attack::technique;
use crate::delta::{Class, Delta};
use crate::explain::{Doer, Explainer, Explanation, Paths, delta};
use crate::lookup::Lookup;
use crate::record::{CellFacts, ManifestFacts};
use crate::risk::{Risk, risk};
use crate::state::{Accounts, Found, Users, permissions, shown, user};

/// Everything a cell was seen to do that only root may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Observed {
    /// The operations, in the order of the ops; the second apply's last.
    pub operations: Vec<ObservedOperation>,
    /// What is ordinary and only counted, in the order of ops and kinds.
    pub folded: Vec<Folded>,
}

/// One operation that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObservedOperation {
    /// The operation.
    pub operation: PrivilegedOperation,
    /// What a consent to it is given to.
    pub digest: Digest,
    /// How grave it is, by its kind.
    pub risk: Risk,
    /// What attackers' use of it is called.
    pub attack: Option<&'static str>,
    /// In which apply it was seen.
    pub pass: Pass,
    /// How often.
    pub count: u64,
    /// What explains it.
    pub class: Class,
}

/// Ordinary operations of one kind and op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Folded {
    /// The op.
    pub op: OpId,
    /// The kind.
    pub kind: KindName,
    /// How many.
    pub count: u64,
}

impl Observed {
    /// The operations graver than ordinary: the gravest first, then in their order.
    #[must_use]
    pub fn above_ordinary(&self) -> Vec<&ObservedOperation> {
        let all = self.operations.iter();
        let mut grave: Vec<_> = all.filter(|seen| seen.risk != Risk::Ordinary).collect();
        grave.sort_by_key(|seen| seen.risk);
        grave
    }

    /// How many operations of a kind were folded.
    #[must_use]
    pub fn folded(&self, kind: KindName) -> u64 {
        let of_kind = self.folded.iter().filter(|folded| folded.kind == kind);
        of_kind.map(|folded| folded.count).sum()
    }
}

/// What a cell was seen to do, and that against what was declared and granted. `consents` is `None` outside a
/// project.
#[must_use]
pub fn observed(facts: &CellFacts, consents: Option<&ConsentBasis>) -> (Observed, Delta) {
    let policy = consents.map_or_else(Policy::default, |basis| basis.policy.clone());
    let programs = actors::programs(&facts.traces);
    let mut observing = Observing {
        facts,
        policy,
        explainer: Explainer::new(facts, programs),
        operations: Vec::new(),
        known: BTreeMap::new(),
        folded: BTreeMap::new(),
    };
    let mut paths = Paths::new(facts);
    let users = users(facts);
    let mut accounts = Accounts::default();
    for manifest in &facts.manifests {
        observing.manifest(manifest, (&mut paths, &users, &mut accounts));
    }
    for trace in &facts.traces {
        let seen = calls::seen(trace, &observing.explainer.doers, facts.booted.is_some());
        for (seen, count) in seen.operations {
            observing.add_many(trace.op, trace.pass, seen, count, None);
        }
        if let Some(changed) = changed_after(facts, trace) {
            let passed = passing::seen(trace, &changed, &observing.explainer.doers, &paths);
            for (seen, count, by_path) in passed {
                observing.add_many(trace.op, trace.pass, seen, count, by_path);
            }
        }
        observing.fold(trace.op, KindName::ExecRoot, seen.programs_of_root);
        observing.fold(trace.op, KindName::NetConnect, seen.names_asked);
    }
    observing.requests();
    let observed = observing.finish();
    let delta = delta(facts, &observed, &paths, consents);
    (observed, delta)
}

/// One operation before it has a place.
struct Seen {
    kind: Kind,
    origin: Origin,
    before: Option<String>,
    after: Option<String>,
    actor: Option<Actor>,
    evidence: OperationEvidence,
}

fn from_manifest(found: Found, actor: Option<Actor>) -> Seen {
    Seen {
        kind: found.kind,
        origin: Origin::Manifest,
        before: found.before,
        after: found.after,
        actor,
        evidence: OperationEvidence {
            path: Some(found.path),
            sha256: found.sha256,
            id: found.id,
            ..OperationEvidence::default()
        },
    }
}

struct Observing<'f> {
    facts: &'f CellFacts,
    policy: Policy,
    explainer: Explainer<'f>,
    operations: Vec<ObservedOperation>,
    /// Where an operation stands, by op, apply, digest and who did it.
    known: BTreeMap<(OpId, Pass, Digest, Option<u32>), usize>,
    folded: BTreeMap<(OpId, KindName), u64>,
}

impl<'f> Observing<'f> {
    /// What one manifest shows, each change explained.
    fn manifest(
        &mut self,
        manifest: &'f ManifestFacts,
        (paths, users, accounts): (&mut Paths<'f>, &Users, &mut Accounts),
    ) {
        let (op, pass) = match manifest.after {
            ManifestPoint::Baseline => return,
            ManifestPoint::Op(op) => (Some(op), Pass::First),
            ManifestPoint::SecondApply => (None, Pass::Second),
        };
        let facts = self.facts;
        let traces = facts.traces.iter();
        let during = |trace: &&Trace| trace.pass == pass && op.is_none_or(|op| trace.op == op);
        let actors = Actors::new(&facts.traces, traces.filter(during));
        let shown = shown(&manifest.paths, users, accounts);
        // What the second apply changed is of the op whose program did it, else of its last.
        let last = facts.planned.plan.ops.iter().rfind(|op| !op.once);
        let of = |path: &str| op.or_else(|| actors.op_of(path)).or(last.map(|op| op.id));
        let mut explained: Lookup<&str, Explanation> = Lookup::default();
        // Whose content is nobody's question: who changed the rest made it what it is.
        let mut by_status: Lookup<&str, &TracedProgram> = Lookup::default();
        for change in manifest
            .paths
            .iter()
            .filter(|change| !is_new_folder(change))
        {
            let op = of(&change.path);
            let path = change.path.as_str();
            if paths.is_only_status(change)
                && let Some(program) = actors.of_status(path)
            {
                by_status.insert(path, program);
            }
            let by_status = by_status.get(path).copied();
            let program = by_status.or_else(|| actors.of(path, None));
            let program = program.map(|program| program.id);
            let explanation = paths.explain(change, op, program, &self.explainer.doers);
            explained.insert(&change.path, explanation);
        }
        for found in shown.operations {
            if let Some(op) = of(&found.path) {
                let name = name_in(&found.kind);
                let by_status = by_status.get(found.path.as_str()).copied();
                let by_status = by_status.filter(|_| name.is_none());
                let actor = by_status.or_else(|| actors.of(&found.path, name));
                let actor = actor.map(actors::actor);
                // Accounts share their files: whose an account is, is said by who made it.
                let by_path = explained.get(found.path.as_str());
                let by_path = by_path
                    .filter(|_| name.is_none() || actor.is_none())
                    .cloned();
                self.add_many(op, pass, from_manifest(found, actor), 1, by_path);
            }
        }
        let plain = |path: &String, kind: KindName| (path.clone(), kind);
        let written = shown
            .written
            .iter()
            .map(|path| plain(path, KindName::FileWrite));
        let deleted = shown
            .deleted
            .iter()
            .map(|path| plain(path, KindName::FileDelete));
        for (path, kind) in written.chain(deleted) {
            let Some(op) = of(&path) else { continue };
            match explained.get(path.as_str()) {
                Some(Explanation::Unexplained { why }) => {
                    let why = Explanation::Unexplained { why: why.clone() };
                    let change = manifest.paths.iter().find(|change| change.path == path);
                    let by_status = by_status.get(path.as_str()).copied();
                    let actor = by_status.or_else(|| actors.of(&path, None));
                    let actor = actor.map(actors::actor);
                    let seen = plain_file(&path, kind, change, users, actor);
                    self.add_many(op, pass, seen, 1, Some(why));
                }
                Some(
                    Explanation::Declared { .. }
                    | Explanation::Payload { .. }
                    | Explanation::Script { .. }
                    | Explanation::Manager
                    | Explanation::Others,
                )
                | None => self.fold(op, kind, 1),
            }
        }
    }

    /// Adds an operation; `by_path` explains it where a changed path shows it.
    fn add_many(
        &mut self,
        op: OpId,
        pass: Pass,
        mut seen: Seen,
        count: u64,
        by_path: Option<Explanation>,
    ) {
        if let Some(actor) = &mut seen.actor {
            let doer = actor
                .program
                .map(|program| self.explainer.doers.of(program));
            actor.script = doer.and_then(Doer::into_script);
        }
        let steps = self.facts.op(op).map(|(op, _)| op.steps.clone());
        let operation = PrivilegedOperation {
            steps: steps.unwrap_or_default(),
            op,
            subject: subject(&seen),
            kind: match (&by_path, &seen.evidence.path) {
                (Some(why), Some(path)) => made::kind(seen.kind, path, why, &self.facts.packages),
                _ => seen.kind,
            },
            origin: seen.origin,
            before: seen.before,
            after: seen.after,
            actor: seen.actor,
            package: None,
            evidence: seen.evidence,
        };
        let class = match &by_path {
            Some(explanation) => self.explainer.of_path(&operation, explanation),
            None => self.explainer.of_program(&operation),
        };
        let mut operation = operation;
        if let Class::Accompanying { package } = &class {
            operation.package = Some(package.clone());
        }
        let digest = operation.digest();
        let program = operation.actor.as_ref().and_then(|actor| actor.program);
        let place = self.operations.len();
        let known = *self
            .known
            .entry((op, pass, digest, program))
            .or_insert(place);
        if let Some(same) = self.operations.get_mut(known) {
            same.count += count;
            return;
        }
        self.operations.push(ObservedOperation {
            digest,
            risk: self.risk(&operation, &class),
            attack: technique(operation.kind.name()),
            pass,
            count,
            operation,
            class,
        });
    }

    /// How grave an operation is. What is ordinary where it is explained is not where nobody does; a
    /// package's script is ordinary where somebody vouches for the package.
    fn risk(&self, operation: &PrivilegedOperation, class: &Class) -> Risk {
        let risk = risk(&operation.kind, &self.policy);
        let is_file = matches!(
            operation.kind,
            Kind::FileWrite { .. } | Kind::FileDelete { .. }
        );
        let raised = match class {
            Class::Undeclared { .. } => is_file,
            Class::Accompanying { package } => {
                matches!(operation.kind, Kind::MaintscriptRun { .. }) && !self.is_vouched(package)
            }
            Class::Declared { .. } => false,
        };
        match raised {
            true => risk.min(Risk::Privileged),
            false => risk,
        }
    }

    /// True if a package's signature, or that of an index, was good; or if the image had it.
    fn is_vouched(&self, package: &str) -> bool {
        let mut came = self
            .facts
            .packages
            .iter()
            .filter(|came| match &came.content {
                PackageContent::Read(read) => read.name == package,
                PackageContent::Unreadable { .. } => false,
            });
        came.all(|came| came.chain.is_verified())
    }

    fn fold(&mut self, op: OpId, kind: KindName, count: u64) {
        if count > 0 {
            *self.folded.entry((op, kind)).or_default() += count;
        }
    }

    /// What went through the proxy: hosts that were named are ordinary, others were refused and asked for.
    fn requests(&mut self) {
        for request in &self.facts.requests {
            let Some(op) = request.op else {
                continue;
            };
            match &request.decision {
                RequestDecision::Refused { reason } => {
                    let (host, port) = host_of(&request.url);
                    let seen = Seen {
                        kind: Kind::NetConnect { host, port },
                        origin: Origin::Trace,
                        before: None,
                        after: Some(format!("refused: {reason}")),
                        actor: request.asker.as_ref().map(|asker| {
                            let traces = self.facts.traces.iter();
                            let during = traces.filter(|trace| trace.op == op);
                            let programs = self.explainer.doers.programs();
                            let known = calls::asks(asker, during, programs);
                            known.unwrap_or_else(|| Actor {
                                argv: asker.program.iter().cloned().collect(),
                                uid: asker.uid,
                                program: None,
                                script: None,
                            })
                        }),
                        evidence: OperationEvidence {
                            url: Some(request.url.clone()),
                            ..OperationEvidence::default()
                        },
                    };
                    self.add_many(op, Pass::First, seen, 1, None);
                }
                RequestDecision::Served
                | RequestDecision::Forwarded
                | RequestDecision::Replayed
                | RequestDecision::Tunnelled
                | RequestDecision::AnswerRefused { .. }
                | RequestDecision::Failed { .. }
                | RequestDecision::Missed { .. } => self.fold(op, KindName::NetConnect, 1),
            }
        }
    }

    fn finish(mut self) -> Observed {
        self.operations
            .sort_by_key(|seen| (seen.pass, seen.operation.op));
        let folded = self.folded.into_iter();
        Observed {
            operations: self.operations,
            folded: folded
                .map(|((op, kind), count)| Folded { op, kind, count })
                .collect(),
        }
    }
}

/// The paths that the first manifest after a trace shows; `None` where none was taken.
fn changed_after<'f>(facts: &'f CellFacts, trace: &Trace) -> Option<Lookup<Cow<'f, str>, ()>> {
    let is_after = |manifest: &&ManifestFacts| match (&manifest.after, trace.pass) {
        (ManifestPoint::Op(op), Pass::First) => *op >= trace.op,
        (ManifestPoint::SecondApply, Pass::Second) => true,
        (ManifestPoint::Baseline | ManifestPoint::Op(_) | ManifestPoint::SecondApply, _) => false,
    };
    let manifest = facts.manifests.iter().find(is_after)?;
    let paths = manifest.paths.iter();
    Some(paths.map(|change| (merged(&change.path), ())).collect())
}

/// A folder that came or went: it follows from what lies in it.
fn is_new_folder(change: &PathChange) -> bool {
    let is_folder = |entry: &Option<Entry>| {
        entry
            .as_ref()
            .is_none_or(|entry| entry.kind == EntryKind::Folder)
    };
    let both = change.before.is_some() && change.after.is_some();
    !both && is_folder(&change.before) && is_folder(&change.after)
}

/// A file that is just a file.
fn plain_file(
    path: &str,
    kind: KindName,
    change: Option<&PathChange>,
    users: &Users,
    actor: Option<Actor>,
) -> Seen {
    let entry = |entry: Option<&Entry>| entry.map(|entry| permissions(entry, users));
    let after = change.and_then(|change| change.after.as_ref());
    let kind = match (kind, after) {
        (KindName::FileWrite, Some(after)) => Kind::FileWrite {
            path: path.to_owned(),
            tree: false,
            mode: Some(after.mode),
            owner: user(after.uid, users),
        },
        _ => Kind::FileDelete {
            path: path.to_owned(),
        },
    };
    Seen {
        kind,
        origin: Origin::Manifest,
        before: entry(change.and_then(|change| change.before.as_ref())),
        after: entry(after),
        actor,
        evidence: OperationEvidence {
            path: Some(path.to_owned()),
            sha256: after.and_then(|entry| entry.sha256),
            ..OperationEvidence::default()
        },
    }
}

/// What an operation is in one line. Of the files that say who is who, what they say is part of it: no
/// consent to one line of theirs is one to another.
fn subject(seen: &Seen) -> String {
    let subject = seen.kind.subject();
    match (&seen.kind, &seen.after, &seen.before) {
        (Kind::FileWrite { path, .. }, Some(after), _) if says_who_is_who(path) => {
            format!("{subject}: {after}")
        }
        (Kind::FileWrite { path, .. }, None, Some(before)) if says_who_is_who(path) => {
            format!("{subject}: without {before}")
        }
        _ => subject,
    }
}

/// The name that a command for it would hold.
fn name_in(kind: &Kind) -> Option<&str> {
    if let Kind::UserAdd { name, .. } | Kind::GroupAdd { name } = kind {
        Some(name)
    } else if let Kind::GroupMember { user, .. } = kind {
        Some(user)
    } else {
        None
    }
}

/// Host and port of a URL, or of `host:port`.
fn host_of(url: &str) -> (String, u16) {
    let (port, rest) = match url.split_once("://") {
        Some(("https", rest)) => (443, rest),
        Some((_, rest)) => (80, rest),
        None => (443, url),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority
        .rsplit_once(':')
        .map(|(host, port)| (host, port.parse()))
    {
        Some((host, Ok(port))) => (host.to_owned(), port),
        Some((_, Err(_))) | None => (authority.to_owned(), port),
    }
}

fn users(facts: &CellFacts) -> Users {
    let dev = facts.user.map(|user| (user.uid, USER.to_owned()));
    let known = facts.users.iter().map(|(id, name)| (*id, name.clone()));
    std::iter::once((0, "root".to_owned()))
        .chain(known)
        .chain(dev)
        .collect()
}

#[cfg(test)]
mod tests;
