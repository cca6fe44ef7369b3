//! The calls a traced program stops at: their numbers, when, what they are told as, and where their
//! arguments are. The filter of [`crate::filter`] is made of this table, and by the index it carries
//! the stop finds its row again.
//!
//! `execve` is not among them: the kernel tells of every one that succeeded (ptrace(2),
//! `PTRACE_EVENT_EXEC`), with what was really executed.

use assay_wire::trace::Call;
use libc::c_long;

use crate::confine::NAMESPACES;
use crate::filter::{Filter, refused};

/// Flags of open(2) by which a file can be changed.
const WRITING: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC).unsigned_abs();

/// The index of calls by the numbers of another architecture.
pub(super) const FOREIGN: u16 = u16::MAX;

/// The index of calls that ask for an affinity, or change one: they are nobody's business, but where the
/// tracer has put a process must not be seen ([`super::place`]).
pub(super) const AFFINITY: u16 = 0x3fff;

/// Indexes from here on come with a signal.
const SIGNALLED: u16 = 0x4000;

/// One call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trapped {
    pub(super) number: c_long,
    pub(super) call: Call,
    pub(super) reads: Reads,
    when: When,
    /// The error it gets in place of being done.
    pub(super) refused: Option<i32>,
    stops: Stops,
}

/// How the program stops. Of what several filters answer the gravest counts: a signal before an error,
/// an error before a stop for a tracer (seccomp(2)).
#[derive(Debug, Clone, Copy)]
enum Stops {
    /// For the tracer.
    Tracing,
    /// By `SIGSYS`, which the tracer keeps from it: an engine's own filter may answer the call with an
    /// error, and nobody would hear of it.
    Signalled,
}

/// When the program stops at it.
#[derive(Debug, Clone, Copy)]
enum When {
    Always,
    /// Any of these bits is set in this argument.
    AnyBit(u32, u32),
    /// This argument is PID 1, everybody, or the executor.
    OfTheFirst(u32),
}

/// A file an argument names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Names {
    /// The path at this argument.
    Path(usize),
    /// The path at the second argument, which begins at the descriptor of the first.
    At(usize, usize),
    /// The descriptor.
    Descriptor(usize),
}

