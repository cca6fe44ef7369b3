//! Event logs for tests: a journal as a runner would write it, one method per fact.
//!
//! A log is always numbered without gaps and belongs to one run; a test that wants a damaged one
//! takes [`Log::envelopes`] and damages it.

use std::collections::BTreeMap;

use assay_wire::PROTOCOL;
use assay_wire::cell_key::Conditions;
use assay_wire::digest::Digest;
use assay_wire::event::{
    AttemptFailed, Body, Capture, Captured, CellEnded, CellPlanned, CrossChecked, Ending, Envelope,
    ExecutorEvent, Expected, Image, ImageKind, InfraCause, Manifest, ManifestPoint, Origin, Output,
    Request, RequestDecision, RunStarted, SandboxStarted, SnapshotFinding, StepLocation,
};
use assay_wire::lock::Network;
use assay_wire::manifest::{Entry, EntryKind, PathChange, StateChange};
use assay_wire::name::{CellId, RunId, Variant};
use assay_wire::plan::{Action, OpId, Plan};
use assay_wire::program::{HarnessEnv, Pass};
use assay_wire::source::Location;

use crate::packages::of_everything;
use crate::trace::{runs_a_program, traced};

/// Builds a journal fact by fact. Facts of a cell belong to the cell planned or selected last.
#[derive(Debug, Clone)]
pub struct Log {
    run: RunId,
    t: u64,
    cell: Option<CellId>,
    plans: BTreeMap<CellId, Plan>,
    events: Vec<Envelope>,
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    /// A run inside a project that has just started.
    #[must_use]
    pub fn new() -> Self {
        Self::started(RunStarted {
            harness: "0.1.0".to_owned(),
            started: "2026-03-01T12:00:00Z".to_owned(),
            arguments: vec!["test".to_owned()],
            project: Some(".".to_owned()),
            allow_unmet_needs: false,
            network: Network::Live,
            consents: None,
        })
    }

    /// A run that started so.
    ///
    /// # Panics
    /// Never: the run's name is within its grammar.
    #[must_use]
    pub fn started(start: RunStarted) -> Self {
        let run = "20260301-120000-c0ffee".parse().expect("a run id");
        let log = Self {
            run,
            t: 0,
            cell: None,
            plans: BTreeMap::new(),
            events: Vec::new(),
        };
        log.body(Body::RunStarted(start))
    }

    /// A cell with the defaults: a genuine image, no expectation, snapshot not judged.
    #[must_use]
    pub fn cell(self, id: &str, plan: Plan) -> Self {
        let planned = planned(plan);
        self.planned(id, planned)
    }

    /// A cell planned exactly so.
    ///
    /// # Panics
    /// If `id` is not a cell's name.
    #[must_use]
    pub fn planned(mut self, id: &str, planned: CellPlanned) -> Self {
        let cell: CellId = id.parse().expect("a cell's name");
        self.plans.insert(cell.clone(), planned.plan.clone());
        self.cell = Some(cell);
        self.body(Body::CellPlanned(Box::new(planned)))
    }

    /// The next facts belong to this cell.
    ///
    /// # Panics
    /// If `id` is not a cell's name.
    #[must_use]
    pub fn select(mut self, id: &str) -> Self {
        self.cell = Some(id.parse().expect("a cell's name"));
        self
    }

    /// An attempt begins, its sandbox starts and is made ready.
    #[must_use]
    pub fn attempt(self, attempt: u32) -> Self {
        self.body(Body::AttemptStarted { attempt })
            .after(180)
            .body(Body::SandboxStarted(SandboxStarted {
                engine: "docker 20.10.24".to_owned(),
                sandbox: format!("assay-c0ffee-{attempt}"),
                executor_sha256: Digest::of(b"executor"),
                start_ms: 180,
            }))
            .executor(ExecutorEvent::Ready {
                uid: 1000,
                gid: 1000,
                user_added: true,
                hosts_added: true,
                untraced: Vec::new(),
                addresses: Vec::new(),
                users: BTreeMap::new(),
                groups: BTreeMap::new(),
            })
            .manifest(ManifestPoint::Baseline, Vec::new(), Vec::new())
    }

    /// An attempt breaks off.
    #[must_use]
    pub fn attempt_failed(self, cause: InfraCause, message: &str, retried: bool) -> Self {
        self.body(Body::AttemptFailed(AttemptFailed {
            cause,
            message: message.to_owned(),
            hint: Some("run `assay doctor`".to_owned()),
            retried,
        }))
    }

