//! What a target does differently from Debian: names, needs, links, versions.
//!
//! Pure. The rules are data (`crate::data::FormatRules`); `crate::convert` applies them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::data::{FormatRules, Rules};
use crate::deb::payload::{Entry, Node};
use crate::sign::BUILD_TIME;
use crate::version::{Evr, VersionError, to_pacman, to_rpm};

/// What a target does differently from Debian.
pub(crate) struct Dialect<'a> {
    /// The format's own rules, and those of both.
    pub(crate) rules: [&'a FormatRules; 2],
    /// Rewrites a version.
    pub(crate) version: fn(&str) -> Result<Evr, VersionError>,
    /// Orders rewritten versions as the target does.
    pub(crate) compare: fn(&str, &str) -> Ordering,
}

impl<'a> Dialect<'a> {
    /// Fedora's.
    pub(crate) fn rpm(rules: &'a Rules) -> Self {
        Self {
            rules: [&rules.rpm, &rules.both],
            version: to_rpm,
            compare: assay_packages::rpm::compare,
        }
    }

    /// Arch's.
    pub(crate) fn pacman(rules: &'a Rules) -> Self {
        Self {
            rules: [&rules.pacman, &rules.both],
            version: to_pacman,
            compare: assay_packages::pacman::compare,
        }
    }

    /// The name in the target.
    pub(crate) fn name<'b>(&'b self, debian: &'b str) -> &'b str {
        self.rules
            .iter()
            .find_map(|rules| rules.rename.get(debian))
            .map_or(debian, String::as_str)
    }

    /// What a package needs beside what it lists, by Debian name.
    pub(crate) fn depends(&self, debian: &str) -> impl Iterator<Item = &'a String> {
        self.rules.into_iter().flat_map({
            let debian = debian.to_owned();
            move |rules| rules.depends.get(&debian).into_iter().flatten()
        })
    }

    /// The links a package has beside its payload.
    pub(crate) fn links(&self, debian: &str) -> Vec<Entry> {
        let links = self
            .rules
            .iter()
            .flat_map(|rules| rules.links.get(debian).into_iter().flatten());
        links
            .map(|(path, target)| {
                let node = Node::Symlink(target.clone());
                Entry::of_root(path, node, 0o777, u64::from(BUILD_TIME))
            })
            .collect()
    }

    /// What a package runs when others bring or take files.
    pub(crate) fn file_triggers(&self, debian: &str) -> BTreeMap<String, String> {
        let rules = self.rules.iter();
        let triggers =
            rules.flat_map(|rules| rules.file_triggers.get(debian).into_iter().flatten());
        triggers
            .map(|(path, text)| (path.clone(), text.clone()))
            .collect()
    }

    /// The path in the target, where it is another one.
    pub(crate) fn moved(&self, path: &str) -> Option<&'a String> {
        self.rules.iter().find_map(|rules| rules.moves.get(path))
    }
}
