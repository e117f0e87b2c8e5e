//! Keys: which stay the same for ever, and what changes them.

use std::collections::HashSet;

use motet_core::message::{Opaque, Reasoning, ToolCall, ToolResult};
use motet_core::request::JsonSchemaOutput;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn model(name: &str) -> ModelId {
    name.parse().unwrap()
}

fn chat(text: &str) -> ChatRequest {
    ChatRequest::new(model("openai:gpt-4o-mini"), vec![Message::user(text)])
}

fn key(request: &ChatRequest) -> Key {
    Key::of_chat(request, &Scope::default()).unwrap()
}

/// A request that uses every field.
fn full() -> ChatRequest {
    let call = ToolCall {
        id: "call_1".into(),
        name: "look".into(),
        arguments: "{\"at\": 1}".into(),
        minted: false,
        opaque: None,
    };
    let image = |source| Media { media_type: Some("image/png".into()), source, name: None };
    let result = ToolResult {
        id: "call_1".into(),
        name: "look".into(),
        content: vec![Part::text("a door"), Part::Image(image(MediaSource::Base64("AA==".into())))],
        is_error: false,
    };
    let reasoning = Reasoning {
        text: "hm".into(),
        opaque: Some(Opaque { provider: "openai".into(), payload: json!({"signature": "s"}) }),
    };
    let mut request = chat("What is it?");
    request.messages.insert(0, Message::system("Be short."));
    request.messages[1].parts.push(Part::Image(image(MediaSource::Url("https://x.example/a.png".into()))));
    request.messages[1].parts.push(Part::Document(Media {
        name: Some("a.pdf".into()),
        ..image(MediaSource::Base64("AA==".into()))
    }));
    let parts = vec![Part::Reasoning(reasoning), Part::ToolCall(call)];
    request.messages.push(Message { role: Role::Assistant, parts });
    request.messages.push(Message::tool(vec![result]));
    let parameters = json!({"type": "object", "properties": {"at": {"type": "integer"}, "how": {}}});
    request.tools = vec![ToolSpec::new("look", "Looks.", parameters)];
    request.tool_choice = ToolChoice::Required;
    request.parallel_tool_calls = Some(false);
    request.output = Output::JsonSchema(JsonSchemaOutput {
        name: "answer".into(),
        schema: json!({"type": "object", "properties": {"why": {}, "what": {}}}),
        strict: true,
    });
    request.sampling.temperature = Some(0.0);
    request.sampling.seed = Some(7);
    request.reasoning_effort = Some(ReasoningEffort::Low);
    request.max_tokens = Some(100);
    request.stop = vec!["END".into()];
    request.metadata.insert("case".into(), json!(1));
    request.extra.insert("user".into(), json!("u1"));
    request.extra.insert("logit_bias".into(), json!({"1": 2}));
    request
}

/// These keys are in people's stores: a change makes all that is kept there useless, and needs a new [`FORMAT`].
#[test]
fn keys_do_not_change_by_accident() {
    let scope = Scope { server: Some("s".into()), tenant: Some("acme".into()) };
    let mut embed =
        EmbedRequest::new(model("openai:text-embedding-3-small"), vec!["one".into(), "two".into()]);
    embed.dimensions = Some(256);
    embed.purpose = Some(EmbedPurpose::Query);
    let rerank = RerankRequest {
        model: model("cohere:rerank-v3.5"),
        query: "where?".into(),
        documents: vec!["here".into(), "there".into()],
        top_n: Some(1),
        extra: Map::new(),
    };
    let mut keys = vec![key(&chat("Hello")), key(&full()), Key::of_chat(&full(), &scope).unwrap()];
    keys.extend(Key::of_texts(&embed, &scope).unwrap());
    keys.push(Key::of_ranking(&rerank, &Scope::default()).unwrap());
    let written: Vec<String> = keys.iter().map(Key::to_string).collect();
    assert_eq!(
        written,
        [
            "e53e8d2bdf7e67957597acb1eb7bf162069dff33e76dbcba48e9bb7cf6b934be",
            "944675dd045fa3295116f2d23c1b91bb0c2603f5d592cad46bb4bd2472b50bdc",
            "086afc884bcde690ed398834462ee8f372f3006d4c589f4759c0e9f21cb0954d",
            "102307158c6fda85afaf353e4fa1d9da07dc183469a80b9b373ee0e23376c503",
            "ce32c0055226f16686e6036edb66cec9e734047fd4fba680c3fce813b64daee3",
            "711f022d90eba5d9358b9234b49c7278c76ba2bafcb37ff14b7f022c2c2409b5"
        ]
    );
    assert_eq!(FORMAT, 1);
}

