//! What is sent for what is asked, and what answers become.

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::message::{Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, ChatResponse, Delivery, Error, ErrorKind, FinishReason, Message, Part, Role};
use serde_json::{Value, json};

use super::GeminiInteractions;
use crate::dialect::{Dialect as _, Origin};
use crate::driver::StreamReader;
use crate::rows;

const ROW: &str = "gemini-interactions";

fn origin() -> Arc<Origin> {
    let model = format!("{ROW}:gemini-3-flash-preview").parse().unwrap();
    Arc::new(Origin::new(rows::find(ROW).unwrap(), model))
}

fn fold(events: Vec<motet_core::StreamEvent>) -> ChatResponse {
    let mut accumulator = Accumulator::new(origin().model.clone());
    events.into_iter().for_each(|event| accumulator.push(event).unwrap());
    accumulator.finish().unwrap()
}

fn plain(body: &Value) -> Result<ChatResponse, Error> {
    GeminiInteractions.decode(body.to_string().as_bytes(), &origin()).map(fold)
}

fn streamed(events: &[Value]) -> Result<ChatResponse, Error> {
    let origin = origin();
    let mut reader = StreamReader::new(&GeminiInteractions, &origin);
    let mut out = Vec::new();
    for event in events {
        reader.feed(format!("data: {event}\n\n").as_bytes(), &mut out)?;
    }
    reader.finish(&mut out)?;
    Ok(fold(out))
}

fn sent(request: &ChatRequest) -> (Value, Vec<String>) {
    let sent = GeminiInteractions.encode(request, &origin().profile, Delivery::Streamed).unwrap();
    assert_eq!(sent.path, "/interactions?alt=sse");
    (serde_json::from_slice(&sent.body).unwrap(), sent.warnings)
}

#[test]
fn steps_become_parts_alike_in_plain_and_streamed_answers_and_go_back_as_they_came() {
    let steps = json!([
        {"type": "thought", "signature": "s1", "summary": [{"type": "text", "text": "hm"}]},
        {"type": "code_execution_call", "id": "x", "arguments": {"code": "1"}, "signature": "s2"},
        {"type": "model_output", "content": [{"type": "text", "text": "one two"}]},
        {"type": "function_call", "id": "c1", "name": "f", "arguments": {"a": 1}, "signature": "s3"},
        {"type": "function_call", "id": "c2", "name": "g", "arguments": {}},
    ]);
    let usage = json!({
        "total_input_tokens": 8, "total_output_tokens": 3, "total_thought_tokens": 41, "total_cached_tokens": 2,
        "total_tool_use_tokens": 5, "total_tokens": 57,
    });
    let ends = json!({"id": "v1", "model": "m", "status": "requires_action", "usage": usage});
    let mut whole = ends.clone();
    whole["steps"] = steps.clone();
    let response = plain(&whole).unwrap();
    assert_eq!((response.finish_reason, response.text().as_str()), (FinishReason::ToolCalls, "one two"));
    let counted = response.usage.unwrap();
    assert_eq!((counted.input, counted.output, counted.cached_input, counted.reasoning), (13, 44, 2, 41));
    let request =
        ChatRequest::new(response.model.clone(), vec![Message::user("q"), response.message.clone()]);
    let (body, warnings) = sent(&request);
    assert_eq!(body["input"].as_array().unwrap()[1..], steps.as_array().unwrap()[..]);
    assert_eq!(warnings, [] as [&str; 0]);
    let event = |name: &str, index: i64, key: &str, value: Value| json!({"event_type": name, "index": index, key: value});
    let start = |index, step| event("step.start", index, "step", step);
    let delta = |index, delta| event("step.delta", index, "delta", delta);
    let events = [
        json!({"event_type": "interaction.created", "interaction": {"id": "v1", "status": "in_progress"}}),
        json!({"event_type": "interaction.status_update", "status": "in_progress"}),
        start(0, json!({"type": "thought"})),
        delta(0, json!({"type": "thought_summary", "content": {"type": "text", "text": "hm"}})),
        delta(0, json!({"type": "thought_signature", "signature": "s1"})),
        start(1, json!({"type": "code_execution_call", "id": "x"})),
        delta(1, json!({"type": "code_execution_call", "arguments": {"code": "1"}, "signature": "s2"})),
        event("step.stop", 1, "x", Value::Null),
        start(2, json!({"type": "model_output"})),
        delta(2, json!({"type": "text", "text": "one "})),
        delta(2, json!({"type": "text", "text": "two"})),
        start(
            3,
            json!({"type": "function_call", "id": "c1", "name": "f", "arguments": {}, "signature": "s3"}),
        ),
        // A piece of arguments may name the place of the thought.
        delta(0, json!({"type": "arguments_delta", "arguments": "{\"a\""})),
        delta(3, json!({"type": "arguments_delta", "partial_arguments": ":1}"})),
        start(4, json!({"type": "function_call", "id": "c2", "name": "g", "arguments": {}})),
        json!({"event_type": "interaction.completed", "interaction": ends}),
    ];
    assert_eq!(streamed(&events).unwrap(), response);
    let cut = streamed(&events[..events.len() - 1]).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Truncated);
}

