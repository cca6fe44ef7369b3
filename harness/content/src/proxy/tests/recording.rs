//! What is recorded once is what everybody gets, then and in every replay.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

struct Recorder {
    store: Store,
    _folder: tempfile::TempDir,
}

impl Recorder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            store: Store::open(folder.path()).expect("a store"),
            _folder: folder,
        }
    }

    fn record(&self, ports: &[u16]) -> Setup {
        let config = ProxyConfig {
            answers: AnswersFrom::WorldOnce(self.store.clone()),
            addresses: "127.0.0.1".parse().expect("a policy"),
            ..ProxyConfig::default()
        };
        setup_with(config, ports)
    }

    /// Replays, with no port that could be connected to.
    fn replay(&self, answers: BTreeMap<String, LockedAnswer>, ports: &[u16]) -> Setup {
        let lock = Lock {
            answers,
            ..Lock::default()
        };
        let config = ProxyConfig {
            answers: AnswersFrom::Lock(self.store.clone()),
            lock: Arc::new(lock),
            ..ProxyConfig::default()
        };
        setup_with(config, ports)
    }
}

fn get(url: &str, more: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a whole head").1
}

/// An answer but for the date at which it was sent.
fn timeless(answer: &str) -> Vec<&str> {
    answer
        .lines()
        .filter(|line| !line.starts_with("date: "))
        .collect()
}

/// A server whose answers differ each time, and how often it was asked.
fn fickle(head: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = BlockingListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let number = count.fetch_add(1, Ordering::SeqCst);
            write!(stream, "{head}Connection: close\r\n\r\nanswer {number}").ok();
        }
    });
    (port, asked)
}

