//! Whether the second apply changed anything: package state, parsed state and manifest, minus the
//! noise list; never an op's own word.

use std::collections::BTreeSet;

use assay_wire::event::ManifestPoint;
use assay_wire::manifest::PathChange;
use assay_wire::name::StepRef;
use assay_wire::outcome::{Phase, Reason};

use crate::noise::{managers_of, noise_of};
use crate::outcome::Failure;
use crate::record::{CellFacts, OpFacts};

/// Most changes a message names; the record holds them all.
const NAMED: usize = 5;

/// What the second apply changed, noise included.
pub(super) fn changes(facts: &CellFacts) -> &[PathChange] {
    facts
        .manifest(&ManifestPoint::SecondApply)
        .map_or(&[], |manifest| &manifest.paths)
}

/// The failure, if the second apply changed something that counts.
pub(super) fn failure(facts: &CellFacts) -> Option<Failure> {
    let manifest = facts.manifest(&ManifestPoint::SecondApply)?;
    let managers = managers_of(&facts.planned.plan, &facts.planned.harness);
    let counts = |change: &&PathChange| noise_of(change, &managers).is_none();
    let paths: Vec<&PathChange> = manifest.paths.iter().filter(counts).collect();
    let states = &manifest.states;
    if paths.is_empty() && states.is_empty() {
        return None;
    }
    let named_paths = paths.iter().map(|change| {
        let verb = match (&change.before, &change.after) {
            (None, _) => "made",
            (Some(_), None) => "removed",
            (Some(_), Some(_)) => "changed",
        };
        format!("{verb} `{}`", change.path)
    });
    let named_states = states.iter().map(|state| {
        let verb = if state.added { "added" } else { "dropped" };
        format!("{verb} `{}` in {}", state.line, state.probe)
    });
    let total = paths.len() + states.len();
    let mut named: Vec<String> = named_paths.chain(named_states).take(NAMED).collect();
    if total > NAMED {
        named.push(format!("and {} more changes", total - NAMED));
    }
    Some(Failure {
        phase: Phase::ApplyAgain,
        reason: Reason::NotIdempotent,
        op: None,
        steps: suspects(facts, &paths),
        message: format!("the second apply {}", named.join(", ")),
    })
}

/// Steps that seem to be to blame: those of ops that ran again and whose first performance had
/// changed one of the same paths. If no such op is found, those of all ops that ran again.
fn suspects(facts: &CellFacts, paths: &[&PathChange]) -> Vec<StepRef> {
    let changed: BTreeSet<&str> = paths.iter().map(|change| change.path.as_str()).collect();
    let ran_again = |op: &OpFacts| op.second.as_ref().is_some_and(|second| second.started);
    let again: BTreeSet<_> = facts
        .ops
        .iter()
        .filter(|op| ran_again(op))
        .map(|op| op.op)
        .collect();
    let touched: BTreeSet<_> = facts
        .manifests
        .iter()
        .filter(|manifest| {
            manifest
                .paths
                .iter()
                .any(|p| changed.contains(p.path.as_str()))
        })
        .filter_map(|manifest| match &manifest.after {
            ManifestPoint::Op(op) if again.contains(op) => Some(*op),
            ManifestPoint::Op(_) | ManifestPoint::Baseline | ManifestPoint::SecondApply => None,
        })
        .collect();
    let blamed = if touched.is_empty() { again } else { touched };
    let ops = facts
        .planned
        .plan
        .ops
        .iter()
        .filter(|op| blamed.contains(&op.id));
    let mut steps: Vec<StepRef> = Vec::new();
    for step in ops.flat_map(|op| &op.steps) {
        if !steps.contains(step) {
            steps.push(step.clone());
        }
    }
    steps
}
