//! Conversations as data, and the contract of stores that keep them.
//!
//! Knows no agent and no model: what is sent of a conversation, and when it is summarised, is decided by whoever holds it.

mod change;
mod id;
mod stored;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Millis, RunId};
use crate::message::{Message, Role};
use crate::model_id::ModelId;
use crate::usage::{Cost, Usage};

pub use change::{Addition, NewConversation};
pub use id::ConversationId;
pub use stored::{StoredConversation, StoredSummary, StoredTurn};

/// Keeps conversations. Every method is one atomic, durable unit.
#[async_trait]
pub trait ConversationStore: Send + Sync {
    /// Keeps a new conversation.
    ///
    /// # Errors
    /// `Conflict` when the id is taken; `Store` when it cannot be written.
    async fn create(&self, new: NewConversation) -> Result<ConversationHead>;

    /// Gives a conversation whole; `None` when there is none.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    async fn load(&self, id: &ConversationId) -> Result<Option<Conversation>>;

    /// Gives what stands above a conversation; `None` when there is none.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    async fn head(&self, id: &ConversationId) -> Result<Option<ConversationHead>>;

    /// Adds turns and summaries to the version that is expected, and only to that; what an addition takes back goes
    /// first. Writes what is added, never what is there.
    ///
    /// # Errors
    /// `NotFound` when there is no such conversation; `Conflict` when it has another version by now; `InvalidRequest`
    /// when messages are taken back from the middle of a tool round.
    async fn append(&self, id: &ConversationId, expect: u64, addition: Addition) -> Result<ConversationHead>;

    /// Copies the first messages of a conversation into a new one; all where no number is given. Nothing was spent in
    /// the new one yet.
    ///
    /// # Errors
    /// `NotFound` when there is no such conversation; `Conflict` when the new id is taken; `InvalidRequest` when the
    /// cut goes through a tool round.
    async fn fork(
        &self,
        id: &ConversationId,
        keep: Option<u32>,
        new: ConversationId,
    ) -> Result<ConversationHead>;

    /// Lists conversations, the one that was changed last first.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    async fn list(&self, filter: &ConversationFilter) -> Result<Vec<ConversationHead>>;

    /// Gives a conversation another title; its version stays.
    ///
    /// # Errors
    /// `NotFound` when there is no such conversation.
    async fn rename(&self, id: &ConversationId, title: &str) -> Result<()>;

    /// Removes a conversation with all it holds; tells whether there was one.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    async fn delete(&self, id: &ConversationId) -> Result<bool>;

    /// Keeps a conversation as another store gave it. A store that makes it anew keeps what was said; the version and
    /// the times begin again.
    ///
    /// # Errors
    /// `Conflict` when the id is taken.
    async fn restore(&self, conversation: Conversation) -> Result<()> {
        let Conversation { head, turns, summaries } = conversation;
        let ConversationHead { id, title, instructions, .. } = head;
        self.create(NewConversation { id, title, instructions, turns, summaries }).await.map(drop)
    }
}

/// A conversation with every turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// What stands above it.
    pub head: ConversationHead,
    /// What was said, oldest first.
    pub turns: Vec<Turn>,
    /// What models wrote in the place of its beginning, oldest first; the last one holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summaries: Vec<Summary>,
}

