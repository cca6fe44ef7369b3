//! Text of others made fit for a terminal. Everything that a recipe, a sandbox, a repository or a
//! network sent goes through here before it is shown.
//!
//! What a terminal would obey is made visible or removed: control characters, escape sequences,
//! characters without width, and those that turn the direction of writing. What the log of a GitHub
//! job would obey is made inert in the same way. What is long is cut.

use std::borrow::Cow;

/// One line of at most `max` characters: a newline within is shown as `\n`, and what is cut off is
/// marked with `…`. Colours and other well-formed control sequences are removed.
///
/// No control character and no invisible one survives. The work is bounded by `max`, whatever the
/// length of the text (apart from sequences that are removed, of which at most [`MAX_REMOVED`] are
/// looked at).
#[must_use]
pub fn line(text: &str, max: usize) -> String {
    // Nearly every text is one of which nothing below would change anything.
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'[';
    if text.len() <= max && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut room = max;
    let mut removed = 0;
    let mut rest = text;
    let mut buffer = [0; 4];
    while let Some(character) = rest.chars().next() {
        if let Some(after) = control_sequence(rest).filter(|_| removed < MAX_REMOVED) {
            removed += 1;
            rest = after;
            continue;
        }
        rest = &rest[character.len_utf8()..];
        // Looked for in what is shown: a sequence that is removed brings together what stood around it.
        let shown = if character == '[' && out.ends_with("##") {
            Cow::Borrowed("\\x5b")
        } else {
            visible(character, &mut buffer)
        };
        let width = shown.chars().count();
        // The last column is kept for the mark, unless this is the end.
        if width > room || (width == room && !rest.is_empty()) {
            if room > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(&shown);
        room -= width;
    }
    out
}

/// What the log of a GitHub job obeys anywhere in a line, such as `##[add-mask]` (the runner's
/// `ActionCommand.TryParse`); its last character is shown as its code.
pub const LOG_COMMAND: &str = "##[";

/// What the log of a GitHub job obeys where it is the first in a line after white space, such as
/// `::error::` (the runner's `ActionCommand.TryParseV2`).
const LINE_COMMAND: &str = "::";

/// A text that may come to stand first in a line of a log, and there is no command: the first
/// character of one is shown as its code.
#[must_use]
pub fn inert(text: &str) -> Cow<'_, str> {
    let command = text.trim_start();
    match command.strip_prefix(LINE_COMMAND) {
        Some(rest) => {
            let space = &text[..text.len() - command.len()];
            Cow::Owned(format!("{space}\\x3a:{rest}"))
        }
        None => Cow::Borrowed(text),
    }
}

/// As [`line()`], for one that stands by itself: no log takes it for a command.
fn own_line(text: &str, max: usize) -> String {
    let shown = line(text, max);
    match inert(&shown) {
        Cow::Borrowed(_) => shown,
        Cow::Owned(inert) => line(&inert, max),
    }
}

/// Most control sequences removed from one line; further ones are shown.
pub const MAX_REMOVED: usize = 10_000;

/// The last lines of a text, at most `lines` of at most `max` characters each, oldest first.
/// Carriage returns before a newline are dropped, and so are empty lines at the end. No log takes one
/// for a command.
#[must_use]
pub fn last_lines(text: &str, lines: usize, max: usize) -> Vec<String> {
    let text = text.trim_end_matches(['\n', '\r', ' ', '\t']);
    let mut last: Vec<String> = text
        .rsplit('\n')
        .take(lines)
        .map(|one| own_line(last_overwrite(one.trim_end_matches('\r')), max))
        .collect();
    last.reverse();
    if last.iter().all(String::is_empty) {
        Vec::new()
    } else {
        last
    }
}

/// A text of several lines, each of at most `max` characters, at most `lines` of them. No log takes
/// one for a command.
#[must_use]
pub fn block(text: &str, lines: usize, max: usize) -> Vec<String> {
    let text = text.trim_end_matches('\n');
    let mut shown: Vec<String> = text
        .split('\n')
        .take(lines)
        .map(|one| own_line(one.trim_end_matches('\r'), max))
        .collect();
    let more = text.split('\n').skip(lines).count();
    if more > 0 {
        let lines = if more == 1 { "line" } else { "lines" };
        shown.push(line(&format!("… {more} more {lines}"), max));
    }
    shown
}

