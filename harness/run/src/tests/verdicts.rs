//! Executors that behave: which op leads to what, and what is asked of the executor after it.

use assay_sandbox::fake::{FakeOp, Script};
use assay_testkit::{PlanBuilder, added};
use assay_wire::event::{Ending, Limit, ManifestPoint};
use assay_wire::manifest::ManifestLine;
use assay_wire::outcome::OutcomeKind;
use assay_wire::plan::{OpId, Plan};
use assay_wire::program::Pass::{First, Second};

use super::stage::{Ran, Stage, ends, ready};

async fn play(plan: Plan, script: Script) -> Ran {
    let mut stage = Stage::new();
    stage.cell(plan, [script]);
    let ran = stage.run().await;
    assert!(ran.result.is_ok());
    ran.assert_orderly();
    ran
}

fn plan() -> PlanBuilder {
    PlanBuilder::new("debian-12", "x")
}

fn new_file(path: &str) -> ManifestLine {
    ManifestLine::Path(added(path))
}

#[tokio::test(start_paused = true)]
async fn a_cell_that_passes_is_asked_for_a_manifest_after_every_op_and_after_the_second_apply() {
    let plan = plan().run(&["a"]).check("works", &["b"], &["yes"]).build();
    let script = ready()
        .op_ok(OpId(1), First, "")
        .op_ok(OpId(2), First, "yes\n")
        .op_ok(OpId(1), Second, "")
        .goodbye();
    let ran = play(plan, script).await;
    assert_eq!(ran.outcome().kind(), OutcomeKind::Passed);
    assert_eq!(ran.directives(0), "MCMCMCMS");
    assert_eq!(ran.code(), 0);
}

