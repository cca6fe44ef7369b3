//! The keys of an image: they reach whoever drives its sandbox, and no journal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use assay_content::proxy::Names;
use assay_sandbox::fake::Script;
use assay_sandbox::lease::OwnerId;
use assay_sandbox::session::{Backend, SandboxLimits, SandboxSpec, SandboxUse, Session};
use assay_testkit::PlanBuilder;
use assay_wire::digest::Digest;
use assay_wire::event::Body;
use assay_wire::frame::WINDOW;
use assay_wire::program::{HarnessEnv, Program};
use tokio::time::Instant;

use super::stage::Stage;
use crate::drive::Driver;

#[tokio::test(start_paused = true)]
async fn they_are_kept_in_memory_and_written_nowhere() {
    // More than goes without credit.
    let large = vec![b'k'; 2 * WINDOW as usize + 1];
    let script = Script::default()
        .hello()
        .ready_with(&[
            ("/keys/a.gpg", b"a secret-looking key"),
            ("/keys/b", &large),
        ])
        .goodbye();
    let mut stage = Stage::new();
    let plan = PlanBuilder::new("debian-12", "x").build();
    let cell = stage.cell(plan, [script]);
    let journal = stage.journal();
    let spec = SandboxSpec {
        traced: true,
        run: journal.run().clone(),
        owner: OwnerId::of("m", 0, std::path::Path::new("/")),
        cell: cell.clone(),
        image: "sha256:0".into(),
        used_for: SandboxUse::Cell,
        executor: b"executor".as_slice().into(),
        limits: SandboxLimits::default(),
        created: SystemTime::UNIX_EPOCH,
    };
    let mut session = Session::start(&Backend::Fake(stage.fake.clone()), &spec)
        .await
        .expect("started");
    let channel = session.channel().expect("there");
    let deadline = Instant::now() + Duration::from_secs(60);
    let nobody = (Arc::new(|_, _| {}) as _, Names::default());
    let mut driver = Driver::new(cell, Arc::clone(&journal), nobody, deadline, channel);
    driver
        .hello(Digest::of(b"executor"))
        .await
        .expect("it speaks");
    let program = Program {
        harness: HarnessEnv::default(),
        certificate: None,
        becomes_image: false,
        runs: Vec::new(),
    };
    driver.send_program(program).await.expect("it is ready");
    let wanted = BTreeMap::from([
        ("/keys/a.gpg".to_owned(), b"a secret-looking key".to_vec()),
        ("/keys/b".to_owned(), large),
    ]);
    assert_eq!(driver.keyrings(), &wanted);
    driver.stop().await.expect("it ends");
    session.close().await.expect("closed");
    let facts = journal.events().expect("readable");
    assert!(matches!(facts[..], [ref ready] if matches!(ready.body, Body::Executor(_))));
    let text = serde_json::to_string(&facts).expect("written");
    assert!(!text.contains("secret-looking"), "{text}");
}
