//! A tool of a server, as agents call it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::request::ToolSpec;
use motet_core::tool::Effect;
use motet_core::{Result, Tool, ToolContext, ToolOutput};
use serde_json::Value;

use super::McpServer;

/// What is known of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offered {
    /// As models are given it.
    pub(super) spec: ToolSpec,
    /// The server's own name of it.
    pub(super) name: String,
    pub(super) effect: Effect,
}

/// A tool that keeps its server alive.
pub(super) struct McpTool {
    pub(super) server: McpServer,
    pub(super) offered: Arc<Offered>,
}

impl fmt::Debug for McpTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpTool")
            .field("server", &self.server.name())
            .field("offered", &self.offered)
            .finish()
    }
}

#[async_trait]
impl Tool for McpTool {
    fn spec(&self) -> &ToolSpec {
        &self.offered.spec
    }

    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        self.server.call(&self.offered.name, arguments, context).await
    }

    fn effect(&self) -> Effect {
        self.offered.effect
    }

    /// A little more than the server's own limit, which says better what happened.
    fn timeout(&self) -> Option<Duration> {
        Some(self.server.timeout().saturating_add(Duration::from_secs(2)))
    }
}
