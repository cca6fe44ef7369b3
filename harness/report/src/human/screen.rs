//! The reviewer's screens for a terminal: at most [`LINES`] lines each, undeclared operations first,
//! everything else folded behind a count. With `-v` nothing is folded.
//!
//! What stands on a screen, and in which order, [`crate::screen`] says; here it is only laid out.

use std::collections::BTreeMap;
use std::io;

use assay_observe::risk::Risk;
use assay_observe::{CellRecord, Record};
use assay_wire::package::Signature;

use super::Detail;
use super::page::{Colour, Page};
use crate::sanitise;
use crate::screen::{
    Consents, Item, Line, Screen, capture, folded, large_and_small, screens, screens_of_all, stale,
};
use crate::words::{actor_in_words, chain_in_words, place_in, plural, what};

/// Lines of a screen.
pub(super) const LINES: usize = 24;
/// Operations of a section of a screen on which nothing is folded.
const ALL: usize = 500;
/// Most characters of anything shown in full.
const TEXT: usize = 2000;
/// Columns of the risk.
const RISK: usize = 7;
/// Most columns of the kind or the package.
const NAME: usize = 15;
/// Most columns of the steps.
const PLACE: usize = 22;
/// Columns of a technique of ATT&CK, such as `T1548.001`.
const ATTACK: usize = 9;
/// With fewer columns than this for what is done, steps and technique give way.
const WHAT: usize = 24;
/// Columns of a title before the verdict.
const TITLE: usize = 36;
/// Entries named that nothing used.
const STALE: usize = 10;

/// Writes the screens: each in full where something is wrong or there is only one, a line for any other.
pub(super) fn write(record: &Record, detail: Detail, page: &mut Page<'_>) -> io::Result<()> {
    match detail {
        Detail::Little => return Ok(()),
        Detail::All => {
            for screen in screens_of_all(record) {
                page.blank()?;
                in_full(record, &screen, page)?;
            }
        }
        Detail::Normal => {
            let screens = screens(record);
            let (large, small) = large_and_small(&screens);
            for screen in large {
                page.blank()?;
                on_one_screen(record, screen, page)?;
            }
            if !small.is_empty() {
                page.blank()?;
            }
            let titles = small.iter().map(|screen| screen.title().chars().count());
            let widest = titles.max().unwrap_or(0).min(page.width / 2);
            for screen in small {
                in_one_line(screen, widest, page)?;
            }
        }
    }
    stale_entries(record, page)
}

/// A section of a screen.
struct Section<'s, 'r> {
    title: String,
    colour: Colour,
    /// Those with the same notes beside each other.
    items: Vec<&'s Item<'r>>,
    /// True if the title says to which steps all of them belong.
    is_placed: bool,
}

/// The sections that hold something, the most urgent first.
fn sections<'s, 'r>(screen: &'s Screen<'r>) -> Vec<Section<'s, 'r>> {
    let of_packages = match screen.place_of_packages() {
        Some(places) => format!("THE PACKAGES OF {}", places.join(", ")),
        None => "PACKAGES".to_owned(),
    };
    let comes = format!("COMES WITH {of_packages}   (a change here asks again)");
    let declared = match screen.consents {
        Consents::Judged => "DECLARED, CONSENTED",
        Consents::NotJudged => "DECLARED",
    };
    let is_seen = |item: &Item<'_>| item.line.notes.is_empty();
    let seen = if screen.declared.iter().all(is_seen) {
        ", SEEN"
    } else {
        ""
    };
    let all = [
        ("NOT DECLARED".to_owned(), Colour::Red, &screen.undeclared),
        ("NEEDS CONSENT".to_owned(), Colour::Yellow, &screen.refused),
        (format!("{declared}{seen}"), Colour::Green, &screen.declared),
        (comes, Colour::Bold, &screen.accompanying),
    ];
    let all = all.into_iter().filter(|(.., items)| !items.is_empty());
    all.map(|(title, colour, items)| Section {
        is_placed: title.starts_with("COMES WITH THE"),
        title,
        colour,
        items: beside_each_other(items),
    })
    .collect()
}

/// Items in the order of the first with the same notes.
fn beside_each_other<'s, 'r>(items: &'s [Item<'r>]) -> Vec<&'s Item<'r>> {
    let mut first: BTreeMap<&[String], usize> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        first.entry(&item.line.notes).or_insert(at);
    }
    let mut items: Vec<&Item<'_>> = items.iter().collect();
    items.sort_by_key(|item| first[item.line.notes.as_slice()]);
    items
}

