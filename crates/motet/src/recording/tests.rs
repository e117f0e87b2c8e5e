//! Calls that are kept: once for an id, gone on with after an interruption, and ended however they end.

use std::path::PathBuf;
use std::time::Duration;

use motet_core::run_log::Record;
use motet_core::settings::{Settings, Sources};
use motet_core::store::{RunFilter, RunSummary};
use motet_core::{Message, ModelId};
use motet_persistence::memory::MemoryStore;
use motet_providers::scripted::{Answer, ScriptedModel};

use super::*;

struct Lab {
    runtime: Runtime,
    store: SharedStore,
    model: Arc<ScriptedModel>,
}

fn model_id() -> ModelId {
    "scripted:lab".parse().unwrap()
}

fn lab(answers: Vec<Answer>, options: &[(&str, &str)]) -> Lab {
    let overrides = options
        .iter()
        .map(|(path, value)| ((*path).to_owned(), (*value).to_owned(), "test".to_owned()))
        .collect();
    let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
    let store: SharedStore = Arc::new(MemoryStore::new());
    let runtime = Runtime::new(loaded, PathBuf::from(".")).unwrap().with_store(Arc::clone(&store)).unwrap();
    let model = Arc::new(ScriptedModel::answers(answers));
    runtime.add_model(model_id(), Arc::clone(&model) as Arc<dyn Model>);
    Lab { runtime, store, model }
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest::new(model_id(), vec![Message::user(text)])
}

impl Lab {
    async fn runs(&self) -> Vec<RunSummary> {
        self.store.runs(&RunFilter::default()).await.unwrap()
    }

    async fn records(&self, run: &RunId) -> Vec<Record> {
        let records = self.store.records(run, 0, 100).await.unwrap();
        records.into_iter().map(|entry| entry.record).collect()
    }
}

#[tokio::test]
async fn calls_are_kept_where_the_setting_asks_for_it_and_by_the_recorder() {
    let answers = || vec![Answer::text("Hello"), Answer::text("Hello again")];
    for (options, kept) in [(&[][..], 0), (&[("record.calls", "true")][..], 1)] {
        let lab = lab(answers(), options);
        let context = RunContext::new();
        lab.runtime.complete(&context, &ask("hi")).await.unwrap();
        assert_eq!(lab.runs().await.len(), kept);
        let recorded = RunContext::new();
        lab.runtime.recorder().complete(&recorded, &ask("hi")).await.unwrap();
        let runs = lab.runs().await;
        assert_eq!((runs[0].id.clone(), runs[0].kind.as_str()), (recorded.run_id().clone(), KIND));
        assert_eq!((runs[0].state, runs[0].name.as_str()), (RunState::Completed, "scripted:lab"));
        assert_eq!(lab.records(&runs[0].id).await.len(), 2);
    }
}

#[tokio::test]
async fn a_call_is_made_once_for_an_id_and_another_request_is_refused() {
    let lab = lab(vec![Answer::text("Hello")], &[]);
    let recorder = lab.runtime.recorder();
    let mut texts = Vec::new();
    for _ in 0..3 {
        let context = RunContext::with_log("order-7".parse().unwrap(), Arc::new(MemoryLog::default()));
        texts.push(recorder.complete(&context, &ask("hi")).await.unwrap());
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(lab.model.requests().len(), 1);
    let context = RunContext::with_log("order-7".parse().unwrap(), Arc::new(MemoryLog::default()));
    let error = recorder.complete(&context, &ask("bye")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Conflict, "run `order-7` is kept with another request")
    );
}

#[tokio::test]
async fn calls_below_one_context_are_runs_of_their_own() {
    let lab = lab(vec![Answer::text("1"), Answer::text("2")], &[]);
    let context = RunContext::new();
    for name in ["a", "b"] {
        lab.runtime.recorder().complete(&context.child(name), &ask(name)).await.unwrap();
    }
    assert_eq!(lab.runs().await.len(), 2);
}

