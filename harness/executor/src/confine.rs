//! What becomes of the capabilities a sandbox only starts with. `CAP_SYS_NICE`, by which the executor
//! comes before whatever multiplies beside it, is given up for good before anything of the sandbox
//! runs. The executor alone keeps `CAP_SYS_PTRACE`, by which it traces ([`crate::trace`]) without
//! breaking programs that are setuid, `CAP_SYS_ADMIN`, by which a command installs its filter without
//! `no_new_privs`, and `CAP_SETPCAP`: every command gives them up, for good, before it becomes one.
//! Where systemd boots, PID 1 makes a single mount ([`crate::boot`]) and gives them up likewise.
//!
//! An engine's default seccomp profile allows a container with `CAP_SYS_ADMIN` more calls, for
//! every process and whether or not it still holds it. The filter here takes exactly those calls
//! away again from what is not traced; what is traced asks for them in vain, and is heard.

use std::io;

use libc::c_long;
use rustix::thread::CapabilitySet;

use crate::filter::{Filter, refused};

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
pub(crate) const NAMESPACES: u32 = 0x7E02_0000;

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

/// What tracing takes.
const TRACING: [CapabilitySet; 3] = [
    CapabilitySet::SYS_PTRACE,
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::SETPCAP,
];

/// Gives up what precedence was taken with, which is taken but once.
pub(crate) fn give_up_precedence() -> io::Result<()> {
    give_up(&[CapabilitySet::SYS_NICE])
}

/// What is missing for tracing, by the names of capabilities(7); nothing if it can be done.
pub(crate) fn missing_for_tracing() -> Vec<&'static str> {
    let held =
        rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |held| held.effective);
    let names = ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_SETPCAP"];
    TRACING
        .iter()
        .zip(names)
        .filter(|(capability, _)| !held.contains(**capability))
        .map(|(_, name)| name)
        .collect()
}

/// Gives up all that only the executor may have, for this process and everything it starts or becomes,
/// and what an engine opened because of it. Only while the process has one thread.
pub(crate) fn give_up_all(traced: bool) -> io::Result<()> {
    // The filter comes first: without `no_new_privs` installing it needs the capability. Where that
    // was never had an engine opened nothing.
    if traced {
        crate::trace::install_filter()?;
    } else if rustix::thread::capability_is_in_bounding_set(CapabilitySet::SYS_ADMIN)? {
        filter().install()?;
    }
    let [ptrace, admin, setpcap] = TRACING;
    give_up(&[CapabilitySet::SYS_NICE, ptrace, admin, setpcap])
}

/// Gives up what PID 1 must not have as systemd, likewise, but for `CAP_SETPCAP`: by it a unit gives up
/// capabilities (systemd.exec(5), `CapabilityBoundingSet=`), and it lets nobody have one that was
/// given up.
pub(crate) fn give_up_administration() -> io::Result<()> {
    filter().install()?;
    let [ptrace, admin, _] = TRACING;
    give_up(&[CapabilitySet::SYS_NICE, ptrace, admin])
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

/// The filter: calls of another architecture are unknown, those listed are not permitted, clone3(2),
/// whose flags no filter can see, is unknown, and clone(2) makes no namespace.
fn filter() -> Filter {
    let mut filter = Filter::new(refused(libc::ENOSYS));
    filter.always(libc::SYS_clone3, refused(libc::ENOSYS));
    for call in CALLS {
        filter.always(*call, refused(libc::EPERM));
    }
    filter.if_any_bit(libc::SYS_clone, 0, NAMESPACES, refused(libc::EPERM));
    filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{ARCHITECTURE, run};

    #[test]
    fn only_what_administration_had_opened_is_refused() {
        let run =
            |architecture, call, first| run(&filter(), architecture, call, [first, 0, 0, 0, 0, 0]);
        let allowed = libc::SECCOMP_RET_ALLOW;
        let (not_permitted, unknown) = (refused(libc::EPERM), refused(libc::ENOSYS));
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
