//! The set of definitions in force: the built-in ones, and a project's own above them.
//!
//! The built-in definitions are part of the program, so that an installed `assay` is whole. A
//! project's `base-images/*.toml` add targets or replace built-in ones of the same name; folders
//! below it are not read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assay_wire::name::TargetId;

use super::definition::{Definition, DefinitionError, LIMIT};

/// The definitions this program was built with, by file name.
const BUILT_IN: [(&str, &str); 10] = [
    (
        "alpine-3.22.toml",
        include_str!("../../../../base-images/alpine-3.22.toml"),
    ),
    (
        "arch.toml",
        include_str!("../../../../base-images/arch.toml"),
    ),
    (
        "darwin.toml",
        include_str!("../../../../base-images/darwin.toml"),
    ),
    (
        "debian-12.toml",
        include_str!("../../../../base-images/debian-12.toml"),
    ),
    (
        "debian-13.toml",
        include_str!("../../../../base-images/debian-13.toml"),
    ),
    (
        "fedora-44.toml",
        include_str!("../../../../base-images/fedora-44.toml"),
    ),
    (
        "opensuse-leap-16.0.toml",
        include_str!("../../../../base-images/opensuse-leap-16.0.toml"),
    ),
    (
        "rocky-9.toml",
        include_str!("../../../../base-images/rocky-9.toml"),
    ),
    (
        "ubuntu-24.04.toml",
        include_str!("../../../../base-images/ubuntu-24.04.toml"),
    ),
    (
        "ubuntu-26.04.toml",
        include_str!("../../../../base-images/ubuntu-26.04.toml"),
    ),
];

/// Every definition in force, by target.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    by_target: BTreeMap<TargetId, Placed>,
}

/// A definition, and the folder its relative paths start from.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The definition.
    pub definition: Definition,
    /// The folder of its file; `None` for a built-in one, which has no files beside it.
    pub folder: Option<PathBuf>,
}

impl Definitions {
    /// The built-in definitions, with those of a project's folder above them.
    ///
    /// # Errors
    ///
    /// Every fault of every file, in the order of the file names. A folder that does not exist is
    /// no fault.
    pub fn load(folder: Option<&Path>) -> Result<Self, Vec<DefinitionError>> {
        let mut set = Self::default();
        let mut faults = Vec::new();
        for (name, text) in BUILT_IN {
            match Definition::parse(&format!("(built in) base-images/{name}"), text.as_bytes()) {
                Ok(definition) => set.add(definition, None),
                Err(fault) => faults.push(fault),
            }
        }
        if let Some(folder) = folder {
            match files(folder) {
                Ok(files) => {
                    for file in files {
                        match read(&file) {
                            Ok(definition) => set.add(definition, Some(folder.to_owned())),
                            Err(fault) => faults.push(fault),
                        }
                    }
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(set)
        } else {
            Err(faults)
        }
    }

    fn add(&mut self, definition: Definition, folder: Option<PathBuf>) {
        self.by_target
            .insert(definition.id.clone(), Placed { definition, folder });
    }

    /// The definition of a target.
    pub fn get(&self, target: &TargetId) -> Option<&Placed> {
        self.by_target.get(target)
    }

    /// Every definition, in the order of the targets' names.
    pub fn iter(&self) -> impl Iterator<Item = &Placed> {
        self.by_target.values()
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, DefinitionError> {
    let fault =
        |error: std::io::Error| whole(folder, format!("the folder cannot be read: {error}"));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fault(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(fault)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Definition, DefinitionError> {
    use std::io::Read as _;
    let fault = |error: std::io::Error| whole(file, format!("it cannot be read: {error}"));
    let opened = std::fs::File::open(file).map_err(fault)?;
    if !opened.metadata().map_err(fault)?.is_file() {
        return Err(whole(file, "it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    // One byte above the limit is enough for `parse` to refuse the file.
    opened
        .take(LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(fault)?;
    Definition::parse(&file.display().to_string(), &bytes)
}

fn whole(path: &Path, message: String) -> DefinitionError {
    DefinitionError {
        file: path.display().to_string(),
        line: None,
        key: None,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::SourceKind;

    #[test]
    fn the_built_in_definitions_are_whole() {
        let set = Definitions::load(None).expect("the built-in definitions");
        let targets: Vec<_> = set
            .iter()
            .map(|placed| placed.definition.id.as_str().to_owned())
            .collect();
        assert_eq!(
            targets,
            [
                "alpine-3.22",
                "arch",
                "darwin",
                "debian-12",
                "debian-13",
                "fedora-44",
                "opensuse-leap-16.0",
                "rocky-9",
                "ubuntu-24.04",
                "ubuntu-26.04"
            ]
        );
        for placed in set
            .iter()
            .filter(|placed| !placed.definition.is_plan_only())
        {
            // Every target must be buildable where no registry answers.
            assert!(
                placed
                    .definition
                    .sources
                    .iter()
                    .any(|source| source.kind() != SourceKind::Registry),
                "{}",
                placed.definition.id
            );
        }
    }

    #[test]
    fn every_definition_of_the_repository_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../base-images");
        let names: Vec<_> = files(&folder)
            .expect("the folder")
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        assert_eq!(names, BUILT_IN.map(|(name, _)| name));
    }

    #[test]
    fn a_projects_definition_replaces_a_built_in_one_and_adds_others() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (_, arch) = BUILT_IN
            .into_iter()
            .find(|(name, _)| *name == "arch.toml")
            .expect("arch is built in");
        std::fs::write(
            folder.path().join("arch.toml"),
            arch.replace("2026-01-01", "2026-02-02"),
        )
        .expect("a file");
        std::fs::write(
            folder.path().join("arch-lts.toml"),
            arch.replacen("id = \"arch\"", "id = \"arch-lts\"", 1),
        )
        .expect("a file");
        std::fs::write(folder.path().join("README.md"), "no definition").expect("a file");
        let set = Definitions::load(Some(folder.path())).expect("definitions");
        let arch = set.get(&"arch".parse().expect("a target")).expect("arch");
        let day = arch.definition.source_date.map(|day| day.to_string());
        assert_eq!(day.as_deref(), Some("2026-02-02"));
        assert_eq!(arch.folder.as_deref(), Some(folder.path()));
        assert_eq!(set.iter().count(), BUILT_IN.len() + 1);
    }

    #[test]
    fn all_faults_of_a_folder_are_told_and_a_missing_folder_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("a.toml"), "id = 1").expect("a file");
        std::fs::create_dir(folder.path().join("b.toml")).expect("a folder");
        let faults = Definitions::load(Some(folder.path())).expect_err("two faults");
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].file.ends_with("a.toml") && faults[1].file.ends_with("b.toml"));
        assert!(
            faults[1].message.contains("no regular file"),
            "{}",
            faults[1]
        );
        assert!(Definitions::load(Some(&folder.path().join("missing"))).is_ok());
    }
}
