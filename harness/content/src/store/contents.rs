//! What lies in the store: listing it, verifying it, and removing what nobody needs any more.
//!
//! A blob stays if its digest is a root or it was used within an age; damaged blobs, evidence, what was
//! made of bytes and half-written files go by age alone, and what the store has not written is never touched. Where
//! roots come from is the caller's matter.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use assay_wire::digest::Digest;

use super::error::at;
use super::{ABANDONED, Store, StoreError, Use, WrongKind};

/// Something in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// The sha256 in its name, if it has one: of its bytes, of those that should be there, or of those it
    /// was made of.
    pub digest: Option<Digest>,
    /// Its size in bytes, with what lies beside it.
    pub bytes: u64,
    /// When it was last read or written.
    pub used: SystemTime,
    /// Where it lies.
    pub path: PathBuf,
    /// The facts beside evidence.
    pub note: Option<PathBuf>,
}

/// What something in the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKind {
    /// Bytes by their sha256.
    Blob,
    /// A blob that was found damaged, set aside.
    Corrupt,
    /// Bytes that were not the ones asked for.
    Evidence,
    /// What was made of bytes, whose digest is its name's, and can be made again.
    Derived,
    /// A blob being written, or left so by a process that died.
    Temporary,
    /// Nothing this store writes.
    Foreign,
}

impl ItemKind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Corrupt => "corrupt",
            Self::Evidence => "evidence",
            Self::Derived => "derived",
            Self::Temporary => "temporary",
            Self::Foreign => "foreign",
        }
    }
}

/// What came of looking at a blob's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They have the digest of their name.
    Verified,
    /// They had another; the file was set aside under this name.
    Damaged(PathBuf),
    /// There is nothing of that name any more.
    Missing,
}

/// What is to be removed.
#[derive(Debug, Clone, Copy)]
pub struct Pruning<'a> {
    /// Blobs that stay whatever their age.
    pub roots: &'a BTreeSet<Digest>,
    /// What was used within this time stays, seen from `now`.
    pub older_than: Duration,
    /// The time.
    pub now: SystemTime,
    /// True if nothing is removed and only told what would be.
    pub dry_run: bool,
}

/// Something that nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// What it is, or was.
    pub item: Item,
    /// Why it could not be removed, if so.
    pub kept: Option<String>,
}

impl Store {
    /// Everything in the store, by kind and name. What goes while it is looked at is left out.
    ///
    /// # Errors
    /// A folder of the store cannot be read.
    pub fn list(&self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let blobs = self.blobs();
        for (folder, found) in entries(&blobs)? {
            let prefix = name_of(&folder);
            if !found.is_dir() || !is_hex(prefix, 2) {
                items.push(foreign(folder, &found));
                continue;
            }
            for (path, found) in entries(&folder)? {
                items.push(in_blobs(prefix, path, &found));
            }
        }
        for (maker, found) in entries(&self.all_derived())? {
            if !found.is_dir() {
                items.push(foreign(maker, &found));
                continue;
            }
            for (folder, _) in entries(&maker)? {
                let made = entries(&folder)?.into_iter();
                items.extend(made.map(|(path, found)| in_derived(path, &found)));
            }
        }
        for (path, found) in entries(&self.temporary())? {
            items.push(match WrongKind::of(&found) {
                None => item(ItemKind::Temporary, None, path, &found),
                Some(_) => foreign(path, &found),
            });
        }
        items.extend(evidence(entries(&self.evidence())?));
        items.sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
        Ok(items)
    }

    /// Looks at every byte of a blob. A damaged one is set aside, as any reader does; being looked at
    /// is no use.
    ///
    /// # Errors
    /// Something is there that cannot be read, or is no file.
    pub fn verify(&self, digest: &Digest) -> Result<Verdict, StoreError> {
        let Some(mut file) = self.open_blob(digest, Use::DoesNot)? else {
            return Ok(Verdict::Missing);
        };
        Ok(match self.verified(digest, &mut file)? {
            Some(_) => Verdict::Verified,
            None => Verdict::Damaged(self.name_of(digest).with_extension("corrupt")),
        })
    }

    /// Removes what nobody needs any more, and gives what that is. Any number of processes may read
    /// and write meanwhile: what they use before it is removed stays.
    ///
    /// # Errors
    /// The store cannot be read, or its folder cannot be locked.
    pub fn prune(&self, pruning: &Pruning<'_>) -> Result<Vec<Pruned>, StoreError> {
        let mut pruned = Vec::new();
        for item in self.list()? {
            if !pruning.takes(&item) {
                continue;
            }
            let kept = if pruning.dry_run {
                None
            } else {
                match self.remove(pruning, &item)? {
                    Removal::Done => None,
                    Removal::UsedMeanwhile => continue,
                    Removal::Failed(error) => Some(error.to_string()),
                }
            };
            pruned.push(Pruned { item, kept });
        }
        Ok(pruned)
    }

