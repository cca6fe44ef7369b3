//! The runner's forward proxy: it answers the connections that come out of a sandbox's tunnel.
//!
//! | request | answer, where the network is live |
//! |---|---|
//! | for a host that nothing names ([`names`]) | refused |
//! | for `*.assay.test` | a file of the lab ([`crate::lab_hosts`]) |
//! | `GET`, `HEAD http://…` | passed on, after the address was checked |
//! | `GET`, `HEAD https://…` | likewise: the executor asks so for a manager that can be told of no authority |
//! | `CONNECT host:443` | TLS is terminated with the run's own authority, and each request inside answered as above; a blind tunnel where the asking tool has no trust store to add that authority to |
//! | `CONNECT host:80` | a blind tunnel |
//! | anything else | refused |
//!
//! A run that records, and one that replays, answers out of [`recording`] alone; one without a
//! network refuses everything. An answer that leads from https down to http is refused wherever it comes
//! from. A refused address is never connected to, whatever name led there.
//! Every request is told to the peer's sink once it is over. The other side is hostile: heads,
//! bodies, connections and times are bounded, and a request that could be read in two ways is
//! refused and its connection closed (RFC 9112 11.2).

mod authority;
mod body;
mod connect;
mod following;
mod forward;
mod keeping;
mod lab_files;
mod names;
mod ranges;
mod record;
mod recording;
mod tunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use assay_wire::digest::Digest;

use assay_wire::event::RequestDecision;
use assay_wire::lock::{Lock, LockedAnswer};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;

pub use self::authority::{CertificateAuthority, CertificateError};
use self::body::ProxyBody;
use self::connect::Afterwards;
use self::forward::Forwarder;
pub use self::keeping::Keeping;
use self::lab_files::LabFiles;
pub use self::names::Names;
pub use self::record::PeerInfo;
use self::record::{MOST_REQUESTS, Recorder, printable};
use self::recording::{Recording, Source, World};
use self::tunnel::Tunnels;
use crate::address::AddressPolicy;
use crate::fetch;
use crate::fetch::agent::{Client, TimeLimits};
use crate::lab_hosts::LabHosts;
use crate::store::Store;
use crate::upstream::UpstreamProxies;
use crate::url::{HostName, Scheme, WebUrl, shown};

/// Most bytes of a request's head; package managers need a few hundred.
const LONGEST_HEAD: usize = 32 * 1024;

/// Most bytes of a body that a sandbox sends, such as what git(1) says it has.
const LONGEST_SENT: usize = 8 << 20;

/// Most headers of a request.
const MOST_HEADERS: usize = 100;

/// Why nothing is answered in a run without a network.
const NO_NETWORK: &str = "this run has no network";

/// Where a proxy's answers come from.
#[derive(Debug, Clone, Default)]
pub enum AnswersFrom {
    /// The world, each time.
    #[default]
    World,
    /// The world, once for each URL; what came is kept in this store.
    WorldOnce(Store),
    /// The lock, with the bytes in this store.
    Lock(Store),
    /// Nowhere.
    Nowhere,
}

/// What a proxy serves and where it may connect.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// Where answers come from.
    pub answers: AnswersFrom,
    /// What was recorded before: what comes is compared with it.
    pub lock: Arc<Lock>,
    /// The lab's hosts.
    pub lab: LabHosts,
    /// Which bodies are kept while they pass, where answers come from the world each time.
    pub keeping: Option<Keeping>,
    /// Which addresses may be connected to.
    pub addresses: AddressPolicy,
    /// The user's own proxies.
    pub upstream: UpstreamProxies,
    /// Ports that may be connected to.
    pub ports: BTreeSet<u16>,
    /// Most bytes of one forwarded body.
    pub max_bytes: u64,
    /// Limit for resolving and connecting, and for a TLS handshake.
    pub connect_time: Duration,
    /// Limit for a connection on which nothing moves: between requests, within a head, in a tunnel,
    /// or waiting for a server.
    pub idle_time: Duration,
    /// Limit for one forwarded request with its body.
    pub total_time: Duration,
}

