//! Sparse files of tar: which parts of a file its content holds, in the four ways GNU tar writes
//! that down (GNU tar manual, "Storing Sparse Files"). The parts left out are zeros.

use std::io::{self, Read};

use super::fault::ExtractError;
use super::tar::{BLOCK, Block, Data, damaged, decimal, number};

/// Most parts of one file.
const MAX_PARTS: usize = 100_000;

/// Most digits of a number in a map.
const MAX_DIGITS: usize = 20;

/// Which parts of a file its content holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    /// Bytes of the whole file.
    pub(super) size: u64,
    /// Where a part starts, and how many bytes it has.
    parts: Vec<(u64, u64)>,
}

/// What pax headers say of a sparse file, in the versions 0.0, 0.1 and 1.0.
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    /// The name of the file.
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    numbers: Vec<u64>,
    major: u64,
}

impl PaxSparse {
    /// Takes a record whose key starts with `GNU.sparse.`, without that.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), ExtractError> {
        let number = |value| decimal(value).ok_or_else(broken);
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"major" => self.major = number(value)?,
            b"offset" | b"numbytes" => self.push(number(value)?)?,
            b"map" => {
                self.numbers.clear();
                for value in value.split(|byte| *byte == b',') {
                    self.push(number(value)?)?;
                }
            }
            // `minor` and `numblocks` say nothing that is needed.
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, number: u64) -> Result<(), ExtractError> {
        if self.numbers.len() >= 2 * MAX_PARTS {
            return Err(broken());
        }
        self.numbers.push(number);
        Ok(())
    }

    /// The map, if the headers are those of a sparse file. In version 1.0 it stands before the
    /// content, padded to whole blocks.
    pub(super) fn map(self, data: &mut Data<'_>) -> Result<Option<Map>, ExtractError> {
        let Some(size) = self.size else {
            return Ok(None);
        };
        let numbers = match self.major {
            0 => self.numbers,
            1 => numbers_before(data)?,
            _ => return Err(broken()),
        };
        if !numbers.len().is_multiple_of(2) {
            return Err(broken());
        }
        let parts = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        Map::new(size, parts.collect()).map(Some)
    }
}

/// The numbers of a map that stands before the content: how many parts, then two for each, a line
/// each.
fn numbers_before(data: &mut Data<'_>) -> Result<Vec<u64>, ExtractError> {
    let mut lines = Lines {
        block: [0; BLOCK],
        at: BLOCK,
        data,
    };
    let count = usize::try_from(lines.number()?).ok();
    let count = count.filter(|count| *count <= MAX_PARTS);
    (0..2 * count.ok_or_else(broken)?)
        .map(|_| lines.number())
        .collect()
}

/// Lines read block by block: what is left of the last one is padding.
struct Lines<'a, 'b> {
    block: Block,
    at: usize,
    data: &'a mut Data<'b>,
}

