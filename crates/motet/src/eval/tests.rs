//! Records of a runtime, and how they are scored and compared.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use motet_agents::hooks::{Hook, HookEntry, Payload, Reaction, Stage};
use motet_agents::record::CallbackStore;
use motet_core::settings::{Settings, Sources};
use motet_core::{ChatRequest, ErrorKind, Message, RunContext};
use motet_providers::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::compare::{Key, compare};
use super::score::{Expected, Scorer};
use super::*;
use crate::Runtime;
use crate::batch::{Batch, BatchRequest};

const LONG: Duration = Duration::from_secs(60);

type Kept = Arc<Mutex<Vec<EvalRecord>>>;

/// A runtime with these settings whose model answers `yes`, and the records that it gives.
fn runtime(settings: &[(&str, &str)]) -> (Runtime, Kept) {
    let overrides =
        settings.iter().map(|(name, value)| ((*name).into(), (*value).into(), "test".into())).collect();
    let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
    let runtime = Runtime::new(loaded, PathBuf::from(".")).unwrap();
    let runtime = runtime.with_store(motet_persistence::open("memory:").unwrap()).unwrap();
    runtime.add_model(
        "scripted:yes".parse().unwrap(),
        Arc::new(ScriptedModel::answers(["yes", "yes", "yes", "yes"])),
    );
    let kept = Kept::default();
    let records = Arc::clone(&kept);
    runtime
        .add_record_store(Arc::new(CallbackStore::new(move |record| {
            records.lock().unwrap().push(record);
            Ok(())
        })))
        .unwrap();
    (runtime, kept)
}

fn request(text: &str) -> ChatRequest {
    ChatRequest::new("scripted:yes".parse().unwrap(), vec![Message::user(text)])
}

async fn taken(runtime: &Runtime, kept: &Kept) -> Vec<EvalRecord> {
    assert!(runtime.flush_records(LONG).await);
    kept.lock().unwrap().drain(..).collect()
}

#[tokio::test]
async fn calls_streams_agents_and_batches_are_recorded_masked() {
    let (runtime, kept) = runtime(&[("record.redact", "[0-9]{4}")]);
    runtime.complete(&RunContext::new().with_correlation_id("order"), &request("pin 1234")).await.unwrap();
    let events = runtime.stream(&RunContext::new(), request("two")).await.unwrap();
    assert!(events.collect::<Vec<_>>().await.iter().all(Result::is_ok));
    drop(runtime.stream(&RunContext::new(), request("unread")).await.unwrap());
    let agent = runtime.agent("clerk", "scripted:yes".parse().unwrap()).build().unwrap();
    let ran =
        runtime.run_agent(&RunContext::new(), agent, "three", crate::agent::Keeping::Nowhere).await.unwrap();
    assert_eq!(ran.text, "yes");
    let batch = Batch::of([BatchRequest::new(request("four"))]);
    runtime.run_batch(&RunContext::new(), batch).finish().await.unwrap();
    let missing = ChatRequest::new("nowhere:x".parse().unwrap(), vec![Message::user("five")]);
    assert!(runtime.complete(&RunContext::new(), &missing).await.is_err());
    let records = taken(&runtime, &kept).await;
    let told: Vec<_> = records
        .iter()
        .map(|record| (record.user_message.as_str(), record.final_response.as_str(), record.success))
        .collect();
    assert_eq!(told[0], (format!("pin {}", motet_core::cassette::MASK).as_str(), "yes", true));
    let rest = [
        ("two", "yes", true),
        ("unread", "", false),
        ("three", "yes", true),
        ("four", "yes", true),
        ("five", "", false),
    ];
    assert_eq!(told[1..], rest);
    assert_eq!((records[0].correlation_id.as_str(), records[0].steps.len()), ("order", 1));
    assert_eq!(records[2].error_type.as_deref(), Some("cancelled"));
    assert_eq!(records[3].agent_name.as_deref(), Some("clerk"));
    assert_eq!(records[5].error_type.as_deref(), Some("configuration"));
}

struct Tag;

#[async_trait]
impl Hook for Tag {
    async fn at(&self, _: &RunContext, payload: &Payload) -> motet_core::Result<Reaction> {
        let Payload::BeforeRecord { record } = payload else { return Ok(Reaction::Continue) };
        let mut record = record.clone();
        record["user_message"] = json!("hidden");
        record["messages_snapshot"] = json!([]);
        Ok(Reaction::Change(Box::new(Payload::BeforeRecord { record })))
    }
}

