//! A lock: what sandboxes were given when a run was recorded, by URL, and what came of it. It names
//! bytes by their sha256 and holds none; how it is written down is `recipe`'s to say.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::TargetId;

/// Everything that was recorded, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// What answered each URL. Secrets in a URL are replaced by `***`.
    pub answers: BTreeMap<String, LockedAnswer>,
    /// Keys of repositories, by fingerprint (capital hex digits): which bytes hold them.
    pub keys: BTreeMap<String, LockedKey>,
    /// Packages that were installed.
    pub packages: BTreeSet<LockedPackage>,
}

/// What answered a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LockedAnswer {
    /// A body, with status 200.
    Body {
        /// What its bytes hash to.
        sha256: Digest,
        /// How many there are.
        size: u64,
    },
    /// Another place (RFC 9110 15.4).
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where: the `Location` as it was sent, secrets replaced.
        location: String,
    },
    /// That there is nothing (RFC 9110 15.5): 404 or 410 most often.
    Nothing {
        /// The status.
        status: u16,
    },
}

/// The key of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedKey {
    /// Where the file that holds it comes from.
    pub url: String,
    /// What that file's bytes hash to.
    pub sha256: Digest,
    /// The last day on which it may sign, `YYYY-MM-DD`; `None` if it never expires.
    pub expires: Option<String>,
}

/// A package that was installed on a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// The target.
    pub target: TargetId,
    /// The package's name, as its manager lists it.
    pub name: String,
    /// Its version in its manager's words, whole.
    pub version: String,
}

impl Lock {
    /// What the body that answers a URL hashes to.
    #[must_use]
    pub fn body_of(&self, url: &str) -> Option<Digest> {
        match self.answers.get(url)? {
            LockedAnswer::Body { sha256, .. } => Some(*sha256),
            LockedAnswer::Redirect { .. } | LockedAnswer::Nothing { .. } => None,
        }
    }

    /// Every blob that replaying needs: what a collection of garbage has to keep.
    #[must_use]
    pub fn digests(&self) -> BTreeSet<Digest> {
        let bodies = self.answers.values().filter_map(|answer| match answer {
            LockedAnswer::Body { sha256, .. } => Some(*sha256),
            LockedAnswer::Redirect { .. } | LockedAnswer::Nothing { .. } => None,
        });
        bodies
            .chain(self.keys.values().map(|key| key.sha256))
            .collect()
    }

    /// The versions of a package that were installed on a target, in no order that means anything.
    pub fn versions<'l>(
        &'l self,
        target: &'l TargetId,
        name: &'l str,
    ) -> impl Iterator<Item = &'l str> {
        self.packages
            .iter()
            .filter(move |package| package.target == *target && package.name == name)
            .map(|package| package.version.as_str())
    }
}

/// Where what sandboxes ask for comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The world, each time.
    #[default]
    Live,
    /// The world, once for each URL; what came is kept and written into the lock.
    Record,
    /// The lock and the content store alone.
    Replay,
    /// Nowhere: every connection is refused.
    None,
}
