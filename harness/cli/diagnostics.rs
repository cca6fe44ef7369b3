//! Diagnostics for people and for programs: the line, the code, the advice.

use std::collections::BTreeMap;

use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};
use assay_recipe::{Diagnostic, Severity};
use assay_report::sanitise::{inert, is_hidden};
use assay_wire::name::RecipeName;
use assay_wire::source::{LineIndex, Location, Span};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::CliError;
use crate::terminal::Terminal;

/// A text that was read, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The file as the user named it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Why there is no text.
    pub(crate) unreadable: Option<CliError>,
}

impl Source {
    /// True if it cannot be used.
    pub(crate) fn is_invalid(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many diagnostics of this severity there are.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        let unreadable = usize::from(severity == Severity::Error && self.unreadable.is_some());
        unreadable
            + self
                .diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.severity == severity)
                .count()
    }
}

/// One diagnostic for a program.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct JsonDiagnostic {
    code: &'static str,
    severity: &'static str,
    message: String,
    labels: Vec<JsonLabel>,
    help: Option<String>,
}

/// A place with what is to be said of it.
#[derive(Debug, Serialize, JsonSchema)]
struct JsonLabel {
    location: Location,
    message: String,
}

/// The diagnostics of a source for a program.
pub(crate) fn to_json(source: &Source) -> Vec<JsonDiagnostic> {
    let index = LineIndex::new(&source.text);
    let label = |one: &assay_recipe::Label| JsonLabel {
        location: index.location(&source.name, one.span),
        message: one.message.clone(),
    };
    let diagnostics = source.diagnostics.iter().map(|diagnostic| JsonDiagnostic {
        code: diagnostic.code.as_str(),
        severity: diagnostic.severity.as_str(),
        message: diagnostic.message.clone(),
        labels: diagnostic.labels.iter().map(label).collect(),
        help: diagnostic.help.clone(),
    });
    diagnostics.collect()
}

/// Faults of a set for a program.
pub(crate) fn faults_to_json(
    faults: &[assay_plan::Fault],
    sources: &BTreeMap<RecipeName, &Source>,
) -> Vec<JsonDiagnostic> {
    let label = |place: &assay_plan::Place| {
        let source = sources.get(&place.recipe)?;
        let location = LineIndex::new(&source.text).location(&source.name, place.span);
        Some(JsonLabel {
            location,
            message: place.message.clone(),
        })
    };
    let diagnostics = faults.iter().map(|fault| JsonDiagnostic {
        code: fault.code.as_str(),
        severity: fault.severity.as_str(),
        message: fault.message.clone(),
        labels: fault.places.iter().filter_map(label).collect(),
        help: fault.help.clone(),
    });
    diagnostics.collect()
}

/// A finding at one place for a program.
pub(crate) fn one_to_json(
    source: &Source,
    severity: Severity,
    code: &'static str,
    message: &str,
    span: Span,
) -> JsonDiagnostic {
    let location = LineIndex::new(&source.text).location(&source.name, span);
    let labels = vec![JsonLabel {
        location,
        message: String::new(),
    }];
    JsonDiagnostic {
        code,
        severity: severity.as_str(),
        message: message.to_owned(),
        labels,
        help: None,
    }
}

/// Prints the diagnostics of a source to standard error.
pub(crate) fn print(terminal: &Terminal, source: &Source) {
    if let Some(error) = &source.unreadable {
        terminal.error(error);
        terminal.message("");
    }
    let shown = Shown::new(source);
    for diagnostic in &source.diagnostics {
        let places: Vec<Place<'_>> = diagnostic
            .labels
            .iter()
            .map(|label| (&shown, label.span, label.message.as_str()))
            .collect();
        let title = (
            diagnostic.severity,
            diagnostic.code.as_str(),
            diagnostic.message.as_str(),
        );
        print_report(terminal, title, &places, diagnostic.help.as_deref());
    }
}

/// Prints a finding at one place.
pub(crate) fn print_one(
    terminal: &Terminal,
    source: &Source,
    severity: Severity,
    code: &'static str,
    message: &str,
    span: Span,
) {
    print_report(
        terminal,
        (severity, code, message),
        &[(&Shown::new(source), span, "")],
        None,
    );
}

/// Prints faults of a set of recipes, whose places lie in several files.
pub(crate) fn print_faults(
    terminal: &Terminal,
    faults: &[assay_plan::Fault],
    sources: &BTreeMap<RecipeName, &Source>,
) {
    let shown: BTreeMap<&RecipeName, Shown> = sources
        .iter()
        .map(|(name, source)| (name, Shown::new(source)))
        .collect();
    for fault in faults {
        let known = |place: &'_ assay_plan::Place| {
            shown.get(&place.recipe).map(|shown| (shown, place.span))
        };
        let places: Vec<Place<'_>> = fault
            .places
            .iter()
            .filter_map(|place| {
                known(place).map(|(shown, span)| (shown, span, place.message.as_str()))
            })
            .collect();
        print_report(
            terminal,
            (fault.severity, fault.code.as_str(), fault.message.as_str()),
            &places,
            fault.help.as_deref(),
        );
    }
}

/// A text whose every byte stands where it stood, without what a terminal would obey or hide.
struct Shown {
    name: String,
    text: String,
}

