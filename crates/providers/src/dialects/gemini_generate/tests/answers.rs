//! What answers become, and that they go back as they came.

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::message::{MediaSource, Opaque};
use motet_core::{ChatRequest, ChatResponse, Delivery, Error, ErrorKind, FinishReason, Message, Part, Usage};
use serde_json::{Value, json};

use crate::dialect::{Dialect as _, Origin};
use crate::dialects::gemini_generate::GeminiGenerate;
use crate::driver::StreamReader;
use crate::rows;

fn origin() -> Arc<Origin> {
    let model = "gemini:gemini-3-flash-preview".parse().unwrap();
    Arc::new(Origin::new(rows::find("gemini").unwrap(), model))
}

fn plain(body: &Value) -> Result<ChatResponse, Error> {
    let origin = origin();
    let mut accumulator = Accumulator::new(origin.model.clone());
    for event in GeminiGenerate.decode(body.to_string().as_bytes(), &origin)? {
        accumulator.push(event)?;
    }
    accumulator.finish()
}

/// Reads pieces as a stream; gives what arrived too where it fails.
fn streamed(pieces: &[Value]) -> (Accumulator, Result<ChatResponse, Error>) {
    let origin = origin();
    let mut reader = StreamReader::new(&GeminiGenerate, &origin);
    let mut events = Vec::new();
    let text: String = pieces.iter().map(|piece| format!("data: {piece}\r\n\r\n")).collect();
    let read = reader.feed(text.as_bytes(), &mut events).and_then(|()| reader.finish(&mut events));
    let mut accumulator = Accumulator::new(origin.model.clone());
    events.into_iter().for_each(|event| accumulator.push(event).unwrap());
    let result = read.and_then(|()| accumulator.clone().finish());
    (accumulator, result)
}

fn said(parts: Value) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}], "responseId": "r"})
}

fn ended(parts: Value, reason: &str) -> Value {
    let mut piece = said(parts);
    piece["candidates"][0]["finishReason"] = json!(reason);
    piece
}

/// Gives the parts as they are sent back.
fn sent_back(response: &ChatResponse) -> Value {
    let messages = vec![Message::user("q"), response.message.clone()];
    let request = ChatRequest::new(response.model.clone(), messages);
    let sent = GeminiGenerate.encode(&request, &origin().profile, Delivery::Plain).unwrap();
    serde_json::from_slice::<Value>(&sent.body).unwrap()["contents"][1]["parts"].take()
}

#[test]
fn parts_keep_their_order_and_signatures_and_go_back_as_they_came() {
    let parts = json!([
        {"text": "signed thought", "thought": true, "thoughtSignature": "r"},
        {"text": "one "},
        {"text": "two", "thoughtSignature": "t"},
        {"text": " three"},
        {"executableCode": {"code": "1", "language": "PYTHON"}, "thoughtSignature": "n"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"functionCall": {"id": "w", "name": "f", "args": {"a": [1, "x y"]}}, "thoughtSignature": "c"},
        {"functionCall": {"name": "g", "args": {}}},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thoughtSignature": "i"},
        {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
        {"toolCall": {"toolType": "X"}, "thoughtSignature": "h"},
        {"text": "", "thoughtSignature": "last"},
    ]);
    let whole = plain(&ended(parts.clone(), "STOP")).unwrap();
    assert_eq!(sent_back(&whole), parts);
    assert_eq!(whole.text(), "one two three");
    assert_eq!(whole.finish_reason, FinishReason::ToolCalls);
    let calls: Vec<_> = whole.message.tool_calls().collect();
    assert_eq!((calls[0].id.as_str(), calls[0].minted), ("w", false));
    assert_eq!(calls[0].arguments, r#"{"a":[1,"x y"]}"#);
    assert!(calls[1].minted && calls[1].id.starts_with("call_"));
    let image = whole
        .message
        .parts
        .iter()
        .find_map(|part| if let Part::Image(image) = part { Some(image) } else { None });
    assert_eq!(image.unwrap().source, MediaSource::Base64("AA==".into()));
    // In pieces, as one list of pieces, and with its parts each in a piece: always the same.
    let each: Vec<Value> = parts.as_array().unwrap().iter().map(|part| said(json!([part]))).collect();
    let pieces = [each.as_slice(), &[ended(json!([{"text": ""}]), "STOP")]].concat();
    assert_eq!(streamed(&pieces).1.unwrap(), whole);
    assert_eq!(plain(&json!(pieces)).unwrap(), whole);
}

#[test]
fn pieces_of_text_are_one_part_until_a_signature_comes() {
    let pieces = [
        said(json!([{"text": "th", "thought": true}])),
        said(json!([{"text": "ought", "thought": true}])),
        said(json!([{"text": "an"}])),
        ended(json!([{"text": "swer"}]), "STOP"),
        // More may follow a first reason to finish.
        ended(json!([{"text": " and more"}, {"text": "", "thoughtSignature": "s"}]), "STOP"),
    ];
    let response = streamed(&pieces).1.unwrap();
    let signature = Opaque { provider: "gemini".into(), payload: json!({"thoughtSignature": "s"}) };
    let parts = &response.message.parts;
    assert_eq!(response.message.reasoning_text(), "thought");
    assert_eq!(parts[1], Part::text("answer and more"));
    assert_eq!(parts[2], Part::Text { text: String::new(), opaque: Some(signature) });
    assert_eq!((parts.len(), response.finish_reason), (3, FinishReason::Stop));
}

#[test]
fn minted_ids_differ_between_answers_and_agree_between_deliveries() {
    let id = |response: &str, arguments: Value| {
        let mut body = ended(json!([{"functionCall": {"name": "f", "args": arguments}}]), "STOP");
        body["responseId"] = json!(response);
        let whole = plain(&body).unwrap();
        assert_eq!(streamed(&[body]).1.unwrap(), whole);
        whole.message.tool_calls().next().unwrap().id.clone()
    };
    assert_ne!(id("r1", json!({})), id("r2", json!({})));
    assert_ne!(id("", json!({"a": 1})), id("", json!({"a": 2})));
}

#[test]
fn every_reason_to_finish_has_its_word() {
    for (raw, expected) in [
        ("STOP", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::Length),
        ("SAFETY", FinishReason::ContentFilter),
        ("RECITATION", FinishReason::ContentFilter),
        ("IMAGE_SAFETY", FinishReason::ContentFilter),
        ("MALFORMED_FUNCTION_CALL", FinishReason::Other),
        ("UNEXPECTED_TOOL_CALL", FinishReason::Other),
        ("SOMETHING_NEW", FinishReason::Other),
    ] {
        // Content may be absent, or have no parts.
        let bare = json!({"candidates": [{"finishReason": raw, "finishMessage": "why", "content": {}}]});
        let response = plain(&bare).unwrap();
        assert_eq!((response.finish_reason, response.raw_finish_reason.as_deref()), (expected, Some(raw)));
        assert_eq!(response.metadata["finish_detail"], "why");
    }
}

#[test]
fn a_blocked_prompt_is_an_answer_that_was_filtered() {
    let body = json!({
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4},
    });
    for response in [plain(&body).unwrap(), streamed(std::slice::from_ref(&body)).1.unwrap()] {
        assert_eq!((response.finish_reason, response.raw_finish_reason), (FinishReason::ContentFilter, None));
        assert_eq!(response.metadata["prompt_feedback"]["blockReason"], "PROHIBITED_CONTENT");
        assert_eq!(response.usage, Some(Usage::new(4, 0)));
    }
}

#[test]
fn a_stream_without_a_reason_to_finish_is_truncated_and_keeps_what_came() {
    let mut piece = said(json!([{"text": "half"}]));
    piece["usageMetadata"] = json!({"promptTokenCount": 3, "thoughtsTokenCount": 2});
    let (arrived, result) = streamed(&[piece.clone()]);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!((arrived.partial().visible_text(), arrived.usage().unwrap().output), ("half".to_owned(), 2));
    assert_eq!(plain(&json!([piece])).unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(plain(&json!([])).unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(plain(&piece).unwrap().finish_reason, FinishReason::Unknown);
    assert_eq!(plain(&json!({"hello": 1})).unwrap_err().kind(), ErrorKind::InvalidOutput);
}

#[test]
fn an_error_inside_an_answer_is_told_and_keeps_what_came() {
    let failed =
        json!({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}});
    for pieces in [
        [said(json!([{"text": "half"}])), failed.clone()],
        [said(json!([{"text": "half"}])), json!([failed])],
    ] {
        let (arrived, result) = streamed(&pieces);
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Overloaded, "The model is overloaded."));
        assert_eq!(arrived.partial().visible_text(), "half");
    }
    assert_eq!(plain(&failed).unwrap_err().kind(), ErrorKind::Overloaded);
    assert_eq!(plain(&json!([failed])).unwrap_err().kind(), ErrorKind::Overloaded);
}

