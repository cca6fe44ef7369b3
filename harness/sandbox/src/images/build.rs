//! Makes the image of a definition: tries its sources in order, verifies what came, loads it.
//!
//! An image that is there and current is not made again. What came must be the distribution and
//! the architecture the definition says; bytes that a digest names are hashed before anything
//! reads them. Which image a run uses is decided in [`inventory`](super::inventory).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assay_wire::digest::Digest;

use super::bootstrap::bootstrap;
use super::definition::Definition;
use super::error::BuildError;
use super::inventory::{FoundImage, Label, ask};
use super::lab::{RootFile, lab_file, verified};
use super::os_release::OsRelease;
use super::pull::{check, has_digest, pull};
use super::rootfs::{self, Facts};
use super::set::Placed;
use super::source::{Source, SourceKind};
use crate::docker::engine::{Engine, EngineError};
use crate::docker::image::NewImage;

/// The longest note of a lab image that becomes a label, in characters.
const NOTE_LIMIT: usize = 300;

/// How an image is made.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The cache folder of this user (`$XDG_CACHE_HOME/assay`): work files and the lab lie below.
    pub cache: PathBuf,
    /// Only this kind of source, instead of all in order.
    pub source: Option<SourceKind>,
    /// Make the image even if a current one is there.
    pub rebuild: bool,
}

/// An image that is now there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// The image.
    pub image: FoundImage,
    /// Whether this call made it; else it was there and current.
    pub made: bool,
    /// How long the call took.
    pub elapsed: Duration,
}

