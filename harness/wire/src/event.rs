//! Events: facts of a run, in order, in one envelope. The journal on disk is these as JSON Lines,
//! and any report can be rebuilt from it alone.
//!
//! Facts only: whether something is good or bad is decided by `observe`, from these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cell_key::Conditions;
use crate::consent::{Consent, Policy};
use crate::digest::Digest;
use crate::key::KeyFinding;
use crate::lock::Network;
use crate::manifest::{PathChange, StateChange};
use crate::name::{CellId, RunId, StepRef, TargetId, Variant};
use crate::outcome::{OutcomeKind, Phase, Reason};
use crate::package::PackageCame;
use crate::plan::{OpId, Plan};
use crate::program::{HarnessEnv, Pass};
use crate::source::Location;
use crate::trace::{TraceGap, TracedCall, TracedProgram};

/// One line of a journal. The executor sends bodies only; the runner alone adds the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// [`crate::PROTOCOL`].
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// The cell; `None` for facts of the whole run.
    pub cell: Option<CellId>,
    /// Position in the journal, from 0, without gaps.
    pub seq: u64,
    /// Milliseconds since the run started, by a clock that never goes back.
    pub t: u64,
    /// Who observed it.
    pub origin: Origin,
    /// The fact.
    pub body: Body,
}

/// Who observed a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The runner, on the host.
    Runner,
    /// The executor, inside the sandbox.
    Executor,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// The first line of every journal.
    RunStarted(RunStarted),
    /// A cell is part of the run; everything a report needs to know of it beforehand.
    CellPlanned(Box<CellPlanned>),
    /// A cell is tried; facts of an earlier attempt no longer count.
    AttemptStarted {
        /// 1 for the first.
        attempt: u32,
    },
    /// Declared content is verified and at hand.
    ContentReady(ContentReady),
    /// Declared content is not to be had as declared.
    ContentRefused(ContentRefused),
    /// A sandbox runs and its executor has introduced itself.
    SandboxStarted(SandboxStarted),
    /// A fact observed inside the sandbox.
    Executor(ExecutorEvent),
    /// What an op printed.
    Output(Output),
    /// What changed since the manifest before.
    Manifest(Manifest),
    /// Who did what during an op.
    Trace(Trace),
    /// A connection left the sandbox, or was refused.
    Request(Request),
    /// A package came into the sandbox; told once for each, when nothing runs in it any more.
    Package(Box<PackageCame>),
    /// The engine's own list of changed paths was compared with the manifests.
    CrossChecked(CrossChecked),
    /// An attempt broke off for a cause outside the recipe.
    AttemptFailed(AttemptFailed),
    /// The sandbox of an attempt could not be removed.
    SandboxLeft(SandboxLeft),
    /// The last fact of a cell.
    CellEnded(CellEnded),
    /// The last fact of a run.
    RunEnded {
        /// True if a signal ended it.
        interrupted: bool,
    },
}

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunStarted {
    /// Version of the harness.
    pub harness: String,
    /// Start by the wall clock, RFC 3339 in UTC.
    pub started: String,
    /// The command line that repeats the run, without the program's name.
    pub arguments: Vec<String>,
    /// The project's root as the user would name it, `None` outside a project.
    pub project: Option<String>,
    /// True if cells whose needs are unmet do not count.
    pub allow_unmet_needs: bool,
    /// Where what the sandboxes ask for comes from.
    pub network: Network,
    /// What was granted; `None` outside a project, where consents are not judged.
    pub consents: Option<ConsentBasis>,
}

/// What consents are judged by: the ledger and the policy as they were when the run started, and the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConsentBasis {
    /// The entries of the ledger, in its order.
    pub ledger: Vec<Consent>,
    /// `[policy]` of the project.
    pub policy: Policy,
    /// The day, as `YYYY-MM-DD`.
    pub today: String,
}

/// Everything known of a cell before it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CellPlanned {
    /// The whole plan.
    pub plan: Plan,
    /// What the harness adds.
    pub harness: HarnessEnv,
    /// Where each step stands.
    pub locations: Vec<StepLocation>,
    /// The image; `None` if the target has none here.
    pub image: Option<Image>,
    /// What is captured.
    pub capture: Capture,
    /// What it runs under.
    pub conditions: Conditions,
    /// What `expected.toml` says of it.
    pub expected: Option<Expected>,
    /// How its plan compares with its snapshot.
    pub snapshot: SnapshotFinding,
}

