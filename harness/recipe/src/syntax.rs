//! The words for a text that is not TOML: what is wrong, and what to write instead.
//!
//! The `toml` crate's descriptions are written for those who know the grammar's terms. Each is
//! recognised by its beginning; one that is not known here is shown as the crate says it.
//! [`crate::document`] asks.

use std::ops::Range;

use crate::diagnostic::quote;

/// What is wrong at a place of a text, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// One line.
    pub(crate) message: String,
    /// Advice, if there is some.
    pub(crate) help: Option<String>,
}

/// The beginning of a description, what it means, and what to do about it.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "unclosed table",
        "the table's header has no closing `]`",
        "write `[name]`, and nothing else on the line",
    ),
    (
        "unclosed array table",
        "the table's header has no closing `]]`",
        "write `[[name]]`, and nothing else on the line",
    ),
    (
        "unclosed array",
        "the list has no closing `]`",
        "write `[\"one\", \"two\"]`",
    ),
    (
        "unclosed inline table",
        "the table in braces has no closing `}`",
        "write `{ key = \"value\", other = \"value\" }`",
    ),
    (
        "missing array opening",
        "this `]` closes nothing",
        "remove it, or write the `[` it belongs to",
    ),
    (
        "missing inline table opening",
        "this `}` closes nothing",
        "remove it, or write the `{` it belongs to",
    ),
    (
        "missing table open",
        "this `]` closes nothing",
        "the header of a table is written `[name]`",
    ),
    (
        "missing comma between",
        "a comma is missing here",
        "entries of a list and keys in braces are separated by `,`",
    ),
    (
        "extra assignment between key-value pairs",
        "a comma is missing before the key of this `=`",
        "keys in braces are separated by `,`",
    ),
    (
        "extra comma",
        "there is one comma too many",
        "remove it, or write what is missing before it",
    ),
    (
        "missing assignment between key-value pairs",
        "a key in braces has no `=`",
        "write `{ key = \"value\" }`, with `=` and not `:`",
    ),
    (
        "missing key for inline table element",
        "a key is missing in the braces",
        "write `{ key = \"value\" }`",
    ),
    (
        "invalid inline table element",
        "a key is missing in the braces",
        "write `{ key = \"value\" }`",
    ),
    (
        "unexpected `=` in array",
        "an entry of a list has no key",
        "a table within a list stands in braces: `[{ key = \"value\" }]`",
    ),
    (
        "unquoted keys cannot be empty",
        "a key is missing here",
        "a key stands before `=`, in the brackets of a header, and on both sides of a `.`",
    ),
    (
        "keys cannot be multi-line",
        "a key cannot be a text of several lines",
        "write it without quotes, or in a single pair of them",
    ),
    (
        "invalid key",
        "the line does not begin with a key",
        "write `key = \"value\"`",
    ),
    (
        "missing escaped value",
        "the text holds a `\\` that begins no escape of TOML",
        "write `\\\\`, or put the text in single quotes, where `\\` stands for itself",
    ),
    (
        "too few unicode value digits",
        "the text holds a `\\x`, `\\u` or `\\U` without its 2, 4 or 8 hex digits",
        "write `\\\\`, or put the text in single quotes, where `\\` stands for itself",
    ),
    (
        "invalid value, expected unicode",
        "the text holds the escape of a character that does not exist",
        "write `\\\\`, or put the text in single quotes, where `\\` stands for itself",
    ),
    (
        "carriage return must be followed by newline",
        "a carriage return stands alone",
        "end lines with LF or CR LF",
    ),
    (
        "invalid comment character",
        "a comment holds a control character",
        "remove it",
    ),
];

/// Beginnings of what is said of a value that looks like a number and is none.
const NUMBERS: &[&str] = &[
    "`_` may only go between digits",
    "integers with a radix",
    "invalid binary",
    "invalid exponent",
    "invalid float",
    "invalid fraction",
    "invalid hexadecimal",
    "invalid integer",
    "invalid mantissa",
    "invalid octal",
    "radix must be lowercase",
    "redundant",
    "unexpected leading zero",
    "unexpected sign",
];

/// Beginnings of what is said of a value that looks like a date or a time and is none.
const DATES: &[&str] = &["invalid date", "invalid time"];

