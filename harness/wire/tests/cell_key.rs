//! The key of a cell: whatever is asked changes it, and nothing else does.

use assay_testkit::PlanBuilder;
use assay_testkit::log::{expected, planned};
use assay_wire::cell_key::answers_epoch;
use assay_wire::digest::Digest;
use assay_wire::event::{CellPlanned, SnapshotFinding};
use assay_wire::lock::{Lock, LockedAnswer, LockedKey, Network};
use assay_wire::plan::{Action, ContentKind, Disposition, KeyScope};
use assay_wire::program::Variable;

/// A cell of a replay with something of everything.
fn cell() -> CellPlanned {
    let plan = PlanBuilder::new("debian-12", "tools")
        .content("https://a.test/key", b"key")
        .install("jq")
        .manual("log in");
    let mut cell = planned(plan.build());
    cell.conditions.network = Network::Replay;
    cell.conditions.answers = answers_epoch(Network::Replay, Some(&lock(404)));
    cell
}

fn lock(status: u16) -> Lock {
    let answer = LockedAnswer::Nothing { status };
    Lock {
        answers: [("https://a.test/".to_owned(), answer)].into(),
        ..Lock::default()
    }
}

#[test]
fn each_part_of_a_question_changes_the_key() {
    type Change = (&'static str, fn(&mut CellPlanned));
    let changes: &[Change] = &[
        ("an op", |cell| cell.plan.ops[0].once ^= true),
        ("a word of an op", |cell| {
            if let Action::Run { argv } = &mut cell.plan.ops[0].action {
                argv.push("x".to_owned());
            }
        }),
        ("a key's scope", |cell| {
            cell.plan.ops[0].scope = Some(KeyScope::Machine);
        }),
        ("booting", |cell| cell.plan.boots = true),
        ("being supported", |cell| {
            cell.plan.unsupported = Some(String::new());
        }),
        ("content", |cell| {
            cell.plan.content[0].sha256 = Digest::of(b"other");
        }),
        ("what content must be", |cell| {
            let fingerprints = vec!["A".repeat(40)];
            cell.plan.content[0].kind = ContentKind::Key { fingerprints };
        }),
        ("what is judged", |cell| {
            let step = cell.plan.steps.last_mut().expect("a step");
            if let Disposition::Manual { after, .. } = &mut step.disposition {
                *after += 1;
            }
        }),
        ("a variable", |cell| {
            cell.harness.variables.push(Variable {
                name: "A".to_owned(),
                value: "b".to_owned(),
                only_if_exists: None,
            });
        }),
        ("the image", |cell| {
            cell.image.as_mut().expect("an image").id.push('0');
        }),
        ("no image", |cell| cell.image = None),
        ("the harness", |cell| cell.conditions.harness.push('1')),
        ("the executor", |cell| {
            cell.conditions.executor_sha256 = Digest::of(b"other");
        }),
        ("the network", |cell| {
            cell.conditions.network = Network::None;
        }),
        ("what may be reached", |cell| {
            cell.conditions.allow.push("10.0.0.0/8".to_owned());
        }),
        ("the lock", |cell| {
            cell.conditions.answers = answers_epoch(Network::Replay, Some(&lock(410)));
        }),
        ("no lock", |cell| cell.conditions.answers = None),
        ("memory", |cell| cell.conditions.memory_bytes += 1),
        ("processors", |cell| cell.conditions.milli_cpus += 1),
        ("processes", |cell| cell.conditions.pids += 1),
        ("long files", |cell| cell.conditions.file_bytes += 1),
        ("time", |cell| cell.conditions.cell_ms += 1),
    ];
    let mut keys = vec![(cell().key(), "nothing")];
    for (what, change) in changes {
        let mut changed = cell();
        change(&mut changed);
        assert_ne!(changed, cell(), "{what} is changed");
        let key = changed.key();
        let same = keys.iter().find(|(known, _)| *known == key);
        assert_eq!(same, None, "{what} gives a key of its own");
        keys.push((key, what));
    }
}

#[test]
fn what_is_not_asked_leaves_the_key_alone() {
    let mut told = cell();
    told.locations.clear();
    told.expected = Some(expected("failed"));
    told.snapshot = SnapshotFinding::Missing;
    told.plan.steps[0].description = Some("another".to_owned());
    told.plan.steps[0].fallback = Some("another".to_owned());
    told.plan.content[0].url = "https://b.test/mirror".to_owned();
    told.image.as_mut().expect("an image").note = Some("another".to_owned());
    assert_ne!(told, cell());
    assert_eq!(told.key(), cell().key());
}

#[test]
fn a_lock_counts_where_it_answers() {
    let mut other = lock(404);
    let key = LockedKey {
        url: "https://a.test/key".to_owned(),
        sha256: Digest::of(b"key"),
        expires: None,
    };
    other.keys.insert("A".repeat(40), key);
    let epoch = |network, lock: &Lock| answers_epoch(network, Some(lock));
    assert_eq!(
        epoch(Network::Replay, &lock(404)),
        epoch(Network::Replay, &other),
        "keys and versions are the plan's"
    );
    assert_ne!(
        epoch(Network::Replay, &lock(404)),
        epoch(Network::Replay, &lock(410))
    );
    for network in [Network::Live, Network::Record, Network::None] {
        assert_eq!(epoch(network, &other), None);
    }
    assert_eq!(answers_epoch(Network::Replay, None), None);
}
