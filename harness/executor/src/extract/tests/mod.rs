//! Whole archives: what comes of each format, and what each kind of evil one is refused for.

mod archive;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as link_to};
use std::path::{Path, PathBuf};

use archive::{entry, file, folder, hard_link, member, pax, sealed, symlink, tar, zip};

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

/// An archive of each kind of entry.
fn sample() -> Vec<u8> {
    tar(&[
        folder("top/", 0o750),
        entry(b'0', b"top/bin/tool", 0o755, b"", b"#!tool"),
        file("top/share/empty", b""),
        file("top/share/long", &[b'x'; 70_000]),
        symlink("top/tool", "bin/tool"),
        symlink("top/bin/up", "../share/long"),
        hard_link("top/copy", "top/bin/tool"),
    ])
}

fn assert_sample(place: &Place, prefix: &str) {
    let at = |name: &str| format!("{prefix}{name}");
    assert_eq!(place.read(&at("bin/tool")), "#!tool");
    assert_eq!(place.mode(&at("bin/tool")), 0o755);
    assert_eq!(place.mode(&at("bin")), 0o755);
    assert_eq!(place.read(&at("share/empty")), "");
    assert_eq!(place.read(&at("share/long")).len(), 70_000);
    assert_eq!(place.target(&at("tool")), "bin/tool");
    assert_eq!(place.target(&at("bin/up")), "../share/long");
    assert_eq!(place.inode(&at("copy")), place.inode(&at("bin/tool")));
    let found = fs::metadata(place.dest().join(at("share/empty"))).expect("there");
    assert_eq!(found.mtime(), 0o14_524_770_360);
}

#[test]
fn every_compression_gives_the_same_tree() {
    let plain = sample();
    let gzip = || {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).expect("written");
        encoder.finish().expect("finished")
    };
    let bzip2 = || {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(&plain).expect("written");
        encoder.finish().expect("finished")
    };
    let xz = || {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 9);
        encoder.write_all(&plain).expect("written");
        encoder.finish().expect("finished")
    };
    let zstd = || zstd::encode_all(plain.as_slice(), 19).expect("compressed");
    for archive in [plain.clone(), gzip(), bzip2(), xz(), zstd()] {
        let place = Place::new();
        let done = place.unpack(&archive).expect("unpacked");
        assert_eq!(done.entries, 7);
        assert_eq!(done.first_dropped, None);
        assert_sample(&place, "top/");
        assert_eq!(place.mode("top"), 0o750);
        // A stream that is cut short is noticed, wherever that is.
        for cut in [
            archive.len() / 2,
            archive.len() - 1500.min(archive.len() / 3),
        ] {
            let message = Place::new().refused(&archive[..cut]);
            assert!(message.contains("it ") && message.len() < 200, "{message}");
        }
        let mut place = Place::new();
        place.most_bytes = 60_000;
        assert!(place.refused(&archive).contains("more than 60000 bytes"));
    }
    let mut broken = gzip();
    let last = broken.len() - 6;
    broken[last] ^= 1;
    let message = Place::new().refused(&broken);
    assert!(message.starts_with("it cannot be read: "), "{message}");
}

#[test]
fn a_second_time_changes_nothing() {
    let place = Place::new();
    place.unpack(&sample()).expect("unpacked");
    let names = [
        "top",
        "top/bin/tool",
        "top/share/long",
        "top/tool",
        "top/copy",
    ];
    let changed = |name: &str| {
        let found = fs::symlink_metadata(place.dest().join(name)).expect("there");
        (found.ino(), found.mtime(), found.mtime_nsec(), found.mode())
    };
    let before = names.map(changed);
    place.unpack(&sample()).expect("unpacked again");
    assert_eq!(names.map(changed), before);
    fs::write(place.dest().join("top/share/long"), [b'x'; 69_999]).expect("changed");
    fs::set_permissions(
        place.dest().join("top/bin/tool"),
        fs::Permissions::from_mode(0o700),
    )
    .expect("changed");
    fs::remove_file(place.dest().join("top/tool")).expect("removed");
    fs::write(place.dest().join("top/tool"), "a file").expect("changed");
    place.unpack(&sample()).expect("unpacked over it");
    assert_sample(&place, "top/");
    let mut differs_late = [b'x'; 70_000];
    differs_late[69_999] = b'y';
    fs::write(place.dest().join("top/share/long"), differs_late).expect("changed");
    place.unpack(&sample()).expect("unpacked over it");
    assert!(
        place
            .read("top/share/long")
            .bytes()
            .all(|byte| byte == b'x')
    );
    let left = fs::read_dir(place.dest().join("top")).expect("listed");
    assert_eq!(left.count(), 4, "nothing is left beside");
}

