//! A world of its own for each test: a home, a cache, a project folder, no engine and nothing of the
//! machine's environment. What comes out is a text to compare: both streams and the exit code.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

/// A recipe that is fine everywhere, with a dropped step, a group and a check.
pub(crate) const JQ: &str = include_str!("fixtures/jq.toml");

/// A recipe with several faults.
pub(crate) const BAD: &str = include_str!("fixtures/bad.toml");

/// A folder to run `assay` in, removed at the end.
pub(crate) struct TestEnv {
    root: TempDir,
}

/// What a command said.
pub(crate) struct Said {
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
}

impl TestEnv {
    /// An empty folder outside any project.
    pub(crate) fn empty() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["home", "cache", "work"] {
            fs::create_dir(root.path().join(folder)).expect("a folder");
        }
        Self { root }
    }

    /// A project with one recipe, `jq`.
    pub(crate) fn project() -> Self {
        Self::empty()
            .with("assay.toml", "")
            .with("recipes/jq.toml", JQ)
    }

    /// With a file.
    pub(crate) fn with(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.write(path, text);
        self
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// With a file that `https://packages.assay.test/` serves, as if the lab were built.
    pub(crate) fn served(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.serve(path, bytes);
        self
    }

    /// Serves a file there, or another than before.
    pub(crate) fn serve(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let lab = "../cache/assay/lab";
        let zeros = "0".repeat(64);
        let manifest = format!(
            "{{\"schema\": \"assay-lab\", \"version\": 1, \"digest\": \"{zeros}\", \"images\": [], \
             \"repositories\": {{\"path\": \"repositories\", \"sha256\": \"{zeros}\"}}, \"keys\": []}}"
        );
        self.write(&format!("{lab}/manifest.json"), manifest);
        self.write(&format!("{lab}/repositories/{path}"), bytes);
    }

    /// A path of the working folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join("work").join(path)
    }

    /// The text of a file.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).expect("the file")
    }

    /// The files below a folder, sorted.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.path(folder), &mut found);
        let work = self.path("");
        let mut names: Vec<String> = found
            .iter()
            .map(|path| {
                path.strip_prefix(&work)
                    .expect("below")
                    .display()
                    .to_string()
            })
            .collect();
        names.sort();
        names
    }

    /// The command, ready to run.
    pub(crate) fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = Command::new(cargo_bin("assay"));
        command
            .args(words)
            .env_clear()
            .env("HOME", self.root.path().join("home"))
            .env("XDG_CACHE_HOME", self.root.path().join("cache"))
            .env("DOCKER_HOST", "unix:///nowhere/engine.sock")
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.path(""))
            .stdin(Stdio::null());
        command
    }

    /// Runs `assay` with words that hold no space.
    pub(crate) fn run(&self, line: &str) -> Said {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `assay` with words that hold no space, and answers on its standard input.
    pub(crate) fn answering(&self, line: &str, answers: &str) -> Said {
        self.write("answers", answers);
        let answers = std::fs::File::open(self.path("answers")).expect("just written");
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.command(&words);
        self.said(command.stdin(answers).output().expect("assay starts"))
    }

    /// Runs `assay` with these words.
    pub(crate) fn run_words<W: AsRef<OsStr>>(&self, words: &[W]) -> Said {
        self.said(self.command(words).output().expect("assay starts"))
    }

    /// What a command said, with the names of temporary folders taken out.
    pub(crate) fn said(&self, output: Output) -> Said {
        let root = self.root.path().display().to_string();
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .expect("it is UTF-8")
                .replace(&root, "[root]")
        };
        Said {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code(),
        }
    }
}

impl Said {
    /// Everything, as one text.
    pub(crate) fn whole(&self) -> String {
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        let part = |name: &str, text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("--- {name}\n{text}")
            }
        };
        format!(
            "exit {code}\n{}{}",
            part("stdout", &self.stdout),
            part("stderr", &self.stderr)
        )
    }

    /// Standard output as the one JSON document it must be, of the schema it names.
    pub(crate) fn json(&self) -> serde_json::Value {
        let document: serde_json::Value =
            serde_json::from_str(&self.stdout).expect("one JSON document");
        let name = document["schema"].as_str().expect("a document is named");
        assert_eq!(document["version"], 1);
        let schema = TestEnv::empty().run_words(&["schema", name]);
        assert_eq!(schema.code, Some(0), "{}", schema.stderr);
        let schema = serde_json::from_str(&schema.stdout).expect("a schema is JSON");
        let validator = jsonschema::draft202012::new(&schema).expect("a good schema");
        let faults: Vec<String> = validator
            .iter_errors(&document)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert_eq!(faults, [] as [String; 0], "{document}");
        document
    }

    /// Fails if a terminal would obey or hide anything of this.
    pub(crate) fn assert_harmless(&self) {
        for text in [&self.stdout, &self.stderr] {
            let bad = text
                .chars()
                .find(|c| *c != '\n' && assay_report::sanitise::is_hidden(*c));
            assert_eq!(bad, None, "{text:?}");
        }
    }

    /// Fails if the log of a GitHub job would obey anything of this.
    pub(crate) fn assert_inert(&self) {
        for text in [&self.stdout, &self.stderr] {
            let obeyed = |line: &&str| line.contains("##[") || line.trim_start().starts_with("::");
            assert_eq!(text.lines().find(obeyed), None, "{text}");
        }
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found)
        } else {
            found.push(path)
        }
    }
}
