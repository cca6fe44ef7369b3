//! A sandbox as a container: created from a prepared image, attached, started, removed.
//!
//! [`DockerSession`] is one container. What every sandbox gets is in [`body`]; its bytes are
//! unwrapped by [`attach`]; finding what dead runs left is in [`leftover`]. No exec and no copy
//! happens once a container runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use assay_wire::name::{CellId, RunId};
use bollard::models::{ChangeType, ContainerCreateBody};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions,
    UploadToContainerOptions,
};

use self::attach::{StderrTail, StdoutReader};
use self::body::{container_body, executor_archive};
use self::leftover::{kept_name, kept_time, sandbox_name};
use super::engine::{Engine, EngineError};
use super::prepared::Prepared;
use crate::error::SandboxError;
use crate::session::{
    Change, ChangeKind, Channel, CommittedImage, KeptSandbox, SandboxSpec, SandboxUse,
};

mod attach;
pub(in crate::docker) mod body;
pub(crate) mod leftover;

/// How long the engine may need to notice that a sandbox ended after its stream did.
const END_NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// How long an engine may need to kill and remove a sandbox, or to finish a removal that somebody
/// else has begun.
const REMOVED_WITHIN: Duration = Duration::from_secs(30);

/// What a look at a sandbox is for, for its faults.
const LOOK: &str = "inspect the sandbox";

/// The code of a container whose first process was ended by SIGKILL: 128 and the signal's number.
const KILLED: i64 = 137;

/// How often a prepared image is made for one start.
const MAKINGS: u32 = 3;

/// One container.
#[derive(Debug)]
pub struct DockerSession {
    container: Container,
    version: String,
    run: RunId,
    cell: CellId,
    /// In a mutex only so that a session may be shared between threads: it is never waited for.
    channel: Mutex<Option<Channel>>,
    stderr: StderrTail,
}

impl DockerSession {
    /// As [`crate::session::Session::start`].
    pub(crate) async fn start(
        engine: &Engine,
        version: &str,
        spec: &SandboxSpec,
    ) -> Result<Self, SandboxError> {
        // A request that has been sent is carried out whether or not anybody waits for its
        // answer. So a start is never cancelled half-way: if its caller goes away it goes on by
        // itself, and what it started is dropped, and thereby removed, at its end.
        let (engine, version, spec) = (engine.clone(), version.to_owned(), spec.clone());
        let start = async move { Self::start_whole(&engine, &version, &spec).await };
        tokio::spawn(start)
            .await
            .map_err(|error| EngineError::Protocol {
                operation: "start the sandbox".to_owned(),
                cause: error.to_string(),
            })?
    }

    async fn start_whole(
        engine: &Engine,
        version: &str,
        spec: &SandboxSpec,
    ) -> Result<Self, SandboxError> {
        let container = Self::create(engine, spec).await?;
        match container.run().await {
            Ok((channel, stderr)) => Ok(Self {
                container,
                version: version.to_owned(),
                run: spec.run.clone(),
                cell: spec.cell.clone(),
                channel: Mutex::new(Some(channel)),
                stderr,
            }),
            Err(error) => Err(container.abandon(error).await.into()),
        }
    }

    /// Creates the container of a prepared image, which is made if it is not there; of the image
    /// itself if the sandbox becomes one, so that nothing prepared is in it.
    async fn create(engine: &Engine, spec: &SandboxSpec) -> Result<Container, EngineError> {
        if spec.used_for == SandboxUse::Image {
            let body = container_body(spec, &spec.image);
            let container = Container::create(engine, sandbox_name(&spec.run), body).await?;
            return match container.upload(&spec.executor).await {
                Ok(()) => Ok(container),
                Err(error) => Err(container.abandon(error).await),
            };
        }
        let prepared = Prepared::of(spec);
        let body = container_body(spec, &prepared.name());
        let mut makings = 0;
        loop {
            let name = sandbox_name(&spec.run);
            match Container::create(engine, name, body.clone()).await {
                // Somebody may remove it just after it was made.
                Err(EngineError::ImageMissing { .. }) if makings < MAKINGS => {
                    makings += 1;
                    let name = sandbox_name(&spec.run);
                    prepared.make(engine, spec, name).await?;
                }
                other => return other,
            }
        }
    }

