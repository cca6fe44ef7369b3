//! Manifests: the file system as it is, told as what changed since the manifest before.
//!
//! [`mod@walk`] goes through the tree, [`look`] reads single objects, [`content`] lets out what some
//! files say, [`record`] holds what was seen
//! in little memory, [`mod@learned`] is what an earlier look at the image left, and this file
//! compares and sends. The first manifest of a session is remembered and tells nothing. Whether a change matters is
//! `observe`'s to say.

mod content;
mod learned;
mod look;
mod lower;
mod record;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use assay_wire::control::Purpose;
use assay_wire::event::ExecutorEvent;
use assay_wire::manifest::{MAX_LINES, ManifestLine, PathChange, StateChange, escape_path};

pub(crate) use self::content::Contents;
pub(crate) use self::learned::learn;
pub(crate) use self::look::{Standing, standing};
use self::lower::Lower;
use self::record::{Item, Tree};
use self::walk::walk_but;
use crate::mux::{LineSender, Mux, Stream, StreamBroken};

/// What was seen last.
#[derive(Debug)]
pub(crate) struct Manifests {
    contents: Contents,
    tree: Option<Tree>,
    /// The root as it was at first.
    lower: Option<Lower>,
    /// True if everything could be looked at the last time.
    is_whole: bool,
    states: BTreeMap<String, BTreeSet<String>>,
}

impl Manifests {
    /// Nothing has been seen yet.
    pub(crate) fn new(contents: Contents) -> Self {
        Self {
            contents,
            tree: None,
            lower: None,
            is_whole: false,
            states: BTreeMap::new(),
        }
    }

    /// Takes a manifest and sends what changed. `answers` are the probes' names and what they
    /// printed, asked just before so that what asking changed belongs to the same manifest.
    pub(crate) fn take(
        &mut self,
        mux: &'static Mux,
        answers: Vec<(String, Vec<u8>)>,
        started: Instant,
    ) -> ExecutorEvent {
        let root = Path::new("/");
        let walked = match &self.tree {
            Some(before) => {
                let lower = Lower::of(root).filter(|now| {
                    let first = self.lower.as_ref();
                    self.is_whole && first.is_some_and(|first| now.goes_on_from(first))
                });
                walk_but(root, Some(before), lower.as_ref(), &self.contents)
            }
            None => {
                self.lower = Lower::of(root);
                let learned = learned::learned();
                walk_but(root, learned.as_ref(), self.lower.as_ref(), &self.contents)
            }
        };
        self.is_whole = walked.unreadable == 0;
        let states = answers
            .into_iter()
            .map(|(probe, answer)| (probe, lines(&answer)))
            .collect();
        let stream = mux.open(Purpose::Manifest, None);
        let mut sender = Limited::new(&stream);
        if let Some(before) = &self.tree {
            // A runner that breaks the stream does not want the rest.
            let _ = send_paths(&mut sender, before, &walked.tree)
                .and_then(|()| send_states(&mut sender, &self.states, &states))
                .and_then(|()| sender.sender.flush());
        }
        stream.close(None);
        let omitted = sender.omitted;
        self.tree = Some(walked.tree);
        self.states = states;
        ExecutorEvent::ManifestTaken {
            entries: self
                .tree
                .as_ref()
                .map_or(0, |tree| tree.items().len() as u64),
            hashed: walked.hashed,
            omitted,
            unreadable: walked.unreadable,
            mounts: walked.mounts,
            ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The set of an answer's lines.
fn lines(answer: &[u8]) -> BTreeSet<String> {
    answer
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(escape_path)
        .collect()
}

/// Sends what differs between two trees, in order of the paths.
fn send_paths(sender: &mut Limited<'_>, before: &Tree, after: &Tree) -> Result<(), StreamBroken> {
    let (mut old, mut new) = (
        before.items().iter().peekable(),
        after.items().iter().peekable(),
    );
    loop {
        let (gone, came) = match (old.peek(), new.peek()) {
            (None, None) => return Ok(()),
            (Some(_), None) => (old.next(), None),
            (None, Some(_)) => (None, new.next()),
            (Some(o), Some(n)) => match o.path.cmp(&n.path) {
                std::cmp::Ordering::Less => (old.next(), None),
                std::cmp::Ordering::Greater => (None, new.next()),
                std::cmp::Ordering::Equal => (old.next(), new.next()),
            },
        };
        let differs = match (gone, came) {
            (Some(gone), Some(came)) => !gone.node.looks_like(&came.node),
            _ => true,
        };
        if let (true, Some(item)) = (differs, gone.or(came)) {
            sender.send(|| {
                ManifestLine::Path(PathChange {
                    path: escape_path(&item.path),
                    before: gone.map(Item::entry),
                    after: came.map(Item::entry),
                })
            })?;
        }
    }
}

/// Sends the lines of probes that are new or gone, in order.
fn send_states(
    sender: &mut Limited<'_>,
    before: &BTreeMap<String, BTreeSet<String>>,
    after: &BTreeMap<String, BTreeSet<String>>,
) -> Result<(), StreamBroken> {
    let none = BTreeSet::new();
    let probes: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for probe in probes {
        let old = before.get(probe).unwrap_or(&none);
        let new = after.get(probe).unwrap_or(&none);
        for line in old.symmetric_difference(new) {
            sender.send(|| {
                ManifestLine::State(StateChange {
                    probe: probe.clone(),
                    line: line.clone(),
                    added: new.contains(line),
                })
            })?;
        }
    }
    Ok(())
}

/// Sends lines, and only so many.
struct Limited<'s> {
    sender: LineSender<'s>,
    sent: usize,
    omitted: u64,
}

impl<'s> Limited<'s> {
    fn new(stream: &'s Arc<Stream>) -> Self {
        Self {
            sender: LineSender::new(stream),
            sent: 0,
            omitted: 0,
        }
    }

    fn send(&mut self, line: impl FnOnce() -> ManifestLine) -> Result<(), StreamBroken> {
        if self.sent == MAX_LINES {
            self.omitted += 1;
            return Ok(());
        }
        self.sent += 1;
        self.sender.send(&line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_set_of_escaped_lines() {
        assert_eq!(
            lines(b"b 1\na\x1b 2\n\nb 1"),
            BTreeSet::from(["a\\x1b 2".to_owned(), "b 1".to_owned()])
        );
    }
}
