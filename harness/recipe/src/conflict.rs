//! Conflicts that git left in a text: two versions between marks (git-merge(1), "How conflicts are
//! presented"). [`crate::document`] asks where a text is no TOML.

use std::collections::BTreeSet;
use std::ops::Range;

use assay_wire::source::Span;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, quote};

/// Most conflicts that are told.
const MOST: usize = 50;

/// What a line of marks is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Begins,
    Between,
    Ends,
}

/// A mark, its line and its bytes.
type Placed = (Mark, usize, Range<usize>);

/// A diagnostic for every conflict of a text, with the lines of its marks. Marks that the parser did
/// not stumble over stand in a text of several lines and are none.
pub(crate) fn conflicts(text: &str, erroneous: &BTreeSet<usize>) -> Vec<Diagnostic> {
    let mut groups: Vec<Vec<Placed>> = Vec::new();
    let mut at = 0;
    for (line, number) in text.split_inclusive('\n').zip(1_usize..) {
        let bare = line.trim_end_matches(['\r', '\n']);
        let place = at..at + bare.len();
        at += line.len();
        let Some(mark) = mark(bare) else { continue };
        match groups.last_mut() {
            Some(open) if mark != Mark::Begins && is_open(open) => {
                open.push((mark, number, place));
            }
            Some(_) | None => groups.push(vec![(mark, number, place)]),
        }
    }
    groups.retain(|marks| marks.iter().any(|(_, line, _)| erroneous.contains(line)));
    let told = groups.iter().take(MOST);
    told.filter_map(|marks| diagnostic(text, marks)).collect()
}

/// What a line is by the seven characters it begins with.
fn mark(line: &str) -> Option<Mark> {
    let is = |sign: &str| {
        let rest = line.strip_prefix(sign);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    if is("<<<<<<<") {
        Some(Mark::Begins)
    } else if is("=======") || is("|||||||") {
        Some(Mark::Between)
    } else if is(">>>>>>>") {
        Some(Mark::Ends)
    } else {
        None
    }
}

fn is_open(marks: &[Placed]) -> bool {
    marks.last().is_none_or(|(mark, ..)| *mark != Mark::Ends)
}

fn diagnostic(text: &str, marks: &[Placed]) -> Option<Diagnostic> {
    let (first, last) = (marks.first()?, marks.last()?);
    let line = |(_, number, place): &Placed| {
        let mark = text.get(place.clone()).unwrap_or_default();
        format!("line {number}, {}", quote(mark))
    };
    let message = match (first.0, last.0) {
        (Mark::Begins, Mark::Ends) => format!(
            "a merge conflict is not resolved: from {} to {}",
            line(first),
            line(last)
        ),
        _ => format!("a mark of a merge conflict is left: {}", line(first)),
    };
    let mut marks = marks.iter();
    let (_, _, place) = marks.next()?;
    let span = Span::new(place.clone());
    let mut diagnostic = Diagnostic::new(Code::MergeConflict, span, message);
    for (_, _, place) in marks {
        diagnostic = diagnostic.and(Span::new(place.clone()), "");
    }
    Some(diagnostic.help("keep the lines that are meant, and remove those of the marks"))
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// What is told of a text.
    fn told(text: &str) -> Vec<String> {
        let (_, errors) = DeTable::parse_recoverable(text);
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let places = errors.iter().filter_map(toml::de::Error::span);
        let lines = places.map(|range| line(range.start)).collect();
        let found = conflicts(text, &lines).into_iter();
        found.map(|one| one.message).collect()
    }

    #[test]
    fn both_lines_are_named_wherever_the_conflict_stands() {
        let whole = |first, last| {
            vec![format!(
                "a merge conflict is not resolved: from line {first}, `<<<<<<< HEAD` to line {last}, `>>>>>>> b c`"
            )]
        };
        for (text, wanted) in [
            (
                "<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> b c\n",
                whole(1, 5),
            ),
            (
                "b = 1\r\n<<<<<<< HEAD\r\na = 1\r\n=======\r\n>>>>>>> b c",
                whole(2, 5),
            ),
            (
                "<<<<<<< HEAD\na = 1\n||||||| base\na = 3\n=======\na = 2\n>>>>>>> b c\n",
                whole(1, 7),
            ),
            (
                "a = [\n<<<<<<< HEAD\n\"y\",\n=======\n\"z\",\n>>>>>>> b c\n]\n",
                whole(2, 6),
            ),
            (
                "a = {\n<<<<<<< HEAD\nb = 1\n=======\nb = 2\n>>>>>>> b c\n}\n",
                whole(2, 6),
            ),
            (
                "a = 1\n=======\n",
                vec!["a mark of a merge conflict is left: line 2, `=======`".to_owned()],
            ),
            // A text of several lines may hold them.
            (
                "a = '''\n<<<<<<< HEAD\n=======\n>>>>>>> b c\n'''\nb =\n",
                vec![],
            ),
            ("========= x\n", vec![]),
            ("<<<<<<<<<\n", vec![]),
        ] {
            assert_eq!(told(text), wanted, "{text}");
        }
        let two = "<<<<<<< HEAD\n=======\n>>>>>>> b c\n".repeat(2);
        assert_eq!(told(&two), [whole(1, 3), whole(4, 6)].concat());
        assert_eq!(told(&"<<<<<<<\n".repeat(1000)).len(), MOST);
    }
}
