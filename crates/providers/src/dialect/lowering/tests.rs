//! Which way is chosen, what is sent, and how answers come back.

use motet_core::accumulate::Accumulator;
use motet_core::message::Opaque;
use motet_core::request::ReasoningEffort;
use motet_core::{ChatResponse, FinishReason, StreamEvent};
use serde_json::json;

use super::*;
use crate::dialect::schema::SchemaRules;
use crate::dialect::{Dialect as _, NameRule};
use crate::dialects::openai_chat::OpenAiChat;

const BY_TOOL: Profile = Profile { json_output: JsonOutput::Tool, ..Profile::COMMON };
const BY_SCHEMA: Profile = Profile::COMMON;
const BY_OBJECT: Profile = Profile { json_output: JsonOutput::Object, ..Profile::COMMON };

fn number() -> Value {
    json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
}

fn asked(schema: Value, tools: &[&str]) -> ChatRequest {
    let messages = vec![Message::system("Be brief."), Message::user("A number?")];
    let mut request = ChatRequest::new("custom:m".parse().unwrap(), messages);
    request.output = Output::JsonSchema(JsonSchemaOutput { name: "number".into(), schema, strict: true });
    request.tools = tools.iter().map(|name| ToolSpec::new(*name, "", json!({"type": "object"}))).collect();
    request
}

/// How a lowered request asks for JSON: by schema or tools, which choice among them, and the instruction's first word.
fn way(request: &ChatRequest, profile: &Profile, delivery: Delivery) -> (String, Vec<String>) {
    let lowered = lower(request, profile, delivery);
    let sent = &lowered.request;
    let output = if sent.output == Output::Text { "text" } else { "schema" };
    let tools: Vec<&str> = sent.tools.iter().map(|tool| tool.name.as_str()).collect();
    let choice = match &sent.tool_choice {
        ToolChoice::Tool(name) => format!("tool {name}"),
        other => format!("{other:?}").to_lowercase(),
    };
    let system: Vec<String> = sent
        .messages
        .iter()
        .filter(|message| message.role == Role::System)
        .skip(1)
        .map(|message| message.visible_text().split(' ').next().unwrap_or_default().to_owned())
        .collect();
    let shown = format!("{output} [{}] {choice} {}", tools.join(","), system.join(","));
    (shown.trim_end().to_owned(), lowered.warnings)
}

