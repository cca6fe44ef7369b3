//! Words that every format has for the same fact: titles, outcomes, places, times.
//!
//! Nothing here is escaped: each format does that for its own reader, on its way out.

use std::collections::{BTreeMap, BTreeSet};

use assay_observe::consent::Standing;
use assay_observe::expectation::Verdict;
use assay_observe::outcome::Failure;
use assay_observe::record::{ContentFact, Performance};
use assay_observe::{CellRecord, Outcome, Record};
use assay_wire::event::{Captured, Ending, Expected, ImageKind, Limit, SnapshotFinding};
use assay_wire::key::KeyFinding;
use assay_wire::name::{GuestPath, StepRef, TargetId, Variant};
use assay_wire::outcome::{OutcomeKind, Phase};
use assay_wire::plan::{Action, Limits, Op, Privilege};
use assay_wire::program::{HarnessEnv, Pass, USER};
use schemars::JsonSchema;
use serde::Serialize;

use crate::sanitise;

mod privileged;

pub use privileged::standing_in_words;
pub(crate) use privileged::{
    AGAIN, Lack, actor_in_words, chain_in_words, need_consent, not_declared, place, place_in,
    voucher_in_words, what, why_in_words,
};

/// Most lines shown of what an author says to do.
const FALLBACK_LINES: usize = 40;

/// How many cells ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Counts {
    /// All cells.
    pub cells: usize,
    /// Passed, and nobody expected otherwise.
    pub passed: usize,
    /// Failed as `expected.toml` says.
    pub failed_as_expected: usize,
    /// Failed and should not have, or otherwise than expected.
    pub failed: usize,
    /// Did not fail although that was expected.
    pub unexpected: usize,
    /// Nothing to install on the target.
    pub unsupported: usize,
    /// A human step is needed.
    pub manual: usize,
    /// Infrastructure at fault.
    pub infra: usize,
    /// Not started.
    pub not_run: usize,
    /// Interrupted.
    pub cancelled: usize,
    /// Plans without a snapshot or different from theirs.
    pub snapshot_findings: usize,
    /// Cells that did something which needs a consent and has none.
    pub consent_findings: usize,
}

impl Counts {
    /// Counts a record's cells.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let mut counts = Self {
            cells: record.cells.len(),
            ..Self::default()
        };
        for cell in &record.cells {
            let differs = cell.verdict == Verdict::Differs;
            let count = match cell.outcome.kind() {
                OutcomeKind::Failed if differs => &mut counts.failed,
                OutcomeKind::Failed => &mut counts.failed_as_expected,
                OutcomeKind::Passed | OutcomeKind::Unsupported | OutcomeKind::Manual if differs => {
                    &mut counts.unexpected
                }
                OutcomeKind::Passed => &mut counts.passed,
                OutcomeKind::Unsupported => &mut counts.unsupported,
                OutcomeKind::Manual => &mut counts.manual,
                OutcomeKind::Infra => &mut counts.infra,
                OutcomeKind::NotRun => &mut counts.not_run,
                OutcomeKind::Cancelled => &mut counts.cancelled,
            };
            *count += 1;
            counts.snapshot_findings += usize::from(snapshot_differs(cell));
            counts.consent_findings += usize::from(lacks_consent(cell));
        }
        counts
    }
}

pub(crate) fn snapshot_differs(cell: &CellRecord) -> bool {
    match cell.facts.planned.snapshot {
        SnapshotFinding::NotJudged | SnapshotFinding::Same => false,
        SnapshotFinding::Missing | SnapshotFinding::Different { .. } => true,
    }
}

/// True if a cell did something that needs a consent and has none.
pub(crate) fn lacks_consent(cell: &CellRecord) -> bool {
    let delta = &cell.delta;
    let declared = delta.declared.iter().map(|one| one.standing);
    let sets = delta.accompanying.iter().map(|set| set.standing);
    let mut standings = declared.chain(sets).flatten();
    standings.any(Standing::is_refused)
}

