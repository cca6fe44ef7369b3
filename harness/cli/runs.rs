//! Runs of a project, as the command line names them, and their records. A record is made of its journal
//! alone; a journal that is no whole run's is an error and never less of a record.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use assay_observe::record::RunEnd;
use assay_observe::{FoldError, Record, fold_journal, fold_journal_judged_by};
use assay_wire::event::ConsentBasis;
use assay_wire::name::RunId;

use crate::error::CliError;
use crate::project::Project;
use crate::terminal::plain;

/// The file of a run's folder that holds its events.
const JOURNAL: &str = "journal.jsonl";

/// Bytes of a journal that are read in one go.
const READ_AHEAD: usize = 1 << 20;

/// The word for the newest run.
pub(crate) const LATEST: &str = "latest";

/// The journal of the run that is meant: an id, a folder or a file, `latest`, and without a word the newest.
///
/// # Errors
/// If there is none.
pub(crate) fn journal_of(project: &Project, run: Option<&str>) -> Result<PathBuf, CliError> {
    let Some(text) = run.filter(|text| *text != LATEST) else {
        return newest(project);
    };
    let by_id = text.parse::<RunId>().ok();
    let by_id = by_id.map(|id| project.runs().join(id.as_str()));
    let places = [Some(PathBuf::from(text)), by_id];
    let mut found = places.into_iter().flatten().filter_map(journal_at);
    found.next().ok_or_else(|| none(project, text))
}

/// The journal of the run that a word names by its form, where it may be a revision of git as well: a run's
/// id, or the path of one. `None` if it is neither.
///
/// # Errors
/// If there is no such run.
pub(crate) fn named(project: &Project, text: &str) -> Result<Option<PathBuf>, CliError> {
    if has_form_of_an_id(text) {
        return journal_of(project, Some(text)).map(Some);
    }
    let is_path = text.contains('/') || text.ends_with(".jsonl");
    Ok(is_path.then(|| journal_at(PathBuf::from(text))).flatten())
}

/// The record of a journal, judged as the run was.
///
/// # Errors
/// If it is no journal of a run that this version reads.
pub(crate) fn read(path: &Path) -> Result<Record, CliError> {
    fold(path, fold_journal)
}

/// The record of a run that ended by itself, judged by these consents instead of those it had.
///
/// # Errors
/// As [`read`], and if the run was cut short: it does not show what is asked of it.
pub(crate) fn read_whole(path: &Path, consents: &ConsentBasis) -> Result<Record, CliError> {
    let record = fold(path, |journal| fold_journal_judged_by(journal, consents))?;
    let what = match record.run.end {
        RunEnd::Complete => return Ok(record),
        RunEnd::Interrupted => "was interrupted",
        RunEnd::Truncated => "has no end: it was killed, or is still running",
    };
    Err(
        CliError::usage(format!("the run `{}` {what}", record.run.id))
            .hint("a run that was cut short does not show all that its cells do: run it again"),
    )
}

fn fold(
    path: &Path,
    fold: impl FnOnce(BufReader<File>) -> Result<Record, FoldError>,
) -> Result<Record, CliError> {
    let unreadable =
        |message: String| CliError::usage(format!("read `{}`: {message}", path.display()));
    let journal = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    fold(BufReader::with_capacity(READ_AHEAD, journal)).map_err(|error| {
        if let FoldError::Unreadable { message } = error {
            return unreadable(message);
        }
        CliError::usage(format!(
            "`{}` is no journal that this version of assay reads: {error}",
            path.display()
        ))
    })
}

/// The journal at a path, if one is there.
fn journal_at(path: PathBuf) -> Option<PathBuf> {
    let inside = path.join(JOURNAL);
    [path, inside].into_iter().find(|path| path.is_file())
}

fn newest(project: &Project) -> Result<PathBuf, CliError> {
    let folders = std::fs::read_dir(project.runs()).into_iter().flatten();
    let journals = folders.filter_map(|entry| journal_at(entry.ok()?.path().join(JOURNAL)));
    // Run ids sort by time.
    journals
        .max()
        .ok_or_else(|| CliError::usage("there is no run yet").hint("`assay test` makes one"))
}

fn none(project: &Project, text: &str) -> CliError {
    CliError::usage(format!("there is no run `{}`", plain(text)))
        .hint(format!("runs are in `{}`", project.runs().display()))
}

/// True for a date, a time and six hex digits, as `assay test` names its runs.
fn has_form_of_an_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [day, time, random] = parts.as_slice() else {
        return false;
    };
    let decimal =
        |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    decimal(day, 8) && decimal(time, 6) && is_hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_revisions() {
        assert!(has_form_of_an_id("20260301-120000-c0ffee"));
        for other in [
            "",
            "main",
            "v1.0",
            "HEAD~2",
            "c0ffee",
            "20260301-120000",
            "20260301-120000-c0ffee-1",
            "2026030-120000-c0ffee",
            "20260301-12000x-c0ffee",
            "20260301-120000-release",
        ] {
            assert!(!has_form_of_an_id(other), "{other}");
        }
    }
}
