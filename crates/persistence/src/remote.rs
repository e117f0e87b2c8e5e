//! A store behind a server: every call of the contract is a method of JSON-RPC 2.0, and the server's half answers it.
//!
//! Both halves are made of the same rows, so that they cannot disagree. Knows no transport: a [`Peer`] brings calls there.

mod answers;
mod changes;
mod contract;
mod conversations;
mod failure;
mod line;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::AnswerStore;
use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::conversation::ConversationStore;
use motet_core::decision::Decision;
use motet_core::error::Result;
use motet_core::id::RunId;
use motet_core::rpc::Failure;
use motet_core::run_log::Record;
use motet_core::store::{
    Applied, AskedQuestion, Capabilities, Claim, ClaimRequest, Control, Durability, ItemWrite, LeaseState,
    LeaseToken, NewRun, Outcome, Progress, PruneRequest, Pruned, Run, RunDump, RunEvent, RunFilter,
    RunSummary, Sequenced, Store, StoreStats, Task, WorkerInfo,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::answers::RemoteAnswers;
use self::changes::Changes;
use self::conversations::RemoteConversations;
use self::line::Line;
pub use self::rows::{MethodRow, answer, method, methods};

/// Status of HTTP for a request that is larger than the server reads; other ways there tell it so too.
const TOO_LARGE: u16 = 413;

/// The way to a server.
#[async_trait]
pub trait Peer: Send + Sync {
    /// Calls a method, and gives what the server answered: the result, or why there is none.
    ///
    /// # Errors
    /// Whatever kept an answer from coming within `patience`: `Connection`, `Timeout`, and the like.
    async fn call(
        &self,
        method: &'static str,
        params: Value,
        patience: Duration,
    ) -> Result<std::result::Result<Value, Failure>>;
}

/// What a server tells of its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Described {
    name: String,
    durability: Durability,
    answers: bool,
    conversations: bool,
    version: String,
}

/// A store behind a server.
pub struct RemoteStore {
    line: Line,
    changes: Changes,
    durability: Durability,
    answers: Option<RemoteAnswers>,
    conversations: Option<RemoteConversations>,
}

impl RemoteStore {
    /// Asks a server what its store can do, and speaks with it from then on.
    ///
    /// # Errors
    /// `Connection` when it cannot be reached, `Authentication` when it takes another token, and `InvalidOutput` when it
    /// answers something else than a server of stores does.
    pub async fn connect(peer: Arc<dyn Peer>) -> Result<Self> {
        let line = Line::new(peer);
        let Described { durability, answers, conversations, .. } = contract::describe(&line).await?;
        Ok(Self {
            changes: Changes::new(line.clone()),
            durability,
            answers: answers.then(|| RemoteAnswers(line.clone())),
            conversations: conversations.then(|| RemoteConversations(line.clone())),
            line,
        })
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn submit(&self, run: NewRun) -> Result<RunId> {
        contract::submit(&self.line, run).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>> {
        contract::claim(&self.line, request).await
    }

    async fn renew(&self, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
        contract::renew(&self.line, tokens.to_vec(), millis(ttl)).await
    }

    async fn journal(&self, token: &LeaseToken, expect: u64, records: Vec<Record>) -> Result<u64> {
        contract::journal(&self.line, token.clone(), expect, records).await
    }

    /// A result that is too large for the server fails the task: done again, it would be as large.
    async fn complete(&self, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
        let has_result = matches!(outcome, Outcome::Done { .. } | Outcome::Expand { .. });
        match contract::complete(&self.line, token.clone(), outcome).await {
            Err(error) if has_result && error.status() == Some(TOO_LARGE) => {
                let failed = Outcome::Failed { error: error.report(), chance: 0.0 };
                contract::complete(&self.line, token.clone(), failed).await
            }
            applied => applied,
        }
    }

    async fn advance(&self) -> Result<Progress> {
        contract::advance(&self.line).await
    }

    async fn control(&self, run: &RunId, control: Control) -> Result<()> {
        contract::control(&self.line, run.clone(), control).await
    }

    async fn questions(&self, run: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
        contract::questions(&self.line, run.cloned()).await
    }

    async fn decide(&self, run: &RunId, step: &str, decision: Decision) -> Result<()> {
        contract::decide(&self.line, run.clone(), step.to_owned(), decision).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        contract::run(&self.line, run.clone()).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>> {
        contract::runs(&self.line, filter.clone()).await
    }

    async fn tasks(&self, run: &RunId) -> Result<Vec<Task>> {
        contract::tasks(&self.line, run.clone()).await
    }

    async fn outputs(&self, run: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
        let found = contract::outputs(&self.line, run.clone(), tasks.to_vec()).await?;
        Ok(found.into_iter().map(contract::Output::into_value).collect())
    }

    async fn children(&self, run: &RunId, task: u32) -> Result<Vec<u32>> {
        contract::children(&self.line, run.clone(), task).await
    }

    async fn records(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
        contract::records(&self.line, run.clone(), after, limit).await
    }

    async fn task_records(&self, run: &RunId, task: u32) -> Result<Vec<Record>> {
        contract::task_records(&self.line, run.clone(), task).await
    }

    async fn write_item(&self, token: &LeaseToken, item: &str, write: ItemWrite) -> Result<()> {
        contract::write_item(&self.line, token.clone(), item.to_owned(), write).await
    }

    async fn item_names(&self, run: &RunId, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        contract::item_names(&self.line, run.clone(), after.map(str::to_owned), limit).await
    }

    async fn item_records(&self, run: &RunId, item: &str) -> Result<Vec<Record>> {
        contract::item_records(&self.line, run.clone(), item.to_owned()).await
    }

    async fn events(&self, run: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
        contract::events(&self.line, run.clone(), after, limit).await
    }

    async fn changed(&self, seen: u64, at_most: Duration) -> u64 {
        self.changes.wait(seen, at_most).await
    }

    async fn reserve(&self, reservation: &StoreReservation) -> Result<()> {
        contract::reserve(&self.line, reservation.clone()).await
    }

    async fn settle(&self, reservation: &str, spent: Option<Amount>) -> Result<()> {
        contract::settle(&self.line, reservation.to_owned(), spent).await
    }

    async fn books(&self) -> Result<Vec<(String, Book)>> {
        contract::books(&self.line).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        contract::stats(&self.line).await
    }

    async fn seen(&self, worker: &WorkerInfo) -> Result<()> {
        contract::seen(&self.line, worker.clone()).await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        contract::workers(&self.line).await
    }

    async fn prune(&self, request: &PruneRequest) -> Result<Pruned> {
        contract::prune(&self.line, request.clone()).await
    }

    async fn dump(&self, run: &RunId) -> Result<Option<RunDump>> {
        contract::dump(&self.line, run.clone()).await
    }

    async fn load(&self, dump: RunDump) -> Result<()> {
        contract::load(&self.line, dump).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "server", durability: self.durability, multi_process: true }
    }

    fn answers(&self) -> Option<&dyn AnswerStore> {
        self.answers.as_ref().map(|answers| answers as &dyn AnswerStore)
    }

    fn conversations(&self) -> Option<&dyn ConversationStore> {
        self.conversations.as_ref().map(|kept| kept as &dyn ConversationStore)
    }
}

/// Gives a length of time as it is sent.
fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
