//! The one record of a run: facts of every cell as the journal gives them, and beside them what
//! `observe` made of them. Every report is a function of this and nothing else.
//!
//! Types only. Facts are filled by [`crate::fold`], judgements by [`crate::judge`].

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::digest::Digest;
use assay_wire::event::{
    AttemptFailed, Captured, CellEnded, CellPlanned, ContentReady, ContentRefused, CrossChecked,
    Ending, ManifestPoint, Request, RunStarted, SandboxLeft, SandboxStarted, Trace,
};
use assay_wire::manifest::{PathChange, StateChange};
use assay_wire::name::{CellId, RunId, StepRef};
use assay_wire::package::PackageCame;
use assay_wire::plan::{Action, Disposition, KeyScope, Op, OpId};
use assay_wire::program::Pass;
use assay_wire::source::Location;
use serde::Serialize;

use crate::capture::Gap;
use crate::delta::Delta;
use crate::expectation::Verdict;
use crate::observed::Observed;
use crate::outcome::Outcome;

/// Everything known of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// The run.
    pub run: RunInfo,
    /// Its cells, in the order they were planned.
    pub cells: Vec<CellRecord>,
}

/// What is known of the run itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunInfo {
    /// Its id.
    pub id: RunId,
    /// How it began.
    pub start: RunStarted,
    /// How it ended.
    pub end: RunEnd,
    /// Milliseconds from its start to its last fact.
    pub duration_ms: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// By itself.
    Complete,
    /// By a signal, and it said so.
    Interrupted,
    /// Its journal stops without a last line: it was killed, or is still running.
    Truncated,
}

/// One cell: facts and judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CellRecord {
    /// What happened.
    pub facts: CellFacts,
    /// The plan's digest.
    pub plan_digest: Digest,
    /// The cell's key: equal where the same question was asked.
    pub cell_key: Digest,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether that was expected.
    pub verdict: Verdict,
    /// What could not be captured; never empty where the outcome says `capture_gap`.
    pub gaps: Vec<Gap>,
    /// Paths the second apply changed that do not count, each with the reason.
    pub noise: BTreeMap<String, &'static str>,
    /// What it was seen to do that only root may do.
    pub observed: Observed,
    /// That, against what was declared and granted.
    pub delta: Delta,
    /// Where the time went.
    pub timings: Timings,
}

impl CellRecord {
    /// What the second apply changed and what counts: the manifest after it without the noise.
    pub fn repeated_changes(&self) -> impl Iterator<Item = &PathChange> {
        let manifest = self.facts.manifest(&ManifestPoint::SecondApply);
        manifest
            .into_iter()
            .flat_map(|manifest| &manifest.paths)
            .filter(|change| !self.noise.contains_key(&change.path))
    }

    /// Lines of probes that the second apply changed.
    #[must_use]
    pub fn repeated_states(&self) -> &[StateChange] {
        let manifest = self.facts.manifest(&ManifestPoint::SecondApply);
        manifest.map_or(&[], |manifest| &manifest.states)
    }
}

/// systemd as PID 1 of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BootFact {
    /// Which, as it names itself.
    pub systemd: String,
    /// `running`, or `degraded` if a unit failed.
    pub state: String,
    /// Milliseconds it took.
    pub ms: u64,
}

