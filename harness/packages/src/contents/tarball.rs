//! The tar archives within packages: what they put where, hashed as it passes by.

use std::collections::BTreeMap;
use std::io::Read;

use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use super::{
    Capabilities, MOST_BYTES, MOST_FILES, MOST_KEPT, Owner, PackageError, PackagedFile,
    PackagedKind, absolute,
};

/// How an archive names the attribute of capabilities (pax, as GNU tar and libarchive write it).
const CAPABILITY: &str = "SCHILY.xattr.security.capability";

/// What an archive holds.
#[derive(Debug, Default)]
pub(super) struct Tarball {
    pub(super) files: Vec<PackagedFile>,
    /// The files that are kept whole, by their absolute path.
    pub(super) kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Reads an archive to its end. The text of files that `keep` names is kept.
pub(super) fn read(
    bytes: impl Read,
    keep: impl Fn(&[u8]) -> bool,
) -> Result<Tarball, PackageError> {
    // One byte more than there may be, so that what is too large is told from what ends there.
    let mut archive = Archive::new(bytes.take(MOST_BYTES + 1));
    let mut found = Tarball::default();
    let mut unpacked: u64 = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        if found.files.len() == MOST_FILES {
            return Err(PackageError::TooLarge("files"));
        }
        unpacked = unpacked.saturating_add(entry.size());
        if unpacked > MOST_BYTES {
            return Err(PackageError::TooLarge("bytes"));
        }
        let path = absolute(&entry.path_bytes())?;
        let capabilities = capabilities(&mut entry)?;
        let link = entry.link_name_bytes().map(|link| link.into_owned());
        let link = link.ok_or(PackageError::Damaged("a link that leads nowhere"));
        let header = entry.header();
        let mode = header.mode()? & 0o7777;
        let user = owner(header.username_bytes(), header.uid())?;
        let group = owner(header.groupname_bytes(), header.gid())?;
        let kind = header.entry_type();
        let kind = if kind.is_pax_global_extensions() {
            continue;
        } else if kind.is_file() || kind.is_contiguous() || kind == EntryType::GNUSparse {
            let kept = keep(&path).then(|| found.kept.entry(path.clone()).or_default());
            hashed(&mut entry, kept)?
        } else if kind.is_dir() {
            PackagedKind::Folder
        } else if kind.is_symlink() {
            PackagedKind::Symlink(link?)
        } else if kind.is_hard_link() {
            PackagedKind::Hardlink(absolute(&link?)?)
        } else {
            PackagedKind::Special
        };
        found.files.push(PackagedFile {
            path,
            kind,
            mode,
            user,
            group,
            capabilities,
        });
    }
    Ok(found)
}

/// What is read as a file, whose bytes go into `kept` where they are kept.
fn hashed(
    bytes: &mut impl Read,
    mut kept: Option<&mut Vec<u8>>,
) -> Result<PackagedKind, PackageError> {
    let (mut hash, mut size) = (Sha256::new(), 0u64);
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = bytes.read(&mut piece)?;
        if read == 0 {
            let sha256 = Some(hash.finalize().into());
            return Ok(PackagedKind::File { size, sha256 });
        }
        hash.update(&piece[..read]);
        size += read as u64;
        if let Some(kept) = &mut kept {
            if size > MOST_KEPT {
                return Err(PackageError::TooLarge("a file of its own"));
            }
            kept.extend_from_slice(&piece[..read]);
        }
    }
}

fn owner(name: Option<&[u8]>, id: std::io::Result<u64>) -> Result<Owner, PackageError> {
    let id = u32::try_from(id?).map_err(|_| PackageError::Damaged("an owner's number"))?;
    Ok(Owner {
        name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
        id: Some(id),
    })
}

fn capabilities(
    entry: &mut tar::Entry<'_, impl Read>,
) -> Result<Option<Capabilities>, PackageError> {
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(None);
    };
    for extension in extensions {
        let extension = extension?;
        if extension.key_bytes() == CAPABILITY.as_bytes() {
            let value = extension.value_bytes().to_vec();
            return Ok(Some(Capabilities::Attribute(value)));
        }
    }
    Ok(None)
}