#[test]
fn components_are_dropped_and_what_vanishes_is_skipped() {
    let mut place = Place::new();
    place.strip = 1;
    place.unpack(&sample()).expect("unpacked");
    assert_sample(&place, "");
    let mut place = Place::new();
    place.strip = 3;
    assert_eq!(
        place.refused(&sample()),
        "nothing is left of it when 3 leading components are dropped from every name"
    );
    assert_eq!(Place::new().refused(&tar(&[])), "it holds no entry");
    assert_eq!(Place::new().refused(&zip(&[])), "it holds no entry");
    let alone = tar(&[folder("./", 0o700)]);
    assert_eq!(Place::new().refused(&alone), "it holds no entry");
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let refused = |name: &str| Place::new().refused(&tar(&[file(name, b"x")]));
    assert_eq!(refused("/etc/x"), "entry `/etc/x` has an absolute name");
    assert_eq!(refused("../x"), "entry `../x` has `..` in its name");
    assert_eq!(
        refused("a/../../x"),
        "entry `a/../../x` has `..` in its name"
    );
    assert_eq!(
        refused("a\u{1b}[31m"),
        "entry `a\\x1b[31m` has control characters in its name"
    );
    let zipped = |name: &str| Place::new().refused(&zip(&[member(name, 0o100_644, b"x")]));
    assert_eq!(zipped("/etc/x"), "entry `/etc/x` has an absolute name");
    assert_eq!(
        zipped("a/../../x"),
        "entry `a/../../x` has `..` in its name"
    );
    assert_eq!(
        zipped("..\\x"),
        "entry `..\\x5cx` has a name with `\\`, which separates nothing in a zip file"
    );
    let long = pax(b'x', &[("path", &"a/".repeat(2100))]);
    let message = Place::new().refused(&tar(&[long, file("x", b"")]));
    assert!(
        message.ends_with("…` has a name of more than 4096 bytes"),
        "{message}"
    );
}

#[test]
fn links_that_leave_the_folder_are_refused() {
    let refused = |entries: &[Vec<u8>]| Place::new().refused(&tar(entries));
    let leaves = "is a link that leaves the folder";
    for target in ["/etc", "..", "../outside", "a/../../outside", "./../x"] {
        let message = refused(&[symlink("l", target)]);
        assert_eq!(message, format!("entry `l` {leaves}"), "{target}");
        let message = Place::new().refused(&zip(&[member("l", 0o120_777, target.as_bytes())]));
        assert_eq!(message, format!("entry `l` {leaves}"), "{target}");
    }
    assert_eq!(
        refused(&[symlink("a/b/l", "../../../outside")]),
        format!("entry `a/b/l` {leaves}")
    );
    // Through a link before it, which alone is harmless.
    assert_eq!(
        refused(&[
            symlink("a/b/up", "../.."),
            symlink("l", "a/b/up/../outside")
        ]),
        format!("entry `l` {leaves}")
    );
    // Through a link after it: noticed in the end, and removed.
    let place = Place::new();
    let late = tar(&[
        symlink("l", "a/b/up/../outside/secret"),
        symlink("a/b/up", "../.."),
    ]);
    assert_eq!(place.refused(&late), format!("entry `l` {leaves}"));
    assert!(fs::symlink_metadata(place.dest().join("l")).is_err());
    assert_eq!(
        refused(&[symlink("l", "")]),
        "entry `l` is a link whose target is empty, too long or has control characters"
    );
    let place = Place::new();
    let inside = format!("{}/a", place.dest().display());
    place
        .unpack(&tar(&[symlink("l", &inside), file("l/x", b"through")]))
        .expect("an absolute link that stays inside");
    assert_eq!(place.read("a/x"), "through");
}

