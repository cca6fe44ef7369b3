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
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let (size, sha256, text) = hashed(&mut entry, keep(&path))?;
                if let Some(text) = text {
                    found.kept.insert(path.clone(), text);
                }
                let sha256 = Some(sha256);
                PackagedKind::File { size, sha256 }
            }
            EntryType::Directory => PackagedKind::Folder,
            EntryType::Symlink => PackagedKind::Symlink(link?),
            EntryType::Link => PackagedKind::Hardlink(absolute(&link?)?),
            EntryType::XGlobalHeader => continue,
            _ => PackagedKind::Special,
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

/// Size and hash of what is read, and the bytes themselves where they are kept.
fn hashed(
    bytes: &mut impl Read,
    keep: bool,
) -> Result<(u64, [u8; 32], Option<Vec<u8>>), PackageError> {
    let (mut hash, mut size, mut text) = (Sha256::new(), 0u64, Vec::new());
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = bytes.read(&mut piece)?;
        if read == 0 {
            let sha256 = hash.finalize().into();
            return Ok((size, sha256, keep.then_some(text)));
        }
        hash.update(&piece[..read]);
        size += read as u64;
        if keep {
            if size > MOST_KEPT {
                return Err(PackageError::TooLarge("a file of its own"));
            }
            text.extend_from_slice(&piece[..read]);
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
