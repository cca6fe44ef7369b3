//! Manifests of a live sandbox: what counts as a change, what does not, and how long it takes.

#![expect(clippy::print_stderr, reason = "figures are shown beside the verdict")]

mod common;

use std::time::Duration;

use assay_wire::event::{Ending, ExecutorEvent};
use assay_wire::manifest::{
    Content, Entry, EntryKind, ManifestLine, PathChange, StateChange, unescape_path,
};
use assay_wire::plan::Limits;
use assay_wire::program::{HarnessEnv, Probe, Program};
use common::{Root, Session, program, root};

fn changes(lines: Vec<ManifestLine>) -> Vec<PathChange> {
    lines
        .into_iter()
        .filter_map(|line| match line {
            ManifestLine::Path(change) => Some(change),
            ManifestLine::State(_) => None,
        })
        .collect()
}

/// What a manifest tells after each script, the first after a script of its own.
fn after(scripts: &[&str]) -> Vec<Vec<PathChange>> {
    let place = Root::new();
    let mut session =
        Session::with_ops(&place, scripts.iter().map(|script| root(script)).collect());
    let told = scripts
        .iter()
        .map(|script| {
            let ran = session.op().expect("run");
            assert_eq!(ran.ending, Ending::Exited(0), "{script}: {ran:?}");
            let (lines, event) = session.manifest();
            assert!(
                matches!(
                    event,
                    ExecutorEvent::ManifestTaken {
                        unreadable: 0,
                        omitted: 0,
                        ..
                    }
                ),
                "{event:?}"
            );
            changes(lines)
        })
        .collect();
    session.stop();
    told
}

fn paths(changes: &[PathChange]) -> Vec<&str> {
    changes.iter().map(|change| change.path.as_str()).collect()
}

fn entry(change: &PathChange) -> &Entry {
    change.after.as_ref().expect("it is there")
}

#[test]
fn what_was_learned_of_an_image_is_not_read_again() {
    let hashed = |place: &Root| {
        let mut session = Session::with_ops(place, vec![root("date +%s%N > /srv-f")]);
        let (_, event) = session.manifest();
        let ExecutorEvent::ManifestTaken { hashed, .. } = event else {
            panic!("{event:?}");
        };
        session.op().expect("run");
        let (lines, _) = session.manifest();
        assert_eq!(paths(&changes(lines)), ["/srv-f"]);
        session.stop();
        hashed
    };
    let place = Root::new();
    std::fs::write(place.join("/srv-f"), vec![b'x'; 100_000]).expect("written");
    std::fs::write(place.join("/other"), vec![b'x'; 5_000]).expect("written");
    std::thread::sleep(Duration::from_millis(100));
    place.learn();
    // What adding the user writes is all there is to read.
    assert!(hashed(&place) < 2_000);
    // That and what changed since; then everything, because the table is damaged.
    assert!(hashed(&place) < 2_100);
    std::fs::write(place.join("/.assay/hashes"), "assay hashes 9").expect("written");
    assert!(hashed(&place) > 5_000);
}

#[test]
fn every_kind_of_change_is_told_once() {
    let told = after(&[
        "mkdir -p /srv/d; echo one > /srv/f; cp /usr/bin/true /srv/t; echo x > /srv/gone; echo a > /srv/touched; sleep 0.2",
        "true",
        // The same size and time of modification, in place.
        "touch -r /srv/f /tmp/r; printf 'two\\n' > /srv/f; touch -r /tmp/r /srv/f; rm /tmp/r",
        "chmod 4755 /srv/t; chown 12:34 /srv/d",
        "setcap cap_net_raw+ep /srv/t",
        "rm /srv/gone; ln -s nowhere /srv/link; mkfifo /srv/pipe; \
         python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/srv/sock\")'",
        "touch /srv/touched; mkdir /srv/new; rmdir /srv/new; cp /srv/f /srv/f2; mv /srv/f2 /srv/f",
        "rm -r /srv; echo hidden > /.assay/x; echo hidden > /dev/x; echo hidden > /dev/shm-x",
    ]);
    assert_eq!(told[0], [], "the first is remembered");
    assert_eq!(told[1], []);
    assert_eq!(paths(&told[2]), ["/srv/f"]);
    let (before, now) = (
        told[2][0].before.as_ref().expect("was there"),
        entry(&told[2][0]),
    );
    assert_eq!(before.size, now.size);
    assert_ne!(before.sha256, now.sha256);
    assert_eq!(paths(&told[3]), ["/srv/d", "/srv/t"]);
    assert_eq!((entry(&told[3][0]).uid, entry(&told[3][0]).gid), (12, 34));
    assert_eq!(entry(&told[3][1]).mode, 0o4755);
    assert_eq!(paths(&told[4]), ["/srv/t"]);
    let names: Vec<&String> = entry(&told[4][0]).xattrs.keys().collect();
    assert_eq!(names, ["security.capability"]);
    assert_eq!(
        paths(&told[5]),
        ["/srv/gone", "/srv/link", "/srv/pipe", "/srv/sock"]
    );
    assert_eq!(told[5][0].after, None);
    assert_eq!(entry(&told[5][1]).points_to.as_deref(), Some("nowhere"));
    assert_eq!(
        (entry(&told[5][2]).kind, entry(&told[5][3]).kind),
        (EntryKind::Fifo, EntryKind::Socket)
    );
    assert_eq!(told[6], [], "what looks the same is no change");
    assert_eq!(told[7].len(), 8, "{:?}", paths(&told[7]));
}

