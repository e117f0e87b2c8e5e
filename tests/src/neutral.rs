//! Recorded requests as Motet's own: read from the provider-neutral form that the corpus' own script gives.
//!
//! Knows where each wire keeps what must travel back, so that a recorded history is one that Motet could have kept.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use motet_core::embedding::EmbedPurpose;
use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, EmbedRequest, Message, ModelId, Part, Role};
use serde_json::{Map, Value, json};

use crate::corpus::Line;

mod payloads;

/// The neutral form of each recorded request, by the exchange's id; null where there is none.
///
/// # Errors
/// When the corpus' script cannot be run.
pub fn load(corpus: &Path) -> Result<HashMap<String, Value>> {
    let script = corpus.parent().unwrap_or(Path::new(".")).join("neutral.py");
    let output = Command::new("python3").arg(&script).arg(corpus).output();
    let output = output.with_context(|| format!("cannot run `{}`", script.display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut calls = HashMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let mut entry: Value = serde_json::from_str(line)?;
        let id = entry["id"].as_str().context("an entry without id")?.to_owned();
        calls.insert(id, entry["call"].take());
    }
    Ok(calls)
}

/// Makes the chat request that a recorded call stands for.
///
/// # Errors
/// When the call holds something that the neutral form keeps in the provider's own words, told in a few words.
pub fn chat_request(line: &Line, call: &Value, provider: &str) -> Result<ChatRequest> {
    ensure!(call.is_object(), "there is no neutral form");
    let mut reader = Reader { line, provider, ids: Vec::new(), results: 0, minted: 0 };
    let model = call["model"].as_str().or(line.model.as_deref()).unwrap_or("recorded");
    let mut messages = Vec::new();
    if let Some(system) = call["system"].as_str() {
        messages.push(Message::system(system));
    }
    for message in list(&call["messages"]) {
        messages.push(reader.message(message)?);
    }
    let mut request = ChatRequest::new(ModelId::new(provider, model)?, messages);
    for tool in list(&call["tools"]) {
        request.tools.push(tool_spec(tool)?);
    }
    request.tool_choice = tool_choice(&call["tool_choice"])?;
    request.output = output(&call["response_format"], &mut request.extra, line)?;
    request.max_tokens = call["max_tokens"].as_u64().map(u32::try_from).transpose()?;
    request.sampling.temperature = call["temperature"].as_f64();
    request.sampling.top_p = call["top_p"].as_f64();
    request.sampling.seed = call["seed"].as_i64();
    request.reasoning_effort = effort(&call["reasoning_effort"])?;
    request.stop = list(&call["stop"]).filter_map(Value::as_str).map(str::to_owned).collect();
    for name in list(&call["unmapped"]).filter_map(Value::as_str) {
        pass_on(name, line, &mut request)?;
    }
    Ok(request)
}

/// Makes the embedding request that a recorded call stands for.
///
/// # Errors
/// When there are no texts.
pub fn embed_request(line: &Line, call: &Value, provider: &str) -> Result<EmbedRequest> {
    let inputs: Vec<String> = list(&call["inputs"]).filter_map(Value::as_str).map(str::to_owned).collect();
    ensure!(!inputs.is_empty(), "there are no texts");
    let model = call["model"].as_str().or(line.model.as_deref()).unwrap_or("recorded");
    let mut request = EmbedRequest::new(ModelId::new(provider, model)?, inputs);
    request.dimensions = call["dimensions"].as_u64().map(u32::try_from).transpose()?;
    request.purpose = call["task_type"].as_str().and_then(|task| match task {
        "RETRIEVAL_QUERY" => Some(EmbedPurpose::Query),
        "RETRIEVAL_DOCUMENT" => Some(EmbedPurpose::Document),
        _ => None,
    });
    for name in ["input_type", "encoding_format", "task_type", "truncate", "normalize", "embedding_types"] {
        let value = line.request.body.get(name).or_else(|| call.get(name)).cloned();
        if let Some(value) = value.filter(|value| !value.is_null() && name != "task_type") {
            request.extra.insert(name.to_owned(), value);
        }
    }
    Ok(request)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Passes a key that the neutral form lacks through the request's own fields, or through Motet's option for it.
fn pass_on(name: &str, line: &Line, request: &mut ChatRequest) -> Result<()> {
    let body = &line.request.body;
    if let Some((outer, inner)) = name.split_once('.') {
        let value = body[outer].get(inner).or_else(|| body[outer].get(snake(inner))).cloned();
        let slot = request.extra.entry(outer).or_insert_with(|| json!({}));
        slot[inner] = value.with_context(|| format!("`{name}` is not there"))?;
        return Ok(());
    }
    match (name, &body[name]) {
        ("parallel_tool_calls", Value::Bool(parallel)) => request.parallel_tool_calls = Some(*parallel),
        (_, value) => {
            request.extra.insert(name.to_owned(), value.clone());
        }
    }
    Ok(())
}

fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |text, c| {
        if c.is_uppercase() { text + "_" + &c.to_lowercase().to_string() } else { text + &c.to_string() }
    })
}

