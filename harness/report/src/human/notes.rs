//! What concerns several cells or none that failed: manual steps, snapshot findings, keys, keys that
//! are trusted widely, refused requests, attempts that broke off, what images are, and what the harness
//! itself added.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use assay_observe::{CellRecord, Record};
use assay_wire::event::{RequestDecision, SnapshotFinding};

use super::page::{Colour, Page};
use crate::sanitise;
use crate::words::{cell_title, harness_in_words, key_in_words, keys, plural, snapshot_differs};

/// Most lines of one snapshot's difference; the snapshot command shows all.
const DIFF_LINES: usize = 60;
/// Most lines of one manual step's text.
const MANUAL_LINES: usize = 30;
/// Most refused requests named.
const REFUSED: usize = 20;

/// Writes every section that has something to say.
pub(super) fn write(record: &Record, verbose: bool, page: &mut Page<'_>) -> io::Result<()> {
    manual(record, page)?;
    snapshots(record, page)?;
    key_findings(record, page)?;
    machine_keys(record, page)?;
    requests(record, page)?;
    drift(record, page)?;
    retries(record, page)?;
    left_behind(record, page)?;
    images(record, page)?;
    if verbose {
        harness(record, page)
    } else {
        harness_in_short(record, page)
    }
}

fn manual(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let mut texts: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for cell in &record.cells {
        for (step, text) in cell.facts.manual_steps() {
            let key = (step.to_string(), text);
            texts
                .entry(key)
                .or_default()
                .push(cell.facts.cell.target.as_str());
        }
    }
    if texts.is_empty() {
        return Ok(());
    }
    section(page, "by hand")?;
    for ((step, text), targets) in texts {
        page.field("step", &format!("{step} on {}", joined(targets)))?;
        let width = page.quote_width();
        page.quote(&sanitise::block(text, MANUAL_LINES, width))?;
    }
    Ok(())
}

fn snapshots(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let findings: Vec<&CellRecord> = record
        .cells
        .iter()
        .filter(|cell| snapshot_differs(cell))
        .collect();
    if findings.is_empty() {
        return Ok(());
    }
    section(page, "snapshots")?;
    for cell in findings {
        let target = &cell.facts.cell.target;
        let names: Vec<&str> = cell
            .facts
            .cell
            .recipes
            .iter()
            .map(|name| name.as_str())
            .collect();
        let names = names.join(" ");
        match &cell.facts.planned.snapshot {
            SnapshotFinding::Missing => page.field("missing", &format!("{names} on {target}"))?,
            SnapshotFinding::Different { diff } => {
                page.field("differs", &format!("{names} on {target}"))?;
                let width = page.quote_width();
                page.quote(&sanitise::block(diff, DIFF_LINES, width))?;
            }
            SnapshotFinding::NotJudged | SnapshotFinding::Same => {}
        }
        page.command(
            "accept",
            &format!("assay snapshot accept {names} --on {target}"),
        )?;
    }
    Ok(())
}

/// What is wrong with repositories' keys that were used all the same.
fn key_findings(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let found = keys(record);
    if found.is_empty() {
        return Ok(());
    }
    section(page, "keys")?;
    for (known, cells) in found {
        let targets = joined(
            cells
                .iter()
                .map(|cell| cell.facts.cell.target.as_str())
                .collect(),
        );
        page.field(known.finding.severity.as_str(), &key_in_words(&known))?;
        page.field("", &format!("{} on {targets}", known.step))?;
    }
    Ok(())
}

