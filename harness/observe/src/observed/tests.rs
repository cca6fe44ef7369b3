//! What a cell is seen to do: calls and programs as operations, and who changed a path.

use assay_testkit::log::file;
use assay_testkit::{Log, PlanBuilder, added};
use assay_wire::event::{Body, CellEnded};
use assay_wire::manifest::{Content, PathChange};
use assay_wire::trace::{Call, ScriptText, StartedFor, TracedCall, TracedProgram};

use super::*;
use crate::delta::Why;
use crate::fold;

/// A program: its number, its maker's, its words.
fn program(id: u32, parent: u32, argv: &[&str]) -> TracedProgram {
    TracedProgram {
        id,
        parent: (parent > 0).then_some(parent),
        started_for: (parent == 0).then_some(StartedFor::Op),
        pid: 100 + id,
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        cut: false,
        exe: argv[0].to_owned(),
        folder: "/".to_owned(),
        uid: 0,
        gid: 0,
        maintscript: None,
        scripts: Vec::new(),
    }
}

/// The script of a package that the image had.
fn of_script(program: TracedProgram, package: &str) -> TracedProgram {
    TracedProgram {
        scripts: vec![ScriptText {
            path: format!("/var/lib/dpkg/info/{package}.postinst"),
            sha256: Some(Digest::of(b"script")),
        }],
        ..program
    }
}

fn call(program: u32, call: Call, subject: &str, error: Option<i32>) -> TracedCall {
    TracedCall {
        program,
        call,
        subject: subject.to_owned(),
        detail: None,
        error,
        count: 1,
    }
}

fn rename(program: u32, from: &str, to: &str) -> TracedCall {
    TracedCall {
        detail: Some(to.to_owned()),
        ..call(program, Call::Rename, from, None)
    }
}

fn log(programs: Vec<TracedProgram>, calls: Vec<TracedCall>, paths: Vec<PathChange>) -> Log {
    let plan = PlanBuilder::new("debian-12", "x").run(&["one"]).build();
    let trace = Trace {
        op: OpId(1),
        pass: Pass::First,
        events: 1,
        programs,
        calls,
        gaps: Vec::new(),
    };
    Log::new()
        .cell("debian-12:x", plan)
        .attempt(1)
        .body(Body::Trace(trace))
        .changed(1, paths)
        .ends(CellEnded::Finished)
        .end()
}

fn seen(programs: Vec<TracedProgram>, calls: Vec<TracedCall>, paths: Vec<PathChange>) -> Observed {
    let record = fold(log(programs, calls, paths).envelopes()).expect("a good log");
    record.cells[0].observed.clone()
}

fn text(path: &str, text: &str) -> PathChange {
    let mut change = added(path);
    change.after = change.after.map(|_| {
        let mut entry = file(0o644, text.as_bytes());
        entry.content = Some(Content::Text(text.to_owned()));
        entry
    });
    change
}

/// `kind subject` of each operation.
fn lines(observed: &Observed) -> Vec<String> {
    let all = observed.operations.iter();
    all.map(|seen| format!("{} {}", seen.operation.kind.name(), seen.operation.subject))
        .collect()
}

