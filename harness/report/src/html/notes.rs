//! What concerns the run or many cells of it: keys, manual steps, images, what the harness added and what
//! it left.

use std::collections::{BTreeMap, BTreeSet};

use assay_observe::Record;

use super::page::Page;
use crate::screen::stale;
use crate::words::{cell_title, harness_in_words, key_in_words, keys};

/// Most notes of one kind.
const MOST: usize = 60;

/// Writes the notes, each kind under its title, and what a page like this cannot say.
pub(super) fn write(record: &Record, page: &mut Page) {
    page.markup("<section id=\"notes\">\n<h2>Notes</h2>\n");
    let lab = of_images(record);
    for (title, notes) in [
        (
            "Repositories' keys that were used although something is wrong with them",
            key_findings(record),
        ),
        (
            "Keys trusted for any repository of the machine",
            machine_keys(record),
        ),
        (
            "Sandboxes left behind, until the next run removes them",
            left_behind(record),
        ),
        ("Attempts that broke off", broken_off(record)),
        ("Images", lab),
        ("Added by the harness", added(record)),
        ("Consents that nothing used", unused(record)),
    ] {
        list(title, notes, page);
    }
    page.markup(FOOT).markup("</section>\n");
}

const FOOT: &str = "<h3>What this report cannot say</h3>\n<p>Reads, what ran before, and tunnels nobody looks into are not recorded; of what was written only the hash is, but for small files of configuration. A trace says who did something, a manifest what became of it. <code>assay report --format json</code> holds all of the record: long lists are cut here.</p>\n";

type Notes = BTreeMap<String, BTreeSet<String>>;

fn list(title: &'static str, notes: Notes, page: &mut Page) {
    if notes.is_empty() {
        return;
    }
    page.markup("<h3>").markup(title).markup("</h3>\n<ul>\n");
    let notes: Vec<_> = notes.into_iter().collect();
    let left = page.each(&notes, MOST, |page, (note, on)| {
        page.markup("<li>").text_up_to(500, note);
        let on: Vec<&str> = on.iter().map(String::as_str).collect();
        if !on.is_empty() {
            page.markup(" <small>")
                .text(on.join(", "))
                .markup("</small>");
        }
        page.markup("</li>\n");
    });
    page.more(left, "<li>", "</li>\n");
    page.markup("</ul>\n");
}

fn key_findings(record: &Record) -> Notes {
    let mut notes = Notes::new();
    for (known, cells) in keys(record) {
        let says = format!(
            "{}: {} ({})",
            known.finding.severity.as_str(),
            key_in_words(&known),
            known.step
        );
        let on = cells.iter().map(|cell| cell.facts.cell.target.to_string());
        notes.entry(says).or_default().extend(on);
    }
    notes
}

fn machine_keys(record: &Record) -> Notes {
    let mut notes = Notes::new();
    for cell in &record.cells {
        for (step, path) in cell.facts.machine_keys() {
            let on = notes
                .entry(format!("{path}, of the step {step}"))
                .or_default();
            on.insert(cell.facts.cell.target.to_string());
        }
    }
    notes
}

fn left_behind(record: &Record) -> Notes {
    let left = record.cells.iter().flat_map(|cell| &cell.facts.left);
    left.map(|left| {
        (
            format!("{}: {}", left.sandbox, left.message),
            BTreeSet::new(),
        )
    })
    .collect()
}

fn broken_off(record: &Record) -> Notes {
    let mut notes = Notes::new();
    for cell in &record.cells {
        for attempt in &cell.facts.attempts {
            if let Some(failure) = &attempt.failure {
                notes
                    .entry(failure.message.clone())
                    .or_default()
                    .insert(cell_title(cell));
            }
        }
    }
    notes
}

fn of_images(record: &Record) -> Notes {
    let images = record
        .cells
        .iter()
        .filter_map(|cell| cell.facts.planned.image.as_ref());
    let noted = images.filter_map(|image| Some((image.target.to_string(), image.note.clone()?)));
    noted
        .map(|(target, note)| (format!("{target}: {note}"), BTreeSet::new()))
        .collect()
}

/// Entries of the ledger for what ran here that nothing used.
fn unused(record: &Record) -> Notes {
    let all = stale(record).into_iter();
    all.map(|(consent, targets)| {
        let says = format!(
            "{}: {} {}, granted by {} on {}",
            consent.recipe, consent.kind, consent.subject, consent.by, consent.on
        );
        (says, targets.iter().map(ToString::to_string).collect())
    })
    .collect()
}

fn added(record: &Record) -> Notes {
    let mut notes = Notes::new();
    for cell in record.cells.iter().filter(|cell| cell.facts.user.is_some()) {
        let target = cell.facts.cell.target.to_string();
        let user = cell.facts.user.filter(|user| user.added);
        let user = user.map(|user| {
            format!(
                "user dev ({}:{}) in passwd, group and shadow",
                user.uid, user.gid
            )
        });
        let hosts = cell
            .facts
            .hosts_added
            .then(|| "localhost in /etc/hosts".to_owned());
        let environment = harness_in_words(&cell.facts.planned.harness);
        for line in user.into_iter().chain(hosts).chain(environment) {
            notes.entry(line).or_default().insert(target.clone());
        }
    }
    notes
}
