//! Requests: messages, media, tools, options.

use motet_core::message::MediaSource;
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, ErrorKind, Message, Part, Role};
use serde_json::{Value, json};

use super::{CLAUDE, NOVA, bytes, call, media, message, messages, profile, refusal, request, result, sent};
use crate::dialect::Dialect as _;
use crate::dialects::bedrock_converse::BedrockConverse;

fn user(parts: Vec<Part>) -> Message {
    message(Role::User, parts)
}

#[test]
fn the_model_stands_in_the_path_and_the_form_of_the_answer_beside_it() {
    for (model, delivery, path) in [
        (CLAUDE, Delivery::Plain, "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"),
        ("openai.gpt-oss", Delivery::Streamed, "/model/openai.gpt-oss/converse-stream"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/eu.x é",
            Delivery::Plain,
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Feu.x%20%C3%A9/converse",
        ),
    ] {
        let request = request(model, vec![Message::user("Hi")]);
        assert_eq!(BedrockConverse.encode(&request, &profile(&request), delivery).unwrap().path, path);
    }
}

#[test]
fn turns_alternate_and_results_come_first() {
    let image = Part::Image(bytes("image/png", None));
    let (body, warnings) = sent(&with_tool(
        CLAUDE,
        vec![
            Message::user("a"),
            user(vec![Part::text(""), Part::text("b")]),
            message(Role::Assistant, vec![Part::text(""), call("1", ""), call("2", " {\"x\": 1}")]),
            Message::assistant("c"),
            Message::tool(vec![result("2", vec![Part::text("two"), image])]),
            user(vec![Part::text("d"), Part::ToolResult(result("1", vec![]))]),
        ],
    ));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
            {"role": "assistant", "content": [
                {"toolUse": {"toolUseId": "1", "name": "add", "input": {}}},
                {"toolUse": {"toolUseId": "2", "name": "add", "input": {"x": 1}}},
                {"text": "c"},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "2", "content": [
                    {"text": "two"}, {"image": {"format": "png", "source": {"bytes": "AAEC"}}},
                ]}},
                {"toolResult": {"toolUseId": "1", "content": [{"text": "(no output)"}]}},
                {"text": "d"},
            ]},
        ])
    );
}

/// Declares the tool, so that nothing must be told.
fn with_tool(model: &str, messages: Vec<Message>) -> ChatRequest {
    ChatRequest {
        tools: vec![ToolSpec::new("add", "", json!({"type": "object"}))],
        ..request(model, messages)
    }
}

#[test]
fn what_a_result_cannot_hold_follows_all_results() {
    let turn = || {
        let mut failed = result("1", vec![Part::text("bad")]);
        failed.is_error = true;
        vec![
            Message::user("a"),
            message(Role::Assistant, vec![call("0", "{}"), call("1", "{}")]),
            Message::tool(vec![result("0", vec![Part::Image(bytes("image/jpeg", None))]), failed]),
        ]
    };
    let (body, warnings) = sent(&with_tool("us.amazon.nova-2-lite-v1:0", turn()));
    assert_eq!(
        body["messages"][2]["content"],
        json!([
            {"toolResult": {"toolUseId": "0", "content": [{"text": "The result follows."}]}},
            {"toolResult": {"toolUseId": "1", "content": [{"text": "bad"}], "status": "error"}},
            {"text": "Result of the call of tool `add` with id `0`:"},
            {"image": {"format": "jpeg", "source": {"bytes": "AAEC"}}},
        ])
    );
    assert!(warnings.is_empty());
    let (body, _) = sent(&with_tool(
        "mistral.mistral-large-2402-v1:0",
        vec![
            Message::user("a"),
            message(Role::Assistant, vec![call("0", "{}"), call("1", "{}")]),
            Message::tool(vec![
                result("0", vec![Part::text("3")]),
                result("1", vec![Part::text("{\"sum\":3}")]),
            ]),
        ],
    ));
    let content = |place: usize| body["messages"][2]["content"][place]["toolResult"]["content"].clone();
    assert_eq!((content(0), content(1)), (json!([{"json": {"result": "3"}}]), json!([{"json": {"sum": 3}}])));
}

