//! The engine as a test looks at it: plain requests over its socket, and engines of a test's own.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::{Value, json};

/// An engine's socket.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    socket: PathBuf,
}

impl Engine {
    /// The engine the tests are to use.
    ///
    /// # Panics
    /// If none answers.
    pub(crate) fn of_environment() -> Self {
        let host =
            std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
        Self::at(&host)
    }

    /// The engine at an address.
    ///
    /// # Panics
    /// If none answers.
    pub(crate) fn at(host: &str) -> Self {
        let socket = host.strip_prefix("unix://");
        let engine = Self {
            socket: socket.expect("the address of a Unix socket").into(),
        };
        assert!(
            engine.answers(),
            "the container tests are on, and no engine answers at {host}"
        );
        engine
    }

    /// Its address.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    fn answers(&self) -> bool {
        self.socket.exists()
            && self
                .try_request("GET", "/_ping", "text/plain", b"")
                .is_ok_and(|(status, _)| status == 200)
    }

    /// Names of every container of an owner, running or not.
    pub(crate) fn containers_of(&self, owner: &str) -> Vec<String> {
        let filters = json!({ "label": [format!("assay.owner={owner}")] }).to_string();
        let listed = self.json(
            "GET",
            &format!("/containers/json?all=1&filters={}", percent(&filters)),
            &Value::Null,
        );
        let containers = listed.as_array().expect("a list").iter();
        containers
            .map(|one| {
                one["Names"][0]
                    .as_str()
                    .expect("a name")
                    .trim_start_matches('/')
                    .to_owned()
            })
            .collect()
    }

    /// Removes a container, if it is there.
    pub(crate) fn remove_container(&self, name: &str) {
        let _ = self.request(
            "DELETE",
            &format!("/containers/{name}?force=1&v=1"),
            "text/plain",
            b"",
        );
    }

    /// Removes an image, if it is there, after what was prepared of it.
    pub(crate) fn remove_image(&self, id: &str) {
        let prepared = self.images_with(&format!("assay.prepared={id}"));
        for id in prepared.iter().map(String::as_str).chain([id]) {
            let _ = self.request(
                "DELETE",
                &format!("/images/{}?force=1", percent(id)),
                "text/plain",
                b"",
            );
        }
    }

    /// The id of the image a run on this target uses.
    pub(crate) fn image_of(&self, target: &str) -> String {
        let filters = json!({ "label": [format!("assay.target={target}")] }).to_string();
        let listed = self.json(
            "GET",
            &format!("/images/json?filters={}", percent(&filters)),
            &Value::Null,
        );
        let mut images = listed.as_array().into_iter().flatten();
        // A variant carries its target's label, too.
        let image = images.find(|image| image["Labels"]["assay.variant"].as_str().is_none());
        let image = image
            .unwrap_or_else(|| panic!("no image of {target}: run `assay images build {target}`"));
        image["Id"].as_str().expect("an id").to_owned()
    }

    /// The id of the systemd variant of a target.
    pub(crate) fn variant_of(&self, target: &str) -> String {
        let variant = self
            .images_with(&format!("assay.target={target}"))
            .into_iter()
            .find(|id| self.inspect_image(id)["Config"]["Labels"]["assay.variant"] == "systemd");
        variant.unwrap_or_else(|| {
            panic!("no systemd variant: run `assay images build {target} --variant systemd`")
        })
    }

    /// An image of another with these files (folder, name, content, mode) and labels beside its own.
    /// It has a name, because an engine does not list nameless images that others are made of. Returns
    /// its id.
    pub(crate) fn commit(
        &self,
        from: &str,
        files: &[(&str, &str, &str, u32)],
        labels: &Value,
    ) -> String {
        let made = json!({ "Image": from, "Cmd": ["true"] });
        let made = self.json("POST", "/containers/create", &made);
        let container = made["Id"].as_str().expect("an id").to_owned();
        for (folder, name, content, mode) in files {
            let tar = tar_of(name, content.as_bytes(), *mode);
            let path = format!("/containers/{container}/archive?path={folder}");
            let (status, said) = self.request("PUT", &path, "application/x-tar", &tar);
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
        }
        let tag: String = container.chars().take(12).collect();
        // Instructions, because not every engine reads labels in the body.
        let labels = labels.as_object().expect("labels").iter();
        let labels: Vec<String> = labels
            .map(|(label, value)| format!("LABEL {label}={value}"))
            .collect();
        let path = format!(
            "/commit?container={container}&repo=assay/test&tag={tag}&changes={}",
            percent(&labels.join("\n"))
        );
        let image = self.json("POST", &path, &json!({}));
        self.remove_container(&container);
        self.inspect_image(image["Id"].as_str().expect("an id"))["Id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// What the engine says of an image.
    pub(crate) fn inspect_image(&self, id: &str) -> Value {
        self.json(
            "GET",
            &format!("/images/{}/json", percent(id)),
            &Value::Null,
        )
    }

    /// The ids of the images with a label (`key` or `key=value`).
    pub(crate) fn images_with(&self, label: &str) -> Vec<String> {
        let filters = json!({ "label": [label] }).to_string();
        let path = format!("/images/json?filters={}", percent(&filters));
        let listed = self.json("GET", &path, &Value::Null);
        let images = listed.as_array().into_iter().flatten();
        images
            .map(|image| image["Id"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// Whether a container's processes live.
    pub(crate) fn runs(&self, name: &str) -> bool {
        let path = format!("/containers/{name}/json");
        self.json("GET", &path, &Value::Null)["State"]["Running"] == true
    }

    /// An image's whole tar, and the same into another engine.
    pub(crate) fn copy_image(&self, name: &str, to: &Self) {
        let (status, tar) = self.request(
            "GET",
            &format!("/images/{}/get", percent(name)),
            "text/plain",
            b"",
        );
        assert_eq!(status, 200);
        let (status, said) = to.request("POST", "/images/load?quiet=1", "application/x-tar", &tar);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
    }

    /// A request whose answer is JSON.
    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let (status, answer) = self.request(method, path, "application/json", &body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(&answer)
        );
        serde_json::from_slice(&answer).unwrap_or(Value::Null)
    }

    /// A request: status and body.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        self.try_request(method, path, kind, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// HTTP/1.0, so that the answer ends with the connection.
    fn try_request(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .ok_or(std::io::ErrorKind::InvalidData)?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .ok_or(std::io::ErrorKind::InvalidData)?;
        Ok((status, answer.split_off(end + 4)))
    }
}

fn tar_of(name: &str, bytes: &[u8], mode: u32) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    builder
        .append_data(&mut header, name, bytes)
        .expect("an entry");
    builder.into_inner().expect("a tar")
}

/// A file system in memory over a folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one of this size, as mount(8) reads it.
    pub(crate) fn over(folder: PathBuf, size: &str) -> Self {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&folder);
        assert!(
            mount.status().expect("mount(8)").success(),
            "these tests need root"
        );
        Self(folder)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// An engine of a test's own, started by the project's script, its data in memory; ended and its
/// data deleted when dropped.
#[derive(Debug)]
pub(crate) struct PrivateEngine {
    // Unmounted before the folder is removed: fields are dropped in their order.
    _memory: Tmpfs,
    folder: tempfile::TempDir,
    /// Where it answers.
    pub(crate) engine: Engine,
}

impl PrivateEngine {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine {
            socket: folder.path().join("run/docker.sock"),
        };
        let this = Self {
            _memory: Tmpfs::over(folder.path().to_owned(), "2g"),
            folder,
            engine,
        };
        let output = this.script(&["start"]).output().expect("ci/engine");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(this.engine.answers());
        this
    }

    /// Kills its daemon, as a machine out of memory would.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.path().join("run/dockerd.pid"))
            .expect("a pid file");
        let pid: i32 = pid.trim().parse().expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
        let began = Instant::now();
        while self.engine.answers() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "it still answers"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn script(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/engine"));
        command
            .args(arguments)
            .env("ASSAY_ENGINE_DATA", self.folder.path().join("data"))
            .env("ASSAY_ENGINE_RUN", self.folder.path().join("run"))
            .env("DOCKER_HOST", self.engine.host());
        command
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        let stopped = self.script(&["stop", "--remove-data"]).output();
        if !std::thread::panicking() {
            let stopped = stopped.expect("ci/engine");
            assert!(
                stopped.status.success(),
                "{}",
                String::from_utf8_lossy(&stopped.stderr)
            );
        }
    }
}

/// A query's value with everything escaped that could end it.
fn percent(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}
