//! Bodies that break off, servers that lie about the rest of them, servers that want to be left alone,
//! and mirrors.

use std::io::Write as _;
use std::thread;
use std::time::Instant;

use super::tests::{
    Outcome, Script, Server, answer, fetch_through, fetch_with, ok, policy, server,
};
use super::*;

/// An answer with the first bytes of `hello`, which then breaks off.
fn torn(headers: &str) -> Script {
    answer(format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: 5\r\nConnection: close\r\n\r\nhel"
    ))
}

/// A part of a body.
fn part(range: &str, headers: &str, body: &str) -> Script {
    answer(format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: {range}\r\n{headers}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    ))
}

const TAG: &str = "ETag: \"one\"\r\n";
const DATE: &str =
    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Mon, 07 Nov 1994 08:49:37 GMT\r\n";

/// The heads of all requests, in lower case.
fn heads(server: &Server) -> Vec<String> {
    let heads = server.heads.try_iter();
    heads.map(|head| head.to_ascii_lowercase()).collect()
}

fn fetch(server: &Server) -> Outcome {
    fetch_with(policy(), &format!("{}/key", server.url))
}

#[test]
fn a_body_that_broke_off_is_gone_on_with_where_its_validator_is_strong() {
    let date = "if-range: sun, 06 nov 1994 08:49:37 gmt\r\n";
    for (validator, condition) in [(TAG, "if-range: \"one\"\r\n"), (DATE, date)] {
        let server = server(vec![
            torn(validator),
            part("bytes 3-4/5", validator, "lo"),
            ok("never asked"),
        ]);
        let outcome = fetch(&server);
        let blob = outcome.result.as_ref().expect("put together");
        assert_eq!(std::fs::read(&blob.path).expect("there"), b"hello");
        let heads = heads(&server);
        assert_eq!(heads.len(), 2);
        assert!(!heads[0].contains("range"), "{}", heads[0]);
        let asked = |line: &str| heads[1].contains(line);
        assert!(
            asked("range: bytes=3-\r\n") && asked(condition),
            "{heads:?}"
        );
    }
}

#[test]
fn what_has_no_strong_validator_begins_anew() {
    for weak in [
        "",
        "ETag: W/\"one\"\r\n",
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    ] {
        let server = server(vec![torn(weak), ok("hello")]);
        fetch(&server).result.expect("fetched");
        let heads = heads(&server);
        assert!(!heads[1].contains("range"), "{weak}: {}", heads[1]);
    }
}

