//! tar archives (tar(5)), entry by entry, with a bound on what is held of each.
//!
//! The `tar` crate holds headers that stand for the next entry – long names, pax records – whole,
//! however long they say they are. Here a budget ends such an archive.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use tar::{Archive, Entry};

use crate::unreadable::Unreadable;

/// Most bytes of what stands before an entry: long names, pax records, padding, and what is left of the
/// entry before.
const MOST_BETWEEN: u64 = 1 << 20;

/// An entry of an archive.
pub(crate) type Member<'a, R> = Entry<'a, Budget<R>>;

/// Visits every entry of an archive that unpacks to at most so many bytes.
///
/// # Errors
/// The archive is damaged or too large, or the visitor says so.
pub(crate) fn each<R: Read>(
    bytes: R,
    most_bytes: u64,
    mut visit: impl FnMut(&mut Member<'_, R>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let left = Rc::new(Cell::new(MOST_BETWEEN));
    let mut archive = Archive::new(Budget {
        bytes,
        left: Rc::clone(&left),
    });
    let mut unpacked: u64 = 0;
    let mut entries = archive.entries()?;
    loop {
        left.set(MOST_BETWEEN);
        let Some(entry) = entries.next() else {
            return Ok(());
        };
        let mut entry = entry?;
        unpacked = unpacked.saturating_add(entry.size());
        if unpacked > most_bytes {
            return Err(Unreadable::TooLarge("bytes"));
        }
        left.set(entry.size());
        visit(&mut entry)?;
    }
}

/// Bytes of which only so many may be read until somebody allows more.
pub(crate) struct Budget<R> {
    bytes: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left.get()).unwrap_or(usize::MAX);
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("too much stands between two entries"));
        }
        let most = buffer.len().min(left);
        let read = self.bytes.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visited(bytes: &[u8], most: u64) -> Result<Vec<String>, Unreadable> {
        let mut paths = Vec::new();
        each(bytes, most, |entry| {
            paths.push(String::from_utf8_lossy(&entry.path_bytes()).into_owned());
            Ok(())
        })?;
        Ok(paths)
    }

    fn archive(name_length: usize) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, size) in [("x".repeat(name_length), 3000), ("after".to_owned(), 2)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(size);
            header.set_mode(0o644);
            let size = usize::try_from(size).expect("small");
            archive
                .append_data(&mut header, name, vec![b'.'; size].as_slice())
                .expect("appended");
        }
        archive.into_inner().expect("an archive")
    }

    #[test]
    fn a_name_may_be_long_and_not_too_long() {
        let paths = visited(&archive(3000), u64::MAX).expect("an archive");
        assert_eq!((paths[0].len(), &*paths[1]), (3000, "after"));
        let most = usize::try_from(MOST_BETWEEN).expect("small");
        assert!(visited(&archive(most), u64::MAX).is_err());
    }

    #[test]
    fn what_unpacks_to_too_much_is_an_error() {
        assert!(visited(&archive(10), 3002).is_ok());
        let more = visited(&archive(10), 3001);
        assert!(matches!(more, Err(Unreadable::TooLarge("bytes"))));
    }
}
