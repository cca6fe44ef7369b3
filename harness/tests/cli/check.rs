//! `check`: every fault at once, and files that are hardly recipes.

use std::process::Command;

use crate::env::{BAD, JQ, TestEnv};

#[test]
fn a_valid_project_passes() {
    let env = TestEnv::project();
    insta::assert_snapshot!(env.run("check").whole());
    assert_eq!(env.run("check -q").whole(), "exit 0\n");
}

#[test]
fn all_faults_of_all_recipes_at_once() {
    let env = TestEnv::project()
        .with("recipes/bad.toml", BAD)
        .with("recipes/worse.toml", "[metadata\n");
    insta::assert_snapshot!(env.run("check").whole());
}

#[test]
fn quiet_leaves_out_hints() {
    let env = TestEnv::project().with("recipes/bad.toml", BAD);
    insta::assert_snapshot!(env.run("check -q").whole());
}

#[test]
fn json_stands_alone_on_stdout() {
    let env = TestEnv::project().with("recipes/bad.toml", BAD);
    let said = env.run("check --format json");
    let document = said.json();
    assert_eq!(document["recipes"][0]["valid"], false);
    assert_eq!(document["recipes"][1]["valid"], true);
    insta::assert_snapshot!(said.whole());
}

#[test]
fn a_single_file_needs_no_project() {
    let env = TestEnv::empty().with("jq.toml", JQ);
    insta::assert_snapshot!(env.run("check jq.toml").whole());
}

#[test]
fn a_folder_and_the_same_file_again_are_read_once() {
    let env = TestEnv::empty()
        .with("a/jq.toml", JQ)
        .with("a/.hidden.toml", BAD)
        .with("a/notes.md", "");
    let said = env.run("check a a/jq.toml");
    assert_eq!(
        said.whole(),
        "exit 0\n--- stderr\nchecked 1 recipe: 0 errors, 0 warnings, 0 hints\n"
    );
}

#[test]
fn names_that_are_not_there() {
    let env = TestEnv::project();
    let mut all = String::new();
    for name in [
        "jp",
        "j",
        "nothing-like-it",
        "jq.toml",
        "recipes/jp.toml",
        "../jq",
    ] {
        let said = env.run_words(&["check", name]);
        assert_eq!(said.code, Some(2), "{name}");
        all += &format!("# {name}\n{}", said.stderr);
    }
    let said = env.run_words(&["check", ""]);
    all += &format!("# (empty)\n{}", said.stderr);
    insta::assert_snapshot!(all);
}

#[test]
fn folders_without_recipes() {
    let env = TestEnv::empty();
    insta::assert_snapshot!("no-folder", env.run("check").whole());
    let env = env.with("recipes/readme.md", "");
    insta::assert_snapshot!("no-recipe", env.run("check").whole());
}

#[test]
fn files_that_are_hardly_recipes() {
    let env = TestEnv::empty();
    env.write("empty.toml", "");
    env.write("latin.toml", b"[metadata]\nname = \"caf\xe9\"\n");
    env.write("deep.toml", format!("a = {}", "[".repeat(500_000)));
    env.write("dotted.toml", format!("{}a = 1", "a.".repeat(200_000)));
    env.write("big.toml", vec![b'#'; 100 << 20]);
    env.write("nul.toml", vec![0; 1000]);
    for name in ["empty", "latin", "deep", "dotted", "big", "nul"] {
        let said = env.run(&format!("check {name}.toml"));
        said.assert_harmless();
        assert!(
            said.stderr.len() < 4000,
            "{name}: {} bytes",
            said.stderr.len()
        );
        insta::assert_snapshot!(format!("hardly-{name}"), said.whole());
    }
}

#[test]
fn what_is_no_file_does_not_hide_the_other_recipes() {
    let env = TestEnv::project().with("recipes/bad.toml", BAD);
    std::fs::create_dir(env.path("recipes/folder.toml")).expect("a folder");
    let made = Command::new("mkfifo")
        .arg(env.path("recipes/pipe.toml"))
        .status()
        .expect("mkfifo");
    assert!(made.success());
    std::os::unix::fs::symlink("nowhere", env.path("recipes/dangling.toml")).expect("a link");
    insta::assert_snapshot!("no-files", env.run("check -q").whole());
    let document = env.run("check --format json").json();
    let unreadable = document["recipes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["unreadable"].is_string());
    assert_eq!(unreadable.count(), 3);
    let said = env.run("plan");
    assert_eq!(said.code, Some(3));
    assert_eq!(said.stdout, "");
}

/// A recipe in which naming one distribution takes a step away.
const NEAR: &str = "[metadata]\nname = \"near\"\n\n[[steps]]\naction = \"apt_install\"\n\
                    packages = [\"jq\"]\nwhen = { distro = \"debian\" }\n\n[[steps]]\n\
                    action = \"group_add\"\ngroup = \"adm\"\nwhen = { distro = \"ubuntu\" }\n";

#[test]
fn what_only_shows_with_targets_in_view_has_a_place_too() {
    let env = TestEnv::project().with("recipes/near.toml", NEAR);
    insta::assert_snapshot!("set", env.run("check").whole());
    let document = env.run("check --format json").json();
    assert_eq!(document["set"][0]["code"], "distro-takes-away");
    assert_eq!(
        document["set"][0]["labels"][0]["location"]["file"],
        "recipes/near.toml"
    );
}

#[test]
fn what_only_shows_with_targets_in_view_has_a_level_too() {
    let env = TestEnv::project().with("recipes/near.toml", NEAR);
    let level = |level: &str| {
        let text = format!("[lints]\ndistro-takes-away = \"{level}\"\n");
        env.write("assay.toml", text);
    };
    level("allow");
    let said = env.run("check");
    assert!(!said.stderr.contains("takes away"), "{}", said.stderr);
    level("hint");
    let said = env.run("check");
    assert_eq!(said.code, Some(0));
    assert!(
        said.stderr.contains("hint[distro-takes-away]"),
        "{}",
        said.stderr
    );
    level("deny");
    insta::assert_snapshot!("set-denied", env.run("check -q").whole());
    // What a project denies is not planned, where it shows.
    insta::assert_snapshot!(
        "set-denied-plan",
        env.run("plan near --on ubuntu-*").whole()
    );
    assert_eq!(env.run("plan near --on debian-12").code, Some(0));
}
