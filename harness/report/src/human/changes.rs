//! What changed, in words: what each op of the first apply changed, and what the second apply did.
//!
//! Which changes are worth a look, and why, says [`assay_observe::notable`].

use std::io;

use assay_observe::CellRecord;
use assay_observe::notable::{self, Changes, Notable};
use assay_wire::event::ManifestPoint;
use assay_wire::manifest::{Entry, EntryKind, PathChange, StateChange};
use assay_wire::plan::Action;

use super::HumanOptions;
use super::page::Page;
use crate::sanitise;

/// Changes of one op named, and named when verbose.
const OF_OP: (usize, usize) = (5, 50);
/// Changes of the second apply named, and named when verbose.
const OF_SECOND: (usize, usize) = (10, 200);
/// Most characters of a path; a longer one is not made to be read.
const PATH: usize = 300;
/// Most characters of a command that says which op is meant.
const COMMAND: usize = 100;

/// What every op of the first apply changed; ops that changed nothing are left out.
pub(super) fn of_ops(
    cell: &CellRecord,
    options: &HumanOptions,
    page: &mut Page<'_>,
) -> io::Result<()> {
    for manifest in &cell.facts.manifests {
        let ManifestPoint::Op(op) = manifest.after else {
            continue;
        };
        let what = cell.facts.op(op).map(|(op, _)| match &op.action {
            Action::Run { argv } => sanitise::command(argv, COMMAND),
            Action::Write { path, .. } => format!("write {path}"),
            Action::Extract { archive, dest, .. } => format!("extract {archive} to {dest}"),
        });
        let title = format!("by op {op}, `{}`", what.unwrap_or_default());
        let changes = notable::changes(&manifest.paths);
        let most = bound(OF_OP, options);
        write(&title, &changes, &manifest.states, most, page)?;
    }
    Ok(())
}

/// What the second apply changed and what of it does not count.
pub(super) fn of_second(
    cell: &CellRecord,
    options: &HumanOptions,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let changes = notable::changes(cell.repeated_changes());
    let most = bound(OF_SECOND, options);
    let states = cell.repeated_states();
    write("by the second apply", &changes, states, most, page)?;
    match cell.noise.len() {
        0 => Ok(()),
        1 => page.item(1, "(1 change on the noise list does not count)"),
        noise => page.item(
            1,
            &format!("({noise} changes on the noise list do not count)"),
        ),
    }
}

/// A line that counts, and below it what is named: paths worth a look, then what the probes say,
/// then the other paths.
fn write(
    title: &str,
    changes: &Changes<'_>,
    states: &[StateChange],
    most: usize,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let total = changes.paths.len() + states.len();
    if total == 0 {
        return Ok(());
    }
    page.field("changed", &format!("{title}: {}", counts(changes, states)))?;
    let (plain, notable): (Vec<_>, Vec<_>) = changes
        .paths
        .iter()
        .partition(|(reasons, _)| reasons.is_empty());
    let words = |(reasons, change): &(Vec<Notable>, &PathChange)| {
        format!("{}{}", marks(reasons), path_in_words(change))
    };
    let lines = notable.into_iter().map(words);
    let lines = lines.chain(states.iter().map(state_in_words));
    let lines = lines.chain(plain.into_iter().map(words));
    for line in lines.take(most) {
        page.item(1, &line)?;
    }
    match total.saturating_sub(most) {
        0 => Ok(()),
        more => page.item(1, &format!("and {more} more")),
    }
}

fn bound((normally, verbose): (usize, usize), options: &HumanOptions) -> usize {
    if options.verbose() { verbose } else { normally }
}

/// How many paths and how many lines of each probe came, changed and went.
fn counts(changes: &Changes<'_>, states: &[StateChange]) -> String {
    let paths = [
        (changes.added, "added"),
        (changes.changed, "changed"),
        (changes.removed, "removed"),
    ];
    let mut parts = vec![counted(&paths)];
    for probe in states.chunk_by(|one, next| one.probe == next.probe) {
        let new = probe.iter().filter(|state| state.added).count();
        let counts = [(new, "new"), (probe.len() - new, "gone")];
        parts.push(format!("{}: {}", probe[0].probe, counted(&counts)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn counted(counts: &[(usize, &str)]) -> String {
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    counts.join(", ")
}

/// Why a change is worth a look, where its path does not say so itself.
pub(crate) fn marks(reasons: &[Notable]) -> String {
    let said = reasons
        .iter()
        .filter(|reason| **reason != Notable::Configuration);
    said.map(|reason| format!("{reason} ")).collect()
}

fn path_in_words(change: &PathChange) -> String {
    let difference = match (&change.before, &change.after) {
        (Some(was), Some(is)) => difference(was, is),
        (None, Some(is)) => format!("nothing → {}", entry(is)),
        (Some(was), None) => format!("{} → nothing", entry(was)),
        (None, None) => "nothing → nothing".to_owned(),
    };
    format!("{}: {difference}", path(&change.path))
}

/// What is different between two states of a path, each as `was → is`.
pub(crate) fn difference(was: &Entry, is: &Entry) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, was: String, is: String| {
        if was != is {
            parts.push(format!("{name} {was} → {is}"));
        }
    };
    part("kind", kind(was.kind).to_owned(), kind(is.kind).to_owned());
    part(
        "mode",
        format!("{:04o}", was.mode),
        format!("{:04o}", is.mode),
    );
    part(
        "owner",
        format!("{}:{}", was.uid, was.gid),
        format!("{}:{}", is.uid, is.gid),
    );
    part("size", was.size.to_string(), is.size.to_string());
    let hash = |entry: &Entry| entry.sha256.map_or("none".to_owned(), |hash| hash.short());
    part("sha256", hash(was), hash(is));
    let link = |entry: &Entry| entry.points_to.clone().unwrap_or_default();
    part("leads to", link(was), link(is));
    let attributes = |entry: &Entry| {
        let list = entry
            .xattrs
            .iter()
            .map(|(name, value)| format!("{name}={}", value.short()));
        format!("[{}]", list.collect::<Vec<_>>().join(" "))
    };
    part("attributes", attributes(was), attributes(is));
    parts.join(", ")
}

/// What a path is.
pub(crate) fn entry(entry: &Entry) -> String {
    let owner = permissions(entry);
    match entry.kind {
        EntryKind::File => format!("file {owner} {} bytes", entry.size),
        EntryKind::Symlink => {
            format!("link to {}", entry.points_to.as_deref().unwrap_or_default())
        }
        EntryKind::Folder
        | EntryKind::Fifo
        | EntryKind::Socket
        | EntryKind::CharDevice
        | EntryKind::BlockDevice => format!("{} {owner}", kind(entry.kind)),
    }
}

/// Permission bits and owner.
fn permissions(entry: &Entry) -> String {
    format!("{:04o} {}:{}", entry.mode, entry.uid, entry.gid)
}

/// A path as a shell would need it: one with spaces or quotes ends where its quotes do.
fn path(path: &str) -> String {
    sanitise::command(&[path], PATH)
}

fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Folder => "folder",
        EntryKind::Symlink => "link",
        EntryKind::Fifo => "pipe",
        EntryKind::Socket => "socket",
        EntryKind::CharDevice => "character device",
        EntryKind::BlockDevice => "block device",
    }
}

fn state_in_words(state: &StateChange) -> String {
    let sign = if state.added { "+" } else { "-" };
    format!("{}: {sign} {}", state.probe, state.line)
}
