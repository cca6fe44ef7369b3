//! pacman's order: `[epoch:]pkgver[-pkgrel]`, as vercmp(8) has it.

use std::cmp::Ordering;

use crate::digits::{compare_digits, split_epoch, split_release, split_run};

/// Compares two versions. The pkgrels count only when both versions have one, so this is a total
/// order among versions with a pkgrel and among versions without, not across the two. Nor among
/// texts that are no versions (PKGBUILD(5)), such as those with a separator at an end.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (split_epoch(a), split_epoch(b));
    let ((version_a, release_a), (version_b, release_b)) = (split_release(a), split_release(b));
    compare_digits(epoch_a, epoch_b)
        .then_with(|| compare_part(version_a, version_b))
        .then_with(|| match (release_a, release_b) {
            (Some(a), Some(b)) => compare_part(a, b),
            (None, _) | (_, None) => Ordering::Equal,
        })
}

/// Compares one part segment by segment: a longer run of separators is newer, digits are newer than
/// letters, and at the end letters are older than nothing and anything else is newer.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    while !a.is_empty() && !b.is_empty() {
        let (separators_a, segments_a) = split_run(a, |byte| !byte.is_ascii_alphanumeric());
        let (separators_b, segments_b) = split_run(b, |byte| !byte.is_ascii_alphanumeric());
        (a, b) = (segments_a, segments_b);
        let (Some(first), Some(second)) = (a.first(), b.first()) else {
            break;
        };
        if separators_a.len() != separators_b.len() {
            return separators_a.len().cmp(&separators_b.len());
        }
        let order = match (first.is_ascii_digit(), second.is_ascii_digit()) {
            (true, false) => Ordering::Greater,
            // A run of letters against digits has an empty counterpart of its own kind.
            (false, true) => Ordering::Less,
            (numeric, _) => {
                let belongs = |byte: u8| {
                    if numeric {
                        byte.is_ascii_digit()
                    } else {
                        byte.is_ascii_alphabetic()
                    }
                };
                let ((segment_a, rest_a), (segment_b, rest_b)) =
                    (split_run(a, belongs), split_run(b, belongs));
                (a, b) = (rest_a, rest_b);
                if numeric {
                    compare_digits(segment_a, segment_b)
                } else {
                    segment_a.cmp(segment_b)
                }
            }
        };
        if order.is_ne() {
            return order;
        }
    }
    match (a.first(), b.first()) {
        (None, None) => Ordering::Equal,
        (None, Some(rest)) => {
            if rest.is_ascii_alphabetic() {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (Some(rest), _) => {
            if rest.is_ascii_alphabetic() {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs with their order, after pacman's own table for vercmp and its manual.
    const TABLE: &[(&str, Ordering, &str)] = &[
        ("1.5.0", Ordering::Equal, "1.5.0"),
        ("1.5.1", Ordering::Greater, "1.5.0"),
        ("1.5.1", Ordering::Greater, "1.5"),
        ("1.5.0-1", Ordering::Equal, "1.5.0-1"),
        ("1.5.0-1", Ordering::Less, "1.5.0-2"),
        ("1.5.0-1", Ordering::Less, "1.5.1-1"),
        ("1.5.0-2", Ordering::Less, "1.5.1-1"),
        ("1.5-1", Ordering::Less, "1.5.1-1"),
        ("1.5-2", Ordering::Less, "1.5.1-1"),
        ("1.5-2", Ordering::Less, "1.5.1-2"),
        ("1.5", Ordering::Equal, "1.5-1"),
        ("1.1-1", Ordering::Equal, "1.1"),
        ("1.0-1", Ordering::Less, "1.1"),
        ("1.1-1", Ordering::Greater, "1.0"),
        ("1.5b-1", Ordering::Less, "1.5-1"),
        ("1.5b", Ordering::Less, "1.5"),
        ("1.5b-1", Ordering::Less, "1.5"),
        ("1.5b", Ordering::Less, "1.5.1"),
        ("1.0a", Ordering::Less, "1.0alpha"),
        ("1.0alpha", Ordering::Less, "1.0b"),
        ("1.0b", Ordering::Less, "1.0beta"),
        ("1.0beta", Ordering::Less, "1.0rc"),
        ("1.0rc", Ordering::Less, "1.0"),
        ("1.5.a", Ordering::Greater, "1.5"),
        ("1.5.b", Ordering::Greater, "1.5.a"),
        ("1.5.1", Ordering::Greater, "1.5.b"),
        ("1.5.b-1", Ordering::Equal, "1.5.b"),
        ("1.5-1", Ordering::Less, "1.5.b"),
        ("0:1.0", Ordering::Equal, "1.0"),
        ("1:1.0-1", Ordering::Greater, "3.6-1"),
        ("1.0.", Ordering::Less, "1.0.1"),
        ("1..0", Ordering::Greater, "1.0"),
        ("1:1.7.1-2", Ordering::Greater, "1.7.1-3"),
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
        fn it_is_a_total_order_with_pkgrel(
            a in "([0-1]:)?[0-1a-b]{1,3}([.+_][0-1a-b]{1,3}){0,3}-[0-2]",
            b in "([0-1]:)?[0-1a-b]{1,3}([.+_][0-1a-b]{1,3}){0,3}-[0-2]",
            c in "([0-1]:)?[0-1a-b]{1,3}([.+_][0-1a-b]{1,3}){0,3}-[0-2]",
        ) {
            crate::laws::total_order(compare, [&a, &b, &c])?;
        }

        #[test]
        fn it_is_a_total_order_without_pkgrel(a in "[0-1a-b]{1,3}([.][0-1a-b]{1,3}){0,3}", b in "[0-1a-b]{1,3}([.][0-1a-b]{1,3}){0,3}", c in "[0-1a-b]{1,3}([.][0-1a-b]{1,3}){0,3}") {
            crate::laws::total_order(compare, [&a, &b, &c])?;
        }

        #[test]
        fn no_text_panics(a in ".*", b in ".*") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }

        #[test]
        fn a_pkgrel_on_one_side_only_is_ignored(version in "[0-9a-z.]{1,6}", release in "[0-9.]{1,3}") {
            prop_assert_eq!(compare(&format!("{version}-{release}"), &version), Ordering::Equal);
        }
    }
}
