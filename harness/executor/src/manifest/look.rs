//! Looking at one object: its status, its content's hash, its attributes, where it leads.
//!
//! Only folders and regular files are opened, never through a link; everything read is bounded,
//! whatever the object grows to while it is read.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use assay_wire::digest::Digest;
use assay_wire::manifest::{Content, EntryKind, MAX_CONTENT, MAX_CONTENTS, escape_path};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::content::{Contents, hex};
use super::record::{Detail, Identity, Node, Tree};
use super::walk::{COARSE, moment_before};

/// Most bytes hashed in one walk.
const HASHED_BYTES: u64 = 32 << 30;

/// Most bytes of an attribute's value, and of the list of names (xattr(7)).
const XATTR_BYTES: usize = 64 << 10;

/// The attribute of a file's capabilities, and the longest value it has (capabilities(7)).
const CAPABILITY: &CStr = c"security.capability";
const CAPABILITY_BYTES: usize = 24;

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// An object as far as it is seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// What is known of it.
    pub(super) node: Node,
    /// True if the walk before saw the same object unchanged: nothing needs to be read.
    pub(super) known: bool,
    /// True if what it says is asked for.
    wanted: bool,
}

impl Seen {
    /// What a status says; `None` for a kind of object that does not exist on Linux.
    pub(super) fn new(stat: &Statx, previous: Option<&Tree>, settled: (i64, u32)) -> Option<Self> {
        let mode = u32::from(stat.stx_mode);
        let kind = match FileType::from_raw_mode(mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Folder,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => EntryKind::Socket,
            FileType::CharacterDevice => EntryKind::CharDevice,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::Unknown => return None,
        };
        let identity = Identity::of(stat);
        let known = previous.and_then(|tree| tree.known(kind, &identity));
        let device = || Detail {
            points_to: Some(format!("{}:{}", stat.stx_rdev_major, stat.stx_rdev_minor)),
            ..Detail::default()
        };
        let detail = match known {
            Some(node) => node.detail.clone(),
            None => matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice)
                .then(|| Box::new(device())),
        };
        Some(Self {
            node: Node {
                kind,
                mode: mode & 0o7777,
                uid: stat.stx_uid,
                gid: stat.stx_gid,
                size: if kind == EntryKind::File {
                    stat.stx_size
                } else {
                    0
                },
                sha256: known.and_then(|node| node.sha256),
                detail,
                identity: if identity.settled_before(settled) {
                    identity
                } else {
                    identity.unsettled()
                },
                is_linked: kind != EntryKind::Folder && stat.stx_nlink > 1,
            },
            known: known.is_some(),
            wanted: false,
        })
    }

    fn detail(&mut self) -> &mut Detail {
        self.node.detail.get_or_insert_default()
    }
}

/// Reads objects; one per thread.
#[derive(Debug)]
pub(super) struct Reader<'w> {
    /// Bytes hashed by all threads of the walk.
    hashed: &'w AtomicU64,
    /// Bytes of content kept by all threads of the walk.
    kept: &'w AtomicU64,
    contents: &'w Contents,
    buffer: Vec<u8>,
}

impl<'w> Reader<'w> {
    pub(super) fn new(hashed: &'w AtomicU64, kept: &'w AtomicU64, contents: &'w Contents) -> Self {
        Self {
            hashed,
            kept,
            contents,
            buffer: vec![0; BUFFER],
        }
    }

    /// Finds out whether what a file says is asked for. One that is known by what it was under another
    /// name, or by its hash alone, is then read all the same.
    pub(super) fn ask_for(&self, path: &[u8], seen: &mut Seen) {
        if seen.node.kind != EntryKind::File {
            return;
        }
        seen.wanted = self.contents.wants(path);
        let before = seen.node.detail.as_deref_mut();
        let before = before.and_then(|detail| detail.content.take());
        match (seen.wanted, before) {
            (true, Some(content)) if seen.known => {
                let content = self.kept_within_bounds(content);
                seen.detail().content = Some(content);
            }
            (true, _) => seen.known = false,
            (false, _) => {
                if seen.node.detail.as_deref() == Some(&Detail::default()) {
                    seen.node.detail = None;
                }
            }
        }
    }

