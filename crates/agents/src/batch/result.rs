//! What came of a request of a batch, and of the batch.
//!
//! Plain data; the form in JSON is also the form in which results are kept.

use std::time::Duration;

use motet_core::error::ErrorReport;
use motet_core::settings::BatchStrategy;
use motet_core::{ChatResponse, Cost, Error, ErrorKind, Retry, Usage};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::machine::ToolUse;

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchResult {
    /// The request's name.
    pub id: String,
    /// The request's place among all, from 0.
    pub index: u64,
    /// The answer, or why there is none.
    #[serde(flatten)]
    pub outcome: BatchOutcome,
    /// Tokens of all model calls that came to an end.
    pub usage: Usage,
    /// What they cost together; `None` where a price is unknown, or an unfinished call may have been billed.
    pub cost: Option<Cost>,
    /// Model calls that came to an end.
    pub model_calls: u32,
    /// How often the batch tried the request; sends within a try are not counted.
    pub attempts: u32,
    /// Time of all tries together, without the time between them.
    #[serde(rename = "seconds", with = "seconds")]
    pub elapsed: Duration,
    /// What the request carried.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// True when it was given from what an earlier run of the batch kept.
    #[serde(skip)]
    pub kept: bool,
}

impl BatchResult {
    /// Tells whether there is an answer.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.outcome, BatchOutcome::Succeeded(_))
    }

    /// Gives the answer.
    #[must_use]
    pub fn answer(&self) -> Option<&BatchAnswer> {
        if let BatchOutcome::Succeeded(answer) = &self.outcome { Some(answer) } else { None }
    }

    /// Gives the text of the answer.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.answer().map(|answer| answer.response.text())
    }

    /// Gives why there is no answer.
    #[must_use]
    pub fn error(&self) -> Option<&ErrorReport> {
        match &self.outcome {
            BatchOutcome::Succeeded(_) => None,
            BatchOutcome::Failed { error } | BatchOutcome::Cancelled { error } => Some(error),
        }
    }
}

/// The answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchOutcome {
    /// The model answered.
    Succeeded(Box<BatchAnswer>),
    /// The request failed.
    Failed {
        /// Why.
        error: ErrorReport,
    },
    /// The batch ended before the answer came.
    Cancelled {
        /// Why.
        error: ErrorReport,
    },
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchAnswer {
    /// The last answer of the model; usage and cost are those of the whole request.
    pub response: ChatResponse,
    /// The checked value, where JSON was asked for by a schema.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub value: Option<Value>,
    /// Every call of a tool that was run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_history: Vec<ToolUse>,
}

/// Reads a null as the value null, which a schema may ask for.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchSummary {
    /// Requests that were taken in, and those that were known to follow.
    pub total: u64,
    /// Requests with an answer.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that had begun when the batch ended early.
    pub cancelled: u64,
    /// Requests that never began, as far as it is known that they were there.
    pub not_started: u64,
    /// Results, among those above, that were given from what an earlier run of the batch kept.
    pub kept: u64,
    /// Tokens of all model calls that came to an end.
    pub usage: Usage,
    /// What all of it cost; `None` where part of it is unknown.
    pub cost: Option<Cost>,
    /// The part of the cost that is known.
    pub known_cost: Cost,
    /// Number of results whose cost is unknown.
    pub unpriced: u64,
    /// Model calls that came to an end.
    pub model_calls: u64,
    /// Time from the start to the end.
    #[serde(rename = "seconds", with = "seconds")]
    pub elapsed: Duration,
    /// What failed requests do to the batch.
    pub strategy: BatchStrategy,
    /// The first request that failed, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<(String, ErrorReport)>,
    /// True when the batch was stopped from outside.
    #[serde(default)]
    pub interrupted: bool,
}

impl BatchSummary {
    pub(super) fn new(strategy: BatchStrategy) -> Self {
        Self {
            total: 0,
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            not_started: 0,
            kept: 0,
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
            known_cost: Cost::ZERO,
            unpriced: 0,
            model_calls: 0,
            elapsed: Duration::ZERO,
            strategy,
            first_failure: None,
            interrupted: false,
        }
    }

    pub(super) fn add(&mut self, result: &BatchResult) {
        match &result.outcome {
            BatchOutcome::Succeeded(_) => self.succeeded += 1,
            BatchOutcome::Cancelled { .. } => self.cancelled += 1,
            BatchOutcome::Failed { error } => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| (result.id.clone(), error.clone()));
            }
        }
        self.kept += u64::from(result.kept);
        self.usage += result.usage;
        self.model_calls += u64::from(result.model_calls);
        match result.cost {
            Some(cost) => self.known_cost = self.known_cost + cost,
            None => self.unpriced += 1,
        }
        self.cost = (self.unpriced == 0).then_some(self.known_cost);
    }

    /// Gives the one error that a batch ends with: when it was stopped, or when requests failed and its strategy does
    /// not take failures for results like any other.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        if self.interrupted {
            let open = self.cancelled + self.not_started;
            let message =
                format!("the batch was stopped with {} of {} requests done", self.succeeded, self.total);
            return Some(Error::new(ErrorKind::Cancelled, message).with_context("open", open.to_string()));
        }
        if self.strategy == BatchStrategy::Collect {
            return None;
        }
        let (id, first) = self.first_failure.as_ref()?;
        let (failed, total) = (self.failed, self.total);
        let message = format!("{failed} of {total} requests failed; the first, `{id}`: {}", first.message);
        let error = Error::new(first.kind, message).with_retry(Retry::Never);
        Some(match &first.hint {
            Some(hint) => error.with_hint(hint.clone()),
            None => error,
        })
    }
}

/// All results of a batch, in the order of its requests, and its sums.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BatchReport {
    /// The results.
    pub results: Vec<BatchResult>,
    /// The sums.
    pub summary: BatchSummary,
}

/// Writes a time as seconds with their fraction.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
