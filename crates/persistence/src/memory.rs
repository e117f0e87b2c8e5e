//! The store that lives as long as the process: the reference for all others, and what tests use.
//!
//! Holds the machine behind one lock that is never held across an await.

mod answers;
mod conversations;

use std::sync::{Mutex, MutexGuard, PoisonError};
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

use crate::books::Books;
use crate::machine::Machine;
use crate::wake::Wake;

/// Keeps runs in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    machine: Mutex<Machine>,
    books: Mutex<Books>,
    wake: Wake,
    answers: answers::Answers,
    conversations: conversations::Conversations,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something and wakes those who wait for that.
    fn change<T>(&self, work: impl FnOnce(&mut Machine, Millis) -> Result<T>) -> Result<T> {
        let changed = work(&mut self.machine(), Millis::now())?;
        self.wake.notify();
        Ok(changed)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn submit(&self, new: NewRun) -> Result<RunId> {
        self.change(|machine, now| machine.submit(new, now))
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        self.machine().claim(&request, Millis::now())
    }

    async fn renew(&self, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
        Ok(self.machine().renew(tokens, Millis::now().after(ttl)))
    }

    async fn journal(&self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64> {
        self.change(|machine, _| machine.journal(token, expect, records))
    }

    async fn complete(&self, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
        self.change(|machine, now| machine.complete(token, outcome, now))
    }

    async fn advance(&self) -> Result<Progress> {
        let progress = self.machine().advance(Millis::now())?;
        if progress != (Progress { next_due: progress.next_due, ..Progress::default() }) {
            self.wake.notify();
        }
        Ok(progress)
    }

    async fn control(&self, run: &RunId, control: Control) -> Result<()> {
        self.change(|machine, now| machine.control(run, control, now))
    }

    async fn questions(&self, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        self.machine().questions(run)
    }

    async fn decide(&self, run: &RunId, step: &str, decision: Decision) -> Result<()> {
        self.change(|machine, now| machine.decide(run, step, decision, now))
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        Ok(self.machine().run(run))
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>> {
        Ok(self.machine().list(filter))
    }

    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        self.machine().tasks(run)
    }

    async fn tasks_after(&self, run: &RunId, after: Option<u32>, limit: u32) -> Result<Vec<Task>> {
        self.machine().tasks_after(run, after, limit)
    }

    async fn children(&self, run: &RunId, task: u32) -> Result<Vec<u32>> {
        self.machine().children(run, task)
    }

    async fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
        self.machine().outputs(run, tasks)
    }

    async fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
        self.machine().records(run, after, limit)
    }

    async fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>> {
        self.machine().task_records(run, task)
    }

    async fn write_item(&self, token: &LeaseToken, item: &str, write: ItemWrite) -> Result<()> {
        self.machine().write_item(token, item, write)
    }

    async fn item_names(&self, run: &RunId, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        self.machine().item_names(run, after, limit)
    }

    async fn item_records(&self, run: &RunId, item: &str) -> Result<Vec<Record>> {
        self.machine().item_records(run, item)
    }

    async fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
        self.machine().events(run, after, limit)
    }

    async fn seen(&self, worker: &WorkerInfo) -> Result<()> {
        self.machine().seen(worker, Millis::now());
        Ok(())
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        Ok(self.machine().workers(Millis::now()))
    }

    async fn stats(&self) -> Result<StoreStats> {
        Ok(self.machine().stats(Millis::now()))
    }

    async fn prune(&self, request: &PruneRequest) -> Result<Pruned> {
        self.change(|machine, _| Ok(machine.prune(request)))
    }

    async fn dump(&self, run: &RunId) -> Result<Option<RunDump>> {
        Ok(self.machine().dump(run))
    }

    async fn load(&self, dump: RunDump) -> Result<()> {
        self.change(|machine, now| machine.load(dump, now))
    }

    async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        self.wake.changed(seen, at_most).await
    }

    async fn reserve(&self, reservation: &StoreReservation) -> Result<()> {
        self.books().reserve(reservation, Millis::now())
    }

    async fn settle(&self, reservation: &str, spent: Option<Amount>) -> Result<()> {
        self.books().settle(reservation, spent);
        Ok(())
    }

    async fn books(&self) -> Result<Vec<(String, Book)>> {
        Ok(MemoryStore::books(self).list(Millis::now()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "memory", durability: Durability::None, multi_process: false }
    }

    fn answers(&self) -> Option<&dyn AnswerStore> {
        Some(&self.answers)
    }

    fn conversations(&self) -> Option<&dyn ConversationStore> {
        Some(&self.conversations)
    }
}
