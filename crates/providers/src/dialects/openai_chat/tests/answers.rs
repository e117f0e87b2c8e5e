//! Answers and the forms in which imitators send them.

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::{ChatResponse, Error, ErrorKind, FinishReason, Part, StreamEvent};
use serde_json::{Value, json};

use crate::dialect::{Dialect as _, Origin, Profile};
use crate::dialects::openai_chat::OpenAiChat;
use crate::framing::Frame;
use crate::rows;

pub(super) fn origin() -> Arc<Origin> {
    Arc::new(Origin::new(rows::find("custom").unwrap(), "custom:m".parse().unwrap()))
}

pub(super) fn fold(events: Vec<StreamEvent>) -> ChatResponse {
    let mut accumulator = Accumulator::new("custom:m".parse().unwrap());
    for event in events {
        accumulator.push(event).unwrap();
    }
    accumulator.finish().unwrap()
}

pub(super) fn plain(body: &Value) -> Result<ChatResponse, Error> {
    OpenAiChat.decode(body.to_string().as_bytes(), &origin()).map(fold)
}

/// Reads frames, each a JSON text or `[DONE]`, with the name of its event.
fn frames(frames: &[(&str, String)]) -> (Vec<StreamEvent>, Result<(), Error>) {
    let mut decoder = OpenAiChat.decoder(&origin());
    let mut out = Vec::new();
    for (event, data) in frames {
        let event = (!event.is_empty()).then_some(*event);
        if let Err(error) = decoder.frame(Frame { event, data: data.as_bytes() }, &mut out) {
            return (out, Err(error));
        }
    }
    let result = decoder.finish(&mut out);
    (out, result)
}

pub(super) fn streamed(chunks: &[Value]) -> Result<ChatResponse, Error> {
    let mut all: Vec<(&str, String)> = chunks.iter().map(|chunk| ("", chunk.to_string())).collect();
    all.push(("", "[DONE]".to_owned()));
    let (events, result) = frames(&all);
    result.map(|()| fold(events))
}

fn delta(delta: Value) -> Value {
    json!({"id": "r", "model": "m", "choices": [{"index": 0, "delta": delta}]})
}

fn calls(response: &ChatResponse) -> Vec<(String, String, String)> {
    let calls = response.message.tool_calls();
    calls.map(|call| (call.id.clone(), call.name.clone(), call.arguments.clone())).collect()
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.into(), name.into(), arguments.into())
}

fn pieces(pieces: Value) -> Vec<(String, String, String)> {
    let chunks: Vec<Value> =
        pieces.as_array().unwrap().iter().map(|piece| delta(json!({"tool_calls": [piece]}))).collect();
    calls(&streamed(&chunks).unwrap())
}

#[test]
fn content_is_read_in_every_form() {
    let message = |message: Value| {
        let response = plain(&json!({"choices": [{"message": message, "finish_reason": "stop"}]})).unwrap();
        (response.message.reasoning_text(), response.text())
    };
    let read = |reasoning: &str, text: &str| (reasoning.to_owned(), text.to_owned());
    for (sent, expected) in [
        (json!({"content": "Hi"}), read("", "Hi")),
        (json!({"content": null}), read("", "")),
        (json!({}), read("", "")),
        (json!({"content": {"type": "text", "text": "Hi"}}), read("", "Hi")),
        (
            json!({"content": ["a", {"type": "text", "text": "b"}, {"type": "reference", "ids": [1]}]}),
            read("", "ab"),
        ),
        (
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]}),
            read("hm", "a"),
        ),
        (json!({"content": [{"type": "thinking", "thinking": "hm"}]}), read("hm", "")),
        (json!({"content": "a", "reasoning_content": "hm", "reasoning": "hm"}), read("hm", "a")),
        (json!({"content": "a", "reasoning_content": "", "reasoning": "hm"}), read("hm", "a")),
        (
            json!({"content": "a", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
            read("hm", "a"),
        ),
        (json!({"content": "a", "reasoning_details": [{"summary": "sum"}, {"data": "x"}]}), read("sum", "a")),
        (json!({"content": "a", "reasoning": {"unheard": "of"}, "audio": {"id": "x"}}), read("", "a")),
    ] {
        assert_eq!(message(sent.clone()), expected, "{sent}");
    }
}

