//! `motet questions`: lists what runs ask people, whoever asks.

use clap::{ArgMatches, Args};
use motet::{Result, RunId};

use super::agent::questions;
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "questions", build: Questions::augment_args, run };

/// Lists what agents and tasks of workflows ask people and nobody has answered
#[derive(Args)]
struct Questions {
    /// Only those of this run, answered ones included
    run: Option<RunId>,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Questions { run } = arguments(matches)?;
    questions(&context, run.as_ref())
}
