//! The JSON Schema of a recipe against the parser: it refuses nothing that is a recipe, knows the
//! very keys the parser knows, and finds what an editor should find.
#![expect(
    clippy::disallowed_methods,
    reason = "the recipes are files; the crate itself reads none"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assay_recipe::action::{ACTIONS, COMMON_KEYS, grammar};
use assay_recipe::schema::{json_schema, project_schema};
use assay_recipe::{Code, Diagnostic, Severity, decode, parse, parse_project};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;

fn validator() -> Validator {
    jsonschema::draft7::new(&json_schema()).expect("a good schema")
}

fn document(text: &str) -> Option<Value> {
    toml::from_str(text.trim_start_matches('\u{feff}')).ok()
}

fn faults(validator: &Validator, text: &str) -> Vec<String> {
    let document = document(text).unwrap_or_else(|| panic!("no TOML: {text}"));
    let found = validator.iter_errors(&document);
    found
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("a folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a file");
            (path, decode(&bytes).0.into_owned())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// True for a text the parser has nothing against; a key without effect is something an editor may
/// find, too.
fn is_recipe(text: &str) -> bool {
    let found = parse(None, text).diagnostics;
    let against = |one: &Diagnostic| one.severity == Severity::Error || one.code == Code::UnusedKey;
    !found.iter().any(against)
}

#[test]
fn it_is_a_schema_of_draft_07() {
    let schema = json_schema();
    jsonschema::meta::validate(&schema).expect("a good schema");
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    insta::assert_json_snapshot!(schema["definitions"]["apt_install"]);
}

#[test]
fn every_recipe_is_of_the_schema() {
    let validator = validator();
    let mut accepted = 0;
    let places = ["../../recipes", "tests/good", "tests/fixtures/recipe"];
    let all = places.into_iter().flat_map(files);
    for (path, text) in all.filter(|(_, text)| is_recipe(text)) {
        accepted += 1;
        let none: [String; 0] = [];
        assert_eq!(faults(&validator, &text), none, "{}", path.display());
    }
    assert!(accepted > 15, "{accepted}");
}

#[test]
fn what_an_editor_should_find_it_finds() {
    let validator = validator();
    let found = [
        Code::InvalidCommand,
        Code::InvalidDuration,
        Code::InvalidExitCode,
        Code::InvalidFingerprint,
        Code::InvalidGroupName,
        Code::InvalidPackageName,
        Code::InvalidRecipeName,
        Code::InvalidRole,
        Code::InvalidSha256,
        Code::InvalidStepId,
        Code::InvalidUserName,
        Code::InvalidVersion,
        Code::MissingKey,
        Code::OldInstallText,
        Code::OptionInjection,
        Code::PlatformWithOs,
        Code::RequirementKind,
        Code::UnknownAction,
        Code::UnknownKey,
        Code::UnknownWord,
        Code::UrlNotHttps,
        Code::UrlOfRepoFile,
        Code::UrlWithFragment,
        Code::WrongType,
    ];
    let mut seen = BTreeSet::new();
    for (path, text) in files("tests/fixtures/recipe") {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let name = name.expect("a name").split("--").next().unwrap_or_default();
        let Some(code) = found.iter().find(|code| code.as_str() == name) else {
            continue;
        };
        let Some(document) = document(&text) else {
            panic!("{} is no TOML", path.display());
        };
        seen.insert(*code);
        assert!(!validator.is_valid(&document), "{}", path.display());
    }
    assert_eq!(seen.len(), found.len(), "each has a file: {seen:?}");
}

/// What each key of any action may hold.
fn good_value(key: &str) -> &'static str {
    match key {
        "packages" => "[\"jq\"]",
        "recommends" | "repo_gpgcheck" | "create" => "true",
        "unless_command" | "command" => "\"jq\"",
        "fallback" | "text" | "description" => "\"Look it up.\"",
        "tap" | "ppa" => "\"owner/name\"",
        "url" | "key_url" => "\"https://example.org/x\"",
        "key_sha256" | "sha256" => {
            "\"1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570\""
        }
        "key_fingerprints" | "key_fingerprint" => "\"9DC858229FC7DD38854AE2D88D81803C0EBFCD88\"",
        "suites" => "\"{codename}\"",
        "components" | "name" | "id" | "group" | "user" => "\"main\"",
        "service" => "\"docker.service\"",
        "min_version" => "\"1.6\"",
        "version_flag" => "\"--version\"",
        "version_regex" => "\"([0-9.]+)\"",
        "dest" | "archive" | "from" => "\"/opt/x\"",
        "strip_components" => "1",
        "binaries" => "[\"bin/jq\"]",
        "mode" => "\"0755\"",
        "when" => "{ os = [\"linux\"] }",
        other => panic!("`{other}` has no value here"),
    }
}

