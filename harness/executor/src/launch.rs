//! The child's side of starting a command: the executor starts itself again as `launch`, which
//! reads what to become from its standard input, takes on session, limits and ids, and executes
//! the command. An archive is unpacked by this very process instead. Doing this in a process of its own needs no code between fork and exec.
//!
//! The socket on standard input closes on exec, or when unpacking begins: its end without an answer means success, an
//! answer is a [`NotStarted`]. Nothing else is ever reported here.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use assay_wire::program::PATH;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid};
use serde::{Deserialize, Serialize};

use crate::confine::{give_up_all, yield_precedence};
use crate::extract::{self, Unpack};

/// Most open files a command gets without asking, as on a machine that systemd started.
const SOFT_FILES: u64 = 1024;

/// Most open files a command can ask for, likewise.
const HARD_FILES: u64 = 524_288;

/// Where out of memory hits first: the command, never the executor (proc(5), `oom_score_adj`).
const OOM_SCORE: &str = "500";

/// What a process is started as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// What is unpacked by this very process; `None` for a command, which is executed.
    pub(crate) unpack: Option<Unpack>,
    /// The words; the first is looked up on the PATH unless it holds a slash.
    pub(crate) argv: Vec<String>,
    /// What the command sees as its own name, if not the first word.
    pub(crate) arg0: Option<String>,
    /// The whole environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// Where it starts; `/` if that is not to be entered.
    pub(crate) folder: String,
    /// Bytes a single file may grow to.
    pub(crate) file_bytes: Option<u64>,
    /// True if standard output is a terminal to be controlled and read from.
    pub(crate) terminal: bool,
    /// True if it is traced: it stops itself until it is.
    pub(crate) traced: bool,
}

/// Why a command was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotStarted {
    /// True if no such command is on the PATH.
    pub(crate) not_found: bool,
    /// The error in words.
    pub(crate) message: String,
}

/// Becomes a command or unpacks an archive, or answers why not.
pub(crate) fn main() -> ExitCode {
    let Ok(socket) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return ExitCode::FAILURE;
    };
    let mut socket = UnixStream::from(socket);
    let failure = match read_launch(&mut socket) {
        Ok(launch) => match (prepare(&launch), &launch.unpack) {
            (Ok(()), None) => execute(&launch),
            (Ok(()), Some(unpack)) => {
                // Its end without an answer says that the work has begun.
                drop(socket);
                return extract::main(unpack);
            }
            (Err(error), _) => failed("the process cannot be prepared", &error),
        },
        Err(error) => failed("the executor cannot read what to start", &error),
    };
    let answer = serde_json::to_vec(&failure).unwrap_or_default();
    let _ = socket.write_all(&answer);
    ExitCode::FAILURE
}

fn read_launch(socket: &mut UnixStream) -> io::Result<Launch> {
    let mut text = Vec::new();
    socket.read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(io::Error::from)
}

fn prepare(launch: &Launch) -> io::Result<()> {
    if launch.traced {
        rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
    }
    yield_precedence()?;
    give_up_all(launch.traced)?;
    rustix::process::setsid()?;
    if launch.terminal {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdout())?;
        rustix::stdio::dup2_stdin(rustix::stdio::stdout())?;
    } else {
        let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
    }
    // Not to be had where /proc is read-only: then the kernel chooses by size.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Nofile, SOFT_FILES, HARD_FILES)?;
    if let Some(bytes) = launch.file_bytes {
        limit(Resource::Fsize, bytes, bytes)?;
    }
    let groups: Vec<Gid> = launch.groups.iter().copied().map(Gid::from_raw).collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (uid, gid) = (Uid::from_raw(launch.uid), Gid::from_raw(launch.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if rustix::process::chdir(launch.folder.as_str()).is_err() {
        rustix::process::chdir("/")?;
    }
    if launch.unpack.is_some() {
        // Executing a command does this: PID 1 reads the account of what a process has written
        // only where that process may be looked into (proc(5), `/proc/PID/io`).
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    }
    Ok(())
}

/// Sets a limit, never above the hard one that holds already.
fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let held = rustix::process::getrlimit(resource).maximum;
    let maximum = held.map_or(maximum, |held| held.min(maximum));
    rustix::process::setrlimit(
        resource,
        Rlimit {
            current: Some(current.min(maximum)),
            maximum: Some(maximum),
        },
    )?;
    Ok(())
}

/// Returns only if no candidate can be executed.
fn execute(launch: &Launch) -> NotStarted {
    let Some(name) = launch.argv.first() else {
        return NotStarted {
            not_found: true,
            message: "a command without words".to_owned(),
        };
    };
    let path = match look_up(name) {
        Ok(path) => path,
        Err(not_started) => return not_started,
    };
    if !is_executable_format(&path) {
        // The C library would hand such a file to a shell; no shell is ever involved here.
        return NotStarted {
            not_found: false,
            message: format!("`{name}` is neither a program nor a script that names one"),
        };
    }
    let mut command = Command::new(&path);
    command
        .arg0(launch.arg0.as_ref().unwrap_or(name))
        .args(&launch.argv[1..])
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)));
    failed(&format!("`{name}`"), &command.exec())
}

/// True if a command would be found on the PATH.
pub(crate) fn is_on_path(name: &str) -> bool {
    look_up(name).is_ok()
}

/// Finds a command as execvp(3) does: the first on the PATH that may be executed.
fn look_up(name: &str) -> Result<PathBuf, NotStarted> {
    let mut denied = false;
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::from(name)]
    } else {
        PATH.split(':')
            .map(|folder| Path::new(folder).join(name))
            .collect()
    };
    for candidate in candidates {
        let Ok(found) = fs::metadata(&candidate) else {
            continue;
        };
        let allowed = rustix::fs::accessat(CWD, &candidate, Access::EXEC_OK, AtFlags::empty());
        if found.is_file() && allowed.is_ok() {
            return Ok(candidate);
        }
        denied = true;
    }
    Err(NotStarted {
        not_found: !denied,
        message: if denied {
            format!("`{name}` may not be executed")
        } else {
            format!("no command `{name}`")
        },
    })
}

/// False for a file that can be read and is neither ELF nor starts with `#!`.
pub(crate) fn is_executable_format(path: &Path) -> bool {
    let mut start = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(4).read_to_end(&mut start)) {
        Ok(_) => start.starts_with(b"#!") || start == b"\x7fELF",
        Err(_) => true,
    }
}

fn failed(what: &str, error: &io::Error) -> NotStarted {
    NotStarted {
        not_found: false,
        message: format!("{what}: {error}"),
    }
}
