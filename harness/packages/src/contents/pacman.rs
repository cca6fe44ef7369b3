//! pacman's packages: a compressed tar archive whose first files say what it is (alpm-package(7)).

use std::io::BufRead;

use sha2::{Digest as _, Sha256};

use super::{PackageContents, PackageScript, absolute, field, tarball};
use crate::compression::decompressed;
use crate::unreadable::Unreadable;

/// The file of functions that pacman has a shell call (alpm-install-scriptlet(5)).
const SCRIPT: &[u8] = b"/.INSTALL";
const INFO: &[u8] = b"/.PKGINFO";

/// The functions of it.
const PHASES: [&str; 6] = [
    "pre_install",
    "post_install",
    "pre_upgrade",
    "post_upgrade",
    "pre_remove",
    "post_remove",
];

/// Reads a package.
pub(super) fn read(bytes: impl BufRead) -> Result<PackageContents, Unreadable> {
    let is_its_own = |path: &[u8]| path.starts_with(b"/.") && !path[1..].contains(&b'/');
    let mut found = tarball::read(decompressed(bytes)?, is_its_own)?;
    found.files.retain(|file| !is_its_own(&file.path));
    let info = found.kept.get(INFO);
    let info = String::from_utf8_lossy(info.ok_or(Unreadable::Damaged("it has no `.PKGINFO`"))?);
    let value = |name| {
        let value = field(&info, name, "=").map(str::to_owned);
        value.ok_or(Unreadable::Damaged("a field of `.PKGINFO` is missing"))
    };
    let backup = info.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim_end() == "backup").then(|| absolute(value.trim().as_bytes()))
    });
    let script = found.kept.get(SCRIPT).map(Vec::as_slice);
    let scripts = script.map(|script| {
        let sha256: [u8; 32] = Sha256::digest(script).into();
        let text = String::from_utf8_lossy(script).into_owned();
        let defined = PHASES
            .into_iter()
            .filter(move |phase| defines(&text, phase));
        defined.map(move |phase| PackageScript {
            phase: phase.to_owned(),
            interpreter: "/bin/sh".to_owned(),
            sha256,
        })
    });
    Ok(PackageContents {
        name: value("pkgname")?,
        version: value("pkgver")?,
        architecture: value("arch")?,
        scripts: scripts.into_iter().flatten().collect(),
        configuration: backup.collect::<Result<_, _>>()?,
        files: found.files,
    })
}

/// True if a shell's text has a function of this name. libalpm asks `grep` the like.
fn defines(text: &str, function: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("function ").unwrap_or(line).trim_start();
        line.strip_prefix(function)
            .is_some_and(|rest| rest.trim_start().starts_with(['(', '{']))
    })
}
