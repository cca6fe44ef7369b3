//! A session: one started sandbox, and what it is made of.
//!
//! [`Session`] is one enum, no trait: a container of an engine, or a fake that replays a stream.
//! `start` it, take its [`Channel`], ask for its `changes`, `close` it. A session that is dropped
//! without `close` or `keep` removes its sandbox in the background as well as it can (one that was
//! reopened stays kept); whatever a killed process leaves is removed by [`crate::sweep`].
//!
//! Nothing of the bytes on the channel is read here.

use std::sync::Arc;
use std::time::SystemTime;

use assay_wire::name::{CellId, RunId};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::docker::engine::{Engine, Product};
use crate::docker::session::DockerSession;
use crate::error::SandboxError;
use crate::fake::{FakeBackend, FakeSession};
use crate::lease::OwnerId;

/// One started sandbox.
#[derive(Debug)]
pub enum Session {
    /// A container of an engine that speaks Docker's API.
    Docker(DockerSession),
    /// No sandbox at all: a recorded or scripted executor.
    Fake(FakeSession),
}

impl Session {
    /// Starts a sandbox: creates it, puts the executor into it and runs that. Returns as soon as
    /// the executor's process exists; its first message arrives on the channel. The run's lease
    /// must be held before ([`crate::lease::Leases::acquire`]), else a sweep may take it away.
    ///
    /// # Errors
    /// Any [`SandboxError`] of the engine. Nothing is left behind then.
    pub async fn start(backend: &Backend, spec: &SandboxSpec) -> Result<Self, SandboxError> {
        match backend {
            Backend::Docker { engine, version } => DockerSession::start(engine, version, spec)
                .await
                .map(Self::Docker),
            Backend::Fake(fake) => fake.start(spec).map(Self::Fake),
        }
    }

    /// Starts a kept sandbox again, with the executor given, which need not be the one it was
    /// kept with. Its files are as they were; what lay on tmpfs and every process are gone. The
    /// lease of the run it belongs to must be held before.
    ///
    /// # Errors
    /// [`SandboxError::NotKept`] if there is none of this name any more; else the engine's.
    pub async fn reopen(
        backend: &Backend,
        kept: &KeptSandbox,
        executor: &Arc<[u8]>,
    ) -> Result<Self, SandboxError> {
        match backend {
            Backend::Docker { engine, version } => {
                DockerSession::reopen(engine, version, kept, executor)
                    .await
                    .map(Self::Docker)
            }
            Backend::Fake(_) => Err(SandboxError::NotKept {
                sandbox: kept.name.clone(),
            }),
        }
    }

    /// Takes the byte stream of the session; `None` if it was taken before. The reader ends when
    /// the executor's standard output does; closing the writer ends its standard input.
    pub fn channel(&mut self) -> Option<Channel> {
        match self {
            Self::Docker(session) => session.channel(),
            Self::Fake(session) => session.channel(),
        }
    }

    /// Ends what runs in the sandbox and keeps it: its changes can then be asked for, and nothing of
    /// it changes any more. One that has ended already is as wanted.
    ///
    /// # Errors
    /// Any [`SandboxError`] of the engine.
    pub async fn halt(&self) -> Result<(), SandboxError> {
        match self {
            Self::Docker(session) => session.halt().await,
            Self::Fake(_) => Ok(()),
        }
    }

    /// Makes an image of the sandbox as it is, with exactly these labels. Returns the engine's id.
    ///
    /// # Errors
    /// Any [`SandboxError`] of the engine.
    pub async fn commit(&self, image: &CommittedImage) -> Result<String, SandboxError> {
        match self {
            Self::Docker(session) => session.commit(image).await,
            Self::Fake(session) => Ok(format!("sha256:{}", session.name())),
        }
    }

    /// What the engine itself saw change in the sandbox's files since its image, sorted by path.
    /// The executor's own folder and what the engine puts into every container are in it.
    ///
    /// # Errors
    /// Any [`SandboxError`] of the engine.
    pub async fn changes(&self) -> Result<Vec<Change>, SandboxError> {
        match self {
            Self::Docker(session) => session.changes().await,
            Self::Fake(session) => Ok(session.changes()),
        }
    }

    /// Why a stream that ended without `Goodbye`, or broke, did so: the engine is asked whether
    /// it still lives, then what became of the sandbox. It waits up to a second for the engine
    /// to notice the sandbox's end.
    pub async fn why_lost(&self) -> SandboxError {
        match self {
            Self::Docker(session) => session.why_lost().await,
            Self::Fake(session) => session.why_lost(),
        }
    }

    /// The end of what the executor wrote to standard error, at most 8 KiB, sanitised. Empty
    /// unless the executor itself crashed.
    #[must_use]
    pub fn read_stderr_tail(&self) -> String {
        match self {
            Self::Docker(session) => session.stderr_tail(),
            Self::Fake(_) => String::new(),
        }
    }

    /// Ends the sandbox whatever runs in it and removes it with everything it wrote. Doing so
    /// twice, or after somebody else did, is no fault.
    ///
    /// # Errors
    /// Any [`SandboxError`] of the engine; the sandbox is then left to the next sweep.
    pub async fn close(&mut self) -> Result<(), SandboxError> {
        match self {
            Self::Docker(session) => session.close().await,
            Self::Fake(session) => {
                session.close();
                Ok(())
            }
        }
    }

