//! How thinking is asked for, in the fields that the format leaves to the model.

use motet_core::ChatRequest;
use motet_core::request::{ReasoningEffort, ToolChoice};
use serde_json::{Map, Value, json};

use crate::dialect::{Profile, Thinking, options};

/// What a request says of thinking.
pub(super) struct Thought {
    /// Fields for the model.
    pub(super) fields: Map<String, Value>,
    /// Output limit, in which thinking must have its place.
    pub(super) max_tokens: Option<u32>,
}

/// Turns the effort that was asked for into what the model understands.
pub(super) fn encode(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Thought {
    let nothing = Thought { fields: Map::new(), max_tokens: request.max_tokens };
    let Some(effort) = options::effort(request, profile, warnings) else { return nothing };
    let forced = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Tool(_));
    if forced && effort != ReasoningEffort::None && !profile.forced_while_thinking {
        warnings
            .push("the model does not think while a tool call is required; thinking was left out".to_owned());
        return nothing;
    }
    let thought = |fields: Value| match fields {
        Value::Object(fields) => Thought { fields, max_tokens: request.max_tokens },
        _ => Thought { fields: Map::new(), max_tokens: request.max_tokens },
    };
    let off = effort == ReasoningEffort::None;
    match profile.thinking {
        Thinking::Never => nothing,
        Thinking::Effort => thought(json!({profile.effort_field: effort.as_str()})),
        Thinking::Switch => thought(json!({"thinking": {"type": if off { "disabled" } else { "adaptive" }}})),
        Thinking::Adaptive if off => thought(json!({"thinking": {"type": "disabled"}})),
        Thinking::Adaptive => {
            thought(json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort.as_str()}}))
        }
        Thinking::Level if off => thought(json!({"reasoningConfig": {"type": "disabled"}})),
        Thinking::Level => {
            let level = level(effort, request.max_tokens, warnings);
            thought(json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level.as_str()}}))
        }
        Thinking::Budget { .. } if off => nothing,
        Thinking::Budget { min, max, .. } => {
            let wished = tokens(effort).clamp(min, max);
            let Some((budget, limit)) = budget(wished, min, request.max_tokens, profile.max_output) else {
                warnings.push(format!(
                    "the output limit leaves no room for thinking, which takes {min} tokens at least; left out"
                ));
                return nothing;
            };
            let fields = thought(json!({"thinking": {"type": "enabled", "budget_tokens": budget}})).fields;
            Thought { fields, max_tokens: Some(limit) }
        }
    }
}

/// Gives the level to send: models that know levels take the highest only without an output limit.
fn level(effort: ReasoningEffort, limit: Option<u32>, warnings: &mut Vec<String>) -> ReasoningEffort {
    if effort >= ReasoningEffort::High && limit.is_some() {
        warnings
            .push("the model takes no output limit at effort `high`; `medium` was sent instead".to_owned());
        return ReasoningEffort::Medium;
    }
    effort
}

/// Gives how many tokens an effort may take.
fn tokens(effort: ReasoningEffort) -> u32 {
    match effort {
        ReasoningEffort::None | ReasoningEffort::Minimal => 1_024,
        ReasoningEffort::Low => 2_048,
        ReasoningEffort::Medium => 8_192,
        ReasoningEffort::High => 16_384,
        _ => 32_768,
    }
}

/// Gives the tokens for thinking and the output limit, which holds both thinking and the answer: a limit of the caller's
/// stays, with a quarter kept for the answer where that leaves the least; `None` where there is no room.
fn budget(wished: u32, min: u32, limit: Option<u32>, answer: u32) -> Option<(u32, u32)> {
    match limit {
        None => Some((wished, wished.saturating_add(answer))),
        Some(limit) if limit <= min => None,
        Some(limit) => Some((wished.min((limit - limit / 4).max(min)).min(limit - 1), limit)),
    }
}
