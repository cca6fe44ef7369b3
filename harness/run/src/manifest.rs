//! JSON Lines of a manifest or a trace, read as they arrive, and the net effect of all manifests of a cell for
//! the comparison with the engine's own list. Bounded; a line that cannot be read is a fault of
//! the session, not a change.

use std::collections::BTreeMap;

use assay_wire::event::{Manifest, ManifestPoint, Trace};
use assay_wire::manifest::{ManifestLine, PathChange, unescape_path};
use assay_wire::plan::OpId;
use assay_wire::program::Pass;
use assay_wire::trace::TraceLine;
use serde::de::DeserializeOwned;

/// Longest line: a path of 4 KiB, escaped fourfold, twice with a link's target, and attributes; two
/// contents, of which every byte may become two characters, and every one of those two bytes of JSON.
const LINE: usize = 1 << 20;

/// JSON Lines as they arrive.
#[derive(Debug)]
pub(crate) struct LineReader<L> {
    partial: Vec<u8>,
    lines: Vec<L>,
    /// What they are lines of.
    what: &'static str,
    most: usize,
}

/// A manifest as it arrives.
pub(crate) type ManifestReader = LineReader<ManifestLine>;

/// A trace as it arrives.
pub(crate) type TraceReader = LineReader<TraceLine>;

impl<L: DeserializeOwned> LineReader<L> {
    /// Reads so many lines at most of a manifest, or of a trace.
    pub(crate) fn new(what: &'static str, most: usize) -> Self {
        Self {
            partial: Vec::new(),
            lines: Vec::new(),
            what,
            most,
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(&rest[..end]);
            self.check_length()?;
            rest = &rest[end + 1..];
            if self.lines.len() >= self.most {
                return Err(format!("a {} of more than {} lines", self.what, self.most));
            }
            let line = serde_json::from_slice(&self.partial)
                .map_err(|error| format!("a {} line: {error}", self.what))?;
            self.lines.push(line);
            self.partial.clear();
        }
        self.partial.extend_from_slice(rest);
        self.check_length()
    }

    fn check_length(&self) -> Result<(), String> {
        if self.partial.len() > LINE {
            Err(format!("a {} line of more than {LINE} bytes", self.what))
        } else {
            Ok(())
        }
    }

    fn whole(self) -> Result<Vec<L>, String> {
        if self.partial.is_empty() {
            Ok(self.lines)
        } else {
            Err(format!("a {} that ends within a line", self.what))
        }
    }
}

impl ManifestReader {
    /// What changed, sorted.
    ///
    /// # Errors
    /// If the last line is not whole.
    pub(crate) fn finish(self, after: ManifestPoint) -> Result<Manifest, String> {
        let (mut paths, mut states) = (Vec::new(), Vec::new());
        for line in self.whole()? {
            match line {
                ManifestLine::Path(change) => paths.push(change),
                ManifestLine::State(change) => states.push(change),
            }
        }
        paths.sort_by(|a, b| a.path.cmp(&b.path));
        states.sort();
        Ok(Manifest {
            after,
            paths,
            states,
        })
    }
}

impl TraceReader {
    /// Who did what, sorted.
    ///
    /// # Errors
    /// If the last line is not whole.
    pub(crate) fn finish(self, op: OpId, pass: Pass, events: u64) -> Result<Trace, String> {
        let mut trace = Trace {
            op,
            pass,
            events,
            programs: Vec::new(),
            calls: Vec::new(),
            gaps: Vec::new(),
        };
        for line in self.whole()? {
            match line {
                TraceLine::Program(program) => trace.programs.push(program),
                TraceLine::Call(call) => trace.calls.push(call),
                TraceLine::Gap(gap) => trace.gaps.push(gap),
            }
        }
        trace.programs.sort_by_key(|program| program.id);
        trace.calls.sort();
        trace.gaps.sort();
        Ok(trace)
    }
}

/// Which paths came or went since the baseline, all manifests together. Paths are held as an
/// engine writes them: bytes that are not UTF-8 replaced, and as it is the engine's affair how
/// many replacements a run of such bytes becomes, by one.
#[derive(Debug, Default)]
pub(crate) struct NetChanges {
    /// Was there at the baseline; is there now.
    paths: BTreeMap<String, (bool, bool)>,
}

