//! Files of a project that are wrong: exit 2, with the file and the line.

use crate::env::TestEnv;

fn check(env: &TestEnv) -> String {
    env.run("check -q").whole()
}

#[test]
fn the_mark_itself() {
    let env = TestEnv::project().with(
        "assay.toml",
        "targets = [\"debian-12\"]\nbogus = 1\n[paths]\nrecipes = \"/etc\"\n",
    );
    insta::assert_snapshot!("mark-faults", check(&env));
    let env = env.with("assay.toml", "targets = [\"debian-12\", \"debian-11\"]\n");
    insta::assert_snapshot!("mark-unknown-target", check(&env));
    let env = env.with("assay.toml", b"\xff");
    insta::assert_snapshot!("mark-not-utf8", check(&env));
}

#[test]
fn the_mark_is_found_upward_and_says_where_things_are() {
    let env = TestEnv::empty()
        .with(
            "assay.toml",
            "targets = [\"debian-12\"]\n[paths]\nrecipes = \"cookbook\"\n",
        )
        .with("cookbook/jq.toml", crate::env::JQ)
        .with("deep/er/.keep", "");
    let output = env
        .command(&["plan", "--format", "json"])
        .current_dir(env.path("deep/er"))
        .output();
    let document = env.said(output.expect("assay starts")).json();
    assert_eq!(document["plans"].as_array().map(Vec::len), Some(1));
    assert_eq!(document["plans"][0]["cell"], "debian-12:jq");
}

#[test]
fn expectations_that_are_wrong() {
    let env = TestEnv::project().with(
        "expected.toml",
        "[[expected]]\nrecipe = \"jq\"\ntargets = [\"arch\"]\noutcome = \"fail\"\n",
    );
    insta::assert_snapshot!("expected-faults", check(&env));
}

#[test]
fn expectations_that_speak_of_nothing() {
    let row = |recipe: &str, target: &str| {
        format!(
            "[[expected]]\nrecipe = \"{recipe}\"\ntargets = [\"{target}\"]\noutcome = \"unsupported\"\n\n"
        )
    };
    let text =
        row("jq", "arch") + &row("gone", "arch") + &row("jq", "debian-11") + &row("jq", "suse-*");
    // Another architecture of a target is one, too.
    let text = text + &row("jq", "debian-12-arm64") + &row("jq", "*-arm64");
    let env = TestEnv::project().with("expected.toml", text);
    insta::assert_snapshot!("unmatched", env.run("check").whole());
    // Which recipes there are is not known when only some are looked at.
    let said = env.run("check jq");
    assert!(!said.stderr.contains("`gone`"), "{}", said.stderr);
    let document = env.run("check --format json").json();
    assert_eq!(document["expected"].as_array().map(Vec::len), Some(3));
    assert_eq!(document["expected"][0]["code"], "unmatched-expectation");
    assert_eq!(document["expected"][0]["labels"][0]["location"]["line"], 7);
}

#[test]
fn every_code_that_is_no_error_has_a_level() {
    let row = "[[expected]]\nrecipe = \"gone\"\ntargets = [\"arch\"]\noutcome = \"failed\"\n";
    let env = TestEnv::project().with("expected.toml", row);
    env.write("assay.toml", "[lints]\nunmatched-expectation = \"allow\"\n");
    assert!(!env.run("check").stderr.contains("gone"));
    env.write("assay.toml", "[lints]\nunmatched-expectation = \"deny\"\n");
    insta::assert_snapshot!("unmatched-denied", check(&env));
    env.write(
        "assay.toml",
        "[lints]\ndistro-takes-avay = \"allow\"\ndependency-cycle = \"warn\"\nxyz = \"allow\"\n",
    );
    insta::assert_snapshot!("lints-unknown", check(&env));
}

#[test]
fn an_expectation_of_an_invalid_recipe_is_no_stray() {
    let env = TestEnv::project()
        .with("recipes/bad.toml", crate::env::BAD)
        .with(
            "expected.toml",
            "[[expected]]\nrecipe = \"bad\"\ntargets = [\"arch\"]\noutcome = \"failed\"\n",
        );
    assert!(!env.run("check").stderr.contains("unmatched-expectation"));
}

#[test]
fn an_image_definition_with_a_wrong_digest() {
    let good = include_str!("../../../base-images/fedora-44.toml");
    assert!(
        good.contains("reference = \""),
        "the definition names an image"
    );
    let wrong: String = good
        .lines()
        .map(|line| if line.starts_with("reference = ") { "reference = \"example.test/fedora@sha256:12\"".to_owned() } else { line.to_owned() } + "\n")
        .collect();
    let env = TestEnv::project().with("base-images/fedora-44.toml", wrong);
    insta::assert_snapshot!("definition-digest", check(&env));
    assert_eq!(env.run("images list").code, Some(2));
}

#[test]
fn an_os_release_with_nonsense() {
    let good = include_str!("../../../base-images/debian-12.toml");
    let wrong = good.replace("VERSION_ID=\"12\"", "VERSION_ID=$(reboot)");
    assert_ne!(good, wrong);
    let env = TestEnv::project().with("base-images/debian-12.toml", wrong);
    insta::assert_snapshot!("definition-os-release", check(&env));
    let env = TestEnv::project()
        .with("base-images/debian-12.toml", "id = \n")
        .with("base-images/also.toml", "bogus = 1\n");
    insta::assert_snapshot!("definition-faults", check(&env));
}

#[test]
fn a_definition_of_the_project_adds_a_target() {
    let text = include_str!("../../../base-images/debian-12.toml")
        .replace("id = \"debian-12\"", "id = \"mine\"");
    let env = TestEnv::project().with("base-images/mine.toml", text);
    let said = env.run("plan --on mine");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.starts_with("# mine:jq  plan "));
}
