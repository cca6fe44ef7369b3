//! A record in which everything that somebody else may say says this text.

use std::collections::{BTreeMap, BTreeSet};

use assay_observe::consent::Standing;
use assay_observe::delta::{AccompanyingSet, Class, DeclaredOperation, Delta, PackageFact, Why};
use assay_observe::observed::{Folded, Observed, ObservedOperation};
use assay_observe::risk::Risk;
use assay_observe::{CellRecord, Record, fold};
use assay_testkit::log::{expected, file, image, planned};
use assay_testkit::{Log, PlanBuilder, captured};
use assay_wire::consent::{Consent, Policy};
use assay_wire::digest::Digest;
use assay_wire::event::{
    Asker, Body, CellEnded, CellPlanned, ConsentBasis, ContentReady, Ending, Envelope, ImageKind,
    InfraCause, ManifestPoint, Request, RequestDecision, RunStarted, SandboxLeft, SnapshotFinding,
    StepLocation, Trace,
};
use assay_wire::key::{KeyCode, KeyFinding, KeySeverity};
use assay_wire::lock::Network;
use assay_wire::manifest::{Content, Entry, EntryKind, PathChange, StateChange};
use assay_wire::package::{Chain, KeyPlace, Signature, SigningIndex};
use assay_wire::plan::OpId;
use assay_wire::privileged::{
    Actor, Kind, KindName, OperationEvidence, Origin, PrivilegedOperation,
};
use assay_wire::program::Pass;
use assay_wire::source::Location;
use assay_wire::trace::{Call, MaintScript, StartedFor, TracedCall, TracedProgram};

/// The record: a cell of which everything is told, one that is not supported, one that broke off.
pub(crate) fn record(text: &str) -> Record {
    let mut record = fold(events(text)).expect("a good log");
    let cell = &mut record.cells[0];
    cell.observed = observed(text);
    cell.delta = delta(text, cell);
    // The log has a trace of its own, of one program.
    cell.facts.traces[0] = trace(text);
    cell.noise = BTreeMap::from([(format!("/opt/noise{text}"), "is on the list")]);
    record
}

fn events(text: &str) -> Vec<Envelope> {
    let unsupported = PlanBuilder::new("arch", "said").unsupported(text).build();
    let broken = PlanBuilder::new("fedora-44", "said").install("x").build();
    let step = planned_cell(text).plan.steps[0].step.clone();
    Log::started(started(text))
        .planned("debian-12:said", planned_cell(text))
        .body(Body::AttemptStarted { attempt: 1 })
        .attempt_failed(InfraCause::SandboxLost, text, true)
        .body(Body::SandboxLeft(SandboxLeft {
            sandbox: text.to_owned(),
            message: text.to_owned(),
        }))
        .attempt(2)
        .body(Body::ContentReady(ContentReady {
            step,
            url: text.to_owned(),
            sha256: Digest::of(b"key"),
            bytes: 1000,
            stored: true,
            findings: vec![KeyFinding {
                severity: KeySeverity::Warning,
                code: KeyCode::WeakHash,
                fingerprint: Some(text.to_owned()),
                message: text.to_owned(),
            }],
        }))
        .performed(
            1,
            Pass::First,
            Ending::Exited(0),
            captured(text),
            captured(text),
        )
        .manifest(ManifestPoint::Op(OpId(1)), paths(text), vec![probe(text)])
        .body(Body::Request(request(text)))
        .second(paths(text), vec![probe(text)])
        .cross_checked(&[text])
        .body(Body::CellEnded(CellEnded::Finished))
        .cell("arch:said", unsupported)
        .ends(CellEnded::Finished)
        .cell("fedora-44:said", broken)
        .body(Body::AttemptStarted { attempt: 1 })
        .attempt_failed(InfraCause::ImageMissing, text, false)
        .ends(CellEnded::GaveUp)
        .end()
        .envelopes()
}

fn started(text: &str) -> RunStarted {
    RunStarted {
        harness: text.to_owned(),
        started: text.to_owned(),
        arguments: vec![text.to_owned()],
        project: Some(text.to_owned()),
        allow_unmet_needs: false,
        network: Network::Live,
        consents: Some(ConsentBasis {
            ledger: vec![Consent {
                recipe: "said".parse().expect("a name"),
                targets: vec!["debian-12".parse().expect("a target")],
                kind: KindName::Accompanying,
                subject: text.to_owned(),
                operations: Vec::new(),
                digest: Digest::of(b"set"),
                note: text.to_owned(),
                by: text.to_owned(),
                on: text.to_owned(),
                expires: Some(text.to_owned()),
            }],
            policy: Policy::default(),
            today: "2026-03-01".to_owned(),
        }),
    }
}