    /// Reads a regular file, if it is not known; its name begins so far in its path.
    pub(super) fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        path: &[u8],
        name_at: usize,
        seen: &mut Seen,
    ) -> io::Result<()> {
        if seen.known {
            return Ok(());
        }
        let result = self.read_file(parent, path, name_at, seen);
        if result.is_err() {
            seen.node.identity = seen.node.identity.unsettled();
        }
        result
    }

    fn read_file(
        &mut self,
        parent: BorrowedFd<'_>,
        path: &[u8],
        name_at: usize,
        seen: &mut Seen,
    ) -> io::Result<()> {
        let file = open(parent, &path[name_at..], OFlags::NONBLOCK)?;
        let opened = stat(file.as_fd(), c"")?;
        let regular = FileType::from_raw_mode(opened.stx_mode.into()) == FileType::RegularFile;
        if !regular || opened.stx_ino != seen.node.identity.inode {
            return Err(io::ErrorKind::StaleNetworkFileHandle.into());
        }
        (seen.node.detail, seen.node.sha256) = (None, None);
        let bytes = self.hash(&file, seen)?;
        if seen.wanted {
            let content = self.contents.told(path, bytes.as_deref());
            seen.detail().content = Some(self.kept_within_bounds(content));
        }
        self.attributes(seen, |name, buffer| match name {
            None => rustix::fs::flistxattr(&file, buffer),
            Some(name) => rustix::fs::fgetxattr(&file, name, buffer),
        })
    }

    /// The content, or that there was no room for it.
    fn kept_within_bounds(&self, content: Content) -> Content {
        let (Content::Text(text) | Content::Hex(text)) = &content else {
            return content;
        };
        let length = text.len() as u64;
        if self.kept.fetch_add(length, Ordering::Relaxed) + length > MAX_CONTENTS {
            self.kept.fetch_sub(length, Ordering::Relaxed);
            return Content::LeftOut;
        }
        content
    }

    /// Hashes as many bytes as the file was seen to hold, however many it holds by now, and keeps them
    /// if what it says is asked for and not long.
    fn hash(&mut self, file: &OwnedFd, seen: &mut Seen) -> io::Result<Option<Vec<u8>>> {
        let size = seen.node.size;
        if self.hashed.fetch_add(size, Ordering::Relaxed) + size > HASHED_BYTES {
            self.hashed.fetch_sub(size, Ordering::Relaxed);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut hash = Sha256::new();
        let mut bytes = (seen.wanted && size <= MAX_CONTENT).then(Vec::new);
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            match rustix::io::read(file, &mut self.buffer[..most]) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&self.buffer[..read]);
                    if let Some(bytes) = &mut bytes {
                        bytes.extend_from_slice(&self.buffer[..read]);
                    }
                    left -= read as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        seen.node.sha256 = Some(Digest::from_bytes(hash.finalize().into()));
        Ok(bytes)
    }

    /// Reads the attributes of an open folder, if it is not known.
    pub(super) fn folder(&mut self, folder: &OwnedFd, seen: &mut Seen) -> io::Result<()> {
        if seen.known {
            return Ok(());
        }
        self.attributes(seen, |name, buffer| match name {
            None => rustix::fs::flistxattr(folder, buffer),
            Some(name) => rustix::fs::fgetxattr(folder, name, buffer),
        })
    }

    /// Reads what is to be known of an object that is not to be opened, if it is not known.
    pub(super) fn unopened(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        seen: &mut Seen,
    ) -> io::Result<()> {
        if seen.known {
            return Ok(());
        }
        if seen.node.kind == EntryKind::Symlink {
            let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
            seen.detail().points_to = Some(escape_path(target.to_bytes()));
        }
        // There is no call that reads attributes by parent and name, but the parent's descriptor
        // has a path of its own.
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        let path = CString::new(path).map_err(io::Error::other)?;
        self.attributes(seen, |name, buffer| match name {
            None => rustix::fs::llistxattr(&*path, buffer),
            Some(name) => rustix::fs::lgetxattr(&*path, name, buffer),
        })
    }

    /// Reads attributes through a call that lists their names, or reads the value of one.
    fn attributes(
        &mut self,
        seen: &mut Seen,
        mut call: impl FnMut(Option<&CStr>, &mut [u8]) -> Result<usize, Errno>,
    ) -> io::Result<()> {
        let buffer = &mut self.buffer[..XATTR_BYTES];
        let length = match call(None, buffer) {
            Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
            Ok(length) => length,
            Err(error) => return Err(error.into()),
        };
        let names = buffer[..length].to_vec();
        for name in names.split_inclusive(|byte| *byte == 0) {
            let name = CStr::from_bytes_with_nul(name).map_err(io::Error::other)?;
            match call(Some(name), buffer) {
                Ok(length) => {
                    let value = Digest::of(&buffer[..length]);
                    if name == CAPABILITY && length <= CAPABILITY_BYTES {
                        seen.detail().capability = Some(hex(&buffer[..length]));
                    }
                    let name = escape_path(name.to_bytes());
                    seen.detail().xattrs.insert(name, value);
                }
                // Some are listed but not for everyone to read.
                Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// How a path stands: nothing is there, or what is known by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing(Option<Identity>);

impl Standing {
    /// True if something is there.
    pub(crate) fn is_something(&self) -> bool {
        self.0.is_some()
    }
}

/// How a path stands; `None` where it could change and stand as before: there is a link, or something that has
/// just changed.
pub(crate) fn standing(path: &str) -> Option<Standing> {
    let settled = moment_before(SystemTime::now(), COARSE);
    let path = CString::new(path).ok()?;
    match stat(CWD, &path) {
        Ok(stat) => {
            let kind = FileType::from_raw_mode(stat.stx_mode.into());
            let identity = Identity::of(&stat);
            let is_known = matches!(kind, FileType::RegularFile | FileType::Directory)
                && identity.settled_before(settled);
            is_known.then_some(Standing(Some(identity)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Standing(None)),
        Err(_) => None,
    }
}

/// Opens a folder without following a link at its place.
pub(super) fn open_folder(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    open(parent, name, OFlags::DIRECTORY)
}

/// Opens without following a link, and without touching the time of access where that is allowed.
fn open(parent: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?),
        other => Ok(other?),
    }
}

/// The status of an object of a folder, or with an empty name of the descriptor itself.
pub(super) fn stat(at: BorrowedFd<'_>, name: &CStr) -> io::Result<Statx> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    Ok(rustix::fs::statx(at, name, flags, StatxFlags::BASIC_STATS)?)
}
