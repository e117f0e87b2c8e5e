//! The request body: options that the profile allows, and the caller's own fields last.

mod tools;

use std::borrow::Cow;

use motet_core::request::{Output, Sampling};
use motet_core::{ChatRequest, Delivery, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::messages::{self, Conversation};
use super::thinking::{self, Plan};
use crate::dialect::fields::{self, Fields};
use crate::dialect::{JsonOutput, Profile, options, schema};

/// Fields of the caller's own that count tokens as well; others would be refused.
const COUNTED: [&str; 9] = [
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// Writes the body, and tells what was left out or changed.
pub(super) fn encode(
    request: &ChatRequest,
    profile: &Profile,
    delivery: Delivery,
) -> Result<(Vec<u8>, Vec<String>)> {
    let mut warnings = Vec::new();
    let content = Content::new(request, profile, &mut warnings)?;
    let body = Body {
        request,
        profile,
        sampling: sampling(request, profile, &mut warnings),
        stop: stop_texts(request, profile, &mut warnings),
        streamed: delivery == Delivery::Streamed,
        content,
    };
    Ok((fields::written(&body)?, warnings))
}

/// Writes the body of the request that counts tokens.
pub(super) fn encode_count(request: &ChatRequest, profile: &Profile) -> Result<(Vec<u8>, Vec<String>)> {
    let mut warnings = Vec::new();
    let mut content = Content::new(request, profile, &mut warnings)?;
    let extra = content.extra.to_mut();
    extra.retain(|name, _| COUNTED.contains(&name.as_str()));
    if let Some(Value::Array(offered)) = extra.get_mut("tools") {
        tools::leave_out_hosted(offered, &mut warnings);
    }
    Ok((fields::written(&Counted { request, content })?, warnings))
}

/// What a request says to the model, which is what its tokens are counted of.
struct Content<'a> {
    conversation: Conversation<'a>,
    tools: Vec<tools::Tool<'a>>,
    tool_choice: Option<Value>,
    thinking: Option<Value>,
    output_config: Option<Value>,
    extra: Cow<'a, Map<String, Value>>,
}

impl<'a> Content<'a> {
    fn new(request: &'a ChatRequest, profile: &'a Profile, warnings: &mut Vec<String>) -> Result<Self> {
        options::check_tools(request, profile)?;
        let mut conversation = messages::encode(request, profile)?;
        warnings.append(&mut conversation.warnings);
        let plan =
            thinking::plan(request, profile, limit(request, profile), conversation.unthinking, warnings);
        let mut config = Map::new();
        if let Plan { effort: Some(effort), .. } = plan {
            config.insert("effort".to_owned(), Value::from(effort));
        }
        if let Some(format) = format(request, profile, &mut conversation, warnings) {
            config.insert("format".to_owned(), format);
        }
        let extra = merged(&mut config, &request.extra);
        Ok(Self {
            conversation,
            tools: tools::encode(request, profile, warnings),
            tool_choice: tools::choice(request, profile, warnings),
            thinking: plan.thinking,
            output_config: (!config.is_empty()).then_some(Value::Object(config)),
            extra,
        })
    }

    fn put<M: SerializeMap>(&self, fields: &mut Fields<'_, M>, model: &str) -> Result<(), M::Error> {
        fields.put("model", model)?;
        match self.conversation.system.as_slice() {
            [] => {}
            [one] => fields.put("system", one)?,
            several => fields.put("system", &Texts(several))?,
        }
        fields.put("messages", &self.conversation.turns)?;
        if !self.tools.is_empty() {
            fields.put("tools", &self.tools)?;
            fields.put_some("tool_choice", self.tool_choice.as_ref())?;
        }
        fields.put_some("thinking", self.thinking.as_ref())?;
        fields.put_some("output_config", self.output_config.as_ref())
    }
}

/// Gives the output limit, without which this format takes no request.
fn limit(request: &ChatRequest, profile: &Profile) -> u32 {
    request.max_tokens.unwrap_or(profile.max_output)
}

/// Gives the form of the answer; where its schema cannot be enforced, it is asked for in words.
fn format(
    request: &ChatRequest,
    profile: &Profile,
    conversation: &mut Conversation<'_>,
    warnings: &mut Vec<String>,
) -> Option<Value> {
    let Output::JsonSchema(output) = &request.output else { return None };
    let compiled = schema::compile(&output.schema, profile.schema);
    let enforced = profile.json_output == JsonOutput::Schema && compiled.strict;
    if !enforced || !compiled.lost.is_empty() {
        let parts = if enforced { " in all parts" } else { "" };
        let lost =
            if compiled.lost.is_empty() { String::new() } else { format!(" ({})", compiled.lost.join(", ")) };
        warnings.push(format!(
            "schema `{}` is not enforced by the provider{parts}{lost}; the answer is checked",
            output.name
        ));
    }
    if enforced {
        return Some(json!({"type": "json_schema", "schema": compiled.schema}));
    }
    conversation.system.push(Cow::Owned(format!(
        "Answer with one JSON value that satisfies this JSON schema, and with nothing else:\n{}",
        output.schema
    )));
    None
}

/// Adds the caller's own output settings to the ones written here, so that the one does not take away the other.
fn merged<'a>(config: &mut Map<String, Value>, extra: &'a Map<String, Value>) -> Cow<'a, Map<String, Value>> {
    match extra.get("output_config") {
        Some(Value::Object(own)) if !config.is_empty() => {
            config.extend(own.clone());
            let mut rest = extra.clone();
            rest.shift_remove("output_config");
            Cow::Owned(rest)
        }
        _ => Cow::Borrowed(extra),
    }
}

