//! `consents.toml`: the ledger of what recipes may do as root, one entry a decision, reviewed like code.
//! Read here, and written entry by entry (`edit`), so that comments and order stay its authors'.

mod edit;

use std::collections::BTreeMap;

use assay_wire::consent::Consent;
use assay_wire::digest::Digest;
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::privileged::KindName;
use assay_wire::source::Span;
use toml::de::DeTable;

use crate::Parsed;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Faults, quote};
use crate::document::with_document_of;
use crate::expected::read_date;
use crate::name::{WireName as _, outside};
use crate::table::{Reader, Table};
use crate::text::{TextFault, readable};
use crate::when::word;

pub use edit::{add_consent, withdraw};

/// Longest ledger in bytes. An entry is about 400.
pub const MAX_LEDGER_BYTES: usize = 4 << 20;

/// Longest text of an entry, in bytes.
const LONGEST: usize = 4096;

/// Most parts of what a package brings.
const MOST_PARTS: usize = 5_000;

/// What a digest begins with.
const SHA256: &str = "sha256:";

/// All entries, in the order written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// One entry and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub consent: Consent,
    /// The header `[[consent]]`.
    pub span: Span,
    /// The list of targets.
    targets: Span,
    /// Where its last value ends.
    end: usize,
}

impl Ledger {
    /// The entries alone.
    #[must_use]
    pub fn consents(&self) -> Vec<Consent> {
        let entries = self.entries.iter();
        entries.map(|entry| entry.consent.clone()).collect()
    }
}

/// Parses `consents.toml`.
#[must_use]
pub fn parse_consents(text: &str) -> Parsed<Ledger> {
    let mut faults = Faults::default();
    let value = with_document_of(MAX_LEDGER_BYTES, text, &mut faults, |entries, faults| {
        read_ledger(text, entries, faults)
    });
    Parsed {
        value,
        diagnostics: faults.finish(),
    }
}

/// A digest as the ledger and the command line write it.
#[must_use]
pub fn written_digest(digest: &Digest) -> String {
    format!("{SHA256}{digest}")
}

/// Reads a digest as the ledger and the command line write it.
///
/// # Errors
/// When the text is none.
pub fn read_digest(text: &str) -> Result<Digest, TextFault> {
    let digits = text.strip_prefix(SHA256).unwrap_or_default();
    let lower = !digits.bytes().any(|b| b.is_ascii_uppercase());
    let digest = digits.parse().ok().filter(|_| lower);
    digest.ok_or_else(|| {
        let grammar = "`sha256:` and 64 hex digits in lower case, as `assay consent list` shows it";
        outside(
            Code::InvalidConsentDigest,
            "digest of an operation",
            grammar,
            text,
            text.len(),
        )
    })
}

/// Reads words for people: one line, not empty, nothing hidden.
///
/// # Errors
/// When the text is none.
pub fn read_words(kind: &str, text: &str) -> Result<String, TextFault> {
    readable(kind, text, &[])?;
    if text.trim().is_empty() {
        let fault = TextFault::new(Code::EmptyValue, format!("the {kind} is empty"));
        return Err(fault);
    }
    if text.len() > LONGEST {
        let message = format!("the {kind} has {} bytes; at most {LONGEST}", text.len());
        return Err(TextFault::new(Code::InvalidConsent, message));
    }
    Ok(text.to_owned())
}

/// Reads a part of what a package brings: `KIND SUBJECT`.
fn read_part(text: &str) -> Result<String, TextFault> {
    let text = read_words("operation", text)?;
    let (kind, subject) = text.split_once(' ').unwrap_or((&text, ""));
    let kind = word("kind", kind, KindName::ALL, KindName::as_str)?;
    if subject.trim().is_empty() || kind == KindName::Accompanying {
        let message = format!("{} is no part of what a package brings", quote(&text));
        let help =
            "a part is its kind, a space and its subject, as `assay consent grant` writes it";
        return Err(TextFault::new(Code::InvalidConsent, message).help(help));
    }
    Ok(text)
}

const KEYS: &[&str] = &[
    "recipe",
    "targets",
    "kind",
    "subject",
    "operations",
    "digest",
    "note",
    "by",
    "on",
    "expires",
];

fn read_ledger(text: &str, entries: &DeTable<'_>, faults: &mut Faults) -> Option<Ledger> {
    let reader = &mut Reader { text, faults };
    let root = Table::root(entries);
    reader.check_keys(&root, &["consent"], &[]);
    let tables = reader.tables(&root, "consent");
    let read: Vec<Option<Entry>> = tables
        .iter()
        .map(|table| read_entry(reader, table))
        .collect();
    // Two entries of one decision say twice what one says, and revoking one would revoke nothing.
    let mut seen: BTreeMap<_, Span> = BTreeMap::new();
    for entry in read.iter().flatten() {
        let consent = &entry.consent;
        for target in &consent.targets {
            let decision = (
                &consent.recipe,
                target,
                consent.kind,
                &consent.subject,
                consent.digest,
            );
            let Some(first) = seen.insert(decision, entry.span) else {
                continue;
            };
            let message = format!(
                "{} may {} {} on `{target}` by two entries",
                quote(consent.recipe.as_str()),
                consent.kind,
                quote(&consent.subject)
            );
            let diagnostic = Diagnostic::new(Code::DuplicateConsent, entry.span, message)
                .labelled("again")
                .and(first, "first");
            reader.faults.report(diagnostic.help("keep one of them"));
        }
    }
    let entries = read.into_iter().collect::<Option<_>>()?;
    Some(Ledger { entries })
}

