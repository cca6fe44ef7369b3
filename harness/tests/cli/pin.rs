//! `pin`: what URLs and files are shown as, what is written into a recipe and what is not, and what
//! drifts. The lab's host is served from a folder.

use std::os::unix::fs::PermissionsExt as _;

use crate::env::{JQ, TestEnv};

/// A file of `harness/content/fixtures/keys`.
fn key(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/content/fixtures/keys");
    std::fs::read(format!("{folder}/{name}")).expect("a fixture")
}

const UNPINNED: &str = r#"# Tools from elsewhere.
[metadata]
name = "tools"

[[steps]]
id = "repo"
action = "apt_repo" # signed
url = "https://packages.assay.test/apt"
suites = ["stable"]
components = ["main"]
key_url = "https://packages.assay.test/{distro}.asc" # one for all
when = { linux_family = ["debian"] }

[[steps]]
action = "download"
url = "https://packages.assay.test/tool"
dest = "/opt/tool"
when = { linux_family = ["debian"] }
"#;

/// A project with a recipe that is not pinned, and everything it names.
fn unpinned() -> TestEnv {
    TestEnv::empty()
        .with(
            "assay.toml",
            "targets = [\"debian-12\", \"ubuntu-24.04\", \"arch\"]\n",
        )
        .with("recipes/tools.toml", UNPINNED)
        .served("debian.asc", key("good.asc"))
        .served("ubuntu.asc", key("good.asc"))
        .served("tool", "#!/bin/sh\n")
}

#[test]
fn what_urls_give_is_shown() {
    let env = TestEnv::empty()
        .served("good.asc", key("good.asc"))
        .served("sha1.asc", key("sha1.asc"))
        .served("page", "<!doctype html>\n<p>404");
    let line = "pin https://packages.assay.test/good.asc https://packages.assay.test/sha1.asc \
                https://packages.assay.test/page";
    let said = env.run(line);
    said.assert_harmless();
    assert!(said.stdout.lines().all(|line| line.chars().count() <= 80));
    insta::assert_snapshot!("shown", said.whole());
    let document = env.run(&format!("{line} --format json")).json();
    let sha1 = &document["pinned"][1];
    assert_eq!(sha1["findings"][0]["code"], "key-weak-hash");
    assert_eq!(sha1["keys"][0]["primary"]["algorithm"], "RSA 2048");
    assert_eq!(sha1["keys"][0]["primary"]["hash"], "SHA-1");
    assert_eq!(document["pinned"][2]["type"], "HTML page");
}

#[test]
fn a_file_is_shown_as_a_url_is() {
    let env = TestEnv::empty().with("secret.asc", key("secret.asc"));
    let said = env.run("pin show secret.asc");
    insta::assert_snapshot!("secret", said.whole());
    let large = std::fs::File::create(env.path("large.asc")).expect("a file");
    std::io::Write::write_all(&mut &large, b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
        .expect("text");
    large.set_len(50_000_000).expect("a hole");
    let said = env.run("pin show large.asc");
    assert_eq!(said.code, Some(0));
    assert!(said.stdout.contains("this one 50000000"), "{}", said.stdout);
    assert!(said.stdout.contains("not-a-key"), "{}", said.stdout);
    assert_eq!(env.run("pin show .").code, Some(2));
    assert_eq!(env.run("pin show nothing").code, Some(2));
}

#[test]
fn what_cannot_be_fetched_is_told_and_the_rest_is_shown() {
    let env = TestEnv::empty().served("there", "text");
    for (url, code) in [
        ("notaurl", 2),
        ("http://packages.assay.test/there", 2),
        ("https://127.0.0.1/key.asc", 8),
        ("https://packages.assay.test/gone", 8),
    ] {
        let said = env.run(&format!("pin https://packages.assay.test/there {url}"));
        assert_eq!(said.code, Some(code), "{}", said.stderr);
        assert!(said.stdout.contains("type     text"), "{}", said.stdout);
        insta::assert_snapshot!(format!("not_fetched_{code}_{}", url.len()), said.stderr);
    }
    assert_eq!(env.run("pin").code, Some(2));
    assert_eq!(env.run("pin --dry-run https://a.test/").code, Some(2));
}

#[test]
fn missing_pins_are_shown_as_a_patch_and_written() {
    let env = unpinned();
    let check = env.run("check tools");
    assert_eq!(check.code, Some(3));
    assert!(
        check.stdout.contains("assay pin --write") || check.stderr.contains("assay pin --write")
    );
    let said = env.run("pin --write tools --dry-run");
    said.assert_harmless();
    insta::assert_snapshot!("patch", said.whole());
    assert_eq!(env.read("recipes/tools.toml"), UNPINNED);
    let said = env.run("pin --write tools --format json");
    let document = said.json();
    assert_eq!((said.code, &document["written"]), (Some(0), &true.into()));
    assert_eq!(document["steps"][0]["state"], "added");
    insta::assert_snapshot!("written", env.read("recipes/tools.toml"));
    assert_eq!(env.run("check tools").code, Some(0));
    let again = env.run("pin --write tools");
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""));
    insta::assert_snapshot!("again", again.stderr);
    assert_eq!(env.files("recipes"), ["recipes/tools.toml"]);
}

#[test]
fn one_step_alone_is_written() {
    let env = unpinned();
    assert_eq!(env.run("pin --write tools 2").code, Some(0));
    let text = env.read("recipes/tools.toml");
    assert!(
        text.contains("\nsha256 = ") && !text.contains("key_sha256"),
        "{text}"
    );
    let said = env.run("pin --write tools nope");
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`repo`, `2`"), "{}", said.stderr);
}

