//! What a walk remembers of every object: enough to compare, to tell, and to know next time that
//! a file need not be read again. Kept small, because a hostile tree may hold a million objects.

use std::collections::{BTreeMap, HashMap};

use assay_wire::digest::Digest;
use assay_wire::manifest::{Content, Entry, EntryKind};
use rustix::fs::Statx;
use serde::{Deserialize, Serialize};

/// A time no object has.
const UNSETTLED: (i64, u32) = (i64::MIN, 0);

/// A walked tree, in order of the paths.
#[derive(Debug, Default)]
pub(super) struct Tree {
    items: Vec<Item>,
    /// Position of an item by device and inode. Only looked up, never iterated.
    by_identity: HashMap<(u64, u64), u32>,
    /// True where what files say is not known, whoever asks for it.
    pub(super) is_without_contents: bool,
}

/// One object and where it is.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The absolute path.
    pub(super) path: Box<[u8]>,
    /// What is there.
    pub(super) node: Node,
}

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: EntryKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) sha256: Option<Digest>,
    /// What few objects have.
    pub(super) detail: Option<Box<Detail>>,
    pub(super) identity: Identity,
    /// True for what is no folder and has several names.
    pub(super) is_linked: bool,
}

/// What few objects have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Detail {
    /// Where a link leads, or which device it is.
    pub(super) points_to: Option<String>,
    /// Extended attributes.
    pub(super) xattrs: BTreeMap<String, Digest>,
    /// The value of the attribute of capabilities, in hex digits.
    pub(super) capability: Option<String>,
    /// What it says, of a file that is asked for.
    pub(super) content: Option<Content>,
}

/// By what an object is known again: as long as this is the same, content and attributes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    changed: (i64, u32),
    modified: (i64, u32),
}

impl Tree {
    /// A tree of these items.
    pub(super) fn new(mut items: Vec<Item>) -> Self {
        items.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let by_identity = items
            .iter()
            .zip(0_u32..)
            .map(|(item, position)| {
                let identity = &item.node.identity;
                ((identity.device, identity.inode), position)
            })
            .collect();
        Self {
            items,
            by_identity,
            is_without_contents: false,
        }
    }

    /// A tree of these items, of which none has what it says.
    pub(super) fn learned(items: Vec<Item>) -> Self {
        Self {
            is_without_contents: true,
            ..Self::new(items)
        }
    }

    /// The items, in order of the paths.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// What is at a path, and everything below it.
    pub(super) fn with_below(&self, path: &[u8]) -> Option<(&Node, &[Item])> {
        let at = self.items.binary_search_by(|item| (*item.path).cmp(path));
        let at = at.ok()?;
        let folder = path.strip_suffix(b"/").unwrap_or(path);
        // Others that begin alike come between a folder and what is in it.
        let is_before = |item: &Item, end: u8| {
            let (start, rest) = item.path.split_at(item.path.len().min(folder.len()));
            (start, rest.first().copied()) < (folder, Some(end))
        };
        let begins = self.items.partition_point(|item| is_before(item, b'/'));
        let ends = self.items.partition_point(|item| is_before(item, b'/' + 1));
        // The root itself begins like what is in it.
        let below = &self.items[begins.max(at + 1)..ends.max(at + 1)];
        Some((&self.items[at].node, below))
    }

    /// The object known by this, if it is unchanged since.
    pub(super) fn known(&self, kind: EntryKind, identity: &Identity) -> Option<&Node> {
        let position = *self.by_identity.get(&(identity.device, identity.inode))?;
        let node = &self.items.get(position as usize)?.node;
        (node.kind == kind && node.identity == *identity).then_some(node)
    }
}

/// Of what is below a folder: what is in it itself. The folder's path is empty for the root.
pub(super) fn directly_in<'t>(folder: &[u8], below: &'t [Item]) -> impl Iterator<Item = &'t Item> {
    let (mut rest, within) = (below, folder.len() + 1);
    std::iter::from_fn(move || {
        loop {
            let (first, others) = rest.split_first()?;
            let deeper = first.path[within..].iter().position(|byte| *byte == b'/');
            let Some(end) = deeper else {
                rest = others;
                return Some(first);
            };
            // All that is below the same one follow each other.
            let folder = &first.path[..=within + end];
            let beyond = rest.partition_point(|item| item.path.starts_with(folder));
            rest = &rest[beyond..];
        }
    })
}

impl Item {
    /// The object as reported.
    pub(super) fn entry(&self) -> Entry {
        let Node {
            kind,
            mode,
            uid,
            gid,
            size,
            sha256,
            ref detail,
            ..
        } = self.node;
        let detail = detail.as_deref().cloned().unwrap_or_default();
        Entry {
            kind,
            mode,
            uid,
            gid,
            size,
            sha256,
            points_to: detail.points_to,
            xattrs: detail.xattrs,
            capability: detail.capability,
            content: detail.content,
        }
    }
}

