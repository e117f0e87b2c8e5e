//! `motet tool`: the tools of all servers that the settings name, to look at and to call by hand.

use std::collections::BTreeSet;
use std::future::Future;

use clap::{ArgMatches, Args, Subcommand};
use motet::agents::Toolbox;
use motet::core::message::{Media, MediaSource};
use motet::core::tool::ToolOutput;
use motet::{Error, ErrorKind, Part, Result, RunContext, Runtime};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::mcp::{Place, first_line};
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "tool", build: Tool::augment_args, run };

/// Lists the tools of servers, and calls them
#[derive(Args)]
struct Tool {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists the tools of the servers that the settings name
    List(Place),
    /// Calls a tool and prints what it answers
    ///
    /// The command fails with code 1 when the tool answers with an error, which is printed like any other answer.
    Call(Call),
}

#[derive(Args)]
struct Call {
    /// Name of the tool, as `motet tool list` shows it
    name: String,
    /// Arguments as `name=value`; a value is read as JSON where the tool wants no text
    #[arg(value_name = "NAME=VALUE")]
    pairs: Vec<String>,
    /// Arguments as one JSON object; pairs are added to it
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
    #[command(flatten)]
    place: Place,
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    match arguments::<Tool>(matches)?.action {
        Action::List(place) => list(&mut context, &place),
        Action::Call(call) => answer(&mut context, call),
    }
}

fn list(context: &mut Context, place: &Place) -> Result<Exit> {
    let tools = with_tools(context, place, |tools, _| async move { Ok(tools.list()) })?;
    let shown: Vec<Value> = tools
        .iter()
        .map(|tool| {
            json!({
                "name": tool.name,
                "category": tool.category,
                "effect": tool.effect,
                "description": tool.description,
            })
        })
        .collect();
    context.printer.data(&shown, || {
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let rows = shown.iter().map(|tool| {
            [
                word(&tool["name"]),
                word(&tool["category"]),
                word(&tool["effect"]),
                first_line(&word(&tool["description"])),
            ]
        });
        table(["NAME", "CATEGORY", "EFFECT", "DESCRIPTION"], rows)
    })?;
    Ok(Exit::Success)
}

fn answer(context: &mut Context, call: Call) -> Result<Exit> {
    let Call { name, pairs, arguments, place } = call;
    let given = given(arguments.as_deref())?;
    let owner = if place.server.is_none() { owner(&place.runtime(context)?, &name)? } else { None };
    // Its server alone is asked; where the name only looks like one of that server's, all of them are.
    let alone = owner.map(|server| Place { server: Some(server), config: place.config.clone() });
    let (called, wanted) = (&name, (&given, pairs.as_slice()));
    let ask = |must: bool| {
        move |tools: Toolbox, cancellation: CancellationToken| async move {
            let spec = match tools.spec(called) {
                Err(error) if !must && error.kind() == ErrorKind::NotFound => return Ok(None),
                found => found?,
            };
            let arguments = filled(wanted.0.clone(), wanted.1, &spec.parameters)?;
            let run = RunContext::new().with_cancellation(cancellation);
            tools.call(&run, called, arguments).await.map(Some)
        }
    };
    let mut output = None;
    if let Some(alone) = &alone {
        output = with_tools(context, alone, ask(false))?;
    }
    if output.is_none() {
        output = with_tools(context, &place, ask(true))?;
    }
    let Some(output) = output else { return Ok(Exit::Failed) };
    show(context.printer, &name, &output)?;
    Ok(if output.is_error { Exit::Failed } else { Exit::Success })
}

/// Gives the server whose tools have names that begin as this one does.
fn owner(runtime: &Runtime, tool: &str) -> Result<Option<String>> {
    let servers = runtime.mcp_servers()?.into_iter().filter(|server| server.enabled);
    let prefixed = servers.filter_map(|server| {
        let prefix = server.config.prefix.unwrap_or_else(|| format!("{}_", server.name));
        let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        let prefix: String = prefix.chars().map(|one| if letter(one) { one } else { '_' }).collect();
        (!prefix.is_empty() && tool.starts_with(&prefix)).then_some((prefix.len(), server.name))
    });
    Ok(prefixed.max().map(|(_, name)| name))
}

/// Reaches the servers, does something with their tools, and takes leave. Servers that cannot be reached are told of.
fn with_tools<T, F: Future<Output = Result<T>>>(
    context: &mut Context,
    place: &Place,
    work: impl FnOnce(Toolbox, CancellationToken) -> F,
) -> Result<T> {
    let runtime: Runtime = place.runtime(context)?;
    let printer = context.printer;
    context.block_on(|cancellation| async move {
        let interrupted = || Error::new(ErrorKind::Cancelled, "the command was interrupted");
        let (tools, failures) = tokio::select! {
            reached = runtime.mcp_tools(place.server.as_deref()) => reached?,
            () = cancellation.cancelled() => return Err(interrupted()),
        };
        for failure in failures {
            printer.note(&format!("warning: {failure}"));
        }
        let done = work(tools, cancellation).await;
        runtime.close_mcp_servers().await;
        done
    })
}

fn given(text: Option<&str>) -> Result<Map<String, Value>> {
    let Some(text) = text else { return Ok(Map::new()) };
    serde_json::from_str(text).map_err(|error| {
        let message = format!("`--arguments` is not a JSON object: {error}");
        Error::new(ErrorKind::InvalidRequest, message).with_hint(r#"write it as '{"name": "value"}'"#)
    })
}

/// Adds arguments written as pairs, as the tool's schema wants them.
fn filled(mut arguments: Map<String, Value>, pairs: &[String], schema: &Value) -> Result<Value> {
    let mut seen = BTreeSet::new();
    for pair in pairs {
        let (name, text) = pair.split_once('=').ok_or_else(|| {
            Error::new(ErrorKind::InvalidRequest, format!("`{pair}` is no argument"))
                .with_hint("write arguments as `name=value`, or all of them with `--arguments`")
        })?;
        if !seen.insert(name) {
            return Err(Error::new(ErrorKind::InvalidRequest, format!("`{name}` is given twice"))
                .with_hint("give several values as one JSON list, such as `name=[1, 2]`"));
        }
        let kind = &schema["properties"][name]["type"];
        let wants_text =
            kind == "string" || kind.as_array().is_some_and(|kinds| kinds.contains(&json!("string")));
        let value = match serde_json::from_str(text) {
            Ok(value) if !wants_text => value,
            _ => Value::String(text.to_owned()),
        };
        arguments.insert(name.to_owned(), value);
    }
    Ok(Value::Object(arguments))
}

fn show(printer: Printer, name: &str, output: &ToolOutput) -> Result<()> {
    let shown = json!({"tool": name, "is_error": output.is_error, "content": output.content});
    printer.data(&shown, || {
        let mut text = String::new();
        for part in &output.content {
            text.push_str(&in_words(part));
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        text
    })
}

fn in_words(part: &Part) -> String {
    match part {
        Part::Text { text, .. } => text.clone(),
        Part::Image(Media { media_type, source, .. }) => {
            let kind = media_type.as_deref().unwrap_or("an image");
            match source {
                MediaSource::Base64(data) => {
                    format!("[{kind}, {} bytes]", data.trim_end_matches('=').len() * 3 / 4)
                }
                MediaSource::Url(url) => format!("[{kind} at {url}]"),
            }
        }
        _ => "[content that cannot be shown here]".to_owned(),
    }
}
