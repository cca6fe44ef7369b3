//! `os-release` (os-release(5)): what a root file system says it is, and whether that is what a
//! definition expects.
//!
//! The text comes from an image and is hostile: it is bounded, never evaluated as the shell syntax
//! it resembles, and a line that does not follow the man page is an error, not a guess.

use std::collections::BTreeMap;

/// The most an `os-release` may hold, in bytes. Real ones have a few hundred.
pub const LIMIT: usize = 64 * 1024;

/// The keys that decide what a recipe means on a distribution. An image must agree on these.
const IDENTITY: [&str; 6] = [
    "ID",
    "ID_LIKE",
    "VERSION_ID",
    "VERSION_CODENAME",
    "UBUNTU_CODENAME",
    "BUILD_ID",
];

/// A parsed `os-release`, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsRelease {
    text: String,
    values: BTreeMap<String, String>,
}

/// Why a text is no `os-release`. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OsReleaseError {
    /// Too long to be one.
    #[error("it holds more than {LIMIT} bytes")]
    TooLong,
    /// Not text.
    #[error("it is not UTF-8")]
    NotText,
    /// A line that is no assignment.
    #[error("line {line} is not `NAME=value`")]
    NotAssignment {
        /// The line's number.
        line: usize,
    },
    /// A value whose quotes do not close, or that holds what needs quotes.
    #[error("line {line}: the value of `{key}` is not quoted as os-release(5) says")]
    BadValue {
        /// The line's number.
        line: usize,
        /// The key.
        key: String,
    },
    /// No `ID`, without which nothing can be said.
    #[error("it has no `ID`")]
    NoId,
}

/// A key on which an image and its definition disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The key.
    pub key: &'static str,
    /// The definition's value, empty if it has none.
    pub expected: String,
    /// The image's value, empty if it has none.
    pub found: String,
}

impl OsRelease {
    /// Reads an `os-release`.
    ///
    /// # Errors
    ///
    /// [`OsReleaseError`] for the first line that does not follow os-release(5).
    pub fn parse(bytes: &[u8]) -> Result<Self, OsReleaseError> {
        if bytes.len() > LIMIT {
            return Err(OsReleaseError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| OsReleaseError::NotText)?;
        let mut values = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line
                .split_once('=')
                .filter(|(key, _)| is_key(key))
                .ok_or(OsReleaseError::NotAssignment { line: line_number })?;
            let value = unquoted(value).ok_or_else(|| OsReleaseError::BadValue {
                line: line_number,
                key: key.to_owned(),
            })?;
            // A later assignment wins, as it does for a shell that reads the file.
            values.insert(key.to_owned(), value);
        }
        if values.get("ID").is_none_or(String::is_empty) {
            return Err(OsReleaseError::NoId);
        }
        Ok(Self {
            text: text.to_owned(),
            values,
        })
    }

    /// The value of a key, `None` where it is missing or empty: the man page makes no difference.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The whole text as read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The identity keys on which `image` differs from this definition's text. A rolling release
    /// (one without `VERSION_ID`) does not fix the image's `VERSION_ID`.
    pub fn disagreements(&self, image: &Self) -> Vec<Disagreement> {
        IDENTITY
            .into_iter()
            .filter(|key| *key != "VERSION_ID" || self.get("VERSION_ID").is_some())
            .filter(|key| self.get(key) != image.get(key))
            .map(|key| Disagreement {
                key,
                expected: self.get(key).unwrap_or_default().to_owned(),
                found: image.get(key).unwrap_or_default().to_owned(),
            })
            .collect()
    }
}

