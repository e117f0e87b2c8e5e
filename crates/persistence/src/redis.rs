//! The store on a Redis server, which several machines share: the engine's own scheduler over sorted sets and scripts.
//!
//! Time is the server's alone. Every key begins with one tag in braces, so that all lie in one slot of a cluster.

mod abandoned;
mod address;
mod admin;
mod answers;
mod books;
mod change;
mod checks;
mod commit;
mod conversations;
mod failure;
mod fetch;
mod hot;
mod lists;
mod remove;
mod row;
mod rows;
mod server;
mod submit;
mod upkeep;
mod wake;
mod work;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::AnswerStore;
use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::conversation::ConversationStore;
use motet_core::decision::Decision;
use motet_core::error::Result;
use motet_core::id::RunId;
use motet_core::run_log::Record;
use motet_core::schedule;
use motet_core::store::{
    Applied, AskedQuestion, Capabilities, Claim, ClaimRequest, Control, Durability, ItemWrite, LeaseState,
    LeaseToken, NewRun, Outcome, Progress, PruneRequest, Pruned, Run, RunDump, RunEvent, RunFilter,
    RunSummary, Sequenced, Store, StoreStats, Task, WorkerInfo,
};
use serde_json::Value;

use self::address::Address;
use self::hot::Hot;
use self::server::Server;
use self::wake::RemoteWake;

/// Keeps runs on a Redis server.
pub struct RedisStore {
    server: Arc<Server>,
    hot: Hot,
    wake: Arc<RemoteWake>,
    durability: Durability,
}

impl RedisStore {
    /// Opens the store that a URL without its scheme names, such as `//localhost:6379?namespace=team`; the scheme is
    /// `redis` or `rediss`. It blocks until the server has told what it is.
    ///
    /// # Errors
    /// `Configuration` when the URL names no server, or the server may not keep runs; `Authentication`, `Permission`, or
    /// `Store` when it refuses or cannot be reached.
    pub fn open(scheme: &str, rest: &str) -> Result<Self> {
        let address = Address::read(scheme, rest)?;
        let (client, namespace) = (address.client.clone(), address.namespace.clone());
        // On a thread of its own, because the caller may be a task that must not block on a runtime's thread.
        let looked = std::thread::spawn(move || checks::look(&client, &namespace)).join();
        let broken = || {
            motet_core::Error::new(motet_core::ErrorKind::Internal, "looking at the Redis server broke off")
        };
        let found = looked.map_err(|_| broken())??;
        let server = Server::new(address.client, &address.namespace);
        Ok(Self {
            hot: Hot::new(Arc::clone(&server)),
            wake: RemoteWake::new(Arc::clone(&server)),
            durability: found.durability,
            server,
        })
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("address", &self.server.address()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn submit(&self, run: NewRun) -> Result<RunId> {
        let id = submit::submit(&self.server, &run).await?;
        self.wake.notify();
        Ok(id)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        work::claim(&self.hot, &request).await
    }

    async fn renew(&self, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
        work::renew(&self.hot, tokens, ttl).await
    }

    async fn journal(&self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64> {
        let entries = work::journal(&self.hot, token, expect, &records).await?;
        self.wake.notify();
        Ok(entries)
    }

    async fn complete(&self, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
        let applied = work::complete(&self.server, &self.hot, token, outcome).await?;
        self.wake.notify();
        Ok(applied)
    }

    async fn advance(&self) -> Result<Progress> {
        let progress = upkeep::advance(&self.server).await?;
        if progress != (Progress { next_due: progress.next_due, ..Progress::default() }) {
            self.wake.notify();
        }
        Ok(progress)
    }

    async fn control(&self, run: &RunId, control: Control) -> Result<()> {
        upkeep::control(&self.server, run, &control).await?;
        self.wake.notify();
        Ok(())
    }

    async fn questions(&self, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        lists::questions(&self.server, run).await
    }

    async fn decide(&self, run: &RunId, step: &str, decision: Decision) -> Result<()> {
        change::change(&self.server, run, |rows, now| {
            schedule::decide(rows, step, decision.clone(), now).map(drop)
        })
        .await?;
        self.wake.notify();
        Ok(())
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        lists::run(&self.server, run).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>> {
        lists::runs(&self.server, filter).await
    }

    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        lists::tasks(&self.server, run).await
    }

    async fn tasks_after(&self, run: &RunId, after: Option<u32>, limit: u32) -> Result<Vec<Task>> {
        lists::tasks_after(&self.server, run, after, limit as usize).await
    }

    async fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
        lists::outputs(&self.server, run, tasks).await
    }

    async fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
        lists::records(&self.server, run, after, limit).await
    }

    async fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>> {
        lists::task_records(&self.server, run, task).await
    }

    async fn write_item(&self, token: &LeaseToken, item: &str, write: ItemWrite) -> Result<()> {
        work::write_item(&self.hot, token, item, &write).await
    }

    async fn item_names(&self, run: &RunId, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        lists::item_names(&self.server, run, after, limit).await
    }

    async fn item_records(&self, run: &RunId, item: &str) -> Result<Vec<Record>> {
        lists::item_records(&self.server, run, item).await
    }

    async fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
        lists::events(&self.server, run, after, limit).await
    }

    async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        self.wake.changed(seen, at_most).await
    }

    async fn reserve(&self, reservation: &StoreReservation) -> Result<()> {
        books::reserve(&self.server, reservation).await
    }

    async fn settle(&self, reservation: &str, spent: Option<Amount>) -> Result<()> {
        books::settle(&self.server, reservation, spent).await
    }

    async fn books(&self) -> Result<Vec<(String, Book)>> {
        books::list(&self.server).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        admin::stats(&self.server).await
    }

    async fn seen(&self, worker: &WorkerInfo) -> Result<()> {
        admin::seen(&self.server, worker).await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        admin::workers(&self.server).await
    }

    async fn prune(&self, request: &PruneRequest) -> Result<Pruned> {
        remove::prune(&self.server, request).await
    }

    async fn dump(&self, run: &RunId) -> Result<Option<RunDump>> {
        admin::dump(&self.server, run).await
    }

    async fn load(&self, dump: RunDump) -> Result<()> {
        admin::load(&self.server, dump).await?;
        self.wake.notify();
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "redis", durability: self.durability, multi_process: true }
    }

    fn answers(&self) -> Option<&dyn AnswerStore> {
        Some(self)
    }

    fn conversations(&self) -> Option<&dyn ConversationStore> {
        Some(self)
    }
}
