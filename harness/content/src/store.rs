//! The content store: bytes by their sha256, on disk, for any number of processes at once.
//!
//! ```text
//! blobs/sha256/ab/<64 hex>           the bytes; read-only
//! blobs/sha256/ab/<64 hex>.corrupt   a blob whose bytes no longer had that digest, set aside
//! temporary/<process>-<n>            a blob being written; swept when a day old
//! evidence/<64 hex>[.json]           bytes that were not the ones asked for, and the facts about them
//! ```
//!
//! A blob appears under its name only whole: it is written beside, flushed to the disk and renamed.
//! Every read verifies the digest again, so a damaged disk or an edited cache is a missing blob and
//! never wrong bytes. Nothing here fetches (that is [`crate::fetch`]) or judges who may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use assay_wire::digest::Digest;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Bytes are copied in pieces of this size.
const PIECE: usize = 256 * 1024;

/// A temporary file this old belongs to a process that died.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A content store in a folder.
///
/// Cheap to clone; clones and other processes may use the same folder at the same time.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A blob that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The sha256 of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where it lies. Verified when this value was made; the file is read-only.
    pub path: PathBuf,
}

impl Store {
    /// Opens the store in a folder, which is created if it does not exist, and sweeps what killed
    /// processes left half-written more than a day ago.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { root: root.into() };
        for folder in [store.blobs(), store.temporary(), store.evidence()] {
            fs::create_dir_all(&folder).map_err(at(&folder, "create"))?;
        }
        store.sweep_abandoned()?;
        Ok(store)
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let mut incoming = self.incoming()?;
        incoming.write(bytes)?;
        incoming.commit()
    }

    /// Stores what a reader gives, at most `limit` bytes.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] when there is more, [`StoreError::Source`] when the reader fails,
    /// else as [`Store::put_bytes`]. Nothing is kept then.
    pub fn put_reader(&self, reader: &mut dyn Read, limit: u64) -> Result<Blob, StoreError> {
        let mut incoming = self.incoming()?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = match reader.read(&mut piece) {
                Ok(0) => return incoming.commit(),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::Source(error)),
            };
            if incoming.size() + length as u64 > limit {
                return Err(StoreError::TooLarge { limit });
            }
            incoming.write(&piece[..length])?;
        }
    }

    /// The bytes of a blob, verified. `None` when it is missing or was found damaged.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((mut file, size)) = self.open_verified(digest)? else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes)
            .map_err(at(&self.name_of(digest), "read"))?;
        Ok(Some(bytes))
    }

    /// The file of a blob, verified: it may be read in pieces or mounted. `None` as for
    /// [`Store::get`].
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn path(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        let verified = self.open_verified(digest)?;
        Ok(verified.map(|(_, size)| Blob {
            digest: *digest,
            size,
            path: self.name_of(digest),
        }))
    }

    /// Whether a blob of that name exists. Its bytes are not looked at, so a reader may still find
    /// it damaged.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.name_of(digest).is_file()
    }

    /// Begins a blob whose bytes come piece by piece.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn incoming(&self) -> Result<Incoming, StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = self
                .temporary()
                .join(format!("{}-{number}", std::process::id()));
            // A name that exists was left by a killed process with the same id: take the next.
            match OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
            {
                Ok(file) => {
                    let (store, hasher) = (self.clone(), Sha256::new());
                    return Ok(Incoming {
                        store,
                        file,
                        path,
                        hasher,
                        size: 0,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(at(&path, "create")(error)),
            }
        }
    }

    /// Opens a blob, hashes it, and gives it back at its start. A damaged one is set aside.
    fn open_verified(&self, digest: &Digest) -> Result<Option<(File, u64)>, StoreError> {
        let path = self.name_of(digest);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path, "open")(error)),
        };
        let (actual, size) = digest_of_reader(&mut file).map_err(at(&path, "read"))?;
        if actual != *digest {
            let aside = path.with_extension("corrupt");
            return match fs::rename(&path, &aside) {
                Ok(()) => Ok(None),
                // Another process found it first.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(at(&path, "set aside")(error)),
            };
        }
        file.rewind().map_err(at(&path, "read"))?;
        Ok(Some((file, size)))
    }

    fn sweep_abandoned(&self) -> Result<(), StoreError> {
        let folder = self.temporary();
        for entry in fs::read_dir(&folder).map_err(at(&folder, "read"))? {
            let entry = entry.map_err(at(&folder, "read"))?;
            let age = entry.metadata().and_then(|metadata| metadata.modified());
            let age = age
                .ok()
                .and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if age.is_some_and(|age| age > ABANDONED) {
                // Losing a race with another process that sweeps the same file is fine, and a file
                // that cannot be removed now does no harm until the next time.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn name_of(&self, digest: &Digest) -> PathBuf {
        let hex = digest.to_string();
        self.blobs().join(&hex[..2]).join(&hex)
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }

    fn evidence(&self) -> PathBuf {
        self.root.join("evidence")
    }
}

/// A blob being written. Dropped without [`Incoming::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    store: Store,
    file: File,
    path: PathBuf,
    hasher: Sha256,
    size: u64,
}

