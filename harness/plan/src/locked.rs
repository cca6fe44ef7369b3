//! What a lock says of a plan: the one version for a range, the file for a key that is known by its
//! fingerprint alone. Without a lock, or where it says nothing, nothing changes.

use std::cmp::Ordering;

use assay_packages::{Rules, VersionRange, VersionRequest, compare};
use assay_recipe::package::Manager;
use assay_wire::lock::{Lock, LockedKey};
use assay_wire::name::TargetId;

use crate::request::Request;

/// A lock as seen from one target.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Locked<'l> {
    of: Option<(&'l Lock, &'l TargetId)>,
}

impl<'l> Locked<'l> {
    pub(crate) fn new(lock: Option<&'l Lock>, target: &'l TargetId) -> Self {
        Self {
            of: lock.map(|lock| (lock, target)),
        }
    }

    /// The request with the newest version that was recorded and meets its range; unchanged where
    /// nothing was recorded that does.
    pub(crate) fn narrow(&self, manager: Manager, request: Request) -> Request {
        let narrowed = (|| {
            let (lock, target) = self.of?;
            let (range, rules) = (request.verified_range()?, manager.rules()?);
            let newest = newest(rules, range, lock.versions(target, &request.name))?;
            let exact: VersionRequest = format!("={newest}").parse().ok()?;
            Some(exact)
        })();
        match narrowed {
            Some(version) => Request { version, ..request },
            None => request,
        }
    }

    /// The file that holds a key.
    pub(crate) fn key(&self, fingerprint: &str) -> Option<&'l LockedKey> {
        self.of?.0.keys.get(fingerprint)
    }
}

fn newest<'v>(
    rules: Rules,
    range: &VersionRange,
    versions: impl Iterator<Item = &'v str>,
) -> Option<&'v str> {
    versions
        .filter(|version| range.contains(rules, version))
        .reduce(|a, b| match compare(rules, a, b) {
            Ordering::Less => b,
            Ordering::Equal | Ordering::Greater => a,
        })
}

#[cfg(test)]
mod tests {
    use assay_recipe::Recipe;
    use assay_wire::digest::Digest;
    use assay_wire::lock::LockedPackage;

    use super::*;
    use crate::build::plan_locked;
    use crate::build::tests::{install, named};
    use crate::fixtures::target;

    fn locked(packages: &[(&str, &str, &str)]) -> Lock {
        let package = |(target, name, version): &(&str, &str, &str)| LockedPackage {
            target: target.parse().expect("a target"),
            name: (*name).to_owned(),
            version: (*version).to_owned(),
        };
        Lock {
            packages: packages.iter().map(package).collect(),
            ..Lock::default()
        }
    }

    fn commands(recipes: &[Recipe], on: &str, lock: Option<&Lock>) -> String {
        let set: Vec<&Recipe> = recipes.iter().collect();
        let plan = plan_locked(&set, &target(on), lock).expect("plannable");
        crate::render_plan(&plan)
    }

    #[test]
    fn a_range_becomes_the_newest_recorded_version_that_meets_all_of_it() {
        let recipes = [
            named("a", &[], &install("{ name = \"jq\", version = \">=1.5\" }")),
            named(
                "b",
                &["a"],
                &install("{ name = \"jq\", version = \"<2\" }, \"tree\""),
            ),
        ];
        let lock = locked(&[
            ("debian-12", "jq", "1.6-2.1"),
            ("debian-12", "jq", "1.10-1"),
            ("debian-12", "jq", "2.0-1"),
            ("debian-12", "tree", "2.1.0-1"),
            ("debian-13", "jq", "1.7.1-6"),
        ]);
        let with = commands(&recipes, "debian-12", Some(&lock));
        assert!(with.contains("jq=1.10-1"), "{with}");
        assert!(!with.contains("tree="), "any stays any: {with}");
        let without = commands(&recipes, "debian-12", None);
        assert!(!without.contains("jq="), "{without}");
        // Nothing that was recorded meets it.
        let other = locked(&[("debian-12", "jq", "2.0-1"), ("arch", "jq", "1.6-1")]);
        assert_eq!(commands(&recipes, "debian-12", Some(&other)), without);
    }

    #[test]
    fn a_key_in_the_lock_is_a_file_with_a_hash() {
        let fingerprint = "F23C5A6CF475977595C89F51BA6932366A755776";
        let steps = format!(
            "[[steps]]\naction = \"apt_ppa\"\nppa = \"deadsnakes/ppa\"\nkey_fingerprint = \"{fingerprint}\"\n"
        );
        let recipes = [named("p", &[], &steps)];
        let set: Vec<&Recipe> = recipes.iter().collect();
        let on = target("ubuntu-24.04");
        let plan = plan_locked(&set, &on, None).expect("plannable");
        assert!(plan.unpinned_key().is_some() && plan.content.is_empty());
        let key = LockedKey {
            url: "https://keys.example/k".to_owned(),
            sha256: Digest::of(b"k"),
            expires: None,
        };
        let lock = Lock {
            keys: [(fingerprint.to_owned(), key)].into(),
            ..Lock::default()
        };
        let plan = plan_locked(&set, &on, Some(&lock)).expect("plannable");
        assert_eq!(plan.unpinned_key(), None);
        assert_eq!(plan.content[0].url, "https://keys.example/k");
        assert_eq!(plan.content[0].sha256, Digest::of(b"k"));
    }
}
