//! Packets → keys: which signatures count, and what follows from them.
//!
//! The rules, with their sources (sections of RFC 9580 where nothing else is named):
//! - packets belong to the key, user id or subkey they follow (10.1);
//! - of several self-signatures on one thing the newest valid one counts (5.2.3.10). One of the
//!   future, or that has expired itself, is not valid (5.2.3.11, 5.2.3.18);
//! - what a primary key may do and how long it lives is said by its direct-key signature, else by the
//!   certification of its primary user id (5.2.3.10; a version 6 key has the former alone, 10.1.1).
//!   Where the direct-key signature is silent, the user id's is asked, as GnuPG does;
//! - expiry counts from the key's own creation, and 0 is never (5.2.3.13);
//! - without key flags an algorithm may do all it can (5.2.3.29 leaves it open; GnuPG does so);
//! - a subkey that signs must sign its primary key in turn, by a 0x19 embedded in its binding
//!   (5.2.1.9 and 10.1.5): without it, somebody else's signing key could be claimed;
//! - a revocation of a key or subkey counts whatever its reason and date (5.2.1.11, 5.2.1.12); that of
//!   a user id until a newer certification brings it back (5.2.1.13). A revocation by a
//!   designated revoker (5.2.3.23) cannot be verified without that one's key and is passed over.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PublicKey, PublicSubkey, Signature, SignatureType};
use pgp::types::{KeyDetails, KeyVersion, PublicParams, Tag};

use super::packets::{MAX_COMPLAINTS, Piece, Split};
use super::{
    Algorithm, Binding, Component, Key, MAX_KEYS, MAX_USER_IDS, MAX_VERIFICATIONS, SelfHash, Usage,
    UserId, UserIdState, clean,
};

/// What became of a file's packets.
pub(super) struct Assembled {
    pub(super) keys: Vec<Key>,
    pub(super) has_secret: bool,
    /// True if there was a key packet, perhaps one that cannot be read.
    pub(super) has_key_packets: bool,
    pub(super) unreadable: Vec<String>,
}

/// A primary key with the packets that follow it.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) primary: PublicKey,
    signatures: Vec<Signature>,
    users: Vec<(UserPacket, Vec<Signature>)>,
    pub(super) subkeys: Vec<(PublicSubkey, Vec<Signature>)>,
}

/// A user id, or a user attribute, which is never shown.
#[derive(Debug)]
enum UserPacket {
    Id(pgp::packet::UserId),
    Attribute,
}

/// The keys of a file with their packets, none of which is verified yet.
pub(super) fn bundles(split: Split) -> Vec<Bundle> {
    Gathered::of(split).bundles
}

/// What follows from the packets of one key.
pub(super) fn judged(bundle: &Bundle, now: u64) -> Key {
    let left = MAX_VERIFICATIONS;
    Judge { now, left }.key(bundle)
}

/// Puts packets together to keys.
pub(super) fn assemble(split: Split, now: u64) -> Assembled {
    let mut gathered = Gathered::of(split);
    let mut judge = Judge {
        now,
        left: MAX_VERIFICATIONS,
    };
    let keys = gathered.bundles.iter().map(|one| judge.key(one)).collect();
    if judge.left == 0 {
        gathered.complain(format!(
            "more than {MAX_VERIFICATIONS} signatures, of which the rest are not verified"
        ));
    }
    Assembled {
        keys,
        has_secret: gathered.has_secret,
        has_key_packets: gathered.has_key_packets,
        unreadable: gathered.unreadable,
    }
}

#[derive(Default)]
struct Gathered {
    bundles: Vec<Bundle>,
    keys: usize,
    /// True after a key that cannot be read: what follows belongs to it, and to no other.
    orphaned: bool,
    has_secret: bool,
    has_key_packets: bool,
    unreadable: Vec<String>,
}

