//! The log of the samples: against the schema of the standard, its references against each other, and
//! what hostile texts come to.

use assay_observe::fold;
use assay_testkit::{Log as Journal, PlanBuilder};
use assay_wire::event::Ending;
use serde_json::Value;

use super::*;
use crate::sample;
use crate::sanitise::is_hidden;

/// The schema of the standard, as OASIS publishes it (`harness/report/schemata/README.md`).
const STANDARD: &str = include_str!("../../schemata/sarif-2.1.0.json");

fn rendered(record: &Record) -> String {
    let mut out = Vec::new();
    sarif(record, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn read(record: &Record) -> Value {
    serde_json::from_str(&rendered(record)).expect("it is JSON")
}

fn samples() -> Vec<Record> {
    let mut torn = sample::privileged::record();
    torn.run.end = RunEnd::Truncated;
    torn.run.start.started = "yesterday".to_owned();
    torn.cells.truncate(1);
    torn.cells[0].facts.planned.locations.clear();
    vec![
        sample::record(),
        sample::with_fallback(Ending::Exited(1)),
        sample::with_fallback(Ending::Exited(0)),
        sample::privileged::record(),
        sample::privileged::outside(),
        torn,
    ]
}

#[test]
fn the_sample() {
    insta::assert_snapshot!(rendered(&sample::record()));
}

#[test]
fn what_only_root_may_do() {
    insta::assert_snapshot!("privileged", rendered(&sample::privileged::record()));
}

#[test]
fn it_is_of_the_schema_of_the_standard() {
    let mut schema: Value = serde_json::from_str(STANDARD).expect("it is JSON");
    // Of a property that is not written, and with one bracket too many for a strict reader.
    for definition in ["run", "toolComponent"] {
        let language = format!("/definitions/{definition}/properties/language");
        let language = schema.pointer_mut(&language).and_then(Value::as_object_mut);
        let pattern = language.expect("a property").remove("pattern");
        assert!(pattern.is_some(), "a pattern");
    }
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.build(&schema).expect("a good schema");
    for record in samples() {
        let mut log = read(&record);
        let faults = validator.iter_errors(&log).map(|fault| fault.to_string());
        assert_eq!(faults.collect::<Vec<_>>(), [] as [String; 0]);
        log["runs"][0]["invocations"][0]["startTimeUtc"] = "yesterday".into();
        assert!(!validator.is_valid(&log), "formats are looked at");
    }
}

#[test]
fn what_it_refers_to_is_there() {
    for record in samples() {
        let log = read(&record);
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        let refers = |reference: &Value, list: &Value, key: &str| {
            let index = reference["index"].as_u64().expect("an index");
            let index = usize::try_from(index).expect("a position");
            assert_eq!(list[index]["id"], reference[key], "{reference}");
        };
        let taxa = &run["taxonomies"][0]["taxa"];
        for rule in driver["rules"].as_array().into_iter().flatten() {
            for relationship in rule["relationships"].as_array().into_iter().flatten() {
                refers(&relationship["target"], taxa, "id");
            }
            for text in ["shortDescription", "fullDescription", "help"] {
                let text = rule[text]["text"].as_str().expect("a text");
                assert!(text.ends_with('.') && text.len() > 20, "{text}");
            }
        }
        let mut fingerprints = BTreeSet::new();
        for result in run["results"].as_array().expect("results") {
            let index = result["ruleIndex"].as_u64().expect("an index");
            let index = usize::try_from(index).expect("a position");
            assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
            for taxon in result["taxa"].as_array().into_iter().flatten() {
                refers(taxon, taxa, "id");
                assert_eq!(taxon["toolComponent"]["name"], run["taxonomies"][0]["name"]);
            }
            let prints = &result["partialFingerprints"];
            let known = fingerprints.insert(prints["assayFinding/v1"].to_string());
            assert!(known, "{result}");
        }
        let notifications = &run["invocations"][0]["toolExecutionNotifications"];
        for notification in notifications.as_array().expect("notifications") {
            refers(&notification["descriptor"], &driver["notifications"], "id");
        }
    }
}

#[test]
fn a_result_is_at_its_step_and_as_grave_as_its_risk() {
    let log = read(&sample::privileged::record());
    let results = log["runs"][0]["results"].as_array().expect("results");
    let of = |rule: &str| {
        let mut found = results.iter().filter(|result| {
            result["ruleId"] == rule && result["properties"]["recipes"][0] == "engine"
        });
        found
            .next()
            .unwrap_or_else(|| panic!("no result of {rule}"))
    };
    let helper = of("undeclared_operation/file.setuid");
    assert_eq!(helper["level"], "error");
    assert_eq!(helper["taxa"][0]["id"], "T1548.001");
    assert_eq!(
        helper["properties"]["targets"].as_array().map(Vec::len),
        Some(2)
    );
    let place = &helper["locations"][0];
    assert_eq!(
        place["logicalLocations"][0]["fullyQualifiedName"],
        "engine#4"
    );
    assert_eq!(
        place["physicalLocation"]["artifactLocation"]["uriBaseId"],
        "%SRCROOT%"
    );
    assert_eq!(of("undeclared_operation/cron")["level"], "warning");
    assert_eq!(of("consent_forbidden/group.member")["level"], "error");
    let missing = of("consent_missing/accompanying")["message"]["text"].to_string();
    assert!(
        missing.contains("grant: assay consent grant engine --from"),
        "{missing}"
    );
    let forbidden = of("consent_forbidden/group.member")["message"]["text"].to_string();
    assert!(!forbidden.contains("assay consent grant"), "{forbidden}");
    // What `expected.toml` says of a cell is known, and nobody has to act on it.
    let expected = results
        .iter()
        .filter(|result| result["suppressions"].is_array());
    let expected: Vec<&Value> = expected.collect();
    assert!(!expected.is_empty());
    for result in expected {
        assert_eq!(result["properties"]["recipes"][0], "hostile");
        assert_eq!(result["level"], "note");
    }
}

#[test]
fn a_finding_is_found_again() {
    let prints = |record: &Record| -> Vec<String> {
        let log = read(record);
        let results = log["runs"][0]["results"]
            .as_array()
            .expect("results")
            .clone();
        results
            .iter()
            .map(|result| result["partialFingerprints"]["assayFinding/v1"].to_string())
            .collect()
    };
    let record = sample::privileged::record();
    let mut other = sample::privileged::record();
    // Another line, another target beside it, another program, another day.
    other.cells.remove(0);
    for cell in &mut other.cells {
        for known in &mut cell.facts.planned.locations {
            known.location.line += 7;
        }
        for seen in &mut cell.observed.operations {
            seen.operation.actor = None;
        }
    }
    let of_operations = |prints: Vec<String>| -> BTreeSet<String> { prints.into_iter().collect() };
    assert_eq!(
        of_operations(prints(&record)),
        of_operations(prints(&other))
    );
}

#[test]
fn nothing_hostile_is_a_link_a_placeholder_or_hidden_and_all_is_bounded() {
    /// Every string, and whether it is a message.
    fn strings<'v>(value: &'v Value, is_text: bool, found: &mut Vec<(bool, &'v str)>) {
        match value {
            Value::String(text) => found.push((is_text, text)),
            Value::Array(values) => values.iter().for_each(|value| strings(value, false, found)),
            Value::Object(members) => members
                .iter()
                .for_each(|(name, value)| strings(value, name == "text", found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    for record in samples() {
        let text = rendered(&record);
        assert!(text.len() < 300_000, "{}", text.len());
        assert!(!text.contains(sanitise::LOG_COMMAND));
        assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)));
        let log: Value = serde_json::from_str(&text).expect("it is JSON");
        let mut found = Vec::new();
        strings(&log, false, &mut found);
        for (is_text, text) in found {
            if is_text {
                assert!(!text.contains("]("), "{text}");
                let placeholder = text.replace("{{", "").replace("}}", "");
                assert!(!placeholder.contains(['{', '}']), "{text}");
            }
            assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text}");
            assert!(text.len() < 60_000, "{}", text.len());
        }
    }
}

#[test]
fn results_beyond_what_readers_take_are_left_out_and_that_is_said() {
    let mut record = sample::privileged::record();
    let operations = &mut record.cells[0].observed.operations;
    let one = operations[1].clone();
    operations.extend((0..RESULTS).map(|number| {
        let mut one = one.clone();
        one.operation.subject = format!("/etc/cron.d/{number}");
        one.digest = assay_wire::digest::Digest::of(one.operation.subject.as_bytes());
        one
    }));
    let log = read(&record);
    let run = &log["runs"][0];
    assert_eq!(run["results"].as_array().map(Vec::len), Some(RESULTS));
    assert_eq!(run["results"][0]["level"], "error");
    let notifications = run["invocations"][0]["toolExecutionNotifications"].to_string();
    assert!(
        notifications.contains("more results are left out"),
        "{notifications}"
    );
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
}

#[test]
fn a_run_of_nothing_but_passes_has_no_result() {
    let plan = PlanBuilder::new("arch", "jq").install("jq").build();
    let log = Journal::new().cell("arch:jq", plan).cleanly().end();
    let mut record = fold(log.envelopes()).expect("a good log");
    sample::privileged::are_declared(&mut record.cells[0]);
    let log = read(&record);
    let run = &log["runs"][0];
    assert_eq!(run["results"], serde_json::json!([]));
    assert_eq!(run["taxonomies"], Value::Null);
    assert_eq!(run["invocations"][0]["exitCode"], 0);
}