#[test]
fn nothing_is_written_through_links_that_leave() {
    let place = Place::new();
    fs::create_dir(place.dest()).expect("made");
    let before = |name: &str, target: &Path| {
        link_to(target, place.dest().join(name)).expect("linked");
    };
    before("before-relative", Path::new("../outside"));
    before("before-absolute", &place.folder.path().join("outside"));
    before("before-secret", Path::new("../outside/secret"));
    before("before-inside", Path::new("real/./deep/.."));
    fs::create_dir_all(place.dest().join("real/deep")).expect("made");
    for name in ["before-relative", "before-absolute"] {
        for path in [format!("{name}/new"), format!("{name}/secret")] {
            assert_eq!(
                place.refused(&tar(&[file(&path, b"evil")])),
                format!("entry `{path}` would be written through a link that leaves the folder")
            );
        }
        let path = format!("{name}/");
        assert!(
            place
                .refused(&tar(&[folder(&path, 0o700)]))
                .contains("leaves")
        );
        assert!(
            place
                .refused(&tar(&[symlink("l", name)]))
                .contains("leaves")
        );
        let path = format!("{name}/secret");
        assert_eq!(
            place.refused(&tar(&[hard_link("h", &path)])),
            "entry `h` is a hard link to what is no file of this archive before it"
        );
    }
    // A link in the place of a file is replaced, not written through.
    place
        .unpack(&tar(&[file("before-secret", b"new")]))
        .expect("replaced");
    assert_eq!(place.read("before-secret"), "new");
    // Debian has such a link in /usr/local.
    place
        .unpack(&tar(&[file("before-inside/x", b"in")]))
        .expect("unpacked");
    assert_eq!(place.read("real/x"), "in");
    // A link of the archive, then a file through it.
    place
        .unpack(&tar(&[symlink("l", "real"), file("l/y", b"in")]))
        .expect("a link that stays inside");
    assert_eq!(place.read("real/y"), "in");
    let round = tar(&[symlink("r", "s"), symlink("s", "r"), file("r/x", b"")]);
    assert!(place.refused(&round).contains("too many links"));
}

#[test]
fn hard_links_lead_to_files_of_the_archive() {
    let nothing = "is a hard link to what is no file of this archive before it";
    let refused = |entries: &[Vec<u8>]| Place::new().refused(&tar(entries));
    assert_eq!(
        refused(&[hard_link("h", "x")]),
        format!("entry `h` {nothing}")
    );
    let symlinked = [file("x", b""), symlink("s", "x"), hard_link("h", "s")];
    assert_eq!(refused(&symlinked), format!("entry `h` {nothing}"));
    assert_eq!(
        refused(&[file("x", b""), hard_link("h", "../outside/secret")]),
        "entry `h` is a link that leaves the folder"
    );
    let place = Place::new();
    fs::create_dir(place.dest()).expect("made");
    fs::write(place.dest().join("mine"), "mine").expect("written");
    let foreign = tar(&[file("x", b""), hard_link("h", "mine")]);
    assert_eq!(place.refused(&foreign), format!("entry `h` {nothing}"));
    // The content of a hard link in the pax format is not the link's.
    let with_content = tar(&[
        file("x", b"x"),
        pax(b'x', &[("size", "1")]),
        entry(b'1', b"h", 0o644, b"x", b"y"),
    ]);
    assert_eq!(
        Place::new().refused(&with_content),
        "entry `h` has content, which its kind never has"
    );
}