#[test]
fn the_profile_chooses_the_way_and_obstacles_the_next_one() {
    let plain = || asked(number(), &[]);
    let tools = || asked(number(), &["add", "number"]);
    let choosing = |choice: ToolChoice| ChatRequest { tool_choice: choice, ..tools() };
    let thinking = || ChatRequest { reasoning_effort: Some(ReasoningEffort::Low), ..plain() };
    let unnamed = Profile { named_tool_choice: false, ..BY_TOOL };
    let neither = Profile { required_tool_choice: false, ..unnamed };
    let gentle = Profile { forced_while_thinking: false, ..BY_TOOL };
    let narrow = Profile { schema_with_tools: false, schema_streamed: false, ..BY_SCHEMA };
    let picky = Profile { schema: &SchemaRules::ANTHROPIC, ..BY_SCHEMA };
    let map = || asked(json!({"type": "object"}), &[]);
    let list = || asked(json!({"type": "array", "items": {"type": "string"}}), &[]);
    let words = Profile { json_output: JsonOutput::Instructions, ..Profile::COMMON };
    for (request, profile, expected, told) in [
        (plain(), &BY_SCHEMA, "schema [] auto", ""),
        (tools(), &BY_SCHEMA, "schema [add,number] auto", ""),
        (plain(), &BY_OBJECT, "schema [] auto Answer", ""),
        (tools(), &BY_OBJECT, "schema [add,number] auto When", ""),
        (plain(), &words, "text [] auto Answer", ""),
        (plain(), &BY_TOOL, "text [number] tool number", ""),
        (plain(), &unnamed, "text [number] required", ""),
        (plain(), &neither, "text [] auto Answer", "cannot be made to call a tool;"),
        (tools(), &BY_TOOL, "text [add,number,number2] required", ""),
        (tools(), &neither, "text [add,number,number2] auto Give", ""),
        (choosing(ToolChoice::None), &BY_TOOL, "text [add,number,number2] tool number2", ""),
        (choosing(ToolChoice::None), &unnamed, "text [number2] required", ""),
        (choosing(ToolChoice::Required), &BY_TOOL, "text [add,number] required", ""),
        (choosing(ToolChoice::Tool("add".into())), &BY_TOOL, "text [add,number] tool add", ""),
        (thinking(), &gentle, "text [] auto Answer", "while it thinks"),
        (thinking(), &BY_TOOL, "text [number] tool number", ""),
        (plain(), &Profile { tools: false, ..BY_TOOL }, "text [] auto Answer", "takes no tools"),
        (list(), &BY_TOOL, "text [] auto Answer", "root is no object"),
        (tools(), &narrow, "text [add,number,number2] required", "no JSON while tools are offered"),
        (plain(), &narrow, "schema [] auto", ""),
        (map(), &BY_SCHEMA, "schema [] auto", ""),
        (
            map(),
            &picky,
            "text [number] tool number",
            "Anthropic's structured output does not take the schema because",
        ),
        (list(), &picky, "text [] auto Answer", "its root is no object"),
    ] {
        let (shown, warnings) = way(&request, profile, Delivery::Plain);
        assert_eq!(shown, expected);
        assert_eq!(warnings.len(), usize::from(!told.is_empty()), "{expected}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains(told)), "{expected}: {warnings:?}");
    }
    let (shown, warnings) = way(&plain(), &narrow, Delivery::Streamed);
    assert_eq!((shown.as_str(), warnings.len()), ("text [number] tool number", 1));
    assert!(matches!(lower(&plain(), &BY_SCHEMA, Delivery::Plain).request, Cow::Borrowed(_)));
}

#[test]
fn names_of_the_tool_are_free_and_fit() {
    let short = Profile { tool_names: NameRule { max: 4, marks: "" }, ..BY_TOOL };
    let mut request = asked(number(), &["numb"]);
    if let Output::JsonSchema(output) = &mut request.output {
        output.name = "n_umber".into();
    }
    let sent = lower(&request, &short, Delivery::Plain);
    assert_eq!(sent.request.tools[1].name, "num2");
}

#[test]
fn what_is_sent_is_whole() {
    let node = json!({"$ref": "#/$defs/node", "$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}}}});
    let request = asked(node.clone(), &[]);
    let lowered = lower(&request, &BY_TOOL, Delivery::Plain);
    let parameters =
        json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "$defs": node["$defs"]});
    assert_eq!(lowered.request.tools[0].parameters, parameters);
    assert_eq!(lowered.request.parallel_tool_calls, Some(false));
    let merging = Profile { merge_system: true, ..BY_OBJECT };
    let lowered = lower(&request, &merging, Delivery::Plain);
    let sent = OpenAiChat.encode(&lowered.request, &merging, Delivery::Plain).unwrap();
    let mut sent: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(sent["response_format"], json!({"type": "json_object"}));
    assert_eq!(sent["messages"].as_array().unwrap().len(), 2);
    let system = sent["messages"][0]["content"].take();
    let expected =
        "Be brief.\n\nAnswer with one JSON value that satisfies this JSON schema, and with nothing else:\n";
    assert_eq!(system, format!("{expected}{node}"));
}

fn started(part: u32, name: &str) -> StreamEvent {
    StreamEvent::ToolCallStarted { part, id: format!("c{part}"), name: name.into(), minted: false }
}

fn arguments(part: u32, arguments: &str) -> StreamEvent {
    StreamEvent::ToolCallDelta { part, arguments: arguments.into() }
}

fn ended(part: u32) -> StreamEvent {
    StreamEvent::ToolCallEnded { part }
}

fn says(part: u32, text: &str) -> StreamEvent {
    StreamEvent::TextDelta { part, text: text.into() }
}

fn finished(reason: FinishReason) -> StreamEvent {
    StreamEvent::Finished { reason, raw: Some("raw".into()) }
}

fn signature(part: u32) -> StreamEvent {
    StreamEvent::PartOpaque { part, opaque: Opaque { provider: "custom".into(), payload: json!({"s": 1}) } }
}

/// Restores events that come in pieces of a size, and folds them.
fn restored(events: &[StreamEvent], size: usize) -> (ChatResponse, Vec<String>) {
    let mut restoring = Restoring::of_tool("number".into());
    let mut out = Vec::new();
    for piece in events.chunks(size) {
        let from = out.len();
        out.extend_from_slice(piece);
        restoring.apply(&mut out, from);
    }
    restoring.end(&mut out);
    let mut accumulator = Accumulator::new("custom:m".parse().unwrap());
    let mut warnings = Vec::new();
    for event in out {
        if let StreamEvent::Warning { message } = &event {
            warnings.push(message.clone());
        }
        accumulator.push(event).unwrap();
    }
    (accumulator.finish().unwrap(), warnings)
}

/// A whole call of a tool with its arguments in one piece.
fn call(part: u32, name: &str, text: &str) -> Vec<StreamEvent> {
    vec![started(part, name), arguments(part, text), ended(part)]
}

#[test]
fn the_calls_arguments_are_the_answer_in_whatever_pieces_they_come() {
    use FinishReason::{Length, Stop, ToolCalls};
    let thought = || vec![StreamEvent::ReasoningDelta { part: 0, text: "hm".into() }];
    let n = |part: u32| call(part, "number", "{\"n\":1}");
    let pieces = || vec![started(1, "number"), arguments(1, "{\"n\""), arguments(1, ":1}"), ended(1)];
    let signed = || vec![started(1, "number"), signature(1), arguments(1, ""), ended(1)];
    let mixed =
        || vec![started(0, "number"), started(1, "number"), arguments(1, "{}"), arguments(0, "{\"n\":1}")];
    for (events, end, text, calls, reason, warned) in [
        (pieces(), ToolCalls, "{\"n\":1}", 0, Stop, 0),
        ([thought(), signed()].concat(), ToolCalls, "{}", 0, Stop, 0),
        (vec![started(1, "number")], ToolCalls, "{}", 0, Stop, 0),
        (vec![says(0, "{\"n\":"), says(0, "2}"), signature(0)], Stop, "{\"n\":2}", 0, Stop, 0),
        ([vec![says(0, "Here: "), signature(0)], n(1)].concat(), ToolCalls, "{\"n\":1}", 0, Stop, 1),
        ([vec![says(0, " \n")], n(1)].concat(), ToolCalls, "{\"n\":1}", 0, Stop, 0),
        ([vec![says(0, "Look.")], call(1, "add", "{}")].concat(), ToolCalls, "Look.", 1, ToolCalls, 0),
        ([n(0), call(1, "add", "")].concat(), ToolCalls, "{\"n\":1}", 1, ToolCalls, 0),
        ([mixed(), vec![ended(1), ended(0)]].concat(), ToolCalls, "{\"n\":1}", 0, Stop, 0),
        (vec![started(0, "number"), arguments(0, "{\"n\"")], Length, "{\"n\"", 0, Length, 0),
        (vec![started(0, "number")], Length, "", 0, Length, 0),
    ] {
        let events = [events, vec![finished(end)]].concat();
        let (whole, warnings) = restored(&events, events.len());
        assert_eq!(
            (whole.text().as_str(), whole.finish_reason, warnings.len()),
            (text, reason, warned),
            "{events:?}"
        );
        assert_eq!(whole.message.tool_calls().count(), calls, "{events:?}");
        assert_eq!(whole.raw_finish_reason.as_deref(), Some("raw"));
        let keeps_signature = serde_json::to_string(&whole.message).unwrap().contains("\"s\"");
        assert_eq!(keeps_signature, events.contains(&signature(0)) && warned == 0, "{events:?}");
        for size in 1..events.len() {
            assert_eq!(restored(&events, size), (whole.clone(), warnings.clone()), "{events:?} by {size}");
        }
    }
}

#[test]
fn what_was_held_back_is_given_when_an_answer_breaks_off() {
    let mut restoring = Restoring::of_tool("number".into());
    let mut out = vec![says(0, "{\"n\"")];
    restoring.apply(&mut out, 0);
    assert_eq!(out, []);
    restoring.end(&mut out);
    assert_eq!(out, [says(0, "{\"n\"")]);
    let mut untouched = vec![says(0, "x"), started(1, "number")];
    Restoring::default().apply(&mut untouched, 0);
    assert_eq!(untouched, [says(0, "x"), started(1, "number")]);
}
