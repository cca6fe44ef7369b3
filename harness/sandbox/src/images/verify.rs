//! Whether an image is what it claims to be, and whether the engine still has all its bytes.
//!
//! What it claims stands in its labels, or, for a registry's, in its definition's digest. The bytes
//! are proved by having the engine save the whole image ([`saved`](super::saved)): an engine looks
//! at a layer's files only when it reads them. Prepared images are a cache made of these, and are
//! not looked at.

use assay_wire::digest::Digest;
use assay_wire::name::Variant;

use super::build::check_distribution;
use super::definition::Definition;
use super::error::BuildError;
use super::inventory::{FoundImage, Label};
use super::pull::{facts, has_digest, platform};
use super::saved::{Proved, SavedError, read_saved};
use super::set::Placed;
use super::source::SourceKind;
use crate::docker::engine::{Engine, EngineError};
use crate::docker::image::EngineImage;

/// What engines say when a layer's files are not those they took in (tar-split's checksums).
const DAMAGED: &[&str] = &["integrity checksum failed", "checksum mismatch"];

/// What came of looking at an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is what it claims to be, to the last byte.
    Verified,
    /// It is not.
    Differs,
    /// That cannot be told.
    Unknown,
}

impl Verdict {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Differs => "differs",
            Self::Unknown => "unknown",
        }
    }
}

/// An image that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What came of it.
    pub verdict: Verdict,
    /// What differs, else why nothing can be told; whole sentences without their full stops.
    pub findings: Vec<String>,
    /// Its layers, if their bytes are those its id names.
    pub proved: Option<Proved>,
}

/// Looks at an image of a target's.
///
/// # Errors
///
/// [`BuildError::Engine`] when the engine is gone. What it says of this image alone is a finding.
pub async fn verify(
    engine: &Engine,
    placed: &Placed,
    image: &FoundImage,
) -> Result<Verified, BuildError> {
    let definition = &placed.definition;
    let (mut differs, mut unknown) = (Vec::new(), Vec::new());
    let there = match engine.inspect_image(&image.id).await {
        Ok(there) => there,
        Err(error) => {
            unknown.push(of_this_image(error)?);
            return Ok(verdict(differs, unknown, None));
        }
    };
    let base = match there.labels.get(Label::Base.key()) {
        Some(base) if image.variant != Variant::Minimal => engine.inspect_image(base).await.ok(),
        Some(_) | None => None,
    };
    differs.extend(false_claims(definition, image, &there, base.as_ref()));
    if image.is_current() {
        match facts(engine, &image.id).await {
            Ok(facts) => differs.extend(
                check_distribution(definition, &facts)
                    .err()
                    .map(|error| error.to_string()),
            ),
            Err(error) => unknown.push(of_this_image(error)?),
        }
    }
    let id = there.id.clone();
    let proved = engine
        .save_image(&there.id, move |archive| {
            let saved =
                read_saved(archive).map_err(|error| SavedError::Unreadable(error.to_string()))?;
            saved.prove(&id, &there.layers)
        })
        .await;
    let proved = match proved {
        Ok(Ok(proved)) => Some(proved),
        Ok(Err(SavedError::Differs(why))) => {
            differs.push(why);
            None
        }
        Ok(Err(error @ SavedError::Unreadable(_))) => {
            unknown.push(error.to_string());
            None
        }
        Err(error) => {
            let why = of_this_image(error)?;
            let damaged = DAMAGED.iter().any(|word| why.contains(word));
            let findings = if damaged { &mut differs } else { &mut unknown };
            findings.push(why);
            None
        }
    };
    Ok(verdict(differs, unknown, proved))
}

fn verdict(differs: Vec<String>, unknown: Vec<String>, proved: Option<Proved>) -> Verified {
    let verdict = match (differs.is_empty(), unknown.is_empty()) {
        (false, _) => Verdict::Differs,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Verified,
    };
    Verified {
        verdict,
        findings: differs.into_iter().chain(unknown).collect(),
        proved,
    }
}

/// A fault that says something of this image, in words; else the fault.
fn of_this_image(error: EngineError) -> Result<String, BuildError> {
    match error {
        EngineError::Unreachable { .. }
        | EngineError::Died { .. }
        | EngineError::HostUnsupported { .. } => Err(error.into()),
        EngineError::ImageMissing { .. } => Ok("it has gone meanwhile".to_owned()),
        EngineError::TimedOut { .. }
        | EngineError::Api { .. }
        | EngineError::Protocol { .. }
        | EngineError::Source { .. } => Ok(error.to_string()),
    }
}

/// What an image claims that is not so, as far as the engine's word for it goes. `base` is what a
/// variant was made of, if that is still there.
fn false_claims(
    definition: &Definition,
    found: &FoundImage,
    image: &EngineImage,
    base: Option<&EngineImage>,
) -> Vec<String> {
    let mut claims: Vec<String> = platform(definition, image)
        .err()
        .map(|error| error.to_string())
        .into_iter()
        .collect();
    if found.variant != Variant::Minimal {
        claims.extend(of_variant(image, base));
    } else if found.kind == SourceKind::Registry {
        let mut references = definition.registry_references();
        if !references.any(|reference| has_digest(image, reference)) {
            claims.push("the engine knows it by none of its definition's digests".to_owned());
        }
    } else {
        claims.extend(of_content(found.kind, image));
    }
    claims
}

