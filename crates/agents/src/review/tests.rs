//! Nothing forbidden is heard of an answer, and pieces of it add up to what the whole would have been.

mod runs;

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use motet_core::accumulate::{fold, unfold};
use motet_core::event::ready_stream;
use motet_core::message::{Opaque, Reasoning, ToolCall};
use motet_core::request::{JsonSchemaOutput, Output, ToolSpec};
use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, EventStream, FinishReason, Message, Model, Part, Result, Role,
    RunContext, StreamEvent, Usage,
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::guardrails::{
    Action, Actions, Blocklist, Custom, Finding, Guardrails, Length, Pattern, Pii, Remedy,
};
use crate::hooks::Hooks;
use crate::test_double::model_id;

/// A model that says one thing, in pieces of these sizes.
struct Pieces(ChatResponse, Vec<usize>);

#[async_trait]
impl Model for Pieces {
    async fn open(&self, _: &RunContext, _: &ChatRequest, delivery: Delivery) -> Result<EventStream> {
        let events = unfold(&self.0);
        Ok(ready_stream(match delivery {
            Delivery::Plain => events,
            Delivery::Streamed => events.into_iter().flat_map(|event| cut(event, &self.1)).collect(),
        }))
    }
}

fn cut(event: StreamEvent, sizes: &[usize]) -> Vec<StreamEvent> {
    let split = |text: &str| -> Vec<String> {
        let letters: Vec<char> = text.chars().collect();
        let (mut pieces, mut at, mut turn) = (Vec::new(), 0, 0);
        if letters.is_empty() {
            return vec![String::new()];
        }
        while at < letters.len() {
            let end = (at + sizes[turn % sizes.len()]).min(letters.len());
            pieces.push(letters[at..end].iter().collect());
            (at, turn) = (end, turn + 1);
        }
        pieces
    };
    match event {
        StreamEvent::TextDelta { part, text } => {
            split(&text).into_iter().map(|text| StreamEvent::TextDelta { part, text }).collect()
        }
        StreamEvent::ReasoningDelta { part, text } => {
            split(&text).into_iter().map(|text| StreamEvent::ReasoningDelta { part, text }).collect()
        }
        StreamEvent::ToolCallDelta { part, arguments } => split(&arguments)
            .into_iter()
            .map(|arguments| StreamEvent::ToolCallDelta { part, arguments })
            .collect(),
        other => vec![other],
    }
}

fn answer(parts: Vec<Part>) -> ChatResponse {
    let message = Message { role: Role::Assistant, parts };
    let mut response = ChatResponse::new(model_id(), message, FinishReason::Stop);
    (response.usage, response.cost) = (Some(Usage::new(3, 4)), Some(Cost::from_nanos(5)));
    response.response_id = Some("r1".to_owned());
    response
}

fn call(arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: "c1".into(),
        name: "send".into(),
        arguments: arguments.into(),
        minted: false,
        opaque: None,
    })
}

fn request(structured: bool) -> ChatRequest {
    let mut request = ChatRequest::new(model_id(), vec![Message::user("hi")]);
    request.tools = vec![ToolSpec::new("send", "", json!({"type": "object"}))];
    if structured {
        let schema = json!({"type": "object"});
        request.output = Output::JsonSchema(JsonSchemaOutput { name: "o".into(), schema, strict: false });
    }
    request
}

/// What is heard of an answer: each event, and the answer that they add up to.
fn heard(
    guardrails: &Guardrails,
    said: &ChatResponse,
    sizes: &[usize],
    (delivery, structured): (Delivery, bool),
) -> (Vec<StreamEvent>, ChatResponse) {
    let reviewer = Some(Reviewer::new(guardrails, &Hooks::default()));
    let model: Arc<dyn Model> = Arc::new(Pieces(said.clone(), sizes.to_vec()));
    let model = ReviewedModel { model, reviewer, hooks: Hooks::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let context = RunContext::new();
        let events = model.open(&context, &request(structured), delivery).await.unwrap();
        let events: Vec<_> = events.map(Result::unwrap).collect().await;
        let whole = fold(model_id(), ready_stream(events.clone())).await.unwrap();
        (events, whole)
    })
}

fn plain(guardrails: &Guardrails, said: &ChatResponse) -> ChatResponse {
    heard(guardrails, said, &[1], (Delivery::Plain, false)).1
}

/// Checks that pieces say what the whole says, and that no more was ever shown than that.
fn check(guardrails: &Guardrails, said: &ChatResponse, sizes: &[usize], structured: bool) -> ChatResponse {
    let (_, whole) = heard(guardrails, said, sizes, (Delivery::Plain, structured));
    let (events, streamed) = heard(guardrails, said, sizes, (Delivery::Streamed, structured));
    assert_eq!(streamed, whole, "in pieces of {sizes:?}");
    assert_eq!((whole.usage, whole.cost, &whole.response_id), (said.usage, said.cost, &said.response_id));
    if Verdict::of(&whole).is_none() {
        let shown: String = events.iter().filter_map(visible).collect();
        assert_eq!(shown, whole.text(), "what is shown is never taken back");
    }
    whole
}

