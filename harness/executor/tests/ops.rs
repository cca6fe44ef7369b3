//! Ops of well-behaved programs: ids, groups, environment, guards, files, blobs.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use assay_wire::control::Directive;
use assay_wire::digest::Digest;
use assay_wire::event::{Ending, ExecutorEvent};
use assay_wire::plan::{FileContent, Guard, Privilege, SkipIf};
use assay_wire::program::{HarnessEnv, HarnessFile, Insertion, Program, Variable};
use common::{Root, Session, dev, program, root, run, with_guard, write};

fn text(content: &str) -> FileContent {
    FileContent::Text(content.to_owned())
}

fn names(names: &[(u32, &str)]) -> BTreeMap<u32, String> {
    let name = |(id, name): &(u32, &str)| (*id, (*name).to_owned());
    names.iter().map(name).collect()
}

#[test]
fn the_executor_introduces_itself_and_ends_politely() {
    let place = Root::new();
    let session = Session::start(&place);
    let binary = fs::read(common::executor()).expect("built");
    assert_eq!(session.hello.executor_sha256, Digest::of(&binary));
    let mut session = Session::with_ops(&place, vec![]);
    assert_eq!(
        session.events,
        [ExecutorEvent::Ready {
            uid: 1001,
            gid: 1001,
            user_added: true,
            hosts_added: true,
            untraced: vec![],
            addresses: vec![],
            users: names(&[(0, "root"), (1000, "ubuntu"), (1001, "dev")]),
            groups: names(&[(0, "root"), (1000, "ubuntu"), (1001, "dev")]),
        }]
    );
    session.directive(Directive::Continue);
    while session.step() {}
    assert!(session.goodbye);
    assert_eq!(session.exit_code(), Some(0));
    assert_eq!(
        place.read("/etc/passwd").lines().last(),
        Some("dev:x:1001:1001::/home/dev:/bin/bash")
    );
    assert_eq!(place.read("/etc/passwd").lines().count(), 3);
    assert!(
        place
            .read("/etc/hosts")
            .starts_with("127.0.0.1\tlocalhost\n")
    );
    assert_eq!(place.read("/etc/group").lines().last(), Some("dev:x:1001:"));
    assert_eq!(
        place.read("/etc/shadow").lines().last(),
        Some("dev:!::0:99999:7:::")
    );
    let home = fs::metadata(place.join("/home/dev")).expect("made");
    assert_eq!(
        (home.uid(), home.gid(), home.mode() & 0o7777),
        (1001, 1001, 0o755)
    );
    let mut again = Session::with_ops(&place, vec![]);
    assert_eq!(
        again.events,
        [ExecutorEvent::Ready {
            uid: 1001,
            gid: 1001,
            user_added: false,
            hosts_added: false,
            untraced: vec![],
            addresses: vec![],
            users: names(&[(0, "root"), (1000, "ubuntu"), (1001, "dev")]),
            groups: names(&[(0, "root"), (1000, "ubuntu"), (1001, "dev")]),
        }]
    );
    again.hang_up();
    while again.step() {}
    assert!(again.goodbye, "a runner that hangs up ends the session");
    assert_eq!(again.exit_code(), Some(0));
}

#[test]
fn the_executor_comes_first_and_nobody_else_can() {
    let place = Root::new();
    // Field 19 of proc(5)'s stat is the nice value; no name in it holds a space here.
    let show = "nice; cut -d ' ' -f 19 /proc/1/stat; sed -n 's/^Cap[BP][nr][dm]:\\t//p' /proc/self/status; nice -n -5 true";
    let mut session = Session::with_ops(&place, vec![root(show)]);
    let stdout = session.ok();
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[..2], ["0", "-20"], "{stdout}");
    for set in &lines[2..] {
        let set = u64::from_str_radix(set, 16).expect("a set");
        assert_eq!(set & (1 << 8 | 1 << 23), 0, "SETPCAP and SYS_NICE: {set:x}");
    }
    assert_eq!(lines.len(), 4, "{stdout}");
}

