//! Distribution versions (`VERSION_ID` of os-release(5)) and the constraints `when.distro` puts on
//! them. Every operator compares only the components written: `=9` and `<=9` hold for 9.6, `>9`
//! does not.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::range::{MAX_CONSTRAINTS, Operator, RangeError};

/// Most components of a version; the most any distribution uses is three.
const MAX_COMPONENTS: usize = 8;

/// A dotted number such as `22.04` or `12`.
#[derive(Debug, Clone)]
pub struct DistroVersion {
    text: String,
    components: Vec<u32>,
}

/// Constraints that must all hold; an empty range holds for every version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DistroVersionRange(Vec<(Operator, DistroVersion)>);

impl DistroVersion {
    /// The version as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Compares with a bound over the components the bound writes; components this version lacks
    /// count as 0.
    #[must_use]
    pub fn compare_with_bound(&self, bound: &Self) -> Ordering {
        let own = self.components.iter().copied().chain(std::iter::repeat(0));
        own.take(bound.components.len())
            .cmp(bound.components.iter().copied())
    }
}

impl DistroVersionRange {
    /// True when there is no constraint at all.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// True when a version meets every constraint.
    #[must_use]
    pub fn contains(&self, version: &DistroVersion) -> bool {
        self.0
            .iter()
            .all(|(operator, bound)| operator.holds(version.compare_with_bound(bound)))
    }

    /// False when no version can meet every constraint.
    #[must_use]
    pub fn is_satisfiable(&self) -> bool {
        // Every constraint is a half-open interval of versions, so the highest lower end decides.
        let lowest = self
            .0
            .iter()
            .filter_map(|(operator, bound)| operator.lower_end(bound));
        let highest = self
            .0
            .iter()
            .filter_map(|(operator, bound)| operator.upper_end(bound));
        match (
            lowest.max_by(|a, b| padded(a, b)),
            highest.min_by(|a, b| padded(a, b)),
        ) {
            (lower, Some(upper)) => padded(&lower.unwrap_or_default(), &upper).is_lt(),
            (_, None) => true,
        }
    }
}

impl Operator {
    /// First version inside, where the interval has a lower end.
    fn lower_end(self, bound: &DistroVersion) -> Option<Vec<u64>> {
        match self {
            Self::Equal | Self::AtLeast => Some(bound.start()),
            Self::Greater => Some(bound.after()),
            Self::AtMost | Self::Less => None,
        }
    }

    /// First version above, where the interval has an upper end.
    fn upper_end(self, bound: &DistroVersion) -> Option<Vec<u64>> {
        match self {
            Self::Equal | Self::AtMost => Some(bound.after()),
            Self::Less => Some(bound.start()),
            Self::AtLeast | Self::Greater => None,
        }
    }
}

impl DistroVersion {
    fn start(&self) -> Vec<u64> {
        self.components.iter().copied().map(u64::from).collect()
    }

    /// The first version that no longer begins with these components.
    fn after(&self) -> Vec<u64> {
        let mut components = self.start();
        if let Some(last) = components.last_mut() {
            *last += 1;
        }
        components
    }
}

/// Compares component by component; missing components count as 0.
fn padded(a: &[u64], b: &[u64]) -> Ordering {
    let length = a.len().max(b.len());
    let pad = |components: &[u64]| {
        components
            .iter()
            .copied()
            .chain(std::iter::repeat(0))
            .take(length)
            .collect::<Vec<_>>()
    };
    pad(a).cmp(&pad(b))
}

impl PartialEq for DistroVersion {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for DistroVersion {}

impl PartialOrd for DistroVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DistroVersion {
    /// By value, and by text among equal values, so that the order agrees with equality.
    fn cmp(&self, other: &Self) -> Ordering {
        padded(&self.start(), &other.start()).then_with(|| self.text.cmp(&other.text))
    }
}

impl FromStr for DistroVersion {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let bad = || RangeError::BadVersion(text.to_owned());
        let component = |part: &str| {
            let digits =
                (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            if digits {
                part.parse::<u32>().map_err(|_| bad())
            } else {
                Err(bad())
            }
        };
        let components = text
            .split('.')
            .take(MAX_COMPONENTS + 1)
            .map(component)
            .collect::<Result<Vec<_>, _>>()?;
        if components.len() > MAX_COMPONENTS {
            return Err(bad());
        }
        Ok(Self {
            text: text.to_owned(),
            components,
        })
    }
}

impl FromStr for DistroVersionRange {
    type Err = RangeError;

