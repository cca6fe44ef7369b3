//! The table itself: every way to tamper, and who refuses it on apt, dnf4, dnf5 and pacman.

use assay_lab::forge::{Forged, TestKey};

use super::Refused::{self, Hash, Key, Missing, Never, Nobody, Proxy};
use super::Row;
use super::spoil::{
    by_signer, change_a_word, cut, flip, forged, genuine, is_index, is_key, is_package, is_root,
    redirected, spoiled, with_key, without,
};
use crate::stand::Manager;

const GONE: Refused = Missing("is not served");
pub(super) const DOWN: Refused = Missing("which is plain http");

pub(super) const NEW: Refused = Nobody("assay-hello 2.0");
const OLD: Refused = Nobody("assay-hello 1.0");

const fn by(words: &'static str) -> Refused {
    Refused::Manager(words)
}

pub(super) const TABLE: [Row; 25] = [
    Row {
        name: "nothing",
        what: "nothing: the repository as it should be",
        served: genuine,
        pinned: Manager::signer,
        refused: [NEW, NEW, NEW, NEW],
    },
    Row {
        name: "package-flipped",
        what: "a bit of the package is flipped",
        served: |manager| spoiled(manager, is_package, flip),
        pinned: Manager::signer,
        refused: [
            by("Hash Sum mismatch"),
            by("checksum doesn't match"),
            by("checksum doesn't match"),
            by("invalid or corrupted package"),
        ],
    },
    Row {
        name: "package-cut",
        what: "the package is cut off",
        served: |manager| spoiled(manager, is_package, cut),
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            by("checksum doesn't match"),
            by("repository metadata states file length: 2285"),
            by("invalid or corrupted package"),
        ],
    },
    Row {
        name: "package-gone",
        what: "the package is not there (404)",
        served: |manager| without(manager, is_package),
        pinned: Manager::signer,
        refused: [
            by("404"),
            by("404"),
            // It compares the length of the answer 404 before it looks at the status.
            by("Cannot download assay-hello-2.0-1.noarch.rpm"),
            by("404"),
        ],
    },
    Row {
        name: "index-flipped",
        what: "a bit of the index is flipped",
        served: |manager| spoiled(manager, is_index, flip),
        pinned: Manager::signer,
        refused: [
            by("Hash Sum mismatch"),
            by("checksum doesn't match"),
            by("checksum doesn't match"),
            by("invalid or corrupted database"),
        ],
    },
    Row {
        name: "index-cut",
        what: "the index is cut off",
        served: |manager| spoiled(manager, is_index, cut),
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            by("checksum doesn't match"),
            by("checksum doesn't match"),
            by("invalid or corrupted database"),
        ],
    },
    Row {
        name: "index-gone",
        what: "the index is not there (404)",
        served: |manager| without(manager, is_index),
        pinned: Manager::signer,
        refused: [by("404"), by("404"), by("404"), by("404")],
    },
    Row {
        name: "root-changed",
        what: "a word of what vouches for the index is changed (`InRelease`, `repomd.xml`)",
        served: |manager| spoiled(manager, is_root, change_a_word),
        pinned: Manager::signer,
        refused: [by("BADSIG"), NEW, NEW, Never],
    },
    Row {
        name: "key-flipped",
        what: "a bit of the key is flipped",
        served: |manager| spoiled(manager, is_key, flip),
        pinned: Manager::signer,
        refused: [Hash, Hash, Hash, Never],
    },
    Row {
        name: "key-swapped",
        what: "another key is in the key's place",
        served: |manager| with_key(genuine(manager), TestKey::Evil),
        pinned: Manager::signer,
        refused: [Hash, Hash, Hash, Never],
    },
    Row {
        name: "key-cut",
        what: "the key is cut off",
        served: |manager| spoiled(manager, is_key, cut),
        pinned: Manager::signer,
        refused: [Hash, Hash, Hash, Never],
    },
    Row {
        name: "key-gone",
        what: "the key is not there (404)",
        served: |manager| without(manager, is_key),
        pinned: Manager::signer,
        refused: [GONE, GONE, GONE, Never],
    },
    Row {
        name: "key-of-another",
        what: "the recipe pins a key, and another one signed everything",
        served: |manager| with_key(genuine(manager), TestKey::Evil),
        pinned: |_| TestKey::Evil,
        refused: [
            by("NO_PUBKEY"),
            by("Public key for assay-hello-2.0-1.noarch.rpm is not installed"),
            by("OpenPGP check for package"),
            Never,
        ],
    },
    Row {
        name: "index-outdated",
        what: "the index is past its `Valid-Until`",
        served: |manager| {
            forged(&Forged {
                valid_until: Some("Thu, 02 Jan 2025 00:00:00 UTC"),
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [by("is expired (invalid since"), Never, Never, Never],
    },
    Row {
        name: "key-expired",
        what: "the key has expired since it signed everything",
        served: |manager| {
            let expired = Forged::genuine(manager.format(), TestKey::Expired);
            with_key(forged(&expired), TestKey::Expired)
        },
        pinned: |_| TestKey::Expired,
        refused: [Key, Key, Key, Never],
    },
    Row {
        name: "index-stale",
        what: "an old index, validly signed, hides a newer package",
        served: |manager| {
            forged(&Forged {
                only: OLD_HELLO,
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [OLD, OLD, OLD, OLD],
    },
    Row {
        name: "downgrade",
        what: "an index that nobody signed hides a newer package",
        served: |manager| {
            forged(&Forged {
                only: OLD_HELLO,
                index: None,
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [by("is not signed"), OLD, OLD, OLD],
    },
    Row {
        name: "package-older",
        what: "an older package, validly signed, is in the place of the newer one",
        served: |manager| {
            let mut files = genuine(manager);
            let newer = |path: &str| path.replace("assay-hello_1.0", "assay-hello_2.0");
            let newer = |path: &str| newer(path).replace("assay-hello-1.0", "assay-hello-2.0");
            let mut older = files.clone();
            older.retain(|(name, _)| newer(name) != *name);
            for (name, bytes) in older {
                files.retain(|(other, _)| *other != newer(&name));
                files.push((newer(&name), bytes));
            }
            files
        },
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            by("checksum doesn't match"),
            by("checksum doesn't match"),
            by("invalid or corrupted package (checksum)"),
        ],
    },
    Row {
        name: "unsigned",
        what: "nothing is signed",
        served: |manager| {
            forged(&Forged {
                packages: None,
                index: None,
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [
            by("Release' is not signed"),
            by("noarch.rpm is not signed"),
            by("is not signed"),
            by("pkg.tar.zst.sig' from packages.assay.test"),
        ],
    },
    Row {
        name: "signed-by-another",
        what: "packages (for apt, whose packages carry none, the index) are signed by another key",
        served: |manager| {
            // apt's packages carry no signature: who signs the index speaks for them.
            let index = match manager {
                Manager::Apt => TestKey::Evil,
                Manager::Dnf4 | Manager::Dnf5 | Manager::Pacman => manager.signer(),
            };
            forged(&Forged {
                packages: Some(TestKey::Evil),
                index: Some(index),
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [
            by("NO_PUBKEY"),
            by("Public key for assay-hello-2.0-1.noarch.rpm is not installed"),
            by("OpenPGP check for package"),
            by("required key missing from keyring"),
        ],
    },
    Row {
        // To a client it is the same whether a server changes between two requests, or has always
        // answered the first from one state and the second from another.
        name: "exchanged-meanwhile",
        what: "what is served changes after the first request for the index",
        served: |manager| {
            let mut files = forged(&Forged {
                only: OLD_HELLO,
                ..by_signer(manager)
            });
            let asked_first = |path: &str| is_root(path) || path == "lab.db";
            files.retain(|(name, _)| !asked_first(name));
            let before = genuine(manager).into_iter();
            files.extend(before.filter(|(name, _)| asked_first(name)));
            files
        },
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            by("404"),
            by("404"),
            by("invalid or corrupted database (PGP signature)"),
        ],
    },
    Row {
        name: PACKAGE_REDIRECTED,
        what: "the package is redirected from https to http",
        served: |manager| redirected(manager, place(manager, PACKAGE_REDIRECTED), is_package),
        pinned: Manager::signer,
        refused: [Proxy, Proxy, Proxy, Proxy],
    },
    Row {
        name: INDEX_REDIRECTED,
        what: "the index is redirected from https to http",
        served: |manager| redirected(manager, place(manager, INDEX_REDIRECTED), is_index),
        pinned: Manager::signer,
        refused: [Proxy, Proxy, Proxy, Proxy],
    },
    Row {
        name: KEY_REDIRECTED,
        what: "the key is redirected from https to http",
        served: |manager| redirected(manager, place(manager, KEY_REDIRECTED), is_key),
        pinned: Manager::signer,
        refused: [DOWN, DOWN, DOWN, Never],
    },
    Row {
        name: "wrong-length",
        what: "the index tells right hashes and wrong lengths",
        served: |manager| {
            forged(&Forged {
                bytes_left_out: 1,
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            NEW,
            by("repository metadata states file length: 2284"),
            by("Maximum file size exceeded"),
        ],
    },
];

const PACKAGE_REDIRECTED: &str = "package-redirected";
const INDEX_REDIRECTED: &str = "index-redirected";
const KEY_REDIRECTED: &str = "key-redirected";

/// Where a row is served: pacman's one section is exchanged for each.
fn place(manager: Manager, row: &'static str) -> &'static str {
    match manager {
        Manager::Pacman => "lab",
        Manager::Apt | Manager::Dnf4 | Manager::Dnf5 => row,
    }
}

const OLD_HELLO: Option<&[(&str, &str)]> = Some(&[("assay-hello", "1.0")]);
