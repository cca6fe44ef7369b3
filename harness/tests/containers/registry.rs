//! A real registry of a test's own (Debian's `docker-registry`), one that lies, and a project whose
//! target comes from it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::world::{Ran, Running, World};

/// A registry on a free port of 127.0.0.1, its images in a temporary folder; ended when dropped, and
/// by the kernel with the test.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one and waits until it listens.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n",
            folder.path().join("data").display()
        );
        let path = folder.path().join("settings.yml");
        fs::write(&path, settings).expect("settings");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("setpriv(1)");
        let mut this = Self {
            child,
            port: 0,
            folder,
        };
        let began = Instant::now();
        while this.port == 0 {
            let log = fs::read_to_string(this.folder.path().join("log")).expect("the log");
            let port = log.split("listening on 127.0.0.1:").nth(1);
            let digits = |text: &str| {
                text.split(|c: char| !c.is_ascii_digit())
                    .next()?
                    .parse()
                    .ok()
            };
            this.port = port.and_then(digits).unwrap_or(0);
            let ended = this.child.try_wait().expect("waited for");
            assert!(
                ended.is_none() && began.elapsed() < Duration::from_secs(30),
                "no registry listens; ci/setup installs docker-registry: {log}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        this
    }

    /// A name below it.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("localhost:{}/{rest}", self.port)
    }

    /// Takes a root file system in as `name` and lets the engine forget it; answers with its digest.
    pub(crate) fn push(&self, engine: &Engine, rest: &str, root: &[u8]) -> String {
        self.push_labelled(engine, rest, root, "assay-test=1")
    }

    /// As [`Registry::push`], with this label in the image.
    pub(crate) fn push_labelled(
        &self,
        engine: &Engine,
        rest: &str,
        root: &[u8],
        label: &str,
    ) -> String {
        let name = self.name(rest);
        let create = format!("/images/create?fromSrc=-&repo={name}&tag=1&changes=LABEL%20{label}");
        let (status, said) = engine.request("POST", &create, "application/x-tar", root);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
        let push = format!("/images/{name}/push?tag=1");
        let (status, said) = engine.request("POST", &push, "application/json", b"{}");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(status, 200, "{said}");
        let digest = said.split("\"Digest\":\"sha256:").nth(1);
        let digest = digest.unwrap_or_else(|| panic!("{said}"))[..64].to_owned();
        let forgotten = format!("/images/{name}:1");
        let (status, said) = engine.request("DELETE", &forgotten, "text/plain", b"");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
        digest
    }

    /// The file in which it keeps the bytes of this digest.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let blobs = self
            .folder
            .path()
            .join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&digest[..2]).join(digest).join("data")
    }

    /// The manifest it has under a digest.
    pub(crate) fn manifest(&self, digest: &str) -> Value {
        let bytes = fs::read(self.blob(digest)).expect("the manifest");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A registry that answers each request with what `answer` makes of its first line: status, more
/// lines of the head, body. It ends with the test's process.
pub(crate) fn made_up(
    answer: impl Fn(&str) -> (u16, &'static str, String) + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // An engine asks for TLS first; what it then gets is no answer to it.
            let _ = serve(stream, &answer);
        }
    });
    port
}

fn serve(
    mut stream: TcpStream,
    answer: &impl Fn(&str) -> (u16, &'static str, String),
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = [0; 4096];
    let read = stream.read(&mut request)?;
    let request = String::from_utf8_lossy(&request[..read]);
    let (status, head, body) = answer(request.lines().next().unwrap_or_default());
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// A project with one target of the test's own, which meets no image of anybody else's.
pub(crate) struct Shop {
    /// The project and its cache.
    pub(crate) world: World,
    /// The target.
    pub(crate) target: String,
}

impl Shop {
    /// A project whose target is called after the test; `None` where container tests are off.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let world = World::start()?;
        fs::write(world.project().join("assay.toml"), "").expect("a project");
        fs::create_dir(world.project().join("base-images")).expect("a folder");
        let target = format!("registry-{}-{name}", std::process::id());
        Some(Self { world, target })
    }

    /// Writes the definition: its architecture and its sources.
    pub(crate) fn define(&self, architecture: &str, sources: &str) {
        let world = &self.world;
        world.define(&self.target, architecture, MADE_UP, sources);
    }

    /// Writes the definition of an image of a registry.
    pub(crate) fn refer(&self, name: &str, digest: &str) {
        self.define("amd64", &registry(name, digest));
    }

    /// Takes the definition away.
    pub(crate) fn undefine(&self) {
        fs::remove_file(self.world.definition(&self.target)).expect("removed");
    }

    /// Runs `assay images VERB TARGET OPTION…`.
    pub(crate) fn images(&self, verb: &str, options: &[&str]) -> Ran {
        let mut words = vec!["images", verb];
        if verb != "list" {
            words.push(&self.target);
        }
        words.extend(options);
        Running::start(self.world.assay(&words)).end()
    }

    /// As [`Shop::images`], with the document it prints, which is of the schema it names.
    pub(crate) fn document(&self, verb: &str, options: &[&str], code: i32) -> Value {
        let options = [options, &["--format", "json"]].concat();
        let ran = self.images(verb, &options);
        assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
        let document = ran.record();
        let name = document["schema"].as_str().expect("a document is named");
        let schema = Running::start(self.world.assay(&["schema", name])).end();
        let validator = jsonschema::draft202012::new(&schema.record()).expect("a good schema");
        let fault = validator.validate(&document).err();
        assert!(fault.is_none(), "{fault:?}: {document}");
        document
    }

    /// The target's rows of `assay images list`.
    pub(crate) fn listed(&self) -> Vec<Value> {
        let document = self.document("list", &[], 0);
        let rows = document["images"].as_array().expect("rows").iter();
        rows.filter(|row| row["target"] == self.target.as_str())
            .cloned()
            .collect()
    }

    /// A container of an image, which is never started; removed with the shop at the latest.
    pub(crate) fn container(&self, image: &str) -> String {
        let labels = json!({ "assay.owner": self.world.owner() });
        let body = json!({ "Image": image, "Cmd": ["true"], "Labels": labels });
        let made = self.world.engine.json("POST", "/containers/create", &body);
        made["Id"].as_str().expect("an id").to_owned()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.world.remove_containers();
            let _ = fs::remove_file(self.world.definition(&self.target));
        }
        // A test that ended well has nothing left to be removed.
        let left = Running::start(self.world.assay(&["images", "prune", &self.target])).end();
        if !std::thread::panicking() {
            self.world.assert_clean();
            assert!(
                left.stdout == "every image is needed\n" || left.code == Some(2),
                "{}{}",
                left.stdout,
                left.stderr
            );
        }
    }
}

/// A source of kind `registry`.
pub(crate) fn registry(name: &str, digest: &str) -> String {
    format!("[[source]]\nkind = \"registry\"\nreference = \"{name}:1@sha256:{digest}\"\n")
}

/// A root file system of a made-up distribution with one more file of this content.
pub(crate) fn root(os_release: &str, content: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in [("etc/os-release", os_release), ("etc/content", content)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, content.as_bytes())
            .expect("an entry");
    }
    builder.into_inner().expect("a tar")
}

/// What the made-up distribution says of itself.
pub(crate) const MADE_UP: &str = "ID=made-up\nVERSION_ID=1\n";

/// Whether the engine has an image of this name or id.
pub(crate) fn has(engine: &Engine, name: &str) -> bool {
    let (status, _) = engine.request("GET", &format!("/images/{name}/json"), "text/plain", b"");
    status == 200
}

/// Flips one bit of a file.
pub(crate) fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("written");
}
