//! The addresses in files of the sandbox that name its package repositories, read before anything is
//! performed: what the image itself may ask for. Which files those are is the program's to say.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use assay_wire::name::GuestPath;
use rustix::fs::OFlags;

/// Most files read, and most bytes of one.
const FILES: usize = 256;
const FILE_BYTES: u64 = 1 << 20;

/// Most addresses told, and most bytes of one.
const ADDRESSES: usize = 1000;
const ADDRESS_BYTES: usize = 1024;

/// Every address (`scheme://…`) that stands in these files, or in the files of these folders, outside
/// a comment.
pub(crate) fn addresses(places: &[GuestPath]) -> Vec<String> {
    let mut found = BTreeSet::new();
    let files = places
        .iter()
        .flat_map(|place| files_of(Path::new(place.as_str())));
    for file in files.take(FILES) {
        found.extend(read(&file).as_deref().into_iter().flat_map(in_text));
    }
    found.into_iter().take(ADDRESSES).collect()
}

/// A file itself, or the files of a folder, by name.
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

fn read(path: &Path) -> Option<String> {
    // A pipe in such a place must not be waited for.
    let file = File::options()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)
        .ok()?;
    file.metadata().ok().filter(fs::Metadata::is_file)?;
    let mut text = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn in_text(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || "=,;'\"<>()[]".contains(c)))
        .filter(|word| word.contains("://") && word.len() <= ADDRESS_BYTES)
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_every_managers_words() {
        for (text, found) in [
            (
                "Types: deb\nURIs: http://a.test/debian https://b.test/x\nSuites: s\n",
                &["http://a.test/debian", "https://b.test/x"][..],
            ),
            (
                "deb [signed-by=/k] http://a.test/debian bookworm main # http://kept.test/",
                &["http://a.test/debian", "http://kept.test/"],
            ),
            (
                "[base]\n#baseurl=http://no.test/\nmetalink=https://m.test/metalink?repo=f&arch=x\n",
                // Only the part before `=` counts: the host is what matters.
                &["https://m.test/metalink?repo"],
            ),
            (
                "Server = http://a.test/$repo/os/$arch\n",
                &["http://a.test/$repo/os/$arch"],
            ),
            ("nothing : here //", &[]),
        ] {
            assert_eq!(in_text(text).collect::<Vec<_>>(), found, "{text}");
        }
    }

    #[test]
    fn folders_files_pipes_and_what_is_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("d")).expect("a folder");
        fs::write(at("d/b.repo"), "baseurl=http://b.test/").expect("a file");
        fs::write(at("d/a.repo"), "baseurl=http://a.test/").expect("a file");
        fs::write(at("list"), vec![0xff; 10]).expect("a file");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("d/pipe"), 0o600.into()).expect("a pipe");
        let places = ["d", "list", "nowhere"].map(|name| {
            let path = at(name).display().to_string();
            path.parse::<GuestPath>().expect("a path")
        });
        assert_eq!(addresses(&places), ["http://a.test/", "http://b.test/"]);
    }
}
