//! Packages that came into a sandbox, as the runner read them from their own bytes, and how each is
//! vouched for.
//!
//! Facts only: the hashes are of the very bytes that went through the proxy, the signatures are checked by
//! the runner and not by the sandbox. What a package explains is `observe`'s to say. Paths are written
//! with [`crate::manifest::escape_path`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::EntryKind;
use crate::name::StepRef;
use crate::plan::OpId;

/// Most files of one package that are recorded.
pub const MAX_PATHS: usize = 200_000;

/// A package that a sandbox was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PackageCame {
    /// The op during which it was first asked for, if one ran.
    pub op: Option<OpId>,
    /// Where it came from, without secrets.
    pub url: String,
    /// The sha256 of its bytes.
    pub sha256: Digest,
    /// How many those are.
    pub bytes: u64,
    /// What is in it.
    pub content: PackageContent,
    /// Who vouches for it.
    pub chain: Chain,
}

/// What is in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PackageContent {
    /// It was read.
    Read(PackageRead),
    /// It could not be read: it explains nothing.
    Unreadable {
        /// Why.
        message: String,
    },
}

/// A package that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PackageRead {
    /// Its name.
    pub name: String,
    /// Its version, as its manager writes it.
    pub version: String,
    /// The machine it is for.
    pub architecture: String,
    /// Those of its files whose paths a manifest of the cell shows as changed, sorted by path.
    pub files: Vec<PackagedPath>,
    /// How many it has in all.
    pub total: u64,
    /// What it runs as root.
    pub scripts: Vec<PackagedScript>,
}

/// One thing that a package puts somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PackagedPath {
    /// The absolute path, escaped.
    pub path: String,
    /// What it is; `None` for what the package names and does not contain: its scripts or its programs make
    /// it.
    pub kind: Option<EntryKind>,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Who owns it.
    pub user: PackagedOwner,
    /// Whose group it has.
    pub group: PackagedOwner,
    /// sha256 of a file; of another name of a file, that file's. `None` where the package names only
    /// another hash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Digest>,
    /// Where a symbolic link leads, escaped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub points_to: Option<String>,
    /// The capabilities it gets, as cap_from_text(3) reads them, or `security.capability` in hex digits
    /// behind `0x`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capabilities: Option<String>,
    /// True for a configuration file, which stays as the administrator left it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub configuration: bool,
}

/// An owner by what is known: managers go by the name where the machine has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PackagedOwner {
    /// The name; empty if the package says none.
    pub name: String,
    /// The number, where the package says one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<u32>,
}

/// A script that a package runs as root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PackagedScript {
    /// When, by the manager's word: `postinst`, `post_install`, `%post`.
    pub phase: String,
    /// What runs it: a path, or `<lua>` for the interpreter within rpm.
    pub interpreter: String,
    /// sha256 of its text as the package holds it.
    pub sha256: Digest,
}

/// Who vouches for a package: its own signature, or that of an index that lists its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Its own signature; a .deb has none.
    pub own: Signature,
    /// The index that lists it by the hash of its bytes; `None` if none that came does.
    pub index: Option<SigningIndex>,
}

/// An index that lists a package, by way of others where it lists them by their hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SigningIndex {
    /// The file that is signed, or would be: `InRelease`, `repomd.xml`, a database of pacman's.
    pub url: String,
    /// Its signature.
    pub signature: Signature,
}

/// A signature, as the runner checked it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Signature {
    /// There is none.
    None,
    /// It is good.
    Verified {
        /// The fingerprint of the certificate whose key made it, in capital hex digits.
        fingerprint: String,
        /// Where that certificate is from.
        key: KeyPlace,
    },
    /// It was made by a key that nobody here has.
    UnknownKey {
        /// The key's id or fingerprint, as far as the signature says.
        key: String,
    },
    /// It is not of these bytes, or cannot be read.
    Bad {
        /// Why.
        message: String,
    },
}

/// Where a trusted key is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyPlace {
    /// A step of the recipe declares it.
    Declared {
        /// The step.
        step: StepRef,
    },
    /// The image holds it.
    Image {
        /// The file, escaped.
        path: String,
    },
}

/// A path as it is told from others where `/bin`, `/sbin` and `/lib…` are links into `/usr`, and
/// `/usr/sbin` is one to `/usr/bin`: a package may name a file by either way, and a manifest shows the
/// one that leads through no link. On a machine without those links two files may be told as one.
#[must_use]
pub fn merged_path(path: &str) -> Cow<'_, str> {
    let rest = path.strip_prefix("/usr").unwrap_or(path);
    let mut parts = rest.splitn(3, '/');
    let folder = match (parts.next(), parts.next()) {
        (Some(""), Some("bin" | "sbin")) => "/bin",
        (Some(""), Some("lib" | "lib32" | "lib64" | "libo32" | "libx32")) => "/lib",
        (Some(_) | None, Some(_) | None) => return Cow::Borrowed(path),
    };
    Cow::Owned(match parts.next() {
        Some(rest) => format!("{folder}/{rest}"),
        None => folder.to_owned(),
    })
}

impl Signature {
    /// True if it is good.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        matches!(self, Self::Verified { .. })
    }
}

impl Chain {
    /// True if a good signature covers the package, by itself or through an index.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let index = self.index.as_ref();
        self.own.is_verified() || index.is_some_and(|index| index.signature.is_verified())
    }

    /// True if a key vouches for it that the image held before anything ran.
    #[must_use]
    pub fn is_of_image(&self) -> bool {
        let of_image = |signature: &Signature| {
            let Signature::Verified { key, .. } = signature else {
                return false;
            };
            matches!(key, KeyPlace::Image { .. })
        };
        let index = self.index.as_ref();
        of_image(&self.own) || index.is_some_and(|index| of_image(&index.signature))
    }
}

#[cfg(test)]
mod tests {
    use super::merged_path;

    #[test]
    fn one_file_by_two_names_is_one() {
        for (path, merged) in [
            (
                "/lib/systemd/system/x.service",
                "/lib/systemd/system/x.service",
            ),
            (
                "/usr/lib/systemd/system/x.service",
                "/lib/systemd/system/x.service",
            ),
            ("/usr/lib64/x", "/lib/x"),
            ("/sbin/x", "/bin/x"),
            ("/usr/bin", "/bin"),
            ("/usr/share/lib/x", "/usr/share/lib/x"),
            ("/usr/library", "/usr/library"),
            ("/usr", "/usr"),
            ("/usrlib/x", "/usrlib/x"),
            ("/usrbin", "/usrbin"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(merged_path(path), merged, "{path}");
        }
    }
}
