//! `snapshot`: missing, different and orphaned fail; what is accepted is what insta reads.

use crate::env::{JQ, TestEnv};

fn on_two() -> TestEnv {
    TestEnv::project().with("assay.toml", "targets = [\"debian-12\", \"arch\"]\n")
}

#[test]
fn from_missing_to_accepted_to_different() {
    let env = on_two();
    insta::assert_snapshot!("missing", env.run("snapshot check").whole());
    assert_eq!(
        env.files("snapshots"),
        [
            "snapshots/plans/jq/arch.snap.new",
            "snapshots/plans/jq/debian-12.snap.new"
        ]
    );
    insta::assert_snapshot!("accepted", env.run("snapshot accept").whole());
    assert_eq!(
        env.files("snapshots"),
        [
            "snapshots/plans/jq/arch.snap",
            "snapshots/plans/jq/debian-12.snap"
        ]
    );
    insta::assert_snapshot!(
        "debian-12.snap",
        env.read("snapshots/plans/jq/debian-12.snap")
    );
    insta::assert_snapshot!("arch.snap", env.read("snapshots/plans/jq/arch.snap"));
    insta::assert_snapshot!("same", env.run("snapshot check").whole());
    assert_eq!(env.run("snapshot check -q").whole(), "exit 0\n");

    env.write(
        "recipes/jq.toml",
        JQ.replace("packages = [\"jq\"]", "packages = [\"jq\", \"tree\"]"),
    );
    insta::assert_snapshot!("different", env.run("snapshot check").whole());
    assert_eq!(
        env.files("snapshots"),
        [
            "snapshots/plans/jq/arch.snap",
            "snapshots/plans/jq/debian-12.snap",
            "snapshots/plans/jq/debian-12.snap.new"
        ]
    );
    env.write("recipes/jq.toml", JQ);
    assert_eq!(env.run("snapshot check").code, Some(0));
    assert_eq!(
        env.files("snapshots").len(),
        2,
        "what an earlier check left is gone"
    );
}

#[test]
fn reviewed_one_by_one() {
    let env = on_two();
    let said = env.answering("snapshot review", "what?\ns\naccept\n");
    assert_eq!(said.code, Some(5));
    insta::assert_snapshot!("review", said.whole());
    assert_eq!(env.files("snapshots"), ["snapshots/plans/jq/arch.snap"]);
    // Nobody answers, and nothing is taken.
    let said = env.answering("snapshot review", "");
    assert_eq!((said.code, env.files("snapshots").len()), (Some(5), 1));
    let said = env.answering("snapshot review", "a\n");
    assert_eq!((said.code, env.files("snapshots").len()), (Some(0), 2));
    assert_eq!(env.run("snapshot check").code, Some(0));
    assert_eq!(env.answering("snapshot review", "").code, Some(0));
}

#[test]
fn pruned_of_what_belongs_to_nothing_and_of_no_more() {
    let env = on_two();
    env.run("snapshot accept");
    env.write("snapshots/plans/jq/debian-11.snap", "x");
    env.write("snapshots/plans/gone/arch.snap", "x");
    env.write("snapshots/plans/jq/arch.snap", "changed");
    insta::assert_snapshot!("prune", env.run("snapshot prune").whole());
    assert_eq!(
        env.files("snapshots"),
        [
            "snapshots/plans/jq/arch.snap",
            "snapshots/plans/jq/debian-12.snap"
        ]
    );
    assert_eq!(env.read("snapshots/plans/jq/arch.snap"), "changed");
}

#[test]
fn insta_itself_reads_them() {
    let env = on_two();
    env.run("snapshot accept");
    let file = env.path("snapshots/plans/jq/debian-12.snap");
    let snapshot = insta::Snapshot::from_file(&file).expect("insta reads it");
    assert_eq!(snapshot.metadata().source(), Some("recipes/jq.toml"));
    env.write("recipes/jq.toml", JQ.replace("1.6", "1.7"));
    env.run("snapshot check");
    let pending =
        insta::Snapshot::from_file(&file.with_extension("snap.new")).expect("insta reads it");
    assert_eq!(
        pending.metadata().expression(),
        snapshot.metadata().expression()
    );
    assert!(pending.contents() != snapshot.contents());
}

