//! The record as one JSON document: everything a machine may ask for, in a fixed order.
//!
//! Strings are whole and unchanged in meaning; characters a terminal would obey are written as JSON
//! escapes (RFC 8259 section 7), so that even this document can be shown, and so is what the log of a
//! job obeys.

use std::io::{self, Write};

use assay_observe::record::RunInfo;
use assay_observe::{CellRecord, ExitCode, Record, exit_code};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::sanitise::{LOG_COMMAND, is_hidden};
use crate::words::Counts;

/// The document's name.
pub const SCHEMA: &str = "assay-record";

/// The document's version: a field that changes its meaning or goes away raises it.
pub const VERSION: u32 = 1;

/// Writes a record as JSON, one document on one line, in many small pieces: give it a buffer.
///
/// # Errors
/// If the writer fails.
pub fn json(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let code = exit_code(record);
    let document = Document {
        schema: SCHEMA,
        version: VERSION,
        exit: Exit {
            code: code.number(),
            kind: code,
        },
        counts: Counts::of(record),
        run: &record.run,
        cells: &record.cells,
    };
    written(&document, Shown(CompactFormatter), out)
}

/// Writes any document for programs as JSON of many lines, as fit to be shown as a record's. In many
/// small pieces, too.
///
/// # Errors
/// If the writer fails, or the value has no JSON.
pub fn pretty(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    written(document, Shown(PrettyFormatter::new()), out)
}

fn written(
    document: &impl Serialize,
    formatter: impl Formatter,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, formatter);
    document.serialize(&mut serializer)?;
    out.write_all(b"\n")
}

/// The JSON Schema of the document, in the generator's dialect.
#[must_use]
pub fn json_schema(generator: SchemaGenerator) -> Schema {
    generator.into_root_schema_for::<Document<'_>>()
}

/// A run, judged.
#[derive(Serialize, JsonSchema)]
struct Document<'a> {
    schema: &'static str,
    version: u32,
    exit: Exit,
    counts: Counts,
    run: &'a RunInfo,
    cells: &'a [CellRecord],
}

#[derive(Serialize, JsonSchema)]
struct Exit {
    code: u8,
    kind: ExitCode,
}

/// JSON laid out as its formatter does, whose strings hold no character that a terminal would obey,
/// and nothing that the log of a job would.
struct Shown<F>(F);

/// What a formatter of JSON decides about its layout, left to the one within.
macro_rules! layout_of_the_one_within {
    ($($part:ident $(($first:ident))?),+) => {
        $(fn $part<W: ?Sized + Write>(
            &mut self,
            writer: &mut W
            $(, $first: bool)?
        ) -> io::Result<()> {
            self.0.$part(writer $(, $first)?)
        })+
    };
}

impl<F: Formatter> Formatter for Shown<F> {
    layout_of_the_one_within!(
        begin_array,
        end_array,
        begin_array_value(first),
        end_array_value,
        begin_object,
        end_object,
        begin_object_key(first),
        end_object_key,
        begin_object_value,
        end_object_value
    );

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Nearly every string is plain; looking at its bytes is enough to know.
        let plain = fragment.bytes().all(|byte| matches!(byte, 0x20..0x7f));
        if plain && !fragment.contains(LOG_COMMAND) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut plain = 0;
        let obeyed =
            |at: usize, character| is_hidden(character) || fragment[at..].starts_with(LOG_COMMAND);
        for (at, character) in fragment.char_indices().filter(|(at, c)| obeyed(*at, *c)) {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }
}

#[cfg(test)]
mod tests {
    use assay_observe::{fold, fold_journal};

    use super::*;
    use crate::sample;

    fn rendered(record: &Record) -> String {
        let mut out = Vec::new();
        json(record, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn the_document_of_the_sample() {
        let text = rendered(&sample::record());
        let mut value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        // One cell in full shows every field; of the others their judgement is enough.
        let cells = value["cells"].as_array_mut().expect("a list of cells");
        for cell in cells
            .iter_mut()
            .filter(|cell| cell["facts"]["cell"] != "ubuntu-24.04:twice")
        {
            cell["facts"] = cell["facts"]["cell"].take();
        }
        insta::assert_json_snapshot!(shortened(value));
    }

    #[test]
    fn what_only_root_may_do() {
        let record = sample::privileged::record();
        let cell = serde_json::to_value(&record.cells[0]).expect("JSON");
        let shown = serde_json::json!({
            "observed": cell["observed"],
            "delta": cell["delta"],
        });
        insta::assert_json_snapshot!("privileged", shortened(shown));
    }

    #[test]
    fn the_document_is_of_its_schema() {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let schema = json_schema(settings.into_generator()).to_value();
        let validator = jsonschema::draft202012::new(&schema).expect("a good schema");
        for record in [sample::record(), sample::privileged::record()] {
            is_of_the_schema(&validator, &record);
        }
    }

    fn is_of_the_schema(validator: &jsonschema::Validator, record: &Record) {
        let text = rendered(record);
        let mut value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let faults = validator.iter_errors(&value).map(|fault| fault.to_string());
        assert_eq!(faults.collect::<Vec<_>>(), [] as [String; 0]);
        value["cells"][0]["outcome"] = "well".into();
        assert!(!validator.is_valid(&value));
    }

    /// The middle of a text of several kilobytes says nothing a snapshot should hold.
    fn shortened(value: serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::String(text) if text.len() > 400 => {
                format!("{}… {} bytes", &text[..20], text.len()).into()
            }
            Value::Array(items) => items.into_iter().map(shortened).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (name, shortened(value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
        }
    }

    #[test]
    fn nothing_a_terminal_obeys_is_written_and_nothing_is_lost() {
        let record = sample::record();
        let text = rendered(&record);
        assert!(!text.trim_end_matches('\n').chars().any(is_hidden));
        assert!(!text.contains(LOG_COMMAND));
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let texts = value.to_string();
        assert!(
            texts.contains('\u{202e}'),
            "the hostile text is there in full"
        );
        assert!(value.to_string().contains("\\u001b]0;"));
    }

    #[test]
    fn a_document_of_many_lines_is_as_fit_and_laid_out_as_usual() {
        let plain = serde_json::json!({"a": [], "b": [1, {"c": null}], "d": {}, "e": "x"});
        let hostile = serde_json::json!({"##[a]": ["\u{1b}##[b]\u{202e}\u{e0041}", "::c::"]});
        for value in [plain, hostile] {
            let mut out = Vec::new();
            pretty(&value, &mut out).expect("memory takes everything");
            let text = String::from_utf8(out).expect("JSON is UTF-8");
            assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text}");
            assert!(!text.contains(LOG_COMMAND), "{text}");
            assert!(
                !text.lines().any(|line| line.trim_start().starts_with("::")),
                "{text}"
            );
            let back: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
            assert_eq!(back, value);
            let usual = serde_json::to_string_pretty(&value).expect("JSON");
            assert_eq!(text.lines().count(), usual.lines().count());
            if !usual.contains(LOG_COMMAND) {
                assert_eq!(text, usual + "\n");
            }
        }
    }

    #[test]
    fn a_record_from_a_journal_gives_the_same_bytes() {
        let log = sample::log();
        let one = fold(log.envelopes()).expect("a good log");
        let again = fold_journal(log.journal().as_bytes()).expect("a good journal");
        assert_eq!(rendered(&again), rendered(&one));
    }
}
