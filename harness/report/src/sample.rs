//! One big event log for every report: each outcome, findings, and output meant to do harm. What is
//! privileged has a record of its own, [`privileged`].

pub(crate) mod privileged;

use assay_observe::{Record, fold};
use assay_testkit::log::{expected, file, image, planned};
use assay_testkit::{Log, PlanBuilder, added, captured, changed, removed, state};
use assay_wire::digest::Digest;
use assay_wire::event::{
    Body, Captured, CellEnded, ContentReady, ContentRefused, Ending, ImageKind, InfraCause, Limit,
    ManifestPoint, RequestDecision, SandboxLeft, SnapshotFinding,
};
use assay_wire::key::{KeyCode, KeyFinding, KeySeverity};
use assay_wire::manifest::{Entry, EntryKind, PathChange};
use assay_wire::outcome::{Phase, Reason};
use assay_wire::plan::{KeyScope, OpId};
use assay_wire::program::{Insertion, Pass, Variable};

/// The record of the sample log. What explains its operations is set by hand: in the cell of `sudo` the
/// package brings them, elsewhere they are declared.
pub(crate) fn record() -> Record {
    let mut record = fold(log().envelopes()).expect("a good log");
    for cell in &mut record.cells {
        match cell.facts.cell.recipes[0].as_str() {
            "sudo" => privileged::come_with("sudo", cell),
            _ => privileged::are_declared(cell),
        }
    }
    record
}

/// Output that would set a title, clear the screen, turn text around, hide a link, speak to the log of
/// a job, and end the markup it stands in.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31mred\u{1b}[0m\nsafe\u{202e}txt.exe\n\
                       zero\u{200b}width\u{0}\u{9b}5m\r\n\
                       ::error file=x::forged ##[add-mask]y 100%\n\
                       ]]></failure><script>a()</script>&amp;\n\
                       ```\n`|b|` @everyone [a](https://b.test)\n\
                       last line, with a \ttab\n";

/// A record of one cell whose only op ends so. Its step has a fallback that would speak to a terminal,
/// to the log of a job, and to the page it stands on.
pub(crate) fn with_fallback(ending: Ending) -> Record {
    let mut plan = PlanBuilder::new("arch", "jq").install("jq").build();
    let text = "Build it: 100%%0A\n\tsee the \u{1b}[2Jmanual.\n::error file=x::y ##[add-mask]z\n\
                ]]></failure>&amp;\u{fffe}\n```\n</details>`|b|` @everyone [a](https://b.test)";
    plan.steps[0].fallback = Some(text.to_owned());
    let log = Log::new().cell("arch:jq", plan).attempt(1).op(1, ending);
    fold(log.closes().end().envelopes()).expect("a good log")
}

/// An object that is new.
pub(crate) fn new(path: &str, kind: EntryKind, mode: u32) -> PathChange {
    let entry = Entry {
        kind,
        ..file(mode, b"new")
    };
    PathChange {
        after: Some(entry),
        ..added(path)
    }
}

/// A new file with capabilities.
pub(crate) fn capable(path: &str) -> PathChange {
    let mut change = added(path);
    if let Some(entry) = &mut change.after {
        let value = Digest::of(b"cap_net_raw=ep");
        entry.xattrs.insert("security.capability".to_owned(), value);
    }
    change
}

/// The sample log.
pub(crate) fn log() -> Log {
    let log = privileged(good_and_expected(Log::new()));
    let log = failing(log);
    without_result(log).after(400).end()
}

