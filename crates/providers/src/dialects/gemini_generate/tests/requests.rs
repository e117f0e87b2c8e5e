//! What is sent for options, tools, and the caller's own fields.

use motet_core::request::{JsonSchemaOutput, Output, ReasoningEffort, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, ErrorKind, Message};
use serde_json::{Value, json};

use crate::dialect::{Dialect as _, HttpRequest};
use crate::dialects::gemini_generate::GeminiGenerate;
use crate::rows;

fn asked(model: &str) -> ChatRequest {
    ChatRequest::new(format!("gemini:{model}").parse().unwrap(), vec![Message::user("Hi")])
}

fn sent(request: &ChatRequest) -> HttpRequest {
    let profile = rows::find("gemini").unwrap().profile_of(request.model.model());
    GeminiGenerate.encode(request, &profile, Delivery::Plain).unwrap()
}

fn body(request: &ChatRequest) -> Value {
    serde_json::from_slice(&sent(request).body).unwrap()
}

fn tool(name: &str) -> ToolSpec {
    ToolSpec::new(name, "Does it.", json!({"type": "object", "properties": {"a": {"type": "string"}}}))
}

#[test]
fn a_plain_question_is_as_small_as_can_be() {
    let mut request = asked("gemini-2.5-flash");
    request.messages.insert(0, Message::system("Be brief."));
    let expected = json!({
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    });
    assert_eq!(body(&request), expected);
    let profile = rows::find("gemini").unwrap().profile;
    for (model, delivery, path) in [
        ("gemini-2.5-flash", Delivery::Plain, "/models/gemini-2.5-flash:generateContent"),
        ("gemini-2.5-flash", Delivery::Streamed, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("tunedModels/mine", Delivery::Plain, "/tunedModels/mine:generateContent"),
        ("a?b#c", Delivery::Plain, "/models/a%3Fb%23c:generateContent"),
    ] {
        assert_eq!(GeminiGenerate.encode(&asked(model), &profile, delivery).unwrap().path, path);
    }
}

#[test]
fn options_go_into_the_configuration_and_the_callers_own_join_them() {
    let mut request = asked("gemini-2.0-flash");
    request.sampling.temperature = Some(0.5);
    request.sampling.top_p = Some(0.9);
    request.sampling.top_k = Some(40);
    request.sampling.seed = Some(7);
    request.sampling.frequency_penalty = Some(0.1);
    request.sampling.presence_penalty = Some(0.2);
    request.max_tokens = Some(100);
    request.stop = vec!["END".into()];
    let own = json!({"generation_config": {"topP": 1, "candidateCount": 2}, "labels": {"a": "b"}});
    request.extra = own.as_object().unwrap().clone();
    let body = body(&request);
    let expected = json!({
        "temperature": 0.5, "topP": 1, "topK": 40, "seed": 7, "frequencyPenalty": 0.1, "presencePenalty": 0.2,
        "maxOutputTokens": 100, "stopSequences": ["END"], "candidateCount": 2,
    });
    assert_eq!(body["generationConfig"], expected);
    assert_eq!(body["labels"], json!({"a": "b"}));
    assert!(body.get("generation_config").is_none());
}

#[test]
fn what_the_model_does_not_accept_is_left_out_and_told() {
    let mut request = asked("gemini-2.5-pro");
    request.sampling.frequency_penalty = Some(0.1);
    request.sampling.seed = Some(1 << 40);
    request.tools = vec![tool("a")];
    request.parallel_tool_calls = Some(false);
    let sent = sent(&request);
    assert!(serde_json::from_slice::<Value>(&sent.body).unwrap().get("generationConfig").is_none());
    assert_eq!(
        sent.warnings,
        [
            "the model does not accept `parallel_tool_calls`; left out",
            "the model does not accept `frequency_penalty`; left out",
            "the seed `1099511627776` does not fit into 32 bits; left out",
        ]
    );
}

#[test]
fn thinking_is_asked_for_as_each_model_takes_it() {
    use ReasoningEffort::{High, Low, Medium, Minimal, None as Off, Xhigh};
    let budget = |tokens: u32| json!({"thinkingBudget": tokens, "includeThoughts": tokens > 0});
    let level = |level: &str| json!({"thinkingLevel": level, "includeThoughts": true});
    for (model, effort, expected, warned) in [
        ("gemini-2.5-flash", Off, budget(0), false),
        ("gemini-2.5-flash", Minimal, budget(512), false),
        ("gemini-2.5-flash-lite", Low, budget(1_024), false),
        ("gemini-2.5-flash", Xhigh, budget(24_576), false),
        ("gemini-2.5-pro", High, budget(24_576), false),
        ("gemini-2.5-pro", Xhigh, budget(32_768), false),
        ("gemini-2.5-pro", Off, budget(512), true),
        ("gemini-3-flash-preview", Off, level("minimal"), true),
        ("gemini-3-flash-preview", Medium, level("medium"), false),
        ("gemini-3-flash-preview", Xhigh, level("high"), true),
        ("gemini-3-pro-preview", Medium, level("low"), true),
        ("gemini-3.1-pro-preview", Medium, level("medium"), false),
        ("gemini-flash-latest", Low, level("low"), false),
        ("gemini-2.0-flash", High, Value::Null, true),
        ("gemini-2.0-flash", Off, Value::Null, false),
        ("gemma-3-27b-it", High, Value::Null, true),
    ] {
        let mut request = asked(model);
        request.reasoning_effort = Some(effort);
        let sent = sent(&request);
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(body["generationConfig"]["thinkingConfig"], expected, "{model} {effort:?}");
        assert_eq!(!sent.warnings.is_empty(), warned, "{model} {effort:?} {:?}", sent.warnings);
    }
}

#[test]
fn tools_and_the_choice_among_them() {
    let mut request = asked("gemini-2.5-flash");
    assert!(body(&request).get("toolConfig").is_none());
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    request.tools = vec![tool("one"), ToolSpec::new("two", "", json!({"type": "object"}))];
    let declared = json!({"functionDeclarations": [
        {"name": "one", "description": "Does it.", "parametersJsonSchema": schema},
        {"name": "two", "parametersJsonSchema": {"type": "object"}},
    ]});
    assert_eq!(body(&request)["tools"], json!([declared]));
    for (choice, expected) in [
        (ToolChoice::Auto, Value::Null),
        (ToolChoice::None, json!({"mode": "NONE"})),
        (ToolChoice::Required, json!({"mode": "ANY"})),
        (ToolChoice::Tool("one".into()), json!({"mode": "ANY", "allowedFunctionNames": ["one"]})),
    ] {
        request.tool_choice = choice;
        assert_eq!(body(&request)["toolConfig"]["functionCallingConfig"], expected);
    }
    request.tool_choice = ToolChoice::Auto;
    request.tools[0].strict = Some(true);
    assert_eq!(body(&request)["toolConfig"], json!({"functionCallingConfig": {"mode": "VALIDATED"}}));
    // Tools that the provider runs itself stand beside those declared, unless the caller declares all.
    let own =
        json!({"tools": [{"googleSearch": {}}], "toolConfig": {"includeServerSideToolInvocations": true}});
    request.extra = own.as_object().unwrap().clone();
    let joined = body(&request);
    assert_eq!(joined["tools"], json!([declared, {"googleSearch": {}}]));
    let expected = json!({
        "functionCallingConfig": {"mode": "VALIDATED"}, "includeServerSideToolInvocations": true,
    });
    assert_eq!(joined["toolConfig"], expected);
    request.extra.insert("tools".into(), json!([{"functionDeclarations": []}]));
    assert_eq!(body(&request)["tools"], json!([{"functionDeclarations": []}]));
    // Models before the fields for JSON schema take the older ones, which refuse objects without properties.
    let mut request = asked("gemini-1.5-flash");
    request.tools = vec![tool("one"), ToolSpec::new("two", "", json!({"type": "object", "properties": {}}))];
    let declared = json!([{"name": "one", "description": "Does it.", "parameters": schema}, {"name": "two"}]);
    assert_eq!(body(&request)["tools"][0]["functionDeclarations"], declared);
}

#[test]
fn contradictions_are_refused_with_a_hint_before_anything_is_sent() {
    let profile = rows::find("gemini").unwrap().profile;
    let refused = |change: &dyn Fn(&mut ChatRequest)| {
        let mut request = asked("gemini-3-flash-preview");
        change(&mut request);
        GeminiGenerate.encode(&request, &profile, Delivery::Plain).unwrap_err()
    };
    let no_tools = refused(&|request| request.tool_choice = ToolChoice::Required);
    assert_eq!(no_tools.message(), "a tool call is required, but there are no tools");
    let silent = refused(&|request| request.messages = vec![Message::system("Be brief.")]);
    assert_eq!((silent.kind(), silent.hint().is_some()), (ErrorKind::InvalidRequest, true));
}

#[test]
fn an_answer_by_schema_is_asked_for_in_the_field_that_the_model_knows() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    for (model, field) in [("gemini-2.5-flash", "responseJsonSchema"), ("gemini-1.5-pro", "responseSchema")] {
        let mut request = asked(model);
        request.output =
            Output::JsonSchema(JsonSchemaOutput { name: "out".into(), schema: schema.clone(), strict: true });
        let expected = json!({"responseMimeType": "application/json", field: schema});
        assert_eq!(body(&request)["generationConfig"], expected);
    }
}

#[test]
fn what_a_cache_holds_is_not_repeated() {
    let mut request = asked("gemini-2.5-flash");
    request.messages.insert(0, Message::system("Be brief."));
    request.tools = vec![tool("one")];
    request.tool_choice = ToolChoice::Required;
    request.extra.insert("cached_content".into(), json!("cachedContents/c"));
    let sent = sent(&request);
    let expected = json!({
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "cachedContent": "cachedContents/c",
    });
    assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap(), expected);
    assert_eq!(
        sent.warnings,
        [
            "`systemInstruction`, `tools`, `toolConfig` were left out, as `cachedContent` holds them and the request may \
          not repeat them"
        ]
    );
}
