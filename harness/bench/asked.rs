//! What is asked for on the command line of `ci/bench`, which explains it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::Failure;

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    /// A cell against a bare container, and the manifests.
    Cell,
    /// A cell against itself without capture.
    Capture,
    /// Bytes through the tunnel.
    Tunnel,
    /// Plans per second, and the suite on twenty targets.
    Plans,
    /// `check` of many recipes.
    Check,
    /// Hashing.
    Hash,
    /// The runner's memory.
    Memory,
    /// The page of a hundred cells. After what makes a run of so many.
    Html,
    /// The suite's times.
    Suite,
}

/// The word of each section, in the order they are measured.
const SECTIONS: [(&str, Section); 9] = [
    ("cell", Section::Cell),
    ("capture", Section::Capture),
    ("tunnel", Section::Tunnel),
    ("plans", Section::Plans),
    ("check", Section::Check),
    ("hash", Section::Hash),
    ("memory", Section::Memory),
    ("html", Section::Html),
    ("suite", Section::Suite),
];

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What is measured.
    pub(crate) sections: BTreeSet<Section>,
    /// How often what is repeated is.
    pub(crate) repeats: usize,
    /// Cells that are compared, `TARGET:RECIPE`; empty if none is named.
    pub(crate) cells: Vec<String>,
    /// Targets of the runs of many cells; empty if none is named.
    pub(crate) on: Vec<String>,
    /// The journal of a run that is over: of the suite, or one whose cells the page shows.
    pub(crate) journal: Option<PathBuf>,
}

impl Asked {
    /// Reads the words after the program's name. Without a section, everything is asked for; a cell
    /// is one of the section `capture` where that is asked for, else of `cell`, and a journal one of `suite`
    /// unless `html` is asked for.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut asked = Self {
            sections: BTreeSet::new(),
            repeats: 5,
            cells: Vec::new(),
            on: Vec::new(),
            journal: None,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
            match word.as_str() {
                "--pairs" => {
                    asked.repeats = value()?.parse()?;
                    if asked.repeats == 0 {
                        return Err("`--pairs` needs at least 1".into());
                    }
                }
                "--on" => asked.on.extend(value()?.split(',').map(str::to_owned)),
                "--journal" => {
                    asked.journal = Some(value()?.into());
                }
                cell if cell.contains(':') => {
                    asked.cells.push(word);
                }
                name => match SECTIONS.iter().find(|(known, _)| *known == name) {
                    Some((_, section)) => {
                        asked.sections.insert(*section);
                    }
                    None => return Err(unknown(name).into()),
                },
            }
        }
        if !asked.cells.is_empty() && !asked.sections.contains(&Section::Capture) {
            asked.sections.insert(Section::Cell);
        }
        if asked.journal.is_some() && !asked.sections.contains(&Section::Html) {
            asked.sections.insert(Section::Suite);
        }
        if asked.sections.is_empty() {
            asked.sections = SECTIONS.iter().map(|(_, section)| *section).collect();
        }
        Ok(asked)
    }
}

fn unknown(word: &str) -> String {
    let known = SECTIONS.map(|(name, _)| name).join(", ");
    format!("`{word}` is no section ({known}) and no TARGET:RECIPE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        let words = line.split_whitespace().map(str::to_owned);
        Asked::read(words).map_err(|failure| failure.to_string())
    }

    #[test]
    fn without_a_section_all_are_asked_for() {
        let asked = read("--pairs 3 --on arch,debian-12").expect("a good line");
        assert_eq!(asked.sections.len(), SECTIONS.len());
        assert_eq!((asked.repeats, asked.on.len()), (3, 2));
    }

    #[test]
    fn what_is_named_is_measured_alone() {
        for (line, section) in [
            ("check", Section::Check),
            ("debian-12:tree", Section::Cell),
            ("capture debian-12:tree", Section::Capture),
            ("--journal a.jsonl", Section::Suite),
            ("html --journal a.jsonl", Section::Html),
        ] {
            let sections = read(line).expect("a good line").sections;
            assert_eq!(sections, BTreeSet::from([section]), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            ("plan", "`plan` is no section"),
            ("--pairs", "`--pairs` needs a value"),
            ("--pairs 0", "at least 1"),
            ("--pairs x", "invalid digit"),
        ] {
            let error = read(line).expect_err(line);
            assert!(error.contains(said), "{error}");
        }
    }
}
