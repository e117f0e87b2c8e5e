//! Token counts, brought to one meaning: input includes cached, output includes reasoning.

use motet_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::Profile;
use crate::dialect::json::Count;

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
