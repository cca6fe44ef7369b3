//! `assay.lock`: what a recorded run was given, as a file people review. One line an entry, sorted:
//! what was recorded is decided by what was asked for, so the same run writes the same bytes, and two
//! branches that add entries merge line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use assay_wire::digest::Digest;
use assay_wire::lock::{Lock, LockedAnswer, LockedKey, LockedPackage};
use assay_wire::name::TargetId;
use assay_wire::source::Span;
use toml::de::DeTable;

use crate::Parsed;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Faults, Spanned, quote};
use crate::document::with_document_of;
use crate::expected::read_date;
use crate::name::{Fingerprint, WireName as _};
use crate::table::{Reader, Table};
use crate::text::TextFault;

/// Longest lock in bytes. One line is about 200.
pub const MAX_LOCK_BYTES: usize = 32 << 20;

/// The version of the format.
const VERSION: i64 = 1;

/// Longest text of an entry, in bytes.
const LONGEST: usize = 4096;

const HEAD: &str = "\
# What a recorded run was given, by URL, and what it installed. Written by `assay test --network record`,
# read by `--network replay` and by every plan. One line an entry, sorted: review it like code.
";

/// A lock as a file.
#[must_use]
pub fn render_lock(lock: &Lock) -> String {
    let mut text = format!("{HEAD}version = {VERSION}\n");
    let answers = lock.answers.iter().map(|(url, answer)| {
        let url = string(url);
        match answer {
            LockedAnswer::Body { sha256, size } => {
                format!("url = {url}, sha256 = \"{sha256}\", size = {size}")
            }
            LockedAnswer::Redirect { status, location } => {
                let location = string(location);
                format!("url = {url}, status = {status}, location = {location}")
            }
            LockedAnswer::Nothing { status } => format!("url = {url}, status = {status}"),
        }
    });
    section(&mut text, "answers", answers);
    let keys = lock.keys.iter().map(|(fingerprint, key)| {
        let url = string(&key.url);
        let expires = key.expires.as_ref();
        let expires = expires.map_or(String::new(), |day| format!(", expires = {day}"));
        format!(
            "fingerprint = \"{fingerprint}\", url = {url}, sha256 = \"{}\"{expires}",
            key.sha256
        )
    });
    section(&mut text, "keys", keys);
    let packages = lock.packages.iter().map(|package| {
        let (name, version) = (string(&package.name), string(&package.version));
        format!(
            "target = \"{}\", name = {name}, version = {version}",
            package.target
        )
    });
    section(&mut text, "packages", packages);
    text
}

