//! `assay test`: the matrix, from recipe text to a judged record. Read it for the whole pipeline:
//! load → plan → images → run → fold → report.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use assay_observe::Record;
use assay_observe::record::RunEnd;
use assay_recipe::expected::Need;
use assay_run::{CellJob, Context, Journal, RunError, run_cells};
use assay_sandbox::images::{FoundImage, SourceKind, find};
use assay_sandbox::sweep::{Kept, sweep};
use assay_wire::cell_key::{Conditions, answers_epoch};
use assay_wire::digest::Digest;
use assay_wire::event::{
    Body, Capture, CellPlanned, Expected, Image, ImageKind, Origin, RunStarted, SnapshotFinding,
};
use assay_wire::lock::Network;
use assay_wire::name::{RunId, TargetId, Variant};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use crate::args::TestArgs;
use crate::cells::{Library, PlannedCell, select};
use crate::error::{CliError, ErrorKind};
use crate::progress::Progress;
use crate::project::Project;
use crate::terminal::Terminal;
use crate::variants::{Unavailable, provide};
use crate::world::{ARCHITECTURE, World};
use crate::{lock, report, snapshot, time};

/// The cells that `assay test` would run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CellList {
    schema: &'static str,
    version: u32,
    /// Each as `target:recipe[,recipe]`.
    cells: Vec<String>,
}