#[test]
fn orphans_fail_and_are_removed() {
    let env = on_two();
    env.run("snapshot accept");
    env.write("snapshots/plans/gone/arch.snap", "---\n---\nx\n");
    env.write("snapshots/plans/gone/arch.snap.new", "---\n---\nx\n");
    env.write("snapshots/plans/jq/fedora-44.snap", "---\n---\nx\n");
    env.write("snapshots/plans/jq/fedora-44.snap.new", "---\n---\nx\n");
    env.write("snapshots/plans/stray.snap", "");
    insta::assert_snapshot!("orphaned", env.run("snapshot check").whole());
    // Recipes that were not asked for are left alone.
    let said = env.run("snapshot check jq --format json");
    assert_eq!(
        said.json()["orphaned"],
        serde_json::json!(["snapshots/plans/jq/fedora-44.snap"])
    );
    insta::assert_snapshot!("orphans-removed", env.run("snapshot accept").whole());
    assert_eq!(
        env.files("snapshots"),
        [
            "snapshots/plans/jq/arch.snap",
            "snapshots/plans/jq/debian-12.snap"
        ]
    );
    assert!(!env.path("snapshots/plans/gone").exists());
    assert_eq!(env.run("snapshot check").code, Some(0));
}

#[test]
fn ci_leaves_nothing() {
    let env = on_two();
    let check = |value: &str| {
        let output = env
            .command(&["snapshot", "check"])
            .env("CI", value)
            .output();
        env.said(output.expect("assay starts"))
    };
    assert_eq!(check("true").code, Some(5));
    assert_eq!(env.files("snapshots"), [] as [&str; 0]);
    assert_eq!(check("").code, Some(5));
    assert_eq!(env.files("snapshots").len(), 2);
}

#[test]
fn where_there_is_nothing_to_compare() {
    let env = TestEnv::empty().with("recipes/jq.toml", JQ);
    insta::assert_snapshot!("outside", env.run("snapshot check").whole());
    assert_eq!(env.run("snapshot accept").code, Some(2));
    insta::assert_snapshot!(
        "together",
        on_two().run("snapshot check --together").whole()
    );
}

#[test]
fn json_names_every_finding() {
    let env = on_two();
    env.run("snapshot accept --on debian-12");
    env.write(
        "snapshots/plans/jq/debian-12.snap",
        "---\nsource: x\n---\nother\n",
    );
    let said = env.run("snapshot check --format json");
    assert_eq!(said.code, Some(5));
    said.json();
    insta::assert_snapshot!("json", said.whole());
}

#[test]
fn a_snapshot_that_is_hostile_is_shown_harmless() {
    let env = on_two().with(
        "snapshots/plans/jq/debian-12.snap",
        "---\n---\n\u{1b}[2Jhi\u{202e}\n",
    );
    let said = env.run("snapshot check jq --on debian-12");
    assert_eq!(said.code, Some(5));
    said.assert_harmless();
}

#[test]
fn a_recipe_that_is_not_the_projects_has_none() {
    let env = on_two().with("drafts/tree.toml", JQ.replace("jq", "tree"));
    insta::assert_snapshot!(
        "not-the-projects",
        env.run("snapshot accept drafts/tree.toml").whole()
    );
    assert_eq!(env.files("snapshots"), [] as [&str; 0]);
}

#[test]
fn plans_are_compared_as_the_lock_makes_them() {
    let recipe = JQ.replace(
        "packages = [\"jq\"]",
        "packages = [{ name = \"jq\", version = \">=1.5\" }]",
    );
    assert_ne!(recipe, JQ);
    let env = on_two().with("recipes/jq.toml", recipe);
    assert_eq!(env.run("snapshot accept").code, Some(0));
    let lock = |version: &str| {
        let package =
            format!("{{ target = \"debian-12\", name = \"jq\", version = \"{version}\" }}");
        env.write(
            "assay.lock",
            format!("version = 1\npackages = [\n  {package},\n]\n"),
        );
    };
    lock("1.6-2.1");
    let said = env.run("snapshot check");
    assert_eq!(said.code, Some(5), "{}", said.stderr);
    insta::assert_snapshot!("locked", said.whole());
    assert_eq!(env.run("snapshot accept").code, Some(0));
    assert_eq!(env.run("snapshot check").code, Some(0));
    lock("1.7-1");
    assert_eq!(env.run("snapshot check").code, Some(5), "another version");
    std::fs::remove_file(env.path("assay.lock")).expect("removed");
    assert_eq!(env.run("snapshot check").code, Some(5), "any version");
}
