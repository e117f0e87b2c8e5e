//! Checks the models that tasks ask, and the MCP servers whose tools they call.

use std::collections::HashMap;

use motet_core::ModelId;

use super::flow::{asks_model, literal};
use super::places::View;
use super::{Found, ModelStanding, Surroundings, rules};
use crate::dag::reference::{list_of, nearest};
use crate::dag::yaml::{Content, Node, Place};
use crate::methods::server_and_tool;

pub(super) fn check(view: &View<'_>, around: &dyn Surroundings, found: &mut Found) {
    let mut known = HashMap::new();
    let mut tell = |id: &ModelId, place: Place, found: &mut Found| {
        let standing = known.entry(id.clone()).or_insert_with(|| around.model(id));
        told(id, standing, place, found);
    };
    if let Some(id) = &view.spec.model {
        tell(id, view.place("model"), found);
    }
    let default = view.spec.model.clone().or_else(|| around.default_model());
    for task in &view.tasks {
        if let Some(node) = task.params() {
            each_model(node, &mut |text, place| {
                if let Ok(id) = text.parse() {
                    tell(&id, place, found);
                }
            });
        }
        // The template of a batch holds its parameters itself.
        let own = task.spec.params.get("model").filter(|model| !model.is_null());
        if let (None, Some(Ok(id))) = (task.params(), own.and_then(literal).map(str::parse)) {
            tell(&id, task.param_place("model"), found);
        }
        let names_file = ["agent", "file"].iter().any(|name| task.spec.params.contains_key(*name));
        if asks_model(task, around) && own.is_none() && default.is_none() && !names_file {
            let message = format!("`{}` asks a model, but none is named", task.spec.id);
            let hint = "write `model:` in the workflow or the task, or give `--model` when it runs";
            found.add(&rules::NO_MODEL, task.key_place("method"), message, hint);
        }
    }
    servers(view, around, found);
}

fn told(id: &ModelId, standing: &ModelStanding, place: Place, found: &mut Found) {
    match standing {
        ModelStanding::Ready => {}
        ModelStanding::Wrong { message, hint } => {
            found.add_with(&rules::MODEL, place, message.clone(), hint.clone());
        }
        ModelStanding::NoKey(name) => {
            let message = format!("`{id}` needs a key, and `{name}` is not set");
            found.add(&rules::NO_KEY, place, message, format!("set `{name}` where the workflow runs"));
        }
        ModelStanding::Unlisted(near) => {
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "look at its spelling; its price is unknown too".to_owned(),
            };
            found.add(
                &rules::UNLISTED_MODEL,
                place,
                format!("`{id}` is not among the known models of its provider"),
                hint,
            );
        }
    }
}

/// Gives every text under the key `model`, such as those of a pattern's stages.
fn each_model(node: &Node, take: &mut impl FnMut(&str, Place)) {
    match &node.content {
        Content::Map(fields) => {
            for field in fields {
                match &field.node.content {
                    Content::String(text) if field.key == "model" && !text.contains("${") => {
                        take(text, field.node.place)
                    }
                    // Schemas and messages hold keys of their own.
                    _ if ["schema", "messages", "context", "metadata"].contains(&field.key.as_str()) => {}
                    _ => each_model(&field.node, take),
                }
            }
        }
        Content::List(items) => items.iter().for_each(|item| each_model(item, take)),
        _ => {}
    }
}

/// Reports calls of MCP servers that are not configured.
fn servers(view: &View<'_>, around: &dyn Surroundings, found: &mut Found) {
    let mut configured = None;
    for task in &view.tasks {
        let called = task.spec.method.strip_prefix("mcp/").filter(|name| name.contains('.'));
        let in_params = (task.spec.method == "mcp/call")
            .then(|| task.spec.params.get("server").and_then(literal))
            .flatten();
        if called.or(in_params).is_none() {
            continue;
        }
        let configured = configured.get_or_insert_with(|| around.mcp_servers());
        let known = configured.iter().chain(view.spec.providers.keys()).map(String::as_str);
        let server = match called {
            Some(name) => server_and_tool(name, known).map(|(server, _)| server),
            None => in_params,
        };
        let Some(server) = server.filter(|name| !["tool", "tools"].contains(name)) else { continue };
        let own = view.spec.providers.get(server).is_some_and(serde_json::Value::is_object);
        if own || configured.iter().any(|name| name == server) {
            continue;
        }
        let names = || configured.iter().map(String::as_str);
        let hint = match nearest(server, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if configured.is_empty() => "name servers in `.mcp.json`, or set `mcp.file`".to_owned(),
            None => format!("the servers are {}", list_of(names())),
        };
        let message = format!("there is no MCP server `{server}`");
        found.add(&rules::MCP_SERVER, task.key_place("method"), message, hint);
    }
}
