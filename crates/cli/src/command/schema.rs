//! `motet schema`: prints the JSON schemas of the files that people write, for their editors.

use clap::{ArgMatches, Args, ValueEnum};
use motet::Result;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "schema", build: Schema::augment_args, run };

/// Prints the JSON schema of a kind of file, by which editors complete and check it
#[derive(Args)]
struct Schema {
    /// Kind of the file
    #[arg(value_enum)]
    kind: Kind,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Workflows.
    Workflow,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Schema { kind } = arguments(matches)?;
    let runtime = context.runtime()?;
    let schema = match kind {
        Kind::Workflow => runtime.workflow_schema(),
    };
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    context.printer.text(&format!("{text}\n"))?;
    Ok(Exit::Success)
}