#[test]
fn an_error_event_is_told() {
    let failed = json!({"event_type": "error", "error": {"code": 429, "message": "slow down"}});
    let error = streamed(&[failed]).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimit, "slow down"));
    assert_eq!(
        plain(&json!({"error": {"code": 503, "message": "m"}})).unwrap_err().kind(),
        ErrorKind::Overloaded
    );
    // No shape of JSON may break the reading.
    for odd in [json!({"id": "v1"}), json!([1]), json!("text"), Value::Null] {
        assert_eq!(plain(&odd).unwrap_err().kind(), ErrorKind::InvalidOutput);
        let delta = json!({"event_type": "step.delta", "delta": odd});
        assert_eq!(streamed(&[odd, delta]).unwrap_err().kind(), ErrorKind::Truncated);
    }
}

#[test]
fn options_and_tools_are_sent_by_their_names() {
    let messages = vec![Message::system("Be brief."), Message::user("Hi")];
    let mut request = ChatRequest::new(origin().model.clone(), messages);
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    request.tools = vec![ToolSpec::new("f", "Does it.", schema.clone())];
    request.tool_choice = ToolChoice::Tool("f".into());
    request.output =
        Output::JsonSchema(JsonSchemaOutput { name: "out".into(), schema: schema.clone(), strict: true });
    request.sampling.temperature = Some(0.5);
    request.sampling.top_k = Some(4);
    request.max_tokens = Some(9);
    request.stop = vec!["END".into()];
    request.reasoning_effort = Some(ReasoningEffort::Low);
    request.extra =
        json!({"generation_config": {"temperature": 1}, "store": true}).as_object().unwrap().clone();
    let expected = json!({
        "model": "gemini-3-flash-preview", "store": true, "stream": true, "system_instruction": "Be brief.",
        "input": [{"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}],
        "tools": [{"type": "function", "name": "f", "description": "Does it.", "parameters": schema}],
        "response_format": {"type": "text", "mime_type": "application/json", "schema": schema},
        "generation_config": {
            "temperature": 1, "max_output_tokens": 9, "stop_sequences": ["END"], "thinking_level": "low",
            "thinking_summaries": "auto", "tool_choice": {"allowed_tools": {"mode": "any", "tools": ["f"]}},
        },
    });
    assert_eq!(sent(&request), (expected, vec!["the model does not accept `top_k`; left out".to_owned()]));
}

#[test]
fn a_foreign_history_is_sent_plain() {
    let foreign = |payload| Some(Opaque { provider: "other".into(), payload });
    let call = ToolCall {
        id: "toolu_1".into(),
        name: "f".into(),
        arguments: "{\"a\":1}".into(),
        minted: false,
        opaque: None,
    };
    let reasoning = Reasoning { text: "hm".into(), opaque: foreign(json!({"signature": "s"})) };
    let result =
        ToolResult { id: "toolu_1".into(), name: "f".into(), content: vec![Part::text("1")], is_error: true };
    let messages = vec![
        Message::user("q"),
        Message { role: Role::Assistant, parts: vec![Part::Reasoning(reasoning), Part::ToolCall(call)] },
        Message::tool(vec![result]),
    ];
    let (body, warnings) = sent(&ChatRequest::new(origin().model.clone(), messages));
    let expected = json!([
        {"type": "user_input", "content": [{"type": "text", "text": "q"}]},
        {
            "type": "function_call", "id": "toolu_1", "name": "f", "arguments": {"a": 1},
            "signature": "skip_thought_signature_validator",
        },
        {
            "type": "function_result", "call_id": "toolu_1", "name": "f", "is_error": true,
            "result": [{"type": "text", "text": "1"}],
        },
    ]);
    assert_eq!((body["input"].clone(), warnings.len()), (expected, 2));
}
