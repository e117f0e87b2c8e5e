//! Answers beside the recorded ones: blocks and errors that are rare, and that streams and plain answers are equal.

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::{ChatResponse, Error, ErrorKind, FinishReason, Part, Result, Retry, StreamEvent};
use serde_json::{Value, json};

use crate::dialect::{Decoder, Dialect as _, Origin};
use crate::dialects::bedrock_converse::BedrockConverse;
use crate::framing::Frame;
use crate::rows;

fn origin() -> Arc<Origin> {
    Arc::new(Origin::new(rows::find("bedrock").unwrap(), "bedrock:m".parse().unwrap()))
}

fn folded(events: Vec<StreamEvent>) -> Result<ChatResponse> {
    let mut accumulator = Accumulator::new(origin().model.clone());
    events.into_iter().try_for_each(|event| accumulator.push(event))?;
    accumulator.finish()
}

fn plain(body: &Value) -> Result<ChatResponse> {
    folded(BedrockConverse.decode(body.to_string().as_bytes(), &origin())?)
}

fn stream(frames: &[(&str, Value)]) -> Result<ChatResponse> {
    let (mut decoder, mut out): (Box<dyn Decoder>, _) = (BedrockConverse.decoder(&origin()), Vec::new());
    for (event, data) in frames {
        decoder.frame(Frame { event: Some(event), data: data.to_string().as_bytes() }, &mut out)?;
    }
    decoder.finish(&mut out)?;
    folded(out)
}

fn start(index: u32, start: &Value) -> (&'static str, Value) {
    ("contentBlockStart", json!({"contentBlockIndex": index, "start": start}))
}

fn delta(index: u32, delta: &Value) -> (&'static str, Value) {
    ("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}))
}

fn end(index: u32) -> (&'static str, Value) {
    ("contentBlockStop", json!({"contentBlockIndex": index}))
}

fn stop(reason: &str) -> (&'static str, Value) {
    ("messageStop", json!({"stopReason": reason, "additionalModelResponseFields": {"x": 1}}))
}

fn metadata() -> (&'static str, Value) {
    let usage = json!({"inputTokens": 5, "outputTokens": 7, "cacheReadInputTokenCount": 3, "cacheWriteInputTokens": 2});
    ("metadata", json!({"usage": usage, "metrics": {"latencyMs": 1}, "trace": null}))
}

/// The same answer as below, piece by piece.
fn pieces() -> Vec<(&'static str, Value)> {
    vec![
        ("messageStart", json!({"role": "assistant"})),
        delta(0, &json!({"reasoningContent": {"text": "hm "}})),
        delta(0, &json!({"reasoningContent": {"text": "hm"}})),
        delta(0, &json!({"reasoningContent": {"signature": "si"}})),
        delta(0, &json!({"reasoningContent": {"signature": "g"}})),
        end(0),
        delta(2, &json!({"reasoningContent": {"redactedContent": "c2VjcmV0"}})),
        end(2),
        ("pingOfTheFuture", json!({"contentBlockIndex": "?"})),
        delta(3, &json!({"text": "It is "})),
        delta(3, &json!({"citation": {"title": "T"}})),
        delta(3, &json!({"text": "so."})),
        end(3),
        start(4, &json!({"toolUse": {"toolUseId": "s", "name": "search", "type": "server_tool_use"}})),
        delta(4, &json!({"toolUse": {"input": "{\"q\""}})),
        delta(4, &json!({"toolUse": {"input": ":1}"}})),
        end(4),
        start(5, &json!({"toolResult": {"toolUseId": "s", "type": "found"}})),
        delta(5, &json!({"toolResult": [{"text": "a"}, {"text": "b"}]})),
        delta(5, &json!({"toolResult": [{"text": "c"}, {"json": {}}]})),
        end(5),
        start(6, &json!({"image": {"format": "png"}})),
        delta(6, &json!({"image": {"source": {"bytes": "AA=="}}})),
        delta(6, &json!({"image": {"source": {"bytes": "AQI="}}})),
        end(6),
        start(9, &json!({"toolUse": {"toolUseId": "c", "name": "add"}})),
        delta(9, &json!({"toolUse": {"input": "{\"x\":1}"}})),
        end(9),
        start(10, &json!({"toolUse": {"toolUseId": "d", "name": "now"}})),
        stop("tool_use"),
        metadata(),
    ]
}

#[test]
fn a_plain_answer_and_a_stream_say_the_same() {
    let whole = json!({
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm hm", "signature": "sig"}}},
            {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
            {"citationsContent": {"content": [{"text": "It is "}, {"text": "so."}], "citations": [{"title": "T"}]}},
            {"toolUse": {"toolUseId": "s", "name": "search", "type": "server_tool_use", "input": {"q": 1}}},
            {"toolResult": {"toolUseId": "s", "type": "found", "content": [{"text": "abc"}, {"json": {}}]}},
            {"image": {"format": "png", "source": {"bytes": "AAEC"}}},
            {"toolUse": {"toolUseId": "c", "name": "add", "input": {"x":1}}},
            {"toolUse": {"toolUseId": "d", "name": "now"}},
        ]}},
        "stopReason": "tool_use", "additionalModelResponseFields": {"x": 1}, "metrics": {"latencyMs": 1},
        "usage": {"inputTokens": 5, "outputTokens": 7, "cacheReadInputTokenCount": 3, "cacheWriteInputTokens": 2},
    });
    let streamed = stream(&pieces()).unwrap();
    let mut plain = plain(&whole).unwrap();
    // The order of fields that a server tool's call came in is kept, so that it goes back byte for byte.
    if let Part::Native { opaque } = &mut plain.message.parts[3] {
        let fields = opaque.payload["toolUse"].as_object_mut().unwrap();
        let input = fields.shift_remove("input").unwrap();
        fields.insert("input".to_owned(), input);
    }
    assert_eq!(plain.message, streamed.message);
    assert_eq!((plain.usage, &plain.metadata), (streamed.usage, &streamed.metadata));
    assert_eq!(streamed.finish_reason, FinishReason::ToolCalls);
    assert_eq!(streamed.text(), "It is so.");
    let usage = streamed.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.cached_input, usage.cache_write), (10, 7, 3, 2));
    let facts: Vec<&str> = streamed.metadata.keys().map(String::as_str).collect();
    assert_eq!(facts, ["additionalModelResponseFields", "metrics", "citations"]);
}

