//! Writes the apt repository of the made-up packages: `.deb` files, `Packages`,
//! `Release`, `InRelease`.
//!
//! Touches no file: gives paths and bytes. The formats are those of deb(5) and of
//! the repository format of Debian's wiki (`DebianRepository/Format`).

use std::fmt::Write as _;

use crate::arch::package::{tar, with_parents};
use crate::convert::Package;
use crate::deb::ar;
use crate::deb::control::Paragraph;
use crate::deb::payload::{Entry, Node};
use crate::deb::relation::{Comparison, Relation};
use crate::fedora::rpm_md::gzip;
use crate::files::sha256;
use crate::sign::{BUILD_TIME, SignError};
use crate::terms::Terms;

/// `BUILD_TIME` as `Release` writes times (RFC 5322).
const BUILD_DATE: &str = "Wed, 01 Jan 2025 00:00:00 UTC";

/// A repository that could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AptError {
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// An archive could not be written.
    #[error("cannot write an archive: {0}")]
    Archive(#[from] std::io::Error),
}

/// The files of the repository, relative to its root.
///
/// # Errors
/// `AptError`.
pub(crate) fn repository(
    packages: &[Package],
    terms: &Terms<'_>,
) -> Result<Vec<(String, Vec<u8>)>, AptError> {
    let mut files = Vec::new();
    let mut paragraphs = Vec::new();
    for package in packages {
        let mut control = control_of(package);
        let bytes = deb(package, &control)?;
        let path = format!("pool/main/{}_{}_all.deb", package.name, package.version);
        control.set("Filename", &path);
        control.set("Size", &terms.told(bytes.len()).to_string());
        control.set("SHA256", &sha256(&bytes));
        paragraphs.push(control.render());
        files.push((path, bytes));
    }
    paragraphs.sort();
    let index = paragraphs.join("\n").into_bytes();
    let packed = gzip(&index)?;

    let mut release = String::from(
        "Origin: Assay lab\nLabel: Assay lab\nSuite: stable\nCodename: stable\nArchitectures: amd64 arm64\nComponents: main\n\
         Description: Made-up packages, signed with a test key\n",
    );
    let _ = writeln!(release, "Date: {BUILD_DATE}");
    if let Some(time) = terms.valid_until {
        let _ = writeln!(release, "Valid-Until: {time}");
    }
    release.push_str("SHA256:\n");
    for architecture in ["amd64", "arm64"] {
        for (name, bytes) in [("Packages", &index), ("Packages.gz", &packed)] {
            let path = format!("main/binary-{architecture}/{name}");
            let _ = writeln!(release, " {} {:>8} {path}", sha256(bytes), bytes.len());
            files.push((format!("dists/stable/{path}"), bytes.clone()));
        }
    }
    if let Some(key) = terms.key {
        files.push((
            "dists/stable/InRelease".to_owned(),
            key.cleartext(&release)?,
        ));
        files.push((
            "dists/stable/Release.gpg".to_owned(),
            key.detached_armored(release.as_bytes())?,
        ));
    }
    files.push(("dists/stable/Release".to_owned(), release.into_bytes()));
    Ok(files)
}

fn control_of(package: &Package) -> Paragraph {
    let mut control = Paragraph::default();
    let size: usize = package
        .entries
        .iter()
        .map(|entry| match &entry.node {
            Node::File(contents) => contents.len().div_ceil(1024),
            Node::Directory | Node::Symlink(_) | Node::Hardlink(_) => 0,
        })
        .sum();
    control.set("Package", &package.name);
    control.set("Version", &package.version);
    control.set("Architecture", "all");
    control.set("Maintainer", "Assay lab <lab@lab.assay.test>");
    control.set("Installed-Size", &size.to_string());
    control.set("Section", "misc");
    control.set("Priority", "optional");
    if !package.requires.is_empty() {
        let groups: Vec<String> = package
            .requires
            .iter()
            .map(|group| group.iter().map(debian).collect::<Vec<_>>().join(" | "))
            .collect();
        control.set("Depends", &groups.join(", "));
    }
    for (field, relations) in [
        ("Provides", &package.provides),
        ("Conflicts", &package.conflicts),
    ] {
        if !relations.is_empty() {
            let relations: Vec<String> = relations.iter().map(debian).collect();
            control.set(field, &relations.join(", "));
        }
    }
    control.set("Description", &package.summary);
    control
}

fn debian(relation: &Relation) -> String {
    let Some((comparison, version)) = &relation.bound else {
        return relation.name.clone();
    };
    let sign = match comparison {
        Comparison::Earlier => "<<",
        Comparison::EarlierOrEqual => "<=",
        Comparison::Equal => "=",
        Comparison::LaterOrEqual => ">=",
        Comparison::Later => ">>",
    };
    format!("{} ({sign} {version})", relation.name)
}

fn deb(package: &Package, control: &Paragraph) -> Result<Vec<u8>, AptError> {
    let time = u64::from(BUILD_TIME);
    let folder = |path: &str| Entry::of_root(path, Node::Directory, 0o755, time);
    let mut members = vec![
        folder("."),
        Entry::of_root(
            "./control",
            Node::File(control.render().into_bytes()),
            0o644,
            time,
        ),
    ];
    for script in &package.scripts {
        let text = format!("#!/bin/sh\n{}", script.text);
        members.push(Entry::of_root(
            &format!("./{}", script.moment.name()),
            Node::File(text.into_bytes()),
            0o755,
            time,
        ));
    }
    let mut payload = vec![folder(".")];
    payload.extend(
        with_parents(&package.entries)
            .into_iter()
            .map(|entry| Entry {
                path: format!("./{}", entry.path),
                capability: None,
                ..entry
            }),
    );
    let control = gzip(&tar(members.iter())?)?;
    let data = gzip(&tar(payload.iter())?)?;
    Ok(ar::write(
        &[
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", &control),
            ("data.tar.gz", &data),
        ],
        time,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_reader_reads_the_packages_and_two_writes_are_identical() {
        let key = crate::data::key(crate::data::APT_KEY).expect("the committed key");
        let packages = crate::made_up::packages().expect("the committed list");
        let files = repository(&packages, &Terms::signed(&key)).expect("writes");
        assert_eq!(
            files,
            repository(&packages, &Terms::signed(&key)).expect("writes")
        );
        let find = |path: &str| {
            files
                .iter()
                .find(|(name, _)| name == path)
                .map(|(_, bytes)| bytes.clone())
                .expect(path)
        };
        let deb =
            crate::deb::read(&find("pool/main/assay-fails_1.0-1_all.deb")).expect("well formed");
        assert!(deb.scripts.contains_key("postinst"));
        assert!(
            deb.entries
                .iter()
                .any(|entry| entry.path == "usr/bin/assay-fails" && entry.mode == 0o755)
        );
        let index =
            String::from_utf8(find("dists/stable/main/binary-amd64/Packages")).expect("text");
        let read = crate::deb::control::paragraphs(&index).expect("well formed");
        assert_eq!(read.len(), packages.len());
        assert!(
            read.iter()
                .any(|paragraph| paragraph.get("Depends") == Some("assay-hello (>= 2.0-1)"))
        );
        let release = String::from_utf8(find("dists/stable/Release")).expect("text");
        assert!(release.contains(&sha256(index.as_bytes())));
    }
}
