//! One table: a change of a file, and the operations it is. Then what holds for every text.

use std::collections::BTreeSet;

use assay_testkit::log::file;
use assay_testkit::{added, removed};
use assay_wire::privileged::KindName;

use super::*;

mod rows;
use rows::rows;

fn entry(text: &str) -> Entry {
    Entry {
        content: Some(Content::Text(text.to_owned())),
        ..file(0o644, text.as_bytes())
    }
}

fn link(points_to: &str) -> Entry {
    Entry {
        kind: EntryKind::Symlink,
        points_to: Some(points_to.to_owned()),
        sha256: None,
        ..file(0o777, b"")
    }
}

fn change(path: &str, before: Option<Entry>, after: Option<Entry>) -> PathChange {
    PathChange {
        path: path.to_owned(),
        before,
        after,
    }
}

fn came(path: &str, text: &str) -> PathChange {
    change(path, None, Some(entry(text)))
}

fn became(path: &str, before: &str, after: &str) -> PathChange {
    change(path, Some(entry(before)), Some(entry(after)))
}

fn users() -> Users {
    [(0, "root".to_owned()), (1000, "dev".to_owned())].into()
}

fn show(paths: &[PathChange]) -> Shown {
    shown(paths, &users(), &mut Accounts::default())
}

/// Each operation as `kind subject: before => after`.
fn lines(paths: &[PathChange]) -> Vec<String> {
    let operations = show(paths).operations.into_iter();
    operations
        .map(|found| {
            let words = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            format!(
                "{} {}: {} => {}",
                found.kind.name(),
                found.kind.subject(),
                words(&found.before),
                words(&found.after)
            )
        })
        .collect()
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000::/home/dev:/bin/bash\n";
const GROUP: &str = "root:x:0:\ndocker:x:101:\ndev:x:1000:\n";
const SHADOW: &str = "root:locked:1:0:99999:7:::\ndev:locked:1:0:99999:7:::\n";

#[test]
fn a_change_is_its_operations() {
    for (name, change, wanted) in rows() {
        let found = lines(std::slice::from_ref(&change));
        assert!(
            found.iter().any(|line| line == wanted),
            "{name}: {found:#?}"
        );
        let shown = show(std::slice::from_ref(&change));
        assert!(
            shown.written.is_empty() && shown.deleted.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn every_kind_that_a_manifest_shows_has_a_row() {
    let seen: BTreeSet<KindName> = rows()
        .iter()
        .flat_map(|(_, change, _)| show(std::slice::from_ref(change)).operations)
        .map(|found| found.kind.name())
        .collect();
    let all: BTreeSet<KindName> = KindName::ALL.iter().copied().collect();
    // Those of a trace, and files that are just files.
    let others = [
        KindName::ExecRoot,
        KindName::MaintscriptRun,
        KindName::UnitStarted,
        KindName::NetListen,
        KindName::NetConnect,
        KindName::Mount,
        KindName::Namespace,
        KindName::Chroot,
        KindName::Ptrace,
        KindName::Bpf,
        KindName::MemfdExec,
        KindName::Accompanying,
        KindName::CaptureGap,
    ];
    let without: Vec<&KindName> = all.difference(&seen).collect();
    assert_eq!(without, others.iter().collect::<Vec<_>>());
}

#[test]
fn files_that_are_just_files_and_sockets_are_listed_and_folders_are_not() {
    let one = |path: &str, kind: EntryKind| {
        let mut change = added(path);
        change.after = change.after.map(|entry| Entry { kind, ..entry });
        change
    };
    let shown = show(&[
        added("/opt/a"),
        removed("/opt/b"),
        one("/opt/c", EntryKind::Folder),
        one("/etc/cron.d", EntryKind::Folder),
        one("/etc/pacman.d/gnupg/S.dirmngr", EntryKind::Socket),
    ]);
    assert_eq!(shown.operations, []);
    assert_eq!(
        (shown.written, shown.deleted),
        (
            vec![
                "/opt/a".to_owned(),
                "/etc/pacman.d/gnupg/S.dirmngr".to_owned()
            ],
            vec!["/opt/b".to_owned()]
        )
    );
}

#[test]
fn comments_order_and_blanks_are_no_change() {
    for (path, before, after) in [
        ("/etc/sudoers", "dev ALL=ALL\n", "# new\n\n  dev\tALL=ALL"),
        (
            "/etc/systemd/system/x.service",
            "[Service]\nExecStart=/x\n",
            "[Unit]\nDescription=x\n[Service]\nExecStart=/x\n",
        ),
        (
            "/etc/group",
            GROUP,
            "dev:x:1000:\nroot:x:0:\ndocker:x:101:\n",
        ),
        ("/etc/shadow", SHADOW, &SHADOW.replace(":1:0:", ":2:0:")),
    ] {
        assert_eq!(
            lines(&[became(path, before, after)]),
            [] as [String; 0],
            "{path}"
        );
    }
    assert_eq!(
        lines(&[came(
            "/etc/systemd/journald.conf",
            "[Journal]\n#Storage=auto\n"
        )]),
        [] as [String; 0]
    );
}

#[test]
fn a_user_who_is_root_or_joins_by_the_first_group_is_told() {
    let passwd = |line: &str| became("/etc/passwd", PASSWD, &format!("{PASSWD}{line}\n"));
    let group = became("/etc/group", "", GROUP);
    let superuser = |paths: &[PathChange]| {
        let operations = show(paths).operations;
        operations.iter().any(|found| {
            matches!(
                found.kind,
                Kind::UserAdd {
                    superuser: true,
                    ..
                }
            )
        })
    };
    for uid in ["0", "00", "", "x"] {
        assert!(
            superuser(&[passwd(&format!("toor:x:{uid}:5::/:/bin/sh"))]),
            "{uid}"
        );
    }
    assert!(superuser(&[became(
        "/etc/passwd",
        PASSWD,
        &PASSWD.replace("x:1000", "x:0")
    )]));
    assert!(!superuser(&[passwd("web:x:33:33::/:/bin/sh")]));
    let member = "group.member web -> docker: - => primary group 101".to_owned();
    assert!(lines(&[group.clone(), passwd("web:x:33:101::/:/bin/sh")]).contains(&member));
    // The group was there before, and nobody knows its name.
    let member = "group.member web -> gid 101: - => primary group 101".to_owned();
    assert!(lines(&[passwd("web:x:33:101::/:/bin/sh")]).contains(&member));
    let mut accounts = Accounts::default();
    let _ = shown(&[group], &users(), &mut accounts);
    let later = shown(
        &[passwd("web:x:33:101::/:/bin/sh")],
        &users(),
        &mut accounts,
    );
    let joined = |found: &Found| found.kind.subject() == "web -> docker";
    assert!(
        later.operations.iter().any(joined),
        "what an earlier manifest showed is known"
    );
}

#[test]
fn a_user_added_as_usual_is_one_operation_and_its_group_one() {
    let found = lines(&[
        became("/etc/group", GROUP, &format!("{GROUP}web:x:33:\n")),
        became("/etc/gshadow", "", "web:locked::\n"),
        became(
            "/etc/passwd",
            PASSWD,
            &format!("{PASSWD}web:x:33:33::/:/bin/sh\n"),
        ),
        became(
            "/etc/shadow",
            SHADOW,
            &format!("{SHADOW}web:locked:1::::::\n"),
        ),
        became("/etc/subuid", "", "web:100000:65536\n"),
    ]);
    assert_eq!(
        found,
        [
            "group.add web: - => web:33:",
            "user.add web: - => web:33:33::/:/bin/sh"
        ]
    );
    let shadow = |secret: &str| {
        let after = format!("{SHADOW}web:{secret}:1::::::\n");
        lines(&[became("/etc/shadow", SHADOW, &after)])
    };
    for secret in ["none", "set=1a", "locked"] {
        assert_eq!(shadow(secret).len(), 1, "nobody added this user: {secret}");
    }
    assert_eq!(
        lines(&[became("/etc/gshadow", "", "docker:locked::dev\n")]).len(),
        1,
        "a member by gshadow alone"
    );
    assert_eq!(
        lines(&[became("/etc/subuid", "", "dev:0:65536\n")]).len(),
        1
    );
}

#[test]
fn what_nobody_can_read_is_told_by_its_hash() {
    for content in [
        None,
        Some(Content::Long),
        Some(Content::LeftOut),
        Some(Content::Hex("00".to_owned())),
    ] {
        let after = |path: &str| {
            change(
                path,
                None,
                Some(Entry {
                    content: content.clone(),
                    ..file(0o440, b"x")
                }),
            )
        };
        let found = show(&[after("/etc/sudoers.d/x")]).operations;
        let says = assay_wire::privileged::FileText::Sha256(Digest::of(b"x"));
        assert!(
            matches!(&found[..], [Found { kind: Kind::Sudoers { says: said, .. }, .. }] if *said == says)
        );
        let found = show(&[after("/etc/passwd")]).operations;
        assert!(
            matches!(
                &found[..],
                [Found {
                    kind: Kind::FileWrite { .. },
                    ..
                }]
            ),
            "{found:?}"
        );
    }
    let long = "dev ALL=ALL\n".repeat(WORDS);
    let found = show(&[came("/etc/sudoers", &long)]).operations;
    assert!(matches!(
        &found[0].kind,
        Kind::Sudoers {
            says: assay_wire::privileged::FileText::Sha256(_),
            ..
        }
    ));
    assert!(
        found[0]
            .after
            .as_ref()
            .is_some_and(|after| after.chars().count() <= SHOWN + 1)
    );
}

proptest::proptest! {
    /// Whatever stands in a special file: a file that differs in more than blanks, comments and order is told,
    /// the same file is not, and what is told is short.
    #[test]
    fn any_text_is_told_in_little(before in "[a-z:=#;\\[\\]/\" \n]{0,60}", after in ".{0,60}", place in 0usize..46) {
        let rows = rows();
        let path = &rows[place % rows.len()].1.path;
        let found = show(&[became(path, &before, &after)]).operations;
        for one in &found {
            proptest::prop_assert!(one.after.as_ref().is_none_or(|text| text.chars().count() <= SHOWN + 20));
        }
        proptest::prop_assert_eq!(show(&[became(path, &before, &before)]).operations, []);
    }
}
