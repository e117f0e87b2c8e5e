//! The store in a file: SQLite with a write-ahead log, one writing thread, and tables that anybody may query.
//!
//! Several processes may open the same file. Which task becomes ready when is not decided here but in
//! `motet_core::schedule`.

mod answers;
mod blobs;
mod books;
mod claim;
mod columns;
mod commands;
mod conversations;
mod copies;
mod events;
mod failure;
mod flusher;
mod items;
mod liveness;
mod questions;
mod read;
mod rows;
mod schema;
mod task_rows;
mod upkeep;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::AnswerStore;
use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::conversation::ConversationStore;
use motet_core::decision::Decision;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::RunId;
use motet_core::run_log::Record;
use motet_core::schedule;
use motet_core::store::{
    Applied, AskedQuestion, Capabilities, Claim, ClaimRequest, Control, Durability, ItemWrite, LeaseState,
    LeaseToken, NewRun, Outcome, Progress, PruneRequest, Pruned, Run, RunDump, RunEvent, RunFilter,
    RunSummary, Sequenced, Store, StoreStats, Task, WorkerInfo,
};
use serde_json::Value;
use tokio::time::Instant;

use self::flusher::Flusher;
use self::liveness::Workers;
use self::read::Readers;
use self::writer::Writer;
use crate::clock::Clock;
use crate::wake::Wake;

/// Connections that read.
const READERS: usize = 2;

/// How often one who waits looks for changes of other processes.
const LOOK: Duration = Duration::from_millis(50);

/// How a store in a file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// What an accepted write survives.
    pub synchronous: Synchronous,
    /// How long another process may hold the file before an error is given; 5 s by default.
    pub busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { synchronous: Synchronous::default(), busy_timeout: Duration::from_secs(5) }
    }
}

/// What an accepted write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// The loss of power.
    #[default]
    Full,
    /// The death of the process; the loss of power may cost the last writes, never the consistency.
    Normal,
}

/// Keeps runs in a file.
#[derive(Debug)]
pub struct SqliteStore {
    // The order matters: the threads end before the workers' locks are freed.
    writer: Writer,
    readers: Readers,
    shared: Arc<Shared>,
    synchronous: Synchronous,
}

/// What the threads of a store share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    clock: Clock,
    workers: Workers,
    wake: Wake,
}

