//! Which images are there, whether they are current, and which one a run uses.
//!
//! Everything is asked of the engine: its labels are the only record, so an image removed behind
//! our back is simply gone. An image of the registry carries no labels of ours; it is known by the
//! digest its definition names.

use std::collections::BTreeSet;
use std::path::Path;

use assay_wire::digest::Digest;
use assay_wire::name::{TargetId, Variant};

use super::date::Date;
use super::definition::Definition;
use super::error::BuildError;
use super::lab::LabManifest;
use super::pull::{is_stand_in, platform};
use super::rootfs::{self, RepositoryHost};
use super::set::{Definitions, Placed};
use super::source::{RegistryReference, Source, SourceKind};
use super::variant::{variant_of_word, variants_of};
use crate::docker::engine::{Engine, EngineError};
use crate::docker::image::EngineImage;

/// The labels of images made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// The target.
    Target,
    /// The kind of source.
    Kind,
    /// The digest of the definition.
    Definition,
    /// The sha256 of the file the image came from.
    Content,
    /// The hosts of its repository files.
    Sources,
    /// What stands in for what.
    Note,
    /// The variant; an image without this label is the minimal one.
    Variant,
    /// The id of the image a variant was derived from.
    Base,
    /// The packages a variant has beyond that image.
    Packages,
}

impl Label {
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Target => "assay.target",
            Self::Kind => "assay.kind",
            Self::Definition => "assay.definition",
            Self::Content => "assay.content",
            Self::Sources => "assay.sources",
            Self::Note => "assay.note",
            Self::Variant => "assay.variant",
            Self::Base => "assay.base",
            Self::Packages => "assay.packages",
        }
    }
}

/// Whether an image is what its definition asks for today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is.
    Current,
    /// The definition, or the file it came from, has changed since, or there is no definition.
    Stale,
}

/// An image the engine has for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    /// The target.
    pub target: TargetId,
    /// The variant.
    pub variant: Variant,
    /// The kind of source it, or the image it was derived from, came from; every result names it.
    pub kind: SourceKind,
    /// The engine's id.
    pub id: String,
    /// Its name, `assay/<target>:<kind>-<definition>`, or the reference of its definition.
    pub name: Option<String>,
    /// Its size in bytes, unpacked.
    pub size: u64,
    /// When the engine got it, RFC 3339.
    pub since: Option<String>,
    /// Whether it is what its definition asks for.
    pub state: State,
    /// What stands in for what, if something does.
    pub note: Option<String>,
    /// The hosts of its repository files, as recorded when it was made; `None` for an image of a
    /// registry, which [`repository_hosts`] asks.
    pub hosts: Option<BTreeSet<RepositoryHost>>,
}

/// One line of the list of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// The target.
    pub target: TargetId,
    /// The image of either variant; `None` for a target whose minimal image is not there.
    pub image: Option<FoundImage>,
    /// The last day the distribution serves updates.
    pub eol: Option<Date>,
    /// Whether that day has passed.
    pub eol_passed: bool,
}

impl FoundImage {
    /// The image as its labels tell, `None` where they tell nothing sound. `content` is the digest
    /// of the file such an image would come from today, where there is such a file.
    pub(super) fn of_labels(
        definition: &Definition,
        image: EngineImage,
        content: Option<Digest>,
    ) -> Option<Self> {
        let mut found = Self::of_foreign(image.clone())?;
        if found.target != definition.id || found.variant != Variant::Minimal {
            return None;
        }
        let label = |label: Label| image.labels.get(label.key())?.parse::<Digest>().ok();
        let same_definition = label(Label::Definition) == Some(definition.digest);
        let defined = definition
            .sources
            .iter()
            .any(|source| source.kind() == found.kind);
        let same_content = content.is_none() || content == label(Label::Content);
        if same_definition && defined && same_content {
            found.state = State::Current;
        }
        Some(found)
    }

    /// An image of ours without its definition, stale by that.
    pub(super) fn of_foreign(image: EngineImage) -> Option<Self> {
        let label = |label: Label| image.labels.get(label.key()).filter(|it| !it.is_empty());
        Some(Self {
            target: label(Label::Target)?.parse().ok()?,
            variant: match label(Label::Variant) {
                None => Variant::Minimal,
                Some(word) => variant_of_word(word)?,
            },
            kind: label(Label::Kind)?.parse().ok()?,
            id: image.id.clone(),
            name: image.tags.first().cloned(),
            size: image.size,
            since: image.since.clone(),
            state: State::Stale,
            note: label(Label::Note).cloned(),
            hosts: Some(
                label(Label::Sources)
                    .map(|hosts| {
                        hosts
                            .split(' ')
                            .filter_map(|host| host.parse().ok())
                            .collect()
                    })
                    .unwrap_or_default(),
            ),
        })
    }