/// What is kept beside bytes that were not the expected ones.
#[derive(Debug, Clone, Copy)]
pub struct MismatchFacts<'a> {
    /// Where the bytes came from; without credentials.
    pub origin: &'a str,
    /// The digest they should have had.
    pub expected: Digest,
}

impl Incoming {
    /// Adds bytes.
    ///
    /// # Errors
    /// The disk is full, or failed.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(at(&self.path, "write"))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// The bytes added so far, to be read beside the writing.
    ///
    /// # Errors
    /// The file cannot be opened a second time.
    pub(crate) fn reader(&self) -> Result<File, StoreError> {
        File::open(&self.path).map_err(at(&self.path, "open"))
    }

    /// How many bytes were added.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of the bytes added so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hasher.clone().finalize().into())
    }

    /// Makes the bytes a blob of the store. One that was there, damaged perhaps, is replaced.
    ///
    /// # Errors
    /// The disk is full, or failed.
    pub fn commit(self) -> Result<Blob, StoreError> {
        let digest = self.digest();
        let path = self.store.name_of(&digest);
        self.settle(&path)?;
        Ok(Blob {
            digest,
            size: self.size,
            path,
        })
    }

    /// Keeps the bytes as evidence of a mismatch, with the facts as JSON beside them, and gives the
    /// path of the bytes.
    ///
    /// # Errors
    /// The disk is full, or failed.
    pub fn keep_as_evidence(self, facts: MismatchFacts<'_>) -> Result<PathBuf, StoreError> {
        let actual = self.digest().to_string();
        let path = self.store.evidence().join(&actual);
        self.settle(&path)?;
        let note = serde_json::json!({
            "schema": "assay.mismatch",
            "version": 1,
            "origin": facts.origin,
            "expected_sha256": facts.expected.to_string(),
            "actual_sha256": actual,
            "size": self.size,
        });
        let mut beside = self.store.incoming()?;
        beside.write(format!("{note:#}\n").as_bytes())?;
        beside.settle(&path.with_extension("json"))?;
        Ok(path)
    }

    /// Flushes the bytes to the disk and gives them their name, in that order, so that no crash
    /// leaves a name without its bytes.
    fn settle(&self, path: &Path) -> Result<(), StoreError> {
        let folder = path.parent().unwrap_or(&self.store.root);
        fs::create_dir_all(folder).map_err(at(folder, "create"))?;
        let read_only = fs::Permissions::from_mode(0o444);
        self.file
            .set_permissions(read_only)
            .map_err(at(&self.path, "protect"))?;
        self.file.sync_all().map_err(at(&self.path, "flush"))?;
        fs::rename(&self.path, path).map_err(at(path, "rename"))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(at(folder, "flush"))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // After a rename there is nothing under this name; otherwise the half-written file goes.
        let _ = fs::remove_file(&self.path);
    }
}

/// Why the store could not tell or keep something.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system refused: full, read-only, gone.
    #[error("cannot {action} `{}`", path.display())]
    Disk {
        /// What was tried: one verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There were more bytes than the caller takes.
    #[error("content is larger than {limit} bytes")]
    TooLarge {
        /// The caller's limit, in bytes.
        limit: u64,
    },
    /// The reader the bytes came from failed.
    #[error("content cannot be read")]
    Source(#[source] io::Error),
}

/// Hashes everything a reader gives: the digest and the number of bytes.
///
/// # Errors
/// Those of the reader.
pub fn digest_of_reader(reader: &mut dyn Read) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut size = 0;
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok((Digest::from_bytes(hasher.finalize().into()), size)),
            Ok(length) => {
                hasher.update(&piece[..length]);
                size += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn at<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Disk {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
