//! What is sent for what is asked, and quirks of answers that recorded ones do not show.

mod answers;

use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, ErrorKind, Message, Part, Role};
use serde_json::{Value, json};

use super::CohereChat;
use crate::dialect::Dialect as _;
use crate::rows;

const CHAT: &str = "command-a-03-2025";
const REASONING: &str = "command-a-reasoning-08-2025";
const VISION: &str = "command-a-vision-07-2025";
const EARLY: &str = "command-r-plus-08-2024";

fn request(model: &str, messages: Vec<Message>) -> ChatRequest {
    ChatRequest::new(format!("cohere:{model}").parse().unwrap(), messages)
}

fn asking(model: &str) -> ChatRequest {
    request(model, vec![Message::user("Hi")])
}

fn sent(request: &ChatRequest) -> Result<(Value, Vec<String>), (ErrorKind, String)> {
    let profile = rows::find("cohere").unwrap().profile_of(request.model.model());
    let sent = CohereChat.encode(request, &profile, Delivery::Plain).map_err(|error| {
        assert!(error.hint().is_some(), "{error}");
        (error.kind(), error.message().to_owned())
    })?;
    assert_eq!((sent.method.as_str(), &*sent.path), ("POST", "/chat"));
    Ok((serde_json::from_slice(&sent.body).unwrap(), sent.warnings))
}

/// Gives what is sent beside model and messages, and what is told.
fn options(request: &ChatRequest) -> (Value, Vec<String>) {
    let (mut body, warnings) = sent(request).unwrap();
    body.as_object_mut().unwrap().retain(|name, _| name != "model" && name != "messages");
    (body, warnings)
}

fn messages(model: &str, parts: Vec<Message>) -> (Value, Vec<String>) {
    let (mut body, warnings) = sent(&request(model, parts)).unwrap();
    (body["messages"].take(), warnings)
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: "add".into(),
        arguments: arguments.into(),
        minted: false,
        opaque: None,
    })
}

fn result(id: &str, content: Vec<Part>) -> ToolResult {
    ToolResult { id: id.into(), name: "add".into(), content, is_error: false }
}

fn assistant(parts: Vec<Part>) -> Message {
    Message { role: Role::Assistant, parts }
}

fn image(source: MediaSource) -> Part {
    Part::Image(Media { media_type: Some("image/png".into()), source, name: None })
}

fn thought(text: &str, opaque: Option<(&str, Value)>) -> Part {
    let opaque = opaque.map(|(provider, payload)| Opaque { provider: provider.into(), payload });
    Part::Reasoning(Reasoning { text: text.into(), opaque })
}

#[test]
fn options_are_sent_by_the_names_of_the_format_and_extra_fields_win() {
    let plain = request(CHAT, vec![Message::system("Be brief."), Message::user("Hi")]);
    let expected = json!({
        "model": CHAT,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    });
    assert_eq!(sent(&plain).unwrap(), (expected, vec![]));
    let profile = rows::find("cohere").unwrap().profile;
    let streamed = CohereChat.encode(&plain, &profile, Delivery::Streamed).unwrap().body;
    assert_eq!(serde_json::from_slice::<Value>(&streamed).unwrap()["stream"], true);

    let mut asked = asking(CHAT);
    asked.sampling.temperature = Some(0.5);
    asked.sampling.top_p = Some(0.9);
    asked.sampling.top_k = Some(40);
    asked.sampling.seed = Some(7);
    asked.sampling.frequency_penalty = Some(0.1);
    asked.sampling.presence_penalty = Some(0.2);
    asked.max_tokens = Some(100);
    asked.stop = vec!["END".into()];
    asked.extra = json!({"temperature": 1, "safety_mode": "OFF"}).as_object().unwrap().clone();
    let expected = json!({
        "temperature": 1, "p": 0.9, "k": 40, "seed": 7, "frequency_penalty": 0.1, "presence_penalty": 0.2,
        "max_tokens": 100, "stop_sequences": ["END"], "safety_mode": "OFF",
    });
    assert_eq!(options(&asked), (expected, vec![]));
}

