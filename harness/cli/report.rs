//! `assay report`: a finished run again, from its journal alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assay_observe::Record;
use assay_report::HumanOptions;

use crate::args::Format;
use crate::error::CliError;
use crate::project::Project;
use crate::terminal::Terminal;

/// Renders a run again; ends as the run did.
pub(crate) fn run(terminal: &Terminal, run: Option<&str>) -> Result<ExitCode, CliError> {
    let project = Project::find(terminal)?;
    let path = journal_of(&project, run)?;
    let text = std::fs::read(&path)
        .map_err(|error| CliError::usage(format!("read `{}`: {error}", path.display())))?;
    let record = assay_observe::fold_journal(&String::from_utf8_lossy(&text)).map_err(|error| {
        CliError::usage(format!(
            "`{}` is no journal that this version of assay reads: {error}",
            path.display()
        ))
    })?;
    print(terminal, &record)?;
    Ok(ExitCode::from(assay_observe::exit_code(&record).number()))
}

/// Prints a record as asked for.
pub(crate) fn print(terminal: &Terminal, record: &Record) -> Result<(), CliError> {
    terminal.result(|out| match terminal.format {
        Format::Json => assay_report::json(record, out),
        Format::Junit => assay_report::junit(record, out),
        Format::Github => assay_report::github(record, out),
        Format::Markdown => assay_report::markdown(record, out),
        Format::Html => assay_report::html(record, out),
        // `Verb::formats` lets no other through.
        Format::Human | Format::Shell => {
            let options = HumanOptions {
                color: terminal.colors_stdout(),
                width: terminal.width(),
                verbose: terminal.verbose,
            };
            assay_report::human(record, &options, out)
        }
    })
}

/// The journal of the run that is meant: a file, an id, or the newest.
fn journal_of(project: &Project, run: Option<&str>) -> Result<PathBuf, CliError> {
    let runs = project.runs();
    if let Some(text) = run {
        let file = Path::new(text);
        if file.is_file() {
            return Ok(file.to_owned());
        }
        let named = text
            .parse::<assay_wire::name::RunId>()
            .ok()
            .map(|id| runs.join(id.as_str()).join("journal.jsonl"));
        return named.filter(|path| path.is_file()).ok_or_else(|| {
            CliError::usage(format!("there is no run `{}`", text.escape_debug()))
                .hint(format!("runs are in `{}`", runs.display()))
        });
    }
    let mut journals: Vec<PathBuf> = std::fs::read_dir(&runs)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("journal.jsonl")))
        .filter(|path| path.is_file())
        .collect();
    // Run ids sort by time.
    journals.sort();
    journals
        .pop()
        .ok_or_else(|| CliError::usage("there is no run yet").hint("`assay test` makes one"))
}
