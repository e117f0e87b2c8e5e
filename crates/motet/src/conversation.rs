//! Conversations over the runtime's settings: which models count tokens, and how long a conversation may grow.

use std::sync::Arc;

use async_trait::async_trait;
use motet_agents::conversation::TokenCounter;
use motet_agents::{Agent, Compaction, Session};
use motet_core::conversation::ConversationId;
use motet_core::{ChatRequest, ModelId, Result, RunContext};

use crate::Runtime;
use crate::prices;

/// Share of a model's window, in percent, that a conversation may fill before its beginning is summarised.
const WINDOW_PERCENT: u64 = 80;

/// Counts as the providers of a runtime do.
struct ProviderCounts(Runtime);

#[async_trait]
impl TokenCounter for ProviderCounts {
    async fn count(&self, context: &RunContext, request: &ChatRequest) -> Result<u64> {
        self.0.count_tokens(context, request).await
    }
}

impl Runtime {
    /// Begins a conversation with an agent that lives as long as the session, over the model of the agent's id.
    ///
    /// It is summarised as [`compaction`](Self::compaction) says, and counted by the provider where that counts.
    ///
    /// # Errors
    /// `Configuration` when the model cannot be found.
    pub async fn session(&self, agent: Agent) -> Result<Session> {
        let model = self.models().model(agent.model()).await?;
        self.outfitted(Session::new(agent.clone(), model), agent.model())
    }

    /// Goes on with a conversation of the store that the settings name, as [`session`](Self::session) begins one.
    ///
    /// # Errors
    /// `NotFound` when there is no such conversation; `Configuration` when the model cannot be found; `Store` when the
    /// store cannot be read.
    pub async fn open_session(&self, id: &ConversationId, agent: Agent) -> Result<Session> {
        let model = self.models().model(agent.model()).await?;
        let session = Session::open(self.store().await?, id, agent.clone(), model).await?;
        self.outfitted(session, agent.model())
    }

    fn outfitted(&self, session: Session, model: &ModelId) -> Result<Session> {
        session.set_compaction(self.compaction(model))?;
        Ok(session.with_counter(self.token_counter()))
    }

    /// Gives how a conversation with a model is kept below its window: at 80 percent of it. `None` where the window is
    /// not known.
    #[must_use]
    pub fn compaction(&self, model: &ModelId) -> Option<Compaction> {
        let window = prices::find(model)?.context?;
        Some(Compaction::of_window(window, WINDOW_PERCENT))
    }

    /// Gives the count of the providers that have one; asked of others it is `Unsupported`, and an estimate is used.
    #[must_use]
    pub fn token_counter(&self) -> Arc<dyn TokenCounter> {
        Arc::new(ProviderCounts(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_fills_most_of_a_known_window() {
        let runtime = Runtime::with_defaults().unwrap();
        let rules = runtime.compaction(&"openai:gpt-5.4-mini".parse().unwrap()).unwrap();
        assert_eq!((rules.window_tokens, rules.limit_tokens), (Some(400_000), 320_000));
        assert!(runtime.compaction(&"custom:mine".parse().unwrap()).is_none());
    }
}
