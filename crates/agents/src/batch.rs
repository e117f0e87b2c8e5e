//! Many requests at once: a lazy stream of them in, a stream of results out, in flat memory.
//!
//! Every request goes through its model with all layers, as a single one would. Knows no store: what is kept of a
//! batch, and where, is up to whoever gives a [`Keep`]. Spawns its work, so it must run inside a tokio runtime.

mod driver;
pub mod keep;
mod order;
mod perform;
pub mod request;
pub mod result;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::model::Models;
use motet_core::settings::BatchStrategy;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use keep::{Item, Keep, Opened};
pub use request::{BatchRequest, Unreadable};
pub use result::{BatchAnswer, BatchOutcome, BatchReport, BatchResult, BatchSummary};

use crate::agent::Limits;
use crate::hooks::Hooks;
use crate::record::RecordSink;
use crate::structured::DEFAULT_REPAIRS;

/// How a batch goes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// How many requests run at the same time; 8 by default, and never less than 1.
    pub max_concurrent: usize,
    /// What a failed request does to the others; `Continue` by default.
    pub strategy: BatchStrategy,
    /// How many times requests that failed in a way that may pass are tried again, after all others and not before the
    /// time that the other side named; 0 by default.
    pub retry_failed: u32,
    /// Longest time of each try of a request that names no other; `None` by default.
    pub timeout: Option<Duration>,
    /// In which order results come; as they are ready by default.
    pub order: Order,
    /// How often an answer that does not match its schema is sent back to be repaired.
    pub max_repairs: u32,
    /// Bounds of requests with tools that are run.
    pub agent: Limits,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            max_concurrent: 8,
            strategy: BatchStrategy::Continue,
            retry_failed: 0,
            timeout: None,
            order: Order::AsReady,
            max_repairs: DEFAULT_REPAIRS,
            agent: Limits::default(),
        }
    }
}

/// In which order results come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Order {
    /// As they are ready; each tells its place.
    #[default]
    AsReady,
    /// In the order of the requests.
    ///
    /// A slow request holds back the results behind it, so no more than four times `max_concurrent` requests are begun
    /// beyond it. Only where failed requests are tried again after all others, the results behind them pile up.
    AsAsked,
}

/// A batch that has not begun.
///
/// ```
/// use std::sync::Arc;
/// use futures::StreamExt as _;
/// use motet_agents::batch::{Batch, BatchRequest};
/// # use motet_core::model::{Model, Models};
/// # use motet_core::{ChatRequest, ModelId, Message, Result, RunContext};
/// # struct One;
/// # #[async_trait::async_trait]
/// # impl Models for One {
/// #     async fn model(&self, _: &ModelId) -> Result<Arc<dyn Model>> {
/// #         Err(motet_core::Error::new(motet_core::ErrorKind::Configuration, "no model here"))
/// #     }
/// # }
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// # let models: Arc<dyn Models> = Arc::new(One);
/// let model: ModelId = "openai:gpt-4o-mini".parse()?;
/// let questions = (0..3).map(move |n| {
///     BatchRequest::new(ChatRequest::new(model.clone(), vec![Message::user(format!("What is {n} + {n}?"))]))
/// });
/// let mut running = Batch::of(questions).start(&RunContext::new(), models);
/// while let Some(result) = running.next().await {
///     let result = result?;
///     println!("{}: {}", result.id, result.text().as_deref().unwrap_or("failed"));
/// }
/// assert_eq!(running.finish().await?.total, 3);
/// # Ok::<(), motet_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing happens until the batch is started"]
pub struct Batch {
    requests: Requests,
    expected: Option<u64>,
    options: BatchOptions,
    keep: Option<Arc<dyn Keep>>,
    records: Option<RecordSink>,
    hooks: Hooks,
}

/// Requests as they are taken in, and those in whose place there is only an error.
pub(crate) type Requests = BoxStream<'static, Result<BatchRequest, Unreadable>>;

