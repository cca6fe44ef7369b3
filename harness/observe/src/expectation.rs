//! Comparing an outcome with the row of `expected.toml`, if there is one that counts.

use assay_wire::event::Expected;
use assay_wire::outcome::OutcomeKind;
use serde::Serialize;

use crate::outcome::Outcome;

/// Whether an outcome is the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is. Without a row, that is passed, unsupported or manual.
    AsExpected,
    /// It is not; passing where another outcome is expected included.
    Differs,
    /// There is no result to compare: not run, cancelled, or infrastructure at fault.
    NoResult,
}

/// Compares an outcome with its row; a row that has expired does not count.
#[must_use]
pub fn verdict(outcome: &Outcome, expected: Option<&Expected>) -> Verdict {
    let kind = outcome.kind();
    let row = expected.filter(|row| !row.expired);
    let as_expected = match (kind, row) {
        // A cell that did not run proves nothing, whatever was expected of it.
        (OutcomeKind::Infra | OutcomeKind::NotRun | OutcomeKind::Cancelled, _) => {
            return Verdict::NoResult;
        }
        (OutcomeKind::Passed | OutcomeKind::Unsupported | OutcomeKind::Manual, None) => true,
        (OutcomeKind::Failed, None) => false,
        (
            OutcomeKind::Passed
            | OutcomeKind::Unsupported
            | OutcomeKind::Manual
            | OutcomeKind::Failed,
            Some(row),
        ) => kind == row.outcome && detail_matches(outcome, row),
    };
    if as_expected {
        Verdict::AsExpected
    } else {
        Verdict::Differs
    }
}

/// Phase and reason, where the row names them, are those of the deciding failure.
fn detail_matches(outcome: &Outcome, row: &Expected) -> bool {
    let first = outcome.failures().next();
    row.phase
        .is_none_or(|phase| first.is_some_and(|first| first.phase == phase))
        && row
            .reason
            .is_none_or(|reason| first.is_some_and(|first| first.reason == reason))
}

#[cfg(test)]
mod tests {
    use assay_testkit::log::expected;
    use assay_wire::event::InfraCause;
    use assay_wire::outcome::{Phase, Reason};

    use super::*;
    use crate::outcome::Failure;

    fn failed(phase: Phase, reason: Reason) -> Outcome {
        let message = String::new();
        let first = Failure {
            phase,
            reason,
            op: None,
            steps: Vec::new(),
            message,
        };
        Outcome::Failed {
            first,
            also: Vec::new(),
        }
    }

    #[test]
    fn rows_and_outcomes() {
        let apply = failed(Phase::Apply, Reason::CommandFailed);
        let manual = Outcome::Manual {
            steps: Vec::new(),
            not_judged: Vec::new(),
        };
        let unsupported = Outcome::Unsupported {
            reason: String::new(),
        };
        let row = |outcome, phase, reason| Expected {
            phase,
            reason,
            ..expected(outcome)
        };
        let expired = Expected {
            expired: true,
            ..row("failed", None, None)
        };
        let in_apply = row("failed", Some(Phase::Apply), Some(Reason::CommandFailed));
        let in_verify = row("failed", Some(Phase::Verify), None);
        let for_a_check = row("failed", None, Some(Reason::CheckFailed));
        let (yes, no) = (Verdict::AsExpected, Verdict::Differs);
        for (outcome, row, wanted) in [
            (&Outcome::Passed, None, yes),
            (&manual, None, yes),
            (&unsupported, None, yes),
            (&apply, None, no),
            (&Outcome::Passed, Some(row("passed", None, None)), yes),
            (&manual, Some(row("passed", None, None)), no),
            (&unsupported, Some(row("manual", None, None)), no),
            (&Outcome::Passed, Some(row("failed", None, None)), no),
            (&apply, Some(row("failed", None, None)), yes),
            (&apply, Some(in_apply), yes),
            (&apply, Some(in_verify), no),
            (&apply, Some(for_a_check), no),
            (&apply, Some(expired.clone()), no),
            (&Outcome::Passed, Some(expired), yes),
        ] {
            assert_eq!(
                verdict(outcome, row.as_ref()),
                wanted,
                "{outcome:?} {row:?}"
            );
        }
    }

    #[test]
    fn what_did_not_run_is_never_as_expected() {
        let infra = Outcome::Infra {
            cause: InfraCause::EngineDied,
            retries: 2,
            message: String::new(),
            hint: None,
        };
        assert_eq!(verdict(&infra, Some(&expected("infra"))), Verdict::NoResult);
        let not_run = Outcome::NotRun {
            because: String::new(),
        };
        assert_eq!(
            verdict(&not_run, Some(&expected("not_run"))),
            Verdict::NoResult
        );
        let cancelled = Outcome::Cancelled {
            reached: String::new(),
        };
        assert_eq!(verdict(&cancelled, None), Verdict::NoResult);
    }
}
