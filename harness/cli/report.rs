//! `assay report`: a finished run again, from its journal alone.

use std::process::ExitCode;

use assay_observe::Record;
use assay_report::{Detail, HumanOptions};

use crate::args::Format;
use crate::error::CliError;
use crate::project::Project;
use crate::runs;
use crate::terminal::Terminal;

/// Renders a run again; ends as the run did.
pub(crate) fn run(terminal: &Terminal, run: Option<&str>) -> Result<ExitCode, CliError> {
    let project = Project::find(terminal)?;
    let record = runs::read(&runs::journal_of(&project, run)?)?;
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
        Format::Sarif => assay_report::sarif(record, out),
        // `Verb::formats` lets no other through.
        Format::Human | Format::Shell => {
            let options = HumanOptions {
                color: terminal.colors_stdout(),
                width: terminal.width(),
                detail: match (terminal.quiet, terminal.verbose) {
                    (true, _) => Detail::Little,
                    (false, true) => Detail::All,
                    (false, false) => Detail::Normal,
                },
            };
            assay_report::human(record, &options, out)
        }
    })
}
