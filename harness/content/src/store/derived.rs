//! What was made of bytes and can be made of them again, such as the list of a package's files: kept
//! beside the blobs so that it is made once.
//!
//! It is known by its maker's name, which changes with the way it is made, and by the digest of what it was
//! made of; the bytes themselves need not be in the store. A file that is damaged, or was made of something
//! else, is none. Nothing here is ever needed, so no failure is one: it is made again.

use std::io::Read as _;

use assay_wire::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::incoming::Settling;
use super::{Store, StoreError, Use};

/// Most bytes of one thing that is kept.
pub const MOST_DERIVED: usize = 256 << 20;

/// Who made something of bytes, and how: a new name for every new way. Lower-case letters, digits and
/// dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker(pub &'static str);

impl Store {
    /// What was made of bytes of this digest; `None` if it has to be made again.
    #[must_use]
    pub fn derived(&self, maker: Maker, of: &Digest) -> Option<Vec<u8>> {
        let path = self.derived_name(maker, of);
        let file = self.open_file(&path, Use::Counts).ok().flatten()?;
        let most = MOST_DERIVED as u64 + 32;
        if file.metadata().ok()?.len() > most {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).ok()?;
        let (seal, made) = bytes.split_first_chunk::<32>()?;
        if *seal != seal_of(maker, of, made) {
            return None;
        }
        bytes.drain(..32);
        Some(bytes)
    }

    /// Keeps what was made of bytes of this digest; nothing if it is too large.
    ///
    /// # Errors
    /// The disk is full, or failed.
    pub fn keep_derived(&self, maker: Maker, of: &Digest, made: &[u8]) -> Result<(), StoreError> {
        if made.len() > MOST_DERIVED {
            return Ok(());
        }
        let mut incoming = self.incoming()?;
        incoming.write(&seal_of(maker, of, made))?;
        incoming.write(made)?;
        // What a crash damages is made again.
        incoming.settle(&self.derived_name(maker, of), Settling::Unflushed)
    }
}

/// What only these bytes, made so of that, have.
fn seal_of(maker: Maker, of: &Digest, made: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(format!("{} {of}\n", maker.0));
    hash.update(made);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const MAKER: Maker = Maker("test-1");

    #[test]
    fn what_was_made_is_found_until_it_is_damaged_or_made_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let (of, other) = (Digest::of(b"x"), Digest::of(b"y"));
        assert_eq!(store.derived(MAKER, &of), None);
        for made in [&b"made"[..], b"", b"again"] {
            store.keep_derived(MAKER, &of, made).expect("kept");
            assert_eq!(store.derived(MAKER, &of).as_deref(), Some(made));
        }
        assert_eq!(store.derived(Maker("test-2"), &of), None);
        assert!(!store.contains(&of));
        // Somebody gives it another name.
        let (path, elsewhere) = (
            store.derived_name(MAKER, &of),
            store.derived_name(MAKER, &other),
        );
        fs::create_dir_all(elsewhere.parent().expect("a folder")).expect("made");
        fs::copy(&path, &elsewhere).expect("copied");
        assert_eq!(store.derived(MAKER, &other), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("writable");
        for damaged in [&b"ma"[..], &[0; 40], b""] {
            fs::write(&path, damaged).expect("damaged");
            assert_eq!(store.derived(MAKER, &of), None);
        }
        fs::remove_file(&path).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo(1)").success());
        assert_eq!(store.derived(MAKER, &of), None);
        assert!(store.keep_derived(MAKER, &of, b"made").is_err());
        assert_eq!(
            fs::read_dir(store.temporary()).expect("a folder").count(),
            0
        );
    }
}
