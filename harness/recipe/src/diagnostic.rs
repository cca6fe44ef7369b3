//! Faults of a recipe as data. Rendering is the CLI's; nothing here knows a terminal.
//!
//! Go on to [`crate::code`] for what can be wrong, and [`crate::explain`] for what it means.

use assay_wire::source::Span;
use serde::Serialize;

use crate::code::Code;

/// One fault of one file, with every place that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What is wrong, in one stable word.
    pub code: Code,
    /// How much it matters; the code's default until `[lints]` of `assay.toml` says otherwise.
    pub severity: Severity,
    /// One line, a lower-case fragment without final period; names stand in backticks, and bytes
    /// from the file are escaped and shortened.
    pub message: String,
    /// The places, the most important first; never empty.
    pub labels: Vec<Label>,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

/// How much a diagnostic matters, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The recipe cannot be used.
    Error,
    /// The recipe can be used and is probably not what its author means.
    Warning,
    /// Nothing is wrong; something could be said more clearly.
    Hint,
}

/// One place and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The bytes of the file.
    pub span: Span,
    /// A few words; may be empty when the message says it all.
    pub message: String,
}

impl Diagnostic {
    /// A diagnostic with the code's default severity at one place.
    #[must_use]
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        let label = Label {
            span,
            message: String::new(),
        };
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            labels: vec![label],
            help: None,
        }
    }

    /// With words for the place given last.
    #[must_use]
    pub fn labelled(mut self, message: impl Into<String>) -> Self {
        if let Some(label) = self.labels.last_mut() {
            label.message = message.into();
        }
        self
    }

    /// With a further place.
    #[must_use]
    pub fn and(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// With advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The most important place.
    #[must_use]
    pub fn span(&self) -> Span {
        self.labels
            .first()
            .map(|label| label.span)
            .unwrap_or_default()
    }
}

impl Severity {
    /// The word as shown and written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

/// A value and the bytes it was read from, so that a plan can point at a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value with its place.
    #[must_use]
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// Most diagnostics of one file; what follows is counted, not kept, so that a megabyte of garbage
/// does not become a gigabyte of advice.
pub const MAX_DIAGNOSTICS: usize = 500;

/// Collects the diagnostics of one file.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl Faults {
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        if self.is_full() {
            self.count_only();
        } else {
            self.list.push(diagnostic);
        }
    }

    /// Counts a fault whose diagnostic nobody will see.
    pub(crate) fn count_only(&mut self) {
        self.dropped += 1;
    }

    /// True when further diagnostics are only counted: costly advice can be spared.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MAX_DIAGNOSTICS
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.dropped > 0
            || self
                .list
                .iter()
                .any(|fault| fault.severity == Severity::Error)
    }

    /// Takes over the faults of another collection, within the limit.
    pub(crate) fn append(&mut self, other: Self) {
        self.dropped += other.dropped;
        other.list.into_iter().for_each(|fault| self.report(fault));
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(keep);
    }

    /// The diagnostics in the order of their places.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|fault| (fault.span(), fault.code));
        if self.dropped > 0 {
            let last = self.list.last().map(Diagnostic::span).unwrap_or_default();
            let message = format!("{} more faults are not shown", self.dropped);
            self.list.push(
                Diagnostic::new(Code::TooManyFaults, last, message)
                    .help(format!("mend the first {MAX_DIAGNOSTICS} and check again")),
            );
        }
        self.list
    }
}

/// Text from a file as it may stand in a message: in backticks, escaped, at most 60 characters.
pub(crate) fn quote(text: &str) -> String {
    const MOST: usize = 60;
    let mut quoted = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == MOST {
            quoted.push('…');
            break;
        }
        // `escape_debug` leaves letters of all scripts as they are and escapes what is not visible.
        if c == '\'' || c == '"' {
            quoted.push(c)
        } else {
            quoted.extend(c.escape_debug())
        }
    }
    quoted.push('`');
    quoted
}

/// The known word nearest to a mistyped one, if one is near enough to be meant.
pub(crate) fn nearest<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // A longer text cannot be near any known word, and comparing it would be slow.
    if text.len() > 40 {
        return None;
    }
    let near = |word: &'w str| {
        let distance = strsim::damerau_levenshtein(
            &text.to_lowercase().replace('-', "_"),
            &word.replace('-', "_"),
        );
        let allowed = (word.len() / 3).clamp(1, 3);
        (distance <= allowed).then_some((distance, word))
    };
    words
        .into_iter()
        .filter_map(near)
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_escaped_and_short() {
        assert_eq!(quote("a\u{1b}[31m"), "`a\\u{1b}[31m`");
        assert_eq!(quote("\u{202e}x"), "`\\u{202e}x`");
        assert_eq!(quote("it's"), "`it's`");
        assert_eq!(quote(&"x".repeat(1000)).chars().count(), 63);
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(
            nearest("apt_instal", ["apt_install", "apt_repo"]),
            Some("apt_install")
        );
        assert_eq!(
            nearest("apt-install", ["apt_install", "apt_repo"]),
            Some("apt_install")
        );
        assert_eq!(nearest("nmae", ["name", "argv"]), Some("name"));
        assert_eq!(nearest("xyz", ["name", "argv"]), None);
        assert_eq!(nearest(&"n".repeat(100_000), ["name"]), None);
    }

    #[test]
    fn beyond_the_limit_faults_are_counted() {
        let mut faults = Faults::default();
        for at in 0..MAX_DIAGNOSTICS + 7 {
            faults.report(Diagnostic::new(
                Code::UnknownKey,
                Span::new(at..at + 1),
                "x",
            ));
        }
        assert!(faults.has_errors());
        let list = faults.finish();
        assert_eq!(list.len(), MAX_DIAGNOSTICS + 1);
        assert_eq!(
            list.last().map(|last| last.message.as_str()),
            Some("7 more faults are not shown")
        );
    }
}
