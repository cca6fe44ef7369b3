//! Keys made by GnuPG (`fixtures/keys/make`), changed ones, and whatever bytes there are.

use std::path::PathBuf;

use pgp::packet::{Packet, PacketParser, SubpacketData};
use pgp::ser::Serialize as _;
use proptest::prelude::*;

use super::*;

mod oracle;

/// Two years after the keys of the folder were made, 2026-01-01: one of them expired in between.
const NOW: u64 = 1_767_225_600;

pub(super) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/keys")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).expect("a fixture")
}

fn file(name: &str) -> KeyFile {
    read(&bytes(name), NOW).expect("keys")
}

fn codes(file: &KeyFile, declared: &[String]) -> Vec<(KeySeverity, KeyCode)> {
    let found = findings(file, declared, NOW);
    found.iter().map(|one| (one.severity, one.code)).collect()
}

fn print_of(name: &str) -> String {
    file(name).keys[0].primary.fingerprint.clone()
}

#[test]
fn a_key_is_read_with_its_subkeys_and_user_ids() {
    let armored = file("good.asc");
    assert_eq!(armored.form, Form::Armored);
    assert!(armored.unreadable.is_empty() && !armored.has_secret);
    let [key] = armored.keys.as_slice() else {
        panic!("one key: {armored:?}");
    };
    assert_eq!(key.user_ids[0].text, "good <good@assay.test>");
    assert_eq!(key.user_ids[0].state, UserIdState::Certified);
    let algorithms: Vec<String> = key
        .components()
        .map(|one| one.algorithm.to_string())
        .collect();
    assert_eq!(algorithms, ["Ed25519", "RSA 2048", "ECDH Curve25519Legacy"]);
    let signs: Vec<bool> = key.components().map(Component::could_sign).collect();
    assert_eq!(signs, [true, true, false]);
    assert!(key.components().all(|one| one.fingerprint.len() == 40));
    assert_eq!(codes(&armored, &[]), []);
    let binary = file("good.gpg");
    assert_eq!(binary.form, Form::Binary);
    assert_eq!(binary.keys, armored.keys);
}

/// The version 6 key of RFC 9580, A.4, which GnuPG does not read.
const VERSION_6: &str = "\
-----BEGIN PGP PRIVATE KEY BLOCK-----

xUsGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laMAGXKB
exK+cH6NX1hs5hNhIB00TrJmosgv3mg1ditlsLfCsQYfGwoAAABCBYJjh3/jAwsJ
BwUVCg4IDAIWAAKbAwIeCSIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6
2azJBScJAgcCAAAAAK0oIBA+LX0ifsDm185Ecds2v8lwgyU2kCcUmKfvBXbAf6rh
RYWzuQOwEn7E/aLwIwRaLsdry0+VcallHhSu4RN6HWaEQsiPlR4zxP/TP7mhfVEe
7XWPxtnMUMtf15OyA51YBMdLBmOHf+MZAAAAIIaTJINn+eUBXbki+PSAld2nhJh/
LVmFsS+60WyvXkQ1AE1gCk95TUR3XFeibg/u/tVY6a//1q0NWC1X+yui3O24wpsG
GBsKAAAALAWCY4d/4wKbDCIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6
2azJAAAAAAQBIKbpGG2dWTX8j+VjFM21J0hqWlEg+bdiojWnKfA5AQpWUWtnNwDE
M0g12vYxoWM8Y81W+bHBw805I8kWVkXU6vFOi+HWvv/ira7ofJu16NnoUkhclkUr
k0mXubZvyl4GBg==
-----END PGP PRIVATE KEY BLOCK-----
";

#[test]
fn a_key_of_version_6_is_known_by_64_digits_and_its_direct_key_signature() {
    let file = read(VERSION_6.as_bytes(), NOW).expect("keys");
    let [key] = file.keys.as_slice() else {
        panic!("one key: {file:?}");
    };
    let primary = "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9";
    assert_eq!(key.primary.fingerprint, primary);
    assert_eq!(key.primary.algorithm, Algorithm::EdDsa("Ed25519"));
    assert!(key.user_ids.is_empty() && key.primary.signs_at(NOW));
    assert_eq!(key.subkeys.len(), 1);
    assert!(!key.subkeys[0].could_sign() && key.subkeys[0].binding != Binding::Unbound);
    let declared = [primary.to_owned()];
    assert_eq!(
        codes(&file, &declared),
        [(KeySeverity::Error, KeyCode::SecretKey)]
    );
}

#[test]
fn several_keys_and_blocks_and_what_stands_around_them_are_read() {
    let names = |name| -> Vec<String> {
        let keys = file(name).keys;
        keys.iter()
            .map(|key| key.primary.fingerprint.clone())
            .collect()
    };
    assert_eq!(
        names("blocks.asc"),
        [print_of("good.asc"), print_of("other.asc")]
    );
    assert_eq!(names("surrounded.asc"), [print_of("other.asc")]);
    assert_eq!(names("ring.gpg").len(), 3);
    // One of a ring has expired; the others sign.
    assert_eq!(
        codes(&file("ring.gpg"), &[]),
        [(KeySeverity::Warning, KeyCode::Expired)]
    );
}