fn section(text: &mut String, name: &str, entries: impl ExactSizeIterator<Item = String>) {
    if entries.len() == 0 {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{name} = [");
    for entry in entries {
        let _ = writeln!(text, "  {{ {entry} }},");
    }
    text.push_str("]\n");
}

/// A basic string of TOML.
pub(crate) fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Parses `assay.lock`.
#[must_use]
pub fn parse_lock(text: &str) -> Parsed<Lock> {
    let mut faults = Faults::default();
    let value = with_document_of(MAX_LOCK_BYTES, text, &mut faults, |entries, faults| {
        read_lock(text, entries, faults)
    });
    Parsed {
        value,
        diagnostics: faults.finish(),
    }
}

fn read_lock(text: &str, entries: &DeTable<'_>, faults: &mut Faults) -> Option<Lock> {
    let reader = &mut Reader { text, faults };
    let root = Table::root(entries);
    let version = reader.integer(&root, "version");
    let version = reader.required(&root, "version", version)?;
    if version.value != Some(VERSION) {
        // What another version means is not known: nothing else is said of it.
        let message = format!("a lock of this version is not known; this assay reads {VERSION}");
        let diagnostic = Diagnostic::new(Code::LockVersion, version.span, message);
        reader
            .faults
            .report(diagnostic.help("use the assay that wrote it, or record it again"));
        return None;
    }
    reader.check_keys(&root, &["version", "answers", "keys", "packages"], &[]);
    let answers = read_answers(reader, &root);
    let keys = read_keys(reader, &root);
    let packages = read_packages(reader, &root);
    Some(Lock {
        answers,
        keys,
        packages,
    })
}

fn read_answers(reader: &mut Reader<'_>, root: &Table<'_>) -> BTreeMap<String, LockedAnswer> {
    let (mut answers, mut places) = (BTreeMap::new(), BTreeMap::new());
    for table in reader.tables(root, "answers") {
        let url = reader.parsed(&table, "url", url);
        let url = reader.required(&table, "url", url);
        let (Some(url), Some(answer)) = (url, read_answer(reader, &table)) else {
            continue;
        };
        once(reader, &mut places, &url, "a URL");
        answers.insert(url.value, answer);
    }
    answers
}

fn read_answer(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<LockedAnswer> {
    if !table.has("status") {
        reader.check_keys(table, &["url", "sha256", "size"], &[]);
        let sha256 = reader.parsed(table, "sha256", Digest::read);
        let sha256 = reader.required(table, "sha256", sha256);
        let size = number(reader, table, "size", 0..=i64::MAX);
        return Some(LockedAnswer::Body {
            sha256: sha256?.value,
            size: u64::try_from(size?).ok()?,
        });
    }
    reader.check_keys(table, &["url", "status", "location"], &[]);
    if !table.has("location") {
        let status = number(reader, table, "status", 400..=499)?;
        return Some(LockedAnswer::Nothing {
            status: u16::try_from(status).ok()?,
        });
    }
    let location = reader.parsed(table, "location", url);
    let status = number(reader, table, "status", 300..=399);
    Some(LockedAnswer::Redirect {
        status: u16::try_from(status?).ok()?,
        location: location?.value,
    })
}

fn read_keys(reader: &mut Reader<'_>, root: &Table<'_>) -> BTreeMap<String, LockedKey> {
    let (mut keys, mut places) = (BTreeMap::new(), BTreeMap::new());
    for table in reader.tables(root, "keys") {
        reader.check_keys(&table, &["fingerprint", "url", "sha256", "expires"], &[]);
        let read = |text: &str| text.parse::<Fingerprint>();
        let fingerprint = reader.parsed(&table, "fingerprint", read);
        let fingerprint = reader.required(&table, "fingerprint", fingerprint);
        let url = reader.parsed(&table, "url", url);
        let url = reader.required(&table, "url", url);
        let sha256 = reader.parsed(&table, "sha256", Digest::read);
        let sha256 = reader.required(&table, "sha256", sha256);
        let expires = read_date(reader, &table, "expires").map(|day| day.value.to_string());
        let (Some(fingerprint), Some(url), Some(sha256)) = (fingerprint, url, sha256) else {
            continue;
        };
        let fingerprint = Spanned::new(fingerprint.value.as_str().to_owned(), fingerprint.span);
        once(reader, &mut places, &fingerprint, "a key");
        let key = LockedKey {
            url: url.value,
            sha256: sha256.value,
            expires,
        };
        keys.insert(fingerprint.value, key);
    }
    keys
}

fn read_packages(reader: &mut Reader<'_>, root: &Table<'_>) -> BTreeSet<LockedPackage> {
    let (mut packages, mut places) = (BTreeSet::new(), BTreeMap::new());
    for table in reader.tables(root, "packages") {
        reader.check_keys(&table, &["target", "name", "version"], &[]);
        let target = reader.parsed(&table, "target", TargetId::read);
        let target = reader.required(&table, "target", target);
        let name = reader.parsed(&table, "name", word);
        let name = reader.required(&table, "name", name);
        let version = reader.parsed(&table, "version", word);
        let version = reader.required(&table, "version", version);
        let (Some(target), Some(name), Some(version)) = (target, name, version) else {
            continue;
        };
        let named = format!("{} {} on {}", name.value, version.value, target.value);
        once(
            reader,
            &mut places,
            &Spanned::new(named, name.span),
            "a package",
        );
        packages.insert(LockedPackage {
            target: target.value,
            name: name.value,
            version: version.value,
        });
    }
    packages
}

/// Reports what stands twice: which of the two would count nobody could say.
fn once(
    reader: &mut Reader<'_>,
    places: &mut BTreeMap<String, Span>,
    entry: &Spanned<String>,
    what: &str,
) {
    if let Some(first) = places.insert(entry.value.clone(), entry.span) {
        let message = format!("{what} stands twice: {}", quote(&entry.value));
        let diagnostic = Diagnostic::new(Code::DuplicateLockEntry, entry.span, message)
            .labelled("again")
            .and(first, "first");
        reader
            .faults
            .report(diagnostic.help("keep the one that is right, or record again"));
    }
}

fn number(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    key: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Option<i64> {
    let found = reader.integer(table, key);
    let found = reader.required(table, key, found)?;
    let number = found.value.filter(|number| range.contains(number));
    if number.is_none() {
        let most = match *range.end() {
            i64::MAX => String::new(),
            end => format!(" to {end}"),
        };
        let message = format!("{} is a number from {}{most}", quote(key), range.start());
        reader
            .faults
            .report(Diagnostic::new(Code::InvalidLockEntry, found.span, message));
    }
    number
}

/// An address as a run shows it: http or https, nothing but visible ASCII.
fn url(text: &str) -> Result<String, TextFault> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    if web && text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a URL of a lock", quote(text));
    Err(TextFault::new(Code::InvalidUrl, message).help("it starts with `https://` or `http://`"))
}

/// True if a lock can hold this as the name or the version of a package.
#[must_use]
pub fn is_package_word(text: &str) -> bool {
    let fits = !text.is_empty() && text.len() <= 256 && !text.starts_with('-');
    fits && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A package's name or version, in its manager's words.
fn word(text: &str) -> Result<String, TextFault> {
    if is_package_word(text) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is no name or version of a package", quote(text));
    Err(TextFault::new(Code::InvalidLockEntry, message).help("visible ASCII, no `-` in front"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lock() -> Lock {
        let body = LockedAnswer::Body {
            sha256: Digest::of(b"a"),
            size: 1,
        };
        let redirect = LockedAnswer::Redirect {
            status: 302,
            location: "https://b.example/?x=\"y\"".to_owned(),
        };
        let key = |expires: Option<&str>| LockedKey {
            url: "https://a.example/key".to_owned(),
            sha256: Digest::of(b"k"),
            expires: expires.map(str::to_owned),
        };
        let package = |name: &str| LockedPackage {
            target: "debian-12".parse().expect("a target"),
            name: name.to_owned(),
            version: "1:2.0~rc1-3".to_owned(),
        };
        Lock {
            answers: [
                ("https://a.example/x".to_owned(), body),
                ("http://b.example/y".to_owned(), redirect),
                (
                    "http://b.example/z".to_owned(),
                    LockedAnswer::Nothing { status: 404 },
                ),
            ]
            .into(),
            keys: [
                ("A".repeat(40), key(Some("2030-01-02"))),
                ("B".repeat(40), key(None)),
            ]
            .into(),
            packages: [package("jq"), package("curl")].into(),
        }
    }

    #[test]
    fn a_lock_is_one_line_an_entry() {
        insta::assert_snapshot!(render_lock(&lock()));
        assert_eq!(parse_lock(&render_lock(&lock())).value, Some(lock()));
        let empty = render_lock(&Lock::default());
        assert_eq!(parse_lock(&empty).value, Some(Lock::default()));
    }

    #[test]
    fn conflict_markers_are_no_lock() {
        let text = render_lock(&lock()).replacen("answers", "<<<<<<< HEAD\nanswers", 1);
        assert!(parse_lock(&text).value.is_none());
    }

    fn urls() -> impl Strategy<Value = String> {
        "https?://[!-~]{1,40}"
    }

    fn answers() -> impl Strategy<Value = LockedAnswer> {
        prop_oneof![
            (any::<[u8; 32]>(), 0..i64::MAX as u64).prop_map(|(bytes, size)| LockedAnswer::Body {
                sha256: Digest::from_bytes(bytes),
                size
            }),
            (300_u16..400, urls())
                .prop_map(|(status, location)| LockedAnswer::Redirect { status, location }),
            (400_u16..500).prop_map(|status| LockedAnswer::Nothing { status }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            answers in proptest::collection::btree_map(urls(), answers(), 0..8),
            names in proptest::collection::btree_set("[!-,.-~][!-~]{0,20}", 0..8),
        ) {
            let packages = names.into_iter().map(|name| LockedPackage {
                target: "arch".parse().expect("a target"),
                version: name.clone(),
                name,
            });
            let lock = Lock { answers, keys: BTreeMap::new(), packages: packages.collect() };
            let parsed = parse_lock(&render_lock(&lock));
            prop_assert_eq!(parsed.diagnostics, []);
            prop_assert_eq!(parsed.value, Some(lock));
        }

        #[test]
        fn no_text_panics(text in "(version = 1\n)?(answers|keys|packages) = \\[(\\{[a-z =\",0-9:/]{0,40}\\},?){0,3}\\]?|.{0,200}") {
            let _ = parse_lock(&text);
        }
    }
}
