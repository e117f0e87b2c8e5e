//! What goes back of an answer: whole to its provider, plain to any other, and never what would be refused.

use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::{Delivery, Message, Part, Role};
use serde_json::{Value, json};

use super::{OpenAiResponses, plain, request};
use crate::dialect::{Dialect as _, Profile};
use crate::rows;

const MODEL: &str = "openai-responses:gpt-5.2";

/// Writes a conversation; gives its items and the warnings.
fn replayed(model: &str, messages: Vec<Message>) -> (Value, Vec<String>) {
    let asked = request(model, messages);
    let profile = rows::find(asked.model.provider()).unwrap().profile_of(asked.model.model());
    written(model, asked.messages, &profile)
}

fn written(model: &str, messages: Vec<Message>, profile: &Profile) -> (Value, Vec<String>) {
    let sent = OpenAiResponses.encode(&request(model, messages), profile, Delivery::Plain).unwrap();
    (serde_json::from_slice::<Value>(&sent.body).unwrap()["input"].take(), sent.warnings)
}

/// Reads items as an answer of a model.
fn answer(model: &str, items: &Value) -> Message {
    plain(model, &json!({"id": "resp_1", "status": "completed", "output": items})).unwrap().message
}

fn result(id: &str, content: Vec<Part>) -> ToolResult {
    ToolResult { id: id.into(), name: "add".into(), content, is_error: false }
}

fn assistant(parts: Vec<Part>) -> Message {
    Message { role: Role::Assistant, parts }
}

fn items() -> Value {
    json!([
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "s1", "content": [{"type": "reasoning_text", "text": "a"}],
            "summary": [{"type": "summary_text", "text": "b"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "s2"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "phase": "commentary", "content": [
            {"type": "output_text", "text": "One", "annotations": []},
            {"type": "output_text", "text": "Two", "annotations": []},
            {"type": "refusal", "refusal": "No."},
        ]},
        {"type": "function_call", "id": "fc_1", "namespace": "n", "call_id": "call_1", "name": "add", "arguments": "{}"},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "shell", "input": "ls"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "s3"},
    ])
}

#[test]
fn an_answer_goes_back_to_its_provider_as_it_came() {
    let results = Message::tool(vec![
        result("call_1", vec![Part::text("4")]),
        result("call_2", vec![Part::text("a"), Part::text("b")]),
    ]);
    let (input, warnings) = replayed(MODEL, vec![Message::user("?"), answer(MODEL, &items()), results]);
    let mut expected = vec![json!({"type": "message", "role": "user", "content": "?"})];
    expected.extend(items().as_array().unwrap().iter().cloned());
    expected.extend([
        json!({"type": "function_call_output", "call_id": "call_1", "output": "4"}),
        json!({"type": "custom_tool_call_output", "call_id": "call_2", "output": "ab"}),
    ]);
    assert_eq!(input, Value::Array(expected));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn another_provider_gets_what_all_understand() {
    let results = Message::tool(vec![result("call_2", vec![Part::text("a")])]);
    let (input, warnings) = replayed("xai:grok-4.3", vec![answer(MODEL, &items()), results]);
    let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let content = json!([text("One"), text("Two"), {"type": "refusal", "refusal": "No."}]);
    let expected = json!([
        {"type": "message", "role": "assistant", "content": content},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"},
        {"type": "function_call", "call_id": "call_2", "name": "shell", "arguments": "ls"},
        {"type": "function_call_output", "call_id": "call_2", "output": "a"},
    ]);
    assert_eq!(input, expected);
    assert_eq!(
        warnings,
        [
            "a block of a hosted tool of `openai-responses` was left out 2 times, as this model cannot take it",
            "a signature of `openai-responses` was left out 4 times, as this model cannot take it",
            "reasoning of `openai-responses` was left out 3 times, as this model cannot take it",
        ]
    );
}

#[test]
fn an_id_that_is_not_of_its_items_type_stays_away() {
    let items = json!([
        {"type": "reasoning", "id": "msg_0", "summary": [], "encrypted_content": "s"},
        {"type": "message", "role": "assistant", "id": "f9be6778", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "function_call", "id": "call_1", "call_id": "call_1", "name": "add", "arguments": ""},
    ]);
    let expected = json!([
        {"type": "reasoning", "summary": [], "encrypted_content": "s"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"},
    ]);
    assert_eq!(replayed(MODEL, vec![answer(MODEL, &items)]).0, expected);
}

#[test]
fn reasoning_that_the_provider_would_not_know_takes_the_ids_behind_it_along() {
    let items = json!([
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": null},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add", "arguments": "{}"},
    ]);
    let messages = || vec![answer(MODEL, &items)];
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"});
    let told = "reasoning of `openai-responses` was left out once, as this model cannot take it";
    assert_eq!(replayed(MODEL, messages()), (json!([call]), vec![told.to_owned()]));
    // A provider that has kept the item knows it by its id, and one that keeps nothing reads it.
    let mut kept = request(MODEL, messages());
    kept.extra = json!({"store": true}).as_object().unwrap().clone();
    let profile = rows::find("openai-responses").unwrap().profile_of("gpt-5.2");
    let sent = OpenAiResponses.encode(&kept, &profile, Delivery::Plain).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap()["input"], items);
    assert_eq!(written(MODEL, messages(), &Profile::COMMON).0, items);
}

