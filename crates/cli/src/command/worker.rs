//! `motet worker`: takes tasks of workflows from queues, of any run, until it is told to stop.

use std::sync::Arc;

use clap::{ArgMatches, Args, value_parser};
use motet::core::event::EventSink;
use motet::workers::WorkerOptions;
use motet::{Result, RunId, StreamEvent};
use serde_json::{Value, json};

use super::workflow::submit::kept;
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;

pub(super) const ROW: Row = Row { name: "worker", build: Worker::augment_args, run };

/// Takes tasks of workflows from queues, of any run, until it is told to stop
///
/// Any number of workers may share a store. The first interrupt, or SIGTERM, lets what runs finish for
/// `worker.drain_timeout`; the second one stops it at once. Either way nothing is lost: what was not finished is given back.
#[derive(Args)]
struct Worker {
    /// Queues to take tasks from, divided by commas; the setting `worker.queues` where it is left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    queues: Option<Vec<String>>,
    /// How many tasks run at once; the setting `max_parallel_tasks` where it is left out
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u32).range(1..))]
    parallel: Option<u32>,
    /// Takes them from the store of a `motet serve`, such as `http://host:7420`; the same as `--store URL`
    #[arg(long, value_name = "URL", value_parser = server, conflicts_with = "store_url")]
    server: Option<String>,
    /// Ends when no run has a task left that this worker could take
    #[arg(long)]
    once: bool,
}

/// Reads the address of a server.
fn server(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.to_owned());
    }
    Err("it begins with `http://` or `https://`".to_owned())
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Worker { queues, parallel, server, once } = arguments(matches)?;
    if let Some(url) = server {
        context.set("store", url, "flag --server");
    }
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on_draining(|signals| async move {
        let mut options = WorkerOptions::default();
        options.queues = queues.map(|names| names.iter().map(|name| name.trim().to_owned()).collect());
        options.max_parallel_tasks = parallel;
        options.listeners = Some(Arc::new(move |run: &RunId| {
            Arc::new(Log { run: run.clone(), printer }) as Arc<dyn EventSink>
        }));
        kept(&runtime).await?;
        let worker = runtime.worker(options).await?;
        printer.note(&format!("worker {} takes tasks", worker.id().as_str()));
        let worked = if once {
            worker.work_until_idle(&signals.now, &signals.drain).await
        } else {
            worker.work(&signals.now, &signals.drain).await
        };
        runtime.close_connections().await;
        let worked = worked?;
        printer.data(&json!({"event": "worker_stopped", "worked": worked}), || {
            format!(
                "{} attempts ended, {} given back, {} not used\n",
                worked.ended, worked.released, worked.lost
            )
        })?;
        Ok(Exit::Success)
    })
}

/// Prints what happens to the tasks of a run, one line each.
struct Log {
    run: RunId,
    printer: Printer,
}

impl EventSink for Log {
    fn emit(&self, event: &StreamEvent) {
        let text = match event {
            StreamEvent::TaskChanged { task, state, attempt, reason } => {
                let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("{} {task} {state} (attempt {attempt}){reason}\n", self.run)
            }
            StreamEvent::Warning { message } => format!("{} warning: {message}\n", self.run),
            _ => return,
        };
        let Ok(Value::Object(mut line)) = serde_json::to_value(event) else { return };
        line.insert("run".to_owned(), Value::from(self.run.as_str()));
        // A closed stdout leaves nobody to tell.
        let _ = self.printer.data(&line, || text);
    }
}
