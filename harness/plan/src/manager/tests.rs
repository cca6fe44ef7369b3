//! The commands of each manager, request by request.

use super::*;
use crate::render::quote::command_line;
use assay_wire::name::StepRef;
use assay_wire::plan::SkipIf;

fn requests(wanted: &[(&str, &str)]) -> Vec<Request> {
    let step = StepRef {
        recipe: "a".parse().expect("a name"),
        step: "1".parse().expect("an id"),
    };
    let request = |(name, version): &(&str, &str)| Request {
        name: (*name).to_owned(),
        version: version.parse().expect("a version of this test"),
        steps: vec![step.clone()],
    };
    wanted.iter().map(request).collect()
}

fn installed(manager: Manager, any: bool, recommends: bool, wanted: &[(&str, &str)]) -> String {
    command_line(&install(
        manager,
        Mode {
            any,
            recommends,
            cask: false,
        },
        &requests(wanted),
    ))
}

#[test]
fn install_commands() {
    let mixed = &[("jq", "auto"), ("git", "=1:2.39-1"), ("curl", ">=7")];
    for (manager, any, recommends, wanted, expected) in [
        (
            Manager::Apt,
            true,
            false,
            &[("jq", "any")][..],
            "apt-get install -y --no-install-recommends --no-upgrade -- jq",
        ),
        (
            Manager::Apt,
            true,
            true,
            &[("jq", "any")],
            "apt-get install -y --install-recommends --no-upgrade -- jq",
        ),
        (
            Manager::Apt,
            false,
            false,
            mixed,
            "apt-get install -y --no-install-recommends -- jq git=1:2.39-1 curl",
        ),
        (
            Manager::Dnf,
            true,
            false,
            &[("jq", "any")],
            "dnf -y --setopt=install_weak_deps=False install jq",
        ),
        (
            Manager::Dnf,
            false,
            true,
            mixed,
            "dnf -y --setopt=install_weak_deps=True install jq git-1:2.39-1 curl",
        ),
        (
            Manager::Apk,
            false,
            false,
            mixed,
            "apk add -- jq git=1:2.39-1 curl",
        ),
        (
            Manager::Zypper,
            false,
            true,
            mixed,
            "zypper --non-interactive install --recommends -- jq git=1:2.39-1 curl",
        ),
        (
            Manager::Brew,
            true,
            false,
            &[("jq", "any")],
            "brew install --formula -- jq",
        ),
        (
            Manager::Pacman,
            true,
            false,
            &[("jq", "any")],
            "pacman -S --needed --noconfirm -- jq",
        ),
        (
            Manager::Pacman,
            false,
            false,
            mixed,
            "pacman -S --needed --noconfirm -- jq git=1:2.39-1 curl",
        ),
    ] {
        assert_eq!(installed(manager, any, recommends, wanted), expected);
    }
}

/// What most requests are.
const ANY: Mode = Mode {
    any: true,
    recommends: false,
    cask: false,
};

#[test]
fn guards_ask_for_every_package() {
    let guard =
        |manager, wanted: &[(&str, &str)]| match installed_guard(manager, ANY, &requests(wanted)) {
            Some(Guard::Asks { argv, skip_if }) => Some((argv, skip_if)),
            Some(Guard::OnPath(_)) | None => None,
        };
    let both = &[("jq", "any"), ("g++", "any")];
    let apt = guard(Manager::Apt, both).expect("apt can be asked");
    assert_eq!(
        apt.0,
        [
            "dpkg-query",
            "-W",
            "-f=${db:Status-Abbrev}${Package}\\n",
            "jq",
            "g++"
        ]
    );
    assert_eq!(
        apt.1,
        SkipIf::Lines(["ii g++".to_owned(), "ii jq".to_owned()].into())
    );
    let dnf = guard(Manager::Dnf, both).expect("dnf can be asked");
    assert_eq!(
        (command_line(&dnf.0).as_str(), dnf.1),
        ("rpm -q --whatprovides jq g++", SkipIf::ExitCode(0))
    );
    assert_eq!(
        guard(Manager::Dnf, &[("jq", "any"), ("@core", "any")]),
        None
    );
    let pacman = guard(Manager::Pacman, both).expect("pacman can be asked");
    assert_eq!(
        (command_line(&pacman.0).as_str(), pacman.1),
        ("pacman -T -- jq g++", SkipIf::ExitCode(0))
    );
}