/// What the crate's description of a fault means at its place; `None` for one that is not known.
pub(crate) fn words(raw: &str, text: &str, range: Range<usize>) -> Option<Words> {
    let begins = |beginnings: &[&str]| beginnings.iter().any(|one| raw.starts_with(one));
    let place = Place::new(text, range);
    if begins(&["key with no value", "missing value", "extra `=`"]) {
        return Some(place.no_assignment());
    }
    if begins(&["string values must be quoted"]) {
        return Some(place.no_value());
    }
    if begins(&["unexpected key or value"]) {
        return Some(place.too_much());
    }
    if begins(&["cannot extend value"]) {
        let message = format!("{} has a value and cannot be a table", quote(place.covered));
        return words_of(message, "give one of the two another name");
    }
    if begins(&["invalid unquoted key"]) {
        let message = format!("{} cannot stand in a key", quote(place.covered));
        return words_of(
            message,
            "keys are made of the letters a to z, digits, `_` and `-`, or stand in quotes",
        );
    }
    if raw.starts_with("invalid") && raw.contains("string, expected") {
        return place.in_text(raw);
    }
    if begins(&["invalid boolean"]) {
        let message = format!("{} is not a value", quote(place.covered));
        return words_of(message, "write `true` or `false`, in lower case");
    }
    if begins(NUMBERS) {
        let message = format!("{} is not a number", quote(place.value()));
        return words_of(message, "a text, such as a version, stands in quotes");
    }
    if begins(DATES) {
        let message = format!("{} is not a date", quote(place.value()));
        return words_of(message, "a text stands in quotes");
    }
    let (_, message, help) = KNOWN.iter().find(|(known, ..)| raw.starts_with(known))?;
    words_of(*message, help)
}

fn words_of(message: impl Into<String>, help: &str) -> Option<Words> {
    Some(Words {
        message: message.into(),
        help: Some(help.to_owned()),
    })
}

/// The place of a fault.
struct Place<'t> {
    /// The line it begins on.
    line: &'t str,
    /// The part of that line before it.
    before: &'t str,
    /// What it covers.
    covered: &'t str,
    /// The part of that line from it on.
    rest: &'t str,
}

impl<'t> Place<'t> {
    fn new(text: &'t str, range: Range<usize>) -> Self {
        let (before, rest) = text.split_at(range.start);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let length = rest.find('\n').unwrap_or(rest.len());
        Self {
            line: &text[start..range.start + length],
            before: &before[start..],
            covered: text.get(range).unwrap_or_default(),
            rest: rest[..length].trim(),
        }
    }

    /// The value that holds the place, as far as it is plain.
    fn value(&self) -> &'t str {
        let plain = |c: char| !c.is_whitespace() && !"=,[]{}".contains(c);
        let start = self
            .before
            .char_indices()
            .rev()
            .take_while(|(_, c)| plain(*c))
            .last()
            .map_or(self.before.len(), |(at, _)| at);
        let tail = &self.line[start..];
        &tail[..tail.find(|c| !plain(c)).unwrap_or(tail.len())]
    }

    /// A line that is no `key = value`.
    fn no_assignment(&self) -> Words {
        let line = self.line.trim();
        let first = line.split_whitespace().next().unwrap_or_default();
        let begins = |marks: &[&str]| marks.iter().any(|mark| line.starts_with(mark));
        let (message, help) = if begins(&["//", ";", "--", "/*"]) {
            (
                format!("{} does not begin a comment", quote(first)),
                "a comment begins with `#`".to_owned(),
            )
        } else if line.contains("==") {
            (
                "a key is followed by `=` twice".to_owned(),
                "write `key = \"value\"`".to_owned(),
            )
        } else if line.starts_with("- ") {
            (
                "a list is not written with `-`".to_owned(),
                "write `key = [\"one\", \"two\"]`".to_owned(),
            )
        } else {
            (
                format!("{} is no `key = value`", quote(line)),
                match line.split_once(['=', ':']) {
                    Some((key, _)) if line[key.len()..].starts_with(':') => {
                        "write `=` between a key and its value, not `:`".to_owned()
                    }
                    Some((key, _)) if key.trim().contains(' ') => {
                        "a key with a space stands in quotes".to_owned()
                    }
                    Some(_) | None => "write `key = \"value\"`".to_owned(),
                },
            )
        };
        Words {
            message,
            help: Some(help),
        }
    }

    /// Something after the end of a value or a header.
    fn too_much(&self) -> Words {
        let (message, help) = if self.rest.starts_with([']', '}']) {
            (
                format!("this `{}` closes nothing", &self.rest[..1]),
                "remove it",
            )
        } else if let Some((_, value)) = self
            .line
            .split_once('=')
            .filter(|_| self.rest.starts_with('='))
        {
            (
                format!("{} is not a value", quote(value.trim())),
                "a text stands in quotes",
            )
        } else {
            let help = if self.before.trim_end().ends_with('\'') {
                "a text in single quotes holds no `'`: put it in double quotes"
            } else {
                "each `key = value` has a line of its own; a `\"` within a text is written `\\\"`"
            };
            let message = format!("{} stands where the line should end", quote(self.rest));
            (message, help)
        };
        Words {
            message,
            help: Some(help.to_owned()),
        }
    }

    /// Something that is no value where one must stand.
    fn no_value(&self) -> Words {
        let covered = self.covered.trim();
        if covered.is_empty() {
            return missing_value();
        }
        let plain = |c: char| c.is_alphanumeric() || "._+-/@ ".contains(c);
        let help = if covered.contains(['“', '”', '‘', '’', '„', '«', '»']) {
            "write plain quotes, `\"` or `'`".to_owned()
        } else if covered.contains("//") {
            "a comment begins with `#`; a text stands in quotes".to_owned()
        } else if covered.chars().all(plain) && covered.len() <= 60 {
            format!("a text stands in quotes: `\"{covered}\"`")
        } else {
            "a text stands in quotes".to_owned()
        };
        Words {
            message: format!("{} is not a value", quote(covered)),
            help: Some(help),
        }
    }

    /// A text with something wrong in it, or without its end.
    fn in_text(&self, raw: &str) -> Option<Words> {
        // The crate reads an empty value in braces as a text without its end.
        let before = self.before.trim_end();
        if before.ends_with('=') && !before.contains('\'') && !before.contains('"') {
            return Some(missing_value());
        }
        if !raw.ends_with("expected `'`") && !raw.ends_with("expected `\"`") {
            let mut characters = self.covered.chars().chain(self.rest.chars());
            let character = characters.next().filter(|c| c.is_control())?;
            let point = u32::from(character);
            let message = format!("a text holds the control character U+{point:04X}");
            return words_of(
                message,
                &format!("remove it, or write `\\u{point:04x}` in a text in double quotes"),
            );
        }
        let mark = if raw.ends_with("`'`") { "'" } else { "\"" };
        if raw.contains("multi-line") {
            let message = format!("the text has no closing `{}`", mark.repeat(3));
            return words_of(message, "it begins where three quotes stand before this");
        }
        words_of(
            format!("the text has no closing `{mark}`"),
            "a text ends on the line it begins on; one of several lines stands between `\"\"\"`",
        )
    }
}

