//! Turns Debian packages into the neutral packages that the two writers lower.
//!
//! Pure. The rules (what is dropped, renamed, added) are data: `crate::data::Rules`.
//! Where to go next: `crate::fedora::rpm` and `crate::arch::package` write the result.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::data::Rules;
use crate::deb::payload::{Entry, Node};
use crate::deb::relation::{Comparison, Relation, relations};
use crate::deb::{Deb, DebError};
use crate::version::{Evr, VersionError, to_pacman, to_rpm};

/// A package that cannot be converted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConvertError {
    /// The package itself is faulty.
    #[error("cannot read a package: {0}")]
    Deb(#[from] DebError),
    /// A version is faulty.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// Two packages get one name.
    #[error("`{0}` and `{1}` are both renamed to `{2}`")]
    Collision(String, String, String),
    /// No package of the set meets a dependency.
    #[error("`{package}` needs `{needs}`, which is not in the converted set")]
    Unmet {
        /// The package.
        package: String,
        /// The first alternative.
        needs: String,
    },
    /// A hard link whose first name is not in the package.
    #[error("`{package}` has a hard link to `{target}`, which it does not ship")]
    Hardlink {
        /// The package.
        package: String,
        /// The missing target.
        target: String,
    },
}

/// A package between the formats. Names are the target's, versions Debian's.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// The name in the target distribution.
    pub(crate) name: String,
    /// The Debian version.
    pub(crate) version: String,
    /// Whether it runs on every architecture.
    pub(crate) any_architecture: bool,
    /// One line.
    pub(crate) summary: String,
    /// Several lines.
    pub(crate) description: String,
    /// Upstream's page, or nothing.
    pub(crate) homepage: String,
    /// What it needs: groups of alternatives, those alone that the set holds.
    pub(crate) requires: Vec<Vec<Relation>>,
    /// What it provides beside its name.
    pub(crate) provides: Vec<Relation>,
    /// What it cannot be installed with.
    pub(crate) conflicts: Vec<Relation>,
    /// The payload, sorted by path; hard links follow their target.
    pub(crate) entries: Vec<Entry>,
    /// Paths of configuration files.
    pub(crate) conffiles: BTreeSet<String>,
    /// A shell script that runs after the installation.
    pub(crate) post_install: Option<String>,
}

/// What a target does differently from Debian.
pub(crate) struct Dialect<'a> {
    /// Names in the target, by Debian name.
    pub(crate) rename: &'a BTreeMap<String, String>,
    /// Rewrites a version.
    pub(crate) version: fn(&str) -> Result<Evr, VersionError>,
    /// Orders rewritten versions as the target does.
    pub(crate) compare: fn(&str, &str) -> Ordering,
}

impl<'a> Dialect<'a> {
    /// Fedora's.
    pub(crate) fn rpm(rules: &'a Rules) -> Self {
        Self {
            rename: &rules.rename.rpm,
            version: to_rpm,
            compare: assay_packages::rpm::compare,
        }
    }

    /// Arch's.
    pub(crate) fn pacman(rules: &'a Rules) -> Self {
        Self {
            rename: &rules.rename.pacman,
            version: to_pacman,
            compare: assay_packages::pacman::compare,
        }
    }

    /// The name in the target.
    pub(crate) fn name<'b>(&'b self, debian: &'b str) -> &'b str {
        self.rename.get(debian).map_or(debian, String::as_str)
    }
}

