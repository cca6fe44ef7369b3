//! Image definitions: what a target's base image is, and the sources it may come from.
//!
//! One TOML file per target under `base-images/`, read in `read.rs`. A definition holds no host name
//! of a package mirror: the bootstrap tool's defaults, the machine's apt configuration or the
//! variable the definition names supply it. A definition that says `plan_only = true` has no
//! sources: recipes are planned for such a target and never run. Nothing is built here
//! ([`build`](super::build)) and no file is read ([`set`](super::set)).

use std::fmt;

use assay_wire::digest::{Digest, digest_of};
use assay_wire::name::{GuestPath, TargetId};
use serde::Serialize;

use super::date::Date;
use super::os_release::OsRelease;
use super::read::read;
use super::source::{RegistryReference, Source, Word};

/// The most a definition may hold, in bytes.
pub const LIMIT: usize = 256 * 1024;

/// What a target's base image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The target; equal to the file's stem.
    pub id: TargetId,
    /// The operating system.
    pub os: Os,
    /// The architecture its images have.
    pub architecture: Architecture,
    /// The day stamped on the files and the configuration of images made here
    /// (`SOURCE_DATE_EPOCH`), so that equal contents give equal images; `None` for a target that is
    /// only planned for.
    pub source_date: Option<Date>,
    /// The last day the distribution serves updates; `None` for a rolling release.
    pub eol: Option<Date>,
    /// The distribution's own `os-release`; an image must agree with it. `None` outside Linux.
    pub os_release: Option<OsRelease>,
    /// The family of distributions; `None` outside Linux.
    pub family: Option<Family>,
    /// The package manager.
    pub package_manager: PackageManager,
    /// The C library; `None` outside Linux.
    pub libc: Option<Libc>,
    /// The environment variable that may name a mirror or a dated snapshot.
    pub mirror_variable: Option<String>,
    /// The unprivileged user recipes run as; `None` for a target that is only planned for.
    pub user: Option<Word>,
    /// Packages and commands that are deliberately not in the image, sorted.
    pub absent: Vec<Word>,
    /// Where the distribution keeps its merged certificates once it has any.
    pub trust_store: Option<GuestPath>,
    /// Whether the hosts of the image's own repository files may be asked over plain http.
    pub plain_http: bool,
    /// Where the image may come from, in order of preference. Empty for a target that is only
    /// planned for, and for no other.
    pub sources: Vec<Source>,
    /// Identifies what can change an image: id, architecture, day, os-release and sources.
    pub digest: Digest,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum $type {
            $($(#[$value_doc])* #[serde(rename = $word)] $value,)+
        }

        impl $type {
            /// The word used in definitions, labels and messages.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$value),)+
                    other => Err(format!(
                        "`{}` is unknown; known are {}",
                        other.escape_debug(),
                        [$(concat!("`", $word, "`")),+].join(", "),
                    )),
                }
            }
        }
    };
}
pub(super) use words;

words! {
    /// A processor architecture, in Go's words, which engines use.
    Architecture {
        /// x86-64.
        Amd64 = "amd64",
        /// 64-bit ARM.
        Arm64 = "arm64",
    }
}
words! {
    /// An operating system.
    Os {
        /// Linux.
        Linux = "linux",
        /// macOS; only planned for.
        Darwin = "darwin",
    }
}
words! {
    /// A family of distributions.
    Family {
        /// Debian and what derives from it.
        Debian = "debian",
        /// Fedora and what derives from it.
        Fedora = "fedora",
        /// Arch Linux.
        Arch = "arch",
        /// Alpine Linux.
        Alpine = "alpine",
        /// SUSE and openSUSE.
        Suse = "suse",
    }
}
words! {
    /// A package manager.
    PackageManager {
        /// apt, with dpkg.
        Apt = "apt",
        /// dnf, with rpm.
        Dnf = "dnf",
        /// pacman.
        Pacman = "pacman",
        /// apk.
        Apk = "apk",
        /// zypper, with rpm.
        Zypper = "zypper",
        /// Homebrew.
        Brew = "brew",
    }
}
words! {
    /// A C library.
    Libc {
        /// The GNU C library.
        Glibc = "glibc",
        /// musl.
        Musl = "musl",
    }
}

/// A fault of a definition. `line` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DefinitionError {
    /// The file, as the user knows it.
    pub file: String,
    /// The line of the fault; `None` where the file as a whole is at fault.
    pub line: Option<usize>,
    /// The key of the fault, where there is one.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", key `{key}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Definition {
    /// Reads a definition. `file` is shown in errors; its stem must be the definition's `id`.
    ///
    /// # Errors
    ///
    /// The first fault, in the order of the file for faults of form.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, DefinitionError> {
        let mut definition = read(file, bytes)?;
        definition.digest = digest(&definition);
        Ok(definition)
    }

    /// Whether the target is only planned for: no image of it is ever made or run.
    pub fn is_plan_only(&self) -> bool {
        self.sources.is_empty()
    }

    /// The references of its registries, in order of preference.
    pub fn registry_references(&self) -> impl Iterator<Item = &RegistryReference> {
        self.sources.iter().filter_map(|source| match source {
            Source::Registry(reference) => Some(reference),
            Source::Bootstrap(_) | Source::Lab { .. } | Source::Tarball { .. } => None,
        })
    }

    /// Whether the distribution has stopped serving updates on that day.
    pub fn is_past_eol(&self, today: Date) -> bool {
        self.eol.is_some_and(|eol| eol < today)
    }
}

/// The digest of what a definition means. Fields that cannot change an image (`eol`, `absent`,
/// the mirror's variable) are left out, so that correcting them rebuilds nothing.
fn digest(definition: &Definition) -> Digest {
    #[derive(Serialize)]
    struct Meaning<'a> {
        id: &'a TargetId,
        architecture: Architecture,
        source_date: Option<String>,
        os_release: Option<&'a str>,
        sources: &'a [Source],
    }
    digest_of(&Meaning {
        id: &definition.id,
        architecture: definition.architecture,
        source_date: definition.source_date.map(|date| date.to_string()),
        os_release: definition.os_release.as_ref().map(OsRelease::text),
        sources: &definition.sources,
    })
}

#[cfg(test)]
#[path = "definition_tests.rs"]
mod tests;
