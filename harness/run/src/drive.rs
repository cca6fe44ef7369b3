//! One sandbox driven through one program: what arrives is written to the journal, and after every
//! op the next directive is chosen. Facts are recorded here, never judged: the only questions asked
//! of `observe` are whether to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use assay_content::proxy::{Names, PeerInfo};
use assay_observe::{judge_presence, op_failed};
use assay_sandbox::session::{Change, ChangeKind, Channel as Stream};
use assay_wire::PROTOCOL;
use assay_wire::control::{Channel, Directive, Hello, Purpose, ToExecutor, ToRunner};
use assay_wire::digest::Digest;
use assay_wire::event::{
    Body, Captured, CrossChecked, Ending, ExecutorEvent, Limit, ManifestPoint, Origin, Output,
};
use assay_wire::manifest::{self, escape_path};
use assay_wire::name::CellId;
use assay_wire::package::merged_path;
use assay_wire::plan::{Disposition, Expects, Op, OpId, Plan};
use assay_wire::program::{HARNESS_FOLDER, HarnessEnv, Pass, Program, ProgramOp};
use assay_wire::trace;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::journal::Journal;
use crate::keyrings::Keyrings;
use crate::link::{Incoming, Link};
use crate::manifest::{ManifestReader, NetChanges, TraceReader};
use crate::output::Capture;
use crate::packages::{Arrivals, Given};
use crate::peer::{Missed, add_repositories, asking};
use crate::program::{failure_lines, program_of};

/// How long the executor may take to introduce itself, to prepare, or to take a manifest.
const ANSWER: Duration = Duration::from_secs(120);

/// How long past an op's own time limit the runner waits for the executor to enforce it.
const GRACE: Duration = Duration::from_secs(60);

/// Most paths of a comparison that are recorded.
const MAX_UNSEEN: usize = 1000;

/// Serves one connection of the sandbox: the proxy, with a place to report requests to.
pub(crate) type ServeConnection = Arc<dyn Fn(tokio::io::DuplexStream, PeerInfo) + Send + Sync>;

/// The driver of one attempt of one cell.
pub(crate) struct Driver {
    cell: CellId,
    journal: Arc<Journal>,
    serve: ServeConnection,
    peer: PeerInfo,
    names: Names,
    missed: Missed,
    came: Arrivals,
    deadline: Instant,
    link: Link,
    arrivals: mpsc::Receiver<Incoming>,
    outputs: BTreeMap<u32, (Channel, Capture)>,
    manifests: BTreeMap<u32, ManifestReader>,
    traces: BTreeMap<u32, ((OpId, Pass, u64), TraceReader)>,
    keyrings: Keyrings,
    finished: Finished,
    running: Option<(OpId, Pass, Instant)>,
    needles: BTreeMap<OpId, Vec<String>>,
    net: NetChanges,
    changed: BTreeSet<String>,
    ready: bool,
    /// False if no manifest is taken.
    pub(crate) captures: bool,
}

/// What closed streams left behind until the event that follows them.
#[derive(Default)]
struct Finished {
    stdout: Captured,
    stderr: Captured,
    manifest: Option<ManifestReader>,
}

/// Whether a program's sandbox still answers after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Its changes can be compared.
    Yes,
    /// It let a limit of its own pass: nothing it says counts any more.
    No,
}

/// How an op went.
pub(crate) struct OpEnd {
    skipped: bool,
    answers: Answers,
    /// `None` if its guard held.
    pub(crate) ending: Option<Ending>,
    /// What it printed.
    pub(crate) stdout: Captured,
    /// What it printed as errors.
    pub(crate) stderr: Captured,
}

impl Driver {
    /// Takes over a session's channel. Beside these hosts the sandbox may ask those that its image's
    /// own repository files name.
    pub(crate) fn new(
        cell: CellId,
        journal: Arc<Journal>,
        (serve, names): (ServeConnection, Names),
        deadline: Instant,
        channel: Stream,
    ) -> Self {
        let (link, arrivals) = Link::start(channel.reader, channel.writer);
        let (peer, missed, came) = asking(&journal, &cell, &names);
        Self {
            cell,
            journal,
            serve,
            peer,
            names,
            missed,
            came,
            deadline,
            link,
            arrivals,
            outputs: BTreeMap::new(),
            manifests: BTreeMap::new(),
            traces: BTreeMap::new(),
            keyrings: Keyrings::default(),
            finished: Finished::default(),
            running: None,
            needles: BTreeMap::new(),
            net: NetChanges::default(),
            changed: BTreeSet::new(),
            ready: false,
            captures: true,
        }
    }

