//! `plan`: on several targets, for people and programs, the same bytes every time.

use crate::env::{JQ, TestEnv};

#[test]
fn the_commands_on_some_targets() {
    let env = TestEnv::project();
    insta::assert_snapshot!(
        "human",
        env.run("plan jq --on debian-*,fedora-44,arch").whole()
    );
    insta::assert_snapshot!(
        "explain",
        env.run("plan jq --on arch,ubuntu-24.04 --explain").whole()
    );
    insta::assert_snapshot!("verbose", env.run("plan jq --on debian-12 -v").whole());
    insta::assert_snapshot!(
        "json",
        env.run("plan jq --on debian-12,arch --format json").whole()
    );
}

#[test]
fn a_target_is_planned_once_however_often_it_is_named() {
    let env = TestEnv::project();
    let document = env
        .run("plan --on debian-12,debian-*,debian-12 --format json")
        .json();
    let cells: Vec<&str> = document["plans"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["cell"].as_str().expect("a cell"))
        .collect();
    assert_eq!(cells, ["debian-12:jq", "debian-13:jq"]);
    let all = env.run("plan --on all --format json").json();
    assert_eq!(all["plans"].as_array().map(Vec::len), Some(10));
}

#[test]
fn targets_that_are_not_there() {
    let env = TestEnv::project();
    let mut all = String::new();
    for pattern in [
        "debian-11",
        "debian",
        "zz-*",
        "Debian",
        "x y",
        "",
        "debian-12,,arch",
    ] {
        let said = env.run_words(&["plan", "--on", pattern]);
        assert_eq!(
            (said.code, said.stdout.as_str()),
            (Some(2), ""),
            "{pattern}"
        );
        all += &format!("# {pattern}\n{}", said.stderr);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_set_that_cannot_be_planned_says_where() {
    let env = TestEnv::project()
        .with(
            "recipes/a.toml",
            "[metadata]\nname = \"a\"\ndepends_on = [\"b\"]\n",
        )
        .with(
            "recipes/b.toml",
            "[metadata]\nname = \"b\"\ndepends_on = [\"a\"]\n",
        )
        .with(
            "recipes/c.toml",
            "[metadata]\nname = \"c\"\ndepends_on = [\"nowhere\"]\n",
        );
    insta::assert_snapshot!("cycle", env.run("plan a").whole());
    insta::assert_snapshot!("unknown", env.run("plan c").whole());
    assert_eq!(env.run("snapshot check c").code, Some(3));
    assert_eq!(env.run("test c").code, Some(3));
}

#[test]
fn together_is_one_plan() {
    let tree = JQ.replace("jq", "tree");
    let env = TestEnv::project().with("recipes/tree.toml", tree);
    insta::assert_snapshot!(
        "together",
        env.run("plan jq tree --together --on debian-12").whole()
    );
    let env = env
        .with("recipes/old.toml", ranged("old", "< 1.5"))
        .with("recipes/new.toml", ranged("new", ">= 1.6"));
    assert_eq!(env.run("plan old new --on debian-12").code, Some(0));
    insta::assert_snapshot!(
        "contradicting",
        env.run("plan old new --together --on debian-12").whole()
    );
}

fn ranged(name: &str, range: &str) -> String {
    format!(
        "[metadata]\nname = \"{name}\"\n\n[[steps]]\naction = \"apt_install\"\npackages = [{{ name = \"jq\", version = \"{range}\" }}]\n\
         when = {{ linux_family = \"debian\" }}\n"
    )
}

#[test]
fn a_dependency_is_read_from_the_project() {
    let env = TestEnv::project().with(
        "recipes/top.toml",
        "[metadata]\nname = \"top\"\ndepends_on = [\"jq\"]\n",
    );
    let said = env.run("plan top --on debian-12");
    assert!(said.stdout.contains("jq#1"), "{}", said.stdout);
    assert!(
        said.stdout.starts_with("# debian-12:top  plan "),
        "{}",
        said.stdout
    );
}

#[test]
fn the_same_bytes_every_time() {
    let env = TestEnv::project()
        .with("recipes/tree.toml", JQ.replace("jq", "tree"))
        .with(
            "recipes/ca-certificates.toml",
            include_str!("../../plan/fixtures/recipes/ca-certificates.toml"),
        )
        .with(
            "recipes/docker.toml",
            include_str!("../../plan/fixtures/recipes/docker.toml"),
        )
        .with(
            "recipes/tools.toml",
            include_str!("../../plan/fixtures/recipes/tools.toml"),
        );
    for line in [
        "plan --format json",
        "plan --explain -v",
        "plan --together --format json",
        "check --format json",
    ] {
        let first = env.run(line);
        assert_eq!(first.code, Some(0), "{line}: {}", first.stderr);
        for _ in 0..2 {
            assert_eq!(env.run(line).whole(), first.whole(), "{line}");
        }
        // The order of the arguments of an environment, the time zone and the language are nothing.
        let again = env
            .command(&line.split(' ').collect::<Vec<_>>())
            .env("LANG", "tr_TR.UTF-8")
            .env("TZ", "Asia/Tokyo")
            .output();
        assert_eq!(
            env.said(again.expect("assay starts")).whole(),
            first.whole(),
            "{line}"
        );
    }
}
