//! One attempt of one cell: declared content is brought in, a sandbox started, the program driven,
//! the engine's list compared, the sandbox ended – whatever happens on the way.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use assay_content::fetch::{FetchError, Fetcher};
use assay_content::lab_hosts::LabError;
use assay_content::proxy::{Names, Proxy};
use assay_content::store::Store;
use assay_content::url::WebUrl;
use assay_observe::CellFolder;
use assay_sandbox::lease::OwnerId;
use assay_sandbox::session::{Backend, SandboxLimits, SandboxSpec, SandboxUse, Session};
use assay_wire::digest::Digest;
use assay_wire::event::{
    Body, CellEnded, CellPlanned, ContentReady, ContentRefused, Image, InfraCause, Origin,
    SandboxLeft, SandboxStarted,
};
use assay_wire::key::KeyFinding;
use assay_wire::lock::Network;
use assay_wire::name::CellId;
use assay_wire::outcome::OutcomeKind;
use assay_wire::plan::{Action, Content, Plan};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::drive::{Answers, Driver, ServeConnection};
use crate::fault::Fault;
use crate::journal::Journal;
use crate::keys::{self, Checked};
use crate::packages::{Given, PackageReader};

/// A cell to be run.
#[derive(Debug, Clone)]
pub struct CellJob {
    /// Its identity.
    pub cell: CellId,
    /// Everything a report needs to know of it.
    pub planned: CellPlanned,
    /// Why it is not to be started, if it is not.
    pub not_run: Option<String>,
}

/// What the cells of a run share.
pub struct Context {
    /// Where facts go.
    pub journal: Arc<Journal>,
    /// Where declared content is kept.
    pub store: Arc<Store>,
    /// How it is fetched.
    pub fetcher: Fetcher,
    /// Where what they ask for comes from.
    pub network: Network,
    /// Who answers the sandboxes' connections.
    pub proxy: Proxy,
    /// Who reads the packages that come.
    pub packages: PackageReader,
    /// The certificate it shows for what it intercepts, PEM.
    pub certificate: String,
    /// What starts sandboxes.
    pub backend: Backend,
    /// Whose sandboxes they are.
    pub owner: OwnerId,
    /// The executor's binary.
    pub executor: Arc<[u8]>,
    /// What bounds each sandbox.
    pub limits: SandboxLimits,
    /// What bounds each attempt.
    pub cell_time: Duration,
    /// False to see what capture costs: nothing is traced, no manifest is taken and no package read, each of
    /// which is a gap.
    pub captures: bool,
    /// True if the sandbox of a failed cell is stopped and kept.
    pub keep_failed: bool,
    /// Turns true when the run is interrupted.
    pub interrupted: watch::Receiver<bool>,
}

/// How often content is fetched that is no longer there when it is to be read.
const GONE_AGAIN: u32 = 3;

/// How an attempt ended without a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// As far as it goes.
    Finished,
    /// By an interruption.
    Cancelled,
}

impl Context {
    /// Makes one attempt.
    pub(crate) async fn attempt(self: &Arc<Self>, job: &CellJob) -> Result<AttemptEnd, Fault> {
        let plan = &job.planned.plan;
        let blobs = tokio::select! {
            blobs = self.bring_content(job) => blobs?,
            () = self.told_to_end() => return Ok(AttemptEnd::Cancelled),
        };
        let Some(blobs) = blobs else {
            return Ok(AttemptEnd::Finished);
        };
        if plan.ops.is_empty() {
            // Every step is a human's, or none applies here: there is nothing to start a sandbox for.
            return Ok(AttemptEnd::Finished);
        }
        let Some(image) = &job.planned.image else {
            return Err(Fault::ImageMissing {
                target: plan.target.clone(),
            });
        };
        let asked = Instant::now();
        let mut session = Session::start(&self.backend, &self.spec(job, image)).await?;
        let mut given = None;
        let driven = tokio::select! {
            driven = self.drive(job, &mut session, (blobs, &mut given), asked) => driven,
            () = self.told_to_end() => Ok(AttemptEnd::Cancelled),
        };
        let ending = async {
            if self.keep_failed {
                // What is kept depends on what its packages explain.
                let driven = self.tell_packages(job, driven, given).await;
                let ended = match self.has_failed(job, &driven) {
                    true => session.keep(SystemTime::now()).await.map(|_| ()),
                    false => session.close().await,
                };
                return (driven, ended);
            }
            tokio::join!(self.tell_packages(job, driven, given), session.close())
        };
        let (driven, ended) = ending.await;
        if let Err(error) = ended {
            // What the attempt showed counts more than how its sandbox went; the sweep gets it.
            let left = SandboxLeft {
                sandbox: session.name().to_owned(),
                message: explain_chain(&error),
            };
            self.record(job, Body::SandboxLeft(left))?;
        }
        driven
    }

