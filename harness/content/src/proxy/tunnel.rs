//! Blind tunnels: `CONNECT` to a checked address, then bytes both ways, unseen.
//!
//! The name is resolved once, its addresses are checked, and the connection is made to one of the
//! checked addresses. Behind the user's own proxy the tunnel is that proxy's (RFC 9110 9.3.6).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::{AddressPolicy, RefusedAddress};
use crate::fetch::agent::check_unresolved;
use crate::upstream::{ProxyAddress, UpstreamProxies};
use crate::url::{HostName, Scheme};

/// Bytes copied at once.
const PIECE: usize = 64 * 1024;

/// Longest answer to `CONNECT` read from the user's proxy, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

/// How tunnels are opened.
#[derive(Debug)]
pub(super) struct Tunnels {
    pub(super) addresses: AddressPolicy,
    pub(super) upstream: UpstreamProxies,
    pub(super) connect_time: Duration,
    pub(super) idle_time: Duration,
}

/// Why a tunnel was not opened.
#[derive(Debug, Error)]
pub(super) enum TunnelError {
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    #[error("no connection in time")]
    Timeout,
    #[error("{0}")]
    Unreachable(String),
}

impl Tunnels {
    /// Connects to a host, directly or through the user's proxy.
    pub(super) async fn connect(
        &self,
        host: &HostName,
        port: u16,
    ) -> Result<TcpStream, TunnelError> {
        let connecting = async {
            match self.upstream.for_host(Scheme::Https, host) {
                Some(proxy) => {
                    check_unresolved(&self.addresses, host)?;
                    connect_through(proxy, host, port).await
                }
                None => {
                    let allowed = self.addresses.filter(host, &resolve(host, port).await?)?;
                    connect_to_any(&allowed).await
                }
            }
        };
        timeout(self.connect_time, connecting)
            .await
            .map_err(|_| TunnelError::Timeout)?
    }

    /// Copies bytes both ways until both sides are done, one fails, or neither sends anything for
    /// the idle time. Gives the bytes sent to `guest` through `progress` as they go.
    pub(super) async fn relay(
        &self,
        guest: impl AsyncRead + AsyncWrite + Unpin,
        mut outside: TcpStream,
        mut progress: impl FnMut(u64),
    ) -> io::Result<()> {
        let moved = AtomicU64::new(0);
        let (mut from_guest, mut to_guest) = tokio::io::split(guest);
        let (mut from_outside, mut to_outside) = outside.split();
        let upward = pump(&mut from_guest, &mut to_outside, |bytes| {
            moved.fetch_add(bytes, Ordering::Relaxed);
        });
        let downward = pump(&mut from_outside, &mut to_guest, |bytes| {
            moved.fetch_add(bytes, Ordering::Relaxed);
            progress(bytes);
        });
        let silence = async {
            let mut seen = moved.load(Ordering::Relaxed);
            loop {
                tokio::time::sleep(self.idle_time).await;
                let now = moved.load(Ordering::Relaxed);
                if now == seen {
                    return io::Error::new(
                        io::ErrorKind::TimedOut,
                        "neither side sent anything for too long",
                    );
                }
                seen = now;
            }
        };
        tokio::select! {
            both = async { tokio::try_join!(upward, downward) } => both.map(|_| ()),
            error = silence => Err(error),
        }
    }
}

async fn resolve(host: &HostName, port: u16) -> Result<Vec<SocketAddr>, TunnelError> {
    if let Some(address) = host.address() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    found
        .map(Iterator::collect)
        .map_err(|_| TunnelError::Unreachable(format!("the name `{host}` does not resolve")))
}

async fn connect_to_any(addresses: &[SocketAddr]) -> Result<TcpStream, TunnelError> {
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A tunnel carries handshakes; waiting to fill packets only slows them. Where the
                // option is not to be had, the tunnel works all the same.
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(TunnelError::Unreachable(last))
}

async fn connect_through(
    proxy: &ProxyAddress,
    host: &HostName,
    port: u16,
) -> Result<TcpStream, TunnelError> {
    let by_proxy = |error: io::Error| TunnelError::Unreachable(format!("upstream proxy: {error}"));
    let mut stream = connect_to_any(&resolve(&proxy.host, proxy.port).await?).await?;
    let authorization = proxy
        .authorization()
        .map(|value| format!("Proxy-Authorization: {value}\r\n"));
    let request = format!(
        "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{}\r\n",
        authorization.unwrap_or_default()
    );
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(by_proxy)?;
    // Byte by byte: what follows the head belongs to the tunnel.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LONGEST_ANSWER {
            return Err(TunnelError::Unreachable(
                "upstream proxy: endless answer".to_owned(),
            ));
        }
        head.push(stream.read_u8().await.map_err(by_proxy)?);
    }
    let status = head
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5));
    match status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok()) {
        Some(200..=299) => Ok(stream),
        Some(status) => Err(TunnelError::Unreachable(format!(
            "upstream proxy: status {status}"
        ))),
        None => Err(TunnelError::Unreachable(
            "upstream proxy: not an HTTP answer".to_owned(),
        )),
    }
}

/// Copies until the end of `from`, then tells `to` so.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
        to.flush().await?;
        progress(length as u64);
    }
}
