//! Writes one pacman package: `.PKGINFO`, `.MTREE`, `.INSTALL` and the payload.
//!
//! Touches no file. The formats are those of makepkg(8) and BUILDINFO(5); every
//! parent folder stands in `.MTREE` and in the archive, or pacman counts it as missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

use crate::convert::{Package, bound_of};
use crate::deb::payload::{Entry, Node};
use crate::deb::relation::Relation;
use crate::fedora::rpm_md::gzip;
use crate::files::sha256;
use crate::scripts::for_pacman;
use crate::sign::{BUILD_TIME, Key, SignError};
use crate::version::{VersionError, to_pacman};

/// Higher levels cost more time than the smaller packages save.
const LEVEL: i32 = 5;

/// A package that could not be written for pacman.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PacmanError {
    /// A version is faulty.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Compression failed, or a path does not fit an archive.
    #[error("cannot write an archive: {0}")]
    Archive(#[from] std::io::Error),
}

/// A written package with what the database says of it.
#[derive(Debug)]
pub(crate) struct PacmanPackage {
    /// The name.
    pub(crate) name: String,
    /// `[EPOCH:]VERSION-RELEASE`
    pub(crate) version: String,
    /// `NAME-VERSION-ARCH.pkg.tar.zst`
    pub(crate) file: String,
    /// The whole package.
    pub(crate) bytes: Vec<u8>,
    /// Its detached signature, if it is signed.
    pub(crate) signature: Option<Vec<u8>>,
    /// The lines of `.PKGINFO` as key and value.
    pub(crate) info: Vec<(&'static str, String)>,
    /// Every path of the payload, folders with a trailing slash.
    pub(crate) paths: Vec<String>,
}

impl PacmanPackage {
    /// What is served of it: the package, and its signature beside it.
    pub(crate) fn files(self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let name = format!("{}.sig", self.file);
        let signature = self.signature.map(|bytes| (name, bytes));
        signature.into_iter().chain([(self.file, self.bytes)])
    }
}

/// Writes a package, and signs it if there is a key. `base` are the names installed in the image:
/// of alternatives, the first in it is taken, else the first at all.
///
/// # Errors
/// `PacmanError`.
pub(crate) fn write(
    package: &Package,
    base: &BTreeSet<String>,
    key: Option<&Key>,
) -> Result<PacmanPackage, PacmanError> {
    let version = to_pacman(&package.version)?.to_string();
    let architecture = if package.any_architecture {
        "any"
    } else {
        "x86_64"
    };
    let entries = with_parents(&package.entries);
    let size: usize = entries.iter().map(|entry| contents(entry).len()).sum();

    let mut info = vec![
        ("pkgname", package.name.clone()),
        ("pkgbase", package.name.clone()),
        ("xdata", "pkgtype=pkg".to_owned()),
        ("pkgver", version.clone()),
        ("pkgdesc", package.summary.clone()),
        ("url", package.homepage.clone()),
        ("builddate", BUILD_TIME.to_string()),
        ("packager", "Assay lab (converted)".to_owned()),
        ("size", size.to_string()),
        ("arch", architecture.to_owned()),
        (
            "license",
            format!("see /usr/share/doc/{}/copyright", package.name),
        ),
    ];
    for relation in &package.conflicts {
        info.push(("conflict", lower(relation)?));
    }
    for relation in &package.provides {
        info.push(("provides", lower(relation)?));
    }
    for path in &package.conffiles {
        if entries.iter().any(|entry| entry.path == *path) {
            info.push(("backup", path.clone()));
        }
    }
    for group in &package.requires {
        if let Some(relation) = group
            .iter()
            .find(|relation| base.contains(&relation.name))
            .or(group.first())
        {
            info.push(("depend", lower(relation)?));
        }
    }
    let pkginfo: String = info
        .iter()
        .map(|(field, value)| format!("{field} = {value}\n"))
        .collect();
    let time = u64::from(BUILD_TIME);
    let mut control = vec![Entry::of_root(
        ".PKGINFO",
        Node::File(pkginfo.into_bytes()),
        0o644,
        time,
    )];
    if let Some(text) = for_pacman(&package.scripts) {
        control.push(Entry::of_root(
            ".INSTALL",
            Node::File(text.into_bytes()),
            0o644,
            time,
        ));
    }
    let mtree = gzip(mtree(control.iter().chain(&entries)).as_bytes())?;
    control.push(Entry::of_root(".MTREE", Node::File(mtree), 0o644, time));

    let archive = tar(control.iter().chain(&entries))?;
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.write_all(&archive)?;
    let bytes = encoder.finish()?;
    let signature = key.map(|key| key.detached(&bytes)).transpose()?;
    let paths = entries
        .iter()
        .map(|entry| {
            if entry.node == Node::Directory {
                format!("{}/", entry.path)
            } else {
                entry.path.clone()
            }
        })
        .collect();
    let file = format!("{}-{version}-{architecture}.pkg.tar.zst", package.name);
    Ok(PacmanPackage {
        name: package.name.clone(),
        version,
        file,
        bytes,
        signature,
        info,
        paths,
    })
}

fn lower(relation: &Relation) -> Result<String, VersionError> {
    Ok(match bound_of(relation, to_pacman)? {
        Some((sign, evr)) => format!("{}{sign}{evr}", relation.name),
        None => relation.name.clone(),
    })
}

/// The entries sorted by path, with every missing parent folder; hard links stay last.
pub(crate) fn with_parents(entries: &[Entry]) -> Vec<Entry> {
    let mut all: BTreeMap<String, Entry> = BTreeMap::new();
    let mut links = Vec::new();
    for entry in entries {
        let mut end = 0;
        while let Some(slash) = entry.path[end..].find('/') {
            end += slash;
            let parent = &entry.path[..end];
            let folder = || Entry::of_root(parent, Node::Directory, 0o755, u64::from(BUILD_TIME));
            all.entry(parent.to_owned()).or_insert_with(folder);
            end += 1;
        }
        if matches!(entry.node, Node::Hardlink(_)) {
            links.push(entry.clone());
        } else {
            all.insert(entry.path.clone(), entry.clone());
        }
    }
    all.into_values().chain(links).collect()
}

fn contents(entry: &Entry) -> &[u8] {
    match &entry.node {
        Node::File(contents) => contents,
        Node::Directory | Node::Symlink(_) | Node::Hardlink(_) => &[],
    }
}

/// Writes an archive whose bytes follow from its entries alone.
pub(crate) fn tar<'a>(entries: impl Iterator<Item = &'a Entry>) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(u64::from(entry.user.1));
        header.set_gid(u64::from(entry.group.1));
        header.set_username(&entry.user.0)?;
        header.set_groupname(&entry.group.0)?;
        header.set_mtime(entry.mtime.min(u64::from(BUILD_TIME)));
        header.set_size(0);
        match &entry.node {
            Node::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, format!("{}/", entry.path), std::io::empty())?;
            }
            Node::File(contents) => {
                if let Some(capability) = entry.capability {
                    append_attribute(&mut builder, &capability.attribute())?;
                }
                header.set_size(contents.len() as u64);
                builder.append_data(&mut header, &entry.path, contents.as_slice())?;
            }
            Node::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, &entry.path, target)?;
            }
            Node::Hardlink(target) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, &entry.path, target)?;
            }
        }
    }
    builder.into_inner()
}

