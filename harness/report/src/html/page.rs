//! The page as it is written: markup of ours, and text of others.
//!
//! There are three doors and no other: [`Page::markup`] takes what stands in this source and nothing that
//! was made at run time; [`Page::text`] takes anything and lets nothing of it be markup; numbers are
//! numbers. Identifiers are made of numbers alone ([`Anchor`]). So no text of a record is ever markup, a
//! style, a script, a URL or an identifier.
//!
//! The markup is well-formed XML as well, so that a test can read it with a strict parser.

use assay_wire::plan::OpId;

use super::detail::Detail;
use crate::sanitise;

/// Most characters of a line, unless somebody asks for another bound.
const LINE: usize = 300;
/// Most characters of a sentence.
const PROSE: usize = 1000;

/// A place of the page that something leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// A cell, by its position in the record.
    Cell(usize),
    /// An op of it.
    Op(usize, OpId),
    /// Its packages.
    Packages(usize),
}

/// A page in the making.
pub(super) struct Page {
    text: String,
    /// How much of everything is shown.
    pub(super) detail: &'static Detail,
    /// Bytes after which no further row is written.
    most: usize,
}

impl Page {
    pub(super) fn new(detail: &'static Detail) -> Self {
        Self {
            text: String::new(),
            detail,
            most: usize::MAX,
        }
    }

    /// Spares whoever throws away what is longer than this the work: no list goes on beyond it.
    pub(super) fn stop_after(&mut self, bytes: usize) {
        self.most = bytes;
    }

    /// Markup of ours.
    pub(super) fn markup(&mut self, ours: &'static str) -> &mut Self {
        self.text.push_str(ours);
        self
    }

