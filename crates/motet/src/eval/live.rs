//! Hands a record of every call, agent, and request of a batch to the stores that were named.
//!
//! Where none was named, nothing is done.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt as _;
use motet_agents::hooks::{HookEntry, Hooks};
use motet_agents::record::{EvalRecord, JsonlStore, Mask, MultiStore, RecordSink, RecordStore, SinkOptions};
use motet_agents::{Agent, AgentResult};
use motet_core::accumulate::Accumulator;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::EventStream;
use motet_core::settings::Loaded;
use motet_core::{ChatRequest, ChatResponse, RunContext};
use serde_json::Value;

use crate::recording::Redaction;
use crate::runtime::Runtime;

/// The stores of a runtime and the sink in front of them, which is made when the first record comes.
pub(crate) struct Records {
    places: Arc<Places>,
    hooks: Mutex<Hooks>,
    /// Made when the first store is named, as it reads every key of the settings.
    mask: OnceLock<Mask>,
    queue: usize,
    sink: OnceLock<RecordSink>,
}

impl Records {
    pub(crate) fn new(loaded: &Loaded, directory: &Path) -> Result<Self> {
        let eval = &loaded.settings.eval;
        let file = eval.records.as_ref().map(|path| {
            let store: Arc<dyn RecordStore> = Arc::new(JsonlStore::new(directory.join(path)));
            store
        });
        let records = Self {
            places: Arc::default(),
            hooks: Mutex::default(),
            mask: OnceLock::new(),
            queue: eval.queue as usize,
            sink: OnceLock::new(),
        };
        if let Some(file) = file {
            records.add(loaded, file)?;
        }
        Ok(records)
    }

    /// Adds a store behind what masks its records.
    fn add(&self, loaded: &Loaded, store: Arc<dyn RecordStore>) -> Result<()> {
        if self.mask.get().is_none() {
            let redaction = Redaction::of_settings(loaded, &[])?;
            // Another thread may have made the same one.
            let _ = self.mask.set(Arc::new(move |value: Value| redaction.value(value)));
        }
        self.places.0.write().unwrap_or_else(PoisonError::into_inner).push(store);
        Ok(())
    }

    /// Gives the sink, where there is anything behind it.
    pub(crate) fn sink(&self) -> Option<&RecordSink> {
        if self.sink.get().is_none() && self.places.all().is_empty() {
            return None;
        }
        Some(self.sink.get_or_init(|| {
            let mut options = SinkOptions::default();
            options.queue = self.queue;
            options.hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
            options.mask = self.mask.get().cloned();
            RecordSink::new(Arc::clone(&self.places) as Arc<dyn RecordStore>, options)
        }))
    }
}

/// Stores that may still become more.
#[derive(Default)]
struct Places(RwLock<Vec<Arc<dyn RecordStore>>>);

impl Places {
    fn all(&self) -> Vec<Arc<dyn RecordStore>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl RecordStore for Places {
    async fn record(&self, record: &EvalRecord) -> Result<()> {
        MultiStore::new(self.all()).record(record).await
    }

    async fn close(&self) -> Result<()> {
        MultiStore::new(self.all()).close().await
    }
}

impl Runtime {
    /// Hands a record of every later call, agent, and request of a batch to this store too.
    ///
    /// Calls never wait for it: a bounded number of records may wait, and what is too much is dropped and counted. What the
    /// setting `record.redact` matches, and every known key, is masked before.
    ///
    /// # Errors
    /// `Configuration` when an expression of `record.redact` cannot be read.
    pub fn add_record_store(&self, store: Arc<dyn RecordStore>) -> Result<()> {
        self.records().add(self.loaded(), store)
    }

    /// Has a hook of the stage `before_record` see, change, or keep out every record.
    ///
    /// # Errors
    /// `Conflict` when records were taken already.
    pub fn add_record_hook(&self, hook: HookEntry) -> Result<()> {
        if self.records().sink.get().is_some() {
            return Err(Error::new(ErrorKind::Conflict, "records were taken before the hook was added")
                .with_hint("add hooks for records before the first call"));
        }
        self.records().hooks.lock().unwrap_or_else(PoisonError::into_inner).add(hook);
        Ok(())
    }

    /// Waits until every record so far is kept; false when that takes longer than this.
    ///
    /// The last clone of a runtime that is dropped waits too, for 5 seconds at most.
    pub async fn flush_records(&self, patience: Duration) -> bool {
        match self.records().sink.get() {
            Some(sink) => sink.flush(patience).await,
            None => true,
        }
    }

    /// Gives how many records were dropped because they came faster than they could be kept.
    #[must_use]
    pub fn dropped_records(&self) -> u64 {
        self.records().sink.get().map_or(0, RecordSink::dropped)
    }

    /// Records a run of an agent that was driven elsewhere, where anything is recorded.
    pub fn record_agent(&self, context: &RunContext, agent: &Agent, result: &AgentResult, elapsed: Duration) {
        if let Some(sink) = self.records().sink() {
            sink.send(context, EvalRecord::of_agent(context, agent, result, elapsed));
        }
    }
}

/// Records a call that is whole.
pub(crate) fn call(
    sink: &RecordSink,
    context: &RunContext,
    request: &ChatRequest,
    (answer, value): (Result<&ChatResponse, &Error>, Option<Value>),
    begun: Instant,
) {
    let record = EvalRecord::of_call(context, request, answer, begun.elapsed());
    sink.send(context, record.with_value(value));
}

/// Records a call whose answer comes as events, when it ends in any way.
pub(crate) fn stream(
    sink: RecordSink,
    context: &RunContext,
    request: ChatRequest,
    begun: Instant,
    events: EventStream,
) -> EventStream {
    let arrived = Accumulator::new(request.model.clone());
    let told = Told { sink, context: context.clone(), request, begun, arrived: Some(arrived) };
    Box::pin(futures::stream::unfold((events, told), |(mut events, mut told)| async move {
        let event = events.next().await;
        match &event {
            Some(Ok(event)) => {
                // An event that does not fit is the reader's error, not the record's.
                let _ = told.arrived.as_mut().map(|arrived| arrived.note(event));
            }
            Some(Err(error)) => told.end(Some(error)),
            None => told.end(None),
        }
        event.map(|event| (event, (events, told)))
    }))
}

/// A call whose answer is still coming.
struct Told {
    sink: RecordSink,
    context: RunContext,
    request: ChatRequest,
    begun: Instant,
    arrived: Option<Accumulator>,
}

impl Told {
    fn end(&mut self, error: Option<&Error>) {
        let Some(arrived) = self.arrived.take() else { return };
        let whole = match error {
            Some(error) => Err(Error::from(error.report())),
            None => arrived.finish(),
        };
        call(&self.sink, &self.context, &self.request, (whole.as_ref(), None), self.begun);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let error = Error::new(ErrorKind::Cancelled, "the answer was not read to its end");
        self.end(Some(&error));
    }
}
