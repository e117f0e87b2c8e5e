//! The store in a directory of sled's, for those who have one: one process, and everything that goes on in memory.
//!
//! Decides nothing: the machine in memory does, and its rows are written before anybody is answered.

mod answers;
mod conversations;
mod files;
mod keys;
mod session;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::AnswerStore;
use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::conversation::ConversationStore;
use motet_core::decision::Decision;
use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::run_log::Record;
use motet_core::store::{
    Applied, AskedQuestion, Capabilities, Claim, ClaimRequest, Control, Durability, ItemWrite, LeaseState,
    LeaseToken, NewRun, Outcome, Progress, PruneRequest, Pruned, Run, RunDump, RunEvent, RunFilter,
    RunSummary, Sequenced, Store, StoreStats, Task, WorkerInfo,
};
use serde_json::Value;

use crate::machine::Machine;
use crate::wake::Wake;
use session::Session;
use writer::{Access, Writer};

/// Keeps runs in a directory of sled's.
#[derive(Debug)]
pub struct SledStore {
    writer: Writer,
    wake: Arc<Wake>,
}

impl SledStore {
    /// Opens a directory, and makes it where there is none. It blocks while it reads what goes on.
    ///
    /// # Errors
    /// `Store` when another process has it, a newer version wrote it, too little space is free, or it cannot be read.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self> {
        Self::open_where(directory.into(), files::free_space)
    }

    fn open_where(directory: PathBuf, free: files::FreeSpace) -> Result<Self> {
        let wake = Arc::new(Wake::default());
        let writer = Writer::start(directory, free, Arc::clone(&wake))?;
        Ok(Self { writer, wake })
    }

    async fn with<T: Send + 'static>(
        &self,
        access: Access,
        work: impl FnOnce(&mut Session, Millis) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.run(access, work).await
    }

    /// Changes a run.
    async fn change<T: Send + 'static>(
        &self,
        run: &RunId,
        work: impl FnOnce(&mut Machine, Millis) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let run = run.clone();
        let change = move |session: &mut Session, now| {
            session.need(&run, now)?;
            work(&mut session.machine, now)
        };
        self.with(Access::Change, change).await
    }

    /// Looks at a run.
    async fn look<T: Send + 'static>(
        &self,
        run: &RunId,
        work: impl FnOnce(&Machine, &RunId) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let run = run.clone();
        let look = move |session: &mut Session, now| {
            session.need(&run, now)?;
            work(&session.machine, &run)
        };
        self.with(Access::Read, look).await
    }
}

#[async_trait]
impl Store for SledStore {
    async fn submit(&self, new: NewRun) -> Result<RunId> {
        self.with(Access::Change, |session, now| session.machine.submit(new, now)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        self.with(Access::Write, move |session, now| session.machine.claim(&request, now)).await
    }

    async fn renew(&self, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
        let tokens = tokens.to_vec();
        self.with(Access::Write, move |session, now| Ok(session.machine.renew(&tokens, now.after(ttl)))).await
    }

    async fn journal(&self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64> {
        let held = token.clone();
        self.change(&token.run, move |machine, _| machine.journal(&held, expect, records)).await
    }

    async fn complete(&self, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
        let held = token.clone();
        self.change(&token.run, move |machine, now| machine.complete(&held, outcome, now)).await
    }

    async fn advance(&self) -> Result<Progress> {
        let progress = self.with(Access::Write, |session, now| session.machine.advance(now)).await?;
        if progress != (Progress { next_due: progress.next_due, ..Progress::default() }) {
            self.wake.notify();
        }
        Ok(progress)
    }

    async fn control(&self, run: &RunId, control: Control) -> Result<()> {
        let id = run.clone();
        self.change(run, move |machine, now| machine.control(&id, control, now)).await
    }

    async fn questions(&self, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        let run = run.cloned();
        self.with(Access::Read, move |session, _| session.machine.questions(run.as_ref())).await
    }

    async fn decide(&self, run: &RunId, step: &str, decision: Decision) -> Result<()> {
        let (id, step) = (run.clone(), step.to_owned());
        self.change(run, move |machine, now| machine.decide(&id, &step, decision, now)).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        self.look(run, |machine, run| Ok(machine.run(run))).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>> {
        let filter = filter.clone();
        self.with(Access::Read, move |session, _| Ok(session.machine.list(&filter))).await
    }

    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        self.look(run, Machine::tasks).await
    }

    async fn tasks_after(&self, run: &RunId, after: Option<u32>, limit: u32) -> Result<Vec<Task>> {
        self.look(run, move |machine, run| machine.tasks_after(run, after, limit)).await
    }

    async fn children(&self, run: &RunId, task: u32) -> Result<Vec<u32>> {
        self.look(run, move |machine, run| machine.children(run, task)).await
    }

    async fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
        let tasks = tasks.to_vec();
        self.look(run, move |machine, run| machine.outputs(run, &tasks)).await
    }

    async fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
        self.look(run, move |machine, run| machine.records(run, after, limit)).await
    }

