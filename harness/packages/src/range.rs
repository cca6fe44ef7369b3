//! Version constraints (`>=2.36,<3`), ranges over them, and what a package request may say.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::rules::Rules;

/// Most constraints one range may hold; more is never meant.
pub const MAX_CONSTRAINTS: usize = 16;

/// Longest version in bytes; the longest in Debian 13 has 74.
pub const MAX_VERSION_BYTES: usize = 256;

/// What a package request says about the version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum VersionRequest {
    /// What is installed, else the manager's candidate.
    #[default]
    Any,
    /// The manager's own candidate; pins count.
    Auto,
    /// A version within the range.
    Range(VersionRange),
}

/// Constraints that must all hold; never empty. No rules are chosen yet: the same text is compared
/// by each target's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionRange(Vec<Constraint>);

/// One operator and one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Constraint {
    operator: Operator,
    version: String,
}

/// How a version must compare with the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `<`
    Less,
}

/// Why a text is no range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RangeError {
    /// A part between commas is empty.
    Empty,
    /// A part does not begin with an operator; holds the part.
    MissingOperator(String),
    /// A version is outside its grammar; holds the version.
    BadVersion(String),
    /// There are more than [`MAX_CONSTRAINTS`].
    TooMany,
}

impl VersionRange {
    /// The range of one constraint.
    #[must_use]
    pub fn of(constraint: Constraint) -> Self {
        Self(vec![constraint])
    }

    /// The constraints, in the order written.
    #[must_use]
    pub fn constraints(&self) -> &[Constraint] {
        &self.0
    }

    /// True when an existing version meets every constraint.
    #[must_use]
    pub fn contains(&self, rules: Rules, version: &str) -> bool {
        self.0
            .iter()
            .all(|constraint| constraint.is_met_by(rules, version))
    }

    /// The range that holds where both hold: the constraints of both without repetitions.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut constraints = self.0.clone();
        constraints.extend(
            other
                .0
                .iter()
                .filter(|constraint| !self.0.contains(constraint))
                .cloned(),
        );
        Self(constraints)
    }

    /// False when no version can meet every constraint. The orders are taken as dense (between two
    /// different versions there is a third), so `true` is no promise that such a version exists.
    #[must_use]
    pub fn is_satisfiable(&self, rules: Rules) -> bool {
        self.contradiction(rules).is_none()
    }

    /// Two constraints that no version can meet together, if there are any.
    #[must_use]
    pub fn contradiction(&self, rules: Rules) -> Option<(&Constraint, &Constraint)> {
        // Constraints are intervals of an ordered line: they have a common point if every two have.
        self.0.iter().enumerate().find_map(|(at, first)| {
            self.0[at + 1..]
                .iter()
                .find(|second| !first.meets(rules, second))
                .map(|second| (first, second))
        })
    }

    /// The version of an `=` constraint, if there is one.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|constraint| constraint.operator == Operator::Equal)
            .map(Constraint::version)
    }
}

impl Constraint {
    /// A constraint, if the version is inside its grammar: letters, digits and `.+-~^:_`, starting
    /// with a letter or digit, at most [`MAX_VERSION_BYTES`].
    ///
    /// # Errors
    /// [`RangeError::BadVersion`] for any other text.
    pub fn new(operator: Operator, version: &str) -> Result<Self, RangeError> {
        if is_version(version) {
            Ok(Self {
                operator,
                version: version.to_owned(),
            })
        } else {
            Err(RangeError::BadVersion(version.to_owned()))
        }
    }

    /// The operator.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The version compared with.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// True when an existing version meets this constraint.
    #[must_use]
    pub fn is_met_by(&self, rules: Rules, version: &str) -> bool {
        self.operator
            .holds(rules.compare_with_bound(version, &self.version))
    }

    /// True when the intervals of two constraints have a point in common.
    fn meets(&self, rules: Rules, other: &Self) -> bool {
        let order = rules.compare_with_bound(&self.version, &other.version);
        let (above, below) = (self.operator.reaches_up(), self.operator.reaches_down());
        // The releases of `=1.2` are an interval: `>1.2-9` begins within it.
        let holds_all_releases =
            |one: &Self| rules.spans_releases(&one.version) && one.operator.holds(Ordering::Equal);
        let widest = holds_all_releases(self) && !rules.spans_releases(&other.version)
            || holds_all_releases(other) && !rules.spans_releases(&self.version);
        match order {
            Ordering::Less => above || other.operator.reaches_down(),
            Ordering::Greater => below || other.operator.reaches_up(),
            Ordering::Equal => {
                widest
                    || (self.operator.holds(Ordering::Equal)
                        && other.operator.holds(Ordering::Equal))
                    || (above && other.operator.reaches_up())
                    || (below && other.operator.reaches_down())
            }
        }
    }
}

