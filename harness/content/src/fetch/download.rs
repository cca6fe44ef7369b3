//! The body of one URL: attempts with pauses between them, redirects, and going on where a body broke
//! off. What comes is counted and hashed here and judged by [`super`].

use std::io::{self, Read};
use std::thread;
use std::time::Instant;

use ureq::Body;
use ureq::http::{HeaderMap, Method, Response, header};

use super::patience::{Patience, status_fault};
use super::resume::{Partial, Validator};
use super::{FetchError, Fetcher, PIECE, PlainHttp};
use crate::lab_hosts::LabError;
use crate::store::{Incoming, Store, StoreError};
use crate::url::{Scheme, WebUrl};

/// A body that came to its end.
pub(super) struct Download {
    /// Its bytes.
    pub(super) incoming: Incoming,
    /// True if it was put together of more than one answer.
    pub(super) resumed: bool,
}

/// Whether a body that broke off may be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// Where the server says that the rest belongs to it.
    Allowed,
    /// Never: each attempt begins anew.
    Never,
}

/// A download that goes on: what the attempts share.
struct Attempts<'a> {
    fetcher: &'a Fetcher,
    store: &'a Store,
    deadline: Instant,
    resume: Resume,
    partial: Option<Partial>,
}

impl Fetcher {
    /// Fetches a body, in as many attempts as the policy allows where trying again can help.
    pub(super) fn download(
        &self,
        url: &WebUrl,
        store: &Store,
        resume: Resume,
    ) -> Result<Download, FetchError> {
        let mut attempts = Attempts {
            fetcher: self,
            store,
            deadline: Instant::now() + self.policy.total_time,
            resume,
            partial: None,
        };
        let mut patience = Patience {
            again: self.policy.max_attempts.saturating_sub(1),
            pause: self.policy.first_pause,
            longest: self.policy.longest_pause,
        };
        loop {
            let error = match attempts.one(url) {
                Ok(download) => return Ok(download),
                Err(error) => error,
            };
            let wait = patience.wait_after(&error).filter(|wait| {
                let then = Instant::now().checked_add(*wait);
                then.is_some_and(|then| then < attempts.deadline)
            });
            match wait {
                Some(wait) => thread::sleep(wait),
                None => return Err(error),
            }
        }
    }

    pub(super) fn check_scheme(&self, url: &WebUrl) -> Result<(), FetchError> {
        match (url.scheme(), self.policy.plain_http) {
            (Scheme::Https, PlainHttp::Refused | PlainHttp::Allowed)
            | (Scheme::Http, PlainHttp::Allowed) => Ok(()),
            (Scheme::Http, PlainHttp::Refused) => Err(FetchError::PlainHttp {
                url: url.redacted(),
            }),
        }
    }

    /// Where a redirect leads, if it may be followed: never from https down to http.
    pub(super) fn redirected(
        &self,
        url: &WebUrl,
        location: Option<&str>,
    ) -> Result<WebUrl, FetchError> {
        let refused = |reason: String| FetchError::Redirect {
            url: url.redacted(),
            reason,
        };
        let location = location.ok_or_else(|| refused("without saying where to".to_owned()))?;
        let next = url
            .join(location)
            .map_err(|error| refused(format!("to a place that {}", error.fault)))?;
        if leads_down(url, &next) || self.check_scheme(&next).is_err() {
            return Err(refused(format!(
                "to `{}`, which is plain http",
                next.redacted()
            )));
        }
        Ok(next)
    }
}

/// True if a redirect leads from https down to http, where anybody on the way could answer.
pub(crate) fn leads_down(url: &WebUrl, next: &WebUrl) -> bool {
    url.scheme() == Scheme::Https && next.scheme() == Scheme::Http
}

