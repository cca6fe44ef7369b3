//! The runner's forward proxy: it answers the connections that come out of a sandbox's tunnel.
//!
//! | request | answer |
//! |---|---|
//! | anything for `*.assay.test` | a file of the lab ([`crate::lab_hosts`]); TLS is terminated with the run's own authority |
//! | `GET`, `HEAD http://…` | passed on to any public host: packages of plain-http repositories are signed |
//! | `CONNECT host:443` or `:80` | a blind tunnel, after the address was checked |
//! | anything else | refused |
//!
//! No other host is intercepted. A refused address is never connected to, whatever name led there.
//! Every request is told to the peer's sink once it is over. The other side is hostile: heads,
//! bodies, connections and times are bounded, and a request that could be read in two ways is
//! refused and its connection closed (RFC 9112 11.2).

mod authority;
mod body;
mod forward;
mod lab_files;
mod record;
mod tunnel;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assay_wire::event::RequestDecision;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub use self::authority::{CertificateAuthority, CertificateError};
use self::body::ProxyBody;
use self::forward::Forwarder;
use self::lab_files::LabFiles;
pub use self::record::PeerInfo;
use self::record::{Recorder, printable};
use self::tunnel::{TunnelError, Tunnels};
use crate::address::AddressPolicy;
use crate::fetch::agent::{Client, TimeLimits};
use crate::lab_hosts::LabHosts;
use crate::upstream::UpstreamProxies;
use crate::url::{HostName, Scheme, WebUrl, shown, split_authority};

/// Most bytes of a request's head; package managers need a few hundred.
const LONGEST_HEAD: usize = 32 * 1024;

/// Most headers of a request.
const MOST_HEADERS: usize = 100;

