//! Fetching against a local server that plays one scripted connection after the other.

use std::fs;
use std::io::{Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::*;

/// A server on 127.0.0.1 whose n-th connection is played by the n-th script: what it does after the
/// request's head was read. Further connections find nobody.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) heads: mpsc::Receiver<String>,
}

pub(super) type Script = Box<dyn FnOnce(TcpStream) + Send>;

pub(super) fn server(scripts: Vec<Script>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, heads) = mpsc::channel();
    thread::spawn(move || {
        for script in scripts {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n")
                && stream.read(&mut byte).is_ok_and(|length| length == 1)
            {
                head.push(byte[0]);
            }
            sender
                .send(String::from_utf8_lossy(&head).into_owned())
                .ok();
            script(stream);
        }
    });
    Server { url, heads }
}

/// A script that answers with these bytes and closes.
pub(super) fn answer(text: impl Into<String>) -> Script {
    let text = text.into();
    Box::new(move |mut stream| {
        stream.write_all(text.as_bytes()).ok();
    })
}

pub(super) fn ok(body: &str) -> Script {
    answer(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

pub(super) fn redirect(to: &str) -> Script {
    answer(format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ))
}

pub(super) fn policy() -> FetchPolicy {
    FetchPolicy {
        addresses: "127.0.0.1".parse().expect("a policy"),
        plain_http: PlainHttp::Allowed,
        max_bytes: 1_000_000,
        first_pause: Duration::from_millis(1),
        connect_time: Duration::from_secs(5),
        idle_time: Duration::from_secs(10),
        total_time: Duration::from_secs(20),
        ..FetchPolicy::default()
    }
}

pub(super) struct Outcome {
    pub(super) result: Result<Blob, FetchError>,
    pub(super) store: Store,
    pub(super) folder: tempfile::TempDir,
}

impl Outcome {
    pub(super) fn error(&self) -> &FetchError {
        self.result.as_ref().expect_err("refused or failed")
    }
}

/// Fetches content that should be `hello`.
pub(super) fn fetch_with(policy: FetchPolicy, url: &str) -> Outcome {
    fetch_through(policy, UpstreamProxies::none(), url)
}

pub(super) fn fetch_through(policy: FetchPolicy, upstream: UpstreamProxies, url: &str) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    let lab = LabHosts {
        repositories: Some(folder.path().join("lab")),
    };
    fs::create_dir(folder.path().join("lab")).expect("created");
    fs::write(folder.path().join("lab/greeting"), "hello").expect("written");
    fs::create_dir(folder.path().join("lab/wrong")).expect("created");
    fs::write(folder.path().join("lab/wrong/greeting"), "hallo").expect("written");
    let result =
        Fetcher::new(policy, lab, upstream).fetch_verified(url, &Digest::of(b"hello"), &store);
    let left = fs::read_dir(folder.path().join("store/temporary"))
        .expect("readable")
        .count();
    assert_eq!(left, 0, "nothing half-written stays");
    Outcome {
        result,
        store,
        folder,
    }
}

