//! Files of OpenPGP keys: what is in them, and what is wrong with it; and signatures, which are checked
//! with them. Pure: bytes and a time in.
//!
//! [`read`] gives facts, [`findings`] judges them against the fingerprints a recipe declares.
//! [`Certificates`] checks whether one of them signed something. The
//! packets and the arithmetic are rPGP's; it has no policy of its own, so which signature counts,
//! expiry, revocation and what a key may be used for is decided in `certificate`, where each rule
//! names its source. Nothing here trusts anybody: a third party's certification is passed over.
//!
//! No bytes make anything here panic, and none makes it long: see [`MAX_FILE_BYTES`] and the limits
//! beside it. Texts that came out of a file ([`UserId::text`]) are cleaned when they are read.

mod certificate;
mod explain;
mod findings;
mod packets;
mod signature;

pub use self::explain::{Explanation, explain};
pub use self::findings::{findings, refusal};
pub use self::signature::{Certificates, Cleartext, Signatures, better, cleartext};
pub use assay_wire::key::{KeyCode, KeyFinding, KeySeverity};

/// Most bytes of a file. Debian's ring of everything it ever removed has 72,000.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Most bytes of a file of keys that signatures are checked with: an image's own keyring may hold those of
/// a whole distribution's developers.
pub const MAX_KEYRING_BYTES: usize = 4 << 20;

/// Most packets of a file; what follows is not read, and that is an error finding.
pub const MAX_PACKETS: usize = 20_000;

/// Most keys of a file, subkeys counted.
pub const MAX_KEYS: usize = 1_000;

/// Most user ids of one key.
pub const MAX_USER_IDS: usize = 200;

/// Most signatures that are verified in one file; one takes up to some milliseconds.
pub const MAX_VERIFICATIONS: usize = 2_000;

/// A file of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// How it is written.
    pub form: Form,
    /// Its keys in the order of the file.
    pub keys: Vec<Key>,
    /// True if a secret key is among them. Its public half is in `keys`.
    pub has_secret: bool,
    /// What could not be read, in words, in the order of the file; bounded.
    pub unreadable: Vec<String>,
}

/// How a file of keys is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In ASCII armor (RFC 9580, 6): what apt reads as `.asc` and rpm always.
    Armored,
    /// Packets without armor (RFC 9580, 4): what apt reads as `.gpg`.
    Binary,
}

impl Form {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Armored => "armored",
            Self::Binary => "binary",
        }
    }
}

/// A primary key with its subkeys and user ids: a transferable public key (RFC 9580, 10.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The primary key.
    pub primary: Component,
    /// Its subkeys in the order of the file.
    pub subkeys: Vec<Component>,
    /// Its user ids in the order of the file.
    pub user_ids: Vec<UserId>,
}

impl Key {
    /// The primary key and its subkeys.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        std::iter::once(&self.primary).chain(&self.subkeys)
    }
}

impl Key {
    /// When the last of its parts that may sign ends, in seconds since 1970. The outer `None`: none
    /// may; the inner one: never.
    #[must_use]
    pub fn signs_until(&self) -> Option<Option<u64>> {
        let ends = self.components().filter_map(|part| match &part.binding {
            Binding::Bound {
                expires,
                revoked: false,
                usage,
                ..
            } if usage.sign => Some(*expires),
            Binding::Bound { .. } | Binding::Unbound => None,
        });
        // `None` is never, and never is later than any time.
        ends.max_by_key(|end| end.unwrap_or(u64::MAX))
    }
}

/// One key of its own algorithm: a primary key or a subkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The fingerprint: 40 capital hex digits for version 4, 64 for version 6 (RFC 9580, 5.5.4).
    pub fingerprint: String,
    /// The algorithm with its size or curve, such as `RSA 4096` and `Ed25519`.
    pub algorithm: Algorithm,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// What binds it: its self-signature, or the primary key's binding.
    pub binding: Binding,
}

/// Whether a key is bound by a signature that verifies, and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// Nothing in the file binds it: nobody says that it may be used, for what, or for how long.
    Unbound,
    /// A signature binds it.
    Bound {
        /// When it ends, in seconds since 1970; `None` for never.
        expires: Option<u64>,
        /// True if its owner revoked it.
        revoked: bool,
        /// What it may be used for.
        usage: Usage,
        /// The hash of that signature.
        hash: SelfHash,
    },
}

/// What a key may be used for (RFC 9580, 5.2.3.29), as far as its algorithm can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// It certifies other keys.
    pub certify: bool,
    /// It signs data.
    pub sign: bool,
    /// It encrypts.
    pub encrypt: bool,
    /// It authenticates.
    pub authenticate: bool,
}

