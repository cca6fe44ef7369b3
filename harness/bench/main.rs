//! The product's figures, measured in one run and printed with their goals: `ci/bench`.
//!
//! Comparisons are paired and of alternating order, figures are medians, and nothing is asserted:
//! the machine decides absolute times. It fails only if something could not be run. What is
//! compared with what: [`cell`], [`tunnel`]; why through a cache: [`way_out`].

mod cell;
mod journal;
mod tools;
mod tunnel;
mod way_out;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use assay_content::lab_hosts::LabHosts;

use crate::tools::Assay;
use crate::way_out::WayOut;

/// What stops the bench, in words.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Cells that are compared if none is named: one over the way out, one served by the lab alone.
const CELLS: [&str; 2] = ["debian-12:tree", "fedora-44:tree"];

/// Where the download is measured.
const TUNNEL_TARGET: &str = "debian-12";

#[tokio::main]
async fn main() -> ExitCode {
    match bench().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told if standard error is closed.
            let _ = writeln!(io::stderr(), "bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn bench() -> Result<(), Failure> {
    let (mut pairs, mut cells, mut words) = (5, Vec::new(), std::env::args().skip(1));
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pairs" => pairs = words.next().ok_or("`--pairs` needs a number")?.parse()?,
            _ => cells.push(word),
        }
    }
    if cells.is_empty() {
        cells = CELLS.map(str::to_owned).into();
    }
    let binary =
        PathBuf::from(std::env::var_os("ASSAY").ok_or("`ASSAY` names no binary; use ci/bench")?);
    let project = std::env::current_dir()?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(
        io::stdout(),
        "{processors} processors, load {}",
        load.trim()
    )?;

    let lab = LabHosts {
        repositories: lab_repositories(),
    };
    let way_out = WayOut::open(lab).await?;
    // This thread waits for programs; the runtime's workers serve the way out meanwhile.
    for cell in cells {
        let assay = Assay {
            binary: binary.clone(),
            folder: project.clone(),
            cache: None,
            way_out: &way_out,
        };
        cell::compare(&assay, &way_out, &cell, pairs)?;
    }
    tunnel::measure(&binary, TUNNEL_TARGET, pairs).await
}

/// The lab's repositories where `assay-lab build` puts them; `None` where there is no lab.
fn lab_repositories() -> Option<PathBuf> {
    let caches = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(caches.join("assay/lab/repositories")).filter(|folder| folder.is_dir())
}

/// Prints a figure beside its goal.
pub(crate) fn report(what: &str, figure: &str, goal: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{what:<52} {figure:>10}   goal {goal}")
}
