//! The reviewer's screen as data: what cells did that only root may do, against what was declared and
//! granted, in the words and the order in which every format shows it.
//!
//! Nothing is judged here: classes and standings are `observe`'s. Nothing is escaped, cut or laid out
//! either: each format does that for its own reader. Cells that are alike stand on one screen.
//! [`counts`] says what is only counted.

mod counts;

use std::collections::{BTreeMap, BTreeSet};

use assay_observe::consent::Standing;
use assay_observe::delta::{AccompanyingSet, Class, DeclaredOperation};
use assay_observe::expectation::Verdict;
use assay_observe::observed::{Observed, ObservedOperation};
use assay_observe::risk::Risk;
use assay_observe::{CellRecord, Record};
use assay_wire::consent::Consent;
use assay_wire::digest::Digest;
use assay_wire::name::TargetId;
use assay_wire::privileged::{Kind, PrivilegedOperation};

use crate::sanitise;
use crate::words::{
    AGAIN, actor_in_words, chain_in_words, named, need_consent, not_declared, place, place_in,
    plural, recipes, standing_in_words, target_title, what, why_in_words,
};

pub(crate) use counts::{capture, folded, vouched};

/// Subjects of a kind that are named of what a package brings.
const SUBJECTS: usize = 20;

/// What cells that are alike did.
pub(crate) struct Screen<'r> {
    /// The cells, in the order of the record; never empty.
    pub(crate) cells: Vec<&'r CellRecord>,
    /// What nothing explains, the gravest first, as everywhere here.
    pub(crate) undeclared: Vec<Item<'r>>,
    /// What needs a consent and has none: what is declared, and what comes with packages.
    pub(crate) refused: Vec<Item<'r>>,
    /// What comes with packages and is granted, a package each; or not judged.
    pub(crate) accompanying: Vec<Item<'r>>,
    /// What is declared, above ordinary, and granted; or not judged.
    pub(crate) declared: Vec<Item<'r>>,
    /// Whether consents are judged at all.
    pub(crate) consents: Consents,
}

/// Whether consents are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consents {
    /// In a project they are.
    Judged,
    /// Outside of one they are not.
    NotJudged,
}

/// One operation, or what one package brings.
pub(crate) struct Item<'r> {
    /// What a reader sees.
    pub(crate) line: Line,
    /// The operation, as the first of the cells has it.
    pub(crate) operation: &'r PrivilegedOperation,
    /// What a consent to it is given to.
    pub(crate) digest: Digest,
    /// Of what a package brings, the parts.
    pub(crate) parts: Vec<&'r ObservedOperation>,
    /// How it stands, where that is judged.
    pub(crate) standing: Option<Standing>,
}

/// What a reader sees of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// How grave it is.
    pub(crate) risk: Risk,
    /// Its kind, or the package.
    pub(crate) name: String,
    /// What is done; of a package, the kinds and subjects of its parts.
    pub(crate) what: String,
    /// The steps it belongs to.
    pub(crate) places: Vec<String>,
    /// What attackers' use of it is called.
    pub(crate) attack: Option<&'static str>,
    /// What to know of it: who did it and why nothing explains it, why a consent does not count.
    pub(crate) notes: Vec<String>,
    /// What only a reader wants to know who asks for all.
    pub(crate) more: Vec<String>,
}

impl Line {
    /// What everybody sees of it.
    fn shown(&self) -> impl PartialEq {
        let Self {
            risk,
            name,
            what,
            places,
            attack,
            notes,
            more: _,
        } = self;
        (risk, name, what, places, attack, notes)
    }
}

/// The screens of a record: what is wrong first, then in the order of the record. Cells with nothing above
/// ordinary and nothing wrong have none.
pub(crate) fn screens(record: &Record) -> Vec<Screen<'_>> {
    let mut screens: Vec<Screen<'_>> = Vec::new();
    for cell in &record.cells {
        let screen = Screen::of(record, cell);
        if screen.is_empty() {
            continue;
        }
        match screens.iter_mut().find(|known| known.is_alike(&screen)) {
            Some(known) => known.cells.push(cell),
            None => screens.push(screen),
        }
    }
    screens.sort_by_key(Screen::urgency);
    screens
}

/// The screens that are shown large, and those of which a line is enough: nothing is wrong, or it is what
/// was expected. One alone is large.
pub(crate) fn large_and_small<'s, 'r>(
    screens: &'s [Screen<'r>],
) -> (Vec<&'s Screen<'r>>, Vec<&'s Screen<'r>>) {
    let is_only = screens.len() == 1;
    let mut all = screens.iter();
    let is_large =
        |screen: &&Screen<'_>| is_only || (screen.is_wrong() && !screen.is_as_expected());
    all.by_ref().partition(is_large)
}

