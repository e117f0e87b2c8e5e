//! `motet deny`: keeps a run from making a call that it waits with.

use clap::{ArgMatches, Args};
use motet::core::decision::Decision;
use motet::{Result, RunId};

use super::approve::decide;
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "deny", build: Deny::augment_args, run };

/// Keeps a run from making a call that it waits with; the model is told so
#[derive(Args)]
struct Deny {
    /// Id of the run
    run: RunId,
    /// Step of the question; it may be left out where the run asks only one
    step: Option<String>,
    /// Why, for the model
    #[arg(long)]
    reason: Option<String>,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Deny { run, step, reason } = arguments(matches)?;
    decide(&context, &run, step.as_deref(), Decision::Deny { reason })
}
