//! ptrace(2), the few requests of it that are used, and the wait that goes with them. Only the thread
//! that seized a process may ask anything of it, and that is the one that waits.
//!
//! A process that is killed while it is asked is no fault: the request fails, and its end comes by the
//! wait.
#![expect(
    unsafe_code,
    reason = "no safe library has ptrace(2), nor a wait that sees every thread that is traced"
)]

use std::io;
use std::mem::MaybeUninit;

use libc::{c_int, c_long, c_uint, c_void};

/// What is told of a traced process: every new process and thread, every program executed, every call
/// the filter stops at, and the ends of calls apart from signals; and it does not outlive its tracer.
const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_EXITKILL;

/// `PTRACE_EVENT_STOP`, which the C library does not name everywhere.
const EVENT_STOP: c_int = 128;

/// What a wait saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// It stopped.
    Stopped(Stop),
}

/// Why something stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A signal is about to reach it; of what is not traced: it was stopped by one.
    Signal(c_int),
    /// It began as the child or thread of one that is traced, or goes on after it was stopped.
    Began,
    /// It is stopped by a signal as any process can be.
    Held,
    /// It made another process or thread.
    Forked,
    /// It executed a program.
    Executed,
    /// The filter stopped it before a call.
    Before,
    /// The call it was let go on with is over.
    After,
}

/// Waits for any process or thread to end or stop. One that has ended is only looked at; [`reap`]
/// takes it away. One that has stopped before or after a call is told again until it is let go on.
pub(crate) fn look() -> io::Result<(i32, Seen)> {
    let mut seen = MaybeUninit::<libc::siginfo_t>::zeroed();
    let all = libc::WEXITED | libc::WSTOPPED | libc::__WALL | libc::WNOWAIT;
    // SAFETY: the kernel writes one `siginfo_t`, and zero is a value of all its fields.
    let (result, seen) = unsafe {
        let result = libc::waitid(libc::P_ALL, 0, seen.as_mut_ptr(), all);
        (result, seen.assume_init())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are there whatever a wait tells.
    let (pid, value) = unsafe { (seen.si_pid(), seen.si_status()) };
    match seen.si_code {
        libc::CLD_EXITED => Ok((pid, Seen::Exited(value))),
        libc::CLD_KILLED | libc::CLD_DUMPED => Ok((pid, Seen::Killed(value))),
        code => {
            let why = reason(value & 0xff, value >> 8);
            // Before and after a call it is let go on at once, and has nothing to be taken then: that spares a
            // call for each of thousands of stops.
            if !matches!((code, why), (libc::CLD_TRAPPED, Stop::Before | Stop::After)) {
                // One that was killed since has no stop to take, and its end comes next.
                take(pid, libc::WSTOPPED);
            }
            Ok((pid, Seen::Stopped(why)))
        }
    }
}

/// Takes a process or thread that has ended away; false if somebody else has.
pub(crate) fn reap(pid: i32) -> bool {
    take(pid, libc::WEXITED)
}

/// Takes what is to be told of a process or thread, without waiting for it.
fn take(pid: i32, what: c_int) -> bool {
    let mut seen = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = what | libc::__WALL | libc::WNOHANG;
    // SAFETY: the kernel writes one `siginfo_t`, and zero is a value of all its fields.
    let (result, seen) = unsafe {
        let result = libc::waitid(libc::P_PID, pid.unsigned_abs(), seen.as_mut_ptr(), options);
        (result, seen.assume_init())
    };
    // SAFETY: it is there whatever a wait tells, and 0 if it tells nothing.
    result == 0 && unsafe { seen.si_pid() } == pid
}

fn reason(signal: c_int, event: c_int) -> Stop {
    match event {
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
            Stop::Forked
        }
        libc::PTRACE_EVENT_EXEC => Stop::Executed,
        libc::PTRACE_EVENT_SECCOMP => Stop::Before,
        EVENT_STOP if signal == libc::SIGTRAP => Stop::Began,
        EVENT_STOP => Stop::Held,
        _ if signal == libc::SIGTRAP | 0x80 => Stop::After,
        _ => Stop::Signal(signal),
    }
}

