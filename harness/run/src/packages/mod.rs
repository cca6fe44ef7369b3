//! The packages that came into a sandbox: each is read from its own bytes, and who vouches for it is
//! checked, once nothing runs in the sandbox any more.
//!
//! Only the runner's own eyes count here: bodies as the proxy answered them, keys as the recipe declares
//! them or the image held them before anything ran. What a package then explains is `observe`'s to say.
//! Nothing here fails a cell: what cannot be read says so, and explains nothing.
//!
//! Reading is expensive, so what was read is kept in the store by the hash of what it was read from
//! ([`contents`], [`lists`]); who vouches for it is asked anew each time ([`roots`], [`own`]).

mod arrived;
mod contents;
mod lists;
mod own;
mod roots;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use assay_content::proxy::{Keeping, Proxy};
use assay_content::store::Store;
use assay_packages::contents::PackageFormat;
use assay_packages::role::Role;
use assay_wire::digest::Digest;
use assay_wire::package::{Chain, PackageCame};
use assay_wire::plan::Content;

pub(crate) use self::arrived::{Arrivals, Arrived};
use self::lists::Lists;
use crate::fault::Fault;

/// The longest that the packages of one cell are read. What is not read by then explains nothing.
const LONGEST: Duration = Duration::from_secs(600);

/// What reads packages, for all cells of a run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PackageReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    proxy: Proxy,
    /// What is being read, so that two cells do not read the same at once.
    busy: Mutex<BTreeMap<Digest, Arc<Mutex<()>>>>,
}

/// What a sandbox was given, and what became of it.
#[derive(Debug)]
pub(crate) struct Given {
    /// What it asked for and got whole, in that order, as far as its name says that it is of packages.
    pub(crate) arrived: Vec<Arrived>,
    /// What its plan declares: packages and keys among it.
    pub(crate) declared: Vec<Content>,
    /// The image's own files of keys, by their escaped paths.
    pub(crate) keyrings: BTreeMap<String, Vec<u8>>,
    /// The paths that any manifest shows as changed ([`assay_wire::package::merged_path`]).
    pub(crate) changed: BTreeSet<String>,
    /// The time, in seconds since 1970.
    pub(crate) now: u64,
}

/// A package that is to be told.
struct Wanted<'g> {
    arrived: &'g Arrived,
    format: PackageFormat,
}

impl PackageReader {
    /// What a proxy is to keep in this store, so that it can be read here later.
    #[must_use]
    pub fn keeping(store: Store) -> Keeping {
        Keeping {
            store,
            wanted: Role::is_any,
        }
    }

    /// Reads what this proxy answered and this store keeps.
    #[must_use]
    pub fn new(store: Arc<Store>, proxy: Proxy) -> Self {
        let busy = Mutex::default();
        let shared = Shared { store, proxy, busy };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The packages of a cell, each once, in the order they came. Dropping the future ends the reading.
    ///
    /// # Errors
    /// Reading panicked.
    pub(crate) async fn read(&self, given: Given) -> Result<Vec<PackageCame>, Fault> {
        let (shared, stop) = (Arc::clone(&self.shared), Stop::default());
        let _ends_with_this = StopsWhenDropped(stop.clone());
        let reads = stop.clone();
        let mut reading =
            tokio::task::spawn_blocking(move || Reading::new(&shared, &given, &reads).told());
        let read = tokio::select! {
            read = &mut reading => read,
            () = tokio::time::sleep(LONGEST) => {
                stop.stop();
                reading.await
            }
        };
        read.map_err(|panicked| Fault::lost(format!("reading its packages broke: {panicked}")))
    }
}

/// The packages of one cell while they are read.
struct Reading<'r> {
    shared: &'r Shared,
    given: &'r Given,
    stop: &'r Stop,
}

impl<'r> Reading<'r> {
    fn new(shared: &'r Shared, given: &'r Given, stop: &'r Stop) -> Self {
        Self {
            shared,
            given,
            stop,
        }
    }

    fn told(&self) -> Vec<PackageCame> {
        let declared = arrived::declared(self.given, &self.shared.store);
        let packages = wanted(self.given.arrived.iter().chain(&declared));
        if packages.is_empty() {
            return Vec::new();
        }
        let certificates = roots::certificates(self);
        let roots = roots::roots(self, &certificates);
        // Both take long where they were not read before, and neither needs the other.
        let (lists, contents) = thread::scope(|scope| {
            let lists = scope.spawn(|| Lists::read(self, &roots));
            let contents = each(&packages, |package| contents::content(self, package));
            (lists.join().unwrap_or_default(), contents)
        });
        let chains = each(&packages, |package| Chain {
            own: own::signature(self, package, &certificates, &lists),
            index: roots::index(&roots, &lists, &package.arrived.sha256),
        });
        let told = packages.into_iter().zip(contents).zip(chains);
        told.map(|((package, content), chain)| PackageCame {
            op: package.arrived.op,
            url: package.arrived.url.clone(),
            sha256: package.arrived.sha256,
            bytes: package.arrived.bytes,
            content,
            chain,
        })
        .collect()
    }

    /// Opens what came; an error in words.
    fn open(&self, arrived: &Arrived) -> Result<impl Read + use<'r>, String> {
        let file = self.open_file(arrived)?;
        let stop = self.stop;
        Ok(Stoppable { bytes: file, stop })
    }

    /// The same, to be read more than once.
    fn open_file(&self, arrived: &Arrived) -> Result<File, String> {
        if self.stop.is_stopped() {
            return Err(NOT_IN_TIME.to_owned());
        }
        let opened = match arrived.is_declared {
            true => self
                .shared
                .store
                .open_verified(&arrived.sha256)
                .map_err(io::Error::other),
            false => self.shared.proxy.open(&arrived.url, &arrived.sha256),
        };
        match opened {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err("its bytes are not to be had any more".to_owned()),
            Err(error) => Err(format!("its bytes cannot be read: {error}")),
        }
    }

    /// The bytes of something small; `None` if they are not to be had, or are too many.
    fn small(&self, arrived: &Arrived, most: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = self.open(arrived).ok()?;
        file.take(most + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= most).then_some(bytes)
    }
}

impl Shared {
    /// The right to read something, of which there is one.
    fn turn(&self, of: &Digest) -> Arc<Mutex<()>> {
        Arc::clone(lock(&self.busy).entry(*of).or_default())
    }
}

/// The packages among what came, each once.
fn wanted<'g>(arrived: impl Iterator<Item = &'g Arrived>) -> Vec<Wanted<'g>> {
    let mut seen = BTreeSet::new();
    arrived
        .filter_map(|arrived| match arrived.role {
            Role::Package(format) => Some(Wanted { arrived, format }),
            Role::Signature
            | Role::InRelease
            | Role::Release
            | Role::Packages
            | Role::Repomd
            | Role::Primary
            | Role::Database => None,
        })
        .filter(|wanted| seen.insert(wanted.arrived.sha256))
        .collect()
}

/// Does the same with every item, on as many threads as there are cores; the results in their order.
fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else {
                        return;
                    };
                    let result = work(item);
                    lock(&done).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Why what takes too long, or nobody waits for any more, is not read to its end.
const NOT_IN_TIME: &str = "it was not read in time";

/// Whether reading is to end.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct StopsWhenDropped(Stop);

impl Drop for StopsWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Bytes that end in an error once reading is to end.
struct Stoppable<'s, R> {
    bytes: R,
    stop: &'s Stop,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Err(io::Error::other(NOT_IN_TIME));
        }
        self.bytes.read(buffer)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
