//! What an archive holds, whichever format it has, and what a name has to be. Nothing here reads
//! or writes.

use super::fault::EntryFault;

/// Most bytes of a name or of a link's target (limits.h, `PATH_MAX`).
pub(super) const MAX_NAME: usize = 4096;

/// Most components of a name: every folder on the way to an entry is held open.
pub(super) const MAX_DEPTH: usize = 256;

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name, as it stands in the archive.
    pub(super) name: Vec<u8>,
    /// What it is.
    pub(super) kind: Kind,
    /// Mode bits, 0o7777 at most.
    pub(super) mode: u32,
    /// When it was last changed, in seconds since 1970; `None` if the archive does not say.
    pub(super) modified: Option<i64>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A folder.
    Folder,
    /// A file, whose content comes with the entry.
    File {
        /// Bytes of the content.
        size: u64,
        /// True if the archive leaves out parts of zeros, which are then not written either.
        sparse: bool,
    },
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A hard link to an entry before it.
    HardLink(Vec<u8>),
}

/// The components of a name, without empty ones and `.`. None of them is `..`, as in GNU tar: what
/// `a/../b` means depends on what `a` is.
pub(super) fn components(name: &[u8]) -> Result<Vec<&[u8]>, EntryFault> {
    if name.is_empty() {
        return Err(EntryFault::NoName);
    }
    if name.len() > MAX_NAME {
        return Err(EntryFault::LongName(MAX_NAME));
    }
    if has_control(name) {
        return Err(EntryFault::ControlCharacters);
    }
    if name.starts_with(b"/") {
        return Err(EntryFault::Absolute);
    }
    let components = parts(name);
    if components.contains(&b"..".as_slice()) {
        return Err(EntryFault::Upwards);
    }
    if components.len() > MAX_DEPTH {
        return Err(EntryFault::Deep(MAX_DEPTH));
    }
    Ok(components)
}

/// The components of a path, `..` included.
pub(super) fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect()
}

/// True if a relative link in a folder so deep leads out of the place its depth is counted from,
/// as far as its text alone tells.
pub(super) fn goes_out(target: &[u8], depth: usize) -> bool {
    parts(target)
        .into_iter()
        .try_fold(depth, |depth, part| {
            if part == b".." {
                depth.checked_sub(1)
            } else {
                Some(depth.saturating_add(1))
            }
        })
        .is_none()
}

/// True if a name holds control characters, C1 ones included.
pub(super) fn has_control(name: &[u8]) -> bool {
    name.utf8_chunks()
        .any(|chunk| chunk.valid().chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_and_go_down() {
        let good = components(b"./a//b/./c/").expect("a name");
        assert_eq!(good, [b"a", b"b", b"c"]);
        assert_eq!(components(b"./").expect("the folder itself").len(), 0);
        assert_eq!(components(b"..a/b..").expect("dots are fine").len(), 2);
        assert_eq!(components(b"caf\xe9").expect("any bytes").len(), 1);
        let message = |name: &[u8]| components(name).expect_err("refused").to_string();
        assert_eq!(message(b""), "has an empty name");
        assert_eq!(message(b"/etc/passwd"), "has an absolute name");
        assert_eq!(message(b"a/../../x"), "has `..` in its name");
        assert_eq!(message(b".."), "has `..` in its name");
        assert_eq!(message(b"a\nb"), "has control characters in its name");
        assert_eq!(
            message("a\u{9b}b".as_bytes()),
            "has control characters in its name"
        );
        assert_eq!(message(b"a\0"), "has control characters in its name");
        assert_eq!(message(&[b'a'; 4097]), "has a name of more than 4096 bytes");
        assert_eq!(
            message(&b"a/".repeat(257)),
            "lies more than 256 folders deep"
        );
    }

    #[test]
    fn links_are_counted_from_their_folder() {
        assert!(!goes_out(b"../../x", 2));
        assert!(goes_out(b"../../../x", 2));
        assert!(goes_out(b"a/../../x", 0));
        assert!(!goes_out(b"a/../x", 0));
        assert!(!goes_out(b".", 0));
    }
}
