//! File operations with the path in the error, hashes, and deterministic trees.
//!
//! Knows nothing of packages. Writes are whole: a temporary file, then a rename.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A file or folder that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{path}`: {source}")]
pub(crate) struct FileError {
    verb: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

/// Gives an I/O error the path it is about.
pub(crate) fn at<'a>(
    verb: &'static str,
    path: &'a Path,
) -> impl Fn(std::io::Error) -> FileError + use<'a> {
    move |source| FileError {
        verb,
        path: path.to_owned(),
        source,
    }
}

/// Reads a whole file.
///
/// # Errors
/// `FileError`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(at("read", path))
}

/// Writes a whole file, making its folder; nobody ever sees half of it.
///
/// # Errors
/// `FileError`.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if let Some(parent) = path.parent() {
        create_folder(parent)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    std::fs::write(&part, bytes).map_err(at("write", &part))?;
    std::fs::rename(&part, path).map_err(at("rename", &part))
}

/// Makes a folder and those above it.
///
/// # Errors
/// `FileError`.
pub(crate) fn create_folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(at("create", path))
}

/// Removes a file or a whole folder; it need not exist. Links are not followed.
///
/// # Errors
/// `FileError`.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at("inspect", path)(error)),
    };
    let removed = if found.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    removed.map_err(at("remove", path))
}

/// The sha256 of bytes, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The sha256 of a file, hexadecimal, read in pieces.
///
/// # Errors
/// `FileError`.
pub(crate) fn sha256_of_file(path: &Path) -> Result<String, FileError> {
    let mut file = std::fs::File::open(path).map_err(at("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut buffer).map_err(at("read", path))?;
        if length == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(&buffer[..length]);
    }
}

/// One hash for a whole tree of regular files: that of the sorted lines
/// `SHA256  PATH`, as sha256sum(1) would print them.
///
/// # Errors
/// `FileError`.
pub(crate) fn sha256_of_tree(root: &Path) -> Result<String, FileError> {
    let mut lines = String::new();
    for relative in tree(root)? {
        let path = root.join(&relative);
        if path
            .symlink_metadata()
            .map_err(at("inspect", &path))?
            .is_file()
        {
            let hash = sha256_of_file(&path)?;
            lines.push_str(&hash);
            lines.push_str("  ");
            lines.push_str(&relative);
            lines.push('\n');
        }
    }
    Ok(sha256(lines.as_bytes()))
}

/// Every path below a folder, relative to it, sorted by bytes; links are not followed.
/// A path that is not UTF-8 is an error.
///
/// # Errors
/// `FileError`.
pub(crate) fn tree(root: &Path) -> Result<Vec<String>, FileError> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        for entry in std::fs::read_dir(&path).map_err(at("list", &path))? {
            let entry = entry.map_err(at("list", &path))?;
            let name = entry.file_name().into_string().map_err(|_| {
                at("list", &path)(std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    "a name is not UTF-8",
                ))
            })?;
            let relative = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            if entry.file_type().map_err(at("inspect", &path))?.is_dir() {
                folders.push(relative.clone());
            }
            found.push(relative);
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_sorted_and_hashed_alike_however_they_were_made() {
        let first = tempfile::tempdir().expect("a folder");
        let second = tempfile::tempdir().expect("a folder");
        for name in ["b/x", "a", "b.c"] {
            write(&first.path().join(name), name.as_bytes()).expect("writes");
        }
        for name in ["b.c", "a", "b/x"] {
            write(&second.path().join(name), name.as_bytes()).expect("writes");
        }
        assert_eq!(tree(first.path()).expect("lists"), ["a", "b", "b.c", "b/x"]);
        let hash = sha256_of_tree(first.path()).expect("hashes");
        assert_eq!(hash, sha256_of_tree(second.path()).expect("hashes"));
        write(&second.path().join("a"), b"other").expect("writes");
        assert_ne!(hash, sha256_of_tree(second.path()).expect("hashes"));
    }

    #[test]
    fn removing_does_not_follow_links_and_forgives_absence() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = folder.path().join("kept");
        write(&kept, b"x").expect("writes");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&kept, &link).expect("links");
        remove(&link).expect("removes");
        remove(&link).expect("is gone");
        assert_eq!(sha256_of_file(&kept).expect("is there"), sha256(b"x"));
    }
}
