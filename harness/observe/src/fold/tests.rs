//! Journals that are damaged, cut, forged or shuffled.

use assay_testkit::log::planned;
use assay_testkit::{Log, PlanBuilder, changed};
use assay_wire::event::{Body, CellEnded, Ending, Envelope, ExecutorEvent, InfraCause, Origin};
use assay_wire::outcome::OutcomeKind;
use assay_wire::plan::OpId;
use assay_wire::program::{Pass, Probe};

use super::*;
use crate::exit_code;
use crate::record::CellRecord;

fn log() -> Log {
    let jq = PlanBuilder::new("debian-12", "jq")
        .refresh()
        .install("jq")
        .write("/etc/x", "x");
    let jq = jq.require_command("jq", Some("1.5")).build();
    let tree = PlanBuilder::new("arch", "tree")
        .refresh()
        .install("tree")
        .build();
    Log::new()
        .cell("debian-12:jq", jq)
        .cleanly()
        .cell("arch:tree", tree)
        .body(Body::AttemptStarted { attempt: 1 })
        .attempt_failed(InfraCause::EngineDied, "the engine went away", true)
        .attempt(2)
        .rest_of_first(1, "")
        .closes()
        .end()
}

fn kinds(record: &Record) -> Vec<OutcomeKind> {
    record
        .cells
        .iter()
        .map(|cell| cell.outcome.kind())
        .collect()
}

#[test]
fn a_run_is_judged_again_by_the_consents_of_now() {
    let now = ConsentBasis {
        ledger: Vec::new(),
        policy: assay_wire::consent::Policy::default(),
        today: "2026-11-21".to_owned(),
    };
    let mut wanted = fold_journal(log().journal().as_bytes()).expect("a good journal");
    let again = fold_journal_judged_by(log().journal().as_bytes(), &now).expect("a good journal");
    wanted.run.start.consents = Some(now);
    assert_eq!(again.run, wanted.run);
    assert_eq!(again.cells.len(), wanted.cells.len());
}

#[test]
fn a_whole_journal_folds_to_cells_in_planned_order() {
    let record = fold_journal(log().journal().as_bytes()).expect("a good journal");
    assert_eq!(record, fold(log().envelopes()).expect("the same events"));
    let names: Vec<String> = record
        .cells
        .iter()
        .map(|cell| cell.facts.cell.to_string())
        .collect();
    assert_eq!(names, ["debian-12:jq", "arch:tree"]);
    assert_eq!(kinds(&record), [OutcomeKind::Passed, OutcomeKind::Passed]);
    assert_eq!(record.run.end, RunEnd::Complete);
    assert!(
        record
            .cells
            .iter()
            .all(|cell| cell.facts.contradictions.is_empty())
    );
    assert_eq!(exit_code(&record).number(), 0);
}

#[test]
fn a_cell_folded_by_itself_is_as_it_is_in_its_run() {
    let record = fold(log().envelopes()).expect("a good log");
    for cell in record.cells {
        let id = &cell.facts.cell;
        let planned = cell.facts.planned.clone();
        let mut events = log().envelopes();
        events.retain(|event| event.cell.as_ref() == Some(id));
        let first = events.remove(0);
        assert!(matches!(first.body, Body::CellPlanned(_)));
        let mut folder = CellFolder::new(id.clone(), planned, first.t);
        for event in events {
            folder.push(event.body, event.t);
        }
        assert_eq!(folder.finish(None), cell);
    }
}

#[test]
fn a_journal_cut_anywhere_is_a_record_and_never_a_pass_too_many() {
    let text = log().journal();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let ended = |name: &str| {
        let name = format!("\"cell\":\"{name}\"");
        let lines = text.split_inclusive('\n').scan(0, |at, line| {
            *at += line.len();
            Some((*at, line))
        });
        let mut ends = lines.filter(|(_, line)| line.contains("cell_ended"));
        ends.find(|(_, line)| line.contains(&name))
            .map(|(at, _)| at)
    };
    for cut in 0..ends.len() {
        // Cut after a line, and in the middle of the next one.
        for extra in [0, 7] {
            let at = (ends[cut] + extra).min(text.len());
            let record =
                fold_journal(&text.as_bytes()[..at]).expect("a prefix of a journal is one");
            for cell in &record.cells {
                let whole = ended(&cell.facts.cell.to_string()).is_some_and(|end| at >= end);
                let wanted = if whole {
                    OutcomeKind::Passed
                } else {
                    OutcomeKind::Cancelled
                };
                assert_eq!(cell.outcome.kind(), wanted, "cut at byte {at}");
            }
            let complete = cut == ends.len() - 1;
            assert_eq!(exit_code(&record).number(), if complete { 0 } else { 130 });
        }
    }
    assert_eq!(fold_journal(&b""[..]), Err(FoldError::Empty));
    assert_eq!(fold_journal(&b"{\"v\":1"[..]), Err(FoldError::Empty));
}

