//! The run log: an append-only record of every effect of a run.
//!
//! It is checkpoint, ledger, and history at once. Stored records carry a version; [`RunLog`] hides where they are kept.

mod asked;
mod costs;
mod kept;
mod memory;
mod stored;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use asked::{Asked, Kept, RequestChain};
pub use costs::{BATCH_REQUEST, Costs, Paid, Total};
pub use kept::{KeptRequest, Piece, Shelf, fingerprint};
pub use memory::MemoryLog;
pub use stored::StoredLog;

use crate::context::{Attribution, RunContext};
use crate::error::{Error, ErrorKind, ErrorReport, Result};
use crate::id::Millis;
use crate::request::ChatRequest;
use crate::response::ChatResponse;
use crate::tool::{Effect, ToolOutput};

/// One stored entry; every version that was ever written can be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
#[non_exhaustive]
pub enum Record {
    /// The first version.
    #[serde(rename = "1")]
    V1(RecordV1),
}

impl Record {
    /// Makes an entry of the newest version, stamped with the time.
    #[must_use]
    pub fn new(step: impl Into<String>, entry: Entry) -> Self {
        Record::V1(RecordV1 { step: step.into(), at: Millis::now(), attribution: None, entry })
    }

    /// Tells to whom the step is ascribed, unless it is to nobody.
    #[must_use]
    pub fn with_attribution(self, attribution: Option<&Arc<Attribution>>) -> Self {
        let Record::V1(mut record) = self;
        record.attribution = attribution.filter(|by| ***by != Attribution::default()).cloned();
        Record::V1(record)
    }

    /// Gives to whom the step is ascribed, as its first entry tells.
    #[must_use]
    pub fn attribution(&self) -> Option<&Attribution> {
        let Record::V1(record) = self;
        record.attribution.as_deref()
    }

    /// Gives the step's full name.
    #[must_use]
    pub fn step(&self) -> &str {
        let Record::V1(record) = self;
        &record.step
    }

    /// Gives when it was written.
    #[must_use]
    pub fn at(&self) -> Millis {
        let Record::V1(record) = self;
        record.at
    }

    /// Gives what happened.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        let Record::V1(record) = self;
        &record.entry
    }
}

/// An entry of version 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordV1 {
    /// Full name of the step, its place in the run.
    pub step: String,
    /// When it was written.
    pub at: Millis,
    /// To whom the step is ascribed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Arc<Attribution>>,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened at a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// An effect begins; without a later entry its outcome is unknown.
    Started {
        /// What kind of effect.
        kind: StepKind,
        /// Hash of what was asked, so that a changed definition is noticed.
        request_hash: String,
        /// What happens when it runs twice.
        effect: Effect,
        /// What it is, for people: a model, a tool, a method.
        label: String,
        /// What a model was asked, in logs that outlive the process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Box<KeptRequest>>,
    },
    /// The effect happened.
    Finished {
        /// Its result.
        result: Value,
    },
    /// The effect failed.
    Failed {
        /// Why; in a box, as it is large and rare.
        error: Box<ErrorReport>,
    },
}

/// What kind of effect a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepKind {
    /// A call of a model.
    Model,
    /// A call of a tool.
    Tool,
    /// A task's method.
    Method,
    /// A decision of a person.
    Decision,
    /// A read of the clock or of chance, or another small choice that must stay the same.
    Value,
}

/// Names an effect before it happens.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Name below the context's step; unique there.
    pub name: &'a str,
    /// What kind of effect.
    pub kind: StepKind,
    /// Hash of what is asked; see [`crate::id::content_hash`]. Empty only where what is asked is given beside it.
    pub request_hash: &'a str,
    /// What happens when it runs twice.
    pub effect: Effect,
    /// What it is, for people.
    pub label: &'a str,
}

impl Step<'_> {
    pub(crate) fn started(&self, request: Option<KeptRequest>) -> Entry {
        Entry::Started {
            kind: self.kind,
            request_hash: self.request_hash.to_owned(),
            effect: self.effect,
            label: self.label.to_owned(),
            request: request.map(Box::new),
        }
    }
}

