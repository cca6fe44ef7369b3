//! `assay.lock`: read for every plan, written by a run that records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_content::openpgp;
use assay_content::store::Store;
use assay_observe::{CellFacts, Record};
use assay_recipe::lock::is_package_word;
use assay_recipe::{parse_lock, render_lock};
use assay_run::cell::explain_chain;
use assay_wire::lock::{Lock, LockedAnswer, LockedKey, LockedPackage};
use assay_wire::plan::{Action, Content, ContentKind, FileContent, Plan};

use crate::error::CliError;
use crate::project::{LOCK, Project};
use crate::terminal::{Terminal, plain};
use crate::time;
use crate::world::World;
use crate::write::replace;

/// Writes what a run recorded beside what the lock held of URLs that nobody asked for this time, and
/// says what changed.
///
/// # Errors
/// If the file cannot be written; then the one that was there stays as it was.
pub(crate) fn write(
    terminal: &Terminal,
    (project, store): (&Project, &Store),
    record: &Record,
    answers: BTreeMap<String, LockedAnswer>,
) -> Result<(), CliError> {
    let nothing = Lock::default();
    let before = project.lock().map_or(&nothing, Arc::as_ref);
    let mut after = merged(before, record, answers);
    for cell in &record.cells {
        for content in &cell.facts.planned.plan.content {
            after.keys.extend(keys_of(store, content)?);
        }
    }
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

/// Fetches the keys that plans know by their fingerprint alone, for the lock to say which bytes hold
/// them. One that cannot be had, or is not what its fingerprint says, is told and left out.
pub(crate) async fn learn_keys(
    terminal: &Terminal,
    world: &World,
    plans: impl Iterator<Item = &Plan>,
) -> BTreeMap<String, LockedKey> {
    let mut learned = BTreeMap::new();
    for fingerprint in plans.flat_map(unpinned).collect::<BTreeSet<_>>() {
        let url = key_server(&fingerprint);
        terminal.progress(&format!("asking for the key {fingerprint}"));
        let (fetcher, store) = (world.fetcher.clone(), Arc::clone(&world.store));
        let (asked, wanted) = (url.clone(), fingerprint.clone());
        let fetched = tokio::task::spawn_blocking(move || {
            let blob = fetcher
                .fetch(&asked, &store)
                .map_err(|e| explain_chain(&e))?;
            let bytes = store.get(&blob.digest).map_err(|e| explain_chain(&e))?;
            let now = time::now();
            locked_key(&bytes.unwrap_or_default(), &wanted, now).map(|expires| LockedKey {
                url: asked,
                sha256: blob.digest,
                expires,
            })
        });
        match fetched.await {
            Ok(Ok(key)) => {
                learned.insert(fingerprint, key);
            }
            Ok(Err(why)) => {
                terminal.message(&format!(
                    "the key {fingerprint} is not recorded: {}",
                    plain(&why)
                ));
            }
            Err(broken) => terminal.message(&format!("`{url}` was not read: {broken}")),
        }
    }
    learned
}

/// Where the tool that adds personal package archives finds their keys (add-apt-repository(1)): by
/// the whole fingerprint, as one armored file (draft-gallagher-openpgp-hkp, 4.1).
fn key_server(fingerprint: &str) -> String {
    format!("https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x{fingerprint}")
}

/// The fingerprints of a plan's keys for which nothing says which bytes hold them.
fn unpinned(plan: &Plan) -> Vec<String> {
    let keys = plan.ops.iter().filter_map(|op| match &op.action {
        Action::Write {
            content: FileContent::Key(fingerprint),
            ..
        } => Some(fingerprint.clone()),
        Action::Write { .. } | Action::Run { .. } | Action::Extract { .. } => None,
    });
    keys.collect()
}

/// The last day of a key, in bytes that hold it and nothing else that may sign; or why they do not.
fn locked_key(bytes: &[u8], fingerprint: &str, now: u64) -> Result<Option<String>, String> {
    let file = openpgp::read(bytes, now).map_err(|error| error.to_string())?;
    let findings = openpgp::findings(&file, &[fingerprint.to_owned()], now);
    if let Some(refusal) = openpgp::refusal(&findings) {
        return Err(refusal);
    }
    let mut keys = file.keys.iter();
    let until = keys.find_map(|key| key.signs_until());
    Ok(until.flatten().map(time::date))
}

/// The keys in declared content that holds keys, by their fingerprints. What was refused, or never
/// came, is in no store.
fn keys_of(store: &Store, content: &Content) -> Result<Vec<(String, LockedKey)>, CliError> {
    if matches!(content.kind, ContentKind::File) {
        return Ok(Vec::new());
    }
    let bytes = store.get(&content.sha256);
    let Some(bytes) = bytes.map_err(CliError::infrastructure)? else {
        return Ok(Vec::new());
    };
    let Ok(file) = openpgp::read(&bytes, time::now()) else {
        return Ok(Vec::new());
    };
    let locked = file.keys.iter().filter_map(|key| {
        let until = key.signs_until()?;
        let locked = LockedKey {
            url: content.url.clone(),
            sha256: content.sha256,
            expires: until.map(time::date),
        };
        Some((key.primary.fingerprint.clone(), locked))
    });
    Ok(locked.collect())
}

/// Why keys that were recorded may not sign any more today, if that is so of every key in a file: a
/// manager asks the clock, and time is never faked.
pub(crate) fn expired(lock: &Lock, plan: &Plan, today: &str) -> Option<String> {
    plan.content.iter().find_map(|content| {
        let of_file = |(_, key): &(&String, &LockedKey)| key.sha256 == content.sha256;
        let mut last = None;
        for (fingerprint, key) in lock.keys.iter().filter(of_file) {
            let day = key.expires.as_deref().filter(|day| *day < today)?;
            last = last.max(Some((day, fingerprint)));
        }
        last.map(|(day, fingerprint)| {
            format!("recording_expired: the key {fingerprint} could sign until {day}")
        })
    })
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

#[cfg(test)]
mod tests {
    use assay_wire::digest::Digest;
    use assay_wire::name::StepRef;

    use super::*;

    fn content(bytes: &[u8]) -> Content {
        let kind = ContentKind::Key {
            fingerprints: Vec::new(),
        };
        Content {
            sha256: Digest::of(bytes),
            url: "https://a.test/key".to_owned(),
            step: StepRef {
                recipe: "a".parse().expect("a name"),
                step: "1".parse().expect("an id"),
            },
            kind,
        }
    }

    fn key(bytes: &[u8], expires: Option<&str>) -> LockedKey {
        LockedKey {
            url: "https://a.test/key".to_owned(),
            sha256: Digest::of(bytes),
            expires: expires.map(str::to_owned),
        }
    }

    #[test]
    fn a_recording_expires_with_the_last_key_of_a_file() {
        let mut plan = assay_testkit::PlanBuilder::new("debian-12", "a").build();
        plan.content = vec![content(b"file")];
        let said = |keys: &[(&str, LockedKey)]| {
            let keys = keys
                .iter()
                .map(|(name, key)| ((*name).to_owned(), key.clone()));
            let lock = Lock {
                keys: keys.collect(),
                ..Lock::default()
            };
            expired(&lock, &plan, "2026-11-21")
        };
        let (old, older) = (Some("2026-11-20"), Some("2020-01-01"));
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[("A", key(b"file", None))]), None);
        assert_eq!(said(&[("A", key(b"file", Some("2026-11-21")))]), None);
        assert_eq!(said(&[("A", key(b"other", old))]), None);
        let both = [("A", key(b"file", older)), ("B", key(b"file", None))];
        assert_eq!(said(&both), None, "one of them may sign");
        let gone = [("A", key(b"file", old)), ("B", key(b"file", older))];
        let said = said(&gone).expect("none of them may");
        assert_eq!(
            said,
            "recording_expired: the key A could sign until 2026-11-20"
        );
    }

    #[test]
    fn only_the_key_that_was_asked_for_is_learned() {
        let fixture = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/content/fixtures/keys");
            std::fs::read(format!("{folder}/{name}")).expect("a fixture")
        };
        let now = time::now();
        let good = fixture("good.asc");
        let file = openpgp::read(&good, now).expect("a key");
        let fingerprint = &file.keys[0].primary.fingerprint;
        assert!(locked_key(&good, fingerprint, now).is_ok());
        for (bytes, said) in [
            (fixture("other.asc"), "not in the file"),
            (fixture("ring.gpg"), "not declared"),
            (b"<html>busy</html>".to_vec(), ""),
        ] {
            let why = locked_key(&bytes, fingerprint, now).expect_err("not that key alone");
            assert!(why.contains(said), "{why}");
        }
        let url = key_server(fingerprint);
        assert!(url.ends_with(&format!("search=0x{fingerprint}")), "{url}");
    }

    #[test]
    fn the_keys_of_a_file_are_locked_with_their_last_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let fixture = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/harness/content/fixtures/keys/blocks.asc"
        );
        let bytes = std::fs::read(fixture).expect("a fixture");
        let file = openpgp::read(&bytes, time::now()).expect("keys");
        store.put_bytes(&bytes).expect("stored");
        let locked = keys_of(&store, &content(&bytes)).expect("read");
        assert_eq!(locked.len(), file.keys.len());
        assert_eq!(locked[0].0, file.keys[0].primary.fingerprint);
        assert_eq!(locked[0].1.sha256, Digest::of(&bytes));
        assert_eq!(keys_of(&store, &content(b"never came")).expect("read"), []);
    }
}
