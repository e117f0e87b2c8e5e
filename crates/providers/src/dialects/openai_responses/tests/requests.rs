//! What is sent for what is asked.

use motet_core::message::{Media, MediaSource};
use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, ErrorKind, Message, Part, Role};
use serde_json::{Value, json};

use super::{OpenAiResponses, request};
use crate::dialect::{Dialect as _, JsonOutput, Profile};
use crate::rows;

fn profile(request: &ChatRequest) -> Profile {
    rows::find(request.model.provider()).unwrap().profile_of(request.model.model())
}

fn sent(request: &ChatRequest, profile: &Profile) -> (Value, Vec<String>) {
    let sent = OpenAiResponses.encode(request, profile, Delivery::Plain).unwrap();
    (serde_json::from_slice(&sent.body).unwrap(), sent.warnings)
}

fn fields(mut body: Value, names: &[&str]) -> Value {
    let fields = body.as_object_mut().unwrap();
    fields.retain(|name, _| names.contains(&name.as_str()));
    body
}

fn hello(model: &str) -> ChatRequest {
    request(model, vec![Message::user("Hi")])
}

#[test]
fn a_plain_question_is_as_small_as_can_be() {
    let asked = request("custom:m", vec![Message::system("Be brief."), Message::user("Hi")]);
    let expected = json!({
        "model": "m",
        "input": [
            {"type": "message", "role": "system", "content": "Be brief."},
            {"type": "message", "role": "user", "content": "Hi"},
        ],
    });
    assert_eq!(sent(&asked, &Profile::COMMON), (expected, vec![]));
    let streamed = OpenAiResponses.encode(&asked, &Profile::COMMON, Delivery::Streamed).unwrap();
    assert_eq!((streamed.method.as_str(), &*streamed.path), ("POST", "/responses"));
    assert_eq!(serde_json::from_slice::<Value>(&streamed.body).unwrap()["stream"], true);
}

#[test]
fn each_row_sends_what_its_provider_demands() {
    let names = [
        "instructions",
        "store",
        "include",
        "stream",
        "reasoning",
        "temperature",
        "max_output_tokens",
        "metadata",
    ];
    let include = json!(["reasoning.encrypted_content"]);
    for (model, expected) in [
        (
            "openai-responses:gpt-4.1",
            json!({"store": false, "temperature": 0.5, "max_output_tokens": 9, "metadata": {"a": "1"}}),
        ),
        (
            "openai-responses:o3",
            json!({"store": false, "include": include, "reasoning": {"effort": "high"},
            "max_output_tokens": 9, "metadata": {"a": "1"}}),
        ),
        (
            "chatgpt:gpt-5.4",
            json!({"store": false, "include": include, "reasoning": {"effort": "high"},
            "instructions": "You are a helpful assistant.", "stream": true}),
        ),
        (
            "xai:grok-4.3",
            json!({"store": false, "include": include, "reasoning": {"effort": "high"},
            "temperature": 0.5, "max_output_tokens": 9}),
        ),
        (
            "xai:grok-4-0709",
            json!({"store": false, "include": include, "temperature": 0.5, "max_output_tokens": 9}),
        ),
        ("xai:grok-3", json!({"store": false, "temperature": 0.5, "max_output_tokens": 9})),
    ] {
        let mut asked = hello(model);
        asked.reasoning_effort = Some(ReasoningEffort::High);
        asked.sampling.temperature = Some(0.5);
        asked.max_tokens = Some(9);
        asked.metadata = json!({"a": 1}).as_object().unwrap().clone();
        assert_eq!(fields(sent(&asked, &profile(&asked)).0, &names), expected, "{model}");
    }
    let shared = |row: &str| rows::find(row).unwrap().profile_of("gpt-5.1").efforts;
    assert_eq!(shared("openai-responses"), shared("openai"));
}

