//! One record for every report of what only root may do: operations that nothing explains, consents of
//! every standing, packages with and without signatures, a stale entry, and texts meant to do harm.
//!
//! The facts are a log's. What `observe` makes of them is set by hand, so that a report is tested
//! against every case of it.

use std::collections::BTreeSet;

use assay_observe::attack::technique;
use assay_observe::consent::{ApprovedBy, ForbiddenBy, Standing};
use assay_observe::delta::{
    AccompanyingSet, Class, DeclaredOperation, Delta, PackageFact, PathCounts, Why,
};
use assay_observe::expectation::Verdict;
use assay_observe::observed::{Folded, Observed, ObservedOperation};
use assay_observe::risk::{Risk, risk};
use assay_observe::{CellRecord, Failure, Outcome, Record, fold};
use assay_testkit::log::planned;
use assay_testkit::{Log, PlanBuilder};
use assay_wire::consent::{Consent, Policy};
use assay_wire::digest::Digest;
use assay_wire::event::{ConsentBasis, RunStarted};
use assay_wire::lock::Network;
use assay_wire::name::StepRef;
use assay_wire::outcome::{Phase, Reason};
use assay_wire::package::{Chain, KeyPlace, Signature, SigningIndex};
use assay_wire::plan::{KeyScope, OpId, Plan};
use assay_wire::privileged::{
    Actor, FileText, KeyIdentity, Kind, KindName, OperationEvidence, Origin, PrivilegedOperation,
};
use assay_wire::program::Pass;
use assay_wire::trace::MaintScript;

const KEY: &str = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";

/// Text that would end the markup it stands in, speak to a terminal, to the log of a job, to people,
/// and lead away from the page.
pub(crate) const HOSTILE: &str = "<script>a()</script> `|b|` \u{1b}]0;owned\u{7}\u{1b}[31m\u{202e}txt\u{200b}\
    \n::error file=x::forged ##[add-mask]y\n@everyone [a](https://b.test) ![i](https://b.test/i) \
    [b](1) {0} ``` </details> & %0A";

/// The record: two targets alike and wrong, one where all is granted, one where nothing is above ordinary,
/// one whose fault is expected.
pub(crate) fn record() -> Record {
    let mut record = fold(log().envelopes()).expect("a good log");
    for cell in &mut record.cells {
        let is_hostile = cell.facts.cell.recipes[0].as_str() == "hostile";
        match cell.facts.cell.target.as_str() {
            _ if is_hostile => hostile(cell),
            "debian-12" | "ubuntu-24.04" => wrong(cell),
            "fedora-44" => granted(cell),
            _ => ordinary(cell),
        }
    }
    record
}

/// The same outside a project.
pub(crate) fn outside() -> Record {
    let mut record = record();
    record.run.start.consents = None;
    record.run.start.project = None;
    for cell in &mut record.cells {
        let declared = cell.delta.declared.iter_mut().map(|one| &mut one.standing);
        let sets = cell.delta.accompanying.iter_mut();
        let all = declared.chain(sets.map(|set| &mut set.standing));
        all.for_each(|standing| *standing = None);
        cell.delta.stale.clear();
    }
    record
}

/// A package brings all operations of a cell; consents are not judged.
pub(crate) fn come_with(package: &str, cell: &mut CellRecord) {
    let operations = &mut cell.observed.operations;
    for seen in operations.iter_mut() {
        seen.class = Class::Accompanying {
            package: package.to_owned(),
        };
    }
    let grave = (0..operations.len()).filter(|at| operations[*at].risk != Risk::Ordinary);
    let mut set = set(operations, package, grave.collect(), Standing::Missing);
    set.operation
        .steps
        .clone_from(&operations[0].operation.steps);
    set.standing = None;
    cell.delta = Delta {
        accompanying: vec![set],
        ..Delta::default()
    };
    nothing_is_undeclared(cell);
}

