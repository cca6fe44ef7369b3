//! Entries of a tar archive: ustar and pax (POSIX.1-2017, `pax`), GNU's long names and sparse files
//! (GNU tar manual, "Basic Tar Format"), and the older format without a magic.
//!
//! What two readers could understand differently is refused: links and folders with content,
//! unknown kinds, global headers that rename. Owners, devices' numbers and extended attributes are
//! passed over. Names are not judged here, only bounded.

use std::io::{self, Read};

use super::Visit;
use super::entry::{Entry, Kind, MAX_NAME};
use super::fault::{EntryFault, ExtractError};
use super::read_exactly;
use super::sparse::{self, Map, PaxSparse};

/// Bytes of a header and of the unit that everything is padded to.
pub(super) const BLOCK: usize = 512;

/// Most bytes of a pax header: maps of sparse files and attributes of files stand in it.
const MAX_PAX: u64 = 1 << 20;

/// A header as it stands in the archive.
pub(super) type Block = [u8; BLOCK];

/// Hands every entry of an archive on, in order, then reads to the end of the stream, so that
/// whatever checksum stands there is verified.
pub(super) fn each<R: Read>(mut archive: R, visit: &mut Visit<'_>) -> Result<(), ExtractError> {
    let mut said = Said::default();
    while let Some(header) = next_header(&mut archive)? {
        let size = stated_size(&header, &said)?;
        match header[156] {
            b'x' | b'X' => {
                let records = held(&mut archive, size, MAX_PAX, "a pax header")?;
                each_record(&records, |key, value| said.take(key, value))?;
            }
            b'g' => {
                let records = held(&mut archive, size, MAX_PAX, "a pax header")?;
                each_record(&records, refuse_global)?;
            }
            b'L' => said.long_name = Some(long_text(&mut archive, size)?),
            b'K' => said.long_link = Some(long_text(&mut archive, size)?),
            // A label of the volume names no file.
            b'V' => skip(&mut archive, padded(size)?)?,
            kind => {
                let said = std::mem::take(&mut said);
                entry(&mut archive, &header, kind, size, said, visit)?;
            }
        }
    }
    io::copy(&mut archive, &mut io::sink()).map_err(ExtractError::reading)?;
    Ok(())
}

/// True for a block that is a header: its checksum holds.
pub(super) fn is_header(header: &Block) -> bool {
    let stated = octal(&header[148..156]);
    let unsigned = |byte: &u8| u64::from(*byte);
    // Old archives sum the bytes as signed ones.
    let signed = |byte: &u8| i64::from(byte.cast_signed());
    let blank = 8 * u64::from(b' ');
    let parts = || header[..148].iter().chain(&header[156..]);
    let sums = (
        parts().map(unsigned).sum::<u64>() + blank,
        parts().map(signed).sum::<i64>() + blank.cast_signed(),
    );
    stated.is_some_and(|stated| stated == sums.0 || i64::try_from(stated) == Ok(sums.1))
}

/// The next header; `None` at the end of the archive, or of the stream.
fn next_header(archive: &mut dyn Read) -> Result<Option<Block>, ExtractError> {
    let mut header = [0; BLOCK];
    let mut filled = 0;
    while filled < BLOCK {
        match archive.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(damaged("it ends within a header")),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ExtractError::reading(error)),
        }
    }
    if header.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if !is_header(&header) {
        return Err(damaged("the checksum of a header is wrong"));
    }
    Ok(Some(header))
}

/// What headers before an entry's own said about it.
#[derive(Debug, Default)]
struct Said {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<i64>,
    sparse: PaxSparse,
}

impl Said {
    /// Takes one record of a pax header.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), ExtractError> {
        match key {
            b"path" => self.name = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => {
                let size = decimal(value).ok_or_else(|| damaged("a pax header's size"))?;
                self.size = Some(size);
            }
            b"mtime" => self.modified = seconds(value),
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(key, value)?;
                }
            }
        }
        Ok(())
    }
}

/// Headers for all entries that follow say where a file of git comes from; one that renames or
/// resizes whatever follows is not taken.
fn refuse_global(key: &[u8], _: &[u8]) -> Result<(), ExtractError> {
    if matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.") {
        return Err(damaged("a global header names or resizes what follows"));
    }
    Ok(())
}

