//! Signatures made by GnuPG, by the lab's test keys and by keys made here, and whatever bytes there are.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use assay_wire::name::StepRef;
use proptest::prelude::*;

use super::*;

/// 2026-01-01, a year after what is signed here.
const NOW: u64 = 1_767_225_600;

const DATA: &[u8] = b"what is signed\n";

/// A home of GnuPG's that goes with it.
struct Gpg(tempfile::TempDir);

impl Gpg {
    /// With the secret halves of these keys of the lab.
    fn with(keys: &[&str]) -> Self {
        let gpg = Self(tempfile::tempdir().expect("a folder"));
        let lab = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../base-images/lab/keys");
        for key in keys {
            let file = lab.join(format!("test-key-{key}.secret.asc"));
            gpg.run(&["--import", file.to_str().expect("a path")], b"");
        }
        gpg
    }

    /// What it prints, on 2025-01-01 unless the words say otherwise.
    fn run(&self, words: &[&str], input: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(self.0.path())
            .args([
                "--batch",
                "--quiet",
                "--yes",
                "--no-tty",
                "--passphrase",
                "",
            ])
            .args(["--pinentry-mode", "loopback", "--trust-model", "always"])
            .args(["--faked-system-time", "20250101T000000"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg is installed: `ci/setup` does it");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
        output.stdout
    }

    /// A detached signature of [`DATA`] by a key.
    fn signs(&self, key: &str, words: &[&str]) -> Vec<u8> {
        let all = [&["--local-user", key], words, &["--detach-sign"]].concat();
        self.run(&all, DATA)
    }

    fn public(&self, key: &str) -> Vec<u8> {
        self.run(&["--export", key], b"")
    }

    fn fingerprint(&self, key: &str) -> String {
        let listed = self.run(&["--with-colons", "--list-keys", key], b"");
        let listed = String::from_utf8(listed).expect("text");
        let line = listed.lines().find(|line| line.starts_with("fpr:"));
        line.and_then(|line| line.split(':').nth(9))
            .expect("a fingerprint")
            .to_owned()
    }

    /// Makes a key and gives its fingerprint.
    fn makes(&self, name: &str, algorithm: &str, usage: &str) -> String {
        let words = ["--quick-generate-key", name, algorithm, usage, "never"];
        self.run(&words, b"");
        self.fingerprint(name)
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let kill = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--kill", "all"])
            .status();
        drop(kill);
    }
}

fn place(path: &str) -> KeyPlace {
    KeyPlace::Image {
        path: path.to_owned(),
    }
}

fn holding(keys: &[Vec<u8>]) -> Certificates {
    let mut certificates = Certificates::default();
    for (at, key) in keys.iter().enumerate() {
        certificates.add(key, &place(&format!("/{at}")));
    }
    certificates
}

fn check(certificates: &Certificates, signature: &[u8], data: &[u8]) -> Checked {
    certificates.check_file(signature, &mut Cursor::new(data), NOW)
}

fn bad(checked: &Checked) -> &str {
    let Checked::Bad { message } = checked else {
        panic!("{checked:?}");
    };
    message
}

#[test]
fn a_signature_is_of_its_bytes_and_of_a_key_that_is_at_hand() {
    let gpg = Gpg::with(&["apt", "rpm"]);
    let (apt, rpm) = (gpg.public("apt"), gpg.public("rpm"));
    let certificates = holding(&[rpm, apt]);
    let verified = Checked::Verified {
        fingerprint: gpg.fingerprint("apt"),
        key: place("/1"),
    };
    for words in [
        &[][..],
        &["--armor"],
        &["--textmode"],
        &["--digest-algo", "SHA512"],
    ] {
        let signature = gpg.signs("apt", words);
        assert_eq!(
            check(&certificates, &signature, DATA),
            verified,
            "{words:?}"
        );
        let other = check(&certificates, &signature, b"what is not\n");
        assert_eq!(bad(&other), "it is not of these bytes", "{words:?}");
        let unknown = Checked::UnknownKey {
            key: gpg.fingerprint("apt"),
        };
        assert_eq!(check(&holding(&[]), &signature, DATA), unknown);
    }
    let mut without = holding(&[gpg.public("apt")]);
    without.leave_out([gpg.fingerprint("apt")]);
    let left_out = check(&without, &gpg.signs("apt", &[]), DATA);
    assert!(matches!(left_out, Checked::UnknownKey { .. }));
    let empty = check(&certificates, b"<html>", DATA);
    assert_eq!(bad(&empty), "no signature is in its file");
}

#[test]
fn one_good_signature_of_several_is_enough_and_a_bad_one_is_not_passed_over() {
    let gpg = Gpg::with(&["apt", "evil"]);
    let both = [gpg.signs("evil", &[]), gpg.signs("apt", &[])].concat();
    let certificates = holding(&[gpg.public("apt")]);
    assert!(check(&certificates, &both, DATA).is_verified());
    assert_eq!(
        bad(&check(&certificates, &both, b"another")),
        "it is not of these bytes"
    );
}

#[test]
fn the_same_key_is_told_from_where_it_was_declared_first() {
    let gpg = Gpg::with(&["apt"]);
    let step = StepRef {
        recipe: "docker".parse().expect("a name"),
        step: "1".parse().expect("a step"),
    };
    let mut certificates = Certificates::default();
    let declared = KeyPlace::Declared { step };
    certificates.add(&gpg.public("apt"), &declared);
    certificates.add(&gpg.public("apt"), &place("/etc/apt/keyrings/x.gpg"));
    let checked = check(&certificates, &gpg.signs("apt", &[]), DATA);
    assert!(matches!(checked, Checked::Verified { key, .. } if key == declared));
}

#[test]
fn a_key_counts_for_what_it_may_do_when_it_did_it() {
    let gpg = Gpg::with(&["expired"]);
    // It ended on 2025-02-01, after it signed this.
    let expired = holding(&[gpg.public("expired")]);
    assert!(check(&expired, &gpg.signs("expired", &[]), DATA).is_verified());

    let print = gpg.makes("owner", "ed25519", "cert");
    gpg.run(
        &["--quick-add-key", &print, "ed25519", "sign", "never"],
        b"",
    );
    let by_subkey = gpg.signs("owner", &[]);
    let later = gpg.signs("owner", &["--faked-system-time", "20250601T000000"]);
    let certificates = holding(&[gpg.public("owner")]);
    for signature in [&by_subkey, &later] {
        assert!(matches!(
            check(&certificates, signature, DATA),
            Checked::Verified { fingerprint, .. } if fingerprint == print
        ));
    }
    gpg.run(&["--quick-set-expire", &print, "20250301T000000"], b"");
    let ended = holding(&[gpg.public("owner")]);
    assert!(check(&ended, &by_subkey, DATA).is_verified());
    let told = check(&ended, &later, DATA);
    assert_eq!(bad(&told), format!("the key {print} did not live then"));

    let revocation = gpg.0.path().join(format!("openpgp-revocs.d/{print}.rev"));
    let text = std::fs::read_to_string(&revocation).expect("made with the key");
    gpg.run(
        &["--import"],
        text.replace(":-----BEGIN", "-----BEGIN").as_bytes(),
    );
    let revoked = holding(&[gpg.public("owner")]);
    let told = check(&revoked, &by_subkey, DATA);
    assert_eq!(bad(&told), format!("the key {print} was revoked"));
}

#[test]
fn a_signature_that_is_weak_over_or_of_something_else_is_none() {
    let gpg = Gpg::with(&["apt"]);
    let certificates = holding(&[gpg.public("apt")]);
    let told = |words: &[&str]| {
        let signature = gpg.signs("apt", words);
        bad(&check(&certificates, &signature, DATA)).to_owned()
    };
    let sha1 = ["--digest-algo", "SHA1", "--allow-weak-digest-algos"];
    assert_eq!(told(&sha1), "it was made with SHA-1");
    assert_eq!(told(&["--default-sig-expire", "1d"]), "it has expired");
    let later = ["--faked-system-time", "20270101T000000"];
    assert_eq!(told(&later), "it is of a time to come");
    // Its signatures certify itself.
    let of_itself = check(&certificates, &gpg.public("apt"), DATA);
    assert_eq!(bad(&of_itself), "it is no signature of data");
}

const TEXT: &[u8] = b"\nOrigin: x \t\n- dashed\n-----\n\nSHA256:\n a 1 b\n\n";

#[test]
fn of_a_signed_text_only_what_is_signed_counts() {
    let gpg = Gpg::with(&["apt", "evil"]);
    let certificates = holding(&[gpg.public("apt")]);
    let signers = ["--local-user", "evil", "--local-user", "apt"];
    let message = gpg.run(&[&signers[..], &["--clearsign"]].concat(), TEXT);
    let read = cleartext(&message).expect("a signed text");
    let signed = "\r\nOrigin: x\r\n- dashed\r\n-----\r\n\r\nSHA256:\r\n a 1 b\r\n";
    assert_eq!(String::from_utf8_lossy(&read.text), signed);
    let checked = certificates.check(&read.signatures, &mut read.data(), NOW);
    assert!(checked.is_verified(), "{checked:?}");

    let text = String::from_utf8(message).expect("armor is text");
    let dos = text.replace('\n', "\r\n");
    assert_eq!(cleartext(dos.as_bytes()), Some(read));
    let changed = cleartext(text.replace("a 1 b", "c 1 b").as_bytes()).expect("a text");
    let checked = certificates.check(&changed.signatures, &mut changed.data(), NOW);
    assert_eq!(bad(&checked), "it is not of these bytes");
    for other in [
        format!("SHA256:\n{text}"),
        format!("\n{text}"),
        format!("{text}SHA256:\n"),
        text.replace("Hash:", "Comment:"),
        text.replace("- - dashed", "-dashed"),
        text.replace("-----END PGP SIGNATURE-----", ""),
        "SHA256:\n a 1 b\n".to_owned(),
    ] {
        assert_eq!(cleartext(other.as_bytes()), None, "{other}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        text in "(-----BEGIN PGP SIGNED MESSAGE-----|-----BEGIN PGP SIGNATURE-----|-----END PGP SIGNATURE-----|Hash: SHA256|- |-|\n|x){0,12}",
        at in 0usize..1000,
        flip in 1u8..,
    ) {
        let key = std::fs::read(super::super::tests::fixtures().join("good.gpg")).expect("a fixture");
        let certificates = holding(std::slice::from_ref(&key));
        let mut damaged = key;
        let at = at % damaged.len();
        damaged[at] ^= flip;
        for bytes in [&bytes, text.as_bytes(), &damaged] {
            let mut other = Certificates::default();
            other.add(bytes, &place("/x"));
            let checked = check(&certificates, bytes, DATA);
            prop_assert!(!checked.is_verified());
            if let Some(read) = cleartext(bytes) {
                let _ = certificates.check(&read.signatures, &mut read.data(), NOW);
            }
        }
    }
}