/// The ops of a cell declare all of its operations.
pub(crate) fn are_declared(cell: &mut CellRecord) {
    for seen in &mut cell.observed.operations {
        seen.class = Class::Declared {
            by: seen.operation.op,
        };
    }
    cell.delta = Delta::default();
    nothing_is_undeclared(cell);
}

/// What the log's operations alone were judged to be is taken back.
fn nothing_is_undeclared(cell: &mut CellRecord) {
    let failures = cell.outcome.failures();
    let failures = failures.filter(|failure| failure.reason != Reason::UndeclaredOperation);
    let mut left: Vec<Failure> = failures.cloned().collect();
    let Outcome::Failed { first, also } = &mut cell.outcome else {
        return;
    };
    if left.is_empty() {
        cell.outcome = Outcome::Passed;
        cell.verdict = Verdict::AsExpected;
    } else {
        *first = left.remove(0);
        *also = left;
    }
}

fn log() -> Log {
    let plan = |target: &str| {
        let plan = PlanBuilder::new(target, "engine")
            .write("/etc/apt/keyrings/engine.asc", "key")
            .refresh()
            .install("engine")
            .run(&["usermod", "-aG", "engine", "dev"]);
        plan.run(&["sh", "-c", "…"]).build()
    };
    let log = Log::started(RunStarted {
        harness: "0.1.0".to_owned(),
        started: "2026-03-01T12:00:00Z".to_owned(),
        arguments: ["test", "engine", "--on", "debian-12"]
            .map(str::to_owned)
            .into(),
        project: Some(".".to_owned()),
        allow_unmet_needs: false,
        network: Network::Live,
        consents: Some(ConsentBasis {
            ledger: ledger(),
            policy: Policy::default(),
            today: "2026-03-01".to_owned(),
        }),
    });
    let jq = PlanBuilder::new("arch", "jq").install("jq").build();
    let mut known = planned(hostile_plan());
    known.expected = Some(assay_testkit::log::expected("failed"));
    ["debian-12", "ubuntu-24.04", "fedora-44"]
        .iter()
        .fold(log, |log, target| {
            log.cell(&format!("{target}:engine"), plan(target))
                .cleanly()
        })
        .cell("arch:jq", jq)
        .cleanly()
        .planned("debian-12:hostile", known)
        .cleanly()
        .end()
}

fn hostile_plan() -> Plan {
    let plan = PlanBuilder::new("debian-12", "hostile");
    plan.install("hostile").build()
}

fn ledger() -> Vec<Consent> {
    let entry = |kind: KindName, subject: &str, expires: Option<&str>| Consent {
        recipe: "engine".parse().expect("a name"),
        targets: ["debian-12", "ubuntu-24.04", "fedora-44"]
            .map(|target| target.parse().expect("a target"))
            .into(),
        kind,
        subject: subject.to_owned(),
        operations: Vec::new(),
        digest: Digest::of(subject.as_bytes()),
        note: "its documentation says so".to_owned(),
        by: "reviewer@example.org".to_owned(),
        on: "2026-01-15".to_owned(),
        expires: expires.map(str::to_owned),
    };
    vec![
        entry(KindName::PkgKey, &format!("{KEY} -> https://a.test/"), None),
        entry(KindName::GroupMember, "dev -> engine", Some("2026-02-01")),
        entry(KindName::UnitStarted, "engine.service", None),
        entry(KindName::Accompanying, "containerd", None),
        entry(KindName::Sudoers, "/etc/sudoers.d/old", None),
    ]
}

