//! Records of runs, and the sink that hands them to stores.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::event::EventSink;
use motet_core::request::ToolSpec;
use motet_core::{ChatRequest, Error, ErrorKind, Message, Result, RunContext, StreamEvent, ToolOutput};
use serde_json::json;

use super::*;
use crate::agent::Agent;
use crate::batch::{Batch, BatchRequest};
use crate::function::dynamic;
use crate::hooks::{Hook, HookEntry, Hooks, Payload, Reaction, Stage};
use crate::test_double::{TestModel, Turn, calls, model_id, says};
use crate::{call, driver};

fn echo() -> impl motet_core::Tool {
    let spec = ToolSpec::new("echo", "Repeats.", json!({"type": "object"}));
    dynamic(spec, |arguments, _| async move { Ok(ToolOutput::json(&arguments)) })
}

fn agent() -> Agent {
    let builder = Agent::builder("clerk", model_id()).description("Repeats.").instructions("Be brief.");
    builder.tool(echo()).max_iterations(4).build().unwrap()
}

async fn run(turns: &[Turn], context: &RunContext) -> EvalRecord {
    let agent = agent();
    let result = driver::run(context, &agent, TestModel::new(turns), "Say it.").await;
    EvalRecord::of_agent(context, &agent, &result, Duration::from_millis(5))
}

