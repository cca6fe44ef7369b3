//! Base images: what each target's image is, making it, finding it, and what this machine lacks.
//!
//! A definition ([`Definition`], from [`Definitions::load`]) names the sources of a target's image;
//! [`build`] makes it from the first source that gives it, [`find`] answers with the one a run
//! uses, [`list`] with all of them, [`diagnose`] says what is missing and how to mend it.
//!
//! No host name of a package mirror stands here, no shell is given anything a definition says, and
//! a stand-in is never passed off as the distribution itself ([`SourceKind::is_genuine`]).
//!
//! In reading order: [`definition`] with [`source`], [`os_release`] and [`date`]; `read`;
//! [`set`];
//! [`build`](build()) with `bootstrap`, [`lab`], [`pull`], `command`, [`rootfs`] and [`error`];
//! [`inventory`]; [`variant`]; [`mod@verify`] with [`saved`]; [`mod@prune`]; [`mod@diagnose`].

pub mod date;
pub mod definition;
pub mod os_release;
pub mod source;

mod read;
pub mod set;

mod bootstrap;
pub mod build;
pub mod command;
pub mod error;
pub mod lab;
pub mod pull;
pub mod rootfs;

pub mod diagnose;
pub mod inventory;
pub mod prune;
pub mod saved;
pub mod variant;
pub mod verify;

#[cfg(test)]
mod container_tests;

pub use build::{BuildOptions, BuiltImage, build};
pub use date::Date;
pub use definition::{Definition, DefinitionError};
pub use diagnose::{Finding, Level, diagnose};
pub use error::BuildError;
pub use inventory::{FoundImage, ImageRow, State, find, list, repository_hosts};
pub use prune::{PruneOptions, Pruned, Scope, prune};
pub use rootfs::RepositoryHost;
pub use set::{Definitions, Placed};
pub use source::{Source, SourceKind};
pub use variant::{Derivation, derivation, find_variant, keep_derived};
pub use verify::{Verdict, Verified, verify};
