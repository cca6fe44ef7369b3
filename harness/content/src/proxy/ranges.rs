//! How bytes of a known number are answered: whole, in part, or not at all because nothing changed.
//!
//! What package managers ask for (RFC 9110): `GET` and `HEAD`, `If-Modified-Since` (13.1.3),
//! `Range` of one range (14.2) with `If-Range` (13.1.5).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, StatusCode};

/// How a file is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) status: StatusCode,
    /// The bytes a `GET` sends; `None`: no body.
    pub(super) range: Option<Range<u64>>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

/// How these many bytes are answered. Without a date of change no condition about one can hold: they
/// are sent whole.
pub(super) fn plan(
    method: &Method,
    headers: &HeaderMap,
    size: u64,
    modified: Option<SystemTime>,
) -> Plan {
    // HTTP dates have whole seconds.
    let modified = modified.map(|modified| {
        let since = modified.duration_since(UNIX_EPOCH);
        UNIX_EPOCH + Duration::from_secs(since.map_or(0, |since| since.as_secs()))
    });
    let last_modified =
        modified.map(|modified| (header::LAST_MODIFIED, httpdate::fmt_http_date(modified)));
    let date = |name| single(headers, name).and_then(|text| httpdate::parse_http_date(text).ok());
    if let (Some(modified), Some(since)) = (modified, date(header::IF_MODIFIED_SINCE))
        && modified <= since
    {
        return Plan {
            status: StatusCode::NOT_MODIFIED,
            range: None,
            headers: last_modified.into_iter().collect(),
        };
    }
    let condition_holds = !headers.contains_key(header::IF_RANGE)
        || (modified.is_some() && date(header::IF_RANGE) == modified);
    let requested =
        single(headers, header::RANGE).filter(|_| condition_holds && *method == Method::GET);
    let (status, range, content_range) = match requested.and_then(|text| parse_range(text, size)) {
        None => (StatusCode::OK, Some(0..size), None),
        Some(Some(range)) => {
            let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, Some(range), Some(shown))
        }
        Some(None) => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            None,
            Some(format!("bytes */{size}")),
        ),
    };
    let length = range.as_ref().map_or(0, |range| range.end - range.start);
    let mut answered = vec![
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    answered.extend(last_modified);
    answered.extend(content_range.map(|shown| (header::CONTENT_RANGE, shown)));
    Plan {
        status,
        range,
        headers: answered,
    }
}

