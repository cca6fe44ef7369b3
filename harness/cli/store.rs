//! `assay store`: what declared content is kept, whether it is what its hash says, and removing what
//! nobody needs any more. No engine and no network is asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use assay_content::store::{
    Item, ItemKind, Pruned, Pruning, Store, StoreError, Verdict, digests_named_in,
};
use assay_recipe::MAX_RECIPE_BYTES;
use assay_wire::digest::Digest;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::StoreVerb;
use crate::check::plural;
use crate::error::{CliError, ErrorKind};
use crate::project::{Project, read_bounded};
use crate::terminal::{Terminal, plain};
use crate::{cache, time};

/// What lies in the store.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    folder: String,
    items: Vec<Row>,
    bytes: u64,
}

/// What was removed, or would be.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PrunedDocument {
    schema: &'static str,
    version: u32,
    dry_run: bool,
    older_than_seconds: u64,
    /// How many hashes the project's recipes and its lock name: these stay.
    needed: usize,
    items: Vec<PrunedRow>,
    freed_bytes: u64,
}

/// What came of looking at every blob.
#[derive(Serialize, JsonSchema)]
pub(crate) struct VerifiedDocument {
    schema: &'static str,
    version: u32,
    items: Vec<VerifiedRow>,
}

#[derive(Serialize, JsonSchema)]
struct Row {
    /// `blob`, `corrupt`, `evidence`, `derived`, `temporary` or `foreign`.
    kind: &'static str,
    /// Of its bytes, of those that should be there, or of those it was made of.
    sha256: Option<String>,
    bytes: u64,
    used: String,
    /// True if a recipe of the project, or its lock, names it.
    needed: bool,
    path: String,
}

#[derive(Serialize, JsonSchema)]
struct PrunedRow {
    #[serde(flatten)]
    item: Row,
    removed: bool,
    /// Why it was not removed.
    kept: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct VerifiedRow {
    sha256: Option<String>,
    bytes: u64,
    /// `verified`, `damaged`, or `unknown`: it could not be told.
    verdict: &'static str,
    path: String,
    message: Option<String>,
}

/// Does what is asked with the store.
pub(crate) fn run(terminal: &Terminal, verb: &StoreVerb) -> Result<(), CliError> {
    let folder = cache::folder()?.join("content");
    let store = open(&folder)?;
    match verb {
        StoreVerb::List => list(terminal, &store, &folder),
        StoreVerb::Verify => verify(terminal, &store),
        StoreVerb::Prune {
            older_than,
            dry_run,
        } => prune(terminal, &store, *older_than, *dry_run),
    }
}

/// The store in a folder.
///
/// # Errors
/// It cannot be used; with what to do.
pub(crate) fn open(folder: &Path) -> Result<Store, CliError> {
    Store::open(folder).map_err(fault)
}

fn fault(error: StoreError) -> CliError {
    let hint = error.hint();
    CliError::infrastructure(error).hints(hint)
}

/// Every sha256 that the project's recipes and its lock name, valid or not: what stands there is
/// needed. Nothing outside a project.
///
/// # Errors
/// One of these files cannot be read in full. What it names is not known then.
fn needed(terminal: &Terminal) -> Result<BTreeSet<Digest>, CliError> {
    let project = Project::find(terminal)?;
    if project.root.is_none() {
        return Ok(BTreeSet::new());
    }
    let folder = project.recipes();
    let unread = |path: &Path, error: String| {
        let path = path.display();
        CliError::usage(format!("read `{path}`: {error}"))
            .hint("what it names would not be known to be needed: correct it or take it away")
    };
    let mut files: Vec<PathBuf> = Vec::new();
    if folder.is_dir() {
        let entries = std::fs::read_dir(&folder).map_err(|it| unread(&folder, it.to_string()))?;
        for entry in entries {
            let path = entry.map_err(|it| unread(&folder, it.to_string()))?.path();
            if path.extension().is_some_and(|it| it == "toml") {
                files.push(path);
            }
        }
    }
    let mut digests = project
        .lock()
        .map(|lock| lock.digests())
        .unwrap_or_default();
    for path in files {
        let text = read_bounded(&path).map_err(|it| unread(&path, it.to_string()))?;
        if text.len() > MAX_RECIPE_BYTES {
            let most = format!("it is longer than {MAX_RECIPE_BYTES} bytes");
            return Err(unread(&path, most));
        }
        digests.extend(digests_named_in(&text));
    }
    Ok(digests)
}

fn list(terminal: &Terminal, store: &Store, folder: &Path) -> Result<(), CliError> {
    let needed = needed(terminal)?;
    let items = store.list().map_err(fault)?;
    let bytes = total(items.iter());
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-store",
            version: 1,
            folder: folder.display().to_string(),
            items: items.iter().map(|item| Row::of(item, &needed)).collect(),
            bytes,
        });
    }
    let folder = plain(&folder.display().to_string());
    terminal.result(|out| {
        if items.is_empty() {
            return writeln!(out, "`{folder}` is empty: nothing was fetched yet");
        }
        writeln!(out, "{HEAD}   notes")?;
        for item in &items {
            let note = match item.kind {
                ItemKind::Blob if item.digest.is_some_and(|it| needed.contains(&it)) => {
                    "named by this project".to_owned()
                }
                ItemKind::Blob => String::new(),
                ItemKind::Corrupt => "damaged; fetched again when it is needed".to_owned(),
                ItemKind::Derived => "made of such bytes, and made again when needed".to_owned(),
                ItemKind::Temporary => "being written, or left by a process that died".to_owned(),
                ItemKind::Evidence | ItemKind::Foreign => plain(&item.path.display().to_string()),
            };
            writeln!(out, "{}", format!("{}  {note}", line(item)).trim_end())?;
        }
        let megabytes = bytes as f64 / 1e6;
        writeln!(
            out,
            "\n{}, {megabytes:.1} MB, in `{folder}`",
            plural(items.len(), "item")
        )
    })
}

