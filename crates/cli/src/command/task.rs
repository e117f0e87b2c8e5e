//! `motet task`: runs of one task, and the tasks of stored runs with their results.

use clap::{ArgMatches, Args, Subcommand};
use motet::core::store::{RunFilter, TaskState};
use motet::workflows::dag::plan::RunSettings;
use motet::{Error, ErrorKind, ModelId, Result, RunId, Runtime};
use serde_json::{Map, Value, json};

use super::workflow::submit::{Waiting, kept, left, object, submitted};
use super::{Row, arguments, model_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "task", build: Task::augment_args, run };

/// Submits single tasks, and shows the tasks of stored runs
#[derive(Args)]
struct Task {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Stores a run of one task for workers
    Submit(Submit),
    /// Lists the tasks of the newest runs, or of one run
    List {
        /// Only tasks of this run
        #[arg(long)]
        run: Option<RunId>,
        /// Only tasks in this state, such as `failed` or `ready`
        #[arg(long, value_parser = state)]
        state: Option<TaskState>,
        /// At most this many; 0 means all
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Prints the result of a task
    Result {
        /// Id of the run
        run: RunId,
        /// Name of the task; it may be left out where the run has only one
        task: Option<String>,
    },
}

#[derive(Args)]
struct Submit {
    /// What the task calls, such as `llm/chat`
    method: String,
    /// Its parameters as one JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    params: Option<Map<String, Value>>,
    /// Model where the parameters name none, as `provider:model`
    #[arg(long, short, value_parser = model_id)]
    model: Option<ModelId>,
    #[command(flatten)]
    waiting: Waiting,
}

fn state(text: &str) -> Result<TaskState, String> {
    let known = TaskState::ALL.iter().find(|state| state.as_str() == text).copied();
    known.ok_or_else(|| {
        let names: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
        format!("use one of {}", names.join(", "))
    })
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Task { action } = arguments(matches)?;
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|cancellation| async move {
        match action {
            Action::Submit(Submit { method, params, model, waiting }) => {
                let value = json!({
                    "name": method,
                    "tasks": [{"id": "task", "method": method, "params": params.unwrap_or_default()}],
                });
                let spec = runtime.read_workflow_value(&value).map_err(Error::from)?;
                kept(&runtime).await?;
                let settings = RunSettings { model, ..RunSettings::in_directory(&directory()?) };
                let run = runtime.start_once(&spec, Map::new(), &settings, waiting.key.clone()).await?;
                tokio::select! {
                    done = submitted(&runtime, &run, &waiting, printer) => done,
                    () = cancellation.cancelled() => Err(left(&run)),
                }
            }
            Action::List { run, state, limit } => {
                let rows = listed(&runtime, run, state, limit).await?;
                printer.data(&rows, || shown(&rows))?;
                Ok(Exit::Success)
            }
            Action::Result { run, task } => {
                let result = result(&runtime, &run, task.as_deref()).await?;
                printer.data(&result, || match &result {
                    Value::String(text) => format!("{text}\n"),
                    other => format!("{other}\n"),
                })?;
                Ok(Exit::Success)
            }
        }
    })
}

fn directory() -> Result<std::path::PathBuf> {
    std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::Configuration, "the current directory cannot be found").with_source(error)
    })
}

async fn listed(
    runtime: &Runtime,
    run: Option<RunId>,
    state: Option<TaskState>,
    limit: usize,
) -> Result<Vec<Value>> {
    let most = if limit == 0 { usize::MAX } else { limit };
    let store = runtime.store().await?;
    let runs = match run {
        Some(run) => vec![runtime.report(&run).await?.id],
        None => store.runs(&RunFilter::default()).await?.into_iter().map(|run| run.id).collect(),
    };
    let mut rows = Vec::new();
    for run in runs {
        if rows.len() >= most {
            break;
        }
        let Some(stored) = store.run(&run).await? else { continue };
        for task in store.tasks(&run).await? {
            let shown = task.state.shown(stored.summary.state);
            if state.is_none_or(|state| state == shown) && rows.len() < most {
                rows.push(json!({
                    "run": run, "name": task.name, "queue": task.queue, "state": shown,
                    "attempt": task.attempt, "error": task.error,
                }));
            }
        }
    }
    Ok(rows)
}

fn shown(rows: &[Value]) -> String {
    if rows.is_empty() {
        return "no tasks\n".to_owned();
    }
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let lines = rows.iter().map(|row| {
        let reason =
            row["error"]["message"].as_str().and_then(|text| text.lines().next()).unwrap_or_default();
        [text(row, "run"), text(row, "name"), text(row, "state"), text(row, "queue"), reason.to_owned()]
    });
    table(["RUN", "TASK", "STATE", "QUEUE", "REASON"], lines)
}

async fn result(runtime: &Runtime, run: &RunId, name: Option<&str>) -> Result<Value> {
    runtime.report(run).await?;
    let store = runtime.store().await?;
    let tasks = store.tasks(run).await?;
    let task = match (name, tasks.as_slice()) {
        (None, [only]) => only,
        (Some(name), _) => tasks.iter().find(|task| task.name == name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("run `{run}` has no task `{name}`"))
                .with_hint(format!("`motet task list --run {run}` lists them"))
        })?,
        (None, _) => {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("run `{run}` has {} tasks", tasks.len()),
            )
            .with_hint("name one of them"));
        }
    };
    let output = store.outputs(run, &[task.number]).await?.into_iter().flatten().next();
    output.ok_or_else(|| {
        let message = format!("task `{}` is {} and has no result", task.name, task.state);
        task.error.iter().fold(Error::new(ErrorKind::Conflict, message), |error, report| {
            error.with_hint(format!("it ended with: {}", report.message))
        })
    })
}
