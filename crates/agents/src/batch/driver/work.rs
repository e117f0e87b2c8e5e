//! One try of one request, and the result that it comes to.
//!
//! Decides whether the request is tried again; when that happens is the driver's matter.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::{Cost, RunContext, StreamEvent, Usage};
use tokio::time::Instant;

use super::Shared;
use crate::batch::keep::{Item, Opened};
use crate::batch::perform::{self, Spending, Spent};
use crate::batch::request::{BatchRequest, Unreadable};
use crate::batch::result::{BatchAnswer, BatchOutcome, BatchResult};
use crate::hooks::{Payload, Stage};
use crate::record::EvalRecord;

/// A request on its way, with what earlier tries came to.
pub(super) struct Pending {
    index: u64,
    request: BatchRequest,
    /// What is kept of it, once it has begun; its log stays from try to try, so that no step is paid for twice.
    item: Option<Box<dyn Item>>,
    attempts: u32,
    /// Hooks were told that it begins.
    is_announced: bool,
    elapsed: Duration,
    /// What all tries used: a later one tells again of the steps that an earlier one recorded.
    spent: Spent,
    /// A call of some try broke off and may have been billed.
    broke_off: bool,
    failure: Option<Error>,
    /// When the other side may be asked again.
    not_before: Option<Instant>,
}

impl Pending {
    pub(super) fn new(index: u64, request: BatchRequest) -> Self {
        Self {
            index,
            request,
            item: None,
            attempts: 0,
            is_announced: false,
            elapsed: Duration::ZERO,
            spent: Spent::default(),
            broke_off: false,
            failure: None,
            not_before: None,
        }
    }

    fn id(&self) -> String {
        name(self.request.id.as_ref(), self.index)
    }

    fn result(&self, outcome: Result<BatchAnswer, BatchOutcome>) -> BatchResult {
        BatchResult {
            id: self.id(),
            index: self.index,
            cost: self.spent.cost().filter(|_| !self.broke_off),
            usage: self.spent.usage,
            model_calls: self.spent.ended,
            outcome: outcome
                .map_or_else(|outcome| outcome, |answer| BatchOutcome::Succeeded(Box::new(answer))),
            attempts: self.attempts,
            elapsed: self.elapsed,
            metadata: self.request.metadata.clone(),
            kept: false,
        }
    }
}

/// Names a request that has no name by its number, from 1.
fn name(id: Option<&String>, index: u64) -> String {
    id.cloned().unwrap_or_else(|| (index + 1).to_string())
}

/// How a try ended.
pub(super) enum Ended {
    /// The request came to its result.
    Result(Box<BatchResult>),
    /// It is tried again after all others.
    Again(Box<Pending>),
    /// The batch cannot go on.
    Broken(Error),
}

/// Tries a request once.
pub(super) async fn work(shared: Arc<Shared>, mut pending: Pending) -> Ended {
    if let Some(time) = pending.not_before.take() {
        tokio::select! {
            () = tokio::time::sleep_until(time) => {}
            () = shared.stop.cancelled() => return Ended::Again(Box::new(pending)),
        }
    }
    match attempt(&shared, &mut pending).await {
        Ok(Some(result)) => {
            shared.ended(&result);
            Ended::Result(Box::new(result))
        }
        Ok(None) => Ended::Again(Box::new(pending)),
        Err(error) => Ended::Broken(error),
    }
}

/// Tries a request; gives nothing when it is to be tried again.
async fn attempt(shared: &Shared, pending: &mut Pending) -> Result<Option<BatchResult>> {
    let id = pending.id();
    let log = match &pending.item {
        Some(item) => item.log(),
        None => {
            let key = pending.request.key.as_deref().unwrap_or(&id);
            match shared.keep.open(key, &pending.request).await? {
                Opened::Kept(kept) => return Ok(Some(given_again(*kept, pending))),
                Opened::Busy => return Ok(None),
                Opened::Refused(error) => {
                    return Ok(Some(pending.result(Err(BatchOutcome::Failed { error: error.report() }))));
                }
                Opened::Begun(item) => pending.item.insert(item).log(),
            }
        }
    };
    let outer = shared.outer.clone().with_cancellation(shared.stop.clone());
    let spending = Spending::new(shared.outer.clone());
    let context = outer
        .clone()
        .in_run(shared.keep.run_id().clone(), log)
        .with_events(Arc::clone(&spending) as Arc<_>)
        .child(pending.request.key.as_deref().unwrap_or(&id));
    let answer = match before(shared, &context, pending).await {
        Ok(()) => timed(shared, &outer, context, pending).await,
        Err(error) => Err(error),
    };
    pending.attempts += 1;
    pending.spent = spending.sum();
    let outcome = match answer {
        Ok(answer) => Ok(answer),
        Err(error) => {
            let again = error.retry().is_retryable()
                && pending.attempts <= shared.options.retry_failed
                && !shared.stop.is_cancelled();
            let outcome = failed(shared, &error);
            pending.broke_off |= pending.spent.broke_off(&error);
            pending.not_before = error.retry_after().and_then(|time| Instant::now().checked_add(time));
            pending.failure = Some(error);
            if again {
                return Ok(None);
            }
            Err(outcome)
        }
    };
    let result = close(shared, pending, outcome).await?;
    after(shared, &result).await;
    Ok(Some(result))
}

