//! Fetching one URL for a program of the sandbox that can be told of a downloader, but of no
//! certificate authority. It asks the runner's proxy in clear, over loopback, and the proxy asks the
//! world over TLS. It runs as whoever started it, takes on that program's name, since the request is
//! that program's, and may do nothing that any other program of the sandbox could not.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use assay_wire::program::PROXY_PORT;

/// Most bytes of an answer's head, and of what an answer that is no content says.
const HEAD_BYTES: u64 = 64 << 10;
const REASON_BYTES: u64 = 300;

/// Most redirects, as many as curl(1) follows for libalpm.
const REDIRECTS: usize = 10;

/// How long nothing may come; the proxy ends what hangs sooner.
const IDLE: Duration = Duration::from_secs(600);

/// Ends a call with other words than a URL and a file (`EX_USAGE` of sysexits(3)).
const USAGE: u8 = 64;

/// `fetch URL FILE`: 0 once the file holds what the URL answers, 1 if it answers nothing.
pub(crate) fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(2).collect();
    let [url, file] = words.as_slice() else {
        return ExitCode::from(USAGE);
    };
    let Some(url) = url.to_str() else {
        return ExitCode::from(USAGE);
    };
    take_name_of_parent();
    match fetch(url, Path::new(file), PROXY_PORT) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Who started it may have closed it.
            let _ = writeln!(io::stderr(), "{url}: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn take_name_of_parent() {
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_pid());
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
    if let Ok(name) = std::ffi::CString::new(name.trim_end()) {
        // Without it the record names this binary.
        let _ = rustix::thread::set_name(&name);
    }
}

/// Writes what a URL answers to a file, through the proxy at a port of loopback.
fn fetch(url: &str, file: &Path, port: u16) -> io::Result<()> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        match ask(&url, port)? {
            Answer::Content(mut answer, length) => {
                let mut file = File::create(file)?;
                let came = io::copy(&mut answer, &mut file)?;
                return match length {
                    Some(length) if length != came => {
                        Err(io::Error::other(format!("{came} of {length} bytes came")))
                    }
                    Some(_) | None => Ok(()),
                };
            }
            Answer::Elsewhere(location) => url = join(&url, &location),
            Answer::Nothing(said) => return Err(io::Error::other(said)),
        }
    }
    Err(io::Error::other("too many redirects"))
}

enum Answer {
    /// What follows is the content, of this length if it was said.
    Content(BufReader<TcpStream>, Option<u64>),
    Elsewhere(String),
    /// The status, and what was said with it.
    Nothing(String),
}

