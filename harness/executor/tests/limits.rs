//! Limits and hostile output: every limit kills the whole tree, memory stays bounded whatever is
//! printed, and the next op still runs.

#![expect(clippy::print_stderr, reason = "figures are shown beside the verdict")]

mod common;

use std::time::{Duration, Instant};

use assay_wire::control::{Channel, Purpose};
use assay_wire::event::{Ending, Limit};
use assay_wire::plan::{Limits, Op};
use common::{LIMITS, Root, Session, dev, root, with_limits};

/// Lists what runs besides PID 1 and the op itself.
const SURVIVORS: &str = "for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 ] || [ $p = $$ ] || \
    tr '\\0' ' ' < /proc/$p/cmdline; done";

/// Grandchildren, a double-forked one, and a daemon in a session of its own.
const BREED: &str = "sleep 1000 & (sleep 1001 & sleep 1002 &) ; setsid sleep 1003 & \
    setsid bash -c '(trap \"\" TERM HUP; sleep 1004) & disown' & ";

fn limited(script: &str, limits: Limits) -> Vec<Op> {
    vec![
        with_limits(root(&format!("{BREED} {script}")), limits),
        root(SURVIVORS),
        with_limits(dev(&format!("{BREED} {script}")), limits),
        root(SURVIVORS),
    ]
}

fn passes(script: &str, limits: Limits, limit: Limit, within: Duration) {
    let place = Root::new();
    let mut session = Session::with_ops(&place, limited(script, limits));
    session.keep = true;
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(session.op().expect("run").ending, Ending::Limit(limit));
        assert!(began.elapsed() < within, "{:?}", began.elapsed());
        assert_eq!(session.ok(), "", "nothing of the tree survives");
    }
    session.stop();
}

#[test]
fn an_op_that_never_ends_is_ended() {
    let limits = Limits {
        seconds: 1,
        ..LIMITS
    };
    passes(
        "while :; do echo x; sleep 0.1; done",
        limits,
        Limit::Time,
        Duration::from_secs(3),
    );
}

#[test]
fn an_op_that_falls_silent_is_ended() {
    let limits = Limits {
        silent_seconds: 1,
        ..LIMITS
    };
    passes(
        "echo x; sleep 30",
        limits,
        Limit::Silence,
        Duration::from_secs(3),
    );
}

#[test]
fn an_op_that_prints_without_end_is_ended() {
    let limits = Limits {
        output_bytes: 3 << 20,
        ..LIMITS
    };
    passes("yes", limits, Limit::Output, Duration::from_secs(5));
}

#[test]
fn an_op_that_fills_the_disk_is_ended_whoever_of_its_tree_writes() {
    let limits = Limits {
        written_bytes: 64 << 20,
        ..LIMITS
    };
    // Small files by many short-lived children, so that no single file or process passes it.
    let script = "d=$(mktemp -d -p /var/tmp 2>/dev/null || mktemp -d); cd $d; \
        for i in $(seq 1000); do (head -c 4000000 /dev/zero > f$i); done; sleep 20";
    let place = Root::new();
    std::fs::create_dir(place.join("/var/tmp")).expect("made");
    let mut session = Session::with_ops(
        &place,
        vec![
            with_limits(root(script), limits),
            // A single living process of another user: its account is only its own to read.
            with_limits(
                dev(
                    "cd /tmp 2>/dev/null; while :; do head -c 1000000 /dev/zero; done | \
            split -b 3000000 - /tmp/part; sleep 20",
                ),
                limits,
            ),
            // One file that meets the limit on a file's size.
            with_limits(
                root("cd /home; head -c 100000000 /dev/zero > big; exit 0"),
                limits,
            ),
            root("rm -rf /tmp/* /home/big /var/tmp; echo on"),
        ],
    );
    // Neither the sandbox's own folder for temporary files nor its home is a tmpfs here.
    std::os::unix::fs::chown(place.join("/tmp"), Some(1001), Some(1001)).expect("owned");
    for _ in 0..3 {
        let began = Instant::now();
        let ran = session.op().expect("run");
        assert_eq!(ran.ending, Ending::Limit(Limit::Written), "{ran:?}");
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{:?}",
            began.elapsed()
        );
    }
    assert_eq!(session.ok(), "on\n");
    session.stop();
}

