//! The log of one request of a kept batch, written as seldom as its promise allows.
//!
//! A request that is one call is written once, with its result. What is in between, an agent's answers and tools, is
//! written before anything follows that it must not be repeated for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use motet_agents::batch::{BatchRequest, BatchResult};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::message::MediaSource;
use motet_core::run_log::{
    BATCH_REQUEST, Entries, Entry, KeptRequest, Record, RunLog, Shelf, StepKind, StepState,
};
use motet_core::store::{ItemWrite, LeaseToken, SharedStore};
use motet_core::tool::Effect;
use motet_core::{Attribution, ChatRequest, ModelId, Part};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A result as it is kept; every version that was ever written can be read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredResult {
    /// The first version.
    #[serde(rename = "1")]
    V1(Box<BatchResult>),
}

/// Reads a kept result.
pub(crate) fn kept(value: Value) -> Result<BatchResult> {
    match serde_json::from_value(value) {
        Ok(StoredResult::V1(result)) => Ok(*result),
        Err(error) => Err(Error::new(ErrorKind::Store, "a kept result cannot be read").with_source(error)),
    }
}

/// Gives what is kept of what a request asks, for people and records: all but the bytes of images and documents, which
/// would be most of a store, and which nothing reads there.
pub(super) fn asked(request: &BatchRequest) -> Result<KeptRequest> {
    let mut asked = request.request.clone();
    asked.tools.extend(request.tools.iter().map(|tool| tool.spec().clone()));
    let is_small = |part: &Part| match part {
        // An address may hold the bytes itself.
        Part::Image(media) | Part::Document(media) => {
            matches!(&media.source, MediaSource::Url(address) if !address.starts_with("data:"))
        }
        _ => true,
    };
    asked.messages.iter_mut().for_each(|message| message.parts.retain(is_small));
    Shelf::default().keep(&asked)
}

/// Reads what a request asked out of its log; `None` where that was written before it was kept.
pub(crate) fn asked_of(records: &[Record], key: &str, model: &ModelId) -> Option<ChatRequest> {
    let kept = records.iter().rev().find_map(|record| match record.entry() {
        Entry::Started { request, .. } if record.step() == key => request.as_ref(),
        _ => None,
    });
    kept?.whole(model, |_| None).ok()
}

/// What is kept of a request at its end.
pub(super) enum Saved<'a> {
    /// Its result, in the place of all its steps.
    Result(&'a BatchResult),
    /// The steps that must not be repeated.
    Steps,
}

/// The log of one request.
pub(super) struct ItemLog {
    store: SharedStore,
    token: LeaseToken,
    key: String,
    header: Record,
    state: Mutex<State>,
    /// Held while writing, so that writes of one request stand in line.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    entries: Entries,
    /// Entries that are not written yet.
    unwritten: Vec<Record>,
    /// Steps that have begun and not ended.
    open: usize,
    /// What was kept before belongs to another request.
    replaces: bool,
}

impl ItemLog {
    /// Ascribes what the request costs.
    pub(super) fn ascribed(self, attribution: &Attribution) -> Self {
        Self { header: self.header.with_attribution(Some(&Arc::new(attribution.clone()))), ..self }
    }

    /// Begins the log of a request by its key and hash, with what it asks.
    pub(super) fn new(
        store: SharedStore,
        token: LeaseToken,
        (key, hash): (&str, &str),
        asked: KeptRequest,
    ) -> Self {
        let begun = Entry::Started {
            kind: StepKind::Method,
            request_hash: hash.to_owned(),
            effect: Effect::Pure,
            label: BATCH_REQUEST.to_owned(),
            request: Some(Box::new(asked)),
        };
        Self {
            store,
            token,
            key: key.to_owned(),
            header: Record::new(key, begun),
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Goes on behind what was kept.
    pub(super) fn continuing(self, entries: Entries) -> Self {
        let mut state = self.state();
        if entries.records().is_empty() {
            state.unwritten.push(self.header.clone());
        }
        state.entries = entries;
        drop(state);
        self
    }

    /// Puts everything in the place of what was kept.
    pub(super) fn replacing(self) -> Self {
        let mut state = self.state();
        state.unwritten.push(self.header.clone());
        state.replaces = true;
        drop(state);
        self
    }

    pub(super) fn store(&self) -> &SharedStore {
        &self.store
    }

    pub(super) fn token(&self) -> &LeaseToken {
        &self.token
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Gives what is left to write at the end of the request.
    pub(super) fn close(&self, saved: Saved<'_>) -> Result<Option<ItemWrite>> {
        let Saved::Result(result) = saved else {
            let mut state = self.state();
            return Ok(state.has_ends().then(|| state.take()));
        };
        let stored = StoredResult::V1(Box::new(result.clone()));
        let result = serde_json::to_value(stored)
            .map_err(|error| Error::new(ErrorKind::Internal, "a result cannot be kept").with_source(error))?;
        let ended = Record::new(&self.key, Entry::Finished { result });
        Ok(Some(ItemWrite::Replace(vec![self.header.clone(), ended])))
    }

    /// Writes to the end, even where nobody waits for it: what was taken from the unwritten entries stands nowhere else.
    async fn put(&self, write: ItemWrite) -> Result<()> {
        let (store, token, key) = (Arc::clone(&self.store), self.token.clone(), self.key.clone());
        let writing = tokio::spawn(async move { store.write_item(&token, &key, write).await });
        writing.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "writing the log of a request broke off").with_source(error)
        })?
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds an entry; tells whether it and those before it must be written before anything follows.
    fn push(&mut self, record: Record) -> bool {
        let must = match record.entry() {
            Entry::Started { effect, .. } => {
                self.open += 1;
                *effect != Effect::Pure || self.has_ends()
            }
            // With nothing open, the next entry or the end of the request follows at once and is written with this one.
            _ => {
                self.open = self.open.saturating_sub(1);
                self.open > 0
            }
        };
        self.entries.push(record.clone());
        self.unwritten.push(record);
        must
    }

    /// Tells whether an outcome is not written that must not be lost.
    fn has_ends(&self) -> bool {
        self.unwritten.iter().any(|record| match record.entry() {
            Entry::Finished { .. } => true,
            Entry::Failed { .. } => {
                self.entries.lookup(record.step()).is_some_and(|state| state.effect != Effect::Pure)
            }
            _ => false,
        })
    }

    fn take(&mut self) -> ItemWrite {
        let records = std::mem::take(&mut self.unwritten);
        if std::mem::take(&mut self.replaces) {
            ItemWrite::Replace(records)
        } else {
            ItemWrite::Append(records)
        }
    }
}

#[async_trait]
impl RunLog for ItemLog {
    fn lookup(&self, step: &str) -> Option<StepState> {
        self.state().entries.lookup(step)
    }

    async fn append(&self, records: Vec<Record>) -> Result<()> {
        let mut must = false;
        for record in records {
            must |= self.state().push(record);
        }
        if !must {
            return Ok(());
        }
        let _writing = self.writing.lock().await;
        let write = self.state().take();
        match &write {
            // Another one who waited for the line has written it.
            ItemWrite::Append(records) if records.is_empty() => Ok(()),
            _ => self.put(write).await,
        }
    }

    fn asks_models_below(&self, step: &str) -> bool {
        self.state().entries.asks_models_below(step)
    }

    fn records(&self) -> Vec<Record> {
        self.state().entries.records().to_vec()
    }
}
