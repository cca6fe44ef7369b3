//! Builds the Fedora and Rocky images and their base repositories.
//!
//! Writes below the work folder it is given. `super::rpm` and `super::rpm_md` write
//! the formats; what is in an image is data (`base-images/lab/fedora-44.toml`, `rocky-9.toml`).

use std::path::{Path, PathBuf};

use super::rpm::{Rpm, RpmError, write};
use super::rpm_md::{IndexError, index};
use crate::build::BuildError;
use crate::build::material::{Material, write_keys, write_repository};
use crate::data::{Definition, Rules, key};
use crate::deb::payload::{Entry, Node};
use crate::dialect::Dialect;
use crate::files::{self, at};
use crate::rootfs;
use crate::sign::BUILD_TIME;
use crate::terms::Terms;

/// Where the image keeps the key of its repository.
const KEY_PATH: &str = "etc/pki/rpm-gpg/RPM-GPG-KEY-lab-base";
/// dnf5's plugins: one of them makes a successful transaction exit with 1.
const PLUGINS: &str = "etc/dnf/libdnf5-plugins";

impl From<RpmError> for BuildError {
    fn from(source: RpmError) -> Self {
        Self::Format(Box::new(source))
    }
}

impl From<IndexError> for BuildError {
    fn from(source: IndexError) -> Self {
        Self::Format(Box::new(source))
    }
}

/// Where the repository of an image goes, and who signs it.
#[derive(Debug)]
pub(crate) struct Place {
    /// The repository tree.
    pub(crate) repository: PathBuf,
    /// The folder of the packages in it.
    pub(crate) base: &'static str,
    /// The name of the key.
    pub(crate) key: &'static str,
    /// Where rpm keeps its database in the image (`%_dbpath` of the definition).
    pub(crate) database: &'static str,
}

/// Builds `image` and its repository.
///
/// # Errors
/// `BuildError`.
pub(crate) fn build(
    material: Material,
    definition: &Definition,
    rules: &Rules,
    work: &Path,
    image: &Path,
    place: &Place,
) -> Result<(), BuildError> {
    let key = key(place.key)?;
    let dialect = Dialect::rpm(rules);
    let public = Node::File(key.public_armored()?);
    let release_files = vec![Entry::of_root(
        KEY_PATH,
        public,
        0o644,
        u64::from(BUILD_TIME),
    )];
    let (begun, rpms) = material.begin(
        definition,
        rules,
        &dialect,
        work,
        release_files,
        |package, _| write(package, Some(&key)),
    )?;
    let root = &begun.root;

    rootfs::run_inside(root, &["rpm", "--initdb"])?;
    rootfs::run_inside(root, &["rpm", "--import", &format!("/{KEY_PATH}")])?;
    let command = ["rpm", "-i", "--justdb", "--noscripts", "--notriggers"];
    let files = rpms.iter();
    begun.register(
        &command,
        files.map(|rpm| (rpm.file.as_str(), &*rpm.signed.bytes)),
    )?;
    // An index of a log that is empty once rpm has ended; sqlite makes it anew.
    for name in ["rpmdb.sqlite-shm", "rpmdb.sqlite-wal"] {
        files::remove(&root.join(place.database).join(name))?;
    }
    disable_plugins(root)?;
    rootfs::empty_volatile(root)?;
    rootfs::pack(root, image)?;

    let offered: Vec<Rpm> = begun
        .packages
        .iter()
        .zip(rpms)
        .filter(|(package, _)| {
            !rules
                .image_only
                .iter()
                .any(|name| dialect.name(name) == package.name)
        })
        .map(|(_, rpm)| rpm)
        .collect();
    let base = place.repository.join(place.base);
    write_repository(&base, index(&offered, &Terms::signed(&key))?)?;
    write_repository(
        &base,
        offered
            .into_iter()
            .map(|rpm| (rpm.file, rpm.signed.bytes))
            .collect(),
    )?;
    write_keys(&place.repository, &key)
}

fn disable_plugins(root: &Path) -> Result<(), BuildError> {
    let folder = root.join(PLUGINS);
    if !folder.is_dir() {
        return Ok(());
    }
    for name in files::tree(&folder)?
        .iter()
        .filter(|name| name.ends_with(".conf"))
    {
        let path = folder.join(name);
        let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
        files::write(&path, disabled(&text).as_bytes())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, mode).map_err(at("change the mode of", &path))?;
    }
    Ok(())
}

fn disabled(text: &str) -> String {
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| line.split('=').next().map(str::trim) != Some("enabled"))
        .collect();
    match lines.iter().position(|line| line.trim() == "[main]") {
        Some(main) => lines.insert(main + 1, "enabled = 0"),
        None => lines.extend(["[main]", "enabled = 0"]),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_disabled_once() {
        assert_eq!(
            disabled("[main]\nname = a\nenabled = host-only\n"),
            "[main]\nenabled = 0\nname = a\n"
        );
        assert_eq!(
            disabled("[main]\nenabled=1\n[other]\n"),
            "[main]\nenabled = 0\n[other]\n"
        );
        assert_eq!(disabled(""), "[main]\nenabled = 0\n");
    }
}