fn missing_value() -> Words {
    Words {
        message: "there is no value after `=`".to_owned(),
        help: Some("write one, such as `\"text\"`, or remove the key".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of every fault of a text.
    fn said(text: &str) -> String {
        let (_, errors) = toml::de::DeTable::parse_recoverable(text);
        let said = errors.iter().map(|error| {
            let found = words(error.message(), text, error.span().unwrap_or_default());
            match found {
                Some(Words { message, help }) => {
                    format!("  {message}\n    {}\n", help.unwrap_or_default())
                }
                None => format!("  ? {}\n", error.message()),
            }
        });
        format!("{}\n{}", text.escape_debug(), said.collect::<String>())
    }

    #[test]
    fn what_people_get_wrong() {
        let texts = [
            "a = jq",
            "a = 'jq",
            "a = \"jq",
            "a = \"jq\nb = 1",
            "a = \"x\" \"y\"",
            "a = \"x\"y",
            "a",
            "a =",
            "a = # x",
            "= 3",
            "a : 3",
            "a: jq",
            "a: \"=\"",
            "a == 1",
            "- a",
            "// x",
            "; x",
            "a = 1 // x",
            "a = 1;",
            "a = [1, 2",
            "a = [1 2]",
            "a = [1,,2]",
            "a = [b = 1]",
            "a = [1, b]",
            "a = 1]",
            "a = {b = 1",
            "a = {b 1}",
            "a = {b = 1 c = 2}",
            "a = {b = 1,, c = 2}",
            "a = {b = }",
            "a = {\"b\": 1}",
            "a = 1}",
            "[a",
            "[a]]",
            "[[a]",
            "[]",
            "[a.]",
            "[a] b",
            "[a b]",
            "a]",
            "a = \"\\q\"",
            "a = \"\\x4\"",
            "a = \"C:\\Users\"",
            "a = \"\\ud800\"",
            "a = 'it's'",
            "a = \"say \"hi\"\"",
            "a = \"\u{1}\"",
            "a = '\u{1}'",
            "a = '''\u{1}'''",
            "a = “x”",
            "a = TRUE",
            "a = yes",
            "a = 01",
            "a = 1.2.3",
            "a = >=1.2",
            "a = 0X1",
            "a = 1__2",
            "a = 1.",
            "a = .5",
            "a = [1.5.]",
            "a = 2020-13-45",
            "a = 2020-01-01x",
            "a b = 1",
            "a.b. = 1",
            "é = 1",
            "a = \"\"\"x",
            "a = '''x",
            "\"a = 1",
            "'''a''' = 1",
            "#\u{1}",
            "a = 1\rb = 2",
            "a = ,",
            "a = $(x)",
            "{ \"a\": 1 }",
            "a = 1\na.b = 2",
            "\0",
            "a = \u{1b}[2J",
            "a\u{202e} = 1",
        ];
        insta::assert_snapshot!(texts.map(said).concat());
    }

    #[test]
    fn only_texts_that_are_rare_keep_the_words_of_the_crate() {
        assert_eq!(words("could not allocate for string", "x", 0..1), None);
    }
}