fn visible(event: &StreamEvent) -> Option<&str> {
    match event {
        StreamEvent::TextDelta { text, .. } => Some(text),
        _ => None,
    }
}

fn pii() -> Guardrails {
    Guardrails::default().with(Pii::default().replacement("#"))
}

const SECRETS: [&str; 5] =
    ["ada@x.org", "+49 170 1234567", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "123-45-6789"];

/// Texts around secrets that cannot be taken for a part of them.
fn around() -> impl Strategy<Value = Vec<(String, &'static str)>> {
    let filler =
        prop::sample::select(vec!["", "so ", "\n", "é: ", "write to «", "中文 ", "x y z ", "\"q\" ", "{a} "]);
    let secret = prop::sample::select(SECRETS.to_vec());
    prop::collection::vec((filler.prop_map(|filler| format!("{filler}; ")), secret), 1..5)
}

/// Writes some letters of a text as JSON escapes.
fn escaped(text: &str, every: usize) -> String {
    let mut written = String::from("\"");
    for (place, letter) in text.chars().enumerate() {
        if place % every == 0 || matches!(letter, '"' | '\n' | '\\') {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                written.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            written.push(letter);
        }
    }
    written + "\""
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_secret_is_heard_in_text_reasoning_arguments_or_structured_answers(
        pieces in around(),
        sizes in prop::collection::vec(1usize..9, 1..5),
        every in 1usize..5,
        in_two in 0usize..40,
    ) {
        let text: String = pieces.iter().map(|(filler, secret)| format!("{filler}{secret}; ")).collect();
        let expected: String = pieces.iter().map(|(filler, _)| format!("{filler}#; ")).collect();
        let guardrails = pii();

        let middle = text.floor_char_boundary(in_two.min(text.len()));
        let opaque = Some(Opaque { provider: "p".into(), payload: json!({"summary": text}) });
        let said = answer(vec![
            Part::Reasoning(Reasoning { text: text.clone(), opaque }),
            Part::text(&text[..middle]),
            Part::text(&text[middle..]),
            call(&format!("{{\"to\": [{}], \"n\": 1}}", escaped(&text, every))),
        ]);
        let whole = check(&guardrails, &said, &sizes, false);
        prop_assert_eq!(whole.text(), expected.clone());
        prop_assert_eq!(whole.message.reasoning_text(), expected.clone());
        let arguments = whole.message.tool_calls().next().unwrap().parsed_arguments().unwrap();
        prop_assert_eq!(arguments, json!({"to": [expected.clone()], "n": 1}));
        let written = serde_json::to_string(&whole).unwrap();
        prop_assert!(SECRETS.iter().all(|secret| !written.contains(secret)), "{}", written);

        let document = format!("{{\"a\": {}, \"a\": {}}}", escaped(&text, every), escaped("twice", every));
        let inner = format!("[{}]", escaped(&document, 7));
        for (structured, document, depth) in [(true, &document, 0), (false, &document, 0), (true, &inner, 1)] {
            let whole = check(&guardrails, &answer(vec![Part::text(document.clone())]), &sizes, structured);
            let mut said = whole.text();
            if depth == 1 {
                said = serde_json::from_str::<Vec<String>>(&said).unwrap().remove(0);
            }
            prop_assert!(said.starts_with(&format!("{{\"a\": {}", serde_json::to_string(&expected).unwrap())), "{}", said);
        }
    }

    #[test]
    fn pieces_add_up_whatever_the_guardrails(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "falcon", "Falcon", "falconry", "project  falcon", "stop!", "stop", "aaa", "a", " ", "ada@x.org", "中", "é",
            "\n", "key-", "key-12", "345", "\u{200b}",
        ]), 0..20),
        sizes in prop::collection::vec(1usize..7, 1..4),
        action in prop::sample::select(vec![Action::Redact, Action::Block, Action::AskAgain]),
        limit in 1usize..40,
        cut in 0usize..60,
    ) {
        let text = pieces.concat();
        let middle = text.floor_char_boundary(cut.min(text.len()));
        let said = answer(vec![
            Part::text(&text[..middle]),
            call(&json!({"a": text}).to_string()),
            Part::text(&text[middle..]),
        ]);
        let on = |action| Actions::all(Action::Redact).output(action);
        let words = || Blocklist::of_words(["falcon", "project falcon", "stop!", "中"]).unwrap();
        let keys = || Pattern::regex("key-[0-9]+", true).unwrap();
        let pairs = || Pattern::regex("aa", true).unwrap().at_most(2);
        let sets = [
            Guardrails::default().with(words().actions(on(action))),
            Guardrails::default().with(Blocklist::of_patterns([keys().at_most(6), pairs()])).with(Pii::default()),
            Guardrails::default().with(Blocklist::of_patterns([keys()]).actions(on(action))).with(words()),
            Guardrails::default().with(Length::of_characters(limit)).with(words().actions(on(action))),
            Guardrails::default().with(words().actions(on(Action::AskAgain))).with(Length::of_characters(limit).actions(on(action))),
        ];
        for guardrails in sets {
            check(&guardrails, &said, &sizes, false);
        }
    }
}

