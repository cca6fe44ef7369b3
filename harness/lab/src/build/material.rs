//! What an image is built from, and helpers that both image builders share.
//!
//! `super` decides what is built; `crate::fedora::image` and `crate::arch::image` build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::BuildError;
use crate::convert::{InImage, Package, convert};
use crate::data::{Definition, Rules};
use crate::deb::payload::Entry;
use crate::deb::{self, Deb};
use crate::dialect::Dialect;
use crate::made_up::{self, release_package};
use crate::resolve::{Fetched, PackageSet, read_verified};
use crate::sign::Key;
use crate::{files, layer, rootfs};

/// Where packages wait inside a root while they are registered.
const INBOX: &str = "lab-inbox";

/// The packages of an image and its repository, read and checked.
#[derive(Debug)]
pub(crate) struct Material {
    /// The cache folder.
    pub(crate) cache: PathBuf,
    /// Which packages they are.
    pub(crate) set: PackageSet,
    /// All of them, by Debian name.
    pub(crate) debs: BTreeMap<String, Deb>,
}

impl Material {
    /// Reads and checks every package.
    ///
    /// # Errors
    /// `BuildError` when one is missing, changed or faulty.
    pub(crate) fn read(cache: &Path, set: &PackageSet) -> Result<Self, BuildError> {
        let all: Vec<&Fetched> = set.image.iter().chain(&set.repository).collect();
        let debs = each(&all, |package| -> Result<_, BuildError> {
            let bytes = read_verified(cache, package)?;
            Ok((package.name.clone(), deb::read(&bytes)?))
        })?;
        Ok(Self {
            cache: cache.to_owned(),
            set: set.clone(),
            debs: debs.into_iter().collect(),
        })
    }

    /// Begins an image in a work folder: its root with the files of its packages, Debian's own taken
    /// away, and the release package with the target's files and these. Packages are written while
    /// the root is made; the function gets each with the names of those in the image.
    ///
    /// # Errors
    /// `BuildError` when a file cannot be written or a package cannot be converted.
    pub(crate) fn begin<W: Send, E: Send + Into<BuildError>>(
        self,
        definition: &Definition,
        rules: &Rules,
        dialect: &Dialect<'_>,
        work: &Path,
        more: Vec<Entry>,
        write: impl Fn(&Package, &BTreeSet<String>) -> Result<W, E> + Sync,
    ) -> Result<(Begun, Vec<W>), BuildError> {
        let image = self.in_image(rules);
        let mut extra = layer::entries(self.debs.get("dpkg"), &rules.no_ops);
        extra.extend(more);
        let (kept, gone) = paths(&self.debs, &image.installed);
        let debs = self.debs.into_values().collect();
        let mut packages = convert(debs, rules, dialect, &image)?;
        for meta in &definition.meta {
            packages.push(made_up::package(meta.clone())?);
        }
        let names = image.installed.iter();
        let in_image: BTreeSet<String> = names.map(|name| dialect.name(name).to_owned()).collect();
        let packaged = |path: &str| {
            let mut there = packages
                .iter()
                .filter(|package| in_image.contains(&package.name));
            there.any(|package| package.entries.iter().any(|entry| entry.path == path))
        };
        let release = release_package(definition, packaged, extra)?;
        packages.push(release);

        let (root, written) = std::thread::scope(|scope| {
            // It keeps one core busy at most, and the disk.
            let root = scope.spawn(|| -> Result<PathBuf, BuildError> {
                let root = rootfs::install(&self.cache, &self.set, work)?;
                rootfs::strip(&root, &kept, &gone, rules)?;
                Ok(root)
            });
            let written = each(&packages, |package| write(package, &in_image));
            let root = root
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (root, written)
        });
        let (root, written) = (root?, written.map_err(Into::into)?);
        if let Some(release) = packages.last() {
            rootfs::place(&root, &release.entries)?;
        }
        let begun = Begun {
            root,
            packages,
            in_image,
        };
        Ok((begun, written))
    }

    fn in_image(&self, rules: &Rules) -> InImage {
        let omitted: BTreeSet<String> = self.set.omitted.iter().cloned().collect();
        let names = self.set.image.iter().map(|package| package.name.clone());
        let installed = names
            .filter(|name| !rules.debian_only.contains(name) && !omitted.contains(name))
            .collect();
        InImage { installed, omitted }
    }
}

/// The paths of the packages named by `installed`, and those of all others.
fn paths(
    debs: &BTreeMap<String, Deb>,
    installed: &BTreeSet<String>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let of = |wanted: bool| {
        let chosen = debs
            .iter()
            .filter(|(name, _)| installed.contains(*name) == wanted);
        chosen
            .flat_map(|(_, deb)| deb.entries.iter().map(|entry| entry.path.clone()))
            .collect()
    };
    (of(true), of(false))
}

/// An image that has its files, and no package manager that knows of them.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The root.
    pub(crate) root: PathBuf,
    /// The packages of the image and its repository; the release package is the last.
    pub(crate) packages: Vec<Package>,
    /// The names of those in the image, but for the release package.
    pub(crate) in_image: BTreeSet<String>,
}

impl Begun {
    /// Has the image's own manager register the packages that are in it: this command with their
    /// files as further words. `files` gives name and bytes of each package, in their order.
    ///
    /// # Errors
    /// `BuildError` when the command fails.
    pub(crate) fn register<'p>(
        &self,
        command: &[&str],
        files: impl Iterator<Item = (&'p str, &'p [u8])>,
    ) -> Result<(), BuildError> {
        let inbox = self.root.join(INBOX);
        let mut words: Vec<String> = command.iter().map(ToString::to_string).collect();
        let last = self.packages.len().saturating_sub(1);
        for (at, (package, (name, bytes))) in self.packages.iter().zip(files).enumerate() {
            if at == last || self.in_image.contains(&package.name) {
                files::write(&inbox.join(name), bytes)?;
                words.push(format!("/{INBOX}/{name}"));
            }
        }
        rootfs::run_inside(
            &self.root,
            &words.iter().map(String::as_str).collect::<Vec<_>>(),
        )?;
        Ok(files::remove(&inbox)?)
    }
}

/// Applies a function to every item on all cores; results in the order given.
///
/// # Errors
/// The first error, in the order given.
pub(crate) fn each<I: Sync, T: Send, E: Send>(
    items: &[I],
    write: impl Fn(&I) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut done: Vec<(usize, Result<T, E>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some(item) = items.get(at) else {
                            return done;
                        };
                        done.push((at, write(item)));
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Writes files below a folder.
///
/// # Errors
/// `BuildError` when one cannot be written.
pub(crate) fn write_repository(
    folder: &Path,
    contents: Vec<(String, Vec<u8>)>,
) -> Result<(), BuildError> {
    for (path, bytes) in contents {
        files::write(&folder.join(path), &bytes)?;
    }
    Ok(())
}

/// Writes the public key of a repository in both of its forms.
///
/// # Errors
/// `BuildError` when one cannot be written.
pub(crate) fn write_keys(folder: &Path, key: &Key) -> Result<(), BuildError> {
    let keys = [
        ("key.asc", key.public_armored()?),
        ("key.gpg", key.public_binary()?),
    ];
    write_repository(
        folder,
        keys.map(|(name, bytes)| (name.to_owned(), bytes)).into(),
    )
}
