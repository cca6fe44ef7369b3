//! The programs the bench runs, and the figures it makes of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use assay_wire::event::Envelope;

use crate::way_out::WayOut;
use crate::{Failure, journal};

/// The exit code of a run with gaps in capture.
const GAP: i32 = 7;

/// How `assay` is run: which binary, where, and with which way out.
pub(crate) struct Assay<'w> {
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    /// The cache folder's parent, if not the user's own.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) way_out: &'w WayOut,
}

/// A run of `assay test` that ended well.
pub(crate) struct Timed {
    pub(crate) ms: f64,
    pub(crate) events: Vec<Envelope>,
}

impl Assay<'_> {
    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Timed, Failure> {
        self.run_with(arguments, |command| finish(command).map(|_| ()))
    }

    /// The same without capture, each bit of which is a gap: that, too, is a good end here.
    pub(crate) fn run_without_capture(&self, arguments: &[&str]) -> Result<Timed, Failure> {
        self.run_with(arguments, |command| {
            command.env("ASSAY_BENCH_WITHOUT_CAPTURE", "1");
            let status = command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            match status.code() {
                Some(GAP) => Ok(()),
                _ => Err(format!("without capture it ended with {status}").into()),
            }
        })
    }

    fn run_with(
        &self,
        arguments: &[&str],
        wait: impl FnOnce(&mut Command) -> Result<(), Failure>,
    ) -> Result<Timed, Failure> {
        let runs = self.folder.join(".assay/runs");
        let before = all_runs(&runs);
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.folder);
        for (name, value) in self.way_out.variables() {
            command.env(name, value).env_remove(name.to_uppercase());
        }
        if let Some(cache) = &self.cache {
            command.env("XDG_CACHE_HOME", cache);
        }
        settle()?;
        let started = Instant::now();
        wait(&mut command)?;
        let ms = started.elapsed().as_secs_f64() * 1e3;
        let after = all_runs(&runs);
        let run = after.difference(&before).next();
        let path = run.ok_or("the run left no journal")?.join("journal.jsonl");
        Ok(Timed {
            ms,
            events: journal::read(&path)?,
        })
    }
}

/// The folders of all runs. Which of two began later their names do not say within a second.
pub(crate) fn all_runs(runs: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(runs).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

/// A folder that goes with its owner.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty one; `what` tells those of one process apart.
    pub(crate) fn new(what: &str) -> Result<Self, Failure> {
        let name = format!("assay-bench-{}-{what}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is in the folder of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Lets the disk finish what the run before left to it, which the next would pay for.
pub(crate) fn settle() -> Result<(), Failure> {
    finish(&mut Command::new("sync")).map(|_| ())
}

/// The engine's own client.
pub(crate) fn docker() -> Command {
    Command::new("docker")
}

/// Runs a command to its end; what it printed, if it succeeded.
pub(crate) fn finish(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{name}` cannot be started: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        return Err(format!("`{name}` failed, {}:\n{out}{err}", output.status).into());
    }
    Ok(text(&output.stdout))
}

/// Sorts the values and gives the one in the middle; of none it is 0.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(upper), 1) => *upper,
        (Some(upper), _) => f64::midpoint(*upper, values[middle - 1]),
        (None, _) => 0.0,
    }
}
