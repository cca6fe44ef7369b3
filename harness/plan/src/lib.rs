//! Recipes and a target to a plan: what is done on a distribution, in order, to the byte.
//!
//! - No file, process, clock, environment, network or terminal is touched here.
//! - Functions only: what they return is `wire`'s, and what the executor runs is that value itself.
//!   Text for people and snapshots is rendered from it, never the other way round.
//! - Every distribution's difference is decided here; the executor knows none.
//! - Nothing is judged here: what must come of an op is stated, `observe` compares.
//! - Every recipe set has a plan on every target, or a fault that says why it has none anywhere like
//!   it; no input makes anything here panic.
//!
//! In the order a plan is made: [`target`] (facts of a machine), [`set`](closure) (what depends on
//! what), `applies` (`when` and the nearest named distribution), `request` and `order` (merging and
//! moving), `manager`, `repository`, `group`, `service` and `presence` (lowering), `ops` and `build` (the plan),
//! `declared` (what of it only root may do).
//! [`harness_env`](fn@harness_env) is what is added beside it, [`render`] and [`snapshot`] its text,
//! [`lint`](fn@lint) what needs targets to be found, [`mod@beside`] what differs between targets.

pub mod beside;
pub mod fault;
pub mod render;
pub mod snapshot;
pub mod target;

mod applies;
mod build;
mod declared;
mod group;
mod harness_env;
mod lint;
mod locked;
mod manager;
mod ops;
mod order;
mod presence;
mod repository;
mod request;
mod service;
mod set;

#[cfg(test)]
mod fixtures;

pub use beside::{Beside, beside};
pub use build::{RecipeDistro, effective_distros, plan, plan_locked};
pub use fault::{Fault, FaultCode, Place};
pub use harness_env::{PACKAGES, harness_env, package_of};
pub use lint::lint;
pub use render::{
    beyond_commands, render_beside, render_explanation, render_harness_env, render_markdown,
    render_ops, render_plan, render_shell, snapshot_text,
};
pub use set::closure;
pub use target::{Distro, EffectiveDistro, Target};
