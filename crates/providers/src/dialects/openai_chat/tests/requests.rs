//! What is sent for what is asked.

use motet_core::message::{Media, MediaSource, Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, ErrorKind, Message, Part, Role};
use serde_json::{Value, json};

use crate::dialect::{
    CallIdRule, Dialect as _, JsonOutput, MaxTokensField, Profile, ReasoningEcho, SamplingRule, SystemRole,
};
use crate::dialects::openai_chat::OpenAiChat;

fn request(messages: Vec<Message>) -> ChatRequest {
    ChatRequest::new("custom:m".parse().unwrap(), messages)
}

fn body(request: &ChatRequest, profile: &Profile) -> Value {
    let sent = OpenAiChat.encode(request, profile, Delivery::Plain).unwrap();
    serde_json::from_slice(&sent.body).unwrap()
}

fn messages(sent: Vec<Message>, profile: &Profile) -> Value {
    body(&request(sent), profile)["messages"].take()
}

fn warnings(request: &ChatRequest, profile: &Profile) -> Vec<String> {
    OpenAiChat.encode(request, profile, Delivery::Plain).unwrap().warnings
}

fn tool(name: &str) -> ToolSpec {
    ToolSpec::new(name, "Does it.", json!({"type": "object"}))
}

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: "add".into(), arguments: arguments.into(), minted: false, opaque: None }
}

fn result(id: &str, content: Vec<Part>) -> ToolResult {
    ToolResult { id: id.into(), name: "add".into(), content, is_error: false }
}

fn assistant(parts: Vec<Part>) -> Message {
    Message { role: Role::Assistant, parts }
}

fn media(media_type: Option<&str>, source: MediaSource) -> Media {
    Media { media_type: media_type.map(str::to_owned), source, name: None }
}

fn bytes(media_type: &str, data: &str) -> Media {
    media(Some(media_type), MediaSource::Base64(data.to_owned()))
}

#[test]
fn a_plain_question_is_as_small_as_can_be() {
    let asked = request(vec![Message::system("Be brief."), Message::user("Hi")]);
    let expected = json!({
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    });
    assert_eq!(body(&asked, &Profile::COMMON), expected);
    let sent = OpenAiChat.encode(&asked, &Profile::COMMON, Delivery::Streamed).unwrap();
    assert_eq!((sent.method.as_str(), &*sent.path), ("POST", "/chat/completions"));
    let streamed: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(streamed["stream"], true);
    assert_eq!(streamed["stream_options"], json!({"include_usage": true}));
    let quiet = Profile { stream_usage_option: false, ..Profile::COMMON };
    let sent = OpenAiChat.encode(&asked, &quiet, Delivery::Streamed).unwrap();
    assert!(!String::from_utf8(sent.body.to_vec()).unwrap().contains("stream_options"));
}

#[test]
fn options_are_sent_by_their_names_and_extra_fields_win() {
    let mut asked = request(vec![Message::user("Hi")]);
    asked.sampling.temperature = Some(0.5);
    asked.sampling.top_p = Some(0.9);
    asked.sampling.top_k = Some(40);
    asked.sampling.seed = Some(7);
    asked.sampling.frequency_penalty = Some(0.1);
    asked.sampling.presence_penalty = Some(0.2);
    asked.max_tokens = Some(100);
    asked.stop = vec!["END".into()];
    asked.reasoning_effort = Some(ReasoningEffort::High);
    asked.extra = json!({"temperature": 1, "service_tier": "flex"}).as_object().unwrap().clone();
    let mut sent = body(&asked, &Profile::COMMON);
    sent.as_object_mut().unwrap().remove("messages");
    let expected = json!({
        "model": "m", "seed": 7, "top_p": 0.9, "top_k": 40, "frequency_penalty": 0.1, "presence_penalty": 0.2,
        "reasoning_effort": "high", "max_tokens": 100, "stop": ["END"], "temperature": 1, "service_tier": "flex",
    });
    assert_eq!(sent, expected);
    let text = OpenAiChat.encode(&asked, &Profile::COMMON, Delivery::Plain).unwrap().body;
    assert_eq!(String::from_utf8(text.to_vec()).unwrap().matches("temperature").count(), 1);
}

