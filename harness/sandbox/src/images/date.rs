//! A calendar day, as image definitions and their ends of life write it.
//!
//! Only what is needed here: reading, comparing, and the seconds a reproducible build is stamped
//! with. The days are those of the proleptic Gregorian calendar, in UTC.

use std::fmt;
use std::str::FromStr;

const DAY: i64 = 86_400;

/// A day between 1970-01-01 and 2999-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A text that is no [`Date`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no day written `YYYY-MM-DD` between 1970 and 2999")]
pub struct DateError;

impl Date {
    /// The day that holds an instant, given in seconds since 1970-01-01T00:00:00Z. Instants
    /// outside the range of the type give its first or last day.
    pub fn of_unix_seconds(seconds: i64) -> Self {
        // The year is found by counting: at most a thousand steps, and nothing to get wrong.
        let mut left = seconds.div_euclid(DAY).max(0);
        let mut year = 1970;
        while year < 3000 && left >= days_in_year(year) {
            left -= days_in_year(year);
            year += 1;
        }
        if year == 3000 {
            return Self {
                year: 2999,
                month: 12,
                day: 31,
            };
        }
        let mut month = 1;
        while left >= days_in_month(year, month) {
            left -= days_in_month(year, month);
            month += 1;
        }
        Self {
            year,
            month,
            day: u8::try_from(left + 1).unwrap_or(31),
        }
    }

    /// Seconds from 1970-01-01T00:00:00Z to the beginning of the day.
    pub fn unix_seconds(self) -> i64 {
        let years: i64 = (1970..self.year).map(days_in_year).sum();
        let months: i64 = (1..self.month)
            .map(|month| days_in_month(self.year, month))
            .sum();
        (years + months + i64::from(self.day) - 1) * DAY
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_year(year: u16) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in_month(year: u16, month: u8) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes.iter().enumerate().all(|(index, byte)| match index {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shaped {
            return Err(DateError);
        }
        let number =
            |range: std::ops::Range<usize>| text[range].parse::<u16>().map_err(|_| DateError);
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let month = u8::try_from(month).map_err(|_| DateError)?;
        let day = u8::try_from(day).map_err(|_| DateError)?;
        let valid = (1970..3000).contains(&year)
            && (1..=12).contains(&month)
            && day >= 1
            && i64::from(day) <= days_in_month(year, month);
        if valid {
            Ok(Self { year, month, day })
        } else {
            Err(DateError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2024-04-25", 1_714_003_200),
            ("2038-01-19", 2_147_472_000),
        ] {
            let date: Date = text.parse().expect("a day");
            assert_eq!(date.unix_seconds(), seconds, "{text}");
            assert_eq!(Date::of_unix_seconds(seconds + DAY - 1), date);
            assert_eq!(date.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2024",
            "2024-4-25",
            "24-04-25",
            "2023-02-29",
            "2100-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-01-00",
            "2024-04-31",
            "1969-12-31",
            "2024-04-25T00",
            "2024/04/25",
            "２０２４-01-01",
            "+024-01-01",
        ] {
            assert_eq!(text.parse::<Date>(), Err(DateError), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_day_survives_text_and_seconds(seconds in 0..32_503_680_000_i64) {
            let date = Date::of_unix_seconds(seconds);
            proptest::prop_assert_eq!(date.to_string().parse::<Date>(), Ok(date));
            proptest::prop_assert_eq!(Date::of_unix_seconds(date.unix_seconds()), date);
            proptest::prop_assert!((0..DAY).contains(&(seconds - date.unix_seconds())));
        }
    }
}
