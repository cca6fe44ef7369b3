//! Why the store could not tell or keep something, and what a person can do about it.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the store could not tell or keep something.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system refused: full, read-only, gone.
    #[error("cannot {action} `{}`", path.display())]
    Disk {
        /// What was tried: one verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file stands where the store's folder, or one above it, must be.
    #[error("`{}` is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// Something that is no file has a blob's name.
    #[error("`{}` is {kind}, not a file", path.display())]
    NotAFile {
        /// The name.
        path: PathBuf,
        /// What it is.
        kind: WrongKind,
    },
    /// There were more bytes than the caller takes.
    #[error("content is larger than {limit} bytes")]
    TooLarge {
        /// The caller's limit, in bytes.
        limit: u64,
    },
    /// The reader the bytes came from failed.
    #[error("content cannot be read")]
    Source(#[source] io::Error),
}

impl StoreError {
    /// What the user can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAFolder(path) => Some(format!(
                "move `{}` away, or name another folder for the cache with XDG_CACHE_HOME",
                path.display()
            )),
            Self::NotAFile { path, .. } => Some(format!(
                "nothing but assay writes there: look at `{}` and move it away; what belongs there is \
                 fetched again",
                path.display()
            )),
            Self::Disk { source, .. } => remedy(source.kind()),
            Self::TooLarge { .. } | Self::Source(_) => None,
        }
    }
}

/// What mends the faults of a disk that have one remedy.
fn remedy(kind: io::ErrorKind) -> Option<String> {
    use io::ErrorKind::{
        FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let remedy = if matches!(kind, StorageFull | QuotaExceeded | FileTooLarge) {
        "free some space – `assay store prune --dry-run` and `assay images prune --dry-run` say what \
         nothing needs – or name another folder for the cache with XDG_CACHE_HOME"
    } else if matches!(kind, ReadOnlyFilesystem | PermissionDenied) {
        "make it readable and writable for this user, or name another folder for the cache with \
         XDG_CACHE_HOME"
    } else {
        return None;
    };
    Some(remedy.to_owned())
}

/// What stands where a file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongKind {
    /// A folder.
    Folder,
    /// A symbolic link, whatever it leads to.
    Link,
    /// A pipe, a socket or a device.
    Special,
}

impl WrongKind {
    /// What it is; `None` for a file.
    pub(super) fn of(found: &Metadata) -> Option<Self> {
        let kind = found.file_type();
        if kind.is_file() {
            None
        } else if kind.is_dir() {
            Some(Self::Folder)
        } else if kind.is_symlink() {
            Some(Self::Link)
        } else {
            Some(Self::Special)
        }
    }
}

impl fmt::Display for WrongKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Special => "a pipe, a socket or a device",
        })
    }
}

/// The error of doing something to a path.
pub(super) fn at<'a>(
    path: &'a Path,
    action: &'static str,
) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Disk {
        action,
        path: path.to_owned(),
        source,
    }
}