#[test]
fn facts_of_an_earlier_attempt_do_not_count_and_its_cause_is_kept() {
    let plan = PlanBuilder::new("arch", "tree").install("tree").build();
    let log = Log::new()
        .cell("arch:tree", plan)
        .attempt(1)
        .op(1, Ending::Exited(1))
        .attempt_failed(InfraCause::SandboxLost, "the stream was cut", true)
        .attempt(2)
        .rest_of_first(1, "")
        .closes()
        .end();
    let record = fold(log.envelopes()).expect("a good log");
    let cell = &record.cells[0];
    assert_eq!(cell.outcome.kind(), OutcomeKind::Passed);
    let causes = cell
        .facts
        .attempts
        .iter()
        .map(|attempt| attempt.failure.as_ref());
    let causes: Vec<_> = causes
        .map(|failure| failure.map(|failure| failure.cause))
        .collect();
    assert_eq!(causes, [Some(InfraCause::SandboxLost), None]);
}

fn damaged(damage: impl FnOnce(&mut Vec<Envelope>)) -> FoldError {
    let mut events = log().envelopes();
    damage(&mut events);
    fold(events).expect_err("a damaged journal")
}

#[test]
fn what_is_not_one_runs_journal_is_refused() {
    assert_eq!(
        damaged(|events| events[3].v = 1),
        FoldError::Protocol { seq: 3, found: 1 }
    );
    assert_eq!(
        damaged(|events| drop(events.remove(5))),
        FoldError::Gap {
            expected: 5,
            found: 6
        }
    );
    assert_eq!(
        damaged(|events| events.swap(7, 8)),
        FoldError::Gap {
            expected: 7,
            found: 8
        }
    );
    let other: RunId = "another-run".parse().expect("a run id");
    assert!(matches!(
        damaged(|events| events[9].run = other),
        FoldError::OtherRun { seq: 9, .. }
    ));
    let start = |seq: u64| {
        move |events: &mut Vec<Envelope>| {
            let (from, to) = if seq == 0 { (1, 0) } else { (0, 3) };
            events[to].body = events[from].body.clone();
        }
    };
    assert_eq!(damaged(start(0)), FoldError::Start { seq: 0 });
    assert_eq!(damaged(start(3)), FoldError::Start { seq: 3 });
    assert_eq!(
        damaged(|events| events[3].body = Body::RunEnded { interrupted: false }),
        FoldError::AfterEnd { seq: 4 }
    );
    assert_eq!(
        damaged(|events| events[3].cell = None),
        FoldError::NoCell { seq: 3 }
    );
    let unknown: CellId = "arch:unknown".parse().expect("a cell");
    assert!(matches!(
        damaged(|events| events[3].cell = Some(unknown)),
        FoldError::Unplanned { seq: 3, .. }
    ));
    assert!(matches!(
        damaged(|events| events[3].body = events[1].body.clone()),
        FoldError::Replanned { seq: 3, .. }
    ));
    let moved: CellId = "arch:jq".parse().expect("a cell");
    assert!(matches!(
        damaged(|events| events[1].cell = Some(moved)),
        FoldError::Replanned { seq: 1, .. }
    ));
    assert!(matches!(
        damaged(|events| events[3].body = Body::CellEnded(CellEnded::Finished)),
        FoldError::AfterCellEnd { seq: 4, .. }
    ));
    assert_eq!(
        damaged(|events| {
            events[4].body = Body::CellEnded(CellEnded::Finished);
            events[4].origin = Origin::Executor;
        }),
        FoldError::Forged { seq: 4 }
    );
}

#[test]
fn a_journal_of_another_version_is_named_as_one_whatever_it_holds() {
    let line = "{\"v\":7,\"something\":\"else\"}\n";
    assert_eq!(
        fold_journal(line.as_bytes()),
        Err(FoldError::Protocol { seq: 0, found: 7 })
    );
    let malformed = fold_journal(&b"{\"v\":2,\"something\":\"else\"}\n"[..]);
    assert!(matches!(
        malformed,
        Err(FoldError::Malformed { line: 1, .. })
    ));
    assert!(matches!(
        fold_journal(&b"\n"[..]),
        Err(FoldError::Malformed { line: 1, .. })
    ));
}

#[test]
fn a_contradictory_sandbox_spoils_its_own_cell_only() {
    let finished = |op: u32| {
        let ending = Ending::Exited(0);
        ExecutorEvent::OpFinished {
            op: OpId(op),
            pass: Pass::First,
            ending,
            ms: 1,
        }
    };
    for (op, word) in [
        (99, "not in the plan"),
        (0, "not in the plan"),
        (1, "out of turn"),
    ] {
        let plan = |target| PlanBuilder::new(target, "jq").run(&["true"]).build();
        let log = Log::new()
            .cell("arch:jq", plan("arch"))
            .attempt(1)
            .rest_of_first(1, "")
            .executor(finished(op))
            .closes()
            .cell("debian-12:jq", plan("debian-12"))
            .cleanly()
            .end();
        let record = fold(log.envelopes()).expect("a good log");
        assert_eq!(kinds(&record), [OutcomeKind::Failed, OutcomeKind::Passed]);
        let message = &record.cells[0].facts.contradictions[0];
        assert!(message.contains(word), "{message}");
        assert_eq!(exit_code(&record).number(), 7);
    }
}

