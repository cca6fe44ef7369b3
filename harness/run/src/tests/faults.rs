//! Executors, engines and disks that misbehave: what is a fault of the world, what is tried again,
//! and that every sandbox is ended whatever happens.

use std::sync::Arc;
use std::time::Duration;

use assay_observe::Outcome;
use assay_sandbox::docker::engine::EngineError;
use assay_sandbox::error::SandboxError;
use assay_sandbox::fake::{Script, bytes_frames, message_frame};
use assay_testkit::{PlanBuilder, added};
use assay_wire::control::{Close, Credit, Open, Purpose, ToRunner};
use assay_wire::digest::Digest;
use assay_wire::event::{Body, CellEnded, ExecutorEvent, InfraCause};
use assay_wire::frame::WINDOW;
use assay_wire::manifest::ManifestLine;
use assay_wire::outcome::OutcomeKind;
use assay_wire::plan::{OpId, Plan};
use assay_wire::program::Pass::First;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::stage::{Ran, Stage, ready};
use crate::RunError;

fn plan(recipe: &str) -> Plan {
    PlanBuilder::new("debian-12", recipe)
        .check("works", &["b"], &[])
        .build()
}

fn good() -> Script {
    ready().op_ok(OpId(1), First, "").goodbye()
}

fn lost() -> SandboxError {
    SandboxError::Lost {
        sandbox: "fake".into(),
        how: "it was killed".into(),
        stderr: String::new(),
    }
}

fn begins_op() -> Script {
    // Awaits no directive by itself: the event comes as soon as it is sent.
    ready().manifest(&[]).event(ExecutorEvent::OpStarted {
        op: OpId(1),
        pass: First,
        argv: vec!["b".into()],
    })
}

/// Plays the same script in every attempt and returns the message of the outcome, which must be a
/// sandbox lost thrice.
async fn lost_thrice(script: Script) -> String {
    let mut stage = Stage::new();
    stage.cell(plan("x"), [script.clone(), script.clone(), script]);
    let ran = stage.run().await;
    assert!(ran.recordings.iter().all(|recording| recording.closed));
    assert_eq!((ran.recordings.len(), ran.code()), (3, 8));
    let (cause, retries, message, _) = ran.infra();
    assert_eq!((cause, retries), (InfraCause::SandboxLost, 2));
    message
}

