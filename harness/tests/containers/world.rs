//! A folder of recipes, a cache of its own, and the `assay` command run in it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use assay_sandbox::lease::OwnerId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::engine::Engine;

/// The target most tests use.
pub(crate) const TARGET: &str = "debian-12";

/// The id of a target that no other test makes images of.
pub(crate) fn target_of_its_own(word: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    format!("{word}-{}-{made}", std::process::id())
}

/// A folder of recipes, a cache of its own, and an engine.
pub(crate) struct World {
    folder: tempfile::TempDir,
    /// Held as long as the test runs: one that leaves no processor to others runs alone.
    turn: fs::File,
    /// The engine `assay` is told to use.
    pub(crate) engine: Engine,
}

impl World {
    /// A world at the engine of the environment; `None` where container tests are off.
    pub(crate) fn start() -> Option<Self> {
        (std::env::var("ASSAY_CONTAINER_TESTS").as_deref() == Ok("1"))
            .then(|| Self::at(Engine::of_environment()))
    }

    /// A world at another engine.
    pub(crate) fn at(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["project", "cache", "home"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let turn = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("turn"));
        let turn = turn.expect("a lock file");
        turn.lock_shared().expect("a turn");
        Self {
            folder,
            turn,
            engine,
        }
    }

    /// Waits until no other test of this kind runs, and keeps them from beginning.
    pub(crate) fn alone(&self) {
        self.turn.unlock().expect("a turn");
        self.turn.lock().expect("a turn");
    }

    /// Where `assay` is run.
    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Makes the folder a project with this one target, whose image is of a release of Debian and is
    /// found by its labels alone: its only source is a file that is not there.
    pub(crate) fn only_target(&self, target: &str, os_release: &str) {
        let nowhere = format!(
            "[[source]]\nkind = \"tarball\"\nfile = \"root.tar\"\nsha256 = \"{}\"\n",
            "0".repeat(64)
        );
        let assay = format!("targets = [\"{target}\"]\n");
        fs::write(self.project().join("assay.toml"), assay).expect("a project");
        fs::create_dir(self.project().join("base-images")).expect("a folder");
        self.define(target, "amd64", os_release, &nowhere);
    }

    /// Makes the folder a project with this one target, which is another one of Assay's own in all but
    /// its image: that is found by its labels alone.
    pub(crate) fn only_target_like(&self, target: &str, like: &str) {
        self.only_target(target, "");
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("base-images");
        let theirs = fs::read_to_string(definitions.join(format!("{like}.toml")));
        let theirs = theirs.expect("a definition");
        let (theirs, _) = theirs.split_once("[[source]]").expect("a source");
        let ours = fs::read_to_string(self.definition(target)).expect("a definition");
        let (_, sources) = ours.split_once("[[source]]").expect("a source");
        let text = theirs.replace(&format!("id = \"{like}\""), &format!("id = \"{target}\""));
        let text = format!("{text}[[source]]{sources}");
        fs::write(self.definition(target), text).expect("a definition");
    }

    /// Writes the definition of a target of the project.
    pub(crate) fn define(&self, target: &str, architecture: &str, os_release: &str, sources: &str) {
        let os_release = os_release.replace('\n', "\\n");
        let text = format!(
            "id = \"{target}\"\narchitecture = \"{architecture}\"\nsource_date = \"2024-01-01\"\n\
             family = \"debian\"\npackage_manager = \"apt\"\nlibc = \"glibc\"\nuser = \"dev\"\n\
             plain_http = true\nos_release = \"{os_release}\"\n{sources}"
        );
        fs::write(self.definition(target), text).expect("a definition");
    }

    /// The file of a target's definition.
    pub(crate) fn definition(&self, target: &str) -> PathBuf {
        self.project().join(format!("base-images/{target}.toml"))
    }

