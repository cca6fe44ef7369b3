//! What recipes come to that are merely wrong, or need a human, in real sandboxes.

use std::fs;

use assay_wire::digest::Digest;
use serde_json::json;

use crate::world::World;

#[test]
fn unmet_requirements_are_all_listed_with_what_was_found_and_nothing_is_done() {
    let Some(world) = World::start() else { return };
    world.recipe(
        "needy",
        "[[requires]]\ncommand = \"bash\"\nmin_version = \"99.5\"\nversion_flag = \"--version\"\nversion_regex = \"version ([0-9.]+)\"\n\n\
         [[requires]]\ncommand = \"nobody-has-this\"\n\n\
         [[requires]]\npackage = \"libc6\"\nmin_version = \"77\"\n\n\
         [[requires]]\npackage = \"dpkg\"\nmin_version = \"1.0\"\n\n\
         [[steps]]\naction = \"group_add\"\ngroup = \"crew\"\ncreate = true\n",
    );
    let ran = world.test(&["needy"], &[]);
    assert_eq!(ran.outcome("needy"), "failed prepare requirement_unmet");
    assert_eq!(ran.code, Some(1));
    let outcome = ran.cell("needy")["outcome"]["failed"].clone();
    let mut messages = vec![outcome["first"]["message"].as_str().expect("a message")];
    messages.extend(
        outcome["also"]
            .as_array()
            .expect("more")
            .iter()
            .filter_map(|failure| failure["message"].as_str()),
    );
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(
        messages[0].contains("`bash` 99.5 or newer is needed, 5."),
        "{}",
        messages[0]
    );
    assert!(
        messages[1].contains("`nobody-has-this` is needed and not there"),
        "{}",
        messages[1]
    );
    assert!(
        messages[2].contains("`libc6` 77 or newer is needed, 2.36"),
        "{}",
        messages[2]
    );
    assert_eq!(ran.ending("needy", 5), "null", "nothing is done");
    world.assert_clean();
}

#[test]
fn a_command_that_is_too_old_names_itself_the_minimum_and_what_was_found() {
    let Some(world) = World::start() else { return };
    world.recipe("old", "[[steps]]\naction = \"require_command\"\ncommand = \"perl\"\nmin_version = \"77.1\"\nwhen = { os = [\"linux\"] }\n");
    let ran = world.test(&["old"], &[]);
    assert_eq!(ran.outcome("old"), "failed verify version_too_old");
    assert!(
        ran.detail("old")
            .contains("command `perl` 77.1 or newer is needed, 5.36"),
        "{}",
        ran.detail("old")
    );
    assert_eq!(ran.code, Some(1));
    let steps = &ran.cell("old")["outcome"]["failed"]["first"]["steps"];
    assert_eq!(steps, &json!([{ "recipe": "old", "step": "1" }]));
}

#[test]
fn a_human_step_is_rehearsed_around() {
    let Some(world) = World::start() else { return };
    world.recipe(
        "licence",
        "[[steps]]\naction = \"group_add\"\ngroup = \"crew\"\ncreate = true\n\n\
         [[steps]]\naction = \"manual\"\ntext = \"Read the licence.\"\nwhen = { os = [\"linux\"] }\n\n\
         [[check]]\nname = \"only a human makes this work\"\nargv = ['false']\n",
    );
    let ran = world.test(&["licence"], &[]);
    assert_eq!(
        (ran.outcome("licence").as_str(), ran.code),
        ("manual", Some(0)),
        "{}",
        ran.detail("licence")
    );
    assert_eq!(
        ran.cell("licence")["outcome"]["manual"]["not_judged"],
        json!([4])
    );
}

