//! Bodies the proxy answers with: nothing, a short text, or a stream read by a blocking thread.
//!
//! A body carries the record of its request and counts into it; the record is told when the body
//! is sent or dropped.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::record::Recorder;

/// Streams are read in pieces of this size.
const PIECE: usize = 256 * 1024;

/// Pieces that wait for a slow peer, at most.
const WAITING_PIECES: usize = 4;

/// A body of the proxy.
pub(super) struct ProxyBody {
    content: Content,
    recorder: Option<Recorder>,
}

enum Content {
    /// Nothing more to send.
    Done,
    /// One piece.
    Whole(Bytes),
    /// Pieces from a blocking thread; `left` is what is still owed of a declared length.
    Streamed {
        pieces: mpsc::Receiver<io::Result<Bytes>>,
        left: Option<u64>,
    },
}

impl ProxyBody {
    /// No body.
    pub(super) fn empty(recorder: Recorder) -> Self {
        Self {
            content: Content::Done,
            recorder: Some(recorder),
        }
    }

    /// No body, of an answer whose request is recorded elsewhere.
    pub(super) fn unrecorded() -> Self {
        Self {
            content: Content::Done,
            recorder: None,
        }
    }

    /// A short text.
    pub(super) fn text(text: String, recorder: Recorder) -> Self {
        Self {
            content: Content::Whole(text.into()),
            recorder: Some(recorder),
        }
    }

    /// Everything a reader gives, within limits. The reader is read on a blocking thread, only as
    /// fast as the peer takes it, and dropped when the peer is gone.
    pub(super) fn streamed(
        reader: impl Read + Send + 'static,
        limits: StreamLimits,
        mut recorder: Recorder,
    ) -> Self {
        if limits.length == Some(0) {
            recorder.whole();
        }
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        let left = limits.length;
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            read_pieces(reader, &limits, &sender, &runtime);
            drop(limits.permit);
        });
        Self {
            content: Content::Streamed { pieces, left },
            recorder: Some(recorder),
        }
    }
}

/// What bounds a streamed body.
pub(super) struct StreamLimits {
    /// The bytes it has, if that is known.
    pub(super) length: Option<u64>,
    /// Most bytes it may have.
    pub(super) limit: u64,
    /// How long the peer may take for a piece.
    pub(super) idle_time: Duration,
    /// The right to hold a thread; given back with the thread.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Reads until the end, which is told by an empty piece, the limit, an error, or until nobody takes
/// the pieces.
fn read_pieces(
    mut reader: impl Read,
    limits: &StreamLimits,
    sender: &mpsc::Sender<io::Result<Bytes>>,
    runtime: &Handle,
) {
    let mut sent = 0;
    loop {
        let mut piece = BytesMut::zeroed(PIECE);
        let result = match reader.read(&mut piece) {
            Ok(amount) if sent + amount as u64 > limits.limit => {
                Err(io::Error::other("the body is larger than the limit"))
            }
            Ok(amount) => {
                sent += amount as u64;
                piece.truncate(amount);
                Ok(piece.freeze())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = result.as_ref().map_or(true, Bytes::is_empty);
        let taken =
            runtime.block_on(async { timeout(limits.idle_time, sender.send(result)).await });
        if is_last || !matches!(taken, Ok(Ok(()))) {
            return;
        }
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let piece = match &mut this.content {
            Content::Done => return Poll::Ready(None),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.content = Content::Done;
                Ok(bytes)
            }
            Content::Streamed { pieces, left } => match ready!(pieces.poll_recv(context)) {
                Some(Ok(piece)) if piece.is_empty() && left.is_none_or(|left| left == 0) => {
                    this.content = Content::Done;
                    if let Some(recorder) = &mut this.recorder {
                        recorder.whole();
                    }
                    return Poll::Ready(None);
                }
                Some(Ok(piece)) if left.is_some_and(|left| left < piece.len() as u64) => {
                    Err(io::Error::other("the body is longer than it said"))
                }
                // An end before its time, or a reading thread that gave up.
                Some(Ok(piece)) if piece.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
                None => Err(io::ErrorKind::UnexpectedEof.into()),
                Some(Ok(piece)) => {
                    *left = left.map(|left| left - piece.len() as u64);
                    Ok(piece)
                }
                Some(Err(error)) => Err(error),
            },
        };
        if let Some(recorder) = &mut this.recorder {
            match &piece {
                Ok(bytes) => recorder.add(bytes),
                Err(error) => recorder.fail(&error.to_string()),
            }
            // Of a body whose length is known nobody asks for the end.
            if matches!(this.content, Content::Streamed { left: Some(0), .. }) {
                recorder.whole();
            }
        }
        if piece.is_err() {
            this.content = Content::Done;
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Done | Content::Streamed { left: Some(0), .. } => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Streamed { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Done => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Streamed {
                left: Some(left), ..
            } => SizeHint::with_exact(*left),
            Content::Streamed { left: None, .. } => SizeHint::default(),
        }
    }
}
