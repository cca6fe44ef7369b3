//! The data of `base-images/lab`, embedded when the tool is built.
//!
//! Reads no file at run time; `SOURCES` is the digest of this data and of the
//! crate's own code, so that any change to either builds everything anew.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::sign::{Key, SignError};

/// SHA-256 of the crate's sources, the embedded data and the versions of the
/// crates that write packages; computed by `build.rs`.
pub(crate) const SOURCES: &str = env!("ASSAY_LAB_SOURCES");

const RULES: &str = include_str!("../../../base-images/lab/rules.toml");
const FEDORA: &str = include_str!("../../../base-images/lab/fedora-44.toml");
const ROCKY: &str = include_str!("../../../base-images/lab/rocky-9.toml");
const ARCH: &str = include_str!("../../../base-images/lab/arch.toml");
/// `/etc/pacman.conf` of the Arch image.
pub(crate) const PACMAN_CONF: &str = include_str!("../../../base-images/lab/pacman.conf");
const MADE_UP: &str = include_str!("../../../base-images/lab/made-up.toml");

/// The key of the Fedora image's own repository.
pub(crate) const FEDORA_BASE: &str = "fedora-base";
/// The key of the Rocky image's own repository.
pub(crate) const ROCKY_BASE: &str = "rocky-base";
/// The key of the Arch image's repositories.
pub(crate) const ARCH_KEY: &str = "arch";
/// The key of the repository that recipes add with `apt_repo`.
pub(crate) const APT_KEY: &str = "apt";
/// The key of the repository that recipes add with `dnf_repo`.
pub(crate) const RPM_KEY: &str = "rpm";

/// The key of every repository of the evil twin.
pub(crate) const EVIL_KEY: &str = "evil";
/// A key that expired after everything was signed, and before anything is installed.
pub(crate) const EXPIRED_KEY: &str = "expired";

/// The committed test keys: name and armored secret key.
pub(crate) const KEYS: [(&str, &str); 7] = [
    (
        APT_KEY,
        include_str!("../../../base-images/lab/keys/test-key-apt.secret.asc"),
    ),
    (
        ARCH_KEY,
        include_str!("../../../base-images/lab/keys/test-key-arch.secret.asc"),
    ),
    (
        EVIL_KEY,
        include_str!("../../../base-images/lab/keys/test-key-evil.secret.asc"),
    ),
    (
        EXPIRED_KEY,
        include_str!("../../../base-images/lab/keys/test-key-expired.secret.asc"),
    ),
    (
        FEDORA_BASE,
        include_str!("../../../base-images/lab/keys/test-key-fedora-base.secret.asc"),
    ),
    (
        ROCKY_BASE,
        include_str!("../../../base-images/lab/keys/test-key-rocky-base.secret.asc"),
    ),
    (
        RPM_KEY,
        include_str!("../../../base-images/lab/keys/test-key-rpm.secret.asc"),
    ),
];

/// A fault in the embedded data.
#[derive(Debug, thiserror::Error)]
#[error("the embedded `{file}` is faulty: {source}")]
pub(crate) struct DataError {
    file: &'static str,
    source: Box<toml::de::Error>,
}

/// One test key.
///
/// # Errors
/// `SignError` when the committed key is damaged or there is none of this name.
pub(crate) fn key(name: &'static str) -> Result<Key, SignError> {
    let armored = KEYS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("", |(_, armored)| armored);
    Key::read(name, armored)
}

/// How packages are converted: `rules.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    /// Packages that are Debian itself.
    pub(crate) debian_only: BTreeSet<String>,
    drop_dependencies: BTreeSet<String>,
    /// Packages that no repository offers.
    pub(crate) image_only: BTreeSet<String>,
    exclude: Vec<String>,
    unowned: Vec<String>,
    exclude_unless_copyright: String,
    /// Names a package provides beside those Debian lists.
    pub(crate) provides: BTreeMap<String, Vec<String>>,
    /// Programs that maintainer scripts call without any effect here.
    pub(crate) no_ops: Vec<String>,
    /// What holds for both formats.
    pub(crate) both: FormatRules,
    /// What holds for Fedora and Rocky alone.
    pub(crate) rpm: FormatRules,
    /// What holds for Arch alone.
    pub(crate) pacman: FormatRules,
}

/// Rules of one format, or of both.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FormatRules {
    /// Names in the target, by Debian name.
    #[serde(default)]
    pub(crate) rename: BTreeMap<String, String>,
    /// Debian packages that a package needs beside those it lists, where the set holds them.
    #[serde(default)]
    pub(crate) depends: BTreeMap<String, Vec<String>>,
    /// Links that a package has beside its payload: path and target, by Debian name.
    #[serde(default)]
    pub(crate) links: BTreeMap<String, BTreeMap<String, String>>,
    /// Paths that are called otherwise in the target.
    #[serde(default)]
    pub(crate) moves: BTreeMap<String, String>,
    /// What a package runs after a transaction that changed files below a path, by Debian name.
    #[serde(default)]
    pub(crate) file_triggers: BTreeMap<String, BTreeMap<String, String>>,
}

impl Rules {
    /// The rules of the repository.
    ///
    /// # Errors
    /// `DataError` when they are faulty.
    pub(crate) fn embedded() -> Result<Self, DataError> {
        parse("rules.toml", RULES)
    }

    /// Whether dependencies on this Debian package are dropped.
    pub(crate) fn dropped(&self, name: &str) -> bool {
        self.drop_dependencies.contains(name)
    }