/// Undeclared operations of every kind of why, and consents of every way in which one is not there.
fn wrong(cell: &mut CellRecord) {
    let script = |package: &str| {
        Some(Actor {
            argv: vec![
                "/bin/sh".to_owned(),
                format!("/var/lib/dpkg/info/{package}.postinst"),
            ],
            uid: 0,
            program: Some(40),
            script: Some(MaintScript {
                package: package.to_owned(),
                script: "postinst".to_owned(),
            }),
        })
    };
    let command = Some(Actor {
        argv: [
            "sh",
            "-c",
            "cp /tmp/x /usr/local/bin/helper && chmod 4755 /usr/local/bin/helper",
        ]
        .map(str::to_owned)
        .into(),
        uid: 0,
        program: Some(90),
        script: None,
    });
    let helper = Kind::FileSetuid {
        path: "/usr/local/bin/helper".to_owned(),
        mode: 0o4755,
        owner: "root".to_owned(),
    };
    let cron = Kind::Cron {
        file: "/etc/cron.d/zz".to_owned(),
        says: words("* * * * * root /usr/local/bin/helper"),
    };
    let edited = Kind::UnitFile {
        file: "/usr/lib/systemd/system/ssh.service".to_owned(),
        says: words("ExecStart=/usr/sbin/sshd -D -o PermitRootLogin=yes"),
    };
    let other = Kind::FileWrite {
        path: "/usr/bin/engine".to_owned(),
        tree: false,
        mode: Some(0o755),
        owner: "root".to_owned(),
    };
    let lost = Kind::CaptureGap {
        count: 2,
        reason: "io_uring was asked for".to_owned(),
    };
    let undeclared = |why| Class::Undeclared { why };
    let package = |name: &str| name.to_owned();
    let mut operations = vec![
        seen(
            5,
            4,
            helper.clone(),
            command.clone(),
            undeclared(Why::Nobody),
        ),
        seen(5, 4, cron, command, undeclared(Why::Nobody)),
        seen(
            3,
            2,
            edited,
            script("engine"),
            undeclared(Why::NotItsOwn {
                package: package("engine"),
            }),
        ),
        seen(
            3,
            2,
            other,
            None,
            undeclared(Why::Differs {
                package: package("engine"),
            }),
        ),
        seen(3, 2, lost, script("engine"), undeclared(Why::Capture)),
    ];
    let mut again = operations[0].clone();
    again.pass = Pass::Second;
    operations[0].operation.after = Some("4755 root root, 812 bytes".to_owned());
    let comes = |name: &str| Class::Accompanying {
        package: name.to_owned(),
    };
    let unit = |name: &str| Kind::UnitFile {
        file: format!("/usr/lib/systemd/system/{name}.service"),
        says: words(&format!("ExecStart=/usr/bin/{name}")),
    };
    let enabled = |name: &str| Kind::UnitEnabled {
        unit: format!("{name}.service"),
    };
    operations.push(seen(
        3,
        2,
        unit("engine"),
        script("engine"),
        comes("engine"),
    ));
    operations.push(seen(
        3,
        2,
        enabled("engine"),
        script("engine"),
        comes("engine"),
    ));
    operations.push(seen(
        3,
        2,
        unit("containerd"),
        script("containerd"),
        comes("containerd"),
    ));
    operations.push(seen(
        3,
        2,
        enabled("containerd"),
        script("containerd"),
        comes("containerd"),
    ));
    operations.push(again);
    let set = |name: &str, parts: Vec<usize>, standing| set(&operations, name, parts, standing);
    let accompanying = vec![
        set("engine", vec![5, 6], Standing::Missing),
        set("containerd", vec![7, 8], Standing::Granted { entry: 3 }),
    ];
    let member = |group: &str| Kind::GroupMember {
        user: "dev".to_owned(),
        group: group.to_owned(),
    };
    let started = Kind::UnitStarted {
        unit: "engine.service".to_owned(),
    };
    cell.delta = Delta {
        declared: vec![
            declared(4, 3, member("engine"), true, Standing::Expired { entry: 1 }),
            declared(
                4,
                3,
                member("disk"),
                false,
                Standing::Forbidden(ForbiddenBy::GroupTier),
            ),
            declared(1, 1, key(), true, Standing::Granted { entry: 0 }),
            declared(4, 3, started, true, Standing::Violated { entry: 2 }),
        ],
        accompanying,
        packages: vec![
            package_fact("containerd", Signature::None, Some(verified())),
            package_fact("engine", Signature::None, None),
            PackageFact {
                unreadable: Some("it is no package".to_owned()),
                ..package_fact(
                    "odd",
                    Signature::Bad {
                        message: "it is of other bytes".to_owned(),
                    },
                    None,
                )
            },
        ],
        paths: PathCounts {
            packages: 976,
            manager: 195,
            scripts: 65,
            declared: 2,
            others: 1,
            unexplained: 4,
        },
        stale: vec![4],
    };
    cell.observed = observed(operations);
    fails(
        cell,
        "`/usr/local/bin/helper` is setuid and nothing declares it, and 4 more",
    );
}

