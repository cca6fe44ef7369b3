//! RPM packages made here by hand: what is read of them, and what their signatures are of.

use sha2::{Digest as _, Sha256};

use super::*;

/// A tag, the type of its values, how many there are, and their bytes (format_header.md).
type Tag = (u32, u32, usize, Vec<u8>);

fn texts(tag: u32, texts: &[&str]) -> Tag {
    let bytes = texts.iter().flat_map(|text| [text.as_bytes(), b"\0"]);
    (tag, 8, texts.len(), bytes.flatten().copied().collect())
}

fn numbers(tag: u32, numbers: &[u32]) -> Tag {
    let bytes = numbers.iter().flat_map(|number| number.to_be_bytes());
    (tag, 4, numbers.len(), bytes.collect())
}

fn shorts(tag: u32, numbers: &[u16]) -> Tag {
    let bytes = numbers.iter().flat_map(|number| number.to_be_bytes());
    (tag, 3, numbers.len(), bytes.collect())
}

fn binary(tag: u32, bytes: &[u8]) -> Tag {
    (tag, 7, bytes.len(), bytes.to_vec())
}

fn header(tags: &[Tag]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).expect("small").to_be_bytes();
    let (mut index, mut store) = (Vec::new(), Vec::new());
    for (tag, kind, count, bytes) in tags {
        store.resize(store.len().next_multiple_of(4), 0);
        index.extend([tag.to_be_bytes(), kind.to_be_bytes()].concat());
        index.extend([number(store.len()), number(*count)].concat());
        store.extend(bytes);
    }
    let mut header = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    header.extend([number(tags.len()), number(store.len())].concat());
    header.extend([index, store].concat());
    header
}

fn package(signatures: &[Tag], main: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xed, 0xab, 0xee, 0xdb];
    bytes.resize(96, 0);
    bytes.extend(header(signatures));
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend([main, payload].concat());
    bytes
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

const PAYLOAD: &[u8] = b"a payload";

fn main_header() -> Vec<u8> {
    header(&[
        texts(1000, &["demo"]),
        texts(1001, &["2.0"]),
        texts(1002, &["1"]),
        numbers(1003, &[1]),
        texts(1022, &["x86_64"]),
        texts(1024, &["ldconfig\n"]),
        numbers(1028, &[7, 0, 4, 0, 0]),
        shorts(
            1030,
            &[0o104_755, 0o100_600, 0o120_777, 0o040_755, 0o010_600],
        ),
        texts(1035, &[&hex(b"program"), "", "", "", ""]),
        texts(1036, &["", "", "demo", "", ""]),
        numbers(1037, &[0, 64, 0, 0, 1]),
        texts(1039, &["root"; 5]),
        texts(1040, &["root", "root", "root", "root", "adm"]),
        texts(1086, &["/bin/sh"]),
        numbers(1116, &[0, 1, 0, 1, 1]),
        texts(1117, &["demo", "log", "other", "lib", "pipe"]),
        texts(1118, &["/usr/bin/", "/var/"]),
        texts(5010, &["cap_net_raw=ep", "", "", "", ""]),
        numbers(5011, &[8]),
        texts(5076, &["ldconfig\n", "f()\n"]),
        texts(5077, &["/bin/sh", "<lua>"]),
        // The first runs for two folders.
        numbers(5080, &[0, 0, 1]),
        numbers(5082, &[1 << 16, 1 << 16, 1 << 18]),
        texts(5092, &[&hex(PAYLOAD)]),
        numbers(5093, &[8]),
    ])
}

#[test]
fn an_rpm_is_read_whole() {
    let bytes = package(&[], &main_header(), PAYLOAD);
    let read = read(PackageFormat::Rpm, bytes.as_slice()).expect("a package");
    assert_eq!(
        (&*read.name, &*read.version, &*read.architecture),
        ("demo", "1:2.0-1", "x86_64")
    );
    let kinds: Vec<_> = read
        .files
        .iter()
        .map(|file| (String::from_utf8_lossy(&file.path), file.mode, &file.kind))
        .collect();
    let program = PackagedKind::File {
        size: 7,
        sha256: Some(Sha256::digest(b"program").into()),
    };
    assert_eq!(
        kinds,
        [
            ("/usr/bin/demo".into(), 0o4755, &program),
            ("/var/log".into(), 0o600, &PackagedKind::Ghost),
            (
                "/usr/bin/other".into(),
                0o777,
                &PackagedKind::Symlink(b"demo".to_vec())
            ),
            ("/var/lib".into(), 0o755, &PackagedKind::Folder),
            ("/var/pipe".into(), 0o600, &PackagedKind::Fifo),
        ]
    );
    let capabilities = Capabilities::Text("cap_net_raw=ep".to_owned());
    assert_eq!(read.files[0].capabilities, Some(capabilities));
    assert_eq!(read.files[4].group.name, "adm");
    assert_eq!(read.configuration, [b"/var/pipe".to_vec()]);
    let scripts = read.scripts.iter();
    let scripts: Vec<_> = scripts
        .map(|one| (&*one.phase, &*one.interpreter))
        .collect();
    assert_eq!(
        scripts,
        [
            ("%post", "/bin/sh"),
            ("%transfiletriggerin", "/bin/sh"),
            ("%transfiletriggerpostun", "<lua>"),
        ]
    );
}

#[test]
fn every_kind_of_signature_is_told_with_the_header_it_is_of() {
    let main = main_header();
    let of = |tags: &[Tag]| {
        let bytes = package(tags, &main, PAYLOAD);
        let signed = rpm_signatures(bytes.as_slice()).expect("a package");
        assert_eq!(signed.header, main);
        let signatures = signed.signatures;
        (signatures, signed.has_old)
    };
    assert_eq!(of(&[]), (vec![], false));
    assert_eq!(of(&[binary(268, b"rsa")]), (vec![b"rsa".to_vec()], false));
    assert_eq!(of(&[binary(267, b"dsa")]), (vec![b"dsa".to_vec()], false));
    assert_eq!(of(&[binary(1005, b"old")]), (vec![], true));
    assert_eq!(
        of(&[texts(278, &["Zm9v", "Zm9vYmFy"])]),
        (vec![b"foo".to_vec(), b"foobar".to_vec()], false)
    );
    let garbled = package(&[texts(278, &["!"])], &main, PAYLOAD);
    assert!(matches!(
        rpm_signatures(garbled.as_slice()),
        Err(Unreadable::Damaged("a signature"))
    ));
}

#[test]
fn a_signed_header_is_no_signature_of_another_payload() {
    let other = package(&[binary(268, b"rsa")], &main_header(), b"another");
    assert!(matches!(
        rpm_signatures(other.as_slice()),
        Err(Unreadable::Damaged(_))
    ));
    // Of old packages the header names no payload.
    let old = header(&[texts(1000, &["demo"])]);
    assert!(rpm_signatures(package(&[], &old, b"any").as_slice()).is_ok());
}
