//! One cell explained: what failed, where it is written, what ran, how it ended, what it printed
//! last, what changed, and the commands that show it again.

use std::io;

use assay_observe::expectation::Verdict;
use assay_observe::outcome::Failure;
use assay_observe::record::{OpFacts, Performance};
use assay_observe::{CellRecord, Outcome, Record};
use assay_wire::event::{Captured, Ending, Expected, Limit};
use assay_wire::name::StepRef;
use assay_wire::outcome::{OutcomeKind, Phase, Reason};
use assay_wire::plan::{Action, Limits, Op, Privilege};
use assay_wire::program::{Pass, USER};

use super::page::{Colour, Page};
use super::{HumanOptions, cell_title, changes, plural, seconds};
use crate::sanitise;

/// Lines of output shown, and shown when verbose.
const OUTPUT_LINES: (usize, usize) = (12, 100);
/// Gaps named.
const GAPS: usize = 10;
/// Unseen paths named.
const UNSEEN: usize = 10;

/// True for cells that are explained even when only what matters is shown.
pub(super) fn wanted(cell: &CellRecord) -> bool {
    cell.verdict != Verdict::AsExpected
}

/// Explains one cell.
pub(super) fn write(
    record: &Record,
    cell: &CellRecord,
    options: &HumanOptions,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let colour = match cell.verdict {
        Verdict::AsExpected => Colour::Bold,
        Verdict::Differs => Colour::Red,
        Verdict::NoResult => Colour::Yellow,
    };
    page.coloured(
        colour,
        &format!(
            "{} – {}",
            cell_title(cell),
            headline(&cell.outcome, cell.verdict)
        ),
    )?;
    if let Some(row) = &cell.facts.planned.expected {
        page.field("expected", &row_in_words(row))?;
    }
    body(cell, options, page)?;
    changes::of_ops(cell, options, page)?;
    if options.verbose {
        timings(cell, page)?;
    }
    if wanted(cell) {
        again(record, cell, page)?;
    }
    Ok(())
}

fn headline(outcome: &Outcome, verdict: Verdict) -> String {
    let kind = outcome.kind().as_str().replace('_', " ");
    match outcome.failures().next() {
        Some(first) => format!("{kind} in {}: {}", phase(first.phase), first.reason),
        None if verdict == Verdict::Differs => format!("{kind}, which was not expected"),
        None => kind,
    }
}

fn body(cell: &CellRecord, options: &HumanOptions, page: &mut Page<'_>) -> io::Result<()> {
    match &cell.outcome {
        Outcome::Failed { first, also } => {
            failure(cell, first, options, page)?;
            for one in also {
                page.field("also", &format!("{}, {}", phase(one.phase), one.reason))?;
                failure(cell, one, options, page)?;
            }
            Ok(())
        }
        Outcome::Passed => Ok(()),
        Outcome::Unsupported { reason } => page.field("because", reason),
        Outcome::Manual { steps, not_judged } => {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            page.field("by hand", &steps.join(", "))?;
            match not_judged.len() {
                0 => Ok(()),
                1 => page.field("", "1 verification after that is not judged"),
                ops => page.field(
                    "",
                    &format!("{ops} verifications after that are not judged"),
                ),
            }
        }
        Outcome::Infra {
            cause,
            retries,
            message,
            hint,
        } => {
            let cause = serde_word(cause);
            page.field("because", &format!("{cause}: {message}"))?;
            let tried = match retries {
                0 => "once".to_owned(),
                more => format!("{} times", u64::from(*more) + 1),
            };
            page.field("tried", &tried)?;
            hint.as_ref()
                .map_or(Ok(()), |hint| page.field("hint", hint))
        }
        Outcome::NotRun { because } => page.field("because", because),
        Outcome::Cancelled { reached } => page.field("reached", reached),
    }
}

