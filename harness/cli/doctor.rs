//! `assay doctor`: what this machine can run, and the command that mends what it cannot.

use std::path::Path;
use std::time::SystemTime;

use assay_sandbox::docker::engine::Engine;
use assay_sandbox::images::{Level, diagnose};
use assay_sandbox::lease::{Leases, OwnerId};
use assay_sandbox::session::Backend;
use assay_sandbox::sweep::{Kept, sweep};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cache;
use crate::error::{CliError, ErrorKind};
use crate::images;
use crate::network;
use crate::project::Project;
use crate::terminal::{Terminal, plain};

/// What this machine can run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    findings: Vec<Row>,
}

#[derive(Serialize, JsonSchema)]
struct Row {
    level: &'static str,
    what: String,
    mend: Option<String>,
}

/// Looks at everything a run needs.
pub(crate) async fn run(terminal: &Terminal, sweep_all: bool) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let cache = cache::folder()?;
    let engine = Engine::connect().await;
    let mut rows: Vec<Row> = diagnose(&engine, &project.definitions, &cache, images::today()?)
        .await
        .into_iter()
        .map(|finding| {
            let level = match finding.level {
                Level::Ok => "ok",
                Level::Warn => "warn",
                Level::Fail => "fail",
            };
            Row {
                level,
                what: finding.what,
                mend: finding.mend,
            }
        })
        .collect();
    if let Ok(engine) = engine {
        rows.push(sweep_finding(engine, &cache, sweep_all).await?);
    }
    rows.extend(network::words(project.network()).map(|what| Row {
        level: "ok",
        what,
        mend: None,
    }));
    let failed = rows.iter().any(|row| row.level == "fail");
    if terminal.is_json() {
        terminal.json(&Document {
            schema: "assay-doctor",
            version: 1,
            findings: rows,
        })?;
    } else {
        let stdout = std::io::stdout();
        terminal.result(|out| {
            for row in &rows {
                let level = format!("{:<5} ", row.level);
                writeln!(
                    out,
                    "{}",
                    terminal.hanging(&stdout, &level, &plain(&row.what))
                )?;
                if let Some(mend) = &row.mend {
                    writeln!(
                        out,
                        "{}",
                        terminal.hanging(&stdout, "      mend: ", &plain(mend))
                    )?;
                }
            }
            Ok(())
        })?;
    }
    if failed {
        Err(CliError::said(ErrorKind::Infrastructure))
    } else {
        Ok(())
    }
}

/// Removes what earlier runs left behind; what was kept on purpose only if asked.
async fn sweep_finding(engine: Engine, cache: &Path, everything: bool) -> Result<Row, CliError> {
    let owner = OwnerId::of_this_machine(cache).map_err(CliError::infrastructure)?;
    let backend = Backend::docker(engine)
        .await
        .map_err(CliError::infrastructure)?;
    let kept = if everything {
        Kept::Remove
    } else {
        Kept::Spare {
            now: SystemTime::now(),
        }
    };
    let swept = sweep(&backend, &owner, &Leases::of(cache), kept)
        .await
        .map_err(CliError::infrastructure)?;
    let spared = swept.spared.len();
    let failed: Vec<String> = swept
        .failed
        .iter()
        .map(|(name, error)| format!("{name}: {error}"))
        .collect();
    Ok(Row {
        level: if failed.is_empty() { "ok" } else { "warn" },
        what: format!(
            "sandboxes of dead runs: {} removed, {spared} kept{}{}",
            swept.removed.len(),
            if failed.is_empty() {
                ""
            } else {
                ", not removed: "
            },
            failed.join("; "),
        ),
        mend: (spared > 0).then(|| {
            "`assay doctor --sweep` removes them; `assay shell CELL` opens one".to_owned()
        }),
    })
}