    /// An op ends in the first apply, printing nothing.
    #[must_use]
    pub fn op(self, op: u32, ending: Ending) -> Self {
        self.printed(op, ending, "", "")
    }

    /// An op ends in the first apply, printing this on standard output and error.
    #[must_use]
    pub fn printed(self, op: u32, ending: Ending, stdout: &str, stderr: &str) -> Self {
        self.performed(op, Pass::First, ending, captured(stdout), captured(stderr))
    }

    /// An op is performed.
    #[must_use]
    pub fn performed(
        self,
        op: u32,
        pass: Pass,
        ending: Ending,
        stdout: Captured,
        stderr: Captured,
    ) -> Self {
        let op = OpId(op);
        let argv = self.argv(op);
        let mut log = self;
        if log.guarded(op) {
            log = log.executor(ExecutorEvent::GuardAsked {
                op,
                pass,
                held: false,
                ms: 4,
            });
        }
        log = log
            .executor(ExecutorEvent::OpStarted { op, pass, argv })
            .after(250);
        if stdout.bytes + stderr.bytes > 0 {
            log = log.body(Body::Output(Output {
                op,
                pass,
                stdout,
                stderr,
            }));
        }
        if runs_a_program(&ending) && log.has_command(op) {
            let argv = log.argv(op);
            log = log.body(Body::Trace(traced(op, pass, argv)));
        }
        log.executor(ExecutorEvent::OpFinished {
            op,
            pass,
            ending,
            ms: 250,
        })
    }

    /// True if an op executes a command.
    fn has_command(&self, id: OpId) -> bool {
        let ops = self.ops();
        let op = ops.iter().find(|op| op.id == id);
        op.is_some_and(|op| matches!(op.action, Action::Run { .. }))
    }

    /// The guard of an op holds: it is skipped.
    #[must_use]
    pub fn skipped(self, op: u32, pass: Pass) -> Self {
        let op = OpId(op);
        self.after(4).executor(ExecutorEvent::GuardAsked {
            op,
            pass,
            held: true,
            ms: 4,
        })
    }

    /// A manifest is taken and its changes are recorded.
    #[must_use]
    pub fn manifest(
        self,
        after: ManifestPoint,
        paths: Vec<PathChange>,
        states: Vec<StateChange>,
    ) -> Self {
        self.after(40)
            .executor(ExecutorEvent::ManifestTaken {
                entries: 3000,
                hashed: 4096,
                omitted: 0,
                unreadable: 0,
                mounts: vec!["/tmp".to_owned()],
                ms: 40,
            })
            .body(Body::Manifest(Manifest {
                after,
                paths,
                states,
            }))
    }

    /// What an op of the first apply changed.
    #[must_use]
    pub fn changed(self, op: u32, paths: Vec<PathChange>) -> Self {
        self.manifest(ManifestPoint::Op(OpId(op)), paths, Vec::new())
    }

    /// Every op from this one on succeeds in the first apply, verifications print `version`.
    #[must_use]
    pub fn rest_of_first(self, from: u32, version: &str) -> Self {
        let mut log = self;
        for op in log.ops().into_iter().filter(|op| op.id.0 >= from) {
            let ending = success(&op.action);
            log = log.printed(op.id.0, ending, version, "");
            if op.applies() {
                log = log.manifest(ManifestPoint::Op(op.id), Vec::new(), Vec::new());
            }
        }
        log
    }

    /// The second apply succeeds (guards hold, the rest ends well), then this has changed.
    #[must_use]
    pub fn second(self, paths: Vec<PathChange>, states: Vec<StateChange>) -> Self {
        let mut log = self;
        for op in log.ops().into_iter().filter(|op| !op.once) {
            log = if op.guard.is_some() {
                log.skipped(op.id.0, Pass::Second)
            } else {
                let ending = match op.action {
                    Action::Run { .. } | Action::Extract { .. } => Ending::Exited(0),
                    Action::Write { .. } => Ending::Written { changed: false },
                };
                let (stdout, stderr) = (Captured::default(), Captured::default());
                log.performed(op.id.0, Pass::Second, ending, stdout, stderr)
            };
        }
        log.manifest(ManifestPoint::SecondApply, paths, states)
    }

