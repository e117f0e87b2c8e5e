//! The request body: options that the format and the profile allow, and the caller's own fields last.

use std::borrow::Cow;

use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::input::{self, Input};
use crate::dialect::fields::{self, Fields};
use crate::dialect::schema::{self, Compiled};
use crate::dialect::{JsonOutput, Profile, options};

/// What the input is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An answer.
    Answer(Delivery),
    /// The number of its tokens.
    Count,
}

/// Fields of the caller's own that bear on the number of tokens; any other would be refused.
const COUNTED: [&str; 10] = [
    "conversation",
    "input",
    "instructions",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

/// Writes the body, and tells what was left out or changed.
pub(super) fn encode(
    request: &ChatRequest,
    profile: &Profile,
    purpose: Purpose,
) -> Result<(Vec<u8>, Vec<String>)> {
    options::check_tools(request, profile)?;
    let mut warnings = Vec::new();
    let input = input::encode(request, profile, &mut warnings)?;
    let format = match &request.output {
        Output::JsonSchema(output) => text_format(output, profile, &mut warnings),
        _ => None,
    };
    let tools = request.tools.iter().map(|spec| Tool::new(spec, profile, &mut warnings)).collect();
    let effort = options::effort(request, profile, &mut warnings);
    let extra = match purpose {
        Purpose::Answer(_) => Cow::Borrowed(&request.extra),
        Purpose::Count => Cow::Owned(counted(&request.extra)),
    };
    let choice = choice(request, profile, &mut warnings);
    let mut body =
        Body { request, profile, purpose, input, format, tools, choice, effort, extra, sampling: false };
    if purpose != Purpose::Count {
        body.sampling = options::sampling_allowed(request, profile, &mut warnings);
        warn_of_options(request, profile, body.sampling, &mut warnings);
    }
    Ok((fields::written(&body)?, warnings))
}

fn counted(extra: &Map<String, Value>) -> Map<String, Value> {
    let known = extra.iter().filter(|(name, _)| COUNTED.contains(&name.as_str()));
    known.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Warns of options that the format has no field for, and of those that the model does not accept.
fn warn_of_options(request: &ChatRequest, profile: &Profile, sampling: bool, warnings: &mut Vec<String>) {
    let asked = &request.sampling;
    let unknown = [
        ("seed", asked.seed.is_some()),
        ("top_k", asked.top_k.is_some() && sampling && profile.top_k),
        ("frequency_penalty", asked.frequency_penalty.is_some() && sampling),
        ("presence_penalty", asked.presence_penalty.is_some() && sampling),
    ];
    let unknown: Vec<&str> = unknown.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    if !unknown.is_empty() {
        warnings.push(format!("the format has no field for `{}`; left out", unknown.join("`, `")));
    }
    if !request.stop.is_empty() {
        warnings.push("the format has no field for stop texts; they were left out".to_owned());
    }
    if request.max_tokens.is_some() && !profile.output_limit {
        warnings.push("the model does not accept an output limit; `max_tokens` was left out".to_owned());
    }
    if request.parallel_tool_calls.is_some() && !profile.parallel_tool_calls {
        warnings.push("the model does not accept `parallel_tool_calls`; left out".to_owned());
    }
}

fn text_format(output: &JsonSchemaOutput, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    match profile.json_output {
        JsonOutput::Schema => {
            let subject = format!("schema `{}`", output.name);
            let compiled =
                enforced(&output.schema, output.strict.then_some(profile.schema), &subject, warnings);
            let (schema, strict) = match &compiled {
                Some(compiled) => (&*compiled.schema, true),
                None => (&output.schema, false),
            };
            Some(json!({"type": "json_schema", "name": output.name, "schema": schema, "strict": strict}))
        }
        JsonOutput::Object => Some(json!({"type": "json_object"})),
        // The request was put into such words or tools before it came here.
        JsonOutput::Instructions | JsonOutput::Tool => None,
    }
}

/// Compiles a schema that the provider should enforce; `None` when it should not or cannot.
fn enforced<'a>(
    schema: &'a Value,
    rules: Option<&schema::SchemaRules>,
    subject: &str,
    warnings: &mut Vec<String>,
) -> Option<Compiled<'a>> {
    let compiled = schema::compile(schema, rules?);
    let lost = compiled.lost.join(", ");
    if !compiled.strict {
        let why = if lost.is_empty() { String::new() } else { format!(" ({lost})") };
        warnings
            .push(format!("{subject} cannot be enforced by the provider{why}; the answer is only checked"));
        return None;
    }
    if !lost.is_empty() {
        warnings.push(format!(
            "of {subject}, the provider does not enforce {lost}; the answer is checked for it"
        ));
    }
    Some(compiled)
}

