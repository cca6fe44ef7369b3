//! `new`: a recipe that is one, with its snapshots, and nothing overwritten.

use crate::env::TestEnv;

#[test]
fn in_a_project_it_has_snapshots() {
    let env = TestEnv::project();
    assert_eq!(env.run("snapshot accept jq").code, Some(0));
    let said = env.run("new my-tool");
    insta::assert_snapshot!("in-a-project", said.whole());
    insta::assert_snapshot!("skeleton", env.read("recipes/my-tool.toml"));
    let check = env.run("check my-tool --format json").json();
    assert_eq!(check["recipes"][0]["diagnostics"], serde_json::json!([]));
    for line in ["check", "plan my-tool", "snapshot check"] {
        assert_eq!(env.run(line).code, Some(0), "{line}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let env = TestEnv::project();
    let before = env.read("recipes/jq.toml");
    insta::assert_snapshot!("there-already", env.run("new jq").whole());
    assert_eq!(env.read("recipes/jq.toml"), before);
}

#[test]
fn without_a_project_it_is_a_file_here() {
    let env = TestEnv::empty();
    let document = env.run("new jq --format json").json();
    assert_eq!(document["file"], "jq.toml");
    assert_eq!(document["snapshots"], false);
    assert_eq!(env.run("check jq.toml").code, Some(0));
    assert_eq!(env.run("plan jq.toml --on debian-12").code, Some(0));
    insta::assert_snapshot!("again-outside", env.run("new jq").whole());
}

#[test]
fn completions_name_the_verbs() {
    let env = TestEnv::empty();
    for shell in ["bash", "zsh", "fish"] {
        let said = env.run(&format!("completions {shell}"));
        assert_eq!(said.code, Some(0), "{shell}");
        assert!(said.stdout.contains("migrate"), "{shell}");
    }
}
