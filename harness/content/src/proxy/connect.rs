//! `CONNECT`: what a tunnel leads to, and the requests inside one that ends here.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use assay_wire::event::RequestDecision;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::body::ProxyBody;
use super::record::{PeerInfo, Recorder, printable};
use super::tunnel::TunnelError;
use super::{
    Answers, Inner, NO_NETWORK, announces_a_body, not_named, record_malformed, refused,
    text_response, too_many,
};
use crate::fetch::agent::check_unresolved;
use crate::url::{HostName, Scheme, WebUrl, shown, split_authority};

impl Inner {
    /// Opens a tunnel: to the run's own TLS where the asking tool can be shown its certificate or
    /// where nothing else can answer, else to the host itself, unseen.
    pub(super) async fn connect(
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
        if !peer.may_ask(&host) {
            return refused(StatusCode::FORBIDDEN, &not_named(&host), recorder);
        }
        let seen = match &self.answers {
            Answers::Nothing => return refused(StatusCode::FORBIDDEN, NO_NETWORK, recorder),
            Answers::Recorded(_) if port != Scheme::Https.default_port() => {
                let reason = format!("a tunnel to port {port} cannot be recorded");
                return refused(StatusCode::FORBIDDEN, &reason, recorder);
            }
            Answers::Recorded(_) if peer.names().is_some_and(|names| names.is_unseen(&host)) => {
                let reason = "who asks cannot be told of the run's certificate authority, so this \
                              tunnel cannot be recorded: let a step of its own run the package \
                              manager, or use a mirror over http";
                return refused(StatusCode::FORBIDDEN, reason, recorder);
            }
            Answers::Recorded(_) => true,
            Answers::Live { .. } => {
                host.is_lab() || (port == Scheme::Https.default_port() && peer.trusts_for(&host))
            }
        };
        // What a name leads to is checked when it is asked; an address says so itself.
        if let Err(refusal) = check_unresolved(&self.tunnels.addresses, &host) {
            return refused(StatusCode::FORBIDDEN, &refusal.to_string(), recorder);
        }
        if seen {
            let (inner, peer) = (self.clone(), peer.clone());
            after.set(async move {
                match hyper::upgrade::on(request).await {
                    Ok(stream) => {
                        inner
                            .serve_tls(TokioIo::new(stream), &host, port, &peer, recorder)
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

    /// Serves a host over TLS with a certificate of the run. The requests inside are recorded one by one, the tunnel
    /// itself only when TLS fails: most often because the guest does not trust the run's authority.
    async fn serve_tls(
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
            async move { Ok::<_, Infallible>(inner.answer_inside(request, host, port, peer).await) }
        });
        record_malformed(
            self.http()
                .serve_connection(TokioIo::new(stream), service)
                .await,
            peer,
        );
    }

    async fn answer_inside(
        &self,
        request: Request<Incoming>,
        host: &HostName,
        port: u16,
        peer: &PeerInfo,
    ) -> Response<ProxyBody> {
        let asked = format!("https://{host}:{port}{}", request.uri());
        if let Some(recorder) = peer.flood(request.method().as_str(), &shown(&asked)) {
            return refused(StatusCode::TOO_MANY_REQUESTS, &too_many(), recorder);
        }
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
pub(super) struct Afterwards {
    tunnel: Arc<Mutex<Option<Tunnel>>>,
}

type Tunnel = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Afterwards {
    fn set(&self, tunnel: impl Future<Output = ()> + Send + 'static) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(tunnel));
    }

    pub(super) fn take(&self) -> Option<Tunnel> {
        self.tunnel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
