//! Builds the parts of the lab that are not up to date, and writes the manifest.
//!
//! A part is built in a work folder and moved into place when all of it is there.
//! One process at a time: the cache is locked. `material` holds what parts share.

pub(crate) mod material;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::data::{
    self, APT_KEY, ARCH_KEY, DataError, Definition, EVIL_KEY, FEDORA_BASE, ROCKY_BASE, RPM_KEY,
    SOURCES,
};
use crate::files::{self, FileError, at};
use crate::forge::{Forged, Format, TestKey};
use crate::manifest::{self, Image, Manifest, PublicKey, Repositories, read_json, write_json};
use crate::resolve::{PackageSet, ResolveError, debs, resolve};
use crate::rootfs::RootfsError;
use crate::sign::SignError;
use crate::{apt_repo, arch, fedora, made_up};
use material::{Material, write_keys, write_repository};

const REPOSITORIES: &str = "repositories";
/// The folder of the evil twin, which is the host it is served as (`content`'s `lab_hosts`).
const EVIL_HOST: &str = "evil.assay.test";

/// The lab could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The embedded data is faulty.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The packages could not be had.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// None of the package sets of an image could be had; the last fault.
    #[error("no package set for `{target}` can be had: {source}")]
    NoUserland {
        /// The image's target.
        target: &'static str,
        /// Why the last one failed.
        source: Box<BuildError>,
    },
    /// A root file system could not be made.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// A Debian package is faulty.
    #[error("cannot read a package: {0}")]
    Deb(#[from] crate::deb::DebError),
    /// A package could not be converted.
    #[error(transparent)]
    Convert(#[from] crate::convert::ConvertError),
    /// A made-up package is faulty.
    #[error(transparent)]
    MadeUp(#[from] made_up::MadeUpError),
    /// A package or an index could not be written.
    #[error("{0}")]
    Format(Box<dyn std::error::Error + Send + Sync>),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The repository for apt could not be written.
    #[error(transparent)]
    Apt(#[from] apt_repo::AptError),
}

/// A part of the lab that is built by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Part {
    /// The Arch image with its repositories `core` and `extra`.
    #[value(name = "arch")]
    Arch,
    /// The made-up packages in an apt and in an rpm repository.
    #[value(name = "debs")]
    Debs,
    /// The evil twin of every repository, on a host of its own.
    #[value(name = "evil-twin")]
    EvilTwin,
    /// The Fedora image with its base repository.
    #[value(name = "fedora-44")]
    Fedora,
    /// The Rocky image with its base repository.
    #[value(name = "rocky-9")]
    Rocky,
}

impl Part {
    /// Every part, in the order in which they are built.
    pub(crate) const ALL: [Self; 5] = [
        Self::Debs,
        Self::EvilTwin,
        Self::Fedora,
        Self::Arch,
        Self::Rocky,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Arch => "arch",
            Self::Debs => "debs",
            Self::EvilTwin => "evil-twin",
            Self::Fedora => "fedora-44",
            Self::Rocky => "rocky-9",
        }
    }

    /// The image it makes, relative to the cache folder.
    fn image(self) -> Option<&'static str> {
        match self {
            Self::Arch => Some("images/arch.tar"),
            Self::Debs | Self::EvilTwin => None,
            Self::Fedora => Some("images/fedora-44.tar"),
            Self::Rocky => Some("images/rocky-9.tar"),
        }
    }

    /// The folders it makes, relative to the repositories.
    fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Arch => &["arch"],
            Self::Debs => &["apt", "rpm"],
            Self::EvilTwin => &[EVIL_HOST],
            Self::Fedora => &["fedora"],
            Self::Rocky => &["rocky"],
        }
    }

    /// The keys it signs with, each with the folder where it is served.
    fn keys(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Arch => &[(ARCH_KEY, "arch")],
            Self::Debs => &[(APT_KEY, "apt"), (RPM_KEY, "rpm")],
            Self::EvilTwin => &[(EVIL_KEY, EVIL_HOST)],
            Self::Fedora => &[(FEDORA_BASE, "fedora")],
            Self::Rocky => &[(ROCKY_BASE, "rocky")],
        }
    }

    fn definition(self) -> Result<Option<Definition>, DataError> {
        Ok(match self {
            Self::Arch => Some(data::arch()?),
            Self::Debs | Self::EvilTwin => None,
            Self::Fedora => Some(data::fedora()?),
            Self::Rocky => Some(data::rocky()?),
        })
    }
}

/// What is to be built.
#[derive(Debug)]
pub(crate) struct Request {
    /// The cache folder.
    pub(crate) cache: PathBuf,
    /// The parts.
    pub(crate) parts: Vec<Part>,
    /// Ask the archive for newer packages, whatever the cache has.
    pub(crate) refresh: bool,
    /// Build again from the same packages.
    pub(crate) rebuild: bool,
}

