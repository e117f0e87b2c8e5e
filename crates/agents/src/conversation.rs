//! A conversation with an agent: turns one after the other, each kept as a whole or not at all.
//!
//! Knows no backend: conversations are kept by whatever store it is given, or by none. Every turn is a run of the one
//! agent machine.

mod compaction;
mod export;
mod kept;
pub mod tokens;
mod turn;

use std::sync::{Arc, Mutex, PoisonError};

use motet_core::conversation::{Conversation, ConversationHead, ConversationId};
use motet_core::id::RunId;
use motet_core::store::SharedStore;
use motet_core::{Message, Model, Result, RunContext};
use serde::{Deserialize, Serialize};

pub use self::compaction::{Compaction, DEFAULT_PROMPT};
pub use self::export::{from_json, to_json, to_markdown};
use self::kept::Kept;
pub use self::tokens::{Estimate, TokenCounter};
use self::turn::{Asked, compact_now, take};
use crate::agent::{Agent, Prompt};
use crate::driver::AgentStream;
use crate::machine::AgentResult;

/// A conversation with an agent and a model; cheap to clone, all clones are the same conversation.
///
/// Turns are taken in the order in which they are first polled, one after the other. A turn that does not complete
/// leaves the conversation as it was.
///
/// ```
/// use std::sync::Arc;
/// use motet_agents::{Agent, Session};
/// use motet_core::{RunContext, Model};
/// # async fn talk(model: Arc<dyn Model>) -> motet_core::Result<()> {
/// let agent = Agent::builder("guide", "openai:gpt-4o-mini".parse()?).instructions("Be brief.").build()?;
/// let session = Session::new(agent, model);
/// session.send(&RunContext::new(), "My name is Ada.").await.into_result()?;
/// let answer = session.send(&RunContext::new(), "What is my name?").await.into_result()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    /// By what the next turn is taken.
    setup: Mutex<Setup>,
    /// Held for a whole turn.
    kept: tokio::sync::Mutex<Kept>,
}

/// Who answers, and by which rules.
#[derive(Clone)]
struct Setup {
    agent: Agent,
    model: Arc<dyn Model>,
    compaction: Option<Compaction>,
    counter: Option<Arc<dyn TokenCounter>>,
}

/// A turn that waits for a person; resumed by [`Session::resume`] with the log of the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParkedTurn {
    /// The run whose log holds what was done already.
    pub run: RunId,
    /// The conversation's version that the turn goes on from.
    pub version: u64,
    /// Messages that the turn keeps, where it takes others back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// What was said.
    pub prompt: Vec<Message>,
}

impl Session {
    /// Begins a conversation that lives as long as the session.
    #[must_use]
    pub fn new(agent: Agent, model: Arc<dyn Model>) -> Self {
        Self::over(Kept::empty(), agent, model)
    }

    /// Begins a conversation that is kept in a store.
    ///
    /// # Errors
    /// `Conflict` when the id is taken; `Unsupported` when the store keeps no conversations.
    pub async fn create(
        store: SharedStore,
        id: ConversationId,
        agent: Agent,
        model: Arc<dyn Model>,
    ) -> Result<Self> {
        let session = Self::new(agent, model);
        session.save(store, id).await?;
        Ok(session)
    }

    /// Goes on with a conversation of a store.
    ///
    /// # Errors
    /// `NotFound` when there is no such conversation; `Unsupported` when the store keeps none.
    pub async fn open(
        store: SharedStore,
        id: &ConversationId,
        agent: Agent,
        model: Arc<dyn Model>,
    ) -> Result<Self> {
        Ok(Self::over(Kept::open(store, id).await?, agent, model))
    }

    /// Goes on with a conversation that was loaded or imported, which lives as long as the session.
    #[must_use]
    pub fn of(conversation: Conversation, agent: Agent, model: Arc<dyn Model>) -> Self {
        Self::over(Kept::of(conversation), agent, model)
    }

    fn over(kept: Kept, agent: Agent, model: Arc<dyn Model>) -> Self {
        Self::set_up(kept, Setup { agent, model, compaction: None, counter: None })
    }

    fn set_up(kept: Kept, setup: Setup) -> Self {
        Self(Arc::new(Inner { setup: Mutex::new(setup), kept: tokio::sync::Mutex::new(kept) }))
    }

    /// Has the beginning summarised whenever the conversation grows beyond a limit.
    ///
    /// # Errors
    /// `Configuration` when the limits do not fit together.
    pub fn with_compaction(self, compaction: Compaction) -> Result<Self> {
        self.set_compaction(Some(compaction))?;
        Ok(self)
    }

    /// Changes from the next turn on how the conversation is kept below a limit; `None` for no limit.
    ///
    /// # Errors
    /// `Configuration` when the limits do not fit together.
    pub fn set_compaction(&self, compaction: Option<Compaction>) -> Result<()> {
        compaction.as_ref().map_or(Ok(()), Compaction::check)?;
        self.0.change(|setup| setup.compaction = compaction);
        Ok(())
    }

    /// Counts tokens by this near the limit, in the place of the estimate.
    #[must_use]
    pub fn with_counter(self, counter: Arc<dyn TokenCounter>) -> Self {
        self.0.change(|setup| setup.counter = Some(counter));
        self
    }