    /// Whether it is what its definition asks for.
    pub fn is_current(&self) -> bool {
        self.state == State::Current
    }
}

/// A registry's image, which is current by its digest alone.
pub(super) fn image_of_registry(
    definition: &Definition,
    reference: &RegistryReference,
    image: EngineImage,
) -> FoundImage {
    FoundImage {
        target: definition.id.clone(),
        variant: Variant::Minimal,
        kind: SourceKind::Registry,
        id: image.id,
        name: Some(reference.to_string()),
        size: image.size,
        since: image.since,
        state: State::Current,
        note: None,
        hosts: None,
    }
}

/// The minimal image a run on this target uses: the current one of the most preferred source, else a
/// stale one, else none.
///
/// # Errors
///
/// [`BuildError::Engine`], and [`BuildError::LabManifest`] when the target has a lab image whose
/// manifest cannot be read.
pub async fn find(
    engine: &Engine,
    placed: &Placed,
    cache: &Path,
) -> Result<Option<FoundImage>, BuildError> {
    Ok(ask(engine, placed, cache).await?.into_iter().next())
}

/// Every image of every target, in the order of the targets' names, best first; targets without
/// one have a row too, but for those that are only planned for. Images of targets that have no definition come last.
///
/// # Errors
///
/// As [`find`].
pub async fn list(
    engine: &Engine,
    definitions: &Definitions,
    cache: &Path,
    today: Date,
) -> Result<Vec<ImageRow>, BuildError> {
    let mut rows = Vec::new();
    for placed in definitions.iter() {
        let definition = &placed.definition;
        if definition.is_plan_only() {
            continue;
        }
        let row = |image| ImageRow {
            target: definition.id.clone(),
            image,
            eol: definition.eol,
            eol_passed: definition.is_past_eol(today),
        };
        let images = ask(engine, placed, cache).await?;
        if images.is_empty() {
            rows.push(row(None));
        }
        let variants = variants_of(engine, definition, images.first()).await?;
        rows.extend(
            images
                .into_iter()
                .chain(variants)
                .map(|image| row(Some(image))),
        );
    }
    for image in engine.labelled_images(Label::Target.key()).await? {
        let Some(image) = FoundImage::of_foreign(image) else {
            continue;
        };
        if definitions.get(&image.target).is_none() {
            rows.push(ImageRow {
                target: image.target.clone(),
                image: Some(image),
                eol: None,
                eol_passed: false,
            });
        }
    }
    Ok(rows)
}

/// The hosts of an image's repository files: those recorded when it was made, else asked of the
/// image itself.
///
/// # Errors
///
/// [`BuildError::Engine`] when the engine cannot be asked.
pub async fn repository_hosts(
    engine: &Engine,
    image: &FoundImage,
) -> Result<BTreeSet<RepositoryHost>, BuildError> {
    if let Some(hosts) = &image.hosts {
        return Ok(hosts.clone());
    }
    let folders = [
        "/etc/apt",
        "/etc/yum.repos.d",
        "/etc/pacman.d",
        "/etc/pacman.conf",
    ];
    let mut hosts = BTreeSet::new();
    for content in engine
        .read_from_image(&image.id, &folders)
        .await?
        .iter()
        .flatten()
    {
        let facts = rootfs::read_tar(content.as_slice(), "etc/").map_err(|error| {
            EngineError::Protocol {
                operation: "read the image's repository files".to_owned(),
                cause: error.to_string(),
            }
        })?;
        hosts.extend(facts.repository_hosts);
    }
    Ok(hosts)
}

