//! What a recipe names by URL and pins by hash or fingerprint, and how to write such a pin into its
//! text: every other byte, comment and order stays.
//!
//! A recipe without its hashes is invalid, and pinning is what mends it: the text is therefore read
//! as TOML alone, and [`stand_in`] makes of it one whose URLs can be planned. Nothing is fetched here.

use assay_wire::digest::Digest;
use assay_wire::source::Span;
use toml::de::DeTable;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Faults, Spanned};
use crate::document::with_document;
use crate::table::Table;

/// One step that names something from the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The step: its id, or its number from 1.
    pub step: String,
    /// The action's word.
    pub action: String,
    /// What is named.
    pub kind: PinKind,
    /// Where it comes from as it is written, placeholders and all; the archive's name for a PPA.
    pub origin: Spanned<String>,
    /// The hash as it is written, if there is one.
    pub sha256: Option<Spanned<String>>,
    /// The fingerprints as they are written, if the key is there.
    pub fingerprints: Option<Spanned<Vec<String>>>,
    /// Whether its table is written `{ … }`.
    layout: Layout,
}

/// What a step names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinKind {
    /// The key of a repository: `key_url`, `key_sha256`, `key_fingerprints`.
    Key,
    /// A file: `url`, `sha256`.
    File,
    /// A personal package archive: `ppa`, `key_fingerprint`.
    Ppa,
}

impl PinKind {
    /// The keys of its origin, its hash and its fingerprints.
    fn keys(self) -> (&'static str, Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Key => ("key_url", Some("key_sha256"), Some("key_fingerprints")),
            Self::File => ("url", Some("sha256"), None),
            Self::Ppa => ("ppa", None, Some("key_fingerprint")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Lines,
    Inline,
}

/// What is to be written of a pin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPin {
    /// The hash; `None` leaves what is there.
    pub sha256: Option<Digest>,
    /// The fingerprints in capital hex digits, the first alone for a PPA; `None` leaves what is there.
    pub fingerprints: Option<Vec<String>>,
}

/// Every step of a text that names something from the network, in order.
///
/// # Errors
/// With what is wrong with the text, if it is no TOML or too long.
pub fn pins(text: &str) -> Result<Vec<Pin>, Vec<Diagnostic>> {
    let mut faults = Faults::default();
    let found = with_document(text, &mut faults, |entries, _| Some(find(text, entries)));
    found.ok_or_else(|| faults.finish())
}

/// True for what is wrong with a recipe only because it is not pinned yet.
#[must_use]
pub fn is_unpinned(diagnostic: &Diagnostic) -> bool {
    let asks = |key: &str| diagnostic.message.ends_with(&format!(" has no `{key}`"));
    let lacks_hash = diagnostic.code == Code::MissingKey && (asks("key_sha256") || asks("sha256"));
    lacks_hash || diagnostic.code == Code::PpaWithoutKey
}

/// The text with something in the place of every pin that is missing, so that it can be parsed and
/// planned. What stands there says nothing about any bytes.
#[must_use]
pub fn stand_in(text: &str, pins: &[Pin]) -> String {
    let missing = pins.iter().map(|pin| {
        let (_, hash, prints) = pin.kind.keys();
        let new = NewPin {
            sha256: (hash.is_some() && pin.sha256.is_none()).then(|| Digest::of(b"")),
            fingerprints: (hash.is_none() && prints.is_some() && pin.fingerprints.is_none())
                .then(|| vec!["0".repeat(40)]),
        };
        (pin, new)
    });
    let missing: Vec<(&Pin, NewPin)> = missing.collect();
    write(text, &missing)
}

/// The text with pins written into it: in the place of the old ones, or behind what they pin.
#[must_use]
pub fn write(text: &str, changes: &[(&Pin, NewPin)]) -> String {
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    for (pin, new) in changes {
        let (_, hash, prints) = pin.kind.keys();
        let mut added = String::new();
        let mut entry = |key: &str, value: String, old: Option<Span>| match old {
            Some(old) => edits.push((old.start as usize, old.end as usize, value)),
            None => match pin.layout {
                Layout::Inline => added.push_str(&format!(", {key} = {value}")),
                Layout::Lines => {
                    let indent = pin.indent(text);
                    added.push_str(&format!("{line_end}{indent}{key} = {value}"));
                }
            },
        };
        if let (Some(key), Some(sha256)) = (hash, new.sha256) {
            let old = pin.sha256.as_ref().map(|old| old.span);
            entry(key, format!("\"{sha256}\""), old);
        }
        if let (Some(key), Some(fingerprints)) = (prints, &new.fingerprints) {
            let old = pin.fingerprints.as_ref().map(|old| old.span);
            let quoted: Vec<String> = fingerprints
                .iter()
                .map(|one| format!("\"{one}\""))
                .collect();
            let value = match pin.kind {
                PinKind::Ppa => quoted.into_iter().next().unwrap_or_default(),
                PinKind::Key | PinKind::File => format!("[{}]", quoted.join(", ")),
            };
            entry(key, value, old);
        }
        if !added.is_empty() {
            let at = pin.behind(text);
            edits.push((at, at, added));
        }
    }
    // From the end, so that places before stay where they are.
    edits.sort_by_key(|(start, _, _)| std::cmp::Reverse(*start));
    let mut written = text.to_owned();
    for (start, end, new) in edits {
        written.replace_range(start..end, &new);
    }
    written
}

impl Pin {
    /// Where new keys go: behind the hash, or what it is of, and in a table of lines behind the
    /// comment of that line.
    fn behind(&self, text: &str) -> usize {
        let anchor = self
            .sha256
            .as_ref()
            .map_or(self.origin.span, |old| old.span);
        let end = anchor.end as usize;
        match self.layout {
            Layout::Inline => end,
            Layout::Lines => {
                let rest = &text[end..];
                let line = rest.find('\n').unwrap_or(rest.len());
                end + rest[..line].trim_end_matches('\r').len()
            }
        }
    }

    /// The white space before the line of what is pinned.
    fn indent<'t>(&self, text: &'t str) -> &'t str {
        let before = &text[..self.origin.span.start as usize];
        let line = &before[before.rfind('\n').map_or(0, |newline| newline + 1)..];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }
}

fn find(text: &str, entries: &DeTable<'_>) -> Vec<Pin> {
    let root = Table::root(entries);
    let steps = root.get("steps").map(|steps| steps.tables("a step"));
    let steps = steps.unwrap_or_default();
    let found = (1..).zip(&steps).filter_map(|(number, table)| {
        let action = table.get("action")?.as_str()?;
        let kind = match action {
            "apt_repo" | "dnf_repo" => PinKind::Key,
            "download" => PinKind::File,
            "apt_ppa" => PinKind::Ppa,
            _ => return None,
        };
        let (origin, hash, prints) = kind.keys();
        let spanned = |key: &str| {
            let value = table.get(key)?;
            Some(Spanned::new(value.as_str()?.to_owned(), value.span))
        };
        let number: usize = number;
        let id = table.get("id").and_then(|id| id.as_str());
        Some(Pin {
            step: id.map_or_else(|| number.to_string(), str::to_owned),
            action: action.to_owned(),
            kind,
            origin: spanned(origin)?,
            sha256: hash.and_then(spanned),
            fingerprints: prints.and_then(|key| {
                let value = table.get(key)?;
                let texts = value.texts().into_iter().map(str::to_ascii_uppercase);
                Some(Spanned::new(texts.collect(), value.span))
            }),
            layout: if text[table.span.start as usize..].starts_with('{') {
                Layout::Inline
            } else {
                Layout::Lines
            },
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests;
