//! What an index says beside its packages' names: who signs it, how long it holds, and whether it is
//! true to their sizes.
//!
//! Pure. The three writers of indexes take it; only `crate::forge` ever sets more than the key.

use crate::sign::Key;

/// The terms of one index.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms<'a> {
    /// Who signs it; nobody if this is `None`.
    pub(crate) key: Option<&'a Key>,
    /// Until when apt takes it, as `Release` writes times; other formats have no such field.
    pub(crate) valid_until: Option<&'a str>,
    /// By how many bytes each package is said to be smaller than it is.
    pub(crate) bytes_left_out: usize,
}

impl<'a> Terms<'a> {
    /// Signed, without an end, and true.
    pub(crate) fn signed(key: &'a Key) -> Self {
        Self {
            key: Some(key),
            ..Self::default()
        }
    }

    /// The size it tells of a package of this many bytes.
    pub(crate) fn told(&self, size: usize) -> usize {
        size.saturating_sub(self.bytes_left_out)
    }
}