impl Lines<'_, '_> {
    fn number(&mut self) -> Result<u64, ExtractError> {
        let mut digits = Vec::with_capacity(MAX_DIGITS);
        loop {
            if self.at == BLOCK {
                self.data
                    .read_exact(&mut self.block)
                    .map_err(ExtractError::reading)?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            if byte == b'\n' {
                return decimal(&digits).ok_or_else(broken);
            }
            if digits.len() == MAX_DIGITS {
                return Err(broken());
            }
            digits.push(byte);
        }
    }
}

/// The map of GNU's own header: four parts in it, more in the blocks that follow.
pub(super) fn old_gnu(header: &Block, data: &mut Data<'_>) -> Result<Map, ExtractError> {
    let size = number(&header[483..495]).ok_or_else(broken)?;
    let mut parts = Vec::new();
    take_parts(&header[386..482], &mut parts)?;
    let mut more = header[482] != 0;
    while more {
        let block = data.header_block()?;
        take_parts(&block[..504], &mut parts)?;
        more = block[504] != 0;
    }
    Map::new(size, parts)
}

/// Takes parts of 24 bytes, up to the first empty field.
fn take_parts(fields: &[u8], parts: &mut Vec<(u64, u64)>) -> Result<(), ExtractError> {
    for field in fields.chunks_exact(24) {
        if field.iter().all(|byte| *byte == 0) {
            break;
        }
        let (offset, bytes) = field.split_at(12);
        let part = number(offset).zip(number(bytes)).ok_or_else(broken)?;
        if parts.len() == MAX_PARTS {
            return Err(broken());
        }
        parts.push(part);
    }
    Ok(())
}

impl Map {
    /// Parts in order, none over another, none past the end.
    fn new(size: u64, parts: Vec<(u64, u64)>) -> Result<Self, ExtractError> {
        let mut end = 0;
        for (start, bytes) in &parts {
            if *start < end {
                return Err(broken());
            }
            end = start.checked_add(*bytes).ok_or_else(broken)?;
        }
        if end > size {
            return Err(broken());
        }
        Ok(Self { size, parts })
    }
}

/// The content of a sparse file with zeros in its place.
pub(super) struct Expanded<'a, 'b> {
    map: Map,
    next: usize,
    at: u64,
    data: &'a mut Data<'b>,
}

impl<'a, 'b> Expanded<'a, 'b> {
    /// The content must have exactly the bytes of the parts.
    pub(super) fn new(map: Map, data: &'a mut Data<'b>) -> Result<Self, ExtractError> {
        // The parts do not overlap, so their sum is at most the size.
        let held: u64 = map.parts.iter().map(|(_, bytes)| bytes).sum();
        if held != data.left {
            return Err(broken());
        }
        Ok(Self {
            map,
            next: 0,
            at: 0,
            data,
        })
    }
}

impl Read for Expanded<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let within =
            |most: u64| usize::try_from(most).map_or(buffer.len(), |most| most.min(buffer.len()));
        while let Some((start, bytes)) = self.map.parts.get(self.next) {
            let end = start + bytes;
            if self.at == end {
                self.next += 1;
                continue;
            }
            if self.at < *start {
                let zeros = within(start - self.at);
                buffer[..zeros].fill(0);
                self.at += zeros as u64;
                return Ok(zeros);
            }
            let most = within(end - self.at);
            let read = self.data.read(&mut buffer[..most])?;
            self.at += read as u64;
            return Ok(read);
        }
        let zeros = within(self.map.size - self.at);
        buffer[..zeros].fill(0);
        self.at += zeros as u64;
        Ok(zeros)
    }
}

fn broken() -> ExtractError {
    damaged("the map of a sparse file cannot be understood")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(size: u64, parts: &[(u64, u64)], content: &[u8]) -> Option<Vec<u8>> {
        let map = Map::new(size, parts.to_vec()).ok()?;
        let mut content = content;
        let mut data = Data {
            left: content.len() as u64,
            archive: &mut content,
        };
        let mut whole = Vec::new();
        Expanded::new(map, &mut data)
            .ok()?
            .read_to_end(&mut whole)
            .ok()?;
        Some(whole)
    }

    #[test]
    fn what_is_left_out_is_zeros() {
        assert_eq!(
            expanded(9, &[(2, 3), (6, 1), (9, 0)], b"abcd"),
            Some(b"\0\0abc\0d\0\0".to_vec())
        );
        assert_eq!(expanded(3, &[], b""), Some(vec![0; 3]));
        assert_eq!(expanded(0, &[], b""), Some(Vec::new()));
    }

    #[test]
    fn maps_that_contradict_themselves_are_refused() {
        assert_eq!(expanded(9, &[(2, 3), (4, 1)], b"abcd"), None, "overlap");
        assert_eq!(expanded(4, &[(2, 3)], b"abc"), None, "past the end");
        assert_eq!(expanded(9, &[(2, 3)], b"abcd"), None, "too much content");
        assert_eq!(expanded(9, &[(u64::MAX, 3)], b"abc"), None);
    }

    #[test]
    fn maps_of_pax_headers_come_in_pairs() {
        let mut said = PaxSparse::default();
        said.take(b"size", b"5").expect("a number");
        said.take(b"map", b"1,2,4").expect("numbers");
        let mut nothing = io::empty();
        let mut data = Data {
            left: 0,
            archive: &mut nothing,
        };
        assert!(said.map(&mut data).is_err());
        assert!(PaxSparse::default().take(b"map", b"1,-2").is_err());
    }
}