fn good_and_expected(log: Log) -> Log {
    let jq = |target: &str| {
        let plan = PlanBuilder::new(target, "jq").refresh().install("jq");
        planned(plan.require_command("jq", Some("1.5")).build())
    };
    let mut ubuntu = jq("ubuntu-24.04");
    ubuntu.image = Some(image(&ubuntu.plan, ImageKind::Bootstrap));
    ubuntu.harness.variables.push(Variable {
        name: "http_proxy".to_owned(),
        value: "http://127.0.0.1:9473".to_owned(),
        only_if_exists: None,
    });
    let mut fedora = jq("fedora-44");
    let mut lab = image(&fedora.plan, ImageKind::Lab);
    lab.note = Some("carries dnf4 where the target has dnf5".to_owned());
    fedora.image = Some(lab);
    fedora.harness.insertions.push(Insertion {
        program: "dnf".to_owned(),
        words: vec!["--setopt=sslcacert=/.assay/trust.pem".to_owned()],
        only_if_exists: Some("/etc/pki".parse().expect("a path")),
    });
    let mut known = planned(
        PlanBuilder::new("debian-12", "absent")
            .install("absent")
            .build(),
    );
    known.expected = Some(expected("failed"));
    let hand = PlanBuilder::new("debian-12", "reboot")
        .install("jq")
        .manual("Reboot.\u{1b}[2J\n```\n<b>Then</b> log in.");
    let refused = RequestDecision::Refused {
        reason: "private address".to_owned(),
    };
    log.planned("ubuntu-24.04:jq", ubuntu)
        .cleanly()
        .planned("fedora-44:jq", fedora)
        .body(Body::AttemptStarted { attempt: 1 })
        .attempt_failed(InfraCause::SandboxLost, "the stream was cut", true)
        .body(Body::SandboxLeft(SandboxLeft {
            sandbox: "assay-20260301-120000-c0ffee-9".to_owned(),
            message: "the engine went \u{1b}[2Jaway".to_owned(),
        }))
        .attempt(2)
        .rest_of_first(1, "jq-1.7")
        .request(2, "CONNECT", "169.254.169.254:80", refused)
        .closes()
        .planned("debian-12:absent", known)
        .attempt(1)
        .printed(
            1,
            Ending::Exited(100),
            "",
            "E: Unable to locate package absent\n",
        )
        .ends(CellEnded::Finished)
        .cell("debian-12:reboot", hand.require_command("x", None).build())
        .cleanly()
        .cell(
            "fedora-44:absent",
            PlanBuilder::new("fedora-44", "absent")
                .unsupported("only on Debian")
                .build(),
        )
        .ends(CellEnded::Finished)
}

/// All is well, and a package brings files that a reviewer must not miss.
fn privileged(log: Log) -> Log {
    let plan = PlanBuilder::new("debian-12", "sudo")
        .refresh()
        .install("sudo")
        .build();
    let mut paths: Vec<PathChange> = ["en", "de", "fr"]
        .iter()
        .map(|language| added(&format!("/usr/share/man/{language}/sudo.8")))
        .collect();
    paths.extend([
        changed("/etc/group"),
        added("/etc/sudoers"),
        removed("/usr/bin/old"),
        new("/usr/bin/sudo", EntryKind::File, 0o4755),
        capable("/usr/bin/ping"),
        new("/var/mail", EntryKind::Folder, 0o2775),
        new("/var/spool/open", EntryKind::Folder, 0o1777),
    ]);
    log.cell("debian-12:sudo", plan)
        .attempt(1)
        .op(1, Ending::Exited(0))
        .changed(1, vec![added("/var/lib/apt/lists/lock")])
        .op(2, Ending::Exited(0))
        .manifest(
            ManifestPoint::Op(OpId(2)),
            paths,
            vec![state("ii  sudo 1.9.13p3-1 amd64")],
        )
        .closes()
}

