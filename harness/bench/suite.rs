//! Runs of many cells as a user starts them: the runner's memory, and where the time of the suite
//! goes, by target and by cell.
//!
//! The times are the journal's own. A target's wall time is from the start of its first cell to the
//! end of its last; cells of several targets run at once, so these overlap and the sum of all cells is
//! more than the run's time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_observe::{CellRecord, Record};

use crate::Failure;
use crate::journal::to_f64;
use crate::process::{Ended, row, run};
use crate::tools::{all_runs, median};

/// Cells of the run whose memory is measured.
const CELLS: usize = 100;

/// Recipes that install little, in the order they are taken.
const CHEAP: [&str; 20] = [
    "tree", "jq", "htop", "nano", "zip", "xz", "zstd", "lsof", "strace", "socat", "rsync", "tmux",
    "sqlite", "iperf3", "tcpdump", "openssl", "ripgrep", "curl", "git", "vim",
];

/// Where they are run if nothing is named.
const TARGETS: [&str; 5] = [
    "debian-12",
    "debian-13",
    "ubuntu-24.04",
    "fedora-44",
    "arch",
];

/// Slowest cells that are named.
const SLOWEST: usize = 5;

/// Measures the runner's memory in a run of a hundred cells.
pub(crate) fn memory(binary: &Path, project: &Path, on: &[String]) -> Result<(), Failure> {
    let mut targets: Vec<&str> = on.iter().map(String::as_str).collect();
    if targets.is_empty() {
        targets = TARGETS.into();
    }
    let recipes = &CHEAP[..CHEAP.len().min(CELLS.div_ceil(targets.len()))];
    let mut words = vec!["test"];
    words.extend(recipes);
    let on = targets.join(",");
    words.extend(["--on", &on]);
    let (record, ended) = test(binary, project, &words)?;
    let cells = record.cells.len();
    row(
        &format!("peak memory of the runner, {cells} cells"),
        &format!("{:.0} MB", to_f64(ended.peak) / 1e6),
        &format!(
            "{} targets; {}; {:.0} s",
            targets.len(),
            outcomes(&record),
            ended.ms / 1e3
        ),
    )?;
    Ok(())
}

/// Where the time of the suite goes: in a run of it now, or in the run of a journal.
pub(crate) fn times(
    binary: &Path,
    project: &Path,
    on: &[String],
    journal: Option<&Path>,
) -> Result<(), Failure> {
    let record = match journal {
        Some(path) => read(path)?,
        None => {
            let on = on.join(",");
            let mut words = vec!["test", "--allow-unmet-needs"];
            if !on.is_empty() {
                words.extend(["--on", &on]);
            }
            let (record, ended) = test(binary, project, &words)?;
            row(
                "peak memory of the runner, the suite",
                &format!("{:.0} MB", to_f64(ended.peak) / 1e6),
                "",
            )?;
            record
        }
    };
    table(&record, &mut io::stdout())
}

/// Runs `assay test` in the project. What it says of its progress is seen. That cells fail is a
/// result; that there is no journal is none.
fn test(binary: &Path, project: &Path, words: &[&str]) -> Result<(Record, Ended), Failure> {
    let runs = project.join(".assay/runs");
    let before = all_runs(&runs);
    let ended = run(Command::new(binary).args(words).current_dir(project))?;
    let after = all_runs(&runs);
    let folder = after.difference(&before).next();
    let folder: &PathBuf =
        folder.ok_or_else(|| format!("`assay test` left no journal, {}", ended.status))?;
    Ok((read(&folder.join("journal.jsonl"))?, ended))
}

fn read(journal: &Path) -> Result<Record, Failure> {
    let file = fs::File::open(journal)
        .map_err(|error| format!("read `{}`: {error}", journal.display()))?;
    Ok(assay_observe::fold_journal(BufReader::new(file))?)
}

/// How many cells ended how.
fn outcomes(record: &Record) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in &record.cells {
        *counts.entry(cell.outcome.kind().as_str()).or_default() += 1;
    }
    let words = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
    words.collect::<Vec<_>>().join(", ")
}

/// The cells of one target that were started.
#[derive(Default)]
struct Column {
    /// Milliseconds of each.
    ms: Vec<f64>,
    /// When the first started and the last ended, in milliseconds of the run.
    span: Option<(u64, u64)>,
}

