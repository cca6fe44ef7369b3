//! What a cell was seen to do that only root may do: one pure function of its facts.
//!
//! The manifests say *what* ([`crate::state`]), the trace says *who* ([`actors`]) and what leaves no file
//! ([`calls`]). What is ordinary by its nature and comes in hundreds – programs of root's, files that are
//! just files, connections to hosts that were named – is counted. *Nothing is judged here: whether an
//! operation was declared, comes with a package or is nobody's is another question.*

mod actors;
mod calls;

use std::collections::BTreeMap;

use assay_wire::consent::Policy;
use assay_wire::digest::Digest;
use assay_wire::event::{ManifestPoint, RequestDecision, Trace};
use assay_wire::plan::OpId;
use assay_wire::privileged::{
    Actor, Kind, KindName, OperationEvidence, Origin, PrivilegedOperation, says_who_is_who,
};
use assay_wire::program::{Pass, USER};
use serde::Serialize;

use self::actors::Actors;
use crate::attack::technique;
use crate::delta::{Class, Why};
use crate::record::CellFacts;
use crate::risk::{Risk, risk};
use crate::state::{Accounts, Found, Users, shown};

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

/// What a cell was seen to do.
#[must_use]
pub fn observed(facts: &CellFacts) -> Observed {
    let mut observed = Observing {
        facts,
        operations: Vec::new(),
        known: BTreeMap::new(),
        folded: BTreeMap::new(),
    };
    let users = users(facts);
    let mut accounts = Accounts::default();
    for manifest in &facts.manifests {
        let (op, pass) = match manifest.after {
            ManifestPoint::Baseline => continue,
            ManifestPoint::Op(op) => (Some(op), Pass::First),
            ManifestPoint::SecondApply => (None, Pass::Second),
        };
        let traces = facts.traces.iter();
        let during = |trace: &&Trace| trace.pass == pass && op.is_none_or(|op| trace.op == op);
        let actors = Actors::new(&facts.traces, traces.filter(during));
        let shown = shown(&manifest.paths, &users, &mut accounts);
        // What the second apply changed is of the op whose program did it, else of its last.
        let last = facts.planned.plan.ops.iter().rfind(|op| !op.once);
        let of = |path: &str| op.or_else(|| actors.op_of(path)).or(last.map(|op| op.id));
        for found in shown.operations {
            if let Some(op) = of(&found.path) {
                let actor = actors.of(&found.path, name_in(&found.kind));
                observed.add(op, pass, from_manifest(found, actor));
            }
        }
        let written = shown.written.iter().map(|path| (path, KindName::FileWrite));
        let deleted = shown
            .deleted
            .iter()
            .map(|path| (path, KindName::FileDelete));
        for (path, kind) in written.chain(deleted) {
            if let Some(op) = of(path) {
                observed.fold(op, kind, 1);
            }
        }
    }
    for trace in &facts.traces {
        let seen = calls::seen(trace, &facts.traces, facts.booted.is_some());
        for (seen, count) in seen.operations {
            observed.add_many(trace.op, trace.pass, seen, count);
        }
        observed.fold(trace.op, KindName::ExecRoot, seen.programs_of_root);
        observed.fold(trace.op, KindName::NetConnect, seen.names_asked);
    }
    observed.requests();
    observed.finish()
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
    operations: Vec<ObservedOperation>,
    /// Where an operation stands, by op, apply, digest and who did it.
    known: BTreeMap<(OpId, Pass, Digest, Option<u32>), usize>,
    folded: BTreeMap<(OpId, KindName), u64>,
}

impl Observing<'_> {
    fn add(&mut self, op: OpId, pass: Pass, seen: Seen) {
        self.add_many(op, pass, seen, 1);
    }

    fn add_many(&mut self, op: OpId, pass: Pass, seen: Seen, count: u64) {
        let steps = self.facts.op(op).map(|(op, _)| op.steps.clone());
        let operation = PrivilegedOperation {
            steps: steps.unwrap_or_default(),
            op,
            subject: subject(&seen),
            kind: seen.kind,
            origin: seen.origin,
            before: seen.before,
            after: seen.after,
            actor: seen.actor,
            package: None,
            evidence: seen.evidence,
        };
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
            risk: risk(&operation.kind, &Policy::default()),
            attack: technique(operation.kind.name()),
            pass,
            count,
            operation,
            class: Class::Undeclared { why: Why::Nobody },
        });
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
                        actor: request.asker.as_ref().map(|asker| Actor {
                            argv: asker.program.iter().cloned().collect(),
                            uid: asker.uid,
                            program: None,
                            script: None,
                        }),
                        evidence: OperationEvidence {
                            url: Some(request.url.clone()),
                            ..OperationEvidence::default()
                        },
                    };
                    self.add(op, Pass::First, seen);
                }
                RequestDecision::Served
                | RequestDecision::Forwarded
                | RequestDecision::Replayed
                | RequestDecision::Tunnelled
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
    std::iter::once((0, "root".to_owned())).chain(dev).collect()
}

#[cfg(test)]
mod tests;
