//! Versions: four orders and the ranges over them.

use std::cmp::Ordering;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use assay_observe::version::meets_range;
use assay_packages::dotted::{self, first_version};
use assay_packages::{
    DistroVersion, DistroVersionRange, Rules, VersionRange, VersionRequest, compare,
};
use assay_wire::plan::VersionRules;

use super::{parts, text};

/// Three texts: every comparator is a total order of all of them.
pub fn versions(bytes: &[u8]) {
    let text = text(bytes);
    let texts: [&str; 3] = parts(&text);
    let alike = |rules| {
        let releases = texts.map(|text| split(text).1.is_some());
        rules != Rules::Pacman || releases == [true; 3] || releases == [false; 3]
    };
    for rules in Rules::ALL {
        if alike(rules) && texts.iter().all(|text| is_version(rules, text)) {
            assert_total_order(|a, b| compare(rules, a, b), texts);
        }
        for a in texts {
            for b in texts {
                let bound = rules.compare_with_bound(a, b);
                assert_eq!(
                    bound,
                    rules.compare_with_bound(b, a).reverse(),
                    "{a:?} {b:?}"
                );
                // A bound may be about several versions, never about others in between.
                let exact = compare(rules, a, b);
                assert!(bound == exact || bound.is_eq(), "{rules}: {a:?} {b:?}");
            }
        }
    }
    assert_total_order(dotted::compare, texts);
    for text in texts {
        if let Some(found) = first_version(text) {
            assert!(text.contains(found));
            assert!(found.starts_with(|c: char| c.is_ascii_digit()), "{found:?}");
        }
    }
    let [a, b, c] = texts.map(|text| text.parse::<DistroVersion>().ok());
    if let (Some(a), Some(b), Some(c)) = (a, b, c) {
        assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        assert!(!(a <= b && b <= c) || a <= c, "{a:?} {b:?} {c:?}");
    }
}

/// True for what a manager orders: any text for dpkg and rpm, `[epoch:]pkgver[-pkgrel]` for pacman
/// (PKGBUILD(5)), whose order of other texts is no order.
fn is_version(rules: Rules, text: &str) -> bool {
    let (version, release) = split(text);
    let version = version.split_once(':').map_or(version, |(epoch, version)| {
        let digits = epoch.bytes().all(|byte| byte.is_ascii_digit());
        if digits { version } else { "" }
    });
    let segments = |text: &str| {
        text.split(['.', '_', '+']).all(|segment| {
            !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    };
    rules != Rules::Pacman || segments(version) && release.is_none_or(segments)
}

/// A version and its release.
fn split(text: &str) -> (&str, Option<&str>) {
    text.rsplit_once('-')
        .map_or((text, None), |(version, release)| (version, Some(release)))
}

fn assert_total_order(compare: impl Fn(&str, &str) -> Ordering, texts: [&str; 3]) {
    for a in texts {
        assert_eq!(compare(a, a), Ordering::Equal, "{a:?}");
        for b in texts {
            assert_eq!(compare(a, b), compare(b, a).reverse(), "{a:?} {b:?}");
            for c in texts {
                let (ab, bc, ac) = (compare(a, b), compare(b, c), compare(a, c));
                if ab.is_le() && bc.is_le() {
                    let wanted = ab.then(bc);
                    assert_eq!(ac, wanted, "{a:?} {b:?} {c:?}");
                }
            }
        }
    }
}

/// Two ranges and a version: what both hold is in their intersection, and proves that it can be met.
pub fn ranges(bytes: &[u8]) {
    let text = text(bytes);
    let [first, second, version]: [&str; 3] = parts(&text);
    if let (Some(first), Some(second)) = (
        stable::<VersionRange>(first),
        stable::<VersionRange>(second),
    ) {
        for (rules, wire) in [
            (Rules::Dpkg, VersionRules::Dpkg),
            (Rules::Rpm, VersionRules::Rpm),
            (Rules::Pacman, VersionRules::Pacman),
            (Rules::Apk, VersionRules::Apk),
        ] {
            let both = first.intersect(&second);
            let held = first.contains(rules, version) && second.contains(rules, version);
            assert_eq!(both.contains(rules, version), held);
            assert_eq!(
                both.is_satisfiable(rules),
                second.intersect(&first).is_satisfiable(rules)
            );
            // What is installed has a release, where its manager knows releases.
            let bounds = both
                .constraints()
                .iter()
                .map(|constraint| constraint.version());
            let real = rules == Rules::Dpkg || split(version).1.is_some();
            if real && bounds.chain([version]).all(|text| is_version(rules, text)) {
                assert!(
                    both.is_satisfiable(rules) || !held,
                    "{rules}: {both} has {version:?}"
                );
            }
            let observed = meets_range(wire, version, &first.to_string());
            assert_eq!(observed, Ok(first.contains(rules, version)));
        }
    }
    stable::<VersionRequest>(first);
    let ranges = first
        .parse::<DistroVersionRange>()
        .ok()
        .zip(version.parse::<DistroVersion>().ok());
    if let Some((range, version)) = ranges {
        assert!(
            range.is_satisfiable() || !range.contains(&version),
            "{range:?} {version:?}"
        );
    }
}

/// A value that is read from what it is printed as.
fn stable<T: FromStr<Err: Display> + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            let again = value.to_string().parse::<T>();
            assert_eq!(again.ok().as_ref(), Some(&value), "{text:?}");
            Some(value)
        }
        Err(error) => {
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
            None
        }
    }
}
