//! How hard the model should think, in the words that it takes: a budget, or a word for the effort.

use motet_core::ChatRequest;
use motet_core::request::{ReasoningEffort, ToolChoice};
use serde_json::{Value, json};

use crate::dialect::options;
use crate::dialect::{Profile, Thinking};

/// What is sent about thinking.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) thinking: Option<Value>,
    pub(super) effort: Option<&'static str>,
}

impl Plan {
    /// Turns thinking off where it is on unless turned off.
    fn off(profile: &Profile) -> Self {
        Plan { thinking: profile.thinking_off.map(|word| json!({"type": word})), effort: None }
    }
}

/// Decides what is sent; `unthinking` tells that the turn that goes on began without thinking.
pub(super) fn plan(
    request: &ChatRequest,
    profile: &Profile,
    max_tokens: u32,
    unthinking: bool,
    warnings: &mut Vec<String>,
) -> Plan {
    let Some(effort) = options::effort(request, profile, warnings) else { return Plan::default() };
    if effort == ReasoningEffort::None {
        return Plan::off(profile);
    }
    let forced = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Tool(_));
    if forced && !profile.forced_while_thinking {
        warnings.push(
            "the model does not think while a tool call is required; reasoning effort was left out"
                .to_owned(),
        );
        return Plan::off(profile);
    }
    match profile.thinking {
        Thinking::Never => {
            warnings.push("the model does not think; reasoning effort was left out".to_owned());
            Plan::default()
        }
        Thinking::Budget { .. } if unthinking => {
            warnings.push(
                "the model cannot begin to think between a tool call and its answer; reasoning effort was left out"
                    .to_owned(),
            );
            Plan::default()
        }
        Thinking::Budget { min, max, .. } => match budget(effort, min, max, max_tokens) {
            Some(tokens) => {
                Plan { thinking: Some(json!({"type": "enabled", "budget_tokens": tokens})), effort: None }
            }
            None => {
                warnings.push(format!(
                    "thinking takes at least {min} tokens, for which a limit of {max_tokens} leaves no room; \
                     reasoning effort was left out"
                ));
                Plan::default()
            }
        },
        Thinking::Adaptive => Plan {
            // Without this word the newer models think unseen.
            thinking: Some(json!({"type": "adaptive", "display": "summarized"})),
            effort: Some(effort.as_str()),
        },
        Thinking::Switch => {
            Plan { thinking: Some(json!({"type": "adaptive", "display": "summarized"})), effort: None }
        }
        Thinking::Effort | Thinking::Level => Plan { thinking: None, effort: Some(effort.as_str()) },
    }
}

/// Gives the tokens of an effort, at most three quarters of the limit so that an answer fits beside them.
fn budget(effort: ReasoningEffort, min: u32, max: u32, max_tokens: u32) -> Option<u32> {
    let wished = match effort {
        ReasoningEffort::Low => 4_096,
        ReasoningEffort::Medium => 8_192,
        ReasoningEffort::High => 16_384,
        ReasoningEffort::Xhigh => 32_768,
        _ => min,
    };
    let room = max_tokens - max_tokens / 4;
    let tokens = wished.min(max).min(room).max(min);
    (tokens < max_tokens).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_leaves_room_for_the_answer() {
        use ReasoningEffort::{High, Low, Minimal, Xhigh};
        for (effort, max_tokens, expected) in [
            (Minimal, 64_000, Some(1_024)),
            (Low, 64_000, Some(4_096)),
            (High, 64_000, Some(16_384)),
            (Xhigh, 64_000, Some(30_000)),
            (High, 8_000, Some(6_000)),
            (High, 1_100, Some(1_024)),
            (High, 1_024, None),
            (Low, 1, None),
        ] {
            assert_eq!(budget(effort, 1_024, 30_000, max_tokens), expected, "{effort:?} {max_tokens}");
        }
    }
}
