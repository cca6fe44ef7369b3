//! Package managers' data: how each of them orders versions, ranges over those orders, what is in a
//! package, and which packages an index lists.
//!
//! - No file, process, clock, environment, network or terminal is touched here.
//! - Nothing is downloaded and no package is installed: who compares, has the versions already.
//! - No function panics, whatever text it is given; versions come from sandboxes and indexes.
//!
//! Read [`rules`] first (which comparator), then [`range`] (constraints over it), then the
//! comparators [`dpkg`], [`rpm`], [`pacman`] and [`apk`]. [`dotted`] compares what commands print about
//! themselves, [`distro`] the `VERSION_ID` of os-release. [`contents`] reads packages, [`index`] the
//! indexes of repositories; which of them a file is its name says ([`role`]).

pub mod contents;
pub mod index;
pub mod role;
pub mod rules;

pub mod apk;
pub mod dpkg;
pub mod pacman;
pub mod rpm;

pub mod distro;
pub mod dotted;
pub mod range;

mod archive;
mod base64;
mod compression;
mod digits;
#[cfg(test)]
mod laws;
mod unreadable;

pub use distro::{DistroVersion, DistroVersionRange};
pub use range::{Constraint, Operator, RangeError, VersionRange, VersionRequest};
pub use rules::{Rules, compare};
pub use unreadable::Unreadable;
