//! The details of Google's errors: why, how long to wait, and which quota is used up.
//!
//! Knows only the types of details that change what an error means.

use std::time::Duration;

use serde_json::Value;

use crate::dialect::limits;

/// What the details of an error add.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Details {
    /// The narrow reason, such as `API_KEY_INVALID`.
    pub(super) reason: Option<String>,
    /// Time to wait.
    pub(super) retry_after: Option<Duration>,
    /// What is used up does not come back within minutes: a quota of a day, or one of zero.
    pub(super) exhausted: bool,
}

pub(super) fn read(details: &Value) -> Details {
    let mut read = Details::default();
    for detail in details.as_array().into_iter().flatten() {
        let kind = detail.get("@type").and_then(Value::as_str).unwrap_or_default();
        match kind.rsplit('.').next().unwrap_or_default() {
            "RetryInfo" => read.retry_after = detail.get("retryDelay").and_then(delay).or(read.retry_after),
            "ErrorInfo" => {
                let reason = detail.get("reason").and_then(Value::as_str).map(str::to_owned);
                read.reason = reason.or(read.reason);
            }
            "QuotaFailure" => {
                let violations = detail.get("violations").and_then(Value::as_array);
                read.exhausted |= violations.into_iter().flatten().any(is_lasting);
            }
            _ => {}
        }
    }
    read
}

/// Reads `31s`, `0.1s`, or an object of seconds and nanoseconds.
fn delay(value: &Value) -> Option<Duration> {
    if let Some(text) = value.as_str() {
        return limits::duration(text);
    }
    let nanos = value.get("nanos").and_then(Value::as_u64).and_then(|nanos| u32::try_from(nanos).ok());
    let seconds = value.get("seconds")?;
    let seconds = seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok())?;
    Some(Duration::new(seconds, nanos.unwrap_or(0).min(999_999_999)))
}

fn is_lasting(violation: &Value) -> bool {
    let text = |name: &str| violation.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let names = format!("{} {}", text("quotaId"), text("quotaMetric"));
    let zero = violation.get("quotaValue").is_some_and(|value| value == "0" || value == 0);
    zero || names.contains("perday") || names.contains("per_day")
}
