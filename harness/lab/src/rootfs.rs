//! Makes a root file system of fetched Debian packages, takes Debian itself out of
//! it again, and packs it as an image.
//!
//! mmdebstrap installs, from a folder of exactly the fetched packages: the same
//! packages give the same tree. Programs of the new system run without network
//! and in a process namespace of their own, so nothing stays running.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data::Rules;
use crate::deb;
use crate::deb::payload::{Entry, Node};
use crate::files::{self, FileError, at};
use crate::process::{ProcessError, run};
use crate::resolve::{PackageSet, ResolveError, debs, read_verified};
use crate::sign::BUILD_TIME;

/// Folders whose contents are made by the engine or by running programs.
const EMPTIED: [&str; 7] = ["boot", "dev", "proc", "run", "sys", "tmp", "var/tmp"];
/// Folders that lose their files; their folders belong to packages.
const WITHOUT_FILES: [&str; 2] = ["var/cache", "var/log"];
/// What differs from build to build, or is Debian's own state.
const REMOVED: [&str; 12] = [
    "etc/.pwd.lock",
    "etc/apt",
    "etc/group-",
    "etc/gshadow-",
    "etc/hostname",
    "etc/machine-id",
    "etc/passwd-",
    "etc/resolv.conf",
    "etc/shadow-",
    "usr/share/debconf",
    "var/lib/apt",
    "var/lib/dpkg",
];

/// A root file system that could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootfsError {
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A package could not be read.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A package is faulty.
    #[error("cannot read a package: {0}")]
    Deb(#[from] deb::DebError),
    /// The system has a file that an image cannot hold.
    #[error("the root file system has `{0}`, which is neither file, folder nor link")]
    Special(String),
}

/// Installs the image's packages into a new folder `root` below `work`.
///
/// # Errors
/// `RootfsError`.
pub(crate) fn install(cache: &Path, set: &PackageSet, work: &Path) -> Result<PathBuf, RootfsError> {
    let archive = work.join("archive");
    files::create_folder(&archive)?;
    let mut index = String::new();
    for package in &set.image {
        let bytes = read_verified(cache, package)?;
        let mut control = deb::read_control(&bytes)?;
        control.set("Filename", &format!("./{}", package.file));
        control.set("Size", &bytes.len().to_string());
        control.set("SHA256", &package.sha256);
        index.push_str(&control.render());
        index.push('\n');
        let copy = archive.join(&package.file);
        std::fs::hard_link(debs(cache).join(&package.file), &copy).map_err(at("link", &copy))?;
    }
    files::write(&archive.join("Packages"), index.as_bytes())?;
    let names: Vec<&str> = set
        .image
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let root = work.join("root");
    let mut command = Command::new("mmdebstrap");
    command
        .args([
            "--mode=root",
            "--variant=custom",
            "--format=directory",
            "--architectures=amd64",
        ])
        .arg(format!("--include={}", names.join(",")))
        .args([
            "--aptopt=Acquire::Languages \"none\"",
            "--aptopt=APT::Install-Recommends \"false\"",
            "--aptopt=APT::Sandbox::User \"root\"",
        ])
        // A tree that is thrown away if the machine stops needs no flushing.
        .arg("--dpkgopt=force-unsafe-io")
        .arg(&set.suite)
        .arg(&root)
        .arg(format!("deb [trusted=yes] {} ./", copy_uri(&archive)))
        .env("SOURCE_DATE_EPOCH", BUILD_TIME.to_string())
        .env("LC_ALL", "C")
        .env("TMPDIR", work);
    run(&mut command)?;
    Ok(root)
}

