//! Repositories of all three formats, forged with real keys, as a sandbox would have asked for them.

use assay_content::proxy::{AnswersFrom, CertificateAuthority, ProxyConfig};
use assay_lab::forge::{Forged, Format, OwnContent, OwnFile, OwnPackage, TestKey};
use assay_wire::name::StepRef;
use assay_wire::package::{KeyPlace, PackageContent, PackageRead, Signature};
use assay_wire::plan::ContentKind;
use tempfile::TempDir;

use super::*;

const FORMATS: [Format; 3] = [Format::Apt, Format::RpmMd, Format::Pacman("own")];

/// What came of a repository, and who reads it.
struct Came {
    store: Arc<Store>,
    given: Given,
    _folder: TempDir,
}

impl Came {
    /// Everything of a repository, and nothing else: no key is trusted.
    fn of(forged: &Forged<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(folder.path().to_owned()).expect("a store"));
        let mut given = Given {
            arrived: Vec::new(),
            declared: Vec::new(),
            keyrings: BTreeMap::new(),
            changed: BTreeSet::from(["/bin/own".to_owned()]),
            now: 1_790_000_000,
        };
        for (path, bytes) in forged.files().expect("a repository") {
            let url = format!("https://packages.example/own/{path}?token=x");
            if let Some(role) = Role::of_path(&path) {
                let blob = store.put_bytes(&bytes).expect("kept");
                given.arrived.push(Arrived {
                    op: None,
                    url,
                    role,
                    sha256: blob.digest,
                    bytes: bytes.len() as u64,
                    is_declared: false,
                });
            }
        }
        Self {
            store,
            given,
            _folder: folder,
        }
    }

    /// The same where the image trusts a key.
    fn trusting(mut self, key: TestKey) -> Self {
        let public = key.public().expect("a key");
        self.given.keyrings.insert("/keys/a.gpg".to_owned(), public);
        self
    }

    /// What came of this kind.
    fn one(&mut self, is: impl Fn(&Role) -> bool) -> &mut Arrived {
        let mut all = self.given.arrived.iter_mut();
        all.find(|arrived| is(&arrived.role)).expect("it came")
    }

    fn without(mut self, is: impl Fn(&Role) -> bool) -> Self {
        self.given.arrived.retain(|arrived| !is(&arrived.role));
        self
    }

    async fn read(self) -> PackageCame {
        let config = ProxyConfig {
            answers: AnswersFrom::World,
            keeping: Some(PackageReader::keeping(Store::clone(&self.store))),
            ..ProxyConfig::default()
        };
        let authority = Arc::new(CertificateAuthority::generate().expect("an authority"));
        let reader = PackageReader::new(self.store, Proxy::new(config, authority));
        let mut read = reader.read(self.given).await.expect("read");
        assert_eq!(read.len(), 1, "{read:?}");
        read.remove(0)
    }
}

fn own() -> Vec<OwnPackage> {
    let file = |path: &str| OwnFile {
        path: path.to_owned(),
        content: OwnContent::Bytes(path.as_bytes().to_vec()),
        mode: 0o4755,
        capability: None,
    };
    vec![OwnPackage {
        name: "own".to_owned(),
        files: vec![file("usr/bin/own"), file("usr/share/own/data")],
        script: Some("touch /srv/x".to_owned()),
        ..OwnPackage::default()
    }]
}

fn package(came: &PackageCame) -> &PackageRead {
    match &came.content {
        PackageContent::Read(read) => read,
        PackageContent::Unreadable { message } => panic!("unreadable: {message}"),
    }
}

/// Who made a signature, as far as it is good.
fn signer(signature: &Signature) -> Option<&str> {
    match signature {
        Signature::Verified { fingerprint, .. } => Some(fingerprint),
        Signature::None | Signature::UnknownKey { .. } | Signature::Bad { .. } => None,
    }
}

fn index(came: &PackageCame) -> &Signature {
    &came.chain.index.as_ref().expect("an index").signature
}

#[tokio::test]
async fn a_package_is_told_with_what_it_changed_and_who_vouches_for_it() {
    let key = TestKey::Apt;
    let print = key.fingerprint().expect("a key");
    for format in FORMATS {
        let came = Came::of(&Forged::own(format, &own(), key)).trusting(key);
        let came = came.read().await;
        let read = package(&came);
        assert_eq!(
            (read.name.as_str(), read.version.as_str()),
            ("own", "1.0-1")
        );
        let paths: Vec<&str> = read.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            ["/usr/bin/own"],
            "{format:?}: what no manifest shows is left out"
        );
        let file = &read.files[0];
        assert_eq!(file.sha256, Some(Digest::of(b"usr/bin/own")), "{format:?}");
        assert_eq!(file.mode, 0o4755, "{format:?}");
        assert!(read.total >= 2, "{format:?}");
        // pacman runs one of them anew when it upgrades (alpm-install-scriptlet(5)).
        let scripts = if matches!(format, Format::Pacman(_)) {
            2
        } else {
            1
        };
        assert_eq!(read.scripts.len(), scripts, "{format:?}");
        let of_itself = (format != Format::Apt).then_some(print.as_str());
        assert_eq!(signer(&came.chain.own), of_itself, "{format:?}");
        assert_eq!(signer(index(&came)), Some(print.as_str()), "{format:?}");
        assert!(came.chain.is_verified());
    }
}

