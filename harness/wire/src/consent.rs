//! Consents and the policy of a project, as its files say them: what was granted, what is approved as
//! a class, what nobody may grant. They are data; what follows from them is `observe`'s.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::{RecipeName, TargetId};
use crate::privileged::KindName;

/// One decision of the ledger (`consents.toml`): this recipe may do this on these targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The recipe.
    pub recipe: RecipeName,
    /// The targets, in the order written; never empty.
    pub targets: Vec<TargetId>,
    /// The kind of operation.
    pub kind: KindName,
    /// The operation in one line.
    pub subject: String,
    /// Of what a package brings, its parts as `KIND SUBJECT`, sorted: what people read of the digest. Empty
    /// for any other operation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// The digest of the operation; kind and subject are what people read of it.
    pub digest: Digest,
    /// Why it is right.
    pub note: String,
    /// Who decided.
    pub by: String,
    /// The day of the decision, as `YYYY-MM-DD`.
    pub on: String,
    /// The last day on which it counts, as `YYYY-MM-DD`.
    pub expires: Option<String>,
}

/// `[policy]` of `assay.toml`: what needs no entry, and what no entry can grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Repositories that every recipe may add, with the keys they may be signed by.
    pub repositories: Vec<AllowedRepository>,
    /// Groups that every recipe may make and join.
    pub groups: BTreeSet<String>,
    /// Units that every recipe may enable and start, with their suffix.
    pub services: BTreeSet<String>,
    /// Packages whose certificate authorities every recipe may bring, where a key of the image vouches for
    /// the package.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub authorities: BTreeSet<String>,
    /// Kinds that nobody may grant.
    pub forbidden_kinds: BTreeSet<KindName>,
    /// Tiers of groups that differ from the built-in table.
    pub group_tiers: BTreeMap<String, GroupTier>,
}

/// A folder of repositories that may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AllowedRepository {
    /// A URL that ends in `/`: what lies at or below it.
    pub url: String,
    /// The fingerprints of keys, in capital hex digits; never empty.
    pub fingerprints: BTreeSet<String>,
    /// True if the keys may be trusted for any repository of the machine, as rpm's are.
    pub machine_wide: bool,
}

/// What joining a group means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GroupTier {
    /// Nothing that only root may do.
    Safe,
    /// As much as being root.
    Elevated,
    /// As much as being root, and nobody may grant it.
    Forbidden,
}

impl GroupTier {
    /// Every tier.
    pub const ALL: &'static [Self] = &[Self::Safe, Self::Elevated, Self::Forbidden];

    /// The word as written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Elevated => "elevated",
            Self::Forbidden => "forbidden",
        }
    }
}