/// Everything above ordinary is granted or approved; the packages have signatures of their own.
fn granted(cell: &mut CellRecord) {
    let unit = Kind::UnitEnabled {
        unit: "engine.service".to_owned(),
    };
    let operations = vec![seen(
        3,
        2,
        unit.clone(),
        None,
        Class::Accompanying {
            package: "engine".to_owned(),
        },
    )];
    cell.delta = Delta {
        declared: vec![
            declared(1, 1, key(), true, Standing::Granted { entry: 0 }),
            declared(4, 3, unit, true, Standing::Approved(ApprovedBy::Services)),
        ],
        accompanying: vec![set(
            &operations,
            "engine",
            vec![0],
            Standing::Granted { entry: 3 },
        )],
        packages: vec![package_fact("engine", verified(), None)],
        paths: PathCounts {
            packages: 30,
            manager: 5,
            ..PathCounts::default()
        },
        stale: vec![4],
    };
    cell.observed = observed(operations);
}

/// Nothing above ordinary.
fn ordinary(cell: &mut CellRecord) {
    cell.observed = observed(Vec::new());
}

/// Every text that a sandbox or a repository chooses is hostile, and as long as it likes.
fn hostile(cell: &mut CellRecord) {
    let huge = Some(Actor {
        argv: vec![HOSTILE.to_owned(), "x".repeat(10 << 20)],
        uid: 0,
        program: None,
        script: None,
    });
    let script = Some(Actor {
        argv: Vec::new(),
        uid: 0,
        program: None,
        script: Some(MaintScript {
            package: HOSTILE.to_owned(),
            script: HOSTILE.to_owned(),
        }),
    });
    let file = Kind::FileSetuid {
        path: format!("/opt/\\xff\\xfe{HOSTILE}"),
        mode: 0o4755,
        owner: HOSTILE.to_owned(),
    };
    let says = Kind::Sudoers {
        file: "/etc/sudoers.d/x".to_owned(),
        says: words(&format!("{HOSTILE}{}", "y".repeat(10 << 20))),
    };
    let mount = Kind::Mount {
        arguments: HOSTILE.to_owned(),
    };
    let why = Why::NotItsOwn {
        package: HOSTILE.to_owned(),
    };
    let operations = vec![
        seen(1, 1, file, huge, Class::Undeclared { why: Why::Nobody }),
        seen(1, 1, says, script, Class::Undeclared { why }),
        seen(
            1,
            1,
            mount,
            None,
            Class::Accompanying {
                package: HOSTILE.to_owned(),
            },
        ),
    ];
    cell.delta = Delta {
        accompanying: vec![set(&operations, HOSTILE, vec![2], Standing::Missing)],
        packages: vec![package_fact(
            HOSTILE,
            Signature::Bad {
                message: HOSTILE.to_owned(),
            },
            None,
        )],
        paths: PathCounts {
            unexplained: 1,
            ..PathCounts::default()
        },
        ..Delta::default()
    };
    cell.observed = observed(operations);
    let seen = cell.observed.operations.iter_mut();
    let sets = cell.delta.accompanying.iter_mut();
    let seen = seen.map(|seen| &mut seen.operation);
    for operation in seen.chain(sets.map(|set| &mut set.operation)) {
        operation.steps = vec![step("hostile#1")];
    }
    fails(cell, HOSTILE);
    cell.verdict = Verdict::AsExpected;
}