#[test]
fn refreshes_fail_when_a_repository_does_and_upgrade_only_on_arch() {
    assert_eq!(
        command_line(&refresh(Manager::Apt)),
        "apt-get update --error-on=any"
    );
    assert_eq!(
        command_line(&refresh(Manager::Dnf)),
        "dnf -y --refresh makecache"
    );
    assert_eq!(
        command_line(&refresh(Manager::Pacman)),
        "pacman -Syu --noconfirm"
    );
}

#[test]
fn architectures_are_in_the_managers_spelling() {
    for (manager, arch, word) in [
        (Manager::Apt, Arch::Amd64, "amd64"),
        (Manager::Apt, Arch::Ppc64le, "ppc64el"),
        (Manager::Dnf, Arch::Amd64, "x86_64"),
        (Manager::Dnf, Arch::Arm64, "aarch64"),
        (Manager::Pacman, Arch::Amd64, "x86_64"),
        (Manager::Pacman, Arch::Arm, "armv7h"),
        (Manager::Pacman, Arch::Riscv64, "riscv64"),
        (Manager::Apk, Arch::Arm64, "aarch64"),
        (Manager::Apk, Arch::I386, "x86"),
        (Manager::Zypper, Arch::Arm, "armv7hl"),
        (Manager::Brew, Arch::Arm64, "arm64"),
        (Manager::Brew, Arch::Amd64, "x86_64"),
    ] {
        assert_eq!(arch_word(manager, arch), word);
    }
}

#[test]
fn scriptlets_that_fail_silently_are_known_by_their_words() {
    let matches = |manager, line: &str| {
        failure_lines(manager)
            .iter()
            .any(|text| line.contains(text.as_str()))
    };
    for line in [
        "warning: %post(foo-1-1.x86_64) scriptlet failed, exit status 1",
        "warning: %post(foo-1-1.x86_64) scriptlet failed, signal 9",
        ">>> Non-critical error in %post scriptlet: foo-0:1-1.x86_64",
        "Error in POSTIN scriptlet in rpm package foo",
    ] {
        assert!(matches(Manager::Dnf, line), "{line}");
    }
    for line in [
        "error: command failed to execute correctly",
        "error: command terminated by signal 9: Killed",
    ] {
        assert!(matches(Manager::Pacman, line), "{line}");
    }
    for line in [
        ">>> Running %post scriptlet: foo-0:1-1.x86_64",
        "Running scriptlet: foo-1-1.x86_64",
        "Complete!",
    ] {
        assert!(!matches(Manager::Dnf, line), "{line}");
    }
    assert!(failure_lines(Manager::Apt).is_empty());
}

#[test]
fn answers_to_package_questions_are_read() {
    for (manager, answer, version) in [
        (Manager::Apt, "ii 2.36-9+deb12u10", Some("2.36-9+deb12u10")),
        (
            Manager::Apt,
            "hi 5:26.1.0-1~ubuntu",
            Some("5:26.1.0-1~ubuntu"),
        ),
        // Removed, its configuration left; unpacked and not configured; unknown.
        (Manager::Apt, "rc 1.0-1", None),
        (Manager::Apt, "iU 1.0-1", None),
        (Manager::Apt, "un ", None),
        (Manager::Dnf, "0:1.7.1-10.fc44", Some("0:1.7.1-10.fc44")),
        (Manager::Dnf, "no package provides jq", None),
        (Manager::Pacman, "jq 1.7.1-2", Some("1.7.1-2")),
        (Manager::Pacman, "error: package 'jq' was not found", None),
        (Manager::Apk, "jq-1.7.1-r0", Some("1.7.1-r0")),
        (Manager::Apk, "gtk+2.0-dev-2.24.33-r9", Some("2.24.33-r9")),
        (
            Manager::Zypper,
            "0:1.7.1-150600.1.1",
            Some("0:1.7.1-150600.1.1"),
        ),
        (Manager::Brew, "jq 1.6 1.7.1", Some("1.7.1")),
        (
            Manager::Brew,
            "Error: No such keg: /opt/homebrew/Cellar/jq",
            None,
        ),
    ] {
        let regex = regex::Regex::new(package_query(manager, "jq").regex).expect("an expression");
        let found = regex
            .captures(answer)
            .and_then(|captures| Some(captures.get(1)?.as_str()));
        assert_eq!(found, version, "{answer}");
    }
}
