//! Batches by the settings: run as they are, or kept in the store so that they can go on after any end.
//!
//! How requests are performed is the agents' crate's matter; what is kept of them, this one's.

mod item;
mod kept;
pub mod written;

use futures::Stream;
use motet_agents::agent::Limits;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::{RunContext, RunId};
use serde_json::Value;

pub use motet_agents::batch::{
    Batch, BatchAnswer, BatchOptions, BatchOutcome, BatchReport, BatchRequest, BatchResult, BatchRun,
    BatchSummary, Order, Unreadable,
};

pub(crate) use item::{asked_of, kept};
pub(crate) use kept::{KIND, last_summary};

use crate::runtime::Runtime;

/// Under which name a batch is kept, and what may be there of it already.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Keeping {
    /// The batch's id.
    pub id: RunId,
    /// What may be there of it.
    pub expected: Expected,
    /// What lists of runs call it; given when it begins.
    pub title: String,
    /// What becomes of a request that was another when it was kept: it fails, or is done anew where this is true.
    pub redo_changed: bool,
    /// What the batch is, for people and programs that look at the store.
    pub description: Value,
}

/// What may be in the store of a batch that is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expected {
    /// Nothing.
    New,
    /// An earlier run of it.
    Old,
    /// Either.
    Any,
}

impl Keeping {
    /// Keeps a batch under a new id.
    #[must_use]
    pub fn new() -> Self {
        Self::under(RunId::new(), Expected::New)
    }

    /// Begins the batch of this name, or goes on with it.
    ///
    /// # Errors
    /// `InvalidRequest` when the name is not made of 1 to 64 letters, digits, `-`, and `_`.
    pub fn named(name: &str) -> Result<Self> {
        let id = name.parse().map_err(|_| {
            Error::new(ErrorKind::InvalidRequest, format!("`{name}` cannot be the name of a batch"))
                .with_hint("use 1 to 64 letters, digits, `-`, and `_`")
        })?;
        Ok(Self::under(id, Expected::Any))
    }

    /// Goes on with a batch.
    #[must_use]
    pub fn resumed(id: RunId) -> Self {
        Self::under(id, Expected::Old)
    }

    fn under(id: RunId, expected: Expected) -> Self {
        Self { id, expected, title: "batch".to_owned(), redo_changed: false, description: Value::Null }
    }

    /// Does requests anew that were others when they were kept.
    #[must_use]
    pub fn redoing_changed(mut self, redo: bool) -> Self {
        self.redo_changed = redo;
        self
    }

    /// Sets what lists of runs call it.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Says what the batch is.
    #[must_use]
    pub fn described(mut self, description: Value) -> Self {
        self.description = description;
        self
    }
}

impl Default for Keeping {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime {
    /// Gives how batches go by the settings.
    #[must_use]
    pub fn batch_options(&self) -> BatchOptions {
        let settings = self.settings();
        let mut agent = Limits::default();
        agent.max_iterations = settings.agent.max_iterations;
        agent.max_parallel_tools = settings.agent.max_parallel_tools as usize;
        agent.tool_timeout = settings.agent.tool_timeout;
        let mut options = BatchOptions::default();
        options.max_concurrent = settings.batch.max_concurrent as usize;
        options.strategy = settings.batch.strategy;
        options.retry_failed = settings.batch.retry_failed;
        options.max_repairs = settings.structured.max_repairs;
        options.agent = agent;
        options
    }

    /// Makes a batch that goes by the settings; requests are taken from the stream when there is room for them.
    pub fn batch(
        &self,
        requests: impl Stream<Item = Result<BatchRequest, Unreadable>> + Send + 'static,
    ) -> Batch {
        Batch::new(requests).options(self.batch_options())
    }

    /// Begins a batch of which nothing is kept.
    pub fn run_batch(&self, context: &RunContext, batch: Batch) -> BatchRun {
        self.recorded(batch).start(context, self.models())
    }

    /// Begins a batch, or goes on with one, and keeps in the store what is finished of it: a batch that ended in any way,
    /// killed ones included, goes on without asking again what was answered.
    ///
    /// The requests must be the same again, or at least those of one key or id; what is not kept yet is done.
    ///
    /// # Errors
    /// `NotFound` and `Conflict` when the store holds less or more of it than is expected, or another process runs it;
    /// `Store` when the store cannot be read or written.
    pub async fn keep_batch(
        &self,
        context: &RunContext,
        batch: Batch,
        keeping: &Keeping,
    ) -> Result<BatchRun> {
        let stop = context.cancellation().child_token();
        let lease = self.settings().worker.lease;
        let context = self.ascribed(context).with_cancellation(stop);
        let kept = kept::Kept::open(self.store().await?, keeping, lease, &context).await?;
        Ok(self.recorded(batch).keep(kept).start(&context, self.models()))
    }

    fn recorded(&self, batch: Batch) -> Batch {
        match self.records().sink() {
            Some(sink) => batch.records(sink.clone()),
            None => batch,
        }
    }
}

/// The examples of the guide, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/batch.md")]
pub struct Guide;

#[cfg(test)]
mod tests;
