//! Words both sides of the sandbox speak: identities, plans, programs, events and frames.
//!
//! Everything that crosses the wire between the runner (on the host) and the executor (inside the
//! sandbox), and everything a journal on disk holds, is a type of this crate. It holds types,
//! their text forms and their codecs, and nothing else:
//!
//! - no file, process, clock, environment, network or terminal is touched here;
//! - no distribution is known here (that is `plan`), nothing is judged here (that is `observe`);
//! - only ordered collections appear, so the same value is always the same bytes.
//!
//! Read in pipeline order: [`name`] and [`digest`] (identities), [`source`] (places in recipes),
//! [`plan`] (what will be done), [`privileged`] (what of it only root may do), [`program`] (a plan as
//! sent, with what the harness adds),
//! [`frame`] and [`control`] (the byte stream), [`manifest`] (the file system as seen),
//! [`trace`] (who did it),
//! [`package`] (what came into it from a manager's repositories),
//! [`event`] (facts and their envelope), [`key`] (what can be wrong with a repository's key),
//! [`lock`] (what a recorded run was given), [`cell_key`] (whether the same was asked), [`consent`]
//! (what was granted), [`outcome`] (the words of a verdict).

pub mod cell_key;
pub mod consent;
pub mod control;
pub mod digest;
pub mod event;
pub mod frame;
pub mod key;
pub mod lock;
pub mod manifest;
pub mod name;
pub mod outcome;
pub mod package;
pub mod plan;
pub mod privileged;
pub mod program;
pub mod source;
pub mod trace;

/// Version of everything in this crate that is written down or sent: journals and sessions of
/// another version are refused, never guessed at.
pub const PROTOCOL: u32 = 2;
