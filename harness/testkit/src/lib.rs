//! Builders for tests: plans and event logs that hold together, written in a few words, and a server
//! that is as real as loopback allows.
//!
//! Dev-only, and it depends on no crate of ours but `wire`, so that every one above may use it. It
//! judges nothing and touches no sandbox. Read [`plans`] first (what a cell is to do), then [`log`]
//! (what is reported of it); [`server`] is for whatever fetches.

pub mod log;
mod packages;
pub mod plans;
pub mod server;
mod trace;

pub use log::{Log, added, captured, changed, removed, state};
pub use plans::PlanBuilder;