/// Takes the paths in `gone` that are not in `kept`, documentation and traces of the build out of
/// a root. Not all of `gone` needs to be there.
///
/// # Errors
/// `RootfsError`.
pub(crate) fn strip(
    root: &Path,
    kept: &BTreeSet<String>,
    gone: &BTreeSet<String>,
    rules: &Rules,
) -> Result<(), RootfsError> {
    remove_files(root)?;
    let [alternatives, kept_alternatives] = crate::layer::ALTERNATIVES.map(|path| root.join(path));
    if alternatives.is_dir() {
        std::fs::rename(&alternatives, &kept_alternatives).map_err(at("rename", &alternatives))?;
    }
    // Longest first, so that a folder is empty when its turn comes.
    for path in gone.iter().rev().filter(|path| !kept.contains(*path)) {
        let path = root.join(path);
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {
                // Python compiled what its packages brought.
                files::remove(&path.join("__pycache__"))?;
                // A folder that still holds something stays.
                let _ = std::fs::remove_dir(&path);
            }
            Ok(_) => files::remove(&path)?,
            Err(_) => {}
        }
    }
    for file in REMOVED {
        files::remove(&root.join(file))?;
    }
    for path in files::tree(root)? {
        if rules.excluded(&path) {
            files::remove(&root.join(&path))?;
        }
    }
    // What asks for the POSIX shell gets bash, as on Fedora and Arch.
    let shell = root.join("usr/bin/sh");
    files::remove(&shell)?;
    std::os::unix::fs::symlink("bash", &shell).map_err(at("link", &shell))?;
    files::write(&root.join("etc/machine-id"), b"")?;
    Ok(())
}

/// Writes the entries of a package into a root, as its manager would.
///
/// # Errors
/// `RootfsError`.
pub(crate) fn place(root: &Path, entries: &[Entry]) -> Result<(), RootfsError> {
    for entry in entries {
        let path = root.join(&entry.path);
        match &entry.node {
            Node::Directory => files::create_folder(&path)?,
            Node::File(contents) => {
                files::write(&path, contents)?;
                set_mode(&path, entry.mode)?;
                set_time(&path)?;
            }
            Node::Symlink(target) => {
                if let Some(parent) = path.parent() {
                    files::create_folder(parent)?;
                }
                files::remove(&path)?;
                std::os::unix::fs::symlink(target, &path).map_err(at("link", &path))?;
            }
            Node::Hardlink(target) => {
                files::remove(&path)?;
                std::fs::hard_link(root.join(target), &path).map_err(at("link", &path))?;
            }
        }
    }
    Ok(())
}

