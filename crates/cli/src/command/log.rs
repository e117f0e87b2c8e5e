//! `motet log`: what the steps of stored runs did and cost.
//!
//! One file below this one for each action, and one for what people are shown of messages.

mod cost;
mod diff;
mod export;
mod show;
mod text;

use clap::{ArgMatches, Args, Subcommand};
use motet::Result;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) use cost::since;

pub(super) const ROW: Row = Row { name: "log", build: Log::augment_args, run };

/// Looks at what the steps of stored runs did
#[derive(Args)]
struct Log {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows the steps of a run in the order they were recorded
    Show(show::Show),
    /// Adds up what the model calls of runs cost
    Cost(cost::Cost),
    /// Writes a run as a cassette, from which it can be replayed anywhere
    Export(export::Export),
    /// Tells in what two runs differ: their states, tasks, and outputs
    Diff(diff::Diff),
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    match arguments::<Log>(matches)?.action {
        Action::Show(show) => show::run(context, show),
        Action::Cost(cost) => cost::run(context, cost),
        Action::Export(export) => export::run(context, export),
        Action::Diff(diff) => diff::run(context, &diff),
    }
}
