//! What a screen only counts: changed paths by what explains them, the packages behind them, programs of
//! root's; and how all of it was captured. Of several cells the sums.

use assay_observe::CellRecord;
use assay_observe::delta::{PackageFact, PathCounts};
use assay_wire::event::ManifestPoint;
use assay_wire::privileged::KindName;

use crate::words::plural;

/// What explains the changed paths, and what is ordinary: a text each, the most telling first.
pub(crate) fn folded(cells: &[&CellRecord]) -> Vec<String> {
    let packages: Vec<&PackageFact> = cells.iter().flat_map(|cell| &cell.delta.packages).collect();
    let paths = |part: fn(&PathCounts) -> u64| -> usize {
        sum(cells.iter().map(|cell| part(&cell.delta.paths)))
    };
    let ordinary = |kind| -> usize { sum(cells.iter().map(|cell| cell.observed.folded(kind))) };
    let mut texts = Vec::new();
    if !packages.is_empty() {
        texts.push(of_packages(paths(|paths| paths.packages), &packages));
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

/// How many paths are as how many packages have them, and who vouches for those.
fn of_packages(paths: usize, packages: &[&PackageFact]) -> String {
    let all = packages.len();
    let in_index = |fact: &&&PackageFact| {
        let index = fact.chain.index.as_ref();
        index.is_some_and(|index| index.signature.is_verified())
    };
    let by_itself = |fact: &&&PackageFact| !in_index(fact) && fact.chain.own.is_verified();
    let by_nobody = |fact: &&&PackageFact| !fact.chain.is_verified();
    let unread = |fact: &&&PackageFact| fact.unreadable.is_some();
    let counts = [
        (
            packages.iter().filter(in_index).count(),
            "in a signed index",
        ),
        (
            packages.iter().filter(by_itself).count(),
            "by their own signature",
        ),
        (
            packages.iter().filter(by_nobody).count(),
            "vouched for by nobody",
        ),
        (packages.iter().filter(unread).count(), "unread"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, words)| format!("{count}/{all} {words}"))
        .collect();
    format!(
        "{} equal {} ({})",
        plural(paths, "path"),
        plural(all, "package"),
        counts.join(", ")
    )
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
    let gaps = cells.iter().flat_map(|cell| &cell.gaps);
    let mut gaps: Vec<String> = gaps.map(ToString::to_string).collect();
    gaps.dedup();
    if let Some(first) = gaps.first() {
        let all = plural(gaps.len(), "gap");
        texts.push(format!("{all}: {first}"));
    }
    texts
}

fn sum(counts: impl Iterator<Item = u64>) -> usize {
    usize::try_from(counts.fold(0_u64, u64::saturating_add)).unwrap_or(usize::MAX)
}
