//! Asks apt which Debian packages an image and its repository are made of, and
//! fetches them.
//!
//! apt runs with folders of its own, so that the machine's package state is
//! neither read nor changed; it checks the archive's signature and the hashes.
//! The result names every package by its sha256. `crate::rootfs` builds from it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::data::Userland;
use crate::deb::{self, DebError};
use crate::files::{self, FileError};
use crate::process::{ProcessError, run};
use crate::sources::{self, NoMirror};

/// A package set that could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// No mirror is known.
    #[error(transparent)]
    Mirror(#[from] NoMirror),
    /// apt failed.
    #[error(transparent)]
    Apt(#[from] ProcessError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A fetched package is faulty.
    #[error("`{file}`: {source}")]
    Package {
        /// Its file name.
        file: String,
        /// What is wrong.
        source: DebError,
    },
    /// A fetched package is not the one that the signed index names.
    #[error("`{file}` has not the sha256 that the archive's index gives")]
    Mismatch {
        /// Its file name.
        file: String,
    },
    /// apt's answer could not be understood.
    #[error("apt gave a line that names no package with a sha256: `{0}`")]
    Answer(String),
}

/// One Debian package, by content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fetched {
    /// The package's name.
    pub(crate) name: String,
    /// Its Debian version.
    pub(crate) version: String,
    /// The file in the cache's `debs` folder.
    pub(crate) file: String,
    /// SHA-256, hexadecimal.
    pub(crate) sha256: String,
}

/// The packages of one image and of its repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageSet {
    /// The Debian suite.
    pub(crate) suite: String,
    /// What the image is, in words.
    pub(crate) note: String,
    /// The packages installed in the image, sorted.
    pub(crate) image: Vec<Fetched>,
    /// The packages that the repository offers beside those, sorted.
    pub(crate) repository: Vec<Fetched>,
    /// Those of the image that are taken out of it again.
    pub(crate) omitted: Vec<String>,
}

/// Resolves and fetches the packages of one userland.
///
/// # Errors
/// `ResolveError` when apt, the mirror or a package fails.
pub(crate) fn resolve(
    cache: &Path,
    userland: &Userland,
    repository: &[String],
) -> Result<PackageSet, ResolveError> {
    let apt = PrivateApt::set_up(cache, &userland.suite)?;
    apt.call("update", &[])?;
    let essential = ["?essential".to_owned()];
    let wanted: Vec<String> = essential.iter().chain(&userland.include).cloned().collect();
    files::write(&apt.status, b"")?;
    let image = apt.fetch(&wanted, cache)?;
    let omitted = image.iter().map(|package| package.name.clone());
    let omitted = omitted
        .filter(|name| userland.omit.iter().any(|start| name.starts_with(start)))
        .collect();

    let mut status = String::new();
    for package in &image {
        let bytes = read_verified(cache, package)?;
        let mut control = deb::read_control(&bytes).map_err(|source| ResolveError::Package {
            file: package.file.clone(),
            source,
        })?;
        control.set("Status", "install ok installed");
        status.push_str(&control.render());
        status.push('\n');
    }
    files::write(&apt.status, status.as_bytes())?;
    let repository = apt.fetch(repository, cache)?;
    Ok(PackageSet {
        suite: userland.suite.clone(),
        note: userland.note.clone(),
        image,
        repository,
        omitted,
    })
}

/// Reads a package from the cache and compares its hash.
///
/// # Errors
/// `ResolveError` when it is missing or not the one that was fetched.
pub(crate) fn read_verified(cache: &Path, package: &Fetched) -> Result<Vec<u8>, ResolveError> {
    let bytes = files::read(&debs(cache).join(&package.file))?;
    if files::sha256(&bytes) == package.sha256 {
        Ok(bytes)
    } else {
        Err(ResolveError::Mismatch {
            file: package.file.clone(),
        })
    }
}

/// The folder of fetched packages.
pub(crate) fn debs(cache: &Path) -> PathBuf {
    cache.join("debs")
}

/// apt with folders of its own.
struct PrivateApt {
    state: PathBuf,
    status: PathBuf,
    debs: PathBuf,
    empty: PathBuf,
}

impl PrivateApt {
    fn set_up(cache: &Path, suite: &str) -> Result<Self, ResolveError> {
        let mirror = sources::mirror()?;
        let state = cache.join("apt").join(suite);
        let apt = Self {
            status: state.join("status"),
            debs: debs(cache),
            empty: state.join("empty"),
            state,
        };
        for folder in [
            apt.state.join("lists/partial"),
            apt.debs.join("partial"),
            apt.empty.join("partial"),
            apt.state.join("preferences"),
        ] {
            files::create_folder(&folder)?;
        }
        files::write(&apt.status, b"")?;
        let keyring = mirror.keyring.display();
        let line = format!(
            "deb [arch=amd64 signed-by={keyring}] {} {suite} main\n",
            mirror.uri
        );
        files::write(&apt.state.join("sources.list"), line.as_bytes())?;
        Ok(apt)
    }

