//! Diagnostics for people and for programs: the line, the code, the advice.

use std::collections::BTreeMap;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use assay_recipe::{Diagnostic, Severity};
use assay_wire::name::RecipeName;
use assay_wire::source::{LineIndex, Location, Span};
use serde::Serialize;

use crate::terminal::Terminal;

/// A text that was read, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file as the user named it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Source {
    /// True if it cannot be used.
    pub(crate) fn is_invalid(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many diagnostics of this severity there are.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }
}

/// One diagnostic for a program.
#[derive(Debug, Serialize)]
pub(crate) struct JsonDiagnostic<'d> {
    code: &'d str,
    severity: &'d str,
    message: &'d str,
    labels: Vec<JsonLabel<'d>>,
    help: Option<&'d str>,
}

#[derive(Debug, Serialize)]
struct JsonLabel<'d> {
    location: Location,
    message: &'d str,
}

/// The diagnostics of a source for a program.
pub(crate) fn to_json(source: &Source) -> Vec<JsonDiagnostic<'_>> {
    let index = LineIndex::new(&source.text);
    let label = |label: &'_ assay_recipe::Label| index.location(&source.name, label.span);
    source
        .diagnostics
        .iter()
        .map(|diagnostic| JsonDiagnostic {
            code: diagnostic.code.as_str(),
            severity: diagnostic.severity.as_str(),
            message: &diagnostic.message,
            labels: diagnostic
                .labels
                .iter()
                .map(|one| JsonLabel { location: label(one), message: &one.message })
                .collect(),
            help: diagnostic.help.as_deref(),
        })
        .collect()
}

/// Prints the diagnostics of a source to standard error. Hints are left out if only faults are
/// wanted.
pub(crate) fn print(terminal: &Terminal, source: &Source) {
    let renderer = if terminal.colors_stderr() { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(terminal.width());
    for diagnostic in &source.diagnostics {
        if !(terminal.quiet && diagnostic.severity != Severity::Error) {
            terminal.message(&renderer.render(&report(source, diagnostic)));
            terminal.message("");
        }
    }
}

fn report<'s>(source: &'s Source, diagnostic: &'s Diagnostic) -> Vec<Group<'s>> {
    let annotations = diagnostic.labels.iter().enumerate().map(|(index, label)| {
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        annotate(source, kind, label.span, &label.message)
    });
    let snippet = Snippet::source(source.text.as_str()).path(source.name.as_str()).annotations(annotations);
    let mut group = level(diagnostic.severity).primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str()).element(snippet);
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    vec![group]
}

/// A span of a source with its words. A span past the end, or within a character, must not break
/// the rendering.
fn annotate<'s>(source: &'s Source, kind: AnnotationKind, span: Span, words: &'s str) -> Annotation<'s> {
    let range = span.range();
    let start = source.text.floor_char_boundary(range.start.min(source.text.len()));
    let end = source.text.ceil_char_boundary(range.end.clamp(start, source.text.len()));
    let annotation = kind.span(start..end);
    if words.is_empty() { annotation } else { annotation.label(words) }
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Hint => Level::NOTE.with_name("hint"),
    }
}

/// Prints faults of a set of recipes, whose places lie in several files.
pub(crate) fn print_faults(terminal: &Terminal, faults: &[assay_plan::Fault], sources: &BTreeMap<RecipeName, &Source>) {
    let renderer = if terminal.colors_stderr() { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(terminal.width());
    for fault in faults {
        let title = level(fault.severity).primary_title(fault.message.as_str()).id(fault.code.as_str());
        let mut elements: Vec<annotate_snippets::Element<'_>> = Vec::new();
        for (index, place) in fault.places.iter().enumerate() {
            let Some(source) = sources.get(&place.recipe) else { continue };
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = annotate(source, kind, place.span, &place.message);
            let snippet = Snippet::source(source.text.as_str()).path(source.name.as_str()).annotation(annotation);
            elements.push(snippet.into());
        }
        if let Some(help) = &fault.help {
            elements.push(Level::HELP.message(help.as_str()).into());
        }
        terminal.message(&renderer.render(&[title.elements(elements)]));
        terminal.message("");
    }
}