/// Each action with its keys and those it must have, as the schema says.
fn actions() -> Vec<(String, BTreeSet<String>, BTreeSet<String>)> {
    let schema = json_schema();
    let definitions = schema["definitions"].as_object().expect("a table");
    let steps = definitions.iter().filter(|(name, _)| *name != "when");
    let words = |value: &Value| -> BTreeSet<String> {
        let texts = value.as_array().expect("a list").iter();
        texts
            .map(|one| one.as_str().expect("a word").to_owned())
            .collect()
    };
    let step = |step: &Value| {
        let keys = step["properties"].as_object().expect("a table").keys();
        let name = step["title"].as_str().expect("a word").to_owned();
        let keys = keys.filter(|key| *key != "action").cloned();
        let mut required = words(&step["required"]);
        required.remove("action");
        (name, keys.collect(), required)
    };
    steps.map(|(_, value)| step(value)).collect()
}

#[test]
fn the_schema_has_the_vocabulary() {
    let common = |key: &&String| !COMMON_KEYS.contains(&key.as_str());
    let mut all: BTreeSet<&str> = ACTIONS.iter().map(|action| action.name).collect();
    for (name, keys, _) in actions() {
        let action = grammar(&name).unwrap_or_else(|| panic!("`{name}` is no action"));
        let own: BTreeSet<&str> = keys.iter().filter(common).map(String::as_str).collect();
        assert_eq!(own, action.keys.iter().copied().collect(), "{name}");
        all.remove(action.name);
    }
    assert_eq!(all, BTreeSet::new(), "an editor knows every action");
}

fn step(action: &str, entries: &[(&str, &str)]) -> String {
    let lines: Vec<String> = entries
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    format!(
        "[metadata]\nname = \"x\"\n[[steps]]\naction = \"{action}\"\n{}",
        lines.concat()
    )
}

fn codes(text: &str) -> Vec<Code> {
    let found = parse(None, text).diagnostics;
    found.iter().map(|one| one.code).collect()
}

#[test]
fn the_parser_knows_the_same_actions_and_keys() {
    let actions = actions();
    let mut all: BTreeSet<&String> = actions.iter().flat_map(|(_, keys, _)| keys).collect();
    let others = ["dependencies".to_owned(), "foo".to_owned()];
    all.extend(&others);
    for (action, keys, required) in &actions {
        for key in &all {
            let value = if others.contains(key) {
                "1"
            } else {
                good_value(key)
            };
            let unknown = codes(&step(action, &[(key, value)])).contains(&Code::UnknownKey);
            assert_eq!(unknown, !keys.contains(*key), "`{key}` of `{action}`");
        }
        let whole: Vec<_> = required
            .iter()
            .map(|key| (&**key, good_value(key)))
            .collect();
        let text = step(action, &whole);
        assert!(is_recipe(&text), "{text}");
        for without in 0..whole.len() {
            let mut less = whole.clone();
            less.remove(without);
            assert!(!is_recipe(&step(action, &less)), "{less:?}");
        }
    }
}

