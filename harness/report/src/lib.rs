//! Records to text: one record, one function per format.
//!
//! - No file, process, clock, environment, network or terminal is touched here: a function gets a
//!   record, options and a writer. Whether there is a terminal, how wide it is and whether it has
//!   colours, the CLI finds out.
//! - Nothing is judged here: outcome, verdict and exit code are `observe`'s.
//! - Whatever came from a recipe or a sandbox passes [`sanitise`] on its way out, without exception.
//! - `run` and `sandbox` are never imported: any report can be made again from a stored journal.
//!
//! Read [`sanitise`] first, then [`human`] (matrix, failures, summary), then [`json`]; [`junit`],
//! [`github`], [`sarif`] and [`markdown`] say the same to programs and pages of others, in the words of `words`;
//! [`mod@html`] is a page of our own, which shows all of it.

pub mod github;
pub mod html;
pub mod human;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod sanitise;
pub mod sarif;

mod screen;
mod words;

pub use github::github;
pub use html::html;
pub use human::{Detail, HumanOptions, human};
pub use json::{json, json_schema};
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;
pub use words::{Counts, standing_in_words};

#[cfg(test)]
mod sample;
