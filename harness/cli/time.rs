//! Time for people: durations read and written, the wall clock as RFC 3339. The one place of the
//! command line that asks the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads `90s`, `20m`, `2h`.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let fault = || {
        format!("`{text}` is not a time: write a whole number and `s`, `m` or `h`, such as `90s`")
    };
    let unit = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => HOUR,
        _ => return Err(fault()),
    };
    seconds(text, unit)
        .ok_or_else(fault)?
        .filter(|seconds| (1..=7 * DAY).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("`{text}` is not between one second and seven days"))
}

/// Reads the age of something kept: `30m`, `12h`, `30d`.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    let fault = || {
        format!("`{text}` is not an age: write a whole number and `m`, `h` or `d`, such as `30d`")
    };
    let unit = match text.bytes().last() {
        Some(b'm') => 60,
        Some(b'h') => HOUR,
        Some(b'd') => DAY,
        _ => return Err(fault()),
    };
    seconds(text, unit)
        .ok_or_else(fault)?
        .filter(|seconds| *seconds <= 36_500 * DAY)
        .map(Duration::from_secs)
        .ok_or_else(|| format!("`{text}` is more than a hundred years"))
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A number and the letter of its unit, in seconds; inside, `None` if that is more than can be told.
fn seconds(text: &str, unit: u64) -> Option<Option<u64>> {
    let digits = &text[..text.len() - 1];
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse::<u64>().ok()?.checked_mul(unit))
}

/// Now, as seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

/// Seconds since 1970 as a date and a time of day in UTC: year, month, day, hour, minute, second.
/// Days to dates by the algorithm of Howard Hinnant's `civil_from_days`.
pub(crate) fn civil(seconds: u64) -> (u64, u64, u64, u64, u64, u64) {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (
        day_of_year - (153 * shifted + 2) / 5 + 1,
        if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        },
    );
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day, rest / 3600, rest / 60 % 60, rest % 60)
}

/// Seconds since 1970 as RFC 3339 in UTC.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (year, month, day, hour, minute, second) = civil(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The day, as `YYYY-MM-DD`: compares as text.
pub(crate) fn date(seconds: u64) -> String {
    let (year, month, day, ..) = civil(seconds);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_219_200 + 3_661), "2026-11-21T01:01:01Z");
    }

    #[test]
    fn ages_have_a_unit_and_a_bound() {
        let days = |number| Ok(Duration::from_secs(number * DAY));
        assert_eq!(parse_age("30d"), days(30));
        assert_eq!(parse_age("48h"), days(2));
        assert_eq!(parse_age("0m"), days(0));
        for bad in [
            "",
            "d",
            "30",
            "30s",
            "-1d",
            "+1d",
            "1.5h",
            "36501d",
            "99999999999999999999d",
        ] {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_have_a_unit_and_a_bound() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        for bad in [
            "",
            "s",
            "90",
            "-1s",
            "1.5m",
            "0s",
            "99999999999999999999h",
            "8h h",
            "é",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
