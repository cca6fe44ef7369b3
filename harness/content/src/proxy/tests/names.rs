//! Who may be asked: what is not named is refused, and what a named host leads to may be asked.

use super::*;

fn named(setup: &Setup, addresses: &[&str]) -> PeerInfo {
    let names = Names::default();
    names.add_addresses(addresses.iter().copied());
    setup.peer().only(names)
}

async fn talk_as(setup: &Setup, peer: &PeerInfo, request: String) -> String {
    let mut client = setup.connect_as(peer);
    client.write_all(request.as_bytes()).await.expect("sent");
    client.shutdown().await.ok();
    String::from_utf8_lossy(&read_all(&mut client).await).into_owned()
}

fn get(url: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[tokio::test]
async fn a_host_that_nothing_names_is_refused_by_every_way() {
    let setup = setup(&[]);
    let peer = named(&setup, &["http://other.example/"]);
    for request in [
        get("http://packages.assay.test/rpm/greeting"),
        get("http://nowhere.example/"),
        "CONNECT nowhere.example:443 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "CONNECT packages.assay.test:443 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ] {
        let answer = talk_as(&setup, &peer, request).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("neither the recipe nor"), "{answer}");
    }
    for record in setup.records(4).await {
        assert!(is_refused(&record, 403), "{record:?}");
        assert_eq!(record.op, Some(OpId(7)));
    }
    let peer = named(&setup, &["https://packages.assay.test/x"]);
    let request = get("http://packages.assay.test/rpm/greeting");
    assert!(
        talk_as(&setup, &peer, request)
            .await
            .ends_with("hello, lab")
    );
}

#[tokio::test]
async fn a_redirect_and_a_list_of_mirrors_name_hosts() {
    let (port, _) = upstream(
        "HTTP/1.1 302 Found\r\nLocation: http://packages.assay.test/rpm/greeting\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    let list = "<url>http://packages.assay.test/rpm/</url>";
    let (lists, _) = upstream(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{list}",
        list.len()
    ));
    let setup = setup(&[port, lists]);
    for (first, status) in [
        (format!("http://127.0.0.1:{port}/"), "302"),
        (format!("http://127.0.0.1:{lists}/metalink?repo=x"), "200"),
    ] {
        let peer = named(&setup, &["http://127.0.0.1/"]);
        let greeting = || get("http://packages.assay.test/rpm/greeting");
        assert!(
            talk_as(&setup, &peer, greeting())
                .await
                .starts_with("HTTP/1.1 403")
        );
        let answer = talk_as(&setup, &peer, get(&first)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(
            talk_as(&setup, &peer, greeting())
                .await
                .ends_with("hello, lab")
        );
    }
}

#[tokio::test]
async fn tls_is_ended_where_the_certificate_is_trusted_and_nowhere_else() {
    // Nothing listens there: a blind tunnel cannot be opened, TLS that ends here can.
    let setup = setup(&[]);
    let request = "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n";
    for (trusts, unseen, status) in [
        (true, false, "200"),
        (false, false, "502"),
        (true, true, "502"),
    ] {
        let names = Names::default();
        names.add_addresses(["https://127.0.0.1/"]);
        if unseen {
            names.leave_unseen(["https://127.0.0.1/"]);
        }
        let peer = setup.peer().only(names).asking(None, trusts);
        let answer = talk_as(&setup, &peer, request.to_owned()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{trusts} {unseen}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_run_without_a_network_answers_nothing() {
    let config = ProxyConfig {
        answers: AnswersFrom::Nowhere,
        ..ProxyConfig::default()
    };
    let setup = setup_with(config, &[]);
    for request in [
        get("http://packages.assay.test/rpm/greeting"),
        "CONNECT packages.assay.test:443 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ] {
        let answer = setup.talk(request).await;
        assert!(
            answer.starts_with("HTTP/1.1 403") && answer.contains("no network"),
            "{answer}"
        );
    }
    assert_eq!(setup.proxy.recorded(), BTreeMap::new());
}
