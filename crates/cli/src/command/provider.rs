//! `motet provider`: what providers there are.

use clap::{ArgMatches, Args, Subcommand};
use comfy_table::{Table, presets};
use motet::{Result, Runtime};
use serde_json::{Value, json};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "provider", build: Provider::augment_args, run };

/// Shows the providers that models can be named of
#[derive(Args)]
struct Provider {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists providers, their addresses, and whether their keys are set
    List,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Provider { action: Action::List } = arguments(matches)?;
    let providers = context.runtime().map(|runtime| list(&runtime))?;
    context.printer.data(&providers, || table(&providers))?;
    Ok(Exit::Success)
}

fn list(runtime: &Runtime) -> Vec<Value> {
    let described = runtime.providers().into_iter().map(|provider| {
        json!({
            "name": provider.name,
            "doc": provider.doc,
            "dialect": provider.dialect,
            "base_url": provider.base_url,
            "key": provider.key,
            "ready": provider.ready,
        })
    });
    described.collect()
}

fn table(providers: &[Value]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["NAME", "READY", "KEY", "ADDRESS", ""]);
    for provider in providers {
        let text = |field: &str| provider[field].as_str().unwrap_or("-").to_owned();
        let ready = if provider["ready"] == true { "yes" } else { "no" };
        table.add_row([text("name"), ready.to_owned(), text("key"), text("base_url"), text("doc")]);
    }
    format!("{table}\n")
}
