//! Indexes of repositories: which packages they list, by the hash of their bytes.
//!
//! ```text
//! apt      Release ──SHA256──▶ Packages ──SHA256──▶ .deb
//! rpm-md   repomd.xml ──checksum──▶ primary.xml ──pkgid──▶ .rpm
//! pacman   NAME.db ──%SHA256SUM%──▶ package
//! ```
//!
//! Only sha256 counts. Bytes in, values out; an index comes from the network and unpacks to hundreds of
//! megabytes, so it is read as a stream, bounded, and a fault is an error. Whether anybody signed it is
//! checked elsewhere. Read [`IndexFormat::read`] first, then [`Listing`], [`apt`], [`rpm_md`] and
//! [`pacman`].

pub mod apt;
mod listing;
mod pacman;
pub mod rpm_md;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read as _};

pub use self::listing::Listing;
use crate::compression::decompressed;
use crate::unreadable::Unreadable;

/// Most bytes an index unpacks to.
pub const MOST_BYTES: u64 = 4 << 30;

/// Most packages that one index lists.
pub const MOST_LISTED: usize = 2_000_000;

/// Most bytes of all signatures that stand in one index.
pub const MOST_SIGNED: usize = 64 << 20;

/// A sha256.
pub type Sha256 = [u8; 32];

/// The hashes of indexes that another index lists.
pub type Indexes = BTreeSet<Sha256>;

/// What an index of packages is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexFormat {
    /// apt's `Packages` (<https://wiki.debian.org/DebianRepository/Format>).
    Apt,
    /// `primary.xml` of rpm-md (createrepo_c(8)).
    RpmMd,
    /// A database of pacman's (repo-add(8)).
    Pacman,
}

/// The packages that an index lists while it is read, each with the OpenPGP packets of its own signature
/// where these stand in the index, as they do in pacman's; nothing where they do not.
#[derive(Debug, Default)]
struct Listed {
    packages: BTreeMap<Sha256, Vec<u8>>,
    signed: usize,
}

impl IndexFormat {
    /// Reads an index, compressed or not.
    ///
    /// # Errors
    /// It is damaged, or larger than the bounds of this module.
    pub fn read(self, bytes: impl BufRead) -> Result<Listing, Unreadable> {
        // One byte more than there may be, so that what is too large is told from what ends there.
        let mut bytes = BufReader::new(decompressed(bytes)?.take(MOST_BYTES + 1));
        let listed = match self {
            Self::Apt => apt::packages(&mut bytes),
            Self::RpmMd => rpm_md::packages(&mut bytes),
            Self::Pacman => pacman::packages(&mut bytes),
        };
        if bytes.get_ref().limit() == 0 {
            return Err(Unreadable::TooLarge("bytes"));
        }
        Ok(Listing::of(&listed?))
    }
}

impl Listed {
    fn add(&mut self, sha256: Sha256, signature: Vec<u8>) -> Result<(), Unreadable> {
        self.signed += signature.len();
        if self.packages.len() == MOST_LISTED {
            return Err(Unreadable::TooLarge("packages"));
        }
        if self.signed > MOST_SIGNED {
            return Err(Unreadable::TooLarge("signatures"));
        }
        self.packages.insert(sha256, signature);
        Ok(())
    }
}

/// 64 hex digits as bytes.
fn sha256(hex: &[u8]) -> Option<Sha256> {
    let mut digest = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |one: u8| char::from(one).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(digest)
}

/// Reads the next line without its end, of which at most so many bytes are kept. False at the end.
fn line(bytes: &mut impl BufRead, kept: &mut Vec<u8>, most: u64) -> io::Result<bool> {
    kept.clear();
    if bytes.by_ref().take(most).read_until(b'\n', kept)? == 0 {
        return Ok(false);
    }
    if kept.last() == Some(&b'\n') {
        kept.pop();
    } else {
        bytes.skip_until(b'\n')?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
