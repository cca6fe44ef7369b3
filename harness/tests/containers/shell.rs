//! A failed sandbox, kept, opened and removed. The terminal is `script`'s (bsdutils, which Debian
//! calls essential).

use std::io::Write as _;
use std::process::Stdio;

use crate::world::World;

/// Types lines at an `assay shell` on a terminal; what it showed.
fn typed(world: &World, arguments: &[&str], lines: &[&str]) -> String {
    let command = format!(
        "{} shell {}",
        env!("CARGO_BIN_EXE_assay"),
        arguments.join(" ")
    );
    let mut script = world.command("timeout");
    script.args([
        "60",
        "script",
        "--quiet",
        "--return",
        "--command",
        &command,
        "/dev/null",
    ]);
    let mut child = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script(1)");
    let mut stdin = child.stdin.take().expect("a pipe");
    for line in lines.iter().chain(&["exit"]) {
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .expect("typed");
    }
    // The pipe stays open: a terminal has no end of its own.
    let output = child.wait_with_output().expect("its end");
    drop(stdin);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    shown
}

#[test]
fn the_sandbox_of_a_failed_cell_is_kept_and_opened() {
    let Some(world) = World::start() else { return };
    world.check("broken", "10s", "echo evidence > /home/dev/left; exit 3");
    world.neighbour();
    let ran = world.test(&["broken", "neighbour"], &["--keep-failed"]);
    assert_eq!(ran.code, Some(1));
    let kept = world.containers();
    assert!(
        matches!(kept.as_slice(), [one] if one.starts_with("assay-kept.")),
        "only the failed one: {kept:?}"
    );

    // The next run spares it.
    assert_eq!(world.test(&["neighbour"], &[]).code, Some(0));
    assert_eq!(world.containers(), kept);

    let shown = typed(
        &world,
        &["debian-12:broken"],
        &["echo i-am-$(id -un)", "cat /home/dev/left", "tty"],
    );
    assert!(
        shown.contains("i-am-dev") && shown.contains("evidence") && shown.contains("/dev/"),
        "{shown}"
    );
    let shown = typed(
        &world,
        &["--root", "debian-12:broken"],
        &["echo i-am-$(id -un)", "echo more >> /home/dev/left"],
    );
    assert!(shown.contains("i-am-root"), "{shown}");
    let shown = typed(&world, &["debian-12:broken"], &["tail -n 1 /home/dev/left"]);
    assert!(shown.contains("more"), "it is still the same: {shown}");

    assert_eq!(world.containers().len(), 1);
    let swept = world
        .assay(&["doctor", "--sweep"])
        .output()
        .expect("assay doctor");
    assert!(
        String::from_utf8_lossy(&swept.stdout).contains("1 removed"),
        "{}",
        String::from_utf8_lossy(&swept.stdout)
    );
    world.assert_clean();
}

#[test]
fn a_shell_without_a_cell_is_a_fresh_sandbox_that_goes_away() {
    let Some(world) = World::start() else { return };
    let shown = typed(
        &world,
        &["debian-12"],
        &["echo i-am-$(id -un)", "cat /etc/os-release"],
    );
    assert!(
        shown.contains("i-am-dev") && shown.contains("bookworm"),
        "{shown}"
    );
    world.assert_clean();
}

#[test]
fn input_that_ends_ends_the_shell() {
    let Some(world) = World::start() else { return };
    let output = world
        .assay(&["shell", "debian-12"])
        .stdin(Stdio::null())
        .output()
        .expect("assay shell");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    world.assert_clean();
}
