//! Tests of the whole model, on the example documents among others.

use std::path::Path;

use futures::StreamExt as _;
use motet_core::model::chat;
use motet_core::request::JsonSchemaOutput;
use motet_core::{StreamEvent, accumulate, event};
use serde_json::{Value, json};

use super::*;

const NOTE: &str = "The ferry to Kiel leaves at noon. Ada Quill has the key to the server room. The crew is tired. \
                    On 14 March 2026 the new system starts, and it replaces the old one.";

fn id() -> ModelId {
    "offline:extract".parse().unwrap()
}

fn request(instruction: &str, text: &str) -> ChatRequest {
    ChatRequest::new(id(), vec![Message::user(format!("{instruction}\n\nFile content from a.md:\n{text}"))])
}

async fn ask(request: &ChatRequest) -> Result<ChatResponse> {
    chat(&OfflineExtract::new(&id()).unwrap(), &RunContext::new(), request).await
}

async fn text(instruction: &str, material: &str) -> String {
    ask(&request(instruction, material)).await.unwrap().text()
}

fn document(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/documents");
    std::fs::read_to_string(dir.join(name)).unwrap()
}

async fn filled(material: &str, schema: Value) -> Value {
    let mut request = request("Extract the facts.", material);
    request.output = Output::JsonSchema(JsonSchemaOutput { name: "facts".into(), schema, strict: true });
    serde_json::from_str(&ask(&request).await.unwrap().text()).unwrap()
}

/// Every example document with its people and dates in the order of their first mention.
const DOCUMENTS: &[(&str, &str, &str)] = &[
    (
        "betriebsrat-aushang.md",
        "Anselm Krüger, Jonas Brandt, Sabine Lorenz, Leila Haddad",
        "2026-03-13 2026-03-12 2026-03-28 2026-03-16 2026-03-20 2026-03-29 2026-04-03 2026-04-06 2027-12-31 2026-03-10 \
         2026-04-22",
    ),
    (
        "changelog.md",
        "Priya Raman, Tomasz Wieczorek, Yuki Tanabe, Hamish Orr",
        "2026-03-12 2026-02-20 2026-01-30 2025-11-17 2025-05-17",
    ),
    (
        "contract-clause.txt",
        "Callum Rhys, Annette Voss",
        "2026-03-14 2029-03-31 2025-10-01 2026-02-27 2026-03-02",
    ),
    (
        "council-minutes.md",
        "Ruth Castellan, Desmond Achebe, Florence Whitlow, Gareth Pryce, Ilse Vandermeer, Kwame Boateng, Nora Lindgren, \
         Patrick Delaney, Sunita Mehra, Helen Strand, Marcus Thiele, Amara Nwosu, Beatrice Holloway, Tobias Flint, \
         Maisie Okoro, Miriam Okafor, Edwin Sparrow",
        "2026-03-17 2026-03-06 2026-02-17 2026-01-09 2026-01-08 2026-03-27 2026-05-12 2026-04-28 2025-12-31 2026-06-16 \
         2026-02-02 2026-09-30 2026-03-14 2026-04-30 2026-04-24 2026-09-01 2026-04-21 2026-05-03 2026-11-17 2028-03-31 \
         2026-05-19",
    ),
    (
        "customer-interview.md",
        "Yuki Tanabe, Priya Raman, Oluwaseun Adeyemi, Hamish Orr, Feodor Lindqvist",
        "2026-01-21 2026-01-28 2026-03-14 2026-02-14",
    ),
    (
        "incident-report.md",
        "Tomasz Wieczorek, Miriam Okafor, Ines Ferreira, Callum Rhys, Priya Raman",
        "2026-03-10 2026-03-03 2025-03-03 2026-03-09 2026-03-20 2026-03-04 2026-04-21",
    ),
    (
        "letter.txt",
        "Yuki Tanabe, Priya Raman, Hamish Orr, Callum Rhys, Miriam Okafor",
        "2026-03-09 2026-03-14 2026-03-20 2026-03-03 2026-03-31 2026-03-22",
    ),
    (
        "meeting-notes.md",
        "Miriam Okafor, Tomasz Wieczorek, Priya Raman, Jonas Brandt, Leila Haddad, Callum Rhys, Anselm Krüger",
        "2026-03-05 2026-03-14 2026-03-03 2026-03-10 2026-04-03 2026-04-06 2026-03-13 2026-03-28 2026-03-09 2026-03-12 \
         2026-03-06",
    ),
    (
        "research-memo.md",
        "Miriam Okafor, Leila Haddad, Priya Raman, Yuki Tanabe, Hamish Orr, Ingrid Solheim, Callum Rhys, Oskar Nyberg, \
         Jonas Brandt",
        "2026-02-24 2026-03-06 2026-03-14 2025-12-01 2026-01-25 2026-01-08 2026-01-09 2026-01-14 2026-06-30 2026-03-09 \
         2026-03-20",
    ),
    ("short-note.txt", "Tomasz, Sabine Lorenz, Jonas", "2026-03-29"),
    (
        "status-thread.txt",
        "Miriam Okafor, Priya Raman, Tomasz Wieczorek, Jonas Brandt, Hamish Orr, Sabine Lorenz, Anselm Krüger",
        "2026-03-13 2026-03-14 2026-04-01 2026-03-25 2026-03-12 2026-03-16 2026-03-20 2026-03-28",
    ),
    (
        "unicode-notes.md",
        "Zoë Nguyễn, José Luis Peña, Miriam Okafor, Sabine Lorenz, Noam Bar-Lev, Leila Haddad, 田中, Callum Rhys",
        "2026-03-14 2026-03-15 2026-04-03 2026-04-01 2026-03-16",
    ),
];

