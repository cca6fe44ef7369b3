//! Sessions without a sandbox: a script plays the executor, so that most of `run`'s tests need no
//! engine.
//!
//! A test makes a [`Script`] with [`FakeSession::script`], gives it to a [`FakeBackend`] for a
//! cell and starts the cell. What the runner sent is in the [`Recording`]. The script's steps and
//! their meaning are in [`script`], how it is played in [`player`].
//!
//! Nothing here is reached by a user's run.

mod player;
mod script;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use assay_wire::control::ToExecutor;
use assay_wire::digest::Digest;
use assay_wire::name::{CellId, RunId};

pub use self::script::{FakeOp, Script, bytes_frames, message_frame};
use crate::error::SandboxError;
use crate::session::{Change, Channel, KeptSandbox, SandboxSpec};

/// Bytes either side can be ahead of the other. The engine's pipes hold less; credit bounds what
/// is sent on a stream long before.
const PIPE_BYTES: usize = 4 << 20;

/// Scripts by cell. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct FakeBackend(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    scripts: BTreeMap<CellId, VecDeque<Planned>>,
    recordings: Vec<SharedRecording>,
}

#[derive(Debug)]
enum Planned {
    Play(Script),
    Fail(SandboxError),
}

impl FakeBackend {
    /// What it calls itself in place of an engine.
    pub const VERSION: &'static str = "fake 1";

    /// A backend without scripts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next session of this cell plays this script.
    pub fn plays(&self, cell: &CellId, script: Script) {
        self.plan(cell, Planned::Play(script));
    }

    /// The next session of this cell does not start.
    pub fn fails(&self, cell: &CellId, error: SandboxError) {
        self.plan(cell, Planned::Fail(error));
    }

    /// What was sent to each session so far, in the order they were started.
    #[must_use]
    pub fn recordings(&self) -> Vec<Recording> {
        self.shared()
            .recordings
            .iter()
            .map(|recording| lock(recording).clone())
            .collect()
    }

    pub(crate) fn start(&self, spec: &SandboxSpec) -> Result<FakeSession, SandboxError> {
        let mut shared = self.shared();
        let planned = shared
            .scripts
            .get_mut(&spec.cell)
            .and_then(VecDeque::pop_front);
        let script = match planned {
            Some(Planned::Play(script)) => script,
            Some(Planned::Fail(error)) => return Err(error),
            None => {
                return Err(SandboxError::NoScript {
                    cell: spec.cell.to_string(),
                });
            }
        };
        let name = format!("fake-{}-{}", spec.run, shared.recordings.len() + 1);
        let recording = Arc::new(Mutex::new(Recording {
            cell: spec.cell.clone(),
            sandbox: name.clone(),
            messages: Vec::new(),
            bytes: BTreeMap::new(),
            unexpected: None,
            closed: false,
            kept: false,
        }));
        shared.recordings.push(Arc::clone(&recording));
        let (runner, executor) = tokio::io::duplex(PIPE_BYTES);
        let (reader, writer) = tokio::io::split(runner);
        let Script {
            steps,
            changes,
            lost,
        } = script;
        let digest = Digest::of(&spec.executor);
        let play = player::play(steps, executor, digest, Arc::clone(&recording));
        Ok(FakeSession {
            channel: Mutex::new(Some(Channel {
                reader: Box::new(reader),
                writer: Box::new(writer),
            })),
            player: tokio::spawn(play),
            name,
            run: spec.run.clone(),
            cell: spec.cell.clone(),
            changes,
            lost,
            recording,
        })
    }

    fn plan(&self, cell: &CellId, planned: Planned) {
        self.shared()
            .scripts
            .entry(cell.clone())
            .or_default()
            .push_back(planned);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the runner did with one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The cell.
    pub cell: CellId,
    /// The session's name.
    pub sandbox: String,
    /// Every message, in order.
    pub messages: Vec<ToExecutor>,
    /// Every byte, by stream.
    pub bytes: BTreeMap<u32, Vec<u8>>,
    /// The first thing the runner sent that the script did not expect, in words. The script is
    /// broken off there.
    pub unexpected: Option<String>,
    /// True once the session was closed.
    pub closed: bool,
    /// True once it was kept.
    pub kept: bool,
}

type SharedRecording = Arc<Mutex<Recording>>;

fn lock(recording: &SharedRecording) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session that is played.
#[derive(Debug)]
pub struct FakeSession {
    /// In a mutex only so that a session may be shared between threads: it is never waited for.
    channel: Mutex<Option<Channel>>,
    player: tokio::task::JoinHandle<()>,
    name: String,
    run: RunId,
    cell: CellId,
    changes: Vec<Change>,
    lost: Option<SandboxError>,
    recording: SharedRecording,
}

impl FakeSession {
    /// An empty script: an executor that ends at once without a word.
    #[must_use]
    pub fn script() -> Script {
        Script::default()
    }

    pub(crate) fn channel(&mut self) -> Option<Channel> {
        self.channel
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        self.changes.clone()
    }

    pub(crate) fn why_lost(&self) -> SandboxError {
        self.lost.clone().unwrap_or_else(|| SandboxError::Lost {
            sandbox: self.name.clone(),
            how: "its executor ended with code 0".to_owned(),
            stderr: String::new(),
        })
    }

    pub(crate) fn close(&mut self) {
        drop(self.channel());
        self.player.abort();
        lock(&self.recording).closed = true;
    }

    pub(crate) fn keep(&mut self, now: SystemTime) -> KeptSandbox {
        drop(self.channel());
        self.player.abort();
        lock(&self.recording).kept = true;
        KeptSandbox {
            name: self.name.clone(),
            run: self.run.clone(),
            cell: self.cell.clone(),
            kept: now,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        self.player.abort();
    }
}

#[cfg(test)]
mod tests;
