//! `motet deny`: says no to what a run asks: a call of an agent, or a task that asks a person.

use clap::{ArgMatches, Args};
use motet::core::decision::Decision;
use motet::{Result, RunId};

use super::approve::decide;
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "deny", build: Deny::augment_args, run };

/// Says no to what a run asks: the model is told so, and a task that asked fails or goes on without
#[derive(Args)]
struct Deny {
    /// Id of the run
    run: RunId,
    /// Step of the question; it may be left out where the run asks only one
    step: Option<String>,
    /// Why, for the model or the task
    #[arg(long)]
    reason: Option<String>,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Deny { run, step, reason } = arguments(matches)?;
    decide(&context, &run, step.as_deref(), Decision::Deny { reason })
}
