//! What an archive is by its first bytes, and the stream of a tar archive out of what compresses
//! it, bounded in bytes and in memory. Names are never looked at.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::fault::ExtractError;

/// Most bytes of a window that xz or zstd look back in: what `xz -9` (64 MiB) and `zstd --ultra
/// -22` (128 MiB) need.
const WINDOW: u32 = 128 << 20;

/// What a decoder of xz may use: the window and a little for itself, in KiB.
const XZ_KIB: u32 = (WINDOW >> 10) + 1024;

/// Bytes that tell formats apart: up to tar's magic.
const SNIFFED: usize = 512;

/// Bytes read from the archive at a time.
const BUFFER: usize = 64 << 10;

/// What an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A zip file.
    Zip,
    /// A tar archive.
    Tar(Compression),
}

/// What a tar archive is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Nothing.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
    /// bzip2.
    Bzip2,
}

/// Tells by the first bytes of a file what it is, and returns to its start.
pub(super) fn sniff(file: &mut File) -> Result<Format, ExtractError> {
    let mut start = Vec::with_capacity(SNIFFED);
    Read::by_ref(file)
        .take(SNIFFED as u64)
        .read_to_end(&mut start)
        .and_then(|_| file.rewind())
        .map_err(ExtractError::Read)?;
    format_of(&start).ok_or(ExtractError::Unknown("plain, gzip, xz, zstd or bzip2"))
}

fn format_of(start: &[u8]) -> Option<Format> {
    let tar = |compression| Some(Format::Tar(compression));
    match start {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Format::Zip),
        [0x1f, 0x8b, ..] => tar(Compression::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => tar(Compression::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            tar(Compression::Zstd)
        }
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => tar(Compression::Bzip2),
        _ if start.first_chunk().is_some_and(super::tar::is_header) => tar(Compression::None),
        // Blocks of zeros alone: an archive of nothing.
        _ if start.len() == SNIFFED && start.iter().all(|byte| *byte == 0) => {
            tar(Compression::None)
        }
        _ => None,
    }
}

/// The decompressed stream of an archive; it fails once more than so many bytes came out.
pub(super) fn decompress(
    compression: Compression,
    file: File,
    most_bytes: u64,
) -> Result<Box<dyn Read>, ExtractError> {
    let file = BufReader::with_capacity(BUFFER, file);
    let stream: Box<dyn Read> = match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(MultiGzDecoder::new(file)),
        Compression::Xz => Box::new(XzReader::new_mem_limit(file, true, XZ_KIB)),
        Compression::Zstd => Box::new(Zstd::new(file)),
        Compression::Bzip2 => Box::new(MultiBzDecoder::new(file)),
    };
    // Headers are read in small pieces.
    Ok(Box::new(BufReader::with_capacity(
        BUFFER,
        Bounded {
            stream,
            left: most_bytes,
            most_bytes,
        },
    )))
}

/// A stream that fails when more comes out of it than may.
struct Bounded {
    stream: Box<dyn Read>,
    left: u64,
    most_bytes: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| ExtractError::TooLarge(self.most_bytes).into_io())?;
        Ok(read)
    }
}

/// All frames of a Zstandard stream, one after the other, skippable ones skipped and checksums
/// verified (RFC 8878, 3.1).
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    /// True while a frame is being decoded.
    inside: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW.into());
        Self {
            source,
            decoder,
            inside: false,
        }
    }

    /// Begins the next frame; false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = Read::by_ref(&mut self.source).take(length.into());
                    if io::copy(&mut skipped, &mut io::sink())? < length.into() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside && !self.next_frame()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let stated = self.decoder.get_checksum_from_data();
            if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
                return Err(io::Error::other("the checksum of a frame is wrong"));
            }
            self.inside = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        assert_eq!(format_of(b"PK\x03\x04...."), Some(Format::Zip));
        assert_eq!(
            format_of(b"\x51\x2a\x4d\x18rest"),
            Some(Format::Tar(Compression::Zstd))
        );
        assert_eq!(
            format_of(&[0; SNIFFED]),
            Some(Format::Tar(Compression::None))
        );
        for none in [b"".as_slice(), b"PK", b"BZhx", b"\x7fELF", &[0; 511]] {
            assert_eq!(format_of(none), None, "{none:?}");
        }
    }

    #[test]
    fn frames_of_zstandard_follow_each_other() {
        let frame = |bytes: &[u8]| zstd::encode_all(bytes, 3).expect("compressed");
        let mut stream = frame(b"one ");
        stream.extend(b"\x50\x2a\x4d\x18\x03\0\0\0abc");
        stream.extend(frame(b""));
        stream.extend(frame(b"two"));
        let mut text = String::new();
        Zstd::new(stream.as_slice())
            .read_to_string(&mut text)
            .expect("read");
        assert_eq!(text, "one two");
        stream.truncate(stream.len() - 1);
        let cut = Zstd::new(stream.as_slice()).read_to_string(&mut text);
        assert!(cut.is_err());
    }

    #[test]
    fn a_wrong_checksum_is_noticed() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.include_checksum(true).expect("set");
        io::Write::write_all(&mut encoder, b"text").expect("written");
        let mut stream = encoder.finish().expect("finished");
        *stream.last_mut().expect("bytes") ^= 1;
        let error = Zstd::new(stream.as_slice())
            .read_to_end(&mut Vec::new())
            .expect_err("refused");
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}
