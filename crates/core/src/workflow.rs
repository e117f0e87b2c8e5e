//! What a workflow is: tasks, what they call, and what they wait for.
//!
//! YAML, JSON, Rust, and Python all end in one [`WorkflowSpec`]; where it came from is not known here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Retry, duration_ms};
use crate::id::Millis;
use crate::model_id::ModelId;
use crate::settings::CacheMode;

/// A graph of tasks. Stored with every run that it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowSpec {
    /// Name for people.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Model of the tasks that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Values that the caller may give.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map<String, Value>,
    /// Environment variables that `${env.NAME}` may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The tasks, in the order written.
    pub tasks: Vec<TaskSpec>,
    /// What the run gives back: names and values with references; every task's result where it is empty.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outputs: Map<String, Value>,
    /// How many tasks may run at once; the setting's value where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel_tasks: Option<u32>,
    /// Longest time of the whole run, in milliseconds when stored.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration_ms")]
    pub timeout: Option<Duration>,
    /// Queue of the tasks that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// How many tasks of a key may run at once, over all runs of a store; tasks name the key as their `limit`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u32>,
    /// Providers of methods, remote endpoints that speak JSON-RPC, by name: as written, read by the registry.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub providers: Map<String, Value>,
    /// Free facts, kept with the run.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Unique in the workflow; what references and dependencies use.
    pub id: String,
    /// A second, freer name that references and dependencies may use too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it calls, such as `llm/chat`.
    pub method: String,
    /// What it is called with; texts may hold references.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Ids of the tasks it waits for: the written ones and those that its references imply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// A value with references; the task is skipped when it is false, null, 0, or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Value>,
    /// Runs the task once for each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// Whether and how it is tried again.
    #[serde(default, skip_serializing_if = "RetryPolicy::is_default")]
    pub retry: RetryPolicy,
    /// Longest time of one attempt, in milliseconds when stored.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration_ms")]
    pub timeout: Option<Duration>,
    /// Which of several ready tasks starts first; that of the run where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Which workers may run it; the workflow's queue where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Key of a limit on tasks that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// How long it waits after its dependencies have ended, in milliseconds when stored.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration_ms")]
    pub delay: Option<Duration>,
    /// It does not start before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Millis>,
    /// What its failure means for the rest.
    #[serde(default, skip_serializing_if = "OnFailure::is_fail")]
    pub on_failure: OnFailure,
    /// How the cache of model answers is used; the setting's value where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheMode>,
    /// Free facts, kept with the task.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

mod optional_duration_ms {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives the field by reference")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => super::duration_ms::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

/// The items that a task runs for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForEach {
    /// A list, or one reference that gives a list.
    Items(Value),
    /// Glob patterns of files; each item is `{path, name, stem}`.
    Files(Vec<String>),
}

/// Which of several ready tasks starts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all others.
    Urgent,
    /// Before normal ones.
    High,
    /// In the order written.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// Gives the number that stores keep: smaller starts first.
    #[must_use]
    pub fn rank(self) -> u8 {
        self as u8
    }
}

/// What a task's failure means for the rest of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Nothing new starts; what runs may finish; the run fails.
    #[default]
    Fail,
    /// The tasks that depend on it are skipped, everything else runs; the run fails.
    SkipDependents,
    /// The tasks that depend on it run and see `${task.error}`; the run does not fail for this.
    Continue,
}

impl OnFailure {
    fn is_fail(&self) -> bool {
        *self == OnFailure::Fail
    }
}

/// Whether and how a failed task is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// All attempts together; 1 means no retry.
    pub max_attempts: u32,
    /// How the delay grows.
    pub backoff: Backoff,
    /// Delay before the second attempt, in milliseconds when stored.
    #[serde(with = "duration_ms")]
    pub base_delay: Duration,
    /// Longest delay, in milliseconds when stored.
    #[serde(with = "duration_ms")]
    pub max_delay: Duration,
    /// Whether a random part of the delay is left out, so that many tasks do not come back at once.
    pub jitter: bool,
    /// Kinds of errors after which it is tried again, whatever they say themselves; where it is empty, each error says
    /// whether trying again can help.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<ErrorKind>,
}

