//! `assay images`: build or pull what is missing, list what is there. What verifies and what removes
//! images stands in [`verify`] and [`prune`].

use std::time::Duration;

use assay_plan::Target;
use assay_sandbox::docker::engine::Engine;
use assay_sandbox::images::{
    BuildError, BuildOptions, Date, FoundImage, ImageRow, SourceKind, build, list,
};
use assay_wire::lock::Network;
use assay_wire::name::{TargetId, Variant};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{ImagesVerb, VariantWord};
use crate::cache;
use crate::error::{CliError, ErrorKind};
use crate::project::Project;
use crate::terminal::Terminal;
use crate::world::World;
use crate::{time, variants};

pub(crate) mod prune;
pub(crate) mod verify;

/// The images of targets.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    images: Vec<Row>,
}

#[derive(Serialize, JsonSchema)]
struct Row {
    target: String,
    variant: &'static str,
    present: bool,
    current: bool,
    kind: Option<&'static str>,
    id: Option<String>,
    bytes: Option<u64>,
    since: Option<String>,
    note: Option<String>,
    eol: Option<String>,
    eol_passed: bool,
}

/// Does what is asked with images.
pub(crate) async fn run(terminal: &Terminal, verb: &ImagesVerb) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    match verb {
        ImagesVerb::Build {
            targets,
            variant,
            rebuild,
        } => {
            let chosen = to_build(&project, targets)?;
            make(terminal, &project, &chosen, None, *rebuild).await?;
            if let Some(variant) = variant {
                let variant = match variant {
                    VariantWord::Systemd => Variant::Systemd,
                };
                derive_variants(terminal, &project, targets, variant, *rebuild).await?;
            }
            if terminal.is_json() {
                list_images(terminal, &project).await
            } else {
                Ok(())
            }
        }
        ImagesVerb::List => list_images(terminal, &project).await,
        ImagesVerb::Pull { targets } => {
            let chosen = to_pull(&project, targets)?;
            make(
                terminal,
                &project,
                &chosen,
                Some(SourceKind::Registry),
                false,
            )
            .await?;
            if terminal.is_json() {
                list_images(terminal, &project).await
            } else {
                Ok(())
            }
        }
        ImagesVerb::Verify { targets, remove } => {
            verify::run(terminal, &project, targets, *remove).await
        }
        ImagesVerb::Prune {
            targets,
            all,
            dry_run,
        } => prune::run(terminal, &project, targets, *all, *dry_run).await,
    }
}

/// The engine, or what to do to have one.
pub(crate) async fn connect() -> Result<Engine, CliError> {
    Engine::connect().await.map_err(|error| {
        let hint = error.hint();
        CliError::infrastructure(error)
            .hints(hint)
            .hint("`assay doctor` says what this machine can run")
    })
}

/// Today, for comparing with dates of definitions.
pub(crate) fn today() -> Result<Date, CliError> {
    time::date(time::now())
        .parse()
        .map_err(|_| CliError::infrastructure("the clock of this machine is out of range"))
}

/// The targets whose images are to be built.
fn to_build(project: &Project, targets: &[String]) -> Result<Vec<Target>, CliError> {
    let mut chosen = project.targets(targets)?;
    // What is only planned for is left out, unless it is asked for by its name.
    chosen.retain(|target| !project.is_plan_only(&target.id) || named(targets, &target.id));
    let without: Vec<&str> = chosen
        .iter()
        .filter(|target| {
            project.definitions.get(&target.id).is_none() || project.is_plan_only(&target.id)
        })
        .map(|target| target.id.as_str())
        .collect();
    if !without.is_empty() || chosen.is_empty() {
        let names = if without.is_empty() {
            targets.to_vec()
        } else {
            without.into_iter().map(str::to_owned).collect()
        };
        return Err(
            CliError::usage(format!("no image is made of {}", names.join(", "))).hint(
                "it is only planned for: nothing of it, or of its architecture, can run here",
            ),
        );
    }
    Ok(chosen)
}

/// The targets whose images are to be pulled.
fn to_pull(project: &Project, targets: &[String]) -> Result<Vec<Target>, CliError> {
    let sources = |id: &TargetId| {
        let placed = project.definitions.get(id);
        let sources = placed.into_iter().flat_map(|it| &it.definition.sources);
        sources.map(|source| source.kind()).collect::<Vec<_>>()
    };
    let mut chosen = project.targets(targets)?;
    for target in chosen.iter().filter(|target| named(targets, &target.id)) {
        let kinds = sources(&target.id);
        if kinds.contains(&SourceKind::Registry) {
            continue;
        }
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        let has = if words.is_empty() {
            "it has none, it is only planned for".to_owned()
        } else {
            format!("it has {}", words.join(", "))
        };
        let error = format!("the definition of `{}` names no registry: {has}", target.id);
        let mut error = CliError::usage(error);
        if !words.is_empty() {
            error = error.hint(format!(
                "`assay images build {}` makes its image",
                target.id
            ));
        }
        return Err(error.hint(
            "a `[[source]]` of kind `registry` with a `reference` by digest names one, in the project's `base-images/`",
        ));
    }
    // A pattern takes what there is.
    chosen.retain(|target| sources(&target.id).contains(&SourceKind::Registry));
    if chosen.is_empty() {
        let error = "no definition of these targets names a registry";
        return Err(CliError::usage(error).hint("`assay images build` takes their other sources"));
    }
    Ok(chosen)
}

/// True if a target was asked for by its whole name.
fn named(words: &[String], id: &TargetId) -> bool {
    words.iter().any(|word| word == id.as_str())
}

