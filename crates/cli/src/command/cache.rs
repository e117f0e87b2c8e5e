//! `motet cache`: the answers that are kept in the store.

use clap::{ArgMatches, Args, Subcommand};
use motet::core::answers::{AnswerCounts, Removed};
use motet::core::store::SharedStore;
use motet::{Error, ErrorKind, Result};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "cache", build: Cache::augment_args, run };

/// Looks at the answers that are kept in the store, and removes them
///
/// Answers are kept there where the setting `cache.place` is `store`; those in memory end with their process.
#[derive(Args)]
struct Cache {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Counts the answers and their bytes
    Stats,
    /// Removes all answers
    Clear,
    /// Removes answers whose time is over, then the oldest until no more is kept than `cache.store_mb` allows
    Prune,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let action = arguments::<Cache>(matches)?.action;
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let store = runtime.store().await?;
        let answers = store.answers().ok_or_else(|| keeps_none(&store))?;
        match action {
            Action::Stats => {
                let counts = answers.counts().await?;
                printer.data(&counts, || counted(&counts))?;
            }
            Action::Clear => {
                let removed = answers.clear().await?;
                printer.data(&removed, || told(removed))?;
            }
            Action::Prune => {
                let most = u64::from(runtime.settings().cache.store_mb) << 20;
                let removed = answers.prune(most).await?;
                printer.data(&removed, || told(removed))?;
            }
        }
        Ok(Exit::Success)
    })
}

fn keeps_none(store: &SharedStore) -> Error {
    let name = store.capabilities().name;
    Error::new(ErrorKind::Unsupported, format!("the store `{name}:` keeps no answers"))
}

fn counted(counts: &AnswerCounts) -> String {
    let AnswerCounts { answers, bytes, expired, oldest_seconds } = counts;
    let oldest = oldest_seconds.map(|seconds| format!("; the oldest is {seconds} s old")).unwrap_or_default();
    format!("{answers} answers, {bytes} bytes, {expired} over their time{oldest}\n")
}

fn told(removed: Removed) -> String {
    format!("removed {} answers, {} bytes\n", removed.answers, removed.bytes)
}
