//! The tools of a server as the run saw them first: written to its log, so that a resumed or replayed run asks its model
//! the same even where the server offers other tools by now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::content_hash;
use motet_core::mcp::ServerConfig;
use motet_core::request::ToolSpec;
use motet_core::run_log::{Step, StepKind};
use motet_core::tool::{Effect, Reconciled};
use motet_core::{RunContext, Tool, ToolContext, ToolOutput};
use motet_providers::mcp::McpServer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::runtime::Runtime;

/// A server that is connected to when that is first needed.
pub(super) struct Server {
    runtime: Runtime,
    name: String,
    config: ServerConfig,
    connected: OnceCell<HashMap<String, Arc<dyn Tool>>>,
}

/// A tool as the log holds it.
#[derive(Serialize, Deserialize)]
struct Offer {
    spec: ToolSpec,
    effect: Effect,
    timeout_ms: Option<u64>,
    asks: bool,
}

impl Server {
    pub(super) fn new(runtime: &Runtime, name: &str, config: ServerConfig) -> Arc<Self> {
        let (runtime, name) = (runtime.clone(), name.to_owned());
        Arc::new(Self { runtime, name, config, connected: OnceCell::new() })
    }

    /// Gives the tools that the run's log holds, and otherwise asks the server and writes them there.
    pub(super) async fn tools(
        self: Arc<Self>,
        context: &RunContext,
        written: &ServerConfig,
    ) -> Result<Vec<Arc<dyn Tool>>> {
        let (step, hash) = (format!("offered/{}", self.name), content_hash(written)?);
        let step = Step {
            name: &step,
            kind: StepKind::Value,
            request_hash: &hash,
            effect: Effect::Pure,
            label: &self.name,
        };
        let offers: Vec<Offer> = context.observe(step, || self.offers()).await?;
        let tool = |offer| Arc::new(Offered { server: Arc::clone(&self), offer }) as Arc<dyn Tool>;
        Ok(offers.into_iter().map(tool).collect())
    }

    async fn offers(&self) -> Result<Vec<Offer>> {
        let offer = |tool: &Arc<dyn Tool>| Offer {
            spec: tool.spec().clone(),
            effect: tool.effect(),
            timeout_ms: tool.timeout().map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            asks: tool.needs_approval(&Value::Null),
        };
        let mut offers: Vec<Offer> = self.connected().await?.values().map(offer).collect();
        // Servers list their tools in any order; the request should not depend on it.
        offers.sort_by(|one, other| one.spec.name.cmp(&other.spec.name));
        Ok(offers)
    }

    async fn connected(&self) -> Result<&HashMap<String, Arc<dyn Tool>>> {
        let connect = || async {
            let loaded = self.runtime.loaded();
            let variable = |name: &str| loaded.variable(name).map(|value| value.expose().to_owned());
            let server = McpServer::connect_with(&self.name, self.config.clone(), &variable).await?;
            let tools = server.tools().await?;
            Ok(tools.into_iter().map(|tool| (tool.spec().name.clone(), tool)).collect())
        };
        self.connected.get_or_try_init(connect).await
    }
}

/// A tool whose description stays as it was when the run began.
struct Offered {
    server: Arc<Server>,
    offer: Offer,
}

impl Offered {
    async fn tool(&self) -> Result<&Arc<dyn Tool>> {
        let name = &self.offer.spec.name;
        self.server.connected().await?.get(name).ok_or_else(|| {
            let message = format!("the server `{}` no longer offers `{name}`", self.server.name);
            Error::new(ErrorKind::NotFound, message)
        })
    }
}

#[async_trait]
impl Tool for Offered {
    fn spec(&self) -> &ToolSpec {
        &self.offer.spec
    }

    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        self.tool().await?.call(arguments, context).await
    }

    fn effect(&self) -> Effect {
        self.offer.effect
    }

    fn timeout(&self) -> Option<Duration> {
        self.offer.timeout_ms.map(Duration::from_millis)
    }

    fn needs_approval(&self, _arguments: &Value) -> bool {
        self.offer.asks
    }

    async fn reconcile(&self, arguments: &Value, context: &ToolContext<'_>) -> Result<Reconciled> {
        self.tool().await?.reconcile(arguments, context).await
    }
}
