//! What a fake executor does, as a list of steps.
//!
//! A script is built in the order of a session (see `assay_wire::control`): [`Script::hello`],
//! [`Script::ready`] (which waits for the program), ops and manifests (each waits for its
//! directive), [`Script::goodbye`]; or anything hostile in between ([`Script::garbage`],
//! [`Script::cut`], [`Script::hang`]). Two directives need no step: an unscripted `Manifest` is
//! answered with an empty one, and `Stop` with `Goodbye`, wherever the script waits for a
//! directive.

use std::collections::BTreeMap;

use assay_wire::control::{Channel, Directive, Purpose, ToRunner};
use assay_wire::digest::{Digest, canonical_json};
use assay_wire::event::{Ending, ExecutorEvent};
use assay_wire::frame::{FrameHeader, MAX_PAYLOAD};
use assay_wire::manifest::ManifestLine;
use assay_wire::plan::OpId;
use assay_wire::program::Pass;
use assay_wire::trace::{StartedFor, TraceLine, TracedProgram};
use serde::Serialize;

use crate::error::SandboxError;
use crate::session::Change;

/// What a fake executor does.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) changes: Vec<Change>,
    pub(super) lost: Option<SandboxError>,
}

/// One thing a fake executor does.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Introduces itself, with the digest of the executor it was given or another.
    Hello(Option<Digest>),
    /// Sends a message.
    Send(ToRunner),
    /// Sends bytes that may be no frames.
    Raw(Vec<u8>),
    /// Opens a stream, sends bytes on it as far as credit goes, closes it. A connection is closed
    /// after the runner's side has closed, all others at once.
    Stream(Purpose, Vec<u8>),
    /// Waits for something.
    Await(Awaited),
    /// Waits for a shell to be opened, sends bytes on it, closes it.
    Shell(Vec<u8>),
    /// Sends nothing more without ending.
    Hang,
}

/// What a fake executor waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The program.
    Program,
    /// This directive.
    Directive(Directive),
    /// `Continue` after the last op, or `Stop`.
    End,
}

/// One performance of an op by a fake executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeOp {
    /// The op.
    pub op: OpId,
    /// Which apply.
    pub pass: Pass,
    /// The words it claims to run.
    pub argv: Vec<String>,
    /// What it prints on standard output.
    pub stdout: Vec<u8>,
    /// What it prints on standard error.
    pub stderr: Vec<u8>,
    /// How it ends.
    pub ending: Ending,
    /// Milliseconds it claims to take.
    pub ms: u64,
}

impl FakeOp {
    /// A command that prints nothing and exits with 0.
    #[must_use]
    pub fn new(op: OpId, pass: Pass) -> Self {
        Self {
            op,
            pass,
            argv: vec!["fake".to_owned()],
            stdout: Vec::new(),
            stderr: Vec::new(),
            ending: Ending::Exited(0),
            ms: 1,
        }
    }
}

impl Script {
    /// A recorded stream: all its bytes are sent, whatever the runner sends, and the executor
    /// ends.
    #[must_use]
    pub fn replay(bytes: Vec<u8>) -> Self {
        Self::default().garbage(bytes)
    }

    /// Introduces itself as the executor it was given.
    #[must_use]
    pub fn hello(self) -> Self {
        self.with(Step::Hello(None))
    }

    /// Introduces itself as another executor.
    #[must_use]
    pub fn hello_as(self, executor_sha256: Digest) -> Self {
        self.with(Step::Hello(Some(executor_sha256)))
    }

    /// Waits for the program and reports that the sandbox is prepared, with the user 1000 added.
    #[must_use]
    pub fn ready(self) -> Self {
        self.ready_with(&[])
    }

    /// The same, after it has sent these files of keys.
    #[must_use]
    pub fn ready_with(self, keyrings: &[(&str, &[u8])]) -> Self {
        let program = self.with(Step::Await(Awaited::Program));
        keyrings
            .iter()
            .fold(program, |script, (path, bytes)| script.keyring(path, bytes))
            .event(ExecutorEvent::Ready {
                uid: 1000,
                gid: 1000,
                user_added: true,
                hosts_added: true,
                untraced: Vec::new(),
                addresses: Vec::new(),
                users: named(&[(0, "root"), (1000, "dev")]),
                groups: named(&[(0, "root"), (1000, "dev")]),
            })
    }

    /// Sends a file of keys at once.
    #[must_use]
    pub fn keyring(self, path: &str, bytes: &[u8]) -> Self {
        let path = path.to_owned();
        self.with(Step::Stream(Purpose::Keyring { path }, bytes.to_vec()))
    }

    /// Waits for `Continue` and performs an op that prints this and exits with 0.
    #[must_use]
    pub fn op_ok(self, op: OpId, pass: Pass, stdout: &str) -> Self {
        self.op(FakeOp {
            stdout: stdout.as_bytes().to_vec(),
            ..FakeOp::new(op, pass)
        })
    }

