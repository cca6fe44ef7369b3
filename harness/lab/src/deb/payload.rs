//! Reads the entries of a package's tar archive, with `/usr` merged.
//!
//! Bounded: number of entries, length of paths; nothing may point out of the
//! root. Opens no file. `super::read` unpacks the archive before.

use super::DebError;

const MOST_ENTRIES: usize = 200_000;
const LONGEST_PATH: usize = 4096;
/// The top-level folders that are links into `/usr` on every supported distribution.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A folder.
    Directory,
    /// A regular file with its contents.
    File(Vec<u8>),
    /// A symbolic link with its target, as written.
    Symlink(String),
    /// A hard link to another entry's path.
    Hardlink(String),
}

/// One entry of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The path without leading or trailing slash.
    pub(crate) path: String,
    /// What it is.
    pub(crate) node: Node,
    /// Permission bits, twelve of them.
    pub(crate) mode: u32,
    /// Owner: name and number.
    pub(crate) user: (String, u32),
    /// Group: name and number.
    pub(crate) group: (String, u32),
    /// Modification time in seconds since 1970.
    pub(crate) mtime: u64,
    /// A capability that the file gives whoever executes it.
    pub(crate) capability: Option<Capability>,
}

/// A capability, as it is permitted and in effect (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Its name, such as `cap_net_raw`.
    pub name: &'static str,
    /// Its number (linux/capability.h).
    pub number: u8,
}

impl Capability {
    /// As cap_from_text(3) reads it.
    pub(crate) fn text(self) -> String {
        format!("{}=ep", self.name)
    }

    /// The value of the attribute `security.capability`, revision 2 (linux/capability.h).
    pub(crate) fn attribute(self) -> Vec<u8> {
        const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
        let permitted = 1u64.checked_shl(u32::from(self.number)).unwrap_or(0);
        let [low, high] = [permitted & 0xffff_ffff, permitted >> 32];
        let words = [u64::from(REVISION_2_EFFECTIVE), low, 0, high, 0];
        words
            .iter()
            .flat_map(|word| word.to_le_bytes().into_iter().take(4))
            .collect()
    }
}

impl Entry {
    /// An entry that belongs to root.
    pub(crate) fn of_root(path: &str, node: Node, mode: u32, mtime: u64) -> Self {
        let root = || ("root".to_owned(), 0);
        Self {
            path: path.to_owned(),
            node,
            mode,
            user: root(),
            group: root(),
            mtime,
            capability: None,
        }
    }
}

/// Reads the entries of an unpacked archive; the root itself and the folders
/// that merging replaces by links are left out.
///
/// # Errors
/// `DebError::Entry` for a device, a path that leaves the root, or too much of either.
pub(crate) fn entries(tar: &[u8]) -> Result<Vec<Entry>, DebError> {
    let unreadable = |error: std::io::Error| DebError::Unpack {
        member: "tar".to_owned(),
        reason: error.to_string(),
    };
    let mut archive = tar::Archive::new(tar);
    let mut found = Vec::new();
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        if found.len() == MOST_ENTRIES {
            return Err(refuse(b"", "is one too many"));
        }
        let path = clean(&entry.path_bytes())?;
        if path.is_empty() || MERGED.contains(&path.as_str()) {
            continue;
        }
        let path = merge_usr(&path);
        let link = match entry.link_name_bytes() {
            Some(bytes) => Some(text(&bytes)?),
            None => None,
        };
        let header = entry.header();
        let mode = header.mode().map_err(unreadable)? & 0o7777;
        let user = (name_of(header.username_bytes()), number(header.uid())?);
        let group = (name_of(header.groupname_bytes()), number(header.gid())?);
        let mtime = header.mtime().map_err(unreadable)?;
        let kind = header.entry_type();
        let node = if kind.is_dir() {
            Node::Directory
        } else if kind.is_file() {
            let mut contents = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut contents).map_err(unreadable)?;
            Node::File(contents)
        } else if kind.is_symlink() {
            Node::Symlink(
                link.filter(|target| !target.is_empty())
                    .ok_or_else(|| refuse(path.as_bytes(), "links to nothing"))?,
            )
        } else if kind.is_hard_link() {
            let target = link.ok_or_else(|| refuse(path.as_bytes(), "links to nothing"))?;
            Node::Hardlink(merge_usr(&clean(target.as_bytes())?))
        } else {
            return Err(refuse(path.as_bytes(), "is neither file, folder nor link"));
        };
        found.push(Entry {
            path,
            node,
            mode,
            user,
            group,
            mtime,
            // A .deb has no place for one: scripts set them.
            capability: None,
        });
    }
    Ok(found)
}

/// The path with a leading `bin`, `sbin`, `lib` or `lib64` moved below `usr`.
pub(crate) fn merge_usr(path: &str) -> String {
    let first = path.split('/').next().unwrap_or(path);
    if MERGED.contains(&first) {
        format!("usr/{path}")
    } else {
        path.to_owned()
    }
}

fn clean(bytes: &[u8]) -> Result<String, DebError> {
    if bytes.len() > LONGEST_PATH {
        return Err(refuse(bytes, "has a path that is too long"));
    }
    let path = text(bytes)?;
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(refuse(bytes, "leaves the root")),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn text(bytes: &[u8]) -> Result<String, DebError> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| refuse(bytes, "has a path that is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refuse(bytes, "has a control character in its path"));
    }
    Ok(text.to_owned())
}

fn name_of(bytes: Option<&[u8]>) -> String {
    let name = bytes
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or("");
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if plain {
        name.to_owned()
    } else {
        "root".to_owned()
    }
}

fn number(id: std::io::Result<u64>) -> Result<u32, DebError> {
    let id = id.ok().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| refuse(b"", "has an owner that is no number"))
}

fn refuse(path: &[u8], reason: &'static str) -> DebError {
    let path = String::from_utf8_lossy(path);
    DebError::Entry {
        path: path.chars().filter(|c| !c.is_control()).take(120).collect(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn archive(path: &[u8], kind: tar::EntryType) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&[0; 1024]);
        bytes
    }

    #[test]
    fn usr_is_merged() {
        let read = entries(&archive(b"./sbin/x", tar::EntryType::Regular)).expect("a file");
        assert_eq!(read[0].path, "usr/sbin/x");
        assert_eq!(read[0].user, ("root".to_owned(), 0));
        assert!(
            entries(&archive(b"./lib", tar::EntryType::Symlink))
                .expect("left out")
                .is_empty()
        );
        assert!(
            entries(&archive(b"./", tar::EntryType::Directory))
                .expect("left out")
                .is_empty()
        );
        assert_eq!(merge_usr("library/x"), "library/x");
    }

    #[test]
    fn what_leaves_the_root_or_is_a_device_is_refused() {
        for (path, kind) in [
            (b"../etc/passwd".as_slice(), tar::EntryType::Regular),
            (b"a/../../b", tar::EntryType::Regular),
            (b"dev/null", tar::EntryType::Char),
            (b"a\x1b[31m", tar::EntryType::Regular),
            (b"a\xff", tar::EntryType::Regular),
        ] {
            assert!(
                matches!(entries(&archive(path, kind)), Err(DebError::Entry { .. })),
                "{path:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..1600)) {
            let _ = entries(&bytes);
        }

        #[test]
        fn paths_never_leave_the_root(path in "[a-z./]{1,40}") {
            if let Ok(read) = entries(&archive(path.as_bytes(), tar::EntryType::Directory)) {
                prop_assert!(read.iter().all(|entry| !entry.path.starts_with('/') && !entry.path.split('/').any(|part| part == "..")));
            }
        }
    }
}