    /// A request left the sandbox, or was refused.
    #[must_use]
    pub fn request(self, op: u32, method: &str, url: &str, decision: RequestDecision) -> Self {
        let refused = matches!(decision, RequestDecision::Refused { .. });
        self.body(Body::Request(Request {
            op: Some(OpId(op)),
            method: method.to_owned(),
            url: url.to_owned(),
            asker: None,
            decision,
            status: if refused { 403 } else { 200 },
            bytes: if refused { 0 } else { 52_000 },
            sha256: None,
            locked: None,
            ms: 12,
        }))
    }

    /// The engine's list is compared; these were seen by no manifest.
    #[must_use]
    pub fn cross_checked(self, unseen: &[&str]) -> Self {
        self.body(Body::CrossChecked(CrossChecked {
            listed: 120,
            unseen: unseen.iter().map(|path| (*path).to_owned()).collect(),
        }))
    }

    /// The whole cell goes well from its first attempt to its end.
    #[must_use]
    pub fn cleanly(self) -> Self {
        self.attempt(1)
            .rest_of_first(1, "installed 99.0-1")
            .closes()
    }

    /// A second apply that changes nothing, the cross-check and the end.
    #[must_use]
    pub fn closes(self) -> Self {
        self.second(Vec::new(), Vec::new())
            .cross_checked(&[])
            .ends(CellEnded::Finished)
    }

    /// The cell ends. What its manifests show came with a package, unless the log says which came.
    #[must_use]
    pub fn ends(self, how: CellEnded) -> Self {
        let of = self.cell.as_ref();
        let package = of.and_then(|cell| of_everything(&self.events, cell));
        let log = match package.filter(|_| how == CellEnded::Finished) {
            Some(package) => self.body(Body::Package(Box::new(package))),
            None => self,
        };
        log.body(Body::CellEnded(how))
    }

    /// The run ends by itself.
    #[must_use]
    pub fn end(self) -> Self {
        self.body(Body::RunEnded { interrupted: false })
    }

    /// A fact of the executor.
    #[must_use]
    pub fn executor(self, event: ExecutorEvent) -> Self {
        self.body(Body::Executor(event))
    }

    /// Any fact; facts of the run itself carry no cell.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        let of_the_run = matches!(body, Body::RunStarted(_) | Body::RunEnded { .. });
        let inside = matches!(body, Body::Executor(_));
        let origin = if inside {
            Origin::Executor
        } else {
            Origin::Runner
        };
        self.events.push(Envelope {
            v: PROTOCOL,
            run: self.run.clone(),
            cell: if of_the_run { None } else { self.cell.clone() },
            seq: self.events.len() as u64,
            t: self.t,
            origin,
            body,
        });
        self
    }

    /// Time passes, in milliseconds.
    #[must_use]
    pub fn after(mut self, ms: u64) -> Self {
        self.t += ms;
        self
    }

    /// The events so far.
    #[must_use]
    pub fn envelopes(&self) -> Vec<Envelope> {
        self.events.clone()
    }

    /// The journal as JSON Lines.
    ///
    /// # Panics
    /// Never: every event can be written as JSON.
    #[must_use]
    pub fn journal(&self) -> String {
        let line = |event| serde_json::to_string(event).expect("events are plain data") + "\n";
        self.events.iter().map(line).collect()
    }

    fn ops(&self) -> Vec<assay_wire::plan::Op> {
        let plan = self.cell.as_ref().and_then(|cell| self.plans.get(cell));
        plan.map(|plan| plan.ops.clone()).unwrap_or_default()
    }

    fn guarded(&self, id: OpId) -> bool {
        self.ops()
            .iter()
            .any(|op| op.id == id && op.guard.is_some())
    }

    fn argv(&self, id: OpId) -> Vec<String> {
        match self
            .ops()
            .into_iter()
            .find(|op| op.id == id)
            .map(|op| op.action)
        {
            Some(Action::Run { argv }) => argv,
            Some(Action::Write { .. } | Action::Extract { .. }) | None => Vec::new(),
        }
    }
}