#[test]
fn only_files_folders_and_links_are_unpacked() {
    let refused = |kind| Place::new().refused(&tar(&[entry(kind, b"d", 0o666, b"", b"")]));
    let never = "which is never unpacked";
    assert_eq!(
        refused(b'3'),
        format!("entry `d` is a character device, {never}")
    );
    assert_eq!(
        refused(b'4'),
        format!("entry `d` is a block device, {never}")
    );
    assert_eq!(refused(b'6'), format!("entry `d` is a named pipe, {never}"));
    assert_eq!(
        refused(b'M'),
        "entry `d` is of the kind `M`, which is not known"
    );
    assert_eq!(
        refused(0x1b),
        "entry `d` is of the kind `\\u{1b}`, which is not known"
    );
    let zipped = |mode| Place::new().refused(&zip(&[member("d", mode, b"")]));
    assert_eq!(zipped(0o140_755), format!("entry `d` is a socket, {never}"));
    assert_eq!(
        zipped(0o020_666),
        format!("entry `d` is a character device, {never}")
    );
}

#[test]
fn special_bits_are_dropped_and_told() {
    let place = Place::new();
    let done = place
        .unpack(&tar(&[
            folder("d/", 0o3777),
            entry(b'0', b"d/su", 0o4755, b"", b"x"),
            entry(b'0', b"d/none", 0o000, b"", b"x"),
        ]))
        .expect("unpacked");
    assert_eq!(
        (done.bits_dropped, done.first_dropped.as_deref()),
        (2, Some("d/"))
    );
    assert_eq!((place.mode("d"), place.mode("d/su")), (0o777, 0o755));
    assert_eq!(place.mode("d/none"), 0);
}

#[test]
fn folders_are_kept_and_closed_in_the_end() {
    let place = Place::new();
    fs::create_dir_all(place.dest().join("kept")).expect("made");
    let kept = place.dest().join("kept");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o2775)).expect("set");
    place
        .unpack(&tar(&[
            folder("kept/", 0o700),
            folder("closed/", 0o500),
            folder("closed/in/", 0o055),
            file("closed/in/f", b"x"),
            file("late/f", b"x"),
            folder("late/", 0o711),
            file("kept/new/f", b"x"),
        ]))
        .expect("unpacked");
    assert_eq!(place.mode("kept"), 0o2775);
    assert_eq!(place.mode("closed"), 0o500);
    assert_eq!(place.mode("closed/in"), 0o055);
    assert_eq!(place.mode("late"), 0o711);
    assert_eq!(place.mode("kept/new"), 0o755, "not the bit of its parent");
    let wrong = place.refused(&tar(&[file("late", b"")]));
    assert_eq!(
        wrong,
        "entry `late` is no folder, but a folder is in its place"
    );
    let wrong = place.refused(&tar(&[folder("late/f/", 0o755)]));
    assert_eq!(
        wrong,
        "entry `late/f/` needs a folder where something else is"
    );
    let wrong = place.refused(&tar(&[file("late/f/x", b"")]));
    assert_eq!(
        wrong,
        "entry `late/f/x` needs a folder where something else is"
    );
    let wrong = place.refused(&tar(&[symlink("late", "kept")]));
    assert_eq!(
        wrong,
        "entry `late` is no folder, but a folder is in its place"
    );
}

#[test]
fn later_entries_of_a_tar_archive_win() {
    let place = Place::new();
    place
        .unpack(&tar(&[
            file("a", b"one"),
            file("b", b""),
            file("a", b"two"),
        ]))
        .expect("unpacked");
    assert_eq!(place.read("a"), "two");
}