#[tokio::test(start_paused = true)]
async fn unmet_requirements_are_all_listed_and_nothing_else_runs() {
    let plan = plan()
        .requires_command("tar", Some("9.0"))
        .requires_command("gone", None)
        .run(&["a"])
        .build();
    let missing = Ending::NotStarted {
        not_found: true,
        message: "no such file".into(),
    };
    let script = ready()
        .op_ok(OpId(1), First, "tar 1.34\n")
        .op(ends(2, First, missing))
        .goodbye();
    let ran = play(plan, script).await;
    assert_eq!(
        ran.failures(),
        ["prepare requirement_unmet", "prepare requirement_unmet"]
    );
    let messages: Vec<&str> = ran
        .outcome()
        .failures()
        .map(|failure| failure.message.as_str())
        .collect();
    assert!(
        messages[0].contains("`tar`")
            && messages[0].contains("9.0")
            && messages[0].contains("1.34"),
        "{messages:?}"
    );
    assert!(messages[1].contains("`gone`"), "{messages:?}");
    assert_eq!(ran.directives(0), "MCMCMS");
    assert_eq!(ran.code(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_op_that_fails_is_the_last() {
    let plan = plan()
        .run(&["a"])
        .run(&["b"])
        .check("works", &["c"], &[])
        .build();
    let script = ready()
        .op(FakeOp {
            stderr: b"no\n".to_vec(),
            ..ends(1, First, Ending::Exited(7))
        })
        .manifest(&[new_file("/half-done")])
        .goodbye();
    let ran = play(plan, script).await;
    assert_eq!(
        ran.failures(),
        ["apply undeclared_operation", "apply command_failed"]
    );
    assert_eq!(ran.directives(0), "MCMS");
    let facts = &ran.record.cells[0].facts;
    let manifest = facts
        .manifest(&ManifestPoint::Op(OpId(1)))
        .expect("what a failed op did is recorded");
    assert_eq!(manifest.paths.len(), 1);
    assert_eq!(
        facts.ops[0]
            .first
            .as_ref()
            .map(|first| first.stderr.head.as_str()),
        Some("no\n")
    );
}

#[tokio::test(start_paused = true)]
async fn every_check_is_asked_though_one_fails_and_nothing_is_applied_again() {
    let plan = plan()
        .run(&["a"])
        .check("one", &["b"], &[])
        .check("two", &["c"], &[])
        .check("three", &["d"], &["x"])
        .build();
    let script = ready()
        .op_ok(OpId(1), First, "")
        .op(ends(2, First, Ending::Exited(1)))
        .op_ok(OpId(3), First, "")
        .op_ok(OpId(4), First, "y")
        .goodbye();
    let ran = play(plan, script).await;
    assert_eq!(
        ran.failures(),
        ["verify check_failed", "verify check_failed"]
    );
    assert_eq!(ran.directives(0), "MCMCMCMCMS");
}

#[tokio::test(start_paused = true)]
async fn a_limit_kept_by_the_executor_is_an_end_like_any_other() {
    let plan = plan()
        .check("fills the disk", &["b"], &[])
        .check("next", &["c"], &[])
        .build();
    let script = ready()
        .op(ends(1, First, Ending::Limit(Limit::Written)))
        .manifest(&[new_file("/var/tmp/big")])
        .op_ok(OpId(2), First, "")
        .goodbye()
        .changes(vec![assay_sandbox::session::Change {
            path: "/var/tmp/big".into(),
            kind: assay_sandbox::session::ChangeKind::Added,
        }]);
    let ran = play(plan, script).await;
    // What the op wrote is in a manifest, so that the engine's list is no surprise.
    assert_eq!(
        ran.failures(),
        ["verify undeclared_operation", "verify write_limit"]
    );
    assert_eq!(ran.directives(0), "MCMCMS");
    assert_eq!(ran.code(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_only_the_engine_saw_is_a_gap() {
    let plan = plan().check("fine", &["b"], &[]).build();
    let script =
        ready()
            .op_ok(OpId(1), First, "")
            .goodbye()
            .changes(vec![assay_sandbox::session::Change {
                path: "/etc/cron.d/x".into(),
                kind: assay_sandbox::session::ChangeKind::Added,
            }]);
    let ran = play(plan, script).await;
    assert_eq!(ran.failures(), ["apply capture_gap"]);
    assert_eq!(ran.code(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_the_second_apply_changes_is_not_idempotent_whatever_the_op_says() {
    let plan = plan().run(&["a"]).run(&["b"]).build();
    let script = ready()
        .op_ok(OpId(1), First, "")
        .manifest(&[new_file("/srv/counter")])
        .op_ok(OpId(2), First, "")
        .op_ok(OpId(1), Second, "nothing to do\n")
        .op_ok(OpId(2), Second, "nothing to do\n")
        .manifest(&[ManifestLine::Path(assay_testkit::changed("/srv/counter"))])
        .goodbye();
    let ran = play(plan, script).await;
    assert_eq!(
        ran.failures(),
        ["apply undeclared_operation", "apply_again not_idempotent"]
    );
    let failure = ran.outcome().failures().nth(1).expect("a failure");
    assert!(
        failure.message.contains("changed `/srv/counter`"),
        "{}",
        failure.message
    );
    let blamed: Vec<String> = failure
        .steps
        .iter()
        .map(|step| step.step.to_string())
        .collect();
    assert_eq!(blamed, ["1"], "only the step that made the file");
}

#[tokio::test(start_paused = true)]
async fn an_op_that_fails_again_still_shows_what_it_changed() {
    let plan = plan().run(&["a"]).build();
    let script = ready()
        .op_ok(OpId(1), First, "")
        .op(ends(1, Second, Ending::Exited(9)))
        .manifest(&[new_file("/srv/again")])
        .goodbye()
        .changes(vec![assay_sandbox::session::Change {
            path: "/srv/again".into(),
            kind: assay_sandbox::session::ChangeKind::Added,
        }]);
    let ran = play(plan, script).await;
    assert_eq!(
        ran.failures(),
        [
            "apply_again undeclared_operation",
            "apply_again command_failed",
            "apply_again not_idempotent"
        ]
    );
    assert_eq!(ran.code(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_holds_skips_its_op_and_a_skipped_op_needs_no_manifest() {
    let plan = plan().install("jq").build();
    let script = ready()
        .op_ok(OpId(1), First, "")
        .op_skipped(OpId(1), Second)
        .goodbye();
    let ran = play(plan, script).await;
    assert_eq!(
        ran.outcome().kind(),
        OutcomeKind::Passed,
        "{:?}",
        ran.outcome()
    );
    assert_eq!(ran.directives(0), "MCMCMS");
}

#[tokio::test(start_paused = true)]
async fn verifications_after_a_human_step_are_asked_and_not_judged() {
    let plan = plan()
        .run(&["a"])
        .manual("accept the licence")
        .check("after", &["b"], &[])
        .build();
    let script = ready()
        .op_ok(OpId(1), First, "")
        .op(ends(2, First, Ending::Exited(1)))
        .op_ok(OpId(1), Second, "")
        .goodbye();
    let ran = play(plan, script).await;
    assert_eq!(
        ran.outcome().kind(),
        OutcomeKind::Manual,
        "{:?}",
        ran.outcome()
    );
    assert_eq!(ran.code(), 0);
}

#[tokio::test(start_paused = true)]
async fn content_that_is_not_what_it_was_declared_starts_no_sandbox_and_is_kept_as_evidence() {
    let mut stage = Stage::new();
    stage.lab_file("key.asc", b"evil");
    let plan = plan()
        .content("https://packages.assay.test/key.asc", b"good")
        .write("/etc/key", "x")
        .build();
    stage.cell(plan, []);
    let ran = stage.run().await;
    assert_eq!(ran.failures(), ["prepare content_mismatch"]);
    assert_eq!(ran.code(), 4);
    assert!(ran.recordings.is_empty());
    let evidence = ran
        .folder
        .path()
        .join("content/evidence")
        .join(assay_wire::digest::Digest::of(b"evil").to_string());
    assert_eq!(std::fs::read(evidence).expect("the evidence"), b"evil");
}

#[tokio::test(start_paused = true)]
async fn content_that_is_what_it_was_declared_is_sent_before_the_program() {
    let mut stage = Stage::new();
    stage.lab_file("key.asc", b"good");
    let plan = plan()
        .content("https://packages.assay.test/key.asc", b"good")
        .write("/etc/key", "x")
        .build();
    // The scripted executor never closes its side of the blob's stream, which ends this attempt.
    stage.cell(plan, [ready()]);
    let ran = stage.run().await;
    assert_eq!(
        ran.recordings[0].bytes.get(&2).map(Vec::as_slice),
        Some(b"good".as_slice())
    );
    assert!(
        !ran.recordings[0]
            .messages
            .iter()
            .any(|m| matches!(m, assay_wire::control::ToExecutor::Program(_)))
    );
}

#[tokio::test(start_paused = true)]
async fn only_sandboxes_of_failed_cells_are_kept() {
    let mut stage = Stage::new();
    stage.keep_failed = true;
    stage.parallel = 1;
    let check = |recipe: &str| {
        PlanBuilder::new("debian-12", recipe)
            .check("c", &["b"], &[])
            .build()
    };
    stage.cell(
        check("bad"),
        [ready().op(ends(1, First, Ending::Exited(1))).goodbye()],
    );
    stage.cell(check("good"), [ready().op_ok(OpId(1), First, "").goodbye()]);
    let ran = stage.run().await;
    let kept: Vec<(bool, bool)> = ran
        .recordings
        .iter()
        .map(|one| (one.kept, one.closed))
        .collect();
    assert_eq!(kept, [(true, false), (false, true)]);
}