#[test]
fn a_rest_that_does_not_belong_to_it_is_not_taken() {
    // The bytes are the right ones: whoever takes them is done after two requests.
    let evil = |range: &str, headers: &str| part(range, headers, "lo");
    let lies = [
        // Another beginning, another end, another or no total.
        evil("bytes 2-4/5", TAG),
        evil("bytes 4-4/5", TAG),
        evil("bytes 3-3/5", TAG),
        evil("bytes 3-4/6", TAG),
        evil("bytes 3-5/6", TAG),
        evil("bytes 3-4/*", TAG),
        evil("bytes 3-99999999999999999999/5", TAG),
        evil("nonsense", TAG),
        // Another version, or none named.
        evil("bytes 3-4/5", "ETag: \"two\"\r\n"),
        evil("bytes 3-4/5", "ETag: W/\"one\"\r\n"),
        evil("bytes 3-4/5", ""),
        // Several parts at once, and a range that is not to be had.
        answer(
            "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\nETag: \"one\"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nlo",
        ),
        answer(
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let server = server(vec![torn(TAG), lie, ok("hello")]);
        fetch(&server)
            .result
            .unwrap_or_else(|error| panic!("{number}: {error}"));
        let heads = heads(&server);
        assert_eq!(heads.len(), 3, "{number}");
        assert!(!heads[2].contains("range"), "{number}: {}", heads[2]);
    }
    // The whole of it, to a request for its rest: from the beginning.
    let whole = server(vec![torn(TAG), ok("hello")]);
    fetch(&whole).result.expect("fetched");
    assert_eq!(heads(&whole).len(), 2);
}

#[test]
fn two_parts_that_do_not_fit_are_no_mismatch_before_one_piece_is() {
    let spliced = server(vec![torn(TAG), part("bytes 3-4/5", TAG, "LO"), ok("hello")]);
    let outcome = fetch(&spliced);
    outcome.result.as_ref().expect("in one piece");
    assert_eq!(
        std::fs::read_dir(outcome.folder.path().join("store/evidence"))
            .expect("there")
            .count(),
        0
    );
    // And one piece is never gone on with then.
    let server = server(vec![
        torn(TAG),
        part("bytes 3-4/5", TAG, "LO"),
        torn(TAG),
        ok("hellO"),
    ]);
    let outcome = fetch(&server);
    assert!(
        matches!(outcome.error(), FetchError::Mismatch(_)),
        "{:?}",
        outcome.result
    );
    let heads = heads(&server);
    assert!(
        heads[1].contains("range") && !heads[3].contains("range"),
        "{heads:?}"
    );
}

#[test]
fn a_part_nobody_asked_for_is_refused() {
    let server = server(vec![part("bytes 0-4/5", TAG, "hello")]);
    let outcome = fetch(&server);
    assert!(
        matches!(outcome.error(), FetchError::Status { status: 206, .. }),
        "{:?}",
        outcome.result
    );
}

#[test]
fn a_body_in_pieces_is_bounded_as_a_whole() {
    let piece = "x".repeat(600_000);
    let first = answer(format!(
        "HTTP/1.1 200 OK\r\n{TAG}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{piece}\r\n",
        piece.len()
    ));
    let more = part("bytes 600000-1199999/1200000", TAG, &piece);
    let outcome = fetch(&server(vec![first, more]));
    assert!(
        matches!(outcome.error(), FetchError::TooLarge { .. }),
        "{:?}",
        outcome.result
    );
}

#[test]
fn a_length_that_is_a_lie_is_no_content() {
    // More than comes: tried again. Less: what is behind it is not read.
    let long = || answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhello");
    let outcome = fetch(&server((0..4).map(|_| long()).collect()));
    assert!(
        matches!(outcome.error(), FetchError::Unreachable { .. }),
        "{:?}",
        outcome.result
    );
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhello";
    let outcome = fetch(&server(vec![answer(short)]));
    let FetchError::Mismatch(mismatch) = outcome.error() else {
        panic!("{:?}", outcome.result)
    };
    assert_eq!(mismatch.size, 4);
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let busy = |asked: &str| {
        answer(format!(
            "HTTP/1.1 429 Slow Down\r\nRetry-After: {asked}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ))
    };
    for year in [
        "31536000",
        "99999999999999999999999",
        "Fri, 01 Jan 2996 00:00:00 GMT",
    ] {
        let server = server(vec![busy(year), ok("hello")]);
        let outcome = fetch(&server);
        let error = outcome.error();
        assert!(
            matches!(error, FetchError::Status { status: 429, .. }),
            "{error:?}"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("left alone")));
        assert_eq!(heads(&server).len(), 1, "{year}");
    }
    // So is one that asks for longer than is waited, although there were time.
    let impatient = FetchPolicy {
        longest_pause: Duration::from_secs(1),
        ..policy()
    };
    let slow = server(vec![busy("3"), ok("hello")]);
    let outcome = fetch_with(impatient, &slow.url);
    assert!(matches!(outcome.error(), FetchError::Status { .. }));
    assert_eq!(heads(&slow).len(), 1);
    let began = Instant::now();
    let server = server(vec![busy("1"), busy("0"), busy("soon"), ok("hello")]);
    fetch(&server).result.expect("it has waited");
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_reset_in_the_middle_is_tried_again() {
    let reset: fn() -> Script = || {
        Box::new(|mut stream| {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
                .ok();
            // Unread input makes the end a reset.
            thread::sleep(Duration::from_millis(20));
            drop(stream);
        })
    };
    let server = server(vec![reset(), reset(), ok("hello")]);
    fetch(&server).result.expect("the third attempt");
}

/// What fetches with mirrors: the lab's host for `example.org`, whose own name leads nowhere.
fn with_mirrors(mirrors: &[&str]) -> FetchPolicy {
    let mirrors = mirrors.iter().copied();
    FetchPolicy {
        max_attempts: 1,
        mirrors: Mirrors::default()
            .with("https://nowhere.invalid/pub/", mirrors)
            .expect("mirrors"),
        ..policy()
    }
}

fn fetch_mirrored(policy: FetchPolicy, url: &str) -> Outcome {
    // Behind a proxy that answers nothing, no test asks the world for a name.
    let refusing =
        || answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let proxy = server((0..9).map(|_| refusing()).collect());
    let address = proxy.url.clone();
    let upstream =
        UpstreamProxies::from_variables(|name| (name == "https_proxy").then(|| address.clone()));
    fetch_through(policy, upstream.expect("usable"), url)
}

#[test]
fn mirrors_are_tried_in_order_behind_the_original() {
    let url = "https://nowhere.invalid/pub/greeting";
    let lab = "https://packages.assay.test/";
    for mirrors in [&[lab][..], &["https://neither.invalid/", lab]] {
        let outcome = fetch_mirrored(with_mirrors(mirrors), url);
        assert_eq!(outcome.result.expect("from the mirror").size, 5);
    }
    let missing = fetch_mirrored(with_mirrors(&["https://packages.assay.test/missing/"]), url);
    let said = missing.error().to_string();
    assert!(
        matches!(missing.error().deciding(), FetchError::Unreachable { .. })
            && said.starts_with("`https://nowhere.invalid/pub/greeting` cannot be reached: ")
            && said.contains("; `https://packages.assay.test/missing/greeting` is not served"),
        "{said}"
    );
    let other = fetch_mirrored(
        with_mirrors(&[lab]),
        "https://nowhere.invalid/other/greeting",
    );
    assert!(
        matches!(other.error(), FetchError::Unreachable { .. }),
        "{:?}",
        other.result
    );
}

#[test]
fn wrong_bytes_of_a_mirror_count_only_if_nobody_has_the_right_ones() {
    let url = "https://nowhere.invalid/pub/greeting";
    let (wrong, right) = (
        "https://packages.assay.test/wrong/",
        "https://packages.assay.test/",
    );
    let evidence = |outcome: &Outcome| {
        let kept = outcome
            .folder
            .path()
            .join("store/evidence")
            .join(Digest::of(b"hallo").to_string());
        std::fs::read(kept).expect("kept either way")
    };
    let outcome = fetch_mirrored(with_mirrors(&[wrong, right]), url);
    outcome.result.as_ref().expect("from the second");
    assert_eq!(evidence(&outcome), b"hallo");
    let outcome = fetch_mirrored(with_mirrors(&[wrong]), url);
    let FetchError::Mismatch(mismatch) = outcome.error().deciding() else {
        panic!("{:?}", outcome.result)
    };
    assert_eq!(mismatch.url, "https://packages.assay.test/wrong/greeting");
    assert_eq!(evidence(&outcome), b"hallo");
}

#[test]
fn a_mismatch_says_what_happened_and_which_command_shows_it() {
    let server = server(vec![ok("hellO")]);
    let outcome = fetch(&server);
    let said = outcome.error().to_string();
    let evidence = outcome
        .folder
        .path()
        .join("store/evidence")
        .join(Digest::of(b"hellO").to_string());
    for part in [
        format!("{}/key", server.url),
        Digest::of(b"hello").to_string(),
        Digest::of(b"hellO").to_string(),
        "either the publisher replaced the file, or somebody between you and the publisher did"
            .to_owned(),
        format!("`assay pin show {}` shows what came", evidence.display()),
    ] {
        assert!(said.contains(&part), "{said}");
    }
    let FetchError::Mismatch(mismatch) = outcome.error() else {
        panic!("{said}")
    };
    let known = Mismatch {
        known: Some("/cache of mine/it's".into()),
        ..(**mismatch).clone()
    };
    assert_eq!(
        known.command(),
        format!("cmp -l '/cache of mine/it'\\''s' {}", evidence.display())
    );
}
