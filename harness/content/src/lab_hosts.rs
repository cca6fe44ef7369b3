//! The hosts of the lab: URLs under `*.assay.test` and the files that answer them.
//!
//! No network is touched: the lab's repositories are a folder on the host, and a URL's path is a
//! file in it. A path never leaves the folder, by dots, by encoding or by a symbolic link.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use thiserror::Error;

use crate::url::{HostName, LAB_DOMAIN, percent_decoded};

/// Longest address a file is redirected to, in bytes.
const LONGEST_LOCATION: u64 = 2048;

/// Where the lab's repositories are, if they were built.
///
/// `packages.assay.test` is the folder itself; any other lab host (`evil.assay.test`) is the
/// sub-folder of its full name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabHosts {
    /// The folder that `packages.assay.test` serves.
    pub repositories: Option<PathBuf>,
}

/// A file of the lab, open.
#[derive(Debug)]
pub struct LabFile {
    /// The file, at its start.
    pub file: File,
    /// Its size in bytes when it was opened.
    pub size: u64,
    /// When its content was last changed.
    pub modified: SystemTime,
}

impl LabHosts {
    /// Opens the file that a URL path of a lab host means.
    ///
    /// # Errors
    /// See [`LabError`].
    pub fn open(&self, host: &HostName, url_path: &str) -> Result<LabFile, LabError> {
        let repositories = self.repositories.as_deref().ok_or(LabError::NotBuilt)?;
        let folder = if host.as_str() == format!("packages.{LAB_DOMAIN}") {
            repositories.to_owned()
        } else {
            repositories.join(host.as_str())
        };
        let not_found = || LabError::NotFound {
            host: host.to_string(),
            path: shown(url_path),
        };
        let relative = relative_path(url_path).ok_or_else(not_found)?;
        if !repositories.is_dir() {
            return Err(LabError::NotBuilt);
        }
        open_beneath(&folder, &relative).map_err(|source| {
            let is_no_file = [
                io::ErrorKind::NotFound,
                io::ErrorKind::NotADirectory,
                io::ErrorKind::InvalidInput,
            ]
            .contains(&source.kind());
            if is_no_file {
                moved(&folder, &relative)
                    .map_or_else(not_found, |location| LabError::Moved { location })
            } else {
                LabError::Unreadable {
                    host: host.to_string(),
                    path: shown(url_path),
                    source,
                }
            }
        })
    }
}

/// Why a lab host has no answer.
#[derive(Debug, Error)]
pub enum LabError {
    /// There is no folder of lab repositories. The hint is [`LabError::hint`].
    #[error("the lab's repositories are not built")]
    NotBuilt,
    /// The folder holds no such file, or the path would leave the folder.
    #[error("`{host}` has no file `{path}`")]
    NotFound {
        /// The lab host.
        host: String,
        /// The URL's path, escaped and shortened.
        path: String,
    },
    /// Beside the place of the file lies one that says where it is: `NAME.redirect`.
    #[error("it is at `{location}`")]
    Moved {
        /// Where, as that file has it.
        location: String,
    },
    /// The file is there and cannot be read.
    #[error("file `{path}` of `{host}` cannot be read")]
    Unreadable {
        /// The lab host.
        host: String,
        /// The URL's path, escaped and shortened.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl LabError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotBuilt => Some("run `assay-lab build`"),
            Self::NotFound { .. } | Self::Moved { .. } | Self::Unreadable { .. } => None,
        }
    }
}

/// Where a file that is not there is to be asked for instead.
fn moved(folder: &Path, relative: &Path) -> Option<String> {
    let name = relative.file_name()?.to_str()?;
    let beside = relative.with_file_name(format!("{name}.redirect"));
    let mut location = String::new();
    let found = open_beneath(folder, &beside).ok()?.file;
    found
        .take(LONGEST_LOCATION)
        .read_to_string(&mut location)
        .ok()?;
    Some(location.trim_end().to_owned())
}

/// The file below a folder that a URL path means: percent-decoded, and made of plain names only.
/// `None` for dot segments, empty segments, encoded slashes, controls, and what is not UTF-8.
fn relative_path(url_path: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for segment in url_path.strip_prefix('/')?.split('/') {
        let name = String::from_utf8(percent_decoded(segment)?).ok()?;
        let plain = !matches!(name.as_str(), "" | "." | "..")
            && name.len() <= 255
            && !name.contains(|character: char| {
                character == '/' || character == '\\' || character.is_control()
            });
        if !plain {
            return None;
        }
        path.push(name);
    }
    Some(path)
}

/// Opens a regular file below a folder. Symbolic links are followed only as long as they stay
/// below it: a pacman repository is full of links from `name.db` to `name.db.tar.gz`.
fn open_beneath(folder: &Path, relative: &Path) -> io::Result<LabFile> {
    let outside = || io::Error::from(io::ErrorKind::NotFound);
    let folder = folder.canonicalize()?;
    let path = folder.join(relative).canonicalize()?;
    // The kind is asked before opening, since opening a FIFO would wait for a writer.
    if !path.starts_with(&folder) || !path.metadata()?.is_file() {
        return Err(outside());
    }
    let file = File::open(&path)?;
    let metadata = file.metadata()?;
    Ok(LabFile {
        file,
        size: metadata.len(),
        modified: metadata.modified()?,
    })
}