impl Column {
    fn add(&mut self, cell: &CellRecord, started: u64) {
        self.ms.push(to_f64(cell.timings.total_ms));
        let (first, last) = self.span.unwrap_or((started, 0));
        self.span = Some((first.min(started), last.max(cell.facts.last_ms)));
    }

    fn write(&mut self, name: &str, out: &mut dyn io::Write) -> io::Result<()> {
        let median = median(&mut self.ms);
        let sum: f64 = self.ms.iter().sum();
        let (first, last) = self.span.unwrap_or_default();
        writeln!(
            out,
            "    {name:<20} {:>5} {:>8.1} s {:>8.1} s {:>8.1} s {:>8.1} s",
            self.ms.len(),
            median / 1e3,
            percentile_95(&self.ms) / 1e3,
            sum / 1e3,
            to_f64(last.saturating_sub(first)) / 1e3,
        )
    }
}

/// Writes the times of a run by target, in all, and of its slowest cells.
fn table(record: &Record, out: &mut dyn io::Write) -> Result<(), Failure> {
    let mut columns: BTreeMap<&str, Column> = BTreeMap::new();
    let (mut whole, mut cells) = (Column::default(), Vec::new());
    for cell in &record.cells {
        // A cell that was never started took no time.
        if let Some(attempt) = cell.facts.attempts.first() {
            let target = cell.facts.cell.target.as_str();
            let column = columns.entry(target).or_default();
            column.add(cell, attempt.started_ms);
            whole.add(cell, attempt.started_ms);
            cells.push((cell.timings.total_ms, cell.facts.cell.to_string()));
        }
    }
    writeln!(
        out,
        "the suite, run {}: {} cells, {}",
        record.run.id,
        record.cells.len(),
        outcomes(record)
    )?;
    writeln!(
        out,
        "    {:<20} {:>5} {:>10} {:>10} {:>10} {:>10}",
        "target", "ran", "median", "95 %", "sum", "wall"
    )?;
    for (target, column) in &mut columns {
        column.write(target, out)?;
    }
    whole.write("all", out)?;
    let sum: f64 = whole.ms.iter().sum();
    writeln!(
        out,
        "    wall: first start to last end, targets at once; the run: {:.1} s, its cells add up to {:.2} × of that",
        to_f64(record.run.duration_ms) / 1e3,
        sum / to_f64(record.run.duration_ms.max(1)),
    )?;
    cells.sort_by(|a, b| b.cmp(a));
    for (ms, cell) in cells.iter().take(SLOWEST) {
        writeln!(out, "    {:>7.1} s  {cell}", to_f64(*ms) / 1e3)?;
    }
    Ok(())
}

/// The smallest of the sorted values that 95 % of them do not pass (the nearest rank); of none it is 0.
fn percentile_95(sorted: &[f64]) -> f64 {
    let rank = (sorted.len() * 95).div_ceil(100);
    let place = rank.saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use assay_testkit::{Log, PlanBuilder};
    use assay_wire::event::CellEnded;

    use super::*;
    use crate::plans::files;

    #[test]
    fn a_run_is_told_by_target() {
        let plan = |target: &str| PlanBuilder::new(target, "jq").install("jq").build();
        let log = Log::new()
            .cell("arch:jq", plan("arch"))
            .cleanly()
            .cell("debian-12:jq", plan("debian-12"))
            .cleanly()
            .cell("debian-13:jq", plan("debian-13"))
            .ends(CellEnded::NotRun {
                because: "no host".to_owned(),
            });
        let record = assay_observe::fold(log.after(400).end().envelopes()).expect("a good log");
        let mut out = Vec::new();
        table(&record, &mut out).expect("memory takes everything");
        insta::assert_snapshot!(String::from_utf8(out).expect("UTF-8"));
    }

    #[test]
    fn the_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        for (count, rank) in [
            (0, 0.0),
            (1, 1.0),
            (19, 19.0),
            (20, 19.0),
            (21, 20.0),
            (100, 95.0),
        ] {
            assert_eq!(
                percentile_95(&values[..count]).to_bits(),
                f64::to_bits(rank),
                "{count}"
            );
        }
    }

    #[test]
    fn the_cheap_recipes_are_the_projects_and_make_a_hundred_cells() {
        let files = files(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("recipes");
        let has = |name: &str| {
            files
                .iter()
                .any(|path| path.ends_with(format!("{name}.toml")))
        };
        let missing: Vec<_> = CHEAP.iter().filter(|name| !has(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(CHEAP.len() * TARGETS.len(), CELLS);
    }
}
