//! How one operation stands before the ledger and the policy: one function for what a plan declares and for
//! what a run showed. Nothing is listed or counted here; that is [`super`]'s.

use std::collections::BTreeSet;

use assay_wire::consent::{Consent, GroupTier, Policy};
use assay_wire::digest::Digest;
use assay_wire::event::ConsentBasis;
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::package::{Chain, PackageCame, PackageContent};
use assay_wire::plan::KeyScope;
use assay_wire::privileged::{KeyIdentity, Kind, KindName, PrivilegedOperation, SourcePlace};
use serde::Serialize;

use crate::risk::{Risk, group_tier};

/// How an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The policy forbids it, and no entry can grant it.
    Forbidden(ForbiddenBy),
    /// An entry grants something else under its name: the operation has changed since.
    Violated {
        /// The entry's position in the ledger.
        entry: usize,
    },
    /// The entry that grants it counts no more.
    Expired {
        /// The entry's position in the ledger.
        entry: usize,
    },
    /// Nothing grants it.
    Missing,
    /// An entry grants it.
    Granted {
        /// The entry's position in the ledger.
        entry: usize,
    },
    /// The policy approves its class.
    Approved(ApprovedBy),
    /// It needs no consent.
    Ordinary,
}

/// Which part of the policy forbids something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForbiddenBy {
    /// `forbidden_kinds`.
    Kind,
    /// `group_tiers`.
    GroupTier,
}

/// Which part of the policy approves something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovedBy {
    /// `repositories`.
    Repositories,
    /// `groups`.
    Groups,
    /// `services`.
    Services,
    /// `authorities`.
    Authorities,
}

impl ApprovedBy {
    /// Its key in `[policy]`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Repositories => "repositories",
            Self::Groups => "groups",
            Self::Services => "services",
            Self::Authorities => "authorities",
        }
    }
}

impl Standing {
    /// True if a run with it ends as one without consent.
    #[must_use]
    pub fn is_refused(self) -> bool {
        match self {
            Self::Forbidden(_) | Self::Violated { .. } | Self::Expired { .. } | Self::Missing => {
                true
            }
            Self::Granted { .. } | Self::Approved(_) | Self::Ordinary => false,
        }
    }

    /// True if an entry of the ledger would mend it.
    #[must_use]
    pub fn can_be_granted(self) -> bool {
        self.is_refused() && !matches!(self, Self::Forbidden(_))
    }

    /// The position of the entry that speaks of it, if it counts, or would but for the day: such an entry is
    /// in use.
    #[must_use]
    pub fn entry(self) -> Option<usize> {
        match self {
            Self::Granted { entry } | Self::Expired { entry } => Some(entry),
            Self::Forbidden(_)
            | Self::Violated { .. }
            | Self::Missing
            | Self::Approved(_)
            | Self::Ordinary => None,
        }
    }
}

/// One operation on one target, as the ledger is asked about it.
#[derive(Debug, Clone)]
pub struct Asked<'o> {
    /// The operation.
    pub operation: &'o PrivilegedOperation,
    /// What a consent to it is given to.
    pub digest: Digest,
    /// How grave it is.
    pub risk: Risk,
    /// Of what a package brings, all its parts; else empty.
    pub parts: Vec<&'o PrivilegedOperation>,
    /// True if a key of the image vouches for the package ([`comes_from_image`]).
    pub of_image: bool,
    /// The target.
    pub target: &'o TargetId,
}

/// How an operation stands that was done for these recipes. What a plan declares, every one of them needs
/// a consent for. What a package brings, one is enough for: an op that installs for several recipes does
/// not say whose a package is.
#[must_use]
pub fn standing_of(
    asked: &Asked<'_>,
    owners: &BTreeSet<&RecipeName>,
    basis: &ConsentBasis,
) -> Standing {
    let each = || owners.iter().map(|recipe| stand(asked, recipe, basis));
    let of_a_package = asked.operation.kind.name() == KindName::Accompanying;
    let good = each().find(|standing| of_a_package && !standing.is_refused());
    good.or_else(|| each().min()).unwrap_or(Standing::Missing)
}

/// How an operation stands that was done for one recipe.
#[must_use]
pub fn stand(asked: &Asked<'_>, recipe: &RecipeName, basis: &ConsentBasis) -> Standing {
    let policy = &basis.policy;
    let mut kinds = asked.parts.iter().chain([&asked.operation]);
    if let Some(why) = kinds.find_map(|one| forbidden(&one.kind, policy)) {
        return Standing::Forbidden(why);
    }
    if asked.risk == Risk::Ordinary {
        return Standing::Ordinary;
    }
    if let Some(by) = approved_with_parts(asked, policy) {
        return Standing::Approved(by);
    }
    let speaks = |consent: &Consent| {
        consent.recipe == *recipe
            && consent.targets.contains(asked.target)
            && consent.kind == asked.operation.kind.name()
            && consent.subject == asked.operation.subject
    };
    let lines = part_lines(asked.parts.iter().copied());
    let mut found = Standing::Missing;
    for (entry, consent) in basis.ledger.iter().enumerate() {
        if !speaks(consent) {
            continue;
        }
        // People read the parts, so an entry that names others than its digest is of grants nothing.
        if consent.digest != asked.digest || consent.operations != lines {
            found = found.min(Standing::Violated { entry });
        } else if consent
            .expires
            .as_deref()
            .is_some_and(|day| day < basis.today.as_str())
        {
            found = Standing::Expired { entry };
        } else {
            return Standing::Granted { entry };
        }
    }
    found
}