    /// Its cache.
    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache/assay")
    }

    /// Makes a lab of these images, and gives its folder; what lies in `repositories` of it is what
    /// `packages.assay.test` serves.
    pub(crate) fn lab(&self, images: &Value) -> PathBuf {
        let lab = self.cache().join("lab");
        fs::create_dir_all(lab.join("repositories")).expect("folders");
        let manifest = json!({
            "schema": "assay-lab", "version": 1, "digest": "0".repeat(64), "images": images,
            "repositories": { "path": "repositories", "sha256": "0".repeat(64) }, "keys": [],
        });
        fs::write(lab.join("manifest.json"), manifest.to_string()).expect("a manifest");
        lab
    }

    /// Writes a recipe `<name>.toml`.
    pub(crate) fn recipe(&self, name: &str, rest: &str) {
        let text = format!(
            "[metadata]\nname = \"{name}\"\ndescription = \"A recipe of a test\"\n\n{rest}"
        );
        fs::write(self.project().join(format!("{name}.toml")), text).expect("a recipe");
    }

    /// Writes a recipe of one check that runs this under `sh -c` as `dev`, then one that must be
    /// asked whatever became of the first.
    pub(crate) fn check(&self, name: &str, timeout: &str, script: &str) {
        assert!(
            !script.contains('\''),
            "the script stands in a literal string"
        );
        self.recipe(
            name,
            &format!(
                "[[check]]\nname = \"hostile\"\nargv = ['sh', '-c', '{script}']\ntimeout = \"{timeout}\"\n\n\
                 [[check]]\nname = \"asked after it\"\nargv = ['true']\n"
            ),
        );
    }

    /// Writes the recipe `neighbour`, which passes, and is asked for something of every kind.
    pub(crate) fn neighbour(&self) {
        self.recipe(
            "neighbour",
            "[[steps]]\naction = \"group_add\"\ngroup = \"crew\"\ncreate = true\n\n\
             [[check]]\nname = \"joined\"\nargv = ['id', '-nG']\nexpect = { stdout_contains = \"crew\" }\n",
        );
    }

    /// `assay` with these arguments.
    pub(crate) fn assay(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_assay"));
        command.args(arguments);
        command
    }

    /// Any program in the same surroundings.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.project())
            .env("DOCKER_HOST", self.engine.host())
            .env("XDG_CACHE_HOME", self.folder.path().join("cache"))
            .env("HOME", self.folder.path().join("home"))
            .env("NO_COLOR", "1");
        command
    }

    /// Runs `assay test RECIPE.toml… --on debian-12 --format json` to its end.
    pub(crate) fn test(&self, recipes: &[&str], options: &[&str]) -> Ran {
        self.begin(recipes, options).end()
    }

    /// Starts `assay test` likewise.
    pub(crate) fn begin(&self, recipes: &[&str], options: &[&str]) -> Running {
        let files: Vec<String> = recipes.iter().map(|name| format!("{name}.toml")).collect();
        let mut arguments: Vec<&str> = vec!["test"];
        arguments.extend(files.iter().map(String::as_str));
        arguments.extend(["--format", "json"]);
        if !options.contains(&"--on") {
            arguments.extend(["--on", TARGET]);
        }
        arguments.extend(options);
        Running::start(self.assay(&arguments))
    }

    /// Whose sandboxes these are.
    pub(crate) fn owner(&self) -> String {
        OwnerId::of_this_machine(&self.cache())
            .expect("an owner")
            .to_string()
    }

    /// The sandboxes that are there.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.engine.containers_of(&self.owner())
    }

    /// Lease files that are there.
    pub(crate) fn leases(&self) -> Vec<PathBuf> {
        files(&self.cache().join("leases"))
    }

    /// Waits until a journal holds a text.
    pub(crate) fn wait_for_journal(&self, text: &str) {
        let began = Instant::now();
        loop {
            let runs = files(&self.project().join(".assay/runs"));
            let found = runs.iter().any(|run| {
                fs::read_to_string(run.join("journal.jsonl"))
                    .is_ok_and(|journal| journal.contains(text))
            });
            if found {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "no journal says {text}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asserts that nothing is left behind.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.containers(), [""; 0], "sandboxes are left behind");
        assert_eq!(
            self.leases(),
            Vec::<PathBuf>::new(),
            "leases are left behind"
        );
    }
}

impl World {
    /// Removes what a test that failed has left, so that the next one does not fail, too.
    pub(crate) fn remove_containers(&self) {
        let owner = OwnerId::of_this_machine(&self.cache()).map(|owner| owner.to_string());
        for name in owner
            .map(|owner| self.engine.containers_of(&owner))
            .unwrap_or_default()
        {
            self.engine.remove_container(&name);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.remove_containers();
        }
    }
}

/// An `assay` that runs. Killed if it is dropped.
pub(crate) struct Running {
    child: Child,
    began: Instant,
}

/// An `assay` that has ended.
pub(crate) struct Ran {
    /// Its exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it said.
    pub(crate) stderr: String,
    /// How long it took.
    pub(crate) time: Duration,
    /// The most memory it ever held, KiB (`VmHWM`, proc(5)).
    pub(crate) peak_kib: u64,
}

impl Running {
    /// Starts a command whose output is read.
    pub(crate) fn start(mut command: Command) -> Self {
        let began = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("assay");
        Self { child, began }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("signalled");
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        let out = reader(self.child.stdout.take().expect("a pipe"));
        let err = reader(self.child.stderr.take().expect("a pipe"));
        let mut peak_kib = 0;
        let status = loop {
            peak_kib = peak_kib.max(peak_of(self.child.id()));
            if let Some(status) = self.child.try_wait().expect("waited for") {
                break status;
            }
            assert!(
                self.began.elapsed() < Duration::from_secs(180),
                "assay does not end"
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        let text = |reader: JoinHandle<String>| reader.join().expect("a reader");
        Ran {
            code: status.code(),
            time: self.began.elapsed(),
            stdout: text(out),
            stderr: text(err),
            peak_kib,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// The record it printed.
    pub(crate) fn record(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// The cell of a recipe.
    pub(crate) fn cell(&self, recipe: &str) -> Value {
        let record = self.record();
        let cells = record["cells"].as_array().expect("cells");
        let found = cells.iter().find(|cell| {
            cell["facts"]["cell"]
                .as_str()
                .is_some_and(|name| name.ends_with(&format!(":{recipe}")))
        });
        found
            .unwrap_or_else(|| panic!("no cell of {recipe}"))
            .clone()
    }

    /// What came of a recipe: `passed`, or `failed verify time_limit`, and so on.
    pub(crate) fn outcome(&self, recipe: &str) -> String {
        match &self.cell(recipe)["outcome"] {
            Value::String(word) => word.clone(),
            Value::Object(detail) => {
                let (kind, detail) = detail.iter().next().expect("a kind");
                let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                match kind.as_str() {
                    "failed" => format!(
                        "failed {} {}",
                        word(&detail["first"]["phase"]),
                        word(&detail["first"]["reason"])
                    ),
                    "infra" => format!("infra {}", word(&detail["cause"])),
                    other => other.to_owned(),
                }
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                panic!("{other}")
            }
        }
    }

    /// Every message of the outcome of a recipe, as JSON.
    pub(crate) fn detail(&self, recipe: &str) -> String {
        self.cell(recipe)["outcome"].to_string()
    }

    /// What came of a recipe, and what its ops printed, for messages and for what must be in there.
    pub(crate) fn told(&self, recipe: &str) -> String {
        let cell = self.cell(recipe);
        let mut text = format!("{}\n", cell["outcome"]);
        for op in cell["facts"]["ops"].as_array().into_iter().flatten() {
            for channel in ["stdout", "stderr"] {
                for part in ["head", "tail"] {
                    text += op["first"][channel][part].as_str().unwrap_or_default();
                }
            }
        }
        text
    }

    /// How the op with this position ended in the first apply, as JSON.
    pub(crate) fn ending(&self, recipe: &str, op: usize) -> String {
        self.cell(recipe)["facts"]["ops"][op - 1]["first"]["ending"].to_string()
    }
}

/// Reads a pipe to its end, so that whoever writes to it never waits.
fn reader(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("readable");
        String::from_utf8(bytes).expect("UTF-8")
    })
}

fn peak_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}
