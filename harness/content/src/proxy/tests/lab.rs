//! Files of the lab, plain and over the run's own TLS.

use super::*;

#[tokio::test]
async fn lab_files_are_served_over_verified_tls() {
    let setup = setup(&[]);
    let mut client = setup.connect();
    client
        .write_all(b"CONNECT packages.assay.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
    let name = ServerName::try_from("packages.assay.test").expect("a name");
    let mut tls = setup
        .tls()
        .connect(name, client)
        .await
        .expect("the run's certificate is trusted");
    let request = "GET /rpm/greeting HTTP/1.1\r\nHost: packages.assay.test\r\n\r\n";
    tls.write_all(request.as_bytes()).await.expect("sent");
    let head = read_head(&mut tls).await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 10\r\n"),
        "{head}"
    );
    let mut body = [0; 10];
    tls.read_exact(&mut body).await.expect("a body");
    assert_eq!(&body, b"hello, lab");
    // The connection is kept, and a second request may ask for a part.
    let request =
        "GET /rpm/greeting HTTP/1.1\r\nHost: x\r\nRange: bytes=7-\r\nConnection: close\r\n\r\n";
    tls.write_all(request.as_bytes()).await.expect("sent");
    let answer = String::from_utf8(read_all(&mut tls).await).expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 206 ") && answer.ends_with("\r\n\r\nlab"),
        "{answer}"
    );
    assert!(
        answer.contains("content-range: bytes 7-9/10\r\n"),
        "{answer}"
    );
    let records = setup.records(2).await;
    let seen: Vec<_> = records
        .iter()
        .map(|r| (r.op, r.method.as_str(), r.url.as_str(), r.status, r.bytes))
        .collect();
    let url = "https://packages.assay.test/rpm/greeting";
    assert_eq!(
        seen,
        [
            (Some(OpId(7)), "GET", url, 200, 10),
            (Some(OpId(7)), "GET", url, 206, 3)
        ]
    );
    assert!(
        records
            .iter()
            .all(|record| record.decision == RequestDecision::Served)
    );
}

#[test]
fn the_authoritys_key_is_shown_to_nobody() {
    let setup = setup(&[]);
    assert!(!format!("{:?}", setup.authority).contains("key"));
    assert!(!setup.authority.certificate_pem().contains("PRIVATE"));
}

#[tokio::test]
async fn a_guest_that_does_not_trust_the_authority_is_recorded() {
    let (setup, stranger) = (setup(&[]), setup(&[]));
    let mut client = setup.connect();
    client
        .write_all(b"CONNECT packages.assay.test:443 HTTP/1.1\r\n\r\n")
        .await
        .expect("sent");
    read_head(&mut client).await;
    let name = ServerName::try_from("packages.assay.test").expect("a name");
    stranger
        .tls()
        .connect(name, client)
        .await
        .expect_err("another run's authority");
    let record = setup.only_record().await;
    let RequestDecision::Failed { reason } = &record.decision else {
        panic!("{record:?}")
    };
    assert!(reason.starts_with("TLS handshake: "), "{reason}");
    assert_eq!(
        (record.method.as_str(), record.url.as_str()),
        ("CONNECT", "packages.assay.test:443")
    );
}