#[test]
fn a_call_is_its_operation() {
    const REFUSED: Option<i32> = Some(1);
    const UNREACHABLE: Option<i32> = Some(101);
    for (asked, subject, error, wanted) in [
        (
            Call::Connect,
            "192.0.2.1:443",
            None,
            Some("net.connect 192.0.2.1 port 443"),
        ),
        (
            Call::Connect,
            "192.0.2.1:443",
            UNREACHABLE,
            Some("net.connect 192.0.2.1 port 443"),
        ),
        (
            Call::Connect,
            "192.0.2.1:443",
            Some(115),
            Some("net.connect 192.0.2.1 port 443"),
        ),
        (
            Call::Connect,
            "[2001:db8::1]:22",
            None,
            Some("net.connect 2001:db8::1 port 22"),
        ),
        (Call::Connect, "192.0.2.1:443", Some(111), None),
        (Call::Connect, "192.0.2.1:0", None, None),
        (Call::Connect, "127.0.0.1:9473", None, None),
        (
            Call::Connect,
            "127.0.0.1:9474",
            None,
            Some("net.connect 127.0.0.1 port 9474"),
        ),
        (Call::Connect, "unix:/run/a", None, None),
        (Call::Connect, "netlink", None, None),
        (
            Call::Listen,
            "0.0.0.0:80",
            None,
            Some("net.listen 0.0.0.0 port 80"),
        ),
        (Call::Listen, "[::]:80", None, Some("net.listen :: port 80")),
        (Call::Listen, "any", None, Some("net.listen any port 0")),
        (Call::Listen, "unix:/run/a", None, None),
        (Call::Listen, "0.0.0.0:80", REFUSED, None),
        (Call::Mount, "/mnt", REFUSED, Some("mount /mnt")),
        (
            Call::Namespace,
            "unshare",
            REFUSED,
            Some("namespace unshare"),
        ),
        (Call::Chroot, "/srv", None, Some("chroot /srv")),
        (Call::Chroot, "/", None, None),
        (Call::Ptrace, "16 7", REFUSED, Some("ptrace 16 7")),
        (Call::Kill, "1 9", None, Some("ptrace kill 1 9")),
        (Call::Bpf, "5", REFUSED, Some("bpf 5")),
        (
            Call::Perf,
            "perf_event_open",
            REFUSED,
            Some("bpf perf_event_open"),
        ),
        (Call::Kmod, "/x.ko", REFUSED, Some("kmod /x.ko")),
        (
            Call::Administration,
            "sethostname",
            REFUSED,
            Some("sysctl sethostname"),
        ),
        (
            Call::IoUring,
            "io_uring_setup",
            Some(38),
            Some("capture.gap 1 × io_uring, which was refused"),
        ),
        (
            Call::Foreign,
            "11",
            Some(38),
            Some("capture.gap 1 × call 11 of another architecture, which was refused"),
        ),
        (Call::Open, "/x", None, None),
        (Call::Setuid, "0", None, None),
        (Call::Memfd, "x", None, None),
    ] {
        let observed = seen(
            vec![program(1, 0, &["/x"])],
            vec![call(1, asked, subject, error)],
            vec![],
        );
        let wanted: Vec<&str> = wanted.into_iter().collect();
        assert_eq!(lines(&observed), wanted, "{asked:?} {subject} {error:?}");
    }
}

#[test]
fn what_was_not_made_says_so() {
    let of = |error| {
        let calls = vec![call(1, Call::Connect, "192.0.2.1:443", error)];
        let observed = seen(vec![program(1, 0, &["/x"])], calls, vec![]);
        observed.operations[0].operation.after.clone()
    };
    assert_eq!(of(None), None);
    assert_eq!(of(Some(115)), None);
    assert_eq!(
        of(Some(101)).as_deref(),
        Some("not made: the sandbox has no network")
    );
}

#[test]
fn a_resolver_is_ordinary_for_what_an_op_runs() {
    let programs = || vec![program(1, 0, &["/usr/bin/dnf"]), program(2, 1, &["/x"])];
    let of = |id| {
        seen(
            programs(),
            vec![call(id, Call::Connect, "127.0.0.1:53", None)],
            vec![],
        )
    };
    for id in [1, 2] {
        let seen = of(id);
        assert_eq!(
            (lines(&seen).len(), seen.folded(KindName::NetConnect)),
            (0, 1)
        );
    }
}

#[test]
fn programs_are_counted_and_some_are_operations() {
    let question = TracedProgram {
        started_for: Some(StartedFor::Question),
        ..program(5, 0, &["/usr/bin/dpkg-query"])
    };
    let nobody = TracedProgram {
        uid: 1000,
        ..program(7, 1, &["/usr/bin/id"])
    };
    let observed = seen(
        vec![
            program(1, 0, &["/usr/bin/dpkg"]),
            of_script(program(2, 1, &["/bin/sh", "x.postinst"]), "nginx"),
            of_script(program(3, 2, &["/usr/bin/perl"]), "nginx"),
            of_script(program(4, 3, &["/memfd:x (deleted)"]), "nginx"),
            question,
            program(6, 5, &["/memfd:of a question"]),
            nobody,
        ],
        vec![],
        vec![],
    );
    assert_eq!(
        lines(&observed),
        ["maintscript.run nginx postinst", "memfd.exec x"]
    );
    assert_eq!(observed.folded(KindName::ExecRoot), 4);
}

#[test]
fn units_are_started_only_where_systemd_runs() {
    let argv = [
        "/usr/bin/systemctl",
        "--quiet",
        "enable",
        "--now",
        "nginx",
        "a.socket",
    ];
    let observed = seen(vec![program(1, 0, &argv)], vec![], vec![]);
    assert_eq!(lines(&observed), [] as [String; 0]);
    let words = argv.map(str::to_owned);
    let started = |argv: &[String]| {
        let kinds = calls::units_started(argv);
        kinds.iter().map(Kind::subject).collect::<Vec<_>>()
    };
    assert_eq!(started(&words), ["nginx.service", "a.socket"]);
    let without = words.iter().filter(|word| *word != "--now").cloned();
    assert_eq!(started(&without.collect::<Vec<_>>()), [] as [String; 0]);
}