/// Where the entries of a run, or of one task of it, are kept.
#[async_trait]
pub trait RunLog: Send + Sync {
    /// Gives what is known of a step.
    fn lookup(&self, step: &str) -> Option<StepState>;

    /// Gives what is known of a step that is about to begin, and of a model call what is asked by it.
    ///
    /// # Errors
    /// What keeps the step from beginning: a recording that is replayed does not hold it, or holds its failure.
    fn find(&self, key: &str, _step: &Step<'_>, _request: Option<&ChatRequest>) -> Result<Option<StepState>> {
        Ok(self.lookup(key))
    }

    /// Tells whether the log outlives the process, and so keeps what models are asked.
    fn keeps_requests(&self) -> bool {
        false
    }

    /// Gives what the log keeps of a request; `None` where it keeps none.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    fn keep(&self, _request: &ChatRequest) -> Result<Option<KeptRequest>> {
        Ok(None)
    }

    /// Adds entries durably and in order.
    ///
    /// # Errors
    /// `Conflict` when somebody else writes this log by now; `Store` when it cannot be written.
    async fn append(&self, records: Vec<Record>) -> Result<()>;

    /// Adds the beginning of a step that is not known yet, with what is asked in the place of its hash, which is made
    /// when somebody asks for it; false where the log cannot do so, and then nothing is added.
    fn begin_unhashed(
        &self,
        _key: &str,
        _step: &Step<'_>,
        _by: Option<&Arc<Attribution>>,
        _asked: &Asked<'_>,
    ) -> bool {
        false
    }

    /// Adds the answer of a model call; a log that dies with the process need not write it out before somebody asks.
    ///
    /// # Errors
    /// As [`append`](Self::append), and `Internal` when the answer cannot be written as JSON.
    async fn answered(&self, step: String, response: &ChatResponse) -> Result<()> {
        self.append(vec![Record::new(step, finished(response)?)]).await
    }

    /// Adds the answer of a tool, as [`answered`](Self::answered) does.
    ///
    /// # Errors
    /// As [`answered`](Self::answered).
    async fn tool_ended(&self, step: String, output: &ToolOutput) -> Result<()> {
        self.append(vec![Record::new(step, finished(output)?)]).await
    }

    /// Tells whether a model was asked below a step, without writing out what nobody reads.
    fn asks_models_below(&self, step: &str) -> bool {
        self.records().iter().any(|record| asks_a_model_below(record, step))
    }

    /// Gives every entry so far, oldest first.
    fn records(&self) -> Vec<Record>;
}

fn asks_a_model_below(record: &Record, step: &str) -> bool {
    let is_below = || record.step().strip_prefix(step).is_some_and(|rest| rest.starts_with('/'));
    matches!(record.entry(), Entry::Started { kind: StepKind::Model, .. }) && is_below()
}

/// What the log knows of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// Hash of what was asked.
    pub request_hash: String,
    /// What happens when it runs twice.
    pub effect: Effect,
    /// Its result, if it finished.
    pub result: Option<Value>,
    /// True when it failed, so that its outcome is known.
    pub failed: bool,
}

/// The entries in memory with an index by step: the whole log of a plain call, and the cache in front of a store.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    records: Vec<Record>,
    steps: HashMap<String, Place>,
}

/// Where the entries of a step stand that say how it is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Where it was begun for the first time.
    first: usize,
    started: usize,
    finished: Option<usize>,
    failed: bool,
}

impl Entries {
    /// Adds an entry.
    pub fn push(&mut self, record: Record) {
        let at = self.records.len();
        match record.entry() {
            Entry::Started { .. } => {
                let place = Place { first: at, started: at, finished: None, failed: false };
                let known = self.steps.entry(record.step().to_owned()).or_insert(place);
                *known = Place { first: known.first, ..place };
            }
            Entry::Finished { .. } => {
                if let Some(place) = self.steps.get_mut(record.step()) {
                    place.finished = Some(at);
                }
            }
            Entry::Failed { .. } => {
                if let Some(place) = self.steps.get_mut(record.step()) {
                    place.failed = true;
                }
            }
        }
        self.records.push(record);
    }