#[test]
fn content_is_fetched_once_and_then_comes_from_the_store() {
    let server = server(vec![ok("hello")]);
    let outcome = fetch_with(policy(), &format!("{}/a/../key?x=1", server.url));
    let blob = outcome.result.expect("fetched");
    assert_eq!(fs::read(&blob.path).expect("there"), b"hello");
    let head = server.heads.recv().expect("one request");
    assert!(head.starts_with("GET /key?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.to_ascii_lowercase()
            .contains("accept-encoding: identity\r\n"),
        "{head}"
    );
    let fetcher = Fetcher::new(policy(), LabHosts::default(), UpstreamProxies::none());
    let again = fetcher.fetch_verified("https://nowhere.invalid/", &blob.digest, &outcome.store);
    assert_eq!(again.expect("no network needed"), blob);
}

#[test]
fn a_mismatch_keeps_the_evidence_and_is_not_retried() {
    let server = server(vec![ok("hellO"), ok("hello")]);
    let outcome = fetch_with(policy(), &format!("{}/key?token=s3cret", server.url));
    let FetchError::Mismatch(mismatch) = outcome.error() else {
        panic!("{:?}", outcome.result)
    };
    assert_eq!(mismatch.url, format!("{}/key?token=***", server.url));
    assert_eq!(
        (mismatch.expected, mismatch.actual),
        (Digest::of(b"hello"), Digest::of(b"hellO"))
    );
    assert_eq!(mismatch.size, 5);
    assert_eq!(fs::read(&mismatch.evidence).expect("kept"), b"hellO");
    assert!(
        mismatch
            .evidence
            .starts_with(outcome.folder.path().join("store/evidence"))
    );
    let note = fs::read_to_string(mismatch.evidence.with_extension("json")).expect("a note");
    assert!(
        note.contains("token=***") && !note.contains("s3cret"),
        "{note}"
    );
    assert!(!outcome.store.contains(&Digest::of(b"hellO")));
    assert_eq!(server.heads.try_iter().count(), 1);
}

#[test]
fn what_is_too_large_is_stopped_before_and_while_it_comes() {
    let claimed = server(vec![answer(
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999\r\n\r\nx",
    )]);
    let endless: Script = Box::new(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            .ok();
        while stream.write_all(&[b'a'; 65536]).is_ok() {}
    });
    let endless = server(vec![endless]);
    for server in [claimed, endless] {
        let outcome = fetch_with(policy(), &server.url);
        assert!(
            matches!(
                outcome.error(),
                FetchError::TooLarge {
                    limit: 1_000_000,
                    ..
                }
            ),
            "{:?}",
            outcome.result
        );
    }
}

#[test]
fn plain_http_and_redirects_to_it_are_refused_unless_allowed() {
    let strict = FetchPolicy {
        plain_http: PlainHttp::Refused,
        ..policy()
    };
    let outcome = fetch_with(strict, "http://example.org/key");
    assert!(matches!(outcome.error(), FetchError::PlainHttp { .. }));

    let second = server(vec![ok("hello")]);
    let first = server(vec![redirect(&format!("{}/there", second.url))]);
    fetch_with(policy(), &first.url)
        .result
        .expect("http to http is allowed here");

    let fetcher = Fetcher::new(policy(), LabHosts::default(), UpstreamProxies::none());
    let secure: WebUrl = "https://example.org/a".parse().expect("a URL");
    let error = fetcher
        .redirected(&secure, Some("http://example.org/a"))
        .expect_err("a downgrade");
    assert_eq!(
        error.to_string(),
        "`https://example.org/a` redirects to `http://example.org/a`, which is plain http"
    );
}

#[test]
fn redirects_are_bounded_and_checked() {
    let server_of = |to: &str| server((0..7).map(|_| redirect(to)).collect());
    let cases = [
        ("/loop", "redirects more than 5 times"),
        (
            "file:///etc/passwd",
            "redirects to a place that is not an http or https URL",
        ),
        (
            "https://user:pw@example.org/",
            "redirects to a place that holds credentials",
        ),
    ];
    for (to, message) in cases {
        let server = server_of(to);
        let outcome = fetch_with(policy(), &server.url);
        assert!(
            outcome.error().to_string().ends_with(message),
            "{}",
            outcome.error()
        );
        assert!(!outcome.error().retry_helps());
    }
    let metadata = server_of("http://169.254.169.254/latest/");
    let outcome = fetch_with(policy(), &metadata.url);
    assert!(
        matches!(outcome.error(), FetchError::RefusedAddress { .. }),
        "{:?}",
        outcome.result
    );
}

