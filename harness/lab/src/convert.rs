//! Turns Debian packages into the neutral packages that the two writers lower.
//!
//! Pure. The rules (what is dropped, renamed, added) are data: `crate::data::Rules`.
//! `crate::dialect` is what a target does differently, `crate::world` the names of a set.
//! Where to go next: `crate::fedora::rpm` and `crate::arch::package` write the result.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::Rules;
use crate::deb::payload::{Entry, Node};
use crate::deb::relation::{Comparison, Relation, relations};
use crate::deb::{Deb, DebError};
use crate::dialect::Dialect;
use crate::scripts::{self, Script};
use crate::version::{Evr, VersionError};
use crate::world::World;

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
    /// What runs when it comes and goes.
    pub(crate) scripts: Vec<Script>,
    /// What runs after a transaction that changed files below a path: path and text.
    pub(crate) file_triggers: BTreeMap<String, String>,
}

/// Which packages of a set the image has, by Debian name.
#[derive(Debug, Default)]
pub(crate) struct InImage {
    /// The packages installed in it.
    pub(crate) installed: BTreeSet<String>,
    /// Packages taken out of it again, although some of those nominally need them.
    pub(crate) omitted: BTreeSet<String>,
}

/// What a package with maintainer scripts needs: the layer they run in.
pub(crate) const LAYER: &str = "assay-lab-layer";

