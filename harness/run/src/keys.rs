//! Whether a repository's key is what its recipe declares, before any sandbox gets it.
//!
//! What is judged, and by which rules, is [`assay_content::openpgp`]'s; nothing here fetches.

use assay_content::openpgp::{self, KeyCode, KeyFinding, KeySeverity};
use assay_wire::plan::ContentKind;

/// What became of verified bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// They are used; this is wrong with them all the same.
    Used(Vec<KeyFinding>),
    /// They are not used.
    Refused {
        /// Everything that is wrong.
        findings: Vec<KeyFinding>,
        /// The gravest of it in one line.
        message: String,
    },
}

/// Checks bytes as what they must be, at a time in seconds since 1970.
pub(crate) fn check(kind: &ContentKind, bytes: &[u8], now: u64) -> Checked {
    let fingerprints = match kind {
        ContentKind::File => return Checked::Used(Vec::new()),
        ContentKind::Key { fingerprints } => fingerprints,
    };
    let findings = match openpgp::read(bytes, now) {
        Ok(file) => openpgp::findings(&file, fingerprints, now),
        Err(error) => vec![KeyFinding {
            severity: KeySeverity::Error,
            code: KeyCode::NotAKey,
            fingerprint: None,
            message: error.to_string(),
        }],
    };
    match openpgp::refusal(&findings) {
        None => Checked::Used(findings),
        Some(message) => Checked::Refused { findings, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_225_600;

    fn fixture(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../content/fixtures/keys");
        std::fs::read(format!("{folder}/{name}")).expect("a fixture")
    }

    fn key(fingerprints: &[&str]) -> ContentKind {
        ContentKind::Key {
            fingerprints: fingerprints.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    fn refused(kind: &ContentKind, bytes: &[u8]) -> (Vec<KeyCode>, String) {
        match check(kind, bytes, NOW) {
            Checked::Refused { findings, message } => {
                (findings.iter().map(|one| one.code).collect(), message)
            }
            Checked::Used(findings) => panic!("used: {findings:?}"),
        }
    }

    #[test]
    fn bytes_that_must_be_nothing_else_are_not_looked_at() {
        let used = Checked::Used(Vec::new());
        assert_eq!(check(&ContentKind::File, b"anything", NOW), used);
        assert_eq!(check(&key(&[]), &fixture("good.gpg"), NOW), used);
    }

    #[test]
    fn a_right_hash_makes_no_key_of_other_bytes() {
        let (codes, message) = refused(&key(&[]), b"<html>");
        assert_eq!(codes, [KeyCode::NotAKey]);
        assert!(message.contains("[not-a-key]"), "{message}");
    }

    #[test]
    fn another_key_than_the_declared_one_is_refused_and_a_weak_one_is_told() {
        let other = "0123456789ABCDEF0123456789ABCDEF01234567";
        let (codes, message) = refused(&key(&[other]), &fixture("good.gpg"));
        assert!(
            codes.contains(&KeyCode::FingerprintAbsent) && codes.contains(&KeyCode::Undeclared)
        );
        assert!(message.contains(other), "{message}");
        let Checked::Used(findings) = check(&key(&[]), &fixture("sha1.asc"), NOW) else {
            panic!("a weak key is used");
        };
        assert_eq!(findings[0].code, KeyCode::WeakHash);
        assert_eq!(
            refused(&key(&[]), &fixture("expired.asc")).0,
            [KeyCode::Expired]
        );
    }
}
