//! What comes of every format, compression and kind of entry.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::Place;
use super::archive::{entry, file, folder, hard_link, member, pax, sealed, symlink, tar, zip};

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
