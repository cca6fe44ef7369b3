//! What a package's script makes anew on every machine: a key of the machine's own, a certificate for its
//! name, a store with the day in it. Its bytes are never the same twice, and a consent to them would count
//! for one run. What it is, is said by the script that makes it: another script asks again.

use assay_wire::package::{PackageCame, PackageContent};
use assay_wire::privileged::{FileText, Kind};

use crate::explain::{Doer, Explanation};
use crate::state::with_words;

/// Files, and beginnings of files' names (with `*` at their end), that scripts of packages make anew.
const MADE_ANEW: &[&str] = &[
    // A Java store says when each certificate was put in (java.security.KeyStore, `getCreationDate`).
    "/etc/pki/ca-trust/extracted/java/cacerts",
    "/etc/ssl/certs/java/cacerts",
    // mod_ssl and its like: a certificate for the machine's name, by sscg(1) or openssl-req(1).
    "/etc/pki/tls/certs/localhost.crt",
    "/etc/pki/tls/certs/postfix.pem",
    // make-ssl-cert(8).
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
    // ssh-keygen(1), `-A`.
    "/etc/ssh/ssh_host_*",
];

/// The kind of what a changed path shows, without the bytes if a script makes them anew.
pub(super) fn kind(kind: Kind, path: &str, why: &Explanation, came: &[PackageCame]) -> Kind {
    let Explanation::Script {
        doer: Doer::Script {
            package,
            phase,
            came: at,
        },
    } = why
    else {
        return kind;
    };
    if kind.says().is_none() || !is_made_anew(path) {
        return kind;
    }
    let script = at.and_then(|at| match &came.get(at)?.content {
        PackageContent::Read(read) => read.scripts.iter().find(|one| one.phase == *phase),
        PackageContent::Unreadable { .. } => None,
    });
    let text = match script {
        Some(script) => format!(", whose text is sha256:{}", script.sha256),
        // The image's, which has a digest of its own.
        None => String::new(),
    };
    let words = format!("made anew on every machine by {phase} of {package}{text}");
    with_words(kind, FileText::Words(words))
}

fn is_made_anew(path: &str) -> bool {
    MADE_ANEW.iter().any(|known| match known.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => path == *known,
    })
}

#[cfg(test)]
mod tests {
    use assay_wire::digest::Digest;
    use assay_wire::package::{Chain, PackageRead, PackagedScript, Signature};
    use assay_wire::privileged::kind_of_file;

    use super::*;

    const KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

    fn of(path: &str, bytes: &[u8]) -> Kind {
        let path = path.parse().expect("a path");
        kind_of_file(&path, Some(Digest::of(bytes))).expect("a special place")
    }

    fn script(came: Option<usize>) -> Explanation {
        Explanation::Script {
            doer: Doer::Script {
                package: "openssh-server".to_owned(),
                phase: "postinst".to_owned(),
                came,
            },
        }
    }

    fn package(script: &[u8]) -> PackageCame {
        PackageCame {
            op: None,
            url: "https://a.test/x.deb".to_owned(),
            sha256: Digest::of(b"x"),
            bytes: 1,
            content: PackageContent::Read(PackageRead {
                name: "openssh-server".to_owned(),
                version: "1.0".to_owned(),
                architecture: "all".to_owned(),
                total: 0,
                files: Vec::new(),
                scripts: vec![PackagedScript {
                    phase: "postinst".to_owned(),
                    interpreter: "/bin/sh".to_owned(),
                    sha256: Digest::of(script),
                }],
            }),
            chain: Chain {
                own: Signature::None,
                index: None,
            },
        }
    }

    #[test]
    fn what_a_script_makes_anew_is_that_script_and_not_its_bytes() {
        let came = [package(b"ssh-keygen -A")];
        let made = |bytes: &[u8]| kind(of(KEY, bytes), KEY, &script(Some(0)), &came);
        assert_eq!(made(b"one"), made(b"two"));
        let other = [package(b"cp /evil /etc/ssh")];
        let by_another = kind(of(KEY, b"one"), KEY, &script(Some(0)), &other);
        assert_ne!(made(b"one"), by_another, "another script asks again");
        let of_image = kind(of(KEY, b"one"), KEY, &script(None), &came);
        assert_ne!(made(b"one"), of_image);
    }

    #[test]
    fn anything_else_is_its_bytes() {
        let came = [package(b"ssh-keygen -A")];
        let payload = Explanation::Payload {
            package: "openssh-server".to_owned(),
        };
        assert_eq!(kind(of(KEY, b"one"), KEY, &payload, &came), of(KEY, b"one"));
        for path in ["/etc/ssh/sshd_config", "/etc/ssl/certs/vendor.pem"] {
            let kind = kind(of(path, b"one"), path, &script(Some(0)), &came);
            assert_eq!(kind, of(path, b"one"), "{path}");
        }
    }
}