fn is_key(key: &str) -> bool {
    key.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
        && key
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// The value without its quotes and escapes; `None` where os-release(5) allows it none of them.
fn unquoted(value: &str) -> Option<String> {
    if value.chars().any(char::is_control) {
        return None;
    }
    if let Some(inner) = value.strip_prefix('\'') {
        let inner = inner.strip_suffix('\'')?;
        return (!inner.contains('\'')).then(|| inner.to_owned());
    }
    if let Some(inner) = value.strip_prefix('"') {
        return double_quoted(inner);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._+:/,@~%^".contains(c);
    value.chars().all(plain).then(|| value.to_owned())
}

fn double_quoted(inner: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => return rest.next().is_none().then_some(text),
            // What a shell would expand has to be escaped, or it is no constant.
            '$' | '`' => return None,
            '\\' => match rest.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => text.push(escaped),
                other => text.extend(['\\', other]),
            },
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> OsRelease {
        OsRelease::parse(text.as_bytes()).expect("an os-release")
    }

    #[test]
    fn quotes_escapes_and_comments_follow_the_man_page() {
        let read = parsed(
            "# comment\n\nID=fedora\nNAME=\"Fedora Linux\"\nVARIANT='a \"b\"'\nX=\"\\\"\\$5\\`\\\\\"\nID_LIKE=\"\"\nVERSION_ID=44\n",
        );
        assert_eq!(read.get("NAME"), Some("Fedora Linux"));
        assert_eq!(read.get("VARIANT"), Some("a \"b\""));
        assert_eq!(read.get("X"), Some("\"$5`\\"));
        assert_eq!(read.get("ID_LIKE"), None);
        assert_eq!(read.get("VERSION_ID"), Some("44"));
    }

    #[test]
    fn nonsense_is_an_error_that_names_the_line() {
        for (text, error) in [
            (
                &b"ID=x\nwhat is this\n"[..],
                OsReleaseError::NotAssignment { line: 2 },
            ),
            (b"id=x\n", OsReleaseError::NotAssignment { line: 1 }),
            (b"=x\n", OsReleaseError::NotAssignment { line: 1 }),
            (
                b"ID=\"x\n",
                OsReleaseError::BadValue {
                    line: 1,
                    key: "ID".into(),
                },
            ),
            (
                b"ID=\"x\" y\n",
                OsReleaseError::BadValue {
                    line: 1,
                    key: "ID".into(),
                },
            ),
            (
                b"ID=a b\n",
                OsReleaseError::BadValue {
                    line: 1,
                    key: "ID".into(),
                },
            ),
            (
                b"ID=\"$(reboot)\"\n",
                OsReleaseError::BadValue {
                    line: 1,
                    key: "ID".into(),
                },
            ),
            (
                b"ID=$(reboot)\n",
                OsReleaseError::BadValue {
                    line: 1,
                    key: "ID".into(),
                },
            ),
            (
                b"ID='a'b'\n",
                OsReleaseError::BadValue {
                    line: 1,
                    key: "ID".into(),
                },
            ),
            (
                b"ID=\"\x1b[31m\"\n",
                OsReleaseError::BadValue {
                    line: 1,
                    key: "ID".into(),
                },
            ),
            (b"NAME=x\n", OsReleaseError::NoId),
            (b"ID=\"\"\n", OsReleaseError::NoId),
            (b"", OsReleaseError::NoId),
            (b"ID=\xff\n", OsReleaseError::NotText),
            (&[b'#'; LIMIT + 1], OsReleaseError::TooLong),
        ] {
            assert_eq!(
                OsRelease::parse(text),
                Err(error),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn only_what_identifies_a_distribution_has_to_agree() {
        let definition = parsed("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\nPRETTY_NAME=a\n");
        let point_release =
            parsed("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\nPRETTY_NAME=\"a 5\"\n");
        assert_eq!(definition.disagreements(&point_release), []);
        let other = parsed("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=26.04\nUBUNTU_CODENAME=x\n");
        assert_eq!(
            definition.disagreements(&other),
            [
                Disagreement {
                    key: "VERSION_ID",
                    expected: "24.04".into(),
                    found: "26.04".into()
                },
                Disagreement {
                    key: "UBUNTU_CODENAME",
                    expected: String::new(),
                    found: "x".into()
                },
            ]
        );
    }

    #[test]
    fn a_rolling_release_leaves_the_version_open() {
        let definition = parsed("ID=arch\nBUILD_ID=rolling\n");
        assert_eq!(
            definition.disagreements(&parsed(
                "ID=arch\nBUILD_ID=rolling\nVERSION_ID=20260101.0.1\n"
            )),
            []
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(read) = OsRelease::parse(&bytes) {
                proptest::prop_assert!(read.get("ID").is_some());
            }
        }

        #[test]
        fn a_quoted_value_is_read_as_it_was_written(value in "[ -~]{0,60}") {
            let mut quoted = String::new();
            for c in value.chars() {
                if "\"\\$`".contains(c) {
                    quoted.push('\\');
                }
                quoted.push(c);
            }
            let read = parsed(&format!("ID=x\nNAME=\"{quoted}\"\n"));
            proptest::prop_assert_eq!(read.get("NAME").unwrap_or_default(), value);
        }
    }
}