/// One that was made here has one layer, and one that was bootstrapped says which.
fn of_content(kind: SourceKind, image: &EngineImage) -> Option<String> {
    let label = Label::Content.key();
    let content = image
        .labels
        .get(label)
        .and_then(|it| it.parse::<Digest>().ok());
    let (Some(content), [layer]) = (content, image.layers.as_slice()) else {
        return Some(format!(
            "it was not made by `assay images build`: it has {} layers, and the label `{label}` of {}",
            image.layers.len(),
            content.map_or("none".to_owned(), |content| content.to_string()),
        ));
    };
    // What the others came from may have been compressed.
    (kind == SourceKind::Bootstrap && *layer != format!("sha256:{content}"))
        .then(|| format!("its layer is {layer}, its label `{label}` says {content}"))
}

/// A variant is its base with one layer above.
fn of_variant(image: &EngineImage, base: Option<&EngineImage>) -> Option<String> {
    // Without its base it is used by nothing; its bytes are still proved.
    let base = base?;
    let own = image.layers.strip_prefix(base.layers.as_slice());
    own.is_none_or(|own| own.len() != 1).then(|| {
        format!(
            "it is not `{}` with one layer above, as its label `{}` says",
            base.id,
            Label::Base.key()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Definitions;
    use crate::images::inventory::State;

    const HEX: &str = "786a8b558f7be160c6c8c4a54f9a57274f3b4fb1491cf65146521ae77ff1dc54";

    fn definition() -> Definition {
        let definitions = Definitions::load(None).expect("the built-in definitions");
        let id = "ubuntu-24.04".parse().expect("a target");
        definitions.get(&id).expect("ubuntu").definition.clone()
    }

    fn found(kind: SourceKind, variant: Variant) -> FoundImage {
        FoundImage {
            target: "ubuntu-24.04".parse().expect("a target"),
            variant,
            kind,
            id: "sha256:1".to_owned(),
            name: None,
            size: 1,
            since: None,
            state: State::Current,
            note: None,
            hosts: None,
        }
    }

    fn image(layers: &[&str], content: &str, digest: &str) -> EngineImage {
        EngineImage {
            id: "sha256:1".to_owned(),
            tags: Vec::new(),
            digests: vec![format!("ubuntu@sha256:{digest}")],
            labels: [(Label::Content.key().to_owned(), content.to_owned())].into(),
            size: 1,
            since: None,
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            layers: layers
                .iter()
                .map(|layer| format!("sha256:{layer}"))
                .collect(),
        }
    }

    #[test]
    fn a_false_claim_of_each_kind_is_found_and_a_true_one_is_not() {
        use SourceKind::{Bootstrap, Lab, Registry};
        let definition = definition();
        let other = Digest::of(b"other").to_string();
        let claims = |kind, image: &EngineImage| {
            false_claims(&definition, &found(kind, Variant::Minimal), image, None).join("; ")
        };
        for (kind, image, words) in [
            (Bootstrap, image(&[HEX], HEX, ""), ""),
            (
                Bootstrap,
                image(&[&other], HEX, ""),
                "its label `assay.content` says 786a8b",
            ),
            (Bootstrap, image(&[HEX, HEX], HEX, ""), "it has 2 layers"),
            (
                Bootstrap,
                image(&[HEX], "nonsense", ""),
                "the label `assay.content` of none",
            ),
            // Its file was compressed.
            (Lab, image(&[&other], HEX, ""), ""),
            (Lab, image(&[], HEX, ""), "it has 0 layers"),
            (Registry, image(&[HEX, HEX], "", HEX), ""),
            (
                Registry,
                image(&[HEX], "", &other),
                "none of its definition's digests",
            ),
        ] {
            let said = claims(kind, &image);
            assert!(said.contains(words), "{kind}: {said}");
            assert_eq!(said.is_empty(), words.is_empty(), "{kind}: {said}");
        }
        let mut arm = image(&[HEX], HEX, "");
        arm.architecture = "arm64".to_owned();
        let said = claims(Bootstrap, &arm);
        assert_eq!(
            said,
            "the image is for `linux/arm64`, not for `linux/amd64`"
        );
    }

    #[test]
    fn a_variant_is_its_base_with_one_layer_above() {
        let definition = definition();
        let base = image(&["a", "b"], "", "");
        for (layers, right) in [
            (["a", "b", "c"].as_slice(), true),
            (&["a", "b"], false),
            (&["a", "x", "c"], false),
            (&["a", "b", "c", "d"], false),
        ] {
            let variant = image(layers, "", "");
            let found = found(SourceKind::Registry, Variant::Systemd);
            let claims = false_claims(&definition, &found, &variant, Some(&base));
            assert_eq!(claims.is_empty(), right, "{layers:?}: {claims:?}");
            // Nothing is held against one whose base has gone.
            assert!(false_claims(&definition, &found, &variant, None).is_empty());
        }
    }

    #[test]
    fn what_differs_outweighs_what_cannot_be_told() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (differs, unknown, expected) in [
            (&[][..], &[][..], Verdict::Verified),
            (&[], &["x"], Verdict::Unknown),
            (&["x"], &["y"], Verdict::Differs),
        ] {
            let both = verdict(words(differs), words(unknown), None);
            assert_eq!(both.verdict, expected);
            assert_eq!(both.findings.len(), differs.len() + unknown.len());
        }
    }
}
