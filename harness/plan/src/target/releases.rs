//! Which release a code name belongs to, for what derives from Debian and Ubuntu: os-release states
//! the parent's code name but not its version.
//!
//! As of 2026-11, every row as in Debian's package of both lists (`distro-info-data`
//! 0.58+deb12u7). Nothing older is still supported by anyone. A name that is missing here means that
//! the version is unknown, never a guess.

/// Code name and `VERSION_ID` of Ubuntu's releases.
const UBUNTU: &[(&str, &str)] = &[
    ("trusty", "14.04"),
    ("utopic", "14.10"),
    ("vivid", "15.04"),
    ("wily", "15.10"),
    ("xenial", "16.04"),
    ("yakkety", "16.10"),
    ("zesty", "17.04"),
    ("artful", "17.10"),
    ("bionic", "18.04"),
    ("cosmic", "18.10"),
    ("disco", "19.04"),
    ("eoan", "19.10"),
    ("focal", "20.04"),
    ("groovy", "20.10"),
    ("hirsute", "21.04"),
    ("impish", "21.10"),
    ("jammy", "22.04"),
    ("kinetic", "22.10"),
    ("lunar", "23.04"),
    ("mantic", "23.10"),
    ("noble", "24.04"),
    ("oracular", "24.10"),
    ("plucky", "25.04"),
    ("questing", "25.10"),
    ("resolute", "26.04"),
    ("stonking", "26.10"),
];

/// Code name and `VERSION_ID` of Debian's releases.
const DEBIAN: &[(&str, &str)] = &[
    ("wheezy", "7"),
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
];

/// The version of a distribution's release with this code name.
#[must_use]
pub(crate) fn version_of(distro: &str, codename: &str) -> Option<&'static str> {
    let found = releases(distro)
        .iter()
        .find(|(name, _)| *name == codename)?;
    Some(found.1)
}

/// The code name of a distribution's release with this version.
#[must_use]
pub(crate) fn codename_of(distro: &str, version: &str) -> Option<&'static str> {
    let found = releases(distro)
        .iter()
        .find(|(_, known)| *known == version)?;
    Some(found.0)
}

fn releases(distro: &str) -> &'static [(&'static str, &'static str)] {
    match distro {
        "ubuntu" => UBUNTU,
        "debian" => DEBIAN,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_unique_and_agree() {
        for distro in ["ubuntu", "debian"] {
            for (codename, version) in releases(distro) {
                assert_eq!(version_of(distro, codename), Some(*version));
                assert_eq!(codename_of(distro, version), Some(*codename));
            }
        }
        assert_eq!(version_of("fedora", "noble"), None);
        assert_eq!(version_of("debian", "noble"), None);
    }
}
