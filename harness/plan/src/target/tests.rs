//! Targets from os-release files, real and malformed.

use super::*;
use crate::fixtures::{self, target};

fn ids(target: &Target) -> String {
    target
        .chain()
        .map(DistroId::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

fn effective(target: &Target, named: &[&str]) -> String {
    let named: Vec<DistroId> = named
        .iter()
        .map(|id| id.parse().expect("an id of this test"))
        .collect();
    match target.effective_distro(&named.iter().collect::<Vec<_>>()) {
        None => "none".to_owned(),
        Some(found) => format!(
            "{} {} {}",
            found.id,
            found.version.as_deref().unwrap_or("-"),
            found.codename.as_deref().unwrap_or("-")
        ),
    }
}

#[test]
fn real_os_release_files_state_chain_family_and_release() {
    // Target, chain, family, then the effective distribution of a recipe that names nothing, ubuntu
    // and debian, only debian, and only the rhel family's parents.
    #[rustfmt::skip]
    let table = [
        ("ubuntu-22.04", "ubuntu debian", "debian", "ubuntu 22.04 jammy", "ubuntu 22.04 jammy", "debian - -", "ubuntu 22.04 jammy"),
        ("ubuntu-24.04", "ubuntu debian", "debian", "ubuntu 24.04 noble", "ubuntu 24.04 noble", "debian - -", "ubuntu 24.04 noble"),
        ("debian-12", "debian", "debian", "debian 12 bookworm", "debian 12 bookworm", "debian 12 bookworm", "debian 12 bookworm"),
        ("debian-13", "debian", "debian", "debian 13 trixie", "debian 13 trixie", "debian 13 trixie", "debian 13 trixie"),
        ("mint-22", "linuxmint ubuntu debian", "debian", "linuxmint 22 wilma", "ubuntu 24.04 noble", "debian - -", "linuxmint 22 wilma"),
        ("lmde-6", "linuxmint debian", "debian", "linuxmint 6 faye", "debian 12 bookworm", "debian 12 bookworm", "linuxmint 6 faye"),
        ("pop-22.04", "pop ubuntu debian", "debian", "pop 22.04 jammy", "ubuntu 22.04 jammy", "debian - -", "pop 22.04 jammy"),
        ("fedora-44", "fedora", "rhel", "fedora 44 -", "fedora 44 -", "fedora 44 -", "fedora 44 -"),
        ("rocky-9", "rocky rhel centos fedora", "rhel", "rocky 9.6 -", "rocky 9.6 -", "rocky 9.6 -", "rhel - -"),
        ("arch", "arch", "arch", "arch - -", "arch - -", "arch - -", "arch - -"),
        ("manjaro", "manjaro arch", "arch", "manjaro - -", "manjaro - -", "manjaro - -", "manjaro - -"),
    ];
    for (name, chain, family, nothing, both, debian, rhel) in table {
        let target = target(name);
        assert_eq!(ids(&target), chain, "{name}");
        assert_eq!(target.family().map(Family::as_str), Some(family), "{name}");
        assert_eq!(effective(&target, &[]), nothing, "{name}");
        assert_eq!(effective(&target, &["debian", "ubuntu"]), both, "{name}");
        assert_eq!(effective(&target, &["debian"]), debian, "{name}");
        assert_eq!(effective(&target, &["centos", "rhel"]), rhel, "{name}");
    }
}

#[test]
fn without_a_valid_id_there_is_no_distribution() {
    for text in [
        "",
        "NAME=Something\nVERSION_ID=1\n",
        "ID=\n",
        "ID=\"a b\"\n",
        "ID=Ubuntu\n",
        "ID=-x\n",
        "\0\0\0",
        "ID=$(id)",
    ] {
        let target = fixtures::linux("odd", text);
        assert_eq!(target.distro, None, "{text:?}");
        assert_eq!(target.family(), None);
        assert_eq!(effective(&target, &["ubuntu"]), "none");
    }
}

#[test]
fn hostile_values_are_left_out_one_by_one() {
    let text = "ID=x\nID_LIKE=\"debian ../.. debian x UBUNTU rhel\"\nVERSION_ID=\"1/../2\"\nVERSION_CODENAME=-o\nPRETTY_NAME=\"X {arch}\"\n";
    let distro = Distro::from_os_release(text).expect("a valid id");
    assert_eq!(
        distro
            .id_like
            .iter()
            .map(DistroId::as_str)
            .collect::<Vec<_>>(),
        ["debian", "rhel"]
    );
    assert_eq!((distro.version_id, distro.version_codename), (None, None));
    assert_eq!(distro.pretty_name.as_deref(), Some("X {arch}"));
    let many = format!(
        "ID=x\nID_LIKE=\"{}\"\n",
        (0..500).map(|n| format!("d{n} ")).collect::<String>()
    );
    assert_eq!(
        Distro::from_os_release(&many).map(|distro| distro.id_like.len()),
        Some(MAX_CHAIN)
    );
}

#[test]
fn a_missing_version_or_name_of_the_own_release_comes_from_the_table() {
    assert_eq!(
        effective(&fixtures::linux("x", "ID=ubuntu\nVERSION_ID=24.04\n"), &[]),
        "ubuntu 24.04 noble"
    );
    assert_eq!(
        effective(
            &fixtures::linux("x", "ID=debian\nVERSION_CODENAME=forky\n"),
            &[]
        ),
        "debian 14 forky"
    );
    assert_eq!(
        effective(
            &fixtures::linux("x", "ID=debian\nVERSION_CODENAME=unheard\n"),
            &[]
        ),
        "debian - unheard"
    );
}

#[test]
fn a_machine_is_named_by_what_it_states() {
    for (text, name) in [
        ("ID=linuxmint\nVERSION_ID=22\n", "linuxmint-22"),
        ("ID=arch\n", "arch"),
        ("ID=x\nVERSION_ID=1.0-RC1\n", "x-1.0-rc1"),
        ("ID=x\nVERSION_ID=1-\n", "x-1"),
        ("ID=x\nVERSION_ID=../1\n", "x"),
        ("ID=x-\n", "x"),
        ("ID=../x\n", "linux"),
        ("", "linux"),
    ] {
        let target = Target::of_machine(Arch::Arm64, text).expect("a target");
        assert_eq!((target.id.as_str(), target.arch), (name, Arch::Arm64));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_every_text_has_a_target(text in "(?s)(ID=|ID_LIKE=|VERSION_ID=|[\"'\\\\ \n=a-z0-9.\0\u{7f}]|.){0,80}") {
        let target = fixtures::linux("any", &text);
        let _ = target.family();
        let _ = effective(&target, &["debian"]);
        proptest::prop_assert_eq!(target.os, Os::Linux);
        let machine = Target::of_machine(Arch::Amd64, &text);
        proptest::prop_assert_eq!(machine.map(|machine| machine.distro), Some(target.distro));
    }
}
