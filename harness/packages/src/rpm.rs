//! rpm's order: `[epoch:]version[-release]` with segments, `~` and `^`, as rpm-version(7) has it.

use std::cmp::Ordering;

use crate::digits::{compare_digits, split_epoch, split_release, split_run};

/// Compares two whole versions as `rpmdev-vercmp` does: a missing epoch is 0, a missing release is
/// older than any.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Evr::split(a), Evr::split(b));
    a.compare_versions(&b)
        .then_with(|| match (a.release, b.release) {
            (Some(a), Some(b)) => compare_part(a, b),
            (None, None) => Ordering::Equal,
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
        })
}

/// Compares as a dependency does: the releases count only when both sides have one
/// (rpm-dependencies(7)). Not a total order: `1-1` = `1` = `1-2`.
#[must_use]
pub fn compare_for_dependency(a: &str, b: &str) -> Ordering {
    let (a, b) = (Evr::split(a), Evr::split(b));
    a.compare_versions(&b)
        .then_with(|| match (a.release, b.release) {
            (Some(a), Some(b)) => compare_part(a, b),
            (None, _) | (_, None) => Ordering::Equal,
        })
}

/// The parts of a version.
struct Evr<'t> {
    epoch: &'t [u8],
    version: &'t [u8],
    release: Option<&'t [u8]>,
}

impl<'t> Evr<'t> {
    fn split(text: &'t str) -> Self {
        let (epoch, rest) = split_epoch(text);
        let (version, release) = split_release(rest);
        Self {
            epoch,
            version,
            release,
        }
    }

    fn compare_versions(&self, other: &Self) -> Ordering {
        compare_digits(self.epoch, other.epoch)
            .then_with(|| compare_part(self.version, other.version))
    }
}

/// Compares one part segment by segment: digits by value, letters by byte, digits newer than
/// letters, separators only separate, `~` older and `^` newer than the end of the part.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        (a, b) = (without_separators(a), without_separators(b));
        let order = match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (Some(b'~'), _) => Ordering::Less,
            (_, Some(b'~')) => Ordering::Greater,
            (None, None) => Ordering::Equal,
            // A caret is newer than the end of the part and older than any other continuation.
            (Some(b'^'), None) => Ordering::Greater,
            (None, Some(b'^')) => Ordering::Less,
            (Some(b'^'), Some(_)) => Ordering::Less,
            (Some(_), Some(b'^')) => Ordering::Greater,
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (Some(first), Some(second)) => {
                match (first.is_ascii_digit(), second.is_ascii_digit()) {
                    (true, false) => Ordering::Greater,
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
                        let order = if numeric {
                            compare_digits(segment_a, segment_b)
                        } else {
                            segment_a.cmp(segment_b)
                        };
                        if order.is_eq() {
                            continue;
                        }
                        order
                    }
                }
            }
        };
        return order;
    }
}

/// The text from its next segment, `~` or `^` on; every other byte only separates.
fn without_separators(text: &[u8]) -> &[u8] {
    split_run(text, |byte| {
        !byte.is_ascii_alphanumeric() && byte != b'~' && byte != b'^'
    })
    .1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs with their order, after rpm's own table of version comparisons.
    const TABLE: &[(&str, Ordering, &str)] = &[
        ("1.0", Ordering::Equal, "1.0"),
        ("1.0", Ordering::Less, "2.0"),
        ("2.0", Ordering::Less, "2.0.1"),
        ("2.0.1", Ordering::Less, "2.0.1a"),
        ("5.5p1", Ordering::Less, "5.5p2"),
        ("5.5p1", Ordering::Less, "5.5p10"),
        ("10xyz", Ordering::Less, "10.1xyz"),
        ("xyz10", Ordering::Less, "xyz10.1"),
        ("xyz.4", Ordering::Less, "8"),
        ("xyz.4", Ordering::Less, "2"),
        ("5.5p2", Ordering::Less, "5.6p1"),
        ("5.6p1", Ordering::Less, "6.5p1"),
        ("6.0", Ordering::Less, "6.0.rc1"),
        ("10a1", Ordering::Less, "10b2"),
        ("10a2", Ordering::Less, "10b2"),
        ("1.0a", Ordering::Less, "1.0aa"),
        ("10.0001", Ordering::Equal, "10.1"),
        ("10.0001", Ordering::Less, "10.0039"),
        ("4.999.9", Ordering::Less, "5.0"),
        ("20101121", Ordering::Less, "20101122"),
        ("2.0", Ordering::Equal, "2_0"),
        ("a+", Ordering::Equal, "a_"),
        ("+a", Ordering::Equal, "_a"),
        ("_+", Ordering::Equal, "+_"),
        ("+", Ordering::Equal, "_"),
        ("1.0~rc1", Ordering::Equal, "1.0~rc1"),
        ("1.0~rc1", Ordering::Less, "1.0"),
        ("1.0~rc1", Ordering::Less, "1.0~rc2"),
        ("1.0~rc1~git123", Ordering::Less, "1.0~rc1"),
        ("1.0^", Ordering::Equal, "1.0^"),
        ("1.0", Ordering::Less, "1.0^"),
        ("1.0", Ordering::Less, "1.0^git1"),
        ("1.0^git1", Ordering::Less, "1.0^git2"),
        ("1.0^git1", Ordering::Less, "1.01"),
        ("1.0^20160101", Ordering::Less, "1.0.1"),
        ("1.0^20160101^git1", Ordering::Less, "1.0^20160102"),
        ("1.0~rc1", Ordering::Less, "1.0~rc1^git1"),
        ("1.0^git1~pre", Ordering::Less, "1.0^git1"),
        // Oddities that rpm documents and keeps.
        ("1b.fc17", Ordering::Less, "1.fc17"),
        ("1.fc17", Ordering::Less, "1g.fc17"),
        ("1.1.\u{3b1}", Ordering::Equal, "1.1.\u{3b2}"),
        // Epochs and releases.
        ("1:1.0-1", Ordering::Greater, "2.0-1"),
        ("0:1.0-1", Ordering::Equal, "1.0-1"),
        (":1.0", Ordering::Equal, "1.0"),
        ("1.0-1.fc43", Ordering::Less, "1.0-1.fc44"),
        ("1.0", Ordering::Less, "1.0-1"),
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

    #[test]
    fn a_dependency_without_release_is_about_every_release() {
        assert_eq!(
            compare_for_dependency("1.7.1-10.fc44", "1.7.1"),
            Ordering::Equal
        );
        assert_eq!(
            compare_for_dependency("1.7.1-10.fc44", "1.7.1-9"),
            Ordering::Greater
        );
        assert_eq!(
            compare_for_dependency("1:1.7.1-10", "1.7.1"),
            Ordering::Greater
        );
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(a in "[0-1a-b:~^.+-]{0,8}", b in "[0-1a-b:~^.+-]{0,8}", c in "[0-1a-b:~^.+-]{0,8}") {
            crate::laws::total_order(compare, [&a, &b, &c])?;
        }

        #[test]
        fn no_text_panics(a in ".*", b in ".*") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare_for_dependency(&a, &b), compare_for_dependency(&b, &a).reverse());
        }
    }
}