impl Gathered {
    fn of(split: Split) -> Self {
        let mut gathered = Self::default();
        let packets = split.packets.into_iter();
        packets.for_each(|piece| gathered.take(piece));
        gathered
    }

    fn complain(&mut self, what: String) {
        if self.unreadable.len() < MAX_COMPLAINTS {
            self.unreadable.push(what);
        }
    }

    fn take(&mut self, piece: Piece) {
        let packet = match piece {
            Piece::Packet(packet) => *packet,
            Piece::UnreadableKey(what) => {
                self.has_key_packets = true;
                self.orphaned = true;
                self.complain(what);
                return;
            }
            Piece::Garbage(what) => {
                self.orphaned = true;
                self.complain(what);
                return;
            }
        };
        match packet {
            Packet::PublicKey(key) => self.primary(key),
            Packet::SecretKey(key) => {
                self.has_secret = true;
                self.primary(key.public_key().clone());
            }
            Packet::PublicSubkey(key) => self.subkey(key),
            Packet::SecretSubkey(key) => {
                self.has_secret = true;
                self.subkey(key.public_key().clone());
            }
            Packet::UserId(id) => self.user(UserPacket::Id(id)),
            Packet::UserAttribute(_) => self.user(UserPacket::Attribute),
            Packet::Signature(signature) if !self.orphaned => {
                if let Some(bundle) = self.bundles.last_mut() {
                    bundle.sign(signature);
                }
            }
            // `packets` gives none of the others, and a signature of nothing says nothing.
            Packet::Signature(_)
            | Packet::CompressedData(_)
            | Packet::LiteralData(_)
            | Packet::Marker(_)
            | Packet::ModDetectionCode(_)
            | Packet::OnePassSignature(_)
            | Packet::PublicKeyEncryptedSessionKey(_)
            | Packet::SymEncryptedData(_)
            | Packet::SymEncryptedProtectedData(_)
            | Packet::SymKeyEncryptedSessionKey(_)
            | Packet::Trust(_)
            | Packet::Padding(_)
            | Packet::GnupgAeadData(_) => {}
        }
    }

    fn primary(&mut self, primary: PublicKey) {
        self.has_key_packets = true;
        if !self.admit(primary.version(), "a key") {
            return;
        }
        self.orphaned = false;
        self.bundles.push(Bundle {
            primary,
            signatures: Vec::new(),
            users: Vec::new(),
            subkeys: Vec::new(),
        });
    }

    fn subkey(&mut self, subkey: PublicSubkey) {
        self.has_key_packets = true;
        if !self.admit(subkey.version(), "a subkey") {
            return;
        }
        match self.bundles.last_mut() {
            Some(bundle) if !self.orphaned || !bundle.subkeys.is_empty() => {
                self.orphaned = false;
                bundle.subkeys.push((subkey, Vec::new()));
            }
            Some(_) | None => {
                self.orphaned = true;
                self.complain("a subkey without its key".to_owned());
            }
        }
    }

    /// False for a key too many, or of a version that is no longer used: version 3 is broken
    /// (RFC 9580, 5.5.2.1), and version 5 never was in it.
    fn admit(&mut self, version: KeyVersion, what: &str) -> bool {
        let known = matches!(version, KeyVersion::V4 | KeyVersion::V6);
        self.keys += 1;
        if known && self.keys <= MAX_KEYS {
            return true;
        }
        self.orphaned = true;
        self.complain(if known {
            format!("more than {MAX_KEYS} keys")
        } else {
            format!("{what} of version {}", u8::from(version))
        });
        false
    }

    fn user(&mut self, user: UserPacket) {
        if self.orphaned {
            return;
        }
        let Some(bundle) = self.bundles.last_mut() else {
            return;
        };
        if bundle.users.len() < MAX_USER_IDS {
            bundle.users.push((user, Vec::new()));
        } else {
            self.orphaned = true;
            self.complain(format!("more than {MAX_USER_IDS} user ids of one key"));
        }
    }
}

