//! Streams that end early, are full or are closed, and colours.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::env::{BAD, TestEnv};

#[test]
fn a_reader_that_goes_is_no_error() {
    let env = TestEnv::project();
    for words in [
        &["explain", "-v"][..],
        &["plan", "--explain"],
        &["explain", "--format=json"],
        &["test", "--list", "-q"],
    ] {
        let mut child = env
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("assay starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        let output = child.wait_with_output().expect("assay ends");
        assert!(!line.is_empty());
        assert_eq!(
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stderr).as_ref()
            ),
            (Some(0), ""),
            "{words:?}"
        );
    }
}

#[test]
fn a_pipe_nobody_reads_is_no_error() {
    let env = TestEnv::project();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = env
        .command(&["explain"])
        .stdout(writer)
        .output()
        .expect("assay starts");
    assert_eq!(env.said(output).whole(), "exit 0\n");
}

#[test]
fn a_full_disk_is_said() {
    let env = TestEnv::project();
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let output = env
        .command(&["plan", "--format", "json"])
        .stdout(full)
        .output()
        .expect("assay starts");
    insta::assert_snapshot!(env.said(output).whole());
}

#[test]
fn closed_streams_change_no_exit_code() {
    let env = TestEnv::project().with("recipes/bad.toml", BAD);
    let assay = env.command(&[] as &[&str]);
    let program = assay.get_program().to_owned();
    for (line, code) in [
        ("explain >&-", 0),
        ("explain >&- 2>&-", 0),
        ("check 2>&-", 3),
        ("check >&- 2>&- <&-", 3),
        ("nonsense 2>&-", 2),
    ] {
        let status = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("\"$0\" {line}"))
            .arg(&program)
            .env_clear()
            .env("HOME", env.path(""))
            .current_dir(env.path(""))
            .stdout(Stdio::null())
            .status();
        assert_eq!(status.expect("a shell").code(), Some(code), "{line}");
    }
}

#[test]
fn colours_as_asked_for() {
    let env = TestEnv::project().with("recipes/bad.toml", BAD);
    let coloured = |words: &[&str], variable: Option<(&str, &str)>| {
        let output = env
            .command(words)
            .envs(variable)
            .output()
            .expect("assay starts");
        let said = env.said(output);
        said.stderr.contains('\u{1b}') || said.stdout.contains('\u{1b}')
    };
    assert!(!coloured(&["check"], None));
    assert!(!coloured(
        &["check", "--color", "never"],
        Some(("CLICOLOR_FORCE", "1"))
    ));
    assert!(coloured(&["check", "--color", "always"], None));
    assert!(coloured(
        &["check", "--color", "always"],
        Some(("NO_COLOR", "1"))
    ));
    assert!(!coloured(
        &["check", "--color", "auto"],
        Some(("NO_COLOR", "1"))
    ));
    assert!(coloured(&["explain", "nope", "--color", "always"], None));
    let said = env.run("check bad --color always");
    insta::assert_snapshot!(said.whole().replace('\u{1b}', "␛"));
}

#[test]
fn json_is_never_coloured() {
    let env = TestEnv::project();
    let said = env.run("plan --format json --color always");
    said.json();
    said.assert_harmless();
}
