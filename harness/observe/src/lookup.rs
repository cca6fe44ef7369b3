//! What is looked up by a key and never listed. A cell has tens of thousands of paths that share long
//! beginnings: to hash one is cheaper than to compare it a dozen times.

#![expect(
    clippy::disallowed_types,
    reason = "it cannot be iterated, so its order reaches no record"
)]

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Values by key.
#[derive(Debug)]
pub(crate) struct Lookup<K, V>(HashMap<K, V>);

impl<K, V> Default for Lookup<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq, V> Lookup<K, V> {
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    pub(crate) fn contains<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Puts a value in place of what was there.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.0.insert(key, value);
    }

    /// What is there, or this.
    pub(crate) fn or_insert(&mut self, key: K, value: V) -> &mut V {
        self.0.entry(key).or_insert(value)
    }
}

impl<K: Hash + Eq, V: Default> Lookup<K, V> {
    /// What is there, or nothing yet.
    pub(crate) fn or_default(&mut self, key: K) -> &mut V {
        self.0.entry(key).or_default()
    }
}

impl<K: Hash + Eq, V> FromIterator<(K, V)> for Lookup<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}