/// Makes the images of targets, from one kind of source or from the first that gives them.
async fn make(
    terminal: &Terminal,
    project: &Project,
    chosen: &[Target],
    source: Option<SourceKind>,
    rebuild: bool,
) -> Result<(), CliError> {
    let engine = connect().await?;
    let options = BuildOptions {
        cache: cache::folder()?,
        source,
        rebuild,
    };
    let mut failed = Vec::new();
    let mut kind = ErrorKind::Infrastructure;
    for target in chosen {
        let Some(placed) = project.definitions.get(&target.id) else {
            continue;
        };
        let mut progress = |line: &str| terminal.progress(&crate::terminal::plain(line));
        match build(&engine, placed, &options, &mut progress).await {
            Ok(built) => {
                say(terminal, &built.image, built.made, built.elapsed);
            }
            Err(error) => {
                let error = of_build(error);
                terminal.error(&error);
                if error.kind == ErrorKind::Content {
                    kind = ErrorKind::Content;
                }
                failed.push(target.id.to_string());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let error = format!("no image could be had for {}", failed.join(", "));
    Err(CliError::new(kind, error))
}

/// A fault of making an image: content that is not what was declared, or the world.
fn of_build(error: BuildError) -> CliError {
    let kind = if error.is_content_mismatch() {
        ErrorKind::Content
    } else {
        ErrorKind::Infrastructure
    };
    let hint = error.hint();
    CliError::new(kind, error).hints(hint)
}

/// Derives a variant of each target whose image is there.
async fn derive_variants(
    terminal: &Terminal,
    project: &Project,
    targets: &[String],
    variant: Variant,
    rebuild: bool,
) -> Result<(), CliError> {
    let world = World::connect(terminal, project, Network::Live).await?;
    let mut failed = Vec::new();
    for target in project.targets(targets)? {
        // What was asked for by name and has no image has been complained of already.
        if project.definitions.get(&target.id).is_none() || project.is_plan_only(&target.id) {
            continue;
        }
        match variants::provide(terminal, &world, project, &target, variant, rebuild).await {
            Ok(provided) => say(terminal, &provided.image, provided.made, provided.elapsed),
            Err(interrupted @ variants::Unavailable::Interrupted) => return Err(interrupted.into()),
            Err(because @ variants::Unavailable::Because(_)) => {
                terminal.error(&because.into());
                failed.push(target.id.to_string());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::infrastructure(format!(
        "no image of the variant `{variant}` could be had for {}",
        failed.join(", ")
    )))
}

/// Says that an image is there now.
fn say(terminal: &Terminal, image: &FoundImage, made: bool, elapsed: Duration) {
    let what = if made { "made" } else { "there already" };
    terminal.progress(&format!(
        "{}: {what}, {}, {} MB, {:.1} s",
        image.target,
        words(image),
        image.size / 1_000_000,
        elapsed.as_secs_f64()
    ));
}

/// Where an image came from, and its variant unless that is the usual one.
fn words(image: &FoundImage) -> String {
    match image.variant {
        Variant::Minimal => image.kind.word().to_owned(),
        variant @ Variant::Systemd => format!("{}, {variant}", image.kind),
    }
}

/// The id of an image as far as people read it.
fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

async fn list_images(terminal: &Terminal, project: &Project) -> Result<(), CliError> {
    let engine = connect().await?;
    let rows = list(&engine, &project.definitions, &cache::folder()?, today()?)
        .await
        .map_err(CliError::infrastructure)?;
    let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-images",
            version: 1,
            images: rows,
        });
    }
    terminal.result(|out| {
        writeln!(
            out,
            "{:<16} {:<8} {:<10} {:<8} {:>7}  {:<14} notes",
            "target", "variant", "kind", "state", "MB", "id"
        )?;
        for row in &rows {
            let state = match (row.present, row.current) {
                (false, _) => "missing",
                (true, false) => "stale",
                (true, true) => "current",
            };
            let megabytes = row
                .bytes
                .map_or_else(|| "-".to_owned(), |bytes| (bytes / 1_000_000).to_string());
            let id = row.id.as_deref().map_or_else(|| "-".to_owned(), short);
            let eol = if row.eol_passed {
                "past its end of life; "
            } else {
                ""
            };
            let note = crate::terminal::plain(row.note.as_deref().unwrap_or(""));
            let line = format!(
                "{:<16} {:<8} {:<10} {state:<8} {megabytes:>7}  {id:<14} {eol}{note}",
                row.target,
                row.variant,
                row.kind.unwrap_or("-")
            );
            writeln!(out, "{}", line.trim_end())?;
        }
        if rows.iter().any(|row| !row.current) {
            writeln!(out, "\n`assay images build` makes what is missing or stale")?;
        }
        Ok(())
    })
}

impl From<ImageRow> for Row {
    fn from(row: ImageRow) -> Self {
        let image = row.image.as_ref();
        Self {
            target: row.target.to_string(),
            variant: image
                .map_or(Variant::Minimal, |image| image.variant)
                .as_str(),
            present: image.is_some(),
            current: image.is_some_and(assay_sandbox::images::FoundImage::is_current),
            kind: image.map(|image| image.kind.word()),
            id: image.map(|image| image.id.clone()),
            bytes: image.map(|image| image.size),
            since: image.and_then(|image| image.since.clone()),
            note: image.and_then(|image| image.note.clone()),
            eol: row.eol.map(|eol| eol.to_string()),
            eol_passed: row.eol_passed,
        }
    }
}
