//! The executor's standard output out of an engine's attached stream.
//!
//! The engine wraps what a container writes in frames that name the channel (Docker Engine API,
//! "Attach to a container", stream format); the client library unwraps them. Here standard output
//! becomes a plain byte stream, and standard error, which must stay empty, is kept for
//! [`SandboxError::Lost`](crate::error::SandboxError::Lost), bounded.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bollard::container::LogOutput;
use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of standard error that are kept: the last ones.
const KEPT_BYTES: usize = 8 << 10;

type Frames = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// Standard output as bytes.
pub(super) struct StdoutReader {
    frames: Frames,
    rest: Bytes,
    stderr: StderrTail,
}

impl StdoutReader {
    pub(super) fn new(frames: Frames, stderr: StderrTail) -> Self {
        Self {
            frames,
            rest: Bytes::new(),
            stderr,
        }
    }
}

impl AsyncRead for StdoutReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match self.frames.as_mut().poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Ok(LogOutput::StdOut { message }))) => self.rest = message,
                Poll::Ready(Some(Ok(LogOutput::StdErr { message }))) => self.stderr.push(&message),
                Poll::Ready(Some(Ok(LogOutput::StdIn { .. }))) => {}
                // The library's word for bytes outside any frame: a frame cut short, or an
                // engine's own error in place of one.
                Poll::Ready(Some(Ok(LogOutput::Console { .. }))) => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the engine's stream was cut within a frame",
                    )));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// The last bytes of standard error, shared between the reader that collects them and the session
/// that tells them.
#[derive(Debug, Clone, Default)]
pub(super) struct StderrTail(Arc<Mutex<VecDeque<u8>>>);

impl StderrTail {
    fn push(&self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT_BYTES)..];
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let surplus = (kept.len() + bytes.len()).saturating_sub(KEPT_BYTES);
        kept.drain(..surplus);
        kept.extend(bytes);
    }

    /// The bytes as text on one line without control characters.
    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        String::from_utf8_lossy(&bytes)
            .trim()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn reader(frames: Vec<LogOutput>) -> (StdoutReader, StderrTail) {
        let tail = StderrTail::default();
        let frames = Box::pin(stream::iter(frames.into_iter().map(Ok)));
        (StdoutReader::new(frames, tail.clone()), tail)
    }

    #[tokio::test]
    async fn output_is_joined_and_errors_are_kept_apart() {
        let (mut reader, tail) = reader(vec![
            LogOutput::StdOut {
                message: "ab".into(),
            },
            LogOutput::StdErr {
                message: "oh\n\x1b[31m no\n".into(),
            },
            LogOutput::StdOut {
                message: Bytes::new(),
            },
            LogOutput::StdOut {
                message: "cd".into(),
            },
        ]);
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .await
            .expect("a whole stream");
        assert_eq!(bytes, b"abcd");
        assert_eq!(tail.text(), "oh  [31m no");
    }

    #[tokio::test]
    async fn a_frame_cut_short_is_no_end() {
        let (mut reader, _) = reader(vec![
            LogOutput::StdOut {
                message: "ab".into(),
            },
            LogOutput::Console {
                message: "\x01\0\0".into(),
            },
        ]);
        let error = reader.read_to_end(&mut Vec::new()).await.expect_err("cut");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn only_the_end_of_errors_is_kept() {
        let tail = StderrTail::default();
        tail.push(&[b'a'; 3 * KEPT_BYTES]);
        for _ in 0..KEPT_BYTES {
            tail.push(b"b");
        }
        tail.push(b"c");
        let text = tail.text();
        assert_eq!(text.len(), KEPT_BYTES);
        assert!(text.starts_with('b') && text.ends_with("bc"));
    }
}
