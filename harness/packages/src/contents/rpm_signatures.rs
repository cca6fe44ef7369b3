//! The signatures that an RPM package carries itself, and what they are of. They are checked elsewhere:
//! nothing here knows a key.

use std::io::{BufRead, Read};

use sha2::{Digest as _, Sha256};

use super::rpm_header::{Header, Headers};
use crate::base64;
use crate::unreadable::Unreadable;

/// Most signatures of one package that are told.
const MOST_SIGNATURES: usize = 16;

/// Tags of rpmtag.h. Those of signatures: of DSA and RSA over the header (RPM 4), any number of any kind
/// over the header (RPM 6), and those over header and payload together (RPM 3).
mod tag {
    pub(super) const DSA_HEADER: u32 = 267;
    pub(super) const RSA_HEADER: u32 = 268;
    pub(super) const OPENPGP: u32 = 278;
    pub(super) const OVER_ALL: [u32; 2] = [1002, 1005];
    pub(super) const PAYLOAD_DIGEST: u32 = 5092;
    pub(super) const PAYLOAD_DIGEST_KIND: u32 = 5093;
}

/// `PGPHASHALGO_SHA256` of rpmpgp.h.
const SHA256: u64 = 8;

/// A package's own signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpmSignatures {
    /// The header, which they are of; the digest of the payload in it was compared.
    pub header: Vec<u8>,
    /// Each as OpenPGP packets.
    pub signatures: Vec<Vec<u8>>,
    /// True if there is one over header and payload together, as RPM 3 made them; RPM 6 takes none.
    pub has_old: bool,
}

/// Reads a package's own signatures, to its last byte.
///
/// # Errors
/// It is damaged, or its payload is not the one its header names.
pub fn rpm_signatures(bytes: impl BufRead) -> Result<RpmSignatures, Unreadable> {
    let Headers {
        signatures: header,
        main,
        payload,
    } = Headers::read(bytes)?;
    compare(&main, payload)?;
    let plain = [tag::DSA_HEADER, tag::RSA_HEADER];
    let mut signatures: Vec<Vec<u8>> = plain
        .into_iter()
        .filter_map(|tag| header.binary(tag).map(<[u8]>::to_vec))
        .collect();
    for text in header.texts(tag::OPENPGP) {
        let decoded = base64::decode(text);
        signatures.push(decoded.ok_or(Unreadable::Damaged("a signature"))?);
    }
    if signatures.len() > MOST_SIGNATURES {
        return Err(Unreadable::TooLarge("signatures"));
    }
    Ok(RpmSignatures {
        header: main.into_bytes(),
        signatures,
        has_old: tag::OVER_ALL.into_iter().any(|tag| header.has(tag)),
    })
}

/// Compares the payload with the digest the header has of it. Old packages have none: there the digests of
/// files in the header are all that is signed of it.
fn compare(header: &Header, mut payload: impl Read) -> Result<(), Unreadable> {
    let kind = header.numbers(tag::PAYLOAD_DIGEST_KIND, 4);
    let wanted = header.text(tag::PAYLOAD_DIGEST);
    let wanted = wanted.filter(|_| kind.first().is_none_or(|kind| *kind == SHA256));
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = payload.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
    }
    let found: String = hash
        .finalize()
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect();
    match wanted {
        Some(wanted) if !wanted.eq_ignore_ascii_case(&found) => Err(Unreadable::Damaged(
            "its payload is not the one its header names",
        )),
        Some(_) | None => Ok(()),
    }
}
