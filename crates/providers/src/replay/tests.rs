//! Recorded answers: by what was asked, in their order, plain and streamed, and what happens to other calls.

use std::collections::BTreeMap;

use motet_core::accumulate::fold;
use motet_core::cassette::{Header, Line};
use motet_core::id::{Millis, content_hash};
use motet_core::model::chat;
use motet_core::run_log::{Entry, Record, Shelf};
use motet_core::store::{RunState, Sequenced};
use motet_core::tool::Effect;
use motet_core::{FinishReason, Message, RunId, Usage};
use serde_json::{Map, json};

use super::*;

fn asked(text: &str) -> ChatRequest {
    ChatRequest::new(
        "openai:gpt-4o".parse().unwrap(),
        vec![Message::system("Be short."), Message::user(text)],
    )
}

fn through_replay(text: &str) -> ChatRequest {
    ChatRequest { model: "replay:x.jsonl".parse().unwrap(), ..asked(text) }
}

fn said(text: &str) -> ChatResponse {
    let mut response = ChatResponse::new(asked("").model, Message::assistant(text), FinishReason::Stop);
    response.usage = Some(Usage::new(10, 2));
    response.cost = Some(Cost::from_nanos(5_000));
    response
}

/// What was recorded: a step, what it asked, and its answer or failure.
type Taken<'a> = (&'a str, &'a str, Result<&'a str, Error>);

fn recording(calls: Vec<Taken<'_>>, keeps_requests: bool) -> Arc<Steps> {
    let header = Header {
        cassette: 1,
        motet: "0.1.0".into(),
        run: RunId::new(),
        name: "test".into(),
        kind: "call".into(),
        state: RunState::Completed,
        created_at: Millis(0),
        ended_at: None,
        definition: json!({}),
        inputs: Map::new(),
        settings: Map::new(),
        outputs: Map::new(),
        masked: None,
    };
    let (mut cassette, mut shelf) = (Cassette::new(header), Shelf::default());
    let mut seq = 0;
    for (step, text, outcome) in calls {
        let request = asked(text);
        let kept = keeps_requests.then(|| Box::new(shelf.keep(&request).unwrap()));
        let started = Entry::Started {
            kind: StepKind::Model,
            request_hash: content_hash(&request).unwrap(),
            effect: Effect::Pure,
            label: request.model.to_string(),
            request: kept,
        };
        let ended = match outcome {
            Ok(text) => Entry::Finished { result: serde_json::to_value(said(text)).unwrap() },
            Err(error) => Entry::Failed { error: Box::new(error.report()) },
        };
        for entry in [started, ended] {
            seq += 1;
            let record = Record::new(step, entry);
            shelf.note(&record);
            cassette.add(Line::Record(Box::new(Sequenced { seq, task: 0, record }))).unwrap();
        }
    }
    Arc::new(Steps::new(Arc::new(cassette)).unwrap())
}

async fn ask(model: &ReplayModel, step: &str, text: &str) -> Result<ChatResponse> {
    chat(model, &RunContext::new().child(step), &through_replay(text)).await
}

#[tokio::test]
async fn a_request_is_found_by_what_it_asks_whether_it_was_kept_or_only_hashed() {
    for keeps_requests in [true, false] {
        let calls = vec![("a", "one", Ok("1")), ("b", "two", Ok("2"))];
        let model = ReplayModel::new(recording(calls, keeps_requests), true);
        let two = ask(&model, "elsewhere", "two").await.unwrap();
        assert_eq!(
            (two.text().as_str(), two.usage, two.cost),
            ("2", Some(Usage::new(10, 2)), Some(Cost::ZERO))
        );
        assert_eq!(two.metadata[RECORDED_MODEL], "openai:gpt-4o");
        assert_eq!(two.model.to_string(), "replay:x.jsonl");
        assert_eq!(ask(&model, "elsewhere", "one").await.unwrap().text(), "1");
    }
}

#[tokio::test]
async fn a_stream_folds_into_the_plain_answer() {
    let steps = recording(vec![("a", "one", Ok("Good morning, Ada."))], true);
    let open = |delivery| {
        let model = ReplayModel::new(Arc::clone(&steps), true);
        async move {
            let stream = model.open(&RunContext::new(), &through_replay("one"), delivery).await.unwrap();
            fold(through_replay("").model, stream).await.unwrap()
        }
    };
    assert_eq!(open(Delivery::Plain).await, open(Delivery::Streamed).await);
}