/// Converts a closed set of packages; the result is sorted by name.
///
/// Every renamed package provides its Debian name. Packages named in
/// `rules.debian_only` are left out. No rewritten version bound changes its truth
/// within the set.
///
/// # Errors
/// `ConvertError`, at the first fault.
pub(crate) fn convert(
    debs: Vec<Deb>,
    rules: &Rules,
    dialect: &Dialect<'_>,
) -> Result<Vec<Package>, ConvertError> {
    let mut kept = BTreeMap::new();
    for deb in debs {
        let name = deb.control.require("Package")?.to_owned();
        if !rules.debian_only.contains(&name) {
            kept.insert(name, deb);
        }
    }
    let world = World::of(&kept)?;
    let mut owner: BTreeMap<String, String> = BTreeMap::new();
    let mut packages = Vec::new();
    for (debian, deb) in kept {
        let name = dialect.name(&debian).to_owned();
        if let Some(other) = owner.insert(name.clone(), debian.clone()) {
            return Err(ConvertError::Collision(other, debian, name));
        }
        packages.push(one(&debian, name, deb, &world, rules, dialect)?);
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn one(
    debian: &str,
    name: String,
    deb: Deb,
    world: &World,
    rules: &Rules,
    dialect: &Dialect<'_>,
) -> Result<Package, ConvertError> {
    let control = &deb.control;
    let version = control.require("Version")?.to_owned();
    let field = |name: &str| relations(control.get(name).unwrap_or_default());
    let renamed = |relation: Relation| Relation {
        name: dialect.name(&relation.name).to_owned(),
        bound: relation.bound,
    };

    let mut requires = Vec::new();
    for group in field("Pre-Depends")?.into_iter().chain(field("Depends")?) {
        if group.iter().any(|relation| rules.dropped(&relation.name)) {
            continue;
        }
        let first = group
            .first()
            .map_or_else(String::new, |relation| relation.name.clone());
        let mut known = Vec::new();
        for relation in group
            .into_iter()
            .filter(|relation| world.has(&relation.name))
        {
            known.extend(world.settle(relation, dialect)?.map(renamed));
        }
        if known.is_empty() {
            return Err(ConvertError::Unmet {
                package: debian.to_owned(),
                needs: first,
            });
        }
        if !requires.contains(&known) {
            requires.push(known);
        }
    }

    let mut provides: Vec<Relation> = field("Provides")?.into_iter().flatten().collect();
    if name != debian {
        provides.push(Relation {
            name: debian.to_owned(),
            bound: Some((Comparison::Equal, version.clone())),
        });
    }
    for extra in rules.provides.get(debian).into_iter().flatten() {
        provides.push(Relation::any(extra));
    }
    provides.sort();
    provides.dedup();

    let mut conflicts = Vec::new();
    for relation in field("Conflicts")?
        .into_iter()
        .chain(field("Breaks")?)
        .flatten()
    {
        if world.can_conflict(debian, &relation) {
            conflicts.extend(world.settle(relation, dialect)?.map(renamed));
        }
    }
    conflicts.sort();
    conflicts.dedup();

    let text = control.get("Description").unwrap_or_default();
    let (summary, description) = text.split_once('\n').unwrap_or((text, text));
    Ok(Package {
        any_architecture: control.get("Architecture") == Some("all"),
        summary: plain(summary, " "),
        description: plain(description, "\n"),
        homepage: plain(control.get("Homepage").unwrap_or_default(), ""),
        requires,
        provides,
        conflicts,
        entries: payload(debian, deb.entries, rules)?,
        conffiles: deb.conffiles,
        post_install: None,
        version,
        name,
    })
}

/// Removes what the images leave out and orders the rest.
fn payload(package: &str, entries: Vec<Entry>, rules: &Rules) -> Result<Vec<Entry>, ConvertError> {
    let mut kept: BTreeMap<String, Entry> = BTreeMap::new();
    for entry in entries {
        if !rules.excluded(&entry.path) && !rules.unowned(&entry.path) {
            kept.insert(entry.path.clone(), entry);
        }
    }
    let links: Vec<(String, String)> = kept
        .values()
        .filter_map(|entry| match &entry.node {
            Node::Hardlink(target) => Some((entry.path.clone(), target.clone())),
            Node::Directory | Node::File(_) | Node::Symlink(_) => None,
        })
        .collect();
    for (_, target) in &links {
        if !matches!(
            kept.get(target).map(|entry| &entry.node),
            Some(Node::File(_))
        ) {
            return Err(ConvertError::Hardlink {
                package: package.to_owned(),
                target: target.clone(),
            });
        }
    }
    let (hard, rest): (Vec<Entry>, Vec<Entry>) = kept
        .into_values()
        .partition(|entry| matches!(entry.node, Node::Hardlink(_)));
    Ok(rest.into_iter().chain(hard).collect())
}

fn plain(text: &str, newline: &str) -> String {
    let text = text.replace('\n', newline);
    text.chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect()
}

/// The names of a closed set: its packages, and what they provide.
struct World {
    packages: BTreeMap<String, String>,
    provided: BTreeSet<String>,
    provided_with_version: BTreeSet<String>,
}

impl World {
    fn of(debs: &BTreeMap<String, Deb>) -> Result<Self, ConvertError> {
        let mut world = Self {
            packages: BTreeMap::new(),
            provided: BTreeSet::new(),
            provided_with_version: BTreeSet::new(),
        };
        for (name, deb) in debs {
            world
                .packages
                .insert(name.clone(), deb.control.require("Version")?.to_owned());
            for relation in relations(deb.control.get("Provides").unwrap_or_default())?
                .into_iter()
                .flatten()
            {
                if relation.bound.is_some() {
                    world.provided_with_version.insert(relation.name.clone());
                }
                world.provided.insert(relation.name);
            }
        }
        Ok(world)
    }

    fn has(&self, name: &str) -> bool {
        self.packages.contains_key(name) || self.provided.contains(name)
    }

    /// Few bounds change their truth when both versions are rewritten: one that held
    /// loses its version, one that did not hold is left out.
    fn settle(
        &self,
        relation: Relation,
        dialect: &Dialect<'_>,
    ) -> Result<Option<Relation>, ConvertError> {
        let (Some((comparison, bound)), Some(version)) =
            (&relation.bound, self.packages.get(&relation.name))
        else {
            return Ok(Some(relation));
        };
        let rewritten = |debian: &str| (dialect.version)(debian).map(|evr| evr.to_string());
        let held = holds(*comparison, assay_packages::dpkg::compare(version, bound));
        let holds_there = holds(
            *comparison,
            (dialect.compare)(&rewritten(version)?, &rewritten(bound)?),
        );
        Ok(match (held, holds_there) {
            (true, false) => Some(Relation::any(&relation.name)),
            (false, true) => None,
            (true, true) | (false, false) => Some(relation),
        })
    }

    /// dpkg never lets a package conflict with itself, and lets a version bound
    /// pass an unversioned virtual name; rpm and pacman do neither.
    fn can_conflict(&self, package: &str, relation: &Relation) -> bool {
        if relation.name == package {
            return false;
        }
        match relation.bound {
            Some(_) => {
                self.packages.contains_key(&relation.name)
                    || self.provided_with_version.contains(&relation.name)
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

/// A bound as the target writes it, from a Debian version.
///
/// # Errors
/// `VersionError` when the bound's version is faulty.
pub(crate) fn bound_of(
    relation: &Relation,
    version: fn(&str) -> Result<Evr, VersionError>,
) -> Result<Option<(&'static str, Evr)>, VersionError> {
    let Some((comparison, debian)) = &relation.bound else {
        return Ok(None);
    };
    let sign = match comparison {
        Comparison::Earlier => "<",
        Comparison::EarlierOrEqual => "<=",
        Comparison::Equal => "=",
        Comparison::LaterOrEqual => ">=",
        Comparison::Later => ">",
    };
    Ok(Some((sign, version(debian)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::control::paragraphs;

    fn deb(control: &str, entries: Vec<Entry>) -> Deb {
        Deb {
            control: paragraphs(control).expect("well formed").remove(0),
            conffiles: BTreeSet::new(),
            scripts: BTreeSet::new(),
            entries,
        }
    }

    fn rules() -> Rules {
        crate::data::Rules::embedded().expect("the data of the repository")
    }

    fn dialect(rename: &BTreeMap<String, String>) -> Dialect<'_> {
        Dialect {
            rename,
            version: to_rpm,
            compare: assay_packages::rpm::compare,
        }
    }

    #[test]
    fn a_bound_whose_truth_changes_is_settled() {
        // A comparison that finds everything equal stands for one that reorders.
        let none = BTreeMap::new();
        let odd = Dialect {
            rename: &none,
            version: to_rpm,
            compare: |_, _| Ordering::Equal,
        };
        let debs = || {
            vec![
                deb(
                    "Package: a\nVersion: 1\nDepends: b (>> 1)\nBreaks: b (<= 1)\n",
                    vec![],
                ),
                deb("Package: b\nVersion: 2\n", vec![]),
            ]
        };
        let settled = convert(debs(), &rules(), &odd).expect("a closed set");
        assert_eq!(settled[0].requires, [[Relation::any("b")]]);
        assert_eq!(settled[0].conflicts, []);
        let kept = convert(debs(), &rules(), &dialect(&none)).expect("a closed set");
        assert!(kept[0].requires[0][0].bound.is_some() && kept[0].conflicts[0].bound.is_some());
    }

    fn names(relations: &[Relation]) -> Vec<&str> {
        relations
            .iter()
            .map(|relation| relation.name.as_str())
            .collect()
    }

    #[test]
    fn dependencies_are_renamed_dropped_and_narrowed() {
        let rename = BTreeMap::from([("libc6".to_owned(), "glibc".to_owned())]);
        let debs = vec![
            deb(
                "Package: a\nVersion: 1\nDepends: libc6 (>= 2), debconf | debconf-2.0, absent | b, virtual\nConflicts: a, other (<< 2)\n",
                vec![],
            ),
            deb(
                "Package: b\nVersion: 1\nProvides: virtual, other\nBreaks: libc6 (<< 1)\n",
                vec![],
            ),
            deb("Package: libc6\nVersion: 2\n", vec![]),
            deb("Package: dpkg\nVersion: 2\n", vec![]),
        ];
        let converted = convert(debs, &rules(), &dialect(&rename)).expect("a closed set");
        assert_eq!(
            converted
                .iter()
                .map(|p| p.name.as_str())
                .collect::<Vec<_>>(),
            ["a", "b", "glibc"]
        );
        let groups: Vec<Vec<&str>> = converted[0]
            .requires
            .iter()
            .map(|group| names(group))
            .collect();
        assert_eq!(groups, [vec!["glibc"], vec!["b"], vec!["virtual"]]);
        assert_eq!(names(&converted[0].conflicts), [""; 0]);
        assert_eq!(names(&converted[1].conflicts), ["glibc"]);
        assert_eq!(names(&converted[2].provides), ["libc6"]);
    }

    #[test]
    fn an_open_set_and_a_collision_are_refused() {
        let open = vec![deb("Package: a\nVersion: 1\nDepends: absent\n", vec![])];
        assert!(matches!(
            convert(open, &rules(), &dialect(&BTreeMap::new())),
            Err(ConvertError::Unmet { .. })
        ));
        let rename = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let two = vec![
            deb("Package: a\nVersion: 1\n", vec![]),
            deb("Package: b\nVersion: 1\n", vec![]),
        ];
        assert!(matches!(
            convert(two, &rules(), &dialect(&rename)),
            Err(ConvertError::Collision(..))
        ));
    }

    #[test]
    fn hard_links_come_last_and_need_their_target() {
        let file = Entry::of_root("usr/bin/z", Node::File(b"z".to_vec()), 0o755, 0);
        let link = Entry::of_root(
            "usr/bin/a",
            Node::Hardlink("usr/bin/z".to_owned()),
            0o755,
            0,
        );
        let manual = Entry::of_root("usr/share/man/man1/z.1.gz", Node::File(vec![]), 0o644, 0);
        let good = convert(
            vec![deb(
                "Package: a\nVersion: 1\n",
                vec![link.clone(), manual, file],
            )],
            &rules(),
            &dialect(&BTreeMap::new()),
        );
        let good = good.expect("complete");
        assert_eq!(
            good[0]
                .entries
                .iter()
                .map(|e| e.path.as_str())
                .collect::<Vec<_>>(),
            ["usr/bin/z", "usr/bin/a"]
        );
        let bad = convert(
            vec![deb("Package: a\nVersion: 1\n", vec![link])],
            &rules(),
            &dialect(&BTreeMap::new()),
        );
        assert!(matches!(bad, Err(ConvertError::Hardlink { .. })));
    }
}
