//! Signals, killed processes, parallel runs, time: nothing is lost, nothing is left behind.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::world::{Running, World};

/// A recipe whose check runs long, and one that waits for its turn.
fn long(world: &World) -> Running {
    world.check("long", "100s", "echo begun; exec sleep 90");
    world.check("waiting", "100s", "exec sleep 90");
    let running = world.begin(&["long", "waiting"], &["--jobs", "1"]);
    world.wait_for_journal("op_started");
    running
}

fn is_ended_in_order_by(signal: Signal) {
    let Some(world) = World::start() else { return };
    let running = long(&world);
    let began = Instant::now();
    running.signal(signal);
    let ran = running.end();
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
    assert_eq!(
        (ran.outcome("long"), ran.outcome("waiting")),
        ("cancelled".into(), "cancelled".into())
    );
    world.assert_clean();
    // The journal alone tells the same.
    let report = world
        .assay(&["report", "--format", "json"])
        .output()
        .expect("assay report");
    assert_eq!(report.status.code(), Some(130));
    assert_eq!(String::from_utf8(report.stdout).expect("UTF-8"), ran.stdout);
}

#[test]
fn ctrl_c_cancels_within_seconds() {
    is_ended_in_order_by(Signal::INT);
}

#[test]
fn sigterm_cancels_within_seconds() {
    is_ended_in_order_by(Signal::TERM);
}

#[test]
fn what_a_killed_run_leaves_is_reported_and_removed_by_the_next() {
    let Some(world) = World::start() else { return };
    let running = long(&world);
    running.signal(Signal::KILL);
    let ran = running.end();
    assert_eq!(ran.code, None);
    assert_eq!(world.containers().len(), 1);
    let report = world.assay(&["report"]).output().expect("assay report");
    assert_eq!(report.status.code(), Some(130), "what is known is shown");
    assert!(
        String::from_utf8_lossy(&report.stdout).contains("cancelled"),
        "{}",
        String::from_utf8_lossy(&report.stdout)
    );

    world.neighbour();
    let next = world.test(&["neighbour"], &[]);
    assert_eq!(next.outcome("neighbour"), "passed");
    assert!(
        next.stderr
            .contains("removed what dead runs left behind: assay-"),
        "{}",
        next.stderr
    );
    world.assert_clean();
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_run_sweeps() {
    let Some(world) = World::start() else { return };
    let running = long(&world);
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    let doctor = world.assay(&["doctor"]).output().expect("assay doctor");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("sandboxes of dead runs"));
    world.assert_clean();
}

#[test]
fn runs_of_one_owner_survive_each_other() {
    let Some(world) = World::start() else { return };
    world.check("slow", "60s", "sleep 4; echo done");
    world.neighbour();
    let slow = world.begin(&["slow"], &[]);
    world.wait_for_journal("op_started");
    // Each of these sweeps when it starts and when it ends.
    let first = world.begin(&["neighbour"], &[]);
    let second = world.begin(&["neighbour"], &[]);
    for ran in [first.end(), second.end()] {
        assert_eq!(
            ran.outcome("neighbour"),
            "passed",
            "{}",
            ran.detail("neighbour")
        );
        assert!(!ran.stderr.contains("removed what"), "{}", ran.stderr);
    }
    let ran = slow.end();
    assert_eq!(ran.outcome("slow"), "passed", "{}", ran.detail("slow"));
    assert_eq!(
        ran.cell("slow")["facts"]["attempts"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    world.assert_clean();
}

#[test]
fn a_cell_ends_with_its_time() {
    let Some(world) = World::start() else { return };
    world.check("long", "100s", "exec sleep 90");
    let ran = world.test(&["long"], &["--timeout", "5s"]);
    assert_eq!(
        (ran.outcome("long").as_str(), ran.code),
        ("failed verify time_limit", Some(1)),
        "{}",
        ran.detail("long")
    );
    let detail = ran.detail("long");
    assert!(detail.contains("time of the whole cell"), "{detail}");
    assert!(ran.time < Duration::from_secs(30), "{:?}", ran.time);
    world.assert_clean();
}

#[test]
fn a_list_starts_nothing() {
    let Some(world) = World::start() else { return };
    world.check("one", "1s", "true");
    world.neighbour();
    let ran = world.test(&["one", "neighbour"], &["--list"]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(
        ran.record()["cells"],
        serde_json::json!(["debian-12:one", "debian-12:neighbour"])
    );
    assert!(!world.project().join(".assay").exists());
    world.assert_clean();
}
