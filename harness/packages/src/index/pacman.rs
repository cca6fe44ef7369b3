//! pacman's databases: an archive with a folder for each package, whose file `desc` says the hash of its
//! bytes and, where the repository has one, its signature (alpm-repo-desc(5), repo-add(8)).

use std::io::{BufRead, BufReader, Read};

use super::{Listed, MOST_BYTES, line, sha256};
use crate::archive;
use crate::base64;
use crate::unreadable::Unreadable;

/// Most bytes of a file `desc`.
const MOST_DESC: u64 = 4 << 20;

/// Longest line of one. A signature is one line of at most 16 KiB (pacman's own limit of a file of it) in
/// four digits for three bytes.
const LONGEST: u64 = 32 << 10;

/// The packages of a database.
pub(super) fn packages(bytes: &mut impl BufRead) -> Result<Listed, Unreadable> {
    let mut listed = Listed::default();
    archive::each(bytes, MOST_BYTES, |entry| {
        let is_desc = entry.path_bytes().ends_with(b"/desc");
        if !entry.header().entry_type().is_file() || !is_desc {
            // Whatever else there is, such as lists of files, is passed over as a stream.
            std::io::copy(entry, &mut std::io::sink())?;
            return Ok(());
        }
        if entry.size() > MOST_DESC {
            return Err(Unreadable::TooLarge("a package's description"));
        }
        describe(BufReader::new(entry), &mut listed)
    })?;
    Ok(listed)
}

fn describe(bytes: BufReader<impl Read>, listed: &mut Listed) -> Result<(), Unreadable> {
    let (mut hash, mut signature) = (None, Vec::new());
    let (mut bytes, mut kept, mut field) = (bytes, Vec::new(), Vec::new());
    while line(&mut bytes, &mut kept, LONGEST)? {
        if kept.starts_with(b"%") {
            field.clone_from(&kept);
        } else if field == b"%SHA256SUM%" && !kept.is_empty() {
            let found = sha256(kept.trim_ascii());
            hash = Some(found.ok_or(Unreadable::Damaged("a hash"))?);
        } else if field == b"%PGPSIG%" && !kept.is_empty() {
            let found = base64::decode(&kept);
            signature = found.ok_or(Unreadable::Damaged("a signature"))?;
        }
    }
    match hash {
        Some(hash) => listed.add(hash, signature),
        // Only by another hash, which nobody asks for.
        None => Ok(()),
    }
}
