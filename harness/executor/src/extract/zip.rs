//! Entries of a zip file (PKWARE's APPNOTE.TXT, the sections named below): stored or deflated, with
//! zip64's sizes and with Unix modes and links in the external attributes.
//!
//! The directory at the end is read and judged whole before the first entry is handed on. What two
//! readers could understand differently is refused: a name that is there twice, one that differs
//! in the entry's own header, bytes before the first entry, entries that share bytes.

use std::collections::BTreeSet;
use std::io::{BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::entry::{self, Entry, Kind, MAX_NAME};
use super::fault::{EntryFault, ExtractError};
use super::tar::damaged;
use super::{MAX_ENTRIES, Visit, read_exactly};

/// Most bytes of the directory.
const MAX_DIRECTORY: u64 = 64 << 20;

/// Bytes of the record that ends a zip file, without its comment (4.3.16).
const END: usize = 22;

/// Most bytes of its comment.
const MAX_COMMENT: u64 = u16::MAX as u64;

/// Bytes of the record that says where zip64's own is (4.3.15), and of that (4.3.14).
const LOCATOR: u64 = 20;
const END64: usize = 56;

/// Bytes of an entry in the directory (4.3.12) and of its own header (4.3.7), without names.
const RECORD: usize = 46;
const HEADER: usize = 30;

/// The file type in a Unix mode (inode(7)).
const TYPE: u32 = 0o170_000;

/// Hands every entry on, in the order of the directory.
pub(super) fn each<F: Read + Seek>(
    file: &mut F,
    most_bytes: u64,
    visit: &mut Visit<'_>,
) -> Result<(), ExtractError> {
    let members = directory(file, most_bytes)?;
    for member in members {
        let fault = |fault| ExtractError::entry(&member.name, fault);
        go(file, member.offset)?;
        let mut header = [0; HEADER];
        read_exactly(file, &mut header)?;
        let mut name = vec![0; usize::from(u16_at(&header, 26))];
        read_exactly(file, &mut name)?;
        if &header[..4] != b"PK\x03\x04" || name != member.name {
            return Err(damaged("an entry's own header differs from the directory"));
        }
        let extra = i64::from(u16_at(&header, 28));
        file.seek(SeekFrom::Current(extra))
            .map_err(ExtractError::reading)?;
        let stored = BufReader::new(Read::by_ref(file).take(member.stored));
        let mut content = Checked {
            content: match member.method {
                0 => Box::new(stored) as Box<dyn Read + '_>,
                _ => Box::new(DeflateDecoder::new(stored)),
            },
            left: member.size,
            sum: Crc::new(),
            stated: member.crc,
        };
        let kind = match member.kind {
            Type::Folder => Kind::Folder,
            Type::File => Kind::File {
                size: member.size,
                sparse: false,
            },
            Type::Symlink => {
                if member.size > MAX_NAME as u64 {
                    return Err(fault(EntryFault::BadTarget));
                }
                let mut target = Vec::new();
                content
                    .read_to_end(&mut target)
                    .map_err(ExtractError::reading)?;
                Kind::Symlink(target)
            }
        };
        let entry = Entry {
            name: member.name,
            kind,
            mode: member.mode,
            modified: member.modified,
        };
        visit(entry, &mut content)?;
    }
    Ok(())
}

/// What the directory says of an entry.
struct Member {
    name: Vec<u8>,
    kind: Type,
    mode: u32,
    modified: Option<i64>,
    method: u16,
    crc: u32,
    /// Bytes of it in the file.
    stored: u64,
    /// Bytes of its content.
    size: u64,
    /// Where its own header is.
    offset: u64,
}

#[derive(Clone, Copy)]
enum Type {
    Folder,
    File,
    Symlink,
}

/// Reads the directory and judges it.
fn directory<F: Read + Seek>(file: &mut F, most_bytes: u64) -> Result<Vec<Member>, ExtractError> {
    let place = find_directory(file)?;
    if place.entries > MAX_ENTRIES {
        return Err(ExtractError::TooManyEntries(MAX_ENTRIES));
    }
    let most = MAX_DIRECTORY;
    let bytes = usize::try_from(place.bytes).ok();
    let bytes = bytes.filter(|_| place.bytes <= most);
    let mut records = vec![
        0;
        bytes.ok_or(ExtractError::Memory {
            what: "the directory",
            most,
        })?
    ];
    go(file, place.offset)?;
    read_exactly(file, &mut records)?;
    let mut rest = records.as_slice();
    let mut members = Vec::new();
    let mut names = BTreeSet::new();
    let (mut size, mut stored) = (0_u64, 0_u64);
    for _ in 0..place.entries {
        let (member, after) = read_record(rest)?;
        rest = after;
        let path = entry::components(&member.name)
            .map_err(|fault| ExtractError::entry(&member.name, fault))?
            .join(&b'/');
        if !names.insert(path) {
            return Err(ExtractError::entry(&member.name, EntryFault::Twice));
        }
        size = size.saturating_add(member.size);
        let whole = HEADER as u64 + member.name.len() as u64;
        stored = stored.saturating_add(member.stored.saturating_add(whole));
        members.push(member);
    }
    if !rest.is_empty() {
        return Err(damaged("the directory holds more entries than it says"));
    }
    if stored > place.offset {
        return Err(damaged("entries share bytes"));
    }
    if size > most_bytes {
        return Err(ExtractError::TooLarge(most_bytes));
    }
    Ok(members)
}

/// Where the directory is.
struct Place {
    entries: u64,
    bytes: u64,
    offset: u64,
}

/// Finds the directory by the record that ends the file.
fn find_directory<F: Read + Seek>(file: &mut F) -> Result<Place, ExtractError> {
    let end = file.seek(SeekFrom::End(0)).map_err(ExtractError::reading)?;
    let tail = end.min(END as u64 + MAX_COMMENT);
    go(file, end - tail)?;
    let mut last = vec![0; usize::try_from(tail).unwrap_or(0)];
    read_exactly(file, &mut last)?;
    // The comment must reach to the end of the file, so that one record is the right one.
    let at = (0..=last.len().saturating_sub(END)).rev().find(|at| {
        let record = &last[*at..];
        record.len() >= END
            && record.starts_with(b"PK\x05\x06")
            && record.len() - END == usize::from(u16_at(record, 20))
    });
    let at = at.ok_or_else(|| damaged("the directory of the zip file is missing"))?;
    let record = &last[at..];
    let record_offset = end - (last.len() - at) as u64;
    if [u16_at(record, 4), u16_at(record, 6)] != [0, 0] || u16_at(record, 8) != u16_at(record, 10) {
        // zip64 has 0xffff here where it has the numbers itself.
        if !needs_zip64(record) {
            return Err(damaged("it is one of several volumes"));
        }
    }
    let (place, directory_end) = if needs_zip64(record) {
        find_zip64(file, record_offset)?
    } else {
        let place = Place {
            entries: u16_at(record, 10).into(),
            bytes: u32_at(record, 12).into(),
            offset: u32_at(record, 16).into(),
        };
        (place, record_offset)
    };
    if place.offset.checked_add(place.bytes) != Some(directory_end) {
        return Err(damaged(
            "the directory of the zip file is not where it says",
        ));
    }
    Ok(place)
}

/// True if a number in the record is the one that means "see zip64" (4.4.1.4).
fn needs_zip64(record: &[u8]) -> bool {
    u16_at(record, 10) == u16::MAX
        || u32_at(record, 12) == u32::MAX
        || u32_at(record, 16) == u32::MAX
}

/// Where the directory is by zip64's records, and where those begin.
fn find_zip64<F: Read + Seek>(file: &mut F, before: u64) -> Result<(Place, u64), ExtractError> {
    let missing = || damaged("the zip64 record is missing");
    let mut locator = [0; LOCATOR as usize];
    go(file, before.checked_sub(LOCATOR).ok_or_else(missing)?)?;
    read_exactly(file, &mut locator)?;
    let offset = u64_at(&locator, 8);
    if !locator.starts_with(b"PK\x06\x07") || offset >= before {
        return Err(missing());
    }
    let mut record = [0; END64];
    go(file, offset)?;
    read_exactly(file, &mut record)?;
    let several = [u32_at(&record, 16), u32_at(&record, 20)] != [0, 0];
    if !record.starts_with(b"PK\x06\x06") || several {
        return Err(missing());
    }
    let place = Place {
        entries: u64_at(&record, 32),
        bytes: u64_at(&record, 40),
        offset: u64_at(&record, 48),
    };
    Ok((place, offset))
}

/// Reads one entry of the directory; also what follows it.
fn read_record(records: &[u8]) -> Result<(Member, &[u8]), ExtractError> {
    let broken = || damaged("an entry of the directory cannot be understood");
    let (record, rest) = records.split_at_checked(RECORD).ok_or_else(broken)?;
    if !record.starts_with(b"PK\x01\x02") {
        return Err(broken());
    }
    let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(record, at)));
    let (name, rest) = rest.split_at_checked(name).ok_or_else(broken)?;
    let (extra, rest) = rest.split_at_checked(extra).ok_or_else(broken)?;
    let (_, rest) = rest.split_at_checked(comment).ok_or_else(broken)?;
    let fault = |fault| ExtractError::entry(name, fault);
    let flags = u16_at(record, 8);
    // Encrypted, strongly encrypted, or the directory itself is (4.4.4).
    if flags & 0x2041 != 0 {
        return Err(fault(EntryFault::Encrypted));
    }
    if std::str::from_utf8(name).is_err() {
        return Err(fault(EntryFault::NotUtf8));
    }
    if name.contains(&b'\\') {
        return Err(fault(EntryFault::Backslash));
    }
    let method = u16_at(record, 10);
    if !matches!(method, 0 | 8) {
        return Err(fault(EntryFault::Method(method)));
    }
    let mut member = Member {
        name: name.to_vec(),
        kind: Type::File,
        mode: 0,
        modified: dos_time(u16_at(record, 14), u16_at(record, 12)),
        method,
        crc: u32_at(record, 16),
        stored: u32_at(record, 20).into(),
        size: u32_at(record, 24).into(),
        offset: u32_at(record, 42).into(),
    };
    take_extra(&mut member, extra)?;
    (member.kind, member.mode) = attributes(record, name).map_err(fault)?;
    if method == 0 && member.stored != member.size {
        return Err(damaged("a stored entry has two sizes"));
    }
    Ok((member, rest))
}