#[test]
fn reasoning_that_led_to_nothing_stays_away() {
    let items = json!([
        {"type": "message", "role": "assistant", "id": "msg_1", "content": [
            {"type": "output_text", "text": "Hi", "annotations": []},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "s"},
    ]);
    let (input, warnings) = replayed(MODEL, vec![answer(MODEL, &items), Message::user("Go on")]);
    assert_eq!(input[0], items[0]);
    assert_eq!(input[1]["role"], "user");
    assert_eq!(warnings, ["reasoning that led to nothing was left out once, as this model cannot take it"]);
}

#[test]
fn reasoning_of_no_item_and_foreign_calls_are_written_plain() {
    let foreign = Some(Opaque { provider: "gemini".into(), payload: json!({"signature": "x"}) });
    let long = "x".repeat(50);
    let parts = vec![
        Part::Reasoning(Reasoning { text: "hm".into(), opaque: None }),
        Part::ToolCall(ToolCall {
            id: long.clone(),
            name: "add".into(),
            arguments: " ".into(),
            minted: false,
            opaque: foreign,
        }),
    ];
    let results = Message::tool(vec![result(&long, vec![Part::text("4")])]);
    let (input, warnings) = replayed(MODEL, vec![assistant(parts), results]);
    assert_eq!((&input[0]["type"], &input[0]["arguments"]), (&json!("function_call"), &json!("{}")));
    assert_eq!(input[0]["call_id"], input[1]["call_id"]);
    assert!(input[0]["call_id"].as_str().unwrap().len() <= 40);
    assert_eq!(warnings.len(), 2);
}

#[test]
fn results_keep_their_images_where_the_model_takes_them() {
    let image = || {
        let source = MediaSource::Base64("AA==".into());
        Part::Image(Media { media_type: Some("image/png".into()), source, name: None })
    };
    let results = || vec![Message::tool(vec![result("c", vec![Part::text("see"), image()])])];
    let sent = json!({"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"});
    let seen = json!({"type": "input_text", "text": "see"});
    let expected = json!([{"type": "function_call_output", "call_id": "c", "output": [seen, sent]}]);
    assert_eq!(replayed(MODEL, results()).0, expected);
    let lead = json!({"type": "input_text", "text": "Result of the call of tool `add` with id `c`:"});
    let expected = json!([
        {"type": "function_call_output", "call_id": "c", "output": "The result follows in the next message of the user."},
        {"type": "message", "role": "user", "content": [lead, seen, sent]},
    ]);
    assert_eq!(replayed("xai:grok-4.3", results()).0, expected);
}

#[test]
fn an_image_that_the_model_made_is_a_part_and_goes_back_in_its_item() {
    let items = json!([
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "output_format": "jpeg", "result": "AA=="},
    ]);
    let message = answer(MODEL, &items);
    let source = MediaSource::Base64("AA==".into());
    let image = Part::Image(Media { media_type: Some("image/jpeg".into()), source, name: None });
    assert_eq!(message.parts[1], image);
    assert_eq!(replayed(MODEL, vec![message.clone()]).0, items);
    let (input, warnings) = replayed("xai:grok-4.3", vec![message, Message::user("Nice")]);
    assert_eq!((input.as_array().unwrap().len(), warnings.len()), (1, 2));
}

#[test]
fn an_item_that_the_user_owes_the_provider_goes_in_unchanged() {
    let payload = json!({"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": true});
    let opaque = |provider: &str| Opaque { provider: provider.into(), payload: payload.clone() };
    for role in [Role::User, Role::Tool] {
        let own = Message { role, parts: vec![Part::Native { opaque: opaque("openai-responses") }] };
        assert_eq!(replayed(MODEL, vec![own]).0, json!([payload]));
    }
    let shapeless = Opaque { payload: json!("x"), ..opaque("openai-responses") };
    let parts =
        vec![Part::Native { opaque: opaque("gemini") }, Part::Native { opaque: shapeless }, Part::text("Hi")];
    let (input, warnings) = replayed(MODEL, vec![Message { role: Role::User, parts }]);
    assert_eq!((input.as_array().unwrap().len(), warnings.len()), (1, 2));
}
