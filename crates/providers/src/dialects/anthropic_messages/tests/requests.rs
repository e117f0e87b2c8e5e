//! Options as they are sent to models that differ, and what the user is told of those that are not.

use motet_core::ErrorKind;
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use serde_json::json;

use super::*;
use crate::dialect::JsonOutput;

fn asked(model: &str, change: impl FnOnce(&mut ChatRequest)) -> ChatRequest {
    let mut request = request(&format!("anthropic:{model}"), vec![Message::user("hi")]);
    change(&mut request);
    request
}

fn tool() -> ToolSpec {
    ToolSpec::new("add", "Adds.", json!({"type": "object", "properties": {"a": {"type": "number"}}}))
}

/// Gives the fields of a body that are not in every one.
fn options(request: &ChatRequest) -> Value {
    let mut body = body(request);
    for name in ["model", "messages", "max_tokens", "tools"] {
        body.as_object_mut().unwrap().remove(name);
    }
    body
}

fn effort(
    model: &str,
    effort: ReasoningEffort,
    change: impl FnOnce(&mut ChatRequest),
) -> (Value, Vec<String>) {
    let request = asked(model, |request| {
        request.reasoning_effort = Some(effort);
        change(request);
    });
    (options(&request), warnings(&request))
}

#[test]
fn a_request_carries_what_every_one_must() {
    let sent = encode(&asked("claude-sonnet-4-5", |_| {})).unwrap();
    assert_eq!(
        (sent.path.as_ref(), sent.headers),
        ("/messages", vec![("anthropic-version", "2023-06-01".to_owned())])
    );
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let messages = json!([{"role": "user", "content": "hi"}]);
    assert_eq!(sent, json!({"model": "claude-sonnet-4-5", "messages": messages, "max_tokens": 64_000}));
    for (model, limit) in [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-haiku-latest", 8_192),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-opus-5-5", 128_000),
        ("claude-of-tomorrow", 128_000),
    ] {
        assert_eq!(body(&asked(model, |_| {}))["max_tokens"], limit, "{model}");
    }
    let all = asked("claude-haiku-4-5", |request| {
        request.max_tokens = Some(7);
        request.sampling.temperature = Some(0.5);
        request.sampling.top_k = Some(3);
        request.stop = vec!["END".into()];
        request.metadata.insert("user_id".into(), json!("u1"));
        request.metadata.insert("label".into(), json!("kept here"));
        request.extra.insert("cache_control".into(), json!({"type": "ephemeral"}));
    });
    let expected = json!({
        "temperature": 0.5, "top_k": 3, "stop_sequences": ["END"], "metadata": {"user_id": "u1"},
        "cache_control": {"type": "ephemeral"},
    });
    assert_eq!(
        (options(&all), body(&all)["max_tokens"].clone(), warnings(&all)),
        (expected, json!(7), vec![])
    );
    let streamed = AnthropicMessages.encode(&all, &origin(MODEL).profile, Delivery::Streamed).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&streamed.body).unwrap()["stream"], true);
}

