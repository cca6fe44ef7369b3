//! Who owns what, and which runs are alive.
//!
//! An [`OwnerId`] stands for one user's cache folder on one machine: only what carries it is ever
//! swept. A [`Lease`] is a file held by `flock(2)` for as long as a run lives: the kernel lets go
//! of it however the process ends, so a lease can be held by nobody but never lie.
//!
//! In the cache folder: `leases/<run>.lock`, `tmp/<run>/` (the run's temporary files).
//! Holders share the lock, so that a run and a shell into what it kept can live side by side; a
//! sweep takes it alone ([`Leases::claim`]) and nobody can start to use what it is removing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use assay_wire::digest::Digest;
use assay_wire::name::RunId;

use crate::error::SandboxError;

/// Whose a sandbox is: sha256 of the machine's id, the user's id and the cache folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnerId(Digest);

impl OwnerId {
    /// The owner with these three properties.
    #[must_use]
    pub fn of(machine: &str, uid: u32, cache: &Path) -> Self {
        let mut bytes = Vec::new();
        for part in [
            machine.trim().as_bytes(),
            uid.to_string().as_bytes(),
            cache.as_os_str().as_encoded_bytes(),
        ] {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
        Self(Digest::of(&bytes))
    }

    /// The owner of a cache folder on this machine. The machine's id is that of machine-id(5);
    /// where it has none (most containers) a random one is made up once and kept in the cache
    /// folder, so that two containers at one engine are two owners.
    ///
    /// # Errors
    /// [`SandboxError::Storage`] if the folder cannot be used.
    pub fn of_this_machine(cache: &Path) -> Result<Self, SandboxError> {
        std::fs::create_dir_all(cache)
            .map_err(|error| SandboxError::storage("create", cache, &error))?;
        let cache = cache
            .canonicalize()
            .map_err(|error| SandboxError::storage("resolve", cache, &error))?;
        let machine = match std::fs::read_to_string("/etc/machine-id") {
            Ok(id) if Self::is_machine_id(&id) => id,
            Ok(_) | Err(_) => made_up_machine_id(&cache)?,
        };
        Ok(Self::of(
            &machine,
            rustix::process::getuid().as_raw(),
            &cache,
        ))
    }

    /// machine-id(5): 32 lower-case hex digits. A fresh image holds `uninitialized` or nothing.
    fn is_machine_id(text: &str) -> bool {
        let text = text.trim();
        text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

impl std::fmt::Display for OwnerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

fn made_up_machine_id(cache: &Path) -> Result<String, SandboxError> {
    let path = cache.join("machine-id");
    let storage =
        |operation, error: std::io::Error| SandboxError::storage(operation, &path, &error);
    match std::fs::read_to_string(&path) {
        Ok(id) if OwnerId::is_machine_id(&id) => return Ok(id),
        Ok(_) => {
            return Err(storage(
                "use",
                std::io::Error::other("it holds no machine id; remove it"),
            ));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(storage("read", error)),
    }
    let mut random = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(|error| SandboxError::storage("read", "/dev/urandom", &error))?;
    let id = Digest::of(&random).to_string()[..32].to_owned();
    // A link never replaces: of two processes that make one up at once, the first one's counts.
    let draft = cache.join(format!(".machine-id.{}", std::process::id()));
    File::create(&draft)
        .and_then(|mut file| file.write_all(id.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| SandboxError::storage("write", &draft, &error))?;
    let linked = std::fs::hard_link(&draft, &path);
    let _ = std::fs::remove_file(&draft);
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(storage("create", error)),
    }
    std::fs::read_to_string(&path).map_err(|error| storage("read", error))
}

/// The leases of one cache folder.
#[derive(Debug, Clone)]
pub struct Leases {
    cache: PathBuf,
}

impl Leases {
    /// The leases of a cache folder; nothing is touched yet.
    #[must_use]
    pub fn of(cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
        }
    }

    /// Says that a run is alive for as long as the result lives. It waits for a sweep of that
    /// very run to end; a fresh run never waits.
    ///
    /// # Errors
    /// [`SandboxError::Storage`] if the file cannot be made or locked.
    pub fn acquire(&self, run: &RunId) -> Result<Lease, SandboxError> {
        let path = self.lock_path(run);
        loop {
            let file = self.open(&path)?;
            file.lock_shared()
                .map_err(|error| SandboxError::storage("lock", &path, &error))?;
            if is_same_file(&file, &path) {
                return Ok(Lease {
                    run: run.clone(),
                    folder: self.run_folder(run),
                    path,
                    file,
                });
            }
            // A sweep removed the file between opening and locking it.
        }
    }

    /// True if somebody holds the run's lease.
    ///
    /// # Errors
    /// [`SandboxError::Storage`] if the file cannot be read.
    pub fn is_alive(&self, run: &RunId) -> Result<bool, SandboxError> {
        let path = self.lock_path(run);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(SandboxError::storage("open", &path, &error)),
        };
        Ok(!try_lock(&file, &path)?)
    }

    /// Takes a dead run for oneself; `None` if it is alive, or somebody else has just taken it.
    ///
    /// # Errors
    /// [`SandboxError::Storage`] if the file cannot be made or locked.
    pub(crate) fn claim(&self, run: &RunId) -> Result<Option<Claim>, SandboxError> {
        let path = self.lock_path(run);
        let file = self.open(&path)?;
        if !try_lock(&file, &path)? || !is_same_file(&file, &path) {
            return Ok(None);
        }
        Ok(Some(Claim {
            folder: self.run_folder(run),
            path,
            _lock: file,
        }))
    }

    /// Every run that has a lease file or a folder of temporary files, dead or alive, in order.
    ///
    /// # Errors
    /// [`SandboxError::Storage`] if the cache folder cannot be read.
    pub fn runs(&self) -> Result<std::collections::BTreeSet<RunId>, SandboxError> {
        let mut runs = std::collections::BTreeSet::new();
        for (folder, suffix) in [
            (self.cache.join("leases"), ".lock"),
            (self.cache.join("tmp"), ""),
        ] {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(SandboxError::storage("read", &folder, &error)),
            };
            for entry in entries {
                let entry =
                    entry.map_err(|error| SandboxError::storage("read", &folder, &error))?;
                // A name outside the grammar of a run was not made here.
                let run = entry
                    .file_name()
                    .to_str()
                    .and_then(|name| name.strip_suffix(suffix))
                    .and_then(|name| RunId::from_str(name).ok());
                runs.extend(run);
            }
        }
        Ok(runs)
    }

    fn open(&self, path: &Path) -> Result<File, SandboxError> {
        let folder = self.cache.join("leases");
        std::fs::create_dir_all(&folder)
            .map_err(|error| SandboxError::storage("create", &folder, &error))?;
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| SandboxError::storage("open", path, &error))
    }