/// Makes this thread the tracer of a process.
pub(super) fn seize(pid: i32) -> io::Result<()> {
    ask(libc::PTRACE_SEIZE, pid, 0, c_long::from(OPTIONS))
}

/// Lets it go on, with a signal or 0.
pub(super) fn go_on(pid: i32, signal: c_int) {
    let _ = ask(libc::PTRACE_CONT, pid, 0, c_long::from(signal));
}

/// Lets it go on to the end of the call it is in.
pub(super) fn go_on_through_call(pid: i32) {
    let _ = ask(libc::PTRACE_SYSCALL, pid, 0, 0);
}

/// Leaves it stopped, as the signal that stopped it wants it.
pub(super) fn stay_held(pid: i32) {
    let _ = ask(libc::PTRACE_LISTEN, pid, 0, 0);
}

/// What the event carries: the new process's id, or that of the thread that executed a program.
pub(super) fn message(pid: i32) -> Option<i32> {
    let mut message: libc::c_ulong = 0;
    let to = &raw mut message;
    ask(libc::PTRACE_GETEVENTMSG, pid, 0, to as c_long).ok()?;
    i32::try_from(message).ok()
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entered {
    /// The index the filter gave it.
    pub(super) index: u16,
    /// Its number.
    pub(super) number: u64,
    pub(super) arguments: [u64; 6],
}

/// The call a process has stopped before.
pub(super) fn entered(pid: i32) -> Option<Entered> {
    let info = call_info(pid)?;
    if info.op != libc::PTRACE_SYSCALL_INFO_SECCOMP {
        return None;
    }
    // SAFETY: the kernel says that this is the member it wrote.
    let call = unsafe { info.u.seccomp };
    Some(Entered {
        index: u16::try_from(call.ret_data).ok()?,
        number: call.nr,
        arguments: call.args,
    })
}

/// The call that the signal about to reach a process stands for; `None` if it is a signal like any other.
pub(super) fn signalled(pid: i32) -> Option<Entered> {
    /// `si_code` of a signal that a filter sent (sigaction(2)).
    const SYS_SECCOMP: c_int = 1;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    ask(libc::PTRACE_GETSIGINFO, pid, 0, info.as_mut_ptr() as c_long).ok()?;
    // SAFETY: zero is a value of every field, and the kernel wrote the others.
    let info = unsafe { info.assume_init() };
    if info.si_signo != libc::SIGSYS || info.si_code != SYS_SECCOMP {
        return None;
    }
    let (number, arguments) = registers(pid)?;
    Some(Entered {
        index: super::calls::signalled(info.si_errno, number)?,
        number,
        arguments,
    })
}

/// The number and the arguments of the call a process was about to make (syscall(2)).
#[cfg(target_arch = "x86_64")]
fn registers(pid: i32) -> Option<(u64, [u64; 6])> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    ask(
        libc::PTRACE_GETREGS,
        pid,
        0,
        registers.as_mut_ptr() as c_long,
    )
    .ok()?;
    // SAFETY: zero is a value of every field, and the kernel wrote all of them.
    let of = unsafe { registers.assume_init() };
    Some((of.orig_rax, [of.rdi, of.rsi, of.rdx, of.r10, of.r8, of.r9]))
}

/// The number and the arguments of the call a process was about to make (syscall(2)).
#[cfg(target_arch = "aarch64")]
fn registers(pid: i32) -> Option<(u64, [u64; 6])> {
    /// The set of the general registers, `NT_PRSTATUS`.
    const GENERAL: c_long = 1;
    let mut registers = [0u64; 34];
    let mut part = libc::iovec {
        iov_base: registers.as_mut_ptr().cast(),
        iov_len: size_of_val(&registers),
    };
    ask(
        libc::PTRACE_GETREGSET,
        pid,
        GENERAL,
        (&raw mut part) as c_long,
    )
    .ok()?;
    let [a, b, c, d, e, f, _, _, number, ..] = registers;
    Some((number, [a, b, c, d, e, f]))
}

