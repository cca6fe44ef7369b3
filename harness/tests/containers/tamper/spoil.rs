//! Repositories as they should be, and ways to spoil them.

use assay_lab::forge::{Forged, Format, TestKey};

use crate::stand::{Files, Manager};

/// Every made-up package, signed as a manager wants it.
pub(super) fn by_signer(manager: Manager) -> Forged<'static> {
    Forged::genuine(manager.format(), manager.signer())
}

pub(super) fn forged(repository: &Forged<'_>) -> Files {
    let files = repository.files().expect("a repository");
    let signer = match repository.format {
        Format::Apt => TestKey::Apt,
        Format::RpmMd => TestKey::Rpm,
        Format::Pacman(_) => TestKey::Arch,
    };
    with_key(files, signer)
}

pub(super) fn genuine(manager: Manager) -> Files {
    forged(&by_signer(manager))
}

/// With this key beside the files.
pub(super) fn with_key(mut files: Files, key: TestKey) -> Files {
    files.retain(|(name, _)| !is_key(name));
    files.push(("key.asc".to_owned(), key.public().expect("a key")));
    files
}

/// The genuine repository with these files spoiled.
pub(super) fn spoiled(
    manager: Manager,
    which: fn(&str) -> bool,
    how: fn(Vec<u8>) -> Vec<u8>,
) -> Files {
    let mut files = genuine(manager);
    let mut spoiled = 0;
    for (_, bytes) in files.iter_mut().filter(|(name, _)| which(name)) {
        *bytes = how(std::mem::take(bytes));
        spoiled += 1;
    }
    assert!(spoiled > 0, "there is nothing to spoil");
    files
}

/// The genuine repository without these files.
pub(super) fn without(manager: Manager, which: fn(&str) -> bool) -> Files {
    let mut files = genuine(manager);
    files.retain(|(name, _)| !which(name));
    files
}

/// The genuine repository, served at this place, with these files redirected to http, where they are
/// as they should be.
pub(super) fn redirected(manager: Manager, place: &str, which: fn(&str) -> bool) -> Files {
    let mut files = genuine(manager);
    let mut elsewhere = Vec::new();
    for (name, bytes) in files.iter_mut().filter(|(name, _)| which(name)) {
        let there = format!("elsewhere/{name}");
        let location = format!("http://packages.assay.test/{place}/{there}");
        elsewhere.push((there, std::mem::replace(bytes, location.into_bytes())));
        name.push_str(".redirect");
    }
    assert!(!elsewhere.is_empty(), "there is nothing to redirect");
    files.extend(elsewhere);
    files
}

pub(super) fn is_package(path: &str) -> bool {
    path.contains("assay-hello") && !path.ends_with(".sig")
}

pub(super) fn is_index(path: &str) -> bool {
    ["/Packages", "/Packages.gz", "-primary.xml.gz"]
        .iter()
        .any(|end| path.ends_with(end))
        || path == "lab.db"
}

pub(super) fn is_root(path: &str) -> bool {
    path.ends_with("/InRelease") || path == "repodata/repomd.xml"
}

pub(super) fn is_key(path: &str) -> bool {
    path == "key.asc"
}

pub(super) fn flip(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

pub(super) fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// A word that nothing depends on, so that the file stays what it is in all but its signature.
pub(super) fn change_a_word(bytes: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(bytes).expect("text");
    let changed = text
        .replace("Label: Assay lab", "Label: Assay bal")
        .replace("<revision>1735689600", "<revision>1735689601");
    assert_ne!(changed, text);
    changed.into_bytes()
}
