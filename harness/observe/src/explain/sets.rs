//! The privileged delta: declared operations with what became of them, what came with packages as sets,
//! and how each stands.

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::event::ConsentBasis;
use assay_wire::name::StepRef;
use assay_wire::package::{PackageCame, PackageContent};
use assay_wire::plan::OpId;
use assay_wire::privileged::{Kind, KindName, OperationEvidence, Origin, PrivilegedOperation};

use super::paths::Paths;
use crate::attack::technique;
use crate::consent::{Asked, comes_from_image, owners, standing_of};
use crate::delta::{AccompanyingSet, Class, DeclaredOperation, Delta, PackageFact};
use crate::observed::{Observed, ObservedOperation};
use crate::record::CellFacts;
use crate::risk::{Risk, risk};

/// Holds what a cell was seen to do against what was declared and granted. `consents` is `None` outside a
/// project.
pub(crate) fn delta(
    facts: &CellFacts,
    observed: &Observed,
    paths: &Paths<'_>,
    consents: Option<&ConsentBasis>,
) -> Delta {
    let policy = consents
        .map(|basis| basis.policy.clone())
        .unwrap_or_default();
    let stands = |operation: &PrivilegedOperation, risk: Risk, parts: &[usize]| {
        consents.map(|basis| {
            let part = |at: &usize| observed.operations.get(*at).map(|seen| &seen.operation);
            let asked = Asked {
                operation,
                digest: operation.digest(),
                risk,
                parts: parts.iter().filter_map(part).collect(),
                of_image: comes_from_image(&facts.packages, operation),
                target: &facts.planned.plan.target,
            };
            standing_of(&asked, &owners(&facts.cell.recipes, operation), basis)
        })
    };
    let mut declared: Vec<DeclaredOperation> = Vec::new();
    for operation in &facts.planned.plan.declared {
        let digest = operation.digest();
        if declared.iter().any(|known| known.digest == digest) {
            continue;
        }
        let risk = risk(&operation.kind, &policy);
        declared.push(DeclaredOperation {
            digest,
            risk,
            attack: technique(operation.kind.name()),
            seen: is_seen(operation, facts, observed),
            standing: stands(operation, risk, &[]),
            operation: operation.clone(),
        });
    }
    declared.sort_by_key(|one| one.risk);
    let mut accompanying: Vec<AccompanyingSet> = sets(facts, observed)
        .into_iter()
        .map(|(operation, risk, parts)| AccompanyingSet {
            digest: operation.digest(),
            standing: stands(&operation, risk, &parts),
            operation,
            risk,
            parts,
        })
        .collect();
    accompanying.sort_by(|one, other| {
        (one.risk, &one.operation.subject).cmp(&(other.risk, &other.operation.subject))
    });
    Delta {
        declared,
        accompanying,
        packages: packages(facts, observed, paths),
        paths: paths.counts,
        stale: Vec::new(),
    }
}

/// True if the run showed a declared operation: a command that ran, or what has its class.
fn is_seen(operation: &PrivilegedOperation, facts: &CellFacts, observed: &Observed) -> bool {
    if operation.kind.name() == KindName::ExecRoot {
        let known = facts.op(operation.op).map(|(_, known)| known);
        return known.is_some_and(|known| {
            known
                .first
                .as_ref()
                .is_some_and(|first| first.started || first.guard.is_some())
        });
    }
    let digest = operation.digest();
    observed.operations.iter().any(|seen| {
        seen.digest == digest
            || (seen.class == Class::Declared { by: operation.op }
                && seen.operation.kind.name() == operation.kind.name())
    })
}

/// What came with each package above what is ordinary, as one operation each.
fn sets(facts: &CellFacts, observed: &Observed) -> Vec<(PrivilegedOperation, Risk, Vec<usize>)> {
    let mut by_package: BTreeMap<&str, Vec<(usize, &ObservedOperation)>> = BTreeMap::new();
    for (at, seen) in observed.operations.iter().enumerate() {
        if let Class::Accompanying { package } = &seen.class
            && seen.risk != Risk::Ordinary
        {
            by_package.entry(package).or_default().push((at, seen));
        }
    }
    let set = |(package, parts): (&str, Vec<(usize, &ObservedOperation)>)| {
        let kind = Kind::Accompanying {
            package: package.to_owned(),
            operations: parts.iter().map(|(_, seen)| seen.digest).collect(),
        };
        let steps: BTreeSet<&StepRef> = parts
            .iter()
            .flat_map(|(_, seen)| &seen.operation.steps)
            .collect();
        let came = facts.packages.iter().filter_map(read);
        let version = came
            .filter(|(name, _)| *name == package)
            .map(|(_, version)| version.to_owned())
            .next();
        let op = parts.iter().map(|(_, seen)| seen.operation.op).min();
        let operation = PrivilegedOperation {
            steps: steps.into_iter().cloned().collect(),
            op: op.unwrap_or(OpId(1)),
            subject: kind.subject(),
            kind,
            origin: Origin::Manifest,
            before: None,
            after: None,
            actor: None,
            package: Some(package.to_owned()),
            evidence: OperationEvidence {
                version,
                ..OperationEvidence::default()
            },
        };
        let gravest = parts.iter().map(|(_, seen)| seen.risk).min();
        let places = parts.iter().map(|(at, _)| *at).collect();
        (operation, gravest.unwrap_or(Risk::Ordinary), places)
    };
    by_package.into_iter().map(set).collect()
}

fn read(package: &PackageCame) -> Option<(&str, &str)> {
    match &package.content {
        PackageContent::Read(read) => Some((&read.name, &read.version)),
        PackageContent::Unreadable { .. } => None,
    }
}

fn packages(facts: &CellFacts, observed: &Observed, paths: &Paths<'_>) -> Vec<PackageFact> {
    let fact = |(came, package): (usize, &PackageCame)| {
        let (name, version, unreadable) = match &package.content {
            PackageContent::Read(read) => (read.name.clone(), Some(read.version.clone()), None),
            PackageContent::Unreadable { message } => {
                let name = package.url.rsplit('/').next().unwrap_or_default();
                (name.to_owned(), None, Some(message.clone()))
            }
        };
        let of_package = |seen: &&ObservedOperation| matches!(&seen.operation.kind, Kind::MaintscriptRun { package, .. } if *package == name);
        let scripts = observed.operations.iter().filter(of_package);
        let steps = package.op.and_then(|op| facts.op(op));
        PackageFact {
            scripts: scripts.map(|seen| seen.count).sum(),
            paths: paths.by_package.get(&came).copied().unwrap_or_default(),
            steps: steps.map(|(op, _)| op.steps.clone()).unwrap_or_default(),
            sha256: package.sha256,
            op: package.op,
            chain: package.chain.clone(),
            name,
            version,
            unreadable,
        }
    };
    let mut facts: Vec<PackageFact> = facts.packages.iter().enumerate().map(fact).collect();
    facts.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    facts
}