#[test]
fn the_actor_of_a_path_is_who_named_it() {
    let programs = || {
        vec![
            program(1, 0, &["/usr/bin/dpkg"]),
            of_script(program(2, 1, &["/bin/sh"]), "nginx"),
            program(3, 2, &["/usr/bin/perl", "helper"]),
        ]
    };
    let who = |calls: Vec<TracedCall>, path: &str| {
        let observed = seen(programs(), calls, vec![text(path, "x")]);
        let actor = observed.operations.iter().find_map(|seen| {
            (seen.operation.origin == Origin::Manifest).then(|| seen.operation.actor.clone())
        });
        let actor = actor.expect("an operation")?;
        let script = actor
            .script
            .map(|script| script.package)
            .unwrap_or_default();
        Some(format!("{} {script}", actor.argv[0]).trim_end().to_owned())
    };
    let cron = "/etc/cron.d/x";
    let unit = "/usr/lib/systemd/system/x.service";
    for (name, calls, path, wanted) in [
        ("nobody", vec![], cron, None),
        (
            "opened",
            vec![call(1, Call::Open, cron, None)],
            cron,
            Some("/usr/bin/dpkg"),
        ),
        (
            "in vain",
            vec![call(1, Call::Open, cron, Some(13))],
            cron,
            None,
        ),
        (
            "put there after others opened it",
            vec![
                call(1, Call::Open, cron, None),
                rename(3, "/etc/cron.d/.x", cron),
                call(1, Call::Chmod, cron, None),
            ],
            cron,
            Some("/usr/bin/perl nginx"),
        ),
        (
            "by another name of its folder",
            vec![rename(
                1,
                "/lib/systemd/system/x.dpkg-new",
                "/lib/systemd/system/x.service",
            )],
            unit,
            Some("/usr/bin/dpkg"),
        ),
        (
            "with its folder",
            vec![rename(1, "/tmp/x", "/etc/cron.d")],
            cron,
            Some("/usr/bin/dpkg"),
        ),
        (
            "beside it",
            vec![call(1, Call::Open, "/etc/cron.d/y", None)],
            cron,
            None,
        ),
    ] {
        assert_eq!(who(calls, path).as_deref(), wanted, "{name}");
    }
}

#[test]
fn of_several_who_did_alike_it_is_the_one_who_said_so() {
    let programs = vec![
        program(1, 0, &["groupadd", "web"]),
        program(2, 0, &["groupadd", "other"]),
    ];
    let calls = vec![
        rename(1, "/etc/group+", "/etc/group"),
        rename(2, "/etc/group+", "/etc/group"),
    ];
    let observed = seen(
        programs,
        calls,
        vec![text("/etc/group", "web:x:33:\nother:x:34:\n")],
    );
    let by: Vec<String> = observed
        .operations
        .iter()
        .map(|seen| {
            let actor = seen.operation.actor.as_ref().expect("one of them");
            format!("{}: {}", seen.operation.subject, actor.argv.join(" "))
        })
        .collect();
    assert_eq!(by, ["other: groupadd other", "web: groupadd web"]);
}

#[test]
fn what_a_file_of_accounts_says_is_part_of_what_is_consented_to() {
    let digest = |line: &str| {
        let observed = seen(vec![], vec![], vec![text("/etc/passwd", line)]);
        let grave = observed.above_ordinary();
        assert_eq!(grave.len(), 1, "{grave:?}");
        grave[0].digest
    };
    assert_ne!(digest("+a::::::\n"), digest("+b::::::\n"));
}

#[test]
fn the_gravest_come_first_and_the_rest_is_counted() {
    let paths = vec![
        text("/etc/cron.d/x", "* * * * * root /x\n"),
        text("/etc/sudoers.d/x", "dev ALL=ALL\n"),
        added("/opt/a"),
        added("/opt/b"),
    ];
    let observed = seen(vec![], vec![], paths);
    let risks = observed.above_ordinary().into_iter().map(|seen| seen.risk);
    assert_eq!(
        risks.collect::<Vec<_>>(),
        [Risk::RootEquivalent, Risk::Persistence]
    );
    assert_eq!(observed.folded(KindName::FileWrite), 2);
}

#[test]
fn a_host_that_nobody_named_is_told_and_others_are_counted() {
    let refused = RequestDecision::Refused {
        reason: "not named".to_owned(),
    };
    let plan = PlanBuilder::new("debian-12", "x").run(&["one"]).build();
    let log = Log::new()
        .cell("debian-12:x", plan)
        .attempt(1)
        .request(1, "CONNECT", "evil.test:8443", refused.clone())
        .request(1, "GET", "http://evil.test/x", refused)
        .request(1, "GET", "http://good.test/x", RequestDecision::Served)
        .ends(CellEnded::Finished)
        .end();
    let record = fold(log.envelopes()).expect("a good log");
    let observed = &record.cells[0].observed;
    assert_eq!(
        lines(observed),
        [
            "net.connect evil.test port 8443",
            "net.connect evil.test port 80"
        ]
    );
    assert_eq!(observed.folded(KindName::NetConnect), 1);
}