/// Writes `security.capability` of the entry that comes next, as libarchive reads it (pax(1), and the
/// keyword of star).
fn append_attribute(builder: &mut tar::Builder<Vec<u8>>, value: &[u8]) -> std::io::Result<()> {
    let record = [b" SCHILY.xattr.security.capability=", value, b"\n"].concat();
    // The length counts its own digits, of which there are two.
    let record = [(record.len() + 2).to_string().as_bytes(), &record].concat();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(record.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(u64::from(BUILD_TIME));
    builder.append_data(&mut header, "PaxHeaders/capability", record.as_slice())
}

fn mtree<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    let all: Vec<&Entry> = entries.collect();
    let mut text = String::from("#mtree\n/set type=file uid=0 gid=0 mode=644\n");
    for entry in &all {
        let time = entry.mtime.min(u64::from(BUILD_TIME));
        let _ = write!(
            text,
            "./{} time={time}.0 uid={} gid={} mode={:o}",
            escape(&entry.path),
            entry.user.1,
            entry.group.1,
            entry.mode
        );
        let shown = match &entry.node {
            Node::Hardlink(target) => all
                .iter()
                .find(|other| other.path == *target)
                .copied()
                .unwrap_or(entry),
            Node::Directory | Node::File(_) | Node::Symlink(_) => entry,
        };
        let _ = match &shown.node {
            Node::Directory => writeln!(text, " type=dir"),
            Node::Symlink(target) => writeln!(text, " type=link link={}", escape(target)),
            Node::File(_) | Node::Hardlink(_) => writeln!(
                text,
                " size={} sha256digest={}",
                contents(shown).len(),
                sha256(contents(shown))
            ),
        };
    }
    text
}

