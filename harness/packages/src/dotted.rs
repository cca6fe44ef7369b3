//! Versions that commands print about themselves: dotted numbers, perhaps with a suffix. Missing
//! parts count as 0, a pre-release (`1.0rc1`, `2.0-beta.2`) is older than its release, any other
//! suffix (`1.1.1w`, `9.2p1`) is newer.

use std::cmp::Ordering;

use crate::digits::{split_run, without_leading_zeros};

/// Compares two versions. A leading `v` and everything from `+` on (build metadata, semver.org 10)
/// do not count. A total order over all texts.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    let length = a.len().max(b.len());
    let pad = |parts: &[Part]| {
        parts
            .iter()
            .cloned()
            .chain(std::iter::repeat(Part::ZERO))
            .take(length)
            .collect::<Vec<_>>()
    };
    pad(&a).cmp(&pad(&b))
}

/// The first dotted number in a command's output, with the letters and digits attached to it:
/// `1.7rc1` in `jq-1.7rc1`, `26.1.0` in `Docker version 26.1.0, build 12`. A number without a dot
/// is taken only when there is no dotted one.
#[must_use]
pub fn first_version(output: &str) -> Option<&str> {
    let mut whole_number = None;
    let bytes = output.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let (run, _) = split_run(&bytes[at..], |byte| {
            byte.is_ascii_alphanumeric() || byte == b'.'
        });
        let end = at + run.len();
        let (digits, rest) = split_run(run, |byte| byte.is_ascii_digit());
        let found = output[at..end].trim_end_matches('.');
        if rest.first() == Some(&b'.') && rest.get(1).is_some_and(u8::is_ascii_digit) {
            return Some(found);
        }
        whole_number = whole_number.or(Some(&output[at..at + digits.len()]));
        at = end;
    }
    whole_number
}

/// One part of a version, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A word that announces a version: its rank in the life of a release, then the word.
    PreRelease(u8, String),
    /// A number: how many digits count, then the digits; compares by value.
    Number(usize, Vec<u8>),
    /// Any other word, which follows a release.
    Suffix(String),
}

impl Part {
    const ZERO: Self = Self::Number(0, Vec::new());
}

/// Words that announce a release, in the order they come. `a`, `b` and `c` announce one only
/// before a number (`1.0a1`): alone they are OpenSSL's way of naming a later release.
const PRE_RELEASES: &[(&str, u8)] = &[
    ("dev", 0),
    ("git", 0),
    ("snapshot", 0),
    ("nightly", 0),
    ("alpha", 1),
    ("a", 1),
    ("beta", 2),
    ("b", 2),
    ("pre", 3),
    ("preview", 3),
    ("c", 4),
    ("rc", 4),
];

/// The parts of a version, without the zeros at the end of its run of numbers.
fn parts(version: &str) -> Vec<Part> {
    let version = version.trim();
    let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let mut rest = version.split('+').next().unwrap_or_default().as_bytes();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (digits, after) = split_run(rest, |byte| byte.is_ascii_digit());
        if !digits.is_empty() {
            let digits = without_leading_zeros(digits);
            parts.push(Part::Number(digits.len(), digits.to_vec()));
            rest = after;
            continue;
        }
        let (word, after) = split_run(rest, |byte| byte.is_ascii_alphabetic());
        if !word.is_empty() {
            trim_zeros(&mut parts);
            parts.push(word_part(word, after));
            rest = after;
            continue;
        }
        rest = &rest[1..];
    }
    trim_zeros(&mut parts);
    parts
}

fn trim_zeros(parts: &mut Vec<Part>) {
    while parts.last() == Some(&Part::ZERO) {
        parts.pop();
    }
}

fn word_part(word: &[u8], after: &[u8]) -> Part {
    let word = String::from_utf8_lossy(word).to_ascii_lowercase();
    let before_number = after.first().is_some_and(u8::is_ascii_digit);
    match PRE_RELEASES.iter().find(|(name, _)| *name == word) {
        Some((name, rank)) if name.len() > 1 || before_number => Part::PreRelease(*rank, word),
        Some(_) | None => Part::Suffix(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_ordered() {
        for (a, order, b) in [
            ("1.30", Ordering::Equal, "1.30.0"),
            ("1", Ordering::Equal, "1.0.0"),
            ("v1.7.1", Ordering::Equal, "1.7.1"),
            ("1.9", Ordering::Less, "1.10"),
            ("1.09", Ordering::Equal, "1.9"),
            ("1.0rc1", Ordering::Less, "1.0"),
            ("1.0rc1", Ordering::Equal, "1.0.0-rc1"),
            ("1.0.0-alpha", Ordering::Less, "1.0.0-beta"),
            ("1.0.0-beta.2", Ordering::Less, "1.0.0-beta.11"),
            ("1.0.0-rc.1", Ordering::Less, "1"),
            ("1.0-dev", Ordering::Less, "1.0a1"),
            ("1.0rc1", Ordering::Greater, "0.9"),
            ("1.1.1", Ordering::Less, "1.1.1w"),
            ("1.1.1a", Ordering::Less, "1.1.1b"),
            ("1.1.1a", Ordering::Greater, "1.1.1"),
            ("1.1.1a1", Ordering::Less, "1.1.1"),
            ("9.2p1", Ordering::Greater, "9.2"),
            ("9.2p1", Ordering::Less, "9.3"),
            ("2.39.2-1", Ordering::Greater, "2.39.2"),
            ("1.2.3+build.5", Ordering::Equal, "1.2.3"),
            (
                "99999999999999999999999",
                Ordering::Less,
                "100000000000000000000000",
            ),
        ] {
            assert_eq!(compare(a, b), order, "{a} ? {b}");
            assert_eq!(compare(b, a), order.reverse(), "{b} ? {a}");
        }
    }

    #[test]
    fn the_first_dotted_number_is_found() {
        for (output, expected) in [
            ("Docker version 26.1.0, build 1234", Some("26.1.0")),
            ("jq-1.7rc1", Some("1.7rc1")),
            ("tree v2.1.0 © 1996 - 2022 by Steve Baker", Some("2.1.0")),
            ("git version 2.39.5.", Some("2.39.5")),
            (
                "less 590 (GNU regular expressions)\nCopyright 2.0",
                Some("2.0"),
            ),
            ("less 590", Some("590")),
            ("x86_64 1.2", Some("1.2")),
            ("a 3x2 table, 1.2", Some("1.2")),
            ("chapter 5. 1.2", Some("1.2")),
            ("no number", None),
            ("", None),
        ] {
            assert_eq!(first_version(output), expected, "{output:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(a in "v?[0-1.a-brc-]{0,8}", b in "v?[0-1.a-brc-]{0,8}", c in "v?[0-1.a-brc-]{0,8}") {
            crate::laws::total_order(compare, [&a, &b, &c])?;
        }

        #[test]
        fn no_text_panics(a in ".*", b in ".*") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if let Some(found) = first_version(&a) {
                prop_assert!(found.starts_with(|c: char| c.is_ascii_digit()));
            }
        }
    }
}
