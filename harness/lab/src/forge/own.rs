//! Packages that a test thinks up for itself: any payload, any script, in all three formats.
//!
//! Pure. What a format has no place for is left out and said here; whether a manager takes such a
//! package at all is for the test to see.

use std::collections::{BTreeMap, BTreeSet};

use crate::convert::Package;
use crate::deb::DebError;
pub use crate::deb::payload::Capability;
use crate::deb::payload::{Entry, Node};
use crate::deb::relation::relations;
use crate::scripts::{Moment, Script};
use crate::sign::BUILD_TIME;

/// A package of version 1.0-1 for every architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnPackage {
    /// Its name in all three formats.
    pub name: String,
    /// Debian relations, understood in all three formats.
    pub depends: String,
    /// Its payload.
    pub files: Vec<OwnFile>,
    /// What a shell runs once its files are there: `postinst`, `%post`, `post_install`. No first line.
    pub script: Option<String>,
    /// What rpm runs after a transaction that put files below a path: path and text
    /// (`%transfiletriggerin`). The other formats have nothing that could be said so.
    pub trigger: Option<(String, String)>,
}

/// One file of a payload. It belongs to root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFile {
    /// Its path, from the root and without a slash before it.
    pub path: String,
    /// What it is.
    pub content: OwnContent,
    /// Permission bits, twelve of them.
    pub mode: u32,
    /// A capability it gives; a .deb has no place for one.
    pub capability: Option<Capability>,
}

/// What a file of a payload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnContent {
    /// A regular file with these bytes.
    Bytes(Vec<u8>),
    /// A symbolic link that leads there.
    Link(String),
}

/// The packages as the writers take them.
///
/// # Errors
/// `DebError` when a relation is faulty.
pub(super) fn packages(own: &[OwnPackage]) -> Result<Vec<Package>, DebError> {
    own.iter().map(package).collect()
}

fn package(own: &OwnPackage) -> Result<Package, DebError> {
    let mut entries: Vec<Entry> = own.files.iter().map(entry).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let script = own.script.iter().map(|text| Script {
        moment: Moment::Postinst,
        text: format!("{}\n", text.trim_end()),
    });
    Ok(Package {
        name: own.name.clone(),
        version: "1.0-1".to_owned(),
        any_architecture: true,
        summary: "A package of a test".to_owned(),
        description: "A package of a test".to_owned(),
        homepage: String::new(),
        requires: relations(&own.depends)?,
        provides: Vec::new(),
        conflicts: Vec::new(),
        entries,
        conffiles: BTreeSet::new(),
        scripts: script.collect(),
        file_triggers: own.trigger.iter().cloned().collect::<BTreeMap<_, _>>(),
    })
}

fn entry(file: &OwnFile) -> Entry {
    let node = match &file.content {
        OwnContent::Bytes(bytes) => Node::File(bytes.clone()),
        OwnContent::Link(target) => Node::Symlink(target.clone()),
    };
    Entry {
        capability: file.capability,
        ..Entry::of_root(&file.path, node, file.mode, u64::from(BUILD_TIME))
    }
}

#[cfg(test)]
mod tests {
    use assay_packages::contents::{self, Capabilities, PackageFormat};

    use super::*;
    use crate::forge::{Forged, Format, TestKey};

    const NET_RAW: Capability = Capability {
        name: "cap_net_raw",
        number: 13,
    };

    fn sample() -> Vec<OwnPackage> {
        let file = |path: &str, content, mode, capability| OwnFile {
            path: path.to_owned(),
            content,
            mode,
            capability,
        };
        let bytes = || OwnContent::Bytes(b"#!/bin/sh\n".to_vec());
        vec![OwnPackage {
            name: "own".to_owned(),
            files: vec![
                file("usr/bin/raw", bytes(), 0o755, Some(NET_RAW)),
                file("opt/own/a\nb", bytes(), 0o4755, None),
                file("etc/own", OwnContent::Link("../x".to_owned()), 0o777, None),
            ],
            script: Some("exit 0".to_owned()),
            ..OwnPackage::default()
        }]
    }

    /// Read back by the reader that `assay` has for the packages of anybody.
    #[test]
    fn every_format_carries_what_it_has_a_place_for() {
        for format in [Format::Apt, Format::RpmMd, Format::Pacman("lab")] {
            let own = sample();
            let forged = Forged::own(format, &own, TestKey::Apt);
            let files = forged.files().expect("writes");
            let mut all = files.iter();
            let found = all.find_map(|file| Some((PackageFormat::of_name(&file.0)?, file)));
            let (kind, (name, bytes)) = found.expect("a package");
            let read = contents::read(kind, bytes.as_slice()).expect("a package that is read");
            let file = |path: &str| {
                let mut all = read.files.iter();
                all.find(|file| file.path.as_slice() == path.as_bytes())
                    .unwrap_or_else(|| panic!("{name} lacks {path}: {read:?}"))
            };
            assert_eq!(file("/opt/own/a\nb").mode, 0o4755, "{name}");
            let given = match &file("/usr/bin/raw").capabilities {
                Some(Capabilities::Text(text)) => Some(text.clone()),
                Some(Capabilities::Attribute(value)) => Some(format!("{value:02x?}")),
                None => None,
            };
            let attribute = NET_RAW.attribute();
            let wanted = match format {
                Format::Apt => None,
                Format::RpmMd => Some("cap_net_raw=ep".to_owned()),
                Format::Pacman(_) => Some(format!("{attribute:02x?}")),
            };
            assert_eq!(given, wanted, "{name}");
            let mut phases = read.scripts.iter().map(|script| script.phase.as_str());
            let wanted = match format {
                Format::Apt => "postinst",
                Format::RpmMd => "%post",
                Format::Pacman(_) => "post_install",
            };
            assert!(phases.any(|phase| phase == wanted), "{name}");
        }
    }
}
