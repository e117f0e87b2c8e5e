//! `mcp/<server>.<tool>` and `mcp/tool.<tool>`: tools of servers, as tasks call them.
//!
//! A server is one of the settings' file or of the workflow's `providers`; it is connected to when a task needs it.

use std::sync::Arc;

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::content_hash;
use motet_core::method::{FileScope, Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::run_log::{Step, StepKind};
use motet_core::tool::{Effect, Tool, ToolContext};
use motet_core::{Part, RunContext, ToolOutput};
use motet_providers::mcp::McpServer;
use motet_workflows::methods::{MethodFamily, builtin_tools, server_and_tool};
use serde_json::{Map, Value, json};

use crate::mcp::server;
use crate::runtime::Runtime;

/// What names of tools begin with.
const FAMILY: &str = "mcp/";
/// In the place of a server: any that has the tool.
const ANY: &str = "tool.";

/// The tools of all servers.
pub(super) struct McpTools {
    runtime: Runtime,
}

impl McpTools {
    pub(super) fn new(runtime: Runtime) -> Self {
        Self { runtime }
    }
}

impl MethodFamily for McpTools {
    fn find(&self, name: &str, providers: &Map<String, Value>) -> Result<Option<Arc<dyn Method>>> {
        let Some(rest) = name.strip_prefix(FAMILY) else { return Ok(None) };
        let mut own = providers.clone();
        own.retain(|_, written| written.get("type").and_then(Value::as_str) == Some("mcp"));
        let servers = self.runtime.mcp_servers()?;
        let names: Vec<String> =
            own.keys().cloned().chain(servers.into_iter().map(|server| server.name)).collect();
        let (server, tool) = match rest.strip_prefix(ANY) {
            Some("") => return Ok(None),
            Some(tool) => (None, tool),
            None => match server_and_tool(rest, names.iter().map(String::as_str)) {
                None => return Ok(None),
                Some((server, tool)) if names.iter().any(|name| name == server) => {
                    (Some(server.to_owned()), tool)
                }
                Some((server, _)) => return Err(no_server(server, rest, &names)),
            },
        };
        Ok(Some(Arc::new(McpMethod {
            name: name.to_owned(),
            server,
            tool: tool.to_owned(),
            providers: own,
            runtime: self.runtime.clone(),
        })))
    }
}

/// Gives the method of this name though nothing is known of its server; `None` where the name cannot be that of a tool.
pub(super) fn unreached(runtime: &Runtime, name: &str) -> Option<Arc<dyn Method>> {
    let (server, tool) = name.strip_prefix(FAMILY)?.split_once('.')?;
    Some(Arc::new(McpMethod {
        name: name.to_owned(),
        server: Some(server.to_owned()),
        tool: tool.to_owned(),
        providers: Map::new(),
        runtime: runtime.clone(),
    }))
}

fn no_server(server: &str, rest: &str, names: &[String]) -> Error {
    let error =
        Error::new(ErrorKind::Configuration, format!("there is no server `{server}` for `mcp/{rest}`"));
    let known: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    error.with_hint(if known.is_empty() {
        "name it in `.mcp.json`, or in the workflow's `providers` with `type: mcp`".to_owned()
    } else {
        format!("the servers are {}", known.join(", "))
    })
}

/// One tool.
struct McpMethod {
    name: String,
    /// `None` where any server that has it will do.
    server: Option<String>,
    tool: String,
    /// Servers that the workflow itself names.
    providers: Map<String, Value>,
    runtime: Runtime,
}

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: Parameter::ANY_NAME,
        kind: ParameterKind::Any,
        required: false,
        doc: "the tool's own parameters, which its server checks",
    },
    Parameter {
        name: "arguments",
        kind: ParameterKind::Any,
        required: false,
        doc: "all of them as one object, instead",
    },
];

impl McpMethod {
    async fn reach(&self, name: &str, scope: &FileScope) -> Result<McpServer> {
        let Some(written) = self.providers.get(name) else { return self.runtime.mcp_server(name).await };
        let named = server(name, written, &scope.base).map_err(|why| {
            Error::new(ErrorKind::Configuration, format!("the provider `{name}` cannot be used: {why}"))
        })?;
        let key = format!("{name}@{}", content_hash(&(written, &scope.base))?);
        self.runtime.connected_as(key, named).await
    }

