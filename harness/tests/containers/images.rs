//! `assay images pull`, `verify` and `prune`, with a real registry and a real engine.

use std::fs;

use assay_wire::digest::Digest;
use serde_json::json;

use crate::registry::{MADE_UP, Registry, Shop, flip, has, made_up, registry, root};
use crate::world::Ran;

fn refused(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    for word in words.iter().chain(&["hint: "]) {
        assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
    }
}

#[test]
fn an_image_is_pulled_by_digest_listed_verified_and_pruned_when_nothing_names_it() {
    let Some(shop) = Shop::start("pull") else {
        return;
    };
    let registry = Registry::start();
    let engine = &shop.world.engine;
    let name = registry.name("assay-test/pull");
    let content = format!("first {}", shop.target);
    let first = registry.push(engine, "assay-test/pull", &root(MADE_UP, &content));
    let first_name = format!("{name}@sha256:{first}");
    shop.refer(&name, &first);
    assert_eq!(shop.listed()[0]["present"], false);

    let pulled = shop.images("pull", &[]);
    assert_eq!(pulled.code, Some(0), "{}", pulled.stderr);
    assert!(
        pulled.stderr.contains("made, registry"),
        "{}",
        pulled.stderr
    );
    let rows = shop.listed();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (&rows[0]["kind"], &rows[0]["current"]),
        (&json!("registry"), &json!(true))
    );
    let again = shop.images("pull", &[]);
    assert!(again.stderr.contains("there already"), "{}", again.stderr);
    let verified = shop.document("verify", &[], 0);
    assert_eq!(verified["images"][0]["verdict"], "verified", "{verified}");
    assert_eq!(verified["images"][0]["layers"], 1);
    let needed = shop.images("prune", &[]);
    assert_eq!(needed.stdout, "every image is needed\n");

    let content = format!("second {}", shop.target);
    let second = registry.push(engine, "assay-test/pull", &root(MADE_UP, &content));
    let second_name = format!("{name}@sha256:{second}");
    shop.refer(&name, &second);
    let pulled = shop.images("pull", &[]);
    assert_eq!(pulled.code, Some(0), "{}", pulled.stderr);
    let would = shop.document("prune", &["--dry-run"], 0);
    let expected = json!({
        "target": shop.target, "what": "registry", "because": "no definition names its digest",
        "removed": false, "kept": null,
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(would["images"][0][key], *value, "{would}");
    }
    assert!(has(engine, &first_name), "nothing is removed in a dry run");
    let did = shop.document("prune", &[], 0);
    assert_eq!(did["images"][0]["removed"], true, "{did}");
    assert_eq!(did["freed_bytes"], would["freed_bytes"]);
    assert!(did["freed_bytes"].as_u64() > Some(0), "{did}");
    assert!(!has(engine, &first_name) && has(engine, &second_name));

    // What a container uses stays, and is told; also where no definition is left.
    let container = shop.container(&second_name);
    shop.undefine();
    let kept = shop.images("prune", &[]);
    assert_eq!(kept.code, Some(0), "{}", kept.stderr);
    assert!(
        kept.stdout.contains("kept: the container"),
        "{}",
        kept.stdout
    );
    assert!(kept.stdout.contains("0 images removed"), "{}", kept.stdout);
    assert!(has(engine, &second_name));
    engine.remove_container(&container);
    let gone = shop.images("prune", &[]);
    assert!(gone.stdout.contains("1 image removed"), "{}", gone.stdout);
    assert!(!has(engine, &second_name));
}

#[test]
fn an_image_somebody_else_has_named_too_keeps_that_name() {
    let Some(shop) = Shop::start("named") else {
        return;
    };
    let registry = Registry::start();
    let engine = &shop.world.engine;
    let name = registry.name("assay-test/named");
    let digest = registry.push(engine, "assay-test/named", &root(MADE_UP, &shop.target));
    let by_digest = format!("{name}@sha256:{digest}");
    shop.refer(&name, &digest);
    assert_eq!(shop.images("pull", &[]).code, Some(0));
    let theirs = format!("assay-test-{}", shop.target);
    let tag = format!("/images/{by_digest}/tag?repo={theirs}&tag=mine");
    let (status, said) = engine.request("POST", &tag, "text/plain", b"");
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&said));
    shop.undefine();
    let kept = shop.document("prune", &[], 0);
    let why = kept["images"][0]["kept"].as_str().unwrap_or_default();
    assert!(why.contains(&format!("`{theirs}:mine`")), "{kept}");
    assert!(has(engine, &format!("{theirs}:mine")));
    // It is nobody's but theirs from then on.
    let again = shop.images("prune", &[]);
    assert_eq!(again.code, Some(2), "{}{}", again.stdout, again.stderr);
    engine.remove_image(&format!("{theirs}:mine"));
    engine.remove_image(&by_digest);
}

