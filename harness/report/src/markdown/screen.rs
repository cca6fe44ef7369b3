//! The reviewer's screens as Markdown: a table of what is wrong, what is well folded below it.
//!
//! What stands on a screen, and in which order, [`crate::screen`] says.

use assay_observe::Record;

use super::{LINE, code_span, code_span_of, fenced};
use crate::sanitise;
use crate::screen::{Consents, Item, Screen, capture, folded, stale, vouched};
use crate::words::plural;

/// Operations of a section that are shown.
const ROWS: usize = 20;
/// Operations that are shown of what is folded.
const FOLDED: usize = 40;
/// Most characters of what is done, and of what to know of it.
const TEXT: usize = 200;
/// Most characters of a package's name.
const NAME: usize = 60;
/// Most characters of what is only counted.
const COUNTS: usize = 600;
/// Lines of screens on which nothing is wrong.
const WELL: usize = 60;
/// Entries named that nothing used.
const STALE: usize = 20;

/// A screen in full, and in one line where that does not fit.
pub(super) fn section(record: &Record, screen: &Screen<'_>) -> (String, String) {
    let headline = format!("\n#### {}\n", headline(screen));
    let mut text = headline.clone();
    let wrong = [
        ("not declared", &screen.undeclared),
        ("needs consent", &screen.refused),
    ];
    text.push_str(&table(&wrong, ROWS));
    text.push_str(&gaps(screen));
    if let Some(grant) = screen.grant(record) {
        let lines = [sanitise::line(&grant, LINE)];
        text.push_str(&format!(
            "\nTo grant what can be granted:\n\n{}",
            fenced("sh", &lines)
        ));
    }
    let declared = match screen.consents {
        Consents::Judged => "declared, consented",
        Consents::NotJudged => "declared",
    };
    let well = [
        (declared, &screen.declared),
        ("comes with packages", &screen.accompanying),
    ];
    let count = screen.declared.len() + screen.accompanying.len();
    if count > 0 {
        text.push_str(&format!(
            "\n<details><summary>{} declared or with packages (a change asks again)</summary>\n{}\n</details>\n",
            plural(count, "operation"),
            table(&well, FOLDED)
        ));
    }
    let mut capture = capture(&screen.cells);
    capture.push("reads and what ran before are not recorded".to_owned());
    let counts = [
        ("packages", vouched(&screen.cells)),
        ("folded", folded(&screen.cells)),
        ("capture", capture),
    ];
    for (name, texts) in counts {
        if !texts.is_empty() {
            let texts = code_span_of(&texts.join(" · "), COUNTS);
            text.push_str(&format!("\n<sub>{name}: {texts}</sub>\n"));
        }
    }
    (text, headline)
}

/// What could not be captured, as a list.
fn gaps(screen: &Screen<'_>) -> String {
    let gaps = screen.gaps();
    if gaps.is_empty() {
        return String::new();
    }
    let mut text = "\nnot captured:\n\n".to_owned();
    for gap in gaps.iter().take(ROWS) {
        text.push_str(&format!("- {}\n", code_span_of(gap, TEXT)));
    }
    match gaps.len().saturating_sub(ROWS) {
        0 => {}
        more => text.push_str(&format!("- and {more} more\n")),
    }
    text
}

/// The title and the verdict.
fn headline(screen: &Screen<'_>) -> String {
    let mut findings = screen.findings();
    let sign = match (findings.is_empty(), screen.is_as_expected()) {
        (true, _) => "✅",
        (false, true) => "☑",
        (false, false) => "❌",
    };
    if findings.is_empty() {
        findings.push(screen.all_is_well().to_owned());
    }
    if screen.consents == Consents::NotJudged {
        findings.push("consents are not judged outside a project".to_owned());
    }
    format!(
        "{sign} {} – {}",
        code_span(&screen.title()),
        findings.join(" · ")
    )
}

/// Items of several sections as one table; what is left out is counted below it.
fn table(sections: &[(&str, &Vec<Item<'_>>)], most: usize) -> String {
    if sections.iter().all(|(_, items)| items.is_empty()) {
        return String::new();
    }
    let mut text = "\n| | risk | what | where | ATT&CK |\n|---|---|---|---|---|\n".to_owned();
    let mut left_out = Vec::new();
    for (name, items) in sections {
        for item in items.iter().take(most) {
            text.push_str(&row(name, item));
        }
        match items.len().saturating_sub(most) {
            0 => {}
            more => left_out.push(format!("{more} more {name}")),
        }
    }
    if !left_out.is_empty() {
        text.push_str(&format!(
            "\nand {}: `assay report -v` shows all.\n",
            left_out.join(", ")
        ));
    }
    text
}

fn row(section: &str, item: &Item<'_>) -> String {
    let line = &item.line;
    let notes = if line.notes.is_empty() {
        String::new()
    } else {
        format!("<br>{}", code_span_of(&line.notes.join(" · "), TEXT))
    };
    format!(
        "| {section} | {} | **{}** {}{notes} | {} | {} |\n",
        line.risk.label(),
        code_span_of(&line.name, NAME),
        code_span_of(&line.what, TEXT),
        code_span_of(&line.places.join(", "), TEXT),
        line.attack.unwrap_or_default()
    )
}

/// Screens on which nothing is wrong, or what is wrong is expected, a line each.
pub(super) fn others(screens: &[&Screen<'_>], ordinary: Option<&str>) -> Option<String> {
    if screens.is_empty() {
        return ordinary.map(|ordinary| format!("\n<sub>{ordinary}</sub>\n"));
    }
    let cells: usize = screens.iter().map(|screen| screen.cells.len()).sum();
    let mut text = format!(
        "\n<details><summary>{} more with privileged operations, and nothing to do</summary>\n\n",
        plural(cells, "cell")
    );
    for screen in screens.iter().take(WELL) {
        text.push_str(&format!("- {}\n", headline(screen)));
    }
    match screens.len().saturating_sub(WELL) {
        0 => {}
        more => text.push_str(&format!("- and {more} more\n")),
    }
    if let Some(ordinary) = ordinary {
        text.push_str(&format!("- {ordinary}\n"));
    }
    text.push_str("\n</details>\n");
    Some(text)
}

/// Entries of the ledger that nothing used.
pub(super) fn stale_entries(record: &Record) -> Option<String> {
    let stale = stale(record);
    if stale.is_empty() {
        return None;
    }
    let mut text = "\n### Entries of `consents.toml` that nothing used\n\n".to_owned();
    for (consent, targets) in stale.iter().take(STALE) {
        let entry = format!("{} {} {}", consent.recipe, consent.kind, consent.subject);
        let targets: Vec<String> = targets
            .iter()
            .map(|target| code_span(target.as_str()))
            .collect();
        text.push_str(&format!(
            "- {} on {}\n",
            code_span_of(&entry, TEXT),
            targets.join(", ")
        ));
    }
    match stale.len().saturating_sub(STALE) {
        0 => {}
        more => text.push_str(&format!("- and {more} more\n")),
    }
    Some(text)
}