impl Bundle {
    /// Gives a signature to what it follows.
    fn sign(&mut self, signature: Signature) {
        let list = if let Some((_, list)) = self.subkeys.last_mut() {
            list
        } else if let Some((_, list)) = self.users.last_mut() {
            list
        } else {
            &mut self.signatures
        };
        list.push(signature);
    }
}

/// Verifies signatures, so many and no more.
struct Judge {
    now: u64,
    left: usize,
}

impl Judge {
    fn key(&mut self, bundle: &Bundle) -> Key {
        let primary = &bundle.primary;
        let direct = self.newest(primary, &bundle.signatures, is_direct, |signature| {
            signature.verify_key(primary).is_ok()
        });
        let revocation = SignatureType::KeyRevocation;
        let revoked = self.revoked(primary, &bundle.signatures, revocation, |signature| {
            signature.verify_key(primary).is_ok()
        });
        let mut user_ids = Vec::new();
        let mut certifications = Vec::new();
        for (packet, signatures) in &bundle.users {
            let UserPacket::Id(id) = packet else {
                continue;
            };
            let (state, certification) = self.user_id(primary, id, signatures);
            let text = clean(id.id());
            user_ids.push(UserId { text, state });
            certifications.extend(certification);
        }
        // The flag outranks the date (RFC 9580, 5.2.3.27).
        certifications.sort_by_key(|signature| (signature.is_primary(), created(signature)));
        let by_user_id = certifications.last().copied();
        let sources: Vec<&Signature> = direct.into_iter().chain(by_user_id).collect();
        let binding = match sources.first() {
            None => Binding::Unbound,
            Some(first) => Binding::Bound {
                expires: expiry(primary, &sources),
                revoked,
                usage: usage(primary, &sources),
                hash: hash_of(first),
            },
        };
        let subkeys = bundle.subkeys.iter();
        let subkeys = subkeys.map(|(subkey, signatures)| self.subkey(primary, subkey, signatures));
        let subkeys = subkeys.collect();
        Key {
            primary: component(primary, binding),
            subkeys,
            user_ids,
        }
    }