/// Reads `bytes=first-last`, `bytes=first-` or `bytes=-suffix`. The outer `None`: no range, or one
/// that is ignored (several ranges, other units, malformed; RFC 9110 14.2); the inner one: a range
/// that cannot be met.
fn parse_range(text: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |digits: &str| {
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // A number too large for 64 bits is still a number.
        all_digits.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let range = match (first, last) {
        ("", suffix) => size.saturating_sub(number(suffix)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(Some(range).filter(|range| range.start < range.end))
}

/// The value of a header that stands exactly once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    values
        .next()
        .filter(|_| values.next().is_none())?
        .to_str()
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: &str = "Sun, 06 Nov 1994 12:00:00 GMT";

    fn planned(method: &Method, headers: &[(HeaderName, &str)]) -> Plan {
        let map = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a value")))
            .collect();
        let modified =
            httpdate::parse_http_date(NOON).expect("a date") + Duration::from_millis(700);
        plan(method, &map, 1000, Some(modified))
    }

    fn header_of(plan: &Plan, name: &HeaderName) -> Option<String> {
        plan.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    }

    #[test]
    fn a_file_is_not_sent_again_when_it_did_not_change() {
        for (since, status) in [
            (NOON, 304),
            ("Sun, 06 Nov 1994 12:00:01 GMT", 304),
            ("Sun, 06 Nov 1994 11:59:59 GMT", 200),
            ("Sunday, 06-Nov-94 12:00:00 GMT", 304),
            ("nonsense", 200),
        ] {
            let plan = planned(
                &Method::GET,
                &[
                    (header::IF_MODIFIED_SINCE, since),
                    (header::RANGE, "bytes=0-"),
                ],
            );
            assert_eq!(plan.status.as_u16() == 304, status == 304, "{since}");
            assert_eq!(plan.range.is_none(), status == 304, "{since}");
            assert_eq!(
                header_of(&plan, &header::LAST_MODIFIED).as_deref(),
                Some(NOON)
            );
        }
    }

    #[test]
    fn ranges_are_met_ignored_or_refused() {
        for (range, answered) in [
            ("bytes=0-", Ok(0..1000)),
            ("bytes=10-19", Ok(10..20)),
            ("bytes=990-5000", Ok(990..1000)),
            ("bytes=-5", Ok(995..1000)),
            ("bytes=-5000", Ok(0..1000)),
            ("bytes=999-", Ok(999..1000)),
            ("bytes=0-99999999999999999999999", Ok(0..1000)),
            ("bytes=1000-", Err(416)),
            ("bytes=-0", Err(416)),
            ("bytes=99999999999999999999999-", Err(416)),
            ("bytes=5-4", Err(200)),
            ("bytes=1-2,4-5", Err(200)),
            ("items=1-2", Err(200)),
            ("bytes=a-b", Err(200)),
            ("bytes=+1-2", Err(200)),
            ("bytes=-", Err(200)),
            ("bytes=", Err(200)),
        ] {
            let plan = planned(&Method::GET, &[(header::RANGE, range)]);
            match answered {
                Ok(bytes) => {
                    assert_eq!(
                        (plan.status.as_u16(), plan.range.clone()),
                        (206, Some(bytes.clone())),
                        "{range}"
                    );
                    let shown = format!("bytes {}-{}/1000", bytes.start, bytes.end - 1);
                    assert_eq!(header_of(&plan, &header::CONTENT_RANGE), Some(shown));
                }
                Err(status) => {
                    assert_eq!(plan.status.as_u16(), status, "{range}");
                    assert_eq!(plan.range.is_some(), status == 200, "{range}");
                }
            }
        }
        let head = planned(&Method::HEAD, &[(header::RANGE, "bytes=0-1")]);
        assert_eq!(
            (
                head.status.as_u16(),
                header_of(&head, &header::CONTENT_LENGTH).as_deref()
            ),
            (200, Some("1000"))
        );
        for (if_range, status) in [
            (NOON, 206),
            ("Sun, 06 Nov 1994 12:00:01 GMT", 200),
            ("\"etag\"", 200),
        ] {
            let plan = planned(
                &Method::GET,
                &[(header::RANGE, "bytes=5-"), (header::IF_RANGE, if_range)],
            );
            assert_eq!(plan.status.as_u16(), status, "{if_range}");
        }
    }

    #[test]
    fn without_a_date_no_condition_holds() {
        let mut headers = HeaderMap::new();
        let date = || NOON.parse().expect("a value");
        headers.insert(header::IF_MODIFIED_SINCE, date());
        let answered = plan(&Method::GET, &headers, 10, None);
        assert_eq!(
            (answered.status.as_u16(), answered.range),
            (200, Some(0..10))
        );
        headers.insert(header::IF_RANGE, date());
        headers.insert(header::RANGE, "bytes=1-".parse().expect("a value"));
        assert_eq!(plan(&Method::GET, &headers, 10, None).status.as_u16(), 200);
        headers.remove(header::IF_RANGE);
        assert_eq!(plan(&Method::GET, &headers, 10, None).range, Some(1..10));
    }

    proptest! {
        #[test]
        fn a_range_lies_within_the_file(text in "bytes=[0-9]{0,21}-[0-9]{0,21}|.*", size in 0u64..5000) {
            if let Some(Some(range)) = parse_range(&text, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
