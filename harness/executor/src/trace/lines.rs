//! What has been seen since it was last asked for: programs as they came, calls counted, gaps counted.
//! Bounded, whatever a program does.

use std::collections::{BTreeMap, HashMap};

use assay_wire::trace::{
    Call, GapReason, MAX_LINES, TraceGap, TraceLine, TracedCall, TracedProgram,
};

/// One thing a program did, apart from how often.
type Key = (u32, Call, String, Option<String>, Option<i32>);

/// Lines in the making.
#[derive(Debug, Default)]
pub(super) struct Lines {
    programs: Vec<TracedProgram>,
    calls: HashMap<Key, u64>,
    gaps: BTreeMap<GapReason, u64>,
    /// Everything that was told, repeated or not.
    events: u64,
}

impl Lines {
    pub(super) fn program(&mut self, program: TracedProgram) {
        self.events += 1;
        if self.has_room() {
            self.programs.push(program);
        } else {
            self.gap(GapReason::Lines);
        }
    }

    pub(super) fn call(
        &mut self,
        program: u32,
        call: Call,
        (subject, detail): (String, Option<String>),
        error: Option<i32>,
    ) {
        self.events += 1;
        let has_room = self.has_room();
        let key = (program, call, subject, detail, error);
        if let Some(count) = self.calls.get_mut(&key) {
            *count += 1;
        } else if has_room {
            self.calls.insert(key, 1);
        } else {
            self.gap(GapReason::Lines);
        }
    }

    /// A call that was of nothing.
    pub(super) fn nothing(&mut self) {
        self.events += 1;
    }

    pub(super) fn gap(&mut self, reason: GapReason) {
        *self.gaps.entry(reason).or_default() += 1;
    }

    fn has_room(&self) -> bool {
        self.programs.len() + self.calls.len() < MAX_LINES - GapReason::ALL.len()
    }

    /// Everything since the last time, with how much was told in all.
    pub(super) fn take(&mut self) -> (Vec<TraceLine>, u64) {
        let Self {
            programs,
            calls,
            gaps,
            events,
        } = std::mem::take(self);
        let mut calls: Vec<TracedCall> = calls
            .into_iter()
            .map(
                |((program, call, subject, detail, error), count)| TracedCall {
                    program,
                    call,
                    subject,
                    detail,
                    error,
                    count,
                },
            )
            .collect();
        calls.sort_unstable();
        let gaps = gaps
            .into_iter()
            .map(|(reason, count)| TraceGap { reason, count });
        let lines = programs
            .into_iter()
            .map(TraceLine::Program)
            .chain(calls.into_iter().map(TraceLine::Call))
            .chain(gaps.map(TraceLine::Gap))
            .collect();
        (lines, events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(lines: &mut Lines, path: &str) {
        lines.call(1, Call::Open, (path.to_owned(), None), None);
    }

    #[test]
    fn repetitions_are_counted() {
        let mut lines = Lines::default();
        open(&mut lines, "/b");
        open(&mut lines, "/a");
        open(&mut lines, "/b");
        lines.gap(GapReason::Arguments);
        let (taken, events) = lines.take();
        let told: Vec<String> = taken
            .iter()
            .map(|line| match line {
                TraceLine::Call(call) => format!("{} {}", call.subject, call.count),
                TraceLine::Gap(gap) => format!("{:?} {}", gap.reason, gap.count),
                TraceLine::Program(program) => format!("{program:?}"),
            })
            .collect();
        assert_eq!(told, ["/a 1", "/b 2", "Arguments 1"]);
        assert_eq!(events, 3);
        assert_eq!(lines.take(), (Vec::new(), 0));
    }

    #[test]
    fn what_is_beyond_the_bound_is_a_gap_and_repetitions_still_count() {
        let mut lines = Lines::default();
        for number in 0..MAX_LINES {
            open(&mut lines, &format!("/{number}"));
        }
        open(&mut lines, "/0");
        let (taken, _) = lines.take();
        assert!(taken.len() <= MAX_LINES);
        let left_out = MAX_LINES as u64 - (taken.len() as u64 - 1);
        assert!(taken.contains(&TraceLine::Gap(TraceGap {
            reason: GapReason::Lines,
            count: left_out,
        })));
        assert!(taken.iter().any(
            |line| matches!(line, TraceLine::Call(call) if call.subject == "/0" && call.count == 2)
        ));
    }
}