impl Default for ProxyConfig {
    /// Answers from the world, no lab, nothing kept, public addresses, no upstream proxy, ports 80 and 443, bodies of 4 GiB,
    /// 15 seconds to connect, 2 minutes idle, 1 hour in all.
    fn default() -> Self {
        Self {
            answers: AnswersFrom::World,
            lock: Arc::default(),
            lab: LabHosts::default(),
            keeping: None,
            addresses: AddressPolicy::public_only(),
            upstream: UpstreamProxies::none(),
            ports: BTreeSet::from([80, 443]),
            max_bytes: 4 << 30,
            connect_time: Duration::from_secs(15),
            idle_time: Duration::from_secs(120),
            total_time: Duration::from_secs(60 * 60),
        }
    }
}

/// The proxy of a run. Cheap to clone; one serves every sandbox.
#[derive(Debug, Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    answers: Answers,
    lock: Arc<Lock>,
    authority: Arc<CertificateAuthority>,
    tunnels: Tunnels,
    ports: BTreeSet<u16>,
    connect_time: Duration,
    idle_time: Duration,
}

#[derive(Debug)]
enum Answers {
    Live {
        lab_files: LabFiles,
        forwarder: Box<Forwarder>,
    },
    Recorded(Arc<Recording>),
    Nothing,
}

impl Proxy {
    /// A proxy that shows certificates of this authority for what it answers over TLS itself.
    #[must_use]
    pub fn new(config: ProxyConfig, authority: Arc<CertificateAuthority>) -> Self {
        let limits = TimeLimits {
            connect: config.connect_time,
            idle: config.idle_time,
            total: config.total_time,
        };
        let client = Client::new(config.addresses.clone(), config.upstream.clone(), limits);
        let idle_time = config.idle_time;
        let recorded = |store, source| {
            Answers::Recorded(Arc::new(Recording {
                store,
                idle_time,
                source,
            }))
        };
        let answers = match config.answers {
            AnswersFrom::World => Answers::Live {
                lab_files: LabFiles {
                    lab: config.lab,
                    idle_time,
                },
                forwarder: Box::new(Forwarder {
                    client,
                    keeping: config.keeping,
                    max_bytes: config.max_bytes,
                    idle_time,
                }),
            },
            AnswersFrom::WorldOnce(store) => {
                let world = World::new(client, config.lab, config.max_bytes);
                recorded(store, Source::World(Box::new(world)))
            }
            AnswersFrom::Lock(store) => recorded(store, Source::Lock(Arc::clone(&config.lock))),
            AnswersFrom::Nowhere => Answers::Nothing,
        };
        let inner = Inner {
            answers,
            lock: config.lock,
            authority,
            tunnels: Tunnels {
                addresses: config.addresses,
                upstream: config.upstream,
                connect_time: config.connect_time,
                idle_time,
            },
            ports: config.ports,
            connect_time: config.connect_time,
            idle_time,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Takes note, where a run is recorded, of bytes that came in beside the proxy: declared content.
    /// A URL that is none was never fetched.
    pub fn note(&self, url: &str, sha256: Digest, size: u64) {
        if let (Answers::Recorded(recording), Ok(url)) = (&self.inner.answers, url.parse()) {
            recording.note(&url, sha256, size);
        }
    }

    /// What was recorded, by URL; nothing where nothing is. Blocks until what is coming has come.
    #[must_use]
    pub fn recorded(&self) -> BTreeMap<String, LockedAnswer> {
        match &self.inner.answers {
            Answers::Recorded(recording) => recording.answers(),
            Answers::Live { .. } | Answers::Nothing => BTreeMap::new(),
        }
    }

    /// Opens a body that answered a URL, as it was recorded; its bytes have this hash. `None` if they are
    /// not to be had any more: not kept, removed, changed. Blocks, and reads them once.
    ///
    /// # Errors
    /// Something is there that cannot be read.
    pub fn open(&self, url: &str, sha256: &Digest) -> io::Result<Option<File>> {
        let of_store = |store: &Store| store.open_verified(sha256).map_err(io::Error::other);
        match &self.inner.answers {
            Answers::Live {
                lab_files,
                forwarder,
            } => match url.parse::<WebUrl>() {
                Ok(url) if url.host().is_lab() => lab_files.open_again(&url, sha256),
                Ok(_) | Err(_) => match &forwarder.keeping {
                    Some(keeping) => of_store(&keeping.store),
                    None => Ok(None),
                },
            },
            Answers::Recorded(recording) => of_store(&recording.store),
            Answers::Nothing => Ok(None),
        }
    }

    /// Serves one connection to its end, tunnels included. Dropping the future ends everything on
    /// it. Must run on a tokio runtime with time and I/O enabled.
    pub async fn serve<S>(&self, stream: S, peer: PeerInfo)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(_permit) = peer.connections.acquire().await else {
            return;
        };
        let after = Afterwards::default();
        let service = service_fn(|request| {
            let (inner, peer, after) = (self.inner.clone(), peer.clone(), after.clone());
            async move { Ok::<_, Infallible>(inner.answer(request, peer, &after).await) }
        });
        let connection = self
            .inner
            .http()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        record_malformed(connection.await, &peer);
        if let Some(tunnel) = after.take() {
            tunnel.await;
        }
    }

    /// Accepts connections on a listener and serves each, until the future is dropped: for a client
    /// without a tunnel, such as a container on the host's network in a benchmark. Connections that
    /// are being served end with the future.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve_tcp(&self, listener: TcpListener, peer: PeerInfo) -> io::Result<()> {
        let mut served = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            while served.try_join_next().is_some() {}
            let (proxy, peer) = (self.clone(), peer.clone());
            served.spawn(async move { proxy.serve(stream, peer).await });
        }
    }
}

