//! The request body: conversation, tools, and options; the caller's own fields last and in place of Motet's.

use motet_core::{ChatRequest, Result};
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::{Map, Value, json};

use super::contents::{self, Conversation};
use super::{options, resource};
use crate::dialect::Profile;
use crate::dialect::fields::{self, Fields};

/// Fields that are joined with Motet's own key by key, unlike others, which replace them.
const JOINED: [&str; 2] = ["generationConfig", "toolConfig"];

/// Fields that a cache holds, so that a request which names one may not repeat them.
const CACHED: [&str; 3] = ["systemInstruction", "tools", "toolConfig"];

/// The fields whose tokens are counted where the request stands alone.
const COUNTED: [&str; 4] = ["contents", "systemInstruction", "tools", "generationConfig"];

/// What a request is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// To be answered.
    Answer,
    /// To be counted, inside another object.
    CountInside,
    /// To be counted, as far as its fields count.
    CountAlone,
}

/// Writes the body, and tells what was left out or changed.
pub(crate) fn encode(request: &ChatRequest, profile: &Profile, form: Form) -> Result<(Vec<u8>, Vec<String>)> {
    let mut extra = canonical(&request.extra);
    let mut conversation = contents::encode(request, profile)?;
    let mut warnings = std::mem::take(&mut conversation.warnings);
    let mut own = own_fields(&conversation, request, profile, &mut warnings)?;
    own.insert("tools".to_owned(), tools(request, profile, &mut extra, &mut warnings));
    for name in JOINED {
        join(name, &mut own, &mut extra);
    }
    own.retain(|_, value| !is_empty(value));
    if extra.get("cachedContent").is_some_and(|cache| !cache.is_null()) {
        leave_to_cache(&mut own, &mut warnings);
    }
    if form == Form::CountAlone {
        own.retain(|name, _| COUNTED.contains(&name.as_str()));
        extra.retain(|name, _| COUNTED.contains(&name.as_str()));
    }
    let model = (form == Form::CountInside).then(|| resource(request.model.model()));
    let body = Body { model, conversation, own, extra };
    let written = match form {
        Form::CountInside => fields::written(&Inside { request: &body })?,
        Form::Answer | Form::CountAlone => fields::written(&body)?,
    };
    Ok((written, warnings))
}

/// Gives the caller's fields under one spelling; the format reads two.
fn canonical(extra: &Map<String, Value>) -> Map<String, Value> {
    let spelled = |name: &str| {
        match name {
            "system_instruction" => "systemInstruction",
            "generation_config" => "generationConfig",
            "tool_config" => "toolConfig",
            "safety_settings" => "safetySettings",
            "cached_content" => "cachedContent",
            _ => return name.to_owned(),
        }
        .to_owned()
    };
    extra.iter().map(|(name, value)| (spelled(name), value.clone())).collect()
}

fn own_fields(
    conversation: &Conversation<'_>,
    request: &ChatRequest,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Result<Map<String, Value>> {
    let instructions: Vec<Value> = conversation.system.iter().map(|text| json!({"text": text})).collect();
    let mut own = Map::new();
    if !instructions.is_empty() {
        own.insert("systemInstruction".to_owned(), json!({"parts": instructions}));
    }
    own.insert("toolConfig".to_owned(), Value::Object(options::tool_config(request, profile, warnings)?));
    own.insert("generationConfig".to_owned(), Value::Object(options::generation(request, profile, warnings)));
    Ok(own)
}

/// Gives the tools: those declared, and beside them the provider's own that the caller's fields name.
fn tools(
    request: &ChatRequest,
    profile: &Profile,
    extra: &mut Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Value {
    const DECLARED: [&str; 2] = ["functionDeclarations", "function_declarations"];
    let hosted = match extra.get_mut("tools") {
        None => Vec::new(),
        Some(Value::Array(list)) => std::mem::take(list),
        // Whatever else the caller sets stands as it is.
        Some(_) => return Value::Null,
    };
    extra.remove("tools");
    let declares = hosted.iter().any(|tool| DECLARED.iter().any(|name| tool.get(name).is_some()));
    let mut tools = Vec::new();
    if !declares && !request.tools.is_empty() {
        tools.push(json!({"functionDeclarations": options::declarations(request, profile, warnings)}));
    }
    tools.extend(hosted);
    Value::Array(tools)
}

/// Joins the caller's object with Motet's own, key by key.
fn join(name: &str, own: &mut Map<String, Value>, extra: &mut Map<String, Value>) {
    if let (Some(Value::Object(fields)), Some(Value::Object(more))) = (own.get_mut(name), extra.get_mut(name))
    {
        fields.append(more);
        extra.remove(name);
    }
}

fn leave_to_cache(own: &mut Map<String, Value>, warnings: &mut Vec<String>) {
    let left: Vec<&str> = CACHED.into_iter().filter(|name| own.remove(*name).is_some()).collect();
    if !left.is_empty() {
        warnings.push(format!(
            "`{}` were left out, as `cachedContent` holds them and the request may not repeat them",
            left.join("`, `")
        ));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

struct Body<'a> {
    /// The model's resource, where the path does not name it.
    model: Option<String>,
    conversation: Conversation<'a>,
    /// Fields written by Motet.
    own: Map<String, Value>,
    /// Fields set by the caller.
    extra: Map<String, Value>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::new(serializer.serialize_map(None)?, &self.extra);
        fields.put_some("model", self.model.as_ref())?;
        fields.put("contents", &self.conversation.contents)?;
        for name in ["systemInstruction", "tools", "toolConfig", "generationConfig"] {
            fields.put_some(name, self.own.get(name))?;
        }
        fields.end()
    }
}

/// A request inside the one that asks for its tokens.
#[derive(Serialize)]
struct Inside<'a, 'b> {
    #[serde(rename = "generateContentRequest")]
    request: &'b Body<'a>,
}
