//! Entries put into a ledger and taken out of it, as text: what others wrote stays to the byte.
//!
//! A new entry stands before the first one that is greater by recipe, kind, subject and digest. So in a
//! sorted ledger the order of grants does not matter, and two branches that grant for different recipes
//! change different places. What is put in and taken out again leaves the bytes that were there.

use std::fmt::Write as _;
use std::ops::Range;

use assay_wire::consent::Consent;
use assay_wire::name::TargetId;

use super::{Entry, parse_consents, written_digest};
use crate::lock::string;

/// The ledger with a further entry; `None` if the text is no ledger, or would be none with the entry: what
/// comes from a sandbox may have words that nobody can read.
#[must_use]
pub fn add_consent(text: &str, consent: &Consent) -> Option<String> {
    let ledger = parse_consents(text).value?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let entry = render(consent, newline);
    let mut entries = ledger.entries.iter();
    let next = entries.position(|entry| order(&entry.consent) > order(consent));
    let added = match next.map(|next| block(text, &ledger.entries, next).start) {
        Some(at) => format!("{}{entry}{newline}{newline}{}", &text[..at], &text[at..]),
        None if text.is_empty() => format!("{entry}{newline}"),
        None if text.ends_with('\n') => format!("{text}{newline}{entry}{newline}"),
        // A last line without its end stays one.
        None => format!("{text}{newline}{newline}{entry}"),
    };
    let read = parse_consents(&added).value?;
    let at = next.unwrap_or(ledger.entries.len());
    (read.entries.get(at)?.consent == *consent).then_some(added)
}

/// The ledger without these targets of an entry, and without the entry if none is left; `None` if the
/// text is no ledger or has no such entry.
#[must_use]
pub fn withdraw(text: &str, entry: usize, targets: &[TargetId]) -> Option<String> {
    let ledger = parse_consents(text).value?;
    let at = entry;
    let entry = ledger.entries.get(at)?;
    let left = entry.consent.targets.iter();
    let left: Vec<&TargetId> = left.filter(|one| !targets.contains(one)).collect();
    if !left.is_empty() {
        let list = entry.targets.range();
        let (before, after) = (&text[..list.start], &text[list.end..]);
        return Some(format!("{before}{}{after}", list_of(left)));
    }
    let block = block(text, &ledger.entries, at);
    let (before, after) = (&text[..block.start], &text[block.end..]);
    if !after.is_empty() {
        // The blank line behind it goes with it.
        return Some(format!(
            "{before}{}",
            after
                .strip_prefix("\r\n")
                .or_else(|| after.strip_prefix('\n'))
                .unwrap_or(after)
        ));
    }
    let mut before = without_newline(before, |rest| rest.is_empty() || rest.ends_with('\n'));
    if !text.ends_with('\n') {
        before = without_newline(before, |_| true);
    }
    Some(before.to_owned())
}

/// A text without its last newline, if what is left then is as asked for.
fn without_newline(text: &str, wanted: impl Fn(&str) -> bool) -> &str {
    let stripped = text
        .strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'));
    stripped.filter(|rest| wanted(rest)).unwrap_or(text)
}

/// What entries are sorted by.
fn order(consent: &Consent) -> impl Ord + '_ {
    (
        consent.recipe.as_str(),
        consent.kind.as_str(),
        consent.subject.as_str(),
        consent.digest,
        &consent.targets,
    )
}

/// The lines of an entry, with the comments that stand right above it.
fn block(text: &str, entries: &[Entry], at: usize) -> Range<usize> {
    const BYTE_ORDER_MARK: &str = "\u{feff}";
    let line_end = |from: usize| {
        text[from..]
            .find('\n')
            .map_or(text.len(), |end| from + end + 1)
    };
    let first = if text.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    let entry = &entries[at];
    // What looks like a comment in the last value of the entry above is none.
    let above = at.checked_sub(1).map(|above| line_end(entries[above].end));
    let floor = above.unwrap_or(first);
    let line_start = |at: usize| text[..at].rfind('\n').map_or(first, |end| end + 1);
    let mut start = line_start(entry.span.range().start);
    while start > floor {
        let line = line_start(start - 1);
        if !text[line..start].trim_start().starts_with('#') {
            break;
        }
        start = line;
    }
    start..line_end(entry.end)
}

/// An entry as text, its last line without an end.
fn render(consent: &Consent, newline: &str) -> String {
    let mut text = format!("[[consent]]{newline}");
    let mut line = |key: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{key} = {value}{newline}");
    };
    line("recipe", string(consent.recipe.as_str()));
    line("targets", list_of(&consent.targets));
    line("kind", string(consent.kind.as_str()));
    line("subject", string(&consent.subject));
    if !consent.operations.is_empty() {
        // A line each: then a difference of two versions shows the parts that differ, and git merges them.
        let parts = consent.operations.iter();
        let parts = parts.map(|part| format!("    {},{newline}", string(part)));
        line(
            "operations",
            format!("[{newline}{}]", parts.collect::<String>()),
        );
    }
    line("digest", string(&written_digest(&consent.digest)));
    line("note", string(&consent.note));
    line("by", string(&consent.by));
    line("on", consent.on.clone());
    if let Some(expires) = &consent.expires {
        line("expires", expires.clone());
    }
    text.truncate(text.trim_end().len());
    text
}

fn list_of<'t>(targets: impl IntoIterator<Item = &'t TargetId>) -> String {
    let targets = targets.into_iter();
    let quoted: Vec<String> = targets.map(|target| string(target.as_str())).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests;
