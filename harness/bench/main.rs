//! The product's figures, measured in one run and printed with their goals: `ci/bench`.
//!
//! Comparisons are paired and of alternating order, figures are medians, and nothing is asserted
//! of them: the machine decides absolute times. It fails only if something could not be run, or if
//! what must be the same is not. What is compared with what: [`cell`], [`mod@capture`], [`tunnel`], [`plans`],
//! [`check`], [`mod@hash`], [`html`], [`suite`]; why through a cache: [`way_out`].

mod asked;
mod capture;
mod cell;
mod check;
mod hash;
mod html;
mod journal;
mod plans;
mod process;
mod suite;
mod tools;
mod tunnel;
mod way_out;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assay_content::lab_hosts::LabHosts;

use crate::asked::{Asked, Section};
use crate::tools::Assay;
use crate::way_out::WayOut;

/// What stops the bench, in words.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Cells that are compared if none is named: one over the way out, one served by the lab alone.
const CELLS: [&str; 2] = ["debian-12:tree", "fedora-44:tree"];

/// The cell whose capture is measured if none is named: a server with all it needs.
const CAPTURED: &str = "debian-12:nginx";

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
    let asked = Asked::read(std::env::args().skip(1))?;
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
    for section in &asked.sections {
        match section {
            Section::Cell => each_cell(&asked, (&binary, &project), &CELLS, cell::compare).await?,
            Section::Capture => {
                each_cell(&asked, (&binary, &project), &[CAPTURED], capture::measure).await?;
            }
            Section::Tunnel => tunnel::measure(&binary, TUNNEL_TARGET, asked.repeats).await?,
            Section::Plans => plans::measure(&binary, &project, asked.repeats)?,
            Section::Check => check::measure(&binary, &project, asked.repeats)?,
            Section::Hash => hash::measure(asked.repeats)?,
            Section::Memory => suite::memory(&binary, &project, &asked.on)?,
            Section::Html => {
                html::measure(&binary, &project, asked.repeats, asked.journal.as_deref())?;
            }
            Section::Suite => {
                suite::times(&binary, &project, &asked.on, asked.journal.as_deref())?;
            }
        }
    }
    Ok(())
}

/// Measures the cells that are named, else the usual ones.
async fn each_cell(
    asked: &Asked,
    (binary, project): (&Path, &Path),
    usual: &[&str],
    measure: impl Fn(&Assay<'_>, &str, usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let lab = LabHosts {
        repositories: lab_repositories(),
    };
    let way_out = WayOut::open(lab).await?;
    let assay = Assay {
        binary: binary.to_owned(),
        folder: project.to_owned(),
        cache: None,
        way_out: &way_out,
    };
    let mut cells: Vec<&str> = asked.cells.iter().map(String::as_str).collect();
    if cells.is_empty() {
        cells = usual.into();
    }
    // This thread waits for programs; the runtime's workers serve the way out meanwhile.
    for cell in cells {
        measure(&assay, cell, asked.repeats)?;
    }
    Ok(())
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
