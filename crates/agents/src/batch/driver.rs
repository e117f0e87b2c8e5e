//! Takes requests in while there is room, has them performed side by side, and gives their results on.
//!
//! One task decides; each try of a request is a task of its own, so that a slow reader of results does not let
//! answers wait unread.

mod work;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use futures::StreamExt as _;
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::model::Models;
use motet_core::settings::BatchStrategy;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::work::{Ended, Pending};
use super::keep::{Keep, Unkept};
use super::order::Waiting;
use super::request::{BatchRequest, Unreadable};
use super::result::{BatchOutcome, BatchResult, BatchSummary};
use super::{Batch, BatchOptions, Order, Requests};
use crate::hooks::Hooks;
use crate::record::RecordSink;

/// How many requests, in multiples of those that run at once, may begin beyond one whose result others wait for.
const AHEAD: usize = 4;

/// What all tries share.
struct Shared {
    /// The caller's context, which the listeners are told by.
    outer: RunContext,
    models: Arc<dyn Models>,
    options: BatchOptions,
    keep: Arc<dyn Keep>,
    records: Option<RecordSink>,
    hooks: Hooks,
    /// Fires when nothing more may begin and what runs must end.
    stop: CancellationToken,
    /// The request whose failure ended the batch.
    fatal: OnceLock<String>,
}

/// A batch in progress.
pub(super) struct Driver {
    shared: Arc<Shared>,
    requests: Requests,
    expected: Option<u64>,
    /// No request is taken any more.
    drained: bool,
    /// Requests may have been left untaken, however many they are.
    left: bool,
    taken: u64,
    tasks: JoinSet<Ended>,
    /// Those that are tried again in this round.
    round: VecDeque<Pending>,
    /// Those that are tried again in the next round.
    deferred: VecDeque<Pending>,
    waiting: Waiting,
    results: mpsc::Sender<Result<BatchResult>>,
    summary: BatchSummary,
    begun: Instant,
}

/// What happens next.
enum Next {
    Ended(Result<Ended, JoinError>),
    Request(Option<Box<Result<BatchRequest, Unreadable>>>),
    Stopped,
    Idle,
}

impl Driver {
    pub(super) fn new(
        batch: Batch,
        context: &RunContext,
        models: Arc<dyn Models>,
        (results, stop): (mpsc::Sender<Result<BatchResult>>, CancellationToken),
    ) -> Self {
        let Batch { requests, expected, options, keep, records, hooks } = batch;
        let keep = keep.unwrap_or_else(|| Arc::new(Unkept(context.run_id().clone())));
        let summary = BatchSummary::new(options.strategy);
        let outer = context.clone();
        let fatal = OnceLock::new();
        Self {
            shared: Arc::new(Shared { outer, models, options, keep, records, hooks, stop, fatal }),
            requests,
            expected,
            drained: false,
            left: true,
            taken: 0,
            tasks: JoinSet::new(),
            round: VecDeque::new(),
            deferred: VecDeque::new(),
            waiting: Waiting::default(),
            results,
            summary,
            begun: Instant::now(),
        }
    }

    /// Runs the batch to its end.
    pub(super) async fn drive(mut self) -> Result<BatchSummary> {
        let worked = self.work().await;
        if worked.is_err() {
            self.shared.stop.cancel();
            while self.tasks.join_next().await.is_some() {}
        }
        self.sum_up();
        let ended = self.shared.keep.end(&self.summary).await;
        match worked.and(ended) {
            Ok(()) => Ok(self.summary),
            Err(error) => {
                let copy = Error::from(error.report());
                // Whoever took no results learns of it at the end.
                let _ = self.results.send(Err(copy)).await;
                Err(error)
            }
        }
    }

    async fn work(&mut self) -> Result<()> {
        loop {
            self.try_again();
            match self.next().await {
                Next::Ended(ended) => self.ended(ended).await?,
                Next::Request(Some(request)) => self.take(*request).await?,
                Next::Request(None) => (self.drained, self.left) = (true, false),
                Next::Stopped => self.drained = true,
                Next::Idle if self.deferred.is_empty() => return Ok(()),
                Next::Idle if self.stopped() => self.give_up().await?,
                Next::Idle => self.round = std::mem::take(&mut self.deferred),
            }
        }
    }

