//! Motet with its default layers, used as a program uses it.

use std::net::SocketAddr;

use anyhow::Result;
use futures::StreamExt as _;
use motet::Runtime;
use motet_agents::{Agent, dynamic};
use motet_core::request::ToolSpec;
use motet_core::settings::{Settings, Sources};
use motet_core::tool::{Effect, ToolOutput};
use motet_core::{ChatRequest, EmbedRequest, Message, ModelId, RunContext, StreamEvent};
use serde_json::Value;

use super::{TOOL_ROUNDS, Workload};

pub(super) const SYSTEM: &str = "You are a careful assistant that answers briefly and names its sources.";
pub(super) const PROMPT: &str = "Tell me about the harbour, the boats that lie in it, and what they wait for. Keep to \
    what is known, and say what is not. Two paragraphs are enough, without a heading and without a list.";
pub(super) const TOOL_PROMPT: &str =
    "Add the numbers from 0 to 4, one at a time, with the tool, and tell the sum.";
pub(super) const INPUT: &str =
    "Boats wait in the lee of the cape for the tide, and those who came late wait longer.";

/// Gives the schema of the tool's arguments.
pub(super) fn add_parameters() -> Value {
    let number = serde_json::json!({"type": "integer"});
    serde_json::json!({"type": "object", "properties": {"a": number, "b": number}, "required": ["a", "b"]})
}

/// Makes an engine whose provider is the mock.
pub(super) fn runtime(address: SocketAddr) -> Result<Runtime> {
    let setting = |name: &str, value: String| (name.to_owned(), value, "the benchmark".to_owned());
    let overrides = vec![
        setting("providers.openai.base_url", format!("http://{address}/v1")),
        setting("providers.openai.api_key", "k".to_owned()),
        setting("store", "memory:".to_owned()),
    ];
    let sources = Sources { overrides, ..Sources::default() };
    Ok(Runtime::new(Settings::load(&sources)?, std::env::temp_dir())?)
}

/// Gives the request of a plain call and of a stream.
pub(super) fn request(model: ModelId) -> ChatRequest {
    ChatRequest::new(model, vec![Message::system(SYSTEM), Message::user(PROMPT)])
}

/// Motet with its default layers.
pub(super) struct Ours {
    runtime: Runtime,
    request: ChatRequest,
    embed: EmbedRequest,
    agent: Agent,
}

impl Ours {
    pub(super) fn new(address: SocketAddr, vectors: usize) -> Result<Self> {
        let runtime = runtime(address)?;
        let model = ModelId::new("openai", "mock")?;
        let embed = EmbedRequest::new(model.clone(), vec![INPUT.to_owned(); vectors]);
        let spec = ToolSpec::new("add", "Adds two whole numbers.", add_parameters());
        let add = dynamic(spec, |arguments, _| async move {
            let number = |name: &str| arguments.get(name).and_then(Value::as_i64).unwrap_or_default();
            Ok(ToolOutput::text((number("a") + number("b")).to_string()))
        });
        let agent = runtime.agent("adder", model.clone()).instructions(SYSTEM).tool(add.effect(Effect::Pure));
        Ok(Self { agent: agent.build()?, request: request(model), embed, runtime })
    }

    pub(super) async fn call(&self, workload: Workload) -> Result<()> {
        match workload {
            Workload::Plain => self.plain().await,
            Workload::Stream => self.stream().await,
            Workload::Tools => self.tools().await,
            Workload::Embed => self.embed().await,
        }
    }

    async fn plain(&self) -> Result<()> {
        let response = self.runtime.complete(&RunContext::new(), &self.request).await?;
        anyhow::ensure!(!response.text().is_empty());
        Ok(())
    }

    async fn stream(&self) -> Result<()> {
        let mut events = self.runtime.stream(&RunContext::new(), self.request.clone()).await?;
        let mut text = String::new();
        while let Some(event) = events.next().await {
            if let StreamEvent::TextDelta { text: piece, .. } = event? {
                text.push_str(&piece);
            }
        }
        anyhow::ensure!(!text.is_empty());
        Ok(())
    }

    async fn tools(&self) -> Result<()> {
        let model = self.runtime.models().model(self.agent.model()).await?;
        let result =
            motet_agents::run(&RunContext::new(), &self.agent, model, TOOL_PROMPT).await.into_result()?;
        anyhow::ensure!(!result.text.is_empty() && result.tool_history.len() == TOOL_ROUNDS);
        Ok(())
    }

    async fn embed(&self) -> Result<()> {
        let response = self.runtime.embed(&RunContext::new(), &self.embed).await?;
        anyhow::ensure!(response.embeddings.len() == self.embed.inputs.len());
        Ok(())
    }
}
