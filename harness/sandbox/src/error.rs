//! What can go wrong with a sandbox that is not the recipe's fault.
//!
//! [`SandboxError`] says what broke, [`SandboxError::cause`] gives the word a journal keeps for it,
//! [`SandboxError::hint`] what to do and [`SandboxError::is_transient`] whether trying again can
//! help. Whether it is tried again is `run`'s to decide. The engine's own faults are
//! [`EngineError`]'s.

use std::path::PathBuf;

use assay_wire::event::InfraCause;

use crate::docker::engine::EngineError;

/// A fault of the world that keeps a sandbox from starting, running or going away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// The engine does not answer, refused or broke down.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The sandbox ended while it was in use, and the engine still answers.
    #[error("the sandbox `{sandbox}` was lost: {how}{}", last_words(.stderr))]
    Lost {
        /// Its name at the engine.
        sandbox: String,
        /// What the engine says of its end.
        how: String,
        /// The end of what its executor wrote to standard error, sanitised; empty as it should be.
        stderr: String,
    },
    /// There is no kept sandbox of this name and owner.
    #[error("there is no kept sandbox `{sandbox}`")]
    NotKept {
        /// The name asked for.
        sandbox: String,
    },
    /// A file or folder of the cache on this machine could not be used.
    #[error("cannot {operation} `{}`: {cause}", .path.display())]
    Storage {
        /// What was to be done, such as `create`.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// A fake was asked for a session it has no script for.
    #[error("the fake has no script left for the cell `{cell}`")]
    NoScript {
        /// The cell.
        cell: String,
    },
}

impl SandboxError {
    /// A fault of this machine's storage.
    pub(crate) fn storage(
        operation: &'static str,
        path: impl Into<PathBuf>,
        error: &std::io::Error,
    ) -> Self {
        Self::Storage {
            operation,
            path: path.into(),
            cause: error.to_string(),
        }
    }

    /// The word a journal keeps for what broke.
    #[must_use]
    pub fn cause(&self) -> InfraCause {
        match self {
            Self::Engine(error) => engine_cause(error),
            Self::Lost { .. } => InfraCause::SandboxLost,
            Self::NotKept { .. } | Self::NoScript { .. } => InfraCause::EngineRefused,
            Self::Storage { .. } => InfraCause::HostStorage,
        }
    }

    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Lost { how, .. } if how.contains("memory") => Some(
                "what ran inside needs more memory than the sandbox has; other cells may have taken the machine's: run fewer at once with `--jobs`".to_owned(),
            ),
            Self::Lost { .. } => {
                Some("see the engine's own log for what ended the sandbox".to_owned())
            }
            Self::NotKept { .. } => {
                Some("a kept sandbox is removed a day after it was stopped; run the cell again with `--keep-failed`".to_owned())
            }
            Self::Storage { cause, .. } if is_full(cause) => {
                Some("free space on the disk that holds it".to_owned())
            }
            Self::Storage { .. } => {
                Some("make it writable for this user, or name another cache folder in `XDG_CACHE_HOME`".to_owned())
            }
            Self::NoScript { .. } => None,
        }
    }

    /// Whether the same can succeed a moment later without anybody mending anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Engine(error) => self.cause() != InfraCause::HostStorage && error.is_transient(),
            Self::Lost { .. } => true,
            Self::NotKept { .. } | Self::Storage { .. } | Self::NoScript { .. } => false,
        }
    }
}

fn engine_cause(error: &EngineError) -> InfraCause {
    match error {
        EngineError::HostUnsupported { .. } | EngineError::Unreachable { .. } => {
            InfraCause::EngineUnreachable
        }
        EngineError::ImageMissing { .. } => InfraCause::ImageMissing,
        EngineError::Died { .. } | EngineError::TimedOut { .. } => InfraCause::EngineDied,
        EngineError::Api { message, .. } if is_full(message) => InfraCause::HostStorage,
        EngineError::Api { .. } | EngineError::Protocol { .. } => InfraCause::EngineRefused,
        EngineError::Source { .. } => InfraCause::HostStorage,
    }
}

/// Whether words of an engine or of the system say that a disk is full (ENOSPC, EDQUOT;
/// `errno(3)`).
fn is_full(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("no space left on device") || words.contains("disk quota exceeded")
}

fn last_words(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!("; its last words: {stderr}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> SandboxError {
        SandboxError::Engine(EngineError::Api {
            operation: "create the sandbox".to_owned(),
            status,
            message: message.to_owned(),
        })
    }

    #[test]
    fn a_full_disk_of_the_engine_is_storage_and_is_not_tried_again() {
        let full = refused(500, "write /var/lib/x: No space left on device");
        assert_eq!(full.cause(), InfraCause::HostStorage);
        assert!(!full.is_transient());
        let other = refused(500, "layer does not exist");
        assert_eq!(other.cause(), InfraCause::EngineRefused);
        assert!(other.is_transient());
        assert!(!refused(409, "name is taken").is_transient());
    }

    #[test]
    fn a_missing_image_names_the_command_that_mends() {
        let missing = SandboxError::Engine(EngineError::ImageMissing {
            image: "sha256:00".to_owned(),
        });
        assert_eq!(missing.cause(), InfraCause::ImageMissing);
        assert!(missing.hint().expect("a hint").contains("images build"));
        assert!(!missing.is_transient());
    }

    #[test]
    fn a_lost_sandbox_tells_its_last_words_once_it_had_some() {
        let lost = |stderr: &str| SandboxError::Lost {
            sandbox: "assay-r-1".to_owned(),
            how: "it exited with code 101".to_owned(),
            stderr: stderr.to_owned(),
        };
        assert_eq!(
            lost("").to_string(),
            "the sandbox `assay-r-1` was lost: it exited with code 101"
        );
        assert!(
            lost("panicked")
                .to_string()
                .ends_with("; its last words: panicked")
        );
        assert_eq!(lost("").cause(), InfraCause::SandboxLost);
    }
}
