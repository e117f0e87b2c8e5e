//! Right, wrong, and hopeless answers to a request with a schema.

use std::sync::Arc;

use motet_core::request::{JsonSchemaOutput, Output};
use motet_core::{Cost, FinishReason, Message, ModelId, Part, Role, Usage};
use serde_json::json;

use super::*;
use crate::test_double::{TestModel, Turn, calls, model_id, says};

fn request() -> ChatRequest {
    let schema = json!({
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": false,
    });
    let output = JsonSchemaOutput { name: "number".into(), schema, strict: true };
    let mut request = ChatRequest::new(model_id(), vec![Message::user("A number?")]);
    request.output = Output::JsonSchema(output);
    request
}

async fn ask(turns: &[Turn]) -> (Arc<TestModel>, Result<(Value, ChatResponse)>) {
    let model = TestModel::new(turns);
    let answer = structured(&RunContext::new(), &*model, request(), "ask").await;
    (model, answer)
}

async fn error(turns: &[Turn]) -> (ErrorKind, String, usize) {
    let (model, answer) = ask(turns).await;
    let error = answer.unwrap_err();
    assert_eq!(error.model(), Some(&ModelId::new("scripted", "test").unwrap()));
    (error.kind(), error.to_string(), model.requests().len())
}

#[tokio::test]
async fn json_is_read_bare_and_out_of_one_code_fence() {
    for text in [
        "{\"n\":5}",
        " \n{\"n\": 5}\n",
        "```json\n{\"n\": 5}\n```",
        "```\n{\"n\": 5}\n```\n",
        "Here it is:\n```json\n{\"n\": 5}\n```\nAnything else?",
        "```{\"n\": 5}```",
    ] {
        let (_, answer) = ask(&[says(text)]).await;
        assert_eq!(answer.unwrap().0, json!({"n": 5}), "{text}");
    }
}

#[test]
fn fences_within_a_json_text_are_part_of_it() {
    let text = "{\"code\": \"```\\nx\\n```\"}";
    assert_eq!(output::json_of(text), text);
}

#[tokio::test]
async fn nulls_of_optional_properties_are_read_as_absent() {
    let mut asked = request();
    if let Output::JsonSchema(output) = &mut asked.output {
        output.schema["properties"]["m"] = json!({"type": "string"});
    }
    let model = TestModel::new(&[says("{\"n\":5,\"m\":null}")]);
    let (value, response) = structured(&RunContext::new(), &*model, asked.clone(), "ask").await.unwrap();
    assert_eq!(value, json!({"n": 5}));
    assert_eq!(value_of(&asked, &response).unwrap(), value);
    let wrong = TestModel::new(&[says("{\"n\":null,\"m\":null}"), says("{\"n\":6}")]);
    let (value, _) = structured(&RunContext::new(), &*wrong, asked, "ask").await.unwrap();
    assert_eq!((value, wrong.requests().len()), (json!({"n": 6}), 2));
}

#[tokio::test]
async fn a_wrong_answer_is_shown_to_the_model_and_the_turns_are_summed() {
    let turns = [
        says("five").spending(10, 1, 100),
        says("{\"n\":\"5\"}").spending(20, 2, 200),
        says("{\"n\":5}").spending(30, 3, 300),
    ];
    let (model, answer) = ask(&turns).await;
    let (value, response) = answer.unwrap();
    assert_eq!((value, response.text().as_str()), (json!({"n": 5}), "{\"n\":5}"));
    assert_eq!((response.usage, response.cost), (Some(Usage::new(60, 6)), Some(Cost::from_nanos(600))));
    let last = model.requests().pop().unwrap().messages;
    let told: Vec<_> = last.iter().map(|message| (message.role, message.visible_text())).collect();
    let advice = "Answer again with only the corrected JSON, without any other text.";
    assert_eq!(
        told,
        [
            (Role::User, "A number?".to_owned()),
            (Role::Assistant, "five".to_owned()),
            (
                Role::User,
                format!(
                    "Your answer cannot be used: the answer is not JSON: expected ident at line 1 column 2. {advice}"
                )
            ),
            (Role::Assistant, "{\"n\":\"5\"}".to_owned()),
            (
                Role::User,
                format!(
                    "Your answer cannot be used: the answer does not match the schema: at `/n`: \"5\" is not of type \
                     \"integer\". {advice}"
                )
            ),
        ]
    );
}

#[tokio::test]
async fn each_turn_is_a_step_of_its_own_and_is_not_repeated() {
    let model = TestModel::new(&[says("five"), says("{\"n\":5}")]);
    let context = RunContext::new();
    let first = structured(&context, &*model, request(), "ask").await.unwrap();
    let again = structured(&context, &*model, request(), "ask").await.unwrap();
    assert_eq!((again, model.requests().len()), (first, 2));
    assert!(context.log().lookup("ask").is_some() && context.log().lookup("ask/repair/1").is_some());
}

#[tokio::test]
async fn an_answer_that_stays_wrong_is_an_error_that_shows_it() {
    let turns = [says("one"), says("two"), says("three")];
    assert_eq!(
        error(&turns).await,
        (
            ErrorKind::InvalidOutput,
            "the answer is not JSON: expected ident at line 1 column 2, after 2 repair turns (answer: `three`)".into(),
            3
        )
    );
    let empty = error(&[says("")]).await;
    assert_eq!(empty.1, "the answer is empty, after 2 repair turns (answer: ``)");
}

#[tokio::test]
async fn what_asking_again_cannot_mend_is_not_asked_again() {
    let cut = says("{\"n\":").finishing(FinishReason::Length);
    let tool = calls(&[("a", "add", "{}")]);
    let filtered = says("").finishing(FinishReason::ContentFilter);
    let mut refused = ChatResponse::new(model_id(), Message::assistant(""), FinishReason::Stop);
    refused.message.parts = vec![Part::Refusal { text: "I would rather not.".into() }];
    for (turn, kind, message) in [
        (
            cut,
            ErrorKind::InvalidOutput,
            "the answer was cut off by its length limit: the answer is not JSON: EOF while parsing a value at line 1 \
             column 5 (answer: `{\"n\":`)",
        ),
        (tool, ErrorKind::InvalidOutput, "the model called the tool `add` instead of answering (answer: ``)"),
        (
            filtered,
            ErrorKind::ContentFilter,
            "the model declined to answer: a content policy stopped the answer",
        ),
        (
            Turn::Answer(refused),
            ErrorKind::ContentFilter,
            "the model declined to answer: I would rather not.",
        ),
    ] {
        assert_eq!(error(&[turn]).await, (kind, message.to_owned(), 1));
    }
}

#[tokio::test]
async fn a_request_without_a_usable_schema_is_refused_before_it_is_sent() {
    let mut wrong = request();
    if let Output::JsonSchema(output) = &mut wrong.output {
        output.schema = json!({"type": "number five"});
    }
    let without = ChatRequest { output: Output::Text, ..request() };
    for request in [wrong, without] {
        let model = TestModel::new(&[]);
        let error = structured(&RunContext::new(), &*model, request, "ask").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(model.requests().is_empty());
    }
}