/// A call with what goes with its path.
fn with(kind: Call, subject: &str, detail: &str) -> TracedCall {
    TracedCall {
        detail: Some(detail.to_owned()),
        ..call(1, kind, subject, None)
    }
}

#[test]
fn what_came_and_went_is_told() {
    let cron = "/etc/cron.d/x";
    let open = |path: &str| call(1, Call::Open, path, None);
    let gone = |path: &str| call(1, Call::Unlink, path, None);
    for (what, calls, changed, by_op, by_script) in [
        (
            "a special file that is gone again",
            vec![open(cron), gone(cron)],
            None,
            "cron /etc/cron.d/x: nobody's",
            "cron /etc/cron.d/x: accompanies web",
        ),
        (
            "one that is as it was",
            vec![open("/etc/pam.d/su")],
            None,
            "pam /etc/pam.d/su: nobody's",
            "pam /etc/pam.d/su: not web's",
        ),
        (
            "one that the manifest shows",
            vec![open(cron)],
            Some(text(cron, "* * * * * root x\n")),
            "cron /etc/cron.d/x: accompanies web",
            "cron /etc/cron.d/x: accompanies web",
        ),
        (
            "what was written under a name of its own and moved over another",
            vec![open("/etc/cron.d/new"), rename(1, "/etc/cron.d/new", cron)],
            Some(text(cron, "* * * * * root x\n")),
            "cron /etc/cron.d/x: accompanies web",
            "cron /etc/cron.d/x: accompanies web",
        ),
        (
            "what was moved there, and is gone again",
            vec![open("/opt/x"), rename(1, "/opt/x", cron), gone(cron)],
            None,
            "cron /etc/cron.d/x: nobody's",
            "cron /etc/cron.d/x: accompanies web",
        ),
        (
            "a program that ran as root",
            vec![with(Call::Chmod, "/opt/x", "4755"), gone("/opt/x")],
            None,
            "file.setuid /opt/x 4755 root: nobody's",
            "file.setuid /opt/x 4755 root: accompanies web",
        ),
        (
            "a program with a capability",
            vec![
                with(Call::Setxattr, "/opt/x", "security.capability"),
                gone("/opt/x"),
            ],
            None,
            "file.capability /opt/x unread: nobody's",
            "file.capability /opt/x unread: accompanies web",
        ),
        (
            "another name of a file that says who is who",
            vec![with(Call::Link, "/etc/shadow", "/opt/x"), gone("/opt/x")],
            None,
            "file.write /etc/shadow: given another name: nobody's",
            "file.write /etc/shadow: given another name: not web's",
        ),
        (
            "a call that was refused",
            vec![call(1, Call::Open, cron, Some(13))],
            None,
            "",
            "",
        ),
        (
            "what the packages share, as it was",
            vec![open("/etc/ssl/certs/ca-certificates.crt")],
            None,
            "",
            "",
        ),
        (
            "a folder of a group that is as it was",
            vec![with(Call::Chmod, "/var/log/journal", "2755")],
            None,
            "",
            "",
        ),
    ] {
        let seen = |program: TracedProgram| {
            let observed = seen(
                vec![program],
                calls.clone(),
                changed.iter().cloned().collect(),
            );
            let all = observed.operations.iter();
            let all =
                all.filter(|seen| !matches!(seen.operation.kind, Kind::MaintscriptRun { .. }));
            let line = all.map(|seen| {
                let class = match &seen.class {
                    // A log of tests brings a package that has what its manifests show.
                    Class::Accompanying { .. } => "accompanies web",
                    Class::Undeclared {
                        why: Why::NotItsOwn { .. },
                    } => "not web's",
                    Class::Undeclared { .. } | Class::Declared { .. } => "nobody's",
                };
                let operation = &seen.operation;
                format!("{} {}: {class}", operation.kind.name(), operation.subject)
            });
            line.collect::<Vec<_>>().join("; ")
        };
        assert_eq!(seen(program(1, 0, &["one"])), by_op, "{what}");
        assert_eq!(
            seen(of_script(program(1, 0, &["one"]), "web")),
            by_script,
            "{what}"
        );
    }
    let by_tool = program(1, 0, &["/usr/sbin/usermod"]);
    let calls = vec![open("/etc/passwd"), open("/etc/shadow")];
    assert_eq!(lines(&seen(vec![by_tool], calls, Vec::new())), [""; 0]);
}
