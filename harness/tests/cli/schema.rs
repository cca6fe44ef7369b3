//! `schema`: every name has a good schema, and what is printed is of the schema it names (each test
//! that reads a document holds it against its own: `Said::json`).

use std::collections::BTreeSet;

use assay_testkit::{Log, PlanBuilder};

use crate::consent::begin;
use crate::env::TestEnv;

#[test]
fn every_schema_is_one() {
    let env = TestEnv::empty();
    insta::assert_snapshot!("list", env.run("schema").whole());
    let list = env.run("schema --format json").json();
    let names = list["schemas"].as_array().expect("a list");
    for row in names {
        let name = row["name"].as_str().expect("a name");
        let said = env.run_words(&["schema", name]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{name}");
        let schema: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
        jsonschema::meta::validate(&schema).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(schema["title"].as_str(), Some(name));
    }
}

#[test]
fn a_small_one_in_full() {
    let said = TestEnv::empty().run("schema assay-check");
    insta::assert_snapshot!(said.whole());
}

#[test]
fn every_document_is_of_its_schema_and_none_is_missing() {
    let plan = PlanBuilder::new("arch", "jq").install("jq").build();
    let journal = Log::new().cell("arch:jq", plan).cleanly().end().journal();
    let env = TestEnv::project()
        .with("recipes/bad.toml", crate::env::BAD)
        .with("old.toml", "[metadata]\nname = \"old\"\n")
        .served("f", "bytes")
        .with(".assay/runs/20260301-120000-c0ffee/journal.jsonl", journal);
    let lines = [
        "check --format json",
        "explain --format json",
        "schema --format json",
        "snapshot check jq --format json",
        "plan jq --on all --format json",
        "plan jq --on all --side-by-side --format json",
        "test jq --list --on all --format json",
        "doctor --format json",
        "migrate old.toml --format json",
        "pin https://packages.assay.test/f --format json",
        "pin --write jq --format json",
        "pin verify jq --format json",
        "new other --format json",
        "report --format json",
        "store list --format json",
        "store verify --format json",
        "store prune --format json",
    ];
    let name = |value: &serde_json::Value| value.as_str().expect("a name").to_owned();
    let mut printed: BTreeSet<String> = lines
        .iter()
        .map(|line| name(&env.run(line).json()["schema"]))
        .collect();
    // These read every recipe, so all are valid, and a repository.
    let env = TestEnv::project();
    begin(&env);
    let of_consents = [
        "consent list jq --format json",
        "consent check jq --format json",
        "consent grant jq --note right --by ann --format json",
        "consent revoke --stale --format json",
        "consent diff HEAD --format json",
    ];
    let of_consents = of_consents.map(|line| name(&env.run(line).json()["schema"]));
    printed.extend(of_consents);
    let list = env.run("schema --format json").json();
    let mut listed: BTreeSet<String> = list["schemas"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| name(&row["name"]))
        .collect();
    for name in ["recipe", "project"] {
        assert!(listed.remove(name), "{name}, which is read, not printed");
    }
    for name in ["assay-images", "assay-verified", "assay-pruned"] {
        assert!(listed.remove(name), "{name}, which takes an engine");
    }
    assert_eq!(printed, listed);
}

#[test]
fn a_document_of_another_schema_is_refused() {
    let env = TestEnv::project();
    let schema = env.run("schema assay-plan").stdout;
    let schema = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a good schema");
    let mut plan = env.run("plan jq --on arch --format json").json();
    assert!(validator.is_valid(&plan));
    plan["plans"][0]["plan"]["target"] = 1.into();
    assert!(!validator.is_valid(&plan));
    assert!(!validator.is_valid(&env.run("check --format json").json()));
}
