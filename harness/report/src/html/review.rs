//! What a reviewer of a cell sees first, on at most one screen: what was not declared, what needs consent,
//! what was declared and seen, what came with the packages, what is folded away, and what was captured.
//!
//! Nothing is judged here: classes and standings are the record's.

use std::collections::{BTreeMap, BTreeSet};

use assay_observe::consent::{ApprovedBy, ForbiddenBy, Standing};
use assay_observe::delta::{AccompanyingSet, DeclaredOperation, PathCounts};
use assay_observe::observed::ObservedOperation;
use assay_observe::risk::Risk;
use assay_observe::{CellRecord, Record};
use assay_wire::consent::Consent;
use assay_wire::digest::Digest;
use assay_wire::event::Capture;
use assay_wire::privileged::{KindName, PrivilegedOperation};

use super::Cell;
use super::operations::{self, COLUMNS, Row};
use super::page::{Anchor, Page};

/// Names of one kind that are told of what a package brings, before they are folded.
const NAMES: usize = 6;

/// What a cell did that only root may do, as a reviewer sorts it.
pub(super) struct Review<'r> {
    /// Nothing explains it: the gravest first.
    pub(super) undeclared: Vec<&'r ObservedOperation>,
    /// Declared or brought by a package, and refused for want of a consent.
    pub(super) wanting: Vec<Wanting<'r>>,
    /// Declared above what is ordinary, and not refused.
    pub(super) declared: Vec<&'r DeclaredOperation>,
    /// Brought by packages above what is ordinary, and not refused.
    pub(super) sets: Vec<&'r AccompanyingSet>,
}

/// Something that needs a consent and has none that counts.
#[derive(Clone, Copy)]
pub(super) struct Wanting<'r> {
    pub(super) operation: &'r PrivilegedOperation,
    pub(super) digest: Digest,
    pub(super) risk: Risk,
    pub(super) attack: Option<&'static str>,
    pub(super) standing: Standing,
    /// What a package brings, where it is that.
    pub(super) set: Option<&'r AccompanyingSet>,
}

impl<'r> Review<'r> {
    pub(super) fn of(cell: &'r CellRecord) -> Self {
        let delta = &cell.delta;
        let all = cell.observed.operations.iter();
        let mut undeclared: Vec<_> = all.filter(|seen| seen.class.is_undeclared()).collect();
        undeclared.sort_by_key(|seen| seen.risk);
        let declared = delta.declared.iter().filter_map(|one| {
            let standing = one.standing.filter(|standing| standing.is_refused())?;
            Some(Wanting {
                operation: &one.operation,
                digest: one.digest,
                risk: one.risk,
                attack: one.attack,
                standing,
                set: None,
            })
        });
        let sets = delta.accompanying.iter().filter_map(|set| {
            let standing = set.standing.filter(|standing| standing.is_refused())?;
            Some(Wanting {
                operation: &set.operation,
                digest: set.digest,
                risk: set.risk,
                attack: None,
                standing,
                set: Some(set),
            })
        });
        let mut wanting: Vec<_> = declared.chain(sets).collect();
        wanting.sort_by_key(|one| one.risk);
        let refused = |standing: Option<Standing>| standing.is_some_and(Standing::is_refused);
        let declared = delta.declared.iter();
        let sets = delta.accompanying.iter();
        Self {
            undeclared,
            wanting,
            declared: declared
                .filter(|one| one.risk != Risk::Ordinary && !refused(one.standing))
                .collect(),
            sets: sets.filter(|set| !refused(set.standing)).collect(),
        }
    }
}

