//! Indexes written here by hand, and bytes that are none.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
const C: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

fn hash(digit: u8) -> Sha256 {
    [digit << 4 | digit; 32]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

/// What an index says of some hashes: that it lists them, and with which signature.
fn listed(format: IndexFormat, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let plain = format.read(bytes).expect("an index");
    let packed = format.read(gzip(bytes).as_slice());
    assert_eq!(packed.expect("the same index"), plain);
    let digits = 0..=0xf;
    let found = digits.filter_map(|digit| Some((digit, plain.find(&hash(digit))?.to_vec())));
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), plain.len());
    found
}

#[test]
fn a_release_file_lists_packages_files_by_sha256_alone() {
    let release = format!(
        "Origin: x\nMD5Sum:\n {A} 5 main/binary-amd64/Packages\nSHA256:\n \
         {A} 12 main/binary-amd64/Packages\n\t{B} 9 main/binary-amd64/Packages.xz\n \
         {C} 7 main/i18n/Translation-en\n {C} 7 main/Packagesque\n 123 1 Packages\nSHA512:\n \
         {C} 1 Packages.gz\n"
    );
    let indexes = apt::indexes(&release).expect("a release");
    assert_eq!(indexes, Indexes::from([hash(0xa), hash(0xb)]));
    // What was signed has these ends of lines (RFC 9580, 7).
    let signed = release.replace('\n', "\r\n");
    assert_eq!(apt::indexes(&signed).expect("a release"), indexes);
}

#[test]
fn a_packages_file_lists_packages() {
    let provides = "x, ".repeat(100_000);
    let text = format!(
        "Package: a\nProvides: {provides}\nSHA256: {A}\nDescription: x\n SHA256: {C}\n\n\
         Package: b\nSHA256:{B}\n"
    );
    assert_eq!(
        listed(IndexFormat::Apt, text.as_bytes()),
        [(0xa, vec![]), (0xb, vec![])]
    );
    let damaged = IndexFormat::Apt.read("SHA256: 12\n".as_bytes());
    assert!(matches!(damaged, Err(Unreadable::Damaged("a hash"))));
}

#[test]
fn repomd_lists_primary_and_primary_lists_packages() {
    let repomd = format!(
        "<?xml version=\"1.0\"?><!-- <data type=\"primary\"> --><repomd xmlns=\"x\">\
         <data type=\"primary\"><checksum type=\"sha256\">{A}</checksum>\
         <open-checksum type=\"sha256\">{C}</open-checksum><location href=\"x\"/></data>\
         <data type=\"filelists\"><checksum type=\"sha256\">{B}</checksum></data>\
         <data type=\"primary\"><checksum type=\"sha512\">{B}</checksum></data></repomd>"
    );
    let indexes = rpm_md::indexes(repomd.as_bytes()).expect("an index");
    assert_eq!(indexes, Indexes::from([hash(0xa)]));
    let primary = format!(
        "<metadata packages=\"3\"><package type=\"rpm\"><name>a&amp;b</name>\
         <checksum type=\"sha256\" pkgid=\"YES\"> {A}\n</checksum></package>\
         <package><checksum type='sha256' pkgid='YES'>{B}</checksum></package>\
         <package><checksum type=\"sha\" pkgid=\"YES\">12</checksum></package></metadata>"
    );
    assert_eq!(
        listed(IndexFormat::RpmMd, primary.as_bytes()),
        [(0xa, vec![]), (0xb, vec![])]
    );
    for damaged in [
        &primary[..primary.len() - 4],
        "<a></b>",
        "<checksum type=\"sha256\" pkgid=\"YES\">12</checksum>",
    ] {
        assert!(IndexFormat::RpmMd.read(damaged.as_bytes()).is_err());
    }
}

fn database(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for (path, text) in entries {
        let mut header = ::tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, path, text.as_bytes())
            .expect("appended");
    }
    archive.into_inner().expect("an archive")
}

#[test]
fn a_database_lists_packages_with_their_signatures() {
    let bytes = database(&[
        (
            "a-1-1/desc",
            &format!("%FILENAME%\na\n\n%SHA256SUM%\n{A}\n\n%PGPSIG%\nZm9v\n\n%ARCH%\nany\n"),
        ),
        ("a-1-1/files", &format!("%SHA256SUM%\n{C}\n")),
        ("b-1-1/desc", &format!("%NAME%\n%SHA256SUM%\n{B}\n")),
        ("old-1-1/desc", "%MD5SUM%\n12\n"),
    ]);
    assert_eq!(
        listed(IndexFormat::Pacman, &bytes),
        [(0xa, b"foo".to_vec()), (0xb, vec![])]
    );
    for damaged in ["%SHA256SUM%\n12\n", "%PGPSIG%\n!\n"] {
        let bytes = database(&[("a-1-1/desc", damaged)]);
        assert!(IndexFormat::Pacman.read(bytes.as_slice()).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        text in "(%SHA256SUM%|SHA256:|[a-f0-9]{64}|<checksum pkgid='YES' type='sha256'>|</checksum>|<|\n| |x){0,20}",
        at in 0usize..4000,
        flip in any::<u8>(),
    ) {
        let mut damaged = database(&[("a/desc", &text)]);
        let at = at % damaged.len();
        damaged[at] ^= flip;
        for format in [IndexFormat::Apt, IndexFormat::RpmMd, IndexFormat::Pacman] {
            for bytes in [&bytes, text.as_bytes(), &damaged] {
                let _ = format.read(bytes);
            }
        }
        let _ = apt::indexes(&text);
        let _ = rpm_md::indexes(text.as_bytes());
        let _ = rpm_md::indexes(bytes.as_slice());
    }

    #[test]
    fn whatever_is_listed_is_found(hashes in proptest::collection::btree_set(any::<[u8; 32]>(), 0..20)) {
        let hex = |hash: &Sha256| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let found = |format: IndexFormat, text: &str| {
            let read = format.read(text.as_bytes()).expect("an index");
            read.len() == hashes.len() && hashes.iter().all(|hash| read.find(hash).is_some())
        };
        let packages: String = hashes.iter().map(|it| format!("Package: x\nSHA256: {}\n\n", hex(it))).collect();
        prop_assert!(found(IndexFormat::Apt, &packages));
        let package = |it| format!("<p><checksum type=\"sha256\" pkgid=\"YES\">{}</checksum></p>", hex(it));
        let primary: String = hashes.iter().map(package).collect();
        let primary = format!("<m>{primary}</m>");
        prop_assert!(found(IndexFormat::RpmMd, &primary));
        let release: String = hashes.iter().map(|it| format!(" {} 1 Packages\n", hex(it))).collect();
        prop_assert_eq!(&apt::indexes(&format!("SHA256:\n{release}")).expect("a release"), &hashes);
    }
}
