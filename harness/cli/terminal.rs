//! The two streams of the command line: results on standard output, everything else on standard
//! error. The only module that prints.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use crate::args::{Format, Global, When};
use crate::error::CliError;

/// What was asked for of the output, and what the terminal can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// Text or JSON.
    pub(crate) format: Format,
    /// Only what is wrong.
    pub(crate) quiet: bool,
    /// More.
    pub(crate) verbose: bool,
    choice: ColorChoice,
}

impl Terminal {
    /// As the arguments say.
    pub(crate) fn new(global: &Global) -> Self {
        let choice = match global.color {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        };
        Self {
            format: global.format,
            quiet: global.quiet,
            verbose: global.verbose,
            choice,
        }
    }

    /// True if results are for a program.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// True if results on standard output are coloured.
    pub(crate) fn colors_stdout(&self) -> bool {
        self.colors(&io::stdout())
    }

    /// True if messages on standard error are coloured.
    pub(crate) fn colors_stderr(&self) -> bool {
        self.colors(&io::stderr())
    }

    /// True if a person watches standard error, so that lines may be redrawn.
    pub(crate) fn is_live(&self) -> bool {
        io::stderr().is_terminal() && !self.quiet
    }

    /// Columns of the terminal, 80 where it is none, never less than 40.
    pub(crate) fn width(&self) -> usize {
        let asked = rustix::termios::tcgetwinsize(io::stdout())
            .or_else(|_| rustix::termios::tcgetwinsize(io::stderr()));
        asked.map_or(80, |size| usize::from(size.ws_col)).max(40)
    }

    /// Writes a result to standard output.
    ///
    /// # Errors
    /// If it cannot be written; a reader that has gone (`assay … | head`) is no error.
    pub(crate) fn result(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| {
                CliError::infrastructure(format!("standard output cannot be written: {error}"))
            }),
        }
    }

    /// Writes a value as one JSON document to standard output, fit to be shown in a log.
    ///
    /// # Errors
    /// As [`Terminal::result`].
    pub(crate) fn json(&self, value: &impl serde::Serialize) -> Result<(), CliError> {
        self.result(|out| assay_report::json::pretty(value, out))
    }

    /// Writes a message to standard error, whatever is asked for.
    pub(crate) fn message(&self, text: &str) {
        // Nothing can be done if even this cannot be written.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Writes a line about what is going on to standard error, unless only faults are wanted.
    pub(crate) fn progress(&self, text: &str) {
        if !self.quiet {
            self.message(text);
        }
    }

    /// Writes an error with its hints.
    pub(crate) fn error(&self, error: &CliError) {
        let (red, bold, reset) = if self.colors_stderr() {
            ("\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m")
        } else {
            ("", "", "")
        };
        if error.source.is_some() {
            let text = plain_lines(&error.to_string());
            let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
            let text = self.hanging(&io::stderr(), "error: ", first);
            let text = text.strip_prefix("error:").unwrap_or(&text);
            self.message(&format!("{red}error{reset}{bold}:{reset}{text}"));
            for line in rest.lines() {
                // Marked, so that no line of somebody else's text passes for one of ours.
                self.message(&format!("  │ {}", line.trim_start()));
            }
        }
        for hint in &error.hints {
            self.message(&self.hanging(&io::stderr(), "  hint: ", &plain(hint)));
        }
    }

    /// A text beside a name, wrapped if the stream it goes to is a terminal; what programs read keeps
    /// its lines.
    pub(crate) fn hanging(&self, to: &impl IsTerminal, name: &str, text: &str) -> String {
        if !to.is_terminal() {
            return format!("{name}{text}");
        }
        let room = self.width().saturating_sub(name.len());
        let between = format!("\n{}", " ".repeat(name.len()));
        format!("{name}{}", wrap(text, room).join(&between))
    }

    fn colors(&self, stream: &(impl anstream::stream::RawStream + IsTerminal)) -> bool {
        match self.choice {
            ColorChoice::Auto => !matches!(AutoStream::choice(stream), ColorChoice::Never),
            ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
            ColorChoice::Never => false,
        }
    }
}

/// A paragraph in lines of at most `width` columns. What stands in backticks is a command or a name
/// to copy and is never broken; what is longer than a line stands alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in text.split_whitespace() {
        match words.last_mut() {
            Some(open) if open.matches('`').count() % 2 == 1 => {
                open.push(' ');
                open.push_str(part);
            }
            Some(_) | None => words.push(part.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            Some(_) | None => lines.push(word),
        }
    }
    lines
}

/// Text from elsewhere on one line of a terminal: nothing in it moves the cursor, colours or hides.
pub(crate) fn plain(text: &str) -> String {
    assay_report::sanitise::line(text, 4000)
}

/// Text from elsewhere, its lines kept.
pub(crate) fn plain_lines(text: &str) -> String {
    assay_report::sanitise::block(text, 10_000, 4000).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_never_broken() {
        let lines = wrap("run `assay images build arch` now, or wait", 12);
        assert_eq!(lines, ["run", "`assay images build arch`", "now, or wait"]);
        assert_eq!(wrap("one ` two three", 5), ["one", "` two three"]);
        assert_eq!(wrap("", 5), [] as [&str; 0]);
    }
}