#[tokio::test]
async fn hooks_are_added_before_the_first_record() {
    let (runtime, kept) = runtime(&[]);
    runtime.add_record_hook(HookEntry::new("tag", [Stage::BeforeRecord], Tag)).unwrap();
    runtime.complete(&RunContext::new(), &request("one")).await.unwrap();
    let records = taken(&runtime, &kept).await;
    assert_eq!((records[0].user_message.as_str(), records[0].messages_snapshot.len()), ("hidden", 0));
    let late = runtime.add_record_hook(HookEntry::new("tag", [Stage::BeforeRecord], Tag));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn stored_calls_and_batches_give_their_records() {
    let (runtime, kept) = runtime(&[("record.calls", "true")]);
    let context = RunContext::new();
    runtime.complete(&context, &request("one")).await.unwrap();
    let live = taken(&runtime, &kept).await.remove(0);
    let record = runtime.eval_records(context.run_id()).await.unwrap().remove(0);
    assert_eq!(
        (&record.user_message, &record.final_response, record.success),
        (&live.user_message, &live.final_response, true)
    );
    assert_eq!(
        (&record.messages_snapshot, record.id.as_str()),
        (&live.messages_snapshot, context.run_id().as_str())
    );
    assert_eq!(record.usage, live.usage);
    let keeping = crate::batch::Keeping::named("many").unwrap();
    let batch = Batch::of([BatchRequest::new(request("two")).with_id("a").with_metadata("expected", "yes")]);
    runtime.keep_batch(&RunContext::new(), batch, &keeping).await.unwrap().finish().await.unwrap();
    let records = runtime.eval_records(&keeping.id).await.unwrap();
    assert_eq!(
        (records.len(), records[0].id.as_str(), records[0].final_response.as_str()),
        (1, "many/a", "yes")
    );
    assert_eq!(records[0].metadata["expected"], "yes");
    let live = taken(&runtime, &kept).await.remove(0);
    assert_eq!(
        (records[0].user_message.as_str(), &records[0].messages_snapshot),
        ("two", &live.messages_snapshot)
    );
    let unknown = runtime.eval_records(&"none".parse().unwrap()).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

fn record(id: &str, answer: &str, expected: Value) -> EvalRecord {
    let fields = json!({
        "id": id, "user_message": format!("q{id}"), "final_response": answer, "success": true,
        "metadata": {"expected": expected}, "tokens_used": {"total": 10}, "estimated_cost_usd": 0.5, "latency_ms": 7.0,
    });
    serde_json::from_value(fields).unwrap()
}

async fn score(scorer: &str, record: EvalRecord) -> f64 {
    let (runtime, _) = runtime(&[]);
    let scorers = [Scorer::parse(scorer, None).unwrap()];
    runtime.score(&RunContext::new(), &[record], &scorers, &Expected::default()).await.unwrap().mean
}

#[tokio::test]
async fn scorers_judge_as_they_say() {
    let object = json!({"type": "object", "required": ["a"]});
    for (scorer, answer, expected, wanted) in [
        ("exact", " yes\n", json!("yes"), 1.0),
        ("exact", "Yes", json!("yes"), 0.0),
        ("exact", r#"{ "b": 1, "a": 2 }"#, json!({"a": 2, "b": 1}), 1.0),
        ("exact", "42", json!(42), 1.0),
        ("contains", "well, yes.", json!("yes"), 1.0),
        ("contains", "no", json!("yes"), 0.0),
        ("regex", "2026-05-03", json!("^\\d{4}-"), 1.0),
        ("regex=^x=\\d$", "x=1", json!(null), 1.0),
        ("regex=^x$", "xx", json!(null), 0.0),
        ("schema", r#"{"a": 1}"#, object.clone(), 1.0),
        ("schema", r#"{"b": 1}"#, object, 0.0),
    ] {
        assert!(
            (score(scorer, record("1", answer, expected)).await - wanted).abs() < 1e-9,
            "{scorer}: {answer}"
        );
    }
    let failed = EvalRecord::default();
    assert!(score("regex=.*", failed).await.abs() < 1e-9, "a run that failed has no score");
}

#[tokio::test]
async fn a_judge_gives_a_score_and_a_reason() {
    let (runtime, kept) = runtime(&[]);
    let judge = ScriptedModel::answers([
        r#"{"score": 7, "reason": "?"}"#,
        r#"{"score": 0.25, "reason": "half wrong"}"#,
    ]);
    runtime.add_model("scripted:judge".parse().unwrap(), Arc::new(judge));
    let scorers = [Scorer::parse("judge=scripted:judge", Some("Be strict.")).unwrap(), Scorer::Exact];
    let records = [record("1", "yes", json!("yes"))];
    let scores = runtime.score(&RunContext::new(), &records, &scorers, &Expected::default()).await.unwrap();
    let judged = &scores.records[0].scores["judge"];
    assert_eq!((judged.score, judged.reason.as_deref()), (0.25, Some("half wrong")));
    assert_eq!((scores.mean, scores.scorers["exact"]), (0.625, 1.0));
    assert!(taken(&runtime, &kept).await.is_empty(), "judging is not recorded");
}

#[tokio::test]
async fn what_cannot_be_scored_is_told() {
    let (runtime, _) = runtime(&[]);
    let told = async |records: &[EvalRecord], scorers: &[Scorer], expected: &Expected| {
        runtime.score(&RunContext::new(), records, scorers, expected).await.unwrap_err().to_string()
    };
    let records = [record("7", "a", Value::Null)];
    let expected = Expected::default();
    assert_eq!(
        told(&records, &[Scorer::Exact], &expected).await,
        "the scorer `exact` needs what is expected of record `7` at `metadata.expected`"
    );
    let by_id = Expected::ById(BTreeMap::from([("8".to_owned(), json!("a"))]));
    assert_eq!(
        told(&records, &[Scorer::Exact], &by_id).await,
        "the scorer `exact` needs what is expected of record `7`"
    );
    assert_eq!(
        told(&records, &[Scorer::Exact, Scorer::Exact], &expected).await,
        "the scorer `exact` is named twice"
    );
    assert_eq!(told(&[], &[Scorer::Exact], &expected).await, "there is nothing to score");
    for wrong in ["exakt", "judge", "judge=x", "regex=(", "schema=nowhere.json", "exact=1"] {
        assert!(Scorer::parse(wrong, None).is_err(), "{wrong}");
    }
}

fn with_score(record: EvalRecord, score: f64) -> EvalRecord {
    record.with_metadata(json!({"scores": {"exact": score}}).as_object().unwrap().clone())
}

#[test]
fn comparing_finds_what_changed_and_what_is_worse() {
    let before = [
        with_score(record("1", "a", Value::Null), 1.0),
        with_score(record("2", "b", Value::Null), 0.5),
        record("3", "c", Value::Null),
    ];
    let mut failed = record("3", "", Value::Null);
    failed.success = false;
    let after = [
        with_score(record("1", "A", Value::Null), 0.0),
        with_score(record("2", "b", Value::Null), 0.45),
        failed,
        record("4", "d", Value::Null),
    ];
    let comparison = compare(&before, &after[..], None, 0.1).unwrap();
    let worse: Vec<_> = comparison.pairs.iter().map(|pair| pair.regressions.join(",")).collect();
    assert_eq!(worse, ["exact", "", "success"]);
    assert_eq!((comparison.changed, comparison.regressions, comparison.added), (2, 2, vec!["4".to_owned()]));
    assert_eq!((comparison.tokens.before, comparison.cost.after), (30, Some(1.5)));
    let stricter = compare(&before, &after, None, 0.0).unwrap();
    assert_eq!(stricter.pairs[1].regressions, ["exact"]);
    let renamed: Vec<_> = after[..3].iter().map(|one| one.clone().with_id(format!("x{}", one.id))).collect();
    assert_eq!(
        compare(&before, &renamed, None, 0.1).unwrap().pairs[0].key,
        "q1",
        "paired by the user's text"
    );
    assert!(compare(&before, &renamed, Some(Key::Id), 0.0).is_err());
    let twice = [before[0].clone(), before[0].clone()];
    assert!(
        compare(&twice, &after, None, 0.0).unwrap_err().to_string().contains("two records are keyed `1`")
    );
}

#[tokio::test]
async fn the_setting_of_the_queue_says_how_many_records_wait() {
    for (queue, most_lost) in [("1", 3), ("8", 0)] {
        let (runtime, kept) = runtime(&[("eval.queue", queue)]);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(held);
        let holding = CallbackStore::new(move |_| {
            let _ = held.lock().unwrap().recv();
            Ok(())
        });
        runtime.add_record_store(Arc::new(holding)).unwrap();
        for text in ["one", "two", "three", "four"] {
            runtime.complete(&RunContext::new(), &request(text)).await.unwrap();
        }
        let lost = runtime.dropped_records();
        // The one that is being kept holds no place, if it was taken by then.
        assert!((most_lost.min(2)..=most_lost).contains(&lost), "{lost} of 4 lost with {queue}");
        drop(release);
        assert_eq!(taken(&runtime, &kept).await.len() as u64, 4 - lost);
    }
}
