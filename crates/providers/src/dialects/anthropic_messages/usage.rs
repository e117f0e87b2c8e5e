//! Token counts, brought to one meaning: input includes cached, output includes reasoning.

use motet_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::json::Count;

/// What was told so far. Counts of a stream are totals: a later one replaces an earlier one, but gateways that end with
/// zeros do not take back what they told before.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
pub(super) struct Counts {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    output_tokens_details: Option<Details>,
    cache_creation: Option<Creation>,
    server_tool_use: Option<Searches>,
}

/// Tokens written to the cache, by how long they stay.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct Creation {
    ephemeral_1h_input_tokens: Count,
}

/// What the provider's own tools did that is billed one by one.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct Searches {
    web_search_requests: Count,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct Details {
    thinking_tokens: Count,
}

impl Counts {
    /// Takes a usage object; anything else changes nothing.
    pub(super) fn add(&mut self, raw: &RawValue) {
        let Ok(new) = serde_json::from_str::<Counts>(raw.get()) else { return };
        let hour = |counts: &Counts| counts.cache_creation.unwrap_or_default().ephemeral_1h_input_tokens;
        let searches = |counts: &Counts| counts.server_tool_use.unwrap_or_default().web_search_requests;
        let thinking = |counts: &Counts| counts.output_tokens_details.unwrap_or_default().thinking_tokens;
        *self = Counts {
            input_tokens: newer(self.input_tokens, new.input_tokens),
            output_tokens: newer(self.output_tokens, new.output_tokens),
            cache_read_input_tokens: newer(self.cache_read_input_tokens, new.cache_read_input_tokens),
            cache_creation_input_tokens: newer(
                self.cache_creation_input_tokens,
                new.cache_creation_input_tokens,
            ),
            output_tokens_details: Some(Details { thinking_tokens: newer(thinking(self), thinking(&new)) }),
            cache_creation: Some(Creation { ephemeral_1h_input_tokens: newer(hour(self), hour(&new)) }),
            server_tool_use: Some(Searches { web_search_requests: newer(searches(self), searches(&new)) }),
        };
    }

    /// Gives the counts in their one meaning; `None` when nothing was told.
    pub(super) fn usage(&self) -> Option<Usage> {
        let (cached, written) = (self.cache_read_input_tokens, self.cache_creation_input_tokens);
        let thinking = self.output_tokens_details.unwrap_or_default().thinking_tokens;
        self.input_tokens.or(self.output_tokens).or(cached).or(written).or(thinking).0?;
        let input = self.input_tokens.value().saturating_add(cached.value()).saturating_add(written.value());
        let mut usage = Usage::new(input, self.output_tokens.value());
        usage.cached_input = cached.value();
        usage.cache_write = written.value();
        usage.reasoning = thinking.value();
        let hour = self.cache_creation.unwrap_or_default().ephemeral_1h_input_tokens.value();
        usage.cache_write_1h = hour.min(written.value());
        usage.searches = self.server_tool_use.unwrap_or_default().web_search_requests.value();
        Some(usage)
    }
}

fn newer(old: Count, new: Count) -> Count {
    if new.value() > 0 { new } else { old.or(new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_totals_replace_earlier_ones_and_nothing_is_taken_back() {
        for (objects, expected) in [
            (
                &[r#"{"input_tokens":5,"output_tokens":1}"#, r#"{"output_tokens":9}"#][..],
                Some((5, 9, 0, 0, 0)),
            ),
            (
                &[
                    r#"{"input_tokens":5,"cache_read_input_tokens":7,"cache_creation_input_tokens":3,"output_tokens":1}"#,
                    r#"{"input_tokens":0,"cache_read_input_tokens":null,"output_tokens":2}"#,
                ],
                Some((15, 2, 7, 3, 0)),
            ),
            (
                &[r#"{"input_tokens":0,"output_tokens":0}"#, r#"{"input_tokens":8,"output_tokens":4}"#],
                Some((8, 4, 0, 0, 0)),
            ),
            (
                &[r#"{"output_tokens":9,"output_tokens_details":{"thinking_tokens":6}}"#, "[]", "{}"],
                Some((0, 9, 0, 0, 6)),
            ),
            (&[r#"{"service_tier":"standard"}"#, "null"], None),
        ] {
            let mut counts = Counts::default();
            for object in objects {
                counts.add(&RawValue::from_string((*object).to_owned()).unwrap());
            }
            let got = counts.usage().map(|u| (u.input, u.output, u.cached_input, u.cache_write, u.reasoning));
            assert_eq!(got, expected, "{objects:?}");
        }
    }
}