/// Runs a program of the new system: no network, own processes, fixed time.
///
/// # Errors
/// `RootfsError` when it does not end with 0.
pub(crate) fn run_inside(root: &Path, words: &[&str]) -> Result<Vec<u8>, RootfsError> {
    let mut command = Command::new("unshare");
    let mut new_root = std::ffi::OsString::from("--root=");
    new_root.push(root);
    command
        // The mount of /proc lives in the namespace and ends with it.
        .args([
            "--mount",
            "--pid",
            "--net",
            "--ipc",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .arg(new_root)
        .arg("--")
        .args(words)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("HOME", "/root")
        .env("LC_ALL", "C")
        .env("SOURCE_DATE_EPOCH", BUILD_TIME.to_string());
    Ok(run(&mut command)?)
}

/// Packs a root as an image: sorted, times no later than `BUILD_TIME`, numeric owners.
///
/// # Errors
/// `RootfsError`.
pub(crate) fn pack(root: &Path, image: &Path) -> Result<(), RootfsError> {
    let file = File::create(image).map_err(at("create", image))?;
    let mut builder = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
    let mut linked: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for path in files::tree(root)? {
        let full = root.join(&path);
        let found = full.symlink_metadata().map_err(at("inspect", &full))?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(found.mode() & 0o7777);
        header.set_uid(u64::from(found.uid()));
        header.set_gid(u64::from(found.gid()));
        header.set_size(0);
        header.set_mtime(
            u64::try_from(found.mtime())
                .unwrap_or(0)
                .min(u64::from(BUILD_TIME)),
        );
        let fault = at("pack", &full);
        let first = linked.get(&(found.dev(), found.ino()));
        if found.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mtime(u64::from(BUILD_TIME));
            builder
                .append_data(&mut header, format!("{path}/"), std::io::empty())
                .map_err(fault)?;
        } else if found.is_symlink() {
            let target = std::fs::read_link(&full).map_err(at("read", &full))?;
            header.set_entry_type(tar::EntryType::Symlink);
            builder
                .append_link(&mut header, &path, target)
                .map_err(fault)?;
        } else if let Some(first) = first {
            header.set_entry_type(tar::EntryType::Link);
            builder
                .append_link(&mut header, &path, first)
                .map_err(fault)?;
        } else if found.is_file() {
            if found.nlink() > 1 {
                linked.insert((found.dev(), found.ino()), path.clone());
            }
            header.set_size(found.len());
            let contents = File::open(&full).map_err(at("open", &full))?;
            builder
                .append_data(&mut header, &path, contents)
                .map_err(fault)?;
        } else {
            return Err(RootfsError::Special(path));
        }
    }
    let mut writer = builder.into_inner().map_err(at("pack", image))?;
    writer.flush().map_err(at("write", image))?;
    let file = writer
        .into_inner()
        .map_err(|error| at("write", image)(error.into_error()))?;
    file.sync_all().map_err(at("write", image))?;
    Ok(())
}

/// Empties the folders that an image has no contents for; the last step before packing.
///
/// # Errors
/// `RootfsError`.
pub(crate) fn empty_volatile(root: &Path) -> Result<(), RootfsError> {
    for folder in EMPTIED {
        empty(&root.join(folder))?;
    }
    remove_files(root)
}

fn remove_files(root: &Path) -> Result<(), RootfsError> {
    for folder in WITHOUT_FILES.map(|folder| root.join(folder)) {
        for path in files::tree(&folder)? {
            let path = folder.join(path);
            if !path
                .symlink_metadata()
                .map_err(at("inspect", &path))?
                .is_dir()
            {
                files::remove(&path)?;
            }
        }
    }
    Ok(())
}

/// The address of a folder for apt's `copy` method.
fn copy_uri(folder: &Path) -> String {
    let mut uri = String::from("copy://");
    for byte in folder.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

fn empty(folder: &Path) -> Result<(), FileError> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(at("list", folder))? {
        files::remove(&entry.map_err(at("list", folder))?.path())?;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).map_err(at("change the mode of", path))
}

fn set_time(path: &Path) -> Result<(), FileError> {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(BUILD_TIME));
    let file = File::options()
        .write(true)
        .open(path)
        .map_err(at("open", path))?;
    file.set_modified(time).map_err(at("set the time of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(copy_uri(Path::new("/a b/c%")), "copy:///a%20b/c%25");
    }

    #[test]
    fn packing_depends_on_the_contents_alone() {
        let pack_one = |reverse: bool| {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().join("root");
            let mut entries = vec![
                Entry::of_root("a/file", Node::File(b"x".to_vec()), 0o4755, 0),
                Entry::of_root("b/link", Node::Symlink("../a/file".to_owned()), 0o777, 0),
            ];
            if reverse {
                entries.reverse();
            }
            place(&root, &entries).expect("places");
            place(
                &root,
                &[Entry::of_root(
                    "a/hard",
                    Node::Hardlink("a/file".to_owned()),
                    0o755,
                    0,
                )],
            )
            .expect("places");
            let image = folder.path().join("image.tar");
            pack(&root, &image).expect("packs");
            files::read(&image).expect("is there")
        };
        let bytes = pack_one(false);
        assert_eq!(bytes, pack_one(true));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<(String, u32)> = archive
            .entries()
            .expect("an archive")
            .map(|entry| entry.expect("an entry"))
            .map(|entry| {
                (
                    entry.path().expect("a path").to_string_lossy().into_owned(),
                    entry.header().mode().expect("a mode"),
                )
            })
            .collect();
        assert_eq!(entries[1], ("a/file".to_owned(), 0o4755));
        assert_eq!(entries.len(), 5);
    }
}
