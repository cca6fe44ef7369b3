//! What can be wrong with a file of OpenPGP keys, in words that journals, reports and `assay explain`
//! share. Nothing is judged here: `content::openpgp` decides what holds, and names its sources.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! key_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)+) => {
        /// What is wrong with a key's file, in one stable word. A code is never given another meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum KeyCode {
            $($(#[$doc])* #[serde(rename = $name)] $variant),+
        }

        impl KeyCode {
            /// Every code, in the order of the list below.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

key_codes! {
    /// The bytes are no OpenPGP key.
    NotAKey = "not-a-key";
    /// The file holds a secret key.
    SecretKey = "key-secret";
    /// A key packet, or what stands between packets, cannot be read.
    Unreadable = "key-unreadable";
    /// A declared fingerprint is not in the file.
    FingerprintAbsent = "key-fingerprint-absent";
    /// A key of the file can sign and is not declared.
    Undeclared = "key-undeclared";
    /// A key without a valid self-signature.
    Unbound = "key-unbound";
    /// A key that its owner revoked.
    Revoked = "key-revoked";
    /// A key whose time is over.
    Expired = "key-expired";
    /// A key that may not sign.
    CannotSign = "key-cannot-sign";
    /// A self-signature by a hash that is broken.
    WeakHash = "key-weak-hash";
    /// An RSA key of fewer than 2,048 bits.
    ShortRsa = "key-short-rsa";
    /// A DSA key.
    Dsa = "key-dsa";
    /// A key whose time is over soon.
    ExpiresSoon = "key-expires-soon";
}

impl fmt::Display for KeyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How much a finding matters, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeySeverity {
    /// The file is not used: no sandbox gets it.
    Error,
    /// It is used; a manager may refuse it, now or soon.
    Warning,
    /// It is used, and nothing is wrong yet.
    Hint,
}

impl KeySeverity {
    /// The word as shown and written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

/// One thing that is wrong with a key's file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyFinding {
    /// How much it matters.
    pub severity: KeySeverity,
    /// What it is.
    pub code: KeyCode,
    /// The fingerprint of the key it is about, 40 or 64 capital hex digits; `None` for the whole file.
    pub fingerprint: Option<String>,
    /// One line, a lower-case fragment without final period; nothing of the file stands in it raw.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_and_written_alike_everywhere() {
        let names: std::collections::BTreeSet<_> =
            KeyCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), KeyCode::ALL.len());
        for code in KeyCode::ALL {
            let word = code.as_str();
            assert!(
                word.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
            let json = serde_json::to_string(code).expect("a word");
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(
                serde_json::from_str::<KeyCode>(&json).expect("the same"),
                *code
            );
        }
    }
}
