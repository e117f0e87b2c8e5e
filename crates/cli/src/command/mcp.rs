//! `motet mcp`: the servers of tools that the settings name, and what they offer.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Subcommand};
use motet::mcp::NamedServer;
use motet::providers::mcp::McpServer;
use motet::{Error, ErrorKind, Result, Runtime};
use serde_json::{Value, json};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::printed;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "mcp", build: Mcp::augment_args, run };

/// Shows servers of the Model Context Protocol
#[derive(Args)]
struct Mcp {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Starts the servers that the settings name, and lists their tools, resources, and prompts
    ///
    /// It is no failure if some cannot be reached, unless one is named.
    List(Place),
}

/// Which servers.
#[derive(Args)]
pub(super) struct Place {
    /// Only the server of this name
    #[arg(long, value_name = "NAME")]
    pub(super) server: Option<String>,
    /// File that names the servers, in place of the setting `mcp.file`
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl Place {
    /// Wires the runtime with the servers of this place; a relative path of the flag starts at the current directory.
    pub(super) fn runtime(&self, context: &mut Context) -> Result<Runtime> {
        if let Some(file) = &self.config {
            let path = std::path::absolute(file).map_err(|error| {
                Error::new(ErrorKind::Configuration, format!("`{}` is no path: {error}", file.display()))
            })?;
            context.set("mcp.file", path.display().to_string(), "flag --config");
        }
        context.runtime()
    }
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Mcp { action: Action::List(place) } = arguments(matches)?;
    let runtime = place.runtime(&mut context)?;
    let mut servers = runtime.mcp_servers()?;
    if let Some(name) = &place.server {
        servers.retain(|server| server.name == *name);
    }
    let named = place.server.as_deref();
    let shown = context.block_on(|cancellation| async move {
        // A name that is not there is told with those that are.
        if let Some(name) = named.filter(|_| servers.is_empty()) {
            runtime.mcp_server(name).await?;
        }
        let looks = servers.iter().map(|server| look(&runtime, server, named.is_some()));
        let looking = futures::future::join_all(looks);
        tokio::select! {
            shown = looking => {
                runtime.close_mcp_servers().await;
                Ok(shown)
            }
            () = cancellation.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the list was interrupted")),
        }
    })?;
    let failed = shown.iter().any(|server| server["state"] == "failed");
    if !context.printer.is_json() {
        for server in &shown {
            tell(&context, server);
        }
    }
    context.printer.data(&shown, || text(&shown, named.is_some()))?;
    Ok(if failed && named.is_some() { Exit::Failed } else { Exit::Success })
}

/// Tells on stderr what went wrong with a server.
fn tell(context: &Context, server: &Value) {
    let name = server["name"].as_str().unwrap_or_default();
    if let Some(message) = server["error"]["message"].as_str() {
        context.printer.problem(&format!("{name}: {message}"), server["error"]["hint"].as_str());
    }
    for warning in server["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        context.printer.note(&format!("warning: {warning}"));
    }
}

/// Looks at a server; one that is switched off is looked at only where it is asked for.
async fn look(runtime: &Runtime, server: &NamedServer, is_named: bool) -> Value {
    let transport = if server.config.url.is_some() { "http" } else { "stdio" };
    let mut shown = json!({"name": server.name, "transport": transport});
    let found = if server.enabled || is_named {
        match runtime.mcp_server(&server.name).await {
            Ok(server) => offers(&server).await,
            Err(error) => Err(error),
        }
    } else {
        Ok(json!({"state": "disabled"}))
    };
    let found = found.unwrap_or_else(|error| json!({"state": "failed", "error": printed(&error)}));
    if let (Value::Object(shown), Value::Object(found)) = (&mut shown, found) {
        shown.extend(found);
    }
    shown
}

async fn offers(server: &McpServer) -> Result<Value> {
    let tools = server.tools().await?;
    let tools: Vec<Value> = tools
        .iter()
        .map(|tool| {
            let spec = tool.spec();
            json!({
                "name": spec.name,
                "description": spec.description,
                "effect": tool.effect(),
                "parameters": spec.parameters,
            })
        })
        .collect();
    let implementation =
        server.implementation().await.map(|(name, version)| json!({"name": name, "version": version}));
    Ok(json!({
        "state": "connected",
        "implementation": implementation,
        "tools": tools,
        "resources": server.resources().await?,
        "resource_templates": server.resource_templates().await?,
        "prompts": server.prompts().await?,
        "warnings": server.warnings().await?,
    }))
}

fn text(servers: &[Value], is_named: bool) -> String {
    if servers.is_empty() {
        return "no servers are named; write them into `.mcp.json`, or set `mcp.file`\n".to_owned();
    }
    let count = |server: &Value, field: &str| {
        server[field].as_array().map_or_else(|| "-".to_owned(), |list| list.len().to_string())
    };
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let rows = servers.iter().map(|server| {
        [
            word(&server["name"]),
            word(&server["state"]),
            word(&server["transport"]),
            count(server, "tools"),
            count(server, "resources"),
            count(server, "resource_templates"),
            count(server, "prompts"),
        ]
    });
    let mut text = table(["NAME", "STATE", "TRANSPORT", "TOOLS", "RESOURCES", "TEMPLATES", "PROMPTS"], rows);
    if let (true, [server]) = (is_named, servers) {
        for (title, field, name) in [
            ("TOOL", "tools", "name"),
            ("RESOURCE", "resources", "uri"),
            ("TEMPLATE", "resource_templates", "uri_template"),
            ("PROMPT", "prompts", "name"),
        ] {
            let entries = server[field].as_array().map(Vec::as_slice).unwrap_or_default();
            if !entries.is_empty() {
                let rows = entries
                    .iter()
                    .map(|entry| [word(&entry[name]), first_line(&word(&entry["description"]))]);
                text.push('\n');
                text.push_str(&table([title, "DESCRIPTION"], rows));
            }
        }
    }
    text
}

/// Gives the beginning of a description, for a table.
pub(super) fn first_line(text: &str) -> String {
    const LONGEST: usize = 80;
    let line = text.lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}
