//! What comes back of an answer when the conversation goes on, with the same provider and with another model.

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::message::{Opaque, Reasoning, ToolResult};
use motet_core::{Message, Part, Role};
use serde_json::{Value, json};

use super::{CLAUDE, NOVA, message, request, sent};
use crate::dialect::{Dialect as _, Origin};
use crate::dialects::bedrock_converse::BedrockConverse;
use crate::rows;

fn read(content: &Value) -> Message {
    let id = format!("bedrock:{CLAUDE}").parse().unwrap();
    let origin = Arc::new(Origin::new(rows::find("bedrock").unwrap(), id));
    let body =
        json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use"});
    let mut accumulator = Accumulator::new(origin.model.clone());
    for event in BedrockConverse.decode(body.to_string().as_bytes(), &origin).unwrap() {
        accumulator.push(event).unwrap();
    }
    accumulator.finish().unwrap().message
}

#[test]
fn an_answer_goes_back_as_it_came() {
    let content = json!([
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln+/=="}}},
        {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "only"}}},
        {"text": "Let me see."},
        {"toolUse": {"toolUseId": "srvtoolu_1", "name": "nova_grounding", "input": {"q": "x"}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "srvtoolu_1", "content": [{"json": {"found": 1}}], "type": "nova_result"}},
        {"toolUse": {"toolUseId": "tooluse_1", "name": "add", "input": {"b": 1.0, "a": 12345678901234567890u64}}},
    ]);
    let turn = read(&content);
    assert_eq!(turn.tool_calls().count(), 1);
    let results = Message::tool(vec![ToolResult {
        id: "tooluse_1".into(),
        name: "add".into(),
        content: vec![Part::text("3")],
        is_error: false,
    }]);
    let conversation = vec![Message::user("a"), turn, results];
    let (body, warnings) = sent(&request(CLAUDE, conversation.clone()));
    assert_eq!(body["messages"][1]["content"], content);
    assert_eq!(warnings.len(), 1, "{warnings:?}");

    // Another model of the same provider takes no reasoning; another provider's row takes nothing that is not neutral.
    let (body, warnings) = sent(&request(NOVA, conversation.clone()));
    assert_eq!(body["messages"][1]["content"].as_array().unwrap().len(), 4);
    assert!(
        warnings.contains(
            &"reasoning of `bedrock` was left out 3 times, as this model cannot take it".to_owned()
        )
    );
    let mut foreign = conversation;
    for part in &mut foreign[1].parts {
        if let Part::Reasoning(Reasoning { opaque: Some(opaque), .. }) | Part::Native { opaque } = part {
            opaque.provider = "anthropic".into();
        }
    }
    let (body, warnings) = sent(&request(CLAUDE, foreign));
    let kept = body["messages"][1]["content"].as_array().unwrap();
    assert_eq!((kept.len(), warnings.len()), (2, 3), "{warnings:?}");
}

#[test]
fn blocks_in_the_callers_own_hand_are_sent_where_they_stand() {
    let native = |provider: &str, payload: Value| Part::Native {
        opaque: Opaque { provider: provider.into(), payload },
    };
    let point = json!({"cachePoint": {"type": "default"}});
    let asked = request(
        CLAUDE,
        vec![
            message(Role::System, vec![Part::text("s"), native("bedrock", point.clone())]),
            message(
                Role::User,
                vec![Part::text("u"), native("bedrock", point.clone()), native("openai", point.clone())],
            ),
            message(Role::User, vec![native("bedrock", json!("no block"))]),
        ],
    );
    let (body, warnings) = sent(&asked);
    assert_eq!(body["system"], json!([{"text": "s"}, point]));
    assert_eq!(body["messages"][0]["content"], json!([{"text": "u"}, point]));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn reasoning_that_nobody_signed_is_left_out() {
    let thought = Part::Reasoning(Reasoning { text: "hm".into(), opaque: None });
    let conversation = vec![Message::user("a"), message(Role::Assistant, vec![thought, Part::text("b")])];
    for (model, told) in [(CLAUDE, 1), ("us.deepseek.r1-v1:0", 0)] {
        let (body, warnings) = sent(&request(model, conversation.clone()));
        assert_eq!(body["messages"][1]["content"], json!([{"text": "b"}]));
        assert_eq!(warnings.len(), told, "{model}");
    }
}
