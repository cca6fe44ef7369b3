//! rpm-md: `repomd.xml` lists files of metadata, of which `primary.xml` lists packages (createrepo_c(8)).
//!
//! Names are compared without their namespaces: these two documents have one element `checksum` that
//! counts, each.

use std::io::{self, BufRead, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Indexes, Listed, MOST_LISTED, Sha256, sha256};
use crate::unreadable::Unreadable;

/// Most bytes of one tag or text.
const MOST_EVENT: u64 = 4 << 20;

/// Most elements within each other.
const MOST_DEPTH: usize = 32;

/// Most bytes of a `repomd.xml`.
const MOST_REPOMD: u64 = 16 << 20;

/// The hashes of the lists of packages that a `repomd.xml` lists.
///
/// # Errors
/// It is damaged, or larger than is read.
pub fn indexes(repomd: impl BufRead) -> Result<Indexes, Unreadable> {
    let mut indexes = Indexes::new();
    let mut within = false;
    let is_hash = |element: &BytesStart<'_>| {
        let name = element.local_name();
        if name.as_ref() == b"data" {
            within = has(element, "type", b"primary");
        }
        // Not `open-checksum`, which is of the unpacked bytes.
        within && name.as_ref() == b"checksum" && has(element, "type", b"sha256")
    };
    walk(repomd.take(MOST_REPOMD), is_hash, |hash| {
        if indexes.len() == MOST_LISTED {
            return Err(Unreadable::TooLarge("indexes"));
        }
        indexes.insert(hash);
        Ok(())
    })?;
    Ok(indexes)
}

/// The packages of a `primary.xml`.
pub(super) fn packages(bytes: &mut impl BufRead) -> Result<Listed, Unreadable> {
    let mut listed = Listed::default();
    let is_hash = |element: &BytesStart<'_>| {
        element.local_name().as_ref() == b"checksum"
            && has(element, "pkgid", b"YES")
            && has(element, "type", b"sha256")
    };
    walk(bytes, is_hash, |hash| listed.add(hash, Vec::new()))?;
    Ok(listed)
}

/// Walks over a document. `is_hash` says of which elements the text is one, which `found` takes.
fn walk(
    bytes: impl BufRead,
    mut is_hash: impl FnMut(&BytesStart<'_>) -> bool,
    mut found: impl FnMut(Sha256) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut reader = Reader::from_reader(Bounded { bytes, left: 0 });
    reader.config_mut().expand_empty_elements = true;
    let (mut held, mut depth) = (Vec::new(), 0usize);
    // The text of an element that is a hash, while it is open.
    let mut text: Option<Vec<u8>> = None;
    loop {
        held.clear();
        reader.get_mut().left = MOST_EVENT;
        match reader.read_event_into(&mut held) {
            Ok(Event::Start(element)) => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return Err(Unreadable::TooLarge("elements within each other"));
                }
                text = is_hash(&element).then(Vec::new);
            }
            Ok(Event::Text(piece)) => {
                if let Some(text) = &mut text
                    && text.len() <= 128
                {
                    text.extend_from_slice(&piece);
                }
            }
            Ok(Event::End(_)) => {
                depth = depth.saturating_sub(1);
                if let Some(text) = text.take() {
                    let hash = sha256(text.trim_ascii()).ok_or(Unreadable::Damaged("a hash"))?;
                    found(hash)?;
                }
            }
            Ok(Event::Eof) if depth > 0 => {
                return Err(Unreadable::Damaged("a document that ends too soon"));
            }
            Ok(Event::Eof) => return Ok(()),
            Ok(
                Event::Empty(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_)
                | Event::GeneralRef(_),
            ) => {}
            Err(quick_xml::Error::Io(error)) => {
                return Err(io::Error::new(error.kind(), error.to_string()).into());
            }
            Err(_) => return Err(Unreadable::Damaged("a document that is no XML")),
        }
    }
}

/// True if an element has an attribute of this value.
fn has(element: &BytesStart<'_>, name: &str, value: &[u8]) -> bool {
    let found = element.try_get_attribute(name);
    found.is_ok_and(|found| found.is_some_and(|found| found.value.as_ref() == value))
}

/// Bytes of which only so many may be read until somebody allows more.
struct Bounded<B> {
    bytes: B,
    left: u64,
}

impl<B: BufRead> Read for Bounded<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let held = self.fill_buf()?;
        let length = held.len().min(buffer.len());
        buffer[..length].copy_from_slice(&held[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<B: BufRead> BufRead for Bounded<B> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let held = self.bytes.fill_buf()?;
        if self.left == 0 && !held.is_empty() {
            return Err(io::Error::other("a tag or a text that is too long"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        Ok(&held[..held.len().min(most)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        self.bytes.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn what_is_too_long_or_too_deep_is_an_error() {
        let long = format!("<a>{}</a>", "x".repeat(5 << 20));
        assert!(packages(&mut long.as_bytes()).is_err());
        let deep = "<a>".repeat(MOST_DEPTH + 1);
        assert!(matches!(
            packages(&mut deep.as_bytes()),
            Err(Unreadable::TooLarge(_))
        ));
        let all = BufReader::with_capacity(7, "<a><b x='1'/></a>".as_bytes());
        assert!(indexes(all).is_ok());
    }
}