impl Operator {
    /// Every operator, two-character ones first so that a prefix never hides one.
    pub const ALL: [Self; 5] = [
        Self::AtLeast,
        Self::AtMost,
        Self::Equal,
        Self::Greater,
        Self::Less,
    ];

    /// The operator as written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::Less => "<",
        }
    }

    /// True when a version that compares so with the bound meets the constraint.
    #[must_use]
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::AtLeast => order.is_ge(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::Less => order.is_lt(),
        }
    }

    /// Splits an operator off the front of a text.
    #[must_use]
    pub fn split(text: &str) -> Option<(Self, &str)> {
        Self::ALL
            .into_iter()
            .find_map(|operator| Some((operator, text.strip_prefix(operator.as_str())?)))
    }

    fn reaches_up(self) -> bool {
        self.holds(Ordering::Greater)
    }

    fn reaches_down(self) -> bool {
        self.holds(Ordering::Less)
    }
}

impl FromStr for VersionRequest {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        match text {
            "any" => Ok(Self::Any),
            "auto" => Ok(Self::Auto),
            range => range.parse().map(Self::Range),
        }
    }
}

impl FromStr for VersionRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text.bytes().filter(|byte| *byte == b',').count() >= MAX_CONSTRAINTS {
            return Err(RangeError::TooMany);
        }
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl FromStr for Constraint {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(RangeError::Empty);
        }
        let (operator, version) =
            Operator::split(text).ok_or_else(|| RangeError::MissingOperator(text.to_owned()))?;
        Self::new(operator, version.trim_start_matches(' '))
    }
}

impl fmt::Display for VersionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Auto => f.write_str("auto"),
            Self::Range(range) => range.fmt(f),
        }
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, constraint)| {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{constraint}")
        })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.operator, self.version)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a constraint is empty"),
            Self::MissingOperator(part) => {
                write!(
                    f,
                    "`{}` does not begin with `=`, `>=`, `<=`, `>` or `<`",
                    part.escape_debug()
                )
            }
            Self::BadVersion(version) => write!(f, "`{}` is not a version", version.escape_debug()),
            Self::TooMany => write!(f, "more than {MAX_CONSTRAINTS} constraints"),
        }
    }
}

impl std::error::Error for RangeError {}

