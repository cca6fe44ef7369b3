//! Requests passed on and tunnels, directly and through the user's own proxy.

use super::*;

#[tokio::test]
async fn plain_http_is_forwarded_with_its_end_to_end_headers_only() {
    let (port, heads) = upstream(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-End: 1\r\nConnection: close, X-Hop\r\nX-Hop: 2\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
    );
    let setup = setup(&[port]);
    let answer = setup
        .talk(format!(
            "GET http://127.0.0.1:{port}/pool/a%2bb.deb?token=s3cret HTTP/1.1\r\nHost: other.example\r\n\
             Proxy-Authorization: Basic x\r\nX-Hop: 1\r\nConnection: close, x-hop\r\nIf-Modified-Since: then\r\n\r\n"
        ))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("hello"),
        "{answer}"
    );
    assert!(
        answer.contains("x-end: 1\r\n") && !answer.contains("x-hop"),
        "{answer}"
    );
    let head = heads.recv().expect("one request").to_ascii_lowercase();
    assert!(
        head.starts_with("get /pool/a%2bb.deb?token=s3cret http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("host: 127.0.0.1:{port}\r\n")),
        "{head}"
    );
    assert!(head.contains("if-modified-since: then\r\n"), "{head}");
    assert!(
        !head.contains("proxy-auth") && !head.contains("x-hop") && !head.contains("other.example"),
        "{head}"
    );
    let record = setup.only_record().await;
    assert_eq!(
        record.url,
        format!("http://127.0.0.1:{port}/pool/a%2bb.deb?token=***")
    );
    assert_eq!(
        (record.decision, record.status, record.bytes),
        (RequestDecision::Forwarded, 200, 5)
    );
}

