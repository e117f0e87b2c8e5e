//! Answers and the forms in which servers and gateways send them.

use motet_core::{ErrorKind, FinishReason, Part, Usage};
use serde_json::{Value, json};

use super::*;

/// Reads a stream of one text and then these events.
fn after_text(more: &[(&str, &str)]) -> (String, Result<ChatResponse, Error>) {
    let begun = [start(json!({"input_tokens": 3})), block(0, json!({"type": "text", "text": "Hel"}))];
    let mut all: Vec<(&str, String)> = begun.iter().map(|event| ("", event.to_string())).collect();
    all.push(("", delta(0, json!({"type": "text_delta", "text": "lo"})).to_string()));
    all.extend(more.iter().map(|(name, data)| (*name, (*data).to_owned())));
    let (message, result) = frames(&all);
    (message.visible_text(), result)
}

#[test]
fn a_stream_ends_at_its_mark_and_not_before() {
    const DELTA: (&str, &str) = ("", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#);
    const STOP: (&str, &str) = (
        "message_stop",
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1}}"#,
    );
    const DONE: (&str, &str) = ("data", "[DONE]");
    const PING: (&str, &str) = ("ping", "no JSON at all");
    const NEW: (&str, &str) = ("", r#"{"type":"moon_phase","index":"full"}"#);
    for (more, whole) in [
        (&[DELTA, STOP][..], true),
        (&[PING, NEW, DELTA, STOP, DONE], true),
        (&[DELTA, STOP, ("", "rubbish after the end")], true),
        (&[DELTA, DONE], true),
        (&[DELTA], true),
        (&[DONE], false),
        (&[PING], false),
        (&[], false),
    ] {
        let (text, result) = after_text(more);
        assert_eq!(text, "Hello");
        match result {
            Ok(response) => assert!(whole && response.finish_reason == FinishReason::Stop, "{more:?}"),
            Err(error) => assert!(!whole && error.kind() == ErrorKind::Truncated, "{more:?}: {error}"),
        }
    }
}

#[test]
fn an_error_in_a_stream_is_told_with_what_came_before() {
    for (event, data, kind, message) in [
        (
            "error",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            ErrorKind::Overloaded,
            "Overloaded",
        ),
        ("error", r#"{"error":{"type":"rate_limit_error","message":"slow"}}"#, ErrorKind::RateLimit, "slow"),
        (
            "",
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens"}}"#,
            ErrorKind::TokenLimit,
            "prompt is too long: 9 tokens",
        ),
        (
            "",
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"odd"}}"#,
            ErrorKind::InvalidRequest,
            "odd",
        ),
        ("", r#"{"error":{"type":"api_error","message":"oh"}}"#, ErrorKind::Overloaded, "oh"),
        (
            "error",
            r#"{"type":"error"}"#,
            ErrorKind::Overloaded,
            "`anthropic` reported an error without a message",
        ),
        ("content_block_delta", "{broken}", ErrorKind::InvalidOutput, ""),
    ] {
        let (text, result) = after_text(&[(event, data)]);
        let error = result.unwrap_err();
        assert_eq!((text.as_str(), error.kind()), ("Hello", kind), "{data}");
        assert!(message.is_empty() || error.message() == message, "{data}: {error}");
    }
}

