//! Consent: what needs it, and what the ledger and the policy say to each.
//!
//! Pure functions of the operations and a [`ConsentBasis`]: ledger, policy and day. What plans declare is
//! judged here, what runs showed in [`run`], and how one operation stands in [`standing`], for both. An
//! entry counts for its recipe, on its targets, for one digest, until it expires. What the policy forbids
//! no entry grants; what is ordinary, or approved as a class, needs none.

pub mod run;
pub mod standing;

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::consent::Consent;
use assay_wire::digest::Digest;
use assay_wire::event::ConsentBasis;
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::privileged::{KindName, PrivilegedOperation};
use serde::Serialize;

pub use run::{ConsentFinding, LeftOut, RunJudgement, Undeclared, consent_findings, judge_run};
pub use standing::{
    ApprovedBy, Asked, ForbiddenBy, Standing, comes_from_image, forbidden, part_line, part_lines,
    standing_of,
};

use crate::attack::technique;
use crate::observed::ObservedOperation;
use crate::risk::{Risk, risk};
use standing::stand;

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
    /// Of what a package brings, its parts as the first of the targets has them; else empty.
    pub parts: Vec<&'p ObservedOperation>,
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
    /// Entries of what packages bring, by position, that may be in use: no plan shows it, only a run.
    pub unjudged: Vec<usize>,
}

/// Judges what plans declare. `everything` says that these are all the plans of the project: then entries
/// of other recipes and targets are stale, too.
#[must_use]
pub fn judge_consents<'p>(
    plans: &[DeclaredOn<'p>],
    basis: &ConsentBasis,
    everything: bool,
) -> Judgement<'p> {
    let mut rows = Rows::default();
    for plan in plans {
        rows.judge(plan.recipes, plan.target);
        for operation in plan.declared {
            let asked = Asked {
                operation,
                digest: operation.digest(),
                risk: risk(&operation.kind, &basis.policy),
                parts: Vec::new(),
                of_image: false,
                target: plan.target,
            };
            for recipe in owners(plan.asked, operation) {
                rows.add(recipe, &asked, &[], stand(&asked, recipe, basis));
            }
        }
    }
    let judged = |consent: &Consent, target: &TargetId| {
        let has_plan = rows.judged.contains(&(&consent.recipe, target));
        match consent.kind == KindName::Accompanying {
            // A recipe without a plan for a target brings nothing there.
            true => everything && !has_plan,
            false => everything || has_plan,
        }
    };
    let stale = rows.stale(basis, judged);
    let may_be_used = |(entry, consent): (usize, &Consent)| {
        let mut targets = consent.targets.iter();
        let has_plan = targets.any(|target| rows.judged.contains(&(&consent.recipe, target)));
        (consent.kind == KindName::Accompanying && has_plan).then_some(entry)
    };
    let ledger = basis.ledger.iter().enumerate();
    let unjudged = ledger.filter_map(may_be_used).collect();
    Judgement {
        operations: rows.rows.into_values().collect(),
        stale,
        unjudged,
    }
}

/// The recipes an operation is done for, each once: those of its steps, else those that were asked for.
#[must_use]
pub fn owners<'p>(
    asked: &'p [RecipeName],
    operation: &'p PrivilegedOperation,
) -> BTreeSet<&'p RecipeName> {
    if operation.steps.is_empty() {
        return asked.iter().collect();
    }
    operation.steps.iter().map(|step| &step.recipe).collect()
}

/// By recipe, then the gravest first, then by subject.
type Row<'p> = (&'p RecipeName, Risk, &'p str, Digest, Standing);

/// Rows that grow, with what is known of the ledger's entries.
#[derive(Default)]
struct Rows<'p> {
    rows: BTreeMap<Row<'p>, Judged<'p>>,
    /// Entries in use, by position, each on a target.
    used: BTreeSet<(usize, &'p TargetId)>,
    /// What was judged in full.
    judged: BTreeSet<(&'p RecipeName, &'p TargetId)>,
}

impl<'p> Rows<'p> {
    /// Says that all that these recipes do on a target is among the rows.
    fn judge(&mut self, recipes: &'p [RecipeName], target: &'p TargetId) {
        let pairs = recipes.iter().map(|recipe| (recipe, target));
        self.judged.extend(pairs);
    }

    /// Adds an operation of a recipe on a target.
    fn add(
        &mut self,
        recipe: &'p RecipeName,
        asked: &Asked<'p>,
        parts: &[&'p ObservedOperation],
        standing: Standing,
    ) {
        let operation = asked.operation;
        self.used
            .extend(standing.entry().map(|entry| (entry, asked.target)));
        let row = (
            recipe,
            asked.risk,
            operation.subject.as_str(),
            asked.digest,
            standing,
        );
        let judged = self.rows.entry(row).or_insert_with(|| Judged {
            recipe,
            targets: Vec::new(),
            operation,
            also: Vec::new(),
            digest: asked.digest,
            risk: asked.risk,
            attack: technique(operation.kind.name()),
            standing,
            parts: parts.to_vec(),
        });
        if !judged.targets.contains(&asked.target) {
            judged.targets.push(asked.target);
        }
        let is_shown = |one: &&PrivilegedOperation| one.evidence == operation.evidence;
        if !is_shown(&judged.operation) && !judged.also.iter().any(is_shown) {
            judged.also.push(operation);
        }
    }

    /// The entries that nothing uses, on the targets on which that is known.
    fn stale(
        &self,
        basis: &ConsentBasis,
        is_known: impl Fn(&Consent, &TargetId) -> bool,
    ) -> Vec<Stale> {
        let stale = |(entry, consent): (usize, &Consent)| {
            let unused = |target: &&TargetId| {
                is_known(consent, target) && !self.used.contains(&(entry, *target))
            };
            let targets: Vec<TargetId> = consent.targets.iter().filter(unused).cloned().collect();
            (!targets.is_empty()).then_some(Stale { entry, targets })
        };
        basis.ledger.iter().enumerate().filter_map(stale).collect()
    }
}

#[cfg(test)]
mod tests;
