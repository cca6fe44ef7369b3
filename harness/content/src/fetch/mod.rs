//! The one outgoing HTTP path: bounded in time and size, checked by address, verified by hash.
//!
//! Blocking: a caller on an async runtime wraps it in `spawn_blocking`. [`Fetcher::fetch_verified`]
//! is for content (recipes' keys and files, later pins and images); the proxy's plain-http upstream
//! uses the same client. Bytes whose hash is not the expected one are never given out: they are kept
//! as evidence in the store. Nothing here knows what the bytes mean.
//!
//! Behind an upstream proxy of the user's ([`crate::upstream`]) resolved addresses are that proxy's
//! own matter. Otherwise the address is checked after name resolution, on the very addresses the
//! connection is then made to.

pub(crate) mod agent;
mod error;

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use assay_wire::digest::Digest;
use ureq::Body;
use ureq::http::{HeaderMap, Method, Response, header};

use self::agent::{Client, TimeLimits};
pub use self::error::{FetchError, Mismatch};
use crate::address::AddressPolicy;
use crate::lab_hosts::LabHosts;
use crate::store::{Blob, Incoming, MismatchFacts, Store, StoreError};
use crate::upstream::UpstreamProxies;
use crate::url::{Scheme, WebUrl};

/// Bytes are read from the network in pieces of this size.
const PIECE: usize = 128 * 1024;

/// What may be fetched, and how much of it.
#[derive(Debug, Clone)]
pub struct FetchPolicy {
    /// Which addresses may be connected to.
    pub addresses: AddressPolicy,
    /// Whether plain http is followed.
    pub plain_http: PlainHttp,
    /// Most bytes of one body.
    pub max_bytes: u64,
    /// Most redirects followed.
    pub max_redirects: u32,
    /// Most attempts, at least one is made; only what can recover is tried again.
    pub max_attempts: u32,
    /// Pause before the second attempt; it doubles with every further one.
    pub first_pause: Duration,
    /// Limit for resolving a name, and for connecting.
    pub connect_time: Duration,
    /// Limit for a single read or write without progress.
    pub idle_time: Duration,
    /// Limit for everything together: all attempts, redirects and pauses.
    pub total_time: Duration,
}

/// Whether plain http is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only https: the content of recipes.
    Refused,
    /// Also http: base repositories of images, whose packages are signed. An https URL never
    /// redirects to one.
    Allowed,
}

impl Default for FetchPolicy {
    /// For the content of recipes: https only, public addresses, 2 GiB, 5 redirects, 4 attempts,
    /// 30 minutes.
    fn default() -> Self {
        Self {
            addresses: AddressPolicy::public_only(),
            plain_http: PlainHttp::Refused,
            max_bytes: 2 << 30,
            max_redirects: 5,
            max_attempts: 4,
            first_pause: Duration::from_millis(500),
            connect_time: Duration::from_secs(15),
            idle_time: Duration::from_secs(60),
            total_time: Duration::from_secs(30 * 60),
        }
    }
}

/// Fetches by one policy. Connections are kept and reused; cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    policy: FetchPolicy,
    lab: LabHosts,
    client: Client,
}

impl Fetcher {
    /// A fetcher with a policy, the lab's hosts, and the user's upstream proxies.
    #[must_use]
    pub fn new(policy: FetchPolicy, lab: LabHosts, upstream: UpstreamProxies) -> Self {
        let limits = TimeLimits {
            connect: policy.connect_time,
            idle: policy.idle_time,
            total: policy.total_time,
        };
        let client = Client::new(policy.addresses.clone(), upstream, limits);
        Self {
            policy,
            lab,
            client,
        }
    }

    /// The content with a known hash: from the store if it is there, else fetched, verified and
    /// stored.
    ///
    /// # Errors
    /// See [`FetchError`]. On [`FetchError::Mismatch`] the bytes are kept as evidence in the store.
    pub fn fetch_verified(
        &self,
        url: &str,
        expected: &Digest,
        store: &Store,
    ) -> Result<Blob, FetchError> {
        let url: WebUrl = url.parse()?;
        let stored = |source| FetchError::Store {
            url: url.redacted(),
            source,
        };
        if let Some(blob) = store.path(expected).map_err(stored)? {
            return Ok(blob);
        }
        let incoming = self.fetch_with_retries(&url, store)?;
        let (actual, size) = (incoming.digest(), incoming.size());
        if actual == *expected {
            return incoming.commit().map_err(stored);
        }
        let origin = url.redacted();
        let facts = MismatchFacts {
            origin: &origin,
            expected: *expected,
        };
        let evidence = incoming.keep_as_evidence(facts).map_err(stored)?;
        Err(FetchError::Mismatch(Box::new(Mismatch {
            url: origin,
            expected: *expected,
            actual,
            size,
            evidence,
        })))
    }

    /// The content of a URL as it is now, whatever its hash: fetched even if the store has it, and
    /// stored.
    ///
    /// # Errors
    /// See [`FetchError`]; never [`FetchError::Mismatch`].
    pub fn fetch(&self, url: &str, store: &Store) -> Result<Blob, FetchError> {
        let url: WebUrl = url.parse()?;
        let incoming = self.fetch_with_retries(&url, store)?;
        incoming.commit().map_err(|source| FetchError::Store {
            url: url.redacted(),
            source,
        })
    }