/// The word that marks an image that is not the registry's.
pub(crate) fn kind_mark(kind: Option<ImageKind>) -> &'static str {
    match kind {
        None | Some(ImageKind::Registry) => "",
        Some(ImageKind::Bootstrap) => " (bootstrap)",
        Some(ImageKind::Lab) => " (lab)",
        Some(ImageKind::Tarball) => " (tarball)",
    }
}

/// A cell's target with its image's mark, and its recipes.
pub(crate) fn cell_title(cell: &CellRecord) -> String {
    format!("{}: {}", target_title(cell), recipes(cell))
}

/// A cell's target with its image's mark.
pub(crate) fn target_title(cell: &CellRecord) -> String {
    let facts = &cell.facts;
    let image = facts.planned.image.as_ref();
    let mark = kind_mark(image.map(|image| image.kind));
    let mark = match image.map(|image| image.variant) {
        None | Some(Variant::Minimal) => mark.to_owned(),
        Some(variant @ Variant::Systemd) => match mark.strip_suffix(')') {
            Some(kind) => format!("{kind}, {variant})"),
            None => format!(" ({variant})"),
        },
    };
    format!("{}{mark}", facts.cell.target)
}

/// `1 cell`, `2 cells`.
pub(crate) fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// How a cell ended in one sign, which always stands beside a word.
pub(crate) fn sign(cell: &CellRecord) -> &'static str {
    match (cell.verdict, cell.outcome.kind()) {
        (Verdict::Differs, _) => "✗",
        (Verdict::NoResult, _) => "!",
        (Verdict::AsExpected, OutcomeKind::Failed) => "~",
        (Verdict::AsExpected, OutcomeKind::Unsupported) => "–",
        (Verdict::AsExpected, OutcomeKind::Manual) => "○",
        (
            Verdict::AsExpected,
            OutcomeKind::Passed | OutcomeKind::Infra | OutcomeKind::NotRun | OutcomeKind::Cancelled,
        ) => "✓",
    }
}

/// Milliseconds for people.
pub(crate) fn seconds(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

pub(crate) fn headline(outcome: &Outcome, verdict: Verdict) -> String {
    let kind = outcome.kind().as_str().replace('_', " ");
    match outcome.failures().next() {
        Some(first) => format!("{kind} in {}: {}", phase(first.phase), first.reason),
        None if verdict == Verdict::Differs => format!("{kind}, which was not expected"),
        None => kind,
    }
}

/// What is wrong with a repository's key that was used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KnownKeyFinding<'r> {
    pub(crate) finding: &'r KeyFinding,
    pub(crate) step: &'r StepRef,
    pub(crate) url: &'r str,
}

/// Everything that is wrong with keys, the gravest first, each with the cells it concerns.
pub(crate) fn keys(record: &Record) -> BTreeMap<KnownKeyFinding<'_>, Vec<&CellRecord>> {
    let mut found: BTreeMap<KnownKeyFinding<'_>, Vec<&CellRecord>> = BTreeMap::new();
    for cell in &record.cells {
        for content in &cell.facts.content {
            let ContentFact::Ready(ready) = content else {
                continue;
            };
            for finding in &ready.findings {
                let known = KnownKeyFinding {
                    finding,
                    step: &ready.step,
                    url: &ready.url,
                };
                found.entry(known).or_default().push(cell);
            }
        }
    }
    found
}

/// A key's finding on one line.
pub(crate) fn key_in_words(known: &KnownKeyFinding<'_>) -> String {
    let KnownKeyFinding { finding, url, .. } = known;
    let whose = finding.fingerprint.as_ref();
    let whose = whose.map_or(String::new(), |print| format!("{print} of "));
    format!("{whose}{url}: {} [{}]", finding.message, finding.code)
}

