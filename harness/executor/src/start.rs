//! How the binary becomes the PID 1 that no child can reach into.
//!
//! The engine starts the uploaded file. It copies itself into a sealed memfd and executes that, so
//! that `/proc/1/exe` is no file of the sandbox. Then, before any child exists: the process is
//! made undumpable (prctl(2), `PR_SET_DUMPABLE`), which closes `/proc/1/fd`, `/proc/1/mem`,
//! ptrace and pidfd_getfd to everyone without `CAP_SYS_PTRACE`, root included; the stream's
//! descriptors move away from 0 and 1 and are closed on exec, like every other descriptor; and the
//! saved group id is made another one, because prlimit(2) lets a process with the same six ids set
//! the limits of PID 1, down to a CPU limit that kills it.
//!
//! No signal handler is left installed: the kernel discards what children send to a PID 1 without
//! handlers, SIGKILL included (pid_namespaces(7)). Where systemd is PID 1 ([`crate::boot`]) the
//! executor is a child of it, and that protection is gone: a root child can end or stop it. The
//! stream then ends, or nothing comes on it any more, and the runner sees either; all other doors
//! are as shut as ever.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use assay_wire::program::FETCH;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::FdFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::Gid;

use crate::boot::{self, Boot};
use crate::{confine, fetch, launch, manifest, reap, session};

/// Ends a start that is no sandbox's: the executor kills every process it can see, so it refuses
/// to be anything but PID 1, or beside a PID 1 of its own (`EX_USAGE` of sysexits(3)).
const NOT_PID_1: u8 = 64;

/// Ends a start in which something the executor needs is missing (`EX_OSERR` of sysexits(3)).
const CANNOT_START: u8 = 71;

/// Lowest number the stream's descriptors are moved to.
const STREAM_FDS: RawFd = 100;

/// A group no process of a sandbox runs in.
const FOREIGN_GROUP: u32 = 65_534;

/// Runs the executor: without arguments as the engine starts it for a session; with `boot` where
/// systemd is to be PID 1; with `learn` to look at an image that is being prepared; with `fetch` as
/// a downloader that a program of the sandbox starts ([`crate::fetch`]); the others are
/// its own ways of starting itself again.
pub fn main() -> ExitCode {
    let first = std::env::args_os().nth(1);
    let beside = OsStr::new(boot::BESIDE);
    let result = match first.as_deref().map(OsStr::as_encoded_bytes) {
        Some(b"launch") => return launch::main(),
        Some(word) if word == FETCH.as_bytes() => return fetch::main(),
        Some(word) if word == beside.as_encoded_bytes() => match Boot::of_standard_error() {
            Some(boot) => serve_beside(boot),
            None => return ExitCode::from(NOT_PID_1),
        },
        _ if rustix::process::getpid() != rustix::process::Pid::INIT => {
            return ExitCode::from(NOT_PID_1);
        }
        None => enter_memfd("serve"),
        Some(b"boot") => enter_memfd("init"),
        Some(b"serve") => serve(),
        Some(b"init") => init(),
        Some(b"learn") => manifest::learn(),
        Some(_) => return ExitCode::from(NOT_PID_1),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(CANNOT_START),
    }
}

/// Executes a sealed copy of this binary as `role`; returns only if that fails.
fn enter_memfd(role: &str) -> io::Result<()> {
    let binary = fs::read("/proc/self/exe")?;
    let copy = rustix::fs::memfd_create(
        "assay-executor",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    let mut copy = fs::File::from(copy);
    copy.write_all(&binary)?;
    rustix::fs::fcntl_add_seals(
        &copy,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Err(Command::new(format!("/proc/self/fd/{}", copy.as_raw_fd()))
        .arg(role)
        .env_clear()
        .exec())
}

/// The executor as PID 1.
fn serve() -> io::Result<()> {
    confine::take_precedence();
    confine::give_up_precedence()?;
    let (input, output) = shut_doors()?;
    session::run(input, output, None)
}

/// PID 1 on its way to become systemd. It keeps the stream on its standard files until the executor
/// proper has taken it over, and starts nothing else.
fn init() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    close_inherited_on_exec()?;
    // The executor beside it inherits that.
    confine::take_precedence();
    boot::become_systemd()
}

/// The executor beside a PID 1 that becomes systemd: it adopts the orphans of what it starts, as PID
/// 1 would, tells that its doors are shut, and runs the session.
fn serve_beside(mut boot: Boot) -> io::Result<()> {
    reap::stand_beside_init();
    confine::give_up_precedence()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let (input, output) = shut_doors()?;
    boot.say_ready()?;
    session::run(input, output, Some(boot))
}

/// Takes away the handlers that the standard library installs to tell of an overflown stack: a
/// signal with a handler is delivered to PID 1 whoever sent it, and theirs may end the process.
fn remove_handlers() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        #[expect(
            unsafe_code,
            reason = "the safe library has no way to set a disposition"
        )]
        // SAFETY: the default disposition runs no code of this process.
        let _ = unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Shuts every door into this process and takes the stream.
fn shut_doors() -> io::Result<(OwnedFd, OwnedFd)> {
    remove_handlers();
    // May fail where the id is not mapped into a user namespace: prlimit stays open there.
    let foreign = Gid::from_raw(FOREIGN_GROUP);
    let _ = rustix::thread::set_thread_res_gid(None, None, Some(foreign));
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // The memfd would otherwise be named after its descriptor.
    rustix::thread::set_name(c"executor")?;
    close_inherited_on_exec()?;
    let (input, output) = take_stream()?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::chdir("/")?;
    let files = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: files.maximum,
            maximum: files.maximum,
        },
    );
    Ok((input, output))
}

/// Moves the stream away from 0 and 1, and puts `/dev/null` at 0, 1 and 2.
fn take_stream() -> io::Result<(OwnedFd, OwnedFd)> {
    let input = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), STREAM_FDS)?;
    let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), STREAM_FDS)?;
    for stream in [&input, &output] {
        let flags = rustix::fs::fcntl_getfl(stream)?;
        rustix::fs::fcntl_setfl(stream, flags - OFlags::NONBLOCK)?;
        // Not every engine hands over pipes; anything else keeps its own buffer.
        let _ = rustix::pipe::fcntl_setpipe_size(stream, 1 << 20);
    }
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok((input, output))
}

/// Marks every descriptor the engine may have left open, beyond the three standard ones.
fn close_inherited_on_exec() -> io::Result<()> {
    let numbers: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        #[expect(
            unsafe_code,
            reason = "a descriptor that was inherited has no owner in this process; it is only \
                      used for fcntl(F_SETFD), which fails harmlessly if it is closed by now"
        )]
        // SAFETY: the number came from /proc/self/fd, is not -1, and the borrow ends here.
        let inherited = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = rustix::io::fcntl_setfd(inherited, FdFlags::CLOEXEC);
    }
    Ok(())
}
