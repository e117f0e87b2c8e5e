//! A batch in the store: one run with one task, under whose lease the log of each request is kept.
//!
//! The lease keeps two processes from running one batch at the same time. Knows nothing of how requests are performed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use motet_agents::batch::{BatchRequest, BatchResult, BatchSummary, Item, Keep, Opened};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::WorkerId;
use motet_core::run_log::{Entries, Entry, Record, RunLog, StepKind};
use motet_core::store::{
    ClaimRequest, Control, ItemWrite, LeaseToken, NewRun, NewTask, Outcome, SharedStore,
};
use motet_core::tool::Effect;
use motet_core::{Attribution, RunContext, RunId};
use tokio::task::AbortHandle;

use super::item::{self, ItemLog, Saved};
use super::{Expected, Keeping};
use crate::lease::renew;

/// What kind of run a batch is.
pub(crate) const KIND: &str = "batch";
/// The queue of the task of a batch, which no worker takes from.
const QUEUE: &str = "batch";
/// The task that stands for all requests.
const TASK: &str = "batch";
/// The step whose result is the sums of the batch.
const SUMMARY: &str = "summary";
/// Journal entries read at a time.
const PAGE: u32 = 1_000;

/// A batch that this process holds.
pub(super) struct Kept {
    store: SharedStore,
    token: LeaseToken,
    redo_changed: bool,
    attribution: Attribution,
    busy: Busy,
    renewal: AbortHandle,
}

/// Keys of the requests that are being performed.
type Busy = Arc<Mutex<HashSet<String>>>;

impl Kept {
    /// Stores a new batch or takes up an old one; the context is cancelled when somebody cancels it or takes it over.
    pub(super) async fn open(
        store: SharedStore,
        keeping: &Keeping,
        lease: Duration,
        context: &RunContext,
    ) -> Result<Arc<Self>> {
        enter(&store, keeping).await?;
        let request = ClaimRequest {
            worker: WorkerId::new(),
            queues: vec![QUEUE.to_owned()],
            run: Some(keeping.id.clone()),
            limit: 1,
            ttl: lease,
            max_active: None,
            in_hand: 0,
        };
        let claim = store.claim(request).await?.pop().ok_or_else(|| taken(&keeping.id))?;
        let stop = context.cancellation().clone();
        let renewal = tokio::spawn(renew(Arc::clone(&store), claim.token.clone(), lease, stop));
        Ok(Arc::new(Self {
            store,
            token: claim.token,
            redo_changed: keeping.redo_changed,
            attribution: context.attribution().clone(),
            busy: Busy::default(),
            renewal: renewal.abort_handle(),
        }))
    }
}

/// Makes the batch's run ready to be claimed.
async fn enter(store: &SharedStore, keeping: &Keeping) -> Result<()> {
    let Keeping { id, expected, title, description, .. } = keeping;
    if *expected != Expected::New {
        match store.run(id).await? {
            Some(run) if run.summary.kind != KIND => {
                return Err(Error::new(ErrorKind::Conflict, format!("run `{id}` is no batch"))
                    .with_hint("choose another name for the batch"));
            }
            Some(_) => {
                // The lease of a process that died is taken back first, or it would count as running.
                store.advance().await?;
                let again = Control::Redefine {
                    definition: description.clone(),
                    tasks: vec![task()],
                    unchanged: Vec::new(),
                };
                return store.control(id, again).await.map_err(|error| match error.kind() {
                    ErrorKind::Conflict => taken(id),
                    _ => error,
                });
            }
            None if *expected == Expected::Old => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("there is no batch `{id}` in this store"),
                )
                .with_hint(
                    "`motet workflow list` shows what is there; the setting `store` says which store is read",
                ));
            }
            None => {}
        }
    }
    let run = NewRun {
        id: id.clone(),
        definition: description.clone(),
        ..NewRun::new(KIND, title.clone(), vec![task()])
    };
    store.submit(run).await?;
    Ok(())
}

fn task() -> NewTask {
    NewTask { queue: QUEUE.to_owned(), ..NewTask::named(TASK.to_owned()) }
}

