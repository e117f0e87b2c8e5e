//! Servers of the Model Context Protocol, whose tools agents and tasks can call.
//!
//! A server that ends is started again when it is next asked. A call that was under way then is not sent again: whether
//! it took effect is unknown, and its result says so. Knows no agent, no workflow, and no settings file.

mod connection;
mod content;
pub(crate) mod expand;
mod http;
mod listener;
mod listing;
mod message;
mod names;
pub(crate) mod process;
mod schema;
mod stdio;
pub(crate) mod told;
mod tool;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::mcp::ServerConfig;
use motet_core::tool::ToolSource;
use motet_core::{Error, ErrorKind, Message, Part, Result, Retry, Role, Tool, ToolContext, ToolOutput};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use expand::Variables;
pub use listing::{PromptArgument, PromptInfo, ResourceInfo, ResourceTemplateInfo};

use connection::{Connection, Expanded, Question, Trouble};
use tool::{McpTool, Offered};

/// Wait before the second attempt in a row to start a server again; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait before an attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Pages of one list that are read.
const PAGES: usize = 100;

/// A connection to a server; cheap to clone, and closed with its last clone, which its tools are too.
#[derive(Clone)]
pub struct McpServer(Arc<Shared>);

struct Shared {
    name: String,
    config: ServerConfig,
    expanded: Expanded,
    slot: tokio::sync::Mutex<Slot>,
    listed: Mutex<Option<Listed>>,
    /// Counts what may have changed the tools: the server's word, and new connections.
    changes: Arc<AtomicU64>,
}

/// The connection, where there is one, and how lately it was made.
#[derive(Default)]
struct Slot {
    connection: Option<Arc<Connection>>,
    /// Attempts to connect since the server last answered.
    attempts: u32,
    not_before: Option<Instant>,
}

/// The list of tools as it was at a count of changes.
#[derive(Clone)]
struct Listed {
    changes: u64,
    tools: Vec<Arc<Offered>>,
    warnings: Vec<String>,
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpServer").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl McpServer {
    /// Starts the server or connects to it, and shakes hands. `${NAME}` in its environment and headers takes a variable
    /// of this process.
    ///
    /// # Errors
    /// `Configuration` when neither or both of program and address are set, when the program cannot be started, or when
    /// a variable is not set; `Connection` and `Timeout` when the server cannot be reached.
    pub async fn connect(name: &str, config: ServerConfig) -> Result<Self> {
        Self::connect_with(name, config, &|name| std::env::var(name).ok()).await
    }

