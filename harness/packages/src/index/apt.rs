//! apt's indexes: a `Release` file lists `Packages` files, each of which lists packages (deb822(5),
//! <https://wiki.debian.org/DebianRepository/Format>).

use std::io::BufRead;

use super::{Indexes, Listed, MOST_LISTED, line, sha256};
use crate::unreadable::Unreadable;

/// Longest line that is read whole; the rest of a longer one, a list of what a package provides, says
/// nothing here.
const LONGEST: u64 = 4096;

/// The hashes of the `Packages` files that a `Release` file lists, compressed or not. The text is that
/// which was signed.
///
/// # Errors
/// It lists more than is read.
pub fn indexes(release: &str) -> Result<Indexes, Unreadable> {
    let mut indexes = Indexes::new();
    let mut within = false;
    for line in release.lines() {
        if !line.starts_with([' ', '\t']) {
            within = line.trim_end() == "SHA256:";
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(hash), Some(_size), Some(path)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if within && is_packages(path) {
            indexes.extend(sha256(hash.as_bytes()));
        }
        if indexes.len() > MOST_LISTED {
            return Err(Unreadable::TooLarge("indexes"));
        }
    }
    Ok(indexes)
}

/// True for `main/binary-amd64/Packages.xz`, and not for what else a `Release` file lists.
fn is_packages(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name == "Packages" || name.starts_with("Packages.")
}

/// The packages of a `Packages` file.
pub(super) fn packages(bytes: &mut impl BufRead) -> Result<Listed, Unreadable> {
    let mut listed = Listed::default();
    let mut kept = Vec::new();
    while line(bytes, &mut kept, LONGEST)? {
        if let Some(hash) = kept.strip_prefix(b"SHA256:") {
            let hash = sha256(hash.trim_ascii()).ok_or(Unreadable::Damaged("a hash"))?;
            listed.add(hash, Vec::new())?;
        }
    }
    Ok(listed)
}
