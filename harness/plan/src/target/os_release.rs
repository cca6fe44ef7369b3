//! The grammar of `/etc/os-release`, os-release(5): `KEY=value` lines quoted as a shell would read
//! them. The text may come from anywhere: it is bounded, and a line that is not as it should be is
//! left out, never guessed at. What the values mean is [`super::Target`]'s.

use std::collections::BTreeMap;

/// Longest text that is read, in bytes; every known file has less than 2 KiB.
pub const MAX_BYTES: usize = 64 << 10;

/// Longest line that is read, in bytes.
const MAX_LINE_BYTES: usize = 4 << 10;

/// Reads the assignments of a text. A key assigned twice has the last value, as in a shell. Beyond
/// [`MAX_BYTES`] nothing is read.
#[must_use]
pub fn parse(text: &str) -> BTreeMap<String, String> {
    let mut rest = text;
    let mut read = 0;
    let mut values = BTreeMap::new();
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        read += line.len() + 1;
        if read > MAX_BYTES {
            break;
        }
        if line.len() <= MAX_LINE_BYTES
            && let Some((key, value)) = assignment(line)
        {
            values.insert(key.to_owned(), value);
        }
        rest = after;
    }
    values
}

/// Reads one line; `None` for blank lines, comments and everything outside the grammar.
fn assignment(line: &str) -> Option<(&str, String)> {
    let line = line.trim_matches([' ', '\t', '\r']);
    let (key, value) = line.split_once('=')?;
    let starts = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let in_key = |byte: u8| starts(byte) || byte.is_ascii_digit();
    let is_key = key.bytes().next().is_some_and(starts) && key.bytes().all(in_key);
    if !is_key || value.chars().any(char::is_control) {
        return None;
    }
    Some((key, unquote(value)?))
}

/// The value a shell would assign; `None` where it would see an open quote, a second word or
/// anything it expands.
fn unquote(text: &str) -> Option<String> {
    #[derive(Clone, Copy)]
    enum Quote {
        None,
        Single,
        Double,
    }
    let mut value = String::new();
    let mut quote = Quote::None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Quote::None, '\'') => quote = Quote::Single,
            (Quote::None, '"') => quote = Quote::Double,
            (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
            (Quote::None, '\\') => value.push(chars.next()?),
            (Quote::Double, '\\') => {
                let escaped = chars.next()?;
                // Within double quotes a backslash is kept before all but these four.
                if !matches!(escaped, '"' | '$' | '\\' | '`') {
                    value.push('\\');
                }
                value.push(escaped);
            }
            (Quote::None | Quote::Double, '$' | '`') => return None,
            (Quote::None, ' ' | '\t' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '#') => {
                return None;
            }
            (Quote::None | Quote::Single | Quote::Double, c) => value.push(c),
        }
    }
    matches!(quote, Quote::None).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Option<String> {
        parse(line).into_values().next()
    }

    #[test]
    fn values_are_quoted_as_in_a_shell() {
        for (line, expected) in [
            ("ID=debian", Some("debian")),
            ("ID=\"rocky\"", Some("rocky")),
            ("ID='rocky'", Some("rocky")),
            ("ID=", Some("")),
            ("ID=\"\"", Some("")),
            ("  ID=x\r", Some("x")),
            ("ID=\"rhel centos fedora\"", Some("rhel centos fedora")),
            ("ID=\"a\\\"b\\$c\\\\d\\`e\"", Some("a\"b$c\\d`e")),
            ("ID=\"a\\nb\"", Some("a\\nb")),
            ("ID='a\\b'", Some("a\\b")),
            ("ID=a\\ b", Some("a b")),
            ("ID=a\"b c\"'d'", Some("ab cd")),
            ("ID=\"Ünïcode 日本\"", Some("Ünïcode 日本")),
        ] {
            assert_eq!(one(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn lines_outside_the_grammar_are_left_out() {
        for line in [
            "",
            "#ID=x",
            "ID",
            "=x",
            "id=x",
            "export ID=x",
            "ID =x",
            "1D=x",
            "ID=a b",
            "ID=\"a",
            "ID='a",
            "ID=a\\",
            "ID=$(reboot)",
            "ID=\"`reboot`\"",
            "ID=a;b",
            "ID=a\0b",
            "ID=\"a\u{1b}[31m\"",
            "ID=a\u{7f}",
        ] {
            assert_eq!(parse(line), BTreeMap::new(), "{line:?}");
        }
    }

    #[test]
    fn the_last_of_two_assignments_counts() {
        assert_eq!(one("ID=a\nNOT VALID\nID=b\n").as_deref(), Some("b"));
    }

    #[test]
    fn long_texts_and_lines_are_bounded() {
        let line = format!("ID={}\n", "x".repeat(10 << 20));
        assert_eq!(parse(&line), BTreeMap::new());
        let long_line_first = format!("NAME={}\nID=x\n", "x".repeat(MAX_LINE_BYTES));
        assert_eq!(one(&long_line_first).as_deref(), Some("x"));
        let beyond = format!("{}ID=x\n", "# a comment\n".repeat(MAX_BYTES / 12 + 1));
        assert_eq!(parse(&beyond), BTreeMap::new());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn single_quotes_keep_every_printable_text(value in "[ -&(-~]{0,40}") {
            proptest::prop_assert_eq!(one(&format!("ID='{value}'")), Some(value));
        }
    }
}