#[test]
fn an_effort_is_asked_for_in_the_words_of_the_model() {
    use ReasoningEffort::{High, Low, Minimal, None, Xhigh};
    let budget = |tokens: u32| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let adaptive = |effort: &str| json!({"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort}});
    let off = |word: &str| json!({"thinking": {"type": word}});
    for (model, wished, expected, told) in [
        ("claude-3-5-haiku", High, json!({}), "the model takes no reasoning effort; `high` was left out"),
        ("claude-3-7-sonnet", High, budget(16_384), ""),
        ("claude-sonnet-4-5", Minimal, budget(1_024), ""),
        ("claude-opus-4-1", Xhigh, budget(24_000), ""),
        ("claude-haiku-4-5", None, json!({}), ""),
        ("claude-opus-4-6", High, adaptive("high"), ""),
        (
            "claude-opus-4-6",
            Xhigh,
            adaptive("high"),
            "the model does not accept reasoning effort `xhigh`; `high` was sent instead",
        ),
        ("claude-opus-4-7", Xhigh, adaptive("xhigh"), ""),
        ("claude-opus-4-8", None, json!({}), ""),
        ("claude-sonnet-5", Low, adaptive("low"), ""),
        ("claude-sonnet-5", None, off("disabled"), ""),
        ("claude-sonnet-5-5", None, off("between_tools"), ""),
        (
            "claude-opus-5-5",
            None,
            adaptive("low"),
            "the model does not accept reasoning effort `none`; `low` was sent instead",
        ),
        ("claude-of-tomorrow", High, adaptive("high"), ""),
    ] {
        let (sent, warned) = effort(model, wished, |_| {});
        assert_eq!((sent, warned.join("")), (expected, told.to_owned()), "{model} {wished:?}");
    }
}

#[test]
fn thinking_gives_way_where_it_cannot_be_had() {
    let high = ReasoningEffort::High;
    let forced = |request: &mut ChatRequest| {
        request.tools = vec![tool()];
        request.tool_choice = ToolChoice::Required;
    };
    let required =
        "the model does not think while a tool call is required; reasoning effort was left out".to_owned();
    let any = json!({"tool_choice": {"type": "any"}});
    assert_eq!(effort("claude-sonnet-4-5", high, forced), (any.clone(), vec![required.clone()]));
    assert_eq!(effort("claude-opus-4-7", high, forced), (any, vec![required.clone()]));
    let off = json!({"tool_choice": {"type": "any"}, "thinking": {"type": "disabled"}});
    assert_eq!(effort("claude-opus-5", high, forced), (off, vec![required]));

    let (sent, warned) = effort("claude-sonnet-4-5", high, |request| request.max_tokens = Some(1_000));
    assert_eq!((sent, warned.len()), (json!({}), 1));

    let foreign: Vec<Message> = serde_json::from_value(json!([
        {"role": "user", "parts": [{"type": "text", "text": "q"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "add", "arguments": "{}"}]},
        {"role": "tool", "parts": [{"type": "tool_result", "id": "1", "name": "add", "content": []}]},
    ]))
    .unwrap();
    let ongoing = |request: &mut ChatRequest| request.messages.clone_from(&foreign);
    let (sent, warned) = effort("claude-sonnet-4-5", high, ongoing);
    assert_eq!((sent, warned.len()), (json!({}), 1));
    assert_eq!(effort("claude-opus-4-6", high, ongoing).1, [""; 0]);
    let asked_again = |request: &mut ChatRequest| {
        ongoing(request);
        request.messages.push(Message::user("and now?"));
    };
    assert_eq!(effort("claude-sonnet-4-5", high, asked_again).1, [""; 0]);
}

#[test]
fn sampling_options_are_those_that_the_model_takes() {
    let sampling = |model: &str, change: fn(&mut ChatRequest)| {
        let request = asked(model, change);
        (options(&request), warnings(&request).join("; "))
    };
    let both: fn(&mut ChatRequest) = |request| {
        request.sampling.temperature = Some(0.2);
        request.sampling.top_p = Some(0.9);
    };
    let thinking: fn(&mut ChatRequest) = |request| {
        request.sampling.temperature = Some(0.2);
        request.reasoning_effort = Some(ReasoningEffort::Low);
    };
    assert_eq!(
        sampling("claude-3-5-haiku", both),
        (json!({"temperature": 0.2, "top_p": 0.9}), String::new())
    );
    assert_eq!(
        sampling("claude-sonnet-4-5", both),
        (
            json!({"temperature": 0.2}),
            "the model takes either `temperature` or `top_p`; `top_p` was left out".into()
        )
    );
    assert_eq!(
        sampling("claude-opus-4-7", both),
        (json!({}), "the model does not accept `temperature`, `top_p`; left out".into())
    );
    assert_eq!(
        sampling("claude-3-7-sonnet", thinking).1,
        "the model does not accept `temperature`; left out"
    );
    assert_eq!(
        sampling("claude-3-5-haiku", |request| {
            request.sampling.temperature = Some(1.5);
            request.sampling.seed = Some(1);
            request.sampling.presence_penalty = Some(1.0);
            request.stop = vec!["\n".into(), "END".into()];
        }),
        (
            json!({"temperature": 1.0, "stop_sequences": ["END"]}),
            "the model does not accept `seed`, `presence_penalty`; left out; \
             the model takes a temperature of 1 at most; 1 was sent instead of 1.5; \
             the model does not accept stop texts of white space alone; they were left out"
                .into()
        )
    );
}

#[test]
fn tools_and_choices_are_written() {
    let choice = |model: &str, choice: ToolChoice, parallel: Option<bool>| {
        let request = asked(model, |request| {
            request.tools = vec![tool()];
            (request.tool_choice, request.parallel_tool_calls) = (choice, parallel);
        });
        (options(&request)["tool_choice"].take(), warnings(&request).len())
    };
    let named = || ToolChoice::Tool("add".into());
    for (model, asked, parallel, expected, told) in [
        ("claude-sonnet-4-5", ToolChoice::Auto, None, Value::Null, 0),
        ("claude-sonnet-4-5", ToolChoice::Auto, Some(true), Value::Null, 0),
        (
            "claude-sonnet-4-5",
            ToolChoice::Auto,
            Some(false),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
            0,
        ),
        ("claude-sonnet-4-5", ToolChoice::None, Some(false), json!({"type": "none"}), 0),
        ("claude-sonnet-4-5", ToolChoice::Required, None, json!({"type": "any"}), 0),
        (
            "claude-sonnet-4-5",
            named(),
            Some(false),
            json!({"type": "tool", "name": "add", "disable_parallel_tool_use": true}),
            0,
        ),
        ("claude-opus-5-5", ToolChoice::Required, None, Value::Null, 1),
    ] {
        assert_eq!(choice(model, asked.clone(), parallel), (expected, told), "{model} {asked:?}");
    }
    let without = asked("claude-sonnet-4-5", |request| request.tool_choice = ToolChoice::None);
    assert_eq!(options(&without), json!({}));
    let unforceable = asked("claude-opus-5-5", |request| {
        request.tools = vec![tool()];
        request.tool_choice = named();
    });
    assert_eq!(encode(&unforceable).unwrap_err().kind(), ErrorKind::Unsupported);

    let written = asked("claude-sonnet-4-5", |request| {
        request.tools = vec![
            ToolSpec { strict: Some(true), ..tool() },
            ToolSpec::new("now", "", json!({"properties": {}})),
            ToolSpec::new("odd", "", Value::Null),
        ];
    });
    let written = &body(&written)["tools"];
    assert_eq!(
        (&written[0]["name"], &written[0]["description"], &written[0]["strict"]),
        (&json!("add"), &json!("Adds."), &json!(true))
    );
    assert_eq!(written[1], json!({"name": "now", "input_schema": {"properties": {}, "type": "object"}}));
    assert_eq!(written[2], json!({"name": "odd", "input_schema": {"type": "object"}}));
}

#[test]
fn an_answer_by_schema_is_asked_for_beside_the_effort_and_the_users_own() {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let output =
        Output::JsonSchema(JsonSchemaOutput { name: "o".into(), schema: schema.clone(), strict: true });
    let format = json!({"type": "json_schema", "schema": schema});
    let native = asked("claude-opus-4-7", |request| {
        request.output = output.clone();
        request.reasoning_effort = Some(ReasoningEffort::High);
        request.extra.insert("output_config".into(), json!({"effort": "max", "task_budget": 1}));
    });
    assert_eq!(
        options(&native)["output_config"],
        json!({"effort": "max", "format": format, "task_budget": 1})
    );
    let own = asked("claude-opus-4-7", |request| {
        request.extra.insert("output_config".into(), json!({"effort": "max"}));
    });
    assert_eq!(options(&own), json!({"output_config": {"effort": "max"}}));

    let old = asked("claude-3-5-haiku", |request| request.output = output.clone());
    assert_eq!(origin("anthropic:claude-3-5-haiku").profile.json_output, JsonOutput::Tool);
    let sent = options(&old);
    assert!(sent["system"].as_str().unwrap().contains("additionalProperties"), "{sent}");
    assert_eq!((sent.get("output_config"), warnings(&old).len()), (Option::None, 1));
}