impl Default for RetryPolicy {
    /// One attempt; with more, exponential delays from 1 s to 60 s with jitter.
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff: Backoff::Exponential,
            base_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            jitter: true,
            on: Vec::new(),
        }
    }
}

impl RetryPolicy {
    fn is_default(&self) -> bool {
        *self == RetryPolicy::default()
    }

    /// Gives the delay before the next attempt, or `None` when the task has finally failed.
    ///
    /// `attempt` counts the attempts made, the first being 1. `chance` is a number from 0 to 1 that decides the jitter:
    /// the delay lies between half of the full delay and all of it. A time that the other side named is never cut short.
    #[must_use]
    pub fn delay_after(&self, attempt: u32, error: &Error, chance: f64) -> Option<Duration> {
        if attempt >= self.max_attempts {
            return None;
        }
        let full = self.backoff.delay(self.base_delay, attempt).min(self.max_delay);
        let jittered = if self.jitter { full.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0) } else { full };
        let advice = match error.retry() {
            _ if !self.on.is_empty() && !self.on.contains(&error.kind()) => return None,
            Retry::Never if !self.on.is_empty() => Retry::Backoff,
            advice => advice,
        };
        match advice {
            Retry::Never => None,
            Retry::After(duration) => Some(jittered.max(duration)),
            Retry::Backoff => Some(jittered),
        }
    }
}

/// How the delay between attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Always the base delay.
    Fixed,
    /// The base delay times the number of attempts.
    Linear,
    /// Doubled after each attempt.
    #[default]
    Exponential,
}

impl Backoff {
    fn delay(self, base: Duration, attempt: u32) -> Duration {
        match self {
            Backoff::Fixed => base,
            Backoff::Linear => base.saturating_mul(attempt),
            Backoff::Exponential => {
                base.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn policy(backoff: Backoff) -> RetryPolicy {
        RetryPolicy { max_attempts: 5, backoff, jitter: false, ..RetryPolicy::default() }
    }

    #[test]
    fn delays_grow_as_named_and_stop_at_the_limit() {
        let error = Error::new(ErrorKind::Overloaded, "busy");
        for (backoff, seconds) in
            [(Backoff::Fixed, [1, 1, 1]), (Backoff::Linear, [1, 2, 3]), (Backoff::Exponential, [1, 2, 4])]
        {
            for (attempt, expected) in (1..).zip(seconds) {
                let delay = policy(backoff).delay_after(attempt, &error, 0.0);
                assert_eq!(delay, Some(Duration::from_secs(expected)), "{backoff:?} {attempt}");
            }
        }
        let long = RetryPolicy { max_attempts: 100, ..policy(Backoff::Exponential) };
        assert_eq!(long.delay_after(90, &error, 0.0), Some(Duration::from_secs(60)));
        assert_eq!(long.delay_after(100, &error, 0.0), None);
    }

    #[test]
    fn advice_of_the_other_side_wins_and_hopeless_errors_are_not_retried() {
        let slow = Error::new(ErrorKind::RateLimit, "wait").with_retry(Retry::After(Duration::from_secs(9)));
        assert_eq!(policy(Backoff::Fixed).delay_after(1, &slow, 1.0), Some(Duration::from_secs(9)));
        let wrong = Error::new(ErrorKind::Authentication, "no");
        assert_eq!(policy(Backoff::Fixed).delay_after(1, &wrong, 1.0), None);
    }

    #[test]
    fn jitter_leaves_out_at_most_half() {
        let error = Error::new(ErrorKind::Overloaded, "busy");
        let policy = RetryPolicy { jitter: true, ..policy(Backoff::Fixed) };
        assert_eq!(policy.delay_after(1, &error, 0.0), Some(Duration::from_millis(500)));
        assert_eq!(policy.delay_after(1, &error, 1.0), Some(Duration::from_secs(1)));
    }
}
