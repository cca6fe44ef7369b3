//! Packages made here by hand, and bytes that are none.

use std::io::Write as _;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;

/// A tar archive of files (path, mode, text), folders (no text) and links (`-> where`).
fn tar(entries: &[(&str, u32, Option<&str>)]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for (path, mode, text) in entries {
        let mut header = ::tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(42);
        header.set_username("root").expect("a name");
        header.set_groupname("shadow").expect("a name");
        header.set_size(0);
        match text {
            None => {
                header.set_entry_type(::tar::EntryType::Directory);
                archive.append_data(&mut header, path, std::io::empty())
            }
            Some(text) if text.starts_with("-> ") => {
                header.set_entry_type(::tar::EntryType::Symlink);
                archive.append_link(&mut header, path, &text[3..])
            }
            Some(text) => {
                header.set_size(text.len() as u64);
                archive.append_data(&mut header, path, text.as_bytes())
            }
        }
        .expect("appended");
    }
    archive.into_inner().expect("an archive")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, data) in members {
        bytes.extend(
            format!(
                "{name:<16}0           0     0     100644  {:<10}`\n",
                data.len()
            )
            .bytes(),
        );
        bytes.extend_from_slice(data);
        if data.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

const POSTINST: &str = "#!/bin/sh -e\ntrue\n";

fn deb() -> Vec<u8> {
    let control =
        "Package: demo\nVersion: 1:2.0-1\nArchitecture: amd64\nDescription: x\n Version: 9\n";
    let control = tar(&[
        ("./control", 0o644, Some(control)),
        ("./postinst", 0o755, Some(POSTINST)),
        (
            "./conffiles",
            0o644,
            Some("/etc/demo.conf\nremove-on-upgrade /etc/old\n"),
        ),
    ]);
    let data = tar(&[
        ("./", 0o755, None),
        ("./usr/bin/demo", 0o4755, Some("program")),
        ("./etc/demo.conf", 0o640, Some("setting")),
        ("./usr/bin/other", 0o777, Some("-> demo")),
    ]);
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", &gzip(&control)),
        ("data.tar", &data),
    ])
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[test]
fn a_deb_is_read_whole() {
    let read = read(PackageFormat::Deb, deb().as_slice()).expect("a package");
    assert_eq!(
        (&*read.name, &*read.version, &*read.architecture),
        ("demo", "1:2.0-1", "amd64")
    );
    assert_eq!(
        read.scripts,
        [PackageScript {
            phase: "postinst".to_owned(),
            interpreter: "/bin/sh".to_owned(),
            sha256: hash(POSTINST),
        }]
    );
    assert_eq!(read.configuration, [b"/etc/demo.conf".to_vec()]);
    let paths: Vec<_> = read
        .files
        .iter()
        .map(|file| (String::from_utf8_lossy(&file.path), file.mode, &file.kind))
        .collect();
    let file = |text: &str| PackagedKind::File {
        size: text.len() as u64,
        sha256: Some(hash(text)),
    };
    assert_eq!(
        paths,
        [
            ("/".into(), 0o755, &PackagedKind::Folder),
            ("/usr/bin/demo".into(), 0o4755, &file("program")),
            ("/etc/demo.conf".into(), 0o640, &file("setting")),
            (
                "/usr/bin/other".into(),
                0o777,
                &PackagedKind::Symlink(b"demo".to_vec())
            ),
        ]
    );
    assert_eq!(
        read.files[1].group,
        Owner {
            name: "shadow".to_owned(),
            id: Some(42)
        }
    );
}

#[test]
fn a_package_of_pacmans_is_read_whole() {
    let info =
        "# made by hand\npkgname = demo\npkgver = 1:2.0-1\narch = x86_64\nbackup = etc/demo.conf\n";
    let script = "post_install() {\n  true\n}\nfunction pre_remove {\n  :\n}\n# post_upgrade()\n";
    let archive = tar(&[
        (".PKGINFO", 0o644, Some(info)),
        (".INSTALL", 0o644, Some(script)),
        (".MTREE", 0o644, Some("x")),
        ("usr/bin/demo", 0o755, Some("program")),
    ]);
    let read = read(PackageFormat::Pacman, gzip(&archive).as_slice()).expect("a package");
    assert_eq!((&*read.name, &*read.version), ("demo", "1:2.0-1"));
    let phases: Vec<&str> = read.scripts.iter().map(|script| &*script.phase).collect();
    assert_eq!(phases, ["post_install", "pre_remove"]);
    assert_eq!(read.scripts[0].sha256, hash(script));
    assert_eq!(read.configuration, [b"/etc/demo.conf".to_vec()]);
    assert_eq!(read.files.len(), 1);
    assert_eq!(read.files[0].path, b"/usr/bin/demo");
}

