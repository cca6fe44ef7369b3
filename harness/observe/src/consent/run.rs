//! What runs showed, before the ledger: the same rows as for plans, with what came with packages; beside
//! them what nobody declared, which no entry can grant.
//!
//! Only cells that show all they did are judged: the others are named, and nothing is said of their entries.

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::digest::Digest;
use assay_wire::event::{CellEnded, ConsentBasis};
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::outcome::OutcomeKind;
use assay_wire::privileged::PrivilegedOperation;

use super::standing::stand;
use super::{Asked, Judgement, Rows, Stale, Standing, comes_from_image, owners, standing_of};
use crate::delta::AccompanyingSet;
use crate::observed::ObservedOperation;
use crate::record::{CellFacts, CellRecord};
use crate::risk::Risk;

/// What follows from the cells of a run and a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunJudgement<'r> {
    /// What was declared, and what came with packages.
    pub judgement: Judgement<'r>,
    /// What nobody declared: the gravest first, then by recipe.
    pub undeclared: Vec<Undeclared<'r>>,
    /// Cells that are not judged.
    pub left_out: Vec<(&'r CellRecord, LeftOut)>,
}

/// An operation that nothing explains, with the targets on which it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeclared<'r> {
    /// The recipe during whose steps it was seen.
    pub recipe: &'r RecipeName,
    /// The targets, in the order of the cells.
    pub targets: Vec<&'r TargetId>,
    /// The operation, as the first of the targets has it.
    pub seen: &'r ObservedOperation,
}

/// Why a cell is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It has no result.
    NoResult(OutcomeKind),
    /// Something of it could not be captured.
    Gap,
}

/// Judges what the cells of a run showed, by this basis and not by the one that the run had.
#[must_use]
pub fn judge_run<'r>(
    cells: impl IntoIterator<Item = &'r CellRecord>,
    basis: &ConsentBasis,
) -> RunJudgement<'r> {
    let mut run = RunJudgement::default();
    let mut whole = Vec::new();
    for cell in cells {
        match left_out(cell) {
            Some(because) => run.left_out.push((cell, because)),
            None => whole.push(cell),
        }
    }
    let mut rows = Rows::default();
    let mut shared = Vec::new();
    for cell in &whole {
        let asked_for = cell.facts.cell.recipes.as_slice();
        for declared in &cell.delta.declared {
            let asked = asked(cell, &declared.operation, declared.digest, declared.risk);
            for recipe in owners(asked_for, &declared.operation) {
                rows.add(recipe, &asked, &[], stand(&asked, recipe, basis));
            }
        }
        for set in &cell.delta.accompanying {
            let owners = owners(asked_for, &set.operation);
            match owners.first() {
                Some(recipe) if owners.len() == 1 => add_set(&mut rows, cell, set, recipe, basis),
                Some(_) | None => shared.push((*cell, set, owners)),
            }
        }
    }
    for (cell, set, owners) in shared {
        if let Some(recipe) = owner_of(&rows, cell, set, &owners, basis) {
            add_set(&mut rows, cell, set, recipe, basis);
        }
    }
    let left_out: Vec<_> = run.left_out.iter().map(|(cell, _)| *cell).collect();
    judge_entries(&mut rows, &whole, &left_out);
    let known = rows.judged.clone();
    run.judgement = Judgement {
        stale: rows.stale(basis, |consent, target| {
            known.contains(&(&consent.recipe, target))
        }),
        operations: rows.rows.into_values().collect(),
        unjudged: Vec::new(),
    };
    run.undeclared = undeclared(&whole);
    run
}

/// Says of each cell which entries for its recipes and its target no cell of the run used: a package that
/// one cell has already may come in another.
pub(crate) fn find_stale(cells: &mut [CellRecord], basis: &ConsentBasis) {
    let stale = judge_run(&*cells, basis).judgement.stale;
    for cell in cells {
        let recipes = &cell.facts.planned.plan.recipes;
        let is_of_cell = |stale: &&Stale| {
            let consent = basis.ledger.get(stale.entry);
            stale.targets.contains(&cell.facts.cell.target)
                && consent.is_some_and(|consent| recipes.contains(&consent.recipe))
        };
        let entries = stale.iter().filter(is_of_cell);
        cell.delta.stale = entries.map(|stale| stale.entry).collect();
    }
}

/// A declared operation or what a package brought that has no consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentFinding<'r> {
    /// The operation.
    pub operation: &'r PrivilegedOperation,
    /// What a consent to it is given to.
    pub digest: Digest,
    /// How grave it is.
    pub risk: Risk,
    /// How it stands: refused.
    pub standing: Standing,
    /// Of what a package brought, its parts; else empty.
    pub parts: Vec<&'r ObservedOperation>,
}

/// What a cell declares or its packages brought without consent, the gravest first. Empty where consents
/// were not judged: outside a project. A finding stands beside the outcome and changes nothing of it.
#[must_use]
pub fn consent_findings(cell: &CellRecord) -> Vec<ConsentFinding<'_>> {
    let declared = cell.delta.declared.iter().map(|one| {
        let parts = Vec::new();
        (&one.operation, one.digest, one.risk, one.standing, parts)
    });
    let sets = cell.delta.accompanying.iter().map(|set| {
        let parts = parts(cell, set);
        (&set.operation, set.digest, set.risk, set.standing, parts)
    });
    let refused = declared.chain(sets).filter_map(|row| {
        let (operation, digest, risk, standing, parts) = row;
        let standing = standing.filter(|standing| standing.is_refused())?;
        Some(ConsentFinding {
            operation,
            digest,
            risk,
            standing,
            parts,
        })
    });
    let mut found: Vec<_> = refused.collect();
    found.sort_by_key(|finding| finding.risk);
    found
}

