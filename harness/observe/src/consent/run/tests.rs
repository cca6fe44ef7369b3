//! What a run showed before a ledger: who is asked for what, what is stale, who is left out.

use assay_testkit::log::planned;
use assay_testkit::{Log, PlanBuilder};
use assay_wire::consent::{Consent, Policy};
use assay_wire::event::{Body, CellEnded, Ending};
use assay_wire::privileged::Kind;
use assay_wire::program::Pass;

use super::*;
use crate::consent::part_lines;
use crate::consent::tests::{basis, enabled, entry, member, name, operation};
use crate::delta::{Class, DeclaredOperation, Delta, Why};
use crate::fold;
use crate::record::Record;

/// Two cells: docker on debian-12 and debian-13, that went well.
fn record() -> Record {
    let cell = |log: Log, target: &str| {
        let plan = PlanBuilder::new(target, "docker").run(&["true"]).build();
        log.planned(&format!("{target}:docker"), planned(plan))
            .cleanly()
    };
    let log = cell(cell(Log::new(), "debian-12"), "debian-13").end();
    fold(log.envelopes()).expect("a good log")
}

fn seen(operation: PrivilegedOperation, class: Class) -> ObservedOperation {
    ObservedOperation {
        digest: operation.digest(),
        risk: Risk::Persistence,
        attack: None,
        pass: Pass::First,
        count: 1,
        class,
        operation,
    }
}

/// A package of an op for these steps brings these units.
fn bring(cell: &mut CellRecord, steps: &[&str], units: &[&str]) {
    let first = cell.observed.operations.len();
    let class = Class::Accompanying {
        package: "engine".to_owned(),
    };
    let parts = units.iter().map(|unit| seen(enabled(unit), class.clone()));
    cell.observed.operations.extend(parts);
    let operation = operation(steps, set(units));
    cell.delta.accompanying.push(AccompanyingSet {
        digest: operation.digest(),
        risk: Risk::Persistence,
        parts: (first..first + units.len()).collect(),
        standing: None,
        operation,
    });
}

fn set(units: &[&str]) -> Kind {
    Kind::Accompanying {
        package: "engine".to_owned(),
        operations: units.iter().map(|unit| enabled(unit).digest()).collect(),
    }
}

fn declare(cell: &mut CellRecord, operation: PrivilegedOperation) {
    cell.delta.declared.push(DeclaredOperation {
        digest: operation.digest(),
        risk: Risk::RootEquivalent,
        attack: None,
        seen: true,
        standing: None,
        operation,
    });
}

fn grants(recipe: &str, units: &[&str], targets: &[&str]) -> Consent {
    let parts: Vec<_> = units.iter().map(|unit| enabled(unit)).collect();
    Consent {
        recipe: name(recipe),
        operations: part_lines(&parts),
        ..entry(&operation(&["docker#1"], set(units)), targets)
    }
}

/// Every row in a line.
fn rows(judgement: &Judgement<'_>) -> Vec<String> {
    let row = |one: &crate::consent::Judged<'_>| {
        let targets: Vec<&str> = one.targets.iter().map(|target| target.as_str()).collect();
        format!(
            "{} {} {} ×{} {:?} {}",
            one.recipe,
            one.operation.kind.name(),
            one.operation.subject,
            one.parts.len(),
            one.standing,
            targets.join(",")
        )
    };
    judgement.operations.iter().map(row).collect()
}