    /// Removes an item, unless somebody has used it since it was listed.
    fn remove(&self, pruning: &Pruning<'_>, item: &Item) -> Result<Removal, StoreError> {
        // For one item only, so that nobody waits for more than a moment.
        let _alone = self.lock_alone()?;
        let removed = || {
            let found = fs::symlink_metadata(&item.path)?;
            let mut now = item.clone();
            now.used = found.modified()?;
            if WrongKind::of(&found).is_some() || !pruning.takes(&now) {
                return Ok(Removal::UsedMeanwhile);
            }
            fs::remove_file(&item.path)?;
            match &item.note {
                Some(note) => fs::remove_file(note).map(|()| Removal::Done),
                None => Ok(Removal::Done),
            }
        };
        Ok(match removed() {
            Ok(removal) => removal,
            // Another collector was here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Removal::UsedMeanwhile,
            Err(error) => Removal::Failed(error),
        })
    }
}

/// What came of removing something.
enum Removal {
    Done,
    UsedMeanwhile,
    Failed(io::Error),
}

impl Pruning<'_> {
    fn takes(&self, item: &Item) -> bool {
        let age = match item.kind {
            ItemKind::Foreign => return false,
            ItemKind::Blob if item.digest.is_some_and(|it| self.roots.contains(&it)) => {
                return false;
            }
            ItemKind::Blob | ItemKind::Corrupt | ItemKind::Evidence | ItemKind::Derived => {
                self.older_than
            }
            // A younger one is being written by somebody, perhaps slowly.
            ItemKind::Temporary => self.older_than.max(ABANDONED),
        };
        // What was used after `now` is young.
        self.now
            .duration_since(item.used)
            .is_ok_and(|unused| unused > age)
    }
}

/// Every sha256 that a text names: each run of exactly 64 hex digits, whatever stands around it. So
/// what a recipe or a lock names is a root although it is invalid, or of another version.
#[must_use]
pub fn digests_named_in(text: &[u8]) -> BTreeSet<Digest> {
    text.split(|byte| !byte.is_ascii_hexdigit())
        .filter(|run| run.len() == 64)
        .filter_map(|run| std::str::from_utf8(run).ok()?.parse().ok())
        .collect()
}

/// What stands in a folder, with what it is; nothing if the folder is not there.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, StoreError> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(folder, "read")(error)),
    };
    let mut found = Vec::new();
    for entry in read {
        let path = entry.map_err(at(folder, "read"))?.path();
        match fs::symlink_metadata(&path) {
            Ok(metadata) => found.push((path, metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path, "read")(error)),
        }
    }
    Ok(found)
}

/// What stands in a folder of blobs whose names begin so.
fn in_blobs(prefix: &str, path: PathBuf, found: &Metadata) -> Item {
    let name = name_of(&path);
    let (hex, kind) = match name.strip_suffix(".corrupt") {
        Some(hex) => (hex, ItemKind::Corrupt),
        None => (name, ItemKind::Blob),
    };
    let digest = digest_in(hex).filter(|_| hex.starts_with(prefix));
    match (digest, WrongKind::of(found)) {
        (Some(_), None) => item(kind, digest, path, found),
        (Some(_), Some(_)) | (None, _) => foreign(path, found),
    }
}

/// What stands where things that were made of bytes do.
fn in_derived(path: PathBuf, found: &Metadata) -> Item {
    match (digest_in(name_of(&path)), WrongKind::of(found)) {
        (digest @ Some(_), None) => item(ItemKind::Derived, digest, path, found),
        (Some(_), Some(_)) | (None, _) => foreign(path, found),
    }
}

/// Evidence with the facts beside it; facts that lost their bytes stand alone.
fn evidence(entries: Vec<(PathBuf, Metadata)>) -> Vec<Item> {
    let (mut items, mut notes): (Vec<Item>, Vec<Item>) = (Vec::new(), Vec::new());
    for (path, found) in entries {
        let name = name_of(&path);
        let hex = name.strip_suffix(".json").unwrap_or(name);
        let list = if hex == name { &mut items } else { &mut notes };
        list.push(match (digest_in(hex), WrongKind::of(&found)) {
            (digest @ Some(_), None) => item(ItemKind::Evidence, digest, path, &found),
            (Some(_), Some(_)) | (None, _) => foreign(path, &found),
        });
    }
    for note in notes {
        let is_beside = |item: &&mut Item| {
            (item.kind, item.digest) == (ItemKind::Evidence, note.digest) && note.kind == item.kind
        };
        match items.iter_mut().find(is_beside) {
            Some(item) => {
                item.bytes += note.bytes;
                item.used = item.used.max(note.used);
                item.note = Some(note.path);
            }
            None => items.push(note),
        }
    }
    items
}

fn item(kind: ItemKind, digest: Option<Digest>, path: PathBuf, found: &Metadata) -> Item {
    Item {
        kind,
        digest,
        bytes: found.len(),
        // A file system without times keeps everything: what has none is as if used now.
        used: found.modified().unwrap_or_else(|_| SystemTime::now()),
        path,
        note: None,
    }
}

fn foreign(path: PathBuf, found: &Metadata) -> Item {
    item(ItemKind::Foreign, None, path, found)
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn is_hex(text: &str, length: usize) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(digit)
}

/// The digest a name is, in the spelling of the store.
fn digest_in(name: &str) -> Option<Digest> {
    name.parse().ok().filter(|_| is_hex(name, 64))
}

#[cfg(test)]
mod tests;
