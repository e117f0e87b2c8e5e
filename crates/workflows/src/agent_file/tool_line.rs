//! The lines of an agent's list of tools, as plain types that are stored with its runs.
//!
//! Makes no tool.

use std::path::{Path, PathBuf};
use std::time::Duration;

use motet_core::mcp::ServerConfig;
use motet_providers::command::CommandSpec;
use motet_providers::sandbox::Limits;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::spec::{AgentSpec, span};

/// One line of the list of tools.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ToolLine {
    /// What its tools are for; empty where it is not said.
    pub category: String,
    /// The tools.
    pub tool: ToolEntry,
}

impl From<ToolEntry> for ToolLine {
    fn from(tool: ToolEntry) -> Self {
        Self { category: String::new(), tool }
    }
}

/// Where tools come from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ToolEntry {
    /// The tools of a server of the Model Context Protocol.
    Mcp {
        /// Name of the server.
        name: String,
        /// How it is reached; the server of its name that the settings know where it has neither program nor address.
        server: Box<ServerConfig>,
    },
    /// A program on this machine.
    Command(Box<CommandSpec>),
    /// Another agent, which works on what it is asked and answers.
    Agent(AgentEntry),
    /// Python that the model writes, and which calls other tools of the agent.
    Code(Box<CodeSpec>),
}

/// An agent that another one calls.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEntry {
    /// It stands in a file; relative paths start in the directory of the file that names it.
    File(PathBuf),
    /// It was read, and is stored whole.
    Whole {
        /// What its file says.
        spec: Box<AgentSpec>,
        /// Directory of its file.
        base: PathBuf,
    },
}

/// How a model runs Python that it wrote.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CodeSpec {
    /// Name that the model uses; `run_python` where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Patterns of the tools that the code may call; all of the agent's where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Whether these tools are called from code only, except for calls that a person must agree to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_in_code: bool,
    /// Bounds of a run of code.
    #[serde(skip_serializing_if = "CodeLimits::is_default")]
    pub limits: CodeLimits,
    /// Longest time of a call from code whose tool names no other; 60 seconds where it is not set.
    #[serde(skip_serializing_if = "Option::is_none", with = "span")]
    pub call_timeout: Option<Duration>,
    /// Longest time of a run of code with all its calls; the agent's limit for tools where it is not set.
    #[serde(skip_serializing_if = "Option::is_none", with = "span")]
    pub timeout: Option<Duration>,
}

/// Bounds of a run of code; those of the sandbox where they are not set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CodeLimits {
    /// Time that the code itself may run; waiting for tools does not count.
    #[serde(skip_serializing_if = "Option::is_none", with = "span")]
    pub time: Option<Duration>,
    /// Bytes by which the run may make the process grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<usize>,
    /// Bytes that the code may print.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<usize>,
    /// Bytes of the result as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<usize>,
    /// How deep functions may call each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursion: Option<usize>,
    /// How often tools may be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
}

impl CodeLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Gives the sandbox's bounds with these in their places.
    #[must_use]
    pub fn resolved(&self) -> Limits {
        let mut limits = Limits::default();
        limits.time = self.time.unwrap_or(limits.time);
        limits.memory_bytes = self.memory_bytes.unwrap_or(limits.memory_bytes);
        limits.output_bytes = self.output_bytes.unwrap_or(limits.output_bytes);
        limits.result_bytes = self.result_bytes.unwrap_or(limits.result_bytes);
        limits.recursion = self.recursion.unwrap_or(limits.recursion);
        limits.calls = self.calls.unwrap_or(limits.calls);
        limits
    }
}

impl CodeSpec {
    /// Gives the name that the model uses.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(motet_agents::code::NAME)
    }

    /// Names the bound that no code could keep.
    pub(super) fn zero(&self) -> Option<&'static str> {
        let limits = &self.limits;
        let is_zero = |time: Option<Duration>| time.is_some_and(|time| time.is_zero());
        let zero = [
            ("time", is_zero(limits.time)),
            ("memory_bytes", limits.memory_bytes == Some(0)),
            ("result_bytes", limits.result_bytes == Some(0)),
            ("recursion", limits.recursion == Some(0)),
            ("call_timeout", is_zero(self.call_timeout)),
            ("timeout", is_zero(self.timeout)),
        ];
        zero.into_iter().find_map(|(name, zero)| zero.then_some(name))
    }
}

/// A line as it is written.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    tool: Written<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    category: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Mcp {
        mcp: &'a str,
        #[serde(flatten)]
        server: &'a ServerConfig,
    },
    Command {
        command: &'a CommandSpec,
    },
    File {
        agent: &'a Path,
    },
    Agent {
        agent: &'a AgentSpec,
        base: &'a Path,
    },
    Code {
        code: &'a CodeSpec,
    },
}

impl Serialize for ToolLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tool = match &self.tool {
            ToolEntry::Mcp { name, server } => Written::Mcp { mcp: name, server },
            ToolEntry::Command(command) => Written::Command { command },
            ToolEntry::Agent(AgentEntry::File(agent)) => Written::File { agent },
            ToolEntry::Agent(AgentEntry::Whole { spec: agent, base }) => Written::Agent { agent, base },
            ToolEntry::Code(code) => Written::Code { code },
        };
        Line { tool, category: &self.category }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ToolLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        super::lines::of_value(&value).map_err(D::Error::custom)
    }
}
