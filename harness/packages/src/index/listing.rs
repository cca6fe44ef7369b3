//! The packages that an index lists, as bytes that can be kept and searched as they are: a distribution's
//! index lists tens of thousands, of which a sandbox is given some.
//!
//! ```text
//! u32le     how many
//! 32 each   their hashes, sorted
//! u32le each  where the signature of each ends, counted from the first
//! …         the signatures, in the same order
//! ```

use super::{Listed, Sha256};

const HASH: usize = 32;
const NUMBER: usize = 4;

/// The packages that an index lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing(Vec<u8>);

impl Listing {
    pub(super) fn of(listed: &Listed) -> Self {
        let packages = &listed.packages;
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let size = NUMBER + packages.len() * (HASH + NUMBER) + listed.signed;
        let mut bytes = Vec::with_capacity(size);
        bytes.extend(number(packages.len()));
        packages.keys().for_each(|hash| bytes.extend(hash));
        let mut end = 0;
        for signature in packages.values() {
            end += signature.len();
            bytes.extend(number(end));
        }
        packages.values().for_each(|it| bytes.extend(it));
        Self(bytes)
    }

    /// Reads what [`Listing::as_bytes`] gave; `None` for what it cannot have given.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let listing = Self(bytes);
        let signatures = listing.signatures_at()?;
        let end = match listing.len() {
            0 => 0,
            count => listing.end_of(count - 1)?,
        };
        (signatures.checked_add(end)? == listing.0.len()).then_some(listing)
    }

    /// All of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many packages it lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.number_at(0).unwrap_or_default()
    }

    /// True if it lists none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The OpenPGP packets of a package's own signature, as the index has them; empty if it has none.
    /// `None` if it does not list a package of this hash.
    #[must_use]
    pub fn find(&self, sha256: &Sha256) -> Option<&[u8]> {
        let (hashes, _) = self.0.get(NUMBER..)?.as_chunks::<HASH>();
        let at = hashes.get(..self.len())?.binary_search(sha256).ok()?;
        let start = match at {
            0 => 0,
            at => self.end_of(at - 1)?,
        };
        let signatures = self.0.get(self.signatures_at()?..)?;
        signatures.get(start..self.end_of(at)?)
    }

    fn signatures_at(&self) -> Option<usize> {
        self.len()
            .checked_mul(HASH + NUMBER)?
            .checked_add(NUMBER)
            .filter(|at| *at <= self.0.len())
    }

    fn end_of(&self, package: usize) -> Option<usize> {
        self.number_at(NUMBER + self.len() * HASH + package * NUMBER)
    }

    fn number_at(&self, at: usize) -> Option<usize> {
        let number = self.0.get(at..)?.first_chunk::<NUMBER>()?;
        usize::try_from(u32::from_le_bytes(*number)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_finds_the_same(
            packages in proptest::collection::btree_map(
                any::<[u8; 32]>(),
                proptest::collection::vec(any::<u8>(), 0..4),
                0..20,
            ),
            other in any::<[u8; 32]>(),
        ) {
            let listed = Listed { signed: packages.values().map(Vec::len).sum(), packages };
            let listing = Listing::of(&listed);
            prop_assert_eq!(listing.len(), listed.packages.len());
            let kept = Listing::from_bytes(listing.as_bytes().to_vec());
            prop_assert_eq!(kept.as_ref(), Some(&listing));
            for (hash, signature) in &listed.packages {
                prop_assert_eq!(listing.find(hash), Some(signature.as_slice()));
            }
            prop_assert_eq!(listing.find(&other).is_some(), listed.packages.contains_key(&other));
            let cut = listing.as_bytes().split_last().map(|(_, rest)| rest.to_vec());
            prop_assert_eq!(cut.and_then(Listing::from_bytes), None);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0u8..6) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_chunk_mut::<4>() {
                *first = [count, 0, 0, 0];
            }
            if let Some(listing) = Listing::from_bytes(bytes) {
                let _ = listing.find(&[0; 32]);
                let _ = listing.find(&[0xff; 32]);
            }
        }
    }

    #[test]
    fn none_lists_nothing() {
        let empty = Listing::of(&Listed {
            packages: BTreeMap::new(),
            signed: 0,
        });
        assert!(empty.is_empty() && empty.find(&[0; 32]).is_none());
    }
}