#[test]
fn long_names_and_pax_headers_are_read() {
    let deep = "d/".repeat(80);
    let name = format!("{deep}{}", "n".repeat(150));
    let target = format!("./{}", "t".repeat(150));
    // What a well-known writer makes of them.
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(3);
    builder
        .append_data(&mut header, &name, b"gnu".as_slice())
        .expect("written");
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::Symlink);
    header.set_size(0);
    builder
        .append_link(&mut header, "link", &target)
        .expect("written");
    builder
        .append_pax_extensions([
            ("path", "été".as_bytes()),
            ("mtime", b"1700000000.9"),
            ("SCHILY.xattr.user.x", b"\0\xff"),
        ])
        .expect("written");
    let mut header = ::tar::Header::new_ustar();
    header.set_size(3);
    header.set_mode(0o600);
    builder
        .append_data(&mut header, "other", b"pax".as_slice())
        .expect("written");
    let place = Place::new();
    place
        .unpack(&builder.into_inner().expect("finished"))
        .expect("unpacked");
    assert_eq!(place.read(&name), "gnu");
    assert_eq!(place.target("link"), target);
    assert_eq!(place.read("été"), "pax");
    let found = fs::metadata(place.dest().join("été")).expect("there");
    assert_eq!(found.mtime(), 1_700_000_000);
    let place = Place::new();
    place
        .unpack(&tar(&[
            pax(b'g', &[("comment", "0123456789")]),
            pax(b'x', &[("size", "2"), ("linkpath", "unused")]),
            entry(b'0', b"sized", 0o644, b"", b"ok"),
            pax(b'x', &[("linkpath", "sized")]),
            hard_link("linked", "nothing"),
            entry(b'V', b"volume", 0, b"", b""),
        ]))
        .expect("unpacked");
    assert_eq!(place.read("linked"), "ok");
    let refused = |entries: &[Vec<u8>]| Place::new().refused(&tar(entries));
    assert_eq!(
        refused(&[pax(b'g', &[("path", "x")]), file("y", b"")]),
        "it is damaged: a global header names or resizes what follows"
    );
    let mut huge = entry(b'L', b"././@LongLink", 0o644, b"", b"");
    huge[124..135].copy_from_slice(b"77777777777");
    let huge = sealed(*huge.first_chunk().expect("a header"), b"");
    assert_eq!(
        refused(&[huge]),
        "the name of an entry takes more than 4097 bytes"
    );
    let mut wrong = file("x", b"");
    wrong[0] = b'y';
    assert!(refused(&[file("x", b""), wrong]).contains("checksum"));
}

#[test]
fn sparse_files_are_filled_with_zeros() {
    let zeros = |bytes: usize| vec![0; bytes];
    let whole = [zeros(1024), b"data".to_vec(), zeros(200_000 - 1028)].concat();
    let mut old = entry(b'S', b"old", 0o644, b"", b"data");
    old[386..397].copy_from_slice(b"00000002000");
    old[398..409].copy_from_slice(b"00000000004");
    old[483..494].copy_from_slice(b"00000606500");
    let old = sealed(*old.first_chunk().expect("a header"), b"data");
    let pax_one = [
        pax(
            b'x',
            &[
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.name", "one"),
                ("GNU.sparse.realsize", "200000"),
            ],
        ),
        {
            let mut content = b"1\n1024\n4\n".to_vec();
            content.resize(512, 0);
            content.extend(b"data");
            entry(b'0', b"GNUSparseFile.1/one", 0o644, b"", &content)
        },
    ]
    .concat();
    let pax_zero = [
        pax(
            b'x',
            &[
                ("GNU.sparse.size", "200000"),
                ("GNU.sparse.map", "1024,4"),
                ("GNU.sparse.name", "zero"),
            ],
        ),
        file("GNUSparseFile.1/zero", b"data"),
    ]
    .concat();
    let place = Place::new();
    let archive = tar(&[old, pax_one, pax_zero, file("after", b"x")]);
    place.unpack(&archive).expect("unpacked");
    for name in ["old", "one", "zero"] {
        let found = fs::read(place.dest().join(name)).expect("there");
        assert!(found == whole, "{name}: {} bytes", found.len());
        let blocks = fs::metadata(place.dest().join(name))
            .expect("there")
            .blocks();
        assert!(blocks * 512 < 200_000, "{name} takes {blocks} blocks");
    }
    let inode = place.inode("old");
    place.unpack(&archive).expect("unpacked again");
    assert_eq!(place.inode("old"), inode);
    let mut place = Place::new();
    place.most_bytes = 199_999;
    assert!(place.refused(&archive).contains("more than 199999 bytes"));
}