pub(crate) fn step_in_words(cell: &CellRecord, step: &StepRef) -> String {
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

pub(crate) fn ending_in_words(ending: &Ending, limits: &Limits) -> String {
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

pub(crate) fn row_in_words(row: &Expected) -> String {
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

pub(crate) fn phase(phase: Phase) -> String {
    phase.as_str().replace('_', " ")
}

pub(crate) fn serde_word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        Ok(_) | Err(_) => String::new(),
    }
}

/// How many cells ended how, and how long it took, in one line.
pub(crate) fn counts_in_words(record: &Record) -> String {
    let counts = Counts::of(record);
    let parts = [
        (counts.passed, "passed"),
        (counts.failed_as_expected, "failed as expected"),
        (counts.failed, "failed"),
        (counts.unexpected, "not as expected"),
        (counts.unsupported, "unsupported"),
        (counts.manual, "manual"),
        (counts.infra, "infrastructure"),
        (counts.not_run, "not run"),
        (counts.cancelled, "cancelled"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let cells = plural(counts.cells, "cell");
    let findings = [
        (counts.snapshot_findings, "snapshot finding"),
        (counts.consent_findings, "consent finding"),
    ];
    let findings = findings.iter().filter(|(count, _)| *count > 0);
    let findings: String = findings
        .map(|(count, what)| format!(" · {}", plural(*count, what)))
        .collect();
    let colon = if parts.is_empty() { "" } else { ": " };
    let time = seconds(record.run.duration_ms);
    format!("{cells}{colon}{}{findings} · {time}", parts.join(", "))
}

/// The recipes of a cell, as its name has them.
pub(crate) fn recipes(cell: &CellRecord) -> String {
    let names = cell.facts.cell.recipes.iter();
    let names: Vec<&str> = names.map(|recipe| recipe.as_str()).collect();
    names.join(",")
}

/// The apply in which a failure happened.
pub(crate) fn pass_of(failure: &Failure) -> Pass {
    match failure.phase {
        Phase::ApplyAgain => Pass::Second,
        Phase::Prepare | Phase::Apply | Phase::Verify => Pass::First,
    }
}

/// What an op did, as whom, with the words that really ran.
pub(crate) fn op_in_words(op: &Op, performance: Option<&Performance>) -> String {
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
    format!("{} as {who}: {what}", op.id)
}

/// How an op ended, and after how long.
pub(crate) fn ended(op: &Op, performance: Option<&Performance>) -> Option<String> {
    let known = performance?;
    let ending = ending_in_words(known.ending.as_ref()?, &op.limits);
    Some(format!("{ending} after {}", seconds(known.ms)))
}

/// The last lines of what an op printed, sanitised.
pub(crate) fn last_lines(captured: &Captured, lines: usize, width: usize) -> Vec<String> {
    let tail = sanitise::last_lines(&captured.tail, lines, width);
    if captured.omitted > 0 || tail.len() == lines {
        return tail;
    }
    // Nothing was left out between them, so a line may begin in one and end in the other.
    sanitise::last_lines(&format!("{}{}", captured.head, captured.tail), lines, width)
}

/// What a failure is, where it is written, what ran and how it ended: a name and a text each.
pub(crate) fn failure_in_words(
    cell: &CellRecord,
    failure: &Failure,
) -> Vec<(&'static str, String)> {
    let steps = failure.steps.iter();
    let mut fields: Vec<_> = steps
        .map(|step| ("step", step_in_words(cell, step)))
        .collect();
    if let Some((op, known)) = failure.op.and_then(|op| cell.facts.op(op)) {
        let performance = known.performance(pass_of(failure));
        fields.push(("op", op_in_words(op, performance)));
        fields.extend(ended(op, performance).map(|ended| ("ended", ended)));
    }
    fields.push(("because", failure.message.clone()));
    fields
}

/// What the author says to do about a failure: the `fallback` of each step to blame, as it was planned.
/// Sanitised lines of at most `width` characters, at most [`FALLBACK_LINES`] of each.
pub(crate) fn fallbacks(cell: &CellRecord, failure: &Failure, width: usize) -> Vec<Vec<String>> {
    let steps = cell.facts.planned.plan.steps.iter();
    let to_blame = steps.filter(|step| failure.steps.contains(&step.step));
    to_blame
        .filter_map(|step| step.fallback.as_ref())
        .map(|text| sanitise::block(text, FALLBACK_LINES, width))
        .collect()
}

/// The last lines of what the op of a failure printed, by channel; empty channels are left out.
pub(crate) fn failure_output(
    cell: &CellRecord,
    failure: &Failure,
    lines: usize,
    width: usize,
) -> Vec<(&'static str, Vec<String>)> {
    let known = failure.op.and_then(|op| cell.facts.op(op));
    let performance = known.and_then(|(_, known)| known.performance(pass_of(failure)));
    let channels = performance.map(|known| [("stdout", &known.stdout), ("stderr", &known.stderr)]);
    let shown = channels
        .into_iter()
        .flatten()
        .map(|(name, captured)| (name, last_lines(captured, lines, width)));
    shown.filter(|(_, lines)| !lines.is_empty()).collect()
}

/// Why a cell that did not fail has no plain pass.
pub(crate) fn because(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => String::new(),
        Outcome::Failed { first, .. } => first.message.clone(),
        Outcome::Unsupported { reason } => reason.clone(),
        Outcome::Manual { steps, .. } => {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            format!("to be done by hand: {}", steps.join(", "))
        }
        Outcome::Infra { cause, message, .. } => format!("{}: {message}", serde_word(cause)),
        Outcome::NotRun { because } => because.clone(),
        Outcome::Cancelled { reached } => format!("reached: {reached}"),
    }
}

/// What `assay test` takes to run a cell again.
pub(crate) fn selection(record: &Record, cell: &CellRecord) -> String {
    let words = sanitise::command(&named(record, cell), 2000);
    format!("{words} --on {}", cell.facts.cell.target)
}

/// The recipes of a cell, as a command takes them.
pub(crate) fn named<'r>(record: &Record, cell: &'r CellRecord) -> Vec<&'r str> {
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
    named.collect()
}

