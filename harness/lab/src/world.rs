//! The names and versions of a closed set of packages, and what relations mean within it.
//!
//! Pure. Here is decided whether a version bound survives being rewritten for a target;
//! `crate::convert` asks.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::convert::ConvertError;
use crate::deb::Deb;
use crate::deb::relation::{Comparison, Relation, relations};
use crate::dialect::Dialect;

/// The names of a closed set: its packages, and what they provide.
#[derive(Debug)]
pub(crate) struct World {
    packages: BTreeMap<String, String>,
    provided: BTreeSet<String>,
    /// The versions with which a name is provided, where it is with any.
    provided_versions: BTreeMap<String, Vec<String>>,
}

impl World {
    /// The world of these packages.
    ///
    /// # Errors
    /// `ConvertError` when a version is missing or a relation faulty.
    pub(crate) fn of(debs: &BTreeMap<String, Deb>) -> Result<Self, ConvertError> {
        let mut world = Self {
            packages: BTreeMap::new(),
            provided: BTreeSet::new(),
            provided_versions: BTreeMap::new(),
        };
        for (name, deb) in debs {
            world
                .packages
                .insert(name.clone(), deb.control.require("Version")?.to_owned());
            for relation in relations(deb.control.get("Provides").unwrap_or_default())?
                .into_iter()
                .flatten()
            {
                if let Some((_, version)) = relation.bound {
                    let versions = world.provided_versions.entry(relation.name.clone());
                    versions.or_default().push(version);
                }
                world.provided.insert(relation.name);
            }
        }
        Ok(world)
    }

    /// Whether a package has this name or provides it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.packages.contains_key(name) || self.provided.contains(name)
    }

    /// Few bounds change their truth when both versions are rewritten: one that some version of
    /// the set met loses its version, one that none met is left out.
    ///
    /// # Errors
    /// `ConvertError` when a version is none.
    pub(crate) fn settle(
        &self,
        relation: Relation,
        dialect: &Dialect<'_>,
    ) -> Result<Option<Relation>, ConvertError> {
        let Some((comparison, bound)) = &relation.bound else {
            return Ok(Some(relation));
        };
        let rewritten = |debian: &str| (dialect.version)(debian).map(|evr| evr.to_string());
        let provided = self.provided_versions.get(&relation.name);
        let versions = self.packages.get(&relation.name).into_iter();
        let (mut held, mut holds_there) = (false, false);
        for version in versions.chain(provided.into_iter().flatten()) {
            held |= holds(*comparison, assay_packages::dpkg::compare(version, bound));
            holds_there |= holds(
                *comparison,
                (dialect.compare)(&rewritten(version)?, &rewritten(bound)?),
            );
        }
        Ok(match (held, holds_there) {
            (true, false) => Some(Relation::any(&relation.name)),
            (false, true) => None,
            (true, true) | (false, false) => Some(relation),
        })
    }

    /// dpkg never lets a package conflict with itself, and lets a version bound
    /// pass an unversioned virtual name; rpm and pacman do neither.
    pub(crate) fn can_conflict(&self, package: &str, relation: &Relation) -> bool {
        if relation.name == package {
            return false;
        }
        match relation.bound {
            Some(_) => {
                self.packages.contains_key(&relation.name)
                    || self.provided_versions.contains_key(&relation.name)
            }
            None => self.has(&relation.name),
        }
    }
}

fn holds(comparison: Comparison, ordering: Ordering) -> bool {
    match comparison {
        Comparison::Earlier => ordering.is_lt(),
        Comparison::EarlierOrEqual => ordering.is_le(),
        Comparison::Equal => ordering.is_eq(),
        Comparison::LaterOrEqual => ordering.is_ge(),
        Comparison::Later => ordering.is_gt(),
    }
}