impl Inner {
    fn http(&self) -> http1::Builder {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.idle_time)
            .max_headers(MOST_HEADERS)
            .max_header_size(LONGEST_HEAD)
            .half_close(true);
        http
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: PeerInfo,
        after: &Afterwards,
    ) -> Response<ProxyBody> {
        let asked = request.uri().to_string();
        if let Some(recorder) = peer.flood(request.method().as_str(), &shown(&asked)) {
            return refused(StatusCode::TOO_MANY_REQUESTS, &too_many(), recorder);
        }
        if *request.method() == Method::CONNECT {
            return self.connect(request, &peer, after).await;
        }
        let url: WebUrl = match asked.parse() {
            Ok(url) => url,
            Err(_) => {
                let recorder = peer.record(request.method().as_str(), &shown(&asked));
                return refused(
                    StatusCode::BAD_REQUEST,
                    "a proxy needs a full and valid URL",
                    recorder,
                );
            }
        };
        let recorder = peer.record(request.method().as_str(), &url.redacted());
        if url.scheme() == Scheme::Https && !matches!(*request.method(), Method::GET | Method::HEAD)
        {
            let reason = "what is not only asked for over https goes through CONNECT";
            return refused(StatusCode::BAD_REQUEST, reason, recorder);
        }
        if url.scheme() == Scheme::Https && !peer.trusts() {
            let reason = "there is no certificate authority to check https with";
            return refused(StatusCode::FORBIDDEN, reason, recorder);
        }
        self.answer_url(request, &url, &peer, recorder).await
    }

    /// Answers a request for a URL: plain http, or what came through the run's own TLS.
    async fn answer_url(
        &self,
        request: Request<Incoming>,
        url: &WebUrl,
        peer: &PeerInfo,
        mut recorder: Recorder,
    ) -> Response<ProxyBody> {
        recorder.should_be(self.lock.body_of(&url.redacted()));
        let only_asks = matches!(*request.method(), Method::GET | Method::HEAD);
        let goes_live = matches!(self.answers, Answers::Live { .. })
            && url.scheme() == Scheme::Https
            && !url.host().is_lab();
        if !only_asks && !goes_live {
            return refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "other requests than GET and HEAD are passed on live and over https alone",
                recorder,
            );
        }
        if only_asks && announces_a_body(&request) {
            return refused(StatusCode::BAD_REQUEST, "the request has a body", recorder);
        }
        if !peer.may_ask(url.host()) {
            return refused(StatusCode::FORBIDDEN, &not_named(url.host()), recorder);
        }
        if !url.host().is_lab() && !self.ports.contains(&url.port()) {
            let reason = format!("port {} is not allowed", url.port());
            return refused(StatusCode::FORBIDDEN, &reason, recorder);
        }
        let Ok(permit) = peer.bodies.clone().acquire_owned().await else {
            return refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "the proxy is closing",
                recorder,
            );
        };
        let (parts, body) = request.into_parts();
        let request = &Request::from_parts(parts, ());
        match &self.answers {
            Answers::Live { lab_files, .. } if url.host().is_lab() => {
                lab_files.answer(request, url, permit, recorder).await
            }
            Answers::Live { forwarder, .. } => {
                let sent = match only_asks {
                    true => None,
                    false => match timeout(self.idle_time, read_body(body)).await {
                        Ok(Some(sent)) => Some(sent),
                        Ok(None) | Err(_) => {
                            let reason =
                                format!("a body that is sent has at most {LONGEST_SENT} bytes");
                            return refused(StatusCode::PAYLOAD_TOO_LARGE, &reason, recorder);
                        }
                    },
                };
                forwarder
                    .answer((request, sent), url, peer.names(), permit, recorder)
                    .await
            }
            Answers::Recorded(recording) => {
                let asked = (request.method(), request.headers());
                recording
                    .answer(asked, url, peer.names(), permit, recorder)
                    .await
            }
            Answers::Nothing => refused(StatusCode::FORBIDDEN, NO_NETWORK, recorder),
        }
    }
}