#[test]
fn what_can_recover_is_tried_again() {
    let busy = || answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let reset: fn() -> Script = || Box::new(drop);
    let torn = || answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhel");
    let torn_chunk = || answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    for script in [busy(), reset(), torn(), torn_chunk()] {
        let server = server(vec![script, ok("hello")]);
        fetch_with(policy(), &server.url)
            .result
            .expect("the second attempt");
        assert_eq!(server.heads.try_iter().count(), 2);
    }
    let always_busy = server((0..9).map(|_| busy()).collect());
    let outcome = fetch_with(policy(), &always_busy.url);
    assert!(matches!(
        outcome.error(),
        FetchError::Status { status: 503, .. }
    ));
    assert_eq!(always_busy.heads.try_iter().count(), 4, "max_attempts");
    let gone = server(vec![
        answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ok("hello"),
    ]);
    let outcome = fetch_with(policy(), &gone.url);
    assert!(matches!(
        outcome.error(),
        FetchError::Status { status: 404, .. }
    ));
    assert_eq!(gone.heads.try_iter().count(), 1);
}

#[test]
fn silence_and_dripping_end_in_time() {
    let silent: fn() -> Script = || Box::new(|_stream| thread::sleep(Duration::from_secs(30)));
    let dripping: fn() -> Script = || {
        Box::new(|mut stream| {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                .ok();
            while stream.write_all(b"a").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        })
    };
    for script in [silent(), dripping()] {
        let server = server(vec![script]);
        let impatient = FetchPolicy {
            max_attempts: 1,
            idle_time: Duration::from_millis(400),
            total_time: Duration::from_millis(1200),
            ..policy()
        };
        let started = Instant::now();
        let outcome = fetch_with(impatient, &server.url);
        assert!(
            matches!(outcome.error(), FetchError::Unreachable { .. }),
            "{:?}",
            outcome.result
        );
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn nonsense_from_a_server_is_an_error_and_no_panic() {
    let huge_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(5000));
    for text in [
        "\u{0}\u{1}\u{2}",
        "HTTP/9.9 200\r\n\r\n",
        "220 smtp ready\r\n",
        &huge_head,
        &many_headers,
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ] {
        let server = server(vec![answer(text)]);
        let outcome = fetch_with(
            FetchPolicy {
                max_attempts: 1,
                ..policy()
            },
            &server.url,
        );
        let error = outcome.error();
        assert!(
            matches!(
                error,
                FetchError::Unreachable { .. } | FetchError::Mismatch(_)
            ),
            "{error:?}"
        );
    }
}

#[test]
fn special_addresses_are_refused_after_resolution() {
    let server = server(vec![ok("hello")]);
    let port = server.url.rsplit(':').next().expect("a port").to_owned();
    let strict = FetchPolicy {
        addresses: AddressPolicy::public_only(),
        ..policy()
    };
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "0.0.0.0",
        "192.168.1.1",
    ] {
        let outcome = fetch_with(strict.clone(), &format!("http://{host}:{port}/key"));
        assert!(
            matches!(outcome.error(), FetchError::RefusedAddress { .. }),
            "{host}: {:?}",
            outcome.result
        );
        assert!(!outcome.error().retry_helps());
    }
    assert_eq!(server.heads.try_iter().count(), 0, "nobody connected");
}

#[test]
fn an_untrusted_certificate_is_a_tls_error() {
    let authority = crate::proxy::CertificateAuthority::generate().expect("a CA");
    let host = crate::url::HostName::parse("localhost").expect("a host");
    let config = authority.server_config(&host).expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut tls = tokio_rustls::rustls::ServerConnection::new(config).expect("a server");
        while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
    });
    let outcome = fetch_with(policy(), &format!("https://localhost:{port}/key"));
    assert!(
        matches!(outcome.error(), FetchError::Tls { .. }),
        "{:?}",
        outcome.result
    );
    assert!(outcome.error().hint().is_some());
}

#[test]
fn unreachable_is_told_from_refused() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let outcome = fetch_with(
        FetchPolicy {
            max_attempts: 2,
            ..policy()
        },
        &format!("http://{closed}/"),
    );
    assert!(
        matches!(outcome.error(), FetchError::Unreachable { .. }),
        "{:?}",
        outcome.result
    );
    assert!(outcome.error().retry_helps());
}

