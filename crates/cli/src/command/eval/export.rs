//! `motet eval export`: records of what stored runs were asked, did, and answered.

use std::path::PathBuf;

use clap::Args;
use motet::core::Millis;
use motet::core::store::RunFilter;
use motet::{Error, ErrorKind, Result, RunId, Runtime};

use super::{lines, write};
use crate::command::log::since;
use crate::context::Context;
use crate::exit::Exit;

#[derive(Args)]
pub(super) struct Export {
    /// Ids of the runs; all runs of the store where none is given
    #[arg(value_name = "RUN")]
    runs: Vec<RunId>,
    /// Only runs stored since then: a date such as 2026-05-03 (UTC), or a time ago such as 7d or 12h
    #[arg(long, value_parser = since, conflicts_with = "runs")]
    since: Option<Millis>,
    /// File to write; stdout where not given
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) fn run(context: Context, export: Export) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let Export { runs, since, to } = export;
        let runs = if runs.is_empty() { stored(&runtime, since).await? } else { runs };
        let mut records = Vec::new();
        for run in &runs {
            records.extend(runtime.eval_records(run).await?);
        }
        let text = lines(&records)?;
        match to {
            Some(path) => write(&path, &text)?,
            None => printer.text(&text)?,
        }
        if records.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "no model was called in these runs").with_hint(
                "runs are stored by workflows, batches with a name, and the setting `record.calls`",
            ));
        }
        printer.note(&format!("{} records of {} runs", records.len(), runs.len()));
        Ok(Exit::Success)
    })
}

/// Gives the runs of the store, the oldest first.
async fn stored(runtime: &Runtime, since: Option<Millis>) -> Result<Vec<RunId>> {
    let runs = runtime.store().await?.runs(&RunFilter::default()).await?.into_iter();
    let chosen = runs.filter(|run| since.is_none_or(|since| run.created_at >= since));
    let mut ids: Vec<RunId> = chosen.map(|run| run.id).collect();
    ids.reverse();
    Ok(ids)
}
