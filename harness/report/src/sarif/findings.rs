//! What is wrong, of all cells: an operation that is wrong on several targets is one finding, because one
//! change of the recipe or one entry of the ledger mends it; everything else is one of its cell.

use std::collections::BTreeMap;

use assay_observe::capture::Gap;
use assay_observe::expectation::Verdict;
use assay_observe::risk::Risk;
use assay_observe::{CellRecord, Outcome, Record};
use assay_wire::digest::{Digest, digest_of};
use assay_wire::event::{ManifestPoint, SnapshotFinding};
use assay_wire::key::KeySeverity;
use assay_wire::name::StepRef;
use assay_wire::outcome::Reason;
use assay_wire::plan::OpId;
use assay_wire::privileged::KindName;
use serde::Serialize;

use super::log::Level;
use super::rules::{Rule, Snapshot};
use crate::sanitise;
use crate::screen::{Item, Screen};
use crate::words::{
    Lack, cell_title, failure_in_words, failure_output, fallbacks, headline, key_in_words, keys,
    recipes, row_in_words, selection, target_title,
};

/// Most characters of a line.
pub(super) const LINE: usize = 500;
/// What stands first of what could not be captured.
const GAP: &str = "gap in capture";
/// Lines of output shown of each channel.
const OUTPUT_LINES: usize = 10;
/// Lines shown of a plan's difference from its snapshot.
const DIFF_LINES: usize = 40;

/// One thing that is wrong.
pub(super) struct Finding<'r> {
    pub(super) rule: Rule,
    pub(super) level: Level,
    /// The cells; the first is the one whose words are told.
    pub(super) cells: Vec<&'r CellRecord>,
    /// The steps to blame; empty if none can be named.
    pub(super) steps: Vec<StepRef>,
    /// What it says first, without the targets.
    pub(super) headline: String,
    /// What it says then, a line each.
    pub(super) lines: Vec<String>,
    /// Of an operation: itself.
    pub(super) operation: Option<Operation>,
    /// What it is whenever it is found again: of this the fingerprint is made.
    pub(super) identity: Digest,
    /// What `expected.toml` says of it.
    pub(super) expected: Option<String>,
}

/// What is told of an operation beside its words.
pub(super) struct Operation {
    pub(super) kind: &'static str,
    pub(super) subject: String,
    pub(super) risk: Risk,
    pub(super) digest: Digest,
    /// Its techniques of ATT&CK, or those of its parts.
    pub(super) techniques: Vec<&'static str>,
}

/// Everything that is wrong: the gravest first, then by rule, in the order of the cells.
pub(super) fn findings(record: &Record) -> Vec<Finding<'_>> {
    let mut found = operations(record);
    for cell in &record.cells {
        gaps(cell, &mut found);
        failures(record, cell, &mut found);
        found.extend(snapshot(record, cell));
    }
    found.extend(keys_in_use(record));
    found.sort_by(|one, other| (other.level, one.rule).cmp(&(one.level, other.rule)));
    found
}

/// Operations that nothing explains, or that have no consent.
fn operations(record: &Record) -> Vec<Finding<'_>> {
    let mut found: Vec<Finding<'_>> = Vec::new();
    let mut known: BTreeMap<Digest, usize> = BTreeMap::new();
    for cell in &record.cells {
        let screen = Screen::of(record, cell);
        let grant = screen.grant(record);
        let undeclared = screen.undeclared.iter().map(|item| undeclared(cell, item));
        let refused = screen.refused.iter();
        let refused = refused.filter_map(|item| refused_operation(cell, item, grant.as_deref()));
        for finding in undeclared.chain(refused) {
            // What is expected of one cell is not of another.
            let key = digest_of(&(finding.identity, &finding.expected));
            let at = *known.entry(key).or_insert(found.len());
            match found.get_mut(at) {
                Some(known) => known.add(cell, finding.steps),
                None => found.push(finding),
            }
        }
    }
    found
}

impl<'r> Finding<'r> {
    /// The same on another target, or in another step.
    fn add(&mut self, cell: &'r CellRecord, steps: Vec<StepRef>) {
        if !self.cells.iter().any(|known| std::ptr::eq(*known, cell)) {
            self.cells.push(cell);
        }
        for step in steps {
            if !self.steps.contains(&step) {
                self.steps.push(step);
            }
        }
    }

    /// The targets and the recipes.
    pub(super) fn cells_in_words(&self) -> String {
        let mut targets: Vec<String> = self.cells.iter().map(|cell| target_title(cell)).collect();
        targets.dedup();
        let recipes = self.cells.first().map(|cell| recipes(cell));
        format!("{}: {}", targets.join(", "), recipes.unwrap_or_default())
    }
}