#[test]
fn instructions_go_where_the_provider_wants_them() {
    let talk = || {
        vec![Message::system("One."), Message::system("Two."), Message::user("Hi"), Message::system("Three.")]
    };
    let asked = request("chatgpt:gpt-5.4", talk());
    let (body, warnings) = sent(&asked, &profile(&asked));
    assert_eq!((body["instructions"].as_str(), warnings.len()), (Some("One.\n\nTwo."), 0));
    let later = json!({"type": "message", "role": "developer", "content": "Three."});
    assert_eq!(body["input"], json!([{"type": "message", "role": "user", "content": "Hi"}, later]));
    let merged = Profile { merge_system: true, ..Profile::COMMON };
    let first = json!({"type": "message", "role": "system", "content": "One.\n\nTwo.\n\nThree."});
    assert_eq!(sent(&asked, &merged).0["input"][0], first);
    let asked = request("openai-responses:o3", talk());
    assert_eq!(sent(&asked, &profile(&asked)).0["input"][3], later);
    let (_, warnings) = sent(&hello("chatgpt:gpt-5.4"), &profile(&hello("chatgpt:gpt-5.4")));
    assert_eq!(
        warnings,
        ["the provider demands instructions and there are none; `You are a helpful assistant.` was sent"]
    );
}

#[test]
fn what_the_format_or_model_does_not_take_is_told() {
    let mut asked = hello("openai-responses:gpt-4.1");
    asked.sampling.seed = Some(7);
    asked.sampling.frequency_penalty = Some(0.1);
    asked.sampling.presence_penalty = Some(0.1);
    asked.sampling.top_k = Some(5);
    asked.stop = vec!["END".into()];
    asked.max_tokens = Some(5);
    asked.parallel_tool_calls = Some(false);
    let limited = Profile { output_limit: false, parallel_tool_calls: false, ..profile(&asked) };
    let (body, warnings) = sent(&asked, &limited);
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["model", "input", "store"]);
    assert_eq!(
        warnings,
        [
            "the model does not accept `top_k`; left out",
            "the format has no field for `seed`, `frequency_penalty`, `presence_penalty`; left out",
            "the format has no field for stop texts; they were left out",
            "the model does not accept an output limit; `max_tokens` was left out",
            "the model does not accept `parallel_tool_calls`; left out",
        ]
    );
}

#[test]
fn the_callers_own_fields_win() {
    let mut asked = hello("openai-responses:o3");
    let own =
        json!({"store": true, "include": [], "reasoning": {"effort": "low", "summary": "auto"}, "x": 1});
    asked.extra = own.as_object().unwrap().clone();
    asked.reasoning_effort = Some(ReasoningEffort::High);
    let (body, _) = sent(&asked, &profile(&asked));
    assert_eq!(fields(body.clone(), &["store", "include", "reasoning", "x"]), own);
    assert_eq!(body.to_string().matches("store").count(), 1);
    // Work in the background can only be fetched when it is kept.
    asked.extra = json!({"background": true}).as_object().unwrap().clone();
    assert_eq!(
        fields(sent(&asked, &profile(&asked)).0, &["store", "background"]),
        json!({"background": true})
    );
}

#[test]
fn an_empty_conversation_is_refused_before_it_is_sent() {
    for (model, messages) in [("custom:m", vec![]), ("chatgpt:m", vec![Message::system("Be brief.")])] {
        let mut asked = request(model, messages);
        let error = OpenAiResponses.encode(&asked, &profile(&asked), Delivery::Plain).unwrap_err();
        assert_eq!(
            (error.kind(), error.hint()),
            (ErrorKind::InvalidRequest, Some("add a message of the user"))
        );
        asked.extra = json!({"previous_response_id": "resp_1"}).as_object().unwrap().clone();
        assert_eq!(sent(&asked, &profile(&asked)).0["input"], json!([]));
    }
}

