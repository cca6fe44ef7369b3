//! `assay report --format html` of a hundred cells: those of a real run, copied under other names until
//! they are so many; against its goals, and against the JSON of the same record.

use std::fs;
use std::path::Path;
use std::process::Command;

use assay_wire::event::{Body, Envelope};
use assay_wire::name::{CellId, RecipeName};

use crate::journal::{read, to_f64};
use crate::process::{Repeated, repeat_any, row};
use crate::tools::{Scratch, all_runs};
use crate::{Failure, report};

/// Cells of the page.
const CELLS: usize = 100;

/// Measures it of the newest run of the project, or of this journal, so many times.
pub(crate) fn measure(
    binary: &Path,
    project: &Path,
    repeats: usize,
    journal: Option<&Path>,
) -> Result<(), Failure> {
    let newest = all_runs(&project.join(".assay/runs")).pop_last();
    let newest = newest.map(|run| run.join("journal.jsonl"));
    let journal = journal.map(Path::to_owned).or(newest).ok_or(
        "there is no run whose cells could be shown: `assay test` makes one, `--journal` names another",
    )?;
    let (events, cells) = copied(&read(&journal)?, CELLS)?;
    let scratch = Scratch::new("html")?;
    let path = scratch.path().join("journal.jsonl");
    let mut text = String::new();
    for event in &events {
        text.push_str(&serde_json::to_string(event)?);
        text.push('\n');
    }
    fs::write(&path, &text)?;

    // The exit code is that of the run, whatever it was.
    let reported = |format: &str| -> Result<Repeated, Failure> {
        let mut command = Command::new(binary);
        command.args(["report", "--format", format]).arg(&path);
        let repeated = repeat_any(command.current_dir(project), repeats)?;
        match repeated.stdout.is_empty() {
            true => {
                Err(format!("`assay report` printed nothing of `{}`", journal.display()).into())
            }
            false => Ok(repeated),
        }
    };
    let (page, json) = (reported("html")?, reported("json")?);
    let length = |bytes: &[u8]| u64::try_from(bytes.len()).map(to_f64);
    let (bytes, all) = (length(&page.stdout)?, length(text.as_bytes())?);
    report(
        &format!("`assay report --format html`, {CELLS} cells"),
        &format!("{:.2} s", page.ms / 1e3),
        &format!(
            "≤ 2 s; {repeats} runs from {:.2} to {:.2} s; {:.2} × of the JSON's {:.2} s",
            page.range.0 / 1e3,
            page.range.1 / 1e3,
            page.ms / json.ms,
            json.ms / 1e3
        ),
    )?;
    report(
        "    its page",
        &format!("{:.2} MB", bytes / 1e6),
        &format!(
            "≤ 5 MB; {:.0} kB a cell; {:.2} × of its journal's {:.1} MB, copies of {cells} cells of {}",
            bytes / 1e3 / to_f64(u64::try_from(CELLS)?),
            bytes / all,
            all / 1e6,
            events.first().map_or("", |event| event.run.as_str())
        ),
    )?;
    row(
        "    peak memory",
        &format!("{:.0} MB", to_f64(page.peak) / 1e6),
        &format!("{:.0} MB for the JSON", to_f64(json.peak) / 1e6),
    )?;
    Ok(())
}

/// A run of so many cells: the first of these that ran, and copies of them; with how many those are.
fn copied(events: &[Envelope], wanted: usize) -> Result<(Vec<Envelope>, usize), Failure> {
    let mut cells: Vec<&CellId> = Vec::new();
    for event in events {
        if let (Body::SandboxStarted(_), Some(cell)) = (&event.body, &event.cell)
            && !cells.contains(&cell)
        {
            cells.push(cell);
        }
    }
    cells.truncate(wanted);
    if cells.is_empty() {
        return Err("no cell of that run had a sandbox".into());
    }
    let of_the_run = |event: &&Envelope| event.cell.is_none();
    let (start, end): (Vec<&Envelope>, Vec<&Envelope>) = events
        .iter()
        .filter(of_the_run)
        .partition(|event| matches!(event.body, Body::RunStarted(_)));
    let mut made: Vec<Envelope> = start.into_iter().cloned().collect();
    for (number, cell) in cells.iter().copied().cycle().take(wanted).enumerate() {
        let name = renamed(cell, number / cells.len())?;
        let own = events
            .iter()
            .filter(|event| event.cell.as_ref() == Some(cell));
        made.extend(own.map(|event| Envelope {
            cell: Some(name.clone()),
            ..event.clone()
        }));
    }
    made.extend(end.into_iter().cloned());
    for (number, event) in (0..).zip(&mut made) {
        event.seq = number;
    }
    Ok((made, cells.len()))
}

/// The name of a cell's copy; the first is the cell itself.
fn renamed(cell: &CellId, copy: usize) -> Result<CellId, Failure> {
    let mut name = cell.clone();
    if copy > 0 {
        let first = name.recipes.first_mut().ok_or("a cell of no recipe")?;
        *first = format!("{first}-{copy}").parse::<RecipeName>()?;
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use assay_testkit::{Log, PlanBuilder};
    use assay_wire::event::CellEnded;

    use super::*;

    #[test]
    fn cells_are_copied_until_they_are_enough_and_stay_a_run() {
        let plan = |target: &str| PlanBuilder::new(target, "jq").install("jq").build();
        let log = Log::new().cell("debian-12:jq", plan("debian-12")).cleanly();
        let log = log.cell("arch:jq", plan("arch")).ends(CellEnded::GaveUp);
        let log = log.cell("fedora-44:jq", plan("fedora-44")).cleanly().end();
        for wanted in [1, 2, 9, 30] {
            let (made, cells) = copied(&log.envelopes(), wanted).expect("cells");
            assert_eq!(cells, wanted.min(2), "one never had a sandbox");
            let record = assay_observe::fold(made).expect("a run");
            assert_eq!(record.cells.len(), wanted);
        }
    }
}
