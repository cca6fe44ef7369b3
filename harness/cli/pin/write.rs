//! `assay pin --write`: fetches what a recipe names and writes hashes and fingerprints into it.
//!
//! A recipe is written whole or not at all. What differs from a pin that is there is told, was and
//! is, and taken only with `--accept-changed`: a hash is there so that nobody can change the bytes
//! unseen.

use std::path::{Path, PathBuf};

use assay_content::openpgp::{self, Component, KeyFinding, KeySeverity};
use assay_recipe::Severity;
use assay_recipe::pins::{NewPin, Pin, PinKind, is_unpinned, pins, stand_in, write};
use assay_wire::digest::Digest;
use assay_wire::key::KeyCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::look::{self, Looked};
use super::named::{Urls, urls};
use super::{Fetched, WayOut, fetch_error};
use crate::diagnostics::{self, Source};
use crate::error::{CliError, ErrorKind};
use crate::load::load;
use crate::migrate::{diff, show};
use crate::project::Project;
use crate::terminal::{Terminal, plain};
use crate::time::now;
use crate::write::replace;

/// What came of pinning a recipe.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    file: String,
    steps: Vec<StepRow>,
    /// The change as a patch; empty if there is none.
    diff: String,
    /// True if the file was written.
    written: bool,
}

/// One step.
#[derive(Serialize, JsonSchema)]
struct StepRow {
    step: String,
    action: String,
    urls: Vec<String>,
    state: State,
    /// The hash that was written, and the one of what came; null for a PPA.
    was: Option<String>,
    is: Option<Digest>,
    fingerprints_was: Option<Vec<String>>,
    fingerprints_is: Option<Vec<String>>,
    /// What is wrong with the key.
    findings: Vec<KeyFinding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// All is as it is written.
    Same,
    /// Something was not pinned yet.
    Added,
    /// What came is not what is pinned.
    Changed,
    /// The key must not be used.
    Refused,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Same => "unchanged",
            Self::Added => "pinned",
            Self::Changed => "changed",
            Self::Refused => "refused",
        }
    }
}

/// What is to be done.
pub(super) struct How<'a> {
    /// The steps by their ids or numbers; all if there is none.
    pub(super) steps: &'a [String],
    /// Take what differs from what is written.
    pub(super) accept_changed: bool,
    /// Only show the patch.
    pub(super) dry_run: bool,
}

/// Pins what a recipe names.
pub(super) fn run(terminal: &Terminal, recipe: &Path, how: &How<'_>) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let source = read(terminal, &project, recipe)?;
    let found = pins(&source.text).map_err(|diagnostics| refuse(terminal, &source, diagnostics))?;
    let chosen = choose(&found, how.steps)?;
    let all = urls_of(terminal, &project, &source, &found)?;
    let way_out = WayOut::of(&project)?;
    let mut wanted: Vec<String> = Vec::new();
    for pin in &chosen {
        match pin.kind {
            PinKind::Key | PinKind::File => {
                let urls = all.get(&pin.step).into_iter().flat_map(|urls| urls.keys());
                wanted.extend(urls.cloned());
            }
            PinKind::Ppa => wanted.push(launchpad(&pin.origin.value)),
        }
    }
    let fetched = way_out.fetch_all(terminal, &wanted);
    let mut rows = Vec::new();
    let mut changes = Vec::new();
    for pin in &chosen {
        let none = Urls::new();
        let urls = all.get(&pin.step).unwrap_or(&none);
        let (row, new) = match pin.kind {
            PinKind::Key | PinKind::File => pin_bytes(pin, urls, &fetched)?,
            PinKind::Ppa => pin_ppa(pin, &fetched)?,
        };
        rows.push(row);
        changes.push((*pin, new));
    }
    let refused = rows.iter().any(|row| row.state == State::Refused);
    let changed = rows.iter().any(|row| row.state == State::Changed);
    let held = refused || (changed && !how.accept_changed);
    let text = write(&source.text, &changes);
    let diff = diff(&source.name, &source.text, &text);
    let written = !held && !how.dry_run && text != source.text;
    if written {
        write_file(Path::new(&source.name), &text)?;
    }
    report(terminal, source.name, rows, diff, written, held)?;
    if !held {
        return Ok(());
    }
    let error = CliError::new(
        ErrorKind::Content,
        "nothing is written: what came is not what is pinned, or must not be used",
    );
    Err(if refused {
        error.hint("`assay explain CODE` says more of what is wrong with a key")
    } else {
        error.hint("ask the owner of the URL why it changed; `--accept-changed` takes what came")
    })
}

