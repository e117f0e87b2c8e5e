//! A streamed answer folds into the plain one, whatever it says and however it is cut.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::answers::{plain, streamed};

#[derive(Debug, Clone)]
struct Answer {
    reasoning: String,
    text: String,
    refusal: String,
    calls: Vec<(Option<String>, String, String)>,
    finish: Option<&'static str>,
    usage: Option<(u32, u32, u32)>,
    details: bool,
}

fn answer() -> impl Strategy<Value = Answer> {
    let call = (proptest::option::of("[a-z0-9]{1,6}"), "[a-z_]{1,8}", "[ -~é]{0,12}");
    let finish = prop_oneof![
        Just(None),
        Just(Some("stop")),
        Just(Some("length")),
        Just(Some("tool_calls")),
        Just(Some("content_filter")),
        Just(Some("odd"))
    ];
    (
        "[ -~é]{0,12}",
        "[ -~\n\"é🦀]{0,20}",
        "[a-z]{0,4}",
        proptest::collection::vec(call, 0..4),
        finish,
        proptest::option::of((0u32..1000, 0u32..1000, 0u32..10)),
        any::<bool>(),
    )
        .prop_map(|(reasoning, text, refusal, calls, finish, usage, details)| {
            let calls = calls
                .into_iter()
                .enumerate()
                .map(|(place, (id, name, arguments))| (id.map(|id| format!("{id}-{place}")), name, arguments))
                .collect();
            Answer { reasoning, text, refusal, calls, finish, usage, details }
        })
}

fn usage(answer: &Answer) -> Value {
    answer.usage.map_or(Value::Null, |(input, output, cached)| {
        json!({"prompt_tokens": input, "completion_tokens": output, "prompt_tokens_details": {"cached_tokens": cached}})
    })
}

fn details(text: &str) -> Value {
    json!([{"type": "reasoning.text", "text": text, "index": 0}])
}

fn plain_body(answer: &Answer) -> Value {
    let calls: Vec<Value> = answer
        .calls
        .iter()
        .map(|(id, name, arguments)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
        .collect();
    let mut message = json!({
        "role": "assistant", "content": answer.text, "reasoning_content": answer.reasoning, "refusal": answer.refusal,
        "tool_calls": calls,
    });
    if answer.details && !answer.reasoning.is_empty() {
        message["reasoning_details"] = details(&answer.reasoning);
    }
    json!({
        "id": "r", "model": "m", "created": 1, "usage": usage(answer),
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish}],
    })
}

/// Cuts a text into pieces of `size` characters.
fn cut(text: &str, size: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(size).map(|piece| piece.iter().collect()).collect()
}

fn chunks(answer: &Answer, size: usize, repeat_ids: bool) -> Vec<Value> {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    for piece in cut(&answer.reasoning, size) {
        let mut delta = json!({"reasoning_content": piece});
        if answer.details {
            delta["reasoning_details"] = details(&piece);
        }
        deltas.push(delta);
    }
    deltas.extend(cut(&answer.text, size).into_iter().map(|piece| json!({"content": piece})));
    deltas.extend(cut(&answer.refusal, size).into_iter().map(|piece| json!({"refusal": piece})));
    for (index, (id, name, arguments)) in answer.calls.iter().enumerate() {
        deltas.push(
            json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": ""}}]}),
        );
        for piece in cut(arguments, size) {
            let id = if repeat_ids { id.clone() } else { None };
            deltas
                .push(json!({"tool_calls": [{"index": index, "id": id, "function": {"arguments": piece}}]}));
        }
    }
    let wrap = |delta: Value, finish: Option<&str>| json!({"id": "r", "model": "m", "created": 1, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let mut chunks: Vec<Value> = deltas.into_iter().map(|delta| wrap(delta, None)).collect();
    chunks.push(wrap(json!({}), answer.finish));
    chunks.push(json!({"id": "r", "choices": [], "usage": usage(answer)}));
    chunks
}

proptest! {
    #[test]
    fn a_folded_stream_is_the_plain_answer(answer in answer(), size in 1usize..8, repeat_ids in any::<bool>()) {
        let whole = plain(&plain_body(&answer)).unwrap();
        let folded = streamed(&chunks(&answer, size, repeat_ids)).unwrap();
        prop_assert_eq!(folded, whole);
    }
}
