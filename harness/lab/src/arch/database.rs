//! Writes a pacman sync database: `NAME.db` and `NAME.files`, signed.
//!
//! Touches no file: gives names and bytes. What repo-add(8) writes is the model.

use std::fmt::Write as _;

use super::package::{PacmanError, PacmanPackage, tar};
use crate::deb::payload::{Entry, Node};
use crate::fedora::rpm_md::gzip;
use crate::files::sha256;
use crate::sign::BUILD_TIME;
use crate::terms::Terms;

/// The fields of `desc` that are copied from `.PKGINFO`, in repo-add's order.
const COPIED: [(&str, &str); 11] = [
    ("URL", "url"),
    ("LICENSE", "license"),
    ("ARCH", "arch"),
    ("BUILDDATE", "builddate"),
    ("PACKAGER", "packager"),
    ("REPLACES", "replaces"),
    ("CONFLICTS", "conflict"),
    ("PROVIDES", "provides"),
    ("DEPENDS", "depend"),
    ("OPTDEPENDS", "optdepend"),
    ("MAKEDEPENDS", "makedepend"),
];

/// The database files of a repository with their signatures, if there is a key in the terms.
///
/// A database holds one version per name: of several the last given one.
///
/// # Errors
/// `PacmanError` when signing or compressing fails.
pub(crate) fn database(
    repository: &str,
    packages: &[PacmanPackage],
    terms: &Terms<'_>,
) -> Result<Vec<(String, Vec<u8>)>, PacmanError> {
    let newest: std::collections::BTreeMap<&str, &PacmanPackage> = packages
        .iter()
        .map(|package| (package.name.as_str(), package))
        .collect();
    let time = u64::from(BUILD_TIME);
    let mut plain = Vec::new();
    let mut with_files = Vec::new();
    for package in newest.values() {
        let folder = format!("{}-{}", package.name, package.version);
        let folder_entry = Entry::of_root(&folder, Node::Directory, 0o755, time);
        let file = |name: &str, text: String| {
            Entry::of_root(
                &format!("{folder}/{name}"),
                Node::File(text.into_bytes()),
                0o644,
                time,
            )
        };
        let both = [folder_entry, file("desc", description(package, terms))];
        plain.extend(both.clone());
        with_files.extend(both);
        with_files.push(file(
            "files",
            format!("%FILES%\n{}\n", package.paths.join("\n")),
        ));
    }
    let mut written = Vec::new();
    for (name, entries) in [
        (format!("{repository}.db"), plain),
        (format!("{repository}.files"), with_files),
    ] {
        let bytes = gzip(&tar(entries.iter())?)?;
        if let Some(key) = terms.key {
            written.push((format!("{name}.sig"), key.detached(&bytes)?));
        }
        written.push((name, bytes));
    }
    Ok(written)
}

fn description(package: &PacmanPackage, terms: &Terms<'_>) -> String {
    let mut text = String::new();
    let mut field = |name: &str, values: &[&str]| {
        let values: Vec<&str> = values
            .iter()
            .copied()
            .filter(|value| !value.is_empty())
            .collect();
        if !values.is_empty() {
            let _ = write!(text, "%{name}%\n{}\n\n", values.join("\n"));
        }
    };
    let of = |wanted: &str| -> Vec<&str> {
        package
            .info
            .iter()
            .filter(|(name, _)| *name == wanted)
            .map(|(_, value)| value.as_str())
            .collect()
    };
    field("FILENAME", &[&package.file]);
    field("NAME", &[&package.name]);
    field("BASE", &[&package.name]);
    field("VERSION", &[&package.version]);
    field("DESC", &of("pkgdesc"));
    field("CSIZE", &[&terms.told(package.bytes.len()).to_string()]);
    field("ISIZE", &of("size"));
    field("SHA256SUM", &[&sha256(&package.bytes)]);
    for (name, wanted) in COPIED {
        field(name, &of(wanted));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::io::Read;

    #[test]
    fn the_newest_version_is_described() {
        let key = crate::data::key(crate::data::ARCH_KEY).expect("the committed key");
        let packages: Vec<PacmanPackage> = crate::made_up::packages()
            .expect("the committed list")
            .iter()
            .map(|package| {
                super::super::package::write(package, &BTreeSet::new(), Some(&key)).expect("writes")
            })
            .collect();
        let files = database("extra", &packages, &Terms::signed(&key)).expect("writes");
        assert_eq!(
            files,
            database("extra", &packages, &Terms::signed(&key)).expect("writes")
        );
        assert_eq!(
            files
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            ["extra.db.sig", "extra.db", "extra.files.sig", "extra.files"]
        );
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(files[1].1.as_slice())
            .read_to_end(&mut tar)
            .expect("our own database");
        let text = String::from_utf8_lossy(&tar);
        assert!(
            text.contains("%FILENAME%\nassay-hello-2.0-1-any.pkg.tar.zst\n\n%NAME%\nassay-hello\n")
        );
        assert!(!text.contains("assay-hello-1.0"));
        assert!(text.contains("%DEPENDS%\nassay-hello>=2.0-1\n"));
    }
}
