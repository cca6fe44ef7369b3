//! Alpine's order, as apk-tools' `apk_version_compare` has it:
//! `number{.number}[letter]{_suffix[number]}[~hash][-rN]` (apk-package(5)).

use std::cmp::Ordering;

use crate::digits::{compare_digits, split_run};

/// A part of a version. What ends sooner is older, so the kinds stand in the order in which a version
/// may be left off: the end last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'v> {
    /// The first number.
    First(&'v [u8]),
    /// A number behind a dot.
    Number(&'v [u8]),
    /// One letter behind the numbers.
    Letter(u8),
    /// A word behind `_`, with the number behind it.
    Suffix(u8, &'v [u8]),
    /// The hash of a commit, behind `~`.
    Hash(&'v [u8]),
    /// The number behind `-r`.
    Revision(&'v [u8]),
    /// Bytes that belong to no version.
    Rest(&'v [u8]),
    /// Nothing is left.
    End,
}

/// The words behind `_`, oldest first; those before [`RELEASE`] are older than no word.
const SUFFIXES: [&[u8]; 9] = [
    b"alpha", b"beta", b"pre", b"rc", b"cvs", b"svn", b"git", b"hg", b"p",
];

/// How many of [`SUFFIXES`] stand for something before the release.
const RELEASE: u8 = 4;

/// Compares two versions. A total order among all texts: what is no version is compared by its parts
/// as far as it has any, then byte by byte.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a.as_bytes(), b.as_bytes());
    let mut first = true;
    loop {
        let (part_a, part_b);
        (part_a, rest_a) = next(rest_a, first);
        (part_b, rest_b) = next(rest_b, first);
        first = false;
        let order = compare_parts(part_a, part_b);
        if order.is_ne() || part_a == Part::End {
            return order;
        }
    }
}

/// The first part of a text, and what stands behind it.
fn next(text: &[u8], first: bool) -> (Part<'_>, &[u8]) {
    let digits = |text| split_run(text, |byte| byte.is_ascii_digit());
    match text {
        [] => (Part::End, text),
        [byte, ..] if first && byte.is_ascii_digit() => {
            let (number, rest) = digits(text);
            (Part::First(number), rest)
        }
        [b'.', byte, ..] if byte.is_ascii_digit() => {
            let (number, rest) = digits(&text[1..]);
            (Part::Number(number), rest)
        }
        [letter, rest @ ..] if letter.is_ascii_lowercase() => (Part::Letter(*letter), rest),
        [b'_', word @ ..] => {
            let (name, rest) = split_run(word, |byte| byte.is_ascii_lowercase());
            match (0..).zip(SUFFIXES).find(|(_, suffix)| *suffix == name) {
                Some((rank, _)) => {
                    let (number, rest) = digits(rest);
                    (Part::Suffix(rank, number), rest)
                }
                None => (Part::Rest(text), &[]),
            }
        }
        [b'~', hash @ ..] => {
            let (hash, rest) = split_run(hash, |byte| byte.is_ascii_hexdigit());
            (Part::Hash(hash), rest)
        }
        [b'-', b'r', number @ ..] => {
            let (number, rest) = digits(number);
            (Part::Revision(number), rest)
        }
        _ => (Part::Rest(text), &[]),
    }
}

fn compare_parts(a: Part<'_>, b: Part<'_>) -> Ordering {
    match (a, b) {
        (Part::First(a), Part::First(b)) | (Part::Revision(a), Part::Revision(b)) => {
            compare_digits(a, b)
        }
        // A number with a leading zero is a fraction: 1.05 is older than 1.1.
        (Part::Number(a), Part::Number(b)) if a.starts_with(b"0") || b.starts_with(b"0") => {
            a.cmp(b)
        }
        (Part::Number(a), Part::Number(b)) => compare_digits(a, b),
        (Part::Letter(a), Part::Letter(b)) => a.cmp(&b),
        (Part::Suffix(a, number_a), Part::Suffix(b, number_b)) => {
            a.cmp(&b).then_with(|| compare_digits(number_a, number_b))
        }
        (Part::Hash(a), Part::Hash(b)) | (Part::Rest(a), Part::Rest(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// Where a part stands beside one of another kind. Whatever goes on is newer than what ends, but for
/// a word that stands for something before the release.
fn rank(part: Part<'_>) -> u8 {
    match part {
        Part::Suffix(suffix, _) if suffix < RELEASE => 0,
        Part::End => 1,
        Part::Rest(_) => 2,
        Part::Revision(_) => 3,
        Part::Hash(_) => 4,
        Part::Suffix(..) => 5,
        Part::Letter(_) => 6,
        Part::Number(_) => 7,
        Part::First(_) => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs with their order, after apk-tools' own test/version.data.
    const TABLE: &[(&str, Ordering, &str)] = &[
        ("2.34", Ordering::Greater, "0.1.0_alpha"),
        ("0.1.0_alpha", Ordering::Equal, "0.1.0_alpha"),
        ("0.1.0_alpha", Ordering::Less, "0.1.3_alpha"),
        ("0.1.0", Ordering::Greater, "0.1.0_alpha"),
        ("1.1_beta1", Ordering::Less, "1.1"),
        ("1.0.4_alpha1", Ordering::Less, "1.0.4_beta1"),
        ("1.0_p1", Ordering::Greater, "1.0"),
        ("1.0_p10", Ordering::Greater, "1.0_p9"),
        ("0.12.1_p9", Ordering::Less, "0.12.1_p10"),
        ("1.0-r1", Ordering::Greater, "1.0"),
        ("1.0-r1", Ordering::Less, "1.0-r2"),
        ("1.0-r1", Ordering::Less, "1.0_p1"),
        ("1.0_rc1-r5", Ordering::Less, "1.0"),
        ("1.0a", Ordering::Greater, "1.0"),
        ("1.0a", Ordering::Less, "1.0b"),
        ("1.0a", Ordering::Less, "1.0.1"),
        ("1.0.0", Ordering::Greater, "1.0"),
        ("0.1", Ordering::Less, "0.10"),
        ("1.01", Ordering::Less, "1.1"),
        ("1.010", Ordering::Less, "1.1"),
        ("23_foo", Ordering::Greater, "23"),
        ("20050718", Ordering::Greater, "20050717"),
        ("1.7.1-r0", Ordering::Greater, "1.6-r4"),
        ("1.0_git20240101", Ordering::Greater, "1.0"),
        ("1.0_pre2", Ordering::Less, "1.0_rc1"),
    ];

    #[test]
    fn the_table_holds_both_ways() {
        for (a, order, b) in TABLE {
            assert_eq!(compare(a, b), *order, "{a} ? {b}");
            assert_eq!(compare(b, a), order.reverse(), "{b} ? {a}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(
            a in "[0-2]{1,2}([.][0-2]{1,2}){0,2}[ab]?(_(alpha|rc|p|git)[0-2]?){0,2}(-r[0-2])?",
            b in "[0-2]{1,2}([.][0-2]{1,2}){0,2}[ab]?(_(alpha|rc|p|git)[0-2]?){0,2}(-r[0-2])?",
            c in "[0-2]{1,2}([.][0-2]{1,2}){0,2}[ab]?(_(alpha|rc|p|git)[0-2]?){0,2}(-r[0-2])?",
        ) {
            crate::laws::total_order(compare, [&a, &b, &c])?;
        }

        #[test]
        fn no_text_panics(a in ".*", b in ".*") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