    async fn find(&self, scope: &FileScope) -> Result<Arc<dyn Tool>> {
        if let Some(server) = &self.server {
            return self.reach(server, scope).await?.tool(&self.tool).await;
        }
        let listed = self.runtime.mcp_servers()?.into_iter().filter(|server| server.enabled);
        let names: Vec<String> =
            self.providers.keys().cloned().chain(listed.map(|server| server.name)).collect();
        let mut found: Vec<(String, Arc<dyn Tool>)> = Vec::new();
        let mut failures = Vec::new();
        for name in &names {
            let tool = async { self.reach(name, scope).await?.tool(&self.tool).await };
            match tool.await {
                Ok(tool) => found.push((name.clone(), tool)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => failures.push(error),
            }
        }
        let servers: Vec<String> =
            found.iter().map(|(name, _)| format!("`mcp/{name}.{}`", self.tool)).collect();
        match (found.pop(), found.is_empty(), failures.into_iter().next()) {
            (Some((_, tool)), true, _) => Ok(tool),
            (Some(_), false, _) => Err(Error::new(
                ErrorKind::Configuration,
                format!("several servers have a tool `{}`", self.tool),
            )
            .with_hint(format!("name one of them: {}", servers.join(", ")))),
            (None, _, Some(error)) => Err(error),
            (None, _, None) => {
                Err(Error::new(ErrorKind::NotFound, format!("no server has a tool `{}`", self.tool))
                    .with_hint("`motet mcp list` shows what servers offer"))
            }
        }
    }
}

impl McpMethod {
    fn unless_failed(&self, output: ToolOutput) -> Result<ToolOutput> {
        if output.is_error {
            let message = format!("`{}` failed: {}", self.name, text_of(&output));
            return Err(Error::new(ErrorKind::ToolFailed, message));
        }
        Ok(output)
    }
}

fn text_of(output: &ToolOutput) -> String {
    output.content.iter().filter_map(Part::as_text).collect::<Vec<_>>().join("\n")
}

#[async_trait]
impl Method for McpMethod {
    fn name(&self) -> &str {
        &self.name
    }

    fn doc(&self) -> &'static str {
        "Calls a tool of a server of the Model Context Protocol"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`response` (also `content`) holds the text of the answer, `result` its value where it is JSON, and the text otherwise; `parts` holds everything where there is more than text."
    }

    /// Each call is a step of the run log with the tool's own effect.
    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        json!({
            "type": "object",
            "properties": {
                "response": {"type": "string"}, "content": {"type": "string"}, "result": true,
                "parts": {"type": "array"},
            },
            "required": ["response", "content", "result"],
            "additionalProperties": false,
        })
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let arguments = Value::Object(builtin_tools::arguments(call.params)?);
        let hash = content_hash(&(&self.server, &self.tool, &arguments))?;
        let step = |effect: Effect| Step {
            name: "tool",
            kind: StepKind::Tool,
            request_hash: &hash,
            effect,
            label: &self.name,
        };
        // A replay has no servers, and what was answered once is not asked for again.
        let (effect, found) = match context.log().lookup(&context.key("tool")) {
            Some(recorded) => (recorded.effect, None),
            None => {
                let tool = self.find(&call.files).await?;
                (tool.effect(), Some(tool))
            }
        };
        let ask = || async {
            let tool = match found {
                Some(tool) => tool,
                None => self.find(&call.files).await?,
            };
            let asked = ToolContext { run: context, call_id: &hash, idempotency_key: &call.idempotency_key };
            // What the tool calls an error is one of the step, so that the task's next attempt asks again.
            self.unless_failed(tool.call(arguments.clone(), &asked).await?)
        };
        // Runs of earlier versions recorded failures as results.
        let output = self.unless_failed(context.step(step(effect), ask).await?)?;
        let text = text_of(&output);
        let value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.clone()));
        let mut result = json!({"response": text, "content": text, "result": value});
        if output.content.iter().any(|part| part.as_text().is_none())
            && let Some(fields) = result.as_object_mut()
        {
            fields.insert("parts".to_owned(), json!(output.content));
        }
        Ok(result.into())
    }
}
