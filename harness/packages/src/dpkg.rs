//! dpkg's order: `[epoch:]upstream[-revision]`, Debian policy 5.6.12 and deb-version(7).

use std::cmp::Ordering;

use crate::digits::{compare_digits, split_epoch, split_release, split_run};

/// Compares two versions: epochs as numbers, then upstream versions, then revisions; a missing
/// epoch is 0 and a missing revision is older than or equal to any other. A total order over all
/// texts, so a malformed version still has a place.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (split_epoch(a), split_epoch(b));
    let ((upstream_a, revision_a), (upstream_b, revision_b)) = (split_release(a), split_release(b));
    compare_digits(epoch_a, epoch_b)
        .then_with(|| compare_part(upstream_a, upstream_b))
        .then_with(|| {
            compare_part(
                revision_a.unwrap_or_default(),
                revision_b.unwrap_or_default(),
            )
        })
}

/// Compares one part: alternately the longest run of non-digits by [`weight`], and the longest run
/// of digits by value.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split_run(a, |byte| !byte.is_ascii_digit());
        let (text_b, rest_b) = split_run(b, |byte| !byte.is_ascii_digit());
        let (digits_a, after_a) = split_run(rest_a, |byte| byte.is_ascii_digit());
        let (digits_b, after_b) = split_run(rest_b, |byte| byte.is_ascii_digit());
        let order = compare_text(text_a, text_b).then_with(|| compare_digits(digits_a, digits_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (after_a, after_b);
    }
    Ordering::Equal
}

/// Compares two runs of non-digits byte by byte; the end of a run weighs 0.
fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let longest = a.len().max(b.len());
    (0..longest)
        .map(|at| weight(a.get(at)).cmp(&weight(b.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// `~` sorts before the end of a part, the end before letters, letters before all else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs with their order: dpkg's own test of its library, and what policy 5.6.12 says.
    const TABLE: &[(&str, Ordering, &str)] = &[
        ("0", Ordering::Equal, "0:0"),
        ("0:0-", Ordering::Equal, "0"),
        ("0-0", Ordering::Equal, "0:0-0"),
        ("0-00", Ordering::Equal, "00-0"),
        ("0:0.0-0.0", Ordering::Equal, "0.0-0.0"),
        ("1:2-3", Ordering::Equal, "1:2-3"),
        ("1:0", Ordering::Less, "2:0"),
        ("1-1", Ordering::Less, "2-1"),
        ("1-1", Ordering::Less, "1-2"),
        ("0:0-0", Ordering::Less, "1:0-0"),
        ("a-0", Ordering::Less, "b-0"),
        ("0-a", Ordering::Less, "0-b"),
        // Several hyphens and colons: the last hyphen and the first colon count.
        ("0:0-0-0", Ordering::Equal, "0-0-0"),
        ("0:0-0-1", Ordering::Greater, "0:0-0-0"),
        ("0:0:0-0", Ordering::Equal, "0:0:0-0"),
        ("5:1", Ordering::Greater, "1"),
        // The example of policy 5.6.12, and its neighbours.
        ("~~", Ordering::Less, "~~a"),
        ("~~a", Ordering::Less, "~"),
        ("~", Ordering::Less, ""),
        ("", Ordering::Less, "a"),
        ("1.0~beta1~svn1245", Ordering::Less, "1.0~beta1"),
        ("1.0~beta1", Ordering::Less, "1.0"),
        ("1.0", Ordering::Less, "1.0a"),
        ("1.0a", Ordering::Less, "1.0+b1"),
        ("1.0a", Ordering::Less, "1.0.1"),
        // No version holds a NUL; the end is older than any byte but `~`.
        ("1.0", Ordering::Less, "1.0\0"),
        ("1.0-1", Ordering::Less, "1.0-1+b1"),
        ("1.0-1~bpo12+1", Ordering::Less, "1.0-1"),
        ("1.0", Ordering::Less, "1.0-1"),
        ("2.9", Ordering::Less, "2.10"),
        ("1.001", Ordering::Equal, "1.1"),
        ("2.36-9+deb12u10", Ordering::Greater, "2.36-9+deb12u9"),
        (
            "5:26.1.0-1~ubuntu.24.04~noble",
            Ordering::Greater,
            "26.1.0-1",
        ),
        (
            "5:26.1.0-1~ubuntu.22.04~jammy",
            Ordering::Less,
            "5:26.1.0-1~ubuntu.24.04~noble",
        ),
        (
            "99999999999999999999999999",
            Ordering::Less,
            "100000000000000000000000000",
        ),
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
        fn it_is_a_total_order(a in "[0-9a-b:~.+-]{0,8}", b in "[0-9a-b:~.+-]{0,8}", c in "[0-9a-b:~.+-]{0,8}") {
            crate::laws::total_order(compare, [&a, &b, &c])?;
        }

        #[test]
        fn no_text_panics(a in ".*", b in ".*") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