/// What is known beforehand of a cell with this plan: a genuine image, every step on a line of its
/// own, no expectation, snapshot not judged.
#[must_use]
pub fn planned(plan: Plan) -> CellPlanned {
    let locations = plan
        .steps
        .iter()
        .zip(1_u32..)
        .map(|(planned, number)| StepLocation {
            step: planned.step.clone(),
            location: Location {
                file: format!("recipes/{}.toml", planned.step.recipe),
                line: number * 4,
                column: 1,
                end_line: number * 4 + 2,
                end_column: 1,
            },
        });
    CellPlanned {
        harness: HarnessEnv::default(),
        locations: locations.collect(),
        image: Some(image(&plan, ImageKind::Registry)),
        capture: Capture::Trace,
        conditions: Conditions {
            harness: "0.1.0".to_owned(),
            executor_sha256: Digest::of(b"executor"),
            network: Network::Live,
            allow: Vec::new(),
            answers: None,
            memory_bytes: 4 << 30,
            milli_cpus: 2000,
            pids: 2048,
            file_bytes: 8 << 30,
            cell_ms: 3_600_000,
        },
        expected: None,
        snapshot: SnapshotFinding::NotJudged,
        plan,
    }
}

/// An image of this kind for a plan's target.
#[must_use]
pub fn image(plan: &Plan, kind: ImageKind) -> Image {
    Image {
        target: plan.target.clone(),
        variant: Variant::Minimal,
        id: format!("sha256:{}", Digest::of(plan.target.as_str().as_bytes())),
        kind,
        note: None,
    }
}

/// A row of `expected.toml` that names an outcome.
///
/// # Panics
/// If `outcome` is not an outcome's word.
#[must_use]
pub fn expected(outcome: &str) -> Expected {
    Expected {
        outcome: outcome.parse().expect("an outcome's word"),
        phase: None,
        reason: None,
        link: None,
        expired: false,
        needs: Vec::new(),
    }
}

/// A channel that printed this, cut as a runner cuts it.
#[must_use]
pub fn captured(text: &str) -> Captured {
    let bytes = text.as_bytes();
    let kept = Captured::KEPT;
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if bytes.len() <= 2 * kept {
        let head = &bytes[..bytes.len().min(kept)];
        let tail = &bytes[head.len()..];
        return Captured {
            bytes: bytes.len() as u64,
            head: lossy(head) + &lossy(tail),
            ..Captured::default()
        };
    }
    Captured {
        bytes: bytes.len() as u64,
        head: lossy(&bytes[..kept]),
        tail: lossy(&bytes[bytes.len() - kept..]),
        omitted: (bytes.len() - 2 * kept) as u64,
        matched: Vec::new(),
    }
}

/// A file that is new.
#[must_use]
pub fn added(path: &str) -> PathChange {
    PathChange {
        path: path.to_owned(),
        before: None,
        after: Some(file(0o644, b"new")),
    }
}

/// A file that is gone.
#[must_use]
pub fn removed(path: &str) -> PathChange {
    PathChange {
        path: path.to_owned(),
        before: Some(file(0o644, b"old")),
        after: None,
    }
}

/// A file whose content is different.
#[must_use]
pub fn changed(path: &str) -> PathChange {
    PathChange {
        path: path.to_owned(),
        before: Some(file(0o644, b"old")),
        after: Some(file(0o644, b"newer")),
    }
}

/// A line of the probe `packages` that is new.
#[must_use]
pub fn state(line: &str) -> StateChange {
    StateChange {
        probe: "packages".to_owned(),
        line: line.to_owned(),
        added: true,
    }
}

/// A regular file of root's with these permissions and bytes.
#[must_use]
pub fn file(mode: u32, bytes: &[u8]) -> Entry {
    Entry {
        kind: EntryKind::File,
        mode,
        uid: 0,
        gid: 0,
        size: bytes.len() as u64,
        sha256: Some(Digest::of(bytes)),
        points_to: None,
        xattrs: BTreeMap::new(),
        capability: None,
        content: None,
    }
}

fn success(action: &Action) -> Ending {
    match action {
        Action::Run { .. } | Action::Extract { .. } => Ending::Exited(0),
        Action::Write { .. } => Ending::Written { changed: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlanBuilder;

    #[test]
    fn a_log_is_numbered_and_survives_its_text_form() {
        let plan = PlanBuilder::new("debian-12", "jq")
            .refresh()
            .install("jq")
            .build();
        let log = Log::new().cell("debian-12:jq", plan).cleanly().end();
        let read: Vec<Envelope> = log
            .journal()
            .lines()
            .map(|line| serde_json::from_str(line).expect("written from an envelope"))
            .collect();
        assert_eq!(read, log.envelopes());
        assert!(read.iter().zip(0..).all(|(event, seq)| event.seq == seq));
        assert!(read.len() > 10);
    }
}
