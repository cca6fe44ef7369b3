//! The fake as `run` uses it: scripts played, recorded streams replayed, faults in their place.

use assay_wire::control::{Close, Credit, Directive, ToRunner};
use assay_wire::event::ExecutorEvent;
use assay_wire::frame::{FrameHeader, FrameKind, HEADER, WINDOW};
use assay_wire::manifest::{ManifestLine, StateChange};
use assay_wire::plan::OpId;
use assay_wire::program::{HarnessEnv, Pass, Program};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::lease::OwnerId;
use crate::session::{Backend, SandboxLimits, SandboxUse, Session};

/// A frame as the runner reads it.
#[derive(Debug, PartialEq)]
enum Read {
    Message(ToRunner),
    Bytes(u32, Vec<u8>),
    End,
}

struct Runner {
    session: Session,
    channel: Channel,
}

impl Runner {
    async fn read(&mut self) -> Read {
        let mut header = [0; HEADER];
        if self.channel.reader.read_exact(&mut header).await.is_err() {
            return Read::End;
        }
        let header = FrameHeader::decode(header).expect("a frame");
        let mut payload = vec![0; header.length as usize];
        self.channel
            .reader
            .read_exact(&mut payload)
            .await
            .expect("a payload");
        match header.kind {
            FrameKind::Message => {
                Read::Message(serde_json::from_slice(&payload).expect("a message"))
            }
            FrameKind::Bytes => Read::Bytes(header.stream, payload),
        }
    }

    async fn send(&mut self, message: ToExecutor) {
        self.channel
            .writer
            .write_all(&message_frame(&message))
            .await
            .expect("to send");
    }

    async fn event(&mut self) -> ExecutorEvent {
        loop {
            match self.read().await {
                Read::Message(ToRunner::Event(event)) => return event,
                Read::Message(ToRunner::Open(_) | ToRunner::Close(_)) | Read::Bytes(..) => {}
                other @ (Read::Message(_) | Read::End) => panic!("no event but {other:?}"),
            }
        }
    }
}

fn cell() -> CellId {
    "debian-12:jq".parse().expect("a cell")
}

fn spec() -> SandboxSpec {
    SandboxSpec {
        traced: true,
        run: "r-1".parse().expect("a run"),
        owner: OwnerId::of("m", 0, std::path::Path::new("/c")),
        cell: cell(),
        image: "sha256:00".to_owned(),
        used_for: SandboxUse::Cell,
        executor: b"executor".as_slice().into(),
        limits: SandboxLimits::default(),
        created: SystemTime::UNIX_EPOCH,
    }
}

async fn play(script: Script) -> (Runner, FakeBackend) {
    let fake = FakeBackend::new();
    fake.plays(&cell(), script);
    let mut session = Session::start(&Backend::Fake(fake.clone()), &spec())
        .await
        .expect("a session");
    let channel = session.channel().expect("its channel");
    assert!(session.channel().is_none(), "a channel is taken once");
    (Runner { session, channel }, fake)
}

fn program() -> ToExecutor {
    ToExecutor::Program(Box::new(Program {
        harness: HarnessEnv::default(),
        certificate: None,
        becomes_image: false,
        runs: Vec::new(),
    }))
}

fn directive(directive: Directive) -> ToExecutor {
    ToExecutor::Directive(directive)
}

fn finished(event: &ExecutorEvent) -> bool {
    matches!(event, ExecutorEvent::OpFinished { .. })
}

#[tokio::test]
async fn a_whole_session_is_played() {
    let op = OpId(0);
    let line = ManifestLine::State(StateChange {
        probe: "packages".to_owned(),
        line: "jq 1.6".to_owned(),
        added: true,
    });
    let script = FakeSession::script()
        .hello()
        .ready()
        .op_ok(op, Pass::First, "done\n")
        .manifest(std::slice::from_ref(&line))
        .op_skipped(op, Pass::Second)
        .goodbye()
        .changes(vec![Change {
            path: "/etc".to_owned(),
            kind: crate::session::ChangeKind::Modified,
        }]);
    let (mut runner, fake) = play(script).await;
    let Read::Message(ToRunner::Hello(hello)) = runner.read().await else {
        panic!("no hello");
    };
    assert_eq!(hello.executor_sha256, Digest::of(b"executor"));
    runner.send(program()).await;
    assert!(matches!(
        runner.event().await,
        ExecutorEvent::Ready { uid: 1000, .. }
    ));
    runner.send(directive(Directive::Continue)).await;
    assert!(matches!(
        runner.event().await,
        ExecutorEvent::OpStarted { .. }
    ));
    let Read::Message(ToRunner::Open(open)) = runner.read().await else {
        panic!("no stream");
    };
    assert_eq!(open.stream, 1);
    assert_eq!(runner.read().await, Read::Bytes(1, b"done\n".to_vec()));
    assert!(finished(&runner.event().await));
    runner.send(directive(Directive::Manifest)).await;
    let Read::Message(ToRunner::Open(open)) = runner.read().await else {
        panic!("no stream");
    };
    let Read::Bytes(stream, bytes) = runner.read().await else {
        panic!("no manifest");
    };
    assert_eq!(stream, open.stream);
    assert_eq!(
        serde_json::from_slice::<ManifestLine>(&bytes).expect("a line"),
        line
    );
    assert!(matches!(
        runner.event().await,
        ExecutorEvent::ManifestTaken { entries: 1, .. }
    ));
    runner.send(directive(Directive::Continue)).await;
    assert!(matches!(
        runner.event().await,
        ExecutorEvent::GuardAsked { held: true, .. }
    ));
    runner.send(directive(Directive::Continue)).await;
    assert_eq!(runner.read().await, Read::Message(ToRunner::Goodbye));
    assert_eq!(runner.read().await, Read::End);
    assert_eq!(runner.session.changes().await.expect("changes").len(), 1);
    runner.session.close().await.expect("to close");
    let recording = &fake.recordings()[0];
    assert_eq!(recording.messages.len(), 5);
    assert!(recording.closed && recording.unexpected.is_none());
}

