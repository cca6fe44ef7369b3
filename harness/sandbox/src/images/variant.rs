//! Image variants: what is made of a target's minimal image by installing packages into it with the
//! distribution's own manager, in a sandbox.
//!
//! Here is what a variant is, under which name and labels it is kept, and which one a run uses.
//! Deriving one runs a program in a sandbox, which is `run`'s. A variant belongs to one image: once
//! that is made anew, the variant of the old one is stale and is never used.

use std::collections::BTreeMap;
use std::path::Path;

use assay_wire::name::{TargetId, Variant};

use super::build::remove_superseded;
use super::definition::Definition;
use super::error::BuildError;
use super::inventory::{FoundImage, Label, State, find};
use super::set::Placed;
use crate::docker::engine::{Engine, EngineError};
use crate::session::CommittedImage;

/// What the variant `systemd` has beyond the minimal image, under the names every distribution here
/// has them by. No minimal image has `systemctl`.
const SYSTEMD_PACKAGES: &[&str] = &["dbus", "systemd"];

/// The packages a variant has beyond the minimal image, sorted.
#[must_use]
pub fn packages(variant: Variant) -> &'static [&'static str] {
    match variant {
        Variant::Minimal => &[],
        Variant::Systemd => SYSTEMD_PACKAGES,
    }
}

/// The variant of this word.
pub(super) fn variant_of_word(word: &str) -> Option<Variant> {
    [Variant::Minimal, Variant::Systemd]
        .into_iter()
        .find(|variant| variant.as_str() == word)
}

/// How a variant is made of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// The minimal image.
    pub base: FoundImage,
    /// What is installed.
    pub packages: &'static [&'static str],
    /// What is kept.
    pub image: CommittedImage,
}

/// How a variant is made of this minimal image.
#[must_use]
pub fn derivation(definition: &Definition, base: FoundImage, variant: Variant) -> Derivation {
    let packages = packages(variant);
    let hosts: Vec<String> = base
        .hosts
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let mut labels = BTreeMap::from([
        (Label::Target, base.target.to_string()),
        (Label::Variant, variant.as_str().to_owned()),
        (Label::Kind, base.kind.to_string()),
        (Label::Definition, definition.digest.to_string()),
        (Label::Base, base.id.clone()),
        (Label::Packages, packages.join(" ")),
    ]);
    // A registry's image records no hosts; they are asked of the image itself.
    if base.hosts.is_some() {
        labels.insert(Label::Sources, hosts.join(" "));
    }
    labels.extend(base.note.clone().map(|note| (Label::Note, note)));
    let image = CommittedImage {
        name: format!(
            "assay/{}:{}-{}-{}",
            base.target,
            base.kind,
            definition.digest.short(),
            variant.as_str()
        ),
        labels: labels
            .into_iter()
            .map(|(label, value)| (label.key().to_owned(), value))
            .collect(),
    };
    Derivation {
        base,
        packages,
        image,
    }
}

/// The image of this variant a run on this target uses; the second is the minimal image it is, or
/// would be, derived from. None is used that was derived from another one.
///
/// # Errors
///
/// As [`find`].
pub async fn find_variant(
    engine: &Engine,
    placed: &Placed,
    cache: &Path,
    variant: Variant,
) -> Result<(Option<FoundImage>, Option<FoundImage>), BuildError> {
    let Some(base) = find(engine, placed, cache).await? else {
        return Ok((None, None));
    };
    if variant == Variant::Minimal {
        return Ok((Some(base.clone()), Some(base)));
    }
    let found = derived(engine, &placed.definition.id)
        .await?
        .into_iter()
        .find(|(image, of)| image.variant == variant && of.is_made_of(&base, variant));
    Ok((found.map(|(image, _)| image), Some(base)))
}

/// What was committed, once the engine has it; what it replaces is removed.
///
/// # Errors
///
/// [`BuildError::Engine`].
pub async fn keep_derived(
    engine: &Engine,
    definition: &Definition,
    id: &str,
) -> Result<FoundImage, BuildError> {
    let image = engine.inspect_image(id).await?;
    let found = FoundImage::of_foreign(image).ok_or_else(|| EngineError::Protocol {
        operation: format!("keep the image `{id}`"),
        cause: "the engine did not keep its labels".to_owned(),
    })?;
    remove_superseded(engine, definition, found.kind, &found.id).await?;
    Ok(found)
}

