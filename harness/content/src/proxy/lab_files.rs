//! Files of the lab over HTTP: whole, in part, or not at all because nothing changed.
//!
//! What package managers ask for (RFC 9110): `GET` and `HEAD`, `If-Modified-Since` (13.1.3),
//! `Range` of one range (14.2) with `If-Range` (13.1.5). Where the file is decided by
//! [`crate::lab_hosts`].

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use assay_wire::event::RequestDecision;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::body::{ProxyBody, StreamLimits};
use super::record::Recorder;
use super::{text_response, whole_response};
use crate::lab_hosts::{LabError, LabHosts};
use crate::url::WebUrl;

/// The lab's files, as the proxy serves them.
#[derive(Debug)]
pub(super) struct LabFiles {
    pub(super) lab: LabHosts,
    /// How long the peer may take for a piece of a file.
    pub(super) idle_time: Duration,
}

impl LabFiles {
    /// Answers a request for a file of the lab.
    pub(super) async fn answer(
        &self,
        request: &Request<Incoming>,
        url: &WebUrl,
        permit: OwnedSemaphorePermit,
        mut recorder: Recorder,
    ) -> Response<ProxyBody> {
        let (lab, wanted) = (self.lab.clone(), url.clone());
        let opened = tokio::task::spawn_blocking(move || lab.open(wanted.host(), wanted.path()));
        let mut found = match opened.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return no_file(&error, recorder),
            Err(_) => return failed("reading broke off", recorder),
        };
        let plan = plan(
            request.method(),
            request.headers(),
            found.size,
            found.modified,
        );
        recorder.decide(RequestDecision::Served, plan.status.as_u16());
        let body = match plan.range.filter(|_| *request.method() == Method::GET) {
            None => ProxyBody::empty(recorder),
            Some(range) => {
                if let Err(error) = found.file.seek(SeekFrom::Start(range.start)) {
                    return failed(&error.to_string(), recorder);
                }
                let limit = range.end - range.start;
                let limits = StreamLimits {
                    length: Some(limit),
                    limit,
                    idle_time: self.idle_time,
                    permit,
                };
                ProxyBody::streamed(found.file.take(limit), limits, recorder)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = plan.status;
        for (name, value) in plan.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn no_file(error: &LabError, recorder: Recorder) -> Response<ProxyBody> {
    let text = error
        .hint()
        .map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"));
    let failed = RequestDecision::Failed {
        reason: text.clone(),
    };
    match error {
        LabError::NotFound { .. } => whole_response(
            StatusCode::NOT_FOUND,
            RequestDecision::Served,
            text,
            recorder,
        ),
        LabError::NotBuilt => text_response(StatusCode::SERVICE_UNAVAILABLE, failed, recorder),
        LabError::Unreadable { .. } => {
            text_response(StatusCode::INTERNAL_SERVER_ERROR, failed, recorder)
        }
    }
}

fn failed(reason: &str, recorder: Recorder) -> Response<ProxyBody> {
    let decision = RequestDecision::Failed {
        reason: reason.to_owned(),
    };
    text_response(StatusCode::INTERNAL_SERVER_ERROR, decision, recorder)
}

/// How a file is answered.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    status: StatusCode,
    /// The bytes a `GET` sends; `None`: no body.
    range: Option<Range<u64>>,
    headers: Vec<(HeaderName, String)>,
}

fn plan(method: &Method, headers: &HeaderMap, size: u64, modified: SystemTime) -> Plan {
    // HTTP dates have whole seconds.
    let modified = modified
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let modified = UNIX_EPOCH + Duration::from_secs(modified);
    let last_modified = (header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
    let date = |name| single(headers, name).and_then(|text| httpdate::parse_http_date(text).ok());
    if date(header::IF_MODIFIED_SINCE).is_some_and(|since| modified <= since) {
        return Plan {
            status: StatusCode::NOT_MODIFIED,
            range: None,
            headers: vec![last_modified],
        };
    }
    let condition_holds =
        !headers.contains_key(header::IF_RANGE) || date(header::IF_RANGE) == Some(modified);
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
        last_modified,
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
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
        plan(method, &map, 1000, modified)
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

    proptest! {
        #[test]
        fn a_range_lies_within_the_file(text in "bytes=[0-9]{0,21}-[0-9]{0,21}|.*", size in 0u64..5000) {
            if let Some(Some(range)) = parse_range(&text, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
