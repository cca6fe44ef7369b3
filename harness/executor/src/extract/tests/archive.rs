//! Archives for tests, byte by byte, so that they can be as wrong as a test needs them.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;

/// A tar entry, its header in the format of GNU tar.
pub(super) fn entry(kind: u8, name: &[u8], mode: u32, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
    header[108..115].copy_from_slice(b"0001750");
    header[116..123].copy_from_slice(b"0001750");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[136..147].copy_from_slice(b"14524770360");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar  \0");
    sealed(header, content)
}

/// A header with its checksum, and the padded content.
pub(super) fn sealed(mut header: [u8; 512], content: &[u8]) -> Vec<u8> {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(super) fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(b'0', name.as_bytes(), 0o644, b"", content)
}

pub(super) fn folder(name: &str, mode: u32) -> Vec<u8> {
    entry(b'5', name.as_bytes(), mode, b"", b"")
}

pub(super) fn symlink(name: &str, target: &str) -> Vec<u8> {
    entry(b'2', name.as_bytes(), 0o777, target.as_bytes(), b"")
}

pub(super) fn hard_link(name: &str, target: &str) -> Vec<u8> {
    entry(b'1', name.as_bytes(), 0o644, target.as_bytes(), b"")
}

/// A pax header for the entry after it.
pub(super) fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut content = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while rest + length.to_string().len() != length {
            length += 1;
        }
        content.push_str(&format!("{length} {key}={value}\n"));
    }
    entry(kind, b"PaxHeaders/x", 0o644, b"", content.as_bytes())
}

/// Entries and the two blocks of zeros that end an archive.
pub(super) fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

/// A member of a zip file.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    /// The name in the entry's own header, if it differs.
    pub(super) own_name: Option<Vec<u8>>,
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
    pub(super) method: u16,
    pub(super) flags: u16,
    /// Sizes in zip64's field alone.
    pub(super) zip64: bool,
    /// What is said of the content's size, if it is a lie.
    pub(super) stated: Option<u32>,
    /// A checksum and sizes after the content instead of before it.
    pub(super) descriptor: bool,
}

pub(super) fn member(name: &str, mode: u32, content: &[u8]) -> Member {
    Member {
        name: name.as_bytes().to_vec(),
        own_name: None,
        content: content.to_vec(),
        mode,
        method: 8,
        flags: 0,
        zip64: false,
        stated: None,
        descriptor: false,
    }
}

pub(super) fn zip(members: &[Member]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let offset = bytes.len();
        let stored = if member.method == 8 {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&member.content).expect("written");
            encoder.finish().expect("finished")
        } else {
            member.content.clone()
        };
        let mut sum = flate2::Crc::new();
        sum.update(&member.content);
        let size = member
            .stated
            .unwrap_or(u32::try_from(member.content.len()).expect("small"));
        let packed = u32::try_from(stored.len()).expect("small");
        let mut extra = Vec::new();
        let (mut shown, mut shown_packed) = (size, packed);
        if member.zip64 {
            extra.extend([1, 0, 16, 0]);
            extra.extend(u64::from(size).to_le_bytes());
            extra.extend(u64::from(packed).to_le_bytes());
            (shown, shown_packed) = (u32::MAX, u32::MAX);
        }
        let flags = member.flags | if member.descriptor { 8 } else { 0 };
        let fields = |name: &[u8], sum: u32, packed: u32, size: u32, extra: &[u8]| {
            let mut fields = Vec::new();
            fields.extend(20_u16.to_le_bytes());
            fields.extend(flags.to_le_bytes());
            fields.extend(member.method.to_le_bytes());
            fields.extend(0_u16.to_le_bytes());
            fields.extend(((40_u16 << 9) | (1 << 5) | 1).to_le_bytes());
            fields.extend(sum.to_le_bytes());
            fields.extend(packed.to_le_bytes());
            fields.extend(size.to_le_bytes());
            fields.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
            fields.extend(u16::try_from(extra.len()).expect("short").to_le_bytes());
            fields
        };
        let own = member.own_name.as_ref().unwrap_or(&member.name);
        bytes.extend(b"PK\x03\x04");
        if member.descriptor {
            bytes.extend(fields(own, 0, 0, 0, &extra));
        } else {
            bytes.extend(fields(own, sum.sum(), shown_packed, shown, &extra));
        }
        bytes.extend(own);
        bytes.extend(&extra);
        bytes.extend(&stored);
        if member.descriptor {
            bytes.extend(b"PK\x07\x08");
            for number in [sum.sum(), packed, size] {
                bytes.extend(number.to_le_bytes());
            }
        }
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(fields(&member.name, sum.sum(), shown_packed, shown, &extra));
        directory.extend([0; 6]);
        directory.extend((member.mode << 16).to_le_bytes());
        directory.extend(u32::try_from(offset).expect("small").to_le_bytes());
        directory.extend(&member.name);
        directory.extend(&extra);
    }
    let (offset, length) = (bytes.len(), directory.len());
    bytes.extend(directory);
    let entries = u16::try_from(members.len()).expect("few").to_le_bytes();
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([entries, entries].concat());
    bytes.extend(u32::try_from(length).expect("small").to_le_bytes());
    bytes.extend(u32::try_from(offset).expect("small").to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}
