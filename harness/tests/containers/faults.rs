//! Full disks and engines that are away, empty or dying: exit code 8, the cause, and what to do.

use std::time::{Duration, Instant};

use crate::engine::{PrivateEngine, Tmpfs};
use crate::world::{Running, TARGET, World};

#[test]
fn a_disk_that_fills_while_the_journal_is_written_ends_the_run_and_its_sandboxes() {
    let Some(world) = World::start() else { return };
    // One runs long without a word; the other prints until the journal's disk is full: what it
    // printed is recorded at its end.
    world.check("long", "100s", "exec sleep 90");
    world.check(
        "talker",
        "60s",
        "head -c 200000 /dev/zero | tr \"\\\\0\" x; sleep 1",
    );
    let runs = world.project().join(".assay");
    std::fs::create_dir(&runs).expect("a folder");
    let small = Tmpfs::over(runs.clone(), "64k");
    let began = Instant::now();
    let ran = world.test(&["long", "talker"], &["--jobs", "2"]);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ran.code, Some(8), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("write the journal") && ran.stderr.contains("No space left"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    world.assert_clean();
    // Half a line is cut: what was known before is readable.
    let report = world
        .assay(&["report", "--format", "json"])
        .output()
        .expect("assay report");
    assert_eq!(
        report.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&report.stderr)
    );
    drop(small);
}

#[test]
fn a_disk_that_is_full_from_the_start_starts_nothing() {
    let Some(world) = World::start() else { return };
    world.neighbour();
    let runs = world.project().join(".assay");
    std::fs::create_dir(&runs).expect("a folder");
    let small = Tmpfs::over(runs.clone(), "4k");
    let ran = world.test(&["neighbour"], &[]);
    assert_eq!(ran.code, Some(8), "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    world.assert_clean();
    drop(small);
}

#[test]
fn an_engine_that_does_not_answer_is_named_with_what_mends_it() {
    let Some(world) = World::start() else { return };
    world.neighbour();
    for host in ["unix:///nobody/listens/here.sock", "ssh://elsewhere"] {
        let mut command = world.assay(&["test", "neighbour.toml", "--on", TARGET]);
        command.env("DOCKER_HOST", host);
        let ran = Running::start(command).end();
        assert_eq!(ran.code, Some(8), "{}", ran.stderr);
        assert!(
            ran.stderr.contains(host) && ran.stderr.contains("hint: "),
            "{}",
            ran.stderr
        );
        assert!(ran.time < Duration::from_secs(15), "{:?}", ran.time);
    }
}

#[test]
fn engines_without_images_or_without_life() {
    if World::start().is_none() {
        return;
    }
    let private = PrivateEngine::start();
    let world = World::at(private.engine.clone());

    // No image: the cell is not run, and the command that makes one is named.
    world.check("long", "100s", "exec sleep 90");
    let ran = world.test(&["long"], &[]);
    assert_eq!(
        (ran.outcome("long").as_str(), ran.code),
        ("infra image_missing", Some(8)),
        "{}",
        ran.stderr
    );
    assert!(
        ran.detail("long").contains("assay images build debian-12"),
        "{}",
        ran.detail("long")
    );

    // The engine dies in the middle of an op.
    let everyone = crate::engine::Engine::of_environment();
    everyone.copy_image(&everyone.image_of(TARGET), &private.engine);
    let running = world.begin(&["long"], &[]);
    world.wait_for_journal("op_started");
    private.kill();
    let killed = Instant::now();
    let ran = running.end();
    assert!(
        killed.elapsed() < Duration::from_secs(60),
        "{:?}",
        killed.elapsed()
    );
    assert_eq!(ran.code, Some(8), "{}", ran.stderr);
    let cell = ran.cell("long");
    let attempts = cell["facts"]["attempts"].as_array().expect("attempts");
    assert_eq!(
        attempts[0]["failure"]["cause"], "engine_died",
        "{attempts:?}"
    );
    assert_eq!(attempts[0]["failure"]["retried"], true, "{attempts:?}");
    assert!(attempts[0]["failure"]["hint"].is_string(), "{attempts:?}");
    assert!(
        attempts.len() > 1 && ran.outcome("long").starts_with("infra engine_"),
        "{attempts:?}"
    );
}
