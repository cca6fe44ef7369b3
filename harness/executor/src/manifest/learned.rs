//! What was learned of an image once: the hashes of its files, by what a file is known again.
//!
//! Where a runner keeps images prepared, it lets the executor walk each of them once ([`learn`])
//! and keeps the result in the harness's folder; a session's first manifest then reads only what
//! differs. A hash counts only for a file with the same inode, size and times to the nanosecond
//! on the root file system, as between two manifests of one session. The table was written before
//! anything foreign ran in a sandbox of the image; one that is not whole is as good as none.

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
const MAGIC: &[u8; 16] = b"assay hashes 1\n\0";

/// Bytes of a file in the table: inode, size, both times, hash; numbers little-endian.
const ROW: usize = 8 + 8 + 12 + 12 + 32;

/// Largest table that is read.
const LARGEST: u64 = 256 << 20;

/// Walks the root and writes the table.
pub(crate) fn learn() -> io::Result<()> {
    let root = Path::new("/");
    let walked = walk(root, None, &Contents::default());
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

/// The table of a tree: its plain files on one device that have settled.
fn table(tree: &Tree, device: u64) -> Vec<u8> {
    let mut table = MAGIC.to_vec();
    for Item { node, .. } in tree.items() {
        let (Some(sha256), None) = (&node.sha256, &node.detail) else {
            continue;
        };
        let identity = &node.identity;
        if identity.device != device || !identity.is_settled() {
            continue;
        }
        table.extend(identity.inode.to_le_bytes());
        table.extend(identity.size.to_le_bytes());
        for (seconds, nanoseconds) in identity.times() {
            table.extend(seconds.to_le_bytes());
            table.extend(nanoseconds.to_le_bytes());
        }
        table.extend(sha256.bytes());
    }
    table
}

/// The tree of a table, without paths: only to look files up in.
fn read_table(table: &[u8], device: u64) -> Option<Tree> {
    let (rows, rest) = table.strip_prefix(MAGIC)?.as_chunks::<ROW>();
    if !rest.is_empty() {
        return None;
    }
    let items = rows.iter().map(|row| {
        let long = |at: usize| u64::from_le_bytes(row[at..at + 8].try_into().expect("8 bytes"));
        let short = |at: usize| u32::from_le_bytes(row[at..at + 4].try_into().expect("4 bytes"));
        let time = |at: usize| (long(at).cast_signed(), short(at + 8));
        let size = long(8);
        let sha256: [u8; 32] = row[40..].try_into().expect("32 bytes");
        Item {
            path: Box::default(),
            node: Node {
                kind: EntryKind::File,
                mode: 0,
                uid: 0,
                gid: 0,
                size,
                sha256: Some(Digest::from_bytes(sha256)),
                detail: None,
                identity: Identity::from_parts(device, long(0), size, [time(16), time(28)]),
                is_linked: false,
            },
        }
    });
    Some(Tree::new(items.collect()))
}

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
        assert_eq!(table.len(), MAGIC.len() + 2 * ROW);
        let learned = read_table(&table, device).expect("whole");
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
        assert_eq!(table(&first.tree, device + 1), MAGIC);
        let elsewhere = read_table(&table(&first.tree, device), device + 1).expect("whole");
        assert_eq!(
            walk(folder.path(), Some(&elsewhere), &Contents::default()).hashed,
            first.hashed
        );
    }

    #[test]
    fn what_has_not_settled_is_not_learned() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a"), "just now").expect("written");
        let device = device_of(folder.path()).expect("a device");
        assert_eq!(
            table(
                &walk(folder.path(), None, &Contents::default()).tree,
                device
            ),
            MAGIC
        );
    }

    #[test]
    fn a_table_that_is_not_whole_is_none() {
        let folder = folder();
        let device = device_of(folder.path()).expect("a device");
        let table = table(
            &walk(folder.path(), None, &Contents::default()).tree,
            device,
        );
        assert!(read_table(&table[..table.len() - 1], device).is_none());
        assert!(read_table(&table[1..], device).is_none());
        assert!(read_table(b"", device).is_none());
        assert!(read_table(MAGIC, device).is_some_and(|tree| tree.items().is_empty()));
    }
}
