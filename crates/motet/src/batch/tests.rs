//! Batches that are kept: what is asked again, what is told, and who may run one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use motet_agents::dynamic;
use motet_core::accumulate::unfold;
use motet_core::event::ready_stream;
use motet_core::message::{Media, MediaSource};
use motet_core::request::ToolSpec;
use motet_core::settings::{BatchStrategy, Settings, Sources};
use motet_core::store::{RunState, SharedStore};
use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, EventStream, FinishReason, Message, Model, Part, Role, Tool,
    ToolOutput, Usage,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;

/// A model that repeats the question, unless it says `fail`, until it is mended.
#[derive(Default)]
struct TestModel {
    asked: Mutex<Vec<String>>,
    mended: std::sync::atomic::AtomicBool,
}

impl TestModel {
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort_unstable();
        asked
    }
}

#[async_trait]
impl Model for TestModel {
    async fn open(&self, _: &RunContext, request: &ChatRequest, _: Delivery) -> Result<EventStream> {
        let last = request.messages.last().unwrap();
        let question = match last.role {
            Role::Tool => "tool result".to_owned(),
            _ => last.visible_text(),
        };
        self.asked.lock().unwrap().push(question.clone());
        let broken = question.contains("fail") || last.role == Role::Tool;
        if broken && !self.mended.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Overloaded, "the model is out of order"));
        }
        let message = if question.contains("tool") && last.role == Role::User {
            Message {
                role: Role::Assistant,
                parts: vec![Part::ToolCall(motet_core::message::ToolCall {
                    id: "c1".into(),
                    name: "count".into(),
                    arguments: "{}".into(),
                    minted: false,
                    opaque: None,
                })],
            }
        } else {
            Message::assistant(format!("re: {question}"))
        };
        let mut response = ChatResponse::new(request.model.clone(), message, FinishReason::Stop);
        (response.usage, response.cost) = (Some(Usage::new(10, 1)), Some(Cost::from_nanos(5)));
        Ok(ready_stream(unfold(&response)))
    }
}

fn runtime(store: &SharedStore) -> (Runtime, Arc<TestModel>) {
    let once = ("retry.max_attempts".to_owned(), "1".to_owned(), "test".to_owned());
    let loaded = Settings::load(&Sources { overrides: vec![once], ..Sources::default() }).unwrap();
    let runtime = Runtime::new(loaded, ".".into()).unwrap().with_store(Arc::clone(store)).unwrap();
    let model = Arc::new(TestModel::default());
    runtime.add_model("test:model".parse().unwrap(), Arc::clone(&model) as Arc<dyn Model>);
    (runtime, model)
}

fn memory() -> SharedStore {
    motet_persistence::open("memory:").unwrap()
}

fn ask(id: &str, question: &str) -> BatchRequest {
    let request = ChatRequest::new("test:model".parse().unwrap(), vec![Message::user(question)]);
    BatchRequest::new(request).with_id(id)
}

/// Runs a batch of these requests to its end, in the order of the requests.
async fn run(runtime: &Runtime, keeping: &Keeping, requests: Vec<BatchRequest>) -> (String, BatchSummary) {
    let batch = runtime.batch(stream::iter(requests.into_iter().map(Ok)));
    let mut running = runtime.keep_batch(&RunContext::new(), batch, keeping).await.unwrap();
    let mut results = Vec::new();
    while let Some(result) = running.next().await {
        results.push(result.unwrap());
    }
    results.sort_by_key(|result| result.index);
    let line = |result: &BatchResult| match result.error() {
        None => format!("{}={}", result.id, result.text().unwrap()),
        Some(error) => format!("{}!{}", result.id, error.kind),
    };
    let lines: Vec<String> = results.iter().map(line).collect();
    (lines.join("; "), running.finish().await.unwrap())
}

async fn state(store: &SharedStore, keeping: &Keeping) -> RunState {
    store.run(&keeping.id).await.unwrap().unwrap().summary.state
}

