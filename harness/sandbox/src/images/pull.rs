//! A target's image from a registry, by digest: pulled by the engine, then held against what was
//! asked for and what the definition says. What is refused does not stay.
//!
//! A registry's image carries no label of ours, for that would make it another image. One that was
//! brought here gets a name of ours instead, so that it can be removed once nothing names it; one
//! that was there already belongs to whoever put it there.

use std::fmt;

use assay_wire::name::TargetId;

use super::build::check_distribution;
use super::definition::Definition;
use super::error::BuildError;
use super::inventory::{FoundImage, Label, image_of_registry};
use super::rootfs::{self, Facts};
use super::source::{RegistryReference, SourceKind};
use crate::docker::engine::{Engine, EngineError};
use crate::docker::image::EngineImage;

/// The pattern of the names that images brought here get.
pub(super) const BROUGHT: &str = "assay/*:registry-*";

/// Hex digits of a digest in a name.
const SHORT: usize = 12;

/// Why a registry did not give an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It does not answer.
    Unreachable,
    /// It wants somebody else to ask.
    Unauthorised,
    /// It has nothing of this digest.
    Unknown,
    /// What it gave is not what the digest names; the engine has thrown it away.
    WrongBytes,
    /// What it has is for other machines.
    WrongPlatform,
    /// Anything else.
    Other,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the registry does not answer",
            Self::Unauthorised => "the registry refuses this user",
            Self::Unknown => "the registry has nothing of this digest",
            Self::WrongBytes => "the registry gave other bytes than the digest names",
            Self::WrongPlatform => "the registry has it for other machines only",
            Self::Other => "the engine could not pull it",
        })
    }
}

/// What engines say, in the order in which it is looked for: Docker's own pull, containerd's (which
/// newer Dockers use), and Podman's.
const WORDS: &[(Refusal, &[&str])] = &[
    (
        Refusal::WrongBytes,
        &[
            "verification failed for digest",
            "unexpected commit digest",
            "digest did not match",
            "does not match provided manifest digest",
        ],
    ),
    (
        Refusal::WrongPlatform,
        &[
            "no matching manifest for",
            "does not match the specified platform",
            "no image found in image index",
        ],
    ),
    (
        Refusal::Unauthorised,
        &[
            "no basic auth credentials",
            "authentication required",
            "unauthorized",
            "access denied",
            "access to the resource is denied",
            "forbidden",
        ],
    ),
    (
        Refusal::Unknown,
        &[
            "manifest unknown",
            "unknown blob",
            "name unknown",
            "not found",
        ],
    ),
    (
        Refusal::Unreachable,
        &[
            "connection refused",
            "connection reset",
            "no such host",
            "no route to host",
            "network is unreachable",
            "timeout",
            "deadline exceeded",
            "server gave http response to https client",
            "tls:",
            "x509:",
            "eof",
        ],
    ),
];

impl Refusal {
    /// What the engine's own words mean.
    pub(super) fn of(message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        let says = |words: &&(Self, &[&str])| words.1.iter().any(|word| message.contains(word));
        WORDS.iter().find(says).map_or(Self::Other, |found| found.0)
    }

    /// What the user can do about it. The reference is as the definition has it.
    pub(super) fn hint(self, reference: &str, cause: &str) -> String {
        match self {
            Self::Unreachable if cause.contains("HTTP response to HTTPS client") => {
                "the registry speaks plain http: name it in `insecure-registries` of the engine's own settings".to_owned()
            }
            Self::Unreachable => {
                "see whether the engine's machine reaches the registry; `assay images build` takes the definition's other sources".to_owned()
            }
            Self::Unauthorised => format!(
                "assay sends no credentials: log in and `docker pull {reference}` yourself, and it is used from then on"
            ),
            Self::Unknown => {
                "correct the digest in the definition: the registry may have removed the image it named".to_owned()
            }
            Self::WrongBytes => {
                "do not trust this registry, or what stands between it and the engine; nothing of it was kept".to_owned()
            }
            Self::WrongPlatform => {
                "correct the definition: its `architecture`, or the digest".to_owned()
            }
            Self::Other => "see the engine's own log".to_owned(),
        }
    }
}