#[test]
fn a_plain_answer_that_is_none_is_refused() {
    for (body, expected) in [
        (json!({"choices": []}), "the answer has no choices"),
        (json!({}), "the answer has no choices"),
        (json!({"choices": [{"finish_reason": "stop"}]}), "the answer has no message"),
    ] {
        let error = plain(&body).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidOutput, expected));
    }
    for (body, kind) in [
        ("{\"choices\": [", ErrorKind::Truncated),
        ("{\"choices\": ]", ErrorKind::InvalidOutput),
        ("7", ErrorKind::InvalidOutput),
    ] {
        let error = OpenAiChat.decode(body.as_bytes(), &origin()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(&format!("begins with `{body}`")), "{error}");
    }
    let error = OpenAiChat.decode(b"", &origin()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Truncated, "the answer is empty"));
    let error = plain(&json!({"error": {"message": "slow down", "code": 429}, "choices": []})).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimit, "slow down"));
    let error = plain(&json!({"choices": [{"error": {"message": "upstream", "code": 502}}]})).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Overloaded, "upstream"));
}

#[test]
fn only_the_first_candidate_is_read() {
    let choice = |index: u32, text: &str| json!({"index": index, "message": {"content": text}, "delta": {"content": text}});
    let body = json!({"choices": [choice(1, "no"), choice(0, "yes")]});
    assert_eq!(plain(&body).unwrap().text(), "yes");
    assert_eq!(streamed(&[body]).unwrap().text(), "yes");
}

#[test]
fn the_reason_for_the_end_is_translated() {
    use FinishReason as F;
    let called = json!([{"id": "a", "function": {"name": "f", "arguments": "{}"}}]);
    for (raw, message, expected) in [
        (json!("stop"), json!({"content": "a"}), F::Stop),
        (json!("eos"), json!({"content": "a"}), F::Stop),
        (json!("stop"), json!({"tool_calls": called}), F::ToolCalls),
        (json!("stop"), json!({"refusal": "no"}), F::ContentFilter),
        (json!("length"), json!({"tool_calls": called}), F::Length),
        (json!("model_length"), json!({}), F::Length),
        (json!("function_call"), json!({}), F::ToolCalls),
        (json!("content_filter"), json!({}), F::ContentFilter),
        (json!("sensitive"), json!({}), F::ContentFilter),
        (json!("model_context_window_exceeded"), json!({}), F::Length),
        (json!("insufficient_system_resource"), json!({}), F::Other),
        (json!(""), json!({}), F::Unknown),
        (Value::Null, json!({}), F::Unknown),
        (Value::Null, json!({"tool_calls": called}), F::ToolCalls),
    ] {
        let choice = json!({"message": message, "delta": message, "finish_reason": raw});
        let body = json!({"choices": [choice]});
        for response in [plain(&body).unwrap(), streamed(&[body]).unwrap()] {
            assert_eq!(response.finish_reason, expected, "{raw} {message}");
            assert_eq!(response.raw_finish_reason.as_deref(), raw.as_str().filter(|raw| !raw.is_empty()));
        }
    }
}

#[test]
fn pieces_of_calls_find_together() {
    for (sent, expected) in [
        (
            json!([
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
                {"index": 0, "function": {"arguments": "{\"x\""}},
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
                {"index": 0, "function": {"arguments": ":1}"}},
            ]),
            vec![call("a", "f", "{\"x\":1}"), call("b", "g", "{}")],
        ),
        (
            json!([
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"index": 0, "id": "b", "function": {"name": "f", "arguments": "{\"y\":2}"}},
            ]),
            vec![call("a", "f", "{}"), call("b", "f", "{\"y\":2}")],
        ),
        (
            json!([
                {"id": "a", "function": {"name": "f", "arguments": "{"}},
                {"function": {"arguments": "}"}},
                {"id": "b", "function": {"name": "g"}},
            ]),
            vec![call("a", "f", "{}"), call("b", "g", "")],
        ),
        (
            json!([
                {"index": 0, "id": "a", "function": {"name": "get_"}},
                {"index": 0, "id": "a", "function": {"name": "time", "arguments": {"zone": "CET"}}},
            ]),
            vec![call("a", "get_time", "{\"zone\":\"CET\"}")],
        ),
        (
            json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": null}}]),
            vec![call("a", "f", "")],
        ),
        (
            json!([
                {"index": 0, "function": {"arguments": "{\"x\":"}},
                {"index": 0, "id": "a", "function": {"name": "f"}},
                {"index": 0, "function": {"arguments": "1}"}},
            ]),
            vec![call("a", "f", "{\"x\":1}")],
        ),
    ] {
        assert_eq!(pieces(sent.clone()), expected, "{sent}");
    }
}

