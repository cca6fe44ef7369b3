//! What an image is built from, and helpers that both image builders share.
//!
//! `super` decides what is built; `crate::fedora::image` and `crate::arch::image` build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::BuildError;
use crate::convert::{Dialect, Package, convert};
use crate::data::Rules;
use crate::deb::{self, Deb};
use crate::files;
use crate::resolve::{PackageSet, read_verified};

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
        let mut debs = BTreeMap::new();
        for package in set.image.iter().chain(&set.repository) {
            debs.insert(
                package.name.clone(),
                deb::read(&read_verified(cache, package)?)?,
            );
        }
        Ok(Self {
            cache: cache.to_owned(),
            set: set.clone(),
            debs,
        })
    }

    /// The packages of the repository whose maintainer scripts are left out.
    pub(crate) fn without_their_scripts(&self) -> Vec<&str> {
        let names = self
            .set
            .repository
            .iter()
            .map(|package| package.name.as_str());
        names
            .filter(|name| {
                self.debs
                    .get(*name)
                    .is_some_and(|deb| !deb.scripts.is_empty())
            })
            .collect()
    }

    /// Converts all packages; gives also the names of those in the image.
    ///
    /// # Errors
    /// `BuildError` when one cannot be converted.
    pub(crate) fn convert(
        self,
        rules: &Rules,
        dialect: &Dialect<'_>,
    ) -> Result<(Vec<Package>, BTreeSet<String>), BuildError> {
        let names = self
            .set
            .image
            .iter()
            .filter(|package| !rules.debian_only.contains(&package.name));
        let in_image = names
            .map(|package| dialect.name(&package.name).to_owned())
            .collect();
        let packages = convert(self.debs.into_values().collect(), rules, dialect)?;
        Ok((packages, in_image))
    }
}

/// Applies a function to every package on all cores; results in the order given.
///
/// # Errors
/// The first error, in the order given.
pub(crate) fn each<T: Send, E: Send>(
    packages: &[Package],
    write: impl Fn(&Package) -> Result<T, E> + Sync,
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
                        let Some(package) = packages.get(at) else {
                            return done;
                        };
                        done.push((at, write(package)));
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
