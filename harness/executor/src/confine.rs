//! What becomes of the capabilities a sandbox only starts with, all of which are given up for good
//! before anything of the sandbox runs: `CAP_SYS_NICE`, by which the executor comes before whatever
//! multiplies beside it, `CAP_SETPCAP`, by which the others are given up, and where systemd boots
//! `CAP_SYS_ADMIN`, for a single mount ([`crate::boot`]).
//!
//! An engine's default seccomp profile allows a container with that capability more calls, for
//! every process and whether or not it still holds it. The filter here takes exactly those calls
//! away again: what runs in a booted sandbox may call what it may in any other. It is installed
//! without `no_new_privs`, which would break programs that are setuid.

use std::io;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, c_long,
    sock_filter,
};
use rustix::thread::CapabilitySet;

/// What Docker's default profile allows only where `CAP_SYS_ADMIN` is granted
/// (`profiles/seccomp/default.json` of moby 20.10 to 28), clone(2) and clone3(2) left out.
const CALLS: &[c_long] = &[
    libc::SYS_bpf,
    libc::SYS_fanotify_init,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
];

/// Every flag of clone(2) that makes a namespace, as that profile masks them.
const NAMESPACES: u32 = 0x7E02_0000;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64` of linux/audit.h: what a native call carries.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xC000_003E
} else {
    0xC000_00B7
};

/// From this number on calls are those of the x32 form (`__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;

/// Where `struct seccomp_data` holds the call's number, its architecture, and the low half of its
/// first argument on a little-endian machine.
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// The nice value of the executor (sched(7)): thousands of processes that only multiply must not keep
/// it from ending them.
const FIRST: i32 = -20;

/// Comes before everything else in the sandbox, as far as the engine lets it. Only while the process
/// has one thread: later ones inherit it.
pub(crate) fn take_precedence() {
    // Not to be had in a user namespace; then a fork bomb ends later.
    let _ = rustix::process::setpriority_process(None, FIRST);
}

/// Takes no precedence any more: for what the executor starts or becomes.
pub(crate) fn yield_precedence() -> io::Result<()> {
    if rustix::process::getpriority_process(None)? < 0 {
        rustix::process::setpriority_process(None, 0)?;
    }
    Ok(())
}

/// Gives up what is needed to take precedence, and to give anything up.
pub(crate) fn give_up_precedence() -> io::Result<()> {
    give_up(&[CapabilitySet::SYS_NICE, CapabilitySet::SETPCAP])
}

/// Gives up `CAP_SYS_ADMIN` for this process and everything it starts, with what an engine opened
/// because of it, and `CAP_SYS_NICE`. Only while the process has one thread.
pub(crate) fn give_up_administration() -> io::Result<()> {
    // The filter comes first: without `no_new_privs` installing it needs the capability.
    install(&filter())?;
    give_up(&[CapabilitySet::SYS_ADMIN, CapabilitySet::SYS_NICE])
}

/// Gives up capabilities for this process and everything it starts. What was never had is no loss.
fn give_up(given_up: &[CapabilitySet]) -> io::Result<()> {
    let mut held = rustix::thread::capabilities(None)?;
    for capability in given_up {
        // Without it nothing can be taken out of the set of what may be had, and nothing needs to
        // be where it is not in that set.
        if rustix::thread::capability_is_in_bounding_set(*capability)? {
            rustix::thread::remove_capability_from_bounding_set(*capability)?;
        }
        held.effective.remove(*capability);
        held.permitted.remove(*capability);
        held.inheritable.remove(*capability);
    }
    rustix::thread::set_capabilities(None, held)?;
    Ok(())
}