    /// Has another agent, or another model, answer from the next turn on; the conversation stays.
    pub fn switch(&self, agent: Agent, model: Arc<dyn Model>) {
        self.0.change(|setup| (setup.agent, setup.model) = (agent, model));
    }

    /// Gives the agent that answers the next turn.
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.0.setup().agent
    }

    /// Says something and waits for the answer. The result is that of the agent's run; what a summary cost on the way is
    /// counted in.
    ///
    /// The steps of the turn are named below `turn/VERSION-HASH` in the context's log, so that the same words said again
    /// with the same log go on where they stopped. A turn that did not complete has left the conversation unchanged.
    pub async fn send(&self, context: &RunContext, prompt: impl Into<Prompt>) -> AgentResult {
        take(&self.0, context, None, Asked::new(prompt)).await
    }

    /// Says something and tells what happens as it happens; dropping the stream ends the turn and leaves the
    /// conversation unchanged.
    pub fn stream(&self, context: &RunContext, prompt: impl Into<Prompt>) -> AgentStream {
        self.streamed(context, Asked::new(prompt))
    }

    /// Says something after the first messages, in the place of all that followed them, as [`stream`](Self::stream)
    /// does. What followed is given up when the turn completes, and stays when it does not.
    pub fn stream_after(&self, context: &RunContext, keep: u32, prompt: impl Into<Prompt>) -> AgentStream {
        self.streamed(context, Asked::after(keep, prompt))
    }

    /// As [`stream_after`](Self::stream_after), and waits for the answer.
    pub async fn send_after(
        &self,
        context: &RunContext,
        keep: u32,
        prompt: impl Into<Prompt>,
    ) -> AgentResult {
        let asked = Asked::after(keep, prompt);
        take(&self.0, context, None, asked).await
    }

    /// Goes on with a turn that waited for a person; the context has the log of its run, and the decisions.
    ///
    /// The result is `Conflict` where the conversation went on since.
    pub async fn resume(&self, context: &RunContext, parked: ParkedTurn) -> AgentResult {
        take(&self.0, context, None, parked.into()).await
    }

    fn streamed(&self, context: &RunContext, asked: Asked) -> AgentStream {
        let (inner, context) = (Arc::clone(&self.0), context.clone());
        AgentStream::new(|feed| async move { take(&inner, &context, Some(&feed), asked).await })
    }

    /// Gives the turn that waits for a person, if the newest one does.
    pub async fn parked(&self) -> Option<ParkedTurn> {
        self.0.kept.lock().await.parked.clone()
    }

    /// Gives what stands above the conversation.
    pub async fn head(&self) -> ConversationHead {
        self.0.kept.lock().await.head().clone()
    }

    /// Gives the conversation whole.
    ///
    /// # Errors
    /// `Store` and `NotFound` where it is kept in a store that does not give it.
    pub async fn conversation(&self) -> Result<Conversation> {
        self.0.kept.lock().await.whole().await
    }

    /// Gives how many messages the session holds in memory: all where no store does, else those that are still sent.
    pub async fn held_messages(&self) -> usize {
        self.0.kept.lock().await.held()
    }

    /// Takes back what follows the first messages.
    ///
    /// # Errors
    /// `InvalidRequest` when the cut goes through a tool round, `Conflict` when somebody else continued the
    /// conversation, `Store` when it cannot be written.
    pub async fn take_back(&self, keep: u32) -> Result<()> {
        self.0.kept.lock().await.take_back(keep).await
    }

    /// Gives a session of its own over the first messages, or over all; kept under a new id in the same store, where
    /// there is one.
    ///
    /// # Errors
    /// As [`take_back`](Self::take_back), and `Conflict` when the id is taken.
    pub async fn fork(&self, keep: Option<u32>, id: ConversationId) -> Result<Session> {
        let fork = self.0.kept.lock().await.fork(keep, id).await?;
        Ok(Self::set_up(fork, self.0.setup()))
    }

    /// Keeps the conversation in a store under a new id, from now on every turn.
    ///
    /// # Errors
    /// `Conflict` when the id is taken; `Unsupported` when the store keeps no conversations.
    pub async fn save(&self, store: SharedStore, id: ConversationId) -> Result<()> {
        let instructions = self.0.setup().agent.instructions().to_owned();
        self.0.kept.lock().await.save(store, id, instructions).await
    }

    /// Has everything but the newest part summarised now, whatever the limit; tells whether there was anything to
    /// summarise. The summary is kept with the conversation at once.
    ///
    /// # Errors
    /// `Configuration` when the session has no compaction; whatever kept the summary from being written.
    pub async fn compact(&self, context: &RunContext) -> Result<bool> {
        compact_now(&self.0, context).await
    }

    /// Estimates how many tokens the next turn sends beside what is said in it; exact but for the newest part where the
    /// provider has counted before.
    pub async fn tokens(&self) -> u64 {
        let agent = self.agent();
        self.0.kept.lock().await.tokens(&agent)
    }
}

impl Inner {
    fn setup(&self) -> Setup {
        self.setup.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests;
