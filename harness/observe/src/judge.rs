//! Judging a cell: facts in, outcome out.
//!
//! The order of the rules: a cell without an end is cancelled; a plan that does not apply here is
//! unsupported; a cell that was not started says why; an attempt that broke off last is
//! infrastructure; a gap in the capture fails the cell before anything else; then the failures in
//! the order they happened; then a human step; and only what is left, with all its evidence, has
//! passed.
//!
//! Nothing here knows what was expected: that is [`crate::expectation`]. One op is judged in
//! [`op`].

mod op;
mod repeat;

use assay_wire::event::{CellEnded, ConsentBasis, InfraCause};
use assay_wire::outcome::{Phase, Reason};
use assay_wire::plan::Expects;
use assay_wire::program::Pass;

pub use op::{is_last_requirement, op_failed, op_failures};

use crate::capture::{Gap, damage, missing_evidence};
use crate::expectation::verdict;
use crate::noise::{managers_of, noise_of};
use crate::observed::{Observed, ObservedOperation, observed};
use crate::outcome::{Failure, Outcome};
use crate::record::{CellFacts, CellRecord, ContentFact, Timings};

/// What became of a cell, and what could not be captured of it.
#[must_use]
pub fn judge(facts: &CellFacts, observed: &Observed) -> (Outcome, Vec<Gap>) {
    let plan = &facts.planned.plan;
    let ended = match &facts.ended {
        None | Some(CellEnded::Cancelled) => {
            return (
                Outcome::Cancelled {
                    reached: reached(facts),
                },
                Vec::new(),
            );
        }
        Some(ended) => ended,
    };
    if let Some(reason) = &plan.unsupported {
        return (
            Outcome::Unsupported {
                reason: reason.clone(),
            },
            Vec::new(),
        );
    }
    let last_attempt_broke = facts
        .attempts
        .last()
        .is_some_and(|last| last.failure.is_some());
    match ended {
        CellEnded::NotRun { because } => (
            Outcome::NotRun {
                because: because.clone(),
            },
            Vec::new(),
        ),
        CellEnded::GaveUp => (infra(facts), Vec::new()),
        CellEnded::Finished if last_attempt_broke => (infra(facts), Vec::new()),
        CellEnded::Finished => finished(facts, observed),
        // Said above; a cell that was cancelled has no other outcome.
        CellEnded::Cancelled => (
            Outcome::Cancelled {
                reached: reached(facts),
            },
            Vec::new(),
        ),
    }
}

/// The record of a cell whose facts are all there.
pub(crate) fn finish_cell(facts: CellFacts, consents: Option<&ConsentBasis>) -> CellRecord {
    let (observed, delta) = observed(&facts, consents);
    let (outcome, gaps) = judge(&facts, &observed);
    let managers = managers_of(&facts.planned.plan, &facts.planned.harness);
    let noise = repeat::changes(&facts)
        .iter()
        .filter_map(|change| Some((change.path.clone(), noise_of(change, &managers)?)));
    CellRecord {
        plan_digest: facts.planned.plan.digest(),
        cell_key: facts.planned.key(),
        verdict: verdict(&outcome, facts.planned.expected.as_ref()),
        noise: noise.collect(),
        observed,
        delta,
        timings: timings(&facts),
        outcome,
        gaps,
        facts,
    }
}

/// A cell whose program ran as far as it could.
fn finished(facts: &CellFacts, observed: &Observed) -> (Outcome, Vec<Gap>) {
    let mut failures = content_failures(facts);
    if failures.is_empty() {
        failures = op_failures_of(facts);
        failures.extend(repeat::failure(facts));
    }
    let mut gaps = damage(facts);
    if failures.is_empty() {
        gaps.extend(missing_evidence(facts));
    }
    let gap = gaps
        .first()
        .map(|first| gap_failure(facts, first, gaps.len()));
    let undeclared = undeclared_failure(facts, observed);
    let mut all = gap.into_iter().chain(undeclared).chain(failures);
    let outcome = match all.next() {
        Some(first) => Outcome::Failed {
            first,
            also: all.collect(),
        },
        None => unfailed(facts),
    };
    (outcome, gaps)
}

