//! What indexes list, read once and kept in the store by their hash.

use std::collections::BTreeMap;
use std::io::BufReader;

use assay_content::store::Maker;
use assay_packages::index::{IndexFormat, Listing};
use assay_wire::digest::Digest;

use super::roots::Root;
use super::{Arrived, Reading, each, lock};

/// What the indexes of a cell list, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Lists(BTreeMap<Digest, Listing>);

impl Lists {
    /// Reads every index that a root leads to.
    pub(super) fn read(reading: &Reading<'_>, roots: &[Root<'_>]) -> Self {
        let mut wanted: Vec<(IndexFormat, &Arrived)> = Vec::new();
        for root in roots {
            wanted.extend(root.lists.iter().map(|list| (root.format, *list)));
        }
        wanted.sort_by_key(|(_, list)| list.sha256);
        wanted.dedup_by_key(|(_, list)| list.sha256);
        let read = each(&wanted, |(format, list)| {
            Some((list.sha256, listing(reading, *format, list)?))
        });
        Self(read.into_iter().flatten().collect())
    }

    /// The packets of a package's signature, as an index has them; empty if it has none. `None` if it does
    /// not list the package.
    pub(super) fn find(&self, list: &Digest, package: &Digest) -> Option<&[u8]> {
        self.0.get(list)?.find(package.bytes())
    }

    /// The packets of a package's signature, as any index has them.
    pub(super) fn signature(&self, package: &Digest) -> Option<&[u8]> {
        let found = self
            .0
            .values()
            .filter_map(|list| list.find(package.bytes()));
        found.into_iter().find(|signature| !signature.is_empty())
    }
}

/// What an index lists; `None` if it cannot be read, and lists nothing so.
fn listing(reading: &Reading<'_>, format: IndexFormat, list: &Arrived) -> Option<Listing> {
    let (store, maker) = (&reading.shared.store, maker(format));
    let kept = || Listing::from_bytes(store.derived(maker, &list.sha256)?);
    if let Some(kept) = kept() {
        return Some(kept);
    }
    let turn = reading.shared.turn(&list.sha256);
    let _alone = lock(&turn);
    // Another cell may have read it meanwhile.
    if let Some(kept) = kept() {
        return Some(kept);
    }
    let bytes = BufReader::with_capacity(256 << 10, reading.open(list).ok()?);
    let listing = format.read(bytes).ok()?;
    // Where it cannot be kept it is read again.
    let _ = store.keep_derived(maker, &list.sha256, listing.as_bytes());
    Some(listing)
}

/// A number that changes with what is made of an index.
fn maker(format: IndexFormat) -> Maker {
    Maker(match format {
        IndexFormat::Apt => "apt-packages-1",
        IndexFormat::RpmMd => "rpm-md-primary-1",
        IndexFormat::Pacman => "pacman-database-1",
    })
}
