//! The files of keys that an image's managers trust, as its executor sends them: kept in memory for
//! whoever checks signatures, and never written anywhere. A sandbox is hostile: what it may send is
//! bounded here again, and beyond that its session is over.

use std::collections::BTreeMap;

use assay_wire::control::{MAX_KEYRING, MAX_KEYRINGS};

/// Longest path of a file, escaped: each byte of a path (limits.h, `PATH_MAX`) may be four.
const PATH_BYTES: usize = 4 * 4096;

/// Files on their way, and those that came.
#[derive(Debug, Default)]
pub(crate) struct Keyrings {
    opened: usize,
    is_shut: bool,
    arriving: BTreeMap<u32, (String, Vec<u8>)>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Keyrings {
    /// Takes no file any more: something may have been performed, and what counts is what the image had.
    pub(crate) fn shut(&mut self) {
        self.is_shut = true;
    }

    /// A file begins to come.
    ///
    /// # Errors
    /// In words, if it is one too many, or comes too late.
    pub(crate) fn open(&mut self, stream: u32, path: String) -> Result<(), String> {
        if self.is_shut {
            return Err("it sent a file of keys too late".to_owned());
        }
        self.opened += 1;
        if self.opened > MAX_KEYRINGS {
            return Err(format!("it sent more than {MAX_KEYRINGS} files of keys"));
        }
        if path.len() > PATH_BYTES {
            return Err("it sent a file of keys whose path is too long".to_owned());
        }
        self.arriving.insert(stream, (path, Vec::new()));
        Ok(())
    }

    /// Bytes of a file; those of another stream are nothing to it.
    ///
    /// # Errors
    /// In words, if they are too many.
    pub(crate) fn push(&mut self, stream: u32, bytes: &[u8]) -> Result<(), String> {
        let Some((path, file)) = self.arriving.get_mut(&stream) else {
            return Ok(());
        };
        if (file.len() + bytes.len()) as u64 > MAX_KEYRING {
            return Err(format!(
                "it sent more than {MAX_KEYRING} bytes as the file of keys `{path}`"
            ));
        }
        file.extend_from_slice(bytes);
        Ok(())
    }

    /// A stream has ended; if it was a file's, the file is whole.
    pub(crate) fn close(&mut self, stream: u32) {
        self.files.extend(self.arriving.remove(&stream));
    }

    /// The files that are whole, by their paths.
    pub(crate) fn into_files(self) -> BTreeMap<String, Vec<u8>> {
        self.files
    }

    /// The same, while more may come.
    #[cfg(test)]
    pub(crate) fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_that_are_whole() {
        let mut keyrings = Keyrings::default();
        keyrings.open(1, "/a".to_owned()).expect("taken");
        keyrings.open(3, "/b".to_owned()).expect("taken");
        keyrings.push(1, b"one").expect("taken");
        keyrings.push(3, b"two").expect("taken");
        keyrings.push(1, b" more").expect("taken");
        keyrings.push(5, b"of another stream").expect("passed over");
        keyrings.close(1);
        keyrings.close(5);
        let wanted = BTreeMap::from([("/a".to_owned(), b"one more".to_vec())]);
        assert_eq!(keyrings.files(), &wanted);
    }

    #[test]
    fn what_is_beyond_the_bounds_is_refused() {
        let mut keyrings = Keyrings::default();
        let stream = |number: usize| u32::try_from(number).expect("small");
        for number in 0..MAX_KEYRINGS {
            let path = format!("/{number}");
            keyrings.open(stream(number), path).expect("taken");
            // One that has ended counts, too.
            keyrings.close(stream(number));
        }
        let more = keyrings.open(stream(MAX_KEYRINGS), "/x".to_owned());
        assert_eq!(more, Err("it sent more than 64 files of keys".to_owned()));

        let mut keyrings = Keyrings::default();
        keyrings.open(1, "/a".to_owned()).expect("taken");
        let most = usize::try_from(MAX_KEYRING).expect("small");
        keyrings.push(1, &vec![0; most]).expect("taken");
        let refused = keyrings.push(1, b"x").expect_err("too much");
        assert!(refused.ends_with("as the file of keys `/a`"), "{refused}");
        assert!(keyrings.open(3, "/".repeat(PATH_BYTES + 1)).is_err());
        keyrings.shut();
        let late = keyrings.open(5, "/b".to_owned());
        assert_eq!(late, Err("it sent a file of keys too late".to_owned()));
    }
}
