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
mod download;
mod error;
mod mirror;
pub(crate) mod patience;
pub mod resume;

use std::time::Duration;

use assay_wire::digest::Digest;
use ureq::http::{HeaderMap, Method};

use self::agent::{Client, TimeLimits};
use self::download::Resume;
pub(crate) use self::download::leads_down;
pub use self::error::{FetchError, Mismatch};
pub use self::mirror::{MirrorError, Mirrors};
use crate::address::AddressPolicy;
use crate::lab_hosts::LabHosts;
use crate::store::{Blob, MismatchFacts, Store};
use crate::upstream::UpstreamProxies;
use crate::url::WebUrl;

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
    /// Pause before the second attempt; it doubles with every further one, and up to half of each is
    /// left out by chance.
    pub first_pause: Duration,
    /// Longest pause. A server that asks for a longer one (`Retry-After`) is not asked again.
    pub longest_pause: Duration,
    /// Limit for resolving a name, and for connecting.
    pub connect_time: Duration,
    /// Limit for a single read or write without progress.
    pub idle_time: Duration,
    /// Limit for everything together at one place: all attempts, redirects and pauses.
    pub total_time: Duration,
    /// Where else content may be had.
    pub mirrors: Mirrors,
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
    /// For the content of recipes: https only, public addresses, 2 GiB, 5 redirects, 4 attempts with
    /// pauses of at most a minute, 30 minutes, no mirrors.
    fn default() -> Self {
        Self {
            addresses: AddressPolicy::public_only(),
            plain_http: PlainHttp::Refused,
            max_bytes: 2 << 30,
            max_redirects: 5,
            max_attempts: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            connect_time: Duration::from_secs(15),
            idle_time: Duration::from_secs(60),
            total_time: Duration::from_secs(30 * 60),
            mirrors: Mirrors::default(),
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
    /// stored. Where the URL does not give it, its mirrors are asked, in order.
    ///
    /// # Errors
    /// See [`FetchError`]. On a mismatch the bytes are kept as evidence in the store; it is reported
    /// only if nothing else gave the right ones.
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
        let mirrors = self.policy.mirrors.of(&url);
        let mut failures = Vec::new();
        for place in std::iter::once(&url).chain(&mirrors) {
            match self.fetch_from(place, expected, store) {
                Ok(blob) => return Ok(blob),
                // No other place mends this machine's disk.
                Err(error @ FetchError::Store { .. }) => return Err(error),
                Err(error) => failures.push(error),
            }
        }
        Err(FetchError::of_places(failures))
    }

    /// One place of the content: the bytes it gives, verified.
    fn fetch_from(
        &self,
        url: &WebUrl,
        expected: &Digest,
        store: &Store,
    ) -> Result<Blob, FetchError> {
        let stored = |source| FetchError::Store {
            url: url.redacted(),
            source,
        };
        let mut download = self.download(url, store, Resume::Allowed)?;
        if download.resumed && download.incoming.digest() != *expected {
            // The two parts may not belong together: that is no mismatch before it came in one piece.
            download = self.download(url, store, Resume::Never)?;
        }
        let incoming = download.incoming;
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
        let known = store.path(expected).ok().flatten();
        Err(FetchError::Mismatch(Box::new(Mismatch {
            url: origin,
            expected: *expected,
            actual,
            size,
            evidence,
            known: known.map(|blob| blob.path),
        })))
    }

    /// The content of a URL as it is now, whatever its hash: fetched even if the store has it, and
    /// stored. Mirrors are not asked: they answer for known bytes alone.
    ///
    /// # Errors
    /// See [`FetchError`]; never [`FetchError::Mismatch`].
    pub fn fetch(&self, url: &str, store: &Store) -> Result<Blob, FetchError> {
        let url: WebUrl = url.parse()?;
        // Nothing says that two parts belong together but the server's own word.
        let download = self.download(&url, store, Resume::Never)?;
        download
            .incoming
            .commit()
            .map_err(|source| FetchError::Store {
                url: url.redacted(),
                source,
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
}

#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod tests;
