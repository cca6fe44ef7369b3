//! The HTTP client's connections: which way a request goes, and that no refused address is reached.
//!
//! Three ways out: directly, with every resolved address checked; through the user's proxy with
//! `CONNECT` (https); and through it in absolute form (plain http, RFC 9112 3.2.2), since proxies
//! rarely let `CONNECT` through to port 80. Redirects are never followed here: the caller sees
//! every hop. Bodies leave over https alone.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use ureq::config::Config;
use ureq::http::{HeaderMap, Method, Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, TcpConnector, Transport,
};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use super::error::FetchError;
use crate::address::AddressPolicy;
use crate::upstream::{ProxyAddress, UpstreamProxies};
use crate::url::{HostName, Scheme, WebUrl};

/// Time limits of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    /// For resolving and connecting, each.
    pub(crate) connect: Duration,
    /// For any single read or write.
    pub(crate) idle: Duration,
    /// For the whole request with its body.
    pub(crate) total: Duration,
}

/// The client: one agent for each way out.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    addresses: AddressPolicy,
    upstream: UpstreamProxies,
    direct: Agent,
    // One agent for each proxy, since ureq keeps the proxy in the agent. Absent without a proxy.
    forwarding: Option<(ProxyAddress, Agent)>,
    tunnelling: Option<(ProxyAddress, Agent)>,
}

impl Client {
    pub(crate) fn new(
        addresses: AddressPolicy,
        upstream: UpstreamProxies,
        limits: TimeLimits,
    ) -> Self {
        let config = || {
            let tls = TlsConfig::builder()
                .root_certs(RootCerts::PlatformVerifier)
                .unversioned_rustls_crypto_provider(ring::default_provider().into())
                .build();
            Config::builder()
                .tls_config(tls)
                .proxy(None)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .http_status_as_error(false)
                .max_response_header_size(64 * 1024)
                .accept_encoding("identity")
                .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
                .timeout_resolve(Some(limits.connect))
                .timeout_connect(Some(limits.connect))
                .timeout_recv_response(Some(limits.idle))
                .timeout_per_read(Some(limits.idle))
                .timeout_per_write(Some(limits.idle))
                .timeout_global(Some(limits.total))
        };
        let guarded = GuardedResolver {
            addresses: addresses.clone(),
            inner: DefaultResolver::default(),
        };
        let direct = Agent::with_parts(config().build(), DefaultConnector::default(), guarded);
        let forwarding = upstream.address(Scheme::Http).map(|proxy| {
            let connector = AbsoluteFormConnector {
                proxy: proxy.clone(),
                tcp: TcpConnector::default(),
            };
            (
                proxy.clone(),
                Agent::with_parts(config().build(), connector, NoResolver),
            )
        });
        let tunnelling = upstream.address(Scheme::Https).and_then(|proxy| {
            let mut builder = Proxy::builder(ProxyProtocol::Http)
                .host(proxy.host.as_str())
                .port(proxy.port);
            if let Some((user, password)) = proxy.credentials() {
                builder = builder.username(user).password(password);
            }
            let config = config().proxy(Some(builder.build().ok()?)).build();
            let agent = Agent::with_parts(
                config,
                DefaultConnector::default(),
                DefaultResolver::default(),
            );
            Some((proxy.clone(), agent))
        });
        Self {
            addresses,
            upstream,
            direct,
            forwarding,
            tunnelling,
        }
    }

    /// Sends one bodiless request and gives the head of the answer, whatever its status, with the
    /// body to be read.
    pub(crate) fn send(
        &self,
        method: &Method,
        url: &WebUrl,
        headers: &HeaderMap,
        total: Option<Duration>,
    ) -> Result<Response<Body>, FetchError> {
        let agent = self.agent_for(url)?;
        let mut request = agent.configure_request(built(method, url, headers, ())?);
        if let Some(total) = total {
            request = request.timeout_global(Some(total));
        }
        agent
            .run(request.build())
            .map_err(|error| FetchError::from_client(url.redacted(), error))
    }

