//! Faults of the executor's own work. Any of them ends the session as `Broken`; an op that fails
//! is not a fault but an ending.

use std::io;

/// Why a session is of no further use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The runner broke the protocol.
    #[error("the runner broke the protocol: {0}")]
    Protocol(String),
    /// Something the executor itself needs failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, such as `adding the user`.
        what: String,
        /// How it failed.
        source: io::Error,
    },
    /// Bytes of a blob are not what they were announced as.
    #[error("blob {announced}: {problem}")]
    Blob {
        /// What the bytes should hash to.
        announced: String,
        /// What is wrong with them.
        problem: String,
    },
}

impl Fault {
    /// Wraps an I/O error with what was tried; for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |source| Self::Io {
            what,
            source: source.into(),
        }
    }
}