    async fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>> {
        self.look(run, move |machine, run| machine.task_records(run, task)).await
    }

    async fn write_item(&self, token: &LeaseToken, item: &str, write: ItemWrite) -> Result<()> {
        let (held, item) = (token.clone(), item.to_owned());
        let write = move |session: &mut Session, now| {
            session.need(&held.run, now)?;
            session.machine.write_item(&held, &item, write)
        };
        self.with(Access::Write, write).await
    }

    async fn item_names(&self, run: &RunId, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        let after = after.map(str::to_owned);
        self.look(run, move |machine, run| machine.item_names(run, after.as_deref(), limit)).await
    }

    async fn item_records(&self, run: &RunId, item: &str) -> Result<Vec<Record>> {
        let item = item.to_owned();
        self.look(run, move |machine, run| machine.item_records(run, &item)).await
    }

    async fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
        self.look(run, move |machine, run| machine.events(run, after, limit)).await
    }

    async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        self.wake.changed(seen, at_most).await
    }

    async fn reserve(&self, reservation: &StoreReservation) -> Result<()> {
        let reservation = reservation.clone();
        self.with(Access::Write, move |session, now| session.books.reserve(&reservation, now)).await
    }

    async fn settle(&self, reservation: &str, spent: Option<Amount>) -> Result<()> {
        let reservation = reservation.to_owned();
        let settle = move |session: &mut Session, _| {
            session.books.settle(&reservation, spent);
            Ok(())
        };
        self.with(Access::Write, settle).await
    }

    async fn books(&self) -> Result<Vec<(String, Book)>> {
        self.with(Access::Read, |session, now| Ok(session.books.list(now))).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        let count = |session: &mut Session, now| {
            session.need_all(now)?;
            let bytes = session.files.db.size_on_disk().ok();
            Ok(StoreStats { bytes, ..session.machine.stats(now) })
        };
        self.with(Access::Read, count).await
    }

    async fn seen(&self, worker: &WorkerInfo) -> Result<()> {
        let worker = worker.clone();
        let see = move |session: &mut Session, now| {
            session.machine.seen(&worker, now);
            Ok(())
        };
        self.with(Access::Write, see).await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.with(Access::Read, |session, now| Ok(session.machine.workers(now))).await
    }

    async fn prune(&self, request: &PruneRequest) -> Result<Pruned> {
        let request = request.clone();
        self.with(Access::Change, move |session, _| Ok(session.machine.prune(&request))).await
    }

    async fn dump(&self, run: &RunId) -> Result<Option<RunDump>> {
        self.look(run, |machine, run| Ok(machine.dump(run))).await
    }

    async fn load(&self, dump: RunDump) -> Result<()> {
        self.with(Access::Change, |session, now| session.machine.load(dump, now)).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "sled", durability: Durability::Fsync, multi_process: false }
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
