//! Plays a script as an executor would: frames, credit and directives by the rules of the wire.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use assay_wire::PROTOCOL;
use assay_wire::control::{Close, Credit, Directive, Hello, Open, Purpose, ToExecutor, ToRunner};
use assay_wire::digest::Digest;
use assay_wire::event::ExecutorEvent;
use assay_wire::frame::{FrameHeader, FrameKind, HEADER, MAX_PAYLOAD, WINDOW};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::script::{Awaited, Step, bytes_frames, manifest_taken, message_frame};
use super::{SharedRecording, lock};

/// Plays the steps, then ends the stream and records what the runner still sends.
pub(super) async fn play(
    steps: Vec<Step>,
    pipe: DuplexStream,
    executor_sha256: Digest,
    recording: SharedRecording,
) {
    let mut player = Player {
        pipe,
        executor_sha256,
        recording,
        next_stream: 1,
        credit: BTreeMap::new(),
        closed: BTreeSet::new(),
        waiting: VecDeque::new(),
        shells: VecDeque::new(),
    };
    // An error means that the runner has hung up: nobody is left to play to.
    let _ = player.perform(steps).await;
    let _ = player.pipe.shutdown().await;
    while player.receive().await.is_ok() {}
}

struct Player {
    pipe: DuplexStream,
    executor_sha256: Digest,
    recording: SharedRecording,
    /// The next stream of the executor's.
    next_stream: u32,
    /// Bytes that may still be sent, by stream of the executor's.
    credit: BTreeMap<u32, u64>,
    /// Streams the runner has closed.
    closed: BTreeSet<u32>,
    /// Programs and directives not yet acted upon.
    waiting: VecDeque<ToExecutor>,
    /// Shells not yet acted upon.
    shells: VecDeque<u32>,
}

/// Whether a script goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Step,
    End,
}

impl Player {
    async fn perform(&mut self, steps: Vec<Step>) -> io::Result<()> {
        for step in steps {
            match step {
                Step::Hello(other) => {
                    let executor_sha256 = other.unwrap_or(self.executor_sha256);
                    self.send(&ToRunner::Hello(Hello {
                        protocol: PROTOCOL,
                        executor_sha256,
                    }))
                    .await?;
                }
                Step::Send(message) => self.send(&message).await?,
                Step::Raw(bytes) => self.pipe.write_all(&bytes).await?,
                Step::Stream(purpose, bytes) => self.stream(purpose, &bytes).await?,
                Step::Shell(bytes) => self.shell(&bytes).await?,
                Step::Await(awaited) => {
                    if self.wait_for(awaited).await? == Next::End {
                        return Ok(());
                    }
                }
                Step::Hang => loop {
                    self.receive().await?;
                },
            }
        }
        Ok(())
    }

    async fn wait_for(&mut self, awaited: Awaited) -> io::Result<Next> {
        loop {
            let message = loop {
                match self.waiting.pop_front() {
                    Some(message) => break message,
                    None => self.receive().await?,
                }
            };
            let directive = match (message, awaited) {
                (ToExecutor::Program(_), Awaited::Program) => return Ok(Next::Step),
                (ToExecutor::Directive(directive), _) => directive,
                (other, _) => return self.break_off(awaited, &other).await,
            };
            match (directive, awaited) {
                (Directive::Continue | Directive::Stop, Awaited::End) => return Ok(Next::Step),
                (_, Awaited::Directive(expected)) if directive == expected => {
                    return Ok(Next::Step);
                }
                (Directive::Manifest, Awaited::Directive(_) | Awaited::End) => {
                    self.stream(Purpose::Manifest, b"").await?;
                    self.send(&ToRunner::Event(manifest_taken(0))).await?;
                }
                (Directive::Stop, Awaited::Directive(_)) => {
                    self.send(&ToRunner::Goodbye).await?;
                    return Ok(Next::End);
                }
                (Directive::Continue, Awaited::Directive(_)) | (_, Awaited::Program) => {
                    return self
                        .break_off(awaited, &ToExecutor::Directive(directive))
                        .await;
                }
            }
        }
    }