/// What the journal says of one cell: facts of its last attempt, and what was known before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CellFacts {
    /// The cell.
    pub cell: CellId,
    /// Everything known before it ran: plan, image, expectation, snapshot finding.
    pub planned: CellPlanned,
    /// Its attempts, in order; the facts below are those of the last.
    pub attempts: Vec<Attempt>,
    /// What became of declared content.
    pub content: Vec<ContentFact>,
    /// The sandbox, once one started.
    pub sandbox: Option<SandboxStarted>,
    /// systemd as its PID 1, once that had come up; `None` where none is booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booted: Option<BootFact>,
    /// The unprivileged user, once the sandbox was ready.
    pub user: Option<UserFact>,
    /// True if the harness wrote the names of loopback into an `/etc/hosts` that was empty, or that
    /// the engine had mounted.
    pub hosts_added: bool,
    /// One for every op of the plan, in order.
    pub ops: Vec<OpFacts>,
    /// The capabilities that tracing would have taken and the sandbox had not; empty where it was
    /// traced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untraced: Vec<String>,
    /// Who did what, in the order of the ops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<Trace>,
    /// Manifests in the order taken.
    pub manifests: Vec<ManifestFacts>,
    /// Connections that left the sandbox or were refused.
    pub requests: Vec<Request>,
    /// The packages that came, in the order they were told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<PackageCame>,
    /// The image's users by their numbers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<u32, String>,
    /// Its groups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<u32, String>,
    /// The engine's list against the manifests.
    pub cross_check: Option<CrossChecked>,
    /// Sandboxes of any attempt that could not be removed.
    pub left: Vec<SandboxLeft>,
    /// What the executor said went wrong in its own work.
    pub broken: Vec<String>,
    /// Facts that cannot all be true, in words: at most [`CellFacts::MAX_CONTRADICTIONS`].
    pub contradictions: Vec<String>,
    /// How it ended; `None` if the journal stops before.
    pub ended: Option<CellEnded>,
    /// Milliseconds from the run's start to its last fact.
    pub last_ms: u64,
}

impl CellFacts {
    /// Most contradictions kept; one is enough to distrust a cell.
    pub const MAX_CONTRADICTIONS: usize = 20;

    /// The op with this id, and what is known of it.
    #[must_use]
    pub fn op(&self, id: OpId) -> Option<(&Op, &OpFacts)> {
        let index = self.index(id)?;
        Some((&self.planned.plan.ops[index], self.ops.get(index)?))
    }

    /// Where the op with this id stands in the plan: an id is a 1-based position.
    pub(crate) fn index(&self, id: OpId) -> Option<usize> {
        let index = usize::try_from(id.0).ok()?.checked_sub(1)?;
        let op = self.planned.plan.ops.get(index)?;
        (op.id == id).then_some(index)
    }

    /// The manifest taken at this point.
    #[must_use]
    pub fn manifest(&self, point: &ManifestPoint) -> Option<&ManifestFacts> {
        self.manifests
            .iter()
            .find(|manifest| manifest.after == *point)
    }

    /// Where a step stands in its recipe.
    #[must_use]
    pub fn location(&self, step: &StepRef) -> Option<&Location> {
        let found = self
            .planned
            .locations
            .iter()
            .find(|known| known.step == *step);
        found.map(|known| &known.location)
    }

    /// The keys that the manager trusts for any repository of the machine once it has them: each with
    /// the first step that brings it and the path of its file.
    pub fn machine_keys(&self) -> impl Iterator<Item = (&StepRef, &str)> {
        let ops = self.planned.plan.ops.iter();
        ops.filter_map(|op| match (&op.scope, &op.action) {
            (Some(KeyScope::Machine), Action::Write { path, .. }) => {
                Some((op.steps.first()?, path.as_str()))
            }
            (
                None | Some(KeyScope::Repository | KeyScope::Machine),
                Action::Write { .. } | Action::Run { .. } | Action::Extract { .. },
            ) => None,
        })
    }

    /// Instructions a human has to follow: each manual step with its text.
    pub fn manual_steps(&self) -> impl Iterator<Item = (&StepRef, &str)> {
        self.planned
            .plan
            .steps
            .iter()
            .filter_map(|step| match &step.disposition {
                Disposition::Manual { text, .. } => Some((&step.step, text.as_str())),
                Disposition::Applies | Disposition::Dropped { .. } => None,
            })
    }

