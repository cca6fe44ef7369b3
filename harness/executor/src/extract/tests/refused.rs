//! What each kind of evil archive is refused for, and that nothing is reached by it.

use std::fs;
use std::os::unix::fs::symlink as link_to;
use std::path::Path;

use super::archive::{self, entry, file, folder, hard_link, member, pax, symlink, tar, zip};
use super::{Place, Unpack, unpack};

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
