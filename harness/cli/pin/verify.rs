//! `assay pin verify`: fetches everything that recipes name anew and compares. Nothing is taken over:
//! that is `assay pin --write RECIPE --accept-changed`, by somebody who has looked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use assay_content::openpgp::{self, KeyFinding, KeySeverity};
use assay_content::store::Blob;
use assay_recipe::pins::{Pin, PinKind, pins};
use assay_wire::key::KeyCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::look::{self, Paint};
use super::named::urls;
use super::write::{launchpad, signing_key};
use super::{Fetched, WayOut, fetch_error};
use crate::check::plural;
use crate::error::{CliError, ErrorKind};
use crate::load::load_valid;
use crate::project::Project;
use crate::terminal::{Terminal, plain, wrap};
use crate::time::now;

/// What became of everything that recipes name.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    /// In the order of the URLs.
    urls: Vec<Row>,
}

/// One URL.
#[derive(Serialize, JsonSchema)]
struct Row {
    url: String,
    /// The steps that name it, such as `docker#1`.
    steps: Vec<String>,
    state: State,
    /// What recipes say of it: hashes, for a PPA fingerprints. Several where recipes disagree.
    was: Vec<String>,
    /// What it is now; null if it did not come.
    is: Option<String>,
    /// The file of what came, if it is not what it was: `assay pin show` says what it is.
    evidence: Option<String>,
    /// Why it did not come.
    message: Option<String>,
    /// What to do about that, as far as it is known.
    hints: Vec<String>,
    /// What is wrong with the key.
    findings: Vec<KeyFinding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It is what recipes say.
    Same,
    /// It is something else.
    Changed,
    /// It is what recipes say, and must not be used any more.
    Refused,
    /// It did not come.
    Unreachable,
}

/// Who names a URL, and what they say of it.
#[derive(Default)]
struct Named {
    steps: BTreeSet<String>,
    was: BTreeSet<String>,
    /// The declared fingerprints of each step for which it is a key.
    keys: BTreeSet<Vec<String>>,
    /// For a PPA, whose key Launchpad names.
    is_ppa: bool,
}

/// Fetches everything and compares.
pub(super) fn run(terminal: &Terminal, recipes: &[PathBuf]) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let named = name_all(terminal, &project, recipes)?;
    let way_out = WayOut::of(&project)?;
    let all: Vec<String> = named.keys().cloned().collect();
    let fetched = way_out.fetch_all(terminal, &all);
    let rows: Result<Vec<Row>, CliError> = named
        .into_iter()
        .map(|(url, named)| compare(url, named, &fetched))
        .collect();
    let rows = rows?;
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    let (changed, refused) = (count(State::Changed), count(State::Refused));
    let (same, unreachable) = (count(State::Same), count(State::Unreachable));
    show(terminal, rows)?;
    let mut told = vec![format!("{same} as pinned")];
    for (count, word) in [
        (changed, "changed"),
        (refused, "refused"),
        (unreachable, "unreachable"),
    ] {
        if count > 0 {
            told.push(format!("{count} {word}"));
        }
    }
    let total = plural(all.len(), "URL");
    terminal.progress(&format!("{total}: {}", told.join(", ")));
    if changed + refused > 0 {
        Err(CliError::said(ErrorKind::Content))
    } else if unreachable > 0 {
        Err(CliError::said(ErrorKind::Infrastructure))
    } else {
        Ok(())
    }
}

/// Every URL that the recipes name, on all targets of the project.
fn name_all(
    terminal: &Terminal,
    project: &Project,
    recipes: &[PathBuf],
) -> Result<BTreeMap<String, Named>, CliError> {
    let targets = project.targets(&[])?;
    let mut named: BTreeMap<String, Named> = BTreeMap::new();
    for (recipe, source) in load_valid(terminal, project, recipes)? {
        // It is valid, so it is TOML.
        let found = pins(&source.text).unwrap_or_default();
        let by_step = urls(&recipe, &found, &targets);
        for pin in &found {
            let step = format!("{}#{}", recipe.metadata.name.value, pin.step);
            let mut add = |url: String| add(named.entry(url).or_default(), pin, &step);
            match pin.kind {
                PinKind::Ppa => add(launchpad(&pin.origin.value)),
                PinKind::Key | PinKind::File => {
                    let urls = by_step.get(&pin.step).into_iter();
                    urls.flat_map(|urls| urls.keys().cloned()).for_each(add);
                }
            }
        }
    }
    Ok(named)
}