#[tokio::test]
async fn directives_without_a_step_are_answered() {
    let script = FakeSession::script()
        .ready()
        .op_ok(OpId(0), Pass::First, "")
        .goodbye();
    let (mut runner, _) = play(script).await;
    runner.send(program()).await;
    assert!(matches!(runner.event().await, ExecutorEvent::Ready { .. }));
    runner.send(directive(Directive::Manifest)).await;
    assert!(matches!(
        runner.event().await,
        ExecutorEvent::ManifestTaken { entries: 0, .. }
    ));
    runner.send(directive(Directive::Stop)).await;
    assert_eq!(runner.read().await, Read::Message(ToRunner::Goodbye));
    assert_eq!(runner.read().await, Read::End);
}

#[tokio::test]
async fn what_the_script_does_not_expect_breaks_it_off_and_is_recorded() {
    let (mut runner, fake) = play(FakeSession::script().ready().goodbye()).await;
    runner.send(directive(Directive::Continue)).await;
    assert!(matches!(runner.event().await, ExecutorEvent::Broken { .. }));
    assert_eq!(runner.read().await, Read::End);
    let unexpected = fake.recordings()[0]
        .unexpected
        .clone()
        .expect("a record of it");
    assert!(unexpected.contains("awaits Program"), "{unexpected}");
}

#[tokio::test]
async fn output_waits_for_credit() {
    let long = "x".repeat(usize::try_from(WINDOW).expect("a small window") + 7);
    let script = FakeSession::script()
        .ready()
        .op_ok(OpId(0), Pass::First, &long)
        .goodbye();
    let (mut runner, _) = play(script).await;
    runner.send(program()).await;
    runner.send(directive(Directive::Continue)).await;
    let mut got = 0;
    while got < WINDOW {
        if let Read::Bytes(1, bytes) = runner.read().await {
            got += bytes.len() as u64;
        }
    }
    assert_eq!(got, WINDOW);
    let silent = tokio::time::timeout(std::time::Duration::from_millis(50), runner.read()).await;
    assert!(silent.is_err(), "{silent:?} came without credit");
    runner
        .send(ToExecutor::Credit(Credit {
            stream: 1,
            bytes: 7,
        }))
        .await;
    assert_eq!(runner.read().await, Read::Bytes(1, b"xxxxxxx".to_vec()));
}

#[tokio::test]
async fn bytes_of_the_runner_are_recorded_and_credited() {
    let script = FakeSession::script()
        .ready()
        .connects(None, b"GET".to_vec())
        .goodbye();
    let (mut runner, fake) = play(script).await;
    runner
        .channel
        .writer
        .write_all(&bytes_frames(2, b"blob"))
        .await
        .expect("to send");
    assert_eq!(
        runner.read().await,
        Read::Message(ToRunner::Credit(Credit {
            stream: 2,
            bytes: 4
        }))
    );
    runner.send(program()).await;
    assert!(matches!(runner.event().await, ExecutorEvent::Ready { .. }));
    assert!(matches!(
        runner.read().await,
        Read::Message(ToRunner::Open(_))
    ));
    assert_eq!(runner.read().await, Read::Bytes(1, b"GET".to_vec()));
    runner
        .send(ToExecutor::Close(Close {
            stream: 1,
            error: None,
        }))
        .await;
    assert_eq!(
        runner.read().await,
        Read::Message(ToRunner::Close(Close {
            stream: 1,
            error: None
        }))
    );
    assert_eq!(fake.recordings()[0].bytes[&2], b"blob");
}

#[tokio::test]
async fn an_end_without_goodbye_has_the_given_cause() {
    let lost = SandboxError::Lost {
        sandbox: "x".to_owned(),
        how: "it ran out of memory".to_owned(),
        stderr: String::new(),
    };
    let script = FakeSession::script()
        .garbage(vec![1, 2, 3])
        .cut(lost.clone());
    let (mut runner, _) = play(script).await;
    let mut bytes = Vec::new();
    runner
        .channel
        .reader
        .read_to_end(&mut bytes)
        .await
        .expect("an end");
    assert_eq!(bytes, [1, 2, 3]);
    assert_eq!(runner.session.why_lost().await, lost);
}

#[tokio::test]
async fn a_cell_without_a_script_and_one_that_fails_do_not_start() {
    let fake = FakeBackend::new();
    let lost = SandboxError::NotKept {
        sandbox: "x".to_owned(),
    };
    fake.fails(&cell(), lost.clone());
    let backend = Backend::Fake(fake);
    let first = Session::start(&backend, &spec())
        .await
        .expect_err("as planned");
    assert_eq!(first, lost);
    let second = Session::start(&backend, &spec())
        .await
        .expect_err("nothing is planned");
    assert!(matches!(second, SandboxError::NoScript { .. }));
}

#[tokio::test]
async fn a_fake_that_hangs_ends_when_it_is_closed() {
    let (mut runner, _) = play(FakeSession::script().hello().hang()).await;
    assert!(matches!(
        runner.read().await,
        Read::Message(ToRunner::Hello(_))
    ));
    let silent = tokio::time::timeout(std::time::Duration::from_millis(50), runner.read()).await;
    assert!(silent.is_err());
    runner.session.close().await.expect("to close");
    assert_eq!(runner.read().await, Read::End);
}
