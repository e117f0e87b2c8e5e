//! `motet log diff`: in what two runs differ.

use std::path::Path;

use clap::Args;
use motet::core::cassette::Cassette;
use motet::providers::replay;
use motet::{Result, RunId, Runtime};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;

#[derive(Args)]
pub(super) struct Diff {
    /// The newer run: its id, or a cassette
    #[arg(value_name = "RUN|FILE")]
    now: String,
    /// The run that it is compared with: its id, or a cassette
    #[arg(value_name = "RUN|FILE")]
    before: String,
}

pub(super) fn run(context: Context, diff: &Diff) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let now = find(&runtime, &diff.now).await?;
        let before = find(&runtime, &diff.before).await?;
        let differences = motet::recording::compare(&now, &before)?;
        let report = json!({"equal": differences.is_empty(), "differences": differences});
        printer.data(&report, || differences.iter().map(|difference| format!("{difference}\n")).collect())?;
        if differences.is_empty() {
            printer.note("the runs came to the same");
            return Ok(Exit::Success);
        }
        Ok(Exit::Failed)
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