fn on_one_screen(record: &Record, screen: &Screen<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let folded = folded(&screen.cells).join(" · ");
    let capture = capture(&screen.cells).join(" · ");
    let grant = screen.grant(record);
    let sections = sections(screen);
    let mut taken = heads(screen, page)
        .iter()
        .map(|(_, text)| page.height_of_text(text))
        .sum::<usize>();
    taken += sections.len() + usize::from(grant.is_some());
    taken += page.height_of_field(&capture);
    if !folded.is_empty() {
        taken += page.height_of_field(&folded);
    }
    let heights = |section: &Section<'_, '_>| {
        let items = 0..section.items.len();
        items
            .map(|at| 1 + usize::from(notes(section, at).is_some()))
            .collect()
    };
    let heights: Vec<Vec<usize>> = sections.iter().map(heights).collect();
    let shown = fitting(&heights, LINES.saturating_sub(taken));
    let columns = Columns::of(screen, page.width);
    head(screen, page)?;
    for (section, shown) in sections.iter().zip(shown) {
        let title = sanitise::line(&section.title, page.width);
        page.spans(&[(section.colour, &title)])?;
        for (at, item) in section.items.iter().take(shown).enumerate() {
            if let Some(notes) = notes(section, at) {
                let notes = sanitise::line(&notes, page.width.saturating_sub(2));
                page.spans(&[(Colour::Dim, &format!("  {notes}"))])?;
            }
            row(&item.line, &columns, section.is_placed, page)?;
        }
        match section.items.len() - shown {
            0 => {}
            more => page.spans(&[(Colour::Dim, &format!("  and {more} more, -v shows them"))])?,
        }
        if section.title.starts_with("NEEDS")
            && let Some(grant) = &grant
        {
            page.command("grant", grant)?;
        }
    }
    if !folded.is_empty() {
        page.field("FOLDED", &folded)?;
    }
    page.field("CAPTURE", &capture)
}

/// What stands above an item and those that follow it with the same notes.
fn notes(section: &Section<'_, '_>, at: usize) -> Option<String> {
    let notes = &section.items[at].line.notes;
    let before = at
        .checked_sub(1)
        .map(|before| &section.items[before].line.notes);
    let is_new = !notes.is_empty() && before != Some(notes);
    is_new.then(|| format!("{}:", notes.join(" · ")))
}

/// How many items of each section fit into so many lines: one of each first, then those of the first
/// section, then those of the next. What is left out is a line that says so.
fn fitting(heights: &[Vec<usize>], room: usize) -> Vec<usize> {
    let mut shown = vec![0; heights.len()];
    let taken = |shown: &[usize]| -> usize {
        let sections = heights.iter().zip(shown);
        let taken = sections.map(|(heights, shown)| {
            heights[..*shown].iter().sum::<usize>() + usize::from(*shown < heights.len())
        });
        taken.sum()
    };
    for most in [1, usize::MAX] {
        for section in 0..heights.len() {
            while shown[section] < heights[section].len().min(most) {
                shown[section] += 1;
                if taken(&shown) > room {
                    shown[section] -= 1;
                    break;
                }
            }
        }
    }
    shown
}

/// The title with the verdict: one line if they fit, else the one below the other.
fn head(screen: &Screen<'_>, page: &mut Page<'_>) -> io::Result<()> {
    for (colour, text) in heads(screen, page) {
        page.coloured(colour, &text)?;
    }
    Ok(())
}

fn heads(screen: &Screen<'_>, page: &Page<'_>) -> Vec<(Colour, String)> {
    let (colour, verdict) = verdict(screen);
    let title = sanitise::line(&screen.title(), TEXT);
    let both = format!("{title:<TITLE$}  {verdict}");
    if both.chars().count() <= page.width {
        return vec![(colour, both)];
    }
    vec![(Colour::Bold, title), (colour, format!("  {verdict}"))]
}

fn verdict(screen: &Screen<'_>) -> (Colour, String) {
    let mut findings = screen.findings();
    let (colour, word) = match (findings.is_empty(), screen.is_as_expected()) {
        (true, _) => (Colour::Green, "OK"),
        (false, true) => (Colour::Dim, "FAIL as expected"),
        (false, false) => (Colour::Red, "FAIL"),
    };
    if findings.is_empty() {
        findings.push(screen.all_is_well().to_owned());
    }
    if screen.consents == Consents::NotJudged {
        findings.push("consents are not judged outside a project".to_owned());
    }
    (colour, format!("{word}  {}", findings.join(" · ")))
}