#[test]
fn thinking_is_a_budget_for_models_that_think() {
    use ReasoningEffort::{High, Low, None as Off, Xhigh};
    let budget = |tokens: u32| json!({"thinking": {"type": "enabled", "token_budget": tokens}});
    for (model, effort, expected, told) in [
        (REASONING, Off, json!({"thinking": {"type": "disabled"}}), 0),
        (REASONING, Low, budget(3_875), 0),
        (REASONING, High, budget(15_500), 0),
        (REASONING, Xhigh, budget(31_000), 0),
        ("command-a-plus-05-2026", High, budget(15_500), 0),
        (CHAT, High, json!({}), 1),
        (CHAT, Off, json!({}), 0),
    ] {
        let mut asked = asking(model);
        asked.reasoning_effort = Some(effort);
        let (body, warnings) = options(&asked);
        assert_eq!((&body, warnings.len()), (&expected, told), "{model} {effort:?} {warnings:?}");
    }
}

#[test]
fn tools_are_chosen_as_far_as_the_model_lets_one_choose() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let add = json!({"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": schema}});
    let now = json!({"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}});
    let asking = |model: &str, choice: ToolChoice| {
        let mut asked = asking(model);
        asked.tools = vec![
            ToolSpec::new("add", "Adds.", schema.clone()),
            ToolSpec::new("now", "", json!({"type": "object"})),
        ];
        asked.tool_choice = choice;
        asked
    };
    for (model, choice, expected, told) in [
        (CHAT, ToolChoice::Auto, json!({"tools": [add, now]}), 0),
        (CHAT, ToolChoice::None, json!({"tools": [add, now], "tool_choice": "NONE"}), 0),
        (CHAT, ToolChoice::Required, json!({"tools": [add, now], "tool_choice": "REQUIRED"}), 0),
        (CHAT, ToolChoice::Tool("add".into()), json!({"tools": [add], "tool_choice": "REQUIRED"}), 0),
        ("command-r7b-12-2024", ToolChoice::None, json!({"tools": [add, now], "tool_choice": "NONE"}), 0),
        (EARLY, ToolChoice::None, json!({}), 0),
        (EARLY, ToolChoice::Required, json!({"tools": [add, now]}), 1),
    ] {
        let (body, warnings) = options(&asking(model, choice.clone()));
        assert_eq!((&body, warnings.len()), (&expected, told), "{model} {choice:?} {warnings:?}");
    }
    assert_eq!(sent(&asking(EARLY, ToolChoice::Tool("add".into()))).unwrap_err().0, ErrorKind::Unsupported);
    assert_eq!(sent(&asking(VISION, ToolChoice::Auto)).unwrap_err().0, ErrorKind::Unsupported);

    let mut strict = asking(CHAT, ToolChoice::Auto);
    strict.parallel_tool_calls = Some(true);
    strict.tools[0].strict = Some(true);
    let (body, warnings) = options(&strict);
    assert_eq!((body.get("strict_tools"), warnings.len()), (None, 2), "{warnings:?}");
    assert!(warnings[0].contains("`now` requires no argument"), "{warnings:?}");
    strict.tools.pop();
    assert_eq!(options(&strict).0["strict_tools"], true);
}

#[test]
fn an_answer_by_schema_is_asked_for() {
    let mut asked = asking(CHAT);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    asked.output =
        Output::JsonSchema(JsonSchemaOutput { name: "x".into(), schema: schema.clone(), strict: true });
    let expected = json!({"response_format": {"type": "json_object", "schema": schema}});
    assert_eq!(options(&asked), (expected, vec![]));
}

#[test]
fn calls_go_back_with_their_plan_and_results_by_id() {
    let plan = thought("", Some(("cohere", json!({"tool_plan": "I will add."}))));
    let history = |plan: Part| {
        vec![
            Message::user("Add."),
            assistant(vec![plan, call("add_9gpb31r7h7mj", "{\"a\":1}"), call("x y", " ")]),
            Message::tool(vec![result("add_9gpb31r7h7mj", vec![Part::text("3")]), result("x y", vec![])]),
        ]
    };
    let (sent, warnings) = messages(CHAT, history(plan));
    let mapped = sent[1]["tool_calls"][1]["id"].as_str().unwrap().to_owned();
    assert!(mapped.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{mapped}");
    let function = |arguments: &str| json!({"name": "add", "arguments": arguments});
    let calls = json!([
        {"id": "add_9gpb31r7h7mj", "type": "function", "function": function("{\"a\":1}")},
        {"id": mapped, "type": "function", "function": function("{}")},
    ]);
    let expected = json!([
        {"role": "user", "content": "Add."},
        {"role": "assistant", "tool_plan": "I will add.", "tool_calls": calls},
        {"role": "tool", "content": "3", "tool_call_id": "add_9gpb31r7h7mj"},
        {"role": "tool", "content": "", "tool_call_id": mapped},
    ]);
    assert_eq!((sent, warnings), (expected, vec![]));
    let (sent, warnings) = messages(CHAT, history(thought("", Some(("other", json!({"tool_plan": "no"}))))));
    assert_eq!(sent[1].get("tool_plan"), None);
    assert_eq!(warnings, ["reasoning of `other` was left out once, as this model cannot take it"]);
}

#[test]
fn thoughts_go_back_only_to_models_that_think() {
    let history = || vec![assistant(vec![thought("hm", None), Part::text("4"), Part::text("2")])];
    let (sent, warnings) = messages(REASONING, history());
    let content = json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "42"}]);
    assert_eq!((sent, warnings), (json!([{"role": "assistant", "content": content}]), vec![]));
    let (sent, warnings) = messages(CHAT, history());
    assert_eq!(sent, json!([{"role": "assistant", "content": "42"}]));
    assert_eq!(warnings, ["reasoning was left out once, as this model cannot take it"]);
    let block = Opaque { provider: "other".into(), payload: json!({"type": "search"}) };
    let (sent, warnings) = messages(CHAT, vec![assistant(vec![Part::Native { opaque: block }])]);
    assert_eq!((sent, warnings.len()), (json!([]), 1));
}

