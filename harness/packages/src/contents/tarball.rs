//! The tar archives within packages: what they put where, hashed as it passes by.

use std::collections::BTreeMap;
use std::io::Read;

use sha2::{Digest as _, Sha256};
use tar::{Entry, EntryType};

use super::{
    Capabilities, MOST_BYTES, MOST_FILES, MOST_KEPT, MOST_NAMES, Owner, PackagedFile, PackagedKind,
    absolute,
};
use crate::archive;
use crate::unreadable::Unreadable;

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
pub(super) fn read(bytes: impl Read, keep: impl Fn(&[u8]) -> bool) -> Result<Tarball, Unreadable> {
    let mut found = Tarball::default();
    let mut names = 0;
    archive::each(bytes, MOST_BYTES, |entry| {
        if found.files.len() == MOST_FILES {
            return Err(Unreadable::TooLarge("files"));
        }
        let path = absolute(&entry.path_bytes())?;
        let capabilities = capabilities(entry)?;
        let link = entry.link_name_bytes().map(|link| link.into_owned());
        names += path.len() + link.as_ref().map_or(0, Vec::len);
        if names > MOST_NAMES {
            return Err(Unreadable::TooLarge("names"));
        }
        let link = link.ok_or(Unreadable::Damaged("a link that leads nowhere"));
        let header = entry.header();
        let mode = header.mode()? & 0o7777;
        let user = owner(header.username_bytes(), header.uid())?;
        let group = owner(header.groupname_bytes(), header.gid())?;
        let Some(kind) = kind(entry, link, || {
            keep(&path).then(|| found.kept.entry(path.clone()).or_default())
        })?
        else {
            return Ok(());
        };
        found.files.push(PackagedFile {
            path,
            kind,
            mode,
            user,
            group,
            capabilities,
        });
        Ok(())
    })?;
    Ok(found)
}

/// What an entry is; `None` for one that is about all others.
fn kind<'k>(
    entry: &mut Entry<'_, impl Read>,
    link: Result<Vec<u8>, Unreadable>,
    kept: impl FnOnce() -> Option<&'k mut Vec<u8>>,
) -> Result<Option<PackagedKind>, Unreadable> {
    let kind = entry.header().entry_type();
    Ok(Some(if kind.is_pax_global_extensions() {
        return Ok(None);
    } else if kind.is_file() || kind.is_contiguous() || kind == EntryType::GNUSparse {
        hashed(entry, kept())?
    } else if kind.is_dir() {
        PackagedKind::Folder
    } else if kind.is_symlink() {
        PackagedKind::Symlink(link?)
    } else if kind.is_hard_link() {
        PackagedKind::Hardlink(absolute(&link?)?)
    } else if kind.is_character_special() {
        PackagedKind::CharDevice
    } else if kind.is_block_special() {
        PackagedKind::BlockDevice
    } else if kind.is_fifo() {
        PackagedKind::Fifo
    } else {
        return Err(Unreadable::Damaged("an entry of no kind that is known"));
    }))
}

/// What is read as a file, whose bytes go into `kept` where they are kept.
fn hashed(
    bytes: &mut impl Read,
    mut kept: Option<&mut Vec<u8>>,
) -> Result<PackagedKind, Unreadable> {
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
                return Err(Unreadable::TooLarge("a file of its own"));
            }
            kept.extend_from_slice(&piece[..read]);
        }
    }
}

fn owner(name: Option<&[u8]>, id: std::io::Result<u64>) -> Result<Owner, Unreadable> {
    let id = u32::try_from(id?).map_err(|_| Unreadable::Damaged("an owner's number"))?;
    Ok(Owner {
        name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
        id: Some(id),
    })
}

fn capabilities(entry: &mut Entry<'_, impl Read>) -> Result<Option<Capabilities>, Unreadable> {
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
