//! Unpacking an archive: tar, plain or compressed, and zip, told apart by their first bytes.
//!
//! The archive is hostile: whoever wrote it wants to reach a file outside of the folder it is
//! unpacked to, to fill the disk or the memory, or to mean one thing to this reader and another to
//! the next. So nothing is written outside that folder, whatever links are in it or come with the
//! archive ([`tree`]); what is ambiguous is refused, not guessed; and all that is kept in memory is
//! bounded. A zip is judged whole before its first byte is written, a tar entry by entry: what
//! stood before a refused entry stays.
//!
//! It runs in a process of its own, with the ids and limits of the op (see [`crate::launch`]).
//! Read [`entry`] (what an archive holds), [`compression`], [`tar`] and [`sparse`], [`zip`], then
//! [`tree`] (how it is written).

mod compression;
mod entry;
mod fault;
mod place;
mod sparse;
mod tar;
#[cfg(test)]
mod tests;
mod tree;
mod zip;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use assay_wire::manifest::escape_path;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

pub use fault::{EntryFault, ExtractError};

use compression::Format;
use entry::{Entry, Kind};
use fault::PlaceError;
use tree::Tree;

/// Most entries of an archive, and most folders and files made from one.
const MAX_ENTRIES: u64 = 200_000;

/// Permission bits that are taken from an archive; set-user-id, set-group-id and sticky never are.
const PERMISSIONS: u32 = 0o777;

/// What is unpacked, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpack {
    /// The archive, a file.
    pub archive: String,
    /// The folder; made with its missing parents.
    pub dest: String,
    /// How many leading components of every name are dropped.
    pub strip_components: u32,
    /// Most bytes that may come out of the archive, headers included.
    pub most_bytes: u64,
    /// Permission bits that are taken from nothing: what a umask is to tar(1).
    pub masked: u32,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries that are there now, changed or not.
    pub entries: u64,
    /// How many of them had set-user-id, set-group-id or sticky bits, which were dropped.
    pub bits_dropped: u64,
    /// The first of those, escaped.
    pub first_dropped: Option<String>,
}

/// What readers of archives hand every entry to, with its content; the content need not be read.
type Visit<'a> = dyn FnMut(Entry, &mut dyn Read) -> Result<(), ExtractError> + 'a;

/// Unpacks as the process this is, tells the result on standard error.
pub(crate) fn main(unpack_what: &Unpack) -> ExitCode {
    let mut says = io::stderr().lock();
    // Nobody may be listening any more; the exit code tells.
    match unpack(unpack_what) {
        Ok(Unpacked {
            bits_dropped,
            first_dropped: Some(first),
            ..
        }) => {
            let _ = writeln!(
                says,
                "set-user-id, set-group-id and sticky bits were dropped from {bits_dropped} of \
                 the archive's entries; the first is `{first}`"
            );
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(says, "{} was not unpacked: {error}", unpack_what.archive);
            ExitCode::FAILURE
        }
    }
}

/// Unpacks an archive. Everything made belongs to the ids of this process; a file that is there
/// with the same bytes, mode and owner is left alone, any other is replaced whole by a rename, and
/// folders that are there are kept as they are.
///
/// # Errors
/// If anything in the archive is refused, damaged or too large, or cannot be written. What was
/// written before stays.
pub fn unpack(what: &Unpack) -> Result<Unpacked, ExtractError> {
    let mut archive = open(Path::new(&what.archive))?;
    let format = compression::sniff(&mut archive)?;
    let mut tree = Tree::open(&what.dest, what.masked)?;
    let mut done = Unpacked::default();
    let result = {
        let mut seen = 0;
        let mut bytes = 0_u64;
        let mut visit = |entry: Entry, content: &mut dyn Read| {
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(ExtractError::TooManyEntries(MAX_ENTRIES));
            }
            if let Kind::File { size, .. } = &entry.kind {
                bytes = bytes.saturating_add(*size);
                if bytes > what.most_bytes {
                    return Err(ExtractError::TooLarge(what.most_bytes));
                }
            }
            place(&mut tree, what, &mut done, entry, content)
        };
        match format {
            Format::Zip => zip::each(&mut archive, what.most_bytes, &mut visit),
            Format::Tar(compression) => {
                let stream = compression::decompress(compression, archive, what.most_bytes)?;
                tar::each(stream, &mut visit)
            }
        }
    };
    let settled = tree.settle();
    result.and(settled)?;
    if done.entries == 0 {
        return Err(match what.strip_components {
            0 => ExtractError::Empty,
            strip => ExtractError::NothingLeft(strip),
        });
    }
    Ok(done)
}

/// Writes one entry, unless dropping components leaves nothing of its name.
fn place(
    tree: &mut Tree,
    what: &Unpack,
    done: &mut Unpacked,
    entry: Entry,
    content: &mut dyn Read,
) -> Result<(), ExtractError> {
    let fault = |fault| ExtractError::entry(&entry.name, fault);
    let path = entry::components(&entry.name).map_err(fault)?;
    let strip = usize::try_from(what.strip_components).unwrap_or(usize::MAX);
    let Some(path) = path.get(strip..).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let attributes = tree::Attributes {
        mode: entry.mode & PERMISSIONS & !what.masked,
        modified: entry.modified,
    };
    match &entry.kind {
        Kind::Folder => tree.folder(path, attributes).map_err(Into::into),
        Kind::File { size, sparse } => tree.file(path, attributes, (*size, *sparse), content),
        Kind::Symlink(target) => tree.symlink(path, target),
        Kind::HardLink(target) => entry::components(target)
            .map_err(|_| EntryFault::LinkLeaves)
            .and_then(|target| match target.get(strip..) {
                Some(target) if !target.is_empty() => tree.hard_link(path, target),
                _ => Err(EntryFault::LinkToNothing),
            })
            .map_err(PlaceError::from),
    }
    .map_err(|error| error.of(&entry.name))?;
    done.entries += 1;
    if entry.mode & 0o7000 != 0 {
        done.bits_dropped += 1;
        done.first_dropped
            .get_or_insert_with(|| escape_path(&entry.name));
    }
    Ok(())
}

/// Opens a regular file; nothing that opening changes or waits for is opened.
fn open(path: &Path) -> Result<File, ExtractError> {
    let fault = |source| ExtractError::Archive { source };
    let file = File::options()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)
        .map_err(fault)?;
    if file.metadata().map_err(fault)?.is_file() {
        Ok(file)
    } else {
        Err(fault(io::Error::other("it is no regular file")))
    }
}

/// Reads exactly so many bytes; an early end is a damaged archive.
fn read_exactly(from: &mut dyn Read, bytes: &mut [u8]) -> Result<(), ExtractError> {
    from.read_exact(bytes).map_err(ExtractError::reading)
}