#[tokio::test]
async fn the_same_request_is_answered_in_order_and_not_more_often_than_it_was_recorded() {
    let calls = || vec![("a", "same", Ok("1")), ("b", "same", Ok("2")), ("c", "same", Ok("3"))];
    let strict = ReplayModel::new(recording(calls(), true), true);
    let mut texts = Vec::new();
    for step in ["x", "c", "x"] {
        texts.push(ask(&strict, step, "same").await.unwrap().text());
    }
    assert_eq!(texts, ["1", "3", "2"], "the same step first, then the order of the recording");
    let error = ask(&strict, "x", "same").await.unwrap_err();
    assert_eq!(error.message(), "the 3 recorded answers to this request have been given");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let loose = ReplayModel::new(recording(calls(), true), false);
    let mut last = String::new();
    for _ in 0..5 {
        last = ask(&loose, "x", "same").await.unwrap().text();
    }
    assert_eq!(last, "3");
}

#[tokio::test]
async fn a_recorded_failure_fails_again_and_what_followed_it_comes_next() {
    let failure = Error::new(ErrorKind::RateLimit, "slow down").with_status(429).with_request_id("req_9");
    let model =
        ReplayModel::new(recording(vec![("a", "one", Err(failure)), ("a", "one", Ok("1"))], true), true);
    let error = ask(&model, "a", "one").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.status(), error.request_id()),
        (ErrorKind::RateLimit, Some(429), Some("req_9"))
    );
    assert_eq!(ask(&model, "a", "one").await.unwrap().text(), "1");
}

#[tokio::test]
async fn a_strict_replay_names_the_nearest_request_and_what_differs() {
    let calls =
        vec![("a", "What is the capital of Peru?", Ok("Lima")), ("b", "Who wrote Faust?", Ok("Goethe"))];
    let model = ReplayModel::new(recording(calls, true), true);
    let error = ask(&model, "x", "What is the capital of Chile?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.hint(),
        Some(
            "nearest is step `a`: message 2 (user) is `What is the capital of Chile?` and was `What is the capital of \
             Peru?`; `replay.strict = false` answers it all the same"
        )
    );
    let mut warmer = through_replay("Who wrote Faust?");
    warmer.sampling.temperature = Some(0.5);
    let error = chat(&model, &RunContext::new().child("b"), &warmer).await.unwrap_err();
    assert!(
        error.hint().unwrap().contains("sampling is `{\"temperature\":0.5}` and was not there"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_loose_replay_gives_the_next_answer_with_a_warning() {
    let calls = vec![("a", "one", Ok("1")), ("b", "two", Ok("2"))];
    let model = ReplayModel::new(recording(calls, true), false);
    let mut texts = BTreeMap::new();
    for (step, text) in [("b", "changed"), ("z", "changed too")] {
        let stream = model.open(&RunContext::new().child(step), &through_replay(text), Delivery::Plain).await;
        let events: Vec<_> = futures::StreamExt::collect(stream.unwrap()).await;
        let Some(Ok(StreamEvent::Warning { message })) = events.first() else { panic!("{events:?}") };
        texts.insert(step, message.clone());
    }
    assert_eq!(texts["b"], "this request was not recorded; the answer of step `b` is given");
    assert_eq!(texts["z"], "this request was not recorded; the answer of step `a` is given");
    assert_eq!(ask(&model, "z", "a third").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn files_that_are_no_cassette_are_refused_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |content: &[u8]| {
        let path = directory.path().join("x.jsonl");
        std::fs::write(&path, content).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("x.jsonl"), "{error}");
        (error.kind(), error.message().to_owned())
    };
    assert_eq!(refused(b"").1, "line 1: this is no cassette: it is empty");
    assert_eq!(
        refused(b"hello\n").1,
        "line 1: this is no cassette: it is not JSON: expected value at column 1"
    );
    assert!(refused(b"{\"a\":1}\n").1.starts_with("line 1: this is no cassette: its first line"));
    assert_eq!(
        refused(b"{\"cassette\":99,\"new\":true}\n"),
        (
            ErrorKind::Unsupported,
            "line 1: the cassette has version 99, and this Motet reads up to 1".to_owned()
        )
    );
    assert_eq!(refused(b"\xff\xfe\n").0, ErrorKind::InvalidRequest);
    let missing = read(&directory.path().join("none.jsonl")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}