/// That cells did nothing above what is ordinary, which have no screen; `None` if there are none.
pub(crate) fn ordinary(record: &Record, screens: &[Screen<'_>]) -> Option<String> {
    let seen = record.cells.iter();
    let seen = seen.filter(|cell| cell.observed != Observed::default());
    let on_screens = screens.iter().flat_map(|screen| &screen.cells);
    let on_screens = on_screens.filter(|cell| cell.observed != Observed::default());
    match seen.count().saturating_sub(on_screens.count()) {
        0 => None,
        1 => Some("1 cell did nothing above what is ordinary".to_owned()),
        more => Some(format!("{more} cells did nothing above what is ordinary")),
    }
}

/// A screen for every cell that did anything at all, in the order of the record.
pub(crate) fn screens_of_all(record: &Record) -> Vec<Screen<'_>> {
    let cells = record.cells.iter();
    let seen = cells.filter(|cell| cell.observed != Observed::default());
    seen.map(|cell| Screen::of(record, cell)).collect()
}

/// Entries of the ledger that nothing used, each with the targets of the cells that would have.
pub(crate) fn stale(record: &Record) -> Vec<(&Consent, Vec<&TargetId>)> {
    let mut found: BTreeMap<usize, Vec<&TargetId>> = BTreeMap::new();
    for cell in &record.cells {
        for entry in &cell.delta.stale {
            let targets = found.entry(*entry).or_default();
            if !targets.contains(&&cell.facts.cell.target) {
                targets.push(&cell.facts.cell.target);
            }
        }
    }
    let known = found.into_iter();
    known
        .filter_map(|(entry, targets)| Some((ledger(record).get(entry)?, targets)))
        .collect()
}

/// The ledger that consents were judged by; empty outside a project.
pub(crate) fn ledger(record: &Record) -> &[Consent] {
    let basis = record.run.start.consents.as_ref();
    basis.map_or(&[], |basis| &basis.ledger)
}

impl<'r> Screen<'r> {
    /// The screen of one cell.
    pub(crate) fn of(record: &'r Record, cell: &'r CellRecord) -> Self {
        let ledger = ledger(record);
        let seen = cell.observed.operations.iter();
        let undeclared = seen.filter_map(|seen| undeclared(cell, seen));
        let declared = cell.delta.declared.iter();
        let declared = declared.filter(|one| one.risk != Risk::Ordinary);
        let declared = declared.map(|one| declared_item(cell, one, ledger));
        let sets = cell.delta.accompanying.iter();
        let sets = sets.map(|set| accompanying(cell, set, ledger));
        let is_refused = |item: &Item<'_>| item.standing.is_some_and(Standing::is_refused);
        let (refused, accompanying): (Vec<_>, Vec<_>) = sets.partition(is_refused);
        let (mut all, declared): (Vec<_>, Vec<_>) = declared.partition(is_refused);
        all.extend(refused.into_iter().map(among_operations));
        Self {
            cells: vec![cell],
            undeclared: merged(undeclared),
            refused: merged(all),
            accompanying: merged(accompanying),
            declared: merged(declared),
            consents: match record.run.start.consents {
                Some(_) => Consents::Judged,
                None => Consents::NotJudged,
            },
        }
    }

    fn is_empty(&self) -> bool {
        let items = [
            &self.undeclared,
            &self.refused,
            &self.accompanying,
            &self.declared,
        ];
        items.iter().all(|items| items.is_empty()) && self.cells.iter().all(|c| c.gaps.is_empty())
    }

    /// True if a reader would read the same of both.
    fn is_alike(&self, other: &Self) -> bool {
        let lines = |items: &[Item<'_>], others: &[Item<'_>]| {
            let (items, others) = (items.iter(), others.iter());
            items
                .map(|item| item.line.shown())
                .eq(others.map(|item| item.line.shown()))
        };
        let (cell, another) = (self.cells[0], other.cells[0]);
        cell.facts.cell.recipes == another.facts.cell.recipes
            && cell.verdict == another.verdict
            && cell.outcome.kind() == another.outcome.kind()
            && cell.gaps == another.gaps
            && lines(&self.undeclared, &other.undeclared)
            && lines(&self.refused, &other.refused)
            && lines(&self.accompanying, &other.accompanying)
            && lines(&self.declared, &other.declared)
    }

