//! RPM packages: the header says everything, so the payload is not read. Its own digest stands in the
//! header, and whoever has the package's hash has the header's.

use std::io::BufRead;

use sha2::{Digest as _, Sha256};

use super::rpm_header::{Header, Headers};
use super::{
    Capabilities, MOST_FILES, Owner, PackageContents, PackageScript, PackagedFile, PackagedKind,
    absolute,
};
use crate::unreadable::Unreadable;

/// Tags of rpmtag.h.
mod tag {
    pub(super) const NAME: u32 = 1000;
    pub(super) const VERSION: u32 = 1001;
    pub(super) const RELEASE: u32 = 1002;
    pub(super) const EPOCH: u32 = 1003;
    pub(super) const ARCH: u32 = 1022;
    pub(super) const SIZES: u32 = 1028;
    pub(super) const MODES: u32 = 1030;
    pub(super) const DIGESTS: u32 = 1035;
    pub(super) const LINKS: u32 = 1036;
    pub(super) const FLAGS: u32 = 1037;
    pub(super) const USERS: u32 = 1039;
    pub(super) const GROUPS: u32 = 1040;
    pub(super) const PROVIDES: u32 = 1047;
    pub(super) const FOLDER_INDEXES: u32 = 1116;
    pub(super) const BASE_NAMES: u32 = 1117;
    pub(super) const FOLDERS: u32 = 1118;
    pub(super) const LONG_SIZES: u32 = 5008;
    pub(super) const CAPABILITIES: u32 = 5010;
    pub(super) const DIGEST_KIND: u32 = 5011;
}

/// Scripts: when, the text's tag, the tag of what runs it.
const SCRIPTS: [(&str, u32, u32); 9] = [
    ("%pretrans", 1151, 1153),
    ("%pre", 1023, 1085),
    ("%post", 1024, 1086),
    ("%preun", 1025, 1087),
    ("%postun", 1026, 1088),
    ("%posttrans", 1152, 1154),
    ("%preuntrans", 5103, 5105),
    ("%postuntrans", 5104, 5106),
    ("%verify", 1079, 1091),
];

/// What rpm has a shell run, from 4.19 on, for every file of a package that asks for users and groups
/// (sysusers.d(5)): `COMMAND --replace FILE -`, with the lines on standard input. The command is
/// `%__systemd_sysusers` of its macros: the first of these as rpm comes, the second where a
/// distribution has it so. Which it is the package does not say.
const SYSUSERS: [&str; 2] = ["/usr/lib/rpm/sysusers.sh", "/usr/bin/systemd-sysusers"];
const SYSUSERS_FOLDER: &[u8] = b"/usr/lib/sysusers.d/";

/// How the names begin of what such a package provides (rpm's `rpmdsIsSysuser`).
const SYSUSERS_PROVIDES: [&[u8]; 3] = [b"user(", b"group(", b"groupmember("];

/// Scripts that run when other packages, or files of them, come and go, by the tags of rpmtag.h.
struct Trigger {
    /// How the name begins of when it runs.
    phase: &'static str,
    texts: u32,
    /// What runs each text.
    programs: u32,
    /// When each condition holds.
    flags: u32,
    /// Which text each condition is of.
    indexes: u32,
}

const TRIGGERS: [Trigger; 3] = [
    Trigger {
        phase: "%trigger",
        texts: 1065,
        programs: 1092,
        flags: 1068,
        indexes: 1069,
    },
    Trigger {
        phase: "%filetrigger",
        texts: 5066,
        programs: 5067,
        flags: 5072,
        indexes: 5070,
    },
    Trigger {
        phase: "%transfiletrigger",
        texts: 5076,
        programs: 5077,
        flags: 5082,
        indexes: 5080,
    },
];

/// `RPMSENSE_TRIGGERIN` and its relatives of rpmds.h, and how the name ends of when such a trigger runs.
const SENSES: [(u64, &str); 4] = [
    (1 << 16, "in"),
    (1 << 17, "un"),
    (1 << 18, "postun"),
    (1 << 25, "prein"),
];

