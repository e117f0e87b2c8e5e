//! `motet system`: how the store and its workers do.

use clap::{ArgMatches, Args, Subcommand};
use motet::core::Millis;
use motet::core::store::{StoreStats, WorkerInfo};
use motet::{ErrorKind, Result};
use serde_json::json;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "system", build: System::augment_args, run };

/// Shows how the store and its workers do
#[derive(Args)]
struct System {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows the store, how many runs and tasks it holds, and the workers that were seen
    Status,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let System { action: Action::Status } = arguments(matches)?;
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let store = runtime.store().await?;
        let able = store.capabilities();
        let stats = match store.stats().await {
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            stats => Some(stats?),
        };
        let workers = store.workers().await?;
        let value = json!({
            "store": {"name": able.name, "durability": format!("{:?}", able.durability).to_lowercase(), "multi_process": able.multi_process},
            "stats": stats,
            "workers": workers,
            "version": env!("CARGO_PKG_VERSION"),
        });
        printer.data(&value, || {
            let counts = stats.as_ref().map(counts).unwrap_or_default();
            format!("store: {}\n{counts}{}", able.name, seen(&workers))
        })?;
        Ok(Exit::Success)
    })
}

/// Says how much there is of everything.
pub(super) fn counts(stats: &StoreStats) -> String {
    let list = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let runs = list(stats.runs.iter().map(|(state, count)| format!("{count} {state}")).collect());
    let tasks = list(stats.tasks.iter().map(|(state, count)| format!("{count} {state}")).collect());
    let ready = list(stats.ready.iter().map(|(queue, count)| format!("{count} in {queue}")).collect());
    let bytes = stats.bytes.map(|bytes| format!("bytes: {bytes}\n")).unwrap_or_default();
    let (journal, events) = (stats.journal, stats.events);
    format!("runs: {runs}\ntasks: {tasks}\nready: {ready}\njournal: {journal}\nevents: {events}\n{bytes}")
}

fn seen(workers: &[WorkerInfo]) -> String {
    if workers.is_empty() {
        return "no workers\n".to_owned();
    }
    let now = Millis::now();
    let rows = workers.iter().map(|worker| {
        let ago = format!("{} s ago", now.since(worker.seen_at).as_secs());
        let (host, queues) = (format!("{} ({})", worker.host, worker.pid), worker.queues.join(","));
        [worker.id.as_str().to_owned(), host, queues, worker.capacity.to_string(), ago]
    });
    table(["WORKER", "HOST", "QUEUES", "TASKS", "SEEN"], rows)
}
