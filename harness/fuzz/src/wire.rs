//! What crosses the wire: frames, messages, events, lines of manifests.

use std::fmt::Debug;

use assay_wire::control::{ToExecutor, ToRunner};
use assay_wire::digest::canonical_json;
use assay_wire::event::{Body, Envelope, ExecutorEvent};
use assay_wire::frame::{FrameHeader, FrameKind, HEADER, MAX_PAYLOAD};
use assay_wire::manifest::{ManifestLine, escape_path, unescape_path};
use assay_wire::plan::Plan;
use assay_wire::program::Program;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A stream of frames: a header is refused or means its own bytes, and a message is refused or is
/// the same after being written.
pub fn frames(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first_chunk::<HEADER>() {
        let header = match FrameHeader::decode(*head) {
            Ok(header) => header,
            Err(error) => {
                assert!(!error.to_string().chars().any(char::is_control));
                return;
            }
        };
        assert_eq!(header.encode(), *head);
        let length = header.length as usize;
        assert!(length <= MAX_PAYLOAD);
        let Some(payload) = after.get(..length) else {
            return;
        };
        match header.kind {
            FrameKind::Message => {
                assert_eq!(header.stream, 0);
                assert_same_after_writing::<ToRunner>(payload);
                assert_same_after_writing::<ToExecutor>(payload);
            }
            FrameKind::Bytes => assert_ne!(header.stream, 0),
        }
        rest = &after[length..];
    }
}

/// One JSON text as each type that is sent or kept.
pub fn messages(bytes: &[u8]) {
    assert_same_after_writing::<ToRunner>(bytes);
    assert_same_after_writing::<ToExecutor>(bytes);
    assert_same_after_writing::<ExecutorEvent>(bytes);
    assert_same_after_writing::<Body>(bytes);
    assert_same_after_writing::<Envelope>(bytes);
    assert_same_after_writing::<ManifestLine>(bytes);
    assert_same_after_writing::<Plan>(bytes);
    assert_same_after_writing::<Program>(bytes);
}

/// Paths of any bytes in their text form.
pub fn manifest_paths(bytes: &[u8]) {
    let escaped = escape_path(bytes);
    assert!(!escaped.chars().any(char::is_control), "{escaped:?}");
    assert!(escaped.len() <= 4 * bytes.len(), "at most fourfold");
    assert_eq!(unescape_path(&escaped).as_deref(), Some(bytes));
    if let Some(path) = std::str::from_utf8(bytes).ok().and_then(unescape_path) {
        assert_eq!(unescape_path(&escape_path(&path)), Some(path));
    }
}

fn assert_same_after_writing<T>(bytes: &[u8])
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let Ok(value) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = canonical_json(&value);
    let again: T = serde_json::from_str(&written).expect("what was written is read");
    assert_eq!(again, value);
    assert_eq!(canonical_json(&again), written, "one value, one text");
}
