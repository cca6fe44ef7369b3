//! The precedence table, and what each kind of cell contributes.

use assay_testkit::log::{expected, planned};
use assay_testkit::{Log, PlanBuilder};
use assay_wire::consent::Policy;
use assay_wire::digest::Digest;
use assay_wire::event::{
    Body, CellEnded, CellPlanned, ConsentBasis, ContentRefused, Ending, InfraCause, RunStarted,
    SnapshotFinding,
};
use assay_wire::plan::{OpId, Plan};
use assay_wire::privileged::{Kind, OperationEvidence, PrivilegedOperation};

use super::*;
use crate::fold;

const WORST_FIRST: [u8; 10] = [130, 2, 3, 7, 4, 6, 5, 1, 8, 0];

#[test]
fn the_order_is_the_one_promised() {
    assert_eq!(ExitCode::ALL.map(ExitCode::number), WORST_FIRST);
    for (index, worse) in ExitCode::ALL.into_iter().enumerate() {
        for other in ExitCode::ALL.into_iter().skip(index) {
            assert_eq!(worse.or(other), worse);
            assert_eq!(other.or(worse), worse);
        }
    }
}

fn plan(target: &str) -> Plan {
    PlanBuilder::new(target, "jq")
        .content("https://a.test/k", b"k")
        .run(&["groupadd", "x"])
        .build()
}

fn cell(name: &str, adjust: impl FnOnce(&mut CellPlanned)) -> (String, CellPlanned) {
    let mut cell = planned(plan(name));
    adjust(&mut cell);
    (format!("{name}:jq"), cell)
}

/// A run inside a project without a ledger, but for what is adjusted.
fn run(adjust: impl FnOnce(&mut RunStarted)) -> Log {
    let mut started = RunStarted {
        harness: "0.1.0".to_owned(),
        started: "2026-03-01T12:00:00Z".to_owned(),
        arguments: Vec::new(),
        project: Some(".".to_owned()),
        allow_unmet_needs: false,
        network: assay_wire::lock::Network::Live,
        consents: Some(ConsentBasis {
            ledger: Vec::new(),
            policy: Policy::default(),
            today: "2026-03-01".to_owned(),
        }),
    };
    adjust(&mut started);
    Log::started(started)
}

/// Every way a cell can end, each with the exit code a run of it alone has.
fn add(log: Log, kind: &str) -> Log {
    let start = |name: &str, adjust: fn(&mut CellPlanned)| {
        let (id, cell) = cell(name, adjust);
        log.clone().planned(&id, cell)
    };
    match kind {
        "passed" => start("a-passed", |_| ()).cleanly(),
        "failed" => failing(start("a-failed", |_| ())),
        "failed as expected" => failing(start("a-known", |cell| {
            cell.expected = Some(expected("failed"))
        })),
        "passed unexpectedly" => {
            start("a-fixed", |cell| cell.expected = Some(expected("failed"))).cleanly()
        }
        "failed otherwise" => failing(start("a-other", |cell| {
            let mut row = expected("failed");
            row.reason = Some(Reason::NotIdempotent);
            cell.expected = Some(row);
        })),
        "gap" => start("a-gap", |_| ())
            .attempt(1)
            .rest_of_first(1, "")
            .second(Vec::new(), Vec::new())
            .cross_checked(&["/usr/bin/x"])
            .ends(CellEnded::Finished),
        "mismatch" => {
            let log = start("a-mismatch", |_| ());
            let refused = Body::ContentRefused(ContentRefused {
                step: plan("a-mismatch").content[0].step.clone(),
                url: "https://a.test/k".to_owned(),
                expected: Digest::of(b"k"),
                actual: Some(Digest::of(b"x")),
                evidence: None,
                message: "hash differs".to_owned(),
                findings: Vec::new(),
            });
            log.body(refused).ends(CellEnded::Finished)
        }
        "consent" => start("a-consent", joins_a_group).cleanly(),
        "failed as expected, without consent" => failing(start("a-known-one", |cell| {
            cell.expected = Some(expected("failed"));
            joins_a_group(cell);
        })),
        "snapshot" => start("a-snapshot", |cell| {
            cell.snapshot = SnapshotFinding::Missing
        })
        .cleanly(),
        "infra" => start("a-infra", |cell| cell.expected = Some(expected("infra")))
            .body(Body::AttemptStarted { attempt: 1 })
            .attempt_failed(InfraCause::EngineDied, "gone", false)
            .ends(CellEnded::GaveUp),
        "not run" => start("a-needs", |_| ()).ends(CellEnded::NotRun {
            because: "x".to_owned(),
        }),
        "cancelled" => start("a-cancelled", |_| ()).ends(CellEnded::Cancelled),
        "unfinished" => start("a-unfinished", |_| ()).attempt(1),
        other => panic!("no such kind of cell: {other}"),
    }
}

