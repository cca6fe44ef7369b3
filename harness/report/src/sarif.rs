//! The record as a SARIF 2.1.0 log (OASIS Static Analysis Results Interchange Format): a result for every
//! operation that nothing explains or that has no consent, for every gap, failure and finding about a
//! snapshot or a key, at the step of the recipe that is to blame.
//!
//! What did not come to a result – infrastructure, cells that did not run, a run without an end – is a
//! notification of the invocation: it says nothing about a recipe. What `expected.toml` says is a result
//! that is suppressed. [`log`](self) holds the objects, `rules` the rules, `findings` what is wrong,
//! `places` files and regions.
//!
//! The log names no category of its own (`automationDetails`): who uploads the shards of a matrix gives
//! each one.

mod findings;
mod log;
mod places;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use assay_observe::expectation::Verdict;
use assay_observe::record::RunEnd;
use assay_observe::{Outcome, Record, exit_code};
use assay_wire::digest::digest_of;

use crate::json;
use crate::sanitise;
use crate::words::{because, cell_title, counts_in_words, selection};
use findings::{Finding, LINE, findings};
use log::{
    Base, Component, Entry, EntryProperties, Invocation, Level, Log, Notification, Reference, Run,
    RunProperties, Suppression, Text, Tool,
};
use rules::{Notice, Rule, Taxonomy};

/// Where the schema of the standard is.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Results that are written, the gravest first: as many as GitHub shows of a log.
const RESULTS: usize = 5000;
/// Lines of a message.
const LINES: usize = 100;
/// Notifications about cells.
const NOTICES: usize = 1000;
/// Words of the command line that are told.
const ARGUMENTS: usize = 200;

/// Writes a record as a SARIF log.
///
/// # Errors
/// If the writer fails.
pub fn sarif(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let found = findings(record);
    let left_out = found.len().saturating_sub(RESULTS);
    let found = &found[..found.len().min(RESULTS)];
    let rules: BTreeSet<Rule> = found.iter().map(|finding| finding.rule).collect();
    let rules: Vec<Rule> = rules.into_iter().collect();
    let of_rules = rules.iter().filter_map(|rule| rule.technique());
    let of_operations = found
        .iter()
        .filter_map(|finding| finding.operation.as_ref());
    let of_operations = of_operations.flat_map(|operation| operation.techniques.iter().copied());
    let taxonomy = Taxonomy::of(of_rules.chain(of_operations));
    let notices = notices(record, left_out);
    let kinds: BTreeSet<Notice> = notices.iter().map(|told| told.notice).collect();
    let kinds: Vec<Notice> = kinds.into_iter().collect();
    let mut known = BTreeSet::new();
    let results = found
        .iter()
        .map(|finding| entry(finding, &rules, &taxonomy, &mut known));
    let results = results.collect();
    let component = taxonomy.component();
    let references = component.iter().map(|_| Taxonomy::component_reference());
    let harness = sanitise::line(&record.run.start.harness, LINE);
    let driver = Component {
        name: "Assay",
        full_name: format!("Assay {harness}"),
        semantic_version: Some(harness.clone()),
        version: harness,
        short_description: Text {
            text: "Runs provisioning recipes in sandboxes, and shows what they do that only root may do."
                .to_owned(),
        },
        rules: rules
            .iter()
            .map(|rule| rule.descriptor(&taxonomy))
            .collect(),
        notifications: kinds.iter().map(|notice| notice.descriptor()).collect(),
        supported_taxonomies: references.collect(),
        ..Component::default()
    };
    let base = Base {
        description: text("the folder in which the run was started"),
    };
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool { driver },
            invocations: [invocation(record, notices, &kinds)],
            taxonomies: component.into_iter().collect(),
            original_uri_base_ids: BTreeMap::from([(places::BASE, base)]),
            column_kind: "unicodeCodePoints",
            results,
            properties: RunProperties {
                run: record.run.id.to_string(),
            },
        }],
    };
    json::pretty(&log, out)
}

