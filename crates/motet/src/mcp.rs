//! The servers of tools that the settings name: one file, read when it is asked for, and one connection to each.
//!
//! Shows no value of their environment and headers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use motet_agents::Toolbox;
use motet_core::mcp::ServerConfig;
use motet_core::tool::ToolSource;
use motet_core::{Error, ErrorKind, Result};
use motet_providers::mcp::McpServer;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::Runtime;
use crate::idle::{Connected, Idle};

/// Name of the file that is read where the settings name none.
pub const DEFAULT_FILE: &str = ".mcp.json";

/// What of an entry is ours to read; other programs keep notes of their own in the same file.
const FIELDS: [&str; 11] = [
    "command",
    "args",
    "env",
    "directory",
    "url",
    "headers",
    "prefix",
    "only",
    "without",
    "timeout",
    "trusted",
];

/// A server that the file names.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NamedServer {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub config: ServerConfig,
    /// False where the file says that it is not to be used.
    pub enabled: bool,
}

/// The connections of a runtime, each made when it is first asked for.
#[derive(Default)]
pub(crate) struct Connections {
    /// To the servers that the settings' file names.
    named: Mutex<HashMap<String, Cell>>,
    /// To those that workflows bring along, which are as many as there are workflows.
    brought: Idle<String, Cell>,
}

type Cell = Arc<OnceCell<McpServer>>;

impl Connections {
    fn named(&self) -> MutexGuard<'_, HashMap<String, Cell>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Connected for Cell {
    /// Whoever waits for an answer holds the connection, and gets it all the same.
    fn is_busy(&self) -> bool {
        false
    }

    async fn leave(&self) {
        if let Some(server) = self.get() {
            server.close().await;
        }
    }
}

impl Runtime {
    /// Gives the servers that the settings' file names, in its order; none where there is no such file.
    ///
    /// # Errors
    /// `Configuration` when the file is missing or wrong.
    pub fn mcp_servers(&self) -> Result<Vec<NamedServer>> {
        let Some(path) = self.mcp_file() else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!("`{}` cannot be read: {error}", path.display());
            Error::new(ErrorKind::Configuration, message)
                .with_hint("write the servers into it, or set `mcp.file` to the file that names them")
                .with_source(error)
        })?;
        servers(&text, &path)
    }

    /// Gives the connection to a server that the settings' file names; all who ask share it.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name, `Configuration` when the file is wrong, and what keeps the server
    /// from being reached; see [`McpServer::connect`].
    pub async fn mcp_server(&self, name: &str) -> Result<McpServer> {
        let known = self.mcp_connections().named().get(name).and_then(|cell| cell.get().cloned());
        if let Some(server) = known {
            return Ok(server);
        }
        let server = self.named_server(name)?;
        let cell = Arc::clone(self.mcp_connections().named().entry(name.to_owned()).or_default());
        self.connected(&cell, server).await
    }

    pub(crate) fn named_server(&self, name: &str) -> Result<NamedServer> {
        let mut servers = self.mcp_servers()?;
        let Some(place) = servers.iter().position(|server| server.name == name) else {
            let names: Vec<_> = servers.iter().map(|server| format!("`{}`", server.name)).collect();
            let error = Error::new(ErrorKind::NotFound, format!("there is no server `{name}`"));
            return Err(error.with_hint(match names.as_slice() {
                [] => format!("name servers in `{DEFAULT_FILE}`, or set `mcp.file`"),
                names => format!("the servers are {}", names.join(", ")),
            }));
        };
        Ok(servers.swap_remove(place))
    }

    /// Gives the connection of a server that a workflow brings along, under a name of the connection's own, as servers of
    /// several workflows may be called alike. It is let go when nobody uses it for a while.
    pub(crate) async fn connected_as(&self, key: String, server: NamedServer) -> Result<McpServer> {
        let cell = self.mcp_connections().brought.get_or_make(key, |_| Ok(Cell::default()))?;
        self.connected(&cell, server).await
    }

    async fn connected(&self, cell: &OnceCell<McpServer>, server: NamedServer) -> Result<McpServer> {
        let connect = || async {
            let variable = |name: &str| self.loaded().variable(name).map(|value| value.expose().to_owned());
            McpServer::connect_with(&server.name, server.config.clone(), &variable).await
        };
        cell.get_or_try_init(connect).await.cloned()
    }

    /// Gives the tools of all servers that are in use, under the servers' names as categories, and beside them what kept
    /// servers from being reached. With a name, only that server's, which then must be reached.
    ///
    /// # Errors
    /// `Configuration` when the file is wrong, and when two servers have tools of one name; with a name, as
    /// [`mcp_server`](Self::mcp_server).
    pub async fn mcp_tools(&self, only: Option<&str>) -> Result<(Toolbox, Vec<Error>)> {
        let names: Vec<String> = match only {
            Some(name) => vec![name.to_owned()],
            None => {
                let used = self.mcp_servers()?.into_iter().filter(|server| server.enabled);
                used.map(|server| server.name).collect()
            }
        };
        let reaching = names.iter().map(|name| async move {
            let server = self.mcp_server(name).await?;
            // Its list is read here, side by side with those of the others; the set finds it read.
            server.tools().await.map(|_| server)
        });
        let (tools, mut failures) = (Toolbox::new(), Vec::new());
        for (name, reached) in names.iter().zip(futures::future::join_all(reaching).await) {
            match reached {
                Ok(server) => tools.add_source(name, Arc::new(server) as Arc<dyn ToolSource>).await?,
                Err(error) if only.is_some() => return Err(error),
                Err(error) => failures.push(error),
            }
        }
        Ok((tools, failures))
    }

    /// Takes leave of all servers: programs are given a few seconds to end by themselves, sessions are ended.
    pub async fn close_mcp_servers(&self) {
        let named = std::mem::take(&mut *self.mcp_connections().named());
        let leaving = futures::future::join_all(named.values().map(Connected::leave));
        futures::future::join(leaving, self.mcp_connections().brought.close()).await;
    }

    /// Takes leave of all servers of tools and of all remote providers, such as at the end of a worker. Calling them again
    /// starts them again.
    pub async fn close_connections(&self) {
        futures::future::join(self.close_mcp_servers(), self.remotes().close()).await;
    }

    fn mcp_file(&self) -> Option<PathBuf> {
        match &self.settings().mcp.file {
            Some(file) => Some(self.directory().join(file)),
            None => Some(self.directory().join(DEFAULT_FILE)).filter(|path| path.is_file()),
        }
    }
}