/// Pulls the image, unless it turns out not to be what was asked for.
pub(super) async fn pull(
    engine: &Engine,
    definition: &Definition,
    reference: &RegistryReference,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<FoundImage, BuildError> {
    progress(&format!("pulling `{reference}`"));
    let asked = reference.by_digest();
    let was_there = match engine.inspect_image(&asked).await {
        Ok(_) => true,
        Err(EngineError::ImageMissing { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    let architecture = definition.architecture.word();
    let target = &definition.id;
    let mut told = |line: &str| progress(&format!("{target}: {line}"));
    let pulled = engine
        .pull_image(&asked, architecture, &mut told)
        .await
        .map_err(|error| refused(reference, error))?;
    let checked = check(engine, definition, reference, &pulled).await;
    if was_there {
        return checked.map(|()| image_of_registry(definition, reference, pulled));
    }
    if let Err(error) = checked {
        // Else the next run would find it by its digest. A refusal of the engine's to remove it is
        // no reason to hide what is wrong with it.
        let _ = engine.remove_image(&asked).await;
        return Err(error);
    }
    let name = name_of(&definition.id, reference);
    engine.name_image(&pulled.id, &name).await?;
    Ok(image_of_registry(definition, reference, pulled))
}

fn refused(reference: &RegistryReference, error: EngineError) -> BuildError {
    let cause = match error {
        EngineError::Api {
            status, message, ..
        } => (status, message),
        // The engine says so of what it asked the registry for.
        EngineError::ImageMissing { .. } => (404, "not found".to_owned()),
        EngineError::TimedOut { seconds, .. } => {
            (504, format!("nothing came for {seconds} s: timeout"))
        }
        other @ (EngineError::HostUnsupported { .. }
        | EngineError::Unreachable { .. }
        | EngineError::Died { .. }
        | EngineError::Protocol { .. }
        | EngineError::Source { .. }) => return other.into(),
    };
    let (status, cause) = cause;
    let refusal = match (Refusal::of(&cause), status) {
        (Refusal::Other, 401 | 403) => Refusal::Unauthorised,
        (Refusal::Other, 404) => Refusal::Unknown,
        (refusal, _) => refusal,
    };
    BuildError::NotPulled {
        reference: reference.to_string(),
        refusal,
        cause,
    }
}

/// Whether what the engine has under a reference is what the definition says.
///
/// # Errors
///
/// [`BuildError::PulledDigest`], [`BuildError::Platform`], [`BuildError::StandIn`] and those of the
/// image's os-release when it is not, [`BuildError::Engine`] when it cannot be told.
pub(super) async fn check(
    engine: &Engine,
    definition: &Definition,
    reference: &RegistryReference,
    image: &EngineImage,
) -> Result<(), BuildError> {
    if !has_digest(image, reference) {
        return Err(BuildError::PulledDigest {
            reference: reference.to_string(),
            found: image.digests.clone(),
        });
    }
    platform(definition, image)?;
    if is_stand_in(image) {
        return Err(BuildError::StandIn {
            reference: reference.to_string(),
        });
    }
    check_distribution(definition, &facts(engine, &image.id).await?)
}

/// Whether the engine knows the image by the digest of a reference.
pub(super) fn has_digest(image: &EngineImage, reference: &RegistryReference) -> bool {
    let digest = format!("@sha256:{}", reference.digest());
    image.digests.iter().any(|name| name.ends_with(&digest))
}

/// Whether an image is for the machines the definition says.
pub(super) fn platform(definition: &Definition, image: &EngineImage) -> Result<(), BuildError> {
    let (os, architecture) = (definition.os.word(), definition.architecture.word());
    // Some engines leave a field empty; what they say must be right.
    let agrees = |said: &str, expected| said.is_empty() || said == expected;
    if agrees(&image.os, os) && agrees(&image.architecture, architecture) {
        return Ok(());
    }
    Err(BuildError::Platform {
        expected: format!("{os}/{architecture}"),
        found: format!("{}/{}", image.os, image.architecture),
    })
}

/// Whether an image is one of the lab's, whoever gave it: it must not pass for the distribution.
pub(super) fn is_stand_in(image: &EngineImage) -> bool {
    let kind = image.labels.get(Label::Kind.key());
    kind.and_then(|kind| kind.parse().ok()) == Some(SourceKind::Lab)
}

/// What the files of an image the engine has say.
pub(super) async fn facts(engine: &Engine, id: &str) -> Result<Facts, EngineError> {
    let contents = engine
        .read_from_image(id, &["/usr/lib/os-release", "/etc/os-release"])
        .await?;
    for (content, prefix) in contents.iter().zip(["usr/lib/", "etc/"]) {
        let Some(content) = content else { continue };
        let facts = rootfs::read_tar(content.as_slice(), prefix).map_err(|error| {
            EngineError::Protocol {
                operation: format!("read the image `{id}`"),
                cause: error.to_string(),
            }
        })?;
        if facts.os_release.is_some() {
            return Ok(facts);
        }
    }
    Ok(Facts::default())
}

/// The name of ours that an image gets which was brought here for a target.
fn name_of(target: &TargetId, reference: &RegistryReference) -> String {
    format!(
        "assay/{target}:{}-{}",
        SourceKind::Registry,
        reference.digest().short()
    )
}

/// The target an image was brought here for, if this name of it says so. Engines may put a host
/// before it.
pub(super) fn brought_for(name: &str) -> Option<TargetId> {
    let (repository, tag) = name.rsplit_once(':')?;
    let digits = tag
        .strip_prefix(SourceKind::Registry.word())?
        .strip_prefix('-')?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digits.len() != SHORT || !digits.bytes().all(hex) {
        return None;
    }
    let repository = ["localhost/", "docker.io/"]
        .iter()
        .find_map(|host| repository.strip_prefix(host))
        .unwrap_or(repository);
    repository.strip_prefix("assay/")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_of_a_pull_is_understood() {
        for (said, refusal) in [
            (
                "Get \"http://localhost:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                Refusal::Unreachable,
            ),
            (
                "Get \"https://r.test/v2/\": dial tcp: lookup r.test: no such host",
                Refusal::Unreachable,
            ),
            (
                "Get \"https://r.test/v2/\": http: server gave HTTP response to HTTPS client",
                Refusal::Unreachable,
            ),
            (
                "Get \"http://localhost:1/v2/x/manifests/sha256:00\": no basic auth credentials",
                Refusal::Unauthorised,
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Refusal::Unauthorised,
            ),
            (
                "manifest for localhost:1/x@sha256:00 not found: manifest unknown: manifest unknown",
                Refusal::Unknown,
            ),
            ("unknown blob", Refusal::Unknown),
            (
                "filesystem layer verification failed for digest sha256:00",
                Refusal::WrongBytes,
            ),
            (
                "error pulling image configuration: image config verification failed for digest sha256:00",
                Refusal::WrongBytes,
            ),
            (
                "manifest verification failed for digest sha256:00",
                Refusal::WrongBytes,
            ),
            (
                "failed commit on ref \"layer-sha256:00\": unexpected commit digest sha256:01, expected sha256:00: failed precondition",
                Refusal::WrongBytes,
            ),
            (
                "no matching manifest for linux/arm64/v8 in the manifest list entries",
                Refusal::WrongPlatform,
            ),
            (
                "received unexpected HTTP status: 500 Internal Server Error",
                Refusal::Other,
            ),
        ] {
            assert_eq!(Refusal::of(said), refusal, "{said}");
            assert!(!refusal.hint("r.test/x", said).is_empty());
        }
        let http = "server gave HTTP response to HTTPS client";
        let hint = Refusal::Unreachable.hint("r.test/x", http);
        assert!(hint.contains("insecure-registries"), "{hint}");
    }

    #[test]
    fn a_name_of_ours_says_for_which_target_an_image_was_brought() {
        let digest = "786a8b558f7be160c6c8c4a54f9a57274f3b4fb1491cf65146521ae77ff1dc54";
        let reference = format!("r.test/x@sha256:{digest}");
        let target: TargetId = "debian-13".parse().expect("a target");
        let name = name_of(&target, &reference.parse().expect("a reference"));
        assert_eq!(name, "assay/debian-13:registry-786a8b558f7b");
        for name in [
            name.clone(),
            format!("localhost/{name}"),
            format!("docker.io/{name}"),
        ] {
            assert_eq!(brought_for(&name), Some(target.clone()), "{name}");
        }
        for other in [
            "assay/debian-13:bootstrap-786a8b558f7b",
            "assay/debian-13:registry-786a8b558f7b-systemd",
            "assay/debian-13:registry-786A8b558f7b",
            "assay/debian-13:registry-",
            "mine/debian-13:registry-786a8b558f7b",
            "elsewhere.test/assay/debian-13:registry-786a8b558f7b",
            "debian-13",
            "debian:13",
        ] {
            assert_eq!(brought_for(other), None, "{other}");
        }
    }
}
