//! What an op prints, folded as it passes: the first and the last bytes are kept, the rest is
//! counted, and the op's failure lines are looked for in all of it.
//!
//! Memory is bounded whatever comes: binary, without a newline, or without an end.

use std::collections::VecDeque;

use assay_wire::event::Captured;

/// Longest line looked at for failure lines; of a longer one only the first bytes count.
const LINE: usize = 4096;

/// One channel of one op.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    needles: Vec<String>,
    found: Vec<bool>,
    bytes: u64,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    line: Vec<u8>,
}

impl Capture {
    /// A channel in which these texts mean failure.
    pub(crate) fn new(needles: &[String]) -> Self {
        Self {
            needles: needles.to_vec(),
            found: vec![false; needles.len()],
            ..Self::default()
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let fits = (Captured::KEPT - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..fits]);
        let rest = &bytes[fits..];
        let last = &rest[rest.len().saturating_sub(Captured::KEPT)..];
        let spare = (self.tail.len() + last.len()).saturating_sub(Captured::KEPT);
        self.tail.drain(..spare.min(self.tail.len()));
        self.tail.extend(last);
        if !self.needles.is_empty() {
            self.search(bytes);
        }
    }

    /// What is kept.
    pub(crate) fn finish(mut self) -> Captured {
        self.end_of_line();
        let kept = (self.head.len() + self.tail.len()) as u64;
        let tail: Vec<u8> = self.tail.into();
        let omitted = self.bytes - kept;
        // Without a gap the two are one text: cutting between them could split a character.
        let (head, tail) = if omitted == 0 {
            self.head.extend_from_slice(&tail);
            (
                String::from_utf8_lossy(&self.head).into_owned(),
                String::new(),
            )
        } else {
            (
                String::from_utf8_lossy(&self.head).into_owned(),
                String::from_utf8_lossy(&tail).into_owned(),
            )
        };
        let matched = self
            .needles
            .into_iter()
            .zip(self.found)
            .filter(|(_, found)| *found)
            .map(|(n, _)| n)
            .collect();
        Captured {
            bytes: self.bytes,
            head,
            tail,
            omitted,
            matched,
        }
    }

    fn search(&mut self, bytes: &[u8]) {
        for (index, part) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                self.end_of_line();
            }
            let fits = (LINE - self.line.len()).min(part.len());
            self.line.extend_from_slice(&part[..fits]);
        }
    }

    fn end_of_line(&mut self) {
        if !self.line.is_empty() {
            let text = String::from_utf8_lossy(&self.line);
            for (needle, found) in self.needles.iter().zip(&mut self.found) {
                *found |= text.contains(needle.as_str());
            }
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_output_is_kept_whole() {
        let mut capture = Capture::new(&[]);
        capture.push("é".as_bytes());
        capture.push(b"\xff\n");
        assert_eq!(
            capture.finish(),
            Captured {
                bytes: 4,
                head: "é\u{fffd}\n".into(),
                tail: String::new(),
                omitted: 0,
                matched: vec![]
            }
        );
    }

    #[test]
    fn much_output_keeps_both_ends() {
        let mut capture = Capture::new(&[]);
        for number in 0..100_000u32 {
            capture.push(format!("{number}\n").as_bytes());
        }
        let captured = capture.finish();
        assert!(captured.head.starts_with("0\n1\n"));
        assert!(captured.tail.ends_with("99998\n99999\n"));
        assert_eq!(
            captured.head.len() + captured.tail.len(),
            2 * Captured::KEPT
        );
        assert_eq!(captured.bytes, captured.omitted + 2 * Captured::KEPT as u64);
    }

    #[test]
    fn failure_lines_are_found_across_pieces_and_far_from_both_ends() {
        let mut capture = Capture::new(&["error: command failed".into(), "never".into()]);
        capture.push(&vec![b'x'; 100_000]);
        capture.push(b"\nerror: comm");
        capture.push(b"and failed to run\n");
        capture.push(&vec![b'y'; 100_000]);
        assert_eq!(capture.finish().matched, ["error: command failed"]);
    }

    #[test]
    fn a_failure_line_may_be_the_last_without_a_newline() {
        let mut capture = Capture::new(&["oops".into()]);
        capture.push(b"oops");
        assert_eq!(capture.finish().matched, ["oops"]);
    }
}