#[test]
fn an_image_somebody_else_pulled_is_used_and_never_removed() {
    let Some(shop) = Shop::start("theirs") else {
        return;
    };
    let registry = Registry::start();
    let engine = &shop.world.engine;
    let name = registry.name("assay-test/theirs");
    let digest = registry.push(engine, "assay-test/theirs", &root(MADE_UP, &shop.target));
    let by_digest = format!("{name}@sha256:{digest}");
    let theirs = format!("/images/create?fromImage={by_digest}");
    let (status, _) = engine.request("POST", &theirs, "text/plain", b"");
    assert_eq!(status, 200);
    shop.refer(&name, &digest);
    let there = shop.images("pull", &[]);
    assert!(there.stderr.contains("there already"), "{}", there.stderr);
    shop.define("amd64", "[[source]]\nkind = \"lab\"\nfile = \"none\"\n");
    let pruned = shop.images("prune", &[]);
    assert_eq!(pruned.stdout, "every image is needed\n");
    assert!(has(engine, &by_digest));
    engine.remove_image(&by_digest);
}

#[test]
fn what_a_registry_does_not_give_is_told_with_what_to_do() {
    let Some(shop) = Shop::start("refused") else {
        return;
    };
    let mut registry = Registry::start();
    let engine = &shop.world.engine;
    let name = registry.name("assay-test/refused");
    let digest = registry.push(engine, "assay-test/refused", &root(MADE_UP, &shop.target));
    let by_digest = format!("{name}@sha256:{digest}");

    let unknown = Digest::of(b"nothing").to_string();
    shop.refer(&name, &unknown);
    let ran = shop.images("pull", &[]);
    refused(&ran, 8, &["nothing of this digest", "correct the digest"]);

    shop.define("amd64", "[[source]]\nkind = \"lab\"\nfile = \"none\"\n");
    let ran = shop.images("pull", &[]);
    refused(&ran, 2, &["names no registry: it has lab"]);

    shop.define("arm64", &crate::registry::registry(&name, &digest));
    let ran = shop.images("pull", &[]);
    refused(&ran, 4, &["for `linux/amd64`, not for `linux/arm64`"]);
    assert!(!has(engine, &by_digest), "what is refused does not stay");

    let other = root("ID=made-up\nVERSION_ID=2\n", &shop.target);
    let other = registry.push(engine, "assay-test/refused", &other);
    shop.refer(&name, &other);
    for _ in 0..2 {
        let ran = shop.images("pull", &[]);
        refused(&ran, 4, &["`VERSION_ID` is `2`, not `1`"]);
    }
    assert!(!has(engine, &format!("{name}@sha256:{other}")));

    let lab = root(MADE_UP, &format!("a stand-in for {}", shop.target));
    let lab = registry.push_labelled(engine, "assay-test/refused", &lab, "assay.kind=lab");
    shop.refer(&name, &lab);
    let ran = shop.images("pull", &[]);
    refused(&ran, 4, &["is a stand-in made by `assay-lab`"]);
    assert!(!has(engine, &format!("{name}@sha256:{lab}")));

    // A bit of the layer, then of the configuration, is another.
    let manifest = registry.manifest(&digest);
    for part in [&manifest["layers"][0], &manifest["config"]] {
        let part = part["digest"].as_str().expect("a digest");
        let blob = registry.blob(part.trim_start_matches("sha256:"));
        let kept = fs::read(&blob).expect("the blob");
        flip(&blob);
        shop.refer(&name, &digest);
        let ran = shop.images("pull", &[]);
        refused(
            &ran,
            4,
            &["other bytes than the digest names", "do not trust"],
        );
        assert!(!has(engine, &by_digest));
        fs::write(&blob, kept).expect("mended");
    }

    registry.stop();
    let ran = shop.images("pull", &[]);
    refused(
        &ran,
        8,
        &["the registry does not answer", "reaches the registry"],
    );
    assert_eq!(shop.listed()[0]["present"], false);
}

#[test]
fn a_registry_that_lies_or_wants_a_name_is_refused() {
    let Some(shop) = Shop::start("lies") else {
        return;
    };
    let digest = Digest::of(b"what was promised").to_string();
    let lies = made_up(|line| {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": 2, "digest": format!("sha256:{}", Digest::of(b"{}")),
            },
            "layers": [],
        });
        if line.contains("/manifests/") {
            let kind = "Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\n";
            (200, kind, manifest.to_string())
        } else {
            (200, "", "{}".to_owned())
        }
    });
    shop.refer(&format!("localhost:{lies}/x"), &digest);
    let ran = shop.images("pull", &[]);
    refused(&ran, 4, &["other bytes than the digest names"]);

    let closed = made_up(|_| {
        let errors = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "who are you" }] });
        let head = "WWW-Authenticate: Basic realm=\"x\"\r\n";
        (401, head, errors.to_string())
    });
    shop.refer(&format!("localhost:{closed}/x"), &digest);
    let ran = shop.images("pull", &[]);
    refused(&ran, 8, &["refuses this user", "docker pull localhost:"]);
}

/// A lab of one image with this root file system in a cache.
fn lab(shop: &Shop, root: &[u8]) {
    let folder = shop.world.lab(&json!([{
        "target": "x", "file": "root.tar", "sha256": Digest::of(root), "kind_note": "made up",
    }]));
    fs::write(folder.join("root.tar"), root).expect("a tar");
}