/// Gives the sampling options that the model takes, of which there may be fewer than asked for.
fn sampling(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Sampling {
    let mut sent = Sampling::default();
    let asked = &request.sampling;
    let allowed = options::sampling_allowed(request, profile, warnings);
    warn_of_unknown(asked, allowed, warnings);
    if !allowed {
        return sent;
    }
    sent.temperature = asked.temperature;
    sent.top_p = asked.top_p;
    sent.top_k = asked.top_k.filter(|_| profile.top_k);
    if let Some(temperature) = asked.temperature.filter(|temperature| *temperature > 1.0) {
        warnings
            .push(format!("the model takes a temperature of 1 at most; 1 was sent instead of {temperature}"));
        sent.temperature = Some(1.0);
    }
    if profile.temperature_or_top_p && sent.temperature.is_some() && sent.top_p.is_some() {
        warnings.push("the model takes either `temperature` or `top_p`; `top_p` was left out".to_owned());
        sent.top_p = None;
    }
    sent
}

/// Warns of options that this format has no field for.
fn warn_of_unknown(sampling: &Sampling, allowed: bool, warnings: &mut Vec<String>) {
    // Where no sampling option is allowed, the penalties were told of with the rest.
    let asked = [
        ("seed", sampling.seed.is_some()),
        ("frequency_penalty", allowed && sampling.frequency_penalty.is_some()),
        ("presence_penalty", allowed && sampling.presence_penalty.is_some()),
    ];
    let unknown: Vec<&str> = asked.into_iter().filter_map(|(name, asked)| asked.then_some(name)).collect();
    if !unknown.is_empty() {
        warnings.push(format!("the model does not accept `{}`; left out", unknown.join("`, `")));
    }
}

fn stop_texts<'a>(request: &'a ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Vec<&'a str> {
    let asked = request.stop.iter().map(String::as_str);
    let sent: Vec<&str> = asked.filter(|text| profile.stop && !text.trim().is_empty()).collect();
    if sent.len() < request.stop.len() {
        let which = if profile.stop { "stop texts of white space alone" } else { "stop texts" };
        warnings.push(format!("the model does not accept {which}; they were left out"));
    }
    sent
}

struct Body<'a> {
    request: &'a ChatRequest,
    profile: &'a Profile,
    content: Content<'a>,
    sampling: Sampling,
    stop: Vec<&'a str>,
    streamed: bool,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::new(serializer.serialize_map(None)?, &self.content.extra);
        self.content.put(&mut fields, self.request.model.model())?;
        fields.put("max_tokens", &limit(self.request, self.profile))?;
        fields.put_some("container", self.content.conversation.container)?;
        fields.put_some("temperature", self.sampling.temperature)?;
        fields.put_some("top_p", self.sampling.top_p)?;
        fields.put_some("top_k", self.sampling.top_k)?;
        fields.put_some("stop_sequences", Some(&self.stop).filter(|stop| !stop.is_empty()))?;
        let user = self.request.metadata.get("user_id").and_then(Value::as_str);
        fields.put_some("metadata", user.map(|user| json!({"user_id": user})))?;
        fields.put_some("stream", self.streamed.then_some(true))?;
        fields.end()
    }
}

struct Counted<'a> {
    request: &'a ChatRequest,
    content: Content<'a>,
}

impl Serialize for Counted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::new(serializer.serialize_map(None)?, &self.content.extra);
        self.content.put(&mut fields, self.request.model.model())?;
        fields.end()
    }
}

/// Texts as blocks of their own.
struct Texts<'a>(&'a [Cow<'a, str>]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|text| json!({"type": "text", "text": text})))
    }
}
