//! Writes the rpm-md index of a repository: `repodata/` with a signed `repomd.xml`.
//!
//! Touches no file: gives paths and bytes. What createrepo_c(8) writes is the model;
//! revision and timestamps are fixed.

use std::fmt::Write as _;
use std::io::Write as _;

use rpm::{Dependency, DependencyFlags, FileType};

use super::rpm::Rpm;
use crate::files::sha256;
use crate::sign::{BUILD_TIME, SignError};
use crate::terms::Terms;

/// A repository whose index could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// A package's headers cannot be read back.
    #[error("cannot index `{package}`: {source}")]
    Header {
        /// The package's file name.
        package: String,
        /// Why.
        source: Box<rpm::Error>,
    },
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Compression failed.
    #[error("cannot compress an index: {0}")]
    Compress(#[from] std::io::Error),
}

const COMMON: &str = "http://linux.duke.edu/metadata/common";
const FILELISTS: &str = "http://linux.duke.edu/metadata/filelists";
const OTHER: &str = "http://linux.duke.edu/metadata/other";
const RPM: &str = "http://linux.duke.edu/metadata/rpm";
const REPO: &str = "http://linux.duke.edu/metadata/repo";
const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The files of `repodata/`, relative to the repository, packages sorted by file name.
///
/// # Errors
/// `IndexError`.
pub(crate) fn index(
    packages: &[Rpm],
    terms: &Terms<'_>,
) -> Result<Vec<(String, Vec<u8>)>, IndexError> {
    let mut sorted: Vec<&Rpm> = packages.iter().collect();
    sorted.sort_by(|a, b| a.file.cmp(&b.file));
    let count = sorted.len();
    let mut primary =
        format!("{XML}<metadata xmlns=\"{COMMON}\" xmlns:rpm=\"{RPM}\" packages=\"{count}\">\n");
    let mut filelists = format!("{XML}<filelists xmlns=\"{FILELISTS}\" packages=\"{count}\">\n");
    let mut other = format!("{XML}<otherdata xmlns=\"{OTHER}\" packages=\"{count}\">\n");
    for package in sorted {
        describe(package, terms, &mut primary, &mut filelists, &mut other).map_err(|source| {
            IndexError::Header {
                package: package.file.clone(),
                source: Box::new(source),
            }
        })?;
    }
    primary.push_str("</metadata>\n");
    filelists.push_str("</filelists>\n");
    other.push_str("</otherdata>\n");

    let mut files = Vec::new();
    let mut repomd = format!(
        "{XML}<repomd xmlns=\"{REPO}\" xmlns:rpm=\"{RPM}\">\n  <revision>{BUILD_TIME}</revision>\n"
    );
    for (kind, text) in [
        ("primary", primary),
        ("filelists", filelists),
        ("other", other),
    ] {
        let packed = gzip(text.as_bytes())?;
        let hash = sha256(&packed);
        let path = format!("repodata/{hash}-{kind}.xml.gz");
        let _ = write!(
            repomd,
            "  <data type=\"{kind}\">\n    <checksum type=\"sha256\">{hash}</checksum>\n    \
             <open-checksum type=\"sha256\">{}</open-checksum>\n    <location href=\"{path}\"/>\n    \
             <timestamp>{BUILD_TIME}</timestamp>\n    <size>{}</size>\n    <open-size>{}</open-size>\n  </data>\n",
            sha256(text.as_bytes()),
            packed.len(),
            text.len(),
        );
        files.push((path, packed));
    }
    repomd.push_str("</repomd>\n");
    if let Some(key) = terms.key {
        files.push((
            "repodata/repomd.xml.asc".to_owned(),
            key.detached_armored(repomd.as_bytes())?,
        ));
    }
    files.push(("repodata/repomd.xml".to_owned(), repomd.into_bytes()));
    Ok(files)
}