#[test]
fn content_with_another_hash_is_kept_as_evidence_and_no_sandbox_starts() {
    let Some(world) = World::start() else { return };
    let lab = world.cache().join("lab");
    fs::create_dir_all(lab.join("repositories/apt")).expect("a folder");
    fs::write(
        lab.join("repositories/apt/key.asc"),
        "not the key that was promised",
    )
    .expect("a key");
    let manifest = json!({
        "schema": "assay-lab", "version": 1, "digest": "0".repeat(64), "images": [],
        "repositories": { "path": "repositories", "sha256": "0".repeat(64) }, "keys": [],
    });
    fs::write(lab.join("manifest.json"), manifest.to_string()).expect("a manifest");
    let promised = Digest::of(b"the key that was promised");
    world.recipe(
        "mismatch",
        &format!(
            "[[steps]]\naction = \"apt_repo\"\nurl = \"https://packages.assay.test/apt\"\nsuites = [\"stable\"]\n\
             key_url = \"https://packages.assay.test/apt/key.asc\"\nkey_sha256 = \"{promised}\"\n\
             when = {{ linux_family = [\"debian\"] }}\n"
        ),
    );
    world.neighbour();
    let ran = world.test(&["mismatch", "neighbour"], &[]);
    assert_eq!(ran.outcome("mismatch"), "failed prepare content_mismatch");
    assert_eq!(ran.outcome("neighbour"), "passed");
    assert_eq!(ran.code, Some(4));
    let came = Digest::of(b"not the key that was promised").to_string();
    let detail = ran.detail("mismatch");
    assert!(
        detail.contains(&promised.to_string()) && detail.contains(&came),
        "{detail}"
    );
    let evidence = world.cache().join("content/evidence").join(&came);
    assert_eq!(
        fs::read(evidence).expect("the evidence"),
        b"not the key that was promised"
    );
    assert!(ran.cell("mismatch")["facts"]["sandbox"].is_null());
    world.assert_clean();
}

#[test]
fn a_key_with_the_right_hash_that_nobody_declared_is_refused_before_a_sandbox_starts() {
    let Some(world) = World::start() else { return };
    let lab = world.cache().join("lab");
    fs::create_dir_all(lab.join("repositories/apt")).expect("a folder");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/content/fixtures/keys");
    let manifest = json!({
        "schema": "assay-lab", "version": 1, "digest": "0".repeat(64), "images": [],
        "repositories": { "path": "repositories", "sha256": "0".repeat(64) }, "keys": [],
    });
    fs::write(lab.join("manifest.json"), manifest.to_string()).expect("a manifest");
    let names = ["blocks.asc", "revoked.asc", "make"];
    for name in names {
        let bytes = fs::read(format!("{fixtures}/{name}")).expect("a fixture");
        fs::write(lab.join("repositories/apt").join(name), &bytes).expect("a key");
        let hash = Digest::of(&bytes);
        let recipe = name.split('.').next().expect("a name");
        let nobody = "0123456789ABCDEF0123456789ABCDEF01234567";
        let declared = match name {
            "blocks.asc" => format!("key_fingerprints = [\"{nobody}\"]\n"),
            _ => String::new(),
        };
        world.recipe(
            recipe,
            &format!(
                "[[steps]]\naction = \"apt_repo\"\nurl = \"https://packages.assay.test/apt\"\nsuites = [\"stable\"]\n\
                 key_url = \"https://packages.assay.test/apt/{name}\"\nkey_sha256 = \"{hash}\"\n{declared}\
                 when = {{ linux_family = [\"debian\"] }}\n"
            ),
        );
    }
    let ran = world.test(&["blocks", "revoked", "make"], &[]);
    assert_eq!(ran.code, Some(4));
    for (name, code) in [
        ("blocks", "key-undeclared"),
        ("revoked", "key-revoked"),
        ("make", "not-a-key"),
    ] {
        assert_eq!(ran.outcome(name), "failed prepare key_refused");
        let detail = ran.detail(name);
        assert!(detail.contains(code), "{detail}");
        assert!(ran.cell(name)["facts"]["sandbox"].is_null());
    }
    world.assert_clean();
}

#[test]
fn a_group_nobody_made_is_named() {
    let Some(world) = World::start() else { return };
    world.recipe(
        "stranger",
        "[[steps]]\naction = \"group_add\"\ngroup = \"nobody-made-this\"\n",
    );
    let ran = world.test(&["stranger"], &[]);
    assert_eq!(
        (ran.outcome("stranger").as_str(), ran.code),
        ("failed apply command_failed", Some(1))
    );
    assert!(
        ran.cell("stranger")["facts"]["ops"][0]["first"]["stderr"]["head"]
            .to_string()
            .contains("nobody-made-this")
    );
}

#[test]
fn targets_that_are_only_planned_for_are_not_run_and_no_pass() {
    let Some(world) = World::start() else { return };
    world.neighbour();
    for (target, because) in [
        ("alpine-3.22", "plan only"),
        ("darwin", "plan only"),
        ("alpine-3.22-arm64", "plan only"),
        ("debian-12-arm64", "no executor for arm64"),
    ] {
        let ran = world.test(&["neighbour"], &["--on", target]);
        let outcome = &ran.cell("neighbour")["outcome"];
        assert_eq!(
            *outcome,
            json!({ "not_run": { "because": because } }),
            "{target}"
        );
        assert_eq!(ran.code, Some(8), "{target}");
    }
    world.assert_clean();
}
