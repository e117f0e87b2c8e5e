//! What is sent for what is asked.

use motet_core::message::{Media, MediaSource, ToolCall, ToolResult};
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, ErrorKind, Message, Part, Role};
use serde_json::{Value, json};

use crate::dialect::{
    CallIdRule, Dialect as _, EffortForm, JsonOutput, MaxTokensField, Profile, SamplingRule, SystemRole,
};
use crate::dialects::openai_chat::OpenAiChat;

pub(super) fn request(messages: Vec<Message>) -> ChatRequest {
    ChatRequest::new("custom:m".parse().unwrap(), messages)
}

pub(super) fn body(request: &ChatRequest, profile: &Profile) -> Value {
    let sent = OpenAiChat.encode(request, profile, Delivery::Plain).unwrap();
    serde_json::from_slice(&sent.body).unwrap()
}

pub(super) fn messages(sent: Vec<Message>, profile: &Profile) -> Value {
    body(&request(sent), profile)["messages"].take()
}

fn refusal(sent: Vec<Message>, profile: &Profile) -> (ErrorKind, String) {
    let error = OpenAiChat.encode(&request(sent), profile, Delivery::Plain).unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    (error.kind(), error.message().to_owned())
}

pub(super) fn warnings(request: &ChatRequest, profile: &Profile) -> Vec<String> {
    OpenAiChat.encode(request, profile, Delivery::Plain).unwrap().warnings
}

pub(super) fn tool(name: &str) -> ToolSpec {
    ToolSpec::new(name, "Does it.", json!({"type": "object"}))
}

pub(super) fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: "add".into(), arguments: arguments.into(), minted: false, opaque: None }
}

fn result(id: &str, content: Vec<Part>) -> ToolResult {
    ToolResult { id: id.into(), name: "add".into(), content, is_error: false }
}

pub(super) fn assistant(parts: Vec<Part>) -> Message {
    Message { role: Role::Assistant, parts }
}

/// Makes a message of the model and the answers to its calls.
pub(super) fn answered(parts: Vec<Part>) -> Vec<Message> {
    let said = assistant(parts);
    let results: Vec<ToolResult> =
        said.tool_calls().map(|call| result(&call.id, vec![Part::text("4")])).collect();
    if results.is_empty() { vec![said] } else { vec![said, Message::tool(results)] }
}

fn media(media_type: Option<&str>, source: MediaSource) -> Media {
    Media { media_type: media_type.map(str::to_owned), source, name: None }
}

