//! The packages made up for the hard cases, as neutral packages and as `.deb` files.
//!
//! Pure. Their list is data: `base-images/lab/made-up.toml`.

use std::collections::{BTreeMap, BTreeSet};

use crate::convert::Package;
use crate::data::{self, DataError, Definition, MadeUp};
use crate::deb::DebError;
use crate::deb::payload::{Entry, Node};
use crate::deb::relation::{Relation, relations};
use crate::scripts::{Moment, Script};
use crate::sign::BUILD_TIME;

/// A list that cannot be made into packages.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MadeUpError {
    /// The list is faulty.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A relation is faulty.
    #[error(transparent)]
    Relation(#[from] DebError),
}

/// The made-up packages, in the order of their list.
///
/// # Errors
/// `MadeUpError` when the list is faulty.
pub(crate) fn packages() -> Result<Vec<Package>, MadeUpError> {
    data::made_up()?.into_iter().map(package).collect()
}

/// The packages of the evil twin: of the same names, with programs and files that say `evil`, and
/// an `assay-hello` of a version above every genuine one.
///
/// # Errors
/// `MadeUpError` when the list is faulty.
pub(crate) fn twins() -> Result<Vec<Package>, MadeUpError> {
    let mut list = data::made_up()?;
    let hello = list.iter().find(|package| package.name == "assay-hello");
    let newest = hello.map(|hello| MadeUp {
        version: "3.0".to_owned(),
        ..hello.clone()
    });
    list.extend(newest);
    let twin = |genuine: MadeUp| {
        let says = format!(
            "#!/bin/sh\necho \"evil {} {}\"\n",
            genuine.name, genuine.version
        );
        let files = genuine.files.into_iter();
        package(MadeUp {
            program: genuine.program.map(|_| says),
            files: files
                .map(|(path, text)| (path, format!("evil {text}")))
                .collect(),
            ..genuine
        })
    };
    list.into_iter().map(twin).collect()
}

/// One made-up package.
///
/// # Errors
/// `MadeUpError` when a relation is faulty.
pub(crate) fn package(made_up: MadeUp) -> Result<Package, MadeUpError> {
    let path = format!("usr/bin/{}", made_up.name);
    let time = u64::from(BUILD_TIME);
    let entry = |path: &str, text: String, mode| {
        Entry::of_root(path, Node::File(text.into_bytes()), mode, time)
    };
    let program = made_up.program.map(|text| entry(&path, text, 0o755));
    let files = made_up.files.into_iter();
    let mut entries: Vec<Entry> = files
        .map(|(path, text)| entry(&path, text, 0o644))
        .chain(program)
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Package {
        version: format!("{}-1", made_up.version),
        any_architecture: true,
        description: made_up.summary.clone(),
        summary: made_up.summary,
        homepage: String::new(),
        requires: relations(&made_up.depends)?,
        provides: relations(&made_up.provides)?
            .into_iter()
            .flatten()
            .collect(),
        conflicts: relations(&made_up.conflicts)?
            .into_iter()
            .flatten()
            .collect(),
        entries,
        conffiles: BTreeSet::new(),
        scripts: made_up
            .post_install
            .map(|text| Script {
                moment: Moment::Postinst,
                text,
            })
            .into_iter()
            .collect(),
        file_triggers: BTreeMap::new(),
        name: made_up.name,
    })
}

