//! What of an earlier answer goes back, to whom, and what is told of the rest.

use motet_core::message::{Opaque, Reasoning, ToolCall};
use motet_core::{Message, Part};
use serde_json::{Value, json};

use super::answers::plain;
use super::requests::{answered, assistant, bytes, call, messages, request, warnings};
use crate::dialect::{Profile, ReasoningEcho};

fn opaque(provider: &str, payload: Value) -> Option<Opaque> {
    Some(Opaque { provider: provider.into(), payload })
}

fn thought(opaque: Option<Opaque>) -> Part {
    Part::Reasoning(Reasoning { text: "hm".into(), opaque })
}

/// Sends an answer back and gives its message on the wire, null where none is left.
fn back(parts: Vec<Part>, profile: &Profile) -> Value {
    messages(answered(parts), profile).get_mut(0).map_or(Value::Null, Value::take)
}

fn echoing(reasoning_echo: ReasoningEcho) -> Profile {
    Profile { reasoning_echo, ..Profile::COMMON }
}

#[test]
fn reasoning_goes_back_where_it_is_wanted() {
    let came = |field: &str| opaque("custom", json!({"came_in": field}));
    let details = json!([{"type": "reasoning.text", "text": "hm", "format": null, "id": null, "index": 0}]);
    let detailed = || opaque("custom", json!({"came_in": "reasoning", "reasoning_details": details}));
    let secret = || opaque("custom", json!({"reasoning_opaque": "o", "reasoning_encrypted": "e"}));
    let with = ReasoningEcho::WithToolCalls("reasoning_content");
    let always = ReasoningEcho::Always("reasoning");
    let thinking = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]);
    let thinking_then = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "4"}]);
    for (echo, parts, called, expected) in [
        (
            ReasoningEcho::Never,
            vec![thought(came("reasoning")), Part::text("4")],
            false,
            json!({"content": "4"}),
        ),
        (
            ReasoningEcho::Never,
            vec![thought(detailed()), Part::text("4")],
            false,
            json!({"content": "4", "reasoning_details": details}),
        ),
        (
            ReasoningEcho::Never,
            vec![thought(secret())],
            true,
            json!({"content": null, "reasoning_opaque": "o", "reasoning_encrypted": "e"}),
        ),
        (ReasoningEcho::Never, vec![thought(None)], false, Value::Null),
        (with, vec![thought(came("reasoning_content"))], false, Value::Null),
        (with, vec![thought(None)], true, json!({"content": null, "reasoning_content": "hm"})),
        (with, vec![thought(came("reasoning"))], true, json!({"content": null, "reasoning": "hm"})),
        (with, vec![], true, json!({"content": null, "reasoning_content": ""})),
        (
            ReasoningEcho::AsSent,
            vec![thought(came("reasoning"))],
            true,
            json!({"content": null, "reasoning": "hm"}),
        ),
        (ReasoningEcho::AsSent, vec![thought(None)], true, json!({"content": null})),
        (always, vec![thought(None), Part::text("4")], false, json!({"content": "4", "reasoning": "hm"})),
        (always, vec![thought(came("reasoning"))], false, json!({"content": "", "reasoning": "hm"})),
        (ReasoningEcho::Content, vec![thought(came("content"))], true, json!({"content": thinking})),
        (
            ReasoningEcho::Content,
            vec![thought(came("content")), Part::text("4")],
            false,
            json!({"content": thinking_then}),
        ),
    ] {
        let shown = format!("{echo:?} {parts:?} {called}");
        let calls = called.then(|| Part::ToolCall(call("a", "{}")));
        let mut sent = back(parts.into_iter().chain(calls).collect(), &echoing(echo));
        if let Some(fields) = sent.as_object_mut() {
            assert_eq!(fields.remove("tool_calls").is_some(), called, "{shown}");
            fields.remove("role");
        }
        assert_eq!(sent, expected, "{shown}");
    }
}

