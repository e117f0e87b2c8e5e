//! Servers of the Model Context Protocol, whose tools agents and tasks can call.
//!
//! Knows no agent and no workflow.

use std::sync::Arc;

use motet_core::mcp::ServerConfig;
use motet_core::{Error, ErrorKind, Result, Tool};

/// A connection to a server; cheap to clone, and closed with its last clone.
#[derive(Debug, Clone)]
pub struct McpServer {
    name: Arc<str>,
}

impl McpServer {
    /// Starts the server or connects to it, and shakes hands.
    ///
    /// # Errors
    /// `Configuration` when neither or both of program and address are set; `Connection` and `Timeout` when the server
    /// cannot be reached.
    pub async fn connect(name: &str, _config: ServerConfig) -> Result<Self> {
        Err(Error::new(ErrorKind::Unsupported, format!("the server `{name}` cannot be reached yet")))
    }

    /// Gives its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the tools that it offers now.
    ///
    /// # Errors
    /// `Connection` and `Timeout` when the server cannot be reached.
    pub async fn tools(&self) -> Result<Vec<Arc<dyn Tool>>> {
        Ok(Vec::new())
    }
}
