//! What changed paths mean: a manifest's changes in, privileged operations of the taxonomy out.
//!
//! Pure and bounded: whatever a file says, nothing panics, and little of it is kept. A parser leaves out
//! only what a program leaves out, too: comments, blank lines, order where it does not count. What no
//! parser understands is told by its hash, what no place makes special by its permissions; nothing is
//! passed over. *Who did it is [`crate::observed`]'s, and whether it may be is said nowhere here.*
//!
//! One module for each family of files: [`accounts`] (who is who), [`special`] (files that are special by
//! where they lie), [`permission`] (setuid, setgid, capabilities), [`schedule`], [`sources`], [`keys`],
//! [`lines`] and [`units`] (what their words are).

mod accounts;
mod keys;
mod lines;
mod permission;
mod schedule;
mod sources;
mod special;
mod units;

use std::collections::BTreeMap;

use assay_wire::digest::Digest;
use assay_wire::manifest::{Content, Entry, EntryKind, PathChange};
use assay_wire::privileged::Kind;

pub use accounts::Accounts;
pub(crate) use permission::capability_text;
pub(crate) use special::with_words;

/// Most characters of words that stand for a file; of one that says more its hash does.
const WORDS: usize = 2000;

/// Most characters of what was and what is, which are for reading.
const SHOWN: usize = 300;

/// Most operations of one manifest; what is beyond is one operation that says so.
pub const MOST: usize = 20_000;

/// One operation that a manifest shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What was done.
    pub kind: Kind,
    /// The path that shows it, escaped.
    pub path: String,
    /// What was there, in one line; `None` where nothing was.
    pub before: Option<String>,
    /// What is there, in one line; `None` where nothing is.
    pub after: Option<String>,
    /// The hash of the file as it is.
    pub sha256: Option<Digest>,
    /// A numeric id that was given.
    pub id: Option<u32>,
}

/// What one manifest shows: operations, and how many files were written and removed that are just
/// files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The operations, in the order of their paths; those of accounts first.
    pub operations: Vec<Found>,
    /// Paths of files, links and other objects that came or changed, and are just that.
    pub written: Vec<String>,
    /// Paths of those that went.
    pub deleted: Vec<String>,
}

/// The names of users, as far as they are known: numbers otherwise.
pub type Users = BTreeMap<u32, String>;

/// What a manifest shows. `accounts` is what is known of groups from earlier manifests of the cell, and is
/// brought up to date.
#[must_use]
pub fn shown(paths: &[PathChange], users: &Users, accounts: &mut Accounts) -> Shown {
    let mut shown = Shown {
        operations: accounts.found(paths),
        ..Shown::default()
    };
    for change in paths {
        if shown.operations.len() >= MOST {
            let kind = Kind::CaptureGap {
                count: 1,
                reason: format!("more than {MOST} privileged operations in one manifest"),
            };
            shown.operations.push(Found::of(kind, change));
            break;
        }
        let mut found = permission::found(change, users);
        found.extend(special::found(change, users));
        if !found.is_empty() || assay_wire::privileged::says_who_is_who(&change.path) {
            shown.operations.extend(found);
            continue;
        }
        // Folders that come and go follow from what lies in them.
        let is_folder = |entry: &Option<Entry>| {
            entry
                .as_ref()
                .is_none_or(|entry| entry.kind == EntryKind::Folder)
        };
        match (&change.before, &change.after) {
            (None, Some(_)) | (Some(_), None)
                if is_folder(&change.before) && is_folder(&change.after) => {}
            (_, Some(_)) => shown.written.push(change.path.clone()),
            (_, None) => shown.deleted.push(change.path.clone()),
        }
    }
    shown
}

impl Found {
    fn of(kind: Kind, change: &PathChange) -> Self {
        Self {
            kind,
            path: change.path.clone(),
            before: None,
            after: None,
            sha256: change.after.as_ref().and_then(|entry| entry.sha256),
            id: None,
        }
    }
}

/// The text of a file; `None` if it is no file, or its text is not told.
pub(crate) fn text(entry: &Entry) -> Option<&str> {
    match (&entry.kind, &entry.content) {
        (EntryKind::File, Some(Content::Text(text))) => Some(text),
        (
            EntryKind::File
            | EntryKind::Folder
            | EntryKind::Symlink
            | EntryKind::Fifo
            | EntryKind::Socket
            | EntryKind::CharDevice
            | EntryKind::BlockDevice,
            _,
        ) => None,
    }
}

/// Permission bits and owner, for reading.
pub(crate) fn permissions(entry: &Entry, users: &Users) -> String {
    format!(
        "{:04o} {}:{}",
        entry.mode,
        user(entry.uid, users),
        entry.gid
    )
}

pub(crate) fn user(uid: u32, users: &Users) -> String {
    users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
}

/// A text cut to so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Words between which any white space stands as one blank.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
