//! Cells against scripted executors: what is sent, what is recorded, what comes of it. No engine is
//! needed, and no time passes: the clock is paused.
//!
//! [`stage`] is the world of a test; [`content`] is about what is fetched, [`keyrings`] about the keys of
//! an image, [`verdicts`] has executors that behave and recipes that do not, [`faults`] executors,
//! engines and disks that misbehave.

mod content;
mod faults;
mod keyrings;
mod stage;
mod verdicts;
