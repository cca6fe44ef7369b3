//! Writing lines of bounded width: sanitised, wrapped or cut, coloured last.

use std::io::{self, Write};

use crate::human::HumanOptions;
use crate::sanitise::{self, inert};

/// A colour around words of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\u{1b}[1m",
            Self::Dim => "\u{1b}[2m",
            Self::Red => "\u{1b}[31m",
            Self::Green => "\u{1b}[32m",
            Self::Yellow => "\u{1b}[33m",
        }
    }
}

/// Where a report is written.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
    color: bool,
    /// Columns.
    pub(super) width: usize,
}

/// Columns of the names before values.
const NAME: usize = 10;

/// Columns of one step of indentation.
const STEP: usize = 2;

/// Fewer columns than this are taken as this many.
const MIN_WIDTH: usize = 40;

impl<'a> Page<'a> {
    pub(super) fn new(options: &HumanOptions, out: &'a mut dyn Write) -> Self {
        Self {
            out,
            color: options.color,
            width: options.width.max(MIN_WIDTH),
        }
    }

    pub(super) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// A paragraph, wrapped.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.coloured(Colour::Plain, text)
    }

    /// A paragraph, wrapped and coloured.
    pub(super) fn coloured(&mut self, colour: Colour, text: &str) -> io::Result<()> {
        for line in wrap(text, self.width) {
            self.spans(&[(colour, line.as_str())])?;
        }
        Ok(())
    }

    /// One line of coloured pieces; the caller has seen to its width.
    pub(super) fn spans(&mut self, spans: &[(Colour, &str)]) -> io::Result<()> {
        let end = spans
            .iter()
            .rposition(|(_, text)| !text.trim_end().is_empty());
        for (index, (colour, text)) in spans.iter().enumerate() {
            let text = match end {
                Some(end) if index < end => text,
                Some(end) if index == end => text.trim_end(),
                Some(_) | None => continue,
            };
            let text = sanitise::line(text, usize::MAX);
            if self.color && *colour != Colour::Plain {
                write!(self.out, "{}{text}\u{1b}[0m", colour.code())?;
            } else {
                write!(self.out, "{text}")?;
            }
        }
        writeln!(self.out)
    }

    /// A name and a value, the value wrapped beside it.
    pub(super) fn field(&mut self, name: &str, value: &str) -> io::Result<()> {
        self.coloured_field(name, Colour::Plain, value)
    }

    /// A name and a coloured value, wrapped beside it.
    pub(super) fn coloured_field(
        &mut self,
        name: &str,
        colour: Colour,
        value: &str,
    ) -> io::Result<()> {
        self.lines(name, colour, value, 0, 0)
    }

    /// How many lines a field with this value takes.
    pub(super) fn height_of_field(&self, value: &str) -> usize {
        wrap(value, self.width - NAME - 2).len()
    }

    /// How many lines a paragraph takes.
    pub(super) fn height_of_text(&self, text: &str) -> usize {
        wrap(text, self.width).len()
    }

    /// One line of several, so many steps further in than values are. Where it is wrapped, it goes
    /// on one step further: no text can pass for a line of its own.
    pub(super) fn item(&mut self, steps: usize, value: &str) -> io::Result<()> {
        let first = steps * STEP;
        self.lines("", Colour::Plain, value, first, first + STEP)
    }

    /// A name, and a value that is wrapped beside it, its first and its further lines indented.
    fn lines(
        &mut self,
        name: &str,
        colour: Colour,
        value: &str,
        first: usize,
        further: usize,
    ) -> io::Result<()> {
        let width = self.width - NAME - 2 - first.max(further);
        for (index, line) in wrap(value, width).iter().enumerate() {
            let (name, space) = if index == 0 {
                (name, first)
            } else {
                ("", further)
            };
            self.spans(&[
                (Colour::Dim, &format!("  {name:<NAME$}{:space$}", "")),
                (colour, line.as_str()),
            ])?;
        }
        Ok(())
    }

    /// A command of our own to copy: never wrapped, never cut.
    pub(super) fn command(&mut self, name: &str, command: &str) -> io::Result<()> {
        self.spans(&[
            (Colour::Dim, &format!("  {name:<NAME$}")),
            (Colour::Bold, command),
        ])
    }

    /// Lines of someone else's text, marked at their left.
    pub(super) fn quote(&mut self, lines: &[String]) -> io::Result<()> {
        for line in lines {
            let line = sanitise::line(line, self.quote_width());
            self.spans(&[(Colour::Dim, "    │ "), (Colour::Plain, &line)])?;
        }
        Ok(())
    }

    /// Columns of quoted text.
    pub(super) fn quote_width(&self) -> usize {
        self.width - 6
    }
}

/// Most characters of one paragraph: what is longer was not written for people.
const MAX_PARAGRAPH: usize = 4000;

/// Breaks a sanitised text at spaces into lines of at most `width` characters; a longer word is
/// broken where it must be. Any word may come to stand first in its line, and none is a command there.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let text = sanitise::line(text, MAX_PARAGRAPH);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = inert(word).chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(String::new());
            used = 0;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines
                .last_mut()
                .into_iter()
                .for_each(|line| line.extend(&word));
            lines.push(String::new());
            word = inert(&rest.iter().collect::<String>()).chars().collect();
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            used += word.len();
            line.extend(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn wrapping_keeps_every_word_and_the_width(text in "[a-z ]{0,200}", width in 1_usize..50) {
            let lines = wrap(&text, width);
            let glued: String = lines.concat().replace(' ', "");
            proptest::prop_assert_eq!(glued, text.replace(' ', ""));
            for line in lines {
                proptest::prop_assert!(line.chars().count() <= width);
            }
        }
    }

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("aaaaaaa b", 3), ["aaa", "aaa", "a b"]);
    }

    #[test]
    fn no_line_is_a_command_of_a_log() {
        assert_eq!(
            wrap("it printed ::error::x", 12),
            ["it printed", "\\x3a:error::", "x"]
        );
        assert_eq!(wrap("aaa::b", 3), ["aaa", "\\x3", "a:b"]);
    }
}
