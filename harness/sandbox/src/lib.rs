//! Sandboxes: how one is started, spoken to, kept and removed, and the images they start from.
//!
//! A sandbox is entered through one door, the byte stream of [`session::Channel`], on which the
//! runner and the executor speak `assay-wire`. This crate carries those bytes and reads none of
//! them (the fake, which plays the executor, excepted). What it does not do:
//!
//! - no exec, no copy and no second channel into a sandbox once it runs;
//! - nothing is decided about recipes, outcomes or retries: a fault is told with its cause
//!   ([`error`]), what follows from it is `run`'s;
//! - no type of the engine's client leaves [`docker`];
//! - nothing that carries another owner's label, or none, is ever removed ([`sweep`]).
//!
//! Read in this order: [`session`] (the session and what it is made of), [`docker`] (an engine
//! that speaks Docker's API), [`fake`] (a session without a sandbox, for tests), [`lease`] and
//! [`sweep`] (nothing is left behind), [`images`] (base images).

pub mod docker;
pub mod error;
pub mod fake;
pub mod images;
pub mod lease;
pub mod session;
pub mod sweep;
