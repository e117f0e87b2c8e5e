//! `motet batch`: asks a model about many files, or many requests of one file.

mod asked;
mod outputs;
mod prompt;
mod report;
mod shape;
mod source;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Args, ValueEnum as _};
use futures::StreamExt as _;
use motet::batch::{BatchResult, BatchRun, BatchSummary, Keeping};
use motet::core::event::EventSink;
use motet::core::settings::duration;
use motet::core::store::Durability;
use motet::{Error, ErrorKind, ModelId, Result, RunContext, RunId, Runtime, StreamEvent};
use tokio_util::sync::CancellationToken;

use self::asked::Asked;
use self::outputs::{Head, Outputs};
use self::source::Source;
use self::view::View;
use super::{Row, arguments, model_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::notices::Notices;
use crate::printer::{Output, Printer};

pub(super) const ROW: Row = Row { name: "batch", build: Batch::augment_args, run };

/// Failures that are told one by one; of more, only the number.
const MOST_TOLD: u64 = 20;

/// Asks a model about many files, or many requests of one file
///
/// The input is a directory, whose files are each put to the prompt, or a `.jsonl` file with one request a line. What is
/// answered is kept in the store: a batch that failed, was interrupted, or was killed goes on with `--resume ID`, and
/// pays for nothing twice.
#[derive(Args)]
struct Batch {
    /// Directory, or file with one JSON request a line; what it was before, with `--resume`
    #[arg(required_unless_present = "resume")]
    input: Option<PathBuf>,
    #[command(flatten)]
    what: What,
    /// How many requests run at the same time; the setting `batch.max_concurrent`
    #[arg(long, value_name = "N")]
    max_concurrent: Option<u32>,
    /// What a failed request does to the others: `fail_fast`, `continue`, or `collect`; the setting `batch.strategy`
    #[arg(long)]
    strategy: Option<String>,
    /// How often requests that failed in a way that may pass are tried again after all others; the setting `batch.retry_failed`
    #[arg(long, value_name = "N")]
    retry_failed: Option<u32>,
    /// Longest time of each try of a request, such as `30s`
    #[arg(long, value_parser = time)]
    timeout: Option<Duration>,
    /// File for the results: `.jsonl` grows as they come, `.json` and `.md` are written at the end; may be given several times
    #[arg(long = "output-file", value_name = "FILE")]
    output_files: Vec<PathBuf>,
    /// Form of the data on stdout, `text` or `json`, or a file as with `--output-file`
    #[arg(long, default_value = "text", value_name = "FORM|FILE", value_parser = form)]
    output: Output,
    /// Name of the batch: begins it, or goes on with it
    #[arg(long, conflicts_with = "resume")]
    name: Option<String>,
    /// Id of an earlier batch to go on with
    #[arg(long, value_name = "ID")]
    resume: Option<RunId>,
    /// Asks anew where a request is another than when it was answered; else it fails
    #[arg(long)]
    redo_changed: bool,
    /// Shows no progress, on a terminal either
    #[arg(long)]
    no_progress: bool,
}

/// What is asked of which model about what.
#[derive(Args, Clone, Default, PartialEq)]
struct What {
    /// Files of the directory, such as `*.txt` or `**/*.md`; all that lie in it where none is given; may be given several times
    #[arg(long = "pattern", value_name = "GLOB")]
    patterns: Vec<String>,
    /// What to ask about each file; `{file}` stands for its path, `{name}` for its name, and `{content}` for its text, which
    /// else follows the prompt
    #[arg(long)]
    prompt: Option<String>,
    /// Instructions that stand above each prompt
    #[arg(long)]
    system: Option<String>,
    /// Model as `provider:model`; the setting `model` where it is left out
    #[arg(long, short, value_parser = model_id)]
    model: Option<ModelId>,
    /// Sends images and PDFs with the prompt
    #[arg(long)]
    vision: bool,
    /// File with a JSON schema that each answer must satisfy
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Only so many files or requests
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

fn time(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("write a number and a unit, such as `30s`, `500ms`, or `2m`".to_owned()),
    }
}

/// Reads a form of stdout; the name of a file is one whose results do not go there.
fn form(text: &str) -> Result<Output, String> {
    match Output::from_str(text, false) {
        Err(_) if report::form(Path::new(text)).is_some() => Ok(Output::Text),
        other => {
            other.map_err(|_| "use `text`, `json`, or a file that ends in .json, .jsonl, or .md".to_owned())
        }
    }
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    let mut args: Batch = arguments(matches)?;
    let written = matches.get_raw("output").and_then(Iterator::last).map(PathBuf::from);
    args.output_files.extend(written.filter(|file| report::form(file).is_some()));
    for (option, value) in [
        ("batch.max_concurrent", args.max_concurrent.map(|number| number.to_string())),
        ("batch.strategy", args.strategy.clone()),
        ("batch.retry_failed", args.retry_failed.map(|number| number.to_string())),
    ] {
        if let Some(value) = value {
            let flag = option.trim_start_matches("batch.").replace('_', "-");
            context.set(option, value, &format!("flag --{flag}"));
        }
    }
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|cancellation| async move { batch(&runtime, &args, printer, cancellation).await })
}