pub(super) fn bytes(media_type: &str, data: &str) -> Media {
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
    assert_eq!(
        warnings(&asked, &unreasoning)[0],
        "the model takes no reasoning effort; `xhigh` was left out"
    );
    let plainer =
        Profile { penalties: false, seed_field: Some("random_seed"), efforts: &[], ..Profile::COMMON };
    let mut seeded = request(vec![Message::user("Hi")]);
    seeded.sampling.seed = Some(7);
    seeded.sampling.presence_penalty = Some(0.5);
    assert_eq!(body(&seeded, &plainer)["random_seed"], 7);
    assert_eq!(warnings(&seeded, &plainer), ["the model does not accept `presence_penalty`; left out"]);
    let unseeded = Profile { seed_field: None, ..plainer };
    assert_eq!(
        warnings(&seeded, &unseeded),
        ["the model does not accept `presence_penalty`, `seed`; left out"]
    );
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
    asked.tool_choice = ToolChoice::Required;
    let free = Profile { required_tool_choice: false, none_tool_choice: false, ..Profile::COMMON };
    assert!(body(&asked, &free).get("tool_choice").is_none());
    assert_eq!(warnings(&asked, &free), ["the model cannot be made to call a tool; left to it"]);
    asked.tool_choice = ToolChoice::None;
    assert_eq!(body(&asked, &Profile::COMMON)["tool_choice"], "none");
    assert!(body(&asked, &free).get("tools").is_none());
    assert_eq!(
        warnings(&asked, &free),
        ["the model cannot be told to call no tool; the tools were left out"]
    );
    asked.messages.extend(answered(vec![Part::ToolCall(call("a", "{}"))]));
    let sent = body(&asked, &free);
    assert!(sent.get("tools").is_some() && sent.get("tool_choice").is_none());
    assert_eq!(warnings(&asked, &free), ["the model cannot be told to call no tool; it may call one"]);
    asked.tools[0].strict = Some(true);
    let free_form = body(&asked, &Profile::COMMON);
    assert_eq!(free_form["tools"][0]["function"]["strict"], false, "no strict mode takes a free-form object");
    asked.tools[0].parameters = json!({"type": "object", "properties": {}});
    assert_eq!(body(&asked, &Profile::COMMON)["tools"][0]["function"]["strict"], true);
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
    let sent = messages(answered(vec![Part::ToolCall(call("a", "{}"))]), &picky);
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
            assistant(vec![Part::ToolCall(call("a", "{}")), Part::ToolCall(call("b", "{}"))]),
            Message::tool(vec![result("a", vec![png()])]),
            Message::tool(vec![result("b", vec![Part::text("two")])]),
            Message::user("Next"),
        ],
        &Profile::COMMON,
    );
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let called =
        |id: &str| json!({"id": id, "type": "function", "function": {"name": "add", "arguments": "{}"}});
    let expected = json!([
        {"role": "user", "content": [
            {"type": "text", "text": "Look"},
            image,
            {"type": "image_url", "image_url": {"url": "https://h/a.jpg"}},
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AQ=="}},
            {"type": "text", "text": "<document name=\"document\">\nhi\n</document>"},
        ]},
        {"role": "assistant", "content": null, "tool_calls": [called("a"), called("b")]},
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
fn what_cannot_be_sent_is_refused_with_advice() {
    let user = |part: Part| vec![Message { role: Role::User, parts: vec![part] }];
    let url = |address: &str| media(None, MediaSource::Url(address.into()));
    let blind = Profile { images: false, documents: false, ..Profile::COMMON };
    for (sent, profile, kind, message) in [
        (user(Part::Image(url("u"))), &blind, ErrorKind::Unsupported, "the model does not accept images"),
        (
            user(Part::Document(url("u"))),
            &blind,
            ErrorKind::Unsupported,
            "the model does not accept documents",
        ),
        (
            user(Part::Document(url("u"))),
            &Profile::COMMON,
            ErrorKind::Unsupported,
            "the model does not accept documents by address",
        ),
        (
            user(Part::Image(media(None, MediaSource::Base64("AA==".into())))),
            &Profile::COMMON,
            ErrorKind::InvalidRequest,
            "an image given by its bytes has no media type",
        ),
        (
            user(Part::Document(bytes("text/plain", "/w=="))),
            &Profile::COMMON,
            ErrorKind::InvalidRequest,
            "a text document is not base64 of UTF-8 text",
        ),
        (
            user(Part::ToolCall(call("a", "{}"))),
            &Profile::COMMON,
            ErrorKind::InvalidRequest,
            "a tool call cannot stand in a message of role `user`",
        ),
        (
            vec![Message { role: Role::Tool, parts: vec![Part::text("4")] }],
            &Profile::COMMON,
            ErrorKind::InvalidRequest,
            "text cannot stand in a message of role `tool`",
        ),
    ] {
        assert_eq!(refusal(sent, profile), (kind, message.to_owned()));
    }
    let addressed = Profile { document_urls: true, ..Profile::COMMON };
    let sent = messages(user(Part::Document(url("https://h/a.pdf"))), &addressed);
    assert_eq!(sent[0]["content"][0]["file"]["file_data"], "https://h/a.pdf");
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
fn messages_stand_in_the_order_that_the_model_accepts() {
    let joined = Profile { merge_neighbours: true, system_role: SystemRole::User, ..Profile::COMMON };
    let picture = Message { role: Role::User, parts: vec![Part::Image(bytes("image/png", "AA=="))] };
    let sent = vec![
        Message::system("Be brief."),
        Message::user("Hi"),
        Message::assistant("Hello"),
        assistant(vec![Part::text("there")]),
        Message::user("Look"),
        picture,
    ];
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let expected = json!([
        {"role": "user", "content": "Be brief.\n\nHi"},
        {"role": "assistant", "content": "Hello\n\nthere"},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image]},
    ]);
    assert_eq!(messages(sent, &joined), expected);
    let mut sent = answered(vec![Part::ToolCall(call("a", "{}"))]);
    sent.push(Message::user("Next"));
    let roles = |profile: &Profile| {
        let sent = messages(sent.clone(), profile);
        sent.as_array()
            .unwrap()
            .iter()
            .map(|message| message["role"].to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(roles(&Profile::COMMON), r#""assistant" "tool" "user""#);
}

#[test]
fn an_effort_goes_in_the_fields_that_the_model_knows() {
    use ReasoningEffort::{High, None as Off, Xhigh};
    let mut asked = request(vec![Message::user("Hi")]);
    for (form, effort, expected) in [
        (EffortForm::Word, High, json!({"reasoning_effort": "high"})),
        (EffortForm::OneWord("default"), High, json!({"reasoning_effort": "default"})),
        (EffortForm::OneWord("default"), Off, json!({"reasoning_effort": "none"})),
        (EffortForm::Word, Xhigh, json!({"reasoning_effort": "max"})),
        (EffortForm::Object, High, json!({"reasoning": {"effort": "high"}})),
        (
            EffortForm::Switch { word: true },
            High,
            json!({"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ),
        (EffortForm::Switch { word: false }, High, json!({"thinking": {"type": "enabled"}})),
        (EffortForm::Switch { word: true }, Off, json!({"thinking": {"type": "disabled"}})),
        (EffortForm::Flag("enable_thinking"), High, json!({"enable_thinking": true})),
        (EffortForm::Flag("enable_thinking"), Off, json!({"enable_thinking": false})),
    ] {
        asked.reasoning_effort = Some(effort);
        let mut sent = body(&asked, &Profile { effort_form: form, xhigh_word: "max", ..Profile::COMMON });
        let sent = sent.as_object_mut().unwrap();
        sent.retain(|name, _| name != "model" && name != "messages");
        assert_eq!(Value::Object(sent.clone()), expected);
    }
}

#[test]
fn a_forced_call_keeps_a_model_from_thinking_that_cannot_do_both() {
    let mut asked = request(vec![Message::user("Hi")]);
    asked.tools = vec![tool("add")];
    asked.tool_choice = ToolChoice::Required;
    let one_of_both = Profile {
        forced_while_thinking: false,
        effort_form: EffortForm::Switch { word: true },
        ..Profile::COMMON
    };
    assert_eq!(body(&asked, &one_of_both)["thinking"], json!({"type": "disabled"}));
    assert_eq!(warnings(&asked, &one_of_both), ["a call is required, so the model was asked not to think"]);
    asked.reasoning_effort = Some(ReasoningEffort::None);
    assert!(warnings(&asked, &one_of_both).is_empty());
    asked.reasoning_effort = Some(ReasoningEffort::High);
    let kind = |profile: &Profile| OpenAiChat.encode(&asked, profile, Delivery::Plain).unwrap_err().kind();
    assert_eq!(kind(&one_of_both), ErrorKind::InvalidRequest);
    assert_eq!(kind(&Profile { efforts: &[ReasoningEffort::High], ..one_of_both }), ErrorKind::Unsupported);
    asked.tool_choice = ToolChoice::Auto;
    assert_eq!(body(&asked, &one_of_both)["thinking"], json!({"type": "enabled"}));
}

#[test]
fn a_call_without_its_result_is_refused_by_name() {
    let error = refusal(
        vec![assistant(vec![Part::ToolCall(call("a", "{}"))]), Message::user("Hi")],
        &Profile::COMMON,
    );
    assert_eq!(error, (ErrorKind::InvalidRequest, "the call `a` of tool `add` is not answered".to_owned()));
}

#[test]
fn json_asked_for_in_a_field_of_the_callers_own_wants_its_word_in_a_message() {
    let mut asked = request(vec![Message::user("Three colours")]);
    asked.extra = json!({"response_format": {"type": "json_object"}}).as_object().unwrap().clone();
    assert_eq!(warnings(&asked, &Profile::COMMON).len(), 1);
    asked.messages.push(Message::user("as JSON"));
    assert!(warnings(&asked, &Profile::COMMON).is_empty());
}
