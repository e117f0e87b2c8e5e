//! Options that a model may not accept: what is sent in their place, and what the user is told.
//!
//! Knows no format and no provider: what is accepted stands in a [`Profile`].

use motet_core::request::{ReasoningEffort, ToolChoice};
use motet_core::{ChatRequest, Error, ErrorKind, Result};

use serde_json::Value;

use super::schema::{self, SchemaRules};
use super::{Profile, SamplingRule};

/// Refuses tools and choices among them that the model does not accept or that contradict each other.
pub(crate) fn check_tools(request: &ChatRequest, profile: &Profile) -> Result<()> {
    if !profile.tools && !request.tools.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "the model does not accept tools")
            .with_hint("take a model that calls tools, or leave them out"));
    }
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidRequest, message));
    match &request.tool_choice {
        ToolChoice::Required if request.tools.is_empty() => {
            invalid("a tool call is required, but there are no tools".to_owned())
        }
        ToolChoice::Tool(name) if !request.tools.iter().any(|tool| tool.name == *name) => {
            invalid(format!("tool `{name}` must be called, but it is not among the tools"))
        }
        ToolChoice::Tool(name) if !profile.named_tool_choice => Err(Error::new(
            ErrorKind::Unsupported,
            format!("the model cannot be made to call one tool, here `{name}`"),
        )
        .with_hint("offer only that tool and require a call")),
        _ => Ok(()),
    }
}

/// Gives the effort to send: the one wished, or the nearest that the model accepts.
pub(crate) fn effort(
    request: &ChatRequest,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Option<ReasoningEffort> {
    let wished = request.reasoning_effort?;
    let sent = profile.nearest_effort(wished);
    let wished_name = wished.as_str();
    match sent {
        Some(sent) if sent != wished => warnings.push(format!(
            "the model does not accept reasoning effort `{wished_name}`; `{}` was sent instead",
            sent.as_str()
        )),
        None if wished != ReasoningEffort::None => {
            warnings.push(format!("the model takes no reasoning effort; `{wished_name}` was left out"));
        }
        _ => {}
    }
    sent
}

/// Compiles a schema by a provider's rules and warns of what these cannot express.
pub(crate) fn compiled(what: &str, schema: &Value, rules: &SchemaRules, warnings: &mut Vec<String>) -> Value {
    let compiled = schema::compile(schema, rules);
    if !compiled.lost.is_empty() {
        let lost = compiled.lost.join(", ");
        warnings.push(format!(
            "the provider cannot enforce all of the schema of {what}: {lost}; it is checked here"
        ));
    }
    compiled.schema.into_owned()
}

/// Tells whether sampling options may be sent, and warns of those that may not.
pub(crate) fn sampling_allowed(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> bool {
    let sampling = &request.sampling;
    let reasons = request.reasoning_effort.is_some_and(|effort| effort != ReasoningEffort::None);
    let allowed = match profile.sampling {
        SamplingRule::Always => true,
        SamplingRule::Never => false,
        SamplingRule::WithoutReasoning => !reasons,
    };
    let asked = [("temperature", sampling.temperature.is_some()), ("top_p", sampling.top_p.is_some())];
    let asked = asked.map(|(name, set)| (name, set && !allowed));
    let penalties = allowed && profile.penalties;
    let rarer = [
        ("frequency_penalty", sampling.frequency_penalty.is_some() && !penalties),
        ("presence_penalty", sampling.presence_penalty.is_some() && !penalties),
        ("top_k", sampling.top_k.is_some() && (!allowed || !profile.top_k)),
        ("seed", sampling.seed.is_some() && profile.seed_field.is_none()),
    ];
    let dropped = asked.into_iter().chain(rarer).filter(|(_, dropped)| *dropped);
    let dropped: Vec<&str> = dropped.map(|(name, _)| name).collect();
    if !dropped.is_empty() {
        warnings.push(format!("the model does not accept `{}`; left out", dropped.join("`, `")));
    }
    allowed
}
