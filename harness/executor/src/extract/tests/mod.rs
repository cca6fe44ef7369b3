//! Whole archives: what comes of each format, and what each kind of evil one is refused for.

mod archive;
mod good;
mod refused;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use archive::{file, folder, hard_link, member, pax, sealed, symlink, tar, zip};

use super::{Unpack, Unpacked, unpack};

/// A folder to unpack to, and beside it a file that no archive may reach.
struct Place {
    folder: tempfile::TempDir,
    strip: u32,
    most_bytes: u64,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("outside")).expect("made");
        fs::write(folder.path().join("outside/secret"), "kept").expect("written");
        Self {
            folder,
            strip: 0,
            most_bytes: 1 << 20,
        }
    }

    fn dest(&self) -> PathBuf {
        self.folder.path().join("dest")
    }

    /// Unpacks; what was not to be touched must not have been.
    fn unpack(&self, archive: &[u8]) -> Result<Unpacked, String> {
        let path = self.folder.path().join("archive");
        fs::write(&path, archive).expect("written");
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        let result = unpack(&Unpack {
            archive: text(&path),
            dest: text(&self.dest()),
            strip_components: self.strip,
            most_bytes: self.most_bytes,
            masked: 0,
        });
        fs::remove_file(&path).expect("removed");
        self.assert_outside_untouched();
        result.map_err(|error| {
            let message = error.to_string();
            assert!(!message.chars().any(char::is_control), "{message:?}");
            message
        })
    }

    fn assert_outside_untouched(&self) {
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).expect("listed");
            let mut names: Vec<String> = entries
                .map(|entry| entry.expect("an entry").file_name().into_string())
                .collect::<Result<_, _>>()
                .expect("text");
            names.sort();
            names
        };
        let mut top = names(self.folder.path());
        top.retain(|name| name != "dest");
        assert_eq!(top, ["outside"]);
        let outside = self.folder.path().join("outside");
        assert_eq!(names(&outside), ["secret"]);
        let secret = outside.join("secret");
        assert_eq!(fs::read(&secret).expect("readable"), b"kept");
        assert_eq!(fs::metadata(&secret).expect("there").nlink(), 1);
        assert!(!self.leads_out(&self.dest()));
    }

    /// True if a link below a folder resolves to something that is not in the folder unpacked to.
    fn leads_out(&self, folder: &Path) -> bool {
        let Ok(entries) = fs::read_dir(folder) else {
            return false;
        };
        let dest = self.dest().canonicalize().expect("there");
        entries.map(|entry| entry.expect("an entry")).any(|entry| {
            let kind = entry.file_type().expect("a type");
            if kind.is_symlink() {
                let known = entry.file_name().to_string_lossy().starts_with("before");
                let target = entry.path().canonicalize();
                !known && target.is_ok_and(|target| !target.starts_with(&dest))
            } else {
                kind.is_dir() && self.leads_out(&entry.path())
            }
        })
    }

    fn refused(&self, archive: &[u8]) -> String {
        self.unpack(archive).expect_err("refused")
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.dest().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        String::from_utf8(bytes).expect("text")
    }

    fn mode(&self, name: &str) -> u32 {
        let found = fs::symlink_metadata(self.dest().join(name)).expect("there");
        found.mode() & 0o7777
    }

    fn inode(&self, name: &str) -> u64 {
        fs::symlink_metadata(self.dest().join(name))
            .expect("there")
            .ino()
    }

    fn target(&self, name: &str) -> String {
        let target = fs::read_link(self.dest().join(name)).expect("a link");
        target.to_str().expect("text").to_owned()
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(96))]

    #[test]
    fn no_bytes_panic_or_reach_out(
        start in 0_usize..8,
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000),
    ) {
        let starts: [&[u8]; 8] = [
            b"", b"PK\x03\x04", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh9",
            b"PK\x05\x06", b"\x50\x2a\x4d\x18",
        ];
        let _ = Place::new().unpack(&[starts[start], &bytes].concat());
    }

    #[test]
    fn no_change_of_an_archive_reaches_out(
        zipped: bool,
        changes in proptest::collection::vec((0_usize..5000, proptest::prelude::any::<u8>()), 1..6),
    ) {
        let mut archive = if zipped {
            zip(&[
                member("a/", 0o040_755, b""),
                member("a/b", 0o100_644, b"content"),
                member("a/l", 0o120_777, b"../a/b"),
            ])
        } else {
            tar(&[
                symlink("a/l", "../b"),
                file("b/f", b"content"),
                hard_link("a/l/h", "b/f"),
                pax(b'x', &[("path", "a/l/p")]),
                file("p", b"p"),
            ])
        };
        for (at, byte) in changes {
            let length = archive.len();
            archive[at % length] = byte;
            if !zipped {
                // A header whose checksum is wrong would hide every other change.
                for at in (0..length).step_by(512) {
                    if &archive[at + 257..at + 262] == b"ustar" {
                        let header = *archive[at..].first_chunk().expect("a block");
                        archive[at..at + 512].copy_from_slice(&sealed(header, b""));
                    }
                }
            }
        }
        let _ = Place::new().unpack(&archive);
    }

    #[test]
    fn no_names_and_targets_reach_out(
        entries in proptest::collection::vec(
            (0_usize..4, "[ab./]{1,8}", "[ab./]{1,10}"),
            1..12,
        ),
    ) {
        let entries: Vec<Vec<u8>> = entries
            .iter()
            .map(|(kind, name, target)| match kind {
                0 => file(name, target.as_bytes()),
                1 => hard_link(name, target),
                2 => folder(name, 0o755),
                _ => symlink(name, target),
            })
            .collect();
        // Entry by entry, so that one that is refused does not hide those after it.
        let place = Place::new();
        let _ = place.unpack(&tar(&entries));
        for entry in entries {
            let _ = place.unpack(&tar(&[entry]));
        }
    }
}
