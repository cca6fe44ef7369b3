//! Removing images that nothing needs any more: superseded ones, variants and prepared images of
//! them, those other executors prepared, those a registry's digest named that no definition names.
//!
//! Only images of ours are looked at: they carry our labels, or, where a registry gave them, a name
//! that [`pull`](super::pull) gave. What is made of another image goes before it; what a container
//! uses stays, and is told. Images are shared by all projects of an engine, so it is the targets a
//! project defines that are tidied unless more is asked for ([`Scope`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assay_wire::digest::Digest;
use assay_wire::name::{TargetId, Variant};

use super::build::alone;
use super::error::BuildError;
use super::inventory::{FoundImage, Label, State, ask};
use super::pull::{BROUGHT, brought_for};
use super::set::Definitions;
use super::source::SourceKind;
use super::variant::packages;
use crate::docker::engine::{Engine, EngineError};
use crate::docker::image::EngineImage;
use crate::docker::prepared::{LABEL_EXECUTOR, LABEL_PREPARED};

/// Whose images are tidied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of these targets, with a definition or without.
    Targets(BTreeSet<TargetId>),
    /// Those of the targets that have a definition, and prepared ones whose image has gone.
    Defined,
    /// Those of all targets: another project's may be among them.
    All,
}

/// How it is tidied.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// Whose images.
    pub scope: Scope,
    /// The executor whose prepared images stay.
    pub executor: Digest,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// What an image of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// One with the executor in it, which sandboxes start from. These go first.
    Prepared,
    /// A variant made of a minimal image.
    Variant(Variant),
    /// A target's minimal image, of whatever source.
    Minimal(SourceKind),
}

/// Why an image is not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// No definition has its target.
    NoDefinition,
    /// Its definition, or the file it came from, has changed since.
    Changed,
    /// It has lost its name to a newer one.
    Superseded,
    /// No definition names its digest.
    Unnamed,
    /// What it was made of is not needed, has gone, or would be another today.
    BaseNotNeeded,
    /// Another executor is in it.
    OtherExecutor,
    /// It is not what it claims to be.
    Differs,
}

impl Because {
    /// The reason in words that fit after "because".
    pub fn words(self) -> &'static str {
        match self {
            Self::NoDefinition => "no definition has its target",
            Self::Changed => "its definition has changed since",
            Self::Superseded => "a newer one has its name",
            Self::Unnamed => "no definition names its digest",
            Self::BaseNotNeeded => "what it was made of is not needed",
            Self::OtherExecutor => "another executor is in it",
            Self::Differs => "it is not what it claims to be",
        }
    }
}

/// An image that is not needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// The target; `None` for a prepared image whose own image has gone.
    pub target: Option<TargetId>,
    /// What it is.
    pub role: Role,
    /// The engine's id.
    pub id: String,
    /// Its first name.
    pub name: Option<String>,
    /// What it has beyond the image it was made of, in bytes, unpacked.
    pub bytes: u64,
    /// Why it is not needed.
    pub because: Because,
    /// Why it is still there, if it could not be removed. Nothing is in a dry run.
    pub kept: Option<String>,
}

/// An image of ours, as far as it matters here.
#[derive(Debug, Clone)]
struct Ours {
    image: EngineImage,
    role: Role,
    target: Option<TargetId>,
    /// The id of what it was made of.
    parent: Option<String>,
    /// Why it is not needed, as far as it can be told without looking at others.
    because: Option<Because>,
}

