//! `--on`: what its words mean, for every verb that takes them, and machines by their os-release.

use std::fs;
use std::path::PathBuf;

use crate::env::{Said, TestEnv};

const ALL: [&str; 10] = [
    "alpine-3.22",
    "arch",
    "darwin",
    "debian-12",
    "debian-13",
    "fedora-44",
    "opensuse-leap-16.0",
    "rocky-9",
    "ubuntu-24.04",
    "ubuntu-26.04",
];

/// The targets that were planned for.
fn planned(said: &Said) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("a document");
    let plans = document["plans"].as_array().expect("a list");
    plans
        .iter()
        .map(|one| {
            let cell = one["cell"].as_str().expect("a cell");
            cell.split(':').next().expect("a target").to_owned()
        })
        .collect()
}

fn on(env: &TestEnv, words: &str) -> Vec<String> {
    let said = env.run_words(&["plan", "jq", "--format", "json", "--on", words]);
    assert_eq!(said.code, Some(0), "{words}: {}", said.stderr);
    planned(&said)
}

#[test]
fn ids_patterns_and_architectures() {
    let env = TestEnv::project();
    let arm = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("{name}-arm64")).collect()
    };
    assert_eq!(on(&env, "all"), ALL);
    assert_eq!(on(&env, "arm64"), arm(&ALL));
    assert_eq!(on(&env, "all,arm64"), arm(&ALL));
    assert_eq!(on(&env, "*-arm64"), arm(&ALL));
    assert_eq!(on(&env, "amd64"), ALL);
    assert_eq!(on(&env, "debian-12-arm64"), ["debian-12-arm64"]);
    assert_eq!(
        on(&env, "debian-*,arm64"),
        ["debian-12-arm64", "debian-13-arm64"]
    );
    assert_eq!(
        on(&env, "arm64,debian-*,amd64"),
        [
            "debian-12-arm64",
            "debian-12",
            "debian-13-arm64",
            "debian-13"
        ]
    );
    // What names its own architecture keeps it.
    assert_eq!(
        on(&env, "debian-12-arm64,arch,amd64"),
        ["debian-12-arm64", "arch"]
    );
    assert_eq!(
        on(&env, "debian-12-arm64,debian-*,arm64"),
        ["debian-12-arm64", "debian-13-arm64"]
    );
}

#[test]
fn an_architecture_alone_is_about_the_projects_targets() {
    let env = TestEnv::project().with(
        "assay.toml",
        "targets = [\"debian-12\", \"arch-arm64\", \"debian-12-arm64\"]\n",
    );
    assert_eq!(
        planned(&env.run("plan --format json")),
        ["debian-12", "arch-arm64", "debian-12-arm64"]
    );
    assert_eq!(on(&env, "arm64"), ["debian-12-arm64", "arch-arm64"]);
    assert_eq!(on(&env, "amd64"), ["debian-12", "arch"]);
}

#[test]
fn words_that_mean_nothing() {
    let env = TestEnv::project()
        .with("os-release", "ID=x\n")
        .with("machine/debian", "ID=debian\nVERSION_ID=12\n")
        .with("machine/long", vec![b'#'; (64 << 10) + 1])
        .with("machine/binary", b"ID=\xff")
        .with("machine/quotes", "ID=\"\u{1b}[31m\"\nNAME='\n");
    let mut all = String::new();
    for words in [
        "debian-12-amd64",
        "aarch64",
        "debian-12-arm64,amd64",
        "zz-arm64",
        "debain-12",
        "os-release",
        "./nowhere",
        "machine/",
        "/dev/zero",
        "machine/long",
        "machine/binary",
        "debian-12,machine/debian",
        "./\u{1b}[31m",
    ] {
        let said = env.run_words(&["plan", "--on", words]);
        assert_eq!(said.code, Some(2), "{words}: {}", said.whole());
        said.assert_harmless();
        all += &format!("# {}\n{}", words.escape_debug(), said.stderr);
    }
    // Not a target's name, and no reason not to plan.
    let said = env.run("plan --on machine/quotes");
    assert_eq!(said.code, Some(0));
    said.assert_harmless();
    all += &format!("# machine/quotes\n{}{}", said.stderr, said.stdout);
    insta::assert_snapshot!(all);
}

#[test]
fn files_are_planned_for_and_nothing_else() {
    let env = TestEnv::project().with("machine/mint", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"22\"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n");
    assert_eq!(on(&env, "machine/mint"), ["linuxmint-22"]);
    assert_eq!(
        on(&env, "machine/mint,amd64,arm64,machine/mint"),
        ["linuxmint-22", "linuxmint-22-arm64"]
    );
    insta::assert_snapshot!(
        "a-machine",
        env.run("plan --on machine/mint --explain").whole()
    );
    let mut all = String::new();
    for verb in ["test", "snapshot check", "snapshot accept"] {
        let said = env.run(&format!("{verb} --on machine/mint"));
        assert_eq!(said.code, Some(2), "{verb}");
        all += &format!("# {verb}\n{}", said.stderr);
    }
    insta::assert_snapshot!("a-machine-elsewhere", all);
}

