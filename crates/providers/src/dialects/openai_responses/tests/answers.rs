//! What is read out of answers, above all where servers differ in what they repeat and leave out.

use motet_core::{ErrorKind, FinishReason, Part, StreamEvent};
use serde_json::{Value, json};

use super::{plain, streamed};

const MODEL: &str = "openai-responses:gpt-5.2";

/// An answer with an item of each kind.
fn items() -> Vec<Value> {
    vec![
        json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "secret",
            "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Second."}],
            "content": [{"type": "reasoning_text", "text": "Thought."}]}),
        json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}),
        json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
        "content": [
            {"type": "output_text", "text": "One", "annotations": [{"type": "url_citation"}], "logprobs": []},
            {"type": "output_text", "text": "Two", "annotations": []},
        ]}),
        json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add", "status": "completed",
            "arguments": "{\"x\": 1}"}),
        json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "shell", "input": "ls -l"}),
    ]
}

fn whole(items: &[Value], status: &str) -> Value {
    json!({"id": "resp_1", "model": "gpt-5.2-x", "status": status, "output": items,
        "usage": {"input_tokens": 9, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 3}}})
}

/// Gives the events by which items are streamed, as the format wants it.
fn events(items: &[Value]) -> Vec<Value> {
    let mut events =
        vec![json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.2-x"}})];
    for (index, item) in items.iter().enumerate() {
        let mut begun = item.clone();
        for name in ["content", "summary", "arguments", "input"] {
            if let Some(field) = begun.get_mut(name) {
                *field = if field.is_array() { json!([]) } else { json!("") };
            }
        }
        let place = json!({"output_index": index, "item_id": item["id"]});
        let delta = |kind: &str, content: usize, text: &str| {
            let mut event = place.clone();
            event["type"] = json!(format!("response.{kind}.delta"));
            event["content_index"] = json!(content);
            event["delta"] = json!(text);
            event
        };
        events.push(json!({"type": "response.output_item.added", "output_index": index, "item": begun}));
        for (name, kind) in [
            ("summary", "reasoning_summary_text"),
            ("content", if item["type"] == "message" { "output_text" } else { "reasoning_text" }),
        ] {
            for (content, part) in item[name].as_array().into_iter().flatten().enumerate() {
                let (start, end) = part["text"].as_str().unwrap().split_at(2);
                events.extend([delta(kind, content, start), delta(kind, content, end)]);
            }
        }
        for (name, kind) in [("arguments", "function_call_arguments"), ("input", "custom_tool_call_input")] {
            if let Some(text) = item[name].as_str() {
                let (start, end) = text.split_at(2);
                events.extend([delta(kind, 0, start), delta(kind, 0, end)]);
            }
        }
        events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": whole(items, "completed")}));
    events
}

fn is(event: &Value, end: &str) -> bool {
    event["type"].as_str().unwrap().ends_with(end)
}

#[test]
fn whatever_a_server_repeats_or_leaves_out_the_answer_is_that_of_a_plain_one() {
    let expected = plain(MODEL, &whole(&items(), "completed")).unwrap();
    let without = |event: &mut Value, name: &str| {
        event.as_object_mut().unwrap().remove(name);
    };
    type Change<'a> = &'a dyn Fn(&mut Vec<Value>);
    let changes: [(&str, Change<'_>); 10] = [
        ("as it should be", &|_| {}),
        ("no places", &|events| events.iter_mut().for_each(|event| without(event, "output_index"))),
        ("no ids in deltas", &|events| events.iter_mut().for_each(|event| without(event, "item_id"))),
        ("other ids in each delta", &|events| {
            for (number, event) in events.iter_mut().enumerate().filter(|(_, event)| is(event, ".delta")) {
                event["item_id"] = json!(format!("id_{number}"));
            }
        }),
        ("one place for all", &|events| {
            events
                .iter_mut()
                .filter(|e| e["output_index"].is_number())
                .for_each(|e| e["output_index"] = json!(0));
        }),
        ("items do not begin", &|events| events.retain(|event| !is(event, "item.added"))),
        ("nothing grows", &|events| events.retain(|event| !is(event, ".delta"))),
        ("items do not end", &|events| events.retain(|event| !is(event, "item.done"))),
        ("only the end", &|events| drop(events.drain(1..events.len() - 1))),
        ("an end without items", &|events| events.last_mut().unwrap()["response"]["output"] = json!([])),
    ];
    for (name, change) in changes {
        let mut sent = events(&items());
        change(&mut sent);
        let (events, read) = streamed(MODEL, &sent);
        assert_eq!(read.unwrap(), expected, "{name}");
        assert!(!events.iter().any(|event| matches!(event, StreamEvent::Warning { .. })), "{name}");
    }
}

#[test]
fn an_answer_has_its_parts_in_order_with_what_the_provider_needs_back() {
    let read = plain(MODEL, &whole(&items(), "completed")).unwrap();
    let expected = json!([
        {"type": "reasoning", "text": "First.Second.", "opaque": {"provider": "openai-responses", "payload": items()[0]}},
        {"type": "reasoning", "text": "Thought.",
            "opaque": {"provider": "openai-responses", "payload": {"type": "reasoning_text"}}},
        {"type": "native", "opaque": {"provider": "openai-responses", "payload": items()[1]}},
        {"type": "text", "text": "One", "opaque": {"provider": "openai-responses",
            "payload": {"id": "msg_1", "status": "completed", "phase": "commentary"}}},
        {"type": "text", "text": "Two", "opaque": {"provider": "openai-responses",
            "payload": {"id": "msg_1", "status": "completed", "phase": "commentary"}}},
        {"type": "tool_call", "id": "call_1", "name": "add", "arguments": "{\"x\": 1}",
            "opaque": {"provider": "openai-responses",
                "payload": {"id": "fc_1", "status": "completed", "type": "function_call"}}},
        {"type": "tool_call", "id": "call_2", "name": "shell", "arguments": "ls -l",
            "opaque": {"provider": "openai-responses", "payload": {"id": "ctc_1", "type": "custom"}}},
    ]);
    assert_eq!(serde_json::to_value(&read.message.parts).unwrap(), expected);
    assert_eq!(read.metadata["annotations"], json!([{"type": "url_citation"}]));
    assert_eq!(
        (read.finish_reason, read.raw_finish_reason.as_deref()),
        (FinishReason::ToolCalls, Some("completed"))
    );
    assert_eq!(
        (read.response_id.as_deref(), read.served_model.as_deref()),
        (Some("resp_1"), Some("gpt-5.2-x"))
    );
    assert_eq!(read.usage.unwrap().reasoning, 3);
}

#[test]
fn each_end_has_its_reason_and_keeps_its_word() {
    let text = json!({"type": "message", "content": [{"type": "output_text", "text": "Hi"}]});
    let refusal = json!({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]});
    for (status, detail, item, expected) in [
        ("completed", None, &text, FinishReason::Stop),
        ("completed", None, &refusal, FinishReason::ContentFilter),
        ("incomplete", Some("max_output_tokens"), &text, FinishReason::Length),
        ("incomplete", Some("content_filter"), &text, FinishReason::ContentFilter),
        ("incomplete", None, &text, FinishReason::Other),
        ("cancelled", None, &text, FinishReason::Other),
        ("queued", None, &text, FinishReason::Other),
    ] {
        let mut body = whole(std::slice::from_ref(item), status);
        body["incomplete_details"] = json!({"reason": detail});
        let read = plain(MODEL, &body).unwrap();
        assert_eq!((read.finish_reason, read.raw_finish_reason.as_deref()), (expected, Some(status)));
        assert_eq!(read.metadata.get("incomplete_reason").and_then(Value::as_str), detail);
        if ["completed", "incomplete", "cancelled"].contains(&status) {
            let end = json!({"type": format!("response.{status}"), "response": body});
            assert_eq!(streamed(MODEL, &[end]).1.unwrap(), read);
        }
    }
    let deltas = ["N", "o."].map(|text| json!({"type": "response.refusal.delta", "delta": text}));
    let end = json!({"type": "response.completed", "response": {"status": "completed"}});
    let read = streamed(MODEL, &[&deltas[..], &[end]].concat()).1.unwrap();
    assert_eq!(read.message.parts, [Part::Refusal { text: "No.".into() }]);
    assert_eq!(read.finish_reason, FinishReason::ContentFilter);
}

#[test]
fn work_in_the_background_is_told_as_not_there_yet() {
    let body = json!({"id": "resp_9", "status": "queued", "output": [], "background": true, "usage": null});
    let origin = super::origin(MODEL);
    let events =
        crate::dialect::Dialect::decode(&super::OpenAiResponses, body.to_string().as_bytes(), &origin);
    let message = "the answer is not there yet, but `queued`; the provider gives it later by its id `resp_9`";
    assert!(events.unwrap().contains(&StreamEvent::Warning { message: message.into() }));
}

#[test]
fn failures_are_errors_however_they_are_told() {
    let failed =
        json!({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}});
    let event = |name: &str, response: &Value| vec![json!({"type": name, "response": response})];
    for (sent, kind, message) in [
        (event("response.failed", &failed), ErrorKind::RateLimit, "slow down"),
        (
            event("response.failed", &json!({"status": "failed", "error": null})),
            ErrorKind::Overloaded,
            "response.failed",
        ),
        (event("response.failed", &Value::Null), ErrorKind::Overloaded, "response.failed"),
        (event("response.completed", &failed), ErrorKind::RateLimit, "slow down"),
        (
            vec![
                json!({"type": "error", "code": "context_length_exceeded", "message": "too long", "param": null}),
            ],
            ErrorKind::TokenLimit,
            "too long",
        ),
        (vec![json!({"type": "error", "error": {"message": "deep"}})], ErrorKind::Overloaded, "deep"),
        (vec![json!({"error": {"message": "bare", "code": 429}})], ErrorKind::RateLimit, "bare"),
        (vec![], ErrorKind::Truncated, "the streamed answer broke off before its end"),
        (
            vec![json!({"type": "response.output_text.delta", "delta": "Hi"}), json!({"error": null})],
            ErrorKind::Truncated,
            "the streamed answer broke off before its end",
        ),
    ] {
        let error = streamed(MODEL, &sent).1.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message), "{sent:?}");
    }
    for (body, kind, message) in [
        (failed, ErrorKind::RateLimit, "slow down"),
        (json!({"error": {"message": "gone"}}), ErrorKind::Overloaded, "gone"),
        (json!({"choices": []}), ErrorKind::InvalidOutput, "the answer has no output"),
    ] {
        let error = plain(MODEL, &body).unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
    }
}

