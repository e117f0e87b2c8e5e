//! Every command, as rows: one file below this one and one row in [`ROWS`].

mod agent;
mod approve;
mod backend;
mod batch;
mod cache;
mod chat;
mod check;
mod complete;
mod completions;
mod config;
mod conversation;
mod demo;
mod deny;
mod embed;
mod eval;
mod graph;
mod log;
mod mcp;
mod model;
mod plan;
mod provider;
mod questions;
mod replay;
mod rpc;
mod run;
mod schema;
mod serve;
mod store;
mod system;
mod task;
mod tool;
mod worker;
mod workflow;

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use motet::core::settings::duration;
use motet::{Error, ErrorKind, ModelId, Result};

use crate::context::Context;
use crate::exit::Exit;
use crate::printer::{Output, Printer};

/// One command.
pub(crate) struct Row {
    /// Its name on the command line.
    name: &'static str,
    /// Its arguments and help.
    build: fn(Command) -> Command,
    /// Does it.
    run: fn(Context, &ArgMatches) -> Result<Exit>,
}

const ROWS: &[Row] = &[
    complete::ROW,
    chat::ROW,
    conversation::ROW,
    embed::ROW,
    batch::ROW,
    agent::ROW,
    approve::ROW,
    deny::ROW,
    questions::ROW,
    run::ROW,
    check::ROW,
    plan::ROW,
    graph::ROW,
    schema::ROW,
    workflow::ROW,
    task::ROW,
    worker::ROW,
    serve::ROW,
    backend::ROW,
    system::ROW,
    log::ROW,
    replay::ROW,
    eval::ROW,
    cache::ROW,
    store::ROW,
    provider::ROW,
    model::ROW,
    tool::ROW,
    mcp::ROW,
    rpc::ROW,
    config::ROW,
    demo::ROW,
    completions::ROW,
];

/// Builds the whole command line.
pub(crate) fn cli() -> Command {
    let root = Command::new("motet")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Reliable, fast LLM work: from one completion to a durable workflow of many agents")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("output")
                .long("output")
                .global(true)
                .value_parser(value_parser!(Output))
                .default_value("text")
                .help("Form of the data on stdout"),
        )
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .short('q')
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Prints only data and errors"),
        )
        .arg(
            Arg::new("set")
                .long("set")
                .global(true)
                .value_name("OPTION=VALUE")
                .action(ArgAction::Append)
                .help("Sets an option, such as `python.timeout=10s`; `motet config show` lists them"),
        )
        .arg(
            Arg::new("store_url")
                .long("store")
                .global(true)
                .value_name("URL")
                .help("Store to work on, such as `sqlite:runs.db` or, of a `motet serve`, `http://host:7420`; else the setting `store`"),
        );
    ROWS.iter().fold(root, |root, row| root.subcommand((row.build)(Command::new(row.name))))
}

/// Runs the command that was asked for.
pub(crate) fn dispatch(matches: &ArgMatches, printer: &Printer) -> Result<Exit> {
    let Some((name, arguments)) = matches.subcommand() else {
        return Err(Error::new(ErrorKind::InvalidRequest, "no command was given"));
    };
    let row = ROWS.iter().find(|row| row.name == name);
    let row =
        row.ok_or_else(|| Error::new(ErrorKind::InvalidRequest, format!("there is no command `{name}`")))?;
    (row.run)(Context::new(*printer, arguments), arguments)
}

/// Reads a command's own arguments.
fn arguments<A: Args + FromArgMatches>(matches: &ArgMatches) -> Result<A> {
    A::from_arg_matches(matches).map_err(|error| Error::new(ErrorKind::InvalidRequest, error.to_string()))
}

/// Reads a model id of the command line; the parser shows no hints, so it stands in the message.
fn model_id(text: &str) -> Result<ModelId, String> {
    text.parse().map_err(|error: Error| match error.hint() {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_string(),
    })
}

/// Reads a length of time of the command line.
fn length_of_time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}
