//! The folder an archive is unpacked to. Every path is walked one component at a time from an open
//! descriptor of that folder, and a link on the way is read and followed here, never by the
//! kernel: where it leads out of the folder the walk ends. `..` goes back along the folders that
//! are held open, not to whatever is their parent by then.
//!
//! Folders that are there are kept as they are; how files and links are replaced: [`super::place`].

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::MAX_ENTRIES;
use super::entry::{MAX_DEPTH, MAX_NAME, goes_out, has_control, parts};
use super::fault::{EntryFault, ExtractError, PlaceError};
use super::place::{
    Identity, Incoming, Owner, finish_file, identity, look_at, open_again, put, replaceable,
    set_folder_mode,
};

/// Most links followed on one path, as in path_resolution(7).
const MAX_LINKS: usize = 40;

/// Most bytes of names of links, all of which are looked at again in the end.
const MAX_LINK_BYTES: usize = 64 << 20;

/// Mode of folders that no entry of their own describes.
const FOLDER_MODE: u32 = 0o755;

/// Opens a folder to walk through it; no permission to list it is needed.
const WALK: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// How an entry should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    /// Permission bits.
    pub(super) mode: u32,
    /// When it was last changed; only files keep it.
    pub(super) modified: Option<i64>,
}

/// The folder.
#[derive(Debug)]
pub(super) struct Tree {
    root: Rc<OwnedFd>,
    /// Its path as the op has it, for absolute links.
    path: String,
    owner: Owner,
    masked: u32,
    /// Folders that were made here.
    folders: BTreeSet<Identity>,
    /// Files that are the archive's, made or found as they should be.
    files: BTreeSet<Identity>,
    /// Folders whose mode would shut out their owner while they are filled.
    closed: Vec<(Vec<u8>, Identity, u32)>,
    /// Symbolic links that are the archive's.
    links: Vec<Vec<u8>>,
    link_bytes: usize,
}

/// The folders from the root to a place, each held open.
#[derive(Debug)]
struct Walk {
    root: Rc<OwnedFd>,
    /// Those below the root.
    folders: Vec<OwnedFd>,
}

impl Walk {
    fn last(&self) -> BorrowedFd<'_> {
        self.folders.last().unwrap_or(&self.root).as_fd()
    }
}

/// What becomes of folders that are missing on a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Made,
    Fault,
}

impl Tree {
    /// Opens the folder; it and its missing parents are made with mode 0755.
    pub(super) fn open(path: &str, masked: u32) -> Result<Self, ExtractError> {
        let fault = |source| ExtractError::Dest {
            dest: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .map_err(fault)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty());
        Ok(Self {
            root: Rc::new(root.map_err(|error| fault(error.into()))?),
            path: path.to_owned(),
            owner: Owner::own(),
            masked,
            folders: BTreeSet::new(),
            files: BTreeSet::new(),
            closed: Vec::new(),
            links: Vec::new(),
            link_bytes: 0,
        })
    }

    /// Makes a folder, unless one is there.
    pub(super) fn folder(&mut self, path: &[&[u8]], wanted: Attributes) -> Result<(), EntryFault> {
        let walk = self.walk(path, Missing::Made)?;
        let found = rustix::fs::fstat(walk.last()).map_err(EntryFault::io("looked at"))?;
        let identity = identity(&found);
        if self.folders.contains(&identity) {
            let open = wanted.mode | 0o700;
            set_folder_mode(walk.last(), open)?;
            if open != wanted.mode {
                self.closed.push((path.join(&b'/'), identity, wanted.mode));
            }
        }
        Ok(())
    }