fn taken(id: &RunId) -> Error {
    Error::new(ErrorKind::Conflict, format!("another process runs the batch `{id}`"))
        .with_hint("wait until it has ended, or choose another name")
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

#[async_trait]
impl Keep for Kept {
    fn run_id(&self) -> &RunId {
        &self.token.run
    }

    async fn open(&self, key: &str, request: &BatchRequest) -> Result<Opened> {
        if !self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned()) {
            return Ok(Opened::Busy);
        }
        let place = Place { busy: Arc::clone(&self.busy), key: key.to_owned() };
        let hash = request.hash()?;
        // Also in a new batch, as two of its requests may have one key.
        let entries: Entries = self.store.item_records(&self.token.run, key).await?.into_iter().collect();
        let known = entries.lookup(key);
        let changed = known.as_ref().is_some_and(|state| state.request_hash != hash);
        if changed && !self.redo_changed {
            return Ok(Opened::Refused(changed_since(key, &self.token.run)));
        }
        if let Some(result) = known.filter(|_| !changed).and_then(|state| state.result) {
            return Ok(Opened::Kept(Box::new(item::kept(result)?)));
        }
        let asked = item::asked(request)?;
        let log = ItemLog::new(Arc::clone(&self.store), self.token.clone(), (key, &hash), asked);
        let log = log.ascribed(&self.attribution);
        let log = if changed { log.replacing() } else { log.continuing(entries) };
        Ok(Opened::Begun(Box::new(KeptItem { log: Arc::new(log), _place: place })))
    }

    async fn end(&self, summary: &BatchSummary) -> Result<()> {
        let result = serde_json::to_value(summary).map_err(|error| {
            Error::new(ErrorKind::Internal, "the sums of a batch cannot be written").with_source(error)
        })?;
        let begun = Entry::Started {
            kind: StepKind::Value,
            request_hash: String::new(),
            effect: Effect::Pure,
            label: KIND.to_owned(),
            request: None,
        };
        let records = vec![
            Record::new(SUMMARY, begun),
            Record::new(SUMMARY, Entry::Finished { result: result.clone() }),
        ];
        self.store.journal(&self.token, 0, records).await?;
        let outcome = match summary.error() {
            None => Outcome::Done { output: result },
            Some(_) if summary.interrupted => Outcome::Released,
            Some(error) => Outcome::Failed { error: error.report(), chance: 0.0 },
        };
        self.store.complete(&self.token, outcome).await?;
        Ok(())
    }
}

fn changed_since(key: &str, run: &RunId) -> Error {
    Error::new(ErrorKind::Conflict, format!("`{key}` was another request when the batch `{run}` kept it"))
        .with_hint("begin another batch, or have changed requests done anew with `--redo-changed`")
}

/// Frees a key when the request ends in any way.
struct Place {
    busy: Busy,
    key: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

struct KeptItem {
    log: Arc<ItemLog>,
    _place: Place,
}

#[async_trait]
impl Item for KeptItem {
    fn log(&self) -> Arc<dyn RunLog> {
        Arc::clone(&self.log) as Arc<dyn RunLog>
    }

    async fn close(self: Box<Self>, result: &BatchResult) -> Result<()> {
        let saved = if result.is_success() { Saved::Result(result) } else { Saved::Steps };
        match self.log.close(saved)? {
            Some(write) => self.log.write(write).await,
            None => Ok(()),
        }
    }
}

/// Gives the sums of the newest end of a batch, `None` when it never ended.
pub(crate) async fn last_summary(store: &SharedStore, run: &RunId) -> Result<Option<BatchSummary>> {
    let (mut after, mut newest) = (0, None);
    loop {
        let page = store.records(run, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in page {
            if let Entry::Finished { result } = entry.record.entry() {
                newest = Some(result.clone());
            }
        }
    }
    newest.map(serde_json::from_value).transpose().map_err(|error| {
        Error::new(ErrorKind::Store, "kept sums of a batch cannot be read").with_source(error)
    })
}

/// Writes what an item's log gives to be written.
impl ItemLog {
    async fn write(&self, write: ItemWrite) -> Result<()> {
        self.store().write_item(self.token(), self.key(), write).await
    }
}
