//! Declared content on its way to a sandbox: what the store has damaged, what it cannot keep, and what
//! a mismatch says.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use assay_content::store::Store;
use assay_testkit::PlanBuilder;
use assay_wire::digest::Digest;
use assay_wire::event::InfraCause;

use super::stage::{Stage, ready};

const URL: &str = "https://packages.assay.test/key.asc";

fn plan() -> PlanBuilder {
    PlanBuilder::new("debian-12", "x")
}

fn with_content(stage: &mut Stage) {
    let plan = plan().content(URL, b"good").write("/etc/key", "x").build();
    // The scripted executor never closes its side of the blob's stream, which ends this attempt.
    stage.cell(plan, [ready()]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_blob_is_set_aside_and_fetched_again() {
    let mut stage = Stage::new();
    stage.lab_file("key.asc", b"good");
    with_content(&mut stage);
    let store = Store::open(stage.content()).expect("a store");
    let blob = store.put_bytes(b"good").expect("stored");
    fs::set_permissions(&blob.path, fs::Permissions::from_mode(0o644)).expect("writable");
    fs::write(&blob.path, "evil").expect("damaged");
    let ran = stage.run().await;
    let sent = ran.recordings[0].bytes.get(&2).map(Vec::as_slice);
    assert_eq!(sent, Some(b"good".as_slice()));
    assert_eq!(fs::read(&blob.path).expect("fetched"), b"good");
    let aside = blob.path.with_extension("corrupt");
    assert_eq!(fs::read(aside).expect("set aside"), b"evil");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_file_where_a_blob_belongs_is_a_fault_of_the_disk_with_advice() {
    let mut stage = Stage::new();
    stage.lab_file("key.asc", b"good");
    with_content(&mut stage);
    let store = Store::open(stage.content()).expect("a store");
    let blob = store.put_bytes(b"good").expect("stored");
    fs::remove_file(&blob.path).expect("removed");
    let made = std::process::Command::new("mkfifo")
        .arg(&blob.path)
        .status();
    assert!(made.expect("mkfifo(1)").success());
    let ran = stage.run().await;
    let (cause, _, message, hint) = ran.infra();
    assert_eq!((cause, ran.code()), (InfraCause::HostStorage, 8));
    let path = blob.path.display().to_string();
    assert!(message.contains(&path), "{message}");
    assert!(
        hint.contains("move it away") && hint.contains(&path),
        "{hint}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mismatch_names_what_happened_and_the_command_that_shows_it() {
    let mut stage = Stage::new();
    stage.lab_file("key.asc", b"evil");
    let url = format!("{URL}?token=s3cret");
    stage.cell(
        plan().content(&url, b"good").write("/etc/key", "x").build(),
        [],
    );
    let ran = stage.run().await;
    assert_eq!(ran.code(), 4);
    let failure = ran
        .outcome()
        .failures()
        .next()
        .expect("one")
        .message
        .clone();
    let (expected, actual) = (Digest::of(b"good"), Digest::of(b"evil"));
    let evidence = ran
        .folder
        .path()
        .join("content/evidence")
        .join(actual.to_string());
    let said = format!(
        "`{URL}?token=***` must have sha256 {expected} and sha256 {actual} came: either the publisher \
         replaced the file, or somebody between you and the publisher did; `assay pin show {0}` shows \
         what came (what came: `{0}`)",
        evidence.display()
    );
    assert_eq!(failure, said);
}