/// Where a step stands in its recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StepLocation {
    /// The step.
    pub step: StepRef,
    /// Its place.
    pub location: Location,
}

/// The image of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The target it stands for.
    pub target: TargetId,
    /// Which variant.
    pub variant: Variant,
    /// The engine's id of it, with its digest.
    pub id: String,
    /// Where it came from.
    pub kind: ImageKind,
    /// What to know of it, such as that a lab image carries another manager than the target.
    pub note: Option<String>,
}

/// Where an image came from. A lab result is never shown as a genuine one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ImageKind {
    /// Pulled from a registry by digest.
    Registry,
    /// Built from the distribution's own signed archive.
    Bootstrap,
    /// A stand-in built by the lab.
    Lab,
    /// A given tarball with a given digest.
    Tarball,
}

/// What a run captures of privileged operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// Manifests after every op, and a trace of who did what where the engine gives what that takes.
    Manifest,
    /// Manifests after every op and a trace: a cell without one fails.
    Trace,
}

/// What `expected.toml` says of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The outcome.
    pub outcome: OutcomeKind,
    /// The phase, if given.
    pub phase: Option<Phase>,
    /// The reason, if given.
    pub reason: Option<Reason>,
    /// Where more is said of it, such as an issue, if given.
    pub link: Option<String>,
    /// True if the row's date of expiry lies before the run's start: the row no longer counts.
    pub expired: bool,
    /// What the cell needs that may not be there, such as `host:download.docker.com`.
    pub needs: Vec<String>,
}

/// How a plan compares with its snapshot. Judged only inside a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SnapshotFinding {
    /// Outside a project, or for a set that has no snapshot of its own.
    NotJudged,
    /// They are the same.
    Same,
    /// There is no snapshot.
    Missing,
    /// They differ; a unified diff from the snapshot to the plan.
    Different {
        /// The diff.
        diff: String,
    },
}

/// Declared content that is verified and at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContentReady {
    /// The step that names it.
    pub step: StepRef,
    /// Where it came from.
    pub url: String,
    /// Its hash, declared and found.
    pub sha256: Digest,
    /// Its size.
    pub bytes: u64,
    /// True if nothing had to be fetched.
    pub stored: bool,
    /// What is wrong with it and no reason to refuse it, where it is a repository's key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<KeyFinding>,
}

/// Declared content that is not to be had as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContentRefused {
    /// The step that names it.
    pub step: StepRef,
    /// Where it should have come from.
    pub url: String,
    /// What it should have been.
    pub expected: Digest,
    /// What came instead; `None` if nothing came.
    pub actual: Option<Digest>,
    /// Where the evidence is kept, as the user would name it.
    pub evidence: Option<String>,
    /// What was wrong, in words.
    pub message: String,
    /// Why a repository's key is refused although its bytes are the declared ones; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<KeyFinding>,
}

/// A sandbox that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SandboxStarted {
    /// What runs it, such as `docker 20.10.24`.
    pub engine: String,
    /// Its name there.
    pub sandbox: String,
    /// sha256 of the executor, as it read itself and as the runner sent it.
    pub executor_sha256: Digest,
    /// Milliseconds from asking for it to its `Hello`.
    pub start_ms: u64,
}

