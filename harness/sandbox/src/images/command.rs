//! Runs one external program: argv only, no standard input, a time limit, bounded output.
//!
//! The program gets a process group of its own. When it takes too long, or when the caller stops
//! waiting, the group is told to end, so that tools such as mmdebstrap remove their own temporary
//! folders.

use std::collections::{BTreeMap, VecDeque};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::time::Instant;

/// Output lines kept for an error.
const KEPT_LINES: usize = 20;

/// The longest line kept, in characters.
const LINE_LIMIT: usize = 400;

/// How long a program may take to end once told to.
const GRACE: Duration = Duration::from_secs(10);

/// A program to run.
#[derive(Debug, Clone)]
pub(super) struct Invocation {
    /// Program and arguments; never empty.
    pub(super) argv: Vec<String>,
    /// Variables beside those of this process.
    pub(super) environment: BTreeMap<String, String>,
    /// How long it may take.
    pub(super) limit: Duration,
}

/// How running a program failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such program.
    #[error("`{program}` is not installed")]
    Missing {
        /// The program.
        program: String,
    },
    /// It could not be started or waited for.
    #[error("`{program}` cannot be run: {cause}")]
    Unrunnable {
        /// The program.
        program: String,
        /// The reason.
        cause: String,
    },
    /// It ended with a failure.
    #[error("`{}` ended with {status}{}", argv.join(" "), after(last_lines))]
    Failed {
        /// The whole command.
        argv: Vec<String>,
        /// Exit code or signal in words.
        status: String,
        /// The last lines of its output.
        last_lines: Vec<String>,
    },
    /// It took too long and was ended.
    #[error("`{}` did not end within {seconds} s{}", argv.join(" "), after(last_lines))]
    TimedOut {
        /// The whole command.
        argv: Vec<String>,
        /// The limit, in seconds.
        seconds: u64,
        /// The last lines of its output.
        last_lines: Vec<String>,
    },
}

fn after(lines: &[String]) -> String {
    if lines.is_empty() {
        String::new()
    } else {
        format!("; its last lines:\n{}", lines.join("\n"))
    }
}

/// Runs a program to its end. `progress` gets each line of its output, cleaned for a terminal.
pub(super) async fn run(
    invocation: &Invocation,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<(), CommandError> {
    let program = invocation.argv[0].clone();
    let unrunnable = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            CommandError::Missing {
                program: program.clone(),
            }
        } else {
            CommandError::Unrunnable {
                program: program.clone(),
                cause: error.to_string(),
            }
        }
    };
    let mut child = Command::new(&program)
        .args(&invocation.argv[1..])
        .envs(&invocation.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(unrunnable)?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let deadline = Instant::now() + invocation.limit;
    let mut tail = VecDeque::new();
    let mut stdout = Lines::new(child.stdout.take());
    let mut stderr = Lines::new(child.stderr.take());
    // A child that was left running may hold the pipes open, so the program's end ends the reading.
    let status = loop {
        let line = tokio::select! {
            line = stdout.next() => line,
            line = stderr.next() => line,
            status = child.wait() => break Some(status),
            () = tokio::time::sleep_until(deadline) => break None,
        };
        if let Some(line) = line {
            keep(&mut tail, line, progress);
        }
    };
    let Some(status) = status else {
        group.signal(Signal::TERM);
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            group.signal(Signal::KILL);
            // SIGKILL cannot be refused; a process in the kernel's hands ends when that lets go.
            drop(tokio::time::timeout(GRACE, child.wait()).await);
        }
        group.0 = None;
        return Err(CommandError::TimedOut {
            argv: invocation.argv.clone(),
            seconds: invocation.limit.as_secs(),
            last_lines: tail.into(),
        });
    };
    group.0 = None;
    let status = status.map_err(unrunnable)?;
    // What the program wrote last is still in the pipes.
    for _ in 0..KEPT_LINES * 50 {
        let rest = async {
            tokio::select! {
                line = stdout.next() => line,
                line = stderr.next() => line,
            }
        };
        match tokio::time::timeout(Duration::from_millis(200), rest).await {
            Ok(Some(line)) => keep(&mut tail, line, progress),
            Ok(None) if stdout.ended() && stderr.ended() => break,
            Ok(None) => {}
            Err(_) => break,
        }
    }
    if status.success() {
        return Ok(());
    }
    Err(CommandError::Failed {
        argv: invocation.argv.clone(),
        status: status.to_string(),
        last_lines: tail.into(),
    })
}

