//! Builders for tests: plans and event logs that hold together, written in a few words.
//!
//! Dev-only, and it depends on `wire` alone, so that every crate above may use it. It judges
//! nothing and touches no sandbox. Read [`plans`] first (what a cell is to do), then [`log`] (what
//! is reported of it).

pub mod log;
pub mod plans;

pub use log::{Log, added, captured, changed, removed, state};
pub use plans::PlanBuilder;
