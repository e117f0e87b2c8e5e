//! `motet config`: what the settings are, and where they came from.

use clap::{ArgMatches, Args, Subcommand};
use motet::Result;
use motet::core::settings::{Loaded, reference_markdown};
use serde_json::{Value, json};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "config", build: Config::augment_args, run };

/// Shows the settings
#[derive(Args)]
struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows every option, its value, and where the value came from; secrets are masked
    Show {
        /// Prints the reference of all options as Markdown instead
        #[arg(long)]
        reference: bool,
    },
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Config { action: Action::Show { reference } } = arguments(matches)?;
    if reference {
        context.printer.text(&reference_markdown())?;
        return Ok(Exit::Success);
    }
    let options = rows(&context.discover()?.loaded);
    context.printer.data(&options, || shown(&options))?;
    Ok(Exit::Success)
}

fn rows(loaded: &Loaded) -> Vec<Value> {
    loaded
        .show()
        .iter()
        .map(|row| json!({"option": row.path, "value": row.value, "origin": row.origin.name}))
        .collect()
}

fn shown(options: &[Value]) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let rows = options
        .iter()
        .map(|option| [text(&option["option"]), text(&option["value"]), text(&option["origin"])]);
    table(["OPTION", "VALUE", "FROM"], rows)
}
