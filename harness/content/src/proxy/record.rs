//! What the proxy tells of each request: one record, sent when the request is over, however it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use assay_wire::event::{Request, RequestDecision};
use assay_wire::plan::OpId;
use tokio::sync::Semaphore;

/// Longest URL in a record, in bytes.
const LONGEST_RECORDED_URL: usize = 2048;

/// Connections of one peer that are served at the same time; further ones wait.
const MOST_CONNECTIONS: usize = 256;

/// Bodies of one peer that are on their way at the same time; further ones wait. Each holds a
/// thread, and a peer that takes nothing must not hold those of others.
const MOST_BODIES: usize = 16;

/// Who is behind tunnelled connections, and who is told of its requests: one sandbox. Clones are
/// the same peer, and share its limits.
#[derive(Clone)]
pub struct PeerInfo {
    op: Option<OpId>,
    sink: Arc<dyn Fn(Request) + Send + Sync>,
    pub(super) connections: Arc<Semaphore>,
    pub(super) bodies: Arc<Semaphore>,
}

impl PeerInfo {
    /// A peer whose requests are told to `sink`.
    ///
    /// The sink is called from any thread, once for each request, after its last byte.
    pub fn new(sink: impl Fn(Request) + Send + Sync + 'static) -> Self {
        Self {
            op: None,
            sink: Arc::new(sink),
            connections: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            bodies: Arc::new(Semaphore::new(MOST_BODIES)),
        }
    }

    /// The same peer, while an op runs.
    #[must_use]
    pub fn during(&self, op: Option<OpId>) -> Self {
        Self { op, ..self.clone() }
    }

    /// Begins the record of a request.
    pub(super) fn record(&self, method: &str, url: &str) -> Recorder {
        let request = Request {
            op: self.op,
            method: printable(method, 32),
            url: printable(url, LONGEST_RECORDED_URL),
            decision: RequestDecision::Failed {
                reason: "the request broke off".to_owned(),
            },
            status: 0,
            bytes: 0,
            ms: 0,
        };
        Recorder {
            peer: self.clone(),
            request: Some(request),
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
    started: Instant,
}

impl Recorder {
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

    /// More bytes were sent to the peer.
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
