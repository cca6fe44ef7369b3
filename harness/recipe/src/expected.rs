//! `expected.toml`: the one table of expected outcomes. A cell that meets its row does not count
//! against a run; an unexpectedly passing one does.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use assay_wire::name::{RecipeName, TargetId};
use assay_wire::outcome::{OutcomeKind, Phase, Reason};
use assay_wire::source::Span;
use toml::de::DeTable;

use crate::Parsed;
use crate::code::Code;
use crate::convert::literal_url;
use crate::diagnostic::{Diagnostic, Faults, Spanned, quote};
use crate::document::with_document;
use crate::name::{WireName as _, misfit, outside};
use crate::table::{Reader, Table};
use crate::template::Url;
use crate::text::{TextFault, strict};
use crate::when::word;

/// All rows, in the order written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expectations {
    /// The rows `[[expected]]`.
    pub rows: Vec<Expectation>,
}

/// What is expected of the cells of one recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The recipe.
    pub recipe: Spanned<RecipeName>,
    /// The targets; never empty.
    pub targets: Vec<Spanned<TargetPattern>>,
    /// The outcome.
    pub outcome: Spanned<OutcomeKind>,
    /// The phase, which must match when given.
    pub phase: Option<Spanned<Phase>>,
    /// The reason, which must match when given.
    pub reason: Option<Spanned<Reason>>,
    /// Where it is tracked.
    pub link: Option<Spanned<Url>>,
    /// The last day on which the row counts.
    pub expires: Option<Spanned<Date>>,
    /// What the cell needs of the world; without it the cell is not run.
    pub needs: Vec<Spanned<Need>>,
    /// The header `[[expected]]`.
    pub span: Span,
}

impl Expectations {
    /// The row for a cell of one recipe: one that names the target itself, else the first whose
    /// pattern matches it.
    #[must_use]
    pub fn find(&self, recipe: &RecipeName, target: &TargetId) -> Option<&Expectation> {
        let of_recipe = || self.rows.iter().filter(|row| row.recipe.value == *recipe);
        let exact = of_recipe().find(|row| {
            row.targets
                .iter()
                .any(|pattern| pattern.value.as_str() == target.as_str())
        });
        exact.or_else(|| {
            of_recipe().find(|row| {
                row.targets
                    .iter()
                    .any(|pattern| pattern.value.matches(target))
            })
        })
    }
}

/// A target, or a pattern of targets in which `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetPattern(String);

impl TargetPattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when a target matches.
    #[must_use]
    pub fn matches(&self, target: &TargetId) -> bool {
        matches_stars(&self.0, target.as_str())
    }
}

/// True if a text fits a pattern: itself, or with `*` for any text.
#[must_use]
pub fn matches_stars(pattern: &str, text: &str) -> bool {
    // The parts between stars must stand in their order; the first and last are anchored.
    let mut parts = pattern.split('*');
    let (Some(first), last) = (parts.next(), parts.next_back()) else {
        return false;
    };
    let Some(last) = last else {
        return first == text;
    };
    let rest = text.strip_prefix(first);
    let Some(rest) = rest.and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    parts
        .try_fold(rest, |rest, part| {
            rest.find(part).map(|at| &rest[at + part.len()..])
        })
        .is_some()
}

impl FromStr for TargetPattern {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        strict("target", text)?;
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'*';
        match misfit(text, word, |b| word(b) || b"._-".contains(&b), 100) {
            None => Ok(Self(text.to_owned())),
            Some(at) => {
                let grammar = "lower-case letters, digits and `._-`, with `*` for any characters";
                Err(outside(Code::InvalidTarget, "target", grammar, text, at))
            }
        }
    }
}

impl fmt::Display for TargetPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Something of the world a cell needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// A host that answers, written `host:NAME`.
    Host(String),
}

impl FromStr for Need {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        strict("need", text)?;
        let bad = |at| {
            outside(
                Code::InvalidNeed,
                "need",
                "`host:` and the name of a host, such as `host:download.docker.com`",
                text,
                at,
            )
        };
        let host = text.strip_prefix("host:").ok_or_else(|| bad(text.len()))?;
        // A host is what a URL takes as one, without a port.
        let url: Result<Url, TextFault> = format!("https://{host}/").parse();
        match url {
            Ok(url) if url.host() == host => Ok(Self::Host(host.to_owned())),
            Ok(_) | Err(_) => Err(bad(text.len())),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "host:{host}"),
        }
    }
}