#[test]
fn a_call_in_pieces_is_refused_rather_than_read_wrongly() {
    let piece = said(json!([{"functionCall": {"name": "f", "willContinue": true}}]));
    let error = streamed(&[piece]).1.unwrap_err();
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Unsupported, true));
}

#[test]
fn facts_are_put_together_from_all_pieces() {
    let piece = |citations: Value, logprobs: Value, safe: bool| {
        let mut piece = ended(json!([{"text": "a"}]), "STOP");
        let candidate = &mut piece["candidates"][0];
        candidate["citationMetadata"] = json!({"citationSources": citations});
        candidate["logprobsResult"] = json!({"chosenCandidates": logprobs});
        candidate["groundingMetadata"] = json!({"webSearchQueries": ["q"], "groundingChunks": citations});
        candidate["safetyRatings"] = json!([{"category": "c", "probability": "LOW", "blocked": !safe}]);
        piece
    };
    let pieces = [piece(json!([{"uri": "a"}]), json!([{"token": "x"}]), true), {
        piece(json!([{"uri": "a"}, {"uri": "b"}]), json!([{"token": "x"}]), true)
    }];
    let told = streamed(&pieces).1.unwrap().metadata;
    assert_eq!(told["citation_metadata"]["citationSources"], json!([{"uri": "a"}, {"uri": "b"}]));
    assert_eq!(told["grounding_metadata"]["groundingChunks"], json!([{"uri": "a"}, {"uri": "b"}]));
    assert_eq!(told["logprobs"]["chosenCandidates"], json!([{"token": "x"}, {"token": "x"}]));
    assert!(!told.contains_key("safety_ratings"));
    let blocked = plain(&piece(json!([]), json!([]), false)).unwrap().metadata;
    assert_eq!(blocked["safety_ratings"][0]["blocked"], true);
}

#[test]
fn further_candidates_and_unknown_fields_are_passed_over() {
    let mut body = ended(json!([{"text": "first"}, {"text": "t", "thought": true}, {}]), "STOP");
    let candidates = body["candidates"].as_array_mut().unwrap();
    candidates
        .push(json!({"content": {"parts": [{"text": "second"}]}, "finishReason": "SAFETY", "index": 1.0}));
    body["createTime"] = json!("2026-01-01T00:00:00Z");
    body["error"] = Value::Null;
    let response = plain(&body).unwrap();
    assert_eq!((response.text().as_str(), response.finish_reason), ("first", FinishReason::Stop));
    assert_eq!(response.message.parts.len(), 2);
}
