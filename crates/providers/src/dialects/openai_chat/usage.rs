//! Token counts, brought to one meaning: input includes cached, output includes reasoning.

use motet_core::Usage;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::Profile;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Counts {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    prompt_cache_hit_tokens: Count,
    cached_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    reasoning_tokens: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
}

/// A whole number; anything else counts as not sent.
#[derive(Default, Clone, Copy)]
pub(super) struct Count(pub(super) Option<u64>);

impl Count {
    fn or(self, other: Count) -> Count {
        Count(self.0.or(other.0))
    }

    fn value(self) -> u64 {
        self.0.unwrap_or(0)
    }
}

/// Reads a usage object; `None` when it holds no count.
pub(super) fn read(raw: &RawValue, profile: &Profile) -> Option<Usage> {
    let counts: Counts = serde_json::from_str(raw.get()).ok()?;
    counts.prompt_tokens.or(counts.completion_tokens).or(counts.total_tokens).0?;
    let prompt = counts.prompt_tokens_details.unwrap_or_default();
    let completion = counts.completion_tokens_details.unwrap_or_default();
    let mut usage = Usage::new(counts.prompt_tokens.value(), counts.completion_tokens.value());
    usage.cached_input = prompt
        .cached_tokens
        .or(counts.prompt_cache_hit_tokens)
        .or(counts.cached_tokens)
        .or(counts.cache_read_input_tokens)
        .value();
    usage.cache_write = prompt.cache_write_tokens.or(counts.cache_creation_input_tokens).value();
    usage.reasoning = completion.reasoning_tokens.or(counts.reasoning_tokens).value();
    usage.audio_input = prompt.audio_tokens.value();
    usage.audio_output = completion.audio_tokens.value();
    if profile.reasoning_outside_output {
        usage.output = usage.output.saturating_add(usage.reasoning);
    }
    if profile.audio_outside_input {
        usage.input = usage.input.saturating_add(usage.audio_input);
    }
    Some(usage)
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Count, E> {
        Ok(Count(Some(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Count, E> {
        Ok(Count(u64::try_from(value).ok()))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    fn visit_f64<E>(self, value: f64) -> Result<Count, E> {
        Ok(Count((value >= 0.0).then_some(value as u64)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str, profile: &Profile) -> Option<(u64, u64, u64, u64, u64)> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        read(&raw, profile).map(|u| (u.input, u.output, u.cached_input, u.cache_write, u.reasoning))
    }

    #[test]
    fn every_spelling_is_read_to_one_meaning() {
        for (json, expected) in [
            (r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}"#, Some((9, 4, 0, 0, 0))),
            (
                r#"{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":2},
                    "completion_tokens_details":{"reasoning_tokens":3}}"#,
                Some((9, 4, 5, 2, 3)),
            ),
            (
                r#"{"prompt_tokens":9.0,"completion_tokens":null,"prompt_cache_hit_tokens":8}"#,
                Some((9, 0, 8, 0, 0)),
            ),
            (
                r#"{"prompt_tokens":1,"cached_tokens":1,"cost":{"usd":1},"reasoning_tokens":"many"}"#,
                Some((1, 0, 1, 0, 0)),
            ),
            ("{}", None),
            ("[]", None),
        ] {
            assert_eq!(usage(json, &Profile::COMMON), expected, "{json}");
        }
    }

    #[test]
    fn what_a_provider_counts_apart_is_added() {
        let apart = Profile { reasoning_outside_output: true, audio_outside_input: true, ..Profile::COMMON };
        let json = r#"{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"audio_tokens":10},
            "completion_tokens_details":{"reasoning_tokens":3}}"#;
        assert_eq!(usage(json, &apart), Some((19, 7, 0, 0, 3)));
    }
}