/// What an entry is, and its mode. Only Unix and macOS say so (4.4.2).
fn attributes(record: &[u8], name: &[u8]) -> Result<(Type, u32), EntryFault> {
    let external = u32_at(record, 38);
    let unix = matches!(record[5], 3 | 19);
    let mode = if unix { external >> 16 } else { 0 };
    let slash = name.ends_with(b"/");
    let kind = match mode & TYPE {
        0 if slash || (!unix && external & 0x10 != 0) => Type::Folder,
        0o040_000 => Type::Folder,
        0o100_000 if slash => Type::Folder,
        0 | 0o100_000 => Type::File,
        0o120_000 if !slash => Type::Symlink,
        0o010_000 => return Err(EntryFault::Special("named pipe")),
        0o020_000 => return Err(EntryFault::Special("character device")),
        0o060_000 => return Err(EntryFault::Special("block device")),
        0o140_000 => return Err(EntryFault::Special("socket")),
        other => return Err(EntryFault::UnknownKind(format!("{other:o}"))),
    };
    let usual = match kind {
        Type::Folder => 0o755,
        Type::File | Type::Symlink => 0o644,
    };
    let mode = mode & 0o7777;
    Ok((kind, if mode == 0 { usual } else { mode }))
}

/// Takes what extra fields say: zip64's sizes (4.5.3), and Info-ZIP's time in UTC (0x5455).
fn take_extra(member: &mut Member, mut extra: &[u8]) -> Result<(), ExtractError> {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let Some((field, rest)) = rest.split_at_checked(u16_at(head, 2).into()) else {
            return Ok(());
        };
        extra = rest;
        match (u16_at(head, 0), field) {
            (1, mut field) => {
                // Only the numbers that have no room in the record stand here, in this order.
                for number in [&mut member.size, &mut member.stored, &mut member.offset] {
                    if *number == u64::from(u32::MAX) {
                        let (first, rest) = field
                            .split_first_chunk::<8>()
                            .ok_or_else(|| damaged("a zip64 field is too short"))?;
                        *number = u64::from_le_bytes(*first);
                        field = rest;
                    }
                }
            }
            (0x5455, [flags, time @ ..]) if flags & 1 == 1 => {
                if let Some(time) = time.first_chunk() {
                    member.modified = Some(i32::from_le_bytes(*time).into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A date and time of DOS (4.4.6), taken as UTC, in seconds since 1970.
fn dos_time(date: u16, time: u16) -> Option<i64> {
    let part =
        |number: u16, shift: u16, bits: u16| i64::from((number >> shift) & ((1 << bits) - 1));
    let (year, month, day) = (1980 + part(date, 9, 7), part(date, 5, 4), part(date, 0, 5));
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // Years that begin in March put the leap day last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = part(time, 11, 5) * 3600 + part(time, 5, 6) * 60 + part(time, 0, 5) * 2;
    // 719,468 days lie between the first of March of the year 0 and 1970.
    Some((days - 719_468) * 86_400 + seconds)
}

/// Content that must have the size and checksum the directory says.
struct Checked<'a> {
    content: Box<dyn Read + 'a>,
    left: u64,
    sum: Crc,
    stated: u32,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let wrong = |what: &str| damaged(what).into_io();
        let read = self.content.read(buffer)?;
        if read == 0 {
            if self.left > 0 {
                return Err(wrong("an entry ends too early"));
            }
            if self.sum.sum() != self.stated {
                return Err(wrong("the checksum of an entry is wrong"));
            }
            return Ok(0);
        }
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| wrong("an entry is longer than it says"))?;
        self.sum.update(&buffer[..read]);
        Ok(read)
    }
}

fn go<F: Seek>(file: &mut F, offset: u64) -> Result<(), ExtractError> {
    file.seek(SeekFrom::Start(offset))
        .map(drop)
        .map_err(ExtractError::reading)
}

/// Little-endian numbers; the fields were cut to length before.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_dos_are_dates() {
        // 2024-02-29 12:34:56.
        let date = (44 << 9) | (2 << 5) | 29;
        let time = (12 << 11) | (34 << 5) | 28;
        assert_eq!(dos_time(date, time), Some(1_709_210_096));
        assert_eq!(dos_time((1 << 5) | 1, 0), Some(315_532_800));
        assert_eq!(dos_time(0, 0), None);
    }
}