fn is_version(text: &str) -> bool {
    let starts = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~^:_".contains(&byte);
    starts && text.len() <= MAX_VERSION_BYTES && text.bytes().all(belongs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> VersionRange {
        text.parse().expect("a range of this test")
    }

    #[test]
    fn ranges_contain_what_each_managers_rules_say() {
        assert!(range(">=2.36,<3").contains(Rules::Dpkg, "2.36-9+deb12u10"));
        assert!(!range(">=2.36,<3").contains(Rules::Dpkg, "2.35-0ubuntu3"));
        assert!(!range(">=2.36,<3").contains(Rules::Dpkg, "1:2.40"));
        assert!(range("=1.7.1").contains(Rules::Rpm, "1.7.1-10.fc44"));
        assert!(!range("=1.7.1").contains(Rules::Dpkg, "1.7.1-3"));
        assert!(range("<1.0").contains(Rules::Pacman, "1.0rc1-1"));
        assert!(!range(">1.2").contains(Rules::Rpm, "1.2-9"));
    }

    #[test]
    fn empty_intersections_are_found() {
        for (a, b, satisfiable) in [
            (">=2", "<2", false),
            (">=2", "<=2", true),
            (">2", "<=2", false),
            ("=2", ">2", false),
            ("=2", "=2", true),
            ("=2", "=3", false),
            ("=2", "<3", true),
            (">3", "<2", false),
            (">2", ">=3", true),
            ("<2", "<=1", true),
            (">2,<4", "=3", true),
            (">2,<4", "=5", false),
        ] {
            let both = range(a).intersect(&range(b));
            assert_eq!(both.is_satisfiable(Rules::Dpkg), satisfiable, "{a} and {b}");
            assert_eq!(
                range(b).intersect(&range(a)).is_satisfiable(Rules::Dpkg),
                satisfiable,
                "{b} and {a}"
            );
        }
        assert!(range("=1.2,=1.2-3").is_satisfiable(Rules::Rpm));
        assert!(!range("=1.2,=1.2-3").is_satisfiable(Rules::Dpkg));
    }

    #[test]
    fn a_release_is_within_the_version_that_names_none() {
        for (text, satisfiable, of_dpkg) in [
            ("=1.2,>1.2-9", true, false),
            ("=1.2,<1.2-9", true, true),
            (">=1.2,<1.2-9", true, true),
            ("<=1.2,>1.2-9", true, false),
            (">1.2,<1.2-9", false, true),
            ("<1.2,>1.2-9", false, false),
            ("<1.2,>=1.2-9", false, false),
            (">1.2,>1.2-9", true, true),
            ("=1.2,<1.2", false, false),
            ("=1.2-3,>1.2-9", false, false),
        ] {
            let (first, second) = text.split_once(',').expect("two constraints");
            for text in [text.to_owned(), format!("{second},{first}")] {
                let range = range(&text);
                assert_eq!(range.constraints().len(), 2);
                assert_eq!(range.is_satisfiable(Rules::Rpm), satisfiable, "rpm: {text}");
                assert_eq!(
                    range.is_satisfiable(Rules::Pacman),
                    satisfiable,
                    "pacman: {text}"
                );
                assert_eq!(range.is_satisfiable(Rules::Dpkg), of_dpkg, "dpkg: {text}");
            }
        }
    }

    #[test]
    fn what_is_no_range_says_why() {
        assert_eq!("".parse::<VersionRange>(), Err(RangeError::Empty));
        assert_eq!(">=1,".parse::<VersionRange>(), Err(RangeError::Empty));
        assert_eq!(
            "1.2".parse::<VersionRange>(),
            Err(RangeError::MissingOperator("1.2".to_owned()))
        );
        assert_eq!(
            ">=".parse::<VersionRange>(),
            Err(RangeError::BadVersion(String::new()))
        );
        assert_eq!(
            "==1".parse::<VersionRange>(),
            Err(RangeError::BadVersion("=1".to_owned()))
        );
        assert_eq!(
            ">=-o".parse::<VersionRange>(),
            Err(RangeError::BadVersion("-o".to_owned()))
        );
        assert_eq!(
            "=1 2".parse::<VersionRange>(),
            Err(RangeError::BadVersion("1 2".to_owned()))
        );
        assert_eq!(
            "=1,".repeat(20).parse::<VersionRange>(),
            Err(RangeError::TooMany)
        );
        for (error, words) in [
            (RangeError::Empty, "a constraint is empty"),
            (
                RangeError::MissingOperator("1\n".to_owned()),
                "`1\\n` does not begin with `=`, `>=`, `<=`, `>` or `<`",
            ),
            (
                RangeError::BadVersion("-o".to_owned()),
                "`-o` is not a version",
            ),
            (RangeError::TooMany, "more than 16 constraints"),
        ] {
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn the_special_words_and_the_exact_version() {
        for (text, request) in [
            ("any", VersionRequest::Any),
            ("auto", VersionRequest::Auto),
            (">=1", VersionRequest::Range(range(">=1"))),
        ] {
            assert_eq!(request.to_string(), text);
            assert_eq!(text.parse(), Ok(request));
        }
        assert_eq!(
            range("=5:26.1.0-1~ubuntu.24.04~noble").exact(),
            Some("5:26.1.0-1~ubuntu.24.04~noble")
        );
        assert_eq!(range(">=1").exact(), None);
        assert_eq!(range(" >= 2.36 , < 3 ").to_string(), ">=2.36,<3");
    }

    proptest! {
        #[test]
        fn ranges_round_trip(text in "(>=|<=|=|>|<)[0-9a-z][0-9a-z.+~^:_-]{0,9}(,(>=|<=|=|>|<)[0-9]{1,3}){0,3}") {
            prop_assert_eq!(range(&text).to_string(), text);
        }

        #[test]
        fn a_version_in_both_is_in_the_intersection_and_proves_it_satisfiable(
            a in "(>=|<=|=|>|<)[0-3](\\.[0-3])?", b in "(>=|<=|=|>|<)[0-3](\\.[0-3])?", version in "[0-3](\\.[0-3]){0,2}",
        ) {
            for rules in Rules::ALL {
                let both = range(&a).intersect(&range(&b));
                let in_both = range(&a).contains(rules, &version) && range(&b).contains(rules, &version);
                prop_assert_eq!(both.contains(rules, &version), in_both);
                if in_both {
                    prop_assert!(both.is_satisfiable(rules));
                }
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<VersionRequest>();
        }
    }
}