/// The hash of a self-signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfHash {
    /// One nobody has broken; its name.
    Strong(&'static str),
    /// MD5, SHA-1 or RIPEMD-160 (RFC 9580, 9.5); its name.
    Weak(&'static str),
}

/// An algorithm with its size or curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, with the bits of its modulus.
    Rsa(u16),
    /// DSA, with the bits of its prime.
    Dsa(u16),
    /// Elgamal, with the bits of its prime; it encrypts only.
    Elgamal(u16),
    /// EdDSA, `Ed25519` or `Ed448`.
    EdDsa(&'static str),
    /// ECDSA, with its curve.
    Ecdsa(String),
    /// What only encrypts by a curve: ECDH, X25519, X448.
    Ecdh(String),
    /// One that rPGP does not know, by its number (RFC 9580, 9.1).
    Unknown(u8),
}

impl Algorithm {
    /// True if signatures can be made by it. One nobody here knows might.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        match self {
            Self::Rsa(_) | Self::Dsa(_) | Self::EdDsa(_) | Self::Ecdsa(_) | Self::Unknown(_) => {
                true
            }
            Self::Elgamal(_) | Self::Ecdh(_) => false,
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Dsa(bits) => write!(f, "DSA {bits}"),
            Self::Elgamal(bits) => write!(f, "Elgamal {bits}"),
            Self::EdDsa(name) => f.write_str(name),
            Self::Ecdsa(curve) => write!(f, "ECDSA {curve}"),
            Self::Ecdh(curve) => write!(f, "ECDH {curve}"),
            Self::Unknown(number) => write!(f, "algorithm {number}"),
        }
    }
}

impl Component {
    /// True if something made by it could be accepted: it is bound and may sign, or nothing binds it
    /// and its algorithm could. Expiry and revocation do not count here: not every manager asks.
    #[must_use]
    pub fn could_sign(&self) -> bool {
        match &self.binding {
            Binding::Bound { usage, .. } => usage.sign,
            Binding::Unbound => self.algorithm.can_sign(),
        }
    }

    /// True if it may sign at this time.
    #[must_use]
    pub fn signs_at(&self, now: u64) -> bool {
        match &self.binding {
            Binding::Bound {
                expires,
                revoked,
                usage,
                ..
            } => usage.sign && !revoked && expires.is_none_or(|expires| now < expires),
            Binding::Unbound => false,
        }
    }
}

/// A user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserId {
    /// Its text, at most 200 characters; what cannot be shown safely is escaped.
    pub text: String,
    /// Whether the key's owner stands to it.
    pub state: UserIdState,
}

/// Whether the key's owner stands to a user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserIdState {
    /// A self-signature certifies it.
    Certified,
    /// It was certified, and that was revoked.
    Revoked,
    /// No self-signature certifies it.
    Uncertified,
}

/// The bytes are no file of OpenPGP keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKeys {
    /// The file is larger than one is read.
    #[error("a file of keys has at most {MAX_FILE_BYTES} bytes, and this one {0}")]
    TooLarge(u64),
    /// No key packet is in it.
    #[error("there is no OpenPGP key in it: {0}")]
    None(String),
}

/// Reads a file of keys. `now`, in seconds since 1970, decides which signatures are of the future or
/// have expired themselves; whether a key has expired is [`findings`]' to say.
///
/// Armored blocks may stand in any other text; without armor every byte must belong to a packet.
///
/// # Errors
/// When there is no key at all in the bytes, or there are too many bytes.
pub fn read(bytes: &[u8], now: u64) -> Result<KeyFile, NotKeys> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(NotKeys::TooLarge(bytes.len() as u64));
    }
    let split = packets::split(bytes);
    let form = split.form;
    let read = certificate::assemble(split, now);
    if read.keys.is_empty() && !read.has_key_packets {
        let why = read.unreadable.first().cloned();
        return Err(NotKeys::None(why.unwrap_or_else(|| match form {
            Form::Armored => "its armor holds something else".to_owned(),
            Form::Binary => "it begins neither with armor nor with a packet".to_owned(),
        })));
    }
    Ok(KeyFile {
        form,
        keys: read.keys,
        has_secret: read.has_secret,
        unreadable: read.unreadable,
    })
}

/// Text of a file as it may be shown: at most 200 characters, with what is not visible escaped.
fn clean(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MOST)]);
    let mut clean = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MOST {
            clean.push('…');
            break;
        }
        if c == '\'' || c == '"' {
            clean.push(c);
        } else {
            clean.extend(c.escape_debug());
        }
    }
    clean
}

#[cfg(test)]
mod tests;
