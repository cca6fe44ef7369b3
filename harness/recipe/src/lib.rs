//! Recipe text → typed recipe and diagnostics; likewise `assay.toml`, `expected.toml` and `consents.toml`.
//!
//! - No file, process, clock, environment, network or terminal is touched here: the CLI reads
//!   files and renders diagnostics.
//! - No type of the `toml` crate leaves this crate, and no serde derive reads a recipe: tables are
//!   walked by hand, because only so every fault of a file has its exact place, in one run.
//! - No text makes anything here panic, overflow the stack or run longer than its length allows.
//! - Nothing is decided about a target: what holds where is `plan`'s.
//!
//! In the order a text takes: [`document`] (TOML with recovery; `syntax` has the words for what is
//! none), `table` (walking it), `convert`
//! and `step` (typed values; `foreign` has what recipes elsewhere say more), [`model`] (the result);
//! [`action`] is the vocabulary; [`name`], [`system`], [`package`], [`template`], [`pattern`] and
//! [`when`] hold the grammars, [`diagnostic`], [`code`] and [`explain`] what can be wrong, and
//! [`project`], [`expected`] and [`consents`] the files beside the recipes. [`schema`] tells an editor all this,
//! [`migrate()`] writes recipes of the old form anew, and [`pins`] hashes into recipes.

pub mod action;
pub mod code;
pub mod consents;
pub mod diagnostic;
pub mod document;
pub mod expected;
pub mod explain;
pub mod lock;
pub mod migrate;
pub mod model;
pub mod name;
pub mod network;
pub mod package;
pub mod pattern;
pub mod pins;
pub mod project;
pub mod schema;
pub mod system;
pub mod template;
pub mod text;
pub mod when;

mod conflict;
mod convert;
mod foreign;
mod lint;
mod old;
mod policy;
mod step;
mod syntax;
mod table;

use std::borrow::Cow;

pub use code::Code;
pub use consents::{Ledger, MAX_LEDGER_BYTES, add_consent, parse_consents, withdraw};
pub use diagnostic::{Diagnostic, Label, Severity, Spanned};
pub use document::{MAX_RECIPE_BYTES, decode};
pub use expected::{Expectation, Expectations, parse_expected};
pub use explain::{Explanation, explain};
pub use lock::{MAX_LOCK_BYTES, parse_lock, render_lock};
pub use migrate::{Migration, migrate};
pub use model::Recipe;
pub use project::{OtherCode, Project, parse_project};

use diagnostic::Faults;
use document::with_document;

/// What a text was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The value; `None` when any diagnostic is an error.
    pub value: Option<T>,
    /// Every fault, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

impl<T> Parsed<T> {
    /// True when any diagnostic is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Parses a recipe. `stem` is the stem of its file, which its name must equal; `None` for a text
/// that has no file.
#[must_use]
pub fn parse(stem: Option<&str>, text: &str) -> Parsed<Recipe> {
    let mut faults = Faults::default();
    let value = with_document(text, &mut faults, |entries, faults| {
        let recipe = convert::read_recipe(stem, text, entries, faults)?;
        lint::lint(&recipe, faults);
        Some(recipe)
    });
    Parsed {
        value,
        diagnostics: faults.finish(),
    }
}

/// Parses the bytes of a recipe's file, which may not be UTF-8 at all. Returns the text that the
/// places of the diagnostics are about.
#[must_use]
pub fn parse_bytes<'b>(stem: Option<&str>, bytes: &'b [u8]) -> (Cow<'b, str>, Parsed<Recipe>) {
    let (text, fault) = decode(bytes);
    match fault {
        Some(fault) => (
            text,
            Parsed {
                value: None,
                diagnostics: vec![fault],
            },
        ),
        None => {
            let parsed = parse(stem, &text);
            (text, parsed)
        }
    }
}
