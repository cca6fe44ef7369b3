//! The journal: events appended to disk as they happen, one JSON line each, so that a run killed
//! at any moment has lost nothing it knew.
//!
//! It alone adds the envelope. It decides nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use assay_wire::PROTOCOL;
use assay_wire::event::{Body, Envelope, Origin};
use assay_wire::name::{CellId, RunId};
use tokio::sync::watch;

/// A journal that could not be kept. The run stops: a result that is not written is lost.
#[derive(Debug, thiserror::Error)]
#[error("write the journal `{path}`")]
pub struct JournalError {
    /// The journal's file.
    pub path: PathBuf,
    /// What the file system said.
    #[source]
    pub source: io::Error,
}

/// What is told of every event after it is on disk: progress lines, counters.
pub type Listener = Box<dyn Fn(&Envelope) + Send + Sync>;

/// An open journal; shared by all cells of a run.
pub struct Journal {
    run: RunId,
    path: PathBuf,
    started: Instant,
    state: Mutex<State>,
    failed: watch::Sender<bool>,
    listener: Listener,
}

struct State {
    file: File,
    seq: u64,
    /// Length of the file up to the last whole line: a line that could not be written whole is cut.
    length: u64,
    /// The first failure; after it nothing is written any more.
    failed: Option<(io::ErrorKind, String)>,
}

impl Journal {
    /// Creates the journal of a new run; its folder is made if it is not there.
    ///
    /// # Errors
    /// If the file exists already or cannot be made.
    pub fn create(run: RunId, path: &Path, listener: Listener) -> Result<Self, JournalError> {
        let fail = |source| JournalError {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(fail)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(fail)?;
        Ok(Self::over(file, run, path, listener))
    }

    /// A journal that has nothing in it yet.
    fn over(file: File, run: RunId, path: &Path, listener: Listener) -> Self {
        Self {
            run,
            path: path.to_owned(),
            started: Instant::now(),
            state: Mutex::new(State {
                file,
                seq: 0,
                length: 0,
                failed: None,
            }),
            failed: watch::Sender::new(false),
            listener,
        }
    }

    /// The run whose journal this is.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Appends one fact. The last fact of a cell and of the run are synced to disk before this
    /// returns.
    ///
    /// # Errors
    /// If it could not be written whole; the file then ends with the line before, and every later
    /// append fails likewise.
    pub fn append(
        &self,
        cell: Option<&CellId>,
        origin: Origin,
        body: Body,
    ) -> Result<(), JournalError> {
        let durable = matches!(
            body,
            Body::CellEnded(_) | Body::RunEnded { .. } | Body::CellPlanned(_)
        );
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((kind, message)) = &state.failed {
            return Err(self.error(io::Error::new(*kind, message.clone())));
        }
        let t = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let envelope = Envelope {
            v: PROTOCOL,
            run: self.run.clone(),
            cell: cell.cloned(),
            seq: state.seq,
            t,
            origin,
            body,
        };
        let written = serde_json::to_vec(&envelope)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                state.file.write_all(&line)?;
                if durable {
                    state.file.sync_data()?;
                }
                Ok(line.len() as u64)
            });
        match written {
            Ok(bytes) => {
                state.length += bytes;
                state.seq += 1;
            }
            Err(error) => {
                // Half a line helps nobody; whether cutting it works or not, the first error counts.
                let _ = state.file.set_len(state.length);
                state.failed = Some((error.kind(), error.to_string()));
                self.failed.send_replace(true);
                return Err(self.error(error));
            }
        }
        // Told while the lock is held, so that listeners see events in the journal's order.
        (self.listener)(&envelope);
        Ok(())
    }

    /// Returns once an append has failed: whoever works for this journal works for nothing.
    pub async fn failed(&self) {
        // The sender lives as long as the journal, so waiting cannot fail.
        let _ = self.failed.subscribe().wait_for(|failed| *failed).await;
    }

    /// Every event so far, read back from the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn events(&self) -> io::Result<Vec<Envelope>> {
        let length = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .length;
        let bytes = std::fs::read(&self.path)?;
        let whole = &bytes[..bytes
            .len()
            .min(usize::try_from(length).unwrap_or(usize::MAX))];
        serde_json::Deserializer::from_slice(whole)
            .into_iter()
            .map(|line| line.map_err(io::Error::from))
            .collect()
    }

    /// From now on every write fails as on a full disk: `/dev/full` refuses them with ENOSPC.
    #[cfg(test)]
    pub(crate) fn fill_disk(&self) {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full");
        self.state.lock().expect("no writer panics").file = full;
    }

    fn error(&self, source: io::Error) -> JournalError {
        JournalError {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_id() -> RunId {
        "20260101-000000-abcd".parse().expect("a run id")
    }

    #[test]
    fn lines_are_numbered_without_gaps_and_readable_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/journal.jsonl");
        let journal = Journal::create(run_id(), &path, Box::new(|_| ())).expect("created");
        for _ in 0..3 {
            journal
                .append(None, Origin::Runner, Body::AttemptStarted { attempt: 1 })
                .expect("written");
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(journal.events().expect("readable").len(), 3);
        let seqs: Vec<u64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<Envelope>(line)
                    .expect("an envelope")
                    .seq
            })
            .collect();
        assert_eq!(seqs, [0, 1, 2]);
        assert!(
            Journal::create(run_id(), &path, Box::new(|_| ())).is_err(),
            "a journal is never overwritten"
        );
    }

    #[test]
    fn a_full_disk_is_an_error_now_and_ever_after() {
        // /dev/full refuses every write with ENOSPC.
        let file = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full");
        let journal = Journal::over(
            file,
            run_id(),
            Path::new("/dev/full"),
            Box::new(|_| panic!("nothing was written, nothing may be told")),
        );
        for _ in 0..2 {
            let error = journal
                .append(None, Origin::Runner, Body::RunEnded { interrupted: false })
                .expect_err("the disk is full");
            assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        }
    }
}
