//! Image variants: deriving what a run needs and this machine lacks, by a plan of one install that
//! runs in a sandbox of the target's minimal image.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use assay_plan::{Target, closure, harness_env, plan};
use assay_run::derive::{DeriveError, Recast, derive};
use assay_run::{Context, Journal};
use assay_sandbox::images::build::alone;
use assay_sandbox::images::definition::PackageManager;
use assay_sandbox::images::{
    Derivation, FoundImage, Placed, derivation, find_variant, keep_derived,
};
use assay_sandbox::session::{SandboxSpec, SandboxUse};
use assay_wire::lock::Network;
use assay_wire::name::{CellId, Variant};
use assay_wire::plan::{Action, Expects, Limits, Op, OpId, Privilege};
use tokio::sync::watch;

use crate::error::{CliError, ErrorKind};
use crate::project::Project;
use crate::terminal::{Terminal, plain};
use crate::test::new_run;
use crate::world::World;

/// A variant that is there now.
#[derive(Debug)]
pub(crate) struct Made {
    /// Its image.
    pub(crate) image: FoundImage,
    /// Whether this call made it.
    pub(crate) made: bool,
    /// How long that took.
    pub(crate) elapsed: Duration,
}

/// A variant that is not to be had.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// It is told why, in words that end with the command that mends it.
    Because(String),
    /// The user has interrupted.
    Interrupted,
}

impl From<Unavailable> for CliError {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Because(because) => Self::infrastructure(because),
            Unavailable::Interrupted => Self::new(ErrorKind::Interrupted, "interrupted"),
        }
    }
}

/// The variant of a target: the one that is there, else one derived now.
///
/// # Errors
/// Why there is none.
pub(crate) async fn provide(
    terminal: &Terminal,
    world: &World,
    project: &Project,
    target: &Target,
    variant: Variant,
    rebuild: bool,
) -> Result<Made, Unavailable> {
    let begun = Instant::now();
    let no_image = || {
        Unavailable::Because(format!(
            "image variant unavailable: there is no image of {0} here; `assay images build {0}` makes it",
            target.id
        ))
    };
    let placed = project.definitions.get(&target.id).ok_or_else(no_image)?;
    let failed = |message: String, hint: Option<String>| {
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        Unavailable::Because(format!(
            "image variant unavailable: {}{hint}; `assay images build {} --variant {variant}` tries again",
            message.trim_end(),
            target.id
        ))
    };
    let mut progress = |line: &str| terminal.progress(&plain(line));
    let told = |error: assay_sandbox::images::BuildError| failed(error.to_string(), error.hint());
    let _alone = alone(&world.cache, &placed.definition, &mut progress)
        .await
        .map_err(told)?;
    let (found, base) = find_variant(&world.engine, placed, &world.cache, variant)
        .await
        .map_err(told)?;
    let base = base.ok_or_else(no_image)?;
    if let (Some(image), false) = (found, rebuild) {
        return Ok(Made {
            image,
            made: false,
            elapsed: begun.elapsed(),
        });
    }
    progress(&format!(
        "{}: deriving the image variant `{variant}` from the minimal one",
        target.id
    ));
    let derivation = derivation(&placed.definition, base, variant);
    let (interrupt, interrupted) = watch::channel(false);
    let signals = tokio::spawn(crate::test::watch_signals(*terminal, interrupt));
    let id = run(
        world,
        placed,
        target,
        &derivation,
        interrupted,
        &mut progress,
    )
    .await;
    signals.abort();
    let id = id.map_err(|error| match error {
        DeriveError::Interrupted => Unavailable::Interrupted,
        DeriveError::Failed { message, hint } => failed(message, hint),
    })?;
    let image = keep_derived(&world.engine, &placed.definition, &id)
        .await
        .map_err(told)?;
    Ok(Made {
        image,
        made: true,
        elapsed: begun.elapsed(),
    })
}