/// Makes the image of a definition, or finds it there and current. `progress` gets single lines.
///
/// # Errors
///
/// [`BuildError::NoSource`] when every source failed, with each one's fault; any other at once
/// when it would be wrong to go on to the next source.
pub async fn build(
    engine: &Engine,
    placed: &Placed,
    options: &BuildOptions,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<BuiltImage, BuildError> {
    let begun = Instant::now();
    let definition = &placed.definition;
    if definition.is_plan_only() {
        return Err(plan_only(definition));
    }
    let sources: Vec<&Source> = definition
        .sources
        .iter()
        .filter(|source| options.source.is_none_or(|kind| kind == source.kind()))
        .collect();
    if let (true, Some(kind)) = (sources.is_empty(), options.source) {
        return Err(BuildError::SourceNotDefined {
            target: definition.id.clone(),
            kind,
        });
    }
    let workplace = Workplace::enter(&options.cache, definition, progress).await?;
    if !options.rebuild {
        let there = ask(engine, placed, &options.cache)
            .await?
            .into_iter()
            .find(|image| {
                image.is_current() && options.source.is_none_or(|kind| kind == image.kind)
            });
        if let Some(image) = there {
            if image.kind == SourceKind::Registry {
                still_right(engine, definition, &image).await?;
            }
            return Ok(BuiltImage {
                image,
                made: false,
                elapsed: begun.elapsed(),
            });
        }
    }
    let mut attempts = Vec::new();
    let chosen = options.source.is_some() && sources.len() == 1;
    for source in sources {
        let made = match source {
            Source::Registry(reference) => pull(engine, definition, reference, progress).await,
            Source::Bootstrap(bootstrap_source) => {
                from_bootstrap(engine, definition, bootstrap_source, &workplace, progress).await
            }
            Source::Lab { file } => match lab_file(&options.cache, file) {
                Ok(root) => {
                    from_file(
                        engine,
                        definition,
                        SourceKind::Lab,
                        root,
                        &workplace,
                        progress,
                    )
                    .await
                }
                Err(error) => Err(error),
            },
            Source::Tarball { file, sha256 } => match tarball(placed, file, *sha256) {
                Ok(root) => {
                    let kind = SourceKind::Tarball;
                    from_file(engine, definition, kind, root, &workplace, progress).await
                }
                Err(error) => Err(error),
            },
        };
        match made {
            Ok(image) => {
                return Ok(BuiltImage {
                    image,
                    made: true,
                    elapsed: begun.elapsed(),
                });
            }
            Err(error) if error.lies_in_the_source() && !chosen => {
                let words = error.to_string();
                let first = words.lines().next().unwrap_or_default();
                progress(&format!(
                    "no image from the source `{}`: {first}",
                    source.kind()
                ));
                attempts.push((source.kind(), error));
            }
            Err(error) => return Err(error),
        }
    }
    Err(BuildError::NoSource {
        target: definition.id.clone(),
        attempts,
    })
}

/// An image of a registry may have been put there by somebody else, whom nobody told what it
/// should be.
async fn still_right(
    engine: &Engine,
    definition: &Definition,
    found: &FoundImage,
) -> Result<(), BuildError> {
    let image = engine.inspect_image(&found.id).await?;
    let references = definition.registry_references();
    for reference in references.filter(|reference| has_digest(&image, reference)) {
        check(engine, definition, reference, &image).await?;
    }
    Ok(())
}

async fn from_bootstrap(
    engine: &Engine,
    definition: &Definition,
    source: &super::source::Bootstrap,
    workplace: &Workplace,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<FoundImage, BuildError> {
    let tar = bootstrap(definition, source, &workplace.folder, progress).await?;
    load(
        engine,
        definition,
        SourceKind::Bootstrap,
        tar,
        None,
        progress,
    )
    .await
}

async fn from_file(
    engine: &Engine,
    definition: &Definition,
    kind: SourceKind,
    root: RootFile,
    workplace: &Workplace,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<FoundImage, BuildError> {
    progress(&format!("verifying `{}`", root.path.display()));
    let work = workplace.folder.clone();
    let file = root.clone();
    let tar = blocking(move || verified(&file, &work)).await?;
    load(engine, definition, kind, tar, Some(root), progress).await
}

fn tarball(placed: &Placed, file: &Path, sha256: Digest) -> Result<RootFile, BuildError> {
    let path = match &placed.folder {
        Some(folder) => folder.join(file),
        None if file.is_absolute() => file.to_owned(),
        None => {
            return Err(BuildError::FileWithoutFolder {
                target: placed.definition.id.clone(),
                file: file.to_owned(),
            });
        }
    };
    Ok(RootFile {
        path,
        sha256,
        note: None,
    })
}

/// Reads a root file system, verifies what it says of itself and loads it. `root` is the verified
/// file it came from, if it came from one.
async fn load(
    engine: &Engine,
    definition: &Definition,
    kind: SourceKind,
    tar: PathBuf,
    root: Option<RootFile>,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<FoundImage, BuildError> {
    let date = definition
        .source_date
        .ok_or_else(|| plan_only(definition))?;
    let read_from = tar.clone();
    let rootfs = blocking(move || {
        rootfs::read(&read_from).map_err(|error| BuildError::File {
            path: read_from,
            cause: error.to_string(),
        })
    })
    .await?;
    check_distribution(definition, &rootfs.facts)?;
    progress(&format!(
        "loading {} MB into the engine",
        rootfs.size / 1_000_000
    ));
    let hosts: Vec<String> = rootfs
        .facts
        .repository_hosts
        .iter()
        .map(ToString::to_string)
        .collect();
    let note = root
        .as_ref()
        .and_then(|root| root.note.as_deref())
        .map(|note| {
            note.chars()
                .filter(|c| !c.is_control())
                .take(NOTE_LIMIT)
                .collect::<String>()
        });
    let content = root.as_ref().map_or(rootfs.sha256, |root| root.sha256);
    let mut labels = BTreeMap::from([
        (Label::Target, definition.id.to_string()),
        (Label::Kind, kind.to_string()),
        (Label::Definition, definition.digest.to_string()),
        (Label::Content, content.to_string()),
        (Label::Sources, hosts.join(" ")),
    ]);
    labels.extend(note.map(|note| (Label::Note, note)));
    let image = NewImage {
        tag: format!(
            "assay/{}:{kind}-{}",
            definition.id,
            definition.digest.short()
        ),
        labels: labels
            .into_iter()
            .map(|(label, value)| (label.key().to_owned(), value))
            .collect(),
        architecture: definition.architecture.to_string(),
        created: format!("{date}T00:00:00Z"),
        layer: tar,
        layer_size: rootfs.size,
        layer_sha256: rootfs.sha256.to_string(),
    };
    let loaded = engine.load_image(&image).await?;
    let id = loaded.id.clone();
    let found = FoundImage::of_labels(definition, loaded, Some(content)).ok_or_else(|| {
        EngineError::Protocol {
            operation: format!("load the image `{}`", image.tag),
            cause: "the engine did not keep its labels".to_owned(),
        }
    })?;
    remove_superseded(engine, definition, kind, &id).await?;
    Ok(found)
}

/// Removes images of the same target and kind that lost their name to the one just loaded, those
/// made of others first. One that a container still uses stays until its container is gone.
pub(super) async fn remove_superseded(
    engine: &Engine,
    definition: &Definition,
    kind: SourceKind,
    kept: &str,
) -> Result<(), BuildError> {
    let label = format!("{}={}", Label::Target.key(), definition.id);
    let mut images = engine.labelled_images(&label).await?;
    images.sort_by_key(|image| !image.labels.contains_key(Label::Base.key()));
    for image in images {
        let same_kind = image
            .labels
            .get(Label::Kind.key())
            .is_some_and(|it| it == kind.word());
        let named = !image.tags.is_empty() || !image.digests.is_empty();
        if image.id == kept || !same_kind || named {
            continue;
        }
        engine.remove_prepared(&image.id).await?;
        match engine.remove_image(&image.id).await {
            Ok(()) | Err(EngineError::Api { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn plan_only(definition: &Definition) -> BuildError {
    BuildError::PlanOnly {
        target: definition.id.clone(),
    }
}

/// Whether a root file system is the distribution the definition says.
pub(super) fn check_distribution(definition: &Definition, facts: &Facts) -> Result<(), BuildError> {
    let bytes = facts
        .os_release
        .as_deref()
        .ok_or(BuildError::OsReleaseMissing)?;
    let expected = definition
        .os_release
        .as_ref()
        .ok_or_else(|| plan_only(definition))?;
    let differences = expected.disagreements(&OsRelease::parse(bytes)?);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(BuildError::OsReleaseDiffers(differences))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(BuildError::Cache {
                path: PathBuf::new(),
                cause: error.to_string(),
            }),
        },
    }
}

/// Waits until no other process makes an image of this target, and keeps them from beginning.
///
/// # Errors
///
/// [`BuildError::Cache`] when the lock cannot be had.
pub async fn alone(
    cache: &Path,
    definition: &Definition,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Alone, BuildError> {
    Workplace::enter(cache, definition, progress)
        .await
        .map(Alone)
}

/// Nobody else makes an image of a target as long as this lives.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "held for the lock alone")] Workplace);

/// A target's own folder below the cache, held by a lock so that no two processes make the same
/// image at once, and empty at the beginning and at the end.
#[derive(Debug)]
struct Workplace {
    folder: PathBuf,
    _lock: std::fs::File,
}

impl Workplace {
    async fn enter(
        cache: &Path,
        definition: &Definition,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, BuildError> {
        let images = cache.join("images");
        let folder = images.join(definition.id.as_str());
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |error: std::io::Error| BuildError::Cache {
                path,
                cause: error.to_string(),
            }
        };
        std::fs::create_dir_all(&images).map_err(fault(&images))?;
        let path = images.join(format!("{}.lock", definition.id));
        let lock = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(fault(&path))?;
        let mut told = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) => {
                    if !told {
                        progress("another process makes this image; waiting for it");
                        told = true;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(fault(&path)(error)),
            }
        }
        // What a killed build left belongs to nobody once the lock is ours.
        remove_folder(&folder).map_err(fault(&folder))?;
        std::fs::create_dir_all(&folder).map_err(fault(&folder))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next build of the target.
        drop(remove_folder(&self.folder));
    }
}

fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
