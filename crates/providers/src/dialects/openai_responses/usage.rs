//! Token counts, brought to one meaning: input includes cached, output includes reasoning.

use motet_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::Profile;
use crate::dialect::json::Count;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Counts {
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
}

/// Reads a usage object; `None` when it holds no count.
pub(super) fn read(raw: &RawValue, profile: &Profile) -> Option<Usage> {
    let counts: Counts = serde_json::from_str(raw.get()).ok()?;
    counts.input_tokens.or(counts.output_tokens).or(counts.total_tokens).0?;
    let input = counts.input_tokens_details.unwrap_or_default();
    let output = counts.output_tokens_details.unwrap_or_default();
    let mut usage = Usage::new(counts.input_tokens.value(), counts.output_tokens.value());
    usage.cached_input = input.cached_tokens.value();
    usage.cache_write = input.cache_write_tokens.value();
    usage.audio_input = input.audio_tokens.value();
    usage.reasoning = output.reasoning_tokens.value();
    usage.audio_output = output.audio_tokens.value();
    if profile.reasoning_outside_output {
        usage.output = usage.output.saturating_add(usage.reasoning);
    }
    Some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_to_one_meaning() {
        let apart = Profile { reasoning_outside_output: true, ..Profile::COMMON };
        let full = r#"{"input_tokens":9,"output_tokens":4,"total_tokens":13,
            "input_tokens_details":{"cached_tokens":5,"cache_write_tokens":2},
            "output_tokens_details":{"reasoning_tokens":3}}"#;
        for (json, profile, expected) in [
            (full, &Profile::COMMON, Some((9, 4, 5, 2, 3))),
            (full, &apart, Some((9, 7, 5, 2, 3))),
            (
                r#"{"input_tokens":9.0,"output_tokens":null,"input_tokens_details":null,"cost":{"usd":1}}"#,
                &apart,
                Some((9, 0, 0, 0, 0)),
            ),
            ("{}", &apart, None),
            ("[]", &apart, None),
        ] {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            let read = read(&raw, profile).map(|usage| {
                (usage.input, usage.output, usage.cached_input, usage.cache_write, usage.reasoning)
            });
            assert_eq!(read, expected, "{json}");
        }
    }
}