#[test]
fn what_the_model_does_not_accept_is_left_out_and_told() {
    let narrow = Profile {
        sampling: SamplingRule::Never,
        stop: false,
        top_k: false,
        parallel_tool_calls: false,
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        efforts: &[ReasoningEffort::Low, ReasoningEffort::High],
        ..Profile::COMMON
    };
    let mut asked = request(vec![Message::user("Hi")]);
    asked.sampling.temperature = Some(0.5);
    asked.sampling.top_k = Some(4);
    asked.stop = vec!["END".into()];
    asked.max_tokens = Some(9);
    asked.parallel_tool_calls = Some(false);
    asked.reasoning_effort = Some(ReasoningEffort::Xhigh);
    let mut sent = body(&asked, &narrow);
    sent.as_object_mut().unwrap().remove("messages");
    assert_eq!(sent, json!({"model": "m", "max_completion_tokens": 9, "reasoning_effort": "high"}));
    assert_eq!(
        warnings(&asked, &narrow),
        [
            "the model does not accept reasoning effort `xhigh`; `high` was sent instead",
            "the model does not accept `temperature`, `top_k`; left out",
            "the model does not accept `parallel_tool_calls`; left out",
            "the model does not accept stop texts; they were left out",
        ]
    );
    let unreasoning = Profile { efforts: &[], ..narrow };
    assert_eq!(warnings(&asked, &unreasoning)[0], "the model does not reason; effort `xhigh` was left out");
    asked.reasoning_effort = Some(ReasoningEffort::None);
    let either = Profile { sampling: SamplingRule::WithoutReasoning, ..Profile::COMMON };
    assert_eq!(body(&asked, &either)["temperature"], 0.5);
}