/// What a reviewer of one repository would not expect of its key.
fn machine_keys(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let mut keys: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for cell in &record.cells {
        for (step, path) in cell.facts.machine_keys() {
            let targets = keys.entry((step.to_string(), path)).or_default();
            targets.push(cell.facts.cell.target.as_str());
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    section(page, "keys trusted for any repository on the machine")?;
    for ((step, path), targets) in keys {
        page.field("step", &format!("{step} on {}: {path}", joined(targets)))?;
    }
    Ok(())
}

fn requests(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let mut refused: BTreeMap<(String, &str, &str, &str), usize> = BTreeMap::new();
    for cell in &record.cells {
        for request in &cell.facts.requests {
            let (RequestDecision::Refused { reason }
            | RequestDecision::AnswerRefused { reason }
            | RequestDecision::Failed { reason }
            | RequestDecision::Missed { reason }) = &request.decision
            else {
                continue;
            };
            let key = (
                cell_title(cell),
                request.method.as_str(),
                request.url.as_str(),
                reason.as_str(),
            );
            *refused.entry(key).or_default() += 1;
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    section(page, "requests without an answer")?;
    let more = refused.len().saturating_sub(REFUSED);
    for ((cell, method, url, reason), times) in refused.into_iter().take(REFUSED) {
        let times = if times == 1 {
            String::new()
        } else {
            format!(" ({times} times)")
        };
        page.field("", &format!("{cell}: {method} {url}: {reason}{times}"))?;
    }
    if more > 0 {
        page.field("", &format!("and {more} more"))?;
    }
    Ok(())
}

/// Where what came is not what was recorded: an index that moved on, or somebody's hand.
fn drift(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let requests = record.cells.iter().flat_map(|cell| &cell.facts.requests);
    let drifted = requests.filter(|request| request.has_drifted());
    let urls: BTreeSet<&str> = drifted.map(|request| request.url.as_str()).collect();
    if urls.is_empty() {
        return Ok(());
    }
    section(page, "not what assay.lock says was recorded")?;
    for url in urls.iter().take(REFUSED) {
        page.field("", url)?;
    }
    if urls.len() > REFUSED {
        page.field("", &format!("and {} more", urls.len() - REFUSED))?;
    }
    page.field(
        "",
        "`--network replay` gives what was recorded, `--network record` records anew",
    )
}

fn retries(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let retried: Vec<(&CellRecord, String)> = record
        .cells
        .iter()
        .flat_map(|cell| {
            let failed = cell.facts.attempts.iter().filter(|attempt| {
                attempt
                    .failure
                    .as_ref()
                    .is_some_and(|failure| failure.retried)
            });
            failed.filter_map(move |attempt| {
                let failure = attempt.failure.as_ref()?;
                let number = attempt.number;
                Some((
                    cell,
                    format!("attempt {number} broke off: {}", failure.message),
                ))
            })
        })
        .collect();
    if retried.is_empty() {
        return Ok(());
    }
    section(page, "tried again")?;
    for (cell, message) in retried {
        page.field("", &format!("{}: {message}", cell_title(cell)))?;
    }
    Ok(())
}

/// Sandboxes that are still there: what promise 5 owes the reader until the next run.
fn left_behind(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let mut left = record
        .cells
        .iter()
        .flat_map(|cell| &cell.facts.left)
        .peekable();
    if left.peek().is_none() {
        return Ok(());
    }
    section(page, "left behind, until the next run removes it")?;
    for sandbox in left {
        page.field("", &format!("{}: {}", sandbox.sandbox, sandbox.message))?;
    }
    Ok(())
}

fn images(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let mut notes: BTreeSet<(&str, &str)> = BTreeSet::new();
    for image in record
        .cells
        .iter()
        .filter_map(|cell| cell.facts.planned.image.as_ref())
    {
        if let Some(note) = &image.note {
            notes.insert((image.target.as_str(), note));
        }
    }
    if notes.is_empty() {
        return Ok(());
    }
    section(page, "images")?;
    for (target, note) in notes {
        page.field("", &format!("{target}: {note}"))?;
    }
    Ok(())
}

/// How much the harness put into sandboxes, for a reader who wants to know that it is little.
fn harness_in_short(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let (mut user, mut hosts) = (false, false);
    let (mut variables, mut programs) = (BTreeSet::new(), BTreeSet::new());
    for cell in &record.cells {
        let Some(known) = cell.facts.user else {
            continue;
        };
        user |= known.added;
        hosts |= cell.facts.hosts_added;
        let harness = &cell.facts.planned.harness;
        variables.extend(
            harness
                .variables
                .iter()
                .map(|variable| variable.name.as_str()),
        );
        programs.extend(
            harness
                .insertions
                .iter()
                .map(|insertion| insertion.program.as_str()),
        );
    }
    let mut parts = Vec::new();
    if user {
        parts.push("the user `dev`".to_owned());
    }
    if hosts {
        parts.push("localhost in /etc/hosts".to_owned());
    }
    if !variables.is_empty() {
        parts.push(plural(variables.len(), "variable"));
    }
    if !programs.is_empty() {
        let programs: Vec<&str> = programs.into_iter().collect();
        parts.push(format!("options of {}", programs.join(", ")));
    }
    if parts.is_empty() {
        return Ok(());
    }
    page.blank()?;
    page.text(&format!(
        "added by the harness: {} (`assay report -v` says more)",
        parts.join(", ")
    ))
}

/// What the harness put into sandboxes, once for all cells: promise 7 wants it listed.
fn harness(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let mut added: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for cell in record.cells.iter().filter(|cell| cell.facts.user.is_some()) {
        let target = cell.facts.cell.target.as_str();
        let user = cell.facts.user.filter(|user| user.added).map(|user| {
            format!(
                "user `dev` ({}:{}) in passwd, group and shadow",
                user.uid, user.gid
            )
        });
        let hosts = cell
            .facts
            .hosts_added
            .then(|| "localhost in /etc/hosts".to_owned());
        for line in user
            .into_iter()
            .chain(hosts)
            .chain(harness_in_words(&cell.facts.planned.harness))
        {
            let targets = added.entry(line).or_default();
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    if added.is_empty() {
        return Ok(());
    }
    section(page, "added by the harness")?;
    for (line, targets) in added {
        page.field("", &format!("{line} on {}", joined(targets)))?;
    }
    Ok(())
}

fn section(page: &mut Page<'_>, title: &str) -> io::Result<()> {
    page.blank()?;
    page.coloured(Colour::Bold, title)
}

/// Names once each, in order.
fn joined(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
