//! JSON Lines on a stream, in large pieces.

use std::sync::Arc;

use serde::Serialize;

use super::{CHUNK, Stream, StreamBroken};

/// Sends lines; what is pending is sent by [`LineSender::flush`].
pub(crate) struct LineSender<'s> {
    stream: &'s Arc<Stream>,
    pending: Vec<u8>,
}

impl<'s> LineSender<'s> {
    pub(crate) fn new(stream: &'s Arc<Stream>) -> Self {
        Self {
            stream,
            pending: Vec::with_capacity(CHUNK),
        }
    }

    pub(crate) fn send(&mut self, line: &impl Serialize) -> Result<(), StreamBroken> {
        serde_json::to_writer(&mut self.pending, line).expect("lines have string keys");
        self.pending.push(b'\n');
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), StreamBroken> {
        let result = self.stream.send(&self.pending);
        self.pending.clear();
        result
    }
}