#[test]
fn the_keys_the_images_managers_trust_are_told_but_not_of_what_becomes_an_image() {
    let place = Root::new();
    fs::create_dir_all(place.join("/etc/keys")).expect("made");
    // More than goes without the runner's credit.
    let large = vec![b'k'; 1 << 20];
    fs::write(place.join("/etc/keys/b.gpg"), &large).expect("written");
    fs::write(place.join("/etc/trusted.gpg"), "keys").expect("written");
    // Within the sandbox this leads to a file of the sandbox's.
    symlink("/etc/group", place.join("/etc/keys/a.gpg")).expect("linked");
    let with = |becomes_image| Program {
        harness: HarnessEnv {
            keyrings: ["/etc/trusted.gpg", "/etc/keys", "/nowhere"]
                .map(|path| path.parse().expect("a path"))
                .to_vec(),
            ..HarnessEnv::default()
        },
        becomes_image,
        ..program(vec![])
    };
    let session = Session::with_program(&place, with(false));
    let group = place.read("/etc/group");
    assert_eq!(
        session.keyrings(),
        [
            ("/etc/trusted.gpg", &b"keys"[..]),
            ("/etc/keys/b.gpg", &large),
            ("/etc/keys/a.gpg", group.as_bytes()),
        ]
    );
    session.stop();
    let session = Session::with_program(&place, with(true));
    assert_eq!(session.keyrings(), []);
}

#[test]
fn the_addresses_of_the_images_own_repositories_are_told() {
    let place = Root::new();
    fs::create_dir_all(place.join("/etc/repos.d")).expect("a folder");
    fs::write(place.join("/etc/repos.d/a"), "baseurl=http://a.example/x\n").expect("a file");
    let harness = HarnessEnv {
        repository_files: vec!["/etc/repos.d".parse().expect("a path")],
        ..HarnessEnv::default()
    };
    let session = Session::with_program(
        &place,
        Program {
            harness,
            certificate: None,
            becomes_image: false,
            runs: vec![],
        },
    );
    let ready = |event: &ExecutorEvent| matches!(event, ExecutorEvent::Ready { addresses, .. } if *addresses == ["http://a.example/x"]);
    assert!(session.events.iter().any(ready), "{:?}", session.events);
}

#[test]
fn commands_run_with_the_ids_and_surroundings_of_their_user() {
    let place = Root::new();
    let show = "id -u; id -g; id -G; pwd; umask; env | sort; cat; ulimit -c; ulimit -Sn; \
                readlink /proc/self/fd/0; ls /proc/self/fd | wc -l; ps -o sid= -p $$ | tr -d ' '; echo $$";
    let mut session = Session::with_ops(
        &place,
        vec![
            dev(show),
            root("echo docker:x:990:dev >> /etc/group; id -u; pwd; echo $HOME; id -G"),
            dev("id -G"),
            run(Privilege::User, &["no-such-command"]),
            run(Privilege::User, &["/etc/passwd"]),
            root("printf 'echo shell\\n' > /usr2; chmod 755 /usr2"),
            run(Privilege::User, &["/usr2"]),
            run(Privilege::Root, &["sh", "-c", "kill -TERM $$"]),
            run(
                Privilege::Root,
                &["sh", "-c", "echo out; echo err >&2; exit 42"],
            ),
        ],
    );
    let lines = session.ok();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[..5], ["1001", "1001", "1001", "/home/dev", "0022"]);
    let mut expected = vec![
        "HOME=/home/dev",
        "LANG=C.UTF-8",
        "LOGNAME=dev",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PWD=/home/dev",
        "SHLVL=0",
        "TERM=dumb",
        "USER=dev",
        "_=/usr/bin/env",
    ];
    let environment = &lines[5..5 + expected.len()];
    if let Some(level) = environment.iter().find(|line| line.starts_with("SHLVL=")) {
        expected[5] = level;
    }
    assert_eq!(environment, expected);
    let rest = &lines[5 + expected.len()..];
    assert_eq!(rest[..3], ["0", "1024", "/dev/null"]);
    // 0, 1, 2 and the one `ls` itself opened.
    assert_eq!(rest[3], "4");
    assert_eq!(rest[4], rest[5], "a session of its own");
    assert_eq!(session.ok(), "0\n/\n/root\n0\n");
    assert_eq!(
        session.ok(),
        "1001 990\n",
        "groups are read again before every op"
    );
    let missing = session.op().expect("run");
    assert_eq!(
        missing.ending,
        Ending::NotStarted {
            not_found: true,
            message: "no command `no-such-command`".to_owned()
        }
    );
    let denied = session.op().expect("run");
    assert!(
        matches!(
            denied.ending,
            Ending::NotStarted {
                not_found: false,
                ..
            }
        ),
        "{denied:?}"
    );
    session.ok();
    let shell = session.op().expect("run");
    assert!(
        matches!(
            shell.ending,
            Ending::NotStarted {
                not_found: false,
                ..
            }
        ),
        "{shell:?}"
    );
    assert_eq!(session.op().expect("run").ending, Ending::Signalled(15));
    let both = session.op().expect("run");
    assert_eq!(
        (both.stdout.as_str(), both.stderr.as_str()),
        ("out\n", "err\n")
    );
    assert_eq!(both.ending, Ending::Exited(42));
    session.stop();
}