#[tokio::test]
async fn lab_files_over_plain_http_with_every_condition() {
    let setup = setup(&[]);
    let get = |path: &str, more: &str| {
        setup.talk(format!("GET http://packages.assay.test{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n"))
    };
    let whole = get("/rpm/greeting", "").await;
    assert!(
        whole.starts_with("HTTP/1.1 200 ") && whole.ends_with("\r\n\r\nhello, lab"),
        "{whole}"
    );
    let date = whole
        .lines()
        .find_map(|line| line.strip_prefix("last-modified: "))
        .expect("a date")
        .to_owned();
    let same = get("/rpm/greeting", &format!("If-Modified-Since: {date}\r\n")).await;
    assert!(
        same.starts_with("HTTP/1.1 304 ") && same.ends_with("\r\n\r\n"),
        "{same}"
    );
    let none = get("/rpm/greeting", "Range: bytes=10-\r\n").await;
    assert!(
        none.starts_with("HTTP/1.1 416 ") && none.contains("content-range: bytes */10\r\n"),
        "{none}"
    );
    let missing = get("/rpm/../../etc/passwd", "").await;
    assert!(
        missing.starts_with("HTTP/1.1 404 ") && missing.contains("has no file"),
        "{missing}"
    );
    let head = setup
        .talk("HEAD http://packages.assay.test/big HTTP/1.0\r\n\r\n")
        .await;
    assert!(
        head.starts_with("HTTP/1.") && head.contains("content-length: 3000001\r\n"),
        "{head}"
    );
    assert!(head.ends_with("\r\n\r\n"), "no body");
    let big = get("/big", "").await;
    assert_eq!(
        big.split_once("\r\n\r\n").expect("a head").1.len(),
        3_000_001
    );
    let records = setup.records(6).await;
    let seen: Vec<_> = records
        .iter()
        .map(|record| (record.status, record.bytes))
        .collect();
    assert_eq!(seen[..3], [(200, 10), (304, 0), (416, 0)]);
    assert_eq!(
        (seen[3].0, seen[4], seen[5]),
        (404, (200, 0), (200, 3_000_001))
    );
    let not_built = setup_with(ProxyConfig::default(), &[]);
    fs::remove_dir_all(not_built._lab.path()).expect("removed");
    let answer = not_built
        .talk("GET http://packages.assay.test/a HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("run `assay-lab build`"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_listener_serves_clients_without_a_tunnel() {
    let setup = setup(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (proxy, peer) = (setup.proxy.clone(), setup.peer());
    let serving = tokio::spawn(async move { proxy.serve_tcp(listener, peer).await });
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = tokio::net::TcpStream::connect(address).await.expect("connected");
                let request = "GET http://packages.assay.test/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
                client.write_all(request.as_bytes()).await.expect("sent");
                read_all(&mut client).await.len()
            })
        })
        .collect();
    for client in clients {
        assert!(client.await.expect("no panic") > 3_000_001);
    }
    setup.records(8).await;
    serving.abort();
}

/// So the executor asks for a manager that can be told of no certificate authority.
#[tokio::test]
async fn https_may_be_asked_in_clear_where_there_is_a_trust_store() {
    let setup = setup(&[]);
    let request = "GET https://packages.assay.test/rpm/greeting HTTP/1.0\r\n\r\n";
    let answer = setup.talk(request).await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    assert!(answer.ends_with("hello, lab"), "{answer}");
    let record = setup.only_record().await;
    assert_eq!(record.url, "https://packages.assay.test/rpm/greeting");
    assert_eq!(record.sha256, Some(Digest::of(b"hello, lab")));

    let bare = setup.peer().asking(None, false);
    let mut client = setup.connect_as(&bare);
    client.write_all(request.as_bytes()).await.expect("asked");
    let answer = read_all(&mut client).await;
    assert!(answer.starts_with(b"HTTP/1.0 403 "));
    let refused = setup.records(2).await.remove(1);
    let reason = "there is no certificate authority to check https with".to_owned();
    assert_eq!(refused.decision, RequestDecision::Refused { reason });
}

#[tokio::test]
async fn nobody_is_led_from_https_down_to_http() {
    let setup = setup(&[]);
    let place = setup._lab.path().join("rpm/moved.redirect");
    fs::write(place, "http://packages.assay.test/rpm/greeting").expect("written");
    let get = |scheme: &str| {
        setup.talk(format!(
            "GET {scheme}://packages.assay.test/rpm/moved HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
    };
    let answer = get("https").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let reason =
        "a redirect from https to plain http, to `http://packages.assay.test/rpm/greeting`";
    let reason = reason.to_owned();
    let record = setup.only_record().await;
    assert_eq!(record.decision, RequestDecision::AnswerRefused { reason });
    let answer = get("http").await;
    assert!(answer.starts_with("HTTP/1.1 302 "), "{answer}");
    let location = "location: http://packages.assay.test/rpm/greeting\r\n";
    assert!(answer.contains(location), "{answer}");
}
