//! `assay shell`: a person in the sandbox of a cell, over the same wire and the same proxy.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::SystemTime;

use assay_content::proxy::Names;
use assay_recipe::name::WireName as _;
use assay_recipe::text::TextFault;
use assay_run::Journal;
use assay_run::names_of;
use assay_run::shell::{ShellSpec, run_shell};
use assay_sandbox::images::find_variant;
use assay_sandbox::session::{SandboxSpec, SandboxUse, Session};
use assay_sandbox::sweep::kept_sandboxes;
use assay_wire::control::TerminalSize;
use assay_wire::lock::Network;
use assay_wire::name::{CellId, RecipeName, TargetId, Variant};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::args::ShellArgs;
use crate::cells::Library;
use crate::error::{CliError, ErrorKind};
use crate::project::Project;
use crate::terminal::Terminal;
use crate::test::new_run;
use crate::variants::provide;
use crate::world::World;

/// The recipe part of a cell that is only a target.
const NO_RECIPE: &str = "shell";

/// Opens a shell and waits for its end.
pub(crate) async fn run(terminal: &Terminal, arguments: &ShellArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let cell = read_cell(&arguments.cell).map_err(|fault| {
        CliError::word(fault).hint("a cell is a target and a recipe, such as `debian-12:jq`")
    })?;
    let target = project.one_target(&cell.target)?;
    let world = World::connect(terminal, &project, Network::Live).await?;
    let kept = kept_sandboxes(&world.backend, &world.owner)
        .await
        .map_err(CliError::infrastructure)?;
    let kept = kept.into_iter().find(|kept| kept.cell == cell);
    let run = kept
        .as_ref()
        .map_or_else(new_run, |kept| Ok(kept.run.clone()))?;
    let lease = world
        .leases
        .acquire(&run)
        .map_err(CliError::infrastructure)?;
    let surroundings = surroundings(terminal, &project, &cell, &target)?;
    let mut session = match &kept {
        Some(kept) => {
            terminal.progress(&format!(
                "the kept sandbox of {cell}; what lay on tmpfs is lost"
            ));
            Session::reopen(&world.backend, kept, &world.executor).await
        }
        None => {
            terminal.progress(&format!(
                "a fresh sandbox of {}: no recipe has run in it",
                cell.target
            ));
            let of = (&cell, &target, &surroundings);
            let spec = fresh(terminal, &world, &project, of, &run).await?;
            Session::start(&world.backend, &spec).await
        }
    }
    .map_err(|error| {
        let hint = error.hint();
        CliError::infrastructure(error).hints(hint)
    })?;
    let spec = ShellSpec {
        cell,
        harness: assay_plan::harness_env(&target, world.network),
        names: surroundings.names,
        root: arguments.root,
        size: size(),
    };
    let spoken = speak(&world, &spec, &mut session, &lease).await;
    let ended = match &kept {
        Some(_) => session.keep(SystemTime::now()).await.map(|_| ()),
        None => session.close().await,
    };
    spoken?;
    ended.map_err(CliError::infrastructure)
}

/// A cell, or a target alone.
fn read_cell(text: &str) -> Result<CellId, TextFault> {
    let (target, recipes) = text.split_once(':').unwrap_or((text, NO_RECIPE));
    Ok(CellId {
        target: TargetId::read(target)?,
        recipes: recipes
            .split(',')
            .map(RecipeName::read)
            .collect::<Result<_, _>>()?,
    })
}

/// What a cell's plan says of where it runs.
struct Surroundings {
    variant: Variant,
    boots: bool,
    /// The hosts it names.
    names: Names,
}

