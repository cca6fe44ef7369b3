//! Runs a program of the machine and keeps the end of what it said when it fails.
//!
//! No shell: every call is an argument list. Prints nothing.

use std::process::{Command, Stdio};

/// How much of a failed program's output an error shows.
const LAST_LINES: usize = 12;

/// A program that could not be started or that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended with a fault.
    #[error("`{program}` failed ({status}):\n{output}")]
    Failed {
        /// The program and its first words.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its last lines.
        output: String,
    },
}

/// Runs a program to its end and gives its standard output.
///
/// # Errors
/// `ProcessError` when it cannot be started or does not end with 0.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>, ProcessError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ProcessError::Start {
            program: program.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let clean: String = text
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect();
    let lines: Vec<&str> = clean
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    Err(ProcessError::Failed {
        program,
        status: output.status,
        output: last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_keeps_the_last_lines_without_escapes() {
        let fault =
            run(Command::new("sh").args(["-c", "seq 40; printf 'bad\\033[31m\\n' >&2; exit 4"]));
        let Err(ProcessError::Failed { output, status, .. }) = fault else {
            panic!("the program fails");
        };
        assert_eq!(status.code(), Some(4));
        assert!(output.ends_with("40\nbad[31m") && !output.contains("\n20\n"));
        assert!(matches!(
            run(&mut Command::new("no-such-program")),
            Err(ProcessError::Start { .. })
        ));
        assert_eq!(
            run(Command::new("echo").arg("x")).expect("ends with 0"),
            b"x\n"
        );
    }
}
