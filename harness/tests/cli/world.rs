//! Verbs that need an engine where there is none: exit 8, with what to do; recipes are judged first.

use crate::env::{BAD, TestEnv};

#[test]
fn no_engine_is_exit_8_with_advice() {
    let env = TestEnv::project();
    for (name, line) in [
        ("test", "test"),
        ("list", "images list"),
        ("build", "images build arch"),
        ("pull", "images pull arch"),
        ("verify", "images verify arch"),
        ("prune", "images prune arch"),
        ("shell", "shell debian-12:jq"),
        ("test-json", "test --format json"),
    ] {
        let said = env.run(line);
        assert_eq!((said.code, said.stdout.as_str()), (Some(8), ""), "{line}");
        insta::assert_snapshot!(format!("no-engine-{name}"), said.whole());
    }
    assert_eq!(env.files(".assay"), [] as [&str; 0], "no run was begun");
}

#[test]
fn a_recipe_that_is_invalid_comes_first() {
    let env = TestEnv::project().with("recipes/bad.toml", BAD);
    let said = env.run("test");
    assert_eq!(said.code, Some(3));
    assert!(!said.stderr.contains("engine"), "{}", said.stderr);
    insta::assert_snapshot!(said.whole());
}

#[test]
fn so_does_a_wrong_name() {
    let env = TestEnv::project();
    for line in [
        "test nothing-like-it",
        "test --on nowhere",
        "shell nowhere",
        "shell :",
        "images build nowhere",
        "images pull nowhere",
        "images pull debian-12",
        "images verify nowhere",
        "images prune Nowhere",
        "images prune arch --all",
    ] {
        assert_eq!(env.run(line).code, Some(2), "{line}");
    }
    insta::assert_snapshot!(env.run("shell :").whole());
}

#[test]
fn cells_are_listed_without_an_engine() {
    let env = TestEnv::project();
    insta::assert_snapshot!(env.run("test --list").whole());
    let document = env.run("test --list --format json --on arch").json();
    assert_eq!(document["cells"], serde_json::json!(["arch:jq"]));
}

#[test]
fn the_doctor_says_what_is_missing() {
    let env = TestEnv::project();
    let said = env.run("doctor");
    assert_eq!(said.code, Some(8));
    assert!(
        said.stdout
            .starts_with("fail  no engine answers at `unix:///nowhere/engine.sock`"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("\n      mend: "), "{}", said.stdout);
    let said = env.run("doctor --format json");
    assert_eq!(said.code, Some(8));
    assert_eq!(said.json()["findings"][0]["level"], "fail");
}

#[test]
fn the_doctor_says_what_the_network_is_configured_to_be() {
    let env = TestEnv::project();
    assert!(!env.run("doctor").stdout.contains("network: "));
    env.write(
        "assay.toml",
        "[network]\nallow = [\"10.0.0.0/8\", \"mirror.corp.example\"]\n[network.mirrors]\n\
         \"https://example.org/\" = [\"https://mirror.corp.example/e/\"]\n",
    );
    let told = "ok    network: reached beside public addresses: 10.0.0.0/8, mirror.corp.example; \
                mirrors of https://example.org/: https://mirror.corp.example/e/\n";
    let said = env.run("doctor");
    assert!(said.stdout.contains(told), "{}", said.stdout);
}

#[test]
fn an_engine_address_that_makes_no_sense() {
    let env = TestEnv::project();
    for host in ["", "nonsense", "unix://", "tcp://127.0.0.1:1", "\u{1b}[2J"] {
        let output = env
            .command(&["images", "list"])
            .env("DOCKER_HOST", host)
            .env("PATH", "")
            .output();
        let said = env.said(output.expect("assay starts"));
        said.assert_harmless();
        // An empty one means the usual place, where a machine may have an engine.
        if !host.is_empty() {
            assert_eq!(said.code, Some(8), "{host:?}: {}", said.stderr);
            assert!(said.stderr.contains("hint: "), "{host:?}: {}", said.stderr);
        }
    }
}

#[test]
fn there_is_no_home() {
    let env = TestEnv::project();
    let output = env
        .command(&["doctor"])
        .env_remove("HOME")
        .env_remove("XDG_CACHE_HOME")
        .output();
    insta::assert_snapshot!(env.said(output.expect("assay starts")).whole());
}
