//! What files say: which of them are asked for, and what of them leaves the sandbox.
//!
//! Whatever is read here is told to people. So no password's hash and no private key leaves this
//! module, wherever it was copied to: [`told`] is the only way out. What a file means is not known
//! here.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};

use assay_wire::manifest::{Content, MAX_CONTENT, password};
use assay_wire::program::path_matches;

/// The files asked for.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Each with what it begins with before its first `*`, which few paths do.
    patterns: Vec<(usize, String)>,
    /// What marks of hashes are made with: it never leaves the session.
    seed: RandomState,
}

impl Contents {
    pub(crate) fn new(patterns: &[String]) -> Self {
        let patterns = patterns.iter().map(|pattern| {
            let plain = pattern.find('*').unwrap_or(pattern.len());
            (plain, pattern.clone())
        });
        Self {
            patterns: patterns.collect(),
            seed: RandomState::new(),
        }
    }

    /// True if this file is asked for.
    pub(super) fn wants(&self, path: &[u8]) -> bool {
        self.patterns.iter().any(|(plain, pattern)| {
            path.starts_with(&pattern.as_bytes()[..*plain]) && path_matches(pattern, path)
        })
    }

    /// What of a file's bytes leaves the sandbox; `None` for more bytes than are read.
    pub(super) fn told(&self, path: &[u8], bytes: Option<&[u8]>) -> Content {
        let Some(bytes) = bytes.filter(|bytes| bytes.len() as u64 <= MAX_CONTENT) else {
            return Content::Long;
        };
        if holds(bytes, b"PRIVATE KEY") {
            return Content::Secret;
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let of_accounts = [&b"shadow"[..], b"passwd", b"group"];
        let redacted;
        let bytes = if of_accounts.iter().any(|word| holds(name, word)) {
            redacted = self.without_passwords(bytes);
            &redacted
        } else {
            bytes
        };
        let plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
        match std::str::from_utf8(bytes) {
            Ok(text) if text.chars().all(plain) => Content::Text(self.without_secrets(text)),
            // Its words might be secrets that nobody finds in it: a file of text is told as such.
            Ok(_) | Err(_) if holds(bytes, b"$") && self.has_hashes(bytes) => Content::Secret,
            Ok(_) | Err(_) => Content::Hex(hex(bytes)),
        }
    }

    /// Lines of colons with what their second field says in place of it (shadow(5), gshadow(5); passwd(5)
    /// and group(5) may hold a hash as well).
    fn without_passwords(&self, bytes: &[u8]) -> Vec<u8> {
        let lines = bytes.split(|byte| *byte == b'\n').map(|line| {
            let mut fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            let word;
            if let Some(field) = fields.get_mut(1).filter(|field| **field != b"x") {
                word = self.password(field);
                *field = word.as_bytes();
            }
            fields.join(&b':')
        });
        lines.collect::<Vec<_>>().join(&b'\n')
    }

    fn password(&self, field: &[u8]) -> String {
        match field {
            [] => password::NONE.to_owned(),
            // A hash that is locked can be unlocked: which one it is counts.
            [b'!' | b'*', rest @ ..] if !rest.iter().any(u8::is_ascii_alphanumeric) => {
                password::LOCKED.to_owned()
            }
            [b'!' | b'*', ..] => format!("{}={}", password::LOCKED, self.mark(field)),
            _ => format!("{}={}", password::SET, self.mark(field)),
        }
    }

    /// The same for the same bytes, and of no use to whoever looks for them.
    fn mark(&self, secret: &[u8]) -> String {
        let mark = self.seed.hash_one(secret);
        format!("{:08x}", mark >> 32)
    }

    /// A text without hashes of crypt(5), passwords of URLs and values of password settings.
    fn without_secrets(&self, text: &str) -> String {
        let lines = text.split('\n').map(|line| {
            let line = self.without_setting(line);
            let line = without_userinfo(&line);
            self.without_hashes(&line)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// `password = x` of a repository's file (dnf.conf(5), apt_auth.conf(5)).
    fn without_setting(&self, line: &str) -> String {
        let Some((key, value)) = line.split_once('=') else {
            return line.to_owned();
        };
        let value = value.trim();
        let is_secret = key.trim().to_ascii_lowercase().ends_with("password");
        if is_secret && !value.is_empty() {
            format!("{key}={}={}", password::SET, self.mark(value.as_bytes()))
        } else {
            line.to_owned()
        }
    }

    fn without_hashes(&self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let taken = match hash_length(rest.as_bytes()) {
                Some(length) => {
                    let mark = self.mark(&rest.as_bytes()[..length]);
                    let _ = write!(out, "{}={mark}", password::SET);
                    length
                }
                None => {
                    out.push('$');
                    1
                }
            };
            rest = &rest[taken..];
        }
        out.push_str(rest);
        out
    }

    fn has_hashes(&self, bytes: &[u8]) -> bool {
        let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'$');
        starts
            .into_iter()
            .any(|(at, _)| hash_length(&bytes[at..]).is_some())
    }
}

/// Bytes of the hash that stands at the beginning, if one does: `$id$…` (crypt(5)).
fn hash_length(bytes: &[u8]) -> Option<usize> {
    const SHORTEST: usize = 13;
    const METHODS: [&[u8]; 14] = [
        b"1", b"2", b"2a", b"2b", b"2x", b"2y", b"5", b"6", b"7", b"y", b"gy", b"md5", b"sha1",
        b"sm3",
    ];
    let rest = bytes.strip_prefix(b"$")?;
    let method = rest.iter().position(|byte| *byte == b'$')?;
    if !METHODS.contains(&&rest[..method]) {
        return None;
    }
    let of_hash = |byte: &&u8| byte.is_ascii_alphanumeric() || b"./$=,+-".contains(byte);
    let length = rest[method + 1..].iter().take_while(of_hash).count();
    (length >= SHORTEST).then_some(1 + method + 1 + length)
}

/// `user:password@` of a URL.
fn without_userinfo(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace() || c == '"')
            .unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(userinfo) => {
                out.push('…');
                rest = &after[userinfo..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// Bytes in hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$6$saltsalt$3JLm.wAq0dUvkEkYvJ7y0Vt1z2uT6m0Qd1m3nZVQ8uBq/x1";

    fn told(path: &str, text: &str) -> String {
        match Contents::new(&[]).told(path.as_bytes(), Some(text.as_bytes())) {
            Content::Text(text) | Content::Hex(text) => text,
            other @ (Content::Long | Content::Secret | Content::LeftOut) => format!("{other:?}"),
        }
    }

    #[test]
    fn of_a_password_its_state_is_told() {
        for (field, wanted) in [
            ("", "none"),
            ("*", "locked"),
            ("!", "locked"),
            ("!!", "locked"),
            ("!*", "locked"),
            ("x", "x"),
        ] {
            let line = format!("dev:{field}:20000:0:::::\nb:!:1::::::\n");
            let wanted = format!("dev:{wanted}:20000:0:::::\nb:locked:1::::::\n");
            assert_eq!(told("/etc/shadow", &line), wanted);
        }
        for path in [
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/passwd",
            "/etc/group",
            "/etc/shadow-",
        ] {
            for field in [HASH, "ab7Tz.QweRtYu", "plain"] {
                let text = told(path, &format!("dev:{field}:1:\n"));
                assert!(text.starts_with("dev:set="), "{text}");
                assert!(!text.contains(field), "{text}");
            }
            let text = told(path, &format!("dev:!{HASH}:1:\n"));
            assert!(text.starts_with("dev:locked="), "{text}");
        }
    }

    #[test]
    fn a_changed_hash_is_another_mark_and_the_same_is_the_same() {
        let contents = Contents::new(&[]);
        let told =
            |hash: &str| contents.told(b"/etc/shadow", Some(format!("a:{hash}:").as_bytes()));
        assert_eq!(told(HASH), told(HASH));
        assert_ne!(told(HASH), told(&HASH.replace("x1", "x2")));
        let other = Contents::new(&[]).told(b"/etc/shadow", Some(format!("a:{HASH}:").as_bytes()));
        assert_ne!(told(HASH), other, "no two sessions have the same marks");
    }

    #[test]
    fn a_secret_is_one_wherever_it_lies() {
        let text = told("/etc/cron.d/x", &format!("root:{HASH}:1\n# $6 $x$y\n"));
        assert!(
            text.starts_with("root:set=") && text.ends_with(":1\n# $6 $x$y\n"),
            "{text}"
        );
        let url = told(
            "/etc/yum.repos.d/x",
            "baseurl=https://me:secret@a.test/x y://z\n",
        );
        assert_eq!(url, "baseurl=https://…@a.test/x y://z\n");
        let setting = told(
            "/etc/yum.repos.d/x",
            "proxy_password = hunter2\npassword=\n",
        );
        assert!(setting.starts_with("proxy_password =set="), "{setting}");
        assert!(
            setting.ends_with("\npassword=\n") && !setting.contains("hunter2"),
            "{setting}"
        );
        let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n";
        assert_eq!(told("/etc/cron.d/x", pem), "Secret");
        assert_eq!(told("/etc/cron.d/x", &format!("\u{1}{HASH}")), "Secret");
    }

    #[test]
    fn what_is_no_text_is_told_in_hex_digits() {
        assert_eq!(told("/etc/a", "a\tb\nc"), "a\tb\nc");
        assert_eq!(told("/etc/a", "a\u{1b}"), "611b");
        let long = vec![b'x'; 1 + 64 * 1024];
        assert_eq!(Contents::new(&[]).told(b"/a", Some(&long)), Content::Long);
        assert_eq!(Contents::new(&[]).told(b"/a", None), Content::Long);
    }

    proptest::proptest! {
        #[test]
        fn no_hash_gets_out(before in "[a-z$:!\n ]{0,20}", after in "[:\n ].{0,20}", path in "/etc/(shadow|cron.d/x)") {
            let text = told(&path, &format!("{before}{HASH}{after}"));
            proptest::prop_assert!(!text.contains(&HASH[20..]), "{}", text);
        }
    }
}
