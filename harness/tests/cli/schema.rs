//! `schema`: every name has a good schema, and what is printed is of the schema it names (each test
//! that reads a document holds it against its own: `Said::json`).

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
fn what_is_printed_is_of_its_schema() {
    let env = TestEnv::project().with("recipes/bad.toml", crate::env::BAD);
    for line in [
        "check --format json",
        "explain --format json",
        "schema --format json",
        "snapshot check jq --format json",
        "plan jq --on all --format json",
        "test jq --list --on all --format json",
        "doctor --format json",
    ] {
        env.run(line).json();
    }
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
