//! `motet store`: stores as a whole.

use std::path::Path;

use clap::{ArgMatches, Args, Subcommand};
use motet::persistence::migrate::{Held, Migrated, is_there, migrate};
use motet::store::{StoreAccess, open};
use motet::{Error, ErrorKind, Result};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "store", build: Store::augment_args, run };

/// Copies stores
#[derive(Args)]
struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Copies all runs, conversations, and budgets from one store to another
    ///
    /// What is there already stays as it is and is counted, so that copying again adds what is missing. Kept answers are
    /// not copied.
    Migrate {
        /// Store to read, such as `sled:runs`
        from: String,
        /// Store to write, such as `sqlite:runs.db`
        to: String,
        /// Copies also while workers have tasks in hand: these are ready in the copy, and run again
        #[arg(long)]
        force: bool,
    },
}

/// Runs between two lines of progress.
const PROGRESS: u64 = 100;

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Action::Migrate { from, to, force } = arguments::<Store>(matches)?.action;
    check(&from, &to)?;
    let printer = context.printer;
    let access = StoreAccess::of(&context.discover()?.loaded.settings);
    let held = if force { Held::Copy } else { Held::Refuse };
    context.block_on(|_| async move {
        let here = Path::new("");
        let (from, to) = (open(&from, here, &access).await?, open(&to, here, &access).await?);
        let migrated = migrate(&from, &to, held, |done, all| {
            if printer.shows_progress() && (done == all || done % PROGRESS == 0) {
                printer.note(&format!("{done} of {all} runs"));
            }
        });
        let migrated = migrated.await?;
        printer.data(&migrated, || told(&migrated))?;
        Ok(Exit::Success)
    })
}

fn check(from: &str, to: &str) -> Result<()> {
    if from == to {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("`{from}` would be copied to itself")));
    }
    if let Some(url) = [from, to].into_iter().find(|url| url.starts_with("memory:")) {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("`{url}` ends with this command"))
            .with_hint("name a store that is kept, such as `sqlite:runs.db`"));
    }
    motet::persistence::backend(to)?;
    if !is_there(from, Path::new("")) {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no store `{from}`")));
    }
    Ok(())
}

fn told(migrated: &Migrated) -> String {
    let Migrated { runs, tasks, skipped_runs, conversations, skipped_conversations, books, skipped_books } =
        migrated;
    let there = |count: &u64| if *count > 0 { format!(" ({count} there already)") } else { String::new() };
    format!(
        "copied {runs} runs with {tasks} tasks{}, {conversations} conversations{}, {books} budgets{}\n",
        there(skipped_runs),
        there(skipped_conversations),
        there(skipped_books)
    )
}