fn undeclared<'r>(cell: &'r CellRecord, item: &Item<'r>) -> Finding<'r> {
    let kind = item.operation.kind.name();
    let (rule, what) = if kind == KindName::CaptureGap {
        (Rule::Gap, GAP.to_owned())
    } else {
        (Rule::Undeclared(kind), format!("{kind} is not declared"))
    };
    let expected = expected(cell);
    // Not even what is ordinary is a trifle where nothing explains it.
    let level = unless_expected(&expected, level(item.line.risk).max(Level::Warning));
    Finding {
        expected,
        ..of_item(cell, item, (rule, level), &what)
    }
}

fn refused_operation<'r>(
    cell: &'r CellRecord,
    item: &Item<'r>,
    grant: Option<&str>,
) -> Option<Finding<'r>> {
    let standing = item.standing?;
    let lack = Lack::of(standing)?;
    let (what, level) = match lack {
        Lack::Forbidden => ("is forbidden", Level::Error),
        Lack::Violated | Lack::Expired | Lack::Missing => ("needs consent", level(item.line.risk)),
    };
    let kind = item.operation.kind.name();
    let rule = Rule::Consent(lack, kind);
    let mut finding = of_item(cell, item, (rule, level), &format!("{kind} {what}"));
    let grant = grant.filter(|_| standing.can_be_granted());
    finding
        .lines
        .extend(grant.map(|grant| format!("grant: {grant}")));
    Some(finding)
}

fn of_item<'r>(
    cell: &'r CellRecord,
    item: &Item<'r>,
    (rule, level): (Rule, Level),
    what: &str,
) -> Finding<'r> {
    let line = &item.line;
    let mut lines = vec![format!(
        "{}, {}",
        line.risk.as_str(),
        line.places.join(", ")
    )];
    lines.extend(line.notes.iter().cloned());
    let parts = item.parts.iter().filter_map(|part| part.attack);
    let mut techniques: Vec<&str> = line.attack.into_iter().chain(parts).collect();
    techniques.sort_unstable();
    techniques.dedup();
    Finding {
        rule,
        level,
        cells: vec![cell],
        steps: item.operation.steps.clone(),
        headline: format!("{what}: {}", line.what),
        lines,
        identity: identity(rule, cell, &item.digest),
        operation: Some(Operation {
            kind: item.operation.kind.name().as_str(),
            subject: sanitise::line(&item.operation.subject, LINE),
            risk: line.risk,
            digest: item.digest,
            techniques,
        }),
        expected: None,
    }
}

/// How much an operation matters by its risk.
fn level(risk: Risk) -> Level {
    match risk {
        Risk::RootEquivalent | Risk::TrustRoot => Level::Error,
        Risk::Persistence | Risk::Network | Risk::Privileged => Level::Warning,
        Risk::Ordinary => Level::Note,
    }
}

/// What makes a finding the same in another run: its rule, the recipes, and what it is about.
fn identity(rule: Rule, cell: &CellRecord, about: &impl Serialize) -> Digest {
    digest_of(&(rule.id(), &cell.facts.cell.recipes, about))
}

/// What `expected.toml` says of a cell that failed as it says.
fn expected(cell: &CellRecord) -> Option<String> {
    let row = cell.facts.planned.expected.as_ref();
    let row = row.filter(|_| cell.verdict == Verdict::AsExpected)?;
    let words = format!("expected.toml: {}", row_in_words(row));
    Some(sanitise::line(&words, LINE))
}

/// What is expected is only to be known.
fn unless_expected(expected: &Option<String>, level: Level) -> Level {
    match expected {
        Some(_) => Level::Note,
        None => level,
    }
}

/// What could not be captured.
fn gaps<'r>(cell: &'r CellRecord, found: &mut Vec<Finding<'r>>) {
    let expected = expected(cell);
    for gap in &cell.gaps {
        let op = op_of(gap).and_then(|op| cell.facts.op(op));
        let steps = op.map_or(Vec::new(), |(op, _)| op.steps.clone());
        let text = gap.to_string();
        found.push(Finding {
            rule: Rule::Gap,
            level: unless_expected(&expected, Level::Error),
            cells: vec![cell],
            identity: identity(Rule::Gap, cell, &(cell_title(cell), &text)),
            steps,
            headline: format!("{GAP}: {text}"),
            lines: Vec::new(),
            operation: None,
            expected: expected.clone(),
        });
    }
}

