//! Where a reading differs from what is expected of it.

use motet_core::message::{Reasoning, ToolCall};
use motet_core::{ChatResponse, Error, ErrorKind, Message, Part, Usage};
use serde_json::{Map, Value};

use super::{Line, Outcome};

/// Gives every difference between an outcome and what the line expects, in words.
#[must_use]
pub fn differences(line: &Line, outcome: &Outcome) -> Vec<String> {
    let expect = &line.expect;
    let mut found = Vec::new();
    match (&outcome.result, expect["outcome"].as_str()) {
        (Ok(response), Some("ok")) => {
            let raw = response.raw_finish_reason.clone().unwrap_or_default();
            differ(&mut found, "finish", &raw, expect["finish"].as_str().unwrap_or_default());
            for (name, value) in [("id", &response.response_id), ("model", &response.served_model)] {
                let value = value.clone().unwrap_or_default();
                differ(&mut found, name, &value, expect[name].as_str().unwrap_or_default());
            }
            compare_facts(&mut found, response, expect);
        }
        (Err(error), Some("error")) => compare_error(&mut found, error, &expect["error"]),
        (Ok(_), _) => found.push("it was read without the error that was expected".to_owned()),
        // A stream that broke off is told as what it is; what arrived is compared all the same.
        (Err(error), _) if broke_off(expect) && error.kind() == ErrorKind::Truncated => {}
        (Err(error), _) => found.push(format!("it failed: {error}")),
    }
    if expect.get("text").is_some() {
        let compare = if tells_no_places(line) { compare_last_item } else { compare_message };
        compare(&mut found, &outcome.message, expect);
        compare_usage(&mut found, line, outcome.usage);
    }
    found
}

/// Tells whether the recorded stream has neither an end marker nor a reason to finish.
fn broke_off(expect: &Value) -> bool {
    expect["stream"]["terminal"] == false && expect["stream"]["finished"] == false
}

pub(super) fn differ<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    found: &mut Vec<String>,
    what: &str,
    got: &T,
    expected: U,
) {
    if *got != expected {
        found.push(format!("{what} is {got:?} and should be {expected:?}"));
    }
}

pub(super) fn compare_error(found: &mut Vec<String>, error: &Error, expect: &Value) {
    let message = expect["message"].as_str().unwrap_or_default().trim();
    if !tells(error.message(), message) {
        differ(found, "error message", &error.message(), message);
    }
    if expect["in_stream"] != true {
        differ(found, "error status", &error.status().map(u64::from), expect["status"].as_u64());
    }
    for name in ["code", "type", "param"] {
        let got = error.context().iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let expected = match &expect[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            other => Some(other.to_string()),
        };
        // Of an error inside a stream, and of one without a field `error`, `expect` leaves the field complained of out.
        if name == "param" && expected.is_none() {
            continue;
        }
        differ(found, name, &got, expected);
    }
}

/// Tells whether a message for people says what the expected one says, which is the body as it came where that has no
/// text in a usual place: nothing, a web page, or the JSON of complaints. A long message may be cut.
fn tells(message: &str, expected: &str) -> bool {
    if let Some(start) = message.strip_suffix('…').filter(|start| start.len() > 1_000) {
        return expected.starts_with(start);
    }
    if expected.starts_with('<') {
        return message.split('`').nth(1).is_none_or(|title| expected.contains(title));
    }
    match serde_json::from_str::<Value>(expected) {
        _ if expected.is_empty() => true,
        Ok(complaint @ (Value::Array(_) | Value::Object(_))) => {
            let texts = texts_in(&complaint);
            !texts.is_empty() && texts.iter().all(|text| message.contains(text))
        }
        _ => message == expected,
    }
}

/// Gives the texts for people in the JSON of complaints.
fn texts_in(complaint: &Value) -> Vec<&str> {
    match complaint {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(texts_in).collect(),
        Value::Object(fields) => {
            let texts = ["msg", "message", "detail"].into_iter().filter_map(|name| fields.get(name));
            texts.flat_map(texts_in).collect()
        }
        _ => Vec::new(),
    }
}

fn compare_message(found: &mut Vec<String>, message: &Message, expect: &Value) {
    differ(found, "text", &message.visible_text(), expect["text"].as_str().unwrap_or_default());
    compare_refusal_and_reasoning(found, message, expect);
    let expected = expected_calls(expect);
    let calls: Vec<&ToolCall> = message.tool_calls().collect();
    differ(found, "number of tool calls", &calls.len(), expected.len());
    for (call, expected) in calls.iter().zip(expected) {
        compare_call(found, call, expected);
    }
}

