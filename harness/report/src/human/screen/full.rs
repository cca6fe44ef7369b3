//! A screen on which nothing is folded.

use std::collections::BTreeMap;
use std::io;

use assay_observe::delta::PackageFact;
use assay_observe::risk::Risk;
use assay_observe::{CellRecord, Record};
use assay_wire::package::Signature;

use super::super::page::{Colour, Page};
use super::{ALL, TEXT, colour, counts, head, sections};
use crate::sanitise;
use crate::screen::{Item, Screen};
use crate::words::{actor_in_words, chain_in_words, place_in, what};

/// A screen with everything on it: every operation with what is known of it, the packages, and what is
/// ordinary.
pub(super) fn in_full(record: &Record, screen: &Screen<'_>, page: &mut Page<'_>) -> io::Result<()> {
    head(screen, page)?;
    for gap in screen.gaps().iter().take(ALL) {
        page.coloured_field("GAP", Colour::Red, &sanitise::line(gap, TEXT))?;
    }
    for section in sections(screen) {
        page.coloured(section.colour, &section.title)?;
        for item in section.items.iter().take(ALL) {
            operation(item, page)?;
        }
        left_out(section.items.len(), page)?;
        if section.title.starts_with("NEEDS")
            && let Some(grant) = screen.grant(record)
        {
            page.command("grant", &grant)?;
        }
    }
    screen
        .cells
        .iter()
        .try_for_each(|cell| ordinary(cell, page))?;
    screen
        .cells
        .iter()
        .try_for_each(|cell| packages(cell, page))?;
    for (name, text) in counts(screen) {
        page.field(name, &text)?;
    }
    Ok(())
}

fn operation(item: &Item<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let line = &item.line;
    let attack = line.attack.map(|id| format!(" · {id}"));
    let text = format!(
        "{} {} · {}{}",
        line.name,
        line.what,
        line.places.join(", "),
        attack.unwrap_or_default()
    );
    page.coloured_field(line.risk.label(), colour(line.risk), &text)?;
    let mut notes = line.notes.iter().chain(&line.more);
    notes.try_for_each(|note| page.item(1, &sanitise::line(note, TEXT)))?;
    let states = [
        ("was", &item.operation.before),
        ("is", &item.operation.after),
    ];
    for (name, state) in states {
        if let Some(state) = state {
            page.item(1, &sanitise::line(&format!("{name} {state}"), TEXT))?;
        }
    }
    for part in &item.parts {
        let actor = actor_in_words(part.operation.actor.as_ref());
        let kind = part.operation.kind.name();
        let text = format!("{kind} {} · by {actor}", what(&part.operation));
        page.item(1, &sanitise::line(&text, TEXT))?;
    }
    page.item(1, &format!("digest sha256:{}", item.digest))
}

/// What is explained and ordinary, and still worth a line of its own.
fn ordinary(cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    let seen = cell.observed.operations.iter();
    let ordinary = seen.filter(|seen| seen.risk == Risk::Ordinary && !seen.class.is_undeclared());
    let ordinary: Vec<_> = ordinary.collect();
    if ordinary.is_empty() {
        return Ok(());
    }
    page.coloured(Colour::Bold, "ORDINARY")?;
    for seen in ordinary.iter().take(ALL) {
        let operation = &seen.operation;
        let actor = actor_in_words(operation.actor.as_ref());
        let place = place_in(cell, operation, seen.pass);
        let kind = operation.kind.name();
        let text = format!("{kind} {} · {place} · by {actor}", what(operation));
        page.field(seen.risk.label(), &sanitise::line(&text, TEXT))?;
    }
    left_out(ordinary.len(), page)
}

/// The packages that came, those together for which the same vouches.
fn packages(cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    let packages = &cell.delta.packages;
    if packages.is_empty() {
        return Ok(());
    }
    page.coloured(Colour::Bold, "PACKAGES")?;
    let mut groups: BTreeMap<String, Vec<&PackageFact>> = BTreeMap::new();
    for fact in packages.iter().take(ALL) {
        let mut words = chain_in_words(&fact.chain);
        if let Some(why) = &fact.unreadable {
            words.push_str(&format!(" · not read: {why}"));
        }
        groups.entry(words).or_default().push(fact);
    }
    for (words, facts) in groups {
        let is_good = |fact: &&PackageFact| {
            let is_bad = matches!(fact.chain.own, Signature::Bad { .. });
            fact.chain.is_verified() && !is_bad && fact.unreadable.is_none()
        };
        let colour = match facts.iter().all(is_good) {
            true => Colour::Plain,
            false => Colour::Yellow,
        };
        page.coloured_field("", colour, &sanitise::line(&words, TEXT))?;
        for fact in facts {
            let version = fact.version.as_deref().unwrap_or("of no known version");
            page.item(
                1,
                &sanitise::line(&format!("{} {version}", fact.name), TEXT),
            )?;
        }
    }
    left_out(packages.len(), page)
}

fn left_out(all: usize, page: &mut Page<'_>) -> io::Result<()> {
    match all.saturating_sub(ALL) {
        0 => Ok(()),
        more => page.field("", &format!("and {more} more, which --format json has")),
    }
}
