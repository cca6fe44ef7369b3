//! What was learned of an image once: its whole tree, with the hashes of its files.
//!
//! Where a runner keeps images prepared, it lets the executor walk each of them once ([`learn`])
//! and keeps the result in the harness's folder; a session's first manifest then reads only what
//! differs, and looks only where overlayfs has copied something up ([`super::lower`]). A hash counts only for
//! a file with the same inode, size and times to the nanosecond on the root file system, as between two
//! manifests of one session. The table was written before anything foreign ran in a sandbox of the image;
//! one that is not whole is as good as none. What files say is not in it.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use assay_wire::digest::Digest;
use assay_wire::manifest::EntryKind;
use assay_wire::program::{HARNESS_FOLDER, LEARNED};
use rustix::fs::{CWD, OFlags};

use super::content::Contents;
use super::look::{open_folder, stat};
use super::record::{Identity, Item, Node, Tree, device};
use super::walk::walk;

/// What a table begins with: its form.
const MAGIC: &[u8; 16] = b"assay learned 2\n";

/// Largest table that is read.
const LARGEST: u64 = 256 << 20;

/// Walks the root and writes the table.
pub(crate) fn learn() -> io::Result<()> {
    let root = Path::new("/");
    let walked = walk(root, None, &Contents::default());
    if walked.unreadable > 0 {
        // What it does not know of is nowhere in it.
        return Ok(());
    }
    fs::write(
        Path::new(HARNESS_FOLDER).join(LEARNED),
        table(&walked.tree, device_of(root)?),
    )
}

/// What was learned of this image, if anything was.
pub(super) fn learned() -> Option<Tree> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(Path::new(HARNESS_FOLDER).join(LEARNED))
        .ok()?;
    let status = file.metadata().ok()?;
    if !status.is_file() || status.len() > LARGEST {
        return None;
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LARGEST), &mut bytes).ok()?;
    read_table(&bytes, device_of(Path::new("/")).ok()?)
}

fn device_of(root: &Path) -> io::Result<u64> {
    let folder = open_folder(CWD, root.as_os_str().as_encoded_bytes())?;
    let status = stat(std::os::fd::AsFd::as_fd(&folder), c"")?;
    Ok(device(&status))
}

/// Objects of another file system than the root's: none that a session finds has this number.
const ELSEWHERE: u64 = u64::MAX;

/// The table of a tree, in order: of each object what a walk remembers of it, numbers little-endian.
fn table(tree: &Tree, device: u64) -> Vec<u8> {
    let mut table = MAGIC.to_vec();
    for Item { path, node } in tree.items() {
        let identity = &node.identity;
        let detail = node.detail.as_ref().map(|detail| {
            serde_json::to_vec(detail).expect("texts and numbers are written as such")
        });
        let flags = [
            node.sha256.is_some(),
            detail.is_some(),
            node.is_linked,
            identity.device == device,
        ];
        let kind = KINDS.iter().position(|kind| *kind == node.kind);
        table.push(kind.map_or(u8::MAX, |kind| kind as u8));
        table.extend(flags.map(u8::from));
        for number in [node.mode, node.uid, node.gid] {
            table.extend(number.to_le_bytes());
        }
        for number in [node.size, identity.inode, identity.size] {
            table.extend(number.to_le_bytes());
        }
        for (seconds, nanoseconds) in identity.times() {
            table.extend(seconds.to_le_bytes());
            table.extend(nanoseconds.to_le_bytes());
        }
        table.extend(node.sha256.iter().flat_map(|sha256| sha256.bytes()));
        for text in [Some(&path[..]), detail.as_deref()].into_iter().flatten() {
            table.extend((text.len() as u64).to_le_bytes());
            table.extend(text);
        }
    }
    table
}

/// The tree of a table.
fn read_table(table: &[u8], device: u64) -> Option<Tree> {
    let mut rest = Rest(table.strip_prefix(MAGIC)?);
    let mut items = Vec::new();
    while !rest.0.is_empty() {
        items.push(rest.item(device)?);
    }
    Some(Tree::learned(items))
}

/// What of a table is still to be read.
struct Rest<'t>(&'t [u8]);