/// The variants the engine has of a target, each with its state. `base` is the minimal image in use.
pub(super) async fn variants_of(
    engine: &Engine,
    definition: &Definition,
    base: Option<&FoundImage>,
) -> Result<Vec<FoundImage>, BuildError> {
    let mut images = Vec::new();
    for (mut image, of) in derived(engine, &definition.id).await? {
        let variant = image.variant;
        if base.is_some_and(|base| base.is_current() && of.is_made_of(base, variant)) {
            image.state = State::Current;
        }
        images.push(image);
    }
    images.sort_by(|a, b| (a.state, &a.id).cmp(&(b.state, &b.id)));
    Ok(images)
}

/// What a variant was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MadeOf {
    base: String,
    packages: String,
}

impl MadeOf {
    fn is_made_of(&self, base: &FoundImage, variant: Variant) -> bool {
        self.base == base.id && self.packages == packages(variant).join(" ")
    }
}

async fn derived(
    engine: &Engine,
    target: &TargetId,
) -> Result<Vec<(FoundImage, MadeOf)>, BuildError> {
    let label = format!("{}={target}", Label::Target.key());
    let images = engine.labelled_images(&label).await?.into_iter();
    Ok(images
        .filter_map(|image| {
            let label = |label: Label| image.labels.get(label.key()).cloned();
            let of = MadeOf {
                base: label(Label::Base)?,
                packages: label(Label::Packages)?,
            };
            let found = FoundImage::of_foreign(image)?;
            (found.variant != Variant::Minimal).then_some((found, of))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::image::EngineImage;
    use crate::images::Definitions;
    use crate::images::inventory::image_of_registry;

    fn engine_image(id: &str, labels: BTreeMap<String, String>) -> EngineImage {
        EngineImage {
            id: id.to_owned(),
            tags: Vec::new(),
            digests: Vec::new(),
            labels,
            size: 1,
            since: None,
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            layers: Vec::new(),
        }
    }

    #[test]
    fn a_variant_carries_what_is_true_of_its_image_and_names_it() {
        let definitions = Definitions::load(None).expect("the built-in definitions");
        let id = "debian-12".parse().expect("a target");
        let definition = &definitions.get(&id).expect("debian").definition;
        let hex = "0".repeat(64);
        let reference = format!("r.test/x@sha256:{hex}");
        let reference = reference.parse().expect("a reference");
        let image = engine_image("sha256:1", BTreeMap::new());
        let base = image_of_registry(definition, &reference, image);
        let derived = derivation(definition, base.clone(), Variant::Systemd);
        assert_eq!(derived.packages, ["dbus", "systemd"]);
        assert!(derived.image.name.starts_with("assay/debian-12:registry-"));
        assert!(derived.image.name.ends_with("-systemd"));
        assert!(!derived.image.labels.contains_key(Label::Sources.key()));

        let image = engine_image("sha256:2", derived.image.labels.clone());
        // It is no minimal image of its target, whatever its definition.
        assert_eq!(FoundImage::of_labels(definition, image.clone(), None), None);
        let found = FoundImage::of_foreign(image).expect("labels of ours");
        assert_eq!(
            (found.variant, found.kind, found.target.as_str()),
            (Variant::Systemd, base.kind, "debian-12")
        );
        let of = MadeOf {
            base: "sha256:1".to_owned(),
            packages: "dbus systemd".to_owned(),
        };
        assert!(of.is_made_of(&base, Variant::Systemd));
        let anew = FoundImage {
            id: "sha256:3".to_owned(),
            ..base.clone()
        };
        assert!(!of.is_made_of(&anew, Variant::Systemd));
        let fewer = MadeOf {
            packages: "systemd".to_owned(),
            ..of
        };
        assert!(!fewer.is_made_of(&base, Variant::Systemd));
    }
}