#[test]
fn targets_that_are_only_planned_for() {
    let env = TestEnv::project();
    for target in ["alpine-3.22", "darwin", "debian-12-arm64", "alpine-*"] {
        let said = env.run(&format!("images build {target}"));
        assert_eq!(said.code, Some(2), "{target}");
        assert!(said.stderr.contains(target), "{}", said.stderr);
    }
    // A pattern takes what there is an image of, and this one gets as far as the engine.
    assert_eq!(env.run("images build all").code, Some(8));
    insta::assert_snapshot!(
        "no-image-of-arm64",
        env.run("images build debian-12-arm64").whole()
    );
    // A run without `--on` is about what can run.
    let listed = env.run("test --list --format json").json();
    assert_eq!(
        listed["cells"],
        serde_json::json!([
            "arch:jq",
            "debian-12:jq",
            "debian-13:jq",
            "fedora-44:jq",
            "rocky-9:jq",
            "ubuntu-24.04:jq",
            "ubuntu-26.04:jq"
        ])
    );
    let only = env.with("assay.toml", "targets = [\"darwin\", \"arch-arm64\"]\n");
    insta::assert_snapshot!("nothing-can-run", only.run("test").whole());
    // They have snapshots like all others.
    assert_eq!(only.run("snapshot accept").code, Some(0));
    assert_eq!(
        only.files("snapshots"),
        [
            "snapshots/plans/jq/arch-arm64.snap",
            "snapshots/plans/jq/darwin.snap"
        ]
    );
    assert_eq!(only.run("snapshot check").code, Some(0));
    insta::assert_snapshot!(
        "not-the-projects",
        only.run("snapshot accept --on debian-12").whole()
    );
    assert_eq!(only.files("snapshots").len(), 2);
}

/// Steps of several kinds, each with a reason of its own where it does not apply.
const RULES: &str = r#"
[metadata]
name = "rules"

[[steps]]
action = "apt_install"
packages = ["jq"]
when = { distro = ["ubuntu>=24.04", "debian>=12"] }

[[steps]]
action = "dnf_install"
packages = ["jq"]
when = { distro = ["rhel>=9", "fedora>=43"] }

[[steps]]
action = "pacman_install"
packages = ["jq"]
when = { arch = "amd64" }

[[steps]]
action = "require_command"
command = "jq"
when = { libc = "glibc" }

[[steps]]
action = "manual"
text = "Say hello."
when = { os = "linux" }
"#;

#[test]
fn dropped_steps_are_explained_everywhere() {
    let env = TestEnv::project().with("recipes/rules.toml", RULES);
    let machines = format!(
        "{}/harness/plan/fixtures/os-release",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut all = String::new();
    for target in [
        "ubuntu-26.04",
        "alpine-3.22",
        "opensuse-leap-16.0",
        "darwin",
        "arch-arm64",
        &format!("{machines}/raspbian-12"),
        &format!("{machines}/zorin-17"),
        &format!("{machines}/rocky-9"),
        &format!("{machines}/no-id"),
    ] {
        let said = env.run_words(&["plan", "rules", "--explain", "--on", target]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let explained = said
            .stdout
            .lines()
            .skip_while(|line| !line.starts_with("rules  "));
        let explained: Vec<&str> = explained.collect();
        let head = said.stdout.lines().next().expect("a line");
        let head = head.split("  plan").next().expect("a cell");
        all += &format!("{head}\n{}\n\n", explained.join("\n"));
    }
    insta::assert_snapshot!(all);
}

/// Every recipe of the repository on every real os-release: there is a plan, twice the same, and each
/// step that is dropped has one reason.
#[test]
fn every_recipe_has_a_plan_on_every_real_machine() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let machines = root.join("harness/plan/fixtures/os-release");
    let mut files: Vec<PathBuf> = fs::read_dir(&machines)
        .expect("the machines")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 35, "{}", files.len());
    let env = TestEnv::empty();
    let recipes = root.join("recipes").display().to_string();
    let mut steps = 0;
    for file in &files {
        let file = file.display().to_string();
        let plan = || env.run_words(&["plan", &recipes, "--format", "json", "--on", &file]);
        let said = plan();
        assert_eq!(said.code, Some(0), "{file}: {}", said.stderr);
        assert_eq!(said.stdout, plan().stdout, "{file}");
        let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("a document");
        for planned in document["plans"].as_array().expect("plans") {
            for step in planned["plan"]["steps"].as_array().expect("steps") {
                steps += 1;
                let dropped = &step["disposition"]["dropped"];
                let reason = dropped["reason"].as_str();
                assert!(
                    dropped.is_null() || reason.is_some_and(|reason| !reason.trim().is_empty()),
                    "{file} {step}"
                );
            }
        }
    }
    assert!(steps > 1000, "{steps}");
}
