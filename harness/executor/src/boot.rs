//! systemd as PID 1 of a sandbox, with the executor as its child.
//!
//! The engine starts the executor as PID 1, as everywhere. Asked to boot, that process makes the
//! one mount systemd needs, gives up the capability it made it with ([`crate::confine`]), and starts
//! the executor proper as its child, which takes the stream over. Once that child has shut its
//! doors, PID 1 executes systemd: its standard files are `/dev/null`, every other descriptor is
//! closed. What fails on the way is told to the child over a socket; the socket's end without a
//! word means that systemd was executed, the same trick as in [`crate::launch`].
//!
//! The child then waits until systemd is done starting ([`Boot::wait`]). Whether a sandbox that
//! cannot boot counts is not decided here.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, WaitOptions};

use crate::confine::{give_up_administration, yield_precedence};
use crate::launch::is_executable_format;

/// The name by which the executor starts itself beside systemd.
pub(crate) const BESIDE: &str = "beside";

/// Where systemd is, the first that exists (file-hierarchy(7) before and after the merged `/usr`).
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// Where the kernel's groups are mounted: all of them on cgroup v2, systemd's own hierarchy on v1.
const GROUPS: &str = "/sys/fs/cgroup";
const GROUPS_V1: &str = "/sys/fs/cgroup/systemd";

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2: u64 = 0x6367_7270;

/// The socket at which systemd answers root; there once its manager runs.
const MANAGER: &str = "/run/systemd/private";

/// How long the manager may take to be there, and how long it may then take to be done starting.
/// Either takes less than a second on an idle machine.
const MANAGER_WITHIN: Duration = Duration::from_secs(30);
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// Most bytes of a word from PID 1.
const WORD_BYTES: u64 = 4096;

/// PID 1 on its way to become systemd; returns only if it cannot.
pub(crate) fn become_systemd() -> io::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    // The stream goes to the child on its standard files; the socket in place of the third.
    let child = Command::new("/proc/self/exe")
        .arg(BESIDE)
        .env_clear()
        .stderr(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    // The child keeps what it traces with; this process, and so every unit, has none of it.
    let refusal = make_room().err();
    let mut ready = [0];
    // A child that does not get that far ends, and this process with it.
    ours.read_exact(&mut ready)?;
    let refusal = match refusal {
        Some(refusal) => refusal,
        None => match yield_precedence() {
            Ok(()) => execute_systemd(),
            Err(error) => error,
        },
    };
    let _ = ours.write_all(refusal.to_string().as_bytes());
    drop(ours);
    let child = i32::try_from(child.id()).map_err(io::Error::other)?;
    loop {
        // Orphans come here, too; the executor's end is the sandbox's.
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, _))) if pid.as_raw_pid() == child => return Err(refusal),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Lets systemd write its own part of the kernel's groups, then gives up what that took. The
/// sandbox has a cgroup namespace of its own, so that the mount shows nothing above its group.
fn make_room() -> io::Result<()> {
    let opened = open_groups();
    // Given up whatever became of the mount.
    give_up_administration().map_err(|error| {
        io::Error::other(format!("capabilities could not be given up: {error}"))
    })?;
    opened.map_err(|error| {
        io::Error::other(format!(
            "its control groups cannot be made writable: {error}"
        ))
    })
}

fn open_groups() -> io::Result<()> {
    let root = rustix::fs::statfs(GROUPS)?;
    let target = if u64::try_from(root.f_type) == Ok(CGROUP2) {
        GROUPS
    } else {
        GROUPS_V1
    };
    let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount_remount(target, flags, "")?;
    Ok(())
}

/// Returns only if systemd cannot be executed.
fn execute_systemd() -> io::Error {
    let Some(systemd) = SYSTEMD.iter().find(|path| Path::new(path).exists()) else {
        return io::Error::other("there is no systemd in the image");
    };
    if !is_executable_format(Path::new(systemd)) {
        return io::Error::other(format!("`{systemd}` is no program"));
    }
    if let Err(error) = close_standard_files() {
        return error;
    }
    // What systemd says at boot goes nowhere; its journal keeps what units say. The last word is
    // what version 256 and later ask for on cgroup v1; in a container they look for it here, in
    // their own command line (systemd(1), kernel-command-line(7)).
    let error = Command::new(systemd)
        .args([
            "--system",
            "--log-target=null",
            "--show-status=false",
            "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
        ])
        .env_clear()
        .env("container", "docker")
        .exec();
    io::Error::other(format!("`{systemd}`: {error}"))
}

fn close_standard_files() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// The executor's end of the socket to PID 1.
#[derive(Debug)]
pub(crate) struct Boot {
    socket: UnixStream,
}

/// What came of booting.
#[derive(Debug)]
pub(crate) struct Booted {
    /// What systemd calls itself.
    pub(crate) systemd: String,
    /// `running` or `degraded`.
    pub(crate) state: String,
    /// How long it took from the execution of systemd.
    pub(crate) elapsed: Duration,
}

impl Boot {
    /// The socket on standard error, if PID 1 made it: on any other machine PID 1 is not the
    /// executor's, and a process that is not beside its own PID 1 must not take itself for one.
    pub(crate) fn of_standard_error() -> Option<Self> {
        let peer = socket_peercred(rustix::stdio::stderr()).ok()?;
        if peer.pid != Pid::INIT || rustix::process::getppid() != Some(Pid::INIT) {
            return None;
        }
        let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).ok()?;
        Some(Self {
            socket: UnixStream::from(socket),
        })
    }

    /// Tells PID 1 that this process's doors are shut.
    pub(crate) fn say_ready(&mut self) -> io::Result<()> {
        self.socket.write_all(&[1])
    }

    /// Waits until systemd is done starting. `ask` runs a command of the sandbox and gives what it
    /// printed; `None` if it could not be run.
    ///
    /// # Errors
    /// Why it did not come up, in words, or the outer error of `ask`.
    pub(crate) fn wait<E>(
        self,
        mut ask: impl FnMut(&[&str]) -> Result<Option<String>, E>,
    ) -> Result<Result<Booted, String>, E> {
        let mut word = String::new();
        let read = self.socket.take(WORD_BYTES).read_to_string(&mut word);
        if read.is_err() || !word.is_empty() {
            return Ok(Err(word));
        }
        let begun = Instant::now();
        let version = ask(&["systemctl", "--version"])?.unwrap_or_default();
        let systemd: String = version.lines().next().unwrap_or("systemd").to_owned();
        while !Path::new(MANAGER).exists() {
            if begun.elapsed() > MANAGER_WITHIN {
                return Ok(Err(format!(
                    "{systemd} does not answer after {} s",
                    MANAGER_WITHIN.as_secs()
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        loop {
            let said = ask(&["systemctl", "is-system-running", "--wait"])?.unwrap_or_default();
            let state = said.trim();
            if matches!(state, "running" | "degraded") {
                return Ok(Ok(Booted {
                    systemd,
                    state: state.to_owned(),
                    elapsed: begun.elapsed(),
                }));
            }
            if begun.elapsed() > STARTED_WITHIN || state == "maintenance" {
                return Ok(Err(format!(
                    "{systemd} is not done starting after {} s: it says `{state}`",
                    begun.elapsed().as_secs()
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
