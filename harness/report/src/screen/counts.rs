//! What a screen only counts: changed paths by what explains them, the packages behind them, programs of
//! root's; and how all of it was captured. Of several cells the sums.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use assay_observe::CellRecord;
use assay_observe::delta::PathCounts;
use assay_wire::digest::Digest;
use assay_wire::event::ManifestPoint;
use assay_wire::privileged::KindName;

use crate::words::{plural, voucher_in_words};

/// Packages named for whom nobody vouches.
const NAMES: usize = 5;

/// What explains the changed paths, and what is ordinary: a text each, the most telling first.
pub(crate) fn folded(cells: &[&CellRecord]) -> Vec<String> {
    let packages: usize = cells.iter().map(|cell| cell.delta.packages.len()).sum();
    let paths = |part: fn(&PathCounts) -> u64| -> usize {
        sum(cells.iter().map(|cell| part(&cell.delta.paths)))
    };
    let ordinary = |kind| -> usize { sum(cells.iter().map(|cell| cell.observed.folded(kind))) };
    let mut texts = Vec::new();
    if packages > 0 {
        let paths = plural(paths(|paths| paths.packages), "path");
        texts.push(format!("{paths} equal {}", plural(packages, "package")));
    }
    let mut count = |count: usize, text: &dyn Fn(usize) -> String| {
        if count > 0 {
            texts.push(text(count));
        }
    };
    count(paths(|paths| paths.manager), &|n| {
        format!("{n} manager state")
    });
    count(paths(|paths| paths.scripts), &|n| format!("{n} by scripts"));
    count(paths(|paths| paths.declared), &|n| format!("{n} declared"));
    count(paths(|paths| paths.others), &|n| {
        format!("{n} by services or the user")
    });
    count(paths(|paths| paths.unexplained), &|n| {
        format!("{n} unexplained")
    });
    count(ordinary(KindName::ExecRoot), &|n| {
        format!("{} as root", plural(n, "program"))
    });
    count(ordinary(KindName::NetConnect), &|n| plural(n, "request"));
    texts
}

/// Who vouches for the packages that came: a text for all for whom the same do, first those for whom nobody
/// does, with their names.
pub(crate) fn vouched(cells: &[&CellRecord]) -> Vec<String> {
    let packages = cells.iter().flat_map(|cell| &cell.delta.packages);
    let mut groups: BTreeMap<(bool, String), BTreeSet<(&str, Digest)>> = BTreeMap::new();
    for fact in packages {
        let words = voucher_in_words(&fact.chain);
        let (is_good, words) = match fact.unreadable {
            None => (fact.chain.is_verified(), words),
            Some(_) => (false, format!("{words}, and that could not be read")),
        };
        let group = groups.entry((is_good, words)).or_default();
        group.insert((&fact.name, fact.sha256));
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((is_good, _), packages)| (*is_good, Reverse(packages.len())));
    let groups = groups.into_iter().map(|((is_good, words), packages)| {
        let all = plural(packages.len(), "package");
        if is_good {
            return format!("{all} {words}");
        }
        let mut names: Vec<&str> = packages.iter().map(|(name, _)| *name).take(NAMES).collect();
        let more = format!("and {} more", packages.len().saturating_sub(NAMES));
        if packages.len() > NAMES {
            names.push(&more);
        }
        format!("{all} {words}: {}", names.join(", "))
    });
    groups.collect()
}

/// How what is shown was captured: a text each.
pub(crate) fn capture(cells: &[&CellRecord]) -> Vec<String> {
    let mut texts = Vec::new();
    let traces = || cells.iter().flat_map(|cell| &cell.facts.traces);
    let untraced = cells.iter().flat_map(|cell| &cell.facts.untraced);
    let mut missing: Vec<&str> = untraced.map(String::as_str).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        let events: usize = sum(traces().map(|trace| trace.events));
        let gaps = traces().flat_map(|trace| &trace.gaps);
        let lost: usize = sum(gaps.map(|gap| gap.count));
        texts.push(format!("{}, {lost} not decoded", plural(events, "event")));
    } else {
        let missing = missing.join(", ");
        texts.push(format!("no trace: the engine gave no {missing}"));
    }
    let manifests = cells.iter().flat_map(|cell| &cell.facts.manifests);
    let after_ops = manifests.filter(|manifest| matches!(manifest.after, ManifestPoint::Op(_)));
    let ops = plural(after_ops.count(), "op");
    texts.push(format!("manifests after {ops}"));
    texts
}

fn sum(counts: impl Iterator<Item = u64>) -> usize {
    usize::try_from(counts.fold(0_u64, u64::saturating_add)).unwrap_or(usize::MAX)
}