    /// Any text on one line, within an element or a quoted attribute.
    pub(super) fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.text_up_to(LINE, text)
    }

    /// As [`Self::text`], of at most so many characters.
    pub(super) fn text_up_to(&mut self, most: usize, text: impl AsRef<str>) -> &mut Self {
        // What a terminal would obey is no more welcome here: directions and invisible characters deceive
        // readers of a page just as well.
        let shown = sanitise::line(text.as_ref(), most);
        if !shown.contains(['&', '<', '>', '"', '\'']) {
            self.text.push_str(&shown);
            return self;
        }
        for character in shown.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                plain => self.text.push(plain),
            }
        }
        self
    }

    /// A sentence in which names stand between backticks, which become code. Backticks of others change what
    /// is code and nothing else.
    pub(super) fn prose(&mut self, text: impl AsRef<str>) -> &mut Self {
        let shown = sanitise::line(text.as_ref(), PROSE);
        let mut parts = shown.split('`').peekable();
        let mut is_code = false;
        while let Some(part) = parts.next() {
            // The last part is behind every backtick: what one opened and none closed is no code.
            match is_code && parts.peek().is_some() {
                true => self
                    .markup("<code>")
                    .text_up_to(PROSE, part)
                    .markup("</code>"),
                false if is_code => self.markup("`").text_up_to(PROSE, part),
                false => self.text_up_to(PROSE, part),
            };
            is_code = !is_code;
        }
        self
    }

    /// Lines that were bounded already, each with its end.
    pub(super) fn lines<'l>(&mut self, lines: impl IntoIterator<Item = &'l String>) -> &mut Self {
        for line in lines {
            self.text_up_to(usize::MAX, line).markup("\n");
        }
        self
    }

    /// The words of a command, as code.
    pub(super) fn command<W: AsRef<str>>(&mut self, words: &[W]) -> &mut Self {
        let most = self.detail.command;
        let command = sanitise::command(words, most);
        self.markup("<code>")
            .text_up_to(most, command)
            .markup("</code>")
    }

    /// A number for people.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.text.push_str(&thousands(number));
        self
    }

    /// As [`Self::number`], of what was counted here.
    pub(super) fn count(&mut self, number: usize) -> &mut Self {
        self.number(number as u64)
    }

    /// So many of something.
    pub(super) fn counted(
        &mut self,
        number: u64,
        one: &'static str,
        many: &'static str,
    ) -> &mut Self {
        self.number(number)
            .markup(" ")
            .markup(if number == 1 { one } else { many })
    }

    /// A share of a thousand as a percentage, for an attribute.
    pub(super) fn percent(&mut self, thousandths: u64) -> &mut Self {
        let text = format!("{}.{}%", thousandths / 10, thousandths % 10);
        self.text.push_str(&text);
        self
    }

    /// An element of this class with any text.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        class: &'static str,
        text: impl AsRef<str>,
    ) -> &mut Self {
        self.open(name, class).text(text).close(name)
    }

    /// An element's beginning.
    pub(super) fn open(&mut self, name: &'static str, class: &'static str) -> &mut Self {
        self.markup("<").markup(name);
        if !class.is_empty() {
            self.markup(" class=\"").markup(class).markup("\"");
        }
        self.markup(">")
    }

    /// An element's end.
    pub(super) fn close(&mut self, name: &'static str) -> &mut Self {
        self.markup("</").markup(name).markup(">")
    }

    /// The attribute that makes an element the place that an anchor means.
    pub(super) fn id(&mut self, anchor: Anchor) -> &mut Self {
        self.text.push_str(&format!(" id=\"{}\"", anchor.name()));
        self
    }

    /// A link within the page.
    pub(super) fn link(&mut self, anchor: Anchor, text: impl AsRef<str>) -> &mut Self {
        self.text
            .push_str(&format!("<a href=\"#{}\">", anchor.name()));
        self.text(text).markup("</a>")
    }

    /// Writes as many of these as there is room for, and returns how many are left out.
    pub(super) fn each<T>(
        &mut self,
        all: &[T],
        most: usize,
        mut write: impl FnMut(&mut Self, &T),
    ) -> usize {
        let mut written = 0;
        for one in all.iter().take(most) {
            if self.text.len() > self.most {
                break;
            }
            write(self, one);
            written += 1;
        }
        all.len() - written
    }

    /// Says how many are left out, if any are, between these.
    pub(super) fn more(&mut self, left_out: usize, before: &'static str, after: &'static str) {
        if left_out > 0 {
            self.markup(before)
                .markup("<span class=\"more\">… and ")
                .count(left_out)
                .markup(" more</span>")
                .markup(after);
        }
    }

    /// Another page, at this place.
    pub(super) fn append(&mut self, other: &Self) -> &mut Self {
        self.text.push_str(&other.text);
        self
    }

    /// What was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl Anchor {
    fn name(self) -> String {
        match self {
            Self::Cell(cell) => format!("c{}", cell + 1),
            Self::Op(cell, op) => format!("c{}-o{op}", cell + 1),
            Self::Packages(cell) => format!("c{}-packages", cell + 1),
        }
    }
}

/// `1234567` as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sanitise::is_hidden;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        for (text, markup) in [
            (
                "by `sh -c <x>`, again",
                "by <code>sh -c &lt;x&gt;</code>, again",
            ),
            ("`a` `b`", "<code>a</code> <code>b</code>"),
            ("one ` alone", "one ` alone"),
            ("`a` and `b", "<code>a</code> and `b"),
        ] {
            let mut page = Page::new(&Detail::LEVELS[0]);
            assert_eq!(page.prose(text).as_str(), markup);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_markup(text in any::<String>(), tricky in "[<>&\"'`= /\u{0}\u{1b}\u{202e}a-z]{0,60}") {
            for text in [text, tricky] {
                let mut page = Page::new(&Detail::LEVELS[0]);
                page.text(&text).prose(&text).command(&[&text]).lines(std::slice::from_ref(&text));
                let ours = page.as_str().replace("<code>", "").replace("</code>", "");
                prop_assert!(!ours.contains(['<', '>', '"', '\'']), "{ours}");
                prop_assert!(!ours.chars().any(|c| c != '\n' && is_hidden(c)), "{ours}");
                let entities = ["amp;", "lt;", "gt;", "quot;", "#39;"];
                for after in ours.split('&').skip(1) {
                    prop_assert!(entities.iter().any(|known| after.starts_with(known)), "{ours}");
                }
            }
        }
    }
}
