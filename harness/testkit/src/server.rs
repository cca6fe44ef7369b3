//! A server on loopback that speaks TLS by an authority of its own, and is, where a test wants that, a
//! company's proxy: it opens what is tunnelled through it, or passes it on, and may ask who comes.
//!
//! It answers from a table, notes what it was asked, and reaches nothing but loopback.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The longest head of a request that is read.
const MAX_HEAD: usize = 16 << 10;

/// What a server does when it is asked for a tunnel (RFC 9110 9.3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnels {
    /// It is no proxy.
    Refused,
    /// It passes bytes on, to loopback alone.
    PassedOn,
    /// It is whoever was asked for, by certificates of its own authority, and answers itself.
    Opened,
}

/// A server that runs until its process ends.
#[derive(Debug)]
pub struct TlsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    issuer: Issuer,
    tunnels: Tunnels,
    /// The `Proxy-Authorization` it wants to see.
    credentials: Option<String>,
    /// Bodies by path and query.
    bodies: Mutex<BTreeMap<String, Vec<u8>>>,
    asked: Mutex<Vec<String>>,
}

/// An authority, which shows nothing of its key.
struct Issuer(CertifiedIssuer<'static, KeyPair>);

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl TlsServer {
    /// Starts one. With credentials, the value of a `Proxy-Authorization` (RFC 9110 11.7.2), it lets
    /// nobody through who does not show them.
    ///
    /// # Panics
    /// If the machine has no port on loopback, or no randomness.
    #[must_use]
    pub fn start(tunnels: Tunnels, credentials: Option<&str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // An authority is found by its name.
        let name = format!("authority of {address}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().expect("randomness");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let shared = Arc::new(Shared {
            issuer: Issuer(issuer),
            tunnels,
            credentials: credentials.map(str::to_owned),
            bodies: Mutex::default(),
            asked: Mutex::default(),
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                // Whoever breaks off, or does not trust it, ends the connection.
                thread::spawn(move || server.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The certificate of its authority, PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.shared.issuer.0.pem()
    }

    /// Answers so on a path, with its query, from now on.
    pub fn give(&self, path: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref().to_vec();
        locked(&self.shared.bodies).insert(path.to_owned(), body);
    }

    /// What it was asked since this was last called: `CONNECT host:port`, `GET host/path`. Whoever
    /// showed no credentials is noted with `407`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.shared.asked))
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut first = [0];
        stream.peek(&mut first)?;
        // A handshake of TLS begins with its type (RFC 8446 5.1).
        if first == [22] {
            return self.answer("127.0.0.1", stream);
        }
        self.tunnel(stream)
    }

    fn tunnel(&self, mut stream: TcpStream) -> io::Result<()> {
        let head = head(&mut stream)?;
        let mut words = head.split(' ');
        let (Some("CONNECT"), Some(target)) = (words.next(), words.next()) else {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        };
        let shown = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then(|| value.trim())
        });
        if self.credentials.is_some() && self.credentials.as_deref() != shown {
            self.note(format!("CONNECT {target} 407"));
            return stream.write_all(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n\
                  Proxy-Authenticate: Basic realm=\"company\"\r\nContent-Length: 0\r\n\r\n",
            );
        }
        self.note(format!("CONNECT {target}"));
        let open = b"HTTP/1.1 200 OK\r\n\r\n";
        match (self.tunnels, target.parse::<SocketAddr>()) {
            (Tunnels::Opened, _) => {
                stream.write_all(open)?;
                let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
                self.answer(host, stream)
            }
            (Tunnels::PassedOn, Ok(address)) if address.ip().is_loopback() => {
                let onward = TcpStream::connect(address)?;
                stream.write_all(open)?;
                let (back_from, back_to) = (onward.try_clone()?, stream.try_clone()?);
                let back = thread::spawn(move || pass(back_from, back_to));
                pass(stream, onward)?;
                back.join().unwrap_or(Ok(()))
            }
            (Tunnels::PassedOn | Tunnels::Refused, _) => {
                stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            }
        }
    }

    /// Answers one request as a host.
    fn answer(&self, host: &str, stream: TcpStream) -> io::Result<()> {
        let config = self.config(host).map_err(io::Error::other)?;
        let connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let head = head(&mut stream)?;
        let mut words = head.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Ok(());
        };
        self.note(format!("{method} {host}{path}"));
        let body = locked(&self.bodies).get(path).cloned();
        let (status, body) = match body {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", Vec::new()),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        if method != "HEAD" {
            stream.write_all(&body)?;
        }
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn config(&self, host: &str) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer.0)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(
            ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![leaf.der().clone()], key.into())?,
        )
    }

    fn note(&self, what: String) {
        locked(&self.asked).push(what);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The head of a request, up to its empty line.
fn head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Passes on what comes, then that nothing more does.
fn pass(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}
