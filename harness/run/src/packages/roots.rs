//! The indexes that are signed, or would be: by whom, and which lists of packages they lead to.

use assay_content::openpgp::{Certificates, better, cleartext};
use assay_packages::contents::PackageFormat;
use assay_packages::index::{IndexFormat, Indexes, apt, rpm_md};
use assay_packages::role::Role;
use assay_wire::digest::Digest;
use assay_wire::package::{KeyPlace, Signature, SigningIndex};
use assay_wire::plan::ContentKind;

use super::lists::Lists;
use super::{Arrived, Reading};

/// Most bytes of an index that is signed itself and leads to others.
const MOST_ROOT: u64 = 32 << 20;

/// Most bytes of a signature.
pub(super) const MOST_SIGNATURE: u64 = 1 << 20;

/// Most such indexes of one cell.
const MOST_ROOTS: usize = 256;

/// An index that is signed, or would be.
pub(super) struct Root<'g> {
    signed: SigningIndex,
    /// What its lists of packages are.
    pub(super) format: IndexFormat,
    /// The lists it leads to, of those that came.
    pub(super) lists: Vec<&'g Arrived>,
}

/// The keys that count: those the recipe declares, then those the image had.
pub(super) fn certificates(reading: &Reading<'_>) -> Certificates {
    let mut certificates = Certificates::default();
    for content in &reading.given.declared {
        match content.kind {
            ContentKind::Key { .. } => {}
            ContentKind::File => continue,
        }
        if let Ok(Some(bytes)) = reading.shared.store.get(&content.sha256) {
            let step = content.step.clone();
            certificates.add(&bytes, &KeyPlace::Declared { step });
        }
    }
    for (path, bytes) in &reading.given.keyrings {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.ends_with("-revoked") {
            // pacman-key(8): fingerprints of keys that are in the keyring beside it and do not count.
            let text = String::from_utf8_lossy(bytes);
            let prints = text.lines().filter_map(|line| line.split(':').next());
            certificates.leave_out(prints.map(|print| print.trim().to_uppercase()));
        } else if !name.contains("-removed-keys.") {
            // Those are what a distribution took out of its keyrings; no manager is told of them.
            certificates.add(bytes, &KeyPlace::Image { path: path.clone() });
        }
    }
    certificates
}

/// Every index among what came that is signed itself, or would be.
pub(super) fn roots<'g>(reading: &Reading<'g>, certificates: &Certificates) -> Vec<Root<'g>> {
    let mut roots: Vec<Root<'g>> = Vec::new();
    let mut seen: Vec<(&str, &Digest)> = Vec::new();
    for arrived in &reading.given.arrived {
        if roots.len() == MOST_ROOTS || seen.contains(&(&arrived.url, &arrived.sha256)) {
            continue;
        }
        if let Some(root) = root(reading, arrived, certificates) {
            seen.push((&arrived.url, &arrived.sha256));
            roots.push(root);
        }
    }
    roots
}

fn root<'g>(
    reading: &Reading<'g>,
    arrived: &'g Arrived,
    certificates: &Certificates,
) -> Option<Root<'g>> {
    let (now, given) = (reading.given.now, &reading.given.arrived);
    let beside = || signature_beside(reading, arrived, certificates);
    let lists = |role: Role, indexes: &Indexes| {
        let leads = |list: &&Arrived| list.role == role && indexes.contains(list.sha256.bytes());
        given.iter().filter(leads).collect()
    };
    let (signature, format, lists) = match arrived.role {
        Role::InRelease => {
            let bytes = reading.small(arrived, MOST_ROOT)?;
            let (text, signature) = match cleartext(&bytes) {
                Some(read) => {
                    let signature = certificates.check(&read.signatures, &mut read.data(), now);
                    (read.text, signature)
                }
                None => {
                    let message = "it is no text with its signature".to_owned();
                    (bytes, Signature::Bad { message })
                }
            };
            let indexes = apt::indexes(&String::from_utf8_lossy(&text)).ok()?;
            let lists = lists(Role::Packages, &indexes);
            (signature, IndexFormat::Apt, lists)
        }
        Role::Release => {
            let bytes = reading.small(arrived, MOST_ROOT)?;
            let indexes = apt::indexes(&String::from_utf8_lossy(&bytes)).ok()?;
            let lists = lists(Role::Packages, &indexes);
            (beside(), IndexFormat::Apt, lists)
        }
        Role::Repomd => {
            let bytes = reading.small(arrived, MOST_ROOT)?;
            let indexes = rpm_md::indexes(bytes.as_slice()).ok()?;
            let lists = lists(Role::Primary, &indexes);
            (beside(), IndexFormat::RpmMd, lists)
        }
        Role::Database => (beside(), IndexFormat::Pacman, vec![arrived]),
        Role::Package(PackageFormat::Deb | PackageFormat::Rpm | PackageFormat::Pacman)
        | Role::Signature
        | Role::Packages
        | Role::Primary => return None,
    };
    let signed = SigningIndex {
        url: arrived.url.clone(),
        signature,
    };
    Some(Root {
        signed,
        format,
        lists,
    })
}

/// What the signatures say that came from beside an index.
fn signature_beside(
    reading: &Reading<'_>,
    arrived: &Arrived,
    certificates: &Certificates,
) -> Signature {
    let suffix = arrived.role.signature_suffix().unwrap_or_default();
    let mut best = Signature::None;
    for other in &reading.given.arrived {
        let is_beside = other.role == Role::Signature
            && other.place().strip_suffix(suffix) == Some(arrived.place());
        if !is_beside || best.is_verified() {
            continue;
        }
        let checked = match (
            reading.small(other, MOST_SIGNATURE),
            reading.open_file(arrived),
        ) {
            (Some(file), Ok(mut data)) => {
                certificates.check_file(&file, &mut data, reading.given.now)
            }
            (None, _) | (_, Err(_)) => Signature::Bad {
                message: "its bytes are not to be had any more".to_owned(),
            },
        };
        best = better(best, checked);
    }
    best
}

/// The index that vouches for a package: one with a good signature if any lists it.
pub(super) fn index(roots: &[Root<'_>], lists: &Lists, package: &Digest) -> Option<SigningIndex> {
    let mut found: Option<&SigningIndex> = None;
    for root in roots {
        let mut leads = root.lists.iter();
        if !leads.any(|list| lists.find(&list.sha256, package).is_some()) {
            continue;
        }
        let (this, known) = (&root.signed, found.map(|known| &known.signature));
        let is_better =
            known.is_none_or(|known| better(known.clone(), this.signature.clone()) != *known);
        if is_better {
            found = Some(this);
        }
    }
    found.cloned()
}