impl<'t> Rest<'t> {
    fn item(&mut self, device: u64) -> Option<Item> {
        let kind = *KINDS.get(usize::from(self.bytes::<1>()?[0]))?;
        let [has_hash, has_detail, is_linked, is_here] = self.bytes::<4>()?.map(|flag| flag == 1);
        let [mode, uid, gid] = [self.short()?, self.short()?, self.short()?];
        let [size, inode, length] = [self.long()?, self.long()?, self.long()?];
        let mut time = || Some((self.long()?.cast_signed(), self.short()?));
        let times = [time()?, time()?];
        let sha256 = match has_hash {
            true => Some(Digest::from_bytes(self.bytes::<32>()?)),
            false => None,
        };
        let path = self.text()?.into();
        let detail = match has_detail {
            true => Some(serde_json::from_slice(self.text()?).ok()?),
            false => None,
        };
        let device = if is_here { device } else { ELSEWHERE };
        let node = Node {
            kind,
            mode,
            uid,
            gid,
            size,
            sha256,
            detail,
            identity: Identity::from_parts(device, inode, length, times),
            is_linked,
        };
        Some(Item { path, node })
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn short(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'t [u8]> {
        let length = usize::try_from(self.long()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}

/// The kinds of objects, by their numbers in a table.
const KINDS: [EntryKind; 7] = [
    EntryKind::File,
    EntryKind::Folder,
    EntryKind::Symlink,
    EntryKind::Fifo,
    EntryKind::Socket,
    EntryKind::CharDevice,
    EntryKind::BlockDevice,
];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A folder with two files and a link, old enough to be settled.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a"), "first").expect("written");
        fs::write(folder.path().join("b"), "second").expect("written");
        symlink("a", folder.path().join("c")).expect("linked");
        thread::sleep(Duration::from_millis(100));
        folder
    }

    #[test]
    fn what_was_learned_is_not_read_again_unless_it_changed() {
        let folder = folder();
        let device = device_of(folder.path()).expect("a device");
        let first = walk(folder.path(), None, &Contents::default());
        let table = table(&first.tree, device);
        let learned = read_table(&table, device).expect("whole");
        assert_eq!(learned.items().len(), 4);
        for (one, other) in first.tree.items().iter().zip(learned.items()) {
            assert_eq!(
                (&one.path, one.node.is_linked),
                (&other.path, other.node.is_linked)
            );
            assert!(one.node.looks_like(&other.node));
            assert_eq!(one.node.identity, other.node.identity);
        }
        let again = walk(folder.path(), Some(&learned), &Contents::default());
        assert_eq!(again.hashed, 0);
        for (one, other) in first.tree.items().iter().zip(again.tree.items()) {
            assert!(one.node.looks_like(&other.node));
        }
        fs::write(folder.path().join("a"), "third").expect("written");
        let changed = walk(folder.path(), Some(&learned), &Contents::default());
        assert_eq!(changed.hashed, 5);
    }

    #[test]
    fn another_device_is_another_file() {
        let folder = folder();
        let device = device_of(folder.path()).expect("a device");
        let first = walk(folder.path(), None, &Contents::default());
        let foreign = read_table(&table(&first.tree, device + 1), device).expect("whole");
        let hashed = |learned| walk(folder.path(), Some(learned), &Contents::default()).hashed;
        assert_eq!(hashed(&foreign), first.hashed);
        let elsewhere = read_table(&table(&first.tree, device), device + 1).expect("whole");
        assert_eq!(hashed(&elsewhere), first.hashed);
    }

    #[test]
    fn what_has_not_settled_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a"), "just now").expect("written");
        let device = device_of(folder.path()).expect("a device");
        let first = walk(folder.path(), None, &Contents::default());
        let learned = read_table(&table(&first.tree, device), device).expect("whole");
        let again = walk(folder.path(), Some(&learned), &Contents::default());
        assert_eq!(again.hashed, first.hashed);
    }

    #[test]
    fn a_table_that_is_not_whole_is_none() {
        let folder = folder();
        let device = device_of(folder.path()).expect("a device");
        let table = table(
            &walk(folder.path(), None, &Contents::default()).tree,
            device,
        );
        for cut in 1..60 {
            assert!(read_table(&table[..table.len() - cut], device).is_none());
        }
        assert!(read_table(&table[1..], device).is_none());
        assert!(read_table(b"", device).is_none());
        assert!(read_table(MAGIC, device).is_some_and(|tree| tree.items().is_empty()));
    }
}