impl<'r> Wanting<'r> {
    /// The recipes whose consent it is: those of its steps, else what was asked for.
    pub(super) fn recipes(&self, cell: &Cell<'r>) -> BTreeSet<&'r str> {
        let steps = self.operation.steps.iter().map(|step| step.recipe.as_str());
        let asked = cell
            .record
            .facts
            .cell
            .recipes
            .iter()
            .map(|recipe| recipe.as_str());
        match self.operation.steps.is_empty() {
            true => asked.collect(),
            false => steps.collect(),
        }
    }
}

/// Writes the screen of a cell.
pub(super) fn write(record: &Record, cell: &Cell<'_>, page: &mut Page) {
    page.markup("<section class=\"review\">\n<table class=\"operations\">\n<caption>What only root may do</caption>\n");
    page.markup(operations::HEAD);
    undeclared(cell, page);
    wanting(record, cell, page);
    declared(record, cell, page);
    packages(record, cell, page);
    folded(cell, page);
    capture(cell, page);
    page.markup("</table>\n</section>\n");
}

/// A group of the screen: its title with a count, and a word for what it means.
fn group(
    page: &mut Page,
    class: &'static str,
    title: &'static str,
    count: usize,
    says: &'static str,
) {
    page.open("tbody", class)
        .markup("\n<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"")
        .markup(COLUMNS)
        .markup("\">")
        .element("b", "", title);
    if count > 0 {
        page.markup(" <span class=\"n\">")
            .count(count)
            .markup("</span>");
    }
    page.element("small", "", says).markup("</th></tr>\n");
}

fn undeclared(cell: &Cell<'_>, page: &mut Page) {
    let all = &cell.review.undeclared;
    if all.is_empty() {
        return;
    }
    let says = "no step declares it, and it is not what a package brings to itself";
    group(page, "bad", "Not declared", all.len(), says);
    let left = page.each(all, page.detail.operations, |page, seen| {
        operations::seen(cell, seen, page);
    });
    operations::more(left, page);
    page.markup("</tbody>\n");
}

fn wanting(record: &Record, cell: &Cell<'_>, page: &mut Page) {
    let all = &cell.review.wanting;
    if all.is_empty() {
        return;
    }
    group(
        page,
        "warn",
        "Needs consent",
        all.len(),
        "explained, and nobody has granted it",
    );
    let left = page.each(all, page.detail.operations, |page, one| {
        let says = standing_in_words(one.standing, ledger(record));
        Row {
            risk: one.risk,
            operation: one.operation,
            attack: one.attack,
            says: vec![
                ("consent", says),
                ("digest", format!("sha256:{}", one.digest)),
            ],
            set: one.set.map(|set| parts(cell, set)),
        }
        .write(cell, page);
    });
    operations::more(left, page);
    page.markup("</tbody>\n");
}

fn declared(record: &Record, cell: &Cell<'_>, page: &mut Page) {
    let all = &cell.review.declared;
    if all.is_empty() {
        return;
    }
    let ran = cell.ran();
    let says = "the recipe says so";
    group(page, "good", "Declared", all.len(), says);
    let left = page.each(all, page.detail.operations, |page, one| {
        let mut says = Vec::new();
        let seen = match (one.seen, ran) {
            (true, _) => "yes",
            (false, true) => "no",
            (false, false) => "it did not run",
        };
        says.push(("seen", seen.to_owned()));
        says.extend(
            one.standing
                .map(|standing| ("consent", standing_in_words(standing, ledger(record)))),
        );
        Row {
            risk: one.risk,
            operation: &one.operation,
            attack: one.attack,
            says,
            set: None,
        }
        .write(cell, page);
    });
    operations::more(left, page);
    page.markup("</tbody>\n");
}

fn packages(record: &Record, cell: &Cell<'_>, page: &mut Page) {
    let all = &cell.review.sets;
    if all.is_empty() {
        return;
    }
    let says = "above what is ordinary, a set for each: a change of one asks again";
    group(page, "good", "Comes with the packages", all.len(), says);
    let left = page.each(all, page.detail.operations, |page, set| {
        let consent = set
            .standing
            .map(|standing| standing_in_words(standing, ledger(record)));
        Row {
            risk: set.risk,
            operation: &set.operation,
            attack: None,
            says: consent.map(|says| ("consent", says)).into_iter().collect(),
            set: Some(parts(cell, set)),
        }
        .write(cell, page);
    });
    operations::more(left, page);
    page.markup("</tbody>\n");
}

/// The parts of a set by kind, with the first names of each.
fn parts(cell: &Cell<'_>, set: &AccompanyingSet) -> Vec<(KindName, String)> {
    let mut kinds: BTreeMap<KindName, Vec<&str>> = BTreeMap::new();
    let all = &cell.record.observed.operations;
    for part in set.parts.iter().filter_map(|part| all.get(*part)) {
        let operation = &part.operation;
        kinds
            .entry(operation.kind.name())
            .or_default()
            .push(&operation.subject);
    }
    let in_words = |(kind, names): (KindName, Vec<&str>)| {
        let mut shown: Vec<String> = names
            .iter()
            .take(NAMES)
            .map(|name| crate::sanitise::line(name, 120))
            .collect();
        if names.len() > NAMES {
            shown.push(format!("and {} more", names.len() - NAMES));
        }
        (kind, shown.join(", "))
    };
    kinds.into_iter().map(in_words).collect()
}

fn folded(cell: &Cell<'_>, page: &mut Page) {
    let delta = &cell.record.delta;
    let observed = &cell.record.observed;
    let ordinary = delta
        .declared
        .iter()
        .filter(|one| one.risk == Risk::Ordinary)
        .count();
    let mut parts = Vec::new();
    let mut part = |count: u64, one: &'static str, many: &'static str| {
        if count > 0 {
            parts.push((count, if count == 1 { one } else { many }));
        }
    };
    let paths = &delta.paths;
    part(
        paths.packages,
        "path equals its package",
        "paths equal their packages",
    );
    part(
        paths.manager,
        "path is the manager's own state",
        "paths are the manager's own state",
    );
    part(
        paths.scripts,
        "path made by a package's script",
        "paths made by packages' scripts",
    );
    part(
        paths.declared,
        "path made by declared ops",
        "paths made by declared ops",
    );
    part(
        paths.others,
        "path made by services and the unprivileged user",
        "paths made by services and the unprivileged user",
    );
    part(
        paths.unexplained,
        "path explained by nobody",
        "paths explained by nobody",
    );
    if *paths == PathCounts::default() {
        part(
            observed.folded(KindName::FileWrite),
            "file written",
            "files written",
        );
        part(
            observed.folded(KindName::FileDelete),
            "file removed",
            "files removed",
        );
    }
    part(
        observed.folded(KindName::ExecRoot),
        "program as root",
        "programs as root",
    );
    part(
        observed.folded(KindName::NetConnect),
        "request to named hosts",
        "requests to named hosts",
    );
    part(
        ordinary as u64,
        "ordinary operation declared",
        "ordinary operations declared",
    );
    let vouched = delta
        .packages
        .iter()
        .filter(|package| package.chain.is_verified())
        .count();
    if parts.is_empty() && delta.packages.is_empty() {
        return;
    }
    group(page, "mute", "Folded", 0, "ordinary, and counted");
    line(page, |page| {
        if !delta.packages.is_empty() {
            page.link(Anchor::Packages(cell.number), "packages");
            page.markup(": ")
                .count(vouched)
                .markup(" of ")
                .count(delta.packages.len());
            page.markup(" covered by a good signature");
        }
        for (index, (count, words)) in parts.iter().enumerate() {
            page.markup(if index > 0 || !delta.packages.is_empty() {
                " · "
            } else {
                ""
            });
            page.number(*count).markup(" ").markup(words);
        }
    });
    page.markup("</tbody>\n");
}

fn capture(cell: &Cell<'_>, page: &mut Page) {
    let record = cell.record;
    let facts = &record.facts;
    if !cell.ran() {
        return;
    }
    let events: u64 = facts.traces.iter().map(|trace| trace.events).sum();
    let class = if record.gaps.is_empty() {
        "mute"
    } else {
        "bad"
    };
    group(page, class, "Capture", 0, "what this report can know");
    line(page, |page| {
        if facts.traces.is_empty() {
            page.markup("nothing was traced");
        } else {
            page.counted(events, "event traced", "events traced");
        }
        if !facts.untraced.is_empty() {
            page.markup(" (the sandbox lacked ")
                .text(facts.untraced.join(", "))
                .markup(")");
        }
        page.markup(", ")
            .counted(record.gaps.len() as u64, "gap", "gaps")
            .markup(" · ");
        page.counted(facts.manifests.len() as u64, "manifest", "manifests");
        page.markup(match facts.planned.capture {
            Capture::Trace => "",
            Capture::Manifest => " · a trace was not asked for",
        });
        page.markup(" · not recorded: reads, what ran before, tunnels nobody looks into");
    });
    let left = page.each(&record.gaps, page.detail.rows, |page, gap| {
        line(page, |page| {
            page.markup("<b>gap</b> ").text(gap.to_string());
        });
    });
    operations::more(left, page);
    page.markup("</tbody>\n");
}

fn line(page: &mut Page, write: impl FnOnce(&mut Page)) {
    page.markup("<tr><td class=\"line\" colspan=\"")
        .markup(COLUMNS)
        .markup("\">");
    write(page);
    page.markup("</td></tr>\n");
}

/// The entries by which consents were judged.
pub(super) fn ledger(record: &Record) -> &[Consent] {
    let consents = record.run.start.consents.as_ref();
    consents.map_or(&[], |basis| &basis.ledger)
}

/// How an operation stands.
pub(super) fn standing_in_words(standing: Standing, ledger: &[Consent]) -> String {
    let entry = |entry: usize, words: &dyn Fn(&Consent) -> String| {
        ledger
            .get(entry)
            .map_or_else(|| "an entry of the ledger".to_owned(), words)
    };
    match standing {
        Standing::Ordinary => "ordinary: needs none".to_owned(),
        Standing::Approved(by) => {
            let key = match by {
                ApprovedBy::Repositories => "repositories",
                ApprovedBy::Groups => "groups",
                ApprovedBy::Services => "services",
            };
            format!("approved by `{key}` of `[policy]`")
        }
        Standing::Granted { entry: number } => entry(number, &|consent| {
            format!(
                "granted by {} on {}: {}",
                consent.by, consent.on, consent.note
            )
        }),
        Standing::Missing => "not granted".to_owned(),
        Standing::Violated { entry: number } => entry(number, &|consent| {
            format!("changed since {} granted it on {}", consent.by, consent.on)
        }),
        Standing::Expired { entry: number } => entry(number, &|consent| {
            let until = consent.expires.as_deref().unwrap_or_default();
            format!("was granted by {} until {until}", consent.by)
        }),
        Standing::Forbidden(by) => {
            let key = match by {
                ForbiddenBy::Kind => "forbidden_kinds",
                ForbiddenBy::GroupTier => "group_tiers",
            };
            format!("forbidden by `{key}` of `[policy]`: no entry can grant it")
        }
    }
}
