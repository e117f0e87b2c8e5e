//! The options of an answer: sampling, thinking, its form, and which tools may be called.

use motet_core::request::{Output, ReasoningEffort, ToolChoice};
use motet_core::{ChatRequest, Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use crate::dialect::schema;
use crate::dialect::{JsonOutput, Profile, Thinking, options};

/// Writes `generationConfig`.
pub(super) fn generation(
    request: &ChatRequest,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Map<String, Value> {
    let mut config = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    let sampling = &request.sampling;
    if options::sampling_allowed(request, profile, warnings) {
        put("temperature", sampling.temperature.map(Value::from));
        put("topP", sampling.top_p.map(Value::from));
        put("topK", sampling.top_k.filter(|_| profile.top_k).map(Value::from));
        put("frequencyPenalty", sampling.frequency_penalty.filter(|_| profile.penalties).map(Value::from));
        put("presencePenalty", sampling.presence_penalty.filter(|_| profile.penalties).map(Value::from));
    }
    put("seed", sampling.seed.and_then(|seed| small_seed(seed, warnings)));
    put("maxOutputTokens", request.max_tokens.map(Value::from));
    if !request.stop.is_empty() {
        if profile.stop {
            put("stopSequences", Some(json!(request.stop)));
        } else {
            warnings.push("the model does not accept stop texts; they were left out".to_owned());
        }
    }
    put("thinkingConfig", thinking(request, profile, warnings));
    for (name, value) in form(request, profile, warnings) {
        put(name, Some(value));
    }
    config
}

/// Gives a seed that fits into the 32 bits that the format has for it.
pub(crate) fn small_seed(seed: i64, warnings: &mut Vec<String>) -> Option<Value> {
    let small = i32::try_from(seed).ok();
    if small.is_none() {
        warnings.push(format!("the seed `{seed}` does not fit into 32 bits; left out"));
    }
    small.map(Value::from)
}

fn thinking(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let effort = options::effort(request, profile, warnings)?;
    let shown = effort != ReasoningEffort::None;
    match profile.thinking {
        Thinking::Never => None,
        // A budget of -1 leaves the amount to the model.
        Thinking::Switch => {
            Some(json!({"thinkingBudget": if shown { -1 } else { 0 }, "includeThoughts": shown}))
        }
        Thinking::Budget { min, max, off } => {
            let tokens = match effort {
                ReasoningEffort::None if off => 0,
                effort => budget(effort, max).clamp(min, max),
            };
            Some(json!({"thinkingBudget": tokens, "includeThoughts": shown}))
        }
        Thinking::Effort | Thinking::Adaptive | Thinking::Level => Some(match effort {
            ReasoningEffort::None => json!({"thinkingBudget": 0, "includeThoughts": false}),
            ReasoningEffort::Xhigh => json!({"thinkingLevel": "high", "includeThoughts": true}),
            effort => json!({"thinkingLevel": effort.as_str(), "includeThoughts": true}),
        }),
    }
}

/// Gives the tokens of an effort, by Google's table "OpenAI compatibility", section "Thinking".
fn budget(effort: ReasoningEffort, max: u32) -> u32 {
    match effort {
        ReasoningEffort::None => 0,
        ReasoningEffort::Minimal => 512,
        ReasoningEffort::Low => 1_024,
        ReasoningEffort::Medium => 8_192,
        ReasoningEffort::High => 24_576,
        _ => max,
    }
}

/// Asks for JSON by the answer's schema, as far as the model knows schemas.
fn form(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Vec<(&'static str, Value)> {
    let Output::JsonSchema(output) = &request.output else { return Vec::new() };
    let media_type = ("responseMimeType", Value::from("application/json"));
    match profile.json_output {
        JsonOutput::Instructions | JsonOutput::Tool => Vec::new(),
        JsonOutput::Object => vec![media_type],
        JsonOutput::Schema => {
            let compiled = schema::compile(&output.schema, profile.schema);
            warn_of_lost(&format!("schema `{}`", output.name), &compiled.lost, warnings);
            let field = if profile.json_schema_fields { "responseJsonSchema" } else { "responseSchema" };
            vec![media_type, (field, compiled.schema.into_owned())]
        }
    }
}

/// Writes the declarations of tools.
pub(super) fn declarations(
    request: &ChatRequest,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Vec<Value> {
    let declared = request.tools.iter().map(|tool| {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), Value::from(tool.name.as_str()));
        if !tool.description.is_empty() {
            fields.insert("description".to_owned(), Value::from(tool.description.as_str()));
        }
        let compiled = schema::compile(&tool.parameters, profile.tool_schema);
        warn_of_lost(&format!("the arguments of tool `{}`", tool.name), &compiled.lost, warnings);
        if profile.json_schema_fields {
            fields.insert("parametersJsonSchema".to_owned(), compiled.schema.into_owned());
        } else if !is_empty_object(&compiled.schema) {
            // The older field refuses an object without properties; a tool without arguments has none at all.
            fields.insert("parameters".to_owned(), compiled.schema.into_owned());
        }
        Value::Object(fields)
    });
    declared.collect()
}

/// Writes `toolConfig`; nothing where the model may decide.
pub(super) fn tool_config(
    request: &ChatRequest,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Result<Map<String, Value>> {
    options::check_tools(request, profile)?;
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() && !profile.parallel_tool_calls
    {
        warnings.push("the model does not accept `parallel_tool_calls`; left out".to_owned());
    }
    let refused = |what: &str| {
        Err(Error::new(ErrorKind::Unsupported, format!("the model cannot be {what}"))
            .with_hint("leave the choice of tools to the model"))
    };
    let calling = match &request.tool_choice {
        _ if request.tools.is_empty() => None,
        ToolChoice::Required | ToolChoice::Tool(_) if !profile.required_tool_choice => {
            return refused("made to call a tool");
        }
        ToolChoice::None if !profile.none_tool_choice => return refused("kept from calling tools"),
        ToolChoice::None => Some(json!({"mode": "NONE"})),
        ToolChoice::Required => Some(json!({"mode": "ANY"})),
        ToolChoice::Tool(name) => Some(json!({"mode": "ANY", "allowedFunctionNames": [name]})),
        ToolChoice::Auto if request.tools.iter().any(|tool| tool.strict == Some(true)) => {
            Some(json!({"mode": "VALIDATED"}))
        }
        ToolChoice::Auto => None,
    };
    Ok(calling.into_iter().map(|calling| ("functionCallingConfig".to_owned(), calling)).collect())
}

/// Tells what of a schema the provider cannot enforce.
pub(crate) fn warn_of_lost(what: &str, lost: &[String], warnings: &mut Vec<String>) {
    if !lost.is_empty() {
        warnings.push(format!(
            "the provider cannot enforce all of {what}: {}; the answer is checked locally",
            lost.join(", ")
        ));
    }
}

fn is_empty_object(schema: &Value) -> bool {
    schema.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty)
}
