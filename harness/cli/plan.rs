//! `assay plan`: the exact commands of each recipe on each target.

use assay_wire::digest::Digest;
use assay_wire::name::CellId;
use assay_wire::plan::Plan;
use assay_wire::program::HarnessEnv;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::PlanArgs;
use crate::cells::select;
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
    harness_digest: Digest,
    harness: &'d HarnessEnv,
}

/// Plans and prints.
pub(crate) fn run(terminal: &Terminal, arguments: &PlanArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let targets = project.targets(&arguments.selection.on)?;
    let (_, cells) = select(
        terminal,
        &project,
        &arguments.selection,
        &arguments.sets,
        &targets,
    )?;
    if terminal.is_json() {
        let plans = cells
            .iter()
            .map(|cell| Planned {
                cell: &cell.cell,
                digest: cell.plan.digest(),
                plan: &cell.plan,
                harness_digest: cell.harness.digest(),
                harness: &cell.harness,
            })
            .collect();
        return terminal.json(&Document {
            schema: "assay-plan",
            version: 1,
            plans,
        });
    }
    terminal.result(|out| {
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            writeln!(out, "# {}  plan {}", cell.cell, cell.plan.digest().short())?;
            out.write_all(assay_plan::render_plan(&cell.plan).as_bytes())?;
            if arguments.explain {
                writeln!(out)?;
                out.write_all(
                    assay_plan::render_explanation(&cell.plan, &cell.distros).as_bytes(),
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