/// A fact observed inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ExecutorEvent {
    /// systemd runs as PID 1 and is done starting; told before `Ready`, and only by a sandbox that
    /// was started for that.
    Booted {
        /// Which, as it names itself, such as `systemd 257 (257.7-1)`.
        systemd: String,
        /// `running`, or `degraded` if a unit failed (systemctl(1), `is-system-running`).
        state: String,
        /// Milliseconds from its execution.
        ms: u64,
    },
    /// systemd did not come up as PID 1: nothing is performed, the session ends.
    NotBooted {
        /// Why, in words.
        message: String,
    },
    /// The program is accepted and the sandbox prepared.
    Ready {
        /// The user's id: the first free one from 1000.
        uid: u32,
        /// The user's group.
        gid: u32,
        /// True if the user had to be added.
        user_added: bool,
        /// True if `/etc/hosts` was empty, or a mount of the engine's, and got the lines of loopback.
        /// These two are all the harness writes.
        hosts_added: bool,
        /// The capabilities that tracing would take and the sandbox has not, by the names of
        /// capabilities(7): what runs is traced if none is missing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        untraced: Vec<String>,
        /// The addresses that stand in the image's own repository files, at most 1000.
        addresses: Vec<String>,
        /// The image's users and groups by their numbers, at most 1000 each, those of the harness included:
        /// of several names of a number the first.
        #[serde(default)]
        users: BTreeMap<u32, String>,
        /// The groups.
        #[serde(default)]
        groups: BTreeMap<u32, String>,
    },
    /// The guard of an op was asked.
    GuardAsked {
        /// The op.
        op: OpId,
        /// Which apply.
        pass: Pass,
        /// True if it held and the op is skipped.
        held: bool,
        /// Milliseconds.
        ms: u64,
    },
    /// An op begins.
    OpStarted {
        /// The op.
        op: OpId,
        /// Which apply.
        pass: Pass,
        /// The effective words, with the harness's; empty for a write.
        argv: Vec<String>,
    },
    /// An op has ended, its output streams are closed.
    OpFinished {
        /// The op.
        op: OpId,
        /// Which apply.
        pass: Pass,
        /// How.
        ending: Ending,
        /// Milliseconds from its start.
        ms: u64,
    },
    /// A manifest was taken and its stream closed.
    ManifestTaken {
        /// How many objects were walked.
        entries: u64,
        /// How many bytes were hashed (the rest was known by inode, ctime and size).
        hashed: u64,
        /// How many lines were left out beyond [`crate::manifest::MAX_LINES`].
        omitted: u64,
        /// How many objects could not be read, such as a file that vanished in between.
        unreadable: u64,
        /// Mount points of other file systems that were walked, such as tmpfs.
        mounts: Vec<String>,
        /// Milliseconds.
        ms: u64,
    },
    /// Something in the executor's own work went wrong: the session is of no use.
    Broken {
        /// What.
        message: String,
    },
}

/// Who did what since the op before: an op's own programs, the questions asked in between, and what
/// earlier ops left running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// The op.
    pub op: OpId,
    /// Which apply.
    pub pass: Pass,
    /// How much was told, with all repetitions.
    pub events: u64,
    /// Programs that began, by id.
    pub programs: Vec<TracedProgram>,
    /// What they, and those of earlier ops, asked for, sorted.
    pub calls: Vec<TracedCall>,
    /// What is not known, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<TraceGap>,
}

/// How an op ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ending {
    /// The command exited.
    Exited(i32),
    /// A signal ended the command.
    Signalled(i32),
    /// The command could not be started: `NotFound` on the PATH, or something else.
    NotStarted {
        /// True if no such command is on the PATH.
        not_found: bool,
        /// The error in words.
        message: String,
    },
    /// A limit was passed and the process tree killed.
    Limit(Limit),
    /// The file was written.
    Written {
        /// False if it already was as wanted.
        changed: bool,
    },
    /// The file could not be written.
    NotWritten {
        /// The error in words.
        message: String,
    },
}

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Wall-clock time.
    Time,
    /// Wall-clock time of the whole cell; the runner's word, never the executor's.
    CellTime,
    /// Time without output.
    Silence,
    /// Bytes printed.
    Output,
    /// Bytes written to storage.
    Written,
}

/// What an op printed, bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The op.
    pub op: OpId,
    /// Which apply.
    pub pass: Pass,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
}

/// A channel's bytes: all of them if there are few, else the first and the last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Captured {
    /// How many bytes came.
    pub bytes: u64,
    /// The first bytes, at most [`Captured::KEPT`], invalid UTF-8 replaced. Not sanitised: a
    /// reporter does that.
    pub head: String,
    /// The last bytes after those left out, likewise; empty if nothing was left out.
    pub tail: String,
    /// How many bytes between head and tail were left out.
    pub omitted: u64,
    /// Which of the op's failure lines were seen anywhere, in the order of the op.
    pub matched: Vec<String>,
}

