//! The walk: every object below a root, on a few threads, by descriptors.
//!
//! Folders are opened from their parent's descriptor without following links, so that a link put
//! in their place in the meantime leads nowhere. Nothing but regular files is opened for reading;
//! what a file holds is read again only if the object changed. A tree may be as deep and as wide
//! as a hostile sandbox can make it: nothing recurses, and what passes the bounds counts as
//! unreadable.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use assay_wire::manifest::{EntryKind, escape_path};
use rustix::fs::{CWD, RawDir};

use super::content::Contents;
use super::look::{Reader, Seen, open_folder, stat};
use super::lower::Lower;
use super::record::{Item, Node, Tree, device, directly_in};
use crate::reap::lock;

/// Paths that are never looked at: the harness's own, and devices.
const EXCLUDED: [&[u8]; 2] = [b"/.assay", b"/dev"];

/// The kernel's own file systems, by their magic numbers (statfs(2)): proc, sysfs, devpts, mqueue,
/// cgroup, cgroup2.
const KERNEL_FILE_SYSTEMS: [u64; 6] = [
    0x9fa0,
    0x6265_6572,
    0x1cd1,
    0x1980_0202,
    0x0027_e0eb,
    0x6367_7270,
];

/// Longest path that is walked: a longer one cannot be named to the kernel (`PATH_MAX`).
const PATH_BYTES: usize = 4096;

/// Most objects of one walk.
const OBJECTS: u64 = 2_000_000;

/// Files from this size on are work of their own, so that threads share a folder of large ones.
const LARGE_FILE: u64 = 256 << 10;

/// Most threads.
const THREADS: usize = 4;

/// How coarse the time stamps of a file system may be: a tick of the kernel's clock, which lasts
/// 10 ms at most (time(7), `CONFIG_HZ`), twice.
pub(super) const COARSE: Duration = Duration::from_millis(20);

/// What a walk found.
#[derive(Debug)]
pub(super) struct Walked {
    /// Every object.
    pub(super) tree: Tree,
    /// Bytes read and hashed.
    pub(super) hashed: u64,
    /// Objects that could not be looked at.
    pub(super) unreadable: u64,
    /// Where other file systems were walked, escaped, in order.
    pub(super) mounts: Vec<String>,
}

/// Walks everything below a root; what `previous` knows is not read again.
pub(super) fn walk(root: &Path, previous: Option<&Tree>, contents: &Contents) -> Walked {
    walk_but(root, previous, None, contents)
}

/// The same, but for what is as `previous` has it by `lower`.
pub(super) fn walk_but(
    root: &Path,
    previous: Option<&Tree>,
    lower: Option<&Lower>,
    contents: &Contents,
) -> Walked {
    let walk = Walk {
        previous,
        lower,
        contents,
        kept: AtomicU64::new(0),
        settled: moment_before(SystemTime::now(), COARSE),
        queue: Mutex::new(Queue {
            work: vec![Work::Root],
            busy: 0,
        }),
        changed: Condvar::new(),
        objects: AtomicU64::new(0),
        hashed: AtomicU64::new(0),
        unreadable: AtomicU64::new(0),
        root,
    };
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
    let (items, mut mounts) = thread::scope(|scope| {
        let walk = &walk;
        let helpers: Vec<_> = (1..threads)
            .filter_map(|_| {
                // A sandbox at its limit of processes leaves the work to this thread.
                thread::Builder::new()
                    .spawn_scoped(scope, move || walk.work())
                    .ok()
            })
            .collect();
        let (mut items, mut mounts) = walk.work();
        for helper in helpers {
            let (more, others) = helper.join().expect("a panic has ended the session");
            items.extend(more);
            mounts.extend(others);
        }
        (items, mounts)
    });
    mounts.sort_unstable();
    Walked {
        tree: Tree::new(items),
        hashed: walk.hashed.into_inner(),
        unreadable: walk.unreadable.into_inner(),
        mounts,
    }
}

/// A walk under way.
struct Walk<'w> {
    previous: Option<&'w Tree>,
    lower: Option<&'w Lower>,
    contents: &'w Contents,
    /// Bytes of content kept.
    kept: AtomicU64,
    settled: (i64, u32),
    queue: Mutex<Queue>,
    changed: Condvar,
    objects: AtomicU64,
    hashed: AtomicU64,
    unreadable: AtomicU64,
    root: &'w Path,
}

/// What is left to do; last in, first out, so that few folders are open at a time.
struct Queue {
    work: Vec<Work>,
    busy: usize,
}

enum Work {
    Root,
    Folder(Found),
    LargeFile(Found),
}

/// An object found in a folder.
struct Found {
    parent: Arc<OwnedFd>,
    parent_device: u64,
    path: Box<[u8]>,
    name_at: usize,
    seen: Seen,
}

impl Found {
    fn name(&self) -> &[u8] {
        &self.path[self.name_at..]
    }
}

/// What one thread found and the memory it works in.
struct Worker<'w> {
    walk: &'w Walk<'w>,
    items: Vec<Item>,
    mounts: Vec<String>,
    reader: Reader<'w>,
    listing: Vec<MaybeUninit<u8>>,
}