    fn lock_path(&self, run: &RunId) -> PathBuf {
        self.cache.join("leases").join(format!("{run}.lock"))
    }

    fn run_folder(&self, run: &RunId) -> PathBuf {
        self.cache.join("tmp").join(run.as_str())
    }
}

/// A run that is alive. Dropping it removes the run's temporary files and its lease.
#[derive(Debug)]
pub struct Lease {
    run: RunId,
    folder: PathBuf,
    path: PathBuf,
    file: File,
}

impl Lease {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The folder of the run's temporary files, made if it is not there.
    ///
    /// # Errors
    /// [`SandboxError::Storage`] if it cannot be made.
    pub fn folder(&self) -> Result<&Path, SandboxError> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| SandboxError::storage("create", &self.folder, &error))?;
        Ok(&self.folder)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The lock cannot be made exclusive without letting go of it for a moment, in which a
        // sweep may take over: it does the same work then.
        let Ok(file) = File::open(&self.path) else {
            return;
        };
        let _ = self.file.unlock();
        if matches!(file.try_lock(), Ok(())) && is_same_file(&file, &self.path) {
            let _ = std::fs::remove_dir_all(&self.folder);
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A dead run whose remains its holder alone may remove.
#[derive(Debug)]
pub(crate) struct Claim {
    folder: PathBuf,
    path: PathBuf,
    _lock: File,
}

impl Claim {
    /// Removes the run's temporary files, then its lease file.
    pub(crate) fn remove_files(self) -> Result<(), SandboxError> {
        for (removed, path) in [
            (std::fs::remove_dir_all(&self.folder), &self.folder),
            (std::fs::remove_file(&self.path), &self.path),
        ] {
            match removed {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(SandboxError::storage("remove", path, &error)),
            }
        }
        Ok(())
    }
}

/// Takes the lock for oneself without waiting; false if anybody else has it.
fn try_lock(file: &File, path: &Path) -> Result<bool, SandboxError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(SandboxError::storage("lock", path, &error)),
    }
}

