//! What is in a package: files with their hashes, modes and owners, and the scripts that run as root,
//! read from the package itself – not from what a manager remembers of it.
//!
//! Bytes in, values out: nothing is unpacked anywhere. A package comes from the network, so everything
//! is bounded, and a fault is an error, never a shorter list. Read [`read`] first, then [`deb`], [`rpm`]
//! and [`pacman`].

mod deb;
mod pacman;
mod rpm;
mod rpm_header;
mod rpm_signatures;
mod tarball;

use std::io::BufRead;

use crate::unreadable::Unreadable;

pub use self::rpm_signatures::{RpmSignatures, rpm_signatures};

/// Most files of one package.
pub const MOST_FILES: usize = 500_000;

/// Most bytes a package unpacks to.
pub const MOST_BYTES: u64 = 32 << 30;

/// Most bytes of anything that is kept whole: control data, a header, a script.
pub const MOST_KEPT: u64 = 64 << 20;

/// Most bytes of all paths of a package, and of where its links lead.
pub const MOST_NAMES: usize = 64 << 20;

/// Longest path, as on Linux (limits.h, `PATH_MAX`).
pub const LONGEST_PATH: usize = 4096;

/// A kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackageFormat {
    /// deb(5).
    Deb,
    /// RPM 4 (<https://rpm-software-management.github.io/rpm/manual/format_v4.html>).
    Rpm,
    /// A package of pacman's (alpm-package(7)).
    Pacman,
}

impl PackageFormat {
    /// The kind that a file's name says.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let ends = |end: &str| name.ends_with(end);
        if ends(".deb") {
            Some(Self::Deb)
        } else if ends(".rpm") {
            Some(Self::Rpm)
        } else if [".pkg.tar", ".pkg.tar.zst", ".pkg.tar.xz", ".pkg.tar.gz"]
            .into_iter()
            .any(ends)
        {
            Some(Self::Pacman)
        } else {
            None
        }
    }
}

/// A package's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageContents {
    /// Its name.
    pub name: String,
    /// Its version, as its manager writes it, release and epoch included.
    pub version: String,
    /// The machine it is for.
    pub architecture: String,
    /// What it puts where, in its own order.
    pub files: Vec<PackagedFile>,
    /// What it runs as root, in its own order.
    pub scripts: Vec<PackageScript>,
    /// Absolute paths of configuration files, which stay as the administrator left them.
    pub configuration: Vec<Vec<u8>>,
}

/// One thing that a package puts somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagedFile {
    /// The absolute path, any bytes but 0, without `.` and `..`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: PackagedKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Who owns it.
    pub user: Owner,
    /// Whose group it has.
    pub group: Owner,
    /// The capabilities it gets.
    pub capabilities: Option<Capabilities>,
}

/// What a packaged file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackagedKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// sha256; `None` where the package names only another hash.
        sha256: Option<[u8; 32]>,
    },
    /// A folder.
    Folder,
    /// A symbolic link, with where it leads.
    Symlink(Vec<u8>),
    /// Another name of a file of the same package, by its absolute path.
    Hardlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// Named and not contained: made by the package's scripts or at run time.
    Ghost,
}

/// An owner by what is known: managers go by the name where the machine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name; empty if the package says none.
    pub name: String,
    /// The number, where the package says one.
    pub id: Option<u32>,
}

/// Capabilities of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capabilities {
    /// As cap_from_text(3) reads them.
    Text(String),
    /// The attribute `security.capability` itself.
    Attribute(Vec<u8>),
}

/// A script that runs as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageScript {
    /// When, by the manager's word: `postinst`, `post_install`, `%post`.
    pub phase: String,
    /// What runs it: a path, or `<lua>` for the interpreter within rpm.
    pub interpreter: String,
    /// sha256 of its text as its manager writes it to the file that is run.
    pub sha256: [u8; 32],
}

/// Reads a package.
///
/// # Errors
/// It is damaged, or larger than the bounds of this module.
pub fn read(format: PackageFormat, bytes: impl BufRead) -> Result<PackageContents, Unreadable> {
    match format {
        PackageFormat::Deb => deb::read(bytes),
        PackageFormat::Rpm => rpm::read(bytes),
        PackageFormat::Pacman => pacman::read(bytes),
    }
}

/// An absolute path of a package's own path, which may begin with `./`, `/` or nothing.
fn absolute(path: &[u8]) -> Result<Vec<u8>, Unreadable> {
    if path.len() > LONGEST_PATH {
        return Err(Unreadable::TooLarge("a path"));
    }
    let mut absolute = Vec::with_capacity(path.len() + 1);
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(Unreadable::Damaged("a path that leads out of the root")),
            part if part.contains(&0) => {
                return Err(Unreadable::Damaged("a path with a 0 in it"));
            }
            part => {
                absolute.push(b'/');
                absolute.extend_from_slice(part);
            }
        }
    }
    if absolute.is_empty() {
        absolute.push(b'/');
    }
    Ok(absolute)
}

/// The value behind `NAME: ` (deb822(5)) or `NAME = ` (`.PKGINFO`) of a text, whose first such line
/// counts.
fn field<'t>(text: &'t str, name: &str, separator: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(separator)?;
        (found.trim_end() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod rpm_tests;
#[cfg(test)]
mod tests;