fn planned_cell(text: &str) -> CellPlanned {
    let plan = PlanBuilder::new("debian-12", "said").run(&["sh", "-c", text]);
    let mut plan = plan.dropped(text, text).manual(text).build();
    let step = &mut plan.steps[0];
    step.action = text.to_owned();
    step.description = Some(text.to_owned());
    step.fallback = Some(text.to_owned());
    let location = StepLocation {
        step: step.step.clone(),
        location: Location {
            file: text.to_owned(),
            line: 1,
            column: 1,
            end_line: 1,
            end_column: 2,
        },
    };
    let mut planned = planned(plan);
    planned.locations = vec![location];
    let mut lab = image(&planned.plan, ImageKind::Lab);
    lab.id = text.to_owned();
    lab.note = Some(text.to_owned());
    planned.image = Some(lab);
    let mut row = expected("passed");
    row.link = Some(text.to_owned());
    planned.expected = Some(row);
    planned.snapshot = SnapshotFinding::Different {
        diff: text.to_owned(),
    };
    planned
}

fn trace(text: &str) -> Trace {
    let program = |id: u32, parent: Option<u32>, uid: u32| TracedProgram {
        id,
        parent,
        started_for: parent.is_none().then_some(StartedFor::Op),
        pid: id,
        argv: vec!["sh".to_owned(), text.to_owned()],
        cut: false,
        exe: text.to_owned(),
        folder: text.to_owned(),
        uid,
        gid: uid,
        maintscript: parent.map(|_| MaintScript {
            package: text.to_owned(),
            script: text.to_owned(),
        }),
        scripts: Vec::new(),
    };
    let call = |program, call| TracedCall {
        program,
        call,
        subject: text.to_owned(),
        detail: Some(text.to_owned()),
        error: None,
        count: 3,
    };
    let programs = vec![
        program(1, None, 0),
        program(2, Some(1), 0),
        program(3, Some(2), 1000),
        program(4, Some(1), 0),
        program(5, Some(4), 1000),
    ];
    Trace {
        op: OpId(1),
        pass: Pass::First,
        events: 21,
        programs,
        calls: vec![
            call(2, Call::Open),
            call(3, Call::Mount),
            call(3, Call::Connect),
        ],
        gaps: Vec::new(),
    }
}

fn paths(text: &str) -> Vec<PathChange> {
    // What a file says is shown by its lines, and paths by their folders: here each has one.
    let line = text.replace(['\n', '\r'], " ");
    let name = text.replace('/', "_");
    let says = |says: &str| Entry {
        content: Some(Content::Text(says.to_owned())),
        ..file(0o644, says.as_bytes())
    };
    let change = |path: &str, before: Option<Entry>, after: Option<Entry>| PathChange {
        path: format!("{path}{name}"),
        before,
        after,
    };
    vec![
        change("/etc/a", Some(says("it said this\n")), Some(says(&line))),
        change("/opt/b", None, Some(file(0o644, b"new"))),
        change(
            "/opt/c",
            None,
            Some(Entry {
                kind: EntryKind::Symlink,
                points_to: Some(text.to_owned()),
                ..file(0o777, b"")
            }),
        ),
    ]
}

fn probe(text: &str) -> StateChange {
    StateChange {
        probe: text.to_owned(),
        line: text.to_owned(),
        added: true,
    }
}

fn request(text: &str) -> Request {
    Request {
        op: Some(OpId(1)),
        method: text.to_owned(),
        url: text.to_owned(),
        asker: Some(Asker {
            uid: 0,
            program: Some(text.to_owned()),
        }),
        decision: RequestDecision::Refused {
            reason: text.to_owned(),
        },
        status: 403,
        bytes: 12,
        sha256: None,
        locked: None,
        ms: 1,
    }
}