/// Whether a path still leads to an open file: a lock on a removed file locks nobody out.
fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(found)) => (open.dev(), open.ino()) == (found.dev(), found.ino()),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> RunId {
        name.parse().expect("a run id")
    }

    fn cache() -> (tempfile::TempDir, Leases) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let leases = Leases::of(folder.path());
        (folder, leases)
    }

    #[test]
    fn each_property_of_an_owner_counts() {
        let owner = OwnerId::of("m", 1, Path::new("/c"));
        assert_eq!(owner, OwnerId::of("m\n", 1, Path::new("/c")));
        for other in [
            OwnerId::of("n", 1, Path::new("/c")),
            OwnerId::of("m", 2, Path::new("/c")),
            OwnerId::of("m", 1, Path::new("/d")),
            OwnerId::of("m1", 1, Path::new("/c")),
        ] {
            assert_ne!(owner, other);
        }
        assert_eq!(owner.to_string().len(), 64);
    }

    #[test]
    fn an_owner_stays_the_same_however_its_folder_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = folder.path().join("a/assay");
        let first = OwnerId::of_this_machine(&cache).expect("an owner");
        let again = OwnerId::of_this_machine(&folder.path().join("a/../a/assay"));
        assert_eq!(again, Ok(first));
        let other = OwnerId::of_this_machine(&folder.path().join("b"));
        assert_ne!(other, Ok(first));
    }

    #[test]
    fn a_made_up_machine_id_is_made_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let id = made_up_machine_id(folder.path()).expect("an id");
        assert!(OwnerId::is_machine_id(&id));
        assert_eq!(made_up_machine_id(folder.path()), Ok(id));
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["machine-id"]);
        std::fs::write(folder.path().join("machine-id"), "x").expect("a bad id");
        let error = made_up_machine_id(folder.path()).expect_err("a bad id");
        assert!(error.to_string().contains("remove it"), "{error}");
    }

    #[test]
    fn a_run_is_alive_while_its_lease_lives() {
        let (_folder, leases) = cache();
        let run = run("r-1");
        assert_eq!(leases.is_alive(&run), Ok(false));
        let lease = leases.acquire(&run).expect("a lease");
        assert_eq!(leases.is_alive(&run), Ok(true));
        assert!(leases.claim(&run).expect("a test").is_none());
        std::fs::write(lease.folder().expect("a folder").join("x"), "x").expect("a file");
        drop(lease);
        assert_eq!(leases.is_alive(&run), Ok(false));
        assert_eq!(leases.runs(), Ok([].into()), "lease and folder are gone");
    }

    #[test]
    fn what_two_hold_lives_until_both_let_go() {
        let (_folder, leases) = cache();
        let run = run("r-1");
        let first = leases.acquire(&run).expect("a lease");
        let second = leases.acquire(&run).expect("a second lease");
        drop(first);
        assert_eq!(leases.is_alive(&run), Ok(true));
        drop(second);
        assert_eq!(leases.is_alive(&run), Ok(false));
        assert_eq!(leases.runs(), Ok([].into()));
    }

    #[test]
    fn a_claimed_run_is_nobody_elses_and_leaves_nothing() {
        let (folder, leases) = cache();
        let run = run("r-1");
        std::fs::create_dir_all(folder.path().join("tmp/r-1/deep")).expect("a folder");
        std::fs::create_dir_all(folder.path().join("tmp/Not a run")).expect("a folder");
        assert_eq!(leases.runs(), Ok([run.clone()].into()));
        let claim = leases.claim(&run).expect("a claim").expect("a dead run");
        assert!(leases.claim(&run).expect("a claim").is_none());
        claim.remove_files().expect("to remove");
        assert_eq!(leases.runs(), Ok([].into()));
        assert!(folder.path().join("tmp/Not a run").exists());
    }

    #[test]
    fn who_waits_for_a_sweep_gets_a_lease_that_counts() {
        let (_folder, leases) = cache();
        let run = run("r-1");
        let claim = leases.claim(&run).expect("a claim").expect("a dead run");
        let waiting = std::thread::spawn({
            let (leases, run) = (leases.clone(), run.clone());
            move || leases.acquire(&run)
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished(), "it waits while the run is claimed");
        claim.remove_files().expect("to remove");
        let lease = waiting.join().expect("no panic").expect("a lease");
        assert_eq!(leases.is_alive(lease.run()), Ok(true));
    }

    #[test]
    fn a_lease_dies_with_its_process() {
        let (folder, leases) = cache();
        let lock = folder.path().join("leases/r-1.lock");
        let lease = leases.acquire(&run("r-1")).expect("a lease");
        drop(lease);
        std::fs::create_dir_all(folder.path().join("leases")).expect("a folder");
        std::fs::write(&lock, "").expect("a lease file");
        let mut holder = std::process::Command::new("flock")
            .args(["--no-fork", "--shared"])
            .arg(&lock)
            .args(["sh", "-c", "echo held; exec sleep 60"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("flock(1) of util-linux");
        let mut word = [0; 4];
        holder
            .stdout
            .as_mut()
            .expect("a pipe")
            .read_exact(&mut word)
            .expect("its word");
        assert_eq!(leases.is_alive(&run("r-1")), Ok(true));
        holder.kill().expect("to kill it");
        holder.wait().expect("its end");
        assert_eq!(leases.is_alive(&run("r-1")), Ok(false));
    }
}
