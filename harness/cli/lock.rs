//! `assay.lock`: read for every plan, written by a run that records.

use std::collections::BTreeMap;

use assay_observe::{CellFacts, Record};
use assay_recipe::lock::is_package_word;
use assay_recipe::{parse_lock, render_lock};
use assay_wire::lock::{Lock, LockedAnswer, LockedPackage};

use crate::error::CliError;
use crate::project::{LOCK, Project};
use crate::terminal::Terminal;
use crate::write::replace;

/// Writes what a run recorded beside what the lock held of URLs that nobody asked for this time, and
/// says what changed.
///
/// # Errors
/// If the file cannot be written; then the one that was there stays as it was.
pub(crate) fn write(
    terminal: &Terminal,
    project: &Project,
    record: &Record,
    answers: BTreeMap<String, LockedAnswer>,
) -> Result<(), CliError> {
    let before = project.lock.clone().unwrap_or_default();
    let after = merged(&before, record, answers);
    let text = render_lock(&after);
    // What cannot be read again would stop every later command.
    let read = parse_lock(&text);
    if read.value.as_ref() != Some(&after) {
        return Err(CliError::infrastructure(
            "what was recorded cannot be written as a lock",
        ));
    }
    let path = project.path(LOCK);
    replace(&path, &text)?;
    let changed = |old: &BTreeMap<String, LockedAnswer>| {
        let differs = |(url, answer): &(&String, &LockedAnswer)| old.get(*url) != Some(*answer);
        after.answers.iter().filter(differs).count()
    };
    terminal.message(&format!(
        "recorded in {}: {} URLs ({} new or changed), {} keys, {} packages",
        path.display(),
        after.answers.len(),
        changed(&before.answers),
        after.keys.len(),
        after.packages.len()
    ));
    Ok(())
}

fn merged(before: &Lock, record: &Record, answers: BTreeMap<String, LockedAnswer>) -> Lock {
    let mut lock = before.clone();
    lock.answers.extend(answers);
    // A target that was recorded again has the packages it has now.
    let ran = |cell: &&CellFacts| !cell.manifests.is_empty();
    let cells = || record.cells.iter().map(|cell| &cell.facts).filter(ran);
    for cell in cells() {
        let target = &cell.cell.target;
        lock.packages.retain(|package| package.target != *target);
    }
    for cell in cells() {
        lock.packages.extend(installed(cell));
    }
    lock
}

/// The packages that came during a cell: lines that its probe of packages had not at the start.
fn installed(cell: &CellFacts) -> Vec<LockedPackage> {
    let lines = cell.manifests.iter().flat_map(|manifest| &manifest.states);
    let came = lines.filter(|state| state.added && state.probe == assay_plan::PACKAGES);
    came.filter_map(|state| {
        let (name, version) = assay_plan::package_of(&state.line)?;
        // What a sandbox says its packages are is its own word.
        let fits = [name, version].iter().all(|word| is_package_word(word));
        fits.then_some(())?;
        Some(LockedPackage {
            target: cell.cell.target.clone(),
            name: name.to_owned(),
            version: version.to_owned(),
        })
    })
    .collect()
}
