//! How a server of the Model Context Protocol is reached, as settings and files of agents say it.
//!
//! Starts nothing and connects to nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::duration;

/// A server that offers tools. `Debug` shows no value of its environment and headers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Program that is started and spoken to by its standard input and output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Arguments of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Variables of the program's environment, beside the few that every program needs; `${NAME}` takes one of Motet's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Directory in which the program runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Address of a server that speaks streamable HTTP, in the place of a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers of every request to the address; `${NAME}` takes a variable of Motet's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What stands before the name of each tool; nothing where it is empty, the server's name and `_` where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Names of the tools that are offered, as the server writes them; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Names of tools that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Longest time of a call, and of the handshake.
    #[serde(default = "minute", with = "duration::text")]
    pub timeout: Duration,
    /// Whether its own hints on what its tools change are believed.
    #[serde(default)]
    pub trusted: bool,
}

impl ServerConfig {
    /// Describes a server whose program is started, with a minute for each call.
    pub fn program(command: impl Into<String>, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { command: Some(command.into()), args, ..Self::nothing() }
    }

    /// Describes a server at an address, with a minute for each call.
    pub fn address(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::nothing() }
    }

    fn nothing() -> Self {
        Self {
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            directory: None,
            url: None,
            headers: BTreeMap::new(),
            prefix: None,
            only: Vec::new(),
            without: Vec::new(),
            timeout: minute(),
            trusted: false,
        }
    }
}

fn minute() -> Duration {
    Duration::from_mins(1)
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("command", &self.command)
            .field("args", &self.args)
            .field("env", &self.env.keys())
            .field("directory", &self.directory)
            .field("url", &self.url)
            .field("headers", &self.headers.keys())
            .field("prefix", &self.prefix)
            .field("only", &self.only)
            .field("without", &self.without)
            .field("timeout", &self.timeout)
            .field("trusted", &self.trusted)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_and_what_is_made_is_the_same() {
        let written = |text: &str| serde_json::from_str::<ServerConfig>(text).unwrap();
        assert_eq!(written(r#"{"command": "c", "args": ["a"]}"#), ServerConfig::program("c", ["a"]));
        assert_eq!(written(r#"{"url": "http://h/mcp"}"#), ServerConfig::address("http://h/mcp"));
    }

    #[test]
    fn debug_shows_no_value_of_environment_and_headers() {
        let text =
            r#"{"command": "c", "env": {"TOKEN": "hunter2"}, "headers": {"authorization": "hunter2"}}"#;
        let shown = format!("{:?}", serde_json::from_str::<ServerConfig>(text).unwrap());
        assert!(shown.contains("TOKEN") && shown.contains("authorization"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