/// A day of the Gregorian calendar, written `2026-12-31` (RFC 3339 full-date).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// A day, if the calendar has it.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        (year <= 9999 && (1..=days).contains(&day)).then_some(Self { year, month, day })
    }
}

impl FromStr for Date {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, b)| {
                if matches!(at, 4 | 7) {
                    b == b'-'
                } else {
                    b.is_ascii_digit()
                }
            });
        let date = || {
            Self::new(
                text[..4].parse().ok()?,
                text[5..7].parse().ok()?,
                text[8..].parse().ok()?,
            )
        };
        shape.then(date).flatten().ok_or_else(|| {
            TextFault::new(Code::InvalidDate, format!("{} is not a date", quote(text)))
                .help("write it as `2026-12-31`")
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Parses `expected.toml`.
#[must_use]
pub fn parse_expected(text: &str) -> Parsed<Expectations> {
    let mut faults = Faults::default();
    let value = with_document(text, &mut faults, |entries, faults| {
        read_expectations(text, entries, faults)
    });
    Parsed {
        value,
        diagnostics: faults.finish(),
    }
}

const ROW_KEYS: &[&str] = &[
    "recipe", "targets", "outcome", "phase", "reason", "link", "expires", "needs",
];

fn read_expectations(
    text: &str,
    entries: &DeTable<'_>,
    faults: &mut Faults,
) -> Option<Expectations> {
    let reader = &mut Reader { text, faults };
    let root = Table::root(entries);
    reader.check_keys(&root, &["expected"], &[]);
    let rows: Vec<_> = reader
        .tables(&root, "expected")
        .iter()
        .map(|table| read_row(reader, table))
        .collect();
    let mut seen: BTreeMap<(&RecipeName, &TargetPattern), Span> = BTreeMap::new();
    for row in rows.iter().flatten() {
        for target in &row.targets {
            let Some(first) = seen.insert((&row.recipe.value, &target.value), target.span) else {
                continue;
            };
            let message = format!(
                "two rows expect something of `{}` on `{}`",
                row.recipe.value, target.value
            );
            let diagnostic = Diagnostic::new(Code::DuplicateExpectation, target.span, message)
                .labelled("again")
                .and(first, "first");
            reader.faults.report(diagnostic.help("remove one of them"));
        }
    }
    Some(Expectations {
        rows: rows.into_iter().collect::<Option<_>>()?,
    })
}

fn read_row(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Expectation> {
    reader.check_keys(table, ROW_KEYS, &[]);
    let recipe = reader.parsed(table, "recipe", RecipeName::read);
    let recipe = reader.required(table, "recipe", recipe);
    let targets = reader.list(table, "targets", str::parse);
    let targets = reader.required(table, "targets", targets);
    let outcome = reader.parsed(table, "outcome", |text| {
        word("outcome", text, OutcomeKind::ALL, OutcomeKind::as_str)
    });
    let outcome = reader.required(table, "outcome", outcome);
    let phase = reader.parsed(table, "phase", |text| {
        word("phase", text, Phase::ALL, Phase::as_str)
    });
    let reason = reader.parsed(table, "reason", |text| {
        word("reason", text, Reason::ALL, Reason::as_str)
    });
    let link = reader.parsed(table, "link", literal_url);
    let expires = read_date(reader, table, "expires");
    let needs = reader.list(table, "needs", str::parse).unwrap_or_default();
    let outcome = outcome?;
    contradictions(reader, table, outcome);
    Some(Expectation {
        recipe: recipe?,
        targets: targets?,
        outcome,
        phase,
        reason,
        link,
        expires,
        needs,
        span: table.span,
    })
}

/// Only a failure has a phase and a reason, and nobody can expect to be interrupted.
fn contradictions(reader: &mut Reader<'_>, table: &Table<'_>, outcome: Spanned<OutcomeKind>) {
    if outcome.value == OutcomeKind::Cancelled {
        let message = "a cell cannot be expected to be cancelled: a run that is interrupted ends";
        reader.faults.report(Diagnostic::new(
            Code::ContradictingExpectation,
            outcome.span,
            message,
        ));
    }
    if outcome.value == OutcomeKind::Failed {
        return;
    }
    for key in ["phase", "reason"] {
        if let Some(span) = table.key_span(key) {
            let message = format!(
                "only a failed cell has a {key}; this one is expected to be `{}`",
                outcome.value
            );
            let diagnostic = Diagnostic::new(Code::ContradictingExpectation, span, message)
                .and(outcome.span, "expected here");
            reader
                .faults
                .report(diagnostic.help(format!("remove `{key}`, or expect `failed`")));
        }
    }
}

/// A day, written as TOML's date or as a string.
pub(crate) fn read_date(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    key: &str,
) -> Option<Spanned<Date>> {
    let value = table.get(key)?;
    if let Some(text) = value.as_date_text() {
        return reader.read(Spanned::new(text.as_str(), value.span), str::parse);
    }
    reader.parsed(table, key, str::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FULL: &str = r#"
[[expected]]
recipe = "old-requirement"
targets = ["debian-*", "arch"]
outcome = "failed"
phase = "prepare"
reason = "requirement_unmet"
link = "https://example.org/issues/1"
expires = 2026-12-31
needs = ["host:download.docker.com"]

[[expected]]
recipe = "old-requirement"
targets = "debian-13"
outcome = "passed"
expires = "2027-02-28"
"#;

    #[test]
    fn rows_are_read_and_found() {
        let parsed = parse_expected(FULL);
        assert_eq!(parsed.diagnostics, []);
        let expectations = parsed.value.expect("no fault");
        let outcome = |target: &str| {
            let recipe = "old-requirement".parse().expect("a name");
            expectations
                .find(&recipe, &target.parse().expect("a target"))
                .map(|row| row.outcome.value)
        };
        assert_eq!(outcome("debian-12"), Some(OutcomeKind::Failed));
        assert_eq!(outcome("debian-13"), Some(OutcomeKind::Passed));
        assert_eq!(outcome("arch"), Some(OutcomeKind::Failed));
        assert_eq!(outcome("fedora-44"), None);
        let row = &expectations.rows[0];
        assert_eq!(row.expires.map(|date| date.value), Date::new(2026, 12, 31));
        assert_eq!(row.needs[0].value.to_string(), "host:download.docker.com");
    }

    #[test]
    fn patterns_match_whole_targets() {
        for (pattern, target, expected) in [
            ("*", "arch", true),
            ("debian-*", "debian-12", true),
            ("debian-*", "my-debian-12", false),
            ("*-arm64", "debian-12-arm64", true),
            ("*12*", "debian-12-arm64", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("arch", "arch-arm64", false),
        ] {
            let parsed: TargetPattern = pattern.parse().expect("a pattern of this test");
            assert_eq!(
                parsed.matches(&target.parse().expect("a target")),
                expected,
                "{pattern} {target}"
            );
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert!("2028-02-29".parse::<Date>().is_ok());
        for bad in [
            "2026-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-1-1",
            "2026-01-32",
            "26-01-01",
            "2026/01/01",
            "２026-01-0",
            "",
        ] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
        assert!(Date::new(2026, 12, 31) < Date::new(2027, 1, 1));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c*-]{0,8}|[0-9-]{10}|host:.*|.*", target in "[a-c][a-c-]{0,8}") {
            if let Ok(pattern) = text.parse::<TargetPattern>() {
                let _ = pattern.matches(&target.parse().expect("generated from the grammar"));
            }
            let _ = text.parse::<Date>();
            let _ = text.parse::<Need>();
            let _ = parse_expected(&text);
        }

        #[test]
        fn a_pattern_matches_what_its_stars_are_replaced_by(a in "[a-c]{1,3}", b in "[a-c-]{0,3}", c in "[a-c]{0,3}", fill in "[a-c-]{0,3}") {
            let pattern: TargetPattern = format!("{a}*{b}*{c}").parse().expect("generated from the grammar");
            let target = format!("{a}{fill}{b}{fill}{c}").parse().expect("generated from the grammar");
            prop_assert!(pattern.matches(&target));
        }
    }
}