impl Conversation {
    /// Gives every message, oldest first; instructions are not among them.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.turns.iter().flat_map(|turn| &turn.messages)
    }

    /// Takes back what follows so many messages, and the summaries that tell of it. What was spent stays spent.
    ///
    /// # Errors
    /// `InvalidRequest` when there are not so many, or the cut goes through a tool round; then nothing is changed.
    pub fn keep(&mut self, keep: u32) -> Result<()> {
        let at = usize::try_from(keep).unwrap_or(usize::MAX);
        let before = at.checked_sub(1).map(|before| self.messages().nth(before));
        let after = self.messages().nth(at);
        let is_inside = keep <= self.head.messages;
        if !is_inside || (keep < self.head.messages && !may_cut(before.flatten(), after)) {
            return Err(bad_cut(keep, self.head.messages));
        }
        let mut left = at;
        self.turns.retain_mut(|turn| {
            let kept = left.min(turn.messages.len());
            left -= kept;
            turn.messages.truncate(kept);
            kept > 0
        });
        self.summaries.retain(|summary| summary.through <= keep);
        self.head.messages = keep;
        self.head.turns = u32::try_from(self.turns.len()).unwrap_or(u32::MAX);
        let last = self.turns.last();
        self.head.agent = last.and_then(|turn| turn.agent.clone());
        self.head.model = last.and_then(|turn| turn.model.clone());
        Ok(())
    }

    /// Changes it as a store does; see [`ConversationStore::append`].
    ///
    /// # Errors
    /// `InvalidRequest` as [`keep`](Self::keep); then nothing is changed.
    pub fn apply(&mut self, addition: Addition, now: Millis) -> Result<()> {
        check_turns(&addition.turns)?;
        if let Some(keep) = addition.keep {
            self.keep(keep)?;
        }
        addition.count_in(&mut self.head, now);
        self.turns.extend(addition.turns);
        self.summaries.extend(addition.summaries);
        Ok(())
    }

    /// Makes a new conversation of its first messages, of all where no number is given; nothing was spent in it yet.
    ///
    /// # Errors
    /// `InvalidRequest` as [`keep`](Self::keep).
    pub fn forked(&self, keep: Option<u32>, new: ConversationId, now: Millis) -> Result<Conversation> {
        let mut fork = self.clone();
        if let Some(keep) = keep {
            fork.keep(keep)?;
        }
        fork.head.id = new;
        (fork.head.created_at, fork.head.updated_at, fork.head.version) = (now, now, 0);
        (fork.head.usage, fork.head.cost) = (Usage::default(), Some(Cost::ZERO));
        Ok(fork)
    }
}

/// What stands above a conversation: its name, its version, and sums over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConversationHead {
    /// Its id.
    pub id: ConversationId,
    /// Title for people; empty where nobody gave one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// When it was first kept.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
    /// Counts its changes, from 0.
    pub version: u64,
    /// Number of its turns.
    pub turns: u32,
    /// Number of its messages.
    pub messages: u32,
    /// Instructions of the newest turn; they are no message of the conversation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// The agent of the newest turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model of the newest turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Tokens spent on it so far, on summaries and on turns that were taken back too.
    pub usage: Usage,
    /// What it cost so far; `None` as soon as one price is unknown.
    pub cost: Option<Cost>,
}

impl ConversationHead {
    /// Makes the head of an empty conversation.
    #[must_use]
    pub fn new(id: ConversationId, now: Millis) -> Self {
        Self {
            id,
            title: String::new(),
            created_at: now,
            updated_at: now,
            version: 0,
            turns: 0,
            messages: 0,
            instructions: String::new(),
            agent: None,
            model: None,
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
        }
    }

    /// Counts a turn in.
    pub fn add_turn(&mut self, turn: &Turn) {
        self.turns += 1;
        self.messages += u32::try_from(turn.messages.len()).unwrap_or(u32::MAX);
        self.agent.clone_from(&turn.agent);
        self.model.clone_from(&turn.model);
        self.spend(turn.usage, turn.cost);
    }

    /// Counts in what was spent.
    pub fn spend(&mut self, usage: Usage, cost: Option<Cost>) {
        self.usage += usage;
        self.cost = self.cost.zip(cost).map(|(sum, cost)| sum + cost);
    }

    /// Makes the error for a version that is not the newest.
    #[must_use]
    pub fn conflict(&self, expect: u64) -> Error {
        let Self { id, version, .. } = self;
        Error::new(
            ErrorKind::Conflict,
            format!("the conversation `{id}` has version {version}, not {expect}"),
        )
        .with_hint("somebody else continued it meanwhile; look at what was said, and send the turn again")
    }
}