fn entry(
    finding: &Finding<'_>,
    rules: &[Rule],
    taxonomy: &Taxonomy,
    known: &mut BTreeSet<String>,
) -> Entry {
    let first = finding.cells.first();
    let steps = first.map_or(Vec::new(), |cell| places::of_steps(cell, &finding.steps));
    // The first step that has a place; without one, any line of the recipe: many readers want one.
    let (mut at, mut related): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for place in steps {
        match at.is_empty() && place.physical_location.is_some() {
            true => at.push(place),
            false => related.push(place),
        }
    }
    if at.is_empty() {
        at.extend(first.and_then(|cell| places::of_recipe(cell)));
    }
    if at.is_empty() {
        std::mem::swap(&mut at, &mut related);
    }
    let fingerprint = fingerprint(finding, known);
    let operation = finding.operation.as_ref();
    let techniques = operation.map_or(&[][..], |operation| &operation.techniques);
    let rule_index = rules.binary_search(&finding.rule).unwrap_or_default();
    let recipes = first.map_or(&[][..], |cell| &cell.facts.cell.recipes);
    let mut targets: Vec<String> = Vec::new();
    for cell in &finding.cells {
        let target = cell.facts.cell.target.to_string();
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Entry {
        rule_id: finding.rule.id(),
        rule_index,
        level: finding.level,
        message: message(finding),
        locations: at,
        related_locations: related,
        partial_fingerprints: BTreeMap::from([
            ("assayFinding/v1", fingerprint.clone()),
            // The only one that GitHub looks at. Made of a line alone, two operations of a step were one.
            ("primaryLocationLineHash", fingerprint),
        ]),
        taxa: techniques
            .iter()
            .filter_map(|id| taxonomy.reference(id))
            .collect(),
        suppressions: finding
            .expected
            .iter()
            .map(|words| Suppression {
                kind: "external",
                status: "accepted",
                justification: words.clone(),
            })
            .collect(),
        properties: EntryProperties {
            recipes: recipes.iter().map(ToString::to_string).collect(),
            targets,
            kind: operation.map(|operation| operation.kind),
            subject: operation.map(|operation| operation.subject.clone()),
            risk: operation.map(|operation| operation.risk.as_str()),
            digest: operation.map(|operation| format!("sha256:{}", operation.digest)),
        },
    }
}

/// The same for the same finding of another run, and no other's of this one.
fn fingerprint(finding: &Finding<'_>, known: &mut BTreeSet<String>) -> String {
    let mut number = 0_u32;
    loop {
        let digest = match number {
            0 => finding.identity,
            again => digest_of(&(finding.identity, again)),
        };
        let text = digest.to_string();
        if known.insert(text.clone()) {
            return text;
        }
        number += 1;
    }
}

/// What is wrong, where, and what to know of it.
fn message(finding: &Finding<'_>) -> Text {
    let cells = finding.cells_in_words();
    let lines = [finding.headline.as_str(), cells.as_str()].into_iter();
    let lines = lines.chain(finding.lines.iter().map(String::as_str));
    let lines = lines.map(|line| sanitise::line(line, LINE));
    let lines: Vec<String> = lines.take(LINES).collect();
    text(&lines.join("\n"))
}

/// A text without placeholders (3.11.5) and links (3.11.6), whatever stands in it.
fn text(text: &str) -> Text {
    let text = text.replace('{', "{{").replace('}', "}}");
    Text {
        text: text.replace("](", "] ("),
    }
}

/// Something that is no result.
struct Told {
    notice: Notice,
    level: Level,
    text: String,
    place: Option<log::Place>,
}

fn notices(record: &Record, left_out: usize) -> Vec<Told> {
    let mut told = Vec::new();
    let mut of_run = |notice, level, text: String| {
        told.push(Told {
            notice,
            level,
            text,
            place: None,
        });
    };
    of_run(Notice::Summary, Level::Note, counts_in_words(record));
    let end = match record.run.end {
        RunEnd::Complete => None,
        RunEnd::Interrupted => Some("the run was interrupted"),
        RunEnd::Truncated => Some("the run was killed or still runs: its journal has no end"),
    };
    if let Some(end) = end {
        of_run(Notice::RunEnd, Level::Error, end.to_owned());
    }
    if left_out > 0 {
        let words = format!("{left_out} more results are left out: --format json has all");
        of_run(Notice::LeftOut, Level::Warning, words);
    }
    let without_result = record.cells.iter();
    let without_result = without_result.filter(|cell| cell.verdict == Verdict::NoResult);
    for cell in without_result.take(NOTICES) {
        let (level, hint) = match &cell.outcome {
            Outcome::Infra { hint, .. } => (Level::Error, hint.as_deref()),
            Outcome::Cancelled { .. } => (Level::Error, None),
            Outcome::Passed
            | Outcome::Failed { .. }
            | Outcome::Unsupported { .. }
            | Outcome::Manual { .. }
            | Outcome::NotRun { .. } => (Level::Warning, None),
        };
        let kind = cell.outcome.kind();
        let words = [
            format!("{}: {kind}: {}", cell_title(cell), because(&cell.outcome)),
            hint.unwrap_or_default().to_owned(),
            format!("again: assay test {}", selection(record, cell)),
        ];
        let words = words.iter().filter(|words| !words.is_empty());
        let words: Vec<String> = words.map(|words| sanitise::line(words, LINE)).collect();
        told.push(Told {
            notice: Notice::Cell(kind),
            level,
            text: words.join("\n"),
            place: places::of_recipe(cell),
        });
    }
    told
}

fn invocation(record: &Record, notices: Vec<Told>, kinds: &[Notice]) -> Invocation {
    let code = exit_code(record);
    let start = &record.run.start;
    let arguments = start.arguments.iter().take(ARGUMENTS);
    let notifications = notices.into_iter().map(|told| Notification {
        descriptor: Reference {
            id: told.notice.id().to_owned(),
            index: kinds.binary_search(&told.notice).unwrap_or_default(),
            tool_component: None,
        },
        level: told.level,
        message: text(&told.text),
        locations: told.place.into_iter().collect(),
    });
    let notifications: Vec<Notification> = notifications.collect();
    Invocation {
        arguments: arguments
            .map(|argument| sanitise::line(argument, LINE))
            .collect(),
        start_time_utc: is_time(&start.started).then(|| start.started.clone()),
        exit_code: code.number(),
        exit_code_description: code.meaning(),
        execution_successful: notifications.iter().all(|told| told.level != Level::Error),
        tool_execution_notifications: notifications,
    }
}

/// True for a date and time in UTC as a run's start is written (RFC 3339).
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00Z";
    let as_in_form = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    text.len() == FORM.len() && text.bytes().zip(FORM.iter().copied()).all(as_in_form)
}

#[cfg(test)]
mod tests;
