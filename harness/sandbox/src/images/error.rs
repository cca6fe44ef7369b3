//! How making an image can fail, and what the user can do about it.
//!
//! Each message fits after "failed to build the image: "; advice is in [`BuildError::hint`].

use std::path::PathBuf;

use assay_wire::digest::Digest;
use assay_wire::name::TargetId;

use super::command::CommandError;
use super::os_release::{Disagreement, OsReleaseError};
use super::pull::Refusal;
use super::source::SourceKind;
use crate::docker::engine::EngineError;

/// How making an image can fail.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A program that was run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The target has no images.
    #[error("`{target}` is only planned for: its definition has no source")]
    PlanOnly {
        /// The target.
        target: TargetId,
    },
    /// The definition has no source of the kind that was asked for.
    #[error("the definition of `{target}` has no source of kind `{kind}`")]
    SourceNotDefined {
        /// The target.
        target: TargetId,
        /// The kind.
        kind: SourceKind,
    },
    /// Every source of the definition failed.
    #[error("no source of `{target}` gave an image{}", listed(attempts))]
    NoSource {
        /// The target.
        target: TargetId,
        /// Each source's kind and fault, in the order they were tried.
        attempts: Vec<(SourceKind, BuildError)>,
    },
    /// The lab was not built, or has no such image.
    #[error("the lab has no image `{name}` (looked into `{}`)", manifest.display())]
    LabMissing {
        /// The lab's manifest.
        manifest: PathBuf,
        /// The image's name there.
        name: String,
    },
    /// The lab's manifest is wrong.
    #[error("the lab's manifest `{}` cannot be used: {cause}", path.display())]
    LabManifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A file is not what its digest says.
    #[error("`{}` has sha256 {found}, not {expected}", path.display())]
    DigestMismatch {
        /// The file.
        path: PathBuf,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// A root file system cannot be read.
    #[error("the root file system `{}` cannot be read: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
    /// A definition that is built in names a file, which would have to lie beside it.
    #[error("the built-in definition of `{target}` names the relative file `{}`", file.display())]
    FileWithoutFolder {
        /// The target.
        target: TargetId,
        /// The file.
        file: PathBuf,
    },
    /// The keys of an archive are nowhere to be found.
    #[error("the archive's keyring `{}` is missing", file.display())]
    KeyringMissing {
        /// The file.
        file: PathBuf,
    },
    /// A mirror's variable holds something else.
    #[error("the variable `{variable}` holds no http address of a mirror")]
    Mirror {
        /// The variable; its value may hold credentials and is not shown.
        variable: String,
    },
    /// The image has no readable `os-release`.
    #[error("the image's os-release cannot be read: {0}")]
    OsReleaseUnreadable(#[from] OsReleaseError),
    /// The image has no `os-release` at all.
    #[error("the image has no os-release")]
    OsReleaseMissing,
    /// The image is another distribution than its definition says.
    #[error("the image is not what its definition says: {}", differences(.0))]
    OsReleaseDiffers(Vec<Disagreement>),
    /// The image is for other machines than its definition says.
    #[error("the image is for `{found}`, not for `{expected}`")]
    Platform {
        /// The definition's operating system and architecture, `linux/amd64`.
        expected: String,
        /// The image's.
        found: String,
    },
    /// A registry did not give its image.
    #[error("`{reference}` was not pulled: {refusal}: {cause}")]
    NotPulled {
        /// The definition's reference.
        reference: String,
        /// What that means.
        refusal: Refusal,
        /// The engine's own words.
        cause: String,
    },
    /// The engine has another image under the name it was asked to pull.
    #[error(
        "`{reference}` was pulled, and the engine has it as {}",
        digests(found)
    )]
    PulledDigest {
        /// The definition's reference.
        reference: String,
        /// The image's names by digest.
        found: Vec<String>,
    },
    /// A registry gave an image of the lab.
    #[error("`{reference}` is a stand-in made by `assay-lab`, not the distribution's own image")]
    StandIn {
        /// The definition's reference.
        reference: String,
    },
    /// A file or folder of the cache cannot be used.
    #[error("`{}` in the cache cannot be used: {cause}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
}