#[test]
fn tool_options_never_go_without_tools() {
    let mut asked = request(vec![Message::user("Hi")]);
    asked.parallel_tool_calls = Some(false);
    asked.tool_choice = ToolChoice::None;
    let sent = body(&asked, &Profile::COMMON);
    assert!(sent.get("tools").is_none() && sent.get("tool_choice").is_none());
    assert!(sent.get("parallel_tool_calls").is_none());
    asked.tool_choice = ToolChoice::Required;
    let error = OpenAiChat.encode(&asked, &Profile::COMMON, Delivery::Plain).unwrap_err();
    assert_eq!(error.message(), "a tool call is required, but there are no tools");

    asked.tools = vec![tool("add")];
    let sent = body(&asked, &Profile { required_word: "any", ..Profile::COMMON });
    assert_eq!(sent["tool_choice"], "any");
    assert_eq!(sent["parallel_tool_calls"], false);
    let function = json!({"name": "add", "description": "Does it.", "parameters": {"type": "object"}});
    assert_eq!(sent["tools"], json!([{"type": "function", "function": function}]));
    asked.tool_choice = ToolChoice::Tool("add".into());
    let named = json!({"type": "function", "function": {"name": "add"}});
    assert_eq!(body(&asked, &Profile::COMMON)["tool_choice"], named);
    for profile in
        [Profile { named_tool_choice: false, ..Profile::COMMON }, Profile { tools: false, ..Profile::COMMON }]
    {
        let error = OpenAiChat.encode(&asked, &profile, Delivery::Plain).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    asked.tool_choice = ToolChoice::Tool("sub".into());
    let error = OpenAiChat.encode(&asked, &Profile::COMMON, Delivery::Plain).unwrap_err();
    assert_eq!(error.message(), "tool `sub` must be called, but it is not among the tools");
}

#[test]
fn a_schema_is_strict_only_when_it_can_be_enforced() {
    let mut asked = request(vec![Message::user("Hi")]);
    let closed = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    let with = |schema: &Value, strict: bool| {
        Output::JsonSchema(JsonSchemaOutput { name: "out".into(), schema: schema.clone(), strict })
    };
    for (schema, strict, expected, warned) in [
        (&closed, true, true, 0),
        (&closed, false, false, 0),
        (&json!({"type": "object"}), true, false, 1),
        (&json!({"type": "object"}), false, false, 0),
    ] {
        asked.output = with(schema, strict);
        let inner = json!({"name": "out", "schema": schema, "strict": expected});
        assert_eq!(
            body(&asked, &Profile::COMMON)["response_format"],
            json!({"type": "json_schema", "json_schema": inner})
        );
        assert_eq!(warnings(&asked, &Profile::COMMON).len(), warned);
    }
    asked.output =
        with(&json!({"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}}), true);
    let a = json!({"type": ["string", "null"], "description": "Constraints: at least 1 characters."});
    let schema =
        json!({"type": "object", "properties": {"a": a}, "required": ["a"], "additionalProperties": false});
    let sent = body(&asked, &Profile::COMMON)["response_format"]["json_schema"].take();
    assert_eq!(sent, json!({"name": "out", "schema": schema, "strict": true}));
    assert_eq!(
        warnings(&asked, &Profile::COMMON),
        [
            "schema `out` is not enforced by the provider in all parts (minLength at /properties/a); the answer is checked"
        ]
    );
    for (json_output, format) in
        [(JsonOutput::Object, json!({"type": "json_object"})), (JsonOutput::Instructions, Value::Null)]
    {
        let sent = body(&asked, &Profile { json_output, ..Profile::COMMON });
        assert_eq!(sent.get("response_format").unwrap_or(&Value::Null), &format);
    }
}

#[test]
fn a_tool_is_strict_only_when_it_asks_for_it_and_can_be() {
    let mut asked = request(vec![Message::user("Hi")]);
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let map = json!({"type": "object"});
    for (parameters, strict, sent_strict, nullable, warned) in [
        (&open, None, Value::Null, false, 0),
        (&open, Some(false), Value::Null, false, 0),
        (&open, Some(true), json!(true), true, 0),
        (&map, Some(true), Value::Null, false, 1),
    ] {
        asked.tools = vec![ToolSpec { strict, ..ToolSpec::new("add", "", parameters.clone()) }];
        let mut function = body(&asked, &Profile::COMMON)["tools"][0]["function"].take();
        assert_eq!(function["strict"], sent_strict);
        assert_eq!(function["parameters"] == *parameters, !nullable, "{function}");
        assert_eq!(function["parameters"]["properties"]["a"]["type"].take().is_array(), nullable);
        assert_eq!(warnings(&asked, &Profile::COMMON).len(), warned);
    }
}

#[test]
fn a_conversation_with_tools_keeps_calls_and_results_together() {
    let long = "x".repeat(41);
    let sent = messages(
        vec![
            Message::user("2+2?"),
            assistant(vec![Part::ToolCall(call("a", "")), Part::ToolCall(call(&long, "{\"x\":1}"))]),
            Message::tool(vec![result("a", vec![Part::text("4")]), result(&long, vec![Part::text("5")])]),
            assistant(vec![Part::text("4"), Part::text(" it is")]),
        ],
        &Profile::COMMON,
    );
    let mapped = sent[1]["tool_calls"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(mapped.len(), 24);
    let wire_call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "add", "arguments": arguments}});
    let expected = json!([
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": null, "tool_calls": [wire_call("a", "{}"), wire_call(&mapped, "{\"x\":1}")]},
        {"role": "tool", "content": "4", "tool_call_id": "a"},
        {"role": "tool", "content": "5", "tool_call_id": mapped},
        {"role": "assistant", "content": "4 it is"},
    ]);
    assert_eq!(sent, expected);
    let picky = Profile {
        null_content: false,
        call_ids: CallIdRule { min: 9, max: 9, marks: "" },
        ..Profile::COMMON
    };
    let sent = messages(vec![assistant(vec![Part::ToolCall(call("a", "{}"))])], &picky);
    assert_eq!(sent[0]["content"], "");
    assert_eq!(sent[0]["tool_calls"][0]["id"].as_str().unwrap().len(), 9);
}

#[test]
fn media_go_as_parts_and_those_of_results_follow_all_results() {
    let png = || Part::Image(bytes("image/png", "AA=="));
    let sent = messages(
        vec![
            Message {
                role: Role::User,
                parts: vec![
                    Part::text("Look"),
                    png(),
                    Part::Image(media(None, MediaSource::Url("https://h/a.jpg".into()))),
                    Part::Document(bytes("application/pdf", "AQ==")),
                    Part::Document(bytes("text/plain", "aGk=")),
                ],
            },
            Message::tool(vec![result("a", vec![png()])]),
            Message::tool(vec![result("b", vec![Part::text("two")])]),
            Message::user("Next"),
        ],
        &Profile::COMMON,
    );
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let expected = json!([
        {"role": "user", "content": [
            {"type": "text", "text": "Look"},
            image,
            {"type": "image_url", "image_url": {"url": "https://h/a.jpg"}},
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AQ=="}},
            {"type": "text", "text": "<document name=\"document\">\nhi\n</document>"},
        ]},
        {"role": "tool", "content": "The result follows in the next message.", "tool_call_id": "a"},
        {"role": "tool", "content": "two", "tool_call_id": "b"},
        {"role": "user", "content": [
            {"type": "text", "text": "Result of the call of tool `add` with id `a`:"}, image,
        ]},
        {"role": "user", "content": "Next"},
    ]);
    assert_eq!(sent, expected);
}

