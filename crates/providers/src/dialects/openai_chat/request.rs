//! The request body: options that the profile allows, and the caller's own fields last.

use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, Part, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use super::messages::{self, WireMessage};
use super::thinking;
use crate::dialect::fields::{self, Fields};
use crate::dialect::options;
use crate::dialect::schema::{self, Compiled};
use crate::dialect::{JsonOutput, Profile};

/// Writes the body, and tells what was left out or changed.
pub(super) fn encode(
    request: &ChatRequest,
    profile: &Profile,
    delivery: Delivery,
) -> Result<(Vec<u8>, Vec<String>)> {
    options::check_tools(request, profile)?;
    let mut warnings = Vec::new();
    let format = match &request.output {
        Output::JsonSchema(output) => response_format(output, profile, &mut warnings),
        _ => None,
    };
    let parameters = request.tools.iter().map(|tool| schema::of_tool(tool, profile, &mut warnings)).collect();
    let body = Body {
        request,
        profile,
        messages: messages::encode(request, profile, &mut warnings)?,
        format,
        parameters,
        effort: thinking::effort(request, profile, &mut warnings)?,
        offered: offered(request, profile, &mut warnings),
        sampling: options::sampling_allowed(request, profile, &mut warnings),
        streamed: delivery == Delivery::Streamed,
    };
    if request.parallel_tool_calls.is_some() && !profile.parallel_tool_calls {
        warnings.push("the model does not accept `parallel_tool_calls`; left out".to_owned());
    }
    if !request.stop.is_empty() && !profile.stop {
        warnings.push("the model does not accept stop texts; they were left out".to_owned());
    }
    if lacks_json_word(request) {
        warnings
            .push("JSON is asked for, but no message holds the word `json`; most servers want it".to_owned());
    }
    Ok((fields::written(&body)?, warnings))
}

fn response_format(
    output: &JsonSchemaOutput,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Option<Value> {
    match profile.json_output {
        JsonOutput::Schema => {
            let compiled = schema::of_output(output, profile.schema, warnings);
            let strict = output.strict && compiled.strict;
            let schema = json!({"name": output.name, "schema": compiled.schema, "strict": strict});
            Some(json!({"type": "json_schema", "json_schema": schema}))
        }
        JsonOutput::Object => Some(json!({"type": "json_object"})),
        JsonOutput::Instructions | JsonOutput::Tool => None,
    }
}

/// Which tools are offered.
#[derive(Clone, Copy, PartialEq)]
enum Offered {
    Nothing,
    WithoutChoice,
    WithChoice,
}

/// Decides which tools are offered; a model that knows no word for calling none is offered none, unless the conversation
/// has calls already, which make no sense to it without the tools.
fn offered(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Offered {
    if request.tools.is_empty() {
        return Offered::Nothing;
    }
    if request.tool_choice == ToolChoice::Required && !profile.required_tool_choice {
        warnings.push("the model cannot be made to call a tool; left to it".to_owned());
    }
    if request.tool_choice != ToolChoice::None || profile.none_tool_choice {
        return Offered::WithChoice;
    }
    if request.messages.iter().all(|message| message.tool_calls().next().is_none()) {
        warnings.push("the model cannot be told to call no tool; the tools were left out".to_owned());
        return Offered::Nothing;
    }
    warnings.push("the model cannot be told to call no tool; it may call one".to_owned());
    Offered::WithoutChoice
}

/// Tells whether the caller asks for JSON in a field of its own and no message says so, which most servers refuse.
fn lacks_json_word(request: &ChatRequest) -> bool {
    let mode = request.extra.get("response_format").and_then(|format| format.get("type"));
    let says = |text: &str| text.to_ascii_lowercase().contains("json");
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    mode.is_some_and(|mode| mode == "json_object") && !parts().filter_map(Part::as_text).any(says)
}

struct Body<'a> {
    request: &'a ChatRequest,
    profile: &'a Profile,
    messages: Vec<WireMessage<'a>>,
    format: Option<Value>,
    /// The schema of each tool's arguments.
    parameters: Vec<Compiled<'a>>,
    effort: Option<ReasoningEffort>,
    offered: Offered,
    sampling: bool,
    streamed: bool,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut fields = Fields::new(serializer.serialize_map(None)?, &request.extra);
        fields.put("model", request.model.model())?;
        fields.put("messages", &self.messages)?;
        self.put_tools(&mut fields)?;
        fields.put_some("response_format", self.format.as_ref())?;
        self.put_sampling(&mut fields)?;
        thinking::put(&mut fields, self.effort, self.profile)?;
        fields.put_some(self.profile.max_tokens_field.as_str(), request.max_tokens)?;
        fields.put_some("stop", Some(&request.stop).filter(|stop| self.profile.stop && !stop.is_empty()))?;
        if self.streamed {
            fields.put("stream", &true)?;
            let options = StreamOptions { include_usage: true };
            fields.put_some("stream_options", self.profile.stream_usage_option.then_some(options))?;
        }
        fields.end()
    }
}