/// What is remembered of a part: `state/NAME.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// `data::SOURCES` of the builder.
    sources: String,
    /// SHA-256 of what was asked for: definition and suite names.
    request: String,
    /// The packages it was built from.
    set: Option<PackageSet>,
    /// Hash and size of its image.
    image: Option<(String, u64)>,
}

/// Builds what is not up to date. Says on `progress` what takes time.
///
/// # Errors
/// `BuildError`; the cache then holds what it held before.
pub(crate) fn build(request: &Request, progress: &mut dyn FnMut(&str)) -> Result<(), BuildError> {
    let cache = &request.cache;
    files::create_folder(cache)?;
    let lock_path = cache.join("lock");
    let lock = File::create(&lock_path).map_err(at("create", &lock_path))?;
    lock.lock().map_err(at("lock", &lock_path))?;
    let work = cache.join("work");
    files::remove(&work)?;

    let mut built = Vec::new();
    for part in &request.parts {
        let known: Option<State> = read_json(&state_path(cache, *part));
        let fresh = known
            .as_ref()
            .is_some_and(|state| state.sources == SOURCES && outputs_exist(cache, *part, state));
        if fresh && !request.refresh && !request.rebuild {
            continue;
        }
        let started = Instant::now();
        progress(&format!("{}: building", part.name()));
        let part_work = work.join(part.name());
        files::create_folder(&part_work)?;
        let state = make(request, *part, known, &part_work, progress)?;
        progress(&format!(
            "{}: built in {:.1} s",
            part.name(),
            started.elapsed().as_secs_f64()
        ));
        built.push((*part, state));
    }
    if built.is_empty() && read_json::<Manifest>(&cache.join(manifest::FILE)).is_some() {
        progress("up to date");
        return Ok(());
    }
    // From here the old manifest would describe what is no longer there.
    files::remove(&cache.join(manifest::FILE))?;
    for (part, state) in &built {
        put_in_place(cache, *part, &work.join(part.name()))?;
        write_json(&state_path(cache, *part), state)?;
    }
    files::remove(&work)?;
    write_json(&cache.join(manifest::FILE), &describe(cache)?)?;
    Ok(())
}