/// A screen on which nothing is wrong, among others.
fn in_one_line(screen: &Screen<'_>, widest: usize, page: &mut Page<'_>) -> io::Result<()> {
    let (colour, verdict) = verdict(screen);
    let title = sanitise::line(&screen.title(), widest);
    let title = format!("{title:<widest$}  ");
    let what = if screen.is_wrong() {
        verdict
    } else {
        let counts = [
            (screen.declared.len(), "declared"),
            (screen.accompanying.len(), "with packages"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let granted = match screen.consents {
            Consents::Judged => ", granted",
            Consents::NotJudged => "; consents are not judged outside a project",
        };
        format!("OK  {}{granted}", counts.join(", "))
    };
    let what = sanitise::line(&what, page.width.saturating_sub(widest + 2));
    page.spans(&[(Colour::Plain, &title), (colour, &what)])
}

/// The columns of a screen's rows; what is 0 is left out.
struct Columns {
    name: usize,
    what: usize,
    place: usize,
    attack: usize,
}

impl Columns {
    fn of(screen: &Screen<'_>, width: usize) -> Self {
        let lines = || {
            let sections = [
                &screen.undeclared,
                &screen.refused,
                &screen.declared,
                &screen.accompanying,
            ];
            sections.into_iter().flatten().map(|item| &item.line)
        };
        let widest = |text: &dyn Fn(&Line) -> usize, most: usize| {
            lines().map(text).max().unwrap_or(0).min(most)
        };
        let name = widest(
            &|line| sanitise::line(&line.name, NAME).chars().count(),
            NAME,
        );
        let mut place = widest(&|line| places(line).chars().count(), PLACE);
        let mut attack = ATTACK;
        let room = |place, attack| {
            let taken = 2 + RISK + 1 + name + 2 + gap(place) + gap(attack);
            width.saturating_sub(taken)
        };
        if room(place, attack) < WHAT {
            attack = 0;
        }
        if room(place, attack) < WHAT {
            place = 0;
        }
        Self {
            name,
            what: room(place, attack),
            place,
            attack,
        }
    }
}

/// The steps of a line, as far as they are shown.
fn places(line: &Line) -> String {
    sanitise::line(&line.places.join(", "), PLACE)
}

/// An operation in one line.
fn row(line: &Line, columns: &Columns, is_placed: bool, page: &mut Page<'_>) -> io::Result<()> {
    let pad = |text: &str, width: usize| {
        let text = sanitise::line(text, width);
        let missing = width - text.chars().count().min(width);
        format!("{text}{}", " ".repeat(missing))
    };
    let name = pad(&line.name, columns.name);
    let rest = if is_placed {
        let room = columns.what + gap(columns.place) + gap(columns.attack);
        sanitise::line(&line.what, room)
    } else {
        let mut rest = pad(&line.what, columns.what);
        if columns.place > 0 {
            rest.push_str(&format!("  {}", pad(&places(line), columns.place)));
        }
        if columns.attack > 0 {
            rest.push_str(&format!("  {}", line.attack.unwrap_or_default()));
        }
        rest
    };
    page.spans(&[
        (
            colour(line.risk),
            &format!("  {:<RISK$} ", line.risk.label()),
        ),
        (Colour::Plain, &format!("{name}  {rest}")),
    ])
}

/// A column with the space before it.
fn gap(width: usize) -> usize {
    if width == 0 { 0 } else { width + 2 }
}

/// A screen with everything on it: every operation with what is known of it, the packages, and what is
/// ordinary.
fn in_full(record: &Record, screen: &Screen<'_>, page: &mut Page<'_>) -> io::Result<()> {
    head(screen, page)?;
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
    let folded = folded(&screen.cells).join(" · ");
    if !folded.is_empty() {
        page.field("FOLDED", &folded)?;
    }
    page.field("CAPTURE", &capture(&screen.cells).join(" · "))
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

/// The packages that came, with who vouches for each.
fn packages(cell: &CellRecord, page: &mut Page<'_>) -> io::Result<()> {
    let packages = &cell.delta.packages;
    if packages.is_empty() {
        return Ok(());
    }
    page.coloured(Colour::Bold, "PACKAGES")?;
    for fact in packages.iter().take(ALL) {
        let version = fact.version.as_deref().unwrap_or("of no known version");
        let mut text = format!("{} {version} · {}", fact.name, chain_in_words(&fact.chain));
        if let Some(why) = &fact.unreadable {
            text.push_str(&format!(" · not read: {why}"));
        }
        let colour = match (&fact.chain.own, fact.chain.is_verified()) {
            (Signature::Bad { .. }, _) | (_, false) => Colour::Yellow,
            (_, true) => Colour::Plain,
        };
        page.coloured_field("", colour, &sanitise::line(&text, TEXT))?;
    }
    left_out(packages.len(), page)
}

fn left_out(all: usize, page: &mut Page<'_>) -> io::Result<()> {
    match all.saturating_sub(ALL) {
        0 => Ok(()),
        more => page.field("", &format!("and {more} more, which --format json has")),
    }
}

/// Entries of the ledger that nothing used: the last thing to know.
fn stale_entries(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let stale = stale(record);
    if stale.is_empty() {
        return Ok(());
    }
    page.blank()?;
    let entries = plural(stale.len(), "entry").replace("entrys", "entries");
    page.coloured(
        Colour::Bold,
        &format!("{entries} of consents.toml that nothing used"),
    )?;
    for (consent, targets) in stale.iter().take(STALE) {
        let targets: Vec<&str> = targets.iter().map(|target| target.as_str()).collect();
        let text = format!(
            "{} {} {} on {}",
            consent.recipe,
            consent.kind,
            consent.subject,
            targets.join(", ")
        );
        page.field("", &sanitise::line(&text, TEXT))?;
    }
    match stale.len().saturating_sub(STALE) {
        0 => {}
        more => page.field("", &format!("and {more} more"))?,
    }
    page.command("remove", "assay consent revoke --stale")
}

fn colour(risk: Risk) -> Colour {
    match risk {
        Risk::RootEquivalent | Risk::TrustRoot => Colour::Red,
        Risk::Persistence | Risk::Network | Risk::Privileged => Colour::Yellow,
        Risk::Ordinary => Colour::Plain,
    }
}