async fn batch(
    runtime: &Runtime,
    args: &Batch,
    printer: Printer,
    cancellation: CancellationToken,
) -> Result<Exit> {
    let asked = asked(runtime, args).await?;
    let source = Source::open(&asked, runtime, &args.output_files).await?;
    let keeping = keeping(args)?
        .titled(format!("batch of {}", asked.named))
        .redoing_changed(args.redo_changed)
        .described(asked.description()?);
    Outputs::check(&args.output_files, &asked.input)?;
    let head = Head::new(&keeping.id, &asked, source.count());
    let view = Arc::new(View::new(printer, !args.no_progress, source.count()));
    let events = Telling { view: Arc::clone(&view), notices: Notices::new(printer.is_json()) };
    let run = RunContext::new().with_cancellation(cancellation.clone()).with_events(Arc::new(events));
    let options = {
        let mut options = runtime.batch_options();
        options.timeout = args.timeout;
        options
    };
    let batch = runtime.batch(source.requests()).options(options);
    let running = runtime.keep_batch(&run, batch, &keeping).await?;
    let outputs = Outputs::open(head, &args.output_files, printer)?;
    let exit = Taking { outputs, view, printer, stop: cancellation }.take(running).await;
    if exit != Exit::Success && !printer.is_json() {
        let durability = runtime.store().await?.capabilities().durability;
        if durability > Durability::None {
            printer.note(&format!("go on with it by `motet batch --resume {}`", keeping.id));
        }
    }
    Ok(exit)
}

/// Gives what is asked: by the command line, or as the batch that goes on was asked.
async fn asked(runtime: &Runtime, args: &Batch) -> Result<Asked> {
    if let Some(input) = &args.input {
        return Asked::new(input, &args.what, runtime);
    }
    if args.what != What::default() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "what a batch asks is given anew without its input",
        )
        .with_hint("name the directory or file too, or leave out patterns, prompt, model, and the like"));
    }
    let Some(id) = &args.resume else {
        return Err(Error::new(ErrorKind::InvalidRequest, "there is no input"));
    };
    let stored = runtime.store().await?.run(id).await?;
    let stored = stored.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("there is no batch `{id}` in this store")).with_hint(
            "`motet workflow list` shows what is there; the setting `store` says which store is read",
        )
    })?;
    Asked::stored(stored.definition, id)
}

fn keeping(args: &Batch) -> Result<Keeping> {
    match (&args.resume, &args.name) {
        (Some(id), _) => Ok(Keeping::resumed(id.clone())),
        (None, Some(name)) => Keeping::named(name),
        (None, None) => Ok(Keeping::new()),
    }
}

/// Takes results and brings them to where they go.
struct Taking {
    outputs: Outputs,
    view: Arc<View>,
    printer: Printer,
    /// Ends the batch.
    stop: CancellationToken,
}

impl Taking {
    /// Takes all results. From here on every error is told here, as a part of the one JSON value where that is wanted.
    async fn take(mut self, mut running: BatchRun) -> Exit {
        let mut told = 0;
        let mut broken = None;
        while let Some(result) = running.next().await {
            let taken = match result {
                Ok(result) => self.take_one(&result, &mut told),
                error => error.map(drop),
            };
            if let Err(error) = taken {
                broken = Some(error);
                break;
            }
        }
        self.view.finish();
        if told > MOST_TOLD {
            self.printer.note(&format!("and {} more that failed", told - MOST_TOLD));
        }
        let ended = match broken {
            Some(error) => {
                // The batch is given back to the store, or nobody could go on with it until its lease is over.
                self.stop.cancel();
                let _ = running.finish().await;
                Err(error)
            }
            None => running.finish().await,
        };
        let written = self.outputs.end(ended.as_ref());
        match ended.and_then(|summary| written.map(|()| summary)) {
            Ok(summary) => {
                if !self.printer.is_json() {
                    self.printer.note(&self.line(&summary));
                }
                exit(&summary)
            }
            Err(error) => {
                if !self.printer.is_json() {
                    self.printer.problem(&error.to_string(), error.hint());
                }
                Exit::Failed
            }
        }
    }

    fn take_one(&mut self, result: &BatchResult, told: &mut u64) -> Result<()> {
        self.view.add(result);
        if let Some(error) = result.error().filter(|_| !self.printer.is_json()) {
            *told += 1;
            if *told <= MOST_TOLD {
                let message = format!("{}: {}", result.id, error.message);
                self.view.suspend(|| self.printer.problem(&message, error.hint.as_deref()));
            }
        }
        self.outputs.take(result, &self.view)
    }

    fn line(&self, summary: &BatchSummary) -> String {
        let BatchSummary { total, succeeded, .. } = summary;
        let mut line = format!("batch {}: {succeeded} of {total} requests answered", self.outputs.id());
        for (count, what) in [
            (summary.failed, "failed"),
            (summary.cancelled, "cancelled"),
            (summary.not_started, "not begun"),
            (summary.kept, "kept from before"),
        ] {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        let cost = match summary.cost {
            Some(cost) => cost.to_string(),
            None => format!("{} and {} requests of unknown cost", summary.known_cost, summary.unpriced),
        };
        let (calls, tokens, seconds) =
            (summary.model_calls, summary.usage.total(), summary.elapsed.as_secs_f64());
        line.push_str(&format!("; {calls} model calls, {tokens} tokens, {cost}, {seconds:.1} s"));
        line
    }
}

fn exit(summary: &BatchSummary) -> Exit {
    match summary.error() {
        None => Exit::Success,
        Some(_) if summary.interrupted => Exit::Interrupted,
        Some(_) => Exit::Failed,
    }
}

/// Tells what people should know of many requests at once, while the line of progress makes room.
struct Telling {
    view: Arc<View>,
    notices: Notices,
}

impl EventSink for Telling {
    fn emit(&self, event: &StreamEvent) {
        if let Some(line) = self.notices.line(event) {
            self.view.note(&line);
        }
    }
}
