//! The programs of an op as a tree: who started whom, as whom, for which package's script, and what they
//! asked the kernel for. Siblings that are alike, with everything below them, stand once with their number.
//!
//! A trace is hostile: parents that come later, or twice, are none; the tree is bounded in depth and width.

use std::collections::BTreeMap;

use assay_observe::record::CellFacts;
use assay_wire::event::Trace;
use assay_wire::plan::OpId;
use assay_wire::program::Pass;
use assay_wire::trace::{Call, MaintScript, StartedFor, TracedProgram};

use super::Cell;
use super::page::Page;
use crate::words::serde_word;

/// How deep a tree is shown. Deeper programs are counted.
const DEPTH: usize = 24;
/// Levels that are open from the start.
const OPEN: usize = 2;
/// Most characters of a program's words.
const WORDS: usize = 240;
/// Subjects of calls that are named.
const SUBJECTS: usize = 3;

/// The trees of a cell, one for each op and apply in which something ran.
pub(super) fn trees(facts: &CellFacts) -> Vec<Tree<'_>> {
    let traces = facts.traces.iter();
    let traces = traces.filter(|trace| !trace.programs.is_empty());
    traces.map(Tree::of).collect()
}

/// Writes those of an op.
pub(super) fn write(cell: &Cell<'_>, op: OpId, page: &mut Page) {
    for tree in cell.trees.iter().filter(|tree| tree.trace.op == op) {
        let trace = tree.trace;
        page.markup("<details class=\"programs\"><summary>Programs <span class=\"n\">")
            .count(trace.programs.len());
        page.markup(match trace.pass {
            Pass::First => "</span></summary>\n",
            Pass::Second => " in the second apply</span></summary>\n",
        });
        let mut writing = Writing {
            facts: &cell.record.facts,
            tree,
            room: page.detail.programs,
            shown: 0,
        };
        page.markup("<ul class=\"tree\">\n");
        writing.groups(&tree.roots, 0, page);
        let left = trace.programs.len().saturating_sub(writing.shown);
        page.more(left, "<li>", "</li>\n");
        page.markup("</ul>\n</details>\n");
    }
}

/// What makes programs alike: their words, whose rights they have, whose script they are, and what they
/// started.
type Likeness<'t> = (
    &'t [String],
    u32,
    &'t Option<MaintScript>,
    Vec<(usize, usize)>,
);

/// A trace's programs by position, with their children in groups of alike ones.
pub(super) struct Tree<'t> {
    trace: &'t Trace,
    programs: Vec<&'t TracedProgram>,
    groups: Vec<Vec<Vec<usize>>>,
    roots: Vec<Vec<usize>>,
    calls: BTreeMap<u32, Calls<'t>>,
}

/// What a program asked for: how often, and of what first where that is told.
type Calls<'t> = BTreeMap<Call, (u64, Vec<&'t str>)>;

impl<'t> Tree<'t> {
    fn of(trace: &'t Trace) -> Self {
        let mut programs: Vec<&TracedProgram> = trace.programs.iter().collect();
        programs.sort_by_key(|program| program.id);
        let place: BTreeMap<u32, usize> = programs
            .iter()
            .enumerate()
            .map(|(at, program)| (program.id, at))
            .collect();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); programs.len()];
        let mut roots = Vec::new();
        for (at, program) in programs.iter().enumerate() {
            // A program is executed after the one that started it: no circle can come of what is earlier.
            let parent = program
                .parent
                .and_then(|parent| place.get(&parent))
                .filter(|parent| **parent < at);
            match parent {
                Some(parent) => children[*parent].push(at),
                None => roots.push(at),
            }
        }
        let mut likenesses: BTreeMap<Likeness<'t>, usize> = BTreeMap::new();
        let mut class = vec![0; programs.len()];
        let mut groups = vec![Vec::new(); programs.len()];
        // From the last to the first: what a program started has its class before the program itself.
        for at in (0..programs.len()).rev() {
            groups[at] = alike(&children[at], &class);
            let below = groups[at]
                .iter()
                .map(|group: &Vec<usize>| (class[group[0]], group.len()))
                .collect();
            let program = programs[at];
            let likeness = (
                program.argv.as_slice(),
                program.uid,
                &program.maintscript,
                below,
            );
            let next = likenesses.len();
            class[at] = *likenesses.entry(likeness).or_insert(next);
        }
        let mut calls: BTreeMap<u32, Calls<'t>> = BTreeMap::new();
        for call in &trace.calls {
            let of_program = calls.entry(call.program).or_default();
            add(of_program, call.call, call.count, [call.subject.as_str()]);
        }
        Self {
            trace,
            roots: alike(&roots, &class),
            programs,
            groups,
            calls,
        }
    }
}

