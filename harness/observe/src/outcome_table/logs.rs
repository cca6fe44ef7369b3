//! The logs of the table, each with a name and what must be told of its outcome: the kind, or
//! `phase reason op` of every failure.

use assay_testkit::log::captured;
use assay_testkit::{Log, PlanBuilder, added, changed, removed, state};
use assay_wire::digest::Digest;
use assay_wire::event::{
    Body, Captured, CellEnded, ContentRefused, Ending, ExecutorEvent, InfraCause, Limit,
    ManifestPoint,
};
use assay_wire::key::{KeyCode, KeyFinding, KeySeverity};
use assay_wire::name::StepRef;
use assay_wire::plan::OpId;
use assay_wire::program::Pass;

pub(super) const OK: Ending = Ending::Exited(0);

/// A log of one cell on Debian, on Arch.
pub(super) fn debian(build: impl FnOnce(PlanBuilder) -> PlanBuilder) -> Log {
    let plan = build(PlanBuilder::new("debian-12", "x")).build();
    Log::new().cell("debian-12:x", plan)
}

pub(super) fn arch(build: impl FnOnce(PlanBuilder) -> PlanBuilder) -> Log {
    Log::new().cell("arch:x", build(PlanBuilder::new("arch", "x")).build())
}

pub(super) fn install(plan: PlanBuilder) -> PlanBuilder {
    plan.refresh().install("jq")
}

pub(super) fn not_found() -> Ending {
    Ending::NotStarted {
        not_found: true,
        message: "No such file or directory".to_owned(),
    }
}

pub(super) fn refused(step: &str, actual: Option<&[u8]>) -> Body {
    let step = StepRef {
        recipe: "x".parse().expect("a recipe"),
        step: step.parse().expect("a step"),
    };
    Body::ContentRefused(ContentRefused {
        step,
        url: "https://a.test/key".to_owned(),
        expected: Digest::of(b"good"),
        actual: actual.map(Digest::of),
        evidence: None,
        message: "the bytes are not the declared ones".to_owned(),
        findings: Vec::new(),
    })
}

/// A key whose bytes are the declared ones and that is refused all the same.
pub(super) fn refused_key(step: &str) -> Body {
    let mut body = refused(step, Some(b"good"));
    if let Body::ContentRefused(refused) = &mut body {
        refused.message = "its owner revoked it [key-revoked]".to_owned();
        refused.findings.push(KeyFinding {
            severity: KeySeverity::Error,
            code: KeyCode::Revoked,
            fingerprint: Some("0123456789ABCDEF0123456789ABCDEF01234567".to_owned()),
            message: "its owner revoked it".to_owned(),
        });
    }
    body
}

pub(super) fn with_line(op: u32, ending: Ending) -> impl FnOnce(Log) -> Log {
    let line = "error: command failed to execute correctly";
    let stderr = Captured {
        matched: vec![line.to_owned()],
        ..captured(line)
    };
    move |log| log.performed(op, Pass::First, ending, Captured::default(), stderr)
}

pub(super) fn ends(log: Log) -> Log {
    log.ends(CellEnded::Finished)
}

