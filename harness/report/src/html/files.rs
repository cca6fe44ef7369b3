//! What became of files: those worth a look first, each with what it was and is and, where both are known,
//! the difference of what they say; the rest by folder.

use std::collections::BTreeMap;

use assay_observe::notable::{Changes, Notable};
use assay_wire::manifest::{Content, Entry, EntryKind, PathChange, StateChange};

use super::diff;
use super::page::Page;
use crate::human::changes::{difference, entry, marks};

/// Writes changed paths and changed lines of probes.
pub(super) fn write(changes: &Changes<'_>, states: &[StateChange], page: &mut Page) {
    let (plain, notable): (Vec<_>, Vec<_>) = changes
        .paths
        .iter()
        .partition(|(reasons, change)| reasons.is_empty() && !says_something(change));
    let mut room = page.detail.paths;
    let mut files = page.detail.files;
    if !notable.is_empty() {
        page.markup("<table class=\"paths\">\n<caption>Worth a look</caption>\n<thead><tr><th scope=\"col\">Path</th><th scope=\"col\">Was → is</th></tr></thead>\n<tbody>\n");
        let left = page.each(&notable, room, |page, (reasons, change)| {
            row(reasons, change, &mut files, page)
        });
        page.more(left, "<tr><td colspan=\"2\">", "</td></tr>\n");
        page.markup("</tbody>\n</table>\n");
        room = room.saturating_sub(notable.len());
    }
    folders(&plain, room, page);
    probes(states, page);
}

fn says_something(change: &PathChange) -> bool {
    text(change.before.as_ref()).is_some() || text(change.after.as_ref()).is_some()
}

fn text(entry: Option<&Entry>) -> Option<&str> {
    match entry?.content.as_ref()? {
        Content::Text(text) => Some(text),
        Content::Hex(_) | Content::Long | Content::Secret | Content::LeftOut => None,
    }
}

fn row(reasons: &[Notable], change: &PathChange, files: &mut usize, page: &mut Page) {
    page.markup("<tr><td><code>")
        .text(&change.path)
        .markup("</code> <b class=\"marks\">")
        .text(marks(reasons));
    page.markup("</b></td><td>")
        .text_up_to(400, in_words(change));
    let (was, is) = (text(change.before.as_ref()), text(change.after.as_ref()));
    if *files > 0 && was != is {
        let (was, is) = (
            readable(change.before.as_ref()),
            readable(change.after.as_ref()),
        );
        if let (Some(was), Some(is)) = (was, is) {
            *files -= 1;
            diff::write(was, is, page);
        }
    }
    page.markup("</td></tr>\n");
}

/// What a state of a path says: nothing where there is none, `None` where nobody knows.
fn readable(state: Option<&Entry>) -> Option<&str> {
    match state {
        None => Some(""),
        Some(entry) => text(Some(entry)),
    }
}

fn in_words(change: &PathChange) -> String {
    match (&change.before, &change.after) {
        (Some(was), Some(is)) => difference(was, is),
        (None, Some(is)) => format!("new: {}", entry(is)),
        (Some(was), None) => format!("gone: {}", entry(was)),
        (None, None) => String::new(),
    }
}

/// Paths that nothing speaks for, by the folder they are in.
fn folders(plain: &[&(Vec<Notable>, &PathChange)], room: usize, page: &mut Page) {
    let mut folders: BTreeMap<&str, Vec<&PathChange>> = BTreeMap::new();
    for (_, change) in plain {
        let folder = change
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().push(change);
    }
    if folders.is_empty() {
        return;
    }
    page.markup("<h5>Other paths, by folder</h5>\n<ul class=\"folders\">\n");
    let (mut room, mut left) = (room, 0);
    for (folder, changes) in &folders {
        if room == 0 {
            left += changes.len();
            continue;
        }
        page.markup("<li><details><summary><code>")
            .text(folder)
            .markup("/</code> <span class=\"n\">");
        page.count(changes.len())
            .markup("</span></summary>\n<ul>\n");
        let most = room.min(changes.len());
        let more = page.each(changes, most, |page, change| name(folder, change, page));
        page.more(more, "<li>", "</li>\n");
        room -= most;
        page.markup("</ul></details></li>\n");
    }
    page.more(left, "<li>", "</li>\n");
    page.markup("</ul>\n");
}

/// The name alone, with a sign and whatever is not as files usually are.
fn name(folder: &str, change: &PathChange, page: &mut Page) {
    let name = change.path.get(folder.len() + 1..).unwrap_or(&change.path);
    let (sign, says) = match (&change.before, &change.after) {
        (None, Some(is)) => ("+ ", unusual(is)),
        (Some(_), None) => ("− ", None),
        (Some(was), Some(is)) => ("± ", Some(difference(was, is))),
        (None, None) => ("", None),
    };
    page.markup("<li>")
        .markup(sign)
        .markup("<code>")
        .text(name)
        .markup("</code>");
    if let Some(says) = says {
        page.markup(" ").text(says);
    }
    page.markup("</li>\n");
}

/// What an entry is, unless it is a plain file or folder of root's.
fn unusual(is: &Entry) -> Option<String> {
    let usual = match is.kind {
        EntryKind::File => is.mode == 0o644 || is.mode == 0o755,
        EntryKind::Folder => is.mode == 0o755,
        EntryKind::Symlink
        | EntryKind::Fifo
        | EntryKind::Socket
        | EntryKind::CharDevice
        | EntryKind::BlockDevice => false,
    };
    (!usual || is.uid != 0 || is.gid != 0).then(|| entry(is))
}

fn probes(states: &[StateChange], page: &mut Page) {
    if states.is_empty() {
        return;
    }
    page.markup("<h5>What the managers' own lists say</h5>\n<pre class=\"diff\">");
    let left = page.each(states, page.detail.rows, |page, state| {
        let tag = if state.added { "ins" } else { "del" };
        page.markup("<")
            .markup(tag)
            .markup(if state.added { ">+" } else { ">-" });
        page.text(format!("{}: {}", state.probe, state.line))
            .markup("\n</")
            .markup(tag)
            .markup(">");
    });
    page.more(left, "", "\n");
    page.markup("</pre>\n");
}
