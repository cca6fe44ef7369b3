//! Judging one performance of one op, live or from a journal: the same functions.
//!
//! A message names what was asked, what was to come and what came; the command itself is the
//! record's to show.

use assay_wire::event::{Captured, Ending, Limit};
use assay_wire::outcome::{Phase, Reason};
use assay_wire::plan::{Evidence, Expects, Op, OpId, Plan, Presence, Subject};
use assay_wire::program::Pass;

use crate::outcome::Failure;
use crate::presence::{PresenceVerdict, judge_presence};
use crate::version::line_matches;

/// True if an op did not do what its plan says must come of it.
///
/// For a runner: a failed op that applies ends the program; unmet requirements end it after the
/// last of them ([`is_last_requirement`]); a failed verification ends nothing.
#[must_use]
pub fn op_failed(op: &Op, ending: &Ending, stdout: &Captured, stderr: &Captured) -> bool {
    !op_failures(op, Pass::First, ending, stdout, stderr).is_empty()
}

/// True for the op after which a runner decides whether requirements are met.
#[must_use]
pub fn is_last_requirement(plan: &Plan, id: OpId) -> bool {
    let requirement = |op: &&Op| matches!(op.expects, Expects::Requirement(_));
    plan.ops
        .iter()
        .rfind(requirement)
        .is_some_and(|op| op.id == id)
}

/// Every way in which a performance failed; empty if it did not.
#[must_use]
pub fn op_failures(
    op: &Op,
    pass: Pass,
    ending: &Ending,
    stdout: &Captured,
    stderr: &Captured,
) -> Vec<Failure> {
    let found = match &op.expects {
        Expects::Success { .. } => apply_faults(ending, stdout, stderr),
        Expects::Requirement(presence) => {
            presence_fault(presence, ending, stdout, stderr).map(|(reason, message)| {
                let limit = matches!(ending, Ending::Limit(_));
                (
                    if limit {
                        reason
                    } else {
                        Reason::RequirementUnmet
                    },
                    message,
                )
            })
        }
        Expects::Command(presence) => presence_fault(presence, ending, stdout, stderr),
        Expects::Evidence(evidence) => evidence_fault(evidence, ending, stdout),
        Expects::Check {
            name,
            exit_code,
            stdout_contains,
            stdout_matches,
            stderr_contains,
        } => {
            let channels = [
                ("standard output", stdout_contains.as_slice(), stdout),
                ("standard error", stderr_contains.as_slice(), stderr),
            ];
            check_fault(
                name,
                *exit_code,
                ending,
                (stdout_matches.as_deref(), stdout),
                &channels,
            )
        }
    };
    let failure = |(reason, message)| Failure {
        phase: phase(op, pass),
        reason,
        op: Some(op.id),
        steps: op.steps.clone(),
        message,
    };
    found.map(failure).into_iter().collect()
}

/// The phase an op belongs to in one of the applies.
pub(super) fn phase(op: &Op, pass: Pass) -> Phase {
    match (pass, &op.expects) {
        (Pass::Second, _) => Phase::ApplyAgain,
        (Pass::First, Expects::Requirement(_)) => Phase::Prepare,
        (Pass::First, Expects::Success { .. }) => Phase::Apply,
        (Pass::First, Expects::Command(_) | Expects::Evidence(_) | Expects::Check { .. }) => {
            Phase::Verify
        }
    }
}

/// True for ops that only look whether something is as it should be.
pub(super) fn verifies(op: &Op) -> bool {
    match &op.expects {
        Expects::Command(_) | Expects::Evidence(_) | Expects::Check { .. } => true,
        Expects::Success { .. } | Expects::Requirement(_) => false,
    }
}

type Fault = (Reason, String);

fn apply_faults(ending: &Ending, stdout: &Captured, stderr: &Captured) -> Option<Fault> {
    let matched = stdout.matched.iter().chain(&stderr.matched).next();
    match (ending, matched) {
        (Ending::Exited(0), Some(line)) => {
            let message = format!("it printed `{line}` and reported success with exit code 0");
            Some((Reason::ScriptletFailed, message))
        }
        (Ending::Exited(code), Some(line)) => {
            let message = format!("it printed `{line}` and ended with exit code {code}");
            Some((Reason::ScriptletFailed, message))
        }
        (Ending::Exited(0) | Ending::Written { .. }, None) | (Ending::Written { .. }, Some(_)) => {
            None
        }
        (Ending::Exited(code), None) => Some((
            Reason::CommandFailed,
            format!("it ended with exit code {code}"),
        )),
        (Ending::Signalled(signal), _) => {
            Some((Reason::CommandFailed, format!("signal {signal} ended it")))
        }
        (Ending::NotStarted { not_found, message }, _) => Some(not_started(*not_found, message)),
        (Ending::Limit(limit), _) => Some(limit_fault(*limit)),
        (Ending::NotWritten { message }, _) => Some((
            Reason::CommandFailed,
            format!("the file could not be written: {message}"),
        )),
    }
}

