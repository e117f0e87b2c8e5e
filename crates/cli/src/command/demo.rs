//! `motet demo`: things to try Motet with that need no account.
//!
//! One file below this one for each.

mod provider;

use clap::{ArgMatches, Args, Subcommand};
use motet::Result;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "demo", build: Demo::augment_args, run };

/// Starts things to try Motet with that need no account
#[derive(Args)]
struct Demo {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Runs a provider on this machine that has quotas and faults like a real one, until it is interrupted
    ///
    /// It speaks OpenAI's API: chat plain and streamed, embeddings, and the list of models. The first line on stdout is its
    /// address; when it is interrupted, it tells what became of the requests of every key.
    Provider(provider::Provider),
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    match arguments::<Demo>(matches)?.action {
        Action::Provider(provider) => provider::run(&context, &provider),
    }
}