/// Most characters of a part's line.
const LONGEST_LINE: usize = 1000;

/// Parts of what a package brings as the ledger writes them: `KIND SUBJECT`, sorted, each once. What is not
/// plain ASCII is escaped, so that every part can be written down and none is read as another.
#[must_use]
pub fn part_lines<'o>(parts: impl IntoIterator<Item = &'o PrivilegedOperation>) -> Vec<String> {
    let lines: BTreeSet<String> = parts.into_iter().map(part_line).collect();
    lines.into_iter().collect()
}

/// One part as [`part_lines`] writes it.
#[must_use]
pub fn part_line(part: &PrivilegedOperation) -> String {
    let mut line = format!("{} ", part.kind.name());
    if part.subject.trim().is_empty() {
        line.push_str("(no words)");
    }
    for (count, c) in part.subject.chars().enumerate() {
        if count == LONGEST_LINE {
            line.push_str("...");
            break;
        }
        if c == ' ' || c.is_ascii_graphic() {
            line.push(c);
        } else {
            line.extend(c.escape_unicode());
        }
    }
    line
}

/// The part of the policy that forbids an operation, if one does.
#[must_use]
pub fn forbidden(kind: &Kind, policy: &Policy) -> Option<ForbiddenBy> {
    if policy.forbidden_kinds.contains(&kind.name()) {
        return Some(ForbiddenBy::Kind);
    }
    let (Kind::GroupMember { group, .. } | Kind::GroupAdd { name: group }) = kind else {
        return None;
    };
    let tier = group_tier(group, policy);
    (tier == Some(GroupTier::Forbidden)).then_some(ForbiddenBy::GroupTier)
}

/// The class that the policy approves an operation as, if it does.
fn approved(kind: &Kind, policy: &Policy) -> Option<ApprovedBy> {
    let repository = |url: &str, keys: &[KeyIdentity], scope: KeyScope| {
        let mut allowed = policy.repositories.iter();
        let fits = allowed.any(|one| {
            let leaves = url.split('/').any(|part| part == "..");
            let below = !leaves && format!("{}/", url.trim_end_matches('/')).starts_with(&one.url);
            let known = |key: &KeyIdentity| match key {
                KeyIdentity::Fingerprint(print) => one.fingerprints.contains(print),
                KeyIdentity::Sha256(_) | KeyIdentity::Unread(_) => false,
            };
            let scoped = scope == KeyScope::Repository || one.machine_wide;
            below && scoped && !keys.is_empty() && keys.iter().all(known)
        });
        fits.then_some(ApprovedBy::Repositories)
    };
    if let Kind::PkgKey {
        key,
        repository: Some(url),
        scope,
    } = kind
    {
        return repository(url, std::slice::from_ref(key), *scope);
    }
    if let Kind::PkgSource {
        place: SourcePlace::Url(url),
        signed_by,
        scope,
    } = kind
    {
        return repository(url, signed_by, *scope);
    }
    if let Kind::GroupMember { group, .. } = kind {
        return policy.groups.contains(group).then_some(ApprovedBy::Groups);
    }
    if let Kind::UnitEnabled { unit } | Kind::UnitStarted { unit } = kind {
        let allowed = policy.services.contains(unit);
        return allowed.then_some(ApprovedBy::Services);
    }
    None
}

/// The class that the policy approves an operation as. What a package brings is approved if every part is.
fn approved_with_parts(asked: &Asked<'_>, policy: &Policy) -> Option<ApprovedBy> {
    let Some((first, others)) = asked.parts.split_first() else {
        return approved(&asked.operation.kind, policy);
    };
    let package = asked.operation.package.as_deref();
    let keeps = asked.of_image && package.is_some_and(|name| policy.authorities.contains(name));
    let approved = |part: &PrivilegedOperation| {
        let is_kept = keeps && part.kind.name() == KindName::CaAdd;
        let by = is_kept.then_some(ApprovedBy::Authorities);
        by.or_else(|| approved(&part.kind, policy))
    };
    let by = approved(first)?;
    let mut others = others.iter();
    others.all(|part| approved(part).is_some()).then_some(by)
}

/// True if what did this is a package, and every one of its name that came is vouched for by a key that the
/// image held before anything ran: a repository that a recipe adds can have one of the same name.
#[must_use]
pub fn comes_from_image(packages: &[PackageCame], operation: &PrivilegedOperation) -> bool {
    let name = operation.package.as_deref();
    let named = packages.iter().filter(|came| match &came.content {
        PackageContent::Read(read) => Some(read.name.as_str()) == name,
        PackageContent::Unreadable { .. } => false,
    });
    let mut chains = named.map(|came| &came.chain).peekable();
    chains.peek().is_some() && chains.all(Chain::is_of_image)
}

#[cfg(test)]
mod tests;