fn fails(cell: &mut CellRecord, message: &str) {
    cell.outcome = Outcome::Failed {
        first: Failure {
            phase: Phase::Apply,
            reason: Reason::UndeclaredOperation,
            op: None,
            steps: cell.observed.operations[0].operation.steps.clone(),
            message: message.to_owned(),
        },
        also: Vec::new(),
    };
    cell.verdict = Verdict::Differs;
}

fn words(text: &str) -> FileText {
    FileText::Words(text.to_owned())
}

fn key() -> Kind {
    Kind::PkgKey {
        key: KeyIdentity::Fingerprint(KEY.to_owned()),
        repository: Some("https://a.test/".to_owned()),
        scope: KeyScope::Repository,
    }
}

fn verified() -> Signature {
    Signature::Verified {
        fingerprint: KEY.to_owned(),
        key: KeyPlace::Declared {
            step: step("engine#1"),
        },
    }
}

/// A step, as it is written.
fn step(text: &str) -> StepRef {
    let (recipe, step) = text.split_once('#').expect("a step");
    StepRef {
        recipe: recipe.parse().expect("a recipe"),
        step: step.parse().expect("a step"),
    }
}

fn package_fact(name: &str, own: Signature, index: Option<Signature>) -> PackageFact {
    PackageFact {
        name: name.to_owned(),
        version: Some("1.7.24-1".to_owned()),
        sha256: Digest::of(name.as_bytes()),
        op: Some(OpId(3)),
        steps: vec![step("engine#2")],
        paths: 34,
        scripts: 2,
        chain: Chain {
            own,
            index: index.map(|signature| SigningIndex {
                url: "https://a.test/dists/stable/InRelease".to_owned(),
                signature,
            }),
        },
        unreadable: None,
    }
}

/// An operation of an op that serves this step of the recipe `engine`.
fn operation(op: u32, number: u32, kind: Kind, actor: Option<Actor>) -> PrivilegedOperation {
    PrivilegedOperation {
        steps: vec![step(&format!("engine#{number}"))],
        op: OpId(op),
        subject: kind.subject(),
        kind,
        origin: Origin::Manifest,
        before: None,
        after: None,
        actor,
        package: None,
        evidence: OperationEvidence::default(),
    }
}

fn seen(op: u32, step: u32, kind: Kind, actor: Option<Actor>, class: Class) -> ObservedOperation {
    let operation = operation(op, step, kind, actor);
    ObservedOperation {
        digest: operation.digest(),
        risk: risk(&operation.kind, &Policy::default()),
        attack: technique(operation.kind.name()),
        pass: Pass::First,
        count: 1,
        class,
        operation,
    }
}

fn observed(operations: Vec<ObservedOperation>) -> Observed {
    Observed {
        operations,
        folded: vec![
            Folded {
                op: OpId(1),
                kind: KindName::ExecRoot,
                count: 333,
            },
            Folded {
                op: OpId(1),
                kind: KindName::NetConnect,
                count: 12,
            },
        ],
    }
}

fn declared(op: u32, step: u32, kind: Kind, seen: bool, standing: Standing) -> DeclaredOperation {
    let mut operation = operation(op, step, kind, None);
    operation.origin = Origin::Plan;
    operation.evidence.argv = ["usermod", "-aG", "a b", "dev"].map(str::to_owned).into();
    DeclaredOperation {
        digest: operation.digest(),
        risk: risk(&operation.kind, &Policy::default()),
        attack: technique(operation.kind.name()),
        seen,
        standing: Some(standing),
        operation,
    }
}

fn set(
    operations: &[ObservedOperation],
    package: &str,
    parts: Vec<usize>,
    standing: Standing,
) -> AccompanyingSet {
    let digests: BTreeSet<Digest> = parts.iter().map(|part| operations[*part].digest).collect();
    let risks = parts.iter().map(|part| operations[*part].risk);
    let risk = risks.min().expect("a part");
    let kind = Kind::Accompanying {
        package: package.to_owned(),
        operations: digests,
    };
    let operation = operation(3, 2, kind, None);
    AccompanyingSet {
        digest: operation.digest(),
        risk,
        parts,
        standing: Some(standing),
        operation,
    }
}