fn presence_fault(
    presence: &Presence,
    ending: &Ending,
    stdout: &Captured,
    stderr: &Captured,
) -> Option<Fault> {
    let subject = match &presence.subject {
        Subject::Command(name) => format!("command `{name}`"),
        Subject::Package(name) => format!("package `{name}`"),
        Subject::Library(name) => format!("library `{name}`"),
        Subject::File(path) => format!("file `{path}`"),
        Subject::User(name) => format!("user `{name}`"),
    };
    let wanted = presence.version.as_ref().map_or(String::new(), |probe| {
        let minimum = probe
            .minimum
            .iter()
            .map(|minimum| format!(" {minimum} or newer"));
        let range = probe.range.iter().map(|range| format!(" {range}"));
        minimum.chain(range).collect()
    });
    match judge_presence(presence, ending, stdout, stderr) {
        PresenceVerdict::Met { .. } => None,
        PresenceVerdict::Missing { because } => {
            let reason = match presence.subject {
                Subject::Command(_) => Reason::CommandMissing,
                Subject::Package(_) | Subject::Library(_) | Subject::File(_) | Subject::User(_) => {
                    Reason::CheckFailed
                }
            };
            Some((
                reason,
                format!("{subject}{wanted} is needed and not there: {because}"),
            ))
        }
        PresenceVerdict::OtherVersion { found } => Some((
            Reason::VersionTooOld,
            format!("{subject}{wanted} is needed, {found} was found"),
        )),
        PresenceVerdict::Unreadable { because } => Some((
            Reason::VersionTooOld,
            format!("{subject}{wanted} is needed and its version could not be read: {because}"),
        )),
        PresenceVerdict::Limit(limit) => {
            let (reason, message) = limit_fault(limit);
            Some((reason, format!("{subject} was asked for and {message}")))
        }
    }
}

/// Nothing if a line of the answer shows the fact. The exit code does not count: systemctl(1)
/// answers `disabled` with 1 and `static` with 0.
fn evidence_fault(evidence: &Evidence, ending: &Ending, stdout: &Captured) -> Option<Fault> {
    let fact = &evidence.fact;
    match ending {
        Ending::Exited(_) | Ending::Signalled(_) => {}
        Ending::NotStarted { not_found, message } => {
            let (reason, message) = not_started(*not_found, message);
            return Some((reason, format!("no evidence that {fact}: {message}")));
        }
        Ending::Limit(limit) => {
            let (reason, message) = limit_fault(*limit);
            return Some((reason, format!("no evidence that {fact}: {message}")));
        }
        Ending::Written { .. } | Ending::NotWritten { .. } => {
            let message = format!("no evidence that {fact}: a file was written instead");
            return Some((Reason::CheckFailed, message));
        }
    }
    match line_matches(&evidence.regex, stdout) {
        Ok(true) => None,
        Ok(false) => {
            let answer = stdout.head.lines().find(|line| !line.trim().is_empty());
            let answer = answer.map_or("nothing".to_owned(), |line| format!("`{line}`"));
            let message = format!("no evidence that {fact}: the answer is {answer}");
            Some((Reason::EvidenceMissing, message))
        }
        Err(because) => Some((
            Reason::EvidenceMissing,
            format!(
                "no evidence that {fact}: `{}` is no usable expression: {because}",
                evidence.regex
            ),
        )),
    }
}

fn check_fault(
    name: &str,
    exit_code: i32,
    ending: &Ending,
    matches: (Option<&str>, &Captured),
    channels: &[(&str, &[String], &Captured)],
) -> Option<Fault> {
    let came = match ending {
        Ending::Exited(code) if *code == exit_code => None,
        Ending::Exited(code) => Some(format!("exit code {exit_code} was expected, {code} came")),
        Ending::Signalled(signal) => Some(format!(
            "exit code {exit_code} was expected, signal {signal} ended it"
        )),
        Ending::Written { .. } | Ending::NotWritten { .. } => Some(format!(
            "exit code {exit_code} was expected, a file was written instead"
        )),
        Ending::NotStarted { not_found, message } => {
            let (reason, message) = not_started(*not_found, message);
            return Some((reason, format!("check `{name}`: {message}")));
        }
        Ending::Limit(limit) => {
            let (reason, message) = limit_fault(*limit);
            return Some((reason, format!("check `{name}`: {message}")));
        }
    };
    let lacking = channels.iter().flat_map(|(channel, contains, captured)| {
        let cut = match captured.omitted {
            0 => String::new(),
            omitted => format!(" ({omitted} bytes in the middle were not kept)"),
        };
        let lacking = contains.iter().filter(|text| !prints(captured, text));
        lacking.map(move |text| format!("{channel} lacks `{text}`{cut}"))
    });
    let (regex, stdout) = matches;
    let unmatched = regex.and_then(|regex| match line_matches(regex, stdout) {
        Ok(true) => None,
        Ok(false) => Some(format!("no line of standard output matches `{regex}`")),
        Err(because) => Some(format!("`{regex}` is no usable expression: {because}")),
    });
    let faults: Vec<String> = came.into_iter().chain(unmatched).chain(lacking).collect();
    let message = format!("check `{name}`: {}", faults.join("; "));
    (!faults.is_empty()).then_some((Reason::CheckFailed, message))
}

/// True if a text stands in what was kept of a channel.
fn prints(captured: &Captured, text: &str) -> bool {
    if captured.omitted == 0 && !captured.tail.is_empty() {
        return format!("{}{}", captured.head, captured.tail).contains(text);
    }
    captured.head.contains(text) || captured.tail.contains(text)
}

fn not_started(not_found: bool, message: &str) -> Fault {
    let message = if not_found {
        "no such command is on the PATH".to_owned()
    } else {
        format!("it could not be started: {message}")
    };
    (Reason::CommandMissing, message)
}

fn limit_fault(limit: Limit) -> Fault {
    match limit {
        Limit::Time => (Reason::TimeLimit, "it ran longer than its limit".to_owned()),
        Limit::CellTime => (
            Reason::TimeLimit,
            "the time of the whole cell passed while it ran".to_owned(),
        ),
        Limit::Silence => (
            Reason::SilenceLimit,
            "it printed nothing for longer than its limit".to_owned(),
        ),
        Limit::Output => (
            Reason::OutputLimit,
            "it printed more than its limit".to_owned(),
        ),
        Limit::Written => (
            Reason::WriteLimit,
            "it wrote more than its limit".to_owned(),
        ),
    }
}