/// Compresses with no name and no time in the header.
pub(crate) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn describe(
    package: &Rpm,
    terms: &Terms<'_>,
    primary: &mut String,
    filelists: &mut String,
    other: &mut String,
) -> Result<(), rpm::Error> {
    let data = &package.metadata;
    let hash = sha256(&package.signed.bytes);
    let (name, arch) = (escape(data.get_name()?), data.get_arch()?);
    let (epoch, version, release) = (
        data.get_epoch().unwrap_or(0),
        data.get_version()?,
        data.get_release()?,
    );
    let location = &package.file;
    let evr = format!("<version epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/>");
    let installed = data.get_installed_size()?;
    let _ = write!(
        primary,
        "<package type=\"rpm\">\n  <name>{name}</name>\n  <arch>{arch}</arch>\n  {evr}\n  \
         <checksum type=\"sha256\" pkgid=\"YES\">{hash}</checksum>\n  <summary>{}</summary>\n  \
         <description>{}</description>\n  <packager>{}</packager>\n  <url>{}</url>\n  \
         <time file=\"{BUILD_TIME}\" build=\"{BUILD_TIME}\"/>\n  \
         <size package=\"{}\" installed=\"{installed}\" archive=\"{installed}\"/>\n  \
         <location href=\"{}\"/>\n  <format>\n    <rpm:license>{}</rpm:license>\n    <rpm:vendor>{}</rpm:vendor>\n    \
         <rpm:group>Unspecified</rpm:group>\n    <rpm:buildhost>{}</rpm:buildhost>\n    <rpm:sourcerpm></rpm:sourcerpm>\n    \
         <rpm:header-range start=\"{}\" end=\"{}\"/>\n",
        escape(data.get_summary()?),
        escape(data.get_description()?),
        escape(data.get_packager().unwrap_or_default()),
        escape(data.get_url().unwrap_or_default()),
        terms.told(package.signed.bytes.len()),
        escape(location),
        escape(data.get_license()?),
        escape(data.get_vendor().unwrap_or_default()),
        escape(data.get_build_host().unwrap_or_default()),
        package.signed.header_start,
        package.signed.header_end,
    );
    for (element, dependencies) in [
        ("provides", data.get_provides()?),
        ("requires", data.get_requires()?),
        ("conflicts", data.get_conflicts()?),
    ] {
        relations(primary, element, &dependencies);
    }
    let head = format!("<package pkgid=\"{hash}\" name=\"{name}\" arch=\"{arch}\">\n  {evr}\n");
    filelists.push_str(&head);
    for entry in data.get_file_entries()? {
        let path = entry.path();
        let path = path.to_string_lossy();
        let kind = if entry.mode().file_type() == FileType::Dir {
            " type=\"dir\""
        } else {
            ""
        };
        let line = format!("<file{kind}>{}</file>\n", escape(&path));
        // The rule of createrepo_c: what scripts and programs are asked for by path.
        if path.contains("bin/") || path.starts_with("/etc/") || path == "/usr/lib/sendmail" {
            primary.push_str("    ");
            primary.push_str(&line);
        }
        filelists.push_str("  ");
        filelists.push_str(&line);
    }
    primary.push_str("  </format>\n</package>\n");
    filelists.push_str("</package>\n");
    other.push_str(&head);
    other.push_str("</package>\n");
    Ok(())
}

fn relations(xml: &mut String, element: &str, dependencies: &[Dependency]) {
    let mut lines: Vec<String> = Vec::new();
    for dependency in dependencies
        .iter()
        .filter(|dependency| !dependency.name.starts_with("rpmlib("))
    {
        let mut line = format!("      <rpm:entry name=\"{}\"", escape(&dependency.name));
        if let Some(sign) = comparison(dependency.flags) {
            let (epoch, rest) = dependency
                .version
                .split_once(':')
                .unwrap_or(("0", &dependency.version));
            let (version, release) = rest
                .split_once('-')
                .map_or((rest, None), |(v, r)| (v, Some(r)));
            let _ = write!(
                line,
                " flags=\"{sign}\" epoch=\"{epoch}\" ver=\"{}\"",
                escape(version)
            );
            if let Some(release) = release {
                let _ = write!(line, " rel=\"{}\"", escape(release));
            }
        }
        if element == "requires"
            && dependency
                .flags
                .intersects(DependencyFlags::SCRIPT_PRE | DependencyFlags::SCRIPT_POST)
        {
            line.push_str(" pre=\"1\"");
        }
        line.push_str("/>\n");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if !lines.is_empty() {
        let _ = write!(
            xml,
            "    <rpm:{element}>\n{}    </rpm:{element}>\n",
            lines.concat()
        );
    }
}

fn comparison(flags: DependencyFlags) -> Option<&'static str> {
    let has = |flag| flags.contains(flag);
    match (
        has(DependencyFlags::LESS),
        has(DependencyFlags::GREATER),
        has(DependencyFlags::EQUAL),
    ) {
        (true, _, true) => Some("LE"),
        (true, _, false) => Some("LT"),
        (false, true, true) => Some("GE"),
        (false, true, false) => Some("GT"),
        (false, false, true) => Some("EQ"),
        (false, false, false) => None,
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            character if character.is_control() => {}
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn unpack(bytes: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_string(&mut text)
            .expect("our own index");
        text
    }

    #[test]
    fn the_index_names_hashes_ranges_and_relations() {
        let key = crate::data::key(crate::data::RPM_KEY).expect("the committed key");
        let packages: Vec<Rpm> = crate::made_up::packages()
            .expect("the committed list")
            .iter()
            .map(|package| super::super::rpm::write(package, Some(&key)).expect("writes"))
            .collect();
        let files = index(&packages, &Terms::signed(&key)).expect("indexes");
        assert_eq!(
            files,
            index(&packages, &Terms::signed(&key)).expect("indexes")
        );
        assert_eq!(files.len(), 5);
        let primary = unpack(&files[0].1);
        assert!(files[0].0.contains(&sha256(&files[0].1)));
        assert!(primary.contains(
            "<rpm:entry name=\"assay-hello\" flags=\"GE\" epoch=\"0\" ver=\"2.0\" rel=\"1\"/>"
        ));
        assert!(
            primary.contains("<file>/usr/bin/assay-hello</file>") && !primary.contains("rpmlib(")
        );
        assert!(primary.contains("name=\"/bin/sh\" pre=\"1\""));
        let header = packages[0].signed.header_start;
        assert_eq!(
            packages[0].signed.bytes[header..header + 3],
            [0x8e, 0xad, 0xe8]
        );
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(
            escape("a<b>&\"c\"\u{1b}\n"),
            "a&lt;b&gt;&amp;&quot;c&quot;\n"
        );
    }
}