    /// Records what was not expected, reports it as an executor would and ends.
    async fn break_off(&mut self, awaited: Awaited, sent: &ToExecutor) -> io::Result<Next> {
        let message = format!("the script awaits {awaited:?}, the runner sent {sent:?}");
        lock(&self.recording)
            .unexpected
            .get_or_insert_with(|| message.clone());
        self.send(&ToRunner::Event(ExecutorEvent::Broken { message }))
            .await?;
        Ok(Next::End)
    }

    async fn stream(&mut self, purpose: Purpose, bytes: &[u8]) -> io::Result<()> {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.credit.insert(stream, WINDOW);
        let is_connection = matches!(purpose, Purpose::Connect { .. });
        self.send(&ToRunner::Open(Open { stream, purpose })).await?;
        self.send_on(stream, bytes).await?;
        while is_connection && !self.closed.contains(&stream) {
            self.receive().await?;
        }
        self.send(&ToRunner::Close(Close {
            stream,
            error: None,
        }))
        .await
    }

    async fn shell(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = loop {
            match self.shells.pop_front() {
                Some(stream) => break stream,
                None => self.receive().await?,
            }
        };
        self.send_on(stream, bytes).await?;
        self.send(&ToRunner::Close(Close {
            stream,
            error: None,
        }))
        .await
    }

    /// Sends bytes as far as credit goes, and the rest as it comes.
    async fn send_on(&mut self, stream: u32, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let credit = self.credit.get(&stream).copied().unwrap_or_default();
            let count = bytes
                .len()
                .min(MAX_PAYLOAD)
                .min(usize::try_from(credit).unwrap_or(usize::MAX));
            if count == 0 {
                self.receive().await?;
                continue;
            }
            let (now, later) = bytes.split_at(count);
            self.pipe.write_all(&bytes_frames(stream, now)).await?;
            self.credit.insert(stream, credit - count as u64);
            bytes = later;
        }
        Ok(())
    }

    async fn send(&mut self, message: &ToRunner) -> io::Result<()> {
        self.pipe.write_all(&message_frame(message)).await
    }

    /// Reads, records and takes note of one frame; an error once the runner has hung up or sends
    /// what is no frame.
    async fn receive(&mut self) -> io::Result<()> {
        let mut header = [0; HEADER];
        self.pipe.read_exact(&mut header).await?;
        let header = FrameHeader::decode(header).map_err(|error| self.damaged(&error))?;
        let mut payload = vec![0; header.length as usize];
        self.pipe.read_exact(&mut payload).await?;
        match header.kind {
            FrameKind::Bytes => {
                let stream = header.stream;
                lock(&self.recording)
                    .bytes
                    .entry(stream)
                    .or_default()
                    .extend(payload);
                let bytes = u64::from(header.length);
                // The runner may be gone by now, which the next read tells.
                let _ = self.send(&ToRunner::Credit(Credit { stream, bytes })).await;
            }
            FrameKind::Message => {
                let message: ToExecutor =
                    serde_json::from_slice(&payload).map_err(|error| self.damaged(&error))?;
                lock(&self.recording).messages.push(message.clone());
                self.note(message);
            }
        }
        Ok(())
    }

    fn note(&mut self, message: ToExecutor) {
        match message {
            ToExecutor::Program(_) | ToExecutor::Directive(_) => self.waiting.push_back(message),
            ToExecutor::Open(Open { stream, purpose }) => {
                self.credit.insert(stream, WINDOW);
                if matches!(purpose, Purpose::Pty { .. }) {
                    self.shells.push_back(stream);
                }
            }
            ToExecutor::Credit(Credit { stream, bytes }) => {
                *self.credit.entry(stream).or_default() += bytes;
            }
            ToExecutor::Close(Close { stream, .. }) => {
                self.closed.insert(stream);
            }
            ToExecutor::Resize { .. } => {}
        }
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> io::Error {
        let message = format!("the runner sent what is no frame: {error}");
        lock(&self.recording)
            .unexpected
            .get_or_insert_with(|| message.clone());
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}
