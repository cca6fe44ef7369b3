//! The runner's end of the wire: one session's byte stream cut into streams, with credits.
//!
//! A link moves bytes and checks the rules of [`assay_wire::frame`]; it judges nothing. What the
//! executor sends is hostile: a frame outside the rules, bytes beyond the credit given, or a
//! message that cannot be read end the link with a [`LinkError`], and with it the attempt.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use assay_wire::control::{Close, Credit, Open, Purpose, ToExecutor, ToRunner};
use assay_wire::frame::{FrameError, FrameHeader, FrameKind, HEADER, MAX_PAYLOAD, WINDOW};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{Semaphore, mpsc};

/// Most streams open at once: an op cannot exhaust the runner by opening connections.
const MAX_STREAMS: usize = 1024;

/// Bytes of a stream sent in one frame.
const CHUNK: usize = 128 << 10;

/// What can go wrong with a link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The stream ended or broke before `Goodbye`.
    #[error("the sandbox's stream was cut")]
    Cut(#[source] io::Error),
    /// A frame outside the rules.
    #[error("the sandbox's stream is damaged: {0}")]
    Frame(#[from] FrameError),
    /// A message that is none.
    #[error("the sandbox sent a message that cannot be read: {0}")]
    Message(#[source] serde_json::Error),
    /// A message at a place where it may not stand.
    #[error("the sandbox broke the protocol: {0}")]
    Protocol(String),
}

/// What arrives for the driver of a cell, in the order sent.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message other than what the link handles itself.
    Message(ToRunner),
    /// A stream of output or of a manifest was opened.
    Opened(u32, Purpose),
    /// Bytes of such a stream. They must be given back with [`Link::consumed`].
    Bytes(u32, Bytes),
    /// The executor sends nothing more on such a stream.
    Closed(u32, Option<String>),
    /// A connection was opened: one end of it.
    Connection(Purpose, DuplexStream),
    /// The link is gone; nothing follows.
    Gone(LinkError),
}

/// The sending half, shared by everything that speaks to one session.
#[derive(Clone)]
pub(crate) struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    frames: mpsc::Sender<(FrameHeader, Bytes)>,
    messages: mpsc::UnboundedSender<Bytes>,
    streams: Mutex<BTreeMap<u32, Stream>>,
    next: AtomicU32,
}

struct Stream {
    /// What the executor may still send before it is given more.
    window: u64,
    /// What we may send.
    credit: Arc<Semaphore>,
    /// Where its bytes go; `None`: to the driver.
    sink: Option<mpsc::UnboundedSender<Bytes>>,
    closed_by_us: bool,
    closed_by_them: bool,
}