fn shown(url_path: &str) -> String {
    url_path
        .chars()
        .take(200)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    fn packages() -> HostName {
        HostName::parse("packages.assay.test").expect("a host")
    }

    fn lab() -> (tempfile::TempDir, LabHosts) {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("repositories");
        fs::create_dir_all(root.join("rpm/repodata")).expect("folders");
        fs::create_dir_all(root.join("evil.assay.test")).expect("folders");
        fs::write(root.join("rpm/repodata/repomd.xml"), "<repomd/>").expect("a file");
        fs::write(root.join("rpm/a+b 1.rpm"), "package").expect("a file");
        fs::write(root.join("evil.assay.test/key"), "evil").expect("a file");
        fs::write(outer.path().join("secret"), "secret").expect("a file");
        symlink("../secret", root.join("leak")).expect("a link");
        symlink("/etc", root.join("etc")).expect("a link");
        symlink("a+b 1.rpm", root.join("rpm/latest.rpm")).expect("a link");
        let hosts = LabHosts {
            repositories: Some(root),
        };
        (outer, hosts)
    }

    fn read(hosts: &LabHosts, host: &HostName, path: &str) -> Result<String, LabError> {
        let mut text = String::new();
        let mut found = hosts.open(host, path)?;
        found.file.read_to_string(&mut text).expect("readable");
        assert_eq!(found.size, text.len() as u64);
        Ok(text)
    }

    #[test]
    fn paths_mean_files_of_the_folder() {
        let (_keep, hosts) = lab();
        let get = |path| read(&hosts, &packages(), path).expect(path);
        assert_eq!(get("/rpm/repodata/repomd.xml"), "<repomd/>");
        assert_eq!(get("/rpm/a%2Bb%201.rpm"), "package");
        assert_eq!(get("/rpm/a+b%201.rpm"), "package");
        assert_eq!(get("/rpm/latest.rpm"), "package");
        let evil = HostName::parse("evil.assay.test").expect("a host");
        assert_eq!(read(&hosts, &evil, "/key").expect("evil's own"), "evil");
        assert!(matches!(
            read(&hosts, &evil, "/rpm/latest.rpm"),
            Err(LabError::NotFound { .. })
        ));
    }

    #[test]
    fn a_file_may_be_elsewhere() {
        let (_keep, hosts) = lab();
        let root = hosts.repositories.clone().expect("a folder");
        fs::write(root.join("rpm/gone.rpm.redirect"), "http://a.test/x\n").expect("a file");
        fs::write(root.join("rpm/latest.rpm.redirect"), "http://a.test/y\n").expect("a file");
        let moved = read(&hosts, &packages(), "/rpm/gone.rpm").expect_err("it is elsewhere");
        assert!(matches!(moved, LabError::Moved { location } if location == "http://a.test/x"));
        let there = read(&hosts, &packages(), "/rpm/latest.rpm");
        assert_eq!(there.expect("a file that is there is served"), "package");
    }

    #[test]
    fn no_path_leaves_the_folder() {
        let (_keep, hosts) = lab();
        for path in [
            "/leak",
            "/etc/passwd",
            "/etc/hostname",
            "/../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/rpm/%2e%2e/%2e%2e/secret",
            "//etc/passwd",
            "/%2fetc/passwd",
            "/rpm\\..\\..\\secret",
            "/rpm/%00",
            "/rpm",
            "/rpm/",
            "/",
            "",
            "rpm/a",
            "/rpm/%zz",
            "/rpm/%2",
            "/rpm/%ff",
        ] {
            assert!(
                matches!(
                    read(&hosts, &packages(), path),
                    Err(LabError::NotFound { .. })
                ),
                "{path}"
            );
        }
    }

    #[test]
    fn a_lab_that_was_not_built_says_how_to_build_it() {
        let missing = LabHosts {
            repositories: Some(PathBuf::from("/nonexistent/lab")),
        };
        for hosts in [missing, LabHosts::default()] {
            let error = hosts
                .open(&packages(), "/rpm/repodata/repomd.xml")
                .expect_err("not built");
            assert!(matches!(error, LabError::NotBuilt));
            assert_eq!(error.hint(), Some("run `assay-lab build`"));
        }
    }

    proptest! {
        #[test]
        fn a_relative_path_is_made_of_plain_names(path in "(/|%2e|%2f|\\.|a|%5c|%00|\\\\){0,12}") {
            if let Some(relative) = relative_path(&format!("/{path}")) {
                for component in relative.components() {
                    prop_assert!(matches!(component, std::path::Component::Normal(_)));
                }
            }
        }

        #[test]
        fn no_path_panics(path in ".*") {
            let _ = relative_path(&path);
        }
    }
}
