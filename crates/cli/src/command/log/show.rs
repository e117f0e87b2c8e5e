//! `motet log show`: the steps of one run.

use clap::Args;
use motet::core::run_log::Entry;
use motet::core::store::Sequenced;
use motet::{Error, ErrorKind, Result, RunId};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

/// Entries that are read at once.
const PAGE: u32 = 500;

#[derive(Args)]
pub(super) struct Show {
    /// Id of the run
    run: RunId,
}

pub(super) fn run(context: Context, show: Show) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let store = runtime.store().await?;
        if store.run(&show.run).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no run `{}`", show.run))
                .with_hint("`motet workflow list` shows the runs of the store"));
        }
        let mut entries: Vec<Sequenced> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.seq);
            let page = store.records(&show.run, after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            entries.extend(page);
        }
        printer.data(&json!(entries), || {
            let rows = entries.iter().map(|entry| {
                let what = match entry.record.entry() {
                    Entry::Started { label, .. } => format!("started {label}"),
                    Entry::Finished { .. } => "finished".to_owned(),
                    Entry::Failed { error } => format!("failed: {}", error.message),
                    _ => "other".to_owned(),
                };
                [entry.seq.to_string(), entry.record.step().to_owned(), what]
            });
            table(["SEQ", "STEP", "WHAT"], rows)
        })?;
        Ok(Exit::Success)
    })
}