fn add(named: &mut Named, pin: &Pin, step: &str) {
    named.steps.insert(step.to_owned());
    let fingerprints = pin.fingerprints.as_ref();
    let fingerprints = fingerprints.map_or(Vec::new(), |known| known.value.clone());
    match pin.kind {
        PinKind::Ppa => {
            named.is_ppa = true;
            named.was.extend(fingerprints);
        }
        PinKind::Key | PinKind::File => {
            let hash = pin.sha256.as_ref().map(|hash| hash.value.to_lowercase());
            named.was.extend(hash);
            if pin.kind == PinKind::Key {
                named.keys.insert(fingerprints);
            }
        }
    }
}

fn compare(url: String, named: Named, fetched: &Fetched) -> Result<Row, CliError> {
    let mut row = Row {
        url,
        steps: named.steps.into_iter().collect(),
        state: State::Unreachable,
        was: named.was.into_iter().collect(),
        is: None,
        evidence: None,
        message: None,
        hints: Vec::new(),
        findings: Vec::new(),
    };
    let blob = match fetched.get(&row.url) {
        Some(Ok(blob)) => blob,
        Some(Err(error)) => {
            let error = fetch_error(&row.url, error);
            row.message = Some(error.to_string());
            row.hints = error.hints;
            return Ok(row);
        }
        None => return Ok(row),
    };
    let is = if named.is_ppa {
        let bytes = std::fs::read(&blob.path).map_err(CliError::infrastructure)?;
        signing_key(&bytes).unwrap_or_else(|| "no key".to_owned())
    } else {
        blob.digest.to_string()
    };
    row.state = if row.was.iter().all(|was| *was == is) {
        State::Same
    } else {
        row.evidence = Some(blob.path.display().to_string());
        State::Changed
    };
    row.is = Some(is);
    row.findings = key_findings(&row.url, blob, &named.keys)?;
    let must_not = row
        .findings
        .iter()
        .any(|one| one.severity == KeySeverity::Error);
    if must_not && row.state == State::Same {
        row.state = State::Refused;
    }
    Ok(row)
}

/// What is wrong with a key, as any of the steps declares it.
fn key_findings(
    url: &str,
    blob: &Blob,
    declared: &BTreeSet<Vec<String>>,
) -> Result<Vec<KeyFinding>, CliError> {
    if declared.is_empty() {
        return Ok(Vec::new());
    }
    let looked = look::at_blob(url, blob)?;
    let Some(file) = &looked.file else {
        let no_key = KeyFinding {
            severity: KeySeverity::Error,
            code: KeyCode::NotAKey,
            fingerprint: None,
            message: format!(
                "the bytes are no OpenPGP key: they look like {}",
                looked.kind
            ),
        };
        return Ok(vec![looked.findings.first().cloned().unwrap_or(no_key)]);
    };
    let now = now();
    let all = declared
        .iter()
        .flat_map(|prints| openpgp::findings(file, prints, now));
    let all: BTreeSet<KeyFinding> = all.collect();
    Ok(all.into_iter().collect())
}

fn show(terminal: &Terminal, urls: Vec<Row>) -> Result<(), CliError> {
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-pin-verified",
            version: 1,
            urls,
        });
    }
    let quiet = terminal.quiet;
    terminal.result(|out| {
        let shown = urls.iter().filter(|row| !quiet || row.state != State::Same);
        for row in shown {
            write(row, terminal, out)?;
        }
        Ok(())
    })
}

/// The columns of a state and of what is said of it.
const STATE: usize = 11;
const SAID: usize = 4;

fn write(row: &Row, terminal: &Terminal, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::of(terminal);
    let (word, code) = match row.state {
        State::Same => ("same", "32"),
        State::Changed => ("changed", "1;31"),
        State::Refused => ("refused", "1;31"),
        State::Unreachable => ("unreachable", "33"),
    };
    let word = paint.with(code, &format!("{word:<STATE$}"));
    writeln!(out, "{word} {}", plain(&row.url))?;
    let indent = " ".repeat(SAID);
    if row.state == State::Changed {
        for was in &row.was {
            writeln!(out, "{indent}was {}", plain(was))?;
        }
        if let Some(is) = &row.is {
            writeln!(out, "{indent}is  {}", plain(is))?;
        }
    }
    let mut said = Vec::new();
    if row.state != State::Same || !row.findings.is_empty() {
        said.push(format!("named by {}", row.steps.join(", ")));
    }
    let evidence = row.evidence.as_ref();
    said.extend(evidence.map(|path| format!("`assay pin show {path}`")));
    said.extend(row.message.iter().cloned());
    said.extend(row.hints.iter().map(|hint| format!("hint: {hint}")));
    for one in said {
        for line in wrap(&plain(&one), terminal.width().saturating_sub(SAID)) {
            writeln!(out, "{indent}{line}")?;
        }
    }
    look::findings(&row.findings, terminal, out)
}
