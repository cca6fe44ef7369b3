//! Repositories of the made-up packages: genuine ones, their evil twins, ones that a test spoils, and
//! ones of packages that a test thinks up for itself ([`OwnPackage`]).
//!
//! Touches no file: gives paths and bytes. The public part of the crate, for tests of `assay` that
//! need an index or a package signed by somebody else, long ago, or by nobody; what a flipped byte
//! or a missing file is, a test does itself.

mod own;

use std::collections::BTreeSet;

use crate::build::BuildError;
use crate::build::material::each;
use crate::convert::Package;
use crate::sign::{Key, SignError};
use crate::terms::Terms;
use crate::{apt_repo, arch, data, fedora, made_up};

pub use own::{Capability, OwnContent, OwnFile, OwnPackage};

/// What a repository is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// apt; the suite is `stable`, its component `main`.
    Apt,
    /// dnf 4 and 5.
    RpmMd,
    /// pacman, by the name of its section.
    Pacman(&'static str),
}

/// A committed test key (`base-images/lab/keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestKey {
    /// Of the repository that recipes add with `apt_repo`.
    Apt,
    /// Of the Arch image.
    Arch,
    /// Of every repository of the evil twin.
    Evil,
    /// One that expired on 2025-02-01, a month after everything was signed.
    Expired,
    /// Of the Fedora image.
    FedoraBase,
    /// Of the Rocky image.
    RockyBase,
    /// Of the repository that recipes add with `dnf_repo`.
    Rpm,
}

/// Whose content the packages have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// As `made-up.toml` has it: `assay-hello` 1.0 and 2.0 print their name and version.
    Genuine,
    /// Their programs print `evil` before that, and there is an `assay-hello` 3.0.
    EvilTwin,
    /// These packages, and no others.
    Own(&'a [OwnPackage]),
}

/// A repository to be written.
#[derive(Debug, Clone)]
pub struct Forged<'a> {
    /// What it is read by.
    pub format: Format,
    /// Whose content its packages have.
    pub origin: Origin<'a>,
    /// Which packages it has, by name and version (`assay-hello`, `1.0`); all if this is `None`.
    pub only: Option<&'a [(&'a str, &'a str)]>,
    /// Who signs its packages; packages of apt are never signed.
    pub packages: Option<TestKey>,
    /// Who signs its index.
    pub index: Option<TestKey>,
    /// Until when apt takes its index, as `Release` writes a time; other indexes have no such field.
    pub valid_until: Option<&'a str>,
    /// By how many bytes its index says each package is smaller than it is; hashes stay true.
    pub bytes_left_out: usize,
}

/// A repository could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot forge a repository: {0}")]
pub struct ForgeError(Box<dyn std::error::Error + Send + Sync>);

impl TestKey {
    /// The key.
    ///
    /// # Errors
    /// `SignError` when the committed key is damaged.
    pub(crate) fn read(self) -> Result<Key, SignError> {
        data::key(match self {
            Self::Apt => data::APT_KEY,
            Self::Arch => data::ARCH_KEY,
            Self::Evil => data::EVIL_KEY,
            Self::Expired => data::EXPIRED_KEY,
            Self::FedoraBase => data::FEDORA_BASE,
            Self::RockyBase => data::ROCKY_BASE,
            Self::Rpm => data::RPM_KEY,
        })
    }

    /// Its public half in armor, as it is served.
    ///
    /// # Errors
    /// `ForgeError` when the committed key is damaged.
    pub fn public(self) -> Result<Vec<u8>, ForgeError> {
        let key = self.read().map_err(|error| ForgeError(error.into()))?;
        key.public_armored()
            .map_err(|error| ForgeError(error.into()))
    }

    /// Its fingerprint, 40 capital hex digits.
    ///
    /// # Errors
    /// `ForgeError` when the committed key is damaged.
    pub fn fingerprint(self) -> Result<String, ForgeError> {
        let key = self.read().map_err(|error| ForgeError(error.into()))?;
        Ok(key.fingerprint())
    }
}

impl<'a> Forged<'a> {
    /// Every made-up package, all signed by one key.
    #[must_use]
    pub fn genuine(format: Format, signer: TestKey) -> Self {
        Self {
            format,
            origin: Origin::Genuine,
            only: None,
            packages: Some(signer),
            index: Some(signer),
            valid_until: None,
            bytes_left_out: 0,
        }
    }