/// The op a gap belongs to.
fn op_of(gap: &Gap) -> Option<OpId> {
    match gap {
        Gap::Unperformed { op, .. } | Gap::Trace { op, .. } | Gap::NoTrace { op, .. } => {
            Some(OpId(*op))
        }
        Gap::Omitted { after, .. } | Gap::Untold { after, .. } => match after {
            ManifestPoint::Op(op) => Some(*op),
            ManifestPoint::Baseline | ManifestPoint::SecondApply => None,
        },
        Gap::Broken { .. }
        | Gap::Contradiction { .. }
        | Gap::Unseen { .. }
        | Gap::Untraced { .. }
        | Gap::NoLastManifest
        | Gap::NotCrossChecked => None,
    }
}

/// How a cell failed, or that it did not although it should have.
fn failures<'r>(record: &'r Record, cell: &'r CellRecord, found: &mut Vec<Finding<'r>>) {
    let again = format!("again: assay test {}", selection(record, cell));
    let expected = expected(cell);
    let seen = cell.observed.operations.iter();
    let are_told = seen.filter(|seen| seen.class.is_undeclared()).count() > 0;
    for failure in cell.outcome.failures() {
        // Each operation and each gap is a finding of its own.
        let is_told = match failure.reason {
            Reason::UndeclaredOperation => are_told,
            Reason::CaptureGap => !cell.gaps.is_empty(),
            Reason::RequirementUnmet
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
            | Reason::CheckFailed
            | Reason::NotIdempotent => false,
        };
        if is_told {
            continue;
        }
        let rule = Rule::Failure(failure.reason);
        let mut lines = Vec::new();
        for (name, text) in failure_in_words(cell, failure) {
            // That is the headline.
            if name != "because" {
                lines.push(format!("{name}: {text}"));
            }
        }
        for fallback in fallbacks(cell, failure, LINE) {
            lines.push("fallback:".to_owned());
            lines.extend(fallback);
        }
        for (name, shown) in failure_output(cell, failure, OUTPUT_LINES, LINE) {
            lines.push(format!("{name}:"));
            lines.extend(shown);
        }
        lines.push(again.clone());
        let about = (cell_title(cell), failure.phase, failure.op, &failure.steps);
        found.push(Finding {
            rule,
            level: unless_expected(&expected, Level::Error),
            cells: vec![cell],
            steps: failure.steps.clone(),
            headline: format!("{}: {}", failure.reason, failure.message),
            lines,
            operation: None,
            identity: identity(rule, cell, &about),
            expected: expected.clone(),
        });
    }
    if !matches!(cell.outcome, Outcome::Failed { .. }) && cell.verdict == Verdict::Differs {
        found.push(Finding {
            rule: Rule::Unexpected,
            level: Level::Error,
            cells: vec![cell],
            steps: Vec::new(),
            headline: headline(&cell.outcome, cell.verdict),
            lines: vec![again],
            operation: None,
            identity: identity(Rule::Unexpected, cell, &cell_title(cell)),
            expected: None,
        });
    }
}

fn snapshot<'r>(record: &'r Record, cell: &'r CellRecord) -> Option<Finding<'r>> {
    let (rule, headline, diff) = match &cell.facts.planned.snapshot {
        SnapshotFinding::NotJudged | SnapshotFinding::Same => return None,
        SnapshotFinding::Missing => (Snapshot::Missing, "the plan has no snapshot", None),
        SnapshotFinding::Different { diff } => {
            let headline = "the plan differs from its snapshot";
            (Snapshot::Different, headline, Some(diff))
        }
    };
    let rule = Rule::Snapshot(rule);
    let mut lines = diff.map_or(Vec::new(), |diff| sanitise::block(diff, DIFF_LINES, LINE));
    lines.push(format!(
        "accept: assay snapshot accept {}",
        selection(record, cell)
    ));
    Some(Finding {
        rule,
        level: Level::Error,
        cells: vec![cell],
        steps: Vec::new(),
        headline: headline.to_owned(),
        lines,
        operation: None,
        identity: identity(rule, cell, &cell.facts.cell.target),
        expected: None,
    })
}

/// What is wrong with repositories' keys that were used all the same.
fn keys_in_use(record: &Record) -> impl Iterator<Item = Finding<'_>> {
    keys(record).into_iter().map(|(known, cells)| {
        let rule = Rule::Key(known.finding.code);
        let about = (known.step, known.url, &known.finding.fingerprint);
        Finding {
            rule,
            level: match known.finding.severity {
                KeySeverity::Error | KeySeverity::Warning => Level::Warning,
                KeySeverity::Hint => Level::Note,
            },
            steps: vec![known.step.clone()],
            headline: key_in_words(&known),
            lines: Vec::new(),
            operation: None,
            identity: digest_of(&(rule.id(), about)),
            expected: None,
            cells,
        }
    })
}