/// Compares with the last item alone: `expect` counts items by their places, so of a stream that tells no places it
/// knows no other.
fn compare_last_item(found: &mut Vec<String>, message: &Message, expect: &Value) {
    let (text, last) = (message.visible_text(), expect["text"].as_str().unwrap_or_default());
    if !text.ends_with(last) {
        differ(found, "text", &text, last);
    }
    if !expect["reasoning"].is_null() || !expect["refusal"].is_null() {
        compare_refusal_and_reasoning(found, message, expect);
    }
    let calls: Vec<&ToolCall> = message.tool_calls().collect();
    for (call, expected) in calls.iter().rev().zip(expected_calls(expect).iter().rev()) {
        compare_call(found, call, expected);
    }
    if calls.is_empty() && !expected_calls(expect).is_empty() {
        found.push("the last item's call is lost".to_owned());
    }
}

/// Tells whether a stream of items says nothing of their places.
fn tells_no_places(line: &Line) -> bool {
    let body = line.response.body.as_str().unwrap_or_default();
    line.wire == "openai-responses"
        && body.contains("response.output_item.added")
        && !body.contains("\"output_index\"")
}

fn expected_calls(expect: &Value) -> &[Value] {
    expect["tool_calls"].as_array().map_or(&[], Vec::as_slice)
}

fn compare_refusal_and_reasoning(found: &mut Vec<String>, message: &Message, expect: &Value) {
    let refusal: String = message
        .parts
        .iter()
        .filter_map(|part| if let Part::Refusal { text } = part { Some(text.as_str()) } else { None })
        .collect();
    differ(found, "refusal", &refusal, expect["refusal"].as_str().unwrap_or_default());
    // What goes back to the provider is kept of whole answers only.
    let is_whole = expect["outcome"] == "ok" && !broke_off(expect);
    compare_reasoning(found, message, &expect["reasoning"], is_whole);
}

/// Compares what has no field of its own: hosted tools' blocks, citations, log probabilities, the stop text that was met.
fn compare_facts(found: &mut Vec<String>, response: &ChatResponse, expect: &Value) {
    let fact = |names: &[&str]| names.iter().any(|name| response.metadata.contains_key(*name));
    // Steps that only repeat what was asked are no tools.
    let echoes = ["user_input", "function_result"];
    let is_hosted = |kind: &&Value| !echoes.iter().any(|echo| **kind == *echo);
    let hosted = expect["server_tools"].as_array().map_or(0, |kinds| kinds.iter().filter(is_hosted).count());
    let native = response.message.parts.iter().filter(|part| is_block(part)).count();
    if hosted > 0 && !fact(&["executed_tools"]) {
        differ(found, "number of hosted tools' blocks", &native, hosted);
    }
    for (what, names, expected) in [
        (
            "citations",
            &["citations", "annotations", "citation_metadata"][..],
            expect["citations"].as_u64().unwrap_or(0) > 0,
        ),
        ("log probabilities", &["logprobs"], expect["logprobs"] == true),
        (
            "grounding",
            &["grounding", "grounding_metadata", "url_context_metadata"],
            expect["grounding"] == true,
        ),
    ] {
        if expected && !fact(names) {
            found.push(format!("{what} are lost"));
        }
    }
    if let Some(text) = expect["stop_sequence"].as_str() {
        let told = response.metadata.get("stop_sequence").and_then(Value::as_str);
        differ(found, "the stop text that was met", &told, Some(text));
    }
}

/// Tells whether a part is a hosted tool's block, rather than the name of the container that tools run in, a file that
/// was made, or the signature of one.
fn is_block(part: &Part) -> bool {
    let Part::Native { opaque } = part else { return false };
    let payload = &opaque.payload;
    let is_file = payload.get("inlineData").or_else(|| payload.get("fileData")).is_some();
    let is_signature = payload.as_object().is_some_and(|fields| fields.keys().eq(["thoughtSignature"]));
    payload["type"] != "container" && !is_file && !is_signature
}

fn compare_reasoning(found: &mut Vec<String>, message: &Message, expect: &Value, is_whole: bool) {
    let text = message.reasoning_text();
    let characters = text.chars().count();
    differ(found, "reasoning length", &(characters as u64), expect["chars"].as_u64().unwrap_or(0));
    let head: String = text.chars().take(160).collect();
    let tail: String = text.chars().skip(characters.saturating_sub(60)).collect();
    differ(found, "reasoning head", &head, expect["head"].as_str().unwrap_or_default());
    differ(found, "reasoning tail", &tail, expect["tail"].as_str().unwrap_or_default());
    let hidden = message.parts.iter().any(|part| match part {
        Part::Reasoning(Reasoning { opaque: Some(opaque), .. }) => holds_secret(&opaque.payload),
        // Gemini signs any part, whatever it holds.
        Part::Text { opaque: Some(opaque), .. }
        | Part::ToolCall(ToolCall { opaque: Some(opaque), .. })
        | Part::Native { opaque } => {
            ["thoughtSignature", "signature"].iter().any(|name| opaque.payload.get(name).is_some())
        }
        _ => false,
    });
    if is_whole {
        differ(found, "hidden reasoning", &hidden, expect["opaque"].as_u64().unwrap_or(0) > 0);
    }
}

