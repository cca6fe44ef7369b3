//! Folding a journal into a record.
//!
//! Strict about the envelope, because a journal is either one run's or nobody's: protocol version,
//! run, numbering and planned cells. Tolerant of an end: a killed run's journal stops anywhere, and
//! its unfinished cells become `cancelled`. What is contradictory inside one cell is kept as a
//! contradiction of that cell, so that one hostile sandbox spoils no other cell's record.
//!
//! Nothing is judged here except by calling [`crate::judge`] at the end. Lines are parsed and cells are judged
//! on all processors: neither asks anything of another.

mod cell;

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::ops::RangeFrom;

use assay_wire::PROTOCOL;
use assay_wire::event::{Body, ConsentBasis, Envelope, Origin, RunStarted};
use assay_wire::name::{CellId, RunId};
use rayon::prelude::*;

use crate::consent::run::find_stale;
use crate::record::{CellRecord, Record, RunEnd, RunInfo};
pub use cell::CellFolder;

/// Bytes of a journal whose lines are parsed together: so much of its text is in memory at a time, or one line.
const TOGETHER: usize = 8 << 20;

/// Why a journal is not the journal of one run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// It cannot be read to its end.
    #[error("{message}")]
    Unreadable {
        /// What the system said.
        message: String,
    },
    /// There is nothing in it.
    #[error("the journal is empty")]
    Empty,
    /// A line is no event.
    #[error("line {line} of the journal is not an event: {message}")]
    Malformed {
        /// 1-based.
        line: u64,
        /// What the parser said.
        message: String,
    },
    /// It was written by a harness with another protocol.
    #[error("event {seq} has protocol version {found}, this harness reads {PROTOCOL}")]
    Protocol {
        /// The event's position.
        seq: u64,
        /// Its version.
        found: u32,
    },
    /// An event is missing, repeated or out of order.
    #[error("event {expected} is missing: event {found} came in its place")]
    Gap {
        /// The position that was due.
        expected: u64,
        /// The position that came.
        found: u64,
    },
    /// An event belongs to another run.
    #[error("event {seq} belongs to run `{found}`, not to run `{expected}`")]
    OtherRun {
        /// The event's position.
        seq: u64,
        /// The journal's run.
        expected: RunId,
        /// The event's run.
        found: RunId,
    },
    /// The first event is not the run's start, or a later one is.
    #[error("event {seq} is misplaced: a journal has `run_started` first and nowhere else")]
    Start {
        /// The event's position.
        seq: u64,
    },
    /// An event comes after the run's end.
    #[error("event {seq} comes after the end of the run")]
    AfterEnd {
        /// The event's position.
        seq: u64,
    },
    /// A fact of a cell names none.
    #[error("event {seq} is a fact of a cell and names none")]
    NoCell {
        /// The event's position.
        seq: u64,
    },
    /// A cell is unknown.
    #[error("event {seq} is about cell `{cell}`, which was never planned")]
    Unplanned {
        /// The event's position.
        seq: u64,
        /// The cell.
        cell: CellId,
    },
    /// A cell is planned twice, or its plan is another target's.
    #[error("event {seq} plans cell `{cell}` a second time or with the plan of another target")]
    Replanned {
        /// The event's position.
        seq: u64,
        /// The cell.
        cell: CellId,
    },
    /// A fact comes after its cell's end.
    #[error("event {seq} comes after the end of cell `{cell}`")]
    AfterCellEnd {
        /// The event's position.
        seq: u64,
        /// The cell.
        cell: CellId,
    },
    /// A fact only the runner can know is said to come from a sandbox.
    #[error("event {seq} cannot come from inside a sandbox")]
    Forged {
        /// The event's position.
        seq: u64,
    },
}

/// Folds the events of one journal.
///
/// # Errors
/// If they are not the events of one run of this protocol, in order and without gaps. A journal
/// that stops early is no error.
pub fn fold(events: impl IntoIterator<Item = Envelope>) -> Result<Record, FoldError> {
    let mut folder = Folder::default();
    events
        .into_iter()
        .try_for_each(|event| folder.push(event))?;
    folder.finish()
}