    /// Whether neither a package nor an image has this path (no leading slash).
    pub(crate) fn excluded(&self, path: &str) -> bool {
        let below = |prefix: &String| {
            path.strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let documentation = path
            .strip_prefix(&self.exclude_unless_copyright)
            .and_then(|rest| rest.split_once('/'))
            .is_some_and(|(_, file)| file != "copyright");
        documentation || self.exclude.iter().any(below)
    }

    /// Whether a path is in the images, but in no package.
    pub(crate) fn unowned(&self, path: &str) -> bool {
        self.unowned.iter().any(|unowned| unowned == path)
    }
}

/// How an image is built: `fedora-44.toml`, `rocky-9.toml`, `arch.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    /// The name of the package that owns the files below.
    pub(crate) release_package: String,
    /// Its version.
    pub(crate) release_version: String,
    /// Names the release package provides: name, or name and version.
    pub(crate) release_provides: Vec<String>,
    /// Debian packages offered by the image's repository, with all they need.
    pub(crate) repository: Vec<String>,
    /// In the order in which they are tried.
    pub(crate) userland: Vec<Userland>,
    /// Packages of the repository that only need others.
    #[serde(default)]
    pub(crate) meta: Vec<MadeUp>,
    /// Files of the release package.
    pub(crate) file: Vec<OverlayFile>,
    /// Links of the release package, beside its files.
    pub(crate) link: Vec<OverlayLink>,
}

/// One set of Debian packages that an image can be made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Userland {
    /// The Debian suite.
    pub(crate) suite: String,
    /// What the image is, in words for reports.
    pub(crate) note: String,
    /// Packages asked for beside the essential ones.
    pub(crate) include: Vec<String>,
    /// Beginnings of the names of packages that are taken out of the image again,
    /// although another nominally needs them.
    pub(crate) omit: Vec<String>,
}

/// A file of the release package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverlayFile {
    /// The path without a leading slash.
    pub(crate) path: String,
    /// The contents.
    pub(crate) text: String,
}

/// A link of the release package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverlayLink {
    /// The path without a leading slash.
    pub(crate) path: String,
    /// What it points to.
    pub(crate) target: String,
    /// Made only where no package brings the path.
    #[serde(default)]
    pub(crate) unless_packaged: bool,
}

/// How the Fedora image is built.
///
/// # Errors
/// `DataError` when the definition is faulty.
pub(crate) fn fedora() -> Result<Definition, DataError> {
    parse("fedora-44.toml", FEDORA)
}

/// How the Rocky image is built.
///
/// # Errors
/// `DataError` when the definition is faulty.
pub(crate) fn rocky() -> Result<Definition, DataError> {
    parse("rocky-9.toml", ROCKY)
}

/// How the Arch image is built.
///
/// # Errors
/// `DataError` when the definition is faulty.
pub(crate) fn arch() -> Result<Definition, DataError> {
    parse("arch.toml", ARCH)
}

/// A package made up for the lab: `made-up.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeUp {
    /// The name in all three formats.
    pub(crate) name: String,
    /// The version; its release is 1.
    pub(crate) version: String,
    /// One line.
    pub(crate) summary: String,
    /// Debian relations, understood in all three formats.
    #[serde(default)]
    pub(crate) depends: String,
    /// What it provides beside its name.
    #[serde(default)]
    pub(crate) provides: String,
    /// What it cannot be installed with.
    #[serde(default)]
    pub(crate) conflicts: String,
    /// Further text files: path without a leading slash, and contents.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Text of the program `/usr/bin/NAME`, if it has one.
    #[serde(default)]
    pub(crate) program: Option<String>,
    /// A shell script that runs after the installation.
    #[serde(default)]
    pub(crate) post_install: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeUpFile {
    package: Vec<MadeUp>,
}

/// The made-up packages.
///
/// # Errors
/// `DataError` when the list is faulty.
pub(crate) fn made_up() -> Result<Vec<MadeUp>, DataError> {
    parse::<MadeUpFile>("made-up.toml", MADE_UP).map(|file| file.package)
}

fn parse<T: serde::de::DeserializeOwned>(file: &'static str, text: &str) -> Result<T, DataError> {
    toml::from_str(text).map_err(|source| DataError {
        file,
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_data_is_well_formed() {
        let fedora = fedora().expect("well formed");
        assert_eq!(fedora.userland.len(), 2);
        assert_eq!(rocky().expect("well formed").userland.len(), 1);
        assert_eq!(arch().expect("well formed").userland.len(), 1);
        let names: Vec<String> = made_up()
            .expect("well formed")
            .into_iter()
            .map(|p| format!("{} {}", p.name, p.version))
            .collect();
        assert!(
            names.contains(&"assay-hello 1.0".to_owned())
                && names.contains(&"assay-hello 2.0".to_owned())
        );
    }

    #[test]
    fn exclusions_match_whole_components() {
        let rules = Rules::embedded().expect("well formed");
        for path in [
            "etc/os-release",
            "usr/share/man",
            "usr/share/man/man1/a.1",
            "usr/share/doc/a/README",
            "usr/share/doc/a/b/copyright",
        ] {
            assert!(rules.excluded(path), "{path}");
        }
        for path in [
            "etc/os-release.d",
            "usr/share/manual",
            "usr/share/doc/a/copyright",
            "usr/share/doc/a",
            "usr/share/doc",
        ] {
            assert!(!rules.excluded(path), "{path}");
        }
    }
}
