//! Writes one signed rpm from a neutral package.
//!
//! Touches no file. Format 4, which rpm 4 and rpm 6 both read; gzip payload.
//! The index over many packages is `super::rpm_md`.

use rpm::{
    BuildConfig, CompressionWithLevel, Dependency, FileMode, FileOptions, PackageBuilder,
    PackageMetadata, Scriptlet, Timestamp,
};

use super::signature::{self, Signed};
use crate::convert::{Package, bound_of};
use crate::deb::payload::{Entry, Node};
use crate::deb::relation::Relation;
use crate::scripts::{self, Moment};
use crate::sign::{BUILD_TIME, Key, SignError};
use crate::version::{VersionError, to_rpm};

/// Higher levels cost more time than the smaller packages save.
const PAYLOAD_LEVEL: u32 = 4;

/// A package that could not be written as rpm.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpmError {
    /// The writer refused it.
    #[error("cannot write `{package}` as rpm: {source}")]
    Write {
        /// The package.
        package: String,
        /// Why.
        source: Box<rpm::Error>,
    },
    /// A version is faulty.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A written rpm.
#[derive(Debug)]
pub(crate) struct Rpm {
    /// `NAME-VERSION-RELEASE.ARCH.rpm`
    pub(crate) file: String,
    /// The whole package, signed.
    pub(crate) signed: Signed,
    /// Its headers, from which the index is made.
    pub(crate) metadata: PackageMetadata,
}

/// Writes a package, and signs it if there is a key.
///
/// # Errors
/// `RpmError` when a version or a path cannot be expressed.
pub(crate) fn write(package: &Package, key: Option<&Key>) -> Result<Rpm, RpmError> {
    let fault = |source: rpm::Error| RpmError::Write {
        package: package.name.clone(),
        source: Box::new(source),
    };
    let evr = to_rpm(&package.version)?;
    let architecture = if package.any_architecture {
        "noarch"
    } else {
        "x86_64"
    };
    let license = format!("see /usr/share/doc/{}/copyright", package.name);
    let mut builder = PackageBuilder::new(
        &package.name,
        &evr.version,
        &license,
        architecture,
        &package.summary,
    );
    builder
        .using_config(
            BuildConfig::v4()
                .source_date(BUILD_TIME)
                .compression(CompressionWithLevel::Gzip(PAYLOAD_LEVEL))
                .reserved_space(None),
        )
        .release(evr.release.as_str())
        .description(package.description.as_str())
        .vendor("Assay lab")
        .packager("Assay lab (converted)")
        .build_host("lab.assay.test");
    if evr.epoch > 0 {
        builder.epoch(evr.epoch);
    }
    if !package.homepage.is_empty() {
        builder.url(package.homepage.as_str());
    }
    for group in &package.requires {
        builder.requires(group_of(group)?);
    }
    for relation in &package.provides {
        builder.provides(dependency(relation)?);
    }
    for relation in &package.conflicts {
        builder.conflicts(dependency(relation)?);
    }
    for script in &package.scripts {
        let scriptlet = Scriptlet::new(scripts::for_rpm(script));
        match script.moment {
            Moment::Preinst => builder.pre_install_script(scriptlet),
            Moment::Postinst => builder.post_install_script(scriptlet),
            Moment::Prerm => builder.pre_uninstall_script(scriptlet),
            Moment::Postrm => builder.post_uninstall_script(scriptlet),
        };
    }
    for (path, text) in &package.file_triggers {
        builder.trans_file_trigger_in(path, None, Scriptlet::new(text.as_str()));
        builder.trans_file_trigger_postun(path, None, Scriptlet::new(text.as_str()));
    }
    for entry in &package.entries {
        add(&mut builder, package, entry).map_err(fault)?;
    }
    let built = builder.build().map_err(fault)?;
    let mut unsigned = Vec::new();
    built.write(&mut unsigned).map_err(fault)?;
    let at = built.metadata.get_package_segment_offsets();
    let position = |offset: u64| {
        usize::try_from(offset)
            .unwrap_or(unsigned.len())
            .min(unsigned.len())
    };
    let (signature, header, payload) = (
        position(at.signature_header),
        position(at.header),
        position(at.payload),
    );
    let signed = signature::sign(
        &unsigned[..signature],
        &unsigned[header..payload],
        &unsigned[payload..],
        key,
    )?;
    let file = format!(
        "{}-{}-{}.{architecture}.rpm",
        package.name, evr.version, evr.release
    );
    Ok(Rpm {
        file,
        signed,
        metadata: built.metadata,
    })
}

fn add(builder: &mut PackageBuilder, package: &Package, entry: &Entry) -> Result<(), rpm::Error> {
    let path = format!("/{}", entry.path);
    let permissions = u16::try_from(entry.mode & 0o7777).unwrap_or(0o644);
    let time = Timestamp(u32::try_from(entry.mtime).unwrap_or(BUILD_TIME));
    let linked = |path: &str| {
        let path = path.to_owned();
        package
            .entries
            .iter()
            .any(|other| matches!(&other.node, Node::Hardlink(target) if *target == path))
    };
    match &entry.node {
        Node::Directory => {
            let options = FileOptions::dir(path).mode(FileMode::dir(permissions));
            builder.with_dir_entry(
                options
                    .user(&entry.user.0)
                    .group(&entry.group.0)
                    .modified_at(time),
            )?;
        }
        Node::Symlink(target) => {
            let options = FileOptions::symlink(path, target);
            builder.with_symlink(
                options
                    .user(&entry.user.0)
                    .group(&entry.group.0)
                    .modified_at(time),
            )?;
        }
        Node::File(contents) => {
            let mut options = FileOptions::new(path).mode(FileMode::regular(permissions));
            if package.conffiles.contains(&entry.path) {
                options = options.config().noreplace();
            }
            if linked(&entry.path) {
                options = options.hardlink(&entry.path);
            }
            if let Some(capability) = entry.capability {
                options = options.caps(capability.text())?;
            }
            let options = options
                .user(&entry.user.0)
                .group(&entry.group.0)
                .modified_at(time);
            builder.with_file_contents(contents.as_slice(), options)?;
        }
        Node::Hardlink(target) => {
            // All names of a file share its owner, mode and time.
            if let Some(first) = package.entries.iter().find(|other| other.path == *target)
                && let Node::File(contents) = &first.node
            {
                let permissions = u16::try_from(first.mode & 0o7777).unwrap_or(0o644);
                let time = Timestamp(u32::try_from(first.mtime).unwrap_or(BUILD_TIME));
                let options = FileOptions::new(path)
                    .mode(FileMode::regular(permissions))
                    .hardlink(target);
                let options = options.user(&first.user.0).group(&first.group.0);
                builder.with_file_contents(contents.as_slice(), options.modified_at(time))?;
            }
        }
    }
    Ok(())
}

