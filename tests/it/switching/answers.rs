//! One answer for each native dialect: it thinks, says something, and calls a tool.

use serde_json::{Value, json};

/// A provider and how it answers.
pub(super) struct Provider {
    pub(super) name: &'static str,
    pub(super) model: &'static str,
    /// The answer of this number; its texts carry the number.
    pub(super) answer: fn(usize) -> Value,
    /// What must go back to this provider and to no other.
    pub(super) secrets: fn(usize) -> Vec<String>,
    /// It shows what it thought.
    pub(super) reasons: bool,
}

pub(super) const PROVIDERS: &[Provider] = &[
    Provider {
        name: "openai",
        model: "gpt-4.1",
        answer: |n| {
            json!({
                "id": format!("chatcmpl-{n}"), "object": "chat.completion", "created": n, "model": "gpt-4.1",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant", "content": format!("I look it up {n}."),
                    "tool_calls": [{"id": format!("call_{n}abcdefghijklmnopqrstuvwxyz"), "type": "function",
                        "function": {"name": "weather", "arguments": format!("{{\"city\": \"Oslo{n}\"}}")}}]}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            })
        },
        secrets: |_| Vec::new(),
        reasons: false,
    },
    Provider {
        name: "openrouter",
        model: "anthropic/claude-sonnet-4.5",
        answer: |n| {
            json!({
                "id": format!("gen-{n}"), "object": "chat.completion", "created": n, "model": "anthropic/claude-sonnet-4.5",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant", "content": "", "reasoning": format!("thought{n}"),
                    "reasoning_details": [{"type": "reasoning.text", "text": format!("thought{n}"),
                        "signature": format!("or-signature-{n}"), "format": "anthropic-claude-v1", "index": 0}],
                    "tool_calls": [{"id": format!("toolu_{n}"), "type": "function", "index": 0,
                        "function": {"name": "weather", "arguments": format!("{{\"city\": \"Oslo{n}\"}}")}}]}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            })
        },
        secrets: |n| vec![format!("or-signature-{n}")],
        reasons: true,
    },
    Provider {
        name: "deepseek",
        model: "deepseek-reasoner",
        answer: |n| {
            json!({
                "id": format!("ds-{n}"), "object": "chat.completion", "created": n, "model": "deepseek-reasoner",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant", "content": "", "reasoning_content": format!("thought{n}"),
                    "tool_calls": [{"id": format!("call_00_{n}"), "type": "function", "index": 0,
                        "function": {"name": "weather", "arguments": format!("{{\"city\": \"Oslo{n}\"}}")}}]}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            })
        },
        secrets: |_| Vec::new(),
        reasons: true,
    },
    Provider {
        name: "mistral",
        model: "magistral-medium-latest",
        answer: |n| {
            json!({
                "id": format!("m-{n}"), "object": "chat.completion", "created": n, "model": "magistral-medium-latest",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": [{"type": "text", "text": format!("thought{n}")}]},
                        {"type": "text", "text": format!("I look it up {n}.")}],
                    "tool_calls": [{"id": format!("abcdefg{n:02}"), "index": 0,
                        "function": {"name": "weather", "arguments": format!("{{\"city\": \"Oslo{n}\"}}")}}]}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            })
        },
        secrets: |_| Vec::new(),
        reasons: true,
    },
    Provider {
        name: "openai-responses",
        model: "gpt-5",
        answer: |n| {
            json!({
                "id": format!("resp_{n}"), "object": "response", "created_at": n, "status": "completed", "model": "gpt-5",
                "output": [
                    {"type": "reasoning", "id": format!("rs_secret{n}"), "encrypted_content": format!("encrypted-{n}"),
                        "summary": [{"type": "summary_text", "text": format!("thought{n}")}]},
                    {"type": "message", "id": format!("msg_secret{n}"), "role": "assistant", "status": "completed",
                        "content": [{"type": "output_text", "text": format!("I look it up {n}."), "annotations": []}]},
                    {"type": "function_call", "id": format!("fc_secret{n}"), "call_id": format!("call_r{n}"),
                        "name": "weather", "arguments": format!("{{\"city\":\"Oslo{n}\"}}"), "status": "completed"}
                ],
                "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
                    "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 3}}
            })
        },
        secrets: |n| vec![format!("rs_secret{n}"), format!("encrypted-{n}"), format!("fc_secret{n}")],
        reasons: true,
    },
    Provider {
        name: "anthropic",
        model: "claude-sonnet-4-5",
        answer: |n| {
            json!({
                "id": format!("msg_{n}"), "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
                "content": [
                    {"type": "thinking", "thinking": format!("thought{n}"), "signature": format!("an-signature-{n}")},
                    {"type": "redacted_thinking", "data": format!("an-redacted-{n}")},
                    {"type": "text", "text": format!("I look it up {n}.")},
                    {"type": "tool_use", "id": format!("toolu_a{n}"), "name": "weather", "input": {"city": format!("Oslo{n}")}}
                ],
                "stop_reason": "tool_use", "stop_sequence": null,
                "usage": {"input_tokens": 10, "output_tokens": 5}
            })
        },
        secrets: |n| vec![format!("an-signature-{n}"), format!("an-redacted-{n}")],
        reasons: true,
    },
    Provider {
        name: "gemini",
        model: "gemini-3-pro-preview",
        answer: |n| {
            json!({
                "responseId": format!("g{n}"), "modelVersion": "gemini-3-pro-preview",
                "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
                    {"text": format!("thought{n}"), "thought": true},
                    {"functionCall": {"name": "weather", "args": {"city": format!("Oslo{n}")}},
                        "thoughtSignature": format!("Z2Utc2lnbmF0dXJl{n}")}
                ]}}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
            })
        },
        secrets: |n| vec![format!("Z2Utc2lnbmF0dXJl{n}")],
        reasons: true,
    },
    Provider {
        name: "bedrock",
        model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        answer: |n| {
            json!({
                "output": {"message": {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": format!("thought{n}"), "signature": format!("br-signature-{n}")}}},
                    {"text": format!("I look it up {n}.")},
                    {"toolUse": {"toolUseId": format!("tooluse_{n}"), "name": "weather", "input": {"city": format!("Oslo{n}")}}}
                ]}},
                "stopReason": "tool_use", "metrics": {"latencyMs": 1},
                "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
            })
        },
        secrets: |n| vec![format!("br-signature-{n}")],
        reasons: true,
    },
    Provider {
        name: "cohere",
        model: "command-a-03-2025",
        answer: |n| {
            json!({
                "id": format!("c{n}"), "finish_reason": "TOOL_CALL",
                "message": {"role": "assistant", "tool_plan": format!("I look it up {n}."),
                    "tool_calls": [{"id": format!("weather_{n}xyz"), "type": "function",
                        "function": {"name": "weather", "arguments": format!("{{\"city\":\"Oslo{n}\"}}")}}]},
                "usage": {"billed_units": {"input_tokens": 8, "output_tokens": 5}, "tokens": {"input_tokens": 10, "output_tokens": 5}}
            })
        },
        secrets: |_| Vec::new(),
        reasons: false,
    },
    Provider {
        name: "ollama",
        model: "qwen3:8b",
        answer: |n| {
            json!({
                "model": "qwen3:8b", "created_at": "2026-01-01T00:00:00Z", "done": true, "done_reason": "stop",
                "message": {"role": "assistant", "content": "", "thinking": format!("thought{n}"),
                    "tool_calls": [{"function": {"name": "weather", "arguments": {"city": format!("Oslo{n}")}}}]},
                "prompt_eval_count": 10, "eval_count": 5
            })
        },
        secrets: |_| Vec::new(),
        reasons: true,
    },
];