/// A target with a kind of image: what a column of the matrix and a suite of tests are.
pub(crate) type Column<'r> = (&'r TargetId, Option<ImageKind>);

/// One column for every target and kind of image, in the order of the cells; a lab image never
/// shares one with a genuine one.
pub(crate) fn columns(record: &Record) -> Vec<Column<'_>> {
    let mut targets: Vec<&TargetId> = Vec::new();
    let mut kinds: BTreeMap<&TargetId, BTreeSet<ImageKind>> = BTreeMap::new();
    for cell in &record.cells {
        let target = &cell.facts.cell.target;
        if !kinds.contains_key(target) {
            targets.push(target);
        }
        kinds.entry(target).or_default().extend(image_kind(cell));
    }
    let columns = targets.into_iter().flat_map(|target| {
        let kinds = &kinds[target];
        let none = kinds.is_empty().then_some((target, None));
        none.into_iter()
            .chain(kinds.iter().map(move |kind| (target, Some(*kind))))
    });
    columns.collect()
}

/// A cell without an image stands in its target's first column.
pub(crate) fn column_of(columns: &[Column<'_>], cell: &CellRecord) -> Option<usize> {
    let wanted = image_kind(cell);
    columns.iter().position(|(target, kind)| {
        **target == cell.facts.cell.target && (wanted.is_none() || *kind == wanted)
    })
}

fn image_kind(cell: &CellRecord) -> Option<ImageKind> {
    cell.facts.planned.image.as_ref().map(|image| image.kind)
}

/// A column's target with its image's mark.
pub(crate) fn column_title((target, kind): Column<'_>) -> String {
    format!("{target}{}", kind_mark(kind))
}

/// What the harness adds to every op, a line each.
pub(crate) fn harness_in_words(harness: &HarnessEnv) -> impl Iterator<Item = String> {
    let only = |path: &Option<GuestPath>| {
        path.as_ref()
            .map_or(String::new(), |path| format!(" where {path} exists"))
    };
    let variables = harness.variables.iter().map(move |variable| {
        let assignment = format!("{}={}", variable.name, variable.value);
        format!(
            "variable {}{}",
            sanitise::command(&[assignment], 200),
            only(&variable.only_if_exists)
        )
    });
    let insertions = harness.insertions.iter().map(move |insertion| {
        let words = sanitise::command(&insertion.words, 200);
        format!(
            "words {words} after {}{}",
            insertion.program,
            only(&insertion.only_if_exists)
        )
    });
    variables.chain(insertions)
}
