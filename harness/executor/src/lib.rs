//! The executor: PID 1 of every sandbox, at the inner end of the one byte stream that leads in.
//!
//! It performs the ops of a program in order and reports facts. What it may not do:
//!
//! - it knows no distribution: every word it runs comes from the program, chosen by `plan`;
//! - it judges nothing: that is `observe`'s;
//! - it reaches nothing outside the sandbox except through the stream it was started with;
//! - it trusts nothing it finds inside: every read is bounded, no link of a walked tree is
//!   followed, no child holds a descriptor of the stream or can reach one.
//!
//! Read in the order of a session: [`start`] (becoming PID 1 that no child can reach into), [`boot`]
//! (where systemd becomes PID 1 instead), [`confine`] and [`filter`] (what nothing in a sandbox may),
//! [`mux`] (frames, credits, streams), [`session`] (program, directives, ops), [`launch`] and
//! [`spawn`] (a process with the ids of its user), [`reap`], [`supervise`] and [`account`]
//! (limits), [`write`] (files), [`extract`] (archives), [`users`], [`surroundings`] (what the harness adds),
//! [`repositories`] and [`keyrings`] (what the image's managers ask and trust), [`tunnel`]
//! (connections out), [`fetch`] (a downloader for programs of the sandbox), [`terminal`] (shells),
//! [`manifest`] (the file system as seen), [`trace`] (who did it).

mod account;
mod asker;
mod blobs;
mod boot;
mod confine;
pub mod extract;
mod fault;
mod fetch;
mod filter;
mod keyrings;
mod launch;
mod loopback;
mod manifest;
mod mux;
mod reap;
mod repositories;
mod session;
mod spawn;
mod start;
mod supervise;
mod surroundings;
mod terminal;
mod trace;
mod tunnel;
mod users;
mod wake;
mod write;

pub use start::main;
