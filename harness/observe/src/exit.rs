//! The exit code of a run: the first that applies, counting only cells that differ from their
//! expectation, cells that did not run, and findings.

use assay_wire::event::SnapshotFinding;
use assay_wire::outcome::{OutcomeKind, Reason};
use serde::Serialize;

use crate::consent::consent_findings;
use crate::expectation::Verdict;
use crate::outcome::Outcome;
use crate::record::{CellRecord, Record, RunEnd};

/// Every exit code of `assay`, in order of precedence: of several that apply, the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    /// A signal ended the run.
    Interrupted,
    /// The command line makes no sense.
    Usage,
    /// A recipe is invalid.
    RecipeInvalid,
    /// An undeclared privileged operation, or a gap in capture.
    Undeclared,
    /// Content does not have its declared hash.
    ContentMismatch,
    /// Consent is missing or violated.
    Consent,
    /// A snapshot is missing or different.
    Snapshot,
    /// A recipe failed, or passed although that was not expected.
    Failed,
    /// Infrastructure, or unmet needs.
    Infrastructure,
    /// Everything passed.
    Passed,
}

impl ExitCode {
    /// Every code, in order of precedence.
    pub const ALL: [Self; 10] = [
        Self::Interrupted,
        Self::Usage,
        Self::RecipeInvalid,
        Self::Undeclared,
        Self::ContentMismatch,
        Self::Consent,
        Self::Snapshot,
        Self::Failed,
        Self::Infrastructure,
        Self::Passed,
    ];

    /// The number a shell sees.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::Usage => 2,
            Self::RecipeInvalid => 3,
            Self::Undeclared => 7,
            Self::ContentMismatch => 4,
            Self::Consent => 6,
            Self::Snapshot => 5,
            Self::Failed => 1,
            Self::Infrastructure => 8,
            Self::Passed => 0,
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Usage => "usage",
            Self::RecipeInvalid => "recipe invalid",
            Self::Undeclared => "an undeclared privileged operation, or a gap in capture",
            Self::ContentMismatch => "content mismatch",
            Self::Consent => "consent missing or violated",
            Self::Snapshot => "snapshot missing or different",
            Self::Failed => "failed",
            Self::Infrastructure => "infrastructure or unmet needs",
            Self::Passed => "passed",
        }
    }

    /// Of two codes that apply, the one that counts.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.min(other)
    }
}

/// The exit code of a run.
#[must_use]
pub fn exit_code(record: &Record) -> ExitCode {
    let run = match record.run.end {
        RunEnd::Complete => ExitCode::Passed,
        RunEnd::Interrupted | RunEnd::Truncated => ExitCode::Interrupted,
    };
    let allowed = record.run.start.allow_unmet_needs;
    record
        .cells
        .iter()
        .fold(run, |code, cell| code.or(cell_exit_code(cell, allowed)))
}

/// What one cell contributes to the exit code of its run.
#[must_use]
pub fn cell_exit_code(cell: &CellRecord, allow_unmet_needs: bool) -> ExitCode {
    let snapshot = match cell.facts.planned.snapshot {
        SnapshotFinding::NotJudged | SnapshotFinding::Same => ExitCode::Passed,
        SnapshotFinding::Missing | SnapshotFinding::Different { .. } => ExitCode::Snapshot,
    };
    let outcome = match (cell.verdict, cell.outcome.kind()) {
        (Verdict::AsExpected, _) => ExitCode::Passed,
        (_, OutcomeKind::Cancelled) => ExitCode::Interrupted,
        (_, OutcomeKind::NotRun) if allow_unmet_needs => ExitCode::Passed,
        (_, OutcomeKind::NotRun | OutcomeKind::Infra) => ExitCode::Infrastructure,
        (
            Verdict::Differs | Verdict::NoResult,
            OutcomeKind::Passed
            | OutcomeKind::Failed
            | OutcomeKind::Unsupported
            | OutcomeKind::Manual,
        ) => differing(&cell.outcome),
    };
    let consent = match consent_findings(cell).is_empty() {
        true => ExitCode::Passed,
        false => ExitCode::Consent,
    };
    outcome.or(consent).or(snapshot)
}

/// A result nobody expected: by its own reasons if it failed.
fn differing(outcome: &Outcome) -> ExitCode {
    let codes = outcome.failures().map(|failure| match failure.reason {
        Reason::CaptureGap | Reason::UndeclaredOperation => ExitCode::Undeclared,
        Reason::ContentMismatch | Reason::KeyRefused => ExitCode::ContentMismatch,
        Reason::RequirementUnmet
        | Reason::ContentUnavailable
        | Reason::CommandFailed
        | Reason::CommandMissing
        | Reason::ScriptletFailed
        | Reason::TimeLimit
        | Reason::SilenceLimit
        | Reason::OutputLimit
        | Reason::WriteLimit
        | Reason::VersionTooOld
        | Reason::EvidenceMissing
        | Reason::CheckFailed
        | Reason::NotIdempotent => ExitCode::Failed,
    });
    codes.fold(ExitCode::Failed, ExitCode::or)
}

#[cfg(test)]
mod tests;