#[tokio::test]
async fn a_failed_call_is_kept_as_failed_and_resumed() {
    let failure = Error::new(ErrorKind::Authentication, "no such key");
    let lab = lab(vec![Answer::error(&failure), Answer::text("Hello")], &[]);
    let context = RunContext::new();
    let error = lab.runtime.recorder().complete(&context, &ask("hi")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let run = context.run_id();
    assert_eq!(lab.runs().await[0].state, RunState::Failed);
    lab.runtime.resume(run, crate::workflow::Definition::AsStored).await.unwrap();
    let report = lab.runtime.work(run, None, &CancellationToken::new()).await.unwrap();
    assert_eq!((report.state, report.outputs["text"].as_str()), (RunState::Completed, Some("Hello")));
    assert_eq!(report.model_calls, 1);
}

#[tokio::test]
async fn a_stream_is_kept_like_a_plain_call_and_one_not_read_to_its_end_fails() {
    let lab = lab(vec![Answer::text("Good morning, Ada."), Answer::text("Good morning, Ada.")], &[]);
    let recorder = lab.runtime.recorder();
    let (plain, streamed, dropped) = (RunContext::new(), RunContext::new(), RunContext::new());
    recorder.complete(&plain, &ask("hi")).await.unwrap();
    let events: Vec<_> = recorder.stream(&streamed, ask("hi")).await.unwrap().collect().await;
    assert!(events.len() > 5 && events.iter().all(Result::is_ok), "{events:?}");
    let output = async |run| lab.store.outputs(run, &[0]).await.unwrap().pop().unwrap();
    assert_eq!(output(plain.run_id()).await, output(streamed.run_id()).await);
    let mut stream = recorder.stream(&dropped, ask("hi")).await.unwrap();
    assert!(stream.next().await.is_some());
    drop(stream);
    let mut seen = 0;
    while !lab.store.run(dropped.run_id()).await.unwrap().unwrap().summary.state.is_ended() {
        seen = lab.store.changed(seen, Duration::from_secs(5)).await;
    }
    let task = lab.store.tasks(dropped.run_id()).await.unwrap().pop().unwrap();
    assert_eq!(task.error.unwrap().message, "the answer was not read to its end");
}

#[tokio::test]
async fn a_structured_call_keeps_its_repairs_and_its_value() {
    let lab = lab(vec![Answer::text("no json"), Answer::text("{\"n\":7}")], &[("record.calls", "true")]);
    let mut request = ask("a number");
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    request.output = crate::written::schema(schema);
    let context = RunContext::new();
    let (value, _) = lab.runtime.structured(&context, request).await.unwrap();
    assert_eq!(value, json!({"n": 7}));
    let steps: Vec<String> =
        lab.records(context.run_id()).await.iter().map(|record| record.step().to_owned()).collect();
    assert_eq!(steps, ["model", "model", "model/repair/1", "model/repair/1"]);
    let report = lab.runtime.report(context.run_id()).await.unwrap();
    assert_eq!(report.outputs["json"], json!({"n": 7}));
}

#[tokio::test]
async fn a_call_within_a_kept_run_is_a_step_of_that() {
    let lab = lab(vec![Answer::text("1")], &[("record.calls", "true")]);
    let definition = CallDefinition { request: ask("outer"), form: Form::Chat, max_repairs: None };
    let id = RunId::new();
    lab.store.submit(new_run(id.clone(), &definition).unwrap()).await.unwrap();
    let kept = Kept::begin(&lab.runtime, &RunContext::new(), id.clone(), &definition).await.unwrap();
    lab.runtime.complete(&kept.context.child("inner"), &ask("hi")).await.unwrap();
    assert_eq!(lab.runs().await.len(), 1);
    assert_eq!(lab.records(&id).await[0].step(), "inner/model");
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_the_call() {
    let lab = lab(vec![], &[]);
    let definition = CallDefinition { request: ask("hi"), form: Form::Chat, max_repairs: None };
    let id = RunId::new();
    lab.store.submit(new_run(id.clone(), &definition).unwrap()).await.unwrap();
    let kept = Kept::begin(&lab.runtime, &RunContext::new(), id.clone(), &definition).await.unwrap();
    let token = kept.lease.as_ref().unwrap().token().clone();
    let second = Kept::begin(&lab.runtime, &RunContext::new(), id, &definition).await.err().unwrap();
    assert_eq!(second.kind(), ErrorKind::Conflict, "two hold one call");
    let lease = lab.runtime.settings().worker.lease;
    tokio::time::sleep(lease * 3).await;
    assert!(!kept.context.cancellation().is_cancelled(), "a renewed lease is held");
    lab.store.complete(&token, Outcome::Released).await.unwrap();
    tokio::time::timeout(lease, kept.context.cancellation().cancelled()).await.unwrap();
}
