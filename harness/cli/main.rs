//! The `assay` command: arguments in, one verb, an exit code out. One file per verb; what verbs
//! share: [`args`] (the command line), [`error`] (kinds and exit codes), [`terminal`] (the only
//! module that prints), [`project`], [`load`] and [`cells`] (what is selected), [`world`] and [`network`] (what a
//! run needs), [`variants`] (images derived for it), [`runs`] (what is left of runs), [`expectations`], [`diagnostics`] and [`progress`] (what is shown), [`cache`] and [`time`].

mod args;
mod cache;
mod cells;
mod check;
mod consent;
mod diagnostics;
mod doctor;
mod error;
mod expectations;
mod explain;
mod images;
mod load;
mod lock;
mod migrate;
mod network;
mod new;
mod pin;
mod plan;
mod progress;
mod project;
mod report;
mod runs;
mod schema;
mod shell;
mod snapshot;
mod store;
mod targets;
mod terminal;
mod test;
mod time;
mod variants;
mod world;
mod write;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Verb};
use crate::error::CliError;
use crate::terminal::Terminal;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(&cli.global);
    match dispatch(&terminal, &cli.verb) {
        Ok(code) => code,
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}

fn dispatch(terminal: &Terminal, verb: &Verb) -> Result<ExitCode, CliError> {
    let done = |result: Result<(), CliError>| result.map(|()| ExitCode::SUCCESS);
    has_format(terminal, verb)?;
    match verb {
        Verb::New { name } => done(new::run(terminal, name)),
        Verb::Migrate { file, write } => done(migrate::run(terminal, file, *write)),
        Verb::Completions { shell } => done(completions(terminal, *shell)),
        Verb::Check(arguments) => done(check::run(terminal, arguments)),
        Verb::Explain { code } => done(explain::run(terminal, code.as_deref())),
        Verb::Pin(arguments) => done(pin::run(terminal, arguments)),
        Verb::Plan(arguments) => done(plan::run(terminal, arguments)),
        Verb::Consent(verb) => done(consent::run(terminal, verb)),
        Verb::Snapshot(verb) => done(snapshot::run(terminal, verb)),
        Verb::Report { run } => report::run(terminal, run.as_deref()),
        Verb::Test(arguments) => wait(test::run(terminal, arguments))?,
        Verb::Shell(arguments) => done(wait(shell::run(terminal, arguments))?),
        Verb::Images(verb) => done(wait(images::run(terminal, verb))?),
        Verb::Store(verb) => done(store::run(terminal, verb)),
        Verb::Schema { name } => done(schema::run(terminal, name.as_deref())),
        Verb::Doctor { sweep } => done(wait(doctor::run(terminal, *sweep))?),
    }
}

/// Refuses a format that a verb does not have, before it does anything.
fn has_format(terminal: &Terminal, verb: &Verb) -> Result<(), CliError> {
    let formats = verb.formats();
    if formats.contains(&terminal.format) {
        return Ok(());
    }
    let words: Vec<String> = formats
        .iter()
        .map(|format| format!("`{}`", format.word()))
        .collect();
    let format = terminal.format.word();
    Err(
        CliError::usage(format!("this verb has no format `{format}`"))
            .hint(format!("it has {}", words.join(", "))),
    )
}

/// Prints what a shell completes with.
fn completions(terminal: &Terminal, shell: clap_complete::Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "assay", &mut script);
    terminal.result(|out| out.write_all(&script))
}

/// Runs what waits for the world. The runtime is not waited for afterwards: a thread that reads a
/// terminal would never end.
fn wait<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::infrastructure)?;
    let done = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(done)
}