    /// Ends what runs in the sandbox and keeps its files for [`crate::sweep::KEPT_FOR`] from
    /// `now`. Returns what it is found by.
    ///
    /// # Errors
    /// Any [`SandboxError`] of the engine.
    pub async fn keep(&mut self, now: SystemTime) -> Result<KeptSandbox, SandboxError> {
        match self {
            Self::Docker(session) => session.keep(now).await,
            Self::Fake(session) => Ok(session.keep(now)),
        }
    }

    /// The sandbox's name at its engine.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Docker(session) => session.name(),
            Self::Fake(session) => session.name(),
        }
    }

    /// What runs it, such as `docker 20.10.24 (cgroups v2)`.
    #[must_use]
    pub fn engine(&self) -> &str {
        match self {
            Self::Docker(session) => session.engine_version(),
            Self::Fake(_) => FakeBackend::VERSION,
        }
    }
}

/// What sandboxes are started by. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Backend {
    /// An engine that speaks Docker's API.
    Docker {
        /// The engine.
        engine: Engine,
        /// Its name and version, such as `docker 20.10.24 (cgroups v2)`.
        version: String,
    },
    /// Scripts.
    Fake(FakeBackend),
}

impl Backend {
    /// The engine `DOCKER_HOST` names, else the default one.
    ///
    /// # Errors
    /// The engine's, if it does not answer.
    pub async fn connect() -> Result<Self, SandboxError> {
        Self::docker(Engine::connect().await?).await
    }

    /// An engine already connected; it is asked for its version.
    ///
    /// # Errors
    /// The engine's, if it does not answer.
    pub async fn docker(engine: Engine) -> Result<Self, SandboxError> {
        let about = engine.about().await?;
        let product = match about.product {
            Product::Docker => "docker",
            Product::Podman => "podman",
        };
        let mut version = format!("{product} {}", about.version).trim_end().to_owned();
        if let Some(cgroups) = about.cgroup_version {
            version.push_str(&format!(" (cgroups v{cgroups})"));
        }
        Ok(Self::Docker { engine, version })
    }

    /// Its name and version, such as `docker 20.10.24 (cgroups v2)`.
    #[must_use]
    pub fn version(&self) -> &str {
        match self {
            Self::Docker { version, .. } => version,
            Self::Fake(_) => FakeBackend::VERSION,
        }
    }
}

/// What a sandbox is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxUse {
    /// A cell whose executor is PID 1.
    Cell,
    /// A cell in which systemd becomes PID 1.
    Booted,
    /// It becomes an image ([`Session::commit`]): it starts from the image itself and not from what
    /// was prepared of it.
    Image,
}

/// An image to be made of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedImage {
    /// Repository and tag, `assay/debian-12:bootstrap-0123456789ab-systemd`.
    pub name: String,
    /// Its labels.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// What a sandbox is made of.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// The run it belongs to.
    pub run: RunId,
    /// Whose it is.
    pub owner: OwnerId,
    /// The cell it is for.
    pub cell: CellId,
    /// The engine's id of its image; an id, because Podman knows an imported image by no other
    /// name.
    pub image: String,
    /// What it is for.
    pub used_for: SandboxUse,
    /// The static executable that is put into it and run.
    pub executor: Arc<[u8]>,
    /// True if it gets the capability by which its executor traces; without it the executor says what is
    /// missing.
    pub traced: bool,
    /// What bounds it.
    pub limits: SandboxLimits,
    /// Now, for its label.
    pub created: SystemTime,
}

/// What bounds a sandbox from outside. What bounds one op is the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Bytes of memory; no swap is added to them.
    pub memory_bytes: u64,
    /// Processor time, in thousandths of one processor.
    pub milli_cpus: u32,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes of the longest file (`RLIMIT_FSIZE`, setrlimit(2)). An engine has no portable quota
    /// for the whole disk: the sum of what is written is the executor's to bound.
    pub file_bytes: u64,
}

impl Default for SandboxLimits {
    /// 4 GiB of memory, 2 processors, 2048 processes, files of 8 GiB.
    fn default() -> Self {
        Self {
            memory_bytes: 4 << 30,
            milli_cpus: 2000,
            pids: 2048,
            file_bytes: 8 << 30,
        }
    }
}

/// The byte stream of a session.
pub struct Channel {
    /// What the executor sends.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What the executor receives. Shut it down to end the executor's input.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

/// A path the engine lists as changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The absolute path as the engine writes it: hostile text, bytes that are no UTF-8 replaced.
    pub path: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Its content or what is known of it differs, or something below it does.
    Modified,
    /// It was not in the image.
    Added,
    /// It was in the image and is gone.
    Deleted,
}

/// A sandbox that was stopped and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSandbox {
    /// Its name at the engine.
    pub name: String,
    /// The run it belongs to.
    pub run: RunId,
    /// The cell it was for.
    pub cell: CellId,
    /// When it was kept.
    pub kept: SystemTime,
}
