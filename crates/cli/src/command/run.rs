//! `motet run`: runs a workflow file to its end.

pub(super) mod report;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args};
use motet::core::event::EventSink;
use motet::core::store::{Durability, RunState, TaskState};
use motet::{Error, ErrorKind, ModelId, Result, RunId, RunReport, Runtime};
use serde_json::{Map, Value};

use super::workflow::submit::sound;
use super::{Row, arguments, model_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::progress::Progress;

pub(super) const ROW: Row = Row { name: "run", build: Run::augment_args, run };

/// Runs a workflow file to its end and prints its outputs
///
/// The run is kept in the store: when it fails or is interrupted, `motet workflow resume` goes on where it stopped.
#[derive(Args)]
struct Run {
    /// Workflow file
    file: PathBuf,
    /// Model that stands in for the workflow's own default, as `provider:model`
    #[arg(long, short, value_parser = model_id)]
    model: Option<ModelId>,
    /// Gives an input; the value is read as JSON where it is JSON, else as text
    #[arg(long = "input", short, value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// File for what each task and item came to: `.json` or `.md`; may be given several times
    #[arg(long = "report", value_name = "FILE")]
    reports: Vec<PathBuf>,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Run { file, model, inputs, reports } = arguments(matches)?;
    report::check(&reports)?;
    let inputs = inputs.iter().map(|pair| input(pair)).collect::<Result<Map<_, _>>>()?;
    let runtime = context.runtime()?;
    let printer = context.printer;
    let Some(workflow) = sound(&runtime, &file, printer)? else { return Ok(Exit::InvalidInput) };
    context.block_on(|cancellation| async move {
        let run = runtime.start(&workflow.spec, inputs, &workflow.run_settings(model)).await?;
        let exit = work(&runtime, &run, printer, &cancellation).await;
        report::write(&runtime, &run, &reports).await?;
        exit
    })
}

pub(super) fn input(pair: &str) -> Result<(String, Value)> {
    let (name, text) = pair.split_once('=').ok_or_else(|| {
        Error::new(ErrorKind::InvalidRequest, format!("`{pair}` is not an input"))
            .with_hint("write it as NAME=VALUE")
    })?;
    Ok((name.to_owned(), serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))))
}

/// Works on a run to its end, shows how it goes on, and prints what it came to.
pub(super) async fn work(
    runtime: &Runtime,
    run: &RunId,
    printer: Printer,
    cancellation: &tokio_util::sync::CancellationToken,
) -> Result<Exit> {
    let progress = Arc::new(Progress::new(printer));
    let events = Arc::clone(&progress) as Arc<dyn EventSink>;
    let worked = runtime.work(run, Some(events), cancellation).await;
    runtime.close_connections().await;
    progress.finish();
    match worked {
        Ok(report) => {
            let exit = print(&report, printer)?;
            let kept = runtime.store().await?.capabilities().durability > Durability::None;
            if report.state == RunState::Waiting && !printer.is_json() {
                printer
                    .note(&format!("it waits for a person; `motet questions {}` shows for what", report.id));
            } else if kept && report.state != RunState::Completed && !printer.is_json() {
                printer.note(&format!("resume it with `motet workflow resume {}`", report.id));
            }
            Ok(exit)
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            Err(error.with_hint(format!("`motet workflow resume {run}` goes on where it stopped")))
        }
        Err(error) => Err(error.with_context("run", run.as_str())),
    }
}

/// Prints the outputs as data, and how the run went beside them.
pub(super) fn print(report: &RunReport, printer: Printer) -> Result<Exit> {
    printer.data(report, || outputs(&report.outputs))?;
    if !printer.is_json() {
        for task in report.failures() {
            let message =
                task.error.as_ref().map_or("no reason was recorded", |error| error.message.as_str());
            let hint = task.error.as_ref().and_then(|error| error.hint.as_deref());
            printer.problem(&format!("task `{}` failed: {message}", task.name), hint);
        }
        printer.note(&summary(report));
    }
    Ok(match report.state {
        RunState::Completed => Exit::Success,
        state if state.is_halted() => Exit::Waiting,
        _ => Exit::Failed,
    })
}

/// Texts are printed as they are, everything else as JSON, one output a line.
pub(super) fn outputs(outputs: &Map<String, Value>) -> String {
    let line = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}: {text}\n"),
        other => format!("{name}: {other}\n"),
    };
    outputs.iter().map(line).collect()
}

fn summary(report: &RunReport) -> String {
    let count = |state| report.tasks.iter().filter(|task| task.state == state).count();
    let cost = report.cost.map_or("cost unknown".to_owned(), |cost| cost.to_string());
    let cached = match report.cached_calls {
        0 => String::new(),
        calls => format!(" ({calls} from the cache)"),
    };
    let mut line = format!(
        "run {} {} in {:.1} s: {} of {} tasks done, {} model calls{cached}, {} tokens, {cost}",
        report.id,
        report.state,
        report.seconds,
        count(TaskState::Done),
        report.tasks.len(),
        report.model_calls,
        report.usage.total(),
    );
    for state in [TaskState::Failed, TaskState::Dead, TaskState::Skipped, TaskState::Cancelled] {
        if count(state) > 0 {
            line.push_str(&format!(", {} {state}", count(state)));
        }
    }
    line
}