#[tokio::test]
async fn what_was_answered_is_not_asked_again_and_what_failed_is() {
    let store = memory();
    let (runtime, model) = runtime(&store);
    let keeping = Keeping::named("nightly").unwrap();
    let requests = || vec![ask("a", "one"), ask("b", "fail"), ask("c", "three")];
    let (lines, first) = run(&runtime, &keeping, requests()).await;
    assert_eq!(lines, "a=re: one; b!overloaded; c=re: three");
    assert_eq!(model.asked().len(), 3);
    assert_eq!((first.kept, state(&store, &keeping).await), (0, RunState::Failed));
    model.mended.store(true, Ordering::SeqCst);
    let (lines, second) = run(&runtime, &keeping, requests()).await;
    assert_eq!(lines, "a=re: one; b=re: fail; c=re: three");
    assert_eq!(model.asked(), ["fail"]);
    assert_eq!((second.kept, second.cost, second.model_calls), (2, Some(Cost::from_nanos(15)), 3));
    assert_eq!(state(&store, &keeping).await, RunState::Completed);
    // A batch that is completed takes more requests later.
    let (lines, third) = run(&runtime, &keeping, [requests(), vec![ask("d", "four")]].concat()).await;
    assert_eq!(lines, "a=re: one; b=re: fail; c=re: three; d=re: four");
    assert_eq!((model.asked(), third.kept), (vec!["four".to_owned()], 3));
}

#[tokio::test]
async fn a_changed_request_is_told_and_done_anew_only_where_asked() {
    let store = memory();
    let (runtime, model) = runtime(&store);
    let keeping = Keeping::named("n").unwrap();
    run(&runtime, &keeping, vec![ask("a", "one"), ask("b", "two")]).await;
    model.asked();
    let changed = || vec![ask("a", "ONE"), ask("b", "two")];
    let (lines, summary) = run(&runtime, &keeping, changed()).await;
    assert_eq!(lines, "a!conflict; b=re: two");
    assert!(model.asked().is_empty());
    let error = summary.error().unwrap();
    assert!(error.message().contains("`a` was another request when the batch `n` kept it"), "{error}");
    assert!(error.hint().unwrap().contains("--redo-changed"));
    let (lines, _) = run(&runtime, &keeping.clone().redoing_changed(true), changed()).await;
    assert_eq!((lines.as_str(), model.asked()), ("a=re: ONE; b=re: two", vec!["ONE".to_owned()]));
    let (lines, summary) = run(&runtime, &keeping, changed()).await;
    assert_eq!((lines.as_str(), summary.kept), ("a=re: ONE; b=re: two", 2));
}

#[tokio::test]
async fn requests_of_one_key_are_done_once() {
    let store = memory();
    let (runtime, model) = runtime(&store);
    let keyed = |id: &str, question: &str| ask(id, question).with_key("same");
    let requests = vec![keyed("a", "one"), keyed("b", "one"), keyed("c", "two"), ask("d", "four")];
    let (lines, summary) = run(&runtime, &Keeping::new(), requests).await;
    assert_eq!(lines, "a=re: one; b=re: one; c!conflict; d=re: four");
    assert_eq!((model.asked(), summary.kept), (vec!["four".to_owned(), "one".to_owned()], 1));
}

fn counting(count: &Arc<AtomicU32>) -> Arc<dyn Tool> {
    let count = Arc::clone(count);
    let spec = ToolSpec::new("count", "Counts", json!({"type": "object"}));
    Arc::new(dynamic(spec, move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(ToolOutput::text("counted")) }
    }))
}