/// The recipe's text; every fault but that of a missing pin ends it here.
fn read(terminal: &Terminal, project: &Project, recipe: &Path) -> Result<Source, CliError> {
    if recipe.is_dir() {
        let shown = recipe.display().to_string();
        return Err(CliError::usage(format!("`{}` is a folder", plain(&shown)))
            .hint("one recipe is written at a time"));
    }
    let named = [PathBuf::from(recipe)];
    let Some(loaded) = load(project, &named)?.into_iter().next() else {
        return Err(CliError::usage("there is no recipe to pin"));
    };
    let mut source = loaded.source;
    if let Some(error) = source.unreadable.take() {
        return Err(error);
    }
    let in_the_way = source
        .diagnostics
        .iter()
        .any(|one| one.severity == Severity::Error && !is_unpinned(one));
    if in_the_way {
        let mut diagnostics = std::mem::take(&mut source.diagnostics);
        diagnostics.retain(|one| one.severity == Severity::Error && !is_unpinned(one));
        return Err(refuse(terminal, &source, diagnostics));
    }
    Ok(source)
}

fn refuse(
    terminal: &Terminal,
    source: &Source,
    diagnostics: Vec<assay_recipe::Diagnostic>,
) -> CliError {
    let source = Source {
        name: source.name.clone(),
        text: source.text.clone(),
        diagnostics,
        unreadable: None,
    };
    diagnostics::print(terminal, &source);
    CliError::new(
        ErrorKind::Recipe,
        format!(
            "`{}` has faults that are no missing pins",
            plain(&source.name)
        ),
    )
}

fn choose<'p>(found: &'p [Pin], steps: &[String]) -> Result<Vec<&'p Pin>, CliError> {
    for step in steps {
        if !found.iter().any(|pin| pin.step == *step) {
            let known: Vec<String> = found.iter().map(|pin| format!("`{}`", pin.step)).collect();
            let hint = match known.as_slice() {
                [] => "no step of the recipe names anything from the network".to_owned(),
                known => format!("those that name something: {}", known.join(", ")),
            };
            let message = format!("no step `{}` names anything from the network", plain(step));
            return Err(CliError::usage(message).hint(hint));
        }
    }
    let wanted = |pin: &&Pin| steps.is_empty() || steps.contains(&pin.step);
    Ok(found.iter().filter(wanted).collect())
}

/// The URLs of the recipe's steps on the project's targets.
fn urls_of(
    terminal: &Terminal,
    project: &Project,
    source: &Source,
    found: &[Pin],
) -> Result<std::collections::BTreeMap<String, Urls>, CliError> {
    let stem = Path::new(&source.name).file_stem();
    let stem = stem.and_then(|stem| stem.to_str());
    let parsed = assay_recipe::parse(stem, &stand_in(&source.text, found));
    match parsed.value {
        Some(recipe) => Ok(urls(&recipe, found, &project.targets(&[])?)),
        None => Err(refuse(terminal, source, parsed.diagnostics)),
    }
}