#[test]
fn one_digest_on_several_targets_is_one_row_and_a_change_is_another() {
    let mut record = record();
    for cell in &mut record.cells {
        declare(cell, member("docker"));
        bring(cell, &["docker#1"], &["a.service", "b.service"]);
    }
    let none = Policy::default();
    let judged = judge_run(&record.cells, &basis(&[], &none));
    assert_eq!(
        rows(&judged.judgement),
        [
            "docker group.member dev -> docker ×0 Missing debian-12,debian-13",
            "docker accompanying engine ×2 Missing debian-12,debian-13",
        ]
    );
    // By the ledger of now, whatever that of the run was.
    let old = grants("docker", &["a.service"], &["debian-12"]);
    let new = grants("docker", &["a.service", "b.service"], &["debian-13"]);
    let unused = grants("docker", &["c.service"], &["debian-13", "arch"]);
    let ledger = [old, new, unused, entry(&member("docker"), &["debian-12"])];
    let judged = judge_run(&record.cells, &basis(&ledger, &none));
    assert_eq!(
        rows(&judged.judgement),
        [
            "docker group.member dev -> docker ×0 Missing debian-13",
            "docker group.member dev -> docker ×0 Granted { entry: 3 } debian-12",
            "docker accompanying engine ×2 Violated { entry: 0 } debian-12",
            "docker accompanying engine ×2 Granted { entry: 1 } debian-13",
        ]
    );
    let stale: Vec<String> = judged
        .judgement
        .stale
        .iter()
        .map(|stale| format!("{} {:?}", stale.entry, stale.targets))
        .collect();
    assert_eq!(
        stale,
        ["0 [TargetId(\"debian-12\")]", "2 [TargetId(\"debian-13\")]"]
    );
}

#[test]
fn a_set_of_an_op_for_several_recipes_is_asked_for_once() {
    let mut record = record();
    bring(&mut record.cells[0], &["app#1", "docker#1"], &["a.service"]);
    let none = Policy::default();
    let asked = |record: &Record, ledger: &[Consent]| {
        rows(&judge_run(&record.cells, &basis(ledger, &none)).judgement)
    };
    // Of what the cell asked for, before what that needs.
    assert_eq!(
        asked(&record, &[]),
        ["docker accompanying engine ×1 Missing debian-12"]
    );
    assert_eq!(
        asked(&record, &[grants("app", &["a.service"], &["debian-12"])]),
        ["app accompanying engine ×1 Granted { entry: 0 } debian-12"]
    );
    // Of whom it is to be granted for anyway.
    bring(&mut record.cells[0], &["app#1"], &["a.service"]);
    assert_eq!(
        asked(&record, &[]),
        ["app accompanying engine ×1 Missing debian-12"]
    );
}

#[test]
fn what_nobody_declared_is_beside_and_never_granted() {
    let mut record = record();
    let why = Class::Undeclared { why: Why::Nobody };
    for cell in &mut record.cells {
        let mut unit = enabled("evil.service");
        unit.steps.clear();
        cell.observed.operations.push(seen(unit, why.clone()));
    }
    let judged = judge_run(&record.cells, &basis(&[], &Policy::default()));
    assert_eq!(rows(&judged.judgement), [] as [String; 0]);
    let [one] = judged.undeclared.as_slice() else {
        panic!("one operation: {:?}", judged.undeclared);
    };
    assert_eq!((one.recipe.as_str(), one.targets.len()), ("docker", 2));
    assert_eq!(one.seen.operation.subject, "evil.service");
}

