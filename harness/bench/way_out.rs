//! The way out that both sides of a comparison use: the product's own proxy on loopback, in front
//! of a cache that keeps every answer of the package archives in memory.
//!
//! Without the cache the figures would be those of the network at two different moments. The run
//! under test has a proxy of its own; its upstream, like that of the proxy here, is the cache.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use assay_content::lab_hosts::LabHosts;
use assay_content::proxy::{CertificateAuthority, PeerInfo, Proxy, ProxyConfig};
use assay_content::upstream::UpstreamProxies;
use assay_wire::program::PROXY_PORT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;

/// Longest head of a request.
const HEAD: usize = 64 << 10;

/// What is sent for a request that cannot be answered from here.
const NOT_HERE: &[u8] =
    b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The way out, served until the runtime ends.
pub(crate) struct WayOut {
    /// Address of the proxy for a container on the host's network.
    proxy: String,
    /// Address of the cache, the upstream proxy of the run under test.
    cache: String,
}

impl WayOut {
    /// Starts listening. `lab` is what the proxy serves as `packages.assay.test`.
    pub(crate) async fn open(lab: LabHosts) -> Result<Self, Failure> {
        let environment = UpstreamProxies::from_environment()?;
        let origin = serve(lab.clone(), environment).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let cache = format!("http://{}", listener.local_addr()?);
        tokio::spawn(answer_all(listener, Arc::new(Cache::new(origin))));
        let upstream = UpstreamProxies::from_variables(|name| {
            name.ends_with("_proxy").then(|| {
                if name == "no_proxy" {
                    String::new()
                } else {
                    cache.clone()
                }
            })
        })?;
        let proxy = format!("http://{}", serve(lab, upstream).await?);
        Ok(Self { proxy, cache })
    }

    /// A variable's value inside a sandbox, turned into one for a container on the host's network.
    pub(crate) fn outside(&self, value: &str) -> String {
        value.replace(&format!("http://127.0.0.1:{PROXY_PORT}"), &self.proxy)
    }

    /// The same for a container that asks the cache itself, with no proxy of the product's between.
    pub(crate) fn direct(&self, value: &str) -> String {
        value.replace(&format!("http://127.0.0.1:{PROXY_PORT}"), &self.cache)
    }

    /// `host:port` of the proxy.
    pub(crate) fn proxy_authority(&self) -> &str {
        self.proxy.trim_start_matches("http://")
    }

    /// The variables that make the cache the only upstream of a process.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("http_proxy", &self.cache),
            ("https_proxy", &self.cache),
            ("all_proxy", &self.cache),
            ("no_proxy", ""),
        ]
    }
}

/// Serves a proxy on loopback; returns `host:port`.
async fn serve(lab: LabHosts, upstream: UpstreamProxies) -> Result<String, Failure> {
    let authority = Arc::new(CertificateAuthority::generate()?);
    let config = ProxyConfig {
        lab,
        upstream,
        ..ProxyConfig::default()
    };
    let proxy = Proxy::new(config, authority);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    // A bare container cannot be shown the run's certificate.
    let peer = PeerInfo::new(|_| ()).asking(None, false);
    tokio::spawn(async move { proxy.serve_tcp(listener, peer).await });
    Ok(address)
}

/// Whole answers by URL.
struct Cache {
    /// `host:port` of the proxy that asks the archives.
    origin: String,
    answers: Mutex<BTreeMap<String, Arc<[u8]>>>,
}

impl Cache {
    fn new(origin: String) -> Self {
        Self {
            origin,
            answers: Mutex::default(),
        }
    }

    async fn answer(&self, url: &str) -> io::Result<Arc<[u8]>> {
        let known = self.lock().get(url).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut origin = TcpStream::connect(&self.origin).await?;
        let request = format!("GET {url} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n");
        origin.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        origin.read_to_end(&mut answer).await?;
        let answer: Arc<[u8]> = answer.into();
        // What failed is asked again.
        if !answer.starts_with(b"HTTP/1.1 5") {
            self.lock().insert(url.to_owned(), Arc::clone(&answer));
        }
        Ok(answer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<[u8]>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer_all(listener: TcpListener, cache: Arc<Cache>) {
    while let Ok((connection, _)) = listener.accept().await {
        let cache = Arc::clone(&cache);
        // A connection that breaks is the client's to complain of.
        tokio::spawn(async move { answer_one(connection, &cache).await.ok() });
    }
}

/// Answers one request; the connection is closed after it.
async fn answer_one(mut connection: TcpStream, cache: &Cache) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD || connection.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = String::from_utf8_lossy(&head);
    let answer = match line.split(' ').collect::<Vec<_>>()[..] {
        ["GET", url, ..] => cache.answer(url).await?,
        _ => NOT_HERE.into(),
    };
    connection.write_all(&answer).await?;
    connection.shutdown().await
}
