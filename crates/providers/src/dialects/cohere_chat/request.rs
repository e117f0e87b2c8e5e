//! The request body: options under the format's own names, and the caller's own fields last.

use motet_core::request::{Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use super::messages::{self, WireMessage};
use crate::dialect::fields::{self, Fields};
use crate::dialect::history::Losses;
use crate::dialect::options;
use crate::dialect::{JsonOutput, Profile, Thinking};

/// Writes the body, and tells what was left out or changed.
pub(super) fn encode(
    request: &ChatRequest,
    profile: &Profile,
    delivery: Delivery,
) -> Result<(Vec<u8>, Vec<String>)> {
    options::check_tools(request, profile)?;
    let (mut warnings, mut losses) = (Vec::new(), Losses::default());
    let messages = messages::encode(request, profile, &mut losses)?;
    warnings.extend(losses.warnings());
    let offered = offered(request, profile);
    let body = Body {
        request,
        profile,
        messages,
        tools: offered.iter().map(|tool| written(tool, profile, &mut warnings)).collect(),
        strict: strict(&offered, &mut warnings),
        choice: choice(request, profile, &mut warnings).filter(|_| !offered.is_empty()),
        format: format(request, profile, &mut warnings),
        thinking: thinking(request, profile, &mut warnings),
        sampling: options::sampling_allowed(request, profile, &mut warnings),
        streamed: delivery == Delivery::Streamed,
    };
    if request.parallel_tool_calls.is_some() && !profile.parallel_tool_calls {
        warnings.push("the model does not accept `parallel_tool_calls`; left out".to_owned());
    }
    if !request.stop.is_empty() && !profile.stop {
        warnings.push("the model does not accept stop texts; they were left out".to_owned());
    }
    Ok((fields::written(&body)?, warnings))
}

/// Gives the tools to offer: the one that must be called, none where none may be, or all.
fn offered<'a>(request: &'a ChatRequest, profile: &Profile) -> Vec<&'a ToolSpec> {
    let tools = request.tools.iter();
    match &request.tool_choice {
        ToolChoice::Tool(name) => tools.filter(|tool| tool.name == *name).collect(),
        ToolChoice::None if !profile.none_tool_choice => Vec::new(),
        _ => tools.collect(),
    }
}

fn written(tool: &ToolSpec, profile: &Profile, warnings: &mut Vec<String>) -> Value {
    let what = format!("tool `{}`", tool.name);
    let parameters = options::compiled(&what, &tool.parameters, profile.tool_schema, warnings);
    let mut function = json!({"name": tool.name, "description": tool.description, "parameters": parameters});
    if tool.description.is_empty()
        && let Some(fields) = function.as_object_mut()
    {
        fields.remove("description");
    }
    json!({"type": "function", "function": function})
}

/// Tells whether the schemas of all tools are enforced, which the format knows for all or none, and only where each
/// tool has an argument that it cannot do without.
fn strict(offered: &[&ToolSpec], warnings: &mut Vec<String>) -> Option<bool> {
    if !offered.iter().any(|tool| tool.strict == Some(true)) {
        return None;
    }
    let requires = |tool: &&&ToolSpec| {
        tool.parameters.get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty())
    };
    if let Some(loose) = offered.iter().find(|tool| !requires(tool)) {
        warnings.push(format!(
            "schemas of arguments are only checked, as tool `{}` requires no argument and the provider then enforces \
             none",
            loose.name
        ));
        return None;
    }
    Some(true)
}

fn choice(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<&'static str> {
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::None => profile.none_tool_choice.then_some("NONE"),
        ToolChoice::Required if !profile.required_tool_choice => {
            warnings.push("the model cannot be made to call a tool; it decides".to_owned());
            None
        }
        // Only the one that must be called is offered.
        ToolChoice::Required | ToolChoice::Tool(_) => Some("REQUIRED"),
    }
}

fn format(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let Output::JsonSchema(output) = &request.output else { return None };
    match profile.json_output {
        JsonOutput::Schema => {
            let schema = options::compiled("the answer", &output.schema, profile.schema, warnings);
            Some(json!({"type": "json_object", "schema": schema}))
        }
        JsonOutput::Object => Some(json!({"type": "json_object"})),
        JsonOutput::Tool | JsonOutput::Instructions => None,
    }
}

/// Gives how much to think: the model's bounds divided by effort, as the format knows numbers only.
fn thinking(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let effort = options::effort(request, profile, warnings)?;
    let Thinking::Budget { min, max, off } = profile.thinking else { return None };
    let share = match effort {
        ReasoningEffort::None if off => return Some(json!({"type": "disabled"})),
        ReasoningEffort::None | ReasoningEffort::Minimal => max / 16,
        ReasoningEffort::Low => max / 8,
        ReasoningEffort::Medium => max / 4,
        ReasoningEffort::High => max / 2,
        _ => max,
    };
    Some(json!({"type": "enabled", "token_budget": share.clamp(min, max)}))
}

struct Body<'a> {
    request: &'a ChatRequest,
    profile: &'a Profile,
    messages: Vec<WireMessage<'a>>,
    tools: Vec<Value>,
    strict: Option<bool>,
    choice: Option<&'static str>,
    format: Option<Value>,
    thinking: Option<Value>,
    sampling: bool,
    streamed: bool,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut fields = Fields::new(serializer.serialize_map(None)?, &request.extra);
        fields.put("model", request.model.model())?;
        fields.put("messages", &self.messages)?;
        fields.put_some("tools", Some(&self.tools).filter(|tools| !tools.is_empty()))?;
        fields.put_some("strict_tools", self.strict)?;
        fields.put_some("tool_choice", self.choice)?;
        fields.put_some("response_format", self.format.as_ref())?;
        fields.put_some("thinking", self.thinking.as_ref())?;
        fields.put_some("max_tokens", request.max_tokens)?;
        let stop = Some(&request.stop).filter(|stop| self.profile.stop && !stop.is_empty());
        fields.put_some("stop_sequences", stop)?;
        self.put_sampling(&mut fields)?;
        fields.put_some("stream", self.streamed.then_some(true))?;
        fields.end()
    }
}

impl Body<'_> {
    fn put_sampling<M: SerializeMap>(&self, fields: &mut Fields<'_, M>) -> Result<(), M::Error> {
        let sampling = &self.request.sampling;
        fields.put_some("seed", sampling.seed)?;
        if !self.sampling {
            return Ok(());
        }
        fields.put_some("temperature", sampling.temperature)?;
        fields.put_some("p", sampling.top_p)?;
        fields.put_some("k", sampling.top_k.filter(|_| self.profile.top_k))?;
        fields.put_some("frequency_penalty", sampling.frequency_penalty)?;
        fields.put_some("presence_penalty", sampling.presence_penalty)
    }
}