#[test]
fn a_call_without_id_gets_one_that_is_marked_as_made_here() {
    let called = json!([{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "f", "arguments": "{}"}}]);
    let body = |id: &str| json!({"id": id, "created": 7, "choices": [{"message": {"tool_calls": called}}]});
    let response = plain(&body("r1")).unwrap();
    let ids: Vec<&str> = response.message.tool_calls().map(|call| call.id.as_str()).collect();
    assert!(response.message.tool_calls().all(|call| call.minted && call.id.starts_with("call_")));
    assert_ne!(ids[0], ids[1]);
    assert_ne!(calls(&plain(&body("r2")).unwrap())[0].0, ids[0]);
    assert_eq!(calls(&plain(&body("r1")).unwrap())[0].0, ids[0]);
}

#[test]
fn what_the_provider_needs_back_is_kept_and_labelled() {
    let detail = |text: &str, index: u32| json!({"type": "reasoning.text", "text": text, "index": index, "format": null});
    let signature = json!({"type": "reasoning.text", "signature": "sig", "index": 0});
    let secret = json!({"type": "reasoning.encrypted", "data": "abc", "index": 1});
    let response = streamed(&[
        delta(json!({"reasoning": "a", "reasoning_details": [detail("a", 0)]})),
        delta(json!({"reasoning": "b", "reasoning_details": [detail("b", 0)]})),
        delta(json!({"content": "!", "reasoning_details": [signature, secret], "reasoning_opaque": "op"})),
        delta(json!({"reasoning_opaque": "aque", "reasoning_encrypted": false})),
    ])
    .unwrap();
    let Part::Reasoning(reasoning) = &response.message.parts[0] else { panic!("{response:?}") };
    assert_eq!(reasoning.text, "ab");
    let opaque = reasoning.opaque.as_ref().unwrap();
    assert_eq!(opaque.provider, "custom");
    let whole =
        json!({"type": "reasoning.text", "text": "ab", "index": 0, "format": null, "signature": "sig"});
    let expected =
        json!({"came_in": "reasoning", "reasoning_details": [whole, secret], "reasoning_opaque": "opaque"});
    assert_eq!(opaque.payload, expected);
}

