//! Root children that turn on the executor: nothing they do shows in what the runner is told, and
//! the next op runs.

mod common;

use assay_wire::event::{Ending, ExecutorEvent};
use common::{Root, Session, dev, root};

/// What a hostile child does, and what it must be told.
const ATTACKS: &[(&str, &str)] = &[
    (
        "the sandbox's capabilities",
        "grep -q '^CapEff:.*00000000a00404fb$' /proc/self/status || grep CapEff /proc/self/status",
    ),
    (
        "follow descriptors",
        "for f in /proc/1/fd/*; do readlink $f && cat $f; done; ls /proc/1/fdinfo/ | xargs -I{} cat /proc/1/fdinfo/{}",
    ),
    (
        "open descriptors",
        "for n in 0 1 2 3 4 5 6 7 8 9 100 101 102 103 104; do \
           for mode in '<' '>' '<>'; do eval \"exec 9$mode/proc/1/fd/$n\" 2>/dev/null && echo opened $n; done; done",
    ),
    (
        "forge a frame",
        "printf '\\012\\0\\0\\0\\0\\0\\0\\0\\0\"goodbye\"  ' > /proc/1/fd/101 && echo forged",
    ),
    ("write memory", "printf x > /proc/1/mem && echo written"),
    (
        "read memory",
        "head -c 1 /proc/1/mem && echo read; cat /proc/1/maps /proc/1/environ && echo read",
    ),
    (
        "read the program",
        "readlink /proc/1/exe && echo read; cat /proc/1/exe | head -c 4 | grep -q ELF && echo read",
    ),
    ("every signal", "for s in $(seq 1 64); do kill -$s 1; done"),
    (
        "every thread",
        "for t in /proc/1/task/*; do kill -9 ${t##*/}; kill -19 ${t##*/}; done",
    ),
    (
        "ptrace and pidfd_getfd",
        "python3 -c '
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, 1, 0, 0) == 0: print(\"attached\")
if libc.ptrace(0x4206, 1, 0, 0) == 0: print(\"seized\")
fd = libc.syscall(434, 1, 0)
for n in list(range(12)) + list(range(100, 112)):
    if libc.syscall(438, fd, n, 0) >= 0: print(\"took\", n)
'",
    ),
    (
        "set limits",
        "for l in --cpu=1:1 --nofile=3:3 --fsize=0:0 --as=1:1; do prlimit --pid 1 $l 2>/dev/null && echo set $l; \
         for t in /proc/1/task/*; do prlimit --pid ${t##*/} $l 2>/dev/null && echo set $l; done; done",
    ),
    (
        "take the proxy's port",
        "python3 -c '
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
try:
    s.bind((\"127.0.0.1\", 9473)); s.listen(); print(\"taken\")
except OSError: pass
'",
    ),
    (
        "overwrite the executor",
        "cp /usr/bin/true /.assay/executor; rm -f /.assay/executor; echo 'bad' > /.assay/executor; chmod 755 /.assay/executor",
    ),
    (
        "inherited descriptors",
        // 3 is the one that listing opens.
        "python3 -c 'import os; print([n for n in os.listdir(\"/proc/self/fd\") if int(n) > 3] or \"\", end=\"\")'",
    ),
];

#[test]
fn no_attack_changes_what_the_runner_is_told() {
    let place = Root::new();
    let ops = ATTACKS
        .iter()
        .flat_map(|(_, script)| {
            [
                root(&format!("{{ {script}\n}} 2>/dev/null; exit 7")),
                dev("echo next"),
            ]
        })
        .collect();
    let mut session = Session::with_ops(&place, ops);
    let pid = session.executor_pid();
    for (name, _) in ATTACKS {
        let ran = session.op().unwrap_or_else(|| panic!("{name}: skipped"));
        assert_eq!(
            (ran.ending, ran.stdout.as_str()),
            (Ending::Exited(7), ""),
            "{name}"
        );
        assert_eq!(session.ok(), "next\n", "after: {name}");
    }
    assert_eq!(session.executor_pid(), pid);
    // One Ready, and per op a start and an end: nothing else was ever said.
    assert_eq!(session.events.len(), 1 + 4 * ATTACKS.len());
    let others = session.events.iter().skip(1).any(|event| {
        !matches!(
            event,
            ExecutorEvent::OpStarted { .. } | ExecutorEvent::OpFinished { .. }
        )
    });
    assert!(!others);
    session.stop();
}

/// Being undumpable and having a group of its own each keep ptrace away; here the group does not
/// exist, as in the user namespace of a rootless engine.
#[test]
fn being_undumpable_is_enough_where_the_foreign_group_is_not_mapped() {
    // A helper left outside maps the ids, which nobody inside may do for so many.
    const ENTER_USER_NAMESPACE: &str = "ip link set lo up\n\
        exec() {\n\
          (until [ $(readlink $0/proc/1/ns/user) != $(readlink $0/proc/self/ns/user) ]; do sleep 0.01; done\n\
           echo 0 0 60000 > $0/proc/1/gid_map; echo 0 0 60000 > $0/proc/1/uid_map) &\n\
          builtin exec unshare --user \
            sh -c 'until [ $(id -u) = 0 ]; do sleep 0.01; done; exec \"$@\"' sh \"$@\"\n\
        }";
    let place = Root::new();
    let attacks: Vec<_> = ATTACKS
        .iter()
        .filter(|(name, _)| !matches!(*name, "set limits" | "the sandbox's capabilities"))
        .collect();
    let mut session = Session::start_with(&place, ENTER_USER_NAMESPACE, common::CAPABILITIES);
    let scripts = attacks
        .iter()
        .map(|(_, script)| format!("{{ {script}\n}} 2>/dev/null; exit 7"));
    session.send_program(common::program(
        scripts.map(|script| root(&script)).collect(),
    ));
    for (name, _) in attacks {
        let ran = session.op().unwrap_or_else(|| panic!("{name}: skipped"));
        assert_eq!(
            (ran.ending, ran.stdout.as_str()),
            (Ending::Exited(7), ""),
            "{name}"
        );
    }
    session.stop();
}

#[test]
fn a_child_that_fills_its_pipe_and_leaves_changes_nothing() {
    let place = Root::new();
    let frame = "printf '\\012\\0\\0\\0\\0\\0\\0\\0\\0\"goodbye\"  '";
    let mut session = Session::with_ops(
        &place,
        vec![
            root(&format!(
                "for i in $(seq 2000); do {frame}; done; exec 1>&-; sleep 0.1"
            )),
            root("head -c 20000000 /dev/zero >&2 & head -c 20000000 /dev/zero; wait"),
            dev("echo next"),
        ],
    );
    assert_eq!(session.op().expect("run").stdout.len(), 2000 * 20);
    let ran = session.op().expect("run");
    assert_eq!(
        (ran.stdout.len(), ran.stderr.len()),
        (20_000_000, 20_000_000)
    );
    assert_eq!(session.ok(), "next\n");
    session.stop();
}

#[test]
fn outside_a_sandbox_the_executor_does_nothing() {
    for arguments in [&[][..], &["serve"], &["--help"]] {
        let status = std::process::Command::new(common::executor())
            .args(arguments)
            .status()
            .expect("started");
        assert_eq!(status.code(), Some(64));
    }
}