/// The filter (seccomp(2)): calls of another architecture are unknown, those listed are not
/// permitted, clone3(2), whose flags no filter can see, is unknown, and clone(2) makes no namespace.
fn filter() -> Vec<sock_filter> {
    let refused = |errno: i32| libc::SECCOMP_RET_ERRNO | errno.unsigned_abs();
    let mut filter = vec![
        load(ARCHITECTURE_AT),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(refused(libc::ENOSYS)),
        load(NUMBER),
        jump(BPF_JGE, X32, 0, 1),
        answer(refused(libc::ENOSYS)),
        jump(BPF_JEQ, number(libc::SYS_clone3), 0, 1),
        answer(refused(libc::ENOSYS)),
    ];
    for call in CALLS {
        filter.push(jump(BPF_JEQ, number(*call), 0, 1));
        filter.push(answer(refused(libc::EPERM)));
    }
    filter.extend([
        jump(BPF_JEQ, number(libc::SYS_clone), 1, 0),
        answer(libc::SECCOMP_RET_ALLOW),
        load(FIRST_ARGUMENT),
        statement(BPF_ALU | BPF_AND | BPF_K, NAMESPACES),
        jump(BPF_JEQ, 0, 1, 0),
        answer(refused(libc::EPERM)),
        answer(libc::SECCOMP_RET_ALLOW),
    ]);
    filter
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn load(at: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, at)
}

fn answer(value: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, value)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Passes over `jt` statements if the comparison holds, over `jf` if not.
fn jump(comparison: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        jt,
        jf,
        ..statement(BPF_JMP | comparison | BPF_K, k)
    }
}

#[expect(
    unsafe_code,
    reason = "no safe wrapper installs a filter without setting no_new_privs"
)]
fn install(filter: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the program points to `filter.len()` statements that outlive the call, and the kernel
    // copies and checks them.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::c_ulong::from(libc::SECCOMP_MODE_FILTER),
            &raw const program,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a filter answers to a call, run as the kernel would.
    fn run(architecture: u32, call: c_long, first: u32) -> u32 {
        let filter = filter();
        let (mut at, mut value) = (0, 0);
        loop {
            let statement = filter[at];
            at += 1;
            let code = u32::from(statement.code);
            if code == BPF_LD | BPF_W | BPF_ABS {
                value = match statement.k {
                    NUMBER => number(call),
                    ARCHITECTURE_AT => architecture,
                    FIRST_ARGUMENT => first,
                    other => panic!("nothing is at {other}"),
                };
            } else if code == BPF_RET | BPF_K {
                return statement.k;
            } else if code == BPF_ALU | BPF_AND | BPF_K {
                value &= statement.k;
            } else {
                let holds = if code == BPF_JMP | BPF_JEQ | BPF_K {
                    value == statement.k
                } else {
                    assert_eq!(code, BPF_JMP | BPF_JGE | BPF_K);
                    value >= statement.k
                };
                at += usize::from(if holds { statement.jt } else { statement.jf });
            }
        }
    }

    #[test]
    fn only_what_administration_had_opened_is_refused() {
        let allowed = libc::SECCOMP_RET_ALLOW;
        let not_permitted = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        let unknown = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
        for call in [
            libc::SYS_read,
            libc::SYS_execve,
            libc::SYS_ptrace,
            libc::SYS_openat2,
        ] {
            assert_eq!(run(ARCHITECTURE, call, u32::MAX), allowed, "{call}");
        }
        for call in CALLS {
            assert_eq!(run(ARCHITECTURE, *call, 0), not_permitted, "{call}");
        }
        let clone = |flags| run(ARCHITECTURE, libc::SYS_clone, flags);
        assert_eq!(
            clone(libc::CLONE_VM.unsigned_abs() | libc::SIGCHLD.unsigned_abs()),
            allowed
        );
        for namespace in [
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWNS,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWCGROUP,
        ] {
            assert_eq!(
                clone(namespace.unsigned_abs() | libc::SIGCHLD.unsigned_abs()),
                not_permitted
            );
        }
        assert_eq!(run(ARCHITECTURE, libc::SYS_clone3, 0), unknown);
        // 32-bit calls have other numbers, so none of them is known.
        assert_eq!(run(0x4000_0003, libc::SYS_read, 0), unknown);
        assert_eq!(run(ARCHITECTURE, 0x4000_0000, 0), unknown);
    }
}
