//! One cell explained: what failed, where it is written, what ran, how it ended, what it printed
//! last, what changed, and the commands that show it again.

use std::io;

use assay_observe::expectation::Verdict;
use assay_observe::outcome::Failure;
use assay_observe::record::{OpFacts, Performance};
use assay_observe::{CellRecord, Outcome, Record};
use assay_wire::outcome::{OutcomeKind, Reason};
use assay_wire::plan::Op;
use assay_wire::program::Pass;

use super::page::{Colour, Page};
use super::{HumanOptions, changes};
use crate::words::{
    cell_title, ended, fallbacks, headline, last_lines, op_in_words, pass_of, phase, plural,
    row_in_words, seconds, selection, serde_word, step_in_words,
};

/// Lines of output shown, and shown when verbose.
const OUTPUT_LINES: (usize, usize) = (12, 100);
/// Most characters of a line of a fallback, before it is wrapped.
const FALLBACK: usize = 2000;
/// Gaps named.
const GAPS: usize = 10;
/// Requests named.
const REQUESTS: usize = 100;
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
    if options.verbose() {
        requests(cell, page)?;
        timings(cell, page)?;
        page.field("cell key", &cell.cell_key.to_string())?;
    }
    if wanted(cell) {
        again(record, cell, page)?;
    }
    Ok(())
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
    let pass = pass_of(failure);
    let found = failure.op.and_then(|op| cell.facts.op(op));
    if let Some((op, known)) = found {
        performed(op, known.performance(pass), page)?;
    }
    page.field("because", &failure.message)?;
    for lines in fallbacks(cell, failure, FALLBACK) {
        for (index, line) in lines.iter().enumerate() {
            page.field(if index == 0 { "fallback" } else { "" }, line)?;
        }
    }
    match failure.reason {
        Reason::NotIdempotent => changes::of_second(cell, options, page)?,
        Reason::CaptureGap => gaps(cell, page)?,
        Reason::RequirementUnmet
        | Reason::UndeclaredOperation
        | Reason::ContentMismatch
        | Reason::KeyRefused
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

fn performed(op: &Op, performance: Option<&Performance>, page: &mut Page<'_>) -> io::Result<()> {
    page.field("op", &op_in_words(op, performance))?;
    ended(op, performance).map_or(Ok(()), |ended| page.field("ended", &ended))
}

fn output(op: &OpFacts, pass: Pass, options: &HumanOptions, page: &mut Page<'_>) -> io::Result<()> {
    let Some(performance) = op.performance(pass) else {
        return Ok(());
    };
    let lines = if options.verbose() {
        OUTPUT_LINES.1
    } else {
        OUTPUT_LINES.0
    };
    for (name, captured) in [
        ("stdout", &performance.stdout),
        ("stderr", &performance.stderr),
    ] {
        let shown = last_lines(captured, lines, page.quote_width());
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

/// What it asked of the world, and what came.
fn requests(cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    let requests = &cell.facts.requests;
    for (index, request) in requests.iter().take(REQUESTS).enumerate() {
        let mut words = format!("{} {}: {}", request.method, request.url, request.status);
        if request.bytes > 0 {
            words.push_str(&format!(", {} bytes", request.bytes));
        }
        if let Some(sha256) = &request.sha256 {
            words.push_str(&format!(", sha256 {}", &sha256.to_string()[..12]));
        }
        if let Some(asker) = &request.asker {
            let program = asker
                .program
                .as_deref()
                .unwrap_or("one of several programs");
            words.push_str(&format!(", by {program} of user {}", asker.uid));
        }
        if let Some(op) = request.op {
            words.push_str(&format!(", op {op}"));
        }
        page.field(if index == 0 { "asked" } else { "" }, &words)?;
    }
    match requests.len().saturating_sub(REQUESTS) {
        0 => Ok(()),
        more => page.field("", &format!("and {more} more")),
    }
}

fn timings(cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    let timings = &cell.timings;
    let boot = cell.facts.booted.as_ref().map(|boot| ("boot", boot.ms));
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
        .take(1)
        .chain(&boot)
        .chain(&parts[1..])
        .map(|(name, ms)| format!("{name} {}", seconds(*ms)))
        .collect();
    page.field("time", &parts.join(", "))
}

/// The commands that show it again, and how to look inside.
fn again(record: &Record, cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    let which = selection(record, cell);
    page.command("again", &format!("assay test {which}"))?;
    // Only a failed cell's sandbox is ever kept.
    if cell.facts.sandbox.is_none() || cell.outcome.kind() != OutcomeKind::Failed {
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
        &format!("assay shell {}", cell.facts.cell),
    )
}
