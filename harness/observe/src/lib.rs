//! From events to judgement: what a journal says, folded into one record, and what follows from it.
//!
//! - No file, process, clock, environment, network or terminal is touched here: the CLI reads the
//!   journal, the runner sends the events.
//! - Nothing is performed, planned or fetched here, and `run` and `sandbox` are never imported:
//!   every record can be rebuilt from a stored journal alone.
//! - Facts come from inside a sandbox: whatever they say, nothing panics, and a pass needs the
//!   evidence of a pass (every op's ending, both applies, the manifest, the cross-check).
//!
//! Read in pipeline order: [`fold`] (events → facts, strict about the envelope, tolerant of a
//! journal cut short), [`record`] (the types), [`judge`] (facts → [`outcome::Outcome`]), with
//! [`presence`] and [`version`] for requirements, [`capture`] for gaps and [`noise`] for
//! idempotence; then [`expectation`] (as expected or not) and [`exit`] (one exit code for a run).
//! [`risk`] and [`attack`] are the tables of privileged operations, [`mod@consent`] judges what plans declare
//! and runs showed by the ledger. [`notable`] stands apart: what a reader is to see first, which decides nothing.

pub mod attack;
pub mod capture;
pub mod consent;
pub mod delta;
pub mod exit;
pub mod expectation;
mod explain;
pub mod fold;
pub mod judge;
mod lookup;
pub mod noise;
pub mod notable;
pub mod observed;
pub mod outcome;
pub mod presence;
pub mod record;
pub mod risk;
pub mod state;
pub mod version;

pub use exit::{ExitCode, exit_code};
pub use fold::{CellFolder, FoldError, Folder, fold, fold_journal, fold_journal_judged_by};
pub use judge::{is_last_requirement, judge, op_failed, op_failures};
pub use outcome::{Failure, Outcome};
pub use presence::{PresenceVerdict, judge_presence};
pub use record::{CellFacts, CellRecord, Record};

#[cfg(test)]
mod outcome_table;