    fn fetch_with_retries(&self, url: &WebUrl, store: &Store) -> Result<Incoming, FetchError> {
        let deadline = Instant::now() + self.policy.total_time;
        let mut pause = self.policy.first_pause;
        let mut attempt = 1;
        loop {
            match self.fetch_once(url, store, deadline) {
                Err(error)
                    if error.retry_helps()
                        && attempt < self.policy.max_attempts
                        && Instant::now() + pause < deadline =>
                {
                    thread::sleep(pause);
                    pause *= 2;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// One attempt: follows redirects to the content.
    fn fetch_once(
        &self,
        start: &WebUrl,
        store: &Store,
        deadline: Instant,
    ) -> Result<Incoming, FetchError> {
        let mut url = start.clone();
        self.check_scheme(&url)?;
        for _ in 0..=self.policy.max_redirects {
            if url.host().is_lab() {
                return self.copy_lab_file(&url, store);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let response = self
                .client
                .send(&Method::GET, &url, &HeaderMap::new(), Some(left))?;
            match response.status().as_u16() {
                200 => return self.copy_body(&url, response, store, deadline),
                301 | 302 | 303 | 307 | 308 => url = self.redirected(&url, &response)?,
                status => {
                    return Err(FetchError::Status {
                        url: url.redacted(),
                        status,
                    });
                }
            }
        }
        let reason = format!("more than {} times", self.policy.max_redirects);
        Err(FetchError::Redirect {
            url: start.redacted(),
            reason,
        })
    }

    /// True if a host answers over https by the policy's rules and the user's upstream proxy,
    /// whatever it answers with; for a lab host, if the lab is built. Asked once, for at most ten
    /// seconds.
    #[must_use]
    pub fn answers(&self, host: &str) -> bool {
        let Ok(url) = format!("https://{host}/").parse::<WebUrl>() else {
            return false;
        };
        if url.host().is_lab() {
            return self.lab.repositories.is_some();
        }
        let patience = Duration::from_secs(10);
        self.client
            .send(&Method::HEAD, &url, &HeaderMap::new(), Some(patience))
            .is_ok()
    }

    fn check_scheme(&self, url: &WebUrl) -> Result<(), FetchError> {
        match (url.scheme(), self.policy.plain_http) {
            (Scheme::Https, PlainHttp::Refused | PlainHttp::Allowed)
            | (Scheme::Http, PlainHttp::Allowed) => Ok(()),
            (Scheme::Http, PlainHttp::Refused) => Err(FetchError::PlainHttp {
                url: url.redacted(),
            }),
        }
    }

    /// Where a redirect leads, if it may be followed: never from https down to http.
    fn redirected(&self, url: &WebUrl, response: &Response<Body>) -> Result<WebUrl, FetchError> {
        let refused = |reason: String| FetchError::Redirect {
            url: url.redacted(),
            reason,
        };
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| refused("without saying where to".to_owned()))?;
        let next = url
            .join(location)
            .map_err(|error| refused(format!("to a place that {}", error.fault)))?;
        let downgrade = url.scheme() == Scheme::Https && next.scheme() == Scheme::Http;
        if downgrade || self.check_scheme(&next).is_err() {
            return Err(refused(format!(
                "to `{}`, which is plain http",
                next.redacted()
            )));
        }
        Ok(next)
    }

    fn copy_lab_file(&self, url: &WebUrl, store: &Store) -> Result<Incoming, FetchError> {
        let mut found =
            self.lab
                .open(url.host(), url.path())
                .map_err(|source| FetchError::Lab {
                    url: url.redacted(),
                    source,
                })?;
        self.copy(url, &mut found.file, store, |error| FetchError::Store {
            url: url.redacted(),
            source: StoreError::Source(error),
        })
    }

    fn copy_body(
        &self,
        url: &WebUrl,
        response: Response<Body>,
        store: &Store,
        deadline: Instant,
    ) -> Result<Incoming, FetchError> {
        let body = response.into_body();
        if body
            .content_length()
            .is_some_and(|length| length > self.policy.max_bytes)
        {
            return Err(FetchError::TooLarge {
                url: url.redacted(),
                limit: self.policy.max_bytes,
            });
        }
        // The client has a limit of its own (10 MB) unless told otherwise; ours is checked in `copy`.
        let body = body.into_with_config().limit(u64::MAX).reader();
        let mut body = UntilDeadline {
            inner: body,
            deadline,
        };
        self.copy(url, &mut body, store, |error| {
            FetchError::from_client(url.redacted(), error.into())
        })
    }

    fn copy(
        &self,
        url: &WebUrl,
        reader: &mut dyn Read,
        store: &Store,
        read_error: impl Fn(std::io::Error) -> FetchError,
    ) -> Result<Incoming, FetchError> {
        let stored = |source| FetchError::Store {
            url: url.redacted(),
            source,
        };
        let mut incoming = store.incoming().map_err(stored)?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = reader.read(&mut piece).map_err(&read_error)?;
            if length == 0 {
                return Ok(incoming);
            }
            if incoming.size() + length as u64 > self.policy.max_bytes {
                return Err(FetchError::TooLarge {
                    url: url.redacted(),
                    limit: self.policy.max_bytes,
                });
            }
            incoming.write(&piece[..length]).map_err(stored)?;
        }
    }
}

/// Ends a body that keeps dripping: the client's own limits only see single reads.
struct UntilDeadline<R> {
    inner: R,
    deadline: Instant,
}

impl<R: Read> Read for UntilDeadline<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "the total time limit is over",
            ));
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests;
