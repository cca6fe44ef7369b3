//! TOML text → spanned tables. The only module that knows how the `toml` crate recovers from
//! syntax errors; [`crate::table`] walks what it returns.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use assay_wire::source::Span;
use toml::de::DeTable;

use crate::code::Code;
use crate::conflict::conflicts;
use crate::diagnostic::{Diagnostic, Faults, quote};
use crate::syntax::words;

/// Longest recipe or project file in bytes. The longest real recipe is below 10 KiB.
pub const MAX_RECIPE_BYTES: usize = 1 << 20;

/// Bytes of a file as text. What is not UTF-8 is replaced (U+FFFD) and reported at its first place,
/// whose offset is the same in the bytes and in the text returned.
#[must_use]
pub fn decode(bytes: &[u8]) -> (Cow<'_, str>, Option<Diagnostic>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(error) => {
            let at = error.valid_up_to();
            let span = Span::new(at..at + char::REPLACEMENT_CHARACTER.len_utf8());
            let byte = bytes.get(at).copied().unwrap_or_default();
            let diagnostic = Diagnostic::new(
                Code::NotUtf8,
                span,
                format!("the file is not UTF-8: byte 0x{byte:02x}"),
            )
            .help("save the file as UTF-8");
            (String::from_utf8_lossy(bytes), Some(diagnostic))
        }
    }
}

/// Parses a text, reports every syntax error, and hands the tables that could be read to `convert`.
///
/// When there are syntax errors, faults that may only follow from them are left out: missing keys,
/// and whatever stands on a line that could not be read.
pub(crate) fn with_document<T>(
    text: &str,
    faults: &mut Faults,
    convert: impl FnOnce(&DeTable<'_>, &mut Faults) -> Option<T>,
) -> Option<T> {
    with_document_of(MAX_RECIPE_BYTES, text, faults, convert)
}

/// The same for a file of at most so many bytes.
pub(crate) fn with_document_of<T>(
    limit: usize,
    text: &str,
    faults: &mut Faults,
    convert: impl FnOnce(&DeTable<'_>, &mut Faults) -> Option<T>,
) -> Option<T> {
    if text.len() > limit {
        let message = format!(
            "the file has {} bytes; at most {limit} are read",
            text.len()
        );
        faults.report(Diagnostic::new(
            Code::FileTooLarge,
            Span::default(),
            message,
        ));
        return None;
    }
    let (mut document, mut errors) = DeTable::parse_recoverable(text);
    // The crate stops building tables at a line that is no `key = value`. Such lines are read as
    // white space of the same length, so that what follows is checked too, at its right place.
    let readable = without_valueless_lines(text, &errors);
    if let Some(readable) = &readable {
        let (second, further) = DeTable::parse_recoverable(readable);
        errors.retain(is_valueless);
        errors.extend(further);
        document = second;
    }
    let mut found = Faults::default();
    let value = convert(document.get_ref(), &mut found);
    if !errors.is_empty() {
        let lines = LineStarts::new(text);
        let places = errors.iter().filter_map(toml::de::Error::span);
        let erroneous = places.map(|range| lines.line_of(range.start)).collect();
        let conflicts = conflicts(text, &erroneous);
        if !conflicts.is_empty() {
            // Whatever else there is may follow from two versions that stand in one file.
            conflicts.into_iter().for_each(|one| faults.report(one));
            return None;
        }
        let broken = report_syntax(text, &lines, &errors, faults);
        found.retain(|fault| {
            !matches!(
                fault.code,
                Code::MissingKey | Code::NoSteps | Code::RequirementKind
            ) && !broken.contains(&lines.line_of(fault.span().start as usize))
        });
    }
    faults.append(found);
    if faults.has_errors() { None } else { value }
}

/// Where lines start. Unlike the wire's index it counts no columns: a line may be a megabyte long
/// and hold as many errors.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn new(text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(
            std::iter::once(0)
                .chain(newlines.map(|(at, _)| at + 1))
                .collect(),
        )
    }

    /// Number of the line that holds an offset, from 1.
    fn line_of(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}

fn is_valueless(error: &toml::de::Error) -> bool {
    error.message().starts_with("key with no value")
}

/// The text with every line that has a key and no value blanked; `None` when there is none.
fn without_valueless_lines(text: &str, errors: &[toml::de::Error]) -> Option<String> {
    let mut places: Vec<_> = errors
        .iter()
        .filter(|error| is_valueless(error))
        .filter_map(|error| error.span())
        .map(|range| range.start)
        .collect();
    places.sort_unstable();
    let mut blanked = text.as_bytes().to_vec();
    let mut done = 0;
    for place in &places {
        if *place < done {
            continue;
        }
        let start = text.as_bytes()[..*place]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let rest = text.as_bytes()[start..]
            .iter()
            .position(|byte| *byte == b'\n');
        let end = rest.map_or(text.len(), |length| start + length);
        blanked[start..end].fill(b' ');
        // Every place up to the end of this line is settled; so each line is searched once.
        done = end;
    }
    // Whole lines were replaced by ASCII, so the text is still UTF-8.
    String::from_utf8(blanked)
        .ok()
        .filter(|_| !places.is_empty())
}

/// Reports syntax errors, the first of each line only, and returns the lines that have one.
fn report_syntax(
    text: &str,
    lines: &LineStarts,
    errors: &[toml::de::Error],
    faults: &mut Faults,
) -> BTreeSet<usize> {
    let mut broken = BTreeSet::new();
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let range = floor(text, range.start)..floor(text, range.end.max(range.start));
        if !broken.insert(lines.line_of(range.start)) {
            continue;
        }
        if faults.is_full() {
            faults.count_only();
            continue;
        }
        faults.report(syntax_fault(text, error.message(), range));
    }
    broken
}

/// The diagnostic of one syntax error, in words of our own where they are known.
fn syntax_fault(text: &str, raw: &str, range: Range<usize>) -> Diagnostic {
    let span = Span::new(range.clone());
    if raw.contains("recursi") {
        let message = "arrays, tables or dotted keys stand more than 80 deep in each other";
        return Diagnostic::new(Code::NestedTooDeep, span, message);
    }
    if raw.starts_with("duplicate key") {
        let key = text.get(range).unwrap_or_default();
        let message = format!("the key {} is defined twice", quote(key));
        return Diagnostic::new(Code::DuplicateKey, span, message);
    }
    match words(raw, text, range) {
        Some(words) => Diagnostic {
            help: words.help,
            ..Diagnostic::new(Code::Syntax, span, words.message)
        },
        None => {
            let shown: String = raw.chars().take(200).flat_map(visible).collect();
            Diagnostic::new(Code::Syntax, span, shown)
        }
    }
}

/// A character of a message as it may be shown: quotes as they are, what is not visible escaped.
fn visible(c: char) -> impl Iterator<Item = char> {
    let plain = matches!(c, '\'' | '"');
    plain
        .then_some(c)
        .into_iter()
        .chain((!plain).then(|| c.escape_debug()).into_iter().flatten())
}

/// The nearest offset at or before this one that begins a character.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
