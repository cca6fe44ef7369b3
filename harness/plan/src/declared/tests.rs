//! Every action of the vocabulary with what it declares.

use std::collections::BTreeSet;

use assay_recipe::action::{ACTIONS, Scope};
use assay_wire::plan::Plan;
use assay_wire::privileged::{KindName, PrivilegedOperation};
use proptest::prelude::*;

use crate::fixtures::{darwin, recipe, target};
use crate::plan;

const KEY: &str = "key_url = \"https://a.test/key\"\n\
     key_sha256 = \"1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570\"\n";
const PRINT: &str = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";
const SHA256: &str =
    "sha256 = \"1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570\"\n";

fn planned(steps: &str, on: &str) -> Plan {
    let recipe = recipe(&format!("[metadata]\nname = \"x\"\n{steps}"));
    let target = match on {
        "darwin" => darwin(),
        name => target(name),
    };
    plan(&[&recipe], &target).expect("a plan")
}

fn step(action: &str, keys: &str) -> String {
    format!("[[steps]]\naction = \"{action}\"\n{keys}")
}

/// Kind and subject of what is declared, but for commands.
fn beyond(plan: &Plan) -> Vec<(&'static str, &str)> {
    let declared = plan.declared.iter();
    let named = declared.map(|one| (one.kind.name().as_str(), one.subject.as_str()));
    named.filter(|(kind, _)| *kind != "exec.root").collect()
}

/// The programs that run as root.
fn programs(plan: &Plan) -> Vec<&str> {
    let commands = |one: &&PrivilegedOperation| one.kind.name() == KindName::ExecRoot;
    let declared = plan.declared.iter().filter(commands);
    declared.map(|one| one.subject.as_str()).collect()
}

/// Action, its own keys, the target, the programs run as root, what is declared beside them.
type Row<'r> = (
    &'r str,
    String,
    &'r str,
    &'r [&'r str],
    &'r [(&'r str, &'r str)],
);

fn rows() -> Vec<Row<'static>> {
    let packages = || "packages = [\"jq\"]\n".to_owned();
    let repo = |url: &str| format!("url = \"{url}\"\n{KEY}key_fingerprints = [\"{PRINT}\"]\n");
    let download = |dest: &str| format!("url = \"https://a.test/f\"\n{SHA256}dest = \"{dest}\"\n");
    let archive = |dest: &str| format!("archive = \"/opt/a.tar\"\ndest = \"{dest}\"\n");
    let binaries = |more: &str| format!("from = \"/opt/a\"\nbinaries = [\"bin/jq\"]\n{more}");
    vec![
        // A refresh, the question whether it is there, the install.
        (
            "apt_install",
            packages(),
            "debian-12",
            &["apt-get", "dpkg-query", "apt-get"],
            &[],
        ),
        (
            "dnf_install",
            packages(),
            "fedora-44",
            &["dnf", "rpm", "dnf"],
            &[],
        ),
        (
            "pacman_install",
            packages(),
            "arch",
            &["pacman", "pacman", "pacman"],
            &[],
        ),
        (
            "apk_install",
            packages(),
            "alpine-3.22",
            &["apk", "apk", "apk"],
            &[],
        ),
        (
            "zypper_install",
            packages(),
            "opensuse-leap-16.0",
            &["zypper", "rpm", "zypper"],
            &[],
        ),
        ("brew_install", packages(), "darwin", &[], &[]),
        ("brew_cask", packages(), "darwin", &[], &[]),
        (
            "apt_repo",
            repo("https://a.test/{distro}"),
            "debian-12",
            &[],
            &[
                (
                    "pkg.key",
                    "9DC858229FC7DD38854AE2D88D81803C0EBFCD88 -> https://a.test/debian",
                ),
                ("pkg.source", "https://a.test/debian"),
            ],
        ),
        (
            "apt_ppa",
            format!("ppa = \"a/b\"\nkey_fingerprint = \"{PRINT}\"\n"),
            "ubuntu-24.04",
            &[],
            &[
                (
                    "pkg.key",
                    "9DC858229FC7DD38854AE2D88D81803C0EBFCD88 -> https://ppa.launchpadcontent.net/a/b/ubuntu",
                ),
                ("pkg.source", "https://ppa.launchpadcontent.net/a/b/ubuntu"),
            ],
        ),
        // rpm has one keyring.
        (
            "dnf_repo",
            repo("https://a.test/rpm"),
            "fedora-44",
            &[],
            &[
                (
                    "pkg.key",
                    "9DC858229FC7DD38854AE2D88D81803C0EBFCD88 -> any repository",
                ),
                ("pkg.source", "https://a.test/rpm"),
            ],
        ),
        (
            "group_add",
            "group = \"docker\"\n".to_owned(),
            "arch",
            &["grep", "usermod"],
            &[("group.member", "dev -> docker")],
        ),
        (
            "group_add",
            "group = \"docker\"\nuser = \"ann\"\ncreate = true\n".to_owned(),
            "arch",
            &["getent", "groupadd", "grep", "usermod"],
            &[("group.add", "docker"), ("group.member", "ann -> docker")],
        ),
        (
            "service_enable",
            "service = \"nginx\"\n".to_owned(),
            "debian-12",
            &["systemctl", "systemctl", "systemctl"],
            &[("unit.enabled", "nginx.service")],
        ),
        (
            "service_start",
            "service = \"nginx.socket\"\n".to_owned(),
            "debian-12",
            &["systemctl", "systemctl", "systemctl"],
            &[("unit.started", "nginx.socket")],
        ),
        (
            "require_command",
            "command = \"jq\"\n".to_owned(),
            "arch",
            &[],
            &[],
        ),
        (
            "download",
            download("/opt/f"),
            "arch",
            &[],
            &[("file.write", "/opt/f")],
        ),
        ("download", download("~/f"), "arch", &[], &[]),
        (
            "download",
            download("/etc/sudoers.d/f"),
            "arch",
            &[],
            &[("sudoers", "/etc/sudoers.d/f")],
        ),
        (
            "download",
            download("~/.ssh/authorized_keys"),
            "arch",
            &[],
            &[("ssh.key", "/home/dev/.ssh/authorized_keys")],
        ),
        (
            "extract",
            archive("/opt/a"),
            "arch",
            &[],
            &[("file.write", "/opt/a/…")],
        ),
        ("extract", archive("~/a"), "arch", &[], &[]),
        (
            "extract",
            archive("/etc/cron.d"),
            "arch",
            &[],
            &[("cron", "/etc/cron.d/…")],
        ),
        (
            "install_binaries",
            binaries(""),
            "arch",
            &["install"],
            &[("file.write", "/usr/local/bin/jq")],
        ),
        (
            "install_binaries",
            binaries("mode = \"4755\"\n"),
            "arch",
            &["install"],
            &[("file.setuid", "/usr/local/bin/jq 4755 root")],
        ),
        (
            "install_binaries",
            binaries("mode = \"2755\"\ndest = \"/etc/cron.daily\"\n"),
            "arch",
            &["install"],
            &[
                ("cron", "/etc/cron.daily/jq"),
                ("file.setgid", "/etc/cron.daily/jq 2755 root"),
            ],
        ),
        (
            "install_binaries",
            binaries("dest = \"~/bin\"\n"),
            "arch",
            &[],
            &[],
        ),
        (
            "install_binaries",
            binaries("dest = \"~/bin\"\nmode = \"4755\"\n"),
            "arch",
            &[],
            &[("file.setuid", "/home/dev/bin/jq 4755 dev")],
        ),
        (
            "manual",
            "text = \"sudo rm -rf /\"\n".to_owned(),
            "arch",
            &[],
            &[],
        ),
    ]
}