#[test]
fn what_another_provider_sent_is_left_out_and_told() {
    let foreign = |payload: Value| opaque("other", payload);
    let signed = ToolCall { opaque: foreign(json!({"signature": "s"})), ..call("a", "{}") };
    let parts = vec![
        thought(foreign(json!({"came_in": "reasoning"}))),
        thought(opaque("custom", json!({"signature": "of another format"}))),
        Part::Text { text: "4".into(), opaque: foreign(json!({"signature": "s"})) },
        Part::ToolCall(signed),
        Part::Native { opaque: foreign(json!({"audio": {"id": "a1"}})).unwrap() },
        Part::Native { opaque: opaque("custom", json!({"type": "search"})).unwrap() },
    ];
    let with = echoing(ReasoningEcho::WithToolCalls("reasoning_content"));
    let sent = back(parts.clone(), &with);
    assert_eq!((&sent["content"], &sent["reasoning_content"]), (&json!("4"), &json!("")));
    assert_eq!(sent["tool_calls"][0].as_object().unwrap().len(), 3);
    let told = warnings(&request(answered(parts)), &with);
    let left_out = |what: &str| format!("{what} was left out once, as this model cannot take it");
    assert_eq!(
        told,
        [
            left_out("a block of `custom`"),
            left_out("a block of `other`"),
            left_out("reasoning of `custom`"),
            left_out("reasoning of `other`"),
            left_out("the payload of a text of `other`"),
            left_out("the payload of a tool call of `other`"),
        ]
    );
}

#[test]
fn what_goes_with_calls_goes_back_with_them() {
    let with = |payload: Value| {
        let sent = ToolCall { opaque: opaque("custom", payload), ..call("a", "x = 1") };
        back(vec![Part::ToolCall(sent)], &Profile::COMMON)["tool_calls"][0].take()
    };
    let free = json!({"id": "a", "type": "custom", "custom": {"name": "add", "input": "x = 1"}});
    assert_eq!(with(json!({"type": "custom"})), free);
    let extra = json!({"google": {"thought_signature": "sig"}});
    assert_eq!(with(json!({"extra_content": extra}))["extra_content"], extra);
}

#[test]
fn an_answer_goes_back_as_it_came() {
    let profile = echoing(ReasoningEcho::WithToolCalls("reasoning_content"));
    let calls =
        json!([{"id": "a", "type": "function", "function": {"name": "add", "arguments": "{\"x\": 1}"}}]);
    let details = json!([
        {"type": "reasoning.text", "text": "hm", "signature": "s==", "format": "anthropic-claude-v1", "index": 0, "id": null},
        {"type": "reasoning.encrypted", "data": "AA==", "format": "openai-responses-v1", "index": 1, "id": "rs_1"},
    ]);
    for said in [
        json!({"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": calls}),
        json!({"role": "assistant", "content": "so", "reasoning": "hm", "tool_calls": calls}),
        json!({"role": "assistant", "content": "so", "reasoning_details": details}),
        json!({"role": "assistant", "content": "<think>\nhm\n</think>\n4"}),
    ] {
        let answer = plain(&json!({"choices": [{"message": said, "finish_reason": "stop"}]})).unwrap();
        assert_eq!(back(answer.message.parts, &profile), said);
    }
    let spoken = json!({"content": null, "audio": {"id": "audio_1", "data": "AA==", "transcript": "Hi"}});
    let answer = plain(&json!({"choices": [{"message": spoken}]})).unwrap();
    assert_eq!(back(answer.message.parts, &profile)["audio"], json!({"id": "audio_1"}));
}

#[test]
fn an_image_that_the_model_made_goes_back_with_the_next_question() {
    let said = || {
        vec![
            assistant(vec![Part::text("Here"), Part::Image(bytes("image/png", "AA=="))]),
            Message::user("Red!"),
        ]
    };
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let expected = json!([
        {"role": "assistant", "content": "Here"},
        {"role": "user", "content": [{"type": "text", "text": "The image that you made:"}, image]},
        {"role": "user", "content": "Red!"},
    ]);
    assert_eq!(messages(said(), &Profile::COMMON), expected);
    let blind = Profile { images: false, ..Profile::COMMON };
    assert_eq!(messages(said(), &blind).as_array().unwrap().len(), 2);
    assert!(warnings(&request(said()), &blind)[0].starts_with("an image that a model made was left out"));
}
