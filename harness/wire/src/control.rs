//! Messages of stream 0: how a session is opened, driven and cut into streams.
//!
//! A session: the executor sends `Hello`; the runner opens one stream per blob, sends its bytes and
//! closes it, then sends the program; the executor prepares (the user `dev`, the proxy's listener)
//! and reports `Ready`; from then on, and again after every op that finished or was skipped and
//! after every manifest taken, it waits for a directive. After `Stop`, or after the last op's
//! `Continue`, it kills what still runs, sends `Goodbye` and ends.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::event::{Asker, ExecutorEvent};
use crate::plan::OpId;
use crate::program::{Pass, Program};

/// Most bytes of one file of keys.
pub const MAX_KEYRING: u64 = 4 << 20;

/// Most files of keys of one image.
pub const MAX_KEYRINGS: usize = 64;

/// What the executor sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToRunner {
    /// The first message of a session.
    Hello(Hello),
    /// A fact.
    Event(ExecutorEvent),
    /// A stream is opened.
    Open(Open),
    /// More may be sent on a stream.
    Credit(Credit),
    /// The sender sends nothing more on a stream.
    Close(Close),
    /// The last message of a session that ended as it should.
    Goodbye,
}

/// What the runner sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToExecutor {
    /// What is to be done; sent once.
    Program(Box<Program>),
    /// What happens next.
    Directive(Directive),
    /// A stream is opened.
    Open(Open),
    /// More may be sent on a stream.
    Credit(Credit),
    /// The sender sends nothing more on a stream.
    Close(Close),
    /// A terminal has a new size.
    Resize {
        /// The stream of the terminal.
        stream: u32,
        /// Its size.
        size: TerminalSize,
    },
}

/// How the executor introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// [`crate::PROTOCOL`].
    pub protocol: u32,
    /// sha256 of the executor's own binary, as it reads itself.
    pub executor_sha256: Digest,
}

/// What the executor does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directive {
    /// Perform the next op; after the last, end.
    Continue,
    /// Walk the file system, report the manifest, wait again.
    Manifest,
    /// Perform nothing more and end.
    Stop,
}

/// A stream is opened by the sender of this message. Both sides may send on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Its number: odd if the executor opens it, even if the runner does.
    pub stream: u32,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a stream is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Purpose {
    /// What an op prints. Opened by the executor, which alone sends on it.
    Output {
        /// The op.
        op: OpId,
        /// Which apply.
        pass: Pass,
        /// Which of its channels.
        channel: Channel,
    },
    /// A connection from inside the sandbox to the proxy. Opened by the executor.
    Connect {
        /// The op that runs, if one does.
        op: Option<OpId>,
        /// Who connected, as far as can be told.
        asker: Option<Asker>,
        /// True if tools inside can be told to trust the run's certificate: there is a trust store
        /// to add it to.
        trusts: bool,
    },
    /// Verified bytes for the ops that write them. Opened by the runner, which alone sends.
    Blob {
        /// What the bytes hash to; the executor checks.
        sha256: Digest,
        /// How many there are.
        bytes: u64,
    },
    /// A manifest, as JSON Lines of [`crate::manifest::ManifestLine`]. Opened by the executor.
    Manifest,
    /// What was traced of an op's programs, as JSON Lines of [`crate::trace::TraceLine`]. Opened by
    /// the executor, before it says that the op is over.
    Trace {
        /// The op.
        op: OpId,
        /// Which apply.
        pass: Pass,
        /// How much was told, with all repetitions.
        events: u64,
    },
    /// A file of keys of the image ([`crate::program::HarnessEnv::keyrings`]), at most
    /// [`MAX_KEYRING`] bytes. Opened by the executor, which alone sends, before it is `Ready`.
    Keyring {
        /// The file, escaped.
        path: String,
    },
    /// A shell on a terminal. Opened by the runner.
    Pty {
        /// The terminal's size.
        size: TerminalSize,
        /// True for root's shell, false for `dev`'s.
        root: bool,
    },
}

/// A channel of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// The receiver of a stream's bytes has consumed some; as many more may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// The stream.
    pub stream: u32,
    /// How many more bytes.
    pub bytes: u64,
}

/// The sender of this message sends nothing more on a stream. A stream is gone when both sides
/// have closed it, or when one closed it with an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The stream.
    pub stream: u32,
    /// Why, if it did not end as it should.
    pub error: Option<String>,
}