fn call_turn() -> Turn {
    calls(&[("c1", "echo", r#"{"a":1}"#), ("c2", "echo", r#"{"a":2}"#)]).spending(10, 5, 1_000)
}

#[tokio::test]
async fn a_run_of_an_agent_is_recorded_whole() {
    let context = RunContext::new().with_correlation_id("order-7");
    let record = run(&[call_turn(), says("It.").spending(20, 3, 2_000)], &context).await;
    assert_eq!(
        (record.correlation_id.as_str(), record.run_id.as_str()),
        ("order-7", context.run_id().as_str())
    );
    assert_eq!((record.user_message.as_str(), record.system_prompt.as_str()), ("Say it.", "Be brief."));
    assert_eq!((record.agent_name.as_deref(), record.agent_max_tool_iterations), (Some("clerk"), Some(4)));
    assert_eq!((record.agent_tools.as_slice(), record.tool_calls_made), (&["echo".to_owned()][..], 2));
    assert_eq!(record.tool_execution_history[1]["arguments"], r#"{"a":2}"#);
    assert_eq!(
        (record.tokens_used.prompt, record.tokens_used.completion, record.tokens_used.total),
        (30, 8, 38)
    );
    assert_eq!(record.estimated_cost_usd, Some(0.000_003));
    assert!(record.success && record.outcome == "completed" && record.final_response == "It.");
    assert_eq!(record.raw_response.unwrap()["usage"]["input"], 20);
    let steps: Vec<_> = record.steps.iter().map(|step| (step.step.as_str(), step.status.as_str())).collect();
    let expected = ["model/0", "tool/0/0", "tool/0/1", "model/1"].map(|step| (step, "done"));
    assert_eq!(steps, expected);
    assert_eq!(record.messages_snapshot.len(), 5);
    assert!(record.timestamp.ends_with('Z'));
}

#[tokio::test]
async fn a_failure_keeps_its_tools_tokens_and_history() {
    let record = run(&[call_turn(), Turn::Fail(ErrorKind::Overloaded)], &RunContext::new()).await;
    assert!(!record.success);
    assert_eq!((record.outcome.as_str(), record.error_type.as_deref()), ("failed", Some("overloaded")));
    assert_eq!(record.error_message.as_deref(), Some("the model is out of order"));
    assert_eq!((record.tool_calls_made, record.tokens_used.total), (2, 15));
    assert_eq!(record.tool_execution_history.len(), 2);
    assert_eq!(record.steps.last().map(|step| step.status.as_str()), Some("failed"));
    let record = run(&[call_turn(), call_turn(), call_turn(), call_turn()], &RunContext::new()).await;
    assert_eq!((record.outcome.as_str(), record.tool_calls_made), ("limit_reached", 8));
}

#[tokio::test]
async fn single_calls_and_their_failures_are_recorded() {
    let request = ChatRequest::new(model_id(), vec![Message::system("S"), Message::user("Q")]);
    let context = RunContext::new();
    let model = TestModel::new(&[says("A").spending(4, 2, None)]);
    let response = call::chat(&context, &*model, &request, "model").await.unwrap();
    let record = EvalRecord::of_call(&context, &request, Ok(&response), Duration::from_secs(1));
    assert_eq!((record.user_message.as_str(), record.final_response.as_str()), ("Q", "A"));
    assert_eq!((record.latency_ms, record.estimated_cost_usd, record.tokens_used.total), (1000.0, None, 6));
    let context = RunContext::new();
    let model = TestModel::new(&[Turn::Fail(ErrorKind::RateLimit)]);
    let error = call::chat(&context, &*model, &request, "model").await.unwrap_err();
    let record = EvalRecord::of_call(&context, &request, Err(&error), Duration::ZERO);
    assert_eq!((record.error_type.as_deref(), record.system_prompt.as_str()), (Some("rate_limit"), "S"));
}

#[tokio::test]
async fn a_log_alone_gives_the_record_of_its_run() {
    let context = RunContext::new();
    let told = run(&[call_turn(), says("It.").spending(20, 3, 2_000)], &context).await;
    let record = EvalRecord::of_run(context.run_id(), &context.log().records()).unwrap();
    assert_eq!(record.tool_execution_history, told.tool_execution_history);
    assert_eq!((record.usage, record.estimated_cost_usd), (told.usage, told.estimated_cost_usd));
    assert_eq!((record.final_response.as_str(), record.success), ("It.", true));
    assert_eq!((record.steps.len(), record.agent_name.as_deref()), (4, Some("clerk")));
    assert!(EvalRecord::of_run(context.run_id(), &[]).is_none());
    let failed = RunContext::new();
    run(&[call_turn(), Turn::Fail(ErrorKind::Overloaded)], &failed).await;
    let record = EvalRecord::of_run(failed.run_id(), &failed.log().records()).unwrap();
    assert_eq!(
        (record.success, record.error_type.as_deref(), record.tool_calls_made),
        (false, Some("overloaded"), 2)
    );
}

/// Keeps records in memory.
#[derive(Default)]
struct Kept {
    records: Mutex<Vec<EvalRecord>>,
    closed: Mutex<bool>,
}

#[async_trait]
impl RecordStore for Kept {
    async fn record(&self, record: &EvalRecord) -> Result<()> {
        self.records.lock().unwrap().push(record.clone());
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        *self.closed.lock().unwrap() = true;
        Ok(())
    }
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl EventSink for Warnings {
    fn emit(&self, event: &StreamEvent) {
        if let StreamEvent::Warning { message } = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

fn record(id: &str) -> EvalRecord {
    EvalRecord::default().with_id(id)
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_sink_never_waits_and_counts_what_it_drops() {
    let (block, blocked) = std::sync::mpsc::channel::<()>();
    let (blocked, kept) = (Mutex::new(blocked), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&kept);
    let store = CallbackStore::new(move |_| {
        let _ = blocked.lock().unwrap().recv();
        *count.lock().unwrap() += 1;
        Ok(())
    });
    let sink = RecordSink::new(Arc::new(store), SinkOptions { queue: 4, ..SinkOptions::default() });
    let warnings = Arc::new(Warnings::default());
    let context = RunContext::new().with_events(Arc::clone(&warnings) as Arc<dyn EventSink>);
    for number in 0..100 {
        sink.send(&context, record(&number.to_string()));
    }
    let dropped = sink.dropped();
    assert!((95..=96).contains(&dropped), "{dropped}");
    assert_eq!(warnings.0.lock().unwrap().len(), 1, "it is told once");
    assert!(!sink.flush(Duration::from_millis(1)).await);
    drop(block);
    assert!(sink.flush(LONG).await);
    assert_eq!(*kept.lock().unwrap(), 100 - dropped);
}

#[tokio::test]
async fn failures_of_stores_are_told_and_kept_apart() {
    let good = Arc::new(Kept::default());
    let bad = CallbackStore::new(|_| Err(Error::new(ErrorKind::Store, "the disk is full")));
    let broken = CallbackStore::awaited(|_| async { panic!("broken") });
    let both = MultiStore::new([Arc::new(bad) as Arc<dyn RecordStore>, Arc::clone(&good) as _]);
    let warnings = Arc::new(Warnings::default());
    let context = RunContext::new().with_events(Arc::clone(&warnings) as Arc<dyn EventSink>);
    for store in [Arc::new(both) as Arc<dyn RecordStore>, Arc::new(broken)] {
        let sink = RecordSink::new(store, SinkOptions::default());
        sink.send(&context, record("one"));
        assert!(sink.close(LONG).await);
        sink.send(&context, record("two"));
        assert_eq!(sink.dropped(), 1, "a closed sink takes nothing");
    }
    assert_eq!(good.records.lock().unwrap().len(), 1);
    let told = warnings.0.lock().unwrap().join("\n");
    assert!(told.contains("the disk is full") && told.contains("the store panicked"), "{told}");
}

#[tokio::test]
async fn the_last_sink_that_is_dropped_keeps_what_is_left_and_closes_the_store() {
    let store = Arc::new(Kept::default());
    let sink = RecordSink::new(Arc::clone(&store) as _, SinkOptions::default());
    for number in 0..50 {
        sink.send(&RunContext::new(), record(&number.to_string()));
    }
    drop(sink);
    assert_eq!((store.records.lock().unwrap().len(), *store.closed.lock().unwrap()), (50, true));
}

struct Scrub;

#[async_trait]
impl Hook for Scrub {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        let Payload::BeforeRecord { record } = payload else { return Ok(Reaction::Continue) };
        if record["user_message"] == "no" {
            return Ok(Reaction::Stop { reason: "private".into() });
        }
        let mut record = record.clone();
        record["messages_snapshot"] = json!(["hidden"]);
        record["metadata"]["by"] = json!("the secret hook");
        Ok(Reaction::Change(Box::new(Payload::BeforeRecord { record })))
    }
}

#[tokio::test]
async fn hooks_change_any_field_and_masks_come_after_them() {
    let mut hooks = Hooks::default();
    hooks.add(HookEntry::new("scrub", [Stage::BeforeRecord], Scrub));
    let mask: Mask = Arc::new(|value| match value {
        serde_json::Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, json!(value.to_string().replace("secret", "█"))))
            .collect(),
        other => other,
    });
    let store = Arc::new(Kept::default());
    let options = SinkOptions { hooks, mask: Some(mask), ..SinkOptions::default() };
    let sink = RecordSink::new(Arc::clone(&store) as _, options);
    for question in ["yes", "no"] {
        let record =
            EvalRecord { user_message: question.into(), messages_snapshot: vec![json!(1)], ..record("r") };
        sink.send(&RunContext::new(), record);
    }
    assert!(sink.flush(LONG).await);
    let records = store.records.lock().unwrap();
    assert_eq!(records.len(), 1, "a hook may keep a record out");
    assert_eq!(records[0].messages_snapshot, [json!("hidden")]);
    assert_eq!(records[0].metadata["by"], "\"the █ hook\"");
}

#[tokio::test]
async fn masking_reaches_every_field_that_holds_a_text_of_the_run() {
    let context = RunContext::new().with_correlation_id("secret");
    let spec = ToolSpec::new("echo", "", json!({"type": "object"}));
    let tool = dynamic(spec, |_, _| async { Ok(ToolOutput::text("secret")) });
    let agent = Agent::builder("secret", model_id()).description("secret").instructions("secret").tool(tool);
    let agent = agent.build().unwrap();
    let turns = [calls(&[("c", "echo", r#"{"a":"secret"}"#)]), says("secret")];
    let result = driver::run(&context, &agent, TestModel::new(&turns), "secret").await;
    let labels = json!({"secret": "secret"}).as_object().unwrap().clone();
    let record = EvalRecord::of_agent(&context, &agent, &result, Duration::ZERO).with_metadata(labels);
    let record = record.with_value(Some(json!(["secret"])));
    let failed = record.clone().failing(&Error::new(ErrorKind::Internal, "secret").report());
    for record in [record, failed] {
        assert!(serde_json::to_string(&record).unwrap().matches("secret").count() > 10);
        let masked =
            record.masked(&|value| serde_json::from_str(&value.to_string().replace("secret", "x")).unwrap());
        let text = serde_json::to_string(&masked).unwrap();
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_file_is_made_when_the_first_record_comes_and_only_appended_to() {
    let directory = std::env::temp_dir().join(format!("motet-records-{}", motet_core::RunId::new()));
    let path = directory.join("a/b/records.jsonl");
    for round in 0..2 {
        let store = JsonlStore::new(&path);
        assert_eq!(path.exists(), round > 0);
        for number in 0..3 {
            store.record(&record(&format!("{round}-{number}"))).await.unwrap();
        }
        store.close().await.unwrap();
        assert!(store.record(&record("late")).await.is_err());
    }
    let unopened = JsonlStore::new(directory.join("never.jsonl"));
    unopened.close().await.unwrap();
    assert!(unopened.record(&record("late")).await.is_err() && !unopened.path().exists());
    let text = std::fs::read_to_string(&path).unwrap();
    let ids: Vec<String> =
        text.lines().map(|line| serde_json::from_str::<EvalRecord>(line).unwrap().id).collect();
    assert_eq!(ids, ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

struct Models(Arc<TestModel>);

#[async_trait]
impl motet_core::model::Models for Models {
    async fn model(&self, _: &motet_core::ModelId) -> Result<Arc<dyn motet_core::Model>> {
        Ok(Arc::clone(&self.0) as _)
    }
}

#[tokio::test]
async fn every_request_of_a_batch_is_recorded() {
    let store = Arc::new(Kept::default());
    let sink = RecordSink::new(Arc::clone(&store) as _, SinkOptions::default());
    let request = |text: &str| ChatRequest::new(model_id(), vec![Message::user(text)]);
    let asked = [
        BatchRequest::new(request("one")).with_id("a").with_metadata("expected", "A"),
        BatchRequest::new(request("two")),
    ];
    let models = Arc::new(Models(TestModel::new(&[says("A").spending(1, 1, 10)])));
    Batch::of(asked).records(sink.clone()).collect(&RunContext::new(), models).await.unwrap();
    let models = Arc::new(Models(TestModel::new(&[Turn::Fail(ErrorKind::Overloaded)])));
    let failing = [BatchRequest::new(request("three"))];
    Batch::of(failing).records(sink.clone()).collect(&RunContext::new(), models).await.unwrap();
    assert!(sink.flush(LONG).await);
    let mut records = store.records.lock().unwrap().clone();
    records.sort_by(|one, other| one.user_message.cmp(&other.user_message));
    let told: Vec<_> = records
        .iter()
        .map(|record| (record.user_message.as_str(), record.final_response.as_str(), record.success))
        .collect();
    assert_eq!(told, [("one", "A", true), ("three", "", false), ("two", "A", true)]);
    assert_eq!((records[0].id.as_str(), &records[0].metadata["expected"]), ("a", &json!("A")));
    assert_eq!(records[1].error_type.as_deref(), Some("overloaded"));
}