    /// As [`crate::session::Session::reopen`]. A sandbox that cannot be opened again stays kept.
    pub(crate) async fn reopen(
        engine: &Engine,
        version: &str,
        kept: &KeptSandbox,
        executor: &Arc<[u8]>,
    ) -> Result<Self, SandboxError> {
        let mut container = Container::new(engine, kept.name.clone());
        container.remove_on_drop = false;
        let opened = match container.upload(executor).await {
            Ok(()) => container.run().await,
            Err(error) => Err(error),
        };
        match opened {
            Ok((channel, stderr)) => Ok(Self {
                container,
                version: version.to_owned(),
                run: kept.run.clone(),
                cell: kept.cell.clone(),
                channel: Mutex::new(Some(channel)),
                stderr,
            }),
            Err(EngineError::Api { status: 404, .. }) => Err(SandboxError::NotKept {
                sandbox: kept.name.clone(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn channel(&mut self) -> Option<Channel> {
        self.channel
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(crate) async fn changes(&self) -> Result<Vec<Change>, SandboxError> {
        let engine = &self.container.engine;
        let listed = engine
            .docker()
            .container_changes(&self.container.name)
            .await
            .map_err(|error| engine.fault("list the changes of the sandbox", error))?;
        let mut changes: Vec<Change> = listed
            .unwrap_or_default()
            .into_iter()
            .map(|change| Change {
                path: change.path,
                kind: match change.kind {
                    ChangeType::_0 => ChangeKind::Modified,
                    ChangeType::_1 => ChangeKind::Added,
                    ChangeType::_2 => ChangeKind::Deleted,
                },
            })
            .collect();
        changes.sort();
        Ok(changes)
    }

    pub(crate) async fn halt(&self) -> Result<(), SandboxError> {
        let Container { engine, name, .. } = &self.container;
        engine.stop_sandbox(name).await?;
        let deadline = tokio::time::Instant::now() + END_NOTICED_WITHIN;
        // What is asked next is answered once the engine knows of the end; it is told by then.
        while tokio::time::Instant::now() < deadline {
            if !engine.runs(name).await? {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub(crate) async fn commit(&self, image: &CommittedImage) -> Result<String, SandboxError> {
        let engine = &self.container.engine;
        Ok(engine.commit_sandbox(&self.container.name, image).await?)
    }

    pub(crate) async fn why_lost(&self) -> SandboxError {
        let Container { engine, name, .. } = &self.container;
        if let Err(error) = engine.ping().await {
            return died(error);
        }
        let deadline = tokio::time::Instant::now() + END_NOTICED_WITHIN;
        loop {
            let state = match engine.look_at(LOOK, name).await {
                Ok(inspected) => inspected.state,
                Err(error) => {
                    return if status(&error) == Some(404) {
                        self.lost("somebody removed it".to_owned())
                    } else {
                        died(error)
                    };
                }
            };
            if state.running && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            return self.lost(match (state.running, state.oom_killed, state.exit_code) {
                (true, _, _) => "its stream was cut while it still ran".to_owned(),
                (_, true, _) => "it ran out of memory".to_owned(),
                // Not every engine notices why.
                (_, _, Some(KILLED)) => "it was killed, as what runs out of memory is".to_owned(),
                (_, _, Some(code)) => format!("its executor ended with code {code}"),
                (_, _, None) => "its executor ended".to_owned(),
            });
        }
    }

    fn lost(&self, how: String) -> SandboxError {
        SandboxError::Lost {
            sandbox: self.container.name.clone(),
            how,
            stderr: self.stderr.text(),
        }
    }

    pub(crate) fn stderr_tail(&self) -> String {
        self.stderr.text()
    }

    pub(crate) async fn close(&mut self) -> Result<(), SandboxError> {
        drop(self.channel());
        self.container
            .engine
            .remove_sandbox(&self.container.name)
            .await?;
        self.container.remove_on_drop = false;
        Ok(())
    }

    /// A container's labels cannot change, its name can: the name alone says that it is kept and
    /// since when, so that no second record can contradict the engine. It is renamed first: if
    /// this process dies in between, what it meant to keep is kept.
    pub(crate) async fn keep(&mut self, now: SystemTime) -> Result<KeptSandbox, SandboxError> {
        let engine = self.container.engine.clone();
        let name = kept_name(&self.container.name, now);
        if name != self.container.name {
            engine.rename_sandbox(&self.container.name, &name).await?;
            self.container.name.clone_from(&name);
        }
        self.container.remove_on_drop = false;
        drop(self.channel());
        engine.stop_sandbox(&name).await?;
        Ok(KeptSandbox {
            kept: kept_time(&name).unwrap_or(now),
            name,
            run: self.run.clone(),
            cell: self.cell.clone(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.container.name
    }

    pub(crate) fn engine_version(&self) -> &str {
        &self.version
    }
}

/// A container that is removed in the background if it is dropped with `remove_on_drop` set.
#[derive(Debug)]
pub(in crate::docker) struct Container {
    pub(in crate::docker) engine: Engine,
    pub(in crate::docker) name: String,
    remove_on_drop: bool,
}

impl Container {
    fn new(engine: &Engine, name: String) -> Self {
        Self {
            engine: engine.clone(),
            name,
            remove_on_drop: true,
        }
    }

    /// Creates one that does not run yet.
    pub(in crate::docker) async fn create(
        engine: &Engine,
        name: String,
        body: ContainerCreateBody,
    ) -> Result<Self, EngineError> {
        let mut container = Self::new(engine, name);
        let options = CreateContainerOptions {
            name: Some(container.name.clone()),
            ..CreateContainerOptions::default()
        };
        let image = body.image.clone().unwrap_or_default();
        let created = engine.docker().create_container(Some(options), body).await;
        match created.map_err(|error| engine.fault("create the sandbox", error)) {
            Ok(_) => Ok(container),
            Err(EngineError::Api { status: 404, .. }) => {
                container.remove_on_drop = false;
                Err(EngineError::ImageMissing { image })
            }
            // Whether it was created is not known.
            Err(error) => Err(container.abandon(error).await),
        }
    }

    /// Puts the executor into it; not while it runs.
    pub(in crate::docker) async fn upload(&self, executor: &[u8]) -> Result<(), EngineError> {
        let archive = executor_archive(executor).map_err(|error| EngineError::Source {
            operation: "send the executor".to_owned(),
            cause: error.to_string(),
        })?;
        let target = UploadToContainerOptions {
            path: "/".to_owned(),
            ..UploadToContainerOptions::default()
        };
        self.engine
            .docker()
            .upload_to_container(&self.name, Some(target), bollard::body_full(archive.into()))
            .await
            .map_err(|error| {
                self.engine
                    .fault("put the executor into the sandbox", error)
            })
    }

    /// Attaches to it and starts it, in this order, so that no byte of its is missed.
    async fn run(&self) -> Result<(Channel, StderrTail), EngineError> {
        let attach = AttachContainerOptions {
            stream: true,
            stdin: true,
            stdout: true,
            stderr: true,
            ..AttachContainerOptions::default()
        };
        let attached = self
            .engine
            .docker()
            .attach_container(&self.name, Some(attach))
            .await
            .map_err(|error| self.engine.fault("attach to the sandbox", error))?;
        self.start().await?;
        let stderr = StderrTail::default();
        let channel = Channel {
            reader: Box::new(StdoutReader::new(attached.output, stderr.clone())),
            writer: Box::new(attached.input),
        };
        Ok((channel, stderr))
    }

    /// Starts it.
    pub(in crate::docker) async fn start(&self) -> Result<(), EngineError> {
        self.engine
            .docker()
            .start_container(&self.name, None)
            .await
            .map_err(|error| self.engine.fault("start the sandbox", error))
    }

    /// Removes it, running or not.
    pub(in crate::docker) async fn remove(mut self) -> Result<(), EngineError> {
        self.engine.remove_sandbox(&self.name).await?;
        self.remove_on_drop = false;
        Ok(())
    }

    /// Removes one that could not be started, and tells why it could not.
    async fn abandon(self, error: EngineError) -> EngineError {
        // What cannot be removed now is tried again in the background, then by the next sweep.
        let _ = self.remove().await;
        error
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Without a runtime nothing can be sent: the next sweep removes it then.
        if let (true, Ok(runtime)) = (self.remove_on_drop, tokio::runtime::Handle::try_current()) {
            let (engine, name) = (self.engine.clone(), std::mem::take(&mut self.name));
            runtime.spawn(async move {
                // Nobody is left to be told; the next sweep tries again.
                let _ = engine.remove_sandbox(&name).await;
            });
        }
    }
}

impl Engine {
    /// Removes a container with its volumes, running or not. One that is gone already is as
    /// wanted; one that somebody else is removing is waited for.
    pub(crate) async fn remove_sandbox(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions {
            v: true,
            force: true,
            link: false,
        };
        let deadline = tokio::time::Instant::now() + REMOVED_WITHIN;
        loop {
            let removed = self
                .docker()
                .remove_container(name, Some(options.clone()))
                .await
                .map_err(|error| self.fault("remove the sandbox", error));
            match removed {
                Ok(()) | Err(EngineError::Api { status: 404, .. }) => return Ok(()),
                // Thousands of processes take longer to die than an engine waits for; asked again
                // it finds them dead.
                Err(EngineError::Api { status: 500, .. })
                    if tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Err(conflict @ EngineError::Api { status: 409, .. }) => {
                    return self.wait_until_gone(name, conflict).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a removal begun by somebody else; `conflict` is told if it does not end.
    async fn wait_until_gone(&self, name: &str, conflict: EngineError) -> Result<(), EngineError> {
        let deadline = tokio::time::Instant::now() + REMOVED_WITHIN;
        while tokio::time::Instant::now() < deadline {
            match self.look_at(LOOK, name).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(EngineError::Api { status: 404, .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Err(conflict)
    }

    /// Kills whatever runs in a container. One that does not run is as wanted; engines refuse to
    /// kill it with different statuses, so that a refusal is a question.
    pub(crate) async fn stop_sandbox(&self, name: &str) -> Result<(), EngineError> {
        let killed = self.docker().kill_container(name, None).await;
        let refused = match killed.map_err(|error| self.fault("stop the sandbox", error)) {
            Err(refused @ EngineError::Api { .. }) => refused,
            other => return other,
        };
        if self.runs(name).await? {
            return Err(refused);
        }
        Ok(())
    }

    /// Whether a container's processes live.
    async fn runs(&self, name: &str) -> Result<bool, EngineError> {
        Ok(self.look_at(LOOK, name).await?.state.running)
    }

    async fn rename_sandbox(&self, from: &str, to: &str) -> Result<(), EngineError> {
        let options = bollard::query_parameters::RenameContainerOptions {
            name: to.to_owned(),
        };
        self.docker()
            .rename_container(from, options)
            .await
            .map_err(|error| self.fault("rename the sandbox", error))
    }
}

/// The fault to tell when an engine that was running a sandbox no longer answers as it should:
/// not reaching it any more means that it died.
fn died(error: EngineError) -> SandboxError {
    if let EngineError::Unreachable { host, cause } = error {
        let operation = "run the sandbox".to_owned();
        EngineError::Died {
            operation,
            host,
            cause,
        }
        .into()
    } else {
        error.into()
    }
}

/// The status an engine refused with.
fn status(error: &EngineError) -> Option<u16> {
    if let EngineError::Api { status, .. } = error {
        Some(*status)
    } else {
        None
    }
}