/// Hands one entry on and passes over what is left of its content.
fn entry(
    archive: &mut dyn Read,
    header: &Block,
    kind: u8,
    size: u64,
    said: Said,
    visit: &mut Visit<'_>,
) -> Result<(), ExtractError> {
    let sparse_name = said.sparse.name.clone();
    let name = sparse_name
        .or(said.name)
        .or(said.long_name)
        .unwrap_or_else(|| own_name(header));
    let link = || {
        let said = said.link.or(said.long_link);
        said.unwrap_or_else(|| text(&header[157..257]).to_vec())
    };
    let fault = |fault| ExtractError::entry(&name, fault);
    let mode = octal(&header[100..108]).unwrap_or(0) & 0o7777;
    let mut entry = Entry {
        name: name.clone(),
        kind: Kind::Folder,
        mode: u32::try_from(mode).unwrap_or(0),
        modified: said.modified.or_else(|| signed_number(&header[136..148])),
    };
    let mut data = Data {
        left: size,
        archive,
    };
    let folder = name.ends_with(b"/");
    match kind {
        // Before POSIX a folder was a file whose name ends in a slash.
        b'5' => {}
        b'0' | 0 | b'7' if folder => {}
        b'0' | 0 | b'7' | b'S' => {
            let map = if kind == b'S' {
                Some(sparse::old_gnu(header, &mut data)?)
            } else {
                said.sparse.map(&mut data)?
            };
            let padding = padding(size);
            match map {
                None => {
                    entry.kind = Kind::File {
                        size,
                        sparse: false,
                    };
                    visit(entry, &mut data)?;
                }
                Some(map) => visit_sparse(entry, map, &mut data, visit)?,
            }
            let rest = data.left;
            return skip(data.archive, rest.saturating_add(padding));
        }
        b'1' => entry.kind = Kind::HardLink(link()),
        b'2' => entry.kind = Kind::Symlink(link()),
        b'3' => return Err(fault(EntryFault::Special("character device"))),
        b'4' => return Err(fault(EntryFault::Special("block device"))),
        b'6' => return Err(fault(EntryFault::Special("named pipe"))),
        other => {
            let shown = (other as char).escape_default();
            return Err(fault(EntryFault::UnknownKind(format!("`{shown}`"))));
        }
    }
    if size != 0 {
        return Err(fault(EntryFault::Content));
    }
    visit(entry, &mut io::empty())
}

fn visit_sparse(
    mut entry: Entry,
    map: Map,
    data: &mut Data<'_>,
    visit: &mut Visit<'_>,
) -> Result<(), ExtractError> {
    entry.kind = Kind::File {
        size: map.size,
        sparse: true,
    };
    let mut content = sparse::Expanded::new(map, data)?;
    visit(entry, &mut content)
}

/// The content of an entry as it stands in the archive.
pub(super) struct Data<'a> {
    /// How much of it is still to be read.
    pub(super) left: u64,
    /// What it is read from.
    pub(super) archive: &'a mut dyn Read,
}

impl Data<'_> {
    /// Reads a block that belongs to the header.
    pub(super) fn header_block(&mut self) -> Result<Block, ExtractError> {
        let mut block = [0; BLOCK];
        read_exactly(self.archive, &mut block)?;
        Ok(block)
    }
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = self.archive.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// The size of what follows a header.
fn stated_size(header: &Block, said: &Said) -> Result<u64, ExtractError> {
    match header[156] {
        // What a pax header says is about the entry, not about the headers before it.
        b'x' | b'X' | b'g' | b'L' | b'K' => number(&header[124..136]),
        // POSIX leaves the field of these undefined, and some writers put in the file's size.
        b'1' if said.size.is_none() && is_gnu(header) => Some(0),
        _ => said.size.or_else(|| number(&header[124..136])),
    }
    .ok_or_else(|| damaged("the size of an entry is no number"))
}

fn is_gnu(header: &Block) -> bool {
    &header[257..265] == b"ustar  \0"
}

/// The name in the header itself; ustar has a prefix for it.
fn own_name(header: &Block) -> Vec<u8> {
    let name = text(&header[..100]);
    let prefix = if &header[257..263] == b"ustar\0" {
        text(&header[345..500])
    } else {
        b""
    };
    if prefix.is_empty() {
        name.to_vec()
    } else {
        [prefix, name].join(&b'/')
    }
}

/// The text of a field, up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