#[tokio::test]
async fn a_server_that_changes_its_mind_is_asked_once() {
    let recorder = Recorder::new();
    let (port, asked) = fickle(
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nLast-Modified: Sun, 06 Nov 1994 12:00:00 GMT\r\n",
    );
    let url = format!("http://127.0.0.1:{port}/key");
    let record = recorder.record(&[port]);
    let first = record.talk(get(&url, "")).await;
    assert!(
        first.starts_with("HTTP/1.1 200") && body(&first) == "answer 0",
        "{first}"
    );
    let conditional = "If-Modified-Since: Sun, 06 Nov 2044 12:00:00 GMT\r\n";
    let again = record.talk(get(&url, conditional)).await;
    assert_eq!(timeless(&again), timeless(&first));
    let part = record.talk(get(&url, "Range: bytes=7-\r\n")).await;
    assert!(
        part.starts_with("HTTP/1.1 206") && body(&part) == "0",
        "{part}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let digest = Digest::of(b"answer 0");
    let answers = record.proxy.recorded();
    let expected = LockedAnswer::Body {
        sha256: digest,
        size: 8,
    };
    assert_eq!(answers, [(url.clone(), expected)].into());
    let records = record.records(3).await;
    let seen: Vec<_> = records
        .iter()
        .map(|record| (record.status, record.sha256))
        .collect();
    assert_eq!(
        seen,
        [(200, Some(digest)), (200, Some(digest)), (206, None)]
    );

    let replay = recorder.replay(answers, &[port]);
    assert_eq!(
        replay.talk(get(&url, "")).await,
        first,
        "the same answer, its head too"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1, "nobody was asked");
    assert_eq!(
        replay.only_record().await.decision,
        RequestDecision::Replayed
    );
}

#[tokio::test]
async fn many_who_want_the_same_get_the_same_at_once() {
    let recorder = Recorder::new();
    let (port, asked) = fickle("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n");
    let url = format!("http://127.0.0.1:{port}/x");
    let record = recorder.record(&[port]);
    let requests: Vec<String> = (0..20).map(|_| get(&url, "")).collect();
    let all = requests.into_iter().map(|request| record.talk(request));
    for answer in futures_in_turn(all).await {
        assert_eq!(body(&answer), "answer 0");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// Polls all futures together.
async fn futures_in_turn(all: impl Iterator<Item = impl Future<Output = String>>) -> Vec<String> {
    let mut pinned: Vec<_> = all.map(Box::pin).collect();
    let mut done = vec![None; pinned.len()];
    std::future::poll_fn(|context| {
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(answer) = future.as_mut().poll(context)
            {
                *slot = Some(answer);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn redirects_and_nothing_are_recorded_and_replayed() {
    let recorder = Recorder::new();
    let (moved, _) = upstream(
        "HTTP/1.1 301 Moved\r\nLocation: /there?token=hush\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    let (gone, _) = upstream("HTTP/1.1 404 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    let record = recorder.record(&[moved, gone]);
    let urls = [
        format!("http://127.0.0.1:{moved}/"),
        format!("http://127.0.0.1:{gone}/"),
        "http://packages.assay.test/nowhere".to_owned(),
    ];
    let mut first = Vec::new();
    for url in &urls {
        first.push(record.talk(get(url, "")).await);
    }
    let statuses: Vec<&str> = first.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["301", "404", "404"]);
    assert!(
        first[0].contains(&format!(
            "location: http://127.0.0.1:{moved}/there?token=***"
        )),
        "{}",
        first[0]
    );
    let replay = recorder.replay(record.proxy.recorded(), &[moved, gone]);
    for (url, first) in urls.iter().zip(first) {
        assert_eq!(timeless(&replay.talk(get(url, "")).await), timeless(&first));
    }
}

#[tokio::test]
async fn what_may_recover_is_no_answer() {
    let recorder = Recorder::new();
    let (busy, heads) =
        upstream("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (short, _) =
        upstream("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nshort");
    let record = recorder.record(&[busy, short]);
    let answer = record
        .talk(get(&format!("http://127.0.0.1:{busy}/"), ""))
        .await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(heads.try_iter().count(), 4, "it was asked again");
    let answer = record
        .talk(get(&format!("http://127.0.0.1:{short}/"), ""))
        .await;
    // Whether the head still gets out before the connection ends is a race of
    // the two connections; a whole answer never does.
    let body = answer.split_once("\r\n\r\n").map(|(head, body)| {
        assert!(head.contains("content-length: 9"), "{answer}");
        body
    });
    assert!(body.unwrap_or_default().len() < 9, "{answer}");
    assert_eq!(record.proxy.recorded(), BTreeMap::new());
    for record in record.records(2).await {
        assert!(
            matches!(record.decision, RequestDecision::Failed { .. }),
            "{record:?}"
        );
        assert_eq!(record.sha256, None);
    }
}

#[tokio::test]
async fn a_miss_names_what_is_missing() {
    let recorder = Recorder::new();
    let lost = LockedAnswer::Body {
        sha256: Digest::of(b"lost"),
        size: 4,
    };
    let answers = [("http://packages.assay.test/lost".to_owned(), lost)].into();
    let replay = recorder.replay(answers, &[]);
    for (path, said) in [
        ("lost", "not in the content store"),
        ("rpm/greeting", "not in the lock"),
    ] {
        let url = format!("http://packages.assay.test/{path}");
        let answer = replay.talk(get(&url, "")).await;
        assert!(
            answer.starts_with("HTTP/1.1 504") && answer.contains(said),
            "{answer}"
        );
    }
    for record in replay.records(2).await {
        let RequestDecision::Missed { reason } = &record.decision else {
            panic!("{record:?}");
        };
        assert!(reason.contains("http://packages.assay.test/"), "{reason}");
    }
}

#[tokio::test]
async fn tls_that_ends_here_is_recorded_and_a_tunnel_cannot_be() {
    let recorder = Recorder::new();
    let record = recorder.record(&[]);
    let mut client = record.connect();
    client
        .write_all(b"CONNECT packages.assay.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
    let name = ServerName::try_from("packages.assay.test").expect("a name");
    let mut inside = record.tls().connect(name, client).await.expect("TLS");
    let request =
        b"GET /rpm/greeting HTTP/1.1\r\nHost: packages.assay.test\r\nConnection: close\r\n\r\n";
    inside.write_all(request).await.expect("sent");
    let answer = read_all(&mut inside).await;
    assert!(answer.ends_with(b"hello, lab"));
    let urls: Vec<String> = record.proxy.recorded().into_keys().collect();
    assert_eq!(urls, ["https://packages.assay.test/rpm/greeting"]);
    let names = Names::default();
    names.add_addresses(["https://mirror.example/"]);
    names.leave_unseen(["https://mirror.example/"]);
    let mut client = record.connect_as(&record.peer().only(names));
    let request = b"CONNECT mirror.example:443 HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let answer = read_all(&mut client).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("over http"),
        "{answer}"
    );
    let answer = record
        .talk("CONNECT packages.assay.test:80 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn what_comes_live_is_compared_with_the_lock() {
    let (came, other) = (Digest::of(b"hello, lab"), Digest::of(b"other"));
    for locked in [came, other] {
        let url = "http://packages.assay.test/rpm/greeting";
        let answer = LockedAnswer::Body {
            sha256: locked,
            size: 10,
        };
        let lock = Lock {
            answers: [(url.to_owned(), answer)].into(),
            ..Lock::default()
        };
        let config = ProxyConfig {
            lock: Arc::new(lock),
            ..ProxyConfig::default()
        };
        let setup = setup_with(config, &[]);
        assert!(setup.talk(get(url, "")).await.ends_with("hello, lab"));
        let record = setup.only_record().await;
        assert_eq!((record.sha256, record.locked), (Some(came), Some(locked)));
        assert_eq!(record.has_drifted(), locked == other);
    }
}

#[tokio::test]
async fn declared_content_is_part_of_a_recording() {
    let recorder = Recorder::new();
    let record = recorder.record(&[]);
    let digest = Digest::of(b"key");
    record
        .proxy
        .note("https://a.example/key?token=hush", digest, 3);
    record.proxy.note("no url", digest, 3);
    let expected = LockedAnswer::Body {
        sha256: digest,
        size: 3,
    };
    let urls = record.proxy.recorded();
    assert_eq!(
        urls,
        [("https://a.example/key?token=***".to_owned(), expected)].into()
    );
}
