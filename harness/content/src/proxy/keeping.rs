//! Bodies that are kept while they pass, where answers come from the world: what the runner reads itself
//! once the sandbox is done with it.
//!
//! The answer comes first. A disk that is full only means that a body cannot be opened later, and none is
//! kept that did not pass whole.

use std::io::{self, Read};

use crate::store::{Incoming, Store};
use crate::url::WebUrl;

/// Which bodies are kept, and where.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Where.
    pub store: Store,
    /// Whether that of a URL with this path is; what a path names is for others to know.
    pub wanted: fn(&str) -> bool,
}

/// A body that is kept while it is read.
pub(super) struct Tee<R> {
    body: R,
    /// How long it has to be, if that is known.
    length: Option<u64>,
    /// What was read so far, until it is whole or cannot be kept.
    kept: Option<Incoming>,
}

impl<R: Read> Tee<R> {
    /// A body of this length, if that is known, that answers a URL in full.
    pub(super) fn of(
        body: R,
        length: Option<u64>,
        (keeping, url): (Option<&Keeping>, &WebUrl),
    ) -> Self {
        let keeping = keeping.filter(|keeping| (keeping.wanted)(url.path()));
        Self {
            body,
            length,
            kept: keeping.and_then(|keeping| keeping.store.incoming().ok()),
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let Some(mut kept) = self.kept.take() else {
            return;
        };
        if kept.write(piece).is_err() {
            return;
        }
        // Before its last byte goes on: who is told that it came may open it.
        let is_whole = match self.length {
            Some(length) => kept.size() == length,
            None => piece.is_empty(),
        };
        if is_whole {
            // Whoever wants it will find that it is not there.
            let _ = kept.commit_unflushed();
        } else if !piece.is_empty() {
            self.kept = Some(kept);
        }
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.keep(&buffer[..read]);
        Ok(read)
    }
}