pub(super) fn table() -> Vec<(&'static str, &'static str, Log)> {
    let limit = |limit| {
        ends(
            debian(install)
                .attempt(1)
                .op(1, OK)
                .op(2, Ending::Limit(limit)),
        )
    };
    let checked = |ending: Ending, stdout: &str| {
        let log = debian(|plan| plan.check("answers", &["jq"], &["1.7", "jq"]));
        ends(
            log.attempt(1)
                .printed(1, ending, stdout, "")
                .cross_checked(&[]),
        )
    };
    let shown = |ending: Ending, stdout: &str| {
        let command = ["systemctl", "is-enabled", "x"];
        let log = debian(|plan| {
            plan.run(&["true"])
                .evidence("`x` is enabled", &command, "^enabled$")
        });
        log.attempt(1)
            .op(1, OK)
            .printed(2, ending, stdout, "")
            .closes()
    };
    let commanded = |ending: Ending, stdout: &str| {
        let log = debian(|plan| plan.run(&["true"]).require_command("jq", Some("1.6")));
        log.attempt(1)
            .op(1, OK)
            .printed(2, ending, stdout, "")
            .closes()
    };
    let passed_but = |after: ManifestPoint, omitted: u64| {
        let taken = ExecutorEvent::ManifestTaken {
            entries: 1,
            hashed: 1,
            omitted,
            unreadable: 0,
            mounts: Vec::new(),
            ms: 1,
        };
        let manifest = assay_wire::event::Manifest {
            after,
            paths: Vec::new(),
            states: Vec::new(),
        };
        let log = debian(|plan| plan.check("answers", &["jq"], &[]))
            .attempt(1)
            .op(1, OK);
        ends(
            log.executor(taken)
                .body(Body::Manifest(manifest))
                .cross_checked(&[]),
        )
    };
    let again = |ending: Ending| {
        let log = debian(|plan| plan.run(&["groupadd", "x"]))
            .attempt(1)
            .op(1, OK);
        let nothing = Captured::default;
        let log = log.performed(1, Pass::Second, ending, nothing(), nothing());
        ends(
            log.manifest(ManifestPoint::SecondApply, Vec::new(), Vec::new())
                .cross_checked(&[]),
        )
    };
    let repeated = |paths, states| {
        let log = debian(|plan| plan.install("jq").run(&["groupadd", "x"]));
        let log = log.attempt(1).rest_of_first(1, "");
        ends(log.second(paths, states).cross_checked(&[]))
    };
    let unseen = |paths: &[&str]| {
        let log = debian(install).attempt(1).op(1, OK).op(2, OK);
        let log = log.changed(2, vec![added("/usr/bin/jq")]);
        ends(log.second(Vec::new(), Vec::new()).cross_checked(paths))
    };
    let manual = || {
        debian(|plan| {
            plan.run(&["true"])
                .manual("reboot")
                .require_command("x", None)
        })
    };
    let broke = |log: Log| {
        log.body(Body::AttemptStarted { attempt: 1 })
            .attempt_failed(InfraCause::EngineDied, "gone", false)
    };
    let needs = || {
        debian(|plan| {
            plan.requires_command("tar", Some("1.30"))
                .requires_package("libc6", Some("2.36"))
                .requires_command("sed", None)
                .run(&["true"])
        })
    };
    vec![
        ("all well", "passed", debian(install).cleanly()),
        ("nothing to do", "passed", ends(debian(|plan| plan))),
        // Outcomes that are no failure.
        (
            "nothing here",
            "unsupported",
            ends(debian(|plan| {
                plan.dropped("dnf_install", "not rhel")
                    .unsupported("no step")
            })),
        ),
        (
            "nothing here, whatever was tried",
            "unsupported",
            debian(|plan| plan.unsupported("no step")).ends(CellEnded::NotRun {
                because: "no image".to_owned(),
            }),
        ),
        ("a human is needed", "manual", manual().cleanly()),
        (
            "a verification after a human's step is not judged",
            "manual",
            manual().attempt(1).op(1, OK).op(2, not_found()).closes(),
        ),
        (
            "an op after a human's step is judged",
            "apply command_failed 2",
            ends(
                debian(|plan| plan.run(&["true"]).manual("reboot").run(&["false"]))
                    .attempt(1)
                    .op(1, OK)
                    .op(2, Ending::Exited(1)),
            ),
        ),
        (
            "a verification before a human's step is judged",
            "verify command_missing 1",
            debian(|plan| {
                plan.require_command("x", None)
                    .manual("reboot")
                    .run(&["true"])
            })
            .attempt(1)
            .op(1, not_found())
            .op(2, OK)
            .closes(),
        ),
        (
            "an engine that died",
            "infra",
            broke(debian(install)).ends(CellEnded::GaveUp),
        ),
        (
            "a finish after a break",
            "infra",
            ends(broke(debian(install))),
        ),
        (
            "gave up without a word",
            "infra",
            debian(install).ends(CellEnded::GaveUp),
        ),
        (
            "not started",
            "not_run",
            debian(install).ends(CellEnded::NotRun {
                because: "no image".to_owned(),
            }),
        ),
        (
            "cancelled",
            "cancelled",
            debian(install).attempt(1).ends(CellEnded::Cancelled),
        ),
        ("no end", "cancelled", debian(install).attempt(1)),
        (
            "unsupported without an end",
            "cancelled",
            debian(|plan| plan.unsupported("no step")),
        ),
        // Prepare.
        (
            "wrong bytes",
            "prepare content_mismatch",
            ends(debian(install).body(refused("1", Some(b"bad")))),
        ),
        (
            "no bytes",
            "prepare content_unavailable",
            ends(debian(install).body(refused("1", None))),
        ),
        (
            "a key comes before no bytes",
            "prepare key_refused, prepare content_unavailable",
            ends(
                debian(install)
                    .body(refused("1", None))
                    .body(refused_key("2")),
            ),
        ),
        (
            "wrong bytes come before no bytes",
            "prepare content_mismatch, prepare content_unavailable",
            ends(
                debian(install)
                    .body(refused("1", None))
                    .body(refused("2", Some(b"bad"))),
            ),
        ),
        (
            "every unmet requirement at once",
            "prepare requirement_unmet 1, prepare requirement_unmet 2, prepare requirement_unmet 3",
            ends(
                needs()
                    .attempt(1)
                    .printed(1, OK, "tar 1.26\n", "")
                    .printed(2, OK, "installed 2.31-1\n", "")
                    .op(3, not_found()),
            ),
        ),
        (
            "a requirement that cannot be read, and a package that is absent",
            "prepare requirement_unmet 1, prepare requirement_unmet 2",
            ends(
                needs()
                    .attempt(1)
                    .printed(1, OK, "?", "")
                    .op(2, Ending::Exited(1))
                    .op(3, OK),
            ),
        ),
        (
            "a requirement that never answers",
            "prepare time_limit 1",
            ends(needs().attempt(1).op(1, Ending::Limit(Limit::Time))),
        ),
        // Apply.
        (
            "an exit code",
            "apply command_failed 2",
            ends(
                debian(install)
                    .attempt(1)
                    .op(1, OK)
                    .op(2, Ending::Exited(100)),
            ),
        ),
        (
            "a signal",
            "apply command_failed 2",
            ends(
                debian(install)
                    .attempt(1)
                    .op(1, OK)
                    .op(2, Ending::Signalled(11)),
            ),
        ),
        (
            "no such command",
            "apply command_missing 1",
            ends(debian(install).attempt(1).op(1, not_found())),
        ),
        (
            "a file that cannot be written",
            "apply command_failed 1",
            ends(debian(|plan| plan.write("/etc/x", "x")).attempt(1).op(
                1,
                Ending::NotWritten {
                    message: "read-only file system".to_owned(),
                },
            )),
        ),
        (
            "success with a failed scriptlet",
            "apply scriptlet_failed 2",
            ends(with_line(2, OK)(arch(install).attempt(1).op(1, OK))),
        ),
        (
            "failure with a failed scriptlet",
            "apply scriptlet_failed 2",
            ends(with_line(2, Ending::Exited(1))(
                arch(install).attempt(1).op(1, OK),
            )),
        ),
        ("too long", "apply time_limit 2", limit(Limit::Time)),
        (
            "longer than its cell",
            "apply time_limit 2",
            limit(Limit::CellTime),
        ),
        ("too silent", "apply silence_limit 2", limit(Limit::Silence)),
        ("too loud", "apply output_limit 2", limit(Limit::Output)),
        (
            "too much written",
            "apply write_limit 2",
            limit(Limit::Written),
        ),
        // Verify.
        ("new enough", "passed", commanded(OK, "jq-1.6")),
        (
            "too old",
            "verify version_too_old 2",
            commanded(OK, "jq-1.5"),
        ),
        (
            "says no version",
            "verify version_too_old 2",
            commanded(OK, "hello"),
        ),
        (
            "not there",
            "verify command_missing 2",
            commanded(not_found(), ""),
        ),
        (
            "answers too late",
            "verify time_limit 2",
            commanded(Ending::Limit(Limit::Time), ""),
        ),
        (
            "a package in its range",
            "passed",
            debian(|plan| plan.install("jq").require_range("jq", ">=1.7,<3"))
                .attempt(1)
                .op(1, OK)
                .printed(2, OK, "installed 1.7-1", "")
                .closes(),
        ),
        (
            "a package outside its range",
            "verify version_too_old 2",
            debian(|plan| plan.install("jq").require_range("jq", ">=1.7,<3"))
                .attempt(1)
                .op(1, OK)
                .printed(2, OK, "installed 3.0-1", "")
                .closes(),
        ),
        (
            "a package that is not there after its install",
            "verify check_failed 2",
            debian(|plan| plan.install("jq").require_range("jq", ">=1.7,<3"))
                .attempt(1)
                .op(1, OK)
                .printed(2, Ending::Exited(1), "", "")
                .closes(),
        ),
        ("good evidence", "passed", shown(OK, "enabled\n")),
        (
            "evidence whatever the exit code",
            "passed",
            shown(Ending::Exited(1), "enabled\n"),
        ),
        (
            "other evidence",
            "verify evidence_missing 2",
            shown(Ending::Exited(1), "disabled\n"),
        ),
        ("no evidence", "verify evidence_missing 2", shown(OK, "")),
        (
            "nobody to ask for evidence",
            "verify command_missing 2",
            shown(not_found(), ""),
        ),
        ("a good check", "passed", checked(OK, "jq-1.7")),
        (
            "a bad exit code",
            "verify check_failed 1",
            checked(Ending::Exited(2), "jq-1.7"),
        ),
        (
            "a bad answer",
            "verify check_failed 1",
            checked(OK, "jq-1.6"),
        ),
        (
            "nothing to check with",
            "verify command_missing 1",
            checked(not_found(), ""),
        ),
        (
            "all failed verifications, and the first decides",
            "verify command_missing 1, verify check_failed 2",
            ends(
                debian(|plan| plan.require_command("jq", None).check("c", &["jq"], &["x"]))
                    .attempt(1)
                    .op(1, not_found())
                    .op(2, OK),
            ),
        ),
        // Apply again.
        ("again, well", "passed", again(OK)),
        (
            "fails again",
            "apply_again command_failed 1",
            again(Ending::Exited(9)),
        ),
        (
            "silent again",
            "apply_again silence_limit 1",
            again(Ending::Limit(Limit::Silence)),
        ),
        (
            "a path changed again",
            "apply_again not_idempotent",
            repeated(vec![changed("/etc/group")], Vec::new()),
        ),
        (
            "a package changed again",
            "apply_again not_idempotent",
            repeated(Vec::new(), vec![state("jq 1.7")]),
        ),
        (
            "only noise",
            "passed",
            repeated(vec![changed("/var/log/dpkg.log")], Vec::new()),
        ),
        (
            "another manager's noise",
            "apply_again not_idempotent",
            repeated(vec![changed("/var/log/pacman.log")], Vec::new()),
        ),
        // Capture.
        ("unseen", "apply capture_gap", unseen(&["/usr/bin/evil"])),
        (
            "explained",
            "passed",
            unseen(&[
                "/",
                "/tmp/x",
                "/dev/null",
                "/usr",
                "/usr/bin",
                "/etc",
                "/etc/passwd",
                "/.assay",
            ]),
        ),
        (
            "next to what is explained",
            "apply capture_gap",
            unseen(&["/tmpx"]),
        ),
        (
            "beside a changed path",
            "apply capture_gap",
            unseen(&["/usr/bi"]),
        ),
        ("whole", "passed", passed_but(ManifestPoint::Op(OpId(1)), 0)),
        (
            "omitted",
            "apply capture_gap",
            passed_but(ManifestPoint::Op(OpId(1)), 1),
        ),
        (
            "omitted at last",
            "apply_again capture_gap",
            passed_but(ManifestPoint::SecondApply, 1),
        ),
        (
            "broken",
            "apply capture_gap",
            debian(install)
                .attempt(1)
                .rest_of_first(1, "")
                .executor(ExecutorEvent::Broken {
                    message: "no space".to_owned(),
                })
                .closes(),
        ),
        (
            "a gap comes before a failure",
            "apply capture_gap, apply command_failed 2",
            ends(
                debian(install)
                    .attempt(1)
                    .op(1, OK)
                    .op(2, Ending::Exited(1))
                    .cross_checked(&["/usr/bin/evil"]),
            ),
        ),
        (
            "an op without an end",
            "verify capture_gap",
            debian(|plan| plan.run(&["true"]).check("c", &["c"], &[]))
                .attempt(1)
                .op(1, OK)
                .closes(),
        ),
        (
            "what nobody declared",
            "apply undeclared_operation 1",
            ends(
                debian(|plan| plan.run(&["true"]))
                    .attempt(1)
                    .op(1, OK)
                    .changed(1, vec![removed("/usr/bin/ls")])
                    .second(Vec::new(), Vec::new())
                    .cross_checked(&[]),
            ),
        ),
        (
            "no second apply",
            "apply_again capture_gap",
            ends(
                debian(install)
                    .attempt(1)
                    .rest_of_first(1, "")
                    .cross_checked(&[]),
            ),
        ),
        (
            "no cross-check",
            "apply capture_gap",
            ends(
                debian(install)
                    .attempt(1)
                    .rest_of_first(1, "")
                    .second(Vec::new(), Vec::new()),
            ),
        ),
    ]
}