#[test]
fn only_cells_that_show_all_they_did_are_judged() {
    let begun = |log: Log, target: &str| {
        let plan = PlanBuilder::new(target, "docker")
            .run(&["true"])
            .run(&["true"])
            .build();
        log.planned(&format!("{target}:docker"), planned(plan))
    };
    let ran = |log: Log, target: &str| begun(log, target).attempt(1).rest_of_first(1, "");
    let log = begun(Log::new(), "not-run").ends(CellEnded::NotRun {
        because: "x".to_owned(),
    });
    let log = ran(log, "gap")
        .second(Vec::new(), Vec::new())
        .cross_checked(&["/usr/bin/x"])
        .ends(CellEnded::Finished);
    let log = begun(log, "failed")
        .attempt(1)
        .op(1, Ending::Exited(1))
        .cross_checked(&[])
        .ends(CellEnded::Finished);
    let log = begun(log, "passed").cleanly();
    let log = begun(log, "unfinished").body(Body::AttemptStarted { attempt: 1 });
    let mut record = fold(log.end().envelopes()).expect("a good log");
    for cell in &mut record.cells {
        declare(cell, member("docker"));
    }
    let targets = ["not-run", "gap", "failed", "passed", "unfinished"];
    let ledger = [grants("docker", &["a.service"], &targets)];
    let judged = judge_run(&record.cells, &basis(&ledger, &Policy::default()));
    let left_out: Vec<String> = judged
        .left_out
        .iter()
        .map(|(cell, because)| format!("{} {because:?}", cell.facts.cell))
        .collect();
    assert_eq!(
        left_out,
        [
            "not-run:docker NoResult(NotRun)",
            "gap:docker Gap",
            "unfinished:docker NoResult(Cancelled)"
        ]
    );
    assert_eq!(
        rows(&judged.judgement),
        ["docker group.member dev -> docker ×0 Missing failed,passed"]
    );
    // What failed did not come to what may use an entry.
    let stale: Vec<_> = judged
        .judgement
        .stale
        .iter()
        .flat_map(|one| &one.targets)
        .collect();
    assert_eq!(stale, [&name::<TargetId>("passed")]);
    // One cell that did not run whole, beside one that did: nothing is said of their entries.
    let mut cells = vec![record.cells[3].clone(), record.cells[2].clone()];
    cells[1].facts.cell.target = name("passed");
    let judged = judge_run(&cells, &basis(&ledger, &Policy::default()));
    assert_eq!(judged.judgement.stale, []);
}

#[test]
fn findings_are_what_is_refused_the_gravest_first() {
    let mut record = record();
    let cell = &mut record.cells[0];
    bring(cell, &["docker#1"], &["a.service"]);
    declare(cell, member("docker"));
    declare(cell, member("audio"));
    assert_eq!(
        consent_findings(cell),
        [],
        "nothing is judged outside a project"
    );
    assert_eq!(crate::exit::cell_exit_code(cell, false).number(), 0);
    let stands = |delta: &mut Delta, member, audio, set| {
        delta.declared[0].standing = Some(member);
        delta.declared[1].standing = Some(audio);
        delta.accompanying[0].standing = Some(set);
    };
    let granted = Standing::Granted { entry: 0 };
    stands(&mut cell.delta, granted, Standing::Ordinary, granted);
    assert_eq!(consent_findings(cell), []);
    assert_eq!(crate::exit::cell_exit_code(cell, false).number(), 0);
    let expired = Standing::Expired { entry: 1 };
    stands(&mut cell.delta, granted, Standing::Missing, expired);
    let found: Vec<String> = consent_findings(cell)
        .iter()
        .map(|one| {
            format!(
                "{} {:?} ×{}",
                one.operation.subject,
                one.standing,
                one.parts.len()
            )
        })
        .collect();
    assert_eq!(
        found,
        ["dev -> audio Missing ×0", "engine Expired { entry: 1 } ×1"]
    );
    assert_eq!(crate::exit::cell_exit_code(cell, false).number(), 6);
}

#[test]
fn an_entry_is_stale_that_no_cell_of_the_run_used() {
    let mut record = record();
    // The second cell is of another set on the same target, and has the package already.
    record.cells[1].facts.cell.target = name("debian-12");
    bring(&mut record.cells[0], &["docker#1"], &["a.service"]);
    let used = grants("docker", &["a.service"], &["debian-12"]);
    let changed = grants("docker", &["b.service"], &["debian-12", "arch"]);
    let foreign = grants("podman", &["b.service"], &["debian-12"]);
    let basis = basis(&[used, changed, foreign], &Policy::default());
    find_stale(&mut record.cells, &basis);
    for cell in &record.cells {
        assert_eq!(cell.delta.stale, [1], "{}", cell.facts.cell);
    }
    record.cells[0].facts.ended = Some(CellEnded::Cancelled);
    find_stale(&mut record.cells, &basis);
    for cell in &record.cells {
        assert_eq!(cell.delta.stale, [] as [usize; 0], "one did not run whole");
    }
}
