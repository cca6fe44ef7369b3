//! What each code means, for `assay explain CODE`.

use super::{KeyCode, KeySeverity};

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code.
    pub code: KeyCode,
    /// How much it matters; for some, how much it does where no key of the file can sign any more.
    pub severity: KeySeverity,
    /// What is wrong, and why that matters; one paragraph.
    pub text: &'static str,
}

/// What a code means.
#[must_use]
pub fn explain(code: KeyCode) -> Explanation {
    use KeySeverity::{Error, Hint, Warning};
    let (severity, text) = match code {
        KeyCode::NotAKey => (
            Error,
            "The bytes of a `key_url` are no OpenPGP key, whatever their hash is. Often it is a page that tells \
             of an error, or a package that holds the key. `assay pin URL` says what they look like.",
        ),
        KeyCode::SecretKey => (
            Error,
            "The file holds a secret key. Whoever has it signs in its owner's name, so that nothing it signs \
             proves anything any more. Tell its owner, and use no such file.",
        ),
        KeyCode::Unreadable => (
            Error,
            "A part of the file cannot be read as OpenPGP: damage, a version nobody uses any more, or more than \
             is read. What is not understood could sign, and what a manager makes of it is not known.",
        ),
        KeyCode::FingerprintAbsent => (
            Error,
            "A fingerprint of `key_fingerprints` is neither that of a key nor of a subkey in the file. The key was \
             exchanged, or the fingerprint is another key's. `assay pin FILE-OR-URL` shows which are there; compare \
             with what the repository's owner publishes elsewhere.",
        ),
        KeyCode::Undeclared => (
            Error,
            "A key of the file can sign, and `key_fingerprints` does not name it. With fingerprints given nothing \
             else may sign: a primary key's stands for its subkeys, too, a subkey's for that subkey alone. Name it \
             as well if it belongs there.",
        ),
        KeyCode::Unbound => (
            Error,
            "No valid signature of the key's own binds it, so nobody says that it may be used, for what and for \
             how long. For a subkey that signs, the primary key must have signed it and it the primary key. It is \
             an error where no other key of the file can sign, else a warning, and of a subkey a hint.",
        ),
        KeyCode::Revoked => (
            Error,
            "The key's owner revoked it: managers refuse what it signs. It is an error where no other key of the \
             file can sign, else a warning, and of a subkey a hint.",
        ),
        KeyCode::Expired => (
            Error,
            "The key's time is over: managers refuse what it signs. Most often its owner has published the same \
             key with a later end; `assay pin` the file anew. It is an error where no other key of the file can \
             sign, else a warning, and of a subkey a hint.",
        ),
        KeyCode::CannotSign => (
            Error,
            "The key flags of the key and its subkeys do not let it sign, so no repository can be signed by it. \
             It is an error where no other key of the file can sign, and else a warning.",
        ),
        KeyCode::WeakHash => (
            Warning,
            "The signature that binds the key is over MD5, SHA-1 or RIPEMD-160, for which collisions can be made. \
             apt with sqv and rpm with Sequoia refuse such keys, gpgv takes them: the recipe works on some machines.",
        ),
        KeyCode::ShortRsa => (
            Warning,
            "RSA of fewer than 2,048 bits can be broken by those with enough machines. apt with sqv and rpm with \
             Sequoia refuse such keys.",
        ),
        KeyCode::Dsa => (
            Warning,
            "DSA must not be used for new signatures any more (RFC 9580, 9.1). apt with sqv and rpm with Sequoia \
             refuse such keys.",
        ),
        KeyCode::ExpiresSoon => (
            Hint,
            "The key ends within 30 days, and with it the recipe. Its owner will publish it with a later end, \
             whose bytes have another hash: `assay pin verify` tells when.",
        ),
    };
    Explanation {
        code,
        severity,
        text,
    }
}
