//! Lengths of time as people write them: `30s`, `500ms`, `2m`, `1h`, or a plain number of seconds.
//!
//! Exact to the nanosecond; reads no clock.

use std::time::Duration;

use super::decimal;
use crate::error::{Error, ErrorKind, Result};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Units with their length in nanoseconds, the longest first.
const UNITS: [(&str, u128); 4] = [
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
];

/// Reads a length of time: a decimal number and one of `ms`, `s`, `m`, `h`; without a unit it counts seconds.
///
/// ```
/// use std::time::Duration;
/// use motet_core::settings::duration;
/// assert_eq!(duration::parse("1.5m")?, Duration::from_secs(90));
/// assert_eq!(duration::parse("0.25")?, Duration::from_millis(250));
/// # Ok::<(), motet_core::Error>(())
/// ```
///
/// # Errors
/// `Configuration` when the text is not of this form, is finer than a nanosecond, or is too long for a [`Duration`].
pub fn parse(text: &str) -> Result<Duration> {
    read(text.trim()).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, format!("`{text}` is not a duration"))
            .with_hint("write a number and a unit, such as `30s`, `500ms`, `2m`, or `1h`")
    })
}

/// Writes a length of time in the largest unit that needs no decimals, so that [`parse`] reads the same length.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    match UNITS.iter().find(|(_, length)| nanos.is_multiple_of(*length)) {
        Some((unit, length)) => format!("{}{unit}", nanos / length),
        None => {
            let fraction = format!("{:09}", nanos % NANOS_PER_SECOND);
            format!("{}.{}s", nanos / NANOS_PER_SECOND, fraction.trim_end_matches('0'))
        }
    }
}

fn read(text: &str) -> Option<Duration> {
    let start = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(start)?;
    let length = match unit {
        "" => NANOS_PER_SECOND,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    let scaled = decimal::scaled(number.trim_end(), 9)?.checked_mul(length)?;
    if !scaled.is_multiple_of(NANOS_PER_SECOND) {
        return None;
    }
    let nanos = scaled / NANOS_PER_SECOND;
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    Some(Duration::new(seconds, u32::try_from(nanos % NANOS_PER_SECOND).ok()?))
}

/// Writes lengths of time in data as the settings write them, such as `30s`.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes a length of time.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format(*duration))
    }

    /// Reads a length of time.
    ///
    /// # Errors
    /// Those of the deserializer, and what is wrong with the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).map_err(|error| D::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_in_its_largest_whole_unit() {
        for (text, millis, written) in [
            ("30s", 30_000, "30s"),
            ("500ms", 500, "500ms"),
            ("2m", 120_000, "2m"),
            ("1h", 3_600_000, "1h"),
            ("45", 45_000, "45s"),
            ("0.25", 250, "250ms"),
            ("1.5h", 5_400_000, "90m"),
            (" 90 s ", 90_000, "90s"),
            ("60s", 60_000, "1m"),
            ("0", 0, "0s"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(format(duration), written, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_length() {
        for duration in [Duration::from_nanos(1), Duration::from_micros(1_500_250), Duration::MAX] {
            assert_eq!(parse(&format(duration)).unwrap(), duration);
        }
    }

    #[test]
    fn other_forms_are_refused_with_an_example() {
        for text in ["", "s", "fast", "-1s", "1 day", "1m30s", "1e3", "0.1ns", "0.0000001ms", "30S", "½s"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message(), format!("`{text}` is not a duration"));
            assert!(error.hint().unwrap().contains("`30s`"));
        }
        assert!(parse("99999999999999999999h").is_err());
    }
}
