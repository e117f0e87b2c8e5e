//! What a refusal says beside what went wrong: its status, the request's id, the limits, whether and when to try again.
//!
//! The headers are asked first, then the body's fields, and its text last.

use std::time::Duration;

use motet_core::{Error, Retry};

use super::Complaint;
use crate::dialect::{Answer, limits};

/// Headers that hold the request's id, the one that support asks for first.
const REQUEST_IDS: &[&str] = &[
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "x-goog-request-id",
    "apim-request-id",
    "mistral-correlation-id",
    "x-correlation-id",
];

/// The id that a network in front of many providers gives; it leads to the request only by detours.
const EDGE_ID: &str = "cf-ray";

/// Texts after which the time to wait stands.
const WAITS: &[&str] = &[
    "try again in ",
    "try again after ",
    "retry in ",
    "retry after ",
    "please wait ",
    "retry your request after ",
];

/// Gives the provider's id of a request by the headers of its answer.
pub(crate) fn request_id<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    let filled = |name: &str| header(name).map(str::trim).filter(|id| !id.is_empty());
    REQUEST_IDS.iter().find_map(|name| filled(name)).or_else(|| filled(EDGE_ID))
}

/// Adds what the answer says to an error.
pub(super) fn told(
    mut error: Error,
    complaint: &Complaint,
    answer: Option<&Answer<'_>>,
    wait: Option<Duration>,
) -> Error {
    let named = answer.and_then(|answer| request_id(|name| answer.header(name).filter(|_| name != EDGE_ID)));
    let edge = || answer.and_then(|answer| answer.header(EDGE_ID));
    if let Some(id) = named.or(complaint.request_id.as_deref()).or_else(edge) {
        error = error.with_request_id(id);
    }
    if let Some(answer) = answer {
        error = error.with_status(answer.status);
    }
    let told = answer.map(limits_of).filter(|limits| !limits.is_empty()).unwrap_or(complaint.limits);
    error = error.with_limits(told);
    let should_retry = answer.and_then(|answer| answer.header("x-should-retry"));
    if should_retry == Some("false") {
        return error.with_retry(Retry::Never);
    }
    if should_retry == Some("true") && !error.retry().is_retryable() {
        error = error.with_retry(Retry::Backoff);
    }
    match wait {
        Some(wait) if error.retry().is_retryable() => error.with_retry(Retry::After(wait)),
        _ => error,
    }
}

/// Gives the time to wait that the provider names, wherever it names it.
pub(super) fn wait(complaint: &Complaint, answer: Option<&Answer<'_>>) -> Option<Duration> {
    let wait = answer.and_then(retry_after).or(complaint.retry_after);
    wait.or_else(|| wait_in_text(&complaint.message))
}

fn limits_of(answer: &Answer<'_>) -> motet_core::limits::RateLimits {
    let pairs = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    limits::read(pairs, || limits::served_at(answer.header("date")))
}

/// Reads how long the provider asks to wait: milliseconds, seconds, or a date.
fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    let number = |name: &str| answer.header(name)?.trim().parse::<f64>().ok();
    let milliseconds = ["retry-after-ms", "x-ms-retry-after-ms"].into_iter().find_map(number);
    if let Some(milliseconds) = milliseconds {
        return limits::reset_in(milliseconds.max(0.0) / 1_000.0);
    }
    let value = answer.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return limits::reset_in(seconds.max(0.0));
    }
    let until = httpdate::parse_http_date(value).ok();
    let now = || limits::served_at(answer.header("date"));
    until.map(|until| until.duration_since(now()).unwrap_or_default()).or_else(|| limits::duration(value))
}

/// Reads how long a text asks to wait, such as `try again in 1m2.5s` or `retry after 26 seconds`.
fn wait_in_text(text: &str) -> Option<Duration> {
    let text = text.to_lowercase();
    let after = WAITS.iter().find_map(|phrase| Some(text.split_once(phrase)?.1))?;
    let mut words = after.split_whitespace();
    let first = words.next()?.trim_end_matches(['.', ',', ')', ';', '!']);
    let Ok(number) = first.parse::<f64>() else { return limits::duration(first) };
    let unit = words.next()?.trim_end_matches(['.', ',', ')', ';', '!']);
    let seconds = match unit {
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        _ => return None,
    };
    limits::reset_in(number * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_found_in_texts() {
        for (text, milliseconds) in [
            ("Rate limit reached. Please try again in 1m2.5s. Visit https://x for more.", Some(62_500)),
            ("Please try again in 20ms.", Some(20)),
            ("Please retry after 26 seconds.", Some(26_000)),
            ("Please retry in 31.46s.", Some(31_460)),
            ("please wait 2 minutes, then", Some(120_000)),
            ("try again in 150 ms", Some(150)),
            ("try again in a while", None),
            ("retry in 3 goes", None),
            ("slow down", None),
        ] {
            assert_eq!(wait_in_text(text).map(|wait| wait.as_millis()), milliseconds, "{text}");
        }
    }

    #[test]
    fn the_first_id_that_leads_to_the_request_counts() {
        let id = |headers: &'static [(&str, &str)]| {
            request_id(|name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
        };
        assert_eq!(id(&[("cf-ray", "edge"), ("request-id", "r1")]), Some("r1"));
        assert_eq!(id(&[("x-request-id", " "), ("x-amzn-requestid", "a1")]), Some("a1"));
        assert_eq!(id(&[("mistral-correlation-id", "m1")]), Some("m1"));
        assert_eq!(id(&[("cf-ray", "edge")]), Some("edge"));
        assert_eq!(id(&[("date", "today")]), None);
    }
}