type Change = fn(&mut ChatRequest);

/// One change for every field.
const CHANGES: &[(&str, Change)] = &[
    ("provider", |r| r.model = model("groq:gpt-4o-mini")),
    ("model", |r| r.model = model("openai:gpt-4o")),
    ("text", |r| r.messages[1].parts[0] = Part::text("What is it")),
    ("role", |r| r.messages[0].role = Role::User),
    ("order of messages", |r| r.messages.swap(0, 1)),
    ("order of parts", |r| r.messages[1].parts.swap(0, 1)),
    ("one message less", |r| drop(r.messages.pop())),
    ("address of an image", |r| match &mut r.messages[1].parts[1] {
        Part::Image(media) => media.source = MediaSource::Url("https://x.example/b.png".into()),
        other => panic!("{other:?}"),
    }),
    ("bytes of a document", |r| match &mut r.messages[1].parts[2] {
        Part::Document(media) => media.source = MediaSource::Base64("AQ==".into()),
        other => panic!("{other:?}"),
    }),
    ("media type", |r| match &mut r.messages[1].parts[2] {
        Part::Document(media) => media.media_type = None,
        other => panic!("{other:?}"),
    }),
    ("name of a document", |r| match &mut r.messages[1].parts[2] {
        Part::Document(media) => media.name = None,
        other => panic!("{other:?}"),
    }),
    ("image as document", |r| match r.messages[1].parts.remove(1) {
        Part::Image(media) => r.messages[1].parts.insert(1, Part::Document(media)),
        other => panic!("{other:?}"),
    }),
    ("image of a tool's result", |r| match &mut r.messages[3].parts[0] {
        Part::ToolResult(result) => drop(result.content.pop()),
        other => panic!("{other:?}"),
    }),
    ("failure of a tool", |r| match &mut r.messages[3].parts[0] {
        Part::ToolResult(result) => result.is_error = true,
        other => panic!("{other:?}"),
    }),
    ("arguments of a call", |r| match &mut r.messages[2].parts[1] {
        Part::ToolCall(call) => call.arguments = "{}".into(),
        other => panic!("{other:?}"),
    }),
    ("opaque payload", |r| match &mut r.messages[2].parts[0] {
        Part::Reasoning(reasoning) => reasoning.opaque = None,
        other => panic!("{other:?}"),
    }),
    ("tool", |r| r.tools.clear()),
    ("tool's doc", |r| r.tools[0].description = "Sees.".into()),
    ("tool's schema", |r| r.tools[0].parameters["properties"]["at"] = json!({"type": "number"})),
    ("order of a schema", |r| {
        r.tools[0].parameters["properties"] = json!({"how": {}, "at": {"type": "integer"}});
    }),
    ("tool's strictness", |r| r.tools[0].strict = Some(true)),
    ("tool choice", |r| r.tool_choice = ToolChoice::Tool("look".into())),
    ("parallel calls", |r| r.parallel_tool_calls = None),
    ("form", |r| r.output = Output::Text),
    ("order of the form", |r| match &mut r.output {
        Output::JsonSchema(output) => output.schema["properties"] = json!({"what": {}, "why": {}}),
        other => panic!("{other:?}"),
    }),
    ("temperature", |r| r.sampling.temperature = Some(0.1)),
    ("no temperature", |r| r.sampling.temperature = None),
    ("top_p", |r| r.sampling.top_p = Some(0.5)),
    ("top_k", |r| r.sampling.top_k = Some(5)),
    ("seed", |r| r.sampling.seed = Some(8)),
    ("frequency penalty", |r| r.sampling.frequency_penalty = Some(0.5)),
    ("presence penalty", |r| r.sampling.presence_penalty = Some(0.5)),
    ("effort", |r| r.reasoning_effort = Some(ReasoningEffort::High)),
    ("max tokens", |r| r.max_tokens = Some(101)),
    ("stop", |r| r.stop.push("FIN".into())),
    ("extra", |r| drop(r.extra.insert("user".into(), json!("u2")))),
    ("no extra", |r| r.extra.clear()),
];

