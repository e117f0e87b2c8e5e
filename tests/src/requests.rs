//! Judges what Motet sends: a recorded request, made again from its neutral form, against the one that was recorded.
//!
//! The comparison is that of the corpus' replay server; a difference passes only if [`EXPLANATIONS`] tells why.

use anyhow::Result;
use motet_core::{Delivery, ModelId};
use motet_providers::dialect::Origin;
use motet_providers::driver::{Clients, HttpModel};
use motet_providers::embeddings;
use motet_providers::provider::{AwsCredentials, ProviderConfig, Proxy};
use serde_json::Value;

use crate::corpus::Line;
use crate::neutral;

/// One place where two bodies differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// JSON pointer.
    pub at: String,
    /// What was recorded; null where nothing was.
    pub recorded: Value,
    /// What Motet sends; null where nothing is.
    pub sent: Value,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It has no neutral form, for this reason.
    NoForm(String),
    /// It is the same but for differences that are explained, by their explanations.
    Accepted(Vec<&'static str>),
    /// It cannot be sent, or differs in these places.
    Refused(Vec<String>),
}

/// Judges one request.
///
/// # Errors
/// When the recorded model or row cannot be used at all.
pub fn judge(line: &Line, call: &Value) -> Result<Verdict> {
    let origin = line.origin()?;
    let sent = match line.op.as_str() {
        "chat" => match neutral::chat_request(line, call, origin.row.name) {
            Err(reason) => return Ok(Verdict::NoForm(format!("{reason:#}"))),
            Ok(request) => {
                let model = request.model.clone();
                let delivery = if line.stream { Delivery::Streamed } else { Delivery::Plain };
                let written = http_model(&origin, model)?.dry_run(&request, delivery);
                written.map(|written| written.body)
            }
        },
        "embed" => match neutral::embed_request(line, call, origin.row.name) {
            Err(reason) => return Ok(Verdict::NoForm(format!("{reason:#}"))),
            Ok(request) => {
                let written = embeddings::find(&line.wire)?.encode(&request, &origin.profile);
                written.map(|written| String::from_utf8_lossy(&written.body).into_owned())
            }
        },
        _ => return Ok(Verdict::NoForm("there is no neutral form".to_owned())),
    };
    let body: Value = match sent {
        Ok(body) => serde_json::from_str(&body)?,
        Err(_) if line.expect["outcome"] == "error" => {
            return Ok(Verdict::Accepted(vec![
                "it is refused before it is sent, as the provider refused it",
            ]));
        }
        Err(error) => return Ok(Verdict::Refused(vec![format!("it is not sent: {error}")])),
    };
    Ok(compared(line, &body))
}

/// Makes a model that would send to a server on this machine.
///
/// # Errors
/// When its configuration is refused.
pub fn http_model(origin: &Origin, model: ModelId) -> motet_core::Result<HttpModel> {
    let config = ProviderConfig {
        base_url: Some("http://127.0.0.1:9".to_owned()),
        api_key: Some(motet_core::Secret::new("test-key")),
        proxy: Proxy::Off,
        aws: None::<AwsCredentials>,
        ..ProviderConfig::default()
    };
    HttpModel::new(origin.row, model, &config, &Clients::default())
}

/// Compares a body with the one that was recorded.
#[must_use]
pub fn compared(line: &Line, body: &Value) -> Verdict {
    let mut found = Vec::new();
    let (recorded, sent) = (plain_form(&line.request.body, line), plain_form(body, line));
    differences(&recorded, &sent, String::new(), &mut found);
    let (mut explained, mut refused) = (Vec::new(), Vec::new());
    if line.expect["outcome"] == "error" && line.expect["error"]["in_stream"] != true && !found.is_empty() {
        return Verdict::Accepted(vec!["the recorded request is one that the provider refused"]);
    }
    for difference in found {
        match EXPLANATIONS.iter().find(|explanation| (explanation.holds)(&difference, line, body)) {
            Some(explanation) => explained.push(explanation.text),
            None => refused.push(format!(
                "at {}: recorded {}, sent {}",
                difference.at,
                shortened(&difference.recorded),
                shortened(&difference.sent)
            )),
        }
    }
    explained.sort_unstable();
    explained.dedup();
    if refused.is_empty() { Verdict::Accepted(explained) } else { Verdict::Refused(refused) }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 160 { text } else { text.chars().take(160).chain("…".chars()).collect() }
}