/// What a key or file is to be pinned to.
fn pin_bytes(pin: &Pin, urls: &Urls, fetched: &Fetched) -> Result<(StepRow, NewPin), CliError> {
    let mut first: Option<Looked> = None;
    for url in urls.keys() {
        let looked = match fetched.get(url) {
            Some(Ok(blob)) => look::at_blob(url, blob)?,
            Some(Err(error)) => return Err(fetch_error(url, error)),
            None => continue,
        };
        match &first {
            Some(first) if first.sha256 != looked.sha256 => {
                return Err(CliError::new(
                    ErrorKind::Content,
                    format!(
                        "step `{}` has one hash, and its URL gives different bytes:\n`{}` gives {}\n`{}` gives {}",
                        plain(&pin.step),
                        plain(&first.source),
                        first.sha256,
                        plain(&looked.source),
                        looked.sha256
                    ),
                )
                .hint("write a step for each, with a `when` of its own"));
            }
            Some(_) => {}
            None => first = Some(looked),
        }
    }
    let Some(looked) = first else {
        let message = format!(
            "no target of the project fills `{}` of step `{}`",
            plain(&pin.origin.value),
            plain(&pin.step)
        );
        return Err(CliError::new(ErrorKind::Recipe, message)
            .hint("name a target on which the step applies under `targets` in `assay.toml`"));
    };
    let (findings, fingerprints) = match pin.kind {
        PinKind::Key => judge(pin, &looked),
        PinKind::File | PinKind::Ppa => (Vec::new(), None),
    };
    let was = pin.sha256.as_ref().map(|was| was.value.clone());
    let same = was
        .as_ref()
        .is_some_and(|was| was.eq_ignore_ascii_case(&looked.sha256.to_string()));
    let refused = findings
        .iter()
        .any(|one| one.severity == KeySeverity::Error && !is_of_declaration(one));
    let contradicted = findings.iter().any(is_of_declaration);
    let state = if refused {
        State::Refused
    } else if (was.is_some() && !same) || contradicted {
        State::Changed
    } else if was.is_none() || fingerprints.is_some() {
        State::Added
    } else {
        State::Same
    };
    let new = NewPin {
        sha256: (!same).then_some(looked.sha256),
        fingerprints: fingerprints.clone(),
    };
    let row = StepRow {
        step: pin.step.clone(),
        action: pin.action.clone(),
        urls: urls.keys().cloned().collect(),
        state,
        was,
        is: Some(looked.sha256),
        fingerprints_was: pin.fingerprints.as_ref().map(|was| was.value.clone()),
        fingerprints_is: fingerprints,
        findings,
    };
    Ok((row, new))
}

/// What is wrong with a key as this step declares it, and the fingerprints to be written, if those
/// that are there do not hold.
fn judge(pin: &Pin, looked: &Looked) -> (Vec<KeyFinding>, Option<Vec<String>>) {
    let Some(file) = &looked.file else {
        let message = format!(
            "the bytes are no OpenPGP key: they look like {}",
            looked.kind
        );
        let no_key = KeyFinding {
            severity: KeySeverity::Error,
            code: KeyCode::NotAKey,
            fingerprint: None,
            message,
        };
        let known = looked.findings.first().cloned();
        return (vec![known.unwrap_or(no_key)], None);
    };
    let declared = pin.fingerprints.as_ref();
    let declared = declared.map_or(&[][..], |declared| declared.value.as_slice());
    let findings = openpgp::findings(file, declared, now());
    let holds = !declared.is_empty() && !findings.iter().any(is_of_declaration);
    let signing = file
        .keys
        .iter()
        .filter(|key| key.components().any(Component::could_sign))
        .map(|key| key.primary.fingerprint.clone());
    (findings, (!holds).then(|| signing.collect()))
}

/// True for what is wrong only with what the recipe declares.
fn is_of_declaration(finding: &KeyFinding) -> bool {
    matches!(
        finding.code,
        KeyCode::FingerprintAbsent | KeyCode::Undeclared
    )
}

/// Where Launchpad tells of a personal package archive (its web service, `archive`).
pub(super) fn launchpad(ppa: &str) -> String {
    let ppa = ppa.strip_prefix("ppa:").unwrap_or(ppa);
    let (owner, name) = ppa.split_once('/').unwrap_or((ppa, ""));
    format!("https://api.launchpad.net/1.0/~{owner}/+archive/ubuntu/{name}")
}

/// The fingerprint of a personal package archive's key, as Launchpad tells it.
fn pin_ppa(pin: &Pin, fetched: &Fetched) -> Result<(StepRow, NewPin), CliError> {
    let url = launchpad(&pin.origin.value);
    let missing = |error: CliError| {
        error.hint(format!(
            "`key_fingerprint` of step `{}` is on the archive's page at Launchpad, under \
             `Technical details about this PPA`",
            plain(&pin.step)
        ))
    };
    let blob = match fetched.get(&url) {
        Some(Ok(blob)) => blob,
        Some(Err(error)) => return Err(missing(fetch_error(&url, error))),
        None => return Err(missing(CliError::infrastructure("it was not fetched"))),
    };
    let bytes = std::fs::read(&blob.path).map_err(CliError::infrastructure)?;
    let Some(fingerprint) = signing_key(&bytes) else {
        let message = format!("`{}` names no signing key", plain(&url));
        return Err(missing(CliError::new(ErrorKind::Content, message)));
    };
    let was = pin.fingerprints.as_ref().map(|was| was.value.clone());
    let is = vec![fingerprint];
    let state = match &was {
        None => State::Added,
        Some(was) if *was == is => State::Same,
        Some(_) => State::Changed,
    };
    let new = NewPin {
        sha256: None,
        fingerprints: (state != State::Same).then(|| is.clone()),
    };
    let row = StepRow {
        step: pin.step.clone(),
        action: pin.action.clone(),
        urls: vec![url],
        state,
        was: None,
        is: None,
        fingerprints_was: was,
        fingerprints_is: Some(is),
        findings: Vec::new(),
    };
    Ok((row, new))
}