#[test]
fn every_field_that_may_change_the_answer_changes_the_key() {
    let mut keys = HashSet::from([key(&full())]);
    for (what, change) in CHANGES {
        let mut request = full();
        change(&mut request);
        let written = |request: &ChatRequest| serde_json::to_string(request).unwrap();
        assert_ne!(written(&request), written(&full()), "{what} is not changed");
        assert!(keys.insert(key(&request)), "{what} does not matter");
    }
}

#[test]
fn labels_and_the_order_of_fields_do_not_change_the_key() {
    let mut request = full();
    request.metadata.insert("run".into(), json!("another"));
    request.extra.clear();
    request.extra.insert("logit_bias".into(), json!({"1": 2}));
    request.extra.insert("user".into(), json!("u1"));
    assert_eq!(key(&request), key(&full()));
}

#[test]
fn another_server_or_tenant_is_another_key() {
    let key = |server: Option<&str>, tenant: Option<&str>| {
        let scope = Scope { server: server.map(Into::into), tenant: tenant.map(str::to_owned) };
        Key::of_chat(&full(), &scope).unwrap()
    };
    let keys = [(None, None), (Some("a"), None), (Some("b"), None), (None, Some("a")), (None, Some("b"))];
    assert_eq!(keys.iter().map(|(server, tenant)| key(*server, *tenant)).collect::<HashSet<_>>().len(), 5);
}

#[test]
fn a_text_has_its_own_key_whatever_stands_beside_it() {
    let keys = |texts: &[&str], change: fn(&mut EmbedRequest)| {
        let mut request =
            EmbedRequest::new(model("openai:e"), texts.iter().map(|text| (*text).to_owned()).collect());
        change(&mut request);
        Key::of_texts(&request, &Scope::default()).unwrap()
    };
    let alone = keys(&["a"], |_| {})[0];
    assert_eq!(keys(&["b", "a", "a"], |_| {})[1..], [alone, alone]);
    let changes: &[fn(&mut EmbedRequest)] = &[
        |r| r.model = model("openai:f"),
        |r| r.dimensions = Some(8),
        |r| r.purpose = Some(EmbedPurpose::Query),
        |r| drop(r.extra.insert("user".into(), json!("u1"))),
        |r| r.inputs[0] = "b".into(),
    ];
    let others: HashSet<Key> = changes.iter().map(|change| keys(&["a"], *change)[0]).collect();
    assert_eq!(others.len(), changes.len());
    assert!(!others.contains(&alone));
    let named_alike = RerankRequest {
        model: model("openai:e"),
        query: "a".into(),
        documents: vec![],
        top_n: None,
        extra: Map::new(),
    };
    assert_ne!(Key::of_ranking(&named_alike, &Scope::default()).unwrap(), alone);
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b", "a\"b", "ab"]).prop_map(str::to_owned)
}

/// Requests from so small a world that equal ones are common.
fn request() -> impl Strategy<Value = ChatRequest> {
    let role = prop::sample::select(vec![Role::System, Role::User, Role::Assistant]);
    let message = (role, prop::collection::vec(text().prop_map(Part::text), 0..3))
        .prop_map(|(role, parts)| Message { role, parts });
    let number = prop::option::of(prop::sample::select(vec![0.0, 0.5, 1.0]));
    let label = prop::option::of(0..2u32);
    (prop::collection::vec(message, 0..3), number, prop::collection::vec(text(), 0..2), label.clone(), label)
        .prop_map(|(messages, temperature, stop, metadata, extra)| {
            let mut request = ChatRequest::new("openai:x".parse().unwrap(), messages);
            request.sampling.temperature = temperature;
            request.stop = stop;
            request.metadata.extend(metadata.map(|label| ("label".to_owned(), json!(label))));
            request.extra.extend(extra.map(|label| ("label".to_owned(), json!(label))));
            request
        })
}

proptest! {
    #[test]
    fn two_requests_have_one_key_just_if_they_differ_in_labels_only(one in request(), other in request()) {
        let bare = |request: &ChatRequest| ChatRequest { metadata: Map::new(), ..request.clone() };
        prop_assert_eq!(key(&one) == key(&other), bare(&one) == bare(&other));
    }
}