/// Finds where two values differ; null and absent are the same, as are lists of one text and the text.
fn differences(recorded: &Value, sent: &Value, at: String, found: &mut Vec<Difference>) {
    match (recorded, sent) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let (a, b) = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
                differences(a, b, format!("{at}/{name}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, format!("{at}/{place}"), found);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (a, b) if a == b => {}
        (a, b) => found.push(Difference { at, recorded: a.clone(), sent: b.clone() }),
    }
}

/// Writes what has two spellings in one: names in camel case, and instructions apart from the messages.
fn plain_form(body: &Value, line: &Line) -> Value {
    let mut body = body.clone();
    match line.wire.as_str() {
        "gemini-generate" | "gemini-embed" => camel(&mut body),
        "openai-responses" => {
            instructions_apart(&mut body);
            without_what_says_nothing(&mut body);
        }
        _ => {}
    }
    for (list, content) in [("messages", "content"), ("contents", "parts")] {
        if ["anthropic-messages", "bedrock-converse", "gemini-generate"].contains(&line.wire.as_str()) {
            neighbours_joined(&mut body[list], content);
        }
    }
    body
}

/// Joins messages of one role that follow each other, which these formats take as one.
fn neighbours_joined(messages: &mut Value, content: &str) {
    let Value::Array(messages) = messages else { return };
    let mut joined: Vec<Value> = Vec::new();
    for mut message in std::mem::take(messages) {
        if let Value::String(text) = &message[content] {
            message[content] = serde_json::json!([{"type": "text", "text": text}]);
        }
        match joined.last_mut().filter(|last| last["role"] == message["role"]) {
            Some(last) => {
                if let (Value::Array(known), Value::Array(more)) =
                    (&mut last[content], message[content].take())
                {
                    known.extend(more);
                }
            }
            None => joined.push(message),
        }
    }
    *messages = joined;
}

/// Takes away empty messages, and reasoning that is neither kept by the provider nor encrypted.
fn without_what_says_nothing(body: &mut Value) {
    let Some(items) = body["input"].as_array_mut() else { return };
    items.retain(|item| {
        let empty = item["role"] == "assistant" && item["content"] == "";
        let lost =
            item["type"] == "reasoning" && item["encrypted_content"].as_str().unwrap_or_default().is_empty();
        !empty && !lost
    });
}

/// Renames fields to camel case, except within schemas, arguments, and results.
fn camel(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, mut inner) in std::mem::take(fields) {
                let name =
                    name.split('_').enumerate().fold(String::new(), |text, (place, word)| match place {
                        0 => word.to_owned(),
                        _ => text + &word[..1].to_uppercase() + &word[1..],
                    });
                let foreign = [
                    "parameters",
                    "parametersJsonSchema",
                    "responseSchema",
                    "responseJsonSchema",
                    "args",
                    "response",
                ];
                if !foreign.contains(&name.as_str()) {
                    camel(&mut inner);
                }
                fields.insert(name, inner);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(camel),
        _ => {}
    }
}

/// Moves instructions that open the conversation out of it.
fn instructions_apart(body: &mut Value) {
    if body["input"].is_string() {
        body["input"] = serde_json::json!([{"role": "user", "content": body["input"]}]);
    }
    let first = &body["input"][0];
    let text = first["content"].as_str().or_else(|| first["content"][0]["text"].as_str()).map(str::to_owned);
    if matches!(first["role"].as_str(), Some("system" | "developer"))
        && let (Some(text), Some(items)) = (text, body["input"].as_array_mut())
    {
        items.remove(0);
        let known = body["instructions"].as_str().map(|known| format!("{known}\n\n{text}"));
        body["instructions"] = known.unwrap_or(text).into();
    }
}

/// Why two correct clients differ in a place.
struct Explanation {
    text: &'static str,
    /// Looks at the difference, at the exchange, and at the whole body that is sent.
    holds: fn(&Difference, &Line, &Value) -> bool,
}