/// A body that a sandbox sends, whole; `None` if it is too long or breaks off.
async fn read_body(body: Incoming) -> Option<Vec<u8>> {
    let read = Limited::new(body, LONGEST_SENT).collect().await.ok()?;
    Some(read.to_bytes().to_vec())
}

/// Whether a request says that a body follows, even an empty one in chunks. Bodies of what only asks
/// are never passed on, so nobody can hide a second request in one.
fn announces_a_body(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get_all(header::CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
}

/// Records what could not even be read as a request. The HTTP library has answered with 400 or 431
/// and closed.
fn record_malformed(result: hyper::Result<()>, peer: &PeerInfo) {
    if let Err(error) = result
        && error.is_parse()
    {
        let status = if error.is_parse_too_large() { 431 } else { 400 };
        let reason = format!("not a valid HTTP request: {error}");
        let mut recorder = match peer.flood("?", "?") {
            Some(recorder) => recorder,
            None => peer.record("?", "?"),
        };
        recorder.decide(RequestDecision::Refused { reason }, status);
    }
}

fn too_many() -> String {
    format!("more than {MOST_REQUESTS} requests of one sandbox")
}

fn not_named(host: &HostName) -> String {
    format!("neither the recipe nor a repository file of the image names `{host}`")
}

fn refused(status: StatusCode, reason: &str, recorder: Recorder) -> Response<ProxyBody> {
    text_response(
        status,
        RequestDecision::Refused {
            reason: printable(reason, 300),
        },
        recorder,
    )
}

/// A short answer that explains itself, after which the connection is closed.
fn text_response(
    status: StatusCode,
    decision: RequestDecision,
    recorder: Recorder,
) -> Response<ProxyBody> {
    let text = match &decision {
        RequestDecision::Refused { reason } => format!("refused: {reason}"),
        RequestDecision::AnswerRefused { reason } => format!("answer refused: {reason}"),
        RequestDecision::Failed { reason } => format!("failed: {reason}"),
        RequestDecision::Missed { reason } => format!("not recorded: {reason}"),
        RequestDecision::Served
        | RequestDecision::Forwarded
        | RequestDecision::Replayed
        | RequestDecision::Tunnelled => String::new(),
    };
    let mut response = whole_response(status, decision, text, recorder);
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A redirect, unless it leads from https down to http.
fn redirect(
    url: &WebUrl,
    (status, location): (u16, &str),
    decided: RequestDecision,
    mut recorder: Recorder,
) -> Response<ProxyBody> {
    if let Some(reason) = leads_down(url, location) {
        let reason = printable(&reason, 300);
        let decision = RequestDecision::AnswerRefused { reason };
        return text_response(StatusCode::FORBIDDEN, decision, recorder);
    }
    recorder.decide(decided, status);
    let mut response = Response::new(ProxyBody::empty(recorder));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// Why a redirect is not passed on, whatever the asking tool would make of it.
fn leads_down(url: &WebUrl, location: &str) -> Option<String> {
    let next = url.join(location).ok()?;
    // The cause comes first: a long reason is cut in the record.
    fetch::leads_down(url, &next).then(|| {
        format!(
            "a redirect from https to plain http, to `{}`",
            next.redacted()
        )
    })
}

/// A short answer after which the connection goes on.
fn whole_response(
    status: StatusCode,
    decision: RequestDecision,
    text: String,
    mut recorder: Recorder,
) -> Response<ProxyBody> {
    recorder.decide(decision, status.as_u16());
    let mut response = Response::new(ProxyBody::text(format!("assay: {text}\n"), recorder));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests;