    /// Makes a file of exactly so many bytes, unless it is there as it should be.
    pub(super) fn file(
        &mut self,
        path: &[&[u8]],
        wanted: Attributes,
        (size, sparse): (u64, bool),
        content: &mut dyn Read,
    ) -> Result<(), PlaceError> {
        let (walk, name) = self.parent(path)?;
        let parent = walk.last();
        let same = replaceable(parent, name)?.filter(|found| {
            self.owner.has(found, FileType::RegularFile)
                && found.st_mode & 0o7777 == wanted.mode
                && u64::try_from(found.st_size) == Ok(size)
        });
        let same = same.map(|found| identity(&found));
        let mut incoming = Incoming::new(content, size);
        let mut compared = None;
        if let Some((found, mut there)) =
            same.and_then(|found| Some((found, open_again(parent, name, found)?)))
        {
            match incoming.compare(&mut there)? {
                None => {
                    self.files.insert(found);
                    return Ok(());
                }
                Some(equal) => compared = Some((there, equal)),
            }
        }
        let create = |beside: &str| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::openat(parent, beside, flags, Mode::RUSR | Mode::WUSR)
        };
        let mut made = None;
        put(parent, name, create, |_, file| -> Result<(), PlaceError> {
            let file = File::from(file);
            incoming.write(&file, compared, sparse)?;
            let Attributes { mode, modified } = wanted;
            made = Some(finish_file(&file, self.owner, mode, modified)?);
            Ok(())
        })?;
        self.files.extend(made);
        Ok(())
    }

    /// Makes a symbolic link, unless it is there with that target.
    pub(super) fn symlink(&mut self, path: &[&[u8]], target: &[u8]) -> Result<(), PlaceError> {
        if target.is_empty() || target.len() > MAX_NAME || has_control(target) {
            return Err(EntryFault::BadTarget.into());
        }
        let (walk, name) = self.parent(path)?;
        let parent = walk.last();
        if self.leads_out(path, walk.folders.len(), target) {
            return Err(EntryFault::LinkLeaves.into());
        }
        let whole = path.join(&b'/');
        self.link_bytes += whole.len();
        if self.link_bytes > MAX_LINK_BYTES {
            let what = "what it says of its links";
            let most = MAX_LINK_BYTES as u64;
            return Err(ExtractError::Memory { what, most }.into());
        }
        self.links.push(whole);
        if let Some(found) = replaceable(parent, name)? {
            let points_to = rustix::fs::readlinkat(parent, name, Vec::new());
            if self.owner.has(&found, FileType::Symlink)
                && points_to.is_ok_and(|found| found.as_bytes() == target)
            {
                return Ok(());
            }
        }
        let create = |beside: &str| rustix::fs::symlinkat(target, parent, beside);
        let owner = self.owner;
        put(parent, name, create, |beside, ()| {
            Ok(owner.take(parent, beside)?)
        })
    }

    /// Makes a hard link to a file of this archive, unless it is there.
    pub(super) fn hard_link(&mut self, path: &[&[u8]], target: &[&[u8]]) -> Result<(), EntryFault> {
        let (target_name, folders) = target.split_last().ok_or(EntryFault::LinkToNothing)?;
        let target_walk = self
            .walk(folders, Missing::Fault)
            .map_err(|_| EntryFault::LinkToNothing)?;
        let linked = look_at(target_walk.last(), target_name)?
            .filter(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile)
            .map(|found| identity(&found))
            .filter(|found| self.files.contains(found))
            .ok_or(EntryFault::LinkToNothing)?;
        let (walk, name) = self.parent(path)?;
        let parent = walk.last();
        if replaceable(parent, name)?.is_some_and(|found| identity(&found) == linked) {
            return Ok(());
        }
        let from = target_walk.last();
        let create =
            |beside: &str| rustix::fs::linkat(from, *target_name, parent, beside, AtFlags::empty());
        put(parent, name, create, |_, ()| Ok(()))
    }

    /// Ends the work, finished or not: folders that would have shut out their owner get their
    /// modes, and every link is looked at once more. One that leads out by now, through a link made
    /// after it, is removed.
    pub(super) fn settle(&mut self) -> Result<(), ExtractError> {
        let mut result = Ok(());
        for path in std::mem::take(&mut self.links) {
            let settled = self.settle_link(&parts(&path));
            result = result.and(settled.map_err(|fault| ExtractError::entry(&path, fault)));
        }
        for (path, made, mode) in std::mem::take(&mut self.closed).into_iter().rev() {
            let settled = self.settle_folder(&parts(&path), made, mode);
            result = result.and(settled.map_err(|fault| ExtractError::entry(&path, fault)));
        }
        result
    }

    fn settle_link(&mut self, path: &[&[u8]]) -> Result<(), EntryFault> {
        let (name, folders) = path.split_last().ok_or(EntryFault::NoName)?;
        let walk = self.walk(folders, Missing::Fault)?;
        // Something else may have been unpacked over it.
        let Ok(target) = rustix::fs::readlinkat(walk.last(), *name, Vec::new()) else {
            return Ok(());
        };
        if self.leads_out(path, walk.folders.len(), target.as_bytes()) {
            rustix::fs::unlinkat(walk.last(), *name, AtFlags::empty())
                .map_err(EntryFault::io("removed again"))?;
            return Err(EntryFault::LinkLeaves);
        }
        Ok(())
    }

    fn settle_folder(
        &mut self,
        path: &[&[u8]],
        made: Identity,
        mode: u32,
    ) -> Result<(), EntryFault> {
        let walk = self.walk(path, Missing::Fault)?;
        let found = rustix::fs::fstat(walk.last()).map_err(EntryFault::io("looked at"))?;
        if identity(&found) == made {
            set_folder_mode(walk.last(), mode)?;
        }
        Ok(())
    }

    /// True if a link that lies so deep leaves the folder: by its text, or followed as far as what
    /// it names is there. One that leads nowhere leaves nothing.
    fn leads_out(&mut self, path: &[&[u8]], depth: usize, target: &[u8]) -> bool {
        let Some(inner) = self.inner(target) else {
            return true;
        };
        let absolute = inner.len() != target.len();
        if goes_out(inner, if absolute { 0 } else { depth }) {
            return true;
        }
        let before = match path.split_last() {
            Some((_, folders)) if !absolute => folders,
            _ => &[],
        };
        let followed = [before, &parts(inner)].concat();
        matches!(
            self.walk(&followed, Missing::Fault),
            Err(EntryFault::WrittenThrough)
        )
    }

    /// The target of a link as seen from the folder: an absolute one without the folder's own path,
    /// `None` if it leads elsewhere; a relative one as it is.
    fn inner<'a>(&self, target: &'a [u8]) -> Option<&'a [u8]> {
        if !target.starts_with(b"/") {
            return Some(target);
        }
        target
            .strip_prefix(self.path.as_bytes())
            .filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// The folder an entry belongs in, made if it is missing, and the entry's name there.
    fn parent<'a>(&mut self, path: &[&'a [u8]]) -> Result<(Walk, &'a [u8]), EntryFault> {
        let (name, folders) = path.split_last().ok_or(EntryFault::NoName)?;
        Ok((self.walk(folders, Missing::Made)?, name))
    }

    /// Follows a path to a folder.
    fn walk(&mut self, path: &[&[u8]], missing: Missing) -> Result<Walk, EntryFault> {
        let mut walk = Walk {
            root: Rc::clone(&self.root),
            folders: Vec::new(),
        };
        let mut to_go: Vec<Vec<u8>> = path.iter().rev().map(|part| part.to_vec()).collect();
        let mut links = 0;
        while let Some(part) = to_go.pop() {
            if part == b".." {
                walk.folders.pop().ok_or(EntryFault::WrittenThrough)?;
                continue;
            }
            let part = part.as_slice();
            match rustix::fs::openat(walk.last(), part, WALK, Mode::empty()) {
                Ok(folder) => walk.folders.push(folder),
                Err(Errno::NOENT) if missing == Missing::Made => {
                    let made = self.make_folder(walk.last(), part)?;
                    walk.folders.push(made);
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let target = rustix::fs::readlinkat(walk.last(), part, Vec::new())
                        .map_err(|_| EntryFault::NotAFolder)?;
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(EntryFault::ManyLinks);
                    }
                    let target = target.as_bytes();
                    let inner = self.inner(target).ok_or(EntryFault::WrittenThrough)?;
                    if inner.len() != target.len() {
                        walk.folders.clear();
                    }
                    to_go.extend(parts(inner).into_iter().rev().map(<[u8]>::to_vec));
                }
                Err(error) => return Err(EntryFault::io("reached")(error)),
            }
            if walk.folders.len() > MAX_DEPTH {
                return Err(EntryFault::Deep(MAX_DEPTH));
            }
        }
        Ok(walk)
    }

    fn make_folder(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, EntryFault> {
        const GIVEN: &str = "given a folder";
        if self.folders.len() as u64 >= MAX_ENTRIES {
            let error = io::Error::other(format!("there would be more than {MAX_ENTRIES}"));
            return Err(EntryFault::io(GIVEN)(error));
        }
        rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(EntryFault::io(GIVEN))?;
        let folder =
            rustix::fs::openat(parent, name, WALK, Mode::empty()).map_err(EntryFault::io(GIVEN))?;
        self.owner.take(folder.as_fd(), "")?;
        set_folder_mode(folder.as_fd(), FOLDER_MODE & !self.masked)?;
        let found = rustix::fs::fstat(&folder).map_err(EntryFault::io(GIVEN))?;
        self.folders.insert(identity(&found));
        Ok(folder)
    }
}