fn choice(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    if request.tools.is_empty() {
        return None;
    }
    let mut left_out = |what: &str| {
        warnings.push(format!("the model does not accept that a call is {what}; the choice was left to it"));
        None
    };
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::None if !profile.none_tool_choice => left_out("forbidden"),
        ToolChoice::None => Some(Value::from("none")),
        ToolChoice::Required if !profile.required_tool_choice => left_out("required"),
        ToolChoice::Required => Some(Value::from(profile.required_word)),
        ToolChoice::Tool(name) => Some(json!({"type": "function", "name": name})),
    }
}

struct Body<'a> {
    request: &'a ChatRequest,
    profile: &'a Profile,
    purpose: Purpose,
    input: Input<'a>,
    format: Option<Value>,
    tools: Vec<Tool<'a>>,
    choice: Option<Value>,
    effort: Option<ReasoningEffort>,
    extra: Cow<'a, Map<String, Value>>,
    sampling: bool,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::new(serializer.serialize_map(None)?, &self.extra);
        fields.put("model", self.request.model.model())?;
        fields.put_some("instructions", self.input.instructions.as_deref())?;
        fields.put("input", &self.input.items)?;
        if !self.tools.is_empty() {
            fields.put("tools", &self.tools)?;
            fields.put_some("tool_choice", self.choice.as_ref())?;
            let parallel = self.request.parallel_tool_calls.filter(|_| self.profile.parallel_tool_calls);
            fields.put_some("parallel_tool_calls", parallel)?;
        }
        fields.put_some("text", self.format.as_ref().map(|format| Pair("format", format)))?;
        let effort = self.effort.map(ReasoningEffort::as_str);
        fields.put_some("reasoning", effort.as_ref().map(|effort| Pair("effort", effort)))?;
        if let Purpose::Answer(delivery) = self.purpose {
            self.put_options(&mut fields, delivery)?;
        }
        fields.end()
    }
}

impl Body<'_> {
    fn put_options<M: SerializeMap>(
        &self,
        fields: &mut Fields<'_, M>,
        delivery: Delivery,
    ) -> Result<(), M::Error> {
        let (request, profile) = (self.request, self.profile);
        if self.sampling {
            fields.put_some("temperature", request.sampling.temperature)?;
            fields.put_some("top_p", request.sampling.top_p)?;
        }
        fields.put_some("max_output_tokens", request.max_tokens.filter(|_| profile.output_limit))?;
        if profile.labels && !request.metadata.is_empty() {
            fields.put("metadata", &Labels(&request.metadata))?;
        }
        // The conversation lies with the caller; only work in the background has to be kept to be fetched.
        let background = request.extra.get("background") == Some(&Value::Bool(true));
        if profile.keeps_answers && !background {
            fields.put("store", &false)?;
        }
        if profile.encrypted_reasoning {
            fields.put("include", &["reasoning.encrypted_content"])?;
        }
        if delivery == Delivery::Streamed || profile.streams_only {
            fields.put("stream", &true)?;
        }
        Ok(())
    }
}

/// An object of one field.
struct Pair<'a, T>(&'static str, &'a T);

impl<T: Serialize> Serialize for Pair<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, self.1)])
    }
}

/// Labels, whose values the format wants as texts.
struct Labels<'a>(&'a Map<String, Value>);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| {
            let text = value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed);
            (name, text)
        }))
    }
}

/// A tool as it is offered. That its schema is not enforced is said, as the format enforces schemas otherwise and
/// makes every argument required for it.
#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    parameters: Cow<'a, Value>,
    strict: bool,
}

impl<'a> Tool<'a> {
    fn new(spec: &'a ToolSpec, profile: &Profile, warnings: &mut Vec<String>) -> Self {
        let rules = (spec.strict == Some(true)).then_some(profile.tool_schema);
        let subject = format!("the schema of tool `{}`", spec.name);
        let compiled = enforced(&spec.parameters, rules, &subject, warnings);
        let strict = compiled.is_some();
        let parameters = compiled.map_or(Cow::Borrowed(&spec.parameters), |compiled| compiled.schema);
        Tool { kind: "function", name: &spec.name, description: &spec.description, parameters, strict }
    }
}
