//! Everything that is rpm: packages, rpm-md indexes, the Fedora image.
//!
//! `rpm` writes one package, `signature` signs it, `rpm_md` the index of many, `image` the root file system.

pub(crate) mod image;
pub(crate) mod rpm;
pub(crate) mod rpm_md;
mod signature;