#[test]
fn every_weak_old_or_useless_key_is_found() {
    let expected = [
        ("good.asc", None),
        ("other.asc", None),
        ("p256.asc", None),
        (
            "short-rsa.asc",
            Some((KeySeverity::Warning, KeyCode::ShortRsa)),
        ),
        ("dsa.asc", Some((KeySeverity::Warning, KeyCode::Dsa))),
        ("sha1.asc", Some((KeySeverity::Warning, KeyCode::WeakHash))),
        ("expired.asc", Some((KeySeverity::Error, KeyCode::Expired))),
        ("revoked.asc", Some((KeySeverity::Error, KeyCode::Revoked))),
        (
            "certify-only.asc",
            Some((KeySeverity::Error, KeyCode::CannotSign)),
        ),
        ("secret.asc", Some((KeySeverity::Error, KeyCode::SecretKey))),
    ];
    for (name, finding) in expected {
        let found = codes(&file(name), &[]);
        assert_eq!(found, finding.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_key_that_ends_within_thirty_days_is_a_hint_until_it_has_ended() {
    let file = file("expiring.asc");
    let Binding::Bound {
        expires: Some(ends),
        ..
    } = file.keys[0].primary.binding
    else {
        panic!("it has an end: {file:?}");
    };
    let day = 86_400;
    let at = |now| -> Vec<(KeySeverity, KeyCode)> {
        let found = findings(&file, &[], now);
        found.iter().map(|one| (one.severity, one.code)).collect()
    };
    assert_eq!(at(ends - 31 * day), []);
    assert_eq!(
        at(ends - 30 * day),
        [(KeySeverity::Hint, KeyCode::ExpiresSoon)]
    );
    assert_eq!(at(ends - 1), [(KeySeverity::Hint, KeyCode::ExpiresSoon)]);
    assert_eq!(at(ends), [(KeySeverity::Error, KeyCode::Expired)]);
    assert_eq!(refusal(&findings(&file, &[], ends - 1)), None);
    let refused = refusal(&findings(&file, &[], ends)).expect("refused");
    assert!(
        refused.contains("key-expired") && refused.contains("today"),
        "{refused}"
    );
}

#[test]
fn declared_fingerprints_must_all_be_there_and_nothing_else_may_sign() {
    let (good, other) = (print_of("good.asc"), print_of("other.asc"));
    let (blocks, alone) = (file("blocks.asc"), file("good.asc"));
    assert_eq!(codes(&blocks, &[good.clone(), other.clone()]), []);
    let undeclared = [(KeySeverity::Error, KeyCode::Undeclared)];
    assert_eq!(
        codes(&blocks, std::slice::from_ref(&other))[..1],
        undeclared
    );
    assert_eq!(codes(&blocks, std::slice::from_ref(&good)), undeclared);
    let absent = [(KeySeverity::Error, KeyCode::FingerprintAbsent)];
    assert_eq!(codes(&alone, &[good.clone(), other]), absent);
    // A subkey's fingerprint stands for itself alone: the primary key signs here, too.
    let subkey = alone.keys[0].subkeys[0].fingerprint.clone();
    assert_eq!(codes(&alone, std::slice::from_ref(&subkey)), undeclared);
    assert_eq!(codes(&alone, &[good, subkey]), []);
}

/// The packets of a fixture, changed and written again.
fn changed(name: &str, change: impl FnMut(Packet) -> Option<Packet>) -> Vec<u8> {
    let source = bytes(name);
    let packets = PacketParser::new(source.as_slice()).map(|packet| packet.expect("a packet"));
    let mut written = Vec::new();
    for packet in packets.filter_map(change) {
        packet.to_writer(&mut written).expect("writes");
    }
    written
}

#[test]
fn a_key_without_a_signature_of_its_own_is_unbound_and_could_still_sign() {
    let bare = changed("good.gpg", |packet| {
        (!matches!(packet, Packet::Signature(_))).then_some(packet)
    });
    let file = read(&bare, NOW).expect("keys");
    let key = &file.keys[0];
    assert!(key.components().all(|one| one.binding == Binding::Unbound));
    assert!(key.primary.could_sign() && !key.primary.signs_at(NOW));
    assert_eq!(key.user_ids[0].state, UserIdState::Uncertified);
    let found = codes(&file, &[]);
    assert_eq!(found[0], (KeySeverity::Error, KeyCode::Unbound));
    let other = codes(&file, &[print_of("other.asc")]);
    assert!(
        other.contains(&(KeySeverity::Error, KeyCode::Undeclared)),
        "{other:?}"
    );
}

#[test]
fn a_subkey_that_does_not_sign_its_primary_key_in_turn_may_not_sign() {
    let is_back = |data: &SubpacketData| matches!(data, SubpacketData::EmbeddedSignature(_));
    let mut removed = 0;
    let claimed = changed("good.gpg", |packet| {
        let Packet::Signature(mut signature) = packet else {
            return Some(packet);
        };
        let unhashed = signature.config().expect("known").unhashed_subpackets();
        let at = unhashed
            .enumerate()
            .find(|(_, one)| is_back(&one.data))
            .map(|(at, _)| at);
        if let Some(at) = at {
            signature.unhashed_subpacket_remove(at).expect("removed");
            removed += 1;
        }
        Some(Packet::Signature(signature))
    });
    assert_eq!(removed, 1);
    let file = read(&claimed, NOW).expect("keys");
    let subkey = &file.keys[0].subkeys[0];
    assert!(!subkey.could_sign(), "{subkey:?}");
    assert!(file.keys[0].primary.could_sign());
}

#[test]
fn a_signature_that_does_not_verify_binds_nothing() {
    // The user id is another's: its certification is not about that.
    let mut source = bytes("other.asc");
    let binary = {
        let mut armor = pgp::armor::Dearmor::new(source.as_slice());
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut armor, &mut bytes).expect("armor");
        bytes
    };
    source = binary;
    let at = source
        .windows(5)
        .position(|window| window == b"other")
        .expect("its name");
    source[at] = b'O';
    let file = read(&source, NOW).expect("keys");
    assert_eq!(file.keys[0].primary.binding, Binding::Unbound);
    assert_eq!(file.keys[0].user_ids[0].state, UserIdState::Uncertified);
}

#[test]
fn nothing_of_the_future_counts() {
    let file = read(&bytes("good.asc"), 1_000_000_000).expect("keys");
    assert_eq!(file.keys[0].primary.binding, Binding::Unbound);
}

#[test]
fn what_is_no_key_is_refused_with_why() {
    for (bytes, why) in [
        (&b""[..], "neither with armor nor with a packet"),
        (b"<html>404</html>", "no packet"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n", "damaged"),
        (b"-----BEGIN PGP ", "damaged"),
        (&[0x99, 0xff, 0xff, 0], "ends too early"),
        (&[0xd0, 1, 0], "a packet of type"),
    ] {
        let error = read(bytes, NOW).expect_err("no key").to_string();
        assert!(error.contains(why), "{bytes:?}: {error}");
    }
    let large = vec![b'x'; MAX_FILE_BYTES + 1];
    assert_eq!(
        read(&large, NOW),
        Err(NotKeys::TooLarge(MAX_FILE_BYTES as u64 + 1))
    );
}

#[test]
fn a_damaged_rest_is_told_and_what_stands_before_it_is_read() {
    let mut cut = bytes("ring.gpg");
    cut.truncate(cut.len() - 10);
    let file = read(&cut, NOW).expect("keys");
    assert_eq!(file.keys.len(), 3);
    assert!(codes(&file, &[]).contains(&(KeySeverity::Error, KeyCode::Unreadable)));
    let mut more = bytes("good.gpg");
    more.extend_from_slice(b"rubbish");
    let file = read(&more, NOW).expect("keys");
    assert_eq!(
        codes(&file, &[]),
        [(KeySeverity::Error, KeyCode::Unreadable)]
    );
}

#[test]
fn many_keys_and_signatures_are_bounded() {
    let one = bytes("good.gpg");
    let many = one.repeat(MAX_FILE_BYTES / one.len());
    let file = read(&many, NOW).expect("keys");
    let components: usize = file.keys.iter().map(|key| key.components().count()).sum();
    assert!(components <= MAX_KEYS, "{components}");
    assert!(codes(&file, &[]).contains(&(KeySeverity::Error, KeyCode::Unreadable)));
    assert!(findings(&file, &[print_of("other.asc")], NOW).len() <= 100);
}

#[test]
fn a_hostile_user_id_is_shown_escaped_and_short() {
    assert_eq!(
        clean(b"a\x1b[31m\xe2\x80\xaeb'\xff"),
        "a\\u{1b}[31m\\u{202e}b'\u{fffd}"
    );
    assert_eq!(clean(&[b'x'; 1000]).chars().count(), 201);
}

#[test]
fn every_code_has_an_explanation() {
    for code in KeyCode::ALL {
        let explained = explain(*code);
        assert_eq!(explained.code, *code);
        assert!(
            explained.text.len() > 80 && explained.text.ends_with('.'),
            "{code}"
        );
    }
}

/// What holds for all bytes.
fn holds(bytes: &[u8]) {
    let Ok(file) = read(bytes, NOW) else {
        return;
    };
    for key in &file.keys {
        assert!(key.user_ids.len() <= MAX_USER_IDS);
        for one in key.components() {
            assert!(matches!(one.fingerprint.len(), 40 | 64), "{one:?}");
            assert!(!one.signs_at(NOW) || one.could_sign());
        }
    }
    let found = findings(&file, &[], NOW);
    let signs = |key: &Key| key.components().any(|one| one.signs_at(NOW));
    assert!(file.keys.iter().any(signs) || refusal(&found).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        holds(&bytes);
    }

    #[test]
    fn no_change_of_a_key_makes_it_panic(
        which in 0_usize..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let name = ["good.gpg", "ring.gpg", "dsa.asc", "p256.asc"][which];
        let mut bytes = bytes(name);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        holds(&bytes);
    }
}