/// Asks by HTTP/1.0, which no part of an answer's framing is left to: it ends with the connection.
fn ask(url: &str, port: u16) -> io::Result<Answer> {
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(io::Error::other("not a URL"));
    }
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(IDLE))?;
    connection.write_all(format!("GET {url} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = BufReader::new(connection);
    let head = read_head(&mut answer)?;
    let field = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    match (status, field("location")) {
        ("200", _) => {
            let length = field("content-length").and_then(|length| length.parse().ok());
            Ok(Answer::Content(answer, length))
        }
        ("301" | "302" | "303" | "307" | "308", Some(location)) => Ok(Answer::Elsewhere(location)),
        (status, _) => {
            let mut reason = Vec::new();
            answer.take(REASON_BYTES).read_to_end(&mut reason)?;
            let reason = String::from_utf8_lossy(&reason);
            let reason = reason.lines().next().unwrap_or_default().escape_debug();
            Ok(Answer::Nothing(format!("{status} {reason}")))
        }
    }
}

/// The lines before the empty one.
fn read_head(answer: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut head = String::new();
    let mut bounded = answer.take(HEAD_BYTES);
    loop {
        let begin = head.len();
        if bounded.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head[begin..].trim_end().is_empty() {
            return Ok(head);
        }
    }
}

/// Where a redirect leads (RFC 3986 5.2, without dot segments, which servers do not send there).
fn join(url: &str, location: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if location.contains("://") {
        return location.to_owned();
    }
    if let Some(authority) = location.strip_prefix("//") {
        return format!("{scheme}://{authority}");
    }
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, folder) = match path.split_once('/') {
        Some((host, path)) => (host, path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        None => (path, ""),
    };
    match (location.strip_prefix('/'), folder) {
        (Some(path), _) => format!("{scheme}://{host}/{path}"),
        (None, "") => format!("{scheme}://{host}/{location}"),
        (None, folder) => format!("{scheme}://{host}/{folder}/{location}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one connection after the other with these bytes, and gives what was asked.
    fn proxy(answers: Vec<&'static str>) -> (u16, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = thread::spawn(move || {
            let answer = |answer: &str| {
                let (mut connection, _) = listener.accept().expect("a connection");
                let mut line = String::new();
                let mut reader = BufReader::new(connection.try_clone().expect("a copy"));
                reader.read_line(&mut line).expect("a request");
                reader.read_line(&mut String::new()).expect("an empty line");
                connection.write_all(answer.as_bytes()).expect("answered");
                line.trim_end().to_owned()
            };
            answers.into_iter().map(answer).collect()
        });
        (port, asked)
    }

    fn fetched(answers: Vec<&'static str>) -> (io::Result<String>, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.part");
        let (port, asked) = proxy(answers);
        let result = fetch("https://a.test/f/x", &file, port);
        let asked = asked.join().expect("answers");
        (result.and_then(|()| fs::read_to_string(&file)), asked)
    }

    #[test]
    fn the_body_is_the_file_and_redirects_are_followed() {
        let (result, asked) = fetched(vec![
            "HTTP/1.0 302 Found\r\nLocation: y?z\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nbytes",
        ]);
        assert_eq!(result.expect("fetched"), "bytes");
        assert_eq!(
            asked,
            [
                "GET https://a.test/f/x HTTP/1.0",
                "GET https://a.test/f/y?z HTTP/1.0"
            ]
        );
    }

    #[test]
    fn what_is_no_content_or_not_whole_is_a_fault_in_words() {
        for (answer, said) in [
            (
                "HTTP/1.0 404 Not Found\r\n\r\nthere is nothing here\n",
                "404 there is nothing here",
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nbytes",
                "5 of 6 bytes came",
            ),
            ("HTTP/1.0 200 OK\r\nContent-", "unexpected end of file"),
            ("", "unexpected end of file"),
        ] {
            let (result, _) = fetched(vec![answer]);
            let fault = result.expect_err(answer).to_string();
            assert!(fault.contains(said), "{answer}: {fault}");
        }
        let elsewhere = "HTTP/1.0 301 Moved\r\nLocation: /x\r\n\r\n";
        let (result, asked) = fetched(vec![elsewhere; REDIRECTS + 1]);
        assert_eq!(
            result.expect_err("endless").to_string(),
            "too many redirects"
        );
        assert_eq!(asked.len(), REDIRECTS + 1);
    }

    #[test]
    fn no_url_smuggles_a_line_into_a_request() {
        for url in ["http://a.test/ HTTP/1.1\r\nx: y", "http://a.test/\u{1}"] {
            let fault = ask(url, 9).map(|_| ()).expect_err(url);
            assert_eq!(fault.to_string(), "not a URL");
        }
    }

    #[test]
    fn a_location_is_read_against_its_url() {
        for (url, location, joined) in [
            ("https://a.test/f/x", "http://b.test/y", "http://b.test/y"),
            ("https://a.test/f/x", "//b.test/y", "https://b.test/y"),
            ("https://a.test/f/x?q=/1", "/y", "https://a.test/y"),
            ("https://a.test/f/x", "y", "https://a.test/f/y"),
            ("https://a.test/x", "y", "https://a.test/y"),
            ("https://a.test", "y", "https://a.test/y"),
        ] {
            assert_eq!(join(url, location), joined);
        }
    }
}