/// Folds a journal from its text, JSON Lines. A last line without its newline is dropped: a killed
/// run may leave one behind.
///
/// # Errors
/// As [`fold`], and if a line is no event or cannot be read.
pub fn fold_journal(journal: impl BufRead + Send) -> Result<Record, FoldError> {
    fold_lines(journal, |_| ())
}

/// The same, judged by other consents than the run was: by the ledger and the policy of now.
///
/// # Errors
/// As [`fold_journal`].
pub fn fold_journal_judged_by(
    journal: impl BufRead + Send,
    consents: &ConsentBasis,
) -> Result<Record, FoldError> {
    fold_lines(journal, |body| {
        if let Body::RunStarted(started) = body {
            started.consents = Some(consents.clone());
        }
    })
}

fn fold_lines(
    mut journal: impl BufRead + Send,
    change: impl Fn(&mut Body),
) -> Result<Record, FoldError> {
    let mut folder = Folder::default();
    let mut numbers = 1_u64..;
    let mut read = lines(&mut journal, &mut numbers);
    loop {
        let lines = read.map_err(|error| FoldError::Unreadable {
            message: error.to_string(),
        })?;
        if lines.is_empty() {
            return folder.finish();
        }
        let (next, events) = rayon::join(
            || self::lines(&mut journal, &mut numbers),
            || {
                lines
                    .par_iter()
                    .map(|(number, line)| parse_line(line, *number))
                    .collect()
            },
        );
        read = next;
        let events: Vec<Result<Envelope, FoldError>> = events;
        for event in events {
            let mut event = event?;
            change(&mut event.body);
            folder.push(event)?;
        }
    }
}

/// The next lines that end with a newline, with their numbers: at least one, unless there is none.
fn lines(
    journal: &mut impl BufRead,
    numbers: &mut RangeFrom<u64>,
) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut lines = Vec::new();
    let mut bytes = 0;
    while bytes < TOGETHER {
        let mut line = Vec::new();
        bytes += journal.read_until(b'\n', &mut line)?;
        match line.pop() {
            Some(b'\n') => lines.extend(numbers.next().map(|number| (number, line))),
            Some(_) | None => break,
        }
    }
    Ok(lines)
}

/// Reads one line of a journal; `number` is its 1-based number, for messages.
///
/// # Errors
/// If it is no event, or one of another protocol version, whatever that version's events are like.
fn parse_line(line: &[u8], number: u64) -> Result<Envelope, FoldError> {
    #[derive(serde::Deserialize)]
    struct Version {
        v: u32,
    }

    let malformed = |error: String| FoldError::Malformed {
        line: number,
        message: error,
    };
    let line = std::str::from_utf8(line).map_err(|error| malformed(error.to_string()))?;
    serde_json::from_str(line).map_err(|error| match serde_json::from_str::<Version>(line) {
        Ok(Version { v }) if v != PROTOCOL => FoldError::Protocol {
            seq: number - 1,
            found: v,
        },
        // serde_json counts lines within this one line; only the rest of its message helps.
        Ok(_) | Err(_) => malformed(error.to_string()),
    })
}

/// Folds events one by one, as they happen or as they are read.
#[derive(Debug, Default)]
pub struct Folder {
    run: Option<(RunId, RunStarted)>,
    next: u64,
    last_ms: u64,
    end: Option<RunEnd>,
    cells: Vec<CellFolder>,
    positions: BTreeMap<CellId, usize>,
}

impl Folder {
    /// Takes the next event.
    ///
    /// # Errors
    /// If it cannot be the next event of this journal; the folder is of no use after that.
    pub fn push(&mut self, event: Envelope) -> Result<(), FoldError> {
        let seq = event.seq;
        if event.v != PROTOCOL {
            return Err(FoldError::Protocol {
                seq,
                found: event.v,
            });
        }
        if seq != self.next {
            return Err(FoldError::Gap {
                expected: self.next,
                found: seq,
            });
        }
        self.next += 1;
        if let Some((run, _)) = &self.run
            && *run != event.run
        {
            return Err(FoldError::OtherRun {
                seq,
                expected: run.clone(),
                found: event.run,
            });
        }
        if self.end.is_some() {
            return Err(FoldError::AfterEnd { seq });
        }
        if event.origin == Origin::Executor && !may_come_from_a_sandbox(&event.body) {
            return Err(FoldError::Forged { seq });
        }
        // A clock that goes back cannot make a duration negative.
        self.last_ms = self.last_ms.max(event.t);
        self.take(event)
    }