fn failure(
    cell: &CellRecord,
    failure: &Failure,
    options: &HumanOptions,
    page: &mut Page<'_>,
) -> io::Result<()> {
    for step in &failure.steps {
        page.field("step", &step_in_words(cell, step))?;
    }
    let pass = if failure.phase == Phase::ApplyAgain {
        Pass::Second
    } else {
        Pass::First
    };
    let found = failure.op.and_then(|op| cell.facts.op(op));
    if let Some((op, known)) = found {
        performed(op, known.performance(pass), page)?;
    }
    page.field("because", &failure.message)?;
    match failure.reason {
        Reason::NotIdempotent => changes::of_second(cell, options, page)?,
        Reason::CaptureGap => gaps(cell, page)?,
        Reason::RequirementUnmet
        | Reason::ContentMismatch
        | Reason::ContentUnavailable
        | Reason::CommandFailed
        | Reason::CommandMissing
        | Reason::ScriptletFailed
        | Reason::TimeLimit
        | Reason::SilenceLimit
        | Reason::OutputLimit
        | Reason::WriteLimit
        | Reason::VersionTooOld
        | Reason::EvidenceMissing
        | Reason::CheckFailed => {}
    }
    found.map_or(Ok(()), |(_, known)| output(known, pass, options, page))
}

fn step_in_words(cell: &CellRecord, step: &StepRef) -> String {
    let planned = cell
        .facts
        .planned
        .plan
        .steps
        .iter()
        .find(|planned| planned.step == *step);
    let action = planned.map_or(String::new(), |planned| format!(" {}", planned.action));
    let place = cell.facts.location(step).map_or(String::new(), |place| {
        format!(" at {}:{}:{}", place.file, place.line, place.column)
    });
    format!("{step}{action}{place}")
}

fn performed(op: &Op, performance: Option<&Performance>, page: &mut Page<'_>) -> io::Result<()> {
    let who = match op.privilege {
        Privilege::Root => "root",
        Privilege::User => USER,
    };
    let what = match &op.action {
        Action::Run { argv } => {
            let effective = performance
                .map(|known| &known.argv)
                .filter(|argv| !argv.is_empty());
            sanitise::command(effective.unwrap_or(argv), 1000)
        }
        Action::Write { path, mode, .. } => format!("write {path} with mode {mode:04o}"),
        Action::Extract { archive, dest, .. } => format!("extract {archive} to {dest}"),
    };
    page.field("op", &format!("{} as {who}: {what}", op.id))?;
    let ended = performance.and_then(|known| Some((known.ending.as_ref()?, known.ms)));
    let Some((ending, ms)) = ended else {
        return Ok(());
    };
    page.field(
        "ended",
        &format!(
            "{} after {}",
            ending_in_words(ending, &op.limits),
            seconds(ms)
        ),
    )
}

fn ending_in_words(ending: &Ending, limits: &Limits) -> String {
    match ending {
        Ending::Exited(code) => format!("exit code {code}"),
        Ending::Signalled(signal) => format!("signal {signal}"),
        Ending::NotStarted { .. } => "not started".to_owned(),
        Ending::Limit(Limit::Time) => format!("killed at its limit of {} s", limits.seconds),
        Ending::Limit(Limit::CellTime) => "ended with the cell's time (`--timeout`)".to_owned(),
        Ending::Limit(Limit::Silence) => {
            format!(
                "killed at its limit of {} s without output",
                limits.silent_seconds
            )
        }
        Ending::Limit(Limit::Output) => {
            format!(
                "killed at its limit of {} bytes printed",
                limits.output_bytes
            )
        }
        Ending::Limit(Limit::Written) => {
            format!(
                "killed at its limit of {} bytes written",
                limits.written_bytes
            )
        }
        Ending::Written { changed: true } => "written".to_owned(),
        Ending::Written { changed: false } => "already as wanted".to_owned(),
        Ending::NotWritten { .. } => "not written".to_owned(),
    }
}

