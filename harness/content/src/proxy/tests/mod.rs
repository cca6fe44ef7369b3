//! The proxy over in-memory connections, spoken to in raw HTTP: the stage for the tests beside.

mod forward;
mod hostile;
mod keeping;
mod lab;
mod names;
mod recording;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener as BlockingListener;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use assay_wire::event::Request as Record;
use assay_wire::plan::OpId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

struct Setup {
    proxy: Proxy,
    authority: Arc<CertificateAuthority>,
    records: Arc<Mutex<Vec<Record>>>,
    _lab: tempfile::TempDir,
}

/// A proxy with a small lab that may reach 127.0.0.1 on any port named.
fn setup(ports: &[u16]) -> Setup {
    let config = ProxyConfig {
        addresses: "127.0.0.1".parse().expect("a policy"),
        ..ProxyConfig::default()
    };
    setup_with(config, ports)
}

/// The same, with a short idle time: for tests that wait for its end, and for those only.
fn impatient(ports: &[u16]) -> Setup {
    let config = ProxyConfig {
        addresses: "127.0.0.1".parse().expect("a policy"),
        idle_time: Duration::from_millis(500),
        ..ProxyConfig::default()
    };
    setup_with(config, ports)
}

fn setup_with(config: ProxyConfig, ports: &[u16]) -> Setup {
    let lab = tempfile::tempdir().expect("a folder");
    fs::create_dir(lab.path().join("rpm")).expect("created");
    fs::write(lab.path().join("rpm/greeting"), "hello, lab").expect("written");
    fs::write(lab.path().join("big"), vec![7u8; 3_000_001]).expect("written");
    let authority = Arc::new(CertificateAuthority::generate().expect("an authority"));
    let config = ProxyConfig {
        lab: LabHosts {
            repositories: Some(lab.path().to_owned()),
        },
        ports: ports.iter().copied().chain([80, 443]).collect(),
        ..config
    };
    let proxy = Proxy::new(config, authority.clone());
    Setup {
        proxy,
        authority,
        records: Arc::default(),
        _lab: lab,
    }
}

impl Setup {
    fn peer(&self) -> PeerInfo {
        let records = self.records.clone();
        let sink = move |record| records.lock().expect("no panic").push(record);
        PeerInfo::new(sink).during(Some(OpId(7)))
    }

    fn connect(&self) -> DuplexStream {
        self.connect_as(&self.peer())
    }

    fn connect_as(&self, peer: &PeerInfo) -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (proxy, peer) = (self.proxy.clone(), peer.clone());
        tokio::spawn(async move { proxy.serve(server, peer).await });
        client
    }

    /// Sends bytes, says that nothing more comes, and reads the answer to its end.
    async fn talk(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        // A proxy that refuses early may close before everything was written.
        client.write_all(request.as_ref()).await.ok();
        client.shutdown().await.ok();
        String::from_utf8_lossy(&read_all(&mut client).await).into_owned()
    }

    /// Waits for this many records and gives them.
    async fn records(&self, count: usize) -> Vec<Record> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.records.lock().expect("no panic").len() < count && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let records = self.records.lock().expect("no panic").clone();
        assert_eq!(records.len(), count, "{records:?}");
        records
    }

    async fn only_record(&self) -> Record {
        self.records(1).await.remove(0)
    }

    fn tls(&self) -> TlsConnector {
        let pem = self.authority.certificate_pem();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM"))
            .expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    read.expect("an end in time").ok();
    answer
}

/// Reads one head, to the empty line.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(Duration::from_secs(10), stream.read_u8())
            .await
            .expect("in time");
        head.push(byte.expect("a whole head"));
    }
    String::from_utf8(head).expect("text")
}

/// A server on 127.0.0.1 that answers every connection with these bytes after the request's head,
/// and gives the heads it saw.
fn upstream(answer: impl Into<Vec<u8>>) -> (u16, std::sync::mpsc::Receiver<String>) {
    let answer = answer.into();
    let listener = BlockingListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, heads) = std::sync::mpsc::channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n")
                && stream.read(&mut byte).is_ok_and(|length| length == 1)
            {
                head.push(byte[0]);
            }
            sender
                .send(String::from_utf8_lossy(&head).into_owned())
                .ok();
            stream.write_all(&answer).ok();
        }
    });
    (port, heads)
}

fn is_refused(record: &Record, status: u16) -> bool {
    matches!(record.decision, RequestDecision::Refused { .. }) && record.status == status
}