fn servers(text: &str, path: &Path) -> Result<Vec<NamedServer>> {
    let wrong = |why: String| {
        Error::new(ErrorKind::Configuration, format!("`{}` {why}", path.display()))
            .with_hint(r#"write it as `{"mcpServers": {"name": {"command": "program", "args": []}}}`"#)
    };
    let file: Value = serde_json::from_str(text).map_err(|error| wrong(format!("is not JSON: {error}")))?;
    let entries = file.get("mcpServers").and_then(Value::as_object);
    let entries = entries.ok_or_else(|| wrong("holds no `mcpServers`".to_owned()))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let one = |(name, entry): (&String, &Value)| {
        server(name, entry, directory).map_err(|why| wrong(format!("says of the server `{name}`: {why}")))
    };
    entries.iter().map(one).collect()
}

pub(crate) fn server(name: &str, entry: &Value, directory: &Path) -> Result<NamedServer, String> {
    let entry = entry.as_object().ok_or("it is not an object")?;
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let kind = entry.get("type").or_else(|| entry.get("transport")).and_then(Value::as_str);
    match kind {
        None | Some("mcp" | "stdio" | "http" | "streamable-http" | "streamable_http" | "streamableHttp") => {}
        Some("sse") => {
            return Err(
                "the old transport `sse` is not spoken; use the server's address for streamable HTTP, and \
                        `\"type\": \"http\"`"
                    .to_owned(),
            );
        }
        Some(other) => return Err(format!("the transport `{other}` is not known; it is `stdio` or `http`")),
    }
    let own = entry.iter().filter(|(field, _)| FIELDS.contains(&field.as_str()));
    let mut fields: Map<String, Value> = own.map(|(field, value)| (field.clone(), value.clone())).collect();
    let place = fields.get("directory").or_else(|| entry.get("cwd")).and_then(Value::as_str).unwrap_or(".");
    if fields.contains_key("command") {
        let place = std::path::absolute(directory.join(place)).map_err(|error| error.to_string())?;
        fields.insert("directory".to_owned(), place.display().to_string().into());
    }
    let config: ServerConfig =
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    if config.command.is_some() == config.url.is_some() {
        return Err("it needs either `command` or `url`".to_owned());
    }
    let disabled = entry.get("disabled").and_then(Value::as_bool).unwrap_or(false);
    Ok(NamedServer { name: name.to_owned(), config, enabled: !disabled })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use motet_core::settings::{Settings, Sources};

    use super::*;

    fn read(text: &str) -> Result<Vec<NamedServer>> {
        servers(text, Path::new("/project/.mcp.json"))
    }

    #[test]
    fn the_widespread_form_is_read_with_what_others_keep_in_it() {
        let servers = read(
            r#"{"mcpServers": {
                "git": {"command": "uvx", "args": ["mcp-server-git"], "env": {"A": "${A}"}, "alwaysAllow": ["x"]},
                "off": {"command": "x", "disabled": true, "cwd": "sub", "timeout": "5s", "trusted": true},
                "web": {"type": "http", "url": "https://example.com/mcp", "headers": {"authorization": "Bearer ${T}"}}
            }, "inputs": []}"#,
        )
        .unwrap();
        let names: Vec<_> = servers.iter().map(|server| (server.name.as_str(), server.enabled)).collect();
        assert_eq!(names, [("git", true), ("off", false), ("web", true)]);
        assert_eq!(servers[0].config.directory.as_deref(), Some("/project"));
        assert_eq!(servers[1].config.directory.as_deref(), Some("/project/sub"));
        assert_eq!((servers[1].config.timeout, servers[1].config.trusted), (Duration::from_secs(5), true));
        assert_eq!(servers[2].config.directory, None);
        assert!(!format!("{servers:?}").contains("Bearer"));
    }

    #[test]
    fn a_wrong_file_says_what_is_wrong() {
        for (text, why) in [
            ("{", "is not JSON"),
            ("[]", "holds no `mcpServers`"),
            (r#"{"mcpServers": {"a": 1}}"#, "says of the server `a`: it is not an object"),
            (r#"{"mcpServers": {"a": {}}}"#, "says of the server `a`: it needs either `command` or `url`"),
            (r#"{"mcpServers": {"a": {"command": 1}}}"#, "invalid type: integer `1`, expected a string"),
            (
                r#"{"mcpServers": {"a": {"url": "u", "type": "sse"}}}"#,
                "the old transport `sse` is not spoken",
            ),
            (r#"{"mcpServers": {"a": {"url": "u", "type": "x"}}}"#, "the transport `x` is not known"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    fn runtime(directory: &Path, file: Option<&str>) -> Runtime {
        let overrides = file.map(|file| ("mcp.file".to_owned(), file.to_owned(), "test".to_owned()));
        let overrides = overrides.into_iter().collect();
        let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
        Runtime::new(loaded, directory.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn the_setting_names_the_file_and_a_hidden_one_is_found_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        assert!(runtime(folder.path(), None).mcp_servers().unwrap().is_empty());
        let missing = runtime(folder.path(), Some("other.json"));
        assert_eq!(missing.mcp_servers().unwrap_err().kind(), ErrorKind::Configuration);
        for (file, name) in [(".mcp.json", "hidden"), ("other.json", "other")] {
            let text = format!(r#"{{"mcpServers": {{"{name}": {{"command": "no-such-program"}}}}}}"#);
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let name = |runtime: &Runtime| runtime.mcp_servers().unwrap().remove(0).name;
        assert_eq!(name(&runtime(folder.path(), None)), "hidden");
        assert_eq!(name(&missing), "other");
        let error = missing.mcp_server("hidden").await.unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::NotFound, Some("the servers are `other`")));
        let (tools, failures) = missing.mcp_tools(None).await.unwrap();
        assert!(tools.list().is_empty() && failures[0].message().contains("no-such-program"));
    }
}
