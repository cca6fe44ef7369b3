//! `assay migrate`: old install guides in a recipe → typed actions, shown as a patch or written.

use std::io::IsTerminal as _;
use std::path::Path;

use assay_recipe::{Migration, Severity};
use schemars::JsonSchema;
use serde::Serialize;
use similar::TextDiff;

use crate::check::plural;
use crate::diagnostics::{self, JsonDiagnostic, Source};
use crate::error::{CliError, ErrorKind};
use crate::project::read_bounded;
use crate::terminal::{Terminal, plain, plain_lines};
use crate::write::replace;

/// Lines around a change.
const CONTEXT: usize = 3;

/// What was migrated, and what is still wrong.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    file: String,
    /// How many steps were written anew.
    steps: usize,
    /// What a reader should know.
    notes: Vec<String>,
    /// The change as a patch; empty if there is none.
    diff: String,
    /// True if the file was written.
    written: bool,
    /// What is wrong with the new text.
    left: Vec<JsonDiagnostic>,
}

/// Shows or writes the migration of one file.
pub(crate) fn run(terminal: &Terminal, file: &Path, write: bool) -> Result<(), CliError> {
    let bytes = read_bounded(file).map_err(|fault| CliError::new(ErrorKind::Recipe, fault))?;
    let name = file.display().to_string();
    let (text, fault) = assay_recipe::decode(&bytes);
    let migrated = match fault {
        Some(fault) => Err(vec![fault]),
        None => assay_recipe::migrate(&text),
    };
    let migration = migrated.map_err(|diagnostics| {
        let source = Source {
            name: name.clone(),
            text: text.to_string(),
            diagnostics,
            unreadable: None,
        };
        diagnostics::print(terminal, &source);
        CliError::new(ErrorKind::Recipe, format!("`{name}` cannot be read"))
    })?;
    let left = left(file, &name, &migration);
    let diff = diff(&name, &text, &migration.text);
    let written = write && migration.steps > 0;
    if written {
        replace(file, &migration.text)?;
    }
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-migration",
            version: 1,
            file: name,
            steps: migration.steps,
            notes: migration.notes,
            diff,
            written,
            left: diagnostics::to_json(&left),
        });
    }
    if !write {
        show(terminal, &diff)?;
    }
    say(terminal, &name, &migration, written, &left);
    Ok(())
}

/// The errors of the new text.
fn left(file: &Path, name: &str, migration: &Migration) -> Source {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let mut diagnostics = assay_recipe::parse(stem, &migration.text).diagnostics;
    diagnostics.retain(|one| one.severity == Severity::Error);
    Source {
        name: name.to_owned(),
        text: migration.text.clone(),
        diagnostics,
        unreadable: None,
    }
}

pub(crate) fn diff(name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let diff = TextDiff::from_lines(old, new);
    let mut unified = diff.unified_diff();
    unified.context_radius(CONTEXT).header(name, name);
    unified.to_string()
}

/// A terminal gets it harmless; `patch` gets it as it is.
pub(crate) fn show(terminal: &Terminal, diff: &str) -> Result<(), CliError> {
    if diff.is_empty() {
        return Ok(());
    }
    terminal.result(|out| {
        if std::io::stdout().is_terminal() {
            writeln!(out, "{}", plain_lines(diff))
        } else {
            out.write_all(diff.as_bytes())
        }
    })
}

fn say(terminal: &Terminal, name: &str, migration: &Migration, written: bool, left: &Source) {
    let name = plain(name);
    for note in &migration.notes {
        terminal.message(&format!("note: {}", plain(note)));
    }
    if migration.steps == 0 {
        terminal.progress(&format!("nothing to migrate in `{name}`"));
        return;
    }
    let steps = plural(migration.steps, "step");
    terminal.progress(&if written {
        format!("{steps} of `{name}` written anew")
    } else {
        format!("{steps} of `{name}` to be written anew; `--write` does it")
    });
    diagnostics::print(terminal, left);
    let count = left.count(Severity::Error);
    if count > 0 {
        let errors = plural(count, "error");
        terminal.message(&format!("{errors} in the new text, to be mended by hand"));
    }
}