/// A header of rpm's: texts by their tags, and single numbers of so many bytes.
fn header(texts: &[(u32, &[&str])], numbers: &[(u32, usize, u32)]) -> Vec<u8> {
    let texts = texts.iter().map(|(tag, values)| {
        let text = |value: &&str| [value.as_bytes(), b"\0"].concat();
        (*tag, values.len(), values.iter().flat_map(text).collect())
    });
    let numbers = numbers.iter().map(|(tag, width, value)| {
        let bytes = value.to_be_bytes();
        (*tag, 1, bytes[bytes.len() - width..].to_vec())
    });
    let (mut index, mut store, mut count) = (Vec::new(), Vec::new(), 0u32);
    for (tag, values, bytes) in texts.chain(numbers) {
        // The type is not looked at.
        for number in [tag, 0, store.len() as u32, values as u32] {
            index.extend(number.to_be_bytes());
        }
        store.extend::<Vec<u8>>(bytes);
        count += 1;
    }
    let mut header = vec![0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
    header.extend(count.to_be_bytes());
    header.extend((store.len() as u32).to_be_bytes());
    [header, index, store].concat()
}

#[test]
fn scripts_of_an_rpm_are_hashed_as_rpm_writes_them() {
    let texts: &[(u32, &[&str])] = &[
        (1000, &["demo"]),
        (1001, &["2.0"]),
        (1002, &["1"]),
        (1022, &["noarch"]),
        (1024, &["true"]),
        (1086, &["/bin/sh"]),
        (5104, &["false"]),
        (5106, &["<lua>"]),
        (1117, &["demo.conf"]),
        (1118, &["/usr/lib/sysusers.d/"]),
        (1035, &[""]),
        (1036, &[""]),
        (1039, &["root"]),
        (1040, &["root"]),
        (1047, &["demo", "user(demo)"]),
    ];
    let numbers = [
        (1116, 4, 0),
        (1030, 2, 0o100_644),
        (1037, 4, 0),
        (1028, 4, 7),
    ];
    let mut lead = vec![0xed, 0xab, 0xee, 0xdb];
    lead.resize(96, 0);
    let scripts = |texts| {
        let package = [lead.clone(), header(&[], &[]), header(texts, &numbers)].concat();
        let read = read(PackageFormat::Rpm, package.as_slice()).expect("a package");
        let of = |script: PackageScript| (script.phase, script.interpreter, script.sha256);
        read.scripts.into_iter().map(of).collect::<Vec<_>>()
    };
    let script = |phase: &str, interpreter: &str, text| {
        (phase.to_owned(), interpreter.to_owned(), hash(text))
    };
    let asked = " --replace /usr/lib/sysusers.d/demo.conf -";
    let [ours, theirs] = ["/usr/lib/rpm/sysusers.sh", "/usr/bin/systemd-sysusers"];
    assert_eq!(
        scripts(texts),
        [
            script("%post", "/bin/sh", "true"),
            script("%postuntrans", "<lua>", "false"),
            script("%sysusers", "/bin/sh", &format!("{ours}{asked}")),
            script("%sysusers", "/bin/sh", &format!("{ours} -")),
            script("%sysusers", "/bin/sh", &format!("{theirs}{asked}")),
            script("%sysusers", "/bin/sh", &format!("{theirs} -")),
        ]
    );
    // Without the last one, it asks for no user.
    assert_eq!(scripts(&texts[..texts.len() - 1]).len(), 2);
}

#[test]
fn names_say_what_a_package_is() {
    for (name, format) in [
        ("a_1_amd64.deb", Some(PackageFormat::Deb)),
        ("a-1.x86_64.rpm", Some(PackageFormat::Rpm)),
        ("a-1-x86_64.pkg.tar.zst", Some(PackageFormat::Pacman)),
        ("core.db.tar.gz", None),
        ("a.pkg.tar.zst.sig", None),
    ] {
        assert_eq!(PackageFormat::of_name(name), format, "{name}");
    }
}

#[test]
fn what_is_damaged_is_an_error_and_never_a_shorter_list() {
    let whole = deb();
    for length in [0, 7, 60, 100, whole.len() / 2, whole.len() - 600] {
        assert!(
            read(PackageFormat::Deb, &whole[..length]).is_err(),
            "{length}"
        );
    }
    let no_data = ar(&[("debian-binary", b"2.0\n")]);
    assert!(matches!(
        read(PackageFormat::Deb, no_data.as_slice()),
        Err(Unreadable::Damaged("it has no control data"))
    ));
    assert!(read(PackageFormat::Rpm, whole.as_slice()).is_err());
    assert!(read(PackageFormat::Pacman, whole.as_slice()).is_err());
    assert!(matches!(
        absolute(b"usr/../../etc"),
        Err(Unreadable::Damaged(_))
    ));
    assert!(matches!(
        absolute(&[b'a'; 5000]),
        Err(Unreadable::TooLarge(_))
    ));
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        at in 0usize..4000,
        flip in any::<u8>(),
    ) {
        for format in [PackageFormat::Deb, PackageFormat::Rpm, PackageFormat::Pacman] {
            let _ = read(format, bytes.as_slice());
            let mut damaged = deb();
            let at = at % damaged.len();
            damaged[at] ^= flip;
            let _ = read(format, damaged.as_slice());
        }
        let mut header = vec![0xed, 0xab, 0xee, 0xdb];
        header.resize(96, 0);
        header.extend([0x8e, 0xad, 0xe8, 0x01]);
        header.extend(&bytes);
        let _ = read(PackageFormat::Rpm, header.as_slice());
        let _ = rpm_signatures(header.as_slice());
    }
}