/// Programs in groups of one class, in the order of their firsts.
fn alike(programs: &[usize], class: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: BTreeMap<usize, usize> = BTreeMap::new();
    for at in programs {
        let group = *known.entry(class[*at]).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push(*at),
            None => groups.push(vec![*at]),
        }
    }
    groups
}

struct Writing<'t> {
    facts: &'t CellFacts,
    tree: &'t Tree<'t>,
    /// How many more lines may be written.
    room: usize,
    /// How many programs those that were written stand for.
    shown: usize,
}

impl Writing<'_> {
    fn groups(&mut self, groups: &[Vec<usize>], depth: usize, page: &mut Page) {
        for group in groups {
            if self.room == 0 {
                return;
            }
            self.room -= 1;
            self.shown += group.len();
            self.group(group, depth, page);
        }
    }

    fn group(&mut self, group: &[usize], depth: usize, page: &mut Page) {
        let below = self.below(group);
        if below.is_empty() || depth + 1 >= DEPTH || self.room == 0 {
            page.markup("<li>");
            self.program(group, page);
            page.markup("</li>\n");
            return;
        }
        page.markup(if depth < OPEN {
            "<li><details open=\"\"><summary>"
        } else {
            "<li><details><summary>"
        });
        self.program(group, page);
        page.markup("</summary>\n<ul>\n");
        self.groups(&below, depth + 1, page);
        page.markup("</ul>\n</details></li>\n");
    }

    /// What alike programs started: their groups are the same, so the first of each belong together.
    fn below(&self, group: &[usize]) -> Vec<Vec<usize>> {
        let first = &self.tree.groups[group[0]];
        let together = |which: usize| {
            let all = group.iter().flat_map(|at| self.tree.groups[*at].get(which));
            all.flatten().copied().collect()
        };
        (0..first.len()).map(together).collect()
    }

    fn program(&self, group: &[usize], page: &mut Page) {
        let program = self.tree.programs[group[0]];
        let words = crate::sanitise::command(&program.argv, WORDS);
        page.markup("<code>")
            .text_up_to(WORDS, words)
            .markup("</code>");
        if group.len() > 1 {
            page.markup(" <b>× ").count(group.len()).markup("</b>");
        }
        if program.started_for == Some(StartedFor::Question) {
            page.markup(" ")
                .element("span", "tag", "asked by the harness");
        }
        if let Some(script) = &program.maintscript {
            page.markup(" ").element(
                "span",
                "tag script",
                format!("{} {}", script.package, script.script),
            );
        }
        if program.uid != 0 {
            let name = self.facts.users.get(&program.uid);
            let name = name.map_or_else(|| format!("uid {}", program.uid), Clone::clone);
            page.markup(" ")
                .element("span", "tag", format!("as {name}"));
        }
        self.calls(group, page);
    }

    fn calls(&self, group: &[usize], page: &mut Page) {
        let mut counts = Calls::new();
        let ids = group.iter().map(|at| self.tree.programs[*at].id);
        for (call, (count, subjects)) in ids.filter_map(|id| self.tree.calls.get(&id)).flatten() {
            add(&mut counts, *call, *count, subjects.iter().copied());
        }
        if counts.is_empty() {
            return;
        }
        page.markup(" <small>");
        for (index, (call, (count, subjects))) in counts.iter().enumerate() {
            page.markup(if index > 0 { ", " } else { "" });
            page.text(serde_word(call));
            if *count > 1 || subjects.is_empty() {
                page.markup(" ").number(*count);
            }
            for subject in subjects {
                page.markup(" <code>")
                    .text_up_to(80, subject)
                    .markup("</code>");
            }
        }
        page.markup("</small>");
    }
}

