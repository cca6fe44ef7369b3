//! Builds the Arch image and its repositories `core` and `extra`.
//!
//! Writes below the work folder it is given. `super::package` and `super::database`
//! write the formats; what is in the image is data (`base-images/lab/arch.toml`).

use std::collections::BTreeSet;
use std::path::Path;

use super::database::database;
use super::package::{PacmanError, PacmanPackage, write};
use crate::build::BuildError;
use crate::build::material::{Material, write_keys, write_repository};
use crate::data::{ARCH_KEY, Definition, PACMAN_CONF, Rules, key};
use crate::dialect::Dialect;
use crate::files::{self, at};
use crate::made_up;
use crate::rootfs;
use crate::sign::BUILD_TIME;
use crate::terms::Terms;

const GNUPG: &str = "etc/pacman.d/gnupg";
const LOCAL: &str = "var/lib/pacman/local";
/// gpg's own settings there are those that `pacman-key --init` writes.
const GPG_CONF: &str = "no-greeting\nno-permission-warning\nkeyserver-options timeout=10\nkeyserver-options import-clean\nkeyserver-options no-self-sigs-only\n";
/// The user that pacman 7 downloads as (pacman.conf(5), `DownloadUser`).
const ALPM: [(&str, &str); 4] = [
    (
        "etc/passwd",
        "alpm:x:971:971:Arch Linux Package Management:/:/usr/bin/nologin\n",
    ),
    ("etc/group", "alpm:x:971:\n"),
    ("etc/shadow", "alpm:!*:20089::::::\n"),
    ("etc/gshadow", "alpm:!*::\n"),
];

impl From<PacmanError> for BuildError {
    fn from(source: PacmanError) -> Self {
        Self::Format(Box::new(source))
    }
}

/// Builds `image` and the repository tree `repository` (the folder served as `arch/`).
///
/// # Errors
/// `BuildError`.
pub(crate) fn build(
    material: Material,
    definition: &Definition,
    rules: &Rules,
    work: &Path,
    image: &Path,
    repository: &Path,
) -> Result<(), BuildError> {
    let key = key(ARCH_KEY)?;
    let dialect = Dialect::pacman(rules);
    let (begun, written) = material.begin(
        definition,
        rules,
        &dialect,
        work,
        Vec::new(),
        |package, in_image| write(package, in_image, Some(&key)),
    )?;
    let (root, in_image) = (&begun.root, &begun.in_image);
    files::write(&root.join("etc/pacman.conf"), PACMAN_CONF.as_bytes())?;
    add_user(root)?;

    set_up_keyring(root, &key.public_binary()?, &key.fingerprint())?;
    let command = ["pacman", "-U", "--dbonly", "--noconfirm", "--noscriptlet"];
    let files = written.iter();
    begun.register(&command, files.map(|one| (one.file.as_str(), &*one.bytes)))?;
    fix_install_dates(root)?;
    rootfs::empty_volatile(root)?;
    files::create_folder(&root.join("var/cache/pacman/pkg"))?;
    rootfs::pack(root, image)?;

    let ground: BTreeSet<&str> = rules
        .image_only
        .iter()
        .map(|name| dialect.name(name))
        .collect();
    let core: Vec<PacmanPackage> = written
        .into_iter()
        .filter(|package| !ground.contains(package.name.as_str()))
        .collect();
    let made_up = made_up::packages()?;
    let extra: Vec<PacmanPackage> = made_up
        .iter()
        .map(|package| write(package, in_image, Some(&key)))
        .collect::<Result<_, _>>()?;
    for (name, packages) in [("core", core), ("extra", extra)] {
        let folder = repository.join(name).join("os/x86_64");
        write_repository(&folder, database(name, &packages, &Terms::signed(&key))?)?;
        let files = packages.into_iter().flat_map(PacmanPackage::files);
        write_repository(&folder, files.collect())?;
    }
    write_keys(repository, &key)
}

/// Trusts the lab's key, as `pacman-key --populate` trusts Arch's. No secret key is
/// made: the genuine image has none either.
fn set_up_keyring(root: &Path, public: &[u8], fingerprint: &str) -> Result<(), BuildError> {
    let home = root.join(GNUPG);
    files::remove(&home)?;
    files::create_folder(&home)?;
    // An empty ring of this name makes gpg use its old format, which holds no times.
    files::write(&home.join("pubring.gpg"), b"")?;
    files::write(&home.join("gpg.conf"), GPG_CONF.as_bytes())?;
    files::write(&home.join("key"), public)?;
    files::write(
        &home.join("trust"),
        format!("{fingerprint}:6:\n").as_bytes(),
    )?;
    let home_option = format!("--homedir=/{GNUPG}");
    let common = [
        "gpg",
        &home_option,
        "--batch",
        "--no-autostart",
        "--faked-system-time=20250101T000000!",
    ];
    for words in [
        ["--import", "/etc/pacman.d/gnupg/key"].as_slice(),
        ["--import-ownertrust", "/etc/pacman.d/gnupg/trust"].as_slice(),
        ["--check-trustdb"].as_slice(),
    ] {
        let words: Vec<&str> = common.iter().chain(words).copied().collect();
        rootfs::run_inside(root, &words)?;
    }
    for name in ["key", "trust", "pubring.gpg~"] {
        files::remove(&home.join(name))?;
    }
    for name in files::tree(&home)? {
        let path = home.join(name);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        if path.is_file() {
            std::fs::set_permissions(&path, mode).map_err(at("change the mode of", &path))?;
        }
    }
    Ok(())
}

fn add_user(root: &Path) -> Result<(), BuildError> {
    for (file, line) in ALPM {
        let path = root.join(file);
        let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
        if !text.lines().any(|line| line.starts_with("alpm:")) {
            append(&path, line)?;
        }
    }
    Ok(())
}

/// Appends in place, so that owner and mode stay.
fn append(path: &Path, line: &str) -> Result<(), BuildError> {
    use std::io::Write;
    let mut file = std::fs::File::options()
        .append(true)
        .open(path)
        .map_err(at("open", path))?;
    file.write_all(line.as_bytes()).map_err(at("write", path))?;
    Ok(())
}

/// pacman writes the time of the installation; the image has that of the build.
fn fix_install_dates(root: &Path) -> Result<(), BuildError> {
    let local = root.join(LOCAL);
    for name in files::tree(&local)?
        .iter()
        .filter(|name| name.ends_with("/desc"))
    {
        let path = local.join(name);
        let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
        files::write(&path, dated(&text).as_bytes())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, mode).map_err(at("change the mode of", &path))?;
    }
    Ok(())
}

fn dated(desc: &str) -> String {
    let mut after_field = false;
    let mut text = String::with_capacity(desc.len());
    for line in desc.lines() {
        if after_field {
            text.push_str(&BUILD_TIME.to_string());
        } else {
            text.push_str(line);
        }
        text.push('\n');
        after_field = line == "%INSTALLDATE%";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_install_date_is_replaced() {
        let desc = "%NAME%\njq\n\n%BUILDDATE%\n5\n\n%INSTALLDATE%\n1800000000\n\n%SIZE%\n7\n";
        assert_eq!(
            dated(desc),
            format!("%NAME%\njq\n\n%BUILDDATE%\n5\n\n%INSTALLDATE%\n{BUILD_TIME}\n\n%SIZE%\n7\n")
        );
    }
}