/// Runs the cells that are selected and judges them.
pub(crate) async fn run(terminal: &Terminal, arguments: &TestArgs) -> Result<ExitCode, CliError> {
    let mut project = Project::find(terminal)?;
    let network = Network::from(arguments.network);
    check_network(&project, network)?;
    let world = World::connect(terminal, &project, network).await;
    let mut targets = project.targets(&arguments.selection.on)?;
    let images = match &world {
        Ok(world) => images_of(world, &project, &targets).await?,
        Err(_) => BTreeMap::new(),
    };
    if arguments.selection.on.is_empty() {
        leave_out_unrunnable(terminal, &project, &mut targets)?;
        if world.is_ok() {
            leave_out_unavailable(terminal, &mut targets, &images);
        }
    }
    let (library, mut cells) = select(
        terminal,
        &project,
        &arguments.selection,
        &arguments.sets,
        &targets,
    )?;
    if arguments.list {
        if let Err(error) = &world {
            let why = crate::terminal::plain(&error.to_string());
            terminal.progress(&format!("which images there are is not known: {why}"));
        }
        return list(terminal, &cells, world.is_ok().then_some(&images));
    }
    // Everything that is wrong with the recipes has been said before the world is complained of.
    let world = world?;
    if network == Network::Record {
        let learned = lock::learn_keys(terminal, &world, cells.iter().map(|cell| &cell.plan)).await;
        project.learn(learned);
        let unknown = cells
            .iter_mut()
            .filter(|cell| cell.plan.unpinned_key().is_some());
        for cell in unknown {
            // It was planned before, and a key changes nothing that could stand against that.
            if let Ok(planned) = library.plan(&project, &cell.cell.recipes, &cell.target) {
                *cell = planned;
            }
        }
    }
    let variants = variants_for(terminal, &world, &project, &cells).await?;
    let conditions = conditions(&world, &project, arguments);
    let capture = match arguments.allow_degraded {
        true => Capture::Manifest,
        false => Capture::Trace,
    };
    let jobs = cells
        .into_iter()
        .map(|cell| {
            job(
                &world,
                &project,
                &library,
                cell,
                &images,
                &variants,
                (&conditions, capture),
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    let record = run_jobs(terminal, &project, &world, arguments, jobs).await?;
    if network == Network::Record {
        record_lock(terminal, &project, &world, &record).await?;
    }
    report::print(terminal, &record)?;
    Ok(ExitCode::from(assay_observe::exit_code(&record).number()))
}

/// A lock is written beside `assay.toml`, and a replay needs one.
fn check_network(project: &Project, network: Network) -> Result<(), CliError> {
    match network {
        Network::Live | Network::None => Ok(()),
        Network::Record if project.root.is_some() => Ok(()),
        Network::Record => Err(CliError::usage("nothing can be recorded outside a project")
            .hint("an empty `assay.toml` makes its folder a project; `assay.lock` is written beside it")),
        Network::Replay if project.lock().is_some() => Ok(()),
        Network::Replay => Err(CliError::usage("there is no `assay.lock` to replay")
            .hint("record one with `assay test --network record`")),
    }
}

/// Writes what was recorded; nothing if the run was interrupted, which asked for only some of it.
async fn record_lock(
    terminal: &Terminal,
    project: &Project,
    world: &World,
    record: &Record,
) -> Result<(), CliError> {
    if record.run.end != RunEnd::Complete {
        terminal.message("interrupted: `assay.lock` stays as it was");
        return Ok(());
    }
    let proxy = world.proxy.clone();
    let answers = tokio::task::spawn_blocking(move || proxy.recorded()).await;
    lock::write(
        terminal,
        (project, &world.store),
        record,
        answers.map_err(CliError::infrastructure)?,
    )
}

async fn images_of(
    world: &World,
    project: &Project,
    targets: &[assay_plan::Target],
) -> Result<BTreeMap<TargetId, FoundImage>, CliError> {
    let mut images = BTreeMap::new();
    for target in targets {
        if let Some(placed) = project.definitions.get(&target.id) {
            let image = find(&world.engine, placed, &world.cache)
                .await
                .map_err(CliError::infrastructure)?;
            images.extend(image.map(|image| (target.id.clone(), image)));
        }
    }
    Ok(images)
}

/// The variant `systemd` of every target that a cell here needs it of, derived where it is missing;
/// or why there is none.
async fn variants_for(
    terminal: &Terminal,
    world: &World,
    project: &Project,
    cells: &[PlannedCell],
) -> Result<BTreeMap<TargetId, Result<FoundImage, String>>, CliError> {
    let mut variants = BTreeMap::new();
    for cell in cells {
        let needed = cell.plan.variant == Variant::Systemd
            && cell.plan.unsupported.is_none()
            && !cell.plan.ops.is_empty()
            && !project.is_plan_only(&cell.target.id)
            && cell.target.arch.as_str() == ARCHITECTURE;
        if !needed || variants.contains_key(&cell.target.id) {
            continue;
        }
        let variant = cell.plan.variant;
        let provided = provide(terminal, world, project, &cell.target, variant, false).await;
        let image = match provided {
            Ok(provided) => Ok(provided.image),
            Err(Unavailable::Because(because)) => Err(because),
            Err(interrupted @ Unavailable::Interrupted) => return Err(interrupted.into()),
        };
        variants.insert(cell.target.id.clone(), image);
    }
    Ok(variants)
}

/// Without `--on` only targets that can run here are meant: none that is only planned for, none of
/// another architecture.
fn leave_out_unrunnable(
    terminal: &Terminal,
    project: &Project,
    targets: &mut Vec<assay_plan::Target>,
) -> Result<(), CliError> {
    let runs_here = |target: &assay_plan::Target| {
        !project.is_plan_only(&target.id) && target.arch.as_str() == ARCHITECTURE
    };
    let names: Vec<&str> = targets
        .iter()
        .filter(|target| !runs_here(target))
        .map(|target| target.id.as_str())
        .collect();
    if names.len() == targets.len() && !targets.is_empty() {
        return Err(
            CliError::usage("no target of this project can ever run here").hint(format!(
                "{} are only planned for: `assay plan` shows their plans",
                names.join(", ")
            )),
        );
    }
    if !names.is_empty() {
        terminal.progress(&format!("left out, only planned for: {}", names.join(" ")));
    }
    targets.retain(runs_here);
    Ok(())
}

/// Of the targets that could run here, those without an image are left out; which is said.
fn leave_out_unavailable(
    terminal: &Terminal,
    targets: &mut Vec<assay_plan::Target>,
    images: &BTreeMap<TargetId, FoundImage>,
) {
    if images.is_empty() {
        return;
    }
    let without: Vec<String> = targets
        .iter()
        .filter(|target| !images.contains_key(&target.id))
        .map(|target| target.id.to_string())
        .collect();
    if !without.is_empty() {
        let names = without.join(" ");
        terminal.progress(&format!(
            "left out, without an image here: {names} (`assay images build {names}` makes them)"
        ));
        targets.retain(|target| images.contains_key(&target.id));
    }
}

/// Lists cells, with their images where it is known which there are.
fn list(
    terminal: &Terminal,
    cells: &[PlannedCell],
    images: Option<&BTreeMap<TargetId, FoundImage>>,
) -> Result<ExitCode, CliError> {
    let names: Vec<String> = cells.iter().map(|cell| cell.cell.to_string()).collect();
    if terminal.is_json() {
        terminal.json(&CellList {
            schema: "assay-cells",
            version: 1,
            cells: names,
        })?;
    } else {
        terminal.result(|out| {
            cells.iter().try_for_each(|cell| {
                let image = match images.map(|images| images.get(&cell.target.id)) {
                    Some(Some(image)) => match cell.plan.variant {
                        Variant::Minimal => image.kind.word().to_owned(),
                        variant @ Variant::Systemd => format!("{}, {variant}", image.kind),
                    },
                    Some(None) => "no image".to_owned(),
                    None => "image not known".to_owned(),
                };
                let note = if cell.plan.unsupported.is_some() {
                    "  unsupported"
                } else {
                    ""
                };
                writeln!(out, "{:<40} {image}{note}", cell.cell.to_string())
            })
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What every cell of the run runs under.
fn conditions(world: &World, project: &Project, arguments: &TestArgs) -> Conditions {
    let limits = world.limits;
    let allow = project.network().allow.iter();
    let mut allow: Vec<String> = allow.map(|it| it.value.as_str().to_owned()).collect();
    allow.sort();
    Conditions {
        harness: env!("CARGO_PKG_VERSION").to_owned(),
        executor_sha256: Digest::of(&world.executor),
        network: world.network,
        allow,
        answers: answers_epoch(world.network, project.lock().map(Arc::as_ref)),
        memory_bytes: limits.memory_bytes,
        milli_cpus: limits.milli_cpus,
        pids: limits.pids,
        file_bytes: limits.file_bytes,
        cell_ms: u64::try_from(arguments.timeout.as_millis()).unwrap_or(u64::MAX),
    }
}

/// A cell as the runner takes it.
fn job(
    world: &World,
    project: &Project,
    library: &Library,
    cell: PlannedCell,
    images: &BTreeMap<TargetId, FoundImage>,
    variants: &BTreeMap<TargetId, Result<FoundImage, String>>,
    (conditions, capture): (&Conditions, Capture),
) -> Result<CellJob, CliError> {
    let snapshot: SnapshotFinding = snapshot::finding(project, library, &cell)?;
    let expected = expected(project, &cell);
    let (image, unavailable) = match (cell.plan.variant, variants.get(&cell.target.id)) {
        (Variant::Minimal, _) => (images.get(&cell.target.id), None),
        (Variant::Systemd, Some(Ok(image))) => (Some(image), None),
        (Variant::Systemd, Some(Err(because))) => (None, Some(because.clone())),
        // It is not to be started for another reason.
        (Variant::Systemd, None) => (None, None),
    };
    let not_run = if project.is_plan_only(&cell.target.id) && cell.plan.unsupported.is_none() {
        Some("plan only".to_owned())
    } else {
        not_run(world, project, &cell, expected.as_ref()).or(unavailable)
    };
    let planned = CellPlanned {
        plan: cell.plan,
        harness: assay_plan::harness_env(&cell.target, world.network),
        locations: cell.locations,
        image: image.map(|image| Image {
            target: image.target.clone(),
            variant: image.variant,
            id: image.id.clone(),
            kind: match image.kind {
                SourceKind::Registry => ImageKind::Registry,
                SourceKind::Bootstrap => ImageKind::Bootstrap,
                SourceKind::Lab => ImageKind::Lab,
                SourceKind::Tarball => ImageKind::Tarball,
            },
            note: image.note.clone(),
        }),
        capture,
        conditions: conditions.clone(),
        expected,
        snapshot,
    };
    Ok(CellJob {
        cell: cell.cell,
        planned,
        not_run,
    })
}

/// Why a cell is not started, if it is not.
fn not_run(
    world: &World,
    project: &Project,
    cell: &PlannedCell,
    expected: Option<&Expected>,
) -> Option<String> {
    if cell.plan.unsupported.is_some() {
        return None;
    }
    if cell.target.arch.as_str() != ARCHITECTURE {
        return Some(format!("no executor for {}", cell.target.arch.as_str()));
    }
    if let Some((step, fingerprint)) = cell.plan.unpinned_key() {
        return Some(format!(
            "`{step}` needs the key {fingerprint}, and no `assay.lock` says which bytes hold it: \
             `--network record` asks for them"
        ));
    }
    if world.network == Network::Replay
        && let Some(lock) = project.lock()
        && let Some(expired) = lock::expired(lock, &cell.plan, &time::date(time::now()))
    {
        return Some(expired);
    }
    let needs = expected.map_or(&[][..], |row| row.needs.as_slice());
    if let Some(need) = needs.iter().find(|need| !world.meets(project, need)) {
        return Some(format!("`{need}` is not to be had here"));
    }
    None
}

/// The row of `expected.toml` for a cell of one recipe.
fn expected(project: &Project, cell: &PlannedCell) -> Option<Expected> {
    let [recipe] = cell.cell.recipes.as_slice() else {
        return None;
    };
    let row = project.expectations.find(recipe, &cell.target.id)?;
    let today = time::date(time::now());
    Some(Expected {
        outcome: row.outcome.value,
        phase: row.phase.as_ref().map(|phase| phase.value),
        reason: row.reason.as_ref().map(|reason| reason.value),
        link: row.link.as_ref().map(|link| link.value.as_str().to_owned()),
        expired: row
            .expires
            .as_ref()
            .is_some_and(|day| day.value.to_string() < today),
        needs: row
            .needs
            .iter()
            .map(|need: &assay_recipe::Spanned<Need>| need.value.to_string())
            .collect(),
    })
}

/// Runs the jobs and folds what the journal says.
async fn run_jobs(
    terminal: &Terminal,
    project: &Project,
    world: &World,
    arguments: &TestArgs,
    jobs: Vec<CellJob>,
) -> Result<Record, CliError> {
    let run = new_run()?;
    let lease = world
        .leases
        .acquire(&run)
        .map_err(CliError::infrastructure)?;
    sweep_dead_runs(terminal, world).await?;
    let path: PathBuf = project.runs().join(run.as_str()).join("journal.jsonl");
    let progress = Progress::start(terminal, jobs.len());
    let listener = progress.listener();
    let journal =
        Arc::new(Journal::create(run.clone(), &path, listener).map_err(CliError::infrastructure)?);
    let record = |body| {
        journal
            .append(None, Origin::Runner, body)
            .map_err(CliError::infrastructure)
    };
    record(Body::RunStarted(RunStarted {
        harness: env!("CARGO_PKG_VERSION").to_owned(),
        started: time::rfc3339(time::now()),
        arguments: std::env::args().skip(1).collect(),
        project: project.root.as_ref().map(|root| root.display().to_string()),
        allow_unmet_needs: arguments.allow_unmet_needs,
        network: world.network,
        consents: project.root.is_some().then(|| project.consents()),
    }))?;
    let (interrupt, interrupted) = watch::channel(false);
    let signals = tokio::spawn(watch_signals(*terminal, interrupt));
    let parallel = arguments.jobs.map_or_else(default_parallel, usize::from);
    let context = Context {
        cell_time: arguments.timeout,
        keep_failed: arguments.keep_failed,
        ..world.context(Arc::clone(&journal), interrupted.clone())
    };
    let ran = run_cells(Arc::new(context), jobs, parallel).await;
    let was_interrupted = *interrupted.borrow();
    signals.abort();
    progress.finish();
    ran.map_err(|error| match error {
        RunError::Journal(_) => {
            CliError::infrastructure(error).hint("free some disk space, then run it again")
        }
        RunError::Broken(_) => CliError::infrastructure(error),
    })?;
    record(Body::RunEnded {
        interrupted: was_interrupted,
    })?;
    drop(lease);
    terminal.progress(&format!("journal: {}", path.display()));
    let events = journal.events().map_err(CliError::infrastructure)?;
    assay_observe::fold(events).map_err(CliError::infrastructure)
}

/// Removes what dead runs left behind, but for what was kept on purpose.
async fn sweep_dead_runs(terminal: &Terminal, world: &World) -> Result<(), CliError> {
    let kept = Kept::Spare {
        now: SystemTime::now(),
    };
    let swept = sweep(&world.backend, &world.owner, &world.leases, kept)
        .await
        .map_err(CliError::infrastructure)?;
    if !swept.removed.is_empty() {
        terminal.progress(&format!(
            "removed what dead runs left behind: {}",
            swept.removed.join(" ")
        ));
    }
    Ok(())
}

/// One sandbox for each core.
fn default_parallel() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The first signal ends the run in order; the second ends the process at once, and the next run
/// sweeps.
pub(crate) async fn watch_signals(terminal: Terminal, interrupt: watch::Sender<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut ctrl_c), Ok(mut term)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    let mut received = 0;
    loop {
        tokio::select! {
            _ = ctrl_c.recv() => {}
            _ = term.recv() => {}
        }
        received += 1;
        if received > 1 {
            std::process::exit(i32::from(ErrorKind::Interrupted.exit_code()));
        }
        terminal.message(
            "interrupted: removing the sandboxes; once more to leave them to the next run",
        );
        interrupt.send_replace(true);
    }
}

/// A new run's identity: sortable by time, unique by chance.
pub(crate) fn new_run() -> Result<RunId, CliError> {
    let (year, month, day, hour, minute, second) = time::civil(time::now());
    let mut random = [0; 3];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(CliError::infrastructure)?;
    let [a, b, c] = random;
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{a:02x}{b:02x}{c:02x}")
        .parse()
        .map_err(CliError::infrastructure)
}
