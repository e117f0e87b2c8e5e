//! `motet eval`: records of runs, scored and compared, with exit codes for tests of other programs.
//!
//! One file below this one for each action.

mod compare;
mod export;
mod score;

use std::path::Path;

use clap::{ArgMatches, Args, Subcommand};
use motet::agents::EvalRecord;
use motet::{Error, ErrorKind, Result};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "eval", build: Eval::augment_args, run };

/// Exports records of runs, scores them, and compares them
#[derive(Args)]
struct Eval {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Writes records of stored runs, one line of JSON each
    Export(export::Export),
    /// Scores records: by expected values, expressions, schemas, or a model that judges
    Score(score::Score),
    /// Tells in what two files of records differ: answers, scores, tokens, cost, and time
    Compare(compare::Compare),
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    match arguments::<Eval>(matches)?.action {
        Action::Export(export) => export::run(context, export),
        Action::Score(score) => score::run(context, score),
        Action::Compare(compare) => compare::run(context, &compare),
    }
}

/// Gives records as lines of JSON.
fn lines(records: &[EvalRecord]) -> Result<String> {
    let mut text = String::new();
    for record in records {
        let line = serde_json::to_string(record).map_err(|error| {
            Error::new(ErrorKind::Internal, "a record cannot be written as JSON").with_source(error)
        })?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Writes a file anew.
fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| {
        let message = format!("`{}` cannot be written: {error}", path.display());
        Error::new(ErrorKind::InvalidRequest, message).with_source(error)
    })
}