/// `RPMFILE_CONFIG` and `RPMFILE_GHOST` of rpmfiles.h.
const CONFIG: u32 = 1;
const GHOST: u32 = 1 << 6;

/// `PGPHASHALGO_SHA256` of rpmpgp.h.
const SHA256: u32 = 8;

/// Reads a package.
pub(super) fn read(bytes: impl BufRead) -> Result<PackageContents, Unreadable> {
    contents(&Headers::read(bytes)?.main)
}

fn contents(header: &Header) -> Result<PackageContents, Unreadable> {
    let text = |tag| {
        let text = header.text(tag);
        text.ok_or(Unreadable::Damaged(
            "its header lacks name, version or machine",
        ))
    };
    let epoch = header.numbers(tag::EPOCH, 4).first().copied();
    let epoch = epoch
        .filter(|epoch| *epoch > 0)
        .map(|epoch| format!("{epoch}:"));
    let (version, release) = (text(tag::VERSION)?, text(tag::RELEASE)?);
    let (files, configuration) = files(header)?;
    let mut scripts = scripts(header);
    scripts.extend(sysusers(header, &files));
    Ok(PackageContents {
        name: text(tag::NAME)?,
        version: format!("{}{version}-{release}", epoch.unwrap_or_default()),
        architecture: text(tag::ARCH)?,
        files,
        scripts,
        configuration,
    })
}

fn scripts(header: &Header) -> Vec<PackageScript> {
    let plain = SCRIPTS.iter().filter_map(|(phase, text, program)| {
        let texts = header.texts(*text);
        let program = header.text(*program);
        // A program alone is run without a text: `%post -p /sbin/ldconfig`.
        (!texts.is_empty() || program.is_some()).then(|| PackageScript {
            phase: (*phase).to_owned(),
            interpreter: program.unwrap_or_else(|| "/bin/sh".to_owned()),
            sha256: Sha256::digest(texts.first().copied().unwrap_or_default()).into(),
        })
    });
    let triggers = TRIGGERS.iter().flat_map(|trigger| {
        let programs = header.texts(trigger.programs);
        let (flags, indexes) = (
            header.numbers(trigger.flags, 4),
            header.numbers(trigger.indexes, 4),
        );
        let when = move |at: usize| {
            let of = indexes.iter().position(|index| *index == at as u64);
            let flags = of.and_then(|of| flags.get(of)).copied().unwrap_or_default();
            let sense = SENSES.iter().find(|(flag, _)| flags & flag != 0);
            sense.map_or("", |(_, word)| *word)
        };
        let texts = header.texts(trigger.texts).into_iter().enumerate();
        let of = move |(at, text): (usize, &[u8])| PackageScript {
            phase: format!("{}{}", trigger.phase, when(at)),
            interpreter: programs
                .get(at)
                .map_or_else(|| "/bin/sh".into(), |one| String::from_utf8_lossy(one))
                .into_owned(),
            sha256: Sha256::digest(text).into(),
        };
        texts.map(of).collect::<Vec<_>>()
    });
    plain.chain(triggers).collect()
}

/// The scripts that rpm makes of a package's users and groups, which stand in no package.
fn sysusers(header: &Header, files: &[PackagedFile]) -> Vec<PackageScript> {
    let asks = header.texts(tag::PROVIDES).into_iter().any(|name| {
        let mut begins = SYSUSERS_PROVIDES.iter();
        begins.any(|begin| name.starts_with(begin))
    });
    if !asks {
        return Vec::new();
    }
    let files = files
        .iter()
        .map(|file| &*file.path)
        .filter(|path| path.starts_with(SYSUSERS_FOLDER) && path.ends_with(b".conf"));
    // What is asked for by the package alone has no file.
    let arguments: Vec<Vec<u8>> = files
        .map(|path| [b" --replace ", path, b" -"].concat())
        .chain([b" -".to_vec()])
        .collect();
    let commands = SYSUSERS.iter().flat_map(|command| {
        let text = |arguments: &Vec<u8>| [command.as_bytes(), arguments].concat();
        arguments.iter().map(text).collect::<Vec<_>>()
    });
    let script = |text: Vec<u8>| PackageScript {
        phase: "%sysusers".to_owned(),
        interpreter: "/bin/sh".to_owned(),
        sha256: Sha256::digest(text).into(),
    };
    commands.map(script).collect()
}