#[test]
fn a_changed_hash_is_told_and_only_taken_when_asked_to() {
    let env = unpinned();
    assert_eq!(env.run("pin --write tools").code, Some(0));
    let pinned = env.read("recipes/tools.toml");
    env.serve("debian.asc", key("other.asc"));
    env.serve("ubuntu.asc", key("other.asc"));
    let said = env.run("pin --write tools");
    said.assert_harmless();
    insta::assert_snapshot!("changed", said.whole());
    assert_eq!(env.read("recipes/tools.toml"), pinned);
    let said = env.run("pin --write tools --accept-changed");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    insta::assert_snapshot!("accepted", said.whole());
    assert_ne!(env.read("recipes/tools.toml"), pinned);
}

#[test]
fn different_bytes_for_different_targets_are_refused_and_both_named() {
    let env = unpinned().served("ubuntu.asc", key("other.asc"));
    let said = env.run("pin --write tools");
    insta::assert_snapshot!("differ", said.whole());
    assert_eq!(env.read("recipes/tools.toml"), UNPINNED);
}

#[test]
fn a_key_that_must_not_be_used_is_not_written() {
    for (name, code) in [
        ("revoked.asc", "key-revoked"),
        ("secret.asc", "key-secret"),
        ("certify-only.asc", "key-cannot-sign"),
        ("make", "not-a-key"),
    ] {
        let env = unpinned()
            .served("debian.asc", key(name))
            .served("ubuntu.asc", key(name));
        let said = env.run("pin --write tools --accept-changed");
        assert_eq!(said.code, Some(4), "{}", said.stderr);
        assert!(said.stderr.contains(code), "{}", said.stderr);
        assert_eq!(env.read("recipes/tools.toml"), UNPINNED);
    }
}

#[test]
fn a_recipe_with_other_faults_or_that_is_protected_is_left_alone() {
    let faulty = UNPINNED.replace("\"download\"", "\"downlaod\"");
    let env = unpinned().with("recipes/tools.toml", &faulty);
    let said = env.run("pin --write tools");
    insta::assert_snapshot!("faulty", said.whole());
    let env = unpinned().with("recipes/tools.toml", "[[steps");
    assert_eq!(env.run("pin --write tools").code, Some(3));
    let env = unpinned();
    let path = env.path("recipes/tools.toml");
    let mode = std::fs::Permissions::from_mode(0o444);
    std::fs::set_permissions(&path, mode).expect("permissions");
    let said = env.run("pin --write tools");
    assert_eq!(said.code, Some(8));
    assert!(said.stderr.contains("is read-only"), "{}", said.stderr);
    assert_eq!(env.read("recipes/tools.toml"), UNPINNED);
    let env = env.with("assay.toml", "targets = [\"arch\"]\n");
    let said = env.run("pin --write recipes/tools.toml repo --dry-run");
    assert_eq!(said.code, Some(3));
    assert!(said.stderr.contains("no target"), "{}", said.stderr);
    assert_eq!(env.run("pin --write recipes").code, Some(2));
    assert_eq!(env.run("pin --write nothing").code, Some(2));
}

#[test]
fn drift_is_told_with_its_evidence_and_never_taken() {
    let env = unpinned().with("recipes/jq.toml", JQ);
    assert_eq!(env.run("pin --write tools").code, Some(0));
    let pinned = env.read("recipes/tools.toml");
    let same = env.run("pin verify");
    insta::assert_snapshot!("same", same.whole());
    std::fs::remove_file(env.path("../cache/assay/lab/repositories/ubuntu.asc")).expect("removed");
    let said = env.run("pin verify");
    assert_eq!(said.code, Some(8));
    env.serve("tool", "#!/bin/sh\nevil\n");
    let said = env.run("pin verify");
    said.assert_harmless();
    insta::assert_snapshot!("drift", said.whole());
    let said = env.run("pin verify --format json");
    let document = said.json();
    assert_eq!(said.code, Some(4));
    let states: Vec<&str> = document["urls"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["state"].as_str().expect("a word"))
        .collect();
    assert_eq!(states, ["same", "changed", "unreachable"]);
    let evidence = document["urls"][1]["evidence"].as_str().expect("a path");
    let evidence = evidence.replace("[root]", "..");
    assert_eq!(env.read(&evidence), "#!/bin/sh\nevil\n");
    assert_eq!(env.read("recipes/tools.toml"), pinned);
    assert_eq!(env.run("pin verify nothing").code, Some(2));
    assert_eq!(env.run("pin verify jq").code, Some(0));
}

#[test]
fn a_key_that_is_what_it_was_and_must_not_be_used_any_more_is_drift() {
    let expired = key("expired.asc");
    let recipe = UNPINNED
        .split("\n[[steps]]\naction = \"download\"")
        .next()
        .expect("the first step")
        .replace(
            "# one for all",
            &format!(
                "\nkey_sha256 = \"{}\"",
                assay_wire::digest::Digest::of(&expired)
            ),
        );
    let env = unpinned()
        .with("recipes/tools.toml", &recipe)
        .served("debian.asc", &expired)
        .served("ubuntu.asc", &expired);
    let said = env.run("pin verify --format json");
    assert_eq!(said.code, Some(4), "{}", said.stderr);
    let document = said.json();
    assert_eq!(document["urls"][0]["state"], "refused");
    assert_eq!(document["urls"][0]["findings"][0]["code"], "key-expired");
}
