//! Token counts, brought to one meaning: input includes cached and tools' input, output includes reasoning.

use motet_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::billing;
use crate::dialect::json::{Count, Text};

/// The counts told so far; each later piece restates them, but leaves out what is zero and at times what is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    prompt: Count,
    tool_use: Count,
    cached: Count,
    candidates: Count,
    thoughts: Count,
    total: Count,
    audio_input: Count,
    audio_output: Count,
    /// Word for the tier, where it is not the usual one.
    tier: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct UsageMetadata<'a> {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    total_token_count: Count,
    #[serde(borrow)]
    prompt_tokens_details: Option<Vec<Modality<'a>>>,
    #[serde(borrow)]
    candidates_tokens_details: Option<Vec<Modality<'a>>>,
    #[serde(borrow)]
    service_tier: Option<Text<'a>>,
    #[serde(borrow)]
    traffic_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Modality<'a> {
    #[serde(borrow, default)]
    modality: Text<'a>,
    #[serde(default)]
    token_count: Count,
}

impl Counts {
    /// Takes the counts of a piece.
    pub(super) fn add(&mut self, raw: &RawValue) {
        let Ok(new) = serde_json::from_str::<UsageMetadata<'_>>(raw.get()) else { return };
        let told = [&new.service_tier, &new.traffic_type];
        let tier = told.into_iter().flatten().find_map(|word| billing::unusual_tier(&word.0));
        let tier = tier.map(str::to_owned).or(self.tier.take());
        *self = Counts {
            tier,
            prompt: new.prompt_token_count.or(self.prompt),
            tool_use: new.tool_use_prompt_token_count.or(self.tool_use),
            cached: new.cached_content_token_count.or(self.cached),
            candidates: new.candidates_token_count.or(self.candidates),
            thoughts: new.thoughts_token_count.or(self.thoughts),
            total: new.total_token_count.or(self.total),
            audio_input: audio(new.prompt_tokens_details.as_deref()).or(self.audio_input),
            audio_output: audio(new.candidates_tokens_details.as_deref()).or(self.audio_output),
        };
    }

    /// Gives the word for the tier, where it is not the usual one.
    pub(super) fn tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    /// Gives the usage; `None` when no count was told.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.prompt.or(self.candidates).or(self.thoughts).or(self.total).0?;
        let input = self.prompt.value().saturating_add(self.tool_use.value());
        let output = self.candidates.value().saturating_add(self.thoughts.value());
        let mut usage = Usage::new(input, output);
        usage.cached_input = self.cached.value();
        usage.reasoning = self.thoughts.value();
        usage.audio_input = self.audio_input.value();
        usage.audio_output = self.audio_output.value();
        Some(usage)
    }
}

fn audio(details: Option<&[Modality<'_>]>) -> Count {
    let audio = details.unwrap_or_default().iter().find(|detail| detail.modality.0 == "AUDIO");
    audio.map(|detail| detail.token_count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pieces: &[&str]) -> Option<[u64; 6]> {
        let mut counts = Counts::default();
        for piece in pieces {
            counts.add(&RawValue::from_string((*piece).to_owned()).unwrap());
        }
        let u = counts.usage()?;
        Some([u.input, u.output, u.cached_input, u.reasoning, u.audio_input, u.audio_output])
    }

    #[test]
    fn counts_are_added_to_one_meaning_and_outlive_pieces_without_them() {
        let first = r#"{"promptTokenCount":15,"cachedContentTokenCount":4,"thoughtsTokenCount":7,"totalTokenCount":22}"#;
        for (pieces, expected) in [
            (vec![r#"{"promptTokenCount":9,"candidatesTokenCount":4}"#], Some([9, 4, 0, 0, 0, 0])),
            (vec![first], Some([15, 7, 4, 7, 0, 0])),
            (
                vec![
                    first,
                    r#"{"promptTokenCount":13,"candidatesTokenCount":8,"toolUsePromptTokenCount":75}"#,
                ],
                Some([88, 15, 4, 7, 0, 0]),
            ),
            (
                vec![
                    r#"{"promptTokenCount":9,"promptTokensDetails":[{"modality":"TEXT","tokenCount":2},
                         {"modality":"AUDIO","tokenCount":7}],"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":1}]}"#,
                ],
                Some([9, 0, 0, 0, 7, 1]),
            ),
            (vec![r#"{"trafficType":"ON_DEMAND"}"#, "[]"], None),
        ] {
            assert_eq!(counted(&pieces), expected, "{pieces:?}");
        }
    }
}