proptest! {
    #[test]
    fn it_refuses_nothing_that_is_a_recipe(
        (at, key) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        text in prop_oneof![
            "[a-z0-9._+@/:{}<>=, -]{1,12}",
            "https://[a-z.]{1,8}[a-z/?=%{}0-9.-]{0,12}",
            "(>=|=|<)? ?[0-9a-z.~+-]{1,6}(, ?(<|>=)[0-9.]{1,4})?",
            "[A-Za-z]{1,3}[-._+@/a-z0-9]{0,8}",
            "\\PC{1,8}",
            "[0-9a-fA-F]{40}",
            "[0-9]{1,4}(ms|s|m|h)?",
            Just("{codename}".to_owned()),
        ],
    ) {
        thread_local!(static VALIDATOR: Validator = validator());
        let actions = actions();
        let (action, keys, required) = at.get(&actions);
        let keys: Vec<&String> = keys.iter().collect();
        let key = key.get(&keys);
        let value = Value::String(text.clone()).to_string();
        let distro = format!("{{ distro = {value} }}");
        let package = format!("{{ name = \"jq\", version = {value} }}");
        let values = [&value, &format!("[{value}]"), &distro, &package, "3", "true"];
        for value in values {
            let mut entries: Vec<_> = required.iter().map(|key| (&**key, good_value(key))).collect();
            entries.retain(|(name, _)| name != *key);
            entries.push((key, value));
            let text = step(action, &entries);
            if is_recipe(&text) {
                let found = VALIDATOR.with(|validator| faults(validator, &text));
                prop_assert!(found.is_empty(), "{text}\n{found:?}");
            }
        }
    }
}

#[test]
fn a_projects_file_has_a_schema_with_every_key() {
    let schema = project_schema();
    jsonschema::meta::validate(&schema).expect("a good schema");
    let validator = jsonschema::draft7::new(&schema).expect("a good schema");
    let full = r#"
targets = ["debian-12", "arch-arm64"]
[paths]
recipes = "a/recipes"
snapshots = "b"
base_images = "c/"
[lints]
no-steps = "deny"
unmatched-expectation = "allow"
[network]
timeout = "30s"
allow = ["10.0.0.0/8", "fd00::/8", "::1", "mirror.corp.example", "localhost"]
[network.mirrors]
"https://example.org/pub/" = ["https://mirror.corp.example:8443/", "https://a.example/b/"]
"https://example.com/" = "https://a.example/c/"
[policy]
groups = ["docker"]
services = "nginx"
forbidden_kinds = ["kmod"]
group_tiers = { redis = "safe" }
[[policy.repositories]]
url = "https://example.org/pub/"
fingerprints = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
machine_wide = true
"#;
    let others = [assay_recipe::OtherCode {
        name: "unmatched-expectation",
        severity: Severity::Warning,
    }];
    assert_eq!(parse_project(full, &others).diagnostics, []);
    assert_eq!(faults(&validator, full), [] as [String; 0]);
    let keys = |at: &str| -> BTreeSet<String> {
        let table = schema.pointer(at).and_then(Value::as_object);
        table.expect("a table").keys().cloned().collect()
    };
    // No key of the schema is one the parser does not know, nor the other way round.
    for (at, prefix) in [
        ("", ""),
        ("/properties/paths", "paths."),
        ("/properties/network", "network."),
        ("/properties/policy", "policy."),
    ] {
        for key in keys(&format!("{at}/properties")) {
            let text = format!("{prefix}{key} = 1\n");
            let codes: Vec<Code> = parse_project(&text, &[])
                .diagnostics
                .iter()
                .map(|it| it.code)
                .collect();
            assert_eq!(codes, [Code::WrongType], "{text}");
        }
        let known = keys(&format!("{at}/properties"))
            .into_iter()
            .collect::<Vec<_>>();
        let help = parse_project(&format!("{prefix}zzzzzzzzzz = 1\n"), &[]).diagnostics;
        let help = help[0].help.clone().expect("the keys");
        assert_eq!(
            help.matches('`').count(),
            2 * known.len(),
            "{help}: {known:?}"
        );
    }
    for bad in [
        "[network]\nallow = [\"10.0.0.0/x\"]\n",
        "[network]\nallow = \"Host\"\n",
        "[network.mirrors]\n\"http://example.org/\" = \"https://a.example/\"\n",
        "[network.mirrors]\n\"https://example.org/\" = \"https://a.example/x\"\n",
        "[paths]\nrecipes = \"/etc\"\n",
        "[lints]\nno-steps = \"loud\"\n",
        "unknown = 1\n",
        "[policy]\ngroups = \"Docker\"\n",
        "[policy]\nforbidden_kinds = [\"kmods\"]\n",
        "[policy]\ngroup_tiers = { docker = \"unsafe\" }\n",
        "[[policy.repositories]]\nurl = \"https://example.org/\"\n",
    ] {
        assert_ne!(faults(&validator, bad), [] as [String; 0], "{bad}");
        assert_ne!(parse_project(bad, &[]).diagnostics, [], "{bad}");
    }
}