/// What surrounds a cell; without a recipe of this project the minimal image, and the hosts it names
/// itself.
fn surroundings(
    terminal: &Terminal,
    project: &Project,
    cell: &CellId,
    target: &assay_plan::Target,
) -> Result<Surroundings, CliError> {
    let files: Vec<_> = cell
        .recipes
        .iter()
        .map(|name| project.recipes().join(format!("{name}.toml")))
        .collect();
    if !files.iter().all(|file| file.exists()) {
        return Ok(Surroundings {
            variant: Variant::Minimal,
            boots: false,
            names: Names::default(),
        });
    }
    let library = Library::load(terminal, project, &files)?;
    let planned = library
        .plan(project, &library.asked, target)
        .map_err(|faults| {
            library.print(terminal, &faults);
            CliError::said(ErrorKind::Recipe)
        })?;
    Ok(Surroundings {
        variant: planned.plan.variant,
        boots: planned.plan.boots,
        names: names_of(&planned.plan),
    })
}

async fn fresh(
    terminal: &Terminal,
    world: &World,
    project: &Project,
    (cell, target, surroundings): (&CellId, &assay_plan::Target, &Surroundings),
    run: &assay_wire::name::RunId,
) -> Result<SandboxSpec, CliError> {
    let variant = surroundings.variant;
    let missing = || {
        let target = &cell.target;
        let runs = project.definitions.get(target).is_some() && !project.is_plan_only(target);
        CliError::infrastructure(format!("there is no image of {target}")).hint(if runs {
            format!("run `assay images build {target}`")
        } else {
            format!("it is only planned for: `assay plan --on {target}`")
        })
    };
    let placed = project.definitions.get(&cell.target).ok_or_else(missing)?;
    let (found, base) = find_variant(&world.engine, placed, &world.cache, variant)
        .await
        .map_err(CliError::infrastructure)?;
    base.ok_or_else(missing)?;
    let image = match found {
        Some(image) => image,
        None => {
            let provided = provide(terminal, world, project, target, variant, false).await;
            provided?.image
        }
    };
    Ok(SandboxSpec {
        traced: true,
        run: run.clone(),
        owner: world.owner,
        cell: cell.clone(),
        image: image.id,
        used_for: if surroundings.boots {
            SandboxUse::Booted
        } else {
            SandboxUse::Cell
        },
        executor: Arc::clone(&world.executor),
        limits: world.limits,
        created: SystemTime::now(),
    })
}

async fn speak(
    world: &World,
    spec: &ShellSpec,
    session: &mut Session,
    lease: &assay_sandbox::lease::Lease,
) -> Result<(), CliError> {
    let journal = lease
        .folder()
        .map_err(CliError::infrastructure)?
        .join("shell.jsonl");
    let _ = std::fs::remove_file(&journal);
    let journal = Journal::create(lease.run().clone(), &journal, Box::new(|_| ()))
        .map_err(CliError::infrastructure)?;
    let (_interrupt, interrupted) = watch::channel(false);
    let context = Arc::new(world.context(Arc::new(journal), interrupted));
    let (tell, sizes) = mpsc::unbounded_channel();
    let mut resized = signal(SignalKind::window_change()).map_err(CliError::infrastructure)?;
    let watcher = tokio::spawn(async move {
        while resized.recv().await.is_some() && tell.send(size()).is_ok() {}
    });
    let raw = RawTerminal::enter();
    let spoken = run_shell(
        &context,
        session,
        spec,
        tokio::io::stdin(),
        tokio::io::stdout(),
        sizes,
    )
    .await;
    drop(raw);
    watcher.abort();
    spoken.map_err(CliError::infrastructure)
}

fn size() -> TerminalSize {
    tcgetwinsize(std::io::stdout()).map_or(
        TerminalSize {
            rows: 24,
            columns: 80,
        },
        |size| TerminalSize {
            rows: size.ws_row,
            columns: size.ws_col,
        },
    )
}

/// The terminal without its line discipline; as it was, once dropped.
struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    fn enter() -> Self {
        let stdin = std::io::stdin();
        let before = stdin
            .is_terminal()
            .then(|| tcgetattr(&stdin).ok())
            .flatten();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // A terminal that cannot be made raw still works, line by line. What was typed already
            // is meant for the shell.
            let _ = tcsetattr(&stdin, OptionalActions::Drain, &raw);
        }
        Self { before }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, before);
        }
    }
}