#[test]
fn every_action_declares_what_it_does() {
    for (action, keys, on, run, declared) in rows() {
        let plan = planned(&step(action, &keys), on);
        assert_eq!(plan.unsupported, None, "{action} {keys}");
        assert_eq!(programs(&plan), run, "{action} {keys}");
        assert_eq!(beyond(&plan), declared, "{action} {keys}");
    }
    let covered: BTreeSet<&str> = rows().iter().map(|row| row.0).collect();
    let all: BTreeSet<&str> = ACTIONS.iter().map(|action| action.name).collect();
    assert_eq!(covered, all, "an action without a row");
    assert!(ACTIONS.iter().any(|action| action.scope == Scope::Darwin));
}

#[test]
fn evidence_is_the_exact_argv_or_hash_and_the_step_is_named() {
    let docker = step("group_add", "id = \"join\"\ngroup = \"docker\"\n");
    let fetch = step(
        "download",
        &format!("url = \"https://a.test/a.tar\"\n{SHA256}dest = \"/opt/a.tar\"\n"),
    );
    let unpack = step("extract", "archive = \"/opt/a.tar\"\ndest = \"/opt/a\"\n");
    let plan = planned(&format!("{docker}{fetch}{unpack}"), "debian-12");
    let of = |kind: KindName| {
        let mut declared = plan.declared.iter();
        declared
            .find(|one| one.kind.name() == kind)
            .expect("it is declared")
    };
    let member = of(KindName::GroupMember);
    assert_eq!(
        member.evidence.argv,
        ["usermod", "-aG", "docker", "dev"].map(str::to_owned)
    );
    assert_eq!(member.steps[0].to_string(), "x#join");
    let op = plan.op(member.op).expect("an op of the plan");
    assert_eq!(op.steps, member.steps);
    let files: Vec<_> = plan
        .declared
        .iter()
        .filter(|one| one.kind.name() == KindName::FileWrite)
        .collect();
    let sha256 = files[0].evidence.sha256.expect("the hash of the content");
    assert!(SHA256.contains(&sha256.to_string()));
    assert_eq!(
        files[0].evidence.url.as_deref(),
        Some("https://a.test/a.tar")
    );
    // What is unpacked is the archive that was downloaded.
    assert_eq!(files[1].evidence.sha256, Some(sha256));
}

