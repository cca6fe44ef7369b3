//! Runs of digits compared as numbers of any length, without arithmetic that could overflow.

use std::cmp::Ordering;

/// Compares two runs of ASCII digits by value; an empty run is zero.
pub(crate) fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (without_leading_zeros(a), without_leading_zeros(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The run without the zeros that do not count; empty for zero.
pub(crate) fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

/// Splits off the longest prefix whose bytes all satisfy the predicate.
pub(crate) fn split_run(text: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| belongs(**byte)).count();
    text.split_at(length)
}

/// Splits `[epoch:]rest`. The epoch is the run of digits before the first `:`; without one it is
/// empty, which compares as zero.
pub(crate) fn split_epoch(text: &str) -> (&[u8], &[u8]) {
    let bytes = text.as_bytes();
    let (digits, rest) = split_run(bytes, |byte| byte.is_ascii_digit());
    match rest.split_first() {
        Some((b':', rest)) => (digits, rest),
        Some(_) | None => (&[], bytes),
    }
}

/// Splits `version[-release]` at the last hyphen.
pub(crate) fn split_release(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().rposition(|byte| *byte == b'-') {
        Some(hyphen) => (&text[..hyphen], Some(&text[hyphen + 1..])),
        None => (text, None),
    }
}
