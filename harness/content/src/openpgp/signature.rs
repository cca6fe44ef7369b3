//! Signatures of data: which of the certificates at hand made one, and whether it is good.
//!
//! The rules, with their sources (sections of RFC 9580 where nothing else is named):
//! - a signature of data is of type 0x00 or 0x01 (5.2.1.1, 5.2.1.2), and made with a hash that nobody has
//!   broken (9.5);
//! - the key that made it may sign, is bound to its certificate and was never revoked, as
//!   [`super::certificate`] tells;
//! - it counts whether certificate and key lived when it was made, not whether they live now: packages stay
//!   signed when their key ends, and rpm takes them. What apt no longer takes is refused by apt;
//! - of a text in the cleartext framework (7) only that text counts: anything before or after it is an
//!   error, because readers of such files differ about it.

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Seek};
use std::sync::OnceLock;

use assay_wire::control::MAX_KEYRING;
use assay_wire::package::{KeyPlace, Signature as Checked};
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, VerifyingKey};

use super::certificate::{self, Bundle, created, hash_of};
use super::{Binding, Component, Key, MAX_KEYRING_BYTES, SelfHash, packets};

const _: () = assert!(MAX_KEYRING == MAX_KEYRING_BYTES as u64);

/// Most bytes of a file of signatures.
const MAX_SIGNATURE_BYTES: usize = 1 << 20;

/// Most bytes of a text with its signatures.
const MAX_CLEARTEXT_BYTES: usize = 32 << 20;

/// Most signatures of one thing that are looked at.
const MAX_SIGNATURES: usize = 32;

/// Certificates that signatures are checked with, each with where it is from. Of several that could have
/// made one, the first that did counts.
#[derive(Debug, Default)]
pub struct Certificates {
    held: Vec<Held>,
    left_out: BTreeSet<String>,
}

#[derive(Debug)]
struct Held {
    bundle: Bundle,
    place: KeyPlace,
    /// What follows from its packets, once somebody asked.
    key: OnceLock<Key>,
}

/// Signatures of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signatures(Vec<Signature>);

/// A text with its signatures, in the cleartext framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleartext {
    /// What is signed: lines that end with CR and LF, without white space before that.
    pub text: Vec<u8>,
    /// By whom.
    pub signatures: Signatures,
}

impl Certificates {
    /// Adds those of a file of keys. What cannot be read checks nothing.
    pub fn add(&mut self, file: &[u8], place: &KeyPlace) {
        if file.len() > MAX_KEYRING_BYTES {
            return;
        }
        let bundles = certificate::bundles(packets::split(file)).into_iter();
        self.held.extend(bundles.map(|bundle| Held {
            bundle,
            place: place.clone(),
            key: OnceLock::new(),
        }));
    }

    /// Leaves out every certificate of these fingerprints, in capital hex digits.
    pub fn leave_out(&mut self, fingerprints: impl IntoIterator<Item = String>) {
        self.left_out.extend(fingerprints);
    }

    /// Checks the signatures in a file beside data, armored or not, as [`Certificates::check`] does.
    pub fn check_file(&self, file: &[u8], data: &mut (impl Read + Seek), now: u64) -> Checked {
        let signatures = Signatures::read(file);
        if signatures.0.is_empty() {
            let message = "no signature is in its file".to_owned();
            return Checked::Bad { message };
        }
        self.check(&signatures, data, now)
    }

    /// Checks signatures of data, at a time in seconds since 1970. One good signature is enough; what is
    /// told otherwise is the gravest.
    pub fn check(
        &self,
        signatures: &Signatures,
        data: &mut (impl Read + Seek),
        now: u64,
    ) -> Checked {
        let looked_at = signatures.0.iter().take(MAX_SIGNATURES);
        let checked = looked_at.map(|signature| self.check_one(signature, data, now));
        checked.fold(Checked::None, better)
    }

    fn check_one(&self, signature: &Signature, data: &mut (impl Read + Seek), now: u64) -> Checked {
        let mut checked = Checked::UnknownKey {
            key: issuer(signature),
        };
        for held in &self.held {
            let Some(part) = held.part_that_made(signature) else {
                continue;
            };
            let key = held
                .key
                .get_or_init(|| certificate::judged(&held.bundle, now));
            let fingerprint = key.primary.fingerprint.clone();
            if self.left_out.contains(&fingerprint) {
                continue;
            }
            let verdict = refusal(signature, now)
                .or_else(|| refusal_of(key, part, signature))
                .map_or_else(|| held.verify(part, signature, data), Err);
            checked = better(
                checked,
                match verdict {
                    Ok(()) => Checked::Verified {
                        fingerprint,
                        key: held.place.clone(),
                    },
                    Err(message) => Checked::Bad { message },
                },
            );
            if checked.is_verified() {
                break;
            }
        }
        checked
    }
}

impl Held {
    /// Which of the certificate's keys a signature says that made it: 0 for the primary one.
    fn part_that_made(&self, signature: &Signature) -> Option<usize> {
        let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
        let made = |key: &dyn KeyDetails| {
            if prints.is_empty() {
                ids.contains(&&key.legacy_key_id())
            } else {
                prints.contains(&&key.fingerprint())
            }
        };
        if made(&self.bundle.primary) {
            return Some(0);
        }
        let mut subkeys = self.bundle.subkeys.iter();
        subkeys.position(|(key, _)| made(key)).map(|at| at + 1)
    }