#[test]
fn text_is_shown_as_soon_as_nothing_can_reach_into_it() {
    let said = answer(vec![Part::text("Hello there, write to ada@x.org please, she answers.")]);
    let (events, _) = heard(&pii(), &said, &[1], (Delivery::Streamed, false));
    let shown: Vec<_> = events.iter().filter_map(visible).filter(|text| !text.is_empty()).collect();
    assert!(shown.len() > 5, "{shown:?}");
    assert_eq!(shown.concat(), "Hello there, write to # please, she answers.");
}

#[test]
fn an_untouched_answer_stays_byte_by_byte_as_it_was() {
    let opaque = Some(Opaque { provider: "p".into(), payload: json!({"signature": "AbC+/=="}) });
    let said = answer(vec![
        Part::Reasoning(Reasoning { text: "hm".into(), opaque: opaque.clone() }),
        Part::Text { text: "fine".into(), opaque },
        call("{ \"a\" :  \"\\u0041\", \"a\": 2 }"),
    ]);
    assert_eq!(check(&pii(), &said, &[1], false), said);
}

#[test]
fn what_belongs_to_a_changed_text_does_not_pass() {
    let opaque = Opaque { provider: "p".into(), payload: json!({"signature": "s"}) };
    let text = || "ask ada@x.org".to_owned();
    let native = Opaque { provider: "p".into(), payload: json!({"found": [{"page": "by ada@x.org"}]}) };
    let said = answer(vec![
        Part::Reasoning(Reasoning { text: text(), opaque: Some(opaque.clone()) }),
        Part::Text { text: text(), opaque: Some(opaque) },
        Part::Native { opaque: native },
    ]);
    let whole = check(&pii(), &said, &[3], false);
    let Part::Text { opaque: None, .. } = &whole.message.parts[1] else { panic!("{whole:?}") };
    let written = serde_json::to_string(&whole).unwrap();
    assert!(
        !written.contains("signature") && written.contains("by #") && !written.contains("ada@"),
        "{written}"
    );
}

#[test]
fn a_blocked_answer_shows_why_and_what_it_cost_and_nothing_else() {
    let list = Blocklist::of_words(["falcon"]).unwrap().actions(Actions::all(Action::Block));
    let guardrails = Guardrails::default().with(list);
    let said = answer(vec![Part::text("It is about the Falcon"), call("{\"x\": 1}")]);
    let whole = check(&guardrails, &said, &[4], false);
    assert_eq!(whole.text(), "[withheld by the guardrail `blocklist`]");
    assert_eq!((whole.message.parts.len(), whole.finish_reason), (1, FinishReason::ContentFilter));
    let verdict = Verdict::of(&whole).unwrap();
    assert_eq!((verdict.reason.as_str(), verdict.ask_again), ("it has a word that is not allowed", false));
    let (events, _) = heard(&guardrails, &said, &[4], (Delivery::Streamed, false));
    assert!(events.iter().any(|event| matches!(event, StreamEvent::OutputDiscarded { .. })));
}

#[test]
fn numbers_that_are_secrets_are_found_in_documents() {
    let said = answer(vec![call("{\"card\": 4111111111111111, \"n\": 12}")]);
    let call = plain(&pii(), &said).message.tool_calls().next().unwrap().arguments.clone();
    assert_eq!(call, "{\"card\": \"#\", \"n\": 12}");
}

#[test]
fn the_name_of_a_tool_that_does_not_exist_is_looked_at_too() {
    let mut said = answer(vec![call("{}")]);
    let Part::ToolCall(call) = &mut said.message.parts[0] else { unreachable!() };
    call.name = "mail_ada@x.org".into();
    assert_eq!(plain(&pii(), &said).message.tool_calls().next().unwrap().name, "#");
}

#[test]
fn a_guardrail_that_fails_panics_or_finds_what_is_not_there_blocks() {
    let broken: [fn() -> Result<Vec<Finding>>; 3] = [
        || Err(Error::new(ErrorKind::Internal, "the text was: ada@x.org")),
        || panic!("no"),
        || Ok(vec![Finding { span: 5..900, remedy: Remedy::Replace(String::new()) }]),
    ];
    for look in broken {
        let custom = Custom::new("own", [Place::Output], move |_| look());
        let whole =
            check(&Guardrails::default().with(custom), &answer(vec![Part::text("fine")]), &[1], false);
        let verdict = Verdict::of(&whole).unwrap();
        assert!(verdict.reason.starts_with("the guardrail failed: it ") && !verdict.reason.contains("ada"));
    }
}