impl Attempts<'_> {
    /// One attempt: follows redirects to the content.
    fn one(&mut self, start: &WebUrl) -> Result<Download, FetchError> {
        let fetcher = self.fetcher;
        let mut url = start.clone();
        fetcher.check_scheme(&url)?;
        for _ in 0..=fetcher.policy.max_redirects {
            if url.host().is_lab() {
                match self.copy_lab_file(&url) {
                    Err(FetchError::Lab {
                        source: LabError::Moved { location },
                        ..
                    }) => url = fetcher.redirected(&url, Some(&location))?,
                    copied => return copied,
                }
                continue;
            }
            // A validator is one of the URL's own: what came from elsewhere has another.
            let begun = self.partial.as_ref().filter(|partial| partial.url == url);
            let headers = begun.map_or_else(HeaderMap::new, Partial::request);
            let left = self.deadline.saturating_duration_since(Instant::now());
            let response = fetcher
                .client
                .send(&Method::GET, &url, &headers, Some(left))?;
            let rest = begun.and_then(|partial| partial.continued_by(response.headers()));
            match (response.status().as_u16(), rest, headers.is_empty()) {
                (200, _, _) => {
                    let incoming = self.store.incoming().map_err(|it| stored(&url, it))?;
                    let total = response.body().content_length();
                    return self.copy_body(&url, response, incoming, total);
                }
                (206, Some(total), false) => {
                    if let Some(partial) = self.partial.take() {
                        return self.copy_body(&url, response, partial.incoming, Some(total));
                    }
                }
                // It is another body by now, or the server is confused: from the beginning.
                (206 | 416, _, false) => self.partial = None,
                (301 | 302 | 303 | 307 | 308, _, _) => {
                    let location = response.headers().get(header::LOCATION);
                    let location = location.and_then(|value| value.to_str().ok());
                    url = fetcher.redirected(&url, location)?;
                }
                (status, _, _) => return Err(status_fault(&url, status, response.headers())),
            }
        }
        let reason = format!("more than {} times", fetcher.policy.max_redirects);
        Err(FetchError::Redirect {
            url: start.redacted(),
            reason,
        })
    }

    fn copy_lab_file(&self, url: &WebUrl) -> Result<Download, FetchError> {
        let mut found = self
            .fetcher
            .lab
            .open(url.host(), url.path())
            .map_err(|source| FetchError::Lab {
                url: url.redacted(),
                source,
            })?;
        let mut incoming = self.store.incoming().map_err(|it| stored(url, it))?;
        self.copy(url, &mut found.file, &mut incoming, |error| {
            stored(url, StoreError::Source(error))
        })?;
        Ok(Download {
            incoming,
            resumed: false,
        })
    }

    /// Copies a body behind what has come of it before.
    fn copy_body(
        &mut self,
        url: &WebUrl,
        response: Response<Body>,
        mut incoming: Incoming,
        total: Option<u64>,
    ) -> Result<Download, FetchError> {
        let limit = self.fetcher.policy.max_bytes;
        if total.is_some_and(|total| total > limit) {
            return Err(FetchError::TooLarge {
                url: url.redacted(),
                limit,
            });
        }
        let resumed = incoming.size() > 0;
        let validator = Validator::of(response.headers());
        // The client has a limit of its own (10 MB) unless told otherwise; ours is checked in `copy`.
        let body = response.into_body().into_with_config();
        let mut body = UntilDeadline {
            inner: body.limit(u64::MAX).reader(),
            deadline: self.deadline,
        };
        let unreachable = |error: io::Error| FetchError::from_client(url.redacted(), error.into());
        let copied = self.copy(url, &mut body, &mut incoming, unreachable);
        let copied = copied.and_then(|()| match total {
            Some(total) if total != incoming.size() => Err(FetchError::Unreachable {
                url: url.redacted(),
                reason: format!("{} of {total} bytes came", incoming.size()),
            }),
            Some(_) | None => Ok(()),
        });
        match (copied, validator) {
            (Ok(()), _) => Ok(Download { incoming, resumed }),
            (Err(error @ FetchError::Unreachable { .. }), Some(validator))
                if self.resume == Resume::Allowed && incoming.size() > 0 =>
            {
                self.partial = Some(Partial {
                    url: url.clone(),
                    validator,
                    total,
                    incoming,
                });
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn copy(
        &self,
        url: &WebUrl,
        reader: &mut dyn Read,
        incoming: &mut Incoming,
        read_error: impl Fn(io::Error) -> FetchError,
    ) -> Result<(), FetchError> {
        let limit = self.fetcher.policy.max_bytes;
        let mut piece = vec![0; PIECE];
        loop {
            let length = reader.read(&mut piece).map_err(&read_error)?;
            if length == 0 {
                return Ok(());
            }
            if incoming.size() + length as u64 > limit {
                return Err(FetchError::TooLarge {
                    url: url.redacted(),
                    limit,
                });
            }
            let written = incoming.write(&piece[..length]);
            written.map_err(|source| stored(url, source))?;
        }
    }
}

fn stored(url: &WebUrl, source: StoreError) -> FetchError {
    FetchError::Store {
        url: url.redacted(),
        source,
    }
}

/// Ends a body that keeps dripping: the client's own limits only see single reads.
struct UntilDeadline<R> {
    inner: R,
    deadline: Instant,
}

impl<R: Read> Read for UntilDeadline<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the total time limit is over",
            ));
        }
        self.inner.read(buffer)
    }
}