/// What a person said, and everything that came of it until the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Turn {
    /// When it ended.
    pub at: Millis,
    /// The prompt, the model's messages, and the results of tools, in order.
    pub messages: Vec<Message>,
    /// The agent that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// The run whose log tells how it came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Tokens of all its model calls.
    pub usage: Usage,
    /// What it cost; `None` as soon as one price is unknown.
    pub cost: Option<Cost>,
    /// How long the conversation was by the provider's count, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// That its beginning should have been summarised and could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsummarised: Option<Unsummarised>,
}

impl Turn {
    /// Makes a turn that ends now and cost nothing.
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            at: Millis::now(),
            messages,
            agent: None,
            model: None,
            run: None,
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
            measured: None,
            unsummarised: None,
        }
    }
}

/// A summary that was asked for and never came, so that it is not asked for again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsummarised {
    /// Tokens of the request whose beginning should have been summarised.
    pub tokens: u64,
    /// Number of messages that a summary stood for at that time.
    pub summarised: u32,
}

/// What a provider counted in the last model call of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Number of the conversation's messages after the turn, by which it is told whether this still holds.
    pub messages: u32,
    /// Number of messages that a summary stood for.
    pub summarised: u32,
    /// Tokens of input.
    pub input: u64,
    /// Tokens of output that the next request will hold.
    pub output: u64,
    /// Tokens of input as they were estimated for the same request.
    pub estimated: u64,
}

/// What a model wrote in the place of the beginning of a conversation; the messages themselves stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// When it was written.
    pub at: Millis,
    /// It stands for this many messages, from the first on.
    pub through: u32,
    /// The text.
    pub text: String,
    /// The model that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Tokens of the call.
    pub usage: Usage,
    /// What the call cost; `None` where the price is unknown.
    pub cost: Option<Cost>,
}

impl Summary {
    /// Makes a summary of now that cost nothing.
    #[must_use]
    pub fn new(through: u32, text: impl Into<String>) -> Self {
        let (usage, cost) = (Usage::default(), Some(Cost::ZERO));
        Self { at: Millis::now(), through, text: text.into(), model: None, usage, cost }
    }
}

/// Which conversations to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConversationFilter {
    /// Only those whose id or title contains this text.
    pub text: Option<String>,
    /// At most this many; 0 means all.
    pub limit: u32,
}

/// Tells whether a conversation may be cut between two neighbours: not between a call of a tool and its results, nor
/// between results of one round.
#[must_use]
pub fn may_cut(before: Option<&Message>, after: Option<&Message>) -> bool {
    let calls = |message: &Message| message.tool_calls().next().is_some();
    !before.is_some_and(calls) && after.is_none_or(|message| message.role != Role::Tool)
}

/// Makes the error for a cut that [`may_cut`] does not allow, or that lies behind the end.
#[must_use]
pub fn bad_cut(keep: u32, messages: u32) -> Error {
    if keep > messages {
        return Error::new(
            ErrorKind::InvalidRequest,
            format!("the conversation has {messages} messages, so {keep} cannot be kept"),
        );
    }
    Error::new(ErrorKind::InvalidRequest, format!("keeping {keep} messages would cut through a tool round"))
        .with_hint("a call of a tool and its results stay together; keep the messages before the call, or through the results")
}

/// Refuses turns in which nobody says anything.
///
/// # Errors
/// `InvalidRequest` when a turn has no message.
pub fn check_turns(turns: &[Turn]) -> Result<()> {
    match turns.iter().any(|turn| turn.messages.is_empty()) {
        true => Err(Error::new(ErrorKind::InvalidRequest, "a turn without messages cannot be kept")),
        false => Ok(()),
    }
}

/// Makes the error for a conversation that is not there.
#[must_use]
pub fn no_such_conversation(id: &ConversationId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no conversation `{id}` in this store")).with_hint(
        "`motet conversation list` shows those there are; the setting `store` says which store is read",
    )
}

/// Makes the error for an id that is taken.
#[must_use]
pub fn conversation_exists(id: &ConversationId) -> Error {
    Error::new(ErrorKind::Conflict, format!("there is a conversation `{id}` already"))
        .with_hint("choose another name, or delete that one first")
}

#[cfg(test)]
mod tests;