/// Tells whether a payload holds something that only the provider can read.
fn holds_secret(payload: &Value) -> bool {
    const NAMES: [&str; 6] = [
        "data",
        "signature",
        "thoughtSignature",
        "reasoning_opaque",
        "reasoning_encrypted",
        "encrypted_content",
    ];
    match payload {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            (NAMES.contains(&name.as_str()) && !value.is_null() && value != "") || holds_secret(value)
        }),
        Value::Array(list) => list.iter().any(holds_secret),
        _ => false,
    }
}

fn compare_call(found: &mut Vec<String>, call: &ToolCall, expect: &Value) {
    let id = if call.minted { None } else { Some(call.id.as_str()) };
    differ(found, "call id", &id, expect["id"].as_str().filter(|id| !id.is_empty()));
    differ(found, "call name", &call.name.as_str(), expect["name"].as_str().unwrap_or_default());
    if let Some(text) = expect["input_text"].as_str() {
        return differ(found, "call input", &call.arguments.as_str(), text);
    }
    if let Some(raw) = expect["arguments_raw"].as_str() {
        differ(found, "raw arguments", &call.arguments.as_str(), raw);
    }
    let arguments = call.parsed_arguments().ok();
    let expected = if expect["arguments_broken"] == true { None } else { Some(expect["arguments"].clone()) };
    differ(found, "arguments", &arguments, expected);
}

fn compare_usage(found: &mut Vec<String>, line: &Line, usage: Option<Usage>) {
    let empty = Map::new();
    let expect = line.expect.get("usage").and_then(Value::as_object).unwrap_or(&empty);
    differ(found, "presence of usage", &usage.is_some(), !expect.is_empty());
    let Some(usage) = usage else { return };
    let count = |name: &str| expect.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (input, output) = whole(line, &count);
    for (name, got, expected) in [
        ("input", usage.input, input),
        ("output", usage.output, output),
        ("cached", usage.cached_input, count("cached")),
        ("cache_write", usage.cache_write, count("cache_write")),
        ("reasoning", usage.reasoning, count("reasoning")),
    ] {
        if got > expected && vanished(line, name) {
            continue;
        }
        differ(found, &format!("usage {name}"), &got, expected);
    }
}

/// Tells whether a count was told in a stream, but not by the last of its usage objects, which is all that `expect` has.
fn vanished(line: &Line, name: &str) -> bool {
    const COUNTS: [(&str, &str, &str); 5] = [
        ("input", "input", "promptTokenCount"),
        ("input", "tool_use", "toolUsePromptTokenCount"),
        ("output", "output", "candidatesTokenCount"),
        ("output", "reasoning", "thoughtsTokenCount"),
        ("cached", "cached", "cachedContentTokenCount"),
    ];
    let body = line.response.body.as_str().unwrap_or_default();
    let gone = |(_, field, key): &(&str, &str, &str)| {
        line.expect["usage"].get(*field).is_none() && body.contains(&format!("\"{key}\""))
    };
    let of_name = |(of, field, _): &&(&str, &str, &str)| *of == name || *field == name;
    line.wire == "gemini-generate" && COUNTS.iter().filter(of_name).any(gone)
}

/// Gives input with cached and output with reasoning tokens, whatever the wire counts apart; as the corpus describes it.
fn whole(line: &Line, count: &dyn Fn(&str) -> u64) -> (u64, u64) {
    let (input, output) = (count("input"), count("output"));
    let expects = |name: &str| line.expect["usage"].get(name).is_some();
    match line.wire.as_str() {
        "anthropic-messages" | "bedrock-converse" => (input + count("cached") + count("cache_write"), output),
        "gemini-generate" | "gemini-interactions" => (input + count("tool_use"), output + count("reasoning")),
        // Where the provider tells only what is paid for, that is all there is.
        "cohere-chat" if !expects("input") && !expects("output") => {
            (count("billed_input"), count("billed_output"))
        }
        _ if line.origin().is_ok_and(|origin| origin.profile.reasoning_outside_output) => {
            (input, output + count("reasoning"))
        }
        _ => (input, output),
    }
}
