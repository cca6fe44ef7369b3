//! The scheduler of cells and the journal: drives sessions, records what they report.
//!
//! It judges nothing (that is `observe`, from the journal) and prints nothing (a listener on the
//! journal does). Modules in the order of a run: [`schedule`] (cells, attempts, retries),
//! [`cell`] (one attempt: content, sandbox, program, end), `drive` (one program), `link` (the
//! byte stream), `manifest`, `output` and `keyrings` (what is folded or kept as it arrives), `packages` (what came, read
//! once nothing runs any more), [`journal`] (what is
//! kept), [`shell`] (a person in a sandbox), [`derive`](mod@derive) (a sandbox that becomes an image).

pub mod cell;
pub mod derive;
mod drive;
mod fault;
pub mod journal;
mod keyrings;
mod keys;
mod link;
mod manifest;
mod output;
mod packages;
mod peer;
mod program;
pub mod schedule;
pub mod shell;
#[cfg(test)]
mod tests;

pub use cell::{CellJob, Context, names_of};
pub use journal::{Journal, JournalError, Listener};
pub use packages::PackageReader;
pub use schedule::{RunError, run_cells};