#[test]
fn ids_are_mapped_alike_in_calls_and_results_and_broken_arguments_stay_visible() {
    let id = format!("resp_1:{}", "x".repeat(70));
    let (body, warnings) = sent(&with_tool(
        CLAUDE,
        vec![
            Message::user("a"),
            message(Role::Assistant, vec![call(&id, "{\"x\":")]),
            Message::tool(vec![result(&id, vec![Part::text("no JSON")])]),
        ],
    ));
    let called = &body["messages"][1]["content"][0]["toolUse"];
    let answered = &body["messages"][2]["content"][0]["toolResult"];
    assert_eq!(called["toolUseId"], answered["toolUseId"]);
    assert!(called["toolUseId"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(called["input"], json!({"arguments": "{\"x\":"}));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn a_conversation_that_the_format_refuses_is_told_before_it_is_sent() {
    let calls = || message(Role::Assistant, vec![call("1", "{}"), call("2", "{}")]);
    let one = || Message::tool(vec![result("1", vec![])]);
    for (messages, expected) in [
        (vec![Message::user("a"), calls()], "the tool call `1` has no result"),
        (vec![Message::user("a"), calls(), one()], "the tool call `2` has no result"),
        (
            vec![Message::user("a"), calls(), one(), Message::assistant("b")],
            "the tool call `2` has no result",
        ),
        (vec![one()], "the tool result `1` answers no call of the model's turn before it"),
        (vec![user(vec![call("1", "{}")])], "a tool call cannot stand in a message of role `user`"),
        (
            vec![message(Role::Assistant, vec![Part::Document(bytes("text/csv", None))])],
            "a document cannot stand in a message of role `assistant`",
        ),
    ] {
        assert_eq!(refusal(&request(CLAUDE, messages)), (ErrorKind::InvalidRequest, expected.to_owned()));
    }
}

#[test]
fn documents_have_names_of_their_own_a_format_and_a_text_beside_them() {
    let named = |name: &str| Part::Document(bytes("application/pdf", Some(name)));
    let sent_names = |parts: Vec<Part>| -> Vec<Value> {
        let (body, _) = sent(&request(CLAUDE, vec![user(parts)]));
        let blocks = body["messages"][0]["content"].as_array().unwrap().clone();
        blocks.iter().filter_map(|block| block.pointer("/document/name").cloned()).collect()
    };
    let nameless = || Part::Document(bytes("application/pdf", None));
    assert_eq!(
        sent_names(vec![
            nameless(),
            named("Q3_report  (final).v2.pdf"),
            named("Q3 report (final) v2.md"),
            named("Größe.txt"),
            named("…"),
            nameless(),
            named(&"n".repeat(300)),
        ]),
        [
            "Document 1",
            "Q3 report (final) v2",
            "Q3 report (final) v2 2",
            "Gr e",
            "Document 2",
            "Document 3",
            &"n".repeat(180),
        ]
    );
    let format = |media_type: &str| {
        let document = Part::Document(bytes(media_type, Some("d")));
        let (body, warnings) = sent(&request(CLAUDE, vec![user(vec![document])]));
        assert_eq!(warnings.len(), 1);
        let content = &body["messages"][0]["content"];
        assert_eq!(content[1], json!({"text": "The document is attached."}));
        content[0]["document"]["format"].as_str().unwrap().to_owned()
    };
    let types = ["text/plain; charset=utf-8", "text/x-rust", "Text/Markdown", "application/msword"];
    assert_eq!(types.map(format), ["txt", "txt", "md", "doc"]);
}

#[test]
fn media_are_sent_where_the_model_takes_them() {
    let address = |url: &str| media(None, MediaSource::Url(url.to_owned()), None);
    let stored = messages(NOVA, vec![user(vec![Part::Image(address("s3://b/a.JPG?v=1"))])]);
    let source = json!({"s3Location": {"uri": "s3://b/a.JPG?v=1"}});
    assert_eq!(stored[0]["content"], json!([{"image": {"format": "jpeg", "source": source}}]));
    let text = media(Some("text/plain"), MediaSource::Base64("SGk=".to_owned()), Some("a.txt"));
    assert_eq!(
        messages("amazon.nova-micro-v1:0", vec![user(vec![Part::Document(text)])])[0]["content"],
        json!([{"text": "<document name=\"a.txt\">\nHi\n</document>"}])
    );
    for (model, part, kind, expected) in [
        (
            CLAUDE,
            Part::Image(address("s3://b/a.png")),
            ErrorKind::Unsupported,
            "the model does not accept images by address",
        ),
        (
            NOVA,
            Part::Image(address("https://h/a.png")),
            ErrorKind::Unsupported,
            "the model does not accept images by this address",
        ),
        (
            NOVA,
            Part::Image(address("s3://b/a")),
            ErrorKind::InvalidRequest,
            "the media type of an image is not known",
        ),
        (
            CLAUDE,
            Part::Image(bytes("image/tiff", None)),
            ErrorKind::Unsupported,
            "the model does not accept an image of type `image/tiff`",
        ),
        (
            "us.deepseek.r1-v1:0",
            Part::Image(bytes("image/png", None)),
            ErrorKind::Unsupported,
            "the model does not accept images",
        ),
        (
            "amazon.nova-micro-v1:0",
            Part::Document(bytes("application/pdf", None)),
            ErrorKind::Unsupported,
            "the model does not accept documents",
        ),
    ] {
        assert_eq!(refusal(&request(model, vec![user(vec![part])])), (kind, expected.to_owned()));
    }
}

#[test]
fn tools_and_the_choice_among_them() {
    let with = |model: &str, choice: ToolChoice| {
        let mut request = with_tool(model, vec![Message::user("a")]);
        request.tool_choice = choice;
        let (mut body, warnings) = sent(&request);
        (body["toolConfig"]["toolChoice"].take(), body["toolConfig"]["tools"].is_array(), warnings.len())
    };
    let llama = "us.meta.llama4-maverick-17b-instruct-v1:0";
    for (model, choice, expected) in [
        (CLAUDE, ToolChoice::Auto, (Value::Null, true, 0)),
        (CLAUDE, ToolChoice::Required, (json!({"any": {}}), true, 0)),
        (CLAUDE, ToolChoice::Tool("add".into()), (json!({"tool": {"name": "add"}}), true, 0)),
        (CLAUDE, ToolChoice::None, (Value::Null, false, 0)),
        (llama, ToolChoice::Required, (Value::Null, true, 1)),
    ] {
        assert_eq!(with(model, choice.clone()), expected, "{choice:?}");
    }
    let turn = vec![
        Message::user("a"),
        message(Role::Assistant, vec![call("1", "{}")]),
        Message::tool(vec![result("1", vec![Part::text("3")])]),
    ];
    let forbidden = ChatRequest { tool_choice: ToolChoice::None, ..with_tool(CLAUDE, turn.clone()) };
    let (body, warnings) = sent(&forbidden);
    assert!(body["toolConfig"]["tools"].is_array() && warnings.len() == 1, "{warnings:?}");
    let (body, warnings) = sent(&request(CLAUDE, turn));
    let declared = json!([{"toolSpec": {"name": "add", "inputSchema": {"json": {"type": "object"}}}}]);
    assert_eq!((&body["toolConfig"]["tools"], warnings.len()), (&declared, 1));
}

#[test]
fn tools_are_described_and_held_to_their_schema_where_the_model_can() {
    let tool = ToolSpec {
        strict: Some(true),
        ..ToolSpec::new("add", "Adds.", json!({"properties": {"x": {"type": "number"}}}))
    };
    let with = |model: &str| {
        sent(&ChatRequest { tools: vec![tool.clone()], ..request(model, vec![Message::user("a")]) })
    };
    let schema = json!({"properties": {"x": {"type": "number"}}, "type": "object"});
    let mut spec =
        json!({"name": "add", "description": "Adds.", "inputSchema": {"json": schema}, "strict": true});
    let (body, warnings) = with(CLAUDE);
    assert_eq!((&body["toolConfig"]["tools"][0]["toolSpec"], warnings.len()), (&spec, 0));
    spec.as_object_mut().unwrap().remove("strict");
    let (body, warnings) = with(NOVA);
    assert_eq!((&body["toolConfig"]["tools"][0]["toolSpec"], warnings.len()), (&spec, 1));
}

#[test]
fn options_go_where_the_model_looks_for_them() {
    let mut asked = request(NOVA, vec![Message::system("Be brief."), Message::user("a")]);
    asked.max_tokens = Some(9);
    asked.stop = vec!["END".into()];
    asked.sampling.temperature = Some(0.5);
    asked.sampling.top_p = Some(0.25);
    asked.sampling.top_k = Some(20);
    asked.extra.insert("guardrailConfig".into(), json!({"guardrailIdentifier": "g"}));
    let (body, warnings) = sent(&asked);
    assert_eq!(
        body,
        json!({
            "messages": [{"role": "user", "content": [{"text": "a"}]}],
            "system": [{"text": "Be brief."}],
            "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]},
            "additionalModelRequestFields": {"inferenceConfig": {"topK": 20}},
            "guardrailConfig": {"guardrailIdentifier": "g"},
        })
    );
    assert!(warnings.is_empty());
    asked.sampling.seed = Some(1);
    asked.sampling.presence_penalty = Some(1.0);
    asked.extra.insert("system".into(), json!([{"text": "mine"}]));
    let (body, warnings) = sent(&asked);
    assert_eq!(
        warnings,
        ["this format has no `seed`; left out", "this format has no `presence_penalty`; left out"]
    );
    assert_eq!(body["system"], json!([{"text": "mine"}]));
    let (body, _) = sent(&request("amazon.titan-text-lite-v1", asked.messages.clone()));
    assert_eq!(body["messages"][0]["content"], json!([{"text": "Be brief."}, {"text": "a"}]));
    assert_eq!(body.get("system"), None);
}

#[test]
fn an_answer_by_schema_is_asked_for_as_text() {
    let output = JsonSchemaOutput { name: "City".into(), schema: json!({"type": "object"}), strict: true };
    let asked =
        ChatRequest { output: Output::JsonSchema(output), ..request(CLAUDE, vec![Message::user("a")]) };
    let (body, _) = sent(&asked);
    let structure = json!({"jsonSchema": {"name": "City", "schema": "{\"type\":\"object\"}"}});
    assert_eq!(body["outputConfig"], json!({"textFormat": {"type": "json_schema", "structure": structure}}));
}

#[test]
fn thinking_is_asked_for_as_each_model_wants_it() {
    use ReasoningEffort::{High, Low, Minimal, None, Xhigh};
    let budget = |tokens: u32| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let adaptive =
        |effort: &str| json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}});
    let level = |level: &str| json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}});
    let (newer, nova) = ("anthropic.claude-sonnet-4-6", "us.amazon.nova-2-lite-v1:0");
    for (model, effort, limit, fields, sent_limit, told) in [
        (CLAUDE, Low, Option::None, budget(2_048), json!(6_144), 0),
        (CLAUDE, High, Some(2_000), budget(1_500), json!(2_000), 0),
        (CLAUDE, Minimal, Some(1_100), budget(1_024), json!(1_100), 0),
        (CLAUDE, High, Some(1_024), Value::Null, json!(1_024), 1),
        (CLAUDE, Xhigh, Option::None, budget(32_000), json!(36_096), 0),
        (CLAUDE, None, Some(9), Value::Null, json!(9), 0),
        (newer, High, Option::None, adaptive("high"), Value::Null, 0),
        (newer, Xhigh, Option::None, adaptive("high"), Value::Null, 1),
        (newer, None, Option::None, json!({"thinking": {"type": "disabled"}}), Value::Null, 0),
        (nova, High, Option::None, level("high"), Value::Null, 0),
        (nova, High, Some(9), level("medium"), json!(9), 1),
        ("qwen.qwen3-32b-v1:0", High, Option::None, json!({"reasoning_config": "high"}), Value::Null, 0),
        ("openai.gpt-oss-120b-1:0", Low, Option::None, json!({"reasoning_effort": "low"}), Value::Null, 0),
        (NOVA, High, Option::None, Value::Null, Value::Null, 1),
    ] {
        let mut asked = request(model, vec![Message::user("a")]);
        (asked.reasoning_effort, asked.max_tokens) = (Some(effort), limit);
        let (body, warnings) = sent(&asked);
        let found =
            (&body["additionalModelRequestFields"], &body["inferenceConfig"]["maxTokens"], warnings.len());
        assert_eq!(found, (&fields, &sent_limit, told), "{model} {effort:?} {limit:?}");
    }
    let mut forced = with_tool(CLAUDE, vec![Message::user("a")]);
    (forced.reasoning_effort, forced.tool_choice) = (Some(High), ToolChoice::Required);
    let (body, warnings) = sent(&forced);
    assert_eq!((body.get("additionalModelRequestFields"), warnings.len()), (Option::None, 1));
}
