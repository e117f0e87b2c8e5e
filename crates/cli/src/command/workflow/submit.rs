//! `motet workflow submit`: stores a run for workers, and waits for it where that is wanted.

use std::path::{Path, PathBuf};

use clap::Args;
use motet::core::store::Durability;
use motet::core::workflow::Priority;
use motet::workflow::FileError;
use motet::workflows::dag::plan::RunSettings;
use motet::{Error, ErrorKind, ModelId, Result, RunId, Runtime, WorkflowFile};
use serde_json::{Map, Value, json};

use super::super::check::{print_problems, problems_value};
use super::super::model_id;
use super::super::run::input;
use super::watch::{Place, follow};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::{Printer, printed};

/// What is stored, and how.
#[derive(Args)]
pub(super) struct Submit {
    /// Workflow file
    file: PathBuf,
    /// Model that stands in for the workflow's own default, as `provider:model`
    #[arg(long, short, value_parser = model_id)]
    model: Option<ModelId>,
    /// Gives an input; the value is read as JSON where it is JSON, else as text
    #[arg(long = "input", short, value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// Gives inputs as one JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    params: Option<Map<String, Value>>,
    /// Priority of the tasks that have none of their own: urgent, high, normal, or low
    #[arg(long, value_parser = priority)]
    priority: Option<Priority>,
    #[command(flatten)]
    waiting: Waiting,
}

/// What becomes of a run after it was stored.
#[derive(Args)]
pub(in super::super) struct Waiting {
    /// Name of the work: submitting again with the same key gives the run that is there, and stores nothing
    #[arg(long)]
    pub(in super::super) key: Option<String>,
    /// Prints the id and leaves the run to workers, as is done where nothing is said
    #[arg(long, conflicts_with = "wait")]
    pub(in super::super) detach: bool,
    /// Waits until workers have ended the run, and ends as it did
    #[arg(long)]
    pub(in super::super) wait: bool,
    /// Writes the report of the run to this file, as JSON; needs `--wait`
    #[arg(long, value_name = "FILE", requires = "wait")]
    pub(in super::super) output_file: Option<PathBuf>,
}

/// Reads a JSON object of the command line.
pub(in super::super) fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("this is not a JSON object: {error}"))
}

fn priority(text: &str) -> Result<Priority, String> {
    serde_json::from_value(Value::from(text)).map_err(|_| "use urgent, high, normal, or low".to_owned())
}

pub(super) fn run(context: &Context, submit: Submit) -> Result<Exit> {
    let Submit { file, model, inputs, params, priority, waiting } = submit;
    let mut given = params.unwrap_or_default();
    for pair in &inputs {
        let (name, value) = input(pair)?;
        given.insert(name, value);
    }
    let runtime = context.runtime()?;
    let printer = context.printer;
    let Some(workflow) = sound(&runtime, &file, printer)? else { return Ok(Exit::InvalidInput) };
    context.block_on(|cancellation| async move {
        kept(&runtime).await?;
        let settings = RunSettings { priority, ..workflow.run_settings(model) };
        let run = runtime.start_once(&workflow.spec, given, &settings, waiting.key.clone()).await?;
        tokio::select! {
            done = submitted(&runtime, &run, &waiting, printer) => done,
            () = cancellation.cancelled() => Err(left(&run)),
        }
    })
}

/// Reads a workflow file, and prints its problems where it has any.
pub(in super::super) fn sound(
    runtime: &Runtime,
    file: &Path,
    printer: Printer,
) -> Result<Option<WorkflowFile>> {
    match runtime.read_workflow(file) {
        Ok(workflow) => Ok(Some(workflow)),
        Err(FileError::Unreadable(error)) => Err(error),
        Err(FileError::Problems(problems)) => {
            if printer.is_json() {
                let mut shape = printed(&Error::from(problems.clone()));
                shape["problems"] = problems_value(&problems);
                printer.data(&json!({"error": shape}), String::new)?;
            } else {
                print_problems(file, &problems, printer);
            }
            Ok(None)
        }
    }
}

/// Refuses a store that ends with the command: nobody would ever work on the run, or submit one to the worker.
pub(in super::super) async fn kept(runtime: &Runtime) -> Result<()> {
    if runtime.store().await?.capabilities().durability > Durability::None {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Configuration,
        "the store ends with this command, so that runs and workers never meet in it",
    )
    .with_hint("set `store` to `sqlite:PATH`, or use `motet run`"))
}

/// Says what was stored, and waits for its end where that is wanted.
pub(in super::super) async fn submitted(
    runtime: &Runtime,
    run: &RunId,
    waiting: &Waiting,
    printer: Printer,
) -> Result<Exit> {
    if !waiting.wait {
        printer.data(&json!({"run": run}), || format!("{run}\n"))?;
        printer.note(&format!("`motet worker` works on it; `motet workflow watch {run}` follows it"));
        return Ok(Exit::Success);
    }
    let state = follow(runtime, run, Place { after: 0, shows_events: false }, printer).await?;
    let report = runtime.report(run).await?;
    if let Some(path) = &waiting.output_file {
        write(path, &report)?;
    }
    let exit = super::super::run::print(&report, printer)?;
    if state.is_halted() && !printer.is_json() {
        printer.note(&format!("it goes on when somebody decides: `motet questions {run}`"));
    }
    Ok(exit)
}

/// Writes a value as indented JSON.
pub(super) fn write(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "a report cannot be written as JSON").with_source(error)
    })?;
    std::fs::write(path, text + "\n").map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be written: {error}", path.display()))
    })
}

/// Makes the error of somebody who stopped waiting.
pub(in super::super) fn left(run: &RunId) -> Error {
    Error::new(ErrorKind::Cancelled, "nobody waits for the run any more; workers go on with it")
        .with_hint(format!("`motet workflow watch {run}` follows it; `motet workflow cancel {run}` stops it"))
}
