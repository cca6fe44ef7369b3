//! Serves the proxy on a TCP address and prints each request as a line of JSON: for trying a tool
//! by hand, and for measuring a container without Assay against the same way out.
//!
//! `cargo run -p assay-content --example serve -- ADDRESS CA_FILE [LAB_FOLDER [ALLOWED,…]]`
//!
//! The run's certificate authority is written to `CA_FILE`. `ALLOWED` are networks and hosts that
//! may be reached although they are not public.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use assay_content::lab_hosts::LabHosts;
use assay_content::proxy::{CertificateAuthority, PeerInfo, Proxy, ProxyConfig};
use assay_content::upstream::UpstreamProxies;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .ok_or("an address to listen on is missing")?;
    let ca_file = arguments
        .next()
        .ok_or("a file for the authority's certificate is missing")?;
    let repositories = arguments
        .next()
        .filter(|folder| !folder.is_empty())
        .map(Into::into);
    let addresses = arguments.next().unwrap_or_default().parse()?;

    let authority = Arc::new(CertificateAuthority::generate()?);
    std::fs::write(ca_file, authority.certificate_pem())?;
    let config = ProxyConfig {
        lab: LabHosts { repositories },
        addresses,
        upstream: UpstreamProxies::from_environment()?,
        ..ProxyConfig::default()
    };
    let peer = PeerInfo::new(|request| {
        if let Ok(line) = serde_json::to_string(&request) {
            writeln!(io::stdout(), "{line}").ok();
        }
    });
    Proxy::new(config, authority)
        .serve_tcp(TcpListener::bind(address).await?, peer)
        .await?;
    Ok(())
}
