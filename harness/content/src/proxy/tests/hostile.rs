//! Guests that mean harm: private addresses, ambiguous requests, garbage, slowness.

use super::*;

#[tokio::test]
async fn private_addresses_are_refused_and_recorded() {
    let (port, heads) = upstream("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let setup = setup_with(ProxyConfig::default(), &[port]);
    let mut count = 0;
    let hosts = [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "224.0.0.1",
        "255.255.255.255",
        "LOCALHOST.",
        "[64:ff9b::7f00:1]",
    ];
    for host in hosts {
        for request in [
            format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: x\r\n\r\n"),
            format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        ] {
            let answer = setup.talk(&request).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{request}: {answer}");
            count += 1;
            let records = setup.records(count).await;
            assert!(
                is_refused(&records[count - 1], 403),
                "{:?}",
                records[count - 1]
            );
        }
    }
    assert_eq!(heads.try_iter().count(), 0, "nobody connected");
}

#[tokio::test]
async fn other_spellings_of_addresses_are_no_hosts() {
    let setup = setup_with(ProxyConfig::default(), &[]);
    for host in [
        "2130706433",
        "0x7f000001",
        "127.1",
        "0177.0.0.1",
        "127.0.0.1.1",
        "[::1%25lo]",
        "user@127.0.0.1",
        "%6cocalhost",
    ] {
        for request in [
            format!("CONNECT {host}:443 HTTP/1.1\r\nHost: x\r\n\r\n"),
            format!("GET http://{host}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        ] {
            let answer = setup.talk(&request).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request}: {answer}");
        }
    }
    let records = setup.records(16).await;
    assert!(
        records.iter().all(|record| is_refused(record, 400)),
        "{records:?}"
    );
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let setup = setup(&[]);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: packages.assay.test\r\n\r\n", 400),
        (
            "POST https://packages.assay.test/ HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
        ),
        ("GET ftp://example.org/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (
            "POST http://packages.assay.test/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
            405,
        ),
        (
            "DELETE http://packages.assay.test/a HTTP/1.1\r\nHost: x\r\n\r\n",
            405,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT example.org:22 HTTP/1.1\r\nHost: x\r\n\r\n", 403),
        (
            "CONNECT packages.assay.test:22 HTTP/1.1\r\nHost: x\r\n\r\n",
            403,
        ),
        (
            "GET http://example.org:25/ HTTP/1.1\r\nHost: x\r\n\r\n",
            403,
        ),
        ("CONNECT example.org HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT example.org:0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (
            "CONNECT http://example.org:443/ HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
        ),
        ("CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ] {
        let answer = setup.talk(request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
    }
    let records = setup.records(13).await;
    assert!(
        records
            .iter()
            .all(|record| matches!(record.decision, RequestDecision::Refused { .. })),
        "{records:?}"
    );
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read() {
    let second = "GET http://packages.assay.test/rpm/greeting HTTP/1.1\r\nHost: x\r\n\r\n";
    let first = "GET http://packages.assay.test/rpm/greeting HTTP/1.1\r\nHost: x\r\n";
    let setup = setup(&[]);
    let cases = [
        format!("{first}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{second}"),
        format!("{first}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}"),
        format!("{first}Content-Length: {}\r\n\r\n{second}", second.len()),
        format!(
            "{first}Content-Length: 0\r\nContent-Length: {}\r\n\r\n{second}",
            second.len()
        ),
        format!("{first}Content-Length: 99999999999999999999999\r\n\r\n{second}"),
        format!("{first}Content-Length: 18446744073709551615\r\n\r\n{second}"),
        format!("{first}Content-Length: +0\r\n\r\n{second}"),
        format!("{first}Content-Length: -1\r\n\r\n{second}"),
        format!("{first}Transfer-Encoding: xchunked\r\n\r\n{second}"),
        format!("{first}Transfer-Encoding: chunked, identity\r\n\r\n{second}"),
        format!("{first}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{second}"),
        format!("{first}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{second}"),
        format!("{first}X: a\r\n folded: b\r\n\r\n{second}"),
        format!("{first}X: a\0b\r\n\r\n{second}"),
        format!("{first}X: a\rGET / HTTP/1.1\r\n\r\n{second}"),
        format!("GET http://packages.assay.test/rpm/greeting\r\nX: y HTTP/1.1\r\n\r\n{second}"),
        format!(
            "CONNECT packages.assay.test:443 HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd{second}"
        ),
    ];
    for (index, case) in cases.iter().enumerate() {
        let answer = setup.talk(case).await;
        // The HTTP library finds a length of 2^64 - 1 too large rather than malformed.
        let status = if case.contains("18446744073709551615") {
            431
        } else {
            400
        };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{case}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{case}: {answer}");
        assert!(!answer.contains("hello, lab"), "{case}: {answer}");
        let records = setup.records(index + 1).await;
        assert!(is_refused(&records[index], status), "{:?}", records[index]);
    }
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let setup = setup(&[]);
    let endless_line = vec![b'a'; 200_000];
    let mut endless_headers = b"GET http://packages.assay.test/ HTTP/1.1\r\n".to_vec();
    (0..10_000).for_each(|_| endless_headers.extend_from_slice(b"X: y\r\n"));
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut long_url = b"GET http://packages.assay.test/".to_vec();
    long_url.resize(20_000, b'a');
    long_url.extend_from_slice(b" HTTP/1.1\r\n\r\n");
    for garbage in [
        vec![],
        vec![0; 100],
        endless_line,
        endless_headers,
        tls_hello,
        http2,
        long_url,
    ] {
        let answer = setup.talk(&garbage).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    for (bytes, answer) in [
        ("GET", ""),
        (
            "GET http://packages.assay.test/rpm/greeting HTTP/1.1\r\nHost: x",
            "",
        ),
    ] {
        assert_eq!(setup.talk(bytes).await, answer, "cut off");
    }
    let fine = setup
        .talk("GET http://packages.assay.test/rpm/greeting HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert!(fine.ends_with("hello, lab"), "{fine}");
}

#[tokio::test]
async fn a_slow_head_and_a_silent_client_are_cut_off() {
    let setup = impatient(&[]);
    for beginning in ["", "GET http://packages.assay.test/ HTTP/1.1\r\nX: "] {
        let mut client = setup.connect();
        let started = Instant::now();
        client.write_all(beginning.as_bytes()).await.expect("sent");
        let answer = read_all(&mut client).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "{:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_recorded_and_frees_its_thread() {
    let setup = setup(&[]);
    let mut client = setup.connect();
    client
        .write_all(b"GET http://packages.assay.test/big HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    read_head(&mut client).await;
    drop(client);
    let record = setup.only_record().await;
    assert!(record.bytes < 3_000_001, "{record:?}");
}

#[tokio::test]
async fn records_never_hold_controls_and_are_bounded() {
    let setup = setup(&[]);
    let url = format!("http://packages.assay.test/{}", "%1b[2J".repeat(500));
    setup
        .talk(format!("GET {url} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .await;
    setup.talk("G\u{1b}T http://x/ HTTP/1.1\r\n\r\n").await;
    for record in setup.records(2).await {
        let text = format!("{}{}{:?}", record.method, record.url, record.decision);
        assert!(!text.contains(char::is_control), "{text}");
        assert!(record.url.len() <= 2048);
    }
    assert_eq!(
        printable("a\u{1b}\u{e4}\u{202e}", 100),
        "a\\u{1b}\u{e4}\\u{202e}"
    );
    assert_eq!(printable("\u{e4}\u{e4}", 3), "\u{e4}");
}

/// Sixteen connections of one peer, all that may have a body at once, that take nothing.
async fn stalled(setup: &Setup, greedy: &PeerInfo) -> Vec<DuplexStream> {
    let request = "GET http://packages.assay.test/big HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stalled = Vec::new();
    for _ in 0..16 {
        let mut client = setup.connect_as(greedy);
        client.write_all(request.as_bytes()).await.expect("sent");
        read_head(&mut client).await;
        stalled.push(client);
    }
    stalled
}

async fn is_served(setup: &Setup, peer: &PeerInfo) -> bool {
    let mut client = setup.connect_as(peer);
    let request = "GET http://packages.assay.test/rpm/greeting HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).await.expect("sent");
    read_all(&mut client).await.ends_with(b"hello, lab")
}

#[tokio::test]
async fn a_peer_that_takes_nothing_holds_up_no_other() {
    let setup = setup(&[]);
    let greedy = setup.peer();
    let _stalled = stalled(&setup, &greedy).await;
    assert!(is_served(&setup, &setup.peer()).await);
    assert_eq!(greedy.bodies.available_permits(), 0, "still held up itself");
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up_after_the_idle_time() {
    let setup = impatient(&[]);
    let greedy = setup.peer();
    let mut stalled = stalled(&setup, &greedy).await;
    assert!(
        is_served(&setup, &greedy).await,
        "when a place is free again"
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    while greedy.bodies.available_permits() < 16 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Whoever stalled gets no whole body any more, and can tell.
    let rest = read_all(&mut stalled[0]).await;
    assert!(rest.len() < 3_000_001, "{}", rest.len());
}

#[tokio::test]
async fn credentials_of_a_guest_are_not_recorded() {
    let setup = setup_with(ProxyConfig::default(), &[]);
    for request in [
        "GET http://user:hunter2@example.org/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT user:hunter2@example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://packages.assay.test/a?password=hunter2 HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        setup.talk(request).await;
    }
    for record in setup.records(3).await {
        assert!(record.url.contains("***"), "{record:?}");
        assert!(!format!("{record:?}").contains("hunter2"), "{record:?}");
    }
}

#[tokio::test]
async fn a_flood_of_requests_ends_and_is_told_once() {
    let setup = setup(&[]);
    let peer = setup.peer();
    let most = usize::try_from(record::MOST_REQUESTS).expect("a number");
    // Counted as the proxy counts them; those that are sent come after.
    for _ in 0..most {
        assert!(peer.flood("GET", "http://packages.assay.test/").is_none());
    }
    let request = "GET http://packages.assay.test/rpm/greeting HTTP/1.1\r\nHost: x\r\n\r\n";
    for sent in [request, request, "nonsense\r\n\r\n"] {
        let mut client = setup.connect_as(&peer);
        client.write_all(sent.as_bytes()).await.expect("sent");
        client.shutdown().await.ok();
        let answer = String::from_utf8_lossy(&read_all(&mut client).await).into_owned();
        let status = if sent == request { "429" } else { "400" };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    assert!(is_refused(&setup.only_record().await, 429));
    // Another sandbox is none the wiser.
    let mut client = setup.connect();
    client.write_all(request.as_bytes()).await.expect("sent");
    client.shutdown().await.ok();
    assert!(read_all(&mut client).await.ends_with(b"hello, lab"));
}