fn tool_spec(tool: &Value) -> Result<ToolSpec> {
    let Some(name) = tool["name"].as_str() else { bail!("a hosted tool") };
    let parameters = match &tool["parameters"] {
        Value::Null => json!({"type": "object", "properties": {}}),
        parameters => parameters.clone(),
    };
    let mut spec = ToolSpec::new(name, tool["description"].as_str().unwrap_or_default(), parameters);
    spec.strict = tool["strict"].as_bool();
    let known = ["name", "description", "parameters", "strict"];
    if let Some(other) =
        tool.as_object().into_iter().flatten().find(|(key, _)| !known.contains(&key.as_str()))
    {
        bail!("a tool with `{}`", other.0);
    }
    Ok(spec)
}

fn tool_choice(choice: &Value) -> Result<ToolChoice> {
    Ok(match (choice.as_str(), choice["name"].as_str()) {
        (None, None) if choice.is_null() => ToolChoice::Auto,
        (Some("auto"), _) => ToolChoice::Auto,
        (Some("none"), _) => ToolChoice::None,
        (Some("required"), _) => ToolChoice::Required,
        (_, Some(name)) => ToolChoice::Tool(name.to_owned()),
        _ => bail!("a choice of tools in the provider's own form"),
    })
}

fn output(format: &Value, extra: &mut Map<String, Value>, line: &Line) -> Result<Output> {
    match format["type"].as_str() {
        None => Ok(Output::Text),
        Some("json_schema") if format["schema"].to_string().contains("\"type\":\"STRING\"") => {
            bail!("a schema in the provider's own form")
        }
        Some("json_schema") => Ok(Output::JsonSchema(JsonSchemaOutput {
            name: format["name"].as_str().unwrap_or("answer").to_owned(),
            schema: format["schema"].clone(),
            strict: format["strict"].as_bool().unwrap_or(false),
        })),
        Some("json_object") => {
            let own = ["response_format", "format", "text"];
            for name in own.into_iter().filter(|name| !line.request.body[*name].is_null()) {
                extra.insert(name.to_owned(), line.request.body[name].clone());
            }
            ensure!(!extra.is_empty(), "a JSON mode in the provider's own form");
            Ok(Output::Text)
        }
        Some(other) => bail!("an output of type `{other}`"),
    }
}

fn effort(effort: &Value) -> Result<Option<ReasoningEffort>> {
    if effort.is_null() {
        return Ok(None);
    }
    serde_json::from_value(effort.clone()).map(Some).context("an unknown effort")
}

/// Reads messages, and gives calls without ids some.
struct Reader<'a> {
    line: &'a Line,
    provider: &'a str,
    /// Ids of calls so far with their tools, in order.
    ids: Vec<(String, String)>,
    /// Results without ids so far.
    results: usize,
    minted: usize,
}

