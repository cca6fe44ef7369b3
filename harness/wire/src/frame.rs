//! Frames: the one full-duplex byte stream of a session, cut into pieces of numbered streams.
//!
//! A frame is `u32le length, u8 kind, u32le stream, payload`: nine bytes, then `length` bytes of
//! payload, at most [`MAX_PAYLOAD`]. Kind 0 is one JSON message of [`crate::control`], on stream 0
//! only; kind 1 is bytes of an open stream. Stream 0 is control and is never held back by others:
//! bytes are sent only against credit (first window [`WINDOW`] each way, more by
//! [`crate::control::Credit`]), messages always. Streams the executor opens are odd, streams the
//! runner opens are even; a number is never used twice in a session.
//!
//! What arrives is hostile: a header outside these rules ends the session.

use std::fmt;

/// Bytes of a frame's header.
pub const HEADER: usize = 9;

/// Most bytes of payload in one frame.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Bytes either side may send on a fresh stream before it is given credit.
pub const WINDOW: u64 = 256 << 10;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// One JSON message, on stream 0.
    Message,
    /// Bytes of a stream other than 0.
    Bytes,
}

/// The first nine bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload.
    pub length: u32,
    /// What the payload is.
    pub kind: FrameKind,
    /// The stream.
    pub stream: u32,
}

/// A header outside the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The payload would be longer than [`MAX_PAYLOAD`].
    TooLong(u32),
    /// The kind is neither 0 nor 1.
    UnknownKind(u8),
    /// A message on a stream other than 0, or bytes on stream 0.
    WrongStream(u32),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(f, "a frame of {length} bytes, more than {MAX_PAYLOAD}")
            }
            Self::UnknownKind(kind) => write!(f, "a frame of unknown kind {kind}"),
            Self::WrongStream(stream) => {
                write!(f, "a frame whose kind does not belong on stream {stream}")
            }
        }
    }
}

impl std::error::Error for FrameError {}

impl FrameHeader {
    /// The header of one message.
    #[must_use]
    pub fn message(length: u32) -> Self {
        Self {
            length,
            kind: FrameKind::Message,
            stream: 0,
        }
    }

    /// The header of bytes of a stream.
    #[must_use]
    pub fn bytes(stream: u32, length: u32) -> Self {
        Self {
            length,
            kind: FrameKind::Bytes,
            stream,
        }
    }

    /// The header as sent.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..4].copy_from_slice(&self.length.to_le_bytes());
        out[4] = match self.kind {
            FrameKind::Message => 0,
            FrameKind::Bytes => 1,
        };
        out[5..].copy_from_slice(&self.stream.to_le_bytes());
        out
    }

    /// Reads a header as received.
    ///
    /// # Errors
    /// If it is outside the rules of the module.
    pub fn decode(bytes: [u8; HEADER]) -> Result<Self, FrameError> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let (length, stream) = (word(0), word(5));
        let kind = match bytes[4] {
            0 => FrameKind::Message,
            1 => FrameKind::Bytes,
            other => return Err(FrameError::UnknownKind(other)),
        };
        if length as usize > MAX_PAYLOAD {
            return Err(FrameError::TooLong(length));
        }
        if (kind == FrameKind::Message) != (stream == 0) {
            return Err(FrameError::WrongStream(stream));
        }
        Ok(Self {
            length,
            kind,
            stream,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_nine_little_endian_bytes() {
        assert_eq!(
            FrameHeader::bytes(7, 258).encode(),
            [2, 1, 0, 0, 1, 7, 0, 0, 0]
        );
    }

    #[test]
    fn headers_outside_the_rules_are_refused() {
        assert_eq!(
            FrameHeader::decode([1, 0, 16, 0, 1, 1, 0, 0, 0]),
            Err(FrameError::TooLong(0x10_0001))
        );
        assert_eq!(
            FrameHeader::decode([0, 0, 0, 0, 9, 0, 0, 0, 0]),
            Err(FrameError::UnknownKind(9))
        );
        assert_eq!(
            FrameHeader::decode([0, 0, 0, 0, 0, 3, 0, 0, 0]),
            Err(FrameError::WrongStream(3))
        );
        assert_eq!(
            FrameHeader::decode([0, 0, 0, 0, 1, 0, 0, 0, 0]),
            Err(FrameError::WrongStream(0))
        );
    }

    proptest::proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes: [u8; HEADER]) {
            if let Ok(header) = FrameHeader::decode(bytes) {
                proptest::prop_assert_eq!(header.encode(), bytes);
            }
        }
    }
}
