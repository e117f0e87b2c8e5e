//! What is read, plain and streamed: both must give the same.

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::{ChatResponse, Error, ErrorKind, FinishReason, Message, Part, StreamEvent};
use serde_json::{Value, json};

use super::{CHAT, CohereChat, messages};
use crate::dialect::{Dialect as _, Origin};
use crate::driver::StreamReader;
use crate::rows;

fn origin() -> Origin {
    Origin::new(rows::find("cohere").unwrap(), format!("cohere:{CHAT}").parse().unwrap())
}

fn folded(events: Vec<StreamEvent>) -> Result<ChatResponse, Error> {
    let mut accumulator = Accumulator::new(origin().model);
    events.into_iter().try_for_each(|event| accumulator.push(event))?;
    accumulator.finish()
}

fn plain(body: &Value) -> Result<ChatResponse, Error> {
    folded(CohereChat.decode(body.to_string().as_bytes(), &origin())?)
}

fn streamed(events: &[Value]) -> Result<ChatResponse, Error> {
    let text: String = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("error")))
        .collect();
    let (mut out, mut reader) = (Vec::new(), StreamReader::new(&CohereChat, &Arc::new(origin())));
    reader.feed(text.as_bytes(), &mut out).and_then(|()| reader.finish(&mut out))?;
    folded(out)
}

fn delta(kind: &str, index: u64, message: Value) -> Value {
    json!({"type": kind, "index": index, "delta": {"message": message}})
}

fn end(reason: &str) -> Value {
    json!({"type": "message-end", "delta": {"finish_reason": reason}})
}

#[test]
fn plain_and_streamed_answers_read_the_same() {
    let usage = json!({
        "tokens": {"input_tokens": 506.0, "output_tokens": 30}, "billed_units": {"input_tokens": 11, "output_tokens": 9},
        "cached_tokens": 448,
    });
    let citation = json!({"start": 0, "end": 2, "text": "42", "sources": []});
    let function = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    let whole = json!({
        "id": "r1", "finish_reason": "TOOL_CALL", "usage": usage, "message": {
            "role": "assistant", "tool_plan": "I will add.", "citations": [citation],
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "42"}],
            "tool_calls": [
                {"id": "a_1", "type": "function", "function": function("add", "{\"x\":1}")},
                {"type": "function", "function": function("now", "")},
            ],
        },
    });
    let start = |block: Value| json!({"content": block});
    let events = [
        json!({"type": "message-start", "id": "r1", "delta": {"message": {"content": [], "tool_calls": [], "tool_plan": ""}}}),
        delta("content-start", 0, start(json!({"type": "thinking", "thinking": ""}))),
        delta("content-delta", 0, start(json!({"thinking": "hm"}))),
        json!({"type": "content-end", "index": 0}),
        json!({"type": "something-new", "index": "odd"}),
        delta("content-start", 1, start(json!({"type": "text", "text": "4"}))),
        delta("content-delta", 1, start(json!({"text": "2"}))),
        delta("citation-start", 0, json!({"citations": citation})),
        json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will "}}}),
        json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "add."}}}),
        delta("tool-call-start", 0, json!({"tool_calls": {"id": "a_1", "function": function("add", "")}})),
        delta("tool-call-start", 1, json!({"tool_calls": {"function": function("now", "")}})),
        delta("tool-call-delta", 0, json!({"tool_calls": {"function": {"arguments": "{\"x\""}}})),
        delta("tool-call-delta", 0, json!({"tool_calls": {"function": {"arguments": ":1}"}}})),
        json!({"type": "tool-call-end", "index": 0}),
        json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": usage}}),
    ];
    let answer = plain(&whole).unwrap();
    assert_eq!(streamed(&events).unwrap(), answer);
    assert_eq!((answer.text().as_str(), answer.message.reasoning_text().as_str()), ("42", "hm"));
    assert_eq!(answer.metadata["tool_plan"], "I will add.");
    assert_eq!(answer.metadata["citations"], json!([citation]));
    assert_eq!(answer.metadata["billed_tokens"], json!({"input": 11, "output": 9}));
    let counted = answer.usage.unwrap();
    assert_eq!((counted.input, counted.output, counted.cached_input), (506, 30, 448));
    let calls: Vec<_> =
        answer.message.tool_calls().map(|call| (call.minted, call.arguments.as_str())).collect();
    assert_eq!(calls, [(false, "{\"x\":1}"), (true, "")]);

    let (sent, _) = messages(CHAT, vec![answer.message, Message::user("Go on.")]);
    assert_eq!((&sent[0]["tool_plan"], &sent[0]["content"]), (&json!("I will add."), &json!("42")));
}

#[test]
fn every_reason_has_its_word() {
    for (reason, expected) in [
        ("COMPLETE", FinishReason::Stop),
        ("STOP_SEQUENCE", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::Length),
        ("TOOL_CALL", FinishReason::ToolCalls),
        ("ERROR", FinishReason::Other),
        ("TIMEOUT", FinishReason::Other),
        ("ERROR_TOXIC", FinishReason::ContentFilter),
    ] {
        for answer in [
            plain(&json!({"finish_reason": reason, "message": {"content": "a"}})).unwrap(),
            streamed(&[delta("content-delta", 0, json!({"content": "a"})), end(reason)]).unwrap(),
        ] {
            assert_eq!((answer.finish_reason, answer.raw_finish_reason.as_deref()), (expected, Some(reason)));
            assert_eq!(answer.message.parts, [Part::text("a")]);
        }
    }
    let only_billed = json!({"billed_units": {"input_tokens": 3, "output_tokens": 1}});
    let answer = plain(&json!({"message": {}, "usage": only_billed})).unwrap();
    assert_eq!((answer.finish_reason, answer.usage.unwrap().input), (FinishReason::Unknown, 3));
    assert_eq!(plain(&json!({"message": {}, "usage": {"tokens": null}})).unwrap().usage, None);
}

#[test]
fn errors_inside_answers_are_errors() {
    let text = || delta("content-delta", 0, json!({"content": {"text": "a"}}));
    let failed =
        json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "out of memory"}});
    for (read, kind, message) in [
        (streamed(&[text(), failed]), ErrorKind::Overloaded, "out of memory"),
        (
            streamed(&[text(), json!({"message": "internal server error"})]),
            ErrorKind::Overloaded,
            "internal server",
        ),
        (streamed(&[text()]), ErrorKind::Truncated, "broke off"),
        (plain(&json!({"message": "too many requests"})), ErrorKind::RateLimit, "too many requests"),
        (plain(&json!({"id": "x"})), ErrorKind::InvalidOutput, "no message"),
        (plain(&json!({"message": {"content": 7}})), ErrorKind::InvalidOutput, "cannot be read"),
    ] {
        let error = read.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
    let mut out = Vec::new();
    let mut reader = StreamReader::new(&CohereChat, &Arc::new(origin()));
    reader.feed(b"event: ping\ndata: hello\n\n", &mut out).unwrap();
    let error = reader.feed(b"event: content-delta\ndata: {nonsense}\n\n", &mut out).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOutput);
}