impl Walk<'_> {
    /// The body of every thread.
    fn work(&self) -> (Vec<Item>, Vec<String>) {
        let mut worker = Worker {
            walk: self,
            items: Vec::new(),
            mounts: Vec::new(),
            reader: Reader::new(&self.hashed, &self.kept, self.contents),
            listing: vec![MaybeUninit::uninit(); 32 << 10],
        };
        let mut queue = lock(&self.queue);
        loop {
            if let Some(work) = queue.work.pop() {
                queue.busy += 1;
                drop(queue);
                if worker.perform(work).is_err() {
                    self.unreadable.fetch_add(1, Ordering::Relaxed);
                }
                queue = lock(&self.queue);
                queue.busy -= 1;
            } else if queue.busy == 0 {
                self.changed.notify_all();
                return (worker.items, worker.mounts);
            } else {
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn push(&self, work: Work) {
        lock(&self.queue).work.push(work);
        self.changed.notify_one();
    }

    /// What is below a folder, if it is what was there before.
    fn unchanged(&self, found: &Found) -> Option<&[Item]> {
        let lower = self.lower?;
        lower.unchanged(&found.path, &found.seen.node, self.previous?, self.contents)
    }

    /// What can be said of an object without opening it.
    fn see(&self, stat: &rustix::fs::Statx) -> io::Result<Seen> {
        Seen::new(stat, self.previous, self.settled)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Worker<'_> {
    fn perform(&mut self, work: Work) -> io::Result<()> {
        match work {
            Work::Root => self.root(),
            Work::Folder(found) => self.folder(found),
            Work::LargeFile(mut found) => {
                let Found {
                    parent,
                    path,
                    name_at,
                    seen,
                    ..
                } = &mut found;
                let read = self.reader.file(parent.as_fd(), path, *name_at, seen);
                self.keep(found.path, found.seen.node);
                read
            }
        }
    }

    fn root(&mut self) -> io::Result<()> {
        let folder = open_folder(CWD, self.walk.root.as_os_str().as_encoded_bytes())?;
        let stat = stat(folder.as_fd(), c"")?;
        let mut seen = self.walk.see(&stat)?;
        let read = self.reader.folder(&folder, &mut seen);
        self.keep(b"/".as_slice().into(), seen.node);
        self.list(Arc::new(folder), b"", device(&stat));
        read
    }

    /// Looks into a folder.
    fn folder(&mut self, mut found: Found) -> io::Result<()> {
        if let Some(below) = self.walk.unchanged(&found) {
            self.take(below);
            self.keep(found.path, found.seen.node);
            return Ok(());
        }
        let folder = match open_folder(found.parent.as_fd(), found.name()) {
            Ok(folder) => folder,
            Err(error) => {
                self.keep(found.path, found.seen.node);
                return Err(error);
            }
        };
        let inside = found.seen.node.identity.device;
        if inside != found.parent_device {
            let magic = rustix::fs::fstatfs(&folder)?.f_type;
            if KERNEL_FILE_SYSTEMS
                .iter()
                .any(|kernel| u64::try_from(magic) == Ok(*kernel))
            {
                return Ok(());
            }
            self.mounts.push(escape_path(&found.path));
        }
        let read = self.reader.folder(&folder, &mut found.seen);
        // The parent may be closed before the children are walked.
        drop(found.parent);
        self.list(Arc::new(folder), &found.path, inside);
        self.keep(found.path, found.seen.node);
        read
    }

    /// Takes what is as it was, with what was read of it.
    fn take(&mut self, items: &[Item]) {
        let contents = items.iter().filter_map(|item| item.node.content());
        let length: u64 = contents.map(|text| text.len() as u64).sum();
        self.walk.kept.fetch_add(length, Ordering::Relaxed);
        self.walk
            .objects
            .fetch_add(items.len() as u64, Ordering::Relaxed);
        self.items.extend_from_slice(items);
    }

    /// Looks at what is in a folder; `path` is its own, empty for the root.
    fn list(&mut self, folder: Arc<OwnedFd>, path: &[u8], inside: u64) {
        let (walk, named) = (self.walk, if path.is_empty() { b"/" } else { path });
        let listed = walk.lower.zip(walk.previous).and_then(|(lower, previous)| {
            // As it is now: it was not open when it was looked at.
            let now = stat(folder.as_fd(), c"").and_then(|stat| walk.see(&stat));
            let below = lower.listed(named, &now.ok()?.node, previous)?;
            Some((lower, previous, below))
        });
        match listed {
            Some((lower, previous, below)) => {
                for item in directly_in(path, below) {
                    match lower.still(item, previous, walk.contents) {
                        Some(below) => {
                            self.take(std::slice::from_ref(item));
                            self.take(below);
                        }
                        None => {
                            let name = CString::new(&item.path[path.len() + 1..]);
                            let looked = name
                                .map_err(io::Error::other)
                                .and_then(|name| self.object(&folder, path, &name, inside));
                            self.count(looked);
                        }
                    }
                }
            }
            None => self.read_names(&folder, path, inside),
        }
    }

    /// Looks at everything a folder has a name for.
    fn read_names(&mut self, folder: &Arc<OwnedFd>, path: &[u8], inside: u64) {
        let mut listing = std::mem::take(&mut self.listing);
        let mut entries = RawDir::new(&**folder, &mut listing);
        while let Some(entry) = entries.next() {
            let looked = match entry {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => continue,
                Ok(entry) => self.object(folder, path, entry.file_name(), inside),
                Err(_) => {
                    self.walk.unreadable.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            };
            self.count(looked);
        }
        self.listing = listing;
    }

    /// Counts what could not be looked at.
    fn count(&self, looked: io::Result<()>) {
        if looked.is_err() {
            self.walk.unreadable.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks at one object of a folder.
    fn object(
        &mut self,
        folder: &Arc<OwnedFd>,
        within: &[u8],
        name: &CStr,
        inside: u64,
    ) -> io::Result<()> {
        let mut path = Vec::with_capacity(within.len() + 1 + name.count_bytes());
        path.extend_from_slice(within);
        path.push(b'/');
        path.extend_from_slice(name.to_bytes());
        if EXCLUDED.contains(&path.as_slice()) {
            return Ok(());
        }
        let too_many = self.walk.objects.fetch_add(1, Ordering::Relaxed) >= OBJECTS;
        if path.len() > PATH_BYTES || too_many {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let mut seen = self.walk.see(&stat(folder.as_fd(), name)?)?;
        let path = path.into_boxed_slice();
        self.reader.ask_for(&path, &mut seen);
        let queued = match seen.node.kind {
            EntryKind::Folder => Some(Work::Folder as fn(Found) -> Work),
            EntryKind::File if !seen.known && seen.node.size >= LARGE_FILE => {
                Some(Work::LargeFile as fn(Found) -> Work)
            }
            EntryKind::File
            | EntryKind::Symlink
            | EntryKind::Fifo
            | EntryKind::Socket
            | EntryKind::CharDevice
            | EntryKind::BlockDevice => None,
        };
        if let Some(work) = queued {
            self.walk.push(work(Found {
                parent: Arc::clone(folder),
                parent_device: inside,
                path,
                name_at: within.len() + 1,
                seen,
            }));
            return Ok(());
        }
        let read = if seen.node.kind == EntryKind::File {
            self.reader
                .file(folder.as_fd(), &path, within.len() + 1, &mut seen)
        } else {
            self.reader.unopened(folder.as_fd(), name, &mut seen)
        };
        self.keep(path, seen.node);
        read
    }

    fn keep(&mut self, path: Box<[u8]>, node: Node) {
        self.items.push(Item { path, node });
    }
}

/// A moment some time before another, as time stamps have it.
pub(super) fn moment_before(now: SystemTime, by: Duration) -> (i64, u32) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let moment = since.saturating_sub(by);
    let seconds = i64::try_from(moment.as_secs()).unwrap_or(i64::MAX);
    (seconds, moment.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn paths(walked: &Walked) -> Vec<String> {
        let items = walked.tree.items().iter();
        items.map(|item| escape_path(&item.path)).collect()
    }

    #[test]
    fn a_walk_lists_every_object_and_follows_no_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).expect("made");
        fs::write(root.join("a/b/f"), "content").expect("written");
        symlink("/", root.join("a/up")).expect("linked");
        fs::create_dir(root.join(".assay")).expect("made");
        fs::write(root.join(".assay/hidden"), "x").expect("written");
        let first = walk(root, None, &Contents::default());
        assert_eq!(paths(&first), ["/", "/a", "/a/b", "/a/b/f", "/a/up"]);
        assert_eq!((first.hashed, first.unreadable), (7, 0));
        let link = first.tree.items()[4].entry();
        assert_eq!(
            (link.kind, link.points_to.as_deref()),
            (EntryKind::Symlink, Some("/"))
        );
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("f");
        fs::write(&file, "content").expect("written");
        thread::sleep(COARSE * 2);
        let first = walk(folder.path(), None, &Contents::default());
        let second = walk(folder.path(), Some(&first.tree), &Contents::default());
        assert_eq!(second.hashed, 0);
        assert!(
            second.tree.items()[1]
                .node
                .looks_like(&first.tree.items()[1].node)
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("changed");
        let third = walk(folder.path(), Some(&second.tree), &Contents::default());
        assert_eq!(third.hashed, 7);
        assert!(
            !third.tree.items()[1]
                .node
                .looks_like(&first.tree.items()[1].node)
        );
    }

    #[test]
    fn deep_nesting_ends_at_the_longest_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut at = open_folder(CWD, folder.path().as_os_str().as_encoded_bytes()).expect("open");
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "dd", rustix::fs::Mode::RWXU).expect("made");
            at = open_folder(at.as_fd(), b"dd").expect("open");
        }
        let walked = walk(folder.path(), None, &Contents::default());
        assert_eq!(walked.tree.items().len(), 1 + PATH_BYTES / 3);
        assert_eq!(walked.unreadable, 1);
    }
}