#[test]
fn a_hundred_cells_with_many_changes_are_folded_whole() {
    let cells = |cells: usize, paths: usize| {
        let mut log = Log::new();
        for index in 0..cells {
            let plan = PlanBuilder::new("arch", "jq")
                .install("jq")
                .run(&["true"])
                .build();
            let changes = (0..paths).map(|path| changed(&format!("/usr/share/doc/{path:06}")));
            log = log
                .cell(&format!("arch:jq{index}"), plan)
                .attempt(1)
                .op(1, Ending::Exited(0))
                .changed(1, changes.clone().collect())
                .op(2, Ending::Exited(0))
                .second(changes.collect(), Vec::new())
                .cross_checked(&["/usr/share", "/usr/share/doc"])
                .ends(CellEnded::Finished);
        }
        log.end().envelopes()
    };
    let record = fold(cells(100, 200)).expect("a good log");
    assert_eq!(record.cells.len(), 100);
    assert!(
        record
            .cells
            .iter()
            .all(|cell: &CellRecord| cell.repeated_changes().count() == 200)
    );
}

#[test]
fn what_asking_rpm_leaves_is_explained_only_where_rpm_is_asked() {
    let gaps = |probes: Vec<Probe>, path: &str| {
        let mut cell = planned(PlanBuilder::new("fedora-44", "jq").run(&["true"]).build());
        cell.harness.probes = probes;
        let log = Log::new()
            .planned("fedora-44:jq", cell)
            .attempt(1)
            .op(1, Ending::Exited(0))
            .second(Vec::new(), Vec::new())
            .cross_checked(&[path])
            .ends(CellEnded::Finished);
        fold(log.end().envelopes()).expect("a good log").cells[0]
            .gaps
            .len()
    };
    let rpm = || {
        vec![Probe {
            name: "packages".to_owned(),
            argv: vec!["rpm".to_owned(), "-qa".to_owned()],
            reads: Vec::new(),
        }]
    };
    let side_file = "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal";
    assert_eq!(gaps(rpm(), side_file), 0);
    assert_eq!(gaps(Vec::new(), side_file), 1);
    assert_eq!(gaps(rpm(), "/usr/lib/sysimage/rpm/rpmdb.sqlite"), 1);
}

proptest::proptest! {
    /// Facts in any order, some missing, some twice: never a panic, and a pass only with the whole
    /// evidence of one.
    #[test]
    fn facts_in_any_order_never_panic_and_never_pass_without_evidence(
        picks in proptest::collection::vec(0_usize..40, 0..60),
        ends in proptest::prelude::any::<bool>(),
    ) {
        let plan = PlanBuilder::new("arch", "jq").install("jq").check("runs", &["jq"], &[]).build();
        let source = Log::new().cell("arch:jq", plan.clone()).cleanly().envelopes();
        let facts = &source[2..source.len() - 1];
        let mut log = Log::new().cell("arch:jq", plan);
        for pick in &picks {
            log = log.body(facts[pick % facts.len()].body.clone());
        }
        if ends {
            log = log.ends(CellEnded::Finished);
        }
        let record = fold(log.end().envelopes()).expect("the envelopes are in order");
        let kind = record.cells[0].outcome.kind();
        if kind == OutcomeKind::Passed {
            for fact in facts.iter().filter(|fact| matters(&fact.body)) {
                let seen = picks.iter().any(|pick| facts[pick % facts.len()].body == fact.body);
                proptest::prop_assert!(ends && seen, "passed without {:?}", fact.body);
            }
        }
        proptest::prop_assert_eq!(ends, kind != OutcomeKind::Cancelled);
    }

    /// Bytes changed anywhere in a journal's text: a record or an error, never a panic.
    #[test]
    fn changed_text_never_panics(at in 0_usize..20_000, byte in 0_u8..128) {
        let mut text = log().journal().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        let _ = fold_journal(text.as_slice());
    }
}

/// True for facts without which nothing can have passed.
fn matters(body: &Body) -> bool {
    match body {
        Body::Executor(ExecutorEvent::OpFinished { .. })
        | Body::Trace(_)
        | Body::CrossChecked(_) => true,
        Body::Manifest(manifest) => manifest.after == assay_wire::event::ManifestPoint::SecondApply,
        Body::RunStarted(_)
        | Body::CellPlanned(_)
        | Body::AttemptStarted { .. }
        | Body::ContentReady(_)
        | Body::ContentRefused(_)
        | Body::SandboxStarted(_)
        | Body::Executor(_)
        | Body::Output(_)
        | Body::Request(_)
        | Body::Package(_)
        | Body::AttemptFailed(_)
        | Body::SandboxLeft(_)
        | Body::CellEnded(_)
        | Body::RunEnded { .. } => false,
    }
}