/// The package that owns an image's os-release, repository file and key.
/// `packaged` tells whether another package brings a path; `extra` are more entries.
///
/// # Errors
/// `DebError` when a provided name is faulty.
pub(crate) fn release_package(
    definition: &Definition,
    packaged: impl Fn(&str) -> bool,
    extra: Vec<Entry>,
) -> Result<Package, DebError> {
    let time = u64::from(BUILD_TIME);
    let mut provides = vec![Relation::any(crate::convert::LAYER)];
    for text in &definition.release_provides {
        provides.push(match text.split_once(" = ") {
            Some((name, version)) => Relation {
                name: name.to_owned(),
                bound: Some((crate::deb::relation::Comparison::Equal, version.to_owned())),
            },
            None => Relation::any(text),
        });
    }
    let files = definition
        .file
        .iter()
        .map(|file| (file.path.as_str(), file.text.clone().into_bytes()));
    let files = files.map(|(path, bytes)| Entry::of_root(path, Node::File(bytes), 0o644, time));
    let links = definition
        .link
        .iter()
        .filter(|link| !link.unless_packaged || !packaged(&link.path));
    let links = links
        .map(|link| Entry::of_root(&link.path, Node::Symlink(link.target.clone()), 0o777, time));
    let mut entries: Vec<Entry> = files.chain(links).chain(extra).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Package {
        name: definition.release_package.clone(),
        version: definition.release_version.clone(),
        any_architecture: true,
        summary: "What this image says it is".to_owned(),
        description: "The release files, the repository and its key.".to_owned(),
        homepage: String::new(),
        requires: Vec::new(),
        provides,
        conflicts: Vec::new(),
        conffiles: entries
            .iter()
            .filter(|entry| entry.path.ends_with(".repo") || entry.path.ends_with(".conf"))
            .map(|entry| entry.path.clone())
            .collect(),
        entries,
        scripts: Vec::new(),
        file_triggers: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_holds_every_hard_case() {
        let packages = packages().expect("the committed list");
        let found = |name: &str| {
            packages
                .iter()
                .filter(|package| package.name == name)
                .count()
        };
        assert_eq!(found("assay-hello"), 2);
        for name in [
            "assay-needs-new",
            "assay-needs-newer",
            "assay-broken",
            "assay-fails",
            "assay-provider",
            "assay-needs-virtual",
            "assay-needs-virtual-newer",
            "assay-rival",
            "assay-modern",
        ] {
            assert_eq!(found(name), 1, "{name}");
        }
        assert!(packages.iter().any(|package| {
            package
                .scripts
                .iter()
                .any(|script| script.text.contains("exit 3"))
        }));
    }

    #[test]
    fn made_up_packages_provide_conflict_and_collide() {
        let packages = packages().expect("the committed list");
        let find = |name: &str| {
            let mut found = packages.iter().filter(|package| package.name == name);
            found.next().expect("it is in the list")
        };
        assert_eq!(find("assay-provider").provides[0].name, "assay-virtual");
        assert!(find("assay-provider").provides[0].bound.is_some());
        assert_eq!(
            find("assay-rival").conflicts,
            [Relation::any("assay-hello")]
        );
        assert!(find("assay-modern").conflicts[0].bound.is_some());
        let (one, two) = (find("assay-file-one"), find("assay-file-two"));
        assert_eq!(one.entries[0].path, two.entries[0].path);
        assert_ne!(one.entries[0].node, two.entries[0].node);
    }

    #[test]
    fn a_twin_has_every_name_and_nothing_else_in_common() {
        let (genuine, twins) = (packages().expect("the list"), twins().expect("the list"));
        assert_eq!(twins.len(), genuine.len() + 1);
        for (one, twin) in genuine.iter().zip(&twins) {
            assert_eq!((&one.name, &one.version), (&twin.name, &twin.version));
            assert_eq!(one.entries.is_empty(), twin.entries.is_empty());
            assert!(one.entries.is_empty() || one.entries != twin.entries);
        }
        let newest = twins.last().expect("some");
        assert_eq!((&*newest.name, &*newest.version), ("assay-hello", "3.0-1"));
        let said = Node::File(b"#!/bin/sh\necho \"evil assay-hello 3.0\"\n".to_vec());
        assert_eq!(newest.entries[0].node, said);
    }

    #[test]
    fn the_release_package_owns_its_files() {
        let definition = data::fedora().expect("the committed definition");
        let package = release_package(
            &definition,
            |path| path == "usr/bin/dnf",
            vec![Entry::of_root("etc/key", Node::File(vec![1]), 0o644, 0)],
        )
        .expect("well formed");
        let paths: Vec<&str> = package
            .entries
            .iter()
            .map(|entry| entry.path.as_str())
            .collect();
        assert!(
            paths.contains(&"usr/lib/os-release")
                && paths.contains(&"etc/key")
                && paths.is_sorted()
        );
        assert!(!paths.contains(&"usr/bin/dnf") && paths.contains(&"usr/bin/yum"));
        assert!(package.conffiles.contains("etc/yum.repos.d/lab-base.repo"));
        assert!(
            package
                .provides
                .iter()
                .any(|relation| relation.name == "system-release(releasever)")
        );
    }
}
