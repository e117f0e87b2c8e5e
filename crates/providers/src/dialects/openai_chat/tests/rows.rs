//! What the quirks of real providers do to one and the same request.

use motet_core::message::{Opaque, Reasoning};
use motet_core::request::{ReasoningEffort, ToolChoice};
use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Message, ModelId, Part};
use serde_json::{Value, json};

use super::requests::{answered, call, tool};
use crate::dialect::{Dialect as _, Origin};
use crate::dialects::openai_chat::OpenAiChat;
use crate::rows;

/// Writes a request to a model of a real provider; the conversation has a call whose reasoning came from there.
fn sent(model: &str, change: impl Fn(&mut ChatRequest)) -> Result<Value, Error> {
    let model: ModelId = model.parse().unwrap();
    let origin = Origin::new(rows::find(model.provider()).unwrap(), model.clone());
    let payload = json!({"came_in": "reasoning_content"});
    let opaque = Some(Opaque { provider: model.provider().to_owned(), payload });
    let thought = Part::Reasoning(Reasoning { text: "hm".into(), opaque });
    let mut messages = vec![Message::system("Be brief."), Message::user("2+2?")];
    messages.extend(answered(vec![thought, Part::ToolCall(call("call_1", "{}"))]));
    messages.push(Message::user("Thanks."));
    let mut request = ChatRequest::new(model, messages);
    request.tools = vec![tool("add")];
    change(&mut request);
    let sent = OpenAiChat.encode(&request, &origin.profile, Delivery::Streamed)?;
    Ok(serde_json::from_slice(&sent.body).unwrap())
}

fn asks_everything(request: &mut ChatRequest) {
    request.max_tokens = Some(9);
    request.sampling.seed = Some(7);
    request.sampling.presence_penalty = Some(0.5);
    request.sampling.temperature = Some(0.5);
    request.reasoning_effort = Some(ReasoningEffort::High);
}

#[test]
fn fields_take_the_names_and_forms_that_each_provider_knows() {
    for (model, pointers) in [
        (
            "mistral:mistral-small-latest",
            json!({"/random_seed": 7, "/seed": null, "/stream_options": null, "/reasoning_effort": "high"}),
        ),
        ("mistral:codestral-latest", json!({"/reasoning_effort": null, "/max_tokens": 9})),
        (
            "deepseek:deepseek-v4-flash",
            json!({"/thinking/type": "enabled", "/reasoning_effort": "high", "/seed": 7, "/stream_options/include_usage": true}),
        ),
        ("zai:glm-4.7", json!({"/thinking/type": "enabled", "/reasoning_effort": null, "/seed": null})),
        ("zai:glm-5.2", json!({"/thinking/type": "enabled", "/reasoning_effort": "high"})),
        (
            "openrouter:z-ai/glm-4.6",
            json!({"/reasoning/effort": "high", "/reasoning_effort": null, "/max_tokens": 9}),
        ),
        ("snowflake:claude-sonnet-4-6", json!({"/reasoning/effort": "high", "/max_completion_tokens": 9})),
        ("alibaba:qwen3-max", json!({"/enable_thinking": true, "/reasoning_effort": null})),
        (
            "moonshot:kimi-k2.5",
            json!({"/thinking/type": "enabled", "/temperature": null, "/max_completion_tokens": 9}),
        ),
        ("groq:qwen/qwen3-32b", json!({"/reasoning_effort": "default", "/max_completion_tokens": 9})),
        ("groq:openai/gpt-oss-120b", json!({"/reasoning_effort": "high"})),
        ("cerebras:gpt-oss-120b", json!({"/presence_penalty": null, "/temperature": 0.5})),
        (
            "openai:gpt-5.4-mini",
            json!({"/temperature": null, "/max_completion_tokens": 9, "/messages/0/role": "developer"}),
        ),
        ("copilot:gpt-5-mini", json!({"/temperature": null, "/reasoning_effort": "high"})),
        (
            "custom:anything",
            json!({"/max_tokens": 9, "/seed": 7, "/presence_penalty": 0.5, "/reasoning_effort": "high"}),
        ),
    ] {
        let body = sent(model, asks_everything).unwrap();
        for (pointer, expected) in pointers.as_object().unwrap() {
            assert_eq!(body.pointer(pointer).unwrap_or(&Value::Null), expected, "{model} {pointer}: {body}");
        }
    }
}

#[test]
fn a_turn_with_calls_goes_back_as_each_provider_wants_it() {
    let id = json!("call_1");
    let thinking = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]);
    for (model, content, reasoning, roles) in [
        ("openai:gpt-4o", Value::Null, Value::Null, "system user assistant tool user"),
        ("deepseek:deepseek-v4-flash", json!(""), json!("hm"), "system user assistant tool user"),
        ("doubleword:Qwen/Qwen3.5-9B", Value::Null, json!("hm"), "system user assistant tool user"),
        ("llamacpp:qwen3", Value::Null, json!("hm"), "system user assistant tool user"),
        ("custom:anything", Value::Null, json!("hm"), "system user assistant tool user"),
        ("mistral:mistral-small-latest", thinking, Value::Null, "system user assistant tool user"),
        ("mistral:codestral-latest", json!(""), Value::Null, "system user assistant tool user"),
    ] {
        let body = sent(model, |_| ()).unwrap();
        let said = &body["messages"][2];
        assert_eq!((&said["content"], &said["reasoning_content"]), (&content, &reasoning), "{model}");
        let spoken =
            body["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap());
        assert_eq!(spoken.collect::<Vec<_>>().join(" "), roles, "{model}");
        let (called, answers) = (&said["tool_calls"][0]["id"], &body["messages"][3]["tool_call_id"]);
        assert_eq!(called, answers, "{model}");
        assert_eq!(*called == id, !model.starts_with("mistral"), "{model}");
    }
}

#[test]
fn choices_among_tools_are_put_as_each_provider_knows_them() {
    let asked = |model: &str, choice: ToolChoice| {
        let body = sent(model, |request| request.tool_choice = choice.clone())?;
        Ok::<_, Error>((body["tool_choice"].clone(), body["thinking"]["type"].clone()))
    };
    let word = |word: &str| (json!(word), Value::Null);
    assert_eq!(asked("openai:gpt-4o", ToolChoice::Required).unwrap(), word("required"));
    assert_eq!(asked("mistral:mistral-small-latest", ToolChoice::Required).unwrap(), word("any"));
    assert_eq!(asked("together:m", ToolChoice::None).unwrap(), (Value::Null, Value::Null));
    let forced = asked("deepseek:deepseek-v4-flash", ToolChoice::Required).unwrap();
    assert_eq!(forced, (json!("required"), json!("disabled")));
    for model in ["together:m", "zai:glm-4.7", "moonshot:kimi-k2-thinking"] {
        assert_eq!(asked(model, ToolChoice::Required).unwrap().0, Value::Null, "{model}");
    }
    for (model, choice) in
        [("llamacpp:m", ToolChoice::Tool("add".into())), ("perplexity:sonar", ToolChoice::Auto)]
    {
        assert_eq!(asked(model, choice).unwrap_err().kind(), ErrorKind::Unsupported, "{model}");
    }
}