    /// Tells whether a step was ever begun.
    fn knows(&self, step: &str) -> bool {
        self.steps.contains_key(step)
    }

    /// Gives an entry, to be completed.
    fn entry(&mut self, place: usize) -> Option<&mut Entry> {
        let Record::V1(record) = self.records.get_mut(place)?;
        Some(&mut record.entry)
    }

    /// Gives what is known of a step.
    #[must_use]
    pub fn lookup(&self, step: &str) -> Option<StepState> {
        let place = self.steps.get(step)?;
        let Entry::Started { request_hash, effect, .. } = self.records.get(place.started)?.entry() else {
            return None;
        };
        let result = place.finished.and_then(|at| match self.records.get(at)?.entry() {
            Entry::Finished { result } => Some(result.clone()),
            _ => None,
        });
        Some(StepState { request_hash: request_hash.clone(), effect: *effect, result, failed: place.failed })
    }

    /// Tells whether a model was asked below a step. Only what came after the step was begun is looked at.
    #[must_use]
    pub fn asks_models_below(&self, step: &str) -> bool {
        let first = self.steps.get(step).map_or(0, |place| place.first);
        self.records.iter().skip(first).any(|record| asks_a_model_below(record, step))
    }

    /// Gives all entries, oldest first.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

impl FromIterator<Record> for Entries {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut entries = Entries::default();
        records.into_iter().for_each(|record| entries.push(record));
        entries
    }
}

/// What beginning a step gave.
pub enum Begun {
    /// It happened before; this is its result.
    Recorded(Value),
    /// It must be performed now, and its outcome reported.
    Fresh(Pending),
}

impl Begun {
    pub(crate) fn fresh(log: &Arc<dyn RunLog>, step: String) -> Self {
        Begun::Fresh(Pending { log: Arc::clone(log), step })
    }
}

/// The duty to report an effect's outcome. Dropped without a report, the outcome stays unknown.
#[must_use = "report the outcome, or a resumed run does not know it"]
pub struct Pending {
    log: Arc<dyn RunLog>,
    step: String,
}

impl Pending {
    /// Gives the full name of the step.
    #[must_use]
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Records the result.
    ///
    /// # Errors
    /// `Store` and `Conflict` as [`RunLog::append`]; `Internal` when the result cannot be written as JSON.
    pub async fn finish(self, result: &impl Serialize) -> Result<()> {
        self.log.append(vec![Record::new(self.step, finished(result)?)]).await
    }

    /// Records the answer of a model, as [`finish`](Self::finish) does, but leaves to the log when it is written out.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub async fn answered(self, response: &ChatResponse) -> Result<()> {
        self.log.answered(self.step, response).await
    }

    /// Records the answer of a tool, as [`answered`](Self::answered) does.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub async fn tool_ended(self, output: &ToolOutput) -> Result<()> {
        self.log.tool_ended(self.step, output).await
    }

    /// Records the failure.
    ///
    /// # Errors
    /// `Store` and `Conflict` as [`RunLog::append`].
    pub async fn fail(self, error: &Error) -> Result<()> {
        self.log.append(vec![Record::new(self.step, Entry::Failed { error: Box::new(error.report()) })]).await
    }
}

fn finished(result: &impl Serialize) -> Result<Entry> {
    let result = serde_json::to_value(result)
        .map_err(|error| Error::new(ErrorKind::Internal, "a result cannot be recorded").with_source(error))?;
    Ok(Entry::Finished { result })
}