    fn verify(
        &self,
        part: usize,
        signature: &Signature,
        data: &mut (impl Read + Seek),
    ) -> Result<(), String> {
        let subkey = part
            .checked_sub(1)
            .and_then(|at| self.bundle.subkeys.get(at));
        match subkey {
            None => verify(&self.bundle.primary, signature, data),
            Some((subkey, _)) => verify(subkey, signature, data),
        }
    }
}

fn verify(
    key: &impl VerifyingKey,
    signature: &Signature,
    data: &mut (impl Read + Seek),
) -> Result<(), String> {
    if let Err(error) = data.rewind() {
        return Err(format!("what it is of cannot be read: {error}"));
    }
    let verified = signature.verify(key, data);
    verified.map_err(|_| "it is not of these bytes".to_owned())
}

/// The better of two results: a good signature, else the graver fault.
#[must_use]
pub fn better(one: Checked, other: Checked) -> Checked {
    let rank = |checked: &Checked| match checked {
        Checked::Verified { .. } => 0,
        Checked::Bad { .. } => 1,
        Checked::UnknownKey { .. } => 2,
        Checked::None => 3,
    };
    if rank(&other) < rank(&one) {
        other
    } else {
        one
    }
}

/// What is wrong with a signature whoever made it.
fn refusal(signature: &Signature, now: u64) -> Option<String> {
    let is_of_data = matches!(
        signature.typ(),
        Some(SignatureType::Binary | SignatureType::Text)
    );
    if !is_of_data {
        return Some("it is no signature of data".to_owned());
    }
    if let SelfHash::Weak(hash) = hash_of(signature) {
        return Some(format!("it was made with {hash}"));
    }
    let made = created(signature);
    let lasts = signature.signature_expiration_time();
    let lasts = lasts.map_or(0, |lasts| u64::from(lasts.as_secs()));
    if made > now {
        Some("it is of a time to come".to_owned())
    } else if lasts > 0 && now >= made + lasts {
        Some("it has expired".to_owned())
    } else {
        None
    }
}

/// Why a certificate's key may not have made a signature, whatever its arithmetic says.
fn refusal_of(key: &Key, part: usize, signature: &Signature) -> Option<String> {
    let made = created(signature);
    let component = key.components().nth(part)?;
    for one in [&key.primary, component] {
        let Binding::Bound {
            expires, revoked, ..
        } = &one.binding
        else {
            return Some(format!("nothing binds the key {}", one.fingerprint));
        };
        if *revoked {
            return Some(format!("the key {} was revoked", one.fingerprint));
        }
        if made < one.created || expires.is_some_and(|expires| made >= expires) {
            return Some(format!("the key {} did not live then", one.fingerprint));
        }
    }
    may_sign(component)
}

fn may_sign(component: &Component) -> Option<String> {
    let print = &component.fingerprint;
    (!component.could_sign()).then(|| format!("the key {print} may not sign"))
}

/// Who made a signature, as far as it says: a fingerprint, else a key's id, in capital hex digits.
fn issuer(signature: &Signature) -> String {
    let print = signature.issuer_fingerprint();
    let print = print.first().map(|print| format!("{print:X}"));
    let id = signature.issuer_key_id();
    let id = id.first().map(|id| id.to_string().to_uppercase());
    print.or(id).unwrap_or_default()
}

impl Signatures {
    /// The signatures of a file, armored or not; none if there is none in it.
    fn read(file: &[u8]) -> Self {
        if file.len() > MAX_SIGNATURE_BYTES {
            return Self::default();
        }
        Self(packets::signatures(file))
    }
}

impl Cleartext {
    /// The data its signatures are of.
    #[must_use]
    pub fn data(&self) -> Cursor<&[u8]> {
        Cursor::new(&self.text)
    }
}

/// Reads a text with its signatures (RFC 9580, 7). `None` for anything else, and where something stands
/// before or after it.
#[must_use]
pub fn cleartext(file: &[u8]) -> Option<Cleartext> {
    const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
    const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
    const END: &[u8] = b"-----END PGP SIGNATURE-----";
    if file.len() > MAX_CLEARTEXT_BYTES {
        return None;
    }
    let mut rest = file;
    if next_line(&mut rest)?.trim_ascii_end() != BEGIN {
        return None;
    }
    // Headers end with an empty line, and there is one kind of them.
    loop {
        match next_line(&mut rest)?.trim_ascii_end() {
            b"" => break,
            header if header.starts_with(b"Hash: ") => {}
            _ => return None,
        }
    }
    let (mut text, mut is_first) = (Vec::with_capacity(rest.len()), true);
    let block = loop {
        let block = rest;
        let line = next_line(&mut rest)?;
        if line.trim_ascii_end() == SIGNATURE {
            break block;
        }
        let line = match line.strip_prefix(b"- ") {
            Some(escaped) => escaped,
            None if line.starts_with(b"-") => return None,
            None => line,
        };
        if !std::mem::take(&mut is_first) {
            text.extend_from_slice(b"\r\n");
        }
        let end = line.iter().rposition(|byte| !b" \t\r".contains(byte));
        text.extend_from_slice(&line[..end.map_or(0, |end| end + 1)]);
    };
    while next_line(&mut rest)?.trim_ascii_end() != END {}
    if !rest.trim_ascii().is_empty() {
        return None;
    }
    let signatures = Signatures::read(block);
    Some(Cleartext { text, signatures })
}

/// Cuts off the next line, without its end. `None` if there is none.
fn next_line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, after) = match end {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (*rest, &rest[rest.len()..]),
    };
    *rest = after;
    Some(line)
}

#[cfg(test)]
mod tests;