/// Alternatives become a rich dependency (rpm's `doc/manual/boolean_dependencies`).
fn group_of(group: &[Relation]) -> Result<Dependency, VersionError> {
    let [single] = group else {
        let parts: Result<Vec<String>, VersionError> = group
            .iter()
            .map(|relation| {
                Ok(match bound_of(relation, to_rpm)? {
                    Some((sign, evr)) => format!("{} {sign} {evr}", relation.name),
                    None => relation.name.clone(),
                })
            })
            .collect();
        return Ok(Dependency::any(format!("({})", parts?.join(" or "))));
    };
    dependency(single)
}

fn dependency(relation: &Relation) -> Result<Dependency, VersionError> {
    let name = relation.name.as_str();
    Ok(match bound_of(relation, to_rpm)? {
        None => Dependency::any(name),
        Some(("<", evr)) => Dependency::less(name, evr.to_string()),
        Some(("<=", evr)) => Dependency::less_eq(name, evr.to_string()),
        Some((">=", evr)) => Dependency::greater_eq(name, evr.to_string()),
        Some((">", evr)) => Dependency::greater(name, evr.to_string()),
        Some((_, evr)) => Dependency::eq(name, evr.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::relation::Comparison;
    use std::collections::{BTreeMap, BTreeSet};

    fn sample() -> Package {
        let file = |path: &str| {
            Entry::of_root(
                path,
                Node::File(b"#!/bin/sh\n".to_vec()),
                0o4755,
                1_700_000_000,
            )
        };
        let mut tool = file("usr/bin/tool");
        tool.group = ("shadow".to_owned(), 42);
        Package {
            name: "tool".to_owned(),
            version: "1:2.0~rc1-3+deb13u1".to_owned(),
            any_architecture: false,
            summary: "a tool".to_owned(),
            description: "a tool\nfor tests".to_owned(),
            homepage: String::new(),
            requires: vec![
                vec![Relation {
                    name: "glibc".to_owned(),
                    bound: Some((Comparison::LaterOrEqual, "2.38".to_owned())),
                }],
                vec![
                    Relation::any("a"),
                    Relation {
                        name: "b".to_owned(),
                        bound: Some((Comparison::Earlier, "1-2".to_owned())),
                    },
                ],
            ],
            provides: vec![Relation::any("/bin/tool")],
            conflicts: vec![],
            entries: vec![
                Entry::of_root("etc/tool.conf", Node::File(vec![]), 0o644, 0),
                Entry::of_root("usr/share/tool", Node::Directory, 0o755, 4_000_000_000),
                Entry::of_root(
                    "usr/share/tool/link",
                    Node::Symlink("../x".to_owned()),
                    0o777,
                    0,
                ),
                tool,
                Entry::of_root(
                    "usr/bin/tool2",
                    Node::Hardlink("usr/bin/tool".to_owned()),
                    0o4755,
                    1_700_000_000,
                ),
            ],
            conffiles: BTreeSet::from(["etc/tool.conf".to_owned()]),
            scripts: vec![crate::scripts::Script {
                moment: Moment::Postinst,
                text: "exit 3\n".to_owned(),
            }],
            file_triggers: BTreeMap::from([("/usr/lib".to_owned(), "ldconfig\n".to_owned())]),
        }
    }

    #[test]
    fn two_writes_are_identical_and_carry_what_was_asked() {
        let key = crate::data::key(crate::data::RPM_KEY).expect("the committed key");
        let first = write(&sample(), Some(&key)).expect("writes");
        assert_eq!(
            first.signed.bytes,
            write(&sample(), Some(&key)).expect("writes").signed.bytes
        );
        assert_eq!(first.file, "tool-2.0~rc1-3+deb13u1.x86_64.rpm");
        let read = rpm::Package::parse(&mut first.signed.bytes.as_slice())
            .expect("a package")
            .metadata;
        assert_eq!(
            read.get_evr().expect("versioned").to_string(),
            "1:2.0~rc1-3+deb13u1"
        );
        let requires: Vec<String> = read
            .get_requires()
            .expect("has some")
            .into_iter()
            .map(|d| format!("{} {}", d.name, d.version))
            .collect();
        assert!(
            requires.contains(&"glibc 2.38-0".to_owned()),
            "{requires:?}"
        );
        assert!(
            requires.contains(&"(a or b < 1-2) ".to_owned()),
            "{requires:?}"
        );
        let entries = read.get_file_entries().expect("has some");
        let tool = entries
            .iter()
            .find(|entry| entry.path().ends_with("tool2"))
            .expect("shipped");
        assert_eq!(tool.size(), 10);
    }
}
