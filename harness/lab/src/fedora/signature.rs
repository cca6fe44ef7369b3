//! Replaces the signature header of a built rpm by one with our signature.
//!
//! Pure. The `rpm` crate signs only with an OpenPGP library of its own choice, a
//! second one here; the header is small enough to write. Its layout is that of
//! rpm's `docs/manual/format_header.md` and `format_v4.md`; tags of `rpmtag.h`.

use crate::files::sha256;
use crate::sign::{Key, SignError};

const HEADER_MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
const LEAD: usize = 96;
const INDEX_ENTRY: usize = 16;

const TAG_REGION: u32 = 62;
const TAG_RSA: u32 = 268;
const TAG_SHA256: u32 = 273;
const TAG_SIZE: u32 = 1000;

const TYPE_INT32: u32 = 4;
const TYPE_STRING: u32 = 6;
const TYPE_BINARY: u32 = 7;

/// A signed package and where its main header lies.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The whole package.
    pub(crate) bytes: Vec<u8>,
    /// The first byte of the main header.
    pub(crate) header_start: usize,
    /// The first byte after it.
    pub(crate) header_end: usize,
}

/// Signs a package given as its three parts: lead, main header, payload. Without a key it only
/// gets its digest.
///
/// # Errors
/// `SignError` when signing fails.
pub(crate) fn sign(
    lead: &[u8],
    header: &[u8],
    payload: &[u8],
    key: Option<&Key>,
) -> Result<Signed, SignError> {
    debug_assert_eq!(lead.len(), LEAD);
    let signature = key.map(|key| key.detached(header)).transpose()?;
    let mut digest = sha256(header).into_bytes();
    digest.push(0);
    // The size of header and payload; it is not signed and only informs.
    let size = u32::try_from(header.len() + payload.len()).unwrap_or(u32::MAX);
    let signature = signature.map(|bytes| (TAG_RSA, TYPE_BINARY, count(&bytes), bytes));
    let mut entries: Vec<_> = signature.into_iter().collect();
    entries.push((TAG_SHA256, TYPE_STRING, 1, digest));
    entries.push((TAG_SIZE, TYPE_INT32, 1, size.to_be_bytes().to_vec()));
    let table = signature_header(&entries);
    let mut bytes = lead.to_vec();
    bytes.extend(table);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let header_start = bytes.len();
    bytes.extend_from_slice(header);
    let header_end = bytes.len();
    bytes.extend_from_slice(payload);
    Ok(Signed {
        bytes,
        header_start,
        header_end,
    })
}

/// A header with a region entry, its tags in ascending order.
fn signature_header(entries: &[(u32, u32, u32, Vec<u8>)]) -> Vec<u8> {
    let mut index = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    for (tag, kind, count, bytes) in entries {
        if *kind == TYPE_INT32 {
            data.resize(data.len().next_multiple_of(4), 0);
        }
        push(&mut index, [*tag, *kind, number(data.len()), *count]);
        data.extend_from_slice(bytes);
    }
    let tags = number(entries.len() + 1);
    let trailer = number(data.len());
    // The trailer's offset counts backwards over the index, as a negative number.
    let back = 0u32.wrapping_sub(tags * number(INDEX_ENTRY));
    push(
        &mut data,
        [TAG_REGION, TYPE_BINARY, back, number(INDEX_ENTRY)],
    );

    let mut header = HEADER_MAGIC.to_vec();
    header.extend_from_slice(&tags.to_be_bytes());
    header.extend_from_slice(&number(data.len()).to_be_bytes());
    push(
        &mut header,
        [TAG_REGION, TYPE_BINARY, trailer, number(INDEX_ENTRY)],
    );
    header.extend(index);
    header.extend(data);
    header
}

fn push(bytes: &mut Vec<u8>, words: [u32; 4]) {
    for word in words {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
}

fn count(bytes: &[u8]) -> u32 {
    number(bytes.len())
}

/// A signature header is a few hundred bytes: its numbers always fit.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_laid_out_as_rpm_reads_it() {
        let header = signature_header(&[
            (TAG_SHA256, TYPE_STRING, 1, b"ab\0".to_vec()),
            (TAG_SIZE, TYPE_INT32, 1, vec![0, 0, 0, 9]),
        ]);
        assert_eq!(&header[..8], &HEADER_MAGIC);
        assert_eq!(&header[8..16], &[0, 0, 0, 3, 0, 0, 0, 24]);
        assert_eq!(
            &header[16..32],
            &[0, 0, 0, 62, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 16]
        );
        assert_eq!(
            &header[48..64],
            &[0, 0, 3, 232, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1]
        );
        assert_eq!(
            &header[72..88],
            &[0, 0, 0, 62, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xd0, 0, 0, 0, 16]
        );
    }

    #[test]
    fn a_signed_package_is_aligned_and_read_back() {
        let key = crate::data::key(crate::data::RPM_KEY).expect("the committed key");
        let built = rpm::PackageBuilder::new("a", "1", "MIT", "noarch", "a")
            .build()
            .expect("builds");
        let mut bytes = Vec::new();
        built.write(&mut bytes).expect("writes to memory");
        let at = built.metadata.get_package_segment_offsets();
        let (header, payload) = (
            usize::try_from(at.header).expect("small"),
            usize::try_from(at.payload).expect("small"),
        );
        let signed = sign(
            &bytes[..LEAD],
            &bytes[header..payload],
            &bytes[payload..],
            Some(&key),
        )
        .expect("signs");
        assert_eq!(signed.header_start % 8, 0);
        let read = rpm::Package::parse(&mut signed.bytes.as_slice()).expect("a package");
        let offsets = read.metadata.get_package_segment_offsets();
        assert_eq!(
            (offsets.header, offsets.payload),
            (signed.header_start as u64, signed.header_end as u64)
        );
    }
}
