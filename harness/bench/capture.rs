//! What capture costs: a cell as it is – traced, with every manifest, its packages read – against the same cell
//! whose sandbox is only driven.
//!
//! Both are whole runs of `assay test` through the same way out, in pairs of alternating order: by the wall
//! clock, and by the processor time of the whole machine (a command's own, its tracer's, the engine's, the
//! runner's). The most memory that runner and executors held is that of pairs of their own: looking at it takes
//! processor time, too.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::process::row;
use crate::tools::{Assay, median};
use crate::{Failure, journal, report};

/// Goals: processor time and wall time, in times of the cell without capture; memory more, in MB.
const GOALS: (f64, f64, f64) = (1.15, 1.10, 30.0);

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// In how many pairs it is, at most.
const LOOKED_AT: usize = 3;

/// Milliseconds of each part of a run, of all runs.
type Parts = BTreeMap<&'static str, Vec<f64>>;

/// What a run took.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    ms: f64,
    processor_ms: f64,
}

/// Compares one cell, `TARGET:RECIPE`.
pub(crate) fn measure(assay: &Assay<'_>, cell: &str, pairs: usize) -> Result<(), Failure> {
    let (target, recipe) = cell
        .split_once(':')
        .ok_or_else(|| format!("`{cell}` is not TARGET:RECIPE"))?;
    let mut parts = (Parts::new(), Parts::new());
    let go = |captures: bool| match captures {
        true => assay.run(&["test", "--on", target, recipe]),
        false => assay.run_without_capture(&["test", "--on", target, recipe]),
    };
    // The times of these are not counted: they fill the caches of the way out, of the machine, and what is kept of
    // packages.
    let mut memory = Vec::new();
    for _ in 0..pairs.min(LOOKED_AT) {
        let held = |captures| -> Result<f64, Failure> {
            let watch = Watch::begin();
            go(captures)?;
            watch.end()
        };
        memory.push(held(true)? - held(false)?);
    }
    let mut run = |captures: bool| -> Result<Cost, Failure> {
        // What the run before left to be written is not waited for by this one.
        Command::new("sync").status()?;
        let before = processor_ms()?;
        let run = go(captures)?;
        let cost = Cost {
            ms: run.ms,
            processor_ms: processor_ms()? - before,
        };
        let parts = if captures { &mut parts.0 } else { &mut parts.1 };
        for (part, ms) in journal::parts(&run.events, run.ms) {
            parts.entry(part).or_default().push(ms);
        }
        Ok(cost)
    };
    let (mut wall, mut processor) = (Vec::new(), Vec::new());
    let mut all = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        let (with, without) = if pair % 2 == 0 {
            let with = run(true)?;
            (with, run(false)?)
        } else {
            let without = run(false)?;
            (run(true)?, without)
        };
        wall.push(with.ms / without.ms);
        processor.push(with.processor_ms / without.processor_ms);
        all.0.push(with.ms);
        all.1.push(without.ms);
    }
    report(
        &format!("{cell}, capture: processor time"),
        &format!("{:.2} ×", median(&mut processor)),
        &format!("≤ {} × of the cell without it", GOALS.0),
    )?;
    report(
        &format!("{cell}, capture: wall time"),
        &format!("{:.2} ×", median(&mut wall)),
        &format!("≤ {} ×", GOALS.1),
    )?;
    report(
        &format!("{cell}, capture: memory"),
        &format!("{:+.0} MB", median(&mut memory)),
        &format!("≤ {} MB more, runner and executor together", GOALS.2),
    )?;
    writeln!(
        std::io::stdout(),
        "    {pairs} pairs, wall from {:.2} to {:.2} ×, processor from {:.2} to {:.2} ×; medians {:.0} ms and {:.0} ms",
        wall.first().copied().unwrap_or_default(),
        wall.last().copied().unwrap_or_default(),
        processor.first().copied().unwrap_or_default(),
        processor.last().copied().unwrap_or_default(),
        median(&mut all.0),
        median(&mut all.1),
    )?;
    for (part, with) in &mut parts.0 {
        let without = parts.1.entry(part).or_insert_with(|| vec![0.0]);
        let (with, without) = (median(with), median(without));
        row(
            &format!("    {part}"),
            &format!("{:+.0} ms", with - without),
            &format!("{with:.0} ms and {without:.0} ms"),
        )?;
    }
    Ok(())
}

/// A look at memory while a run goes on.
struct Watch {
    over: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    looking: thread::JoinHandle<()>,
}

impl Watch {
    fn begin() -> Self {
        let (over, most) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (ends, highest) = (Arc::clone(&over), Arc::clone(&most));
        let looking = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                highest.fetch_max(held(), Ordering::Relaxed);
                thread::sleep(LOOK);
            }
        });
        Self {
            over,
            most,
            looking,
        }
    }

    /// The most that was seen, in megabytes.
    fn end(self) -> Result<f64, Failure> {
        self.over.store(true, Ordering::Relaxed);
        self.looking.join().map_err(|_| "looking at memory broke")?;
        let bytes = self.most.load(Ordering::Relaxed);
        Ok(crate::journal::to_f64(bytes) / 1e6)
    }
}

/// What all processors have done since the machine began, in milliseconds (proc_stat(5); its ticks are
/// hundredths of a second).
fn processor_ms() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("/proc/stat is empty")?;
    let fields = line.split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>()?;
    // user, nice, system; idle and iowait between; irq, softirq. Guests are counted within user.
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|at| ticks.get(*at));
    Ok(busy.sum::<f64>() * 10.0)
}

/// What runners and executors hold together, in bytes: the anonymous part, for their text is the file's.
fn held() -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
            let is_meant = matches!(field("Name:")?.trim(), "assay" | "executor");
            let kilobytes = field("RssAnon:")?.trim().trim_end_matches(" kB");
            let kilobytes: u64 = kilobytes.parse().ok().filter(|_| is_meant)?;
            Some(kilobytes * 1024)
        })
        .sum()
}
