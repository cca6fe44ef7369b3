//! The vocabulary: every action with its own keys and where it can apply at all. The converters of
//! [`crate::step`] read by it, `plan` decides by it, and an editor's schema is made of it.

use crate::when::Family;

/// What is written of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grammar {
    /// Its word, the value of `action`.
    pub name: &'static str,
    /// Its own keys, beside [`COMMON_KEYS`].
    pub keys: &'static [&'static str],
    /// Where it can apply.
    pub scope: Scope,
}

/// Where an action can apply, whatever its `when` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Anywhere,
    /// On Linux.
    Linux,
    /// On Linux with systemd: every family but Alpine's, which has OpenRC.
    Systemd,
    /// On the distributions of a family.
    Family(Family),
    /// On Ubuntu and what derives from it.
    Ubuntu,
    /// On macOS.
    Darwin,
}

impl Scope {
    /// The one family it is inside of, where there is one.
    #[must_use]
    pub fn family(self) -> Option<Family> {
        match self {
            Self::Family(family) => Some(family),
            Self::Ubuntu => Some(Family::Debian),
            Self::Anywhere | Self::Linux | Self::Systemd | Self::Darwin => None,
        }
    }

    /// The families in which it can apply.
    pub fn families(self) -> impl Iterator<Item = Family> {
        Family::ALL
            .iter()
            .copied()
            .filter(move |family| match self {
                Self::Anywhere | Self::Linux => true,
                Self::Systemd => *family != Family::Alpine,
                Self::Family(own) => *family == own,
                Self::Ubuntu => *family == Family::Debian,
                Self::Darwin => false,
            })
    }

    /// In words, for messages: "`apt_install` is for …".
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::Anywhere => "every system".to_owned(),
            Self::Linux => "linux".to_owned(),
            Self::Systemd => "linux with systemd".to_owned(),
            Self::Family(family) => format!("the {family} family"),
            Self::Ubuntu => "ubuntu and what derives from it".to_owned(),
            Self::Darwin => "darwin".to_owned(),
        }
    }
}

/// What every step may have.
pub const COMMON_KEYS: &[&str] = &["action", "when", "id", "description"];

const INSTALL: &[&str] = &["packages", "recommends", "unless_command", "fallback"];
const BREW: &[&str] = &["packages", "tap", "unless_command", "fallback"];

/// The actions, in the order in which they are taught.
pub const ACTIONS: &[Grammar] = &[
    action("apt_install", INSTALL, Scope::Family(Family::Debian)),
    action("dnf_install", INSTALL, Scope::Family(Family::Rhel)),
    action("pacman_install", INSTALL, Scope::Family(Family::Arch)),
    action("apk_install", INSTALL, Scope::Family(Family::Alpine)),
    action("zypper_install", INSTALL, Scope::Family(Family::Suse)),
    action("brew_install", BREW, Scope::Darwin),
    action("brew_cask", BREW, Scope::Darwin),
    action(
        "apt_repo",
        &[
            "url",
            "key_url",
            "key_sha256",
            "key_fingerprints",
            "suites",
            "components",
            "name",
        ],
        Scope::Family(Family::Debian),
    ),
    action("apt_ppa", &["ppa", "key_fingerprint"], Scope::Ubuntu),
    action(
        "dnf_repo",
        &[
            "url",
            "key_url",
            "key_sha256",
            "key_fingerprints",
            "repo_gpgcheck",
            "name",
        ],
        Scope::Family(Family::Rhel),
    ),
    action("group_add", &["group", "user", "create"], Scope::Linux),
    action("service_enable", &["service"], Scope::Systemd),
    action("service_start", &["service"], Scope::Systemd),
    action(
        "require_command",
        &["command", "min_version", "version_flag", "version_regex"],
        Scope::Anywhere,
    ),
    action("download", &["url", "sha256", "dest"], Scope::Anywhere),
    action(
        "extract",
        &["archive", "dest", "strip_components"],
        Scope::Anywhere,
    ),
    action(
        "install_binaries",
        &["from", "binaries", "dest", "mode"],
        Scope::Anywhere,
    ),
    action("manual", &["text"], Scope::Anywhere),
];

/// The actions of the format that join with later versions.
pub const LATER_ACTIONS: &[&str] = &[
    "make_install",
    "python_install",
    "nix_install",
    "os_package_install",
    "bundle_install",
    "bundle_activate",
];

/// The grammar of an action, by its word.
#[must_use]
pub fn grammar(name: &str) -> Option<&'static Grammar> {
    ACTIONS.iter().find(|action| action.name == name)
}

const fn action(name: &'static str, keys: &'static [&'static str], scope: Scope) -> Grammar {
    Grammar { name, keys, scope }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_action_stands_twice_and_none_takes_a_common_key() {
        let names = ACTIONS.iter().map(|action| &action.name);
        let all: BTreeSet<_> = names.chain(LATER_ACTIONS).collect();
        assert_eq!(all.len(), ACTIONS.len() + LATER_ACTIONS.len());
        for action in ACTIONS {
            let keys: BTreeSet<_> = action.keys.iter().chain(COMMON_KEYS).collect();
            assert_eq!(keys.len(), action.keys.len() + COMMON_KEYS.len());
        }
    }

    #[test]
    fn a_scope_is_of_the_families_it_is_said_to_be_of() {
        assert_eq!(Scope::Ubuntu.family(), Some(Family::Debian));
        assert_eq!(Scope::Darwin.families().count(), 0);
        assert!(
            Scope::Systemd
                .families()
                .all(|family| family != Family::Alpine)
        );
    }
}