fn unfailed(facts: &CellFacts) -> Outcome {
    let Some(judged) = facts.judged_ops() else {
        return Outcome::Passed;
    };
    let ops = facts.planned.plan.ops.iter();
    let not_judged = ops
        .filter(|op| op.id.0 > judged && op::verifies(op))
        .map(|op| op.id);
    Outcome::Manual {
        steps: facts.manual_steps().map(|(step, _)| step.clone()).collect(),
        not_judged: not_judged.collect(),
    }
}

fn content_failures(facts: &CellFacts) -> Vec<Failure> {
    let refused = facts.content.iter().filter_map(|content| match content {
        ContentFact::Refused(refused) => Some(refused),
        ContentFact::Ready(_) => None,
    });
    let failure = |refused: &assay_wire::event::ContentRefused| {
        if !refused.findings.is_empty() {
            return Failure {
                phase: Phase::Prepare,
                reason: Reason::KeyRefused,
                op: None,
                steps: vec![refused.step.clone()],
                message: format!("the key `{}` is refused: {}", refused.url, refused.message),
            };
        }
        let (reason, found) = match &refused.actual {
            Some(actual) => (Reason::ContentMismatch, format!("sha256 {actual} came")),
            None => (Reason::ContentUnavailable, "nothing came".to_owned()),
        };
        let evidence = refused.evidence.as_ref();
        let evidence = evidence.map_or(String::new(), |path| format!(" (what came: `{path}`)"));
        Failure {
            phase: Phase::Prepare,
            reason,
            op: None,
            steps: vec![refused.step.clone()],
            message: format!(
                "`{}` must have sha256 {} and {found}: {}{evidence}",
                refused.url, refused.expected, refused.message
            ),
        }
    };
    // What is wrong outranks content that is merely not there.
    let mut failures: Vec<Failure> = refused.map(failure).collect();
    failures.sort_by_key(|failure| failure.reason == Reason::ContentUnavailable);
    failures
}

/// Failures of ops in the order they happened: first apply, then second.
fn op_failures_of(facts: &CellFacts) -> Vec<Failure> {
    let judged = facts.judged_ops().unwrap_or(u32::MAX);
    let mut failures = Vec::new();
    for pass in [Pass::First, Pass::Second] {
        for (op, known) in facts.planned.plan.ops.iter().zip(&facts.ops) {
            if op.id.0 > judged && op::verifies(op) {
                continue;
            }
            let Some(performance) = known.performance(pass) else {
                continue;
            };
            let Some(ending) = &performance.ending else {
                continue;
            };
            let (stdout, stderr) = (&performance.stdout, &performance.stderr);
            failures.extend(op_failures(op, pass, ending, stdout, stderr));
        }
    }
    failures
}

fn gap_failure(facts: &CellFacts, first: &Gap, gaps: usize) -> Failure {
    let more = if gaps > 1 {
        format!(", and {} more gaps", gaps - 1)
    } else {
        String::new()
    };
    Failure {
        phase: gap_phase(facts, first),
        reason: Reason::CaptureGap,
        op: None,
        steps: Vec::new(),
        message: format!("{first}{more}"),
    }
}

/// What nobody declared and no package brought.
fn undeclared_failure(facts: &CellFacts, observed: &Observed) -> Option<Failure> {
    let mut all = observed
        .operations
        .iter()
        .filter(|seen| seen.class.is_undeclared());
    let first: &ObservedOperation = all
        .clone()
        .min_by_key(|seen| (seen.risk, seen.operation.op))?;
    let more = match all.by_ref().count() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let phase = facts
        .op(first.operation.op)
        .map_or(Phase::Apply, |(op, _)| op::phase(op, first.pass));
    Some(Failure {
        phase,
        reason: Reason::UndeclaredOperation,
        op: Some(first.operation.op),
        steps: first.operation.steps.clone(),
        message: format!(
            "no step declares it and no package explains it: {} {}{more}",
            first.operation.kind.name(),
            first.operation.subject
        ),
    })
}

