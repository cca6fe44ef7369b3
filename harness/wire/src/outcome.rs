//! The words of a verdict. Judging is `observe`'s; here are only the terms, because records,
//! `expected.toml` and reports share them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::NameError;

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $kind:literal, { $($(#[doc = $vdoc:literal])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $type {
            $($(#[doc = $vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $type {
            /// Every word, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as written in files and reports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What it means, in a sentence for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($vdoc),*).trim_ascii()),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| NameError {
                    kind: $kind,
                    value: text.to_owned(),
                    grammar: concat!("one of ", $("`", $word, "` "),+),
                })
            }
        }
    };
}

words!(
    /// The outcome of a cell without its detail: what `expected.toml` names.
    OutcomeKind, "outcome", {
        /// Everything applied, verified, and unchanged by the second apply.
        Passed = "passed",
        /// The recipe is at fault.
        Failed = "failed",
        /// The recipe installs something on other targets and nothing on this one.
        Unsupported = "unsupported",
        /// A human step is needed; the rest was rehearsed.
        Manual = "manual",
        /// The world is at fault: no image, engine died, host not to be had.
        Infra = "infra",
        /// The cell was not started, for a stated reason.
        NotRun = "not_run",
        /// The run was interrupted before the cell ended.
        Cancelled = "cancelled",
    }
);

words!(
    /// The part of a cell in which it failed.
    Phase, "phase", {
        /// Content is fetched, the sandbox started, `[[requires]]` checked.
        Prepare = "prepare",
        /// The ops run for the first time.
        Apply = "apply",
        /// `require_command` steps and `[[check]]` entries.
        Verify = "verify",
        /// The ops run for the second time and must change nothing.
        ApplyAgain = "apply_again",
    }
);

words!(
    /// Why a cell failed, in one word for tables and `expected.toml`; the record holds the detail.
    Reason, "reason", {
        /// A `[[requires]]` entry is not met.
        RequirementUnmet = "requirement_unmet",
        /// Fetched bytes do not have the declared hash.
        ContentMismatch = "content_mismatch",
        /// A repository's key is none, or not one of those declared, or cannot be used.
        KeyRefused = "key_refused",
        /// Declared content is not there (404, refused address, too large).
        ContentUnavailable = "content_unavailable",
        /// A command ended with an exit code that was not allowed, or by a signal.
        CommandFailed = "command_failed",
        /// A command could not be started at all.
        CommandMissing = "command_missing",
        /// A maintainer script or scriptlet failed although the manager reported success.
        ScriptletFailed = "scriptlet_failed",
        /// The op ran longer than its limit.
        TimeLimit = "time_limit",
        /// The op printed nothing for longer than its limit.
        SilenceLimit = "silence_limit",
        /// The op printed more than its limit.
        OutputLimit = "output_limit",
        /// The op's processes wrote more than its limit.
        WriteLimit = "write_limit",
        /// A command was found but its version is below the minimum.
        VersionTooOld = "version_too_old",
        /// What a step says it did shows nowhere: the group lacks the user, the service does not run.
        EvidenceMissing = "evidence_missing",
        /// A `[[check]]` did not meet its expectation.
        CheckFailed = "check_failed",
        /// The second apply changed something.
        NotIdempotent = "not_idempotent",
        /// Something only root may do was done that no step declares and no package brings.
        UndeclaredOperation = "undeclared_operation",
        /// The engine saw changes that the manifest did not, or the stream was damaged.
        CaptureGap = "capture_gap",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_serde_agrees() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert_eq!(
                serde_json::to_value(reason).expect("unit variant"),
                reason.as_str()
            );
        }
        assert!("Passed".parse::<OutcomeKind>().is_err());
    }
}
