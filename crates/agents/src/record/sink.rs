//! Takes records from runs without ever holding them up, and hands them to stores on a thread of its own.
//!
//! The queue is bounded: what does not fit is dropped and counted, and told once. Hooks change a record first, then it is
//! masked; what stores get has passed both.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread::ThreadId;
use std::time::Duration;

use futures::FutureExt as _;
use motet_core::{RunContext, StreamEvent};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{EvalRecord, RecordStore};
use crate::hooks::{Hooks, Payload, Stage};

/// Masks what must not be recorded, in a text or any JSON.
pub type Mask = Arc<dyn Fn(Value) -> Value + Send + Sync>;

/// How records are taken and changed on their way.
#[derive(Clone)]
#[non_exhaustive]
pub struct SinkOptions {
    /// Records that may wait to be kept; 1024 by default.
    pub queue: usize,
    /// Hooks of the stage `before_record`.
    pub hooks: Hooks,
    /// What is masked.
    pub mask: Option<Mask>,
    /// How long the end of the program waits for records that are not kept yet; 5 seconds by default.
    pub patience: Duration,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self { queue: 1024, hooks: Hooks::default(), mask: None, patience: Duration::from_secs(5) }
    }
}

/// Takes records and hands them to a store; cheap to clone. When the last clone is dropped, it waits a bounded time for
/// what is still to be kept.
#[derive(Clone)]
pub struct RecordSink(Arc<Inner>);

struct Inner {
    queue: Mutex<Option<mpsc::Sender<Work>>>,
    /// The thread on which stores are called.
    worker: Option<ThreadId>,
    /// Tells that the thread has ended.
    ended: Mutex<std_mpsc::Receiver<()>>,
    patience: Duration,
    dropped: AtomicU64,
    is_told: AtomicBool,
}

enum Work {
    Keep(Box<EvalRecord>, RunContext),
    /// Answers when everything before it is kept.
    Flush(oneshot::Sender<()>),
}

impl RecordSink {
    /// Begins to take records for a store.
    #[must_use]
    pub fn new(store: Arc<dyn RecordStore>, options: SinkOptions) -> Self {
        let (sender, receiver) = mpsc::channel(options.queue.max(1));
        let (end, ended) = std_mpsc::channel();
        let patience = options.patience;
        let worker = Worker { store, hooks: options.hooks, mask: options.mask };
        let spawned = std::thread::Builder::new().name("records".to_owned()).spawn(move || {
            worker.run(receiver);
            // Nobody may be waiting for the end.
            let _ = end.send(());
        });
        Self(Arc::new(Inner {
            queue: Mutex::new(spawned.is_ok().then_some(sender)),
            worker: spawned.ok().map(|thread| thread.thread().id()),
            ended: Mutex::new(ended),
            patience,
            dropped: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
        }))
    }

    /// Takes a record; never waits and never fails. The context's listener is told when records are dropped or lost.
    pub fn send(&self, context: &RunContext, record: EvalRecord) {
        let Some(queue) = self.0.queue() else { return self.0.drop_one(context) };
        // The record holds all of the log it needs; the log itself is not kept alive by the queue.
        let teller = RunContext::new().with_correlation_id(context.correlation_id());
        let teller = match context.events() {
            Some(events) => teller.with_events(Arc::clone(events)),
            None => teller,
        };
        if queue.try_send(Work::Keep(Box::new(record), teller)).is_err() {
            self.0.drop_one(context);
        }
    }

    /// Gives how many records were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything taken so far is kept; false when that takes longer than this.
    pub async fn flush(&self, patience: Duration) -> bool {
        let Some(queue) = self.0.queue() else { return true };
        let (done, flushed) = oneshot::channel();
        let flush = async {
            if queue.send(Work::Flush(done)).await.is_ok() {
                // A worker that is gone has nothing left to keep.
                let _ = flushed.await;
            }
        };
        tokio::time::timeout(patience, flush).await.is_ok()
    }

    /// Keeps what was taken so far and closes the store; later records are dropped. False when it takes longer than this.
    pub async fn close(&self, patience: Duration) -> bool {
        let flushed = self.flush(patience).await;
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        flushed
    }
}

impl Inner {
    fn queue(&self) -> Option<mpsc::Sender<Work>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn drop_one(&self, context: &RunContext) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        if !self.is_told.swap(true, Ordering::Relaxed) {
            let message =
                "records of runs are dropped, as they cannot be kept as fast as they come".to_owned();
            context.emit(&StreamEvent::Warning { message });
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.worker == Some(std::thread::current().id()) {
            // A store held the last clone, and cannot wait for itself.
            return;
        }
        // A store that hangs must not keep the program from ending.
        let _ = ended.recv_timeout(self.patience);
    }
}

/// Works on a thread of its own.
struct Worker {
    store: Arc<dyn RecordStore>,
    hooks: Hooks,
    mask: Option<Mask>,
}

impl Worker {
    fn run(self, mut queue: mpsc::Receiver<Work>) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            while let Some(work) = queue.recv().await {
                match work {
                    Work::Keep(record, teller) => self.keep(*record, &teller).await,
                    Work::Flush(done) => {
                        // Whoever asked may not wait any more.
                        let _ = done.send(());
                    }
                }
            }
            // There is nobody left to tell.
            let _ = AssertUnwindSafe(self.store.close()).catch_unwind().await;
        });
    }

    async fn keep(&self, record: EvalRecord, teller: &RunContext) {
        let kept = AssertUnwindSafe(async {
            let Some(record) = self.changed(record, teller).await? else { return Ok(()) };
            let record = match &self.mask {
                Some(mask) => record.masked(&**mask),
                None => record,
            };
            self.store.record(&record).await
        });
        let problem = match kept.catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store panicked".to_owned(),
        };
        teller.emit(&StreamEvent::Warning { message: format!("a record of the run is lost: {problem}") });
    }

    /// Lets hooks change the record; `None` when one of them stops it.
    async fn changed(
        &self,
        record: EvalRecord,
        teller: &RunContext,
    ) -> motet_core::Result<Option<EvalRecord>> {
        if !self.hooks.wants(Stage::BeforeRecord) {
            return Ok(Some(record));
        }
        let unreadable = |error: serde_json::Error| {
            motet_core::Error::new(motet_core::ErrorKind::Internal, format!("it cannot be read: {error}"))
                .with_source(error)
        };
        let payload = Payload::BeforeRecord { record: serde_json::to_value(record).map_err(unreadable)? };
        match self.hooks.call(teller, payload).await {
            Ok(Payload::BeforeRecord { record }) => {
                serde_json::from_value(record).map(Some).map_err(unreadable)
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == motet_core::ErrorKind::Blocked => Ok(None),
            Err(error) => Err(error),
        }
    }
}