    /// Reads `>=41,<43`; the empty text is the range of every version.
    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.bytes().filter(|byte| *byte == b',').count() >= MAX_CONSTRAINTS {
            return Err(RangeError::TooMany);
        }
        let constraint = |part: &str| {
            let part = part.trim_matches(' ');
            if part.is_empty() {
                return Err(RangeError::Empty);
            }
            let (operator, version) = Operator::split(part)
                .ok_or_else(|| RangeError::MissingOperator(part.to_owned()))?;
            Ok((operator, version.trim_start_matches(' ').parse()?))
        };
        text.split(',')
            .map(constraint)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for DistroVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for DistroVersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(at, (operator, version))| {
                let comma = if at == 0 { "" } else { "," };
                write!(f, "{comma}{operator}{version}")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(range: &str, version: &str) -> bool {
        let range: DistroVersionRange = range.parse().expect("a range of this test");
        range.contains(&version.parse().expect("a version of this test"))
    }

    #[test]
    fn only_the_components_written_are_compared() {
        for (range, version, expected) in [
            ("=9", "9.6", true),
            ("<=9", "9.6", true),
            (">9", "9.6", false),
            (">=9", "9.6", true),
            ("<9", "9.6", false),
            (">9", "10", true),
            (">=22.04", "22.04", true),
            (">=22.04", "22.10", true),
            (">=22.04", "20.04", false),
            (">=22.04", "22", false),
            ("=22.04", "22.4", true),
            ("=12", "12", true),
            ("=12", "13", false),
            (">=41,<43", "42", true),
            (">=41,<43", "43", false),
            ("=9.0", "9", true),
            ("", "1", true),
        ] {
            assert_eq!(holds(range, version), expected, "{range} for {version}");
        }
    }

    #[test]
    fn contradictions_are_found() {
        for (range, satisfiable) in [
            (">=41,<43", true),
            (">=43,<43", false),
            (">9,<=9", false),
            (">9,=9.6", false),
            ("=9,=9.6", true),
            ("=9,=9.0", true),
            ("=9.1,=9.2", false),
            ("<0", false),
            ("<=0", true),
            (">9,<10.1", true),
            (">9,<10", false),
            ("", true),
        ] {
            let parsed: DistroVersionRange = range.parse().expect("a range of this test");
            assert_eq!(parsed.is_satisfiable(), satisfiable, "{range}");
        }
    }

    #[test]
    fn a_version_is_its_text() {
        let version = |text: &str| text.parse::<DistroVersion>().expect("a version");
        assert_eq!(version("22.04").as_str(), "22.04");
        assert_eq!(version("22.04"), version("22.04"));
        assert_ne!(version("22.04"), version("22.4"));
        assert!(
            version("22.04") < version("22.4"),
            "by text, if by nothing else"
        );
        assert!(version("9") < version("9.0") && version("9.9") < version("9.10"));
        let any = |text: &str| {
            let range: DistroVersionRange = text.parse().expect("a range");
            range.is_any()
        };
        assert!(any("") && !any(">=9"));
    }

    #[test]
    fn the_bounds_are_what_they_say() {
        let version = |parts: usize| vec!["123456789"; parts].join(".").parse::<DistroVersion>();
        assert!(version(MAX_COMPONENTS).is_ok());
        assert!(version(MAX_COMPONENTS + 1).is_err());
        let range = |parts: usize| vec![">=9"; parts].join(",").parse::<DistroVersionRange>();
        assert!(range(MAX_CONSTRAINTS).is_ok());
        assert_eq!(range(MAX_CONSTRAINTS + 1), Err(RangeError::TooMany));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            ".",
            "9.",
            "x",
            "9.x",
            "-1",
            "99999999999",
            "4294967295",
            "+1",
            "1.1.1.1.1.1.1.1.1",
            "１２",
        ] {
            assert!(bad.parse::<DistroVersion>().is_err(), "{bad:?}");
        }
        for bad in ["9", ">=", ">=9,", ">=9 10", "~9"] {
            assert!(bad.parse::<DistroVersionRange>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_version_inside_proves_a_range_satisfiable(
            range in "(>=|<=|=|>|<)[0-3](\\.[0-3])?(,(>=|<=|=|>|<)[0-3](\\.[0-3])?){0,2}", version in "[0-3](\\.[0-3]){0,2}",
        ) {
            let parsed: DistroVersionRange = range.parse().expect("generated from the grammar");
            prop_assert_eq!(parsed.to_string(), range.clone());
            if holds(&range, &version) {
                prop_assert!(parsed.is_satisfiable());
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<DistroVersion>();
            let _ = text.parse::<DistroVersionRange>();
        }
    }
}
