//! `motet workflow`: looks at stored runs, and goes on with them.

mod export;
pub(super) mod submit;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args, Subcommand};
use motet::core::method::{Method, Parameter};
use motet::core::store::{AskedQuestion, RunFilter, RunState, RunSummary};
use motet::workflow::Definition;
use motet::workflows::methods::Methods;
use motet::{Error, Result, RunId, RunReport, Runtime};

use serde_json::{Value, json};

use super::agent::question::described as described_question;
use super::run::{print, work};
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;
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
    /// Stores a run for workers, and waits for it where that is wanted
    Submit(submit::Submit),
    /// Follows a run by its events until nothing more happens, and ends as it did
    Watch {
        /// Id of the run
        run: RunId,
        /// Shows only events behind this place
        #[arg(long, default_value_t = 0, value_name = "PLACE")]
        after: u64,
    },
    /// Gives everything that is known of a run as JSON: report, definition, results, questions, and events
    Export {
        /// Id of the run
        run: RunId,
        /// Adds the journal, with every recorded call
        #[arg(long)]
        journal: bool,
        /// Writes it to this file
        #[arg(long, value_name = "FILE")]
        output_file: Option<PathBuf>,
    },
    /// Halts a run until it is resumed: nothing new starts, and what runs may finish
    Pause {
        /// Id of the run
        run: RunId,
    },
    /// Lists runs, the newest first
    List {
        /// Only runs in this state, such as running, waiting, paused, completed, failed, or cancelled
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

pub(super) fn state(text: &str) -> Result<RunState, String> {
    let known = RunState::ALL.iter().find(|state| state.as_str() == text).copied();
    known.ok_or_else(|| {
        let names: Vec<&str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
        format!("use one of {}", names.join(", "))
    })
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let action = match arguments(matches)? {
        Workflow { action: Action::Submit(submit) } => return submit::run(&context, submit),
        Workflow { action } => action,
    };
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|cancellation| async move {
        match action {
            Action::Submit(_) => Ok(Exit::Success),
            Action::Watch { run, after } => tokio::select! {
                done = watch::run(&runtime, &run, after, printer) => done,
                () = cancellation.cancelled() => Err(submit::left(&run)),
            },
            Action::Export { run, journal, output_file } => {
                let whole = export::value(&runtime, &run, journal).await?;
                match output_file {
                    Some(path) => submit::write(&path, &whole)?,
                    None => printer.text(&format!("{whole}\n"))?,
                }
                Ok(Exit::Success)
            }
            Action::Pause { run } => {
                runtime.pause(&run).await?;
                stand(&runtime, &run, printer).await
            }
            Action::List { state, name, limit } => {
                let runs = runtime.store().await?.runs(&RunFilter { state, name, limit, root: None }).await?;
                printer.data(&runs, || listed(&runs))?;
                Ok(Exit::Success)
            }
            Action::Status { run } => show_status(&runtime, &run, printer).await,
            Action::Results { run, reports } => show_results(&runtime, &run, &reports, printer).await,
            Action::Cancel { run } => {
                runtime.cancel(&run).await?;
                stand(&runtime, &run, printer).await
            }
            Action::Methods { reference: true } => {
                printer.text(&methods_reference(&runtime.methods()))?;
                Ok(Exit::Success)
            }
            Action::Methods { reference: false } => list_methods(&runtime, printer),
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

async fn stand(runtime: &Runtime, run: &RunId, printer: Printer) -> Result<Exit> {
    let report = runtime.report(run).await?;
    printer.data(&report, || format!("run {}: {}\n", report.id, report.state))?;
    Ok(Exit::Success)
}

async fn show_status(runtime: &Runtime, run: &RunId, printer: Printer) -> Result<Exit> {
    let report = runtime.report(run).await?;
    let mut asked = runtime.questions_below(run).await?;
    asked.retain(AskedQuestion::is_open);
    let mut value = json!(report);
    if !asked.is_empty() {
        value["questions"] = json!(asked);
    }
    let lines = asked.iter().map(described_question);
    printer.data(&value, || status(&report) + &lines.collect::<String>())?;
    Ok(Exit::Success)
}

async fn show_results(runtime: &Runtime, run: &RunId, reports: &[PathBuf], printer: Printer) -> Result<Exit> {
    super::run::report::check(reports)?;
    super::run::report::write(runtime, run, reports).await?;
    let report = runtime.report(run).await?;
    if report.state == RunState::Completed {
        return print(&report, printer);
    }
    Err(unfinished(&report))
}

fn list_methods(runtime: &Runtime, printer: Printer) -> Result<Exit> {
    let methods = runtime.methods();
    let rows: Vec<_> = methods.iter().map(described).collect();
    printer.data(&rows, || {
        table(["METHOD", ""], methods.iter().map(|row| [row.name().to_owned(), row.doc().to_owned()]))
    })?;
    Ok(Exit::Success)
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
        let state = task.state.to_string();
        let reason = task.error.as_ref().map_or("", |error| error.message.lines().next().unwrap_or_default());
        [task.name.clone(), state, task.attempt.to_string(), reason.to_owned()]
    });
    let tasks = table(["TASK", "STATE", "ATTEMPT", "REASON"], rows);
    let mut text = format!("run {} ({}): {}\n", report.id, report.name, report.state);
    if let Some(error) = &report.error {
        text.push_str(&format!("error: {}\n", error.message));
        text.extend(error.hint.iter().map(|hint| format!("hint: {hint}\n")));
    }
    text.push_str(&tasks);
    for child in &report.children {
        text.push_str(&format!(
            "task {} started run {} ({}): {}\n",
            child.task, child.id, child.name, child.state
        ));
    }
    text
}