fn output(op: &OpFacts, pass: Pass, options: &HumanOptions, page: &mut Page<'_>) -> io::Result<()> {
    let Some(performance) = op.performance(pass) else {
        return Ok(());
    };
    let lines = if options.verbose {
        OUTPUT_LINES.1
    } else {
        OUTPUT_LINES.0
    };
    for (name, captured) in [
        ("stdout", &performance.stdout),
        ("stderr", &performance.stderr),
    ] {
        let shown = last_output(captured, lines, page.quote_width());
        if shown.is_empty() {
            continue;
        }
        let omitted = match captured.omitted {
            0 => String::new(),
            bytes => format!(", {bytes} bytes in the middle were not kept"),
        };
        page.field(name, &format!("{} bytes{omitted}", captured.bytes))?;
        page.quote(&shown)?;
    }
    Ok(())
}

fn last_output(captured: &Captured, lines: usize, width: usize) -> Vec<String> {
    let tail = sanitise::last_lines(&captured.tail, lines, width);
    if captured.omitted > 0 || tail.len() == lines {
        return tail;
    }
    // Nothing was left out between them, so a line may begin in one and end in the other.
    sanitise::last_lines(&format!("{}{}", captured.head, captured.tail), lines, width)
}

fn gaps(cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    for (index, gap) in cell.gaps.iter().take(GAPS).enumerate() {
        // The message has told the first.
        if index > 0 {
            page.field("gap", &gap.to_string())?;
        }
        if let assay_observe::capture::Gap::Unseen { paths } = gap {
            // The sentence has named the first.
            for path in paths.iter().take(UNSEEN).skip(1) {
                page.field("", path)?;
            }
        }
    }
    match cell.gaps.len().saturating_sub(GAPS) {
        0 => Ok(()),
        more => page.field("", &format!("and {}", plural(more, "more gap"))),
    }
}

fn timings(cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    let timings = &cell.timings;
    let parts = [
        ("prepare", timings.prepare_ms),
        ("apply", timings.apply_ms),
        ("verify", timings.verify_ms),
        ("apply again", timings.apply_again_ms),
        ("manifests", timings.manifest_ms),
        ("in all", timings.total_ms),
    ];
    let parts: Vec<String> = parts
        .iter()
        .map(|(name, ms)| format!("{name} {}", seconds(*ms)))
        .collect();
    page.field("time", &parts.join(", "))
}

/// The commands that show it again, and how to look inside.
fn again(record: &Record, cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    let facts = &cell.facts;
    let named = facts.cell.recipes.iter().map(|recipe| {
        let steps = facts.planned.locations.iter();
        let file = steps
            .filter(|known| known.step.recipe == *recipe)
            .map(|known| &known.location.file);
        // Outside a project a name is found nowhere: the file is named.
        match file.into_iter().next() {
            Some(file) if record.run.start.project.is_none() => file.as_str(),
            Some(_) | None => recipe.as_str(),
        }
    });
    let words: Vec<&str> = named.collect();
    let which = format!(
        "{} --on {}",
        sanitise::command(&words, 2000),
        facts.cell.target
    );
    page.command("again", &format!("assay test {which}"))?;
    // Only a failed cell's sandbox is ever kept.
    if facts.sandbox.is_none() || cell.outcome.kind() != OutcomeKind::Failed {
        return Ok(());
    }
    let kept = record
        .run
        .start
        .arguments
        .iter()
        .any(|argument| argument == "--keep-failed");
    if !kept {
        page.command("inside", &format!("assay test {which} --keep-failed"))?;
    }
    page.command(
        if kept { "inside" } else { "" },
        &format!("assay shell {}", facts.cell),
    )
}

fn row_in_words(row: &Expected) -> String {
    let phase = row
        .phase
        .map_or(String::new(), |at| format!(" in {}", phase(at)));
    let reason = row
        .reason
        .map_or(String::new(), |reason| format!(": {reason}"));
    let expired = if row.expired {
        ", but that row has expired"
    } else {
        ""
    };
    let outcome = row.outcome.as_str().replace('_', " ");
    let link = row
        .link
        .as_ref()
        .map_or(String::new(), |link| format!(" ({link})"));
    format!("{outcome}{phase}{reason}{link}{expired}")
}

fn phase(phase: Phase) -> String {
    phase.as_str().replace('_', " ")
}

fn serde_word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        Ok(_) | Err(_) => String::new(),
    }
}