#[tokio::test]
async fn people_and_dates_of_every_example_are_found_and_nobody_else() {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let schema = json!({"type": "object", "properties": {"people": texts, "dates": texts}, "required": ["people", "dates"]});
    for (name, people, dates) in DOCUMENTS {
        let found = filled(&document(name), schema.clone()).await;
        let listed = |key: &str, separator: &str| {
            let items = found[key].as_array().unwrap().iter().map(|item| item.as_str().unwrap());
            items.collect::<Vec<_>>().join(separator)
        };
        assert_eq!(listed("people", ", "), *people, "{name}");
        assert_eq!(listed("dates", " "), *dates, "{name}");
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/documents");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), DOCUMENTS.len());
}

#[tokio::test]
async fn summaries_of_the_examples_say_what_matters() {
    for (name, expected) in [
        (
            "incident-report.md",
            "On March 3, 2026, customers of Harbourline could not pay by card from 07:12 to 08:46. The TLS certificate \
             between our booking system and the payment gateway had expired at 07:10.",
        ),
        (
            "betriebsrat-aushang.md",
            "Der Betriebsrat hat am 12. März 2026 mit der Geschäftsleitung eine Betriebsvereinbarung über den neuen \
             Schichtplan abgeschlossen. Vom 16.03.2026 bis zum 20.03.2026 werden alle Beschäftigten am Schalter geschult.",
        ),
        (
            "research-memo.md",
            "We let a tenth of our freight customers move bookings to an earlier sailing without a fee for eight weeks. I \
             recommend that we offer free changes to all freight customers when Tideway goes live on 14 March 2026, with \
             a limit of two hours before departure.",
        ),
    ] {
        assert_eq!(text("Summarise this in 2 sentences.", &document(name)).await, expected, "{name}");
    }
    let resolved = text("Summarise in three bullet points.", &document("council-minutes.md")).await;
    assert_eq!(resolved.lines().filter(|line| line.starts_with("- Resolved")).count(), 3, "{resolved}");
}

#[tokio::test]
async fn questions_are_answered_with_sentences_and_facts() {
    for (name, question, expected) in [
        (
            "betriebsrat-aushang.md",
            "Wann findet die nächste Betriebsversammlung statt?",
            "Die nächste Betriebsversammlung findet am 22. April 2026 um 14 Uhr in der Kantine statt.",
        ),
        (
            "council-minutes.md",
            "Who presented the plan for the sea wall?",
            "Amara Nwosu presented the plan for the second phase of the sea wall, from the lighthouse to the rowing club.",
        ),
        (
            "letter.txt",
            "When will the refund be paid?",
            "We will refund the €640.00 for the two lorries that missed the noon sailing by March 31, 2026.",
        ),
        (
            "meeting-notes.md",
            "Where did the meeting take place?",
            "Place: Harbour House, room 2, and by video",
        ),
        ("short-note.txt", "Why is the moon round?", answer::NOTHING),
    ] {
        assert_eq!(text(question, &document(name)).await, expected, "{question}");
    }
}

#[tokio::test]
async fn lists_are_given_where_they_are_asked_for() {
    assert_eq!(text("List the people.", NOTE).await, "Ada Quill");
    assert_eq!(text("Extract all dates", &document("short-note.txt")).await, "2026-03-29");
    assert_eq!(text("Which language is this?", &document("betriebsrat-aushang.md")).await, "German");
    assert_eq!(
        text("Nenne alle Personen", &document("short-note.txt")).await,
        "- Tomasz\n- Sabine Lorenz\n- Jonas"
    );
    assert_eq!(text("List all URLs", NOTE).await, "The text has none.");
}

#[tokio::test]
async fn wished_lengths_are_kept_on_every_example() {
    for (name, ..) in DOCUMENTS {
        let document = document(name);
        let short = text("Summarise in at most 25 words.", &document).await;
        assert!((1..=25).contains(&words::count(&short)), "{name}: {short}");
        let tiny = text("Summarise in no more than 60 characters.", &document).await;
        assert!((1..=60).contains(&tiny.chars().count()), "{name}: {tiny}");
        let list = text("Give 2 bullet points.", &document).await;
        assert_eq!(list.lines().filter(|line| line.starts_with("- ")).count(), 2, "{name}: {list}");
    }
}

#[tokio::test]
async fn a_streamed_answer_comes_by_words_and_folds_into_the_plain_one() {
    let request = request("Summarise this.", &document("unicode-notes.md"));
    let model = OfflineExtract::new(&id()).unwrap();
    let stream = model.open(&RunContext::new(), &request, Delivery::Streamed).await.unwrap();
    let events: Vec<StreamEvent> = stream.map(Result::unwrap).collect().await;
    let deltas = events.iter().filter(|event| matches!(event, StreamEvent::TextDelta { .. })).count();
    assert!(deltas > 10, "{deltas}");
    let folded = accumulate::fold(id(), event::ready_stream(events)).await.unwrap();
    let plain = ask(&request).await.unwrap();
    assert_eq!(folded, plain);
    assert_eq!(ask(&request).await.unwrap(), plain);
}

#[tokio::test]
async fn the_answer_says_what_made_it_and_costs_nothing() {
    let response =
        ask(&ChatRequest::new(id(), vec![Message::user("Why?\n\nIt rained, so we left.")])).await.unwrap();
    assert_eq!(response.metadata.get("model_kind"), Some(&json!("extractive")));
    let note = response.metadata.get("note").and_then(Value::as_str).unwrap();
    assert!(note.starts_with("offline:extract is not a language model; "), "{note}");
    assert_eq!(response.cost, Some(Cost::ZERO));
    // 28 characters were asked.
    let output = response.text().chars().count().div_ceil(4) as u64;
    assert_eq!(response.usage, Some(Usage::new(7, output)));
}

#[tokio::test]
async fn the_output_limit_cuts_between_sentences_where_it_can() {
    let mut limited = request("Summarise this in 3 sentences.", NOTE);
    let whole = ask(&limited).await.unwrap();
    assert_eq!(whole.finish_reason, FinishReason::Stop);
    limited.max_tokens = Some(30);
    let cut = ask(&limited).await.unwrap();
    assert_eq!(cut.finish_reason, FinishReason::Length);
    assert!(whole.text().starts_with(&cut.text()) && cut.text().ends_with('.'), "{}", cut.text());
    limited.max_tokens = Some(2);
    let cut = ask(&limited).await.unwrap();
    assert_eq!((cut.text().as_str(), cut.finish_reason), ("The ferr", FinishReason::Length));
    limited.max_tokens = None;
    limited.stop = vec![" to ".into()];
    let stopped = ask(&limited).await.unwrap();
    assert_eq!((stopped.text().as_str(), stopped.finish_reason), ("The ferry", FinishReason::Stop));
}

#[tokio::test]
async fn tools_are_called_only_where_one_must_be() {
    let tool = |name: &str, description: &str| {
        let parameters =
            json!({"type": "object", "properties": {"person": {"type": "string"}}, "required": ["person"]});
        ToolSpec::new(name, description, parameters)
    };
    let mut request = request("Book a cabin for the person with the key.", NOTE);
    request.tools = vec![tool("weather", "Tells the weather."), tool("book_cabin", "Books a cabin.")];
    assert_eq!(ask(&request).await.unwrap().message.tool_calls().count(), 0);
    request.tool_choice = ToolChoice::Required;
    let response = ask(&request).await.unwrap();
    let call = response.message.tool_calls().next().unwrap();
    assert_eq!((call.name.as_str(), call.arguments.as_str()), ("book_cabin", r#"{"person":"Ada Quill"}"#));
    assert_eq!(response.finish_reason, FinishReason::ToolCalls);
    request.tool_choice = ToolChoice::Tool("weather".into());
    assert_eq!(ask(&request).await.unwrap().message.tool_calls().next().unwrap().name, "weather");
    request.tool_choice = ToolChoice::Tool("sing".into());
    let error = ask(&request).await.unwrap_err();
    assert_eq!(error.message(), "the tool `sing` must be called but is not offered");
    request.tools.clear();
    request.tool_choice = ToolChoice::Required;
    assert_eq!(ask(&request).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn what_cannot_be_done_is_told() {
    let error = OfflineExtract::new(&"offline:gpt".parse().unwrap()).err().unwrap();
    assert_eq!(
        (error.kind(), error.hint()),
        (ErrorKind::Configuration, Some("the only one is `offline:extract`"))
    );
    let error = ask(&ChatRequest::new(id(), vec![Message::user("  \n")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.hint().is_some());
    assert_eq!((error.provider(), error.model()), (Some("offline"), Some(&id())));
    let bare =
        ask(&ChatRequest::new(id(), vec![Message::user("What is the capital of France?")])).await.unwrap();
    assert!(bare.text().starts_with("No text was given"), "{}", bare.text());
}

#[tokio::test]
async fn a_conversation_before_a_question_is_its_text() {
    let messages = vec![
        Message::user(NOTE),
        Message::assistant("Thank you for the note."),
        Message::user("Who has the key to the server room?"),
    ];
    let answer = ask(&ChatRequest::new(id(), messages)).await.unwrap().text();
    assert_eq!(answer, "Ada Quill has the key to the server room.");
}

/// Shapes that would be slow if any step grew faster than the text.
#[tokio::test]
async fn large_and_odd_texts_are_read_to_their_end() {
    let paragraph = format!("{NOTE}\n\n");
    for unit in
        [paragraph.as_str(), "a. ", "[a ", "Ada Quill ", "新", "| a | b |\n", "A: b\n", "> ", "<a ", "1 "]
    {
        let large = unit.repeat(500_000 / unit.len());
        let answer = text("Summarise this in one sentence.", &large).await;
        assert!(answer.chars().count() < 5_000, "{unit}");
    }
}