/// A command as one could type it: words that a shell would not take as they are stand in quotes.
/// For people only; nothing reads it back.
#[must_use]
pub fn command<W: AsRef<str>>(words: &[W], max: usize) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&quoted(word.as_ref(), max));
        // Nothing beyond the cut has to be quoted.
        if out.len() > max.saturating_mul(4) {
            break;
        }
    }
    line(&out, max)
}

/// True for characters that a terminal obeys or does not show.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' // soft hyphen
            | '\u{34f}' // grapheme joiner
            | '\u{61c}' // Arabic letter mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' // Khmer inherent vowels
            | '\u{180b}'..='\u{180f}' // Mongolian selectors and separator
            | '\u{200b}'..='\u{200f}' // zero width, direction marks
            | '\u{2028}'..='\u{202e}' // separators, direction embeddings and overrides
            | '\u{2060}'..='\u{206f}' // joiners, invisible operators, direction isolates
            | '\u{fe00}'..='\u{fe0f}' // variation selectors
            | '\u{feff}' // byte order mark
            | '\u{fff0}'..='\u{fffb}' // interlinear annotation
            | '\u{fffe}' | '\u{ffff}' // no characters at all; XML 1.0 forbids them
            | '\u{1d173}'..='\u{1d17a}' // musical formatting
            | '\u{e0000}'..='\u{e0fff}' // tags and selectors
        )
}

fn visible(character: char, buffer: &mut [u8; 4]) -> Cow<'_, str> {
    match character {
        '\t' => Cow::Borrowed("    "),
        '\n' => Cow::Borrowed("\\n"),
        '\r' => Cow::Borrowed("\\r"),
        hidden if is_hidden(hidden) && hidden.is_ascii() => {
            Cow::Owned(format!("\\x{:02x}", u32::from(hidden)))
        }
        hidden if is_hidden(hidden) => Cow::Owned(format!("<U+{:04X}>", u32::from(hidden))),
        plain => Cow::Borrowed(plain.encode_utf8(buffer)),
    }
}

/// What follows a control sequence (ECMA-48 5.4: `ESC [`, parameters, intermediates, a final byte)
/// that the text begins with; `None` if it begins with none, or one of unusual length.
fn control_sequence(text: &str) -> Option<&str> {
    let body = text.strip_prefix("\u{1b}[")?;
    let length = body
        .bytes()
        .take(32)
        .take_while(|byte| matches!(byte, 0x20..=0x3f))
        .count();
    let last = *body.as_bytes().get(length)?;
    matches!(last, 0x40..=0x7e).then(|| &body[length + 1..])
}

/// What a terminal would show of a line that overwrites itself, as progress bars do.
fn last_overwrite(text: &str) -> &str {
    text.rsplit('\r')
        .find(|part| !part.trim().is_empty())
        .unwrap_or(text)
}

