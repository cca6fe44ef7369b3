//! What each code means, for `assay explain CODE`: what it is, why it is so, an example that has
//! the fault and one that has not. The examples are parsed by this crate's tests.

mod consents;
mod grammars;
mod places;
mod project;
mod steps;
mod structure;

use crate::code::Code;

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// Which file it is about.
    pub file: FileKind,
    /// What is wrong, and why that matters; one paragraph.
    pub text: &'static str,
    /// A piece of a file that has the fault.
    pub wrong: &'static str,
    /// The same piece without it.
    pub right: &'static str,
}

/// Which kind of file a code is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A recipe (and, for what can be wrong with any file, the others).
    Recipe,
    /// `assay.toml`.
    Project,
    /// `expected.toml`.
    Expected,
    /// `assay.lock`.
    Lock,
    /// `consents.toml`.
    Consents,
}

/// What a code means.
#[must_use]
pub fn explain(code: Code) -> Option<&'static Explanation> {
    all().find(|explanation| explanation.code == code)
}

/// Every explanation.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    [
        structure::EXPLANATIONS,
        grammars::EXPLANATIONS,
        places::EXPLANATIONS,
        steps::EXPLANATIONS,
        project::EXPLANATIONS,
        consents::EXPLANATIONS,
    ]
    .into_iter()
    .flatten()
}