/// The phase in which a gap lies, as far as it can be told.
fn gap_phase(facts: &CellFacts, gap: &Gap) -> Phase {
    use assay_wire::event::ManifestPoint;
    match gap {
        Gap::Omitted {
            after: ManifestPoint::Baseline,
            ..
        }
        | Gap::Untold {
            after: ManifestPoint::Baseline,
            ..
        } => Phase::Prepare,
        Gap::Omitted {
            after: ManifestPoint::Op(_),
            ..
        }
        | Gap::Untold {
            after: ManifestPoint::Op(_),
            ..
        } => Phase::Apply,
        Gap::Unperformed {
            op,
            pass: Pass::First,
        }
        | Gap::NoTrace {
            op,
            pass: Pass::First,
        }
        | Gap::Trace {
            op,
            pass: Pass::First,
            ..
        } => {
            let found = facts
                .planned
                .plan
                .ops
                .iter()
                .find(|known| known.id.0 == *op);
            found.map_or(Phase::Apply, |op| op::phase(op, Pass::First))
        }
        Gap::Omitted {
            after: ManifestPoint::SecondApply,
            ..
        }
        | Gap::Untold {
            after: ManifestPoint::SecondApply,
            ..
        }
        | Gap::Unperformed {
            pass: Pass::Second, ..
        }
        | Gap::NoTrace {
            pass: Pass::Second, ..
        }
        | Gap::Trace {
            pass: Pass::Second, ..
        }
        | Gap::NoLastManifest => Phase::ApplyAgain,
        Gap::Untraced { .. }
        | Gap::Broken { .. }
        | Gap::Contradiction { .. }
        | Gap::Unseen { .. }
        | Gap::NotCrossChecked => Phase::Apply,
    }
}

fn infra(facts: &CellFacts) -> Outcome {
    let last = facts
        .attempts
        .iter()
        .rev()
        .find_map(|attempt| attempt.failure.as_ref());
    let retries = u32::try_from(facts.attempts.len().saturating_sub(1)).unwrap_or(u32::MAX);
    match last {
        Some(failed) => Outcome::Infra {
            cause: failed.cause,
            retries,
            message: failed.message.clone(),
            hint: failed.hint.clone(),
        },
        None => Outcome::Infra {
            cause: InfraCause::SandboxLost,
            retries,
            message: "every attempt broke off, and the journal does not say why".to_owned(),
            hint: None,
        },
    }
}

/// How far a cell had come when its run ended.
fn reached(facts: &CellFacts) -> String {
    let total = facts.ops.len();
    let ended = |pass: Pass| {
        let known = facts.ops.iter().filter_map(|op| op.performance(pass));
        known
            .filter(|known| known.ending.is_some() || known.skipped())
            .count()
    };
    match (
        facts.attempts.last(),
        ended(Pass::First),
        ended(Pass::Second),
    ) {
        (None, ..) => "before it started".to_owned(),
        (Some(_), 0, 0) => "before its first op had ended".to_owned(),
        (Some(_), first, 0) => format!("after {first} of {total} ops"),
        (Some(_), _, second) => format!("in the second apply, after {second} ops"),
    }
}

fn timings(facts: &CellFacts) -> Timings {
    let mut timings = Timings {
        start_ms: facts.sandbox.as_ref().map_or(0, |sandbox| sandbox.start_ms),
        ..Timings::default()
    };
    if let (Some(attempt), Some(user)) = (facts.attempts.last(), facts.user) {
        timings.prepare_ms = user.ready_ms.saturating_sub(attempt.started_ms);
    }
    for (op, known) in facts.planned.plan.ops.iter().zip(&facts.ops) {
        let spent = |pass: Pass| {
            known.performance(pass).map_or(0, |known| {
                known
                    .ms
                    .saturating_add(known.guard.map_or(0, |guard| guard.ms))
            })
        };
        let first = match op.expects {
            Expects::Requirement(_) => &mut timings.prepare_ms,
            Expects::Success { .. } => &mut timings.apply_ms,
            Expects::Command(_) | Expects::Evidence(_) | Expects::Check { .. } => {
                &mut timings.verify_ms
            }
        };
        *first = first.saturating_add(spent(Pass::First));
        timings.apply_again_ms = timings.apply_again_ms.saturating_add(spent(Pass::Second));
    }
    let taken = facts
        .manifests
        .iter()
        .filter_map(|manifest| manifest.stats.as_ref());
    timings.manifest_ms = taken.fold(0, |sum, stats| stats.ms.saturating_add(sum));
    let started = facts
        .attempts
        .first()
        .map_or(facts.last_ms, |attempt| attempt.started_ms);
    timings.total_ms = facts.last_ms.saturating_sub(started);
    timings
}