/// Tells hooks that a request begins, once for all its tries.
async fn before(shared: &Shared, context: &RunContext, pending: &mut Pending) -> Result<()> {
    if !pending.is_announced && shared.hooks.wants(Stage::BeforeBatchItem) {
        let payload = Payload::BeforeBatchItem { id: pending.id(), index: place(pending.index) };
        shared.hooks.call(context, payload).await?;
        pending.is_announced = true;
    }
    Ok(())
}

/// Tells hooks how a request ended.
async fn after(shared: &Shared, result: &BatchResult) {
    if !shared.hooks.wants(Stage::AfterBatchItem) {
        return;
    }
    let success = matches!(result.outcome, BatchOutcome::Succeeded(_));
    let payload = Payload::AfterBatchItem { id: result.id.clone(), index: place(result.index), success };
    if let Err(error) = shared.hooks.call(&shared.outer, payload).await {
        let message = format!("after request `{}`, {error}", result.id);
        shared.outer.emit(&StreamEvent::Warning { message });
    }
}

fn place(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

async fn close(
    shared: &Shared,
    pending: &mut Pending,
    outcome: Result<BatchAnswer, BatchOutcome>,
) -> Result<BatchResult> {
    let mut result = pending.result(outcome);
    if let BatchOutcome::Succeeded(answer) = &mut result.outcome {
        // The answer stands for the whole request, as the result does.
        answer.response.cost = result.cost;
        if result.model_calls > 1 {
            answer.response.usage = Some(result.usage);
        }
    }
    let item = pending.item.take();
    if let Some(sink) = &shared.records {
        let log = item.as_ref().map(|item| item.log().records()).unwrap_or_default();
        let run = shared.keep.run_id();
        sink.send(&shared.outer, EvalRecord::of_batch(run, Some(&pending.request), &result, &log));
    }
    if let Some(item) = item {
        item.close(&result).await?;
    }
    Ok(result)
}

/// Answers a request within its time.
async fn timed(
    shared: &Shared,
    outer: &RunContext,
    context: RunContext,
    pending: &mut Pending,
) -> Result<BatchAnswer> {
    let begun = Instant::now();
    let limit = pending.request.timeout.or(shared.options.timeout);
    let context = match limit {
        Some(limit) => context.with_timeout(limit),
        None => context,
    };
    let answering = perform::answer(&context, &*shared.models, &pending.request, &shared.options);
    let answer = AssertUnwindSafe(answering)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the request ended in a panic")));
    pending.elapsed += begun.elapsed();
    let over = |context: &RunContext| context.remaining() == Some(Duration::ZERO);
    match (answer, limit) {
        (Err(error), Some(limit)) if error.kind() == ErrorKind::Timeout && over(&context) && !over(outer) => {
            Err(Error::new(ErrorKind::Timeout, format!("there was no answer within {limit:?}"))
                .with_model(pending.request.request.model.clone())
                .with_source(error))
        }
        (answer, _) => answer,
    }
}

/// Tells a request that failed from one that was cancelled with the batch.
fn failed(shared: &Shared, error: &Error) -> BatchOutcome {
    let outer_is_over = shared.outer.remaining() == Some(Duration::ZERO);
    let with_batch = error.kind() == ErrorKind::Cancelled && shared.stop.is_cancelled()
        || error.kind() == ErrorKind::Timeout && outer_is_over;
    if !with_batch {
        return BatchOutcome::Failed { error: error.report() };
    }
    let error = match shared.fatal.get() {
        Some(other) => {
            Error::new(ErrorKind::Cancelled, format!("the batch ended because request `{other}` failed"))
                .report()
        }
        // The end of the time cancels what runs, and may be seen there first.
        None if outer_is_over && error.kind() == ErrorKind::Cancelled => {
            Error::new(ErrorKind::Timeout, shared.outer.deadline_message()).report()
        }
        None => error.report(),
    };
    BatchOutcome::Cancelled { error }
}

/// Puts a kept result in the place of the request that it answers.
fn given_again(kept: BatchResult, pending: &Pending) -> BatchResult {
    BatchResult {
        id: pending.id(),
        index: pending.index,
        metadata: pending.request.metadata.clone(),
        kept: true,
        ..kept
    }
}

/// Makes the result of a request that was to be tried again when the batch ended.
pub(super) async fn give_up(shared: &Shared, mut pending: Pending) -> Result<BatchResult> {
    let outcome = match &pending.failure {
        Some(error) => BatchOutcome::Failed { error: error.report() },
        None => failed(shared, &Error::new(ErrorKind::Cancelled, "the batch ended")),
    };
    let result = close(shared, &mut pending, Err(outcome)).await?;
    after(shared, &result).await;
    Ok(result)
}

/// Makes the result of a request that could not be read.
pub(super) fn unreadable(index: u64, unreadable: Unreadable) -> BatchResult {
    BatchResult {
        id: name(unreadable.id.as_ref(), index),
        index,
        outcome: BatchOutcome::Failed { error: unreadable.error.report() },
        usage: Usage::default(),
        cost: Some(Cost::ZERO),
        model_calls: 0,
        attempts: 0,
        elapsed: Duration::ZERO,
        metadata: unreadable.metadata,
        kept: false,
    }
}