fn failing(log: Log) -> Log {
    log.attempt(1)
        .op(1, Ending::Exited(1))
        .ends(CellEnded::Finished)
}

/// What it declares is granted by nobody.
fn joins_a_group(cell: &mut CellPlanned) {
    let kind = Kind::GroupMember {
        user: "dev".to_owned(),
        group: "docker".to_owned(),
    };
    let evidence = OperationEvidence::default();
    let declared = PrivilegedOperation::declared(OpId(1), Vec::new(), kind, evidence);
    cell.plan.declared.push(declared);
}

const KINDS: [(&str, u8); 14] = [
    ("passed", 0),
    ("failed", 1),
    ("failed as expected", 0),
    ("passed unexpectedly", 1),
    ("failed otherwise", 1),
    ("gap", 7),
    ("mismatch", 4),
    ("consent", 6),
    ("failed as expected, without consent", 6),
    ("snapshot", 5),
    ("infra", 8),
    ("not run", 8),
    ("cancelled", 130),
    ("unfinished", 130),
];

fn number(log: &Log) -> u8 {
    exit_code(&fold(log.envelopes()).expect("a good log")).number()
}

#[test]
fn each_kind_of_cell_alone() {
    for (kind, wanted) in KINDS {
        assert_eq!(number(&add(run(|_| ()), kind).end()), wanted, "{kind}");
    }
}

#[test]
fn of_two_cells_the_worse_counts_whichever_comes_first() {
    let rank = |code: u8| WORST_FIRST.iter().position(|known| *known == code);
    for (first, one) in KINDS {
        for (second, two) in KINDS.into_iter().filter(|(second, _)| *second != first) {
            let wanted = if rank(one) < rank(two) { one } else { two };
            let log = add(add(run(|_| ()), first), second).end();
            assert_eq!(number(&log), wanted, "{first}, then {second}");
        }
    }
}

#[test]
fn unmet_needs_count_unless_they_may_be_unmet() {
    let allowed = run(|started| started.allow_unmet_needs = true);
    assert_eq!(number(&add(allowed.clone(), "not run").end()), 0);
    assert_eq!(number(&add(allowed, "infra").end()), 8);
}

#[test]
fn a_run_without_its_last_line_was_interrupted() {
    assert_eq!(number(&add(Log::new(), "passed")), 130);
    let interrupted = Body::RunEnded { interrupted: true };
    assert_eq!(number(&add(Log::new(), "passed").body(interrupted)), 130);
}

#[test]
fn a_snapshot_finding_counts_beside_an_outcome() {
    let (id, mut cell) = cell("a-both", |_| ());
    cell.snapshot = SnapshotFinding::Different {
        diff: "-a\n+b".to_owned(),
    };
    let log = failing(Log::new().planned(&id, cell)).end();
    assert_eq!(number(&log), 5, "a snapshot comes before a failure");
}

#[test]
fn outside_a_project_nothing_lacks_a_consent() {
    let outside = run(|started| started.consents = None);
    assert_eq!(number(&add(outside, "consent").end()), 0);
}