    /// Waits for the executor's `Hello` and checks who speaks.
    pub(crate) async fn hello(&mut self, sent: Digest) -> Result<Hello, Fault> {
        match self.message(ANSWER).await? {
            ToRunner::Hello(hello) if hello.protocol != PROTOCOL => Err(Fault::lost(format!(
                "the executor speaks protocol {}, not {PROTOCOL}",
                hello.protocol
            ))),
            ToRunner::Hello(hello) if hello.executor_sha256 != sent => Err(Fault::lost(
                "the executor that answers is not the one that was sent".into(),
            )),
            ToRunner::Hello(hello) => Ok(hello),
            other @ (ToRunner::Event(_)
            | ToRunner::Open(_)
            | ToRunner::Credit(_)
            | ToRunner::Close(_)
            | ToRunner::Goodbye) => Err(unexpected("`Hello`", &other)),
        }
    }

    /// Sends verified bytes; returns once the executor has checked them.
    pub(crate) async fn send_blob(&mut self, sha256: Digest, bytes: Vec<u8>) -> Result<(), Fault> {
        let (_, mut end) = self.link.open(Purpose::Blob {
            sha256,
            bytes: bytes.len() as u64,
        });
        let sent = async {
            end.write_all(&bytes).await?;
            end.shutdown().await?;
            end.read_to_end(&mut Vec::new()).await
        };
        match tokio::time::timeout(ANSWER, sent).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Fault::lost(format!(
                "the executor did not take the bytes `{sha256}`: {error}"
            ))),
            Err(_) => Err(Fault::lost(format!(
                "the executor did not take the bytes `{sha256}` in time"
            ))),
        }
    }

    /// Runs a plan to where it goes: all of it, or to the op that decides.
    pub(crate) async fn run(
        &mut self,
        plan: &Plan,
        harness: &HarnessEnv,
        certificate: Option<String>,
    ) -> Result<Answers, Fault> {
        let runs = program_of(plan);
        self.send_program(Program {
            harness: harness.clone(),
            certificate,
            becomes_image: false,
            runs: runs.clone(),
        })
        .await?;
        self.manifest(ManifestPoint::Baseline).await?;

        let manual_after = plan.steps.iter().find_map(|step| match step.disposition {
            Disposition::Manual { after, .. } => Some(after),
            Disposition::Applies | Disposition::Dropped { .. } => None,
        });
        let (mut unmet, mut failed_verification, mut second_ran) = (false, false, false);
        for (index, ProgramOp { pass, op }) in runs.iter().enumerate() {
            if *pass == Pass::Second && failed_verification {
                break;
            }
            self.needles.insert(op.id, failure_lines(op));
            let end = self.perform(op, *pass).await?;
            let Some(ending) = &end.ending else { continue };
            if end.answers == Answers::No {
                return Ok(Answers::No);
            }
            // Taken before the op is judged: what a failed op did is part of the record, too.
            if *pass == Pass::Second {
                second_ran = true;
            } else if !end.skipped {
                self.manifest(ManifestPoint::Op(op.id)).await?;
            }
            match &op.expects {
                Expects::Success { .. } => {
                    if op_failed(op, ending, &end.stdout, &end.stderr) {
                        if *pass == Pass::Second {
                            self.manifest(ManifestPoint::SecondApply).await?;
                        }
                        return self.stop().await;
                    }
                }
                Expects::Requirement(presence) => {
                    unmet |= !judge_presence(presence, ending, &end.stdout, &end.stderr).met();
                    let last = !matches!(
                        runs.get(index + 1),
                        Some(ProgramOp {
                            op: Op {
                                expects: Expects::Requirement(_),
                                ..
                            },
                            ..
                        })
                    );
                    if last && unmet {
                        return self.stop().await;
                    }
                }
                Expects::Command(_) | Expects::Evidence(_) | Expects::Check { .. } => {
                    // What a human was to do before it was not done: it is not judged, and says
                    // nothing about going on.
                    let judged = manual_after.is_none_or(|after| op.id.0 <= after);
                    failed_verification |=
                        judged && op_failed(op, ending, &end.stdout, &end.stderr);
                }
            }
        }
        let repeats = runs.iter().any(|run| run.pass == Pass::Second);
        if repeats && (second_ran || !failed_verification) {
            self.manifest(ManifestPoint::SecondApply).await?;
        }
        self.stop().await
    }

    /// Ends the program and waits until nothing runs in the sandbox any more: what a left daemon
    /// writes while the engine is asked for its list would be a change that no manifest saw.
    pub(crate) async fn stop(&mut self) -> Result<Answers, Fault> {
        self.link.send(&ToExecutor::Directive(Directive::Stop));
        match self.message(ANSWER).await? {
            ToRunner::Goodbye => Ok(Answers::Yes),
            other @ (ToRunner::Hello(_)
            | ToRunner::Event(_)
            | ToRunner::Open(_)
            | ToRunner::Credit(_)
            | ToRunner::Close(_)) => Err(unexpected("`Goodbye`", &other)),
        }
    }

    /// What was asked for first and is in no recording, where nothing else may answer.
    pub(crate) fn missed(&self) -> Option<String> {
        self.missed.first()
    }

    /// The files of keys that the image's own managers trust, by their paths: what the sandbox said of
    /// itself before anything was performed.
    #[cfg(test)]
    pub(crate) fn keyrings(&self) -> &BTreeMap<String, Vec<u8>> {
        self.keyrings.files()
    }

    /// What the sandbox was given until now, for whoever reads packages.
    pub(crate) fn given(self, plan: &Plan, now: u64) -> Given {
        Given {
            arrived: self.came.so_far(),
            declared: plan.content.clone(),
            keyrings: self.keyrings.into_files(),
            changed: self.changed,
            now,
        }
    }

    /// True once the sandbox has said that it is prepared.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Sends a program and waits until the sandbox is prepared, and booted where it boots.
    pub(crate) async fn send_program(&mut self, program: Program) -> Result<(), Fault> {
        let manager_trusts = program.harness.manager_trusts;
        self.link.send(&ToExecutor::Program(Box::new(program)));
        let mut event = self.event(ANSWER).await?;
        if matches!(event, ExecutorEvent::Booted { .. }) {
            event = self.event(ANSWER).await?;
        }
        match event {
            ExecutorEvent::Ready { addresses, .. } => {
                add_repositories(&self.names, &addresses, manager_trusts);
                self.keyrings.shut();
                self.ready = true;
                Ok(())
            }
            ExecutorEvent::NotBooted { message } => Err(Fault::not_booted(message)),
            other @ (ExecutorEvent::Booted { .. }
            | ExecutorEvent::GuardAsked { .. }
            | ExecutorEvent::OpStarted { .. }
            | ExecutorEvent::OpFinished { .. }
            | ExecutorEvent::ManifestTaken { .. }
            | ExecutorEvent::Broken { .. }) => Err(Fault::lost(format!(
                "it reported {other:?} instead of being ready"
            ))),
        }
    }

    /// The link, for streams beside the program.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Keeps serving whatever arrives until the link is gone: for a shell, whose streams live
    /// outside the program.
    pub(crate) async fn serve_until_gone(&mut self) {
        while let Ok(message) = self.message(Duration::MAX).await {
            if matches!(message, ToRunner::Goodbye) {
                return;
            }
        }
    }

    /// Compares the engine's own list of what came and went with what the manifests saw.
    pub(crate) fn cross_check(&self, listed: &[Change]) -> Result<(), Fault> {
        let unseen = listed
            .iter()
            .filter(|change| !change.path.starts_with(HARNESS_FOLDER))
            .filter(|change| match change.kind {
                ChangeKind::Added => !self.net.came(&change.path),
                ChangeKind::Deleted => !self.net.went(&change.path),
                // An engine lists what was opened for writing as modified, changed or not.
                ChangeKind::Modified => false,
            })
            .map(|change| escape_path(change.path.as_bytes()))
            .take(MAX_UNSEEN)
            .collect();
        self.record(
            Origin::Runner,
            Body::CrossChecked(CrossChecked {
                listed: listed.len() as u64,
                unseen,
            }),
        )
    }

    /// Lets the executor perform the next op and waits until it has.
    pub(crate) async fn perform(&mut self, op: &Op, pass: Pass) -> Result<OpEnd, Fault> {
        self.link.send(&ToExecutor::Directive(Directive::Continue));
        let own = Duration::from_secs(u64::from(op.limits.seconds)) + GRACE;
        self.running = Some((op.id, pass, Instant::now()));
        loop {
            let event = match self.event(own).await {
                Err(Fault::Silent) => return self.out_of_time(op.id, pass, Limit::Time),
                Err(Fault::OutOfTime) => return self.out_of_time(op.id, pass, Limit::CellTime),
                other => other?,
            };
            match event {
                ExecutorEvent::GuardAsked {
                    op: id, held: true, ..
                } if id == op.id => {
                    self.running = None;
                    return Ok(OpEnd {
                        skipped: true,
                        answers: Answers::Yes,
                        ending: None,
                        stdout: Captured::default(),
                        stderr: Captured::default(),
                    });
                }
                ExecutorEvent::GuardAsked {
                    op: id,
                    held: false,
                    ..
                } if id == op.id => {}
                ExecutorEvent::OpStarted { op: id, .. } if id == op.id => {}
                ExecutorEvent::OpFinished {
                    op: id,
                    pass: reported,
                    ending,
                    ..
                } if id == op.id && reported == pass => {
                    self.running = None;
                    let (stdout, stderr) = self.printed(id, pass)?;
                    return Ok(OpEnd {
                        skipped: false,
                        answers: Answers::Yes,
                        ending: Some(ending),
                        stdout,
                        stderr,
                    });
                }
                other @ (ExecutorEvent::Ready { .. }
                | ExecutorEvent::Booted { .. }
                | ExecutorEvent::NotBooted { .. }
                | ExecutorEvent::GuardAsked { .. }
                | ExecutorEvent::OpStarted { .. }
                | ExecutorEvent::OpFinished { .. }
                | ExecutorEvent::ManifestTaken { .. }
                | ExecutorEvent::Broken { .. }) => {
                    return Err(Fault::lost(format!(
                        "it reported {other:?} while op {} was running",
                        op.id
                    )));
                }
            }
        }
    }

    /// A limit has passed and the executor has not said so: the runner does in its place.
    fn out_of_time(&mut self, op: OpId, pass: Pass, limit: Limit) -> Result<OpEnd, Fault> {
        let started = self
            .running
            .take()
            .map_or_else(Instant::now, |(_, _, started)| started);
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        for (channel, capture) in std::mem::take(&mut self.outputs).into_values() {
            self.finished.put(channel, capture);
        }
        let ending = Ending::Limit(limit);
        let event = ExecutorEvent::OpFinished {
            op,
            pass,
            ending: ending.clone(),
            ms,
        };
        self.record(Origin::Runner, Body::Executor(event))?;
        let (stdout, stderr) = self.printed(op, pass)?;
        Ok(OpEnd {
            skipped: false,
            answers: Answers::No,
            ending: Some(ending),
            stdout,
            stderr,
        })
    }

    /// What an op that is over has printed, written down.
    fn printed(&mut self, op: OpId, pass: Pass) -> Result<(Captured, Captured), Fault> {
        let stdout = std::mem::take(&mut self.finished.stdout);
        let stderr = std::mem::take(&mut self.finished.stderr);
        let output = Output {
            op,
            pass,
            stdout: stdout.clone(),
            stderr: stderr.clone(),
        };
        self.record(Origin::Runner, Body::Output(output))?;
        Ok((stdout, stderr))
    }

    /// Has a manifest taken and records what it shows.
    async fn manifest(&mut self, after: ManifestPoint) -> Result<(), Fault> {
        if !self.captures {
            return Ok(());
        }
        self.link.send(&ToExecutor::Directive(Directive::Manifest));
        match self.event(ANSWER).await? {
            ExecutorEvent::ManifestTaken { .. } => {}
            other @ (ExecutorEvent::Ready { .. }
            | ExecutorEvent::Booted { .. }
            | ExecutorEvent::NotBooted { .. }
            | ExecutorEvent::GuardAsked { .. }
            | ExecutorEvent::OpStarted { .. }
            | ExecutorEvent::OpFinished { .. }
            | ExecutorEvent::Broken { .. }) => {
                return Err(Fault::lost(format!(
                    "it reported {other:?} instead of a manifest"
                )));
            }
        }
        let none = || ManifestReader::new("manifest", 0);
        let reader = self.finished.manifest.take().unwrap_or_else(none);
        let manifest = reader.finish(after).map_err(Fault::lost)?;
        self.net.add(&manifest.paths);
        let paths = manifest.paths.iter();
        self.changed
            .extend(paths.map(|change| merged_path(&change.path).into_owned()));
        self.record(Origin::Runner, Body::Manifest(manifest))
    }

    /// The next fact, written down.
    async fn event(&mut self, patience: Duration) -> Result<ExecutorEvent, Fault> {
        match self.message(patience).await? {
            ToRunner::Event(event) => {
                self.record(Origin::Executor, Body::Executor(event.clone()))?;
                match event {
                    ExecutorEvent::Broken { message } => Err(Fault::lost(message)),
                    event @ (ExecutorEvent::Ready { .. }
                    | ExecutorEvent::Booted { .. }
                    | ExecutorEvent::NotBooted { .. }
                    | ExecutorEvent::GuardAsked { .. }
                    | ExecutorEvent::OpStarted { .. }
                    | ExecutorEvent::OpFinished { .. }
                    | ExecutorEvent::ManifestTaken { .. }) => Ok(event),
                }
            }
            other @ (ToRunner::Hello(_)
            | ToRunner::Open(_)
            | ToRunner::Credit(_)
            | ToRunner::Close(_)
            | ToRunner::Goodbye) => Err(unexpected("an event", &other)),
        }
    }

    /// The next message; streams are handled on the way.
    async fn message(&mut self, patience: Duration) -> Result<ToRunner, Fault> {
        let deadline = Instant::now()
            .checked_add(patience)
            .map_or(self.deadline, |end| end.min(self.deadline));
        loop {
            let arrived = tokio::time::timeout_at(deadline, self.arrivals.recv()).await;
            match arrived {
                Err(_) if deadline == self.deadline => return Err(Fault::OutOfTime),
                Err(_) => return Err(Fault::Silent),
                Ok(None) => return Err(Fault::lost("the sandbox's stream has ended".into())),
                Ok(Some(Incoming::Gone(error))) => return Err(Fault::lost(error.to_string())),
                Ok(Some(Incoming::Message(message))) => return Ok(message),
                Ok(Some(Incoming::Opened(stream, purpose))) => self.opened(stream, purpose)?,
                Ok(Some(Incoming::Bytes(stream, bytes))) => {
                    if let Some((_, capture)) = self.outputs.get_mut(&stream) {
                        capture.push(&bytes);
                    } else if let Some(reader) = self.manifests.get_mut(&stream) {
                        reader.push(&bytes).map_err(Fault::lost)?;
                    } else if let Some((_, reader)) = self.traces.get_mut(&stream) {
                        reader.push(&bytes).map_err(Fault::lost)?;
                    } else {
                        self.keyrings.push(stream, &bytes).map_err(Fault::lost)?;
                    }
                    self.link.consumed(stream, bytes.len());
                }
                Ok(Some(Incoming::Closed(stream, error))) => {
                    if let Some(error) = error {
                        return Err(Fault::lost(format!("one of its streams broke: {error}")));
                    }
                    self.keyrings.close(stream);
                    if let Some((channel, capture)) = self.outputs.remove(&stream) {
                        self.finished.put(channel, capture);
                    }
                    if let Some(reader) = self.manifests.remove(&stream) {
                        self.finished.manifest = Some(reader);
                    }
                    if let Some(((op, pass, events), reader)) = self.traces.remove(&stream) {
                        let trace = reader.finish(op, pass, events).map_err(Fault::lost)?;
                        self.record(Origin::Executor, Body::Trace(trace))?;
                    }
                }
                Ok(Some(Incoming::Connection(purpose, end))) => self.connect(purpose, end),
            }
        }
    }

    fn opened(&mut self, stream: u32, purpose: Purpose) -> Result<(), Fault> {
        match purpose {
            Purpose::Output { op, channel, .. } => {
                let needles = self.needles.get(&op).map_or(&[][..], Vec::as_slice);
                self.outputs
                    .insert(stream, (channel, Capture::new(needles)));
            }
            Purpose::Manifest => {
                let reader = ManifestReader::new("manifest", manifest::MAX_LINES);
                self.manifests.insert(stream, reader);
            }
            Purpose::Trace { op, pass, events } => {
                let reader = TraceReader::new("trace", trace::MAX_LINES);
                self.traces.insert(stream, ((op, pass, events), reader));
            }
            Purpose::Keyring { path } => self.keyrings.open(stream, path).map_err(Fault::lost)?,
            Purpose::Connect { .. } | Purpose::Blob { .. } | Purpose::Pty { .. } => {}
        }
        Ok(())
    }

    fn connect(&self, purpose: Purpose, end: tokio::io::DuplexStream) {
        let peer = match purpose {
            Purpose::Connect { op, asker, trusts } => self.peer.during(op).asking(asker, trusts),
            Purpose::Output { .. }
            | Purpose::Manifest
            | Purpose::Trace { .. }
            | Purpose::Blob { .. }
            | Purpose::Keyring { .. }
            | Purpose::Pty { .. } => self.peer.clone(),
        };
        (self.serve)(end, peer);
    }

    fn record(&self, origin: Origin, body: Body) -> Result<(), Fault> {
        Ok(self.journal.append(Some(&self.cell), origin, body)?)
    }
}

impl Finished {
    fn put(&mut self, channel: Channel, capture: Capture) {
        match channel {
            Channel::Stdout => self.stdout = capture.finish(),
            Channel::Stderr => self.stderr = capture.finish(),
        }
    }
}

fn unexpected(wanted: &str, got: &ToRunner) -> Fault {
    Fault::lost(format!("it sent {got:?} instead of {wanted}"))
}
