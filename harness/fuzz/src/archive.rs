//! Archives that recipes unpack: [`assay_executor::extract`].

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use assay_executor::extract::{Unpack, unpack};

/// Bytes that may come out of an archive; few, so that a bomb costs little time.
const MOST_BYTES: u64 = 1 << 20;

/// Bytes of a tar header, and where its checksum and magic are.
const BLOCK: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const MAGIC: std::ops::Range<usize> = 257..262;

/// An archive of any bytes: it is unpacked or refused in one line, nothing outside of its folder is
/// touched, and no link that it made leads out; nor when the same is unpacked over it.
pub fn extract(bytes: &[u8]) {
    check(bytes);
    let mended = mended(bytes);
    if mended != bytes {
        check(&mended);
    }
}

fn check(bytes: &[u8]) {
    let place = super::folder();
    let path = |name: &str| place.path().join(name);
    fs::create_dir_all(path("dest/folder/deep")).expect("made");
    fs::create_dir(path("outside")).expect("made");
    fs::write(path("outside/secret"), "kept").expect("written");
    fs::write(path("archive"), bytes).expect("written");
    // Links that are there lead out and in; those keep their names unless they are replaced.
    symlink("../outside", path("dest/out")).expect("linked");
    symlink(path("outside"), path("dest/folder/abs")).expect("linked");
    symlink("folder/deep", path("dest/in")).expect("linked");
    let what = Unpack {
        archive: path("archive").display().to_string(),
        dest: path("dest").display().to_string(),
        strip_components: 0,
        most_bytes: MOST_BYTES,
        masked: 0o022,
    };
    let first = unpack(&what);
    let message = match &first {
        Ok(done) => done.first_dropped.clone().unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.len() < 4000, "{} bytes", message.len());
    assert_untouched(place.path());
    // Once more over what is there by now, links of the archive included. An archive that puts a
    // file where its own earlier entry went through a link may be refused this time.
    drop(unpack(&what));
    assert_untouched(place.path());
}

/// Asserts that the place holds what it held, besides what is in `dest`, and that nothing there
/// leads out but the links that did before.
fn assert_untouched(place: &Path) {
    let outside = place.join("outside");
    assert_eq!(fs::read_dir(place).expect("listed").count(), 3);
    assert_eq!(fs::read_dir(&outside).expect("listed").count(), 1);
    let secret = outside.join("secret");
    assert_eq!(fs::read(&secret).expect("readable"), b"kept");
    let found = fs::metadata(&secret).expect("there");
    assert_eq!((found.nlink(), found.mode() & 0o7777), (1, 0o644));
    let dest = place.join("dest").canonicalize().expect("there");
    let mut folders = vec![dest.clone()];
    while let Some(folder) = folders.pop() {
        // A folder may have been unpacked that its owner may not list.
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a type");
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                let known = [dest.join("out"), dest.join("folder/abs")].contains(&path);
                let inside = path.canonicalize().map_or(true, |to| to.starts_with(&dest));
                assert!(known || inside, "{} leads out", path.display());
            } else {
                assert!(kind.is_file(), "{} is no file", path.display());
                let mode = entry.metadata().expect("there").mode();
                assert_eq!(mode & 0o7022, 0, "{}: {mode:o}", path.display());
            }
        }
    }
}

/// The same bytes with the right checksum in all that looks like a header of tar: no change of one
/// would be read otherwise.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    for block in mended.chunks_exact_mut(BLOCK) {
        if &block[MAGIC] == b"ustar" {
            block[CHECKSUM].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    mended
}