impl Body<'_> {
    fn put_tools<M: SerializeMap>(&self, fields: &mut Fields<'_, M>) -> Result<(), M::Error> {
        let request = self.request;
        if self.offered == Offered::Nothing {
            return Ok(());
        }
        fields.put("tools", &Tools { specs: &request.tools, schemas: &self.parameters })?;
        let named = |name: &str| json!({"type": "function", "function": {"name": name}});
        let choice = match &request.tool_choice {
            ToolChoice::Auto => None,
            ToolChoice::None if self.offered == Offered::WithoutChoice => None,
            ToolChoice::None => Some(Value::from("none")),
            ToolChoice::Required if !self.profile.required_tool_choice => None,
            ToolChoice::Required => Some(Value::from(self.profile.required_word)),
            ToolChoice::Tool(name) => Some(named(name)),
        };
        fields.put_some("tool_choice", choice)?;
        let parallel = request.parallel_tool_calls.filter(|_| self.profile.parallel_tool_calls);
        fields.put_some("parallel_tool_calls", parallel)
    }

    fn put_sampling<M: SerializeMap>(&self, fields: &mut Fields<'_, M>) -> Result<(), M::Error> {
        let sampling = &self.request.sampling;
        if let Some(name) = self.profile.seed_field {
            fields.put_some(name, sampling.seed)?;
        }
        if !self.sampling {
            return Ok(());
        }
        fields.put_some("temperature", sampling.temperature)?;
        fields.put_some("top_p", sampling.top_p)?;
        fields.put_some("top_k", sampling.top_k.filter(|_| self.profile.top_k))?;
        let penalties = self.profile.penalties;
        fields.put_some("frequency_penalty", sampling.frequency_penalty.filter(|_| penalties))?;
        fields.put_some("presence_penalty", sampling.presence_penalty.filter(|_| penalties))
    }
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

struct Tools<'a> {
    specs: &'a [ToolSpec],
    schemas: &'a [Compiled<'a>],
}

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tools = self.specs.iter().zip(self.schemas);
        serializer.collect_seq(tools.map(|(spec, schema)| Tool(Function { spec, schema })))
    }
}

struct Tool<'a>(Function<'a>);

impl Serialize for Tool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", "function")?;
        map.serialize_entry("function", &self.0)?;
        map.end()
    }
}

struct Function<'a> {
    spec: &'a ToolSpec,
    schema: &'a Compiled<'a>,
}

impl Serialize for Function<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.spec.name)?;
        if !self.spec.description.is_empty() {
            map.serialize_entry("description", &self.spec.description)?;
        }
        map.serialize_entry("parameters", &self.schema.schema)?;
        if let Some(strict) = self.spec.strict {
            map.serialize_entry("strict", &(strict && self.schema.strict))?;
        }
        map.end()
    }
}
