//! The methods of the store's contract.
//!
//! Workers that come through a server are marked, because the store cannot look at their processes; nobody but the store
//! sees the mark.

use std::time::Duration;

use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::decision::Decision;
use motet_core::error::Result;
use motet_core::id::RunId;
use motet_core::run_log::Record;
use motet_core::store::{
    Applied, AskedQuestion, Change, Claim, ClaimRequest, Control, ItemWrite, LeaseState, LeaseToken, NewRun,
    Outcome, Progress, PruneRequest, Pruned, Run, RunDump, RunEvent, RunFilter, RunSummary, Sequenced, Store,
    StoreStats, Task, WorkerInfo,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Described;
use super::line::Line;
use super::rows::table;

/// Longest time for which one call waits for a change.
const LONGEST_POLL: Duration = Duration::from_secs(30);

table! { ROWS:
    "Tells what the store can do."
    "store.describe" QUICK describe() -> Described { |store| Ok(described(store)) }

    "Notes that a worker lives."
    "worker.register" QUICK seen(worker: WorkerInfo) -> () {
        |store| store.seen(&WorkerInfo { id: worker.id.away(), ..worker }).await
    }
    "Gives the workers that were seen, the newest first."
    "worker.list" QUICK workers() -> Vec<WorkerInfo> {
        |store| store.workers().await.map(|found| found.into_iter().map(at_home).collect())
    }

    "Gives ready tasks to a worker under a lease."
    "task.claim" QUICK claim(request: ClaimRequest) -> Vec<Claim> {
        |store| store.claim(ClaimRequest { worker: request.worker.away(), ..request }).await
    }
    "Extends leases; the answers stand in the order of the tokens."
    "task.renew" QUICK renew(tokens: Vec<LeaseToken>, ttl_ms: u64) -> Vec<LeaseState> {
        |store| store.renew(&tokens, Duration::from_millis(ttl_ms)).await
    }
    "Ends a lease with an outcome; doing it again changes nothing."
    "task.complete" QUICK complete(token: LeaseToken, outcome: Outcome) -> Applied {
        |store| store.complete(&token, outcome).await
    }
    "Gives the tasks of a run by number."
    "task.list" SLOW tasks(run: RunId) -> Vec<Task> { |store| store.tasks(&run).await }
    "Gives results of tasks in the order asked, each in a list of its own that is empty where there is none."
    "task.outputs" SLOW outputs(run: RunId, tasks: Vec<u32>) -> Vec<Output> {
        |store| store.outputs(&run, &tasks).await.map(|found| found.into_iter().map(Output::of).collect())
    }
    "Gives the numbers of the items of a `for_each` task."
    "task.children" SLOW children(run: RunId, task: u32) -> Vec<u32> { |store| store.children(&run, task).await }

    "Stores a run with its tasks, and gives its id."
    "run.submit" SLOW submit(run: NewRun) -> RunId { |store| store.submit(run).await }
    "Gives a run with its definition; null when there is none."
    "run.get" QUICK run(run: RunId) -> Option<Run> { |store| store.run(&run).await }
    "Gives runs, the newest first."
    "run.list" SLOW runs(filter: RunFilter) -> Vec<RunSummary> { |store| store.runs(&filter).await }
    "Pauses, cancels, resumes, or redefines a run."
    "run.control" SLOW control(run: RunId, control: Control) -> () { |store| store.control(&run, control).await }
    "Removes runs that have ended."
    "run.prune" SLOW prune(request: PruneRequest) -> Pruned { |store| store.prune(&request).await }
    "Gives everything that is kept of a run; null when there is none."
    "run.dump" SLOW dump(run: RunId) -> Option<RunDump> { |store| store.dump(&run).await }
    "Stores a run as another store gave it."
    "run.load" SLOW load(dump: RunDump) -> () { |store| store.load(dump).await }

    "Gives what tasks ask people, of one run or of all."
    "question.list" QUICK questions(run: Option<RunId>) -> Vec<AskedQuestion> {
        |store| store.questions(run.as_ref()).await
    }
    "Answers a question by the name of its step."
    "question.decide" QUICK decide(run: RunId, step: String, decision: Decision) -> () {
        |store| store.decide(&run, &step, decision).await
    }

    "Appends to the journal of a leased task; gives its new number of entries."
    "journal.append" QUICK journal(token: LeaseToken, expect: u64, records: Vec<Record>) -> u64 {
        |store| store.journal(&token, expect, records).await
    }
    "Gives journal entries of a run behind a place, at most so many."
    "journal.list" SLOW records(run: RunId, after: u64, limit: u32) -> Vec<Sequenced> {
        |store| store.records(&run, after, limit).await
    }
    "Gives the journal entries of one task."
    "journal.task" SLOW task_records(run: RunId, task: u32) -> Vec<Record> {
        |store| store.task_records(&run, task).await
    }
    "Gives the events of a run behind a place, at most so many."
    "event.list" SLOW events(run: RunId, after: u64, limit: u32) -> Vec<RunEvent> {
        |store| store.events(&run, after, limit).await.map(|found| found.into_iter().map(told).collect())
    }

    "Changes the log of a named item, under the lease of the task that works on it."
    "item.write" QUICK write_item(token: LeaseToken, item: String, write: ItemWrite) -> () {
        |store| store.write_item(&token, &item, write).await
    }
    "Gives the names of a run's items behind a name, at most so many."
    "item.names" SLOW item_names(run: RunId, after: Option<String>, limit: u32) -> Vec<String> {
        |store| store.item_names(&run, after.as_deref(), limit).await
    }
    "Gives the log of a named item."
    "item.records" QUICK item_records(run: RunId, item: String) -> Vec<Record> {
        |store| store.item_records(&run, &item).await
    }

    "Reserves an amount in books of budgets: in all, or in none."
    "book.reserve" QUICK reserve(reservation: StoreReservation) -> () { |store| store.reserve(&reservation).await }
    "Puts what was spent in the place of what was reserved."
    "book.settle" QUICK settle(reservation: String, spent: Option<Amount>) -> () {
        |store| store.settle(&reservation, spent).await
    }
    "Gives the books of budgets by name."
    "book.list" QUICK books() -> Vec<(String, Book)> { |store| store.books().await }

    "Takes back leases whose time is over, and does what else is due."
    "store.advance" QUICK advance() -> Progress { |store| store.advance().await }
    "Waits until the number of changes is another one than `seen`, at most 30 s, and gives the newest."
    "store.changed" WAITING poll(seen: u64, at_most_ms: u64) -> u64 { |store| changed(store, seen, at_most_ms).await }
    "Tells what the store holds."
    "store.stats" SLOW stats() -> StoreStats { |store| store.stats().await }
}

/// The number may be smaller than the one seen, after a start of the server.
async fn changed(store: &dyn Store, seen: u64, at_most_ms: u64) -> Result<u64> {
    let newest = store.changed(0, Duration::ZERO).await;
    if newest != seen {
        return Ok(newest);
    }
    Ok(store.changed(seen, Duration::from_millis(at_most_ms).min(LONGEST_POLL)).await)
}

/// Asks for the newest number of changes, waiting for another one than `seen` at most this long.
pub(super) async fn wait(line: &Line, seen: u64, at_most: Duration) -> Result<u64> {
    poll(line, seen, super::millis(at_most)).await
}

/// A result of a task, which may be null: that and having none are told apart.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Output(Vec<Value>);

impl Output {
    fn of(value: Option<Value>) -> Self {
        Self(value.into_iter().collect())
    }

    pub(super) fn into_value(self) -> Option<Value> {
        self.0.into_iter().next()
    }
}

fn described(store: &dyn Store) -> Described {
    let able = store.capabilities();
    Described {
        name: able.name.to_owned(),
        durability: able.durability,
        answers: store.answers().is_some(),
        conversations: store.conversations().is_some(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn at_home(worker: WorkerInfo) -> WorkerInfo {
    WorkerInfo { id: worker.id.at_home(), ..worker }
}

fn told(event: RunEvent) -> RunEvent {
    match event.change {
        Change::Started { attempt, worker } => {
            RunEvent { change: Change::Started { attempt, worker: worker.at_home() }, ..event }
        }
        _ => event,
    }
}