#[tokio::test]
async fn a_key_that_nobody_trusts_vouches_for_nothing() {
    for format in FORMATS {
        let came = Came::of(&Forged::own(format, &own(), TestKey::Evil)).trusting(TestKey::Apt);
        let came = came.read().await;
        assert_eq!(package(&came).name, "own");
        let unknown = |signature: &Signature| matches!(signature, Signature::UnknownKey { .. });
        assert!(unknown(index(&came)), "{format:?}: {:?}", came.chain);
        assert_eq!(unknown(&came.chain.own), format != Format::Apt);
        assert!(!came.chain.is_verified());
    }
}

#[tokio::test]
async fn what_is_not_signed_is_told_as_it_is() {
    for format in FORMATS {
        let packages = own();
        let forged = Forged {
            packages: None,
            index: None,
            ..Forged::own(format, &packages, TestKey::Apt)
        };
        let came = Came::of(&forged).trusting(TestKey::Apt).read().await;
        assert_eq!(came.chain.own, Signature::None, "{format:?}");
        assert_eq!(index(&came), &Signature::None, "{format:?}");
    }
}

#[tokio::test]
async fn an_index_that_does_not_list_these_bytes_does_not_vouch_for_them() {
    let is_package = |role: &Role| matches!(role, Role::Package(_));
    for format in FORMATS {
        let (packages, key) = (own(), TestKey::Apt);
        let mut came = Came::of(&Forged::own(format, &packages, key)).trusting(key);
        let other = vec![OwnPackage {
            script: Some("touch /srv/y".to_owned()),
            ..packages[0].clone()
        }];
        let mut evil = Came::of(&Forged::own(format, &other, TestKey::Evil));
        let swapped = evil.one(is_package).clone();
        let bytes = evil
            .store
            .get(&swapped.sha256)
            .expect("read")
            .expect("kept");
        came.store.put_bytes(&bytes).expect("kept");
        *came.one(is_package) = swapped;
        let came = came.read().await;
        assert_eq!(came.chain.index, None, "{format:?}");
        assert!(!came.chain.is_verified(), "{format:?}: {:?}", came.chain);
    }
}

#[tokio::test]
async fn a_declared_key_counts_as_the_steps() {
    let key = TestKey::Apt;
    let mut came = Came::of(&Forged::own(Format::Apt, &own(), key));
    let blob = came.store.put_bytes(&key.public().expect("a key"));
    let step = StepRef {
        recipe: "x".parse().expect("a name"),
        step: "1".parse().expect("an id"),
    };
    came.given.declared.push(Content {
        step: step.clone(),
        url: "https://packages.example/key.asc".to_owned(),
        sha256: blob.expect("kept").digest,
        kind: ContentKind::Key {
            fingerprints: vec![key.fingerprint().expect("a key")],
        },
    });
    let came = came.read().await;
    let Signature::Verified { key, .. } = index(&came) else {
        panic!("{:?}", came.chain);
    };
    assert_eq!(*key, KeyPlace::Declared { step });
}

#[tokio::test]
async fn without_its_list_a_package_hangs_on_nothing() {
    let key = TestKey::Apt;
    let came = Came::of(&Forged::own(Format::Apt, &own(), key)).trusting(key);
    let came = came.without(|role| *role == Role::Packages).read().await;
    assert_eq!(came.chain.index, None);
}

#[tokio::test]
async fn bytes_that_are_no_package_or_are_gone_say_so() {
    let key = TestKey::Apt;
    for (bytes, wanted) in [
        (Some(b"no package".as_slice()), ""),
        (None, "its bytes are not to be had any more"),
    ] {
        let mut came = Came::of(&Forged::own(Format::Apt, &own(), key));
        let sha256 = Digest::of(bytes.unwrap_or(b"gone"));
        if let Some(bytes) = bytes {
            came.store.put_bytes(bytes).expect("kept");
        }
        came.one(|role| matches!(role, Role::Package(_))).sha256 = sha256;
        let came = came.read().await;
        let PackageContent::Unreadable { message } = &came.content else {
            panic!("{came:?}");
        };
        assert!(
            message.starts_with(wanted) && !message.is_empty(),
            "{message}"
        );
    }
}

#[tokio::test]
async fn what_was_read_once_is_kept_and_told_the_same() {
    let key = TestKey::Rpm;
    let came = Came::of(&Forged::own(Format::RpmMd, &own(), key)).trusting(key);
    let again = Given {
        arrived: came.given.arrived.clone(),
        declared: Vec::new(),
        keyrings: came.given.keyrings.clone(),
        changed: came.given.changed.clone(),
        now: came.given.now,
    };
    let store = Arc::clone(&came.store);
    let folder = came._folder.path().join("derived");
    let config = ProxyConfig {
        keeping: Some(PackageReader::keeping(Store::clone(&store))),
        ..ProxyConfig::default()
    };
    let authority = Arc::new(CertificateAuthority::generate().expect("an authority"));
    let reader = PackageReader::new(store, Proxy::new(config, authority));
    let first = reader.read(came.given).await.expect("read");
    assert!(folder.join("rpm-contents-1").is_dir());
    assert_eq!(reader.read(again).await.expect("read"), first);
}
