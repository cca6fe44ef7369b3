//! The keys that the image's own managers trust, sent before anything is performed: the runner checks
//! with them what was signed. Which files those are is the program's to say, and what is in them is
//! not looked at here.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use assay_wire::control::{MAX_KEYRING, MAX_KEYRINGS, Purpose};
use assay_wire::manifest::escape_path;
use assay_wire::name::GuestPath;
use rustix::fs::OFlags;

use crate::mux::Mux;

/// Most files of a folder looked at.
const FILES: usize = 4096;

/// Sends every file of keys on a stream of its own: these files, and the files of these folders.
pub(crate) fn send(mux: &'static Mux, places: &[GuestPath]) {
    for (path, bytes) in read(places) {
        let path = escape_path(path.as_os_str().as_bytes());
        let stream = mux.open(Purpose::Keyring { path }, None);
        // A runner that breaks the stream does not want it.
        let _ = stream.send(&bytes);
        stream.close(None);
    }
}

/// The files with what is in them, no file twice. Files come before other names of theirs: a
/// distribution may have a link for every release and machine.
fn read(places: &[GuestPath]) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> = places
        .iter()
        .flat_map(|place| files_of(Path::new(place.as_str())))
        .collect();
    files.sort_by_key(|path| path.is_symlink());
    let mut seen = BTreeSet::new();
    files
        .into_iter()
        .filter_map(|path| Some((path.clone(), open(&path)?)))
        .filter(move |(_, (_, file))| seen.insert(*file))
        .filter_map(|(path, (file, _))| {
            let mut bytes = Vec::new();
            file.take(MAX_KEYRING + 1).read_to_end(&mut bytes).ok()?;
            (bytes.len() as u64 <= MAX_KEYRING).then_some((path, bytes))
        })
        .take(MAX_KEYRINGS)
}

/// A file itself, or what is in a folder, by name.
fn files_of(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place) else {
        return vec![place.to_owned()];
    };
    let mut files: Vec<PathBuf> = entries
        .take(FILES)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort_unstable();
    files
}

/// An open regular file, and which it is. Links lead to where they lead in the sandbox, for this runs
/// in it.
fn open(path: &Path) -> Option<(File, (u64, u64))> {
    // A pipe in such a place must not be waited for.
    let file = File::options()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)
        .ok()?;
    let found = file.metadata().ok().filter(fs::Metadata::is_file)?;
    (found.len() <= MAX_KEYRING).then_some((file, (found.dev(), found.ino())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_file_is_read_once_and_no_pipe_or_large_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["keys", "keys/below"] {
            fs::create_dir(at(name)).expect("a folder");
        }
        fs::write(at("keys/b.gpg"), "b").expect("written");
        fs::write(at("keys/c.asc"), "c").expect("written");
        fs::write(at("keys/below/x.gpg"), "below").expect("written");
        fs::write(at("elsewhere"), "elsewhere").expect("written");
        fs::write(at("single"), "").expect("written");
        symlink("c.asc", at("keys/a-link")).expect("linked");
        symlink("../elsewhere", at("keys/z-link")).expect("linked");
        symlink("nowhere", at("keys/broken")).expect("linked");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("keys/pipe"), 0o600.into()).expect("a pipe");
        let large = File::create(at("keys/large")).expect("made");
        large.set_len(MAX_KEYRING + 1).expect("grown");
        let places = ["single", "keys", "nowhere"].map(|name| {
            let path = at(name).display().to_string();
            path.parse::<GuestPath>().expect("a path")
        });
        let found: Vec<String> = read(&places)
            .map(|(path, bytes)| {
                let path = path.strip_prefix(folder.path()).expect("below it");
                format!("{} {}", path.display(), String::from_utf8_lossy(&bytes))
            })
            .collect();
        assert_eq!(
            found,
            [
                "single ",
                "keys/b.gpg b",
                "keys/c.asc c",
                "keys/z-link elsewhere"
            ]
        );
    }

    #[test]
    fn no_more_files_than_the_runner_takes() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..MAX_KEYRINGS + 5 {
            fs::write(folder.path().join(number.to_string()), "").expect("written");
        }
        let place = folder.path().display().to_string();
        let places = [place.parse::<GuestPath>().expect("a path")];
        assert_eq!(read(&places).count(), MAX_KEYRINGS);
    }
}
