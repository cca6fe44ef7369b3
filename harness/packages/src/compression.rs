//! What packages and indexes are compressed with, told by their first bytes.

use std::io::{self, BufRead, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::unreadable::Unreadable;

/// What a decoder of xz may use, in KiB: the largest window of `xz -9` and a little for itself.
const XZ_KIB: u32 = (64 << 10) + 1024;

/// The bytes that a stream stands for; one that is not compressed stands for itself.
pub(crate) fn decompressed<'r>(
    mut bytes: impl BufRead + 'r,
) -> Result<Box<dyn Read + 'r>, Unreadable> {
    let start = bytes.fill_buf()?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(bytes)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            Box::new(XzReader::new_mem_limit(bytes, true, XZ_KIB))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = StreamingDecoder::new(bytes);
            let decoder = decoder.map_err(|error| io::Error::other(error.to_string()))?;
            Box::new(decoder)
        }
        [b'B', b'Z', b'h', ..] => Box::new(MultiBzDecoder::new(bytes)),
        _ => Box::new(bytes),
    })
}