#[test]
fn a_block_that_changes_its_nature_or_comes_again_becomes_parts_of_its_own() {
    let answer = stream(&[
        delta(0, &json!({"reasoningContent": {"text": "hm"}})),
        delta(0, &json!({"text": "a"})),
        start(0, &json!({"toolUse": {"toolUseId": "1", "name": "add"}})),
        start(0, &json!({"toolUse": {"toolUseId": "2", "name": "add"}})),
        delta(0, &json!({"toolUse": {"input": "{}"}})),
        stop("end_turn"),
    ])
    .unwrap();
    let calls: Vec<(&str, &str)> =
        answer.message.tool_calls().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
    assert_eq!((answer.message.parts.len(), calls), (4, vec![("1", ""), ("2", "{}")]));
    assert_eq!((answer.finish_reason, answer.usage), (FinishReason::ToolCalls, None));
}

#[test]
fn every_stop_reason_has_its_word() {
    for (raw, expected) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("tool_use", FinishReason::ToolCalls),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("guardrail_intervened", FinishReason::ContentFilter),
        ("content_filtered", FinishReason::ContentFilter),
        ("malformed_model_output", FinishReason::Other),
        ("malformed_tool_use", FinishReason::Other),
    ] {
        let answer = plain(&json!({"output": {"message": {"content": []}}, "stopReason": raw})).unwrap();
        assert_eq!((answer.finish_reason, answer.raw_finish_reason.as_deref()), (expected, Some(raw)));
    }
    let answer = plain(&json!({"output": {"message": {"content": [{"text": "a"}]}}, "usage": null})).unwrap();
    assert_eq!((answer.finish_reason, answer.usage), (FinishReason::Unknown, None));
}

#[test]
fn errors_are_told_wherever_they_come() {
    let kind = |result: Result<ChatResponse>| {
        let error: Error = result.unwrap_err();
        (error.kind(), error.retry() == Retry::Backoff, error.message().to_owned())
    };
    for (event, data, expected) in [
        (
            "exception:throttlingException",
            json!({"message": "slow down"}),
            (ErrorKind::RateLimit, true, "slow down".to_owned()),
        ),
        (
            "exception:validationException",
            json!({"message": "Input is too long for requested model."}),
            (ErrorKind::TokenLimit, false, "Input is too long for requested model.".to_owned()),
        ),
        (
            "exception:modelStreamErrorException",
            json!({"message": null, "originalMessage": "bad tool", "originalStatusCode": 400}),
            (ErrorKind::InvalidRequest, false, "bad tool".to_owned()),
        ),
        (
            "exception:internalServerException",
            json!("oops"),
            (ErrorKind::Overloaded, true, "\"oops\"".to_owned()),
        ),
    ] {
        assert_eq!(kind(stream(&[delta(0, &json!({"text": "a"})), (event, data)])), expected);
    }
    let body = json!({"Output": {"__type": "x#UnknownOperationException"}, "Version": "1.0"});
    assert_eq!(kind(plain(&body)), (ErrorKind::InvalidOutput, false, "the answer has no message".to_owned()));
    assert_eq!(kind(plain(&json!({"message": "Too many requests"}))).0, ErrorKind::RateLimit);
    let cut = [delta(0, &json!({"text": "a"})), end(0), metadata()];
    assert_eq!(kind(stream(&cut)).0, ErrorKind::Truncated);
    let orphan = [delta(0, &json!({"toolUse": {"input": "{}"}}))];
    assert_eq!(kind(stream(&orphan)).0, ErrorKind::InvalidOutput);
}
