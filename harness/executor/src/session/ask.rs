//! Commands run for their answer: guards and the probes of manifests ([`super::probes`]). Their output stays
//! inside, bounded like that of any question.

use std::sync::Arc;

use assay_wire::plan::{Limits, SkipIf};
use assay_wire::trace::StartedFor;

use super::{Machine, Session};
use crate::account::WriteAccount;
use crate::fault::Fault;
use crate::reap::Exit;
use crate::supervise::{Channel, Ended, Sink, watch};
use crate::users::User;
use crate::wake::Wake;
use crate::{spawn, surroundings};

/// What a command answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// How it ended.
    pub(super) exit: Exit,
    /// What it printed on standard output.
    pub(super) stdout: Vec<u8>,
}

/// Runs a command for its answer; `None` if it could not be started or passed a limit.
pub(super) fn ask(
    session: &Session,
    machine: &Machine,
    user: &User,
    argv: &[String],
) -> Result<Option<Answer>, Fault> {
    let limits = Limits::QUERY;
    let asking = || Fault::io(format!("asking `{}`", argv.join(" ")));
    let launch = surroundings::launch(&machine.harness, user, argv, Some(limits.written_bytes));
    let wake = Arc::new(Wake::new().map_err(asking())?);
    let (stdout, stdout_end) = spawn::channel_pipe().map_err(asking())?;
    let (stderr, stderr_end) = spawn::channel_pipe().map_err(asking())?;
    let mut account = WriteAccount::start();
    let ends = (stdout_end, stderr_end);
    let traced_for = session.traced(StartedFor::Question);
    let started = spawn::start(
        &session.reaper,
        &launch,
        traced_for,
        ends,
        Arc::clone(&wake),
    );
    let Ok(child) = started.map_err(asking())? else {
        return Ok(None);
    };
    let mut channels = [
        Channel {
            pipe: Some(stdout),
            sink: Sink::Keep(Vec::new()),
        },
        Channel {
            pipe: Some(stderr),
            sink: Sink::Drop,
        },
    ];
    let ended = watch(&child, &wake, &mut channels, &limits, &mut account).map_err(asking())?;
    let [stdout, _] = channels.map(|channel| channel.sink);
    Ok(match (ended, stdout) {
        (Ended::Exit(exit), Sink::Keep(stdout)) => Some(Answer { exit, stdout }),
        _ => None,
    })
}

/// True if the answer is the one that lets an op be skipped.
pub(super) fn holds(answer: &Answer, skip_if: &SkipIf) -> bool {
    match skip_if {
        SkipIf::ExitCode(code) => answer.exit == Exit::Code(*code),
        SkipIf::Lines(wanted) => {
            let Ok(text) = std::str::from_utf8(&answer.stdout) else {
                return false;
            };
            answer.exit == Exit::Code(0)
                && text
                    .lines()
                    .map(str::to_owned)
                    .collect::<std::collections::BTreeSet<_>>()
                    == *wanted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(exit: Exit, stdout: &str) -> Answer {
        Answer {
            exit,
            stdout: stdout.as_bytes().to_vec(),
        }
    }

    #[test]
    fn lines_are_compared_as_a_whole_set() {
        let wanted = SkipIf::Lines(["a ok".to_owned(), "b ok".to_owned()].into());
        assert!(holds(&answer(Exit::Code(0), "b ok\na ok\n"), &wanted));
        assert!(holds(&answer(Exit::Code(0), "b ok\na ok\na ok"), &wanted));
        assert!(!holds(&answer(Exit::Code(0), "a ok\n"), &wanted));
        assert!(!holds(&answer(Exit::Code(0), "a ok\nb ok\nc\n"), &wanted));
        assert!(!holds(&answer(Exit::Code(1), "a ok\nb ok\n"), &wanted));
    }

    #[test]
    fn an_exit_code_is_not_a_signal() {
        assert!(holds(&answer(Exit::Code(9), ""), &SkipIf::ExitCode(9)));
        assert!(!holds(&answer(Exit::Signal(9), ""), &SkipIf::ExitCode(9)));
    }
}
