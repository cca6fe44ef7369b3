//! `migrate`: the patch, the file, and what is refused.

use crate::env::TestEnv;

const OLD: &str = r#"# A tool.
[metadata]
name = "jq"

[[steps]]
action = "require_system" # by hand until now
command = "jq"
min_version = "1.6"

[steps.install_guide]
ubuntu = "sudo apt-get update && sudo apt-get install -y jq"
fedora = "sudo dnf install jq"
arch = "curl -fsSL https://example.org/jq | sh"

[[check]]
name = "it answers"
argv = ["jq", "--version"]
"#;

#[test]
fn a_patch_is_shown_and_nothing_written() {
    let env = TestEnv::empty().with("jq.toml", OLD);
    let said = env.run("migrate jq.toml");
    said.assert_harmless();
    insta::assert_snapshot!("patch", said.whole());
    assert_eq!(env.read("jq.toml"), OLD);
    let document = env.run("migrate jq.toml --format json").json();
    assert_eq!(document["steps"], 1);
    assert_eq!(document["diff"].as_str(), Some(said.stdout.as_str()));
}

#[test]
fn what_is_written_passes_check() {
    let env = TestEnv::empty().with("jq.toml", OLD);
    assert_eq!(env.run("check jq.toml").code, Some(3));
    let said = env.run("migrate jq.toml --write");
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""));
    insta::assert_snapshot!("written", env.read("jq.toml"));
    assert_eq!(env.run("check jq.toml").code, Some(0));
    let again = env.run("migrate jq.toml --write");
    assert_eq!(again.code, Some(0));
    assert_eq!(again.stderr, "nothing to migrate in `jq.toml`\n");
    assert!(!env.path("jq.toml.tmp").exists());
}

#[test]
fn a_link_stays_one_and_permissions_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = TestEnv::empty().with("real/jq.toml", OLD);
    let real = env.path("real/jq.toml");
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&real, mode).expect("permissions");
    std::os::unix::fs::symlink(&real, env.path("jq.toml")).expect("a link");
    assert_eq!(env.run("migrate jq.toml --write").code, Some(0));
    assert!(env.path("jq.toml").is_symlink());
    let mode = std::fs::metadata(&real).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o640);
    assert!(!env.read("real/jq.toml").contains("require_system"));
}

#[test]
fn what_is_no_recipe_is_refused() {
    let huge = "#".repeat((1 << 20) + 1);
    let env = TestEnv::empty()
        .with("broken.toml", "[[steps\n")
        .with("binary.toml", [0xff, 0xfe, 0])
        .with("hostile.toml", "\u{1b}[2J = \u{202e}\n")
        .with("huge.toml", huge);
    for file in ["broken", "binary", "hostile", "huge", "absent"] {
        let said = env.run(&format!("migrate {file}.toml"));
        said.assert_harmless();
        assert_eq!((said.code, said.stdout.as_str()), (Some(3), ""), "{file}");
    }
    insta::assert_snapshot!("broken", env.run("migrate broken.toml").whole());
    assert_eq!(env.run("migrate real").code, Some(3));
}

#[test]
fn what_is_left_to_mend_is_said() {
    let old = OLD
        .replace("\"1.6\"", "\"new\"")
        .replace("= \"jq\"\nmin", "= \"-x\"\nmin");
    let env = TestEnv::empty().with("jq.toml", old);
    insta::assert_snapshot!("left", env.run("migrate jq.toml --write").whole());
}
