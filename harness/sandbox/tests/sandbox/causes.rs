//! Every way an engine can fail a session has its own cause.

use std::sync::Arc;
use std::time::SystemTime;

use assay_sandbox::docker::engine::{Engine, EngineError};
use assay_sandbox::error::SandboxError;
use assay_sandbox::lease::OwnerId;
use assay_sandbox::session::{SandboxLimits, SandboxSpec, SandboxUse, Session};
use assay_wire::event::InfraCause;
use tokio::io::AsyncReadExt as _;

use crate::fake_engine::{FakeEngine, Fault};

pub(crate) fn spec() -> SandboxSpec {
    SandboxSpec {
        traced: true,
        run: "r-1".parse().expect("a run"),
        owner: OwnerId::of("m", 0, std::path::Path::new("/c")),
        cell: "debian-12:jq".parse().expect("a cell"),
        image: "sha256:00".to_owned(),
        used_for: SandboxUse::Cell,
        executor: Arc::from(b"executor".as_slice()),
        limits: SandboxLimits::default(),
        created: SystemTime::UNIX_EPOCH,
    }
}

async fn failure(fault: Fault) -> (SandboxError, FakeEngine) {
    let engine = FakeEngine::start(Some(fault));
    let error = Session::start(&engine.backend().await, &spec())
        .await
        .expect_err("the engine fails");
    (error, engine)
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable() {
    let error = Engine::connect_to("unix:///does/not/exist.sock")
        .await
        .expect_err("nothing");
    let error = SandboxError::from(error);
    assert_eq!(error.cause(), InfraCause::EngineUnreachable);
    assert!(error.is_transient());
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() {
    let (error, _) = failure(Fault::Refuse("/containers/create", 404, "no such image")).await;
    let missing = EngineError::ImageMissing {
        image: "sha256:00".to_owned(),
    };
    assert_eq!(error, SandboxError::Engine(missing));
    assert_eq!(error.cause(), InfraCause::ImageMissing);
}

#[tokio::test]
async fn a_full_disk_is_the_hosts_and_leaves_nothing() {
    let (error, engine) = failure(Fault::Refuse(
        "/archive",
        500,
        "write: no space left on device",
    ))
    .await;
    assert_eq!(error.cause(), InfraCause::HostStorage);
    assert!(error.hint().expect("a hint").contains("space"));
    assert!(!error.is_transient());
    assert_eq!(engine.names(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_start_is_told_with_the_engines_words_and_leaves_nothing() {
    let (error, engine) = failure(Fault::Refuse("/start", 400, "exec format\n error")).await;
    assert_eq!(error.cause(), InfraCause::EngineRefused);
    assert!(error.to_string().contains("exec format  error"), "{error}");
    assert!(!error.is_transient());
    assert_eq!(engine.names(), Vec::<String>::new());
}

#[tokio::test]
async fn an_image_the_engine_lost_between_two_looks_is_missing() {
    let said = "locating image with ID \"00\": image not known";
    let (error, engine) = failure(Fault::Refuse("GET /images/", 500, said)).await;
    assert_eq!(error.cause(), InfraCause::ImageMissing, "{error}");
    assert_eq!(engine.names(), Vec::<String>::new());
}

#[tokio::test]
async fn an_image_without_its_labels_is_not_used() {
    let (error, engine) = failure(Fault::ForgetsLabels).await;
    assert_eq!(error.cause(), InfraCause::EngineRefused, "{error}");
    assert!(error.to_string().contains("its labels"), "{error}");
    assert_eq!(engine.names(), Vec::<String>::new());
    let requests = engine.requests();
    let removed = requests
        .iter()
        .any(|line| line.starts_with("DELETE /images/"));
    assert!(removed, "{requests:?}");
}

#[tokio::test]
async fn what_has_ended_need_not_be_killed_whatever_the_engine_says_of_it() {
    let engine = FakeEngine::start(Some(Fault::EndedAlready));
    let session = Session::start(&engine.backend().await, &spec()).await;
    let session = session.expect("a session");
    session.halt().await.expect("as wanted");

    // What still runs was not killed.
    let engine = FakeEngine::start(Some(Fault::Refuse("/kill", 500, "busy")));
    let session = Session::start(&engine.backend().await, &spec()).await;
    let error = session.expect("a session").halt().await;
    let error = error.expect_err("it runs");
    assert!(error.to_string().contains("busy"), "{error}");
}

#[tokio::test]
async fn an_engine_that_dies_at_any_request_died() {
    for at in [
        "/containers/create",
        "/archive",
        "/wait",
        "/commit",
        "/attach",
        "/start",
    ] {
        let (error, _) = failure(Fault::Die(at)).await;
        assert_eq!(error.cause(), InfraCause::EngineDied, "{at}: {error}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn an_image_is_prepared_once_however_many_sandboxes_start() {
    let engine = FakeEngine::start(None);
    let backend = engine.backend().await;
    let spec = spec();
    let (one, other) = tokio::join!(
        Session::start(&backend, &spec),
        Session::start(&backend, &spec)
    );
    let (mut one, mut other) = (one.expect("a session"), other.expect("a session"));
    let mut third = Session::start(&backend, &spec).await.expect("a session");
    let count = |what: &str| {
        let requests = engine.requests();
        requests.iter().filter(|line| line.contains(what)).count()
    };
    assert_eq!(
        [count("PUT "), count("/commit"), count("/start")],
        [1, 1, 4]
    );
    for session in [&mut one, &mut other, &mut third] {
        session.close().await.expect("to close");
    }
    assert_eq!(engine.names(), Vec::<String>::new());
}

#[tokio::test]
async fn an_engine_that_dies_under_a_session_is_told_from_a_lost_sandbox() {
    let engine = FakeEngine::start(Some(Fault::DieAfterStart));
    let mut session = Session::start(&engine.backend().await, &spec())
        .await
        .expect("a session");
    let mut channel = session.channel().expect("a channel");
    let mut bytes = Vec::new();
    let _ = channel.reader.read_to_end(&mut bytes).await;
    assert_eq!(bytes, b"hi");
    let error = session.why_lost().await;
    assert_eq!(error.cause(), InfraCause::EngineDied, "{error:?}");
}

#[tokio::test]
async fn a_sandbox_without_memory_is_lost_for_that() {
    let engine = FakeEngine::start(None);
    let backend = engine.backend().await;
    let mut session = Session::start(&backend, &spec()).await.expect("a session");
    assert_eq!(session.engine(), "docker 20.10.24");
    let kept = session
        .keep(SystemTime::UNIX_EPOCH)
        .await
        .expect("to keep it");
    let error = session.why_lost().await;
    assert_eq!(error.cause(), InfraCause::SandboxLost);
    assert!(error.to_string().contains("out of memory"), "{error}");
    drop(session);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(
        engine.names(),
        [kept.name],
        "what is kept outlives its session"
    );
}

#[tokio::test]
async fn a_session_dropped_without_close_is_removed() {
    let engine = FakeEngine::start(None);
    let session = Session::start(&engine.backend().await, &spec())
        .await
        .expect("a session");
    assert_eq!(engine.names(), [session.name()]);
    drop(session);
    for _ in 0..100 {
        if engine.names().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it is still there: {:?}", engine.requests());
}

#[tokio::test]
async fn closing_twice_or_after_somebody_else_is_no_fault() {
    let engine = FakeEngine::start(None);
    let mut session = Session::start(&engine.backend().await, &spec())
        .await
        .expect("a session");
    session.close().await.expect("to close");
    session.close().await.expect("to close again");
    assert_eq!(engine.names(), Vec::<String>::new());
    let error = session.why_lost().await;
    assert!(error.to_string().contains("somebody removed it"), "{error}");
}