/// How the call a process has stopped after ended: what it gave, or its error.
pub(super) fn left(pid: i32) -> Option<Result<i64, i32>> {
    let info = call_info(pid)?;
    if info.op != libc::PTRACE_SYSCALL_INFO_EXIT {
        return None;
    }
    // SAFETY: the kernel says that this is the member it wrote.
    let exit = unsafe { info.u.exit };
    Some(match exit.is_error {
        0 => Ok(exit.sval),
        _ => Err(i32::try_from(-exit.sval).unwrap_or(i32::MAX)),
    })
}

fn call_info(pid: i32) -> Option<libc::ptrace_syscall_info> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    ask(
        libc::PTRACE_GET_SYSCALL_INFO,
        pid,
        c_long::try_from(size).ok()?,
        info.as_mut_ptr() as c_long,
    )
    .ok()?;
    // SAFETY: zero is a value of every field, and the kernel wrote the others.
    Some(unsafe { info.assume_init() })
}

/// Has the call a process has stopped before fail in place of being made.
#[cfg(target_arch = "x86_64")]
pub(super) fn refuse(pid: i32, errno: c_int) -> io::Result<()> {
    let register = |index: c_int| c_long::from(index) * 8;
    ask(libc::PTRACE_POKEUSER, pid, register(libc::ORIG_RAX), -1)?;
    ask(
        libc::PTRACE_POKEUSER,
        pid,
        register(libc::RAX),
        c_long::from(-errno),
    )
}

/// Has the call a process has stopped before fail in place of being made.
#[cfg(target_arch = "aarch64")]
pub(super) fn refuse(pid: i32, errno: c_int) -> io::Result<()> {
    /// The set of the call's number, `NT_ARM_SYSTEM_CALL` of linux/elf.h.
    const CALL: c_long = 0x404;
    /// The set of the general registers, `NT_PRSTATUS`.
    const GENERAL: c_long = 1;
    let exchange = |request, set, value: *mut c_void, size: usize| {
        let mut part = libc::iovec {
            iov_base: value,
            iov_len: size,
        };
        ask(request, pid, set, (&raw mut part) as c_long)
    };
    let mut none: c_int = -1;
    let to = (&raw mut none).cast();
    exchange(libc::PTRACE_SETREGSET, CALL, to, size_of::<c_int>())?;
    let mut registers = [0u64; 34];
    let to = registers.as_mut_ptr().cast();
    exchange(libc::PTRACE_GETREGSET, GENERAL, to, size_of_val(&registers))?;
    registers[0] = i64::from(-errno).cast_unsigned();
    exchange(libc::PTRACE_SETREGSET, GENERAL, to, size_of_val(&registers))
}

fn ask(request: c_uint, pid: i32, address: c_long, data: c_long) -> io::Result<()> {
    // SAFETY: the requests used here read or write only what `address` and `data` say in this
    // process, which their callers own for the time of the call, or the state of a traced process.
    let result = unsafe { libc::ptrace(request, pid, address as *mut c_void, data as *mut c_void) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_says_why() {
        for (signal, event, stop) in [
            (libc::SIGTRAP, libc::PTRACE_EVENT_FORK, Stop::Forked),
            (libc::SIGTRAP, libc::PTRACE_EVENT_VFORK, Stop::Forked),
            (libc::SIGTRAP, libc::PTRACE_EVENT_CLONE, Stop::Forked),
            (libc::SIGTRAP, libc::PTRACE_EVENT_EXEC, Stop::Executed),
            (libc::SIGTRAP, libc::PTRACE_EVENT_SECCOMP, Stop::Before),
            (libc::SIGTRAP, EVENT_STOP, Stop::Began),
            (libc::SIGSTOP, EVENT_STOP, Stop::Held),
            (libc::SIGTTIN, EVENT_STOP, Stop::Held),
            (libc::SIGTRAP | 0x80, 0, Stop::After),
            (libc::SIGTRAP, 0, Stop::Signal(libc::SIGTRAP)),
            (libc::SIGSTOP, 0, Stop::Signal(libc::SIGSTOP)),
        ] {
            assert_eq!(reason(signal, event), stop, "{signal} {event}");
        }
    }
}