/// Where what it is told with is among its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reads {
    File(Names),
    /// A file and its mode.
    Mode(Names, usize),
    /// A file, its owner and its group, one after the other.
    Owner(Names, usize),
    /// A file and the name of an attribute.
    Attribute(Names, usize),
    /// From one path to another.
    Two(Names, Names),
    /// A text, and the path that leads there.
    LeadsTo(usize, Names),
    /// A socket's address and its length; the socket is the first argument.
    Address,
    /// The socket is the first argument.
    Listening,
    /// So many numbers.
    Numbers(usize),
    /// A text.
    Text(usize),
    /// Where it is mounted.
    MountPoint(Names),
    /// The call's own name and a number.
    Named(&'static str, usize),
    /// The call's own name says all.
    Nothing(&'static str),
}

impl Trapped {
    /// True for a call that does nothing where a file it names is not there (`ENOENT`). A package manager takes
    /// away each file's leftovers before it comes, so there are thousands, and nothing is to be told of them.
    pub(super) fn is_of_files(&self) -> bool {
        match self.reads {
            Reads::File(_)
            | Reads::Mode(..)
            | Reads::Owner(..)
            | Reads::Attribute(..)
            | Reads::Two(..)
            | Reads::LeadsTo(..) => true,
            Reads::Address
            | Reads::Listening
            | Reads::Numbers(_)
            | Reads::Text(_)
            | Reads::MountPoint(_)
            | Reads::Named(..)
            | Reads::Nothing(_) => false,
        }
    }

    /// True for a call of a file that does not wait for anybody, as opening a FIFO does (fifo(7)).
    pub(super) fn is_short(&self) -> bool {
        self.is_of_files() && self.call != Call::Open
    }

    /// True for a call that is told because of whom it is about.
    pub(super) fn is_of_the_first(&self) -> bool {
        matches!(self.when, When::OfTheFirst(_))
    }
}

const fn always(number: c_long, call: Call, reads: Reads) -> Trapped {
    Trapped {
        number,
        call,
        reads,
        when: When::Always,
        refused: None,
        stops: Stops::Tracing,
    }
}

const fn if_writing(number: c_long, names: Names, flags: u32) -> Trapped {
    Trapped {
        when: When::AnyBit(flags, WRITING),
        ..always(number, Call::Open, Reads::File(names))
    }
}

/// Calls that an engine allows because of what the executor starts with, and no other sandbox may
/// make: told, and not permitted.
const fn denied(number: c_long, call: Call, reads: Reads) -> Trapped {
    Trapped {
        refused: Some(libc::EPERM),
        ..always(number, call, reads)
    }
}

/// Calls that engines refuse whoever makes them: told, and refused.
const fn unheard(number: c_long, call: Call, reads: Reads, refused: i32) -> Trapped {
    Trapped {
        refused: Some(refused),
        stops: Stops::Signalled,
        ..always(number, call, reads)
    }
}

/// Calls of the process that is named first, told where that is PID 1, everybody, or the executor, which beside
/// systemd is not PID 1.
const fn of_the_first(number: c_long, call: Call, reads: Reads) -> Trapped {
    Trapped {
        when: When::OfTheFirst(0),
        ..always(number, call, reads)
    }
}

use Names::{At, Descriptor, Path};
use Reads::{
    Address, Attribute, File, LeadsTo, Listening, Mode, MountPoint, Named, Nothing, Numbers, Owner,
    Text, Two,
};

/// The calls that every architecture has.
const CALLS: &[Trapped] = &[
    if_writing(libc::SYS_openat, At(0, 1), 2),
    always(libc::SYS_truncate, Call::Truncate, File(Path(0))),
    always(libc::SYS_mkdirat, Call::Mkdir, File(At(0, 1))),
    always(libc::SYS_unlinkat, Call::Unlink, File(At(0, 1))),
    always(libc::SYS_renameat, Call::Rename, Two(At(0, 1), At(2, 3))),
    always(libc::SYS_renameat2, Call::Rename, Two(At(0, 1), At(2, 3))),
    always(libc::SYS_linkat, Call::Link, Two(At(0, 1), At(2, 3))),
    always(libc::SYS_symlinkat, Call::Symlink, LeadsTo(0, At(1, 2))),
    always(libc::SYS_mknodat, Call::Mknod, Mode(At(0, 1), 2)),
    always(libc::SYS_fchmod, Call::Chmod, Mode(Descriptor(0), 1)),
    always(libc::SYS_fchmodat, Call::Chmod, Mode(At(0, 1), 2)),
    always(libc::SYS_fchmodat2, Call::Chmod, Mode(At(0, 1), 2)),
    always(libc::SYS_fchown, Call::Chown, Owner(Descriptor(0), 1)),
    always(libc::SYS_fchownat, Call::Chown, Owner(At(0, 1), 2)),
    always(libc::SYS_setxattr, Call::Setxattr, Attribute(Path(0), 1)),
    always(libc::SYS_lsetxattr, Call::Setxattr, Attribute(Path(0), 1)),
    always(
        libc::SYS_fsetxattr,
        Call::Setxattr,
        Attribute(Descriptor(0), 1),
    ),
    always(libc::SYS_removexattr, Call::Setxattr, Attribute(Path(0), 1)),
    always(
        libc::SYS_lremovexattr,
        Call::Setxattr,
        Attribute(Path(0), 1),
    ),
    always(
        libc::SYS_fremovexattr,
        Call::Setxattr,
        Attribute(Descriptor(0), 1),
    ),
    always(libc::SYS_setuid, Call::Setuid, Numbers(1)),
    always(libc::SYS_setgid, Call::Setuid, Numbers(1)),
    always(libc::SYS_setreuid, Call::Setuid, Numbers(2)),
    always(libc::SYS_setregid, Call::Setuid, Numbers(2)),
    always(libc::SYS_setresuid, Call::Setuid, Numbers(3)),
    always(libc::SYS_setresgid, Call::Setuid, Numbers(3)),
    always(libc::SYS_setgroups, Call::Setuid, Nothing("setgroups")),
    always(libc::SYS_setfsuid, Call::Setuid, Numbers(1)),
    always(libc::SYS_setfsgid, Call::Setuid, Numbers(1)),
    always(libc::SYS_capset, Call::Capset, Nothing("capset")),
    always(libc::SYS_connect, Call::Connect, Address),
    always(libc::SYS_bind, Call::Bind, Address),
    always(libc::SYS_listen, Call::Listen, Listening),
    denied(libc::SYS_mount, Call::Mount, MountPoint(Path(1))),
    denied(libc::SYS_umount2, Call::Mount, MountPoint(Path(0))),
    denied(libc::SYS_move_mount, Call::Mount, MountPoint(At(2, 3))),
    denied(libc::SYS_open_tree, Call::Mount, MountPoint(At(0, 1))),
    denied(libc::SYS_mount_setattr, Call::Mount, MountPoint(At(0, 1))),
    denied(libc::SYS_fsopen, Call::Mount, Text(0)),
    denied(libc::SYS_fspick, Call::Mount, MountPoint(At(0, 1))),
    denied(libc::SYS_fsconfig, Call::Mount, Nothing("fsconfig")),
    denied(libc::SYS_fsmount, Call::Mount, Nothing("fsmount")),
    denied(
        libc::SYS_quotactl,
        Call::Administration,
        Nothing("quotactl"),
    ),
    denied(
        libc::SYS_quotactl_fd,
        Call::Administration,
        Nothing("quotactl_fd"),
    ),
    denied(
        libc::SYS_fanotify_init,
        Call::Administration,
        Nothing("fanotify_init"),
    ),
    Trapped {
        when: When::AnyBit(0, NAMESPACES),
        ..denied(libc::SYS_clone, Call::Namespace, Nothing("clone"))
    },
    denied(libc::SYS_unshare, Call::Namespace, Nothing("unshare")),
    denied(libc::SYS_setns, Call::Namespace, Nothing("setns")),
    denied(
        libc::SYS_sethostname,
        Call::Administration,
        Nothing("sethostname"),
    ),
    denied(
        libc::SYS_setdomainname,
        Call::Administration,
        Nothing("setdomainname"),
    ),
    always(libc::SYS_chroot, Call::Chroot, File(Path(0))),
    always(libc::SYS_pivot_root, Call::Chroot, File(Path(0))),
    always(libc::SYS_ptrace, Call::Ptrace, Numbers(2)),
    always(libc::SYS_process_vm_writev, Call::Ptrace, Numbers(1)),
    denied(libc::SYS_bpf, Call::Bpf, Numbers(1)),
    denied(
        libc::SYS_perf_event_open,
        Call::Perf,
        Nothing("perf_event_open"),
    ),
    denied(
        libc::SYS_lookup_dcookie,
        Call::Administration,
        Nothing("lookup_dcookie"),
    ),
    denied(libc::SYS_syslog, Call::Administration, Nothing("syslog")),
    always(libc::SYS_memfd_create, Call::Memfd, Text(0)),
    unheard(
        libc::SYS_init_module,
        Call::Kmod,
        Nothing("init_module"),
        libc::EPERM,
    ),
    unheard(
        libc::SYS_finit_module,
        Call::Kmod,
        File(Descriptor(0)),
        libc::EPERM,
    ),
    unheard(libc::SYS_delete_module, Call::Kmod, Text(0), libc::EPERM),
    unheard(
        libc::SYS_kexec_load,
        Call::Kmod,
        Nothing("kexec_load"),
        libc::EPERM,
    ),
    of_the_first(libc::SYS_kill, Call::Kill, Numbers(2)),
    of_the_first(libc::SYS_tkill, Call::Kill, Numbers(2)),
    of_the_first(libc::SYS_tgkill, Call::Kill, Numbers(3)),
    of_the_first(libc::SYS_rt_sigqueueinfo, Call::Kill, Numbers(2)),
    of_the_first(libc::SYS_rt_tgsigqueueinfo, Call::Kill, Numbers(3)),
    // By what it gives a signal can be sent, and a descriptor be had (pidfd_getfd(2)).
    of_the_first(libc::SYS_pidfd_open, Call::Ptrace, Named("pidfd_open", 0)),
    unheard(
        libc::SYS_io_uring_setup,
        Call::IoUring,
        Nothing("io_uring_setup"),
        libc::ENOSYS,
    ),
];

/// Those that only older architectures have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[Trapped] = &[
    if_writing(libc::SYS_open, Path(0), 1),
    always(libc::SYS_creat, Call::Open, File(Path(0))),
    always(libc::SYS_mkdir, Call::Mkdir, File(Path(0))),
    always(libc::SYS_rmdir, Call::Unlink, File(Path(0))),
    always(libc::SYS_unlink, Call::Unlink, File(Path(0))),
    always(libc::SYS_rename, Call::Rename, Two(Path(0), Path(1))),
    always(libc::SYS_link, Call::Link, Two(Path(0), Path(1))),
    always(libc::SYS_symlink, Call::Symlink, LeadsTo(0, Path(1))),
    always(libc::SYS_mknod, Call::Mknod, Mode(Path(0), 1)),
    always(libc::SYS_chmod, Call::Chmod, Mode(Path(0), 1)),
    always(libc::SYS_chown, Call::Chown, Owner(Path(0), 1)),
    always(libc::SYS_lchown, Call::Chown, Owner(Path(0), 1)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[Trapped] = &[];

/// The row of a stop.
pub(super) fn at(index: u16) -> Option<&'static Trapped> {
    let index = usize::from(index);
    CALLS
        .get(index)
        .or_else(|| OLDER.get(index.checked_sub(CALLS.len())?))
}

/// True for the call that changes an affinity.
pub(super) fn changes_affinity(number: u64) -> bool {
    u64::try_from(libc::SYS_sched_setaffinity).is_ok_and(|changes| changes == number)
}

/// The index that a signal carries, of this call. A program can have a filter of its own, whose signals
/// are its own business.
pub(super) fn signalled(carried: i32, number: u64) -> Option<u16> {
    let index = u16::try_from(carried).ok()?.checked_sub(SIGNALLED)?;
    let row = at(index)?;
    let is_it = u64::try_from(row.number).ok()? == number;
    (is_it && matches!(row.stops, Stops::Signalled)).then_some(index)
}

/// The filter by which a program stops at these calls. clone3(2) and openat2(2), whose flags no filter
/// can see, are unknown there: every program falls back on what they replace.
pub(super) fn filter(executor: u32) -> Filter {
    let stops = |index: u16| libc::SECCOMP_RET_TRACE | u32::from(index);
    let signals = |index: u16| libc::SECCOMP_RET_TRAP | u32::from(SIGNALLED + index);
    let mut filter = Filter::new(stops(FOREIGN));
    for unknown in [libc::SYS_clone3, libc::SYS_openat2] {
        filter.always(unknown, refused(libc::ENOSYS));
    }
    for call in [libc::SYS_sched_getaffinity, libc::SYS_sched_setaffinity] {
        filter.always(call, stops(AFFINITY));
    }
    for (index, trapped) in (0u16..).zip(CALLS.iter().chain(OLDER)) {
        let answer = match trapped.stops {
            Stops::Tracing => stops(index),
            Stops::Signalled => signals(index),
        };
        match trapped.when {
            When::Always => filter.always(trapped.number, answer),
            When::AnyBit(argument, bits) => {
                filter.if_any_bit(trapped.number, argument, bits, answer);
            }
            When::OfTheFirst(argument) => {
                let values = [1, u32::MAX, executor];
                filter.if_any_of(trapped.number, argument, values, answer);
            }
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{ARCHITECTURE, run};

    const EXECUTOR: u32 = 37;

    /// What the filter answers to a call.
    fn answers(call: c_long, arguments: [u32; 6]) -> u32 {
        run(&filter(EXECUTOR), ARCHITECTURE, call, arguments)
    }

    fn index_of(call: c_long) -> u32 {
        let all = CALLS.iter().chain(OLDER);
        let found = all.map(|row| row.number).position(|number| number == call);
        u32::try_from(found.expect("a row")).expect("a small number")
    }

    #[test]
    fn a_stop_finds_its_row() {
        for row in CALLS.iter().chain(OLDER) {
            let index = u16::try_from(index_of(row.number)).expect("an index");
            assert_eq!(at(index).expect("the row").number, row.number);
            let number = u64::try_from(row.number).expect("a number");
            let carried = i32::from(SIGNALLED + index);
            let answer = match row.stops {
                Stops::Tracing => libc::SECCOMP_RET_TRACE | u32::from(index),
                Stops::Signalled => libc::SECCOMP_RET_TRAP | carried.unsigned_abs(),
            };
            if let When::Always = row.when {
                assert_eq!(answers(row.number, [0; 6]), answer, "{row:?}");
            }
            let of_signal = signalled(carried, number);
            match row.stops {
                Stops::Tracing => assert_eq!(of_signal, None),
                // Only what is refused anyway: the call is never made.
                Stops::Signalled => {
                    assert_eq!((of_signal, row.refused.is_some()), (Some(index), true));
                }
            }
            assert_eq!(signalled(carried, number + 1), None);
            assert_eq!(signalled(i32::from(index), number), None);
        }
        assert!(at(FOREIGN).is_none());
    }

    #[test]
    fn only_what_may_change_a_file_stops_when_opening() {
        let opens = |flags: i32| answers(libc::SYS_openat, [0, 0, flags.unsigned_abs(), 0, 0, 0]);
        let stop = libc::SECCOMP_RET_TRACE | index_of(libc::SYS_openat);
        for flags in [
            libc::O_WRONLY,
            libc::O_RDWR,
            libc::O_CREAT,
            libc::O_TRUNC,
            libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC,
            libc::O_TMPFILE | libc::O_RDWR,
        ] {
            assert_eq!(opens(flags), stop, "{flags:o}");
        }
        for flags in [0, libc::O_CLOEXEC, libc::O_DIRECTORY, libc::O_PATH] {
            assert_eq!(opens(flags), libc::SECCOMP_RET_ALLOW, "{flags:o}");
        }
    }

    #[test]
    fn a_new_process_stops_only_for_a_namespace() {
        let clones = |flags: i32| answers(libc::SYS_clone, [flags.unsigned_abs(), 0, 0, 0, 0, 0]);
        let stop = libc::SECCOMP_RET_TRACE | index_of(libc::SYS_clone);
        assert_eq!(
            clones(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD),
            libc::SECCOMP_RET_ALLOW
        );
        for namespace in [
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWNS,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWNET,
            libc::CLONE_NEWCGROUP,
        ] {
            assert_eq!(clones(namespace | libc::SIGCHLD), stop, "{namespace:x}");
        }
    }

    #[test]
    fn killing_is_told_where_it_is_of_all_of_the_first_or_of_the_executor() {
        for call in [
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_tgkill,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
            libc::SYS_pidfd_open,
        ] {
            let stop = libc::SECCOMP_RET_TRACE | index_of(call);
            for (pid, answer) in [
                (1, stop),
                (u32::MAX, stop),
                (EXECUTOR, stop),
                (2, libc::SECCOMP_RET_ALLOW),
                (0, libc::SECCOMP_RET_ALLOW),
            ] {
                assert_eq!(answers(call, [pid, 9, 0, 0, 0, 0]), answer, "{pid}");
            }
        }
    }

    #[test]
    fn what_nobody_can_look_into_is_unknown_or_foreign() {
        let unknown = refused(libc::ENOSYS);
        assert_eq!(answers(libc::SYS_clone3, [0; 6]), unknown);
        assert_eq!(answers(libc::SYS_openat2, [0; 6]), unknown);
        let foreign = libc::SECCOMP_RET_TRACE | u32::from(FOREIGN);
        // 32-bit calls have other numbers, so none of them is known.
        let filter = filter(EXECUTOR);
        assert_eq!(run(&filter, 0x4000_0003, libc::SYS_read, [0; 6]), foreign);
        assert_eq!(answers(0x4000_0000, [0; 6]), foreign);
        for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_accept4] {
            assert_eq!(answers(call, [u32::MAX; 6]), libc::SECCOMP_RET_ALLOW);
        }
    }
}
