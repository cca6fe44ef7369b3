//! Reads a `.deb`: control data and payload, bounded and checked (deb(5)).
//!
//! Takes bytes; opens no file and runs no maintainer script. Where to go next:
//! `ar` and `control` for the formats below, `crate::convert` for what becomes of it.

pub(crate) mod ar;
pub(crate) mod control;
pub(crate) mod payload;
pub(crate) mod relation;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use control::Paragraph;
use payload::Entry;

/// The control archive holds scripts, templates and lists: a few megabytes at most.
const MOST_CONTROL_BYTES: u64 = 64 << 20;
/// The largest payload that is unpacked.
const MOST_PAYLOAD_BYTES: u64 = 1 << 30;

/// A faulty `.deb`, or faulty text inside one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DebError {
    /// The outer archive is faulty.
    #[error("the package archive {0}")]
    Archive(&'static str),
    /// A member that must be there is not.
    #[error("the package has no member `{0}`")]
    MissingMember(&'static str),
    /// A member is compressed in a way deb(5) does not name.
    #[error("the member `{0}` is compressed in an unknown way")]
    Compression(String),
    /// A member is damaged, or larger than allowed.
    #[error("the member `{member}` cannot be unpacked: {reason}")]
    Unpack {
        /// The member.
        member: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The control data is faulty.
    #[error("the control data {0}")]
    Control(&'static str),
    /// A field that must be there is not.
    #[error("the control data has no field `{0}`")]
    MissingField(&'static str),
    /// A relation field is faulty.
    #[error("`{0}` is no relation to a package")]
    Relation(String),
    /// The payload holds something that is not converted.
    #[error("the payload entry `{path}` {reason}")]
    Entry {
        /// The path as the archive has it, shortened.
        path: String,
        /// Why it is refused.
        reason: &'static str,
    },
}

/// A question of a package's debconf templates, with the answer nobody was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Its name: `PACKAGE/WORD`.
    pub(crate) name: String,
    /// Its default, on one line.
    pub(crate) default: String,
}

/// A `.deb` that was read.
#[derive(Debug)]
pub(crate) struct Deb {
    /// The fields of the binary package.
    pub(crate) control: Paragraph,
    /// Paths of configuration files, without the leading slash, `/usr` merged.
    pub(crate) conffiles: BTreeSet<String>,
    /// The texts of its maintainer scripts, by name: `postinst`, …
    pub(crate) scripts: BTreeMap<String, String>,
    /// What it may ask through debconf (debconf-devel(7)).
    pub(crate) questions: Vec<Question>,
    /// The payload in the archive's order, `/usr` merged.
    pub(crate) entries: Vec<Entry>,
}

/// Reads a whole package.
///
/// # Errors
/// `DebError`, at the first fault.
pub(crate) fn read(bytes: &[u8]) -> Result<Deb, DebError> {
    let read = read_control_member(bytes)?;
    let (name, data) = member(bytes, "data.tar")?;
    let tar = unpack(name, data, MOST_PAYLOAD_BYTES)?;
    let entries = payload::entries(&tar)?;
    Ok(Deb {
        control: read.control,
        conffiles: read.conffiles,
        scripts: read.scripts,
        questions: read.questions,
        entries,
    })
}

/// Reads the control data alone.
///
/// # Errors
/// `DebError`, at the first fault.
pub(crate) fn read_control(bytes: &[u8]) -> Result<Paragraph, DebError> {
    read_control_member(bytes).map(|read| read.control)
}

struct Control {
    control: Paragraph,
    conffiles: BTreeSet<String>,
    scripts: BTreeMap<String, String>,
    questions: Vec<Question>,
}

fn read_control_member(bytes: &[u8]) -> Result<Control, DebError> {
    let version = ar::members(bytes)?;
    let version = version
        .first()
        .filter(|first| first.name == "debian-binary")
        .ok_or(DebError::MissingMember("debian-binary"))?;
    if !version.data.starts_with(b"2.") {
        return Err(DebError::Archive("is not of format 2"));
    }
    let (name, data) = member(bytes, "control.tar")?;
    let tar = unpack(name, data, MOST_CONTROL_BYTES)?;
    let mut control = None;
    let mut conffiles = BTreeSet::new();
    let mut scripts = BTreeMap::new();
    let mut questions = Vec::new();
    for entry in payload::entries(&tar)? {
        let payload::Node::File(contents) = entry.node else {
            continue;
        };
        let text = || String::from_utf8(contents).map_err(|_| DebError::Control("is not UTF-8"));
        match entry.path.as_str() {
            "control" => control = control::paragraphs(&text()?)?.into_iter().next(),
            "conffiles" => {
                // `remove-on-upgrade /path` names a file that the package does not ship.
                let paths = text()?;
                let shipped = paths.lines().filter(|line| line.starts_with('/'));
                conffiles.extend(
                    shipped.map(|line| payload::merge_usr(line.trim().trim_start_matches('/'))),
                );
            }
            name @ ("preinst" | "postinst" | "prerm" | "postrm") => {
                scripts.insert(name.to_owned(), text()?);
            }
            "templates" => questions = read_questions(&text()?)?,
            _ => {}
        }
    }
    Ok(Control {
        control: control.ok_or(DebError::MissingMember("control"))?,
        conffiles,
        scripts,
        questions,
    })
}

fn read_questions(templates: &str) -> Result<Vec<Question>, DebError> {
    let mut questions = Vec::new();
    for template in control::paragraphs(templates)? {
        // A name that is no plain word could not be asked for from a script.
        if let Some(name) = template.get("Template").filter(|name| is_question(name)) {
            let default = template.get("Default").unwrap_or_default();
            questions.push(Question {
                name: name.to_owned(),
                default: default.lines().next().unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(questions)
}

fn is_question(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/_.+-".contains(&byte))
}

fn member<'a>(bytes: &'a [u8], stem: &'static str) -> Result<(&'a str, &'a [u8]), DebError> {
    ar::members(bytes)?
        .into_iter()
        .find(|member| member.name.starts_with(stem))
        .map(|member| (member.name, member.data))
        .ok_or(DebError::MissingMember(stem))
}

fn unpack(name: &str, data: &[u8], most: u64) -> Result<Vec<u8>, DebError> {
    let fault = |reason: String| DebError::Unpack {
        member: name.to_owned(),
        reason,
    };
    let reader: Box<dyn Read + '_> = match name.rsplit_once(".tar").map(|(_, suffix)| suffix) {
        Some("") => Box::new(data),
        Some(".gz") => Box::new(flate2::read::MultiGzDecoder::new(data)),
        Some(".xz") => Box::new(liblzma::read::XzDecoder::new(data)),
        Some(".zst") => Box::new(
            zstd::stream::read::Decoder::new(data).map_err(|error| fault(error.to_string()))?,
        ),
        Some(_) | None => return Err(DebError::Compression(name.to_owned())),
    };
    let mut unpacked = Vec::new();
    reader
        .take(most + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| fault(error.to_string()))?;
    if unpacked.len() as u64 > most {
        return Err(fault(format!("it is larger than {most} bytes")));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, data) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            builder
                .append_data(&mut header, path, *data)
                .expect("writes to memory");
        }
        builder.into_inner().expect("writes to memory")
    }

    fn deb_of(control: &[(&str, &[u8])], data: &[(&str, &[u8])]) -> Vec<u8> {
        ar::write(
            &[
                ("debian-binary", b"2.0\n"),
                ("control.tar", &tar_of(control)),
                ("data.tar", &tar_of(data)),
            ],
            0,
        )
    }

    #[test]
    fn control_conffiles_scripts_and_payload_are_read() {
        let bytes = deb_of(
            &[
                ("./control", b"Package: a\nVersion: 1\n"),
                (
                    "./conffiles",
                    b"/etc/a.conf\nremove-on-upgrade /etc/old\n/lib/a.conf\n",
                ),
                ("./postinst", b"#!/bin/sh\n"),
                (
                    "./templates",
                    b"Template: a/port\nType: string\nDefault: 80\nDescription: port\n long\n\nTemplate: a/b$(x)\nType: note\n\nTemplate: a/note\nType: note\n",
                ),
            ],
            &[("./bin/a", b"x"), ("./etc/a.conf", b"y")],
        );
        let deb = read(&bytes).expect("well formed");
        assert_eq!(deb.control.get("Version"), Some("1"));
        assert_eq!(
            deb.conffiles.iter().map(String::as_str).collect::<Vec<_>>(),
            ["etc/a.conf", "usr/lib/a.conf"]
        );
        assert_eq!(deb.scripts["postinst"], "#!/bin/sh\n");
        let questions: Vec<(&str, &str)> = deb
            .questions
            .iter()
            .map(|question| (question.name.as_str(), question.default.as_str()))
            .collect();
        assert_eq!(questions, [("a/port", "80"), ("a/note", "")]);
        assert_eq!(deb.entries[0].path, "usr/bin/a");
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::copy(&mut std::io::repeat(0).take(2000), &mut encoder).expect("writes to memory");
        let packed = encoder.finish().expect("writes to memory");
        assert!(matches!(
            unpack("data.tar.gz", &packed, 1999),
            Err(DebError::Unpack { .. })
        ));
        assert_eq!(
            unpack("data.tar.gz", &packed, 2000).expect("fits").len(),
            2000
        );
    }

    #[test]
    fn wrong_packages_are_refused() {
        assert!(matches!(
            read(&ar::write(&[("control.tar", b"")], 0)),
            Err(DebError::MissingMember("debian-binary"))
        ));
        assert!(matches!(
            read(&ar::write(&[("debian-binary", b"3.0\n")], 0)),
            Err(DebError::Archive(_))
        ));
        assert!(matches!(
            read(&ar::write(&[("debian-binary", b"2.0\n")], 0)),
            Err(DebError::MissingMember("control.tar"))
        ));
        assert!(matches!(
            read(&deb_of(&[], &[])),
            Err(DebError::MissingMember("control"))
        ));
        assert!(matches!(
            unpack("data.tar.lz", b"", 1),
            Err(DebError::Compression(_))
        ));
        assert!(matches!(
            unpack("data.tar.xz", b"nonsense", 1),
            Err(DebError::Unpack { .. })
        ));
    }

    proptest! {
        #[test]
        fn flipped_bytes_are_answered(at in 0usize..2560, value: u8) {
            let mut bytes = deb_of(&[("./control", b"Package: a\nVersion: 1\n")], &[("./bin/a", b"x")]);
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = read(&bytes);
        }
    }
}