fn verify(terminal: &Terminal, store: &Store) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for item in store.list().map_err(fault)? {
        let (verdict, message) = match (item.kind, item.digest) {
            (ItemKind::Blob, Some(digest)) => match store.verify(&digest) {
                Ok(Verdict::Verified) => ("verified", None),
                Ok(Verdict::Damaged(aside)) => {
                    let aside = aside.display();
                    let said =
                        format!("set aside as `{aside}`; fetched again when it is next needed");
                    ("damaged", Some(said))
                }
                // Another process removed it meanwhile.
                Ok(Verdict::Missing) => continue,
                Err(error) => ("unknown", Some(fault(error).to_string())),
            },
            (ItemKind::Foreign, _) => {
                let said = "nothing assay writes: look at it and move it away".to_owned();
                ("unknown", Some(said))
            }
            (
                ItemKind::Blob
                | ItemKind::Corrupt
                | ItemKind::Evidence
                | ItemKind::Derived
                | ItemKind::Temporary,
                _,
            ) => continue,
        };
        rows.push(VerifiedRow {
            sha256: item.digest.map(|digest| digest.to_string()),
            bytes: item.bytes,
            verdict,
            path: item.path.display().to_string(),
            message,
        });
    }
    let count = |verdict: &str| rows.iter().filter(|row| row.verdict == verdict).count();
    let (verified, damaged, unknown) = (count("verified"), count("damaged"), count("unknown"));
    let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    if terminal.is_json() {
        terminal.json(&VerifiedDocument {
            schema: "assay-store-verified",
            version: 1,
            items: rows,
        })?;
    } else {
        terminal.result(|out| {
            for row in rows.iter().filter(|row| row.verdict != "verified") {
                writeln!(out, "{:<8} {}", row.verdict, plain(&row.path))?;
                if let Some(message) = &row.message {
                    writeln!(out, "  {}", plain(message))?;
                }
            }
            writeln!(
                out,
                "{} verified, {damaged} damaged, {unknown} unknown; {:.1} MB read",
                plural(verified, "blob"),
                bytes as f64 / 1e6
            )
        })?;
    }
    if damaged > 0 {
        Err(CliError::said(ErrorKind::Content))
    } else if unknown > 0 {
        Err(CliError::said(ErrorKind::Infrastructure))
    } else {
        Ok(())
    }
}

fn prune(
    terminal: &Terminal,
    store: &Store,
    older_than: Duration,
    dry_run: bool,
) -> Result<(), CliError> {
    let needed = needed(terminal)?;
    let pruning = Pruning {
        roots: &needed,
        older_than,
        now: SystemTime::now(),
        dry_run,
    };
    let pruned = store.prune(&pruning).map_err(fault)?;
    let (gone, kept): (Vec<&Pruned>, Vec<&Pruned>) =
        pruned.iter().partition(|one| one.kept.is_none());
    let freed = total(gone.iter().map(|one| &one.item));
    if terminal.is_json() {
        terminal.json(&PrunedDocument {
            schema: "assay-store-pruned",
            version: 1,
            dry_run,
            older_than_seconds: older_than.as_secs(),
            needed: needed.len(),
            items: pruned
                .iter()
                .map(|one| PrunedRow {
                    item: Row::of(&one.item, &needed),
                    removed: !dry_run && one.kept.is_none(),
                    kept: one.kept.clone(),
                })
                .collect(),
            freed_bytes: freed,
        })?;
    } else {
        terminal.result(|out| {
            if pruned.is_empty() {
                return writeln!(out, "nothing is that old and named by nobody here");
            }
            writeln!(out, "{HEAD}")?;
            for one in &pruned {
                let kept = one.kept.as_deref().map(plain);
                let kept = kept.map_or_else(String::new, |why| format!("  kept: {why}"));
                writeln!(out, "{}", format!("{}{kept}", line(&one.item)).trim_end())?;
            }
            let items = plural(gone.len(), "item");
            let megabytes = freed as f64 / 1e6;
            let done = if dry_run {
                "would be removed"
            } else {
                "removed"
            };
            writeln!(out, "\n{items} {done}, {megabytes:.1} MB freed")
        })?;
    }
    match kept.first() {
        None => Ok(()),
        Some(first) => Err(CliError::infrastructure(format!(
            "{} could not be removed, `{}` among them",
            plural(kept.len(), "item"),
            first.item.path.display()
        ))
        .hint("make the store's folders writable for this user")),
    }
}

/// The columns of [`line`].
const HEAD: &str = "kind       sha256              MB  last used";

fn line(item: &Item) -> String {
    let digest = item.digest.map_or_else(|| "-".to_owned(), |it| it.short());
    format!(
        "{:<10} {digest:<12} {:>9.1}  {:<10}",
        item.kind.word(),
        item.bytes as f64 / 1e6,
        time::date(seconds(item.used))
    )
}

fn total<'i>(items: impl Iterator<Item = &'i Item>) -> u64 {
    items.fold(0, |sum, item| sum.saturating_add(item.bytes))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Row {
    fn of(item: &Item, needed: &BTreeSet<Digest>) -> Self {
        Self {
            kind: item.kind.word(),
            sha256: item.digest.map(|digest| digest.to_string()),
            bytes: item.bytes,
            used: time::rfc3339(seconds(item.used)),
            needed: item.kind == ItemKind::Blob
                && item.digest.is_some_and(|digest| needed.contains(&digest)),
            path: item.path.display().to_string(),
        }
    }
}
