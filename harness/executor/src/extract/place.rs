//! Making one file, folder or link in an open folder: under a name that is not taken, then renamed
//! over its place. A reader sees what was there before or what is there now, never a part; a link
//! at the place is replaced, never followed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid,
};
use rustix::io::Errno;

use super::fault::{EntryFault, ExtractError, PlaceError};
use super::tar::damaged;

/// Attempts at a name that is not taken.
const NAMES: u32 = 64;

/// Bytes copied at a time.
const CHUNK: usize = 64 << 10;

/// By what a file or folder is known, whatever its name.
pub(super) type Identity = (u64, u64);

/// The identity of what was looked at.
pub(super) fn identity(found: &Stat) -> Identity {
    (found.st_dev, found.st_ino)
}

/// Whom everything made belongs to, whatever a folder's set-group-id bit says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// This process.
    pub(super) fn own() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    /// True if something is of a type and belongs to the owner.
    pub(super) fn has(self, found: &Stat, kind: FileType) -> bool {
        FileType::from_raw_mode(found.st_mode) == kind
            && (found.st_uid, found.st_gid) == (self.uid, self.gid)
    }

    /// Takes what is at a name of a folder, or the folder itself for an empty name.
    pub(super) fn take(self, folder: BorrowedFd<'_>, name: &str) -> Result<(), EntryFault> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        let found = rustix::fs::statat(folder, name, flags).map_err(EntryFault::io("looked at"))?;
        if (found.st_uid, found.st_gid) == (self.uid, self.gid) {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::fs::chownat(folder, name, Some(uid), Some(gid), flags)
            .map_err(EntryFault::io("given its owner"))
    }
}

/// What is at a name, links not followed.
pub(super) fn look_at(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, EntryFault> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(EntryFault::io("looked at")(error)),
    }
}

/// What is at a name that something is to be put in place of; a folder is not replaced.
pub(super) fn replaceable(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, EntryFault> {
    let found = look_at(folder, name)?;
    match found {
        Some(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
            Err(EntryFault::FolderInPlace)
        }
        found => Ok(found),
    }
}

/// Opens a file for reading if it still is the one that was looked at.
pub(super) fn open_again(folder: BorrowedFd<'_>, name: &[u8], looked_at: Identity) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty()).ok()?;
    let found = rustix::fs::fstat(&file).ok()?;
    (identity(&found) == looked_at).then(|| File::from(file))
}

/// Sets the mode of a folder that is open for walking only. Its owner must be allowed to read it.
pub(super) fn set_folder_mode(folder: BorrowedFd<'_>, mode: u32) -> Result<(), EntryFault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(folder, ".", flags, Mode::empty())
        .and_then(|folder| rustix::fs::fchmod(folder, Mode::from_raw_mode(mode)))
        .map_err(EntryFault::io("given its mode"))
}

/// Makes something under a name that is not taken, finishes it and renames it to its own; what
/// fails to be finished is removed.
pub(super) fn put<T, E: From<EntryFault>>(
    folder: BorrowedFd<'_>,
    name: &[u8],
    make: impl Fn(&str) -> rustix::io::Result<T>,
    finish: impl FnOnce(&str, T) -> Result<(), E>,
) -> Result<(), E> {
    let making = || EntryFault::io("made");
    for number in 0..NAMES {
        let beside = format!(".assay-{number}.tmp");
        let made = match make(&beside) {
            Ok(made) => made,
            Err(Errno::EXIST) => continue,
            Err(error) => return Err(making()(error).into()),
        };
        let put = finish(&beside, made).and_then(|()| {
            let renamed = rustix::fs::renameat(folder, beside.as_str(), folder, name);
            Ok(renamed.map_err(EntryFault::io("put in its place"))?)
        });
        if put.is_err() {
            // The first error is the one to tell.
            let _ = rustix::fs::unlinkat(folder, beside.as_str(), AtFlags::empty());
        }
        return put;
    }
    Err(making()(Errno::EXIST).into())
}

/// The content of a file on its way, a chunk at a time.
pub(super) struct Incoming<'a> {
    content: &'a mut dyn Read,
    /// Bytes that are still to come after the chunk.
    left: u64,
    chunk: Vec<u8>,
    /// Bytes of the chunk that hold content.
    filled: usize,
}

impl<'a> Incoming<'a> {
    /// Content of exactly so many bytes.
    pub(super) fn new(content: &'a mut dyn Read, size: u64) -> Self {
        Self {
            content,
            left: size,
            chunk: vec![0; CHUNK],
            filled: 0,
        }
    }

    /// Reads the next chunk; empty when all has come and its checksum holds.
    fn next(&mut self) -> Result<(), ExtractError> {
        let most = usize::try_from(self.left).map_or(CHUNK, |left| left.min(CHUNK));
        super::read_exactly(self.content, &mut self.chunk[..most])?;
        self.filled = most;
        self.left -= most as u64;
        if most == 0 {
            let more = self.content.read(&mut [0]).map_err(ExtractError::reading)?;
            if more > 0 {
                return Err(damaged("an entry is longer than it says"));
            }
        }
        Ok(())
    }

    /// Compares with a file of the same size: `None` if it holds the same, else how many bytes
    /// before the chunk are the same.
    pub(super) fn compare(&mut self, there: &mut File) -> Result<Option<u64>, ExtractError> {
        let mut same = 0;
        let mut chunk = vec![0; CHUNK];
        loop {
            self.next()?;
            if self.filled == 0 {
                return Ok(None);
            }
            let found = &mut chunk[..self.filled];
            // A file that cannot be read is replaced.
            if there.read_exact(found).is_err() || found[..] != self.chunk[..self.filled] {
                return Ok(Some(same));
            }
            same += self.filled as u64;
        }
    }

    /// Writes all to a file; what was compared before comes from the file it is the same in. With
    /// `sparse`, chunks of zeros are left out.
    pub(super) fn write(
        mut self,
        mut file: &File,
        compared: Option<(File, u64)>,
        sparse: bool,
    ) -> Result<(), PlaceError> {
        let writing = || EntryFault::io("written");
        if let Some((mut there, same)) = compared {
            there.rewind().map_err(writing())?;
            let copied = io::copy(&mut there.take(same), &mut file).map_err(writing())?;
            if copied < same {
                return Err(writing()(io::Error::from(io::ErrorKind::UnexpectedEof)).into());
            }
        } else {
            self.next()?;
        }
        while self.filled > 0 {
            let chunk = &self.chunk[..self.filled];
            if sparse && chunk.iter().all(|byte| *byte == 0) {
                let hole = i64::try_from(chunk.len()).unwrap_or_default();
                file.seek(SeekFrom::Current(hole)).map_err(writing())?;
            } else {
                file.write_all(chunk).map_err(writing())?;
            }
            self.next()?;
        }
        if sparse {
            let size = file.stream_position().map_err(writing())?;
            file.set_len(size).map_err(writing())?;
        }
        Ok(())
    }
}

/// Gives a new file its owner, mode and time; returns what it is known by.
pub(super) fn finish_file(
    file: &File,
    owner: Owner,
    mode: u32,
    modified: Option<i64>,
) -> Result<Identity, EntryFault> {
    owner.take(file.as_fd(), "")?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
        .map_err(EntryFault::io("given its mode"))?;
    if let Some(seconds) = modified {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: seconds,
                tv_nsec: 0,
            },
        };
        // A time the file system has no room for is nothing to fail for.
        let _ = rustix::fs::futimens(file, &times);
    }
    let found = rustix::fs::fstat(file).map_err(EntryFault::io("looked at"))?;
    Ok(identity(&found))
}
