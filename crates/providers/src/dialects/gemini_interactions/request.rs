//! The request body: the conversation as steps, and options; the caller's own fields last and in place of Motet's.

use motet_core::message::{Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult};
use motet_core::request::{Output, ReasoningEffort, ToolChoice};
use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use crate::dialect::history::{self, Losses};
use crate::dialect::{JsonOutput, Profile, fields, options, schema};
use crate::dialects::gemini_generate::{small_seed, warn_of_lost};

/// Writes the body, and tells what was left out or changed.
pub(super) fn encode(
    request: &ChatRequest,
    profile: &Profile,
    delivery: Delivery,
) -> Result<(Vec<u8>, Vec<String>)> {
    options::check_tools(request, profile)?;
    let mut writing =
        Writing { provider: request.model.provider(), profile, steps: Vec::new(), losses: Losses::default() };
    for message in &request.messages {
        writing.message(message)?;
    }
    if writing.steps.is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "the conversation says nothing")
            .with_hint("add a user message; instructions alone are not answered"));
    }
    let mut warnings: Vec<String> = writing.losses.warnings().collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), Value::from(request.model.model()));
    body.insert("input".to_owned(), writing.steps.into_iter().map(Value::Object).collect());
    // The conversation is sent whole each time, so nothing of it needs to be kept there.
    body.insert("store".to_owned(), Value::Bool(false));
    if delivery == Delivery::Streamed {
        body.insert("stream".to_owned(), Value::Bool(true));
    }
    let system = request.messages.iter().filter(|message| message.role == Role::System);
    let system: Vec<String> = system.map(Message::visible_text).filter(|text| !text.is_empty()).collect();
    if !system.is_empty() {
        body.insert("system_instruction".to_owned(), Value::from(system.join("\n\n")));
    }
    if !request.tools.is_empty() {
        body.insert("tools".to_owned(), tools(request, profile, &mut warnings));
    }
    if let Some(format) = format(request, profile, &mut warnings) {
        body.insert("response_format".to_owned(), format);
    }
    let mut generation = generation(request, profile, &mut warnings);
    let mut extra = request.extra.clone();
    if let Some(Value::Object(more)) = extra.get_mut("generation_config") {
        generation.append(more);
        extra.remove("generation_config");
    }
    if !generation.is_empty() {
        body.insert("generation_config".to_owned(), Value::Object(generation));
    }
    body.extend(extra);
    Ok((fields::written(&body)?, warnings))
}

/// Asks for JSON by the answer's schema, as far as the model knows schemas.
fn format(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let Output::JsonSchema(output) = &request.output else { return None };
    match profile.json_output {
        JsonOutput::Schema => {
            let compiled = schema::compile(&output.schema, profile.schema);
            warn_of_lost(&format!("schema `{}`", output.name), &compiled.lost, warnings);
            Some(json!({"type": "text", "mime_type": "application/json", "schema": compiled.schema}))
        }
        JsonOutput::Object => Some(json!({"type": "text", "mime_type": "application/json"})),
        JsonOutput::Tool | JsonOutput::Instructions => None,
    }
}