fn read_entry(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Entry> {
    reader.check_keys(table, KEYS, &[]);
    if !reader.text[table.span.range()].starts_with("[[") {
        let message = "an entry of the ledger stands below a header of its own";
        let diagnostic = Diagnostic::new(Code::InvalidConsent, table.span, message);
        let help = "write `[[consent]]`, and below it one key a line";
        reader.faults.report(diagnostic.help(help));
        return None;
    }
    let recipe = reader.parsed(table, "recipe", RecipeName::read);
    let recipe = reader.required(table, "recipe", recipe);
    let targets = reader.list(table, "targets", TargetId::read);
    let targets = reader.required(table, "targets", targets);
    let kind = reader.parsed(table, "kind", |text| {
        word("kind", text, KindName::ALL, KindName::as_str)
    });
    let kind = reader.required(table, "kind", kind);
    let mut words = |key: &'static str| {
        let read = reader.parsed(table, key, |text| read_words(key, text));
        reader.required(table, key, read)
    };
    let (subject, note, by) = (words("subject"), words("note"), words("by"));
    let operations = match &kind {
        Some(kind) => read_operations(reader, table, kind.value),
        None => Vec::new(),
    };
    let digest = reader.parsed(table, "digest", read_digest);
    let digest = reader.required(table, "digest", digest);
    let on = read_date(reader, table, "on");
    let on = reader.required(table, "on", on);
    let expires = read_date(reader, table, "expires");
    if let (Some(on), Some(expires)) = (&on, &expires)
        && expires.value < on.value
    {
        let message = format!("it expires on {}, before it was given", expires.value);
        let diagnostic = Diagnostic::new(Code::InvalidConsent, expires.span, message);
        let help = "`on` is the day of the decision, `expires` the last day it counts";
        reader
            .faults
            .report(diagnostic.and(on.span, "given").help(help));
    }
    // A date of the wrong form was reported and is no absence of one.
    let expires = match (table.has("expires"), expires) {
        (true, None) => return None,
        (_, expires) => expires.map(|day| day.value.to_string()),
    };
    let mut leaves = Vec::new();
    table.leaves(&mut leaves);
    let consent = Consent {
        recipe: recipe?.value,
        targets: targets?.into_iter().map(|target| target.value).collect(),
        kind: kind?.value,
        subject: subject?.value,
        digest: digest?.value,
        note: note?.value,
        by: by?.value,
        on: on?.value.to_string(),
        expires,
        operations,
    };
    let list = table.get("targets")?.span;
    // The bracket that closes a list is no leaf.
    let lists = [Some(list), table.get("operations").map(|list| list.span)];
    let ends = leaves.iter().chain(lists.iter().flatten());
    let ends = ends.map(|span| span.range().end);
    Some(Entry {
        consent,
        span: table.span,
        targets: list,
        end: ends.max()?,
    })
}

/// The parts of what a package brings: they belong to entries of that kind, and to no others. Their order
/// is one, so that two branches which add parts change different lines.
fn read_operations(reader: &mut Reader<'_>, table: &Table<'_>, kind: KindName) -> Vec<String> {
    const KEY: &str = "operations";
    if kind != KindName::Accompanying {
        if let Some(span) = table.key_span(KEY) {
            let message = format!("`{KEY}` beside the kind `{kind}`");
            let help = format!(
                "it lists what a package brings: remove it, or write `kind = \"{}\"`",
                KindName::Accompanying
            );
            let diagnostic = Diagnostic::new(Code::InvalidConsent, span, message);
            reader.faults.report(diagnostic.help(help));
        }
        return Vec::new();
    }
    let parts = reader.list(table, KEY, read_part);
    let parts = reader.required(table, KEY, parts).unwrap_or_default();
    if parts.len() > MOST_PARTS
        && let Some(list) = table.get(KEY)
    {
        let message = format!("`{KEY}` names {} parts; at most {MOST_PARTS}", parts.len());
        let diagnostic = Diagnostic::new(Code::InvalidConsent, list.span, message);
        reader.faults.report(diagnostic);
    }
    let mut pairs = parts.iter().zip(parts.iter().skip(1));
    if let Some((before, after)) = pairs.find(|(before, after)| before.value > after.value) {
        let message = format!(
            "{} stands after {}",
            quote(&after.value),
            quote(&before.value)
        );
        let diagnostic = Diagnostic::new(Code::InvalidConsent, after.span, message)
            .and(before.span, "which is greater")
            .help("sort the parts by their bytes, as `assay consent grant` writes them");
        reader.faults.report(diagnostic);
    }
    parts.into_iter().map(|part| part.value).collect()
}
