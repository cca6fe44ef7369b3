//! Declared content: bytes that are not the promised ones, mirrors, and a store that cannot keep any.

use std::fs;

use assay_wire::digest::Digest;
use serde_json::json;

use crate::engine::Tmpfs;
use crate::world::World;

/// A lab of one file, which is `https://packages.assay.test/apt/key.asc`.
fn lab(world: &World, key: &[u8]) {
    let lab = world.lab(&json!([]));
    fs::create_dir_all(lab.join("repositories/apt")).expect("a folder");
    fs::write(lab.join("repositories/apt/key.asc"), key).expect("a key");
}

/// A recipe that downloads something.
fn download(world: &World, name: &str, url: &str, sha256: &Digest) {
    world.recipe(
        name,
        &format!(
            "[[steps]]\naction = \"download\"\nurl = \"{url}\"\nsha256 = \"{sha256}\"\ndest = \"/opt/it\"\n"
        ),
    );
}

const KEY: &str = "https://packages.assay.test/apt/key.asc";

#[test]
fn content_with_another_hash_is_kept_as_evidence_and_no_sandbox_starts() {
    let Some(world) = World::start() else { return };
    lab(&world, b"not the key that was promised");
    let promised = Digest::of(b"the key that was promised");
    world.recipe(
        "mismatch",
        &format!(
            "[[steps]]\naction = \"apt_repo\"\nurl = \"https://packages.assay.test/apt\"\nsuites = [\"stable\"]\n\
             key_url = \"{KEY}\"\nkey_sha256 = \"{promised}\"\nwhen = {{ linux_family = [\"debian\"] }}\n"
        ),
    );
    world.neighbour();
    let ran = world.test(&["mismatch", "neighbour"], &[]);
    assert_eq!(ran.outcome("mismatch"), "failed prepare content_mismatch");
    assert_eq!(ran.outcome("neighbour"), "passed");
    assert_eq!(ran.code, Some(4));
    let came = Digest::of(b"not the key that was promised").to_string();
    let evidence = world.cache().join("content/evidence").join(&came);
    assert_eq!(
        fs::read(&evidence).expect("the evidence"),
        b"not the key that was promised"
    );
    assert!(ran.cell("mismatch")["facts"]["sandbox"].is_null());
    // Every report says what, both causes, and the command that shows more.
    for format in ["human", "json", "junit", "github", "markdown"] {
        let said = world.assay(&["report", "--format", format]).output();
        let said = String::from_utf8(said.expect("assay report").stdout).expect("UTF-8");
        // Lines are wrapped, and marks of a format stand before what it would read as its own.
        let plain = |text: &str| text.replace(|c: char| c.is_whitespace() || "`\\".contains(c), "");
        for part in [
            KEY.to_owned(),
            promised.to_string(),
            came.clone(),
            "either the publisher replaced the file, or somebody between you and the publisher did"
                .to_owned(),
            format!("assay pin show {}", evidence.display()),
        ] {
            assert!(
                plain(&said).contains(&plain(&part)),
                "{format}: {part}\n{said}"
            );
        }
    }
    world.assert_clean();
}

#[test]
fn a_mirror_serves_what_the_original_does_not() {
    let Some(world) = World::start() else { return };
    lab(&world, b"a key");
    let digest = Digest::of(b"a key");
    download(
        &world,
        "mirrored",
        "https://nowhere.invalid/pub/key.asc",
        &digest,
    );
    fs::write(
        world.project().join("assay.toml"),
        "[network.mirrors]\n\"https://nowhere.invalid/pub/\" = [\"https://packages.assay.test/not-here/\", \
         \"https://packages.assay.test/apt/\"]\n",
    )
    .expect("a project");
    let ran = world.test(&["mirrored"], &["--allow-unmet-needs"]);
    assert_eq!(ran.outcome("mirrored"), "passed", "{}", ran.stderr);
    world.assert_clean();
}

#[test]
fn a_private_address_is_refused_unless_it_is_named() {
    let Some(world) = World::start() else { return };
    let url = "https://127.0.0.1:1/key.asc";
    download(&world, "near", url, &Digest::of(b"a key"));
    let ran = world.test(&["near"], &[]);
    assert_eq!(ran.outcome("near"), "failed prepare content_unavailable");
    let detail = ran.detail("near");
    assert!(
        detail.contains("a loopback address") && detail.contains("allow = [\\\"127.0.0.1\\\"]"),
        "{detail}"
    );
    let allowed = "[network]\nallow = [\"127.0.0.1\"]\n";
    fs::write(world.project().join("assay.toml"), allowed).expect("a project");
    // Nobody listens there: that is another matter.
    let ran = world.test(&["near"], &[]);
    assert_eq!(ran.outcome("near"), "infra host_unreachable");
    world.assert_clean();
}

#[test]
fn what_a_project_allows_its_sandboxes_may_reach_too() {
    let Some(world) = World::start() else { return };
    // Whatever comes of it, and whoever listens on this machine: only the proxy's decision counts.
    world.recipe(
        "near",
        "[[check]]\nname = \"asked\"\nargv = ['/usr/lib/apt/apt-helper', 'download-file', \
         'http://127.0.0.2/nothing', '/tmp/it']\n",
    );
    let refused = |ran: &crate::world::Ran| {
        let said = ran.cell("near")["facts"].to_string();
        assert!(said.contains("http://127.0.0.2/nothing"), "{said}");
        said.contains("a loopback address: refused")
    };
    assert!(refused(&world.test(&["near"], &[])));
    let allowed = "[network]\nallow = [\"127.0.0.0/8\"]\n";
    fs::write(world.project().join("assay.toml"), allowed).expect("a project");
    assert!(!refused(&world.test(&["near"], &[])));
    world.assert_clean();
}

#[test]
fn a_store_on_a_full_disk_is_told_with_what_to_do() {
    let Some(world) = World::start() else { return };
    let key = vec![b'x'; 200_000];
    lab(&world, &key);
    download(&world, "large", KEY, &Digest::of(&key));
    let content = world.cache().join("content");
    fs::create_dir_all(&content).expect("a folder");
    let small = Tmpfs::over(content, "64k");
    let ran = world.test(&["large"], &[]);
    assert_eq!(
        (ran.outcome("large").as_str(), ran.code),
        ("infra host_storage", Some(8))
    );
    let detail = ran.detail("large");
    for part in ["cannot write `", "No space left", "assay store prune"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    world.assert_clean();
    drop(small);
}

#[test]
fn a_key_with_the_right_hash_that_nobody_declared_is_refused_before_a_sandbox_starts() {
    let Some(world) = World::start() else { return };
    let lab = world.lab(&json!([]));
    fs::create_dir_all(lab.join("repositories/apt")).expect("a folder");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/content/fixtures/keys");
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