impl Shown {
    fn new(source: &Source) -> Self {
        // The renderer has pictures for ASCII's control characters, and knows tabs.
        Self {
            name: in_place(&source.name, true).replace('\n', "?"),
            text: in_place(&source.text, false),
        }
    }
}

/// A place in a text, with a few words.
type Place<'a> = (&'a Shown, Span, &'a str);

/// Renders one finding; only an error if nothing else is wanted. Places in one text share a
/// snippet.
fn print_report(
    terminal: &Terminal,
    title: (Severity, &str, &str),
    places: &[Place<'_>],
    help: Option<&str>,
) {
    let (severity, code, message) = title;
    if terminal.quiet && severity != Severity::Error {
        return;
    }
    let (message, help) = (in_lines(message), help.map(in_lines));
    let words: Vec<String> = places.iter().map(|(_, _, words)| in_lines(words)).collect();
    let mut snippets: Vec<(&Shown, Vec<Annotation<'_>>)> = Vec::new();
    for (index, ((shown, span, _), words)) in places.iter().zip(&words).enumerate() {
        let kind = if index == 0 {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let annotation = annotate(&shown.text, kind, *span, words);
        match snippets
            .iter_mut()
            .find(|(known, _)| std::ptr::eq(*known, *shown))
        {
            Some((_, annotations)) => annotations.push(annotation),
            None => snippets.push((shown, vec![annotation])),
        }
    }
    let mut group = level(severity)
        .primary_title(message.as_str())
        .id(code)
        .elements(snippets.into_iter().map(|(shown, annotations)| {
            Snippet::source(shown.text.as_str())
                .path(shown.name.as_str())
                .annotations(annotations)
        }));
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if terminal.colors_stderr() {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    terminal.message(&renderer.term_width(terminal.width()).render(&[group]));
    terminal.message("");
}

/// A span of a text with its words. A span past the end, or within a character, must not break the
/// rendering.
fn annotate<'s>(text: &str, kind: AnnotationKind, span: Span, words: &'s str) -> Annotation<'s> {
    let range = span.range();
    let boundary = |at: &usize| text.is_char_boundary(*at);
    let start = (0..=range.start.min(text.len()))
        .rev()
        .find(boundary)
        .unwrap_or(0);
    let end = (range.end.clamp(start, text.len())..=text.len())
        .find(boundary)
        .unwrap_or(text.len());
    let annotation = kind.span(start..end);
    if words.is_empty() {
        annotation
    } else {
        annotation.label(words)
    }
}

/// Words beside an excerpt. Their further lines have no gutter before them, so none may be a command
/// of a log.
fn in_lines(text: &str) -> String {
    let text = in_place(text, true);
    let lines: Vec<_> = text.split('\n').map(inert).collect();
    lines.join("\n")
}

/// The text with visible characters of the same length in bytes in place of those that a terminal
/// obeys or hides, or that make a command of a log, so that spans stay true; ASCII's own only if asked.
/// Newlines and tabs stay.
fn in_place(text: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '[' && out.ends_with("##") {
            out.push('?');
            continue;
        }
        if !is_hidden(character)
            || matches!(character, '\n' | '\t')
            || (character.is_ascii() && !ascii)
        {
            out.push(character);
            continue;
        }
        out.push_str(match character.len_utf8() {
            1 => "?",
            2 => "¿",
            3 => "\u{fffd}",
            _ => "¿¿",
        });
    }
    out
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Hint => Level::NOTE.with_name("hint"),
    }
}

#[cfg(test)]
mod tests {
    use assay_report::sanitise::LOG_COMMAND;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_characters_keep_their_length() {
        let text = "a\u{1b}\u{9b}\u{202e}\u{e0041}\tb\n";
        assert_eq!(in_place(text, true), "a?¿\u{fffd}¿¿\tb\n");
        assert_eq!(in_place(text, false), "a\u{1b}¿\u{fffd}¿¿\tb\n");
        assert_eq!(in_place("a ###[x] #[", false), "a ###?x] #[");
        assert_eq!(in_lines("a\n ::error::b"), "a\n \\x3a:error::b");
    }

    proptest! {
        #[test]
        fn every_boundary_stays_a_boundary(text in any::<String>()) {
            let shown = in_place(&text, true);
            prop_assert_eq!(shown.len(), text.len());
            for (at, _) in text.char_indices() {
                prop_assert!(shown.is_char_boundary(at));
            }
        }

        #[test]
        fn no_text_and_no_span_gets_anything_through_that_is_obeyed(text in "(?s)([#:\\[ \n]|.){0,40}", start in 0_u32..99, length in 0_u32..99) {
            let shown = Shown { name: "x".to_owned(), text: in_place(&text, false) };
            let span = Span { start, end: start + length };
            let annotation = annotate(&shown.text, AnnotationKind::Primary, span, "here");
            let snippet = Snippet::source(shown.text.as_str()).path(shown.name.as_str()).annotation(annotation);
            let rendered = Renderer::plain().render(&[Level::ERROR.primary_title("t").element(snippet)]);
            prop_assert!(!rendered.chars().any(|c| c != '\n' && is_hidden(c)), "{:?}", rendered);
            prop_assert!(!rendered.contains(LOG_COMMAND), "{:?}", rendered);
            prop_assert!(!rendered.lines().any(|line| line.trim_start().starts_with("::")), "{:?}", rendered);
        }
    }
}
