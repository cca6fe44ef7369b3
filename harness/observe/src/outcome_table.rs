//! One table: an event log and the outcome it must have. Every kind and every reason is reached.

mod logs;

use std::collections::BTreeSet;

use assay_testkit::{Log, PlanBuilder, added, changed};
use assay_wire::event::{Captured, Ending, ManifestPoint};
use assay_wire::outcome::{OutcomeKind, Reason};
use assay_wire::plan::Plan;

use crate::outcome::Outcome;
use crate::record::CellRecord;
use crate::{fold, op_failed};
use logs::{OK, debian, ends, install, not_found, table};

fn cell(log: Log) -> CellRecord {
    let mut record = fold(log.end().envelopes()).expect("a good log");
    record.cells.pop().expect("one cell")
}

/// `kind`, or `phase reason op` of every failure.
fn told(outcome: &Outcome) -> String {
    let failure = |failure: &crate::Failure| {
        let op = failure.op.map_or(String::new(), |op| format!(" {op}"));
        format!("{} {}{op}", failure.phase, failure.reason)
    };
    let failures: Vec<String> = outcome.failures().map(failure).collect();
    if failures.is_empty() {
        outcome.kind().to_string()
    } else {
        failures.join(", ")
    }
}

#[test]
fn every_log_has_its_outcome() {
    for (name, wanted, log) in table() {
        let cell = cell(log);
        assert_eq!(
            told(&cell.outcome),
            wanted,
            "{name}: {:?} {:?}",
            cell.outcome,
            cell.gaps
        );
    }
}

#[test]
fn the_table_reaches_every_outcome_and_every_reason() {
    let outcomes: Vec<Outcome> = table()
        .into_iter()
        .map(|(_, _, log)| cell(log).outcome)
        .collect();
    let kinds: BTreeSet<OutcomeKind> = outcomes.iter().map(Outcome::kind).collect();
    assert_eq!(kinds, OutcomeKind::ALL.iter().copied().collect());
    let failures = outcomes.iter().flat_map(Outcome::failures);
    let reasons: BTreeSet<Reason> = failures.map(|failure| failure.reason).collect();
    assert_eq!(reasons, Reason::ALL.iter().copied().collect());
}

#[test]
fn messages_name_what_was_wanted_and_what_came() {
    let messages: String = table()
        .into_iter()
        .flat_map(|(name, _, log)| {
            let outcome = cell(log).outcome;
            let messages = outcome.failures().map(|failure| failure.message.clone());
            messages
                .map(|message| format!("{name}: {message}\n"))
                .collect::<Vec<_>>()
        })
        .collect();
    insta::assert_snapshot!(messages);
}

#[test]
fn a_repeated_change_is_blamed_on_the_op_that_made_it_first() {
    let plan = |plan: PlanBuilder| plan.run(&["a"]).run(&["b"]).install("jq");
    let log = |second: &str| {
        let log = debian(plan)
            .attempt(1)
            .op(1, OK)
            .changed(1, vec![added("/etc/a")]);
        let log = log.op(2, OK).changed(2, vec![added("/etc/b")]).op(3, OK);
        let log = log.changed(3, vec![added("/etc/c")]);
        cell(ends(
            log.second(vec![changed(second)], Vec::new())
                .cross_checked(&[]),
        ))
    };
    let blamed = |cell: &CellRecord| -> Vec<String> {
        let first = cell.outcome.failures().next();
        first
            .into_iter()
            .flat_map(|first| &first.steps)
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(blamed(&log("/etc/b")), ["x#2"]);
    // The install was skipped in the second apply, so it is none of its doing.
    assert_eq!(blamed(&log("/etc/c")), ["x#1", "x#2"]);
}

#[test]
fn noise_stays_in_the_record_and_is_marked() {
    let log = debian(install).attempt(1).rest_of_first(1, "");
    let changes = vec![changed("/etc/x"), changed("/var/log/dpkg.log")];
    let cell = cell(ends(log.second(changes, Vec::new()).cross_checked(&[])));
    let kept = cell
        .facts
        .manifest(&ManifestPoint::SecondApply)
        .expect("it was taken");
    assert_eq!(kept.paths.len(), 2);
    assert_eq!(cell.noise.keys().collect::<Vec<_>>(), ["/var/log/dpkg.log"]);
    assert_eq!(
        cell.repeated_changes()
            .map(|c| c.path.as_str())
            .collect::<Vec<_>>(),
        ["/etc/x"]
    );
}

#[test]
fn the_runner_judges_live_as_the_record_does() {
    let plan: Plan = PlanBuilder::new("arch", "x")
        .requires_command("a", None)
        .requires_command("b", None)
        .install("jq")
        .build();
    let last: Vec<bool> = plan
        .ops
        .iter()
        .map(|op| crate::is_last_requirement(&plan, op.id))
        .collect();
    assert_eq!(last, [false, true, false]);
    let nothing = Captured::default();
    assert!(!op_failed(
        &plan.ops[0],
        &Ending::Exited(1),
        &nothing,
        &nothing
    ));
    assert!(op_failed(&plan.ops[0], &not_found(), &nothing, &nothing));
    assert!(op_failed(
        &plan.ops[2],
        &Ending::Exited(1),
        &nothing,
        &nothing
    ));
}
