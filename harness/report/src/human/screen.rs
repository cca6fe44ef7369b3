//! The reviewer's screens for a terminal: at most [`LINES`] lines each, undeclared operations first,
//! everything else folded behind a count. With `-v` nothing is folded.
//!
//! What stands on a screen, and in which order, [`crate::screen`] says; here it is only laid out, in [`full`]
//! with `-v`.

mod full;

use std::collections::BTreeMap;
use std::io;

use assay_observe::Record;
use assay_observe::risk::Risk;

use super::Detail;
use super::page::{Colour, Page, wrap};
use crate::sanitise;
use crate::screen::{
    Consents, Item, Line, Screen, capture, folded, large_and_small, ordinary, screens,
    screens_of_all, stale, vouched,
};
use full::in_full;

/// Lines of a screen: a terminal of 40 has room for what stands around it.
pub(super) const LINES: usize = 32;
/// Most lines of what one operation does, where there is room.
const WRAPPED: usize = 8;
/// Most lines about what could not be captured.
const GAPS: usize = 4;
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
/// Most characters about who vouches for packages.
const VOUCHED: usize = 600;
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
            let ordinary = ordinary(record, &screens);
            if !small.is_empty() || ordinary.is_some() {
                page.blank()?;
            }
            let titles = small.iter().map(|screen| screen.title().chars().count());
            let widest = titles.max().unwrap_or(0).min(page.width / 2);
            for screen in small {
                in_one_line(screen, widest, page)?;
            }
            if let Some(ordinary) = ordinary {
                page.coloured(Colour::Dim, &ordinary)?;
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
    let grant = screen.grant(record);
    let sections = sections(screen);
    let gaps = gaps(screen);
    let mut counts = counts(screen);
    let packages = sanitise::line(&vouched(&screen.cells).join(" · "), VOUCHED);
    if !packages.is_empty() {
        counts.insert(0, ("PACKAGES", packages));
    }
    let mut taken = heads(screen, page)
        .iter()
        .map(|(_, text)| page.height_of_text(text))
        .sum::<usize>();
    taken += sections.len() + gaps.len() + usize::from(grant.is_some());
    for (_, text) in &counts {
        taken += page.height_of_field(text);
    }
    let heights = |section: &Section<'_, '_>| {
        let items = 0..section.items.len();
        items
            .map(|at| 1 + usize::from(notes(section, at).is_some()))
            .collect()
    };
    let heights: Vec<Vec<usize>> = sections.iter().map(heights).collect();
    let room = LINES.saturating_sub(taken);
    let shown = fitting(&heights, room);
    let mut spare = room.saturating_sub(height(&heights, &shown));
    let columns = Columns::of(screen, page.width);
    head(screen, page)?;
    for (at, (section, shown)) in sections.iter().zip(shown).enumerate() {
        // What nothing explains stands before what is not known in full, all else after it.
        if at == usize::from(!screen.undeclared.is_empty()) {
            written(&gaps, page)?;
        }
        let title = sanitise::line(&section.title, page.width);
        page.spans(&[(section.colour, &title)])?;
        for (at, item) in section.items.iter().take(shown).enumerate() {
            if let Some(notes) = notes(section, at) {
                let notes = sanitise::line(&notes, page.width.saturating_sub(2));
                page.spans(&[(Colour::Dim, &format!("  {notes}"))])?;
            }
            spare -= row(&item.line, &columns, section.is_placed, spare, page)?;
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
    if sections.len() == usize::from(!screen.undeclared.is_empty()) {
        written(&gaps, page)?;
    }
    counts
        .iter()
        .try_for_each(|(name, text)| page.field(name, text))
}

/// What is only counted, each with its name.
fn counts(screen: &Screen<'_>) -> Vec<(&'static str, String)> {
    let all = [
        ("FOLDED", folded(&screen.cells)),
        ("CAPTURE", capture(&screen.cells)),
    ];
    let all = all.into_iter().filter(|(_, texts)| !texts.is_empty());
    all.map(|(name, texts)| (name, texts.join(" · "))).collect()
}

/// Lines about what could not be captured.
fn gaps(screen: &Screen<'_>) -> Vec<(Colour, String)> {
    let gaps = screen.gaps();
    if gaps.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![(Colour::Red, "NOT CAPTURED".to_owned())];
    let shown = gaps.iter().take(GAPS);
    lines.extend(shown.map(|gap| (Colour::Plain, format!("  {gap}"))));
    match gaps.len().saturating_sub(GAPS) {
        0 => {}
        more => lines.push((Colour::Dim, format!("  and {more} more, -v shows them"))),
    }
    lines
}

/// Lines that are cut where they do not fit.
fn written(lines: &[(Colour, String)], page: &mut Page<'_>) -> io::Result<()> {
    lines.iter().try_for_each(|(colour, line)| {
        let line = sanitise::line(line, page.width);
        page.spans(&[(*colour, &line)])
    })
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
    for most in [1, usize::MAX] {
        for section in 0..heights.len() {
            while shown[section] < heights[section].len().min(most) {
                shown[section] += 1;
                if height(heights, &shown) > room {
                    shown[section] -= 1;
                    break;
                }
            }
        }
    }
    shown
}

/// How many lines so many items of each section take, with those that say what is left out.
fn height(heights: &[Vec<usize>], shown: &[usize]) -> usize {
    let sections = heights.iter().zip(shown);
    let taken = sections.map(|(heights, shown)| {
        heights[..*shown].iter().sum::<usize>() + usize::from(*shown < heights.len())
    });
    taken.sum()
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

/// An operation in one line, and what it does in so many more as there are to spare; how many it took.
fn row(
    line: &Line,
    columns: &Columns,
    is_placed: bool,
    spare: usize,
    page: &mut Page<'_>,
) -> io::Result<usize> {
    let pad = |text: &str, width: usize| {
        let text = sanitise::line(text, width);
        let missing = width - text.chars().count().min(width);
        format!("{text}{}", " ".repeat(missing))
    };
    let name = pad(&line.name, columns.name);
    // Below the first line there are no steps and no technique.
    let further = columns.what + gap(columns.place) + gap(columns.attack);
    let first = if is_placed { further } else { columns.what };
    let lines = at_most(&line.what, (first, further), WRAPPED.min(1 + spare));
    let mut lines = lines.iter();
    let mut rest = pad(lines.next().map_or("", String::as_str), first);
    if columns.place > 0 && !is_placed {
        rest.push_str(&format!("  {}", pad(&places(line), columns.place)));
    }
    if columns.attack > 0 && !is_placed {
        rest.push_str(&format!("  {}", line.attack.unwrap_or_default()));
    }
    page.spans(&[
        (
            colour(line.risk),
            &format!("  {:<RISK$} ", line.risk.label()),
        ),
        (Colour::Plain, &format!("{name}  {rest}")),
    ])?;
    let before = 2 + RISK + 1 + columns.name + 2;
    let mut taken = 0;
    for more in lines {
        page.spans(&[(Colour::Plain, &format!("{:before$}{more}", ""))])?;
        taken += 1;
    }
    Ok(taken)
}

/// A text in at most so many lines, the first and the further ones of so many columns, the last cut where
/// that is not enough.
fn at_most(text: &str, (first, further): (usize, usize), most: usize) -> Vec<String> {
    let text = sanitise::line(text, TEXT);
    if most < 2 || text.chars().count() <= first {
        return vec![sanitise::line(&text, first)];
    }
    let mut used = 0;
    let fits = text.split(' ').take_while(|word| {
        used += word.chars().count() + 1;
        used <= first + 1
    });
    let fits: Vec<&str> = fits.collect();
    let head = fits.join(" ");
    let rest = text[head.len()..].trim_start();
    let mut lines = vec![head];
    lines.extend(wrap(rest, further));
    if lines.len() > most {
        let rest = lines.split_off(most - 1).join(" ");
        lines.push(sanitise::line(&rest, further));
    }
    lines
}

/// A column with the space before it.
fn gap(width: usize) -> usize {
    if width == 0 { 0 } else { width + 2 }
}

/// Entries of the ledger that nothing used: the last thing to know.
fn stale_entries(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let stale = stale(record);
    if stale.is_empty() {
        return Ok(());
    }
    page.blank()?;
    let entries = match stale.len() {
        1 => "1 entry".to_owned(),
        more => format!("{more} entries"),
    };
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
    let revoke = format!("assay consent revoke --stale --from {}", record.run.id);
    page.command("remove", &revoke)
}

fn colour(risk: Risk) -> Colour {
    match risk {
        Risk::RootEquivalent | Risk::TrustRoot => Colour::Red,
        Risk::Persistence | Risk::Network | Risk::Privileged => Colour::Yellow,
        Risk::Ordinary => Colour::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_on_below_and_is_cut_in_the_end() {
        let text = "aaa bbb ccc ddd eee";
        assert_eq!(at_most(text, (8, 12), 1), ["aaa bbb…"]);
        assert_eq!(at_most(text, (8, 12), 2), ["aaa bbb", "ccc ddd eee"]);
        assert_eq!(at_most(text, (8, 8), 2), ["aaa bbb", "ccc ddd…"]);
        assert_eq!(at_most(text, (2, 12), 3), ["", "aaa bbb ccc", "ddd eee"]);
        assert_eq!(at_most("aaa", (8, 12), 2), ["aaa"]);
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_longer_than_its_columns(
            text in proptest::prelude::any::<String>(),
            first in 1_usize..40,
            more in 0_usize..40,
            most in 1_usize..9,
        ) {
            let lines = at_most(&text, (first, first + more), most);
            proptest::prop_assert!((1..=most).contains(&lines.len()));
            for (at, line) in lines.iter().enumerate() {
                let width = if at == 0 { first } else { first + more };
                proptest::prop_assert!(line.chars().count() <= width, "{lines:?}");
            }
        }
    }
}