#[test]
fn a_key_without_a_fingerprint_is_its_file() {
    let repo = format!("url = \"https://a.test/\"\n{KEY}");
    let plan = planned(&step("apt_repo", &repo), "debian-12");
    assert_eq!(
        beyond(&plan)[0].1,
        "sha256:1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570 -> https://a.test/"
    );
    let other = repo.replace("1500c1f5", "2500c1f5");
    let changed = planned(&step("apt_repo", &other), "debian-12");
    for (one, other) in plan.declared.iter().zip(&changed.declared) {
        if one.kind.name() != KindName::ExecRoot {
            assert_ne!(one.digest(), other.digest(), "{}", one.subject);
        }
    }
}

#[test]
fn a_digest_survives_reformatting_and_dies_with_a_real_change() {
    let text = |group: &str, url: &str, dest: &str, mode: &str| {
        format!(
            "{}{}{}",
            step(
                "apt_repo",
                &format!("url = \"{url}\"\n{KEY}key_fingerprints = [\"{PRINT}\"]\n")
            ),
            step("group_add", &format!("group = \"{group}\"\n")),
            step(
                "install_binaries",
                &format!(
                    "from = \"/opt\"\nbinaries = [\"a\"]\ndest = \"{dest}\"\nmode = \"{mode}\"\n"
                )
            )
        )
    };
    let digests = |text: &str, on: &str| {
        let plan = planned(text, on);
        let declared = plan.declared.iter();
        let beyond = declared.filter(|one| one.kind.name() != KindName::ExecRoot);
        beyond.map(PrivilegedOperation::digest).collect::<Vec<_>>()
    };
    let plain = text("docker", "https://a.test/", "/opt/bin", "4755");
    let first = digests(&plain, "debian-12");
    assert_eq!(first.len(), 4);
    let reformatted = format!(
        "# a comment\n{}\n",
        plain
            .replace("[[steps]]\n", "\n\n[[ steps ]] # one more\n")
            .replace(" = ", "   =  ")
            .replace(
                "group   =",
                "id = \"renamed\"\ndescription = \"joins\"\ngroup ="
            )
    );
    assert_eq!(digests(&reformatted, "debian-12"), first);
    assert_eq!(digests(&plain, "debian-13"), first, "the target is no part");
    for (change, differ) in [
        (text("sudo", "https://a.test/", "/opt/bin", "4755"), vec![2]),
        (
            text("docker", "https://b.test/", "/opt/bin", "4755"),
            vec![0, 1],
        ),
        (
            text("docker", "https://a.test/", "/opt/other", "4755"),
            vec![3],
        ),
        (
            text("docker", "https://a.test/", "/opt/bin", "4711"),
            vec![3],
        ),
    ] {
        let changed = digests(&change, "debian-12");
        let pairs = first.iter().zip(&changed).enumerate();
        let different: Vec<usize> = pairs
            .filter(|(_, (one, other))| one != other)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(different, differ, "{change}");
    }
}

proptest! {
    #[test]
    fn no_layout_of_a_recipe_changes_a_digest(
        orders in prop::collection::vec(any::<prop::sample::Index>(), 16),
        between in prop::collection::vec("(\n|# [a-z\\[\"=]{0,9}\n){0,3}", 16),
        equals in prop::sample::select(vec![" = ", "=", "   =\t"]),
    ) {
        let steps = [
            vec!["action = \"group_add\"", "group = \"docker\"", "create = true"],
            vec![
                "action = \"download\"",
                "url = \"https://a.test/f\"",
                SHA256.trim_end(),
                "dest = \"/etc/cron.d/f\"",
            ],
            vec!["action = \"service_enable\"", "service = \"nginx\"", "id = \"on\""],
        ];
        let plain: String = steps
            .iter()
            .map(|lines| format!("[[steps]]\n{}\n", lines.join("\n")))
            .collect();
        let (mut orders, mut between) = (orders.iter(), between.iter());
        let mut laid_out = String::new();
        for mut lines in steps {
            laid_out.push_str("[[steps]]\n");
            while !lines.is_empty() {
                let order = orders.next().expect("enough of them");
                let line = lines.remove(order.index(lines.len()));
                laid_out.push_str(between.next().expect("enough of them"));
                laid_out.push_str(&line.replacen(" = ", equals, 1));
                laid_out.push('\n');
            }
        }
        let digests = |steps: &str| {
            let plan = planned(steps, "debian-12");
            plan.declared.iter().map(PrivilegedOperation::digest).collect::<Vec<_>>()
        };
        prop_assert_eq!(digests(&laid_out), digests(&plain), "{}", laid_out);
    }
}

#[test]
fn a_repository_of_two_recipes_is_declared_for_both() {
    let repo = format!("url = \"https://a.test/\"\n{KEY}");
    let recipes = ["a", "b"].map(|name| {
        recipe(&format!(
            "[metadata]\nname = \"{name}\"\n{}",
            step("apt_repo", &repo)
        ))
    });
    let plan = plan(&[&recipes[0], &recipes[1]], &target("debian-12")).expect("a plan");
    for one in &plan.declared {
        let steps: Vec<String> = one.steps.iter().map(ToString::to_string).collect();
        assert_eq!(steps, ["a#1", "b#1"], "{}", one.subject);
    }
    assert_eq!(beyond(&plan).len(), 2);
}
