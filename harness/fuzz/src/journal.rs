//! A journal, folded, judged and shown in every way there is.

use assay_observe::record::CellRecord;
use assay_observe::{ExitCode, Record, exit_code, fold, fold_journal};
use assay_report::sanitise::is_hidden;
use assay_report::{Detail, HumanOptions, human, json};
use assay_testkit::PlanBuilder;
use assay_testkit::log::planned;
use assay_wire::PROTOCOL;
use assay_wire::event::{Body, CellEnded, CellPlanned, Envelope, Origin, RunStarted};
use assay_wire::outcome::OutcomeKind;

use super::{assert_loggable, text};

/// The text of a journal.
pub fn journal(bytes: &[u8]) {
    let text = text(bytes);
    match fold_journal(text.as_bytes()) {
        Ok(record) => {
            assert_eq!(
                fold_journal(text.as_bytes()).as_ref(),
                Ok(&record),
                "folded twice"
            );
            assert_record(&record);
            assert_killed_earlier(&text);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A journal is one wherever its run was killed.
fn assert_killed_earlier(text: &str) {
    let first = text.find('\n').map_or(text.len(), |end| end + 1);
    let half = (first..=text.len()).nth((text.len() - first) / 2);
    let half = half
        .filter(|at| text.is_char_boundary(*at))
        .unwrap_or(first);
    let record = fold_journal(&text.as_bytes()[..half]).expect("a journal may end anywhere");
    assert_record(&record);
}

/// Facts of one cell, a line each, in an envelope that is as it should be.
pub fn facts(bytes: &[u8]) {
    let text = text(bytes);
    let mut events = vec![
        (Origin::Runner, Body::RunStarted(started())),
        (Origin::Runner, Body::CellPlanned(Box::new(cell()))),
    ];
    for line in text.lines() {
        let fact = match serde_json::from_str(line) {
            Ok(body) => Some((Origin::Runner, body)),
            Err(_) => {
                let event = serde_json::from_str(line).ok();
                event.map(|event| (Origin::Executor, Body::Executor(event)))
            }
        };
        events.extend(fact);
    }
    let plan = &cell().plan;
    let name = format!("{}:{}", plan.target, plan.recipes[0]);
    let envelopes: Vec<Envelope> = events
        .into_iter()
        .zip(0..)
        .map(|((origin, body), seq)| Envelope {
            v: PROTOCOL,
            run: "20260101-000000-abcd".parse().expect("a run"),
            cell: (seq > 0).then(|| name.parse().expect("a cell")),
            seq,
            t: seq * 10,
            origin,
            body,
        })
        .collect();
    let line = |event| serde_json::to_string(event).expect("events are plain data") + "\n";
    let written: String = envelopes.iter().map(line).collect();
    let folded = fold(envelopes);
    assert_eq!(
        fold_journal(written.as_bytes()),
        folded,
        "from memory and from disk"
    );
    if let Ok(record) = folded {
        assert_record(&record);
    }
}

/// How a run of one cell begins.
pub(crate) fn started() -> RunStarted {
    RunStarted {
        harness: "0.1.0".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        arguments: vec!["test".to_owned()],
        project: Some(".".to_owned()),
        allow_unmet_needs: false,
        network: assay_wire::lock::Network::Live,
        consents: None,
    }
}

/// A cell with every kind of op.
pub(crate) fn cell() -> CellPlanned {
    let plan = PlanBuilder::new("debian-12", "jq").refresh().install("jq");
    planned(plan.require_command("jq", Some("1.5")).build())
}

/// Asserts what holds for every record, and shows it.
pub(crate) fn assert_record(record: &Record) {
    for cell in &record.cells {
        assert_evidence(cell);
    }
    let code = exit_code(record);
    let passed = record.cells.iter().all(|cell| {
        matches!(
            cell.verdict,
            assay_observe::expectation::Verdict::AsExpected
        )
    });
    assert!(
        code != ExitCode::Passed || passed,
        "all cells as expected, or no 0"
    );
    for (color, detail, width) in [
        (false, Detail::Normal, 80),
        (false, Detail::All, 0),
        (true, Detail::All, 120),
    ] {
        let options = HumanOptions {
            color,
            width,
            detail,
        };
        let mut out = Vec::new();
        human(record, &options, &mut out).expect("memory takes everything");
        let shown = String::from_utf8(out).expect("text");
        assert_loggable(&without_own_colours(&shown, color));
    }
    let mut out = Vec::new();
    json(record, &mut out).expect("memory takes everything");
    let shown = String::from_utf8(out).expect("text");
    let document = shown.strip_suffix('\n').expect("one line");
    assert!(!document.chars().any(is_hidden), "{document:?}");
    serde_json::from_str::<serde_json::Value>(document).expect("JSON");
}

/// A pass needs the evidence of a pass.
fn assert_evidence(cell: &CellRecord) {
    if cell.outcome.kind() != OutcomeKind::Passed {
        return;
    }
    let facts = &cell.facts;
    assert_eq!(facts.ended, Some(CellEnded::Finished));
    assert!(facts.broken.is_empty() && facts.contradictions.is_empty());
    assert!(cell.gaps.is_empty(), "{:?}", cell.gaps);
    if facts.planned.plan.ops.is_empty() {
        return;
    }
    assert!(facts.cross_check.is_some() && !facts.manifests.is_empty());
    for op in &facts.ops {
        assert!(op.first.is_some(), "op {} was never seen to end", op.op);
    }
}

/// A report without the colours that it writes itself.
fn without_own_colours(shown: &str, color: bool) -> String {
    if !color {
        return shown.to_owned();
    }
    ["0", "1", "2", "31", "32", "33"]
        .into_iter()
        .fold(shown.to_owned(), |shown, code| {
            shown.replace(&format!("\u{1b}[{code}m"), "")
        })
}
