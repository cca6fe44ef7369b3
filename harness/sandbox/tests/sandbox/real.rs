//! What tests against a real engine share: an empty image, a static stand-in for the executor,
//! and a way to ask the engine that is not the code under test.
//!
//! The image is an empty folder and the stand-in (`probe.rs`) is compiled by `rustc` when first
//! needed, so that these tests need no base image, no built executor and no network.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use assay_sandbox::docker::engine::Engine;
use assay_sandbox::docker::image::NewImage;
use assay_sandbox::lease::{Leases, OwnerId};
use assay_sandbox::session::{Backend, Channel, SandboxLimits, SandboxSpec, SandboxUse, Session};
use assay_wire::digest::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Everything one test needs; `None` where container tests are off.
pub(crate) struct Real {
    pub(crate) backend: Backend,
    pub(crate) engine: Engine,
    pub(crate) cache: tempfile::TempDir,
    pub(crate) spec: SandboxSpec,
    tag: String,
}

impl Real {
    /// `name` is unique among the tests. It fails where container tests are on and no engine
    /// answers.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        if std::env::var("ASSAY_CONTAINER_TESTS").as_deref() != Ok("1") {
            return None;
        }
        let backend = Backend::connect()
            .await
            .expect("ASSAY_CONTAINER_TESTS=1 and an engine answers");
        let Backend::Docker { engine, .. } = &backend else {
            panic!("no engine but a fake");
        };
        let engine = engine.clone();
        let cache = tempfile::tempdir().expect("a temporary folder");
        let tag = format!("assay-test/{name}:{}", std::process::id());
        let spec = SandboxSpec {
            traced: true,
            run: format!("test-{name}-{}", std::process::id())
                .parse()
                .expect("a run"),
            owner: OwnerId::of_this_machine(cache.path()).expect("an owner"),
            cell: "debian-12:jq".parse().expect("a cell"),
            image: load_empty_image(&engine, cache.path(), &tag).await,
            used_for: SandboxUse::Cell,
            executor: compile_probe(),
            limits: SandboxLimits {
                memory_bytes: 256 << 20,
                milli_cpus: 1500,
                pids: 99,
                file_bytes: 1 << 20,
            },
            created: SystemTime::now(),
        };
        Some(Self {
            backend,
            engine,
            cache,
            spec,
            tag,
        })
    }

    pub(crate) fn leases(&self) -> Leases {
        Leases::of(self.cache.path())
    }

    pub(crate) async fn session(&self) -> (Session, Probe) {
        let mut session = Session::start(&self.backend, &self.spec)
            .await
            .expect("a session");
        let probe = Probe(session.channel().expect("its channel"));
        (session, probe)
    }

    /// What the engine says of a container, asked past the code under test.
    pub(crate) fn inspect(&self, name: &str) -> serde_json::Value {
        self.get(&format!("/containers/{name}/json"))
    }

    /// Names of everything the engine still has of this test's owner.
    pub(crate) fn left(&self) -> Vec<String> {
        let filter = format!(
            "%7B%22label%22%3A%5B%22assay.owner%3D{}%22%5D%7D",
            self.spec.owner
        );
        let list = self.get(&format!("/containers/json?all=1&filters={filter}"));
        list.as_array()
            .expect("a list")
            .iter()
            .map(|container| container["Names"][0].to_string())
            .collect()
    }

    /// The end of a test: nothing is left.
    pub(crate) async fn end(self) {
        assert_eq!(self.left(), Vec::<String>::new());
        self.engine
            .remove_prepared(&self.spec.image)
            .await
            .expect("to remove what was prepared of it");
        self.engine
            .remove_image(&self.tag)
            .await
            .expect("to remove the image");
    }

    fn get(&self, target: &str) -> serde_json::Value {
        let path = self
            .engine
            .host()
            .strip_prefix("unix://")
            .expect("a socket");
        let mut stream = UnixStream::connect(path).expect("the engine's socket");
        write!(stream, "GET {target} HTTP/1.0\r\nHost: engine\r\n\r\n").expect("to ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

/// The stand-in at work.
pub(crate) struct Probe(pub(crate) Channel);

impl Probe {
    pub(crate) async fn tell(&mut self, command: &str) {
        let writer = &mut self.0.writer;
        writer.write_all(command.as_bytes()).await.expect("to send");
        writer.write_all(b"\n").await.expect("to send");
    }

    pub(crate) async fn ask(&mut self, command: &str) -> String {
        self.tell(command).await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> String {
        let mut length = String::new();
        loop {
            match self.0.reader.read_u8().await.expect("a length") {
                b'\n' => break,
                digit => length.push(digit.into()),
            }
        }
        let mut text = vec![0; length.parse().expect("a number")];
        self.0.reader.read_exact(&mut text).await.expect("the text");
        String::from_utf8(text).expect("text")
    }
}

/// Compiles the stand-in unless an earlier test of the same source did.
fn compile_probe() -> Arc<[u8]> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/probe.rs");
    let digest = Digest::of(&std::fs::read(&source).expect("the source"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join(format!("probe-{}", digest.short()));
    if !program.exists() {
        let draft = tempfile::tempdir_in(folder).expect("a folder");
        let compiled = draft.path().join("probe");
        let status = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "-O"])
            .args(["-C", "target-feature=+crt-static", "-o"])
            .args([&compiled, &source])
            .status()
            .expect("rustc");
        assert!(status.success());
        std::fs::rename(&compiled, &program).expect("to put it into place");
    }
    std::fs::read(&program).expect("the program").into()
}

async fn load_empty_image(engine: &Engine, folder: &Path, tag: &str) -> String {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o1777);
    header.set_size(0);
    tar.append_data(&mut header, "tmp/", std::io::empty())
        .expect("an entry");
    let bytes = tar.into_inner().expect("a tar");
    let layer = folder.join("layer.tar");
    std::fs::write(&layer, &bytes).expect("a layer");
    let image = NewImage {
        tag: tag.to_owned(),
        // Part of its id: no two tests share an image, nor what was prepared of it.
        labels: [("assay.test".to_owned(), tag.to_owned())].into(),
        architecture: "amd64".to_owned(),
        created: "2026-01-01T00:00:00Z".to_owned(),
        layer_size: bytes.len() as u64,
        layer_sha256: Digest::of(&bytes).to_string(),
        layer,
    };
    engine
        .load_image(&image)
        .await
        .expect("the image is loaded")
        .id
}