/// A plan for whose ops systemd is PID 1.
fn booting() -> Plan {
    Plan {
        boots: true,
        ..plan("x")
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_what_the_image_had() {
    let message = lost_thrice(ready().manifest(&[]).keyring("/k", b"late")).await;
    assert!(
        message.contains("it sent a file of keys too late"),
        "{message}"
    );
    let many: Vec<String> = (0..=64).map(|number| format!("/{number}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|path| (&**path, &b"k"[..])).collect();
    let message = lost_thrice(Script::default().hello().ready_with(&many)).await;
    assert!(message.contains("more than 64 files of keys"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_boots_is_told_from_one_that_does_not() {
    let mut stage = Stage::new();
    let booted = Script::default()
        .hello()
        .event(ExecutorEvent::Booted {
            systemd: "systemd 257 (257.13-1~deb13u1)".into(),
            state: "degraded".into(),
            ms: 500,
        })
        .ready()
        .op_ok(OpId(1), First, "")
        .goodbye();
    stage.cell(booting(), [booted]);
    let ran = stage.run().await;
    ran.assert_orderly();
    assert_eq!(ran.outcome().kind(), OutcomeKind::Passed);

    let refusals = [
        Script::default().hello().event(ExecutorEvent::NotBooted {
            message: "there is no systemd in the image".into(),
        }),
        // PID 1 has ended, and the sandbox with it.
        Script::default().hello().cut(lost()),
    ];
    for refusal in refusals {
        let mut stage = Stage::new();
        stage.cell(booting(), [refusal]);
        let ran = stage.run().await;
        assert!(ran.recordings.iter().all(|recording| recording.closed));
        assert_eq!(
            (ran.recordings.len(), ran.code()),
            (1, 8),
            "never tried again"
        );
        let Outcome::NotRun { because } = ran.outcome() else {
            panic!("{:?}", ran.outcome());
        };
        assert!(
            because.starts_with("the environment refuses systemd as PID 1: "),
            "{because}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_sandbox_is_tried_again_and_only_the_last_attempt_counts() {
    let mut stage = Stage::new();
    stage.cell(plan("x"), [begins_op().cut(lost()), good()]);
    let ran = stage.run().await;
    ran.assert_orderly();
    assert_eq!(ran.outcome().kind(), OutcomeKind::Passed);
    let attempts = &ran.record.cells[0].facts.attempts;
    assert_eq!(attempts.len(), 2);
    assert!(
        attempts[0]
            .failure
            .as_ref()
            .is_some_and(|failure| failure.retried)
    );
    assert!(attempts[1].failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_lost_thrice_is_infrastructure() {
    let began = Instant::now();
    let message = lost_thrice(begins_op().cut(lost())).await;
    assert!(message.contains("it was killed"), "{message}");
    assert!(
        began.elapsed() >= Duration::from_secs(5),
        "there are pauses between attempts"
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_died_says_so_with_a_hint() {
    let died = || {
        SandboxError::Engine(EngineError::Died {
            operation: "attach".into(),
            host: "unix:///x".into(),
            cause: "connection reset".into(),
        })
    };
    let mut stage = Stage::new();
    stage.cell(
        plan("x"),
        [
            begins_op().cut(died()),
            begins_op().cut(died()),
            begins_op().cut(died()),
        ],
    );
    let ran = stage.run().await;
    assert_eq!(ran.code(), 8);
    let (cause, retries, _, hint) = ran.infra();
    assert_eq!((cause, retries), (InfraCause::EngineDied, 2));
    assert!(!hint.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_no_retry_mends_is_not_tried_again() {
    let mut stage = Stage::new();
    let cell = stage.cell(plan("x"), []);
    stage.fake.fails(
        &cell,
        SandboxError::Engine(EngineError::ImageMissing {
            image: "sha256:00".into(),
        }),
    );
    let ran = stage.run().await;
    let (cause, retries, _, hint) = ran.infra();
    assert_eq!((cause, retries), (InfraCause::ImageMissing, 0));
    assert!(hint.contains("images build"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn another_executor_is_not_spoken_to() {
    let message = lost_thrice(Script::default().hello_as(Digest::of(b"another")).ready()).await;
    assert!(message.contains("not the one that was sent"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_end_the_attempt() {
    let unknown = lost_thrice(Script::default().hello().garbage(vec![0xff; 64])).await;
    assert!(unknown.contains("damaged"), "{unknown}");
    let no_json = [
        &assay_wire::frame::FrameHeader::message(3).encode()[..],
        b"{}}",
    ]
    .concat();
    let unread = lost_thrice(ready().garbage(no_json)).await;
    assert!(unread.contains("cannot be read"), "{unread}");
    let short = lost_thrice(Script::replay(
        message_frame(&ToRunner::Goodbye)[..5].to_vec(),
    ))
    .await;
    assert!(short.contains("cut"), "{short}");
}

#[tokio::test(start_paused = true)]
async fn streams_outside_the_rules_end_the_attempt() {
    let open = |stream, purpose| message_frame(&ToRunner::Open(Open { stream, purpose }));
    let manifest = |stream| open(stream, Purpose::Manifest);
    let flood = vec![b'x'; usize::try_from(WINDOW).expect("small") + 1];
    let cases = [
        (
            [manifest(1), bytes_frames(1, &flood)].concat(),
            "beyond what it may send",
        ),
        (manifest(2), "not its to open"),
        ([manifest(1), manifest(1)].concat(), "not its to open"),
        (
            open(
                1,
                Purpose::Blob {
                    sha256: Digest::of(b""),
                    bytes: 0,
                },
            ),
            "only the runner opens",
        ),
        (
            (0..=1024)
                .flat_map(|number| manifest(2 * number + 1))
                .collect(),
            "more than 1024 streams",
        ),
        (
            [
                manifest(1),
                message_frame(&ToRunner::Credit(Credit {
                    stream: 1,
                    bytes: u64::MAX,
                })),
            ]
            .concat(),
            "bytes of credit",
        ),
        (
            [
                manifest(1),
                message_frame(&ToRunner::Close(Close {
                    stream: 1,
                    error: Some("torn".into()),
                })),
            ]
            .concat(),
            "torn",
        ),
        (message_frame(&ToRunner::Goodbye), "instead of an event"),
        (
            message_frame(&ToRunner::Event(ExecutorEvent::Broken {
                message: "disk".into(),
            })),
            "disk",
        ),
    ];
    for (bytes, words) in cases {
        let message = lost_thrice(ready().garbage(bytes).hang()).await;
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_line_without_end_is_no_line() {
    let line = ManifestLine::Path(added(&format!("/{}", "x".repeat(1100 << 10))));
    let message = lost_thrice(ready().manifest(&[line])).await;
    assert!(
        message.contains("a manifest line of more than"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn reports_about_another_op_are_not_believed() {
    let message = lost_thrice(ready().op_ok(OpId(7), First, "")).await;
    assert!(message.contains("while op 1 was running"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_lets_a_limit_pass_is_not_waited_for() {
    let mut stage = Stage::new();
    stage.cell(plan("x"), [begins_op().hang()]);
    let began = Instant::now();
    let ran = stage.run().await;
    ran.assert_orderly();
    assert_eq!(ran.failures(), ["verify time_limit"]);
    assert_eq!(ran.code(), 1);
    // The op's own minute, and a minute for the executor to say so.
    assert!(
        (120..125).contains(&began.elapsed().as_secs()),
        "{:?}",
        began.elapsed()
    );
    assert!(ran.record.cells[0].facts.cross_check.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_cells_own_time_ends_the_op_that_runs_then() {
    let mut stage = Stage::new();
    stage.cell_time = Duration::from_secs(5);
    stage.cell(plan("x"), [begins_op().hang()]);
    let began = Instant::now();
    let ran = stage.run().await;
    assert_eq!(ran.failures(), ["verify time_limit"]);
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cells_own_time_between_two_ops_is_not_tried_again() {
    let mut stage = Stage::new();
    stage.cell_time = Duration::from_secs(5);
    stage.cell(plan("x"), [ready().hang()]);
    let ran = stage.run().await;
    let (_, retries, _, hint) = ran.infra();
    assert_eq!(retries, 0);
    assert!(hint.contains("--timeout"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn an_interruption_ends_what_runs_and_starts_nothing_more() {
    let mut stage = Stage::new();
    stage.parallel = 1;
    stage.cell(plan("first"), [good()]);
    stage.cell(plan("second"), [begins_op().hang()]);
    stage.cell(plan("third"), []);
    let interrupt = stage.interrupt();
    let seen = std::sync::atomic::AtomicU32::new(0);
    stage.on_event(move |body| {
        if matches!(body, Body::Executor(ExecutorEvent::OpStarted { .. }))
            && seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1
        {
            interrupt.send_replace(true);
        }
    });
    let began = Instant::now();
    let ran = stage.run().await;
    ran.assert_orderly();
    assert!(began.elapsed() < Duration::from_secs(1));
    let kinds: Vec<OutcomeKind> = ran
        .record
        .cells
        .iter()
        .map(|cell| cell.outcome.kind())
        .collect();
    assert_eq!(
        kinds,
        [
            OutcomeKind::Passed,
            OutcomeKind::Cancelled,
            OutcomeKind::Cancelled
        ]
    );
    assert_eq!(ran.recordings.len(), 2);
    assert_eq!(ran.code(), 130);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_between_two_attempts_is_not_slept_through() {
    let mut stage = Stage::new();
    stage.cell(plan("x"), [begins_op().cut(lost())]);
    let interrupt = stage.interrupt();
    stage.on_event(move |body| {
        if matches!(body, Body::AttemptFailed(_)) {
            interrupt.send_replace(true);
        }
    });
    let began = Instant::now();
    let ran = stage.run().await;
    assert_eq!(ran.outcome().kind(), OutcomeKind::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_every_cell_at_once_and_closes_their_sandboxes() {
    let ran = on_a_disk_that_fills(2).await;
    assert_eq!(ran.recordings.len(), 2);
    assert_eq!(
        ran.record.cells.len(),
        3,
        "what was written before is readable"
    );
    ran.assert_orderly();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_starts_no_cell_that_waits() {
    let ran = on_a_disk_that_fills(1).await;
    assert_eq!(ran.recordings.len(), 1);
    ran.assert_orderly();
}

/// The disk is full once the first cell's op runs, which then hangs; what notices is whatever is
/// recorded next: the second cell's first fact, or the first cell's own time.
async fn on_a_disk_that_fills(parallel: usize) -> Ran {
    let mut stage = Stage::new();
    stage.parallel = parallel;
    stage.cell(plan("hangs"), [begins_op().hang()]);
    stage.cell(plan("lost"), [begins_op().cut(lost()), good()]);
    stage.cell(plan("waits"), []);
    let full = Arc::new(Notify::new());
    let (tell, journal) = (Arc::clone(&full), stage.journal());
    stage.on_event(move |body| {
        if matches!(body, Body::Executor(ExecutorEvent::OpStarted { .. })) {
            tell.notify_one();
        }
    });
    tokio::spawn(async move {
        full.notified().await;
        journal.fill_disk();
    });
    let began = Instant::now();
    let ran = stage.run().await;
    assert!(
        matches!(ran.result, Err(RunError::Journal(_))),
        "{:?}",
        ran.result
    );
    assert!(
        began.elapsed() < Duration::from_secs(if parallel > 1 { 30 } else { 130 }),
        "{:?}",
        began.elapsed()
    );
    ran
}

#[tokio::test(start_paused = true)]
async fn cells_start_in_their_order_and_never_more_than_allowed() {
    let mut stage = Stage::new();
    stage.parallel = 1;
    for recipe in ["a", "b", "c"] {
        stage.cell(plan(recipe), [good()]);
    }
    let journal = stage.journal();
    let ran = stage.run().await;
    assert_eq!(ran.code(), 0);
    let mut running = Vec::new();
    for event in journal.events().expect("readable") {
        let Some(cell) = event.cell else { continue };
        if let Body::AttemptStarted { .. } = event.body {
            running.push(cell.to_string());
        } else if let Body::CellEnded(ended) = event.body {
            assert_eq!(ended, CellEnded::Finished);
            assert_eq!(running.last(), Some(&cell.to_string()), "one at a time");
        }
    }
    assert_eq!(running, ["debian-12:a", "debian-12:b", "debian-12:c"]);
}
