//! Words as they may stand on a line for people: quoted so that a shell would read exactly the same
//! words, and free of everything a terminal or the log of a GitHub job would act upon. For display only: nothing that is run
//! is made from this text.

/// What the log of a GitHub job obeys anywhere in a line, such as `##[add-mask]`.
const LOG_COMMAND: &str = "##[";

/// The words of a command, each quoted where it must be, with one space between them.
#[must_use]
pub fn command_line<W: AsRef<str>>(argv: &[W]) -> String {
    argv.iter()
        .map(|word| word_of(word.as_ref()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// One word. Plain words stay as they are; words with anything a shell reads are in single quotes;
/// words with control or other invisible characters, or a command of a log, are in `$'…'`, those
/// characters escaped.
#[must_use]
pub fn word_of(word: &str) -> String {
    if word.chars().any(is_invisible) || word.contains(LOG_COMMAND) {
        let mut quoted = String::from("$'");
        for c in word.chars() {
            match c {
                '\'' | '\\' => quoted.extend(['\\', c]),
                '[' if quoted.ends_with("##") => quoted.push_str("\\x5b"),
                '\n' => quoted.push_str("\\n"),
                '\t' => quoted.push_str("\\t"),
                '\r' => quoted.push_str("\\r"),
                c if is_invisible(c) && c.is_ascii() => {
                    quoted.push_str(&format!("\\x{:02x}", u32::from(c)))
                }
                c if is_invisible(c) => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
                c => quoted.push(c),
            }
        }
        quoted.push('\'');
        return quoted;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&b);
    // A leading `=` is expanded by some shells.
    if !word.is_empty() && word.bytes().all(plain) && !word.starts_with('=') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Text of several lines for people: lines stay, everything else invisible and every command of a log
/// is escaped.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) && c != '\n' {
            shown.extend(c.escape_default())
        } else if c == '[' && shown.ends_with("##") {
            shown.extend(c.escape_unicode())
        } else {
            shown.push(c)
        }
    }
    shown
}

/// Text on one line for people: line breaks are escaped as well.
#[must_use]
pub fn visible_line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

/// True for what a terminal acts upon or does not show: control characters, format characters
/// (bidirectional overrides, zero-width ones), line and paragraph separators and tags. A space is
/// visible enough, every other white space is not.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Words in lines of at most `width` characters; a longer word is broken.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let chars: Vec<char> = word.chars().collect();
        for (at, piece) in chars.chunks(width).enumerate() {
            let piece: String = piece.iter().collect();
            match lines.last_mut() {
                Some(line)
                    if at == 0 && line.chars().count() + 1 + piece.chars().count() <= width =>
                {
                    line.push(' ');
                    line.push_str(&piece);
                }
                Some(_) | None => lines.push(piece),
            }
        }
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Reads a line as a shell would: the words of [`command_line`] back.
    pub(crate) fn split(line: &str) -> Option<Vec<String>> {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                ' ' => words.extend(word.take()),
                '\'' => {
                    let word = word.get_or_insert_default();
                    loop {
                        match chars.next()? {
                            '\'' => break,
                            c => word.push(c),
                        }
                    }
                }
                '\\' => word.get_or_insert_default().push(chars.next()?),
                '$' if chars.peek() == Some(&'\'') => {
                    chars.next();
                    let word = word.get_or_insert_default();
                    loop {
                        match chars.next()? {
                            '\'' => break,
                            '\\' => match chars.next()? {
                                'n' => word.push('\n'),
                                't' => word.push('\t'),
                                'r' => word.push('\r'),
                                'x' => word.push(hex(&mut chars, 2)?),
                                'U' => word.push(hex(&mut chars, 8)?),
                                c => word.push(c),
                            },
                            c => word.push(c),
                        }
                    }
                }
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        Some(words)
    }

    fn hex(chars: &mut impl Iterator<Item = char>, digits: usize) -> Option<char> {
        let text: String = chars.take(digits).collect();
        char::from_u32(u32::from_str_radix(&text, 16).ok()?)
    }

    #[test]
    fn words_are_quoted_where_they_must_be() {
        for (word, quoted) in [
            ("apt-get", "apt-get"),
            ("name=1.2-3+b1", "name=1.2-3+b1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("a*", "'a*'"),
            ("~", "'~'"),
            ("=x", "'=x'"),
            ("a\nb", "$'a\\nb'"),
            ("\u{1b}[31m'\\", "$'\\x1b[31m\\'\\\\'"),
            ("\u{202e}x", "$'\\U0000202ex'"),
            ("é", "'é'"),
            ("##[a]", "$'##\\x5ba]'"),
        ] {
            assert_eq!(word_of(word), quoted);
        }
        assert_eq!(visible("a\tb\nc\u{1b}"), "a\\tb\nc\\u{1b}");
        assert_eq!(visible("##[a] #["), "##\\u{5b}a] #[");
        assert_eq!(visible_line("a\nb"), "a\\nb");
    }

    proptest::proptest! {
        #[test]
        fn every_line_reads_back_to_its_words(argv in proptest::collection::vec("(?s)(##\\[)?.{0,12}", 1..6)) {
            let line = command_line(&argv);
            proptest::prop_assert!(!line.contains(LOG_COMMAND));
            proptest::prop_assert!(!line.chars().any(is_invisible));
            proptest::prop_assert_eq!(split(&line), Some(argv));
        }

        #[test]
        fn visible_text_holds_nothing_else(text in "(?s).{0,60}") {
            proptest::prop_assert!(visible(&text).chars().all(|c| c == '\n' || !is_invisible(c)));
            proptest::prop_assert!(!visible_line(&text).contains('\n'));
        }
    }
}