pub(crate) async fn begin(
    context: &RunContext,
    key: String,
    step: &Step<'_>,
    request: Option<&ChatRequest>,
) -> Result<Begun> {
    let log = context.log();
    if let Some(state) = log.find(&key, step, request)? {
        if state.request_hash != step.request_hash && (state.result.is_some() || !state.failed) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("step `{key}` was recorded for another request"),
            )
            .with_hint("the definition changed since the run began; start a new run"));
        }
        if let Some(result) = state.result {
            return Ok(Begun::Recorded(result));
        }
        if !state.failed && state.effect == Effect::AtMostOnce {
            return Err(Error::new(ErrorKind::Conflict, format!("the outcome of step `{key}` is unknown"))
                .with_context("effect", step.label)
                .with_hint("it began before a crash and must not run twice; check what it did before starting a new run"));
        }
    }
    let kept = request.map(|request| log.keep(request)).transpose()?.flatten();
    let record = Record::new(key.clone(), step.started(kept)).with_attribution(context.shared_attribution());
    log.append(vec![record]).await?;
    Ok(Begun::fresh(log, key))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn step<'a>(name: &'a str, hash: &'a str, effect: Effect) -> Step<'a> {
        Step { name, kind: StepKind::Tool, request_hash: hash, effect, label: "test" }
    }

    #[tokio::test]
    async fn a_finished_step_is_not_performed_again() {
        let context = RunContext::new();
        let count = AtomicU32::new(0);
        for _ in 0..3 {
            let value: u32 = context
                .child("task")
                .step(step("a", "h", Effect::AtMostOnce), || async {
                    Ok(count.fetch_add(1, Ordering::SeqCst))
                })
                .await
                .unwrap();
            assert_eq!(value, 0);
        }
        assert_eq!(context.log().records().len(), 2);
        assert_eq!(context.log().records()[0].step(), "task/a");
    }

    #[tokio::test]
    async fn models_asked_below_a_step_are_found_also_where_it_began_again_since() {
        let context = RunContext::new();
        let asked = Step { kind: StepKind::Model, ..step("model/0", "h", Effect::Pure) };
        let below = |name: &str| context.log().asks_models_below(name);
        for name in ["tool/0/1", "tool/0/10"] {
            drop(context.begin(step(name, "h", Effect::Pure)).await.unwrap());
        }
        drop(context.begin(asked).await.unwrap());
        drop(context.child("tool/0/10").begin(step("a", "h", Effect::Pure)).await.unwrap());
        assert!(!below("tool/0/1") && !below("tool/0/10"));
        drop(context.child("tool/0/10").begin(asked).await.unwrap());
        drop(context.begin(step("tool/0/10", "h", Effect::Pure)).await.unwrap());
        assert!(!below("tool/0/1") && below("tool/0/10"));
    }

    #[tokio::test]
    async fn a_failed_step_is_performed_again() {
        let context = RunContext::new();
        let failing = || async { Err::<u32, _>(Error::new(ErrorKind::ToolFailed, "no")) };
        assert!(context.step(step("a", "h", Effect::AtMostOnce), failing).await.is_err());
        assert_eq!(context.step(step("a", "h", Effect::AtMostOnce), || async { Ok(7u32) }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn an_unknown_outcome_is_repeated_only_where_that_is_safe() {
        for (effect, repeated) in
            [(Effect::Pure, true), (Effect::Idempotent, true), (Effect::AtMostOnce, false)]
        {
            let context = RunContext::new();
            drop(context.begin(step("a", "h", effect)).await.unwrap());
            let again = context.step(step("a", "h", effect), || async { Ok(1u32) }).await;
            assert_eq!(again.is_ok(), repeated, "{effect:?}");
            if let Err(error) = again {
                assert_eq!(error.kind(), ErrorKind::Conflict);
            }
        }
    }

    #[tokio::test]
    async fn a_changed_request_is_not_answered_from_the_log() {
        let context = RunContext::new();
        context.step(step("a", "h", Effect::Pure), || async { Ok(1u32) }).await.unwrap();
        let error = context.step(step("a", "other", Effect::Pure), || async { Ok(2u32) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }

    #[test]
    fn records_of_every_version_can_be_read() {
        let golden = include_str!("run_log/golden-v1.jsonl");
        for line in golden.lines() {
            let record: Record = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap(), line);
        }
    }
}