    /// How many ops stand before the first manual step; verifications after that are not judged.
    #[must_use]
    pub fn judged_ops(&self) -> Option<u32> {
        let after = self
            .planned
            .plan
            .steps
            .iter()
            .filter_map(|step| match &step.disposition {
                Disposition::Manual { after, .. } => Some(*after),
                Disposition::Applies | Disposition::Dropped { .. } => None,
            });
        after.min()
    }

    /// Mount points of other file systems that manifests walked.
    #[must_use]
    pub fn mounts(&self) -> BTreeSet<&str> {
        let stats = self
            .manifests
            .iter()
            .filter_map(|manifest| manifest.stats.as_ref());
        stats
            .flat_map(|stats| &stats.mounts)
            .map(String::as_str)
            .collect()
    }
}

/// One attempt at a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// Milliseconds from the run's start to its own.
    pub started_ms: u64,
    /// Why it broke off, if it did.
    pub failure: Option<AttemptFailed>,
}

/// What became of declared content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ContentFact {
    /// It is verified and at hand.
    Ready(ContentReady),
    /// It is not to be had as declared.
    Refused(ContentRefused),
}

/// The unprivileged user of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserFact {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// True if the harness had to add it.
    pub added: bool,
    /// Milliseconds from the run's start until the sandbox was ready.
    pub ready_ms: u64,
}

/// What is known of one op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpFacts {
    /// The op.
    pub op: OpId,
    /// Its performance in the first apply.
    pub first: Option<Performance>,
    /// Its performance in the second apply.
    pub second: Option<Performance>,
}

impl OpFacts {
    /// Its performance in one of the applies.
    #[must_use]
    pub fn performance(&self, pass: Pass) -> Option<&Performance> {
        match pass {
            Pass::First => self.first.as_ref(),
            Pass::Second => self.second.as_ref(),
        }
    }
}

/// One performance of one op.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Performance {
    /// What its guard answered, if it has one and was asked.
    pub guard: Option<GuardFact>,
    /// The effective words, with the harness's; empty for a write or an op that was skipped.
    pub argv: Vec<String>,
    /// True once it began.
    pub started: bool,
    /// How it ended; `None` if it was skipped or never ended.
    pub ending: Option<Ending>,
    /// Milliseconds from its start to its end.
    pub ms: u64,
    /// What it printed on standard output.
    pub stdout: Captured,
    /// What it printed on standard error.
    pub stderr: Captured,
}

impl Performance {
    /// True if its guard held, so that it was not performed.
    #[must_use]
    pub fn skipped(&self) -> bool {
        self.guard.is_some_and(|guard| guard.held) && !self.started
    }
}

/// What a guard answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GuardFact {
    /// True if it held.
    pub held: bool,
    /// Milliseconds.
    pub ms: u64,
}

/// One manifest: what changed since the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ManifestFacts {
    /// What it follows.
    pub after: ManifestPoint,
    /// Changed paths, sorted.
    pub paths: Vec<PathChange>,
    /// Changed lines of probes, sorted.
    pub states: Vec<StateChange>,
    /// How it was taken.
    pub stats: Option<ManifestStats>,
}

/// How a manifest was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ManifestStats {
    /// Objects walked.
    pub entries: u64,
    /// Bytes hashed.
    pub hashed: u64,
    /// Lines left out.
    pub omitted: u64,
    /// Objects that could not be read.
    pub unreadable: u64,
    /// Mount points of other file systems that were walked.
    pub mounts: Vec<String>,
    /// Milliseconds.
    pub ms: u64,
}

/// Where a cell's time went, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timings {
    /// From asking for the sandbox to its first word.
    pub start_ms: u64,
    /// From the last attempt's start until the sandbox was ready, and the requirements.
    pub prepare_ms: u64,
    /// Ops of the first apply with their guards.
    pub apply_ms: u64,
    /// Verifications.
    pub verify_ms: u64,
    /// Ops of the second apply with their guards.
    pub apply_again_ms: u64,
    /// Manifests.
    pub manifest_ms: u64,
    /// From the first attempt's start to the last fact, attempts that broke off included.
    pub total_ms: u64,
}