    /// Undeclared first, then gaps, then consents.
    fn urgency(&self) -> u8 {
        match () {
            () if self.is_as_expected() => 3,
            () if !self.undeclared.is_empty() => 0,
            () if !self.cells[0].gaps.is_empty() => 1,
            () if !self.refused.is_empty() => 2,
            () => 3,
        }
    }

    /// True if something is wrong, whether or not `expected.toml` says so.
    pub(crate) fn is_wrong(&self) -> bool {
        !self.findings().is_empty()
    }

    /// True if something is wrong with how the cell ended, and `expected.toml` says so.
    pub(crate) fn is_as_expected(&self) -> bool {
        let cell = self.cells[0];
        let failed = !self.undeclared.is_empty() || !cell.gaps.is_empty();
        failed && cell.verdict == Verdict::AsExpected && self.refused.is_empty()
    }

    /// What is wrong, in words, the worst first.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.undeclared.is_empty() {
            found.push(not_declared(self.undeclared.len()));
        }
        match self.cells[0].gaps.len() {
            0 => {}
            gaps => found.push(format!("{} in capture", plural(gaps, "gap"))),
        }
        if !self.refused.is_empty() {
            found.push(need_consent(self.refused.len()));
        }
        found
    }

    /// What could not be captured, in words.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let gaps = self.cells[0].gaps.iter();
        gaps.map(ToString::to_string).collect()
    }

    /// What is well, in words, where nothing is wrong.
    pub(crate) fn all_is_well(&self) -> &'static str {
        if self.is_empty() {
            return "nothing above ordinary";
        }
        match self.consents {
            Consents::Judged => {
                "everything above ordinary is declared or comes with packages, and granted"
            }
            Consents::NotJudged => "everything above ordinary is declared or comes with packages",
        }
    }

    /// The recipes and the targets, as a title.
    pub(crate) fn title(&self) -> String {
        let targets: Vec<String> = self.cells.iter().map(|cell| target_title(cell)).collect();
        format!("{} / {}", recipes(self.cells[0]), targets.join(", "))
    }

    /// What grants what can be granted, from what this run showed.
    pub(crate) fn grant(&self, record: &Record) -> Option<String> {
        let mut refused = self.refused.iter();
        let can = refused.any(|item| item.standing.is_some_and(Standing::can_be_granted));
        let recipes = sanitise::command(&named(record, self.cells[0]), 2000);
        can.then(|| {
            format!(
                "assay consent grant {recipes} --from {} --note '…'",
                record.run.id
            )
        })
    }

    /// The steps during which the packages came, if all came during the same.
    pub(crate) fn place_of_packages(&self) -> Option<&[String]> {
        let first = &self.accompanying.first()?.line.places;
        let mut all = self.accompanying.iter();
        all.all(|item| item.line.places == *first)
            .then_some(first.as_slice())
    }
}

fn undeclared<'r>(cell: &'r CellRecord, seen: &'r ObservedOperation) -> Option<Item<'r>> {
    let why = match &seen.class {
        Class::Undeclared { why } => why,
        Class::Declared { .. } | Class::Accompanying { .. } => return None,
    };
    let actor = actor_in_words(seen.operation.actor.as_ref());
    let notes = vec![format!("by {actor}"), why_in_words(why)];
    Some(Item {
        line: Line {
            places: vec![place_in(cell, &seen.operation, seen.pass)],
            notes,
            ..line(seen.risk, &seen.operation, seen.attack)
        },
        operation: &seen.operation,
        digest: seen.digest,
        parts: Vec::new(),
        standing: None,
    })
}

fn declared_item<'r>(
    cell: &'r CellRecord,
    one: &'r DeclaredOperation,
    ledger: &[Consent],
) -> Item<'r> {
    let (mut notes, mut more) = of_standing(one.standing, ledger);
    if !one.seen {
        notes.push("not seen in this run".to_owned());
    }
    let argv = &one.operation.evidence.argv;
    if !argv.is_empty() {
        more.push(format!("runs `{}`", sanitise::command(argv, 2000)));
    }
    Item {
        line: Line {
            places: vec![place(cell, &one.operation)],
            notes,
            more,
            ..line(one.risk, &one.operation, one.attack)
        },
        operation: &one.operation,
        digest: one.digest,
        parts: Vec::new(),
        standing: one.standing,
    }
}

