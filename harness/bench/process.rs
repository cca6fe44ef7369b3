//! One process measured from outside: how long it took, and the most memory it held.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::tools::{median, settle};

/// How often a running process is asked for its memory. What it takes in its last moments, shorter
/// than this, may be missed; the kernel keeps the peak of everything before.
const EVERY: Duration = Duration::from_millis(5);

/// A process that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// From its start to its end, in milliseconds.
    pub(crate) ms: f64,
    /// The peak of its resident memory in bytes (`VmHWM` of `proc_pid_status(5)`); 0 if it ended
    /// before it could be asked.
    pub(crate) peak: u64,
    pub(crate) stdout: Vec<u8>,
    /// Empty if the command says where standard error goes.
    pub(crate) stderr: Vec<u8>,
}

/// Runs a command to its end, however that is.
pub(crate) fn run(command: &mut Command) -> Result<Ended, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    settle()?;
    let started = Instant::now();
    let child: Child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{name}` cannot be started: {error}"))?;
    let id = child.id();
    let watcher = std::thread::spawn(move || peak_of(id));
    let output = child.wait_with_output()?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let peak = watcher.join().map_err(|_| "the watcher panicked")?;
    Ok(Ended {
        status: output.status,
        ms,
        peak,
        stdout: output.stdout,
        stderr: output.stderr,
    })
}

/// Runs a command that must succeed.
pub(crate) fn run_well(command: &mut Command) -> Result<Ended, Failure> {
    let ended = run(command.stderr(Stdio::piped()))?;
    if ended.status.success() {
        return Ok(ended);
    }
    let name = command.get_program().to_string_lossy();
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(format!("`{name}` failed, {}:\n{said}", ended.status).into())
}

/// What several runs of one command took.
pub(crate) struct Repeated {
    /// Median, in milliseconds.
    pub(crate) ms: f64,
    /// The fastest and the slowest, in milliseconds.
    pub(crate) range: (f64, f64),
    /// The highest peak of all, in bytes.
    pub(crate) peak: u64,
    /// What the last printed.
    pub(crate) stdout: Vec<u8>,
}

/// Runs a command that must succeed so many times, after one that is not counted: it fills caches.
/// All must print the same bytes.
pub(crate) fn repeat(command: &mut Command, repeats: usize) -> Result<Repeated, Failure> {
    repeat_by(run_well, command, repeats)
}

/// The same, of a command that may end as it likes.
pub(crate) fn repeat_any(command: &mut Command, repeats: usize) -> Result<Repeated, Failure> {
    repeat_by(run, command.stderr(Stdio::null()), repeats)
}

fn repeat_by(
    run: fn(&mut Command) -> Result<Ended, Failure>,
    command: &mut Command,
    repeats: usize,
) -> Result<Repeated, Failure> {
    let mut last = run(command)?;
    let (mut all, mut peak) = (Vec::new(), last.peak);
    for _ in 0..repeats {
        let ended = run(command)?;
        if ended.stdout != last.stdout {
            return Err(format!("two runs of `{command:?}` printed different bytes").into());
        }
        all.push(ended.ms);
        peak = peak.max(ended.peak);
        last = ended;
    }
    Ok(Repeated {
        ms: median(&mut all),
        range: (
            all.first().copied().unwrap_or_default(),
            all.last().copied().unwrap_or_default(),
        ),
        peak,
        stdout: last.stdout,
    })
}

/// The peak of a child's memory, in bytes; returns when it has ended.
fn peak_of(id: u32) -> u64 {
    let mut peak = 0;
    // A process that has ended has no memory, whether its parent has asked for its end or not.
    while let Some(now) = fs::read_to_string(format!("/proc/{id}/status"))
        .ok()
        .and_then(|status| high_water_mark(&status))
    {
        peak = now;
        std::thread::sleep(EVERY);
    }
    peak
}

/// Bytes of `VmHWM` in the text of a process's status.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Prints one row: what it is, the figure with its unit, and what helps to read it.
pub(crate) fn row(what: &str, figure: &str, note: &str) -> std::io::Result<()> {
    let row = format!("{what:<52} {figure:>10}   {note}");
    writeln!(std::io::stdout(), "{}", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_a_status() {
        let status = "Name:\tassay\nVmPeak:\t  999 kB\nVmHWM:\t   12 kB\nThreads:\t1\n";
        assert_eq!(high_water_mark(status), Some(12 << 10));
        assert_eq!(high_water_mark("Name:\tassay\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn a_process_that_holds_memory_is_seen_to() {
        let script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 0.2; echo done";
        let ended = run_well(Command::new("sh").args(["-c", script])).expect("a shell");
        assert_eq!(ended.stdout, b"done\n");
        assert!(ended.peak > 20_000_000, "{}", ended.peak);
        assert!(ended.ms > 200.0, "{}", ended.ms);
    }

    #[test]
    fn what_fails_or_changes_is_said() {
        let failed = run_well(Command::new("sh").args(["-c", "echo why >&2; exit 3"]));
        let error = failed.err().expect("it fails").to_string();
        assert!(error.contains("why"), "{error}");
        let mut changing = Command::new("sh");
        assert!(repeat(changing.args(["-c", "date +%N; echo $$"]), 2).is_err());
    }
}