fn operation(text: &str, kind: Kind, actor: Option<Actor>) -> PrivilegedOperation {
    let step = PlanBuilder::new("debian-12", "said").run(&["x"]).build();
    PrivilegedOperation {
        steps: vec![step.steps[0].step.clone()],
        op: OpId(1),
        subject: text.to_owned(),
        kind,
        origin: Origin::Trace,
        before: Some(text.to_owned()),
        after: Some(text.to_owned()),
        actor,
        package: Some(text.to_owned()),
        evidence: OperationEvidence {
            argv: vec![text.to_owned()],
            path: None,
            url: Some(text.to_owned()),
            ..OperationEvidence::default()
        },
    }
}

fn mount(text: &str) -> Kind {
    Kind::Mount {
        arguments: text.to_owned(),
    }
}

fn actor(text: &str, script: bool) -> Option<Actor> {
    Some(Actor {
        argv: vec![text.to_owned()],
        uid: 0,
        program: Some(2),
        script: script.then(|| MaintScript {
            package: text.to_owned(),
            script: text.to_owned(),
        }),
    })
}

fn observed(text: &str) -> Observed {
    let package = text.to_owned();
    let classes = [
        (Class::Undeclared { why: Why::Nobody }, actor(text, true)),
        (
            Class::Undeclared {
                why: Why::Differs {
                    package: package.clone(),
                },
            },
            actor(text, false),
        ),
        (Class::Accompanying { package }, None),
        (Class::Declared { by: OpId(1) }, None),
    ];
    let seen = classes.into_iter().map(|(class, actor)| ObservedOperation {
        operation: operation(text, mount(text), actor),
        digest: Digest::of(b"operation"),
        risk: Risk::RootEquivalent,
        attack: None,
        pass: Pass::First,
        count: 2,
        class,
    });
    Observed {
        operations: seen.collect(),
        folded: vec![Folded {
            op: OpId(1),
            kind: KindName::ExecRoot,
            count: 3,
        }],
    }
}

fn delta(text: &str, cell: &CellRecord) -> Delta {
    let standings = [
        Standing::Missing,
        Standing::Violated { entry: 0 },
        Standing::Expired { entry: 0 },
        Standing::Granted { entry: 0 },
    ];
    let declared = standings
        .iter()
        .enumerate()
        .map(|(at, standing)| DeclaredOperation {
            operation: operation(text, mount(text), None),
            digest: Digest::of(&[u8::try_from(at).expect("few")]),
            risk: Risk::RootEquivalent,
            attack: Some("T1548"),
            seen: at == 0,
            standing: Some(*standing),
        });
    let sets = [Standing::Missing, Standing::Granted { entry: 0 }];
    let sets = sets.iter().enumerate().map(|(at, standing)| {
        let kind = Kind::Accompanying {
            package: text.to_owned(),
            operations: BTreeSet::from([Digest::of(b"operation")]),
        };
        AccompanyingSet {
            operation: operation(text, kind, None),
            digest: Digest::of(&[u8::try_from(at).expect("few")]),
            risk: Risk::RootEquivalent,
            parts: vec![2],
            standing: Some(*standing),
        }
    });
    Delta {
        declared: declared.collect(),
        accompanying: sets.collect(),
        packages: packages(text, cell),
        stale: vec![0],
        ..Delta::default()
    }
}

/// Packages with a signature of each kind, their own and of an index.
fn packages(text: &str, cell: &CellRecord) -> Vec<PackageFact> {
    let step = &cell.facts.planned.plan.steps[0].step;
    let says = || text.to_owned();
    let by = |key| Signature::Verified {
        fingerprint: says(),
        key,
    };
    let signatures = [
        Signature::None,
        by(KeyPlace::Declared { step: step.clone() }),
        by(KeyPlace::Image { path: says() }),
        Signature::UnknownKey { key: says() },
        Signature::Bad { message: says() },
    ];
    let mut packages = Vec::new();
    for own in &signatures {
        let of_index = signatures.iter().map(|signature| {
            Some(SigningIndex {
                url: says(),
                signature: signature.clone(),
            })
        });
        for index in of_index.chain([None]) {
            packages.push(PackageFact {
                name: says(),
                version: Some(says()),
                sha256: Digest::of(text.as_bytes()),
                op: Some(OpId(1)),
                steps: vec![step.clone()],
                paths: 2,
                scripts: 1,
                chain: Chain {
                    own: own.clone(),
                    index,
                },
                unreadable: Some(says()),
            });
        }
    }
    packages
}
