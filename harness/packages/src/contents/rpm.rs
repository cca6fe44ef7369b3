//! RPM packages: the header says everything, so the payload is not read. Its own digest stands in the
//! header, and whoever has the package's hash has the header's.

use std::io::{BufRead, Read};

use sha2::{Digest as _, Sha256};

use super::{
    Capabilities, MOST_FILES, MOST_KEPT, Owner, PackageContents, PackageError, PackageScript,
    PackagedFile, PackagedKind, absolute,
};

const LEAD: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const HEADER_MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];

/// Most entries of a header (rpm's own `hdrchkTags`).
const MOST_TAGS: u32 = 0xffff;

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

/// Scripts that run when other packages, or files of them, come and go: the texts' tag, the tag of what
/// runs them.
const TRIGGERS: [(&str, u32, u32); 3] = [
    ("%trigger", 1065, 1092),
    ("%filetrigger", 5066, 5067),
    ("%transfiletrigger", 5076, 5077),
];

/// `RPMFILE_CONFIG` and `RPMFILE_GHOST` of rpmfiles.h.
const CONFIG: u32 = 1;
const GHOST: u32 = 1 << 6;

/// `PGPHASHALGO_SHA256` of rpmpgp.h.
const SHA256: u32 = 8;

/// Reads a package.
pub(super) fn read(mut bytes: impl BufRead) -> Result<PackageContents, PackageError> {
    let mut lead = [0; LEAD];
    bytes.read_exact(&mut lead)?;
    if !lead.starts_with(&LEAD_MAGIC) {
        return Err(PackageError::Damaged("it does not begin as an RPM package"));
    }
    let signature = Header::read(&mut bytes)?;
    // The signatures are padded to eight bytes, the header is not.
    let pad = (8 - signature.store.len() % 8) % 8;
    bytes.read_exact(&mut [0; 8][..pad])?;
    contents(&Header::read(&mut bytes)?)
}

/// A header: an index of tags over a store of their values.
#[derive(Debug)]
struct Header {
    /// Tag, type, offset, count.
    index: Vec<[u32; 4]>,
    store: Vec<u8>,
}

impl Header {
    fn read(bytes: &mut impl Read) -> Result<Self, PackageError> {
        let mut intro = [0; 16];
        bytes.read_exact(&mut intro)?;
        if !intro.starts_with(&HEADER_MAGIC) {
            return Err(PackageError::Damaged("a header"));
        }
        let (tags, size) = (number(&intro[8..12]), number(&intro[12..16]));
        if tags > MOST_TAGS || u64::from(size) > MOST_KEPT {
            return Err(PackageError::TooLarge("a header"));
        }
        let mut index = Vec::new();
        for _ in 0..tags {
            let mut entry = [0; 16];
            bytes.read_exact(&mut entry)?;
            index.push([0, 4, 8, 12].map(|at| number(&entry[at..at + 4])));
        }
        let mut store = Vec::new();
        bytes.take(u64::from(size)).read_to_end(&mut store)?;
        if store.len() as u64 != u64::from(size) {
            return Err(PackageError::Damaged("a header that ends too soon"));
        }
        Ok(Self { index, store })
    }

    /// Where a tag's values begin, and how many there are.
    fn values(&self, tag: u32) -> Option<(&[u8], usize)> {
        let [_, _, offset, count] = self.index.iter().find(|entry| entry[0] == tag)?;
        let values = self.store.get(usize::try_from(*offset).ok()?..)?;
        Some((values, usize::try_from(*count).ok()?))
    }

    fn texts(&self, tag: u32) -> Vec<&[u8]> {
        let (mut rest, count) = self.values(tag).unwrap_or_default();
        let mut texts = Vec::new();
        while texts.len() < count {
            let Some(end) = rest.iter().position(|byte| *byte == 0) else {
                break;
            };
            texts.push(&rest[..end]);
            rest = &rest[end + 1..];
        }
        texts
    }

    fn text(&self, tag: u32) -> Option<String> {
        let texts = self.texts(tag);
        texts
            .first()
            .map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// Numbers of so many bytes each, most significant first.
    fn numbers(&self, tag: u32, width: usize) -> Vec<u64> {
        let (values, count) = self.values(tag).unwrap_or_default();
        let value = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        values.chunks_exact(width).take(count).map(value).collect()
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn contents(header: &Header) -> Result<PackageContents, PackageError> {
    let text = |tag| {
        let text = header.text(tag);
        text.ok_or(PackageError::Damaged(
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
    let triggers = TRIGGERS.iter().flat_map(|(phase, texts, programs)| {
        let programs = header.texts(*programs);
        let texts = header.texts(*texts).into_iter().enumerate();
        let of = move |(at, text): (usize, &[u8])| PackageScript {
            phase: (*phase).to_owned(),
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

fn files(header: &Header) -> Result<Files, PackageError> {
    let names = header.texts(tag::BASE_NAMES);
    let count = names.len();
    if count > MOST_FILES {
        return Err(PackageError::TooLarge("files"));
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
        return Err(PackageError::Damaged("its lists of files differ in length"));
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
        let folder = folder.ok_or(PackageError::Damaged("a file in no folder"))?;
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
                _ => PackagedKind::Special,
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