/// The images the engine has for one target, best first: current before stale, then in the
/// definition's order of sources, then the newest.
pub(super) async fn ask(
    engine: &Engine,
    placed: &Placed,
    cache: &Path,
) -> Result<Vec<FoundImage>, BuildError> {
    let definition = &placed.definition;
    let label = format!("{}={}", Label::Target.key(), definition.id);
    let labelled = engine.labelled_images(&label).await?;
    let lab_label = SourceKind::Lab.word();
    let has_lab_image = labelled.iter().any(|image| {
        image
            .labels
            .get(Label::Kind.key())
            .is_some_and(|kind| kind == lab_label)
    });
    let lab_content = if has_lab_image {
        lab_content(definition, cache)?
    } else {
        None
    };
    let mut images: Vec<FoundImage> = labelled
        .into_iter()
        .filter_map(|image| {
            let is_lab = image
                .labels
                .get(Label::Kind.key())
                .is_some_and(|kind| kind == lab_label);
            FoundImage::of_labels(definition, image, lab_content.filter(|_| is_lab))
        })
        .collect();
    for reference in definition.registry_references() {
        match engine.inspect_image(&reference.by_digest()).await {
            // One for other machines is none of this target, whoever put it there, and a stand-in
            // is known by its labels alone.
            Ok(image) if platform(definition, &image).is_ok() && !is_stand_in(&image) => {
                // One that was made here and came back by way of a registry is the same image.
                images.retain(|found| found.id != image.id);
                images.push(image_of_registry(definition, reference, image));
            }
            Ok(_) | Err(EngineError::ImageMissing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    sort(definition, &mut images);
    Ok(images)
}

/// The digest of the file the definition's lab image would come from today.
fn lab_content(definition: &Definition, cache: &Path) -> Result<Option<Digest>, BuildError> {
    let Some(manifest) = LabManifest::read(cache)? else {
        return Ok(None);
    };
    Ok(definition.sources.iter().find_map(|source| match source {
        Source::Lab { file } => Some(manifest.image(file)?.sha256),
        Source::Registry(_) | Source::Bootstrap(_) | Source::Tarball { .. } => None,
    }))
}

fn sort(definition: &Definition, images: &mut [FoundImage]) {
    let preference = |kind: SourceKind| {
        definition
            .sources
            .iter()
            .position(|source| source.kind() == kind)
            .unwrap_or(definition.sources.len())
    };
    images.sort_by(|a, b| {
        (a.state, preference(a.kind), a.name.is_none())
            .cmp(&(b.state, preference(b.kind), b.name.is_none()))
            .then_with(|| b.since.cmp(&a.since))
            .then_with(|| a.id.cmp(&b.id))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Definition {
        let definitions = Definitions::load(None).expect("the built-in definitions");
        let id = "fedora-44".parse().expect("a target");
        definitions.get(&id).expect("fedora").definition.clone()
    }

    fn image(labels: &[(Label, &str)]) -> EngineImage {
        EngineImage {
            id: "sha256:1".to_owned(),
            tags: vec!["assay/fedora-44:lab-1".to_owned()],
            digests: Vec::new(),
            labels: labels
                .iter()
                .map(|(label, value)| (label.key().to_owned(), (*value).to_owned()))
                .collect(),
            size: 1,
            since: None,
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            layers: Vec::new(),
        }
    }

    #[test]
    fn an_image_is_current_by_definition_and_content() {
        let definition = definition();
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let digest = definition.digest.to_string();
        let content = new.to_string();
        let labels = [
            (Label::Target, "fedora-44"),
            (Label::Kind, "lab"),
            (Label::Definition, digest.as_str()),
            (Label::Content, content.as_str()),
            (Label::Sources, "http://a.test https://b.test nonsense"),
        ];
        let state = |labels: &[(Label, &str)], content| {
            FoundImage::of_labels(&definition, image(labels), content).map(|image| image.state)
        };
        assert_eq!(state(&labels, None), Some(State::Current));
        assert_eq!(state(&labels, Some(new)), Some(State::Current));
        assert_eq!(state(&labels, Some(old)), Some(State::Stale));
        let mut other = labels;
        let changed = old.to_string();
        other[2].1 = &changed;
        assert_eq!(state(&other, None), Some(State::Stale));
        // A kind the definition no longer has is stale whatever its digest says.
        other = labels;
        other[1].1 = "bootstrap";
        assert_eq!(state(&other, None), Some(State::Stale));
        other[1].1 = "iso";
        assert_eq!(state(&other, None), None);
        other = labels;
        other[0].1 = "arch";
        assert_eq!(state(&other, None), None);
        let hosts = FoundImage::of_labels(&definition, image(&labels), None)
            .and_then(|image| image.hosts)
            .expect("hosts");
        assert_eq!(
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["http://a.test", "https://b.test"]
        );
    }

    #[test]
    fn the_best_image_comes_first() {
        let definition = definition();
        let found = |id: &str, kind, state, since: &str| FoundImage {
            target: definition.id.clone(),
            variant: Variant::Minimal,
            kind,
            id: id.to_owned(),
            name: None,
            size: 0,
            since: Some(since.to_owned()),
            state,
            note: None,
            hosts: None,
        };
        let mut images = vec![
            found("stale-registry", SourceKind::Registry, State::Stale, "2026"),
            found("old-lab", SourceKind::Lab, State::Current, "2024"),
            found("new-lab", SourceKind::Lab, State::Current, "2025"),
            found("undefined", SourceKind::Tarball, State::Stale, "2027"),
            found("registry", SourceKind::Registry, State::Current, "2023"),
        ];
        sort(&definition, &mut images);
        let ids: Vec<_> = images.iter().map(|image| image.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "registry",
                "new-lab",
                "old-lab",
                "stale-registry",
                "undefined"
            ]
        );
    }
}