#[test]
fn names_of_any_bytes_come_escaped_and_in_order() {
    let told = after(&[
        "mkdir /srv",
        "cd /srv; touch $'a\\nb' $'\\xff\\xfe' $'\\e[31m' 'back\\slash' ü; mkdir a a-b; touch a/z",
    ]);
    let mut raw: Vec<Vec<u8>> = told[1]
        .iter()
        .map(|change| unescape_path(&change.path).expect("escaped"))
        .collect();
    assert!(raw.is_sorted());
    assert_eq!(raw.len(), 8);
    assert!(raw.contains(&b"/srv/\xff\xfe".to_vec()) && raw.contains(&b"/srv/a\nb".to_vec()));
    raw.dedup();
    assert_eq!(raw.len(), 8);
    assert!(
        told[1]
            .iter()
            .all(|change| !change.path.chars().any(char::is_control))
    );
}

#[test]
fn a_file_that_grows_and_one_that_never_opens_hold_nothing_up() {
    let place = Root::new();
    let mut session = Session::with_ops(
        &place,
        vec![root(
            "mkfifo /tmp/p; truncate -s 1G /tmp/sparse; (setsid sh -c 'while :; do echo more; done >> /tmp/growing' > /dev/null 2>&1 &)",
        )],
    );
    session.ok();
    session.manifest();
    std::thread::sleep(Duration::from_millis(100));
    let (lines, _) = session.manifest();
    assert_eq!(paths(&changes(lines)), ["/tmp/growing"]);
    session.stop();
}

#[test]
fn a_tree_like_an_image_is_read_once_and_known_again() {
    let place = Root::new();
    let make = r#"python3 -c '
import os
for d in range(600):
    os.makedirs(f"/srv/d{d % 40}/e{d}")
    for f in range(10):
        open(f"/srv/d{d % 40}/e{d}/f{f}", "wb").write(os.urandom((d * 10 + f) % 20 * 1024))
    os.symlink("f0", f"/srv/d{d % 40}/e{d}/link")
for b in range(30): open(f"/srv/d1/big{b}", "wb").write(os.urandom(2000000))
'; sleep 0.2"#;
    let mut session = Session::with_ops(&place, vec![root(make)]);
    session.ok();
    let mut figures = Vec::new();
    for _ in 0..3 {
        let (_, event) = session.manifest();
        let ExecutorEvent::ManifestTaken {
            entries,
            hashed,
            ms,
            ..
        } = event
        else {
            panic!("{event:?}");
        };
        figures.push((entries, hashed, ms));
    }
    assert!(figures[0].1 > 110_000_000, "{figures:?}");
    assert_eq!((figures[1].1, figures[2].1), (0, 0), "{figures:?}");
    eprintln!("an image's tree: (objects, bytes hashed, ms) {figures:?}");
    session.stop();
}

#[test]
fn a_hundred_thousand_files_and_deep_folders_are_walked() {
    let place = Root::new();
    // So many files take a busy machine longer than a question may last.
    let patient = |script: &str| {
        let mut op = root(script);
        op.limits = Limits::INSTALL;
        op
    };
    let mut session = Session::with_ops(
        &place,
        vec![
            root("mkdir /srv"),
            patient(
                "cd /srv; mkdir flat; cd flat; seq 210000 | xargs touch; cd ..; \
              python3 -c 'import os\nfor i in range(3000): os.mkdir(\"dd\"); os.chdir(\"dd\")'",
            ),
            patient(
                "rm -r /srv/flat; python3 -c 'import shutil; shutil.rmtree(\"/srv\")' 2>/dev/null; rm -rf /srv",
            ),
        ],
    );
    session.ok();
    session.manifest();
    session.ok();
    let (lines, event) = session.manifest();
    let ExecutorEvent::ManifestTaken {
        entries,
        omitted,
        unreadable,
        ms,
        ..
    } = event
    else {
        panic!("{event:?}");
    };
    assert_eq!(lines.len(), 200_000);
    assert_eq!(unreadable, 1, "the path that is too long to name");
    // 210,000 files, their folder, and as many nested folders as a path can name.
    let nested = (4096 - "/srv".len() as u64) / 3;
    assert_eq!(omitted + 200_000, 210_000 + 1 + nested);
    let peak = session.peak_kib();
    eprintln!("{entries} objects: {ms} ms, {peak} KiB at most");
    assert!(peak < 200 << 10, "{peak} KiB");
    session.op();
    session.stop();
}

