//! What a digest is made of, and what it is not.

use std::collections::BTreeSet;

use super::*;
use crate::digest::canonical_json;
use crate::name::GuestPath;
use crate::plan::{KeyScope, Plan};

fn step(text: &str) -> StepRef {
    StepRef {
        recipe: "docker".parse().expect("a name"),
        step: text.parse().expect("an id"),
    }
}

fn member() -> PrivilegedOperation {
    let kind = Kind::GroupMember {
        user: "dev".to_owned(),
        group: "docker".to_owned(),
    };
    let argv = ["usermod", "-aG", "docker", "dev"].map(str::to_owned);
    let evidence = OperationEvidence::argv(&argv);
    PrivilegedOperation::declared(OpId(3), vec![step("join")], kind, evidence)
}

#[test]
fn a_digest_is_of_kind_fields_and_subject() {
    let wanted =
        r#"{"kind":{"group.member":{"group":"docker","user":"dev"}},"subject":"dev -> docker"}"#;
    assert_eq!(member().digest(), Digest::of(wanted.as_bytes()));
}

#[test]
fn step_op_argv_and_what_was_seen_keep_a_digest() {
    let same = PrivilegedOperation {
        steps: vec![step("other"), step("7")],
        op: OpId(9),
        origin: Origin::Trace,
        before: Some("dev".to_owned()),
        after: Some("dev docker".to_owned()),
        actor: Some(Actor {
            argv: vec!["gpasswd".to_owned()],
            uid: 0,
            program: Some(1),
            script: None,
        }),
        package: Some("docker-ce 5:27".to_owned()),
        evidence: OperationEvidence {
            argv: vec!["gpasswd".to_owned()],
            exe: Some("/usr/bin/gpasswd".to_owned()),
            path: Some("/etc/group".to_owned()),
            sha256: Some(Digest::of(b"x")),
            url: Some("https://a.test/".to_owned()),
            id: Some(999),
            version: Some("1".to_owned()),
        },
        ..member()
    };
    assert_eq!(same.digest(), member().digest());
}

#[test]
fn every_field_of_a_kind_changes_its_digest() {
    let key = |key, repository: Option<&str>, scope| Kind::PkgKey {
        key,
        repository: repository.map(str::to_owned),
        scope,
    };
    let print = |text: &str| KeyIdentity::Fingerprint(text.to_owned());
    let file = |path: &str, mode, owner: &str, tree| Kind::FileWrite {
        path: path.to_owned(),
        tree,
        mode,
        owner: owner.to_owned(),
    };
    let sudoers = |says| Kind::Sudoers {
        file: "/etc/sudoers.d/x".to_owned(),
        says,
    };
    let a = Some("https://a.test/");
    let kinds = [
        key(print("A"), a, KeyScope::Repository),
        key(print("B"), a, KeyScope::Repository),
        key(print("A"), Some("https://b.test/"), KeyScope::Repository),
        key(print("A"), a, KeyScope::Machine),
        key(print("A"), None, KeyScope::Machine),
        key(
            KeyIdentity::Sha256(Digest::of(b"A")),
            a,
            KeyScope::Repository,
        ),
        file("/opt/a", None, "root", false),
        file("/opt/a", Some(0o644), "root", false),
        file("/opt/a", None, "dev", false),
        file("/opt/a", None, "root", true),
        file("/opt/b", None, "root", false),
        sudoers(FileText::Unread),
        sudoers(FileText::Sha256(Digest::of(b"one"))),
        sudoers(FileText::Sha256(Digest::of(b"two"))),
        sudoers(FileText::Words("dev ALL=(ALL) ALL".to_owned())),
    ];
    let digest = |kind: &Kind| {
        let evidence = OperationEvidence::default();
        PrivilegedOperation::declared(OpId(1), Vec::new(), kind.clone(), evidence).digest()
    };
    let digests: BTreeSet<Digest> = kinds.iter().map(digest).collect();
    assert_eq!(digests.len(), kinds.len());
}

#[test]
fn a_key_of_the_machine_is_shown_as_that() {
    let kind = |scope| Kind::PkgKey {
        key: KeyIdentity::Fingerprint("9DC8".to_owned()),
        repository: Some("https://a.test/".to_owned()),
        scope,
    };
    assert_eq!(
        kind(KeyScope::Repository).subject(),
        "9DC8 -> https://a.test/"
    );
    assert_eq!(kind(KeyScope::Machine).subject(), "9DC8 -> any repository");
}

#[test]
fn kinds_are_written_as_they_are_read() {
    let mut words = BTreeSet::new();
    for kind in KindName::ALL {
        assert_eq!(kind.as_str().parse(), Ok(*kind));
        assert_eq!(canonical_json(kind), format!("\"{kind}\""));
        words.insert(kind.as_str());
        let meaning = kind.meaning();
        assert!(
            meaning.ends_with('.') && !meaning.contains("  "),
            "{meaning}"
        );
    }
    assert_eq!(words.len(), KindName::ALL.len());
    assert_eq!(KindName::ExecRoot.meaning(), "A command runs as root.");
    assert_eq!("exec.roo".parse::<KindName>(), Err(UnknownKind));
    let json = canonical_json(&member());
    let read: PrivilegedOperation = serde_json::from_str(&json).expect("what was written is read");
    assert_eq!(read, member());
    let more = json.replace("\"user\":", "\"uid\":0,\"user\":");
    assert!(serde_json::from_str::<PrivilegedOperation>(&more).is_err());
}

#[test]
fn programs_are_what_their_bits_say() {
    let path: GuestPath = "/usr/local/bin/x".parse().expect("a path");
    for (mode, wanted) in [
        (0o755, KindName::FileWrite),
        (0o4755, KindName::FileSetuid),
        (0o2755, KindName::FileSetgid),
        (0o6755, KindName::FileSetuid),
    ] {
        assert_eq!(kind_of_program(&path, mode, "root").name(), wanted);
    }
}

#[test]
fn a_plan_carries_what_it_declares_and_its_digest_is_of_its_ops() {
    let json = r#"{"target":"arch","variant":"minimal","boots":false,"recipes":["a"],
        "unsupported":null,"steps":[],"content":[],"ops":[]}"#;
    // Plans of journals that knew no declared operations declare none.
    let without: Plan = serde_json::from_str(json).expect("a plan");
    assert_eq!(without.declared, []);
    let with = Plan {
        declared: vec![member()],
        ..without.clone()
    };
    let text = canonical_json(&with);
    let read: Plan = serde_json::from_str(&text).expect("what was written is read");
    assert_eq!(read, with);
    assert_eq!(with.digest(), without.digest());
}