#[test]
fn lab_hosts_are_answered_without_a_network() {
    let strict = FetchPolicy::default();
    let outcome = fetch_with(strict.clone(), "https://packages.assay.test/greeting");
    assert_eq!(outcome.result.expect("served").size, 5);
    let outcome = fetch_with(strict, "https://packages.assay.test/../store/x");
    assert!(matches!(outcome.error(), FetchError::Lab { .. }));
    let store = Store::open(outcome.folder.path().join("other")).expect("a store");
    let fetcher = Fetcher::new(
        FetchPolicy::default(),
        LabHosts::default(),
        UpstreamProxies::none(),
    );
    let error = fetcher.fetch_verified("https://packages.assay.test/a", &Digest::of(b"a"), &store);
    assert_eq!(
        error.expect_err("not built").hint().as_deref(),
        Some("run `assay-lab build`")
    );
}

#[test]
fn plain_http_goes_through_the_users_proxy_in_absolute_form() {
    let proxy = server(vec![ok("hello")]);
    let address = proxy.url.replace("http://", "http://user:pw@");
    let upstream =
        UpstreamProxies::from_variables(|name| (name == "http_proxy").then(|| address.clone()));
    let strict = FetchPolicy {
        addresses: AddressPolicy::public_only(),
        ..policy()
    };
    let outcome = fetch_through(
        strict,
        upstream.expect("usable"),
        "http://only-the-proxy-knows.invalid:8080/key?a",
    );
    outcome.result.expect("fetched");
    let head = proxy.heads.recv().expect("one request");
    assert!(
        head.starts_with("GET http://only-the-proxy-knows.invalid:8080/key?a HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("proxy-authorization: Basic dXNlcjpwdw==\r\n"),
        "{head}"
    );
}

#[test]
fn https_goes_through_the_users_proxy_by_connect() {
    let refusing = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        answer(head)
    };
    let busy = "502 Bad Gateway";
    let proxy = server(vec![
        refusing("403 Forbidden"),
        refusing(busy),
        refusing(busy),
    ]);
    let address = proxy.url.clone();
    let upstream =
        UpstreamProxies::from_variables(|name| (name == "https_proxy").then(|| address.clone()));
    let upstream = upstream.expect("usable");
    let twice = FetchPolicy {
        max_attempts: 2,
        addresses: AddressPolicy::public_only(),
        ..policy()
    };
    let url = "https://only-the-proxy-knows.invalid/key";
    let asked = |expected: &str| {
        let outcome = fetch_through(twice.clone(), upstream.clone(), url);
        let said = format!("{:?}", outcome.error());
        assert!(said.starts_with(expected), "{said}");
    };
    asked("ProxyRefused");
    asked("Unreachable");
    let heads: Vec<String> = proxy.heads.iter().collect();
    let connect = "CONNECT only-the-proxy-knows.invalid:443 HTTP/1.1\r\n";
    assert!(
        heads.iter().all(|head| head.starts_with(connect)),
        "{heads:?}"
    );
    assert_eq!(heads.len(), 3, "who is refused asks once");
    for local in [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://a.localhost/",
    ] {
        let outcome = fetch_through(twice.clone(), upstream.clone(), local);
        assert!(
            matches!(outcome.error(), FetchError::RefusedAddress { .. }),
            "{local}: {:?}",
            outcome.result
        );
    }
}

#[test]
fn a_host_answers_by_the_policy_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let fetcher = |repositories| {
        Fetcher::new(
            FetchPolicy::default(),
            LabHosts { repositories },
            UpstreamProxies::none(),
        )
    };
    let built = fetcher(Some(folder.path().to_owned()));
    assert!(built.answers("packages.assay.test"));
    assert!(!fetcher(None).answers("packages.assay.test"));
    // A private address is never asked, and what is no host name is no host.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    assert!(!built.answers(&format!("127.0.0.1:{port}")));
    assert!(!built.answers("no host"));
    listener.set_nonblocking(true).expect("a listener");
    assert!(listener.accept().is_err(), "nobody has connected");
}
