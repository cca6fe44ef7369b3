//! The content store: bytes by their sha256, on disk, for any number of processes at once.
//!
//! ```text
//! blobs/sha256/ab/<64 hex>           the bytes; read-only
//! blobs/sha256/ab/<64 hex>.corrupt   a blob whose bytes no longer had that digest, set aside
//! temporary/<process>-<n>            a blob being written; swept when a day old
//! evidence/<64 hex>[.json]           bytes that were not the ones asked for, and the facts about them
//! derived/<maker>/ab/<64 hex>        what was made of bytes of that digest, and can be made again
//! ```
//!
//! A blob appears under its name only whole: it is written beside, flushed to the disk and renamed.
//! Every read verifies the digest again, so a damaged disk or an edited cache is a missing blob and
//! never wrong bytes. Nothing here fetches (that is [`crate::fetch`]) or judges who may read.
//!
//! A blob's time of modification is the time it was last used: reading sets it, and [`contents`]
//! removes by it. Whoever opens, renames or removes a blob holds the folder's lock (flock(2)) for that
//! moment: a collector alone, all others together. A reader so gets verified bytes or finds nothing,
//! and what it has just used is never removed as unused.

mod contents;
mod derived;
mod error;
mod incoming;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use assay_wire::digest::Digest;
use sha2::{Digest as _, Sha256};

pub use self::contents::{Item, ItemKind, Pruned, Pruning, Verdict, digests_named_in};
pub use self::derived::{MOST_DERIVED, Maker};
use self::error::at;
pub use self::error::{StoreError, WrongKind};
pub use self::incoming::{Incoming, MismatchFacts};

/// Bytes are copied in pieces of this size.
const PIECE: usize = 256 * 1024;

/// A temporary file this old belongs to a process that died.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder's lock is held for moments; who holds it longer has been stopped.
const LONGEST_LOCK: Duration = Duration::from_secs(10);

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

/// Whether opening a blob makes it a used one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Somebody wants its bytes.
    Counts,
    /// It is only looked at.
    DoesNot,
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
            if let Err(error) = fs::create_dir_all(&folder) {
                let mut above = folder.ancestors();
                let in_the_way = above.find(|path| path.exists() && !path.is_dir());
                return Err(match in_the_way {
                    Some(path) => StoreError::NotAFolder(path.to_owned()),
                    None => at(&folder, "create")(error),
                });
            }
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
    /// Something is there that cannot be read, or is no file.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut file) = self.open_blob(digest, Use::Counts)? else {
            return Ok(None);
        };
        let path = self.name_of(digest);
        let size = file.metadata().map_err(at(&path, "read"))?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes).map_err(at(&path, "read"))?;
        // These very bytes are looked at, not the file: it could change between two readings.
        if Digest::of(&bytes) == *digest {
            return Ok(Some(bytes));
        }
        self.set_aside(digest, &file)?;
        Ok(None)
    }

    /// The file of a blob, verified: it may be read in pieces or mounted. `None` as for
    /// [`Store::get`]. A collector that knows no root of it may remove it later.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn path(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        let Some(mut file) = self.open_blob(digest, Use::Counts)? else {
            return Ok(None);
        };
        let size = self.verified(digest, &mut file)?;
        Ok(size.map(|size| Blob {
            digest: *digest,
            size,
            path: self.name_of(digest),
        }))
    }

    /// A blob, open at its start, verified. `None` as for [`Store::get`]. What is open stays readable
    /// whatever becomes of its name.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn open_verified(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let Some(mut file) = self.open_blob(digest, Use::Counts)? else {
            return Ok(None);
        };
        Ok(self.verified(digest, &mut file)?.map(|_| file))
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

    /// Opens a blob's file, and notes that it was used. `None`: there is none.
    fn open_blob(&self, digest: &Digest, counted: Use) -> Result<Option<File>, StoreError> {
        let _shared = self.lock_together();
        self.open_file(&self.name_of(digest), counted)
    }

    /// Opens a file of the store, and notes that it was used. `None`: there is none.
    fn open_file(&self, path: &Path, counted: Use) -> Result<Option<File>, StoreError> {
        // Looked at before it is opened: opening a pipe would wait for somebody to write.
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path, "open")(error)),
        };
        if let Some(kind) = WrongKind::of(&found) {
            let path = path.to_owned();
            return Err(StoreError::NotAFile { path, kind });
        }
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path, "open")(error)),
        };
        match counted {
            // Where the time cannot be set – a read-only disk, a file of somebody else's – nothing
            // can be removed by it, either.
            Use::Counts => drop(file.set_modified(SystemTime::now())),
            Use::DoesNot => {}
        }
        Ok(Some(file))
    }

    /// Hashes a blob's file and leaves it at its start: its size, or `None` if it is damaged, and is
    /// set aside then.
    fn verified(&self, digest: &Digest, file: &mut File) -> Result<Option<u64>, StoreError> {
        let path = self.name_of(digest);
        let (actual, size) = digest_of_reader(file).map_err(at(&path, "read"))?;
        if actual == *digest {
            file.rewind().map_err(at(&path, "read"))?;
            return Ok(Some(size));
        }
        self.set_aside(digest, file)?;
        Ok(None)
    }

    /// Renames a damaged blob, unless another process has done so or has put a good one in its place.
    fn set_aside(&self, digest: &Digest, damaged: &File) -> Result<(), StoreError> {
        let path = self.name_of(digest);
        let damaged = damaged.metadata().map_err(at(&path, "read"))?;
        let _alone = self.lock_alone();
        let same = fs::symlink_metadata(&path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (damaged.dev(), damaged.ino()));
        if !same {
            return Ok(());
        }
        fs::rename(&path, path.with_extension("corrupt")).map_err(at(&path, "set aside"))
    }

    /// Holds the folder's lock together with others, until it is dropped. `None` on a file system
    /// without locks, where nothing is collected ([`Store::prune`]), and where a process that holds it
    /// alone has been stopped: nobody waits for that for ever.
    fn lock_together(&self) -> Option<File> {
        self.lock(File::try_lock_shared).ok()
    }

    /// Holds the folder's lock alone, until it is dropped.
    fn lock_alone(&self) -> Result<File, StoreError> {
        self.lock(File::try_lock).map_err(at(&self.root, "lock"))
    }

    fn lock(&self, attempt: fn(&File) -> Result<(), TryLockError>) -> io::Result<File> {
        let folder = File::open(&self.root)?;
        let began = Instant::now();
        loop {
            match attempt(&folder) {
                Ok(()) => return Ok(folder),
                Err(TryLockError::WouldBlock) if began.elapsed() < LONGEST_LOCK => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process holds it and does not go on",
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
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

    fn all_derived(&self) -> PathBuf {
        self.root.join("derived")
    }

    fn derived_name(&self, maker: Maker, of: &Digest) -> PathBuf {
        let hex = of.to_string();
        self.all_derived().join(maker.0).join(&hex[..2]).join(&hex)
    }
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

#[cfg(test)]
mod parallel_tests;
#[cfg(test)]
mod tests;