impl BuildError {
    /// What the user can do about it, if anything is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Command(CommandError::Missing { program }) => Some(format!(
                "install it, on Debian and Ubuntu with `apt-get install {program}`"
            )),
            Self::Command(CommandError::Failed { .. }) => {
                Some("see whether the distribution's archive can be reached from here; a mirror can be named by the variable `mirror_variable` of the definition".to_owned())
            }
            Self::Command(CommandError::TimedOut { .. }) => {
                Some("name a nearer mirror by the variable `mirror_variable` of the definition".to_owned())
            }
            Self::Command(CommandError::Unrunnable { .. }) => None,
            Self::SourceNotDefined { .. } => {
                Some("add such a `[[source]]` to the definition".to_owned())
            }
            Self::NotPulled { reference, refusal, cause } => Some(refusal.hint(reference, cause)),
            Self::StandIn { .. } => Some(
                "name the distribution's own image, or use the lab's through a `[[source]]` of kind `lab`".to_owned(),
            ),
            Self::PulledDigest { .. } => {
                Some("the engine did not hold to the digest: see what it is, and its own log".to_owned())
            }
            // The last source is the one meant for machines like this one.
            Self::NoSource { attempts, .. } => {
                attempts.iter().rev().find_map(|(_, error)| error.hint())
            }
            Self::LabMissing { .. } | Self::LabManifest { .. } => Some(
                "build the lab with `assay-lab build` (in a checkout: `cargo run --package assay-lab -- build`)"
                    .to_owned(),
            ),
            Self::DigestMismatch { .. } => Some(
                "fetch or build the file again; if it was meant to change, correct the digest"
                    .to_owned(),
            ),
            Self::FileWithoutFolder { .. } => {
                Some("copy the definition into the project's `base-images/`".to_owned())
            }
            Self::KeyringMissing { .. } => {
                Some("install the distribution's keyring package, or name it under `keyring` in the definition".to_owned())
            }
            Self::Mirror { variable } => {
                Some(format!("unset `{variable}`, or set it to an address such as `http://HOST/PATH`"))
            }
            Self::OsReleaseDiffers(_)
            | Self::OsReleaseMissing
            | Self::OsReleaseUnreadable(_)
            | Self::Platform { .. } => {
                Some("correct the definition, or the source it names".to_owned())
            }
            Self::Cache { .. } => {
                Some("see whether the disk is full and the cache folder is yours".to_owned())
            }
            Self::PlanOnly { .. } => Some(
                "`assay plan` and `assay snapshot` take it; no sandbox of it is ever started".to_owned(),
            ),
            Self::File { .. } => None,
        }
    }

    /// Whether what came, or what is there, is not what was declared: wrong bytes, another
    /// distribution, another kind of machine.
    pub fn is_content_mismatch(&self) -> bool {
        match self {
            Self::DigestMismatch { .. }
            | Self::PulledDigest { .. }
            | Self::StandIn { .. }
            | Self::Platform { .. }
            | Self::OsReleaseDiffers(_)
            | Self::OsReleaseMissing
            | Self::OsReleaseUnreadable(_) => true,
            Self::NotPulled { refusal, .. } => {
                matches!(refusal, Refusal::WrongBytes | Refusal::WrongPlatform)
            }
            Self::Engine(_)
            | Self::Command(_)
            | Self::PlanOnly { .. }
            | Self::SourceNotDefined { .. }
            | Self::NoSource { .. }
            | Self::LabMissing { .. }
            | Self::LabManifest { .. }
            | Self::File { .. }
            | Self::FileWithoutFolder { .. }
            | Self::KeyringMissing { .. }
            | Self::Mirror { .. }
            | Self::Cache { .. } => false,
        }
    }

    /// Whether the fault lies in this one source, so that the next may be tried. Wrong bytes, a
    /// wrong distribution and an absent engine are no reason to quietly take something else.
    pub(super) fn lies_in_the_source(&self) -> bool {
        match self {
            Self::Engine(error) => match error {
                EngineError::TimedOut { .. }
                | EngineError::Api { .. }
                | EngineError::Protocol { .. }
                | EngineError::ImageMissing { .. } => true,
                EngineError::HostUnsupported { .. }
                | EngineError::Unreachable { .. }
                | EngineError::Died { .. }
                | EngineError::Source { .. } => false,
            },
            Self::Command(_)
            | Self::LabMissing { .. }
            | Self::KeyringMissing { .. }
            | Self::FileWithoutFolder { .. } => true,
            Self::NotPulled { refusal, .. } => match refusal {
                Refusal::Unreachable
                | Refusal::Unauthorised
                | Refusal::Unknown
                | Refusal::Other => true,
                Refusal::WrongBytes | Refusal::WrongPlatform => false,
            },
            Self::PlanOnly { .. }
            | Self::SourceNotDefined { .. }
            | Self::NoSource { .. }
            | Self::LabManifest { .. }
            | Self::DigestMismatch { .. }
            | Self::File { .. }
            | Self::Mirror { .. }
            | Self::OsReleaseUnreadable(_)
            | Self::OsReleaseMissing
            | Self::OsReleaseDiffers(_)
            | Self::Platform { .. }
            | Self::PulledDigest { .. }
            | Self::StandIn { .. }
            | Self::Cache { .. } => false,
        }
    }
}

fn digests(names: &[String]) -> String {
    let names: Vec<String> = names
        .iter()
        .take(8)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.is_empty() {
        "no image of a registry".to_owned()
    } else {
        names.join(", ")
    }
}

fn listed(attempts: &[(SourceKind, BuildError)]) -> String {
    attempts
        .iter()
        .map(|(kind, error)| format!("\n  {kind}: {error}"))
        .collect()
}

fn differences(disagreements: &[Disagreement]) -> String {
    disagreements
        .iter()
        .map(|it| {
            format!(
                "`{}` is `{}`, not `{}`",
                it.key,
                it.found
                    .chars()
                    .take(100)
                    .collect::<String>()
                    .escape_debug(),
                it.expected
            )
        })
        .collect::<Vec<_>>()
        .join(", ")
}