/// The lines of one stream. What was read of an unfinished line stays here, so that waiting for
/// a line can be given up and begun again.
struct Lines<R> {
    reader: Option<BufReader<R>>,
    partial: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(stream: Option<R>) -> Self {
        Self {
            reader: stream.map(BufReader::new),
            partial: Vec::new(),
        }
    }

    fn ended(&self) -> bool {
        self.reader.is_none()
    }

    /// The next line; `None` once at the stream's end, after which it never returns.
    async fn next(&mut self) -> Option<String> {
        let Some(reader) = &mut self.reader else {
            return std::future::pending().await;
        };
        loop {
            let available = reader.fill_buf().await.unwrap_or_default();
            if available.is_empty() {
                self.reader = None;
                let line = std::mem::take(&mut self.partial);
                return (!line.is_empty()).then(|| shown(&line));
            }
            let end = available
                .iter()
                .position(|byte| matches!(byte, b'\n' | b'\r'));
            let taken = end.unwrap_or(available.len());
            // A line without end is read to its end and kept only as far as it is shown.
            let room = (LINE_LIMIT * 4).saturating_sub(self.partial.len());
            self.partial
                .extend_from_slice(&available[..taken.min(room)]);
            reader.consume(end.map_or(taken, |end| end + 1));
            if end.is_some() {
                return Some(shown(&std::mem::take(&mut self.partial)));
            }
        }
    }
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .chars()
        .take(LINE_LIMIT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim_end()
        .to_owned()
}

fn keep(tail: &mut VecDeque<String>, line: String, progress: &mut (dyn FnMut(&str) + Send)) {
    if line.is_empty() {
        return;
    }
    progress(&line);
    if tail.len() == KEPT_LINES {
        tail.pop_front();
    }
    tail.push_back(line);
}

/// Tells the group to end when the caller stops waiting.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // The group may have ended by itself in the meantime.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str, limit: Duration) -> (Result<(), CommandError>, Vec<String>) {
        let invocation = Invocation {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: [("ASSAY_TEST".to_owned(), "set".to_owned())].into(),
            limit,
        };
        let mut lines = Vec::new();
        let result = run(&invocation, &mut |line| lines.push(line.to_owned())).await;
        (result, lines)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn output_of_both_streams_is_told_line_by_line() {
        let (result, mut lines) =
            sh("echo $ASSAY_TEST; echo 'e\x1b[31m' >&2; printf end", LONG).await;
        lines.sort();
        assert_eq!(result, Ok(()));
        assert_eq!(lines, ["e [31m", "end", "set"]);
    }

    #[tokio::test]
    async fn a_failure_names_command_status_and_last_lines() {
        let (result, _) = sh("for i in $(seq 100); do echo line $i; done; exit 3", LONG).await;
        let error = result.expect_err("exit 3");
        let CommandError::Failed { last_lines, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(last_lines.len(), KEPT_LINES);
        assert_eq!(last_lines.last().map(String::as_str), Some("line 100"));
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[tokio::test]
    async fn output_without_end_is_bounded() {
        let (result, lines) = sh("head -c 30000000 /dev/zero | tr '\\0' x", LONG).await;
        assert_eq!(result, Ok(()));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].len(), LINE_LIMIT);
    }

    #[tokio::test]
    async fn a_program_that_never_ends_is_ended_with_its_children() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mark = folder.path().join("mark");
        let script = format!("(sleep 2; touch {}) & sleep 60", mark.display());
        let (result, _) = sh(&script, Duration::from_millis(300)).await;
        assert!(
            matches!(result, Err(CommandError::TimedOut { .. })),
            "{result:?}"
        );
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(!mark.exists(), "a child outlived the limit");
    }

    #[tokio::test]
    async fn a_caller_that_stops_waiting_ends_the_group() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mark = folder.path().join("mark");
        let script = format!("sleep 1; touch {}", mark.display());
        drop(tokio::time::timeout(Duration::from_millis(200), sh(&script, LONG)).await);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!mark.exists(), "the program outlived its caller");
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_pipes_open_holds_nobody_up() {
        let begun = std::time::Instant::now();
        let (result, lines) = sh("sleep 5 & echo done", LONG).await;
        assert_eq!(result, Ok(()));
        assert_eq!(lines, ["done"]);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_missing_program_is_told_as_such() {
        let invocation = Invocation {
            argv: vec!["no-such-program-assay".to_owned()],
            environment: BTreeMap::new(),
            limit: LONG,
        };
        let error = run(&invocation, &mut |_| {})
            .await
            .expect_err("no such program");
        assert_eq!(
            error.to_string(),
            "`no-such-program-assay` is not installed"
        );
    }
}