#[tokio::test]
async fn redirects_and_statuses_are_passed_on_and_bodies_are_bounded() {
    let (port, heads) =
        upstream("HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n");
    let setup_a = setup(&[port]);
    let answer = setup_a
        .talk(format!(
            "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 302 ") && answer.contains("location: http://10.0.0.1/\r\n"),
        "{answer}"
    );
    assert_eq!(heads.try_iter().count(), 1);

    let mut large = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    large.resize(2_000_000, b'a');
    let (port, _heads) = upstream(large);
    let addresses = "127.0.0.1".parse().expect("a policy");
    let bounded = setup_with(
        ProxyConfig {
            addresses,
            max_bytes: 1_000_000,
            ..ProxyConfig::default()
        },
        &[port],
    );
    let answer = bounded
        .talk(format!(
            "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"
        ))
        .await;
    assert!(
        !answer.ends_with("0\r\n\r\n"),
        "the guest can tell that it broke off"
    );
    let record = bounded.only_record().await;
    assert!(
        matches!(record.decision, RequestDecision::Failed { .. }),
        "{record:?}"
    );
    assert!(record.bytes <= 1_000_000, "{record:?}");

    let closed = BlockingListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address")
        .port();
    let setup_b = setup(&[closed]);
    let answer = setup_b
        .talk(format!(
            "GET http://127.0.0.1:{closed}/ HTTP/1.1\r\nHost: x\r\n\r\n"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(matches!(
        setup_b.only_record().await.decision,
        RequestDecision::Failed { .. }
    ));
}

#[tokio::test]
async fn connect_carries_bytes_both_ways_unseen() {
    let (port, heads) = upstream("pong");
    let setup = setup(&[port]);
    let mut client = setup.connect();
    // Bytes that follow the head at once belong to the tunnel.
    let request = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n\0ping\r\n\r\n");
    client.write_all(request.as_bytes()).await.expect("sent");
    let head = read_head(&mut client).await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && !head.contains("content-length"),
        "{head}"
    );
    client.shutdown().await.expect("half closed");
    assert_eq!(read_all(&mut client).await, b"pong");
    assert_eq!(heads.recv().expect("seen"), "\0ping\r\n\r\n");
    let record = setup.only_record().await;
    assert_eq!((record.url, record.bytes), (format!("127.0.0.1:{port}"), 4));
    assert_eq!(
        (record.decision, record.status),
        (RequestDecision::Tunnelled, 200)
    );
}

#[tokio::test]
async fn a_tunnel_on_which_nothing_moves_is_closed() {
    let listener = BlockingListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let setup = impatient(&[port]);
    let mut client = setup.connect();
    client
        .write_all(format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n").as_bytes())
        .await
        .expect("sent");
    read_head(&mut client).await;
    assert_eq!(read_all(&mut client).await, b"");
    assert!(matches!(
        setup.only_record().await.decision,
        RequestDecision::Failed { .. }
    ));
}

#[tokio::test]
async fn the_users_own_proxy_carries_tunnels_and_plain_http() {
    let (port, heads) = upstream("HTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\npong");
    let upstream = UpstreamProxies::from_variables(|name| {
        (name == "all_proxy").then(|| format!("http://user:pw@127.0.0.1:{port}"))
    });
    let config = ProxyConfig {
        upstream: upstream.expect("usable"),
        ..ProxyConfig::default()
    };
    let setup = setup_with(config, &[]);
    // A peer that cannot be shown the run's certificate: the tunnel is blind.
    let mut client = setup.connect_as(&setup.peer().asking(None, false));
    client
        .write_all(b"CONNECT only-the-proxy-knows.invalid:443 HTTP/1.1\r\n\r\n")
        .await
        .expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
    client.shutdown().await.expect("half closed");
    assert_eq!(
        read_all(&mut client).await,
        b"pong",
        "all after the upstream's head"
    );
    let head = heads.recv().expect("a request");
    assert!(
        head.starts_with("CONNECT only-the-proxy-knows.invalid:443 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("Proxy-Authorization: Basic dXNlcjpwdw==\r\n"),
        "{head}"
    );
    let answer = setup.talk("GET http://only-the-proxy-knows.invalid/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("pong"),
        "{answer}"
    );
    assert!(
        heads
            .recv()
            .expect("a request")
            .starts_with("GET http://only-the-proxy-knows.invalid/a HTTP/1.1\r\n")
    );
    for request in [
        "CONNECT 10.0.0.1:443 HTTP/1.1\r\n\r\n",
        "GET http://localhost/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        assert!(
            setup.talk(request).await.starts_with("HTTP/1.1 403 "),
            "{request}"
        );
    }
    assert_eq!(heads.try_iter().count(), 0);
}

/// Sends one request inside TLS that ends at the proxy, to a host on which nothing listens.
async fn inside_tls(setup: &Setup, request: &[u8]) -> String {
    let mut client = setup.connect();
    let connect = b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(connect).await.expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let mut inside = setup.tls().connect(name, client).await.expect("TLS");
    // A proxy that refuses early may close before everything was written.
    inside.write_all(request).await.ok();
    inside.flush().await.ok();
    read_head(&mut inside).await
}

#[tokio::test]
async fn what_sends_a_body_is_passed_on_live_over_tls_alone_and_bounded() {
    let setup = setup(&[]);
    let long = format!("Content-Length: {}\r\n\r\n", LONGEST_SENT + 1);
    for (method, rest, status) in [
        ("POST", "Content-Length: 2\r\n\r\nab", 502),
        (
            "PUT",
            "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            502,
        ),
        ("DELETE", "\r\n", 502),
        ("GET", "Content-Length: 2\r\n\r\nab", 400),
        ("POST", long.as_str(), 413),
    ] {
        let mut request = format!("{method} /x HTTP/1.1\r\nHost: 127.0.0.1\r\n{rest}").into_bytes();
        if status == 413 {
            request.resize(request.len() + LONGEST_SENT + 1, b'x');
        }
        let answer = inside_tls(&setup, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method}: {answer}"
        );
    }
    let records = setup.records(5).await;
    let told: Vec<(&str, u16)> = records
        .iter()
        .map(|r| (r.method.as_str(), r.status))
        .collect();
    let expected = [
        ("POST", 502),
        ("PUT", 502),
        ("DELETE", 502),
        ("GET", 400),
        ("POST", 413),
    ];
    assert_eq!(told, expected);
    let config = ProxyConfig {
        answers: AnswersFrom::Lock(
            Store::open(tempfile::tempdir().expect("a folder").path()).expect("a store"),
        ),
        ..ProxyConfig::default()
    };
    let replay = setup_with(config, &[]);
    let answer = replay
        .talk("POST http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
        .await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}