/// Removes what is not needed, what was made of others first, and answers with all of it, in that
/// order. `progress` gets single lines.
///
/// # Errors
///
/// [`BuildError::Engine`] when the engine is gone, [`BuildError::LabManifest`], and
/// [`BuildError::Cache`] when the lock of a target cannot be had.
pub async fn prune(
    engine: &Engine,
    definitions: &Definitions,
    cache: &Path,
    options: &PruneOptions,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Pruned>, BuildError> {
    // Nobody makes an image of a target while its images are judged and removed.
    let mut locks = Vec::new();
    for placed in definitions.iter() {
        let definition = &placed.definition;
        if !definition.is_plan_only() && options.scope.has_target(&definition.id, definitions) {
            locks.push(alone(cache, definition, progress).await?);
        }
    }
    let images = gather(engine, definitions, cache).await?;
    let mut pruned = unneeded(&images, definitions, options);
    if options.dry_run {
        return Ok(pruned);
    }
    remove_all(engine, &images, &mut pruned, progress).await?;
    drop(locks);
    Ok(pruned)
}

/// Removes an image of a target that is not what it claims to be, after all that was made of it;
/// answers with all of it, in that order. Nothing, if the image is none of ours.
///
/// # Errors
///
/// As [`prune`].
pub async fn remove_false(
    engine: &Engine,
    definitions: &Definitions,
    cache: &Path,
    image: &FoundImage,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Pruned>, BuildError> {
    let _alone = match definitions.get(&image.target) {
        Some(placed) => Some(alone(cache, &placed.definition, progress).await?),
        None => None,
    };
    let mut images = gather(engine, definitions, cache).await?;
    for ours in &mut images {
        ours.because = (ours.image.id == image.id).then_some(Because::Differs);
    }
    let by_id = by_id(&images);
    let falls = |ours: &&Ours| {
        let mut at = Some(*ours);
        while let Some(one) = at {
            if one.because.is_some() {
                return true;
            }
            at = one.parent.as_deref().and_then(|id| by_id.get(id).copied());
        }
        false
    };
    let because = |ours: &Ours| ours.because.unwrap_or(Because::BaseNotNeeded);
    let falling = images.iter().filter(falls);
    let mut pruned = sorted(falling.map(|ours| ours.told(&by_id, because(ours))));
    remove_all(engine, &images, &mut pruned, progress).await?;
    Ok(pruned)
}

/// Removes images in their order, which may take a second each; what is kept says so, and keeps what it was made of.
async fn remove_all(
    engine: &Engine,
    images: &[Ours],
    pruned: &mut [Pruned],
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<(), BuildError> {
    let mut children_kept: BTreeSet<&str> = BTreeSet::new();
    for one in pruned {
        let Some(ours) = images.iter().find(|ours| ours.image.id == one.id) else {
            continue;
        };
        progress(&format!(
            "removing `{}`",
            one.name.as_deref().unwrap_or(&one.id)
        ));
        one.kept = if children_kept.contains(one.id.as_str()) {
            Some("what was made of it is kept".to_owned())
        } else {
            remove(engine, ours).await?
        };
        if one.kept.is_some() {
            children_kept.extend(ours.parent.as_deref());
        }
    }
    Ok(())
}

/// The targets that have an image of ours, with a definition or without.
///
/// # Errors
///
/// [`BuildError::Engine`].
pub async fn targets(engine: &Engine) -> Result<BTreeSet<TargetId>, BuildError> {
    let labelled = engine.labelled_images(Label::Target.key()).await?;
    let brought = engine.named_images(BROUGHT).await?;
    let of_labels = labelled.into_iter().filter_map(FoundImage::of_foreign);
    let of_names = brought.into_iter().flat_map(|image| image.tags);
    Ok(of_labels
        .map(|found| found.target)
        .chain(of_names.filter_map(|name| brought_for(&name)))
        .collect())
}

/// Every image of ours, each once.
async fn gather(
    engine: &Engine,
    definitions: &Definitions,
    cache: &Path,
) -> Result<Vec<Ours>, BuildError> {
    let mut states: BTreeMap<String, State> = BTreeMap::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut images: BTreeMap<String, Ours> = BTreeMap::new();
    for placed in definitions.iter() {
        for found in ask(engine, placed, cache).await? {
            if found.kind == SourceKind::Registry {
                named.insert(found.id.clone());
            }
            states.insert(found.id, found.state);
        }
    }
    for image in engine.labelled_images(Label::Target.key()).await? {
        let Some(found) = FoundImage::of_foreign(image.clone()) else {
            continue;
        };
        let defined = definitions.get(&found.target).is_some();
        let minimal = found.variant == Variant::Minimal;
        let current = states.get(&image.id) == Some(&State::Current);
        let nameless = image.tags.is_empty() && image.digests.is_empty();
        let because = if named.contains(&image.id) {
            None
        } else if nameless {
            Some(Because::Superseded)
        } else if !defined {
            Some(Because::NoDefinition)
        } else if minimal && !current {
            Some(Because::Changed)
        } else if !minimal && !has_packages(&image, found.variant) {
            Some(Because::BaseNotNeeded)
        } else {
            None
        };
        let ours = Ours {
            role: if minimal {
                Role::Minimal(found.kind)
            } else {
                Role::Variant(found.variant)
            },
            target: Some(found.target),
            parent: image.labels.get(Label::Base.key()).cloned(),
            because,
            image,
        };
        images.insert(ours.image.id.clone(), ours);
    }
    for image in engine.named_images(BROUGHT).await? {
        let Some(target) = image.tags.iter().find_map(|name| brought_for(name)) else {
            continue;
        };
        let because = (!named.contains(&image.id)).then_some(Because::Unnamed);
        let ours = Ours {
            role: Role::Minimal(SourceKind::Registry),
            target: Some(target),
            parent: None,
            because,
            image,
        };
        images.insert(ours.image.id.clone(), ours);
    }
    let there: BTreeSet<String> = images.keys().cloned().collect();
    for ours in images.values_mut().filter(|ours| ours.because.is_none()) {
        let base = ours.parent.as_ref();
        if base.is_some_and(|base| !there.contains(base) && !named.contains(base)) {
            ours.because = Some(Because::BaseNotNeeded);
        }
    }
    for image in engine.labelled_images(LABEL_PREPARED).await? {
        let parent = image.labels.get(LABEL_PREPARED).filter(|id| !id.is_empty());
        let Some(parent) = parent.cloned() else {
            continue;
        };
        let target = match images.get(&parent) {
            Some(ours) => ours.target.clone(),
            // A registry's that somebody else put there.
            None => target_of_named(engine, definitions, &parent).await?,
        };
        let gone = target.is_none()
            && matches!(
                engine.inspect_image(&parent).await,
                Err(EngineError::ImageMissing { .. })
            );
        let ours = Ours {
            role: Role::Prepared,
            target,
            parent: Some(parent),
            because: gone.then_some(Because::BaseNotNeeded),
            image,
        };
        images.insert(ours.image.id.clone(), ours);
    }
    Ok(images.into_values().collect())
}

fn has_packages(image: &EngineImage, variant: Variant) -> bool {
    let label = image.labels.get(Label::Packages.key());
    label.is_some_and(|label| *label == packages(variant).join(" "))
}

/// The target whose definition names an image by its digest.
async fn target_of_named(
    engine: &Engine,
    definitions: &Definitions,
    id: &str,
) -> Result<Option<TargetId>, BuildError> {
    let image = match engine.inspect_image(id).await {
        Ok(image) => image,
        Err(EngineError::ImageMissing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let names = |reference| super::pull::has_digest(&image, reference);
    Ok(definitions
        .iter()
        .find(|placed| placed.definition.registry_references().any(names))
        .map(|placed| placed.definition.id.clone()))
}

impl Scope {
    fn has_target(&self, target: &TargetId, definitions: &Definitions) -> bool {
        match self {
            Self::Targets(chosen) => chosen.contains(target),
            Self::Defined => definitions.get(target).is_some(),
            Self::All => true,
        }
    }

    fn has(&self, ours: &Ours, definitions: &Definitions) -> bool {
        match (self, &ours.target) {
            (_, Some(target)) => self.has_target(target, definitions),
            (Self::Targets(_), None) => false,
            // What was prepared of an image that has gone is of no use to anybody.
            (Self::Defined, None) => ours.because.is_some(),
            (Self::All, None) => true,
        }
    }
}

impl Ours {
    fn told(&self, by_id: &BTreeMap<&str, &Self>, because: Because) -> Pruned {
        let below = self.parent.as_deref().and_then(|id| by_id.get(id));
        let below = below.map_or(0, |below| below.image.size);
        Pruned {
            target: self.target.clone(),
            role: self.role,
            id: self.image.id.clone(),
            name: self.image.tags.first().cloned(),
            bytes: self.image.size.saturating_sub(below),
            because,
            kept: None,
        }
    }
}

fn by_id(images: &[Ours]) -> BTreeMap<&str, &Ours> {
    let pairs = images.iter().map(|ours| (ours.image.id.as_str(), ours));
    pairs.collect()
}

/// Prepared images first, then variants, then minimal ones.
fn sorted(pruned: impl Iterator<Item = Pruned>) -> Vec<Pruned> {
    let mut pruned: Vec<Pruned> = pruned.collect();
    pruned.sort_by(|a, b| (a.role, &a.target, &a.id).cmp(&(b.role, &b.target, &b.id)));
    pruned
}

/// What is not needed, in the order in which it goes.
fn unneeded(images: &[Ours], definitions: &Definitions, options: &PruneOptions) -> Vec<Pruned> {
    let by_id = by_id(images);
    let in_scope = images
        .iter()
        .filter(|ours| options.scope.has(ours, definitions));
    sorted(in_scope.filter_map(|ours| {
        because(ours, &by_id, options.executor).map(|because| ours.told(&by_id, because))
    }))
}

fn because(ours: &Ours, by_id: &BTreeMap<&str, &Ours>, executor: Digest) -> Option<Because> {
    if ours.because.is_some() {
        return ours.because;
    }
    let parent = ours.parent.as_deref().map(|id| by_id.get(id));
    match (ours.role, parent) {
        // A chain ends: what a minimal image is made of is nothing of ours.
        (Role::Prepared | Role::Variant(_), Some(Some(parent)))
            if because(parent, by_id, executor).is_some() =>
        {
            Some(Because::BaseNotNeeded)
        }
        // Two processes may have prepared one image at once; only the named one is ever found.
        (Role::Prepared, _) if ours.image.tags.is_empty() => Some(Because::Superseded),
        (Role::Prepared, _) => {
            let label = ours.image.labels.get(LABEL_EXECUTOR);
            let same = label.is_some_and(|label| *label == executor.to_string());
            (!same).then_some(Because::OtherExecutor)
        }
        (Role::Variant(_) | Role::Minimal(_), _) => None,
    }
}

/// Removes one image; why it is still there, if it is.
async fn remove(engine: &Engine, ours: &Ours) -> Result<Option<String>, BuildError> {
    let removed = match ours.role {
        Role::Minimal(SourceKind::Registry) => remove_brought(engine, &ours.image).await,
        Role::Minimal(_) | Role::Variant(_) | Role::Prepared => {
            engine.remove_image(&ours.image.id).await.map(|()| None)
        }
    };
    match removed {
        Ok(kept) => Ok(kept),
        Err(EngineError::Api { message, .. }) => Ok(Some(message)),
        Err(error) => Err(error.into()),
    }
}

/// Takes our names from a registry's image, and the names by digest with them unless somebody else
/// has named it, too. It goes with its last name.
async fn remove_brought(
    engine: &Engine,
    image: &EngineImage,
) -> Result<Option<String>, EngineError> {
    // An engine lets go of one name of several even of an image in use.
    if let [first, ..] = engine.containers_of_image(&image.id).await?.as_slice() {
        return Ok(Some(format!("the container `{first}` uses it")));
    }
    if let [first, ..] = engine.images_made_of(&image.id).await?.as_slice() {
        return Ok(Some(format!("the image `{first}` is made of it")));
    }
    let (ours, others): (Vec<&String>, Vec<&String>) = image
        .tags
        .iter()
        .partition(|name| brought_for(name).is_some());
    let digests = image.digests.iter().filter(|_| others.is_empty());
    for name in digests.chain(ours.iter().copied()) {
        engine.remove_image(name).await?;
    }
    Ok(others
        .first()
        .map(|name| format!("it is also `{name}`, which is not ours")))
}

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