#[tokio::test]
async fn a_request_with_tools_goes_on_behind_the_steps_that_were_kept() {
    let directory = std::env::temp_dir().join(format!("motet-batch-{}", RunId::new()));
    let url = format!("sqlite:{}/store.db", directory.display());
    for url in ["memory:", &url] {
        let store = motet_persistence::open(url).unwrap();
        let (runtime, model) = runtime(&store);
        let count = Arc::new(AtomicU32::new(0));
        let requests = || vec![ask("a", "use the tool").with_tools([counting(&count)])];
        let keeping = Keeping::named("n").unwrap();
        let (lines, summary) = run(&runtime, &keeping, requests()).await;
        assert_eq!((lines.as_str(), summary.model_calls), ("a!overloaded", 1));
        assert_eq!(model.asked(), ["tool result", "use the tool"]);
        model.mended.store(true, Ordering::SeqCst);
        let (lines, summary) = run(&runtime, &keeping, requests()).await;
        assert_eq!((lines.as_str(), summary.model_calls), ("a=re: tool result", 2));
        assert_eq!(model.asked(), ["tool result"], "the first answer was kept");
        assert_eq!(count.load(Ordering::SeqCst), 1, "and so was what the tool gave");
        assert_eq!(summary.cost, Some(Cost::from_nanos(10)));
        let records = store.item_records(&keeping.id, "a").await.unwrap();
        assert_eq!(records.len(), 2, "the result stands in the place of the steps");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_plain_request_is_written_once() {
    let store = memory();
    let (runtime, _) = runtime(&store);
    let keeping = Keeping::new();
    run(&runtime, &keeping, vec![ask("a", "one"), ask("b", "fail")]).await;
    assert_eq!(store.item_records(&keeping.id, "a").await.unwrap().len(), 2);
    assert!(store.item_records(&keeping.id, "b").await.unwrap().is_empty(), "nothing was paid for");
}

#[tokio::test]
async fn what_was_asked_is_kept_without_the_bytes_of_images() {
    let store = memory();
    let (runtime, _) = runtime(&store);
    let keeping = Keeping::new();
    let mut request = ask("a", "what is this?").with_tools([counting(&Arc::default())]);
    let image = |source| Part::Image(Media { media_type: None, source, name: None });
    request.request.messages[0].parts.push(image(MediaSource::Base64("c2VjcmV0".to_owned())));
    request.request.messages[0].parts.push(image(MediaSource::Url("http://x/y.png".to_owned())));
    let [text, _, address] = request.request.messages[0].parts.as_slice() else { panic!() };
    let expected = vec![text.clone(), address.clone()];
    run(&runtime, &keeping, vec![request.clone()]).await;
    let records = store.item_records(&keeping.id, "a").await.unwrap();
    let asked = item::asked_of(&records, "a", &request.request.model).unwrap();
    assert_eq!((asked.messages[0].parts.clone(), asked.tools[0].name.as_str()), (expected, "count"));
    assert!(!serde_json::to_string(&records).unwrap().contains("c2VjcmV0"));
    assert!(item::asked_of(&records, "b", &request.request.model).is_none());
}

#[tokio::test]
async fn only_one_runs_a_batch_at_a_time() {
    let store = memory();
    let (runtime, _) = runtime(&store);
    let keeping = Keeping::named("n").unwrap();
    let endless = || runtime.batch(stream::iter([Ok(ask("a", "one"))]).chain(stream::pending()));
    let stop = CancellationToken::new();
    let context = RunContext::new().with_cancellation(stop.clone());
    let mut running = runtime.keep_batch(&context, endless(), &keeping).await.unwrap();
    running.next().await.unwrap().unwrap();
    let other = runtime.keep_batch(&context, endless(), &keeping).await.err().unwrap();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    assert_eq!(other.message(), "another process runs the batch `n`");
    stop.cancel();
    running.finish().await.unwrap();
    let (lines, summary) = run(&runtime, &keeping, vec![ask("a", "one")]).await;
    assert_eq!((lines.as_str(), summary.kept), ("a=re: one", 1));
}

#[tokio::test]
async fn a_batch_that_is_dropped_or_stopped_can_go_on_at_once() {
    let store = memory();
    let (runtime, model) = runtime(&store);
    let keeping = Keeping::named("n").unwrap();
    let endless = runtime.batch(stream::iter([Ok(ask("a", "one"))]).chain(stream::pending()));
    let mut running = runtime.keep_batch(&RunContext::new(), endless, &keeping).await.unwrap();
    running.next().await.unwrap().unwrap();
    drop(running);
    while store.tasks(&keeping.id).await.unwrap()[0].state != motet_core::store::TaskState::Done {
        tokio::task::yield_now().await;
    }
    let (_, summary) = run(&runtime, &keeping, vec![ask("a", "one"), ask("b", "two")]).await;
    assert_eq!((summary.kept, model.asked()), (1, vec!["one".to_owned(), "two".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_somebody_cancels_stops() {
    let store = memory();
    let (runtime, _) = runtime(&store);
    let keeping = Keeping::named("n").unwrap();
    let endless = runtime.batch(stream::iter([Ok(ask("a", "one"))]).chain(stream::pending()));
    let mut running = runtime.keep_batch(&RunContext::new(), endless, &keeping).await.unwrap();
    running.next().await.unwrap().unwrap();
    runtime.cancel(&keeping.id).await.unwrap();
    assert!(running.next().await.is_none(), "the next renewal of the lease tells of it");
    running.finish().await.unwrap();
    assert!(state(&store, &keeping).await.is_ended());
}

#[tokio::test]
async fn what_is_there_must_be_what_is_expected() {
    let store = memory();
    let (runtime, _) = runtime(&store);
    let keeping = Keeping::named("n").unwrap();
    let open = async |keeping: &Keeping| {
        let batch = runtime.batch(stream::iter([]));
        runtime.keep_batch(&RunContext::new(), batch, keeping).await.err().map(|error| error.kind())
    };
    assert_eq!(open(&Keeping::resumed(keeping.id.clone())).await, Some(ErrorKind::NotFound));
    run(&runtime, &keeping, vec![ask("a", "one")]).await;
    let new = Keeping { expected: Expected::New, ..keeping.clone() };
    assert_eq!(open(&new).await, Some(ErrorKind::Conflict));
    assert_eq!(open(&Keeping::resumed(keeping.id.clone())).await, None);
    assert_eq!(Keeping::named("no spaces").unwrap_err().kind(), ErrorKind::InvalidRequest);
    let resumed = runtime.resume(&keeping.id, crate::workflow::Definition::AsStored).await.unwrap_err();
    assert!(resumed.hint().unwrap().contains("--resume n"), "{resumed}");
}

#[tokio::test]
async fn a_batch_is_reported_like_any_run() {
    let store = memory();
    let (runtime, _) = runtime(&store);
    let keeping = Keeping::named("n").unwrap().described(json!({"what": "a test"}));
    run(&runtime, &keeping, vec![ask("a", "one"), ask("b", "fail")]).await;
    let report = runtime.report(&keeping.id).await.unwrap();
    assert_eq!((report.state, report.model_calls), (RunState::Failed, 1));
    assert_eq!((report.usage, report.cost), (Usage::new(10, 1), Some(Cost::from_nanos(5))));
    let failure = report.failures().next().unwrap().error.as_ref().unwrap();
    assert!(failure.message.starts_with("1 of 2 requests failed; the first, `b`"), "{failure:?}");
    run(&runtime, &keeping, vec![ask("a", "one")]).await;
    let report = runtime.report(&keeping.id).await.unwrap();
    assert_eq!((report.state, &report.outputs["batch"]["succeeded"]), (RunState::Completed, &json!(1)));
    assert_eq!(store.run(&keeping.id).await.unwrap().unwrap().definition, json!({"what": "a test"}));
}

#[test]
fn batches_go_by_the_settings() {
    let set = [
        ("batch.max_concurrent", "3"),
        ("batch.strategy", "collect"),
        ("batch.retry_failed", "2"),
        ("structured.max_repairs", "5"),
        ("agent.max_iterations", "4"),
        ("agent.max_parallel_tools", "6"),
        ("agent.tool_timeout", "7s"),
    ];
    let overrides = set.map(|(name, value)| (name.to_owned(), value.to_owned(), "test".to_owned())).to_vec();
    let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
    let options = Runtime::new(loaded, ".".into()).unwrap().batch_options();
    let (agent, strategy) = (options.agent, options.strategy);
    assert_eq!((options.max_concurrent, strategy, options.retry_failed), (3, BatchStrategy::Collect, 2));
    assert_eq!((options.max_repairs, agent.max_iterations, agent.max_parallel_tools), (5, 4, 6));
    assert_eq!(agent.tool_timeout, std::time::Duration::from_secs(7));
}

#[test]
fn kept_results_of_every_version_can_be_read() {
    let golden = include_str!("kept-v1.json");
    let result = item::kept(serde_json::from_str(golden).unwrap()).unwrap();
    assert_eq!((result.id.as_str(), result.text().as_deref()), ("a", Some("Hello")));
    assert_eq!(item::kept(json!({"version": "9"})).unwrap_err().kind(), ErrorKind::Store);
}

#[tokio::test]
async fn a_batch_is_not_exported_without_its_requests() {
    let store = memory();
    let (runtime, _) = runtime(&store);
    let keeping = Keeping::named("n").unwrap();
    run(&runtime, &keeping, vec![ask("a", "one")]).await;
    let error = runtime.cassette(&keeping.id).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Unsupported, "`n` is a batch, which no cassette holds")
    );
}