impl SqliteStore {
    /// Opens a file, or makes it together with the directories above it.
    ///
    /// # Errors
    /// `Store` when the file is no database, belongs to another program or a newer version, is damaged, or cannot be
    /// read and written.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let path = path.as_ref();
        Self::open_file(path, options, None)
            .map_err(|error| error.with_context("file", path.display().to_string()).with_operation("open"))
    }

    /// Opens a file; another database's log is flushed in the place of its own only by a test.
    fn open_file(path: &Path, options: &Options, flushed: Option<&Path>) -> Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|error| {
                Error::new(ErrorKind::Store, "the directory of the store cannot be made")
                    .with_hint("choose a path in a directory that is writable for this user")
                    .with_source(error)
            })?;
        }
        let writer = schema::open_writer(path, options)?;
        // Whoever comes by another spelling of the path must find the same lock files.
        let path = path.canonicalize().map_err(|error| {
            Error::new(ErrorKind::Store, "the store's path cannot be resolved").with_source(error)
        })?;
        let readers: Vec<_> =
            (0..READERS).map(|_| schema::open_reader(&path, options)).collect::<Result<_>>()?;
        let flusher = match options.synchronous {
            Synchronous::Full => Some(Flusher::start(flushed.unwrap_or(&path))?),
            Synchronous::Normal => None,
        };
        let workers = Workers::beside(&path);
        let shared =
            Arc::new(Shared { path: path.clone(), clock: Clock::new(), workers, wake: Wake::default() });
        Ok(Self {
            writer: Writer::start(writer, Arc::clone(&shared), flusher)?,
            readers: Readers::start(readers, path)?,
            shared,
            synchronous: options.synchronous,
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn submit(&self, run: NewRun) -> Result<RunId> {
        schedule::check_graph(&run.tasks)?;
        self.writer.run(move |session| commands::submit(session, &run)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        self.writer.run_quickly(move |session| claim::claim(session, &request)).await
    }

    async fn renew(&self, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = tokens.to_vec();
        self.writer.run_quickly(move |session| commands::renew(session, &tokens, ttl)).await
    }

    async fn journal(&self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64> {
        let token = token.clone();
        self.writer.run_checked(move |session| commands::journal(session, &token, expect, &records)).await
    }

    async fn complete(&self, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
        let token = token.clone();
        self.writer.run_checked(move |session| commands::complete(session, &token, outcome)).await
    }

    async fn advance(&self) -> Result<Progress> {
        // Mostly there is nothing to take back, and a look is much cheaper than a write.
        let shared = Arc::clone(&self.shared);
        let nothing = self.readers.run(move |connection| {
            let now = shared.clock.at_least(read::clock(connection)?);
            let workers = read::busy_workers(connection)?;
            if read::is_due(connection, now)? || workers.iter().any(|name| shared.workers.is_dead(name)) {
                return Ok(None);
            }
            let next_due = read::next_due(connection, now)?.map(|due| due.since(now));
            Ok(Some(Progress { next_due, ..Progress::default() }))
        });
        match nothing.await? {
            Some(progress) => Ok(progress),
            None => self.writer.run(commands::reclaim).await,
        }
    }

    async fn control(&self, run: &RunId, control: Control) -> Result<()> {
        let run = run.clone();
        self.writer.run(move |session| commands::control(session, &run, &control)).await
    }

    async fn questions(&self, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        let run = run.cloned();
        self.readers.run(move |connection| questions::list(connection, run.as_ref())).await
    }

    async fn decide(&self, run: &RunId, step: &str, decision: Decision) -> Result<()> {
        let (run, step) = (run.clone(), step.to_owned());
        self.writer.run(move |session| questions::decide(session, &run, &step, decision)).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        let run = run.clone();
        self.readers.run(move |connection| read::run(connection, &run)).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>> {
        let filter = filter.clone();
        self.readers.run(move |connection| read::runs(connection, &filter)).await
    }

    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        let run = run.clone();
        self.readers.run(move |connection| read::tasks(connection, &run)).await
    }

    async fn tasks_after(&self, run: &RunId, after: Option<u32>, limit: u32) -> Result<Vec<Task>> {
        let run = run.clone();
        self.readers.run(move |connection| read::tasks_after(connection, &run, after, limit)).await
    }

    async fn children(&self, run: &RunId, task: u32) -> Result<Vec<u32>> {
        let run = run.clone();
        self.readers.run(move |connection| read::items_of(connection, &run, task)).await
    }

    async fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
        let (run, tasks) = (run.clone(), tasks.to_vec());
        self.readers.run(move |connection| read::outputs(connection, &run, &tasks)).await
    }

    async fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
        let run = run.clone();
        self.readers.run(move |connection| read::records(connection, &run, after, limit)).await
    }

    async fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>> {
        let run = run.clone();
        self.readers.run(move |connection| read::task_records(connection, &run, task)).await
    }

    async fn write_item(&self, token: &LeaseToken, item: &str, write: ItemWrite) -> Result<()> {
        let (token, item) = (token.clone(), item.to_owned());
        self.writer.run(move |session| items::write(session, &token, &item, &write)).await
    }

    async fn item_names(&self, run: &RunId, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        let (run, after) = (run.clone(), after.map(str::to_owned));
        self.readers.run(move |connection| items::names(connection, &run, after.as_deref(), limit)).await
    }

    async fn item_records(&self, run: &RunId, item: &str) -> Result<Vec<Record>> {
        let (run, item) = (run.clone(), item.to_owned());
        self.readers.run(move |connection| items::read(connection, &run, &item)).await
    }

    async fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
        let run = run.clone();
        self.readers.run(move |connection| events::list(connection, &run, after, limit)).await
    }

    async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        let began = Instant::now();
        loop {
            let left = at_most.saturating_sub(began.elapsed());
            let newest = self.shared.wake.changed(seen, left.min(LOOK)).await;
            if newest > seen {
                return newest;
            }
            self.writer.look();
            if left <= LOOK {
                return newest;
            }
        }
    }

    async fn reserve(&self, reservation: &StoreReservation) -> Result<()> {
        let reservation = reservation.clone();
        self.writer.run(move |session| books::reserve(session, &reservation)).await
    }

    async fn settle(&self, reservation: &str, spent: Option<Amount>) -> Result<()> {
        let reservation = reservation.to_owned();
        self.writer.run(move |session| books::settle(session, &reservation, spent)).await
    }

    async fn books(&self) -> Result<Vec<(String, Book)>> {
        self.writer.run(books::list).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        let shared = Arc::clone(&self.shared);
        let stats = move |connection: &rusqlite::Connection| {
            let now = shared.clock.at_least(read::clock(connection)?);
            upkeep::stats(connection, now)
        };
        Ok(StoreStats { bytes: upkeep::bytes(&self.shared.path), ..self.readers.run(stats).await? })
    }

    async fn seen(&self, worker: &WorkerInfo) -> Result<()> {
        let worker = worker.clone();
        self.writer.run(move |session| upkeep::seen(session, worker)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let shared = Arc::clone(&self.shared);
        let workers = move |connection: &rusqlite::Connection| {
            let now = shared.clock.at_least(read::clock(connection)?);
            upkeep::workers(connection, now)
        };
        self.readers.run(workers).await
    }

    async fn prune(&self, request: &PruneRequest) -> Result<Pruned> {
        let wanted = request.clone();
        let trees = self.readers.run(move |connection| upkeep::ended_trees(connection, &wanted)).await?;
        let mut pruned = Pruned::default();
        for tree in trees {
            let request = request.clone();
            let removed = if request.dry_run {
                self.readers.run(move |connection| upkeep::count(connection, tree)).await?
            } else {
                self.writer.run(move |session| upkeep::hide(session, tree, &request)).await?
            };
            pruned.runs += removed.runs;
            pruned.tasks += removed.tasks;
        }
        // What an earlier removal left when its process died goes too.
        while !request.dry_run && self.writer.run(upkeep::sweep).await? {}
        Ok(pruned)
    }

    async fn dump(&self, run: &RunId) -> Result<Option<RunDump>> {
        let run = run.clone();
        self.readers.run(move |connection| copies::dump(connection, &run)).await
    }

    async fn load(&self, dump: RunDump) -> Result<()> {
        self.writer.run(move |session| copies::load(session, &dump)).await
    }

    fn capabilities(&self) -> Capabilities {
        let durability = match self.synchronous {
            Synchronous::Full => Durability::Fsync,
            Synchronous::Normal => Durability::Process,
        };
        Capabilities { name: "sqlite", durability, multi_process: true }
    }

    fn answers(&self) -> Option<&dyn AnswerStore> {
        Some(self)
    }

    fn conversations(&self) -> Option<&dyn ConversationStore> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
