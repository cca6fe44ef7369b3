//! Going on with a body that broke off, and when that may be done: only where the server says that
//! the rest belongs to the very bytes that have come (RFC 9110 13.1.5, 14 and 15.3.7).
//!
//! All of it is what a server claims. The hash decides in the end, and a body that was put together
//! of two answers and has another is fetched once more in one piece. No request is made here.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::store::Incoming;
use crate::url::WebUrl;

/// The beginning of a body whose rest did not come.
pub(super) struct Partial {
    /// The URL that gave it, after redirects.
    pub(super) url: WebUrl,
    /// What tells this version of it from others.
    pub(super) validator: Validator,
    /// The size of all of it, if that was told.
    pub(super) total: Option<u64>,
    /// What has come.
    pub(super) incoming: Incoming,
}

/// A strong validator (RFC 9110 8.8): as long as it is the same, so are the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Validator {
    /// A strong entity tag.
    Tag(HeaderValue),
    /// A time of modification that is strong by 8.8.2.2.
    Date(HeaderValue),
}

impl Validator {
    /// The strong validator of an answer, if it has one.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if let Some(tag) = headers.get(header::ETAG) {
            let text = tag.as_bytes();
            let strong = text.len() >= 2 && text.starts_with(b"\"") && text.ends_with(b"\"");
            // A weak tag says that no date is better (13.1.5: a date only without a tag).
            return strong.then(|| Self::Tag(tag.clone()));
        }
        let modified = headers.get(header::LAST_MODIFIED)?;
        let seconds = |name: HeaderName| {
            let text = headers.get(name)?.to_str().ok()?;
            httpdate::parse_http_date(text).ok()
        };
        let age = seconds(header::DATE)?.duration_since(seconds(header::LAST_MODIFIED)?);
        // Within one second there could have been two versions.
        let strong = age.is_ok_and(|age| age >= Duration::from_secs(1));
        strong.then(|| Self::Date(modified.clone()))
    }

    /// Whether an answer to a conditional request for a range is of the same version.
    fn is_unchanged_in(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Tag(tag) => headers.get(header::ETAG) == Some(tag),
            // 15.3.7 lets the date be left out: the condition has been met then.
            Self::Date(date) => headers
                .get(header::LAST_MODIFIED)
                .is_none_or(|now| now == date),
        }
    }

    fn value(&self) -> &HeaderValue {
        match self {
            Self::Tag(value) | Self::Date(value) => value,
        }
    }
}

impl Partial {
    /// The headers that ask for the rest.
    pub(super) fn request(&self) -> HeaderMap {
        let range = format!("bytes={}-", self.incoming.size());
        let mut headers = HeaderMap::new();
        headers.extend(HeaderValue::try_from(range).map(|range| (header::RANGE, range)));
        headers.insert(header::IF_RANGE, self.validator.value().clone());
        headers
    }

    /// If an answer of status 206 is the rest of this very body, the size of all of it.
    pub(super) fn continued_by(&self, headers: &HeaderMap) -> Option<u64> {
        let range: ContentRange = headers
            .get(header::CONTENT_RANGE)?
            .to_str()
            .ok()?
            .parse()
            .ok()?;
        let fits = range.first == self.incoming.size()
            && range.last + 1 == range.total
            && self.total.is_none_or(|total| total == range.total)
            && self.validator.is_unchanged_in(headers);
        fits.then_some(range.total)
    }
}

/// A `Content-Range` of bytes whose total is known (RFC 9110 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte, counted from 0.
    pub first: u64,
    /// The last byte; within the total and not before the first.
    pub last: u64,
    /// The size of the whole.
    pub total: u64,
}

/// A text that is no [`ContentRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no range of bytes of a known total")]
pub struct NoContentRange;

impl FromStr for ContentRange {
    type Err = NoContentRange;

    fn from_str(text: &str) -> Result<Self, NoContentRange> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| digits)
        };
        let read = || {
            let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            let range = Self {
                first: number(first)?,
                last: number(last)?,
                total: number(total)?,
            };
            (range.first <= range.last && range.last < range.total).then_some(range)
        };
        read().ok_or(NoContentRange)
    }
}

/// How long a server asks to be left alone, by the value of its `Retry-After` (RFC 9110 10.2.3):
/// seconds, or a date.
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let text = value.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than a number holds are for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let parsed = list.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        });
        parsed.collect()
    }

    #[test]
    fn only_strong_validators_are_any() {
        let validator = |list: &[(&str, &str)]| Validator::of(&headers(list));
        let (early, late) = (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:38 GMT",
        );
        let date = ("date", late);
        assert_eq!(
            validator(&[("etag", "\"a\""), ("last-modified", early), date]),
            Some(Validator::Tag(HeaderValue::from_static("\"a\"")))
        );
        assert_eq!(
            validator(&[("last-modified", early), date]),
            Some(Validator::Date(HeaderValue::from_static(early)))
        );
        for weak in [
            &[("etag", "W/\"a\""), ("last-modified", early), date][..],
            &[("etag", "a")],
            &[("etag", "\""), date],
            &[("last-modified", late), date],
            &[("last-modified", early)],
            &[("last-modified", "yesterday"), date],
            &[],
        ] {
            assert_eq!(validator(weak), None, "{weak:?}");
        }
    }

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(
            "bytes 5-9/10".parse(),
            Ok(ContentRange {
                first: 5,
                last: 9,
                total: 10
            })
        );
        for bad in [
            "",
            "bytes 5-9/*",
            "bytes */10",
            "bytes=5-9/10",
            "bytes 5-10/10",
            "bytes 9-5/10",
            "bytes +5-9/10",
            "bytes 5-9/10 ",
            "bytes  5-9/10",
            "items 5-9/10",
            "bytes 5-99999999999999999999/999999999999999999999",
            "bytes 5-/10",
        ] {
            assert_eq!(bad.parse::<ContentRange>(), Err(NoContentRange), "{bad}");
        }
    }

    #[test]
    fn a_server_asks_for_patience_in_seconds_or_with_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let asked = |text: &str| retry_after(text, now);
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            asked("Sun, 06 Nov 1994 08:49:57 GMT"),
            Some(Duration::from_secs(20))
        );
        assert_eq!(asked("Sat, 06 Nov 1993 08:49:57 GMT"), Some(Duration::ZERO));
        assert_eq!(
            asked("99999999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        for nonsense in ["", "soon", "-5", "1.5"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(first in 0..u64::MAX / 4, more in 0..u64::MAX / 4, after in 1..u64::MAX / 4) {
            let range = ContentRange { first, last: first + more, total: first + more + after };
            let text = format!("bytes {first}-{}/{}", range.last, range.total);
            prop_assert_eq!(text.parse(), Ok(range));
        }

        #[test]
        fn any_text_is_read_or_not(text in "(bytes )?[0-9*-]{0,12}[-/ ][0-9*]{0,6}(/[0-9*]{0,6})?|\\PC{0,40}") {
            if let Ok(range) = text.parse::<ContentRange>() {
                prop_assert!(range.first <= range.last && range.last < range.total);
            }
        }
    }
}