#[test]
fn what_this_format_cannot_say_is_refused_or_left_out_and_told() {
    let user = |part: Part| vec![Message { role: Role::User, parts: vec![part] }];
    let sent = user(Part::Document(bytes("text/plain", "/w==")));
    let error = OpenAiChat.encode(&request(sent), &Profile::COMMON, Delivery::Plain).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::InvalidRequest, "a text document is not base64 of UTF-8 text")
    );
    assert!(error.hint().is_some());
    let url = media(None, MediaSource::Url("https://h/a.pdf".into()));
    let sent = messages(user(Part::Document(url)), &Profile::COMMON);
    assert_eq!(sent[0]["content"][0]["file"]["file_data"], "https://h/a.pdf");
    let block =
        Part::Native { opaque: Opaque { provider: "other".into(), payload: json!({"type": "search"}) } };
    let history = vec![assistant(vec![block, Part::Image(bytes("image/png", "AA==")), Part::text("4")])];
    assert_eq!(messages(history.clone(), &Profile::COMMON), json!([{"role": "assistant", "content": "4"}]));
    assert_eq!(
        warnings(&request(history), &Profile::COMMON),
        [
            "a provider's own block of `other` was left out once, as this model cannot take it",
            "an image that a model made was left out once, as this model cannot take it",
        ]
    );
}

#[test]
fn instructions_take_the_role_and_place_that_the_model_knows() {
    let sent = || vec![Message::user("Hi"), Message::system("One."), Message::system("Two.")];
    let merged = Profile { merge_system: true, system_role: SystemRole::Developer, ..Profile::COMMON };
    assert_eq!(
        messages(sent(), &merged),
        json!([{"role": "developer", "content": "One.\n\nTwo."}, {"role": "user", "content": "Hi"}])
    );
    let roles = messages(sent(), &Profile { system_role: SystemRole::User, ..Profile::COMMON });
    assert_eq!(roles[1], json!({"role": "user", "content": "One."}));
}

#[test]
fn reasoning_goes_back_where_it_is_wanted_and_only_to_its_provider() {
    let thought = |provider: &str| {
        let payload = json!({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]});
        let opaque = Some(Opaque { provider: provider.into(), payload });
        Part::Reasoning(Reasoning { text: "hm".into(), opaque })
    };
    let told = |parts: Vec<Part>, echo: ReasoningEcho| {
        messages(vec![assistant(parts)], &Profile { reasoning_echo: echo, ..Profile::COMMON })
    };
    let with_calls = ReasoningEcho::WithToolCalls("reasoning_content");
    let own = told(vec![thought("custom"), Part::text("4")], ReasoningEcho::Never);
    let details = json!([{"type": "reasoning.text", "text": "hm"}]);
    assert_eq!(own, json!([{"role": "assistant", "content": "4", "reasoning_details": details}]));
    let foreign = told(vec![thought("other"), Part::text("4")], with_calls);
    assert_eq!(foreign, json!([{"role": "assistant", "content": "4"}]));
    let called = told(vec![thought("other"), Part::ToolCall(call("a", "{}"))], with_calls);
    assert_eq!(called[0]["reasoning_content"], "hm");
    let always = told(vec![thought("other"), Part::text("4")], ReasoningEcho::Always("reasoning"));
    assert_eq!(always[0]["reasoning"], "hm");
    assert_eq!(told(vec![thought("other")], ReasoningEcho::Never), json!([]));
}

#[test]
fn a_free_form_call_goes_back_as_it_came() {
    let free = |provider: &str| {
        let opaque = Some(Opaque { provider: provider.into(), payload: json!({"type": "custom"}) });
        let sent = vec![assistant(vec![Part::ToolCall(ToolCall { opaque, ..call("a", "x = 1") })])];
        messages(sent, &Profile::COMMON)[0]["tool_calls"][0].take()
    };
    assert_eq!(
        free("custom"),
        json!({"id": "a", "type": "custom", "custom": {"name": "add", "input": "x = 1"}})
    );
    assert_eq!(free("other")["type"], "function");
}
