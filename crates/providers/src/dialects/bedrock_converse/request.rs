//! The request body: what the profile allows, and the caller's own fields last.

use motet_core::request::Output;
use motet_core::{ChatRequest, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::messages::{self, Conversation};
use super::thinking::{self, Thought};
use super::tools;
use crate::dialect::fields::{self, Fields};
use crate::dialect::{JsonOutput, Profile, options, schema};

/// Writes the body, and tells what was left out or changed.
pub(super) fn encode(request: &ChatRequest, profile: &Profile) -> Result<(Vec<u8>, Vec<String>)> {
    let (body, warnings) = prepared(request, profile)?;
    Ok((fields::written(&body)?, warnings))
}

/// Writes the body that asks for the number of the request's tokens.
pub(super) fn encode_count(request: &ChatRequest, profile: &Profile) -> Result<(Vec<u8>, Vec<String>)> {
    let (body, warnings) = prepared(request, profile)?;
    Ok((fields::written(&Counted(&body))?, warnings))
}

fn prepared<'a>(request: &'a ChatRequest, profile: &'a Profile) -> Result<(Body<'a>, Vec<String>)> {
    options::check_tools(request, profile)?;
    let mut warnings = Vec::new();
    let conversation = messages::encode(request, profile, &mut warnings)?;
    let thought = thinking::encode(request, profile, &mut warnings);
    let tools = tools::encode(request, profile, &mut warnings);
    let output = output_config(request, profile, &mut warnings);
    let (inference, sampled) = inference(request, profile, &thought, &mut warnings);
    let mut additional = thought.fields;
    if let Some(top_k) = sampled {
        insert(&mut additional, profile.top_k_path, top_k);
    }
    Ok((Body { request, conversation, inference, tools, output, additional }, warnings))
}

/// Gives the options that the format knows by name, and the one that it leaves to the model.
fn inference(
    request: &ChatRequest,
    profile: &Profile,
    thought: &Thought,
    warnings: &mut Vec<String>,
) -> (Map<String, Value>, Option<Value>) {
    let sampling = &request.sampling;
    let allowed = options::sampling_allowed(request, profile, warnings);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("maxTokens", thought.max_tokens.map(Value::from));
    put("temperature", sampling.temperature.filter(|_| allowed).map(Value::from));
    put("topP", sampling.top_p.filter(|_| allowed).map(Value::from));
    if !request.stop.is_empty() {
        if profile.stop {
            put("stopSequences", Some(json!(request.stop)));
        } else {
            warnings.push("the model does not accept stop texts; they were left out".to_owned());
        }
    }
    let unknown = [
        ("seed", sampling.seed.is_some()),
        ("frequency_penalty", allowed && sampling.frequency_penalty.is_some()),
        ("presence_penalty", allowed && sampling.presence_penalty.is_some()),
    ];
    for (name, _) in unknown.into_iter().filter(|(_, set)| *set) {
        warnings.push(format!("this format has no `{name}`; left out"));
    }
    (fields, sampling.top_k.filter(|_| allowed && profile.top_k).map(Value::from))
}

/// Gives how the answer must look; the format wants the schema as a text.
fn output_config(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let Output::JsonSchema(output) = &request.output else { return None };
    if profile.json_output != JsonOutput::Schema {
        return None;
    }
    let compiled = schema::compile(&output.schema, profile.schema);
    if !compiled.lost.is_empty() {
        warnings.push(format!(
            "the provider cannot enforce all of schema `{}`, the answer is checked for the rest: {}",
            output.name,
            compiled.lost.join(", ")
        ));
    }
    let text = compiled.schema.to_string();
    let structure = json!({"jsonSchema": {"name": output.name, "schema": text}});
    Some(json!({"textFormat": {"type": "json_schema", "structure": structure}}))
}

/// Sets a value at a path of objects.
fn insert(fields: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [name] => {
            fields.insert((*name).to_owned(), value);
        }
        [name, rest @ ..] => {
            let inner = fields.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

struct Body<'a> {
    request: &'a ChatRequest,
    conversation: Conversation<'a>,
    inference: Map<String, Value>,
    tools: Option<Value>,
    output: Option<Value>,
    additional: Map<String, Value>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::new(serializer.serialize_map(None)?, &self.request.extra);
        fields.put("messages", &self.conversation.messages)?;
        fields.put_some("system", filled(&self.conversation.system))?;
        fields.put_some("inferenceConfig", Some(&self.inference).filter(|options| !options.is_empty()))?;
        fields.put_some("toolConfig", self.tools.as_ref())?;
        fields.put_some("outputConfig", self.output.as_ref())?;
        fields
            .put_some("additionalModelRequestFields", Some(&self.additional).filter(|it| !it.is_empty()))?;
        fields.end()
    }
}

fn filled<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

/// The same request, of which only what counts is sent.
struct Counted<'a>(&'a Body<'a>);

impl Serialize for Counted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut input = serializer.serialize_map(Some(1))?;
        input.serialize_entry("input", &Converse(self.0))?;
        input.end()
    }
}

struct Converse<'a>(&'a Body<'a>);

impl Serialize for Converse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut converse = serializer.serialize_map(Some(1))?;
        converse.serialize_entry("converse", &Counting(self.0))?;
        converse.end()
    }
}

struct Counting<'a>(&'a Body<'a>);

impl Serialize for Counting<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const COUNTED: [&str; 4] = ["messages", "system", "toolConfig", "additionalModelRequestFields"];
        let body = self.0;
        let own = body.request.extra.iter().filter(|(name, _)| COUNTED.contains(&name.as_str()));
        let own: Map<String, Value> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut fields = Fields::new(serializer.serialize_map(None)?, &own);
        fields.put("messages", &body.conversation.messages)?;
        fields.put_some("system", filled(&body.conversation.system))?;
        fields.put_some("toolConfig", body.tools.as_ref())?;
        fields
            .put_some("additionalModelRequestFields", Some(&body.additional).filter(|it| !it.is_empty()))?;
        fields.end()
    }
}
