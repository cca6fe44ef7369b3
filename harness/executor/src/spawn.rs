//! The parent's side of starting a command: see [`crate::launch`] for the child's.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

use assay_wire::trace::StartedFor;
use rustix::pipe::PipeFlags;

use crate::launch::{Launch, NotStarted};
use crate::reap::{Child, Reaper};
use crate::wake::Wake;

/// Bytes a channel's pipe holds: the most an unprivileged process may ask for (pipe(7)).
const PIPE_BYTES: usize = 1 << 20;

/// Most bytes of an answer from the child's side.
const ANSWER_BYTES: u64 = 64 << 10;

/// Starts a command with these channels, traced or not; `wake` rings when it has ended.
///
/// # Errors
/// The outer error if the executor itself could not start anything, the inner if this command
/// could not be started.
pub(crate) fn start(
    reaper: &Reaper,
    launch: &Launch,
    traced_for: Option<StartedFor>,
    (stdout, stderr): (OwnedFd, OwnedFd),
    wake: Arc<Wake>,
) -> io::Result<Result<Arc<Child>, NotStarted>> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let launch = &Launch {
        traced: traced_for.is_some(),
        ..launch.clone()
    };
    let child = reaper.start(wake, traced_for, || {
        Command::new("/proc/self/exe")
            .arg("launch")
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr))
            .spawn()
            .map(|child| child.id())
    })?;
    let text = serde_json::to_vec(launch).map_err(io::Error::from)?;
    // A child that is killed before it has read shows in how it ends.
    let _ = ours.write_all(&text);
    let _ = ours.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = ours.take(ANSWER_BYTES).read_to_end(&mut answer);
    if answer.is_empty() {
        return Ok(Ok(child));
    }
    let not_started = serde_json::from_slice(&answer).map_err(io::Error::from)?;
    Ok(Err(not_started))
}

/// A pipe for a channel: the end to read, the end to write.
pub(crate) fn channel_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // A smaller pipe only costs speed.
    let _ = rustix::pipe::fcntl_setpipe_size(&read, PIPE_BYTES);
    Ok((read, write))
}
