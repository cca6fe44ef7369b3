//! The packages made up for the hard cases, as neutral packages and as `.deb` files.
//!
//! Pure. Their list is data: `base-images/lab/made-up.toml`.

use std::collections::BTreeSet;

use crate::convert::Package;
use crate::data::{self, DataError, Definition, MadeUp};
use crate::deb::DebError;
use crate::deb::payload::{Entry, Node};
use crate::deb::relation::{Relation, relations};
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

fn package(made_up: MadeUp) -> Result<Package, MadeUpError> {
    let path = format!("usr/bin/{}", made_up.name);
    let program = made_up.program.map(|text| {
        Entry::of_root(
            &path,
            Node::File(text.into_bytes()),
            0o755,
            u64::from(BUILD_TIME),
        )
    });
    Ok(Package {
        version: format!("{}-1", made_up.version),
        any_architecture: true,
        description: made_up.summary.clone(),
        summary: made_up.summary,
        homepage: String::new(),
        requires: relations(&made_up.depends)?,
        provides: Vec::new(),
        conflicts: Vec::new(),
        entries: program.into_iter().collect(),
        conffiles: BTreeSet::new(),
        post_install: made_up.post_install,
        name: made_up.name,
    })
}

/// The package that owns an image's os-release, repository file and key.
/// `packaged` tells whether another package brings a path; `extra` are more files.
///
/// # Errors
/// `DebError` when a provided name is faulty.
pub(crate) fn release_package(
    definition: &Definition,
    packaged: impl Fn(&str) -> bool,
    extra: Vec<(String, Vec<u8>)>,
) -> Result<Package, DebError> {
    let time = u64::from(BUILD_TIME);
    let mut provides = Vec::new();
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
        .map(|file| (file.path.clone(), file.text.clone().into_bytes()))
        .chain(extra);
    let files = files.map(|(path, bytes)| Entry::of_root(&path, Node::File(bytes), 0o644, time));
    let links = definition
        .link
        .iter()
        .filter(|link| !link.unless_packaged || !packaged(&link.path));
    let links = links
        .map(|link| Entry::of_root(&link.path, Node::Symlink(link.target.clone()), 0o777, time));
    let mut entries: Vec<Entry> = files.chain(links).collect();
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
        post_install: None,
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
        ] {
            assert_eq!(found(name), 1, "{name}");
        }
        assert!(packages.iter().any(|package| {
            package
                .post_install
                .as_deref()
                .is_some_and(|text| text.contains("exit 3"))
        }));
    }

    #[test]
    fn the_release_package_owns_its_files() {
        let definition = data::fedora().expect("the committed definition");
        let package = release_package(
            &definition,
            |path| path == "usr/bin/dnf",
            vec![("etc/key".to_owned(), vec![1])],
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
