//! `motet backend`: what the store holds, the results in it, and the removal of what is old.

use std::time::Duration;

use clap::{ArgMatches, Args, Subcommand};
use motet::core::Millis;
use motet::core::store::{PruneRequest, RunFilter, RunState};
use motet::{Error, ErrorKind, Result, RunId, Runtime};
use serde_json::{Value, json};

use super::{Row, arguments, system, workflow};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "backend", build: Backend::augment_args, run };

/// Shows what the store holds, gives results, and removes old runs
#[derive(Args)]
struct Backend {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Counts runs, tasks, and entries
    Stats,
    /// Gives results of tasks: of one run, or of the newest runs of a workflow
    Results {
        /// Id of the run
        run: Option<RunId>,
        /// Runs of workflows whose name contains this text
        #[arg(long, conflicts_with = "run", required_unless_present = "run")]
        workflow: Option<String>,
        /// Only the task of this name
        #[arg(long)]
        task: Option<String>,
        /// At most this many runs; 0 means all
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Removes runs that ended some time ago, with everything that is kept of them
    Prune {
        /// How long ago they ended, such as `30d` or `12h`
        #[arg(long, value_name = "DURATION", value_parser = age)]
        older_than: Duration,
        /// Only runs that ended so: completed, failed, or cancelled; may be given several times
        #[arg(long, value_parser = workflow::state)]
        state: Vec<RunState>,
        /// At most this many
        #[arg(long, default_value_t = u32::MAX, hide_default_value = true)]
        limit: u32,
        /// Counts them and leaves them
        #[arg(long)]
        dry_run: bool,
    },
}

/// Reads an age: a number of days, or any other length of time.
fn age(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('d').and_then(|days| days.trim().parse::<u64>().ok()) {
        Some(days) => Ok(Duration::from_secs(days.saturating_mul(24 * 60 * 60))),
        None => super::length_of_time(text),
    }
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Backend { action } = arguments(matches)?;
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        match action {
            Action::Stats => {
                let stats = runtime.store().await?.stats().await?;
                printer.data(&stats, || system::counts(&stats))?;
            }
            Action::Results { run, workflow, task, limit } => {
                let runs = match run {
                    Some(run) => vec![run],
                    None => named(&runtime, workflow, limit).await?,
                };
                let found = results(&runtime, &runs, task.as_deref()).await?;
                printer.data(&found, || shown(&found))?;
            }
            Action::Prune { older_than, state, limit, dry_run } => {
                if let Some(open) = state.iter().find(|state| !state.is_ended()) {
                    return Err(Error::new(
                        ErrorKind::InvalidRequest,
                        format!("a run that is {open} has not ended"),
                    )
                    .with_hint("use completed, failed, or cancelled"));
                }
                let now = Millis::now();
                let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
                let ended_before = Millis(now.0.saturating_sub(age));
                let request = PruneRequest { ended_before, states: state, limit, dry_run };
                let pruned = runtime.store().await?.prune(&request).await?;
                let value = json!({"runs": pruned.runs, "tasks": pruned.tasks, "dry_run": dry_run});
                let verb = if dry_run { "would be removed" } else { "removed" };
                printer
                    .data(&value, || format!("{} runs with {} tasks {verb}\n", pruned.runs, pruned.tasks))?;
            }
        }
        Ok(Exit::Success)
    })
}

async fn named(runtime: &Runtime, name: Option<String>, limit: u32) -> Result<Vec<RunId>> {
    let filter = RunFilter { name, limit, ..RunFilter::default() };
    Ok(runtime.store().await?.runs(&filter).await?.into_iter().map(|run| run.id).collect())
}

async fn results(runtime: &Runtime, runs: &[RunId], name: Option<&str>) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for run in runs {
        runtime.report(run).await?;
        let results = runtime.results(run).await?.into_iter();
        let wanted = results.filter(|(task, _)| name.is_none_or(|name| task.name == name));
        found.extend(wanted.map(
            |(task, result)| json!({"run": run, "task": task.name, "state": task.state, "result": result}),
        ));
    }
    Ok(found)
}

fn shown(found: &[Value]) -> String {
    if found.is_empty() {
        return "no results\n".to_owned();
    }
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let rows = found.iter().map(|row| {
        let result = match &row["result"] {
            Value::String(text) => text.lines().next().unwrap_or_default().to_owned(),
            other => other.to_string(),
        };
        [text(row, "run"), text(row, "task"), text(row, "state"), result]
    });
    table(["RUN", "TASK", "STATE", "RESULT"], rows)
}