#[test]
fn what_is_unknown_is_ignored_and_what_contradicts_is_told() {
    let item = |text: &str| json!({"type": "message", "content": [{"type": "output_text", "text": text}, {"type": "new"}]});
    let delta = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hello"});
    let done =
        |text: &str| json!({"type": "response.output_item.done", "output_index": 0, "item": item(text)});
    let strange = [
        json!({"type": "response.future.delta", "delta": {"x": 1}}),
        json!({"type": "response.output_item.added", "output_index": 7, "item": {"no": "type"}}),
        json!({"type": "keepalive", "item": 5, "output_index": "x"}),
        json!(5),
    ];
    let end = json!({"type": "response.completed", "response": {}});
    for (text, warned) in [("Hello", false), ("Hello you", false), ("Goodbye", true), ("Hell", true)] {
        let sent = [&strange[..3], &[delta.clone(), done(text), done(text), end.clone()]].concat();
        let (events, read) = streamed(MODEL, &sent);
        let read = read.unwrap();
        assert_eq!(read.text(), if warned { "Hello" } else { text });
        assert_eq!(read.raw_finish_reason, None);
        assert_eq!(events.iter().any(|event| matches!(event, StreamEvent::Warning { .. })), warned);
    }
    let error = streamed(MODEL, &strange).1.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOutput);
}

#[test]
fn a_call_without_an_id_or_name_waits_for_them() {
    let added = |call: Value| json!({"type": "response.output_item.added", "output_index": 0, "item": call});
    let delta = json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item":
        {"type": "function_call", "call_id": "c", "name": "now", "arguments": {"a": 1}}});
    let end = json!({"type": "response.completed", "response": {"id": "r"}});
    let bare = added(json!({"type": "function_call"}));
    let read = streamed(MODEL, &[bare.clone(), done, end.clone()]).1.unwrap();
    let call = read.message.tool_calls().next().unwrap();
    assert_eq!((&*call.id, &*call.name, &*call.arguments, call.minted), ("c", "now", "{\"a\":1}", false));
    let read = streamed(MODEL, &[bare.clone(), delta.clone(), end]).1.unwrap();
    let call = read.message.tool_calls().next().unwrap();
    assert_eq!((&*call.arguments, call.minted, call.id.starts_with("call_")), ("{}", true, true));
    // A cut answer still shows what there was of the call.
    let (events, _) = streamed(MODEL, &[bare, delta]);
    assert!(events.iter().any(|event| matches!(event, StreamEvent::ToolCallDelta { .. })));
}