/// Octal escapes for all but plain characters (mtree(5)).
fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\\#=*?[]".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "\\{byte:03o}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        crate::data::key(crate::data::ARCH_KEY).expect("the committed key")
    }

    fn sample() -> Package {
        let file = Entry::of_root("usr/share/a b/x", Node::File(b"text".to_vec()), 0o644, 5);
        let link = Entry::of_root(
            "usr/share/a b/y",
            Node::Hardlink("usr/share/a b/x".to_owned()),
            0o644,
            5,
        );
        let mut package = crate::made_up::packages()
            .expect("the committed list")
            .remove(0);
        package.requires = vec![
            vec![Relation::any("first"), Relation::any("installed")],
            vec![Relation::any("other")],
        ];
        package.entries = vec![file, link];
        package.scripts = vec![crate::scripts::Script {
            moment: crate::scripts::Moment::Postinst,
            text: "exit 3\n".to_owned(),
        }];
        package
    }

    #[test]
    fn two_writes_are_identical_and_hold_every_parent() {
        let base = BTreeSet::from(["installed".to_owned()]);
        let first = write(&sample(), &base, Some(&key())).expect("writes");
        assert_eq!(
            first.bytes,
            write(&sample(), &base, Some(&key())).expect("writes").bytes
        );
        assert_eq!(first.file, "assay-hello-1.0-1-any.pkg.tar.zst");
        assert_eq!(
            first.paths,
            [
                "usr/",
                "usr/share/",
                "usr/share/a b/",
                "usr/share/a b/x",
                "usr/share/a b/y"
            ]
        );
        let depends: Vec<&str> = first
            .info
            .iter()
            .filter(|(field, _)| *field == "depend")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(depends, ["installed", "other"]);
        let unpacked = zstd::decode_all(first.bytes.as_slice()).expect("our own package");
        let names: Vec<String> = tar::Archive::new(unpacked.as_slice())
            .entries()
            .expect("an archive")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .path()
                    .expect("a path")
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        assert_eq!(&names[..4], [".PKGINFO", ".INSTALL", ".MTREE", "usr/"]);
    }

    #[test]
    fn mtree_escapes_and_names_the_contents_of_links() {
        let text = mtree(with_parents(&sample().entries).iter());
        assert!(
            text.contains(
                "./usr/share/a\\040b/x time=5.0 uid=0 gid=0 mode=644 size=4 sha256digest="
            ),
            "{text}"
        );
        assert_eq!(text.matches("size=4").count(), 2);
        assert_eq!(escape("a#é"), "a\\043\\303\\251");
    }
}
