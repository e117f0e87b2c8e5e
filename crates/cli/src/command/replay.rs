//! `motet replay`: runs a recorded run again from its recording, and compares.

use std::path::Path;
use std::sync::Arc;

use clap::{ArgMatches, Args};
use motet::agent;
use motet::core::cassette::Cassette;
use motet::core::event::EventSink;
use motet::providers::replay;
use motet::recording::{KIND, Replayed};
use motet::{Result, RunId, Runtime};
use serde_json::Value;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::progress::Progress;

pub(super) const ROW: Row = Row { name: "replay", build: Replay::augment_args, run };

/// Runs a recorded run again from its recording, and tells whether it comes to the same
///
/// Nothing is sent and no key is needed: models, Python, and files answer as they did when the run was recorded. The
/// command ends with 0 when all is equal, and with 1 when something differs.
#[derive(Args)]
struct Replay {
    /// Cassette that `motet log export` wrote, or the id of a run in the store
    #[arg(value_name = "FILE|RUN")]
    recording: String,
    /// Fails at a step that was not recorded; the setting `replay.strict` where neither flag is given
    #[arg(long, conflicts_with = "no_strict")]
    strict: bool,
    /// Answers a model call that was not recorded by the next recorded answer, with a warning
    #[arg(long)]
    no_strict: bool,
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Replay { recording, strict, no_strict } = arguments(matches)?;
    if strict {
        context.set("replay.strict", "true", "flag --strict");
    }
    if no_strict {
        context.set("replay.strict", "false", "flag --no-strict");
    }
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|cancellation| async move {
        let cassette = find(&runtime, &recording).await?;
        let progress = Arc::new(Progress::new(printer));
        let events = Arc::clone(&progress) as Arc<dyn EventSink>;
        let strict = runtime.settings().replay.strict;
        let replayed = runtime.replay(cassette, strict, Some(events), &cancellation).await;
        progress.finish();
        print(&replayed?, printer)
    })
}

/// Reads a file where there is one of this name, and a run of the store where the name could be one's id.
async fn find(runtime: &Runtime, recording: &str) -> Result<Cassette> {
    let path = Path::new(recording);
    match recording.parse::<RunId>() {
        Ok(run) if !path.exists() => runtime.cassette(&run).await,
        _ => replay::read(path),
    }
}

fn print(replayed: &Replayed, printer: Printer) -> Result<Exit> {
    printer.data(replayed, || outputs(replayed))?;
    let exit = if replayed.equal { Exit::Success } else { Exit::Failed };
    if printer.is_json() {
        return Ok(exit);
    }
    for difference in &replayed.differences {
        printer.problem(&difference.to_string(), None);
    }
    let Replayed { run, state, answered, differences, .. } = replayed;
    let verdict = match differences.len() {
        0 => "as recorded".to_owned(),
        1 => "with 1 difference".to_owned(),
        several => format!("with {several} differences"),
    };
    printer.note(&format!(
        "run {run} replayed {verdict}: {state}, {answered} answers from the recording, nothing sent"
    ));
    Ok(exit)
}

/// A call and an agent print their answers as `motet complete` does, a workflow its outputs as `motet run` does.
fn outputs(replayed: &Replayed) -> String {
    let text = replayed.outputs.get("text").and_then(Value::as_str);
    match text {
        Some(text) if replayed.kind == KIND || replayed.kind == agent::KIND => {
            if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
        }
        _ => super::run::outputs(&replayed.outputs),
    }
}