#[test]
fn tools_are_flat_and_their_options_never_go_without_them() {
    let mut asked = hello("openai-responses:gpt-4.1");
    asked.parallel_tool_calls = Some(false);
    asked.tool_choice = ToolChoice::None;
    let names = ["tools", "tool_choice", "parallel_tool_calls"];
    assert_eq!(fields(sent(&asked, &profile(&asked)).0, &names), json!({}));
    let closed = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    let strict = |strict| ToolSpec { strict, ..ToolSpec::new("add", "Adds.", closed.clone()) };
    for (wish, choice, expected) in [
        (None, ToolChoice::None, json!("none")),
        (Some(true), ToolChoice::Required, json!("required")),
        (Some(false), ToolChoice::Tool("add".into()), json!({"type": "function", "name": "add"})),
    ] {
        asked.tools = vec![strict(wish)];
        asked.tool_choice = choice;
        let tool = json!({"type": "function", "name": "add", "description": "Adds.", "parameters": closed,
            "strict": wish == Some(true)});
        let expected = json!({"tools": [tool], "tool_choice": expected, "parallel_tool_calls": false});
        assert_eq!(fields(sent(&asked, &profile(&asked)).0, &names), expected);
    }
    let free = Profile { required_tool_choice: false, none_tool_choice: false, ..Profile::COMMON };
    for (choice, what) in [(ToolChoice::None, "forbidden"), (ToolChoice::Required, "required")] {
        asked.tool_choice = choice;
        let (body, warnings) = sent(&asked, &free);
        assert!(body.get("tool_choice").is_none());
        let told = format!("the model does not accept that a call is {what}; the choice was left to it");
        assert_eq!(warnings, [told]);
    }
}

#[test]
fn an_answer_by_schema_is_asked_for_in_the_text_field() {
    let schema = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    let mut asked = hello("openai-responses:gpt-4.1");
    for (strict, json_output, expected) in [
        (
            true,
            JsonOutput::Schema,
            json!({"type": "json_schema", "name": "out", "schema": schema, "strict": true}),
        ),
        (
            false,
            JsonOutput::Schema,
            json!({"type": "json_schema", "name": "out", "schema": schema, "strict": false}),
        ),
        (true, JsonOutput::Object, json!({"type": "json_object"})),
    ] {
        asked.output =
            Output::JsonSchema(JsonSchemaOutput { name: "out".into(), schema: schema.clone(), strict });
        let (body, _) = sent(&asked, &Profile { json_output, ..Profile::COMMON });
        assert_eq!(body["text"], json!({"format": expected}));
    }
    let (body, _) = sent(&asked, &Profile { json_output: JsonOutput::Tool, ..Profile::COMMON });
    assert!(body.get("text").is_none());
}

#[test]
fn images_and_documents_go_as_parts() {
    let media = |kind: Option<&str>, source: MediaSource, name: Option<&str>| Media {
        media_type: kind.map(str::to_owned),
        source,
        name: name.map(str::to_owned),
    };
    let bytes = |data: &str| MediaSource::Base64(data.to_owned());
    let url = |address: &str| MediaSource::Url(address.to_owned());
    let parts = vec![
        Part::text("Look"),
        Part::Image(media(Some("image/png"), bytes("AA=="), None)),
        Part::Image(media(None, url("https://h/a.jpg"), None)),
        Part::Document(media(Some("application/pdf"), bytes("AQ=="), Some("a.pdf"))),
        Part::Document(media(None, url("https://h/b.pdf"), None)),
        Part::Document(media(Some("text/plain"), bytes("aGk="), None)),
    ];
    let asked = request("custom:m", vec![Message { role: Role::User, parts }]);
    let expected = json!([
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        {"type": "input_image", "image_url": "https://h/a.jpg", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AQ=="},
        {"type": "input_file", "file_url": "https://h/b.pdf"},
        {"type": "input_text", "text": "<document name=\"document\">\nhi\n</document>"},
    ]);
    assert_eq!(sent(&asked, &Profile::COMMON).0["input"][0]["content"], expected);
    for (role, part, message) in [
        (
            Role::User,
            Part::Image(media(None, bytes("AA=="), None)),
            "an image given by its bytes has no media type",
        ),
        (Role::Tool, Part::text("x"), "text cannot stand in a message of role `tool`"),
        (
            Role::User,
            Part::Document(media(Some("text/plain"), bytes("/w=="), None)),
            "a text document is not base64 of UTF-8 text",
        ),
    ] {
        let asked = request("custom:m", vec![Message { role, parts: vec![part] }]);
        let error = OpenAiResponses.encode(&asked, &Profile::COMMON, Delivery::Plain).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, message));
        assert!(error.hint().is_some());
    }
}
