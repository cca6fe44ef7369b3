//! The two headers of an RPM package, and the values of their tags.
//!
//! <https://rpm-software-management.github.io/rpm/manual/format_header.md>. What the values mean is
//! [`super::rpm`]'s and [`super::rpm_signatures`]'s.

use std::io::{BufRead, Read};

use super::MOST_KEPT;
use crate::unreadable::Unreadable;

const LEAD: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const HEADER_MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];

/// Bytes of a header before its index: magic, number of entries, size of the values.
const INTRO: usize = 16;

/// Bytes of an entry of the index.
const ENTRY: usize = 16;

/// Most entries of a header (rpm's own `hdrchkTags`).
const MOST_TAGS: u32 = 0xffff;

/// The headers of a package, and its payload.
#[derive(Debug)]
pub(super) struct Headers<B> {
    /// Its signatures and digests.
    pub(super) signatures: Header,
    /// What is in it.
    pub(super) main: Header,
    /// The payload, still to be read.
    pub(super) payload: B,
}

impl<B: BufRead> Headers<B> {
    /// Reads a package up to its payload.
    pub(super) fn read(mut bytes: B) -> Result<Self, Unreadable> {
        let mut lead = [0; LEAD];
        bytes.read_exact(&mut lead)?;
        if !lead.starts_with(&LEAD_MAGIC) {
            return Err(Unreadable::Damaged("it does not begin as an RPM package"));
        }
        let signatures = Header::read(&mut bytes)?;
        // The signatures are padded to eight bytes, the header is not.
        let pad = (8 - signatures.bytes.len() % 8) % 8;
        bytes.read_exact(&mut [0; 8][..pad])?;
        Ok(Self {
            signatures,
            main: Header::read(&mut bytes)?,
            payload: bytes,
        })
    }
}

/// A header: an index of tags over a store of their values.
#[derive(Debug)]
pub(super) struct Header {
    /// Tag, type, offset, count.
    index: Vec<[u32; 4]>,
    /// All of it as it stands in the package.
    bytes: Vec<u8>,
    /// Where the values begin in that.
    store: usize,
}

impl Header {
    fn read(from: &mut impl Read) -> Result<Self, Unreadable> {
        let mut bytes = vec![0; INTRO];
        from.read_exact(&mut bytes)?;
        if !bytes.starts_with(&HEADER_MAGIC) {
            return Err(Unreadable::Damaged("a header"));
        }
        let (tags, size) = (number(&bytes[8..12]), number(&bytes[12..16]));
        if tags > MOST_TAGS || u64::from(size) > MOST_KEPT {
            return Err(Unreadable::TooLarge("a header"));
        }
        let table = tags as usize * ENTRY;
        let whole = INTRO + table + size as usize;
        from.take((table + size as usize) as u64)
            .read_to_end(&mut bytes)?;
        if bytes.len() != whole {
            return Err(Unreadable::Damaged("a header that ends too soon"));
        }
        let entries = bytes[INTRO..INTRO + table].chunks_exact(ENTRY);
        let index = entries.map(|entry| [0, 4, 8, 12].map(|at| number(&entry[at..at + 4])));
        Ok(Self {
            index: index.collect(),
            store: INTRO + table,
            bytes,
        })
    }

    /// All of it as it stands in the package: what is signed.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// True if there is such a tag.
    pub(super) fn has(&self, tag: u32) -> bool {
        self.index.iter().any(|entry| entry[0] == tag)
    }

    /// The bytes of a tag that holds bytes.
    pub(super) fn binary(&self, tag: u32) -> Option<&[u8]> {
        let (values, count) = self.values(tag)?;
        values.get(..count)
    }

    /// Where a tag's values begin, and how many there are.
    fn values(&self, tag: u32) -> Option<(&[u8], usize)> {
        let [_, _, offset, count] = self.index.iter().find(|entry| entry[0] == tag)?;
        let values = self.bytes[self.store..].get(usize::try_from(*offset).ok()?..)?;
        Some((values, usize::try_from(*count).ok()?))
    }

    pub(super) fn texts(&self, tag: u32) -> Vec<&[u8]> {
        let (mut rest, count) = self.values(tag).unwrap_or_default();
        let mut texts = Vec::new();
        while texts.len() < count {
            let Some(end) = rest.iter().position(|byte| *byte == 0) else {
                break;
            };
            texts.push(&rest[..end]);
            rest = &rest[end + 1..];
        }
        texts
    }

    pub(super) fn text(&self, tag: u32) -> Option<String> {
        let texts = self.texts(tag);
        texts
            .first()
            .map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// Numbers of so many bytes each, most significant first.
    pub(super) fn numbers(&self, tag: u32, width: usize) -> Vec<u64> {
        let (values, count) = self.values(tag).unwrap_or_default();
        let value = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        values.chunks_exact(width).take(count).map(value).collect()
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}