impl Node {
    /// What it says, as far as that is kept.
    pub(super) fn content(&self) -> Option<&str> {
        match self.detail.as_ref()?.content.as_ref()? {
            Content::Text(text) | Content::Hex(text) => Some(text),
            Content::Long | Content::Secret | Content::LeftOut => None,
        }
    }

    /// True if a report would say the same of both.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        (self.kind, self.mode, self.uid, self.gid, self.size)
            == (other.kind, other.mode, other.uid, other.gid, other.size)
            && self.sha256 == other.sha256
            && self.detail == other.detail
    }
}

impl Identity {
    /// The identity in a result of statx(2).
    pub(super) fn of(stat: &Statx) -> Self {
        Self {
            device: device(stat),
            inode: stat.stx_ino,
            size: stat.stx_size,
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        }
    }

    /// An identity of its parts: device, inode, size, and the times of [`Identity::times`].
    pub(super) fn from_parts(device: u64, inode: u64, size: u64, times: [(i64, u32); 2]) -> Self {
        let [changed, modified] = times;
        Self {
            device,
            inode,
            size,
            changed,
            modified,
        }
    }

    /// When status and content changed last, in seconds and nanoseconds since 1970.
    pub(super) fn times(&self) -> [(i64, u32); 2] {
        [self.changed, self.modified]
    }

    /// True unless it was made [`Identity::unsettled`].
    pub(super) fn is_settled(&self) -> bool {
        self.changed != UNSETTLED
    }

    /// True if the last change lies before this moment (seconds and nanoseconds since 1970). The
    /// kernel's time stamps are coarse: an object changed at about the time it was looked at may
    /// change again without its stamp changing, and must be looked at anew.
    pub(super) fn settled_before(&self, moment: (i64, u32)) -> bool {
        self.changed < moment
    }

    /// The same object, never to be known again.
    pub(super) fn unsettled(mut self) -> Self {
        self.changed = UNSETTLED;
        self
    }
}

/// The device of a result of statx(2) as one number.
pub(super) fn device(stat: &Statx) -> u64 {
    u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let node = |inode| Node {
            kind: EntryKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            sha256: None,
            detail: None,
            identity: Identity::from_parts(1, inode, 0, [(0, 0); 2]),
            is_linked: false,
        };
        let items = paths.iter().zip(1..).map(|(path, inode)| Item {
            path: path.as_bytes().into(),
            node: node(inode),
        });
        Tree::new(items.collect())
    }

    /// What is below a path, and what is in it itself.
    fn found(tree: &Tree, path: &str) -> Option<(Vec<String>, Vec<String>)> {
        let (_, below) = tree.with_below(path.as_bytes())?;
        let text = |item: &Item| String::from_utf8_lossy(&item.path).into_owned();
        let folder = path.strip_suffix('/').unwrap_or(path);
        let inside = directly_in(folder.as_bytes(), below).map(text).collect();
        Some((below.iter().map(text).collect(), inside))
    }

    #[test]
    fn what_is_below_a_folder_and_what_is_in_it() {
        let all = [
            "/", "/a", "/a-b", "/a.b", "/a.b/c", "/a/b", "/a/b-", "/a/b/c", "/a/b/c/d", "/a/b0",
            "/a0",
        ];
        let tree = tree(&all);
        let texts = |paths: &[&str]| {
            paths
                .iter()
                .map(|path| (*path).to_owned())
                .collect::<Vec<_>>()
        };
        for (path, below, inside) in [
            ("/", &all[1..], &["/a", "/a-b", "/a.b", "/a0"][..]),
            (
                "/a",
                &["/a/b", "/a/b-", "/a/b/c", "/a/b/c/d", "/a/b0"],
                &["/a/b", "/a/b-", "/a/b0"],
            ),
            ("/a.b", &["/a.b/c"], &["/a.b/c"]),
            ("/a/b", &["/a/b/c", "/a/b/c/d"], &["/a/b/c"]),
            ("/a0", &[], &[]),
        ] {
            assert_eq!(
                found(&tree, path),
                Some((texts(below), texts(inside))),
                "{path}"
            );
        }
        assert_eq!(found(&tree, "/b"), None);
    }

    proptest::proptest! {
        #[test]
        fn every_path_is_in_one_folder(paths in proptest::collection::btree_set("(/[ab.0-]{1,2}){1,4}", 1..40)) {
            let mut all: std::collections::BTreeSet<String> = ["/".to_owned()].into();
            for path in &paths {
                for (at, _) in path.match_indices('/').skip(1) {
                    all.insert(path[..at].to_owned());
                }
                all.insert(path.clone());
            }
            let texts: Vec<&str> = all.iter().map(String::as_str).collect();
            let tree = tree(&texts);
            let mut seen: Vec<String> = texts.iter().filter_map(|path| found(&tree, path)).flat_map(|(_, inside)| inside).collect();
            seen.push("/".to_owned());
            seen.sort_unstable();
            proptest::prop_assert_eq!(seen, texts);
        }
    }
}