impl Captured {
    /// Bytes kept at either end.
    pub const KEPT: usize = 32 << 10;
}

/// What changed since the manifest before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What was done since the manifest before.
    pub after: ManifestPoint,
    /// Changed paths, sorted by path.
    pub paths: Vec<PathChange>,
    /// Changed lines of probes, sorted.
    pub states: Vec<StateChange>,
}

/// What a manifest follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ManifestPoint {
    /// Nothing: the first.
    Baseline,
    /// One op of the first apply.
    Op(OpId),
    /// The whole second apply.
    SecondApply,
}

/// A request of the sandbox to the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The op that ran, if one did.
    pub op: Option<OpId>,
    /// `GET`, `CONNECT`, …
    pub method: String,
    /// The URL, or `host:port` of a tunnel; sanitised, at most 2 KiB.
    pub url: String,
    /// Who asked, as far as the sandbox could tell.
    pub asker: Option<Asker>,
    /// What became of it.
    pub decision: RequestDecision,
    /// The status answered.
    pub status: u16,
    /// Bytes of body sent to the sandbox.
    pub bytes: u64,
    /// What they hash to, where all of a body was sent; `None` for a tunnel, whose bytes are not
    /// seen, and for a body that broke off.
    pub sha256: Option<Digest>,
    /// What they would hash to by the lock; `None` where it holds no body for this URL.
    pub locked: Option<Digest>,
    /// Milliseconds.
    pub ms: u64,
}

impl Request {
    /// True if what came is not what was recorded.
    #[must_use]
    pub fn has_drifted(&self) -> bool {
        matches!((self.sha256, self.locked), (Some(came), Some(locked)) if came != locked)
    }
}

/// The process behind a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Asker {
    /// The user its socket belongs to.
    pub uid: u32,
    /// What it calls itself (proc(5), `comm`), sanitised, at most 64 bytes; `None` where several
    /// processes of that user could be meant.
    pub program: Option<String>,
}

/// What the proxy did with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RequestDecision {
    /// Answered from the lab's repositories.
    Served,
    /// Forwarded to its host, and answered with what came back.
    Forwarded,
    /// Answered from the lock and the content store.
    Replayed,
    /// Tunnelled without looking inside.
    Tunnelled,
    /// Refused.
    Refused {
        /// Why.
        reason: String,
    },
    /// The request was passed on, and what came back was refused: it leads from https down to http.
    AnswerRefused {
        /// Why.
        reason: String,
    },
    /// The other side could not be reached.
    Failed {
        /// Why.
        reason: String,
    },
    /// Not in the lock, or not in the content store any more, where nothing else may answer.
    Missed {
        /// What is missing.
        reason: String,
    },
}

/// The engine's own list of changed paths against the manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CrossChecked {
    /// How many paths the engine listed.
    pub listed: u64,
    /// Paths the engine lists as changed that no manifest saw change, escaped; at most 1000.
    pub unseen: Vec<String>,
}

/// A sandbox that could not be removed; the next run's sweep tries again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SandboxLeft {
    /// Its name at its engine.
    pub sandbox: String,
    /// Why.
    pub message: String,
}

/// An attempt that broke off for a cause outside the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AttemptFailed {
    /// What broke.
    pub cause: InfraCause,
    /// In words.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// True if another attempt follows.
    pub retried: bool,
}

/// What broke outside the recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum InfraCause {
    /// The engine does not answer.
    EngineUnreachable,
    /// The engine died while it ran the sandbox.
    EngineDied,
    /// The engine refused or failed.
    EngineRefused,
    /// The target's image is not there.
    ImageMissing,
    /// The sandbox ended, or its stream was cut or damaged.
    SandboxLost,
    /// A host could not be reached.
    HostUnreachable,
    /// The disk of the host is full or failing.
    HostStorage,
    /// Something was asked for that no recording holds, where nothing else may answer.
    NotRecorded,
}

/// How a cell ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CellEnded {
    /// The program ran as far as it could; `observe` judges.
    Finished,
    /// Every attempt broke off.
    GaveUp,
    /// It was not started.
    NotRun {
        /// Why.
        because: String,
    },
    /// The run was interrupted.
    Cancelled,
}