pub(super) fn signing_key(bytes: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let fingerprint = answer.get("signing_key_fingerprint")?.as_str()?;
    let is_one = fingerprint.len() == 40 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
    is_one.then(|| fingerprint.to_ascii_uppercase())
}

/// Writes beside the file and renames. A file that its owner protected is not replaced.
fn write_file(file: &Path, text: &str) -> Result<(), CliError> {
    let protected = std::fs::metadata(file).is_ok_and(|known| known.permissions().readonly());
    if protected {
        let shown = file.display().to_string();
        let message = format!("`{}` is read-only", plain(&shown));
        return Err(CliError::infrastructure(message)
            .hint("make it writable, or take the patch of `--dry-run`"));
    }
    replace(file, text)
}

fn report(
    terminal: &Terminal,
    file: String,
    steps: Vec<StepRow>,
    diff: String,
    written: bool,
    held: bool,
) -> Result<(), CliError> {
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-pin-written",
            version: 1,
            file,
            steps,
            diff,
            written,
        });
    }
    for row in &steps {
        say(terminal, row)?;
    }
    if !held {
        show(terminal, &diff)?;
    }
    let name = plain(&file);
    if steps.is_empty() {
        terminal.progress(&format!("`{name}` names nothing from the network"));
    } else if written {
        terminal.progress(&format!("`{name}` written"));
    } else if !held && diff.is_empty() {
        terminal.progress(&format!("`{name}` is pinned as it is"));
    }
    Ok(())
}

/// One step on standard error: standard output is the patch's.
fn say(terminal: &Terminal, row: &StepRow) -> Result<(), CliError> {
    let urls: Vec<String> = row.urls.iter().map(|url| plain(url)).collect();
    let line = format!(
        "step {} ({}): {} {}",
        plain(&row.step),
        row.action,
        row.state.word(),
        urls.join(", ")
    );
    match row.state {
        State::Same | State::Added => terminal.progress(&line),
        State::Changed | State::Refused => terminal.message(&line),
    }
    if row.state == State::Changed {
        if let (Some(was), Some(is)) = (&row.was, &row.is) {
            terminal.message(&format!("  was sha256 {}", plain(was)));
            terminal.message(&format!("  is  sha256 {is}"));
        }
        if let (Some(was), Some(is)) = (&row.fingerprints_was, &row.fingerprints_is) {
            let was: Vec<String> = was.iter().map(|one| plain(one)).collect();
            terminal.message(&format!("  was of {}", was.join(", ")));
            terminal.message(&format!("  is  of {}", is.join(", ")));
        }
    }
    let shown = row
        .findings
        .iter()
        .filter(|one| !terminal.quiet || one.severity == KeySeverity::Error)
        // That the declared fingerprints do not hold is what was and is say.
        .filter(|one| row.state == State::Refused || !is_of_declaration(one));
    for finding in shown {
        let about = finding.fingerprint.as_deref().unwrap_or("the file");
        let word = finding.severity.as_str();
        terminal.message(&format!(
            "  {word}: {about}: {} [{}]",
            finding.message, finding.code
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchpads_answer_names_the_key_or_nothing() {
        let url = "https://api.launchpad.net/1.0/~deadsnakes/+archive/ubuntu/ppa";
        assert_eq!(launchpad("deadsnakes/ppa"), url);
        assert_eq!(launchpad("ppa:deadsnakes/ppa"), url);
        let print = "f23c5a6cf475977595c89f51ba6932366a755776";
        let answer = format!("{{\"signing_key_fingerprint\": \"{print}\"}}");
        assert_eq!(
            signing_key(answer.as_bytes()),
            Some(print.to_ascii_uppercase())
        );
        for bad in ["", "{}", "{\"signing_key_fingerprint\": \"zz\"}", "[]"] {
            assert_eq!(signing_key(bad.as_bytes()), None);
        }
    }
}