type Files = (Vec<PackagedFile>, Vec<Vec<u8>>);

fn files(header: &Header) -> Result<Files, Unreadable> {
    let names = header.texts(tag::BASE_NAMES);
    let count = names.len();
    if count > MOST_FILES {
        return Err(Unreadable::TooLarge("files"));
    }
    let folders = header.texts(tag::FOLDERS);
    let of_folder = header.numbers(tag::FOLDER_INDEXES, 4);
    let modes = header.numbers(tag::MODES, 2);
    let flags = header.numbers(tag::FLAGS, 4);
    let digests = header.texts(tag::DIGESTS);
    let links = header.texts(tag::LINKS);
    let (users, groups) = (header.texts(tag::USERS), header.texts(tag::GROUPS));
    let capabilities = header.texts(tag::CAPABILITIES);
    let sizes = match header.numbers(tag::LONG_SIZES, 8) {
        long if long.is_empty() => header.numbers(tag::SIZES, 4),
        long => long,
    };
    let is_sha256 = header.numbers(tag::DIGEST_KIND, 4).first() == Some(&u64::from(SHA256));
    let whole = [
        of_folder.len(),
        modes.len(),
        flags.len(),
        digests.len(),
        links.len(),
        users.len(),
        groups.len(),
        sizes.len(),
    ];
    if whole.iter().any(|length| *length != count) {
        return Err(Unreadable::Damaged("its lists of files differ in length"));
    }
    let owner = |name: &[u8]| Owner {
        name: String::from_utf8_lossy(name).into_owned(),
        id: None,
    };
    let (mut files, mut configuration) = (Vec::with_capacity(count), Vec::new());
    for (at, name) in names.iter().enumerate() {
        let folder = usize::try_from(of_folder[at])
            .ok()
            .and_then(|at| folders.get(at));
        let folder = folder.ok_or(Unreadable::Damaged("a file in no folder"))?;
        let path = absolute(&[*folder, *name].concat())?;
        let mode = u32::try_from(modes[at]).unwrap_or_default();
        let kind = if flags[at] & u64::from(GHOST) != 0 {
            PackagedKind::Ghost
        } else {
            match mode & 0o170_000 {
                0o100_000 => PackagedKind::File {
                    size: sizes[at],
                    sha256: digest(digests[at]).filter(|_| is_sha256),
                },
                0o040_000 => PackagedKind::Folder,
                0o120_000 => PackagedKind::Symlink(links[at].to_vec()),
                0o010_000 => PackagedKind::Fifo,
                0o140_000 => PackagedKind::Socket,
                0o020_000 => PackagedKind::CharDevice,
                0o060_000 => PackagedKind::BlockDevice,
                _ => return Err(Unreadable::Damaged("a file of no kind that is known")),
            }
        };
        if flags[at] & u64::from(CONFIG) != 0 {
            configuration.push(path.clone());
        }
        let capability = capabilities.get(at).filter(|text| !text.is_empty());
        files.push(PackagedFile {
            path,
            kind,
            mode: mode & 0o7777,
            user: owner(users[at]),
            group: owner(groups[at]),
            capabilities: capability
                .map(|text| Capabilities::Text(String::from_utf8_lossy(text).into_owned())),
        });
    }
    Ok((files, configuration))
}

/// 64 hex digits as bytes.
fn digest(hex: &[u8]) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}