fn failing(log: Log) -> Log {
    let tree = PlanBuilder::new("debian-12", "tree")
        .refresh()
        .install("tree")
        .build();
    let twice = PlanBuilder::new("ubuntu-24.04", "twice")
        .run(&["groupadd", "a b"])
        .build();
    let mut snapshot = planned(
        PlanBuilder::new("ubuntu-24.04", "tree")
            .run(&["true"])
            .build(),
    );
    snapshot.snapshot = SnapshotFinding::Different {
        diff: "--- snapshot\n+++ plan\n-op 1 false\n+op 1 \u{202e}true ``` </details>|\n"
            .to_owned(),
    };
    let mut fixed = planned(
        PlanBuilder::new("debian-12", "twice")
            .run(&["true"])
            .build(),
    );
    let mut row = expected("failed");
    row.phase = Some(Phase::ApplyAgain);
    row.reason = Some(Reason::NotIdempotent);
    row.link = Some("https://bugs.test/1\u{202e}".to_owned());
    fixed.expected = Some(row);
    let old = PlanBuilder::new("debian-12", "old").requires_command("tar", Some("1.30"));
    let old = old
        .requires_package("libc6", Some("2.36"))
        .install("jq")
        .build();
    let key = PlanBuilder::new("ubuntu-24.04", "key").content("https://a.test/key", b"good");
    let mut key = key.write("/etc/pki/rpm-gpg/a.key", "x").build();
    key.ops[0].scope = Some(KeyScope::Machine);
    let step = key.content[0].step.clone();
    let huge = "x".repeat(10 << 20);
    log.cell("debian-12:tree", tree)
        .attempt(1)
        .op(1, Ending::Exited(0))
        .changed(1, vec![added("/var/lib/apt/lists/lock")])
        .performed(
            2,
            Pass::First,
            Ending::Limit(Limit::Output),
            captured(&huge),
            captured(HOSTILE),
        )
        .changed(2, vec![changed("/var/lib/dpkg/status")])
        .ends(CellEnded::Finished)
        .cell("ubuntu-24.04:twice", twice)
        .attempt(1)
        .op(1, Ending::Exited(0))
        .changed(1, vec![changed("/etc/group")])
        .second(
            vec![
                added("/etc/\u{202e}new"),
                changed("/etc/group"),
                removed("/etc/old"),
            ],
            vec![state("jq 1.7")],
        )
        .cross_checked(&[])
        .ends(CellEnded::Finished)
        .planned("ubuntu-24.04:tree", snapshot)
        .cleanly()
        .planned("debian-12:twice", fixed)
        .cleanly()
        .cell("debian-12:old", old)
        .attempt(1)
        .printed(1, Ending::Exited(0), "tar 1.26\n", "")
        .printed(2, Ending::Exited(0), "installed 2.31-1\n", "")
        .ends(CellEnded::Finished)
        .cell("ubuntu-24.04:key", key)
        .body(Body::ContentReady(ContentReady {
            step: step.clone(),
            url: "https://a.test/old-key".to_owned(),
            sha256: Digest::of(b"weak"),
            bytes: 1000,
            stored: true,
            findings: vec![KeyFinding {
                severity: KeySeverity::Warning,
                code: KeyCode::WeakHash,
                fingerprint: Some("0123456789ABCDEF0123456789ABCDEF01234567".to_owned()),
                message: "it is bound by a signature over SHA-1, which is broken".to_owned(),
            }],
        }))
        .body(Body::ContentRefused(ContentRefused {
            step,
            url: "https://a.test/key".to_owned(),
            expected: Digest::of(b"good"),
            actual: Some(Digest::of(b"bad")),
            evidence: Some(".assay/evidence/bad".to_owned()),
            message: "the bytes are not the declared ones".to_owned(),
            findings: Vec::new(),
        }))
        .ends(CellEnded::Finished)
        .cell(
            "debian-12:gap",
            PlanBuilder::new("debian-12", "gap").run(&["true"]).build(),
        )
        .attempt(1)
        .rest_of_first(1, "")
        .second(Vec::new(), Vec::new())
        .cross_checked(&["/usr/bin/evil\\x1b[2J", "/tmp/explained"])
        .ends(CellEnded::Finished)
}

fn without_result(log: Log) -> Log {
    let plan = |target: &str, recipe: &str| PlanBuilder::new(target, recipe).install("jq").build();
    let mut absent = planned(plan("arch", "jq"));
    absent.image = None;
    log.planned("arch:jq", absent)
        .body(Body::AttemptStarted { attempt: 1 })
        .attempt_failed(
            InfraCause::ImageMissing,
            "there is no image of `arch`",
            false,
        )
        .ends(CellEnded::GaveUp)
        .cell("arch:tree", plan("arch", "tree"))
        .ends(CellEnded::NotRun {
            because: "host:example.test is not to be had".to_owned(),
        })
        .cell("arch:twice", plan("arch", "twice"))
        .attempt(1)
        .performed(
            1,
            Pass::First,
            Ending::Exited(0),
            Captured::default(),
            Captured::default(),
        )
        .ends(CellEnded::Cancelled)
}