/// Runs the program that derives.
async fn run(
    world: &World,
    placed: &Placed,
    target: &Target,
    derivation: &Derivation,
    interrupted: watch::Receiver<bool>,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<String, DeriveError> {
    let broken = |error: &dyn std::fmt::Display| DeriveError::Failed {
        message: error.to_string(),
        hint: None,
    };
    let manager = placed.definition.package_manager;
    let ops = ops(target, manager, derivation.packages).map_err(|why| broken(&why))?;
    let run = new_run().map_err(|error| broken(&error))?;
    let lease = world.leases.acquire(&run).map_err(|error| broken(&error))?;
    let journal = lease
        .folder()
        .map_err(|error| broken(&error))?
        .join("derive.jsonl");
    let journal =
        Journal::create(run.clone(), &journal, Box::new(|_| ())).map_err(|error| broken(&error))?;
    let recipe = RECIPE.parse().map_err(|error| broken(&error))?;
    let context: Context = world.context(Arc::new(journal), interrupted);
    let spec = SandboxSpec {
        traced: true,
        run,
        owner: world.owner,
        cell: CellId {
            target: target.id.clone(),
            recipes: vec![recipe],
        },
        image: derivation.base.id.clone(),
        used_for: SandboxUse::Image,
        executor: Arc::clone(&world.executor),
        limits: world.limits,
        created: SystemTime::now(),
    };
    let recast = Recast {
        ops,
        harness: harness_env(target, Network::Live),
        image: derivation.image.clone(),
    };
    derive(&Arc::new(context), &spec, &recast, progress).await
}

/// The name of the recipe that installs what a variant has.
const RECIPE: &str = "image-variant";

/// What installs packages on a target as any recipe would, and takes away what the minimal image
/// does not have either: fetched packages and lists of them.
fn ops(target: &Target, manager: PackageManager, packages: &[&str]) -> Result<Vec<Op>, String> {
    let (action, clean): (&str, &[&[&str]]) = match manager {
        PackageManager::Apt => (
            "apt_install",
            &[
                &["apt-get", "clean"],
                &[
                    "find",
                    "/var/lib/apt/lists",
                    "/var/cache/apt",
                    "-type",
                    "f",
                    "!",
                    "-name",
                    "lock",
                    "-delete",
                ],
            ],
        ),
        PackageManager::Dnf => ("dnf_install", &[&["dnf", "clean", "all"]]),
        PackageManager::Pacman => (
            "pacman_install",
            &[&[
                "find",
                "/var/cache/pacman/pkg",
                "/var/lib/pacman/sync",
                "-type",
                "f",
                "-delete",
            ]],
        ),
        PackageManager::Apk | PackageManager::Zypper | PackageManager::Brew => {
            return Err(format!("no image variant is made with `{manager}`"));
        }
    };
    let names: Vec<String> = packages.iter().map(|name| format!("\"{name}\"")).collect();
    let text = format!(
        "[metadata]\nname = \"{RECIPE}\"\ndescription = \"What an image variant has beyond the minimal image\"\n\n\
         [[steps]]\naction = \"{action}\"\npackages = [{}]\n",
        names.join(", ")
    );
    let (_, parsed) = assay_recipe::parse_bytes(None, text.as_bytes());
    let recipe = parsed
        .value
        .ok_or_else(|| format!("its recipe is invalid: {:?}", parsed.diagnostics))?;
    let words = |faults: Vec<assay_plan::Fault>| {
        let words: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
        words.join("; ")
    };
    let library = [recipe];
    let name = library[0].metadata.name.value.clone();
    let set = closure(&[name], &library).map_err(words)?;
    let mut ops = plan(&set, target).map_err(words)?.ops;
    for argv in clean {
        let last = ops.last().map_or(0, |op| op.id.0);
        ops.push(Op {
            id: OpId(last + 1),
            steps: Vec::new(),
            privilege: Privilege::Root,
            guard: None,
            limits: Limits::INSTALL,
            expects: Expects::Success {
                failure_lines: Vec::new(),
            },
            once: true,
            scope: None,
            action: Action::Run {
                argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            },
        });
    }
    Ok(ops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_installed_as_a_recipe_would_and_what_it_fetched_goes() {
        let definitions = assay_sandbox::images::Definitions::load(None).expect("definitions");
        let of = |target: &str, manager| {
            let id: assay_wire::name::TargetId = target.parse().expect("a target");
            let text = definitions
                .get(&id)
                .expect("built in")
                .definition
                .os_release
                .as_ref()
                .expect("it runs")
                .text();
            let arch = "amd64".parse().expect("an architecture");
            let target = Target::from_os_release(id, arch, None, text);
            let ops = ops(&target, manager, &["dbus", "systemd"]).expect("ops");
            ops.iter()
                .map(|op| match &op.action {
                    Action::Run { argv } => argv.join(" "),
                    other @ (Action::Write { .. } | Action::Extract { .. }) => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("debian-12", PackageManager::Apt),
            [
                "apt-get update --error-on=any",
                "apt-get install -y --no-install-recommends --no-upgrade -- dbus systemd",
                "apt-get clean",
                "find /var/lib/apt/lists /var/cache/apt -type f ! -name lock -delete",
            ]
        );
        let dnf = of("fedora-44", PackageManager::Dnf);
        assert!(
            dnf.last().is_some_and(|last| last == "dnf clean all"),
            "{dnf:?}"
        );
        let pacman = of("arch", PackageManager::Pacman);
        assert!(pacman.iter().any(|op| op.contains("-Syu")), "{pacman:?}");
    }
}
