//! Writing files: beside their place, synced, renamed over it. A reader sees the old file or the
//! new one, never a part; a link at the place is replaced, never followed.

use std::borrow::Cow;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown,
};
use std::path::Path;

use rustix::fs::OFlags;

/// How a file should be.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Bytes.
    pub(crate) content: Cow<'a, [u8]>,
}

/// Attempts at a name that is not taken.
const NAMES: u32 = 64;

/// Makes a file be as wanted; true if anything had to be changed. Missing parents are made with
/// mode 0755, owned as the file is.
pub(crate) fn write_file(path: &Path, wanted: &Wanted<'_>) -> io::Result<bool> {
    if is_as_wanted(path, wanted)? {
        return Ok(false);
    }
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_folders(folder, wanted)?;
    let (beside, file) = create_beside(folder)?;
    let result = fill(file, wanted).and_then(|()| fs::rename(&beside, path));
    if result.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    result.map(|()| true)
}

/// Makes what is missing of a folder's path.
fn make_folders(folder: &Path, wanted: &Wanted<'_>) -> io::Result<()> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        fs::DirBuilder::new().mode(0o755).create(folder)?;
        lchown(folder, Some(wanted.uid), Some(wanted.gid))?;
    }
    Ok(())
}

/// Reads a whole file of at most so many bytes, without following a link at its place.
///
/// # Errors
/// Also if it holds more (`FileTooLarge`), or is no regular file (`InvalidInput`).
pub(crate) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?.ok_or(io::ErrorKind::InvalidInput)?;
    let mut content = Vec::new();
    file.take(most.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(content)
}

fn is_as_wanted(path: &Path, wanted: &Wanted<'_>) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let same = found.is_file()
        && found.mode() & 0o7777 == wanted.mode
        && (found.uid(), found.gid()) == (wanted.uid, wanted.gid)
        && found.len() == wanted.content.len() as u64;
    Ok(same && read_bounded(path, found.len())? == *wanted.content)
}

/// Opens a regular file for reading, `None` for anything else at its place. Nothing that opening
/// changes or waits for is opened.
fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let regular = file.metadata()?.is_file();
    Ok(regular.then_some(file))
}

/// Creates an empty file of a new name in a folder.
fn create_beside(folder: &Path) -> io::Result<(std::path::PathBuf, File)> {
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for number in 0..NAMES {
        let path = folder.join(format!(".assay-{number}.tmp"));
        let created = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        match created {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

fn fill(mut file: File, wanted: &Wanted<'_>) -> io::Result<()> {
    file.write_all(&wanted.content)?;
    // chown(2) clears setuid and setgid, so the mode comes after it.
    fchown(&file, Some(wanted.uid), Some(wanted.gid))?;
    file.set_permissions(Permissions::from_mode(wanted.mode))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn wanted(content: &[u8]) -> Wanted<'_> {
        let own = fs::metadata("/proc/self").expect("proc is mounted");
        Wanted {
            mode: 0o640,
            uid: own.uid(),
            gid: own.gid(),
            content: content.into(),
        }
    }

    #[test]
    fn a_file_is_made_with_its_parents_and_left_alone_once_right() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/c");
        assert!(write_file(&path, &wanted(b"one")).expect("written"));
        assert!(!write_file(&path, &wanted(b"one")).expect("left alone"));
        assert!(write_file(&path, &wanted(b"two")).expect("written again"));
        let found = fs::metadata(&path).expect("there");
        assert_eq!(found.mode() & 0o7777, 0o640);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("changed");
        assert!(write_file(&path, &wanted(b"two")).expect("mode mended"));
        let names: Vec<_> = fs::read_dir(folder.path().join("a/b"))
            .expect("listed")
            .collect();
        assert_eq!(names.len(), 1, "nothing is left beside");
    }

    #[test]
    fn a_link_at_the_place_is_replaced_and_its_target_untouched() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, path) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "kept").expect("written");
        symlink(&target, &path).expect("linked");
        assert!(write_file(&path, &wanted(b"kept")).expect("replaced"));
        assert!(fs::symlink_metadata(&path).expect("there").is_file());
        assert_eq!(fs::read(&target).expect("readable"), b"kept");
    }

    #[test]
    fn a_folder_at_the_place_is_an_error_that_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("d");
        fs::create_dir(&path).expect("made");
        assert!(write_file(&path, &wanted(b"x")).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn reading_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        fs::write(&path, "12345").expect("written");
        assert_eq!(read_bounded(&path, 5).expect("fits"), b"12345");
        let error = read_bounded(&path, 4).expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