    /// The record of what came so far, judged.
    ///
    /// # Errors
    /// If nothing came at all.
    pub fn finish(self) -> Result<Record, FoldError> {
        let (id, start) = self.run.ok_or(FoldError::Empty)?;
        let end = self.end.unwrap_or(RunEnd::Truncated);
        let consents = start.consents.clone();
        let run = RunInfo {
            id,
            start,
            end,
            duration_ms: self.last_ms,
        };
        let cells = self.cells.into_par_iter();
        let cells = cells.map(|cell| cell.finish(consents.as_ref()));
        let mut cells: Vec<CellRecord> = cells.collect();
        if let Some(basis) = &consents {
            find_stale(&mut cells, basis);
        }
        Ok(Record { run, cells })
    }

    fn take(&mut self, event: Envelope) -> Result<(), FoldError> {
        let Envelope {
            run,
            cell,
            seq,
            body,
            ..
        } = event;
        if self.run.is_none() {
            let Body::RunStarted(start) = body else {
                return Err(FoldError::Start { seq });
            };
            self.run = Some((run, start));
            return Ok(());
        }
        match body {
            Body::RunStarted(_) => Err(FoldError::Start { seq }),
            Body::RunEnded { interrupted } => {
                self.end = Some(if interrupted {
                    RunEnd::Interrupted
                } else {
                    RunEnd::Complete
                });
                Ok(())
            }
            Body::CellPlanned(planned) => {
                let cell = cell.ok_or(FoldError::NoCell { seq })?;
                if self.positions.contains_key(&cell) || planned.plan.target != cell.target {
                    return Err(FoldError::Replanned { seq, cell });
                }
                self.positions.insert(cell.clone(), self.cells.len());
                self.cells
                    .push(CellFolder::new(cell, *planned, self.last_ms));
                Ok(())
            }
            body @ (Body::AttemptStarted { .. }
            | Body::ContentReady(_)
            | Body::ContentRefused(_)
            | Body::SandboxStarted(_)
            | Body::Executor(_)
            | Body::Output(_)
            | Body::Manifest(_)
            | Body::Trace(_)
            | Body::Request(_)
            | Body::Package(_)
            | Body::CrossChecked(_)
            | Body::AttemptFailed(_)
            | Body::SandboxLeft(_)
            | Body::CellEnded(_)) => self.take_fact(cell, seq, body),
        }
    }

    fn take_fact(&mut self, cell: Option<CellId>, seq: u64, body: Body) -> Result<(), FoldError> {
        let cell = cell.ok_or(FoldError::NoCell { seq })?;
        let Some(position) = self.positions.get(&cell) else {
            return Err(FoldError::Unplanned { seq, cell });
        };
        let folder = &mut self.cells[*position];
        if folder.facts().ended.is_some() {
            return Err(FoldError::AfterCellEnd { seq, cell });
        }
        folder.push(body, self.last_ms);
        Ok(())
    }
}

/// True for what an executor sees: its own events and what its streams carried.
fn may_come_from_a_sandbox(body: &Body) -> bool {
    match body {
        Body::Executor(_) | Body::Output(_) | Body::Manifest(_) | Body::Trace(_) => true,
        Body::RunStarted(_)
        | Body::CellPlanned(_)
        | Body::AttemptStarted { .. }
        | Body::ContentReady(_)
        | Body::ContentRefused(_)
        | Body::SandboxStarted(_)
        | Body::Request(_)
        | Body::Package(_)
        | Body::CrossChecked(_)
        | Body::AttemptFailed(_)
        | Body::SandboxLeft(_)
        | Body::CellEnded(_)
        | Body::RunEnded { .. } => false,
    }
}

#[cfg(test)]
mod tests;