    fn user_id<'s>(
        &mut self,
        primary: &PublicKey,
        id: &pgp::packet::UserId,
        signatures: &'s [Signature],
    ) -> (UserIdState, Option<&'s Signature>) {
        let verify = |signature: &Signature| {
            let verified = signature.verify_certification(primary, Tag::UserId, id);
            verified.is_ok()
        };
        let certified = self.newest(primary, signatures, is_certification, verify);
        let revoked = self.newest(
            primary,
            signatures,
            |typ| typ == SignatureType::CertRevocation,
            verify,
        );
        match (certified, revoked) {
            (None, _) => (UserIdState::Uncertified, None),
            (Some(certified), Some(revoked)) if created(revoked) >= created(certified) => {
                (UserIdState::Revoked, None)
            }
            (Some(certified), Some(_) | None) => (UserIdState::Certified, Some(certified)),
        }
    }

    fn subkey(
        &mut self,
        primary: &PublicKey,
        subkey: &PublicSubkey,
        signatures: &[Signature],
    ) -> Component {
        let verify =
            |signature: &Signature| signature.verify_subkey_binding(primary, subkey).is_ok();
        let is_binding = |typ| typ == SignatureType::SubkeyBinding;
        let binding = self.newest(primary, signatures, is_binding, verify);
        let revocation = SignatureType::SubkeyRevocation;
        let revoked = self.revoked(primary, signatures, revocation, verify);
        let binding = match binding {
            None => Binding::Unbound,
            Some(binding) => {
                let mut usage = usage(subkey, &[binding]);
                if usage.sign || usage.certify {
                    usage.sign = usage.sign && self.signs_back(primary, subkey, binding);
                    // Certifying is the primary key's alone.
                    usage.certify = false;
                }
                Binding::Bound {
                    expires: expiry(subkey, &[binding]),
                    revoked,
                    usage,
                    hash: hash_of(binding),
                }
            }
        };
        component(subkey, binding)
    }

    /// Whether a signing subkey claims its primary key.
    fn signs_back(
        &mut self,
        primary: &PublicKey,
        subkey: &PublicSubkey,
        binding: &Signature,
    ) -> bool {
        let Some(back) = binding.embedded_signature() else {
            return false;
        };
        self.spend() && back.verify_primary_key_binding(subkey, primary).is_ok()
    }

    /// The newest signature of these types by the key itself that is valid now and verifies.
    fn newest<'s>(
        &mut self,
        primary: &PublicKey,
        signatures: &'s [Signature],
        wanted: impl Fn(SignatureType) -> bool,
        verify: impl Fn(&Signature) -> bool,
    ) -> Option<&'s Signature> {
        let mut candidates: Vec<&Signature> = signatures
            .iter()
            .filter(|signature| signature.typ().is_some_and(&wanted))
            .filter(|signature| is_by(signature, primary) && self.in_time(signature))
            .collect();
        // The last in the file wins among equals, as with GnuPG.
        candidates.sort_by_key(|signature| created(signature));
        candidates
            .into_iter()
            .rev()
            .find(|signature| self.spend() && verify(signature))
    }

    /// Whether the key itself revoked it, whenever that was.
    fn revoked(
        &mut self,
        primary: &PublicKey,
        signatures: &[Signature],
        revocation: SignatureType,
        verify: impl Fn(&Signature) -> bool,
    ) -> bool {
        signatures.iter().any(|signature| {
            signature.typ() == Some(revocation)
                && is_by(signature, primary)
                && self.spend()
                && verify(signature)
        })
    }

    fn in_time(&self, signature: &Signature) -> bool {
        let made = created(signature);
        let lasts = signature.signature_expiration_time();
        let lasts = lasts.map_or(0, |lasts| u64::from(lasts.as_secs()));
        made <= self.now && (lasts == 0 || self.now < made + lasts)
    }

    fn spend(&mut self) -> bool {
        let can = self.left > 0;
        self.left = self.left.saturating_sub(1);
        can
    }
}

fn is_direct(typ: SignatureType) -> bool {
    typ == SignatureType::Key
}

fn is_certification(typ: SignatureType) -> bool {
    matches!(
        typ,
        SignatureType::CertGeneric
            | SignatureType::CertPersona
            | SignatureType::CertCasual
            | SignatureType::CertPositive
    )
}

/// Whether a signature says that it is this key's. One that names nobody is tried.
fn is_by(signature: &Signature, key: &PublicKey) -> bool {
    let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    (ids.is_empty() && fingerprints.is_empty())
        || ids.contains(&&key.legacy_key_id())
        || fingerprints.contains(&&key.fingerprint())
}

pub(super) fn created(signature: &Signature) -> u64 {
    signature
        .created()
        .map_or(0, |created| u64::from(created.as_secs()))
}

/// When a key ends, by the first of these signatures that says anything.
fn expiry(key: &impl KeyDetails, sources: &[&Signature]) -> Option<u64> {
    let lasts = sources
        .iter()
        .find_map(|signature| signature.key_expiration_time())?;
    let lasts = u64::from(lasts.as_secs());
    (lasts > 0).then(|| u64::from(key.created_at().as_secs()) + lasts)
}

