//! `assay plan`: the exact commands of each recipe on each target.

use assay_plan::Beside;
use assay_wire::digest::Digest;
use assay_wire::name::CellId;
use assay_wire::plan::Plan;
use assay_wire::program::HarnessEnv;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{Format, PlanArgs};
use crate::cells::{Library, PlannedCell, select};
use crate::consent::show;
use crate::error::CliError;
use crate::project::Project;
use crate::terminal::Terminal;

/// Plans, each with what the harness adds beside it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    version: u32,
    plans: Vec<Planned<'d>>,
}

#[derive(Serialize, JsonSchema)]
struct Planned<'d> {
    cell: &'d CellId,
    digest: Digest,
    plan: &'d Plan,
    /// How grave what the plan declares is.
    privileged: Vec<show::Rated>,
    harness_digest: Digest,
    harness: &'d HarnessEnv,
}

/// Sets, each on all its targets.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BesideDocument {
    schema: &'static str,
    version: u32,
    sets: Vec<Beside>,
}

/// Plans and prints.
pub(crate) fn run(terminal: &Terminal, arguments: &PlanArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let targets = project.machines(terminal, &arguments.selection.on)?;
    let (library, cells) = select(
        terminal,
        &project,
        &arguments.selection,
        &arguments.sets,
        &targets,
    )?;
    if arguments.side_by_side {
        return beside(terminal, &library, &cells);
    }
    match terminal.format {
        Format::Json => json(terminal, &project, &cells),
        Format::Markdown => {
            let plans: Vec<_> = cells.iter().map(|cell| (&cell.cell, &cell.plan)).collect();
            let text = assay_plan::render_markdown(&plans);
            terminal.result(|out| out.write_all(text.as_bytes()))
        }
        Format::Shell => script(terminal, &cells),
        // `Verb::formats` lets no other through.
        Format::Human | Format::Junit | Format::Github | Format::Html | Format::Sarif => {
            human(terminal, &project, arguments, &cells)
        }
    }
}

fn json(terminal: &Terminal, project: &Project, cells: &[PlannedCell]) -> Result<(), CliError> {
    let plans = cells
        .iter()
        .map(|cell| Planned {
            cell: &cell.cell,
            digest: cell.plan.digest(),
            plan: &cell.plan,
            privileged: show::rated(&cell.plan, project.policy()),
            harness_digest: cell.harness.digest(),
            harness: &cell.harness,
        })
        .collect();
    terminal.json(&Document {
        schema: "assay-plan",
        version: 1,
        plans,
    })
}

/// Every set on all its targets.
fn beside(terminal: &Terminal, library: &Library, cells: &[PlannedCell]) -> Result<(), CliError> {
    let mut sets: Vec<Vec<&PlannedCell>> = Vec::new();
    for cell in cells {
        let same = |set: &&mut Vec<&PlannedCell>| set[0].cell.recipes == cell.cell.recipes;
        match sets.iter_mut().find(same) {
            Some(set) => set.push(cell),
            None => sets.push(vec![cell]),
        }
    }
    let sets: Vec<Beside> = sets.iter().filter_map(|set| library.beside(set)).collect();
    if terminal.is_json() {
        return terminal.json(&BesideDocument {
            schema: "assay-side-by-side",
            version: 1,
            sets,
        });
    }
    let (width, colored) = (terminal.width(), terminal.colors_stdout());
    terminal.result(|out| {
        for (at, set) in sets.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            out.write_all(assay_plan::render_beside(set, width, colored).as_bytes())?;
        }
        Ok(())
    })
}

/// One script is of one machine.
fn script(terminal: &Terminal, cells: &[PlannedCell]) -> Result<(), CliError> {
    let [cell] = cells else {
        let error = format!("a script is one plan; these are {}", cells.len());
        return Err(CliError::usage(error).hint(
            "name one recipe (or several with `--together`) and one target, such as `--on debian-12`",
        ));
    };
    let text = assay_plan::render_shell(&cell.cell, &cell.plan);
    terminal.result(|out| out.write_all(text.as_bytes()))
}

fn human(
    terminal: &Terminal,
    project: &Project,
    arguments: &PlanArgs,
    cells: &[PlannedCell],
) -> Result<(), CliError> {
    let width = terminal.width();
    terminal.result(|out| {
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            writeln!(out, "# {}  plan {}", cell.cell, cell.plan.digest().short())?;
            out.write_all(assay_plan::render_ops(&cell.plan).as_bytes())?;
            show::section(out, &cell.plan, project.policy())?;
            if arguments.explain {
                writeln!(out)?;
                out.write_all(
                    assay_plan::render_explanation(&cell.plan, &cell.distros, width).as_bytes(),
                )?;
            }
            if terminal.verbose {
                writeln!(
                    out,
                    "\n# the harness adds, digest {}",
                    cell.harness.digest().short()
                )?;
                out.write_all(assay_plan::render_harness_env(&cell.harness).as_bytes())?;
            }
        }
        Ok(())
    })
}