/// True if every op of the first apply was performed or skipped: only then nothing is left that could
/// use an entry.
#[must_use]
pub fn ran_whole(facts: &CellFacts) -> bool {
    let performed = |op: &crate::record::OpFacts| {
        let first = op.first.as_ref();
        first.is_some_and(|one| one.skipped() || one.ending.is_some())
    };
    facts.ended == Some(CellEnded::Finished) && facts.ops.iter().all(performed)
}

/// The parts of a set.
#[must_use]
pub fn parts<'r>(cell: &'r CellRecord, set: &AccompanyingSet) -> Vec<&'r ObservedOperation> {
    let all = &cell.observed.operations;
    set.parts.iter().filter_map(|part| all.get(*part)).collect()
}

fn left_out(cell: &CellRecord) -> Option<LeftOut> {
    let kind = cell.outcome.kind();
    match kind {
        OutcomeKind::NotRun | OutcomeKind::Infra | OutcomeKind::Cancelled => {
            Some(LeftOut::NoResult(kind))
        }
        OutcomeKind::Passed
        | OutcomeKind::Failed
        | OutcomeKind::Unsupported
        | OutcomeKind::Manual => (!cell.gaps.is_empty()).then_some(LeftOut::Gap),
    }
}

fn asked<'r>(
    cell: &'r CellRecord,
    operation: &'r PrivilegedOperation,
    digest: Digest,
    risk: Risk,
) -> Asked<'r> {
    Asked {
        operation,
        digest,
        risk,
        parts: Vec::new(),
        of_image: false,
        target: &cell.facts.cell.target,
    }
}

fn asked_set<'r>(cell: &'r CellRecord, set: &'r AccompanyingSet) -> Asked<'r> {
    let parts = parts(cell, set).into_iter();
    Asked {
        parts: parts.map(|part| &part.operation).collect(),
        of_image: comes_from_image(&cell.facts.packages, &set.operation),
        ..asked(cell, &set.operation, set.digest, set.risk)
    }
}

fn add_set<'r>(
    rows: &mut Rows<'r>,
    cell: &'r CellRecord,
    set: &'r AccompanyingSet,
    recipe: &'r RecipeName,
    basis: &ConsentBasis,
) {
    let asked = asked_set(cell, set);
    let standing = stand(&asked, recipe, basis);
    rows.add(recipe, &asked, &parts(cell, set), standing);
}

/// Whose a set of an op is that installs for several recipes: whose entry grants it, else for whom it is to
/// be granted anyway, else what was asked for, else the first.
fn owner_of<'r>(
    rows: &Rows<'r>,
    cell: &'r CellRecord,
    set: &'r AccompanyingSet,
    owners: &BTreeSet<&'r RecipeName>,
    basis: &ConsentBasis,
) -> Option<&'r RecipeName> {
    let asked = asked_set(cell, set);
    let standing = standing_of(&asked, owners, basis);
    if !standing.is_refused() {
        let grants = |recipe: &&&RecipeName| stand(&asked, recipe, basis) == standing;
        return owners.iter().find(grants).copied();
    }
    let is_granted_for = |recipe: &&&RecipeName| {
        let mut known = rows.rows.values();
        known.any(|row| {
            row.recipe == **recipe
                && row.digest == set.digest
                && row.targets.contains(&asked.target)
        })
    };
    let was_asked_for = |recipe: &&&RecipeName| cell.facts.cell.recipes.contains(recipe);
    let each = || owners.iter();
    let granted = each().find(is_granted_for);
    let asked_for = granted.or_else(|| each().find(was_asked_for));
    asked_for.or_else(|| each().next()).copied()
}

/// Says of which recipes and targets all is known: some cell ran whole, and none did not.
fn judge_entries<'r>(rows: &mut Rows<'r>, whole: &[&'r CellRecord], left_out: &[&'r CellRecord]) {
    let (ran, broke_off): (Vec<&CellRecord>, Vec<&CellRecord>) =
        whole.iter().partition(|cell| ran_whole(&cell.facts));
    for cell in ran {
        rows.judge(&cell.facts.planned.plan.recipes, &cell.facts.cell.target);
    }
    for cell in broke_off.iter().chain(left_out) {
        let (recipes, target) = (&cell.facts.planned.plan.recipes, &cell.facts.cell.target);
        rows.judged
            .retain(|(recipe, on)| *on != target || !recipes.contains(recipe));
    }
}

fn undeclared<'r>(cells: &[&'r CellRecord]) -> Vec<Undeclared<'r>> {
    let mut found: BTreeMap<(Risk, &RecipeName, &str, Digest), Undeclared<'r>> = BTreeMap::new();
    for cell in cells {
        let operations = cell.observed.operations.iter();
        for seen in operations.filter(|seen| seen.class.is_undeclared()) {
            for recipe in owners(&cell.facts.cell.recipes, &seen.operation) {
                let row = (
                    seen.risk,
                    recipe,
                    seen.operation.subject.as_str(),
                    seen.digest,
                );
                let row = found.entry(row).or_insert_with(|| Undeclared {
                    recipe,
                    targets: Vec::new(),
                    seen,
                });
                if !row.targets.contains(&&cell.facts.cell.target) {
                    row.targets.push(&cell.facts.cell.target);
                }
            }
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests;
