//! The request body: the format's own options in `options`, where the caller's are added one by one.

use std::borrow::Cow;

use motet_core::request::{Output, ReasoningEffort, ToolChoice};
use motet_core::{ChatRequest, Delivery, Result};
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::{Map, Value, json};

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
    let body = Body {
        request,
        messages,
        tools: tools(request, profile, &mut warnings),
        format: format(request, profile, &mut warnings),
        think: think(request, profile, &mut warnings),
        options: own_options(request, profile, &mut warnings),
        streamed: delivery == Delivery::Streamed,
    };
    Ok((fields::written(&body)?, warnings))
}

/// Gives the tools; where none may be called, none are offered, as the format knows no such choice.
fn tools(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Vec<Value> {
    if request.tools.is_empty() || request.tool_choice == ToolChoice::None {
        return Vec::new();
    }
    if request.tool_choice == ToolChoice::Required {
        warnings.push("the server cannot require the call of a tool; the model decides".to_owned());
    }
    if request.parallel_tool_calls.is_some() && !profile.parallel_tool_calls {
        warnings.push("the model does not accept `parallel_tool_calls`; left out".to_owned());
    }
    if request.tools.iter().any(|tool| tool.strict == Some(true)) {
        warnings.push("the server cannot enforce schemas of arguments; they are only checked".to_owned());
    }
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        let what = format!("tool `{}`", tool.name);
        let parameters = options::compiled(&what, &tool.parameters, profile.tool_schema, warnings);
        let mut function =
            json!({"name": tool.name, "description": tool.description, "parameters": parameters});
        if tool.description.is_empty()
            && let Some(fields) = function.as_object_mut()
        {
            fields.remove("description");
        }
        tools.push(json!({"type": "function", "function": function}));
    }
    tools
}

fn format(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let Output::JsonSchema(output) = &request.output else { return None };
    match profile.json_output {
        JsonOutput::Schema => Some(options::compiled("the answer", &output.schema, profile.schema, warnings)),
        JsonOutput::Object => Some(Value::from("json")),
        JsonOutput::Tool | JsonOutput::Instructions => None,
    }
}

/// Gives how to think: yes or no, or a level, as the model knows it.
fn think(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let wished = request.reasoning_effort?;
    let on = wished != ReasoningEffort::None;
    match profile.thinking {
        Thinking::Never if on => {
            warnings.push(format!("the model takes no reasoning effort; `{}` was left out", wished.as_str()));
            return None;
        }
        Thinking::Never => return None,
        Thinking::Switch if on => {
            warnings.push(format!(
                "the model only turns thinking on or off; effort `{}` turns it on",
                wished.as_str()
            ));
            return Some(Value::Bool(true));
        }
        Thinking::Switch => return Some(Value::Bool(false)),
        _ => {}
    }
    let effort = options::effort(request, profile, warnings)?;
    Some(if effort == ReasoningEffort::None { Value::Bool(false) } else { Value::from(effort.as_str()) })
}

/// Gives what goes into `options`, the caller's own over Motet's.
fn own_options(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Map<String, Value> {
    let sampling = &request.sampling;
    let allowed = options::sampling_allowed(request, profile, warnings);
    let number = |value: Option<f64>| value.filter(|_| allowed).map(Value::from);
    let stop = Some(&request.stop).filter(|stop| profile.stop && !stop.is_empty());
    if !request.stop.is_empty() && !profile.stop {
        warnings.push("the model does not accept stop texts; they were left out".to_owned());
    }
    let mut options: Map<String, Value> = [
        ("num_predict", request.max_tokens.map(Value::from)),
        ("temperature", number(sampling.temperature)),
        ("top_p", number(sampling.top_p)),
        ("top_k", sampling.top_k.filter(|_| allowed && profile.top_k).map(Value::from)),
        ("seed", sampling.seed.map(Value::from)),
        ("frequency_penalty", number(sampling.frequency_penalty)),
        ("presence_penalty", number(sampling.presence_penalty)),
        ("stop", stop.map(|stop| json!(stop))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    if let Some(Value::Object(own)) = request.extra.get("options") {
        options.extend(own.clone());
    }
    options
}

struct Body<'a> {
    request: &'a ChatRequest,
    messages: Vec<WireMessage<'a>>,
    tools: Vec<Value>,
    format: Option<Value>,
    think: Option<Value>,
    options: Map<String, Value>,
    streamed: bool,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let extra = self.extra();
        let mut fields = Fields::new(serializer.serialize_map(None)?, &extra);
        fields.put("model", self.request.model.model())?;
        fields.put("messages", &self.messages)?;
        fields.put_some("tools", Some(&self.tools).filter(|tools| !tools.is_empty()))?;
        fields.put_some("format", self.format.as_ref())?;
        fields.put_some("options", Some(&self.options).filter(|options| !options.is_empty()))?;
        fields.put_some("think", self.think.as_ref())?;
        // Without this the server cuts what does not fit off the conversation's beginning and tells nobody.
        fields.put("truncate", &false)?;
        // Without this the server streams.
        fields.put("stream", &self.streamed)?;
        fields.end()
    }
}

impl Body<'_> {
    /// Gives the caller's fields without the options that were merged into Motet's.
    fn extra(&self) -> Cow<'_, Map<String, Value>> {
        let extra = &self.request.extra;
        if !extra.get("options").is_some_and(Value::is_object) {
            return Cow::Borrowed(extra);
        }
        let rest = extra.iter().filter(|(name, _)| *name != "options");
        Cow::Owned(rest.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}
