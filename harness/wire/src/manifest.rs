//! A manifest: the file system of a sandbox as the executor walked it, reported as what changed
//! since the manifest before. The first manifest of a session reports no changes.
//!
//! Excluded are `/.assay`, and the kernel's own file systems (proc, sysfs, devpts, mqueue, cgroup)
//! and `/dev`. A path may be any bytes: it is written with [`escape_path`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Most lines of one manifest that are sent and recorded; a manifest with more says how many were
/// left out, and such a cell has a capture gap.
pub const MAX_LINES: usize = 200_000;

/// Most bytes of a file whose content is told.
pub const MAX_CONTENT: u64 = 64 << 10;

/// Most bytes of content that are kept of one manifest.
pub const MAX_CONTENTS: u64 = 16 << 20;

/// One line of a manifest stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every line is one of a path, and none is kept"
)]
pub enum ManifestLine {
    /// A path is new, gone or different.
    Path(PathChange),
    /// A line of a probe's answer is new or gone.
    State(StateChange),
}

/// A path that is new (`before` is `None`), gone (`after` is `None`) or different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PathChange {
    /// The absolute path, escaped.
    pub path: String,
    /// What it was.
    pub before: Option<Entry>,
    /// What it is.
    pub after: Option<Entry>,
}

/// A line of a probe's answer that is new or gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StateChange {
    /// The probe's name.
    pub probe: String,
    /// The line, escaped like a path.
    pub line: String,
    /// True if it is new, false if it is gone.
    pub added: bool,
}

/// One file system object. Times, link counts and inode numbers are left out: they differ without
/// anything having changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes, for a file; 0 otherwise.
    pub size: u64,
    /// sha256 of the content, for a file that could be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Digest>,
    /// Where a symbolic link leads, escaped like a path; `major:minor` of a device.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub points_to: Option<String>,
    /// Extended attributes: name to sha256 of the value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub xattrs: BTreeMap<String, Digest>,
    /// The value of `security.capability` in hex digits (capabilities(7)).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capability: Option<String>,
    /// What it says, for a file whose content is asked for ([`crate::program::HarnessEnv::contents`]).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content: Option<Content>,
}

/// What a file says, as far as that leaves the sandbox. No secret does: of a password's hash only
/// [`password`] is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// All of it: UTF-8 without control characters other than tabs and ends of lines.
    Text(String),
    /// All of it, in hex digits.
    Hex(String),
    /// It is longer than [`MAX_CONTENT`]: its hash stands for it.
    Long,
    /// It holds somebody's private key: its hash stands for it.
    Secret,
    /// There was no room for it among [`MAX_CONTENTS`]: nobody knows what it says.
    LeftOut,
}

/// What is told of a password's hash in place of it.
pub mod password {
    /// There is none: nothing is asked for.
    pub const NONE: &str = "none";
    /// No password opens it.
    pub const LOCKED: &str = "locked";
    /// There is one. What follows after `=` is the same as long as the hash is, within one session.
    pub const SET: &str = "set";
}

/// What a file system object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// Writes arbitrary bytes as text without loss: valid UTF-8 stays, except that control characters,
/// the backslash and bytes that are not UTF-8 become `\xNN`.
#[must_use]
pub fn escape_path(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                let mut buffer = [0; 4];
                character
                    .encode_utf8(&mut buffer)
                    .bytes()
                    .for_each(|byte| push_hex(&mut out, byte));
            } else {
                out.push(character);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_hex(&mut out, *byte));
    }
    out
}

/// Reads what [`escape_path`] wrote; `None` for text it cannot have written.
#[must_use]
pub fn unescape_path(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let [b'x', high, low, tail @ ..] = rest else {
            return None;
        };
        let digit = |b: u8| (b as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
        out.push(digit(*high)? << 4 | digit(*low)?);
        rest = tail;
    }
    Some(out)
}

fn push_hex(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\x");
    out.push(DIGITS[usize::from(byte >> 4)] as char);
    out.push(DIGITS[usize::from(byte & 15)] as char);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_plain_text() {
        assert_eq!(
            escape_path(b"/a\n\x1b[31m\xff\\"),
            "/a\\x0a\\x1b[31m\\xff\\x5c"
        );
        assert_eq!(unescape_path("\\x4"), None);
        assert_eq!(unescape_path("\\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn bytes_round_trip(bytes: Vec<u8>) {
            let text = escape_path(&bytes);
            proptest::prop_assert!(!text.chars().any(char::is_control));
            proptest::prop_assert_eq!(unescape_path(&text), Some(bytes));
        }
    }
}