fn quoted(word: &str, max: usize) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%^~".contains(&byte);
    let bounded: String = word.chars().take(max.saturating_add(1)).collect();
    if !bounded.is_empty() && bounded.bytes().all(plain) && !bounded.starts_with('~') {
        return bounded;
    }
    format!("'{}'", bounded.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_or_removed() {
        for (text, shown) in [
            ("plain ü 漢", "plain ü 漢"),
            ("a\tb", "a    b"),
            ("a\nb\r", "a\\nb\\r"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[Hgone", "gone"),
            ("\u{1b}]0;title\u{7}x", "\\x1b]0;title\\x07x"),
            ("\u{1b}[", "\\x1b["),
            ("\u{9b}31m", "<U+009B>31m"),
            ("a\u{202e}b", "a<U+202E>b"),
            ("a\u{200b}b\u{feff}", "a<U+200B>b<U+FEFF>"),
            ("\0\u{7f}", "\\x00\\x7f"),
            ("a ##[error]b", "a ##\\x5berror]b"),
            ("###[x]", "###\\x5bx]"),
            ("#\u{1b}[0m#\u{1b}[0m[x]", "##\\x5bx]"),
            ("\u{ffff}", "<U+FFFF>"),
        ] {
            assert_eq!(line(text, 200), shown, "{text:?}");
        }
    }

    #[test]
    fn what_is_long_is_cut_and_marked() {
        assert_eq!(line("abcdef", 6), "abcdef");
        assert_eq!(line("abcdef", 5), "abcd…");
        assert_eq!(line("ab\u{202e}", 6), "ab…");
        assert_eq!(line("abc", 0), "");
        let huge = "x".repeat(10 << 20);
        assert_eq!(line(&huge, 80).chars().count(), 80);
        assert_eq!(last_lines(&huge, 10, 80).len(), 1);
        let codes = "\u{1b}[0m".repeat(MAX_REMOVED + 1);
        assert_eq!(line(&codes, 80), "\\x1b[0m");
    }

    #[test]
    fn the_last_lines_come_oldest_first_and_show_the_end_of_a_progress_bar() {
        assert_eq!(last_lines("1\n2\n3\r\n\n", 2, 80), ["2", "3"]);
        assert_eq!(
            last_lines("10%\r50%\r100%\r\ndone", 5, 80),
            ["100%", "done"]
        );
        assert!(last_lines("\n\n", 5, 80).is_empty());
    }

    #[test]
    fn no_line_of_several_is_a_command_of_a_log() {
        let text = "::error::x\na ::b\n\u{1b}[0m \u{a0}::add-mask::y\n:::";
        let shown = [
            "\\x3a:error::x",
            "a ::b",
            " \u{a0}\\x3a:add-mask::y",
            "\\x3a::",
        ];
        assert_eq!(block(text, 9, 80), shown);
        assert_eq!(last_lines(text, 9, 80), shown);
        assert_eq!(block("::error::x", 9, 6), ["\\x3a:…"]);
    }

    #[test]
    fn commands_are_quoted_where_a_shell_would_need_it() {
        assert_eq!(
            command(&["apt-get", "install", "-y", "jq"], 80),
            "apt-get install -y jq"
        );
        assert_eq!(
            command(&["sh", "-c", "echo 'a' $b"], 80),
            "sh -c 'echo '\\''a'\\'' $b'"
        );
        assert_eq!(command(&["a", "", "\u{1b}c"], 80), "a '' '\\x1bc'");
        assert_eq!(command(&["x".repeat(1000)], 10), "xxxxxxxxx…");
    }

    proptest! {
        #[test]
        fn nothing_hidden_survives_and_everything_is_bounded(text in any::<String>(), max in 0_usize..100) {
            everything_holds(&text, max)?;
        }

        #[test]
        fn no_mixture_of_commands_and_sequences_survives(text in "([#:\\[ \n\r\t]|\u{1b}\\[0?m){0,40}", max in 0_usize..60) {
            everything_holds(&text, max)?;
        }

        #[test]
        fn harmless_text_stays(text in "[ -~äöü漢]{0,60}") {
            prop_assume!(!text.contains(LOG_COMMAND));
            prop_assert_eq!(line(&text, 60), text);
        }
    }

    /// What is true of every text and every width.
    fn everything_holds(text: &str, max: usize) -> Result<(), TestCaseError> {
        let shown = line(text, max);
        prop_assert!(!shown.chars().any(is_hidden), "{shown:?}");
        prop_assert!(!shown.contains(LOG_COMMAND), "{shown:?}");
        prop_assert!(shown.chars().count() <= max);
        let many = block(text, 5, max);
        prop_assert!(many.len() <= 6);
        let lines: Vec<String> = many.into_iter().chain(last_lines(text, 5, max)).collect();
        for shown in &lines {
            prop_assert!(!shown.trim_start().starts_with("::"), "{shown:?}");
        }
        let words: Vec<&str> = text.split(' ').collect();
        for shown in lines.into_iter().chain([command(&words, max)]) {
            prop_assert!(!shown.chars().any(is_hidden), "{shown:?}");
            prop_assert!(!shown.contains(LOG_COMMAND), "{shown:?}");
            prop_assert!(shown.chars().count() <= max);
        }
        Ok(())
    }
}
