//! Reads and writes the `ar` archive that every `.deb` is (deb(5), ar(5)).
//!
//! Takes and gives bytes: opens no file. `super` puts the members to use.

use super::DebError;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;
/// A `.deb` has three members; a few more are allowed by deb(5) and ignored.
const MOST_MEMBERS: usize = 16;

/// One member of an archive, borrowed from the archive's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// The name, without padding or the trailing slash of the GNU form.
    pub(crate) name: &'a str,
    /// The contents.
    pub(crate) data: &'a [u8],
}

/// Lists the members of an archive in their order.
///
/// # Errors
/// `DebError::Archive` when the bytes are no archive, a header is damaged, a
/// member reaches past the end, or there are more than sixteen members.
pub(crate) fn members(bytes: &[u8]) -> Result<Vec<Member<'_>>, DebError> {
    let mut rest = bytes
        .strip_prefix(MAGIC)
        .ok_or(DebError::Archive("does not begin with the `ar` magic"))?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        if members.len() == MOST_MEMBERS {
            return Err(DebError::Archive("has too many members"));
        }
        let (header, tail) = rest
            .split_at_checked(HEADER)
            .ok_or(DebError::Archive("ends inside a member header"))?;
        if !header.ends_with(b"`\n") {
            return Err(DebError::Archive("has a damaged member header"));
        }
        let size = decimal(&header[48..58])?;
        let (data, tail) = tail
            .split_at_checked(size)
            .ok_or(DebError::Archive("has a member that reaches past the end"))?;
        members.push(Member {
            name: name(&header[..16])?,
            data,
        });
        // Members begin at even offsets; the pad byte may be missing at the very end.
        rest = if size % 2 == 1 && !tail.is_empty() {
            &tail[1..]
        } else {
            tail
        };
    }
    Ok(members)
}

/// Writes an archive with fixed owner, mode and the given time in every header.
pub(crate) fn write(members: &[(&str, &[u8])], time: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (name, data) in members {
        let header = format!(
            "{name:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            "100644",
            data.len()
        );
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        if data.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn decimal(field: &[u8]) -> Result<usize, DebError> {
    let text = std::str::from_utf8(field)
        .map_err(|_| DebError::Archive("has a size that is no number"))?
        .trim_end_matches(' ');
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DebError::Archive("has a size that is no number"));
    }
    text.parse()
        .map_err(|_| DebError::Archive("has a size that is no number"))
}

fn name(field: &[u8]) -> Result<&str, DebError> {
    let text = std::str::from_utf8(field)
        .map_err(|_| DebError::Archive("has a member name that is not text"))?;
    let text = text.trim_end_matches(' ');
    Ok(text.strip_suffix('/').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_members_are_padded_and_read_back() {
        let bytes = write(
            &[("debian-binary", b"2.0\n"), ("odd", b"abc"), ("last", b"z")],
            7,
        );
        let read = members(&bytes).expect("our own archive");
        assert_eq!(
            read.iter().map(|member| member.name).collect::<Vec<_>>(),
            ["debian-binary", "odd", "last"]
        );
        assert_eq!(read[1].data, b"abc");
        assert_eq!(
            members(&bytes[..bytes.len() - 1])
                .expect("pad byte missing")
                .len(),
            3
        );
    }

    #[test]
    fn damaged_archives_are_refused() {
        let good = write(&[("a", b"12")], 0);
        assert!(members(b"!<arch>").is_err());
        assert!(members(&good[..40]).is_err());
        assert!(members(&good[..good.len() - 1]).is_err());
        let mut negative = good.clone();
        negative[8 + 48] = b'-';
        assert!(members(&negative).is_err());
        assert!(members(&write(&[("x", b"".as_slice()); 17], 0)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut archive = MAGIC.to_vec();
            archive.extend_from_slice(&bytes);
            let _ = members(&bytes);
            if let Ok(read) = members(&archive) {
                prop_assert!(read.iter().map(|member| member.data.len()).sum::<usize>() <= bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read(contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let given: Vec<(&str, &[u8])> = contents.iter().map(|data| ("member", data.as_slice())).collect();
            let bytes = write(&given, 1);
            let read = members(&bytes).expect("our own archive");
            prop_assert_eq!(read.iter().map(|member| member.data).collect::<Vec<_>>(), contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
}