    /// Does as [`connect`](Self::connect) with variables from elsewhere.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(name: &str, config: ServerConfig, variables: &Variables<'_>) -> Result<Self> {
        let expanded = Expanded {
            env: expand::expanded(name, &config.env, variables)?,
            headers: expand::expanded(name, &config.headers, variables)?,
        };
        let server = Self(Arc::new(Shared {
            name: name.to_owned(),
            config,
            expanded,
            slot: tokio::sync::Mutex::default(),
            listed: Mutex::default(),
            changes: Arc::default(),
        }));
        server.connection().await?;
        Ok(server)
    }

    /// Gives its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Gives name and version that the server tells of itself; `None` where it tells none or is not connected.
    pub async fn implementation(&self) -> Option<(String, String)> {
        self.0.slot.lock().await.connection.as_ref()?.implementation()
    }

    /// Gives the tools that it offers now; the list is read again when the server says that it has changed.
    ///
    /// # Errors
    /// `Connection` and `Timeout` when the server cannot be reached; `ToolFailed` when it gives no list.
    pub async fn tools(&self) -> Result<Vec<Arc<dyn Tool>>> {
        let tools = self.listed().await?.tools.into_iter();
        Ok(tools
            .map(|offered| Arc::new(McpTool { server: self.clone(), offered }) as Arc<dyn Tool>)
            .collect())
    }

    /// Gives the tool of this name, which is the server's own or the one under which models are shown it.
    ///
    /// # Errors
    /// As [`tools`](Self::tools); `NotFound` when the server offers no such tool.
    pub async fn tool(&self, name: &str) -> Result<Arc<dyn Tool>> {
        let tools = self.listed().await?.tools;
        if let Some(offered) = tools.iter().find(|offered| offered.name == name || offered.spec.name == name)
        {
            return Ok(Arc::new(McpTool { server: self.clone(), offered: Arc::clone(offered) }));
        }
        let names: Vec<String> = tools.iter().map(|offered| format!("`{}`", offered.name)).collect();
        let error =
            Error::new(ErrorKind::NotFound, format!("the server `{}` has no tool `{name}`", self.0.name));
        Err(if names.is_empty() {
            error
        } else {
            error.with_hint(format!("its tools are {}", names.join(", ")))
        })
    }

    /// Tells which tools are left out, and why.
    ///
    /// # Errors
    /// As [`tools`](Self::tools).
    pub async fn warnings(&self) -> Result<Vec<String>> {
        Ok(self.listed().await?.warnings)
    }

    /// Gives what the server lets read; nothing where it has no resources.
    ///
    /// # Errors
    /// As [`tools`](Self::tools).
    pub async fn resources(&self) -> Result<Vec<ResourceInfo>> {
        self.list_of("resources", "resources/list", "resources").await.map(listing::entries)
    }

    /// Gives the families of what the server lets read; nothing where it has no resources.
    ///
    /// # Errors
    /// As [`tools`](Self::tools).
    pub async fn resource_templates(&self) -> Result<Vec<ResourceTemplateInfo>> {
        self.list_of("resources", "resources/templates/list", "resourceTemplates").await.map(listing::entries)
    }

    /// Gives the prompts that the server offers; nothing where it has none.
    ///
    /// # Errors
    /// As [`tools`](Self::tools).
    pub async fn prompts(&self) -> Result<Vec<PromptInfo>> {
        self.list_of("prompts", "prompts/list", "prompts").await.map(listing::entries)
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// As [`tools`](Self::tools); `ToolFailed` when the server has no such resource.
    pub async fn read_resource(&self, uri: &str) -> Result<Vec<Part>> {
        let result = self.ask_again("resources/read", json!({"uri": uri})).await?;
        Ok(content::resource(&result))
    }

    /// Gives the messages of a prompt.
    ///
    /// # Errors
    /// As [`tools`](Self::tools); `ToolFailed` when the server has no such prompt or wants other arguments.
    pub async fn get_prompt(&self, name: &str, arguments: &Value) -> Result<Vec<Message>> {
        let result = self.ask_again("prompts/get", json!({"name": name, "arguments": arguments})).await?;
        let messages = result.get("messages").and_then(Value::as_array).into_iter().flatten();
        let read = |message: &Value| {
            let is_model = message.get("role").and_then(Value::as_str) == Some("assistant");
            let role = if is_model { Role::Assistant } else { Role::User };
            Message { role, parts: content::block(message.get("content").unwrap_or(&Value::Null)) }
        };
        Ok(messages.map(read).collect())
    }

    /// Takes leave: a program is given a few seconds to end by itself. Asking again starts it again.
    pub async fn close(&self) {
        let connection = self.0.slot.lock().await.connection.take();
        if let Some(connection) = connection.and_then(Arc::into_inner) {
            connection.close().await;
        }
    }

    fn timeout(&self) -> Duration {
        self.0.config.timeout
    }

    /// Calls a tool by the server's own name.
    async fn call(&self, tool: &str, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        let params = json!({"name": tool, "arguments": arguments});
        let cancellation = Some(context.run.cancellation());
        let mut asked = self.ask("tools/call", params.clone(), cancellation).await?;
        // What certainly was not heard is safe to say again over a new connection.
        if matches!(asked, Err(Trouble::Unsent(_))) {
            asked = self.ask("tools/call", params, cancellation).await?;
        }
        match asked {
            Ok(result) => Ok(content::output(&result)),
            Err(Trouble::Lost(why)) => Ok(ToolOutput::error(format!(
                "the server `{}` was lost while it ran `{tool}`; whether the call took effect is unknown: {why}",
                self.0.name
            ))),
            Err(trouble) => Err(self.failure(&format!("`{tool}`"), trouble)),
        }
    }

    /// Gives the open connection, or makes one. Attempts in a row wait longer and longer.
    async fn connection(&self) -> Result<Arc<Connection>> {
        let mut slot = self.0.slot.lock().await;
        if let Some(open) = slot.connection.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(open));
        }
        slot.connection = None;
        if let Some(moment) = slot.not_before {
            tokio::time::sleep_until(moment).await;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << slot.attempts.min(10)).min(LONGEST_PAUSE);
        slot.attempts = slot.attempts.saturating_add(1);
        let Shared { name, config, expanded, changes, .. } = &*self.0;
        let opened = Connection::open(name, config, expanded, Arc::clone(changes)).await;
        slot.not_before = Some(Instant::now() + pause);
        // What a new process offers need not be what the old one did.
        changes.fetch_add(1, Ordering::SeqCst);
        let connection = Arc::new(opened?);
        slot.connection = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Asks within the server's time limit, connecting where that is needed.
    async fn ask(
        &self,
        method: &'static str,
        params: Value,
        cancellation: Option<&CancellationToken>,
    ) -> Result<Result<Value, Trouble>> {
        let begun = Instant::now();
        let connecting = tokio::time::timeout(self.timeout(), self.connection());
        let Ok(connection) = connecting.await else {
            return Err(self.failure("the connection", Trouble::TimedOut).with_unsent());
        };
        let timeout = self.timeout().saturating_sub(begun.elapsed());
        let answer = connection?.ask(Question { method, params, timeout, cancellation }).await;
        if matches!(answer, Ok(_) | Err(Trouble::Refused { .. })) {
            // Whoever holds it connects, which means that this answer was the last of its connection.
            if let Ok(mut slot) = self.0.slot.try_lock() {
                (slot.attempts, slot.not_before) = (0, None);
            }
        }
        Ok(answer)
    }

    /// Asks what changes nothing, and once more where the connection was lost over it.
    async fn ask_again(&self, method: &'static str, params: Value) -> Result<Value> {
        let answer = match self.ask(method, params.clone(), None).await? {
            Err(Trouble::Lost(_) | Trouble::Unsent(_)) => self.ask(method, params, None).await?,
            answer => answer,
        };
        answer.map_err(|trouble| self.failure(&format!("`{method}`"), trouble))
    }

    /// Reads all pages of a list; nothing where the server does not say that it can give one.
    async fn list_of(&self, capability: &str, method: &'static str, field: &str) -> Result<Vec<Value>> {
        let capabilities = self.connection().await?.capabilities();
        let can = match capability {
            "tools" => capabilities.tools.is_some(),
            "prompts" => capabilities.prompts.is_some(),
            _ => capabilities.resources.is_some(),
        };
        let mut entries = Vec::new();
        let mut cursors = BTreeSet::new();
        let mut params = json!({});
        for _ in 0..if can { PAGES } else { 0 } {
            let mut page = self.ask_again(method, params).await?;
            match page.get_mut(field).map(Value::take) {
                Some(Value::Array(more)) => entries.extend(more),
                _ => {
                    let why = format!("the server `{}` answered `{method}` without a list", self.0.name);
                    return Err(Error::new(ErrorKind::ToolFailed, why));
                }
            }
            let cursor = page.get("nextCursor").and_then(Value::as_str).filter(|cursor| !cursor.is_empty());
            match cursor {
                // A cursor that was given before leads in a circle.
                Some(cursor) if cursors.insert(cursor.to_owned()) => params = json!({"cursor": cursor}),
                _ => break,
            }
        }
        Ok(entries)
    }

    async fn listed(&self) -> Result<Listed> {
        self.connection().await?;
        let changes = self.0.changes.load(Ordering::SeqCst);
        let known = self.0.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.changes == changes) {
            return Ok(known);
        }
        let entries = self.list_of("tools", "tools/list", "tools").await?;
        let (tools, warnings) = listing::tools(&self.0.name, &self.0.config, entries);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let listed = Listed { changes, tools: tools.into_iter().map(Arc::new).collect(), warnings };
        *self.0.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(listed.clone());
        Ok(listed)
    }

    fn failure(&self, what: &str, trouble: Trouble) -> Error {
        let server = &self.0.name;
        match trouble {
            Trouble::Refused { code, message } => {
                let kind = if code == -32602 { ErrorKind::InvalidRequest } else { ErrorKind::ToolFailed };
                Error::new(kind, format!("the server `{server}` refused {what}: {message}"))
                    .with_context("code", code.to_string())
            }
            Trouble::Lost(why) => Error::new(
                ErrorKind::Connection,
                format!("the server `{server}` was lost over {what}: {why}"),
            )
            .with_retry(Retry::Backoff),
            Trouble::Unsent(why) => Error::new(
                ErrorKind::Connection,
                format!("{what} could not be sent to the server `{server}`: {why}"),
            )
            .with_retry(Retry::Backoff)
            .with_unsent(),
            Trouble::TimedOut => {
                let limit = self.timeout();
                let text = format!("the server `{server}` gave no answer to {what} within {limit:?}");
                Error::new(
                    ErrorKind::Timeout,
                    text + "; it was told to stop, and may have acted all the same",
                )
                .with_hint(format!("give `{server}` more `timeout` where that is too short"))
            }
            Trouble::Cancelled => {
                Error::new(ErrorKind::Cancelled, format!("{what} of the server `{server}` was cancelled"))
            }
        }
    }
}

#[async_trait]
impl ToolSource for McpServer {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn tools(&self) -> Result<Vec<Arc<dyn Tool>>> {
        McpServer::tools(self).await
    }
}

#[cfg(test)]
mod tests;