#[test]
fn images_and_speech_become_parts() {
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let spoken = |data: &str, id: Value| json!({"audio": {"id": id, "data": data}});
    let chunks = [
        delta(json!({"content": "Here:", "images": [image("data:image/png;base64,AA==")]})),
        delta(json!({"images": [image("data:image/png;base64,AA=="), image("https://h/b.png")]})),
        delta(spoken("AA", json!("audio_1"))),
        delta(spoken("BB", Value::Null)),
        delta(json!({"audio": {"id": "", "data": ""}, "content": [image("https://h/c.png")]})),
    ];
    let response = streamed(&chunks[..4]).unwrap();
    let addresses = |response: &ChatResponse| {
        let images = response.message.parts.iter().filter_map(|part| match part {
            Part::Image(media) => Some((media.media_type.clone(), format!("{:?}", media.source))),
            _ => None,
        });
        images.collect::<Vec<_>>()
    };
    let inline = (Some("image/png".to_owned()), r#"Base64("AA==")"#.to_owned());
    assert_eq!(addresses(&response), [inline, (None, r#"Url("https://h/b.png")"#.to_owned())]);
    let Some(Part::Native { opaque }) = response.message.parts.last() else { panic!("{response:?}") };
    assert_eq!((opaque.provider.as_str(), &opaque.payload["audio"]["data"]), ("custom", &json!("AABB")));
    let empty = streamed(&chunks[4..]).unwrap();
    assert_eq!(addresses(&empty), [(None, r#"Url("https://h/c.png")"#.to_owned())]);
    assert_eq!(empty.message.parts.len(), 1);
}

#[test]
fn the_call_of_the_time_before_lists_is_read_unless_it_is_a_filler() {
    let called = json!({"function_call": {"name": "f", "arguments": "{\"x\":1}"}});
    let response =
        plain(&json!({"choices": [{"message": called, "finish_reason": "function_call"}]})).unwrap();
    let read: Vec<(String, String)> =
        calls(&response).into_iter().map(|(_, name, text)| (name, text)).collect();
    assert_eq!(read, [("f".to_owned(), "{\"x\":1}".to_owned())]);
    assert!(response.message.tool_calls().all(|call| call.minted));
    let pieces = [("f", ""), ("", "{\"x\""), ("", ":1}")];
    let chunks =
        pieces.map(|(name, text)| delta(json!({"function_call": {"name": name, "arguments": text}})));
    assert_eq!(calls(&streamed(&chunks).unwrap())[0].2, "{\"x\":1}");
    let filler = json!({"content": "a", "function_call": {"name": "", "arguments": ""}});
    assert_eq!(calls(&plain(&json!({"choices": [{"message": filler}]})).unwrap()), []);
}

#[test]
fn what_a_provider_wants_back_with_a_call_is_kept_with_it() {
    let signed = json!({"google": {"thought_signature": "sig"}});
    let first = json!({"index": 0, "id": "a", "function": {"name": "f"}, "extra_content": signed});
    let rest = json!({"index": 0, "function": {"arguments": "{}"}, "extra_content": null});
    let response =
        streamed(&[delta(json!({"tool_calls": [first]})), delta(json!({"tool_calls": [rest]}))]).unwrap();
    let opaque = response.message.tool_calls().next().unwrap().opaque.clone().unwrap();
    assert_eq!((opaque.provider.as_str(), opaque.payload), ("custom", json!({"extra_content": signed})));
}

#[test]
fn facts_without_a_field_are_kept() {
    let sure = |token: &str| json!({"content": [{"token": token}], "refusal": null});
    let response = streamed(&[
        json!({"citations": ["u1"], "choices": [{"delta": {"annotations": [1]}, "logprobs": sure("a")}]}),
        json!({"citations": ["u1", "u2"], "choices": [{
            "delta": {"annotations": [2], "executed_tools": [{"type": "search"}]},
            "native_finish_reason": "end", "logprobs": sure("b"),
        }]}),
        json!({"search_results": [{"url": "u1"}], "choices": [{"delta": {}, "logprobs": {"content": null}}]}),
    ])
    .unwrap();
    let expected = json!({
        "annotations": [1, 2], "citations": ["u1", "u2"], "native_finish_reason": "end",
        "executed_tools": [{"type": "search"}], "search_results": [{"url": "u1"}],
        "logprobs": [{"token": "a"}, {"token": "b"}],
    });
    assert_eq!(Value::Object(response.metadata), expected);
}

#[test]
fn references_among_the_content_are_annotations() {
    let named = json!({"type": "reference", "reference_ids": [0, 2]});
    let page = json!({"type": "tool_reference", "tool": "web_search", "title": "T", "url": "u"});
    let thought = json!({"type": "thinking", "thinking": [{"type": "text", "text": "t"}, named]});
    let response = streamed(&[
        delta(json!({"content": [thought]})),
        delta(json!({"content": [{"type": "text", "text": "a"}, page, "b"]})),
    ])
    .unwrap();
    assert_eq!((response.text(), response.message.reasoning_text().as_str()), ("ab".into(), "t"));
    assert_eq!(response.metadata["annotations"], json!([named, page]));
}

#[test]
fn an_error_keeps_the_call_that_has_begun() {
    let begun = json!({"index": 0, "id": "c", "function": {"name": "n", "arguments": ""}});
    let begun = ("", delta(json!({"tool_calls": [begun]})).to_string());
    let (events, result) = frames(&[begun, ("error", json!({"error": {"message": "boom"}}).to_string())]);
    assert_eq!(result.unwrap_err().message(), "boom");
    assert!(events.iter().any(|event| matches!(event, StreamEvent::ToolCallStarted { id, .. } if id == "c")));
}

#[test]
fn a_free_form_call_keeps_its_text() {
    let custom = json!([{"id": "a", "type": "custom", "custom": {"name": "run", "input": "x = 1"}}]);
    let response = plain(&json!({"choices": [{"message": {"tool_calls": custom}}]})).unwrap();
    assert_eq!(calls(&response), [call("a", "run", "x = 1")]);
    let opaque = response.message.tool_calls().next().unwrap().opaque.clone().unwrap();
    assert_eq!(opaque.payload, json!({"type": "custom"}));
}

#[test]
fn usage_comes_from_wherever_it_stands_and_the_last_counts() {
    let usage = |output: u64| json!({"prompt_tokens": 5, "completion_tokens": output});
    for last in [json!({"choices": [], "usage": usage(3)}), json!({"x_groq": {"usage": usage(3)}})] {
        let response = streamed(&[
            json!({"choices": [{"delta": {"content": "a"}}], "usage": usage(1)}),
            json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": null}),
            last,
        ])
        .unwrap();
        let usage = response.usage.unwrap();
        assert_eq!((usage.input, usage.output), (5, 3));
    }
}

#[test]
fn a_stream_without_a_genuine_end_is_truncated() {
    let text = |text: &str| ("", delta(json!({"content": text})).to_string());
    let (events, result) = frames(&[text("Hel")]);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Truncated);
    assert!(matches!(&events[1], StreamEvent::TextDelta { text, .. } if text == "Hel"));
    let finish = ("", json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}).to_string());
    let (events, result) = frames(&[text("Hel"), finish]);
    result.unwrap();
    assert_eq!(fold(events).finish_reason, FinishReason::Stop);
    let strict = Profile { end_marker: true, ..Profile::COMMON };
    let mut decoder = OpenAiChat.decoder(&Arc::new(Origin { profile: strict, ..(*origin()).clone() }));
    let data = json!({"choices": [{"delta": {"content": "a"}, "finish_reason": "length"}]}).to_string();
    let mut out = Vec::new();
    decoder.frame(Frame { event: None, data: data.as_bytes() }, &mut out).unwrap();
    assert_eq!(decoder.finish(&mut out).unwrap_err().kind(), ErrorKind::Truncated);
    let mut decoder = OpenAiChat.decoder(&Arc::new(Origin { profile: strict, ..(*origin()).clone() }));
    let counts = json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}).to_string();
    for data in [data, counts] {
        decoder.frame(Frame { event: None, data: data.as_bytes() }, &mut out).unwrap();
    }
    decoder.finish(&mut out).unwrap();
    let (events, result) = frames(&[("", "[DONE]".into()), text("late")]);
    result.unwrap();
    assert_eq!(fold(events).text(), "");
}

#[test]
fn errors_in_a_stream_end_it_and_fillers_do_not() {
    let text = || ("", delta(json!({"content": "a"})).to_string());
    for harmless in [json!(null), json!(""), json!({})] {
        let chunk = json!({"choices": [{"delta": {"content": "a"}}], "error": harmless});
        assert_eq!(streamed(&[chunk]).unwrap().text(), "a");
    }
    for (event, data, message) in [
        ("", json!({"error": {"message": "boom", "code": "server_error"}, "choices": []}), "boom"),
        ("", json!({"error": "boom"}), "boom"),
        ("error", json!({"message": "boom", "type": "x"}), "boom"),
        ("error", json!({"error": {"message": "boom"}}), "boom"),
        ("", json!({"x_groq": {"error": "boom"}}), "boom"),
        ("", json!({"choices": [{"error": {"message": "boom"}, "finish_reason": "error"}]}), "boom"),
    ] {
        let (events, result) = frames(&[text(), (event, data.to_string())]);
        assert_eq!(result.unwrap_err().message(), message, "{data}");
        assert!(events.iter().any(StreamEvent::is_visible));
    }
}

#[test]
fn an_error_after_the_end_takes_nothing_from_the_answer() {
    let error = ("", json!({"error": {"message": "boom"}}).to_string());
    let ended = |reason: &str| json!({"choices": [{"delta": {"content": "a"}, "finish_reason": reason}]});
    for (reason, whole) in [("stop", true), ("length", true), ("tool_calls", true), ("error", false)] {
        let (events, result) = frames(&[("", ended(reason).to_string()), error.clone()]);
        assert_eq!(result.unwrap_err().message(), "boom");
        let finished = events.iter().any(|event| matches!(event, StreamEvent::Finished { .. }));
        assert_eq!(finished, whole, "{reason}");
    }
}

#[test]
fn corrupt_frames_are_errors_and_foreign_events_are_ignored() {
    let text = || ("", delta(json!({"content": "a"})).to_string());
    let (events, result) = frames(&[("ping", "ok".into()), text(), ("", "[DONE]".into())]);
    result.unwrap();
    assert_eq!(fold(events).text(), "a");
    let long = "x".repeat(900);
    let (_, result) = frames(&[text(), ("", long)]);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOutput);
    assert!(error.message().contains(&"x".repeat(200)) && !error.message().contains(&"x".repeat(201)));
}

#[test]
fn a_first_piece_without_a_model_is_completed_by_a_later_one() {
    let first = json!({"id": "", "model": "", "choices": [], "prompt_filter_results": []});
    let response = streamed(&[first, delta(json!({"content": "a"}))]).unwrap();
    assert_eq!(response.response_id.as_deref(), Some("r"));
    assert_eq!(response.served_model.as_deref(), Some("m"));
}