    /// Reads the packages that came into a sandbox, in which nothing runs any more, and records them.
    async fn tell_packages(
        &self,
        job: &CellJob,
        driven: Result<AttemptEnd, Fault>,
        given: Option<Given>,
    ) -> Result<AttemptEnd, Fault> {
        let given = given.filter(|_| self.captures);
        let (Ok(AttemptEnd::Finished), Some(given)) = (&driven, given) else {
            return driven;
        };
        let read = tokio::select! {
            read = self.packages.read(given) => read?,
            () = self.told_to_end() => return Ok(AttemptEnd::Cancelled),
        };
        for package in read {
            self.record(job, Body::Package(Box::new(package)))?;
        }
        driven
    }

    /// Returns once the run is interrupted, or nothing can be recorded any more.
    pub(crate) async fn told_to_end(&self) {
        let mut interrupted = self.interrupted.clone();
        tokio::select! {
            // A sender that is gone never interrupts.
            Ok(_) = interrupted.wait_for(|now| *now) => {}
            () = self.journal.failed() => {}
        }
    }

    async fn drive(
        self: &Arc<Self>,
        job: &CellJob,
        session: &mut Session,
        (blobs, given): (Vec<(Digest, Vec<u8>)>, &mut Option<Given>),
        asked: Instant,
    ) -> Result<AttemptEnd, Fault> {
        let channel = session
            .channel()
            .ok_or_else(|| Fault::lost("its stream was taken before".into()))?;
        let deadline = far_from(Instant::now(), self.cell_time);
        let mut driver = Driver::new(
            job.cell.clone(),
            Arc::clone(&self.journal),
            (self.serve_connection(), names_of(&job.planned.plan)),
            deadline,
            channel,
        );
        driver.captures = self.captures;
        let driven = async {
            let hello = driver.hello(Digest::of(&self.executor)).await?;
            let started = SandboxStarted {
                engine: session.engine().to_owned(),
                sandbox: session.name().to_owned(),
                executor_sha256: hello.executor_sha256,
                start_ms: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            self.record(job, Body::SandboxStarted(started))?;
            for (sha256, bytes) in blobs {
                driver.send_blob(sha256, bytes).await?;
            }
            driver
                .run(
                    &job.planned.plan,
                    &job.planned.harness,
                    Some(self.certificate.clone()),
                )
                .await
        };
        let driven = driven.await;
        if let Some(message) = driver.missed() {
            // Whatever the recipe made of it: without that answer nothing was tested.
            return Err(Fault::NotRecorded { message });
        }
        match driven {
            Ok(Answers::Yes) => {}
            // What it changed since its last manifest is known to be unknown.
            Ok(Answers::No) => {
                *given = Some(driver.given(&job.planned.plan, seconds_since_1970()));
                return Ok(AttemptEnd::Finished);
            }
            Err(fault) => {
                let fault = self.explain(fault, session).await;
                let booting = job.planned.plan.boots && !driver.is_ready();
                if let (Fault::Lost { message }, true) = (&fault, booting) {
                    // Where PID 1 ends, so does everything: systemd has not told why.
                    let message =
                        format!("systemd did not start on {}: {message}", session.engine());
                    return Err(Fault::not_booted(message));
                }
                return Err(fault);
            }
        }
        if job.planned.plan.boots {
            // Units are systemd's, which no word of the executor's ends: the sandbox's end does.
            session.halt().await?;
        }
        let listed = session.changes().await?;
        driver.cross_check(&listed)?;
        *given = Some(driver.given(&job.planned.plan, seconds_since_1970()));
        Ok(AttemptEnd::Finished)
    }

    /// A lost sandbox is often a lost engine, or an executor that left last words.
    async fn explain(&self, fault: Fault, session: &Session) -> Fault {
        let Fault::Lost { message } = fault else {
            return fault;
        };
        let why = session.why_lost().await;
        if why.cause() != InfraCause::SandboxLost {
            return Fault::Sandbox(why);
        }
        match session.read_stderr_tail() {
            words if words.is_empty() => Fault::lost(format!("{message} ({why})")),
            words => Fault::lost(format!("{message} ({why}); its last words were: {words}")),
        }
    }

    /// Fetches what the plan names. `None`: something is not to be had as declared, which is
    /// recorded and decides the cell.
    async fn bring_content(&self, job: &CellJob) -> Result<Option<Vec<(Digest, Vec<u8>)>>, Fault> {
        let mut blobs = Vec::new();
        let mut refused = false;
        for content in &job.planned.plan.content {
            let stored = self.store.contains(&content.sha256);
            match self.fetch(content).await? {
                Ok((bytes, findings)) => {
                    let ready = ContentReady {
                        step: content.step.clone(),
                        url: content.url.clone(),
                        sha256: content.sha256,
                        bytes: bytes.len() as u64,
                        stored,
                        findings,
                    };
                    self.proxy
                        .note(&content.url, content.sha256, bytes.len() as u64);
                    self.record(job, Body::ContentReady(ready))?;
                    // Two steps may declare different things of the same bytes.
                    if blobs.iter().all(|(sent, _)| *sent != content.sha256) {
                        blobs.push((content.sha256, bytes));
                    }
                }
                Err(refusal) => {
                    refused = true;
                    self.record(job, Body::ContentRefused(refusal))?;
                }
            }
        }
        Ok((!refused).then_some(blobs))
    }

    /// Fetches one thing and checks it as what it must be: its bytes, and what is wrong with them and
    /// no reason to refuse them.
    async fn fetch(&self, content: &Content) -> Result<Result<Usable, ContentRefused>, Fault> {
        let away = matches!(self.network, Network::Replay | Network::None);
        if away && !self.store.contains(&content.sha256) {
            let message = format!(
                "`{}` ({}) is not in the content store, and this run has no network",
                content.url, content.sha256
            );
            return Err(Fault::NotRecorded { message });
        }
        let (fetcher, store) = (self.fetcher.clone(), Arc::clone(&self.store));
        let (url, sha256) = (content.url.clone(), content.sha256);
        let kind = content.kind.clone();
        let fetched = tokio::task::spawn_blocking(move || -> Result<_, FetchError> {
            for _ in 0..GONE_AGAIN {
                fetcher.fetch_verified(&url, &sha256, &store)?;
                let bytes = store.get(&sha256);
                // Somebody may prune the store at this very moment: what has gone is fetched again.
                if let Some(bytes) = bytes.map_err(|source| FetchError::Store {
                    url: url.clone(),
                    source,
                })? {
                    let checked = keys::check(&kind, &bytes, seconds_since_1970());
                    return Ok(Some((bytes, checked)));
                }
            }
            Ok(None)
        });
        let error = match fetched.await {
            Ok(Ok(Some((bytes, Checked::Used(findings))))) => return Ok(Ok((bytes, findings))),
            Ok(Ok(Some((_, Checked::Refused { findings, message })))) => {
                return Ok(Err(ContentRefused {
                    step: content.step.clone(),
                    url: content.url.clone(),
                    expected: content.sha256,
                    actual: Some(content.sha256),
                    evidence: None,
                    message,
                    findings,
                }));
            }
            Ok(Ok(None)) => {
                return Err(Fault::Storage {
                    message: format!("`{sha256}` is not in the store any more"),
                    hint: Some("something removes it faster than it can be read".to_owned()),
                });
            }
            Ok(Err(error)) => error,
            Err(panicked) => {
                return Err(Fault::lost(format!(
                    "fetching `{}` broke: {panicked}",
                    content.url
                )));
            }
        };
        let refused = |actual, evidence, message| ContentRefused {
            step: content.step.clone(),
            // A URL may carry a credential, which is nobody's business who reads the report.
            url: content
                .url
                .parse::<WebUrl>()
                .map_or_else(|_| content.url.clone(), |url| url.redacted()),
            expected: content.sha256,
            actual,
            evidence,
            message,
            findings: Vec::new(),
        };
        match error.deciding() {
            FetchError::Mismatch(mismatch) => {
                let evidence = mismatch.evidence.display().to_string();
                let mut message = mismatch.explanation();
                if let FetchError::Everywhere { others, .. } = &error {
                    for other in others {
                        message = format!("{message}; {}", explain_chain(other));
                    }
                }
                Ok(Err(refused(Some(mismatch.actual), Some(evidence), message)))
            }
            FetchError::Store { source, .. } => Err(Fault::Storage {
                message: explain_chain(&error),
                hint: source.hint(),
            }),
            FetchError::Unreachable { .. }
            | FetchError::ProxyRefused { .. }
            | FetchError::Tls { .. }
            | FetchError::Lab {
                source: LabError::NotBuilt,
                ..
            } => Err(unreachable(&error)),
            FetchError::Status { .. } if error.retry_helps() => Err(unreachable(&error)),
            FetchError::Url(_)
            | FetchError::PlainHttp { .. }
            | FetchError::RefusedAddress { .. }
            | FetchError::Status { .. }
            | FetchError::Redirect { .. }
            | FetchError::TooLarge { .. }
            | FetchError::Everywhere { .. }
            | FetchError::Lab { .. } => {
                let hint = error
                    .hint()
                    .map_or_else(String::new, |hint| format!("; {hint}"));
                Ok(Err(refused(None, None, explain_chain(&error) + &hint)))
            }
        }
    }

    pub(crate) fn serve_connection(&self) -> ServeConnection {
        let proxy = self.proxy.clone();
        Arc::new(move |end, peer| {
            let proxy = proxy.clone();
            tokio::spawn(async move { proxy.serve(end, peer).await });
        })
    }

    fn spec(&self, job: &CellJob, image: &Image) -> SandboxSpec {
        SandboxSpec {
            run: self.journal.run().clone(),
            owner: self.owner,
            cell: job.cell.clone(),
            image: image.id.clone(),
            used_for: if job.planned.plan.boots {
                SandboxUse::Booted
            } else {
                SandboxUse::Cell
            },
            executor: Arc::clone(&self.executor),
            traced: self.captures,
            limits: self.limits,
            created: SystemTime::now(),
        }
    }

    /// True if the facts recorded so far make this cell a failure. Only asked for when failed
    /// sandboxes are kept, so reading the journal again costs nobody else anything.
    fn has_failed(&self, job: &CellJob, driven: &Result<AttemptEnd, Fault>) -> bool {
        if !matches!(driven, Ok(AttemptEnd::Finished)) {
            return false;
        }
        let Ok(events) = self.journal.events() else {
            return false;
        };
        let mut folder = CellFolder::new(job.cell.clone(), job.planned.clone(), 0);
        for event in events {
            if event.cell.as_ref() == Some(&job.cell) {
                folder.push(event.body, event.t);
            }
        }
        let now = folder.facts().last_ms;
        folder.push(Body::CellEnded(CellEnded::Finished), now);
        folder.finish(None).outcome.kind() == OutcomeKind::Failed
    }

    pub(crate) fn record(&self, job: &CellJob, body: Body) -> Result<(), Fault> {
        Ok(self.journal.append(Some(&job.cell), Origin::Runner, body)?)
    }
}

/// The hosts a plan names, wherever it does: in its content, in a command, in a file it writes.
#[must_use]
pub fn names_of(plan: &Plan) -> Names {
    fn gather(value: &serde_json::Value, names: &Names) {
        match value {
            serde_json::Value::String(text) => names.add_text(text),
            serde_json::Value::Array(items) => items.iter().for_each(|item| gather(item, names)),
            serde_json::Value::Object(fields) => {
                fields.values().for_each(|field| gather(field, names));
            }
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            }
        }
    }
    let names = Names::default();
    for op in &plan.ops {
        if let Action::Run { argv } = &op.action {
            argv.iter().skip(1).for_each(|word| names.add_word(word));
        }
    }
    for content in &plan.content {
        names.add_text(&content.url);
    }
    // A plan is written as JSON all the time: that cannot fail.
    if let Ok(ops) = serde_json::to_value(&plan.ops) {
        gather(&ops, &names);
    }
    names
}

/// So much later, or, where no clock goes that far, a month.
pub(crate) fn far_from(now: Instant, time: Duration) -> Instant {
    now.checked_add(time)
        .unwrap_or(now + Duration::from_secs(30 * 24 * 3600))
}

/// Verified bytes, and what is wrong with them and no reason to refuse them.
type Usable = (Vec<u8>, Vec<KeyFinding>);

/// The time as keys tell it. A clock before 1970 makes every key one of the future, which is refused.
fn seconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A host that content comes from, for the moment.
fn unreachable(error: &FetchError) -> Fault {
    Fault::Host {
        message: explain_chain(error),
        hint: error.hint(),
        // The fetcher has tried several times already.
        transient: false,
    }
}

/// An error with what caused it, on one line; a cause that was told already is left out.
#[must_use]
pub fn explain_chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = inner.source();
    }
    message
}