/// What a proxy serves and where it may connect.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The lab's hosts.
    pub lab: LabHosts,
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
    /// No lab, public addresses, no upstream proxy, ports 80 and 443, bodies of 4 GiB,
    /// 15 seconds to connect, 2 minutes idle, 1 hour in all.
    fn default() -> Self {
        Self {
            lab: LabHosts::default(),
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
    lab_files: LabFiles,
    authority: Arc<CertificateAuthority>,
    forwarder: Forwarder,
    tunnels: Tunnels,
    ports: BTreeSet<u16>,
    connect_time: Duration,
    idle_time: Duration,
}

impl Proxy {
    /// A proxy that shows certificates of this authority for the lab's hosts.
    #[must_use]
    pub fn new(config: ProxyConfig, authority: Arc<CertificateAuthority>) -> Self {
        let limits = TimeLimits {
            connect: config.connect_time,
            idle: config.idle_time,
            total: config.total_time,
        };
        let inner = Inner {
            lab_files: LabFiles {
                lab: config.lab,
                idle_time: config.idle_time,
            },
            authority,
            forwarder: Forwarder {
                client: Client::new(config.addresses.clone(), config.upstream.clone(), limits),
                max_bytes: config.max_bytes,
                idle_time: config.idle_time,
            },
            tunnels: Tunnels {
                addresses: config.addresses,
                upstream: config.upstream,
                connect_time: config.connect_time,
                idle_time: config.idle_time,
            },
            ports: config.ports,
            connect_time: config.connect_time,
            idle_time: config.idle_time,
        };
        Self {
            inner: Arc::new(inner),
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
    pub async fn serve_tcp(&self, listener: TcpListener, peer: PeerInfo) -> std::io::Result<()> {
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
        if url.scheme() == Scheme::Https {
            return refused(
                StatusCode::BAD_REQUEST,
                "https goes through CONNECT",
                recorder,
            );
        }
        self.answer_url(&request, &url, &peer, recorder).await
    }

    /// Answers a request for a URL: plain http, or what came through the run's own TLS.
    async fn answer_url(
        &self,
        request: &Request<Incoming>,
        url: &WebUrl,
        peer: &PeerInfo,
        recorder: Recorder,
    ) -> Response<ProxyBody> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and HEAD are passed on",
                recorder,
            );
        }
        if announces_a_body(request) {
            return refused(StatusCode::BAD_REQUEST, "the request has a body", recorder);
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
        if url.host().is_lab() {
            self.lab_files.answer(request, url, permit, recorder).await
        } else {
            self.forwarder.answer(request, url, permit, recorder).await
        }
    }

    async fn connect(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: &PeerInfo,
        after: &Afterwards,
    ) -> Response<ProxyBody> {
        let mut recorder = peer.record("CONNECT", &shown(&request.uri().to_string()));
        let target = request
            .uri()
            .authority()
            .filter(|_| request.uri().scheme().is_none());
        let Some((host, Some(port))) =
            target.and_then(|authority| split_authority(authority.as_str()))
        else {
            return refused(
                StatusCode::BAD_REQUEST,
                "CONNECT needs a valid host and port",
                recorder,
            );
        };
        if announces_a_body(&request) {
            return refused(StatusCode::BAD_REQUEST, "the request has a body", recorder);
        }
        if !self.ports.contains(&port) {
            return refused(
                StatusCode::FORBIDDEN,
                &format!("port {port} is not allowed"),
                recorder,
            );
        }
        if host.is_lab() {
            let (inner, peer) = (self.clone(), peer.clone());
            after.set(async move {
                match hyper::upgrade::on(request).await {
                    Ok(stream) => {
                        inner
                            .serve_lab(TokioIo::new(stream), &host, port, &peer, recorder)
                            .await
                    }
                    Err(error) => recorder.fail(&error.to_string()),
                }
            });
            return Response::new(ProxyBody::unrecorded());
        }
        match self.tunnels.connect(&host, port).await {
            Ok(outside) => {
                recorder.decide(RequestDecision::Tunnelled, 200);
                let inner = self.clone();
                after.set(async move {
                    let relayed = match hyper::upgrade::on(request).await {
                        Ok(guest) => {
                            let guest = TokioIo::new(guest);
                            inner
                                .tunnels
                                .relay(guest, outside, |bytes| recorder.add_bytes(bytes))
                                .await
                        }
                        Err(error) => Err(std::io::Error::other(error)),
                    };
                    if let Err(error) = relayed {
                        recorder.fail(&error.to_string());
                    }
                });
                Response::new(ProxyBody::unrecorded())
            }
            Err(TunnelError::Refused(refusal)) => {
                refused(StatusCode::FORBIDDEN, &refusal.to_string(), recorder)
            }
            Err(TunnelError::Timeout) => {
                let decision = RequestDecision::Failed {
                    reason: TunnelError::Timeout.to_string(),
                };
                text_response(StatusCode::GATEWAY_TIMEOUT, decision, recorder)
            }
            Err(TunnelError::Unreachable(reason)) => {
                let decision = RequestDecision::Failed {
                    reason: printable(&reason, 300),
                };
                text_response(StatusCode::BAD_GATEWAY, decision, recorder)
            }
        }
    }

    /// Serves the lab's files over TLS. The requests inside are recorded one by one, the tunnel
    /// itself only when TLS fails: most often because the guest does not trust the run's authority.
    async fn serve_lab(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &HostName,
        port: u16,
        peer: &PeerInfo,
        mut recorder: Recorder,
    ) {
        recorder.decide(RequestDecision::Served, 200);
        let config = match self.authority.server_config(host) {
            Ok(config) => config,
            Err(error) => return recorder.fail(&error.to_string()),
        };
        let stream =
            match timeout(self.connect_time, TlsAcceptor::from(config).accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return recorder.fail(&format!("TLS handshake: {error}")),
                Err(_) => return recorder.fail("TLS handshake: not finished in time"),
            };
        recorder.discard();
        let service = service_fn(|request: Request<Incoming>| {
            let inner = self.clone();
            async move { Ok::<_, Infallible>(inner.answer_lab(&request, host, port, peer).await) }
        });
        record_malformed(
            self.http()
                .serve_connection(TokioIo::new(stream), service)
                .await,
            peer,
        );
    }

    async fn answer_lab(
        &self,
        request: &Request<Incoming>,
        host: &HostName,
        port: u16,
        peer: &PeerInfo,
    ) -> Response<ProxyBody> {
        let asked = format!("https://{host}:{port}{}", request.uri());
        let url = asked
            .parse::<WebUrl>()
            .ok()
            .filter(|_| request.uri().authority().is_none());
        let recorded = url.as_ref().map_or_else(|| shown(&asked), WebUrl::redacted);
        let recorder = peer.record(request.method().as_str(), &recorded);
        match url {
            Some(url) => self.answer_url(request, &url, peer, recorder).await,
            None => refused(StatusCode::BAD_REQUEST, "not a path of this host", recorder),
        }
    }
}

/// What a connection goes on with after its last HTTP exchange: the tunnel a `CONNECT` opened.
#[derive(Clone, Default)]
struct Afterwards {
    tunnel: Arc<Mutex<Option<Tunnel>>>,
}

type Tunnel = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Afterwards {
    fn set(&self, tunnel: impl Future<Output = ()> + Send + 'static) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(tunnel));
    }

    fn take(&self) -> Option<Tunnel> {
        self.tunnel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Whether a request says that a body follows, even an empty one in chunks. Bodies are never passed
/// on, so nobody can hide a second request in one.
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
        peer.record("?", "?")
            .decide(RequestDecision::Refused { reason }, status);
    }
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
        RequestDecision::Failed { reason } => format!("failed: {reason}"),
        RequestDecision::Served | RequestDecision::Forwarded | RequestDecision::Tunnelled => {
            String::new()
        }
    };
    let mut response = whole_response(status, decision, text, recorder);
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
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