/// Converts a closed set of packages; the result is sorted by name.
///
/// Every renamed package provides its Debian name, unless another package has that name in the
/// target. Packages named in `rules.debian_only` are left out. No rewritten version bound
/// changes its truth within the set.
///
/// # Errors
/// `ConvertError`, at the first fault.
pub(crate) fn convert(
    debs: Vec<Deb>,
    rules: &Rules,
    dialect: &Dialect<'_>,
    image: &InImage,
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
    for debian in kept.keys() {
        let name = dialect.name(debian).to_owned();
        if let Some(other) = owner.insert(name.clone(), debian.clone()) {
            return Err(ConvertError::Collision(other, debian.clone(), name));
        }
    }
    let mut packages = Vec::new();
    for (debian, deb) in kept {
        // Those of the image's packages ran when it was made.
        let scripts = if image.installed.contains(&debian) {
            Vec::new()
        } else {
            scripts::of_deb(&debian, deb.control.require("Version")?, &deb)
        };
        let mut package = one(&debian, deb, &world, rules, dialect, image)?;
        if !scripts.is_empty() {
            package.requires.push(vec![Relation::any(LAYER)]);
        }
        package.scripts = scripts;
        package.provides.retain(|provided| {
            provided.name == package.name || !owner.contains_key(&provided.name)
        });
        packages.push(package);
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn one(
    debian: &str,
    deb: Deb,
    world: &World,
    rules: &Rules,
    dialect: &Dialect<'_>,
    image: &InImage,
) -> Result<Package, ConvertError> {
    let control = &deb.control;
    let name = dialect.name(debian).to_owned();
    let version = control.require("Version")?.to_owned();
    let field = |name: &str| relations(control.get(name).unwrap_or_default());
    let renamed = |relation: Relation| Relation {
        name: dialect.name(&relation.name).to_owned(),
        bound: relation.bound,
    };

    let omitted = |name: &str| image.installed.contains(debian) && image.omitted.contains(name);
    let mut requires = Vec::new();
    for group in field("Pre-Depends")?.into_iter().chain(field("Depends")?) {
        let gone = |relation: &Relation| rules.dropped(&relation.name) || omitted(&relation.name);
        if group.iter().any(gone) {
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
    for more in dialect.depends(debian).filter(|more| world.has(more)) {
        let more = vec![renamed(Relation::any(more))];
        if !requires.contains(&more) {
            requires.push(more);
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
        entries: payload(debian, deb.entries, rules, dialect)?,
        conffiles: deb
            .conffiles
            .into_iter()
            .map(|path| dialect.moved(&path).cloned().unwrap_or(path))
            .collect(),
        scripts: Vec::new(),
        file_triggers: dialect.file_triggers(debian),
        version,
        name,
    })
}

/// Removes what the images leave out, adds the target's own links and orders the rest.
fn payload(
    package: &str,
    entries: Vec<Entry>,
    rules: &Rules,
    dialect: &Dialect<'_>,
) -> Result<Vec<Entry>, ConvertError> {
    // What is moved comes last, and takes the place of what has that path already.
    let (moved, rest): (Vec<Entry>, Vec<Entry>) = entries
        .into_iter()
        .chain(dialect.links(package))
        .partition(|entry| dialect.moved(&entry.path).is_some());
    let mut kept: BTreeMap<String, Entry> = BTreeMap::new();
    for mut entry in rest.into_iter().chain(moved) {
        if let Some(path) = dialect.moved(&entry.path) {
            entry.path = path.clone();
        }
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
    use crate::data::FormatRules;
    use crate::deb::control::paragraphs;
    use crate::version::to_rpm;
    use std::cmp::Ordering;

    fn deb(control: &str, entries: Vec<Entry>) -> Deb {
        Deb {
            control: paragraphs(control).expect("well formed").remove(0),
            conffiles: BTreeSet::new(),
            scripts: BTreeMap::new(),
            questions: Vec::new(),
            entries,
        }
    }

    fn rules() -> Rules {
        crate::data::Rules::embedded().expect("the data of the repository")
    }

    fn convert(
        debs: Vec<Deb>,
        rules: &Rules,
        dialect: &Dialect<'_>,
    ) -> Result<Vec<Package>, ConvertError> {
        super::convert(debs, rules, dialect, &InImage::default())
    }

    fn renaming(pairs: &[(&str, &str)]) -> FormatRules {
        FormatRules {
            rename: pairs
                .iter()
                .map(|(debian, name)| ((*debian).to_owned(), (*name).to_owned()))
                .collect(),
            ..FormatRules::default()
        }
    }

    fn dialect(own: &FormatRules) -> Dialect<'_> {
        Dialect {
            rules: [own, own],
            version: to_rpm,
            compare: assay_packages::rpm::compare,
        }
    }

    #[test]
    fn a_bound_whose_truth_changes_is_settled() {
        // A comparison that finds everything equal stands for one that reorders.
        let none = FormatRules::default();
        let odd = Dialect {
            rules: [&none, &none],
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
        let virtual_name = vec![
            deb("Package: a\nVersion: 1\nDepends: v (>> 1)\n", vec![]),
            deb("Package: b\nVersion: 1\nProvides: v (= 2)\n", vec![]),
        ];
        let of_provided = convert(virtual_name, &rules(), &odd).expect("a closed set");
        assert_eq!(of_provided[0].requires, [[Relation::any("v")]]);
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
        let rename = renaming(&[("libc6", "glibc")]);
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
            convert(open, &rules(), &dialect(&FormatRules::default())),
            Err(ConvertError::Unmet { .. })
        ));
        let rename = renaming(&[("a", "b")]);
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
            &dialect(&FormatRules::default()),
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
            &dialect(&FormatRules::default()),
        );
        assert!(matches!(bad, Err(ConvertError::Hardlink { .. })));
    }

    #[test]
    fn a_debian_name_is_provided_unless_another_package_has_it() {
        let own = renaming(&[
            ("pkgconf", "pkgconf-pkg-config"),
            ("pkgconf-bin", "pkgconf"),
        ]);
        let debs = vec![
            deb(
                "Package: pkgconf\nVersion: 1\nDepends: pkgconf-bin\n",
                vec![],
            ),
            deb("Package: pkgconf-bin\nVersion: 1\n", vec![]),
        ];
        let converted = convert(debs, &rules(), &dialect(&own)).expect("a closed set");
        assert_eq!(converted[1].name, "pkgconf-pkg-config");
        assert_eq!(names(&converted[1].requires[0]), ["pkgconf"]);
        assert_eq!(names(&converted[1].provides), [""; 0]);
        assert_eq!(names(&converted[0].provides), ["pkgconf-bin"]);
    }

    #[test]
    fn the_target_adds_needs_and_links_and_moves_paths() {
        let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let own = FormatRules {
            depends: BTreeMap::from([(
                "apache2".to_owned(),
                vec!["b".to_owned(), "absent".to_owned()],
            )]),
            links: BTreeMap::from([("apache2".to_owned(), map("usr/sbin/httpd", "apache2"))]),
            moves: map("etc/apache2.service", "etc/httpd.service"),
            file_triggers: BTreeMap::from([("b".to_owned(), map("/usr/lib", "ldconfig\n"))]),
            ..renaming(&[("b", "c")])
        };
        let unit = Entry::of_root("etc/apache2.service", Node::File(vec![]), 0o644, 0);
        let alias = Node::Symlink("apache2.service".to_owned());
        let alias = Entry::of_root("etc/httpd.service", alias, 0o777, 0);
        let debs = vec![
            deb("Package: apache2\nVersion: 1\n", vec![unit, alias]),
            deb("Package: b\nVersion: 1\n", vec![]),
        ];
        let converted = convert(debs, &rules(), &dialect(&own)).expect("a closed set");
        assert_eq!(converted[0].requires, [[Relation::any("c")]]);
        let paths: Vec<&str> = converted[0]
            .entries
            .iter()
            .map(|e| e.path.as_str())
            .collect();
        assert_eq!(paths, ["etc/httpd.service", "usr/sbin/httpd"]);
        assert_eq!(converted[0].entries[0].node, Node::File(vec![]));
        assert!(converted[0].file_triggers.is_empty());
        assert_eq!(converted[1].file_triggers, map("/usr/lib", "ldconfig\n"));
    }

    #[test]
    fn scripts_of_installed_packages_are_left_out() {
        let scripted = || {
            let mut scripted = deb("Package: a\nVersion: 1\n", vec![]);
            scripted
                .scripts
                .insert("postinst".to_owned(), "#!/bin/sh\n".to_owned());
            vec![scripted]
        };
        let none = FormatRules::default();
        let kept = convert(scripted(), &rules(), &dialect(&none)).expect("a closed set");
        assert_eq!(kept[0].scripts.len(), 1);
        assert_eq!(kept[0].requires, [[Relation::any(LAYER)]]);
        let image = InImage {
            installed: BTreeSet::from(["a".to_owned()]),
            omitted: BTreeSet::new(),
        };
        let left_out =
            super::convert(scripted(), &rules(), &dialect(&none), &image).expect("a closed set");
        assert!(left_out[0].scripts.is_empty() && left_out[0].requires.is_empty());
    }

    #[test]
    fn only_what_is_installed_does_without_what_was_taken_out() {
        let debs = vec![
            deb("Package: a\nVersion: 1\nDepends: python3\n", vec![]),
            deb("Package: b\nVersion: 1\nDepends: python3\n", vec![]),
            deb("Package: python3\nVersion: 3\n", vec![]),
        ];
        let image = InImage {
            installed: BTreeSet::from(["a".to_owned()]),
            omitted: BTreeSet::from(["python3".to_owned()]),
        };
        let none = FormatRules::default();
        let converted =
            super::convert(debs, &rules(), &dialect(&none), &image).expect("a closed set");
        let needs: Vec<usize> = converted.iter().map(|p| p.requires.len()).collect();
        assert_eq!(needs, [0, 1, 0]);
    }
}
