//! `motet workflow`: looks at stored runs, and goes on with them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args, Subcommand};
use motet::core::method::{Method, Parameter};
use motet::core::store::{RunFilter, RunState, RunSummary, TaskState};
use motet::workflow::Definition;
use motet::workflows::methods::Methods;
use motet::{Error, Result, RunId, RunReport};

use serde_json::{Value, json};

use super::agent::question::described as described_question;
use super::run::{print, work};
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "workflow", build: Workflow::augment_args, run };

/// Looks at stored runs and goes on with them
#[derive(Args)]
struct Workflow {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists runs, the newest first
    List {
        /// Only runs in this state: running, failing, cancelling, completed, failed, cancelled, or waiting
        #[arg(long, value_parser = state)]
        state: Option<RunState>,
        /// Only runs whose name contains this text
        #[arg(long)]
        name: Option<String>,
        /// At most this many; 0 means all
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Shows how a run and its tasks stand
    Status {
        /// Id of the run
        run: RunId,
    },
    /// Prints the outputs of a completed run
    Results {
        /// Id of the run
        run: RunId,
        /// File for what each task and item came to, completed or not: `.json` or `.md`; may be given several times
        #[arg(long = "report", value_name = "FILE")]
        reports: Vec<PathBuf>,
    },
    /// Stops a run: nothing new starts, and what runs is told to stop; it can be resumed
    Cancel {
        /// Id of the run
        run: RunId,
    },
    /// Lists the methods that tasks can call
    Methods {
        /// Prints the reference of all methods as Markdown instead
        #[arg(long)]
        reference: bool,
    },
    /// Goes on with a run that failed, was cancelled, or was interrupted; what is done is not done again
    Resume {
        /// Id of the run
        run: RunId,
        /// Takes the definition from this file; tasks that are the same keep their results
        #[arg(long, value_name = "FILE")]
        changed: Option<PathBuf>,
    },
}

fn state(text: &str) -> Result<RunState, String> {
    let known = RunState::ALL.iter().find(|state| state.as_str() == text).copied();
    known.ok_or_else(|| {
        "use running, failing, cancelling, completed, failed, cancelled, or waiting".to_owned()
    })
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Workflow { action } = arguments(matches)?;
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|cancellation| async move {
        match action {
            Action::List { state, name, limit } => {
                let runs = runtime.store().await?.runs(&RunFilter { state, name, limit, root: None }).await?;
                printer.data(&runs, || listed(&runs))?;
                Ok(Exit::Success)
            }
            Action::Status { run } => {
                let report = runtime.report(&run).await?;
                let asked = runtime.questions(Some(&run)).await?;
                let open = asked.iter().filter(|asked| asked.is_open());
                printer
                    .data(&report, || status(&report) + &open.map(described_question).collect::<String>())?;
                Ok(Exit::Success)
            }
            Action::Results { run, reports } => {
                super::run::report::check(&reports)?;
                super::run::report::write(&runtime, &run, &reports).await?;
                let report = runtime.report(&run).await?;
                if report.state == RunState::Completed {
                    return print(&report, printer);
                }
                Err(unfinished(&report))
            }
            Action::Cancel { run } => {
                runtime.cancel(&run).await?;
                let report = runtime.report(&run).await?;
                printer.data(&report, || format!("run {}: {}\n", report.id, report.state))?;
                Ok(Exit::Success)
            }
            Action::Methods { reference: true } => {
                printer.text(&methods_reference(&runtime.methods()))?;
                Ok(Exit::Success)
            }
            Action::Methods { reference: false } => {
                let methods = runtime.methods();
                let rows: Vec<_> = methods.iter().map(described).collect();
                printer.data(&rows, || {
                    table(
                        ["METHOD", ""],
                        methods.iter().map(|row| [row.name().to_owned(), row.doc().to_owned()]),
                    )
                })?;
                Ok(Exit::Success)
            }
            Action::Resume { run, changed } => {
                let definition = match changed {
                    None => Definition::AsStored,
                    Some(path) => {
                        Definition::Changed(Box::new(runtime.read_workflow(&path).map_err(Error::from)?))
                    }
                };
                runtime.resume(&run, definition).await?;
                work(&runtime, &run, printer, &cancellation).await
            }
        }
    })
}

fn described(method: &Arc<dyn Method>) -> Value {
    let parameters = method.parameters().iter().map(|parameter| {
        let Parameter { name, kind, required, doc } = *parameter;
        json!({"name": name, "kind": kind.as_str(), "required": required, "doc": doc})
    });
    json!({
        "name": method.name(),
        "doc": method.doc(),
        "result": method.result(),
        "parameters": parameters.collect::<Value>(),
    })
}

fn methods_reference(methods: &Methods) -> String {
    let mut text = "# Methods\n\nWhat a task of a workflow can call.\n".to_owned();
    for method in methods.iter() {
        text.push_str(&format!("\n## `{}`\n\n{}.\n\n", method.name(), method.doc().trim_end_matches('.')));
        text.push_str("| Parameter | Takes | |\n|---|---|---|\n");
        for Parameter { name, kind, required, doc } in method.parameters() {
            let required = if *required { "; required" } else { "" };
            text.push_str(&format!("| `{name}` | {}{required} | {doc} |\n", kind.as_str()));
        }
        text.push_str(&format!("\nResult: {}\n", method.result()));
    }
    text
}

fn unfinished(report: &RunReport) -> Error {
    let (id, state) = (&report.id, report.state);
    Error::new(motet::ErrorKind::Conflict, format!("run `{id}` is {state} and has no results yet")).with_hint(
        format!("`motet workflow status {id}` shows its tasks; `motet workflow resume {id}` goes on with it"),
    )
}

fn listed(runs: &[RunSummary]) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let rows = runs.iter().map(|run| {
        let tasks = format!("{}/{}", run.done, run.tasks);
        [run.id.to_string(), run.name.clone(), run.state.to_string(), tasks, run.created_at.to_string()]
    });
    table(["ID", "NAME", "STATE", "DONE", "STARTED"], rows)
}

fn status(report: &RunReport) -> String {
    let rows = report.tasks.iter().map(|task| {
        let never_started =
            matches!(task.state, TaskState::Blocked | TaskState::Ready) && report.state.is_ended();
        let state = if never_started { "not started".to_owned() } else { task.state.to_string() };
        let reason = task.error.as_ref().map_or("", |error| error.message.lines().next().unwrap_or_default());
        [task.name.clone(), state, task.attempt.to_string(), reason.to_owned()]
    });
    let tasks = table(["TASK", "STATE", "ATTEMPT", "REASON"], rows);
    format!("run {} ({}): {}\n{tasks}", report.id, report.name, report.state)
}
