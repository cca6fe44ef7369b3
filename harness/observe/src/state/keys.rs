//! Keys and certificates: what is in a file of them, by fingerprint.

use assay_wire::digest::Digest;

use super::lines::{Comments, lines};
use super::squeezed;

/// The lines of an authorized_keys file (sshd(8)), each key by its fingerprint: options, type,
/// fingerprint, comment.
pub(super) fn authorized(text: &str) -> Vec<String> {
    let lines = lines(text, Comments::Hash).into_iter();
    lines
        .map(|line| {
            let words = line.split(' ').map(|word| {
                // Every key of OpenSSH's begins with the length of its type.
                match word.starts_with("AAAA").then(|| decoded(word)).flatten() {
                    Some(bytes) => format!("SHA256:{}", Digest::of(&bytes)),
                    None => word.to_owned(),
                }
            });
            squeezed(&words.collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// The certificates of a PEM file (RFC 7468), each by the hash of its bytes; `None` if there is none, or
/// one that is not understood.
pub(super) fn certificates(text: &str) -> Option<Vec<String>> {
    const BEGIN: [&str; 2] = [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN TRUSTED CERTIFICATE-----",
    ];
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(begin) = BEGIN
        .iter()
        .filter_map(|begin| Some(rest.find(begin)? + begin.len()))
        .min()
    {
        let (body, behind) = rest[begin..].split_once("-----END")?;
        found.push(format!("SHA256:{}", Digest::of(&decoded(body)?)));
        rest = behind;
    }
    (!found.is_empty()).then_some(found)
}

/// Base64 (RFC 4648); blanks and ends of lines are passed over.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.trim_end().trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b' ' | b'\n' | b'\t' | b'\r' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, wanted) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm9v\nYmE=", b"fooba"),
            ("/+8=", &[0xff, 0xef]),
        ] {
            assert_eq!(decoded(text).as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(decoded("a$"), None);
    }

    #[test]
    fn keys_are_their_fingerprints_and_options_stay() {
        let text = "# mine\nfrom=\"10.*\" ssh-ed25519 AAAAZm9v me@a\n";
        let wanted = format!(
            "from=\"10.*\" ssh-ed25519 SHA256:{} me@a",
            Digest::of(&[0, 0, 0, 0x66, 0x6f, 0x6f])
        );
        assert_eq!(authorized(text), [wanted]);
    }

    #[test]
    fn a_file_that_is_not_whole_is_no_certificate() {
        let one = "x\n-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n";
        assert_eq!(
            certificates(one),
            Some(vec![format!("SHA256:{}", Digest::of(b"foo"))])
        );
        assert_eq!(certificates(&one.repeat(2)).map(|all| all.len()), Some(2));
        assert_eq!(certificates(&one[..40]), None);
        assert_eq!(certificates("nothing"), None);
    }
}