    /// Waits for what happens next: an end before a beginning, so that a failure that ends the batch is seen first.
    async fn next(&mut self) -> Next {
        let may_take = !self.drained && !self.stopped() && self.has_room();
        let runs = !self.stopped() && (may_take || !self.tasks.is_empty());
        tokio::select! {
            biased;
            Some(ended) = self.tasks.join_next() => Next::Ended(ended),
            request = self.requests.next(), if may_take => Next::Request(request.map(Box::new)),
            () = self.shared.stop.cancelled(), if may_take => Next::Stopped,
            () = until_over(&self.shared.outer), if runs => Next::Stopped,
            else => Next::Idle,
        }
    }

    fn stopped(&self) -> bool {
        if !self.shared.stop.is_cancelled() && self.shared.outer.check().is_err() {
            // Whatever began after the caller's time is over would only fail.
            self.shared.stop.cancel();
        }
        self.shared.stop.is_cancelled()
    }

    fn has_room(&self) -> bool {
        let BatchOptions { max_concurrent, order, retry_failed, .. } = self.shared.options;
        let most = max_concurrent.max(1);
        if self.tasks.len() >= most {
            return false;
        }
        // A request that is tried again after all others would hold all others back.
        if order == Order::AsReady || retry_failed > 0 || !self.deferred.is_empty() {
            return true;
        }
        self.taken - self.waiting.next() < u64::try_from(most * AHEAD).unwrap_or(u64::MAX)
    }

    /// Begins requests of this round as there is room.
    fn try_again(&mut self) {
        while self.tasks.len() < self.shared.options.max_concurrent.max(1) && !self.stopped() {
            match self.round.pop_front() {
                Some(pending) => self.begin(pending),
                None => return,
            }
        }
        if self.stopped() {
            self.deferred.append(&mut self.round);
        }
    }

    fn begin(&mut self, pending: Pending) {
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(work::work(shared, pending));
    }

    async fn take(&mut self, request: Result<BatchRequest, Unreadable>) -> Result<()> {
        let index = self.taken;
        self.taken += 1;
        match request {
            Ok(request) => {
                self.begin(Pending::new(index, request));
                Ok(())
            }
            Err(unreadable) => {
                let result = work::unreadable(index, unreadable);
                self.shared.ended(&result);
                self.give(result).await
            }
        }
    }

    async fn ended(&mut self, ended: Result<Ended, JoinError>) -> Result<()> {
        match ended {
            Ok(Ended::Result(result)) => self.give(*result).await,
            Ok(Ended::Again(pending)) => {
                self.deferred.push_back(*pending);
                Ok(())
            }
            Ok(Ended::Broken(error)) => Err(error),
            Err(error) => Err(Error::new(ErrorKind::Internal, "a request broke off").with_source(error)),
        }
    }

    /// Gives the results of requests that are not tried again, because the batch ended.
    async fn give_up(&mut self) -> Result<()> {
        for pending in std::mem::take(&mut self.deferred) {
            let result = work::give_up(&self.shared, pending).await?;
            self.give(result).await?;
        }
        Ok(())
    }

    async fn give(&mut self, result: BatchResult) -> Result<()> {
        self.summary.add(&result);
        if self.shared.options.order == Order::AsReady {
            self.send(result).await;
            return Ok(());
        }
        self.waiting.add(result);
        while let Some(result) = self.waiting.take() {
            self.send(result).await;
        }
        Ok(())
    }

    async fn send(&mut self, result: BatchResult) {
        if self.results.send(Ok(result)).await.is_err() {
            // Nobody takes the results; what runs may still end and be kept.
            self.shared.stop.cancel();
        }
    }

    fn sum_up(&mut self) {
        let known = self.expected.unwrap_or(0).max(self.taken);
        self.summary.total = known;
        let ended = self.summary.succeeded + self.summary.failed + self.summary.cancelled;
        self.summary.not_started = known.saturating_sub(ended);
        let stopped = self.shared.stop.is_cancelled() && self.shared.fatal.get().is_none();
        let open = self.summary.cancelled + self.summary.not_started;
        self.summary.interrupted = stopped && (open > 0 || self.left && self.expected.is_none());
        self.summary.elapsed = self.begun.elapsed();
    }
}

/// Waits until the caller's time is over, for ever where it never is.
async fn until_over(outer: &RunContext) {
    match outer.remaining() {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// Ends the batch where a result is the failure that its strategy ends it for.
    fn ended(&self, result: &BatchResult) {
        let failed = matches!(result.outcome, BatchOutcome::Failed { .. });
        if failed && self.options.strategy == BatchStrategy::FailFast {
            let _ = self.fatal.set(result.id.clone());
            self.stop.cancel();
        }
    }
}
