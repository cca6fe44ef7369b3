//! Consent: what declared operations need it, and what the ledger and the policy say to each.
//!
//! One pure function of the operations, the ledger, the policy and the day; `consent check` asks it,
//! and so can a run. An entry counts for its recipe, on its targets, for one digest, until it expires.
//! What the policy forbids no entry grants; what is ordinary, or approved as a class, needs none.

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::consent::{Consent, GroupTier, Policy};
use assay_wire::digest::Digest;
use assay_wire::event::ConsentBasis;
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::plan::KeyScope;
use assay_wire::privileged::{KeyIdentity, Kind, PrivilegedOperation, SourcePlace};
use serde::Serialize;

use crate::attack::technique;
use crate::risk::{Risk, group_tier, risk};

/// What one plan declares.
#[derive(Debug, Clone, Copy)]
pub struct DeclaredOn<'p> {
    /// The target.
    pub target: &'p TargetId,
    /// What was asked for: whose an operation is that belongs to no step.
    pub asked: &'p [RecipeName],
    /// The whole set, whose entries of the ledger are judged with it.
    pub recipes: &'p [RecipeName],
    /// The operations.
    pub declared: &'p [PrivilegedOperation],
}

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
}

/// One operation of one recipe, with the targets on which it stands alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<'p> {
    /// The recipe.
    pub recipe: &'p RecipeName,
    /// The targets, in the order judged.
    pub targets: Vec<&'p TargetId>,
    /// The operation, as the first of the targets has it.
    pub operation: &'p PrivilegedOperation,
    /// The same operation with other evidence: another command, other bytes.
    pub also: Vec<&'p PrivilegedOperation>,
    /// What a consent is given to.
    pub digest: Digest,
    /// How grave it is.
    pub risk: Risk,
    /// What attackers' use of it is called.
    pub attack: Option<&'static str>,
    /// How it stands.
    pub standing: Standing,
}

/// An entry of the ledger that nothing uses on some of its targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stale {
    /// Its position in the ledger.
    pub entry: usize,
    /// The targets, in the entry's order.
    pub targets: Vec<TargetId>,
}

/// What follows from operations, ledger, policy and day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement<'p> {
    /// Every operation: by recipe, then the gravest first, then by subject.
    pub operations: Vec<Judged<'p>>,
    /// Entries that nothing uses.
    pub stale: Vec<Stale>,
}

/// Judges what plans declare. `today` is `YYYY-MM-DD`. `everything` says that these are all the plans of
/// the project: then entries of other recipes and targets are stale, too.
#[must_use]
pub fn judge_consents<'p>(
    plans: &[DeclaredOn<'p>],
    ledger: &[Consent],
    policy: &Policy,
    today: &str,
    everything: bool,
) -> Judgement<'p> {
    type Row<'p> = (&'p RecipeName, Risk, &'p str, Digest, Standing);
    let mut rows: BTreeMap<Row<'p>, Judged<'p>> = BTreeMap::new();
    let mut used = BTreeSet::new();
    let mut seen: BTreeSet<(&RecipeName, &TargetId)> = BTreeSet::new();
    for plan in plans {
        seen.extend(plan.recipes.iter().map(|recipe| (recipe, plan.target)));
        for operation in plan.declared {
            let digest = operation.digest();
            let risk = risk(&operation.kind, policy);
            for recipe in owners(plan, operation) {
                let wanted = Wanted {
                    recipe,
                    target: plan.target,
                    operation,
                    digest,
                };
                let standing = stand(&wanted, risk, (ledger, policy), today);
                if let Some(entry) = standing.entry() {
                    used.insert((entry, plan.target));
                }
                let row = (recipe, risk, operation.subject.as_str(), digest, standing);
                let judged = rows.entry(row).or_insert_with(|| Judged {
                    recipe,
                    targets: Vec::new(),
                    operation,
                    also: Vec::new(),
                    digest,
                    risk,
                    attack: technique(operation.kind.name()),
                    standing,
                });
                if !judged.targets.contains(&plan.target) {
                    judged.targets.push(plan.target);
                }
                let is_shown = |one: &&PrivilegedOperation| one.evidence == operation.evidence;
                if !is_shown(&judged.operation) && !judged.also.iter().any(is_shown) {
                    judged.also.push(operation);
                }
            }
        }
    }
    let stale = |(entry, consent): (usize, &Consent)| {
        let unused = |target: &&TargetId| {
            (everything || seen.contains(&(&consent.recipe, *target)))
                && !used.contains(&(entry, *target))
        };
        let targets: Vec<TargetId> = consent.targets.iter().filter(unused).cloned().collect();
        (!targets.is_empty()).then_some(Stale { entry, targets })
    };
    Judgement {
        operations: rows.into_values().collect(),
        stale: ledger.iter().enumerate().filter_map(stale).collect(),
    }
}

/// How one operation of some recipes stands.
#[must_use]
pub fn standing_of(
    operation: &PrivilegedOperation,
    risk: Risk,
    owners: &BTreeSet<&RecipeName>,
    target: &TargetId,
    basis: &ConsentBasis,
) -> Standing {
    let of = |recipe: &&RecipeName| {
        let wanted = Wanted {
            recipe,
            target,
            operation,
            digest: operation.digest(),
        };
        stand(&wanted, risk, (&basis.ledger, &basis.policy), &basis.today)
    };
    owners.iter().map(of).max().unwrap_or(Standing::Missing)
}

impl Standing {
    /// The entry that speaks of it, if it counts, has expired or is forbidden to.
    fn entry(self) -> Option<usize> {
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

/// One operation of one recipe on one target.
struct Wanted<'p> {
    recipe: &'p RecipeName,
    target: &'p TargetId,
    operation: &'p PrivilegedOperation,
    digest: Digest,
}

/// The recipes an operation is done for, each once.
fn owners<'p>(
    plan: &DeclaredOn<'p>,
    operation: &'p PrivilegedOperation,
) -> BTreeSet<&'p RecipeName> {
    if operation.steps.is_empty() {
        return plan.asked.iter().collect();
    }
    operation.steps.iter().map(|step| &step.recipe).collect()
}

fn stand(
    wanted: &Wanted<'_>,
    risk: Risk,
    (ledger, policy): (&[Consent], &Policy),
    today: &str,
) -> Standing {
    if let Some(why) = forbidden(&wanted.operation.kind, policy) {
        return Standing::Forbidden(why);
    }
    if risk == Risk::Ordinary {
        return Standing::Ordinary;
    }
    if let Some(by) = approved(&wanted.operation.kind, policy) {
        return Standing::Approved(by);
    }
    let speaks = |consent: &Consent| {
        consent.recipe == *wanted.recipe
            && consent.targets.contains(wanted.target)
            && consent.kind == wanted.operation.kind.name()
            && consent.subject == wanted.operation.subject
    };
    let mut found = Standing::Missing;
    for (entry, consent) in ledger.iter().enumerate() {
        if !speaks(consent) {
            continue;
        }
        if consent.digest != wanted.digest {
            found = found.min(Standing::Violated { entry });
        } else if consent.expires.as_deref().is_some_and(|day| day < today) {
            found = Standing::Expired { entry };
        } else {
            return Standing::Granted { entry };
        }
    }
    found
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

#[cfg(test)]
mod tests;