fn tools(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Value {
    let tools = request.tools.iter().map(|tool| {
        let compiled = schema::compile(&tool.parameters, profile.tool_schema);
        warn_of_lost(&format!("the arguments of tool `{}`", tool.name), &compiled.lost, warnings);
        json!({
            "type": "function", "name": tool.name, "description": tool.description, "parameters": compiled.schema,
        })
    });
    tools.collect()
}

fn generation(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Map<String, Value> {
    // The format has no fields for these, whatever the model would take.
    let narrow = Profile { top_k: false, penalties: false, ..*profile };
    let sampling = &request.sampling;
    let allowed = options::sampling_allowed(request, &narrow, warnings);
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        warnings.push("the model does not accept `parallel_tool_calls`; left out".to_owned());
    }
    let effort = options::effort(request, profile, warnings);
    let level = effort.map(|effort| match effort {
        ReasoningEffort::None => {
            warnings.push("thinking cannot be turned off here; effort `minimal` was sent instead".to_owned());
            "minimal"
        }
        ReasoningEffort::Xhigh => "high",
        effort => effort.as_str(),
    });
    let strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    let choice = match &request.tool_choice {
        _ if request.tools.is_empty() => None,
        ToolChoice::Auto => strict.then(|| json!("validated")),
        ToolChoice::None => Some(json!("none")),
        ToolChoice::Required => Some(json!("any")),
        ToolChoice::Tool(name) => Some(json!({"allowed_tools": {"mode": "any", "tools": [name]}})),
    };
    let stop = Some(&request.stop).filter(|stop| !stop.is_empty());
    let set = [
        ("temperature", sampling.temperature.filter(|_| allowed).map(Value::from)),
        ("top_p", sampling.top_p.filter(|_| allowed).map(Value::from)),
        ("seed", sampling.seed.and_then(|seed| small_seed(seed, warnings))),
        ("max_output_tokens", request.max_tokens.map(Value::from)),
        ("stop_sequences", stop.map(|stop| json!(stop))),
        ("thinking_level", level.map(Value::from)),
        ("thinking_summaries", level.map(|_| Value::from("auto"))),
        ("tool_choice", choice),
    ];
    set.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A step of the conversation.
type Step = Map<String, Value>;

/// Writes a step, or a piece of one, of the fields that have a value.
fn step<const N: usize>(kind: &str, fields: [(&str, Option<Value>); N]) -> Step {
    let kind = [("type", Some(Value::from(kind)))].into_iter();
    kind.chain(fields).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

struct Writing<'a> {
    /// Name of the row that is asked; only its own payloads are sent back.
    provider: &'a str,
    profile: &'a Profile,
    steps: Vec<Step>,
    losses: Losses,
}

impl Writing<'_> {
    fn message(&mut self, message: &Message) -> Result<()> {
        let before = self.steps.len();
        for part in &message.parts {
            match (message.role, part) {
                (Role::System, Part::Text { .. }) => {}
                (Role::User | Role::Tool, Part::ToolResult(result)) => self.result(result)?,
                (Role::User, part) => self.shown("user_input", content(part)?, None),
                (Role::Assistant, part) => self.said(part)?,
                (_, part) => return Err(out_of_place(part)),
            }
        }
        if let Some(placeholder) = self.profile.placeholder_signature {
            self.sign_first_call(before, placeholder);
        }
        Ok(())
    }

    fn said(&mut self, part: &Part) -> Result<()> {
        match part {
            Part::Native { opaque } => match history::own(Some(opaque), self.provider) {
                Some(Value::Object(step)) if step.contains_key("type") => self.steps.push(step.clone()),
                _ => self.losses.note("a block that only its provider understands", &opaque.provider),
            },
            Part::Reasoning(reasoning) => {
                self.losses.note_foreign("reasoning", reasoning.opaque.as_ref(), self.provider);
                if let Some(signature) = self.signature(reasoning.opaque.as_ref()) {
                    let text = Some(&reasoning.text).filter(|text| !text.is_empty());
                    let summary = text.map(|text| json!([{"type": "text", "text": text}]));
                    self.steps.push(step("thought", [("signature", Some(signature)), ("summary", summary)]));
                }
            }
            Part::ToolCall(call) => self.call(call),
            Part::Text { opaque, .. } => {
                self.losses.note_foreign("a signature", opaque.as_ref(), self.provider);
                let signature = self.signature(opaque.as_ref());
                self.shown("model_output", content(part)?, signature);
            }
            part => self.shown("model_output", content(part)?, None),
        }
        Ok(())
    }

    fn signature(&self, opaque: Option<&Opaque>) -> Option<Value> {
        history::own(opaque, self.provider)?.get("signature").filter(|value| value.is_string()).cloned()
    }

    fn call(&mut self, call: &ToolCall) {
        self.losses.note_foreign("a signature", call.opaque.as_ref(), self.provider);
        let arguments = match call.parsed_arguments() {
            Ok(Value::Object(fields)) => Value::Object(fields),
            Ok(Value::Null) => json!({}),
            _ => {
                self.losses.note("the form of arguments that are no JSON object", "");
                json!({"arguments": call.arguments})
            }
        };
        let fields = [
            ("id", Some(Value::from(call.id.as_str()))),
            ("name", Some(Value::from(call.name.as_str()))),
            ("arguments", Some(arguments)),
            ("signature", self.signature(call.opaque.as_ref())),
        ];
        self.steps.push(step("function_call", fields));
    }

    fn result(&mut self, result: &ToolResult) -> Result<()> {
        let parts = result.content.iter().map(content);
        let parts: Vec<Value> = parts.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let fields = [
            ("call_id", Some(Value::from(result.id.as_str()))),
            ("name", Some(Value::from(result.name.as_str()))),
            ("result", Some(Value::Array(parts))),
            ("is_error", result.is_error.then_some(Value::Bool(true))),
        ];
        self.steps.push(step("function_result", fields));
        Ok(())
    }

    /// Adds to what the same side just showed, unless a signature belongs to either.
    fn shown(&mut self, kind: &str, content: Option<Value>, signature: Option<Value>) {
        if content.is_none() && signature.is_none() {
            return;
        }
        let last = self.steps.last_mut().filter(|step| is(step, kind) && !step.contains_key("signature"));
        if let (None, Some(Value::Array(list))) = (&signature, last.and_then(|step| step.get_mut("content")))
        {
            list.extend(content);
            return;
        }
        let content = Some(Value::Array(content.into_iter().collect()));
        self.steps.push(step(kind, [("content", content), ("signature", signature)]));
    }

    fn sign_first_call(&mut self, from: usize, placeholder: &str) {
        let said = self.steps.get_mut(from..).unwrap_or_default();
        if said.iter().all(|step| !step.contains_key("signature"))
            && let Some(call) = said.iter_mut().find(|step| is(step, "function_call"))
        {
            call.insert("signature".to_owned(), Value::from(placeholder));
            self.losses.note("the signature of a tool call", "");
        }
    }
}

fn is(step: &Step, kind: &str) -> bool {
    step.get("type").is_some_and(|known| known == kind)
}

/// Writes what a person, a tool, or the model shows; nothing for an empty text.
fn content(part: &Part) -> Result<Option<Value>> {
    Ok(match part {
        Part::Text { text, .. } | Part::Refusal { text } => {
            (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
        }
        Part::Image(media) => Some(medium("image", media)?),
        Part::Document(media) => Some(medium("document", media)?),
        _ => return Err(out_of_place(part)),
    })
}

fn medium(kind: &str, media: &Media) -> Result<Value> {
    let (name, source) = match &media.source {
        MediaSource::Base64(_) if media.media_type.is_none() => {
            let text = "an image or document given by its bytes has no media type";
            return Err(Error::new(ErrorKind::InvalidRequest, text)
                .with_hint("set its media type, for example `image/png` or `application/pdf`"));
        }
        MediaSource::Base64(data) => ("data", data),
        MediaSource::Url(url) => ("uri", url),
    };
    let media_type = media.media_type.as_deref().map(Value::from);
    let fields = [(name, Some(Value::from(source.as_str()))), ("mime_type", media_type)];
    Ok(Value::Object(step(kind, fields)))
}

fn out_of_place(part: &Part) -> Error {
    let name = match part {
        Part::Text { .. } => "text",
        Part::ToolCall(_) => "a tool call",
        Part::ToolResult(_) => "a tool result",
        Part::Reasoning(_) => "reasoning",
        _ => "a part",
    };
    Error::new(ErrorKind::InvalidRequest, format!("{name} stands in a message of the wrong role"))
        .with_hint("move it to a message of the role that it belongs to")
}
