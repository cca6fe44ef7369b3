//! An engine of a few lines: it answers Docker's API on a Unix socket out of a list of
//! containers, and at a chosen request refuses, or hangs up and is gone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use assay_sandbox::docker::engine::Engine;
use assay_sandbox::session::Backend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// What the engine does at a request whose `METHOD path` contains a text.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Answers with this status and message.
    Refuse(&'static str, u16, &'static str),
    /// Hangs up; the socket is gone from then on.
    Die(&'static str),
    /// Answers as it should and hangs up the attached stream once the container is started.
    DieAfterStart,
    /// Does as asked, and tells afterwards that it did not find the container.
    VanishOn(&'static str),
    /// Refuses to kill, as Podman does, because everything has just ended by itself.
    EndedAlready,
    /// Makes images without the labels asked for.
    ForgetsLabels,
}

/// A container.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) running: bool,
}

#[derive(Default)]
struct State {
    containers: Vec<Container>,
    /// Names of images made by a commit. Every image with an id is there.
    images: Vec<String>,
    /// The labels the last commit asked for.
    labels: BTreeMap<String, String>,
    requests: Vec<String>,
    fault: Option<Fault>,
    dead: bool,
}

pub(crate) struct FakeEngine {
    state: Arc<Mutex<State>>,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl FakeEngine {
    pub(crate) fn start(fault: Option<Fault>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let state = Arc::new(Mutex::new(State {
            fault,
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if shared.lock().expect("no panic").dead {
                    return;
                }
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            state,
            socket,
            _folder: folder,
        }
    }

    pub(crate) async fn backend(&self) -> Backend {
        let host = format!("unix://{}", self.socket.display());
        let engine = Engine::connect_to(&host)
            .await
            .expect("the fake engine answers");
        Backend::docker(engine).await.expect("it tells its version")
    }

    pub(crate) fn holds(&self, name: &str, labels: &[(&str, &str)], running: bool) {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        self.state
            .lock()
            .expect("no panic")
            .containers
            .push(Container {
                name: name.to_owned(),
                labels,
                running,
            });
    }

    pub(crate) fn containers(&self) -> Vec<Container> {
        self.state.lock().expect("no panic").containers.clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.containers()
            .into_iter()
            .map(|container| container.name)
            .collect()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().expect("no panic").requests.clone()
    }
}

/// Labels in the instructions of a commit, as they are in its address.
fn labels_of(changes: &str) -> BTreeMap<String, String> {
    let plain = [
        ("%0A", "\n"),
        ("%22", "\""),
        ("%3D", "="),
        ("%3A", ":"),
        ("+", " "),
    ];
    let text = plain.iter().fold(changes.to_owned(), |text, (from, to)| {
        text.replace(from, to)
    });
    text.lines()
        .filter_map(|line| line.strip_prefix("LABEL ")?.split_once('='))
        .map(|(label, value)| (label.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// Serves one connection until it ends; an attached one becomes a plain stream.
async fn serve(mut stream: UnixStream, state: Arc<Mutex<State>>) {
    while let Some((line, body)) = request(&mut stream).await {
        state.lock().expect("no panic").requests.push(line.clone());
        let fault = state.lock().expect("no panic").fault.clone();
        match fault {
            Some(Fault::Die(at)) if line.contains(at) => {
                state.lock().expect("no panic").dead = true;
                return;
            }
            Some(Fault::Refuse(at, status, message)) if line.contains(at) => {
                let body = serde_json::json!({ "message": message }).to_string();
                respond(&mut stream, status, &body).await;
                continue;
            }
            Some(Fault::EndedAlready) if line.contains("/kill") => {
                for container in &mut state.lock().expect("no panic").containers {
                    container.running = false;
                }
                let body = r#"{"message":"can only kill running containers"}"#;
                respond(&mut stream, 500, body).await;
                continue;
            }
            _ => {}
        }
        if line.contains("/attach") {
            let head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            return attached(stream, state).await;
        }
        let (status, body) = answer(&line, &body, &state);
        let vanishes = matches!(fault, Some(Fault::VanishOn(at)) if line.contains(at));
        if vanishes {
            respond(&mut stream, 404, r#"{"message":"No such container"}"#).await;
        } else {
            respond(&mut stream, status, &body).await;
        }
    }
}

/// An executor that says `hi` and lives until it is killed.
async fn attached(mut stream: UnixStream, state: Arc<Mutex<State>>) {
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let started = {
            let state = state.lock().expect("no panic");
            state.dead || state.containers.iter().any(|container| container.running)
        };
        if started {
            break;
        }
    }
    let _ = stream.write_all(b"\x01\0\0\0\0\0\0\x02hi").await;
    if matches!(
        state.lock().expect("no panic").fault,
        Some(Fault::DieAfterStart)
    ) {
        state.lock().expect("no panic").dead = true;
        return;
    }
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

fn answer(line: &str, body: &[u8], state: &Mutex<State>) -> (u16, String) {
    let mut state = state.lock().expect("no panic");
    let (method, target) = line.split_once(' ').expect("a request line");
    let path = target.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let query = |key: &str| {
        target
            .split(['?', '&'])
            .find_map(|pair| pair.strip_prefix(&format!("{key}=")).map(str::to_owned))
    };
    match (method, parts.as_slice()) {
        (_, ["_ping"]) => (200, "OK".to_owned()),
        ("GET", ["version"]) => (
            200,
            r#"{"Version":"20.10.24","ApiVersion":"1.41"}"#.to_owned(),
        ),
        ("GET", ["info"]) => (200, "{}".to_owned()),
        ("POST", ["containers", "create"]) => {
            let body: serde_json::Value = serde_json::from_slice(body).expect("a body");
            let labels = serde_json::from_value(body["Labels"].clone()).expect("labels");
            let image = body["Image"].as_str().expect("an image").to_owned();
            if !image.starts_with("sha256:") && !state.images.contains(&image) {
                return (404, r#"{"message":"No such image"}"#.to_owned());
            }
            let name = query("name").expect("a name");
            state.containers.push(Container {
                name: name.clone(),
                labels,
                running: false,
            });
            (
                201,
                serde_json::json!({ "Id": name, "Warnings": [] }).to_string(),
            )
        }
        ("DELETE", ["images", ..]) => (200, "[]".to_owned()),
        ("POST", ["commit"]) => {
            let [repository, tag] = ["repo", "tag"].map(|key| query(key).expect("a name"));
            let image = format!("{}:{tag}", repository.replace("%2F", "/"));
            state.images.push(image);
            if !matches!(state.fault, Some(Fault::ForgetsLabels)) {
                state.labels = labels_of(&query("changes").expect("instructions"));
            }
            (201, r#"{"Id":"sha256:01"}"#.to_owned())
        }
        ("GET", ["images", "json"]) => (200, "[]".to_owned()),
        ("GET", ["images", name @ .., "json"]) => {
            let name = name.join("/");
            if name.starts_with("sha256:") || state.images.contains(&name) {
                let labels = if name == "sha256:01" {
                    state.labels.clone()
                } else {
                    BTreeMap::new()
                };
                let image =
                    serde_json::json!({ "Id": "sha256:00", "Config": { "Labels": labels } });
                (200, image.to_string())
            } else {
                (404, r#"{"message":"No such image"}"#.to_owned())
            }
        }
        ("GET", ["containers", "json"]) => {
            let list: Vec<_> = state
                .containers
                .iter()
                .map(|container| {
                    serde_json::json!({
                        "Id": container.name,
                        "Names": [format!("/{}", container.name)],
                        "Labels": container.labels,
                        // Podman's word for what Docker calls `exited`.
                        "State": if container.running { "running" } else { "stopped" },
                    })
                })
                .collect();
            (200, serde_json::Value::from(list).to_string())
        }
        (_, ["containers", name, rest @ ..]) => {
            let Some(at) = state.containers.iter().position(|c| c.name == *name) else {
                return (404, r#"{"message":"No such container"}"#.to_owned());
            };
            match (method, rest) {
                ("DELETE", []) => {
                    state.containers.remove(at);
                    (204, String::new())
                }
                ("PUT", ["archive"]) => (200, String::new()),
                ("POST", ["start"]) => {
                    state.containers[at].running = true;
                    (204, String::new())
                }
                ("POST", ["wait"]) => {
                    state.containers[at].running = false;
                    (200, r#"{"StatusCode":0}"#.to_owned())
                }
                ("POST", ["kill"]) => {
                    if !state.containers[at].running {
                        return (409, r#"{"message":"is not running"}"#.to_owned());
                    }
                    state.containers[at].running = false;
                    (204, String::new())
                }
                ("POST", ["rename"]) => {
                    state.containers[at].name = query("name").expect("a name");
                    (204, String::new())
                }
                ("GET", ["json"]) => {
                    let running = state.containers[at].running;
                    let status = if running { "running" } else { "stopped" };
                    let state = serde_json::json!({
                        "Status": status, "Running": running, "ExitCode": 137, "OOMKilled": true,
                    });
                    (200, serde_json::json!({ "State": state }).to_string())
                }
                _ => (500, r#"{"message":"not served here"}"#.to_owned()),
            }
        }
        _ => (500, r#"{"message":"not served here"}"#.to_owned()),
    }
}

/// Reads one request: `METHOD target` and its body.
async fn request(stream: &mut UnixStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let line = head.lines().next()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned))
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((line, body))
}

async fn respond(stream: &mut UnixStream, status: u16, body: &str) {
    let response = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(response.as_bytes()).await;
}
