//! Measures what the proxy moves: a file of the lab through `serve`, in memory and over a Unix
//! socket, plain and over TLS, and how fast content is hashed. Prints figures and asserts none.
//!
//! `cargo run --release -p assay-content --example throughput`

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use assay_content::lab_hosts::LabHosts;
use assay_content::proxy::{CertificateAuthority, PeerInfo, Proxy, ProxyConfig};
use assay_content::store::digest_of_reader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const SIZE: usize = 400_000_000;
const PLAIN: &str =
    "GET http://packages.assay.test/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const INSIDE: &str = "GET /big HTTP/1.1\r\nHost: packages.assay.test\r\nConnection: close\r\n\r\n";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("big"), vec![b'x'; SIZE])?;
    let authority = Arc::new(CertificateAuthority::generate()?);
    let config = ProxyConfig {
        lab: LabHosts {
            repositories: Some(folder.path().to_owned()),
        },
        ..ProxyConfig::default()
    };
    let proxy = Proxy::new(config, authority.clone());

    let mut file = std::fs::File::open(folder.path().join("big"))?;
    let started = Instant::now();
    digest_of_reader(&mut file)?;
    report("sha256 of a file", SIZE, started)?;

    let (mut client, server) = tokio::io::duplex(1 << 20);
    serve(&proxy, server);
    download("plain, in memory", &mut client, PLAIN).await?;

    let (mut client, server) = UnixStream::pair()?;
    serve(&proxy, server);
    download("plain, Unix socket", &mut client, PLAIN).await?;

    let (mut client, server) = UnixStream::pair()?;
    serve(&proxy, server);
    client
        .write_all(b"CONNECT packages.assay.test:443 HTTP/1.1\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await?);
    }
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(
        authority.certificate_pem().as_bytes(),
    )?)?;
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("packages.assay.test")?;
    let mut client = TlsConnector::from(Arc::new(tls))
        .connect(name, client)
        .await?;
    download("TLS, Unix socket", &mut client, INSIDE).await
}

fn serve(proxy: &Proxy, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let proxy = proxy.clone();
    tokio::spawn(async move { proxy.serve(stream, PeerInfo::new(|_| ())).await });
}

async fn download(
    what: &str,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    stream.write_all(request.as_bytes()).await?;
    let mut piece = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        match stream.read(&mut piece).await? {
            0 => break,
            length => total += length,
        }
    }
    if total < SIZE {
        return Err(format!("{what}: only {total} bytes").into());
    }
    report(what, total, started)?;
    Ok(())
}

fn report(what: &str, bytes: usize, started: Instant) -> io::Result<()> {
    let seconds = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = bytes as f64 / 1e6 / seconds;
    writeln!(io::stdout(), "{what}: {rate:.0} MB/s")
}