impl Link {
    /// Starts the link over a session's channel. Everything that arrives comes out of the receiver.
    pub(crate) fn start<R, W>(reader: R, writer: W) -> (Self, mpsc::Receiver<Incoming>)
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (frames, frames_out) = mpsc::channel(64);
        let (messages, messages_out) = mpsc::unbounded_channel();
        let (incoming, arrivals) = mpsc::channel(256);
        let shared = Arc::new(Shared {
            frames,
            messages,
            streams: Mutex::default(),
            next: AtomicU32::new(2),
        });
        let link = Self { shared };
        tokio::spawn(write_frames(writer, messages_out, frames_out));
        tokio::spawn(read_frames(reader, link.clone(), incoming));
        (link, arrivals)
    }

    /// Sends a message. If the link is gone, its receiver says so.
    pub(crate) fn send(&self, message: &ToExecutor) {
        // Serializing a wire type into memory cannot fail; a closed channel is reported elsewhere.
        if let Ok(text) = serde_json::to_vec(message) {
            let _ = self.shared.messages.send(text.into());
        }
    }

    /// Gives credit for bytes the driver has consumed.
    pub(crate) fn consumed(&self, stream: u32, bytes: usize) {
        let bytes = bytes as u64;
        let known = self.with_stream(stream, |entry| {
            entry.window = entry.window.saturating_add(bytes)
        });
        if known.is_some() {
            self.send(&ToExecutor::Credit(Credit { stream, bytes }));
        }
    }

    /// Opens a stream and gives one end of it. The pumps end with the streams.
    pub(crate) fn open(&self, purpose: Purpose) -> (u32, DuplexStream) {
        let stream = self.shared.next.fetch_add(2, Ordering::Relaxed);
        let end = self.attach(stream);
        self.send(&ToExecutor::Open(Open { stream, purpose }));
        (stream, end)
    }

    /// Registers a stream both sides send on and starts its pumps.
    fn attach(&self, stream: u32) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(2 * CHUNK);
        let (sink, bytes) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW as usize));
        self.register(stream, Some(sink), Arc::clone(&credit));
        let (from_proxy, to_proxy) = tokio::io::split(ours);
        tokio::spawn(pump_in(self.clone(), stream, bytes, to_proxy));
        tokio::spawn(pump_out(self.clone(), stream, credit, from_proxy));
        theirs
    }

    fn register(
        &self,
        stream: u32,
        sink: Option<mpsc::UnboundedSender<Bytes>>,
        credit: Arc<Semaphore>,
    ) {
        let entry = Stream {
            window: WINDOW,
            credit,
            sink,
            closed_by_us: false,
            closed_by_them: false,
        };
        self.lock().insert(stream, entry);
    }

    /// Says that we send nothing more on a stream; forgets it if they do not either. The message
    /// goes behind the stream's bytes, not past them as other messages do.
    async fn close(&self, stream: u32) {
        {
            let mut streams = self.lock();
            let Some(entry) = streams.get_mut(&stream) else {
                return;
            };
            entry.closed_by_us = true;
            if entry.closed_by_them {
                streams.remove(&stream);
            }
        }
        if let Ok(text) = serde_json::to_vec(&ToExecutor::Close(Close {
            stream,
            error: None,
        })) {
            let header = FrameHeader::message(u32::try_from(text.len()).unwrap_or(u32::MAX));
            // If the link is gone, its receiver says so.
            let _ = self.shared.frames.send((header, text.into())).await;
        }
    }

    fn with_stream<T>(&self, stream: u32, f: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        self.lock().get_mut(&stream).map(f)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Stream>> {
        self.shared
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles one message; what is not the link's own is passed on.
    fn handle(&self, message: ToRunner) -> Result<Option<Incoming>, LinkError> {
        let breach = |what: String| LinkError::Protocol(what);
        match message {
            ToRunner::Open(Open { stream, purpose }) => {
                if stream % 2 == 0 || self.lock().contains_key(&stream) {
                    return Err(breach(format!(
                        "it opened stream {stream}, which is not its to open"
                    )));
                }
                if self.lock().len() >= MAX_STREAMS {
                    return Err(breach(format!("more than {MAX_STREAMS} streams at once")));
                }
                match purpose {
                    Purpose::Output { .. }
                    | Purpose::Manifest
                    | Purpose::Trace { .. }
                    | Purpose::Keyring { .. } => {
                        self.register(stream, None, Arc::new(Semaphore::new(0)));
                        Ok(Some(Incoming::Opened(stream, purpose)))
                    }
                    Purpose::Connect { .. } => {
                        Ok(Some(Incoming::Connection(purpose, self.attach(stream))))
                    }
                    Purpose::Blob { .. } | Purpose::Pty { .. } => Err(breach(
                        "it opened a stream that only the runner opens".into(),
                    )),
                }
            }
            ToRunner::Credit(Credit { stream, bytes }) => {
                let fits = self.with_stream(stream, |entry| {
                    let bytes = usize::try_from(bytes).ok()?;
                    (entry.credit.available_permits().checked_add(bytes)? <= Semaphore::MAX_PERMITS)
                        .then(|| entry.credit.add_permits(bytes))
                });
                // Credit for a stream that is gone already is not a fault: it was on its way.
                if fits == Some(None) {
                    return Err(breach(format!("it gave {bytes} bytes of credit")));
                }
                Ok(None)
            }
            ToRunner::Close(Close { stream, error }) => {
                let mut streams = self.lock();
                let Some(entry) = streams.get_mut(&stream) else {
                    return Ok(None);
                };
                entry.closed_by_them = true;
                let for_driver = entry.sink.take().is_none();
                if entry.closed_by_us || for_driver || error.is_some() {
                    entry.credit.close();
                    streams.remove(&stream);
                }
                Ok(for_driver.then_some(Incoming::Closed(stream, error)))
            }
            message @ (ToRunner::Hello(_) | ToRunner::Event(_) | ToRunner::Goodbye) => {
                Ok(Some(Incoming::Message(message)))
            }
        }
    }

    /// Handles bytes of a stream.
    fn deliver(&self, stream: u32, bytes: Bytes) -> Result<Option<Incoming>, LinkError> {
        let mut streams = self.lock();
        let Some(entry) = streams.get_mut(&stream) else {
            // The stream may have ended here while these bytes were on their way.
            return Ok(None);
        };
        let length = bytes.len() as u64;
        if entry.closed_by_them || length > entry.window {
            return Err(LinkError::Protocol(format!(
                "{length} bytes on stream {stream} beyond what it may send"
            )));
        }
        entry.window -= length;
        match &entry.sink {
            Some(sink) => {
                // A pump that has ended wants nothing more; the credit is simply not given back.
                let _ = sink.send(bytes);
                Ok(None)
            }
            None => Ok(Some(Incoming::Bytes(stream, bytes))),
        }
    }
}

/// Reads frames until the link is gone.
async fn read_frames<R: AsyncRead + Unpin>(
    reader: R,
    link: Link,
    incoming: mpsc::Sender<Incoming>,
) {
    let error = match read_until_goodbye(reader, &link, &incoming).await {
        Ok(()) => return,
        Err(error) => error,
    };
    // Every pump ends: senders of credit and of bytes are dropped with the streams.
    link.lock()
        .values()
        .for_each(|stream| stream.credit.close());
    link.lock().clear();
    let _ = incoming.send(Incoming::Gone(error)).await;
}

async fn read_until_goodbye<R: AsyncRead + Unpin>(
    reader: R,
    link: &Link,
    incoming: &mpsc::Sender<Incoming>,
) -> Result<(), LinkError> {
    let mut reader = tokio::io::BufReader::with_capacity(CHUNK, reader);
    loop {
        let mut head = [0; HEADER];
        reader.read_exact(&mut head).await.map_err(LinkError::Cut)?;
        let header = FrameHeader::decode(head)?;
        let mut payload = BytesMut::zeroed((header.length as usize).min(MAX_PAYLOAD));
        reader
            .read_exact(&mut payload)
            .await
            .map_err(LinkError::Cut)?;
        let arrived = match header.kind {
            FrameKind::Bytes => link.deliver(header.stream, payload.freeze())?,
            FrameKind::Message => {
                link.handle(serde_json::from_slice(&payload).map_err(LinkError::Message)?)?
            }
        };
        if let Some(arrived) = arrived {
            let last = matches!(arrived, Incoming::Message(ToRunner::Goodbye));
            if incoming.send(arrived).await.is_err() || last {
                return Ok(());
            }
        }
    }
}

/// Writes frames, messages first: control is never held back by bytes.
async fn write_frames<W: AsyncWrite + Unpin>(
    writer: W,
    mut messages: mpsc::UnboundedReceiver<Bytes>,
    mut frames: mpsc::Receiver<(FrameHeader, Bytes)>,
) {
    let mut writer = tokio::io::BufWriter::with_capacity(CHUNK, writer);
    loop {
        let (header, payload) = tokio::select! {
            biased;
            Some(text) = messages.recv() => {
                (FrameHeader::message(u32::try_from(text.len()).unwrap_or(u32::MAX)), text)
            }
            Some(frame) = frames.recv() => frame,
            else => break,
        };
        let written = async {
            writer.write_all(&header.encode()).await?;
            writer.write_all(&payload).await?;
            if messages.is_empty() && frames.is_empty() {
                writer.flush().await
            } else {
                Ok(())
            }
        };
        // A write that fails means that the other side is gone, which the reader reports.
        if written.await.is_err() {
            break;
        }
    }
}

/// Bytes of a stream from the executor to our end of the pipe.
async fn pump_in(
    link: Link,
    stream: u32,
    mut bytes: mpsc::UnboundedReceiver<Bytes>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
) {
    while let Some(chunk) = bytes.recv().await {
        if to.write_all(&chunk).await.is_err() {
            // Nobody reads any more: what still comes within the window is dropped.
            return;
        }
        link.consumed(stream, chunk.len());
    }
    let _ = to.shutdown().await;
}

/// Bytes of a stream from our end of the pipe to the executor, against credit.
async fn pump_out(
    link: Link,
    stream: u32,
    credit: Arc<Semaphore>,
    mut from: tokio::io::ReadHalf<DuplexStream>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        match from.read_buf(&mut buffer).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
        let mut rest = buffer.split().freeze();
        while !rest.is_empty() {
            let want = rest.len().min(CHUNK);
            // Take what there is rather than wait for room for everything.
            let Ok(first) = credit.acquire().await else {
                return;
            };
            first.forget();
            let more = credit.available_permits().min(want - 1);
            let taken = match credit.try_acquire_many(u32::try_from(more).unwrap_or(u32::MAX)) {
                Ok(permits) => {
                    permits.forget();
                    more + 1
                }
                Err(_) => 1,
            };
            let piece = rest.split_to(taken);
            let header = FrameHeader::bytes(stream, u32::try_from(taken).unwrap_or(u32::MAX));
            if link.shared.frames.send((header, piece)).await.is_err() {
                return;
            }
        }
    }
    link.close(stream).await;
}