/// Counts calls, and keeps the first of their subjects.
fn add<'t>(
    calls: &mut Calls<'t>,
    call: Call,
    count: u64,
    subjects: impl IntoIterator<Item = &'t str>,
) {
    let (counted, known) = calls.entry(call).or_default();
    *counted = counted.saturating_add(count);
    if is_told(call) {
        for subject in subjects {
            if known.len() < SUBJECTS && !known.contains(&subject) {
                known.push(subject);
            }
        }
    }
}

/// Calls whose subject is worth a word: there are few, and each matters. Files are told elsewhere.
fn is_told(call: Call) -> bool {
    match call {
        Call::Connect
        | Call::Bind
        | Call::Listen
        | Call::Mount
        | Call::Namespace
        | Call::Chroot
        | Call::Ptrace
        | Call::Bpf
        | Call::Perf
        | Call::Memfd
        | Call::Kmod
        | Call::Administration
        | Call::Kill
        | Call::IoUring
        | Call::Foreign => true,
        Call::Open
        | Call::Truncate
        | Call::Mkdir
        | Call::Unlink
        | Call::Rename
        | Call::Link
        | Call::Symlink
        | Call::Mknod
        | Call::Chmod
        | Call::Chown
        | Call::Setxattr
        | Call::Setuid
        | Call::Capset => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(id: u32, parent: Option<u32>, word: &str) -> TracedProgram {
        TracedProgram {
            id,
            parent,
            started_for: None,
            pid: id,
            argv: vec![word.to_owned()],
            cut: false,
            exe: format!("/usr/bin/{word}"),
            folder: "/".to_owned(),
            uid: 0,
            gid: 0,
            maintscript: None,
            scripts: Vec::new(),
        }
    }

    fn shape(programs: Vec<TracedProgram>) -> String {
        let trace = Trace {
            op: OpId(1),
            pass: Pass::First,
            events: 0,
            programs,
            calls: Vec::new(),
            gaps: Vec::new(),
        };
        let tree = Tree::of(&trace);
        fn of(tree: &Tree<'_>, groups: &[Vec<usize>]) -> String {
            let one = |group: &Vec<usize>| {
                let word = &tree.programs[group[0]].argv[0];
                format!(
                    "{word}*{}({})",
                    group.len(),
                    of(tree, &tree.groups[group[0]])
                )
            };
            groups.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        of(&tree, &tree.roots)
    }

    #[test]
    fn alike_siblings_stand_once_with_what_they_started() {
        let programs = vec![
            program(1, None, "apt"),
            program(2, Some(1), "dpkg"),
            program(3, Some(2), "tar"),
            program(4, Some(1), "dpkg"),
            program(5, Some(4), "tar"),
            program(6, Some(1), "dpkg"),
            program(7, Some(6), "rm"),
        ];
        assert_eq!(shape(programs), "apt*1(dpkg*2(tar*1()) dpkg*1(rm*1()))");
    }

    #[test]
    fn a_parent_that_comes_later_or_is_itself_is_none() {
        let programs = vec![
            program(1, Some(2), "a"),
            program(2, Some(1), "b"),
            program(3, Some(3), "c"),
        ];
        assert_eq!(shape(programs), "a*1(b*1()) c*1()");
    }
}