    /// The same with a body, over https.
    pub(crate) fn send_body(
        &self,
        method: &Method,
        url: &WebUrl,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response<Body>, FetchError> {
        if url.scheme() != Scheme::Https {
            let url = url.redacted();
            return Err(FetchError::PlainHttp { url });
        }
        let agent = self.agent_for(url)?;
        let request = agent.configure_request(built(method, url, headers, body)?);
        agent
            .run(request.allow_non_standard_methods(true).build())
            .map_err(|error| FetchError::from_client(url.redacted(), error))
    }

    /// The way a request to a URL takes.
    fn agent_for(&self, url: &WebUrl) -> Result<&Agent, FetchError> {
        Ok(
            match (
                self.upstream.for_host(url.scheme(), url.host()),
                url.scheme(),
            ) {
                (None, Scheme::Http | Scheme::Https) => &self.direct,
                (Some(proxy), scheme) => {
                    check_unresolved(&self.addresses, url.host()).map_err(|refusal| {
                        FetchError::RefusedAddress {
                            url: url.redacted(),
                            refusal,
                        }
                    })?;
                    let way = match scheme {
                        Scheme::Http => &self.forwarding,
                        Scheme::Https => &self.tunnelling,
                    };
                    let agent = way
                        .as_ref()
                        .filter(|(known, _)| known == proxy)
                        .map(|(_, agent)| agent);
                    agent.ok_or_else(|| FetchError::Unreachable {
                        url: url.redacted(),
                        reason: format!("proxy `{}` cannot be used", proxy.authority()),
                    })?
                }
            },
        )
    }
}

fn built<B>(
    method: &Method,
    url: &WebUrl,
    headers: &HeaderMap,
    body: B,
) -> Result<Request<B>, FetchError> {
    let mut request = Request::builder()
        .method(method.clone())
        .uri(url.to_string());
    if let Some(all) = request.headers_mut() {
        all.extend(headers.clone());
    }
    request
        .body(body)
        .map_err(|error| FetchError::from_client(url.redacted(), ureq::Error::Http(error)))
}

/// Checks what can be known of a host that somebody else will resolve: literal addresses and
/// `localhost` (RFC 6761 6.3).
///
/// # Errors
/// The address is refused.
pub(crate) fn check_unresolved(
    policy: &AddressPolicy,
    host: &HostName,
) -> Result<(), crate::address::RefusedAddress> {
    let is_localhost = host.as_str() == "localhost" || host.as_str().ends_with(".localhost");
    let literal = host
        .address()
        .or(is_localhost.then_some(Ipv4Addr::LOCALHOST.into()));
    literal.map_or(Ok(()), |address| policy.check(host, address))
}

/// Resolves as the system does and gives only the addresses the policy allows: the connector
/// connects to what it is given here and resolves nothing itself.
#[derive(Debug)]
struct GuardedResolver {
    addresses: AddressPolicy,
    inner: DefaultResolver,
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().and_then(|host| HostName::parse(host).ok());
        let host = host.ok_or_else(|| ureq::Error::BadUri("no valid host".to_owned()))?;
        let resolved = self.inner.resolve(uri, config, timeout)?;
        let refused = |refusal| ureq::Error::Other(Box::new(refusal));
        let mut allowed = self.empty();
        for address in self.addresses.filter(&host, &resolved).map_err(refused)? {
            allowed.push(address);
        }
        Ok(allowed)
    }
}

/// Resolves nothing: behind a proxy the names are the proxy's to resolve, and may be unknown here.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut placeholder = self.empty();
        placeholder.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(placeholder)
    }
}

/// Connects to the proxy instead of the target, and lets requests name their target in full.
#[derive(Debug)]
struct AbsoluteFormConnector {
    proxy: ProxyAddress,
    tcp: TcpConnector,
}

impl<In: Transport> Connector<In> for AbsoluteFormConnector {
    type Out = AbsoluteFormTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let proxy: Uri = format!("http://{}/", self.proxy.authority())
            .parse()
            .map_err(|_| ureq::Error::InvalidProxyUrl)?;
        let target = details
            .uri
            .authority()
            .ok_or(ureq::Error::InvalidProxyUrl)?;
        let addrs = DefaultResolver::default().resolve(&proxy, details.config, details.timeout)?;
        let to_proxy = ConnectionDetails {
            uri: &proxy,
            addrs,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let transport = self.tcp.connect(&to_proxy, None::<()>)?;
        Ok(transport.map(|transport| AbsoluteFormTransport {
            inner: Box::new(transport),
            target: format!("http://{target}"),
            authorization: self.proxy.authorization(),
        }))
    }
}

/// Writes the target into the request line of every request that goes through it.
struct AbsoluteFormTransport {
    inner: Box<dyn Transport>,
    target: String,
    authorization: Option<String>,
}

impl AbsoluteFormTransport {
    /// `GET /a HTTP/1.1` becomes `GET http://host/a HTTP/1.1`. The client writes the head of a
    /// bodiless request in one piece, so every piece begins with a request line.
    fn rewritten(&self, head: &[u8]) -> Vec<u8> {
        let method_end = head
            .iter()
            .position(|byte| *byte == b' ')
            .map_or(0, |space| space + 1);
        let line_end = head
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .map_or(head.len(), |at| at + 2);
        let mut rewritten = Vec::with_capacity(head.len() + 256);
        rewritten.extend_from_slice(&head[..method_end]);
        rewritten.extend_from_slice(self.target.as_bytes());
        rewritten.extend_from_slice(&head[method_end..line_end]);
        if let Some(authorization) = &self.authorization {
            rewritten
                .extend_from_slice(format!("proxy-authorization: {authorization}\r\n").as_bytes());
        }
        rewritten.extend_from_slice(&head[line_end..]);
        rewritten
    }
}

impl Transport for AbsoluteFormTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let head = self.inner.buffers().output()[..amount].to_vec();
        let mut rest = self.rewritten(&head);
        while !rest.is_empty() {
            let output = self.inner.buffers().output();
            let length = rest.len().min(output.len());
            output[..length].copy_from_slice(&rest[..length]);
            self.inner.transmit_output(length, timeout)?;
            rest.drain(..length);
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

impl fmt::Debug for AbsoluteFormTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbsoluteFormTransport")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
