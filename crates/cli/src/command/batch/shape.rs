//! The documented shape of a result and of the sums, the same on stdout and in files.

use motet::agents::batch::BatchOutcome;
use motet::batch::{BatchResult, BatchSummary};
use motet::{Cost, Role};
use serde_json::{Map, Value, json};

/// Gives the shape of one result, without its name.
pub(super) fn result(result: &BatchResult) -> Map<String, Value> {
    let mut shape = Map::new();
    let mut set = |name: &str, value: Value| shape.insert(name.to_owned(), value);
    let status = match &result.outcome {
        BatchOutcome::Succeeded(_) => "success",
        BatchOutcome::Cancelled { .. } => "cancelled",
        _ => "failed",
    };
    set("status", json!(status));
    if let Some(answer) = result.answer() {
        set("content", json!(answer.response.text()));
        if let Some(value) = &answer.value {
            set("json", value.clone());
        }
        let message = &answer.response.message;
        let calls: Vec<Value> = message
            .tool_calls()
            .filter(|_| message.role == Role::Assistant)
            .map(|call| json!({"id": call.id, "name": call.name, "arguments": call.arguments}))
            .collect();
        if !calls.is_empty() {
            set("tool_calls", json!(calls));
        }
        set("finish_reason", json!(answer.response.finish_reason));
    }
    if let Some(error) = result.error() {
        set("error", json!(error.message));
        set("error_kind", json!(error.kind));
        set("hint", json!(error.hint));
    }
    set("usage", json!(result.usage));
    set("cost", json!(result.cost.map(Cost::dollars)));
    set("model_calls", json!(result.model_calls));
    set("attempts", json!(result.attempts));
    set("seconds", json!(result.elapsed.as_secs_f64()));
    if !result.metadata.is_empty() {
        set("metadata", Value::Object(result.metadata.clone()));
    }
    shape
}

/// Gives the shape of one result as a line of its own.
pub(super) fn line(found: &BatchResult) -> Map<String, Value> {
    let mut shape = Map::new();
    shape.insert("id".to_owned(), json!(found.id));
    shape.insert("index".to_owned(), json!(found.index));
    shape.extend(result(found));
    shape
}

/// Gives the shape of the sums.
pub(super) fn summary(summary: &BatchSummary) -> Value {
    json!({
        "total": summary.total,
        "successful": summary.succeeded,
        "failed": summary.failed,
        "cancelled": summary.cancelled,
        "not_started": summary.not_started,
        "kept": summary.kept,
        "processing_time": summary.elapsed.as_secs_f64(),
        "model_calls": summary.model_calls,
        "usage": summary.usage,
        "cost": summary.cost.map(Cost::dollars),
        "known_cost": summary.known_cost.dollars(),
        "unpriced": summary.unpriced,
    })
}