#[test]
fn zip_files_are_unpacked() {
    let mut stored = member("top/stored", 0o100_600, b"stored");
    stored.method = 0;
    let mut large = member("top/été", 0o100_644, &[b'z'; 100_000]);
    large.zip64 = true;
    let mut described = member("top/described", 0o104_755, b"described");
    described.descriptor = true;
    let archive = zip(&[
        member("top/", 0o040_711, b""),
        stored,
        large,
        described,
        member("top/link", 0o120_777, b"stored"),
        member("top/plain", 0, b"no mode"),
    ]);
    let mut place = Place::new();
    place.strip = 1;
    let done = place.unpack(&archive).expect("unpacked");
    assert_eq!((done.entries, done.bits_dropped), (5, 1));
    assert_eq!(place.read("stored"), "stored");
    assert_eq!(place.mode("stored"), 0o600);
    assert_eq!(place.read("été").len(), 100_000);
    assert_eq!(place.read("described"), "described");
    assert_eq!(place.mode("described"), 0o755);
    assert_eq!(place.target("link"), "stored");
    assert_eq!(place.mode("plain"), 0o644);
    let inode = place.inode("described");
    place.unpack(&archive).expect("unpacked again");
    assert_eq!(place.inode("described"), inode);
    place.most_bytes = 100_000;
    assert!(place.refused(&archive).contains("more than 100000 bytes"));
}

#[test]
fn zip_files_that_contradict_themselves_are_refused_before_anything_is_written() {
    let good = member("good", 0o100_644, b"good");
    let refused = |change: &dyn Fn(&mut archive::Member)| {
        let mut bad = member("bad", 0o100_644, b"content");
        change(&mut bad);
        let place = Place::new();
        let message = place.refused(&zip(&[good.clone(), bad]));
        (message, place.dest().join("good").exists())
    };
    let is = |message: &str| (format!("entry `bad` {message}"), false);
    assert_eq!(refused(&|bad| bad.flags = 1), is("is encrypted"));
    assert_eq!(
        refused(&|bad| bad.method = 9),
        is("is compressed by the method 9; only 0 (stored) and 8 (deflate) are known")
    );
    assert_eq!(
        refused(&|bad| bad.name = b"./good".to_vec()),
        ("entry `./good` is there twice".to_owned(), false)
    );
    assert_eq!(
        refused(&|bad| bad.name = b"\xff".to_vec()),
        (
            "entry `\\xff` has a name that is not UTF-8".to_owned(),
            false
        )
    );
    let damaged = |what: &str, written| (format!("it is damaged: {what}"), written);
    assert_eq!(
        refused(&|bad| bad.own_name = Some(b"other".to_vec())),
        damaged("an entry's own header differs from the directory", true)
    );
    assert_eq!(
        refused(&|bad| bad.stated = Some(6)),
        damaged("an entry is longer than it says", true)
    );
    assert_eq!(
        refused(&|bad| bad.stated = Some(8)),
        damaged("an entry ends too early", true)
    );
    let mut archive = zip(std::slice::from_ref(&good));
    let comment = archive.len() - 2;
    archive[comment] = 1;
    assert!(Place::new().refused(&archive).contains("missing"));
    let mut shifted = vec![b'P', b'K', 3, 4];
    shifted.extend(zip(&[good]));
    assert!(Place::new().refused(&shifted).contains("not where it says"));
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let none = "it is no archive that can be read: neither tar (plain, gzip, xz, zstd or bzip2) \
                nor zip";
    assert_eq!(Place::new().refused(b""), none);
    assert_eq!(Place::new().refused(&[b'x'; 4096]), none);
    let place = Place::new();
    let missing = Unpack {
        archive: place.folder.path().display().to_string(),
        dest: "/proc/none".to_owned(),
        strip_components: 0,
        most_bytes: 1,
        masked: 0,
    };
    let error = unpack(&missing).expect_err("a folder");
    assert_eq!(
        error.to_string(),
        "it cannot be opened: it is no regular file"
    );
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