fn accompanying<'r>(
    cell: &'r CellRecord,
    set: &'r AccompanyingSet,
    ledger: &[Consent],
) -> Item<'r> {
    let operations = &cell.observed.operations;
    let parts = set.parts.iter().filter_map(|part| operations.get(*part));
    let parts: Vec<&ObservedOperation> = parts.collect();
    let name = if let Kind::Accompanying { package, .. } = &set.operation.kind {
        package.clone()
    } else {
        set.operation.subject.clone()
    };
    let (mut notes, mut more) = of_standing(set.standing, ledger);
    let known = cell.delta.packages.iter().find(|fact| fact.name == name);
    if let Some(fact) = known {
        // They differ from target to target, where all that matters is alike.
        let version = fact.version.clone().into_iter();
        let counts = [(fact.scripts, "script"), (fact.paths, "path")];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts =
            counts.map(|(count, word)| plural(usize::try_from(*count).unwrap_or(usize::MAX), word));
        let facts: Vec<String> = version.chain(counts).collect();
        if !facts.is_empty() {
            more.push(facts.join(" · "));
        }
        let chain = chain_in_words(&fact.chain);
        if fact.chain.is_verified() {
            more.push(chain);
        } else {
            notes.push(chain);
        }
    }
    Item {
        line: Line {
            risk: set.risk,
            name,
            what: kinds_of(&parts),
            places: vec![place(cell, &set.operation)],
            attack: None,
            notes,
            more,
        },
        operation: &set.operation,
        digest: set.digest,
        parts,
        standing: set.standing,
    }
}

/// What a package brings as one operation among others.
fn among_operations(mut item: Item<'_>) -> Item<'_> {
    item.line.what = format!("{}: {}", item.line.name, item.line.what);
    item.line.name = item.operation.kind.name().as_str().to_owned();
    item
}

/// What everybody sees of a standing, and what only those who ask for all.
fn of_standing(standing: Option<Standing>, ledger: &[Consent]) -> (Vec<String>, Vec<String>) {
    match standing {
        // That it is not granted, its place on the screen says.
        None | Some(Standing::Missing | Standing::Ordinary) => (Vec::new(), Vec::new()),
        Some(standing @ (Standing::Granted { .. } | Standing::Approved(_))) => {
            (Vec::new(), vec![standing_in_words(standing, ledger)])
        }
        Some(
            standing @ (Standing::Forbidden(_)
            | Standing::Violated { .. }
            | Standing::Expired { .. }),
        ) => (vec![standing_in_words(standing, ledger)], Vec::new()),
    }
}

/// The kinds of a set's parts, the gravest first, each with its subjects.
fn kinds_of(parts: &[&ObservedOperation]) -> String {
    let mut kinds: BTreeMap<(Risk, &str), BTreeSet<&str>> = BTreeMap::new();
    for part in parts {
        let kind = (part.risk, part.operation.kind.name().as_str());
        let subjects = kinds.entry(kind).or_default();
        subjects.insert(&part.operation.subject);
    }
    let kinds = kinds.iter().map(|((_, kind), subjects)| {
        let mut named: Vec<&str> = subjects.iter().copied().take(SUBJECTS).collect();
        let more = format!("and {} more", subjects.len().saturating_sub(SUBJECTS));
        if subjects.len() > SUBJECTS {
            named.push(&more);
        }
        format!("{kind} {}", named.join(", "))
    });
    kinds.collect::<Vec<_>>().join(" · ")
}

fn line(risk: Risk, operation: &PrivilegedOperation, attack: Option<&'static str>) -> Line {
    Line {
        risk,
        name: operation.kind.name().as_str().to_owned(),
        what: what(operation),
        places: Vec::new(),
        attack,
        notes: Vec::new(),
        more: Vec::new(),
    }
}

/// The gravest first; what differs by its place alone is one.
fn merged<'r>(items: impl IntoIterator<Item = Item<'r>>) -> Vec<Item<'r>> {
    let mut all: Vec<Item<'r>> = Vec::new();
    let mut known: BTreeMap<(Digest, String, Vec<String>), usize> = BTreeMap::new();
    for item in items {
        let line = &item.line;
        let key = (item.digest, line.what.clone(), line.notes.clone());
        let place = *known.entry(key).or_insert(all.len());
        match all.get_mut(place) {
            Some(known) => {
                for place in item.line.places {
                    let places = &mut known.line.places;
                    // What only the second apply adds to a place that is named.
                    let again = place.strip_suffix(AGAIN);
                    let place = match again {
                        Some(first) if places.iter().any(|known| known == first) => {
                            "again".to_owned()
                        }
                        Some(_) | None => place,
                    };
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
            None => all.push(item),
        }
    }
    all.sort_by_key(|item| item.line.risk);
    all
}
