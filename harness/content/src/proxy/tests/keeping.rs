//! What is kept while it passes, and opened again.

use super::*;

fn is_package(path: &str) -> bool {
    path.ends_with(".deb")
}

struct Kept {
    setup: Setup,
    store: Store,
    _folder: tempfile::TempDir,
}

fn keeping(port: u16) -> Kept {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("content")).expect("a store");
    let config = ProxyConfig {
        addresses: "127.0.0.1".parse().expect("a policy"),
        keeping: Some(Keeping {
            store: store.clone(),
            wanted: is_package,
        }),
        ..ProxyConfig::default()
    };
    Kept {
        setup: setup_with(config, &[port]),
        store,
        _folder: folder,
    }
}

impl Kept {
    async fn get(&self, url: &str, more: &str) -> String {
        let request = format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
        self.setup.talk(request).await
    }

    fn open(&self, url: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let file = self.setup.proxy.open(url, &Digest::of(bytes));
        let mut read = Vec::new();
        file.expect("readable")?
            .read_to_end(&mut read)
            .expect("readable");
        Some(read)
    }
}

const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const IN_CHUNKS: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";

#[tokio::test]
async fn what_passes_whole_is_kept_and_only_what_is_wanted() {
    for answer in [SIZED, IN_CHUNKS] {
        let (port, _heads) = upstream(answer);
        let kept = keeping(port);
        let wanted = format!("http://127.0.0.1:{port}/pool/a.deb");
        let other = format!("http://127.0.0.1:{port}/pool/a.txt?.deb");
        assert!(kept.get(&other, "").await.contains("llo"));
        assert_eq!(kept.open(&other, b"hello"), None);
        for _ in 0..2 {
            assert!(kept.get(&format!("{wanted}?x=1"), "").await.contains("llo"));
            assert_eq!(kept.open(&wanted, b"hello").as_deref(), Some(&b"hello"[..]));
        }
        assert_eq!(kept.open(&wanted, b"other"), None);
        assert_eq!(kept.store.list().expect("listed").len(), 1);
    }
}

#[tokio::test]
async fn what_is_a_part_or_breaks_off_is_not_kept() {
    for answer in [
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let (port, _heads) = upstream(answer);
        let kept = keeping(port);
        kept.get(&format!("http://127.0.0.1:{port}/a.deb"), "")
            .await;
        kept.setup.records(1).await;
        let deadline = Instant::now() + Duration::from_secs(5);
        // The thread that reads a body may outlive its answer for a moment.
        while !kept.store.list().expect("listed").is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(kept.store.list().expect("listed"), [], "{answer}");
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_changes_no_answer() {
    let (port, _heads) = upstream(SIZED);
    let kept = keeping(port);
    let folder = kept._folder.path().join("content");
    fs::remove_dir_all(folder.join("temporary")).expect("removed");
    fs::write(folder.join("temporary"), "in the way").expect("written");
    let url = format!("http://127.0.0.1:{port}/a.deb");
    assert!(kept.get(&url, "").await.ends_with("hello"));
    assert_eq!(kept.open(&url, b"hello"), None);
    let record = kept.setup.only_record().await;
    assert_eq!(record.sha256, Some(Digest::of(b"hello")));

    // It fills up in the end: the blob cannot get its name.
    fs::remove_file(folder.join("temporary")).expect("removed");
    fs::create_dir(folder.join("temporary")).expect("made");
    fs::remove_dir_all(folder.join("blobs")).expect("removed");
    fs::write(folder.join("blobs"), "in the way").expect("written");
    assert!(kept.get(&url, "").await.ends_with("hello"));
    assert!(kept.setup.proxy.open(&url, &Digest::of(b"hello")).is_err());
    let left = fs::read_dir(folder.join("temporary")).expect("a folder");
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn files_of_the_lab_are_opened_where_they_lie_as_long_as_they_are_the_same() {
    let kept = keeping(1);
    let url = "http://packages.assay.test/rpm/greeting";
    assert!(kept.get(url, "").await.ends_with("hello, lab"));
    assert_eq!(
        kept.open(url, b"hello, lab").as_deref(),
        Some(&b"hello, lab"[..])
    );
    let file = kept.setup._lab.path().join("rpm/greeting");
    fs::write(&file, "hello, you").expect("written");
    assert_eq!(kept.open(url, b"hello, lab"), None);
    fs::remove_file(&file).expect("removed");
    assert_eq!(kept.open(url, b"hello, lab"), None);
}