fn make(
    request: &Request,
    part: Part,
    known: Option<State>,
    work: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<State, BuildError> {
    let repositories = work.join(REPOSITORIES);
    let Some(definition) = part.definition()? else {
        match part {
            Part::EvilTwin => make_evil_twin(&repositories.join(EVIL_HOST))?,
            Part::Debs | Part::Arch | Part::Fedora | Part::Rocky => {
                make_third_party(&repositories)?;
            }
        }
        return state_of(part, work, String::new(), None);
    };
    let asked = asked(&definition);
    let have_all = |set: &PackageSet| {
        set.image
            .iter()
            .chain(&set.repository)
            .all(|package| debs(&request.cache).join(&package.file).is_file())
    };
    let reusable = known
        .filter(|state| state.request == asked && !request.refresh)
        .and_then(|state| state.set)
        .filter(have_all);
    let image = work.join(part.image().unwrap_or_default());
    if let Some(parent) = image.parent() {
        files::create_folder(parent)?;
    }
    let construct = |set: &PackageSet, progress: &mut dyn FnMut(&str)| -> Result<(), BuildError> {
        progress(&format!(
            "{}: installing {} packages and converting {}",
            part.name(),
            set.image.len(),
            set.image.len() + set.repository.len()
        ));
        let material = Material::read(&request.cache, set)?;
        let rules = data::Rules::embedded()?;
        let rpm = |name: &str, base, key, database| fedora::image::Place {
            repository: repositories.join(name),
            base,
            key,
            database,
        };
        match part {
            Part::Arch => {
                let folder = repositories.join("arch");
                arch::image::build(material, &definition, &rules, work, &image, &folder)
            }
            Part::Fedora => {
                let place = rpm("fedora", "44/base", FEDORA_BASE, "usr/lib/sysimage/rpm");
                fedora::image::build(material, &definition, &rules, work, &image, &place)
            }
            Part::Rocky => {
                let place = rpm("rocky", "9/base", ROCKY_BASE, "var/lib/rpm");
                fedora::image::build(material, &definition, &rules, work, &image, &place)
            }
            // They have no definition, so nothing is constructed for them.
            Part::Debs | Part::EvilTwin => Ok(()),
        }
    };
    if let Some(set) = reusable {
        construct(&set, progress)?;
        return state_of(part, work, asked, Some(set));
    }
    let mut last: Option<BuildError> = None;
    for userland in &definition.userland {
        progress(&format!(
            "{}: asking for the packages of {}",
            part.name(),
            userland.suite
        ));
        let attempt = resolve(&request.cache, userland, &definition.repository)
            .map_err(BuildError::from)
            .and_then(|set| {
                construct(&set, progress)?;
                Ok(set)
            });
        match attempt {
            Ok(set) => return state_of(part, work, asked, Some(set)),
            Err(fault) => {
                progress(&format!(
                    "{}: {} cannot be used: {fault}",
                    part.name(),
                    userland.suite
                ));
                last = Some(fault);
                files::remove(work)?;
                files::create_folder(image.parent().unwrap_or(work))?;
            }
        }
    }
    match last {
        Some(source) => Err(BuildError::NoUserland {
            target: part.name(),
            source: Box::new(source),
        }),
        None => state_of(part, work, asked, None),
    }
}

/// The repositories that recipes add themselves.
fn make_third_party(repositories: &Path) -> Result<(), BuildError> {
    for (folder, format, signer) in [
        ("apt", Format::Apt, TestKey::Apt),
        ("rpm", Format::RpmMd, TestKey::Rpm),
    ] {
        let place = repositories.join(folder);
        write_repository(&place, Forged::genuine(format, signer).built()?)?;
        write_keys(&place, &signer.read()?)?;
    }
    Ok(())
}

/// Every repository once more, under the paths of the genuine ones: made-up packages alone.
fn make_evil_twin(host: &Path) -> Result<(), BuildError> {
    for (path, format) in [
        ("apt", Format::Apt),
        ("rpm", Format::RpmMd),
        ("fedora/44/base", Format::RpmMd),
        ("rocky/9/base", Format::RpmMd),
        ("arch/core/os/x86_64", Format::Pacman("core")),
        ("arch/extra/os/x86_64", Format::Pacman("extra")),
    ] {
        write_repository(&host.join(path), Forged::evil_twin(format).built()?)?;
    }
    let key = TestKey::Evil.read()?;
    for folder in ["", "apt", "rpm", "fedora", "rocky", "arch"] {
        write_keys(&host.join(folder), &key)?;
    }
    Ok(())
}

fn state_of(
    part: Part,
    work: &Path,
    request: String,
    set: Option<PackageSet>,
) -> Result<State, BuildError> {
    let image = match part.image() {
        Some(file) => {
            let path = work.join(file);
            let size = path.metadata().map_err(at("inspect", &path))?.len();
            Some((files::sha256_of_file(&path)?, size))
        }
        None => None,
    };
    Ok(State {
        sources: SOURCES.to_owned(),
        request,
        set,
        image,
    })
}

/// The quick look of an ordinary run; `verify` hashes.
fn outputs_exist(cache: &Path, part: Part, state: &State) -> bool {
    let image = match (part.image(), &state.image) {
        (Some(file), Some((_, size))) => cache
            .join(file)
            .metadata()
            .is_ok_and(|found| found.len() == *size),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    image
        && part
            .folders()
            .iter()
            .all(|folder| cache.join(REPOSITORIES).join(folder).is_dir())
}

fn put_in_place(cache: &Path, part: Part, work: &Path) -> Result<(), BuildError> {
    let folders = part
        .folders()
        .iter()
        .map(|folder| format!("{REPOSITORIES}/{folder}"));
    for output in part.image().map(str::to_owned).into_iter().chain(folders) {
        let (from, to) = (work.join(&output), cache.join(&output));
        if let Some(parent) = to.parent() {
            files::create_folder(parent)?;
        }
        files::remove(&to)?;
        std::fs::rename(&from, &to).map_err(at("rename", &from))?;
    }
    Ok(())
}

/// Describes every part that is in place and of this builder.
fn describe(cache: &Path) -> Result<Manifest, BuildError> {
    let mut inputs = String::from(SOURCES);
    let mut images = Vec::new();
    let mut keys = Vec::new();
    for part in Part::ALL {
        let Some(state) = read_json::<State>(&state_path(cache, part))
            .filter(|state| outputs_exist(cache, part, state))
        else {
            continue;
        };
        inputs.push('\n');
        inputs.push_str(part.name());
        inputs.push_str(&state.sources);
        for package in state
            .set
            .iter()
            .flat_map(|set| set.image.iter().chain(&set.repository))
        {
            inputs.push('\n');
            inputs.push_str(&package.sha256);
        }
        if let (Some(file), Some((sha256, _))) = (part.image(), state.image) {
            images.push(Image {
                target: part.name().to_owned(),
                file: file.to_owned(),
                sha256,
                kind_note: state.set.map_or_else(String::new, |set| set.note),
            });
        }
        for (name, folder) in part.keys() {
            let key = data::key(name)?;
            keys.push(PublicKey {
                name: key.name().to_owned(),
                armored_path: format!("{folder}/key.asc"),
                armored_sha256: files::sha256(&key.public_armored()?),
                binary_path: format!("{folder}/key.gpg"),
                binary_sha256: files::sha256(&key.public_binary()?),
                fingerprint: key.fingerprint(),
            });
        }
    }
    images.sort_by(|a, b| a.target.cmp(&b.target));
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Manifest {
        schema: manifest::SCHEMA.to_owned(),
        version: manifest::VERSION,
        digest: files::sha256(inputs.as_bytes()),
        images,
        repositories: Repositories {
            path: REPOSITORIES.to_owned(),
            sha256: files::sha256_of_tree(&cache.join(REPOSITORIES))?,
        },
        keys,
    })
}

/// Hashes every output and compares it with the manifest; gives the differences.
///
/// # Errors
/// `FileError` when an output cannot be read.
pub(crate) fn verify(cache: &Path) -> Result<Vec<String>, FileError> {
    let Some(manifest) = read_json::<Manifest>(&cache.join(manifest::FILE)) else {
        return Ok(vec![format!("`{}` is missing or damaged", manifest::FILE)]);
    };
    let mut differences = Vec::new();
    for image in &manifest.images {
        if files::sha256_of_file(&cache.join(&image.file))? != image.sha256 {
            differences.push(format!("`{}` has another hash", image.file));
        }
    }
    let repositories = &manifest.repositories;
    if files::sha256_of_tree(&cache.join(&repositories.path))? != repositories.sha256 {
        differences.push(format!("`{}` has another hash", repositories.path));
    }
    for key in &manifest.keys {
        for (path, sha256) in [
            (&key.armored_path, &key.armored_sha256),
            (&key.binary_path, &key.binary_sha256),
        ] {
            if files::sha256_of_file(&cache.join(&repositories.path).join(path))? != *sha256 {
                differences.push(format!("`{path}` has another hash"));
            }
        }
    }
    Ok(differences)
}

fn asked(definition: &Definition) -> String {
    let mut text = definition.repository.join(" ");
    for userland in &definition.userland {
        text.push_str(&format!(
            "\n{}: {} - {}",
            userland.suite,
            userland.include.join(" "),
            userland.omit.join(" ")
        ));
    }
    files::sha256(text.as_bytes())
}

fn state_path(cache: &Path, part: Part) -> PathBuf {
    cache.join("state").join(format!("{}.json", part.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cache: &Path) -> Request {
        Request {
            cache: cache.to_owned(),
            parts: vec![Part::Debs, Part::EvilTwin],
            refresh: false,
            rebuild: false,
        }
    }

    fn run(request: &Request) -> Vec<String> {
        let mut said = Vec::new();
        build(request, &mut |line| said.push(line.to_owned())).expect("builds");
        said
    }

    #[test]
    fn a_second_build_does_nothing_and_a_rebuild_gives_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut wanted = request(folder.path());
        assert_eq!(run(&wanted).len(), 4);
        let path = folder.path().join(manifest::FILE);
        let first = files::read(&path).expect("written");
        assert_eq!(run(&wanted), ["up to date"]);
        wanted.rebuild = true;
        run(&wanted);
        assert_eq!(files::read(&path).expect("written"), first);
        assert!(verify(folder.path()).expect("reads").is_empty());
        assert!(!folder.path().join("work").exists());
    }

    #[test]
    fn a_changed_or_missing_output_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(verify(folder.path()).expect("reads").len(), 1);
        run(&request(folder.path()));
        let release = folder.path().join("repositories/apt/dists/stable/Release");
        files::write(&release, b"changed").expect("writes");
        assert_eq!(
            verify(folder.path()).expect("reads"),
            ["`repositories` has another hash"]
        );
        files::remove(&folder.path().join("repositories/apt")).expect("removes");
        assert_eq!(run(&request(folder.path())).len(), 2);
        assert!(verify(folder.path()).expect("reads").is_empty());
    }

    #[test]
    fn keys_are_served_where_the_manifest_says() {
        let folder = tempfile::tempdir().expect("a folder");
        run(&request(folder.path()));
        let manifest: Manifest = read_json(&folder.path().join(manifest::FILE)).expect("written");
        assert_eq!(
            manifest
                .keys
                .iter()
                .map(|key| key.name.as_str())
                .collect::<Vec<_>>(),
            ["apt", "evil", "rpm"]
        );
        let armored = files::read(
            &folder
                .path()
                .join("repositories")
                .join(&manifest.keys[0].armored_path),
        )
        .expect("served");
        assert!(armored.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"));
    }
}
