//! Sweeps remove what is dead and ours, and nothing else.

use std::time::{Duration, SystemTime};

use assay_sandbox::lease::{Leases, OwnerId};
use assay_sandbox::session::Session;
use assay_sandbox::sweep::{KEPT_FOR, Kept, SweepReport, kept_sandboxes, sweep};

use crate::causes::spec;
use crate::fake_engine::{FakeEngine, Fault};

const DAY: u64 = 24 * 60 * 60;

fn owner() -> OwnerId {
    spec().owner
}

fn spare(seconds: u64) -> Kept {
    Kept::Spare {
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
    }
}

/// A container of ours, of a run.
fn ours(engine: &FakeEngine, name: &str, run: &str, running: bool) {
    let owner = owner().to_string();
    let labels = [
        ("assay.owner", owner.as_str()),
        ("assay.run", run),
        ("assay.cell", "arch:jq"),
    ];
    engine.holds(name, &labels, running);
}

#[tokio::test]
async fn only_what_dead_runs_of_this_owner_left_is_removed() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let leases = Leases::of(cache.path());
    let engine = FakeEngine::start(None);
    let other = OwnerId::of("m", 1, std::path::Path::new("/c")).to_string();
    ours(&engine, "assay-dead-1", "dead", true);
    ours(&engine, "assay-dead-2", "dead", false);
    ours(&engine, "assay-alive-1", "alive", true);
    ours(&engine, "assay-odd-1", "Not A Run", true);
    engine.holds(
        "assay-dead-9",
        &[("assay.owner", &other), ("assay.run", "dead")],
        true,
    );
    engine.holds("assay-dead-8", &[("assay.run", "dead")], true);
    engine.holds("somebody", &[], true);
    std::fs::create_dir_all(cache.path().join("tmp/gone")).expect("a folder");
    let lease = leases
        .acquire(&"alive".parse().expect("a run"))
        .expect("a lease");
    lease.folder().expect("a folder");

    let report = sweep(&engine.backend().await, &owner(), &leases, spare(DAY))
        .await
        .expect("a sweep");
    assert_eq!(
        report,
        SweepReport {
            removed: vec!["assay-dead-1".to_owned(), "assay-dead-2".to_owned()],
            alive: vec!["alive".parse().expect("a run")],
            runs: vec!["gone".parse().expect("a run")],
            ..SweepReport::default()
        }
    );
    assert_eq!(
        engine.names(),
        [
            "assay-alive-1",
            "assay-odd-1",
            "assay-dead-9",
            "assay-dead-8",
            "somebody"
        ]
    );
    assert!(cache.path().join("tmp/alive").exists());
    assert!(!cache.path().join("tmp/gone").exists());
    drop(lease);
    let report = sweep(&engine.backend().await, &owner(), &leases, spare(DAY))
        .await
        .expect("a sweep");
    assert_eq!(report.removed, ["assay-alive-1"]);
    assert!(!cache.path().join("tmp/alive").exists());
}

#[tokio::test]
async fn kept_sandboxes_live_a_day_and_are_stopped() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let leases = Leases::of(cache.path());
    let engine = FakeEngine::start(None);
    let backend = engine.backend().await;
    let mut session = Session::start(&backend, &spec()).await.expect("a session");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    let kept = session.keep(now).await.expect("to keep it");
    drop(session);
    assert_eq!(
        kept_sandboxes(&backend, &owner()).await.expect("a list"),
        std::slice::from_ref(&kept)
    );
    assert!(!engine.containers()[0].running);

    // A shell starts it again, and is killed: the next sweep stops it and spares it still.
    let again = Session::reopen(&backend, &kept, &spec().executor)
        .await
        .expect("to reopen it");
    assert!(engine.containers()[0].running);
    drop(again);
    let report = sweep(&backend, &owner(), &leases, spare(100 + DAY - 1))
        .await
        .expect("a sweep");
    assert_eq!(report.spared, [kept.name.as_str()]);
    assert!(!engine.containers()[0].running);

    let lease = leases.acquire(&kept.run).expect("a shell's lease");
    let report = sweep(&backend, &owner(), &leases, Kept::Remove)
        .await
        .expect("a sweep");
    assert_eq!((report.removed.len(), report.alive.len()), (0, 1));
    drop(lease);
    let report = sweep(&backend, &owner(), &leases, spare(100 + KEPT_FOR.as_secs()))
        .await
        .expect("a sweep");
    assert_eq!(report.removed, [kept.name.as_str()]);
    let gone = Session::reopen(&backend, &kept, &spec().executor)
        .await
        .expect_err("it is gone");
    assert!(gone.to_string().contains(&kept.name), "{gone}");
}

#[tokio::test]
async fn kept_sandboxes_go_when_asked() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let engine = FakeEngine::start(None);
    ours(&engine, "assay-kept.100.dead-1", "dead", false);
    let leases = Leases::of(cache.path());
    let backend = engine.backend().await;
    let report = sweep(&backend, &owner(), &leases, Kept::Remove)
        .await
        .expect("a sweep");
    assert_eq!(report.removed, ["assay-kept.100.dead-1"]);
}

#[tokio::test]
async fn what_vanishes_meanwhile_is_as_wanted() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let engine = FakeEngine::start(Some(Fault::VanishOn("DELETE")));
    ours(&engine, "assay-dead-1", "dead", true);
    let report = sweep(
        &engine.backend().await,
        &owner(),
        &Leases::of(cache.path()),
        spare(DAY),
    )
    .await
    .expect("a sweep");
    assert_eq!(report.removed, ["assay-dead-1"]);
    assert_eq!(report.failed, []);
}

#[tokio::test]
async fn what_cannot_be_removed_is_told_and_the_rest_is_removed() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let engine = FakeEngine::start(Some(Fault::Refuse("/assay-dead-1?", 500, "device busy")));
    ours(&engine, "assay-dead-1", "dead", true);
    ours(&engine, "assay-dead-2", "dead", true);
    let report = sweep(
        &engine.backend().await,
        &owner(),
        &Leases::of(cache.path()),
        spare(DAY),
    )
    .await
    .expect("a sweep");
    assert_eq!(report.removed, ["assay-dead-2"]);
    assert_eq!(report.failed.len(), 1);
    assert!(report.failed[0].1.to_string().contains("device busy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_side_by_side_remove_everything_once() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let engine = FakeEngine::start(None);
    for run in 0..20 {
        ours(
            &engine,
            &format!("assay-dead{run}-1"),
            &format!("dead{run}"),
            true,
        );
    }
    let sweeps = (0..4).map(|_| {
        let leases = Leases::of(cache.path());
        let backend = engine.backend();
        async move { sweep(&backend.await, &owner(), &leases, spare(DAY)).await }
    });
    let reports = futures_util::future::join_all(sweeps).await;
    assert_eq!(engine.names(), Vec::<String>::new());
    for report in reports {
        assert_eq!(report.expect("a sweep").failed, []);
    }
    assert_eq!(Leases::of(cache.path()).runs(), Ok([].into()));
}