#[test]
fn images_go_to_models_that_see_and_what_cannot_be_sent_is_refused_with_advice() {
    let user = |parts| Message { role: Role::User, parts };
    let bytes = || image(MediaSource::Base64("AA==".into()));
    let address = image(MediaSource::Url("https://h/a.png".into()));
    let (sent_messages, _) = messages(VISION, vec![user(vec![Part::text("See"), bytes(), address])]);
    let content = json!([
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image_url", "image_url": {"url": "https://h/a.png"}},
    ]);
    assert_eq!(sent_messages, json!([{"role": "user", "content": content}]));
    let (sent_messages, _) = messages(VISION, vec![Message::tool(vec![result("a", vec![bytes()])])]);
    assert_eq!(sent_messages[0]["content"], "The result follows in the next message.");
    assert_eq!(sent_messages[1]["content"][1]["type"], "image_url");
    let media = |kind: Option<&str>, data: &str| Media {
        media_type: kind.map(str::to_owned),
        source: MediaSource::Base64(data.into()),
        name: None,
    };
    let text = Part::Document(media(Some("text/plain"), "aGk="));
    let (sent_messages, _) = messages(CHAT, vec![user(vec![text])]);
    assert_eq!(sent_messages[0]["content"], "<document name=\"document\">\nhi\n</document>");
    for (model, part, kind) in [
        (CHAT, bytes(), ErrorKind::Unsupported),
        (VISION, Part::Image(media(None, "AA==")), ErrorKind::InvalidRequest),
        (CHAT, Part::Document(media(Some("application/pdf"), "AA==")), ErrorKind::Unsupported),
        (CHAT, Part::Document(media(Some("text/plain"), "?")), ErrorKind::InvalidRequest),
        (CHAT, call("a", "{}"), ErrorKind::InvalidRequest),
    ] {
        assert_eq!(sent(&request(model, vec![user(vec![part])])).unwrap_err().0, kind);
    }
}