impl Batch {
    /// Makes a batch of requests that are taken from a stream when there is room for them.
    ///
    /// One that cannot be read counts as a request that failed.
    pub fn new(requests: impl Stream<Item = Result<BatchRequest, Unreadable>> + Send + 'static) -> Self {
        let expected = exactly(requests.size_hint());
        Self {
            requests: requests.boxed(),
            expected,
            options: BatchOptions::default(),
            keep: None,
            records: None,
            hooks: Hooks::default(),
        }
    }

    /// Makes a batch of requests that are taken from an iterator when there is room for them.
    pub fn of<I>(requests: I) -> Self
    where
        I: IntoIterator<Item = BatchRequest>,
        I::IntoIter: Send + 'static,
    {
        Self::new(stream::iter(requests.into_iter().map(Ok)))
    }

    /// Sets how the batch goes.
    pub fn options(mut self, options: BatchOptions) -> Self {
        self.options = options;
        self
    }

    /// Keeps what is finished, so that a batch that is run again pays for nothing twice.
    pub fn keep(mut self, keep: Arc<dyn Keep>) -> Self {
        self.keep = Some(keep);
        self
    }

    /// Hands a record of every request that is done to a sink; those given from what was kept are not recorded again.
    pub fn records(mut self, sink: RecordSink) -> Self {
        self.records = Some(sink);
        self
    }

    /// Has hooks called before and after each request; one that was answered by an earlier run of the batch has none.
    ///
    /// A hook that stops the run, or whose failure aborts it, fails that request before it is sent. Afterwards it changes
    /// nothing, and its failure is told as a warning.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// Begins the batch; it goes on whether or not its results are taken, but no further than a few of them.
    ///
    /// Ends early, and in good order, when the context is cancelled or its time is over: requests that run are
    /// cancelled, no other begins, and every result so far is given.
    pub fn start(self, context: &RunContext, models: Arc<dyn Models>) -> BatchRun {
        let stop = context.cancellation().child_token();
        let (sender, results) = mpsc::channel(1);
        let driver = driver::Driver::new(self, context, models, (sender, stop.clone()));
        BatchRun { results, stop, work: tokio::spawn(driver.drive()) }
    }

    /// Runs the batch to its end and gives all results in the order of the requests.
    ///
    /// # Errors
    /// What keeps the batch itself from going on, such as a store that cannot be written; what failed of its requests
    /// stands in the results, and [`BatchSummary::error`] makes one error of it.
    pub async fn collect(self, context: &RunContext, models: Arc<dyn Models>) -> Result<BatchReport> {
        let mut running = self.start(context, models);
        let mut results = Vec::new();
        while let Some(result) = running.next().await {
            results.push(result?);
        }
        results.sort_by_key(|result| result.index);
        Ok(BatchReport { results, summary: running.finish().await? })
    }
}

/// Gives a number of items that is known for sure.
fn exactly((at_least, at_most): (usize, Option<usize>)) -> Option<u64> {
    at_most.filter(|most| *most == at_least).and_then(|count| u64::try_from(count).ok())
}

/// The results of a batch as they come, and its sums at the end.
///
/// Dropping it cancels the batch: what runs is cancelled, and nothing more begins.
#[must_use = "dropping it cancels the batch"]
pub struct BatchRun {
    results: mpsc::Receiver<Result<BatchResult>>,
    stop: CancellationToken,
    work: JoinHandle<Result<BatchSummary>>,
}

impl BatchRun {
    /// Runs on to the end, passes over the results that were not taken, and gives the sums.
    ///
    /// # Errors
    /// What keeps the batch itself from going on.
    pub async fn finish(mut self) -> Result<BatchSummary> {
        while self.results.recv().await.is_some() {}
        let broken = |error| Error::new(ErrorKind::Internal, "the batch broke off").with_source(error);
        (&mut self.work).await.map_err(broken)?
    }
}

impl Stream for BatchRun {
    type Item = Result<BatchResult>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.results.poll_recv(context)
    }
}

impl Drop for BatchRun {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
