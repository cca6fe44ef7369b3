//! Requests that are passed on, over plain http as most base repositories are, or over TLS.
//!
//! `GET` and `HEAD` come without a body; anything else over TLS alone, with one of bounded size that was
//! read whole, so that nothing of how the peer framed it goes on. The client is the one of [`crate::fetch`], so
//! addresses are checked on the very connection; it blocks, and so runs on a thread of its own and
//! streams into the answer. Redirects are passed on, not followed: the guest's tool decides. One from
//! https down to http is refused, because not every tool does.

use std::io::{self, Cursor, Read};
use std::time::Duration;

use assay_wire::event::RequestDecision;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::body::{ProxyBody, StreamLimits};
use super::keeping::{Keeping, Tee};
use super::names::{LONGEST_LIST, Names, lists_mirrors};
use super::record::Recorder;
use super::{leads_down, refused, text_response};
use crate::fetch::FetchError;
use crate::fetch::agent::Client;
use crate::url::WebUrl;

/// Headers that concern one connection only (RFC 9110 7.6.1), with those of proxies.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The way out.
#[derive(Debug)]
pub(super) struct Forwarder {
    pub(super) client: Client,
    /// Which bodies are kept while they pass.
    pub(super) keeping: Option<Keeping>,
    /// Most bytes of one body.
    pub(super) max_bytes: u64,
    /// How long the peer may take for a piece of it.
    pub(super) idle_time: Duration,
}

impl Forwarder {
    /// Passes a request on and answers with what comes back.
    pub(super) async fn answer(
        &self,
        (request, sent_body): (&Request<()>, Option<Vec<u8>>),
        url: &WebUrl,
        names: Option<&Names>,
        permit: OwnedSemaphorePermit,
        mut recorder: Recorder,
    ) -> Response<ProxyBody> {
        let (method, headers) = (request.method(), end_to_end(request.headers()));
        let (client, wanted, with) = (self.client.clone(), url.clone(), method.clone());
        let sent = tokio::task::spawn_blocking(move || match sent_body {
            None => client.send(&with, &wanted, &headers, None),
            Some(body) => client.send_body(&with, &wanted, &headers, body),
        })
        .await;
        let answer = match sent {
            Ok(Ok(answer)) if !answer.status().is_informational() => answer,
            Ok(Ok(_)) => return failed("the server switched protocols", recorder),
            Ok(Err(error)) => return not_reached(&error, recorder),
            Err(_) => return failed("the request broke off", recorder),
        };
        let (parts, body) = answer.into_parts();
        recorder.decide(RequestDecision::Forwarded, parts.status.as_u16());
        let location = parts.headers.get(header::LOCATION);
        if let Some(location) = location.and_then(|at| at.to_str().ok()) {
            if let Some(reason) = leads_down(url, location) {
                return refused(StatusCode::FORBIDDEN, &reason, recorder);
            }
            names.inspect(|names| names.follow(url, location));
        }
        let length = body.content_length();
        let has_no_body = *method == Method::HEAD
            || parts.status == StatusCode::NOT_MODIFIED
            || parts.status == StatusCode::NO_CONTENT;
        let body = if has_no_body {
            ProxyBody::empty(recorder)
        } else {
            let reader = body.into_with_config().limit(u64::MAX).reader();
            let is_whole = *method == Method::GET && parts.status == StatusCode::OK;
            let keeping = self.keeping.as_ref().filter(|_| is_whole);
            let reader = Tee::of(reader, length, (keeping, url));
            let limits = StreamLimits {
                length,
                limit: self.max_bytes,
                idle_time: self.idle_time,
                permit,
            };
            match names.filter(|_| lists_mirrors(url)) {
                None => ProxyBody::streamed(reader, limits, recorder),
                // The hosts it names have to be known before the peer can ask them.
                Some(names) => match read_list(reader).await {
                    Ok(list) => {
                        names.read_list(&list);
                        ProxyBody::streamed(Cursor::new(list), limits, recorder)
                    }
                    Err(error) => return failed(&error.to_string(), recorder),
                },
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = parts.status;
        *response.headers_mut() = end_to_end(&parts.headers);
        response
    }
}

/// Reads a list of mirrors, whole.
async fn read_list(reader: impl Read + Send + 'static) -> io::Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(move || {
        let mut list = Vec::new();
        let read = reader.take(LONGEST_LIST + 1).read_to_end(&mut list)?;
        if read as u64 > LONGEST_LIST {
            let message = format!("the list of mirrors is larger than {LONGEST_LIST} bytes");
            return Err(io::Error::other(message));
        }
        Ok(list)
    });
    read.await.map_err(io::Error::other)?
}

fn not_reached(error: &FetchError, recorder: Recorder) -> Response<ProxyBody> {
    if let FetchError::RefusedAddress { refusal, .. } = error {
        let decision = RequestDecision::Refused {
            reason: refusal.to_string(),
        };
        return text_response(StatusCode::FORBIDDEN, decision, recorder);
    }
    failed(&error.to_string(), recorder)
}

fn failed(reason: &str, recorder: Recorder) -> Response<ProxyBody> {
    let decision = RequestDecision::Failed {
        reason: reason.to_owned(),
    };
    text_response(StatusCode::BAD_GATEWAY, decision, recorder)
}

/// The headers that are for the other end: without those of the connection, those `Connection`
/// names, and `Host`, which follows from the URL (RFC 9112 3.2.2).
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let passes = |name: &HeaderName| {
        !HOP_BY_HOP.contains(name)
            && *name != header::HOST
            && *name != header::EXPECT
            && name.as_str() != "proxy-connection"
            && !named.iter().any(|other| other == name.as_str())
    };
    headers
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_stay_with_the_connection() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "example.org"),
            ("connection", "close, X-Secret"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("keep-alive", "5"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "close"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("if-modified-since", "then"),
            ("range", "bytes=0-"),
            ("user-agent", "apt"),
        ] {
            headers.append(
                HeaderName::from_static(name),
                value.parse().expect("a value"),
            );
        }
        let passed = end_to_end(&headers);
        let mut names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["if-modified-since", "range", "user-agent"]);
    }
}