    /// Waits for `Continue` and performs an op.
    #[must_use]
    pub fn op(self, performed: FakeOp) -> Self {
        let FakeOp {
            op,
            pass,
            argv,
            stdout,
            stderr,
            ending,
            ms,
        } = performed;
        let output = |channel| Purpose::Output { op, pass, channel };
        let traced = TracedProgram {
            id: op.0,
            parent: None,
            started_for: Some(StartedFor::Op),
            pid: 10 + op.0,
            argv: argv.clone(),
            cut: false,
            exe: "/usr/bin/env".to_owned(),
            folder: "/".to_owned(),
            uid: 0,
            gid: 0,
            maintscript: None,
            scripts: Vec::new(),
        };
        self.with(Step::Await(Awaited::Directive(Directive::Continue)))
            .event(ExecutorEvent::OpStarted { op, pass, argv })
            .with(Step::Stream(output(Channel::Stdout), stdout))
            .with(Step::Stream(output(Channel::Stderr), stderr))
            .with(Step::Stream(
                Purpose::Trace {
                    op,
                    pass,
                    events: 1,
                },
                json_lines(&[TraceLine::Program(traced)]),
            ))
            .event(ExecutorEvent::OpFinished {
                op,
                pass,
                ending,
                ms,
            })
    }

    /// Waits for `Continue` and skips an op because its guard holds.
    #[must_use]
    pub fn op_skipped(self, op: OpId, pass: Pass) -> Self {
        self.with(Step::Await(Awaited::Directive(Directive::Continue)))
            .event(ExecutorEvent::GuardAsked {
                op,
                pass,
                held: true,
                ms: 1,
            })
    }

    /// Waits for `Manifest` and reports these changes.
    #[must_use]
    pub fn manifest(self, lines: &[ManifestLine]) -> Self {
        self.with(Step::Await(Awaited::Directive(Directive::Manifest)))
            .manifest_sent(lines)
    }

    /// Waits for `Continue` or `Stop`, says `Goodbye` and ends.
    #[must_use]
    pub fn goodbye(self) -> Self {
        self.with(Step::Await(Awaited::End))
            .message(ToRunner::Goodbye)
    }

    /// Reports a fact at once.
    #[must_use]
    pub fn event(self, event: ExecutorEvent) -> Self {
        self.message(ToRunner::Event(event))
    }

    /// Sends a message at once.
    #[must_use]
    pub fn message(self, message: ToRunner) -> Self {
        self.with(Step::Send(message))
    }

    /// Connects to the proxy, sends these bytes and waits until the proxy has closed.
    #[must_use]
    pub fn connects(self, op: Option<OpId>, request: Vec<u8>) -> Self {
        let purpose = Purpose::Connect {
            op,
            asker: None,
            trusts: true,
        };
        self.with(Step::Stream(purpose, request))
    }

    /// Waits until a shell is opened, prints this on it and ends the shell.
    #[must_use]
    pub fn shell(self, printed: &str) -> Self {
        self.with(Step::Shell(printed.as_bytes().to_vec()))
    }

    /// Sends bytes that may be no frames.
    #[must_use]
    pub fn garbage(self, bytes: Vec<u8>) -> Self {
        self.with(Step::Raw(bytes))
    }

    /// Ends here without `Goodbye`, and this is why.
    #[must_use]
    pub fn cut(mut self, lost: SandboxError) -> Self {
        self.lost = Some(lost);
        self
    }

    /// Neither sends anything more nor ends.
    #[must_use]
    pub fn hang(self) -> Self {
        self.with(Step::Hang)
    }

    /// What the engine lists as changed.
    #[must_use]
    pub fn changes(mut self, changes: Vec<Change>) -> Self {
        self.changes = changes;
        self
    }

    fn manifest_sent(self, lines: &[ManifestLine]) -> Self {
        self.with(Step::Stream(Purpose::Manifest, json_lines(lines)))
            .event(manifest_taken(lines.len()))
    }

    fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// What is reported after a manifest of so many lines.
pub(super) fn manifest_taken(lines: usize) -> ExecutorEvent {
    ExecutorEvent::ManifestTaken {
        entries: lines as u64,
        hashed: 0,
        omitted: 0,
        unreadable: 0,
        mounts: Vec::new(),
        ms: 1,
    }
}

fn named(names: &[(u32, &str)]) -> BTreeMap<u32, String> {
    let name = |(id, name): &(u32, &str)| (*id, (*name).to_owned());
    names.iter().map(name).collect()
}

fn json_lines(lines: &[impl Serialize]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| (canonical_json(line) + "\n").into_bytes())
        .collect()
}

/// A message as it is sent.
#[must_use]
pub fn message_frame<T: Serialize>(message: &T) -> Vec<u8> {
    let payload = canonical_json(message);
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [
        &FrameHeader::message(length).encode()[..],
        payload.as_bytes(),
    ]
    .concat()
}

/// Bytes of a stream as they are sent, in as many frames as they need; none for no bytes.
#[must_use]
pub fn bytes_frames(stream: u32, bytes: &[u8]) -> Vec<u8> {
    bytes
        .chunks(MAX_PAYLOAD)
        .flat_map(|chunk| {
            let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            [&FrameHeader::bytes(stream, length).encode()[..], chunk].concat()
        })
        .collect()
}
