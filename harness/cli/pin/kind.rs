//! What bytes look like, by their first ones: enough to see that a URL gives a page instead of a key.

/// How a file of that kind begins, at which offset, and what it is called (file(1), magic(5)).
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"BZh", "bzip2"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip, empty"),
    (257, b"ustar", "tar"),
    (0, b"\x7fELF", "ELF program or library"),
    (0, b"!<arch>\ndebian-binary", "Debian package"),
    (0, b"!<arch>\n", "ar archive"),
    (0, b"\xed\xab\xee\xdb", "RPM package"),
    (0, b"-----BEGIN PGP SIGNED MESSAGE", "OpenPGP signed text"),
    (0, b"-----BEGIN PGP SIGNATURE", "OpenPGP signature"),
    (0, b"-----BEGIN CERTIFICATE", "X.509 certificate"),
    (0, b"#!", "script"),
    (0, b"%PDF-", "PDF"),
    (0, b"\x89PNG", "PNG image"),
];

/// What bytes look like that are no OpenPGP key; `head` are the first of them.
pub(super) fn looks_like(head: &[u8]) -> &'static str {
    let known = MAGIC
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    if let Some((_, _, name)) = known {
        return name;
    }
    // A character may be cut at the end of what was read.
    let valid = match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    match valid {
        Some("") => "nothing",
        Some(text) if text.chars().any(|c| c.is_control() && !c.is_whitespace()) => "binary data",
        Some(text) => text_kind(text),
        None => "binary data",
    }
}

fn text_kind(text: &str) -> &'static str {
    let start = text.trim_start().get(..64).unwrap_or(text.trim_start());
    let start = start.to_ascii_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        "HTML page"
    } else if start.starts_with("<?xml") {
        "XML"
    } else if start.starts_with('{') || start.starts_with("[\"") || start.starts_with("[{") {
        "JSON"
    } else {
        "text"
    }
}

/// True for bytes that begin as OpenPGP keys do, readable or not: armor anywhere, or a packet of a key
/// (RFC 9580, 4.2 and 5).
pub(super) fn begins_as_keys(head: &[u8]) -> bool {
    let armored = [
        &b"-----BEGIN PGP PUBLIC KEY"[..],
        b"-----BEGIN PGP PRIVATE KEY",
    ];
    let has = |magic: &[u8]| head.windows(magic.len()).any(|window| window == magic);
    let packet = head
        .first()
        .is_some_and(|first| matches!(first, 0x94..=0x9a | 0xc5 | 0xc6));
    packet || armored.into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_called_by_what_they_begin_with() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, name) in [
            (&b"\x1f\x8b\x08"[..], "gzip"),
            (b"\x7fELF\x02", "ELF program or library"),
            (b"!<arch>\ndebian-binary   1", "Debian package"),
            (b"!<arch>\nx.o", "ar archive"),
            (b"  <!DOCTYPE html><p>404", "HTML page"),
            (b"{\"a\": 1}", "JSON"),
            (b"just words \xc3", "text"),
            (b"\xff\xfe\x00", "binary data"),
            (b"a\0b", "binary data"),
            (b"", "nothing"),
            (&tar, "tar"),
        ] {
            assert_eq!(looks_like(head), name, "{head:?}");
        }
    }

    #[test]
    fn keys_are_told_from_what_is_none() {
        assert!(begins_as_keys(b"\x99\x01\x0d") && begins_as_keys(b"\xc6\x33"));
        assert!(begins_as_keys(
            b"hi\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
        ));
        assert!(!begins_as_keys(b"-----BEGIN PGP SIGNATURE-----"));
        assert!(!begins_as_keys(b"<html>") && !begins_as_keys(b""));
    }
}
