//! Facts of one cell, taken one by one.
//!
//! Nothing is refused here: what does not fit becomes a contradiction of the cell.

use std::collections::{BTreeMap, VecDeque};

use assay_wire::event::{
    Body, CellEnded, CellPlanned, ConsentBasis, ExecutorEvent, Manifest, Trace,
};
use assay_wire::name::CellId;
use assay_wire::package::PackageCame;
use assay_wire::plan::OpId;
use assay_wire::program::Pass;

use crate::judge::finish_cell;
use crate::record::{
    Attempt, BootFact, CellFacts, CellRecord, ContentFact, GuardFact, ManifestFacts, ManifestStats,
    OpFacts, Performance, UserFact,
};

/// Folds the facts of one cell, as they happen or as they are read. Times are in milliseconds since
/// the run started.
#[derive(Debug)]
pub struct CellFolder {
    facts: CellFacts,
    /// How manifests were taken whose changes have not come yet, oldest first.
    unpaired: VecDeque<ManifestStats>,
}

impl CellFolder {
    /// A cell of which nothing is known but its plan.
    #[must_use]
    pub fn new(cell: CellId, planned: CellPlanned, now: u64) -> Self {
        let numbered = planned
            .plan
            .ops
            .iter()
            .zip(1..)
            .all(|(op, position)| op.id.0 == position);
        let ops = planned.plan.ops.iter().map(|op| OpFacts {
            op: op.id,
            first: None,
            second: None,
        });
        let mut facts = CellFacts {
            cell,
            ops: ops.collect(),
            planned,
            attempts: Vec::new(),
            content: Vec::new(),
            sandbox: None,
            booted: None,
            user: None,
            hosts_added: false,
            untraced: Vec::new(),
            traces: Vec::new(),
            left: Vec::new(),
            manifests: Vec::new(),
            requests: Vec::new(),
            packages: Vec::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            cross_check: None,
            broken: Vec::new(),
            contradictions: Vec::new(),
            ended: None,
            last_ms: now,
        };
        if !numbered {
            contradiction(
                &mut facts,
                "the ops of its plan are not numbered in order".to_owned(),
            );
        }
        Self {
            facts,
            unpaired: VecDeque::new(),
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn facts(&self) -> &CellFacts {
        &self.facts
    }

    /// Takes the next fact; a clock that goes back stands still.
    pub fn push(&mut self, body: Body, now: u64) {
        let now = now.max(self.facts.last_ms);
        self.facts.last_ms = now;
        take(self, body, now);
    }

    /// The record of what came so far, judged; a cell without an end is cancelled. Which entries of the
    /// ledger are stale, only all cells of a run say.
    #[must_use]
    pub fn finish(self, consents: Option<&ConsentBasis>) -> CellRecord {
        finish_cell(self.facts, consents)
    }
}

fn take(folder: &mut CellFolder, body: Body, now: u64) {
    let facts = &mut folder.facts;
    match body {
        Body::AttemptStarted { attempt } => attempt_started(folder, attempt, now),
        Body::ContentReady(ready) => facts.content.push(ContentFact::Ready(ready)),
        Body::ContentRefused(refused) => facts.content.push(ContentFact::Refused(refused)),
        Body::SandboxStarted(sandbox) => {
            once(facts, "its sandbox started", |facts| {
                facts.sandbox.replace(sandbox).is_some()
            });
        }
        Body::Executor(event) => executor(folder, event, now),
        Body::Output(output) => {
            with(facts, output.op, output.pass, "printed", |performance| {
                let repeated = performance.stdout.bytes + performance.stderr.bytes > 0;
                performance.stdout = output.stdout;
                performance.stderr = output.stderr;
                !repeated
            });
        }
        Body::Manifest(manifest) => manifest_recorded(folder, manifest),
        Body::Trace(trace) => trace_recorded(facts, trace),
        Body::Request(request) => facts.requests.push(request),
        Body::Package(package) => package_came(facts, *package),
        Body::CrossChecked(check) => {
            once(facts, "it was cross-checked", |facts| {
                facts.cross_check.replace(check).is_some()
            });
        }
        Body::AttemptFailed(failed) => match facts.attempts.last_mut() {
            Some(attempt) if attempt.failure.is_none() => attempt.failure = Some(failed),
            Some(_) => contradiction(facts, "one attempt broke off twice".to_owned()),
            // An attempt may break off before anything of it could be said.
            None => facts.attempts.push(Attempt {
                number: 1,
                started_ms: now,
                failure: Some(failed),
            }),
        },
        Body::SandboxLeft(left) => facts.left.push(left),
        Body::CellEnded(ended) => {
            if ended == CellEnded::Finished && !folder.unpaired.is_empty() {
                contradiction(
                    facts,
                    "a manifest was taken and its changes never came".to_owned(),
                );
            }
            facts.ended = Some(ended);
        }
        // They are no facts of a cell, or its first, which is taken already.
        Body::RunStarted(_) | Body::CellPlanned(_) | Body::RunEnded { .. } => {}
    }
}

fn attempt_started(folder: &mut CellFolder, number: u32, now: u64) {
    let facts = &mut folder.facts;
    let due = facts
        .attempts
        .last()
        .map_or(1, |attempt| attempt.number.saturating_add(1));
    if !facts.attempts.is_empty() {
        facts.content.clear();
        facts.sandbox = None;
        facts.booted = None;
        facts.user = None;
        facts.hosts_added = false;
        facts.untraced.clear();
        facts.traces.clear();
        for op in &mut facts.ops {
            op.first = None;
            op.second = None;
        }
        facts.manifests.clear();
        facts.requests.clear();
        facts.packages.clear();
        facts.users.clear();
        facts.groups.clear();
        facts.cross_check = None;
        facts.broken.clear();
        facts.contradictions.clear();
        folder.unpaired.clear();
    }
    facts.attempts.push(Attempt {
        number,
        started_ms: now,
        failure: None,
    });
    if number != due {
        contradiction(
            facts,
            format!("attempt {number} began where attempt {due} was due"),
        );
    }
}

fn executor(folder: &mut CellFolder, event: ExecutorEvent, now: u64) {
    let facts = &mut folder.facts;
    match event {
        ExecutorEvent::Booted { systemd, state, ms } => {
            let boot = BootFact { systemd, state, ms };
            once(facts, "its sandbox booted", |facts| {
                facts.booted.replace(boot).is_some()
            });
        }
        // What follows from it is the runner's word at the cell's end.
        ExecutorEvent::NotBooted { .. } => {}
        ExecutorEvent::Ready {
            uid,
            gid,
            user_added,
            hosts_added,
            untraced,
            addresses: _,
            users,
            groups,
        } => {
            facts.users = users;
            facts.groups = groups;
            facts.hosts_added = hosts_added;
            facts.untraced = untraced;
            let user = UserFact {
                uid,
                gid,
                added: user_added,
                ready_ms: now,
            };
            once(facts, "its sandbox was ready", |facts| {
                facts.user.replace(user).is_some()
            });
        }
        ExecutorEvent::GuardAsked { op, pass, held, ms } => {
            with(facts, op, pass, "had its guard asked", |performance| {
                performance.guard.replace(GuardFact { held, ms }).is_none()
            });
        }
        ExecutorEvent::OpStarted { op, pass, argv } => {
            with(facts, op, pass, "started", |performance| {
                performance.argv = argv;
                let held = performance.guard.is_some_and(|guard| guard.held);
                !std::mem::replace(&mut performance.started, true) && !held
            });
        }
        ExecutorEvent::OpFinished {
            op,
            pass,
            ending,
            ms,
        } => {
            with(facts, op, pass, "finished", |performance| {
                performance.ms = ms;
                performance.started && performance.ending.replace(ending).is_none()
            });
        }
        ExecutorEvent::ManifestTaken {
            entries,
            hashed,
            omitted,
            unreadable,
            mounts,
            ms,
        } => {
            let stats = ManifestStats {
                entries,
                hashed,
                omitted,
                unreadable,
                mounts,
                ms,
            };
            match facts
                .manifests
                .iter_mut()
                .rev()
                .find(|manifest| manifest.stats.is_none())
            {
                Some(manifest) => manifest.stats = Some(stats),
                None => folder.unpaired.push_back(stats),
            }
        }
        ExecutorEvent::Broken { message } => {
            if facts.broken.len() < CellFacts::MAX_CONTRADICTIONS {
                facts.broken.push(message);
            }
        }
    }
}

fn manifest_recorded(folder: &mut CellFolder, manifest: Manifest) {
    let Manifest {
        after,
        paths,
        states,
    } = manifest;
    let facts = &mut folder.facts;
    if facts.manifest(&after).is_some() {
        contradiction(facts, "one manifest was taken twice".to_owned());
        return;
    }
    let stats = folder.unpaired.pop_front();
    facts.manifests.push(ManifestFacts {
        after,
        paths,
        states,
        stats,
    });
}

fn package_came(facts: &mut CellFacts, package: PackageCame) {
    let known = facts.packages.iter();
    if known.rev().any(|known| known.sha256 == package.sha256) {
        contradiction(facts, "one package was told twice".to_owned());
    } else {
        facts.packages.push(package);
    }
}

fn trace_recorded(facts: &mut CellFacts, trace: Trace) {
    let known = facts.traces.iter();
    let (op, pass) = (trace.op, trace.pass);
    if facts.index(op).is_none() {
        contradiction(facts, format!("op {op} was traced and is not in its plan"));
    } else if known
        .rev()
        .any(|known| (known.op, known.pass) == (op, pass))
    {
        contradiction(facts, format!("op {op} was traced twice in one apply"));
    } else {
        facts.traces.push(trace);
    }
}

/// Takes a fact of which there can be one; `replace` says whether there already was.
fn once(facts: &mut CellFacts, what: &str, replace: impl FnOnce(&mut CellFacts) -> bool) {
    if replace(facts) {
        contradiction(facts, format!("{what} twice in one attempt"));
    }
}

/// Takes a fact of one performance; `fits` takes it and says whether it can be true.
fn with(
    facts: &mut CellFacts,
    op: OpId,
    pass: Pass,
    what: &str,
    fits: impl FnOnce(&mut Performance) -> bool,
) {
    let Some(index) = facts.index(op) else {
        contradiction(facts, format!("op {op} {what} and is not in the plan"));
        return;
    };
    let known = &mut facts.ops[index];
    let performance = match pass {
        Pass::First => known.first.get_or_insert_default(),
        Pass::Second => known.second.get_or_insert_default(),
    };
    if !fits(performance) {
        contradiction(facts, format!("op {op} {what} out of turn"));
    }
}

fn contradiction(facts: &mut CellFacts, message: String) {
    if facts.contradictions.len() < CellFacts::MAX_CONTRADICTIONS {
        facts.contradictions.push(message);
    }
}