#[test]
fn what_stands_in_the_beginning_of_the_message_is_read_once() {
    let text = json!({"type": "text", "text": "Hel"});
    let call = json!({"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}});
    let mut begun = start(json!({"input_tokens": 3}));
    begun["message"]["content"] = json!([text, call]);
    let more = delta(0, json!({"type": "text_delta", "text": "lo"}));
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}});
    for again in [vec![], vec![block(0, text)]] {
        let events = [vec![begun.clone()], again, vec![more.clone(), end.clone()]].concat();
        let response = streamed(&events).unwrap();
        assert_eq!(response.text(), "Hello");
        let calls: Vec<&str> = response.message.tool_calls().map(|call| call.arguments.as_str()).collect();
        assert_eq!(calls, [r#"{"a":1}"#]);
    }
}

#[test]
fn a_plain_body_that_is_no_answer_is_an_error() {
    for (body, kind) in [
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
            ErrorKind::Overloaded,
        ),
        (json!({"type": "message", "id": "msg_1"}), ErrorKind::InvalidOutput),
        (json!({"content": "text"}), ErrorKind::InvalidOutput),
    ] {
        assert_eq!(plain(&body).unwrap_err().kind(), kind, "{body}");
    }
    let cut = AnthropicMessages.decode(br#"{"content":[{"type":"te"#, &origin(MODEL)).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Truncated);
    assert_eq!(plain(&json!({"content": [], "stop_reason": "end_turn"})).unwrap().message.parts, []);
}

#[test]
fn every_reason_has_its_meaning() {
    let called = json!({"type": "tool_use", "id": "t", "name": "n", "input": {}});
    for (reason, content, expected) in [
        (json!("end_turn"), json!([]), FinishReason::Stop),
        (json!("stop_sequence"), json!([]), FinishReason::Stop),
        (json!("max_tokens"), json!([]), FinishReason::Length),
        (json!("model_context_window_exceeded"), json!([]), FinishReason::Length),
        (json!("tool_use"), json!([called]), FinishReason::ToolCalls),
        (json!("end_turn"), json!([called]), FinishReason::ToolCalls),
        (json!("pause_turn"), json!([]), FinishReason::Paused),
        (json!("refusal"), json!([]), FinishReason::ContentFilter),
        (json!("tired"), json!([]), FinishReason::Other),
        (Value::Null, json!([]), FinishReason::Unknown),
    ] {
        let read = plain(&json!({"content": content, "stop_reason": reason})).unwrap();
        assert_eq!((read.finish_reason, read.raw_finish_reason.as_deref()), (expected, reason.as_str()));
    }
}

#[test]
fn calls_take_their_input_from_where_it_stands() {
    let read = |begun: Value, pieces: &[&str]| {
        let mut events = vec![start(json!({})), block(0, begun)];
        let pieces =
            pieces.iter().map(|piece| delta(0, json!({"type": "input_json_delta", "partial_json": piece})));
        events.extend(pieces);
        events.extend(ending("tool_use"));
        let response = streamed(&events).unwrap();
        let call = response.message.tool_calls().next().unwrap().clone();
        (call.id, call.arguments, call.minted)
    };
    let begun = |input: Value| json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": input});
    for (input, pieces, arguments) in [
        (json!({}), &["", "{\"a\"", ": 1}"][..], "{\"a\": 1}"),
        (json!({}), &[""], ""),
        (json!({}), &[], ""),
        (Value::Null, &[], ""),
        (json!(""), &[], ""),
        (json!({"a": 1}), &[""], "{\"a\":1}"),
        (json!({"a": 1}), &["{\"a\": 2}"], "{\"a\": 2}"),
        (json!({}), &["{\"cut"], "{\"cut"),
    ] {
        assert_eq!(read(begun(input), pieces), ("toolu_1".to_owned(), arguments.to_owned(), false));
    }
    let (id, _, minted) = read(json!({"type": "tool_use", "name": "f"}), &[]);
    assert!(minted && id.starts_with("call_"), "{id}");
}

#[test]
fn what_a_gateway_leaves_out_or_repeats_is_put_in_order() {
    let null = json!({"type": "message_start", "message": null});
    let text = |index: u32, text: &str| delta(index, json!({"type": "text_delta", "text": text}));
    let unindexed = json!({"type": "content_block_start", "content_block": {"type": "text", "text": "c"}});
    let mut events =
        vec![null, text(0, "a"), stop(0), block(0, json!({"type": "text", "text": "b"})), stop(0), unindexed];
    events.extend(ending("end_turn"));
    let response = streamed(&events).unwrap();
    assert_eq!(response.message.parts, [Part::text("a"), Part::text("b"), Part::text("c")]);
    let late = [
        block(1, json!({"type": "text", "text": "second"})),
        block(0, json!({"type": "thinking", "thinking": "first", "signature": ""})),
        delta(0, json!({"type": "stellar_delta", "text": "?"})),
    ];
    let response = streamed(&[&late[..], &ending("end_turn")].concat()).unwrap();
    assert_eq!((response.message.parts.len(), response.message.reasoning_text().as_str()), (2, "first"));
    assert!(matches!(response.message.parts[0], Part::Reasoning(_)));
}

#[test]
fn usage_is_that_of_the_end_with_what_only_the_beginning_told() {
    let begun = start(json!({"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1,
        "cache_creation": {"ephemeral_1h_input_tokens": 2}, "service_tier": "standard"}));
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 0, "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 7},
            "server_tool_use": {"web_search_requests": 0}}});
    let response = streamed(&[begun.clone(), end, json!({"type": "message_stop"})]).unwrap();
    let mut expected = Usage::new(15, 20);
    (expected.cached_input, expected.reasoning) = (5, 7);
    assert_eq!(response.usage, Some(expected));
    assert_eq!(json!(response.metadata), json!({"cache_creation": {"ephemeral_1h_input_tokens": 2}}));

    let mut decoder = AnthropicMessages.decoder(&origin(MODEL));
    let mut out = Vec::new();
    decoder.frame(Frame { event: None, data: begun.to_string().as_bytes() }, &mut out).unwrap();
    assert!(
        out.iter().any(|event| matches!(event, StreamEvent::Usage { usage } if usage.input == 15)),
        "{out:?}"
    );
}

#[test]
fn facts_that_have_no_field_are_told_once() {
    let body = json!({
        "id": "msg_1", "model": "claude-x", "stop_reason": "refusal", "stop_sequence": "END",
        "stop_details": {"type": "refusal", "category": "cyber"}, "context_management": {"applied_edits": []},
        "content": [
            {"type": "text", "text": "a", "citations": [{"type": "char_location", "cited_text": "A"}]},
            {"type": "text", "text": "b", "citations": null},
            {"type": "text", "text": "c", "citations": [{"type": "page_location", "cited_text": "C"}]},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 2, "service_tier": "priority", "server_tool_use": {"web_search_requests": 3}},
    });
    let response = plain(&body).unwrap();
    assert_eq!(
        json!(response.metadata),
        json!({
            "stop_sequence": "END",
            "stop_details": {"type": "refusal", "category": "cyber"},
            "context_management": {"applied_edits": []},
            "server_tool_use": {"web_search_requests": 3},
            "service_tier": "priority",
            "citations": [{"type": "char_location", "cited_text": "A"}, {"type": "page_location", "cited_text": "C"}],
        })
    );
    assert_eq!((response.text().as_str(), response.served_model.as_deref()), ("abc", Some("claude-x")));
}
