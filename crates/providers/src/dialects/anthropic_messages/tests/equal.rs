//! A streamed answer folds into the plain one, whatever its blocks and however they are cut, and goes back as it came.

use motet_core::message::{ToolCall, ToolResult};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn any_block() -> impl Strategy<Value = Value> {
    let text = "[a-zé🦀\"]{1,12}";
    let object = proptest::collection::vec(("[a-z]{1,4}", -9i64..9), 0..3)
        .prop_map(|pairs| json!(pairs.into_iter().collect::<std::collections::BTreeMap<_, _>>()));
    prop_oneof![
        text.prop_map(|text| json!({"type": "text", "text": text})),
        (text, text).prop_map(|(text, cited)| {
            json!({"type": "text", "text": text, "citations": [{"type": "char_location", "cited_text": cited}]})
        }),
        ("[a-z é]{0,12}", "[A-Za-z0-9+/=]{4,20}").prop_map(|(thinking, signature)| {
            json!({"type": "thinking", "thinking": thinking, "signature": signature})
        }),
        "[A-Za-z0-9+/=]{4,20}".prop_map(|data| json!({"type": "redacted_thinking", "data": data})),
        object.clone().prop_map(|input| json!({"type": "tool_use", "id": "", "name": "f", "input": input})),
        object.clone().prop_map(|input| {
            json!({"type": "tool_use", "id": "", "name": "g", "input": input, "caller": {"type": "code", "tool_id": "s"}})
        }),
        object.prop_map(|input| json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "s", "input": input})),
        text.prop_map(|found| json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": found}]})),
    ]
}

/// Blocks that a server may send: calls have ids, and no turn ends in thinking.
fn blocks() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(any_block(), 0..6).prop_map(|mut blocks| {
        for (place, block) in blocks.iter_mut().enumerate() {
            if block["type"] == "tool_use" {
                block["id"] = json!(format!("toolu_{place}"));
            }
        }
        blocks.push(json!({"type": "text", "text": "end"}));
        blocks
    })
}

/// Cuts a block into the events that stream it, texts after every few characters.
fn pieces(index: u32, whole: &Value, width: usize) -> Vec<Value> {
    let cut = |text: &str| -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        characters.chunks(width).map(|piece| piece.iter().collect()).collect()
    };
    let of = |name: &str| cut(whole[name].as_str().unwrap_or_default());
    let mut begun = whole.clone();
    let mut deltas = Vec::new();
    match whole["type"].as_str().unwrap() {
        "text" => {
            begun["text"] = json!("");
            deltas.extend(of("text").into_iter().map(|piece| json!({"type": "text_delta", "text": piece})));
            for citation in begun
                .as_object_mut()
                .unwrap()
                .remove("citations")
                .iter()
                .flat_map(|list| list.as_array().unwrap())
            {
                deltas.push(json!({"type": "citations_delta", "citation": citation}));
            }
        }
        "thinking" => {
            (begun["thinking"], begun["signature"]) = (json!(""), json!(""));
            deltas.extend(
                of("thinking").into_iter().map(|piece| json!({"type": "thinking_delta", "thinking": piece})),
            );
            deltas.push(json!({"type": "signature_delta", "signature": whole["signature"]}));
        }
        "tool_use" | "server_tool_use" if whole["input"] != json!({}) => {
            begun["input"] = json!({});
            let input = cut(&whole["input"].to_string());
            deltas.extend(
                input.into_iter().map(|piece| json!({"type": "input_json_delta", "partial_json": piece})),
            );
        }
        _ => {}
    }
    let deltas = deltas.into_iter().map(|piece| delta(index, piece));
    std::iter::once(block(index, begun)).chain(deltas).chain([stop(index)]).collect()
}

/// Answers every call of a message.
fn results(message: &Message) -> Option<Message> {
    let answer = |call: &ToolCall| ToolResult {
        id: call.id.clone(),
        name: call.name.clone(),
        content: vec![Part::text("4")],
        is_error: false,
    };
    let results: Vec<ToolResult> = message.tool_calls().map(answer).collect();
    (!results.is_empty()).then(|| Message::tool(results))
}

proptest! {
    #[test]
    fn any_answer_is_the_same_streamed_and_goes_back_as_it_came(blocks in blocks(), width in 1usize..5) {
        let usage = json!({"input_tokens": 3, "output_tokens": 4});
        let whole = plain(&json!({"id": "msg_1", "model": "claude", "content": blocks, "usage": usage, "stop_reason": "end_turn"})).unwrap();
        let mut events = vec![start(usage)];
        events.extend((0..).zip(&blocks).flat_map(|(index, block)| pieces(index, block, width)));
        events.extend(ending("end_turn"));
        prop_assert_eq!(&streamed(&events).unwrap(), &whole);

        let mut messages = vec![Message::user("hi"), whole.message.clone()];
        messages.extend(results(&whole.message));
        messages.push(Message::user("go on"));
        let sent = body(&request(MODEL, messages));
        let back = match &sent["messages"][1]["content"] {
            Value::String(text) => json!([{"type": "text", "text": text}]),
            content => content.clone(),
        };
        prop_assert_eq!(back, json!(blocks));
    }
}