    fn call(&self, verb: &str, words: &[&str]) -> Result<Vec<u8>, ResolveError> {
        let mut command = Command::new("apt-get");
        let folder = |name: &str, path: &Path| format!("{name}={}", path.display());
        for option in [
            folder("Dir::Etc::SourceList", &self.state.join("sources.list")),
            "Dir::Etc::SourceParts=-".to_owned(),
            folder(
                "Dir::Etc::PreferencesParts",
                &self.state.join("preferences"),
            ),
            "Dir::Etc::Preferences=-".to_owned(),
            folder("Dir::State", &self.state),
            folder("Dir::State::Lists", &self.state.join("lists")),
            folder("Dir::State::Status", &self.status),
            folder(
                "Dir::State::Extended_States",
                &self.state.join("extended_states"),
            ),
            "APT::Architecture=amd64".to_owned(),
            "APT::Architectures::=amd64".to_owned(),
            "APT::Default-Release=".to_owned(),
            "APT::Install-Recommends=false".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::ForceHash=SHA256".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=3".to_owned(),
            // sid's index is renewed daily; a mirror or a clock may lag behind.
            "Acquire::Check-Valid-Until=false".to_owned(),
            "Debug::NoLocking=true".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
            .args(["-q", "-y", verb])
            .args(words)
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        Ok(run(&mut command)?)
    }

    /// Fetches packages with all they need over the status file.
    fn fetch(&self, names: &[String], cache: &Path) -> Result<Vec<Fetched>, ResolveError> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // A package already fetched is not listed, so the list is asked with an empty folder.
        let empty = format!("Dir::Cache::Archives={}", self.empty.display());
        let mut words = vec!["-o", &empty, "--print-uris", "--no-remove"];
        words.extend(&names);
        let answer = self.call("install", &words)?;
        let answer = String::from_utf8_lossy(&answer);

        let archives = format!("Dir::Cache::Archives={}", self.debs.display());
        let mut words = vec!["-o", &archives, "--download-only", "--no-remove"];
        words.extend(&names);
        self.call("install", &words)?;

        let mut packages = BTreeSet::new();
        for line in answer.lines().filter(|line| line.starts_with('\'')) {
            let (file, sha256) = uri_line(line)?;
            let mut package = Fetched {
                name: String::new(),
                version: String::new(),
                file,
                sha256,
            };
            let bytes = read_verified(cache, &package)?;
            let fault = |source| ResolveError::Package {
                file: package.file.clone(),
                source,
            };
            let control = deb::read_control(&bytes).map_err(fault)?;
            let name = control.require("Package").map_err(fault)?.to_owned();
            let version = control.require("Version").map_err(fault)?.to_owned();
            package.name = name;
            package.version = version;
            packages.insert(package);
        }
        Ok(packages.into_iter().collect())
    }
}

/// Reads a line of `--print-uris`: `'URI' FILE SIZE SHA256:HEX`.
fn uri_line(line: &str) -> Result<(String, String), ResolveError> {
    let fault =
        || ResolveError::Answer(line.chars().filter(|c| !c.is_control()).take(200).collect());
    let mut words = line.split_whitespace().skip(1);
    let file = words.next().ok_or_else(fault)?;
    let hash = words
        .nth(1)
        .and_then(|word| word.strip_prefix("SHA256:"))
        .ok_or_else(fault)?;
    let plain = !file.starts_with('.')
        && file.ends_with(".deb")
        && file
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-._~%".contains(&b));
    if !plain || hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(fault());
    }
    Ok((file.to_owned(), hash.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_apt_are_read_and_checked() {
        let hash = "a".repeat(64);
        let good = format!(
            "'http://mirror.example/j/jq_1.7-6_amd64.deb' jq_1.7-6_amd64.deb 77 SHA256:{hash}"
        );
        assert_eq!(
            uri_line(&good).expect("well formed"),
            ("jq_1.7-6_amd64.deb".to_owned(), hash.clone())
        );
        for bad in [
            format!("'http://x' ../jq.deb 77 SHA256:{hash}"),
            format!("'http://x' .deb 77 SHA256:{hash}"),
            "'http://x' jq.deb 77 MD5Sum:00".to_owned(),
            "'http://x' jq.deb 77 SHA256:zz".to_owned(),
            "'http://x'".to_owned(),
        ] {
            assert!(
                matches!(uri_line(&bad), Err(ResolveError::Answer(_))),
                "{bad}"
            );
        }
    }
}
