//! What the proxy tells of each request: one record, sent when the request is over, however it ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use assay_wire::digest::Digest;
use assay_wire::event::{Asker, Request, RequestDecision};
use assay_wire::plan::OpId;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::names::Names;
use crate::url::HostName;

/// Longest URL in a record, in bytes.
const LONGEST_RECORDED_URL: usize = 2048;

/// Connections of one peer that are served at the same time; further ones wait.
const MOST_CONNECTIONS: usize = 256;

/// Bodies of one peer that are on their way at the same time; further ones wait. Each holds a
/// thread, and a peer that takes nothing must not hold those of others.
const MOST_BODIES: usize = 16;

/// Requests of one peer that are answered, each of which is recorded. The largest installs need a few
/// thousand; what asks more often only fills the journal.
pub(super) const MOST_REQUESTS: u64 = 20_000;

/// Who is behind tunnelled connections, and who is told of its requests: one sandbox. Clones are
/// the same peer, and share its limits.
#[derive(Clone)]
pub struct PeerInfo {
    op: Option<OpId>,
    asker: Option<Asker>,
    trusts: bool,
    names: Option<Names>,
    sink: Arc<dyn Fn(Request) + Send + Sync>,
    pub(super) connections: Arc<Semaphore>,
    pub(super) bodies: Arc<Semaphore>,
    requests: Arc<AtomicU64>,
}

impl PeerInfo {
    /// A peer whose requests are told to `sink`. It may ask any host, and trusts the run's
    /// certificate.
    ///
    /// The sink is called from any thread, once for each request, after its last byte.
    pub fn new(sink: impl Fn(Request) + Send + Sync + 'static) -> Self {
        Self {
            op: None,
            asker: None,
            trusts: true,
            names: None,
            sink: Arc::new(sink),
            connections: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            bodies: Arc::new(Semaphore::new(MOST_BODIES)),
            requests: Arc::default(),
        }
    }

    /// The same peer, which may ask these hosts alone.
    #[must_use]
    pub fn only(&self, names: Names) -> Self {
        Self {
            names: Some(names),
            ..self.clone()
        }
    }

    /// The same peer, while an op runs.
    #[must_use]
    pub fn during(&self, op: Option<OpId>) -> Self {
        Self { op, ..self.clone() }
    }

    /// The same peer, with one process of it behind the connection, which can be told to trust the
    /// run's certificate or cannot.
    #[must_use]
    pub fn asking(&self, asker: Option<Asker>, trusts: bool) -> Self {
        Self {
            asker,
            trusts,
            ..self.clone()
        }
    }

    /// The hosts it may ask; `None` for any.
    pub(super) fn names(&self) -> Option<&Names> {
        self.names.as_ref()
    }

    /// True if the host was named for it.
    pub(super) fn may_ask(&self, host: &HostName) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(host))
    }

    /// True if there is a trust store that the run's certificate can be added to.
    pub(super) fn trusts(&self) -> bool {
        self.trusts
    }

    /// True if a tool of it that asks this host can be shown the run's certificate.
    pub(super) fn trusts_for(&self, host: &HostName) -> bool {
        let unseen = self
            .names
            .as_ref()
            .is_some_and(|names| names.is_unseen(host));
        self.trusts && !unseen
    }

    /// Counts a request. Once there are more than [`MOST_REQUESTS`] it is to be refused, with this
    /// recorder, which tells of the first such request alone.
    pub(super) fn flood(&self, method: &str, url: &str) -> Option<Recorder> {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut recorder = (before >= MOST_REQUESTS).then(|| self.record(method, url))?;
        if before > MOST_REQUESTS {
            recorder.request = None;
        }
        Some(recorder)
    }

    /// Begins the record of a request.
    pub(super) fn record(&self, method: &str, url: &str) -> Recorder {
        let request = Request {
            op: self.op,
            method: printable(method, 32),
            url: printable(url, LONGEST_RECORDED_URL),
            asker: self.asker.clone(),
            decision: RequestDecision::Failed {
                reason: "the request broke off".to_owned(),
            },
            status: 0,
            bytes: 0,
            sha256: None,
            locked: None,
            ms: 0,
        };
        Recorder {
            peer: self.clone(),
            request: Some(request),
            hasher: Sha256::new(),
            started: Instant::now(),
        }
    }
}

impl fmt::Debug for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerInfo")
            .field("op", &self.op)
            .finish_non_exhaustive()
    }
}

/// The record of one request while it runs. Dropped, it tells the sink: so a client that goes away,
/// a server that hangs up and a cancelled run are all recorded.
pub(super) struct Recorder {
    peer: PeerInfo,
    request: Option<Request>,
    hasher: Sha256,
    started: Instant,
}

impl Recorder {
    /// What the lock says the body is.
    pub(super) fn should_be(&mut self, locked: Option<Digest>) {
        if let Some(request) = &mut self.request {
            request.locked = locked;
        }
    }

    /// What became of the request.
    pub(super) fn decide(&mut self, decision: RequestDecision, status: u16) {
        if let Some(request) = &mut self.request {
            request.decision = decision;
            request.status = status;
        }
    }

    /// The request was let through, but went wrong on the way. The status stays: it was sent.
    pub(super) fn fail(&mut self, reason: &str) {
        if let Some(request) = &mut self.request {
            request.decision = RequestDecision::Failed {
                reason: printable(reason, 300),
            };
        }
    }

    /// More of a body was sent to the peer.
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.add_bytes(piece.len() as u64);
    }

    /// The whole of a body was sent.
    pub(super) fn whole(&mut self) {
        let digest = Digest::from_bytes(self.hasher.clone().finalize().into());
        if let Some(request) = &mut self.request {
            request.sha256 = Some(digest).filter(|_| request.status == 200);
        }
    }

    /// More bytes went to the peer, through a tunnel.
    pub(super) fn add_bytes(&mut self, bytes: u64) {
        if let Some(request) = &mut self.request {
            request.bytes += bytes;
        }
    }

    /// Tells nobody: what came of the request is recorded in others.
    pub(super) fn discard(mut self) {
        self.request = None;
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(mut request) = self.request.take() {
            request.ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            (self.peer.sink)(request);
        }
    }
}

/// Text of a hostile peer without control characters and of bounded length in bytes.
pub(super) fn printable(text: &str, longest: usize) -> String {
    let mut printable = String::new();
    for character in text.chars().flat_map(char::escape_debug) {
        if printable.len() + character.len_utf8() > longest {
            break;
        }
        printable.push(character);
    }
    printable
}
