//! What came of a cell, with its detail. The words (kinds, phases, reasons) are `wire`'s.
//!
//! Messages may hold text from a recipe or a sandbox as it came: a reporter sanitises them.

use assay_wire::event::InfraCause;
use assay_wire::name::StepRef;
use assay_wire::outcome::{OutcomeKind, Phase, Reason};
use assay_wire::plan::OpId;
use serde::Serialize;

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything applied, verified, and unchanged by the second apply.
    Passed,
    /// The recipe is at fault, or what happened could not be captured.
    Failed {
        /// The failure that decides.
        first: Failure,
        /// All others, in the order they happened.
        also: Vec<Failure>,
    },
    /// The recipe installs something on other targets and nothing on this one.
    Unsupported {
        /// Why.
        reason: String,
    },
    /// A human step is needed; the rest was rehearsed and nothing failed.
    Manual {
        /// The steps a human has to do.
        steps: Vec<StepRef>,
        /// Verifications after the first of them, which say nothing.
        not_judged: Vec<OpId>,
    },
    /// Every attempt broke off for a cause outside the recipe.
    Infra {
        /// What broke last.
        cause: InfraCause,
        /// Attempts after the first.
        retries: u32,
        /// In words.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// It was not started.
    NotRun {
        /// Why.
        because: String,
    },
    /// The run ended before the cell did.
    Cancelled {
        /// How far it had come, in words.
        reached: String,
    },
}

impl Outcome {
    /// The outcome without its detail.
    #[must_use]
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Passed => OutcomeKind::Passed,
            Self::Failed { .. } => OutcomeKind::Failed,
            Self::Unsupported { .. } => OutcomeKind::Unsupported,
            Self::Manual { .. } => OutcomeKind::Manual,
            Self::Infra { .. } => OutcomeKind::Infra,
            Self::NotRun { .. } => OutcomeKind::NotRun,
            Self::Cancelled { .. } => OutcomeKind::Cancelled,
        }
    }

    /// Every failure, the deciding one first; empty unless failed.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        let (first, also): (Option<&Failure>, &[Failure]) = match self {
            Self::Failed { first, also } => (Some(first), also),
            Self::Passed
            | Self::Unsupported { .. }
            | Self::Manual { .. }
            | Self::Infra { .. }
            | Self::NotRun { .. }
            | Self::Cancelled { .. } => (None, &[]),
        };
        first.into_iter().chain(also)
    }
}

/// One way in which a cell failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// Where in the cell.
    pub phase: Phase,
    /// In one word.
    pub reason: Reason,
    /// The op, if one is to blame.
    pub op: Option<OpId>,
    /// The steps that op serves, or those that seem to be to blame; empty if none can be named.
    pub steps: Vec<StepRef>,
    /// What happened: a lowercase fragment, names in backticks.
    pub message: String,
}
