//! What is wrong with a file of keys, and whether a sandbox gets it.
//!
//! An *error* is what no manager could use, or what a recipe did not ask for: the file is refused
//! before a sandbox starts. That an old key stands in a ring beside a good one is a warning: apt and
//! rpm pass it over. Where no key of the file can sign any more, it is the error that a manager would
//! meet later with worse words. Weakness is a warning, for what a manager makes of it is its own
//! policy (apt's sqv and rpm's Sequoia refuse SHA-1, DSA and short RSA; gpgv does not).
//!
//! With `key_fingerprints`, all of them must be in the file, and nothing else may sign: a primary
//! key's fingerprint stands for its subkeys, too, and a subkey's for that subkey alone – what
//! sources.list(5) means by `Signed-By` without and with `!`.

use super::{Algorithm, Binding, Component, KeyCode, KeyFile, KeyFinding, KeySeverity, SelfHash};

/// A key that ends within this time gets a hint: 30 days, in seconds.
const SOON: u64 = 30 * 24 * 3600;

/// Most findings of one file; the gravest are kept.
const MAX_FINDINGS: usize = 100;

/// Everything that is wrong with a file of keys at a time (seconds since 1970), the gravest first.
/// `declared` are the fingerprints that a recipe names, in capital hex digits; none means any key.
#[must_use]
pub fn findings(file: &KeyFile, declared: &[String], now: u64) -> Vec<KeyFinding> {
    let mut found = Vec::new();
    if file.has_secret {
        let message = "the file holds a secret key, which nobody but its owner may have".to_owned();
        found.push(whole(KeyCode::SecretKey, message));
    }
    for what in &file.unreadable {
        let message = format!("{what} cannot be read");
        found.push(whole(KeyCode::Unreadable, message));
    }
    undeclared(file, declared, &mut found);
    let any_signs = file
        .keys
        .iter()
        .any(|key| can_be_used(&key.primary, now) && key.components().any(|one| one.signs_at(now)));
    // With no key left that signs, what would be passed over is what is wrong.
    let gravity = if any_signs {
        KeySeverity::Warning
    } else {
        KeySeverity::Error
    };
    for key in &file.keys {
        state(&key.primary, gravity, now, &mut found);
        if !key.components().any(Component::could_sign) {
            let message = "it may not sign, by its key flags".to_owned();
            found.push(about(&key.primary, gravity, KeyCode::CannotSign, message));
        }
        weakness(&key.primary, &mut found);
        for subkey in key.subkeys.iter().filter(|subkey| subkey.could_sign()) {
            // That an old signing key was retired beside its primary is how keys are kept.
            state(subkey, KeySeverity::Hint, now, &mut found);
            weakness(subkey, &mut found);
        }
    }
    if !any_signs && !found.iter().any(|one| one.severity == KeySeverity::Error) {
        let message = "no key of the file can sign now".to_owned();
        found.push(whole(KeyCode::CannotSign, message));
    }
    found.sort();
    found.dedup();
    found.truncate(MAX_FINDINGS);
    found
}

/// Why a file is not used, in one line; `None` if it may be.
#[must_use]
pub fn refusal(findings: &[KeyFinding]) -> Option<String> {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == KeySeverity::Error);
    let words: Vec<String> = errors
        .take(3)
        .map(|finding| {
            let about = finding.fingerprint.as_ref();
            let about = about.map_or(String::new(), |print| format!(" ({print})"));
            format!("{}{about} [{}]", finding.message, finding.code)
        })
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// `key_fingerprints` must all be in the file, and nothing else may sign.
fn undeclared(file: &KeyFile, declared: &[String], found: &mut Vec<KeyFinding>) {
    if declared.is_empty() {
        return;
    }
    let has = |fingerprint: &String| declared.contains(fingerprint);
    for fingerprint in declared {
        let mut components = file.keys.iter().flat_map(super::Key::components);
        if !components.any(|one| one.fingerprint == *fingerprint) {
            found.push(KeyFinding {
                severity: KeySeverity::Error,
                code: KeyCode::FingerprintAbsent,
                fingerprint: Some(fingerprint.clone()),
                message: "it is declared and not in the file".to_owned(),
            });
        }
    }
    for key in &file.keys {
        if has(&key.primary.fingerprint) {
            continue;
        }
        for one in key.components() {
            if one.could_sign() && !has(&one.fingerprint) {
                let message = "it could sign and is not declared".to_owned();
                found.push(about(one, KeySeverity::Error, KeyCode::Undeclared, message));
            }
        }
    }
}

/// Whether a primary key holds its subkeys: it is bound, not revoked and not over.
fn can_be_used(primary: &Component, now: u64) -> bool {
    match &primary.binding {
        Binding::Unbound => false,
        Binding::Bound {
            expires, revoked, ..
        } => !revoked && expires.is_none_or(|expires| now < expires),
    }
}

fn state(one: &Component, gravity: KeySeverity, now: u64, found: &mut Vec<KeyFinding>) {
    let (expires, revoked) = match &one.binding {
        Binding::Unbound => {
            let message = "no valid signature of its own binds it".to_owned();
            found.push(about(one, gravity, KeyCode::Unbound, message));
            return;
        }
        Binding::Bound {
            expires, revoked, ..
        } => (*expires, *revoked),
    };
    if revoked {
        let message = "its owner revoked it".to_owned();
        found.push(about(one, gravity, KeyCode::Revoked, message));
    }
    let Some(expires) = expires else {
        return;
    };
    if expires <= now {
        let days = (now - expires) / 86_400;
        let message = format!("it expired {}", days_ago(days));
        found.push(about(one, gravity, KeyCode::Expired, message));
    } else if expires - now <= SOON && !revoked {
        let days = (expires - now) / 86_400;
        let message = format!("it expires in {days} days");
        let hint = KeySeverity::Hint;
        found.push(about(one, hint, KeyCode::ExpiresSoon, message));
    }
}

fn days_ago(days: u64) -> String {
    match days {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    }
}

fn weakness(one: &Component, found: &mut Vec<KeyFinding>) {
    let warning = KeySeverity::Warning;
    match one.algorithm {
        Algorithm::Rsa(bits) if bits < 2048 => {
            let message = format!("RSA of {bits} bits is too short, 2048 is the least");
            found.push(about(one, warning, KeyCode::ShortRsa, message));
        }
        Algorithm::Dsa(_) => {
            let message = "DSA is no longer used".to_owned();
            found.push(about(one, warning, KeyCode::Dsa, message));
        }
        Algorithm::Rsa(_)
        | Algorithm::Elgamal(_)
        | Algorithm::EdDsa(_)
        | Algorithm::Ecdsa(_)
        | Algorithm::Ecdh(_)
        | Algorithm::Unknown(_) => {}
    }
    if let Binding::Bound {
        hash: SelfHash::Weak(name),
        ..
    } = one.binding
    {
        let message = format!("it is bound by a signature over {name}, which is broken");
        found.push(about(one, warning, KeyCode::WeakHash, message));
    }
}

fn whole(code: KeyCode, message: String) -> KeyFinding {
    KeyFinding {
        severity: KeySeverity::Error,
        code,
        fingerprint: None,
        message,
    }
}

fn about(one: &Component, severity: KeySeverity, code: KeyCode, message: String) -> KeyFinding {
    KeyFinding {
        severity,
        code,
        fingerprint: Some(one.fingerprint.clone()),
        message,
    }
}