#[test]
fn guards_decide_whether_their_op_runs() {
    let place = Root::new();
    let guard = |script: &str, skip_if| Guard::Asks {
        argv: ["bash", "-c", script].map(str::to_owned).to_vec(),
        skip_if,
    };
    let lines = SkipIf::Lines(["a".to_owned(), "b".to_owned()].into());
    let touch = || root("echo ran");
    let mut session = Session::with_ops(
        &place,
        vec![
            with_guard(touch(), guard("exit 3", SkipIf::ExitCode(3))),
            with_guard(touch(), guard("exit 3", SkipIf::ExitCode(0))),
            with_guard(
                touch(),
                guard("echo b; echo a; echo noise >&2", lines.clone()),
            ),
            with_guard(touch(), guard("echo a", lines.clone())),
            with_guard(
                touch(),
                guard("yes | head -c 5000000; echo a; echo b", lines),
            ),
            with_guard(
                touch(),
                Guard::Asks {
                    argv: vec!["no-such-command".to_owned()],
                    skip_if: SkipIf::ExitCode(0),
                },
            ),
            with_guard(
                dev("echo ran"),
                guard("test $(id -u) = 1001", SkipIf::ExitCode(0)),
            ),
            with_guard(touch(), Guard::OnPath("bash".to_owned())),
            with_guard(touch(), Guard::OnPath("no-such-command".to_owned())),
        ],
    );
    let ran: Vec<bool> = (0..9).map(|_| session.op().is_some()).collect();
    assert_eq!(
        ran,
        [false, true, false, true, true, true, false, false, true]
    );
    session.stop();
}

#[test]
fn what_the_harness_adds_follows_what_exists() {
    let place = Root::new();
    let variable = |name: &str, only_if_exists: Option<&str>| Variable {
        name: name.to_owned(),
        value: "set".to_owned(),
        only_if_exists: only_if_exists.map(|path| path.parse().expect("a path")),
    };
    let harness = HarnessEnv {
        variables: vec![
            variable("ALWAYS", None),
            variable("TRUSTED", Some(HarnessEnv::TRUST_BUNDLE)),
        ],
        insertions: vec![Insertion {
            program: "echo".to_owned(),
            words: vec!["inserted".to_owned()],
            only_if_exists: Some("/etc/now".parse().expect("a path")),
        }],
        trust_stores: vec![
            "/etc/a.pem".parse().expect("a path"),
            "/etc/b.pem".parse().expect("a path"),
        ],
        ..HarnessEnv::default()
    };
    let show = "echo $ALWAYS/$TRUSTED; cat /.assay/trust.pem; stat -c %a:%U /.assay/trust.pem";
    let mut session = Session::with_program(
        &place,
        Program {
            harness,
            certificate: Some("RUN\n".to_owned()),
            ..program(vec![
                dev(show),
                root("echo B > /etc/real.pem; ln -s real.pem /etc/b.pem; touch /etc/now"),
                dev(show),
                run(Privilege::User, &["echo", "word"]),
                root("echo B2 >> /etc/real.pem; rm /.assay/trust.pem"),
                dev(show),
                root("rm /etc/b.pem"),
                dev(show),
            ])
        },
    );
    assert!(session.op().expect("run").stdout.starts_with("set/\n"));
    session.ok();
    assert_eq!(session.ok(), "set/set\nB\n\nRUN\n644:root\n");
    let echoed = session.op().expect("run");
    assert_eq!(echoed.argv, ["echo", "inserted", "word"]);
    assert_eq!(echoed.stdout, "inserted word\n");
    session.ok();
    assert_eq!(session.ok(), "set/set\nB\nB2\n\nRUN\n644:root\n");
    session.ok();
    assert_eq!(session.op().expect("run").stdout, "set/\n");
    session.stop();
}

#[test]
fn a_file_of_the_harness_is_there_while_it_is_needed() {
    let place = Root::new();
    let path = "/.assay/manager.conf".parse().expect("a path");
    let harness = HarnessEnv {
        trust_stores: vec!["/etc/a.pem".parse().expect("a path")],
        repository_files: vec!["/etc/mirrors".parse().expect("a path")],
        files: vec![HarnessFile {
            path,
            text: "told\n".to_owned(),
            only_if_address: "https://".to_owned(),
        }],
        ..HarnessEnv::default()
    };
    let show = "cat /.assay/manager.conf; stat -c %a:%U /.assay/manager.conf";
    let mut session = Session::with_program(
        &place,
        Program {
            harness,
            certificate: Some("RUN\n".to_owned()),
            ..program(vec![
                root("echo Server = http://a.test > /etc/mirrors; echo A > /etc/a.pem"),
                dev(show),
                root("echo Server = https://a.test > /etc/mirrors"),
                dev(show),
                root("echo other > /.assay/manager.conf; chmod 600 /.assay/manager.conf"),
                dev(show),
                root("rm /etc/a.pem"),
                dev(show),
            ])
        },
    );
    for shown in ["", "told\n644:root\n", "told\n644:root\n", ""] {
        session.ok();
        assert_eq!(session.op().expect("run").stdout, shown);
    }
    session.stop();
}

