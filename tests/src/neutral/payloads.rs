//! What must travel back, in the shape in which Motet's dialects keep it.

use serde_json::{Value, json};

use crate::corpus::Line;

/// Gives what belongs to a text.
pub(super) fn of_text(part: &Value) -> Option<Value> {
    signature(part)
}

/// Gives what belongs to a tool call.
pub(super) fn of_call(line: &Line, part: &Value) -> Option<Value> {
    match part["item_id"].as_str() {
        Some(id) if line.wire == "openai-responses" => Some(json!({"id": id})),
        _ => signature(part),
    }
}

/// Gives what belongs to reasoning.
pub(super) fn of_reasoning(line: &Line, part: &Value) -> Option<Value> {
    let text = part["text"].as_str().unwrap_or_default();
    match line.wire.as_str() {
        "anthropic-messages" if part["redacted"].is_string() => {
            Some(json!({"type": "redacted_thinking", "data": part["redacted"]}))
        }
        "anthropic-messages" => {
            Some(json!({"type": "thinking", "thinking": text, "signature": part["signature"]}))
        }
        "bedrock-converse" if part["redacted"].is_string() => Some(json!({"data": part["redacted"]})),
        "bedrock-converse" => Some(json!({"signature": part["signature"]})),
        "openai-responses" => {
            let items = line.request.body["input"].as_array().into_iter().flatten();
            let own = |item: &&Value| {
                item["type"] == "reasoning"
                    && item["id"] == part["id"]
                    && item["encrypted_content"] == part["encrypted"]
            };
            items.into_iter().find(own).cloned()
        }
        "openai-chat" if part.get("native").is_some() => Some(json!({"reasoning_details": part["native"]})),
        "openai-chat" => {
            let messages = line.request.body["messages"].as_array().into_iter().flatten();
            let field = |message: &Value| {
                ["reasoning_content", "reasoning"].into_iter().find(|field| message[*field] == part["text"])
            };
            messages.into_iter().find_map(field).map(|field| json!({"came_in": field}))
        }
        _ => signature(part),
    }
}

fn signature(part: &Value) -> Option<Value> {
    part["signature"].as_str().map(|signature| json!({"thoughtSignature": signature}))
}
