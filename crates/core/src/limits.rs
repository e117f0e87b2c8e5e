//! What a provider still allows, in one form for all the headers that tell of it.
//!
//! Reads no header: the provider's crate does, and says when a count is full again as a duration from the answer on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::duration_ms;

/// The allowances that an answer told of; each may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RateLimits {
    /// Requests, usually in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Allowance>,
    /// Tokens of input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Allowance>,
    /// Input tokens, where they are counted apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<Allowance>,
    /// Output tokens, where they are counted apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<Allowance>,
    /// Use of a subscription in percent, where that is what is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Allowance>,
}

impl RateLimits {
    /// Tells whether nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One allowance: how much in all, how much is left, and when it is full again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Allowance {
    /// How much in one window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How much of it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// Time from the answer until the allowance is full again, in milliseconds when serialised.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_ms")]
    pub reset: Option<Duration>,
    /// Time over which the limit counts, in milliseconds when serialised; where it is not told, usually a minute.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_ms")]
    pub window: Option<Duration>,
}

impl Allowance {
    /// Makes an allowance of what was told.
    #[must_use]
    pub fn new(limit: Option<u64>, remaining: Option<u64>, reset: Option<Duration>) -> Self {
        Self { limit, remaining, reset, window: None }
    }

    /// Sets the time over which the limit counts.
    #[must_use]
    pub fn with_window(self, window: Duration) -> Self {
        Self { window: Some(window), ..self }
    }
}

mod optional_ms {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Milliseconds(#[serde(with = "super::duration_ms")] Duration);

    #[expect(clippy::ref_option, reason = "serde calls it by reference")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Milliseconds).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Milliseconds>::deserialize(deserializer)?.map(|milliseconds| milliseconds.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_reads_back() {
        let limits = RateLimits {
            requests: Some(Allowance::new(Some(60), Some(59), Some(Duration::from_millis(1_500)))),
            ..RateLimits::default()
        };
        let json = serde_json::to_string(&limits).unwrap();
        assert_eq!(json, r#"{"requests":{"limit":60,"remaining":59,"reset":1500}}"#);
        assert_eq!(serde_json::from_str::<RateLimits>(&json).unwrap(), limits);
        assert!(RateLimits::default().is_empty() && !limits.is_empty());
        let of_a_day = Allowance::new(Some(9), None, None).with_window(Duration::from_secs(86_400));
        let json = serde_json::to_string(&of_a_day).unwrap();
        assert_eq!(json, r#"{"limit":9,"window":86400000}"#);
        assert_eq!(serde_json::from_str::<Allowance>(&json).unwrap(), of_a_day);
    }
}
