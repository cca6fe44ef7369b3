//! `when` against targets: which steps apply, and the one reason of those that do not.

use super::*;
use crate::fixtures::{OS_RELEASES, recipe, target};

/// Why a `require_command` with this `when` does not apply; `applies` where it does.
fn verdict(target_name: &str, when: &str) -> String {
    let text = format!(
        "[metadata]\nname = \"a\"\n[[steps]]\naction = \"require_command\"\ncommand = \"x\"\nwhen = {when}\n"
    );
    let recipe = recipe(&text);
    let target = target(target_name);
    let when = recipe.steps[0].when.as_ref().map(|when| &when.value);
    Seen::by(&recipe, &target)
        .holds(when)
        .err()
        .unwrap_or_else(|| "applies".to_owned())
}

#[test]
fn keys_are_compared_with_the_target() {
    for (target, when, expected) in [
        ("debian-12", r#"{ os = "linux" }"#, "applies"),
        (
            "debian-12",
            r#"{ os = "darwin" }"#,
            "`os` wants darwin; this target's is linux",
        ),
        ("debian-12", r#"{ os = ["darwin", "linux"] }"#, "applies"),
        (
            "debian-12",
            r#"{ arch = ["arm64", "riscv64"] }"#,
            "`arch` wants arm64 or riscv64; this target's is amd64",
        ),
        ("debian-12", r#"{ platform = "linux/amd64" }"#, "applies"),
        (
            "debian-12",
            r#"{ platform = "linux/arm64" }"#,
            "`platform` wants linux/arm64; this target's is linux/amd64",
        ),
        ("debian-12", r#"{ linux_family = "debian" }"#, "applies"),
        ("mint-22", r#"{ linux_family = "debian" }"#, "applies"),
        (
            "rocky-9",
            r#"{ linux_family = ["debian", "arch"] }"#,
            "`linux_family` wants debian or arch; this target is of the rhel family",
        ),
        (
            "no-id",
            r#"{ linux_family = "debian" }"#,
            "`linux_family` wants debian; this target states no distribution",
        ),
        ("mint-22", r#"{ distro_like = "debian" }"#, "applies"),
        (
            "fedora-44",
            r#"{ distro_like = "rhel" }"#,
            "`distro_like` wants rhel; this target is fedora",
        ),
        ("rocky-9", r#"{ distro_like = "fedora" }"#, "applies"),
        (
            "malformed",
            r#"{ distro_like = "debian" }"#,
            "`distro_like` wants debian; this target states no distribution",
        ),
        ("debian-12", r#"{ libc = "glibc" }"#, "applies"),
        (
            "debian-12",
            r#"{ libc = "musl" }"#,
            "`libc` wants musl; this target's is glibc",
        ),
        (
            "debian-12",
            r#"{ role = "server" }"#,
            "`role` wants server; no role is given to this machine",
        ),
        // The first key that does not hold is the one reason.
        (
            "debian-12",
            r#"{ os = "linux", arch = "arm64", libc = "musl" }"#,
            "`arch` wants arm64; this target's is amd64",
        ),
    ] {
        assert_eq!(verdict(target, when), expected, "{target} {when}");
    }
}

#[test]
fn versions_are_those_of_the_effective_distribution() {
    for (target, when, expected) in [
        ("ubuntu-24.04", r#"{ distro = "ubuntu" }"#, "applies"),
        ("ubuntu-24.04", r#"{ distro = "ubuntu>=22.04" }"#, "applies"),
        (
            "ubuntu-22.04",
            r#"{ distro = "ubuntu>=24" }"#,
            "`distro` wants ubuntu>=24; the effective distribution is ubuntu 22.04",
        ),
        (
            "debian-12",
            r#"{ distro = ["debian=13", "debian=12"] }"#,
            "applies",
        ),
        (
            "debian-12",
            r#"{ distro = "ubuntu" }"#,
            "`distro` wants ubuntu; the effective distribution is debian",
        ),
        (
            "fedora-44",
            r#"{ distro = "fedora>=41,<43" }"#,
            "`distro` wants fedora>=41,<43; the effective distribution is fedora 44",
        ),
        // Only the components written are compared.
        ("rocky-9", r#"{ distro = "rocky=9" }"#, "applies"),
        (
            "rocky-9",
            r#"{ distro = "rocky>9" }"#,
            "`distro` wants rocky>9; the effective distribution is rocky 9.6",
        ),
        ("rocky-9", r#"{ distro = "rocky<=9" }"#, "applies"),
        // A derivative is compared by the parent's release that os-release states.
        ("mint-22", r#"{ distro = "ubuntu>=24.04" }"#, "applies"),
        (
            "mint-22",
            r#"{ distro = "ubuntu<24.04" }"#,
            "`distro` wants ubuntu<24.04; the effective distribution is ubuntu 24.04",
        ),
        ("mint-22", r#"{ distro = "linuxmint=22" }"#, "applies"),
        ("lmde-6", r#"{ distro = "debian=12" }"#, "applies"),
        ("pop-22.04", r#"{ distro = "ubuntu=22.04" }"#, "applies"),
        // A recipe that names only debian runs on Ubuntu, but its Debian release is not stated.
        ("ubuntu-24.04", r#"{ distro = "debian" }"#, "applies"),
        (
            "ubuntu-24.04",
            r#"{ distro = "debian>=12" }"#,
            "`distro` wants debian>=12; os-release does not state which version of debian this target derives from",
        ),
        ("rocky-9", r#"{ distro = "rhel" }"#, "applies"),
        (
            "rocky-9",
            r#"{ distro = "rhel>=9" }"#,
            "`distro` wants rhel>=9; os-release does not state which version of rhel this target derives from",
        ),
        ("arch", r#"{ distro = "arch" }"#, "applies"),
        (
            "arch",
            r#"{ distro = "arch>=1" }"#,
            "`distro` wants arch>=1; os-release states no version of arch",
        ),
        ("manjaro", r#"{ distro = "arch" }"#, "applies"),
        (
            "no-id",
            r#"{ distro = "debian" }"#,
            "`distro` wants debian; this target states no distribution",
        ),
        (
            "malformed",
            r#"{ distro = ["debian", "ubuntu"] }"#,
            "`distro` wants debian or ubuntu; this target states no distribution",
        ),
    ] {
        assert_eq!(verdict(target, when), expected, "{target} {when}");
    }
}

#[test]
fn a_version_that_is_no_number_does_not_hold_and_is_no_guess() {
    let recipe = recipe(
        "[metadata]\nname = \"a\"\n[[steps]]\naction = \"group_add\"\ngroup = \"x\"\nwhen = { distro = \"debian>=12\" }\n",
    );
    let target = crate::fixtures::linux("sid", "ID=debian\nVERSION_ID=sid\n");
    let when = recipe.steps[0].when.as_ref().map(|when| &when.value);
    assert_eq!(
        Seen::by(&recipe, &target).holds(when),
        Err("`distro` wants debian>=12; the version `sid` is not a dotted number".to_owned())
    );
}

#[test]
fn the_nearest_named_distribution_is_the_only_one_compared() {
    let text = "[metadata]\nname = \"a\"\n\
        [[requires]]\ncommand = \"x\"\nwhen = { distro = \"linuxmint\" }\n\
        [[steps]]\naction = \"group_add\"\ngroup = \"x\"\nwhen = { distro = \"debian\" }\n\
        [[steps]]\naction = \"group_add\"\ngroup = \"x\"\nwhen = { distro = \"ubuntu\" }\n";
    let recipe = recipe(text);
    // Which of the two steps applies, then the requirement, which names no distribution for the rule.
    let expected = [
        ("ubuntu-24.04", [false, true], false),
        ("mint-22", [false, true], false),
        ("debian-12", [true, false], false),
        ("lmde-6", [true, false], false),
        ("fedora-44", [false, false], false),
        ("no-id", [false, false], false),
    ];
    for (name, steps, requirement) in expected {
        let target = target(name);
        let seen = Seen::by(&recipe, &target);
        let applies = |when: &Option<assay_recipe::Spanned<When>>| {
            seen.holds(when.as_ref().map(|when| &when.value)).is_ok()
        };
        assert_eq!(
            [
                applies(&recipe.steps[0].when),
                applies(&recipe.steps[1].when)
            ],
            steps,
            "{name}"
        );
        assert_eq!(applies(&recipe.requires[0].when), requirement, "{name}");
    }
}

#[test]
fn actions_fit_their_family_alone() {
    let recipe = recipe(
        "[metadata]\nname = \"a\"\n[[steps]]\naction = \"apt_install\"\npackages = [\"xx\"]\n[[steps]]\naction = \"group_add\"\ngroup = \"x\"\n",
    );
    for (name, _) in OS_RELEASES {
        let target = target(name);
        let seen = Seen::by(&recipe, &target);
        let debian = target
            .family()
            .is_some_and(|family| family.as_str() == "debian");
        assert_eq!(seen.fits(&recipe.steps[0].action).is_ok(), debian, "{name}");
        assert_eq!(seen.fits(&recipe.steps[1].action), Ok(()), "{name}");
    }
    let unknown = crate::fixtures::linux("odd", "ID=unheard\n");
    assert_eq!(
        Seen::by(&recipe, &unknown).fits(&recipe.steps[0].action),
        Err(
            "`apt_install` is for the debian family; the family of unheard is not known".to_owned()
        )
    );
}