const LAB: &str = "[[source]]\nkind = \"lab\"\nfile = \"x\"\n";

#[test]
fn a_superseded_image_goes_after_what_was_prepared_of_it() {
    let Some(shop) = Shop::start("prune") else {
        return;
    };
    let engine = &shop.world.engine;
    shop.define("amd64", LAB);
    let build = || {
        let ran = shop.images("build", &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let rows = shop.listed();
        rows[0]["id"].as_str().expect("an id").to_owned()
    };
    lab(&shop, &root(MADE_UP, &format!("first {}", shop.target)));
    let first = build();
    let labels = json!({
        "assay.prepared": first, "assay.executor": "another",
        "assay.target": "", "assay.kind": "", "assay.definition": "", "assay.content": "",
        "assay.sources": "", "assay.note": "",
    });
    let prepared = engine.commit(&first, &[], &labels);
    let container = shop.container(&prepared);
    lab(&shop, &root(MADE_UP, &format!("second {}", shop.target)));
    let second = build();
    assert_ne!(first, second);
    assert!(
        has(engine, &first) && has(engine, &prepared),
        "both are in use"
    );

    let kept = shop.document("prune", &[], 0);
    let whys: Vec<&str> = (0..2)
        .filter_map(|at| kept["images"][at]["kept"].as_str())
        .collect();
    assert!(
        whys[0].contains("container") && whys[1] == "what was made of it is kept",
        "{kept}"
    );
    assert_eq!(kept["freed_bytes"], 0);
    engine.remove_container(&container);
    let gone = shop.document("prune", &[], 0);
    let what = |at: usize, key: &str| gone["images"][at][key].as_str().unwrap_or_default();
    assert_eq!(
        (what(0, "what"), what(0, "id")),
        ("prepared", prepared.as_str())
    );
    assert_eq!((what(1, "what"), what(1, "id")), ("lab", first.as_str()));
    assert_eq!(what(1, "because"), "a newer one has its name");
    assert!(!has(engine, &first) && !has(engine, &prepared));
    assert!(has(engine, &second), "the current one stays");

    shop.undefine();
    let last = shop.images("prune", &[]);
    assert!(
        last.stdout.contains("no definition has its target"),
        "{}",
        last.stdout
    );
    assert!(!has(engine, &second));
}

#[test]
fn damage_in_the_engine_and_false_labels_are_found() {
    let Some(shop) = Shop::start("verify") else {
        return;
    };
    let engine = &shop.world.engine;
    shop.define("amd64", LAB);
    lab(&shop, &root(MADE_UP, &format!("whole {}", shop.target)));
    let built = shop.images("build", &[]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let whole = shop.document("verify", &[], 0);
    assert_eq!(whole["images"][0]["verdict"], "verified", "{whole}");
    let id = whole["images"][0]["id"].as_str().expect("an id");

    // An image that says it was bootstrapped here and was not.
    let labels = json!({ "assay.kind": "bootstrap", "assay.content": Digest::of(b"x") });
    let liar = engine.commit(id, &[("/etc", "content", "more", 0o644)], &labels);
    let found = shop.document("verify", &[], 4);
    let rows = found["images"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["id"] == liar.as_str());
    let row = row.unwrap_or_else(|| panic!("{found}"));
    assert_eq!(row["verdict"], "differs");
    assert!(row["findings"][0].to_string().contains("2 layers"), "{row}");
    engine.remove_image(&liar);

    let inspected = engine.json("GET", &format!("/images/{id}/json"), &json!(null));
    let layer = inspected["GraphDriver"]["Data"]["UpperDir"].as_str();
    let layer = layer.expect("these tests need an engine that stores layers as `overlay2` does");
    flip(&std::path::Path::new(layer).join("etc/content"));
    let ran = shop.images("verify", &[]);
    assert_eq!(ran.code, Some(4), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("differs") && ran.stdout.contains("etc/content"),
        "{}",
        ran.stdout
    );
    // Building it again takes the damaged layer as it is; it has to go, and what was made of it.
    let labels = json!({
        "assay.prepared": id, "assay.executor": "another",
        "assay.target": "", "assay.kind": "", "assay.definition": "", "assay.content": "",
    });
    let prepared = engine.commit(id, &[], &labels);
    let ran = shop.images("build", &["--rebuild"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let removed = shop.document("verify", &["--remove"], 4);
    assert_eq!(removed["images"][0]["removed"], true, "{removed}");
    assert!(!has(engine, id) && !has(engine, &prepared));
    let ran = shop.images("build", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let anew = shop.document("verify", &[], 0);
    assert_eq!(anew["images"][0]["id"], id, "the same bytes, the same id");
    shop.undefine();
    assert_eq!(shop.images("prune", &[]).code, Some(0));
    assert!(!has(engine, id));
}

#[test]
fn what_cannot_be_looked_at_is_no_success() {
    let Some(shop) = Shop::start("none") else {
        return;
    };
    let name = "localhost:1/none";
    shop.define("amd64", &registry(name, &Digest::of(b"x").to_string()));
    let ran = shop.images("verify", &[]);
    refused(&ran, 8, &["there is no image of", "assay images build"]);
}
