//! Reading a version from output, and comparing it with a minimum by the rules of a plan.
//!
//! The expression comes from a recipe and the text from a sandbox: both are bounded. The
//! comparators are `packages`'.

use std::cmp::Ordering;

use assay_packages::{Constraint, Rules, VersionRange, dotted};
use assay_wire::event::Captured;
use assay_wire::plan::{VersionProbe, VersionRules};
use regex::{Regex, RegexBuilder};

/// Most bytes of a compiled expression, and of its cache.
const MAX_COMPILED: usize = 1 << 20;

/// Most characters of a version; no manager knows longer ones.
const MAX_VERSION: usize = 200;

/// The version a probe finds: its expression's capture group in the first line of standard output
/// that matches, else of standard error. `Ok(None)` if no line matches.
///
/// A line that was cut in two by a limit is not looked at: half a version is another version.
///
/// # Errors
/// If the expression cannot be compiled within bounds; the text says why.
pub fn find_version(
    probe: &VersionProbe,
    stdout: &Captured,
    stderr: &Captured,
) -> Result<Option<String>, String> {
    let expression = compiled(&probe.regex)?;
    let found = whole_lines(stdout)
        .chain(whole_lines(stderr))
        .find_map(|line| {
            let group = expression.captures(line)?.get(1)?;
            Some(group.as_str().chars().take(MAX_VERSION).collect())
        });
    Ok(found)
}

/// True if any whole line of a channel matches an expression.
///
/// # Errors
/// If the expression cannot be compiled within bounds; the text says why.
pub fn line_matches(regex: &str, captured: &Captured) -> Result<bool, String> {
    let expression = compiled(regex)?;
    Ok(whole_lines(captured).any(|line| expression.is_match(line)))
}

fn compiled(regex: &str) -> Result<Regex, String> {
    RegexBuilder::new(regex)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .build()
        .map_err(|error| error.to_string())
}

/// Compares a version that was found with a minimum.
#[must_use]
pub fn compare_versions(rules: VersionRules, found: &str, minimum: &str) -> Ordering {
    match rules {
        VersionRules::Dpkg => Rules::Dpkg.compare_with_bound(found, minimum),
        VersionRules::Rpm => Rules::Rpm.compare_with_bound(found, minimum),
        VersionRules::Pacman => Rules::Pacman.compare_with_bound(found, minimum),
        VersionRules::Apk => Rules::Apk.compare_with_bound(found, minimum),
        VersionRules::Dotted => dotted::compare(found, minimum),
    }
}

/// True if a version that was found meets every constraint of a range such as `>=1.7,<3`.
///
/// # Errors
/// If the range cannot be read; the text says why.
pub fn meets_range(rules: VersionRules, found: &str, range: &str) -> Result<bool, String> {
    let range: VersionRange = range.parse().map_err(|error| format!("{error}"))?;
    let met = |constraint: &Constraint| {
        constraint
            .operator()
            .holds(compare_versions(rules, found, constraint.version()))
    };
    Ok(range.constraints().iter().all(met))
}

/// The lines of a channel that are there in full.
fn whole_lines(captured: &Captured) -> impl Iterator<Item = &str> {
    let (head, tail) = if captured.omitted == 0 {
        (captured.head.as_str(), captured.tail.as_str())
    } else {
        let head = captured
            .head
            .rsplit_once('\n')
            .map_or("", |(whole, _)| whole);
        let tail = captured
            .tail
            .split_once('\n')
            .map_or("", |(_, whole)| whole);
        (head, tail)
    };
    head.lines().chain(tail.lines())
}

#[cfg(test)]
mod tests {
    use assay_testkit::captured;

    use super::*;

    fn probe(regex: &str) -> VersionProbe {
        VersionProbe {
            regex: regex.to_owned(),
            minimum: None,
            range: None,
            rules: VersionRules::Dotted,
        }
    }

    fn found(regex: &str, stdout: &str, stderr: &str) -> Option<String> {
        find_version(&probe(regex), &captured(stdout), &captured(stderr)).expect("a good regex")
    }

    #[test]
    fn the_first_line_of_standard_output_comes_first() {
        assert_eq!(
            found("v([0-9.]+)", "hello\nv1.2 v9\nv3\n", "v4"),
            Some("1.2".to_owned())
        );
        assert_eq!(
            found("v([0-9.]+)", "nothing", "v4.5"),
            Some("4.5".to_owned())
        );
        assert_eq!(found("v([0-9.]+)", "", ""), None);
        assert_eq!(found("v[0-9]+", "v1", ""), None, "no group, no version");
        assert_eq!(found("^v(.*)$", "v1.2\r\n", ""), Some("1.2".to_owned()));
    }

    #[test]
    fn a_line_cut_in_two_is_not_a_version() {
        let mut cut = captured("tool 1.2");
        cut.tail = "5.1\ntool 9\n".to_owned();
        cut.omitted = 4;
        let read =
            |captured: &Captured| find_version(&probe("([0-9.]+)"), captured, &captured_none());
        assert_eq!(read(&cut), Ok(Some("9".to_owned())));
        cut.tail = "5.1".to_owned();
        assert_eq!(read(&cut), Ok(None));
    }

    fn captured_none() -> Captured {
        Captured::default()
    }

    #[test]
    fn an_expression_beyond_bounds_is_an_error_and_a_long_match_is_cut() {
        assert!(find_version(&probe("(\\w{1000}){1000}"), &captured("x"), &captured("")).is_err());
        assert!(find_version(&probe("("), &captured("x"), &captured("")).is_err());
        let long = found("(1+)", &"1".repeat(30_000), "").expect("it matches");
        assert_eq!(long.len(), MAX_VERSION);
    }

    #[test]
    fn a_range_is_met_when_every_constraint_is() {
        let met = |found| meets_range(VersionRules::Dpkg, found, ">=1.7,<3");
        assert_eq!(met("1.7-1"), Ok(true));
        assert_eq!(met("1.7~rc1"), Ok(false));
        assert_eq!(met("3.0"), Ok(false));
        assert!(meets_range(VersionRules::Dpkg, "1", "around 2").is_err());
    }

    #[test]
    fn rules_are_mapped_to_their_comparators() {
        use VersionRules::{Dotted, Dpkg, Pacman, Rpm};
        // (rules, found, minimum): each pair is ordered otherwise by at least one other rule.
        assert_eq!(compare_versions(Dpkg, "1.0~rc1", "1.0"), Ordering::Less);
        assert_eq!(compare_versions(Dpkg, "1.2-3", "1.2"), Ordering::Greater);
        assert_eq!(compare_versions(Rpm, "1.2-3.fc44", "1.2"), Ordering::Equal);
        assert_eq!(compare_versions(Pacman, "1.0a", "1.0"), Ordering::Less);
        assert_eq!(compare_versions(Dotted, "1.30", "1.30.0"), Ordering::Equal);
        assert_eq!(compare_versions(Dotted, "1.9", "1.30"), Ordering::Less);
    }
}