/// The name or target of an entry that its own header has no room for; some writers end it with a
/// NUL.
fn long_text(archive: &mut dyn Read, size: u64) -> Result<Vec<u8>, ExtractError> {
    let mut name = held(archive, size, MAX_NAME as u64 + 1, "the name of an entry")?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// Reads something whole, with its padding, that is small enough to be held in memory.
fn held(
    archive: &mut dyn Read,
    size: u64,
    most: u64,
    what: &'static str,
) -> Result<Vec<u8>, ExtractError> {
    let bytes = usize::try_from(size).ok().filter(|_| size <= most);
    let mut held = vec![0; bytes.ok_or(ExtractError::Memory { what, most })?];
    read_exactly(archive, &mut held)?;
    skip(archive, padding(size))?;
    Ok(held)
}

fn skip(archive: &mut dyn Read, bytes: u64) -> Result<(), ExtractError> {
    let skipped = io::copy(&mut archive.take(bytes), &mut io::sink());
    if skipped.map_err(ExtractError::reading)? < bytes {
        return Err(damaged("it ends too early"));
    }
    Ok(())
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn padded(size: u64) -> Result<u64, ExtractError> {
    size.checked_next_multiple_of(BLOCK as u64)
        .ok_or_else(|| damaged("the size of an entry is no number"))
}

/// Hands on the records of a pax header: `LENGTH KEY=VALUE\n`, the length that of the whole record.
fn each_record(
    mut records: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), ExtractError>,
) -> Result<(), ExtractError> {
    let broken = || damaged("a pax header cannot be understood");
    while !records.is_empty() {
        // Some writers fill the block.
        if records.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let space = records.iter().position(|byte| *byte == b' ');
        let space = space.ok_or_else(broken)?;
        let length = decimal(&records[..space]).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or_else(broken)?;
        let record = records.get(space + 1..length).ok_or_else(broken)?;
        let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
        let equals = record.iter().position(|byte| *byte == b'=');
        let (key, value) = record.split_at(equals.ok_or_else(broken)?);
        take(key, &value[1..])?;
        records = &records[length..];
    }
    Ok(())
}

/// A number of a header: octal digits, or big-endian binary if the first bit is set (GNU).
pub(super) fn number(field: &[u8]) -> Option<u64> {
    signed_number(field).and_then(|number| u64::try_from(number).ok())
}

fn signed_number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        return octal(field).and_then(|number| i64::try_from(number).ok());
    }
    // The second bit is the sign, and what does not fit is no number.
    let start = if first & 0x40 == 0 {
        i64::from(first & 0x3f)
    } else {
        i64::from((first | 0x80).cast_signed())
    };
    rest.iter().try_fold(start, |number, byte| {
        number.checked_mul(256)?.checked_add(i64::from(*byte))
    })
}

/// Octal digits between blanks and NULs; a blank field is 0, as every reader has it.
fn octal(field: &[u8]) -> Option<u64> {
    let blank = |byte: &u8| matches!(*byte, b' ' | 0);
    let start = field.iter().position(|byte| !blank(byte));
    let digits = start.map_or(&field[..0], |start| &field[start..]);
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0_u64, |number, digit| {
        let digit = (*digit as char).to_digit(8)?;
        number.checked_mul(8)?.checked_add(digit.into())
    })
}

/// Decimal digits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    text.parse().ok()
}

/// The whole seconds of a pax time, rounded down; `None` for what is no time.
fn seconds(time: &[u8]) -> Option<i64> {
    let whole = time.split(|byte| *byte == b'.').next()?;
    match whole.strip_prefix(b"-") {
        Some(digits) => i64::try_from(decimal(digits)?).ok()?.checked_neg(),
        None => i64::try_from(decimal(whole)?).ok(),
    }
}

/// The archive contradicts itself.
pub(super) fn damaged(what: &str) -> ExtractError {
    ExtractError::Damaged(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777\0"), Some(0o77_777_777_777));
        assert_eq!(number(b"8\0"), None);
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(1 << 33));
        assert_eq!(number(b"\xff\xff\xff\xff"), None, "a negative size");
        assert_eq!(signed_number(b"\xff\xff\xff\xff"), Some(-1));
        assert_eq!(number(&[0xff; 12]), None);
        assert_eq!(
            number(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            None
        );
    }

    #[test]
    fn records_of_pax_headers_state_their_length() {
        let mut seen = Vec::new();
        each_record(b"10 a=b c\n8 k==v=\n", |key, value| {
            seen.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .expect_err("a length that does not fit");
        each_record(b"8 a=b\nc\n8 k==v=\n\0\0", |key, value| {
            seen.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .expect("read");
        let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
        assert_eq!(seen, [pair(b"a", b"b\nc"), pair(b"k", b"=v=")]);
        for bad in [
            b"1 a=b\n".as_slice(),
            b"99 a=b\n",
            b"x a=b\n",
            b"6 abc\n",
            b"6 a=bc",
            b"-6 a=b\n",
            b"+6 a=b\n",
        ] {
            assert!(each_record(bad, |_, _| Ok(())).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_are_rounded_to_seconds() {
        assert_eq!(seconds(b"1700000000.123456"), Some(1_700_000_000));
        assert_eq!(seconds(b"-5"), Some(-5));
        assert_eq!(seconds(b"soon"), None);
    }
}