#[test]
fn a_fork_bomb_is_ended() {
    let place = Root::new();
    // The limit of processes stands for the one that an engine sets.
    let bomb = "ulimit -u 300; f() { f | f & }; f; sleep 30";
    let limits = Limits {
        seconds: 2,
        ..LIMITS
    };
    let mut session = Session::with_ops(
        &place,
        vec![
            with_limits(dev(bomb), limits),
            root(SURVIVORS),
            dev("echo alive"),
        ],
    );
    session.keep = false;
    let ran = session.op().expect("run");
    assert_eq!(ran.ending, Ending::Limit(Limit::Time), "{ran:?}");
    session.keep = true;
    assert_eq!(session.ok(), "");
    assert_eq!(session.ok(), "alive\n");
    session.stop();
}

#[test]
fn a_gigabyte_without_a_newline_passes_in_bounded_memory() {
    let place = Root::new();
    let limits = Limits {
        output_bytes: 2 << 30,
        ..LIMITS
    };
    let mut session = Session::with_ops(
        &place,
        vec![
            with_limits(
                root("head -c 1000000000 /dev/zero; printf '\\033]0;x\\007' >&2"),
                limits,
            ),
            root("head -c 300000 /dev/urandom | tee /tmp/random | cat"),
        ],
    );
    session.keep = false;
    let began = Instant::now();
    assert_eq!(session.op().expect("run").ending, Ending::Exited(0));
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(counts(&session), [1_000_000_000, 6]);
    let peak = session.peak_kib();
    assert!(peak < 32 << 10, "{peak} KiB");
    eprintln!(
        "1 GB of output: {:.0} MB/s, {peak} KiB at most",
        1000.0 / seconds
    );
    session.keep = true;
    session.op().expect("run");
    let random = std::fs::read(place.join("/tmp/random")).expect("kept");
    let is_stdout = |came: &&common::Came| {
        matches!(
            came.purpose,
            Some(Purpose::Output {
                channel: Channel::Stdout,
                ..
            })
        )
    };
    let came = session.streams.values().rfind(is_stdout).expect("stdout");
    assert!(
        came.bytes == random,
        "binary output arrives as it was printed"
    );
    session.stop();
}

#[test]
fn without_credit_the_executor_stops_reading() {
    let place = Root::new();
    let limits = Limits {
        seconds: 2,
        silent_seconds: 1,
        ..LIMITS
    };
    let mut session = Session::with_ops(&place, vec![with_limits(root("yes"), limits)]);
    session.credit = false;
    // Silence for want of credit is not the command's: time is what runs out.
    assert_eq!(
        session.op().expect("run").ending,
        Ending::Limit(Limit::Time)
    );
    assert_eq!(counts(&session), [256 << 10, 0]);
    session.stop();
}

#[test]
fn a_daemon_does_not_hold_its_op_and_lives_on() {
    let place = Root::new();
    let mut session = Session::with_ops(
        &place,
        vec![
            root("(setsid sh -c 'while sleep 0.1; do echo tick; done' &) ; echo started"),
            root("sleep 1; pgrep -f 'echo tick' | wc -l"),
            root("true"),
        ],
    );
    let began = Instant::now();
    let started = session.op().expect("run");
    assert_eq!(started.ending, Ending::Exited(0));
    assert!(started.stdout.starts_with("started\n"));
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    assert_ne!(session.ok().trim(), "0", "a closed pipe did not kill it");
    let orphan = session.op().expect("run");
    assert!(orphan.ms < 400, "{} ms", orphan.ms);
    session.stop();
}

/// Bytes that came on the last op's standard output and standard error.
fn counts(session: &Session) -> [u64; 2] {
    [Channel::Stdout, Channel::Stderr].map(|wanted| {
        session
            .streams
            .values()
            .rfind(|came| matches!(came.purpose, Some(Purpose::Output { channel, .. }) if channel == wanted))
            .expect("opened")
            .count
    })
}
