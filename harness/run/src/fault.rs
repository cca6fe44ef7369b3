//! What ends an attempt without a verdict: faults of the world, each with its cause, what to do,
//! and whether trying again can help.

use assay_sandbox::error::SandboxError;
use assay_wire::event::{AttemptFailed, InfraCause};
use assay_wire::name::TargetId;

use crate::cell::explain_chain;
use crate::journal::JournalError;

/// Longest message kept of what a sandbox or an engine says.
const MESSAGE: usize = 500;

/// A fault of the world.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The engine, or the sandbox as the engine sees it.
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
    /// The target has no image here.
    #[error("there is no image of {target} here")]
    ImageMissing {
        /// The target.
        target: TargetId,
    },
    /// The sandbox ended, or what it sent is not what it may send.
    #[error("the sandbox was lost: {message}")]
    Lost {
        /// What was seen.
        message: String,
    },
    /// systemd could not become PID 1, or did not come up: nothing was performed.
    #[error("the environment refuses systemd as PID 1: {message}")]
    NotBooted {
        /// What was seen.
        message: String,
    },
    /// The sandbox did not answer in time.
    #[error("the sandbox did not answer in time")]
    Silent,
    /// The cell's own time was over between two ops.
    #[error("the cell's time was over before its sandbox had answered")]
    OutOfTime,
    /// A host that declared content comes from.
    #[error("{message}")]
    Host {
        /// What was seen.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// True if trying again can help.
        transient: bool,
    },
    /// Something was asked for that was not recorded, where nothing else may answer.
    #[error("not recorded: {message}")]
    NotRecorded {
        /// What is missing.
        message: String,
    },
    /// The host's own disk.
    #[error("{message}")]
    Storage {
        /// What was seen.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The journal: nothing can be recorded any more, so the whole run ends.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Fault {
    /// The sandbox was lost, for this reason.
    pub(crate) fn lost(message: String) -> Self {
        Self::Lost {
            message: message.chars().take(MESSAGE).collect(),
        }
    }

    /// systemd is not to be had as PID 1, for this reason.
    pub(crate) fn not_booted(message: String) -> Self {
        Self::NotBooted {
            message: message.chars().take(MESSAGE).collect(),
        }
    }

    /// True if another attempt can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Sandbox(error) => error.is_transient(),
            Self::Lost { .. } | Self::Silent => true,
            Self::Host { transient, .. } => *transient,
            // Of time, another attempt would have no more.
            Self::OutOfTime
            | Self::NotBooted { .. }
            | Self::ImageMissing { .. }
            | Self::NotRecorded { .. }
            | Self::Storage { .. }
            | Self::Journal(_) => false,
        }
    }

    /// The fact to record.
    pub(crate) fn to_event(&self, retried: bool) -> AttemptFailed {
        let (cause, hint) = match self {
            Self::Sandbox(error) => (error.cause(), error.hint()),
            Self::ImageMissing { target } => (
                InfraCause::ImageMissing,
                Some(format!("run `assay images build {target}`")),
            ),
            Self::NotBooted { .. } | Self::Lost { .. } | Self::Silent => {
                (InfraCause::SandboxLost, None)
            }
            Self::OutOfTime => (
                InfraCause::SandboxLost,
                Some("give the cell more time with `--timeout`".to_owned()),
            ),
            Self::Host { hint, .. } => (InfraCause::HostUnreachable, hint.clone()),
            Self::NotRecorded { .. } => (
                InfraCause::NotRecorded,
                Some("record it with `assay test --network record`".to_owned()),
            ),
            Self::Storage { hint, .. } => (InfraCause::HostStorage, hint.clone()),
            Self::Journal(_) => (
                InfraCause::HostStorage,
                Some("free some disk space, then run it again".to_owned()),
            ),
        };
        let message = explain_chain(self);
        AttemptFailed {
            cause,
            message: message.chars().take(2 * MESSAGE).collect(),
            hint,
            retried,
        }
    }
}