impl NetChanges {
    /// Adds what one manifest showed.
    pub(crate) fn add(&mut self, changes: &[PathChange]) {
        for change in changes {
            let (before, after) = (change.before.is_some(), change.after.is_some());
            let bytes =
                unescape_path(&change.path).unwrap_or_else(|| change.path.clone().into_bytes());
            let path = one_replacement(&String::from_utf8_lossy(&bytes));
            self.paths
                .entry(path)
                .and_modify(|(_, now)| *now = after)
                .or_insert((before, after));
        }
    }

    /// True if the manifests saw this path come, and it is there still; or saw it replaced.
    pub(crate) fn came(&self, path: &str) -> bool {
        self.paths
            .get(&one_replacement(path))
            .is_some_and(|(_, now)| *now)
    }

    /// True if the manifests saw this path, or a folder that held it, go.
    pub(crate) fn went(&self, path: &str) -> bool {
        let path = one_replacement(path);
        let gone = |path: &str| {
            self.paths
                .get(path)
                .is_some_and(|(before, now)| *before && !now)
        };
        gone(&path)
            || path
                .match_indices('/')
                .skip(1)
                .any(|(end, _)| gone(&path[..end]))
    }
}

fn one_replacement(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if character != char::REPLACEMENT_CHARACTER || !out.ends_with(char::REPLACEMENT_CHARACTER) {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use assay_wire::manifest::MAX_LINES;

    use super::*;
    use assay_wire::manifest::{Entry, EntryKind};

    fn file() -> Entry {
        Entry {
            kind: EntryKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            sha256: None,
            points_to: None,
            xattrs: BTreeMap::new(),
            capability: None,
            content: None,
        }
    }

    fn change(path: &str, before: bool, after: bool) -> PathChange {
        PathChange {
            path: path.into(),
            before: before.then(file),
            after: after.then(file),
        }
    }

    #[test]
    fn lines_may_arrive_in_any_pieces() {
        let lines = [change("/b", false, true), change("/a", true, false)];
        let text: String = lines
            .iter()
            .map(|line| {
                serde_json::to_string(&ManifestLine::Path(line.clone())).expect("a line") + "\n"
            })
            .collect();
        for piece in [1, 7, text.len()] {
            let mut reader = ManifestReader::new("manifest", MAX_LINES);
            text.as_bytes()
                .chunks(piece)
                .try_for_each(|bytes| reader.push(bytes))
                .expect("readable");
            let manifest = reader.finish(ManifestPoint::Baseline).expect("whole");
            assert_eq!(manifest.paths, [lines[1].clone(), lines[0].clone()]);
        }
    }

    #[test]
    fn damaged_lines_are_faults() {
        assert!(
            ManifestReader::new("manifest", MAX_LINES)
                .push(b"{}\n")
                .is_err()
        );
        assert!(
            ManifestReader::new("manifest", MAX_LINES)
                .push(&vec![b'x'; LINE + 1])
                .is_err()
        );
        let whole =
            serde_json::to_string(&ManifestLine::Path(change(&"x".repeat(LINE), false, true)))
                .expect("a line");
        assert!(
            ManifestReader::new("manifest", MAX_LINES)
                .push(format!("{whole}\n").as_bytes())
                .is_err()
        );
        let mut half = ManifestReader::new("manifest", MAX_LINES);
        half.push(b"{\"path").expect("perhaps the rest follows");
        assert!(half.finish(ManifestPoint::Baseline).is_err());
    }

    #[test]
    fn what_came_and_went_again_has_neither_come_nor_gone() {
        let mut net = NetChanges::default();
        net.add(&[change("/x", false, true), change("/old", true, false)]);
        net.add(&[change("/x", true, false)]);
        assert!(!net.came("/x") && !net.went("/x"));
        assert!(net.went("/old") && net.went("/old/inside"));
        net.add(&[change("/\\xff\\xfe", false, true)]);
        assert!(net.came("/\u{fffd}"));
    }
}
