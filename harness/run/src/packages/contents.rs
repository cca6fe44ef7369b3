//! What is in a package: read from its bytes once, kept whole in the store by their hash, and told as far
//! as a cell's manifests show that it came to be.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;

use assay_content::store::Maker;
use assay_packages::contents::{
    Capabilities, Owner, PackageContents, PackageFormat, PackagedFile, PackagedKind, read,
};
use assay_wire::digest::Digest;
use assay_wire::manifest::{EntryKind, escape_path};
use assay_wire::package::{
    MAX_PATHS, PackageContent, PackageRead, PackagedOwner, PackagedPath, PackagedScript,
    merged_path,
};

use super::{Reading, Wanted, lock};

/// Packages are read in pieces of this size.
const PIECE: usize = 256 << 10;

/// What is in a package, as far as the cell's manifests show a path of it.
pub(super) fn content(reading: &Reading<'_>, package: &Wanted<'_>) -> PackageContent {
    match whole(reading, package) {
        Ok(read) => PackageContent::Read(changed(read, &reading.given.changed)),
        Err(message) => PackageContent::Unreadable { message },
    }
}

fn changed(mut read: PackageRead, changed: &BTreeSet<String>) -> PackageRead {
    read.files
        .retain(|file| changed.contains(&*merged_path(&file.path)));
    read.files.truncate(MAX_PATHS);
    read
}

/// All that is in a package; why it cannot be read, in words.
fn whole(reading: &Reading<'_>, package: &Wanted<'_>) -> Result<PackageRead, String> {
    let (maker, sha256) = (maker(package.format), &package.arrived.sha256);
    let store = &reading.shared.store;
    let kept = || serde_json::from_slice(&store.derived(maker, sha256)?).ok();
    if let Some(kept) = kept() {
        return Ok(kept);
    }
    let turn = reading.shared.turn(sha256);
    let _alone = lock(&turn);
    // Another cell may have read it meanwhile.
    if let Some(kept) = kept() {
        return Ok(kept);
    }
    let bytes = BufReader::with_capacity(PIECE, reading.open(package.arrived)?);
    let contents = read(package.format, bytes).map_err(|error| error.to_string())?;
    let told = told(contents);
    if let Ok(bytes) = serde_json::to_vec(&told) {
        // Where it cannot be kept it is read again.
        let _ = store.keep_derived(maker, sha256, &bytes);
    }
    Ok(told)
}

/// A number that changes with what [`read`] and [`told`] make of a package.
fn maker(format: PackageFormat) -> Maker {
    Maker(match format {
        PackageFormat::Deb => "deb-contents-1",
        PackageFormat::Rpm => "rpm-contents-1",
        PackageFormat::Pacman => "pacman-contents-1",
    })
}

/// Contents in the words of the wire.
fn told(contents: PackageContents) -> PackageRead {
    let configuration: BTreeSet<Vec<u8>> = contents.configuration.into_iter().collect();
    // Other names of a file follow it, and have its hash.
    let mut hashes: BTreeMap<Vec<u8>, Digest> = BTreeMap::new();
    let total = contents.files.len() as u64;
    let mut files = Vec::with_capacity(contents.files.len());
    for file in contents.files {
        let sha256 = match &file.kind {
            PackagedKind::File { sha256, .. } => sha256.map(Digest::from_bytes),
            PackagedKind::Hardlink(other) => hashes.get(other).copied(),
            PackagedKind::Folder
            | PackagedKind::Symlink(_)
            | PackagedKind::Fifo
            | PackagedKind::Socket
            | PackagedKind::CharDevice
            | PackagedKind::BlockDevice
            | PackagedKind::Ghost => None,
        };
        if let Some(sha256) = sha256 {
            hashes.insert(file.path.clone(), sha256);
        }
        files.push(PackagedPath {
            path: escape_path(&file.path),
            kind: kind(&file),
            mode: file.mode,
            points_to: points_to(&file),
            configuration: configuration.contains(&file.path),
            user: owner(file.user),
            group: owner(file.group),
            sha256,
            capabilities: file.capabilities.map(capabilities),
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let scripts = contents.scripts.into_iter().map(|script| PackagedScript {
        phase: script.phase,
        interpreter: script.interpreter,
        sha256: Digest::from_bytes(script.sha256),
    });
    PackageRead {
        name: contents.name,
        version: contents.version,
        architecture: contents.architecture,
        files,
        total,
        scripts: scripts.collect(),
    }
}

fn kind(file: &PackagedFile) -> Option<EntryKind> {
    Some(match file.kind {
        PackagedKind::File { .. } | PackagedKind::Hardlink(_) => EntryKind::File,
        PackagedKind::Folder => EntryKind::Folder,
        PackagedKind::Symlink(_) => EntryKind::Symlink,
        PackagedKind::Fifo => EntryKind::Fifo,
        PackagedKind::Socket => EntryKind::Socket,
        PackagedKind::CharDevice => EntryKind::CharDevice,
        PackagedKind::BlockDevice => EntryKind::BlockDevice,
        PackagedKind::Ghost => return None,
    })
}

fn points_to(file: &PackagedFile) -> Option<String> {
    match &file.kind {
        PackagedKind::Symlink(to) => Some(escape_path(to)),
        PackagedKind::File { .. }
        | PackagedKind::Hardlink(_)
        | PackagedKind::Folder
        | PackagedKind::Fifo
        | PackagedKind::Socket
        | PackagedKind::CharDevice
        | PackagedKind::BlockDevice
        | PackagedKind::Ghost => None,
    }
}

fn owner(owner: Owner) -> PackagedOwner {
    PackagedOwner {
        name: owner.name,
        id: owner.id,
    }
}

fn capabilities(capabilities: Capabilities) -> String {
    match capabilities {
        Capabilities::Text(text) => text,
        Capabilities::Attribute(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            format!("0x{}", digits.collect::<String>())
        }
    }
}