#[test]
fn files_are_written_whole_and_only_when_they_differ() {
    let place = Root::new();
    let blob = [7_u8, 0, 255].repeat(50_000);
    let sha256 = Digest::of(&blob);
    symlink("/etc/shadow", place.join("/etc/link")).expect("linked");
    let shadow = place.read("/etc/shadow");
    let source = || {
        write(
            "/etc/apt/sources.list.d/x.sources",
            0o644,
            Privilege::Root,
            text("A\n"),
        )
    };
    let mut session = Session::start(&place);
    session.send_blob(sha256, &blob);
    session.send_program(program(vec![
        source(),
        source(),
        root("chmod 600 /etc/apt/sources.list.d/x.sources"),
        source(),
        write("/etc/link", 0o600, Privilege::User, text("mine")),
        write(
            "/usr3/blob",
            0o4755,
            Privilege::Root,
            FileContent::Blob(sha256),
        ),
        write(
            "/x",
            0o644,
            Privilege::Root,
            FileContent::Blob(Digest::of(b"never sent")),
        ),
        root("echo >> /.assay/blobs/*"),
        write("/y", 0o644, Privilege::Root, FileContent::Blob(sha256)),
        write("/etc", 0o644, Privilege::Root, text("a folder is there")),
    ]));
    let ending = |session: &mut Session| session.op().expect("run").ending;
    assert_eq!(ending(&mut session), Ending::Written { changed: true });
    assert_eq!(ending(&mut session), Ending::Written { changed: false });
    session.ok();
    assert_eq!(ending(&mut session), Ending::Written { changed: true });
    assert_eq!(ending(&mut session), Ending::Written { changed: true });
    let link = fs::symlink_metadata(place.join("/etc/link")).expect("there");
    assert!(link.is_file());
    assert_eq!((link.uid(), link.mode() & 0o7777), (1001, 0o600));
    let added = format!("{shadow}dev:!::0:99999:7:::\n");
    assert_eq!(
        place.read("/etc/shadow"),
        added,
        "a link at the place is not followed"
    );
    assert_eq!(ending(&mut session), Ending::Written { changed: true });
    assert_eq!(fs::read(place.join("/usr3/blob")).expect("there"), blob);
    assert_eq!(
        fs::metadata(place.join("/usr3/blob"))
            .expect("there")
            .mode()
            & 0o7777,
        0o4755
    );
    assert!(matches!(ending(&mut session), Ending::NotWritten { .. }));
    session.ok();
    let changed = ending(&mut session);
    assert!(
        matches!(&changed, Ending::NotWritten { message } if message.contains("changed inside")),
        "{changed:?}"
    );
    assert!(matches!(ending(&mut session), Ending::NotWritten { .. }));
    let left: Vec<_> = fs::read_dir(place.join("/etc"))
        .expect("listed")
        .filter(|entry| {
            entry
                .as_ref()
                .is_ok_and(|entry| entry.file_name().to_string_lossy().contains("tmp"))
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
    session.stop();
}

#[test]
fn bytes_that_are_not_what_was_announced_end_the_session() {
    let place = Root::new();
    let mut session = Session::start(&place);
    session.send_blob(Digest::of(b"wanted"), b"forged");
    session.send(&assay_wire::control::ToExecutor::Program(Box::new(
        program(vec![]),
    )));
    let message = session.broken();
    assert!(
        message.contains(&Digest::of(b"wanted").to_string()),
        "{message}"
    );
}

#[test]
fn a_broken_protocol_ends_the_session() {
    let frames: [&[u8]; 4] = [
        &[1, 0, 0, 0, 9, 0, 0, 0, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0, 0, b'{', b'}'],
        &[1, 0, 0, 0, 1, 7, 0, 0, 0, 0],
        &[255, 255, 255, 255, 0, 0, 0, 0, 0],
    ];
    for frame in frames {
        let mut session = Session::start(&Root::new());
        session.send_raw(frame);
        assert!(
            session
                .broken()
                .starts_with("the runner broke the protocol")
        );
    }
    let mut session = Session::start(&Root::new());
    session.directive(Directive::Continue);
    assert!(session.broken().contains("a program was due"));
}