/// The short list of differences that are none in meaning.
const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        text: "a text stands alone or as a list of one part, which mean the same",
        holds: |difference, _, _| {
            let text = |value: &Value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Array(parts) => {
                    parts.iter().map(|part| part["text"].as_str()).collect::<Option<String>>()
                }
                _ => None,
            };
            text(&difference.recorded).is_some_and(|recorded| Some(recorded) == text(&difference.sent))
        },
    },
    Explanation {
        text: "JSON within a text is spaced or ordered otherwise",
        holds: |difference, _, _| {
            let parsed = |value: &Value| serde_json::from_str::<Value>(value.as_str()?).ok();
            parsed(&difference.recorded).is_some_and(|recorded| Some(recorded) == parsed(&difference.sent))
        },
    },
    Explanation {
        text: "an empty list, object, or text is left out or sent",
        holds: |difference, _, _| {
            let empty = |value: &Value| match value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                _ => false,
            };
            empty(&difference.recorded) && empty(&difference.sent)
        },
    },
    Explanation {
        text: "a default of the provider is spelled out",
        holds: |difference, _, _| {
            let spelled = |value: &Value, other: &Value| other.is_null() && is_default(&difference.at, value);
            spelled(&difference.recorded, &difference.sent) || spelled(&difference.sent, &difference.recorded)
        },
    },
    Explanation {
        text: "the output limit has its newer name",
        holds: |difference, _, body| {
            const NAMES: [&str; 2] = ["max_tokens", "max_completion_tokens"];
            let name = difference.at.trim_start_matches('/');
            let other = |value: &Value| NAMES.iter().any(|known| *known != name && body[*known] == *value);
            NAMES.contains(&name)
                && (difference.recorded.is_null() || other(&difference.recorded))
                && (difference.sent.is_null() || body[name] == difference.sent)
        },
    },
    Explanation {
        text: "instructions to a reasoning model come from the `developer`, or from the `user` where it knows no other",
        holds: |difference, _, _| {
            let role = |value: &Value| matches!(value.as_str(), Some("system" | "developer" | "user"));
            difference.at.ends_with("/role") && role(&difference.recorded) && role(&difference.sent)
        },
    },
    Explanation {
        text: "schemas go into the field for JSON schema, not into the older one for a part of it",
        holds: |difference, _, _| {
            ["/parameters", "/parametersJsonSchema", "/responseSchema", "/responseJsonSchema"]
                .iter()
                .any(|field| difference.at.ends_with(field))
                && (difference.recorded.is_null() || difference.sent.is_null())
        },
    },
    Explanation {
        text: "nothing is kept at the provider, so that reasoning travels encrypted",
        holds: |difference, line, _| {
            line.wire == "openai-responses"
                && difference.recorded.is_null()
                && (difference.at == "/store" || difference.at == "/include")
        },
    },
    Explanation {
        text: "a tool's schema is enforced only when that is asked for",
        holds: |difference, _, _| {
            difference.at.ends_with("/strict") && difference.recorded.is_null() && difference.sent == false
        },
    },
    Explanation {
        text: "a prompt that is too long is refused instead of cut",
        holds: |difference, _, _| difference.at == "/truncate" && difference.sent == false,
    },
    Explanation {
        text: "vectors are asked for in base64, or by name of the number's form",
        holds: |difference, line, _| {
            line.op == "embed"
                && difference.recorded.is_null()
                && ["/encoding_format", "/embedding_types", "/truncate"].contains(&difference.at.as_str())
        },
    },
    Explanation {
        text: "thinking is switched on beside its effort",
        holds: |difference, _, body| {
            difference.at == "/thinking"
                && difference.recorded.is_null()
                && !body["reasoning_effort"].is_null()
        },
    },
    Explanation {
        text: "an item's id that the provider did not make is left out",
        holds: |difference, line, _| {
            let id = difference.recorded.as_str().unwrap_or_default();
            let own = ["rs_", "msg_", "fc_", "ctc_"].iter().any(|prefix| id.starts_with(prefix));
            difference.at.ends_with("/id")
                && difference.sent.is_null()
                && (line.wire == "gemini-generate" || !own || id.contains("REDACTED"))
        },
    },
    Explanation {
        text: "an id that the recorder changed is no longer one that the provider takes, and is mapped",
        holds: |difference, _, _| {
            let changed = difference.recorded.as_str().is_some_and(|id| id.contains("REDACTED"));
            changed && ["/id", "/tool_call_id"].iter().any(|field| difference.at.ends_with(field))
        },
    },
    Explanation {
        text: "the neutral form has no place for it",
        holds: |difference, _, _| {
            const FIELDS: [&str; 7] = [
                "/jsonSchema/description",
                "/detail",
                "/cache_control",
                "/json_schema/description",
                "/phase",
                "/status",
                "/document_name",
            ];
            let message_id = difference.at.ends_with("/id")
                && difference.recorded.as_str().is_some_and(|id| id.starts_with("msg_"));
            difference.sent.is_null()
                && (message_id || FIELDS.iter().any(|field| difference.at.ends_with(field)))
        },
    },
    Explanation {
        text: "a tool's result goes as the text that it is",
        holds: |difference, line, _| {
            (line.wire == "gemini-generate" && difference.at.contains("/functionResponse/response"))
                || (line.wire == "bedrock-converse" && difference.at.contains("/toolResult/content/"))
        },
    },
    Explanation {
        text: "the schema of an answer is written as the provider enforces it",
        holds: |difference, line, _| {
            let own = line.wire == "ollama-chat" && difference.at.starts_with("/format/");
            let places = [
                "/json_schema/schema/",
                "/jsonSchema/schema",
                "/format/schema/",
                "/responseJsonSchema/",
                "/responseSchema/",
            ];
            own || places.iter().any(|place| difference.at.contains(place))
        },
    },
    Explanation {
        text: "bytes are written in the other alphabet of base64",
        holds: |difference, _, _| {
            let plain = |value: &Value| Some(value.as_str()?.replace('-', "+").replace('_', "/"));
            plain(&difference.recorded).is_some_and(|recorded| Some(recorded) == plain(&difference.sent))
        },
    },
    Explanation {
        text: "what the provider sent goes back, although the recorded client dropped it",
        holds: |difference, _, _| {
            const FIELDS: [&str; 10] = [
                "/caller",
                "/tool_plan",
                "/reasoning",
                "/reasoning_details",
                "/phase",
                "/status",
                "/id",
                "/tool_call_id",
                "/format",
                "/thoughtSignature",
            ];
            difference.recorded.is_null() && FIELDS.iter().any(|field| difference.at.ends_with(field))
        },
    },
    Explanation {
        text: "reasoning goes back in the field in which it came, and only with tool calls",
        holds: |difference, line, _| {
            line.wire == "openai-chat"
                && difference.sent.is_null()
                && ["/reasoning", "/reasoning_content"].iter().any(|field| difference.at.ends_with(field))
        },
    },
    Explanation {
        text: "thoughts without a signature do not go back",
        holds: |difference, _, _| {
            let thoughts = difference.recorded.as_array().into_iter().flatten();
            difference.at.ends_with("/parts") && thoughts.into_iter().any(|part| part["thought"] == true)
        },
    },
    Explanation {
        text: "a system message between turns stands above the conversation, for models not known to take it there",
        holds: |difference, line, _| {
            let messages = line.request.body["messages"].as_array().into_iter().flatten();
            ["/messages", "/system"].contains(&difference.at.as_str())
                && messages.into_iter().any(|message| message["role"] == "system")
        },
    },
    Explanation {
        text: "what a vector is for stands in the text, for models that take it only there",
        holds: |difference, line, _| line.wire == "gemini-embed" && difference.at.starts_with("/requests/"),
    },
    Explanation {
        text: "a choice among tools is left out where there are none",
        holds: |difference, line, _| {
            difference.at == "/tool_choice"
                && difference.sent.is_null()
                && line.request.body["tools"].is_null()
        },
    },
    Explanation {
        text: "the address names the model, not the body",
        holds: |difference, line, _| difference.at == "/model" && line.request.path.contains("/model/"),
    },
    Explanation {
        text: "a document's name has only characters that the provider takes",
        holds: |difference, line, _| {
            line.wire == "bedrock-converse" && difference.at.ends_with("/document/name")
        },
    },
    Explanation {
        text: "an id of a call that the provider repeats goes back as it came, where the recorded client made it another",
        holds: |difference, _, _| {
            let (recorded, sent) = (difference.recorded.as_str(), difference.sent.as_str());
            difference.at.ends_with("/call_id")
                && recorded.zip(sent).is_some_and(|(made, own)| made.ends_with(own))
        },
    },
    Explanation {
        text: "a mark of what to cache stands where the earlier request had it",
        holds: |difference, _, _| {
            difference.at.ends_with("/content") && difference.sent.to_string().contains("cachePoint")
        },
    },
    Explanation {
        text: "usage is asked for in streams, so that costs are known",
        holds: |difference, _, _| {
            difference.at.starts_with("/stream_options") && difference.recorded.is_null()
        },
    },
];

/// Tells whether a value is what the provider takes where nothing is sent.
fn is_default(at: &str, value: &Value) -> bool {
    let name = at.rsplit('/').next().unwrap_or_default();
    match (name, value) {
        ("stream" | "prefix" | "thought" | "is_error", Value::Bool(false)) => true,
        ("role", Value::String(_)) => at == "/systemInstruction/role",
        ("type", Value::String(kind)) => kind == "message" || kind == "function",
        ("responseModalities", modalities) => modalities == &serde_json::json!(["TEXT"]),
        ("generationConfig", config) => config == &serde_json::json!({"responseModalities": ["TEXT"]}),
        ("toolConfig", config) => config == &serde_json::json!({"functionCallingConfig": {"mode": "AUTO"}}),
        ("tool_choice" | "detail", Value::String(text)) => text == "auto",
        ("toolChoice", choice) => choice == &serde_json::json!({"auto": {}}),
        ("tool_choice", choice) => choice == &serde_json::json!({"type": "auto"}),
        ("n" | "candidateCount", Value::Number(count)) => count.as_u64() == Some(1),
        ("index", Value::Number(_)) => at.contains("/tool_calls/"),
        _ => false,
    }
}