    /// Packages of a test's own, all signed by one key.
    #[must_use]
    pub fn own(format: Format, packages: &'a [OwnPackage], signer: TestKey) -> Self {
        Self {
            origin: Origin::Own(packages),
            ..Self::genuine(format, signer)
        }
    }

    /// The evil twin, signed by its own key.
    #[must_use]
    pub fn evil_twin(format: Format) -> Self {
        Self {
            origin: Origin::EvilTwin,
            ..Self::genuine(format, TestKey::Evil)
        }
    }

    /// Its files: paths relative to its base URL, and bytes. Same input, same bytes.
    ///
    /// # Errors
    /// `ForgeError` when a key or the list of packages is damaged.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>, ForgeError> {
        self.built().map_err(|error| ForgeError(error.into()))
    }

    /// The same for the builder.
    ///
    /// # Errors
    /// `BuildError`.
    pub(crate) fn built(&self) -> Result<Vec<(String, Vec<u8>)>, BuildError> {
        let packages = self.chosen()?;
        let read = |key: Option<TestKey>| key.map(TestKey::read).transpose();
        let (signer, index) = (read(self.packages)?, read(self.index)?);
        let signer = signer.as_ref();
        let terms = Terms {
            key: index.as_ref(),
            valid_until: self.valid_until,
            bytes_left_out: self.bytes_left_out,
        };
        let mut files;
        match self.format {
            Format::Apt => files = apt_repo::repository(&packages, &terms)?,
            Format::RpmMd => {
                let rpms = each(&packages, |package| fedora::rpm::write(package, signer))?;
                files = fedora::rpm_md::index(&rpms, &terms)?;
                files.extend(rpms.into_iter().map(|rpm| (rpm.file, rpm.signed.bytes)));
            }
            Format::Pacman(name) => {
                let base = BTreeSet::new();
                let written = each(&packages, |package| {
                    arch::package::write(package, &base, signer)
                })?;
                files = arch::database::database(name, &written, &terms)?;
                files.extend(
                    written
                        .into_iter()
                        .flat_map(arch::package::PacmanPackage::files),
                );
            }
        }
        Ok(files)
    }

    fn chosen(&self) -> Result<Vec<Package>, BuildError> {
        let mut packages = match self.origin {
            Origin::Genuine => made_up::packages()?,
            Origin::EvilTwin => made_up::twins()?,
            Origin::Own(own) => own::packages(own).map_err(made_up::MadeUpError::from)?,
        };
        if let Some(only) = self.only {
            packages.retain(|package| {
                only.iter().any(|(name, version)| {
                    package.name == *name && package.version == format!("{version}-1")
                })
            });
        }
        Ok(packages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 3] = [Format::Apt, Format::RpmMd, Format::Pacman("lab")];

    fn names(forged: &Forged<'_>) -> Vec<String> {
        let files = forged.files().expect("writes");
        files.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn only_what_is_asked_for_is_offered_and_two_writes_are_identical() {
        for format in FORMATS {
            let whole = Forged::evil_twin(format);
            assert_eq!(
                whole.files().expect("writes"),
                whole.files().expect("writes")
            );
            let newest = Forged {
                only: Some(&[("assay-hello", "3.0")]),
                ..whole
            };
            let packages: Vec<String> = names(&newest)
                .into_iter()
                .filter(|name| name.contains("assay-"))
                .collect();
            assert!(
                !packages.is_empty() && packages.iter().all(|name| name.contains("assay-hello")),
                "{packages:?}"
            );
        }
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        for format in FORMATS {
            let signed = Forged::genuine(format, TestKey::Apt);
            let unsigned = Forged {
                packages: None,
                index: None,
                ..signed.clone()
            };
            let is_signature = |name: &&String| {
                [".sig", ".asc", ".gpg", "InRelease"]
                    .iter()
                    .any(|end| name.ends_with(end))
            };
            assert_eq!(names(&unsigned).iter().filter(is_signature).count(), 0);
            assert!(names(&signed).iter().filter(is_signature).count() > 0);
        }
    }

    #[test]
    fn an_index_says_until_when_it_is_valid() {
        let until = "Thu, 02 Jan 2025 00:00:00 UTC";
        let forged = Forged {
            valid_until: Some(until),
            ..Forged::genuine(Format::Apt, TestKey::Apt)
        };
        let files = forged.files().expect("writes");
        let release = files.iter().find(|(name, _)| name.ends_with("/Release"));
        let release = String::from_utf8_lossy(&release.expect("written").1).into_owned();
        assert!(release.contains(&format!("Valid-Until: {until}\n")));
    }
}
