//! Recipes whose commands, run as `dev`, do what they can: each ends with a clear outcome in
//! bounded memory, the check after it is still asked, and a cell beside it passes.

use std::time::Duration;

use serde_json::Value;

use crate::world::{Ran, World};

/// Memory `assay` may take whatever is printed at it, KiB.
const MEMORY_KIB: u64 = 200 << 10;

/// Runs a hostile recipe beside one that passes, and looks at everything but the outcome.
fn beside_a_neighbour(world: &World, recipe: &str) -> Ran {
    world.neighbour();
    let ran = world.test(&[recipe, "neighbour"], &["--jobs", "2"]);
    assert_eq!(
        ran.outcome("neighbour"),
        "passed",
        "{}",
        ran.detail("neighbour")
    );
    assert!(ran.peak_kib < MEMORY_KIB, "{} KiB", ran.peak_kib);
    assert_eq!(
        ran.ending(recipe, 2),
        r#"{"exited":0}"#,
        "the check after it is asked: {}",
        ran.detail(recipe)
    );
    assert_eq!(ran.cell(recipe)["gaps"], Value::Array(Vec::new()));
    world.assert_clean();
    ran
}

/// The reason where a check went for the supervisor.
const UNDECLARED: &str = "undeclared_operation";

/// A hostile check with this reason, within this time.
fn fails(script: &str, timeout: &str, reason: &str, within: Duration) {
    if let Some(world) = World::start() {
        fails_in(&world, script, timeout, reason, within);
    }
}

fn fails_in(world: &World, script: &str, timeout: &str, reason: &str, within: Duration) {
    world.check("hostile", timeout, script);
    let ran = beside_a_neighbour(world, "hostile");
    assert_eq!(
        ran.outcome("hostile"),
        format!("failed verify {reason}"),
        "{}",
        ran.detail("hostile")
    );
    let code = if reason == UNDECLARED { 7 } else { 1 };
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    assert!(ran.time < within, "{:?}", ran.time);
}

#[test]
fn one_that_forks_without_end() {
    let Some(world) = World::start() else { return };
    world.alone();
    fails_in(
        &world,
        "exec perl -e \"while (1) { fork }\"",
        "2s",
        "time_limit",
        Duration::from_secs(150),
    );
}

#[test]
fn one_that_prints_without_end() {
    fails("exec yes", "60s", "output_limit", Duration::from_secs(30));
}

#[test]
fn one_that_prints_a_gigabyte_without_a_newline() {
    let script = "exec head -c 1000000000 /dev/zero";
    fails(script, "60s", "output_limit", Duration::from_secs(30));
}

#[test]
fn one_that_never_ends() {
    let script = "trap \"\" TERM INT HUP; while :; do echo x; sleep 0.2; done";
    fails(script, "2s", "time_limit", Duration::from_secs(30));
}

#[test]
fn one_that_is_silent_and_leaves_daemons() {
    let script = "setsid sleep 1000 & setsid sh -c \"sleep 1001 & sleep 1002\" & exec sleep 1003";
    fails(script, "2s", "time_limit", Duration::from_secs(30));
}

#[test]
fn one_that_fills_the_disk_with_one_file() {
    fails(
        "exec yes > /var/tmp/big",
        "60s",
        "write_limit",
        Duration::from_secs(30),
    );
}

#[test]
fn one_that_fills_the_disk_with_many_files() {
    let script = "i=0; while :; do i=$((i+1)); head -c 2000000 /dev/zero > /var/tmp/f$i; done";
    fails(script, "60s", "write_limit", Duration::from_secs(30));
}

#[test]
fn one_that_fills_a_tmpfs() {
    // Shared memory is small and counts as the sandbox's own: the command is told that it is full.
    fails(
        "exec head -c 1000000000 /dev/zero > /dev/shm/big",
        "60s",
        "check_failed",
        Duration::from_secs(60),
    );
}

#[test]
fn one_that_takes_all_memory() {
    let script = "exec perl -e \"my @a; push @a, 1 x 50_000_000 while 1\"";
    fails(script, "60s", "check_failed", Duration::from_secs(90));
}

#[test]
fn one_that_kills_everything_it_may() {
    fails(
        "kill -9 1; kill -9 -1",
        "10s",
        UNDECLARED,
        Duration::from_secs(30),
    );
}

#[test]
fn one_that_writes_to_the_executors_stream() {
    let script = "for fd in 0 1 2 3 101; do echo forged > /proc/1/fd/$fd; done; exit 3";
    fails(script, "10s", UNDECLARED, Duration::from_secs(30));
}

#[test]
fn one_that_prints_bytes_a_terminal_would_obey() {
    let Some(world) = World::start() else { return };
    // Escapes, a bell, a carriage return, NUL and bytes that are no UTF-8, and no newline.
    world.check(
        "hostile",
        "10s",
        r#"exec perl -e "print qq(\e[2J\e]0;x\a\r\0\xff\xfe) x 1000; exit 1""#,
    );
    let ran = beside_a_neighbour(&world, "hostile");
    assert_eq!(ran.outcome("hostile"), "failed verify check_failed");
    let obeyed = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    assert!(!obeyed(&ran.stdout) && !obeyed(&ran.stderr));
    let report = world.assay(&["report"]).output().expect("assay report");
    let text = String::from_utf8(report.stdout).expect("UTF-8");
    assert!(!obeyed(&text), "{text:?}");
    assert!(text.contains("hostile"), "{text}");
    assert_eq!(report.status.code(), Some(1));
}
