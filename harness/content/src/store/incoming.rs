//! A blob on its way into the store: hashed as it is written, and given its name only when it is whole
//! and on the disk. What was not the content asked for becomes evidence the same way.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use assay_wire::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::error::at;
use super::{Blob, Store, StoreError, Use, WrongKind};

/// A blob being written. Dropped without [`Incoming::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    pub(super) store: Store,
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) hasher: Sha256,
    pub(super) size: u64,
}

/// What is kept beside bytes that were not the expected ones.
#[derive(Debug, Clone, Copy)]
pub struct MismatchFacts<'a> {
    /// Where the bytes came from; without credentials.
    pub origin: &'a str,
    /// The digest they should have had.
    pub expected: Digest,
}

/// Whether bytes have to be on the disk before they get their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settling {
    /// They have.
    Flushed,
    /// A crash may take them: they can be had again.
    Unflushed,
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
        self.settle(&path, Settling::Flushed)?;
        Ok(Blob {
            digest,
            size: self.size,
            path,
        })
    }

    /// The same for bytes that come again anyway, without waiting for the disk: a crash may leave a blob
    /// that the next reader finds damaged. One of the same bytes that is there already stays, and counts as
    /// used.
    ///
    /// # Errors
    /// The disk is full, or failed.
    pub(crate) fn commit_unflushed(self) -> Result<(), StoreError> {
        let path = self.store.name_of(&self.digest());
        let there = self.store.open_file(&path, Use::Counts)?;
        let same_size = |file: File| file.metadata().is_ok_and(|it| it.len() == self.size);
        if there.is_some_and(same_size) {
            return Ok(());
        }
        self.settle(&path, Settling::Unflushed)
    }

    /// Keeps the bytes as evidence of a mismatch, with the facts as JSON beside them, and gives the
    /// path of the bytes.
    ///
    /// # Errors
    /// The disk is full, or failed.
    pub fn keep_as_evidence(self, facts: MismatchFacts<'_>) -> Result<PathBuf, StoreError> {
        let actual = self.digest().to_string();
        let path = self.store.evidence().join(&actual);
        self.settle(&path, Settling::Flushed)?;
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
        beside.settle(&path.with_extension("json"), Settling::Flushed)?;
        Ok(path)
    }

    /// Flushes the bytes to the disk, if that is wanted, and gives them their name, in that order, so that
    /// no crash leaves a name without its bytes.
    pub(super) fn settle(&self, path: &Path, settling: Settling) -> Result<(), StoreError> {
        let folder = path.parent().unwrap_or(&self.store.root);
        fs::create_dir_all(folder).map_err(at(folder, "create"))?;
        let read_only = fs::Permissions::from_mode(0o444);
        self.file
            .set_permissions(read_only)
            .map_err(at(&self.path, "protect"))?;
        // It is used now, however long ago its last byte came.
        self.file
            .set_modified(SystemTime::now())
            .map_err(at(&self.path, "date"))?;
        if settling == Settling::Flushed {
            self.file.sync_all().map_err(at(&self.path, "flush"))?;
        }
        let shared = self.store.lock_together();
        if let Ok(found) = fs::symlink_metadata(path)
            && let Some(kind) = WrongKind::of(&found)
        {
            return Err(StoreError::NotAFile {
                path: path.to_owned(),
                kind,
            });
        }
        fs::rename(&self.path, path).map_err(at(path, "rename"))?;
        drop(shared);
        if settling == Settling::Unflushed {
            return Ok(());
        }
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
