//! The shape of the tree, held by a test: which crate may use which, and what no file may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The allowed edges between the crates of the workspace. An edge that is not here is a decision to
/// be made in `harness/ARCHITECTURE.md`, not an oversight to be mended here.
const EDGES: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("packages", &[]),
    ("recipe", &["packages", "wire"]),
    ("plan", &["packages", "recipe", "wire"]),
    ("content", &["wire"]),
    ("executor", &["wire"]),
    ("sandbox", &["wire"]),
    ("observe", &["packages", "wire"]),
    (
        "run",
        &["content", "observe", "packages", "sandbox", "wire"],
    ),
    ("report", &["observe", "wire"]),
    ("lab", &["packages", "wire"]),
    ("testkit", &["wire"]),
    (
        "fuzz",
        &[
            "content", "executor", "observe", "packages", "plan", "recipe", "report", "run",
            "sandbox", "testkit", "wire",
        ],
    ),
    (
        "cli",
        &[
            "content", "observe", "packages", "plan", "recipe", "report", "run", "sandbox", "wire",
        ],
    ),
];

/// Crates that touch no file, process, clock, environment, network or terminal.
const PURE: &[&str] = &["wire", "recipe", "packages", "plan", "observe", "report"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The `assay-*` crates a manifest names in the section of what it links, and of what it tests with.
fn edges(manifest: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut linked, mut tested) = (BTreeSet::new(), BTreeSet::new());
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        } else if let Some(rest) = line.strip_prefix("assay-") {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_lowercase())
                .collect();
            match section {
                "[dependencies]" => linked.insert(name),
                "[dev-dependencies]" => tested.insert(name),
                _ => false,
            };
        }
    }
    (linked, tested)
}

#[test]
fn crates_use_only_what_they_may() {
    let allowed: BTreeMap<&str, BTreeSet<String>> = EDGES
        .iter()
        .map(|(from, to)| (*from, to.iter().map(ToString::to_string).collect()))
        .collect();
    for (name, may) in &allowed {
        let path = if *name == "cli" {
            root().join("Cargo.toml")
        } else {
            root().join(format!("harness/{name}/Cargo.toml"))
        };
        let manifest =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (linked, tested) = edges(&manifest);
        let extra: Vec<_> = linked.difference(may).collect();
        assert!(
            extra.is_empty(),
            "`{name}` links {extra:?}, which it may not"
        );
        assert!(!linked.contains("lab"), "the lab is never linked");
        assert!(
            *name == "fuzz" || !linked.contains("testkit"),
            "`{name}` links the testkit outside its tests"
        );
        // The fuzz targets are a test of the root package, and its container tests forge repositories; so do
        // the tests of who reads what came from one.
        let (may_test, forges) = match *name {
            "cli" => (&allowed["fuzz"], true),
            "run" => (may, true),
            _ => (may, false),
        };
        let tested_with: Vec<_> = tested
            .iter()
            .filter(|dev| *dev != "testkit" && !may_test.contains(*dev))
            .filter(|dev| !(forges && *dev == "lab"))
            .collect();
        assert!(
            tested_with.is_empty(),
            "`{name}` is tested with {tested_with:?}, which points the wrong way"
        );
    }
    let members: BTreeSet<_> = fs::read_dir(root().join("harness"))
        .expect("harness/")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            path.join("Cargo.toml")
                .exists()
                .then(|| path.file_name()?.to_str().map(str::to_owned))
                .flatten()
        })
        .collect();
    let named: BTreeSet<_> = allowed
        .keys()
        .filter(|name| **name != "cli")
        .map(ToString::to_string)
        .collect();
    assert_eq!(members, named, "every crate stands in the table of edges");
}

#[test]
fn pure_crates_ban_io() {
    for name in PURE {
        let path = root().join(format!("harness/{name}/clippy.toml"));
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for banned in [
            "std::fs::",
            "std::process::Command",
            "std::env::",
            "SystemTime::now",
            "Instant::now",
        ] {
            assert!(
                text.contains(banned),
                "`{name}`'s clippy.toml does not ban `{banned}`"
            );
        }
    }
}

#[test]
fn an_engine_client_lives_in_one_folder_and_toml_in_its_own() {
    for (path, text) in sources() {
        let path = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        if text.contains("bollard::") && !path.contains("/tests/") {
            assert!(
                path.starts_with("harness/sandbox/src/docker/"),
                "{path} uses bollard"
            );
        }
        let uses_pgp = text.contains("use pgp::") || text.contains(" pgp::");
        if uses_pgp && !path.contains("/tests/") {
            let places = ["harness/content/src/openpgp/", "harness/lab/src/"];
            assert!(
                places.iter().any(|place| path.starts_with(place)),
                "{path} uses rPGP"
            );
        }
        // What reads hostile bytes gets them and the time from elsewhere.
        if path.starts_with("harness/content/src/openpgp/") && !path.contains("tests") {
            let impure = ["std::fs", "std::env", "SystemTime", "Instant"];
            let found = impure.into_iter().find(|word| text.contains(word));
            assert_eq!(found, None, "{path} is pure");
        }
        if text.contains("hyper::") && !path.contains("/tests/") {
            let places = ["harness/content/src/proxy/", "harness/sandbox/src/docker/"];
            assert!(
                places.iter().any(|place| path.starts_with(place)),
                "{path} uses hyper"
            );
        }
    }
}

#[test]
fn every_document_that_is_printed_has_a_schema_to_ask_for() {
    let mut printed = BTreeSet::from([assay_report::json::SCHEMA.to_owned()]);
    let mut calls = 0;
    for (path, text) in sources() {
        if path.starts_with(root().join("harness/cli")) {
            calls += text.matches("terminal.json(").count();
            printed.extend(named(&text, "schema: \""));
        }
    }
    let table = root().join("harness/cli/schema.rs");
    let rows = named(&fs::read_to_string(table).expect("the table"), "name: \"");
    assert_eq!(printed, rows, "documents, and rows of `assay schema`");
    // Two of the calls print a schema; the record has a writer of its own.
    assert_eq!(calls, printed.len() - 1 + 2, "a document without a name");
}

/// What stands in quotes after these words.
fn named(text: &str, before: &str) -> BTreeSet<String> {
    let ends = text.split(before).skip(1);
    ends.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

#[test]
fn every_module_says_what_it_is_for_and_none_is_a_warehouse() {
    for (path, text) in sources() {
        let name = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        assert!(
            text.starts_with("//!"),
            "{name} does not open with what it is for"
        );
        let lines = text.lines().count();
        assert!(
            lines <= 750,
            "{name} has {lines} lines: is there a room of its own in it?"
        );
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    walk(&root().join("harness"), &mut found);
    assert!(found.len() > 50, "the walk finds the sources");
    found
}

fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            // `cargo fuzz` by itself builds below its own package.
            if !path.ends_with("target") {
                walk(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("source text");
            found.push((path, text));
        }
    }
}