#[test]
fn probes_tell_lines_that_are_new_or_gone() {
    let place = Root::new();
    let probe = |name: &str, argv: &[&str]| Probe {
        name: name.to_owned(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        reads: Vec::new(),
    };
    let harness = HarnessEnv {
        probes: vec![
            probe("packages", &["cat", "/etc/list"]),
            probe("missing", &["no-such-command"]),
        ],
        ..HarnessEnv::default()
    };
    let mut session = Session::with_program(
        &place,
        Program {
            harness,
            ..program(vec![
                root("printf 'b 1\\na 1\\n' > /etc/list"),
                root("printf 'a 1\\nb 2\\nc\\033 1\\n' > /etc/list"),
                root("rm /etc/list"),
            ])
        },
    );
    session.ok();
    session.manifest();
    session.ok();
    let (lines, _) = session.manifest();
    let states = |lines: Vec<ManifestLine>| -> Vec<(String, bool)> {
        lines
            .into_iter()
            .filter_map(|line| match line {
                ManifestLine::State(StateChange { probe, line, added }) => {
                    assert_eq!(probe, "packages");
                    Some((line, added))
                }
                ManifestLine::Path(_) => None,
            })
            .collect()
    };
    let line = |text: &str, added| (text.to_owned(), added);
    assert_eq!(
        states(lines),
        [
            line("b 1", false),
            line("b 2", true),
            line("c\\x1b 1", true)
        ]
    );
    session.ok();
    let (lines, _) = session.manifest();
    assert_eq!(states(lines).len(), 3);
    session.stop();
}

#[test]
fn what_a_file_says_is_told_where_it_changed_and_no_hash_is() {
    const HASH: &str = "$6$saltsalt$3JLm.wAq0dUvkEkYvJ7y0Vt1z2uT6m0Qd1m3nZVQ8uBq/x1";
    let place = Root::new();
    let harness = HarnessEnv {
        contents: vec!["/etc/*shadow".to_owned(), "/etc/cron.d/*".to_owned()],
        ..HarnessEnv::default()
    };
    let set = |hash: &str| root(&format!("printf 'a:{hash}:1:\\n' > /etc/shadow; sleep 0.1"));
    let mut session = Session::with_program(
        &place,
        Program {
            harness,
            ..program(vec![
                root(
                    "mkdir -p /etc/cron.d; echo old > /etc/cron.d/x; echo y > /etc/y; rm -f /etc/shadow; sleep 0.1",
                ),
                set("!"),
                set(HASH),
                root("cp /etc/shadow /etc/cron.d/copy; echo new > /etc/cron.d/x; echo z > /etc/y"),
                root("mv /etc/y /etc/cron.d/y; mv /etc/cron.d/x /etc/x"),
            ])
        },
    );
    let mut told = || {
        session.ok();
        let (lines, _) = session.manifest();
        let text = serde_json::to_string(&lines).expect("JSON");
        assert!(!text.contains(&HASH[20..]), "{text}");
        changes(lines)
    };
    let _ = told();
    let says = |entry: &Option<Entry>| {
        let entry = entry.as_ref()?;
        entry.content.clone()
    };
    let text = |text: &str| Some(Content::Text(text.to_owned()));
    let of = |changes: &[PathChange], path: &str| {
        let found = changes.iter().find(|change| change.path == path);
        let change = found.unwrap_or_else(|| panic!("{path} is not among {changes:?}"));
        (says(&change.before), says(&change.after))
    };
    assert_eq!(of(&told(), "/etc/shadow"), (None, text("a:locked:1:\n")));
    let (before, after) = of(&told(), "/etc/shadow");
    assert_eq!(before, text("a:locked:1:\n"));
    let Some(Content::Text(after)) = after else {
        panic!("{after:?}");
    };
    assert!(
        after.starts_with("a:set=") && after.ends_with(":1:\n"),
        "{after}"
    );
    let changed = told();
    assert_eq!(
        of(&changed, "/etc/cron.d/x"),
        (text("old\n"), text("new\n"))
    );
    assert_eq!(of(&changed, "/etc/y"), (None, None), "nobody asks for it");
    let (_, copy) = of(&changed, "/etc/cron.d/copy");
    assert!(
        matches!(&copy, Some(Content::Text(copy)) if copy.starts_with("a:set=")),
        "{copy:?}"
    );
    // By another name it is asked for, and no more.
    let moved = told();
    assert_eq!(of(&moved, "/etc/cron.d/y"), (None, text("z\n")));
    assert_eq!(of(&moved, "/etc/x"), (None, None));
    session.stop();
}

#[test]
fn other_file_systems_are_walked_and_named_except_the_kernels_own() {
    let place = Root::new();
    let mut session = Session::with_ops(&place, vec![]);
    let (_, event) = session.manifest();
    let ExecutorEvent::ManifestTaken { mounts, hashed, .. } = event else {
        panic!("{event:?}");
    };
    assert!(
        !mounts
            .iter()
            .any(|mount| mount.starts_with("/proc") || mount.starts_with("/dev"))
    );
    assert!(hashed > 0);
    session.stop();
}