impl Reader<'_> {
    fn message(&mut self, message: &Value) -> Result<Message> {
        let parts: Vec<Part> =
            list(&message["content"]).map(|part| self.part(part)).collect::<Result<_>>()?;
        let role = match message["role"].as_str() {
            Some("system") => Role::System,
            Some("assistant") => Role::Assistant,
            Some("user")
                if !parts.is_empty() && parts.iter().all(|part| matches!(part, Part::ToolResult(_))) =>
            {
                Role::Tool
            }
            Some("user") => Role::User,
            other => bail!("a message of role {other:?}"),
        };
        Ok(Message { role, parts })
    }

    fn part(&mut self, part: &Value) -> Result<Part> {
        ensure!(part.get("cache_control").is_none(), "a cache mark on a part");
        let text = || part["text"].as_str().unwrap_or_default().to_owned();
        let opaque = |payload: Option<Value>| {
            payload.map(|payload| Opaque { provider: self.provider.to_owned(), payload })
        };
        Ok(match part["type"].as_str() {
            Some("text") if part["refusal"] == true => Part::Refusal { text: text() },
            Some("text") => Part::Text { text: text(), opaque: opaque(payloads::of_text(part)) },
            Some("reasoning") => Part::Reasoning(Reasoning {
                text: text(),
                opaque: opaque(payloads::of_reasoning(self.line, part)),
            }),
            Some("image") => Part::Image(media(part, "image")?),
            Some("file") => Part::Document(media(part, "application")?),
            Some("other") => {
                let payload = part["block"].clone();
                Part::Native { opaque: Opaque { provider: self.provider.to_owned(), payload } }
            }
            Some("tool_call") => self.call(part)?,
            Some("tool_result") => self.result(part)?,
            other => bail!("a part of type {other:?}"),
        })
    }

    fn call(&mut self, part: &Value) -> Result<Part> {
        let name = part["name"].as_str().context("a call without a name")?.to_owned();
        let wire_id = part["id"].as_str().filter(|id| !id.is_empty());
        let minted = wire_id.is_none();
        self.minted += usize::from(minted);
        let id = wire_id.map_or_else(|| format!("call_minted{}", self.minted), str::to_owned);
        self.ids.push((id.clone(), name.clone()));
        let arguments = match &part["arguments"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let opaque = payloads::of_call(self.line, part)
            .map(|payload| Opaque { provider: self.provider.to_owned(), payload });
        Ok(Part::ToolCall(ToolCall { id, name, arguments, minted, opaque }))
    }

    fn result(&mut self, part: &Value) -> Result<Part> {
        ensure!(part.get("native_parts").is_none(), "a result with media in the provider's own form");
        let known = part["id"].as_str().filter(|id| !id.is_empty());
        let (id, name) = match known {
            Some(id) => {
                let name = self.ids.iter().find(|(known, _)| known == id).map(|(_, name)| name.clone());
                (id.to_owned(), part["name"].as_str().map(str::to_owned).or(name).unwrap_or_default())
            }
            None => {
                let call = self.ids.get(self.results).cloned().context("a result without a call")?;
                self.results += 1;
                call
            }
        };
        let content = match &part["content"] {
            Value::String(text) => vec![Part::text(text.clone())],
            Value::Array(parts) => parts.iter().map(|part| self.part(part)).collect::<Result<_>>()?,
            Value::Null => Vec::new(),
            other => vec![Part::text(other.to_string())],
        };
        Ok(Part::ToolResult(ToolResult { id, name, content, is_error: part["is_error"] == true }))
    }
}

fn media(part: &Value, family: &str) -> Result<Media> {
    let media_type = part["mime"].as_str().map(str::to_owned).or_else(|| {
        let format = part["format"].as_str()?;
        Some(match format {
            "pdf" => "application/pdf".to_owned(),
            "txt" => "text/plain".to_owned(),
            "md" => "text/markdown".to_owned(),
            "csv" | "html" => format!("text/{format}"),
            other => format!("{family}/{other}"),
        })
    });
    let source = match (part["data"].as_str(), part["url"].as_str()) {
        (Some(data), _) if part["source_type"] == "text" => {
            use base64::Engine as _;
            MediaSource::Base64(base64::engine::general_purpose::STANDARD.encode(data))
        }
        (Some(data), _) => MediaSource::Base64(data.to_owned()),
        (None, Some(url)) => MediaSource::Url(url.to_owned()),
        (None, None) => bail!("a file that the provider keeps"),
    };
    if let (Some("image/jpeg"), MediaSource::Base64(data)) = (media_type.as_deref(), &source)
        && data.starts_with("iVBOR")
    {
        bail!("a picture that the recorder replaced by one of another type");
    }
    let name = ["name", "title"].into_iter().find_map(|key| part[key].as_str()).map(str::to_owned);
    let media_type = media_type.filter(|kind| !kind.is_empty());
    Ok(Media { media_type, source, name })
}
