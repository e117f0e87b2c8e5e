//! Times as headers and bodies of answers write them: spans such as `6m0s`, seconds, and points in time.
//!
//! Reads no clock.

use std::time::{Duration, SystemTime};

/// Seconds since 1970 from which a number is a point in time and no span: one month into 2001.
const EPOCH_SECONDS: f64 = 981_000_000.0;
/// The same in milliseconds.
const EPOCH_MILLISECONDS: f64 = EPOCH_SECONDS * 1_000.0;

/// Reads when an allowance is full again, as the time from `now` on; a point in the past is no time at all.
///
/// Reads a number of seconds, a span such as `6m0s`, and a point in time as RFC 3339, as a date of HTTP, or as seconds
/// or milliseconds since 1970.
pub(crate) fn reset_after(value: &str, now: SystemTime) -> Option<Duration> {
    let point = |seconds: f64| {
        let point = SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        Some(point.duration_since(now).unwrap_or_default())
    };
    match value.parse::<f64>() {
        Ok(number) if number.is_nan() => None,
        Ok(number) if number >= EPOCH_MILLISECONDS => point(number / 1_000.0),
        Ok(number) if number >= EPOCH_SECONDS => point(number),
        Ok(number) => Duration::try_from_secs_f64(number.max(0.0)).ok(),
        Err(_) => duration(value).or_else(|| {
            let point = value.parse::<jiff::Timestamp>().map(SystemTime::from).ok();
            let point = point.or_else(|| httpdate::parse_http_date(value).ok())?;
            Some(point.duration_since(now).unwrap_or_default())
        }),
    }
}

/// Gives a number of seconds as a span; `None` where it is none.
pub(crate) fn reset_in(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads a span of numbers with units, such as `6m0s`, `1h2m3.5s`, `12ms`, or `1d`.
pub(crate) fn duration(value: &str) -> Option<Duration> {
    let mut rest = value.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        seconds += number.parse::<f64>().ok()? * unit_seconds(unit.trim())?;
        rest = after;
    }
    (!value.trim().is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "d" => 86_400.0,
        "h" => 3_600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" | "μs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (text, milliseconds) in [
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("12ms", Some(12)),
            ("1.5s", Some(1_500)),
            ("1d", Some(86_400_000)),
            ("0s", Some(0)),
            ("59.7", Some(59_700)),
            ("7", Some(7_000)),
            ("-3", Some(0)),
            ("1800000030", Some(30_000)),
            ("1800000030.5", Some(30_500)),
            ("1800000030500", Some(30_500)),
            ("1799999000", Some(0)),
            ("2027-01-15T08:00:30Z", Some(30_000)),
            ("2027-01-15T09:01:00+01:00", Some(60_000)),
            ("2027-01-15T08:00:00.250Z", Some(250)),
            ("2026-01-15T08:00:30Z", Some(0)),
            ("Fri, 15 Jan 2027 08:00:30 GMT", Some(30_000)),
            ("", None),
            ("soon", None),
            ("6x", None),
            ("m", None),
            ("1e300", None),
            ("NaN", None),
        ] {
            let read = reset_after(text, now).map(|span| span.as_millis());
            assert_eq!(read, milliseconds, "{text}");
        }
    }
}
