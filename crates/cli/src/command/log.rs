//! `motet log`: what the steps of stored runs did and cost.
//!
//! One file below this one for each action.

mod cost;
mod show;

use clap::{ArgMatches, Args, Subcommand};
use motet::Result;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

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
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    match arguments::<Log>(matches)?.action {
        Action::Show(show) => show::run(context, show),
        Action::Cost(cost) => cost::run(context, cost),
    }
}
