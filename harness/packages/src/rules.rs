//! Which manager's rules order two versions.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digits::{split_epoch, split_release};
use crate::{apk, dpkg, pacman, rpm};

/// Whose rules compare two package versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rules {
    /// deb-version(7), Debian policy 5.6.12.
    Dpkg,
    /// rpm-version(7).
    Rpm,
    /// vercmp(8).
    Pacman,
    /// apk-package(5).
    Apk,
}

impl Rules {
    /// Every set of rules.
    pub const ALL: [Self; 4] = [Self::Dpkg, Self::Rpm, Self::Pacman, Self::Apk];

    /// The word as written in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Rpm => "rpm",
            Self::Pacman => "pacman",
            Self::Apk => "apk",
        }
    }

    /// Compares a version that exists with the version a constraint names.
    ///
    /// It differs from [`compare`] for rpm only: a dependency that names no release, such as
    /// `= 1.2`, is about every release of 1.2 (rpm-dependencies(7)). pacman ignores a missing
    /// pkgrel in every comparison, dpkg in none.
    #[must_use]
    pub fn compare_with_bound(self, version: &str, bound: &str) -> Ordering {
        match self {
            Self::Dpkg => dpkg::compare(version, bound),
            Self::Rpm => rpm::compare_for_dependency(version, bound),
            Self::Pacman => pacman::compare(version, bound),
            Self::Apk => apk::compare(version, bound),
        }
    }

    /// True if a bound is about every release of its version, because it names none.
    pub(crate) fn spans_releases(self, bound: &str) -> bool {
        match self {
            Self::Dpkg | Self::Apk => false,
            Self::Rpm | Self::Pacman => split_release(split_epoch(bound).1).1.is_none(),
        }
    }
}

/// Compares two versions as the manager itself would.
///
/// A total order for dpkg and rpm. For pacman it is one among versions that all have a pkgrel, or
/// all have none: between the two kinds the pkgrel is ignored, so `1-1` = `1` = `1-2`. Texts that are
/// no versions of pacman's (PKGBUILD(5)) have no order there, as they have none for pacman itself.
#[must_use]
pub fn compare(rules: Rules, a: &str, b: &str) -> Ordering {
    match rules {
        Rules::Dpkg => dpkg::compare(a, b),
        Rules::Rpm => rpm::compare(a, b),
        Rules::Pacman => pacman::compare(a, b),
        Rules::Apk => apk::compare(a, b),
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_called_by_their_manager() {
        let words = Rules::ALL.map(|rules| format!("{rules:>6}={}", rules.as_str()));
        assert_eq!(
            words,
            ["  dpkg=dpkg", "   rpm=rpm", "pacman=pacman", "   apk=apk"]
        );
    }

    #[test]
    fn the_same_pair_differs_by_manager() {
        // A letter suffix is newer for dpkg and rpm and older for pacman.
        assert_eq!(compare(Rules::Dpkg, "1.0a", "1.0"), Ordering::Greater);
        assert_eq!(compare(Rules::Rpm, "1.0a", "1.0"), Ordering::Greater);
        assert_eq!(compare(Rules::Pacman, "1.0a", "1.0"), Ordering::Less);
    }

    #[test]
    fn a_bound_without_release_is_about_every_release_for_rpm_only() {
        assert_eq!(
            Rules::Rpm.compare_with_bound("1.2-3.fc44", "1.2"),
            Ordering::Equal
        );
        assert_eq!(
            Rules::Pacman.compare_with_bound("1.2-3", "1.2"),
            Ordering::Equal
        );
        assert_eq!(
            Rules::Dpkg.compare_with_bound("1.2-3", "1.2"),
            Ordering::Greater
        );
        assert_eq!(compare(Rules::Rpm, "1.2-3", "1.2"), Ordering::Greater);
    }
}
