//! Everything that is pacman: packages, databases, the Arch image.
//!
//! `package` writes one package, `database` the index of many, `image` the root file system.

pub(crate) mod database;
pub(crate) mod image;
pub(crate) mod package;
