//! Regular expressions and durations of a recipe.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use regex::RegexBuilder;

use crate::code::Code;
use crate::diagnostic::quote;
use crate::text::{TextFault, readable};

/// Longest pattern in bytes.
const MAX_PATTERN_BYTES: usize = 1024;

/// Largest compiled pattern in bytes; patterns come from recipes, which nobody has to trust.
pub const PATTERN_SIZE_LIMIT: usize = 1 << 20;

/// A regular expression (syntax of the `regex` crate: linear time, no back-references) with exactly
/// one capture group, which finds a version. Compiled once to know that it can be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionPattern(String);

impl VersionPattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for VersionPattern {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        if text.is_empty() {
            return Err(TextFault::new(
                Code::EmptyValue,
                "the regular expression is empty",
            ));
        }
        readable("regular expression", text, &[])?;
        if text.len() > MAX_PATTERN_BYTES {
            let message = format!(
                "the regular expression has {} bytes; at most {MAX_PATTERN_BYTES} are allowed",
                text.len()
            );
            return Err(TextFault::new(Code::InvalidRegex, message));
        }
        let compiled = RegexBuilder::new(text)
            .size_limit(PATTERN_SIZE_LIMIT)
            .nest_limit(50)
            .build();
        let regex = compiled.map_err(|error| {
            let reason = if matches!(error, regex::Error::CompiledTooBig(_)) {
                "it is too large when compiled".to_owned()
            } else {
                // The error's last line is its reason; the lines before it draw the pattern.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                reason.trim_start_matches("error: ").to_owned()
            };
            TextFault::new(
                Code::InvalidRegex,
                format!(
                    "the regular expression {} cannot be used: {}",
                    quote(text),
                    reason.escape_debug()
                ),
            )
        })?;
        match regex.captures_len() - 1 {
            1 => Ok(Self(text.to_owned())),
            groups => {
                let message = format!(
                    "the regular expression {} has {groups} capture groups",
                    quote(text)
                );
                Err(TextFault::new(Code::RegexGroups, message)
                    .help("put the version, and it alone, into one group `(…)`; groups that only group are written `(?:…)`"))
            }
        }
    }
}

/// Longest time a recipe may give a command.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// Reads `500ms`, `10s`, `2m` or `1h`: a whole number and a unit, more than nothing, at most an hour.
pub(crate) fn duration(text: &str) -> Result<Duration, TextFault> {
    let bad = || {
        TextFault::new(
            Code::InvalidDuration,
            format!("{} is not a duration", quote(text)),
        )
        .help("write a whole number and `ms`, `s`, `m` or `h`, such as `10s`; at most `1h`")
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = if digits <= 9 {
        number.parse().map_err(|_| bad())?
    } else {
        return Err(bad());
    };
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        "h" => Duration::from_secs(number * 3600),
        _ => return Err(bad()),
    };
    if duration.is_zero() || duration > MAX_DURATION {
        Err(bad())
    } else {
        Ok(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> Option<Code> {
        text.parse::<VersionPattern>().err().map(|fault| fault.code)
    }

    #[test]
    fn patterns_have_one_group_and_a_bounded_size() {
        assert_eq!(code("tar \\(GNU tar\\) ([0-9.]+)"), None);
        assert_eq!(code("(?:a|b) ([0-9]+)"), None);
        assert_eq!(code("[0-9]+"), Some(Code::RegexGroups));
        assert_eq!(code("([0-9]+)\\.([0-9]+)"), Some(Code::RegexGroups));
        assert_eq!(code("([0-9]+"), Some(Code::InvalidRegex));
        assert_eq!(code("(a)\\1"), Some(Code::InvalidRegex));
        assert_eq!(code("((?:a{1000}){1000})"), Some(Code::InvalidRegex));
        assert_eq!(
            code(&format!("{}x{}", "(?:".repeat(200), ")".repeat(200))),
            Some(Code::InvalidRegex)
        );
        assert_eq!(code(&"a".repeat(2000)), Some(Code::InvalidRegex));
        assert_eq!(code("(a)\u{202e}"), Some(Code::LookAlikeCharacter));
        assert_eq!(code(""), Some(Code::EmptyValue));
    }

    #[test]
    fn a_pattern_is_its_text_up_to_the_longest() {
        let longest = format!("({})", "a".repeat(MAX_PATTERN_BYTES - 2));
        for text in ["jq-([0-9.]+)", &longest] {
            let pattern: VersionPattern = text.parse().expect("a pattern");
            assert_eq!(pattern.as_str(), text);
            assert_eq!(pattern.to_string(), text);
        }
        assert_eq!(code(&format!("{longest}a")), Some(Code::InvalidRegex));
    }

    #[test]
    fn durations_have_a_unit_and_limits() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("60m"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for bad in [
            "",
            "10",
            "s",
            "0s",
            "2h",
            "-1s",
            "1.5s",
            "10 s",
            "99999999999999999999s",
            "61m",
            "1d",
        ] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9]{0,12}[a-z]{0,2}|[()a?|{}0-9+*\\\\]{0,20}|.*") {
            let _ = duration(&text);
            let _ = text.parse::<VersionPattern>();
        }
    }
}