/// What a key may be used for, by the first of these signatures that says anything.
fn usage(key: &impl KeyDetails, sources: &[&Signature]) -> Usage {
    let algorithm = algorithm(key);
    let (signs, encrypts) = match &algorithm {
        Algorithm::Rsa(_) => (true, true),
        Algorithm::Dsa(_) | Algorithm::EdDsa(_) | Algorithm::Ecdsa(_) | Algorithm::Unknown(_) => {
            (true, false)
        }
        Algorithm::Elgamal(_) | Algorithm::Ecdh(_) => (false, true),
    };
    let flags = sources
        .iter()
        .find_map(|signature| declared_flags(signature));
    match flags {
        None => Usage {
            certify: signs,
            sign: signs,
            encrypt: encrypts,
            authenticate: signs,
        },
        Some(flags) => Usage {
            certify: signs && flags.certify(),
            sign: signs && flags.sign(),
            encrypt: encrypts && (flags.encrypt_comms() || flags.encrypt_storage()),
            authenticate: signs && flags.authentication(),
        },
    }
}

/// The key flags of a signature, if it has any: rPGP's own question cannot tell none from no flag.
fn declared_flags(signature: &Signature) -> Option<pgp::packet::KeyFlags> {
    let mut hashed = signature.config()?.hashed_subpackets();
    hashed.find_map(|packet| {
        if let pgp::packet::SubpacketData::KeyFlags(flags) = &packet.data {
            Some(flags.clone())
        } else {
            None
        }
    })
}

pub(super) fn hash_of(signature: &Signature) -> SelfHash {
    match signature.hash_alg() {
        Some(HashAlgorithm::Md5) => SelfHash::Weak("MD5"),
        Some(HashAlgorithm::Sha1) => SelfHash::Weak("SHA-1"),
        Some(HashAlgorithm::Ripemd160) => SelfHash::Weak("RIPEMD-160"),
        Some(HashAlgorithm::Sha256) => SelfHash::Strong("SHA-256"),
        Some(HashAlgorithm::Sha384) => SelfHash::Strong("SHA-384"),
        Some(HashAlgorithm::Sha512) => SelfHash::Strong("SHA-512"),
        Some(HashAlgorithm::Sha224) => SelfHash::Strong("SHA-224"),
        Some(HashAlgorithm::Sha3_256) => SelfHash::Strong("SHA3-256"),
        Some(HashAlgorithm::Sha3_512) => SelfHash::Strong("SHA3-512"),
        // rPGP verifies by no other hash, so that no signature of another gets here.
        Some(_) | None => SelfHash::Weak("an unknown hash"),
    }
}

fn component(key: &impl KeyDetails, binding: Binding) -> Component {
    Component {
        fingerprint: format!("{:X}", key.fingerprint()),
        algorithm: algorithm(key),
        created: u64::from(key.created_at().as_secs()),
        binding,
    }
}

fn algorithm(key: &impl KeyDetails) -> Algorithm {
    match key.public_params() {
        PublicParams::RSA(params) => Algorithm::Rsa(leading_bits(params)),
        PublicParams::DSA(params) => Algorithm::Dsa(leading_bits(params)),
        PublicParams::Elgamal(params) => Algorithm::Elgamal(leading_bits(params)),
        PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) => Algorithm::EdDsa("Ed25519"),
        PublicParams::Ed448(_) => Algorithm::EdDsa("Ed448"),
        PublicParams::ECDSA(params) => Algorithm::Ecdsa(clean(params.curve().name().as_bytes())),
        PublicParams::ECDH(params) => Algorithm::Ecdh(clean(params.curve().name().as_bytes())),
        PublicParams::X25519(_) => Algorithm::Ecdh("X25519".to_owned()),
        PublicParams::X448(_) => Algorithm::Ecdh("X448".to_owned()),
        PublicParams::Unknown { .. } => Algorithm::Unknown(u8::from(key.algorithm())),
    }
}

/// The bits of the first number of a key: an MPI begins with them (RFC 9580, 3.2).
fn leading_bits(params: &impl pgp::ser::Serialize) -> u16 {
    let mut bytes = Vec::new();
    match (params.to_writer(&mut bytes), bytes.as_slice()) {
        (Ok(()), [high, low, ..]) => u16::from_be_bytes([*high, *low]),
        (Ok(()) | Err(_), _) => 0,
    }
}
